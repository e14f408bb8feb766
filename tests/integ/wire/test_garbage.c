/* Bad input on the port: the daemon goes on, others are served, memory stays where it was (RFC 5531 8, 11; RFC 8881 16.2.3). */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "tests/integ/wire/wire.h"

#define RSS_MAX_KB (48u * 1024)		/* by which one test may make it larger */

static uint64_t seed;

static uint32_t
dice(uint32_t n)
{
	seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(seed >> 33) % n;
}

static unsigned
rss_kb(void)
{
	char cmd[64];
	snprintf(cmd, sizeof cmd, "ps -o rss= -p %s", getenv("MDS_PID"));
	unsigned kb = (unsigned)atoi(world_ask(cmd));
	REQUIRE(kb);		/* it lives */
	return kb;
}

static struct client *good;
static struct file *file;
static unsigned before;

static void
begin(void)
{
	good = client_new("good");
	local_make("f", MiB, 5);
	file = file_open(good, "f", READ_WRITE);
	before = rss_kb();
	seed = 42;
}

/* Another client is served, at once. */
static void
goes_on(void)
{
	struct nfs_attrs a;
	uint64_t t = now_ms();
	OK(file_attrs(file, &a));
	EXPECT_TRUE(file_is(file, 0, 4096, 5));
	EXPECT_TRUE(now_ms() - t < 1000);
}

static void
ends_well(void)
{
	goes_on();
	unsigned now = rss_kb();
	fprintf(stderr, "VmRSS %u -> %u kB\n", before, now);
	EXPECT_TRUE(now < before + RSS_MAX_KB);
}

static int
raw(void)
{
	int fd = rpc_socket_open(world.port);
	REQUIRE(fd >= 0);
	struct timeval tv = { .tv_usec = 200000 };
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof tv);
	return fd;
}

/* Send without caring, as far as it is taken. */
static bool
blurt(int fd, const void *buf, size_t len)
{
	return send(fd, buf, len, MSG_NOSIGNAL) == (ssize_t)len;
}

static void
noise(void)
{
	static uint8_t buf[65536];
	static const char *const texts[] = { "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "SSH-2.0-x\r\n", "" };
	begin();
	for (unsigned i = 0; i < 200; i++) {
		int fd = raw();
		if (i < 40) {
			blurt(fd, texts[i % 4], strlen(texts[i % 4]));
		} else {
			for (unsigned j = 0; j < sizeof buf; j++)
				buf[j] = (uint8_t)dice(256);
			if (i % 2)	/* as a record of the right length */
				rpc_socket_mark(buf, 4 + dice(60000));
			blurt(fd, buf, sizeof buf);
		}
		close(fd);
		if (i % 50 == 0)
			goes_on();
	}
	ends_well();
}

static void
records(void)
{
	static uint8_t buf[MiB];
	begin();
	static const uint32_t marks[] = { 0xffffffff, 0x7fffffff, 0x80000000, 0x00000000, 0x8fffffff, 0x40000000, 0x80000001, 0x80000027 };
	for (unsigned i = 0; i < sizeof marks / sizeof *marks; i++)
		for (unsigned n = 0; n < 8; n++) {
			int fd = raw();
			uint32_t mark = htobe32(marks[i]);
			blurt(fd, &mark, 4);
			for (unsigned k = 0; k < 8 && blurt(fd, buf, sizeof buf); k++)
				;
			close(fd);
		}
	goes_on();
	/* fragments without end: of nothing, of a byte, of much */
	for (unsigned size = 0; size < 3; size++) {
		int fd = raw();
		uint32_t len = size == 2 ? 60000 : size;
		for (unsigned i = 0; i + 4 + len <= sizeof buf; i += 4 + len) {
			uint32_t mark = htobe32(len);
			memcpy(buf + i, &mark, 4);
		}
		for (unsigned k = 0; k < 40 && blurt(fd, buf, sizeof buf / (4 + len) * (4 + len)); k++)
			;
		close(fd);
		memset(buf, 0, sizeof buf);
	}
	ends_well();
}

/* Compounds that are right, to be spoilt. */
static uint32_t
build(struct client *c, unsigned kind)
{
	PUTFH4args putfh = { file->fh };
	call_begin_seq(c, kind % 4, ++c->seqids[kind % 4], kind % 3 == 0);
	call_op(c, OP_PUTFH, &putfh);
	switch (kind % 6) {
	case 0: {
		uint32_t words[] = { 0x0010011a, 0x00b0a23a, 0xffffffff };
		GETATTR4args a = { { 3, words } };
		call_op(c, OP_GETATTR, &a);
		break;
	}
	case 1: {
		LAYOUTGET4args a = { .loga_layout_type = world.type, .loga_iomode = 1, .loga_length = MiB, .loga_minlength = 4096,
			.loga_maxcount = 4096, .loga_stateid = file->open };
		call_op(c, OP_LAYOUTGET, &a);
		break;
	}
	case 2: {
		char body[4 + 20 * 16] = { 0, 0, 0, 20 };
		LAYOUTCOMMIT4args a = { .loca_length = MiB, .loca_layoutupdate = { world.type, { sizeof body, body } } };
		call_op(c, OP_LAYOUTCOMMIT, &a);
		break;
	}
	case 3: {
		OPEN4args a;
		open_args(c, "f", READ_WRITE, &a);
		call_op(c, OP_OPEN, &a);
		break;
	}
	case 4: {
		stateid4 sids[3] = { file->open, file->open, file->open };
		TEST_STATEID4args a = { { 3, sids } };
		call_op(c, OP_TEST_STATEID, &a);
		break;
	}
	default: {
		READDIR4args a = { .dircount = 4096, .maxcount = 4096 };
		call_op(c, OP_READDIR, &a);
		break;
	}
	}
	return call_finish(c);
}

static void
truncated(void)
{
	begin();
	struct client *c = client_new("victim");
	unsigned answers = 0;
	for (unsigned kind = 0; kind < 6; kind++) {
		uint32_t len = build(c, kind);
		int fd = -1;
		for (uint32_t cut = 4; cut < len; cut += 4) {
			uint8_t copy[4096], reply[8192];
			if (fd < 0)
				fd = raw();
			memcpy(copy, c->call, cut);
			rpc_socket_mark(copy, cut);
			int64_t n = blurt(fd, copy, cut) ? rpc_socket_read(fd, reply, sizeof reply) : -1;
			if (n < 0) {
				close(fd);
				fd = -1;
			}
			answers += n > 0;
		}
		if (fd >= 0)
			close(fd);
		c->seqids[kind % 4]--;
		client_disconnect(c, 0);
		clients_end();
		good = client_new("good");
		file = file_open(good, "f", READ_WRITE);
		c = client_new("victim");
	}
	/* where the RPC header is whole there is an answer: GARBAGE_ARGS or BADXDR */
	fprintf(stderr, "%u answers\n", answers);
	EXPECT_TRUE(answers > 100);
	ends_well();
}

static void
absurd_counts(void)
{
	begin();
	static const uint32_t counts[] = { 0xffffffff, 0x80000000, 0x7fffffff, 0x20000000, 0x10000001, 100000 };
	for (unsigned kind = 0; kind < 6; kind++)
		for (unsigned i = 0; i < 6; i++) {
			struct client *c = client_new("victim");
			uint32_t len = build(c, kind);
			/* each word behind SEQUENCE and PUTFH once */
			for (uint32_t at = RPC_SOCKET_HEADER; at + 4 <= len; at += 4) {
				uint8_t copy[4096];
				uint32_t v = htobe32(counts[i]);
				memcpy(copy, c->call, len);
				memcpy(copy + at, &v, 4);
				if (c->fd[0] < 0 || !blurt(c->fd[0], copy, len)) {
					client_disconnect(c, 0);
					client_connect(c);
				}
			}
			world_pump(1);
			client_disconnect(c, 0);
		}
	ends_well();
}

static void
flipped_bytes(void)
{
	begin();
	struct client *c = client_new("victim");
	for (unsigned i = 0; i < 4000; i++) {
		uint8_t copy[4096];
		uint32_t len = build(c, i);
		memcpy(copy, c->call, len);
		for (unsigned k = 1 + dice(4); k; k--)
			copy[4 + dice(len - 4)] ^= (uint8_t)(1 + dice(255));
		if (c->fd[0] < 0 || !blurt(c->fd[0], copy, len)) {
			client_disconnect(c, 0);
			client_connect(c);
		}
		c->seqids[i % 4] -= dice(2);
		if (i % 100 == 99) {
			world_pump(5);
			goes_on();
		}
	}
	client_disconnect(c, 0);
	ends_well();
}

static void
slow_loris(void)
{
	enum { N = 200 };
	int fd[N];
	uint8_t head[128] = { 0x80, 0, 0x10, 0 };
	begin();
	for (unsigned i = 0; i < N; i++)
		fd[i] = raw();
	uint64_t worst = 0;
	for (unsigned round = 0; round < 40; round++) {
		for (unsigned i = 0; i < N; i++)
			blurt(fd[i], head + round % sizeof head, 1);
		uint64_t t = now_ms();
		goes_on();
		worst = now_ms() - t > worst ? now_ms() - t : worst;
		world_pump(10);
	}
	fprintf(stderr, "with %d slow ones: %u ms at most\n", N, (unsigned)worst);
	/* and clients that never read their answers */
	struct client *c = client_new("deaf");
	uint32_t words[] = { 0xffffffff, 0xffffffff };
	PUTFH4args putfh = { file->fh };
	GETATTR4args getattr = { { 2, words } };
	fcntl(c->fd[0], F_SETFL, O_NONBLOCK);
	unsigned sent = 0;
	for (unsigned i = 0; i < 20000; i++) {
		call_begin_seq(c, 1, 1, true);	/* a retry each time: answered from the cache */
		call_op(c, OP_PUTFH, &putfh);
		call_op(c, OP_GETATTR, &getattr);
		uint32_t len = call_finish(c);
		if (!blurt(c->fd[0], c->call, len))
			break;
		sent++;
	}
	fprintf(stderr, "%u calls by one that does not listen\n", sent);
	goes_on();
	for (unsigned i = 0; i < N; i++)
		close(fd[i]);
	client_disconnect(c, 0);
	ends_well();
}

const struct wire_test tests_garbage[] = {
	{ "noise", "bytes that are no RPC", noise },
	{ "records", "records too long, of nothing, in fragments without end", records },
	{ "truncated", "compounds cut off at every word", truncated },
	{ "counts", "absurd numbers in every word of six compounds", absurd_counts },
	{ "flips", "4,000 compounds with bytes changed", flipped_bytes },
	{ "slow", "200 connections that send a byte at a time, one that does not read", slow_loris },
	{ NULL, NULL, NULL },
};
