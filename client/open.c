/*
 * Opening, opening again and closing files (RFC 8881 18.16, 18.2); see file.h.  Each open file has an open-owner of its own, so that its stateid is too.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/file.h"
#include "client/mdsio.h"
#include "client/walk.h"
#include "include/log.h"
#include "proto/nfs4/status.h"

#define BIT(n) (1u << ((n) % 32))
static const struct attr_mask file_mask = { {
	BIT(FATTR4_TYPE) | BIT(FATTR4_CHANGE) | BIT(FATTR4_SIZE) | BIT(FATTR4_FSID) | BIT(FATTR4_FILEID) |
	    BIT(FATTR4_MAXREAD) | BIT(FATTR4_MAXWRITE),
	BIT(FATTR4_FS_LAYOUT_TYPES), 0 } };

stateid4
file_stateid(const struct pnfs_file *file)
{
	stateid4 stateid = file->stateid;
	stateid.seqid = 0;
	return stateid;
}

bool
status_is_state(nfsstat4 status)
{
	switch (status) {
	case NFS4ERR_BAD_STATEID:
	case NFS4ERR_OLD_STATEID:
	case NFS4ERR_STALE_STATEID:
	case NFS4ERR_EXPIRED:
	case NFS4ERR_ADMIN_REVOKED:
	case NFS4ERR_DELEG_REVOKED:
		return true;
	default:
		return false;
	}
}

static void
owner_set(struct pnfs_file *file, open_owner4 *owner, char name[32])
{
	snprintf(name, 32, "libpnfs-%u", file->owner);
	owner->clientid = file->m->mds.clientid;
	owner->owner.owner_len = (u_int)strlen(name);
	owner->owner.owner_val = name;
}

void
file_open_args(struct pnfs_file *file, struct compound_call *c, open_claim_type4 claim)
{
	char name[32];
	OPEN4args args;
	memset(&args, 0, sizeof args);
	args.share_access = file->access | OPEN4_SHARE_ACCESS_WANT_NO_DELEG;
	owner_set(file, &args.owner, name);
	args.claim.claim = claim;
	args.claim.open_claim4_u.delegate_type = OPEN_DELEGATE_NONE;
	compound_putfh(c, &file->node->fh);
	compound_call_op(c, OP_OPEN, &args);
	compound_getattr(c, &file_mask);
}

int
file_open_take(struct pnfs_file *file, struct reply *reply)
{
	struct nfs_attrs attrs;
	int status = reply_op(reply, OP_PUTFH);
	if (!status)
		status = reply_op(reply, OP_OPEN);
	if (status)
		return status;
	file->stateid = reply->res.nfs_resop4_u.opopen.OPEN4res_u.resok4.stateid;
	status = reply_getattr(reply, &attrs);
	/* The handle says which file; that it means the same one still is worth a look. */
	if (!status && (attrs.type != NF4REG || attrs.fileid != file->node->fileid))
		status = -ESTALE;
	if (!status)
		node_update(file->node, &attrs);
	return status;
}

/* ---- again ---- */

static void
reopen_build(struct mds_req *req, struct compound_call *c)
{
	struct pnfs_file *file = (struct pnfs_file *)(void *)((char *)req - offsetof(struct pnfs_file, reopen));
	file_open_args(file, c, CLAIM_FH);
}

static void
reopen_done(struct mds_req *req, int status, struct reply *reply)
{
	struct pnfs_file *file = (struct pnfs_file *)(void *)((char *)req - offsetof(struct pnfs_file, reopen));
	if (!status)
		status = file_open_take(file, reply);
	if (status && reply)
		log_warn("a file cannot be opened again: %s", nfs4_status_name(reply->status));
	if (status == -ESTALE || status == -ENOENT || status == -EACCES)
		file->dead = status;
	file->reopening = false;
	waiters_end_all(&file->reopen_waiters, status);
}

void
file_reopen(struct pnfs_file *file, done_fn *done, void *arg)
{
	if (file->dead) {
		done(arg, file->dead);
		return;
	}
	if (waiter_add(&file->reopen_waiters, done, arg, 0) || file->reopening)
		return;
	file->reopening = true;
	file->reopen.build = reopen_build;
	file->reopen.done = reopen_done;
	file->reopen.flags = MDS_CACHE;
	mds_submit(&file->m->mds, &file->reopen);
}

/* ---- the first time ---- */

struct open_op {
	struct mds_req req;
	struct walk walk;
	struct path path;
	const char *text;
	int flags;
	mode_t mode;
	struct pnfs_file *file;
	struct sync *sync;
	uint8_t verf[NFS4_VERIFIER_SIZE];
};

static void
file_free(struct pnfs_file *file)
{
	if (file->node) {
		LIST_REMOVE(file, node_link);
		LIST_REMOVE(file, link);
		node_put(file->node);
	}
	free(file);
}

static void
open_end(struct open_op *op, int status)
{
	if (status && op->file)
		file_free(op->file);
	sync_done(op->sync, status);
}

static void
how_set(const struct open_op *op, OPEN4args *args, struct arena *arena)
{
	struct nfs_attrs attrs = { .mode = op->mode & 07777 };
	createhow4 *how = &args->openhow.openflag4_u.how;
	attr_set(&attrs.mask, FATTR4_MODE);
	args->openhow.opentype = OPEN4_CREATE;
	if (op->flags & O_EXCL) {
		how->mode = EXCLUSIVE4_1;
		memcpy(how->createhow4_u.ch_createboth.cva_verf, op->verf, sizeof op->verf);
		attrs_to_fattr4(&how->createhow4_u.ch_createboth.cva_attrs, &attrs, arena);
	} else {
		how->mode = UNCHECKED4;
		attrs_to_fattr4(&how->createhow4_u.createattrs, &attrs, arena);
	}
}

static void
open_build(struct mds_req *req, struct compound_call *c)
{
	struct open_op *op = (struct open_op *)req;
	char name[32];
	struct arena arena;
	OPEN4args args;
	arena_init(&arena, 0);
	memset(&args, 0, sizeof args);
	args.share_access = op->file->access | OPEN4_SHARE_ACCESS_WANT_NO_DELEG;
	owner_set(op->file, &args.owner, name);
	if (op->flags & O_CREAT)
		how_set(op, &args, &arena);
	args.claim.claim = CLAIM_NULL;
	args.claim.open_claim4_u.file = compound_name(op->path.name[op->path.n - 1]);
	compound_putfh(c, &op->walk.fh);
	compound_call_op(c, OP_OPEN, &args);
	compound_call_op(c, OP_GETFH, NULL);
	compound_getattr(c, &file_mask);
	arena_destroy(&arena);
}

static void
open_truncated(void *arg, int status)
{
	struct open_op *op = arg;
	if (!status) {
		open_end(op, 0);
		return;
	}
	/* Open, but not as asked: closed again, in the background of the caller's error. */
	struct sync *sync = op->sync;
	sync->status = status;
	struct pnfs_file *file = op->file;
	op->file = NULL;
	file->error = status;
	file_close(file, sync_done, sync);
}

/* An open that turned out not to be of use: closed, nobody waits for it. */
struct undo_op {
	struct mds_req req;
	struct fh fh;
	stateid4 stateid;
};

static void
undo_build(struct mds_req *req, struct compound_call *c)
{
	struct undo_op *undo = (struct undo_op *)req;
	CLOSE4args args = { .open_stateid = undo->stateid };
	compound_putfh(c, &undo->fh);
	compound_call_op(c, OP_CLOSE, &args);
}

static void
undo_done(struct mds_req *req, int status, struct reply *reply)
{
	(void)status;
	(void)reply;
	free(req);
}

static void
open_undo(struct pnfs_file *file, const struct fh *fh)
{
	struct undo_op *undo = calloc(1, sizeof *undo);
	if (!undo)
		return;			/* the lease's end closes it */
	undo->fh = *fh;
	undo->stateid = file->stateid;
	undo->req.build = undo_build;
	undo->req.done = undo_done;
	undo->req.flags = MDS_CACHE;
	mds_submit(&file->m->mds, &undo->req);
}

static void
open_done(struct mds_req *req, int status, struct reply *reply)
{
	struct open_op *op = (struct open_op *)req;
	struct pnfs_file *file = op->file;
	struct nfs_attrs attrs;
	struct fh fh = { .len = 0 };
	if (!status)
		status = reply_op(reply, OP_PUTFH);
	if (!status) {
		status = reply_op(reply, OP_OPEN);
		if (reply->status == NFS4ERR_WRONG_TYPE)
			status = -EOPNOTSUPP;
	}
	if (!status)
		file->stateid = reply->res.nfs_resop4_u.opopen.OPEN4res_u.resok4.stateid;
	if (!status)
		status = reply_getfh(reply, &fh);
	if (!status)
		status = reply_getattr(reply, &attrs);
	if (!status && attrs.type != NF4REG)
		status = attrs.type == NF4DIR ? -EISDIR : attrs.type == NF4LNK ? -ELOOP : -EOPNOTSUPP;
	if (!status && !(file->node = node_get(file->m, &fh)))
		status = -ENOMEM;
	if (status) {
		if (fh.len)
			open_undo(file, &fh);
		open_end(op, status);
		return;
	}
	LIST_INSERT_HEAD(&file->node->files, file, node_link);
	LIST_INSERT_HEAD(&file->m->files, file, link);
	node_update(file->node, &attrs);
	if (op->flags & O_TRUNC && attrs.size)
		file_truncate(file, 0, open_truncated, op);
	else
		open_end(op, 0);
}

static void
open_walked(void *arg, int status)
{
	struct open_op *op = arg;
	if (status) {
		open_end(op, status);
		return;
	}
	op->req.build = open_build;
	op->req.done = open_done;
	op->req.flags = MDS_CACHE;
	mds_submit(&op->file->m->mds, &op->req);
}

static void
open_start(struct pnfs *m, void *args, struct sync *sync)
{
	struct open_op *op = args;
	op->sync = sync;
	int status = path_parse(&op->path, m->base, op->text);
	if (!status && op->path.n == 0)
		status = -EISDIR;
	op->file = status ? NULL : calloc(1, sizeof *op->file);
	if (!op->file) {
		sync_done(sync, status ? status : -ENOMEM);
		return;
	}
	int access = op->flags & O_ACCMODE;
	op->file->m = m;
	op->file->owner = ++m->next_owner;
	op->file->access = access == O_RDONLY ? OPEN4_SHARE_ACCESS_READ :
	    access == O_WRONLY ? OPEN4_SHARE_ACCESS_WRITE : OPEN4_SHARE_ACCESS_BOTH;
	if (op->flags & O_TRUNC)
		op->file->access |= OPEN4_SHARE_ACCESS_WRITE;
	TAILQ_INIT(&op->file->reopen_waiters);
	uint64_t now = lease_clock() ^ (uint64_t)op->file->owner << 48;
	memcpy(op->verf, &now, sizeof op->verf);
	walk_start(&op->walk, &m->mds, &m->root, &op->path, op->path.n - 1, NULL, open_walked, op);
}

int
pnfs_open(struct pnfs *mount, const char *path, int flags, mode_t mode, struct pnfs_file **file)
{
	struct open_op op = { .text = path, .flags = flags, .mode = mode };
	const int known = O_ACCMODE | O_CREAT | O_EXCL | O_TRUNC | O_CLOEXEC | O_LARGEFILE;
	if ((flags & O_ACCMODE) == O_ACCMODE || flags & ~known)
		return error_set(-EINVAL, "flags that are not known here: %#x", (unsigned)flags);
	int err = sync_run(mount, open_start, &op);
	if (!err)
		*file = op.file;
	return err;
}

/* ---- close ---- */

struct close_op {
	struct mds_req req;
	struct pnfs_file *file;
	int error;
	done_fn *done;
	void *arg;
};

static void
close_build(struct mds_req *req, struct compound_call *c)
{
	struct close_op *op = (struct close_op *)req;
	CLOSE4args args = { .open_stateid = file_stateid(op->file) };
	compound_putfh(c, &op->file->node->fh);
	compound_call_op(c, OP_CLOSE, &args);
}

static void close_returned(void *arg, int status);

static void
close_done(struct mds_req *req, int status, struct reply *reply)
{
	/* An open that the server no longer knows is closed too. */
	struct close_op *op = (struct close_op *)req;
	struct pnfs_file *file = op->file;
	struct kept *kept, *next;
	(void)reply;
	if (file->reopening) {
		/* Its state was revoked beside the CLOSE; the open that is on its way uses the file, and wants a CLOSE of its own. */
		file_reopen(file, close_returned, op);
		return;
	}
	if (status && !op->error)
		op->error = status;
	for (kept = TAILQ_FIRST(&file->node->kept); kept; kept = next) {
		next = TAILQ_NEXT(kept, link);
		if (kept->file != file)
			continue;
		TAILQ_REMOVE(&file->node->kept, kept, link);	/* only after an error */
		file->m->kept -= kept->len;
		free(kept);
	}
	if (file->error && !op->error)
		op->error = file->error;
	int error = op->error;
	done_fn *done = op->done;
	void *arg = op->arg;
	file_free(file);
	free(op);
	done(arg, error);
}

static void
close_returned(void *arg, int status)
{
	struct close_op *op = arg;
	(void)status;
	op->req.build = close_build;
	op->req.done = close_done;
	op->req.flags = MDS_CACHE;
	mds_submit(&op->file->m->mds, &op->req);
}

static void
close_synced(void *arg, int status)
{
	struct close_op *op = arg;
	struct node *node = op->file->node;
	const struct layout *layout = &node->layout;
	op->error = status;
	bool last = LIST_FIRST(&node->files) == op->file && !LIST_NEXT(op->file, node_link);
	/* A layout goes with the last open; one that was got by this open while others stay is not worth keeping either. */
	if (last || layout->get_file == op->file)
		layout_return(node, 0, UINT64_MAX, close_returned, op);
	else
		close_returned(op, 0);
}

void
file_idle(struct pnfs_file *file)
{
	struct close_op *op = file->closing;
	file->closing = NULL;
	if (op)
		file_fsync(file, close_synced, op);
}

void
file_close(struct pnfs_file *file, done_fn *done, void *arg)
{
	struct close_op *op = calloc(1, sizeof *op);
	if (!op) {
		done(arg, -ENOMEM);
		return;
	}
	op->file = file;
	op->done = done;
	op->arg = arg;
	file->closing = op;
	if (file->ios == 0)
		file_idle(file);
}

static void
close_start(struct pnfs *m, void *args, struct sync *sync)
{
	(void)m;
	file_close(args, sync_done, sync);
}

int
pnfs_close(struct pnfs_file *file)
{
	return sync_run(file->m, close_start, file);
}
