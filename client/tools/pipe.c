/*
 * A file copied with several transfers under way.  Local reads and writes happen
 * on the calling thread, in order; what libpnfs ends on its service thread only
 * marks the slot done.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "client/tools/tool.h"

struct pipe {
	pthread_mutex_t lock;
	pthread_cond_t cond;
};

struct pipe_slot {
	struct pnfs_io io;
	struct pipe *pipe;
	bool busy, done;
};

static void
slot_done(struct pnfs_io *io)
{
	struct pipe_slot *slot = io->arg;
	struct pipe *pipe = slot->pipe;
	pthread_mutex_lock(&pipe->lock);
	slot->done = true;
	pthread_cond_signal(&pipe->cond);
	pthread_mutex_unlock(&pipe->lock);
}

static void
slot_wait(struct pipe_slot *slot)
{
	pthread_mutex_lock(&slot->pipe->lock);
	while (!slot->done)
		pthread_cond_wait(&slot->pipe->cond, &slot->pipe->lock);
	pthread_mutex_unlock(&slot->pipe->lock);
	slot->busy = slot->done = false;
}

static int
local_read(int fd, char *buf, size_t len, uint64_t offset)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = pread(fd, buf + at, len - at, (off_t)(offset + at));
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;	/* it became shorter under us */
		at += (size_t)n;
	}
	return 0;
}

static int
local_write(int fd, const char *buf, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = write(fd, buf + at, len - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		at += (size_t)n;
	}
	return 0;
}

/* The transfer in SLOT ended: pass on what was read. */
static int
slot_reap(struct pipe_slot *slot, int fd, bool put, uint64_t *failed_at)
{
	slot_wait(slot);
	int err = slot->io.result < 0 ? (int)slot->io.result :
	    (size_t)slot->io.result != slot->io.len ? -ENODATA : 0;
	if (!err && !put)
		err = local_write(fd, slot->io.buf, slot->io.len);
	if (err)
		*failed_at = slot->io.offset;
	else
		progress_add(slot->io.len);
	return err;
}

static int
slot_start(struct pipe_slot *slot, struct pnfs_file *file, int fd, size_t len, uint64_t at, bool put)
{
	int err = put ? local_read(fd, slot->io.buf, len, at) : 0;
	if (err)
		return err;
	slot->io.file = file;
	slot->io.op = put ? PNFS_IO_WRITE : PNFS_IO_READ;
	slot->io.len = len;
	slot->io.offset = at;
	slot->busy = true;
	pnfs_submit(&slot->io);
	return 0;
}

static int
pipe_run(struct pipe_slot *slots, struct pnfs_file *file, int fd, uint64_t size, bool put, uint64_t *failed_at)
{
	int err = 0;
	unsigned next = 0;
	for (uint64_t at = 0; !err && at < size; next = (next + 1) % PIPE_DEPTH) {
		struct pipe_slot *slot = &slots[next];
		size_t len = size - at < PIPE_CHUNK ? (size_t)(size - at) : PIPE_CHUNK;
		if (slot->busy)
			err = slot_reap(slot, fd, put, failed_at);
		if (err)
			break;
		err = slot_start(slot, file, fd, len, at, put);
		if (err)
			*failed_at = at;
		at += len;
	}
	for (unsigned i = 0; i < PIPE_DEPTH; i++) {
		struct pipe_slot *slot = &slots[(next + i) % PIPE_DEPTH];
		if (slot->busy && err)
			slot_wait(slot);
		else if (slot->busy)
			err = slot_reap(slot, fd, put, failed_at);
	}
	return err;
}

int
pipe_copy(struct pnfs_file *file, int fd, uint64_t size, bool put, uint64_t *failed_at)
{
	struct pipe pipe = { PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER };
	struct pipe_slot slots[PIPE_DEPTH] = { 0 };
	int err = 0;
	for (unsigned i = 0; i < PIPE_DEPTH && !err; i++) {
		err = -posix_memalign(&slots[i].io.buf, 4096, PIPE_CHUNK);
		slots[i].io.done = slot_done;
		slots[i].io.arg = &slots[i];
		slots[i].pipe = &pipe;
	}
	if (!err)
		err = pipe_run(slots, file, fd, size, put, failed_at);
	for (unsigned i = 0; i < PIPE_DEPTH; i++)
		free(slots[i].io.buf);
	pthread_cond_destroy(&pipe.cond);
	pthread_mutex_destroy(&pipe.lock);
	return err;
}
