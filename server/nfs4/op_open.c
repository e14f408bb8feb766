/*
 * OPEN (RFC 8881 18.16).  No delegations are given yet; OPEN for writing does not recall layouts (clients share them by
 * range), truncating does.
 */
#include <unistd.h>

#include "include/cleanup.h"
#include "proto/nfs4/status.h"
#include "server/cb/cb.h"
#include "server/mds.h"
#include "server/nfs4/attr.h"
#include "server/nfs4/compound.h"
#include "server/nfs4/ftype.h"
#include "server/nfs4/open_file.h"
#include "server/nfs4/way.h"
#include "server/state/client.h"
#include "server/state/open.h"

#define WANT_WHEN (OPEN4_SHARE_ACCESS_WANT_SIGNAL_DELEG_WHEN_RESRC_AVAIL | \
	OPEN4_SHARE_ACCESS_WANT_PUSH_DELEG_WHEN_UNCONTENDED)
#define WANT_ALL (OPEN4_SHARE_ACCESS_WANT_DELEG_MASK | WANT_WHEN)

/* Values that need no look at any file (RFC 8881 18.16.3, 18.16.4). */
static nfsstat4
check_args(const OPEN4args *a)
{
	uint32_t access = a->share_access & ~(uint32_t)WANT_ALL;
	uint32_t want = a->share_access & OPEN4_SHARE_ACCESS_WANT_DELEG_MASK;

	if (access < OPEN4_SHARE_ACCESS_READ || access > OPEN4_SHARE_ACCESS_BOTH ||
	    a->share_deny > OPEN4_SHARE_DENY_BOTH || want > OPEN4_SHARE_ACCESS_WANT_CANCEL)
		return NFS4ERR_INVAL;
	if (a->openhow.opentype == OPEN4_CREATE && a->claim.claim != CLAIM_NULL &&
	    a->claim.claim != CLAIM_DELEGATE_CUR && a->claim.claim != CLAIM_DELEGATE_PREV)
		return NFS4ERR_INVAL;
	return NFS4_OK;
}

/*
 * Grace and the claims that name delegations.  We gave none, in this life or the last: DELEGATE_CUR's stateid cannot be good, and the
 * PREV claims, which a server may decline (10.2.1), name what could not have existed (15.1.9.4).
 */
static nfsstat4
check_claim(struct compound *c, const OPEN4args *a)
{
	LOCK_SCOPE(&c->mds->state_lock);
	switch (a->claim.claim) {
	case CLAIM_NULL:
	case CLAIM_FH:
		/* 8.4.2.1; and 18.51.3: none before RECLAIM_COMPLETE */
		return grace_active(c->mds) || !c->client->reclaim_complete ? NFS4ERR_GRACE : NFS4_OK;
	case CLAIM_PREVIOUS:
		return grace_check_reclaim_locked(c->mds, c->client);
	case CLAIM_DELEGATE_CUR:
	case CLAIM_DELEG_CUR_FH:
		return NFS4ERR_BAD_STATEID;
	case CLAIM_DELEGATE_PREV:
	case CLAIM_DELEG_PREV_FH:
		return NFS4ERR_RECLAIM_BAD;
	default:
		return NFS4ERR_INVAL;
	}
}

/*
 * A local process took the file's last name, and no open keeps it: it is gone (RFC 8881 15.1.2.7), although the cache still
 * leads there until it is swept.  A client that opens what it believes to be the name's file looks the name up again then.
 */
static bool
is_gone(struct compound *c, const struct fs_stat *st)
{
	if (st->stx.stx_nlink > 0)
		return false;
	LOCK_SCOPE(&c->mds->state_lock);
	return !open_any_locked(c->cur);
}

/* The rights of the caller, as POSIX open(2) has them. */
static nfsstat4
check_rights(struct compound *c, const OPEN4args *a, uint32_t access, const struct open_file *f)
{
	bool write = (access & OPEN4_SHARE_ACCESS_WRITE) || f->truncate;
	struct fs_stat st;

	if (write) {
		nfsstat4 status = compound_check_rw(c);
		if (status != NFS4_OK)
			return status;
	}
	if (f->made)		/* mode 0444 binds the opens after this one */
		return NFS4_OK;
	int err = fs_getattr(c->cur, &st);
	if (err)
		return nfs4_status(err);
	if (a->claim.claim == CLAIM_FH && is_gone(c, &st))
		return NFS4ERR_STALE;
	/* So too when the reply was lost, or the server's memory. */
	if ((f->replay || a->claim.claim == CLAIM_PREVIOUS) && st.stx.stx_uid == c->cred.uid)
		return NFS4_OK;
	/* To execute a file is to read it. */
	if ((access & OPEN4_SHARE_ACCESS_READ) && !(fs_access(&st, &c->cred, R_OK | X_OK) & (R_OK | X_OK)))
		return NFS4ERR_ACCESS;
	return !write || fs_access(&st, &c->cred, W_OK) & W_OK ? NFS4_OK : NFS4ERR_ACCESS;
}

static nfsstat4
share_add(struct compound *c, const struct open_ask *ask, bool reclaim, struct open_undo *undo, stateid4 *sid)
{
	nfsstat4 status = open_add_locked(c->mds, c->client, c->cur, ask, undo, sid);

	return status == NFS4ERR_SHARE_DENIED && reclaim ? NFS4ERR_RECLAIM_CONFLICT : status;
}

static nfsstat4
open_plain(struct compound *c, const struct open_ask *ask, bool reclaim, stateid4 *sid)
{
	struct open_undo undo;

	LOCK_SCOPE(&c->mds->state_lock);
	return share_add(c, ask, reclaim, &undo, sid);
}

/*
 * Open and cut to nothing.  The open comes first, so that nobody's denial is overlooked, and is taken back if the cut fails.
 * io_lock is held for writing.
 */
static nfsstat4
cut_open(struct compound *c, const struct open_ask *ask, stateid4 *sid)
{
	static const struct fs_setattr cut = { .what = FS_SET_SIZE, .size = 0 };
	struct mds *mds = c->mds;
	struct inode *iref;
	struct open_undo undo;

	pthread_mutex_lock(&mds->state_lock);
	nfsstat4 status = share_add(c, ask, false, &undo, sid);
	pthread_mutex_unlock(&mds->state_lock);
	if (status != NFS4_OK)
		return status;
	status = nfs4_status(fs_setattr(c->cur, &c->cred, &cut, true));
	if (status == NFS4_OK)
		return status;
	pthread_mutex_lock(&mds->state_lock);
	open_undo_locked(mds, c->client, &undo, &iref);
	pthread_mutex_unlock(&mds->state_lock);
	if (iref)
		inode_put(iref);
	return status;
}

/* Blocks go: all layouts have to be back first (PITFALLS A19). */
static nfsstat4
open_truncate(struct compound *c, const struct open_ask *ask, stateid4 *sid)
{
	pthread_mutex_lock(&c->mds->state_lock);
	nfsstat4 status = open_check_locked(c->mds, c->cur, ask->access, ask->deny);
	pthread_mutex_unlock(&c->mds->state_lock);
	if (status != NFS4_OK)	/* before anything is recalled */
		return status;
	status = way_take(c, c->cur, LAYOUT_NEED_BLOCKS, 0, WAY_TO_END);
	if (status != NFS4_OK)
		return status;
	status = cut_open(c, ask, sid);
	way_drop(c->cur);
	return status;
}

/* Why there is no delegation, for a client that uses the flags of 4.1 (RFC 8881 18.16.3). */
static void
no_delegation(open_delegation4 *d, uint32_t share_access)
{
	open_none_delegation4 *none = &d->open_delegation4_u.od_whynone;

	d->delegation_type = share_access & WANT_ALL ? OPEN_DELEGATE_NONE_EXT : OPEN_DELEGATE_NONE;
	switch (share_access & OPEN4_SHARE_ACCESS_WANT_DELEG_MASK) {
	case OPEN4_SHARE_ACCESS_WANT_NO_DELEG:
		none->ond_why = WND4_NOT_WANTED;
		break;
	case OPEN4_SHARE_ACCESS_WANT_CANCEL:
		none->ond_why = WND4_CANCELLED;
		break;
	default:
		none->ond_why = WND4_NOT_SUPP_FTYPE;
		break;
	}
}

static nfsstat4
fill_result(struct compound *c, const OPEN4args *a, const struct open_file *f, bool may_notify, struct attr_mask *mask,
    OPEN4resok *ok)
{
	if (f->has_change)
		attr_change_info(&ok->cinfo, &f->change);
	/*
	 * Not OPEN4_RESULT_PRESERVE_UNLINKED: a removed file stays while it is open, but not over a restart of the server, as the
	 * flag would promise.
	 */
	ok->rflags = OPEN4_RESULT_LOCKTYPE_POSIX | (may_notify ? OPEN4_RESULT_MAY_NOTIFY_LOCK : 0);
	*mask = f->attrset;
	if (f->truncate)
		attr_set(mask, FATTR4_SIZE);
	attr_mask_to(&ok->attrset, mask);
	no_delegation(&ok->delegation, a->share_access);
	compound_set_stateid(c, &ok->stateid);
	return NFS4_OK;
}

nfsstat4
op_open(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	OPEN4args *a = &arg->nfs_argop4_u.opopen;
	OPEN4resok *ok = &res->nfs_resop4_u.opopen.OPEN4res_u.resok4;
	struct attr_mask *mask = arena_zalloc(&c->arena, sizeof *mask);
	struct open_file f = { 0 };

	if (!mask)
		return NFS4ERR_DELAY;
	nfsstat4 status = check_args(a);
	if (status == NFS4_OK)
		status = check_claim(c, a);
	if (status == NFS4_OK && a->claim.claim == CLAIM_NULL)
		status = open_file_by_name(c, &a->claim.open_claim4_u.file,
		    a->openhow.opentype == OPEN4_CREATE ? &a->openhow.openflag4_u.how : NULL, &f);
	if (status == NFS4_OK)
		status = ftype_check_regular(c->cur);
	struct open_ask ask = {
		.owner = a->owner.owner.owner_val,
		.owner_len = a->owner.owner.owner_len,
		.access = a->share_access & OPEN4_SHARE_ACCESS_BOTH,
		.deny = a->share_deny,
		.uid = c->cred.uid,
		/* 20.11.3: in answer to a blocked LOCK, if there is a way to the client. */
		.may_notify = cb_path_locked(c->client),
	};
	if (status == NFS4_OK)
		status = check_rights(c, a, ask.access, &f);
	if (status != NFS4_OK)
		return status;
	status = f.truncate ? open_truncate(c, &ask, &ok->stateid) :
	    open_plain(c, &ask, a->claim.claim == CLAIM_PREVIOUS, &ok->stateid);
	return status == NFS4_OK ? fill_result(c, a, &f, ask.may_notify, mask, ok) : status;
}
