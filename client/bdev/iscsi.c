/*
 * A LUN by libiscsi as a bdev, in process.
 *
 * libiscsi's own reconnection is off: it would send commands again by itself, while we have to register with the
 * target and revalidate layouts first (bdev->generation).  A connection that fails ends everything under
 * way with -ENOTCONN; bdev_reconnect() starts a new context, with the same ISID: the login
 * reinstates the session, and the target drops what it still had of the old one (RFC 7143 6.3.5) before anything is sent again.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include "client/bdev/bdev_priv.h"
#include "include/log.h"

#define COMMAND_TIMEOUT 20		/* seconds; bounds what may still be written after a fence */
#define MAX_RETRIES 5			/* of a command that met UNIT ATTENTION or BUSY */
#define VPD83_SIZE 1024

struct iscsi_bdev {
	struct bdev b;
	char *initiator;
	struct iscsi_context *ctx;
	int lun, fd, events;
	bool in_service, failed, closing, opened;
	ev_io watcher;
	ev_timer timer;			/* libiscsi's time-outs */
	struct loop_work out;		/* writes what a turn has queued */
	bool out_armed;
	bool later_armed;		/* after_service posted */
	struct loop_work later;
	bdev_done_fn *done;		/* of open or reconnect, or a registration under way */
	void *done_arg;
	uint64_t new_key;
	bool aptpl;
	bool conflict_told;		/* since the last registration */
	uint32_t isid;			/* 24 bits, random, the same for all connections */
	uint64_t serial, stale_before;	/* of commands; what is older was under way at bdev_expire() */
	unsigned under_way, stale;
};

/* One SCSI command under way. */
struct iscsi_req {
	struct iscsi_bdev *i;
	struct bdev_io *io;
	struct scsi_iovec iov;
	unsigned retries;
	uint64_t serial;
};

static void iscsi_update(struct iscsi_bdev *i);
static int iscsi_start(struct iscsi_bdev *i);

/* ---- the context's life ---- */

static void
iscsi_stop(struct iscsi_bdev *i)
{
	struct iscsi_context *ctx = i->ctx;
	if (!ctx)
		return;
	ev_io_stop(loop_ev(i->b.loop), &i->watcher);
	ev_timer_stop(loop_ev(i->b.loop), &i->timer);
	i->ctx = NULL;
	i->fd = -1;
	iscsi_destroy_context(ctx);	/* calls back for all that is under way: cancelled */
}

static void
iscsi_finish(struct iscsi_bdev *i, int status)
{
	bdev_done_fn *done = i->done;
	i->done = NULL;
	if (done)
		done(&i->b, status, i->done_arg);
}

static void
iscsi_free(struct iscsi_bdev *i)
{
	iscsi_stop(i);
	free(i->initiator);
	free(i->b.name);
	free(i);
}

/* Nothing that is queued in the socket goes out any more once it is closed. */
static void
iscsi_cut(struct iscsi_bdev *i)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	int fd = i->ctx ? iscsi_get_fd(i->ctx) : -1;
	if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now))
		log_debug("%s: SO_LINGER: %s", i->b.name, strerror(errno));
}

/* Outside libiscsi's frames: take down what failed, free what was closed. */
static void
iscsi_later(struct loop_work *work)
{
	struct iscsi_bdev *i = (struct iscsi_bdev *)((char *)work - offsetof(struct iscsi_bdev, later));
	i->later_armed = false;
	if (i->closing) {
		if (!i->out_armed)
			iscsi_free(i);
		return;
	}
	if (!i->failed)
		return;
	i->failed = false;
	bdev_set_up(&i->b, false);
	iscsi_cut(i);
	iscsi_stop(i);
	bool first = !i->opened;
	iscsi_finish(i, -ENOTCONN);
	if (first && !i->closing)
		iscsi_free(i);
}

static void
iscsi_arm_later(struct iscsi_bdev *i)
{
	if (i->later_armed)
		return;
	i->later_armed = true;
	loop_post(i->b.loop, &i->later);
}

static void
iscsi_fail(struct iscsi_bdev *i, const char *what)
{
	if (i->failed || !i->ctx)
		return;
	log_warn("%s: %s: %s", i->b.name, what, iscsi_get_error(i->ctx));
	i->failed = true;		/* nothing is submitted any more; the rest follows in iscsi_later */
	iscsi_arm_later(i);
}

static void
iscsi_run(struct iscsi_bdev *i, int revents)
{
	if (!i->ctx || i->failed)
		return;
	i->in_service = true;
	int err = iscsi_service(i->ctx, revents);
	i->in_service = false;
	if (err < 0)
		iscsi_fail(i, "connection lost");
	else
		iscsi_update(i);
}

static void
iscsi_event(struct ev_loop *ev, ev_io *w, int revents)
{
	(void)ev;
	iscsi_run(w->data, (revents & EV_READ ? POLLIN : 0) | (revents & EV_WRITE ? POLLOUT : 0));
}

static void
iscsi_tick(struct ev_loop *ev, ev_timer *w, int revents)
{
	(void)ev, (void)revents;
	struct iscsi_bdev *i = w->data;
	if (i->stale)
		iscsi_fail(i, "commands under way when the lease ran out are given up");
	iscsi_run(i, 0);
}

/* Watch what libiscsi wants watched: descriptor and events change while connecting. */
static void
iscsi_update(struct iscsi_bdev *i)
{
	int fd = iscsi_get_fd(i->ctx);
	int which = iscsi_which_events(i->ctx);
	int events = (which & POLLIN ? EV_READ : 0) | (which & POLLOUT ? EV_WRITE : 0);
	if (fd == i->fd && events == i->events)
		return;
	struct ev_loop *ev = loop_ev(i->b.loop);
	ev_io_stop(ev, &i->watcher);
	i->fd = fd;
	i->events = events;
	if (fd < 0)
		return;
	ev_io_set(&i->watcher, fd, events);
	ev_io_start(ev, &i->watcher);
}

/* Commands of one turn go out together. */
static void
iscsi_out(struct loop_work *work)
{
	struct iscsi_bdev *i = (struct iscsi_bdev *)((char *)work - offsetof(struct iscsi_bdev, out));
	i->out_armed = false;
	if (i->closing)
		iscsi_arm_later(i);
	else
		iscsi_run(i, POLLOUT);
}

static void
iscsi_arm_out(struct iscsi_bdev *i)
{
	if (i->out_armed)
		return;
	i->out_armed = true;
	loop_at_turn_end(i->b.loop, &i->out);
}

/* ---- opening: connect, identity, size ---- */

static int
status_errno(int status)
{
	switch (status) {
	case SCSI_STATUS_GOOD:
		return 0;
	case SCSI_STATUS_RESERVATION_CONFLICT:
		return -EBADE;
	case SCSI_STATUS_BUSY:
	case SCSI_STATUS_TASK_SET_FULL:
		return -EBUSY;
	case SCSI_STATUS_CANCELLED:
	case SCSI_STATUS_ERROR:
	case SCSI_STATUS_TIMEOUT:
	case SCSI_STATUS_TASK_ABORTED:
		return -ENOTCONN;
	default:
		return -EIO;
	}
}

static void
opened(struct iscsi_bdev *i, int err)
{
	if (err) {
		iscsi_fail(i, "cannot use the LUN");
		return;
	}
	i->opened = true;
	bdev_set_up(&i->b, true);
	iscsi_finish(i, 0);
}

static void
on_capacity(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	(void)ctx;
	struct iscsi_bdev *i = arg;
	struct scsi_task *task = data;
	struct scsi_readcapacity16 *cap = status == SCSI_STATUS_GOOD && task ?
	    scsi_datain_unmarshall(task) : NULL;
	int err = status_errno(status);
	if (!err && (!cap || cap->block_length < 512 || cap->block_length > 65536 ||
	    cap->block_length & (cap->block_length - 1) ||
	    cap->returned_lba >= UINT64_MAX / cap->block_length))
		err = -EIO;
	if (!err) {
		uint64_t size = (cap->returned_lba + 1) * cap->block_length;
		if (i->opened && cap->block_length != i->b.block_size)
			err = -EIO;	/* not the LUN it was */
		i->b.size = size;
		i->b.block_size = cap->block_length;
	}
	if (task)
		scsi_free_scsi_task(task);
	if (!i->closing)
		opened(i, err);
}

static void
on_vpd83(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct iscsi_bdev *i = arg;
	struct scsi_task *task = data;
	if (status == SCSI_STATUS_GOOD && task && task->datain.data) {
		i->b.ndesignators = 0;
		if (!bdev_parse_vpd83(&i->b, task->datain.data, (size_t)task->datain.size))
			log_warn("%s: malformed device identification page", i->b.name);
	}
	if (task)
		scsi_free_scsi_task(task);
	if (i->closing || status_errno(status) == -ENOTCONN)
		return;
	if (!iscsi_readcapacity16_task(ctx, i->lun, on_capacity, i))
		iscsi_fail(i, "READ CAPACITY");
}

static void
on_connect(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	(void)data;
	struct iscsi_bdev *i = arg;
	if (i->closing)
		return;
	if (status != SCSI_STATUS_GOOD ||
	    !iscsi_inquiry_task(ctx, i->lun, 1, 0x83, VPD83_SIZE, on_vpd83, i))
		iscsi_fail(i, "cannot connect");
}

static int
iscsi_start(struct iscsi_bdev *i)
{
	struct iscsi_context *ctx = iscsi_create_context(i->initiator);
	if (!ctx)
		return -ENOMEM;
	struct iscsi_url *url = iscsi_parse_full_url(ctx, i->b.name);
	if (!url) {
		log_error("%s: %s", i->b.name, iscsi_get_error(ctx));
		iscsi_destroy_context(ctx);
		return -EINVAL;
	}
	iscsi_set_targetname(ctx, url->target);
	iscsi_set_session_type(ctx, ISCSI_SESSION_NORMAL);
	iscsi_set_header_digest(ctx, ISCSI_HEADER_DIGEST_NONE_CRC32C);
	iscsi_set_isid_random(ctx, i->isid, 0);
	iscsi_set_noautoreconnect(ctx, 1);
	iscsi_set_timeout(ctx, COMMAND_TIMEOUT);
	if (url->user[0])
		iscsi_set_initiator_username_pwd(ctx, url->user, url->passwd);
	i->lun = url->lun;
	i->ctx = ctx;
	i->fd = -1;
	i->events = 0;
	int err = iscsi_full_connect_async(ctx, url->portal, i->lun, on_connect, i);
	iscsi_destroy_url(url);
	if (err) {
		log_error("%s: %s", i->b.name, iscsi_get_error(ctx));
		i->ctx = NULL;
		iscsi_destroy_context(ctx);
		return -ECONNREFUSED;
	}
	ev_timer_init(&i->timer, iscsi_tick, 1., 1.);
	i->timer.data = i;
	ev_timer_start(loop_ev(i->b.loop), &i->timer);
	iscsi_update(i);
	return 0;
}

/* ---- commands ---- */

static bool req_send(struct iscsi_req *req);

static void
req_end(struct iscsi_req *req, int result)
{
	struct bdev_io *io = req->io;
	struct iscsi_bdev *i = req->i;
	i->under_way--;
	if (req->serial < i->stale_before)
		i->stale--;
	free(req);
	io->result = result;
	io->done(io);
}

static void
on_command(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	(void)ctx;
	struct iscsi_req *req = arg;
	struct iscsi_bdev *i = req->i;
	struct scsi_task *task = data;
	bool attention = status == SCSI_STATUS_CHECK_CONDITION && task &&
	    task->sense.key == SCSI_SENSE_UNIT_ATTENTION;
	int err = status_errno(status);
	size_t residual = task && task->residual_status == SCSI_RESIDUAL_UNDERFLOW ? task->residual : 0;
	if (err == -EIO && task && !attention)
		log_warn("%s: sense key %d, ascq 0x%x", i->b.name, task->sense.key, task->sense.ascq);
	if (err == -EBADE && !i->conflict_told) {
		log_warn("%s: RESERVATION CONFLICT: this host was cut off, or is not registered", i->b.name);
		i->conflict_told = true;
	}
	if (task)
		scsi_free_scsi_task(task);
	if ((attention || err == -EBUSY) && req->retries < MAX_RETRIES && i->ctx && !i->failed) {
		if (req->io->may && !req->io->may(req->io)) {
			req_end(req, -EAGAIN);
			return;
		}
		req->retries++;		/* 2A/03 reservations preempted, 29 reset: told once */
		if (req_send(req))
			return;
		err = -ENOMEM;
	}
	if (err == -ENOTCONN && !i->closing)
		iscsi_fail(i, "command lost");
	if (!err && residual)
		err = -EIO;
	req_end(req, err);
}

static bool
req_send(struct iscsi_req *req)
{
	struct iscsi_bdev *i = req->i;
	struct bdev_io *io = req->io;
	uint32_t bs = i->b.block_size;
	struct scsi_task *task;
	req->iov = (struct scsi_iovec){ io->buf, io->len };
	if (io->op == BDEV_READ)
		task = iscsi_read16_iov_task(i->ctx, i->lun, io->offset / bs, io->len, (int)bs,
		    0, 0, 0, 0, 0, on_command, req, &req->iov, 1);
	else if (io->op == BDEV_WRITE)
		task = iscsi_write16_iov_task(i->ctx, i->lun, io->offset / bs, NULL, io->len, (int)bs,
		    0, 0, 0, 0, 0, on_command, req, &req->iov, 1);
	else
		task = iscsi_synchronizecache10_task(i->ctx, i->lun, 0, 0, 0, 0, on_command, req);
	if (task)
		iscsi_arm_out(i);
	return task != NULL;
}

static void
iscsi_submit(struct bdev *bdev, struct bdev_io *io)
{
	struct iscsi_bdev *i = (struct iscsi_bdev *)bdev;
	struct iscsi_req *req = calloc(1, sizeof *req);
	if (!req || i->failed) {
		free(req);
		bdev_io_later(bdev, io, i->failed ? -ENOTCONN : -ENOMEM);
		return;
	}
	req->i = i;
	req->io = io;
	req->serial = i->serial++;
	if (!req_send(req)) {
		free(req);
		bdev_io_later(bdev, io, -EIO);
		return;
	}
	i->under_way++;
}

/* The next tick looks at what is left of them. */
static void
iscsi_expire(struct bdev *bdev)
{
	struct iscsi_bdev *i = (struct iscsi_bdev *)bdev;
	i->stale_before = i->serial;
	i->stale = i->under_way;
}

/* ---- registration (RFC 8154 2.4.10.3) ---- */

static void register_send(struct iscsi_bdev *i);

static void
on_register(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	(void)ctx;
	struct iscsi_bdev *i = arg;
	struct scsi_task *task = data;
	bool attention = status == SCSI_STATUS_CHECK_CONDITION && task &&
	    task->sense.key == SCSI_SENSE_UNIT_ATTENTION;
	bool illegal = status == SCSI_STATUS_CHECK_CONDITION && task &&
	    task->sense.key == SCSI_SENSE_ILLEGAL_REQUEST;
	if (task)
		scsi_free_scsi_task(task);
	if (i->closing)
		return;
	if (attention || (illegal && i->aptpl)) {
		i->aptpl = i->aptpl && !illegal;	/* tgtd refuses APTPL=1 */
		register_send(i);
		return;
	}
	int err = status_errno(status);
	if (err == -ENOTCONN) {
		iscsi_fail(i, "registration lost");	/* which finishes it */
		return;
	}
	if (!err) {
		i->b.pr_key = i->new_key;
		i->conflict_told = false;
	}
	iscsi_finish(i, err);
}

static void
register_send(struct iscsi_bdev *i)
{
	struct scsi_persistent_reserve_out_basic basic = {
		.service_action_reservation_key = i->new_key, .aptpl = i->aptpl };
	if (i->failed)
		return;			/* iscsi_later finishes it */
	if (!iscsi_persistent_reserve_out_task(i->ctx, i->lun,
	    SCSI_PERSISTENT_RESERVE_REGISTER_AND_IGNORE_EXISTING_KEY,
	    SCSI_PERSISTENT_RESERVE_SCOPE_LU, 0, &basic, on_register, i))
		iscsi_fail(i, "PERSISTENT RESERVE OUT");
	else
		iscsi_arm_out(i);
}

static void
iscsi_register(struct bdev *bdev, uint64_t key, bdev_done_fn *done, void *arg)
{
	struct iscsi_bdev *i = (struct iscsi_bdev *)bdev;
	if (i->done) {
		if (bdev_later(bdev, -EBUSY, done, arg, false))
			done(bdev, -ENOMEM, arg);
		return;
	}
	i->done = done;
	i->done_arg = arg;
	i->new_key = key;
	i->aptpl = true;
	register_send(i);
}

static void
iscsi_reopen(struct bdev *bdev, bdev_done_fn *done, void *arg)
{
	struct iscsi_bdev *i = (struct iscsi_bdev *)bdev;
	int err = i->done || i->ctx ? -EBUSY : iscsi_start(i);
	if (err) {
		if (bdev_later(bdev, err, done, arg, false))
			done(bdev, -ENOMEM, arg);
		return;
	}
	i->done = done;
	i->done_arg = arg;
}

static void
iscsi_close(struct bdev *bdev)
{
	struct iscsi_bdev *i = (struct iscsi_bdev *)bdev;
	i->b.up = false;
	i->b.state_changed = NULL;
	i->done = NULL;
	i->closing = true;
	if (i->ctx && !i->in_service)
		iscsi_stop(i);
	iscsi_arm_later(i);
}

static const struct bdev_ops iscsi_ops = { .submit = iscsi_submit, .close = iscsi_close,
	.do_register = iscsi_register, .expire = iscsi_expire, .reconnect = iscsi_reopen };

struct bdev *
bdev_iscsi_open(struct loop *loop, const char *url, const char *initiator,
    bdev_done_fn *done, void *arg)
{
	struct iscsi_bdev *i = calloc(1, sizeof *i);
	if (!i)
		return NULL;
	i->b.ops = &iscsi_ops;
	i->b.loop = loop;
	i->b.name = strdup(url);
	i->initiator = strdup(initiator ? initiator : "iqn.2026-11.org.pnfs-block:client");
	i->fd = -1;
	if (getrandom(&i->isid, sizeof i->isid, 0) != sizeof i->isid)
		i->isid = (uint32_t)getpid();
	i->isid &= 0xffffff;
	i->out.fn = iscsi_out;
	i->later.fn = iscsi_later;
	ev_init(&i->watcher, iscsi_event);
	i->watcher.data = i;
	int err = i->b.name && i->initiator ? iscsi_start(i) : -ENOMEM;
	if (!err) {
		i->done = done;
		i->done_arg = arg;
		return &i->b;
	}
	if (bdev_later(&i->b, err, done, arg, true)) {
		iscsi_free(i);
		return NULL;
	}
	return &i->b;
}
