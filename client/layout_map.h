/*
 * What of a file's blocks we may use: extents granted, ranges asked back, and I/O under way on them (pins).
 * A data structure only: no clock, no wire.  One per file (struct layout); service thread.
 */
#ifndef PNFS_CLIENT_LAYOUT_MAP_H
#define PNFS_CLIENT_LAYOUT_MAP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proto/layout/layout_xdr.h"

struct map_extent {
	struct layout_extent e;
	bool rw;			/* granted for writing */
};

/* I/O under way, or a program that holds the range (pnfs_map).  Embedded by its owner. */
struct layout_pin {
	TAILQ_ENTRY(layout_pin) link;
	uint64_t offset, end;
	enum layout_pin_kind { PIN_READ, PIN_WRITE, PIN_RMW, PIN_MDS_WRITE, PIN_MAP } kind;
};

/* A range nothing new may be started on.  Embedded by its owner. */
struct layout_block {
	TAILQ_ENTRY(layout_block) link;
	uint64_t offset, end;
};

struct layout_map {
	struct map_extent *ext;		/* ascending, disjoint */
	uint32_t n, cap;
	TAILQ_HEAD(, layout_pin) pins;
	TAILQ_HEAD(, layout_block) blocks;
};

/* offset + length, at most UINT64_MAX (which also is "to the end"). */
static inline uint64_t
range_end(uint64_t offset, uint64_t length)
{
	return length > UINT64_MAX - offset ? UINT64_MAX : offset + length;
}

void layout_map_init(struct layout_map *map);
void layout_map_free(struct layout_map *map);

/*
 * A grant: N extents, ascending and disjoint.  One for writing replaces what was there, one for reading only what was for reading.
 * 0 or -ENOMEM (part of it may be in: less than granted is always safe).
 */
int layout_map_insert(struct layout_map *map, const struct layout_extent *ext, uint32_t n, bool rw);

enum layout_which { LAYOUT_ANY, LAYOUT_READ_ONLY, LAYOUT_RW_ONLY };
/* A return, or a loss.  0 or -ENOMEM (an extent could not be split: it is gone as a whole). */
int layout_map_remove(struct layout_map *map, uint64_t offset, uint64_t end, enum layout_which which);

/* INVALID extents in [offset, end) now hold data: READ_WRITE.  True if there were any. */
bool layout_map_written(struct layout_map *map, uint64_t offset, uint64_t end);

/*
 * The extents that touch [offset, end), without the blocked parts, to OUT, at most MAX: the number.  Those of devices
 * USABLE (may be NULL) refuses are left out.  *stop is up to where OUT tells all: END, or less if there were more than MAX.
 */
uint32_t layout_map_view(const struct layout_map *map, uint64_t offset, uint64_t end,
    bool (*usable)(void *arg, const uint8_t *device), void *arg,
    struct layout_extent *out, uint32_t max, uint64_t *stop);

/* The extent OFFSET is in, blocked or not; NULL. */
const struct map_extent *layout_map_find(const struct layout_map *map, uint64_t offset);

/*
 * Is all of [offset, end) still held as it was planned: on DEVICE, in one run from ADDR, in a state that I/O of KIND
 * (PIN_READ, PIN_WRITE or PIN_RMW) may use?  Blocks are not looked at.
 */
bool layout_map_holds(const struct layout_map *map, uint64_t offset, uint64_t end, const uint8_t *device, uint64_t addr,
    enum layout_pin_kind kind);

void layout_map_pin(struct layout_map *map, struct layout_pin *pin);
void layout_map_unpin(struct layout_map *map, struct layout_pin *pin);
bool layout_map_pinned(const struct layout_map *map, uint64_t offset, uint64_t end);
/* May I/O of KIND start now, or does a block it shares with a read-modify-write forbid it (see io_direct.c)? */
bool layout_map_may(const struct layout_map *map, uint64_t offset, uint64_t end, enum layout_pin_kind kind);

void layout_map_block(struct layout_map *map, struct layout_block *block);
void layout_map_unblock(struct layout_map *map, struct layout_block *block);
bool layout_map_blocked(const struct layout_map *map, uint64_t offset, uint64_t end);

#endif
