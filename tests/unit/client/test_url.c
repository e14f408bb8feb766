/* Mount URLs and paths. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/url.h"

static struct url u;
static const char *why;

START_TEST(good)
{
	ck_assert_int_eq(url_parse("nfs://host/export/a", &u, &why), 0);
	ck_assert_str_eq(u.host, "host");
	ck_assert_str_eq(u.port, "2049");
	ck_assert_str_eq(u.path, "/export/a");
	ck_assert_int_eq(url_parse("nfs://[::1]:20490", &u, &why), 0);
	ck_assert_str_eq(u.host, "::1");
	ck_assert_str_eq(u.port, "20490");
	ck_assert_str_eq(u.path, "/");
	ck_assert_int_eq(url_parse("nfs://10.0.0.1:1/a%20b%2f%C3%A4", &u, &why), 0);
	ck_assert_str_eq(u.path, "/a b/\xc3\xa4");
	ck_assert_str_eq(u.sec, "");
	ck_assert_int_eq(url_parse("nfs://h/a%3fb?sec=krb5i", &u, &why), 0);
	ck_assert_str_eq(u.path, "/a?b");
	ck_assert_str_eq(u.sec, "krb5i");
	ck_assert_int_eq(url_parse("nfs://h/?sec=sys", &u, &why), 0);
	ck_assert_str_eq(u.path, "/");
}
END_TEST

static const char *const bad_urls[] = {
	"", "nfs:/h/p", "http://h/p", "nfs://", "nfs:///p", "nfs://h:/p", "nfs://h:0/p", "nfs://h:65536/p", "nfs://h:12a/p",
	"nfs://h:123456/p", "nfs://[::1/p", "nfs://[::1]x/p", "nfs://[]/p", "nfs://h/a%", "nfs://h/a%4", "nfs://h/a%zz",
	"nfs://h/a%00b", "nfs://h/a?x", "nfs://h/a#x", "nfs://h/a?sec=", "nfs://h/a?sec=krb5i12345",
	"nfs://h/a?", "nfs://h/a?secs=krb5", "nfs://h/a?se",
};

START_TEST(bad)
{
	why = NULL;
	ck_assert_int_eq(url_parse(bad_urls[_i], &u, &why), -EINVAL);
	ck_assert_ptr_nonnull(why);
}
END_TEST

START_TEST(too_long)
{
	char text[3000] = "nfs://h/";
	memset(text + 8, 'a', 2000);
	ck_assert_int_eq(url_parse(text, &u, &why), -EINVAL);
	strcpy(text, "nfs://");
	memset(text + 6, 'h', 300);
	strcpy(text + 306, "/p");
	ck_assert_int_eq(url_parse(text, &u, &why), -EINVAL);
}
END_TEST

static void
path_is(const char *base, const char *path, const char *want)
{
	struct path p;
	char got[512] = "";
	ck_assert_int_eq(path_parse(&p, base, path), 0);
	for (unsigned i = 0; i < p.n; i++) {
		strcat(got, "/");
		strcat(got, p.name[i]);
	}
	ck_assert_str_eq(got, want);
}

START_TEST(paths)
{
	struct path p;
	path_is("/e/x", "a/b", "/e/x/a/b");
	path_is("/e/x/", "/a//b/", "/a/b");
	path_is("/e", "", "/e");
	path_is("/e", ".", "/e");
	path_is("/e", "./a/../b/.", "/e/b");
	path_is("/e", "../../../q", "/q");
	path_is("/", "...", "/...");
	char deep[400] = "";
	for (unsigned i = 0; i < 65; i++)
		strcat(deep, "a/");
	ck_assert_int_eq(path_parse(&p, "", deep), -ENAMETOOLONG);
	memset(deep, 'n', 256);
	deep[256] = 0;
	ck_assert_int_eq(path_parse(&p, "", deep), -ENAMETOOLONG);
	deep[255] = 0;
	ck_assert_int_eq(path_parse(&p, "", deep), 0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("url");
	TCase *t = tcase_create("all");
	tcase_add_test(t, good);
	tcase_add_loop_test(t, bad, 0, (int)(sizeof bad_urls / sizeof *bad_urls));
	tcase_add_test(t, too_long);
	tcase_add_test(t, paths);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
