/*
 * Layout bookkeeping: records, what stands in whose way, ends.  See layout.h for who calls it and layout_impl.h for the records.
 * Grants are made in grant.c, returns taken in return.c.
 */
#include "server/layout/layout_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "include/log.h"
#include "server/export/export.h"
#include "server/layout/extent.h"
#include "server/mds.h"
#include "server/state/client.h"
#include "server/state/file.h"
#include "server/state/open.h"

/*
 * How long somebody who was refused is waited for.  The Linux client's retries back off to 15 seconds; the others' are only
 * a matter of fairness.
 */
#define WANT_BLOCKS_MS 16000
#define WANT_MS 3000
/* A BLOCKS operation that was let through is done by then; it holds io_lock anyway when it is at work. */
#define WANT_MET_MS 1000

/* RFC 8881 12.5.5.2.1.4: VALID_SEQID_RANGE, at least the sum of ca_maxoperations - 1: with room to spare. */
#define VALID_SEQID_RANGE 65536u

struct layout_file *
layout_file_find(const struct inode *inode)
{
	return inode->state ? inode->state->layouts : NULL;
}

static void file_unlease(struct work *work);

struct layout_file *
layout_file_get_locked(struct mds *mds, struct inode *inode)
{
	struct layout_file *file = layout_file_find(inode);
	if (file)
		return file;
	file = calloc(1, sizeof *file);
	if (!file)
		return NULL;
	file->fs = file_state_get_locked(mds, inode);
	if (!file->fs) {
		free(file);
		return NULL;
	}
	file->inode = inode;
	file->layouts = mds->layouts;
	file->unlease.fn = file_unlease;
	TAILQ_INIT(&file->list);
	file->fs->layouts = file;
	TAILQ_INSERT_TAIL(&mds->layouts->files, file, of_layouts);
	return file;
}

static void
file_wait_locked(struct layout_file *file)
{
	if (!file->waiting) {
		TAILQ_INSERT_TAIL(&file->layouts->waiting, file, of_waiting);
		file->waiting = true;
	}
	layouts_kick_locked(file->layouts);
}

/*
 * Most local opens are over in a moment, but LAYOUTUNAVAILABLE makes the Linux client do its I/O through us for two minutes: it is told to ask again
 * (LAYOUTTRYLATER: after 100 ms, 200 ms, ...) for this long.  Not for longer, as its I/O waits meanwhile.
 */
#define OPENED_WAIT_MS 1000
/* Then nobody is made to wait for this long. */
#define OPENED_FORGET_MS 10000

bool
layout_file_opened_locked(struct layout_file *file)
{
	uint64_t now = mds_now_ms();

	if (!file->opened_ms) {
		file->opened_ms = now;
		file_wait_locked(file);
	}
	return now - file->opened_ms < OPENED_WAIT_MS;
}

static void
file_drop_wants_locked(struct layout_file *file, uint64_t now)
{
	unsigned n = 0;
	for (unsigned i = 0; i < file->nwants; i++)
		if (file->wants[i].expires_ms > now)
			file->wants[n++] = file->wants[i];
	atomic_fetch_sub(&file->inode->layouts, file->nwants - n);
	file->nwants = n;
	if (file->not_before_ms <= now)
		file->not_before_ms = 0;
	if (now - file->opened_ms >= OPENED_FORGET_MS)
		file->opened_ms = 0;
	if (file->waiting && !n && !file->not_before_ms && !file->opened_ms && file->linger_ms <= now) {
		TAILQ_REMOVE(&file->layouts->waiting, file, of_waiting);
		file->waiting = false;
	}
}

/*
 * The lease outlives the last layout for a moment, unless somebody waits for it: a client that opens and closes a file again and again costs
 * one lease, and where nothing can be committed without it (export_ops.writers_wait) the Linux client may return first and commit then
 * (PITFALLS A27).
 */
#define LINGER_MS 2000

static bool
lease_lingers(struct layout_file *file)
{
	const struct layouts *layouts = file->layouts;
	uint64_t now = mds_now_ms();

	if (file->broken || file->lease->broken || layouts->stop || layouts->draining)
		return false;
	if (!file->linger_ms) {
		file->linger_ms = now + LINGER_MS;
		file_wait_locked(file);
	}
	return now < file->linger_ms;
}

void
layout_file_put_locked(struct layout_file *file)
{
	struct layouts *layouts = file->layouts;

	if (!TAILQ_EMPTY(&file->list) || file->busy || file->unlease_queued)
		return;
	if (file->lease) {
		if (lease_lingers(file))
			return;
		if (layouts->mds->workers) {
			file->unlease_queued = true;
			layouts->unleasing++;
			workers_submit(layouts->mds->workers, &file->unlease);
		}
		return;
	}
	file->broken = false;
	if (file->waiting)
		return;
	TAILQ_REMOVE(&layouts->files, file, of_layouts);
	file->fs->layouts = NULL;
	struct inode *iref;
	file_state_put_locked(file->fs, &iref);
	if (iref)
		state_put_inode_locked(layouts->mds, iref);
	free(file);
}

/* XFS.md: a lease taken within 50 ms of one that was broken may see no further event. */
#define AFTER_BREAK_MS 60

void
layout_file_rest_locked(struct layout_file *file, const struct layout_lease *lease)
{
	if (!file->broken && !lease->broken)
		return;
	file->not_before_ms = mds_now_ms() + AFTER_BREAK_MS;
	file_wait_locked(file);
}

bool
layout_writers_wait(const struct inode *inode)
{
	return inode->export && inode->export->ops && inode->export->ops->writers_wait;
}

void
layout_file_lease_locked(struct layout_file *file, struct layout_lease *lease)
{
	/* Where writers wait for it, it is in their way as a layout is: layout_any(). */
	if (layout_writers_wait(file->inode) && !lease != !file->lease)
		atomic_fetch_add(&file->inode->layouts, lease ? 1u : -1u);
	file->lease = lease;
	if (lease)
		file->opened_ms = 0;
}

struct layout_lease *
layout_file_unlease_locked(struct layout_file *file)
{
	struct layout_lease *lease = file->lease;
	if (!lease || !TAILQ_EMPTY(&file->list))
		return NULL;
	layout_file_rest_locked(file, lease);
	file->broken = false;
	file->linger_ms = 0;
	layout_file_lease_locked(file, NULL);
	if (layout_writers_wait(file->inode))
		/* Blocks that nobody guards now may be others' when a commit comes late. */
		returned_forget_locked(file->layouts, file->inode, NULL, RANGE_ALL);
	return lease;
}

void
layout_file_unlease(struct layout_file *file, struct layout_lease *lease)
{
	struct mds *mds = file->layouts->mds;

	lease->ops->unlease(lease);
	pthread_mutex_lock(&mds->state_lock);
	if (file->not_before_ms)		/* it may have taken its time */
		file->not_before_ms = mds_now_ms() + AFTER_BREAK_MS;
	pthread_mutex_unlock(&mds->state_lock);
}

/* Worker: the last layout has gone. */
static void
file_unlease(struct work *work)
{
	struct layout_file *file = (struct layout_file *)((char *)work - offsetof(struct layout_file, unlease));
	struct mds *mds = file->layouts->mds;
	struct inode *inode = inode_get(file->inode);

	pthread_rwlock_wrlock(&inode->io_lock);
	pthread_mutex_lock(&mds->state_lock);
	/* unlease_queued keeps the file where it is.  A LAYOUTGET may have come first. */
	struct layout_lease *lease = layout_file_unlease_locked(file);
	pthread_mutex_unlock(&mds->state_lock);
	if (lease)
		layout_file_unlease(file, lease);
	pthread_rwlock_unlock(&inode->io_lock);
	pthread_mutex_lock(&mds->state_lock);
	file->unlease_queued = false;
	layout_file_put_locked(file);
	if (--mds->layouts->unleasing == 0 && mds->layouts->stop)
		pthread_cond_broadcast(&mds->layouts->cond);	/* layouts_free() waits for it */
	pthread_mutex_unlock(&mds->state_lock);
	inode_put(inode);
}

/* ---- layouts ---- */

struct layout *
layout_find_locked(const struct inode *inode, const struct client *client)
{
	struct layout_file *file = layout_file_find(inode);
	struct layout *layout;

	if (file)
		TAILQ_FOREACH(layout, &file->list, of_file)
			if (layout->known && !layout->obj.revoked && layout->obj.client == client)
				return layout;
	return NULL;
}

struct layout *
layout_by_sid_locked(struct mds *mds, const struct client *client, const stateid4 *sid)
{
	struct state_obj *obj = state_lookup_locked(mds, client, sid);
	return obj && obj->cls == &layout_class ? (struct layout *)obj : NULL;
}

/*
 * A layout stateid's seqid may be older than ours, as requests go in parallel, but never newer, and never 0 (RFC 8881 12.5.3, 12.5.5.2.1.4;
 * PITFALLS A15).  One newer than ours is BAD_STATEID as for any stateid (8.2.4); the Linux client and server agree.
 */
nfsstat4
layout_check_seqid(uint32_t now, uint32_t got)
{
	if (got == 0)
		return NFS4ERR_BAD_STATEID;
	/* 0 is left out when counting, so a distance across the wrap is one too large: no matter. */
	uint32_t behind = now - got;
	if (behind > UINT32_MAX / 2)
		return NFS4ERR_BAD_STATEID;
	return behind <= VALID_SEQID_RANGE ? NFS4_OK : NFS4ERR_OLD_STATEID;
}

void
layout_drop_range_locked(struct layout *layout, struct range range, bool read, bool rw)
{
	if (rw) {
		if (layout->known)
			returned_add_locked(layout->holder->layouts, layout, range);
		ranges_sub(&layout->held.rw, range);
	}
	if (read) {
		ranges_sub(&layout->held.read, range);
		ranges_sub(&layout->held.holes, range);
	}
	recall_check_locked(layout);
}

void
layout_detach_locked(struct mds *mds, struct layout *layout)
{
	struct layout_file *file = layout->file;
	struct holder *holder = layout->holder;

	(void)mds;
	if (!file)
		return;
	recall_end_locked(layout);
	ranges_free(&layout->held.read);
	ranges_free(&layout->held.rw);
	ranges_free(&layout->held.holes);
	layout->gets.n = 0;
	layout->file = NULL;
	layout->holder = NULL;
	TAILQ_REMOVE(&file->list, layout, of_file);
	TAILQ_REMOVE(&holder->list, layout, of_holder);
	atomic_fetch_sub(&file->inode->layouts, 1);
	layout_file_put_locked(file);
	holder_put_locked(holder);
}

void
layout_free_locked(struct mds *mds, struct layout *layout)
{
	if (layout->known) {
		struct client *client = layout->obj.client;
		bool revoked = layout->obj.revoked;
		state_remove_locked(mds, &layout->obj, NULL);
		layout->known = false;
		if (revoked)
			fenced_forget_stateid_locked(mds, client);
	}
	layout_detach_locked(mds, layout);
	free(layout);
}

/* FREE_STATEID of a revoked one, or its client is taken down. */
static void
layout_release(struct mds *mds, struct state_obj *obj)
{
	struct layout *layout = (struct layout *)obj;

	if (layout->file && obj->revoked) {
		/* The blocks stay out of use until the fence is over. */
		struct client *client = obj->client;
		state_remove_locked(mds, obj, NULL);
		layout->known = false;
		obj->client = NULL;
		fenced_forget_stateid_locked(mds, client);
		return;
	}
	layout_free_locked(mds, layout);
}

const struct state_class layout_class = { .kind = STATE_LAYOUT, .release = layout_release };

/* ---- conflicts ---- */

/* Does CLIENT (NULL: local) hold it?  What is left of a client that was cut off is nobody's. */
static bool
layout_own(const struct layout *layout, const struct client *client)
{
	return client && layout->known && !layout->obj.revoked && layout->obj.client == client;
}

/*
 * Who waits longer goes first: a want holds off those that came after it, so that two who were refused do not refuse each other.  A BLOCKS
 * operation, which wants hold off never, holds off all.
 */
static bool
want_counts(const struct layout_file *file, unsigned i, unsigned own)
{
	return file->wants[i].need == LAYOUT_NEED_BLOCKS || i < own;
}

/* The place of CLIENT's own want in the queue; behind the last if it has none. */
static unsigned
want_own(const struct layout_file *file, uint64_t owner, enum layout_need need, struct range r)
{
	unsigned i = 0;

	while (i < file->nwants && (file->wants[i].owner != owner || file->wants[i].need != need ||
	    !range_overlap(file->wants[i].range, r)))
		i++;
	return i;
}

uint64_t
layout_obstacle_locked(const struct layout_file *file, const struct client *client, enum layout_need need, struct range r)
{
	const struct layout *layout;

	TAILQ_FOREACH(layout, &file->list, of_file) {
		r.end = conflict_first(&layout->held, layout_own(layout, client), need, r);
		/* Nothing is given in a range under recall, whoever asks (PITFALLS A18). */
		if (layout->recall.state != RECALL_NONE && range_overlap(layout->recall.range, r))
			r.end = layout->recall.range.start > r.start ? layout->recall.range.start : r.start;
	}
	unsigned own = want_own(file, client->id, need, r);
	for (unsigned i = 0; i < file->nwants; i++)
		if (want_counts(file, i, own))
			r.end = conflict_want_first(&file->wants[i], client->id, need, r);
	return r.end;
}

void
layout_recall_conflicts_locked(struct mds *mds, struct layout_file *file, const struct client *client,
    enum layout_need need, struct range r)
{
	struct layout *layout;

	TAILQ_FOREACH(layout, &file->list, of_file) {
		bool own = layout_own(layout, client);
		if (conflict_first(&layout->held, own, need, r) < r.end)
			recall_want_locked(mds, layout, conflict_recall(&layout->held, own, need, r), need == LAYOUT_NEED_BLOCKS);
	}
}

void
layout_want_locked(struct mds *mds, struct layout_file *file, uint64_t owner, enum layout_need need, struct range r)
{
	uint64_t now = mds_now_ms();
	uint64_t expires = now + (need == LAYOUT_NEED_BLOCKS ? WANT_BLOCKS_MS : WANT_MS);
	struct want *w = NULL;

	(void)mds;
	file_drop_wants_locked(file, now);
	unsigned own = want_own(file, owner, need, r);
	if (own < file->nwants)
		w = &file->wants[own];
	else if (file->nwants < LAYOUT_WANTS) {
		w = &file->wants[file->nwants++];
		*w = (struct want){ .owner = owner, .need = need, .range = r };
		atomic_fetch_add(&file->inode->layouts, 1);
	}
	if (!w) {
		/* A crowd: it only costs fairness if this one is not remembered, but a BLOCKS operation must get through. */
		if (need != LAYOUT_NEED_BLOCKS)
			return;
		w = &file->wants[LAYOUT_WANTS - 1];
		*w = (struct want){ .owner = owner, .need = need, .range = range_hull(w->range, r) };
	}
	w->range = range_hull(w->range, r);
	w->expires_ms = expires;
	w->met = false;
	file_wait_locked(file);
}

void
layout_want_met_locked(struct layout_file *file, uint64_t owner, enum layout_need need, struct range r)
{
	uint64_t now = mds_now_ms();

	for (unsigned i = 0; i < file->nwants; i++) {
		struct want *w = &file->wants[i];
		if (w->owner != owner || w->need != need || !range_overlap(w->range, r))
			continue;
		w->met = true;
		w->expires_ms = need == LAYOUT_NEED_BLOCKS ? now + WANT_MET_MS : now;
	}
	file_drop_wants_locked(file, now);
}

static bool
clear_locked(const struct layout_file *file, const struct client *client, enum layout_need need, struct range r)
{
	const struct layout *layout;

	TAILQ_FOREACH(layout, &file->list, of_file) {
		if (conflict_first(&layout->held, layout_own(layout, client), need, r) < r.end)
			return false;
	}
	return true;
}

/* What of the host's waits for the lease needs all of the file, whoever holds it. */
static void
way_widen(const struct inode *inode, enum layout_need *need, struct range *r)
{
	if (*need == LAYOUT_NEED_READ || !layout_writers_wait(inode))
		return;
	*need = LAYOUT_NEED_BLOCKS;
	*r = RANGE_ALL;
}

bool
layout_clear_locked(const struct inode *inode, const struct client *client, enum layout_need need, uint64_t offset,
    uint64_t length)
{
	const struct layout_file *file = layout_file_find(inode);
	struct range r = range_make(offset, length);

	way_widen(inode, &need, &r);
	return !file || clear_locked(file, client, need, r);
}

bool
layout_any(const struct inode *inode)
{
	return atomic_load(&inode->layouts) != 0;
}

nfsstat4
layout_make_way(struct mds *mds, struct inode *inode, struct client *client, enum layout_need need, uint64_t offset,
    uint64_t length)
{
	struct range r = range_align_out(range_make(offset, length), layout_unit(inode));
	bool send = false;

	if (!layout_any(inode) && need != LAYOUT_NEED_BLOCKS)
		return NFS4_OK;
	/* Holders of before a restart may still write their blocks, and are not known: none is freed before grace is over (12.7.4). */
	if (need == LAYOUT_NEED_BLOCKS && grace_active(mds))
		return NFS4ERR_GRACE;
	if (need == LAYOUT_NEED_BLOCKS && inode->export && export_holds_blocks(inode->export))
		return NFS4ERR_DELAY;
	way_widen(inode, &need, &r);
	pthread_mutex_lock(&mds->state_lock);
	struct layout_file *file = layout_file_find(inode);
	uint64_t owner = client ? client->id : 0;
	bool clear = !file || clear_locked(file, client, need, r);
	if (!clear) {
		layout_recall_conflicts_locked(mds, file, client, need, r);
		layout_want_locked(mds, file, owner, need, r);
		send = true;
	} else if (file) {
		layout_want_met_locked(file, owner, need, r);
	}
	if (clear && need == LAYOUT_NEED_BLOCKS)
		returned_forget_locked(mds->layouts, inode, NULL, r);
	pthread_mutex_unlock(&mds->state_lock);
	if (send)
		recalls_pump(mds);
	return clear ? NFS4_OK : NFS4ERR_DELAY;
}

void
layout_let_go(struct mds *mds, struct inode *inode)
{
	struct layout_lease *lease = NULL;

	if (!layout_writers_wait(inode) || !layout_any(inode))
		return;
	pthread_mutex_lock(&mds->state_lock);
	struct layout_file *file = layout_file_find(inode);
	if (file)
		lease = layout_file_unlease_locked(file);
	if (lease)
		file->busy++;
	pthread_mutex_unlock(&mds->state_lock);
	if (!lease)
		return;
	layout_file_unlease(file, lease);
	pthread_mutex_lock(&mds->state_lock);
	file->busy--;
	layout_file_put_locked(file);
	pthread_mutex_unlock(&mds->state_lock);
}

/* ---- ends ---- */

void
layout_closed(struct mds *mds, struct inode *inode, struct client *client)
{
	struct layout *layout;

	if (!layout_any(inode))
		return;
	pthread_mutex_lock(&mds->state_lock);
	layout = open_held_locked(inode, client, false) ? NULL : layout_find_locked(inode, client);
	if (layout)
		recall_want_locked(mds, layout, RANGE_ALL, false);
	pthread_mutex_unlock(&mds->state_lock);
	if (layout)
		recalls_pump(mds);
}

bool
layout_client_has_locked(const struct client *client)
{
	const struct state_obj *obj;

	TAILQ_FOREACH(obj, &client->states, of_client)
		if (obj->cls == &layout_class && !obj->revoked)
			return true;
	return false;
}

void
layout_refused(struct mds *mds, const struct inode *inode, enum reason why)
{
	struct layouts *layouts = mds->layouts;
	uint64_t now = mds_now_ms();
	bool tell;

	if ((unsigned)why >= REASON_COUNT)
		return;
	__atomic_fetch_add(&layouts->refused[why], 1, __ATOMIC_RELAXED);
	/* Conflicts are daily life; the rest is told, at most every ten seconds for each reason. */
	uint64_t last = __atomic_load_n(&layouts->refused_logged_ms[why], __ATOMIC_RELAXED);
	tell = why != REASON_RECALL_PENDING && why != REASON_NONE && (!last || now - last >= 10000) &&
	    __atomic_compare_exchange_n(&layouts->refused_logged_ms[why], &last, now, false, __ATOMIC_RELAXED,
		__ATOMIC_RELAXED);
	if (tell)
		log_info("no layout on inode %llu: %s (%llu so far)", (unsigned long long)inode->ino, reason_name(why),
		    (unsigned long long)__atomic_load_n(&layouts->refused[why], __ATOMIC_RELAXED));
}

uint64_t
layout_unit(const struct inode *inode)
{
	uint32_t block = inode->export ? inode->export->block_size : 0;
	return block > LAYOUT_UNIT ? block : LAYOUT_UNIT;
}

/* Wants that nobody came back for. */
void
layout_waiting_tick_locked(struct layouts *layouts, uint64_t now)
{
	struct layout_file *file, *next;

	for (file = TAILQ_FIRST(&layouts->waiting); file; file = next) {
		next = TAILQ_NEXT(file, of_waiting);
		file_drop_wants_locked(file, now);
		layout_file_put_locked(file);
	}
}
