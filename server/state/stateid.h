/*
 * Stateids (RFC 8881 8.2): one table for opens, locks and layouts (and, later, delegations).
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

enum state_kind { STATE_OPEN = 1, STATE_LOCK = 2, STATE_LAYOUT = 4, STATE_DELEG = 8 };

struct state_obj;
struct state_class {
	enum state_kind kind;
	/* Drop it with all it stands for (client destroyed).  Removes and frees the object. state_lock held. */
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
void stateids_free(struct mds *mds);

/* Fill in OBJ (other, seqid 1, client, inode with a reference of its own) and enter it. */
void state_add_locked(struct mds *mds, struct state_obj *obj, const struct state_class *cls,
    struct client *client, struct inode *inode);
/* Take it out of the table and the client's list, put the inode.  The caller frees it.  The inode reference is returned if IREF is not NULL (to put without the lock). */
void state_remove_locked(struct mds *mds, struct state_obj *obj, struct inode **iref);

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

/*
 * May C read or write INODE with SID (READ, WRITE, SETATTR of size, LAYOUTGET's first stateid)?  Knows special stateids, share denials of
 * others (LOCKED), access mode of the open (OPENMODE) and grace.  Takes state_lock.  *by_open (may be NULL) tells that an open stands behind it, so that permission was checked then.
 */
nfsstat4 state_check_io(struct compound *c, const stateid4 *sid, struct inode *inode, bool write, bool *by_open);

#endif
