/* The keeper's side: what it keeps, who may speak to it, when it ends. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "server/keeper/keeper.h"
#include "server/keeper/serve.h"

static struct keeper_server server;
static struct keeper_message reply;
static int given;

static void
setup(void)
{
	server = (struct keeper_server){ .listen_fd = -1, .daemon_fd = -1, .signal_fd = -1, .break_fd = -1, .max = 3, .alone_ms = 100 };
}

static void
teardown(void)
{
	while (server.table.n)
		close(keeper_table_remove(&server.table, server.table.list[0]));
	keeper_table_free(&server.table);
}

static int
ask(uint16_t op, uint16_t kind, const char *key, uint32_t number, int fd)
{
	const struct keeper_message m = { .op = op, .kind = kind, .key = (const uint8_t *)key, .key_len = (uint32_t)strlen(key),
		.number = number, .blob = (const uint8_t *)"blob", .blob_len = op == KEEPER_ADD ? 4 : 0 };
	keeper_serve_message(&server, &m, fd, &reply, &given);
	ck_assert_uint_eq(reply.op, KEEPER_REPLY);
	return reply.status;
}

static int
add(uint16_t kind, const char *key)
{
	return ask(KEEPER_ADD, kind, key, 0, open("/dev/null", O_RDONLY | O_CLOEXEC));
}

static unsigned
open_fds(void)
{
	unsigned n = 0;
	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

START_TEST(kept)
{
	unsigned before = open_fds();
	ck_assert_int_eq(ask(KEEPER_ADD, KEEPER_LEASE, "none", 0, -1), -EBADF);
	ck_assert_int_eq(add(KEEPER_LEASE, "a"), 0);
	ck_assert_int_eq(add(KEEPER_LISTENER, "a"), 0);
	ck_assert_int_eq(add(77, "of another version"), 0);
	ck_assert_uint_eq(open_fds(), before + 3);
	/* full, but one that is there may be replaced */
	ck_assert_int_eq(add(KEEPER_LEASE, "b"), -ENFILE);
	ck_assert_int_eq(add(KEEPER_LEASE, "a"), 0);
	ck_assert_uint_eq(open_fds(), before + 3);
	ck_assert_uint_eq(keeper_table_count(&server.table, KEEPER_LEASE), 1);
	ck_assert_int_eq(ask(KEEPER_DEL, KEEPER_LEASE, "b", 0, -1), -ENOENT);
	ck_assert_int_eq(ask(KEEPER_DEL, 77, "of another version", 0, -1), 0);
	ck_assert_uint_eq(open_fds(), before + 2);
	/* a descriptor that nobody asked for does not stay */
	ck_assert_int_eq(ask(KEEPER_HELLO, 0, "", 0, open("/dev/null", O_RDONLY)), 0);
	ck_assert_uint_eq(reply.number, (unsigned)getpid());
	ck_assert_uint_eq(open_fds(), before + 2);
	/* all of them back */
	unsigned kinds = 0, n = 0;
	for (; ask(KEEPER_GET, 0, "", n, -1) == 0; n++) {
		ck_assert_int_ge(given, 0);
		kinds |= 1u << reply.kind;
		ck_assert(reply.key_len == 1 && reply.key[0] == 'a' && reply.blob_len == 4 && !memcmp(reply.blob, "blob", 4));
	}
	ck_assert_int_eq(reply.status, -ENOENT);
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_eq(kinds, 1u << KEEPER_LEASE | 1u << KEEPER_LISTENER);
	ck_assert_int_eq(ask(KEEPER_GET, 0, "", UINT32_MAX, -1), -ENOENT);
	/* it ends only with nothing */
	ck_assert_int_eq(ask(KEEPER_END, 0, "", 0, -1), -EBUSY);
	ck_assert_uint_eq(reply.number, 2);
	ck_assert(!server.end);
	ck_assert_int_eq(ask(KEEPER_REPLY, 0, "", 0, -1), -EINVAL);
	ck_assert_int_eq(ask(KEEPER_DEL, KEEPER_LEASE, "a", 0, -1), 0);
	ck_assert_int_eq(ask(KEEPER_DEL, KEEPER_LISTENER, "a", 0, -1), 0);
	ck_assert_int_eq(ask(KEEPER_END, 0, "", 0, -1), 0);
	ck_assert(server.end);
}
END_TEST

/* ---- with its loop ---- */

static struct sockaddr_un name;
static pthread_t thread;
static atomic_bool ended;

static void *
run(void *arg)
{
	(void)arg;
	keeper_serve(&server);
	atomic_store(&ended, true);
	return NULL;
}

static int
loop_start(void)
{
	int pair[2];
	name = (struct sockaddr_un){ .sun_family = AF_UNIX };
	snprintf(name.sun_path + 1, sizeof name.sun_path - 1, "pnfs-test-keeper-%d", getpid());
	server.listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(bind(server.listen_fd, (struct sockaddr *)&name, sizeof name), 0);
	ck_assert_int_eq(listen(server.listen_fd, 4), 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
	server.daemon_fd = pair[1];
	fcntl(pair[1], F_SETFL, O_NONBLOCK);
	server.max = 100;
	atomic_store(&ended, false);
	ck_assert_int_eq(pthread_create(&thread, NULL, run, NULL), 0);
	return pair[0];
}

static int
loop_connect(void)
{
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
	return fd;
}

static int
loop_ask(int sock, uint16_t op, uint16_t kind, const char *key, int give)
{
	static struct keeper_packet packet;
	const struct keeper_message m = { .op = op, .kind = kind, .key = (const uint8_t *)key, .key_len = (uint32_t)strlen(key) };
	keeper_message_send(sock, &m, give);
	int err = keeper_message_receive(sock, &packet, &reply, &given);
	return err ? err : reply.status;
}

static bool
loop_ends(unsigned ms)
{
	const struct timespec pause = { .tv_nsec = 10000000 };
	for (unsigned i = 0; i < ms / 10 && !atomic_load(&ended); i++)
		nanosleep(&pause, NULL);
	return atomic_load(&ended);
}

static void
loop_done(void)
{
	pthread_join(thread, NULL);
	close(server.listen_fd);
	if (server.daemon_fd >= 0)
		close(server.daemon_fd);
}

START_TEST(one_at_a_time)
{
	int null = open("/dev/null", O_RDONLY);
	int first = loop_start();
	ck_assert_int_eq(loop_ask(first, KEEPER_HELLO, 0, "", -1), 0);
	ck_assert_int_eq(loop_ask(first, KEEPER_ADD, KEEPER_LEASE, "f", null), 0);
	int second = loop_connect();
	ck_assert_int_eq(loop_ask(second, KEEPER_HELLO, 0, "", -1), -EBUSY);
	close(second);
	/* the first dies with something unread: it counts, and the next one has it */
	const struct keeper_message last = { .op = KEEPER_ADD, .kind = KEEPER_LEASE, .key = (const uint8_t *)"g", .key_len = 1 };
	ck_assert_int_eq(keeper_message_send(first, &last, null), 0);
	close(first);
	second = loop_connect();
	ck_assert_int_eq(loop_ask(second, KEEPER_HELLO, 0, "", -1), 0);
	for (unsigned i = 0; i < 2; i++) {
		const struct keeper_message get = { .op = KEEPER_GET, .number = i };
		struct keeper_packet packet;
		ck_assert_int_eq(keeper_message_send(second, &get, -1), 0);
		ck_assert_int_eq(keeper_message_receive(second, &packet, &reply, &given), 0);
		ck_assert_int_eq(reply.status, 0);
		ck_assert_int_ge(given, 0);
		ck_assert_uint_eq(reply.key[0], "fg"[i]);
		close(given);
	}
	/* rubbish ends the connection, and nothing else */
	ck_assert_int_eq(send(second, "rubbish", 7, 0), 7);
	ck_assert_int_eq(loop_ask(second, KEEPER_HELLO, 0, "", -1), -ECONNRESET);
	close(second);
	second = loop_connect();
	ck_assert_int_eq(loop_ask(second, KEEPER_HELLO, 0, "", -1), 0);
	ck_assert_int_eq(loop_ask(second, KEEPER_END, 0, "", -1), -EBUSY);
	ck_assert_int_eq(loop_ask(second, KEEPER_DEL, KEEPER_LEASE, "f", -1), 0);
	ck_assert_int_eq(loop_ask(second, KEEPER_DEL, KEEPER_LEASE, "g", -1), 0);
	ck_assert(!loop_ends(50));
	ck_assert_int_eq(loop_ask(second, KEEPER_END, 0, "", -1), 0);
	ck_assert(loop_ends(1000));
	loop_done();
	close(second);
	close(null);
}
END_TEST

START_TEST(ends_alone)
{
	int null = open("/dev/null", O_RDONLY);
	/* with nothing: at once */
	int sock = loop_start();
	ck_assert_int_eq(loop_ask(sock, KEEPER_HELLO, 0, "", -1), 0);
	close(sock);
	ck_assert(loop_ends(1000));
	loop_done();
	/* with a listening socket: when nobody has come; with a lease: never */
	sock = loop_start();
	ck_assert_int_eq(loop_ask(sock, KEEPER_ADD, KEEPER_LISTENER, "l", null), 0);
	close(sock);
	ck_assert(!loop_ends(60));
	ck_assert(loop_ends(3000));
	loop_done();
	sock = loop_start();
	ck_assert_int_eq(loop_ask(sock, KEEPER_ADD, KEEPER_LISTENER, "l", null), 0);
	ck_assert_int_eq(loop_ask(sock, KEEPER_ADD, KEEPER_LEASE, "f", null), 0);
	close(sock);
	ck_assert(!loop_ends(1500));
	sock = loop_connect();
	ck_assert_int_eq(loop_ask(sock, KEEPER_DEL, KEEPER_LISTENER, "l", -1), -ENOENT);
	ck_assert_int_eq(loop_ask(sock, KEEPER_DEL, KEEPER_LEASE, "f", -1), 0);
	close(sock);
	ck_assert(loop_ends(1000));
	loop_done();
	close(null);
}
END_TEST

/* fs.lease-break-time as a file of its own. */
START_TEST(break_time)
{
	char path[] = "/tmp/test-keeper-XXXXXX", text[8] = "";
	server.break_fd = mkstemp(path);
	ck_assert_int_ge(server.break_fd, 0);
	int null = open("/dev/null", O_RDONLY);
	int sock = loop_start();
	ck_assert_int_eq(loop_ask(sock, KEEPER_ADD, KEEPER_LEASE, "f", null), 0);
	ck_assert_int_eq(pwrite(server.break_fd, "45\n", 3, 0), 3);
	close(sock);
	ck_assert(!loop_ends(200));
	ck_assert_int_gt(pread(server.break_fd, text, 2, 0), 0);
	ck_assert_uint_eq(text[0], '0');
	ck_assert_uint_eq(text[1], '\n');
	sock = loop_connect();
	ck_assert_int_eq(loop_ask(sock, KEEPER_DEL, KEEPER_LEASE, "f", -1), 0);
	ck_assert_int_eq(pwrite(server.break_fd, "45\n", 3, 0), 3);
	close(sock);
	ck_assert(loop_ends(1000));
	ck_assert_int_gt(pread(server.break_fd, text, 2, 0), 0);
	ck_assert_uint_eq(text[0], '4');
	loop_done();
	close(server.break_fd);
	unlink(path);
	close(null);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("keeper serve");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, kept);
	tcase_add_test(t, one_at_a_time);
	tcase_add_test(t, ends_alone);
	tcase_add_test(t, break_time);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
