/*
 * Looks that serve for a whole batch of requests.  conn.c says when a batch begins; dir.c (rights), op_io.c (the end of a file) and names.c
 * (has a directory changed?) look.
 *
 * Requests that one recv brought had all been sent before any of them is looked at.  So what a file is at a moment after
 * that recv is an answer of now to each of them, whatever others do meanwhile: a client that knows of a change sends what depends on it later, and
 * that comes by another recv.  A loop with 16 READs or LOOKUPs in its hands asks the kernel once.
 *
 * Threads that are no loops have no batch: they ask each time.
 */
#include "server/fs/fs_private.h"

#define SEEN 16u			/* files; a slot is the next one's that wants it */

static _Thread_local struct {
	uint64_t batch;			/* 0: none */
	struct {
		uint64_t serial, batch;
		struct fs_stat st;
	} seen[SEEN];
} glance;

void
fs_glance_begin(uint64_t batch)
{
	glance.batch = batch;
}

/* A change made by this thread itself is seen at once. */
void
glance_end(void)
{
	for (unsigned i = 0; glance.batch && i < SEEN; i++)
		glance.seen[i].batch = 0;
}

int
fs_glance(struct inode *inode, struct fs_stat *st)
{
	uint64_t serial = inode->priv->serial;
	unsigned slot = serial % SEEN;

	if (!glance.batch)
		return fs_getattr(inode, st);
	if (glance.seen[slot].serial == serial && glance.seen[slot].batch == glance.batch) {
		*st = glance.seen[slot].st;
		return 0;
	}
	int err = fs_getattr(inode, st);
	if (!err) {
		glance.seen[slot].serial = serial;
		glance.seen[slot].batch = glance.batch;
		glance.seen[slot].st = *st;
	}
	return err;
}
