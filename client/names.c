/* Names: stat, mkdir, unlink, rename, readlink (RFC 8881 18.9, 18.4, 18.25, 18.26, 18.24); see include/pnfs/pnfs.h. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "client/mount.h"
#include "client/walk.h"

struct name_op {
	struct mds_req req;
	struct walk walk;
	struct path path, to;
	const char *text, *to_text;
	struct fh dir;			/* rename: the first directory */
	mode_t mode;
	struct stat *st;
	char *buf;
	size_t size;
	int result;
	struct pnfs *m;
	struct sync *sync;
};

/* Parse and walk to all but the last LESS names. */
static void
op_walk(struct name_op *op, unsigned less, struct stat *st, done_fn *done)
{
	int err = path_parse(&op->path, op->m->base, op->text);
	if (!err && op->path.n < less)
		err = -EBUSY;		/* the root has no name */
	if (err)
		sync_done(op->sync, err);
	else
		walk_start(&op->walk, &op->m->mds, &op->m->root, &op->path, op->path.n - less, st, done, op);
}

static const char *
last_name(const struct path *path)
{
	return path->name[path->n - 1];
}

static void
op_send(struct name_op *op, mds_build_fn *build, mds_done_fn *done, unsigned flags)
{
	op->req.build = build;
	op->req.done = done;
	op->req.flags = flags;
	mds_submit(&op->m->mds, &op->req);
}

static void
op_init(struct name_op *op, struct pnfs *m, struct sync *sync)
{
	op->m = m;
	op->sync = sync;
}

/* ---- stat ---- */

static void
stat_walked(void *arg, int status)
{
	struct name_op *op = arg;
	sync_done(op->sync, status);
}

static void
stat_start(struct pnfs *m, void *args, struct sync *sync)
{
	struct name_op *op = args;
	op_init(op, m, sync);
	op_walk(op, 0, op->st, stat_walked);
}

int
pnfs_stat(struct pnfs *mount, const char *path, struct stat *st)
{
	struct name_op op = { .text = path, .st = st };
	return sync_run(mount, stat_start, &op);
}

/* ---- mkdir ---- */

static void
mkdir_build(struct mds_req *req, struct compound_call *c)
{
	struct name_op *op = (struct name_op *)req;
	struct nfs_attrs attrs = { .mode = op->mode & 07777 };
	struct arena arena;
	CREATE4args args = { .objtype = { .type = NF4DIR }, .objname = compound_name(last_name(&op->path)) };
	arena_init(&arena, 0);
	attr_set(&attrs.mask, FATTR4_MODE);
	if (!attrs_to_fattr4(&args.createattrs, &attrs, &arena))
		c->failed = true;
	compound_putfh(c, &op->walk.fh);
	compound_call_op(c, OP_CREATE, &args);
	arena_destroy(&arena);
}

static void
mkdir_done(struct mds_req *req, int status, struct reply *reply)
{
	struct name_op *op = (struct name_op *)req;
	if (!status)
		status = reply_op(reply, OP_PUTFH);
	if (!status)
		status = reply_op(reply, OP_CREATE);
	/* It went out before a session was lost, and had been done. */
	sync_done(op->sync, status == -EEXIST && req->resent ? 0 : status);
}

static void
mkdir_walked(void *arg, int status)
{
	struct name_op *op = arg;
	if (status)
		sync_done(op->sync, status);
	else
		op_send(op, mkdir_build, mkdir_done, MDS_CACHE);
}

static void
mkdir_start(struct pnfs *m, void *args, struct sync *sync)
{
	op_init(args, m, sync);
	op_walk(args, 1, NULL, mkdir_walked);
}

int
pnfs_mkdir(struct pnfs *mount, const char *path, mode_t mode)
{
	struct name_op op = { .text = path, .mode = mode };
	int err = sync_run(mount, mkdir_start, &op);
	return err == -EBUSY ? -EEXIST : err;
}

/* ---- unlink ---- */

static void
unlink_build(struct mds_req *req, struct compound_call *c)
{
	struct name_op *op = (struct name_op *)req;
	REMOVE4args args = { .target = compound_name(last_name(&op->path)) };
	compound_putfh(c, &op->walk.fh);
	compound_call_op(c, OP_REMOVE, &args);
}

static void
unlink_done(struct mds_req *req, int status, struct reply *reply)
{
	struct name_op *op = (struct name_op *)req;
	if (!status)
		status = reply_op(reply, OP_PUTFH);
	if (!status)
		status = reply_op(reply, OP_REMOVE);
	sync_done(op->sync, status == -ENOENT && req->resent ? 0 : status);
}

static void
unlink_walked(void *arg, int status)
{
	struct name_op *op = arg;
	if (status)
		sync_done(op->sync, status);
	else
		op_send(op, unlink_build, unlink_done, MDS_CACHE);
}

static void
unlink_start(struct pnfs *m, void *args, struct sync *sync)
{
	op_init(args, m, sync);
	op_walk(args, 1, NULL, unlink_walked);
}

int
pnfs_unlink(struct pnfs *mount, const char *path)
{
	struct name_op op = { .text = path };
	return sync_run(mount, unlink_start, &op);
}

/* ---- rename ---- */

static void
rename_build(struct mds_req *req, struct compound_call *c)
{
	struct name_op *op = (struct name_op *)req;
	RENAME4args args = { .oldname = compound_name(last_name(&op->path)),
		.newname = compound_name(last_name(&op->to)) };
	compound_putfh(c, &op->dir);
	compound_call_op(c, OP_SAVEFH, NULL);
	compound_putfh(c, &op->walk.fh);
	compound_call_op(c, OP_RENAME, &args);
}

static void
rename_done(struct mds_req *req, int status, struct reply *reply)
{
	struct name_op *op = (struct name_op *)req;
	static const uint32_t ops[] = { OP_PUTFH, OP_SAVEFH, OP_PUTFH, OP_RENAME };
	for (unsigned i = 0; i < 4 && !status; i++)
		status = reply_op(reply, ops[i]);
	sync_done(op->sync, status == -ENOENT && req->resent ? 0 : status);
}

static void
rename_walked_to(void *arg, int status)
{
	struct name_op *op = arg;
	if (status)
		sync_done(op->sync, status);
	else
		op_send(op, rename_build, rename_done, MDS_CACHE);
}

static void
rename_walked(void *arg, int status)
{
	struct name_op *op = arg;
	if (!status)
		status = path_parse(&op->to, op->m->base, op->to_text);
	if (!status && op->to.n == 0)
		status = -EBUSY;
	if (status) {
		sync_done(op->sync, status);
		return;
	}
	op->dir = op->walk.fh;
	walk_start(&op->walk, &op->m->mds, &op->m->root, &op->to, op->to.n - 1, NULL, rename_walked_to, op);
}

static void
rename_start(struct pnfs *m, void *args, struct sync *sync)
{
	op_init(args, m, sync);
	op_walk(args, 1, NULL, rename_walked);
}

int
pnfs_rename(struct pnfs *mount, const char *from, const char *to)
{
	struct name_op op = { .text = from, .to_text = to };
	return sync_run(mount, rename_start, &op);
}

/* ---- readlink ---- */

static void
readlink_build(struct mds_req *req, struct compound_call *c)
{
	struct name_op *op = (struct name_op *)req;
	compound_putfh(c, &op->walk.fh);
	compound_call_op(c, OP_READLINK, NULL);
}

static void
readlink_done(struct mds_req *req, int status, struct reply *reply)
{
	struct name_op *op = (struct name_op *)req;
	if (!status)
		status = reply_op(reply, OP_PUTFH);
	if (!status)
		status = reply_op(reply, OP_READLINK);
	if (!status) {
		const linktext4 *link = &reply->res.nfs_resop4_u.opreadlink.READLINK4res_u.resok4.link;
		size_t n = link->linktext4_len < op->size ? link->linktext4_len : op->size;
		memcpy(op->buf, link->linktext4_val, n);
		op->result = (int)n;
	}
	sync_done(op->sync, status);
}

static void
readlink_walked(void *arg, int status)
{
	struct name_op *op = arg;
	if (status)
		sync_done(op->sync, status);
	else
		op_send(op, readlink_build, readlink_done, 0);
}

static void
readlink_start(struct pnfs *m, void *args, struct sync *sync)
{
	op_init(args, m, sync);
	op_walk(args, 0, NULL, readlink_walked);
}

ssize_t
pnfs_readlink(struct pnfs *mount, const char *path, char *buf, size_t size)
{
	struct name_op op = { .text = path, .buf = buf, .size = size < 65536 ? size : 65536 };
	int err = sync_run(mount, readlink_start, &op);
	return err ? err : op.result;
}
