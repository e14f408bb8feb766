/* RPC message headers, both ways; see rpc_msg.h and peer.h. */
#include "proto/rpc/rpc_msg.h"

#include <errno.h>
#include <string.h>

#include "proto/xdr/xdr_arena.h"

#define MAX_AUTH 400u		/* RFC 5531 8.2: bytes of an opaque_auth body */
#define GSS_VERSION 1u		/* RFC 2203 5.3.1 */
#define MAX_MACHINE 255u	/* RFC 5531 appendix A */
#define NOBODY 65534u

/* RFC 5531 9: names of rpc/rpc_msg.h and rpc/auth.h are used where there are any */
enum { REPLY_ACCEPTED, REPLY_DENIED };
enum { REJECT_MISMATCH, REJECT_AUTH };

int
rpc_msg_type(const uint8_t *data, uint32_t len, uint32_t *xid, enum rpc_msg_type *type)
{
	uint32_t word[2];
	if (len < 8)
		return -EBADMSG;
	memcpy(word, data, 8);
	*xid = be32toh(word[0]);
	*type = be32toh(word[1]);
	return *type == RPC_MSG_CALL || *type == RPC_MSG_REPLY ? 0 : -EBADMSG;
}

/* RFC 5531 appendix A; nothing may be left over. */
static bool
cred_sys(uint8_t *body, uint32_t len, struct rpc_cred *cred)
{
	XDR x;
	uint32_t stamp, name_len;
	uint8_t *name;
	ax_init(&x, body, len, XDR_DECODE, NULL);
	if (!ax_get_u32(&x, &stamp) || !ax_get_opaque(&x, &name, &name_len, MAX_MACHINE) ||
	    !ax_get_u32(&x, &cred->uid) || !ax_get_u32(&x, &cred->gid) ||
	    !ax_get_u32(&x, &cred->ngids) || cred->ngids > RPC_MAX_GROUPS)
		return false;
	for (uint32_t i = 0; i < cred->ngids; i++)
		if (!ax_get_u32(&x, &cred->gids[i]))
			return false;
	return ax_left(&x) == 0;
}

/* RFC 2203 5.3.1: rpc_gss_cred_t; nothing may be left over. */
static bool
cred_gss(uint8_t *body, uint32_t len, struct rpc_gss_cred *gss)
{
	XDR x;
	uint32_t version;
	ax_init(&x, body, len, XDR_DECODE, NULL);
	return ax_get_u32(&x, &version) && version == GSS_VERSION && ax_get_u32(&x, &gss->proc) &&
	    ax_get_u32(&x, &gss->seq) && ax_get_u32(&x, &gss->service) &&
	    ax_get_opaque(&x, &gss->handle, &gss->handle_len, MAX_AUTH) && ax_left(&x) == 0;
}

static enum rpc_status
call_auth(XDR *x, struct rpc_call *call)
{
	uint32_t flavor, len, verf_flavor, verf_len;
	uint8_t *body, *verf;
	if (!ax_get_u32(x, &flavor) || !ax_get_opaque(x, &body, &len, MAX_AUTH))
		return RPC_AUTH_BADCRED;
	if (flavor == AUTH_SYS) {
		if (!cred_sys(body, len, &call->cred))
			return RPC_AUTH_BADCRED;
	} else if (flavor == RPCSEC_GSS) {
		if (!cred_gss(body, len, &call->gss))
			return RPC_AUTH_BADCRED;
		call->gss.header = (uint8_t *)x->x_base;
		call->gss.header_len = ax_used(x);
	} else if (flavor != AUTH_NONE) {
		return RPC_AUTH_BADCRED;
	}
	call->cred.flavor = flavor;
	if (!ax_get_u32(x, &verf_flavor) || !ax_get_opaque(x, &verf, &verf_len, MAX_AUTH))
		return RPC_AUTH_BADVERF;
	if (flavor == RPCSEC_GSS) {
		call->gss.verf_flavor = verf_flavor;
		call->gss.mic = verf;
		call->gss.mic_len = verf_len;
		return RPC_OK;
	}
	/* With the others the verifier is AUTH_NONE (RFC 5531 10.1, appendix A). */
	return verf_flavor == AUTH_NONE ? RPC_OK : RPC_AUTH_BADVERF;
}

int
rpc_msg_call(uint8_t *data, uint32_t len, struct rpc_call *call, enum rpc_status *status)
{
	XDR x;
	uint32_t type, version;
	/* Not the whole of it: groups and gss count only where the credential has set them. */
	call->cred.flavor = AUTH_NONE;
	call->cred.uid = call->cred.gid = NOBODY;
	call->cred.ngids = 0;
	call->cred.principal = NULL;
	call->rec = NULL;
	ax_init(&x, data, len, XDR_DECODE, NULL);
	if (!ax_get_u32(&x, &call->xid) || !ax_get_u32(&x, &type) ||
	    !ax_get_u32(&x, &version))
		return -EBADMSG;
	if (version != RPC_MSG_VERSION) {
		*status = RPC_BADVERS;
		return 0;
	}
	if (!ax_get_u32(&x, &call->prog) || !ax_get_u32(&x, &call->vers) ||
	    !ax_get_u32(&x, &call->proc))
		return -EBADMSG;
	*status = call_auth(&x, call);
	call->args = ax_pos(&x);
	call->args_len = ax_left(&x);
	call->record_len = len;
	return 0;
}

/* Why a call was denied (RFC 5531 9; RFC 2203 5.3.3.3). */
static int
reply_why(XDR *x)
{
	uint32_t why, auth;
	if (!ax_get_u32(x, &why) || why != REJECT_AUTH)
		return -EPROTO;
	if (ax_get_u32(x, &auth) && (auth == RPCSEC_GSS_CREDPROBLEM || auth == RPCSEC_GSS_CTXPROBLEM))
		return -EKEYEXPIRED;
	return -EACCES;
}

int
rpc_msg_reply(uint8_t *data, uint32_t len, struct rpc_reply *reply)
{
	XDR x;
	uint32_t xid, type, stat;
	ax_init(&x, data, len, XDR_DECODE, NULL);
	if (!ax_get_u32(&x, &xid) || !ax_get_u32(&x, &type) || !ax_get_u32(&x, &stat))
		return -EPROTO;
	if (stat == REPLY_DENIED)
		return reply_why(&x);
	if (stat != REPLY_ACCEPTED || !ax_get_u32(&x, &reply->verf_flavor) ||
	    !ax_get_opaque(&x, &reply->verf, &reply->verf_len, MAX_AUTH) || !ax_get_u32(&x, &stat) ||
	    stat != SUCCESS)
		return -EPROTO;
	reply->body = ax_pos(&x);
	reply->body_len = ax_left(&x);
	return 0;
}

/* ---- written ---- */

static void
reply_denied(XDR *x, enum rpc_status status)
{
	ax_put_u32(x, REPLY_DENIED);
	if (status == RPC_BADVERS) {
		ax_put_u32(x, REJECT_MISMATCH);
		ax_put_u32(x, RPC_MSG_VERSION);
		ax_put_u32(x, RPC_MSG_VERSION);
		return;
	}
	ax_put_u32(x, REJECT_AUTH);
	ax_put_u32(x, status == RPC_AUTH_TOOWEAK ? AUTH_TOOWEAK :
	    status == RPC_AUTH_BADVERF ? AUTH_BADVERF :
	    status == RPC_AUTH_GSS_CRED ? RPCSEC_GSS_CREDPROBLEM :
	    status == RPC_AUTH_GSS_CTX ? RPCSEC_GSS_CTXPROBLEM : AUTH_BADCRED);
}

void
rpc_reply_header(struct rpc_out *out, uint32_t xid, enum rpc_status status,
    uint32_t low, uint32_t high)
{
	static const uint32_t accept[] = {
		[RPC_OK] = SUCCESS, [RPC_PROG_UNAVAIL] = PROG_UNAVAIL,
		[RPC_PROG_MISMATCH] = PROG_MISMATCH, [RPC_PROC_UNAVAIL] = PROC_UNAVAIL,
		[RPC_GARBAGE_ARGS] = GARBAGE_ARGS, [RPC_SYSTEM_ERR] = SYSTEM_ERR,
	};
	XDR x;
	ax_init(&x, out->data, out->cap, XDR_ENCODE, NULL);
	ax_put_u32(&x, xid);
	ax_put_u32(&x, RPC_MSG_REPLY);
	if (status > RPC_SYSTEM_ERR) {
		reply_denied(&x, status);
	} else {
		ax_put_u32(&x, REPLY_ACCEPTED);
		ax_put_u32(&x, AUTH_NONE);
		ax_put_u32(&x, 0);
		ax_put_u32(&x, accept[status]);
		if (status == RPC_PROG_MISMATCH) {
			ax_put_u32(&x, low);
			ax_put_u32(&x, high);
		}
	}
	out->len = ax_used(&x);
}

void
rpc_call_header(struct rpc_out *out, uint32_t prog, uint32_t vers, uint32_t proc,
    const struct rpc_cred *cred, const char *machine)
{
	XDR x;
	ax_init(&x, out->data, out->cap, XDR_ENCODE, NULL);
	ax_put_u32(&x, 0);	/* xid */
	ax_put_u32(&x, RPC_MSG_CALL);
	ax_put_u32(&x, RPC_MSG_VERSION);
	ax_put_u32(&x, prog);
	ax_put_u32(&x, vers);
	ax_put_u32(&x, proc);
	ax_put_u32(&x, cred->flavor == AUTH_SYS ? AUTH_SYS : AUTH_NONE);
	if (cred->flavor == AUTH_SYS) {
		uint32_t name_len = machine ? (uint32_t)strnlen(machine, MAX_MACHINE) : 0;
		uint32_t ngids = cred->ngids < RPC_MAX_GROUPS ? cred->ngids : RPC_MAX_GROUPS;
		ax_put_u32(&x, 20 + name_len + ax_pad(name_len) + 4 * ngids);
		ax_put_u32(&x, 0);	/* stamp */
		ax_put_opaque(&x, machine, name_len);
		ax_put_u32(&x, cred->uid);
		ax_put_u32(&x, cred->gid);
		ax_put_u32(&x, ngids);
		for (uint32_t i = 0; i < ngids; i++)
			ax_put_u32(&x, cred->gids[i]);
	} else {
		ax_put_u32(&x, 0);
	}
	ax_put_u32(&x, AUTH_NONE);
	ax_put_u32(&x, 0);
	out->len = ax_used(&x);
}
