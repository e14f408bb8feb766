/* A connection: calls both ways, timeouts, rejects, back-pressure, bad bytes. */
#include "peer_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>

START_TEST(call_and_reply)
{
	struct side a, b;
	struct waiter w = { .status = 1 };
	sem_init(&w.done, 0, 0);
	pair_open(&a, &b);
	rpc_peer_call(a.peer, call_out("abcdefgh", 8), 5000, waiter_done, &w);
	sem_wait_for(&w.done, 10);
	ck_assert_int_eq(w.status, 0);
	ck_assert_uint_eq(w.len, 8);
	ck_assert_mem_eq(w.body, "abcdefgh", 8);
	side_end(&a);
	sem_wait_for(&b.closed, 10);
	ck_assert_int_eq(b.err, 0);
	sem_post(&b.closed);
	side_end(&b);
	ck_assert_uint_eq(w.count, 1);
}
END_TEST

/* ---- both directions at once (PITFALLS C13) ---- */

struct burst {
	struct side *side;
	unsigned to_send, under_way, ok, bad;
	sem_t done;
};

static void
burst_done(struct rpc_peer *peer, void *arg, int status, uint8_t *body, uint32_t len,
    struct rpc_rec *rec)
{
	struct burst *burst = arg;
	(void)rec;
	if (status == 0 && len == 40 && body[0] == 'x' && body[39] == 'x')
		burst->ok++;
	else
		burst->bad++;
	burst->under_way--;
	if (burst->to_send) {
		char args[40];
		memset(args, 'x', sizeof args);
		burst->to_send--;
		burst->under_way++;
		rpc_peer_call(peer, call_out(args, sizeof args), 20000, burst_done, burst);
	} else if (burst->under_way == 0) {
		sem_post(&burst->done);
	}
}

static void
burst_start(void *arg)
{
	struct burst *burst = arg;
	char args[40];
	memset(args, 'x', sizeof args);
	for (int i = 0; i < 16; i++) {
		burst->to_send--;
		burst->under_way++;
		rpc_peer_call(burst->side->peer, call_out(args, sizeof args), 20000, burst_done, burst);
	}
}

START_TEST(both_directions)
{
	struct side a, b;
	pair_open(&a, &b);
	struct burst fwd = { .side = &a, .to_send = 20000 };
	struct burst back = { .side = &b, .to_send = 1000 };	/* the callbacks */
	sem_init(&fwd.done, 0, 0);
	sem_init(&back.done, 0, 0);
	loop_call(a.loop, burst_start, &fwd);
	loop_call(b.loop, burst_start, &back);
	sem_wait_for(&fwd.done, 60);
	sem_wait_for(&back.done, 60);
	ck_assert_uint_eq(fwd.ok, 20000);
	ck_assert_uint_eq(back.ok, 1000);
	ck_assert_uint_eq(fwd.bad + back.bad, 0);
	ck_assert_uint_eq(atomic_load(&b.calls), 20000);
	ck_assert_uint_eq(atomic_load(&a.calls), 1000);
	struct rpc_peer_stats stats;
	rpc_peer_stats(a.peer, &stats);
	ck_assert_uint_eq(stats.tx_records, 21000);
	ck_assert_uint_eq(stats.rx_records, 21000);
	ck_assert_uint_lt(stats.writevs, 21000);	/* batched */
	side_end(&a);
	side_end(&b);
}
END_TEST

static void
never_answer(struct side *side, struct rpc_call *call)
{
	(void)side;
	(void)call;
}

START_TEST(timeout_and_close)
{
	struct side a, b;
	struct waiter soon = { 0 }, never = { 0 }, after = { 0 };
	sem_init(&soon.done, 0, 0);
	sem_init(&never.done, 0, 0);
	sem_init(&after.done, 0, 0);
	pair_open(&a, &b);
	b.on_call = never_answer;
	rpc_peer_call(a.peer, call_out("12345678", 8), 0, waiter_done, &never);
	rpc_peer_call(a.peer, call_out("12345678", 8), 50, waiter_done, &soon);
	sem_wait_for(&soon.done, 10);
	ck_assert_int_eq(soon.status, -ETIMEDOUT);
	side_end(&b);		/* the other side goes */
	sem_wait_for(&never.done, 10);
	ck_assert_int_eq(never.status, -ECONNRESET);
	sem_wait_for(&a.closed, 10);
	rpc_peer_call(a.peer, call_out("12345678", 8), 0, waiter_done, &after);
	sem_wait_for(&after.done, 10);
	ck_assert_int_eq(after.status, -ECONNRESET);
	sem_post(&a.closed);
	side_end(&a);
	ck_assert_uint_eq(soon.count + never.count + after.count, 3);
}
END_TEST

/* ---- large records, fragments ---- */

static uint32_t
be(uint32_t v)
{
	return htonl(v);
}

/* A CALL with AUTH_NONE: 40 bytes. */
static void
raw_call(uint32_t w[10], uint32_t xid)
{
	const uint32_t words[10] = { xid, 0, 2, 100003, 4, 1, 0, 0, 0, 0 };
	for (int i = 0; i < 10; i++)
		w[i] = be(words[i]);
}

static uint8_t *
big_call(uint32_t args, uint32_t *len)
{
	*len = 40 + args;
	uint8_t *buf = malloc(*len);
	raw_call((uint32_t *)(void *)buf, 77);
	for (uint32_t i = 0; i < args; i++)
		buf[40 + i] = (uint8_t)(i * 7);
	return buf;
}

static void
check_echo(int fd, uint32_t args)
{
	uint32_t mark, head[6];
	raw_read(fd, &mark, 4);
	ck_assert_uint_eq(ntohl(mark), 0x80000000u + 24 + args);
	raw_read(fd, head, 24);
	ck_assert_uint_eq(ntohl(head[0]), 77);
	uint8_t *buf = malloc(args + 1);
	raw_read(fd, buf, args);
	for (uint32_t i = 0; i < args; i++)
		ck_assert_uint_eq(buf[i], (uint8_t)(i * 7));
	free(buf);
}

/* Sizes round every border of the receiver: whole, and in fragments of STEP. */
START_TEST(large_and_fragments)
{
	static const uint32_t args[] = { 0, 4, 1000, 32 * 1024 - 40, 32 * 1024, 65536 - 44,
		65536 - 40, 65536, 100000, 1 << 20 };
	static const uint32_t steps[] = { UINT32_MAX, 70000, 4096, 333 };
	struct side a;
	int fd = raw_open(&a);
	for (unsigned i = 0; i < sizeof args / sizeof *args; i++)
		for (unsigned s = 0; s < sizeof steps / sizeof *steps; s++) {
			uint32_t len;
			uint8_t *buf = big_call(args[i], &len);
			for (uint32_t off = 0; off < len;) {
				uint32_t n = len - off < steps[s] ? len - off : steps[s];
				uint32_t mark = be(n | (off + n == len ? 0x80000000u : 0));
				raw_write(fd, &mark, 4);
				raw_write(fd, buf + off, n);
				off += n;
			}
			check_echo(fd, args[i]);
			free(buf);
		}
	side_end(&a);
	close(fd);
}
END_TEST

START_TEST(byte_by_byte)
{
	struct side a;
	int fd = raw_open(&a);
	uint32_t len, mark, zero = 0;
	uint8_t *buf = big_call(100, &len);
	mark = be(len | 0x80000000u);
	raw_write(fd, &zero, 4);	/* an empty fragment first */
	for (unsigned i = 0; i < 4; i++)
		raw_write(fd, (uint8_t *)&mark + i, 1);
	for (unsigned i = 0; i < len; i++)
		raw_write(fd, buf + i, 1);
	check_echo(fd, 100);
	free(buf);
	side_end(&a);
	close(fd);
}
END_TEST

static void
expect_close(const void *bytes, size_t len, int err)
{
	struct side a;
	int fd = raw_open(&a);
	raw_write(fd, bytes, len);
	sem_wait_for(&a.closed, 10);
	ck_assert_int_eq(a.err, err);
	sem_post(&a.closed);
	side_end(&a);
	close(fd);
}

START_TEST(bad_bytes)
{
	uint32_t w[64];
	memset(w, 0xff, sizeof w);
	expect_close(w, sizeof w, -EMSGSIZE);
	expect_close("GET / HTTP/1.0\r\n\r\n", 18, -EMSGSIZE);
	w[0] = be(0x80000000u);			/* an empty record */
	expect_close(w, 4, -EBADMSG);
	memset(w, 0, sizeof w);			/* fragments of no length without end */
	expect_close(w, sizeof w, -EBADMSG);
	w[0] = be(0x80000000u + 12), w[1] = be(1), w[2] = be(2), w[3] = be(2);	/* neither call nor reply */
	expect_close(w, 16, -EBADMSG);
	w[0] = be(0x80000000u + 16), w[2] = be(0), w[3] = be(2), w[4] = be(100003);	/* ends in its header */
	expect_close(w, 20, -EBADMSG);
	/* fragments which pass the bound only together */
	uint32_t half = RPC_MAX_RECORD / 2;
	uint8_t *buf = calloc(1, RPC_MAX_RECORD + 64);
	uint32_t mark = be(half);
	memcpy(buf, &mark, 4);
	memcpy(buf + 4 + half, &mark, 4);
	mark = be(0x80000000u + 4);
	memcpy(buf + 8 + 2 * half, &mark, 4);
	expect_close(buf, 16 + 2 * half, -EMSGSIZE);
	free(buf);
}
END_TEST

static void
expect_reply(int fd, const uint32_t *call, unsigned nwords, const uint32_t *reply, unsigned nreply)
{
	uint32_t mark = be(0x80000000u | nwords * 4), w;
	raw_write(fd, &mark, 4);
	for (unsigned i = 0; i < nwords; i++) {
		w = be(call[i]);
		raw_write(fd, &w, 4);
	}
	raw_read(fd, &w, 4);
	ck_assert_uint_eq(ntohl(w), 0x80000000u | nreply * 4);
	for (unsigned i = 0; i < nreply; i++) {
		raw_read(fd, &w, 4);
		ck_assert_msg(ntohl(w) == reply[i], "word %u is %u", i, ntohl(w));
	}
}

#define WORDS(...) (const uint32_t[]){ __VA_ARGS__ }, sizeof((const uint32_t[]){ __VA_ARGS__ }) / 4

START_TEST(rejects)
{
	struct side a;
	int fd = raw_open(&a);
	/* RFC 5531 9: RPC_MISMATCH 2..2 */
	expect_reply(fd, WORDS(5, 0, 3, 100003, 4, 1, 0, 0, 0, 0), WORDS(5, 1, 1, 0, 2, 2));
	/* unknown flavor, short AUTH_SYS, 17 groups, bytes left over, body of more than 400: AUTH_BADCRED (1) */
	expect_reply(fd, WORDS(6, 0, 2, 100003, 4, 1, 6, 0, 0, 0), WORDS(6, 1, 1, 1, 1));
	expect_reply(fd, WORDS(7, 0, 2, 100003, 4, 1, 1, 4, 9, 0, 0), WORDS(7, 1, 1, 1, 1));
	expect_reply(fd, WORDS(8, 0, 2, 100003, 4, 1, 1, 88, 9, 0, 1, 1, 17, 1, 2, 3, 4, 5, 6, 7, 8, 9,
	    10, 11, 12, 13, 14, 15, 16, 17, 0, 0), WORDS(8, 1, 1, 1, 1));
	expect_reply(fd, WORDS(9, 0, 2, 100003, 4, 1, 1, 24, 9, 0, 1, 1, 0, 5, 0, 0), WORDS(9, 1, 1, 1, 1));
	expect_reply(fd, WORDS(10, 0, 2, 100003, 4, 1, 1, 404, 0, 0), WORDS(10, 1, 1, 1, 1));
	/* verifier of another flavor: AUTH_BADVERF (3) */
	expect_reply(fd, WORDS(11, 0, 2, 100003, 4, 1, 1, 20, 9, 0, 1, 1, 0, 6, 0), WORDS(11, 1, 1, 1, 3));
	ck_assert_uint_eq(atomic_load(&a.calls), 0);
	/* and the connection still serves */
	expect_reply(fd, WORDS(12, 0, 2, 100003, 4, 1, 1, 20, 9, 0, 1, 1, 0, 0, 0, 4711),
	    WORDS(12, 1, 0, 0, 0, 0, 4711));
	ck_assert_uint_eq(atomic_load(&a.calls), 1);
	side_end(&a);
	close(fd);
}
END_TEST

/* What the other side may answer to our call, and what DONE is told. */
START_TEST(replies)
{
	static const struct { int status; unsigned n; uint32_t w[8]; } cases[] = {
		{ 0, 7, { 0, 1, 0, 0, 0, 0, 42 } },
		{ 0, 7, { 0, 1, 0, 0, 4, 0xffffffff, 0 } },		/* a verifier with a body */
		{ -EPROTO, 6, { 0, 1, 0, 0, 0, 1 } },			/* PROG_UNAVAIL */
		{ -EPROTO, 5, { 0, 1, 0, 0, 0 } },			/* short */
		{ -EPROTO, 6, { 0, 1, 0, 0, 401, 0 } },
		{ -EPROTO, 6, { 0, 1, 1, 0, 2, 2 } },
		{ -EACCES, 5, { 0, 1, 1, 1, 5 } },
		{ -EPROTO, 3, { 0, 1, 7 } },
	};
	struct side a;
	int fd = raw_open(&a);
	for (unsigned c = 0; c < sizeof cases / sizeof *cases; c++) {
		struct waiter w = { .status = 1 };
		sem_init(&w.done, 0, 0);
		rpc_peer_call(a.peer, call_out("abcd", 4), 0, waiter_done, &w);
		uint32_t mark, xid, word;
		raw_read(fd, &mark, 4);
		uint8_t call[512];
		raw_read(fd, call, ntohl(mark) & 0x7fffffff);
		memcpy(&xid, call, 4);
		uint32_t stray[8] = { be(0x80000000u + 8), xid ^ 1, be(1) };	/* nobody's: dropped */
		raw_write(fd, stray, 12);
		mark = be(0x80000000u | cases[c].n * 4);
		raw_write(fd, &mark, 4);
		raw_write(fd, &xid, 4);
		for (unsigned i = 1; i < cases[c].n; i++) {
			word = be(cases[c].w[i]);
			raw_write(fd, &word, 4);
		}
		sem_wait_for(&w.done, 10);
		ck_assert_msg(w.status == cases[c].status, "case %u: %d", c, w.status);
	}
	side_end(&a);
	close(fd);
}
END_TEST

static void
answer_64k(struct side *side, struct rpc_call *call)
{
	struct rpc_out *out = rpc_out_get(65536);
	rpc_reply_header(out, call->xid, RPC_OK, 0, 0);
	memset(out->data + 24, 7, 65536 - 24);
	out->len = 65536;
	rpc_peer_send(side->peer, out);
}

/* A peer that asks and does not read: bounded output, and all of it in the end. */
START_TEST(back_pressure)
{
	enum { CALLS = 1000 };
	struct side a;
	int fd = raw_open(&a);
	a.on_call = answer_64k;
	uint32_t call[11];
	raw_call(call + 1, 1);
	call[0] = be(0x80000000u + 40);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	unsigned sent = 0;
	for (; sent < CALLS; sent++)
		if (send(fd, call, sizeof call, 0) != sizeof call)
			break;
	usleep(200 * 1000);
	ck_assert_uint_ge(sent, 100);
	unsigned served = atomic_load(&a.calls);
	ck_assert_uint_lt(served, 80);		/* 4 MiB and what the socket holds */
	fcntl(fd, F_SETFL, 0);
	uint8_t *buf = malloc(65540);
	for (unsigned i = 0; i < sent; i++) {
		raw_read(fd, buf, 65540);
		ck_assert_uint_eq(buf[65539], 7);
	}
	free(buf);
	ck_assert_uint_eq(atomic_load(&a.calls), sent);
	side_end(&a);
	close(fd);
}
END_TEST

/* ---- pause: nothing is served, then all, also what is in the buffer ---- */

static void
pause_it(struct side *side, struct rpc_call *call)
{
	echo(side->peer, call);
	rpc_peer_pause(side->peer, true);
}

static void
resume_it(void *arg)
{
	struct side *side = arg;
	rpc_peer_pause(side->peer, false);
}

START_TEST(pause_and_resume)
{
	struct side a;
	int fd = raw_open(&a);
	a.on_call = pause_it;
	uint32_t call[55];
	for (int i = 0; i < 5; i++) {
		call[i * 11] = be(0x80000000u + 40);
		raw_call(call + i * 11 + 1, 77);
	}
	raw_write(fd, call, sizeof call);
	for (unsigned i = 1; i <= 5; i++) {
		check_echo(fd, 0);
		usleep(20 * 1000);
		ck_assert_uint_eq(atomic_load(&a.calls), i);
		loop_call(a.loop, resume_it, &a);
	}
	side_end(&a);
	close(fd);
}
END_TEST

/* ---- a record outlives its call ---- */

struct kept { struct rpc_rec *rec[64]; uint8_t *args[64]; unsigned n; } kept;

static void
keep_record(struct side *side, struct rpc_call *call)
{
	kept.rec[kept.n] = rpc_rec_get(call->rec);
	kept.args[kept.n++] = call->args;
	echo(side->peer, call);
}

START_TEST(kept_records)
{
	struct side a;
	int fd = raw_open(&a);
	a.on_call = keep_record;
	kept.n = 0;
	for (uint32_t i = 0; i < 64; i++) {
		uint32_t len, mark;
		uint8_t *buf = big_call(i % 8 == 7 ? 60000 : 3000, &len);
		buf[40] = (uint8_t)i;
		mark = be(0x80000000u | len);
		raw_write(fd, &mark, 4);
		raw_write(fd, buf, len);
		raw_read(fd, buf, len - 40 + 28);
		free(buf);
	}
	side_end(&a);
	for (uint32_t i = 0; i < 64; i++) {
		ck_assert_uint_eq(kept.args[i][0], i);
		ck_assert_uint_eq(kept.args[i][2999], (uint8_t)(2999 * 7));
		rpc_rec_put(kept.rec[i]);
	}
	close(fd);
}
END_TEST

/* ---- TCP: connect ---- */

struct connect_arg { struct side *side; struct sockaddr_in addr; };

static void
do_connect(void *arg)
{
	struct connect_arg *c = arg;
	c->side->peer = rpc_peer_connect(c->side->loop, (struct sockaddr *)&c->addr,
	    sizeof c->addr, &side_ops, c->side);
}

START_TEST(tcp_connect)
{
	struct side a = { .loop = loop_new("tcp") }, b;
	sem_init(&a.closed, 0, 0);
	loop_start(a.loop);
	struct connect_arg c = { .side = &a, .addr = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof c.addr;
	int lis = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(lis, (struct sockaddr *)&c.addr, sizeof c.addr), 0);
	ck_assert_int_eq(listen(lis, 1), 0);
	getsockname(lis, (struct sockaddr *)&c.addr, &len);
	loop_call(a.loop, do_connect, &c);
	struct waiter w = { .status = 1 };
	sem_init(&w.done, 0, 0);
	rpc_peer_call(a.peer, call_out("abcd", 4), 5000, waiter_done, &w);
	side_open(&b, accept(lis, NULL, NULL));
	sem_wait_for(&w.done, 10);
	ck_assert_int_eq(w.status, 0);
	ck_assert_int_eq(rpc_peer_addr(a.peer)->sa_family, AF_INET);
	side_end(&b);
	sem_wait_for(&a.closed, 10);
	rpc_peer_put(a.peer);
	close(lis);
	/* nobody listens there any more */
	loop_call(a.loop, do_connect, &c);
	rpc_peer_call(a.peer, call_out("abcd", 4), 5000, waiter_done, &w);
	sem_wait_for(&w.done, 10);
	ck_assert_int_eq(w.status, -ECONNRESET);
	sem_wait_for(&a.closed, 10);
	ck_assert_int_eq(a.err, -ECONNREFUSED);
	sem_post(&a.closed);
	side_end(&a);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("rpc/peer");
	TCase *tc = tcase_create("peer");
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, call_and_reply);
	tcase_add_test(tc, both_directions);
	tcase_add_test(tc, timeout_and_close);
	tcase_add_test(tc, large_and_fragments);
	tcase_add_test(tc, byte_by_byte);
	tcase_add_test(tc, bad_bytes);
	tcase_add_test(tc, rejects);
	tcase_add_test(tc, replies);
	tcase_add_test(tc, back_pressure);
	tcase_add_test(tc, pause_and_resume);
	tcase_add_test(tc, kept_records);
	tcase_add_test(tc, tcp_connect);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
