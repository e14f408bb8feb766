/*
 * Extended attributes (RFC 8276).  Called by op_xattr.c on workers; fs_xattr_supported() by attr.c and op_attr.c.
 *
 * The name space is "user." alone, which is not on the wire: Linux' client and nfsd take it off and put it on.  Only regular files and directories have
 * such attributes, and reading and writing them is what reading and writing the file is (xattr(7)): checked here, for we are root.
 */
#include "server/fs/fs_private.h"

#include <linux/limits.h>
#include <stdio.h>
#include <sys/xattr.h>

#define USER "user."
#define USER_LEN 5u

/* The descriptor is O_PATH, which f*xattr(2) refuse: by way of /proc. */
static const char *
fd_path(char buf[32], const struct inode *inode)
{
	snprintf(buf, 32, "/proc/self/fd/%d", inode->fd);
	return buf;
}

bool
posix_xattr_probe(int fd)
{
	return fgetxattr(fd, USER "pnfs-block", NULL, 0) >= 0 || errno != EOPNOTSUPP;
}

bool
fs_xattr_supported(const struct inode *inode)
{
	return !inode->pseudo && inode->priv->fse->xattrs;
}

static int
full_name(char buf[XATTR_NAME_MAX + 1], const char *name, unsigned len)
{
	if (!len || memchr(name, 0, len))
		return -EINVAL;
	if (len > FS_XATTR_NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(buf, USER, USER_LEN);
	memcpy(buf + USER_LEN, name, len);
	buf[USER_LEN + len] = 0;
	return 0;
}

/* As the kernel's xattr_permission() has it for somebody who is not root; ST is filled. */
static int
check_rights(struct inode *inode, const struct fs_cred *cred, bool write, struct fs_stat *st)
{
	if (!fs_xattr_supported(inode))
		return -EOPNOTSUPP;
	if (!S_ISREG(inode->type) && !S_ISDIR(inode->type))
		return write ? -EPERM : -ENODATA;
	int err = fs_getattr(inode, st);
	if (err)
		return err;
	bool owner = cred->uid == 0 || cred->uid == st->stx.stx_uid;
	if (write && S_ISDIR(inode->type) && (st->stx.stx_mode & S_ISVTX) && !owner)
		return -EPERM;
	return fs_permits(inode, st, cred, write ? W_OK : R_OK, false);
}

ssize_t
fs_xattr_get(struct inode *inode, const struct fs_cred *cred, const char *name, unsigned len, void *value, size_t size)
{
	char full[XATTR_NAME_MAX + 1], path[32];
	struct fs_stat st;
	int err = full_name(full, name, len);
	if (!err)
		err = check_rights(inode, cred, false, &st);
	if (err)
		return err;
	ssize_t n = getxattr(fd_path(path, inode), full, value, size);
	return n < 0 ? -errno : n;
}

/* Only ours of what listxattr(2) says, moved together, without the name space. */
static size_t
keep_user(char *names, size_t len)
{
	size_t kept = 0;
	for (size_t at = 0; at < len;) {
		size_t n = strnlen(names + at, len - at) + 1;
		if (n > USER_LEN + 1 && at + n <= len && !memcmp(names + at, USER, USER_LEN)) {
			memmove(names + kept, names + at + USER_LEN, n - USER_LEN);
			kept += n - USER_LEN;
		}
		at += n;
	}
	return kept;
}

ssize_t
fs_xattr_list(struct inode *inode, const struct fs_cred *cred, char *names, size_t size)
{
	char path[32];
	struct fs_stat st;
	int err = check_rights(inode, cred, false, &st);
	if (err == -ENODATA)
		return 0;		/* what has none can be listed all the same */
	if (err)
		return err;
	ssize_t n = listxattr(fd_path(path, inode), names, size);
	/* More names than the kernel can tell in one call, 64 KiB, are no fault of the request. */
	if (n < 0)
		return errno == E2BIG ? -EIO : -errno;
	return size ? (ssize_t)keep_user(names, (size_t)n) : n;
}

/* VALUE NULL: remove it. */
static int
change_xattr(struct inode *inode, const char *full, const void *value, size_t size, int flags)
{
	char path[32];
	fd_path(path, inode);
	return (value ? setxattr(path, full, value, size, flags) : removexattr(path, full)) < 0 ? -errno : 0;
}

static int
set_or_remove(struct inode *inode, const struct fs_cred *cred, const char *name, unsigned len, const void *value,
    size_t size, int flags, struct fs_change *change)
{
	char full[XATTR_NAME_MAX + 1];
	struct fs_stat before, after;
	int err = full_name(full, name, len);
	if (err)
		return err;
	if (inode->pseudo)
		return -EOPNOTSUPP;
	/* One at a time, so that before and after are ours. */
	pthread_mutex_lock(&inode->priv->dir_lock);
	err = check_rights(inode, cred, true, &before);
	if (!err)
		err = change_xattr(inode, full, value, size, flags);
	if (!err) {
		change_bump(inode->priv);
		change->before = before.change;
		change->after = fs_getattr(inode, &after) ? before.change : after.change;
	}
	pthread_mutex_unlock(&inode->priv->dir_lock);
	/* RFC 8276 8.7: "The server should perform such updates synchronously." */
	return err ? err : posix_settle(inode);
}

int
fs_xattr_set(struct inode *inode, const struct fs_cred *cred, const char *name, unsigned len, const void *value,
    size_t size, enum fs_xattr_how how, struct fs_change *change)
{
	int flags = how == FS_XATTR_CREATE ? XATTR_CREATE : how == FS_XATTR_REPLACE ? XATTR_REPLACE : 0;
	return set_or_remove(inode, cred, name, len, value ? value : "", size, flags, change);
}

int
fs_xattr_remove(struct inode *inode, const struct fs_cred *cred, const char *name, unsigned len,
    struct fs_change *change)
{
	return set_or_remove(inode, cred, name, len, NULL, 0, 0, change);
}
