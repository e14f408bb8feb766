/* Lock stateids; see lock.h.  Used by op_lock.c, op_stateid.c and open.c. */
#include "server/state/lock.h"

#include <stdlib.h>

#include "include/queue.h"
#include "server/fs/fs.h"
#include "server/state/client.h"
#include "server/state/file.h"
#include "server/state/lock_wait.h"

static void lock_release(struct mds *mds, struct state_obj *obj);

static const struct state_class lock_class = { .kind = STATE_LOCK, .release = lock_release };

bool
lock_held_locked(const struct lock_state *state)
{
	return state->nranges > 0;
}

static void
lock_drop(struct mds *mds, struct lock_state *state)
{
	struct client *client = state->obj.client;
	struct lock_range *range, *next;
	struct inode *inode;

	if (state->nranges) {
		TAILQ_FOREACH_SAFE(range, &state->file->locks, of_file, next) {
			if (range->state != state)
				continue;
			TAILQ_REMOVE(&state->file->locks, range, of_file);
			free(range);
		}
		state_count_ranges_locked(mds, client, -(int)state->nranges);
		lock_wait_freed_locked(mds, state->file);
	}
	TAILQ_REMOVE(&state->open->locks, state, of_open);
	state_remove_locked(mds, &state->obj, &inode);
	inode_put(inode);	/* not the last: the open has one */
	owner_put_locked(client, state->owner);
	free(state);
}

void
lock_free_locked(struct mds *mds, struct lock_state *state)
{
	lock_drop(mds, state);
}

static void
lock_release(struct mds *mds, struct state_obj *obj)
{
	lock_drop(mds, (struct lock_state *)obj);
}

void
lock_open_gone_locked(struct mds *mds, struct open_state *open)
{
	struct lock_state *state;

	lock_wait_open_gone_locked(mds, open);
	while ((state = TAILQ_FIRST(&open->locks)))
		lock_drop(mds, state);
}

/* The lock state of OWNER under OPEN. */
static struct lock_state *
lock_find(const struct open_state *open, const struct owner *owner)
{
	struct lock_state *state;

	if (owner)
		TAILQ_FOREACH(state, &open->locks, of_open)
			if (state->owner == owner && !state->obj.revoked)
				return state;
	return NULL;
}

static nfsstat4
lock_new(struct mds *mds, struct open_state *open, const struct lock_ask *ask, struct lock_state **made)
{
	struct client *client = open->obj.client;
	nfsstat4 status = state_room_locked(mds, client);
	if (status != NFS4_OK)
		return status;
	struct lock_state *state = calloc(1, sizeof *state);
	if (!state)
		return NFS4ERR_DELAY;
	state->owner = owner_get_locked(client, OWNER_LOCK, ask->owner, ask->owner_len);
	if (!state->owner) {
		free(state);
		return NFS4ERR_DELAY;
	}
	state->open = open;
	state->file = open->file;
	TAILQ_INSERT_TAIL(&open->locks, state, of_open);
	state_add_locked(mds, &state->obj, &lock_class, client, open->obj.inode);
	*made = state;
	return NFS4_OK;
}

static bool
spare_get(struct lock_spare *spare, unsigned n)
{
	*spare = (struct lock_spare){ 0 };
	for (unsigned i = 0; i < n; i++)
		if (!(spare->node[i] = calloc(1, sizeof *spare->node[i])))
			return false;
	return true;
}

static void
spare_put(struct lock_spare *spare)
{
	free(spare->node[0]);
	free(spare->node[1]);
}

/* DENIED with the first range of a client that is there; DELAY if those in the way are all of clients whose lease is over. */
static nfsstat4
lock_check(struct mds *mds, const struct file_state *fs, const struct owner *owner, const struct lock_ask *ask,
    const struct lock_range **denied)
{
	const struct lock_range *first = lock_range_conflict(fs, owner, ask->write, ask->start, ask->end), *r;

	*denied = NULL;
	for (r = first; r; r = lock_range_conflict_next(r, owner, ask->write, ask->start, ask->end))
		if (!lease_lapsed_locked(mds, r->state->obj.client)) {
			*denied = r;
			return NFS4ERR_DENIED;
		}
	for (r = first; r; r = lock_range_conflict_next(r, owner, ask->write, ask->start, ask->end))
		lease_want_locked(mds, r->state->obj.client);
	return first ? NFS4ERR_DELAY : NFS4_OK;
}

nfsstat4
lock_set_locked(struct mds *mds, struct open_state *open, struct lock_state *state,
    const struct lock_ask *ask, stateid4 *sid, const struct lock_range **denied)
{
	struct client *client = open->obj.client;
	struct file_state *fs = open->file;
	struct owner *owner = state ? state->owner :
	    owner_find_locked(client, OWNER_LOCK, ask->owner, ask->owner_len);
	struct lock_spare spare = { 0 };
	bool fresh = false;

	nfsstat4 status = lock_check(mds, fs, owner, ask, denied);
	if (status == NFS4_OK)
		status = state_range_room_locked(mds, client);
	if (status == NFS4_OK && !spare_get(&spare, 2))
		status = NFS4ERR_DELAY;
	if (status == NFS4_OK && !state && !(state = lock_find(open, owner))) {
		status = lock_new(mds, open, ask, &state);
		fresh = status == NFS4_OK;
	}
	if (status == NFS4_OK) {
		int more = lock_range_apply(fs, state->owner, state, ask->write ? LOCK_WRITE : LOCK_READ,
		    ask->start, ask->end, &spare);
		state_count_ranges_locked(mds, client, more);
		lock_wait_met_locked(mds, fs, state->owner, ask);
		/* A write lock may have become a read lock. */
		lock_wait_freed_locked(mds, fs);
		if (fresh)
			state_sid(&state->obj, sid);
		else
			state_bump_locked(&state->obj, sid);
	}
	spare_put(&spare);
	return status;
}

nfsstat4
lock_unset_locked(struct mds *mds, struct lock_state *state, uint64_t start, uint64_t end, stateid4 *sid)
{
	struct lock_spare spare;

	/* No look at the limits: an unlock must be possible. */
	if (!spare_get(&spare, 1)) {
		spare_put(&spare);
		return NFS4ERR_DELAY;
	}
	int more = lock_range_apply(state->file, state->owner, NULL, LOCK_NONE, start, end, &spare);
	state_count_ranges_locked(mds, state->obj.client, more);
	lock_wait_freed_locked(mds, state->file);
	state_bump_locked(&state->obj, sid);
	spare_put(&spare);
	return NFS4_OK;
}

nfsstat4
lock_test_locked(struct mds *mds, const struct inode *inode, struct client *client, const struct lock_ask *ask,
    const struct lock_range **denied)
{
	if (!inode->state)
		return NFS4_OK;
	return lock_check(mds, inode->state, owner_find_locked(client, OWNER_LOCK, ask->owner, ask->owner_len), ask, denied);
}
