/* Extents of a grant; see extent.h. */
#include "server/layout/extent.h"

#include <string.h>

/* The state a piece of the map gets; false: it cannot be given in this mode. */
static bool
extent_state(enum iomap_type type, bool rw, enum extent_state *state)
{
	switch (type) {
	case IOMAP_MAPPED:
		*state = rw ? EXTENT_READ_WRITE : EXTENT_READ;
		return true;
	case IOMAP_UNWRITTEN:
		/* Whoever reads gets zeros, not the blocks (PITFALLS A3, A5). */
		*state = rw ? EXTENT_INVALID : EXTENT_NONE;
		return true;
	case IOMAP_HOLE:
		*state = EXTENT_NONE;
		return !rw;	/* "never returned if the request was for a writable extent" (RFC 8154 2.4) */
	}
	return false;
}

static bool
extent_joins(const struct layout_extent *a, const struct layout_extent *b)
{
	return a->state == b->state && a->offset + a->length == b->offset &&
	    (a->state == EXTENT_NONE || a->addr + a->length == b->addr);
}

uint32_t
extents_make(struct layout_extent *ext, uint32_t max, const struct iomap *map, unsigned n, struct range r,
    bool rw, const uint8_t device[NFS4_DEVICEID4_SIZE], uint64_t *end, bool *full)
{
	uint32_t count = 0;
	uint64_t pos = r.start;

	*full = false;
	for (unsigned i = 0; i < n && pos < r.end; i++) {
		struct range piece = range_make(map[i].offset, map[i].length);
		if (piece.end <= pos)
			continue;
		if (piece.start > pos)
			break;		/* a gap: the reply must not have one (PITFALLS A5) */
		struct layout_extent e = { .offset = pos };
		e.length = (piece.end < r.end ? piece.end : r.end) - pos;
		if (!extent_state(map[i].type, rw, &e.state))
			break;
		if (e.state != EXTENT_NONE)
			e.addr = map[i].addr + (pos - map[i].offset);	/* 0 for NONE (PITFALLS A25) */
		memcpy(e.device, device, sizeof e.device);
		if (count && extent_joins(&ext[count - 1], &e)) {
			ext[count - 1].length += e.length;
		} else if (count < max) {
			ext[count++] = e;
		} else {
			*full = true;
			break;
		}
		pos += e.length;
	}
	*end = pos;
	/* A map whose pieces end off our unit (it should not be) is cut, not passed on. */
	if (pos % LAYOUT_UNIT) {
		*end = pos > r.start + pos % LAYOUT_UNIT ? pos - pos % LAYOUT_UNIT : r.start;
		count = extents_trim(ext, count, *end);
	}
	return count;
}

uint32_t
extents_trim(struct layout_extent *ext, uint32_t n, uint64_t end)
{
	while (n && ext[n - 1].offset >= end)
		n--;
	if (n && ext[n - 1].length > end - ext[n - 1].offset)
		ext[n - 1].length = end - ext[n - 1].offset;
	return n;
}
