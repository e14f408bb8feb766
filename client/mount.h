/*
 * A mount: struct pnfs.  Everything in it belongs to the service thread (loop), but for what is set before that runs.
 */
#ifndef PNFS_CLIENT_MOUNT_H
#define PNFS_CLIENT_MOUNT_H

#include <sys/queue.h>

#include "client/compound.h"
#include "client/mds.h"
#include "client/sync.h"
#include "client/url.h"
#include "include/pnfs/pnfs.h"
#include "include/reason.h"

TAILQ_HEAD(io_piece_list, io_piece);

struct bdev;
struct device;
struct node;
struct pnfs_file;
struct pnfs_map;
struct recover;

#define MOUNT_MAX_BDEVS 32u

/* A device the caller named, opened when the first layout comes. */
struct mount_bdev {
	struct pnfs *mount;
	const char *name;
	struct bdev *bdev;		/* NULL: not open */
	bool opening, up;
	uint64_t failed_ns;		/* last attempt that failed; 0: none */
};

struct pnfs {
	struct loop *loop;
	struct mds mds;
	enum pnfs_direct direct;
	char base[1024];		/* where relative paths start */
	struct fh root;
	struct sync *mounting;

	struct node *nodes;		/* uthash by file handle */
	LIST_HEAD(, pnfs_file) files;
	LIST_HEAD(, pnfs_map) maps;
	uint32_t next_owner;		/* of open-owners: each open file has its own */
	struct recover *recover;
	unsigned bulk;			/* bulk recalls not yet answered by LAYOUTRETURN: no LAYOUTGET meanwhile */
	/* revoked state (recover.c) */
	bool testing;			/* TEST_STATEID under way */
	bool expired;			/* the server says that all is revoked */
	unsigned freeing;		/* FREE_STATEIDs under way */
	uint64_t tested_ns;		/* when the last round ended; 0: none, or the server is content since */
	bool tested_vain;		/* that found nothing */
	uint64_t devid_ns, devid_for;	/* when devices were last asked for anew because of a flag, and for how long that is to do */

	char *initiator;
	unsigned nbdevs;
	struct mount_bdev bdevs[MOUNT_MAX_BDEVS];
	LIST_HEAD(, device) devices;

	unsigned io_running;		/* pieces on devices */
	bool io_pumping;		/* queue_pump is at it */
	unsigned io_depth;		/* pnfs_submit() on this stack */
	struct io_piece_list io_queue;	/* too many of them */
	struct io_piece_list io_lease;	/* waiting for the lease to be renewed */
	size_t kept;			/* bytes of unstable writes kept */
	struct pnfs_stats stats;
};

/* recover.c */
extern const struct mds_hooks mount_hooks;
/* The answer to the first hooks->started. */
void mount_started(struct pnfs *m, int status);

#endif
