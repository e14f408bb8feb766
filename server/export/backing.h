/*
 * What block device is under a file system, and may its LBAs be handed out?  By sysfs, read only; export-independent.
 * Used by layout/device.c.
 */
#ifndef PNFS_SERVER_EXPORT_BACKING_H
#define PNFS_SERVER_EXPORT_BACKING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct backing {
	char name[64];			/* "sda", "loop3" */
	uint64_t size;			/* bytes */
	bool loop, loop_direct;		/* a loop device; which opens its file O_DIRECT */
	char wwid[256];			/* "naa.6001..." as the kernel says it; empty: none */
	char why[160];			/* why not usable, for the log */
};

/*
 * Look at device DEV in SYSFS ("/sys"; tests have their own).  0: its bytes are the LUN's bytes, one to one.  -ENOTSUP with
 * why: partition, device-mapper, md, a loop device with an offset, anything not understood.  Other -errno: not found.
 */
int backing_look(const char *sysfs, dev_t dev, struct backing *backing);

#endif
