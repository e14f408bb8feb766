/*
 * Sets of byte ranges of a file: ascending, disjoint, merged where they touch.
 * Pure; layout bookkeeping keeps what a client holds in them.
 */
#ifndef PNFS_SERVER_LAYOUT_RANGE_H
#define PNFS_SERVER_LAYOUT_RANGE_H

#include <stdbool.h>
#include <stdint.h>

/* [start, end); end UINT64_MAX: without end (NFS4_UINT64_MAX as a length). */
struct range {
	uint64_t start, end;
};

#define RANGE_ALL ((struct range){ 0, UINT64_MAX })

/* Of a protocol's offset and length; a sum past the end means: without end. */
static inline struct range
range_make(uint64_t offset, uint64_t length)
{
	return (struct range){ offset, length > UINT64_MAX - offset ? UINT64_MAX : offset + length };
}

static inline bool
range_empty(struct range r)
{
	return r.start >= r.end;
}

/* Have they a byte in common?  Empty ones have none. */
static inline bool
range_overlap(struct range a, struct range b)
{
	return (a.start > b.start ? a.start : b.start) < (a.end < b.end ? a.end : b.end);
}

static inline bool
range_within(struct range inner, struct range outer)
{
	return inner.start >= outer.start && inner.end <= outer.end;
}

/* The smallest range that has both in it. */
static inline struct range
range_hull(struct range a, struct range b)
{
	return (struct range){ a.start < b.start ? a.start : b.start, a.end > b.end ? a.end : b.end };
}

/* Grown to multiples of UNIT (a power of two); a range without end, or one whose end cannot be rounded, has none. */
static inline struct range
range_align_out(struct range r, uint64_t unit)
{
	r.start &= ~(unit - 1);
	r.end = r.end > UINT64_MAX - (unit - 1) ? UINT64_MAX : (r.end + unit - 1) & ~(unit - 1);
	return r;
}

/* Shrunk to whole multiples of UNIT; may become empty. */
static inline struct range
range_align_in(struct range r, uint64_t unit)
{
	r.start = r.start > UINT64_MAX - (unit - 1) ? UINT64_MAX : (r.start + unit - 1) & ~(unit - 1);
	if (r.end != UINT64_MAX)
		r.end &= ~(unit - 1);
	return r;
}

struct ranges {
	struct range *v;
	uint32_t n, cap;
};

/* Most pieces of one set: a client that punches holes into its layout cannot make us keep more. */
#define RANGES_MAX 4096u

/* 0; -ENOMEM, -E2BIG (RANGES_MAX): nothing has changed.  An empty R changes nothing. */
int ranges_add(struct ranges *set, struct range r);
/* The same.  Taking off an end or a whole range never fails. */
int ranges_sub(struct ranges *set, struct range r);

bool ranges_overlap(const struct ranges *set, struct range r);
/* Is all of R in the set?  An empty R is. */
bool ranges_cover(const struct ranges *set, struct range r);
/* The first byte of R that is in the set; r.end: none. */
uint64_t ranges_first(const struct ranges *set, struct range r);
/* The end of the range that POS is in; POS if it is in none. */
uint64_t ranges_reach(const struct ranges *set, uint64_t pos);

/* R, and all of the ranges that have a byte in common with it. */
struct range ranges_grow(const struct ranges *set, struct range r);

void ranges_free(struct ranges *set);

#endif
