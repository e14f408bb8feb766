/* The client's side of a backchannel; see cb_channel.h. */
#include "proto/nfs4/cb_channel.h"

#include <string.h>

#include "proto/nfs4/compound_xdr.h"

#define MAX_OPS 16u
#define MAX_TAG 64u

void
cb_channel_init(struct cb_channel *ch, const struct cb_channel_ops *ops, void *owner)
{
	memset(ch, 0, sizeof *ch);
	ch->ops = ops;
	ch->owner = owner;
	arena_init(&ch->arena, 1u << 20);
}

void
cb_channel_session(struct cb_channel *ch, const uint8_t session[NFS4_SESSIONID_SIZE], uint32_t minor)
{
	memcpy(ch->session, session, sizeof ch->session);
	ch->minor = minor;
	memset(ch->slots, 0, sizeof ch->slots);
}

void
cb_channel_destroy(struct cb_channel *ch)
{
	arena_destroy(&ch->arena);
}

/* ---- answers ---- */

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
	if (len)
		memcpy(out->data + RPC_REPLY_HEADER, body, len);
	out->len = RPC_REPLY_HEADER + len;
	rpc_peer_send(peer, out);
}

static void
set_status(nfs_cb_resop4 *res, nfsstat4 status)
{
	uint32_t word = (uint32_t)status;
	memcpy(&res->nfs_cb_resop4_u, &word, sizeof word);
}

/* With the one result of CB_SEQUENCE failed (SEQUENCE), or as a whole. */
static void
refuse(struct rpc_peer *peer, uint32_t xid, const struct nfs_str *tag, nfsstat4 status, bool sequence)
{
	uint8_t body[CB_CHANNEL_REPLY];
	struct compound_reply r;
	nfs_cb_resop4 res;
	XDR out;
	memset(&res, 0, sizeof res);
	set_status(&res, status);
	ax_init(&out, body, sizeof body, XDR_ENCODE, NULL);
	if (!compound_reply_begin(&r, &out, tag) ||
	    (sequence && !compound_cb_res_put(&out, OP_CB_SEQUENCE, &res.nfs_cb_resop4_u))) {
		reject(peer, xid, RPC_SYSTEM_ERR);
		return;
	}
	compound_reply_end(&r, status, sequence);
	send_body(peer, xid, body, ax_used(&out));
}

/* ---- CB_SEQUENCE ---- */

/* RFC 8881 20.9.3; *replay: the slot has the answer already. */
static nfsstat4
sequence(struct cb_channel *ch, const CB_SEQUENCE4args *args, CB_SEQUENCE4res *res, bool *replay)
{
	*replay = false;
	if (memcmp(args->csa_sessionid, ch->session, sizeof ch->session))
		return NFS4ERR_BADSESSION;
	if (args->csa_slotid >= CB_CHANNEL_SLOTS)
		return NFS4ERR_BADSLOT;
	if (args->csa_highest_slotid >= CB_CHANNEL_SLOTS)
		return NFS4ERR_BAD_HIGH_SLOT;
	const struct cb_channel_slot *slot = &ch->slots[args->csa_slotid];
	if (args->csa_sequenceid == slot->seqid && slot->len) {
		*replay = true;
		return NFS4_OK;
	}
	if (args->csa_sequenceid != slot->seqid + 1)
		return NFS4ERR_SEQ_MISORDERED;
	CB_SEQUENCE4resok *ok = &res->CB_SEQUENCE4res_u.csr_resok4;
	memcpy(ok->csr_sessionid, ch->session, sizeof ok->csr_sessionid);
	ok->csr_sequenceid = args->csa_sequenceid;
	ok->csr_slotid = args->csa_slotid;
	ok->csr_highest_slotid = ok->csr_target_highest_slotid = CB_CHANNEL_SLOTS - 1;
	return NFS4_OK;
}

/* ---- CB_COMPOUND ---- */

/* The operations behind CB_SEQUENCE. */
static nfsstat4
operations(struct cb_channel *ch, XDR *in, XDR *out, uint32_t count, uint32_t *done)
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
			status = op == OP_CB_SEQUENCE ? NFS4ERR_SEQUENCE_POS : ch->ops->op(ch, &arg, &res);
		set_status(&res, status);
		if (!compound_cb_res_put(out, op, &res.nfs_cb_resop4_u)) {
			status = NFS4ERR_REP_TOO_BIG;
			break;
		}
		++*done;
	}
	return status;
}

/* Run what follows, and keep the answer. */
static void
run(struct cb_channel *ch, const CB_SEQUENCE4args *seq, nfs_cb_resop4 *res, XDR *in, const struct compound_header *header)
{
	struct cb_channel_slot *slot = &ch->slots[seq->csa_slotid];
	struct compound_reply r;
	uint32_t done = 1;
	XDR out;
	slot->seqid = seq->csa_sequenceid;
	ax_init(&out, slot->reply, sizeof slot->reply, XDR_ENCODE, NULL);
	if (compound_reply_begin(&r, &out, &header->tag) &&
	    compound_cb_res_put(&out, OP_CB_SEQUENCE, &res->nfs_cb_resop4_u)) {
		nfsstat4 status = operations(ch, in, &out, header->count, &done);
		compound_reply_end(&r, status, done);
	}
	slot->len = ax_used(&out);
}

static void
compound(struct cb_channel *ch, struct rpc_peer *peer, struct rpc_call *call)
{
	XDR in;
	struct compound_header header;
	nfs_cb_argop4 arg;
	nfs_cb_resop4 res;
	uint32_t op;
	bool replay;
	arena_reset(&ch->arena);
	ax_init(&in, call->args, call->args_len, XDR_DECODE, &ch->arena);
	if (!compound_cb_header_get(&in, &header)) {
		reject(peer, call->xid, RPC_GARBAGE_ARGS);
		return;
	}
	if (header.tag.len > MAX_TAG)
		header.tag.len = MAX_TAG;
	if (header.minor != ch->minor || header.count == 0 || header.count > MAX_OPS) {
		refuse(peer, call->xid, &header.tag, header.minor != ch->minor ? NFS4ERR_MINOR_VERS_MISMATCH :
		    header.count ? NFS4ERR_TOO_MANY_OPS : NFS4_OK, false);
		return;
	}
	if (compound_cb_arg_get(&in, &arg, &op) != NFS4_OK || op != OP_CB_SEQUENCE) {
		refuse(peer, call->xid, &header.tag, NFS4ERR_OP_NOT_IN_SESSION, false);
		return;
	}
	const CB_SEQUENCE4args *seq = &arg.nfs_cb_argop4_u.opcbsequence;
	memset(&res, 0, sizeof res);
	int status = sequence(ch, seq, &res.nfs_cb_resop4_u.opcbsequence, &replay);
	if (status == NFS4_OK && !replay && ch->ops->admit)
		status = ch->ops->admit(ch, peer, call, seq);
	if (status < 0)
		return;
	if (status != NFS4_OK) {
		refuse(peer, call->xid, &header.tag, (nfsstat4)status, true);
		return;
	}
	if (!replay)
		run(ch, seq, &res, &in, &header);
	const struct cb_channel_slot *slot = &ch->slots[seq->csa_slotid];
	send_body(peer, call->xid, slot->reply, slot->len);
}

void
cb_channel_call(struct cb_channel *ch, struct rpc_peer *peer, struct rpc_call *call)
{
	if (call->prog != ch->program)
		reject(peer, call->xid, RPC_PROG_UNAVAIL);
	else if (call->vers != NFS_CB && call->vers != NFS_V4)
		/* RFC 8881's XDR numbers the callback program's version 1; 4 is seen too. */
		reject(peer, call->xid, RPC_PROG_MISMATCH);
	else if (call->proc == CB_NULL)
		send_body(peer, call->xid, NULL, 0);
	else if (call->proc != CB_COMPOUND)
		reject(peer, call->xid, RPC_PROC_UNAVAIL);
	else
		compound(ch, peer, call);
}
