/* The file system side of opening an export.  Called by export/export.c. */
#include "server/fs/describe.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>

#include "include/cleanup.h"
#include "server/conf/exports.h"
#include "server/export/export.h"
#include "server/fs/handle.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif

/* The kernel's interface, spelled out: headers of Debian 12 have no FS_IOC_GETFSUUID, and xfslibs-dev is not needed for one call. */
struct fsuuid {
	uint8_t len, uuid[16];
};
#define GET_FSUUID _IOR(0x15, 0, struct fsuuid)

struct xfs_geometry_v1 {
	uint32_t blocksize, rtextsize, agblocks, agcount, logblocks, sectsize, inodesize, imaxpct;
	uint64_t datablocks, rtblocks, rtextents, logstart;
	uint8_t uuid[16];
	uint32_t sunit, swidth, version, flags, logsectsize, rtsectsize, dirblocksize;
};
_Static_assert(sizeof(struct xfs_geometry_v1) == 112, "part of the ioctl's number");
#define XFS_GEOMETRY_V1 _IOR('X', 100, struct xfs_geometry_v1)

static int __attribute__((format(printf, 3, 4)))
fail(char **error, int err, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	if (vasprintf(error, fmt, ap) < 0)
		*error = NULL;
	va_end(ap);
	return err;
}

static int
open_dir(struct export *export, const char *path, char **error)
{
	export->root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (export->root_fd < 0)
		return fail(error, -errno, "%s: %s", path, strerror(errno));
	/* open_by_handle_at() takes no O_PATH descriptor. */
	export->mount_fd = openat(export->root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (export->mount_fd < 0)
		return fail(error, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

/* Does the file system have handles, and ones that fit into ours? */
static int
check_handles(struct export *export, const char *path, char **error)
{
	struct handle_native native;
	int err = handle_of(export->root_fd, "", &native, &export->mount_id);
	if (err == -EOPNOTSUPP || err == -EOVERFLOW)
		return fail(error, err, "%s: its file system has no file handles %s", path,
		    err == -EOVERFLOW ? "that fit" : "(name_to_handle_at)");
	if (err)
		return fail(error, err, "%s: %s", path, strerror(-err));
	int fd = handle_native_open(export->mount_fd, &native);
	if (fd == -EPERM)
		return fail(error, fd, "%s: opening files by handle needs root (CAP_DAC_READ_SEARCH)", path);
	if (fd < 0)
		return fail(error, fd, "%s: its file system cannot open files by handle: %s", path, strerror(-fd));
	close(fd);
	return 0;
}

/* Without any UUID (tmpfs, old file systems) what statfs has, which may change at each mount. */
static void
get_uuid(struct export *export, const struct statfs *s)
{
	struct fsuuid u;
	struct xfs_geometry_v1 geo;
	memset(export->uuid, 0, sizeof export->uuid);
	if (ioctl(export->mount_fd, GET_FSUUID, &u) == 0 && u.len == sizeof export->uuid)
		memcpy(export->uuid, u.uuid, sizeof export->uuid);
	else if (export->is_xfs && ioctl(export->mount_fd, XFS_GEOMETRY_V1, &geo) == 0)
		memcpy(export->uuid, geo.uuid, sizeof export->uuid);
	else
		memcpy(export->uuid, &s->f_fsid, sizeof s->f_fsid);
}

/* Never the place in the file (PITFALLS E8); 0 is the pseudo root's. */
static uint32_t
export_number(const uint8_t uuid[16], const char *path)
{
	struct sha256_ctx sha;
	uint8_t sum[4];
	sha256_init(&sha);
	sha256_update(&sha, 16, uuid);
	sha256_update(&sha, strlen(path), (const uint8_t *)path);
	sha256_digest(&sha, sizeof sum, sum);
	uint32_t id = (uint32_t)sum[0] << 24 | (uint32_t)sum[1] << 16 | (uint32_t)sum[2] << 8 | sum[3];
	return id ? id : 1;
}

int
fs_export_describe(struct export *export, char **error)
{
	const char *path = export->line->path;
	struct statfs s;
	struct stat st;
	*error = NULL;
	export->root_fd = export->mount_fd = -1;
	int err = open_dir(export, path, error);
	if (!err)
		err = check_handles(export, path, error);
	if (!err && (fstatfs(export->mount_fd, &s) < 0 || fstat(export->mount_fd, &st) < 0))
		err = fail(error, -errno, "%s: %s", path, strerror(errno));
	if (err) {
		fs_export_close(export);
		return err;
	}
	export->dev = st.st_dev;
	export->is_xfs = s.f_type == XFS_SUPER_MAGIC;
	export->readonly = s.f_flags & 1;	/* ST_RDONLY */
	export->block_size = (uint32_t)s.f_bsize;
	get_uuid(export, &s);
	export->id = export_number(export->uuid, path);
	return 0;
}

void
fs_export_close(struct export *export)
{
	if (export->root_fd >= 0)
		close(export->root_fd);
	if (export->mount_fd >= 0)
		close(export->mount_fd);
	export->root_fd = export->mount_fd = -1;
}
