/* RPCSEC_GSS, message by message; see gss.h. */
#include "proto/rpc/gss.h"

#include <errno.h>
#include <gssapi/gssapi.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "proto/rpc/rpc_msg.h"
#include "proto/xdr/xdr_arena.h"

#define REPLY_STAT 20u		/* where accept_stat stands in a reply with AUTH_NONE */

struct rpc_gss {
	atomic_uint refs;
	pthread_mutex_t lock;
	gss_ctx_id_t ctx;
};

bool
rpc_gss_window_take(struct rpc_gss_window *w, uint32_t seq)
{
	if (seq > w->high) {
		uint32_t by = seq - w->high;
		if (by >= RPC_GSS_WINDOW)
			w->seen[0] = w->seen[1] = 0;
		else if (by >= 64)
			w->seen[1] = w->seen[0] << (by - 64), w->seen[0] = 0;
		else
			w->seen[1] = w->seen[1] << by | w->seen[0] >> (64 - by), w->seen[0] <<= by;
		w->seen[0] |= 1;
		w->high = seq;
		return true;
	}
	uint32_t back = w->high - seq;
	if (back >= RPC_GSS_WINDOW || w->seen[back / 64] >> back % 64 & 1)
		return false;
	w->seen[back / 64] |= 1ull << back % 64;
	return true;
}

/* ---- contexts ---- */

struct rpc_gss *
rpc_gss_new(void *ctx)
{
	OM_uint32 minor;
	gss_ctx_id_t id = ctx;
	struct rpc_gss *gss = malloc(sizeof *gss);
	if (!gss) {
		gss_delete_sec_context(&minor, &id, GSS_C_NO_BUFFER);
		return NULL;
	}
	atomic_init(&gss->refs, 1);
	pthread_mutex_init(&gss->lock, NULL);
	gss->ctx = id;
	return gss;
}

struct rpc_gss *
rpc_gss_get(struct rpc_gss *gss)
{
	atomic_fetch_add_explicit(&gss->refs, 1, memory_order_relaxed);
	return gss;
}

void
rpc_gss_put(struct rpc_gss *gss)
{
	OM_uint32 minor;
	if (!gss || atomic_fetch_sub_explicit(&gss->refs, 1, memory_order_acq_rel) != 1)
		return;
	gss_delete_sec_context(&minor, &gss->ctx, GSS_C_NO_BUFFER);
	pthread_mutex_destroy(&gss->lock);
	free(gss);
}

/* ---- one buffer ---- */

int
rpc_gss_sign(struct rpc_gss *gss, const void *data, uint32_t len, uint8_t mic[RPC_GSS_MAX_MIC], uint32_t *mic_len)
{
	OM_uint32 major, minor;
	gss_buffer_desc in = { len, (void *)(uintptr_t)data }, out = GSS_C_EMPTY_BUFFER;
	pthread_mutex_lock(&gss->lock);
	major = gss_get_mic(&minor, gss->ctx, GSS_C_QOP_DEFAULT, &in, &out);
	pthread_mutex_unlock(&gss->lock);
	bool ok = !GSS_ERROR(major) && out.length <= RPC_GSS_MAX_MIC;
	if (ok) {
		memcpy(mic, out.value, out.length);
		*mic_len = (uint32_t)out.length;
	}
	gss_release_buffer(&minor, &out);
	return ok ? 0 : -EPERM;
}

/* GSS-API's own notes on order and repetition (supplementary bits) do not count: RFC 2203 has its window. */
int
rpc_gss_verify(struct rpc_gss *gss, const void *data, uint32_t len, const uint8_t *mic, uint32_t mic_len)
{
	OM_uint32 major, minor;
	gss_qop_t qop;
	gss_buffer_desc in = { len, (void *)(uintptr_t)data }, token = { mic_len, (void *)(uintptr_t)mic };
	pthread_mutex_lock(&gss->lock);
	major = gss_verify_mic(&minor, gss->ctx, &in, &token, &qop);
	pthread_mutex_unlock(&gss->lock);
	return GSS_ERROR(major) ? -EPERM : 0;
}

/* TOKEN becomes what is wrapped in it, in place: that is shorter.  It has to have been encrypted. */
static bool
unwrap(struct rpc_gss *gss, uint8_t *token, uint32_t *len)
{
	OM_uint32 major, minor;
	int conf = 0;
	gss_qop_t qop;
	gss_buffer_desc in = { *len, token }, out = GSS_C_EMPTY_BUFFER;
	pthread_mutex_lock(&gss->lock);
	major = gss_unwrap(&minor, gss->ctx, &in, &out, &conf, &qop);
	pthread_mutex_unlock(&gss->lock);
	bool ok = !GSS_ERROR(major) && conf && out.length <= *len;
	if (ok) {
		if (out.length)
			memcpy(token, out.value, out.length);
		*len = (uint32_t)out.length;
	}
	gss_release_buffer(&minor, &out);
	return ok;
}

/* ---- bodies ---- */

int
rpc_gss_open(struct rpc_gss *gss, uint32_t service, uint32_t seq, uint8_t **body, uint32_t *len)
{
	XDR x;
	uint8_t *data, *mic;
	uint32_t data_len, mic_len, got;
	if (service == RPC_GSS_NONE)
		return 0;
	ax_init(&x, *body, *len, XDR_DECODE, NULL);
	if (!ax_get_opaque(&x, &data, &data_len, UINT32_MAX))
		return -EBADMSG;
	if (service == RPC_GSS_INTEGRITY) {
		if (!ax_get_opaque(&x, &mic, &mic_len, RPC_GSS_MAX_MIC) || rpc_gss_verify(gss, data, data_len, mic, mic_len))
			return -EBADMSG;
	} else if (service != RPC_GSS_PRIVACY || !unwrap(gss, data, &data_len)) {
		return -EBADMSG;
	}
	/* databody_integ and databody_priv: nothing behind them, the number inside is the header's. */
	if (ax_left(&x) || data_len < 4)
		return -EBADMSG;
	memcpy(&got, data, 4);
	if (be32toh(got) != seq)
		return -EBADMSG;
	*body = data + 4;
	*len = data_len - 4;
	return 0;
}

/* LEN bytes at BODY, before which 4 may be written over, go sealed behind what TO has. */
static int
put_sealed(struct rpc_gss *gss, uint32_t service, uint32_t seq, struct rpc_out *to, uint8_t *body, uint32_t len)
{
	XDR x;
	OM_uint32 major, minor;
	uint8_t mic[RPC_GSS_MAX_MIC];
	uint32_t mic_len, be_seq = htobe32(seq);
	int conf = 0;
	bool ok;
	ax_init(&x, to->data + to->len, to->cap - to->len, XDR_ENCODE, NULL);
	if (service == RPC_GSS_NONE) {
		uint8_t *p = ax_take(&x, len);
		if (p && len)
			memcpy(p, body, len);
		ok = p != NULL;
	} else if (service == RPC_GSS_INTEGRITY) {
		memcpy(body - 4, &be_seq, 4);
		ok = rpc_gss_sign(gss, body - 4, len + 4, mic, &mic_len) == 0 &&
		    ax_put_opaque(&x, body - 4, len + 4) && ax_put_opaque(&x, mic, mic_len);
	} else {
		memcpy(body - 4, &be_seq, 4);
		gss_buffer_desc in = { len + 4, body - 4 }, out = GSS_C_EMPTY_BUFFER;
		pthread_mutex_lock(&gss->lock);
		major = gss_wrap(&minor, gss->ctx, 1, GSS_C_QOP_DEFAULT, &in, &conf, &out);
		pthread_mutex_unlock(&gss->lock);
		ok = !GSS_ERROR(major) && conf && out.length <= UINT32_MAX / 2 &&
		    ax_put_opaque(&x, out.value, (uint32_t)out.length);
		gss_release_buffer(&minor, &out);
	}
	if (!ok)
		return -EPERM;
	to->len += ax_used(&x);
	return 0;
}

/* ---- replies ---- */

static bool
reply_header(struct rpc_gss *gss, uint32_t seq, const struct rpc_out *from, struct rpc_out *to)
{
	XDR x;
	uint8_t mic[RPC_GSS_MAX_MIC];
	uint32_t mic_len, be_seq = htobe32(seq);
	if (rpc_gss_sign(gss, &be_seq, 4, mic, &mic_len))
		return false;
	memcpy(to->data, from->data, 12);	/* xid, REPLY, MSG_ACCEPTED */
	ax_init(&x, to->data + 12, to->cap - 12, XDR_ENCODE, NULL);
	if (!ax_put_u32(&x, RPCSEC_GSS) || !ax_put_opaque(&x, mic, mic_len) ||
	    !ax_put_fixed(&x, from->data + REPLY_STAT, 4))
		return false;
	to->len = 12 + ax_used(&x);
	return true;
}

int
rpc_gss_seal_reply(struct rpc_gss *gss, uint32_t service, uint32_t seq, struct rpc_out **out)
{
	struct rpc_out *from = *out, *to;
	uint32_t stat, denied;
	if (from->len < RPC_REPLY_HEADER)
		return -EINVAL;
	memcpy(&denied, from->data + 8, 4);
	if (denied)
		return 0;	/* has no verifier */
	memcpy(&stat, from->data + REPLY_STAT, 4);
	to = rpc_out_get(from->len + RPC_GSS_OVERHEAD);
	if (!to)
		return -ENOMEM;
	/* RFC 2203 5.3.3.4: results are sealed, errors of RPC are not. */
	if (!reply_header(gss, seq, from, to) ||
	    put_sealed(gss, stat == 0 ? service : RPC_GSS_NONE, seq, to, from->data + RPC_REPLY_HEADER,
	    from->len - RPC_REPLY_HEADER)) {
		rpc_out_put(to);
		return -EPERM;
	}
	rpc_out_put(from);
	*out = to;
	return 0;
}

/* ---- calls ---- */

int
rpc_gss_call_header(struct rpc_gss *gss, struct rpc_out *out, const struct rpc_gss_call *call)
{
	XDR x;
	uint8_t mic[RPC_GSS_MAX_MIC];
	uint32_t mic_len = 0;
	uint32_t handle_len = call->handle_len;
	ax_init(&x, out->data, out->cap, XDR_ENCODE, NULL);
	const uint32_t head[] = { call->xid, RPC_MSG_CALL, RPC_MSG_VERSION, call->prog, call->vers, call->proc, RPCSEC_GSS,
		20 + handle_len + ax_pad(handle_len), RPC_GSS_VERSION, call->gss_proc, call->seq, call->service };
	if (handle_len > RPC_GSS_MAX_HANDLE)
		return -EMSGSIZE;
	for (unsigned i = 0; i < sizeof head / sizeof *head; i++)
		if (!ax_put_u32(&x, head[i]))
			return -EMSGSIZE;
	if (!ax_put_opaque(&x, call->handle, handle_len))
		return -EMSGSIZE;
	if (gss && rpc_gss_sign(gss, out->data, ax_used(&x), mic, &mic_len))
		return -EPERM;
	if (!ax_put_u32(&x, gss ? RPCSEC_GSS : AUTH_NONE) || !ax_put_opaque(&x, mic, mic_len))
		return -EMSGSIZE;
	out->len = ax_used(&x);
	return 0;
}

int
rpc_gss_seal_call(struct rpc_gss *gss, uint32_t service, uint32_t seq, struct rpc_out **out, uint32_t at)
{
	struct rpc_out *from = *out;
	if (service == RPC_GSS_NONE)
		return 0;
	struct rpc_out *to = rpc_out_get(from->len + RPC_GSS_OVERHEAD);
	if (!to)
		return -ENOMEM;
	memcpy(to->data, from->data, at);
	to->len = at;
	int err = put_sealed(gss, service, seq, to, from->data + at, from->len - at);
	if (err) {
		rpc_out_put(to);
		return err;
	}
	rpc_out_put(from);
	*out = to;
	return 0;
}

int
rpc_gss_open_reply(struct rpc_gss *gss, uint32_t service, uint32_t seq, struct rpc_reply *reply)
{
	uint32_t be_seq = htobe32(seq);
	if (reply->verf_flavor != RPCSEC_GSS || rpc_gss_verify(gss, &be_seq, 4, reply->verf, reply->verf_len) ||
	    rpc_gss_open(gss, service, seq, &reply->body, &reply->body_len))
		return -EKEYREJECTED;
	return 0;
}

struct gss_auth {
	struct rpc_auth auth;
	struct rpc_gss *gss;
	uint32_t service, seq;
};

static int
auth_open(struct rpc_auth *auth, struct rpc_reply *reply)
{
	struct gss_auth *a = (struct gss_auth *)auth;
	return rpc_gss_open_reply(a->gss, a->service, a->seq, reply);
}

static void
auth_drop(struct rpc_auth *auth)
{
	struct gss_auth *a = (struct gss_auth *)auth;
	rpc_gss_put(a->gss);
	free(a);
}

struct rpc_auth *
rpc_gss_auth(struct rpc_gss *gss, uint32_t service, uint32_t seq)
{
	struct gss_auth *a = malloc(sizeof *a);
	if (!a)
		return NULL;
	*a = (struct gss_auth){ { auth_open, auth_drop }, rpc_gss_get(gss), service, seq };
	return &a->auth;
}

/* ---- rpc_gss_init_res ---- */

bool
rpc_gss_init_res_put(XDR *x, const struct rpc_gss_init_res *res)
{
	return ax_put_opaque(x, res->handle, res->handle_len) && ax_put_u32(x, res->major) && ax_put_u32(x, res->minor) &&
	    ax_put_u32(x, res->window) && ax_put_opaque(x, res->token, res->token_len);
}

bool
rpc_gss_init_res_get(uint8_t *body, uint32_t len, struct rpc_gss_init_res *res)
{
	XDR x;
	uint8_t *handle, *token;
	ax_init(&x, body, len, XDR_DECODE, NULL);
	if (!ax_get_opaque(&x, &handle, &res->handle_len, RPC_GSS_MAX_HANDLE) || !ax_get_u32(&x, &res->major) ||
	    !ax_get_u32(&x, &res->minor) || !ax_get_u32(&x, &res->window) ||
	    !ax_get_opaque(&x, &token, &res->token_len, RPC_GSS_MAX_TOKEN) || ax_left(&x))
		return false;
	res->handle = handle;
	res->token = token;
	return true;
}
