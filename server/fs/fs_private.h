/*
 * What the files of server/fs share.
 *
 * Locks, outermost first: fs->tree_lock, inode_private->dir_lock, ->open_lock, fs->lock (the
 * cache; a leaf), ->change_lock (a leaf).  None is held by a caller of fs.h.
 */
#ifndef PNFS_SERVER_FS_PRIVATE_H
#define PNFS_SERVER_FS_PRIVATE_H

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#include "include/cleanup.h"
#include "server/export/export.h"
#include "server/fs/fs.h"
#include "server/fs/handle.h"
#include "server/mds.h"

struct fs_export;

/* A directory above or at an export's path; they are never freed before the fs, so pointers to them stay good. */
struct pseudo_node {
	struct pseudo_node *parent, *children, *sibling;
	struct pseudo_node *next;	/* of all nodes */
	char *path, *name;		/* name points into path */
	uint64_t ino;			/* also names the node in its handle; of the path, so stable over restarts */
	uint64_t cookie;		/* in its parent's READDIR; >= 3 */
	struct fs_export *fse;		/* exported right here, or NULL */
	bool live;			/* an export is here or below */
	struct inode *inode;		/* made with the node; the node holds a reference */
};

/* An export as fs/ sees it.  Counted by the list of exports and by every inode. */
struct fs_export {
	TAILQ_ENTRY(fs_export) link;
	struct fs *fs;
	struct export *export;
	unsigned users;			/* fs->lock */
	bool removed;			/* fs->lock */
	bool fine_ctime;		/* two changes with a look between them never share a ctime */
	bool xattrs;			/* the file system has extended attributes of users */
	bool acls;			/* and POSIX ACLs */
	bool whole;			/* the root is the root of its mount: nothing of the mount is outside */
	uint64_t root_ino, covered_ino;
	struct handle_native root;
	struct pseudo_node *node;	/* tree_lock */
	struct fs_export *outer;	/* the export whose directories we stand in, or NULL; fs->lock */
};

/* inode first: one allocation, one pointer */
struct inode_private {
	struct inode inode;
	struct fs *fs;
	struct fs_export *fse;		/* NULL: pseudo */
	uint64_t serial;		/* no other inode of this process ever has it */
	UT_hash_handle hh;		/* by the handle without its MAC */
	TAILQ_ENTRY(inode_private) lru;	/* while refs is 0 */
	atomic_uint refs;		/* 0 <-> 1 only under fs->lock */
	bool hashed, unlinked;		/* fs->lock */
	bool spacious;			/* to be closed after its last use; fs->lock */
	atomic_bool dirty;		/* unstable data was written and not committed */
	atomic_bool random;		/* the data descriptor is FADV_RANDOM */
	atomic_int data_fd;		/* -1: not open yet; set once */
	pthread_mutex_t open_lock;
	atomic_uint_fast64_t acl_none;	/* posix_acl.c: with this ctime it has no ACL; 0: not known */
	atomic_bool acl_seen;		/* its ACL was asked for before */
	pthread_mutex_t dir_lock;	/* one change of the directory at a time, so that before and after are ours */

	/* change.c; only where ctime is coarse */
	pthread_mutex_t change_lock;
	atomic_uint changes;
	unsigned changes_seen;
	uint64_t change_ctime, change_last;
};

/* Inodes taken out of the cache, linked by lru. */
TAILQ_HEAD(inode_dead, inode_private);

struct fs {
	struct mds *mds;
	struct handle_key *key;
	atomic_uint_fast64_t write_errors;
	gid_t *groups;			/* of the process, to go back to */
	int ngroups;

	pthread_rwlock_t tree_lock;
	struct pseudo_node *tree, *nodes;	/* the root; all */
	uint64_t next_cookie;
	atomic_uint_fast64_t generation;	/* of the tree: moves change of its nodes */

	pthread_mutex_t lock;
	TAILQ_HEAD(, fs_export) exports;	/* changed under tree_lock and lock */
	unsigned nested;		/* exports with an outer one */
	struct inode_private *inodes;
	TAILQ_HEAD(, inode_private) unused;	/* oldest first */
	unsigned nunused;
	uint64_t fds_logged_ms;
	unsigned fds, max_fds;		/* descriptors of inodes; above max_fds unused inodes go */
	struct inode_dead dead;		/* out of the cache, to be closed; their descriptors count in fds */
	bool sweeping, stop, work;
	pthread_t sweeper;
	pthread_cond_t wake;		/* work, stop */

	struct names *names;		/* names.c */
};

static inline struct inode_private *
inode_priv(const struct inode *inode)
{
	return inode->priv;
}

/* ---- inode.c ---- */

void inode_cache_init(struct fs *fs);
void inode_cache_free(struct fs *fs);
struct inode_private *inode_alloc(struct fs *fs, struct fs_export *fse, const struct handle *handle);

/* With fs->lock held. */
struct inode_private *inode_peek_locked(struct fs *fs, const void *body, unsigned len);
struct inode *inode_get_locked(struct fs *fs, struct inode_private *priv);
void inode_hash_locked(struct fs *fs, struct inode_private *priv);
void inode_unhash_locked(struct fs *fs, struct inode_private *priv);
/* Out of the cache for good; somebody closes it, see inode_room().  Nothing refers to PRIV any more and nothing will. */
void inode_bury_locked(struct fs *fs, struct inode_private *priv);
/* Have the sweeper close what is dead or too much: what a loop may do, where the closing itself may wait for storage. */
void inode_wake_sweeper_locked(struct fs *fs);
/* Without it.  Close what is dead, and unused inodes until the descriptors are no more than max_fds; was there any?  Waits for storage: never on a loop. */
bool inode_room(struct fs *fs, unsigned max_fds);
/* ERR, of an open: is it worth another try?  If there is no descriptor left room is made; if none is to be had that is logged, every ten seconds at most. */
bool inode_out_of_fds(struct fs *fs, int err);

/* Referenced, or NULL.  BODY: a handle without its MAC. */
struct inode *inode_find(struct fs *fs, const void *body, unsigned len);

/* ---- inode_open.c ---- */

/*
 * Make the inode of a handle or return the one that another thread made meanwhile.  Takes over PATH_FD and DATA_FD (or -1), on
 * errors too.  FRESH: nobody can have seen an attribute of it yet.
 */
int inode_insert(struct fs_export *fse, const struct handle *handle, int path_fd, int data_fd, bool fresh,
    struct inode **inode);
/* The inode of a pseudo node, referenced by it. */
int inode_insert_pseudo(struct fs *fs, struct pseudo_node *node, const struct handle *handle);
/* The inode of NATIVE in FSE; opens it by its handle unless PATH_FD >= 0 (taken over) is given. */
int inode_of_native(struct fs_export *fse, const struct handle_native *native, int path_fd, struct inode **inode);
/* The same, only if it is in the cache; else -EAGAIN. */
int inode_of_native_nowait(struct fs_export *fse, const struct handle_native *native, struct inode **inode);
/* A second description for what does not touch data or only reads: fd or -errno. */
int inode_reopen(struct inode *inode, int flags);

/* ---- inode_sweep.c ---- */

/* A name of it went away: if that was the last, let go of it with its last reference. */
void inode_name_removed(struct fs_export *fse, const struct handle_native *native);
/* Forget all of an export. */
void inode_drop_export(struct fs_export *fse);
/* With fs->lock held: have the sweeper thread run.  It closes what leaves the cache, and looks for files that lost their name locally. */
void inode_sweeper_start_locked(struct fs *fs);
void inode_sweeper_stop(struct fs *fs);
/* One round over all unused inodes: those without a name go. */
void inode_sweep(struct fs *fs);

/* ---- fs.c ---- */

struct fs_export *fs_export_by_id(struct fs *fs, uint32_t id);	/* counted, or NULL */
void fs_export_put(struct fs_export *fse);
/* The export below OUTER whose root this is; counted, or NULL. */
struct fs_export *fs_export_nested(struct fs_export *outer, int mount_id, const struct handle_native *native);
/* Does the root of an export below OUTER stand on its directory INO? */
bool fs_export_covers(struct fs_export *outer, uint64_t ino);
struct fs_export *fs_export_outer(struct fs_export *fse);		/* counted, or NULL */
int fs_export_root(struct fs_export *fse, struct inode **inode);

/* ---- pseudo.c ---- */

int pseudo_init(struct fs *fs);
void pseudo_free(struct fs *fs);
/* Put all exports of fs->exports in their places.  tree_lock held for writing. */
int pseudo_place(struct fs *fs);
/* Is the node itself a directory of the tree now: not removed, not the place of an export? */
bool pseudo_served(struct fs *fs, struct pseudo_node *node);
int pseudo_lookup(struct inode *dir, const char *name, unsigned len, struct inode **inode);
/* A directory of the pseudo tree below an export's root, hidden unless the file system has no such name. */
int pseudo_lookup_below(struct fs_export *fse, const char *name, unsigned len, struct inode **inode);
/* Of the node above NODE, or the root of the tree if NODE is NULL; an export's root if one stands there. */
int pseudo_parent_of(struct fs *fs, struct pseudo_node *node, struct inode **inode);
int pseudo_parent_of_export(struct fs_export *fse, struct inode **inode);
int pseudo_getattr(struct inode *inode, struct fs_stat *st);
int pseudo_readdir(struct inode *dir, uint64_t cookie, fs_emit_fn *emit, void *arg, bool *eof);

/* ---- change.c ---- */

bool change_probe(int dir_fd);
void change_load(struct inode_private *priv, struct statx *stx, bool fresh);
uint64_t change_value(struct inode_private *priv, const struct statx *stx);
void change_bump(struct inode_private *priv);

/* ctime in nanoseconds */
static inline uint64_t
change_ctime(const struct statx *stx)
{
	return (uint64_t)stx->stx_ctime.tv_sec * 1000000000u + stx->stx_ctime.tv_nsec;
}

/* ---- glance.c ---- */

/* This thread changed something: no look of before counts. */
void glance_end(void);

/* ---- names.c ---- */

#define NAMES_LEN 47u			/* longer names are not kept */

enum names_answer {
	NAMES_UNKNOWN,
	NAMES_CACHED,			/* the kernel had it a moment ago */
	NAMES_SAME,			/* *native and *mount_id are what it leads to */
};

struct names *names_new(void);
void names_free(struct names *names);
/* What is known of NAME in DIR, whose ctime is CTIME now. */
enum names_answer names_find(struct names *names, const struct inode_private *dir, uint64_t ctime, const char *name, unsigned len,
    struct handle_native *native, int *mount_id);
/* The kernel said so after DIR's ctime was CTIME. */
void names_note(struct names *names, const struct inode_private *dir, uint64_t ctime, const char *name, unsigned len,
    const struct handle_native *native, int mount_id);

/* ---- user.c ---- */

/* This thread creates as CRED between the two.  -errno: nothing was changed. */
int user_enter(struct fs *fs, const struct fs_cred *cred);
void user_leave(struct fs *fs, const struct fs_cred *cred);

/* ---- posix_*.c ---- */

/* NAME, checked, terminated, into BUF (FS_NAME_MAX + 1 bytes); -errno as fs.h says. */
int posix_name(char *buf, const char *name, unsigned len);
int posix_stat(int fd, unsigned mask, struct statx *stx);
bool posix_in_group(const struct fs_cred *cred, gid_t gid);
/* As a write by somebody who is not root does: suid and sgid go. */
int posix_kill_sid(struct inode *inode);
/*
 * What was done to a directory's names, or to attributes, is durable when it returns 0: clients take these operations to be synchronous, and Linux' fsync of a
 * directory asks nothing of the server.  No dir_lock held: operations under way together share one log force.
 */
int posix_settle(struct inode *inode);
/* Has the file system of FD POSIX ACLs? */
bool posix_acl_probe(int fd);
int posix_acl_set(struct inode *inode, enum fs_acl_kind kind, const struct fs_acl *acl);
/* Has the file system of FD attributes of the name space "user."? */
bool posix_xattr_probe(int fd);
/* Cached clean pages that hold any byte of the range. */
void posix_drop_pages(int fd, uint64_t offset, uint64_t len);
/* While layouts are out the kernel must not read ahead. */
void posix_set_random(struct inode *inode, int fd, bool random);
/*
 * A descriptor to read by: the data descriptor, or, since that is for writing too and a program that runs, or an immutable file, cannot be
 * opened so, one for this once: *OWN, to be closed; else -1.
 */
int posix_read_fd(struct inode *inode, int *own);
/* ERR is returned; if it says that unstable data was lost, it is counted (fs_write_errors()). */
int posix_note_error(struct inode *inode, int err);
/* ftruncate() as a client's. */
int posix_set_size(struct inode *inode, const struct fs_stat *st, uint64_t size);
/* One child of DIR, never through another mount; priv of an export. */
int posix_child(struct inode_private *dir, const char *name, struct inode **inode);

#endif
