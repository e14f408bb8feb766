/*
 * LOCK (RFC 8881 18.10), LOCKT (18.11), LOCKU (18.12).  Locks are advisory and POSIX (OPEN4_RESULT_LOCKTYPE_POSIX).  The blocking types
 * are answered as the others, but who was denied is remembered, and told when to try again (9.6, state/lock_wait.h).
 */
#include "include/cleanup.h"
#include "server/mds.h"
#include "server/nfs4/compound.h"
#include "server/nfs4/ftype.h"
#include "server/state/client.h"
#include "server/state/lock.h"
#include "server/state/lock_wait.h"
#include "server/state/stateid.h"

/* The range, end inclusive (RFC 8881 18.10.3). */
static nfsstat4
lock_range_of(uint64_t offset, uint64_t length, struct lock_ask *ask)
{
	if (length == 0 || (length != NFS4_UINT64_MAX && length > NFS4_UINT64_MAX - offset))
		return NFS4ERR_INVAL;
	ask->start = offset;
	ask->end = length == NFS4_UINT64_MAX ? UINT64_MAX : offset + length - 1;
	return NFS4_OK;
}

/* What is common to the three: object, range, type. */
static nfsstat4
lock_ask_of(struct compound *c, nfs_lock_type4 type, uint64_t offset, uint64_t length, struct lock_ask *ask)
{
	nfsstat4 status = ftype_check_regular(c->cur);
	if (status != NFS4_OK)
		return status;
	if (type < READ_LT || type > WRITEW_LT)
		return NFS4ERR_INVAL;
	ask->write = type == WRITE_LT || type == WRITEW_LT;
	return lock_range_of(offset, length, ask);
}

static void
ask_owner(struct lock_ask *ask, const state_owner4 *owner)
{
	ask->owner = owner->owner.owner_val;
	ask->owner_len = owner->owner.owner_len;
}

/* The seqid of the current stateid does not count (RFC 8881 8.2.3). */
static nfsstat4
resolve(struct compound *c, stateid4 *sid)
{
	bool current = stateid_is_current(sid);
	nfsstat4 status = compound_resolve_stateid(c, sid);

	if (status == NFS4_OK && current)
		sid->seqid = 0;
	return status;
}

/* LOCK4denied: the conflicting range, its owner with the client it belongs to.  state_lock held. */
static nfsstat4
fill_denied(struct compound *c, const struct lock_ask *range, const struct owner *owner, uint64_t clientid, LOCK4denied *denied)
{
	char *key = arena_dup(&c->arena, owner->data, owner->len);

	if (!key)
		return NFS4ERR_DELAY;
	denied->offset = range->start;
	denied->length = range->end == UINT64_MAX ? NFS4_UINT64_MAX : range->end - range->start + 1;
	denied->locktype = range->write ? WRITE_LT : READ_LT;
	denied->owner.clientid = clientid;
	denied->owner.owner.owner_len = owner->len - 1;
	denied->owner.owner.owner_val = key + 1;
	return NFS4ERR_DENIED;
}

static nfsstat4
fill_denied_by(struct compound *c, const struct lock_range *r, LOCK4denied *denied)
{
	struct lock_ask range = { .start = r->start, .end = r->end, .write = r->write };

	return fill_denied(c, &range, r->state->owner, r->state->obj.client->id, denied);
}

/* RFC 8881 8.4.2.1, 18.51.3 */
static nfsstat4
check_grace(struct compound *c, bool reclaim)
{
	if (reclaim)
		return grace_check_reclaim_locked(c->mds, c->client);
	return grace_active(c->mds) || !c->client->reclaim_complete ? NFS4ERR_GRACE : NFS4_OK;
}

/* The open and, if the client named it, the lock state. state_lock held. */
static nfsstat4
find_locker(struct compound *c, const locker4 *locker, struct lock_ask *ask, struct open_state **open,
    struct lock_state **state)
{
	struct state_obj *obj;
	stateid4 sid = locker->new_lock_owner ? locker->locker4_u.open_owner.open_stateid :
	    locker->locker4_u.lock_owner.lock_stateid;
	nfsstat4 status = resolve(c, &sid);

	if (status != NFS4_OK)
		return status;
	status = state_find_locked(c->mds, c->client, &sid, locker->new_lock_owner ? STATE_OPEN : STATE_LOCK,
	    c->cur, &obj);
	if (status != NFS4_OK)
		return status;
	if (locker->new_lock_owner) {
		*state = NULL;
		*open = (struct open_state *)obj;
		ask_owner(ask, &locker->locker4_u.open_owner.lock_owner);
	} else {
		*state = (struct lock_state *)obj;
		*open = (*state)->open;
	}
	/* POSIX: the lock's kind needs the file open for it (RFC 8881 18.10.4). */
	uint32_t need = ask->write ? OPEN4_SHARE_ACCESS_WRITE : OPEN4_SHARE_ACCESS_READ;
	return (*open)->access & need ? NFS4_OK : NFS4ERR_OPENMODE;
}

/* Lock, or wait in the queue if the client is ready to.  state_lock held. */
static nfsstat4
lock_or_wait(struct compound *c, struct open_state *open, struct lock_state *state, const struct lock_ask *ask, bool wait,
    LOCK4res *r)
{
	struct owner *owner = state ? state->owner : owner_find_locked(c->client, OWNER_LOCK, ask->owner, ask->owner_len);
	const struct lock_wait *first = wait ? lock_wait_offer_locked(open->file, owner, ask) : NULL;
	const struct lock_range *range;
	nfsstat4 status;

	if (first) {
		/* Free, but somebody else was before (9.6). */
		struct lock_ask offered = { .start = first->start, .end = first->end, .write = first->write };
		status = fill_denied(c, &offered, first->owner, first->open->obj.client->id, &r->LOCK4res_u.denied);
	} else {
		status = lock_set_locked(c->mds, open, state, ask, &r->LOCK4res_u.resok4.lock_stateid, &range);
		if (status == NFS4ERR_DENIED)
			status = fill_denied_by(c, range, &r->LOCK4res_u.denied);
	}
	if (status == NFS4ERR_DENIED && wait)
		lock_wait_add_locked(c->mds, open, owner, ask);
	return status;
}

nfsstat4
op_lock(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const LOCK4args *a = &arg->nfs_argop4_u.oplock;
	LOCK4res *r = &res->nfs_resop4_u.oplock;
	struct open_state *open;
	struct lock_state *state;
	struct lock_ask ask = { 0 };

	nfsstat4 status = lock_ask_of(c, a->locktype, a->offset, a->length, &ask);
	if (status != NFS4_OK)
		return status;
	bool wait = !a->reclaim && (a->locktype == READW_LT || a->locktype == WRITEW_LT);
	LOCK_SCOPE(&c->mds->state_lock);
	status = check_grace(c, a->reclaim);
	if (status == NFS4_OK)
		status = find_locker(c, &a->locker, &ask, &open, &state);
	if (status != NFS4_OK)
		return status;
	status = lock_or_wait(c, open, state, &ask, wait, r);
	if (status == NFS4ERR_DENIED && a->reclaim)
		return NFS4ERR_RECLAIM_CONFLICT;
	if (status == NFS4_OK)
		compound_set_stateid(c, &r->LOCK4res_u.resok4.lock_stateid);
	return status;
}

nfsstat4
op_lockt(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const LOCKT4args *a = &arg->nfs_argop4_u.oplockt;
	struct lock_ask ask = { 0 };

	nfsstat4 status = lock_ask_of(c, a->locktype, a->offset, a->length, &ask);
	if (status != NFS4_OK)
		return status;
	ask_owner(&ask, &a->owner);
	LOCK_SCOPE(&c->mds->state_lock);
	if (grace_active(c->mds))
		return NFS4ERR_GRACE;
	const struct lock_range *range;
	status = lock_test_locked(c->mds, c->cur, c->client, &ask, &range);
	return status == NFS4ERR_DENIED ? fill_denied_by(c, range, &res->nfs_resop4_u.oplockt.LOCKT4res_u.denied) : status;
}

nfsstat4
op_locku(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const LOCKU4args *a = &arg->nfs_argop4_u.oplocku;
	stateid4 *out = &res->nfs_resop4_u.oplocku.LOCKU4res_u.lock_stateid;
	stateid4 sid = a->lock_stateid;
	struct lock_ask ask = { 0 };
	struct state_obj *obj;

	nfsstat4 status = lock_ask_of(c, a->locktype, a->offset, a->length, &ask);
	if (status == NFS4_OK)
		status = resolve(c, &sid);
	if (status != NFS4_OK)
		return status;
	LOCK_SCOPE(&c->mds->state_lock);
	status = state_find_locked(c->mds, c->client, &sid, STATE_LOCK, c->cur, &obj);
	if (status == NFS4_OK)
		status = lock_unset_locked(c->mds, (struct lock_state *)obj, ask.start, ask.end, out);
	if (status == NFS4_OK)
		compound_set_stateid(c, out);
	return status;
}
