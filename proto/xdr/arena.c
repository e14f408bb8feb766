/* Bump allocator; see arena.h. */
#include "proto/xdr/arena.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_BLOCK (8u << 10)
#define LATER_BLOCK (64u << 10)

struct arena_block {
	struct arena_block *older;
	size_t size;
	_Alignas(16) uint8_t data[];
};

void
arena_init(struct arena *arena, size_t limit)
{
	*arena = (struct arena){ .limit = limit ? limit : ARENA_DEFAULT_LIMIT };
}

void
arena_reset(struct arena *arena)
{
	struct arena_block *block = arena->blocks;
	while (block && block->older) {
		struct arena_block *older = block->older;
		free(block);
		block = older;
	}
	arena->blocks = block;
	arena->cur = block ? block->data : NULL;
	arena->end = block ? block->data + block->size : NULL;
	arena->used = 0;
}

void
arena_destroy(struct arena *arena)
{
	arena_reset(arena);
	free(arena->blocks);
	arena->blocks = NULL;
	arena->cur = arena->end = NULL;
}

void *
arena_alloc_slow(struct arena *arena, size_t size)
{
	/* An empty array is something too: an arena without a block yet has no address to give for it. */
	size_t need = size ? (size + 15) & ~(size_t)15 : 16;
	if (need < size || need > arena->limit - arena->used)
		return NULL;
	if (need > (size_t)(arena->end - arena->cur)) {
		size_t room = arena->blocks ? LATER_BLOCK : FIRST_BLOCK;
		if (room < need)
			room = need;
		struct arena_block *block = malloc(sizeof *block + room);
		if (!block)
			return NULL;
		block->size = room;
		block->older = arena->blocks;
		arena->blocks = block;
		arena->cur = block->data;
		arena->end = block->data + room;
	}
	void *p = arena->cur;
	arena->cur += need;
	arena->used += need;
	return p;
}

void *
arena_zalloc(struct arena *arena, size_t size)
{
	void *p = arena_alloc(arena, size);
	return p ? memset(p, 0, size) : NULL;
}

void *
arena_dup(struct arena *arena, const void *src, size_t len)
{
	void *p = arena_alloc(arena, len);
	if (p && len)
		memcpy(p, src, len);
	return p;
}
