/* GETATTR, VERIFY, NVERIFY, ACCESS (RFC 8881 18.7, 18.31, 18.15, 18.1). SETATTR: op_setattr.c. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "proto/nfs4/status.h"
#include "server/nfs4/attr.h"
#include "server/state/deleg.h"

static bool
mask_meets(const struct attr_mask *a, const struct attr_mask *b)
{
	for (int i = 0; i < ATTR_WORDS; i++)
		if (a->w[i] & b->w[i])
			return true;
	return false;
}

/* What a client with a write delegation may know better (RFC 8881 10.4.3, RFC 9754 5). */
static const struct attr_mask delegated = { { 1u << FATTR4_CHANGE | 1u << FATTR4_SIZE,
    1u << (FATTR4_SPACE_USED - 32) | 1u << (FATTR4_TIME_ACCESS - 32) | 1u << (FATTR4_TIME_METADATA - 32) | 1u << (FATTR4_TIME_MODIFY - 32),
    0 } };

/*
 * It is modified there: so it is here, with its times, and the change attribute that follows from them; they do not go back when the delegation is lost.  Times
 * that the client keeps (RFC 9754) are taken if they are later than ours, and not in the future.
 */
static int
seen_note(struct compound *c, const struct fs_stat *st, struct deleg_seen *seen)
{
	static const struct fs_cred root;
	struct fs_setattr set = { .what = FS_SET_MTIME, .mtime = { .tv_nsec = UTIME_NOW } };
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	if (seen->has_times) {
		if (attr_time_counts(&seen->mtime, &st->stx.stx_mtime, &now))
			set.mtime = seen->mtime;
		if (attr_time_counts(&seen->atime, &st->stx.stx_atime, &now)) {
			set.what |= FS_SET_ATIME;
			set.atime = seen->atime;
		}
	}
	int err = fs_setattr(c->cur, &root, &set, true);
	if (err == 0)
		deleg_getattr_told(c->mds, c->cur, c->client);
	return err;
}

static nfsstat4
getattr_delegated(struct compound *c, struct deleg_seen *seen)
{
	struct fs_stat st;

	nfsstat4 status = deleg_getattr(c->mds, c->cur, c->client, seen);
	if (status != NFS4_OK || !seen->valid)
		return status;
	int err = fs_getattr(c->cur, &st);
	if (err < 0)
		return nfs4_status(err);
	/* Another size is a modification, too. */
	if ((!seen->modified && seen->size == st.stx.stx_size) || seen->told)
		return NFS4_OK;
	if (c->on_loop)
		return OP_WORKER;
	return nfs4_status(seen_note(c, &st, seen));
}

nfsstat4
op_getattr(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	fattr4 *out = &res->nfs_resop4_u.opgetattr.GETATTR4res_u.resok4.obj_attributes;
	struct deleg_seen seen = { 0 };
	struct attr_mask want;
	struct nfs_attrs a;

	attr_mask_from(&want, &arg->nfs_argop4_u.opgetattr.attr_request);
	/* Attributes that can only be set (RFC 8881 5.5); unknown ones are left out (18.7.3). */
	if (mask_meets(&want, &attrs_writeonly))
		return NFS4ERR_INVAL;
	nfsstat4 status = NFS4_OK;
	if (deleg_any(c->cur) && mask_meets(&want, &delegated))
		status = getattr_delegated(c, &seen);
	if (status == NFS4_OK)
		status = attr_get(c, c->cur, &want, &a);
	if (status != NFS4_OK)
		return status;
	if (seen.valid)
		a.size = seen.size;
	return attrs_to_fattr4(out, &a, &c->arena) ? NFS4_OK : NFS4ERR_DELAY;
}

/* Which of the attributes of VERIFY and NVERIFY may be asked for (RFC 8881 18.31.4). */
static nfsstat4
verify_mask(struct compound *c, const bitmap4 *bm, struct attr_mask *want)
{
	struct attr_mask supported = attr_supported_at(c->minor);
	bool more = attr_mask_from(want, bm);

	if (mask_meets(want, &attrs_writeonly) || attr_has(want, FATTR4_RDATTR_ERROR))
		return NFS4ERR_INVAL;
	for (int i = 0; i < ATTR_WORDS; i++)
		more |= (want->w[i] & ~supported.w[i]) != 0;
	return more ? NFS4ERR_ATTRNOTSUPP : NFS4_OK;
}

/* RFC 8881 6.2.4: undefined mode bits are an error here too. */
static nfsstat4
verify_values(const struct nfs_attrs *a)
{
	return attr_has(&a->mask, FATTR4_MODE) && (a->mode & ~07777u) ? NFS4ERR_INVAL : NFS4_OK;
}

/*
 * Both sides are encoded by us, so that two ways to write one bitmap are the same
 * value.  *same is valid with NFS4_OK.
 */
static nfsstat4
verify(struct compound *c, const fattr4 *theirs, bool *same)
{
	struct attr_mask want;
	struct nfs_attrs a, b;
	fattr4 ours, given;
	nfsstat4 status = verify_mask(c, &theirs->attrmask, &want);

	if (status == NFS4_OK)
		status = attrs_decode(theirs, &a);
	if (status == NFS4_OK)
		status = verify_values(&a);
	if (status == NFS4_OK)
		status = attr_get(c, c->cur, &want, &b);
	if (status != NFS4_OK)
		return status;
	if (!attrs_to_fattr4(&given, &a, &c->arena) || !attrs_to_fattr4(&ours, &b, &c->arena))
		return NFS4ERR_DELAY;
	*same = memcmp(&a.mask, &b.mask, sizeof a.mask) == 0 &&
	    given.attr_vals.attrlist4_len == ours.attr_vals.attrlist4_len &&
	    memcmp(given.attr_vals.attrlist4_val, ours.attr_vals.attrlist4_val,
		ours.attr_vals.attrlist4_len) == 0;
	return NFS4_OK;
}

nfsstat4
op_verify(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	bool same = false;
	nfsstat4 status = verify(c, &arg->nfs_argop4_u.opverify.obj_attributes, &same);

	(void)res;
	return status != NFS4_OK ? status : same ? NFS4_OK : NFS4ERR_NOT_SAME;
}

nfsstat4
op_nverify(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	bool same = false;
	nfsstat4 status = verify(c, &arg->nfs_argop4_u.opnverify.obj_attributes, &same);

	(void)res;
	return status != NFS4_OK ? status : same ? NFS4ERR_SAME : NFS4_OK;
}

#define ACCESS_ALL (ACCESS4_READ | ACCESS4_LOOKUP | ACCESS4_MODIFY | ACCESS4_EXTEND | ACCESS4_DELETE | ACCESS4_EXECUTE)
#define ACCESS_XATTR (ACCESS4_XAREAD | ACCESS4_XAWRITE | ACCESS4_XALIST)	/* RFC 8276 8.5 */
#define ACCESS_WRITES (ACCESS4_MODIFY | ACCESS4_EXTEND | ACCESS4_DELETE | ACCESS4_XAWRITE)

/* What each bit needs, by type; 0: the bit means nothing there (RFC 8881 18.1.3). */
static unsigned
access_needs(mode_t type, uint32_t bit)
{
	bool dir = type == S_IFDIR;

	switch (bit) {
	case ACCESS4_READ:
		return R_OK;
	case ACCESS4_LOOKUP:
		return dir ? X_OK : 0;
	case ACCESS4_MODIFY:
	case ACCESS4_EXTEND:
		return dir ? W_OK | X_OK : W_OK;
	case ACCESS4_DELETE:
		return dir ? W_OK | X_OK : 0;
	case ACCESS4_EXECUTE:
		return dir ? 0 : X_OK;
	case ACCESS4_XAREAD:
	case ACCESS4_XALIST:
		return dir || type == S_IFREG ? R_OK : 0;
	case ACCESS4_XAWRITE:
		return dir || type == S_IFREG ? W_OK : 0;
	default:
		return 0;
	}
}

nfsstat4
op_access(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	ACCESS4resok *ok = &res->nfs_resop4_u.opaccess.ACCESS4res_u.resok4;
	uint32_t asked = arg->nfs_argop4_u.opaccess.access;
	struct fs_stat st;

	if (asked & ~(ACCESS_ALL | (c->minor >= 2 ? ACCESS_XATTR : 0)))
		return NFS4ERR_INVAL;
	int err = fs_getattr(c->cur, &st);
	if (err < 0)
		return nfs4_status(err);
	bool rw = compound_check_rw(c) == NFS4_OK;
	ok->supported = ok->access = 0;
	if (!fs_xattr_supported(c->cur))
		asked &= ~ACCESS_XATTR;
	for (uint32_t bit = 1; bit <= ACCESS4_XALIST; bit <<= 1) {
		unsigned needs = access_needs(c->cur->type, bit);
		if (!(asked & bit) || !needs)
			continue;
		ok->supported |= bit;
		if (!rw && (bit & ACCESS_WRITES))
			continue;
		err = fs_permits(c->cur, &st, &c->cred, needs, c->on_loop);
		if (err == -EAGAIN && c->on_loop)
			return OP_WORKER;
		if (err && err != -EACCES)
			return nfs4_status(err);
		if (!err)
			ok->access |= bit;
	}
	return NFS4_OK;
}
