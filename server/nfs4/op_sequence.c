/*
 * SEQUENCE (RFC 8881 18.46): slots and the reply cache.  The hot path: for the session the connection used last it takes
 * session->lock and no other.
 */
#include <string.h>

#include "include/cleanup.h"
#include "proto/rpc/gss.h"
#include "server/mds.h"
#include "server/net/conn.h"
#include "server/nfs4/compound.h"
#include "server/state/client.h"
#include "server/state/session.h"

#define SEQUENCE_RESULT (4u + 4 + NFS4_SESSIONID_SIZE + 20)
#define DIGEST_BYTES 256u	/* of what stands behind SEQUENCE: enough to tell requests apart, cheap */

/* Another session than last time: look it up, bind the connection to it (RFC 8881 2.10.3.1, 18.46.3), remember it. */
static struct session *
sequence_find(struct compound *c, const SEQUENCE4args *arg)
{
	struct conn *conn = c->conn;
	struct session *session, *old = conn->last;
	pthread_mutex_lock(&c->mds->state_lock);
	session = session_find_locked(c->mds, (const uint8_t *)arg->sa_sessionid);
	if (session) {
		session_get(session);
		if (!session_is_bound_locked(session, conn))
			session_bind_locked(session, conn, true, false);
	}
	pthread_mutex_unlock(&c->mds->state_lock);
	if (session) {
		conn->last = session;
		if (old)
			session_put(c->mds, old);
	}
	return session;
}

/*
 * What tells a retry from another request with the same slot and sequence ID.  Not the tag and SEQUENCE's own arguments: a client
 * that sends a retry may encode its highest slot anew.
 */
static uint64_t
sequence_digest(struct compound *c)
{
	uint32_t left = ax_left(&c->in), n = left < DIGEST_BYTES ? left : DIGEST_BYTES;
	const uint8_t *p = ax_pos(&c->in);
	uint64_t h = 0x9e3779b97f4a7c15u ^ ((uint64_t)c->nops << 32 | left);
	h = (h ^ ((uint64_t)c->rpc_cred.flavor << 32 | c->rpc_cred.uid)) * 0xff51afd7ed558ccdu;
	if (c->gss.ctx)
		h = (h ^ gss_who(c->gss.ctx)->hash) * 0xff51afd7ed558ccdu;
	for (; n >= 8; n -= 8, p += 8) {
		uint64_t word;
		memcpy(&word, p, 8);
		h = (h ^ word) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	if (n >= 4) {
		uint32_t word;
		memcpy(&word, p, 4);
		h = (h ^ word) * 0xff51afd7ed558ccdu;
		h ^= h >> 32;
	}
	return h;
}

/* The limits of the session (RFC 8881 18.46.3, 2.10.6.4); the slot is not touched by any of these. */
static nfsstat4
sequence_limits(struct compound *c, const struct session *s, const SEQUENCE4args *arg, uint32_t limit)
{
	if (c->record_len > s->fore.ca_maxrequestsize)
		return NFS4ERR_REQ_TOO_BIG;
	if (c->nops > s->fore.ca_maxoperations)
		return NFS4ERR_TOO_MANY_OPS;
	if (RPC_REPLY_HEADER + ax_used(&c->out) + SEQUENCE_RESULT > limit)
		return arg->sa_cachethis ? NFS4ERR_REP_TOO_BIG_TO_CACHE : NFS4ERR_REP_TOO_BIG;
	return NFS4_OK;
}

/* A retry of what was answered: the same answer, if it was kept (RFC 8881 2.10.6.1.3).  session->lock held. */
static nfsstat4
sequence_retry(struct compound *c, const struct slot *slot)
{
	if (slot->digest != sequence_digest(c))
		return NFS4ERR_SEQ_FALSE_RETRY;
	if (!slot->cached) {
		c->uncached_retry = !slot->solo;
		return NFS4_OK;
	}
	/* The stream's place in it no longer counts. */
	if (!compound_grow(c, slot->reply_len))
		return NFS4ERR_DELAY;
	memcpy(c->reply->data + RPC_REPLY_HEADER, slot->reply, slot->reply_len);
	c->reply->len = RPC_REPLY_HEADER + slot->reply_len;
	return OP_REPLAYED;
}

/* session->lock held. */
static nfsstat4
sequence_slot(struct compound *c, struct session *s, const SEQUENCE4args *arg)
{
	if (s->dead)
		return NFS4ERR_BADSESSION;
	if (arg->sa_slotid >= s->nslots)
		return NFS4ERR_BADSLOT;
	if (arg->sa_highest_slotid < arg->sa_slotid)
		return NFS4ERR_BAD_HIGH_SLOT;
	struct slot *slot = &s->slots[arg->sa_slotid];
	if (arg->sa_sequenceid == slot->seqid && slot->busy)
		return NFS4ERR_DELAY;	/* RFC 8881 2.10.6.2 */
	if (arg->sa_sequenceid == slot->seqid && slot->used)
		return sequence_retry(c, slot);
	if (arg->sa_sequenceid != slot->seqid + 1 || slot->busy)
		return NFS4ERR_SEQ_MISORDERED;

	uint32_t limit = s->fore.ca_maxresponsesize;
	if (arg->sa_cachethis && s->fore.ca_maxresponsesize_cached < limit)
		limit = s->fore.ca_maxresponsesize_cached;
	if (c->gss.ctx)		/* verifier and seal count (RFC 8881 18.36.3) */
		limit = limit > RPC_GSS_OVERHEAD ? limit - RPC_GSS_OVERHEAD : 0;
	nfsstat4 status = sequence_limits(c, s, arg, limit);
	if (status != NFS4_OK)
		return status;
	slot->seqid++;
	slot->busy = true;
	slot->used = true;
	slot->cached = false;
	slot->solo = c->nops == 1;
	slot->digest = sequence_digest(c);
	c->slot = slot;
	c->max_reply = limit;
	c->cache_this = arg->sa_cachethis;
	return NFS4_OK;
}

/* RFC 8881 18.46.3: what a client is told with every answer.  session->lock held. */
static uint32_t
sequence_flags(const struct session *s)
{
	/* After the renewal was noted: see holder_set_time(). */
	uint32_t flags = atomic_load(&s->client->seq_flags);
	if (s->back_wanted && s->nback == 0) {
		flags |= SEQ4_STATUS_CB_PATH_DOWN_SESSION;
		if (atomic_load_explicit(&s->client->nback, memory_order_relaxed) == 0)
			flags |= SEQ4_STATUS_CB_PATH_DOWN;
	}
	return flags;
}

nfsstat4
op_sequence(struct compound *c, nfs_argop4 *arg_op, nfs_resop4 *res)
{
	const SEQUENCE4args *arg = &arg_op->nfs_argop4_u.opsequence;
	SEQUENCE4resok *ok = &res->nfs_resop4_u.opsequence.SEQUENCE4res_u.sr_resok4;
	struct session *s = c->conn->last;
	if (!s || memcmp(s->id, arg->sa_sessionid, NFS4_SESSIONID_SIZE) != 0)
		s = sequence_find(c, arg);
	if (!s)
		return NFS4ERR_BADSESSION;

	LOCK_SCOPE(&s->lock);
	nfsstat4 status = sequence_slot(c, s, arg);
	if (status != NFS4_OK)
		return status;
	c->session = s;
	c->client = s->client;
	/* Only success renews (RFC 8881 8.3, PITFALLS C4). */
	atomic_store(&s->client->renewed_ms, mds_now_ms());
	memcpy(ok->sr_sessionid, s->id, NFS4_SESSIONID_SIZE);
	ok->sr_sequenceid = arg->sa_sequenceid;
	ok->sr_slotid = arg->sa_slotid;
	ok->sr_highest_slotid = s->nslots - 1;
	ok->sr_target_highest_slotid = session_target(s);
	session_slots_idle(s, arg->sa_highest_slotid);
	ok->sr_status_flags = sequence_flags(s);
	return NFS4_OK;
}
