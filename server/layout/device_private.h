/* Shared by device*.c only. */
#ifndef PNFS_SERVER_LAYOUT_DEVICE_PRIVATE_H
#define PNFS_SERVER_LAYOUT_DEVICE_PRIVATE_H

#include <stdint.h>

#include <pthread.h>

#include "server/layout/device.h"
#include "server/mds.h"

#define LAYOUT_BLOCK 3u			/* layouttype4 of RFC 5663 and RFC 8154, */
#define LAYOUT_SCSI 5u			/* without the wire's headers */

/* Each talk with a target: login and each command. */
#define DEVICE_TIMEOUT_MS 5000u

struct devices {
	pthread_mutex_t lock;		/* a leaf; list, references, users */
	LIST_HEAD(, device) list;
	unsigned watching;		/* looks under way */
	pthread_cond_t quiet;		/* that is 0 */
};

/* NULL: there never was one. */
static inline struct devices *
devices_of(const struct mds *mds)
{
	return __atomic_load_n(&mds->devices, __ATOMIC_ACQUIRE);
}

/* The LUN as clients see it: the target (device->pr), or FD, the local node (O_DIRECT) when there is no target. */
struct lun {
	struct device *device;
	int fd;
};

/* LEN bytes at OFFSET, any alignment, not from a cache of this host's file system.  -EBUSY: RESERVATION CONFLICT. */
int lun_read(const struct lun *lun, uint64_t offset, void *buf, uint32_t len);

/*
 * Is it the disk under EXPORT?  The UUID is where it should be, and a random block written to a file is found at its address.
 * 0; -EBUSY: reserved by somebody; -EXDEV with a log line: another disk; other -errno.
 */
int device_prove(const struct lun *lun, struct export *export);

/* device_watch.c: make DEVICE's work ready. */
void device_watch_init(struct device *device);

/* device_fence.c */
/* May we go on with a LUN that is reserved: is the holder one of our former keys?  Registers the server's key then, so that we can read. */
int device_enter_reserved(struct device *device, enum reason *why);
/* The device goes: give the reservation back unless clients are still registered.  No lock needed any more. */
void device_release(struct device *device);

#endif
