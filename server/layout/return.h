/* Taking layouts back: LAYOUTRETURN below its wire format (RFC 8881 18.44).  op_layout.c. */
#ifndef PNFS_SERVER_LAYOUT_RETURN_H
#define PNFS_SERVER_LAYOUT_RETURN_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/x/nfs4.h"

struct client;
struct inode;
struct mds;

/*
 * FILE: a range of one layout, in blocks that are wholly in it.  *present: something is left, *sid is the layout's next stateid; else the stateid is
 * no more (18.44.3, PITFALLS A12).  BAD_STATEID (also for seqid 0, A15), OLD_STATEID.  A revoked layout's return is accepted: it is what a
 * fenced client has to do (RFC 8154 2.4.10.5).
 */
nfsstat4 layout_return_file(struct mds *mds, struct client *client, struct inode *inode, const stateid4 *given,
    uint64_t offset, uint64_t length, bool read, bool rw, stateid4 *sid, bool *present);

/* FSID (INODE is on it) or ALL (INODE NULL), of layout type TYPE. */
void layout_return_bulk(struct mds *mds, struct client *client, const struct inode *inode, uint32_t type, bool read, bool rw);

#endif
