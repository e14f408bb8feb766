/* Sets of byte ranges; see range.h.  A sorted array: a grant or a return touches few pieces, and most sets have one. */
#include "server/layout/range.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Index of the first range that ends after POS (TOUCH: at or after it). */
static uint32_t
ranges_index(const struct ranges *set, uint64_t pos, bool touch)
{
	uint32_t low = 0, high = set->n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		if (set->v[mid].end > pos || (touch && set->v[mid].end == pos))
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static int
ranges_room(struct ranges *set)
{
	if (set->n < set->cap)
		return 0;
	if (set->n >= RANGES_MAX)
		return -E2BIG;
	uint32_t cap = set->cap ? set->cap * 2 : 2;
	struct range *v = realloc(set->v, cap * sizeof *v);
	if (!v)
		return -ENOMEM;
	set->v = v;
	set->cap = cap;
	return 0;
}

/* Replace COUNT ranges from INDEX on by none. */
static void
ranges_cut(struct ranges *set, uint32_t index, uint32_t count)
{
	if (!count)
		return;
	memmove(set->v + index, set->v + index + count, (set->n - index - count) * sizeof *set->v);
	set->n -= count;
}

static int
ranges_insert(struct ranges *set, uint32_t index, struct range r)
{
	int err = ranges_room(set);
	if (err)
		return err;
	memmove(set->v + index + 1, set->v + index, (set->n - index) * sizeof *set->v);
	set->v[index] = r;
	set->n++;
	return 0;
}

int
ranges_add(struct ranges *set, struct range r)
{
	if (range_empty(r))
		return 0;
	uint32_t first = ranges_index(set, r.start, true);
	uint32_t last = first;
	while (last < set->n && set->v[last].start <= r.end)
		last++;
	if (first == last)
		return ranges_insert(set, first, r);
	/* [first, last) touch R: they become one. */
	set->v[first] = range_hull(range_hull(set->v[first], set->v[last - 1]), r);
	ranges_cut(set, first + 1, last - first - 1);
	return 0;
}

int
ranges_sub(struct ranges *set, struct range r)
{
	if (range_empty(r))
		return 0;
	uint32_t first = ranges_index(set, r.start, false);
	if (first == set->n || set->v[first].start >= r.end)
		return 0;
	struct range *f = &set->v[first];
	if (f->start < r.start && f->end > r.end) {
		struct range tail = { r.end, f->end };
		int err = ranges_insert(set, first + 1, tail);
		if (err == 0)
			set->v[first].end = r.start;
		return err;
	}
	if (f->start < r.start) {
		f->end = r.start;
		first++;
	}
	uint32_t last = first;
	while (last < set->n && set->v[last].end <= r.end)
		last++;
	if (last < set->n && set->v[last].start < r.end)
		set->v[last].start = r.end;
	ranges_cut(set, first, last - first);
	return 0;
}

bool
ranges_overlap(const struct ranges *set, struct range r)
{
	if (range_empty(r))
		return false;
	uint32_t i = ranges_index(set, r.start, false);
	return i < set->n && set->v[i].start < r.end;
}

bool
ranges_cover(const struct ranges *set, struct range r)
{
	return range_empty(r) || ranges_reach(set, r.start) >= r.end;
}

uint64_t
ranges_first(const struct ranges *set, struct range r)
{
	if (range_empty(r))
		return r.end;
	uint32_t i = ranges_index(set, r.start, false);
	if (i == set->n || set->v[i].start >= r.end)
		return r.end;
	return set->v[i].start > r.start ? set->v[i].start : r.start;
}

uint64_t
ranges_reach(const struct ranges *set, uint64_t pos)
{
	uint32_t i = ranges_index(set, pos, false);
	return i < set->n && set->v[i].start <= pos ? set->v[i].end : pos;
}

struct range
ranges_grow(const struct ranges *set, struct range r)
{
	struct range grown = r;

	if (range_empty(r))
		return r;
	for (uint32_t i = ranges_index(set, r.start, false); i < set->n && set->v[i].start < r.end; i++)
		grown = range_hull(grown, set->v[i]);
	return grown;
}

void
ranges_free(struct ranges *set)
{
	free(set->v);
	*set = (struct ranges){ 0 };
}
