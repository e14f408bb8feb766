/*
 * The pseudo root (RFC 8881 7.3): directories that lead from / to the exports.
 * Called by fs.c when exports come and go, by posix_*.c for inodes without an export.
 *
 * With an export of fsid=0 that one is the root, and exports below its path stand where
 * their path says; one elsewhere is found by its whole path where the root has no such name.
 * Nodes live as long as the fs, so that handles and pointers to them stay good; there are
 * never more than the administrator ever configured.
 */
#include "server/fs/fs_private.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>

#include "server/conf/exports.h"

#define FIRST_COOKIE 3	/* 0, 1 and 2 mean something else (RFC 8881 18.23.3) */

/* Of the path alone: the same over restarts. */
static uint64_t
node_ino(const char *path)
{
	struct sha256_ctx sha;
	uint8_t sum[8];
	sha256_init(&sha);
	sha256_update(&sha, strlen(path), (const uint8_t *)path);
	sha256_digest(&sha, sizeof sum, sum);
	uint64_t ino = 0;
	for (unsigned i = 0; i < sizeof sum; i++)
		ino = ino << 8 | sum[i];
	return ino | 1ull << 63;	/* no XFS inode has such a number */
}

static void
node_free(struct pseudo_node *node)
{
	if (node)
		free(node->path);
	free(node);
}

static int
node_new(struct fs *fs, struct pseudo_node *parent, const char *path, size_t len, struct pseudo_node **nodep)
{
	struct pseudo_node *node = calloc(1, sizeof *node);
	if (!node || !(node->path = strndup(path, len))) {
		node_free(node);
		return -ENOMEM;
	}
	node->name = strrchr(node->path, '/') + 1;
	node->parent = parent;
	node->ino = node_ino(node->path);
	node->cookie = fs->next_cookie++;

	struct handle_native native = { .len = 8 };
	for (unsigned i = 0; i < 8; i++)
		native.bytes[i] = (uint8_t)(node->ino >> (56 - 8 * i));
	struct handle handle;
	handle_body(&handle, HANDLE_PSEUDO, 0, &native);
	handle_sign(fs->key, &handle);
	int err = inode_insert_pseudo(fs, node, &handle);
	if (err) {
		node_free(node);
		return err;
	}
	node->next = fs->nodes;
	fs->nodes = node;
	if (parent) {
		/* At the end: READDIR goes by ascending cookies. */
		struct pseudo_node **p = &parent->children;
		while (*p)
			p = &(*p)->sibling;
		*p = node;
	}
	*nodep = node;
	return 0;
}

int
pseudo_init(struct fs *fs)
{
	fs->next_cookie = FIRST_COOKIE;
	int err = node_new(fs, NULL, "/", 1, &fs->tree);
	if (!err)
		fs->tree->live = true;
	return err;
}

/* Their inodes went with the cache. */
void
pseudo_free(struct fs *fs)
{
	struct pseudo_node *node, *next;
	for (node = fs->nodes; node; node = next) {
		next = node->next;
		node_free(node);
	}
	fs->nodes = fs->tree = NULL;
}

static struct pseudo_node *
child_find(const struct pseudo_node *node, const char *name, size_t len)
{
	struct pseudo_node *child;
	for (child = node->children; child; child = child->sibling)
		if (strlen(child->name) == len && !memcmp(child->name, name, len))
			break;
	return child;
}

/* The node of PATH ("/a/b"), made with all above it. */
static int
node_make(struct fs *fs, const char *path, struct pseudo_node **nodep)
{
	struct pseudo_node *node = fs->tree;
	for (const char *p = path; *p == '/' && p[1];) {
		const char *name = p + 1, *end = strchrnul(name, '/');
		struct pseudo_node *child = child_find(node, name, (size_t)(end - name));
		int err = child ? 0 : node_new(fs, node, path, (size_t)(end - path), &child);
		if (err)
			return err;
		node = child;
		p = end;
	}
	*nodep = node;
	return 0;
}

/* Where PATH stands when the export of ROOT (or NULL) is the root of the tree. */
static const char *
place_of(const char *path, const char *root)
{
	size_t len = root ? strlen(root) : 0;
	if (len <= 1 || strncmp(path, root, len))
		return path;
	return path[len] == 0 ? "/" : path[len] == '/' ? path + len : path;
}

/* The nearest export above; fs->lock held besides, since outer is read under it. */
static void
find_outer(struct fs *fs)
{
	LOCK_SCOPE(&fs->lock);
	struct fs_export *fse;
	fs->nested = 0;
	TAILQ_FOREACH(fse, &fs->exports, link) {
		struct pseudo_node *node = fse->node ? fse->node->parent : NULL;
		while (node && !node->fse)
			node = node->parent;
		fse->outer = node ? node->fse : NULL;
		fs->nested += fse->outer != NULL;
	}
}

int
pseudo_place(struct fs *fs)
{
	struct fs_export *fse;
	const char *root = NULL;
	int err = 0;
	for (struct pseudo_node *node = fs->nodes; node; node = node->next) {
		node->fse = NULL;
		node->live = node == fs->tree;
	}
	TAILQ_FOREACH(fse, &fs->exports, link)
		if (fse->export->line->fsid_root)
			root = fse->export->line->path;
	TAILQ_FOREACH(fse, &fs->exports, link) {
		struct pseudo_node *node;
		fse->node = NULL;
		int e = node_make(fs, place_of(fse->export->line->path, root), &node);
		if (!e && node->fse)
			e = -EEXIST;
		if (e) {
			err = err ? err : e;
			continue;
		}
		node->fse = fse;
		fse->node = node;
		for (; node && !node->live; node = node->parent)
			node->live = true;
	}
	find_outer(fs);
	atomic_fetch_add(&fs->generation, 1);
	return err;
}

/* ---- walking; the tree is locked only while looking ---- */

/* The inode of a node that is there, or of the export's root that stands there. Unlocks the tree. */
static int
node_inode_unlock(struct fs *fs, struct pseudo_node *node, struct inode **inode)
{
	int err = node && node->live ? 0 : -ENOENT;
	struct fs_export *fse = err ? NULL : node->fse;
	if (fse) {
		pthread_mutex_lock(&fs->lock);
		fse->users++;
		pthread_mutex_unlock(&fs->lock);
	}
	pthread_rwlock_unlock(&fs->tree_lock);
	if (fse) {
		err = fs_export_root(fse, inode);
		fs_export_put(fse);
	} else if (!err) {
		*inode = inode_get(node->inode);
	}
	return err;
}

/* Is there an export at NODE or below that ADMITS says yes to?  As deep as the paths that the administrator wrote. */
static bool
node_leads(const struct pseudo_node *node, bool (*admits)(const struct export *, void *), void *arg)
{
	if (!node->live)
		return false;
	if (node->fse && admits(node->fse->export, arg))
		return true;
	for (const struct pseudo_node *child = node->children; child; child = child->sibling)
		if (node_leads(child, admits, arg))
			return true;
	return false;
}

bool
fs_pseudo_leads(const struct inode *inode, bool (*admits)(const struct export *, void *), void *arg)
{
	struct fs *fs = inode->priv->fs;
	pthread_rwlock_rdlock(&fs->tree_lock);
	bool leads = inode->pseudo == fs->tree || node_leads(inode->pseudo, admits, arg);
	pthread_rwlock_unlock(&fs->tree_lock);
	return leads;
}

bool
pseudo_served(struct fs *fs, struct pseudo_node *node)
{
	pthread_rwlock_rdlock(&fs->tree_lock);
	bool served = node->live && !node->fse;
	pthread_rwlock_unlock(&fs->tree_lock);
	return served;
}

int
pseudo_lookup(struct inode *dir, const char *name, unsigned len, struct inode **inode)
{
	struct fs *fs = dir->priv->fs;
	pthread_rwlock_rdlock(&fs->tree_lock);
	return node_inode_unlock(fs, child_find(dir->pseudo, name, len), inode);
}

int
pseudo_lookup_below(struct fs_export *fse, const char *name, unsigned len, struct inode **inode)
{
	pthread_rwlock_rdlock(&fse->fs->tree_lock);
	struct pseudo_node *node = fse->node ? child_find(fse->node, name, len) : NULL;
	return node_inode_unlock(fse->fs, node, inode);
}

int
pseudo_parent_of(struct fs *fs, struct pseudo_node *node, struct inode **inode)
{
	pthread_rwlock_rdlock(&fs->tree_lock);
	return node_inode_unlock(fs, node ? node->parent : fs->tree, inode);
}

int
pseudo_parent_of_export(struct fs_export *fse, struct inode **inode)
{
	pthread_rwlock_rdlock(&fse->fs->tree_lock);
	return node_inode_unlock(fse->fs, fse->node ? fse->node->parent : NULL, inode);
}

int
pseudo_getattr(struct inode *inode, struct fs_stat *st)
{
	struct fs *fs = inode->priv->fs;
	uint64_t boot = fs->mds->boot;
	struct statx_timestamp ts = { .tv_sec = (int64_t)(boot / 1000000000u), .tv_nsec = boot % 1000000000u };
	*st = (struct fs_stat){ .stx = {
		.stx_mask = STATX_BASIC_STATS, .stx_blksize = 4096, .stx_nlink = 2, .stx_mode = S_IFDIR | 0555,
		.stx_ino = inode->ino, .stx_size = 4096, .stx_atime = ts, .stx_ctime = ts, .stx_mtime = ts, .stx_btime = ts,
	} };
	pthread_rwlock_rdlock(&fs->tree_lock);
	for (struct pseudo_node *child = inode->pseudo->children; child; child = child->sibling)
		st->stx.stx_nlink += child->live;
	pthread_rwlock_unlock(&fs->tree_lock);
	/* Exports change with SIGHUP and with the server's start. */
	st->change = boot + atomic_load(&fs->generation);
	return 0;
}

/* EMIT is called without the lock: it may look things up. */
int
pseudo_readdir(struct inode *dir, uint64_t cookie, fs_emit_fn *emit, void *arg, bool *eof)
{
	struct fs *fs = dir->priv->fs;
	if (cookie && cookie < FIRST_COOKIE)
		return -EINVAL;
	*eof = false;
	for (;;) {
		pthread_rwlock_rdlock(&fs->tree_lock);
		struct pseudo_node *child = dir->pseudo->children;
		while (child && (!child->live || child->cookie <= cookie))
			child = child->sibling;
		bool mount = child && child->fse;
		pthread_rwlock_unlock(&fs->tree_lock);
		if (!child) {
			*eof = true;
			return 0;
		}
		struct fs_dirent ent = { child->cookie, child->name, (unsigned)strlen(child->name), child->ino, S_IFDIR,
			mount };
		if (!emit(arg, &ent))
			return 0;
		cookie = child->cookie;
	}
}
