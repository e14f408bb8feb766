/*
 * Giving layouts (RFC 8881 18.43, RFC 8154 2.4.1); see grant.h.
 *
 *   1 state_lock    what stands in the way?  start recalls, or find out how far a grant may reach
 *   2 io_lock       lease the file, map it (allocating), all durable
 *   3 + state_lock  look again - a BLOCKS operation, a local break, a close may have come - and enter the grant before io_lock is
 *                   released, so that whoever moves blocks afterwards sees it (PITFALLS A21)
 */
#include "server/layout/grant.h"

#include <errno.h>
#include <stdlib.h>

#include "proto/nfs4/status.h"
#include "server/export/export.h"
#include "server/fs/fs.h"
#include "server/layout/device.h"
#include "server/layout/extent.h"
#include "server/layout/layout_impl.h"
#include "server/mds.h"
#include "server/state/client.h"
#include "server/state/open.h"

/*
 * How far a grant for writing goes beyond what was asked (PITFALLS A31): far enough that a sequential writer comes seldom, not so far
 * that zero-filling holes keeps it waiting (about 0.5 ms per MiB) or that a second writer has to recall the whole file.  Twice as far for one
 * that goes on where its last grant ended.
 */
#define GROW_RW (64ull << 20)
#define GROW_RW_SEQUENTIAL (128ull << 20)

/* However much is asked for: a request must not fill zeros for minutes.  A minimum beyond the second is refused. */
#define MOST_RW (512ull << 20)
#define MOST_RW_REQUIRED (1ull << 30)

struct grant {
	struct mds *mds;
	const struct layout_ask *ask;
	struct layout_answer *answer;
	enum layout_need need;
	uint64_t unit;
	struct range required;		/* what must be covered (minlength), aligned */
	struct range asked;		/* what would be nice, aligned */
	struct range target;		/* what we try for */
	struct layout_file *file;	/* busy */
	struct layout *fresh;		/* made beforehand; NULL when entered */
	struct range got;
	bool full;			/* max_extents was what ended it */
	bool sequential;
};

static uint64_t
min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

nfsstat4
layout_check_sid(struct mds *mds, struct client *client, struct inode *inode, const stateid4 *sid, bool *is_layout)
{
	nfsstat4 status = NFS4_OK;

	*is_layout = false;
	pthread_mutex_lock(&mds->state_lock);
	const struct layout *layout = layout_by_sid_locked(mds, client, sid);
	if (layout) {
		*is_layout = true;
		/* The order of RFC 8881 8.2.4. */
		if (layout->obj.inode != inode)
			status = NFS4ERR_BAD_STATEID;
		else if (layout->obj.revoked)
			status = NFS4ERR_DELEG_REVOKED;
		else
			status = layout_check_seqid(layout->obj.seqid, sid->seqid);
	}
	pthread_mutex_unlock(&mds->state_lock);
	return status;
}

static nfsstat4
refuse(struct grant *g, nfsstat4 status, enum reason why)
{
	g->answer->why = why;
	return status;
}

/*
 * The file, or this part of it, cannot be had as it is: BADLAYOUT says that the minimum cannot be given, TRYLATER the same when there is none (18.43.3, after
 * Table 22).  The Linux client then does this I/O through us and asks again next time, while LAYOUTUNAVAILABLE turns layouts off for
 * the file for two minutes.
 */
static nfsstat4
refuse_range(struct grant *g, enum reason why)
{
	return refuse(g, g->ask->minlength ? NFS4ERR_BADLAYOUT : NFS4ERR_LAYOUTTRYLATER, why);
}

/* The server is going to end (drain.c).  The Linux client goes on by READ and WRITE. */
static nfsstat4
grant_check_end_locked(struct grant *g)
{
	return g->mds->layouts->draining ? refuse(g, NFS4ERR_LAYOUTTRYLATER, REASON_STOPPING) : NFS4_OK;
}

/* ---- 1: what stands in the way ---- */

/* A live client that still has the file open as this mode needs it (RFC 8154 3.1, PITFALLS A11). */
static nfsstat4
grant_check_client_locked(struct grant *g)
{
	const struct layout_ask *ask = g->ask;

	if (ask->client->expired || client_find_locked(g->mds, ask->client->id) != ask->client)
		return NFS4ERR_BAD_STATEID;
	if (!open_held_locked(ask->inode, ask->client, ask->rw))
		return open_held_locked(ask->inode, ask->client, false) ? NFS4ERR_OPENMODE : NFS4ERR_BAD_STATEID;
	if (fenced_still_locked(g->mds, ask->client, &ask->ref))
		return refuse(g, NFS4ERR_LAYOUTTRYLATER, REASON_FENCED);
	if (holder_fencing_locked(g->mds, ask->client, ask->inode))
		return refuse(g, NFS4ERR_LAYOUTTRYLATER, REASON_FENCED);
	return NFS4_OK;
}

/*
 * Somebody has the start of it.  RECALLCONFLICT is for the client whose own layout is being recalled (12.5.5.2.1.3; its RETURNCONFLICT
 * for one that has answered is not among LAYOUTGET's errors in 15.2, and clients treat both alike), LAYOUTTRYLATER for the rest (RFC 8154 2.4.6).
 */
static nfsstat4
grant_conflict_locked(struct grant *g)
{
	const struct layout *own = layout_find_locked(g->ask->inode, g->ask->client);
	struct range r = g->asked;

	/* "To the end of the file" is a wish: recall what the next grant will be, not everything. */
	r.end = min_u64(r.end, range_make(r.start, GROW_RW).end);
	if (r.end < g->required.end)
		r.end = g->required.end;
	if (own && recall_pending(own, r))
		return refuse(g, NFS4ERR_RECALLCONFLICT, REASON_RECALL_PENDING);
	layout_recall_conflicts_locked(g->mds, g->file, g->ask->client, g->need, r);
	layout_want_locked(g->mds, g->file, g->ask->client->id, g->need, r);
	return refuse(g, NFS4ERR_LAYOUTTRYLATER, REASON_RECALL_PENDING);
}

static bool
grant_file_broken(const struct layout_file *file)
{
	return file->broken || (file->lease && file->lease->broken) || file->not_before_ms > mds_now_ms();
}

static nfsstat4
grant_begin(struct grant *g)
{
	struct mds *mds = g->mds;
	nfsstat4 status;

	pthread_mutex_lock(&mds->state_lock);
	status = grant_check_client_locked(g);
	if (status == NFS4_OK)
		status = state_room_locked(mds, g->ask->client);
	if (status == NFS4_OK && !(g->file = layout_file_get_locked(mds, g->ask->inode)))
		status = NFS4ERR_DELAY;
	if (status != NFS4_OK) {
		pthread_mutex_unlock(&mds->state_lock);
		return status;
	}
	g->file->busy++;
	if (grant_file_broken(g->file))
		status = refuse(g, NFS4ERR_LAYOUTTRYLATER, REASON_LOCAL_OPEN);
	else if (layout_obstacle_locked(g->file, g->ask->client, g->need, g->required) < g->required.end)
		status = grant_conflict_locked(g);
	else
		status = grant_check_end_locked(g);
	const struct layout *own = layout_find_locked(g->ask->inode, g->ask->client);
	if (own && g->ask->rw && g->asked.start && ranges_reach(&own->held.rw, g->asked.start - 1) == g->asked.start)
		g->sequential = true;
	pthread_mutex_unlock(&mds->state_lock);
	return status;
}

/* ---- 2: lease and map ---- */

static nfsstat4
grant_lease(struct grant *g)
{
	struct inode *inode = g->ask->inode;
	const struct export_ops *ops = inode->export->ops;
	struct layout_lease *lease = NULL;
	enum reason why = REASON_NONE;

	/* io_lock is held for writing: nobody else sets or clears it. */
	if (g->file->lease)
		return NFS4_OK;
	int err = ops->lease(inode, &lease, &why);
	if (err == -ENOTSUP)
		return refuse(g, NFS4ERR_LAYOUTUNAVAILABLE, why);
	if (err && err != -EAGAIN)
		return refuse(g, nfs4_status(err), why);
	bool later = true;
	pthread_mutex_lock(&g->mds->state_lock);
	if (!err)
		layout_file_lease_locked(g->file, lease);
	/* A local open may last: the client had better use READ and WRITE (XFS.md). */
	else if (why == REASON_LOCAL_OPEN)
		later = layout_file_opened_locked(g->file);
	pthread_mutex_unlock(&g->mds->state_lock);
	return err ? refuse(g, later ? NFS4ERR_LAYOUTTRYLATER : NFS4ERR_LAYOUTUNAVAILABLE, why) : NFS4_OK;
}

/* For writing: some way on, as zeros may have to be filled in. */
static void
grant_aim_rw(struct grant *g, uint64_t eof)
{
	uint64_t start = g->asked.start;
	uint64_t end = g->asked.end == UINT64_MAX ? eof : g->asked.end;	/* "to the end of the file" */
	struct range grown = range_make(start, g->sequential ? GROW_RW_SEQUENTIAL : GROW_RW);

	/* Behind EOF only what is asked for: what is never used there stays allocated. */
	if (g->ask->inode->export->ops->past_eof)
		grown.end = min_u64(grown.end, eof);
	if (end < grown.end)
		end = grown.end;
	end = min_u64(end, range_make(start, MOST_RW).end);
	g->target = (struct range){ start, end < g->required.end ? g->required.end : end };
}

/* How far to go: to the end of the file for reading; not into others' ranges. */
static nfsstat4
grant_aim(struct grant *g)
{
	struct fs_stat st;

	int err = fs_getattr(g->ask->inode, &st);
	if (err)
		return refuse(g, nfs4_status(err), REASON_IO_ERROR);
	uint64_t eof = range_align_out((struct range){ 0, st.stx.stx_size }, g->unit).end;
	if (g->ask->rw) {
		grant_aim_rw(g, eof);
	} else {
		g->target = (struct range){ g->asked.start, eof };
		/* RFC 8154 2.4.1: where EOF is met a grant for reading may be shorter than the minimum. */
		g->required.end = min_u64(g->required.end, eof);
	}
	if (range_empty(g->target) || g->target.end < g->required.end)
		return refuse_range(g, REASON_EOF_BLOCK);
	pthread_mutex_lock(&g->mds->state_lock);
	g->target.end = layout_obstacle_locked(g->file, g->ask->client, g->need, g->target);
	pthread_mutex_unlock(&g->mds->state_lock);
	if (range_empty(g->target) || g->target.end < g->required.end)
		return refuse(g, NFS4ERR_LAYOUTTRYLATER, REASON_RECALL_PENDING);	/* came after grant_begin() */
	return NFS4_OK;
}

static nfsstat4
grant_map_error(struct grant *g, int err, enum reason why)
{
	switch (err) {
	case -ENOTSUP:
		return refuse(g, NFS4ERR_LAYOUTUNAVAILABLE, why);
	case -ENOSPC:
	case -EDQUOT:
		/* Never TRYLATER: clients would spin (PITFALLS A32). */
		return refuse(g, nfs4_status(err), REASON_NO_SPACE);
	case -EAGAIN:
		return refuse(g, NFS4ERR_LAYOUTTRYLATER, why);
	default:
		return refuse(g, nfs4_status(err), why == REASON_NONE ? REASON_IO_ERROR : why);
	}
}

/* Collect the map of the target.  Providers may need several calls (nfsd gives one extent at a time). */
static int
grant_collect(struct grant *g, struct iomap *map, unsigned max, enum reason *why)
{
	const struct export_ops *ops = g->ask->inode->export->ops;
	uint64_t pos = g->target.start;
	unsigned have = 0;

	while (pos < g->target.end && have < max) {
		*why = REASON_NONE;
		int n = ops->map_blocks(g->file->lease, pos, g->target.end - pos, g->ask->rw, map + have, max - have, why);
		if (n < 0 && have == 0)
			return n;
		if (n <= 0)
			break;
		have += (unsigned)n;
		pos = map[have - 1].offset + map[have - 1].length;
		if (*why != REASON_NONE)
			break;
	}
	return (int)have;
}

static nfsstat4
grant_map(struct grant *g)
{
	const struct layout_ask *ask = g->ask;
	enum reason why = REASON_NONE;
	/* One piece more than extents: tells whether there would have been more. */
	uint32_t max = (uint32_t)min_u64(ask->max_extents, GRANT_MAX_EXTENTS);

	struct iomap *map = arena_alloc(ask->arena, (max + 1) * sizeof *map);
	g->answer->ext = arena_alloc(ask->arena, max * sizeof *g->answer->ext);
	if (!map || !g->answer->ext)
		return NFS4ERR_DELAY;
	int n = grant_collect(g, map, max + 1, &why);
	if (n < 0)
		return grant_map_error(g, n, why);
	g->got.start = g->target.start;
	g->answer->n = extents_make(g->answer->ext, max, map, (unsigned)n, g->target, ask->rw,
	    ask->inode->export->device->id, &g->got.end, &g->full);
	if (g->got.end < g->required.end || range_empty(g->got)) {
		/* More extents would be needed than the client has room for (18.43.3). */
		if (g->full || (unsigned)n == max + 1)
			return refuse(g, NFS4ERR_TOOSMALL, REASON_NONE);
		return refuse_range(g, why == REASON_NONE ? REASON_EOF_BLOCK : why);
	}
	return NFS4_OK;
}

/* ---- 3: enter ---- */

static struct layout *
grant_own_locked(struct grant *g)
{
	const struct layout_ask *ask = g->ask;
	struct layout *layout = layout_find_locked(ask->inode, ask->client);

	if (layout)
		return layout;
	layout = g->fresh;
	layout->holder = holder_get_locked(g->mds, ask->client, ask->inode);
	if (!layout->holder)
		return NULL;
	g->fresh = NULL;
	layout->file = g->file;
	state_add_locked(g->mds, &layout->obj, &layout_class, ask->client, ask->inode);
	layout->obj.seqid = 0;		/* the reply's is 1 (12.5.3) */
	layout->known = true;
	TAILQ_INSERT_TAIL(&g->file->list, layout, of_file);
	TAILQ_INSERT_TAIL(&layout->holder->list, layout, of_holder);
	g->file->linger_ms = 0;
	atomic_fetch_add(&ask->inode->layouts, 1);
	return layout;
}

/*
 * What the client is going to take for zeros without asking the device, until it returns it.  (INVALID_DATA in a RW grant would be the same, but a provider
 * that gives it has a file system that knows of the layout and recalls it itself.)
 */
static int
grant_note_holes(struct holding *held, const struct grant *g)
{
	for (uint32_t i = 0; i < g->answer->n; i++) {
		const struct layout_extent *e = &g->answer->ext[i];
		if (e->state != EXTENT_NONE)
			continue;
		int err = ranges_add(&held->holes, range_make(e->offset, e->length));
		/* Too many pieces: all of the grant, then.  More than is so costs a recall, no more. */
		if (err)
			return ranges_add(&held->holes, g->got);
	}
	return 0;
}

static nfsstat4
grant_add_locked(struct grant *g)
{
	const struct layout_ask *ask = g->ask;
	struct layout *layout = grant_own_locked(g);

	if (!layout)
		return NFS4ERR_DELAY;
	int err = grant_note_holes(&layout->held, g);
	if (err == 0)
		err = ranges_add(ask->rw ? &layout->held.rw : &layout->held.read, g->got);
	if (err) {
		if (layout_empty(layout))
			layout_free_locked(g->mds, layout);
		return refuse(g, NFS4ERR_LAYOUTTRYLATER, REASON_NONE);
	}
	if (ask->rw)
		returned_forget_locked(g->mds->layouts, ask->inode, ask->client, g->got);
	layout_want_met_locked(g->file, ask->client->id, g->need, g->got);
	state_bump_locked(&layout->obj, &g->answer->sid);
	cb_refs_note_locked(g->mds, &layout->gets, &ask->ref);
	g->answer->offset = g->got.start;
	g->answer->length = g->got.end - g->got.start;
	g->mds->layouts->ngranted++;
	return NFS4_OK;
}

/* io_lock and state_lock held. */
static nfsstat4
grant_enter_locked(struct grant *g)
{
	const struct layout_ask *ask = g->ask;
	nfsstat4 status = grant_check_client_locked(g);

	if (status != NFS4_OK)
		return status;
	if (grant_file_broken(g->file))
		return refuse(g, NFS4ERR_LAYOUTTRYLATER, REASON_LOCAL_OPEN);
	/* Returned by a parallel request: its stateid is no more (12.5.3). */
	if (ask->by_layout && !layout_find_locked(ask->inode, ask->client))
		return NFS4ERR_BAD_STATEID;
	uint64_t free_to = layout_obstacle_locked(g->file, ask->client, g->need, g->got);
	if (free_to < g->required.end || free_to <= g->got.start)
		return grant_conflict_locked(g);
	status = grant_check_end_locked(g);
	if (status != NFS4_OK)
		return status;
	if (free_to < g->got.end) {
		g->answer->n = extents_trim(g->answer->ext, g->answer->n, free_to);
		g->got.end = free_to;
	}
	return grant_add_locked(g);
}

/* The same for one that must not wait: the lease is there, and all that is going to be asked for is mapped.  False: it may have to. */
static bool
grant_locked_at_once(struct grant *g)
{
	struct inode *inode = g->ask->inode;
	const struct export_ops *ops = inode->export->ops;

	if (pthread_rwlock_trywrlock(&inode->io_lock))
		return false;
	bool ok = g->file->lease && ops->mapped && grant_aim(g) == NFS4_OK &&
	    ops->mapped(g->file->lease, g->target.start, g->target.end - g->target.start, g->ask->rw) && grant_map(g) == NFS4_OK;
	pthread_mutex_lock(&g->mds->state_lock);
	ok = ok && grant_enter_locked(g) == NFS4_OK;
	pthread_mutex_unlock(&g->mds->state_lock);
	pthread_rwlock_unlock(&inode->io_lock);
	return ok;
}

/* All of LAYOUTGET that needs io_lock. */
static nfsstat4
grant_locked_io(struct grant *g)
{
	struct mds *mds = g->mds;
	struct inode *inode = g->ask->inode;
	struct layout_lease *lease = NULL;

	pthread_rwlock_wrlock(&inode->io_lock);
	nfsstat4 status = grant_lease(g);
	if (status == NFS4_OK)
		status = grant_aim(g);
	if (status == NFS4_OK)
		status = grant_map(g);
	pthread_mutex_lock(&mds->state_lock);
	if (status == NFS4_OK)
		status = grant_enter_locked(g);
	if (status != NFS4_OK)
		lease = layout_file_unlease_locked(g->file);
	pthread_mutex_unlock(&mds->state_lock);
	if (lease)
		layout_file_unlease(g->file, lease);
	pthread_rwlock_unlock(&inode->io_lock);
	return status;
}

nfsstat4
layout_get(struct mds *mds, const struct layout_ask *ask, struct layout_answer *answer)
{
	struct grant g = { .mds = mds, .ask = ask, .answer = answer, .unit = layout_unit(ask->inode),
		.need = ask->rw ? LAYOUT_NEED_RW : LAYOUT_NEED_READ };
	const struct layout_plug *plug = layout_plug_find(ask->inode->export->layout_type);
	nfsstat4 status;

	answer->why = REASON_NONE;
	answer->n = 0;
	answer->wait = ask->at_once;
	/* At least the block of the offset, also for a minimum or a length of 0 (RFC 8154 2.4.1). */
	g.required = range_align_out(range_make(ask->offset, ask->minlength ? ask->minlength : 1), g.unit);
	g.asked = range_hull(g.required, range_align_out(range_make(ask->offset, ask->length ? ask->length : 1), g.unit));
	if (ask->rw && g.required.end - g.required.start > MOST_RW_REQUIRED)	/* without end (Table 22) among them */
		return refuse(&g, NFS4ERR_BADLAYOUT, REASON_EOF_BLOCK);
	/* Who may not wait has no use for what may take its time; a client whose first layout it is, neither. */
	if (ask->at_once && (!plug || !plug->prepares_at_once || !record_there(mds, ask->client, ask->inode)))
		return NFS4ERR_DELAY;
	if (!plug || plug->prepare(ask->inode->export->device, &answer->why))
		return NFS4ERR_LAYOUTUNAVAILABLE;
	if (!ask->at_once && record_make(mds, ask->client, ask->inode))
		return refuse(&g, NFS4ERR_LAYOUTUNAVAILABLE, REASON_IO_ERROR);
	g.fresh = calloc(1, sizeof *g.fresh);
	if (!g.fresh)
		return NFS4ERR_DELAY;
	status = grant_begin(&g);
	if (status == NFS4_OK && ask->at_once)
		status = grant_locked_at_once(&g) ? NFS4_OK : NFS4ERR_DELAY;
	else if (status == NFS4_OK)
		status = grant_locked_io(&g);
	answer->wait &= status != NFS4_OK;
	if (g.file) {
		pthread_mutex_lock(&mds->state_lock);
		g.file->busy--;
		layout_file_put_locked(g.file);
		pthread_mutex_unlock(&mds->state_lock);
	}
	free(g.fresh);
	if (status == NFS4ERR_LAYOUTTRYLATER || status == NFS4ERR_RECALLCONFLICT)
		recalls_pump(mds);
	return status;
}
