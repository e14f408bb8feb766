/*
 * May this stateid read or write the file (RFC 8881 8.2.5, 9.1.2)?  Called by READ, WRITE, SETATTR of size and LAYOUTGET.
 */
#include "server/mds.h"
#include "include/cleanup.h"
#include "server/fs/fs.h"
#include "server/nfs4/compound.h"
#include "server/state/client.h"
#include "server/state/deleg.h"
#include "server/state/file.h"
#include "server/state/lock.h"
#include "server/state/open.h"
#include "server/state/stateid.h"

/* Does an open other than MINE deny this kind of access? */
static bool
denied_by_others(const struct inode *inode, bool write, const struct open_state *mine)
{
	const struct file_state *fs = inode->state;
	if (!fs)
		return false;
	unsigned n = fs->deny_n[write];
	if (mine && mine->deny >> write & 1)
		n--;
	return n > 0;
}

/* The same as a status: clients whose lease is over deny nothing for long. */
static nfsstat4
check_denied(struct mds *mds, const struct inode *inode, bool write, const struct open_state *mine)
{
	const struct open_state *open;

	if (!denied_by_others(inode, write, mine))
		return NFS4_OK;
	TAILQ_FOREACH(open, &inode->state->opens, of_file)
		if (open != mine && open->deny >> write & 1 && !lease_lapsed_locked(mds, open->obj.client))
			return NFS4ERR_LOCKED;
	TAILQ_FOREACH(open, &inode->state->opens, of_file)
		if (open != mine && open->deny >> write & 1)
			lease_want_locked(mds, open->obj.client);
	return NFS4ERR_DELAY;
}

/* RFC 8881 8.2.3.  READ bypass is let past share denials, which 9.1.2 permits; not past grace (PITFALLS D2). */
static nfsstat4
check_special(struct compound *c, const stateid4 *sid, struct inode *inode, bool write)
{
	if (grace_active(c->mds))
		return NFS4ERR_GRACE;
	if (!write && stateid_is_bypass(sid))
		return NFS4_OK;
	return check_denied(c->mds, inode, write, NULL);
}

/*
 * A write needs an open for writing.  A read is let through with an open for writing only (the client may have to fill a page), if
 * nobody denies reading; the caller then looks at the mode bits.
 */
static nfsstat4
check_open(struct compound *c, const struct open_state *open, struct inode *inode, bool write, bool *by_open)
{
	uint32_t need = write ? OPEN4_SHARE_ACCESS_WRITE : OPEN4_SHARE_ACCESS_READ;

	if (open->access & need) {
		*by_open = !open->mixed && open->uid == c->cred.uid;
		return NFS4_OK;
	}
	if (write)
		return NFS4ERR_OPENMODE;
	return check_denied(c->mds, inode, write, open);
}

/* RFC 8881 10.4.1: for writing it is as good as an open for both.  The rights of its OPEN were looked at, others' are not known. */
static nfsstat4
check_deleg(const struct compound *c, const struct deleg *deleg, bool write, bool *by_open)
{
	uint32_t need = write ? OPEN4_SHARE_ACCESS_WRITE : OPEN4_SHARE_ACCESS_READ;

	if (write && !deleg->write)
		return NFS4ERR_OPENMODE;
	*by_open = (deleg->access & need) && deleg->uid == c->cred.uid;
	return NFS4_OK;
}

nfsstat4
state_check_io(struct compound *c, const stateid4 *sid, struct inode *inode, bool write, bool *by_open)
{
	struct state_obj *obj;
	bool ignored;

	if (!by_open)
		by_open = &ignored;
	*by_open = false;
	LOCK_SCOPE(&c->mds->state_lock);
	if (stateid_is_anonymous(sid) || stateid_is_bypass(sid))
		return check_special(c, sid, inode, write);
	if (!c->client)
		return NFS4ERR_BAD_STATEID;
	/* In grace this stateid was reclaimed, and no lock here is mandatory: safe (RFC 8881 8.4.2.1). */
	nfsstat4 status = state_find_locked(c->mds, c->client, sid, STATE_OPEN | STATE_LOCK | STATE_DELEG, inode, &obj);
	if (status != NFS4_OK)
		return status;
	if (obj->cls->kind == STATE_DELEG)
		return check_deleg(c, (struct deleg *)obj, write, by_open);
	const struct open_state *open = obj->cls->kind == STATE_LOCK ?
	    ((struct lock_state *)obj)->open : (struct open_state *)obj;
	return check_open(c, open, inode, write, by_open);
}
