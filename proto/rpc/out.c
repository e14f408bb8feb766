/*
 * Outgoing record buffers, recycled per thread; see peer.h.  Usually the same
 * thread fills one and frees it after the write, so no lock is needed.
 * DATA is 16-byte aligned; the record mark stands in the 4 bytes before it.
 */
#include <pthread.h>
#include <stdlib.h>

#include "proto/rpc/peer.h"

#define HEADROOM 16

#if defined(__SANITIZE_ADDRESS__)
#define KEEP(n) 0
#else
#define KEEP(n) (n)
#endif

static const struct { uint32_t cap; unsigned keep; } classes[] = {
	/* As many as a turn may have in flight: the answers of some hundred slots. */
	{ 2048 - 64, KEEP(512) },
	{ 16u << 10, KEEP(256) },
	{ 128u << 10, KEEP(16) },
	{ RPC_MAX_RECORD, KEEP(8) },
};
#define NCLASSES (sizeof classes / sizeof *classes)

struct out_cache {
	struct rpc_out *free[NCLASSES];
	unsigned count[NCLASSES];
};

static pthread_key_t cache_key;
static pthread_once_t cache_once = PTHREAD_ONCE_INIT;
static __thread struct out_cache *cache;

static void
cache_destroy(void *arg)
{
	struct out_cache *c = arg;
	for (unsigned i = 0; i < NCLASSES; i++) {
		while (c->free[i]) {
			struct rpc_out *out = c->free[i];
			c->free[i] = out->next;
			free(out);
		}
	}
	free(c);
	cache = NULL;
}

static void
cache_make_key(void)
{
	pthread_key_create(&cache_key, cache_destroy);
}

static struct out_cache *
cache_get(void)
{
	if (cache)
		return cache;
	pthread_once(&cache_once, cache_make_key);
	cache = calloc(1, sizeof *cache);
	if (cache && pthread_setspecific(cache_key, cache) != 0) {
		free(cache);
		cache = NULL;
	}
	return cache;
}

struct rpc_out *
rpc_out_get(uint32_t size)
{
	struct out_cache *c = cache_get();
	for (unsigned i = 0; i < NCLASSES; i++) {
		if (size > classes[i].cap)
			continue;
		size = classes[i].cap;
		if (c && c->free[i]) {
			struct rpc_out *out = c->free[i];
			c->free[i] = out->next;
			c->count[i]--;
			out->next = NULL;
			out->len = 0;
			return out;
		}
		break;
	}
	if (size > UINT32_MAX / 2)
		return NULL;
	size_t head = (sizeof(struct rpc_out) + 15) & ~(size_t)15;
	struct rpc_out *out = malloc(head + HEADROOM + size);
	if (!out)
		return NULL;
	*out = (struct rpc_out){ .data = (uint8_t *)out + head + HEADROOM, .cap = size };
	return out;
}

void
rpc_out_put(struct rpc_out *out)
{
	if (!out)
		return;
	struct out_cache *c = cache_get();
	for (unsigned i = 0; c && i < NCLASSES; i++) {
		if (out->cap == classes[i].cap && c->count[i] < classes[i].keep) {
			out->next = c->free[i];
			c->free[i] = out;
			c->count[i]++;
			return;
		}
	}
	free(out);
}
