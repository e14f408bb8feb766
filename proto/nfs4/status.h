/* errno <-> nfsstat4: the only two converters; and names for logs. */
#ifndef PNFS_PROTO_NFS4_STATUS_H
#define PNFS_PROTO_NFS4_STATUS_H

#include "proto/x/nfs4.h"

/*
 * -errno (or 0) of the layers below to the status for the wire.  Unknown ones
 * become NFS4ERR_IO.  -ESTALE STALE, -EAGAIN DELAY, -EBADMSG BADHANDLE.
 */
nfsstat4 nfs4_status(int err);

/* The other way, for the client: 0 or -errno; -EREMOTEIO for what has no errno. */
int nfs4_errno(nfsstat4 status);

/* "NFS4ERR_DELAY"; "NFS4ERR_10999" in a static per-thread buffer if unknown. */
const char *nfs4_status_name(nfsstat4 status);

/* "LAYOUTGET"; "OP_99" if unknown. */
const char *nfs4_op_name(uint32_t op);

#endif
