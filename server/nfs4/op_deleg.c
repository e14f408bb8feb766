/* DELEGRETURN (RFC 8881 18.6), WANT_DELEGATION (18.49).  DELEGPURGE is declined: 18.5.3 lets a server that knows no CLAIM_DELEGATE_PREV. */
#include <string.h>

#include "include/cleanup.h"
#include "server/layout/layout.h"
#include "server/mds.h"
#include "server/nfs4/compound.h"
#include "server/nfs4/deleg.h"
#include "server/nfs4/ftype.h"
#include "server/state/client.h"

nfsstat4
op_delegreturn(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	stateid4 sid = arg->nfs_argop4_u.opdelegreturn.deleg_stateid;
	struct state_obj *obj;

	(void)res;
	nfsstat4 status = compound_resolve_stateid(c, &sid);
	if (status != NFS4_OK)
		return status;
	pthread_mutex_lock(&c->mds->state_lock);
	status = state_find_locked(c->mds, c->client, &sid, STATE_DELEG, c->cur, &obj);
	if (status == NFS4_OK)
		deleg_return_locked(c->mds, (struct deleg *)obj);
	pthread_mutex_unlock(&c->mds->state_lock);
	/* With it the file may be closed (RFC 9754 4): return-on-close, for the Linux client rides in the same compound, before it. */
	if (status == NFS4_OK)
		layout_closed(c->mds, c->cur, c->client);
	return status;
}

void
deleg_ask_fill(const struct compound *c, uint32_t want, struct deleg_ask *ask)
{
	ask->client = c->client;
	ask->inode = c->cur;
	ask->want = want;
	ask->uid = c->cred.uid;
	ask->at_once = c->on_loop;
	ask->readonly = !c->cur_opts || compound_check_rw((struct compound *)(uintptr_t)c) != NFS4_OK;
	if (c->session)
		ask->ref = session_ref(c->session, c->slot);
}

/* RFC 8881 18.16.3: which flags there are; RFC 9754 adds two at minor version 2. */
uint32_t
deleg_want_bits(uint32_t minor)
{
	return DELEG_WANT_TOLD | (minor < 2 ? 0 : OPEN4_SHARE_ACCESS_WANT_DELEG_TIMESTAMPS |
	    OPEN4_SHARE_ACCESS_WANT_OPEN_XOR_DELEGATION);
}

static nfsstat4
want_check(struct compound *c, const WANT_DELEGATION4args *a)
{
	uint32_t want = a->wda_want & OPEN4_SHARE_ACCESS_WANT_DELEG_MASK;

	if (!(want & ~(uint32_t)OPEN4_SHARE_ACCESS_WANT_NO_DELEG) || want > OPEN4_SHARE_ACCESS_WANT_CANCEL ||
	    a->wda_want & ~(deleg_want_bits(c->minor) | OPEN4_SHARE_ACCESS_BOTH))
		return NFS4ERR_INVAL;
	LOCK_SCOPE(&c->mds->state_lock);
	switch (a->wda_claim.dc_claim) {
	case CLAIM_FH:
		return grace_active(c->mds) || !c->client->reclaim_complete ? NFS4ERR_GRACE : NFS4_OK;
	case CLAIM_PREVIOUS:
		return grace_check_reclaim_locked(c->mds, c->client);
	case CLAIM_DELEG_PREV_FH:
		return NFS4ERR_RECLAIM_BAD;	/* as OPEN's */
	default:
		return NFS4ERR_INVAL;
	}
}

nfsstat4
op_want_delegation(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const WANT_DELEGATION4args *a = &arg->nfs_argop4_u.opwant_delegation;
	open_delegation4 *d = &res->nfs_resop4_u.opwant_delegation.WANT_DELEGATION4res_u.wdr_resok4;
	struct deleg_ask ask = { 0 };
	stateid4 sid;

	nfsstat4 status = want_check(c, a);
	if (status != NFS4_OK)
		return status;
	deleg_ask_fill(c, a->wda_want & ~(uint32_t)OPEN4_SHARE_ACCESS_BOTH, &ask);
	if (a->wda_claim.dc_claim == CLAIM_PREVIOUS) {
		ask.reclaim = a->wda_claim.deleg_claim4_u.dc_delegate_type;
		if (!deleg_type_may_be_claimed(ask.reclaim) || ask.reclaim == OPEN_DELEGATE_NONE)
			return NFS4ERR_INVAL;
	}
	if (c->cur->type == S_IFDIR || c->cur->type == S_IFLNK || c->cur->type != S_IFREG) {
		d->delegation_type = OPEN_DELEGATE_NONE_EXT;
		d->open_delegation4_u.od_whynone.ond_why = c->cur->type == S_IFDIR ? WND4_IS_DIR :
		    (a->wda_want & OPEN4_SHARE_ACCESS_WANT_DELEG_MASK) == OPEN4_SHARE_ACCESS_WANT_WRITE_DELEG ?
		    WND4_WRITE_DELEG_NOT_SUPP_FTYPE : WND4_NOT_SUPP_FTYPE;
		return NFS4_OK;
	}
	if (deleg_give(c->mds, &ask, d, &sid))
		compound_set_stateid(c, &sid);
	return NFS4_OK;
}
