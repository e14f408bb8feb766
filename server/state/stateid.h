/*
 * Stateids (RFC 8881 8.2): one table for opens, locks, layouts, delegations, and copies that go on (RFC 7862 4.8).
 * Each kind embeds a struct state_obj.  Guarded by mds->state_lock.
 *
 * "other" is 12 bytes: 4 of boot entropy, 8 of counter, so that those of a former life never match (PITFALLS D6).
 */
#ifndef PNFS_SERVER_STATE_STATEID_H
#define PNFS_SERVER_STATE_STATEID_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

#include "proto/x/nfs4.h"

struct client;
struct compound;
struct inode;
struct mds;

enum state_kind { STATE_OPEN = 1, STATE_LOCK = 2, STATE_LAYOUT = 4, STATE_DELEG = 8, STATE_COPY = 16 };

struct state_obj;
struct state_class {
	enum state_kind kind;
	/*
	 * Drop it with all it stands for (client destroyed, FREE_STATEID of what was revoked).  Removes and frees the object. state_lock held.
	 * May drop others with it (an open its locks): walk a client's states by taking the first until there is none.
	 */
	void (*release)(struct mds *mds, struct state_obj *obj);
};

struct state_obj {
	const struct state_class *cls;
	uint8_t other[NFS4_OTHER_SIZE];
	uint32_t seqid;			/* of the last reply that changed it */
	struct client *client;
	struct inode *inode;		/* referenced */
	bool revoked;			/* kept only to answer: ADMIN_REVOKED / EXPIRED until FREE_STATEID */
	TAILQ_ENTRY(state_obj) of_client;
	UT_hash_handle hh;
};

int stateids_new(struct mds *mds);
/* After all state was released.  Puts the inodes that were still waiting for it. */
void stateids_free(struct mds *mds);

/*
 * What clients may make us keep.  NFS4ERR_RESOURCE is not an error of 4.1 (RFC 8881 15.1.16): past a limit SERVERFAULT is answered, which
 * ends the request at the client, rather than DELAY, which repeats it for ever.
 */
struct state_limits {
	uint32_t client_states, states;	/* opens, lock and layout stateids: of one client, of all */
	uint32_t client_ranges, ranges;	/* byte-range locks */
};
extern const struct state_limits state_default_limits;
void stateids_set_limits(struct mds *mds, const struct state_limits *limits);

/*
 * Is there room for another state or lock range of CLIENT?  NFS4_OK; SERVERFAULT; DELAY: clients whose lease is over
 * are making some; EXPIRED: the client is being taken down (layouts ask too).
 */
nfsstat4 state_room_locked(struct mds *mds, const struct client *client);
nfsstat4 state_range_room_locked(struct mds *mds, const struct client *client);
/* Count lock ranges of CLIENT: lock.c. */
void state_count_ranges_locked(struct mds *mds, struct client *client, int delta);

/* Fill in OBJ (other, seqid 1, client, inode with a reference of its own) and enter it. */
void state_add_locked(struct mds *mds, struct state_obj *obj, const struct state_class *cls,
    struct client *client, struct inode *inode);
/* Take it out of the table and the client's list.  The caller frees it.  The inode reference is returned if IREF is not NULL (to put without the lock); else a worker puts it. */
void state_remove_locked(struct mds *mds, struct state_obj *obj, struct inode **iref);

/* inode_put() may wait for storage (last reference to an unlinked file): have a worker do it. */
void state_put_inode_locked(struct mds *mds, struct inode *inode);

/* Next seqid (wraps past 0, RFC 8881 8.2.2), and the stateid for the reply. */
void state_bump_locked(struct state_obj *obj, stateid4 *sid);
void state_sid(const struct state_obj *obj, stateid4 *sid);

/* RFC 8881 8.2.3 */
static inline bool
stateid_is_anonymous(const stateid4 *sid)
{
	static const char zero[NFS4_OTHER_SIZE];
	return sid->seqid == 0 && !__builtin_memcmp(sid->other, zero, sizeof zero);
}
bool stateid_is_bypass(const stateid4 *sid);	/* all ones: READ bypass */
bool stateid_is_current(const stateid4 *sid);	/* {1, 0} */
bool stateid_is_invalid(const stateid4 *sid);	/* {NFS4_UINT32_MAX, 0} */

/*
 * Find the object of SID for CLIENT, of one of KINDS (a mask), on INODE (NULL: any): RFC 8881 8.2.4.
 * seqid 0 means the present one.  BAD_STATEID (unknown, foreign, wrong kind, wrong file, future seqid), OLD_STATEID,
 * ADMIN_REVOKED, EXPIRED; never STALE_STATEID on 4.1 (PITFALLS D1).
 */
nfsstat4 state_find_locked(struct mds *mds, const struct client *client, const stateid4 *sid, unsigned kinds,
    const struct inode *inode, struct state_obj **obj);

/* The object of SID's "other" if it is CLIENT's, revoked or not, whatever the seqid (FREE_STATEID); NULL. */
struct state_obj *state_lookup_locked(struct mds *mds, const struct client *client, const stateid4 *sid);

/* Compare SID's seqid with OBJ's: NFS4_OK (also for 0), OLD_STATEID, BAD_STATEID (RFC 8881 8.2.2). */
nfsstat4 state_check_seqid(const struct state_obj *obj, const stateid4 *sid);

/*
 * May C read or write INODE with SID (READ, WRITE, SETATTR of size, LAYOUTGET's first stateid)?  Knows special stateids, share denials of
 * others (LOCKED), access mode of the open (OPENMODE) and grace.  Takes state_lock.  READ with an open for writing only is allowed (RFC 8881 9.1.2).
 * *by_open (may be NULL) tells that an open of this access by the same user stands behind it, so that permission was checked then;
 * else the caller checks it (RFC 8881 18.16.4: without BIND_PRINC_STATEID other users may come with the stateid).
 */
nfsstat4 state_check_io(struct compound *c, const stateid4 *sid, struct inode *inode, bool write, bool *by_open);

#endif
