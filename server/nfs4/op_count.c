/* See op_count.h. */
#include "server/nfs4/op_count.h"

#include <stdatomic.h>

#include "proto/nfs4/op_xdr.h"
#include "server/nfs4/compound.h"

#define SHARDS 16u

static struct shard {
	_Alignas(64) atomic_uint_fast64_t count[OP_ROWS];
} shards[SHARDS];

void
op_count(uint32_t op)
{
	static atomic_uint next;
	static _Thread_local unsigned mine;	/* shard + 1; 0: none yet */
	if (!mine)
		mine = 1 + atomic_fetch_add(&next, 1) % SHARDS;
	if (op < OP_ROWS)
		atomic_fetch_add_explicit(&shards[mine - 1].count[op], 1, memory_order_relaxed);
}

void
op_count_each(void (*fn)(const char *name, uint64_t count, void *arg), void *arg)
{
	for (uint32_t op = 0; op < OP_ROWS; op++) {
		uint64_t sum = 0;
		for (unsigned i = 0; i < SHARDS; i++)
			sum += atomic_load_explicit(&shards[i].count[op], memory_order_relaxed);
		const struct op_xdr *row = nfs4_op_xdr(op);
		if (sum && row)
			fn(row->name, sum, arg);
	}
}

static void
op_print(const char *name, uint64_t count, void *arg)
{
	fprintf(arg, " %s=%llu", name, (unsigned long long)count);
}

void
op_count_print(FILE *to)
{
	fputs("OPS", to);
	op_count_each(op_print, to);
	fputc('\n', to);
	fflush(to);
}
