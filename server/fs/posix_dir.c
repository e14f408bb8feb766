/* Looking into directories.  Called by op_fh.c (LOOKUP), op_dir.c (READDIR), op_open.c; names by posix_modify.c too. */
#include "server/fs/fs_private.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <sys/syscall.h>

int
posix_name(char *buf, const char *name, unsigned len)
{
	if (!len || memchr(name, 0, len) || memchr(name, '/', len))
		return -EINVAL;
	if (len > FS_NAME_MAX)
		return -ENAMETOOLONG;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return -EINVAL;
	memcpy(buf, name, len);
	buf[len] = 0;
	return 0;
}

/* What stands at (MOUNT_ID, NATIVE), found in DIR: a file of its export, or the root of an export below. */
static int
found(struct inode_private *dir, int mount_id, const struct handle_native *native, bool nowait, struct inode **inode)
{
	struct fs_export *nested = fs_export_nested(dir->fse, mount_id, native);
	if (nested) {
		int err = nowait ? inode_of_native_nowait(nested, native, inode) : fs_export_root(nested, inode);
		fs_export_put(nested);
		return err;
	}
	if (mount_id != dir->fse->export->mount_id)
		return -EACCES;
	return nowait ? inode_of_native_nowait(dir->fse, native, inode) :
	    inode_of_native(dir->fse, native, -1, inode);
}

int
posix_child(struct inode_private *dir, const char *name, struct inode **inode)
{
	struct handle_native native;
	int mount_id, err = handle_of(dir->inode.fd, name, &native, &mount_id);
	if (err)
		return err;
	err = found(dir, mount_id, &native, false, inode);
	inode_room(dir->fs, dir->fs->max_fds);
	return err == -ESTALE ? -ENOENT : err;		/* removed in between */
}

static bool
is_export_root(const struct inode *inode)
{
	const struct fs_export *fse = inode->priv->fse;
	return inode->handle_len == HANDLE_HEADER + HANDLE_MAC + 0u + fse->root.len &&
	    !memcmp(inode->handle + HANDLE_HEADER, fse->root.bytes, fse->root.len);
}

int
fs_lookup(struct inode *dir, const char *name, unsigned len, struct inode **inode)
{
	char buf[FS_NAME_MAX + 1];
	int err = posix_name(buf, name, len);
	if (err)
		return err;
	if (!S_ISDIR(dir->type))
		return -ENOTDIR;
	if (dir->pseudo)
		return pseudo_lookup(dir, name, len, inode);
	err = posix_child(dir->priv, buf, inode);
	if (err == -ENOENT && is_export_root(dir))
		err = pseudo_lookup_below(dir->priv->fse, name, len, inode);
	return err;
}

/* ---- LOOKUP on loops ---- */

/*
 * openat2(RESOLVE_CACHED) never waits, but costs three system calls with its handle and its close, where name_to_handle_at(2) of the name is one
 * that may have to read the directory: for names that are known to be in the kernel's cache (names.c).
 */
static int
ask_kernel(struct inode *dir, const char *name, bool cached, struct handle_native *native, int *mount_id)
{
	if (cached) {
		int err = handle_of(dir->fd, name, native, mount_id);
		/* a node of the pseudo root below it, perhaps */
		return err == -ENOENT && is_export_root(dir) ? -EAGAIN : err;
	}
	struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC, .resolve = RESOLVE_CACHED };
	CLEANUP_CLOSE int fd = (int)syscall(SYS_openat2, dir->fd, name, &how, sizeof how);
	if (fd < 0)
		return errno == ENOENT && !is_export_root(dir) ? -ENOENT : -EAGAIN;
	return handle_of(fd, "", native, mount_id);
}

int
fs_lookup_nowait(struct inode *dir, const char *name, unsigned len, struct inode **inode)
{
	char buf[FS_NAME_MAX + 1];
	struct handle_native native;
	struct fs_stat st;
	int mount_id, err = posix_name(buf, name, len);
	if (err)
		return err;
	if (!S_ISDIR(dir->type))
		return -ENOTDIR;
	if (dir->pseudo)
		return pseudo_lookup(dir, name, len, inode);
	/* before the kernel is asked for the name */
	err = fs_glance(dir, &st);
	if (err)
		return err;
	struct names *names = dir->priv->fs->names;
	uint64_t ctime = change_ctime(&st.stx);
	enum names_answer known = names_find(names, dir->priv, ctime, buf, len, &native, &mount_id);
	if (known != NAMES_SAME) {
		err = ask_kernel(dir, buf, known == NAMES_CACHED, &native, &mount_id);
		if (err)
			return err;
		names_note(names, dir->priv, ctime, buf, len, &native, mount_id);
	}
	return found(dir->priv, mount_id, &native, true, inode);
}

/* ---- LOOKUPP ---- */

/*
 * Does the way up from FD pass the root of FSE?  A directory whose handle a client has may have been moved out
 * of an export that is not a whole file system (PITFALLS E7, E9).
 */
static bool
is_below(const struct fs_export *fse, int fd)
{
	if (fse->whole)
		return true;
	struct handle_native here, last = { 0 };
	int mount_id, dir = -1;
	bool below = false;
	for (unsigned depth = 0; depth < 4096; depth++) {
		if (handle_of(dir < 0 ? fd : dir, "", &here, &mount_id) || mount_id != fse->export->mount_id)
			break;
		below = handle_native_equal(&here, &fse->root);
		if (below || handle_native_equal(&here, &last))
			break;
		last = here;
		int up = openat(dir < 0 ? fd : dir, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		if (dir >= 0)
			close(dir);
		if ((dir = up) < 0)
			break;
	}
	if (dir >= 0)
		close(dir);
	return below;
}

/* The directory above DIR if it is one of FSE. */
static int
parent_in(struct inode *dir, struct fs_export *fse, struct inode **inode)
{
	CLEANUP_CLOSE int fd = openat(dir->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	struct handle_native native;
	int mount_id, err = handle_of(fd, "", &native, &mount_id);
	if (err)
		return err;
	if (mount_id != fse->export->mount_id || !is_below(fse, fd))
		return -ENOENT;
	return inode_of_native(fse, &native, -1, inode);
}

int
fs_lookupp(struct inode *dir, struct inode **inode)
{
	if (!S_ISDIR(dir->type))
		return -ENOTDIR;
	if (dir->pseudo) {
		if (!dir->pseudo->parent)
			return -ENOENT;
		return pseudo_parent_of(dir->priv->fs, dir->pseudo, inode);
	}
	struct fs_export *fse = dir->priv->fse;
	if (!is_export_root(dir))
		return parent_in(dir, fse, inode);
	struct fs_export *outer = fs_export_outer(fse);
	int err = outer ? parent_in(dir, outer, inode) : -ENOENT;
	if (outer)
		fs_export_put(outer);
	return err ? pseudo_parent_of_export(fse, inode) : 0;
}

/* ---- READDIR ---- */

#define DENTS (32u << 10)

/*
 * Cookies are positions of the file system, below 2^63; those that NFS has other uses for (RFC 8881 18.23.3: 0, and 1 and 2 were
 * . and .. once) go out with the highest bit set.
 */
#define COOKIE_MOVED (1ull << 63)

static uint64_t
cookie_out(uint64_t pos)
{
	return pos < 3 ? pos | COOKIE_MOVED : pos;
}

struct dents {
	struct fs_export *fse;
	fs_emit_fn *emit;
	void *arg;
};

/* False: no room for an entry. */
static bool
emit_buf(const struct dents *d, const char *buf, size_t len)
{
	for (size_t at = 0; at < len;) {
		const struct dirent64 *de = (const struct dirent64 *)(const void *)(buf + at);
		at += de->d_reclen;
		const char *name = de->d_name;
		if (name[0] == '.' && (!name[1] || (name[1] == '.' && !name[2])))
			continue;
		struct fs_dirent ent = {
			.cookie = cookie_out((uint64_t)de->d_off), .name = name, .len = (unsigned)strlen(name),
			.ino = de->d_ino, .type = DTTOIF(de->d_type),
			.mount = de->d_type == DT_DIR && fs_export_covers(d->fse, de->d_ino),
		};
		if (!d->emit(d->arg, &ent))
			return false;
	}
	return true;
}

int
fs_readdir(struct inode *dir, uint64_t cookie, fs_emit_fn *emit, void *arg, bool *eof)
{
	if (!S_ISDIR(dir->type))
		return -ENOTDIR;
	if (dir->pseudo)
		return pseudo_readdir(dir, cookie, emit, arg, eof);
	uint64_t pos = cookie & ~COOKIE_MOVED;
	if (cookie && cookie_out(pos) != cookie)
		return -EINVAL;
	/* A position of its own: descriptors of directories are not shared. */
	CLEANUP_CLOSE int fd = openat(dir->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESTALE : -errno;
	if (pos && lseek(fd, (off_t)pos, SEEK_SET) < 0)
		return -errno;
	CLEANUP_FREE char *buf = malloc(DENTS);
	if (!buf)
		return -ENOMEM;
	struct dents d = { dir->priv->fse, emit, arg };
	for (*eof = false;;) {
		ssize_t n = getdents64(fd, buf, DENTS);
		if (n < 0)
			return errno == ENOENT ? -ESTALE : -errno;
		if (n == 0) {
			*eof = true;
			return 0;
		}
		if (!emit_buf(&d, buf, (size_t)n))
			return 0;
	}
}
