/*
 * Layouts on their way back: recalled (RFC 8881 12.5.5, 20.3), before a truncation, at close, when their device is lost (RFC 8154 2.4.10.5);
 * and layouts the server has forgotten.  See layout.h.
 */
#include "client/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/file.h"
#include "client/io.h"
#include "client/map.h"
#include "include/log.h"
#include "proto/nfs4/status.h"

static void
drop_finish(struct layout_drop *drop, int status)
{
	struct node *node = drop->node;
	TAILQ_REMOVE(&node->layout.drops, drop, link);
	layout_map_unblock(&node->layout.map, &drop->block);
	if (drop->done)
		drop->done(drop->arg, status);
	free(drop);
	layout_drops_kick(node);
	layout_kick(node);
	node_put(node);
}

/* ---- LAYOUTRETURN ---- */

static void
return_build(struct mds_req *req, struct compound_call *c)
{
	struct layout_drop *drop = (struct layout_drop *)(void *)((char *)req - offsetof(struct layout_drop, req));
	const struct layout *layout = &drop->node->layout;
	LAYOUTRETURN4args args = {
		.lora_layout_type = layout->type,
		.lora_iomode = drop->which == LAYOUT_ANY ? LAYOUTIOMODE4_ANY :
		    drop->which == LAYOUT_RW_ONLY ? LAYOUTIOMODE4_RW : LAYOUTIOMODE4_READ,
		.lora_layoutreturn = { .lr_returntype = LAYOUTRETURN4_FILE },
	};
	layoutreturn_file4 *f = &args.lora_layoutreturn.layoutreturn4_u.lr_layout;
	f->lrf_offset = drop->block.offset;
	f->lrf_length = drop->block.end == UINT64_MAX ? UINT64_MAX : drop->block.end - drop->block.offset;
	f->lrf_stateid = layout->stateid;
	compound_putfh(c, &drop->node->fh);
	compound_call_op(c, OP_LAYOUTRETURN, &args);
}

static void
return_done(struct mds_req *req, int status, struct reply *reply)
{
	struct layout_drop *drop = (struct layout_drop *)(void *)((char *)req - offsetof(struct layout_drop, req));
	struct layout *layout = &drop->node->layout;
	if (!status) {
		drop->node->m->stats.layoutreturn++;
		status = reply_op(reply, OP_PUTFH);
	}
	if (!status)
		status = reply_op(reply, OP_LAYOUTRETURN);
	if (!status) {
		const layoutreturn_stateid *s = &reply->res.nfs_resop4_u.oplayoutreturn.LAYOUTRETURN4res_u.lorr_stateid;
		if (s->lrs_present) {
			layout_stateid(layout, &s->layoutreturn_stateid_u.lrs_stateid);
		} else {
			/* The server has no layout of ours on the file any more (RFC 8881 18.44.3). */
			layout->have_stateid = false;
			layout_map_remove(&layout->map, 0, UINT64_MAX, LAYOUT_ANY);
		}
	} else if (reply && reply->status == NFS4ERR_OLD_STATEID && layout->have_stateid) {
		mds_submit(&drop->node->m->mds, &drop->req);
		return;
	} else if (reply && status_is_state(reply->status)) {
		layout_lost(drop->node);
	}
	drop_finish(drop, 0);
}

/* ---- the steps ---- */

static void
drop_committed(void *arg, int status)
{
	(void)status;			/* told to the files */
	struct layout_drop *drop = arg;
	struct layout *layout = &drop->node->layout;
	uint64_t from = drop->block.offset, end = drop->block.end;
	drop->state = DROP_RETURN;
	/* Is anything of it held (blocked ranges count, so without the view)? */
	bool held = false;
	for (uint32_t i = 0; i < layout->map.n && !held; i++)
		held = layout->map.ext[i].e.offset < end &&
		    range_end(layout->map.ext[i].e.offset, layout->map.ext[i].e.length) > from;
	layout_map_remove(&layout->map, from, end, drop->which);
	layout->raced = true;
	if (drop->bulk || !layout->have_stateid || (!held && !drop->recalled)) {
		if (drop->bulk)
			layout->have_stateid = false;
		drop_finish(drop, 0);
		return;
	}
	drop->req.build = return_build;
	drop->req.done = return_done;
	drop->req.flags = MDS_CACHE;
	mds_submit(&drop->node->m->mds, &drop->req);
}

/* As far as it goes; true if it went on, and may be gone by now. */
static bool
drop_step(struct layout_drop *drop)
{
	struct layout *layout = &drop->node->layout;
	if (drop->state != DROP_DRAIN)
		return false;
	if (!drop->told) {
		drop->told = true;
		map_revoke(drop->node, drop->block.offset, drop->block.end, false);
	}
	if (layout_map_pinned(&layout->map, drop->block.offset, drop->block.end))
		return false;
	/* A recall must not wait for a LAYOUTGET, which may wait for the recall (RFC 8881 12.5.5.2.1.2). */
	if (layout->get && !drop->recalled)
		return false;
	drop->state = DROP_COMMIT;
	layout_commit(drop->node, drop_committed, drop);
	return true;
}

void
layout_drops_kick(struct node *node)
{
	struct layout_drop *drop;
	bool again = true;
	node_ref(node);
	while (again) {
		again = false;
		TAILQ_FOREACH(drop, &node->layout.drops, link)
			if (drop_step(drop)) {
				again = true;	/* others may have ended with it: from the start */
				break;
			}
	}
	node_put(node);
}

static void
kick_later(struct loop_work *work)
{
	struct node *node = (struct node *)(void *)((char *)work - offsetof(struct node, layout.kick));
	node->layout.kick_posted = false;
	layout_drops_kick(node);
	node_put(node);
}

/* In this turn of the loop, but not on this stack: a recall is answered before anything is done about it (RFC 8881 12.5.3). */
static void
kick_post(struct node *node)
{
	struct layout *layout = &node->layout;
	if (layout->kick_posted)
		return;
	layout->kick_posted = true;
	layout->kick.fn = kick_later;
	node_ref(node);
	loop_post(node->m->loop, &layout->kick);
}

static bool
drop_new(struct node *node, uint64_t offset, uint64_t end, enum layout_which which, bool recalled, bool bulk,
    done_fn *done, void *arg)
{
	struct layout_drop *drop = calloc(1, sizeof *drop);
	if (!drop)
		return false;
	drop->node = node_ref(node);
	drop->block.offset = offset;
	drop->block.end = end;
	drop->which = which;
	drop->recalled = recalled;
	drop->bulk = bulk;
	drop->done = done;
	drop->arg = arg;
	layout_map_block(&node->layout.map, &drop->block);
	TAILQ_INSERT_TAIL(&node->layout.drops, drop, link);
	kick_post(node);
	return true;
}

void
layout_return(struct node *node, uint64_t offset, uint64_t end, done_fn *done, void *arg)
{
	const struct layout *layout = &node->layout;
	bool nothing = !layout->have_stateid && !layout->get && !layout->dirty && !layout->commit &&
	    TAILQ_EMPTY(&layout->drops);
	if (nothing || !drop_new(node, offset, end, LAYOUT_ANY, false, false, done, arg))
		done(arg, nothing ? 0 : -ENOMEM);
}

void
layout_forget(struct node *node, done_fn *done, void *arg)
{
	if (!drop_new(node, 0, UINT64_MAX, LAYOUT_ANY, true, true, done, arg))
		done(arg, -ENOMEM);
}

/* Is what WHICH names of [OFFSET, END) on its way back, for a recall? */
static bool
recall_under_way(const struct layout *layout, uint64_t offset, uint64_t end, enum layout_which which)
{
	const struct layout_drop *drop;

	TAILQ_FOREACH(drop, &layout->drops, link)
		if (drop->recalled && !drop->bulk && drop->block.offset <= offset && drop->block.end >= end &&
		    (drop->which == LAYOUT_ANY || drop->which == which))
			return true;
	return false;
}

nfsstat4
layout_recall(struct node *node, layoutiomode4 iomode, uint64_t offset, uint64_t end, const stateid4 *stateid)
{
	struct layout *layout = &node->layout;
	bool same = layout->have_stateid && !memcmp(layout->stateid.other, stateid->other, sizeof stateid->other);
	enum layout_which which = iomode == LAYOUTIOMODE4_READ ? LAYOUT_READ_ONLY :
	    iomode == LAYOUTIOMODE4_RW ? LAYOUT_RW_ONLY : LAYOUT_ANY;
	/* Said again, as servers do until the layout is back: it is being done. */
	if (same && stateid->seqid == layout->stateid.seqid && recall_under_way(layout, offset, end, which))
		return NFS4_OK;
	node->m->stats.recalls++;
	node->size_stale = true;
	layout->contended_ns = lease_clock();
	/* A recall that is not the next step is about a LAYOUTGET whose answer is still on its way (12.5.5.2.1.2, case 1). */
	if (layout->get && (!same || stateid->seqid != layout->stateid.seqid + 1))
		return NFS4ERR_DELAY;
	if (!same)
		return NFS4ERR_NOMATCHING_LAYOUT;
	layout_stateid(layout, stateid);
	bool held = false;
	for (uint32_t i = 0; i < layout->map.n && !held; i++) {
		const struct map_extent *e = &layout->map.ext[i];
		held = e->e.offset < end && range_end(e->e.offset, e->e.length) > offset &&
		    (which == LAYOUT_ANY || (which == LAYOUT_RW_ONLY) == e->rw);
	}
	if (!held && !layout_map_pinned(&layout->map, offset, end) && TAILQ_EMPTY(&layout->drops))
		return NFS4ERR_NOMATCHING_LAYOUT;
	return drop_new(node, offset, end, which, true, false, NULL, NULL) ? NFS4_OK : NFS4ERR_DELAY;
}

void
layout_unpin(struct node *node, struct layout_pin *pin)
{
	layout_map_unpin(&node->layout.map, pin);
	if (!TAILQ_EMPTY(&node->layout.drops))
		layout_drops_kick(node);
	io_unblocked(node);
}

void
layout_lost(struct node *node)
{
	struct layout *layout = &node->layout;
	layout->epoch++;
	layout->have_stateid = false;
	layout->raced = true;
	layout_map_remove(&layout->map, 0, UINT64_MAX, LAYOUT_ANY);
	map_revoke(node, 0, UINT64_MAX, true);
}
