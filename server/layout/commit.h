/* Committing what clients wrote: LAYOUTCOMMIT below its wire format (RFC 8881 18.42, RFC 8154 2.4.2).  op_layout.c. */
#ifndef PNFS_SERVER_LAYOUT_COMMIT_H
#define PNFS_SERVER_LAYOUT_COMMIT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "proto/layout/layout_xdr.h"

struct client;
struct inode;
struct mds;

struct layout_commit {
	struct client *client;
	struct inode *inode;
	const stateid4 *sid;
	bool reclaim;			/* in grace, grace_check_reclaim_locked() has agreed: no layout is looked for */
	uint64_t offset, length;	/* what the commit is about; arithmetic was checked */
	const struct layout_range *ranges;	/* now written; sorted and disjoint is checked here */
	uint32_t n;
	bool last_valid;
	uint64_t last;			/* offset of the last byte written */
	bool mtime_valid;
	struct timespec mtime;
	struct arena *arena;
};

/*
 * *size_set: the provider changed the size, to *size.  BADLAYOUT: nothing is held for writing there; BADIOMODE: only for reading; INVAL: ranges not
 * aligned, not sorted, overlapping; DELEG_REVOKED: the client was cut off (PITFALLS A28); RECLAIM_BAD.  Takes io_lock for writing and state_lock.
 */
nfsstat4 layout_commit(struct mds *mds, const struct layout_commit *commit, bool *size_set, uint64_t *size);

#endif
