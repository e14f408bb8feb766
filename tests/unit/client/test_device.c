/*
 * Which of our devices a layout means (RFC 5663 2.2, RFC 8881 18.40), and what becomes of I/O when it is none, or stops being one.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/client/fixture.h"

static char buf[65536];
static const char *reason;

static int
note(const struct pnfs_fallback *fb, void *arg)
{
	(void)arg;
	reason = fb->reason;
	return 1;
}

static const char *
why(struct pnfs_file *f)
{
	reason = "";
	pnfs_fallbacks(f, note, NULL);
	return reason;
}

/* A device that is not there, or one without the signature: through the server, with the reason. */
START_TEST(none_of_ours)
{
	char path[] = "/var/tmp/test-device-XXXXXX";
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, 1 << 20), 0);
	const char *const devices[] = { _i ? path : "/nonexistent/device", NULL };
	fixture_start((struct pnfs_options){ .devices = devices });
	struct pnfs_file *f = fixture_open("a", O_RDONLY);
	ck_assert_int_eq(pnfs_pread(f, buf, 8192, 0), 8192);
	ck_assert_uint_eq(fake_count(&files, OP_READ), 1);
	ck_assert_str_eq(why(f), "no-device");
	/* Not looked for again with each read. */
	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(pnfs_pread(f, buf, 4096, 0), 4096);
	ck_assert_uint_eq(fake_count(&files, OP_GETDEVICEINFO), 1);
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
	close(fd);
	unlink(path);
}
END_TEST

/* Found among others by its signature, not by its name or place. */
START_TEST(among_others)
{
	char path[] = "/var/tmp/test-device-XXXXXX";
	int fd = mkstemp(path);
	ck_assert_int_eq(ftruncate(fd, FAKE_IMAGE), 0);
	ck_assert_int_eq(pwrite(fd, "the volume of fake_fil", 22, FAKE_SIGNATURE_AT), 22);	/* nearly */
	char link_path[64];
	snprintf(link_path, sizeof link_path, "%s.link", path);
	const char *const devices[] = { "/nonexistent/device", path, link_path, NULL };
	fixture_start((struct pnfs_options){ .devices = devices });
	ck_assert_int_eq(symlink(files.path, link_path), 0);
	struct pnfs_file *f = fixture_open("a", O_RDONLY);
	fake_poke(&files, 0, 0, "hello", 5);
	ck_assert_int_eq(pnfs_pread(f, buf, 4096, 0), 4096);
	ck_assert_mem_eq(buf, "hello", 5);
	ck_assert_uint_eq(fake_count(&files, OP_READ), 0);
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
	unlink(link_path);
	unlink(path);
	close(fd);
}
END_TEST

/* The server does not know the device it has named. */
START_TEST(unknown_to_the_server)
{
	fixture_start((struct pnfs_options){ 0 });
	atomic_store(&files.devid_gone, true);
	struct pnfs_file *f = fixture_open("a", O_RDONLY);
	ck_assert_int_eq(pnfs_pread(f, buf, 8192, 0), 8192);
	ck_assert_str_eq(why(f), "no-device");
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
}
END_TEST

/* A reservation conflict: layouts are committed and returned, the device is asked for anew; then on (RFC 8154 2.4.10.5). */
START_TEST(fenced)
{
	fixture_start((struct pnfs_options){ 0 });
	struct pnfs_file *f = fixture_open("a", O_RDWR);
	fixture_wrap(f);
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 0), 4096);
	atomic_store(&script.error, -EBADE);
	atomic_store(&script.only_writes, true);
	atomic_store(&script.fail, 1);
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 4096), 4096);
	ck_assert_uint_ge(fake_count(&files, OP_LAYOUTRETURN), 1);
	ck_assert_uint_eq(fake_count(&files, OP_GETDEVICEINFO), 2);
	ck_assert_uint_eq(fake_count(&files, OP_WRITE), 0);
	/* Again and again: it is given up, and the server does it. */
	atomic_store(&script.fail, 1000);
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 8192), 4096);
	ck_assert_uint_eq(fake_count(&files, OP_WRITE), 1);
	ck_assert_str_eq(why(f), "fenced");
	atomic_store(&script.fail, 0);
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
}
END_TEST

/* The target does not come back: the server does the I/O after a while, and says so. */
START_TEST(gone_for_good)
{
	fixture_start((struct pnfs_options){ 0 });
	struct pnfs_file *f = fixture_open("a", O_RDWR);
	fixture_wrap(f);
	atomic_store(&script.down, true);
	fixture_disconnect();
	double start = fixture_now();
	ck_assert_int_eq(pnfs_pread(f, buf, 4096, 8192), 4096);
	ck_assert_double_le(fixture_now() - start, 25.);
	ck_assert_uint_eq(fake_count(&files, OP_READ), 1);
	ck_assert_str_eq(why(f), "no-device");
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("device");
	TCase *t = tcase_create("device");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, none_of_ours, 0, 2);
	tcase_add_test(t, among_others);
	tcase_add_test(t, unknown_to_the_server);
	tcase_add_test(t, fenced);
	tcase_add_test(t, gone_for_good);
	suite_add_tcase(s, t);
	return fixture_main(s);
}
