/*
 * Compounds are recycled with the first block of their arena warm (PERFORMANCE.md, lesson 3).  Each thread keeps a
 * few; those that end on a worker come back to the loops through one list that loops take whole.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "server/nfs4/compound.h"

#define KEEP 64			/* per thread */
#define KEEP_RETURNED 512	/* on the common list */
#define ARENA_LIMIT (4u << 20)

struct pool {
	struct compound *free;
	unsigned count;
};

static _Atomic(struct compound *) returned;
static atomic_int nreturned;
static pthread_key_t pool_key;
static pthread_once_t pool_once = PTHREAD_ONCE_INIT;
static __thread struct pool *pool;

static void
compound_destroy(struct compound *c)
{
	arena_destroy(&c->arena);
	free(c);
}

static void
pool_destroy(void *arg)
{
	struct pool *p = arg;
	while (p->free) {
		struct compound *c = p->free;
		p->free = c->next;
		compound_destroy(c);
	}
	free(p);
	pool = NULL;
}

static void
pool_make_key(void)
{
	pthread_key_create(&pool_key, pool_destroy);
}

static struct pool *
pool_get(void)
{
	if (pool)
		return pool;
	pthread_once(&pool_once, pool_make_key);
	pool = calloc(1, sizeof *pool);
	if (pool && pthread_setspecific(pool_key, pool) != 0) {
		free(pool);
		pool = NULL;
	}
	return pool;
}

/* Take all that came back from other threads. */
static void
pool_refill(struct pool *p)
{
	struct compound *c = atomic_exchange(&returned, NULL);
	while (c) {
		struct compound *next = c->next;
		atomic_fetch_sub(&nreturned, 1);
		c->next = p->free;
		p->free = c;
		p->count++;
		c = next;
	}
}

struct compound *
compound_alloc(struct mds *mds)
{
	struct pool *p = pool_get();
	if (p && !p->free)
		pool_refill(p);
	struct compound *c = p ? p->free : NULL;
	if (c) {
		p->free = c->next;
		p->count--;
		memset(c, 0, offsetof(struct compound, work));
	} else {
		c = calloc(1, sizeof *c);
		if (!c)
			return NULL;
		arena_init(&c->arena, ARENA_LIMIT);
	}
	c->mds = mds;
	return c;
}

void
compound_free(struct compound *c)
{
	arena_reset(&c->arena);
	struct pool *p = pool_get();
	if (c->on_loop && p && p->count < KEEP) {
		c->next = p->free;
		p->free = c;
		p->count++;
	} else if (atomic_fetch_add(&nreturned, 1) < KEEP_RETURNED) {
		c->next = atomic_load(&returned);
		while (!atomic_compare_exchange_weak(&returned, &c->next, c))
			;
	} else {
		atomic_fetch_sub(&nreturned, 1);
		compound_destroy(c);
	}
}

void
compound_pool_drain(void)
{
	struct pool *p = pool_get();
	if (!p)
		return;
	pool_refill(p);
	pthread_setspecific(pool_key, NULL);
	pool_destroy(p);
}
