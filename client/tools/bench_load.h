/* One run of transfers of one kind, on a file through libpnfs or on its blocks on the raw LUN. */
#ifndef PNFS_CLIENT_TOOLS_BENCH_LOAD_H
#define PNFS_CLIENT_TOOLS_BENCH_LOAD_H

#include "client/bdev.h"
#include "pnfs/pnfs.h"

#define LOAD_MAX_DEPTH 32u

struct load {
	bool write, sequential;
	uint32_t size;			/* bytes of a transfer */
	unsigned depth;			/* under way at a time */
	unsigned ops;			/* transfers in all */
	uint64_t span;			/* bytes of the file to use, a multiple of size */
};

/* The raw LUN, with a loop of its own; the same code that libpnfs uses underneath. */
struct raw {
	struct loop *loop;
	struct bdev *bdev;
	const struct pnfs_extent *extents;
	size_t nextents;
};

/* -errno if the LUN cannot be opened. */
int raw_open(struct raw *raw, const char *device, const char *initiator);
void raw_close(struct raw *raw);

/* What a run cost: how long it took, and the CPU time of this process (not the target's), seconds. */
struct load_cost {
	double wall, cpu;
};

/* Run LOAD.  0 or the first error. */
int load_file(const struct load *load, struct pnfs_file *file, struct load_cost *cost);
int load_raw(const struct load *load, struct raw *raw, struct load_cost *cost);

#endif
