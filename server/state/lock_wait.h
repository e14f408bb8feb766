/*
 * Blocked byte-range locks (RFC 8881 9.6, 18.10.4, 20.11): whoever asked with READW_LT or WRITEW_LT and was denied is remembered in the order
 * of asking, for a while, and is told by CB_NOTIFY_LOCK when its range is free.  It has to ask again; nothing is granted by the
 * callback, and a client that was forgotten, or not told, finds out by polling.
 *
 * What was offered to one waiter is kept from others who are ready to wait, so that those who were first get it first; not for long,
 * and not from locks that do not wait.  Nobody waits for a range because another waits for it: clients that hold parts of what others wait for
 * would wait for each other.
 *
 * Guarded by state_lock.
 */
#ifndef PNFS_SERVER_STATE_LOCK_WAIT_H
#define PNFS_SERVER_STATE_LOCK_WAIT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct file_state;
struct lock_ask;
struct mds;
struct open_state;
struct owner;

struct lock_wait {
	uint64_t id;			/* for the callback: never used again */
	struct open_state *open;	/* what it would lock by; it goes with it */
	struct owner *owner;		/* counted */
	uint64_t start, end;		/* end inclusive */
	bool write;
	bool told;			/* offered: until until_ms kept from others that wait */
	bool queued;			/* in lock_waits.to_tell */
	uint64_t until_ms;		/* then it is forgotten */
	TAILQ_ENTRY(lock_wait) of_file, of_all, to_tell;
};

/* How many are remembered; the others have to poll. */
#define LOCK_WAITS_OF_FILE 128u
#define LOCK_WAITS_OF_CLIENT 1024u
#define LOCK_WAITS 16384u

int lock_waits_new(struct mds *mds);
/* After all state was released. */
void lock_waits_free(struct mds *mds);

/* ASK of OWNER (NULL: not known yet, then ASK's) under OPEN was denied and is ready to wait. */
void lock_wait_add_locked(struct mds *mds, struct open_state *open, struct owner *owner, const struct lock_ask *ask);
/* The offer to somebody else that ASK of OWNER (NULL: nobody's) has to stand behind; NULL: none. */
const struct lock_wait *lock_wait_offer_locked(const struct file_state *fs, const struct owner *owner, const struct lock_ask *ask);

/* ---- lock.c's ---- */

/* OWNER has got ASK: it waits for nothing in it any more. */
void lock_wait_met_locked(struct mds *mds, struct file_state *fs, const struct owner *owner, const struct lock_ask *ask);
/* Some range of the file may have become free. */
void lock_wait_freed_locked(struct mds *mds, struct file_state *fs);
void lock_wait_open_gone_locked(struct mds *mds, struct open_state *open);

/* Once a second: forget those whose time is over.  No lock held. */
void lock_waits_tick(struct mds *mds, uint64_t now_ms);

#endif
