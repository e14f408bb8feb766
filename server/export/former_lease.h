/*
 * File leases of a former life of the server, from the keeper: they go on to hold local programs off blocks that clients of before may still write, until
 * grace is over (all holders of before are done with by then, layout/former.h) and the target could be asked (export_holds_blocks()).  Only then
 * those who wait go on.
 *
 * Provider plain: the files are not opened a second time, which would break the lease: the kept descriptor becomes the inode's data descriptor.
 *
 * Provider kernel: what is kept is the nfsd of before with all its layouts (kernel_nfsd.c).  It is not spoken to any more, and which files it guards is not
 * known: until it is stopped any write to any file by this server might wait for it, in the kernel and without an end, so that none is made.
 */
#ifndef PNFS_SERVER_EXPORT_FORMER_LEASE_H
#define PNFS_SERVER_EXPORT_FORMER_LEASE_H

#include <stdbool.h>

struct inode;
struct mds;

/* At start, when the exports are open and nobody is served.  0 or -ENOMEM. */
int former_leases_take(struct mds *mds);
/* Every second, on a loop: have a worker give up those that may be.  GRACE: it is not over. */
void former_leases_tick(struct mds *mds, bool grace);
/* Are there any still? */
bool former_leases_any(const struct mds *mds);
/* Is there an nfsd among them? */
bool former_nfsd_any(const struct mds *mds);
/* Is there one on INODE?  io_lock held for writing. */
bool former_lease_on(const struct inode *inode);
/* At the end, without threads: what is left is the keeper's. */
void former_leases_free(struct mds *mds);

#endif
