/*
 * SETATTR (RFC 8881 18.30).  Attributes are set in steps, so that the mask in the
 * reply tells exactly what was done when a later step fails.
 */
#include <time.h>

#include "include/cleanup.h"
#include "proto/nfs4/status.h"
#include "server/export/export.h"
#include "server/export/former_lease.h"
#include "server/mds.h"
#include "server/nfs4/attr.h"
#include "server/nfs4/way.h"
#include "server/state/deleg.h"
#include "server/state/stateid.h"

/* In this order: size strips set-id bits and moves the times, a new owner strips set-id bits. */
static const struct step {
	unsigned what;
	struct attr_mask attrs;
} steps[] = {
#define W1(bit) (1u << ((bit) - 32))
	{ FS_SET_SIZE, { { 1u << FATTR4_SIZE, 0, 0 } } },
	{ FS_SET_UID | FS_SET_GID, { { 0, W1(FATTR4_OWNER) | W1(FATTR4_OWNER_GROUP), 0 } } },
	{ FS_SET_MODE, { { 0, W1(FATTR4_MODE), 1u << (FATTR4_MODE_SET_MASKED - 64) } } },
	{ FS_SET_ACL, { { 1u << FATTR4_ACL, 0, 0 } } },		/* after the mode: RFC 8881 6.4.1.3 */
	{ FS_SET_ATIME | FS_SET_MTIME, { { 0, W1(FATTR4_TIME_ACCESS_SET) | W1(FATTR4_TIME_MODIFY_SET), 0 } } },
};

/* DONE gets those of ASKED that were set. */
static int
set_steps(struct compound *c, const struct fs_setattr *set, bool may_write, const struct attr_mask *asked,
    struct attr_mask *done)
{
	for (unsigned i = 0; i < sizeof steps / sizeof *steps; i++) {
		struct fs_setattr one = *set;

		one.what &= steps[i].what;
		/* A symbolic link has no mode of its own: not set, and not worth failing the rest. */
		if (c->cur->type == S_IFLNK)
			one.what &= ~(unsigned)FS_SET_MODE;
		if (!one.what)
			continue;
		int err = fs_setattr(c->cur, &c->cred, &one, may_write);
		if (err < 0)
			return err;
		for (int w = 0; w < ATTR_WORDS; w++)
			done->w[w] |= steps[i].attrs.w[w] & asked->w[w];
	}
	return 0;
}

/*
 * A size: shrinking frees blocks, from the one the new size is in (PITFALLS A22),
 * so every layout there goes first; growing wants the lock alone, for the block at the old end is never granted.
 * io_lock is held with NFS4_OK.
 */
static nfsstat4
size_take(struct compound *c, uint64_t size)
{
	uint64_t block = c->cur->export ? c->cur->export->block_size : 0;
	struct fs_stat st;

	for (int turn = 0; turn < 2; turn++) {
		int err = fs_getattr(c->cur, &st);
		if (err < 0)
			return nfs4_status(err);
		/* Growing is a truncate, too, where the kernel has a say, or may have from before. */
		bool blocks = size < st.stx.stx_size || layout_writers_wait(c->cur) || former_nfsd_any(c->mds);
		uint64_t from = block ? size - size % block : 0;
		nfsstat4 status = blocks ?
		    way_take(c, c->cur, LAYOUT_NEED_BLOCKS, from, WAY_TO_END) : way_take_lock(c, c->cur);
		if (status != NFS4_OK || blocks)
			return status;
		/* Has it grown past SIZE meanwhile? */
		err = fs_getattr(c->cur, &st);
		if (err == 0 && size >= st.stx.stx_size)
			return NFS4_OK;
		way_drop(c->cur);
		if (err < 0)
			return nfs4_status(err);
	}
	return NFS4ERR_DELAY;
}

/* Size needs what a WRITE would (RFC 8881 18.30.3). */
static nfsstat4
size_check(struct compound *c, const stateid4 *stateid, bool *may_write)
{
	stateid4 sid = *stateid;

	/* 15.2 has no ISDIR for SETATTR. */
	if (c->cur->type != S_IFREG)
		return NFS4ERR_WRONG_TYPE;
	nfsstat4 status = compound_resolve_stateid(c, &sid);
	if (status == NFS4_OK)
		status = state_check_io(c, &sid, c->cur, true, may_write);
	return status;
}

/* mode_set_masked: the other bits stay. */
static nfsstat4
mode_merge(struct compound *c, struct fs_setattr *set, mode_t mask)
{
	struct fs_stat st;

	if (!(set->what & FS_SET_MODE) || mask == 07777)
		return NFS4_OK;
	int err = fs_getattr(c->cur, &st);
	if (err < 0)
		return nfs4_status(err);
	set->mode |= st.stx.stx_mode & 07777 & ~mask;
	return NFS4_OK;
}

#define DELEG_TIMES (1u << (FATTR4_TIME_DELEG_ACCESS - 64) | 1u << (FATTR4_TIME_DELEG_MODIFY - 64))

/* Has the client a delegation, by this stateid, with the times that it sets (RFC 9754 5)? */
static nfsstat4
deleg_times_check(struct compound *c, const stateid4 *stateid, const struct attr_mask *asked)
{
	stateid4 sid = *stateid;
	struct state_obj *obj;

	if (!(asked->w[2] & DELEG_TIMES))
		return NFS4_OK;
	nfsstat4 status = compound_resolve_stateid(c, &sid);
	if (status != NFS4_OK)
		return status;
	LOCK_SCOPE(&c->mds->state_lock);
	status = state_find_locked(c->mds, c->client, &sid, STATE_DELEG, c->cur, &obj);
	if (status != NFS4_OK)
		return status;
	const struct deleg *deleg = (struct deleg *)obj;
	return deleg->times && (deleg->write || !attr_has(asked, FATTR4_TIME_DELEG_MODIFY)) ? NFS4_OK : NFS4ERR_BAD_STATEID;
}

/*
 * RFC 9754 5: earlier ones are ignored.  A time of access alone must not move ctime, which no system call can do without: it is ignored, too.  Taken out of SET, as the
 * client has its right to them by the delegation, whoever the user is.
 */
static int
deleg_times_set(struct compound *c, struct fs_setattr *set)
{
	static const struct fs_cred root;
	struct fs_setattr times = *set;
	struct timespec now;
	struct fs_stat st;

	set->what &= ~(unsigned)(FS_SET_ATIME | FS_SET_MTIME);
	times.what &= FS_SET_ATIME | FS_SET_MTIME;
	int err = fs_getattr(c->cur, &st);
	if (err < 0)
		return err;
	clock_gettime(CLOCK_REALTIME, &now);
	if (times.what & FS_SET_ATIME && !attr_time_counts(&times.atime, &st.stx.stx_atime, &now))
		times.what &= ~(unsigned)FS_SET_ATIME;
	if (!(times.what & FS_SET_MTIME) || !attr_time_counts(&times.mtime, &st.stx.stx_mtime, &now))
		return 0;
	return fs_setattr(c->cur, &root, &times, true);
}

nfsstat4
op_setattr(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	SETATTR4args *args = &arg->nfs_argop4_u.opsetattr;
	struct attr_mask asked, *done;
	struct fs_setattr set;
	bool may_write = false;
	mode_t mode_mask = 07777;

	if (c->on_loop)
		return OP_WORKER;
	nfsstat4 status = attr_to_setattr(c, &args->obj_attributes, &set, &asked, &mode_mask);
	if (status == NFS4_OK)
		status = compound_check_rw(c);
	if (status == NFS4_OK && set.what & FS_SET_SIZE)
		status = size_check(c, &args->stateid, &may_write);
	if (status == NFS4_OK)
		status = deleg_times_check(c, &args->stateid, &asked);
	/* 10.4.4: "sent by another client".  Nobody else is given a delegation until it is done. */
	if (status == NFS4_OK && c->cur->type == S_IFREG)
		status = deleg_make_way(c->mds, c->cur, c->client, DELEG_NEED_WRITE);
	if (status == NFS4_OK)
		status = mode_merge(c, &set, mode_mask);
	if (status != NFS4_OK)
		return status;
	done = arena_zalloc(&c->arena, sizeof *done);
	if (!done)
		return NFS4ERR_DELAY;
	if (set.what & FS_SET_SIZE)
		status = size_take(c, set.size);
	if (status != NFS4_OK)
		return status;
	int err = 0;
	if (asked.w[2] & DELEG_TIMES && (err = deleg_times_set(c, &set)) == 0)
		done->w[2] |= asked.w[2] & DELEG_TIMES;
	if (err == 0)
		err = set_steps(c, &set, may_write, &asked, done);
	if (set.what & FS_SET_SIZE)
		way_drop(c->cur);
	attr_mask_to(&res->nfs_resop4_u.opsetattr.attrsset, done);
	return err < 0 ? nfs4_status(err) : NFS4_OK;
}
