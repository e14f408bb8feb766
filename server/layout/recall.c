/*
 * The recall state machine (RFC 8881 12.5.5, 20.3).  A recall belongs to a layout: one client, one file.
 *
 *   WANTED -> SENT -> ANSWERED -> (LAYOUTRETURNs) -> NONE
 *                             -> WANTED         no LAYOUTRETURN yet: said again
 *                  -> PAUSED -> WANTED         DELAY, no answer, an answer that cannot be right
 *                  -> NONE                     NOMATCHING_LAYOUT: nothing is held there
 *   WANTED -> NO_PATH -> WANTED                no backchannel (PITFALLS C14)
 *
 * Whatever the state, at the deadline the client is cut off (holder.c).  No thread waits: answers come in callbacks, time passes in
 * layouts_tick().
 *
 * A recall that was answered NFS4_OK is said again until the layout is back, as knfsd does every 10 ms: the Linux client (6.1) commits what keeps a
 * segment in use only when it is called, and its flusher may be the one who waits - for a LAYOUTGET that the recall has us refuse.
 *
 * What is recalled is the range that is in the way, iomode ANY, and not the whole file: a client that works elsewhere in it keeps going.
 * (The Linux client returns all it has on the file when any of it is recalled, which is its choice.)
 */
#include "server/layout/layout_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "include/log.h"
#include "server/export/export.h"
#include "server/mds.h"
#include "server/state/client.h"

#define PAUSE_MIN_MS 100
#define PAUSE_MAX_MS 1000
/* After NOMATCHING with a LAYOUTGET possibly under way: time for its reply to be digested. */
#define NOMATCHING_PAUSE_MS 500
/* An answer to a callback is waited for this long before it is sent again. */
#define CB_TIMEOUT_MS 10000u

bool
recall_pending(const struct layout *layout, struct range range)
{
	return layout->recall.state != RECALL_NONE && range_overlap(layout->recall.range, range);
}

/* Move LAYOUT to STATE and to the list that belongs to it. */
static void
recall_set(struct layout *layout, enum recall_state state)
{
	struct layouts *layouts = layout->file->layouts;
	enum recall_state old = layout->recall.state;

	if (old == RECALL_WANTED)
		TAILQ_REMOVE(&layouts->to_send, layout, of_recalls);
	else if (old != RECALL_NONE)
		TAILQ_REMOVE(&layouts->recalls, layout, of_recalls);
	layout->recall.state = state;
	if (state == RECALL_WANTED)
		TAILQ_INSERT_TAIL(&layouts->to_send, layout, of_recalls);
	else if (state != RECALL_NONE)
		TAILQ_INSERT_TAIL(&layouts->recalls, layout, of_recalls);
	if (state != RECALL_NONE)
		layouts_kick_locked(layouts);
}

void
recall_end_locked(struct layout *layout)
{
	struct recall *recall = &layout->recall;

	if (recall->state == RECALL_NONE)
		return;
	if (recall->call)
		recall->call->layout = NULL;
	recall_set(layout, RECALL_NONE);
	*recall = (struct recall){ 0 };
}

void
recall_check_locked(struct layout *layout)
{
	const struct recall *recall = &layout->recall;

	/*
	 * 18.44.3 wants one more LAYOUTRETURN of the full recalled range even when all of it was returned in parts.  We do not
	 * insist, as knfsd does not: what counts is that nothing is held.
	 */
	if (recall->state != RECALL_NONE && !ranges_overlap(&layout->held.rw, recall->range) &&
	    !ranges_overlap(&layout->held.read, recall->range))
		recall_end_locked(layout);
}

void
recall_want_locked(struct mds *mds, struct layout *layout, struct range range, bool changed)
{
	struct recall *recall = &layout->recall;
	uint64_t now = mds_now_ms();

	/* Gone or cut off: nobody to ask; the fence frees it. */
	if (!layout->known || layout->obj.revoked)
		return;
	if (recall->state == RECALL_NONE) {
		recall->range = range;
		recall->changed = changed;
		mds->layouts->nrecalls++;
		recall_set(layout, RECALL_WANTED);
		return;
	}
	if (range_within(range, recall->range) && (recall->changed || !changed))
		return;
	/*
	 * More is wanted than was: say so.  The client gets at least half the time for it, but the deadline cannot be pushed on
	 * for ever by ever more.
	 */
	recall->range = range_hull(recall->range, range);
	recall->changed |= changed;
	if (recall->deadline_ms) {
		uint64_t half = now + mds->conf.recall_timeout * 500ull;
		if (half > recall->limit_ms)
			half = recall->limit_ms;
		if (recall->deadline_ms < half)
			recall->deadline_ms = half;
	}
	if (recall->state != RECALL_SENT)
		recall_set(layout, RECALL_WANTED);
}

/* Send it again later, each time a little later; in STATE until then. */
static void
recall_again(struct layout *layout, enum recall_state state, uint64_t now)
{
	struct recall *recall = &layout->recall;
	uint32_t ms = recall->pause_ms ? recall->pause_ms * 2 : PAUSE_MIN_MS;

	recall->pause_ms = ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : ms;
	recall->resend_ms = now + recall->pause_ms;
	recall_set(layout, state);
}

/* ---- sending ---- */

struct recall_message {
	nfs_cb_argop4 arg;
	uint8_t handle[FS_HANDLE_MAX];
	struct cb_refs refs;
	uint32_t timeout_ms;
};

static void
recall_fill(struct recall_message *msg, struct layout *layout)
{
	const struct inode *inode = layout->file->inode;
	const struct recall *recall = &layout->recall;
	CB_LAYOUTRECALL4args *args = &msg->arg.nfs_cb_argop4_u.opcblayoutrecall;
	layoutrecall_file4 *file = &args->clora_recall.layoutrecall4_u.lor_layout;

	memset(&msg->arg, 0, sizeof msg->arg);
	msg->arg.argop = OP_CB_LAYOUTRECALL;
	args->clora_type = (layouttype4)layout->holder->plug->type;	/* PITFALLS A16 */
	args->clora_iomode = LAYOUTIOMODE4_ANY;
	args->clora_changed = recall->changed;
	args->clora_recall.lor_recalltype = LAYOUTRECALL4_FILE;
	/* As GETFH gave it, byte for byte (PITFALLS A17). */
	memcpy(msg->handle, inode->handle, inode->handle_len);
	file->lor_fh.nfs_fh4_len = inode->handle_len;
	file->lor_fh.nfs_fh4_val = (char *)msg->handle;
	file->lor_offset = recall->range.start;
	file->lor_length = recall->range.end == UINT64_MAX ? UINT64_MAX : recall->range.end - recall->range.start;
	state_sid(&layout->obj, &file->lor_stateid);
	msg->refs = layout->gets;
}

/*
 * The stateid's seqid goes up with each recall (12.5.3), but the same recall sent again keeps it, or else a client that answered DELAY to the first
 * would see a gap and wait for a LAYOUTGET reply that never comes (12.5.5.2.1; knfsd's captures repeat it, too).
 */
static void
recall_number(struct layout *layout)
{
	struct recall *recall = &layout->recall;

	if (recall->seqid && recall->seqid == layout->obj.seqid &&
	    recall->sent.start == recall->range.start && recall->sent.end == recall->range.end)
		return;
	state_bump_locked(&layout->obj, NULL);
	recall->seqid = layout->obj.seqid;
	recall->sent = recall->range;
	recall->nomatching = false;
}

static void recall_done(struct mds *mds, void *arg, int status);

/* Make LAYOUT's callback ready; NULL: nothing to send now. */
static struct recall_call *
recall_prepare(struct mds *mds, struct layout *layout, struct recall_message *msg)
{
	struct recall *recall = &layout->recall;
	uint64_t now = mds_now_ms();

	if (!recall->deadline_ms) {
		recall->deadline_ms = now + mds->conf.recall_timeout * 1000ull;
		recall->limit_ms = now + mds->conf.recall_timeout * 2000ull;
	}
	if (!cb_path_locked(layout->obj.client)) {
		recall_set(layout, RECALL_NO_PATH);
		return NULL;
	}
	struct recall_call *call = malloc(sizeof *call);
	if (!call) {
		recall_again(layout, RECALL_PAUSED, now);
		return NULL;
	}
	cb_refs_prune_locked(mds, &layout->gets);
	recall_number(layout);
	recall_fill(msg, layout);
	uint64_t left = recall->deadline_ms > now ? recall->deadline_ms - now : 0;
	msg->timeout_ms = left < 1000 ? 1000 : left > CB_TIMEOUT_MS ? CB_TIMEOUT_MS : (uint32_t)left;
	call->layout = layout;
	call->client = client_get(layout->obj.client);
	recall->call = call;
	recall_set(layout, RECALL_SENT);
	return call;
}

void
recalls_pump(struct mds *mds)
{
	struct layouts *layouts = mds->layouts;
	struct recall_message msg;
	struct layout *layout;

	pthread_mutex_lock(&mds->state_lock);
	while ((layout = TAILQ_FIRST(&layouts->to_send))) {
		struct recall_call *call = recall_prepare(mds, layout, &msg);
		if (!call)
			continue;
		/* Once it is sent it may be answered and CALL freed: keep the client ourselves. */
		struct client *client = client_get(call->client);
		pthread_mutex_unlock(&mds->state_lock);
		cb_send(mds, client, &msg.arg, msg.refs.ref, msg.refs.n, msg.timeout_ms, recall_done, call);
		client_put(mds, client);
		pthread_mutex_lock(&mds->state_lock);
	}
	pthread_mutex_unlock(&mds->state_lock);
}

/* ---- answers ---- */

/* The client holds nothing of what the callback named. */
static void
recall_nothing_there(struct mds *mds, struct layout *layout)
{
	layout_drop_range_locked(layout, layout->recall.sent, true, true);
	if (layout->recall.state != RECALL_NONE) {
		/* More has come to be wanted since. */
		recall_set(layout, RECALL_WANTED);
	}
	if (layout_empty(layout))
		layout_free_locked(mds, layout);
}

/*
 * NOMATCHING_LAYOUT means "returned" (12.5.5.1), but only from a client that has seen all we granted: a LAYOUTGET reply still
 * under way would be a layout that it will find later.  Referring calls make a client wait for it; if the slot has not moved on all the
 * same (an idle client's does not), the recall is repeated once after a while, and then believed.
 */
static void
recall_nomatching(struct mds *mds, struct layout *layout, uint64_t now)
{
	cb_refs_prune_locked(mds, &layout->gets);
	if (layout->gets.n && !layout->recall.nomatching) {
		layout->recall.nomatching = true;
		layout->recall.resend_ms = now + NOMATCHING_PAUSE_MS;
		recall_set(layout, RECALL_PAUSED);
		return;
	}
	recall_nothing_there(mds, layout);
}

static void
recall_answer(struct mds *mds, struct layout *layout, int status)
{
	struct recall *recall = &layout->recall;
	uint64_t now = mds_now_ms();

	switch (status) {
	case NFS4_OK:
		if (range_within(recall->range, recall->sent))
			recall_again(layout, RECALL_ANSWERED, now);
		else
			recall_set(layout, RECALL_WANTED);
		return;
	case NFS4ERR_NOMATCHING_LAYOUT:
		recall_nomatching(mds, layout, now);
		return;
	case NFS4ERR_OLD_STATEID:
		/* To a repetition: the client dealt with it the first time, when it had nothing. */
		if (recall->nomatching) {
			recall_nothing_there(mds, layout);
			return;
		}
		/* It has seen a later seqid than this: number it anew. */
		recall->seqid = 0;
		recall_again(layout, RECALL_PAUSED, now);
		return;
	case -ENOTCONN:
		recall_set(layout, RECALL_NO_PATH);
		return;
	default:
		/* DELAY: ask again.  Anything else, and silence: the same, until the deadline. */
		if (status != NFS4ERR_DELAY && status != -ETIMEDOUT && status != -ECONNRESET)
			log_info("recall of inode %llu: client answers %d",
			    (unsigned long long)layout->file->inode->ino, status);
		recall_again(layout, RECALL_PAUSED, now);
		return;
	}
}

static void
recall_done(struct mds *mds, void *arg, int status)
{
	struct recall_call *call = arg;

	pthread_mutex_lock(&mds->state_lock);
	struct layout *layout = call->layout;
	if (layout) {
		layout->recall.call = NULL;
		recall_answer(mds, layout, status);
	}
	pthread_mutex_unlock(&mds->state_lock);
	client_put(mds, call->client);
	free(call);
	recalls_pump(mds);
}

/* ---- time and other events ---- */

void
recalls_tick_locked(struct mds *mds, uint64_t now)
{
	struct layout *layout, *next;

	for (layout = TAILQ_FIRST(&mds->layouts->recalls); layout; layout = next) {
		struct recall *recall = &layout->recall;
		next = TAILQ_NEXT(layout, of_recalls);
		if (recall->deadline_ms && now >= recall->deadline_ms) {
			holder_fence_locked(layout->holder);
			continue;
		}
		if (((recall->state == RECALL_PAUSED || recall->state == RECALL_ANSWERED) && now >= recall->resend_ms) ||
		    (recall->state == RECALL_NO_PATH && cb_path_locked(layout->obj.client)))
			recall_set(layout, RECALL_WANTED);
	}
}

static void
recall_path_up(struct mds *mds, struct client *client)
{
	struct layout *layout, *next;

	pthread_mutex_lock(&mds->state_lock);
	for (layout = TAILQ_FIRST(&mds->layouts->recalls); layout; layout = next) {
		next = TAILQ_NEXT(layout, of_recalls);
		if (layout->obj.client == client &&
		    (layout->recall.state == RECALL_NO_PATH || layout->recall.state == RECALL_PAUSED))
			recall_set(layout, RECALL_WANTED);
	}
	pthread_mutex_unlock(&mds->state_lock);
	recalls_pump(mds);
}

/* A local process waits for the file: all layouts on it are wanted back, then the lease is given up. */
static void
recall_on_break(struct mds *mds, struct inode *inode)
{
	struct layout *layout;

	pthread_mutex_lock(&mds->state_lock);
	struct layout_file *file = layout_file_find(inode);
	if (file) {
		file->broken = true;
		TAILQ_FOREACH(layout, &file->list, of_file)
			recall_want_locked(mds, layout, RANGE_ALL, true);
		/* Nothing out (any more): the lease goes at once, unless a LAYOUTGET is at it, which will see "broken". */
		layout_file_put_locked(file);
	}
	pthread_mutex_unlock(&mds->state_lock);
	recalls_pump(mds);
}

void
recalls_init(void)
{
	cb_path_up = recall_path_up;
	export_on_break = recall_on_break;
}
