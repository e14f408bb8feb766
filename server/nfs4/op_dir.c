/* REMOVE, RENAME, LINK (RFC 8881 18.25, 18.26, 18.9). */
#include <errno.h>
#include <unistd.h>

#include "proto/nfs4/status.h"
#include "server/mds.h"
#include "server/nfs4/attr.h"
#include "server/nfs4/dir.h"
#include "server/nfs4/name.h"
#include "server/nfs4/way.h"
#include "server/state/client.h"
#include "server/state/deleg.h"
#include "server/state/file.h"
#include "server/state/open.h"

/* Names do not go while opens that depend on them may still be reclaimed. */
static nfsstat4
grace_check(struct compound *c)
{
	return grace_active(c->mds) ? NFS4ERR_GRACE : NFS4_OK;
}

/* Somebody denies writing: the name stays (RFC 8881 18.25.4). */
static bool
write_denied_locked(const struct inode *inode)
{
	const struct open_state *open;

	if (!inode->state)
		return false;
	TAILQ_FOREACH(open, &inode->state->opens, of_file)
		if (open->deny & OPEN4_SHARE_DENY_WRITE)
			return true;
	return false;
}

/*
 * INODE loses a name: delegations of others are recalled (RFC 8881 10.4.4).  If it was the last one and no open keeps the file, its blocks go: layouts first.
 * *held: io_lock is held with NFS4_OK, so that none is granted until it is gone; victim_drop().
 */
static nfsstat4
victim_take(struct compound *c, struct inode *inode, bool *held)
{
	struct fs_stat st;

	*held = false;
	if (inode->type != S_IFREG)
		return NFS4_OK;
	pthread_mutex_lock(&c->mds->state_lock);
	bool open = open_any_locked(inode), denied = write_denied_locked(inode);
	pthread_mutex_unlock(&c->mds->state_lock);
	if (denied)
		return NFS4ERR_FILE_OPEN;
	nfsstat4 status = deleg_make_way(c->mds, inode, c->client, DELEG_NEED_WRITE);
	if (status != NFS4_OK)
		return status;
	int err = fs_getattr(inode, &st);
	if (err < 0)
		return nfs4_status(err);
	if (open || st.stx.stx_nlink > 1)
		return NFS4_OK;
	status = way_take(c, inode, LAYOUT_NEED_BLOCKS, 0, WAY_TO_END);
	*held = status == NFS4_OK;
	return status;
}

static void
victim_drop(struct inode *inode, bool held)
{
	if (held)
		way_drop(inode);
	inode_put(inode);
}

/* Directory, name and export are fit to be changed. */
static nfsstat4
change_check(struct compound *c, const component4 *name)
{
	nfsstat4 status = dir_check(c->cur);

	if (status == NFS4_OK)
		status = name_check(name);
	if (status == NFS4_OK)
		status = compound_check_rw(c);
	if (status == NFS4_OK)
		status = grace_check(c);
	return status;
}

nfsstat4
op_remove(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const component4 *name = &arg->nfs_argop4_u.opremove.target;
	struct fs_change change;
	struct inode *inode;
	bool held;

	if (c->on_loop)
		return OP_WORKER;
	nfsstat4 status = change_check(c, name);
	if (status == NFS4_OK)
		status = dir_access(c, c->cur, &c->cred, W_OK | X_OK);
	if (status != NFS4_OK)
		return status;
	int err = fs_lookup(c->cur, name->utf8string_val, name->utf8string_len, &inode);
	if (err < 0)
		return nfs4_status(err);
	status = victim_take(c, inode, &held);
	if (status == NFS4_OK) {
		err = fs_remove(c->cur, name->utf8string_val, name->utf8string_len, &c->cred, &change);
		status = err < 0 ? nfs4_status(err) : NFS4_OK;
	}
	victim_drop(inode, held);
	if (status == NFS4_OK)
		attr_change_info(&res->nfs_resop4_u.opremove.REMOVE4res_u.resok4.cinfo, &change);
	return status;
}

/* Both names are the same file: nothing is done, nothing changes (RFC 8881 18.26.3). */
static nfsstat4
rename_same(struct compound *c, RENAME4resok *ok)
{
	struct fs_stat from, to;
	int err = fs_getattr(c->saved, &from);

	if (err == 0)
		err = fs_getattr(c->cur, &to);
	if (err < 0)
		return nfs4_status(err);
	attr_change_info(&ok->source_cinfo, &(struct fs_change){ from.change, from.change });
	attr_change_info(&ok->target_cinfo, &(struct fs_change){ to.change, to.change });
	return NFS4_OK;
}

static nfsstat4
rename_do(struct compound *c, const RENAME4args *args, RENAME4resok *ok)
{
	struct fs_change from, to;
	int err = fs_rename(c->saved, args->oldname.utf8string_val, args->oldname.utf8string_len, c->cur,
	    args->newname.utf8string_val, args->newname.utf8string_len, &c->cred, &from, &to);

	if (err < 0)
		return nfs4_status(err);
	attr_change_info(&ok->source_cinfo, &from);
	attr_change_info(&ok->target_cinfo, &to);
	return NFS4_OK;
}

/* NEW exists: it goes, if the two go together. */
static nfsstat4
rename_over(struct compound *c, const RENAME4args *args, const struct inode *old, struct inode *new, RENAME4resok *ok)
{
	bool held;

	if (old == new)
		return rename_same(c, ok);
	if ((old->type == S_IFDIR) != (new->type == S_IFDIR))
		return NFS4ERR_EXIST;
	nfsstat4 status = victim_take(c, new, &held);
	if (status == NFS4_OK)
		status = rename_do(c, args, ok);
	if (held)
		way_drop(new);
	return status;
}

static nfsstat4
rename_check(struct compound *c, const RENAME4args *args)
{
	nfsstat4 status = dir_check(c->saved);

	if (status == NFS4_OK)
		status = dir_check(c->cur);
	if (status == NFS4_OK)
		status = name_check(&args->oldname);
	if (status == NFS4_OK && c->saved->export != c->cur->export)
		status = NFS4ERR_XDEV;
	/* Within one export both directories have the same options and the same squashed caller (PITFALLS E7). */
	if (status == NFS4_OK)
		status = change_check(c, &args->newname);
	if (status == NFS4_OK)
		status = dir_access(c, c->saved, &c->cred, W_OK | X_OK);
	if (status == NFS4_OK)
		status = dir_access(c, c->cur, &c->cred, W_OK | X_OK);
	return status;
}

nfsstat4
op_rename(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const RENAME4args *args = &arg->nfs_argop4_u.oprename;
	RENAME4resok *ok = &res->nfs_resop4_u.oprename.RENAME4res_u.resok4;
	struct inode *old, *new;

	if (c->on_loop)
		return OP_WORKER;
	nfsstat4 status = rename_check(c, args);
	if (status != NFS4_OK)
		return status;
	int err = fs_lookup(c->saved, args->oldname.utf8string_val, args->oldname.utf8string_len, &old);
	if (err < 0)
		return nfs4_status(err);
	if (old->type == S_IFREG)
		status = deleg_make_way(c->mds, old, c->client, DELEG_NEED_WRITE);
	if (status != NFS4_OK) {
		inode_put(old);
		return status;
	}
	err = fs_lookup(c->cur, args->newname.utf8string_val, args->newname.utf8string_len, &new);
	if (err == 0) {
		status = rename_over(c, args, old, new, ok);
		inode_put(new);
	} else {
		status = err == -ENOENT ? rename_do(c, args, ok) : nfs4_status(err);
	}
	inode_put(old);
	return status;
}

nfsstat4
op_link(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const component4 *name = &arg->nfs_argop4_u.oplink.newname;
	struct fs_change change;

	if (c->on_loop)
		return OP_WORKER;
	nfsstat4 status = dir_check_link(c->cur);
	if (status == NFS4_OK && c->saved->type == S_IFDIR)
		status = NFS4ERR_ISDIR;
	if (status == NFS4_OK && c->saved->export != c->cur->export)
		status = NFS4ERR_XDEV;
	if (status == NFS4_OK)
		status = change_check(c, name);
	/* Its number of links and ctime change. */
	if (status == NFS4_OK && c->saved->type == S_IFREG)
		status = deleg_make_way(c->mds, c->saved, c->client, DELEG_NEED_WRITE);
	if (status != NFS4_OK)
		return status;
	int err = fs_link(c->saved, c->cur, name->utf8string_val, name->utf8string_len, &c->cred, &change);
	if (err < 0)
		return nfs4_status(err);
	attr_change_info(&res->nfs_resop4_u.oplink.LINK4res_u.resok4.cinfo, &change);
	return NFS4_OK;
}
