/*
 * OPEN (RFC 8881 18.16).  OPEN for writing does not recall layouts (clients share them by range), truncating does.  Delegations of others that are in the way are
 * recalled, and one may come with it: state/deleg.h.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "include/cleanup.h"
#include "proto/nfs4/status.h"
#include "server/cb/cb.h"
#include "server/mds.h"
#include "server/nfs4/attr.h"
#include "server/nfs4/compound.h"
#include "server/nfs4/deleg.h"
#include "server/nfs4/ftype.h"
#include "server/nfs4/open_file.h"
#include "server/nfs4/way.h"
#include "server/state/client.h"
#include "server/state/open.h"

/* Values that need no look at any file (RFC 8881 18.16.3, 18.16.4). */
static nfsstat4
check_args(const struct compound *c, const OPEN4args *a)
{
	uint32_t access = a->share_access & ~deleg_want_bits(c->minor);
	uint32_t want = a->share_access & OPEN4_SHARE_ACCESS_WANT_DELEG_MASK;

	if (access < OPEN4_SHARE_ACCESS_READ || access > OPEN4_SHARE_ACCESS_BOTH ||
	    a->share_deny > OPEN4_SHARE_DENY_BOTH || want > OPEN4_SHARE_ACCESS_WANT_CANCEL)
		return NFS4ERR_INVAL;
	if (a->openhow.opentype == OPEN4_CREATE && a->claim.claim != CLAIM_NULL &&
	    a->claim.claim != CLAIM_DELEGATE_CUR && a->claim.claim != CLAIM_DELEGATE_PREV)
		return NFS4ERR_INVAL;
	return a->claim.claim != CLAIM_PREVIOUS || deleg_type_may_be_claimed(a->claim.open_claim4_u.delegate_type) ?
	    NFS4_OK : NFS4ERR_INVAL;
}

/*
 * Grace and claims.  Those subordinate to a delegation are let through in grace (18.16.3).  The PREV claims, which a server may decline (10.2.1), name what is not kept
 * over the client's restart (15.1.9.4).
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
		return NFS4_OK;
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

static bool
claim_is_cur(const OPEN4args *a)
{
	return a->claim.claim == CLAIM_DELEGATE_CUR || a->claim.claim == CLAIM_DELEG_CUR_FH;
}

/* The delegation that the claim names is the client's own, of this file. */
static nfsstat4
check_cur(struct compound *c, const OPEN4args *a)
{
	stateid4 sid = a->claim.claim == CLAIM_DELEGATE_CUR ? a->claim.open_claim4_u.delegate_cur_info.delegate_stateid :
	    a->claim.open_claim4_u.oc_delegate_stateid;
	struct state_obj *obj;

	LOCK_SCOPE(&c->mds->state_lock);
	return state_find_locked(c->mds, c->client, &sid, STATE_DELEG, c->cur, &obj);
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
	/* So too when the reply was lost, or the server's memory; or when it was opened by a delegation, and we hear of it now. */
	if ((f->replay || a->claim.claim == CLAIM_PREVIOUS || claim_is_cur(a)) && st.stx.stx_uid == c->cred.uid)
		return NFS4_OK;
	/* To execute a file is to read it. */
	if (access & OPEN4_SHARE_ACCESS_READ) {
		err = fs_permits(c->cur, &st, &c->cred, R_OK, false);
		if (err == -EACCES)
			err = fs_permits(c->cur, &st, &c->cred, X_OK, false);
	}
	if (!err && write)
		err = fs_permits(c->cur, &st, &c->cred, W_OK, false);
	return nfs4_status(err);
}

/* Denials of others first: for what cannot be nothing is recalled. */
static nfsstat4
share_add(struct compound *c, const struct open_ask *ask, bool reclaim, struct open_undo *undo, stateid4 *sid)
{
	nfsstat4 status = NFS4_OK;

	if (!open_conflict_locked(c->cur, ask->access, ask->deny))
		status = deleg_open_locked(c->mds, c->cur, c->client, ask->access, ask->deny);
	if (status == NFS4_OK)
		status = open_add_locked(c->mds, c->client, c->cur, ask, undo, sid);
	return status == NFS4ERR_SHARE_DENIED && reclaim ? NFS4ERR_RECLAIM_CONFLICT : status;
}

static nfsstat4
open_plain(struct compound *c, const struct open_ask *ask, bool reclaim, struct open_undo *undo, stateid4 *sid)
{
	LOCK_SCOPE(&c->mds->state_lock);
	return share_add(c, ask, reclaim, undo, sid);
}

static void
open_undo(struct compound *c, struct open_undo *undo)
{
	struct inode *iref;

	pthread_mutex_lock(&c->mds->state_lock);
	open_undo_locked(c->mds, c->client, undo, &iref);
	pthread_mutex_unlock(&c->mds->state_lock);
	if (iref)
		inode_put(iref);
}

/*
 * Open and cut to nothing.  The open comes first, so that nobody's denial is overlooked, and is taken back if the cut fails.
 * io_lock is held for writing.
 */
static nfsstat4
cut_open(struct compound *c, const struct open_ask *ask, struct open_undo *undo, stateid4 *sid)
{
	static const struct fs_setattr cut = { .what = FS_SET_SIZE, .size = 0 };

	nfsstat4 status = open_plain(c, ask, false, undo, sid);
	if (status != NFS4_OK)
		return status;
	status = nfs4_status(fs_setattr(c->cur, &c->cred, &cut, true));
	if (status != NFS4_OK)
		open_undo(c, undo);
	return status;
}

/* Blocks go: all layouts have to be back first (PITFALLS A19). */
static nfsstat4
open_truncate(struct compound *c, const struct open_ask *ask, struct open_undo *undo, stateid4 *sid)
{
	pthread_mutex_lock(&c->mds->state_lock);
	nfsstat4 status = open_check_locked(c->mds, c->cur, ask->access, ask->deny);
	pthread_mutex_unlock(&c->mds->state_lock);
	if (status != NFS4_OK)	/* before anything is recalled */
		return status;
	status = way_take(c, c->cur, LAYOUT_NEED_BLOCKS, 0, WAY_TO_END);
	if (status != NFS4_OK)
		return status;
	status = cut_open(c, ask, undo, sid);
	way_drop(c->cur);
	return status;
}

/*
 * A delegation, or why there is none.  With OPEN4_SHARE_ACCESS_WANT_OPEN_XOR_DELEGATION it stands for the open, if that is the owner's first and denies nothing (RFC 9754
 * 4: "SHOULD ignore" it for one that is upgraded).
 */
static void
fill_delegation(struct compound *c, const OPEN4args *a, struct open_file *f, struct open_undo *undo, OPEN4resok *ok)
{
	struct deleg_ask *ask = &f->deleg;
	stateid4 sid;

	ask->inode = c->cur;
	if (a->claim.claim == CLAIM_PREVIOUS)
		ask->reclaim = a->claim.open_claim4_u.delegate_type;
	bool given = (a->claim.claim != CLAIM_PREVIOUS || ask->reclaim != OPEN_DELEGATE_NONE) && !claim_is_cur(a) &&
	    deleg_give(c->mds, ask, &ok->delegation, &sid);
	bool writes = ok->delegation.delegation_type == OPEN_DELEGATE_WRITE ||
	    ok->delegation.delegation_type == OPEN_DELEGATE_WRITE_ATTRS_DELEG;

	if (!given || !(a->share_access & OPEN4_SHARE_ACCESS_WANT_OPEN_XOR_DELEGATION) || !undo->fresh || a->share_deny ||
	    (!writes && ask->access & OPEN4_SHARE_ACCESS_WRITE))
		return;
	open_undo(c, undo);
	memset(&ok->stateid, 0, sizeof ok->stateid);
	ok->rflags |= OPEN4_RESULT_NO_OPEN_STATEID;
	compound_set_stateid(c, &sid);
}

static nfsstat4
fill_result(struct compound *c, const OPEN4args *a, struct open_file *f, struct open_undo *undo, bool may_notify, struct attr_mask *mask,
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
	compound_set_stateid(c, &ok->stateid);
	fill_delegation(c, a, f, undo, ok);
	return NFS4_OK;
}

static nfsstat4
find_file(struct compound *c, OPEN4args *a, struct open_file *f)
{
	createhow4 *how = a->openhow.opentype == OPEN4_CREATE ? &a->openhow.openflag4_u.how : NULL;
	nfsstat4 status = NFS4_OK;

	if (a->claim.claim == CLAIM_NULL)
		status = open_file_by_name(c, &a->claim.open_claim4_u.file, how, f);
	else if (a->claim.claim == CLAIM_DELEGATE_CUR)
		status = open_file_by_name(c, &a->claim.open_claim4_u.delegate_cur_info.file, how, f);
	if (status == NFS4_OK)
		status = ftype_check_regular(c->cur);
	if (status == NFS4_OK && claim_is_cur(a))
		status = check_cur(c, a);
	f->deleg.inode = c->cur;
	if (status == NFS4_OK && c->on_loop && a->claim.claim == CLAIM_FH && deleg_wants_worker(c->mds, &f->deleg))
		status = OP_WORKER;
	return status;
}

nfsstat4
op_open(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	OPEN4args *a = &arg->nfs_argop4_u.opopen;
	OPEN4resok *ok = &res->nfs_resop4_u.opopen.OPEN4res_u.resok4;
	struct attr_mask *mask = arena_zalloc(&c->arena, sizeof *mask);
	struct open_file f = { 0 };
	struct open_undo undo;

	if (!mask)
		return NFS4ERR_DELAY;
	/* No regular file is the root of another export: what does not do for the directory does not for the file (RFC 8881 2.6.3.1.1.5). */
	if (c->wrongsec)
		return NFS4ERR_WRONGSEC;
	nfsstat4 status = check_args(c, a);
	if (status == NFS4_OK)
		status = check_claim(c, a);
	deleg_ask_fill(c, a->share_access & ~(uint32_t)OPEN4_SHARE_ACCESS_BOTH, &f.deleg);
	f.deleg.access = a->share_access & OPEN4_SHARE_ACCESS_BOTH;
	if (status == NFS4_OK)
		status = find_file(c, a, &f);
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
	status = f.truncate ? open_truncate(c, &ask, &undo, &ok->stateid) :
	    open_plain(c, &ask, a->claim.claim == CLAIM_PREVIOUS, &undo, &ok->stateid);
	if (status == NFS4ERR_DELAY)
		delegs_pump(c->mds);
	return status == NFS4_OK ? fill_result(c, a, &f, &undo, ask.may_notify, mask, ok) : status;
}
