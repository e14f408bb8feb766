/*
 * Calls under way to the other side: found by xid when the answer comes, ended
 * by a timeout or with the connection.  One timer per connection stands at the
 * earliest deadline and is not touched when a call is answered in time.
 */
/* A failed allocation must not end the process (uthash's default). */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "proto/rpc/peer_impl.h"
#include "proto/rpc/rpc_msg.h"
#include "proto/xdr/xdr_arena.h"

#define MAX_SPARE 256

struct rpc_pending {
	uint32_t xid;
	rpc_done_fn *done;
	void *arg;
	struct rpc_auth *auth;		/* NULL: the answer is taken as it is */
	uint64_t deadline;		/* ms, UINT64_MAX: none */
	struct rpc_pending *next;	/* spare, or about to be ended */
	UT_hash_handle hh;
};

/* A few ms of inaccuracy for a clock that costs nothing. */
static uint64_t
now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
pending_recycle(struct rpc_peer *peer, struct rpc_pending *p)
{
	if (peer->nspare >= MAX_SPARE) {
		free(p);
		return;
	}
	p->next = peer->spare;
	peer->spare = p;
	peer->nspare++;
}

/* An xid no call under way has, and not 0.  Lock held. */
static uint32_t
xid_next(struct rpc_peer *peer)
{
	struct rpc_pending *other = NULL;
	do {
		if (++peer->xid)
			HASH_FIND(hh, peer->pending, &peer->xid, sizeof peer->xid, other);
	} while (other || !peer->xid);
	return peer->xid;
}

uint32_t
rpc_peer_xid(struct rpc_peer *peer)
{
	pthread_mutex_lock(&peer->lock);
	uint32_t xid = xid_next(peer);
	pthread_mutex_unlock(&peer->lock);
	return xid;
}

/* A new call in the table; NULL without memory.  Lock held. */
static struct rpc_pending *
pending_add(struct rpc_peer *peer, uint32_t xid)
{
	struct rpc_pending *p = peer->spare;
	if (p) {
		peer->spare = p->next;
		peer->nspare--;
	} else if (!(p = malloc(sizeof *p))) {
		return NULL;
	}
	memset(p, 0, sizeof *p);
	p->xid = xid ? xid : xid_next(peer);
	HASH_ADD(hh, peer->pending, xid, sizeof p->xid, p);
	if (!p->hh.tbl) {
		free(p);
		return NULL;
	}
	return p;
}

static void
auth_drop(struct rpc_auth *auth)
{
	if (auth)
		auth->drop(auth);
}

static void
call_send(struct rpc_peer *peer, struct rpc_out *out, uint32_t xid, uint32_t timeout_ms, struct rpc_auth *auth,
    rpc_done_fn *done, void *arg)
{
	bool arm = false;
	pthread_mutex_lock(&peer->lock);
	struct rpc_pending *p = pending_add(peer, xid);
	if (!p) {
		pthread_mutex_unlock(&peer->lock);
		rpc_out_put(out);
		auth_drop(auth);
		done(peer, arg, -ENOMEM, NULL, 0, NULL);
		return;
	}
	p->done = done;
	p->arg = arg;
	p->auth = auth;
	p->deadline = timeout_ms ? now_ms() + timeout_ms : UINT64_MAX;
	uint32_t be_xid = htobe32(p->xid);
	memcpy(out->data, &be_xid, 4);
	if (peer_state(peer) == PEER_CLOSED) {
		peer_kick(peer);	/* which ends it */
	} else if (p->deadline < peer->armed) {
		if (loop_is_current(peer->loop))
			arm = true;
		else
			peer_kick(peer);
	}
	pthread_mutex_unlock(&peer->lock);
	if (arm)
		peer_arm(peer);
	rpc_peer_send(peer, out);
}

void
rpc_peer_call(struct rpc_peer *peer, struct rpc_out *out, uint32_t timeout_ms,
    rpc_done_fn *done, void *arg)
{
	call_send(peer, out, 0, timeout_ms, NULL, done, arg);
}

void
rpc_peer_call_auth(struct rpc_peer *peer, struct rpc_out *out, uint32_t timeout_ms,
    struct rpc_auth *auth, rpc_done_fn *done, void *arg)
{
	uint32_t xid;
	memcpy(&xid, out->data, 4);
	call_send(peer, out, be32toh(xid), timeout_ms, auth, done, arg);
}

void
peer_reply(struct rpc_peer *peer, uint32_t xid, struct rpc_view *view)
{
	struct rpc_pending *p;
	struct rpc_reply reply = { .body = NULL };
	pthread_mutex_lock(&peer->lock);
	HASH_FIND(hh, peer->pending, &xid, sizeof xid, p);
	if (!p) {		/* timed out, or never asked: dropped */
		pthread_mutex_unlock(&peer->lock);
		return;
	}
	HASH_DEL(peer->pending, p);
	rpc_done_fn *done = p->done;
	void *arg = p->arg;
	struct rpc_auth *auth = p->auth;
	pending_recycle(peer, p);
	pthread_mutex_unlock(&peer->lock);
	int err = rpc_msg_reply(view->data, view->len, &reply);
	if (!err && auth)
		err = auth->open(auth, &reply);
	auth_drop(auth);
	done(peer, arg, err, err ? NULL : reply.body, err ? 0 : reply.body_len, view->rec);
}

/* Take the calls due at LIMIT out of the table; the earliest of the others to *NEXT. */
static struct rpc_pending *
pending_take(struct rpc_peer *peer, uint64_t limit, uint64_t *next)
{
	struct rpc_pending *p, *tmp, *list = NULL;
	*next = UINT64_MAX;
	HASH_ITER(hh, peer->pending, p, tmp) {
		if (p->deadline <= limit) {
			HASH_DEL(peer->pending, p);
			p->next = list;
			list = p;
		} else if (p->deadline < *next) {
			*next = p->deadline;
		}
	}
	return list;
}

static void
pending_end(struct rpc_peer *peer, struct rpc_pending *list, int err)
{
	while (list) {
		struct rpc_pending *p = list;
		list = p->next;
		auth_drop(p->auth);
		p->done(peer, p->arg, err, NULL, 0, NULL);
		free(p);
	}
}

void
peer_fail_calls(struct rpc_peer *peer, int err)
{
	uint64_t next;
	pthread_mutex_lock(&peer->lock);
	struct rpc_pending *list = pending_take(peer, UINT64_MAX, &next);
	pthread_mutex_unlock(&peer->lock);
	pending_end(peer, list, err);
}

void
peer_arm(struct rpc_peer *peer)
{
	struct rpc_pending *p, *tmp;
	uint64_t next = UINT64_MAX, now = now_ms();
	pthread_mutex_lock(&peer->lock);
	HASH_ITER(hh, peer->pending, p, tmp)
		if (p->deadline < next)
			next = p->deadline;
	bool change = next < peer->armed;
	if (change)
		peer->armed = next;
	pthread_mutex_unlock(&peer->lock);
	if (!change || peer_state(peer) != PEER_OPEN)
		return;
	ev_timer_stop(loop_ev(peer->loop), &peer->timer);
	ev_timer_set(&peer->timer, next > now ? (double)(next - now) / 1e3 : 1e-3, 0.);
	ev_timer_start(loop_ev(peer->loop), &peer->timer);
}

void
peer_timeout(EV_P_ ev_timer *w, int revents)
{
	struct rpc_peer *peer = w->data;
	uint64_t next;
	(void)loop;
	(void)revents;
	pthread_mutex_lock(&peer->lock);
	struct rpc_pending *list = pending_take(peer, now_ms(), &next);
	peer->armed = UINT64_MAX;
	pthread_mutex_unlock(&peer->lock);
	peer_arm(peer);
	pending_end(peer, list, -ETIMEDOUT);
}

void
peer_free_calls(struct rpc_peer *peer)
{
	while (peer->spare) {
		struct rpc_pending *p = peer->spare;
		peer->spare = p->next;
		free(p);
	}
}
