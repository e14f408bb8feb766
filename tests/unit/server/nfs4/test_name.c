/* Names from the wire: server/nfs4/name.c. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/nfs4/name.h"

static nfsstat4
check_bytes(const char *s, uint32_t len)
{
	/* On the heap, exactly as long, so that ASan sees a byte read too many. */
	char *copy = malloc(len ? len : 1);
	memcpy(copy, s, len);
	nfsstat4 status = name_check(&(component4){ .utf8string_len = len, .utf8string_val = copy });
	free(copy);
	return status;
}

#define BYTES(s) check_bytes(s, sizeof s - 1)

START_TEST(good)
{
	ck_assert_int_eq(BYTES("a"), NFS4_OK);
	ck_assert_int_eq(BYTES("..."), NFS4_OK);
	ck_assert_int_eq(BYTES(".a"), NFS4_OK);
	ck_assert_int_eq(BYTES("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80"), NFS4_OK);
	ck_assert_int_eq(BYTES("\xed\x9f\xbf\xee\x80\x80"), NFS4_OK);	/* both sides of the surrogates */
	ck_assert_int_eq(BYTES("\xf4\x8f\xbf\xbd"), NFS4_OK);
}
END_TEST

START_TEST(special)
{
	ck_assert_int_eq(BYTES(""), NFS4ERR_INVAL);
	ck_assert_int_eq(BYTES("."), NFS4ERR_BADNAME);
	ck_assert_int_eq(BYTES(".."), NFS4ERR_BADNAME);
	ck_assert_int_eq(BYTES("a/b"), NFS4ERR_BADCHAR);
	ck_assert_int_eq(BYTES("/"), NFS4ERR_BADCHAR);
	ck_assert_int_eq(BYTES("a\0b"), NFS4ERR_BADCHAR);
}
END_TEST

START_TEST(length)
{
	char name[300];
	memset(name, 'x', sizeof name);
	ck_assert_int_eq(check_bytes(name, 255), NFS4_OK);
	ck_assert_int_eq(check_bytes(name, 256), NFS4ERR_NAMETOOLONG);
}
END_TEST

/* The strings pynfs calls invalid, and sequences cut short. */
START_TEST(bad_utf8)
{
	static const char *const bad[] = { "\xc0\xc1", "\xe0\x8a", "\xc0\xaf", "\xfc\x80\x80\x80\x80\xaf",
		"\xed\xa0\x80", "\xed\xbf\xbf", "\xef\xbf\xbe", "\xe3\xc0\xc0", "\xc0\x90", "\x80", "\xbf", "\xfe",
		"\xff", "\xc0 ", "\xdf ", "\xe0 ", "\xef ", "\xf0 ", "\xf7 ", "\xf8 ", "\xfb ", "\xfc ", "\xfd ",
		"\xf4\x90\x80\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "a\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xef\xbf\xbf",
		"\xf0\x9f\xbf\xbe" };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		ck_assert_msg(check_bytes(bad[i], strlen(bad[i])) == NFS4ERR_INVAL, "string %zu", i);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("name");
	TCase *tc = tcase_create("name");
	tcase_add_test(tc, good);
	tcase_add_test(tc, special);
	tcase_add_test(tc, length);
	tcase_add_test(tc, bad_utf8);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
