/*
 * Callbacks from the metadata server (RFC 8881 20): CB_COMPOUND on the same connection, taken apart operation by operation.
 * CB_SEQUENCE and its slots are ours, the rest goes to the mount's hook.  Called by the connection, on the loop's thread.
 */
#include "client/mds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "include/log.h"

#define MAX_HELD 64u			/* callbacks that wait for answers */
#define HELD_NS 5000000000ull		/* then DELAY */
#define CB_MAX_OPS 16u

void
mds_cb_reset(struct mds *mds)
{
	struct mds_cb_held *held;
	memset(mds->cb_slots, 0, sizeof mds->cb_slots);
	while ((held = TAILQ_FIRST(&mds->cb_held))) {
		TAILQ_REMOVE(&mds->cb_held, held, link);
		rpc_rec_put(held->call.rec);
		rpc_peer_put(held->peer);
		free(held);
	}
	mds->ncb_held = 0;
}

static void
reject(struct rpc_peer *peer, uint32_t xid, enum rpc_status status)
{
	struct rpc_out *out = rpc_out_get(128);
	if (!out)
		return;
	rpc_reply_header(out, xid, status, 1, 1);
	rpc_peer_send(peer, out);
}

static void
send_body(struct rpc_peer *peer, uint32_t xid, const uint8_t *body, uint32_t len)
{
	struct rpc_out *out = rpc_out_get(RPC_REPLY_HEADER + len);
	if (!out)
		return;
	rpc_reply_header(out, xid, RPC_OK, 0, 0);
	memcpy(out->data + RPC_REPLY_HEADER, body, len);
	out->len = RPC_REPLY_HEADER + len;
	rpc_peer_send(peer, out);
}

/* Does it refer to requests whose answers we have not got yet (RFC 8881 2.10.6.3)? */
static bool
refers_ahead(const struct mds *mds, const CB_SEQUENCE4args *args)
{
	for (u_int i = 0; i < args->csa_referring_call_lists.csa_referring_call_lists_len; i++) {
		const referring_call_list4 *list = &args->csa_referring_call_lists.csa_referring_call_lists_val[i];
		for (u_int j = 0; j < list->rcl_referring_calls.rcl_referring_calls_len; j++) {
			const referring_call4 *call = &list->rcl_referring_calls.rcl_referring_calls_val[j];
			if (mds_slot_busy_with(mds, (const uint8_t *)list->rcl_sessionid,
			    call->rc_slotid, call->rc_sequenceid))
				return true;
		}
	}
	return false;
}

static bool
hold(struct mds *mds, struct rpc_peer *peer, const struct rpc_call *call)
{
	struct mds_cb_held *held = mds->ncb_held < MAX_HELD ? malloc(sizeof *held) : NULL;
	if (!held)
		return false;
	held->peer = rpc_peer_get(peer);
	held->call = *call;
	rpc_rec_get(held->call.rec);
	held->since_ns = lease_clock();
	TAILQ_INSERT_TAIL(&mds->cb_held, held, link);
	mds->ncb_held++;
	return true;
}

/* CB_SEQUENCE (RFC 8881 20.9.3): the status; *replay: the slot has the answer already. */
static nfsstat4
cb_sequence(struct mds *mds, const CB_SEQUENCE4args *args, CB_SEQUENCE4res *res, bool *replay)
{
	*replay = false;
	if (!mds->have_session || memcmp(args->csa_sessionid, mds->session, sizeof mds->session))
		return NFS4ERR_BADSESSION;
	if (args->csa_slotid >= MDS_CB_SLOTS)
		return NFS4ERR_BADSLOT;
	if (args->csa_highest_slotid >= MDS_CB_SLOTS)
		return NFS4ERR_BAD_HIGH_SLOT;
	struct mds_cb_slot *slot = &mds->cb_slots[args->csa_slotid];
	if (args->csa_sequenceid == slot->seqid && slot->len) {
		*replay = true;
		return NFS4_OK;
	}
	if (args->csa_sequenceid != slot->seqid + 1)
		return NFS4ERR_SEQ_MISORDERED;
	CB_SEQUENCE4resok *ok = &res->CB_SEQUENCE4res_u.csr_resok4;
	memcpy(ok->csr_sessionid, mds->session, sizeof ok->csr_sessionid);
	ok->csr_sequenceid = args->csa_sequenceid;
	ok->csr_slotid = args->csa_slotid;
	ok->csr_highest_slotid = ok->csr_target_highest_slotid = MDS_CB_SLOTS - 1;
	return NFS4_OK;
}

static void
set_status(nfs_cb_resop4 *res, nfsstat4 status)
{
	uint32_t word = (uint32_t)status;
	memcpy(&res->nfs_cb_resop4_u, &word, sizeof word);
}

/* The operations behind CB_SEQUENCE. */
static nfsstat4
cb_operations(struct mds *mds, XDR *in, XDR *out, uint32_t count, uint32_t *done)
{
	nfsstat4 status = NFS4_OK;
	for (uint32_t i = 1; i < count && status == NFS4_OK; i++) {
		nfs_cb_argop4 arg;
		nfs_cb_resop4 res;
		uint32_t op;
		memset(&res, 0, sizeof res);
		status = compound_cb_arg_get(in, &arg, &op);
		if (status == NFS4ERR_OP_ILLEGAL)
			op = OP_CB_ILLEGAL;
		else if (status == NFS4_OK)
			status = op == OP_CB_SEQUENCE ? NFS4ERR_SEQUENCE_POS : mds->hooks->callback(mds, &arg, &res);
		set_status(&res, status);
		if (!compound_cb_res_put(out, op, &res.nfs_cb_resop4_u)) {
			status = NFS4ERR_REP_TOO_BIG;
			break;
		}
		++*done;
	}
	return status;
}

/* The answer with the one result of CB_SEQUENCE failed, or the compound as a whole. */
static void
cb_refuse(struct rpc_peer *peer, uint32_t xid, const struct nfs_str *tag, nfsstat4 status, bool result)
{
	uint8_t body[MDS_CB_REPLY];
	XDR out;
	struct compound_reply r;
	nfs_cb_resop4 res;
	memset(&res, 0, sizeof res);
	set_status(&res, status);
	ax_init(&out, body, sizeof body, XDR_ENCODE, NULL);
	if (!compound_reply_begin(&r, &out, tag) ||
	    (result && !compound_cb_res_put(&out, OP_CB_SEQUENCE, &res.nfs_cb_resop4_u))) {
		reject(peer, xid, RPC_SYSTEM_ERR);
		return;
	}
	compound_reply_end(&r, status, result);
	send_body(peer, xid, body, ax_used(&out));
}

static void
cb_compound(struct mds *mds, struct rpc_peer *peer, struct rpc_call *call, bool again)
{
	XDR in, out;
	struct compound_header header;
	nfs_cb_argop4 arg;
	uint32_t op, done = 1;
	bool replay;
	arena_reset(&mds->cb_arena);
	ax_init(&in, call->args, call->args_len, XDR_DECODE, &mds->cb_arena);
	if (!compound_cb_header_get(&in, &header)) {
		reject(peer, call->xid, RPC_GARBAGE_ARGS);
		return;
	}
	if (header.tag.len > 64)
		header.tag.len = 64;
	if (header.minor != mds->minor || header.count == 0 || header.count > CB_MAX_OPS) {
		cb_refuse(peer, call->xid, &header.tag, header.minor != mds->minor ? NFS4ERR_MINOR_VERS_MISMATCH :
		    header.count ? NFS4ERR_TOO_MANY_OPS : NFS4_OK, false);
		return;
	}
	if (compound_cb_arg_get(&in, &arg, &op) != NFS4_OK || op != OP_CB_SEQUENCE) {
		cb_refuse(peer, call->xid, &header.tag, NFS4ERR_OP_NOT_IN_SESSION, false);
		return;
	}
	const CB_SEQUENCE4args *seq = &arg.nfs_cb_argop4_u.opcbsequence;
	nfs_cb_resop4 res;
	memset(&res, 0, sizeof res);
	nfsstat4 status = cb_sequence(mds, seq, &res.nfs_cb_resop4_u.opcbsequence, &replay);
	if (status == NFS4_OK && !replay && refers_ahead(mds, seq)) {
		if (!again && hold(mds, peer, call))
			return;
		status = NFS4ERR_DELAY;
	}
	if (status != NFS4_OK) {
		cb_refuse(peer, call->xid, &header.tag, status, true);
		return;
	}
	struct mds_cb_slot *slot = &mds->cb_slots[seq->csa_slotid];
	if (replay) {
		send_body(peer, call->xid, slot->reply, slot->len);
		return;
	}
	struct compound_reply r;
	slot->seqid = seq->csa_sequenceid;
	ax_init(&out, slot->reply, sizeof slot->reply, XDR_ENCODE, NULL);
	if (compound_reply_begin(&r, &out, &header.tag) && compound_cb_res_put(&out, OP_CB_SEQUENCE, &res.nfs_cb_resop4_u)) {
		status = cb_operations(mds, &in, &out, header.count, &done);
		compound_reply_end(&r, status, done);
	}
	slot->len = ax_used(&out);
	send_body(peer, call->xid, slot->reply, slot->len);
}

void
mds_cb_release(struct mds *mds)
{
	/* Each held one is looked at again; those that still wait are kept, for a time. */
	struct mds_cb_held *held, *next;
	uint64_t now = lease_clock();
	for (held = TAILQ_FIRST(&mds->cb_held); held; held = next) {
		XDR in;
		struct compound_header header;
		nfs_cb_argop4 arg;
		uint32_t op;
		next = TAILQ_NEXT(held, link);
		arena_reset(&mds->cb_arena);
		ax_init(&in, held->call.args, held->call.args_len, XDR_DECODE, &mds->cb_arena);
		bool waits = compound_cb_header_get(&in, &header) &&
		    compound_cb_arg_get(&in, &arg, &op) == NFS4_OK &&
		    refers_ahead(mds, &arg.nfs_cb_argop4_u.opcbsequence);
		if (waits && now - held->since_ns < HELD_NS)
			continue;
		TAILQ_REMOVE(&mds->cb_held, held, link);
		mds->ncb_held--;
		if (held->peer == mds->peer)
			cb_compound(mds, held->peer, &held->call, true);
		rpc_rec_put(held->call.rec);
		rpc_peer_put(held->peer);
		free(held);
	}
}

void
mds_cb_call(struct rpc_peer *peer, struct rpc_call *call)
{
	struct mds *mds = rpc_peer_owner(peer);
	if (call->prog != mds->cb_program) {
		reject(peer, call->xid, RPC_PROG_UNAVAIL);
	} else if (call->vers != NFS_CB && call->vers != NFS_V4) {
		/* RFC 8881's XDR numbers the callback program's version 1; 4 is seen too. */
		reject(peer, call->xid, RPC_PROG_MISMATCH);
	} else if (call->proc == CB_NULL) {
		struct rpc_out *out = rpc_out_get(128);
		if (out) {
			rpc_reply_header(out, call->xid, RPC_OK, 0, 0);
			rpc_peer_send(peer, out);
		}
	} else if (call->proc != CB_COMPOUND) {
		reject(peer, call->xid, RPC_PROC_UNAVAIL);
	} else if (peer == mds->peer) {
		cb_compound(mds, peer, call, false);
	}
}
