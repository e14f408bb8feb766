/*
 * The proof that LUN = file system, at start (XFS.md, "Both"): write a nonce into a private file's block, read it through
 * the target at its address.  Called by device.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <unistd.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/conf/conf.h"
#include "server/conf/exports.h"
#include "server/export/export.h"
#include "server/export/fiemap.h"
#include "server/fence/fence.h"
#include "server/layout/device_private.h"

int
lun_read(const struct lun *lun, uint64_t offset, void *buf, uint32_t len)
{
	uint64_t unit = lun->device->block_size < 4096 && lun->fd >= 0 ? 4096 : lun->device->block_size;
	uint64_t from = offset / unit * unit, end = (offset + len + unit - 1) / unit * unit;
	CLEANUP_FREE uint8_t *bounce = aligned_alloc(4096, (size_t)(end - from + 4095) / 4096 * 4096);
	if (!bounce)
		return -ENOMEM;
	if (lun->fd < 0) {
		struct pr *pr = lun->device->pr;
		int r = pr->ops->read(pr, from, bounce, (uint32_t)(end - from));
		if (r)
			return r;
	} else {
		ssize_t n = pread(lun->fd, bounce, (size_t)(end - from), (off_t)from);
		if (n < 0)
			return -errno;
		if ((uint64_t)n < offset - from + len)
			return -ENXIO;
	}
	memcpy(buf, bounce + (offset - from), len);
	return 0;
}

/* A file without a name, or with one for a moment. */
static int
proof_file(int dir)
{
	char name[48];
	int fd = openat(dir, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd >= 0)
		return fd;
	snprintf(name, sizeof name, ".pnfs-mds-proof.%d", (int)getpid());
	fd = openat(dir, name, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	unlinkat(dir, name, 0);
	return fd;
}

/* In a directory with rtinherit the file would go to the realtime device. */
static void
proof_file_data(int fd)
{
	struct fsxattr attr;
	if (ioctl(fd, FS_IOC_FSGETXATTR, &attr) == 0 && attr.fsx_xflags & FS_XFLAG_REALTIME) {
		attr.fsx_xflags &= ~(uint32_t)FS_XFLAG_REALTIME;
		if (ioctl(fd, FS_IOC_FSSETXATTR, &attr))
			log_warn("proof: %s", strerror(errno));
	}
}

/* Write NONCE durably and find where it went. */
static int
nonce_write(int fd, const void *nonce, uint32_t size, uint64_t *addr)
{
	struct fiemap_iter it;
	struct iomap piece;
	enum reason why;
	ssize_t n = pwrite(fd, nonce, size, 0);
	if (n != (ssize_t)size)
		return n < 0 ? -errno : -ENOSPC;
	if (fdatasync(fd))
		return -errno;
	fiemap_start(&it, fd, 0, size, true);
	int r = fiemap_next(&it, &piece, &why);
	if (r < 0)
		return r;
	if (r == 0 || piece.type != IOMAP_MAPPED || piece.length != size)
		return -EIO;
	*addr = piece.addr;
	return 0;
}

static int
prove_nonce(const struct lun *lun, struct export *export)
{
	uint32_t size = export->block_size;
	uint64_t addr = 0;
	CLEANUP_FREE uint8_t *nonce = malloc(size), *seen = malloc(size);
	if (!nonce || !seen)
		return -ENOMEM;
	for (uint32_t done = 0; done < size; done += 256)
		if (getrandom(nonce + done, size - done < 256 ? size - done : 256, 0) < 0)
			return -errno;
	int file = proof_file(export->root_fd);
	if (file < 0)
		return file;
	CLEANUP_CLOSE int fd = file;
	proof_file_data(fd);
	int r = nonce_write(fd, nonce, size, &addr);
	if (r)
		return r;
	if (addr + size > lun->device->size) {
		log_error("%s: device %s is too small for the file system's block at %llu", export->line->path,
		    lun->device->conf->name, (unsigned long long)addr);
		return -EXDEV;
	}
	r = lun_read(lun, addr, seen, size);
	if (r)
		return r;
	if (memcmp(nonce, seen, size)) {
		log_error("%s: device %s is not the disk it is on: what was written to a block at %llu is not there",
		    export->line->path, lun->device->conf->name, (unsigned long long)addr);
		return -EXDEV;
	}
	return 0;
}

int
device_prove(const struct lun *lun, struct export *export)
{
	uint8_t uuid[16];
	int r = lun_read(lun, export->device_offset, uuid, sizeof uuid);
	if (r)
		return r;
	if (memcmp(uuid, export->uuid, sizeof uuid)) {
		log_error("%s: device %s does not carry the file system's UUID at %llu", export->line->path,
		    lun->device->conf->name, (unsigned long long)export->device_offset);
		return -EXDEV;
	}
	return prove_nonce(lun, export);
}
