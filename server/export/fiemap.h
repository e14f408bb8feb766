/* The extents of a file from FIEMAP as a gapless run of pieces.  Used by plain_map.c and the nonce proof (layout/device_proof.c). */
#ifndef PNFS_SERVER_EXPORT_FIEMAP_H
#define PNFS_SERVER_EXPORT_FIEMAP_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/fiemap.h>

#include "include/iomap.h"
#include "include/reason.h"

#define FIEMAP_BATCH 64u

struct fiemap_iter {
	int fd;
	bool sync;			/* FIEMAP_FLAG_SYNC with the first call: without it dirty pages make the map lie */
	uint64_t pos, end;		/* bytes: next to give, end of the range */
	unsigned next, count;		/* in ext */
	bool last;			/* the kernel has no more */
	struct fiemap_extent ext[FIEMAP_BATCH];
};

/* For [offset, end) of FD. */
void fiemap_start(struct fiemap_iter *it, int fd, uint64_t offset, uint64_t end, bool sync);

/*
 * The next piece: hole, unwritten or mapped; pieces are ascending, without gaps, cut to the range, not merged.  1; 0 at the end; -errno:
 * -ENOTSUP with *why for blocks that must not be handed out (shared, encoded, inline), -EAGAIN for ones not allocated yet.
 */
int fiemap_next(struct fiemap_iter *it, struct iomap *piece, enum reason *why);

/* Append a piece, merged with the one before if they continue each other.  False: no room. */
bool iomap_append(struct iomap *map, unsigned *n, unsigned max, const struct iomap *piece);

#endif
