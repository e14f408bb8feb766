/* A line that outlives its table: server/conf/exports_line.c. */
#include <arpa/inet.h>
#include <check.h>
#include <stdlib.h>

#include "server/conf/exports.h"

static const struct export_client *
match(const struct export_line *line, const char *addr)
{
	struct sockaddr_in sin = { .sin_family = AF_INET };
	ck_assert_int_eq(inet_pton(AF_INET, addr, &sin.sin_addr), 1);
	return exports_match(line, (const struct sockaddr *)&sin);
}

/* The copy answers as the original did, when that is gone. */
START_TEST(copy_matches)
{
	struct exports *exports;
	char *error = NULL;
	ck_assert_int_eq(exports_parse(&exports, "/srv/a 10.1.0.0/16(rw,anonuid=7) 10.1.2.3(ro) *(ro,all_squash)\n", "exports",
	    &error), 0);
	struct export_line *copy = exports_line_copy(exports->lines);
	ck_assert_ptr_nonnull(copy);
	exports_free(exports);
	ck_assert_str_eq(copy->path, "/srv/a");
	const struct export_client *net = match(copy, "10.1.9.9"), *host = match(copy, "10.1.2.3"), *any = match(copy, "9.9.9.9");
	ck_assert_ptr_nonnull(net);
	ck_assert_ptr_nonnull(host);
	ck_assert_ptr_nonnull(any);
	ck_assert(net->rw && net->anonuid == 7);
	ck_assert(!host->rw);
	ck_assert(any->all_squash);
	exports_line_free(copy);
}
END_TEST

START_TEST(nobody_else)
{
	struct exports *exports;
	char *error = NULL;
	ck_assert_int_eq(exports_parse(&exports, "/srv/a 10.1.2.3(rw)\n", "exports", &error), 0);
	struct export_line *copy = exports_line_copy(exports->lines);
	exports_free(exports);
	ck_assert_ptr_nonnull(match(copy, "10.1.2.3"));
	ck_assert_ptr_null(match(copy, "10.1.2.4"));
	exports_line_free(copy);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("exports_line");
	TCase *tc = tcase_create("exports_line");
	tcase_add_test(tc, copy_matches);
	tcase_add_test(tc, nobody_else);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
