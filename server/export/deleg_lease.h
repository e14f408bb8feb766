/*
 * What makes delegations coherent with programs of this host (RFC 8881 10.2, "local access"): a delegation is given only under an fcntl lease on
 * the inode's one data descriptor, so that whoever opens or truncates the file waits until it is back.  state/deleg.c.
 *
 * It is the lease of the layouts of provider plain (plain_lease.c), shared with them.  With provider kernel there is none: there nfsd opens the files that have
 * layouts, which would break it, and a delegation would have to be recalled from each client, the same one too, before its first LAYOUTGET.
 *
 * Not with the keeper: what a local program does to a file while there is no server a client sees by the change attribute when it reclaims.
 */
#ifndef PNFS_SERVER_EXPORT_DELEG_LEASE_H
#define PNFS_SERVER_EXPORT_DELEG_LEASE_H

#include <stdbool.h>

struct export;
struct inode;
struct layout_lease;
struct mds;

/* Can leases be had for the files of EXPORT?  Sets export->delegs. */
void deleg_leases_start(struct export *export);
void deleg_leases_stop(struct export *export);

/* May delegations be given on it: can leases be had, and does its line say so? */
bool deleg_export_gives(const struct export *export);

/*
 * io_lock held for writing.  One per inode, shared by all its delegations.  -EAGAIN: a local program has the file open; or, with
 * NOWAIT, it would have to be opened first, which may take its time.
 */
int deleg_lease_take(struct inode *inode, bool nowait, struct layout_lease **lease);
/* No delegation is left: breakers go on.  io_lock held for writing. */
void deleg_lease_drop(struct layout_lease *lease);

/* Somebody local wants the file: from the lease thread, no lock held; must not block. */
extern void (*export_on_deleg_break)(struct mds *mds, struct inode *inode);

#endif
