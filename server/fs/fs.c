/*
 * The file system side of the server as a whole, and its table of exports.  Called
 * by net/ at start, stop and SIGHUP; inside by the other files of fs/.
 */
#include "server/fs/fs_private.h"

#include <dirent.h>
#include <grp.h>
#include <stdlib.h>

#include "include/log.h"
#include "server/conf/exports.h"

int
fs_new(struct mds *mds, struct fs **fsp)
{
	struct fs *fs = calloc(1, sizeof *fs);
	if (!fs)
		return -ENOMEM;
	fs->mds = mds;
	TAILQ_INIT(&fs->exports);
	pthread_rwlock_init(&fs->tree_lock, NULL);
	inode_cache_init(fs);
	int err = handle_key_load(mds->conf.state_dir, &fs->key);
	fs->ngroups = err ? 0 : getgroups(0, NULL);
	if (!err && fs->ngroups > 0) {
		fs->groups = calloc((size_t)fs->ngroups, sizeof *fs->groups);
		if (!fs->groups || (fs->ngroups = getgroups(fs->ngroups, fs->groups)) < 0)
			err = fs->groups ? -errno : -ENOMEM;
	}
	if (!err)
		err = pseudo_init(fs);
	fs->names = err ? NULL : names_new();
	if (!err && !fs->names)
		err = -ENOMEM;
	if (err) {
		fs_free(fs);
		return err;
	}
	/* Modes are what the client asks for. */
	umask(0);
	*fsp = fs;
	return 0;
}

void
fs_free(struct fs *fs)
{
	if (!fs)
		return;
	inode_sweeper_stop(fs);
	struct fs_export *fse;
	while ((fse = TAILQ_FIRST(&fs->exports)))
		fs_export_remove(fs, fse->export);
	inode_cache_free(fs);
	pseudo_free(fs);
	handle_key_free(fs->key);
	names_free(fs->names);
	pthread_rwlock_destroy(&fs->tree_lock);
	pthread_mutex_destroy(&fs->lock);
	pthread_cond_destroy(&fs->wake);
	free(fs->groups);
	free(fs);
}

uint64_t
fs_write_errors(const struct fs *fs)
{
	return atomic_load(&((struct fs *)fs)->write_errors);
}

/* ---- exports ---- */

/* What readdir of the directory above says: the number of the directory that the export's file system covers. */
static uint64_t
covered_ino(const char *path, uint64_t fallback)
{
	char above[4096];
	const char *name = strrchr(path, '/') + 1;
	if (!*name || (size_t)(name - path) >= sizeof above)
		return fallback;
	memcpy(above, path, (size_t)(name - path));
	above[name - path] = 0;
	DIR *dir = opendir(above);
	if (!dir)
		return fallback;
	struct dirent *ent;
	while ((ent = readdir(dir)) && strcmp(ent->d_name, name))
		;
	uint64_t ino = ent && ent->d_ino ? ent->d_ino : fallback;
	closedir(dir);
	return ino;
}

/* Is the root also the root of its mount: does .. lead to another mount, or to itself? */
static bool
is_mount_root(const struct export *export, const struct handle_native *root)
{
	struct handle_native up;
	int mount_id;
	return handle_of(export->root_fd, "..", &up, &mount_id) == 0 &&
	    (mount_id != export->mount_id || handle_native_equal(&up, root));
}

static int
fse_new(struct fs *fs, struct export *export, struct fs_export **fsep)
{
	struct fs_export *fse = calloc(1, sizeof *fse);
	if (!fse)
		return -ENOMEM;
	fse->fs = fs;
	fse->users = 1;
	int mount_id;
	struct statx stx;
	int err = handle_of(export->root_fd, "", &fse->root, &mount_id);
	if (!err)
		err = posix_stat(export->root_fd, STATX_BASIC_STATS, &stx);
	if (err) {
		free(fse);
		return err;
	}
	fse->root_ino = stx.stx_ino;
	fse->covered_ino = covered_ino(export->line->path, stx.stx_ino);
	fse->whole = is_mount_root(export, &fse->root);
	fse->fine_ctime = change_probe(export->mount_fd);
	fse->acls = posix_acl_probe(export->mount_fd);
	fse->xattrs = posix_xattr_probe(export->mount_fd);
	fse->export = export_get(export);
	*fsep = fse;
	return 0;
}

/* Another of the same place or number? tree_lock held. */
static bool
is_taken(struct fs *fs, const struct export *export)
{
	struct fs_export *fse;
	TAILQ_FOREACH(fse, &fs->exports, link) {
		if (fse->export->id == export->id || !strcmp(fse->export->line->path, export->line->path))
			return true;
		if (fse->export->line->fsid_root && export->line->fsid_root)
			return true;
	}
	return false;
}

int
fs_export_add(struct fs *fs, struct export *export)
{
	struct fs_export *fse;
	int err = fse_new(fs, export, &fse);
	if (err)
		return err;
	pthread_rwlock_wrlock(&fs->tree_lock);
	bool taken = is_taken(fs, export);
	if (!taken) {
		pthread_mutex_lock(&fs->lock);
		TAILQ_INSERT_TAIL(&fs->exports, fse, link);
		pthread_mutex_unlock(&fs->lock);
		err = pseudo_place(fs);
	}
	pthread_rwlock_unlock(&fs->tree_lock);
	if (taken) {
		fs_export_put(fse);
		return -EEXIST;
	}
	if (err)
		fs_export_remove(fs, export);
	return err;
}

void
fs_export_remove(struct fs *fs, struct export *export)
{
	struct fs_export *fse;
	pthread_rwlock_wrlock(&fs->tree_lock);
	TAILQ_FOREACH(fse, &fs->exports, link)
		if (fse->export == export)
			break;
	if (fse) {
		pthread_mutex_lock(&fs->lock);
		TAILQ_REMOVE(&fs->exports, fse, link);
		fse->removed = true;
		pthread_mutex_unlock(&fs->lock);
		if (pseudo_place(fs))
			log_error("%s: no memory to rearrange the pseudo root", export->line->path);
	}
	pthread_rwlock_unlock(&fs->tree_lock);
	if (!fse)
		return;
	inode_drop_export(fse);
	/* Now, so that its directory can be unmounted and its device be opened for another. */
	inode_room(fs, fs->max_fds);
	fs_export_put(fse);
}

void
fs_export_put(struct fs_export *fse)
{
	pthread_mutex_lock(&fse->fs->lock);
	bool last = --fse->users == 0;
	pthread_mutex_unlock(&fse->fs->lock);
	if (!last)
		return;
	export_put(fse->export);
	free(fse);
}

struct fs_export *
fs_export_by_id(struct fs *fs, uint32_t id)
{
	LOCK_SCOPE(&fs->lock);
	struct fs_export *fse;
	TAILQ_FOREACH(fse, &fs->exports, link)
		if (fse->export->id == id)
			break;
	if (fse)
		fse->users++;
	return fse;
}

bool
fs_exports_any(struct fs *fs, bool (*is)(const struct export *export))
{
	LOCK_SCOPE(&fs->lock);
	struct fs_export *fse;
	TAILQ_FOREACH(fse, &fs->exports, link)
		if (is(fse->export))
			break;
	return fse != NULL;
}

struct fs_export *
fs_export_nested(struct fs_export *outer, int mount_id, const struct handle_native *native)
{
	struct fs *fs = outer->fs;
	LOCK_SCOPE(&fs->lock);
	struct fs_export *fse;
	if (!fs->nested)
		return NULL;
	TAILQ_FOREACH(fse, &fs->exports, link)
		if (fse->outer == outer && fse->export->mount_id == mount_id &&
		    handle_native_equal(&fse->root, native))
			break;
	if (fse)
		fse->users++;
	return fse;
}

bool
fs_export_covers(struct fs_export *outer, uint64_t ino)
{
	LOCK_SCOPE(&outer->fs->lock);
	struct fs_export *fse = NULL;
	if (outer->fs->nested)
		TAILQ_FOREACH(fse, &outer->fs->exports, link)
			if (fse->outer == outer && fse->covered_ino == ino)
				break;
	return fse != NULL;
}

struct fs_export *
fs_export_outer(struct fs_export *fse)
{
	LOCK_SCOPE(&fse->fs->lock);
	if (fse->outer)
		fse->outer->users++;
	return fse->outer;
}

int
fs_export_root(struct fs_export *fse, struct inode **inode)
{
	if (inode_of_native_nowait(fse, &fse->root, inode) == 0)
		return 0;
	int fd = fcntl(fse->export->root_fd, F_DUPFD_CLOEXEC, 0);
	return fd < 0 ? -errno : inode_of_native(fse, &fse->root, fd, inode);
}

int
fs_root(struct fs *fs, struct inode **inode)
{
	return pseudo_parent_of(fs, NULL, inode);
}

uint64_t
fs_mounted_on(const struct inode *inode)
{
	struct fs_export *fse = inode->priv->fse;
	if (!fse || inode->ino != fse->root_ino || inode->fd < 0)
		return inode->ino;
	struct fs *fs = fse->fs;
	pthread_rwlock_rdlock(&fs->tree_lock);
	uint64_t ino = fse->outer ? fse->covered_ino : fse->node ? fse->node->ino : inode->ino;
	pthread_rwlock_unlock(&fs->tree_lock);
	return ino;
}
