/* What the kernel has given of a file and still guards: a sorted array; see kernel.h.  Pure. */
#include <stdlib.h>
#include <string.h>

#include "server/export/kernel.h"

void
kernel_extents_free(struct kernel_extents *set)
{
	free(set->v);
	*set = (struct kernel_extents){ 0 };
}

static uint64_t
extent_end(const struct kernel_extent *e)
{
	return e->offset + e->length;
}

/* Index of the first one that ends behind POS. */
static unsigned
lower(const struct kernel_extents *set, uint64_t pos)
{
	unsigned lo = 0, hi = set->n;
	while (lo < hi) {
		unsigned mid = lo + (hi - lo) / 2;
		if (extent_end(&set->v[mid]) <= pos)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct kernel_extent *
kernel_extents_find(const struct kernel_extents *set, uint64_t pos, uint64_t *next)
{
	unsigned i = lower(set, pos);
	const struct kernel_extent *e = i < set->n ? &set->v[i] : NULL;
	if (e && e->offset <= pos) {
		*next = i + 1 < set->n ? set->v[i + 1].offset : UINT64_MAX;
		return e;
	}
	*next = e ? e->offset : UINT64_MAX;
	return NULL;
}

/* The part of E from POS on. */
static struct kernel_extent
extent_from(const struct kernel_extent *e, uint64_t pos)
{
	struct kernel_extent part = *e;
	part.offset = pos;
	part.length = extent_end(e) - pos;
	if (e->type != IOMAP_HOLE)
		part.addr += pos - e->offset;
	return part;
}

static bool
extent_joins(const struct kernel_extent *a, const struct kernel_extent *b)
{
	return a->type == b->type && a->rw == b->rw && extent_end(a) == b->offset &&
	    (a->type == IOMAP_HOLE || a->addr + a->length == b->addr);
}

static bool
grow(struct kernel_extents *set, unsigned need)
{
	if (need <= set->cap)
		return true;
	unsigned cap = set->cap ? set->cap : 8;
	while (cap < need)
		cap *= 2;
	struct kernel_extent *v = need > KERNEL_EXTENTS_MAX ? NULL : realloc(set->v, cap * sizeof *v);
	if (!v)
		return false;
	set->v = v;
	set->cap = cap;
	return true;
}

/* Put the N of NEW in the place of [from, to). */
static void
splice(struct kernel_extents *set, unsigned from, unsigned to, const struct kernel_extent *new, unsigned n)
{
	if (!grow(set, set->n - (to - from) + n)) {
		set->n = 0;
		return;
	}
	memmove(set->v + from + n, set->v + to, (set->n - to) * sizeof *new);
	memcpy(set->v + from, new, n * sizeof *new);
	set->n = set->n - (to - from) + n;
}

void
kernel_extents_put(struct kernel_extents *set, const struct kernel_extent *e)
{
	struct kernel_extent new[3];
	unsigned n = 0, from = lower(set, e->offset), to = from;
	if (from && extent_joins(&set->v[from - 1], e))
		from--;
	while (to < set->n && set->v[to].offset < extent_end(e))
		to++;
	if (to < set->n && extent_joins(e, &set->v[to]))
		to++;
	/* What is left of the first and the last of those in the way, or all of those that E continues. */
	if (from < to && set->v[from].offset < e->offset) {
		new[n] = set->v[from];
		new[n].length = e->offset - new[n].offset;
		n++;
	}
	if (n && extent_joins(&new[n - 1], e))
		new[n - 1].length += e->length;
	else
		new[n++] = *e;
	if (from < to && extent_end(&set->v[to - 1]) > extent_end(e)) {
		struct kernel_extent rest = extent_from(&set->v[to - 1], extent_end(e));
		if (extent_joins(&new[n - 1], &rest))
			new[n - 1].length += rest.length;
		else
			new[n++] = rest;
	}
	splice(set, from, to, new, n);
}

void
kernel_extents_written(struct kernel_extents *set, uint64_t start, uint64_t end)
{
	while (start < end) {
		uint64_t next;
		const struct kernel_extent *e = kernel_extents_find(set, start, &next);
		if (!e) {
			start = next;
			continue;
		}
		uint64_t stop = extent_end(e) < end ? extent_end(e) : end;
		if (e->type == IOMAP_UNWRITTEN) {
			struct kernel_extent part = extent_from(e, start);
			part.length = stop - start;
			part.type = IOMAP_MAPPED;
			kernel_extents_put(set, &part);
		}
		start = stop;
	}
}
