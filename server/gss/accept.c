/*
 * Establishment of contexts (RFC 2203 5.2): INIT and CONTINUE_INIT, on a worker, since GSS-API reads the keytab and the name service is asked for the caller's
 * account.  One round trip with krb5.
 */
#include "server/gss/gss_private.h"

#include <errno.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/mds.h"
#include "server/net/conn.h"
#include "server/net/worker.h"

struct step {
	struct work work;
	struct gss_server *gs;
	struct conn *conn;		/* by conn_work_begin() */
	struct gss_ctx *ctx;		/* referenced */
	uint32_t xid, token_len;
	uint8_t token[];
};

/* Our name in tickets: principal=, else any nfs/HOST that the keytab has a key of. */
static OM_uint32
server_name(const struct mds_conf *conf, OM_uint32 *minor, gss_name_t *name)
{
	const char *text = conf->principal ? conf->principal : "nfs";
	gss_buffer_desc buf = { strlen(text), (void *)(uintptr_t)text };
	return gss_import_name(minor, &buf,
	    conf->principal ? (gss_OID)(uintptr_t)GSS_KRB5_NT_PRINCIPAL_NAME : GSS_C_NT_HOSTBASED_SERVICE, name);
}

/* Each time anew: a keytab may be replaced while we run. */
static OM_uint32
server_cred(const struct mds_conf *conf, OM_uint32 *minor, gss_cred_id_t *cred)
{
	gss_OID_set_desc krb5 = { 1, (gss_OID)(uintptr_t)gss_mech_krb5 };
	gss_key_value_element_desc element = { "keytab", conf->keytab };
	gss_key_value_set_desc store = { 1, &element };
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 ignored, major = server_name(conf, minor, &name);
	if (!GSS_ERROR(major))
		major = gss_acquire_cred_from(minor, name, GSS_C_INDEFINITE, &krb5, GSS_C_ACCEPT,
		    conf->keytab ? &store : GSS_C_NO_CRED_STORE, cred, NULL, NULL);
	gss_release_name(&ignored, &name);
	return major;
}

int
gss_server_check(struct mds *mds, char **why)
{
	gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
	OM_uint32 minor, ignored, major = server_cred(&mds->conf, &minor, &cred);
	*why = NULL;
	if (GSS_ERROR(major)) {
		*why = gss_words(major, minor);
		return -ENOKEY;
	}
	gss_release_cred(&ignored, &cred);
	return 0;
}

/* A reply with results; VERF of the window once there is something to sign it by (RFC 2203 5.2.3.1). */
static struct rpc_out *
step_reply(const struct step *s, const struct rpc_gss_init_res *res, const uint8_t *mic, uint32_t mic_len)
{
	XDR x;
	struct rpc_out *out = rpc_out_get(256 + RPC_GSS_MAX_MIC + GSS_HANDLE + res->token_len);
	if (!out)
		return NULL;
	ax_init(&x, out->data, out->cap, XDR_ENCODE, NULL);
	bool ok = ax_put_u32(&x, s->xid) && ax_put_u32(&x, REPLY) && ax_put_u32(&x, MSG_ACCEPTED) &&
	    ax_put_u32(&x, mic_len ? RPCSEC_GSS : AUTH_NONE) && ax_put_opaque(&x, mic, mic_len) &&
	    ax_put_u32(&x, SUCCESS) && rpc_gss_init_res_put(&x, res);
	if (!ok) {
		rpc_out_put(out);
		return NULL;
	}
	out->len = ax_used(&x);
	return out;
}

static void
step_answer(struct step *s, const struct rpc_gss_init_res *res)
{
	uint8_t mic[RPC_GSS_MAX_MIC];
	uint32_t mic_len = 0, window = htobe32(RPC_GSS_WINDOW);
	bool ok = !s->ctx->gss || rpc_gss_sign(s->ctx->gss, &window, 4, mic, &mic_len) == 0;
	struct rpc_out *out = ok ? step_reply(s, res, mic, mic_len) : NULL;
	if (out)
		rpc_peer_send(s->conn->peer, out);
	else
		rpc_peer_close(s->conn->peer);
}

/* What GSS-API has to say of the token. */
static OM_uint32
step_accept(struct step *s, OM_uint32 *minor, gss_buffer_t token, gss_name_t *name, gss_OID *mech, OM_uint32 *life)
{
	gss_cred_id_t cred = GSS_C_NO_CREDENTIAL;
	gss_buffer_desc in = { s->token_len, s->token };
	OM_uint32 ignored, flags, major = server_cred(&s->gs->mds->conf, minor, &cred);
	if (GSS_ERROR(major))
		return major;
	major = gss_accept_sec_context(minor, &s->ctx->embryo, cred, &in, GSS_C_NO_CHANNEL_BINDINGS, name, mech, token,
	    &flags, life, NULL);
	gss_release_cred(&ignored, &cred);
	return major;
}

/* Established: whose it is, and into the table. */
static int
step_established(struct step *s, gss_name_t name, gss_OID mech, OM_uint32 life)
{
	struct gss_ctx *ctx = s->ctx;
	int err = gss_who_find(&ctx->who, name, mech);
	if (err)
		return err;
	struct rpc_gss *gss = rpc_gss_new(ctx->embryo);
	ctx->embryo = GSS_C_NO_CONTEXT;
	if (!gss)
		return -ENOMEM;
	ctx->gss = gss;
	if (life > GSS_MAX_LIFE_S)
		life = GSS_MAX_LIFE_S;
	gss_ctx_enter(s->gs, ctx, mds_now_ms() + (uint64_t)life * 1000);
	log_debug("gss: a context of %s (%s %u)", ctx->who.principal, ctx->who.anonymous ? "anonymous, not" : "uid",
	    (unsigned)ctx->who.uid);
	return 0;
}

/* Anybody may send nonsense: once a second is told. */
static void
step_refused(struct gss_server *gs, OM_uint32 major, OM_uint32 minor)
{
	uint64_t now = mds_now_ms(), told = atomic_load(&gs->told_ms);
	if ((told && now - told < 1000) || !atomic_compare_exchange_strong(&gs->told_ms, &told, now))
		return;
	CLEANUP_FREE char *words = gss_words(major, minor);
	log_warn("gss: a client is refused a context: %s", words ? words : "no memory");
}

static void
step_run(struct work *work)
{
	struct step *s = (struct step *)((char *)work - offsetof(struct step, work));
	gss_buffer_desc token = GSS_C_EMPTY_BUFFER;
	gss_name_t name = GSS_C_NO_NAME;
	gss_OID mech = GSS_C_NO_OID;
	OM_uint32 minor = 0, ignored, life = 0;
	OM_uint32 major = step_accept(s, &minor, &token, &name, &mech, &life);
	if (major == GSS_S_COMPLETE && step_established(s, name, mech, life))
		major = GSS_S_FAILURE;
	else if (!GSS_ERROR(major) && (major & GSS_S_CONTINUE_NEEDED))
		gss_ctx_enter(s->gs, s->ctx, mds_now_ms() + GSS_EMBRYO_MS);
	bool ok = !GSS_ERROR(major);
	if (!ok)
		step_refused(s->gs, major, minor);
	struct rpc_gss_init_res res = { .handle = s->ctx->handle, .handle_len = ok ? GSS_HANDLE : 0,
		.major = ok ? major & GSS_S_CONTINUE_NEEDED : major, .minor = minor, .window = ok ? RPC_GSS_WINDOW : 0,
		.token = token.value, .token_len = token.length <= RPC_GSS_MAX_TOKEN ? (uint32_t)token.length : 0 };
	step_answer(s, &res);
	gss_release_buffer(&ignored, &token);
	gss_release_name(&ignored, &name);
	gss_ctx_put(s->ctx);
	atomic_fetch_sub(&s->gs->steps, 1);
	conn_work_end(s->conn);
	free(s);
}

static void
refuse(struct conn *conn, struct rpc_call *call, enum rpc_status status)
{
	struct rpc_out *out = rpc_out_get(RPC_REPLY_HEADER);
	if (!out)
		return;
	rpc_reply_header(out, call->xid, status, 0, 0);
	rpc_peer_send(conn->peer, out);
}

void
gss_accept(struct gss_server *gs, struct conn *conn, struct rpc_call *call)
{
	XDR x;
	uint8_t *token;
	uint32_t len;
	ax_init(&x, call->args, call->args_len, XDR_DECODE, NULL);
	if (!ax_get_opaque(&x, &token, &len, RPC_GSS_MAX_TOKEN) || ax_left(&x)) {
		refuse(conn, call, RPC_GARBAGE_ARGS);
		return;
	}
	if (atomic_fetch_add(&gs->steps, 1) >= GSS_MAX_STEPS) {
		atomic_fetch_sub(&gs->steps, 1);
		refuse(conn, call, RPC_SYSTEM_ERR);
		return;
	}
	bool begin = call->gss.proc == RPC_GSS_INIT;
	struct gss_ctx *ctx = begin ? gss_ctx_new() : gss_embryo_take(gs, call->gss.handle, call->gss.handle_len);
	struct step *s = ctx ? malloc(sizeof *s + len) : NULL;
	if (!s) {
		gss_ctx_put(ctx);
		atomic_fetch_sub(&gs->steps, 1);
		refuse(conn, call, begin || ctx ? RPC_SYSTEM_ERR : RPC_AUTH_GSS_CRED);
		return;
	}
	*s = (struct step){ .work.fn = step_run, .gs = gs, .conn = conn, .ctx = ctx, .xid = call->xid, .token_len = len };
	memcpy(s->token, token, len);
	conn_work_begin(conn);
	workers_submit(gs->mds->workers, &s->work);
}
