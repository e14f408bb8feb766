/*
 * A layout type is a plug beside the bookkeeping: what block (RFC 5663) and SCSI (RFC 8154) do not share.
 * Their bytes are proto/layout's.  block.c, scsi.c.
 */
#ifndef PNFS_SERVER_LAYOUT_PLUG_H
#define PNFS_SERVER_LAYOUT_PLUG_H

#include <stdbool.h>
#include <stdint.h>

#include "include/reason.h"

struct client;
struct device;

struct layout_plug {
	uint32_t type;			/* layouttype4 */
	const char *name;
	/* Required.  May layouts on DEVICE be given out now?  May block (worker).  0, or -errno with *why. */
	int (*prepare)(struct device *device, enum reason *why);
	bool prepares_at_once;		/* prepare() does not block */
	/* Required.  What the target knows CLIENT by; 0: nothing.  state_lock held. */
	uint64_t (*fence_key)(const struct client *client);
	/*
	 * Clients must stop by themselves when their lease is over (RFC 5663 2.3.8, "timed-lease fencing"): where nothing confirms a fence, its blocks
	 * are free a lease and the maximum I/O time after the last sign of life.  False: never without a confirmation.
	 */
	bool timed_lease;
};

extern const struct layout_plug layout_plug_block, layout_plug_scsi;

/* NULL: a type we do not know. */
const struct layout_plug *layout_plug_find(uint32_t type);

#endif
