/*
 * Client records (RFC 8881 2.4, 18.35) and leases (8.3).  Everything here is guarded by
 * mds->state_lock unless said otherwise.
 */
#ifndef PNFS_SERVER_STATE_CLIENT_H
#define PNFS_SERVER_STATE_CLIENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <uthash.h>

#include "proto/rpc/peer.h"
#include "proto/x/nfs4.h"

struct mds;
struct owner;
struct session;
struct state_obj;

/* Keys remembered of a client that was cut off. */
#define CLIENT_OLD_KEYS 3u

/* What a client wants to be told about a device (layout/device_notice.c). */
struct subscription {
	LIST_ENTRY(subscription) link;
	uint8_t device[NFS4_DEVICEID4_SIZE];
	uint32_t layout_type;
	uint32_t mask;			/* 1 << notify_deviceid_type4 */
	uint32_t pending;		/* of mask: to be sent */
	bool immediate;			/* ndc_immediate of a pending CHANGE */
	bool sending;
	uint64_t retry_ms;		/* not before */
};
/* Devices beyond that: nothing is promised. */
#define CLIENT_MAX_SUBSCRIPTIONS 256u

struct client {
	uint64_t id;			/* clientid4: boot time in the high half, so old ones never match */
	uint8_t *ownerid;		/* co_ownerid, at most NFS4_OPAQUE_LIMIT */
	uint32_t ownerid_len;
	uint8_t verifier[NFS4_VERIFIER_SIZE];	/* co_verifier */
	struct rpc_cred principal;	/* who made it: client_same_principal(); its name is the record's own */
	bool mach_cred;			/* SP4_MACH_CRED (RFC 8881 2.10.8.3); this and the next do not change */
	uint32_t mach_allow[2];		/* spo_must_allow, by operation */
	bool confirmed;
	bool removed;			/* out of the tables */
	bool reclaim_complete;		/* RECLAIM_COMPLETE (one_fs false) seen */
	bool may_reclaim;		/* has a stable record from before the restart */
	bool expired;			/* lease over: being taken down, no new state */
	bool lapsed;			/* lease over, opens and locks kept until somebody wants them (lease.c); it may have renewed since */
	bool wanted;			/* somebody does */
	bool recording;			/* unconfirmed: its record is being written */
	bool forgetting;		/* confirmed: its record is being removed */
	bool fenced;			/* a key of it was preempted: layouts refused until it is a new client instance or re-registered by a new key */
	uint32_t create_seqid;		/* CREATE_SESSION's own slot (18.36.4) */
	nfsstat4 create_status;
	CREATE_SESSION4resok create_res;
	atomic_int nback;		/* connections that carry a backchannel of its sessions; written under state_lock */
	unsigned nsessions;
	uint64_t old_keys[CLIENT_OLD_KEYS];	/* what pr_key was before it was fenced, the latest last: targets may still know it by them */
	unsigned nold_keys;
	uint64_t pr_key;		/* reservation key for SCSI layouts: never 0, new with every client record (RFC 8154 2.4.10.1) */
	struct sockaddr_storage addr;	/* of the connection it came by, for logs and the fencing command */
	atomic_uint_fast64_t renewed_ms;	/* mds_now_ms() of the last successful SEQUENCE; no lock */
	atomic_uint seq_flags;		/* SEQ4_STATUS_ bits that hold (besides CB_PATH_DOWN, which is computed); no lock */
	atomic_int refs;		/* compounds under way, callbacks, layouts' recalls; freed at 0 after removal */
	TAILQ_HEAD(, session) sessions;
	TAILQ_HEAD(, state_obj) states;	/* opens, locks, layouts (stateid.h) */
	uint32_t nstates, nranges;	/* how many of them, and byte-range locks: for limits, stateid.c's */
	uint32_t nwaits;		/* blocked locks that are remembered; lock_wait.c's */
	uint32_t ndelegs, nrevoked;	/* delegations it has, and revoked ones it was not told of yet or has not freed; deleg.c's */
	uint64_t recall_any_ms;		/* when CB_RECALL_ANY was last sent; deleg_recall.c's */
	LIST_HEAD(, subscription) subscriptions;
	unsigned nsubscriptions;
	struct owner *owners;		/* open and lock owners: uthash, owner.h */
	TAILQ_ENTRY(client) of_unconfirmed;	/* oldest first */
	UT_hash_handle hh_id, hh_owner;
};

/* Records that wait for their CREATE_SESSION; the oldest go first when there are more (floods of EXCHANGE_ID). */
#define CLIENT_MAX_UNCONFIRMED 1024u
#define CLIENT_MAX_CONFIRMED 16384u

int clients_new(struct mds *mds);
void clients_free(struct mds *mds);

/* By clientid4, confirmed or not; NULL: unknown (STALE_CLIENTID).  state_lock held. */
struct client *client_find_locked(struct mds *mds, uint64_t id);

struct client *client_get(struct client *client);
void client_put(struct mds *mds, struct client *client);

/* Has it opens, locks, delegations or layouts (CLIENTID_BUSY)?  state_lock held. */
bool client_has_state_locked(const struct client *client);

/*
 * Take a client down: its layouts are handed to layout_client_gone_locked() (which fences before blocks are reused),
 * all other state released, sessions destroyed, the record removed.  For lease expiry, a new verifier and
 * DESTROY_CLIENTID.  state_lock held.
 */
void client_destroy_locked(struct mds *mds, struct client *client);	/* its lease is over, or it was evicted */
void client_replace_locked(struct mds *mds, struct client *client);	/* a new instance of it was confirmed */
void client_remove_locked(struct mds *mds, struct client *client);	/* DESTROY_CLIENTID, or never confirmed */

/* Records by co_ownerid: there may be one of each (RFC 8881 18.35.4, case 5). state_lock held. */
struct client *client_find_owner_locked(struct mds *mds, const void *ownerid, uint32_t len, bool confirmed);
/* A new, unconfirmed record.  NULL without memory. state_lock held. */
struct client *client_new_locked(struct mds *mds, const client_owner4 *owner, const struct rpc_cred *principal,
    const struct sockaddr_storage *addr);
/* The one who made CLIENT: with RPCSEC_GSS by its name, else by uid (RFC 8881 2.2.1). Any thread. */
bool client_same_principal(const struct client *client, const struct rpc_cred *cred);

/* The first CREATE_SESSION succeeded.  The confirmed record of the same owner, if any, was replaced before. state_lock held. */
void client_confirm_locked(struct mds *mds, struct client *client);
/* Has an instance of this owner a record, or is it being written?  state_lock held. */
bool client_recorded_locked(struct mds *mds, const void *ownerid, uint32_t len);
/* Remove the stable record of a client that was taken down, unless it is back.  Blocks; no lock held. */
void client_forget(struct mds *mds, const struct client *client);
unsigned client_count_locked(const struct mds *mds);	/* confirmed ones */

/* Call FN for each client. state_lock held. */
void client_each_locked(struct mds *mds, void (*fn)(struct client *, void *), void *arg);

/* The administrator: take down client ID as if its lease were over.  1; -ENOENT; another -errno: its record could not be removed.  Blocks. */
int client_evict(struct mds *mds, uint64_t id);

/* Run by a timer on loop 0, about once a second: expire leases, end grace. */
void lease_tick(struct mds *mds);
void lease_expire(struct mds *mds, uint64_t now_ms);	/* the work of it, by a worker */

/* Nothing but a successful SEQUENCE renews (RFC 8881 8.3).  No lock. */
static inline bool
client_lease_over(const struct client *client, uint64_t now_ms, uint32_t lease)
{
	uint64_t renewed = atomic_load(&client->renewed_ms);
	return now_ms > renewed && now_ms - renewed > lease * 1000ull;
}

/*
 * A client whose lease is over keeps its opens and locks until somebody else wants them, or there is no room.  May what CLIENT has be taken away?  Then
 * lease_want_locked() sets that going, and whoever wants it is answered DELAY: the record on disk has to go first.  state_lock held.
 */
bool lease_lapsed_locked(const struct mds *mds, const struct client *client);
void lease_want_locked(struct mds *mds, struct client *client);
/* Some limit is reached: want all there are.  False: there are none. */
bool lease_make_room_locked(struct mds *mds);

/* ---- grace (RFC 8881 8.4.2) and the stable records (lmdb in state_dir) ---- */

/* Is the server in grace?  No lock needed (atomic). */
bool grace_active(const struct mds *mds);

/* May CLIENT reclaim now?  NFS4_OK, NO_GRACE, RECLAIM_BAD.  state_lock held. */
nfsstat4 grace_check_reclaim_locked(struct mds *mds, struct client *client);

/*
 * Opens the store in state_dir; starts grace if records from before are found, of clients that may reclaim or of holders that may still write
 * (layout/former.h), and not at all otherwise.
 */
int grace_start(struct mds *mds);
void grace_stop(struct mds *mds);
/* Has the grace period lasted long enough, or have all reclaimed?  Ends it then; may wait for the disk.  From lease_expire(). */
void grace_tick(struct mds *mds, uint64_t now_ms);
/* Is there a stable record of this owner from before the restart? state_lock held. */
bool grace_has_record_locked(const struct mds *mds, const void *ownerid, uint32_t len);

/* The store itself (stable.c): open, and what grace.c wants of it. */
int stable_open(struct mds *mds, const char *dir);
void stable_close(struct mds *mds);
/* Begin a new life: what was recorded in the last one becomes "former" (or stays so, if the last one ended within its grace). */
int stable_begin(struct mds *mds);
int stable_former_each(struct mds *mds, void (*fn)(const void *ownerid, uint32_t len, void *arg), void *arg);
/* Grace is over: forget the former life, holders included. */
int stable_former_drop(struct mds *mds);
/* Seconds: the lease that clients of former lives may count on; 0: there are none. */
uint32_t stable_former_lease(const struct mds *mds);

/*
 * A client that has, or had, layouts on a device: on record from before the first of them until none of its I/O can be under way any more
 * (layout/record.c), so that the next life knows whom to wait for or cut off (layout/former.c).
 */
struct stable_holder {
	uint64_t clientid;
	const char *device;		/* name of its section */
	const uint8_t *ownerid;
	uint32_t ownerid_len;
	uint8_t verifier[NFS4_VERIFIER_SIZE];	/* co_verifier: tells instances apart */
	uint32_t layout_type;
	uint32_t lease, max_io_time;	/* seconds, as they were then */
	uint64_t key;			/* reservation key, 0: none */
	struct sockaddr_storage addr;	/* without its port */
};
/* Durable when they return; without state_lock. */
int stable_holder_put(struct mds *mds, const struct stable_holder *holder);
/* By clientid and device. */
int stable_holders_remove(struct mds *mds, const struct stable_holder *list, size_t n);
/* FN's error ends it and is returned; FN may keep nothing it is given, nor change the store. */
int stable_holder_each(struct mds *mds, int (*fn)(const struct stable_holder *holder, void *arg), void *arg);

/* Durable when they return (0 or -errno); called without state_lock, from workers. */
int stable_client_add(struct mds *mds, const void *ownerid, uint32_t len);
int stable_client_remove(struct mds *mds, const void *ownerid, uint32_t len);
/* RECLAIM_COMPLETE of a client: when all that may reclaim have said so, grace ends early (PITFALLS D5). */
void grace_client_done_locked(struct mds *mds, struct client *client);

/*
 * SCSI keys handed out, kept over restarts so that clients of a former life are fenced before anything is granted
 * anew (XFS.md "Both").  DEVICE is the name of its section.
 */
int stable_key_add(struct mds *mds, const char *device, uint64_t key);
int stable_key_remove(struct mds *mds, const char *device, uint64_t key);
int stable_key_each(struct mds *mds, const char *device, void (*fn)(uint64_t key, void *arg), void *arg);

#endif
