/* How one read or write is to be done; see ioplan.h. */
#include "client/ioplan.h"

#include <stddef.h>

static uint64_t
min64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* The extent that holds OFFSET, or NULL with *next the start of the first one behind (UINT64_MAX: none). */
static const struct layout_extent *
extent_find(const struct ioplan_in *in, uint64_t offset, uint64_t *next)
{
	uint32_t lo = 0, hi = in->next;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (in->ext[mid].offset + in->ext[mid].length <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == in->next) {
		*next = UINT64_MAX;
		return NULL;
	}
	*next = in->ext[lo].offset;
	return in->ext[lo].offset <= offset ? &in->ext[lo] : NULL;
}

/* A write may use READ_WRITE and INVALID extents, a read all of them. */
static bool
usable(const struct ioplan_in *in, const struct layout_extent *ext)
{
	return !in->write || ext->state == EXTENT_READ_WRITE || ext->state == EXTENT_INVALID;
}

static bool
add(struct ioplan_step *steps, unsigned *n, unsigned max, struct ioplan_step step)
{
	struct ioplan_step *last = *n ? &steps[*n - 1] : NULL;
	bool adjoins = last && last->kind == step.kind &&
	    ((step.kind == IOPLAN_MDS && last->reason == step.reason) ||
	     step.kind == IOPLAN_NEED || step.kind == IOPLAN_ZERO);
	if (adjoins) {
		last->length += step.length;
		return true;
	}
	if (*n == max)
		return false;
	steps[(*n)++] = step;
	return true;
}

/* No layout for [offset, end): may one be asked for? */
static struct ioplan_step
plan_missing(const struct ioplan_in *in, uint64_t offset, uint64_t end)
{
	struct ioplan_step step = { .kind = IOPLAN_NEED, .offset = offset, .length = end - offset };
	if (in->no_layout != REASON_NONE) {
		step.kind = IOPLAN_MDS;
		step.reason = in->no_layout;
	}
	return step;
}

/*
 * A write's part of one extent, [offset, end): unaligned edges are read, patched and written within
 * blocks held READ_WRITE; the same inside INVALID space would have to invent the rest of the block, so it goes to the server,
 * as RFC 8154 2.4.7 wants of a client that does not hold the block's data.
 */
static struct ioplan_step
plan_write(const struct layout_extent *ext, uint64_t offset, uint64_t end)
{
	uint64_t block = offset - offset % IO_BLOCK;
	struct ioplan_step step = { .offset = offset, .device = ext->device };
	if (offset == block && end - offset >= IO_BLOCK) {
		step.kind = IOPLAN_DIRECT;
		step.length = (end - offset) - (end - offset) % IO_BLOCK;
		step.addr = ext->addr + (offset - ext->offset);
		return step;
	}
	step.length = min64(end, block + IO_BLOCK) - offset;
	if (ext->state == EXTENT_READ_WRITE && block >= ext->offset &&
	    block + IO_BLOCK <= ext->offset + ext->length) {
		step.kind = IOPLAN_RMW;
		step.addr = ext->addr + (block - ext->offset);
	} else {
		step.kind = IOPLAN_MDS;
		step.reason = REASON_UNALIGNED;
	}
	return step;
}

static struct ioplan_step
plan_read(const struct layout_extent *ext, uint64_t offset, uint64_t end)
{
	struct ioplan_step step = { .offset = offset, .length = end - offset, .device = ext->device };
	if (ext->state == EXTENT_NONE || ext->state == EXTENT_INVALID) {
		step.kind = IOPLAN_ZERO;
	} else {
		step.kind = IOPLAN_DIRECT;
		step.addr = ext->addr + (offset - ext->offset);
	}
	return step;
}

unsigned
ioplan_make(const struct ioplan_in *in, struct ioplan_step *steps, unsigned max)
{
	unsigned n = 0;
	uint64_t at = in->offset, end = in->offset + in->length;
	/* Where layouts for writing end with a provider that gives none past the last whole block. */
	uint64_t limit = in->write && !in->grow ? in->size - in->size % IO_BLOCK : UINT64_MAX;
	while (at < end) {
		uint64_t next;
		struct ioplan_step step;
		const struct layout_extent *ext = extent_find(in, at, &next);
		if (at >= limit) {
			step = (struct ioplan_step){ .kind = IOPLAN_MDS, .offset = at,
				.length = end - at, .reason = REASON_EOF_BLOCK };
		} else if (ext && usable(in, ext)) {
			uint64_t stop = min64(min64(end, limit), ext->offset + ext->length);
			step = in->write ? plan_write(ext, at, stop) : plan_read(ext, at, stop);
		} else {
			uint64_t stop = ext ? ext->offset + ext->length : next;
			step = plan_missing(in, at, min64(min64(end, limit), stop));
		}
		if (!add(steps, &n, max, step))
			break;
		at = step.offset + step.length;
	}
	return n;
}
