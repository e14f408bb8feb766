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

/* A device that is gone as far as clients are concerned. */
struct gone_device {
	LIST_ENTRY(gone_device) link;
	uint8_t id[DEVICE_ID_SIZE];
	uint32_t layout_type;
	bool told;			/* clients are: its ID stays unused */
};

struct devices {
	pthread_mutex_t lock;		/* a leaf; list, references, users, gone */
	LIST_HEAD(, device) list;
	unsigned watching;		/* looks under way */
	pthread_cond_t quiet;		/* that is 0 */
	LIST_HEAD(, gone_device) gone;
	bool notices_due;		/* device_notices_tick() has something to do; atomic */
};

/* NULL: there never was one. */
static inline struct devices *
devices_of(const struct mds *mds)
{
	return __atomic_load_n(&mds->devices, __ATOMIC_ACQUIRE);
}

/* Those who subscribed are told with the next tick (device_notice.c). */
static inline void
device_note_change(struct device *device, enum device_change change)
{
	struct devices *devices = devices_of(device->mds);
	if (change > __atomic_load_n(&device->changed, __ATOMIC_ACQUIRE))
		__atomic_store_n(&device->changed, change, __ATOMIC_RELEASE);
	if (devices)
		__atomic_store_n(&devices->notices_due, true, __ATOMIC_RELEASE);
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

/* device.c: those that nobody can have layouts on any more are gone for clients.  True: there are others that will be.  devices->lock held, too. */
bool devices_retire_locked(const struct mds *mds);

/* device_watch.c: make DEVICE's work ready. */
void device_watch_init(struct device *device);

/* device_fence.c */
/* May we go on with a LUN that is reserved: is the holder one of our former keys?  Registers the server's key then, so that we can read. */
int device_enter_reserved(struct device *device, enum reason *why);
/* The device goes: give the reservation back unless clients are still registered, or were cut off less than a lease and the
 * maximum I/O time ago.  No lock needed any more. */
void device_release(struct device *device);

#endif
