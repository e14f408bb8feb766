/*
 * Bytes of layouts and layout updates (RFC 5663 2.3, RFC 8154 2.4); see
 * layout_xdr.h.  Device addresses: device_xdr.c.
 */
#include "proto/layout/layout_xdr.h"

#include "proto/xdr/xdr_arena.h"

#define RANGE_SIZE 16u			/* pnfs_scsi_range4 */

static bool
type_ok(layouttype4 type)
{
	return type == LAYOUT4_BLOCK_VOLUME || type == LAYOUT4_SCSI;
}

/* A count of N elements of SIZE bytes each, and nothing behind them. */
static bool
count_get(XDR *x, uint32_t size, uint32_t *n)
{
	return ax_get_u32(x, n) && (uint64_t)*n * size == ax_left(x);
}

static bool
extent_put(XDR *x, const struct layout_extent *e)
{
	/* PITFALLS A25: a hole has no place on the volume. */
	return ax_put_fixed(x, e->device, NFS4_DEVICEID4_SIZE) && ax_put_u64(x, e->offset) &&
	    ax_put_u64(x, e->length) && ax_put_u64(x, e->state == EXTENT_NONE ? 0 : e->addr) &&
	    ax_put_u32(x, e->state);
}

static bool
extent_get(XDR *x, struct layout_extent *e)
{
	uint8_t *device = ax_get_fixed(x, NFS4_DEVICEID4_SIZE);
	uint32_t state;
	if (!device || !ax_get_u64(x, &e->offset) || !ax_get_u64(x, &e->length) ||
	    !ax_get_u64(x, &e->addr) || !ax_get_u32(x, &state) || state > EXTENT_NONE)
		return false;
	memcpy(e->device, device, NFS4_DEVICEID4_SIZE);
	e->state = state;
	return true;
}

bool
layout_extents_encode(XDR *xdrs, layouttype4 type, const struct layout_extent *ext, uint32_t n)
{
	if (!type_ok(type) || !ax_put_u32(xdrs, n))
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (!extent_put(xdrs, &ext[i]))
			return false;
	return true;
}

bool
layout_extents_decode(layouttype4 type, void *body, uint32_t len, struct arena *arena,
    struct layout_extent **ext, uint32_t *n)
{
	XDR x;
	ax_init(&x, body, len, XDR_DECODE, arena);
	if (!type_ok(type) || !count_get(&x, LAYOUT_EXTENT_SIZE, n))
		return false;
	*ext = arena_alloc(arena, (size_t)*n * sizeof **ext);
	if (!*ext && *n)
		return false;
	for (uint32_t i = 0; i < *n; i++)
		if (!extent_get(&x, &(*ext)[i]))
			return false;
	return true;
}

bool
layout_update_encode(XDR *xdrs, layouttype4 type, const uint8_t device[NFS4_DEVICEID4_SIZE],
    const struct layout_range *range, uint32_t n)
{
	if (!type_ok(type) || !ax_put_u32(xdrs, n))
		return false;
	for (uint32_t i = 0; i < n; i++) {
		struct layout_extent e = { .offset = range[i].offset, .length = range[i].length };
		if (type == LAYOUT4_BLOCK_VOLUME) {
			memcpy(e.device, device, NFS4_DEVICEID4_SIZE);
			if (!extent_put(xdrs, &e))
				return false;
		} else if (!ax_put_u64(xdrs, e.offset) || !ax_put_u64(xdrs, e.length)) {
			return false;
		}
	}
	return true;
}

bool
layout_update_decode(layouttype4 type, void *body, uint32_t len, struct arena *arena,
    struct layout_range **range, uint32_t *n)
{
	XDR x;
	bool block = type == LAYOUT4_BLOCK_VOLUME;
	*n = 0;
	*range = NULL;
	if (!type_ok(type))
		return false;
	if (len == 0)
		return true;
	ax_init(&x, body, len, XDR_DECODE, arena);
	if (!count_get(&x, block ? LAYOUT_EXTENT_SIZE : RANGE_SIZE, n))
		return false;
	*range = arena_alloc(arena, (size_t)*n * sizeof **range);
	if (!*range && *n)
		return false;
	for (uint32_t i = 0; i < *n; i++) {
		struct layout_range *r = &(*range)[i];
		if (block)
			ax_take(&x, NFS4_DEVICEID4_SIZE);
		ax_get_u64(&x, &r->offset);
		ax_get_u64(&x, &r->length);
		if (block)
			ax_take(&x, 12);	/* storage offset and state: see layout_xdr.h */
	}
	return true;
}
