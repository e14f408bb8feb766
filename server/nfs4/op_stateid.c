/* TEST_STATEID (RFC 8881 18.48) and FREE_STATEID (18.38). */
#include "include/cleanup.h"
#include "server/layout/layout.h"
#include "server/mds.h"
#include "server/nfs4/compound.h"
#include "server/state/client.h"
#include "server/state/lock.h"
#include "server/state/stateid.h"

/*
 * One status per stateid; special ones are BAD_STATEID here, and so are those of another life of the server or the client: never
 * STALE_STATEID (PITFALLS D1).
 */
nfsstat4
op_test_stateid(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const TEST_STATEID4args *a = &arg->nfs_argop4_u.optest_stateid;
	TEST_STATEID4resok *ok = &res->nfs_resop4_u.optest_stateid.TEST_STATEID4res_u.tsr_resok4;
	u_int n = a->ts_stateids.ts_stateids_len;

	if (compound_room(c) < 4 || n > (compound_room(c) - 4) / 4)
		return NFS4ERR_REP_TOO_BIG;
	if (!n)
		return NFS4_OK;
	ok->tsr_status_codes.tsr_status_codes_val = arena_zalloc(&c->arena, n * sizeof(nfsstat4));
	if (!ok->tsr_status_codes.tsr_status_codes_val)
		return NFS4ERR_DELAY;
	ok->tsr_status_codes.tsr_status_codes_len = n;
	LOCK_SCOPE(&c->mds->state_lock);
	for (u_int i = 0; i < n; i++) {
		struct state_obj *obj;
		ok->tsr_status_codes.tsr_status_codes_val[i] = state_find_locked(c->mds, c->client,
		    &a->ts_stateids.ts_stateids_val[i], ~0u, NULL, &obj);
	}
	return NFS4_OK;
}

/* The client has taken note of the loss.  With the last of its revoked layouts it may have new ones (layout.h). */
static void
free_revoked(struct compound *c, struct state_obj *obj)
{
	bool layout = obj->cls->kind == STATE_LAYOUT;

	obj->cls->release(c->mds, obj);
	if (!layout)
		return;
	TAILQ_FOREACH(obj, &c->client->states, of_client)
		if (obj->cls->kind == STATE_LAYOUT && obj->revoked)
			return;
	layout_fence_acked_locked(c->mds, c->client);
}

/* By what it is (PITFALLS D7): only a lock stateid can exist without locks. */
nfsstat4
op_free_stateid(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	stateid4 sid = arg->nfs_argop4_u.opfree_stateid.fsa_stateid;
	bool current = stateid_is_current(&sid);

	(void)res;
	nfsstat4 status = compound_resolve_stateid(c, &sid);
	if (status != NFS4_OK)
		return status;
	if (current)
		sid.seqid = 0;		/* RFC 8881 8.2.3 */
	LOCK_SCOPE(&c->mds->state_lock);
	struct state_obj *obj = state_lookup_locked(c->mds, c->client, &sid);
	if (!obj)
		return NFS4ERR_BAD_STATEID;
	status = state_check_seqid(obj, &sid);
	/* A recall the client never read has moved the seqid on: it may still let go of what was revoked. */
	if (status == NFS4ERR_OLD_STATEID && obj->revoked)
		status = NFS4_OK;
	if (status != NFS4_OK)
		return status;
	if (obj->revoked)
		free_revoked(c, obj);
	else if (obj->cls->kind == STATE_LOCK && !lock_held_locked((struct lock_state *)obj))
		lock_free_locked(c->mds, (struct lock_state *)obj);
	else
		return NFS4ERR_LOCKS_HELD;
	return NFS4_OK;
}
