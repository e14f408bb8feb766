/* The bytes of callbacks (RFC 8881 20.2, 20.9); see cb_impl.h. */
#include <string.h>

#include "proto/nfs4/compound_xdr.h"
#include "proto/xdr/arena.h"
#include "server/cb/cb_impl.h"
#include "server/state/session.h"

#define CB_VERSION 1u
#define CB_HEADERS 1024u	/* RPC header with the longest AUTH_SYS, CB_COMPOUND's own, CB_SEQUENCE */

bool
cb_call_encode(struct cb_call *call, const nfs_cb_argop4 *arg)
{
	const struct op_xdr *codec = nfs4_cb_op_xdr((uint32_t)arg->argop);
	XDR x;
	ax_init(&x, call->args, sizeof call->args, XDR_ENCODE, NULL);
	if (!codec || !codec->args(&x, (void *)(uintptr_t)&arg->nfs_cb_argop4_u))
		return false;
	call->op = (uint32_t)arg->argop;
	call->len = ax_used(&x);
	return true;
}

/* The requests CALL refers to, a list for each. */
static void
cb_put_refs(CB_SEQUENCE4args *seq, const struct cb_call *call, referring_call_list4 *lists, referring_call4 *calls)
{
	for (unsigned i = 0; i < call->nrefs; i++) {
		memcpy(lists[i].rcl_sessionid, call->refs[i].session, NFS4_SESSIONID_SIZE);
		calls[i] = (referring_call4){ .rc_sequenceid = call->refs[i].seqid, .rc_slotid = call->refs[i].slot };
		lists[i].rcl_referring_calls.rcl_referring_calls_len = 1;
		lists[i].rcl_referring_calls.rcl_referring_calls_val = &calls[i];
	}
	seq->csa_referring_call_lists.csa_referring_call_lists_len = call->nrefs;
	seq->csa_referring_call_lists.csa_referring_call_lists_val = lists;
}

/* The body of a CB_COMPOUND at BUF; its length, 0 if it does not fit. */
static uint32_t
cb_put_body(const struct session *s, uint32_t seqid, const struct cb_call *call, bool refs, uint8_t *buf, uint32_t cap)
{
	referring_call_list4 lists[CB_MAX_REFS];
	referring_call4 calls[CB_MAX_REFS];
	CB_SEQUENCE4args seq = { .csa_sequenceid = seqid };
	struct compound_call cc;
	memcpy(seq.csa_sessionid, s->id, NFS4_SESSIONID_SIZE);
	if (call && refs)
		cb_put_refs(&seq, call, lists, calls);
	compound_cb_begin(&cc, buf, cap, "", s->minor, 0);
	compound_call_op(&cc, OP_CB_SEQUENCE, &seq);
	if (call) {
		XDR *x = compound_call_raw(&cc, call->op);
		uint8_t *p = x ? ax_take(x, call->len) : NULL;
		if (p)
			memcpy(p, call->args, call->len);
		else
			cc.failed = true;
	}
	return compound_call_end(&cc);
}

struct rpc_out *
cb_request(const struct session *s, uint32_t seqid, const struct cb_call *call)
{
	struct rpc_out *out = rpc_out_get(CB_HEADERS + CB_OP_MAX);
	if (!out)
		return NULL;
	/* In the session's own flavor (PITFALLS C10) and minor version (C11). */
	rpc_call_header(out, s->cb_program, CB_VERSION, CB_COMPOUND, &s->cb_cred, s->cb_machine);
	uint8_t *body = out->data + out->len;
	uint32_t cap = out->cap - out->len;
	uint32_t len = cb_put_body(s, seqid, call, true, body, cap);
	/* Referring calls help the client, but the callback goes without if they are too much for it. */
	if (len == 0 || out->len + len > s->back.ca_maxrequestsize)
		len = cb_put_body(s, seqid, call, false, body, cap);
	if (len == 0) {
		rpc_out_put(out);
		return NULL;
	}
	out->len += len;
	return out;
}

/* What an error of CB_SEQUENCE itself means (RFC 8881 20.9.4). */
static enum cb_outcome
cb_sequence_error(nfsstat4 status)
{
	switch (status) {
	case NFS4ERR_DELAY:
		return CB_LATER;
	case NFS4ERR_SEQ_FALSE_RETRY:
	case NFS4ERR_RETRY_UNCACHED_REP:
		return CB_STEP;
	case NFS4ERR_SEQ_MISORDERED:
		return CB_OUT_OF_STEP;
	case NFS4ERR_BADSESSION:
		return CB_UNKNOWN;
	default:
		return CB_REFUSED;
	}
}

enum cb_outcome
cb_reply_parse(uint8_t *body, uint32_t len, const uint8_t *sessionid, uint32_t seqid, bool probe,
    const struct cb_call *call, nfsstat4 *op_status)
{
	struct compound_results results;
	struct arena arena;
	nfs_cb_resop4 res;
	enum cb_outcome outcome = CB_REFUSED;
	arena_init(&arena, 64u << 10);
	memset(&res, 0, sizeof res);
	if (compound_results_begin(&results, body, len, &arena) < 0 ||
	    compound_cb_res_get(&results, OP_CB_SEQUENCE, &res) < 0)
		goto out;
	const CB_SEQUENCE4res *seq = &res.nfs_cb_resop4_u.opcbsequence;
	const CB_SEQUENCE4resok *ok = &seq->CB_SEQUENCE4res_u.csr_resok4;
	if (seq->csr_status != NFS4_OK) {
		outcome = cb_sequence_error(seq->csr_status);
		goto out;
	}
	if (memcmp(ok->csr_sessionid, sessionid, NFS4_SESSIONID_SIZE) != 0 || ok->csr_sequenceid != seqid ||
	    ok->csr_slotid != 0)
		goto out;
	outcome = CB_STEP;
	memset(&res, 0, sizeof res);
	if (!probe && compound_cb_res_get(&results, call->op, &res) == 0) {
		/* Every result begins with its status. */
		*op_status = res.nfs_cb_resop4_u.opcbillegal.status;
		if (*op_status != NFS4ERR_RETRY_UNCACHED_REP)
			outcome = CB_ANSWERED;
		if (outcome == CB_ANSWERED && call->take)
			call->take(call->done_arg, &res);
	}
out:
	arena_destroy(&arena);
	return outcome;
}
