/*
 * Block layouts, type 3 (RFC 5663): found by signature, no reservation.  What cuts a client off is the administrator's fencing
 * command or, without one, time (2.3.8).
 */
#include "server/layout/plug.h"

#include "proto/x/nfs4.h"

static int
block_prepare(struct device *device, enum reason *why)
{
	(void)device;
	*why = REASON_NONE;
	return 0;
}

static uint64_t
block_fence_key(const struct client *client)
{
	(void)client;
	return 0;
}

const struct layout_plug layout_plug_block = {
	.type = LAYOUT4_BLOCK_VOLUME,
	.name = "block",
	.prepare = block_prepare,
	.prepares_at_once = true,
	.fence_key = block_fence_key,
	.timed_lease = true,
};

const struct layout_plug *
layout_plug_find(uint32_t type)
{
	switch (type) {
	case LAYOUT4_BLOCK_VOLUME:
		return &layout_plug_block;
	case LAYOUT4_SCSI:
		return &layout_plug_scsi;
	}
	return NULL;
}
