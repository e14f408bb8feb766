/*
 * An export and its provider: struct export_ops, the userspace face of XFS's
 * export_operations (get_uuid, map_blocks, commit_blocks) and of the layout lease.
 * No NFS header here.  Providers: kernel.c, plain.c.
 */
#ifndef PNFS_SERVER_EXPORT_EXPORT_H
#define PNFS_SERVER_EXPORT_EXPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <time.h>

#include "include/iomap.h"
#include "include/reason.h"

struct device;
struct export_line;
struct export_ops;
struct inode;
struct layout_lease;
struct mds;

struct export {
	int refs;
	struct mds *mds;
	struct export_line *line;	/* its options (owned) */
	uint32_t id;			/* stable over restarts and edits: hash of file system UUID and path */
	uint8_t uuid[16];		/* of the file system */
	int root_fd;			/* O_PATH on the exported directory */
	int mount_fd;			/* O_RDONLY, for open_by_handle_at */
	int mount_id;
	dev_t dev;
	bool is_xfs, readonly;
	uint32_t block_size;		/* bytes of a file system block */
	uint64_t device_offset;		/* of the signature's UUID on the device (32 for XFS) */
	struct device *device;		/* layout/device.h; NULL: no layouts.  Set last of these, so see export_grants() */
	const struct export_ops *ops;	/* NULL: no layouts */
	uint32_t layout_type;		/* 0 none, 3 block, 5 SCSI: what clients are told (with DEVICE NULL: what there will be when it is found) */
	enum reason reason;		/* why there are none */
	enum reason second_best;	/* why ops is not the best provider; NONE: it is, or was asked for */
	const struct export_ops *provider;	/* the one probed; becomes ops when layouts are given */
	bool waiting;			/* its device was not to be had, and may be: tried again (net/exporting.c) */
	bool held;			/* see export_holds_blocks(); atomic */
	bool delegs;			/* leases for delegations can be had (deleg_lease.h) */
	bool withdrawn;			/* no layouts are granted any more: it goes, or is no_pnfs now; atomic */
	LIST_ENTRY(export) on_device;	/* device->exports; layout/device.c's own, */
	bool off_device;		/* and this: no longer exported */
};

/* What a commit changes besides block states. */
struct commit_attr {
	bool size_valid;
	uint64_t size;			/* bytes: new size if larger than the present one */
	bool mtime_valid;
	struct timespec mtime;		/* a wish; never set back (PITFALLS A30) */
};

/*
 * A provider.  All return 0 (or a count) or -errno; all may block, so they run on
 * workers; the caller holds inode->io_lock as told.
 */
struct export_ops {
	const char *name;		/* "plain", "kernel" */

	/*
	 * Every write, truncate and allocation of this host, also our own, waits until the lease is given up, and cannot be interrupted
	 * then: whoever is going to do one here gives it up first, which takes all layouts on the file.  When the lease ends nothing guards the blocks
	 * that were granted under it, so that what comes later cannot be committed.
	 */
	bool writers_wait;

	/* For writing there are blocks behind EOF, and unwritten ones (IOMAP_UNWRITTEN) that a commit makes readable; a commit may set a larger size. */
	bool past_eof;

	/* Its leases are with the keeper, so that they outlive the server: former_lease.h. */
	bool kept;

	/* Required.  Can this export have layouts by this provider?  Sets export->reason and returns -ENOTSUP if not. */
	int (*probe)(struct export *);

	/* Required.  16 bytes that stand at *device_offset on the device. */
	int (*get_uuid)(struct export *, uint8_t uuid[16], uint64_t *device_offset);

	/*
	 * Required.  Take the file layout lease; io_lock held for writing.  One per inode, shared by all layouts.
	 * -EAGAIN: somebody local has it open (*why = local-open) or a break is on.
	 */
	int (*lease)(struct inode *, struct layout_lease **, enum reason *why);

	/*
	 * Required.  Map [offset, offset+length) - block aligned - for reading, or with allocation for writing; io_lock held
	 * for writing.  Disjoint, ascending, cut to the asked range, holes included; returns how many of
	 * at most max.  The map may end early (max reached, or write: *why says what stopped it, e.g. eof-block).
	 * Everything is durable when it returns.  -ENOSPC, -EDQUOT; -ENOTSUP with *why.
	 */
	int (*map_blocks)(struct layout_lease *, uint64_t offset, uint64_t length, bool write,
	    struct iomap *map, unsigned max, enum reason *why);

	/*
	 * Optional.  Would map_blocks() of this - all that is asked for - neither wait nor change anything, because it is known and held already?  Never
	 * blocks; io_lock held for writing.
	 */
	bool (*mapped)(struct layout_lease *, uint64_t offset, uint64_t length, bool write);

	/*
	 * Required.  RANGES, ascending and disjoint, were written; make them readable and durable, flush the device, move mtime and
	 * change.  io_lock held for writing.  n may be 0.
	 */
	int (*commit_blocks)(struct layout_lease *, const struct iomap *ranges, unsigned n,
	    const struct commit_attr *attr);

	/* Required.  No layouts are left on the inode: let local breakers go on. */
	void (*unlease)(struct layout_lease *);

	/* Optional.  The export goes: undo what probe did.  No lease is out any more. */
	void (*stop)(struct export *);
};

extern const struct export_ops export_kernel, export_plain;

struct layout_lease {
	struct inode *inode;
	const struct export_ops *ops;
	bool broken;			/* a local process waits; set before on_break is called; read under state_lock */
	bool left;			/* set before unlease() at the end of the server: layouts are out, what outlives us (the keeper) is to go on holding it */
};

/*
 * Somebody local wants the file: called by the provider from its own thread, no lock
 * held; must not block.  Set once at start (layout/recall.c).
 */
extern void (*export_on_break)(struct mds *mds, struct inode *inode);

/*
 * Make an export of a line: opens the directory, finds file system and device, proves that
 * LUN = file system by a nonce (layout/device.h), picks the provider.  An export without layouts is still an export:
 * the reason is kept.  -errno with *error only if it cannot be exported at all.
 */
int export_open(struct mds *mds, const struct export_line *line, struct export **export, char **error);
/* Once more for one that is WAITING, or was opened with no_pnfs.  Others use the export meanwhile.  Does it have layouts now? */
bool export_try_layouts(struct export *export);
/* From now on no layouts are granted (or they are again).  If the line says no_pnfs, nothing is waited for either, and no block is held. */
void export_withdraw(struct export *export, bool withdraw);

/* May layouts be granted now? */
static inline bool
export_grants(const struct export *export)
{
	return __atomic_load_n(&export->device, __ATOMIC_ACQUIRE) && export->layout_type && export->ops &&
	    !__atomic_load_n(&export->withdrawn, __ATOMIC_ACQUIRE);
}

/*
 * Must no block be freed or moved?  Keys of clients of a former life are on record for its device, and it could not be asked since whether they are
 * registered: they may still write what their layouts named (RFC 8154 2.4.10).
 */
static inline bool
export_holds_blocks(const struct export *export)
{
	return __atomic_load_n(&export->held, __ATOMIC_ACQUIRE);
}

/* Why it has no layouts, or why not by the best provider; NONE: nothing to tell. */
static inline enum reason
export_why(const struct export *export)
{
	return export->device ? export->second_best : export->reason;
}

struct export *export_get(struct export *export);
void export_put(struct export *export);

/*
 * Block the signals by which the kernel tells of lease breaks: call once at start before any thread is
 * made, so that all inherit it.
 */
void export_block_signals(void);

#endif
