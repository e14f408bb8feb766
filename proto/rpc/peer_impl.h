/*
 * Inside of a connection, shared by peer.c (life, what comes in), peer_out.c
 * (what goes out) and peer_call.c (calls under way).
 *
 * Lifetime: the connection holds a reference until it is torn down; so does
 * every piece of work posted to the loop.  Any thread may ask for the end
 * (peer_fail); only the loop's thread tears down, in peer_kicked(), never
 * from within a callback.  It waits for a thread that is in sendmsg (which does not
 * block), so the descriptor is closed on the loop's thread, when nobody uses it.
 *
 * Locks: peer->lock, then the loop's own (in loop_post).
 */
#ifndef PNFS_PROTO_RPC_PEER_IMPL_H
#define PNFS_PROTO_RPC_PEER_IMPL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>

#include "proto/rpc/peer.h"
#include "proto/rpc/rec.h"

/* Queued output at which reading stops, and at which it goes on: bytes. */
#define OUT_HIGH (4u << 20)
#define OUT_LOW (1u << 20)

enum peer_state { PEER_OPEN, PEER_CLOSING, PEER_CLOSED };

struct rpc_pending;

struct out_queue {
	struct rpc_out *head, **tail;
	uint32_t sent;			/* bytes of head that are out, mark included */
};

struct rpc_peer {
	atomic_uint refs;
	atomic_int state;		/* written under lock */
	struct loop *loop;
	const struct rpc_peer_ops *ops;
	void *owner;
	int fd;
	struct sockaddr_storage addr;

	/* loop's thread only */
	ev_io rd, wr;
	ev_timer timer;
	struct rpc_rx rx;
	uint64_t batch;			/* of the last recv */
	bool user_paused;
	struct loop_work turn_work;
	bool turn_queued;
	struct out_queue turn;		/* of this turn, not yet in outq */

	atomic_bool out_paused;		/* reading waits for output to drain */
	atomic_size_t queued;		/* bytes in turn and outq */

	pthread_mutex_t lock;		/* what follows */
	struct loop_work kick_work;
	bool kicked;			/* kick_work is posted */
	int err;			/* why it is being closed */
	bool connecting;
	bool blocked;			/* the socket is full: loop waits for EV_WRITE */
	bool writing;			/* someone is in sendmsg, without the lock */
	pthread_cond_t written;		/* and has left it; signalled while closing */
	struct out_queue outq;
	struct rpc_pending *pending;	/* uthash by xid */
	struct rpc_pending *spare;	/* to be used again */
	unsigned nspare;
	uint32_t xid;
	uint64_t armed;			/* ms: earliest deadline the timer knows; UINT64_MAX none */

	/* one writer each at a time; read by anyone */
	_Atomic uint64_t rx_bytes, rx_records, recvs, tx_bytes, tx_records, writevs;
};

static inline void
peer_count(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_store_explicit(counter,
	    atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}

static inline int
peer_state(struct rpc_peer *peer)
{
	return atomic_load_explicit(&peer->state, memory_order_acquire);
}

static inline void
out_queue_init(struct out_queue *q)
{
	*q = (struct out_queue){ .tail = &q->head };
}

static inline void
out_queue_add(struct out_queue *q, struct rpc_out *out)
{
	out->next = NULL;
	*q->tail = out;
	q->tail = &out->next;
}

/* peer.c: have peer_kicked() run on the loop; lock held. */
void peer_kick(struct rpc_peer *peer);
/* Close with ERR (-errno or 0) unless it is being closed already; lock not held; any thread. */
void peer_fail(struct rpc_peer *peer, int err);
/* Look again whether to read; loop's thread. */
void peer_resume(struct rpc_peer *peer);

/* peer_out.c: send what is queued; called with the lock held, returns without it. */
void peer_flush(struct rpc_peer *peer);
/* Hook at the end of a turn, and what the loop does when the socket has room again. */
void peer_turn_end(struct loop_work *work);
void peer_writable(struct rpc_peer *peer);
/* Move the turn's records to the queue; lock held, loop's thread. */
void peer_turn_splice(struct rpc_peer *peer);
/* Free what is queued; lock held (or nobody else left), nobody writing. */
void peer_drop_output(struct rpc_peer *peer);

/* peer_call.c: a REPLY has come. */
void peer_reply(struct rpc_peer *peer, uint32_t xid, struct rpc_view *view);
/* End all calls under way with ERR; loop's thread, lock not held. */
void peer_fail_calls(struct rpc_peer *peer, int err);
/* Set the timer for the earliest deadline; loop's thread, lock not held. */
void peer_arm(struct rpc_peer *peer);
void peer_timeout(EV_P_ ev_timer *w, int revents);
void peer_free_calls(struct rpc_peer *peer);

#endif
