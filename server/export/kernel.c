/*
 * Provider kernel: XFS's own struct export_operations, by way of the kernel's nfsd.  See kernel.h for its files.
 *
 * The operations are kernel functions that only nfsd calls.  So nfsd runs in a network namespace of ours, which nobody outside can reach, exports the XFS
 * with "pnfs", and we are its one client: LAYOUTGET is map_blocks, LAYOUTCOMMIT is commit_blocks, CB_LAYOUTRECALL is break_layout.  A kernel lease
 * covers a whole file and belongs to us; who of our clients has which range is server/layout's, as ever.
 *
 *	probe		starts the service with the first export (-ENOTSUP where the kernel has no nfsd), tells nfsd of this export
 *	lease		OPEN by CLAIM_FH of a handle made from name_to_handle_at(): no path walk.  The first LAYOUTGET is what the kernel takes as the lease
 *	map, commit	kernel_map.c
 *	recall		break: told to export_on_break(), answered at once.  nfsd repeats it until the layout is back; nothing is written, truncated or
 *			waited for on the thread that answers
 *	unlease		LAYOUTRETURN and CLOSE
 *
 * What differs from plain for the layers above (export_ops.writers_wait): every write, truncate and allocation of this host, ours too, waits in the kernel
 * until the layout is returned, and that wait cannot be interrupted.  So the server gives the lease up before it touches the file itself, with io_lock held.
 *
 * Time: nfsd's patience with a recall is two of its leases, then it takes the blocks back whether or not a client still writes them.  Its lease is an hour
 * and our own deadline (recall_timeout, then the fence) far below; if all that has not helped shortly before the end, the file system is shut
 * down (XFS_IOC_GOINGDOWN): stopped is better than another file's data.  A server that is killed leaves nfsd to the keeper (kernel_nfsd.c), and
 * the next one has a new nfsd and lets the old one go when it has seen to the clients (former_lease.c).  After a recalled layout was returned no lease is taken for 60 ms
 * (layout/layout.c): one taken at once may never be recalled.
 */
#include "server/export/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "proto/nfs4/status.h"
#include "server/conf/exports.h"
#include "server/export/file_rules.h"
#include "server/export/former_lease.h"
#include "server/fs/fs.h"
#include "server/fs/handle.h"
#include "server/mds.h"

/* XFS: the superblock's sb_uuid is at byte 32 of the device. */
#define XFS_UUID_OFFSET 32

/* This long before nfsd's patience ends. */
#define MARGIN_MS 60000u

#define XFS_GOINGDOWN _IOR('X', 125, uint32_t)
#define XFS_GOINGDOWN_LOGFLUSH 1u

static struct {
	pthread_mutex_t lock;		/* a leaf */
	struct kernel_lease *leases;	/* uthash */
} table = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* ---- leases ---- */

static void
lease_put(struct kernel_lease *kl)
{
	if (atomic_fetch_sub(&kl->refs, 1) != 1)
		return;
	inode_put(kl->lease.inode);
	kernel_extents_free(&kl->extents);
	free(kl);
}

/* nfsd's handles: version 1, no authentication, fsid type FSID_NUM, then what name_to_handle_at() says (linux/fs/nfsd/nfsfh.h). */
#define FH_TYPE 3			/* byte with the type of the native handle */
#define FH_HEAD 8			/* bytes before it; the last four are the fsid */

/* The file, whatever the export: false for what is no handle of ours. */
static bool
fh_key(const uint8_t *fh, uint32_t len, struct kernel_key *key)
{
	if (len <= FH_HEAD || len - FH_HEAD >= sizeof key->bytes)
		return false;
	key->bytes[0] = fh[FH_TYPE];
	memcpy(key->bytes + 1, fh + FH_HEAD, len - FH_HEAD);
	key->len = 1 + len - FH_HEAD;
	return true;
}

/* Referenced, or NULL. */
static struct kernel_lease *
lease_find(const nfs_fh4 *fh)
{
	struct kernel_lease *kl;
	struct kernel_key key;
	if (!fh_key((const uint8_t *)fh->nfs_fh4_val, fh->nfs_fh4_len, &key))
		return NULL;
	LOCK_SCOPE(&table.lock);
	HASH_FIND(hh, table.leases, key.bytes, key.len, kl);
	if (kl)
		atomic_fetch_add(&kl->refs, 1);
	return kl;
}

/* Somebody waits for it: once, however often it is said. */
void
kernel_lease_break(struct kernel_lease *kl)
{
	struct inode *inode = kl->lease.inode;
	struct mds *mds = inode->export->mds;
	pthread_mutex_lock(&table.lock);
	if (!kl->broken_ms)
		kl->broken_ms = mds_now_ms();
	pthread_mutex_unlock(&table.lock);
	pthread_mutex_lock(&mds->state_lock);
	bool known = kl->lease.broken;
	kl->lease.broken = true;
	pthread_mutex_unlock(&mds->state_lock);
	if (!known && export_on_break)
		export_on_break(mds, inode);
}

/* All of them: the next one not yet told, referenced. */
static struct kernel_lease *
lease_next_unbroken(void)
{
	struct kernel_lease *kl, *tmp;
	LOCK_SCOPE(&table.lock);
	HASH_ITER(hh, table.leases, kl, tmp) {
		if (kl->broken_ms)
			continue;
		atomic_fetch_add(&kl->refs, 1);
		return kl;
	}
	return NULL;
}

static void
lease_break_all(void)
{
	struct kernel_lease *kl;
	while ((kl = lease_next_unbroken())) {
		kernel_lease_break(kl);
		lease_put(kl);
	}
}

/* ---- what the session tells; its loop's thread ---- */

/* Answered with NFS4_OK again and again until it is returned: nfsd asks some fifty times a second. */
static nfsstat4
service_recall(void *owner, const CB_LAYOUTRECALL4args *args)
{
	(void)owner;
	if (args->clora_recall.lor_recalltype != LAYOUTRECALL4_FILE) {
		lease_break_all();
		return NFS4_OK;
	}
	struct kernel_lease *kl = lease_find(&args->clora_recall.layoutrecall4_u.lor_layout.lor_fh);
	if (!kl)
		return NFS4ERR_NOMATCHING_LAYOUT;
	kernel_lease_break(kl);
	lease_put(kl);
	return NFS4_OK;
}

/*
 * The kernel guards nothing any more: as if all were recalled.  Clients still hold blocks that local processes may free meanwhile; recalls and fences are all
 * that can be done.  When all is back there will be another session (service_renew()).
 */
static void
service_lost(void *owner)
{
	(void)owner;
	lease_break_all();
}

static void *
goingdown_thread(void *arg)
{
	struct kernel_lease *kl = arg;
	uint32_t how = XFS_GOINGDOWN_LOGFLUSH;
	if (ioctl(kl->fd, XFS_GOINGDOWN, &how))
		log_error("inode %llu: XFS_IOC_GOINGDOWN: %s", (unsigned long long)kl->lease.inode->ino, strerror(errno));
	lease_put(kl);
	return NULL;
}

static struct kernel_lease *
lease_overdue(uint64_t now)
{
	const uint64_t patience = KERNEL_NFSD_LEASE * 2000ull - MARGIN_MS;
	struct kernel_lease *kl, *tmp;
	LOCK_SCOPE(&table.lock);
	HASH_ITER(hh, table.leases, kl, tmp) {
		if (!kl->broken_ms || now - kl->broken_ms < patience)
			continue;
		kl->broken_ms = now;		/* once */
		atomic_fetch_add(&kl->refs, 1);
		return kl;
	}
	return NULL;
}

static void
service_tick(void *owner, uint64_t now)
{
	struct kernel_lease *kl;
	pthread_t thread;
	(void)owner;
	while ((kl = lease_overdue(now))) {
		log_error("%s: inode %llu: a client that could not be cut off still holds blocks as nfsd's patience ends: "
		    "the file system is shut down", kl->lease.inode->export->line->path, (unsigned long long)kl->lease.inode->ino);
		if (pthread_create(&thread, NULL, goingdown_thread, kl) == 0)
			pthread_detach(thread);
		else
			goingdown_thread(kl);
	}
}

const struct kernel_session_ops kernel_service_ops = {
	.recall = service_recall,
	.tick = service_tick,
	.lost = service_lost,
};

bool
kernel_leases_any(void)
{
	LOCK_SCOPE(&table.lock);
	return table.leases != NULL;
}

/* ---- the provider ---- */

static int
kernel_probe(struct export *export)
{
	char why[120] = "no memory";
	int err = file_rules_export(export);
	if (err)
		return err;
	err = kernel_service_join(export, why, sizeof why);
	if (!err)
		return 0;
	log_info("%s: provider kernel: %s", export->line->path, why);
	export->reason = REASON_UNSUPPORTED_KERNEL;
	return -ENOTSUP;
}

static int
kernel_get_uuid(struct export *export, uint8_t uuid[16], uint64_t *device_offset)
{
	memcpy(uuid, export->uuid, 16);
	*device_offset = XFS_UUID_OFFSET;
	return 0;
}

static void
kernel_stop(struct export *export)
{
	kernel_service_quit(export);
}

static int
handle_make(const struct inode *inode, struct kernel_lease *kl)
{
	struct kernel_fh *fh = &kl->fh;
	struct handle_native native;
	int mount_id, err = handle_of(inode->fd, "", &native, &mount_id);
	if (err)
		return err;
	if (native.type > UINT8_MAX)
		return -EOVERFLOW;
	uint8_t head[4] = { 1, 0, 1, (uint8_t)native.type };
	memcpy(fh->data, head, 4);
	memcpy(fh->data + 4, &inode->export->id, 4);
	memcpy(fh->data + FH_HEAD, native.bytes, native.len);
	fh->len = FH_HEAD + native.len;
	return fh_key(fh->data, fh->len, &kl->key) ? 0 : -EOVERFLOW;
}

static int
nfsd_open(struct kernel_lease *kl, nfsstat4 *status)
{
	struct kernel_call call;
	OPEN4args args = {
		.share_access = OPEN4_SHARE_ACCESS_BOTH | OPEN4_SHARE_ACCESS_WANT_NO_DELEG,
		.share_deny = OPEN4_SHARE_DENY_NONE,
		.owner.owner = { .owner_len = 4, .owner_val = (char *)(uintptr_t)"pnfs" },
		.openhow.opentype = OPEN4_NOCREATE,
		.claim.claim = CLAIM_FH,
	};
	int err = kernel_call_begin(&call, kernel_session(), &kl->fh);
	if (err)
		return err;
	compound_call_op(&call.c, OP_OPEN, &args);
	err = kernel_call_run(&call);
	if (!err)
		err = kernel_call_take(&call, OP_OPEN);
	if (!err)
		kl->open = call.res.nfs_resop4_u.opopen.OPEN4res_u.resok4.stateid;
	*status = call.status;
	kernel_call_end(&call);
	return err;
}

static void
nfsd_close(struct kernel_lease *kl)
{
	struct kernel_call call;
	LAYOUTRETURN4args ret = { .lora_layout_type = LAYOUT4_BLOCK_VOLUME, .lora_iomode = LAYOUTIOMODE4_ANY,
		.lora_layoutreturn = { .lr_returntype = LAYOUTRETURN4_FILE } };
	CLOSE4args args = { .open_stateid = kl->open };
	layoutreturn_file4 *file = &ret.lora_layoutreturn.layoutreturn4_u.lr_layout;
	file->lrf_length = NFS4_UINT64_MAX;
	file->lrf_stateid = kl->layout;
	if (kernel_call_begin(&call, kernel_session(), &kl->fh))
		return;
	if (kl->have_layout)
		compound_call_op(&call.c, OP_LAYOUTRETURN, &ret);
	compound_call_op(&call.c, OP_CLOSE, &args);
	int err = kernel_call_run(&call);
	if (!err && kl->have_layout)
		err = kernel_call_take(&call, OP_LAYOUTRETURN);
	if (!err)
		err = kernel_call_take(&call, OP_CLOSE);
	if (err)
		log_error("nfsd: inode %llu: giving the layout back: %s", (unsigned long long)kl->lease.inode->ino,
		    call.status != NFS4_OK ? nfs4_status_name(call.status) : strerror(-err));
	kernel_call_end(&call);
}

/* Enter it, unless the file has one by way of another export: nfsd would take the two for one, and CLOSE would end both. */
static bool
lease_enter(struct kernel_lease *kl)
{
	struct kernel_lease *other;
	LOCK_SCOPE(&table.lock);
	HASH_FIND(hh, table.leases, kl->key.bytes, kl->key.len, other);
	if (other)
		return false;
	HASH_ADD_KEYPTR(hh, table.leases, kl->key.bytes, kl->key.len, kl);
	return true;
}

static void
lease_leave(struct kernel_lease *kl)
{
	pthread_mutex_lock(&table.lock);
	HASH_DELETE(hh, table.leases, kl);
	pthread_mutex_unlock(&table.lock);
	lease_put(kl);
}

static int
lease_error(int err, nfsstat4 status, enum reason *why)
{
	*why = REASON_IO_ERROR;
	if (status == NFS4ERR_GRACE)
		*why = REASON_GRACE;
	else if (status == NFS4ERR_DELAY || status == NFS4ERR_FILE_OPEN)
		*why = REASON_RECALL_PENDING;
	else
		return err;
	return -EAGAIN;
}

/* kernel_service_hold() was said. */
static int
take_from_nfsd(struct inode *inode, int fd, struct kernel_lease **klp, enum reason *why)
{
	nfsstat4 status = NFS4_OK;
	int err = kernel_service_keep(inode->export->mds);
	if (err) {
		log_error("the keeper does not take nfsd: %s: no layout", strerror(-err));
		*why = REASON_KEEPER;
		return -EAGAIN;
	}
	struct kernel_lease *kl = calloc(1, sizeof *kl);
	if (!kl)
		return -ENOMEM;
	kl->fd = fd;
	kl->lease.ops = &export_kernel;
	kl->lease.inode = inode_get(inode);
	atomic_init(&kl->refs, 1);
	err = handle_make(inode, kl);
	if (!err && !lease_enter(kl)) {
		*why = REASON_LOCAL_OPEN;
		err = -EAGAIN;
	} else if (!err) {
		err = nfsd_open(kl, &status);
		if (!err) {
			*klp = kl;
			return 0;
		}
		err = lease_error(err, status, why);
		lease_leave(kl);
		return err;
	}
	lease_put(kl);
	return err;
}

static int
kernel_take(struct inode *inode, struct layout_lease **leasep, enum reason *why)
{
	struct kernel_lease *kl = NULL;
	*leasep = NULL;
	/* The nfsd of before would be asked for what it has. */
	*why = REASON_GRACE;
	if (former_nfsd_any(inode->export->mds))
		return -EAGAIN;
	*why = REASON_LOCAL_OPEN;
	int fd = inode_data_fd(inode);
	if (fd == -ETXTBSY || fd == -EAGAIN)	/* executed or swapped to; leased by somebody else */
		return -EAGAIN;
	if (fd == -EPERM) {		/* immutable, append-only */
		*why = REASON_LAYOUTS_OFF;
		return -ENOTSUP;
	}
	*why = REASON_IO_ERROR;
	if (fd < 0)
		return fd;
	int err = file_rules_check(inode, fd, why);
	if (!err)
		err = file_rules_keep_end(fd, inode->export->block_size);
	if (err)
		return err;
	*why = REASON_RECALL_PENDING;	/* all of it, since the session was lost */
	if (!kernel_service_hold())
		return -EAGAIN;
	*why = REASON_IO_ERROR;
	err = take_from_nfsd(inode, fd, &kl, why);
	kernel_service_release();
	if (err)
		return err;
	*leasep = &kl->lease;
	*why = REASON_NONE;
	return 0;
}

static void
kernel_unlease(struct layout_lease *lease)
{
	struct kernel_lease *kl = kernel_lease(lease);
	/* What was read here before clients wrote the device is stale; let the next reader fetch it. */
	if (kl->written)
		posix_fadvise(kl->fd, 0, 0, POSIX_FADV_DONTNEED);
	/* Still known while it is returned: a recall that crosses this is answered in a way that ends nothing early. */
	if (lease->left)
		kernel_service_leave();
	else
		nfsd_close(kl);
	lease_leave(kl);
}

const struct export_ops export_kernel = {
	.name = "kernel",
	.writers_wait = true,
	.past_eof = true,
	.kept = true,
	.probe = kernel_probe,
	.get_uuid = kernel_get_uuid,
	.lease = kernel_take,
	.map_blocks = kernel_map_blocks,
	.mapped = kernel_mapped,
	.commit_blocks = kernel_commit_blocks,
	.unlease = kernel_unlease,
	.stop = kernel_stop,
};
