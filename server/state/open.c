/* Opens: share reservations, upgrade, downgrade, close; see open.h.  Used by op_open.c, stateid_io.c and layout/. */
#include "server/state/open.h"

#include <assert.h>
#include <stdlib.h>

#include "server/fs/fs.h"
#include "server/state/client.h"
#include "server/state/deleg.h"
#include "server/state/file.h"
#include "server/state/lock.h"

static void open_release(struct mds *mds, struct state_obj *obj);

static const struct state_class open_class = { .kind = STATE_OPEN, .release = open_release };

/* Set the bits of OPEN, and count those of the file. */
static void
share_set(struct open_state *open, uint32_t access, uint32_t deny)
{
	struct file_state *fs = open->file;

	for (unsigned i = 0; i < 2; i++) {
		fs->access_n[i] += (access >> i & 1) - (open->access >> i & 1);
		fs->deny_n[i] += (deny >> i & 1) - (open->deny >> i & 1);
	}
	open->access = access;
	open->deny = deny;
}

static uint32_t
seen_bit(uint32_t access, uint32_t deny)
{
	assert(access >= 1 && access <= OPEN4_SHARE_ACCESS_BOTH && deny <= OPEN4_SHARE_DENY_BOTH);
	return 1u << ((access - 1) * 4 + deny);
}

bool
open_conflict_locked(const struct inode *inode, uint32_t access, uint32_t deny)
{
	const struct file_state *fs = inode->state;

	for (unsigned i = 0; fs && i < 2; i++)
		if (((access >> i & 1) && fs->deny_n[i]) || ((deny >> i & 1) && fs->access_n[i]))
			return true;
	return false;
}

static bool
conflicts(const struct open_state *open, uint32_t access, uint32_t deny)
{
	return open->deny & access || open->access & deny;
}

nfsstat4
open_check_locked(struct mds *mds, const struct inode *inode, uint32_t access, uint32_t deny)
{
	const struct open_state *open;

	if (!open_conflict_locked(inode, access, deny))
		return NFS4_OK;
	TAILQ_FOREACH(open, &inode->state->opens, of_file)
		if (conflicts(open, access, deny) && !lease_lapsed_locked(mds, open->obj.client))
			return NFS4ERR_SHARE_DENIED;
	TAILQ_FOREACH(open, &inode->state->opens, of_file)
		if (conflicts(open, access, deny))
			lease_want_locked(mds, open->obj.client);
	return NFS4ERR_DELAY;
}

/* A delegation is as good as an open (RFC 9754 4). */
static bool
delegated(const struct inode *inode, const struct client *client, bool write)
{
	const struct deleg *deleg;

	if (inode->state->delegs)
		TAILQ_FOREACH(deleg, &inode->state->delegs->list, of_file)
			if (deleg->obj.client == client && (!write || deleg->write))
				return true;
	return false;
}

bool
open_held_locked(const struct inode *inode, const struct client *client, bool write)
{
	const struct open_state *open;

	if (!inode->state)
		return false;
	TAILQ_FOREACH(open, &inode->state->opens, of_file)
		if (open->obj.client == client && (!write || open->access & OPEN4_SHARE_ACCESS_WRITE))
			return true;
	return delegated(inode, client, write);
}

bool
open_any_locked(const struct inode *inode)
{
	return inode->state && (!TAILQ_EMPTY(&inode->state->opens) || deleg_any(inode));
}

static struct open_state *
open_find(const struct inode *inode, const struct owner *owner)
{
	struct open_state *open;

	if (owner && inode->state)
		TAILQ_FOREACH(open, &inode->state->opens, of_file)
			if (open->owner == owner && !open->obj.revoked)
				return open;
	return NULL;
}

/* A new open without any bits yet. */
static nfsstat4
open_new(struct mds *mds, struct client *client, struct inode *inode, const struct open_ask *ask,
    struct open_state **made)
{
	nfsstat4 status = state_room_locked(mds, client);
	if (status != NFS4_OK)
		return status;
	struct open_state *open = calloc(1, sizeof *open);
	if (!open)
		return NFS4ERR_DELAY;
	open->owner = owner_get_locked(client, OWNER_OPEN, ask->owner, ask->owner_len);
	if (!open->owner)
		goto no_owner;
	open->file = file_state_get_locked(mds, inode);
	if (!open->file)
		goto no_file;
	TAILQ_INIT(&open->locks);
	open->uid = ask->uid;
	state_add_locked(mds, &open->obj, &open_class, client, inode);
	TAILQ_INSERT_TAIL(&open->file->opens, open, of_file);
	*made = open;
	return NFS4_OK;

no_file:
	owner_put_locked(client, open->owner);
no_owner:
	free(open);
	return NFS4ERR_DELAY;
}

nfsstat4
open_add_locked(struct mds *mds, struct client *client, struct inode *inode, const struct open_ask *ask,
    struct open_undo *undo, stateid4 *sid)
{
	/* The owner's own open counts as any other (RFC 8881 18.16.3). */
	nfsstat4 free = open_check_locked(mds, inode, ask->access, ask->deny);
	if (free != NFS4_OK)
		return free;
	struct open_state *open = open_find(inode,
	    owner_find_locked(client, OWNER_OPEN, ask->owner, ask->owner_len));
	undo->fresh = !open;
	if (undo->fresh) {
		nfsstat4 status = open_new(mds, client, inode, ask, &open);
		if (status != NFS4_OK)
			return status;
	}
	undo->open = open;
	undo->access = open->access;
	undo->deny = open->deny;
	undo->seen = open->seen;
	undo->mixed = open->mixed;
	undo->seqid = open->obj.seqid;

	open->mixed |= open->uid != ask->uid;
	open->may_notify = ask->may_notify;
	open->seen |= seen_bit(ask->access, ask->deny);
	share_set(open, open->access | ask->access, open->deny | ask->deny);
	if (undo->fresh)
		state_sid(&open->obj, sid);
	else	/* even if nothing changes (RFC 8881 9.9) */
		state_bump_locked(&open->obj, sid);
	undo->sid = *sid;
	return NFS4_OK;
}

void
open_undo_locked(struct mds *mds, struct client *client, struct open_undo *undo, struct inode **iref)
{
	struct open_state *open = undo->open;

	*iref = NULL;
	if (state_lookup_locked(mds, client, &undo->sid) != &open->obj || open->obj.seqid != undo->sid.seqid)
		return;
	if (undo->fresh) {
		open_close_locked(mds, open, iref);
		return;
	}
	open->seen = undo->seen;
	open->mixed = undo->mixed;
	open->obj.seqid = undo->seqid;
	share_set(open, undo->access, undo->deny);
}

nfsstat4
open_downgrade_locked(struct open_state *open, uint32_t access, uint32_t deny, stateid4 *sid)
{
	uint32_t union_access = 0, union_deny = 0, keep = 0;
	bool some_deny = false;

	for (uint32_t a = 1; a <= OPEN4_SHARE_ACCESS_BOTH; a++)
		for (uint32_t d = 0; d <= OPEN4_SHARE_DENY_BOTH; d++) {
			if (!(open->seen & seen_bit(a, d)))
				continue;
			if (!(a & ~access))
				union_access |= a;
			if (!(d & ~deny)) {
				union_deny |= d;
				some_deny = true;
			}
			if (!(a & ~access) && !(d & ~deny))
				keep |= seen_bit(a, d);
		}
	if (union_access != access || union_deny != deny || !some_deny)
		return NFS4ERR_INVAL;
	/* What is left are the OPENs within the new bits; and the new bits as such, since a client says what the rest adds up to. */
	open->seen = keep | seen_bit(access, deny);
	share_set(open, access, deny);
	state_bump_locked(&open->obj, sid);
	return NFS4_OK;
}

/* Both references to the inode are given back: one at once, as it is not the last, the other by *IREF. */
void
open_close_locked(struct mds *mds, struct open_state *open, struct inode **iref)
{
	struct client *client = open->obj.client;
	struct inode *of_file;

	lock_open_gone_locked(mds, open);
	share_set(open, 0, 0);
	TAILQ_REMOVE(&open->file->opens, open, of_file);
	state_remove_locked(mds, &open->obj, iref);
	file_state_put_locked(open->file, &of_file);
	if (of_file)
		inode_put(of_file);
	owner_put_locked(client, open->owner);
	free(open);
}

static void
open_release(struct mds *mds, struct state_obj *obj)
{
	struct inode *inode;

	open_close_locked(mds, (struct open_state *)obj, &inode);
	state_put_inode_locked(mds, inode);
}
