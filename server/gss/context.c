/* Contexts, and the calls that come under them; see gss.h. */
/* A failed allocation must not end the process (uthash's default). */
#define HASH_NONFATAL_OOM 1
#include "server/gss/gss_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "include/cleanup.h"
#include "proto/x/nfs4.h"
#include "server/mds.h"
#include "server/net/conn.h"

struct gss_ctx *
gss_ctx_new(void)
{
	struct gss_ctx *ctx = calloc(1, sizeof *ctx);
	if (!ctx)
		return NULL;
	if (getrandom(ctx->handle, sizeof ctx->handle, 0) != sizeof ctx->handle) {
		free(ctx);
		return NULL;
	}
	atomic_init(&ctx->refs, 1);
	ctx->embryo = GSS_C_NO_CONTEXT;
	pthread_mutex_init(&ctx->lock, NULL);
	return ctx;
}

struct gss_ctx *
gss_ctx_get(struct gss_ctx *ctx)
{
	atomic_fetch_add_explicit(&ctx->refs, 1, memory_order_relaxed);
	return ctx;
}

void
gss_ctx_put(struct gss_ctx *ctx)
{
	OM_uint32 minor;
	if (!ctx || atomic_fetch_sub_explicit(&ctx->refs, 1, memory_order_acq_rel) != 1)
		return;
	if (ctx->embryo != GSS_C_NO_CONTEXT)
		gss_delete_sec_context(&minor, &ctx->embryo, GSS_C_NO_BUFFER);
	rpc_gss_put(ctx->gss);
	free(ctx->who.principal);
	pthread_mutex_destroy(&ctx->lock);
	free(ctx);
}

/* ---- the table; its lock held ---- */

static struct gss_list *
list_of(struct gss_server *gs, const struct gss_ctx *ctx, unsigned **n)
{
	*n = ctx->gss ? &gs->nestablished : &gs->nembryos;
	return ctx->gss ? &gs->established : &gs->embryos;
}

/* The table's reference is then the caller's. */
static void
table_remove(struct gss_server *gs, struct gss_ctx *ctx)
{
	unsigned *n;
	struct gss_list *list = list_of(gs, ctx, &n);
	TAILQ_REMOVE(list, ctx, lru);
	--*n;
	HASH_DEL(gs->by_handle, ctx);
	ctx->tabled = false;
}

static struct gss_ctx *
table_find(struct gss_server *gs, const uint8_t *handle, uint32_t len)
{
	struct gss_ctx *ctx = NULL;
	if (len == GSS_HANDLE)
		HASH_FIND(hh, gs->by_handle, handle, GSS_HANDLE, ctx);
	return ctx;
}

/* The one that has to make room, NULL: there is some. */
static struct gss_ctx *
table_victim(struct gss_server *gs, const struct gss_ctx *for_ctx)
{
	unsigned *n;
	struct gss_list *list = list_of(gs, for_ctx, &n);
	return *n >= (for_ctx->gss ? GSS_MAX_CONTEXTS : GSS_MAX_EMBRYOS) ? TAILQ_FIRST(list) : NULL;
}

void
gss_ctx_remove(struct gss_server *gs, struct gss_ctx *ctx)
{
	pthread_mutex_lock(&gs->lock);
	bool was = ctx->tabled;
	if (was)
		table_remove(gs, ctx);
	pthread_mutex_unlock(&gs->lock);
	if (was)
		gss_ctx_put(ctx);
}

void
gss_ctx_enter(struct gss_server *gs, struct gss_ctx *ctx, uint64_t expires_ms)
{
	unsigned *n;
	pthread_mutex_lock(&gs->lock);
	ctx->expires_ms = expires_ms;
	struct gss_ctx *victim = table_victim(gs, ctx);
	if (victim)
		table_remove(gs, victim);
	HASH_ADD(hh, gs->by_handle, handle, GSS_HANDLE, ctx);
	if (ctx->hh.tbl) {	/* else the client will be told that there is none */
		TAILQ_INSERT_TAIL(list_of(gs, ctx, &n), ctx, lru);
		++*n;
		ctx->tabled = true;
		gss_ctx_get(ctx);
	}
	pthread_mutex_unlock(&gs->lock);
	gss_ctx_put(victim);
}

struct gss_ctx *
gss_embryo_take(struct gss_server *gs, const uint8_t *handle, uint32_t len)
{
	LOCK_SCOPE(&gs->lock);
	struct gss_ctx *ctx = table_find(gs, handle, len);
	if (!ctx || ctx->gss)
		return NULL;
	/* With what comes of the step it gets into the right list. */
	table_remove(gs, ctx);
	return ctx;
}

/* An established one, referenced, now the most recently used. */
static struct gss_ctx *
ctx_find(struct gss_server *gs, const struct rpc_gss_cred *cred)
{
	struct gss_ctx *old = NULL;
	pthread_mutex_lock(&gs->lock);
	struct gss_ctx *ctx = table_find(gs, cred->handle, cred->handle_len);
	if (ctx && !ctx->gss)
		ctx = NULL;
	if (ctx && ctx->expires_ms <= mds_now_ms()) {
		table_remove(gs, ctx);
		old = ctx;
		ctx = NULL;
	}
	if (ctx) {
		TAILQ_REMOVE(&gs->established, ctx, lru);
		TAILQ_INSERT_TAIL(&gs->established, ctx, lru);
		gss_ctx_get(ctx);
	}
	pthread_mutex_unlock(&gs->lock);
	gss_ctx_put(old);
	return ctx;
}

/* ---- calls ---- */

static void
answer(struct conn *conn, struct rpc_call *call, enum rpc_status status, struct gss_use *use)
{
	struct gss_use none = { .ctx = NULL };
	struct rpc_out *out = rpc_out_get(RPC_REPLY_HEADER + 8);
	if (!out) {
		if (use)
			gss_use_drop(use);
		return;
	}
	rpc_reply_header(out, call->xid, status, 0, 0);
	gss_send(conn->peer, use ? use : &none, out);
}

/* RFC 2203 5.3.3.1 to 5.3.3.3: RPC_OK, or why not.  *drop: not even that. */
static enum rpc_status
call_verify(struct gss_ctx *ctx, const struct rpc_gss_cred *cred, bool *drop)
{
	*drop = false;
	if (cred->verf_flavor != RPCSEC_GSS ||
	    rpc_gss_verify(ctx->gss, cred->header, cred->header_len, cred->mic, cred->mic_len))
		return RPC_AUTH_GSS_CRED;
	if (cred->seq >= RPC_GSS_MAXSEQ)
		return RPC_AUTH_GSS_CTX;
	/* Only now: what is not signed moves no window. */
	LOCK_SCOPE(&ctx->lock);
	*drop = !rpc_gss_window_take(&ctx->window, cred->seq);
	return RPC_OK;
}

/* DATA, DESTROY. */
static bool
call_under(struct gss_server *gs, struct conn *conn, struct rpc_call *call)
{
	const struct rpc_gss_cred *cred = &call->gss;
	bool drop, destroy = cred->proc == RPC_GSS_DESTROY;
	if (cred->service < RPC_GSS_NONE || cred->service > RPC_GSS_PRIVACY || (destroy && call->proc != NFSPROC4_NULL)) {
		answer(conn, call, RPC_AUTH_BADCRED, NULL);
		return false;
	}
	struct gss_ctx *ctx = ctx_find(gs, cred);
	if (!ctx) {
		answer(conn, call, RPC_AUTH_GSS_CRED, NULL);
		return false;
	}
	enum rpc_status status = call_verify(ctx, cred, &drop);
	if (status != RPC_OK || drop) {
		gss_ctx_put(ctx);
		if (!drop)
			answer(conn, call, status, NULL);
		return false;
	}
	struct gss_use use = { ctx, destroy ? (uint32_t)RPC_GSS_NONE : cred->service, cred->seq };
	if (destroy) {
		gss_ctx_remove(gs, ctx);
		answer(conn, call, RPC_OK, &use);
		return false;
	}
	if (rpc_gss_open(ctx->gss, cred->service, cred->seq, &call->args, &call->args_len)) {
		answer(conn, call, RPC_GARBAGE_ARGS, &use);	/* RFC 2203 5.3.3.4.2, 5.3.3.4.3 */
		return false;
	}
	call->cred.uid = ctx->who.uid;
	call->cred.gid = ctx->who.gid;
	call->cred.principal = ctx->who.principal;
	call->gss.ctx = ctx;
	return true;
}

bool
gss_call(struct mds *mds, struct conn *conn, struct rpc_call *call)
{
	struct gss_server *gs = mds->gss;
	switch (gs ? call->gss.proc : UINT32_MAX) {
	case RPC_GSS_DATA:
	case RPC_GSS_DESTROY:
		return call_under(gs, conn, call);
	case RPC_GSS_INIT:
	case RPC_GSS_CONTINUE_INIT:
		/* RFC 2203 5.2.2: they come by the NULL procedure, and are not verified yet. */
		if (call->proc == NFSPROC4_NULL && call->gss.verf_flavor == AUTH_NONE) {
			gss_accept(gs, conn, call);
			return false;
		}
		break;
	}
	answer(conn, call, RPC_AUTH_BADCRED, NULL);
	return false;
}

void
gss_use_drop(struct gss_use *use)
{
	gss_ctx_put(use->ctx);
	use->ctx = NULL;
}

void
gss_send(struct rpc_peer *peer, struct gss_use *use, struct rpc_out *out)
{
	/* Without its seal it must not go out; the client sends the call again. */
	if (use->ctx && rpc_gss_seal_reply(use->ctx->gss, use->service, use->seq, &out)) {
		rpc_out_put(out);
		rpc_peer_close(peer);
	} else {
		rpc_peer_send(peer, out);
	}
	gss_use_drop(use);
}

/* ---- the whole ---- */

int
gss_server_new(struct mds *mds)
{
	struct gss_server *gs = calloc(1, sizeof *gs);
	if (!gs)
		return -ENOMEM;
	gs->mds = mds;
	pthread_mutex_init(&gs->lock, NULL);
	TAILQ_INIT(&gs->established);
	TAILQ_INIT(&gs->embryos);
	mds->gss = gs;
	return 0;
}

void
gss_server_tick(struct mds *mds, uint64_t now_ms)
{
	struct gss_server *gs = mds->gss;
	struct gss_list old = TAILQ_HEAD_INITIALIZER(old);
	struct gss_ctx *ctx, *tmp;
	if (now_ms < gs->swept_ms + GSS_SWEEP_MS)
		return;
	gs->swept_ms = now_ms;
	pthread_mutex_lock(&gs->lock);
	HASH_ITER(hh, gs->by_handle, ctx, tmp)
		if (ctx->expires_ms <= now_ms) {
			table_remove(gs, ctx);
			TAILQ_INSERT_TAIL(&old, ctx, lru);
		}
	pthread_mutex_unlock(&gs->lock);
	while ((ctx = TAILQ_FIRST(&old)) != NULL) {
		TAILQ_REMOVE(&old, ctx, lru);
		gss_ctx_put(ctx);
	}
}

void
gss_server_free(struct mds *mds)
{
	if (!mds->gss)
		return;
	gss_server_tick(mds, UINT64_MAX);
	pthread_mutex_destroy(&mds->gss->lock);
	free(mds->gss);
	mds->gss = NULL;
}
