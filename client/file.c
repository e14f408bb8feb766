/* fstat, truncate, fsync of an open file, and what of it went through the server; see file.h. */
#include "client/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/ioplan.h"
#include "client/mdsio.h"
#include "client/sync.h"

#define STATE_TRIES 3u

/* ---- GETATTR ---- */

struct attr_op {
	struct mds_req req;
	struct pnfs_file *file;
	struct stat *st;
	done_fn *done;
	void *arg;
	/* SETATTR */
	uint64_t size;
	unsigned tries;
};

static void
op_end(struct attr_op *op, int status)
{
	op->done(op->arg, status);
	free(op);
}

static void
getattr_build(struct mds_req *req, struct compound_call *c)
{
	struct attr_op *op = (struct attr_op *)req;
	compound_putfh(c, &op->file->node->fh);
	compound_getattr(c, &stat_mask);
}

static void
getattr_done(struct mds_req *req, int status, struct reply *reply)
{
	struct attr_op *op = (struct attr_op *)req;
	struct nfs_attrs attrs;
	if (!status)
		status = reply_op(reply, OP_PUTFH);
	if (!status)
		status = reply_getattr(reply, &attrs);
	if (!status) {
		node_update(op->file->node, &attrs);
		if (op->st) {
			stat_from_attrs(op->st, &attrs);
			op->st->st_size = (off_t)op->file->node->size;
		}
	}
	op_end(op, status);
}

static struct attr_op *
op_new(struct pnfs_file *file, done_fn *done, void *arg)
{
	struct attr_op *op = calloc(1, sizeof *op);
	if (!op) {
		done(arg, -ENOMEM);
		return NULL;
	}
	op->file = file;
	op->done = done;
	op->arg = arg;
	return op;
}

void
file_getattr(struct pnfs_file *file, struct stat *st, done_fn *done, void *arg)
{
	struct attr_op *op = op_new(file, done, arg);
	if (!op)
		return;
	op->st = st;
	op->req.build = getattr_build;
	op->req.done = getattr_done;
	mds_submit(&file->m->mds, &op->req);
}

struct fstat_args {
	struct pnfs_file *file;
	struct stat *st;
	uint64_t size;
};

static void
fstat_start(struct pnfs *m, void *args, struct sync *sync)
{
	struct fstat_args *a = args;
	(void)m;
	file_getattr(a->file, a->st, sync_done, sync);
}

int
pnfs_fstat(struct pnfs_file *file, struct stat *st)
{
	struct fstat_args args = { .file = file, .st = st };
	return sync_run(file->m, fstat_start, &args);
}

/* ---- SETATTR of the size ---- */

static void
setattr_build(struct mds_req *req, struct compound_call *c)
{
	struct attr_op *op = (struct attr_op *)req;
	struct nfs_attrs attrs = { .size = op->size };
	struct arena arena;
	SETATTR4args args = { .stateid = file_stateid(op->file) };
	arena_init(&arena, 0);
	attr_set(&attrs.mask, FATTR4_SIZE);
	if (!attrs_to_fattr4(&args.obj_attributes, &attrs, &arena))
		c->failed = true;
	compound_putfh(c, &op->file->node->fh);
	compound_call_op(c, OP_SETATTR, &args);
	compound_getattr(c, &stat_mask);
	arena_destroy(&arena);
}

static void
setattr_reopened(void *arg, int status)
{
	struct attr_op *op = arg;
	if (status)
		op_end(op, status);
	else
		mds_submit(&op->file->m->mds, &op->req);
}

static void
setattr_done(struct mds_req *req, int status, struct reply *reply)
{
	struct attr_op *op = (struct attr_op *)req;
	struct nfs_attrs attrs;
	if (!status)
		status = reply_op(reply, OP_PUTFH);
	if (!status)
		status = reply_op(reply, OP_SETATTR);
	if (status) {
		if (reply && status_is_state(reply->status) && op->tries++ < STATE_TRIES)
			file_reopen(op->file, setattr_reopened, op);
		else
			op_end(op, status);
		return;
	}
	op->file->node->size = op->file->node->told = op->size;
	if (reply_getattr(reply, &attrs) == 0)
		node_update(op->file->node, &attrs);
	op_end(op, 0);
}

static void
truncate_ready(void *arg, int status)
{
	struct attr_op *op = arg;
	if (status) {
		op_end(op, status);
		return;
	}
	op->req.build = setattr_build;
	op->req.done = setattr_done;
	op->req.flags = MDS_CACHE;
	mds_submit(&op->file->m->mds, &op->req);
}

static void
truncate_synced(void *arg, int status)
{
	struct attr_op *op = arg;
	struct node *node = op->file->node;
	if (status)
		op_end(op, status);
	else if (op->size < node->size || (node->layout.grow && node->size % IO_BLOCK))
		/* Blocks behind the new end, and the one the end is in, change: no layout may say what they were. */
		layout_return(node, 0, UINT64_MAX, truncate_ready, op);
	else
		truncate_ready(op, 0);
}

static void
truncate_committed(void *arg, int status)
{
	struct attr_op *op = arg;
	if (status)
		op_end(op, status);
	else
		mdsio_commit(op->file->node, truncate_synced, op);
}

void
file_truncate(struct pnfs_file *file, uint64_t size, done_fn *done, void *arg)
{
	struct attr_op *op = op_new(file, done, arg);
	if (!op)
		return;
	op->size = size;
	layout_commit(file->node, truncate_committed, op);
}

static void
truncate_start(struct pnfs *m, void *args, struct sync *sync)
{
	struct fstat_args *a = args;
	(void)m;
	file_truncate(a->file, a->size, sync_done, sync);
}

int
pnfs_ftruncate(struct pnfs_file *file, uint64_t size)
{
	struct fstat_args args = { .file = file, .size = size };
	if (size > INT64_MAX)
		return error_set(-EFBIG, NULL);
	return sync_run(file->m, truncate_start, &args);
}

/* ---- fsync ---- */

static void
fsync_end(void *arg, int status)
{
	struct attr_op *op = arg;
	struct pnfs_file *file = op->file;
	/* The error of an earlier write is told once. */
	if (file->error) {
		status = file->error;
		file->error = 0;
	}
	op_end(op, status);
}

static void
fsync_layout(void *arg, int status)
{
	struct attr_op *op = arg;
	if (status && !op->file->error)
		op->file->error = status;
	mdsio_commit(op->file->node, fsync_end, op);
}

void
file_fsync(struct pnfs_file *file, done_fn *done, void *arg)
{
	struct attr_op *op = op_new(file, done, arg);
	if (op)
		layout_commit(file->node, fsync_layout, op);
}

/* ---- what went through the server ---- */

void
file_fallback(struct pnfs_file *file, uint64_t offset, uint64_t length, enum reason reason)
{
	file->m->stats.fallbacks++;
	for (unsigned i = 0; i < file->nfallbacks; i++) {
		struct fallback *f = &file->fallbacks[i];
		if (f->reason != reason || offset > f->offset + f->length || f->offset > offset + length)
			continue;
		uint64_t end = f->offset + f->length > offset + length ? f->offset + f->length : offset + length;
		f->offset = f->offset < offset ? f->offset : offset;
		f->length = end - f->offset;
		return;
	}
	if (file->nfallbacks < FILE_MAX_FALLBACKS)
		file->fallbacks[file->nfallbacks++] =
		    (struct fallback){ .offset = offset, .length = length, .reason = reason };
}

struct fallbacks_args {
	struct pnfs_file *file;
	unsigned n;
	struct fallback list[FILE_MAX_FALLBACKS];
};

static void
fallbacks_copy(void *arg)
{
	struct fallbacks_args *a = arg;
	a->n = a->file->nfallbacks;
	memcpy(a->list, a->file->fallbacks, a->n * sizeof *a->list);
}

int
pnfs_fallbacks(struct pnfs_file *file, int (*fn)(const struct pnfs_fallback *fb, void *arg), void *arg)
{
	struct fallbacks_args args = { .file = file };
	int status = 0;
	if (loop_is_current(file->m->loop))
		fallbacks_copy(&args);
	else
		loop_call(file->m->loop, fallbacks_copy, &args);
	for (unsigned i = 0; i < args.n && !status; i++) {
		struct pnfs_fallback fb = { .offset = args.list[i].offset, .length = args.list[i].length,
			.reason = reason_name(args.list[i].reason) };
		status = fn(&fb, arg);
	}
	return status;
}
