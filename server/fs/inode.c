/*
 * The inode cache: exactly one struct inode per file, found by its handle without
 * the MAC - which LOOKUP can make by itself - so that a warm LOOKUP or PUTFH
 * opens nothing.  Called by every verb and by whoever holds an inode.
 *
 * Inodes without references stay, oldest first to go, as long as the descriptors
 * of all inodes keep below fs->max_fds.  Putting one never waits: closing is the sweeper's (inode_sweep.c), or of
 * whoever is going to open more and may wait.
 */
#include "server/fs/fs_private.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "include/log.h"

#define MAX_FDS 65536u		/* each pins about 2 KiB of kernel memory */

void
inode_cache_init(struct fs *fs)
{
	struct rlimit rl = { .rlim_cur = 1024, .rlim_max = 1024 };
	getrlimit(RLIMIT_NOFILE, &rl);
	/* The hard limit, too, if we may (CAP_SYS_RESOURCE): 20,000, as some hosts have it, are 10,000 files with layouts. */
	struct rlimit most = { .rlim_cur = 2 * MAX_FDS, .rlim_max = rl.rlim_max < 2 * MAX_FDS ? 2 * MAX_FDS : rl.rlim_max };
	if (rl.rlim_cur < 2 * MAX_FDS && setrlimit(RLIMIT_NOFILE, &most) < 0) {
		rl.rlim_cur = rl.rlim_max;
		if (setrlimit(RLIMIT_NOFILE, &rl) < 0)
			log_warn("cannot raise the limit of open files: %s", strerror(errno));
	}
	getrlimit(RLIMIT_NOFILE, &rl);
	fs->max_fds = rl.rlim_cur / 2 > MAX_FDS ? MAX_FDS : (unsigned)(rl.rlim_cur / 2);
	/* Held for a moment by every PUTFH of every loop: to sleep for it costs more than to spin. */
	pthread_mutexattr_t spin;
	pthread_mutexattr_init(&spin);
	pthread_mutexattr_settype(&spin, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&fs->lock, &spin);
	pthread_mutexattr_destroy(&spin);
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&fs->wake, &attr);
	pthread_condattr_destroy(&attr);
	TAILQ_INIT(&fs->unused);
	TAILQ_INIT(&fs->dead);
}

struct inode_private *
inode_alloc(struct fs *fs, struct fs_export *fse, const struct handle *handle)
{
	static atomic_uint_fast64_t serial;
	struct inode_private *p = calloc(1, sizeof *p);
	if (!p)
		return NULL;
	p->serial = atomic_fetch_add(&serial, 1) + 1;
	p->fs = fs;
	p->fse = fse;
	p->inode.priv = p;
	p->inode.export = fse ? fse->export : NULL;
	p->inode.fd = -1;
	memcpy(p->inode.handle, handle->bytes, handle->len);
	p->inode.handle_len = handle->len;
	atomic_init(&p->data_fd, -1);
	atomic_init(&p->refs, 1);
	pthread_rwlock_init(&p->inode.io_lock, NULL);
	pthread_mutex_init(&p->open_lock, NULL);
	pthread_mutex_init(&p->dir_lock, NULL);
	pthread_mutex_init(&p->change_lock, NULL);
	return p;
}

/* ---- under fs->lock ---- */

static unsigned
inode_fds(const struct inode_private *p)
{
	return (p->inode.fd >= 0) + (atomic_load(&p->data_fd) >= 0);
}

void
inode_hash_locked(struct fs *fs, struct inode_private *p)
{
	HASH_ADD_KEYPTR(hh, fs->inodes, p->inode.handle, p->inode.handle_len - HANDLE_MAC, p);
	p->hashed = true;
	fs->fds += inode_fds(p);
}

/* Its descriptors count until they are closed. */
void
inode_unhash_locked(struct fs *fs, struct inode_private *p)
{
	HASH_DELETE(hh, fs->inodes, p);
	p->hashed = false;
}

struct inode_private *
inode_peek_locked(struct fs *fs, const void *body, unsigned len)
{
	struct inode_private *p;
	HASH_FIND(hh, fs->inodes, body, len, p);
	return p;
}

struct inode *
inode_get_locked(struct fs *fs, struct inode_private *p)
{
	if (atomic_fetch_add(&p->refs, 1) == 0) {
		TAILQ_REMOVE(&fs->unused, p, lru);
		fs->nunused--;
	}
	return &p->inode;
}

void
inode_bury_locked(struct fs *fs, struct inode_private *p)
{
	if (p->hashed)
		inode_unhash_locked(fs, p);
	TAILQ_INSERT_TAIL(&fs->dead, p, lru);
}

void
inode_wake_sweeper_locked(struct fs *fs)
{
	fs->work = true;
	pthread_cond_signal(&fs->wake);
}

/* ---- without ---- */

/* Unstable data of a file that leaves the cache: the last chance to learn of its loss. */
static void
settle_dirty(struct inode_private *p)
{
	if (!atomic_load(&p->dirty) || p->unlinked || fdatasync(atomic_load(&p->data_fd)) == 0)
		return;
	log_error("inode %llu: data written but not committed is lost: %s", (unsigned long long)p->inode.ino,
	    strerror(errno));
	atomic_fetch_add(&p->fs->write_errors, 1);
}

static void
destroy(struct inode_private *p)
{
	settle_dirty(p);
	if (p->inode.fd >= 0)
		close(p->inode.fd);
	if (atomic_load(&p->data_fd) >= 0)
		close(atomic_load(&p->data_fd));
	pthread_rwlock_destroy(&p->inode.io_lock);
	pthread_mutex_destroy(&p->open_lock);
	pthread_mutex_destroy(&p->dir_lock);
	pthread_mutex_destroy(&p->change_lock);
	if (p->fse)
		fs_export_put(p->fse);
	free(p);
}

/* Closing the last descriptor of a file without a name frees its blocks. */
static bool
may_close(const struct fs *fs, const struct inode_private *p)
{
	return fs->stop || !p->unlinked || !p->inode.export || !export_holds_blocks(p->inode.export);
}

/* The next to be closed: dead, or unused and too much; NULL. */
static struct inode_private *
take_locked(struct fs *fs, unsigned max_fds)
{
	struct inode_private *p = TAILQ_FIRST(&fs->dead);
	while (p && !may_close(fs, p))
		p = TAILQ_NEXT(p, lru);
	if (!p && fs->fds > max_fds && (p = TAILQ_FIRST(&fs->unused))) {
		TAILQ_REMOVE(&fs->unused, p, lru);
		fs->nunused--;
		inode_bury_locked(fs, p);
	}
	if (p) {
		TAILQ_REMOVE(&fs->dead, p, lru);
		fs->fds -= inode_fds(p);
	}
	return p;
}

bool
inode_room(struct fs *fs, unsigned max_fds)
{
	bool any = false;
	for (;;) {
		pthread_mutex_lock(&fs->lock);
		struct inode_private *p = take_locked(fs, max_fds);
		pthread_mutex_unlock(&fs->lock);
		if (!p)
			return any;
		destroy(p);
		any = true;
	}
}

bool
inode_out_of_fds(struct fs *fs, int err)
{
	if (err != -EMFILE && err != -ENFILE)
		return false;
	if (inode_room(fs, 0))
		return true;
	uint64_t now = mds_now_ms();
	LOCK_SCOPE(&fs->lock);
	if (!fs->fds_logged_ms || now - fs->fds_logged_ms >= 10000) {
		fs->fds_logged_ms = now;
		log_error("no descriptor is left: %u are of files that clients use (pnfs-mds(8), CAVEATS)", fs->fds);
	}
	return false;
}

struct inode *
inode_get(struct inode *inode)
{
	atomic_fetch_add(&inode->priv->refs, 1);
	return inode;
}

void
inode_put(struct inode *inode)
{
	if (!inode)
		return;
	struct inode_private *p = inode->priv;
	unsigned refs = atomic_load(&p->refs);
	while (refs > 1)
		if (atomic_compare_exchange_weak(&p->refs, &refs, refs - 1))
			return;

	struct fs *fs = p->fs;
	LOCK_SCOPE(&fs->lock);
	if (atomic_fetch_sub(&p->refs, 1) != 1)
		return;
	/*
	 * Whoever puts it may be a loop: closing a descriptor with unstable data behind it, or the last one of a file without a name, waits for
	 * storage.  So the sweeper does it.
	 */
	bool stays = p->hashed && !p->unlinked && !p->spacious;
	if (stays) {
		TAILQ_INSERT_TAIL(&fs->unused, p, lru);
		fs->nunused++;
	} else {
		inode_bury_locked(fs, p);
	}
	if (!stays || fs->fds > fs->max_fds)
		inode_wake_sweeper_locked(fs);
}

struct inode *
inode_find(struct fs *fs, const void *body, unsigned len)
{
	LOCK_SCOPE(&fs->lock);
	struct inode_private *p = inode_peek_locked(fs, body, len);
	return p ? inode_get_locked(fs, p) : NULL;
}

/* At the end, when nobody else is there. */
void
inode_cache_free(struct fs *fs)
{
	struct inode_private *p, *tmp;
	pthread_mutex_lock(&fs->lock);
	TAILQ_INIT(&fs->unused);
	HASH_ITER(hh, fs->inodes, p, tmp)
		inode_bury_locked(fs, p);
	pthread_mutex_unlock(&fs->lock);
	inode_room(fs, UINT_MAX);
}
