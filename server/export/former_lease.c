/* See former_lease.h.  Called by net/server.c and by the providers, whose leases they are. */
#include "server/export/former_lease.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/export/kernel.h"
#include "server/export/plain.h"
#include "server/fs/fs.h"
#include "server/keeper/keeper.h"
#include "server/mds.h"
#include "server/net/worker.h"

struct former_lease {
	enum keeper_kind kind;		/* a leased file, or nfsd with all it has given */
	struct inode *inode;		/* referenced; NULL: nfsd, or the file has no name or no export any more */
	struct export *export;		/* referenced; NULL: nfsd, or it is not exported any more */
	int fd;				/* inode's data descriptor, or ours */
	unsigned key_len;
	uint8_t key[KEEPER_KEY_MAX];
	TAILQ_ENTRY(former_lease) link;
};

struct former_leases {
	struct mds *mds;
	pthread_mutex_t lock;		/* of the list; a leaf */
	TAILQ_HEAD(, former_lease) list;
	atomic_uint n, nfsds;		/* nfsds are among them */
	atomic_bool busy;		/* a worker is at it */
	bool plain;			/* plain_leases_start() was done for us */
	struct work work;
};

static void former_leases_work(struct work *work);

/* ---- start ---- */

static void
take_inode(struct mds *mds, struct former_lease *f)
{
	int err = fs_inode(mds->fs, f->key, f->key_len, &f->inode);
	if (err) {
		f->inode = NULL;
	} else if ((err = fs_adopt_fd(f->inode, f->fd))) {
		inode_put(f->inode);
		f->inode = NULL;
	}
	/* Its blocks may still be written; and whoever opens the file waits. */
	if (err)
		log_info("a leased file of before the restart cannot be served as it was (%s); its blocks are held, nevertheless", strerror(-err));
	f->export = fs_handle_export(mds->fs, f->key, f->key_len);
}

/* With lease-break-time changed behind the keeper's back a breaker may have gone on. */
static void
take_look(const struct former_lease *f)
{
	char path[64], text[4096];
	snprintf(path, sizeof path, "/proc/self/fdinfo/%d", f->fd);
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, text, sizeof text - 1) : -1;
	if (n <= 0)
		return;
	text[n] = 0;
	unsigned long long ino = f->inode ? f->inode->ino : 0;
	if (strstr(text, "LEASE  BREAKING"))
		log_info("inode %llu: a local program waits for its blocks", ino);
	else if (!strstr(text, "LEASE"))
		log_error("inode %llu: its lease was lost while there was no server: local programs may have freed blocks that clients still write", ino);
}

static int
take_one(struct former_leases *formers, enum keeper_kind kind, const struct keeper_claim *claim)
{
	struct former_lease *f = calloc(1, sizeof *f);
	if (!f)
		return -ENOMEM;
	f->kind = kind;
	f->fd = claim->fd;
	f->key_len = claim->key_len;
	memcpy(f->key, claim->key, claim->key_len);
	if (kind == KEEPER_NFSD) {
		atomic_fetch_add(&formers->nfsds, 1);
		if (!kernel_nfsd_alive(f->fd))
			log_error("nfsd was lost while there was no server: local programs may have freed blocks that clients still write");
	} else {
		take_inode(formers->mds, f);
		take_look(f);
	}
	TAILQ_INSERT_TAIL(&formers->list, f, link);
	atomic_fetch_add(&formers->n, 1);
	return 0;
}

int
former_leases_take(struct mds *mds)
{
	CLEANUP_FREE struct keeper_claim *claim = malloc(sizeof *claim);
	struct former_leases *formers = calloc(1, sizeof *formers);
	int err = claim && formers ? 0 : -ENOMEM;
	if (err) {
		free(formers);
		return err;
	}
	formers->mds = mds;
	pthread_mutex_init(&formers->lock, NULL);
	TAILQ_INIT(&formers->list);
	formers->work.fn = former_leases_work;
	mds->former_leases = formers;
	while (!err && keeper_claim(mds->keeper, KEEPER_NFSD, claim))
		err = take_one(formers, KEEPER_NFSD, claim);
	if (!err && formers->nfsds)
		log_info("leases of before the restart are held by the nfsd of then");
	while (!err && keeper_claim(mds->keeper, KEEPER_LEASE, claim))
		err = take_one(formers, KEEPER_LEASE, claim);
	unsigned files = formers->n - formers->nfsds;
	if (err || !files)
		return err;
	/* For fs.lease-break-time: it has to stay 0, and to be put back afterwards. */
	err = plain_leases_start(mds);
	formers->plain = err == 0;
	if (err)
		log_error("leases of before the restart: %s", strerror(-err));
	log_info("leases of before the restart are held on %u files", files);
	return 0;
}

/* ---- their end ---- */

static bool
former_may_go(const struct former_leases *formers, const struct former_lease *f)
{
	if (f->kind == KEEPER_NFSD)
		return !fs_exports_any(formers->mds->fs, export_holds_blocks);
	return !f->export || !export_holds_blocks(f->export);
}

static void
former_free(struct former_lease *f)
{
	if (f->inode)
		inode_put(f->inode);
	if (f->export)
		export_put(f->export);
	free(f);
}

static void
former_unlist(struct former_leases *formers, struct former_lease *f)
{
	LOCK_SCOPE(&formers->lock);
	TAILQ_REMOVE(&formers->list, f, link);
	if (f->kind == KEEPER_NFSD)
		atomic_fetch_sub(&formers->nfsds, 1);
	atomic_fetch_sub(&formers->n, 1);
}

/* Worker.  A layout may have been given meanwhile: then it is that one's lease. */
static void
former_release(struct former_leases *formers, struct former_lease *f)
{
	struct keeper *keeper = formers->mds->keeper;
	/* It is waited for: whoever may touch files then finds none in the way. */
	if (f->kind == KEEPER_NFSD && kernel_nfsd_end(f->fd))
		log_error("the nfsd of before the restart does not end");
	if (!f->inode) {
		former_unlist(formers, f);
		keeper_del(keeper, f->kind, f->key, f->key_len);
		close(f->fd);
		former_free(f);
		return;
	}
	pthread_rwlock_wrlock(&f->inode->io_lock);
	former_unlist(formers, f);
	/* What was read here before clients wrote the device. */
	posix_fadvise(f->fd, 0, 0, POSIX_FADV_DONTNEED);
	if (!plain_leases_has(f->fd)) {
		keeper_del(keeper, KEEPER_LEASE, f->key, f->key_len);
		if (fcntl(f->fd, F_SETLEASE, F_UNLCK) && errno != EAGAIN)
			log_error("lease: cannot be given back: %s", strerror(errno));
	}
	pthread_rwlock_unlock(&f->inode->io_lock);
	former_free(f);
}

static struct former_lease *
former_next(struct former_leases *formers)
{
	struct former_lease *f;
	LOCK_SCOPE(&formers->lock);
	TAILQ_FOREACH(f, &formers->list, link)
		if (former_may_go(formers, f))
			return f;
	return NULL;
}

static void
former_leases_work(struct work *work)
{
	struct former_leases *formers = (struct former_leases *)((char *)work - offsetof(struct former_leases, work));
	struct former_lease *f;
	while ((f = former_next(formers)))
		former_release(formers, f);
	if (!atomic_load(&formers->n)) {
		log_info("leases of before the restart are given up");
		if (formers->plain)
			plain_leases_stop();
		formers->plain = false;
	}
	atomic_store(&formers->busy, false);
}

void
former_leases_tick(struct mds *mds, bool grace)
{
	struct former_leases *formers = mds->former_leases;
	if (grace || !former_leases_any(mds) || !former_next(formers) || atomic_exchange(&formers->busy, true))
		return;
	workers_submit(mds->workers, &formers->work);
}

bool
former_leases_any(const struct mds *mds)
{
	return mds->former_leases && atomic_load(&mds->former_leases->n) != 0;
}

bool
former_nfsd_any(const struct mds *mds)
{
	return mds->former_leases && atomic_load(&mds->former_leases->nfsds) != 0;
}

bool
former_lease_on(const struct inode *inode)
{
	const struct mds *mds = inode->export->mds;
	struct former_lease *f = NULL;
	if (!former_leases_any(mds))
		return false;
	LOCK_SCOPE(&mds->former_leases->lock);
	TAILQ_FOREACH(f, &mds->former_leases->list, link)
		if (f->inode == inode)
			break;
	return f != NULL;
}

void
former_leases_free(struct mds *mds)
{
	struct former_leases *formers = mds->former_leases;
	struct former_lease *f;
	if (!formers)
		return;
	while ((f = TAILQ_FIRST(&formers->list))) {
		TAILQ_REMOVE(&formers->list, f, link);
		if (!f->inode)
			close(f->fd);
		former_free(f);
	}
	if (formers->plain)
		plain_leases_stop();
	pthread_mutex_destroy(&formers->lock);
	free(formers);
	mds->former_leases = NULL;
}
