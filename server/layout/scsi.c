/*
 * SCSI layouts, type 5 (RFC 8154): a reservation on the LU, a key per client, PREEMPT as the fence (2.4.10).
 */
#include "server/layout/plug.h"

#include "proto/x/nfs4.h"
#include "server/layout/device.h"
#include "server/mds.h"
#include "server/state/client.h"

static int
scsi_prepare(struct device *device, enum reason *why)
{
	*why = REASON_NONE;
	/* RFC 8154 2.4.10.2 wants it before GETDEVICEINFO; a layout without a fence behind it is fiction, too (PITFALLS B1). */
	uint64_t seen = __atomic_load_n(&device->verified_ms, __ATOMIC_ACQUIRE);
	/* A device in use is looked at all the time (device_watch.c); one that was not for long may have lost its reservation meanwhile. */
	if (__atomic_load_n(&device->reserved, __ATOMIC_ACQUIRE) && seen && mds_now_ms() - seen < 2 * DEVICE_VERIFY_MS)
		return 0;
	return device_prepare(device, why);
}

static uint64_t
scsi_fence_key(const struct client *client)
{
	return client->pr_key;
}

const struct layout_plug layout_plug_scsi = {
	.type = LAYOUT4_SCSI,
	.name = "scsi",
	.prepare = scsi_prepare,
	.fence_key = scsi_fence_key,
	.timed_lease = false,
};
