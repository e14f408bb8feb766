/*
 * Transfers on devices; see io.h.
 *
 * Each is checked right before it is started, however long it has waited: is the lease surely alive (RFC 8881 12.7.2), is the range not recalled, is the
 * device there?  If not, the range is planned again.  What is under way holds a pin, which a recall waits for.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/device.h"
#include "client/io.h"
#include "include/log.h"

#define MAX_DIRECT 128u			/* pieces under way, of a mount: the rest waits here, where the lease is looked at */
#define MAX_TRIES 4u

static void piece_start(struct io_piece *piece);

static void
queue_pump(struct pnfs *m)
{
	struct io_piece *piece;
	if (m->io_pumping)
		return;			/* from piece_again, on the stack of the loop below: that goes on */
	m->io_pumping = true;
	while (m->io_running < MAX_DIRECT && (piece = TAILQ_FIRST(&m->io_queue))) {
		TAILQ_REMOVE(&m->io_queue, piece, link);
		piece_start(piece);
	}
	m->io_pumping = false;
}

static void
piece_free(struct io_piece *piece)
{
	struct node *node = piece->req->file->node;
	if (piece->pinned) {
		node->m->io_running--;
		piece->pinned = false;
		layout_unpin(node, &piece->pin);
	}
	free(piece->bounce);
	free(piece);
}

/* Its range once more: by a new plan, or through the server for REASON. */
static void
piece_again(struct io_piece *piece, unsigned tries, enum reason reason)
{
	struct io_req *req = piece->req;
	uint64_t offset = piece->offset, end = piece->end;
	struct pnfs *m = req->file->m;
	piece_free(piece);
	io_range_add(req, offset, end, tries, reason);
	io_range_end(req, 0);
	queue_pump(m);
}

/* It has waited for too long. */
static void
piece_give_up(struct io_piece *piece)
{
	struct io_req *req = piece->req;
	struct pnfs *m = req->file->m;
	piece_free(piece);
	io_range_end(req, -ETIMEDOUT);
	queue_pump(m);
}

/* The lease is surely alive, and the server does not say that something was revoked of which we do not know yet what. */
static bool
may_start(const struct pnfs *m)
{
	return mds_lease_valid(&m->mds) && !m->testing;
}

static void
piece_failed(struct io_piece *piece, int err)
{
	struct pnfs *m = piece->req->file->m;
	if (err == -EBADE || err == -ENOTCONN) {
		enum reason reason = err == -EBADE ? REASON_FENCED : REASON_IO_ERROR;
		unsigned tries = piece->tries + 1;
		device_failed(m, piece->device, err);
		piece_again(piece, tries, tries > MAX_TRIES ? reason : REASON_NONE);
		return;
	}
	if (err == -EAGAIN) {		/* not done: piece_may refused */
		piece_again(piece, piece->tries + 1, piece->tries + 1 > MAX_TRIES ? REASON_IO_ERROR : REASON_NONE);
		return;
	}
	log_warn("%s: %s at %llu: through the server", piece->bio.bdev->name, strerror(-err),
	    (unsigned long long)piece->bio.offset);
	piece_again(piece, 0, REASON_IO_ERROR);
}

/* The device would send it once more (bdev_io.may). */
static bool
piece_may(const struct bdev_io *bio)
{
	const struct io_piece *piece = bio->arg;
	const struct node *node = piece->req->file->node;
	return piece->epoch == node->layout.epoch && may_start(node->m);
}

static void
piece_count(const struct io_piece *piece)
{
	struct pnfs_stats *stats = &piece->req->file->m->stats;
	if (piece->req->write)
		stats->direct_write += piece->end - piece->offset;
	else
		stats->direct_read += piece->end - piece->offset;
}

/* The block was read: patch it and write it. */
static void
rmw_write(struct io_piece *piece)
{
	struct io_req *req = piece->req;
	if (piece->epoch != req->file->node->layout.epoch || !may_start(req->file->m)) {
		piece_again(piece, piece->tries, REASON_NONE);
		return;
	}
	piece->writing = true;
	memcpy(piece->bounce + piece->offset % IO_BLOCK, io_buf(req, piece->offset), piece->end - piece->offset);
	piece->bio.op = BDEV_WRITE;
	bdev_submit(piece->bio.bdev, &piece->bio);
}

static void
piece_done(struct bdev_io *bio)
{
	struct io_piece *piece = bio->arg;
	struct io_req *req = piece->req;
	struct node *node = req->file->node;
	struct pnfs *m = node->m;
	if (bio->result) {
		piece_failed(piece, bio->result);
		return;
	}
	if (piece->kind == PIN_RMW && !piece->writing) {
		rmw_write(piece);
		return;
	}
	if (req->write) {
		/* Without the layout it was written by, nobody can say whose block it was: once more. */
		if (piece->epoch != node->layout.epoch) {
			piece_again(piece, piece->tries, REASON_NONE);
			return;
		}
		layout_dirty(node, piece->offset, piece->end);
		if (node->layout.grow && piece->end > node->size)
			node->size = piece->end;
	} else if (piece->bounce) {
		memcpy(io_buf(req, piece->offset), piece->bounce + (piece->addr - piece->bio.offset), piece->end - piece->offset);
	}
	piece_count(piece);
	piece_free(piece);
	io_range_end(req, 0);
	queue_pump(m);
}

/* Where on the device: bio->offset and len, and a bounce buffer if the caller's bytes are not whole blocks. */
static int
piece_place(struct io_piece *piece)
{
	struct io_req *req = piece->req;
	struct bdev_io *bio = &piece->bio;
	struct bdev *bdev;
	enum reason reason;
	uint64_t offset, run, len = piece->end - piece->offset;
	if (!device_map(req->file->m, piece->device, piece->addr, &bdev, &offset, &run))
		return device_state(req->file->m, piece->device, &reason) == DEVICE_READY ? -ERANGE : -ENODEV;
	bio->bdev = bdev;
	bio->op = req->write && piece->kind != PIN_RMW ? BDEV_WRITE : BDEV_READ;
	uint32_t block = bdev->block_size, before = (uint32_t)(offset % block);
	if (piece->kind == PIN_RMW) {
		before = 0;
		len = IO_BLOCK;
	}
	uint64_t whole = (before + len + block - 1) / block * block;
	if (run < len)
		return -ERANGE;		/* a block across two devices: no layout has that */
	bio->offset = offset - before;
	bio->len = (uint32_t)whole;
	if (piece->kind != PIN_RMW && whole == len) {
		bio->buf = io_buf(req, piece->offset);
		return 0;
	}
	if (req->write && piece->kind != PIN_RMW)
		return -EINVAL;		/* the device's blocks are larger than the layout's */
	/* The addr of the caller's first byte, in terms of the device, for piece_done. */
	piece->addr = offset;
	if (!piece->bounce && posix_memalign((void **)&piece->bounce, IO_BLOCK, whole))
		return -ENOMEM;
	bio->buf = piece->bounce;
	return 0;
}

static void
piece_start(struct io_piece *piece)
{
	struct io_req *req = piece->req;
	struct node *node = req->file->node;
	struct pnfs *m = node->m;
	struct layout *layout = &node->layout;
	uint64_t from = piece->offset, to = piece->end;
	if (piece->kind == PIN_RMW) {
		from -= from % IO_BLOCK;
		to = from + IO_BLOCK;
	}
	if (!layout_map_may(&layout->map, from, to, piece->kind)) {
		TAILQ_INSERT_TAIL(&node->io_waiting, piece, link);
		return;
	}
	if (m->io_running >= MAX_DIRECT) {
		TAILQ_INSERT_TAIL(&m->io_queue, piece, link);
		return;
	}
	if (!may_start(m) && io_late(req)) {
		piece_give_up(piece);
		return;
	}
	if (!may_start(m)) {
		TAILQ_INSERT_TAIL(&m->io_lease, piece, link);
		mds_renew(&m->mds);
		return;
	}
	/* While it waited the range may have been returned, and granted anew elsewhere. */
	if (piece->epoch != layout->epoch || layout_map_blocked(&layout->map, from, to) ||
	    !layout_map_holds(&layout->map, from, to, piece->device, piece->addr, piece->kind)) {
		piece_again(piece, piece->tries, REASON_NONE);
		return;
	}
	int err = piece_place(piece);
	if (err == -ENODEV) {
		piece_again(piece, piece->tries, REASON_NONE);
		return;
	}
	if (err) {
		piece_again(piece, 0, REASON_IO_ERROR);
		return;
	}
	piece->pin = (struct layout_pin){ .offset = from, .end = to, .kind = piece->kind };
	piece->pinned = true;
	m->io_running++;
	layout_map_pin(&layout->map, &piece->pin);
	piece->bio.done = piece_done;
	piece->bio.may = piece_may;
	piece->bio.arg = piece;
	bdev_submit(piece->bio.bdev, &piece->bio);
}

static void
restart(struct io_piece_list *from)
{
	struct io_piece *piece;
	struct io_piece_list list;
	TAILQ_INIT(&list);
	TAILQ_CONCAT(&list, from, link);
	while ((piece = TAILQ_FIRST(&list))) {
		TAILQ_REMOVE(&list, piece, link);
		piece_start(piece);
	}
}

void
io_pieces_unblocked(struct node *node)
{
	restart(&node->io_waiting);
}

void
io_renewed(struct pnfs *m)
{
	restart(&m->io_lease);
}

void
io_expire(struct pnfs *m, uint64_t deadline_ns)
{
	struct io_piece *piece, *next;
	struct io_piece_list late;
	struct node *node, *tmp;
	TAILQ_INIT(&late);
	for (piece = TAILQ_FIRST(&m->io_lease); piece; piece = next) {
		next = TAILQ_NEXT(piece, link);
		if (piece->req->since_ns > deadline_ns)
			continue;
		TAILQ_REMOVE(&m->io_lease, piece, link);
		TAILQ_INSERT_TAIL(&late, piece, link);
	}
	while ((piece = TAILQ_FIRST(&late))) {
		TAILQ_REMOVE(&late, piece, link);
		piece_give_up(piece);
	}
	HASH_ITER(hh, m->nodes, node, tmp)
		layout_waits_expire(node, deadline_ns);
}

/* How far a piece from AT (address ADDR) goes: one device, BDEV_MAX_IO, and unaligned edges of a read by themselves. */
static uint64_t
piece_end(const struct io_req *req, const struct ioplan_step *step, uint64_t at, uint64_t addr)
{
	struct bdev *bdev;
	uint64_t offset, run, end = step->offset + step->length;
	if (!device_map(req->file->m, step->device, addr, &bdev, &offset, &run))
		return end - at > BDEV_MAX_IO ? at + BDEV_MAX_IO : end;	/* piece_start says why */
	if (run < end - at)
		end = at + run;
	if (end - at > BDEV_MAX_IO)
		end = at + BDEV_MAX_IO;
	uint32_t block = bdev->block_size, head = (uint32_t)(offset % block);
	if (head)
		return end - at < block - head ? end : at + (block - head);
	return end - at > block ? end - (end - at) % block : end;
}

void
io_direct(struct io_req *req, const struct ioplan_step *step, unsigned tries)
{
	const struct layout *layout = &req->file->node->layout;
	uint64_t at = step->offset, addr = step->addr, end = step->offset + step->length;
	uint32_t epoch = layout->epoch;
	uint8_t device[NFS4_DEVICEID4_SIZE];
	memcpy(device, step->device, sizeof device);	/* the view it points into may not outlive the first piece */
	struct ioplan_step own = *step;
	own.device = device;
	while (at < end) {
		uint64_t stop = step->kind == IOPLAN_RMW ? end : piece_end(req, &own, at, addr);
		struct io_piece *piece = calloc(1, sizeof *piece);
		req->pending++;
		if (!piece) {
			io_range_end(req, -ENOMEM);
			break;
		}
		piece->req = req;
		piece->offset = at;
		piece->end = stop;
		piece->addr = addr;
		piece->tries = tries;
		piece->epoch = epoch;
		memcpy(piece->device, device, sizeof piece->device);
		piece->kind = step->kind == IOPLAN_RMW ? PIN_RMW : req->write ? PIN_WRITE : PIN_READ;
		addr += stop - at;
		at = stop;
		piece_start(piece);
	}
	io_range_end(req, 0);
}
