/*
 * The change attribute (RFC 8881 5.8.1.4, PITFALLS E4).  Called by posix_attr.c and by
 * whatever changes a file.
 *
 * Where the kernel has multigrain timestamps (6.13 and later: XFS, ext4, btrfs, tmpfs)
 * two changes with a look between them never share a ctime: ctime in nanoseconds is
 * the change.
 *
 * Elsewhere ctime stands still for a tick (at most 10 ms).  Then, while an inode is in
 * the cache, changes made through us within a tick count up from ctime.  What would be
 * forgotten with the inode (eviction, restart) is kept from repeating like this: an
 * inode that comes into the cache is looked at only when its ctime is older than CHANGE_SETTLE - the
 * thread sleeps until then, which only happens right after a change - and starts at ctime + CHANGE_TICK,
 * more than any value given before, less than any ctime to come.
 * Changes by local processes within one tick cannot be told apart there.
 */
#include "server/fs/fs_private.h"

#include <stdio.h>

#define CHANGE_TICK (20 * 1000000ull)		/* ns */
#define CHANGE_SETTLE (3 * CHANGE_TICK)

/* Six changes in a row on a nameless file take less than a tick: all differ, or ctime is coarse. */
bool
change_probe(int dir_fd)
{
	CLEANUP_CLOSE int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return false;
	struct statx stx;
	uint64_t last = 0;
	for (unsigned i = 0; i < 6; i++) {
		if (fchmod(fd, i % 2 ? 0600 : 0640) < 0 || posix_stat(fd, STATX_CTIME, &stx) || change_ctime(&stx) == last)
			return false;
		last = change_ctime(&stx);
	}
	return true;
}

void
change_load(struct inode_private *p, struct statx *stx, bool fresh)
{
	if (p->fse->fine_ctime)
		return;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	uint64_t now_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec, c = change_ctime(stx);
	if (!fresh && now_ns - c < CHANGE_SETTLE) {
		struct timespec ts = { .tv_nsec = (long)(CHANGE_SETTLE - (now_ns - c)) };
		nanosleep(&ts, NULL);
		if (posix_stat(p->inode.fd, STATX_BASIC_STATS, stx))
			return;
		c = change_ctime(stx);
	}
	p->change_ctime = c;
	p->change_last = fresh ? c : c + CHANGE_TICK;
}

uint64_t
change_value(struct inode_private *p, const struct statx *stx)
{
	uint64_t c = change_ctime(stx);
	if (p->fse->fine_ctime)
		return c;
	LOCK_SCOPE(&p->change_lock);
	unsigned changes = atomic_load(&p->changes);
	/* A look that was overtaken by a newer one must not set the clock back: ctime only counts when it is ahead. */
	if (c > p->change_last)
		p->change_last = c;
	else if (c > p->change_ctime || changes != p->changes_seen)
		p->change_last++;
	if (c > p->change_ctime)
		p->change_ctime = c;
	p->changes_seen = changes;
	return p->change_last;
}

/* After the change, never before: who sees the new value must see the new file. */
void
change_bump(struct inode_private *p)
{
	atomic_fetch_add(&p->changes, 1);
	glance_end();
}

void
fs_inode_changed(struct inode *inode)
{
	change_bump(inode->priv);
}

bool
fs_change_atomic(const struct inode *dir)
{
	(void)dir;
	return false;
}
