/*
 * Data access beside layouts and delegations (PITFALLS A19 to A23): recalls what is in the way, takes
 * the inode's io_lock, and sees to it that nothing slipped in.  op_io.c, op_attr.c (size), op_dir.c (last link), and
 * the operations of RFC 7862.
 */
#ifndef PNFS_SERVER_NFS4_WAY_H
#define PNFS_SERVER_NFS4_WAY_H

#include "server/layout/layout.h"
#include "server/nfs4/compound.h"

/* To the end of the file, as RFC 8881 has it. */
#define WAY_TO_END UINT64_MAX

/*
 * NFS4_OK: io_lock of INODE (a regular file) is held - for writing if NEED is LAYOUT_NEED_BLOCKS - and no layout or delegation stands against NEED until
 * way_drop(): grants take io_lock for writing.  Else nothing is held: NFS4ERR_DELAY, recalls are under way; OP_WORKER, on a loop and the lock is not free.
 */
nfsstat4 way_take(struct compound *c, struct inode *inode, enum layout_need need, uint64_t offset,
    uint64_t length);
/* The same where only the lock must be held for writing (growing a file): no layout is in the way of that. */
nfsstat4 way_take_lock(struct compound *c, struct inode *inode);
void way_drop(struct inode *inode);

/* One of two. */
struct way {
	struct inode *inode;
	enum layout_need need;
	uint64_t offset, length;
};
/*
 * For operations on two files, or on two ranges of one: as way_take() for both, or nothing is held.  The locks are taken in the order of their addresses, so that two
 * of these cannot wait for each other.
 */
nfsstat4 way_take_both(struct compound *c, const struct way *a, const struct way *b);
void way_drop_both(const struct way *a, const struct way *b);

#endif
