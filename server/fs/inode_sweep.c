/*
 * Inodes that leave the cache for a reason: their last name was removed, or their
 * export is gone.  Called by posix_modify.c and fs.c.
 *
 * A cached descriptor keeps the space of a file that a local process removed, and
 * nobody tells us: a thread looks at the unused ones from time to time.  It also keeps the space that XFS
 * preallocates behind the end of a file that grows until its last writer closes it: so those with much of that are closed.
 * The thread is started with the first inode, so not before a daemon has forked.
 */
#include "server/fs/fs_private.h"

#include <signal.h>
#include <stdlib.h>

#define SWEEP_SECONDS 10
#define SWEEP_BATCH 64u
#define SWEEP_SPARE (1u << 20)		/* bytes allocated beyond the size that are worth a close */

static bool
is_nameless(const struct inode *inode)
{
	struct statx stx;
	return inode->fd >= 0 && posix_stat(inode->fd, STATX_NLINK, &stx) == 0 && stx.stx_nlink == 0;
}

static void
set_unlinked(struct inode *inode)
{
	LOCK_SCOPE(&inode->priv->fs->lock);
	inode->priv->unlinked = true;
}

/* Without a name a file may stay served as long as somebody refers to it (PITFALLS D12). */
void
inode_name_removed(struct fs_export *fse, const struct handle_native *native)
{
	struct inode *inode;
	if (inode_of_native_nowait(fse, native, &inode))
		return;
	change_bump(inode->priv);
	if (is_nameless(inode))
		set_unlinked(inode);
	inode_put(inode);
}

/* Those in use stay until they are put, but no handle leads to them any more. */
void
inode_drop_export(struct fs_export *fse)
{
	struct fs *fs = fse->fs;
	struct inode_dead dropped = TAILQ_HEAD_INITIALIZER(dropped);
	struct inode_private *p, *tmp;
	pthread_mutex_lock(&fs->lock);
	HASH_ITER(hh, fs->inodes, p, tmp) {
		if (p->fse != fse)
			continue;
		/* A reference for ourselves: its link is free then, and the put buries it if that was the last. */
		inode_get_locked(fs, p);
		inode_unhash_locked(fs, p);
		TAILQ_INSERT_TAIL(&dropped, p, lru);
	}
	pthread_mutex_unlock(&fs->lock);
	while ((p = TAILQ_FIRST(&dropped))) {
		TAILQ_REMOVE(&dropped, p, lru);
		inode_put(&p->inode);
	}
}

/* Has it much more space than it has size?  (A file with holes has less: what it keeps behind its end stays until the descriptor is closed for another reason.) */
static bool
is_spacious(const struct inode *inode)
{
	struct statx stx;
	return S_ISREG(inode->type) && atomic_load(&inode->priv->data_fd) >= 0 &&
	    posix_stat(inode->fd, STATX_SIZE | STATX_BLOCKS, &stx) == 0 && stx.stx_blocks * 512 > stx.stx_size + SWEEP_SPARE;
}

static void
set_spacious(struct inode *inode)
{
	LOCK_SCOPE(&inode->priv->fs->lock);
	inode->priv->spacious = true;
}

void
inode_sweep(struct fs *fs)
{
	struct inode *batch[SWEEP_BATCH];
	pthread_mutex_lock(&fs->lock);
	unsigned left = fs->nunused, n;
	/* What is put goes to the end of the list, so the front is what was not looked at yet; the order stays. */
	while (left && !fs->stop) {
		struct inode_private *p;
		for (n = 0; n < SWEEP_BATCH && left && (p = TAILQ_FIRST(&fs->unused)); left--)
			batch[n++] = inode_get_locked(fs, p);
		if (!n)
			break;
		pthread_mutex_unlock(&fs->lock);
		for (unsigned i = 0; i < n; i++) {
			if (is_nameless(batch[i]))
				set_unlinked(batch[i]);
			else if (is_spacious(batch[i]))
				set_spacious(batch[i]);
			inode_put(batch[i]);
		}
		pthread_mutex_lock(&fs->lock);
	}
	pthread_mutex_unlock(&fs->lock);
	inode_room(fs, fs->max_fds);
}

static void
sweep_later(struct timespec *ts)
{
	clock_gettime(CLOCK_MONOTONIC, ts);
	ts->tv_sec += SWEEP_SECONDS;
}

static void *
sweeper(void *arg)
{
	struct fs *fs = arg;
	struct timespec ts;
	sweep_later(&ts);
	pthread_mutex_lock(&fs->lock);
	while (!fs->stop) {
		bool work = fs->work;
		if (!work && pthread_cond_timedwait(&fs->wake, &fs->lock, &ts) != ETIMEDOUT)
			continue;
		fs->work = false;
		pthread_mutex_unlock(&fs->lock);
		if (work) {
			inode_room(fs, fs->max_fds);
		} else {
			inode_sweep(fs);
			sweep_later(&ts);
		}
		pthread_mutex_lock(&fs->lock);
	}
	pthread_mutex_unlock(&fs->lock);
	return NULL;
}

/* Without the thread descriptors are closed only by those who open more. */
void
inode_sweeper_start_locked(struct fs *fs)
{
	if (fs->sweeping || fs->stop)
		return;
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	fs->sweeping = pthread_create(&fs->sweeper, NULL, sweeper, fs) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void
inode_sweeper_stop(struct fs *fs)
{
	pthread_mutex_lock(&fs->lock);
	fs->stop = true;
	pthread_cond_signal(&fs->wake);
	pthread_mutex_unlock(&fs->lock);
	if (fs->sweeping)
		pthread_join(fs->sweeper, NULL);
	fs->sweeping = false;
}
