/*
 * RPCSEC_GSS for libpnfs: the context with the metadata server (RFC 2203 5.2), and calls under it.  A part of the engine (mds.h); loop's thread, but the KDC is asked by a
 * thread of its own.
 */
#ifndef PNFS_CLIENT_GSS_H
#define PNFS_CLIENT_GSS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/rpc/gss.h"

struct gss_job;
struct mds;

struct mds_gss {
	uint32_t service;		/* enum rpc_gss_service; 0: AUTH_SYS */
	char host[256];			/* nfs@HOST is who we want to speak to */
	struct rpc_gss *gss;		/* NULL: there is no context */
	uint8_t handle[RPC_GSS_MAX_HANDLE];
	uint32_t handle_len;
	uint32_t seq;			/* of the last call */
	struct gss_job *job;		/* one is being made */
};

/* "sys", "krb5", "krb5i", "krb5p": its service (0: sys), or -EINVAL; -EOPNOTSUPP if built without. */
int gss_service(const char *sec);

#ifdef HAVE_GSS

static inline bool
mds_gss_ready(const struct mds_gss *gss)
{
	return !gss->service || gss->gss;
}

/* Make a context over mds->peer; then mds_establish(), or mds_gss_failed(). */
void mds_gss_start(struct mds *mds);
/* It is of no use any more. */
void mds_gss_drop(struct mds *mds);

/* Header of a call of COMPOUND (len 0: it cannot be signed), and the sending of it with the arguments that stand from AT on. */
void mds_gss_header(struct mds *mds, struct rpc_out *out);
void mds_gss_send(struct mds *mds, struct rpc_out *out, uint32_t at, uint32_t timeout_ms, rpc_done_fn *done, void *arg);

#else

static inline bool
mds_gss_ready(const struct mds_gss *gss)
{
	(void)gss;
	return true;
}

static inline void
mds_gss_start(struct mds *mds)
{
	(void)mds;
}

static inline void
mds_gss_drop(struct mds *mds)
{
	(void)mds;
}

#endif
#endif
