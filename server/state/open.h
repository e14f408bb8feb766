/* Opens and share reservations (RFC 8881 9.7-9.11).  Guarded by state_lock. */
#ifndef PNFS_SERVER_STATE_OPEN_H
#define PNFS_SERVER_STATE_OPEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "server/state/owner.h"
#include "server/state/stateid.h"

struct file_state;
struct lock_state;

struct open_state {
	struct state_obj obj;		/* STATE_OPEN */
	struct owner *owner;
	struct file_state *file;
	uint32_t access, deny;		/* OPEN4_SHARE_ union now in force */
	uint32_t seen;			/* bit (access-1)*4+deny for each OPEN: what OPEN_DOWNGRADE may go back to */
	uid_t uid;			/* who opened it, squashed ... */
	bool mixed;			/* ... and somebody else did too: rights are checked at each READ and WRITE */
	bool may_notify;		/* the last OPEN was answered OPEN4_RESULT_MAY_NOTIFY_LOCK (RFC 8881 18.16.4) */
	TAILQ_HEAD(, lock_state) locks;	/* lock stateids derived from it; lock.h */
	TAILQ_ENTRY(open_state) of_file;
};

/* Does CLIENT hold INODE open (for writing if WRITE), or have a delegation that is as good?  For LAYOUTGET and return-on-close. */
bool open_held_locked(const struct inode *inode, const struct client *client, bool write);
bool open_any_locked(const struct inode *inode);

/* ---- for OPEN, OPEN_DOWNGRADE, CLOSE ---- */

struct open_ask {
	const void *owner;		/* at most NFS4_OPAQUE_LIMIT bytes */
	uint32_t owner_len;
	uint32_t access, deny;		/* OPEN4_SHARE_ACCESS_ 1 to 3, OPEN4_SHARE_DENY_ 0 to 3; nothing else */
	uid_t uid;
	bool may_notify;		/* the answer is going to say OPEN4_RESULT_MAY_NOTIFY_LOCK */
};

/* To take an OPEN back whose truncate failed. */
struct open_undo {
	struct open_state *open;
	stateid4 sid;			/* as open_add_locked gave it */
	bool fresh;			/* there was none before */
	uint32_t seqid, access, deny, seen;	/* as it was before */
	bool mixed;
};

/* Would ACCESS and DENY conflict with the opens there are, the asker's own included (RFC 8881 9.7, 18.16.3)? */
bool open_conflict_locked(const struct inode *inode, uint32_t access, uint32_t deny);

/* The same as a status: SHARE_DENIED, or DELAY if all that is in the way is of clients whose lease is over, and which go now. */
nfsstat4 open_check_locked(struct mds *mds, const struct inode *inode, uint32_t access, uint32_t deny);

/*
 * Open INODE, or upgrade the open that the owner has already (RFC 8881 9.9).  SID is for the reply.
 * SHARE_DENIED, DELAY (open_check_locked); SERVERFAULT past the limits (stateid.h), DELAY without memory: nothing has changed then.
 */
nfsstat4 open_add_locked(struct mds *mds, struct client *client, struct inode *inode, const struct open_ask *ask,
    struct open_undo *undo, stateid4 *sid);

/* Take the last open_add_locked back, unless the state was changed or closed since by a parallel request of the client. *iref: put after unlocking. */
void open_undo_locked(struct mds *mds, struct client *client, struct open_undo *undo, struct inode **iref);

/* RFC 8881 18.18.3.  INVAL if ACCESS or DENY is not the union of some of the OPENs in force. */
nfsstat4 open_downgrade_locked(struct open_state *open, uint32_t access, uint32_t deny, stateid4 *sid);

/* Drop the open, its lock stateids and their ranges; frees it.  *iref: put after unlocking. */
void open_close_locked(struct mds *mds, struct open_state *open, struct inode **iref);

#endif
