/*
 * File system verbs: what the operations of NFS need of a file system, without
 * NFS.  -errno everywhere.  posix.c does it by system calls on descriptors; handle.c
 * makes the handles; inode.c keeps open descriptors; pseudo.c is the tree above
 * the exports.
 */
#ifndef PNFS_SERVER_FS_FS_H
#define PNFS_SERVER_FS_FS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

struct export;
struct file_state;
struct fs;
struct mds;
struct pseudo_node;

#define FS_HANDLE_MAX 64		/* bytes on the wire; NFS allows 128 */
#define FS_NAME_MAX 255

/*
 * A file we know, found by its handle.  Counted; without references it stays in the cache (LRU) with its
 * descriptor.  One struct inode per file at any time, so it carries the file's locks and state.
 */
struct inode {
	struct export *export;		/* NULL: a node of the pseudo root */
	struct pseudo_node *pseudo;
	uint8_t handle[FS_HANDLE_MAX];	/* as on the wire, byte for byte, MAC included */
	unsigned handle_len;
	uint64_t ino;
	mode_t type;			/* S_IFMT bits */
	int fd;				/* O_PATH */
	pthread_rwlock_t io_lock;	/* see mds.h; wanted for reading by READ and WRITE, for writing by
					   whatever maps, truncates or moves blocks */
	struct file_state *state;	/* opens, locks, layouts (state/file.h); state_lock */
	atomic_uint layouts;		/* how many are out: layout_any(); layout/ moves it under state_lock */
	atomic_uint delegs;		/* the same of delegations: deleg_any(); state/deleg.c */
	struct {			/* who else should have no delegation just now: state/deleg.c; state_lock */
		uint64_t until_ms, but;	/* clientid that may; 0: nobody */
	} deleg_rest;
	/* the cache's and posix.c's own: */
	struct inode_private *priv;
};

/* Who asks, after squashing. */
#define FS_MAX_GROUPS 64	/* AUTH_SYS has 16 at most */
struct fs_cred {
	uid_t uid;
	gid_t gid;
	unsigned ngids;
	gid_t gids[FS_MAX_GROUPS];
};

/* statx and more. */
struct fs_stat {
	struct statx stx;
	uint64_t change;		/* never repeats for a file, grows (RFC 8881 5.8.1.4) */
};

/* bytes and inodes */
struct fs_space { uint64_t total, free, avail, files_total, files_free, files_avail; };

int fs_new(struct mds *mds, struct fs **fs);	/* reads or makes state_dir/handle.key */
void fs_free(struct fs *fs);

/* Put an export (or take it out of) the pseudo tree.  Inodes of a removed export answer -ESTALE. */
int fs_export_add(struct fs *fs, struct export *export);
void fs_export_remove(struct fs *fs, struct export *export);

/* Is there an export that IS says yes to?  IS is called with the list locked: it must not come back here. */
bool fs_exports_any(struct fs *fs, bool (*is)(const struct export *export));

/* ---- inodes; *inode gets a reference ---- */

struct inode *inode_get(struct inode *inode);
void inode_put(struct inode *inode);

/* Handle from the wire.  -EBADMSG: not ours (length, MAC); -ESTALE: no such file or export. */
int fs_inode(struct fs *fs, const void *handle, unsigned len, struct inode **inode);
/* The same for a loop: -EAGAIN where fs_inode() would have to open the file. */
int fs_inode_nowait(struct fs *fs, const void *handle, unsigned len, struct inode **inode);
/* The export a handle belongs to, referenced; NULL: none that is there, or not a file's. */
struct export *fs_handle_export(struct fs *fs, const void *handle, unsigned len);
/*
 * FD, opened for reading and writing in a former life of the server, becomes the data descriptor of INODE: nobody may open the file another time while FD
 * is leased.  Taken over when it returns 0; -EEXIST: it has one already, -ESTALE: FD is another file.
 */
int fs_adopt_fd(struct inode *inode, int fd);
int fs_root(struct fs *fs, struct inode **inode);

/*
 * The one descriptor for data of a regular file: O_RDWR (O_RDONLY on a read-only file system).  Opened at the first
 * call, shared, closed with the inode.  fd >= 0 or -errno.  A second open file description of our own would break our lease.
 */
int inode_data_fd(struct inode *inode);
/* The same if it is open already, else -EAGAIN. */
int inode_data_fd_nowait(struct inode *inode);

/* ---- verbs; names are not terminated, checked here: -EINVAL empty or with NUL, -ENAMETOOLONG, -EINVAL for . and .. ---- */

/*
 * The root of another export below DIR leads into that export.  -EACCES: something else is mounted there (mounts are never
 * crossed: give them an export of their own).
 */
int fs_lookup(struct inode *dir, const char *name, unsigned len, struct inode **inode);
/* The same for loops: -EAGAIN if it might have to wait for storage (openat2(2) RESOLVE_CACHED), nothing done. */
int fs_lookup_nowait(struct inode *dir, const char *name, unsigned len, struct inode **inode);
/* -ENOENT at the top of the tree; the export's root leads to the pseudo node above it. */
int fs_lookupp(struct inode *dir, struct inode **inode);
/* mounted_on_fileid (RFC 8881 5.8.2.23): for an export's root the fileid of the
 * pseudo node or directory it stands on; else inode->ino. */
uint64_t fs_mounted_on(const struct inode *inode);
/*
 * Does the node of the pseudo root lead to an export that ADMITS says yes to?  The root of the tree always does.  ADMITS is called with the tree
 * locked: it must not come back here.
 */
bool fs_pseudo_leads(const struct inode *node, bool (*admits)(const struct export *export, void *arg), void *arg);
int fs_getattr(struct inode *inode, struct fs_stat *st);
/*
 * The same as of some moment since the requests now worked on came in, which for rights, and for what else may change at any time, is as good and costs a
 * system call less for all but the first of them (glance.c).  Not for attributes that the client is told.
 */
int fs_glance(struct inode *inode, struct fs_stat *st);
/* A loop's thread: what is worked on from now came in by the recv of this number (struct rpc_call's batch). */
void fs_glance_begin(uint64_t batch);
int fs_statfs(struct inode *inode, struct fs_space *space);
int fs_readlink(struct inode *inode, char *buf, size_t size, size_t *len);

/*
 * May CRED do all of WANT (R_OK W_OK X_OK) together?  0, -EACCES, or the error of looking.  As POSIX has it: root, owner, the ACL if the file has one, groups, others.
 * ST is of INODE.  nowait, for loops: -EAGAIN if the file's ACL was never looked at.
 */
int fs_permits(struct inode *inode, const struct fs_stat *st, const struct fs_cred *cred, unsigned want, bool nowait);

/* ---- POSIX ACLs ---- */

enum fs_ace_tag { FS_ACE_USER_OBJ = 1, FS_ACE_USER = 2, FS_ACE_GROUP_OBJ = 4, FS_ACE_GROUP = 8, FS_ACE_MASK = 16,
	FS_ACE_OTHER = 32 };
struct fs_ace {
	uint16_t tag, perm;		/* FS_ACE_, R_OK W_OK X_OK */
	uint32_t id;			/* of FS_ACE_USER and FS_ACE_GROUP */
};
#define FS_ACL_MAX 8190u		/* entries that fit into an extended attribute of Linux */
struct fs_acl {
	unsigned n;			/* 0: none */
	struct fs_ace *e;		/* in the order of tags, then ids */
};
enum fs_acl_kind { FS_ACL_ACCESS, FS_ACL_DEFAULT };
/* Can INODE have one?  Never waits. */
bool fs_acl_supported(const struct inode *inode);
/* How many entries, 0 if the file has no such ACL but its mode; -ERANGE: more than MAX. */
int fs_acl_get(struct inode *inode, enum fs_acl_kind kind, struct fs_ace *e, unsigned max);

enum { FS_SET_MODE = 1, FS_SET_UID = 2, FS_SET_GID = 4, FS_SET_SIZE = 8, FS_SET_ATIME = 16, FS_SET_MTIME = 32,
	FS_SET_ACL = 64 };
struct fs_setattr {
	unsigned what;			/* FS_SET_ */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	uint64_t size;
	struct timespec atime, mtime;	/* tv_nsec UTIME_NOW: now */
	struct fs_acl acl, default_acl;	/* both are set; the second of directories only */
};
/* Rights are checked by the caller's cred as POSIX has it (owner, CAP-like root); size needs write permission unless may_write.  Durable when it returns 0. */
int fs_setattr(struct inode *inode, const struct fs_cred *cred, const struct fs_setattr *set, bool may_write);

/* Directory operations check write and search permission, sticky bits included, and are durable when they return 0.  BEFORE and AFTER (may be NULL): the
 * directory's change, atomic only if the return value of fs_change_atomic() says so. */
struct fs_change { uint64_t before, after; };
/* Always false so far: a local process may change the directory between the two (change_info4, RFC 8881 3.3.3). */
bool fs_change_atomic(const struct inode *dir);
/* Data or attributes were changed other than by the verbs here (commit_blocks): moves change where ctime is coarse. */
void fs_inode_changed(struct inode *inode);
int fs_create(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred,
    mode_t mode, struct inode **inode, struct fs_change *change);	/* regular, exclusive: -EEXIST */
int fs_mkdir(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred,
    mode_t mode, struct inode **inode, struct fs_change *change);
int fs_mknod(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred,
    mode_t type_and_mode, dev_t dev, struct inode **inode, struct fs_change *change);
int fs_symlink(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred,
    const char *target, unsigned target_len, struct inode **inode, struct fs_change *change);
int fs_remove(struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred, struct fs_change *change);
/* -EEXIST: the target is there and not of the same kind, or a directory with entries (RFC 8881 18.26.3). */
int fs_rename(struct inode *from, const char *oldname, unsigned oldlen, struct inode *to, const char *newname,
    unsigned newlen, const struct fs_cred *cred, struct fs_change *from_change, struct fs_change *to_change);
int fs_link(struct inode *inode, struct inode *dir, const char *name, unsigned len, const struct fs_cred *cred,
    struct fs_change *change);

/*
 * Entries after COOKIE (0: from the start; . and .. are left out; cookies 1 and 2 are never given).  EMIT returns false when it has
 * no room: the entry is given again next time.  *eof.  Cookies are the file system's own d_off.
 */
struct fs_dirent {
	uint64_t cookie;
	const char *name;
	unsigned len;
	uint64_t ino;			/* mounted_on_fileid: of what stands in the directory itself */
	mode_t type;			/* S_IFMT bits; 0: not known */
	bool mount;			/* an export's root stands on it: fileid, type and fsid are other ones */
};
typedef bool fs_emit_fn(void *arg, const struct fs_dirent *ent);
/* -EINVAL: a cookie that was never given (1, 2, or one the file system refuses). */
int fs_readdir(struct inode *dir, uint64_t cookie, fs_emit_fn *emit, void *arg, bool *eof);

/* ---- extended attributes (RFC 8276): of the name space "user.", which is not part of NAME ---- */

#define FS_XATTR_NAME_MAX 250
enum fs_xattr_how { FS_XATTR_EITHER, FS_XATTR_CREATE, FS_XATTR_REPLACE };
/* Does the file system have them?  Never waits.  Without them the verbs below say -EOPNOTSUPP. */
bool fs_xattr_supported(const struct inode *inode);
/* Bytes of the value, or -errno: -ENODATA, -ERANGE if SIZE is too small.  SIZE 0: how many there are. */
ssize_t fs_xattr_get(struct inode *inode, const struct fs_cred *cred, const char *name, unsigned len, void *value,
    size_t size);
/* Terminated names, one after the other; bytes of them, -ERANGE.  SIZE 0: at most so many there are. */
ssize_t fs_xattr_list(struct inode *inode, const struct fs_cred *cred, char *names, size_t size);
/* Durable when they return 0.  -EEXIST, -ENODATA, -E2BIG. */
int fs_xattr_set(struct inode *inode, const struct fs_cred *cred, const char *name, unsigned len, const void *value,
    size_t size, enum fs_xattr_how how, struct fs_change *change);
int fs_xattr_remove(struct inode *inode, const struct fs_cred *cred, const char *name, unsigned len,
    struct fs_change *change);

/* ---- data; io_lock held for reading at least ---- */

/* nowait: -EAGAIN rather than wait for storage.  Bytes or -errno.  coherent: layouts are out, so nothing cached may be believed. */
ssize_t fs_read(struct inode *inode, void *buf, size_t len, uint64_t offset, bool nowait, bool coherent);
ssize_t fs_write(struct inode *inode, const void *buf, size_t len, uint64_t offset, bool sync, bool coherent);
int fs_commit(struct inode *inode, bool coherent);	/* fdatasync and the device's cache */

/* Blocks: io_lock held for writing.  Durable when they return 0.  OFFSET + LEN at most INT64_MAX, LEN not 0. */

/* Blocks of its own for all of the range, which may grow the file: what is not written reads as zeros, what was shared is not any more. */
int fs_allocate(struct inode *inode, uint64_t offset, uint64_t len, bool coherent);
/* The range reads as zeros; whole blocks of it are free. */
int fs_deallocate(struct inode *inode, uint64_t offset, uint64_t len, bool coherent);
/*
 * DST's range becomes what SRC's is, by the same blocks; LEN 0: to the end of SRC.  All or nothing.  io_lock of both held for writing: neither's blocks may be
 * written by a layout any more.  -EINVAL: not aligned to blocks, beyond SRC's end, overlapping; -EXDEV, -EOPNOTSUPP.
 */
int fs_clone(struct inode *src, uint64_t src_offset, struct inode *dst, uint64_t dst_offset, uint64_t len, bool coherent);

/* The first byte of data (or of a hole; the end of the file is one) from OFFSET on.  -ENXIO: there is none. */
int fs_seek(struct inode *inode, uint64_t offset, bool data, uint64_t *found);

/* Forget what is cached of it: IO_ADVISE. */
void fs_forget(struct inode *inode, uint64_t offset, uint64_t len);

/*
 * Bytes of SRC to DST, another file, in order; each keeps its own blocks.  Holes stay holes.  As unstable as fs_write().  DST's io_lock held for writing.  How many were
 * copied: fewer than LEN if that would take long (FS_COPY_MOST bytes of data), if SRC ends, or if an error was met on the way; -errno only if nothing was.
 */
#define FS_COPY_MOST (16u << 20)
struct fs_copy {
	struct inode *src, *dst;
	uint64_t src_offset, dst_offset, len;
	bool src_coherent, dst_coherent;
};
int64_t fs_copy(const struct fs_copy *copy);

/*
 * How often unstable data was found lost so far (commit, sync, or a dirty file dropped from the cache).  The write verifier
 * must change with it (RFC 8881 18.3.3, PITFALLS E11).
 */
uint64_t fs_write_errors(const struct fs *fs);

#endif
