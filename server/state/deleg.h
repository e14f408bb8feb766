/*
 * Delegations of files (RFC 8881 10.2, 10.4; RFC 9754): a client that has one does not ask for what nobody else may change.  Guarded by state_lock.
 *
 *   deleg.c         records, conflicts, return, revocation
 *   deleg_give.c    giving one, or the reason why not
 *   deleg_recall.c  CB_RECALL with a deadline, CB_RECALL_ANY
 *   deleg_attr.c    CB_GETATTR: what a client with a write delegation knows of the file
 *
 * What stands between them: while A has one for reading nobody else has the file open for writing, or denies reading; while A has one for writing nobody else has
 * it open at all, or has a delegation.  And no local program has it open: export/deleg_lease.h.
 */
#ifndef PNFS_SERVER_STATE_DELEG_H
#define PNFS_SERVER_STATE_DELEG_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "server/cb/ref.h"
#include "server/fs/fs.h"
#include "server/net/worker.h"
#include "server/state/stateid.h"

struct client;
struct delegs;
struct layout_lease;
struct mds;

enum deleg_recall_state {
	DELEG_KEPT,
	DELEG_WANTED,		/* to be sent: in delegs->to_send; all that follow in delegs->recalls */
	DELEG_SENT,		/* on its way, no answer yet */
	DELEG_ANSWERED,		/* NFS4_OK: DELEGRETURN will come */
	DELEG_PAUSED,		/* sent again at resend_ms */
	DELEG_NO_PATH,		/* sent when there is a backchannel */
};

/* Callbacks under way: they outlive their delegation. */
struct attr_call;
struct deleg_call;

/* What CB_GETATTR said. */
struct deleg_attr {
	uint64_t change;		/* sc of RFC 8881 10.4.3: what the client has seen, or was last told to others */
	bool modified;			/* the client has changed the file since it was given the delegation */
	bool told;			/* that it is modified stands in the file's times, and so in its change */
	unsigned failures;		/* of CB_GETATTR, in a row */
	uint64_t heard_ms;		/* when the answer came; 0: there is none */
	uint64_t size;
	bool has_times;			/* RFC 9754 5 */
	struct timespec atime, mtime;
	struct attr_call *call;
};

struct deleg {
	struct state_obj obj;		/* STATE_DELEG */
	struct deleg_file *file;	/* NULL: revoked */
	bool write;
	bool times;			/* with the file's times (OPEN_DELEGATE_*_ATTRS_DELEG) */
	uint32_t access;		/* OPEN4_SHARE_ACCESS_ of the OPEN that it came with: of UID, whose rights were looked at; 0: of none */
	uid_t uid;
	struct cb_refs given;		/* the OPENs that gave it */
	struct deleg_attr attr;
	struct {
		enum deleg_recall_state state;
		uint64_t deadline_ms, resend_ms;
		uint32_t pause_ms;
		bool unknown;		/* answered BAD_STATEID or BADHANDLE once */
		struct deleg_call *call;
	} recall;
	TAILQ_ENTRY(deleg) of_file, of_recalls;
};
TAILQ_HEAD(deleg_list, deleg);

/* Hangs on file_state while there is any. */
struct deleg_file {
	struct file_state *fs;		/* a user of it */
	struct inode *inode;		/* fs's */
	struct delegs *delegs;
	struct deleg_list list;
	struct layout_lease *lease;	/* set and cleared with io_lock held for writing besides state_lock */
	unsigned busy;			/* somebody looks at it without state_lock */
	bool unlease_queued;
	struct work unlease;
};

/* Beyond that: CB_RECALL_ANY, and no more are given. */
struct deleg_limits {
	uint32_t of_client, all;
};

struct delegs {
	struct mds *mds;
	struct deleg_limits limits;
	uint32_t n;
	struct deleg_list to_send, recalls;
	uint64_t ngiven, nrecalled, nrevoked;
};

int delegs_new(struct mds *mds);
/* After all clients are gone and the workers are done. */
void delegs_free(struct mds *mds);
void delegs_set_limits(struct mds *mds, const struct deleg_limits *limits);

/* Are any out on the file?  No lock: a hint that is exact for a caller that holds io_lock, or state_lock. */
static inline bool
deleg_any(const struct inode *inode)
{
	return atomic_load_explicit(&((struct inode *)(uintptr_t)inode)->delegs, memory_order_acquire) != 0;
}

/* ---- conflicts ---- */

enum deleg_need {
	DELEG_NEED_READ,	/* looks at data or size: conflicts with write delegations of others */
	DELEG_NEED_WRITE,	/* changes data, attributes or names: conflicts with all delegations of others */
};

/*
 * Make way for something that CLIENT (NULL: nobody's) does to the file: NFS4_OK; or recalls are started, and NFS4ERR_DELAY.  A client's own delegation is never in its
 * way (RFC 8881 10.4.4: "by another client").  For NEED_WRITE nobody else is given one for a moment, so that none slips in before it is
 * done.  Takes state_lock.
 */
nfsstat4 deleg_make_way(struct mds *mds, struct inode *inode, struct client *client, enum deleg_need need);
/* Is the way still free? */
bool deleg_clear_locked(const struct inode *inode, const struct client *client, enum deleg_need need);

/*
 * The same for an OPEN (18.16.4), in the step that enters it: NFS4_OK, DELAY; delegs_pump() when unlocked.  With CLIENT's own it goes on, whatever it asks for.
 */
nfsstat4 deleg_open_locked(struct mds *mds, struct inode *inode, struct client *client, uint32_t access, uint32_t deny);

/* ---- deleg_give.c ---- */

struct deleg_ask {
	struct client *client;
	struct inode *inode;
	uint32_t access;		/* of the OPEN, which is entered; 0: WANT_DELEGATION */
	uint32_t want;			/* OPEN4_SHARE_ACCESS_WANT_ bits */
	open_delegation_type4 reclaim;	/* CLAIM_PREVIOUS; NONE: no reclaim */
	uid_t uid;
	struct cb_ref ref;		/* the request */
	bool at_once;			/* on a loop */
	bool readonly;			/* the export is, for this client */
};

/* With one of these the answer says why there is none (18.16.3). */
#define DELEG_WANT_TOLD (OPEN4_SHARE_ACCESS_WANT_DELEG_MASK | OPEN4_SHARE_ACCESS_WANT_SIGNAL_DELEG_WHEN_RESRC_AVAIL | \
	OPEN4_SHARE_ACCESS_WANT_PUSH_DELEG_WHEN_UNCONTENDED)

/* Would it be given here if only the caller might wait (which deleg_give() may on a worker)?  Takes state_lock. */
bool deleg_wants_worker(struct mds *mds, const struct deleg_ask *ask);
/* Fill in D, with a delegation or the reason why there is none (18.16.3).  *sid, its stateid, is valid if true is returned.  Takes io_lock (try) and state_lock. */
bool deleg_give(struct mds *mds, const struct deleg_ask *ask, open_delegation4 *d, stateid4 *sid);

/* ---- DELEGRETURN, the end of a client, revocation ---- */

void deleg_return_locked(struct mds *mds, struct deleg *deleg);
/* It was not returned in time: its stateid answers DELEG_REVOKED until FREE_STATEID, and stands in nobody's way any more (10.4.6). */
void deleg_revoke_locked(struct mds *mds, struct deleg *deleg);

/* ---- deleg_recall.c ---- */

void deleg_recall_locked(struct mds *mds, struct deleg *deleg);
/* The delegation goes. */
void deleg_recall_end_locked(struct deleg *deleg);
/* Send what is to be sent.  No lock held. */
void delegs_pump(struct mds *mds);
/* Once a second: deadlines, pauses, too many.  No lock held. */
void delegs_tick(struct mds *mds, uint64_t now_ms);
/* CLIENT has a backchannel again.  No lock held. */
void deleg_path_up(struct mds *mds, struct client *client);

/* ---- deleg_attr.c ---- */

/* What a client with a write delegation says of the file. */
struct deleg_seen {
	bool valid;			/* there is one, and it has said so */
	bool modified;			/* changed there */
	bool told;			/* and that stands in the file's times already */
	uint64_t size;
	bool has_times;
	struct timespec atime, mtime;
};

/* For a GETATTR of CLIENT's: NFS4_OK; or the one who may know better is being asked, or has the delegation recalled, and NFS4ERR_DELAY.  Takes state_lock. */
nfsstat4 deleg_getattr(struct mds *mds, struct inode *inode, const struct client *client, struct deleg_seen *seen);
/* The file's times were moved, since it is modified. */
void deleg_getattr_told(struct mds *mds, struct inode *inode, const struct client *client);
/* The delegation goes. */
void deleg_attr_end_locked(struct deleg *deleg);

/* ---- private to deleg*.c ---- */

extern const struct state_class deleg_class;
struct deleg_file *deleg_file_find(const struct inode *inode);
struct deleg_file *deleg_file_get_locked(struct mds *mds, struct inode *inode);
/* Free FILE if nothing is left of it; have its lease given up if no delegation is. */
void deleg_file_put_locked(struct deleg_file *file);
void deleg_on_break(struct mds *mds, struct inode *inode);
/* Nobody is to have one for a while, but the client of that ID (0: nobody at all). */
void deleg_rest_locked(struct inode *inode, uint64_t but, uint64_t ms);

#endif
