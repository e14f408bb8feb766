/*
 * Blocks of files: giving them, taking them, sharing them, finding them.  Called by op_space.c, op_copy.c and op_read_plus.c with io_lock held; no layout is out on
 * what changes here (way.h), but there may be ones beside it, so pages are dropped as posix_data.c does.
 */
#include "server/fs/fs_private.h"

#include <linux/falloc.h>
#include <linux/fs.h>
#include <sys/ioctl.h>

/* The descriptor for a change of the range: the kernel zeroes parts of blocks through pages, which a layout may have left stale. */
static int
change_begin(struct inode *inode, uint64_t offset, uint64_t len, bool coherent)
{
	int fd = inode_data_fd(inode);
	if (fd < 0)
		return fd;
	int err = posix_kill_sid(inode);
	if (err)
		return err;
	posix_set_random(inode, fd, coherent);
	posix_drop_pages(fd, offset, len);
	return fd;
}

/* Durable, and out of the cache where layouts are. */
static int
change_end(struct inode *inode, int fd, uint64_t offset, uint64_t len, bool coherent, int err)
{
	/* With an error, too: a part of it may be done. */
	change_bump(inode->priv);
	int unsettled = posix_settle(inode);
	if (coherent)
		posix_drop_pages(fd, offset, len);
	return err ? err : unsettled;
}

static int
range_change(int fd, int mode, uint64_t offset, uint64_t len)
{
	while (fallocate(fd, mode, (off_t)offset, (off_t)len) < 0)
		if (errno != EINTR)
			return errno == EBADF ? -EROFS : -errno;
	return 0;
}

/*
 * RFC 7862 15.1.3: "no future writes into this region will return NFS4ERR_NOSPC", so blocks shared with a clone are made the file's own.  Only XFS knows how; it does nothing
 * for files that share none.
 */
static int
range_unshare(struct inode *inode, int fd, uint64_t offset, uint64_t len)
{
	struct statx stx;
	int err = posix_stat(inode->fd, STATX_SIZE, &stx);
	if (err || offset >= stx.stx_size)
		return err;
	uint64_t left = stx.stx_size - offset;
	err = range_change(fd, FALLOC_FL_UNSHARE_RANGE | FALLOC_FL_KEEP_SIZE, offset, len < left ? len : left);
	return err == -EOPNOTSUPP ? 0 : err;
}

int
fs_allocate(struct inode *inode, uint64_t offset, uint64_t len, bool coherent)
{
	int fd = change_begin(inode, offset, len, coherent);
	if (fd < 0)
		return fd;
	struct statx stx;
	int err = posix_stat(inode->fd, STATX_SIZE, &stx);
	if (err)
		return err;
	/* What is behind the old end in its block is zeroed through its page. */
	posix_drop_pages(fd, stx.stx_size, 1);
	err = range_change(fd, 0, offset, len);
	if (!err)
		err = range_unshare(inode, fd, offset, len);
	return change_end(inode, fd, offset, len, coherent, err);
}

int
fs_deallocate(struct inode *inode, uint64_t offset, uint64_t len, bool coherent)
{
	int fd = change_begin(inode, offset, len, coherent);
	if (fd < 0)
		return fd;
	int err = range_change(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, len);
	return change_end(inode, fd, offset, len, coherent, err);
}

int
fs_clone(struct inode *src, uint64_t src_offset, struct inode *dst, uint64_t dst_offset, uint64_t len, bool coherent)
{
	CLEANUP_CLOSE int own = -1;
	int src_fd = posix_read_fd(src, &own);
	if (src_fd < 0)
		return src_fd;
	struct statx stx;
	int err = posix_stat(dst->fd, STATX_SIZE, &stx);
	if (err)
		return err;
	uint64_t reach = len ? len : INT64_MAX - dst_offset;
	int fd = change_begin(dst, dst_offset, reach, coherent);
	if (fd < 0)
		return fd;
	posix_drop_pages(fd, stx.stx_size, 1);
	posix_drop_pages(src_fd, src_offset, len ? len : INT64_MAX - src_offset);
	struct file_clone_range range = { .src_fd = src_fd, .src_offset = src_offset, .src_length = len, .dest_offset = dst_offset };
	err = ioctl(fd, FICLONERANGE, &range) < 0 ? -errno : 0;
	if (err == -EBADF)
		err = -EROFS;
	if (err == -ENOTTY)
		err = -EOPNOTSUPP;
	return err ? err : change_end(dst, fd, dst_offset, reach, coherent, 0);
}

int
fs_seek(struct inode *inode, uint64_t offset, bool data, uint64_t *found)
{
	CLEANUP_CLOSE int own = -1;
	if (offset > INT64_MAX)
		return -ENXIO;
	int fd = posix_read_fd(inode, &own);
	if (fd < 0)
		return fd;
	/* The descriptor's own position, which others move at the same time, is used by nobody. */
	off_t at = lseek(fd, (off_t)offset, data ? SEEK_DATA : SEEK_HOLE);
	if (at < 0)
		return -errno;
	*found = (uint64_t)at;
	return 0;
}

void
fs_forget(struct inode *inode, uint64_t offset, uint64_t len)
{
	int fd = inode_data_fd_nowait(inode);
	if (fd >= 0)
		posix_drop_pages(fd, offset, len);
}
