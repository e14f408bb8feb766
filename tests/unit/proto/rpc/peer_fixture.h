/* Two connected peers on two loops, for test_peer.c and test_peer_race.c. */
#ifndef PNFS_TESTS_PEER_FIXTURE_H
#define PNFS_TESTS_PEER_FIXTURE_H

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/rpc/peer.h"

struct side {
	struct loop *loop;
	struct rpc_peer *peer;
	sem_t closed;
	int err;
	atomic_uint calls;
	void (*on_call)(struct side *, struct rpc_call *);
};

/* Answer with the arguments. */
static inline void
echo(struct rpc_peer *peer, struct rpc_call *call)
{
	struct rpc_out *out = rpc_out_get(RPC_REPLY_HEADER + call->args_len);
	rpc_reply_header(out, call->xid, RPC_OK, 0, 0);
	memcpy(out->data + RPC_REPLY_HEADER, call->args, call->args_len);
	out->len += call->args_len;
	rpc_peer_send(peer, out);
}

static inline void
side_call(struct rpc_peer *peer, struct rpc_call *call)
{
	struct side *side = rpc_peer_owner(peer);
	atomic_fetch_add(&side->calls, 1);
	if (side->on_call)
		side->on_call(side, call);
	else
		echo(peer, call);
}

static inline void
side_closed(struct rpc_peer *peer, int err)
{
	struct side *side = rpc_peer_owner(peer);
	side->err = err;
	sem_post(&side->closed);
}

static const struct rpc_peer_ops side_ops = { .call = side_call, .closed = side_closed };

struct side_new { struct side *side; int fd; };

static inline void
side_attach(void *arg)
{
	struct side_new *new = arg;
	new->side->peer = rpc_peer_new(new->side->loop, new->fd, &side_ops, new->side);
}

static inline void
side_open(struct side *side, int fd)
{
	memset(side, 0, sizeof *side);
	sem_init(&side->closed, 0, 0);
	side->loop = loop_new("side");
	ck_assert_ptr_nonnull(side->loop);
	ck_assert_int_eq(loop_start(side->loop), 0);
	loop_call(side->loop, side_attach, &(struct side_new){ side, fd });
	ck_assert_ptr_nonnull(side->peer);
}

/* Bounded wait: a hang is a failure with a line, not a timeout. */
static inline void
sem_wait_for(sem_t *sem, unsigned seconds)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += seconds;
	while (sem_timedwait(sem, &ts) != 0)
		ck_assert_int_eq(errno, EINTR);
}

static inline void
side_end(struct side *side)
{
	rpc_peer_close(side->peer);
	sem_wait_for(&side->closed, 20);
	rpc_peer_put(side->peer);
	loop_stop(side->loop);
	sem_destroy(&side->closed);
}

static inline void
pair_open(struct side *a, struct side *b)
{
	int fd[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	side_open(a, fd[0]);
	side_open(b, fd[1]);
}

/* One side is a peer, the other a descriptor the test writes bytes to. */
static inline int
raw_open(struct side *a)
{
	int fd[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	side_open(a, fd[0]);
	return fd[1];
}

static inline void
raw_write(int fd, const void *buf, size_t len)
{
	for (const char *p = buf; len;) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);
		if (n < 0 && (errno == EPIPE || errno == ECONNRESET))
			return;
		ck_assert_int_gt(n, 0);
		p += n;
		len -= (size_t)n;
	}
}

static inline void
raw_read(int fd, void *buf, size_t len)
{
	for (char *p = buf; len;) {
		ssize_t n = read(fd, p, len);
		ck_assert_int_gt(n, 0);
		p += n;
		len -= (size_t)n;
	}
}

/* A call whose answer is awaited. */
struct waiter {
	sem_t done;
	int status;
	uint8_t body[64];
	uint32_t len;
	unsigned count;
};

static inline void
waiter_done(struct rpc_peer *peer, void *arg, int status, uint8_t *body, uint32_t len,
    struct rpc_rec *rec)
{
	struct waiter *w = arg;
	(void)peer;
	(void)rec;
	w->status = status;
	w->len = len;
	w->count++;
	if (status == 0)
		memcpy(w->body, body, len < sizeof w->body ? len : sizeof w->body);
	sem_post(&w->done);
}

static inline struct rpc_out *
call_out(const void *args, uint32_t len)
{
	const struct rpc_cred cred = { .flavor = 1, .uid = 1000, .gid = 100, .ngids = 2, .gids = { 7, 8 } };
	struct rpc_out *out = rpc_out_get(512 + len);
	rpc_call_header(out, 100003, 4, 1, &cred, "host");
	memcpy(out->data + out->len, args, len);
	out->len += len;
	return out;
}

#endif
