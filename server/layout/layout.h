/*
 * Layout bookkeeping: who holds which ranges of which file, in which mode, by which
 * layout stateid (RFC 8881 12.5).  Knows neither what an extent is on disk (the provider does) nor its bytes
 * (proto/layout).  Guarded by state_lock.
 *
 *   layout.c   stateids, grants, return, return on close
 *   range.c    pure: merge, split, subtract, overlap of ranges
 *   conflict.c pure: may this grant be given beside those
 *   recall.c   the recall state machine with its deadline
 *   withdraw.c taking back all of an export or a device
 *   drain.c    all of it back before the server ends
 */
#ifndef PNFS_SERVER_LAYOUT_LAYOUT_H
#define PNFS_SERVER_LAYOUT_LAYOUT_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/x/nfs4.h"

struct client;
struct device;
struct export;
struct inode;
struct mds;

int layouts_new(struct mds *mds);
void layouts_free(struct mds *mds);

/* The server is going to end: give no more layouts, want back what is out.  Goes on by itself, fences included. */
void layouts_drain(struct mds *mds);
/* Is all of it back, or cut off, and are the leases on files given up? */
bool layouts_drained(struct mds *mds);
/*
 * Remove the records on disk of clients that are gone and hold nothing any more; STOPPING: of those that are there and hold nothing, too.  Writes to disk: no
 * lock held.
 */
void records_sweep(struct mds *mds, bool stopping);
/* At an end that does not wait for what is still out: log it, and leave its leases to the keeper. */
void layouts_leave(struct mds *mds);

/* What an operation through the MDS (or a local process) is going to do with a range. */
enum layout_need {
	LAYOUT_NEED_READ,	/* READ or a READ grant: conflicts with RW grants of others */
	LAYOUT_NEED_RW,		/* a RW grant: conflicts with all grants of others */
	LAYOUT_NEED_WRITE,	/* WRITE: as RW, and with holes in the caller's own READ grants, which are about to be filled */
	LAYOUT_NEED_BLOCKS,	/* blocks move or go (truncate, deallocate, last unlink...): conflicts with all grants, the caller's own too */
};

/*
 * Make way: NFS4_OK if nothing is in the way; else recalls are started and NFS4ERR_DELAY is answered.  While an operation of
 * kind BLOCKS waits, no new grants of the range are given (no livelock).  Never waits; CLIENT (the caller, NULL: local) is never waited for.
 * NFS4ERR_GRACE for kind BLOCKS while holders of before a restart may be about, NFS4ERR_DELAY while they may be and the target cannot be asked.  Takes state_lock.  Call before io_lock is taken, and again
 * (layout_clear_locked below) with io_lock held, since a grant may have slipped in (PITFALLS A21).
 */
nfsstat4 layout_make_way(struct mds *mds, struct inode *inode, struct client *client, enum layout_need need,
    uint64_t offset, uint64_t length);

/*
 * Does whoever writes, truncates or allocates on this host wait in the kernel for the lease behind the layouts (export_ops.writers_wait)?  Then
 * any change needs all layouts of the file back, and layout_let_go() with io_lock held for writing before it is made.
 */
bool layout_writers_wait(const struct inode *inode);
/* Give the lease up now that no layout is out (layout_clear_locked).  io_lock held for writing, on a worker. */
void layout_let_go(struct mds *mds, struct inode *inode);

/* Is the way still free?  state_lock held. */
bool layout_clear_locked(const struct inode *inode, const struct client *client, enum layout_need need,
    uint64_t offset, uint64_t length);

/* Are any layouts out on the file (so MDS reads and writes must not believe caches: fs_read(coherent))?  No lock: a hint that is
 * exact for a caller that holds io_lock. */
bool layout_any(const struct inode *inode);

/*
 * CLIENT closed INODE.  If that was its last open and it still has a layout there, the layout is recalled: logr_return_on_close told it to return it first, and
 * who says so "MUST be prepared to recall the layout in the case in which the client fails to" (RFC 8881 18.43.3).  A CLOSE returns nothing by itself: I/O may
 * be under way, so until the client answers, or is cut off at the deadline, the layout stands in everybody's way.  Takes state_lock.
 */
void layout_closed(struct mds *mds, struct inode *inode, struct client *client);

/*
 * The client goes: lease over (EXPIRED), or it has come back as a new instance, or DESTROY_CLIENTID.  Layouts it held are fenced first if it may still write
 * (lease over), and its blocks stay out of use until that is confirmed (RFC 8154 2.4.10).  state_lock held; the work itself is done by the fencers.
 */
enum layout_gone { LAYOUT_GONE_EXPIRED, LAYOUT_GONE_REPLACED, LAYOUT_GONE_DESTROYED,
	LAYOUT_GONE_STOPPING,	/* the server ends: forget without fencing; holders stay on record for the next life */
};
void layout_client_gone_locked(struct mds *mds, struct client *client, enum layout_gone why);

/* CLIENT's lease is over, but it is not taken down: its layouts are fenced as if their recall's deadline were over.  Not those it has if it is back before that begins. */
void layout_client_lapsed_locked(struct mds *mds, struct client *client);

/*
 * A client that was cut off has shown that it knows (FREE_STATEID or LAYOUTRETURN of its revoked layouts, LAYOUTGET after a reply with the flag): it may have
 * layouts again, under the new reservation key that it was given when it was fenced; SEQ4_STATUS_RECALLABLE_STATE_REVOKED ends.  Nothing happens if it is
 * not fenced.  state_lock held.
 */
void layout_fence_acked_locked(struct mds *mds, struct client *client);

/*
 * Recall all layouts of EXPORT, or on DEVICE (the other is NULL; both: all there are).  How many files still have some, or a LAYOUTGET under way: to be called again until that is
 * 0, since one may just have been let in.  No lock held; does not wait.
 */
unsigned layout_withdraw(struct mds *mds, const struct export *export, const struct device *device);

/* Has anybody layouts on DEVICE, or had them and is not cut off for certain?  state_lock held. */
bool layout_uses_device_locked(const struct mds *mds, const struct device *device);

/* Does the client hold layouts?  state_lock held. */
bool layout_client_has_locked(const struct client *client);

#endif
