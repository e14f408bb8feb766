/* pnfs_submit(): requests, their plan, and the way through the server; see io.h. */
#include "client/io.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/device.h"
#include "client/mdsio.h"
#include "client/sync.h"

#define MAX_EXTENTS 64u
#define MAX_STEPS 32u
#define MAX_DEPTH 8u			/* of pnfs_submit() in a callback of one */

static void range_plan(struct io_range *range);

uint8_t *
io_buf(const struct io_req *req, uint64_t offset)
{
	return (uint8_t *)req->user->buf + (offset - req->offset);
}

static void
req_end(struct io_req *req)
{
	struct pnfs_io *user = req->user;
	struct pnfs_file *file = req->file;
	struct node *node = file->node;
	uint64_t end = req->short_end < req->end ? req->short_end : req->end;
	user->result = req->error ? req->error : (ssize_t)(end - req->offset);
	free(req);
	user->done(user);
	if (--file->ios == 0)
		file_idle(file);
	node_put(node);
}

void
io_range_end(struct io_req *req, int error)
{
	if (error && !req->error)
		req->error = error;
	if (--req->pending == 0)
		req_end(req);
}

void
io_range_add(struct io_req *req, uint64_t offset, uint64_t end, unsigned tries, enum reason force)
{
	struct io_range *range = calloc(1, sizeof *range);
	req->pending++;
	if (!range) {
		io_range_end(req, -ENOMEM);
		return;
	}
	range->req = req;
	range->offset = offset;
	range->end = end;
	range->tries = tries;
	range->force = force;
	range_plan(range);
}

static void
range_free(struct io_range *range, int error)
{
	struct io_req *req = range->req;
	free(range);
	io_range_end(req, error);
}

bool
io_late(const struct io_req *req)
{
	const struct pnfs *m = req->file->m;
	return m->mds.timeout && lease_clock() - req->since_ns >= m->mds.timeout * 1000000000ull;
}

/* It waited for something else, and has no time left for another step. */
static bool
range_late(struct io_range *range)
{
	if (!io_late(range->req))
		return false;
	range_free(range, -ETIMEDOUT);
	return true;
}

/* ---- through the server ---- */

static void
mds_done(void *arg, ssize_t result)
{
	struct io_range *range = arg;
	struct io_req *req = range->req;
	if (req->write)
		layout_unpin(req->file->node, &range->pin);
	if (result >= 0 && !req->write && (uint64_t)result < range->end - range->offset) {
		/* The file got shorter meanwhile: so does the answer, and the size is looked at again. */
		if (range->offset + (uint64_t)result < req->short_end)
			req->short_end = range->offset + (uint64_t)result;
		req->file->node->size_stale = true;
	}
	range_free(range, result < 0 ? (int)result : 0);
}

static void
mds_read_ready(void *arg, int status)
{
	struct io_range *range = arg;
	struct io_req *req = range->req;
	(void)status;
	if (range_late(range))
		return;
	mdsio_read(req->file, io_buf(req, range->offset), range->offset, range->end - range->offset, mds_done, range);
}

static void
mds_write_start(struct io_range *range)
{
	struct io_req *req = range->req;
	struct node *node = req->file->node;
	uint64_t from = range->offset - range->offset % IO_BLOCK, to = (range->end + IO_BLOCK - 1) / IO_BLOCK * IO_BLOCK;
	/* A read-modify-write of a block of ours must not stand around it. */
	if (!layout_map_may(&node->layout.map, from, to, PIN_MDS_WRITE)) {
		TAILQ_INSERT_TAIL(&node->io_blocked, range, blocked);
		return;
	}
	range->pin = (struct layout_pin){ .offset = from, .end = to, .kind = PIN_MDS_WRITE };
	layout_map_pin(&node->layout.map, &range->pin);
	mdsio_write(req->file, io_buf(req, range->offset), range->offset, range->end - range->offset, mds_done, range);
}

static void
mds_write_ready(void *arg, int status)
{
	(void)status;			/* told to the files */
	if (!range_late(arg))
		mds_write_start(arg);
}

/* The whole of RANGE, for REASON. */
static void
range_mds(struct io_range *range, enum reason reason)
{
	struct io_req *req = range->req;
	struct pnfs *m = req->file->m;
	if (m->direct != PNFS_DIRECT_NEVER)
		file_fallback(req->file, range->offset, range->end - range->offset, reason);
	if (m->direct == PNFS_DIRECT_REQUIRE)
		range_free(range, -EOPNOTSUPP);
	else if (req->write && layout_unsettled(req->file->node, range->offset, range->end))
		/* The server completes the blocks at the edges from what it knows of them: that must be what we wrote. */
		layout_commit(req->file->node, mds_write_ready, range);
	else if (req->write)
		mds_write_start(range);
	else
		layout_commit(req->file->node, mds_read_ready, range);	/* the server shall see what we wrote */
}

void
io_unblocked(struct node *node)
{
	struct io_range *range;
	struct io_range_list list;
	TAILQ_INIT(&list);
	TAILQ_CONCAT(&list, &node->io_blocked, blocked);
	while ((range = TAILQ_FIRST(&list))) {
		TAILQ_REMOVE(&list, range, blocked);
		if (!range_late(range))
			mds_write_start(range);
	}
	io_pieces_unblocked(node);
}

/* ---- the plan ---- */

static bool
device_usable(void *arg, const uint8_t *device)
{
	enum reason reason;
	return device_state(arg, device, &reason) == DEVICE_READY;
}

static void
range_waited(void *arg, int status, enum reason reason)
{
	struct io_range *range = arg;
	struct io_req *req = range->req;
	uint64_t need_end = range->need_end;
	if (status) {
		range_free(range, status);
		return;
	}
	if (range_late(range))
		return;
	if (reason == REASON_NONE) {
		range_plan(range);
		return;
	}
	/* The part without a layout goes the other way, the rest is looked at anew. */
	if (need_end < range->end)
		io_range_add(req, need_end, range->end, range->tries, REASON_NONE);
	range->end = need_end;
	range_mds(range, reason);
}

static void
range_need(struct io_range *range, uint64_t offset, uint64_t need_end)
{
	range->offset = offset;
	range->need_end = need_end;
	range->wait = (struct layout_wait){ .file = range->req->file, .offset = offset, .length = range->end - offset,
		.write = range->req->write, .submitted_ns = range->req->since_ns, .done = range_waited, .arg = range };
	layout_get(&range->wait);
}

/* One step of a plan; RANGE is only for its tries. */
static void
step_start(struct io_range *range, const struct ioplan_step *step)
{
	struct io_req *req = range->req;
	switch (step->kind) {
	case IOPLAN_ZERO:
		memset(io_buf(req, step->offset), 0, step->length);
		break;
	case IOPLAN_DIRECT:
	case IOPLAN_RMW:
		req->pending++;
		io_direct(req, step, range->tries);
		break;
	case IOPLAN_MDS:
		io_range_add(req, step->offset, step->offset + step->length, 0, step->reason);
		break;
	case IOPLAN_NEED:
		break;
	}
}

static void
range_plan(struct io_range *range)
{
	struct io_req *req = range->req;
	struct node *node = req->file->node;
	enum reason refused = layout_refused(node);
	if (req->file->dead) {
		range_free(range, req->file->dead);
		return;
	}
	if (range->force != REASON_NONE) {
		range_mds(range, range->force);
		return;
	}
	if (refused != REASON_NONE && node->layout.map.n == 0) {
		range_mds(range, refused);
		return;
	}
	while (range->offset < range->end) {
		struct layout_extent ext[MAX_EXTENTS];
		struct ioplan_step steps[MAX_STEPS];
		uint64_t stop;
		uint32_t next = layout_map_view(&node->layout.map, range->offset, range->end,
		    device_usable, node->m, ext, MAX_EXTENTS, &stop);
		struct ioplan_in in = { .write = req->write, .offset = range->offset, .length = stop - range->offset,
			.size = node->size, .ext = ext, .next = next, .grow = node->layout.grow,
			.no_layout = refused, .block_size = 512 };
		unsigned n = ioplan_make(&in, steps, MAX_STEPS);
		for (unsigned i = 0; i < n; i++) {
			if (steps[i].kind == IOPLAN_NEED) {
				range_need(range, steps[i].offset, steps[i].offset + steps[i].length);
				return;
			}
			range->offset = steps[i].offset + steps[i].length;
			step_start(range, &steps[i]);
		}
	}
	range_free(range, 0);
}

/* ---- requests ---- */

/* The size is known: cut at it, and go. */
static void
read_start(void *arg, int status)
{
	struct io_req *req = arg;
	uint64_t size = req->file->node->size;
	if (!status && req->offset >= size)
		req->end = req->offset;
	else if (req->end > size)
		req->end = size;
	if (!status && req->end > req->offset)
		io_range_add(req, req->offset, req->end, 0, REASON_NONE);
	io_range_end(req, status);
}

static void
write_start(void *arg, int status)
{
	struct io_req *req = arg;
	if (!status)
		io_range_add(req, req->offset, req->end, 0, REASON_NONE);
	io_range_end(req, status);
}

static void
fsync_done(void *arg, int status)
{
	struct io_req *req = arg;
	req->end = req->offset;
	io_range_end(req, status);
}

static void
req_start(struct loop_work *work)
{
	struct io_req *req = (struct io_req *)work;
	struct pnfs_file *file = req->file;
	struct node *node = node_ref(file->node);
	const struct pnfs_io *user = req->user;
	req->pending = 1;
	file->ios++;
	bool may = user->op == PNFS_IO_FSYNC || file->access &
	    (req->write ? (uint32_t)OPEN4_SHARE_ACCESS_WRITE : (uint32_t)OPEN4_SHARE_ACCESS_READ);
	if (!may || user->len > INT64_MAX || user->offset > INT64_MAX - user->len) {
		io_range_end(req, may ? -EINVAL : -EBADF);
	} else if (user->op == PNFS_IO_FSYNC) {
		file_fsync(file, fsync_done, req);
	} else if (user->len == 0) {
		io_range_end(req, 0);
	} else if (req->write && node->size_stale) {
		file_getattr(file, NULL, write_start, req);
	} else if (req->write) {
		write_start(req, 0);
	} else if (req->end > node->size || node->size_stale) {
		file_getattr(file, NULL, read_start, req);
	} else {
		read_start(req, 0);
	}
}

void
pnfs_submit(struct pnfs_io *io)
{
	struct io_req *req = calloc(1, sizeof *req);
	if (!req) {
		io->result = -ENOMEM;
		io->done(io);
		return;
	}
	req->work.fn = req_start;
	req->user = io;
	req->file = io->file;
	req->write = io->op == PNFS_IO_WRITE;
	req->offset = io->offset;
	req->end = range_end(io->offset, io->len);
	req->short_end = UINT64_MAX;
	req->since_ns = lease_clock();
	struct pnfs *m = io->file->m;
	/* What ends at once (holes, the end of the file) calls back from here, and may submit the next: not deeper than the stack is. */
	if (loop_is_current(m->loop) && m->io_depth < MAX_DEPTH) {
		m->io_depth++;
		req_start(&req->work);
		m->io_depth--;
	} else {
		loop_post(m->loop, &req->work);
	}
}

/* ---- blocking ---- */

struct blocking {
	struct pnfs_io io;
	struct sync *sync;
	ssize_t result;
};

static void
blocking_done(struct pnfs_io *io)
{
	struct blocking *b = io->arg;
	b->result = io->result;
	sync_done(b->sync, io->result < 0 ? (int)io->result : 0);
}

static void
blocking_start(struct pnfs *m, void *args, struct sync *sync)
{
	struct blocking *b = args;
	(void)m;
	b->sync = sync;
	pnfs_submit(&b->io);
}

static ssize_t
blocking_run(struct pnfs_file *file, enum pnfs_io_op op, void *buf, size_t len, uint64_t offset)
{
	struct blocking b = { .io = { .file = file, .op = op, .buf = buf, .len = len, .offset = offset,
		.done = blocking_done, .arg = &b } };
	int err = sync_run(file->m, blocking_start, &b);
	return err ? err : b.result;
}

ssize_t
pnfs_pread(struct pnfs_file *file, void *buf, size_t len, uint64_t offset)
{
	return blocking_run(file, PNFS_IO_READ, buf, len, offset);
}

ssize_t
pnfs_pwrite(struct pnfs_file *file, const void *buf, size_t len, uint64_t offset)
{
	union { const void *in; void *out; } u = { .in = buf };
	return blocking_run(file, PNFS_IO_WRITE, u.out, len, offset);
}

int
pnfs_fsync(struct pnfs_file *file)
{
	return (int)blocking_run(file, PNFS_IO_FSYNC, NULL, 0, 0);
}
