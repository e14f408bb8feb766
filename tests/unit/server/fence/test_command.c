/* The fencing command: environment, exit status, time limit (INTERFACES: "Fencing command"). */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "server/fence/fence.h"

static char file[] = "/tmp/pnfs-command.XXXXXX";

static const char *
written(void)
{
	static char text[1024];
	int fd = open(file, O_RDONLY);
	ssize_t n = read(fd, text, sizeof text - 1);
	close(fd);
	text[n > 0 ? n : 0] = 0;
	return text;
}

START_TEST(environment)
{
	/* A name that a shell would run if it got into the command. */
	struct fence_env env = { .client = "a b'; touch /tmp/pnfs-injected; '$(id)", .addr = "10.0.0.7", .iqn = "iqn.x",
		.device = "lun", .key = 0xabc };
	char command[256];
	setenv("PNFS_FENCE_CLIENT", "stale", 1);
	snprintf(command, sizeof command, "printf '%%s|%%s|%%s|%%s|%%s' \"$PNFS_FENCE_CLIENT\" \"$PNFS_FENCE_ADDR\" "
	    "\"$PNFS_FENCE_IQN\" \"$PNFS_FENCE_DEVICE\" \"$PNFS_FENCE_KEY\" >%s", file);
	ck_assert_int_eq(fence_command_run(command, &env, 5000), 0);
	ck_assert_str_eq(written(), "a b'; touch /tmp/pnfs-injected; '$(id)|10.0.0.7|iqn.x|lun|0x0000000000000abc");
	ck_assert_int_ne(access("/tmp/pnfs-injected", F_OK), 0);
}
END_TEST

START_TEST(no_values)
{
	struct fence_env env = { 0 };
	char command[128];
	snprintf(command, sizeof command, "echo \"<$PNFS_FENCE_CLIENT><$PNFS_FENCE_KEY>\" >%s", file);
	ck_assert_int_eq(fence_command_run(command, &env, 5000), 0);
	ck_assert_str_eq(written(), "<><>\n");
}
END_TEST

START_TEST(statuses)
{
	struct fence_env env = { 0 };
	ck_assert_int_eq(fence_command_run("true", &env, 5000), 0);
	ck_assert_int_eq(fence_command_run("exit 3", &env, 5000), -EIO);
	ck_assert_int_eq(fence_command_run("kill -9 $$", &env, 5000), -EIO);
	ck_assert_int_eq(fence_command_run("/no/such/program", &env, 5000), -EIO);
}
END_TEST

/* It and what it started are killed; none of our descriptors was open there. */
START_TEST(timeout)
{
	struct fence_env env = { 0 };
	struct timespec a, b;
	char command[128];
	snprintf(command, sizeof command, "sleep 30 & echo $! >%s; wait", file);
	clock_gettime(CLOCK_MONOTONIC, &a);
	ck_assert_int_eq(fence_command_run(command, &env, 300), -ETIMEDOUT);
	clock_gettime(CLOCK_MONOTONIC, &b);
	ck_assert_int_lt(b.tv_sec - a.tv_sec, 5);
	pid_t child = atoi(written());
	ck_assert_int_gt(child, 1);
	for (unsigned i = 0; i < 100 && kill(child, 0) == 0; i++)
		usleep(10000);
	/* Dead, or a zombie that nobody has reaped yet. */
	char path[64], state[256] = "";
	snprintf(path, sizeof path, "/proc/%d/stat", child);
	int fd = open(path, O_RDONLY);
	if (fd >= 0) {
		ck_assert_int_gt(read(fd, state, sizeof state - 1), 0);
		close(fd);
		ck_assert_ptr_nonnull(strstr(state, ") Z "));
	}
}
END_TEST

START_TEST(descriptors)
{
	struct fence_env env = { 0 };
	char command[128];
	int fd = dup(0);
	ck_assert_int_ge(fd, 3);
	snprintf(command, sizeof command, "test ! -e /proc/self/fd/%d", fd);
	ck_assert_int_eq(fence_command_run(command, &env, 5000), 0);
	close(fd);
}
END_TEST

int
main(void)
{
	close(mkstemp(file));
	Suite *s = suite_create("command");
	TCase *t = tcase_create("run");
	tcase_set_timeout(t, 30);
	tcase_add_test(t, environment);
	tcase_add_test(t, no_values);
	tcase_add_test(t, statuses);
	tcase_add_test(t, timeout);
	tcase_add_test(t, descriptors);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	unlink(file);
	return failed != 0;
}
