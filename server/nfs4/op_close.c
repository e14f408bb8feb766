/* CLOSE (RFC 8881 18.2) and OPEN_DOWNGRADE (18.18). */
#include "include/cleanup.h"
#include "server/layout/layout.h"
#include "server/mds.h"
#include "server/nfs4/compound.h"
#include "server/state/client.h"
#include "server/state/open.h"

/*
 * Byte-range locks of the open are released with it, as 18.2.3 allows.  The current stateid becomes the invalid one that is returned
 * (18.2.4, PITFALLS D10).
 */
nfsstat4
op_close(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	stateid4 *out = &res->nfs_resop4_u.opclose.CLOSE4res_u.open_stateid;
	stateid4 sid = arg->nfs_argop4_u.opclose.open_stateid;
	struct inode *iref = NULL;
	struct state_obj *obj;

	/* Here the seqid of the current stateid counts (8.2.3). */
	nfsstat4 status = compound_resolve_stateid(c, &sid);
	if (status != NFS4_OK)
		return status;
	pthread_mutex_lock(&c->mds->state_lock);
	status = state_find_locked(c->mds, c->client, &sid, STATE_OPEN, c->cur, &obj);
	if (status == NFS4_OK)
		open_close_locked(c->mds, (struct open_state *)obj, &iref);
	pthread_mutex_unlock(&c->mds->state_lock);
	if (status != NFS4_OK)
		return status;
	layout_closed(c->mds, c->cur, c->client);
	inode_put(iref);
	out->seqid = NFS4_UINT32_MAX;	/* "other" is zero */
	compound_set_stateid(c, out);
	return NFS4_OK;
}

nfsstat4
op_open_downgrade(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const OPEN_DOWNGRADE4args *a = &arg->nfs_argop4_u.opopen_downgrade;
	stateid4 *out = &res->nfs_resop4_u.opopen_downgrade.OPEN_DOWNGRADE4res_u.resok4.open_stateid;
	uint32_t access = a->share_access & ~(uint32_t)OPEN4_SHARE_ACCESS_WANT_DELEG_MASK;
	stateid4 sid = a->open_stateid;
	struct state_obj *obj;

	if (access < OPEN4_SHARE_ACCESS_READ || access > OPEN4_SHARE_ACCESS_BOTH ||
	    a->share_deny > OPEN4_SHARE_DENY_BOTH)
		return NFS4ERR_INVAL;
	nfsstat4 status = compound_resolve_stateid(c, &sid);
	if (status != NFS4_OK)
		return status;
	LOCK_SCOPE(&c->mds->state_lock);
	status = state_find_locked(c->mds, c->client, &sid, STATE_OPEN, c->cur, &obj);
	if (status == NFS4_OK)
		status = open_downgrade_locked((struct open_state *)obj, access, a->share_deny, out);
	if (status == NFS4_OK)
		compound_set_stateid(c, out);
	return status;
}
