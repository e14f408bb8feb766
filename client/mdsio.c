/* READ, WRITE and COMMIT through the metadata server; see mdsio.h. */
#include "client/mdsio.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "include/log.h"

#define KEPT_COMMIT (16u << 20)		/* kept bytes of a mount: COMMIT without being asked */
#define KEPT_MAX (32u << 20)		/* then FILE_SYNC4 instead of keeping */
#define STATE_TRIES 3u

/* A transfer cut into READs or WRITEs, all under way together. */
struct mdsio {
	struct pnfs_file *file;
	mdsio_fn *done;
	void *arg;
	unsigned left;
	int error;
	bool sync;			/* WRITEs durable at once */
	uint64_t offset, end;		/* end: of what was read, without gaps behind it */
};

/* A write that waits until older ones were sent again. */
struct held_write {
	TAILQ_ENTRY(held_write) link;
	struct pnfs_file *file;
	const void *buf;
	uint64_t offset;
	size_t len;
	mdsio_fn *done;
	void *arg;
};

struct chunk {
	struct mds_req req;
	struct mdsio *io;
	uint8_t *buf;
	uint64_t offset;
	uint32_t len;
	unsigned tries;
	bool sync;			/* FILE_SYNC4 */
};

static void
io_end(struct mdsio *io)
{
	if (--io->left)
		return;
	io->done(io->arg, io->error ? io->error : (ssize_t)(io->end > io->offset ? io->end - io->offset : 0));
	node_put(io->file->node);
	free(io);
}

static void
chunk_end(struct chunk *chunk, int error)
{
	struct mdsio *io = chunk->io;
	if (error && !io->error)
		io->error = error;
	free(chunk);
	io_end(io);
}

static void
chunk_reopened(void *arg, int status)
{
	struct chunk *chunk = arg;
	if (status)
		chunk_end(chunk, status);
	else
		mds_submit(&chunk->io->file->m->mds, &chunk->req);
}

/* The stateid is no longer good: open again, then once more.  True if so. */
static bool
chunk_again(struct chunk *chunk, const struct reply *reply)
{
	if (!reply || !status_is_state(reply->status) || chunk->tries++ >= STATE_TRIES)
		return false;
	file_reopen(chunk->io->file, chunk_reopened, chunk);
	return true;
}

static struct mdsio *
io_new(struct pnfs_file *file, uint64_t offset, size_t len, mdsio_fn *done, void *arg)
{
	struct mdsio *io = calloc(1, sizeof *io);
	if (!io) {
		done(arg, -ENOMEM);
		return NULL;
	}
	*io = (struct mdsio){ .file = file, .done = done, .arg = arg, .left = 1, .offset = offset, .end = offset + len };
	node_ref(file->node);
	return io;
}

/* Cut and send. */
static void
io_start(struct mdsio *io, uint8_t *buf, size_t len, uint32_t max, mds_build_fn *build, mds_done_fn *done, unsigned flags,
    bool write)
{
	for (size_t at = 0; at < len; at += max) {
		struct chunk *chunk = calloc(1, sizeof *chunk);
		if (!chunk) {
			io->error = -ENOMEM;
			break;
		}
		chunk->io = io;
		chunk->buf = buf + at;
		chunk->offset = io->offset + at;
		chunk->len = len - at < max ? (uint32_t)(len - at) : max;
		chunk->req.build = build;
		chunk->req.done = done;
		chunk->req.flags = flags;
		chunk->req.since_ns = lease_clock();	/* with what it takes to open the file again */
		if (write) {
			chunk->req.data = chunk->buf;
			chunk->req.data_len = chunk->len;
		}
		io->left++;
		mds_submit(&io->file->m->mds, &chunk->req);
	}
	io_end(io);
}

/* ---- READ ---- */

static void
read_build(struct mds_req *req, struct compound_call *c)
{
	struct chunk *chunk = (struct chunk *)req;
	READ4args args = { .stateid = file_stateid(chunk->io->file), .offset = chunk->offset, .count = chunk->len };
	compound_putfh(c, &chunk->io->file->node->fh);
	compound_call_op(c, OP_READ, &args);
}

static void
read_done(struct mds_req *req, int status, struct reply *reply)
{
	struct chunk *chunk = (struct chunk *)req;
	struct mdsio *io = chunk->io;
	struct pnfs *m = io->file->m;
	if (!status) {
		m->stats.nfs_read++;
		status = reply_op(reply, OP_PUTFH);
	}
	if (!status)
		status = reply_op(reply, OP_READ);
	if (status) {
		if (!chunk_again(chunk, reply))
			chunk_end(chunk, status);
		return;
	}
	const READ4resok *ok = &reply->res.nfs_resop4_u.opread.READ4res_u.resok4;
	uint32_t got = ok->data.data_len;
	if (got > chunk->len) {
		chunk_end(chunk, -EPROTO);
		return;
	}
	memcpy(chunk->buf, ok->data.data_val, got);
	m->stats.mds_read += got;
	chunk->buf += got;
	chunk->offset += got;
	chunk->len -= got;
	if (chunk->len == 0) {
		chunk_end(chunk, 0);
	} else if (ok->eof || got == 0) {
		if (chunk->offset < io->end)
			io->end = chunk->offset;
		chunk_end(chunk, 0);
	} else {
		chunk->req.since_ns = lease_clock();
		mds_submit(&m->mds, &chunk->req);
	}
}

void
mdsio_read(struct pnfs_file *file, void *buf, uint64_t offset, size_t len, mdsio_fn *done, void *arg)
{
	struct mdsio *io = io_new(file, offset, len, done, arg);
	if (io)
		io_start(io, buf, len, file->node->max_read, read_build, read_done, 0, false);
}

/* ---- WRITE ---- */

static void
write_build(struct mds_req *req, struct compound_call *c)
{
	struct chunk *chunk = (struct chunk *)req;
	struct pnfs_file *file = chunk->io->file;
	stateid4 stateid = file_stateid(file);
	const struct layout *layout = &file->node->layout;
	/*
	 * In a range we also reach directly it goes to the device at once, so that a direct read finds it there.  At the limit of
	 * what we keep too.
	 */
	chunk->sync = chunk->io->sync || layout->map.n || layout->have_stateid || layout->get || file->m->kept + chunk->len > KEPT_MAX;
	compound_putfh(c, &file->node->fh);
	XDR *raw = compound_call_raw(c, OP_WRITE);
	if (raw && (!xdr_stateid4(raw, &stateid) || !ax_put_u64(raw, chunk->offset) ||
	    !ax_put_u32(raw, chunk->sync ? FILE_SYNC4 : UNSTABLE4) || !ax_put_u32(raw, chunk->len)))
		c->failed = true;
	/* The data follows: mds_req.data. */
	req->data = chunk->buf;
	req->data_len = chunk->len;
}

/* Keep a copy of COUNT bytes that are not durable yet. */
static bool
keep(struct chunk *chunk, uint32_t count, const uint8_t *verf)
{
	struct pnfs_file *file = chunk->io->file;
	struct kept *kept = malloc(sizeof *kept + count);
	if (!kept)
		return false;
	kept->file = file;
	kept->offset = chunk->offset;
	kept->len = count;
	memcpy(kept->verf, verf, sizeof kept->verf);
	memcpy(kept->data, chunk->buf, count);
	TAILQ_INSERT_TAIL(&file->node->kept, kept, link);
	file->m->kept += count;
	return true;
}

static void
chunk_committed(void *arg, int status)
{
	chunk_end(arg, status);
}

static void
write_done(struct mds_req *req, int status, struct reply *reply)
{
	struct chunk *chunk = (struct chunk *)req;
	struct pnfs_file *file = chunk->io->file;
	struct node *node = file->node;
	if (!status) {
		file->m->stats.nfs_write++;
		status = reply_op(reply, OP_PUTFH);
	}
	if (!status)
		status = reply_op(reply, OP_WRITE);
	if (status) {
		if (!chunk_again(chunk, reply))
			chunk_end(chunk, status);
		return;
	}
	const WRITE4resok *ok = &reply->res.nfs_resop4_u.opwrite.WRITE4res_u.resok4;
	uint32_t count = ok->count;
	if (count == 0 || count > chunk->len) {
		chunk_end(chunk, -EPROTO);
		return;
	}
	if (ok->committed == UNSTABLE4 && !keep(chunk, count, (const uint8_t *)ok->writeverf)) {
		chunk_end(chunk, -ENOMEM);
		return;
	}
	file->m->stats.mds_write += count;
	chunk->buf += count;
	chunk->offset += count;
	chunk->len -= count;
	if (chunk->offset > node->size)
		node->size = chunk->offset;
	if (chunk->offset > node->told)
		node->told = chunk->offset;
	if (chunk->len) {
		chunk->req.since_ns = lease_clock();
		mds_submit(&file->m->mds, &chunk->req);
		return;
	}
	if (file->m->kept > KEPT_COMMIT && !TAILQ_EMPTY(&node->kept) && !node->commit)
		mdsio_commit(node, NULL, NULL);
	/* A layout came meanwhile: a direct read behind this shall find it too, so it must not stay in the server's memory. */
	if (ok->committed == UNSTABLE4 && (node->layout.get || node->layout.have_stateid))
		mdsio_commit(node, chunk_committed, chunk);
	else
		chunk_end(chunk, 0);
}

static void
write_now(struct pnfs_file *file, const void *buf, uint64_t offset, size_t len, bool sync, mdsio_fn *done, void *arg)
{
	union { const void *in; void *out; } u = { .in = buf };
	struct mdsio *io = io_new(file, offset, len, done, arg);
	if (!io)
		return;
	io->sync = sync;
	io_start(io, u.out, len, file->node->max_write, write_build, write_done, MDS_CACHE, true);
}

void
mdsio_write(struct pnfs_file *file, const void *buf, uint64_t offset, size_t len, mdsio_fn *done, void *arg)
{
	if (!file->node->rewriting) {
		write_now(file, buf, offset, len, false, done, arg);
		return;
	}
	struct held_write *held = calloc(1, sizeof *held);
	if (!held) {
		done(arg, -ENOMEM);
		return;
	}
	*held = (struct held_write){ .file = file, .buf = buf, .offset = offset, .len = len, .done = done, .arg = arg };
	TAILQ_INSERT_TAIL(&file->node->held, held, link);
}

/* ---- COMMIT ---- */

struct mdsio_commit {
	struct mds_req req;
	struct node *node;
	const struct kept *last;	/* what was kept when COMMIT was sent: up to here */
	uint64_t ticket;
	int error;
};

static void commit_start(struct node *node);

static void
kept_free(struct node *node, struct kept *kept)
{
	TAILQ_REMOVE(&node->kept, kept, link);
	node->m->kept -= kept->len;
	free(kept);
}

static void
commit_end(struct mdsio_commit *commit)
{
	struct node *node = commit->node;
	uint64_t ticket = commit->ticket;
	int error = commit->error;
	node->commit = NULL;
	free(commit);
	if (error)
		node_error(node, error);
	/* Who came while it was under way waits for the next. */
	waiters_end(&node->commit_waiters, ticket, error);
	if (!node->commit && !TAILQ_EMPTY(&node->commit_waiters))
		commit_start(node);
	node_put(node);
}

static void rewrite_next(struct mdsio_commit *commit);

static void
rewrite_done(void *arg, ssize_t result)
{
	struct mdsio_commit *commit = arg;
	if (result < 0 && !commit->error)
		commit->error = (int)result;
	kept_free(commit->node, TAILQ_FIRST(&commit->node->kept));
	rewrite_next(commit);
}

/*
 * The server has lost some of them (another verifier).  All are sent again, in their order and one after the other, since they may
 * overlap; durable at once.  New writes wait meanwhile.
 */
static void
rewrite_next(struct mdsio_commit *commit)
{
	struct node *node = commit->node;
	const struct kept *kept = TAILQ_FIRST(&node->kept);
	if (kept) {
		write_now(kept->file, kept->data, kept->offset, kept->len, true, rewrite_done, commit);
		return;
	}
	node->rewriting = false;
	node_ref(node);
	commit_end(commit);
	struct held_write *held;
	while (!node->rewriting && (held = TAILQ_FIRST(&node->held))) {
		TAILQ_REMOVE(&node->held, held, link);
		write_now(held->file, held->buf, held->offset, held->len, false, held->done, held->arg);
		free(held);
	}
	node_put(node);
}

static void
commit_build(struct mds_req *req, struct compound_call *c)
{
	struct mdsio_commit *commit = (struct mdsio_commit *)req;
	COMMIT4args args = { 0 };
	compound_putfh(c, &commit->node->fh);
	compound_call_op(c, OP_COMMIT, &args);
}

static void
commit_done(struct mds_req *req, int status, struct reply *reply)
{
	struct mdsio_commit *commit = (struct mdsio_commit *)req;
	struct node *node = commit->node;
	struct kept *kept, *next;
	if (!status) {
		node->m->stats.nfs_commit++;
		status = reply_op(reply, OP_PUTFH);
	}
	if (!status)
		status = reply_op(reply, OP_COMMIT);
	if (status) {
		commit->error = status;
		commit_end(commit);
		return;
	}
	const char *verf = reply->res.nfs_resop4_u.opcommit.COMMIT4res_u.resok4.writeverf;
	bool last = false, lost = false;
	/* What came behind the COMMIT is not of it; if nothing was kept when it was sent, that is all. */
	for (kept = commit->last ? TAILQ_FIRST(&node->kept) : NULL; kept && !last; kept = next) {
		next = TAILQ_NEXT(kept, link);
		last = kept == commit->last;
		if (!memcmp(kept->verf, verf, sizeof kept->verf))
			kept_free(node, kept);
		else
			lost = true;
	}
	if (!lost) {
		commit_end(commit);
		return;
	}
	log_info("the server has lost writes that were not committed: they are sent again");
	node->rewriting = true;
	rewrite_next(commit);
}

static void
commit_start(struct node *node)
{
	struct mdsio_commit *commit = calloc(1, sizeof *commit);
	if (!commit) {
		node_error(node, -ENOMEM);
		waiters_end_all(&node->commit_waiters, -ENOMEM);
		return;
	}
	commit->node = node_ref(node);
	commit->ticket = ++node->commit_ticket;
	commit->last = TAILQ_LAST(&node->kept, kept_list);
	node->commit = commit;
	commit->req.build = commit_build;
	commit->req.done = commit_done;
	commit->req.flags = MDS_CACHE;
	mds_submit(&node->m->mds, &commit->req);
}

void
mdsio_commit(struct node *node, done_fn *done, void *arg)
{
	if (TAILQ_EMPTY(&node->kept) && !node->commit) {
		if (done)
			done(arg, 0);
		return;
	}
	/* COMMIT covers only what was kept when it was sent: who comes behind it waits for the next. */
	if (!waiter_add(&node->commit_waiters, done, arg, node->commit_ticket + 1) && !node->commit)
		commit_start(node);
}
