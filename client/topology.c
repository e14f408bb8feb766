/*
 * Volume topology (RFC 5663 2.2.2, RFC 8154 2.3.2): slices, concatenations and stripes over LUNs, as a map from
 * addresses of the volume to addresses of devices.  Bounds of what may come in were checked when the address was decoded
 * (layout_xdr.h); a volume refers only to earlier ones, so there are no loops.
 */
#include "client/topology.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool
node_size(struct topology *topo, struct topology_node *node)
{
	uint64_t size = 0, smallest = UINT64_MAX;
	switch (node->type) {
	case VOLUME_SIMPLE:
	case VOLUME_BASE:
		node->size = node->bdev->size;
		return true;
	case VOLUME_SLICE:
		node->size = node->length;
		return node->start <= topo->nodes[node->parts[0]].size &&
		    node->length <= topo->nodes[node->parts[0]].size - node->start;
	case VOLUME_CONCAT:
		for (unsigned i = 0; i < node->nparts; i++)
			if (__builtin_add_overflow(size, topo->nodes[node->parts[i]].size, &size))
				return false;
		node->size = size;
		return true;
	case VOLUME_STRIPE:
		for (unsigned i = 0; i < node->nparts; i++)
			if (topo->nodes[node->parts[i]].size < smallest)
				smallest = topo->nodes[node->parts[i]].size;
		return node->unit && node->nparts &&
		    !__builtin_mul_overflow(smallest - smallest % node->unit, node->nparts, &node->size);
	}
	return false;
}

static bool
node_copy(struct topology_node *node, const struct volume *vol)
{
	const uint32_t *parts = NULL;
	uint32_t one = 0;
	node->type = vol->type;
	if (vol->type == VOLUME_SLICE) {
		node->start = vol->slice.start;
		node->length = vol->slice.length;
		one = vol->slice.volume;
		parts = &one;
		node->nparts = 1;
	} else if (vol->type == VOLUME_CONCAT) {
		parts = vol->concat.volumes;
		node->nparts = vol->concat.n;
	} else if (vol->type == VOLUME_STRIPE) {
		node->unit = vol->stripe.unit;
		parts = vol->stripe.volumes;
		node->nparts = vol->stripe.n;
	} else if (vol->type == VOLUME_BASE) {
		node->key = vol->base.pr_key;
	}
	if (!node->nparts)
		return vol->type == VOLUME_SIMPLE || vol->type == VOLUME_BASE;
	node->parts = malloc(node->nparts * sizeof *parts);
	if (node->parts)
		memcpy(node->parts, parts, node->nparts * sizeof *parts);
	return node->parts != NULL;
}

struct topology *
topology_new(const struct volume *vol, uint32_t n)
{
	struct topology *topo = calloc(1, sizeof *topo + n * sizeof topo->nodes[0]);
	if (!topo)
		return NULL;
	topo->n = n;
	for (uint32_t i = 0; i < n; i++) {
		bool ok = node_copy(&topo->nodes[i], &vol[i]);
		for (unsigned p = 0; ok && p < topo->nodes[i].nparts; p++)
			ok = topo->nodes[i].parts[p] < i;
		if (!ok) {
			topology_free(topo);
			return NULL;
		}
	}
	return topo;
}

int
topology_finish(struct topology *topo)
{
	for (uint32_t i = 0; i < topo->n; i++)
		if (!node_size(topo, &topo->nodes[i]))
			return -EINVAL;
	return topo->n ? 0 : -EINVAL;
}

void
topology_free(struct topology *topo)
{
	if (!topo)
		return;
	for (uint32_t i = 0; i < topo->n; i++)
		free(topo->nodes[i].parts);
	free(topo);
}

uint64_t
topology_size(const struct topology *topo)
{
	return topo->nodes[topo->n - 1].size;
}

unsigned
topology_devices(const struct topology *topo, struct bdev **bdevs, uint64_t *keys, unsigned max)
{
	unsigned n = 0;
	for (uint32_t i = 0; i < topo->n; i++) {
		const struct topology_node *node = &topo->nodes[i];
		unsigned k = 0;
		while (k < n && bdevs[k] != node->bdev)
			k++;
		if (!node->bdev || k < n || n == max)
			continue;
		bdevs[n] = node->bdev;
		keys[n++] = node->key;
	}
	return n;
}

bool
topology_map(const struct topology *topo, uint64_t addr, struct bdev **bdev, uint64_t *offset, uint64_t *run)
{
	const struct topology_node *node = &topo->nodes[topo->n - 1];
	uint64_t left = UINT64_MAX;
	for (;;) {
		if (addr >= node->size)
			return false;
		if (node->size - addr < left)
			left = node->size - addr;
		if (node->bdev) {
			*bdev = node->bdev;
			*offset = addr;
			*run = left;
			return true;
		}
		unsigned part = 0;
		if (node->type == VOLUME_SLICE) {
			addr += node->start;
		} else if (node->type == VOLUME_CONCAT) {
			while (addr >= topo->nodes[node->parts[part]].size)
				addr -= topo->nodes[node->parts[part++]].size;
		} else {
			uint64_t chunk = addr / node->unit, in = addr % node->unit;
			part = (unsigned)(chunk % node->nparts);
			addr = chunk / node->nparts * node->unit + in;
			if (node->unit - in < left)
				left = node->unit - in;
		}
		node = &topo->nodes[node->parts[part]];
	}
}
