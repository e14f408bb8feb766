/*
 * Requests to the metadata server: queue, slots, sending, answers, retry; see mds.h.
 *
 * A request waits in the queue until there is a slot, is built, and keeps the slot until it is answered.  Its bytes are kept: after a lost
 * connection the same bytes go out again with the same slot and sequence, and the server's reply cache makes it happen once (RFC 8881 2.10.6.2).
 */
#include "client/mds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "include/log.h"
#include "proto/nfs4/status.h"

#define CALL_HEADER 512u		/* more than RPC header and credential take */
#define FIRST_ROOM 1024u
#define MAX_ROOM (1u << 20)

/* ---- building ---- */

static uint32_t
highest_slot(const struct mds *mds)
{
	uint32_t high = 0;
	for (uint32_t i = 0; i < mds->nslots; i++)
		if (mds->slots[i].busy)
			high = i;
	return high;
}

static void
put_sequence(struct mds *mds, struct mds_slot *slot, struct compound_call *c, bool cache)
{
	SEQUENCE4args args = {
		.sa_sequenceid = slot->seqid,
		.sa_slotid = (slotid4)(slot - mds->slots),
		.sa_highest_slotid = highest_slot(mds),
		.sa_cachethis = cache,
	};
	memcpy(args.sa_sessionid, mds->session, sizeof args.sa_sessionid);
	compound_call_op(c, OP_SEQUENCE, &args);
}

/* Build REQ (NULL: SEQUENCE alone) into slot->msg.  0, -ENOMEM, -EMSGSIZE. */
static int
slot_build(struct mds *mds, struct mds_slot *slot, struct mds_req *req)
{
	for (uint32_t room = FIRST_ROOM; room <= MAX_ROOM; room *= 4) {
		struct rpc_out *msg = rpc_out_get(room);
		struct compound_call c;
		if (!msg)
			return -ENOMEM;
		compound_call_begin(&c, msg->data, msg->cap, "", mds->minor);
		put_sequence(mds, slot, &c, req && (req->flags & MDS_CACHE));
		if (req)
			req->build(req, &c);
		msg->len = compound_call_end(&c);
		if (msg->len) {
			uint32_t data = req ? req->data_len : 0;
			if (msg->len + data + CALL_HEADER > mds->fore.ca_maxrequestsize) {
				rpc_out_put(msg);
				return -EMSGSIZE;
			}
			slot->msg = msg;
			slot->data = req ? req->data : NULL;
			slot->data_len = data;
			return 0;
		}
		rpc_out_put(msg);
	}
	return -EMSGSIZE;
}

/* ---- slots ---- */

static struct mds_slot *
slot_find(struct mds *mds)
{
	uint32_t n = mds->target < mds->nslots ? mds->target : mds->nslots;
	for (uint32_t i = 0; i < n; i++)
		if (!mds->slots[i].busy)
			return &mds->slots[i];
	return NULL;
}

static void
slot_free(struct mds *mds, struct mds_slot *slot)
{
	ev_timer_stop(loop_ev(mds->loop), &slot->timer);
	if (slot->msg)
		rpc_out_put(slot->msg);
	slot->msg = NULL;
	slot->data = NULL;
	slot->data_len = 0;
	slot->first_ns = 0;
	slot->busy = slot->waiting = false;
	if (slot->req)
		slot->req->slot = NULL;
	slot->req = NULL;
}

bool
mds_slot_busy_with(const struct mds *mds, const uint8_t *session, uint32_t slot, uint32_t seqid)
{
	return !memcmp(session, mds->session, sizeof mds->session) && slot < mds->nslots &&
	    mds->slots[slot].busy && mds->slots[slot].seqid == seqid;
}

static void slot_answer(struct rpc_peer *peer, void *arg, int status, uint8_t *body, uint32_t len, struct rpc_rec *rec);

void
mds_slot_send(struct mds *mds, struct mds_slot *slot)
{
	struct rpc_out *out = rpc_out_get(CALL_HEADER + slot->msg->len + slot->data_len + 4);
	if (!out) {			/* as if the network had lost it */
		mds_reconnect(mds, false);
		return;
	}
	mds_call_header(mds, out);
	uint32_t at = out->len;
	memcpy(out->data + out->len, slot->msg->data, slot->msg->len);
	out->len += slot->msg->len;
	if (slot->data_len) {
		memcpy(out->data + out->len, slot->data, slot->data_len);
		out->len += slot->data_len;
		memset(out->data + out->len, 0, ax_pad(slot->data_len));
		out->len += ax_pad(slot->data_len);
	}
	slot->sent_ns = lease_clock();
	if (!slot->first_ns)
		slot->first_ns = slot->sent_ns;
	slot->waiting = false;
	mds_call_send(mds, out, at, 0, slot_answer, slot);
}

static void
slot_again(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	struct mds_slot *slot = timer->data;
	struct mds *mds = slot->mds;
	if (slot->busy && slot->waiting && mds->peer &&
	    (mds->state == MDS_UP || mds->state == MDS_RECLAIMING))
		mds_slot_send(mds, slot);
}

void
mds_resend(struct mds *mds)
{
	for (uint32_t i = 0; i < mds->nslots && mds->peer; i++) {
		struct mds_slot *slot = &mds->slots[i];
		if (!slot->busy)
			continue;
		ev_timer_stop(loop_ev(mds->loop), &slot->timer);
		if (!slot->msg && slot_build(mds, slot, NULL))
			continue;
		mds_slot_send(mds, slot);
	}
}

void
mds_slots_reset(struct mds *mds, uint32_t nslots)
{
	/* From the last to the first, each to the head: the order they came in, roughly. */
	for (uint32_t i = MDS_MAX_SLOTS; i-- > 0;) {
		struct mds_slot *slot = &mds->slots[i];
		struct mds_req *req = slot->req;
		slot_free(mds, slot);
		slot->seqid = 1;
		slot->mds = mds;
		if (req) {
			req->resent = true;
			req->queued = true;
			if (req->flags & MDS_PRIVILEGED)
				TAILQ_INSERT_HEAD(&mds->urgent, req, link);
			else
				TAILQ_INSERT_HEAD(&mds->queue, req, link);
		}
	}
	mds->nslots = mds->target = nslots;
}

/* ---- the queue ---- */

static void
req_end(struct mds_req *req, int status, struct reply *reply)
{
	req->queued = false;
	req->done(req, status, reply);
}

static struct mds_req *
queue_take(struct mds *mds)
{
	struct mds_req *req = TAILQ_FIRST(&mds->urgent);
	if (req) {
		TAILQ_REMOVE(&mds->urgent, req, link);
	} else if (mds->state == MDS_UP && (req = TAILQ_FIRST(&mds->queue))) {
		TAILQ_REMOVE(&mds->queue, req, link);
	}
	return req;
}

void
mds_pump(struct mds *mds)
{
	if (mds->fault && mds->state == MDS_UP) {
		mds_fault_step(mds);
		return;
	}
	while (mds->peer && (mds->state == MDS_UP || mds->state == MDS_RECLAIMING || mds->state == MDS_ENDING)) {
		struct mds_slot *slot = slot_find(mds);
		struct mds_req *req = slot ? queue_take(mds) : NULL;
		if (!req)
			return;
		slot->busy = true;
		int err = slot_build(mds, slot, req);
		if (err) {
			slot_free(mds, slot);
			req_end(req, err, NULL);
			continue;
		}
		req->queued = false;
		req->slot = slot;
		slot->req = req;
		mds_slot_send(mds, slot);
	}
}

static void
queue_add(struct mds *mds, struct mds_req *req)
{
	req->queued = true;
	if (req->flags & MDS_PRIVILEGED)
		TAILQ_INSERT_TAIL(&mds->urgent, req, link);
	else
		TAILQ_INSERT_TAIL(&mds->queue, req, link);
}

void
mds_submit(struct mds *mds, struct mds_req *req)
{
	req->mds = mds;
	req->slot = NULL;
	req->delays = 0;
	req->resent = false;
	req->queued_ns = req->since_ns ? req->since_ns : lease_clock();
	queue_add(mds, req);
	mds_pump(mds);
}

/* NFS4ERR_DELAY, GRACE: 50 ms, doubling to 2 s. */
static double
backoff(unsigned *delays)
{
	unsigned n = *delays < 6 ? (*delays)++ : 6;
	double s = 0.05 * (1u << n);
	return s < 2 ? s : 2;
}

static void
req_again(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	struct mds_req *req = timer->data;
	struct mds *mds = req->mds;
	TAILQ_REMOVE(&mds->delayed, req, link);
	queue_add(mds, req);
	mds_pump(mds);
}

static void
req_delay(struct mds *mds, struct mds_req *req)
{
	req->queued = true;
	TAILQ_INSERT_TAIL(&mds->delayed, req, link);
	ev_timer_init(&req->timer, req_again, backoff(&req->delays), 0);
	req->timer.data = req;
	ev_now_update(loop_ev(mds->loop));
	ev_timer_start(loop_ev(mds->loop), &req->timer);
}

/* Recovery goes on for as long as there is a mount; those who wait for it are told by themselves. */
static bool
req_expires(const struct mds_req *req, uint64_t deadline)
{
	return deadline == UINT64_MAX || (req->queued_ns <= deadline && !(req->flags & MDS_PRIVILEGED));
}

static void
expire_list(struct mds *mds, struct mds_req *req, uint64_t deadline, int status, unsigned which)
{
	while (req) {
		struct mds_req *next = TAILQ_NEXT(req, link);
		if (req_expires(req, deadline)) {
			if (which == 0)
				TAILQ_REMOVE(&mds->queue, req, link);
			else if (which == 1)
				TAILQ_REMOVE(&mds->urgent, req, link);
			else
				TAILQ_REMOVE(&mds->delayed, req, link);
			if (which == 2)
				ev_timer_stop(loop_ev(mds->loop), &req->timer);
			req_end(req, status, NULL);
			/* What done() submits goes to the tail and is younger. */
		}
		req = next;
	}
}

void
mds_expire(struct mds *mds, uint64_t deadline, int status)
{
	expire_list(mds, TAILQ_FIRST(&mds->queue), deadline, status, 0);
	expire_list(mds, TAILQ_FIRST(&mds->urgent), deadline, status, 1);
	expire_list(mds, TAILQ_FIRST(&mds->delayed), deadline, status, 2);
	for (uint32_t i = 0; i < mds->nslots; i++) {
		struct mds_slot *slot = &mds->slots[i];
		struct mds_req *req = slot->req;
		if (!req || !req_expires(req, deadline))
			continue;
		/*
		 * Its owner goes; the slot stays taken until the server has said something about this sequence.  The
		 * data is no longer ours, so a repetition is SEQUENCE alone.
		 */
		slot->req = NULL;
		req->slot = NULL;
		rpc_out_put(slot->msg);
		slot->msg = NULL;
		slot->data = NULL;
		slot->data_len = 0;
		req_end(req, status, NULL);
	}
}

/* ---- answers ---- */

static void
limits(struct mds *mds, const SEQUENCE4resok *ok)
{
	/* RFC 8881 2.10.6.1: the server's wish for the highest slot to be used. */
	uint32_t target = ok->sr_target_highest_slotid;
	mds->target = target < MDS_MAX_SLOTS ? target + 1 : MDS_MAX_SLOTS;
}

/* SEQUENCE failed: the slot's sequence has not moved (RFC 8881 18.46.3). */
static void
sequence_failed(struct mds *mds, struct mds_slot *slot, nfsstat4 status)
{
	struct mds_req *req = slot->req;
	switch (status) {
	case NFS4ERR_DELAY:
		slot->waiting = true;
		ev_timer_init(&slot->timer, slot_again, 0.1, 0);
		slot->timer.data = slot;
		ev_now_update(loop_ev(mds->loop));
		ev_timer_start(loop_ev(mds->loop), &slot->timer);
		return;
	case NFS4ERR_REQ_TOO_BIG:
	case NFS4ERR_REP_TOO_BIG:
	case NFS4ERR_REP_TOO_BIG_TO_CACHE:
	case NFS4ERR_TOO_MANY_OPS:
		slot_free(mds, slot);
		if (req)
			req_end(req, -EMSGSIZE, NULL);
		mds_pump(mds);
		return;
	case NFS4ERR_RETRY_UNCACHED_REP:	/* done, and the answer is gone: it was not one that changes anything */
	case NFS4ERR_SEQ_FALSE_RETRY:
		slot_free(mds, slot);
		slot->seqid++;
		if (req)
			queue_add(mds, req);
		mds_pump(mds);
		return;
	case NFS4ERR_CONN_NOT_BOUND_TO_SESSION:
		mds_reconnect(mds, false);
		return;
	default:	/* BADSESSION, DEADSESSION, BADSLOT, SEQ_MISORDERED...: RFC 8881 2.10.13.1 */
		log_info("mds: %s: the session is made anew", nfs4_status_name(status));
		mds_reconnect(mds, true);
		return;
	}
}

static bool
retry_later(const struct mds_req *req, const struct reply *reply)
{
	nfsstat4 status = reply->results.status;
	return reply->results.left > 0 && !(req->flags & MDS_NO_DELAY) &&
	    (status == NFS4ERR_DELAY || status == NFS4ERR_GRACE);
}

static void
sequence_ok(struct mds *mds, struct mds_slot *slot, struct reply *reply, const SEQUENCE4resok *ok)
{
	struct mds_req *req = slot->req;
	bool waited = !mds->lease_was_valid || !mds_lease_valid(mds);
	uint64_t sent_ns = slot->first_ns;
	if (ok->sr_status_flags & SEQ4_STATUS_EXPIRED_ALL_STATE_REVOKED) {
		lease_drop(&mds->lease);	/* the one answer that renews nothing (RFC 8881 18.46.3) */
	} else {
		lease_renewed(&mds->lease, sent_ns);
		mds->lease_was_valid = true;
	}
	limits(mds, ok);
	slot_free(mds, slot);
	slot->seqid++;
	/* What was revoked is not used any more, not even by who acts on this answer. */
	mds_flags(mds, ok->sr_status_flags, sent_ns);
	if (req && reply->results.left > 0 && reply->results.status == NFS4ERR_RETRY_UNCACHED_REP)
		queue_add(mds, req);
	else if (req && retry_later(req, reply))
		req_delay(mds, req);
	else if (req)
		req_end(req, 0, reply);
	mds_cb_release(mds);
	if (waited && mds_lease_valid(mds))
		mds->hooks->renewed(mds);
	mds_pump(mds);
}

static void
answer_take(struct rpc_peer *peer, void *arg, int status, uint8_t *body, uint32_t len)
{
	struct mds_slot *slot = arg;
	struct mds *mds = slot->mds;
	if (peer != mds->peer || status == -ECONNRESET || !slot->busy)
		return;			/* the connection is gone: it will be sent again */
	if (mds_gss_lost(mds, status))
		return;			/* so it will, under another context */
	struct reply reply = { .status = NFS4_OK };
	arena_reset(&mds->arena);
	bool answered = !status;
	if (!status)
		status = compound_results_begin(&reply.results, body, len, &mds->arena) ? -EPROTO : 0;
	if (status) {
		log_warn("mds: the server rejects a call or answers nonsense (%s)", strerror(-status));
		struct mds_req *req = slot->req;
		slot_free(mds, slot);
		/* It was done, it seems.  The next must not be taken for its repetition; were it not done, the next is MISORDERED. */
		slot->seqid += answered;
		if (req)
			req_end(req, status, NULL);
		mds_pump(mds);
		return;
	}
	int err = reply_op(&reply, OP_SEQUENCE);
	if (err == -EPROTO && reply.status == NFS4ERR_BADXDR) {
		/* Refused before SEQUENCE (say MINOR_VERS_MISMATCH), or garbage. */
		sequence_failed(mds, slot, reply.results.status ? reply.results.status : NFS4ERR_BADSESSION);
		return;
	}
	if (err) {
		sequence_failed(mds, slot, reply.status);
		return;
	}
	const SEQUENCE4resok ok = reply.res.nfs_resop4_u.opsequence.SEQUENCE4res_u.sr_resok4;
	if (memcmp(ok.sr_sessionid, mds->session, sizeof mds->session) ||
	    ok.sr_slotid != (slotid4)(slot - mds->slots) || ok.sr_sequenceid != slot->seqid) {
		sequence_failed(mds, slot, NFS4ERR_BADSESSION);
		return;
	}
	sequence_ok(mds, slot, &reply, &ok);
}

static void
slot_answer(struct rpc_peer *peer, void *arg, int status, uint8_t *body, uint32_t len, struct rpc_rec *rec)
{
	if (rec)
		rpc_rec_get(rec);	/* the connection may be closed before BODY was read to its end */
	answer_take(peer, arg, status, body, len);
	if (rec)
		rpc_rec_put(rec);
}
