/*
 * Changing directories.  Called by op_dir.c and op_open.c on workers.
 *
 * Rights are checked here, sticky bits included; creation then runs as the user, so the kernel has its say too (default
 * ACLs, quota).  Removing and renaming run as ourselves.
 */
#include "server/fs/fs_private.h"

#include <limits.h>
#include <stdio.h>

/* ---- what all have in common ---- */

/* A directory that is being changed. */
struct dir_change {
	struct inode *dir;
	struct fs_stat st;		/* before */
	struct fs_change *change;
};

/* May CRED change it?  Locks it. */
static int
dir_begin(struct dir_change *d, struct inode *dir, const struct fs_cred *cred, struct fs_change *change)
{
	*d = (struct dir_change){ .dir = dir, .change = change };
	if (dir->pseudo)
		return -EROFS;
	if (!S_ISDIR(dir->type))
		return -ENOTDIR;
	pthread_mutex_lock(&dir->priv->dir_lock);
	int err = fs_getattr(dir, &d->st);
	if (!err)
		err = fs_permits(dir, &d->st, cred, W_OK | X_OK, false);
	if (err)
		pthread_mutex_unlock(&dir->priv->dir_lock);
	return err;
}

/* Tell what came of it; a change is durable then, or ERR says why not. */
static int
dir_end(struct dir_change *d, bool changed, int err)
{
	struct fs_stat after;
	if (changed)
		change_bump(d->dir->priv);
	if (d->change) {
		d->change->before = d->st.change;
		d->change->after = changed && !fs_getattr(d->dir, &after) ? after.change : d->st.change;
	}
	pthread_mutex_unlock(&d->dir->priv->dir_lock);
	int unsettled = changed ? posix_settle(d->dir) : 0;
	return err ? err : unsettled;
}

/* In a sticky directory only the owners of file and directory, and root, may take a name away. */
static int
check_sticky(const struct dir_change *d, const struct fs_cred *cred, const char *name)
{
	struct stat st;
	if (!(d->st.stx.stx_mode & S_ISVTX) || cred->uid == 0 || cred->uid == d->st.stx.stx_uid)
		return 0;
	if (fstatat(d->dir->fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return st.st_uid == cred->uid ? 0 : -EPERM;
}

/* Who will lose a name; -EBUSY for the root of an export below, or of any mount. */
static int
victim(const struct dir_change *d, const char *name, struct handle_native *native)
{
	int mount_id, err = handle_of(d->dir->fd, name, native, &mount_id);
	if (err)
		return err;
	struct fs_export *nested = fs_export_nested(d->dir->priv->fse, mount_id, native);
	if (nested)
		fs_export_put(nested);
	return nested || mount_id != d->dir->export->mount_id ? -EBUSY : 0;
}

/* ---- creation ---- */

/* What to make. */
struct node {
	mode_t mode;			/* with type */
	dev_t dev;
	const char *target;		/* of a symbolic link */
};

static int
node_make(int dir_fd, const char *name, const struct node *n)
{
	switch (n->mode & S_IFMT) {
	case S_IFDIR:
		return mkdirat(dir_fd, name, n->mode & 07777);
	case S_IFLNK:
		return symlinkat(n->target, dir_fd, name);
	default:
		return mknodat(dir_fd, name, n->mode, n->dev);
	}
}

/* The caller gets no inode with an error, also if it was found before that: BEFORE. */
static int
created(int err, int before, struct inode **inode)
{
	if (err && !before)
		inode_put(*inode);
	return err;
}

static int
create_node(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred, const struct node *n,
    struct inode **inode, struct fs_change *change)
{
	char buf[FS_NAME_MAX + 1];
	struct dir_change d;
	struct fs *fs = dir->priv->fs;
	int err = posix_name(buf, name, len);
	if (!err)
		err = dir_begin(&d, dir, cred, change);
	if (err)
		return err;
	bool made = false;
	err = user_enter(fs, cred);
	if (!err) {
		made = node_make(dir->fd, buf, n) == 0;
		err = made ? 0 : -errno;
		user_leave(fs, cred);
	}
	/* Found again by name; a local process may have been there first. */
	if (!err)
		err = posix_child(dir->priv, buf, inode);
	if (!err && (*inode)->type != (n->mode & S_IFMT)) {
		inode_put(*inode);
		err = -ENOENT;
	}
	return created(dir_end(&d, made, err), err, inode);
}

/* The inode of a file just created, with its first and only description. */
static int
adopt_file(struct fs_export *fse, int fd, struct inode **inode)
{
	struct handle_native native;
	struct handle handle;
	char path[32];
	int mount_id, err = handle_of(fd, "", &native, &mount_id);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	int path_fd = err ? -1 : open(path, O_PATH | O_CLOEXEC);
	if (path_fd < 0) {
		err = err ? err : -errno;
		close(fd);
		return err;
	}
	handle_body(&handle, HANDLE_FILE, fse->export->id, &native);
	handle_sign(fse->fs->key, &handle);
	err = inode_insert(fse, &handle, path_fd, fd, true, inode);
	inode_room(fse->fs, fse->fs->max_fds);
	return err;
}

int
fs_create(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred, mode_t mode,
    struct inode **inode, struct fs_change *change)
{
	char buf[FS_NAME_MAX + 1];
	struct dir_change d;
	struct fs *fs = dir->priv->fs;
	int err = posix_name(buf, name, len);
	if (!err)
		err = dir_begin(&d, dir, cred, change);
	if (err)
		return err;
	int fd = -1;
	err = user_enter(fs, cred);
	if (!err) {
		fd = openat(dir->fd, buf, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC | O_NOFOLLOW, mode & 07777);
		err = fd < 0 ? -errno : 0;
		user_leave(fs, cred);
	}
	if (fd >= 0)
		err = adopt_file(dir->priv->fse, fd, inode);
	return created(dir_end(&d, fd >= 0, err), err, inode);
}

int
fs_mkdir(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred, mode_t mode,
    struct inode **inode, struct fs_change *change)
{
	struct node n = { .mode = S_IFDIR | (mode & 07777) };
	return create_node(dir, name, len, cred, &n, inode, change);
}

int
fs_mknod(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred, mode_t type_and_mode, dev_t dev,
    struct inode **inode, struct fs_change *change)
{
	struct node n = { .mode = type_and_mode & (S_IFMT | 07777), .dev = dev };
	if (S_ISCHR(n.mode) || S_ISBLK(n.mode)) {
		if (cred->uid)
			return -EPERM;
	} else if (!S_ISFIFO(n.mode) && !S_ISSOCK(n.mode)) {
		return -EINVAL;
	}
	return create_node(dir, name, len, cred, &n, inode, change);
}

int
fs_symlink(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred, const char *target,
    unsigned target_len, struct inode **inode, struct fs_change *change)
{
	char buf[PATH_MAX];
	if (!target_len || memchr(target, 0, target_len))
		return -EINVAL;
	if (target_len >= sizeof buf)
		return -ENAMETOOLONG;
	memcpy(buf, target, target_len);
	buf[target_len] = 0;
	struct node n = { .mode = S_IFLNK, .target = buf };
	return create_node(dir, name, len, cred, &n, inode, change);
}

/* ---- removal, renaming, links ---- */

int
fs_remove(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred, struct fs_change *change)
{
	char buf[FS_NAME_MAX + 1];
	struct dir_change d;
	struct handle_native gone;
	int err = posix_name(buf, name, len);
	if (!err)
		err = dir_begin(&d, dir, cred, change);
	if (err)
		return err;
	err = victim(&d, buf, &gone);
	if (!err)
		err = check_sticky(&d, cred, buf);
	if (!err && unlinkat(dir->fd, buf, 0) < 0)
		err = errno != EISDIR || unlinkat(dir->fd, buf, AT_REMOVEDIR) < 0 ? -errno : 0;
	if (!err)
		inode_name_removed(dir->priv->fse, &gone);
	return dir_end(&d, !err, err);
}

/* Two directories, locked in the order of their addresses; one if they are the same. */
static int
dirs_begin(struct dir_change *from, struct inode *from_dir, struct fs_change *from_change, struct dir_change *to,
    struct inode *to_dir, struct fs_change *to_change, const struct fs_cred *cred)
{
	bool from_first = (uintptr_t)from_dir <= (uintptr_t)to_dir;
	struct dir_change *first = from_first ? from : to;
	int err = from_first ? dir_begin(from, from_dir, cred, from_change) : dir_begin(to, to_dir, cred, to_change);
	if (err || from_dir == to_dir)
		return err;
	err = from_first ? dir_begin(to, to_dir, cred, to_change) : dir_begin(from, from_dir, cred, from_change);
	if (err)
		dir_end(first, false, err);
	return err;
}

/* A directory that gets another parent is itself written: its .. changes. */
static int
check_moved(struct inode *from, const char *name, const struct fs_cred *cred)
{
	struct inode *moved;
	struct fs_stat st;
	int err = posix_child(from->priv, name, &moved);
	if (err)
		return err;
	if (S_ISDIR(moved->type)) {
		err = fs_getattr(moved, &st);
		if (!err)
			err = fs_permits(moved, &st, cred, W_OK, false);
	}
	inode_put(moved);
	return err;
}

/* Everything between the locks.  OVER: what stood at the new name, if HAD. */
static int
rename_locked(struct dir_change *from, const char *oldname, struct dir_change *to, const char *newname,
    const struct fs_cred *cred)
{
	struct handle_native moved, over;
	struct inode *inode;
	struct fs_export *fse = to->dir->priv->fse;
	int err = victim(from, oldname, &moved);
	if (!err)
		err = check_sticky(from, cred, oldname);
	if (!err && from->dir != to->dir)
		err = check_moved(from->dir, oldname, cred);
	if (err)
		return err;
	err = victim(to, newname, &over);
	bool had = !err;
	if (!err)
		err = check_sticky(to, cred, newname);
	if (err && err != -ENOENT)
		return err;
	if (renameat(from->dir->fd, oldname, to->dir->fd, newname) < 0) {
		/* RFC 8881 18.26.3: one answer for a target that is not compatible or not empty. */
		bool clash = errno == ENOTEMPTY || errno == EISDIR || errno == ENOTDIR;
		return clash ? -EEXIST : -errno;
	}
	if (had)
		inode_name_removed(fse, &over);
	if (inode_of_native_nowait(fse, &moved, &inode) == 0) {
		change_bump(inode->priv);
		inode_put(inode);
	}
	return 0;
}

int
fs_rename(struct inode *from, const char *oldname, unsigned oldlen, struct inode *to, const char *newname,
    unsigned newlen, const struct fs_cred *cred, struct fs_change *from_change, struct fs_change *to_change)
{
	char oldbuf[FS_NAME_MAX + 1], newbuf[FS_NAME_MAX + 1];
	struct dir_change f, t;
	int err = posix_name(oldbuf, oldname, oldlen);
	if (!err)
		err = posix_name(newbuf, newname, newlen);
	if (err)
		return err;
	if (from->export != to->export)
		return -EXDEV;
	err = dirs_begin(&f, from, from_change, &t, to, to_change, cred);
	if (err)
		return err;
	bool same = from == to;
	err = rename_locked(&f, oldbuf, same ? &f : &t, newbuf, cred);
	bool changed = !err;
	err = dir_end(&f, changed, err);
	if (!same)
		err = dir_end(&t, changed, err);
	else if (to_change && from_change)
		*to_change = *from_change;
	return err;
}

int
fs_link(struct inode *inode, struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred,
    struct fs_change *change)
{
	char buf[FS_NAME_MAX + 1];
	struct dir_change d;
	int err = posix_name(buf, name, len);
	if (err)
		return err;
	if (inode->export != dir->export)
		return -EXDEV;
	if (S_ISDIR(inode->type))
		return -EISDIR;
	err = dir_begin(&d, dir, cred, change);
	if (err)
		return err;
	if (linkat(inode->fd, "", dir->fd, buf, AT_EMPTY_PATH) < 0)
		err = -errno;
	else
		change_bump(inode->priv);
	return dir_end(&d, !err, err);
}
