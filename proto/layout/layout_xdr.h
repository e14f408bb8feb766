/*
 * Bytes of block (RFC 5663) and SCSI (RFC 8154) layouts: loc_body, lou_body,
 * da_addr_body.  Semantics stand elsewhere (server/layout, client/).  Both
 * directions for all, since each side's writer is the other side's test.
 *
 * All offsets and lengths in bytes.
 */
#ifndef PNFS_PROTO_LAYOUT_LAYOUT_XDR_H
#define PNFS_PROTO_LAYOUT_LAYOUT_XDR_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/x/nfs4.h"
#include "proto/x/pnfs_block.h"
#include "proto/x/pnfs_scsi.h"

/* The numbers of pnfs_block_extent_state4 and pnfs_scsi_extent_state4, which agree. */
enum extent_state { EXTENT_READ_WRITE = 0, EXTENT_READ = 1, EXTENT_INVALID = 2, EXTENT_NONE = 3 };

struct layout_extent {
	uint8_t device[NFS4_DEVICEID4_SIZE];
	uint64_t offset, length;	/* in the file */
	uint64_t addr;			/* on the volume; 0 for EXTENT_NONE */
	enum extent_state state;
};

/* An extent takes this much of a loc_body, which opens with a count of 4. */
#define LAYOUT_EXTENT_SIZE 44u

/* loc_body for TYPE (LAYOUT4_BLOCK_VOLUME or LAYOUT4_SCSI).  False: no room. */
bool layout_extents_encode(XDR *xdrs, layouttype4 type, const struct layout_extent *ext, uint32_t n);

/* Take a loc_body apart: *ext from the arena.  False: malformed (unknown state, trailing bytes, too long). */
bool layout_extents_decode(layouttype4 type, void *body, uint32_t len, struct arena *arena,
    struct layout_extent **ext, uint32_t *n);

/* Range of a layout update.  For block the extent's other members are not looked at (the Linux client sends zeros). */
struct layout_range {
	uint64_t offset, length;
};

/* lou_body.  A body of zero length is an update of no ranges. */
bool layout_update_encode(XDR *xdrs, layouttype4 type, const uint8_t device[NFS4_DEVICEID4_SIZE],
    const struct layout_range *range, uint32_t n);
bool layout_update_decode(layouttype4 type, void *body, uint32_t len, struct arena *arena,
    struct layout_range **range, uint32_t *n);

/* ---- device addresses ---- */

enum volume_type { VOLUME_SIMPLE = 0, VOLUME_SLICE = 1, VOLUME_CONCAT = 2, VOLUME_STRIPE = 3, VOLUME_BASE = 4 };

/* Bounds on what a peer may send (PITFALLS B21); more is malformed. */
#define VOLUME_MAX 64u
#define VOLUME_MAX_DEPTH 8u
#define VOLUME_MAX_SIG 256u		/* bytes of one signature component */
#define VOLUME_MAX_DESIGNATOR 256u

struct volume_sig {
	int64_t offset;			/* bytes; negative: from the end of the LU (RFC 5663 2.2.1) */
	uint32_t len;
	const uint8_t *contents;
};

struct volume {
	enum volume_type type;
	union {
		struct { uint32_t nsigs; struct volume_sig sigs[PNFS_BLOCK_MAX_SIG_COMP]; } simple;
		struct { uint32_t code_set, designator_type, len; const uint8_t *designator; uint64_t pr_key; } base;
		struct { uint64_t start, length; uint32_t volume; } slice;
		struct { uint32_t n; uint32_t *volumes; } concat;
		struct { uint64_t unit; uint32_t n; uint32_t *volumes; } stripe;
	};
};

/* The last volume is the root.  A volume refers only to ones before it, checked when decoding. */
bool layout_device_encode(XDR *xdrs, layouttype4 type, const struct volume *vol, uint32_t n);
bool layout_device_decode(layouttype4 type, void *body, uint32_t len, struct arena *arena,
    struct volume **vol, uint32_t *n);

#endif
