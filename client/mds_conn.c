/*
 * The connection to the metadata server: made, lost and made again; timeouts; the lease kept alive.  See mds.h.
 */
#include "client/mds.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "include/log.h"

#define SECOND 1000000000ull
#define ANSWER_TIME (30 * SECOND)	/* a request unanswered for so long: try a new connection (RFC 8881 2.10.6.2) */
#define GSS_TRIES 3u
#define TICK 0.25

static void tick(struct ev_loop *loop, ev_timer *timer, int events);
static void retry(struct ev_loop *loop, ev_timer *timer, int events);

void
mds_init(struct mds *mds, struct loop *loop, const struct mds_hooks *hooks, void *owner)
{
	memset(mds, 0, sizeof *mds);
	mds->loop = loop;
	mds->hooks = hooks;
	mds->owner = owner;
	mds->minor = 2;
	mds->want_slots = 64;
	uint64_t rnd[2] = { lease_clock(), (uint64_t)getpid() };
	if (getrandom(rnd, sizeof rnd, 0) != sizeof rnd)
		log_warn("mds: no random numbers: owner made of clock and process");
	if (gethostname(mds->machine, sizeof mds->machine - 1))
		strcpy(mds->machine, "localhost");
	/* One client ID for each mount: nothing of another one is ever touched (RFC 8881 2.4). */
	snprintf(mds->ownerid, sizeof mds->ownerid, "libpnfs %s %ld %016llx", mds->machine, (long)getpid(),
	    (unsigned long long)rnd[0]);
	memcpy(mds->verifier, &rnd[1], sizeof mds->verifier);
	TAILQ_INIT(&mds->queue);
	TAILQ_INIT(&mds->urgent);
	TAILQ_INIT(&mds->delayed);
	TAILQ_INIT(&mds->cb_held);
	arena_init(&mds->arena, 16u << 20);
	cb_channel_init(&mds->cb, &mds_cb_ops, mds);
	mds->cb.program = 0x40000000;
	for (uint32_t i = 0; i < MDS_MAX_SLOTS; i++) {
		mds->slots[i].mds = mds;
		mds->slots[i].seqid = 1;
		ev_init(&mds->slots[i].timer, NULL);
	}
	ev_timer_init(&mds->tick, tick, TICK, TICK);
	ev_timer_init(&mds->retry, retry, 0, 0);
	mds->tick.data = mds->retry.data = mds;
}

void
mds_free(struct mds *mds)
{
	for (uint32_t i = 0; i < MDS_MAX_SLOTS; i++)
		if (mds->slots[i].msg)
			rpc_out_put(mds->slots[i].msg);
	mds_gss_drop(mds);
	arena_destroy(&mds->arena);
	cb_channel_destroy(&mds->cb);
}

void
mds_start(struct mds *mds)
{
	ev_timer_start(loop_ev(mds->loop), &mds->tick);
	mds->start_ns = lease_clock();
	mds_connect(mds);
}

void
mds_connect(struct mds *mds)
{
	ev_timer_stop(loop_ev(mds->loop), &mds->retry);
	if (mds->state != MDS_ENDING)
		mds->state = MDS_CONNECTING;
	mds->peer = rpc_peer_connect(mds->loop, (struct sockaddr *)&mds->addr, mds->addrlen, &mds_peer_ops, mds);
	if (mds->peer)
		mds_establish(mds);
	else
		mds_reconnect(mds, false);
}

static void
retry(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	struct mds *mds = timer->data;
	if (!mds->peer && mds->state != MDS_ENDING)
		mds_connect(mds);
}

/* The connection is gone (already): when to try again. */
static void
connect_later(struct mds *mds)
{
	mds_control_drop(mds);
	if (mds->state == MDS_ENDING)
		return;
	mds->state = MDS_CONNECTING;
	/* At once if it had been of use, then 100 ms, doubling to 5 s. */
	unsigned n = mds->failures < 7 ? mds->failures : 7;
	double wait = n ? 0.05 * (1u << n) : 0;
	mds->failures++;
	ev_timer_stop(loop_ev(mds->loop), &mds->retry);
	ev_timer_set(&mds->retry, wait < 5 ? wait : 5, 0);
	ev_now_update(loop_ev(mds->loop));
	ev_timer_start(loop_ev(mds->loop), &mds->retry);
}

void
mds_reconnect(struct mds *mds, bool forget)
{
	struct rpc_peer *peer = mds->peer;
	mds->peer = NULL;		/* what still comes from it is not looked at */
	if (forget)
		mds->have_session = false;
	connect_later(mds);
	if (peer) {
		rpc_peer_close(peer);
		rpc_peer_put(peer);
	}
}

static void
start_failed(struct mds *mds, int err)
{
	mds->started = true;
	mds_control_drop(mds);
	mds->state = MDS_OFF;
	mds->hooks->started(mds, err);
}

void
mds_call_header(struct mds *mds, struct rpc_out *out)
{
#ifdef HAVE_GSS
	if (mds->gss.service) {
		mds_gss_header(mds, out);
		return;
	}
#endif
	rpc_call_header(out, NFS4_PROGRAM, NFS_V4, NFSPROC4_COMPOUND, &mds->cred, mds->machine);
}

void
mds_call_send(struct mds *mds, struct rpc_out *out, uint32_t at, uint32_t timeout_ms, rpc_done_fn *done, void *arg)
{
#ifdef HAVE_GSS
	if (mds->gss.service) {
		mds_gss_send(mds, out, at, timeout_ms, done, arg);
		return;
	}
#endif
	(void)at;
	rpc_peer_call(mds->peer, out, timeout_ms, done, arg);
}

bool
mds_gss_lost(struct mds *mds, int status)
{
	if ((status != -EKEYEXPIRED && status != -EKEYREJECTED) || mds->state == MDS_ENDING)
		return false;
	/* A server that takes no context of ours is not asked for ever at mount time. */
	if (!mds->started && mds->failures > GSS_TRIES)
		return false;
	log_info("mds: the security context is %s", status == -EKEYEXPIRED ? "gone" : "in doubt: an answer by somebody else");
	mds_gss_drop(mds);
	mds_reconnect(mds, false);
	return true;
}

void
mds_gss_failed(struct mds *mds, int err)
{
	if (mds->state == MDS_ENDING)
		return;
	if (mds->started)
		mds_reconnect(mds, false);
	else
		start_failed(mds, err);
}

static void
peer_closed(struct rpc_peer *peer, int err)
{
	struct mds *mds = rpc_peer_owner(peer);
	if (peer != mds->peer)
		return;			/* we closed it ourselves */
	mds->peer = NULL;
	rpc_peer_put(peer);
	if (!mds->started && mds->state != MDS_ENDING) {
		/* At mount time an answer of the network is one to the caller. */
		start_failed(mds, err ? err : -ECONNRESET);
		return;
	}
	log_info("mds: connection lost: %s", err ? strerror(-err) : "closed by the server");
	connect_later(mds);
}

const struct rpc_peer_ops mds_peer_ops = { .call = mds_cb_call, .closed = peer_closed };

void
mds_conn_up(struct mds *mds)
{
	mds->failures = 0;
	if (mds->started)
		mds->stats.reconnects++;
}

bool
mds_lease_valid(const struct mds *mds)
{
	return lease_valid(&mds->lease, lease_clock());
}

/* ---- time passes ---- */

static void
renew_build(struct mds_req *req, struct compound_call *c)
{
	(void)req;
	(void)c;			/* SEQUENCE alone */
}

static void
renew_done(struct mds_req *req, int status, struct reply *reply)
{
	(void)status;
	(void)reply;
	req->mds->renewing = false;
}

void
mds_renew(struct mds *mds)
{
	if (mds->renewing || mds->state == MDS_OFF || mds->state == MDS_ENDING)
		return;
	mds->renewing = true;
	mds->renew.build = renew_build;
	mds->renew.done = renew_done;
	mds_submit(mds, &mds->renew);
}

/* Something unanswered for too long: the connection may be dead without having said so. */
static bool
connection_dead(const struct mds *mds, uint64_t now)
{
	uint64_t third = atomic_load(&mds->lease.length_ns) / 3;
	for (uint32_t i = 0; i < mds->nslots; i++) {
		const struct mds_slot *slot = &mds->slots[i];
		if (!slot->busy || slot->waiting || now <= slot->sent_ns)
			continue;
		uint64_t limit = slot->req == &mds->renew && third && third < ANSWER_TIME ? third : ANSWER_TIME;
		if (now - slot->sent_ns > limit)
			return true;
	}
	return false;
}

static void
time_out(struct mds *mds, uint64_t deadline_ns)
{
	if (!mds->started && mds->state != MDS_ENDING && mds->start_ns <= deadline_ns) {
		start_failed(mds, -ETIMEDOUT);
		return;
	}
	mds->hooks->timeout(mds, deadline_ns);
	mds_expire(mds, deadline_ns, -ETIMEDOUT);
}

static void
tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	struct mds *mds = timer->data;
	uint64_t now = lease_clock();
	if (mds->timeout && now > mds->timeout * SECOND)
		time_out(mds, now - mds->timeout * SECOND);
	if (mds->state != MDS_ENDING && mds->lease_was_valid && !mds_lease_valid(mds)) {
		mds->lease_was_valid = false;
		log_warn("mds: the lease may be over: no direct I/O until it is renewed");
		mds->hooks->expired(mds);
	}
	if (mds->state != MDS_UP && mds->state != MDS_RECLAIMING)
		return;
	if (connection_dead(mds, now)) {
		log_warn("mds: no answer from the server: trying a new connection");
		mds_reconnect(mds, false);
		return;
	}
	if (mds->state == MDS_UP && lease_due(&mds->lease, now))
		mds_renew(mds);
}
