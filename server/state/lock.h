/*
 * Byte-range locks (RFC 8881 9.1-9.6), advisory, as POSIX has them.  Guarded by state_lock.
 *
 *   lock.c        lock stateids
 *   lock_range.c  the ranges of a file: conflict, lock, unlock
 *   lock_wait.c   who waits for one, and is told when it is free
 */
#ifndef PNFS_SERVER_STATE_LOCK_H
#define PNFS_SERVER_STATE_LOCK_H

#include "server/state/open.h"

/*
 * One per lock owner and open.  With several open owners a lock owner has several for one file (RFC 8881 9.5): each
 * range belongs to the one it was last locked by, conflicts go by the owner.
 */
struct lock_state {
	struct state_obj obj;		/* STATE_LOCK */
	struct owner *owner;
	struct open_state *open;	/* the open it was derived from */
	struct file_state *file;
	unsigned nranges;
	TAILQ_ENTRY(lock_state) of_open;
};

struct lock_range {
	struct lock_state *state;
	uint64_t start, end;		/* end inclusive, UINT64_MAX: to the end */
	bool write;
	TAILQ_ENTRY(lock_range) of_file;
};

/* Does STATE hold any range (LOCKS_HELD)? */
bool lock_held_locked(const struct lock_state *state);
/* The open goes: drop its lock stateids and the ranges they hold. */
void lock_open_gone_locked(struct mds *mds, struct open_state *open);

/* ---- for LOCK, LOCKT, LOCKU ---- */

struct lock_ask {
	uint64_t start, end;		/* end inclusive */
	bool write;
	const void *owner;		/* lock owner of an open_to_lock_owner4; unused with STATE given */
	uint32_t owner_len;
};

/*
 * Lock a range for the lock owner of STATE or, with STATE NULL, for ASK's owner under OPEN (its lock state is made if
 * there is none).  Upgrades, downgrades, splits and merges.  DENIED with *denied (valid until state_lock is dropped);
 * SERVERFAULT past the limits, DELAY without memory, or if all that is in the way is of clients whose lease is over: nothing has changed then.
 */
nfsstat4 lock_set_locked(struct mds *mds, struct open_state *open, struct lock_state *state,
    const struct lock_ask *ask, stateid4 *sid, const struct lock_range **denied);

/* Unlock; bytes that are not locked are no error.  DELAY without memory for a split. */
nfsstat4 lock_unset_locked(struct mds *mds, struct lock_state *state, uint64_t start, uint64_t end, stateid4 *sid);

/* LOCKT: DENIED with the first range that would deny ASK to the client's owner; DELAY. */
nfsstat4 lock_test_locked(struct mds *mds, const struct inode *inode, struct client *client, const struct lock_ask *ask,
    const struct lock_range **denied);

/* FREE_STATEID: drop a lock state that holds nothing. */
void lock_free_locked(struct mds *mds, struct lock_state *state);

/* ---- lock_range.c ---- */

/* The first range of others than OWNER (NULL: of anybody) that a lock of this kind would conflict with; NULL: none. */
struct lock_range *lock_range_conflict(const struct file_state *fs, const struct owner *owner, bool write,
    uint64_t start, uint64_t end);

/* The next one after R. */
struct lock_range *lock_range_conflict_next(const struct lock_range *r, const struct owner *owner, bool write,
    uint64_t start, uint64_t end);

/* Nodes a change may need, so that it cannot fail half-way.  What is left over is the caller's to free. */
struct lock_spare {
	struct lock_range *node[2];
};

enum lock_mode { LOCK_NONE, LOCK_READ, LOCK_WRITE };

/*
 * Set the bytes START to END of OWNER to MODE, held by STATE (NULL for LOCK_NONE).  Takes nodes from SPARE (two are always
 * enough; one for LOCK_NONE).  Returns by how many ranges the file has more now (may be negative).
 */
int lock_range_apply(struct file_state *fs, const struct owner *owner, struct lock_state *state, enum lock_mode mode,
    uint64_t start, uint64_t end, struct lock_spare *spare);

#endif
