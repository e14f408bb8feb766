/*
 * See bench_load.h.  Both sides are driven alike: the first transfers are started from
 * the calling thread, every end starts the next one on the service thread.
 */
#include "client/tools/bench_load.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/tools/tool.h"

struct run;

struct transfer {
	struct run *run;
	struct pnfs_io io;
	struct bdev_io bio;
	void *buf;
	struct loop_work start;
};

struct run {
	const struct load *load;
	struct pnfs_file *file;		/* or */
	struct raw *raw;
	pthread_mutex_t lock;		/* the end, and starting from two threads */
	pthread_cond_t cond;
	unsigned started, ended;
	uint64_t next, seed;
	int err;
	struct transfer transfers[LOAD_MAX_DEPTH];
};

/* Where the next transfer goes; false: no more. */
static bool
run_next(struct run *run, uint64_t *offset)
{
	const struct load *load = run->load;
	uint64_t slots = load->span / load->size;
	pthread_mutex_lock(&run->lock);
	bool more = run->started < load->ops && !run->err;
	if (more) {
		run->started++;
		run->seed = run->seed * 6364136223846793005u + 1442695040888963407u;
		uint64_t n = load->sequential ? run->next++ : run->seed >> 20;
		*offset = n % slots * load->size;
	}
	pthread_mutex_unlock(&run->lock);
	return more;
}

static void transfer_start(struct transfer *t);

static void
transfer_end(struct transfer *t, int err)
{
	struct run *run = t->run;
	pthread_mutex_lock(&run->lock);
	run->ended++;
	if (err && !run->err)
		run->err = err;
	bool last = run->ended == run->started && (run->err || run->started == run->load->ops);
	if (last)
		pthread_cond_signal(&run->cond);
	pthread_mutex_unlock(&run->lock);
	if (!last)
		transfer_start(t);
}

static void
file_done(struct pnfs_io *io)
{
	transfer_end(io->arg, io->result < 0 ? (int)io->result : (size_t)io->result != io->len ? -ENODATA : 0);
}

static void
raw_done(struct bdev_io *io)
{
	transfer_end(io->arg, io->result);
}

/* The device address of OFFSET; the extents cover the file. */
static uint64_t
raw_addr(const struct raw *raw, uint64_t offset, uint32_t size, int *err)
{
	for (size_t i = 0; i < raw->nextents; i++) {
		const struct pnfs_extent *e = &raw->extents[i];
		if (offset >= e->offset && offset - e->offset < e->length) {
			if (e->state != PNFS_EXTENT_READ_WRITE || offset + size > e->offset + e->length)
				break;
			return e->device_offset + (offset - e->offset);
		}
	}
	*err = -ENXIO;			/* a transfer over the border of two extents would not compare */
	return 0;
}

static void
transfer_start(struct transfer *t)
{
	struct run *run = t->run;
	const struct load *load = run->load;
	uint64_t offset;
	if (!run_next(run, &offset))
		return;
	if (run->file) {
		t->io = (struct pnfs_io){ .file = run->file, .op = load->write ? PNFS_IO_WRITE : PNFS_IO_READ,
			.buf = t->buf, .len = load->size, .offset = offset, .done = file_done, .arg = t };
		pnfs_submit(&t->io);
		return;
	}
	int err = 0;
	uint64_t addr = raw_addr(run->raw, offset, load->size, &err);
	if (err) {
		transfer_end(t, err);
		return;
	}
	t->bio = (struct bdev_io){ .op = load->write ? BDEV_WRITE : BDEV_READ, .buf = t->buf,
		.len = load->size, .offset = addr, .done = raw_done, .arg = t };
	bdev_submit(run->raw->bdev, &t->bio);
}

static void
start_on_loop(struct loop_work *work)
{
	transfer_start((struct transfer *)((char *)work - offsetof(struct transfer, start)));
}

static double
cpu_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int
run_all(struct run *run, struct load_cost *cost)
{
	const struct load *load = run->load;
	int err = 0;
	for (unsigned i = 0; i < load->depth; i++) {
		struct transfer *t = &run->transfers[i];
		t->run = run;
		t->start.fn = start_on_loop;
		err = err ? err : -posix_memalign(&t->buf, 4096, load->size);
		if (!err)
			memset(t->buf, (int)(0x41 + i), load->size);
	}
	double start = tool_now(), cpu = cpu_now();
	for (unsigned i = 0; i < load->depth && !err; i++) {
		if (run->file)
			transfer_start(&run->transfers[i]);
		else
			loop_post(run->raw->loop, &run->transfers[i].start);
	}
	pthread_mutex_lock(&run->lock);
	while (!err && !(run->ended == run->started && (run->err || run->started == load->ops)))
		pthread_cond_wait(&run->cond, &run->lock);
	pthread_mutex_unlock(&run->lock);
	*cost = (struct load_cost){ .wall = tool_now() - start, .cpu = cpu_now() - cpu };
	for (unsigned i = 0; i < load->depth; i++)
		free(run->transfers[i].buf);
	return err ? err : run->err;
}

static int
run_load(const struct load *load, struct pnfs_file *file, struct raw *raw, struct load_cost *cost)
{
	struct run *run = calloc(1, sizeof *run);
	if (!run)
		return -ENOMEM;
	run->load = load;
	run->file = file;
	run->raw = raw;
	run->seed = 42;
	pthread_mutex_init(&run->lock, NULL);
	pthread_cond_init(&run->cond, NULL);
	int err = run_all(run, cost);
	pthread_cond_destroy(&run->cond);
	pthread_mutex_destroy(&run->lock);
	free(run);
	return err;
}

int
load_file(const struct load *load, struct pnfs_file *file, struct load_cost *cost)
{
	return run_load(load, file, NULL, cost);
}

int
load_raw(const struct load *load, struct raw *raw, struct load_cost *cost)
{
	return run_load(load, NULL, raw, cost);
}

/* ---- the raw LUN ---- */

struct opening {
	const char *device, *initiator;
	struct raw *raw;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
	int status;
};

static void
raw_opened(struct bdev *bdev, int status, void *arg)
{
	struct opening *o = arg;
	pthread_mutex_lock(&o->lock);
	o->raw->bdev = status ? NULL : bdev;
	o->status = status;
	o->done = true;
	pthread_cond_signal(&o->cond);
	pthread_mutex_unlock(&o->lock);
}

static void
raw_open_on_loop(void *arg)
{
	struct opening *o = arg;
	if (!bdev_open(o->raw->loop, o->device, o->initiator, raw_opened, o))
		raw_opened(NULL, -ENOMEM, o);
}

static void
raw_close_on_loop(void *arg)
{
	bdev_close(arg);
}

int
raw_open(struct raw *raw, const char *device, const char *initiator)
{
	struct opening o = { .device = device, .initiator = initiator, .raw = raw,
		.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	raw->loop = loop_new("raw");
	if (!raw->loop || loop_start(raw->loop))
		return -ENOMEM;
	loop_call(raw->loop, raw_open_on_loop, &o);
	pthread_mutex_lock(&o.lock);
	while (!o.done)
		pthread_cond_wait(&o.cond, &o.lock);
	pthread_mutex_unlock(&o.lock);
	return o.status;
}

void
raw_close(struct raw *raw)
{
	if (raw->bdev)
		loop_call(raw->loop, raw_close_on_loop, raw->bdev);
	if (raw->loop)
		loop_stop(raw->loop);
}
