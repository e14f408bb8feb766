/*
 * The table of stateids (RFC 8881 8.2) and what clients may fill it with.  Used by
 * open.c, lock.c, layout/ and the operations that take stateids.
 */
#define HASH_NONFATAL_OOM 1	/* uthash: an entry that finds no memory is not found later, nothing aborts */
#include "server/state/stateid.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "server/fs/fs.h"
#include "server/mds.h"
#include "server/net/worker.h"
#include "server/state/client.h"

/*
 * Seqids wrap: one below this and one as near to the end are compared the other way round.  RFC 8881 8.2.2 says the total
 * count of the client's slots; no client has more.
 */
#define SEQID_WINDOW (1u << 16)

/* An inode that waits for a worker to put it. */
struct late_inode {
	struct late_inode *next;
	struct inode *inode;
};

struct stateids {
	struct state_obj *table;
	uint32_t boot;			/* first word of every "other" */
	uint64_t counter;
	uint32_t nstates, nranges;
	struct state_limits limits;
	struct mds *mds;
	struct late_inode *late;
	bool late_queued;
	struct work late_work;
};

const struct state_limits state_default_limits = {
	.client_states = 1u << 17,
	.states = 1u << 21,		/* a million opens with a layout each */
	.client_ranges = 1u << 16,
	.ranges = 1u << 20,
};

static void late_run(struct work *work);

int
stateids_new(struct mds *mds)
{
	struct stateids *ids = calloc(1, sizeof *ids);
	if (!ids)
		return -ENOMEM;
	if (getrandom(&ids->boot, sizeof ids->boot, GRND_NONBLOCK) != sizeof ids->boot)
		ids->boot = (uint32_t)(mds->boot ^ mds->boot >> 32);
	ids->limits = state_default_limits;
	ids->mds = mds;
	ids->late_work.fn = late_run;
	mds->stateids = ids;
	return 0;
}

void
stateids_set_limits(struct mds *mds, const struct state_limits *limits)
{
	mds->stateids->limits = *limits;
}

static void
late_put_all(struct late_inode *late)
{
	while (late) {
		struct late_inode *next = late->next;
		inode_put(late->inode);
		free(late);
		late = next;
	}
}

static void
late_run(struct work *work)
{
	struct stateids *ids = (struct stateids *)((char *)work - offsetof(struct stateids, late_work));
	struct mds *mds = ids->mds;

	pthread_mutex_lock(&mds->state_lock);
	struct late_inode *late = ids->late;
	ids->late = NULL;
	ids->late_queued = false;
	pthread_mutex_unlock(&mds->state_lock);
	late_put_all(late);
}

void
stateids_free(struct mds *mds)
{
	struct stateids *ids = mds->stateids;
	if (!ids)
		return;
	late_put_all(ids->late);
	HASH_CLEAR(hh, ids->table);
	free(ids);
	mds->stateids = NULL;
}

void
state_put_inode_locked(struct mds *mds, struct inode *inode)
{
	struct stateids *ids = mds->stateids;
	struct late_inode *late = malloc(sizeof *late);
	if (!late) {
		inode_put(inode);
		return;
	}
	late->inode = inode;
	late->next = ids->late;
	ids->late = late;
	if (!ids->late_queued && mds->workers) {
		ids->late_queued = true;
		workers_submit(mds->workers, &ids->late_work);
	}
}

/* What all clients together may have is used up: those whose lease is over go first. */
static nfsstat4
room_used_up(struct mds *mds)
{
	return lease_make_room_locked(mds) ? NFS4ERR_DELAY : NFS4ERR_SERVERFAULT;
}

nfsstat4
state_room_locked(struct mds *mds, const struct client *client)
{
	const struct stateids *ids = mds->stateids;
	if (client->expired)	/* being taken down: what is added now nobody would release */
		return NFS4ERR_EXPIRED;
	if (client->nstates >= ids->limits.client_states)
		return NFS4ERR_SERVERFAULT;
	return ids->nstates < ids->limits.states ? NFS4_OK : room_used_up(mds);
}

nfsstat4
state_range_room_locked(struct mds *mds, const struct client *client)
{
	const struct stateids *ids = mds->stateids;
	if (client->nranges >= ids->limits.client_ranges)
		return NFS4ERR_SERVERFAULT;
	return ids->nranges < ids->limits.ranges ? NFS4_OK : room_used_up(mds);
}

void
state_count_ranges_locked(struct mds *mds, struct client *client, int delta)
{
	client->nranges += (uint32_t)delta;
	mds->stateids->nranges += (uint32_t)delta;
}

void
state_add_locked(struct mds *mds, struct state_obj *obj, const struct state_class *cls,
    struct client *client, struct inode *inode)
{
	struct stateids *ids = mds->stateids;
	uint64_t n = ++ids->counter;

	obj->cls = cls;
	memcpy(obj->other, &ids->boot, 4);
	memcpy(obj->other + 4, &n, 8);
	obj->seqid = 1;
	obj->client = client;
	obj->inode = inode_get(inode);
	obj->revoked = false;
	obj->hh.tbl = NULL;
	HASH_ADD(hh, ids->table, other, NFS4_OTHER_SIZE, obj);
	TAILQ_INSERT_TAIL(&client->states, obj, of_client);
	client->nstates++;
	ids->nstates++;
}

void
state_remove_locked(struct mds *mds, struct state_obj *obj, struct inode **iref)
{
	struct stateids *ids = mds->stateids;
	struct inode *inode = obj->inode;

	if (obj->hh.tbl)
		HASH_DELETE(hh, ids->table, obj);
	TAILQ_REMOVE(&obj->client->states, obj, of_client);
	obj->client->nstates--;
	ids->nstates--;
	obj->inode = NULL;
	if (iref)
		*iref = inode;
	else
		state_put_inode_locked(mds, inode);
}

void
state_sid(const struct state_obj *obj, stateid4 *sid)
{
	sid->seqid = obj->seqid;
	memcpy(sid->other, obj->other, NFS4_OTHER_SIZE);
}

void
state_bump_locked(struct state_obj *obj, stateid4 *sid)
{
	if (++obj->seqid == 0)
		obj->seqid = 1;
	if (sid)
		state_sid(obj, sid);
}

/* Are all bytes of "other" this one? */
static bool
other_is(const stateid4 *sid, uint8_t byte)
{
	for (unsigned i = 0; i < NFS4_OTHER_SIZE; i++)
		if ((uint8_t)sid->other[i] != byte)
			return false;
	return true;
}

bool
stateid_is_bypass(const stateid4 *sid)
{
	return sid->seqid == UINT32_MAX && other_is(sid, 0xff);
}

bool
stateid_is_current(const stateid4 *sid)
{
	return sid->seqid == 1 && other_is(sid, 0);
}

bool
stateid_is_invalid(const stateid4 *sid)
{
	return sid->seqid == UINT32_MAX && other_is(sid, 0);
}

struct state_obj *
state_lookup_locked(struct mds *mds, const struct client *client, const stateid4 *sid)
{
	struct state_obj *obj;

	/* RFC 8881 8.2.3: all zeros and all ones name nothing.  Ours never are: the counter is neither. */
	HASH_FIND(hh, mds->stateids->table, sid->other, NFS4_OTHER_SIZE, obj);
	return obj && obj->client == client ? obj : NULL;
}

nfsstat4
state_check_seqid(const struct state_obj *obj, const stateid4 *sid)
{
	uint32_t now = obj->seqid, got = sid->seqid;

	if (got == 0 || got == now)
		return NFS4_OK;
	if (now < SEQID_WINDOW && got > UINT32_MAX - SEQID_WINDOW)
		return NFS4ERR_OLD_STATEID;
	if (got < SEQID_WINDOW && now > UINT32_MAX - SEQID_WINDOW)
		return NFS4ERR_BAD_STATEID;
	return got < now ? NFS4ERR_OLD_STATEID : NFS4ERR_BAD_STATEID;
}

nfsstat4
state_find_locked(struct mds *mds, const struct client *client, const stateid4 *sid, unsigned kinds,
    const struct inode *inode, struct state_obj **obj)
{
	/* In the order of RFC 8881 8.2.4. */
	struct state_obj *found = state_lookup_locked(mds, client, sid);
	if (!found || (inode && found->inode != inode))
		return NFS4ERR_BAD_STATEID;
	if (client->expired)
		return NFS4ERR_EXPIRED;
	if (found->revoked)
		return found->cls->kind == STATE_DELEG ? NFS4ERR_DELEG_REVOKED : NFS4ERR_ADMIN_REVOKED;
	if (!(found->cls->kind & kinds))
		return NFS4ERR_BAD_STATEID;
	nfsstat4 status = state_check_seqid(found, sid);
	if (status == NFS4_OK)
		*obj = found;
	return status;
}
