/*
 * A local block device node or image file as a bdev: O_DIRECT and io_uring.
 * Submissions of one turn of the loop go in with one system call; completions come by an eventfd.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "client/bdev/bdev_priv.h"
#include "include/log.h"

#define RING_ENTRIES 256u
#define BUF_ALIGN 4096u

struct file_bdev {
	struct bdev b;
	int fd, efd;
	bool ring_up, flush_armed, closing;
	struct io_uring ring;
	ev_io watcher;
	struct loop_work flush;
	unsigned under_way;		/* between submit and completion */
	struct bdev_io *wait_head, **wait_tail;	/* no room in the ring */
};

/* Rides on the io while it is under way: a bounce buffer if the caller's is not aligned. */
struct file_req {
	struct bdev_io *io;
	void *bounce;
};

static void
file_free(struct file_bdev *f)
{
	if (f->ring_up) {
		ev_io_stop(loop_ev(f->b.loop), &f->watcher);
		io_uring_queue_exit(&f->ring);
	}
	if (f->efd >= 0)
		close(f->efd);
	if (f->fd >= 0)
		close(f->fd);
	free(f->b.name);
	free(f);
}

static void
file_flush(struct loop_work *work)
{
	struct file_bdev *f = (struct file_bdev *)((char *)work - offsetof(struct file_bdev, flush));
	f->flush_armed = false;
	int n = io_uring_submit(&f->ring);
	if (n < 0 && n != -EBUSY && n != -EAGAIN)
		log_error("%s: io_uring_submit: %s", f->b.name, strerror(-n));
	if (n < 0)
		ev_feed_event(loop_ev(f->b.loop), &f->watcher, EV_READ);
	if (f->closing && f->under_way == 0)
		file_free(f);
}

static void
file_arm(struct file_bdev *f)
{
	if (f->flush_armed)
		return;
	f->flush_armed = true;
	loop_at_turn_end(f->b.loop, &f->flush);
}

/* False: the ring is full. */
static bool
file_queue(struct file_bdev *f, struct bdev_io *io)
{
	struct io_uring_sqe *sqe = f->under_way < RING_ENTRIES ? io_uring_get_sqe(&f->ring) : NULL;
	if (!sqe)
		return false;
	struct file_req *req = io->priv;
	void *buf = req->bounce ? req->bounce : io->buf;
	if (io->op == BDEV_READ)
		io_uring_prep_read(sqe, f->fd, buf, io->len, io->offset);
	else if (io->op == BDEV_WRITE)
		io_uring_prep_write(sqe, f->fd, buf, io->len, io->offset);
	else
		io_uring_prep_fsync(sqe, f->fd, IORING_FSYNC_DATASYNC);
	io_uring_sqe_set_data(sqe, req);
	f->under_way++;
	file_arm(f);
	return true;
}

static void
file_submit(struct bdev *bdev, struct bdev_io *io)
{
	struct file_bdev *f = (struct file_bdev *)bdev;
	struct file_req *req = calloc(1, sizeof *req);
	if (!req) {
		bdev_io_later(bdev, io, -ENOMEM);
		return;
	}
	req->io = io;
	if (io->op != BDEV_FLUSH && (uintptr_t)io->buf % bdev->block_size) {
		if (posix_memalign(&req->bounce, BUF_ALIGN, io->len)) {
			free(req);
			bdev_io_later(bdev, io, -ENOMEM);
			return;
		}
		if (io->op == BDEV_WRITE)
			memcpy(req->bounce, io->buf, io->len);
	}
	io->priv = req;
	if (f->wait_head || !file_queue(f, io)) {
		io->next = NULL;
		*f->wait_tail = io;
		f->wait_tail = &io->next;
	}
}

static void
file_end(struct file_req *req, int res)
{
	struct bdev_io *io = req->io;
	if (res >= 0 && io->op != BDEV_FLUSH && (uint32_t)res != io->len)
		res = -EIO;		/* past the end of the device, or torn: neither is a success */
	if (res >= 0 && io->op == BDEV_READ && req->bounce)
		memcpy(io->buf, req->bounce, io->len);
	free(req->bounce);
	free(req);
	io->result = res < 0 ? res : 0;
	io->done(io);
}

static void
file_event(struct ev_loop *ev, ev_io *w, int revents)
{
	(void)ev, (void)revents;
	struct file_bdev *f = w->data;
	uint64_t count;
	if (read(f->efd, &count, sizeof count) < 0 && errno != EAGAIN)
		log_error("%s: eventfd: %s", f->b.name, strerror(errno));
	struct io_uring_cqe *cqe;
	while (io_uring_peek_cqe(&f->ring, &cqe) == 0) {
		struct file_req *req = io_uring_cqe_get_data(cqe);
		int res = cqe->res;
		io_uring_cqe_seen(&f->ring, cqe);
		f->under_way--;
		file_end(req, res);
	}
	while (f->wait_head && file_queue(f, f->wait_head)) {
		struct bdev_io *io = f->wait_head;
		f->wait_head = io->next;
		if (!f->wait_head)
			f->wait_tail = &f->wait_head;
	}
	if (io_uring_sq_ready(&f->ring))
		file_arm(f);
	if (f->closing && f->under_way == 0 && !f->flush_armed)
		file_free(f);
}

/* What the kernel has begun cannot be taken back: the descriptor stays until it has ended. */
static void
file_close(struct bdev *bdev)
{
	struct file_bdev *f = (struct file_bdev *)bdev;
	f->b.up = false;
	f->closing = true;
	struct bdev_io *io = f->wait_head;
	f->wait_head = NULL;
	f->wait_tail = &f->wait_head;
	while (io) {
		struct bdev_io *next = io->next;
		struct file_req *req = io->priv;
		file_end(req, -ENOTCONN);
		io = next;
	}
	if (f->under_way == 0 && !f->flush_armed)
		file_free(f);
}

static const struct bdev_ops file_ops = { .submit = file_submit, .close = file_close };

static int
read_sysfs(dev_t dev, const char *attr, uint8_t *buf, size_t size)
{
	char path[128];
	snprintf(path, sizeof path, "/sys/dev/block/%u:%u/%s", major(dev), minor(dev), attr);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	ssize_t n = read(fd, buf, size);
	close(fd);
	return n < 0 ? -errno : (int)n;
}

/* Names of a SCSI disk; image files and other nodes have none, and serve type 3 only. */
static void
file_identity(struct file_bdev *f, dev_t dev)
{
	uint8_t page[1024];
	int n = read_sysfs(dev, "device/vpd_pg83", page, sizeof page);
	if (n > 0 && !bdev_parse_vpd83(&f->b, page, (size_t)n))
		log_warn("%s: malformed device identification page", f->b.name);
}

static int
file_geometry(struct file_bdev *f)
{
	struct stat st;
	if (fstat(f->fd, &st))
		return -errno;
	if (S_ISBLK(st.st_mode)) {
		uint64_t size;
		int block;
		if (ioctl(f->fd, BLKGETSIZE64, &size) || ioctl(f->fd, BLKSSZGET, &block))
			return -errno;
		f->b.size = size;
		f->b.block_size = (uint32_t)block;
		file_identity(f, st.st_rdev);
		return 0;
	}
	if (!S_ISREG(st.st_mode))
		return -ENOTBLK;
	f->b.size = (uint64_t)st.st_size;
	f->b.block_size = 512;
	struct statx stx;
	if (statx(f->fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &stx) == 0 &&
	    (stx.stx_mask & STATX_DIOALIGN) && stx.stx_dio_offset_align > 512)
		f->b.block_size = stx.stx_dio_offset_align;
	return 0;
}

static int
file_setup(struct file_bdev *f)
{
	f->fd = open(f->b.name, O_RDWR | O_DIRECT | O_CLOEXEC);
	if (f->fd < 0)
		return -errno;
	int err = file_geometry(f);
	if (err)
		return err;
	f->efd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (f->efd < 0)
		return -errno;
	err = io_uring_queue_init(RING_ENTRIES, &f->ring, 0);
	if (err)
		return err;
	f->ring_up = true;
	err = io_uring_register_eventfd(&f->ring, f->efd);
	if (err)
		return err;
	ev_io_init(&f->watcher, file_event, f->efd, EV_READ);
	f->watcher.data = f;
	ev_io_start(loop_ev(f->b.loop), &f->watcher);
	return 0;
}

struct bdev *
bdev_file_open(struct loop *loop, const char *path, bdev_done_fn *done, void *arg)
{
	struct file_bdev *f = calloc(1, sizeof *f);
	if (!f)
		return NULL;
	f->b.ops = &file_ops;
	f->b.loop = loop;
	f->b.name = strdup(path);
	f->fd = f->efd = -1;
	f->flush.fn = file_flush;
	f->wait_tail = &f->wait_head;
	int err = f->b.name ? file_setup(f) : -ENOMEM;
	f->b.up = err == 0;
	f->b.generation = 1;
	if (bdev_later(&f->b, err, done, arg, err != 0)) {
		file_free(f);
		return NULL;
	}
	return &f->b;
}
