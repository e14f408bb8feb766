/* Delegations, layouts and io_lock before data is touched: see way.h. */
#include "server/export/former_lease.h"
#include "server/mds.h"
#include "server/nfs4/way.h"
#include "server/state/client.h"
#include "server/state/deleg.h"

/* A grant that slips in between make_way and the lock costs another turn; more than a few are the client's to retry. */
#define WAY_TURNS 3

/*
 * May the kernel guard the file for clients of before a restart?  Then no write, truncate or allocation may be begun here, since it might wait there without an
 * end: GRACE (RFC 8881 8.4.2.1), or DELAY when only a moment, or the target, is waited for.
 */
static nfsstat4
way_guarded(const struct compound *c, enum layout_need need)
{
	if (need == LAYOUT_NEED_READ || !former_nfsd_any(c->mds))
		return NFS4_OK;
	return grace_active(c->mds) ? NFS4ERR_GRACE : NFS4ERR_DELAY;
}

/* On a loop nothing waits. */
static bool
io_lock_take(struct compound *c, struct inode *inode, bool exclusive)
{
	if (c->on_loop)
		return (exclusive ? pthread_rwlock_trywrlock(&inode->io_lock) :
		    pthread_rwlock_tryrdlock(&inode->io_lock)) == 0;
	return (exclusive ? pthread_rwlock_wrlock(&inode->io_lock) :
	    pthread_rwlock_rdlock(&inode->io_lock)) == 0;
}

/* What it is to others' delegations: only those who come by a special stateid, by SETATTR or by REMOVE ever meet one (RFC 8881 10.4.4). */
static enum deleg_need
way_deleg(enum layout_need need)
{
	return need == LAYOUT_NEED_READ ? DELEG_NEED_READ : DELEG_NEED_WRITE;
}

static bool
way_clear(struct compound *c, struct inode *inode, enum layout_need need, uint64_t offset, uint64_t length)
{
	/* Exact, since io_lock is held. */
	if (!layout_any(inode) && !deleg_any(inode))
		return true;
	pthread_mutex_lock(&c->mds->state_lock);
	bool clear = (!layout_any(inode) || layout_clear_locked(inode, c->client, need, offset, length)) &&
	    (!deleg_any(inode) || deleg_clear_locked(inode, c->client, way_deleg(need)));
	pthread_mutex_unlock(&c->mds->state_lock);
	return clear;
}

nfsstat4
way_take(struct compound *c, struct inode *inode, enum layout_need need, uint64_t offset, uint64_t length)
{
	bool blocks = need == LAYOUT_NEED_BLOCKS;
	bool waits = need != LAYOUT_NEED_READ && layout_writers_wait(inode);
	nfsstat4 guarded = way_guarded(c, need);

	if (guarded != NFS4_OK)
		return guarded;
	for (int turn = 0; turn < WAY_TURNS; turn++) {
		bool exclusive = blocks || (waits && layout_any(inode));
		if (waits && exclusive && c->on_loop)
			return OP_WORKER;	/* a lease may have to be given up */
		if (deleg_any(inode)) {
			nfsstat4 status = deleg_make_way(c->mds, inode, c->client, way_deleg(need));
			if (status != NFS4_OK)
				return status;
		}
		/* Always told for BLOCKS: it may have noted that we wait. */
		if (blocks || layout_any(inode)) {
			nfsstat4 status = layout_make_way(c->mds, inode, c->client, need, offset, length);
			if (status != NFS4_OK)
				return status;
		}
		if (!io_lock_take(c, inode, exclusive))
			return OP_WORKER;
		/* Shared, and a lease was taken meanwhile: another turn. */
		if (way_clear(c, inode, need, offset, length) && (exclusive || !waits || !layout_any(inode))) {
			if (waits && exclusive)
				layout_let_go(c->mds, inode);
			return NFS4_OK;
		}
		pthread_rwlock_unlock(&inode->io_lock);
	}
	return NFS4ERR_DELAY;
}

nfsstat4
way_take_lock(struct compound *c, struct inode *inode)
{
	return io_lock_take(c, inode, true) ? NFS4_OK : OP_WORKER;
}

void
way_drop(struct inode *inode)
{
	pthread_rwlock_unlock(&inode->io_lock);
}

/* Of one file: what has both in it. */
static nfsstat4
way_take_hull(struct compound *c, const struct way *a, const struct way *b)
{
	uint64_t start = a->offset < b->offset ? a->offset : b->offset;
	uint64_t a_end = a->length > UINT64_MAX - a->offset ? UINT64_MAX : a->offset + a->length;
	uint64_t b_end = b->length > UINT64_MAX - b->offset ? UINT64_MAX : b->offset + b->length;
	uint64_t end = a_end > b_end ? a_end : b_end;

	return way_take(c, a->inode, a->need > b->need ? a->need : b->need, start, end == UINT64_MAX ? WAY_TO_END : end - start);
}

nfsstat4
way_take_both(struct compound *c, const struct way *a, const struct way *b)
{
	if (a->inode == b->inode)
		return way_take_hull(c, a, b);
	const struct way *first = (uintptr_t)a->inode < (uintptr_t)b->inode ? a : b, *second = first == a ? b : a;
	nfsstat4 status = way_take(c, first->inode, first->need, first->offset, first->length);
	if (status == NFS4ERR_DELAY && layout_any(second->inode)) {
		/* It has to be tried again anyway: what is in the way at the other file is recalled in the same time. */
		layout_make_way(c->mds, second->inode, c->client, second->need, second->offset, second->length);
	}
	if (status != NFS4_OK)
		return status;
	status = way_take(c, second->inode, second->need, second->offset, second->length);
	if (status != NFS4_OK)
		way_drop(first->inode);
	return status;
}

void
way_drop_both(const struct way *a, const struct way *b)
{
	way_drop(a->inode);
	if (a->inode != b->inode)
		way_drop(b->inode);
}
