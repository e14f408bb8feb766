/*
 * Bytes of files.  Called by op_io.c with io_lock held.
 *
 * Coherence with layouts (XFS.md): while a client writes the LUN, pages cached here are stale, and a page
 * dirtied here from a stale one writes old bytes back.  So with COHERENT set the pages of a range are dropped before it
 * is touched, writes reach the device before the call returns, and nothing stays cached after -
 * not even read-ahead, which is turned off meanwhile.  A write that covers part of a block
 * reads the rest from the device that moment and writes the block back at once.
 */
#include "server/fs/fs_private.h"

#include <sys/uio.h>

#include "include/log.h"

/* DONTNEED leaves pages that are covered in part: round outwards, to the largest page in use. */
#define PAGE (64u << 10)

void
posix_drop_pages(int fd, uint64_t offset, uint64_t len)
{
	uint64_t start = offset / PAGE * PAGE, end = offset + len;
	end = end < offset || end > INT64_MAX - PAGE ? INT64_MAX : (end + PAGE - 1) / PAGE * PAGE;
	if (start < (uint64_t)INT64_MAX)
		posix_fadvise(fd, (off_t)start, (off_t)(end - start), POSIX_FADV_DONTNEED);
}

void
posix_set_random(struct inode *inode, int fd, bool random)
{
	if (atomic_load(&inode->priv->random) == random)
		return;
	posix_fadvise(fd, 0, 0, random ? POSIX_FADV_RANDOM : POSIX_FADV_NORMAL);
	atomic_store(&inode->priv->random, random);
}

/* All of it, or up to the end of the file, or -errno. */
static ssize_t
read_all(int fd, void *buf, size_t len, uint64_t offset, int flags)
{
	size_t have = 0;
	while (have < len && offset + have <= INT64_MAX) {
		struct iovec iov = { (char *)buf + have, len - have };
		ssize_t n = preadv2(fd, &iov, 1, (off_t)(offset + have), flags);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EOPNOTSUPP && flags ? -EAGAIN : -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

int
posix_read_fd(struct inode *inode, int *own)
{
	int fd = inode_data_fd(inode);
	*own = -1;
	if (fd != -ETXTBSY && fd != -EPERM)
		return fd;
	return *own = inode_reopen(inode, O_RDONLY);
}

static ssize_t
read_unwritable(struct inode *inode, void *buf, size_t len, uint64_t offset)
{
	CLEANUP_CLOSE int own;
	int fd = posix_read_fd(inode, &own);
	return fd < 0 ? fd : read_all(fd, buf, len, offset, 0);
}

ssize_t
fs_read(struct inode *inode, void *buf, size_t len, uint64_t offset, bool nowait, bool coherent)
{
	if (nowait && coherent)
		return -EAGAIN;		/* it would have to drop what is cached */
	int fd = nowait ? inode_data_fd_nowait(inode) : inode_data_fd(inode);
	if (fd == -ETXTBSY || fd == -EPERM)
		return read_unwritable(inode, buf, len, offset);
	if (fd < 0)
		return fd;
	posix_set_random(inode, fd, coherent);
	if (coherent)
		posix_drop_pages(fd, offset, len);
	ssize_t n = read_all(fd, buf, len, offset, nowait ? RWF_NOWAIT : 0);
	if (coherent)
		posix_drop_pages(fd, offset, len);
	return n;
}

/* As much as goes; -errno only if nothing did. */
static ssize_t
write_all(int fd, const void *buf, size_t len, uint64_t offset, int flags)
{
	size_t done = 0;
	while (done < len) {
		struct iovec iov = { (char *)(uintptr_t)buf + done, len - done };
		ssize_t n = pwritev2(fd, &iov, 1, (off_t)(offset + done), flags);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return done ? (ssize_t)done : n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

int
posix_note_error(struct inode *inode, int err)
{
	if (err == -EIO || err == -ENOSPC || err == -EDQUOT)
		atomic_fetch_add(&inode->priv->fs->write_errors, 1);
	return err;
}

/* The range reaches the device (not its cache's medium: that is COMMIT's) and leaves the page cache. */
static int
settle_range(int fd, uint64_t offset, size_t len)
{
	uint64_t start = offset / PAGE * PAGE, end = (offset + len + PAGE - 1) / PAGE * PAGE;
	int err = sync_file_range(fd, (off_t)start, (off_t)(end - start),
	    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER) < 0 ? -errno : 0;
	posix_drop_pages(fd, offset, len);
	return err;
}

ssize_t
fs_write(struct inode *inode, const void *buf, size_t len, uint64_t offset, bool sync, bool coherent)
{
	int fd = inode_data_fd(inode);
	if (fd < 0)
		return fd;
	if (offset > INT64_MAX || len > INT64_MAX - offset)
		return -EFBIG;
	if (!len)
		return 0;
	int err = posix_kill_sid(inode);
	if (err)
		return err;
	posix_set_random(inode, fd, coherent);
	if (coherent)
		posix_drop_pages(fd, offset, len);
	if (!sync)
		atomic_store(&inode->priv->dirty, true);
	ssize_t n = write_all(fd, buf, len, offset, sync ? RWF_SYNC : 0);
	if (n == -EBADF)
		return -EROFS;		/* the descriptor is for reading: the file system is */
	if (coherent && n > 0 && (err = settle_range(fd, offset, (size_t)n)))
		n = err;
	change_bump(inode->priv);
	/* Waiting for pages reports, once, also what others wrote unstably there: who commits that must hear of it. */
	return n < 0 && (sync || coherent) ? posix_note_error(inode, (int)n) : n;
}

int
fs_commit(struct inode *inode, bool coherent)
{
	int fd = inode_data_fd(inode);
	if (fd == -ETXTBSY || fd == -EPERM)
		return 0;		/* cannot be written, so nothing is waiting */
	if (fd < 0)
		return fd;
	/* Cleared first: what is written meanwhile may not be covered. */
	atomic_store(&inode->priv->dirty, false);
	if (fdatasync(fd) < 0)
		return posix_note_error(inode, -errno);
	if (coherent)
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

/* Not by a data descriptor opened for it: one that stays would keep local programs from executing the file.  With open_lock nobody opens that meanwhile, and leases it. */
static int
settle_file(struct inode *inode)
{
	LOCK_SCOPE(&inode->priv->open_lock);
	int fd = inode_data_fd_nowait(inode);
	CLEANUP_CLOSE int own = fd < 0 ? inode_reopen(inode, O_RDONLY) : -1;
	if (fd < 0 && own < 0)
		return own;
	return fsync(fd < 0 ? own : fd) < 0 ? posix_note_error(inode, -errno) : 0;
}

static int
settle_dir(struct inode *inode)
{
	CLEANUP_CLOSE int fd = inode_reopen(inode, O_RDONLY | O_DIRECTORY);
	return fd < 0 ? fd : fsync(fd) < 0 ? -errno : 0;
}

/*
 * XFS's fsync of a directory, and of a file without dirty pages, is a log force: what nfsd does after such operations (commit_metadata).  What cannot be
 * opened - links, files with somebody else's lease - goes the long way.
 */
int
posix_settle(struct inode *inode)
{
	int err = S_ISREG(inode->type) ? settle_file(inode) : S_ISDIR(inode->type) ? settle_dir(inode) : -EAGAIN;
	if (err != -EAGAIN)
		return err;
	return syncfs(inode->export->mount_fd) < 0 ? -errno : 0;
}
