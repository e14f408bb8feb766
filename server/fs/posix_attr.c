/* Attributes and permission.  Called by op_attr.c, op_open.c, op_dir.c; posix_stat() by all of fs/. */
#include "server/fs/fs_private.h"

#include <stdio.h>
#include <sys/vfs.h>

int
posix_stat(int fd, unsigned mask, struct statx *stx)
{
	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_SYNC_AS_STAT, mask, stx) < 0 ? -errno : 0;
}

int
fs_getattr(struct inode *inode, struct fs_stat *st)
{
	if (inode->pseudo)
		return pseudo_getattr(inode, st);
	int err = posix_stat(inode->fd, STATX_BASIC_STATS | STATX_BTIME, &st->stx);
	if (!err)
		st->change = change_value(inode->priv, &st->stx);
	return err;
}

int
fs_statfs(struct inode *inode, struct fs_space *space)
{
	*space = (struct fs_space){ 0 };
	if (inode->pseudo)
		return 0;
	struct statfs s;
	if (fstatfs(inode->fd, &s) < 0)
		return -errno;
	uint64_t unit = s.f_frsize ? (uint64_t)s.f_frsize : (uint64_t)s.f_bsize;
	*space = (struct fs_space){
		.total = s.f_blocks * unit, .free = s.f_bfree * unit, .avail = s.f_bavail * unit,
		.files_total = s.f_files, .files_free = s.f_ffree, .files_avail = s.f_ffree,
	};
	return 0;
}

int
fs_readlink(struct inode *inode, char *buf, size_t size, size_t *len)
{
	if (!S_ISLNK(inode->type))
		return -EINVAL;
	ssize_t n = readlinkat(inode->fd, "", buf, size);
	if (n < 0)
		return -errno;
	*len = (size_t)n;
	return 0;
}

bool
posix_in_group(const struct fs_cred *cred, gid_t gid)
{
	if (cred->gid == gid)
		return true;
	for (unsigned i = 0; i < cred->ngids; i++)
		if (cred->gids[i] == gid)
			return true;
	return false;
}

/* ---- SETATTR ---- */

static bool
is_now(const struct timespec *ts)
{
	return ts->tv_nsec == UTIME_NOW;
}

/* utimes: the owner, or who may write if the times are both the server's. */
static int
check_times(struct inode *inode, const struct fs_stat *st, const struct fs_cred *cred, const struct fs_setattr *set)
{
	bool now = (!(set->what & FS_SET_ATIME) || is_now(&set->atime)) &&
	    (!(set->what & FS_SET_MTIME) || is_now(&set->mtime));
	if (!now)
		return -EPERM;
	return fs_permits(inode, st, cred, W_OK, false);
}

/* May CRED do all of it?  POSIX chmod, chown, truncate, utimensat. */
static int
check_rights(struct inode *inode, const struct fs_stat *st, const struct fs_cred *cred, const struct fs_setattr *set,
    bool may_write)
{
	if (set->what & FS_SET_SIZE) {
		if (S_ISDIR(st->stx.stx_mode))
			return -EISDIR;
		if (!S_ISREG(st->stx.stx_mode) || set->size > INT64_MAX)
			return S_ISREG(st->stx.stx_mode) ? -EFBIG : -EINVAL;
		int err = may_write ? 0 : fs_permits(inode, st, cred, W_OK, false);
		if (err)
			return err;
	}
	if ((set->what & FS_SET_ACL) && !fs_acl_supported(inode))
		return -EOPNOTSUPP;
	if (cred->uid == 0)
		return 0;
	bool owner = cred->uid == st->stx.stx_uid;
	if ((set->what & (FS_SET_MODE | FS_SET_ACL)) && !owner)
		return -EPERM;
	if ((set->what & FS_SET_UID) && (!owner || set->uid != st->stx.stx_uid))
		return -EPERM;
	if ((set->what & FS_SET_GID) &&
	    (!owner || (set->gid != st->stx.stx_gid && !posix_in_group(cred, set->gid))))
		return -EPERM;
	if ((set->what & (FS_SET_ATIME | FS_SET_MTIME)) && !owner)
		return check_times(inode, st, cred, set);
	return 0;
}

/* The descriptor is O_PATH: by way of /proc (fchmodat2 is not in every kernel). */
static int
set_mode(struct inode *inode, mode_t mode)
{
	char path[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", inode->fd);
	return chmod(path, mode & 07777) < 0 ? -errno : 0;
}

/*
 * As the kernel does for a process that is not root; we are, so it would not.  sgid without group execution
 * is mandatory locking's mark, and stays unless the caller is outside of the group.
 */
static mode_t
without_sid(mode_t mode, bool in_group)
{
	mode &= ~S_ISUID;
	return mode & S_IXGRP || !in_group ? mode & ~S_ISGID : mode;
}

/* Drop suid and sgid before bytes change. */
int
posix_kill_sid(struct inode *inode)
{
	struct statx stx;
	int err = posix_stat(inode->fd, STATX_MODE, &stx);
	mode_t mode = err ? 0 : stx.stx_mode & 07777, less = without_sid(mode, true);
	if (less == mode)
		return err;
	return set_mode(inode, less);
}

/* On the one descriptor (a truncate by path would break our own lease), without cached pages at either end: the kernel zeroes
 * the rest of the last block through them, and a layout may have written it (XFS.md "Coherence"). */
int
posix_set_size(struct inode *inode, const struct fs_stat *st, uint64_t size)
{
	int fd = inode_data_fd(inode);
	if (fd < 0)
		return fd;
	int err = posix_kill_sid(inode);
	if (err)
		return err;
	posix_drop_pages(fd, st->stx.stx_size, 1);
	posix_drop_pages(fd, size, 1);
	while (ftruncate(fd, (off_t)size) < 0)
		if (errno != EINTR)
			return errno == EBADF || errno == EINVAL ? -EROFS : -errno;
	return 0;
}

/* The kernel drops suid (and sgid) with a change of owner; if a mode comes along, it is set after, without them (as nfsd). */
static int
set_owner_mode(struct inode *inode, const struct fs_stat *st, const struct fs_cred *cred, const struct fs_setattr *set)
{
	mode_t old = st->stx.stx_mode, mode = set->mode & 07777;
	bool owner = set->what & (FS_SET_UID | FS_SET_GID), chmod_too = set->what & FS_SET_MODE;
	gid_t gid = set->what & FS_SET_GID ? set->gid : st->stx.stx_gid;
	if (owner) {
		if (fchownat(inode->fd, "", set->what & FS_SET_UID ? set->uid : (uid_t)-1,
		    set->what & FS_SET_GID ? set->gid : (gid_t)-1, AT_EMPTY_PATH) < 0)
			return -errno;
		if (!S_ISDIR(old) && chmod_too)
			mode = without_sid(mode, true);
		else if (!S_ISDIR(old) && !S_ISLNK(old) && (old & S_ISGID) && cred->uid && !posix_in_group(cred, st->stx.stx_gid)) {
			mode = without_sid(old & 07777, false);
			chmod_too = true;
		}
	}
	if (!chmod_too)
		return 0;
	if (cred->uid && (mode & S_ISGID) && !posix_in_group(cred, gid))
		mode &= ~S_ISGID;
	return set_mode(inode, mode);
}

/* The mode follows from the ACL (the kernel sees to that); set-group-ID would go if we were who asks. */
static int
set_acl(struct inode *inode, const struct fs_cred *cred, const struct fs_setattr *set)
{
	struct statx stx;
	int err = posix_acl_set(inode, FS_ACL_ACCESS, &set->acl);
	if (!err && S_ISDIR(inode->type))
		err = posix_acl_set(inode, FS_ACL_DEFAULT, &set->default_acl);
	if (!err)
		err = posix_stat(inode->fd, STATX_MODE | STATX_GID, &stx);
	if (err || !cred->uid || !(stx.stx_mode & S_ISGID) || posix_in_group(cred, stx.stx_gid))
		return err;
	return set_mode(inode, stx.stx_mode & 07777 & ~S_ISGID);
}

static int
set_times(struct inode *inode, const struct fs_setattr *set)
{
	struct timespec ts[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };
	if (set->what & FS_SET_ATIME)
		ts[0] = set->atime;
	if (set->what & FS_SET_MTIME)
		ts[1] = set->mtime;
	return utimensat(inode->fd, "", ts, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

int
fs_setattr(struct inode *inode, const struct fs_cred *cred, const struct fs_setattr *set, bool may_write)
{
	struct fs_stat st;
	if (inode->pseudo)
		return -EROFS;
	int err = posix_stat(inode->fd, STATX_BASIC_STATS, &st.stx);
	if (!err)
		err = check_rights(inode, &st, cred, set, may_write);
	if (err)
		return err;
	if (set->what & FS_SET_SIZE)
		err = posix_set_size(inode, &st, set->size);
	if (!err && (set->what & (FS_SET_UID | FS_SET_GID | FS_SET_MODE)))
		err = set_owner_mode(inode, &st, cred, set);
	/* RFC 8881 6.4.1.3: after the mode */
	if (!err && (set->what & FS_SET_ACL))
		err = set_acl(inode, cred, set);
	if (!err && (set->what & (FS_SET_ATIME | FS_SET_MTIME)))
		err = set_times(inode, set);
	change_bump(inode->priv);
	return err ? err : posix_settle(inode);
}
