/*
 * LAYOUTGET (RFC 8881 18.43; RFC 8154 2.4.1, 2.7): what is asked for, the retries, and what comes; see layout.h.
 */
#include "client/layout.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/device.h"
#include "client/file.h"
#include "client/ioplan.h"
#include "include/log.h"
#include "proto/nfs4/status.h"

#define MS 1000000ull
#define SECOND 1000000000ull
#define MAX_COUNT (64u << 10)		/* bytes of a loc_body: 1,489 extents */
#define OFF_FIRST (SECOND / 4)		/* LAYOUTUNAVAILABLE holds for so long, doubled each time it comes again (RFC 8154 2.7) */
#define OFF_MAX (32 * SECOND)
#define JUST_RECALLED (2 * SECOND)
#define CONTENDED_TIME (5 * SECOND)
#define PATIENCE (3 * SECOND)		/* TRYLATER and RECALLCONFLICT, before the server does the I/O */
#define PATIENCE_REQUIRED (60 * SECOND)
#define PATIENCE_GRACE (150 * SECOND)

struct layout_getting {
	struct mds_req req;
	struct node *node;
	struct pnfs_file *file;
	uint64_t offset, length;
	bool write, by_layout;		/* the stateid is the layout's, not the open's */
	ev_timer timer;
	unsigned devices;		/* being resolved */
};

void
layout_init(struct layout *layout)
{
	memset(layout, 0, sizeof *layout);
	layout_map_init(&layout->map);
	TAILQ_INIT(&layout->waits);
	TAILQ_INIT(&layout->drops);
	TAILQ_INIT(&layout->commit_waiters);
}

void
layout_free(struct layout *layout)
{
	layout_map_free(&layout->map);
	free(layout->converted.range);
}

void
layout_types(struct node *node, const uint32_t *types, unsigned n)
{
	struct layout *layout = &node->layout;
	if (layout->type)
		return;
	for (unsigned i = 0; i < n && i < 4; i++) {
		if (types[i] == LAYOUT4_SCSI)
			layout->type = LAYOUT4_SCSI;
		else if (types[i] == LAYOUT4_BLOCK_VOLUME && !layout->type)
			layout->type = LAYOUT4_BLOCK_VOLUME;
	}
}

enum reason
layout_refused(const struct node *node)
{
	const struct layout *layout = &node->layout;
	if (node->m->direct == PNFS_DIRECT_NEVER || !layout->type ||
	    !(node->m->mds.exchange_flags & EXCHGID4_FLAG_USE_PNFS_MDS))
		return REASON_LAYOUTS_OFF;
	if (layout->off != REASON_NONE && lease_clock() < layout->off_ns)
		return layout->off;
	return REASON_NONE;
}

void
layout_stateid(struct layout *layout, const stateid4 *stateid)
{
	if (layout->have_stateid && !memcmp(layout->stateid.other, stateid->other, sizeof stateid->other) &&
	    (int32_t)(stateid->seqid - layout->stateid.seqid) <= 0)
		return;
	layout->stateid = *stateid;
	layout->have_stateid = true;
}

/* ---- those who wait ---- */

/* Has W what it wants at its first byte: an extent of a device that works, or a device that never will? */
static bool
satisfied(struct node *node, const struct layout_wait *w, enum reason *reason)
{
	const struct map_extent *e = layout_map_find(&node->layout.map, w->offset);
	*reason = REASON_NONE;
	if (!e || (w->write && !e->rw) || layout_map_blocked(&node->layout.map, w->offset, w->offset + 1))
		return false;
	return e->e.state == EXTENT_NONE || device_state(node->m, e->e.device, reason) != DEVICE_WAIT;
}

static void
wait_end(struct layout_wait *w, enum reason reason)
{
	TAILQ_REMOVE(&w->file->node->layout.waits, w, link);
	w->done(w->arg, 0, reason);
}

/* Tell all who can be told; with REASON all of them. */
static void
waits_check(struct node *node, enum reason reason)
{
	struct layout *layout = &node->layout;
	struct layout_wait *w, *next;
	node_ref(node);
	for (w = TAILQ_FIRST(&layout->waits); w; w = next) {
		enum reason why = reason;
		next = TAILQ_NEXT(w, link);
		if (reason != REASON_NONE || satisfied(node, w, &why))
			wait_end(w, why);
	}
	node_put(node);
}

/* All look again: something they went by has changed. */
static void
waits_wake(struct node *node)
{
	TAILQ_HEAD(, layout_wait) list;
	struct layout_wait *w;
	TAILQ_INIT(&list);
	TAILQ_CONCAT(&list, &node->layout.waits, link);
	while ((w = TAILQ_FIRST(&list))) {
		TAILQ_REMOVE(&list, w, link);
		w->done(w->arg, 0, REASON_NONE);
	}
}

void
layout_waits_expire(struct node *node, uint64_t deadline_ns)
{
	TAILQ_HEAD(, layout_wait) late;
	struct layout_wait *w, *next;
	TAILQ_INIT(&late);
	for (w = TAILQ_FIRST(&node->layout.waits); w; w = next) {
		next = TAILQ_NEXT(w, link);
		if (w->submitted_ns > deadline_ns)
			continue;
		TAILQ_REMOVE(&node->layout.waits, w, link);
		TAILQ_INSERT_TAIL(&late, w, link);
	}
	while ((w = TAILQ_FIRST(&late))) {
		TAILQ_REMOVE(&late, w, link);
		w->done(w->arg, -ETIMEDOUT, REASON_NONE);
	}
}

void
layout_get(struct layout_wait *w)
{
	struct node *node = w->file->node;
	w->since_ns = lease_clock();
	TAILQ_INSERT_TAIL(&node->layout.waits, w, link);
	layout_kick(node);
}

/* ---- asking ---- */

static void
get_build(struct mds_req *req, struct compound_call *c)
{
	struct layout_getting *get = (struct layout_getting *)req;
	struct layout *layout = &get->node->layout;
	LAYOUTGET4args args = {
		.loga_layout_type = layout->type,
		.loga_iomode = get->write ? LAYOUTIOMODE4_RW : LAYOUTIOMODE4_READ,
		.loga_offset = get->offset,
		.loga_length = get->length,
		.loga_minlength = IO_BLOCK,
		.loga_maxcount = MAX_COUNT,
	};
	/* The first by the open stateid, the others by the layout's (RFC 8881 12.5.2). */
	get->by_layout = layout->have_stateid;
	args.loga_stateid = get->by_layout ? layout->stateid : file_stateid(get->file);
	uint32_t room = get->node->m->mds.fore.ca_maxresponsesize;
	if (args.loga_maxcount > room - 1024)
		args.loga_maxcount = room - 1024;
	layout->raced = false;
	compound_putfh(c, &get->node->fh);
	compound_call_op(c, OP_LAYOUTGET, &args);
}

static void
get_finish(struct layout_getting *get, enum reason reason)
{
	struct node *node = get->node;
	node->layout.get = NULL;
	node->layout.get_file = NULL;
	free(get);
	waits_check(node, reason);
	layout_drops_kick(node);
	layout_kick(node);
	node_put(node);
}

static void
get_again(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	struct layout_getting *get = timer->data;
	/* The recall it waited for may have come meanwhile: then after that. */
	get_finish(get, REASON_NONE);
}

/* The oldest who waits has waited for long enough. */
static bool
patience_over(const struct layout_getting *get, nfsstat4 status)
{
	const struct layout_wait *w = TAILQ_FIRST(&get->node->layout.waits);
	uint64_t limit = status == NFS4ERR_GRACE ? PATIENCE_GRACE :
	    get->node->m->direct == PNFS_DIRECT_REQUIRE ? PATIENCE_REQUIRED : PATIENCE;
	return w && lease_clock() - w->since_ns > limit;
}

static void
get_retry(struct layout_getting *get, nfsstat4 status)
{
	if (patience_over(get, status)) {
		get_finish(get, status == NFS4ERR_GRACE ? REASON_GRACE :
		    status == NFS4ERR_LAYOUTUNAVAILABLE ? REASON_LAYOUTS_OFF : REASON_RECALL_PENDING);
		return;
	}
	get->node->layout.get_tries++;
	unsigned n = get->node->layout.get_tries < 8 ? get->node->layout.get_tries : 8;
	struct ev_loop *ev = loop_ev(get->node->m->loop);
	ev_timer_init(&get->timer, get_again, status == NFS4ERR_GRACE ? 0.5 : 0.005 * (1u << n), 0);
	get->timer.data = get;
	ev_now_update(ev);
	ev_timer_start(ev, &get->timer);
}

static void
get_reopened(void *arg, int status)
{
	struct layout_getting *get = arg;
	get_finish(get, status ? REASON_LAYOUTS_OFF : REASON_NONE);
}

static void
get_off(struct layout_getting *get, enum reason reason)
{
	struct layout *layout = &get->node->layout;
	layout->off = reason;
	layout->off_for = layout->off_for ? layout->off_for * 2 : OFF_FIRST;
	if (layout->off_for > OFF_MAX)
		layout->off_for = OFF_MAX;
	layout->off_ns = lease_clock() + layout->off_for;
	get_finish(get, reason);
}

/* LAYOUTGET failed (RFC 8881 18.43.3, RFC 8154 2.7). */
static void
get_failed(struct layout_getting *get, nfsstat4 status)
{
	struct node *node = get->node;
	switch (status) {
	case NFS4ERR_LAYOUTTRYLATER:
	case NFS4ERR_RECALLCONFLICT:
	case NFS4ERR_RETURNCONFLICT:
	case NFS4ERR_DELAY:
	case NFS4ERR_GRACE:
	case NFS4ERR_OLD_STATEID:
		get_retry(get, status);
		return;
	case NFS4ERR_NOSPC:
	case NFS4ERR_DQUOT:
		get_finish(get, REASON_NO_SPACE);
		return;
	default:
		break;
	}
	log_debug("LAYOUTGET: %s", nfs4_status_name(status));
	/* Whoever made the server recall it may be gone in a moment. */
	if (status == NFS4ERR_LAYOUTUNAVAILABLE && node->layout.contended_ns &&
	    lease_clock() - node->layout.contended_ns < JUST_RECALLED) {
		get_retry(get, status);
		return;
	}
	if (!status_is_state(status) || ++node->layout.state_tries > 2) {
		get_off(get, REASON_LAYOUTS_OFF);
	} else if (get->by_layout) {
		layout_lost(node);		/* the server knows of no layout: from the open stateid again */
		get_finish(get, REASON_NONE);
	} else {
		file_reopen(get->file, get_reopened, get);
	}
}

/* ---- what comes ---- */

/* Only what the RFCs allow (RFC 8154 2.4.1, PITFALLS A5, A6): in order, disjoint, in blocks, of a state the mode can have. */
static bool
extents_ok(const struct layout_extent *ext, uint32_t n, bool rw)
{
	uint64_t at = 0;
	for (uint32_t i = 0; i < n; i++) {
		const struct layout_extent *e = &ext[i];
		if (e->length == 0 || e->offset % 512 || e->length % 512 || e->addr % 512 ||
		    e->offset < at || e->length > UINT64_MAX - e->offset || e->addr > UINT64_MAX - e->length)
			return false;
		if (rw ? e->state != EXTENT_READ_WRITE && e->state != EXTENT_INVALID :
		    e->state != EXTENT_READ && e->state != EXTENT_NONE)
			return false;
		at = e->offset + e->length;
	}
	return true;
}

static void
device_done(void *arg, int status)
{
	(void)status;			/* device_state() tells */
	struct layout_getting *get = arg;
	if (--get->devices == 0)
		get_finish(get, REASON_NONE);
}

/* All devices of the extents are looked for before those who wait are told. */
static void
resolve_devices(struct layout_getting *get, const struct layout_extent *ext, uint32_t n)
{
	const uint8_t *last = NULL;
	get->devices = 1;
	for (uint32_t i = 0; i < n; i++) {
		if (ext[i].state == EXTENT_NONE || (last && !memcmp(last, ext[i].device, sizeof ext[i].device)))
			continue;
		last = ext[i].device;
		get->devices++;
		device_resolve(get->node->m, get->node->layout.type, last, &get->node->fsid, device_done, get);
	}
	device_done(get, 0);
}

static bool
take_segment(struct layout *layout, const layout4 *segment, struct arena *arena,
    struct layout_extent **ext, uint32_t *n)
{
	const layout_content4 *content = &segment->lo_content;
	bool rw = segment->lo_iomode == LAYOUTIOMODE4_RW;
	if (content->loc_type != layout->type ||
	    !layout_extents_decode(layout->type, content->loc_body.loc_body_val, content->loc_body.loc_body_len, arena, ext, n) ||
	    !extents_ok(*ext, *n, rw))
		return false;
	for (uint32_t i = 0; i < *n; i++)
		layout->grow |= rw && (*ext)[i].state == EXTENT_INVALID;
	return layout_map_insert(&layout->map, *ext, *n, rw) == 0;
}

static void
get_take(struct layout_getting *get, struct reply *reply)
{
	struct layout *layout = &get->node->layout;
	const LAYOUTGET4resok *ok = &reply->res.nfs_resop4_u.oplayoutget.LAYOUTGET4res_u.logr_resok4;
	struct layout_extent *ext = NULL;
	uint32_t n = 0;
	bool fine = ok->logr_layout.logr_layout_len > 0;
	layout_stateid(layout, &ok->logr_stateid);
	if (layout->raced) {
		/* A return crossed it; which of the two the server did last does not matter if nothing of this is used. */
		get_finish(get, REASON_NONE);
		return;
	}
	struct arena *arena = &get->node->m->mds.arena;
	for (u_int i = 0; fine && i < ok->logr_layout.logr_layout_len; i++)
		fine = take_segment(layout, &ok->logr_layout.logr_layout_val[i], arena, &ext, &n);
	if (!fine || n == 0) {
		log_warn("the server's layout is malformed, or has what its mode cannot have: not used");
		layout_map_remove(&layout->map, get->offset, UINT64_MAX, LAYOUT_ANY);
		get_off(get, REASON_IO_ERROR);
		return;
	}
	layout->get_tries = layout->state_tries = 0;
	layout->off_for = 0;
	/* The last segment's only; more than one is not seen from block servers (LINUX: one is used). */
	resolve_devices(get, ext, n);
}

static void
get_done(struct mds_req *req, int status, struct reply *reply)
{
	struct layout_getting *get = (struct layout_getting *)req;
	if (status) {
		/* Who began to wait later has some time left. */
		get_finish(get, status == -ETIMEDOUT ? REASON_NONE : REASON_IO_ERROR);
		return;
	}
	get->node->m->stats.layoutget++;
	status = reply_op(reply, OP_PUTFH);
	if (!status)
		status = reply_op(reply, OP_LAYOUTGET);
	if (status)
		get_failed(get, reply->status);
	else
		get_take(get, reply);
}

/* ---- what is asked for ---- */

static uint64_t
want_length(const struct node *node, const struct layout_wait *w, uint64_t offset)
{
	uint64_t end = range_end(w->offset, w->length), size = node->size;
	uint64_t limit = w->write && !node->layout.grow ? size - size % IO_BLOCK : size;
	end = end > UINT64_MAX - IO_BLOCK ? end : (end + IO_BLOCK - 1) / IO_BLOCK * IO_BLOCK;
	/* To the end of the file, unless others want parts of it. */
	bool contended = node->layout.contended_ns && lease_clock() - node->layout.contended_ns < CONTENDED_TIME;
	limit = (limit + IO_BLOCK - 1) / IO_BLOCK * IO_BLOCK;
	if (!contended && limit > end)
		end = limit;
	return end - offset;
}

/* What can be had depends on where the file ends, and somebody may have changed that: those who wait plan anew. */
static void
get_sized(void *arg, int status)
{
	struct layout_getting *get = arg;
	struct node *node = node_ref(get->node);
	if (status) {
		get_finish(get, status == -ETIMEDOUT ? REASON_NONE : REASON_IO_ERROR);
	} else {
		node->size_stale = false;
		node->layout.get = NULL;	/* none was sent */
		node->layout.get_file = NULL;
		free(get);
		waits_wake(node);
		layout_drops_kick(node);
		layout_kick(node);
		node_put(node);
	}
	node_put(node);
}

void
layout_kick(struct node *node)
{
	struct layout *layout = &node->layout;
	waits_check(node, layout_refused(node));
	struct layout_wait *w = TAILQ_FIRST(&layout->waits);
	if (!w || layout->get || !TAILQ_EMPTY(&layout->drops) || node->m->bulk)
		return;
	const struct map_extent *e = layout_map_find(&layout->map, w->offset);
	struct layout_getting *get = calloc(1, sizeof *get);
	if (!get) {
		waits_check(node, REASON_IO_ERROR);
		return;
	}
	get->node = node_ref(node);
	get->file = w->file;
	get->write = w->write;
	get->offset = w->offset - w->offset % IO_BLOCK;
	get->length = want_length(node, w, get->offset);
	get->req.build = get_build;
	get->req.done = get_done;
	get->req.flags = MDS_NO_DELAY;
	layout->get = get;
	layout->get_file = w->file;
	if (e && e->rw >= w->write && !layout_map_blocked(&layout->map, w->offset, w->offset + 1)) {
		/* Held, but its device is not there (any more): that first. */
		resolve_devices(get, &e->e, 1);
		return;
	}
	if (node->size_stale)
		file_getattr(w->file, NULL, get_sized, get);
	else
		mds_submit(&node->m->mds, &get->req);
}
