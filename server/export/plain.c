/*
 * Provider plain: which exports and files can have layouts by ordinary system calls, and the lease on them.  See plain.h.
 */
#include "server/export/plain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "include/log.h"
#include "server/conf/exports.h"
#include "server/export/file_rules.h"
#include "server/fs/fs.h"
#include "server/mds.h"

/* XFS: the superblock's sb_uuid is at byte 32 of the device (XFS_IOC_FSGEOMETRY says the same 16 bytes). */
#define XFS_UUID_OFFSET 32

static int
plain_probe(struct export *export)
{
	int r = file_rules_export(export);
	if (r)
		return r;
	r = plain_leases_start(export->mds);
	if (r) {
		log_warn("%s: file leases cannot be had here (%s): no layouts", export->line->path, strerror(-r));
		export->reason = REASON_UNSUPPORTED_KERNEL;
		return -ENOTSUP;
	}
	return 0;
}

static int
plain_get_uuid(struct export *export, uint8_t uuid[16], uint64_t *device_offset)
{
	memcpy(uuid, export->uuid, 16);
	*device_offset = XFS_UUID_OFFSET;
	return 0;
}

static int
plain_take(struct inode *inode, struct layout_lease **leasep, enum reason *why)
{
	*leasep = NULL;
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
	int r = file_rules_check(inode, fd, why);
	if (r)
		return r;
	struct plain_lease *pl = calloc(1, sizeof *pl);
	if (!pl)
		return -ENOMEM;
	pl->fd = fd;
	atomic_init(&pl->refs, 1);
	pl->lease.inode = inode_get(inode);
	pl->lease.ops = &export_plain;
	r = plain_leases_take(pl);
	if (r) {
		inode_put(inode);
		free(pl);
		*why = r == -EAGAIN ? REASON_LOCAL_OPEN : REASON_UNSUPPORTED_KERNEL;
		return r;
	}
	r = plain_leases_keep(pl);
	if (r) {
		log_error("inode %llu: the keeper does not take its lease: %s: no layout", (unsigned long long)inode->ino, strerror(-r));
		plain_leases_drop(pl);
		*why = REASON_KEEPER;
		return -EAGAIN;
	}
	*leasep = &pl->lease;
	*why = REASON_NONE;
	return 0;
}

static void
plain_unlease(struct layout_lease *lease)
{
	struct plain_lease *pl = plain_lease(lease);
	/* What was read here before clients wrote the device is stale; let the next reader fetch it. */
	if (pl->written)
		posix_fadvise(pl->fd, 0, 0, POSIX_FADV_DONTNEED);
	plain_leases_drop(pl);
}

static void
plain_stop(struct export *export)
{
	(void)export;
	plain_leases_stop();
}

const struct export_ops export_plain = {
	.name = "plain",
	.kept = true,
	.probe = plain_probe,
	.get_uuid = plain_get_uuid,
	.lease = plain_take,
	.map_blocks = plain_map_blocks,
	.commit_blocks = plain_commit_blocks,
	.unlease = plain_unlease,
	.stop = plain_stop,
};
