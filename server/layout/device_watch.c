/*
 * Looking at targets from time to time: a reservation that is gone (PITFALLS B7) or a key that was cut off and has come back (B12) is noticed
 * within seconds although nobody asks for a layout.  server.c's tick calls devices_tick(); the talk itself is a worker's.
 */
#include <stddef.h>

#include "include/cleanup.h"
#include "server/export/export.h"
#include "server/layout/device_private.h"

/* The tick's own period: rather a little early than late. */
#define TICK_MS 1000u
/* One that was cut off and did not come back for so long is not waited for any more. */
#define FENCED_WATCH_MS (10u * 60 * 1000)

/* Is there anything to lose?  devices->lock held. */
static bool
watch_wanted(const struct device *device, uint64_t now)
{
	const struct export *export;
	int exports = 0;
	LIST_FOREACH(export, &device->exports, on_device)
		exports++;
	/* All other references are of holders of layouts, or are gone in a moment. */
	if (device->refs > exports || __atomic_load_n(&device->registered, __ATOMIC_RELAXED))
		return true;
	uint64_t fenced = __atomic_load_n(&device->fenced_ms, __ATOMIC_RELAXED);
	return fenced && now - fenced < FENCED_WATCH_MS;
}

static bool
watch_due(const struct device *device, uint64_t now)
{
	if (device->layout_type != LAYOUT_SCSI || device->watching)
		return false;
	uint64_t seen = __atomic_load_n(&device->verified_ms, __ATOMIC_ACQUIRE);
	uint64_t failed = __atomic_load_n(&device->failed_ms, __ATOMIC_RELAXED), last = seen > failed ? seen : failed;
	return now + TICK_MS >= last + DEVICE_VERIFY_MS && watch_wanted(device, now);
}

static void
watch_work(struct work *work)
{
	struct device *device = (struct device *)((char *)work - offsetof(struct device, watch));
	struct devices *devices = devices_of(device->mds);
	device_verify(device);
	pthread_mutex_lock(&devices->lock);
	device->watching = false;
	pthread_mutex_unlock(&devices->lock);
	device_put(device);
	pthread_mutex_lock(&devices->lock);
	if (--devices->watching == 0)
		pthread_cond_broadcast(&devices->quiet);
	pthread_mutex_unlock(&devices->lock);
}

void
devices_settle(struct mds *mds)
{
	struct devices *devices = devices_of(mds);
	if (!devices)
		return;
	LOCK_SCOPE(&devices->lock);
	while (devices->watching)
		pthread_cond_wait(&devices->quiet, &devices->lock);
}

void
device_watch_init(struct device *device)
{
	device->watch.fn = watch_work;
}

void
devices_tick(struct mds *mds, uint64_t now)
{
	struct devices *devices = devices_of(mds);
	struct device *device;
	if (!devices)
		return;
	LOCK_SCOPE(&devices->lock);
	LIST_FOREACH(device, &devices->list, link)
		if (watch_due(device, now)) {
			device->refs++;
			device->watching = true;
			devices->watching++;
			workers_submit(mds->workers, &device->watch);
		}
}
