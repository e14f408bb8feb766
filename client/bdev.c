/* Block devices of the client: what all kinds share; see bdev.h. */
#include "client/bdev.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client/bdev/bdev_priv.h"

struct later {
	struct loop_work work;
	struct bdev *bdev;
	struct bdev_io *io;
	int status;
	bdev_done_fn *done;
	void *arg;
	bool free_after;
};

static void
later_run(struct loop_work *work)
{
	struct later *later = (struct later *)work;
	if (later->done)
		later->done(later->bdev, later->status, later->arg);
	if (later->free_after)
		bdev_close(later->bdev);
	free(later);
}

int
bdev_later(struct bdev *bdev, int status, bdev_done_fn *done, void *arg, bool free_after)
{
	struct later *later = calloc(1, sizeof *later);
	if (!later)
		return -ENOMEM;
	*later = (struct later){ .work.fn = later_run, .bdev = bdev, .status = status,
		.done = done, .arg = arg, .free_after = free_after };
	loop_post(bdev->loop, &later->work);
	return 0;
}

/* The bdev may be closed before this runs: only the io is touched. */
static void
io_later_run(struct loop_work *work)
{
	struct later *later = (struct later *)work;
	struct bdev_io *io = later->io;
	io->result = later->status;
	free(later);
	io->done(io);
}

void
bdev_io_later(struct bdev *bdev, struct bdev_io *io, int result)
{
	struct later *later = calloc(1, sizeof *later);
	if (!later) {		/* rather early than never */
		io->result = result;
		io->done(io);
		return;
	}
	*later = (struct later){ .work.fn = io_later_run, .io = io, .status = result };
	loop_post(bdev->loop, &later->work);
}

void
bdev_set_up(struct bdev *bdev, bool up)
{
	if (bdev->up == up)
		return;
	bdev->up = up;
	if (up)
		bdev->generation++;
	else
		bdev->pr_key = 0;	/* a new nexus is not registered (PITFALLS B9) */
	if (bdev->state_changed)
		bdev->state_changed(bdev, bdev->state_arg);
}

struct bdev *
bdev_open(struct loop *loop, const char *name, const char *initiator, bdev_done_fn *done, void *arg)
{
	if (!strncmp(name, "iscsi://", 8))
		return bdev_iscsi_open(loop, name, initiator, done, arg);
	return bdev_file_open(loop, name, done, arg);
}

void
bdev_submit(struct bdev *bdev, struct bdev_io *io)
{
	io->bdev = bdev;
	if (!bdev->up) {
		bdev_io_later(bdev, io, -ENOTCONN);
		return;
	}
	if (io->op != BDEV_FLUSH && (io->len == 0 || io->len > BDEV_MAX_IO ||
	    io->len % bdev->block_size || io->offset % bdev->block_size ||
	    io->offset > bdev->size || io->len > bdev->size - io->offset)) {
		bdev_io_later(bdev, io, -EINVAL);
		return;
	}
	bdev->ios++;
	if (io->op == BDEV_READ)
		bdev->bytes_read += io->len;
	else if (io->op == BDEV_WRITE)
		bdev->bytes_written += io->len;
	bdev->ops->submit(bdev, io);
}

void
bdev_close(struct bdev *bdev)
{
	if (bdev)
		bdev->ops->close(bdev);
}

void
bdev_expire(struct bdev *bdev)
{
	if (bdev->up && bdev->ops->expire)
		bdev->ops->expire(bdev);
}

void
bdev_register(struct bdev *bdev, uint64_t key, bdev_done_fn *done, void *arg)
{
	int err = !bdev->ops->do_register ? -EOPNOTSUPP : bdev->up ? 0 : -ENOTCONN;
	if (err) {
		if (bdev_later(bdev, err, done, arg, false))
			done(bdev, -ENOMEM, arg);
		return;
	}
	bdev->ops->do_register(bdev, key, done, arg);
}

void
bdev_reconnect(struct bdev *bdev, bdev_done_fn *done, void *arg)
{
	if (bdev->up || !bdev->ops->reconnect) {
		int err = bdev->up ? 0 : -EOPNOTSUPP;
		if (bdev_later(bdev, err, done, arg, false))
			done(bdev, -ENOMEM, arg);
		return;
	}
	bdev->ops->reconnect(bdev, done, arg);
}
