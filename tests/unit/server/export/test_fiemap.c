/* Pieces of a file merged into a map (PITFALLS A5, A6). */
#include <check.h>
#include <stdlib.h>

#include "server/export/fiemap.h"

START_TEST(merge)
{
	static const struct iomap in[] = {
		{ 0, 4096, 8192, IOMAP_MAPPED },
		{ 4096, 4096, 12288, IOMAP_MAPPED },	/* continues */
		{ 8192, 4096, 65536, IOMAP_MAPPED },	/* elsewhere on the device */
		{ 12288, 4096, 0, IOMAP_HOLE },
		{ 16384, 8192, 0, IOMAP_HOLE },
		{ 24576, 4096, 69632, IOMAP_UNWRITTEN },
		{ 28672, 4096, 73728, IOMAP_MAPPED },	/* continues, but written */
	};
	struct iomap map[8];
	unsigned n = 0;
	for (unsigned i = 0; i < 7; i++)
		ck_assert(iomap_append(map, &n, 8, &in[i]));
	ck_assert_uint_eq(n, 5);
	ck_assert_uint_eq(map[0].length, 8192);
	ck_assert_uint_eq(map[1].addr, 65536);
	ck_assert_uint_eq(map[2].length, 12288);
	ck_assert_uint_eq(map[2].type, IOMAP_HOLE);
	ck_assert_uint_eq(map[3].type, IOMAP_UNWRITTEN);
}
END_TEST

START_TEST(full)
{
	static const struct iomap a = { 0, 4096, 4096, IOMAP_MAPPED }, b = { 4096, 4096, 8192, IOMAP_MAPPED },
	    c = { 8192, 4096, 4096000, IOMAP_MAPPED };
	struct iomap map[1];
	unsigned n = 0;
	ck_assert(iomap_append(map, &n, 1, &a));
	ck_assert(iomap_append(map, &n, 1, &b));	/* fits: it is merged */
	ck_assert(!iomap_append(map, &n, 1, &c));
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(map[0].length, 8192);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("fiemap");
	TCase *t = tcase_create("append");
	tcase_add_test(t, merge);
	tcase_add_test(t, full);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
