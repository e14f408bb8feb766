/* exports(5): lines good and bad, options, who matches. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/conf/exports.h"

static struct exports *table;
static char *error;

static int
parse(const char *text)
{
	free(error);
	return exports_parse(&table, text, "F", &error);
}

static void
parse_ok(const char *text)
{
	int err = parse(text);
	ck_assert_msg(err == 0, "%s", error);
}

static const struct export_client *
match(const struct export_line *line, const char *addr)
{
	struct sockaddr_in in = { .sin_family = AF_INET };
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6 };
	if (inet_pton(AF_INET, addr, &in.sin_addr) == 1)
		return exports_match(line, (struct sockaddr *)&in);
	ck_assert_int_eq(inet_pton(AF_INET6, addr, &in6.sin6_addr), 1);
	return exports_match(line, (struct sockaddr *)&in6);
}

START_TEST(defaults)
{
	parse_ok("/srv *\n");
	const struct export_line *l = table->lines;
	ck_assert_str_eq(l->path, "/srv");
	ck_assert_uint_eq(l->line, 1);
	ck_assert(l->pnfs && !l->delegations && !l->fsid_root && !l->fsid && !l->provider && !l->device);
	ck_assert_uint_eq(l->layout_type, 3);
	const struct export_client *c = l->clients;
	ck_assert(!c->rw && c->root_squash && !c->all_squash && c->insecure);
	ck_assert_uint_eq(c->anonuid, 65534);
	ck_assert_uint_eq(c->anongid, 65534);
	ck_assert_ptr_null(l->next);
	exports_free(table);
	parse_ok("");
	ck_assert_ptr_null(table->lines);
	exports_free(table);
	parse_ok("# nothing\n\n   \t\n\\\n\n");
	ck_assert_ptr_null(table->lines);
	exports_free(table);
}
END_TEST

/* In the order of the file, which SECINFO tells. */
START_TEST(flavors)
{
	parse_ok("/a *(rw)\n/b *(sec=krb5p:krb5i:sys:krb5) 10.0.0.1(sec=krb5)\n");
	const struct export_client *a = table->lines->clients, *b = table->lines->next->clients;
	ck_assert(a->sec == EXPORT_SEC_SYS && a->nsec == 1 && a->sec_list[0] == 0);
	ck_assert_uint_eq(b->sec, EXPORT_SEC_SYS | EXPORT_SEC_KRB5 | EXPORT_SEC_KRB5I | EXPORT_SEC_KRB5P);
	ck_assert(b->nsec == 4 && b->sec_list[0] == 3 && b->sec_list[1] == 2 && b->sec_list[2] == 0 && b->sec_list[3] == 1);
	ck_assert(b->next->sec == EXPORT_SEC_KRB5 && b->next->nsec == 1);
	exports_free(table);
}
END_TEST

START_TEST(every_option)
{
	parse_ok("/a *(rw,no_root_squash,secure,anonuid=0,anongid=4294967294,fsid=root,layouts=scsi,provider=plain,"
	    "device=lun-1,sec=sys,sync,no_subtree_check)\n"
	    "/b *(ro,root_squash,all_squash,insecure,no_pnfs,delegations,fsid=17,async)\n"
	    "/c *(rw,no_all_squash,pnfs,fsid=6ba7b810-9dad-11d1-80b4-00c04fd430c8,layouts=block,provider=kernel)\n");
	const struct export_line *a = table->lines, *b = a->next, *c = b->next;
	ck_assert(a->clients->rw && !a->clients->root_squash && !a->clients->insecure && a->fsid_root);
	ck_assert_uint_eq(a->clients->anonuid, 0);
	ck_assert_uint_eq(a->clients->anongid, 4294967294u);
	ck_assert_uint_eq(a->layout_type, 5);
	ck_assert_str_eq(a->provider, "plain");
	ck_assert_str_eq(a->device, "lun-1");
	ck_assert(!b->clients->rw && b->clients->root_squash && b->clients->all_squash && !b->pnfs && b->delegations);
	ck_assert_str_eq(b->fsid, "17");
	ck_assert(c->pnfs && !c->clients->all_squash);
	ck_assert_str_eq(c->provider, "kernel");
	exports_free(table);
}
END_TEST

START_TEST(syntax)
{
	parse_ok("\"/a b\" -rw,all_squash \\\n  h1.example h2(ro,no_all_squash) \\\n 10.0.0.0/8() # comment h3\n"
	    "/c\\040d/\\056hid#e//\t*(rw)\r\n"
	    "/\\342\\202\\254 *\n"
	    "\"/a b\" h4(rw)\n"
	    "/last *(rw)");
	const struct export_line *l = table->lines;
	ck_assert_str_eq(l->path, "/a b");
	const struct export_client *c = l->clients;
	ck_assert_str_eq(c->spec, "h1.example");
	ck_assert(c->rw && c->all_squash);
	c = c->next;
	ck_assert_str_eq(c->spec, "h2");
	ck_assert(!c->rw && !c->all_squash);
	c = c->next;
	ck_assert_str_eq(c->spec, "10.0.0.0/8");
	ck_assert(c->rw && c->all_squash);
	c = c->next;
	ck_assert_str_eq(c->spec, "h4");	/* of the second line of that path, without the first's defaults */
	ck_assert(c->rw && !c->all_squash);
	ck_assert_ptr_null(c->next);
	l = l->next;
	ck_assert_str_eq(l->path, "/c d/.hid#e");
	ck_assert_uint_eq(l->line, 4);
	l = l->next;
	ck_assert_str_eq(l->path, "/\xe2\x82\xac");
	l = l->next;
	ck_assert_str_eq(l->path, "/last");
	ck_assert_ptr_null(l->next);
	exports_free(table);
}
END_TEST

START_TEST(host_before_subnet_before_wildcard)
{
	parse_ok("/a *(anonuid=1) 10.0.0.0/8(anonuid=2) 10.1.0.0/255.255.0.0(anonuid=3) 10.1.1.1(anonuid=4) "
	    "fd00::/8(anonuid=5) fd00::1(anonuid=6) 192.168.1.77/25(anonuid=7) 0.0.0.0/0(anonuid=8)\n");
	static const struct { const char *addr; unsigned anon; } rows[] = {
		{ "10.1.1.1", 4 }, { "10.1.1.2", 2 }, { "10.255.0.1", 2 }, { "fd00::1", 6 }, { "fd00::2", 5 }, { "fe80::1", 1 },
		{ "::ffff:10.1.1.1", 4 }, { "::ffff:10.9.9.9", 2 }, { "192.168.1.0", 7 }, { "192.168.1.127", 7 },
		{ "192.168.1.128", 8 }, { "11.0.0.1", 8 }, { "::1", 1 },
	};
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct export_client *c = match(table->lines, rows[i].addr);
		ck_assert_ptr_nonnull(c);
		ck_assert_msg(c->anonuid == rows[i].anon, "%s: %u", rows[i].addr, c->anonuid);
	}
	exports_free(table);
	parse_ok("/a 10.0.0.0/8 ::1\n");
	ck_assert_ptr_null(match(table->lines, "11.0.0.1"));
	ck_assert_ptr_null(match(table->lines, "::2"));
	ck_assert_ptr_nonnull(match(table->lines, "::1"));
	struct sockaddr un = { .sa_family = AF_UNIX };
	ck_assert_ptr_null(exports_match(table->lines, &un));
	exports_free(table);
}
END_TEST

static void
read_text(const char *text)
{
	char path[] = "/tmp/pnfs-exports-XXXXXX";
	int fd = mkstemp(path);
	ck_assert_int_eq(write(fd, text, strlen(text)), (int)strlen(text));
	close(fd);
	free(error);
	int err = exports_read(&table, path, &error);
	unlink(path);
	ck_assert_msg(!err, "%s", error);
}

/* localhost stands in every /etc/hosts; the other name nowhere (RFC 6761 6.4). */
START_TEST(names_are_resolved_when_read)
{
	read_text("/a localhost(anonuid=1) no-such-host.invalid(anonuid=2)\n/b local*t(anonuid=3)\n");
	const struct export_client *c = match(table->lines, "127.0.0.1");
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->anonuid, 1);
	ck_assert_ptr_null(match(table->lines, "127.9.9.9"));
	c = match(table->lines->next, "127.0.0.1");
	ck_assert_ptr_nonnull(c);
	ck_assert_uint_eq(c->anonuid, 3);
	exports_free(table);
}
END_TEST

static const struct { const char *text, *where, *word; } bad[] = {
	{ "/a *(rw,no_rot_squash)\n", "F:1:", "no_rot_squash" },
	{ "\n# x\n/a *(rw) \\\n  h(rv)\n", "F:4:", "rv" },
	{ "/a -rv *\n", "F:1:", "rv" },
	{ "a *(rw)\n", "F:1:", "'a'" },
	{ "/a/../b *(rw)\n", "F:1:", "/a/../b" },
	{ "/./b *(rw)\n", "F:1:", "/./b" },
	{ "/a\n", "F:1:", "/a" },
	{ "/a -rw\n", "F:1:", "/a" },
	{ "/a host (rw)\n", "F:1:", "(rw)" },
	{ "/a (rw)\n", "F:1:", "(rw)" },
	{ "/a *(rw\n", "F:1:", "*(rw" },
	{ "/a *(rw))(\n", "F:1:", "*(rw))(" },
	{ "/a *(rw)x\n", "F:1:", "*(rw)x" },
	{ "\"/a *(rw)\n", "F:1:", "quote" },
	{ "/a \"\" *\n", "F:1:", "empty" },
	{ "/a\\000b *\n", "F:1:", "NUL" },
	{ "/a *(rw) *(ro)\n", "F:1:", "'*'" },
	{ "/a *(rw)\n/a *(ro)\n", "F:2:", "'*'" },
	{ "/a *(sec=krb6)\n", "F:1:", "sec=krb6" },
	{ "/a *(sec=)\n", "F:1:", "sec=" },
	{ "/a *(sec=sys:)\n", "F:1:", "sec=sys:" },
	{ "/a *(sec=krb5:sys:krb5)\n", "F:1:", "twice" },
	{ "/a *(sec=sys,rw,sec=krb5,ro)\n", "F:1:", "given twice" },
	{ "/a *(crossmnt)\n", "F:1:", "crossmnt" },
	{ "/a *(nohide)\n", "F:1:", "nohide" },
	{ "/a *(anonuid=-1)\n", "F:1:", "anonuid=-1" },
	{ "/a *(anonuid=4294967295)\n", "F:1:", "anonuid=4294967295" },
	{ "/a *(anongid=)\n", "F:1:", "anongid=" },
	{ "/a *(fsid=x)\n", "F:1:", "fsid=x" },
	{ "/a *(fsid=)\n", "F:1:", "fsid=" },
	{ "/a *(layouts=files)\n", "F:1:", "layouts=files" },
	{ "/a *(provider=zfs)\n", "F:1:", "provider=zfs" },
	{ "/a h1(layouts=scsi) h2(layouts=block)\n", "F:1:", "layouts=block" },
	{ "/a h1(pnfs)\n/a h2(no_pnfs)\n", "F:2:", "no_pnfs" },
	{ "/a h1(delegations)\n/a h2(no_delegations)\n", "F:2:", "no_delegations" },
	{ "/a h1(device=a,device=b)\n", "F:1:", "device=b" },
	{ "/a *(fsid=0)\n/b *(fsid=root)\n", "F:2:", "/b" },
	{ "/a @group(rw)\n", "F:1:", "@group" },
	{ "/a gss/krb5(rw)\n", "F:1:", "gss/krb5" },
	{ "/a 10.0.0.0/33(rw)\n", "F:1:", "10.0.0.0/33" },
	{ "/a 10.0.0.0/255.0.255.0(rw)\n", "F:1:", "10.0.0.0/255.0.255.0" },
	{ "/a fd00::/129(rw)\n", "F:1:", "fd00::/129" },
	{ "/a host/8(rw)\n", "F:1:", "host/8" },
	{ "/a ho$t(rw)\n", "F:1:", "ho$t" },
	{ "/a *(an_option_that_is_quite_long=1)\n", "F:1:", "an_option_that_is_quite_long=1" },
};

START_TEST(faults_are_named)
{
	ck_assert_int_eq(parse(bad[_i].text), -EINVAL);
	ck_assert_ptr_nonnull(error);
	ck_assert_msg(!strncmp(error, bad[_i].where, strlen(bad[_i].where)), "%s", error);
	ck_assert_msg(strstr(error, bad[_i].word) != NULL, "%s", error);
}
END_TEST

START_TEST(long_words_are_refused)
{
	char text[6000];
	memset(text, 'x', sizeof text);
	text[0] = '/';
	memcpy(text + 5000, " *(rw)\n", 8);
	ck_assert_int_eq(parse(text), -EINVAL);
	ck_assert_ptr_nonnull(strstr(error, "too long"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("exports");
	TCase *tc = tcase_create("exports");
	tcase_set_timeout(tc, 20);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, defaults);
#ifdef HAVE_GSS
	tcase_add_test(tc, flavors);
#endif
	tcase_add_test(tc, every_option);
	tcase_add_test(tc, syntax);
	tcase_add_test(tc, host_before_subnet_before_wildcard);
	tcase_add_test(tc, names_are_resolved_when_read);
	tcase_add_loop_test(tc, faults_are_named, 0, (int)(sizeof bad / sizeof *bad));
	tcase_add_test(tc, long_words_are_refused);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	free(error);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
