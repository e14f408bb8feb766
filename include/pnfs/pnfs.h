/*
 * libpnfs: files on an XFS shared through an NFSv4.1/4.2 metadata server (MDS), read and
 * written straight on its LUN where the server grants layouts (pNFS block, RFC 5663, and SCSI, RFC 8154), and
 * through the server where not - never silently: struct pnfs_stats and pnfs_fallback say what went where, and why.
 *
 * Threads.  A mount (struct pnfs) has one service thread of its own.  Every function may be called from any thread, except
 * that the blocking ones (all but pnfs_submit and those that say so) must not be called from a callback: they answer -EDEADLK.
 * Callbacks run on the service thread; lease renewal, recalls and all I/O of the mount wait while one runs: it should take well under a
 * millisecond.  pnfs_submit from a callback is allowed and costs no thread switch.
 *
 * Errors.  0 or a count, or -errno.  All offsets and lengths are in bytes.
 *
 * Units, if not said: bytes and seconds.
 */
#ifndef PNFS_PNFS_H
#define PNFS_PNFS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#ifdef __cplusplus
extern "C" {
#endif

struct pnfs;
struct pnfs_file;

/* ---- mounts ---- */

enum pnfs_direct {
	PNFS_DIRECT_AUTO,	/* straight to the LUN where it goes, else through the MDS */
	PNFS_DIRECT_NEVER,	/* always through the MDS; no layouts are asked for */
	PNFS_DIRECT_REQUIRE,	/* what cannot go direct fails with -EOPNOTSUPP, and why is in the fallbacks */
};

struct pnfs_options {
	enum pnfs_direct direct;
	/*
	 * Where LUNs may be found: "iscsi://HOST[:PORT]/IQN/LUN" or a path of a block device or file; NULL-terminated, or
	 * NULL.  Each is matched against the identity a layout's device has (signature or designator); none is trusted by its name.
	 */
	const char *const *devices;
	const char *initiator_name;	/* IQN for iSCSI; NULL: one made of the host name and the process */
	uint32_t uid, gid;		/* AUTH_SYS; used if use_ids, else those of the process */
	bool use_ids;
	unsigned minor;			/* minor version of NFSv4: 1 or 2; 0: 2, and 1 if the server does not know 2 */
	unsigned slots;			/* requests under way to the MDS, 1..128; 0: 64 */
	/*
	 * Seconds to wait for a server that does not answer before -ETIMEDOUT; 0: for ever, as a hard mount.  It counts for each thing that is waited for: an
	 * answer, a layout, the renewal of the lease, a session that is to come back.  So a read, a write or a map ends after three times this at the latest (and 25 s more
	 * where a device does not answer), pnfs_mount after three times for each address, pnfs_fsync and pnfs_ftruncate after five times, pnfs_close after nine times (and the
	 * I/O it waits for).  A write or commit that timed out may have been done, and may still be; what was not committed is told again by the next pnfs_fsync.
	 */
	unsigned timeout;
	/*
	 * Security flavor, unless the URL says: "sys", or "krb5", "krb5i", "krb5p": RPCSEC_GSS by the caller's Kerberos tickets (uid and gid then count for
	 * callbacks only), protecting nothing but who we are, all we say, or that from being read, too.  Bytes that go straight to a LUN are not protected by it.
	 * NULL: sys.
	 */
	const char *sec;
};

/*
 * Mount URL: "nfs://HOST[:PORT]/export/path[?sec=FLAVOR]"; the path after the host is where relative paths start.
 * Establishes client ID and session (RFC 8881 18.35, 18.36).  -EINVAL: bad URL; -ECONNREFUSED...; -EPROTONOSUPPORT:
 * no NFSv4.1 there; -ENOENT: no such path; -ENOKEY: no Kerberos ticket, -EACCES: the server takes none of ours.  OPTIONS may be NULL.
 */
int pnfs_mount(const char *url, const struct pnfs_options *options, struct pnfs **mount);

/* Returns layouts, closes what is open, destroys session and client ID.  No calls may be under way. */
void pnfs_unmount(struct pnfs *mount);

/* The last error of a call on this thread in words; never NULL. */
const char *pnfs_error(void);

/* ---- names ---- */

int pnfs_stat(struct pnfs *mount, const char *path, struct stat *st);		/* follows no symbolic link */
int pnfs_mkdir(struct pnfs *mount, const char *path, mode_t mode);
int pnfs_unlink(struct pnfs *mount, const char *path);				/* directories too, if empty */
int pnfs_rename(struct pnfs *mount, const char *from, const char *to);
ssize_t pnfs_readlink(struct pnfs *mount, const char *path, char *buf, size_t size);

struct pnfs_dirent {
	const char *name;
	struct stat st;			/* as pnfs_stat */
};
/* FN for each entry (not "." and ".."), on the calling thread; stops when it answers other than 0, which is returned. */
int pnfs_list(struct pnfs *mount, const char *path, int (*fn)(const struct pnfs_dirent *ent, void *arg), void *arg);

/* ---- files ---- */

/* FLAGS: O_RDONLY, O_WRONLY, O_RDWR, O_CREAT, O_EXCL, O_TRUNC.  Regular files only: -EISDIR, -ELOOP, -EOPNOTSUPP. */
int pnfs_open(struct pnfs *mount, const char *path, int flags, mode_t mode, struct pnfs_file **file);

/* Waits for what was submitted on it, commits (LAYOUTCOMMIT, COMMIT), returns layouts, closes.  Maps of it must have been released.  The first write error not yet told is returned; the file is closed all the same. */
int pnfs_close(struct pnfs_file *file);

ssize_t pnfs_pread(struct pnfs_file *file, void *buf, size_t len, uint64_t offset);	/* short only at the end of the file */
ssize_t pnfs_pwrite(struct pnfs_file *file, const void *buf, size_t len, uint64_t offset);	/* all or -errno */

/* What was written is durable and visible to everybody when it returns 0 (RFC 8881 18.42, RFC 8154 2.8). */
int pnfs_fsync(struct pnfs_file *file);
int pnfs_ftruncate(struct pnfs_file *file, uint64_t size);
int pnfs_fstat(struct pnfs_file *file, struct stat *st);

/* ---- asynchronous I/O ---- */

enum pnfs_io_op { PNFS_IO_READ, PNFS_IO_WRITE, PNFS_IO_FSYNC };

struct pnfs_io {
	struct pnfs_file *file;
	enum pnfs_io_op op;
	void *buf;			/* for the best speed aligned to 4096; must stay until done */
	size_t len;
	uint64_t offset;
	void (*done)(struct pnfs_io *io);	/* service thread; RESULT is set */
	void *arg;
	ssize_t result;			/* bytes or -errno */
	void *reserved[4];		/* libpnfs's own; need not be set */
};

/*
 * Never blocks; any thread, callbacks included.  (Without memory done() runs at once, on the caller's thread, with -ENOMEM.)  Writes that overlap and are under way together end in either order.
 * FSYNC covers what was done() before it was submitted.
 */
void pnfs_submit(struct pnfs_io *io);

/* ---- what went where ---- */

struct pnfs_stats {
	uint64_t direct_read, direct_write;	/* bytes on LUNs */
	uint64_t mds_read, mds_write;		/* bytes through the MDS */
	uint64_t nfs_read, nfs_write, nfs_commit;	/* operations sent */
	uint64_t layoutget, layoutcommit, layoutreturn, getdeviceinfo, recalls;
	uint64_t fallbacks;
	uint64_t reconnects, recoveries;	/* connections to the MDS; lost sessions or client IDs got back */
};
void pnfs_get_stats(struct pnfs *mount, struct pnfs_stats *stats);

/* A range that went through the MDS although direct I/O was wanted. */
struct pnfs_fallback {
	uint64_t offset, length;
	const char *reason;		/* of the list in pnfs(1): "eof-block", "unaligned", "no-device" ... */
};
/* The file's distinct fallbacks so far, adjacent ranges of one reason joined, at most 256; FN as in pnfs_list. */
int pnfs_fallbacks(struct pnfs_file *file, int (*fn)(const struct pnfs_fallback *fb, void *arg), void *arg);

/* ---- mapping, for programs that do the device I/O themselves ---- */

enum pnfs_extent_state {
	PNFS_EXTENT_READ_WRITE,		/* may be read and written */
	PNFS_EXTENT_READ,		/* may be read */
	PNFS_EXTENT_INVALID,		/* may be written; reads as zeros until committed */
	PNFS_EXTENT_HOLE,		/* reads as zeros; no place on a device */
};

struct pnfs_extent {
	uint64_t offset, length;	/* in the file */
	enum pnfs_extent_state state;
	const char *device;		/* as given in options.devices: the one that matched; NULL for a hole */
	uint64_t device_offset;
};

struct pnfs_map;

/*
 * The server (or the loss of the lease) wants [offset, offset+length) of MAP back: finish I/O under way, start none,
 * pnfs_map_commit() what was written, and call pnfs_map_release() from another thread within DEADLINE seconds; after it the server cuts this host off from
 * the LUN (RFC 8154 2.4.10).  lost: the lease is already over; nothing may be written any more and commits will fail.
 */
typedef void pnfs_revoke_fn(struct pnfs_map *map, uint64_t offset, uint64_t length, bool lost, double deadline, void *arg);

/*
 * Lease and map [offset, offset+length) of FILE, whole blocks of 4096 (-EINVAL otherwise), for reading or, WRITE, for reading and writing.
 * -EOPNOTSUPP: cannot be mapped (reason in pnfs_error()).  The map may end early: see its extents.
 */
int pnfs_map(struct pnfs_file *file, uint64_t offset, uint64_t length, bool write,
    pnfs_revoke_fn *revoke, void *arg, struct pnfs_map **map);

/* Extents in ascending order without gaps; valid until pnfs_map_release().  Returns their number. */
size_t pnfs_map_extents(struct pnfs_map *map, const struct pnfs_extent **extents);

/* No I/O may be started on the map once this is false: it is revoked, or the lease may be over (checked against the clock). */
bool pnfs_map_valid(struct pnfs_map *map);

/* Say what was written, so that it becomes readable for others (LAYOUTCOMMIT).  The device's cache is flushed by the server. */
int pnfs_map_commit(struct pnfs_map *map, uint64_t offset, uint64_t length);

/* Give the lease back (LAYOUTRETURN) and free the map.  No device I/O may be under way. */
int pnfs_map_release(struct pnfs_map *map);

#ifdef __cplusplus
}
#endif

#endif
