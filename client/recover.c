/*
 * What a lost client ID, revoked state and a renewed lease mean to the files of a mount: the hooks of the session engine (mds.h).
 * RFC 8881 8.4.2 (reclaim), 12.7.4 (layouts), 18.46.3 (status flags), 18.48 (TEST_STATEID).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/callback.h"
#include "client/device.h"
#include "client/file.h"
#include "client/io.h"
#include "client/map.h"
#include "include/log.h"
#include "proto/nfs4/status.h"

/* ---- a new client ID: opens, then layouts, then RECLAIM_COMPLETE ---- */

struct recover {
	struct mds_req req;
	struct pnfs *m;
	uint32_t owner;			/* the file being reclaimed: all with a greater number are done */
	unsigned failed;		/* opens to be made anew later */
};

static void recover_next(struct recover *r);

static struct pnfs_file *
file_of(struct pnfs *m, uint32_t owner)
{
	struct pnfs_file *file;
	LIST_FOREACH(file, &m->files, link)
		if (file->owner == owner)
			return file;
	return NULL;
}

static void
open_build(struct mds_req *req, struct compound_call *c)
{
	struct recover *r = (struct recover *)req;
	struct pnfs_file *file = file_of(r->m, r->owner);
	if (file)
		file_open_args(file, c, CLAIM_PREVIOUS);
}

static void
open_done(struct mds_req *req, int status, struct reply *reply)
{
	struct recover *r = (struct recover *)req;
	struct pnfs_file *file = file_of(r->m, r->owner);
	if (file) {
		if (!status)
			status = file_open_take(file, reply);
		if (status)
			log_info("OPEN by CLAIM_PREVIOUS: %s", reply ? nfs4_status_name(reply->status) : strerror(-status));
		/* NO_GRACE, RECLAIM_BAD...: opened again, by handle, when the server takes that. */
		file->lost = status != 0;
		r->failed += status != 0;
	}
	recover_next(r);
}

static void
complete_build(struct mds_req *req, struct compound_call *c)
{
	RECLAIM_COMPLETE4args args = { .rca_one_fs = false };
	(void)req;
	compound_call_op(c, OP_RECLAIM_COMPLETE, &args);
}

static void
reopened(void *arg, int status)
{
	(void)arg;
	(void)status;			/* marked in the file, and tried again by whoever uses it */
}

static void
complete_done(struct mds_req *req, int status, struct reply *reply)
{
	struct recover *r = (struct recover *)req;
	struct pnfs *m = r->m;
	struct pnfs_file *file, *next;
	(void)status;
	(void)reply;			/* COMPLETE_ALREADY is fine too */
	m->recover = NULL;
	free(r);
	mds_reclaimed(&m->mds);
	for (file = LIST_FIRST(&m->files); file && m->mds.state == MDS_UP; file = next) {
		next = LIST_NEXT(file, link);
		if (file->lost) {
			file->lost = false;
			file_reopen(file, reopened, NULL);
		}
	}
}

static void
layout_reclaimed(void *arg, int status)
{
	(void)status;
	recover_next(arg);
}

static void
recover_next(struct recover *r)
{
	struct pnfs *m = r->m;
	struct pnfs_file *file, *best = NULL;
	struct node *node, *tmp;
	LIST_FOREACH(file, &m->files, link)
		if (file->owner < r->owner && (!best || file->owner > best->owner))
			best = file;
	if (best) {
		r->owner = best->owner;
		r->req.build = open_build;
		r->req.done = open_done;
		mds_submit(&m->mds, &r->req);
		return;
	}
	r->owner = 0;
	HASH_ITER(hh, m->nodes, node, tmp)
		if (node->layout.reclaim) {
			node->layout.reclaim = false;
			layout_commit_reclaim(node, layout_reclaimed, r);
			return;
		}
	r->req.build = complete_build;
	r->req.done = complete_done;
	mds_submit(&m->mds, &r->req);
}

static void
hook_reclaim(struct mds *mds)
{
	struct pnfs *m = mds->owner;
	struct recover *r = calloc(1, sizeof *r);
	struct node *node, *tmp;
	/* First of all nothing goes by the old layouts any more (RFC 8881 12.7.4). */
	HASH_ITER(hh, m->nodes, node, tmp) {
		layout_lost(node);
		node->layout.reclaim = true;
		node->size_stale = true;
	}
	devices_forget(m, NULL);
	if (!r) {
		mds_reclaimed(mds);
		return;
	}
	m->recover = r;
	r->m = m;
	r->owner = UINT32_MAX;
	r->req.flags = MDS_PRIVILEGED | MDS_CACHE;
	recover_next(r);
}

static void
hook_started(struct mds *mds, int status)
{
	mount_started(mds->owner, status);
}

/* ---- state revoked: which? ---- */

#define TEST_MAX 4096u			/* layouts first: they matter most */

struct tested {
	stateid4 stateid;
	uint32_t owner;			/* of an open; 0: a layout */
	struct fh fh;
};

struct test_op {
	struct mds_req req;
	struct pnfs *m;
	uint32_t n;
	stateid4 ids[TEST_MAX];
	struct tested list[TEST_MAX];
};

static void
test_build(struct mds_req *req, struct compound_call *c)
{
	struct test_op *op = (struct test_op *)req;
	TEST_STATEID4args args = { .ts_stateids = { .ts_stateids_len = op->n, .ts_stateids_val = op->ids } };
	for (uint32_t i = 0; i < op->n; i++)
		op->ids[i] = op->list[i].stateid;
	compound_call_op(c, OP_TEST_STATEID, &args);
}

struct free_op {
	struct mds_req req;
	struct pnfs *m;
	stateid4 stateid;
};

static void
free_build(struct mds_req *req, struct compound_call *c)
{
	FREE_STATEID4args args = { .fsa_stateid = ((struct free_op *)req)->stateid };
	compound_call_op(c, OP_FREE_STATEID, &args);
}

/* All that was found is acknowledged: the next answer says whether the server is content. */
static void
round_end(struct pnfs *m)
{
	m->tested_ns = lease_clock();
	if (!mds_lease_valid(&m->mds))
		mds_renew(&m->mds);
}

static void
free_done(struct mds_req *req, int status, struct reply *reply)
{
	struct pnfs *m = ((struct free_op *)req)->m;
	(void)status;
	(void)reply;
	free(req);
	if (--m->freeing == 0)
		round_end(m);
}

/* It is acknowledged, so that the server stops saying so (RFC 8881 18.38); the file is opened again by its handle. */
static void
state_gone(struct pnfs *m, const struct tested *t)
{
	struct node *node = t->owner ? NULL : node_find(m, t->fh.data, t->fh.len);
	struct pnfs_file *file = t->owner ? file_of(m, t->owner) : NULL;
	struct free_op *op = calloc(1, sizeof *op);
	log_warn("the server has revoked %s", t->owner ? "an open" : "a layout");
	if (op) {
		op->m = m;
		op->stateid = t->stateid;
		op->req.build = free_build;
		op->req.done = free_done;
		m->freeing++;
		mds_submit(&m->mds, &op->req);
	}
	if (node && node->layout.have_stateid && !memcmp(node->layout.stateid.other, t->stateid.other, sizeof t->stateid.other))
		layout_lost(node);
	/* (Somebody who was refused may have opened it again meanwhile.) */
	if (file && !memcmp(file->stateid.other, t->stateid.other, sizeof t->stateid.other))
		file_reopen(file, reopened, NULL);
}

static void
test_done(struct mds_req *req, int status, struct reply *reply)
{
	struct test_op *op = (struct test_op *)req;
	struct pnfs *m = op->m;
	bool found = false;
	if (!status)
		status = reply_op(reply, OP_TEST_STATEID);
	const TEST_STATEID4resok *ok = status ? NULL :
	    &reply->res.nfs_resop4_u.optest_stateid.TEST_STATEID4res_u.tsr_resok4;
	m->testing = false;
	m->freeing++;			/* this round, as long as it is gone through */
	for (uint32_t i = 0; ok && i < op->n && i < ok->tsr_status_codes.tsr_status_codes_len; i++) {
		nfsstat4 s = ok->tsr_status_codes.tsr_status_codes_val[i];
		if (s != NFS4_OK && s != NFS4ERR_OLD_STATEID) {
			found = true;
			state_gone(m, &op->list[i]);
		}
	}
	free(op);
	m->tested_vain = !found;
	if (--m->freeing == 0)
		round_end(m);
	io_renewed(m);			/* direct I/O waited for this */
}

static void
test_states(struct pnfs *m)
{
	struct test_op *op = calloc(1, sizeof *op);
	struct pnfs_file *file;
	struct node *node, *tmp;
	if (!op)
		return;
	op->m = m;
	HASH_ITER(hh, m->nodes, node, tmp)
		if (node->layout.have_stateid && op->n < TEST_MAX)
			op->list[op->n++] = (struct tested){ .stateid = node->layout.stateid, .fh = node->fh };
	LIST_FOREACH(file, &m->files, link)
		if (op->n < TEST_MAX)
			op->list[op->n++] = (struct tested){ .stateid = file->stateid, .owner = file->owner };
	if (op->n == 0) {
		free(op);
		m->tested_vain = true;
		round_end(m);
		return;
	}
	m->testing = true;
	op->req.build = test_build;
	op->req.done = test_done;
	mds_submit(&m->mds, &op->req);
}

#define AGAIN_TIME 1000000000ull	/* a flag that stays though nothing was found: not tested for with each answer */
#define DEVID_TIME_MAX (64 * AGAIN_TIME)

/* Some state is gone, the server does not say which. */
static void
some_revoked(struct pnfs *m)
{
	if (m->testing || m->freeing)
		return;
	if (m->tested_ns && m->tested_vain && lease_clock() - m->tested_ns < AGAIN_TIME)
		return;
	test_states(m);
}

/*
 * The lease ran out and all state is gone.  Layouts are void at once (RFC 8881 12.7.2).  The stateids are tested before they are freed, so that each file is opened
 * again once.  If the flag stays after all of them were freed, it is about something we know nothing of: a new client ID.
 */
static void
all_revoked(struct pnfs *m)
{
	struct node *node, *tmp;
	if (!m->expired) {
		log_warn("the server has revoked all opens and layouts: the lease ran out");
		m->expired = true;
		m->tested_ns = 0;
		some_revoked(m);	/* takes down which stateids there are */
		HASH_ITER(hh, m->nodes, node, tmp)
			layout_lost(node);
	} else if (m->tested_ns && !m->testing && !m->freeing && lease_clock() - m->tested_ns > AGAIN_TIME) {
		log_warn("the server goes on to say so: as a new client");
		m->tested_ns = 0;
		mds_renounce(&m->mds);
	}
}

static void
devids_changed(struct pnfs *m, bool deleted)
{
	uint64_t now = lease_clock();
	/* The flag stays until the right device was asked for, which need not be one of those we know. */
	if (m->devid_ns && now - m->devid_ns < m->devid_for)
		return;
	m->devid_for = !m->devid_ns ? AGAIN_TIME : m->devid_for < DEVID_TIME_MAX ? m->devid_for * 2 : DEVID_TIME_MAX;
	m->devid_ns = now;
	devices_changed(m, deleted);
}

static void
hook_revoked(struct mds *mds, uint32_t flags)
{
	const uint32_t devids = SEQ4_STATUS_DEVID_CHANGED | SEQ4_STATUS_DEVID_DELETED;
	struct pnfs *m = mds->owner;
	if (flags & SEQ4_STATUS_EXPIRED_ALL_STATE_REVOKED) {
		all_revoked(m);
	} else {
		m->expired = false;
		/* With LEASE_MOVED too: what is not here any more is told by its stateid, then by NFS4ERR_MOVED.  This client follows to no other server. */
		if (flags & ~devids)
			some_revoked(m);
		else
			m->tested_ns = 0;
	}
	if (flags & devids)
		devids_changed(m, flags & SEQ4_STATUS_DEVID_DELETED);
	else
		m->devid_ns = 0;
}

static void
hook_renewed(struct mds *mds)
{
	io_renewed(mds->owner);
}

static void
hook_expired(struct mds *mds)
{
	struct pnfs *m = mds->owner;
	map_expired(m);
	for (unsigned i = 0; i < m->nbdevs; i++)
		if (m->bdevs[i].bdev && m->bdevs[i].up)
			bdev_expire(m->bdevs[i].bdev);
}

static void
hook_timeout(struct mds *mds, uint64_t deadline_ns)
{
	io_expire(mds->owner, deadline_ns);
}

const struct mds_hooks mount_hooks = {
	.started = hook_started,
	.reclaim = hook_reclaim,
	.revoked = hook_revoked,
	.callback = mount_callback,
	.renewed = hook_renewed,
	.expired = hook_expired,
	.timeout = hook_timeout,
};
