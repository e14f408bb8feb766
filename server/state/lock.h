/* Byte-range locks (RFC 8881 9.1-9.6).  Guarded by state_lock. */
#ifndef PNFS_SERVER_STATE_LOCK_H
#define PNFS_SERVER_STATE_LOCK_H

#include "server/state/open.h"

struct lock_state {
	struct state_obj obj;		/* STATE_LOCK: one per lock owner and file */
	struct owner *owner;
	struct open_state *open;	/* the open it was derived from */
	struct file_state *file;
};

struct lock_range {
	struct lock_state *state;
	uint64_t start, end;		/* end inclusive, UINT64_MAX: to the end */
	bool write;
	TAILQ_ENTRY(lock_range) of_file;
};

/* Does STATE hold any range (LOCKS_HELD)? */
bool lock_held_locked(const struct lock_state *state);
/* The open goes: drop its lock stateids (which hold no ranges, or all of them with RELEASE). */
void lock_open_gone_locked(struct mds *mds, struct open_state *open);

#endif
