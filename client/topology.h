/* Inside of struct topology, for topology.c and match.c. */
#ifndef PNFS_CLIENT_TOPOLOGY_H
#define PNFS_CLIENT_TOPOLOGY_H

#include "client/match.h"

struct topology_node {
	enum volume_type type;
	struct bdev *bdev;		/* leaves: bound by match.c */
	uint64_t key;			/* leaves, BASE: reservation key */
	uint64_t size;
	uint64_t start, length;		/* slice */
	uint64_t unit;			/* stripe */
	uint32_t nparts;
	uint32_t *parts;		/* indices of earlier nodes */
};

struct topology {
	uint32_t n;
	struct topology_node nodes[];	/* the last is the root */
};

/* The shape of VOL, leaves not bound yet.  NULL: without memory, or an index that is not an earlier one. */
struct topology *topology_new(const struct volume *vol, uint32_t n);

/* All leaves are bound: work the sizes out.  -EINVAL: a slice outside its volume, sizes past 2^64. */
int topology_finish(struct topology *topo);

#endif
