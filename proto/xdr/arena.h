/*
 * Bump allocator: one per request.  Everything a request decodes or builds
 * lives here and goes at once with arena_reset().  A hard limit makes sure
 * that no peer can make us allocate without bound.
 *
 * Used by the XDR primitives (xdr_arena.h), the COMPOUND engine and libpnfs.
 */
#ifndef PNFS_PROTO_XDR_ARENA_H
#define PNFS_PROTO_XDR_ARENA_H

#include <stddef.h>
#include <stdint.h>

struct arena_block;

struct arena {
	uint8_t *cur, *end;		/* free part of the newest block */
	struct arena_block *blocks;	/* newest first; the oldest stays over a reset */
	size_t used;			/* bytes handed out since the last reset */
	size_t limit;			/* most bytes to hand out between resets */
};

/* limit: in bytes; 0 means ARENA_DEFAULT_LIMIT. */
#define ARENA_DEFAULT_LIMIT (4u << 20)
void arena_init(struct arena *arena, size_t limit);

/* Forget everything handed out.  The first block is kept for the next request. */
void arena_reset(struct arena *arena);

/* Give all memory back. */
void arena_destroy(struct arena *arena);

void *arena_alloc_slow(struct arena *arena, size_t size);

/* SIZE bytes, 16-byte aligned, not initialised; NULL past the limit or without memory (and only then: SIZE may be 0). */
static inline void *
arena_alloc(struct arena *arena, size_t size)
{
	size_t need = (size + 15) & ~(size_t)15;
	if (size && need >= size && need <= (size_t)(arena->end - arena->cur) &&
	    need <= arena->limit - arena->used) {
		void *p = arena->cur;
		arena->cur += need;
		arena->used += need;
		return p;
	}
	return arena_alloc_slow(arena, size);
}

/* The same, zero-filled. */
void *arena_zalloc(struct arena *arena, size_t size);

/* A copy of LEN bytes at SRC; NULL as arena_alloc. */
void *arena_dup(struct arena *arena, const void *src, size_t len);

#endif
