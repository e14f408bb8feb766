/*
 * COPY within the server.  Called by op_copy.c.
 *
 * Not copy_file_range(2): XFS carries that out by sharing blocks (remap_file_range), and files that share blocks get no layouts.  Who wants that asks for it, by
 * CLONE.  After a copy both files can be given out as before.
 */
#include "server/fs/fs_private.h"

#include <linux/falloc.h>
#include <stdlib.h>

#define CHUNK (1u << 20)
#define PIECES 4096u		/* of data and holes, in one go */

struct copying {
	const struct fs_copy *copy;
	uint8_t *buf;
	uint64_t done, moved;	/* bytes; those of data among them */
};

/*
 * Zeros to [offset, offset+len) of DST where it has anything else.  What is allocated there and unwritten stays so: it was reserved (ALLOCATE).
 */
static int
zero(const struct copying *g, uint64_t offset, uint64_t len)
{
	struct inode *dst = g->copy->dst;
	struct fs_stat st;
	uint64_t data, end = offset + len;
	int fd = inode_data_fd(dst), err = fd < 0 ? fd : posix_stat(dst->fd, STATX_BASIC_STATS, &st.stx);
	if (err)
		return err;
	if (end > st.stx.stx_size && (err = posix_set_size(dst, &st, end)))
		return err;
	err = fs_seek(dst, offset, true, &data);
	if (err == -ENXIO || (!err && data >= end))
		return 0;
	if (err)
		return err;
	posix_drop_pages(fd, data, end - data);
	if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)data, (off_t)(end - data)) < 0)
		return errno == EBADF ? -EROFS : -errno;
	return 0;
}

static int
hole(struct copying *g, uint64_t len)
{
	struct inode *dst = g->copy->dst;
	int err = posix_kill_sid(dst);
	if (err)
		return err;
	atomic_store(&dst->priv->dirty, true);
	err = zero(g, g->copy->dst_offset + g->done, len);
	change_bump(dst->priv);
	if (!err)
		g->done += len;
	return err;
}

/* A chunk; 0: no more can be done. */
static int64_t
data(struct copying *g, uint64_t len)
{
	const struct fs_copy *c = g->copy;
	if (len > CHUNK)
		len = CHUNK;
	ssize_t n = fs_read(c->src, g->buf, len, c->src_offset + g->done, false, c->src_coherent);
	if (n > 0)
		n = fs_write(c->dst, g->buf, (size_t)n, c->dst_offset + g->done, false, c->dst_coherent);
	if (n > 0) {
		g->done += (uint64_t)n;
		g->moved += (uint64_t)n;
	}
	return n;
}

/* The next piece: > 0, 0 at the end, -errno. */
static int64_t
piece(struct copying *g)
{
	const struct fs_copy *c = g->copy;
	uint64_t at = c->src_offset + g->done, left = c->len - g->done, next, most = FS_COPY_MOST - g->moved;
	int err = fs_seek(c->src, at, true, &next);
	if (err == -ENXIO)
		next = at + left;
	else if (err)
		return err;
	if (next > at) {
		err = hole(g, next - at < left ? next - at : left);
		return err ? err : 1;
	}
	err = fs_seek(c->src, at, false, &next);
	if (err)
		return err;
	if (left > next - at)
		left = next - at;
	return data(g, left < most ? left : most);
}

int64_t
fs_copy(const struct fs_copy *copy)
{
	struct copying g = { .copy = copy, .buf = malloc(CHUNK) };
	int64_t n = g.buf ? 1 : -ENOMEM;
	for (unsigned i = 0; n > 0 && g.done < copy->len && g.moved < FS_COPY_MOST && i < PIECES; i++)
		n = piece(&g);
	free(g.buf);
	return n < 0 && !g.done ? n : (int64_t)g.done;
}
