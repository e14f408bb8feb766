/*
 * From a provider's map to the extents of a layout: states by iomode, one contiguous run from the asked offset (RFC 5663
 * 2.3.1, RFC 8154 2.4.1; what the Linux client checks).  Pure.
 */
#ifndef PNFS_SERVER_LAYOUT_EXTENT_H
#define PNFS_SERVER_LAYOUT_EXTENT_H

#include "include/iomap.h"
#include "proto/layout/layout_xdr.h"
#include "server/layout/range.h"

/* Alignment of all that is given and taken, bytes: fits every page size cache of clients, and 512-byte sectors. */
#define LAYOUT_UNIT 4096u

/*
 * Turn MAP (n pieces, ascending) into at most MAX extents that cover a prefix of R without a gap; the pieces are cut to R.  Neighbours
 * that go on on the device, or are both holes, become one.  Returns how many; *end is where they end (r.start: nothing).  *full: MAX was what ended it.
 */
uint32_t extents_make(struct layout_extent *ext, uint32_t max, const struct iomap *map, unsigned n, struct range r,
    bool rw, const uint8_t device[NFS4_DEVICEID4_SIZE], uint64_t *end, bool *full);

/* Drop what lies at or behind END (a multiple of LAYOUT_UNIT).  Returns how many are left. */
uint32_t extents_trim(struct layout_extent *ext, uint32_t n, uint64_t end);

#endif
