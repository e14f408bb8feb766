/*
 * Which of our block devices is the one a layout's device means: by signature (type 3, RFC 5663 2.2.1) or by designator and
 * XFS UUID (type 5, RFC 8154 2.3.1); and the volume topology as a map from volume addresses to devices.
 * match.c, topology.c.
 */
#ifndef PNFS_CLIENT_MATCH_H
#define PNFS_CLIENT_MATCH_H

#include <stdbool.h>
#include <stdint.h>

#include "client/bdev.h"
#include "proto/layout/layout_xdr.h"

/* A device address resolved: leaves bound to devices. */
struct topology;

typedef void match_done_fn(struct topology *topo, int status, void *arg);

/*
 * Resolve a device address against BDEVS.  Signatures are read from the devices; nothing is written.  For type 5 SCSI BASE volumes the designator
 * has to be one of the device's, and a device whose superblock carries another XFS UUID than FSUUID (NULL: not known) is refused (-EXDEV: wrong-device).
 * -ENODEV: none matches (no-device).  Keeps copies of what it needs of VOL.
 * Loop's thread.  DONE is never called from within.
 */
void match_device(struct loop *loop, layouttype4 type, const struct volume *vol, uint32_t nvol, const uint8_t *fsuuid,
    struct bdev **bdevs, unsigned nbdevs, match_done_fn *done, void *arg);

void topology_free(struct topology *topo);
/* Distinct devices under it, with the PR key each wants (0: none). */
unsigned topology_devices(const struct topology *topo, struct bdev **bdevs, uint64_t *keys, unsigned max);
/* Where ADDR of the volume is: device and offset there, and for how many bytes it goes on. false: outside the volume. */
bool topology_map(const struct topology *topo, uint64_t addr, struct bdev **bdev, uint64_t *offset, uint64_t *run);
uint64_t topology_size(const struct topology *topo);

#endif
