/*
 * RPCSEC_GSS (RFC 2203) on MIT's GSS-API: what is done to each message under an established context, the same for both sides and both
 * directions.  Establishing one is server/gss/ and client/gss.c.
 *
 * libtirpc's svcauth_gss and authgss are bound to its own transports (ARCHITECTURE.md, decision 1); what is here calls
 * libgssapi_krb5 itself.
 */
#ifndef PNFS_PROTO_RPC_GSS_H
#define PNFS_PROTO_RPC_GSS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/rpc/peer.h"

enum rpc_gss_proc { RPC_GSS_DATA, RPC_GSS_INIT, RPC_GSS_CONTINUE_INIT, RPC_GSS_DESTROY };
enum rpc_gss_service { RPC_GSS_NONE = 1, RPC_GSS_INTEGRITY, RPC_GSS_PRIVACY };

#define RPC_GSS_VERSION 1u
#define RPC_GSS_MAXSEQ 0x80000000u	/* RFC 2203 5.3.3.1 */
#define RPC_GSS_MAX_MIC 256u		/* krb5's take 28 to 40 bytes */
#define RPC_GSS_MAX_HANDLE 128u
#define RPC_GSS_MAX_TOKEN (64u << 10)	/* of context establishment: tickets with a PAC are large */
/* Most bytes that a header with GSS and a sealed body take more than one with AUTH_NONE and a plain one. */
#define RPC_GSS_OVERHEAD 640u

/* ---- the sequence window (RFC 2203 5.3.3.1) ---- */

#define RPC_GSS_WINDOW 128u

struct rpc_gss_window {
	uint32_t high;			/* highest number seen */
	uint64_t seen[2];		/* bit i: high - i was seen */
};

/* Take SEQ, whose header has been verified.  False: a repetition, or too old to be told from one. */
bool rpc_gss_window_take(struct rpc_gss_window *w, uint32_t seq);

/* ---- an established context ---- */

/* Counted; any thread.  GSS-API's own object is used by one thread at a time. */
struct rpc_gss;

/* Takes CTX (gss_ctx_id_t) over, also when it fails: NULL without memory. */
struct rpc_gss *rpc_gss_new(void *ctx);
struct rpc_gss *rpc_gss_get(struct rpc_gss *gss);
void rpc_gss_put(struct rpc_gss *gss);

/* GSS_GetMIC and GSS_VerifyMIC of LEN bytes. 0 or -EPERM. */
int rpc_gss_sign(struct rpc_gss *gss, const void *data, uint32_t len, uint8_t mic[RPC_GSS_MAX_MIC], uint32_t *mic_len);
int rpc_gss_verify(struct rpc_gss *gss, const void *data, uint32_t len, const uint8_t *mic, uint32_t mic_len);

/*
 * Arguments or results as they came (RFC 2203 5.3.2.2, 5.3.2.3): *body and *len become the plain ones, in place.  -EBADMSG: not by the other side,
 * not of SEQ, or no such thing at all.
 */
int rpc_gss_open(struct rpc_gss *gss, uint32_t service, uint32_t seq, uint8_t **body, uint32_t *len);

/*
 * A reply built with rpc_reply_header() becomes one under GSS: the verifier is of SEQ, and results of an accepted call are sealed.
 * *out may be replaced.  On an error (-errno) it is of no use any more.
 */
int rpc_gss_seal_reply(struct rpc_gss *gss, uint32_t service, uint32_t seq, struct rpc_out **out);

/* ---- calls ---- */

struct rpc_gss_call {
	uint32_t xid, prog, vers, proc;
	uint32_t gss_proc, service, seq;
	const uint8_t *handle;
	uint32_t handle_len;
};

/* Header of a call into OUT, signed (GSS NULL: while a context is being established).  -EMSGSIZE, -EPERM. */
int rpc_gss_call_header(struct rpc_gss *gss, struct rpc_out *out, const struct rpc_gss_call *call);
/* Seal the arguments that stand from AT on in *out, which may be replaced. */
int rpc_gss_seal_call(struct rpc_gss *gss, uint32_t service, uint32_t seq, struct rpc_out **out, uint32_t at);
/* The answer to a call with SEQ: verifier and results.  0, -EKEYREJECTED. */
int rpc_gss_open_reply(struct rpc_gss *gss, uint32_t service, uint32_t seq, struct rpc_reply *reply);
/* An rpc_auth that does it; takes a reference of GSS.  NULL without memory. */
struct rpc_auth *rpc_gss_auth(struct rpc_gss *gss, uint32_t service, uint32_t seq);

/* ---- the answer to INIT and CONTINUE_INIT (RFC 2203 5.2.3.1) ---- */

struct rpc_gss_init_res {
	const uint8_t *handle;
	uint32_t handle_len, major, minor, window;
	const uint8_t *token;
	uint32_t token_len;
};

bool rpc_gss_init_res_put(XDR *x, const struct rpc_gss_init_res *res);
/* Points into BODY. */
bool rpc_gss_init_res_get(uint8_t *body, uint32_t len, struct rpc_gss_init_res *res);

#endif
