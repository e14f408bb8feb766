/* The context with the metadata server; see gss.h. */
#include "client/gss.h"

#include <errno.h>
#include <gssapi/gssapi.h>
#include <gssapi/gssapi_ext.h>
#include <gssapi/gssapi_krb5.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/mds.h"
#include "include/log.h"

#define INIT_TIMEOUT_MS 15000u

/*
 * A context in the making.  Its first token may want a ticket of the KDC, which can take half a minute: a thread asks for it, and comes back by the loop
 * unless the mount has ended meanwhile.
 */
struct gss_job {
	struct rpc_auth auth;		/* of the INIT call: keeps the verifier, which is of the window */
	struct loop_work work;
	pthread_mutex_t lock;
	struct loop *loop;		/* lock; NULL: the mount has ended */
	struct mds *mds;		/* loop's thread; NULL: nobody waits for it any more */
	char host[256];
	gss_ctx_id_t ctx;
	gss_buffer_desc token;
	OM_uint32 major, minor;
	uint8_t verf[RPC_GSS_MAX_MIC];
	uint32_t verf_flavor, verf_len;
};

static void
job_free(struct gss_job *job)
{
	OM_uint32 minor;
	gss_release_buffer(&minor, &job->token);
	if (job->ctx != GSS_C_NO_CONTEXT)
		gss_delete_sec_context(&minor, &job->ctx, GSS_C_NO_BUFFER);
	pthread_mutex_destroy(&job->lock);
	free(job);
}

static void
job_token(struct gss_job *job, gss_buffer_t in)
{
	char text[300];
	gss_name_t name = GSS_C_NO_NAME;
	OM_uint32 minor;
	snprintf(text, sizeof text, "nfs@%s", job->host);
	gss_buffer_desc buf = { strlen(text), text };
	gss_release_buffer(&minor, &job->token);
	job->major = gss_import_name(&job->minor, &buf, GSS_C_NT_HOSTBASED_SERVICE, &name);
	/* RFC 2203 5.2.2 has its own sequence numbers: neither replay nor sequence detection is asked for. */
	if (!GSS_ERROR(job->major))
		job->major = gss_init_sec_context(&job->minor, GSS_C_NO_CREDENTIAL, &job->ctx, name,
		    (gss_OID)(uintptr_t)gss_mech_krb5, GSS_C_MUTUAL_FLAG, 0, GSS_C_NO_CHANNEL_BINDINGS, in, NULL,
		    &job->token, NULL, NULL);
	gss_release_name(&minor, &name);
}

static void
job_words(const struct gss_job *job)
{
	OM_uint32 minor, more = 0;
	gss_buffer_desc a = GSS_C_EMPTY_BUFFER, b = GSS_C_EMPTY_BUFFER;
	gss_display_status(&minor, job->major, GSS_C_GSS_CODE, GSS_C_NO_OID, &more, &a);
	more = 0;
	gss_display_status(&minor, job->minor, GSS_C_MECH_CODE, (gss_OID)(uintptr_t)gss_mech_krb5, &more, &b);
	log_warn("mds: no security context with nfs@%s: %.*s: %.*s", job->host, (int)a.length,
	    a.length ? (char *)a.value : "", (int)b.length, b.length ? (char *)b.value : "");
	gss_release_buffer(&minor, &a);
	gss_release_buffer(&minor, &b);
}

/* ---- on the loop ---- */

/* Who waited for it; NULL: nobody.  The job is then its own. */
static struct mds *
job_end(struct gss_job *job)
{
	struct mds *mds = job->mds;
	if (mds)
		mds->gss.job = NULL;
	return mds;
}

static void
job_failed(struct gss_job *job, int err)
{
	if (GSS_ERROR(job->major))
		job_words(job);
	struct mds *mds = job_end(job);
	job_free(job);
	if (mds)
		mds_gss_failed(mds, err);
}

static int
init_open(struct rpc_auth *auth, struct rpc_reply *reply)
{
	struct gss_job *job = (struct gss_job *)auth;
	job->verf_flavor = reply->verf_flavor;
	job->verf_len = reply->verf_len <= sizeof job->verf ? reply->verf_len : 0;
	memcpy(job->verf, reply->verf, job->verf_len);
	return 0;
}

static void
init_drop(struct rpc_auth *auth)
{
	(void)auth;		/* the call's DONE frees the job */
}

/* The server's token, and its verifier of the window (RFC 2203 5.2.3.1).  0 or -errno. */
static int
job_complete(struct gss_job *job, const struct rpc_gss_init_res *res, struct rpc_gss **gss)
{
	uint32_t window = htobe32(res->window);
	gss_buffer_desc in = { res->token_len, (void *)(uintptr_t)res->token };
	if (GSS_ERROR(res->major)) {
		log_warn("mds: the server refuses a security context (%u, %u)", res->major, res->minor);
		return -EACCES;
	}
	if (res->major != GSS_S_COMPLETE || res->handle_len == 0 || res->window == 0)
		return -EPROTO;		/* krb5 takes one round trip */
	job_token(job, &in);
	if (job->major != GSS_S_COMPLETE)
		return -EACCES;
	*gss = rpc_gss_new(job->ctx);
	job->ctx = GSS_C_NO_CONTEXT;
	if (!*gss)
		return -ENOMEM;
	if (job->verf_flavor == RPCSEC_GSS && !rpc_gss_verify(*gss, &window, 4, job->verf, job->verf_len))
		return 0;
	rpc_gss_put(*gss);
	return -EKEYREJECTED;
}

static void
init_done(struct rpc_peer *peer, void *arg, int status, uint8_t *body, uint32_t len, struct rpc_rec *rec)
{
	struct gss_job *job = arg;
	struct rpc_gss_init_res res;
	struct rpc_gss *gss = NULL;
	(void)rec;
	if (!job->mds || peer != job->mds->peer || status == -ECONNRESET) {
		job_end(job);		/* the connection is gone: all begins anew with the next */
		job_free(job);
		return;
	}
	int err = status ? status : rpc_gss_init_res_get(body, len, &res) ? job_complete(job, &res, &gss) : -EPROTO;
	if (err) {
		job_failed(job, err);
		return;
	}
	struct mds_gss *g = &job->mds->gss;
	g->gss = gss;
	g->handle_len = res.handle_len;
	memcpy(g->handle, res.handle, res.handle_len);
	g->seq = 0;
	struct mds *mds = job_end(job);
	job_free(job);
	mds_establish(mds);
}

/* The first token is there: INIT. */
static void
job_back(struct loop_work *work)
{
	struct gss_job *job = (struct gss_job *)((char *)work - offsetof(struct gss_job, work));
	struct mds *mds = job->mds;
	if (!mds || !mds->peer) {
		job_end(job);
		job_free(job);
		return;
	}
	if (GSS_ERROR(job->major) || job->token.length > RPC_GSS_MAX_TOKEN) {
		job_failed(job, -ENOKEY);
		return;
	}
	struct rpc_out *out = rpc_out_get((uint32_t)job->token.length + 512);
	struct rpc_gss_call call = { .xid = rpc_peer_xid(mds->peer), .prog = NFS4_PROGRAM, .vers = NFS_V4, .proc = NFSPROC4_NULL,
		.gss_proc = RPC_GSS_INIT, .service = mds->gss.service };
	XDR x;
	if (!out || rpc_gss_call_header(NULL, out, &call)) {
		rpc_out_put(out);
		job_failed(job, -ENOMEM);
		return;
	}
	ax_init(&x, out->data + out->len, out->cap - out->len, XDR_ENCODE, NULL);
	ax_put_opaque(&x, job->token.value, (uint32_t)job->token.length);
	out->len += ax_used(&x);
	job->auth = (struct rpc_auth){ init_open, init_drop };
	rpc_peer_call_auth(mds->peer, out, INIT_TIMEOUT_MS, &job->auth, init_done, job);
}

static void *
job_main(void *arg)
{
	struct gss_job *job = arg;
	job_token(job, GSS_C_NO_BUFFER);
	pthread_mutex_lock(&job->lock);
	struct loop *loop = job->loop;
	if (loop)
		loop_post(loop, &job->work);
	pthread_mutex_unlock(&job->lock);
	if (!loop)
		job_free(job);
	return NULL;
}

/* ---- for the engine ---- */

static void
job_abandon(struct mds *mds, bool ending)
{
	struct gss_job *job = mds->gss.job;
	mds->gss.job = NULL;
	if (!job)
		return;
	job->mds = NULL;
	if (!ending)
		return;
	pthread_mutex_lock(&job->lock);
	job->loop = NULL;
	pthread_mutex_unlock(&job->lock);
}

void
mds_gss_start(struct mds *mds)
{
	pthread_attr_t attr;
	pthread_t thread;
	struct gss_job *job = calloc(1, sizeof *job);
	job_abandon(mds, false);
	if (!job) {
		mds_gss_failed(mds, -ENOMEM);
		return;
	}
	job->ctx = GSS_C_NO_CONTEXT;
	job->loop = mds->loop;
	job->mds = mds;
	job->work.fn = job_back;
	strcpy(job->host, mds->gss.host);
	pthread_mutex_init(&job->lock, NULL);
	mds->gss.job = job;
	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	int err = pthread_create(&thread, &attr, job_main, job);
	pthread_attr_destroy(&attr);
	if (err)
		job_failed(job, -err);
}

void
mds_gss_drop(struct mds *mds)
{
	job_abandon(mds, mds->state == MDS_ENDING || mds->state == MDS_OFF);
	rpc_gss_put(mds->gss.gss);
	mds->gss.gss = NULL;
}

void
mds_gss_header(struct mds *mds, struct rpc_out *out)
{
	struct mds_gss *g = &mds->gss;
	struct rpc_gss_call call = { .xid = rpc_peer_xid(mds->peer), .prog = NFS4_PROGRAM, .vers = NFS_V4, .proc = NFSPROC4_COMPOUND,
		.gss_proc = RPC_GSS_DATA, .service = g->service, .seq = ++g->seq, .handle = g->handle, .handle_len = g->handle_len };
	out->len = 0;
	if (g->gss && g->seq < RPC_GSS_MAXSEQ)
		rpc_gss_call_header(g->gss, out, &call);
}

void
mds_gss_send(struct mds *mds, struct rpc_out *out, uint32_t at, uint32_t timeout_ms, rpc_done_fn *done, void *arg)
{
	struct mds_gss *g = &mds->gss;
	struct rpc_auth *auth = NULL;
	if (at && !rpc_gss_seal_call(g->gss, g->service, g->seq, &out, at))
		auth = rpc_gss_auth(g->gss, g->service, g->seq);
	if (auth) {
		rpc_peer_call_auth(mds->peer, out, timeout_ms, auth, done, arg);
		return;
	}
	rpc_out_put(out);
	done(mds->peer, arg, -EKEYEXPIRED, NULL, 0, NULL);
}
