/* Extents held, ranges asked back, I/O under way; see layout_map.h. */
#include "client/layout_map.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void
layout_map_init(struct layout_map *map)
{
	memset(map, 0, sizeof *map);
	TAILQ_INIT(&map->pins);
	TAILQ_INIT(&map->blocks);
}

void
layout_map_free(struct layout_map *map)
{
	free(map->ext);
	map->ext = NULL;
	map->n = map->cap = 0;
}

static uint64_t
ext_end(const struct layout_extent *e)
{
	return range_end(e->offset, e->length);
}

/* The first extent that ends behind OFFSET. */
static uint32_t
first_at(const struct layout_map *map, uint64_t offset)
{
	uint32_t lo = 0, hi = map->n;
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;
		if (ext_end(&map->ext[mid].e) <= offset)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct map_extent *
layout_map_find(const struct layout_map *map, uint64_t offset)
{
	uint32_t i = first_at(map, offset);
	return i < map->n && map->ext[i].e.offset <= offset ? &map->ext[i] : NULL;
}

static bool
has_place(const struct layout_extent *e)
{
	return e->state != EXTENT_NONE;
}

/* The part of E that is [from, to). */
static struct map_extent
part(const struct map_extent *e, uint64_t from, uint64_t to)
{
	struct map_extent p = *e;
	p.e.offset = from;
	p.e.length = to - from;
	if (has_place(&e->e))
		p.e.addr += from - e->e.offset;
	return p;
}

static bool
room(struct layout_map *map)
{
	if (map->n < map->cap)
		return true;
	uint32_t cap = map->cap ? map->cap * 2 : 16;
	struct map_extent *ext = realloc(map->ext, cap * sizeof *ext);
	if (!ext)
		return false;
	map->ext = ext;
	map->cap = cap;
	return true;
}

static bool
joins(const struct map_extent *a, const struct map_extent *b)
{
	return a->rw == b->rw && a->e.state == b->e.state && ext_end(&a->e) == b->e.offset &&
	    !memcmp(a->e.device, b->e.device, sizeof a->e.device) &&
	    (!has_place(&a->e) || a->e.addr + a->e.length == b->e.addr);
}

static void
delete_at(struct layout_map *map, uint32_t i)
{
	map->n--;
	memmove(&map->ext[i], &map->ext[i + 1], (map->n - i) * sizeof *map->ext);
}

/* Put an extent where nothing is; joined with its neighbours. */
static int
put(struct layout_map *map, const struct map_extent *e)
{
	uint32_t i = first_at(map, e->e.offset);
	if (!room(map))
		return -ENOMEM;
	memmove(&map->ext[i + 1], &map->ext[i], (map->n - i) * sizeof *map->ext);
	map->ext[i] = *e;
	map->n++;
	if (i + 1 < map->n && joins(&map->ext[i], &map->ext[i + 1])) {
		map->ext[i].e.length += map->ext[i + 1].e.length;
		delete_at(map, i + 1);
	}
	if (i > 0 && joins(&map->ext[i - 1], &map->ext[i])) {
		map->ext[i - 1].e.length += map->ext[i].e.length;
		delete_at(map, i);
	}
	return 0;
}

static bool
meant(const struct map_extent *e, enum layout_which which)
{
	return which == LAYOUT_ANY || (which == LAYOUT_RW_ONLY) == e->rw;
}

int
layout_map_remove(struct layout_map *map, uint64_t offset, uint64_t end, enum layout_which which)
{
	int err = 0;
	uint32_t i = first_at(map, offset);
	while (i < map->n && map->ext[i].e.offset < end) {
		struct map_extent *e = &map->ext[i];
		uint64_t from = e->e.offset, to = ext_end(&e->e);
		if (!meant(e, which)) {
			i++;
		} else if (from < offset && to > end) {
			struct map_extent left = part(e, from, offset), right = part(e, end, to);
			if (!room(map)) {
				delete_at(map, i);
				err = -ENOMEM;
				continue;
			}
			memmove(&map->ext[i + 1], &map->ext[i], (map->n - i) * sizeof *map->ext);
			map->n++;
			map->ext[i] = left;
			map->ext[i + 1] = right;
			i += 2;
		} else if (from < offset) {
			*e = part(e, from, offset);
			i++;
		} else if (to > end) {
			*e = part(e, end, to);
			i++;
		} else {
			delete_at(map, i);
		}
	}
	return err;
}

/* An extent for reading: only where nothing is held for writing. */
static int
insert_read(struct layout_map *map, const struct map_extent *e)
{
	uint64_t at = e->e.offset, end = ext_end(&e->e);
	while (at < end) {
		const struct map_extent *held = layout_map_find(map, at);
		if (held) {
			at = ext_end(&held->e);
			continue;
		}
		uint32_t i = first_at(map, at);
		uint64_t stop = i < map->n && map->ext[i].e.offset < end ? map->ext[i].e.offset : end;
		struct map_extent p = part(e, at, stop);
		int err = put(map, &p);
		if (err)
			return err;
		at = stop;
	}
	return 0;
}

int
layout_map_insert(struct layout_map *map, const struct layout_extent *ext, uint32_t n, bool rw)
{
	for (uint32_t i = 0; i < n; i++) {
		struct map_extent e = { .e = ext[i], .rw = rw };
		int err = layout_map_remove(map, ext[i].offset, ext_end(&ext[i]), rw ? LAYOUT_ANY : LAYOUT_READ_ONLY);
		if (!err)
			err = rw ? put(map, &e) : insert_read(map, &e);
		if (err)
			return err;
	}
	return 0;
}

bool
layout_map_written(struct layout_map *map, uint64_t offset, uint64_t end)
{
	bool any = false;
	uint64_t at = offset;
	while (at < end) {
		uint32_t i = first_at(map, at);
		if (i == map->n || map->ext[i].e.offset >= end)
			break;
		struct map_extent e = map->ext[i];
		uint64_t from = e.e.offset > at ? e.e.offset : at;
		uint64_t to = ext_end(&e.e) < end ? ext_end(&e.e) : end;
		at = to;
		if (e.e.state != EXTENT_INVALID)
			continue;
		any = true;
		struct map_extent p = part(&e, from, to);
		p.e.state = EXTENT_READ_WRITE;
		/* Without memory it is given up: the next access asks the server, which was told by the commit. */
		if (!layout_map_remove(map, from, to, LAYOUT_ANY))
			put(map, &p);
	}
	return any;
}

/* Where the part [*from, to) is not blocked: *from moves past blocks, the end is returned. */
static uint64_t
unblocked(const struct layout_map *map, uint64_t *from, uint64_t to)
{
	const struct layout_block *b;
	uint64_t end = to;
	bool again = true;
	while (again) {
		again = false;
		TAILQ_FOREACH(b, &map->blocks, link)
			if (b->offset <= *from && b->end > *from && *from < to) {
				*from = b->end < to ? b->end : to;
				again = true;
			}
	}
	TAILQ_FOREACH(b, &map->blocks, link)
		if (b->offset > *from && b->offset < end)
			end = b->offset;
	return end;
}

uint32_t
layout_map_view(const struct layout_map *map, uint64_t offset, uint64_t end,
    bool (*usable)(void *arg, const uint8_t *device), void *arg,
    struct layout_extent *out, uint32_t max, uint64_t *stop)
{
	uint32_t n = 0;
	*stop = end;
	for (uint32_t i = first_at(map, offset); i < map->n && map->ext[i].e.offset < end; i++) {
		const struct map_extent *e = &map->ext[i];
		uint64_t to = ext_end(&e->e), from = e->e.offset;
		if (usable && has_place(&e->e) && !usable(arg, e->e.device))
			continue;
		while (from < to && from < end) {
			uint64_t until = unblocked(map, &from, to);
			if (from >= to)
				break;
			if (until > offset && n == max) {
				*stop = from > offset ? from : offset;
				return n;
			}
			if (until > offset)
				out[n++] = part(e, from, until).e;
			from = until;
		}
	}
	return n;
}

static bool
fits(const struct map_extent *e, enum layout_pin_kind kind)
{
	switch (e->e.state) {
	case EXTENT_READ_WRITE:
		return kind == PIN_READ || e->rw;
	case EXTENT_READ:
		return kind == PIN_READ;
	case EXTENT_INVALID:
		return kind == PIN_WRITE && e->rw;
	default:
		return false;
	}
}

bool
layout_map_holds(const struct layout_map *map, uint64_t offset, uint64_t end, const uint8_t *device, uint64_t addr,
    enum layout_pin_kind kind)
{
	while (offset < end) {
		const struct map_extent *e = layout_map_find(map, offset);
		if (!e || !fits(e, kind) || memcmp(e->e.device, device, sizeof e->e.device) ||
		    e->e.addr + (offset - e->e.offset) != addr)
			return false;
		uint64_t to = ext_end(&e->e) < end ? ext_end(&e->e) : end;
		addr += to - offset;
		offset = to;
	}
	return true;
}

/* ---- pins and blocks ---- */

void
layout_map_pin(struct layout_map *map, struct layout_pin *pin)
{
	TAILQ_INSERT_TAIL(&map->pins, pin, link);
}

void
layout_map_unpin(struct layout_map *map, struct layout_pin *pin)
{
	TAILQ_REMOVE(&map->pins, pin, link);
}

bool
layout_map_pinned(const struct layout_map *map, uint64_t offset, uint64_t end)
{
	const struct layout_pin *pin;
	TAILQ_FOREACH(pin, &map->pins, link)
		if (pin->kind != PIN_MDS_WRITE && pin->offset < end && offset < pin->end)
			return true;
	return false;
}

bool
layout_map_may(const struct layout_map *map, uint64_t offset, uint64_t end, enum layout_pin_kind kind)
{
	const struct layout_pin *pin;
	if (kind == PIN_READ || kind == PIN_MAP)
		return true;
	TAILQ_FOREACH(pin, &map->pins, link)
		if (pin->offset < end && offset < pin->end &&
		    (pin->kind == PIN_RMW || (kind == PIN_RMW && (pin->kind == PIN_WRITE || pin->kind == PIN_MDS_WRITE))))
			return false;
	return true;
}

void
layout_map_block(struct layout_map *map, struct layout_block *block)
{
	TAILQ_INSERT_TAIL(&map->blocks, block, link);
}

void
layout_map_unblock(struct layout_map *map, struct layout_block *block)
{
	TAILQ_REMOVE(&map->blocks, block, link);
}

bool
layout_map_blocked(const struct layout_map *map, uint64_t offset, uint64_t end)
{
	const struct layout_block *b;
	TAILQ_FOREACH(b, &map->blocks, link)
		if (b->offset < end && offset < b->end)
			return true;
	return false;
}
