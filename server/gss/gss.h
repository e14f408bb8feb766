/*
 * RPCSEC_GSS contexts of clients (RFC 2203): established on workers, found, verified and opened on loops.  net/conn.c gives every call with RPCSEC_GSS to
 * gss_call() before anything else looks at it; whoever answers a call sends by gss_send().
 *
 * Without GSS-API (configure --without-gss) a connection refuses such calls (proto/rpc/peer.h) and exports a sec= of it.
 */
#ifndef PNFS_SERVER_GSS_GSS_H
#define PNFS_SERVER_GSS_GSS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proto/rpc/peer.h"

struct conn;
struct gss_ctx;
struct mds;

#define GSS_MAX_GROUPS 64u		/* as many as fs_cred has */

/* Who is at the other end; as long as its context. */
struct gss_who {
	char *principal;		/* "user@REALM" */
	uint64_t hash;			/* of it */
	bool anonymous;			/* no account of this machine is its: anonuid of the export */
	uid_t uid;
	gid_t gid;
	unsigned ngids;
	gid_t gids[GSS_MAX_GROUPS];
};

/* What a call came under, kept until it is answered; ctx NULL: not under GSS. */
struct gss_use {
	struct gss_ctx *ctx;		/* referenced */
	uint32_t service, seq;
};

#ifdef HAVE_GSS

int gss_server_new(struct mds *mds);
/* When no call is under way any more. */
void gss_server_free(struct mds *mds);
/* Forgets what has expired.  Loop 0's. */
void gss_server_tick(struct mds *mds, uint64_t now_ms);
/* Is there a key to serve by?  0, or why not as a text (malloc'd, may be NULL without memory) in *why. */
int gss_server_check(struct mds *mds, char **why);

/*
 * A call with RPCSEC_GSS.  True: it is verified, its arguments are plain, cred says who, and gss.ctx is referenced (gss_use_take()).  False: it was answered, dropped, or
 * is of context establishment.  Loop's thread.
 */
bool gss_call(struct mds *mds, struct conn *conn, struct rpc_call *call);

/* Send the answer to a call, sealed if that came under GSS; the reference goes.  Any thread.  OUT is as rpc_reply_header() begins it. */
void gss_send(struct rpc_peer *peer, struct gss_use *use, struct rpc_out *out);
/* Without an answer. */
void gss_use_drop(struct gss_use *use);

#else

static inline void
gss_send(struct rpc_peer *peer, struct gss_use *use, struct rpc_out *out)
{
	(void)use;
	rpc_peer_send(peer, out);
}

static inline void
gss_use_drop(struct gss_use *use)
{
	(void)use;
}

#endif

/* A context begins with it. */
static inline const struct gss_who *
gss_who(const struct gss_ctx *ctx)
{
	return (const struct gss_who *)ctx;
}

static inline void
gss_use_take(struct gss_use *use, const struct rpc_call *call)
{
	if (call->cred.flavor == RPCSEC_GSS)
		*use = (struct gss_use){ call->gss.ctx, call->gss.service, call->gss.seq };
	else
		use->ctx = NULL;
}

#endif
