/*
 * Provider plain: from ranges of a leased file to blocks, and back by commit.  See plain.h.
 *
 * What is given for writing are whole blocks inside EOF that are allocated, written and in the log before we answer (PITFALLS A3, A4): holes
 * and unwritten extents are filled with zeros first.  So a commit has no states to change: it flushes and moves the times.
 *
 * io_lock is held for writing throughout.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/utsname.h>
#include <time.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/export/fiemap.h"
#include "server/export/file_rules.h"
#include "server/export/plain.h"
#include "server/fs/fs.h"

#ifndef FALLOC_FL_WRITE_ZEROES
#define FALLOC_FL_WRITE_ZEROES 0x80
#endif

#define ZERO_IOV 8u
#define ZERO_PART (1u << 20)

/* ---- is what the file has on the device still all there is? ---- */

/*
 * The ctime of a file when it was last flushed by us with nobody else near (lease held): while it stands, nothing is
 * dirty and nothing waits in the log, so a map needs no flush.  Direct-mapped by inode number; a lost entry costs one flush.
 */
#define STAMPS 4096u

static struct {
	pthread_mutex_t lock;
	struct stamp {
		uint64_t ino, dev;
		struct statx_timestamp ctime, btime;
	} table[STAMPS];
} stamps = { .lock = PTHREAD_MUTEX_INITIALIZER };

static int
stat_fd(int fd, struct statx *stx)
{
	return statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_BTIME, stx) ? -errno : 0;
}

static void
stamp_of(const struct statx *stx, struct stamp *stamp)
{
	memset(stamp, 0, sizeof *stamp);
	stamp->ino = stx->stx_ino;
	stamp->dev = (uint64_t)stx->stx_dev_major << 32 | stx->stx_dev_minor;
	stamp->ctime.tv_sec = stx->stx_ctime.tv_sec;
	stamp->ctime.tv_nsec = stx->stx_ctime.tv_nsec;
	stamp->btime.tv_sec = stx->stx_btime.tv_sec;
	stamp->btime.tv_nsec = stx->stx_btime.tv_nsec;
}

static bool
stamp_known(const struct statx *stx)
{
	struct stamp stamp;
	stamp_of(stx, &stamp);
	LOCK_SCOPE(&stamps.lock);
	return memcmp(&stamps.table[stamp.ino % STAMPS], &stamp, sizeof stamp) == 0;
}

static bool ctime_fine;			/* kernel >= 6.13: ctime that was looked at never stays over a change */

__attribute__((constructor)) static void
ctime_probe(void)
{
	struct utsname uts;
	unsigned major = 0, minor = 0;
	if (uname(&uts) == 0 && sscanf(uts.release, "%u.%u", &major, &minor) == 2)
		ctime_fine = major > 6 || (major == 6 && minor >= 13);
}

/* STX was taken after the flush.  With a ctime by ticks, a change right now could leave it as it is: then nothing is remembered. */
static void
stamp_set(const struct statx *stx)
{
	struct stamp stamp;
	struct timespec now;
	stamp_of(stx, &stamp);
	clock_gettime(CLOCK_REALTIME, &now);
	int64_t age = (now.tv_sec - stamp.ctime.tv_sec) * 1000000000ll + now.tv_nsec - stamp.ctime.tv_nsec;
	if (!ctime_fine && age < 40 * 1000000)
		return;
	LOCK_SCOPE(&stamps.lock);
	stamps.table[stamp.ino % STAMPS] = stamp;
}

/* ---- zeros ---- */

static const void *
zeros(void)
{
	static _Atomic(void *) page;
	void *p = atomic_load(&page), *none = NULL;
	if (p)
		return p;
	p = mmap(NULL, ZERO_PART, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (p == MAP_FAILED)
		return NULL;
	memset(p, 0, ZERO_PART);	/* pages of its own: the shared zero page makes slow vectors */
	if (!atomic_compare_exchange_strong(&page, &none, p)) {
		munmap(p, ZERO_PART);
		return none;
	}
	return p;
}

/* Written zeros over [offset, offset+length), past the page cache: *fd is O_DIRECT here. */
static int
zero_write(int fd, uint64_t offset, uint64_t length)
{
	const void *part = zeros();
	if (!part)
		return -ENOMEM;
	while (length) {
		struct iovec iov[ZERO_IOV];
		int n = 0;
		for (uint64_t left = length; left && n < (int)ZERO_IOV; n++) {
			iov[n].iov_base = (void *)(uintptr_t)part;
			iov[n].iov_len = left < ZERO_PART ? left : ZERO_PART;
			left -= iov[n].iov_len;
		}
		ssize_t done = pwritev(fd, iov, n, (off_t)offset);
		if (done < 0 && errno == EINTR)
			continue;
		if (done <= 0)
			return done ? -errno : -EIO;
		offset += (uint64_t)done;
		length -= (uint64_t)done;
	}
	return 0;
}

/*
 * A hole or unwritten extent becomes written zeros.  FALLOC_FL_WRITE_ZEROES may move the range to other blocks: fine, nobody has been given
 * the old ones.  A hole is allocated in one go first, so that it becomes one extent and ENOSPC comes before the work.
 */
static int
zero_piece(int fd, const struct iomap *piece)
{
	static atomic_bool no_write_zeroes;
	off_t offset = (off_t)piece->offset, length = (off_t)piece->length;
	if (!atomic_load(&no_write_zeroes)) {
		if (fallocate(fd, FALLOC_FL_WRITE_ZEROES, offset, length) == 0)
			return 0;
		if (errno != EOPNOTSUPP && errno != EINVAL)
			return -errno;
		atomic_store(&no_write_zeroes, true);
	}
	if (piece->type == IOMAP_HOLE && fallocate(fd, FALLOC_FL_KEEP_SIZE, offset, length) && errno != EOPNOTSUPP)
		return -errno;
	return zero_write(fd, piece->offset, piece->length);
}

/*
 * Fill whatever is not written in [offset, end).  The shared description is O_DIRECT meanwhile: nobody else uses it, since io_lock is held for
 * writing; a second descriptor would break our own lease.
 */
static int
zero_fill(int fd, uint64_t offset, uint64_t end, enum reason *why)
{
	struct fiemap_iter it;
	struct iomap piece;
	int flags = fcntl(fd, F_GETFL), r;
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) < 0)
		return -errno;
	fiemap_start(&it, fd, offset, end, false);
	while ((r = fiemap_next(&it, &piece, why)) > 0) {
		if (piece.type == IOMAP_MAPPED)
			continue;
		r = zero_piece(fd, &piece);
		if (r) {
			*why = r == -ENOSPC || r == -EDQUOT ? REASON_NO_SPACE : REASON_IO_ERROR;
			break;
		}
	}
	if (fcntl(fd, F_SETFL, flags) < 0 && r == 0)
		r = -errno;
	return r;
}

static int
fill_or_make_room(int fd, uint64_t offset, uint64_t end, enum reason *why)
{
	int r = zero_fill(fd, offset, end, why);

	if (r != -ENOSPC || !file_rules_make_room(fd))
		return r;
	*why = REASON_NONE;
	return zero_fill(fd, offset, end, why);
}

/* ---- maps ---- */

/*
 * The map of [offset, end), blocks beyond eof_end being holes whatever is preallocated there; UNWRITTEN reads as a hole.
 * For writing: -ENODATA if not all is written blocks.
 */
static int
map_collect(int fd, uint64_t offset, uint64_t end, uint64_t eof_end, bool write, bool sync, struct iomap *map,
    unsigned max, enum reason *why)
{
	struct fiemap_iter it;
	struct iomap piece;
	unsigned n = 0;
	uint64_t inside = end < eof_end ? end : eof_end;
	int r = 0;
	fiemap_start(&it, fd, offset, inside, sync);
	while (offset < inside && (r = fiemap_next(&it, &piece, why)) > 0) {
		if (write && piece.type != IOMAP_MAPPED)
			return -ENODATA;
		if (piece.type != IOMAP_MAPPED) {
			piece.type = IOMAP_HOLE;
			piece.addr = 0;
		}
		if (!iomap_append(map, &n, max, &piece))
			return (int)n;
	}
	if (r < 0)
		return r;
	if (!write && end > inside) {
		uint64_t from = offset > inside ? offset : inside;
		piece = (struct iomap){ .offset = from, .length = end - from, .type = IOMAP_HOLE };
		iomap_append(map, &n, max, &piece);
	}
	return (int)n;
}

/*
 * Everything of the file to the device, its blocks into the log; remembered as clean.  As a commit, since the kernel tells of lost data once for a
 * descriptor: the COMMIT of a client whose unstable writes are lost here would find all well (PITFALLS E11).
 */
static int
settle(struct plain_lease *pl, struct statx *stx)
{
	int r = fs_commit(pl->lease.inode, false);
	if (r == 0)
		r = stat_fd(pl->fd, stx);
	if (r == 0)
		stamp_set(stx);
	return r;
}

static int
map_read(struct plain_lease *pl, struct statx *stx, uint64_t offset, uint64_t end, struct iomap *map,
    unsigned max, enum reason *why)
{
	uint64_t bs = pl->lease.inode->export->block_size;
	bool clean = stamp_known(stx);
	/* Also what was allocated must be in the log: after a crash the blocks could be another file's (PITFALLS A4). */
	int r = clean ? 0 : settle(pl, stx);
	return r ? r : map_collect(pl->fd, offset, end, (stx->stx_size + bs - 1) / bs * bs, false, !clean, map, max, why);
}

static int
map_write(struct plain_lease *pl, struct statx *stx, uint64_t offset, uint64_t end, struct iomap *map, unsigned max,
    enum reason *why)
{
	uint64_t bs = pl->lease.inode->export->block_size, whole = stx->stx_size / bs * bs;
	int r;
	if (end > whole) {		/* the partial block at EOF, and all behind, go through the server */
		*why = REASON_EOF_BLOCK;
		if (offset >= whole)
			return 0;
		end = whole;
	}
	if (!pl->stripped) {
		r = file_rules_strip(pl->fd, stx);
		if (r)
			return r;
		pl->stripped = true;
	}
	bool clean = stamp_known(stx);
	int n = map_collect(pl->fd, offset, end, end, true, !clean, map, max, why);
	bool fill = n == -ENODATA;
	if (fill)
		n = fill_or_make_room(pl->fd, offset, end, why);
	/* After a failure too: what was filled is written and may be mapped later. */
	if ((fill || !clean) && (r = settle(pl, stx)) && n >= 0)
		n = r;
	if (fill && n >= 0)
		n = map_collect(pl->fd, offset, end, end, true, false, map, max, why);
	/*
	 * No page of ours may outlive the client's writes (XFS.md, Coherence).  While layouts are out, reads here leave none; but between the last
	 * one's return and the end of the lease they do, and such pages may be larger than what coherent reads and writes drop.
	 */
	posix_fadvise(pl->fd, 0, 0, POSIX_FADV_DONTNEED);
	pl->written = true;
	return n == -ENODATA ? -EIO : n;	/* filled just now, with everybody shut out */
}

int
plain_map_blocks(struct layout_lease *lease, uint64_t offset, uint64_t length, bool write,
    struct iomap *map, unsigned max, enum reason *why)
{
	struct plain_lease *pl = plain_lease(lease);
	uint64_t bs = lease->inode->export->block_size;
	uint64_t end = length > INT64_MAX - offset ? (uint64_t)INT64_MAX / bs * bs : offset + length;
	struct statx stx;
	*why = REASON_NONE;
	if (offset > INT64_MAX || offset % bs || end % bs || end <= offset || !max) {
		*why = REASON_UNALIGNED;
		return -EINVAL;
	}
	int r = stat_fd(pl->fd, &stx);
	if (r == 0)
		r = write ? map_write(pl, &stx, offset, end, map, max, why) :
		    map_read(pl, &stx, offset, end, map, max, why);
	if (r < 0 && *why == REASON_NONE)
		*why = r == -ENOSPC || r == -EDQUOT ? REASON_NO_SPACE : REASON_IO_ERROR;
	return r;
}

/* ---- commit ---- */

/*
 * The size never changes here: all that was granted lies inside EOF, so a last-write offset beyond it is no news of ours, and one
 * before it must not cut the file (PITFALLS A1).  The client's mtime is not believed (A30): it is now.
 */
int
plain_commit_blocks(struct layout_lease *lease, const struct iomap *ranges, unsigned n,
    const struct commit_attr *attr)
{
	struct plain_lease *pl = plain_lease(lease);
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } };
	struct statx stx;
	(void)attr;
	/* Cached pages are older than the device.  One call from the first range to the last: 10,000 took 2 s under UML (A29). */
	uint64_t start = n ? ranges[0].offset : 0;		/* overwrites: the client does not say where */
	uint64_t end = n ? ranges[n - 1].offset + ranges[n - 1].length : 0;
	posix_fadvise(pl->fd, (off_t)start, (off_t)(end - start), POSIX_FADV_DONTNEED);
	if (futimens(pl->fd, times))
		return -errno;
	/* What follows flushes the device's cache too, dirty or not (RFC 8154 2.8). */
	fs_inode_changed(lease->inode);
	return settle(pl, &stx);
}
