/* Application data blocks: server/nfs4/adb.c. */
#include <check.h>
#include <string.h>

#include "server/nfs4/adb.h"

static char pattern[] = "PATTERN";

static app_data_block4
adb_of(uint64_t size, uint64_t count, uint64_t number_at, uint64_t pattern_at)
{
	return (app_data_block4){ .adb_block_size = size, .adb_block_count = count, .adb_reloff_blocknum = number_at, .adb_block_num = 0x01020304,
		.adb_reloff_pattern = pattern_at, .adb_pattern = { 7, pattern } };
}

START_TEST(checks)
{
	uint64_t len;
	app_data_block4 a = adb_of(4096, 10, 0, 8);
	ck_assert_int_eq(adb_check(&a, &len), NFS4_OK);
	ck_assert_uint_eq(len, 40960);
	a = adb_of(4096, 0, 0, 8);
	ck_assert_int_eq(adb_check(&a, &len), NFS4_OK);
	ck_assert_uint_eq(len, 0);
	a = adb_of(0, 10, UINT64_MAX, UINT64_MAX);
	ck_assert_int_eq(adb_check(&a, &len), NFS4ERR_INVAL);
	a = adb_of(4096, 10, 4092, 4089);
	ck_assert_int_eq(adb_check(&a, &len), NFS4_OK);
	a = adb_of(4096, 10, 4093, 0);
	ck_assert_int_eq(adb_check(&a, &len), NFS4ERR_INVAL);
	a = adb_of(4096, 10, 0, 4090);
	ck_assert_int_eq(adb_check(&a, &len), NFS4ERR_INVAL);
	a = adb_of(4096, 10, UINT64_MAX - 1, 0);
	ck_assert_int_eq(adb_check(&a, &len), NFS4ERR_INVAL);
	a = adb_of(4096, 10, UINT64_MAX, UINT64_MAX);
	ck_assert_int_eq(adb_check(&a, &len), NFS4_OK);
	a = adb_of(1ull << 62, 2, UINT64_MAX, UINT64_MAX);
	ck_assert_int_eq(adb_check(&a, &len), NFS4ERR_FBIG);
	a = adb_of(UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX);
	ck_assert_int_eq(adb_check(&a, &len), NFS4ERR_FBIG);
	a = adb_of(4096, 1, UINT64_MAX, UINT64_MAX);
	a.adb_offset = INT64_MAX - 4096;
	ck_assert_int_eq(adb_check(&a, &len), NFS4_OK);
	a.adb_offset++;
	ck_assert_int_eq(adb_check(&a, &len), NFS4ERR_FBIG);
	a.adb_offset = UINT64_MAX;
	ck_assert_int_eq(adb_check(&a, &len), NFS4ERR_FBIG);
}
END_TEST

/* Any piece of it is what it is in the whole. */
START_TEST(pieces)
{
	static uint8_t all[100 * 32], part[100 * 32];
	app_data_block4 a = adb_of(32, 100, 4, 20);
	adb_fill(&a, 0, all, sizeof all);
	for (unsigned i = 0; i < 100; i++) {
		const uint8_t *b = all + i * 32;
		static const uint8_t zero[32];
		ck_assert_mem_eq(b, zero, 4);
		ck_assert_mem_eq(b + 8, zero, 12);
		ck_assert_mem_eq(b + 20, "PATTERN", 7);
		ck_assert_mem_eq(b + 27, zero, 5);
		ck_assert(b[4] == 1 && b[5] == 2 && b[6] == 3 && b[7] == 4 + i);
	}
	for (unsigned from = 0; from < 70; from++)
		for (unsigned len = 1; len < 70; len++) {
			adb_fill(&a, from, part, len);
			ck_assert_mem_eq(part, all + from, len);
		}
	/* as large as they come */
	a = adb_of(1ull << 62, 1, UINT64_MAX, (1ull << 62) - 7);
	adb_fill(&a, (1ull << 62) - 10, part, 10);
	ck_assert_mem_eq(part, "\0\0\0PATTERN", 10);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("adb");
	TCase *tc = tcase_create("adb");
	tcase_add_test(tc, checks);
	tcase_add_test(tc, pieces);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
