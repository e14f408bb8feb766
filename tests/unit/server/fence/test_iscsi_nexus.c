/* Logging in to targets that do not behave; to one that does: integ/check_pr.c. */
#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/fence/iscsi_nexus.h"

/* A port that takes connections and says nothing. */
static int
silent_port(unsigned *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	ck_assert_int_eq(listen(fd, 16), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static int
open_at(unsigned port, uint32_t timeout_ms)
{
	struct nexus *nexus;
	char url[80], *error;
	snprintf(url, sizeof url, "iscsi://127.0.0.1:%u/iqn.2026-11.org.pnfs-block:test/1", port);
	int r = nexus_open(url, "iqn.2026-11.org.pnfs-block:mds", 0, timeout_ms, &nexus, &error);
	ck_assert_ptr_null(nexus);
	ck_assert_ptr_nonnull(error);
	free(error);
	return r;
}

/* A device out of reach is tried again for ever: nothing may be lost each time, which LeakSanitizer tells at the end. */
START_TEST(silent_target)
{
	unsigned port;
	int fd = silent_port(&port);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(open_at(port, 100), -ETIMEDOUT);
	close(fd);
	ck_assert_int_eq(open_at(port, 100), -ENOTCONN);
}
END_TEST

/* It hangs up in the middle of the login. */
START_TEST(target_that_hangs_up)
{
	unsigned port;
	int fd = silent_port(&port);
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (!pid) {
		char buf[48];
		int conn = accept(fd, NULL, NULL);
		_exit(read(conn, buf, sizeof buf) != sizeof buf);	/* the header of the Login Request */
	}
	int r = open_at(port, 1000);
	ck_assert(r == -ENOTCONN || r == -ETIMEDOUT);
	close(fd);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("iscsi_nexus");
	TCase *t = tcase_create("login");
	tcase_set_timeout(t, 30);
	tcase_add_test(t, silent_target);
	tcase_add_test(t, target_that_hangs_up);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
