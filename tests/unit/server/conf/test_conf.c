/* pnfs-mds.conf: what is understood, and what is said about the rest. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/conf/conf.h"

static struct mds_conf conf;
static char *error;

static int
parse(const char *text)
{
	free(error);
	return conf_parse(&conf, text, "F", &error);
}

START_TEST(defaults)
{
	ck_assert_int_eq(parse(""), 0);
	ck_assert_str_eq(conf.listen_host, "0.0.0.0");
	ck_assert_uint_eq(conf.listen_port, 2049);
	ck_assert_str_eq(conf.state_dir, "/var/lib/pnfs-mds");
	ck_assert_str_eq(conf.ctl, "/run/pnfs-mds/ctl");
	ck_assert_str_eq(conf.exports_file, "/etc/pnfs/exports");
	ck_assert_uint_eq(conf.lease, 90);
	ck_assert_uint_eq(conf.grace, 90);
	ck_assert_uint_eq(conf.recall_timeout, 90);
	ck_assert_uint_eq(conf.max_io_time, 30);
	ck_assert_uint_eq(conf.loops, 0);
	ck_assert_ptr_null(conf.devices);
	ck_assert_ptr_null(error);
	conf_free(&conf);
}
END_TEST

/* RFC 8881 12.5.5: one lease period, whatever that is. */
START_TEST(recall_timeout_follows_the_lease)
{
	ck_assert_int_eq(parse("[server]\nlease=17\n"), 0);
	ck_assert_uint_eq(conf.recall_timeout, 17);
	conf_free(&conf);
	ck_assert_int_eq(parse("[server]\nrecall_timeout=5\nlease=17\n"), 0);
	ck_assert_uint_eq(conf.recall_timeout, 5);
	conf_free(&conf);
}
END_TEST

START_TEST(everything)
{
	ck_assert_int_eq(parse("\xef\xbb\xbf# comment\r\n"
	    "[server]\r\n"
	    "listen = [::1]:20490 ; the loopback\n"
	    "  state_dir=/s\n\tctl: /c\n"
	    "exports=/e\nlease=1\ngrace=0\nrecall_timeout=3600\nmax_io_time=60\nloops=2\nworkers=8\nkeeper=no\n"
	    "[device lun-1]\npath=/dev/sdb\niscsi_url=iscsi://host:3260/iqn.2024-01.x:y/1\n"
	    "initiator_name=iqn.2024-01.x:mds\ndesignator=naa.6001405000000001\nallow_no_ptpl=yes\n"
	    "fence_command=/bin/fence --now\n"
	    "[device b]\npath=/dev/loop0"), 0);
	ck_assert_str_eq(conf.listen_host, "::1");
	ck_assert_uint_eq(conf.listen_port, 20490);
	ck_assert_str_eq(conf.state_dir, "/s");
	ck_assert_str_eq(conf.ctl, "/c");
	ck_assert_uint_eq(conf.lease, 1);
	ck_assert_uint_eq(conf.grace, 0);
	ck_assert_uint_eq(conf.recall_timeout, 3600);
	ck_assert_uint_eq(conf.max_io_time, 60);
	ck_assert_uint_eq(conf.loops, 2);
	ck_assert_uint_eq(conf.workers, 8);
	ck_assert(!conf.keeper);
	struct device_conf *d = conf_device(&conf, "lun-1");
	ck_assert_ptr_nonnull(d);
	ck_assert_str_eq(d->path, "/dev/sdb");
	ck_assert_str_eq(d->iscsi_url, "iscsi://host:3260/iqn.2024-01.x:y/1");
	ck_assert_str_eq(d->initiator_name, "iqn.2024-01.x:mds");
	ck_assert_str_eq(d->designator, "naa.6001405000000001");
	ck_assert_str_eq(d->fence_command, "/bin/fence --now");
	ck_assert(d->allow_no_ptpl);
	ck_assert_uint_eq(d->line, 14);
	ck_assert(!conf_device(&conf, "b")->allow_no_ptpl);
	ck_assert_ptr_null(conf_device(&conf, "c"));
	conf_free(&conf);
}
END_TEST

START_TEST(listen_forms)
{
	static const struct { const char *value, *host; unsigned port; } rows[] = {
		{ "127.0.0.1", "127.0.0.1", 2049 }, { "127.0.0.1:0", "127.0.0.1", 0 }, { ":111", "0.0.0.0", 111 },
		{ "a-host.example:65535", "a-host.example", 65535 }, { "[fe80::1%eth0]:1", "fe80::1%eth0", 1 },
		{ "[::]", "::", 2049 },
	};
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		char text[128];
		snprintf(text, sizeof text, "[server]\nlisten=%s\n", rows[i].value);
		ck_assert_int_eq(parse(text), 0);
		ck_assert_str_eq(conf.listen_host, rows[i].host);
		ck_assert_uint_eq(conf.listen_port, rows[i].port);
		conf_free(&conf);
	}
}
END_TEST

#define X50 "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

/* Each message has the line and the word. */
static const struct { const char *text, *where, *word; } bad[] = {
	{ "lease=3\n", "F:1:", "lease" },
	{ "[server]\nleese=3\n", "F:2:", "leese" },
	{ "[serve]\n", "F:1:", "[serve]" },
	{ "\n[serve]\nlease=3\n", "F:2:", "[serve]" },
	{ "[server\nlease=3\n", "F:1:", "[server" },
	{ "[server] lease=3\n", "F:1:", "lease=3" },
	{ "[server]\nlease\n", "F:2:", "name=value" },
	{ "[server]\nlease=\n", "F:2:", "lease" },
	{ "[server]\nlease=0\n", "F:2:", "'0'" },
	{ "[server]\nlease=3601\n", "F:2:", "'3601'" },
	{ "[server]\nlease=-1\n", "F:2:", "'-1'" },
	{ "[server]\nlease=1s\n", "F:2:", "'1s'" },
	{ "[server]\nlease=99999999999999999999999\n", "F:2:", "'99999999999999999999999'" },
	{ "[server]\ngrace=3601\n", "F:2:", "'3601'" },
	{ "[server]\nrecall_timeout=0\n", "F:2:", "'0'" },
	{ "[server]\nmax_io_time=0\n", "F:2:", "'0'" },
	{ "[server]\nloops=1025\n", "F:2:", "'1025'" },
	{ "[server]\n\n\nlease=3\nlease=3\n", "F:5:", "'lease'" },
	{ "[server]\nlease=3\n[server]\nlease=3\n", "F:4:", "'lease'" },
	{ "[server]\nlisten=::1:2049\n", "F:2:", "::1:2049" },
	{ "[server]\nlisten=[::1\n", "F:2:", "[::1" },
	{ "[server]\nlisten=[]:1\n", "F:2:", "[]:1" },
	{ "[server]\nlisten=h:65536\n", "F:2:", "65536" },
	{ "[server]\nlisten=h:\n", "F:2:", "''" },
	{ "[server]\nlisten=a b:1\n", "F:2:", "a b:1" },
	{ "[server]\nstate_dir=var\n", "F:2:", "'var'" },
	{ "[device]\n", "F:1:", "[device]" },
	{ "[device ]\n", "F:1:", "[device ]" },
	{ "[device a b]\n", "F:1:", "[device a b]" },
	{ "[device a]\n", "F:1:", "'a'" },
	{ "[device a]\npath=/d\n[device a]\npath=/d\n", "F:3:", "'a'" },
	{ "[device a]\npath=/d\npath=/d\n", "F:3:", "'path'" },
	{ "[device a]\npath=/d\nallow_no_ptpl=no\nallow_no_ptpl=no\n", "F:4:", "allow_no_ptpl" },
	{ "[device a]\npath=d\n", "F:2:", "'d'" },
	{ "[device a]\nlease=9\n", "F:2:", "'lease'" },
	{ "[device a]\nallow_no_ptpl=maybe\n", "F:2:", "'maybe'" },
	{ "[device a]\niscsi_url=iscsi:/h/i/1\n", "F:2:", "iscsi:/h/i/1" },
	{ "[device a]\niscsi_url=iscsi://h/i\n", "F:2:", "iscsi://h/i" },
	{ "[device a]\niscsi_url=iscsi://h/i/x\n", "F:2:", "iscsi://h/i/x" },
	{ "[device a]\ndesignator=naa.60\n", "F:2:", "naa.60" },
	{ "[device a]\ndesignator=uuid.6001405000000001\n", "F:2:", "uuid" },
	{ "[device a]\ndesignator=naa.600140500000000g\n", "F:2:", "naa" },
	{ "[server]\n" X50 "=1\n", "F:2:", "too long" },
	{ "[device " X50 "]\n", "F:1:", "too long" },
	{ "[server]\nctl=/" X50 X50 X50 X50 "\n", "F:2:", "too long" },
};

START_TEST(faults_are_named)
{
	ck_assert_int_eq(parse(bad[_i].text), -EINVAL);
	ck_assert_ptr_nonnull(error);
	ck_assert_msg(!strncmp(error, bad[_i].where, strlen(bad[_i].where)), "%s", error);
	ck_assert_msg(strstr(error, bad[_i].word) != NULL, "%s", error);
	ck_assert_ptr_null(conf.file);
}
END_TEST

START_TEST(files)
{
	char path[] = "/tmp/pnfs-conf-XXXXXX", want[64];
	ck_assert_int_eq(conf_read(&conf, "/nonexistent/conf", &error), -ENOENT);
	ck_assert_str_eq(error, "/nonexistent/conf: No such file or directory");
	free(error);
	int fd = mkstemp(path);
	ck_assert_int_eq(write(fd, "[server]\nlease=5\0\n", 18), 18);
	ck_assert_int_eq(conf_read(&conf, path, &error), -EINVAL);
	snprintf(want, sizeof want, "%s:2: ", path);
	ck_assert(!strncmp(error, want, strlen(want)));
	free(error);
	ck_assert_int_eq(ftruncate(fd, 16), 0);
	ck_assert_int_eq(conf_read(&conf, path, &error), 0);
	ck_assert_uint_eq(conf.lease, 5);
	ck_assert_str_eq(conf.file, path);
	conf_free(&conf);
	ck_assert_int_eq(ftruncate(fd, 2 << 20), 0);
	ck_assert_int_eq(conf_read(&conf, path, &error), -EINVAL);
	close(fd);
	unlink(path);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("conf");
	TCase *tc = tcase_create("conf");
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, defaults);
	tcase_add_test(tc, everything);
	tcase_add_test(tc, recall_timeout_follows_the_lease);
	tcase_add_test(tc, listen_forms);
	tcase_add_loop_test(tc, faults_are_named, 0, (int)(sizeof bad / sizeof *bad));
	tcase_add_test(tc, files);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	free(error);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
