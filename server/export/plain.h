/*
 * Provider plain: layouts on any XFS, by ordinary system calls on the one shared descriptor of a file.
 *
 *	plain.c		the provider: probe, which files, lease and unlease
 *	plain_lease.c	the process's fcntl leases: the thread that hears of breaks, lease-break-time
 *	plain_map.c	map: flush, FIEMAP, zero-fill; commit
 *
 * Only these files include this, and deleg_lease.c, whose leases are the same ones.
 */
#ifndef PNFS_SERVER_EXPORT_PLAIN_H
#define PNFS_SERVER_EXPORT_PLAIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "server/export/export.h"

/* Who rides on the one lease of a descriptor: it is there as long as one of them is. */
enum plain_kind { PLAIN_LAYOUTS, PLAIN_DELEGS, PLAIN_KINDS };

struct plain_lease {
	struct layout_lease lease;	/* first; lease.inode is referenced */
	enum plain_kind kind;
	int fd;				/* inode_data_fd() */
	atomic_int refs;		/* the table's and the lease thread's while it tells of a break */
	bool stripped;			/* suid, sgid and capabilities were looked at; io_lock */
	bool written;			/* RW was mapped: pages may be stale; io_lock */
};

static inline struct plain_lease *
plain_lease(struct layout_lease *lease)
{
	return (struct plain_lease *)(void *)lease;
}

/* plain_lease.c.  Leases belong to the process (descriptors, signals and the sysctl do), so there is one service. */

/*
 * Start it for one more export (or for what a former life has left), or stop it when the last one goes.  -errno: leases cannot be had here.  In state_dir stands
 * what fs.lease-break-time was, so that a server that was killed leaves it to the next one to put it back.
 */
int plain_leases_start(struct mds *mds);
void plain_leases_stop(void);

/* All three: inode->io_lock held for writing. */
/*
 * F_WRLCK on pl->fd, or a share in the one that is there for the other kind.  -EAGAIN: somebody has the file open.  A lease of a former life is shared, also when
 * it is being broken (lease.broken then).
 */
int plain_leases_take(struct plain_lease *pl);
/* Hand it to the keeper: when this returns 0 it outlives the server.  -errno: no layout may rely on it. */
int plain_leases_keep(struct plain_lease *pl);
/*
 * The last one's is F_UNLCK: a breaker that waits goes on - unless a former life's clients may still write, or it is left to the keeper.  The caller's pointer is
 * dead after this.
 */
void plain_leases_drop(struct plain_lease *pl);
/* Is there one on FD? */
bool plain_leases_has(int fd);

/* plain_map.c */
int plain_map_blocks(struct layout_lease *lease, uint64_t offset, uint64_t length, bool write,
    struct iomap *map, unsigned max, enum reason *why);
int plain_commit_blocks(struct layout_lease *lease, const struct iomap *ranges, unsigned n,
    const struct commit_attr *attr);

#endif
