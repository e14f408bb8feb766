/* Which files may have layouts; see file_rules.h. */
#include "server/export/file_rules.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "include/log.h"
#include "server/conf/exports.h"
#include "server/export/export.h"
#include "server/fs/fs.h"

/* ioctl_xfs_free_eofblocks, as xfsprogs' headers have it. */
struct eofblocks {
	uint32_t version, flags;	/* 1; 1: wait for inodes that are busy, also dirty ones */
	uint32_t uid, gid, prid, pad32;
	uint64_t min_file_size, pad64[12];
};
#define XFS_IOC_FREE_EOFBLOCKS _IOR('X', 58, struct eofblocks)

int
file_rules_export(struct export *export)
{
	if (!export->is_xfs) {
		export->reason = REASON_NOT_XFS;
		return -ENOTSUP;
	}
	if (export->readonly) {
		/* The proof that LUN = file system must write. */
		log_warn("%s: mounted read-only: no layouts", export->line->path);
		export->reason = REASON_LAYOUTS_OFF;
		return -ENOTSUP;
	}
	return 0;
}

int
file_rules_check(const struct inode *inode, int fd, enum reason *why)
{
	struct fsxattr attr;
	struct statx stx;
	if (inode->type != S_IFREG) {
		*why = REASON_LAYOUTS_OFF;
		return -ENOTSUP;
	}
	if (ioctl(fd, FS_IOC_FSGETXATTR, &attr) || statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx))
		return -errno;
	if (attr.fsx_xflags & FS_XFLAG_REALTIME) {
		*why = REASON_REALTIME;
		return -ENOTSUP;
	}
	/* DAX: stores of local programs go round every flush; immutable, append-only: no writing at an offset. */
	if (stx.stx_attributes & (STATX_ATTR_DAX | STATX_ATTR_IMMUTABLE | STATX_ATTR_APPEND)) {
		*why = REASON_LAYOUTS_OFF;
		return -ENOTSUP;
	}
	return 0;
}

bool
file_rules_make_room(int fd)
{
	struct eofblocks all = { .version = 1, .flags = 1 };
	return ioctl(fd, XFS_IOC_FREE_EOFBLOCKS, &all) == 0;
}

int
file_rules_end_stays(int fd)
{
	struct fsxattr attr;
	if (ioctl(fd, FS_IOC_FSGETXATTR, &attr))
		return -errno;
	return (attr.fsx_xflags & FS_XFLAG_PREALLOC) != 0;
}

int
file_rules_keep_end(int fd, uint32_t block_size)
{
	struct stat st;
	int stays = file_rules_end_stays(fd);
	if (stays)
		return stays < 0 ? stays : 0;
	if (fstat(fd, &st))
		return -errno;
	uint64_t end = ((uint64_t)st.st_size + block_size - 1) / block_size * block_size;
	struct fiemap behind = { .fm_start = end, .fm_length = FIEMAP_MAX_OFFSET - end };	/* counts them, delayed ones too */
	if (ioctl(fd, FS_IOC_FIEMAP, &behind))
		return -errno;
	if (behind.fm_mapped_extents && fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)end, block_size))
		return -errno;
	return 0;
}

int
file_rules_strip(int fd, const struct statx *stx)
{
	mode_t drop = stx->stx_mode & S_ISUID;
	if ((stx->stx_mode & (S_ISGID | S_IXGRP)) == (S_ISGID | S_IXGRP))
		drop |= S_ISGID;
	if (drop && fchmod(fd, (stx->stx_mode & 07777) & ~drop))
		return -errno;
	if (fremovexattr(fd, "security.capability") && errno != ENODATA && errno != EOPNOTSUPP)
		return -errno;
	return 0;
}
