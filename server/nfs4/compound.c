/*
 * COMPOUND (RFC 8881 16.2): decodes, gates, runs and encodes operation by operation, straight into the reply.
 * conn.c starts one on the loop that owns the connection; at the first operation that may block the rest of it
 * moves to a worker, which sends the reply.  What handlers call is in compound_fh.c.
 */
#include "server/nfs4/compound.h"

#include <stddef.h>
#include <string.h>

#include "include/log.h"
#include "proto/nfs4/op_xdr.h"
#include "server/conf/exports.h"
#include "server/mds.h"
#include "server/net/conn.h"
#include "server/nfs4/op_count.h"
#include "server/nfs4/utf8.h"
#include "server/state/client.h"
#include "server/state/session.h"

#define TAG_MAX NFS4_OPAQUE_LIMIT	/* longer ones are not echoed */
#define ERROR_ROOM 16u			/* kept free for the error of the operation that no longer fits */
#define MODIFIES_BOUND 64u		/* result of a modifying operation whose row names no bound */
#define NO_SESSION_REPLY (64u << 10)

/* ---- the reply ---- */

/* Bytes of the reply so far, RPC header included: what ca_maxresponsesize counts (RFC 8881 18.36.3). */
static uint32_t
reply_used(struct compound *c)
{
	return RPC_REPLY_HEADER + ax_used(&c->out);
}

static void
reply_rewind(struct compound *c, uint32_t used)
{
	ax_init(&c->out, c->reply->data + RPC_REPLY_HEADER, c->reply->cap - RPC_REPLY_HEADER, XDR_ENCODE, &c->arena);
	ax_take(&c->out, used);
}

bool
compound_grow(struct compound *c, uint32_t need)
{
	if (ax_left(&c->out) >= need)
		return true;
	uint32_t used = ax_used(&c->out);
	if (need > RPC_MAX_RECORD || RPC_REPLY_HEADER + used + need > RPC_MAX_RECORD)
		return false;
	struct rpc_out *bigger = rpc_out_get(RPC_REPLY_HEADER + used + need);
	if (!bigger)
		return false;
	memcpy(bigger->data, c->reply->data, RPC_REPLY_HEADER + used);
	bigger->len = c->reply->len;
	rpc_out_put(c->reply);
	c->reply = bigger;
	reply_rewind(c, used);
	return true;
}

/* Must END bytes be refused, the result of the present operation standing last? */
static bool
reply_too_big(struct compound *c, uint32_t end)
{
	bool more = c->index + 1 < c->nops;
	return end > c->max_reply || (more && c->max_reply - end < ERROR_ROOM);
}

static nfsstat4
too_big_status(const struct compound *c)
{
	/* The limit of a reply to be cached is never above that of any reply. */
	return c->cache_this ? NFS4ERR_REP_TOO_BIG_TO_CACHE : NFS4ERR_REP_TOO_BIG;
}

/* Number and result, with as much room as it takes.  False: more than any reply may have. */
static bool
encode_result(struct compound *c, nfs_resop4 *res, uint32_t start)
{
	const struct op_xdr *codec = nfs4_op_xdr(c->op);
	xdrproc_t put = codec ? codec->res : (xdrproc_t)xdr_ILLEGAL4res;
	for (;;) {
		if (ax_put_u32(&c->out, c->op) && put(&c->out, &res->nfs_resop4_u))
			return true;
		reply_rewind(c, start);
		if (!compound_grow(c, c->reply->cap))
			return false;
	}
}

/*
 * Put the result of the operation where START was.  If it is too long, an error stands there instead, and is returned: for
 * operations that modify that was excluded before they ran (RFC 8881 2.10.6.4).
 */
static nfsstat4
put_result(struct compound *c, nfs_resop4 *res, nfsstat4 status, uint32_t start)
{
	bool ok = true;
	if (!c->encoded || status != NFS4_OK) {
		reply_rewind(c, start);
		res->nfs_resop4_u.opillegal.status = status;	/* every result begins with its status */
		ok = encode_result(c, res, start);
	}
	if (status == NFS4_OK && (!ok || reply_too_big(c, reply_used(c)))) {
		reply_rewind(c, start);
		status = too_big_status(c);
		memset(res, 0, sizeof *res);
		res->nfs_resop4_u.opillegal.status = status;
		ok = encode_result(c, res, start);
	}
	if (ok) {
		c->results++;
		op_count(c->op);
	}
	return ok ? status : NFS4ERR_SERVERFAULT;
}

/* ---- one operation ---- */

/* The row of an operation that exists at this minor version; NULL: OP_ILLEGAL. */
static const struct op_row *
row_find(uint32_t op, uint32_t minor)
{
	if (op >= OP_ROWS)
		return NULL;
	const struct op_row *row = &op_rows[op];
	if (!row->run && !(row->flags & OPF_UNSUPPORTED))
		return NULL;
	return (row->flags & OPF_V42) && minor < 2 ? NULL : row;
}

/* May the operation stand where it stands (RFC 8881 2.10.6.1.3, 18.46.3)? */
static nfsstat4
gate_position(const struct compound *c, const struct op_row *row)
{
	if (c->index == 0) {
		if (row->flags & OPF_FIRST)
			return NFS4_OK;
		if (!(row->flags & OPF_NO_SESSION))
			return NFS4ERR_OP_NOT_IN_SESSION;
		return c->nops == 1 ? NFS4_OK : NFS4ERR_NOT_ONLY_OP;
	}
	if (row->flags & OPF_FIRST)
		return NFS4ERR_SEQUENCE_POS;
	return c->uncached_retry ? NFS4ERR_RETRY_UNCACHED_REP : NFS4_OK;
}

nfsstat4
compound_check_mach(const struct compound *c, const struct client *client)
{
	if (!client->mach_cred)
		return NFS4_OK;
	return c->gss.ctx && c->gss.service >= (uint32_t)RPC_GSS_SVC_INTEGRITY && client_same_principal(client, &c->rpc_cred) ?
	    NFS4_OK : NFS4ERR_WRONG_CRED;
}

/* Of spo_must_allow, and by the machine's credential: whatever the export's flavors (RFC 8881 2.10.8.3). */
static bool
mach_allowed(const struct compound *c, uint32_t op)
{
	return c->client && c->client->mach_cred && op < 64 && c->client->mach_allow[op / 32] >> op % 32 & 1 &&
	    compound_check_mach(c, c->client) == NFS4_OK;
}

/* Does it have what it needs?  After its arguments were decoded. */
static nfsstat4
gate_needs(struct compound *c, const struct op_row *row)
{
	if ((row->flags & OPF_UNSUPPORTED) || ((row->flags & OPF_V41_ONLY) && c->minor > 1))
		return NFS4ERR_NOTSUPP;
	if (((row->flags & OPF_FH) && !c->cur) || ((row->flags & OPF_SAVED) && !c->saved))
		return NFS4ERR_NOFILEHANDLE;
	/* RFC 8881 2.6.3.1: what was put for LOOKUP or SECINFO to come is for them; of RENAME and LINK both are judged. */
	if (((row->flags & OPF_FH) && c->wrongsec && !(row->flags & OPF_ANYSEC) && !mach_allowed(c, c->op)) ||
	    ((row->flags & (OPF_SAVED | OPF_FH)) == (OPF_SAVED | OPF_FH) && c->saved_wrongsec))
		return NFS4ERR_WRONGSEC;
	if (row->flags & OPF_MODIFIES) {
		uint32_t bound = 4 + (row->reply_max ? row->reply_max : MODIFIES_BOUND);
		if (reply_too_big(c, reply_used(c) + bound))
			return too_big_status(c);
	}
	return NFS4_OK;
}

/* RFC 8881 2.6.3.1.1: what a filehandle was put for; none is fine, too. */
static bool
next_judges(struct compound *c)
{
	uint32_t op;
	if (c->index + 1 >= c->nops)
		return true;
	if (ax_left(&c->in) < 4)
		return false;
	memcpy(&op, ax_pos(&c->in), 4);
	op = be32toh(op);
	const struct op_row *row = row_find(op, c->minor);
	return row && (row->flags & (OPF_PUTFH | OPF_ANYSEC) || mach_allowed(c, op));
}

static bool
decode_args(struct compound *c, nfs_argop4 *arg)
{
	const struct op_xdr *codec = nfs4_op_xdr(c->op);
	arg->argop = (nfs_opnum4)c->op;
	return codec->args(&c->in, &arg->nfs_argop4_u);
}

static nfsstat4
op_execute(struct compound *c, const struct op_row *row, nfs_resop4 *res)
{
	nfs_argop4 arg;
	memset(&arg, 0, sizeof arg);
	nfsstat4 status = gate_position(c, row);
	if (status != NFS4_OK)
		return status;
	if (c->on_loop && (row->flags & OPF_BLOCKS))
		return OP_WORKER;
	if (!decode_args(c, &arg))
		return NFS4ERR_BADXDR;
	c->next_judges = row->flags & OPF_PUTFH && next_judges(c);
	status = gate_needs(c, row);
	return status == NFS4_OK ? row->run(c, &arg, res) : status;
}

static bool
is_internal(nfsstat4 status)
{
	return status == OP_WORKER || status == OP_DROP || status == OP_REPLAYED;
}

/* Run the operation at c->index.  On OP_WORKER nothing has changed. */
static nfsstat4
compound_op(struct compound *c)
{
	nfs_resop4 res;
	uint32_t op_pos = ax_used(&c->in), start = ax_used(&c->out);
	memset(&res, 0, sizeof res);	/* no byte of ours goes out by mistake (PITFALLS E13) */
	c->encoded = false;

	nfsstat4 status;
	const struct op_row *row = NULL;
	if (!ax_get_u32(&c->in, &c->op)) {
		c->op = OP_ILLEGAL;
		status = NFS4ERR_BADXDR;
	} else if (!(row = row_find(c->op, c->minor))) {
		c->op = OP_ILLEGAL;	/* RFC 8881 16.2.3: OP_ILLEGAL instead of the number */
		status = NFS4ERR_OP_ILLEGAL;
	} else {
		status = op_execute(c, row, &res);
	}
	if (!is_internal(status))
		return put_result(c, &res, status, start);
	if (status == OP_WORKER) {
		uint32_t len = ax_used(&c->in) + ax_left(&c->in);
		ax_init(&c->in, c->in.x_base, len, XDR_DECODE, &c->arena);
		ax_take(&c->in, op_pos);
		reply_rewind(c, start);
	}
	return status;
}

/* ---- the whole ---- */

/* Answer, give the slot back, let go of everything. */
static void
compound_end(struct compound *c, nfsstat4 status)
{
	if (status != OP_REPLAYED && status != OP_DROP) {
		uint8_t *body = c->reply->data + RPC_REPLY_HEADER;
		uint32_t be_status = htobe32((uint32_t)status), be_count = htobe32(c->results);
		memcpy(body, &be_status, 4);
		memcpy(body + c->results_pos, &be_count, 4);
		c->reply->len = reply_used(c);
	}
	if (c->slot)
		session_slot_done(c->session, c->slot, c->cache_this ? c->reply->data + RPC_REPLY_HEADER : NULL,
		    c->reply->len - RPC_REPLY_HEADER);
	if (status == OP_DROP) {
		rpc_out_put(c->reply);
		gss_use_drop(&c->gss);
	} else {
		gss_send(c->conn->peer, &c->gss, c->reply);
	}
	if (c->cur)
		inode_put(c->cur);
	if (c->saved)
		inode_put(c->saved);
	if (!c->on_loop) {
		if (c->session)
			session_put(c->mds, c->session);
		rpc_rec_put(c->rec);
		conn_work_end(c->conn);
	}
	compound_free(c);
}

static void compound_work(struct work *work);

static void
compound_run(struct compound *c)
{
	nfsstat4 status = NFS4_OK;
	while (c->index < c->nops) {
		status = compound_op(c);
		if (status != NFS4_OK)
			break;
		c->index++;
	}
	if (status != OP_WORKER) {
		compound_end(c, status);
		return;
	}
	/* On the loop its connection, the record and conn->last were there anyway. */
	rpc_rec_get(c->rec);
	if (c->session)
		session_get(c->session);
	conn_work_begin(c->conn);
	c->work.fn = compound_work;
	workers_submit(c->mds->workers, &c->work);
}

static void
compound_work(struct work *work)
{
	struct compound *c = (struct compound *)((char *)work - offsetof(struct compound, work));
	c->on_loop = false;
	compound_run(c);
}

/* COMPOUND4args up to the operations, and the same of the result.  False: garbage. */
static bool
compound_frame(struct compound *c, struct rpc_call *call, nfsstat4 *status)
{
	uint8_t *tag;
	uint32_t tag_len;
	ax_init(&c->in, call->args, call->args_len, XDR_DECODE, &c->arena);
	/* An operation takes 4 bytes at least: what cannot be is not begun. */
	if (!ax_get_opaque(&c->in, &tag, &tag_len, UINT32_MAX) || !ax_get_u32(&c->in, &c->minor) ||
	    !ax_get_u32(&c->in, &c->nops) || c->nops > ax_left(&c->in) / 4)
		return false;
	*status = NFS4_OK;
	if (c->minor < 1 || c->minor > 2)
		*status = NFS4ERR_MINOR_VERS_MISMATCH;
	else if (tag_len > TAG_MAX || !utf8_valid(tag, tag_len))
		*status = NFS4ERR_INVAL;
	if (tag_len > TAG_MAX)
		tag_len = 0;
	reply_rewind(c, 0);
	ax_put_u32(&c->out, NFS4_OK);
	ax_put_opaque(&c->out, tag, tag_len);
	c->results_pos = ax_used(&c->out);
	ax_put_u32(&c->out, 0);
	return true;
}

void
compound_start(struct mds *mds, struct conn *conn, struct rpc_call *call)
{
	struct compound *c = compound_alloc(mds);
	struct rpc_out *out = rpc_out_get(RPC_REPLY_HEADER + TAG_MAX + 512);
	if (!c || !out) {
		/* No answer: the client sends it again when the connection is closed. */
		struct gss_use use;
		gss_use_take(&use, call);
		gss_use_drop(&use);
		rpc_out_put(out);
		if (c)
			compound_free(c);
		rpc_peer_close(conn->peer);
		return;
	}
	c->conn = conn;
	c->rec = call->rec;
	c->rpc_cred.flavor = call->cred.flavor;
	c->rpc_cred.uid = call->cred.uid;
	c->rpc_cred.gid = call->cred.gid;
	c->rpc_cred.principal = call->cred.principal;
	c->rpc_cred.ngids = call->cred.ngids;
	memcpy(c->rpc_cred.gids, call->cred.gids, call->cred.ngids * sizeof call->cred.gids[0]);
	gss_use_take(&c->gss, call);
	c->sec = EXPORT_SEC_SYS << (c->gss.ctx ? c->gss.service : 0);
	c->xid = call->xid;
	c->record_len = call->record_len;
	c->reply = out;
	c->on_loop = true;
	c->max_reply = NO_SESSION_REPLY;

	nfsstat4 status;
	rpc_reply_header(out, call->xid, RPC_OK, 0, 0);
	if (!compound_frame(c, call, &status)) {
		rpc_reply_header(out, call->xid, RPC_GARBAGE_ARGS, 0, 0);
		compound_end(c, OP_REPLAYED);
	} else if (status != NFS4_OK) {
		compound_end(c, status);
	} else {
		compound_run(c);
	}
}
