/*
 * What the client adds to proto/nfs4/compound_xdr.h to build COMPOUNDs and take their answers apart (RFC 8881 16.2).
 * SEQUENCE is the engine's (mds.c).
 */
#ifndef PNFS_CLIENT_COMPOUND_H
#define PNFS_CLIENT_COMPOUND_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/nfs4/attrs.h"
#include "proto/nfs4/compound_xdr.h"
#include "proto/x/nfs4.h"

struct fh {
	uint32_t len;
	uint8_t data[NFS4_FHSIZE];
};

/* ---- requests: more for proto/nfs4/compound_xdr.h ---- */

void compound_putfh(struct compound_call *c, const struct fh *fh);
void compound_getattr(struct compound_call *c, const struct attr_mask *mask);
void compound_lookup(struct compound_call *c, const char *name);
/* A name as the generated code wants it; it is only read. */
utf8string compound_name(const char *name);

/* ---- answers ---- */

struct reply {
	struct compound_results results;
	nfsstat4 status;		/* of the result last taken */
	nfs_resop4 res;			/* and itself */
};

/*
 * Take the next result, which has to be of OP: 0, -errno of its status (nfs4_errno; reply->status has the status itself), or -EPROTO.
 * Opaques point into the answer.
 */
int reply_op(struct reply *r, uint32_t op);
int reply_getfh(struct reply *r, struct fh *fh);
int reply_getattr(struct reply *r, struct nfs_attrs *attrs);

struct stat;
/* The attributes a struct stat is made of, and the making. */
extern const struct attr_mask stat_mask;
void stat_from_attrs(struct stat *st, const struct nfs_attrs *a);

#endif
