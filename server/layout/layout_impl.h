/*
 * What the files of server/layout share: records of layouts, their files and holders.  All guarded by state_lock unless said
 * otherwise.  Nobody else includes this but op_layout.c (through grant.h, return.h, commit.h: no) and unit tests.
 *
 *   layout    what one client holds of one file, by one layout stateid
 *   file      one file with layouts: its lease, who waits for it
 *   holder    one client on one device: what is cut off as a whole
 */
#ifndef PNFS_SERVER_LAYOUT_LAYOUT_IMPL_H
#define PNFS_SERVER_LAYOUT_LAYOUT_IMPL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <uthash.h>

#include "include/reason.h"
#include "server/cb/ref.h"
#include "server/fs/fs.h"
#include "server/layout/conflict.h"
#include "server/layout/layout.h"
#include "server/layout/plug.h"
#include "server/layout/view.h"
#include "server/net/worker.h"
#include "server/state/stateid.h"

struct device;
struct holder;
struct layout;
struct layout_file;
struct layout_lease;

/* ---- recalls (recall.c) ---- */

enum recall_state {
	RECALL_NONE,
	RECALL_WANTED,		/* to be sent: in layouts->to_send; all others in layouts->recalls */
	RECALL_SENT,		/* on its way, no answer yet */
	RECALL_ANSWERED,	/* NFS4_OK: LAYOUTRETURNs will come, or else it is sent again at resend_ms */
	RECALL_PAUSED,		/* sent again at resend_ms */
	RECALL_NO_PATH,		/* sent when there is a backchannel */
};

/* A CB_LAYOUTRECALL under way: outlives its layout. */
struct recall_call {
	struct layout *layout;		/* NULL: gone meanwhile */
	struct client *client;		/* referenced */
};

struct recall {
	enum recall_state state;
	bool changed;			/* clora_changed: blocks will move (RFC 8881 20.3.3) */
	bool nomatching;		/* answered NOMATCHING_LAYOUT once, while a LAYOUTGET may have been under way */
	struct range range;		/* to be returned */
	struct range sent;		/* what the last callback said */
	uint32_t seqid;			/* of its stateid; 0: none yet */
	uint64_t deadline_ms;		/* 0: not tried to send yet */
	uint64_t limit_ms;		/* the deadline never moves past this */
	uint64_t resend_ms;
	uint32_t pause_ms;
	struct recall_call *call;
};

/* ---- layouts ---- */

struct layout {
	struct state_obj obj;		/* STATE_LAYOUT */
	bool known;			/* obj stands in the table of stateids */
	struct layout_file *file;	/* NULL: only a revoked stateid is left (obj.revoked) */
	struct holder *holder;		/* NULL with file */
	struct holding held;
	struct cb_refs gets;		/* LAYOUTGETs whose replies may not have arrived */
	struct recall recall;
	TAILQ_ENTRY(layout) of_file, of_holder, of_recalls;
};
TAILQ_HEAD(layout_list, layout);

#define LAYOUT_WANTS 16u

struct layout_file {
	struct file_state *fs;		/* a user of it */
	struct inode *inode;		/* fs's */
	struct layouts *layouts;
	struct layout_list list;
	struct layout_lease *lease;	/* set and cleared with io_lock held for writing besides state_lock */
	unsigned busy;			/* LAYOUTGETs and others that look at it without state_lock */
	bool broken;			/* a local process waits: everything is recalled */
	bool unlease_queued;
	uint64_t not_before_ms;		/* no grants before: just unleased after a break */
	uint64_t opened_ms;		/* since when a local open has kept it from being leased; 0: it has not, lately */
	uint64_t linger_ms;		/* the lease stays until then though no layout is out; 0: one is, or there is no lease */
	struct want wants[LAYOUT_WANTS];
	unsigned nwants;
	struct work unlease;
	TAILQ_ENTRY(layout_file) of_layouts, of_waiting;
	bool waiting;			/* in layouts->waiting: has wants, not_before_ms or opened_ms */
};

/* ---- holders, fences (holder.c) ---- */

enum fence_state {
	FENCE_NONE,
	FENCE_QUEUED,		/* for a fencer thread, which looks whether it is still due */
	FENCE_RUNNING,		/* device_fence() is at it */
	FENCE_RETRY,		/* failed: again at next_ms, until over_ms if that is set */
	FENCE_TIMED,		/* nothing but time helps: over at over_ms */
};

struct holder_key {
	uint64_t clientid;
	const struct device *device;
};

#define HOLDER_KEYS 4u

struct holder {
	struct holder_key key;
	struct layouts *layouts;
	struct client *client;		/* NULL: gone, or cut off: what it holds is out of use until the fence is over */
	struct device *device;		/* referenced */
	const struct layout_plug *plug;
	struct layout_list list;
	enum fence_state fence;
	bool tried;			/* the target was talked to: from now on only a confirmation ends it */
	bool hashed;
	unsigned tries;
	uint64_t next_ms, renewed_ms;	/* the latter: of a client that is gone */
	uint64_t over_ms;		/* then time alone has made an end of its I/O (RFC 5663 2.3.8); 0: not known yet, or never */
	bool time_only;			/* not to be cut off (any more): it knows, or its host belongs to a new instance of it */
	uint64_t keys[HOLDER_KEYS];	/* the target may know it by: a client that was cut off elsewhere gets a new one */
	unsigned nkeys;
	char name[HOLDER_NAME];		/* printable co_ownerid */
	struct sockaddr_storage addr;
	struct work work;
	UT_hash_handle hh;
	TAILQ_ENTRY(holder) of_fences, of_reaped;
};
TAILQ_HEAD(holder_list, holder);

/* A client that was cut off and has not yet shown that it knows. */
struct fenced_client {
	uint64_t clientid;
	unsigned revoked;		/* its revoked layout stateids */
	bool refused;			/* a LAYOUTGET was refused, by a reply that also carried the SEQ4_STATUS_ flag: */
	struct cb_ref ref;
	UT_hash_handle hh;
};

/* What was returned lately, for LAYOUTCOMMITs that come after (returned.c). */
struct returned {
	uint64_t clientid;
	uint8_t other[NFS4_OTHER_SIZE];
	uint8_t handle[FS_HANDLE_MAX];
	unsigned handle_len;
	struct ranges rw;
	uint64_t expires_ms;
	LIST_ENTRY(returned) of_bucket;
	TAILQ_ENTRY(returned) of_all;
};
#define RETURNED_BUCKETS 256u
#define RETURNED_MAX 1024u
#define RETURNED_OF_ONE 8u		/* of one client and file */

struct layouts {
	struct mds *mds;
	TAILQ_HEAD(, layout_file) files, waiting;
	struct layout_list to_send, recalls;
	struct holder *holders;		/* uthash */
	struct holder_list fences;	/* those with a fence */
	struct holder_list reaped;	/* to be freed without state_lock */
	struct fenced_client *fenced;	/* uthash */
	struct record *records;		/* uthash: what is on disk of clients of this life */
	bool records_stale;		/* some may be of no use any more */
	LIST_HEAD(, returned) returned[RETURNED_BUCKETS];
	TAILQ_HEAD(, returned) returned_all;	/* oldest first */
	unsigned nreturned;
	unsigned unleasing;		/* files whose lease a worker is going to give up */
	struct workers *fencers;
	uint64_t refused[REASON_COUNT], refused_logged_ms[REASON_COUNT];
	uint64_t ngranted, nrecalls, nfences;

	pthread_t ticker;		/* runs only while there is something to wait for */
	pthread_cond_t cond;
	bool ticking, stop;
	bool asleep;			/* the ticker has nothing to do and waits for a kick */
	bool draining;			/* the server is going to end: nothing is given any more */
};

/* ---- layout.c ---- */

extern const struct state_class layout_class;

/* Without threads: unit tests drive layouts_tick() and the fencers' work themselves. */
int layouts_alloc(struct mds *mds);
/* One turn of the ticker: deadlines, pauses, fences that are over, wants that have expired.  No lock held. */
void layouts_tick(struct mds *mds);
/* Alignment of what is given on this file: whole blocks of the file system, and of clients' pages. */
uint64_t layout_unit(const struct inode *inode);
void layout_waiting_tick_locked(struct layouts *layouts, uint64_t now_ms);
/* There is something to wait for: wake the ticker. */
void layouts_kick_locked(struct layouts *layouts);

struct layout_file *layout_file_find(const struct inode *inode);
/* The same, made if need be; NULL without memory.  Stays while it is used: layout_file_put_locked() when the caller changed it. */
struct layout_file *layout_file_get_locked(struct mds *mds, struct inode *inode);
/* Free FILE if nothing is left of it.  Queue the lease's end if no layouts are. */
void layout_file_put_locked(struct layout_file *file);
/* The file's lease is LEASE from now on, or none.  io_lock held for writing, too. */
void layout_file_lease_locked(struct layout_file *file, struct layout_lease *lease);
/* For a caller that holds io_lock for writing and state_lock: the lease to give to its ops->unlease() after state_lock is dropped, or NULL. */
struct layout_lease *layout_file_unlease_locked(struct layout_file *file);
/* Give it up.  io_lock still held, state_lock not; FILE is busy. */
void layout_file_unlease(struct layout_file *file, struct layout_lease *lease);
/* A local open keeps it from being leased: is it worth asking again soon? */
bool layout_file_opened_locked(struct layout_file *file);
/* LEASE on FILE is going to be given up at once: if it was broken, the next one has to wait a moment. */
void layout_file_rest_locked(struct layout_file *file, const struct layout_lease *lease);

/* What CLIENT holds of the file; NULL: nothing.  Revoked ones are not found. */
struct layout *layout_find_locked(const struct inode *inode, const struct client *client);
/* The layout by SID's "other", revoked or not; NULL. */
struct layout *layout_by_sid_locked(struct mds *mds, const struct client *client, const stateid4 *sid);
/* May a request carry this seqid (RFC 8881 12.5.5.2.1.4)?  NFS4_OK, OLD_STATEID, BAD_STATEID. */
nfsstat4 layout_check_seqid(uint32_t now, uint32_t got);

/*
 * Take RANGE off what LAYOUT holds (its read and RW parts as asked), as returned.  A part that cannot be split off for want of memory stays
 * held.  Ends recalls that are complete.  Does not free LAYOUT.
 */
void layout_drop_range_locked(struct layout *layout, struct range range, bool read, bool rw);
static inline bool
layout_empty(const struct layout *layout)
{
	return !layout->held.read.n && !layout->held.rw.n;
}
/* Nothing is held: out of all lists and tables, freed.  The file may go, too. */
void layout_free_locked(struct mds *mds, struct layout *layout);
/* Out of file and holder; the stateid, if it is known, stays as revoked. */
void layout_detach_locked(struct mds *mds, struct layout *layout);

/* First byte of R that may not be given to CLIENT for NEED: holdings of others, wants, pending recalls.  r.end: none. */
uint64_t layout_obstacle_locked(const struct layout_file *file, const struct client *client, enum layout_need need,
    struct range r);
/* Recall what stands in the way. */
void layout_recall_conflicts_locked(struct mds *mds, struct layout_file *file, const struct client *client,
    enum layout_need need, struct range r);
void layout_want_locked(struct mds *mds, struct layout_file *file, uint64_t owner, enum layout_need need, struct range r);
/* It goes through now: what it was waiting for is over. */
void layout_want_met_locked(struct layout_file *file, uint64_t owner, enum layout_need need, struct range r);

/* Count and (not too often) log a refusal. */
void layout_refused(struct mds *mds, const struct inode *inode, enum reason why);

/* ---- recall.c ---- */

/* RANGE of LAYOUT is wanted back.  Call recalls_pump() after state_lock is dropped. */
void recall_want_locked(struct mds *mds, struct layout *layout, struct range range, bool changed);
/* Is RANGE being recalled from LAYOUT? */
bool recall_pending(const struct layout *layout, struct range range);
/* Something was returned: is the recall complete? */
void recall_check_locked(struct layout *layout);
/* The layout goes. */
void recall_end_locked(struct layout *layout);
/* Send what is to be sent.  No lock held. */
void recalls_pump(struct mds *mds);
/* Deadlines and pauses. */
void recalls_tick_locked(struct mds *mds, uint64_t now_ms);
/* Set export_on_break and cb_path_up. */
void recalls_init(void);

/* ---- holder.c ---- */

struct holder_key holder_key(const struct client *client, const struct inode *inode);
/* CLIENT on INODE's device; NULL without memory. */
struct holder *holder_get_locked(struct mds *mds, struct client *client, const struct inode *inode);
/* Free it if it holds nothing and nothing is going on. */
void holder_put_locked(struct holder *holder);
/* Cut it off. */
void holder_fence_locked(struct holder *holder);
/* Is CLIENT about to be cut off from INODE's device, or tried to?  (What it once held may be out of use for longer: FENCE_TIMED.) */
bool holder_fencing_locked(struct mds *mds, const struct client *client, const struct inode *inode);
/* The fence is over, by time or by the administrator's word: what it held is free. */
void holder_release_locked(struct holder *holder);
void holders_tick_locked(struct mds *mds, uint64_t now_ms);
void holders_reap(struct layouts *layouts);
/* Its target may come to know it by KEY, too. */
void holder_add_key(struct holder *holder, uint64_t key);

/* ---- fenced.c ---- */

/* CLIENT was cut off; it goes. */
void fenced_begin_locked(struct layouts *layouts, struct client *client);
void fenced_end_locked(struct layouts *layouts, const struct client *client);
/* A stateid of CLIENT was revoked, or one that was is freed. */
void fenced_note_locked(struct mds *mds, struct client *client);
void fenced_forget_stateid_locked(struct mds *mds, struct client *client);
/* A fenced client asks for a layout: has it got word of the fence?  If so it is over. */
bool fenced_still_locked(struct mds *mds, struct client *client, const struct cb_ref *ref);
void fenced_free(struct layouts *layouts);

/* ---- record.c ---- */

/* See to it that CLIENT is on record for INODE's device.  Writes to disk the first time: worker, no lock held.  0 or -errno: no layout, then. */
int record_make(struct mds *mds, const struct client *client, const struct inode *inode);
/* Is it already?  Takes state_lock. */
bool record_there(struct mds *mds, const struct client *client, const struct inode *inode);
void records_free(struct layouts *layouts);

/* ---- returned.c ---- */

void returned_add_locked(struct layouts *layouts, const struct layout *layout, struct range range);
/* CLIENT's; NULL: none that has not expired. */
const struct returned *returned_find_locked(struct layouts *layouts, const struct client *client, const struct inode *inode,
    const stateid4 *sid);
/* RANGE of the file is no longer what it was (blocks go, or EXCEPT's or another's writes follow): forget it.  EXCEPT may be NULL. */
void returned_forget_locked(struct layouts *layouts, const struct inode *inode, const struct client *except, struct range range);
void returned_client_gone_locked(struct layouts *layouts, const struct client *client);
void returned_free(struct layouts *layouts);

#endif
