/*
 * LAYOUTCOMMIT (RFC 8881 18.42, 12.5.4; RFC 8154 2.4.2, 2.8): what was written to the device made known and durable; see layout.h.
 *
 * If the server no longer takes it (restart, fence, lost lease), what was written over data of our layout is in the file all the same, since each
 * write was answered while the layout was held: COMMIT makes it durable.  What was written into space that held no data is lost: -EIO.
 */
#include "client/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/file.h"
#include "client/ioplan.h"
#include "include/log.h"
#include "proto/nfs4/status.h"

#define RANGES_EACH 1000u		/* in one LAYOUTCOMMIT */
#define RANGES_MANY 4000u		/* not waiting for an fsync */
#define REQUEST_REST 1024u		/* of a LAYOUTCOMMIT, besides the ranges */

struct layout_commit {
	struct mds_req req;
	struct node *node;
	uint64_t ticket;
	uint64_t first, end;
	struct commit_ranges ranges;
	uint32_t at, step;
	bool reclaim;
	int status;
	done_fn *done;			/* reclaim only */
	void *arg;
};

/* ---- what is to be told ---- */

static uint64_t
commit_range_end(const struct commit_range *r)
{
	return r->r.offset + r->r.length;
}

/* May what is told of R and of [offset, end) on DEVICE be one range?  (Two devices never overlap: a block is on one of them.) */
static bool
joins(const struct commit_range *r, uint64_t offset, uint64_t end, const uint8_t *device)
{
	return r->r.offset <= end && commit_range_end(r) >= offset && !memcmp(r->device, device, sizeof r->device);
}

static bool
ranges_add(struct commit_ranges *r, uint64_t offset, uint64_t end, const uint8_t *device)
{
	struct commit_range add = { .r = { .offset = offset, .length = end - offset } };
	memcpy(add.device, device, sizeof add.device);	/* it may be of this very list */
	uint32_t i = r->n;
	while (i > 0 && (r->range[i - 1].r.offset >= offset || joins(&r->range[i - 1], offset, end, add.device)))
		i--;
	/* [i, j) touch or overlap it. */
	uint32_t j = i;
	for (; j < r->n && joins(&r->range[j], offset, end, add.device); j++) {
		uint64_t to = commit_range_end(&r->range[j]);
		offset = r->range[j].r.offset < offset ? r->range[j].r.offset : offset;
		end = to > end ? to : end;
	}
	if (j == i) {
		if (r->n == r->cap) {
			uint32_t cap = r->cap ? r->cap * 2 : 16;
			struct commit_range *range = realloc(r->range, cap * sizeof *range);
			if (!range)
				return false;
			r->range = range;
			r->cap = cap;
		}
		memmove(&r->range[i + 1], &r->range[i], (r->n - i) * sizeof *r->range);
		r->n++;
	} else {
		memmove(&r->range[i + 1], &r->range[j], (r->n - j) * sizeof *r->range);
		r->n -= j - i - 1;
	}
	add.r = (struct layout_range){ .offset = offset, .length = end - offset };
	r->range[i] = add;
	return true;
}

static void
dirty_add(struct layout *layout, uint64_t offset, uint64_t end)
{
	if (!layout->dirty) {
		layout->dirty = true;
		layout->dirty_first = offset;
		layout->dirty_end = end;
	}
	if (offset < layout->dirty_first)
		layout->dirty_first = offset;
	if (end > layout->dirty_end)
		layout->dirty_end = end;
}

/* What COMMIT has not told yet is still to be told. */
static void
commit_take_back(struct layout_commit *commit)
{
	struct node *node = commit->node;
	for (uint32_t i = commit->at; i < commit->ranges.n; i++) {
		const struct commit_range *r = &commit->ranges.range[i];
		if (!ranges_add(&node->layout.converted, r->r.offset, commit_range_end(r), r->device))
			node_error(node, -ENOMEM);
	}
	commit->at = commit->ranges.n = 0;
	dirty_add(&node->layout, commit->first, commit->end);
}

void
layout_dirty(struct node *node, uint64_t offset, uint64_t end)
{
	struct layout *layout = &node->layout;
	uint64_t at = offset;
	while (at < end) {
		const struct map_extent *e = layout_map_find(&layout->map, at);
		if (!e)
			break;
		uint64_t to = range_end(e->e.offset, e->e.length);
		to = to < end ? to : end;
		if (e->e.state == EXTENT_INVALID && !ranges_add(&layout->converted, at, to, e->e.device))
			node_error(node, -ENOMEM);
		at = to;
	}
	layout_map_written(&layout->map, offset, end);
	dirty_add(layout, offset, end);
	if (layout->converted.n > RANGES_MANY && !layout->commit)
		layout_commit(node, NULL, NULL);
}

uint64_t
layout_own_end(const struct node *node)
{
	const struct layout *layout = &node->layout;
	uint64_t own = layout->dirty ? layout->dirty_end : 0;
	return layout->commit && layout->commit->end > own ? layout->commit->end : own;
}

bool
layout_unsettled(const struct node *node, uint64_t offset, uint64_t end)
{
	const struct layout *layout = &node->layout;
	uint64_t from = offset - offset % IO_BLOCK, to = (end + IO_BLOCK - 1) / IO_BLOCK * IO_BLOCK;
	if (from == offset && to == end)
		return false;
	return (layout->dirty && layout->dirty_first < to && from < layout->dirty_end) ||
	    (layout->commit && layout->commit->first < to && from < layout->commit->end);
}

/* ---- the operation ---- */

/*
 * How many of the next ranges one LAYOUTCOMMIT names: those on one device (RFC 5663 2.3.2: each extent has its volume; the writer of
 * updates has one for all), and no more than a request has room for.
 */
static uint32_t
commit_step(const struct layout_commit *commit)
{
	const struct node *node = commit->node;
	const struct commit_range *r = commit->ranges.range + commit->at;
	uint32_t left = commit->ranges.n - commit->at, n = 0;
	uint32_t room = (node->m->mds.fore.ca_maxrequestsize - REQUEST_REST) / LAYOUT_EXTENT_SIZE;
	room = room < RANGES_EACH ? room : RANGES_EACH;
	while (n < left && n < room && (node->layout.type != LAYOUT4_BLOCK_VOLUME || !memcmp(r[n].device, r->device, sizeof r->device)))
		n++;
	return n;
}

static void
commit_build(struct mds_req *req, struct compound_call *c)
{
	struct layout_commit *commit = (struct layout_commit *)req;
	struct node *node = commit->node;
	struct layout *layout = &node->layout;
	commit->step = commit_step(commit);
	LAYOUTCOMMIT4args args = {
		.loca_offset = commit->first,
		.loca_length = commit->end - commit->first,
		.loca_reclaim = commit->reclaim,
		.loca_stateid = layout->stateid,
		.loca_last_write_offset = { .no_newoffset = true, .newoffset4_u.no_offset = commit->end - 1 },
		.loca_layoutupdate = { .lou_type = layout->type },
	};
	struct layout_range range[RANGES_EACH];
	uint8_t body[RANGES_EACH * LAYOUT_EXTENT_SIZE + 8];
	XDR xdrs;
	for (uint32_t i = 0; i < commit->step; i++)
		range[i] = commit->ranges.range[commit->at + i].r;
	ax_init(&xdrs, body, sizeof body, XDR_ENCODE, NULL);
	if (commit->step && !layout_update_encode(&xdrs, layout->type, commit->ranges.range[commit->at].device, range, commit->step))
		c->failed = true;
	args.loca_layoutupdate.lou_body.lou_body_val = (char *)body;
	args.loca_layoutupdate.lou_body.lou_body_len = ax_used(&xdrs);
	compound_putfh(c, &node->fh);
	compound_call_op(c, OP_LAYOUTCOMMIT, &args);
}

static void commit_next(struct node *node);

static void
commit_finish(struct layout_commit *commit)
{
	struct node *node = commit->node;
	struct layout *layout = &node->layout;
	uint64_t ticket = commit->ticket;
	int status = commit->status;
	layout->commit = NULL;
	free(commit->ranges.range);
	free(commit);
	if (status)
		node_error(node, status);
	waiters_end(&layout->commit_waiters, ticket, status);
	if (!layout->commit && !TAILQ_EMPTY(&layout->commit_waiters))
		commit_next(node);
	node_put(node);
}

/* ---- without a layout: durable by COMMIT, mtime by SETATTR ---- */

static void
inplace_build(struct mds_req *req, struct compound_call *c)
{
	struct layout_commit *commit = (struct layout_commit *)req;
	char buf[64];
	XDR xdrs;
	COMMIT4args args = { 0 };
	SETATTR4args set;
	struct nfs_attrs attrs = { .time_modify_set.set_it = SET_TO_SERVER_TIME4 };
	memset(&set, 0, sizeof set);
	compound_putfh(c, &commit->node->fh);
	compound_call_op(c, OP_COMMIT, &args);
	compound_getattr(c, &stat_mask);
	attr_set(&attrs.mask, FATTR4_TIME_MODIFY_SET);
	/* Attributes of a SETATTR are the bytes of a fattr4: by hand into a buffer, then raw. */
	ax_init(&xdrs, buf, sizeof buf, XDR_ENCODE, NULL);
	XDR *raw = attrs_encode(&xdrs, &attrs, &attrs.mask) ? compound_call_raw(c, OP_SETATTR) : NULL;
	if (!raw)
		return;
	c->failed |= !xdr_stateid4(raw, &set.stateid) || !ax_put_fixed(raw, buf, ax_used(&xdrs));
}

static void
inplace_done(struct mds_req *req, int status, struct reply *reply)
{
	struct layout_commit *commit = (struct layout_commit *)req;
	if (!status)
		status = reply_op(reply, OP_PUTFH);
	if (!status)
		status = reply_op(reply, OP_COMMIT);
	commit->node->m->stats.nfs_commit++;
	struct nfs_attrs attrs;
	/*
	 * What was written past the end of the file that the server knew stays behind it, since no LAYOUTCOMMIT moves that any more.  (If it knew
	 * more once, somebody has cut the file: that is no loss.)
	 */
	if (!status && commit->end > commit->node->told && reply_getattr(reply, &attrs) == 0 &&
	    attr_has(&attrs.mask, FATTR4_SIZE) && attrs.size < commit->end) {
		log_warn("LAYOUTCOMMIT was refused: data written past the end of the file is lost");
		status = -EIO;
	}
	commit->status = status ? -EIO : 0;
	commit_finish(commit);
}

static void
commit_refused(struct layout_commit *commit, const char *why)
{
	if (commit->ranges.n) {
		log_warn("LAYOUTCOMMIT: %s: data written into new space is lost", why);
		commit->status = -EIO;
		commit_finish(commit);
		return;
	}
	commit->req.build = inplace_build;
	commit->req.done = inplace_done;
	mds_submit(&commit->node->m->mds, &commit->req);
}

static void
commit_done(struct mds_req *req, int status, struct reply *reply)
{
	struct layout_commit *commit = (struct layout_commit *)req;
	struct node *node = commit->node;
	if (status) {			/* nobody knows whether it was done: the next commit tells it again */
		commit_take_back(commit);
		commit->status = status;
		commit_finish(commit);
		return;
	}
	node->m->stats.layoutcommit++;
	status = reply_op(reply, OP_PUTFH);
	if (!status)
		status = reply_op(reply, OP_LAYOUTCOMMIT);
	if (!status) {
		const newsize4 *size = &reply->res.nfs_resop4_u.oplayoutcommit.LAYOUTCOMMIT4res_u.locr_resok4.locr_newsize;
		if (commit->end > node->told)
			node->told = commit->end;
		if (size->ns_sizechanged && size->newsize4_u.ns_size > node->size)
			node->size = size->newsize4_u.ns_size;
		commit->at += commit->step;
		if (commit->at < commit->ranges.n)
			mds_submit(&node->m->mds, &commit->req);
		else
			commit_finish(commit);
		return;
	}
	if (reply->status == NFS4ERR_OLD_STATEID) {
		mds_submit(&node->m->mds, &commit->req);	/* built anew, by the newest */
		return;
	}
	if (status_is_state(reply->status))
		layout_lost(node);
	commit_refused(commit, nfs4_status_name(reply->status));
}

/* A snapshot of what is dirty. */
static struct layout_commit *
commit_new(struct node *node)
{
	struct layout *layout = &node->layout;
	struct layout_commit *commit = calloc(1, sizeof *commit);
	if (!commit)
		return NULL;
	commit->node = node_ref(node);
	commit->req.build = commit_build;
	commit->req.done = commit_done;
	commit->req.flags = MDS_CACHE;
	commit->first = layout->dirty_first;
	commit->end = layout->dirty_end;
	commit->ranges = layout->converted;
	commit->ticket = ++layout->commit_ticket;
	layout->converted = (struct commit_ranges){ 0 };
	layout->dirty = false;
	return commit;
}

static void
commit_next(struct node *node)
{
	struct layout *layout = &node->layout;
	if (!layout->dirty) {		/* told by reclaim meanwhile */
		waiters_end_all(&layout->commit_waiters, 0);
		return;
	}
	struct layout_commit *commit = commit_new(node);
	if (!commit) {
		node_error(node, -ENOMEM);
		waiters_end_all(&layout->commit_waiters, -ENOMEM);
		return;
	}
	layout->commit = commit;
	if (layout->have_stateid)
		mds_submit(&node->m->mds, &commit->req);
	else
		commit_refused(commit, "the layout is gone");
}

void
layout_commit(struct node *node, done_fn *done, void *arg)
{
	struct layout *layout = &node->layout;
	if (!layout->dirty && !layout->commit) {
		if (done)
			done(arg, 0);
		return;
	}
	uint64_t ticket = layout->dirty ? layout->commit_ticket + 1 : layout->commit->ticket;
	if (!waiter_add(&layout->commit_waiters, done, arg, ticket) && !layout->commit)
		commit_next(node);
}

/*
 * ---- after a restart of the server ----
 *
 * All that was written by a layout of before and is not committed yet is told by reclaim (RFC 8881 12.7.4, 18.42.3): space that held no
 * data, growth (which may have no range at all: a block that was held READ_WRITE, completed behind the end of the file), and overwrites, for the
 * sake of mtime.  If the server does not take it only the last are still in the file, to be made durable by COMMIT.
 */

static void
reclaim_end(struct layout_commit *commit)
{
	struct node *node = commit->node;
	done_fn *done = commit->done;
	void *arg = commit->arg;
	free(commit->ranges.range);
	free(commit);
	node_put(node);
	done(arg, 0);
}

static void
reclaim_refused(struct layout_commit *commit, const char *why)
{
	struct node *node = commit->node;
	if (commit->ranges.n || commit->end > node->told) {
		log_warn("LAYOUTCOMMIT by reclaim: %s: data written into new space or past the end of the file is lost", why);
		node_error(node, -EIO);
	}
	commit->ranges.n = commit->at = 0;
	commit_take_back(commit);
	reclaim_end(commit);
}

static void
reclaim_done(struct mds_req *req, int status, struct reply *reply)
{
	struct layout_commit *commit = (struct layout_commit *)req;
	struct node *node = commit->node;
	if (!status) {
		node->m->stats.layoutcommit++;
		status = reply_op(reply, OP_PUTFH);
	}
	if (!status)
		status = reply_op(reply, OP_LAYOUTCOMMIT);
	if (status) {
		reclaim_refused(commit, reply ? nfs4_status_name(reply->status) : strerror(-status));
		return;
	}
	commit->at += commit->step;
	if (commit->at < commit->ranges.n) {
		mds_submit(&node->m->mds, &commit->req);
		return;
	}
	if (commit->end > node->told)
		node->told = commit->end;
	reclaim_end(commit);
}

void
layout_commit_reclaim(struct node *node, done_fn *done, void *arg)
{
	struct layout *layout = &node->layout;
	/* What is under way will be refused as of a layout that is gone: it is told here. */
	if (layout->commit)
		commit_take_back(layout->commit);
	if (!layout->dirty) {
		done(arg, 0);
		return;
	}
	struct layout_commit *commit = commit_new(node);
	if (!commit) {
		node_error(node, -ENOMEM);
		done(arg, 0);
		return;
	}
	commit->ticket = --layout->commit_ticket;	/* nobody waits for this one */
	commit->reclaim = true;
	commit->req.done = reclaim_done;
	commit->req.flags = MDS_CACHE | MDS_PRIVILEGED;
	commit->done = done;
	commit->arg = arg;
	mds_submit(&node->m->mds, &commit->req);
}
