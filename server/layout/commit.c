/*
 * LAYOUTCOMMIT; see commit.h.
 *
 * Under io_lock the layout is looked up and all ranges are checked against it; then the provider makes them readable and flushes the device, also
 * when there are none (RFC 8154 2.8: an overwrite has nothing to convert, but its time to move and its data to be made stable).
 * Who is cut off or moves blocks needs io_lock or comes before: what was checked stays true.
 */
#include "server/layout/commit.h"

#include <errno.h>

#include "proto/nfs4/status.h"
#include "server/export/export.h"
#include "server/fs/fs.h"
#include "server/layout/layout_impl.h"
#include "server/mds.h"
#include "server/state/client.h"

/* What the client may commit: what it holds, and what it returned lately (PITFALLS A27). */
struct allowed {
	const struct ranges *now, *lately;	/* either may be NULL */
};

static uint64_t
allowed_reach(const struct allowed *a, uint64_t pos)
{
	uint64_t reach = a->now ? ranges_reach(a->now, pos) : pos;

	return reach == pos && a->lately ? ranges_reach(a->lately, pos) : reach;
}

static bool
allowed_covers(const struct allowed *a, struct range r)
{
	while (r.start < r.end) {
		uint64_t reach = allowed_reach(a, r.start);
		if (reach == r.start)
			return false;
		r.start = reach;
	}
	return true;
}

static bool
allowed_overlaps(const struct allowed *a, struct range r)
{
	return (a->now && ranges_overlap(a->now, r)) || (a->lately && ranges_overlap(a->lately, r));
}

/* Aligned, ascending, disjoint (RFC 8154 2.4.2; RFC 5663 2.3.2). */
static nfsstat4
commit_check_ranges(const struct layout_commit *c)
{
	uint64_t unit = layout_unit(c->inode);
	uint64_t pos = 0;

	for (uint32_t i = 0; i < c->n; i++) {
		const struct layout_range *r = &c->ranges[i];
		if (!r->length || r->offset % unit || r->length % unit || r->length > UINT64_MAX - r->offset ||
		    r->offset < pos)
			return NFS4ERR_INVAL;
		pos = r->offset + r->length;
	}
	return NFS4_OK;
}

static nfsstat4
commit_check_layout_locked(struct mds *mds, const struct layout_commit *c)
{
	const struct layout *layout = layout_by_sid_locked(mds, c->client, c->sid);
	struct allowed allowed = { 0 };

	if (c->client->fenced || (layout && layout->obj.revoked))
		return NFS4ERR_DELEG_REVOKED;
	/* BAD_STATEID is not among LAYOUTCOMMIT's errors (15.2): the layout "does not exist" (18.42.3). */
	if (layout && (layout->obj.inode != c->inode || !c->sid->seqid ||
	    layout_check_seqid(layout->obj.seqid, c->sid->seqid) == NFS4ERR_BAD_STATEID))
		return NFS4ERR_BADLAYOUT;
	if (layout)
		allowed.now = &layout->held.rw;
	const struct returned *lately = returned_find_locked(mds->layouts, c->client, c->inode, c->sid);
	if (lately)
		allowed.lately = &lately->rw;
	if (!layout && !lately)
		return NFS4ERR_BADLAYOUT;
	struct range about = range_make(c->offset, c->length);
	/* Linux: offset 0, length to the last byte written; so it need only overlap. */
	if (!range_empty(about) && !allowed_overlaps(&allowed, about))
		return layout && ranges_overlap(&layout->held.read, about) ? NFS4ERR_BADIOMODE : NFS4ERR_BADLAYOUT;
	for (uint32_t i = 0; i < c->n; i++) {
		struct range r = range_make(c->ranges[i].offset, c->ranges[i].length);
		if (!allowed_covers(&allowed, r))
			return layout && ranges_cover(&layout->held.read, r) ? NFS4ERR_BADIOMODE : NFS4ERR_BADLAYOUT;
	}
	/*
	 * 12.5.4.2: the last byte must lie in a range held for writing.  Where a provider grants inside EOF only (plain), a size that would grow
	 * fails here, and the Linux client takes BADLAYOUT as "recalled meanwhile" where INVAL would be an error of fsync().
	 */
	if (c->last_valid && !allowed_covers(&allowed, range_make(c->last, 1)))
		return NFS4ERR_BADLAYOUT;
	return NFS4_OK;
}

/* The size may only grow (12.5.4.2, PITFALLS A1). */
static nfsstat4
commit_attr(const struct layout_commit *c, struct commit_attr *attr, uint64_t *old)
{
	struct fs_stat st;

	int err = fs_getattr(c->inode, &st);
	if (err)
		return nfs4_status(err);
	*old = st.stx.stx_size;
	*attr = (struct commit_attr){ .mtime_valid = c->mtime_valid, .mtime = c->mtime };
	if (c->last_valid && c->last + 1 > *old) {
		attr->size_valid = true;
		attr->size = c->last + 1;
	}
	if (!c->reclaim)
		return NFS4_OK;
	/* The lease went with the last life of the server: what was not written is to stay so. */
	if (c->n && layout_writers_wait(c->inode))
		return NFS4ERR_RECLAIM_BAD;
	/*
	 * Of a layout from before the restart we know nothing but that our grants lay inside EOF (18.42.3: consistency checks, RECLAIM_BAD).  And
	 * nobody was given anything in grace, so that nobody else's blocks are meant.
	 */
	uint64_t eof = range_align_out((struct range){ 0, *old }, layout_unit(c->inode)).end;
	if (attr->size_valid || (c->n && c->ranges[c->n - 1].offset + c->ranges[c->n - 1].length > eof))
		return NFS4ERR_RECLAIM_BAD;
	return NFS4_OK;
}

static int
commit_do(struct mds *mds, const struct layout_commit *c, struct layout_file *file, const struct commit_attr *attr)
{
	const struct export_ops *ops = c->inode->export->ops;
	struct layout_lease *lease = file->lease, *own = NULL;
	enum reason why = REASON_NONE;

	if (!lease && ops->writers_wait)
		/* The blocks were nobody's for a while. */
		return c->n || attr->size_valid ? -ENOTSUP : fs_commit(c->inode, true);
	if (!lease) {
		/* After a return: a lease for the moment. */
		int err = ops->lease(c->inode, &own, &why);
		if (err == -EAGAIN && !attr->size_valid)
			/* Somebody local was faster: when it broke the lease, blocks and size were as they are; flush them. */
			return fs_commit(c->inode, true);
		if (err)
			return err;
		lease = own;
	}
	struct iomap *map = arena_alloc(c->arena, (c->n ? c->n : 1) * sizeof *map);
	int err = map ? 0 : -ENOMEM;
	for (uint32_t i = 0; map && i < c->n; i++)
		map[i] = (struct iomap){ .offset = c->ranges[i].offset, .length = c->ranges[i].length, .type = IOMAP_MAPPED };
	if (!err)
		err = ops->commit_blocks(lease, map, c->n, attr);
	if (own) {
		pthread_mutex_lock(&mds->state_lock);
		layout_file_rest_locked(file, own);
		pthread_mutex_unlock(&mds->state_lock);
		ops->unlease(own);
	}
	return err;
}

static nfsstat4
commit_error(int err)
{
	switch (err) {
	case -ENOSPC:
	case -EDQUOT:
		return NFS4ERR_IO;	/* not LAYOUTCOMMIT's (15.2): space was taken at LAYOUTGET */
	case -ENOMEM:
		return NFS4ERR_DELAY;
	case -ENOTSUP:
		return NFS4ERR_BADLAYOUT;
	default:
		return nfs4_status(err);
	}
}

/* Only a size that was updated is told (18.42.3), and a provider need not take what was asked for: "plain" never does. */
static void
commit_size(struct inode *inode, uint64_t old, bool *size_set, uint64_t *size)
{
	struct fs_stat st;

	if (fs_getattr(inode, &st))
		return;		/* committed it is; the client has GETATTR */
	*size_set = st.stx.stx_size != old;
	*size = st.stx.stx_size;
}

/* io_lock held for writing, FILE busy. */
static nfsstat4
commit_locked_io(struct mds *mds, const struct layout_commit *c, struct layout_file *file, bool *size_set, uint64_t *size)
{
	struct commit_attr attr;
	uint64_t old = 0;
	nfsstat4 status = NFS4_OK;

	if (!c->reclaim) {
		pthread_mutex_lock(&mds->state_lock);
		status = commit_check_layout_locked(mds, c);
		pthread_mutex_unlock(&mds->state_lock);
	}
	if (status == NFS4_OK)
		status = commit_attr(c, &attr, &old);
	if (status != NFS4_OK)
		return status;
	int err = commit_do(mds, c, file, &attr);
	if (err)
		return commit_error(err);
	if (attr.size_valid)
		commit_size(c->inode, old, size_set, size);
	return NFS4_OK;
}

nfsstat4
layout_commit(struct mds *mds, const struct layout_commit *c, bool *size_set, uint64_t *size)
{
	*size_set = false;
	nfsstat4 status = commit_check_ranges(c);
	if (status != NFS4_OK)
		return c->reclaim ? NFS4ERR_RECLAIM_BAD : status;
	pthread_mutex_lock(&mds->state_lock);
	struct layout_file *file = layout_file_get_locked(mds, c->inode);
	if (file)
		file->busy++;
	pthread_mutex_unlock(&mds->state_lock);
	if (!file)
		return NFS4ERR_DELAY;
	pthread_rwlock_wrlock(&c->inode->io_lock);
	status = commit_locked_io(mds, c, file, size_set, size);
	pthread_rwlock_unlock(&c->inode->io_lock);
	pthread_mutex_lock(&mds->state_lock);
	file->busy--;
	layout_file_put_locked(file);
	pthread_mutex_unlock(&mds->state_lock);
	return status;
}
