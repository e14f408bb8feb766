/*
 * How inodes come into the cache - by a handle from the wire, by LOOKUP, by
 * creation - and the one descriptor for data.  Called by posix_*.c, fs.c, pseudo.c.
 */
#include "server/fs/fs_private.h"

#include <stdio.h>
#include <stdlib.h>

/* Another thread was faster: its inode, which may use our data descriptor if it has none. */
static struct inode *
adopt(struct fs *fs, struct inode_private *theirs, struct inode_private *ours)
{
	int none = -1, fd = atomic_load(&ours->data_fd);
	if (fd >= 0 && atomic_compare_exchange_strong(&theirs->data_fd, &none, fd)) {
		atomic_store(&ours->data_fd, -1);
		fs->fds++;
	}
	return inode_get_locked(fs, theirs);
}

int
inode_insert(struct fs_export *fse, const struct handle *handle, int path_fd, int data_fd, bool fresh,
    struct inode **inode)
{
	struct fs *fs = fse->fs;
	struct statx stx;
	int err = posix_stat(path_fd, STATX_BASIC_STATS, &stx);
	struct inode_private *p = err ? NULL : inode_alloc(fs, fse, handle);
	if (!p) {
		close(path_fd);
		if (data_fd >= 0)
			close(data_fd);
		return err ? err : -ENOMEM;
	}
	p->inode.fd = path_fd;
	atomic_store(&p->data_fd, data_fd);
	change_load(p, &stx, fresh);
	p->inode.ino = stx.stx_ino;
	p->inode.type = stx.stx_mode & S_IFMT;

	int spare = -1;
	pthread_mutex_lock(&fs->lock);
	fse->users++;
	struct inode_private *other = inode_peek_locked(fs, handle->bytes, handle->body);
	if (fse->removed) {
		err = -ESTALE;
	} else if (other) {
		*inode = adopt(fs, other, p);
	} else {
		inode_hash_locked(fs, p);
		*inode = &p->inode;
	}
	if (err || other) {
		/* A second description would stand in the way of the first one's lease; nothing was written by it. */
		spare = atomic_exchange(&p->data_fd, -1);
		fs->fds++;		/* path_fd */
		inode_bury_locked(fs, p);
	}
	inode_sweeper_start_locked(fs);
	/* PUTROOTFH comes here on a loop: what is dead or too much is not closed by us. */
	if (err || other || fs->fds > fs->max_fds)
		inode_wake_sweeper_locked(fs);
	pthread_mutex_unlock(&fs->lock);
	if (spare >= 0)
		close(spare);
	return err;
}

int
inode_insert_pseudo(struct fs *fs, struct pseudo_node *node, const struct handle *handle)
{
	struct inode_private *p = inode_alloc(fs, NULL, handle);
	if (!p)
		return -ENOMEM;
	p->inode.pseudo = node;
	p->inode.ino = node->ino;
	p->inode.type = S_IFDIR;
	node->inode = &p->inode;
	LOCK_SCOPE(&fs->lock);
	inode_hash_locked(fs, p);
	return 0;
}

/*
 * A file system may know one file by handles of two shapes (XFS mounted once with inode32, once with inode64): only
 * the one it gives now is served, since the bytes are the identity.
 */
static int
open_exact(struct fs_export *fse, const struct handle_native *native)
{
	int fd = handle_native_open(fse->export->mount_fd, native);
	if (fd < 0 && inode_out_of_fds(fse->fs, fd))
		fd = handle_native_open(fse->export->mount_fd, native);
	if (fd < 0)
		return fd;
	struct handle_native now;
	int mount_id, err = handle_of(fd, "", &now, &mount_id);
	if (!err && handle_native_equal(&now, native))
		return fd;
	close(fd);
	return err ? err : -ESTALE;
}

int
inode_of_native_nowait(struct fs_export *fse, const struct handle_native *native, struct inode **inode)
{
	struct handle handle;
	handle_body(&handle, HANDLE_FILE, fse->export->id, native);
	*inode = inode_find(fse->fs, handle.bytes, handle.body);
	return *inode ? 0 : -EAGAIN;
}

int
inode_of_native(struct fs_export *fse, const struct handle_native *native, int path_fd, struct inode **inode)
{
	if (inode_of_native_nowait(fse, native, inode) == 0) {
		if (path_fd >= 0)
			close(path_fd);
		return 0;
	}
	if (path_fd < 0 && (path_fd = open_exact(fse, native)) < 0)
		return path_fd;
	struct handle handle;
	handle_body(&handle, HANDLE_FILE, fse->export->id, native);
	handle_sign(fse->fs->key, &handle);
	return inode_insert(fse, &handle, path_fd, -1, false, inode);
}

/*
 * A descriptor of the file that left the cache when its last name was removed, and that the sweeper has yet to close, keeps it there: without a
 * name it is not served again, so that the answer is STALE from then on and the space comes back.
 */
static int
open_named(struct fs_export *fse, const struct handle_native *native)
{
	struct statx stx;
	int fd = open_exact(fse, native);
	if (fd < 0)
		return fd;
	int err = posix_stat(fd, STATX_NLINK, &stx);
	if (!err && !stx.stx_nlink)
		err = -ESTALE;
	if (!err)
		return fd;
	close(fd);
	return err;
}

/* A handle that is not in the cache. */
static int
open_cold(struct fs *fs, const void *bytes, unsigned len, struct inode **inode)
{
	struct handle handle;
	struct handle_native native;
	enum handle_kind kind;
	uint32_t id;
	int err = handle_open(fs->key, bytes, len, &handle, &kind, &id, &native);
	if (err)
		return err;
	/* Pseudo nodes are always in the cache. */
	struct fs_export *fse = kind == HANDLE_FILE ? fs_export_by_id(fs, id) : NULL;
	if (!fse)
		return -ESTALE;
	int fd = open_named(fse, &native);
	err = fd < 0 ? fd : inode_insert(fse, &handle, fd, -1, false, inode);
	fs_export_put(fse);
	return err;
}

int
fs_inode_nowait(struct fs *fs, const void *bytes, unsigned len, struct inode **inode)
{
	if (!handle_form_ok(bytes, len))
		return -EBADMSG;
	unsigned body = len - HANDLE_MAC;
	struct inode *found = inode_find(fs, bytes, body);
	if (!found)
		return -EAGAIN;
	int err = 0;
	if (!handle_equal(found->handle + body, (const uint8_t *)bytes + body, HANDLE_MAC))
		err = -EBADMSG;
	else if (found->pseudo && !pseudo_served(fs, found->pseudo))
		err = -ESTALE;
	if (err)
		inode_put(found);
	else
		*inode = found;
	return err;
}

int
fs_inode(struct fs *fs, const void *bytes, unsigned len, struct inode **inode)
{
	int err = fs_inode_nowait(fs, bytes, len, inode);
	return err == -EAGAIN ? open_cold(fs, bytes, len, inode) : err;
}

/* ---- the data descriptor ---- */

/* O_NONBLOCK: a lease of somebody else's makes the open fail at once rather than wait. */
int
inode_reopen(struct inode *inode, int flags)
{
	char path[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", inode->fd);
	int fd = open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 && inode_out_of_fds(inode->priv->fs, -errno))
		fd = open(path, flags | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
	return fd;
}

int
inode_data_fd_nowait(struct inode *inode)
{
	int fd = atomic_load(&inode->priv->data_fd);
	return fd >= 0 ? fd : -EAGAIN;
}

/* FD becomes the data descriptor unless there is one: that one is returned. */
static int
set_data_fd(struct inode_private *p, int fd)
{
	int have = -1;
	pthread_mutex_lock(&p->fs->lock);
	if (atomic_compare_exchange_strong(&p->data_fd, &have, fd)) {
		p->fs->fds++;
		have = fd;
	}
	pthread_mutex_unlock(&p->fs->lock);
	inode_room(p->fs, p->fs->max_fds);
	if (have != fd)
		close(fd);
	return have;
}

int
fs_adopt_fd(struct inode *inode, int fd)
{
	struct inode_private *p = inode->priv;
	struct statx ours, theirs;
	int none = -1, err = posix_stat(inode->fd, STATX_BASIC_STATS, &ours);
	if (!err)
		err = posix_stat(fd, STATX_BASIC_STATS, &theirs);
	if (err)
		return err;
	if (!S_ISREG(inode->type) || ours.stx_ino != theirs.stx_ino || ours.stx_dev_major != theirs.stx_dev_major ||
	    ours.stx_dev_minor != theirs.stx_dev_minor)
		return -ESTALE;
	LOCK_SCOPE(&p->fs->lock);
	if (!atomic_compare_exchange_strong(&p->data_fd, &none, fd))
		return -EEXIST;
	p->fs->fds++;
	return 0;
}

struct export *
fs_handle_export(struct fs *fs, const void *bytes, unsigned len)
{
	struct handle handle;
	struct handle_native native;
	enum handle_kind kind;
	uint32_t id;
	if (handle_open(fs->key, bytes, len, &handle, &kind, &id, &native) || kind != HANDLE_FILE)
		return NULL;
	struct fs_export *fse = fs_export_by_id(fs, id);
	if (!fse)
		return NULL;
	struct export *export = export_get(fse->export);
	fs_export_put(fse);
	return export;
}

int
inode_data_fd(struct inode *inode)
{
	struct inode_private *p = inode->priv;
	int fd = atomic_load(&p->data_fd);
	if (fd >= 0)
		return fd;
	if (!S_ISREG(inode->type))
		return S_ISDIR(inode->type) ? -EISDIR : -EINVAL;

	LOCK_SCOPE(&p->open_lock);
	if ((fd = atomic_load(&p->data_fd)) >= 0)
		return fd;
	fd = inode_reopen(inode, O_RDWR);
	if (fd == -EROFS)
		fd = inode_reopen(inode, O_RDONLY);
	return fd < 0 ? fd : set_data_fd(p, fd);
}
