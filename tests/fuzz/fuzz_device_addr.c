/*
 * da_addr_body; the first byte chooses the layout type: what decodes must encode to as many bytes, and the client's topology of it
 * maps no address to one outside a device.
 */
#include <stdlib.h>
#include <string.h>

#include "client/topology.h"
#include "proto/layout/layout_xdr.h"
#include "proto/xdr/xdr_arena.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every index a reader would follow points backwards. */
static void
check_tree(const struct volume *vol, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		const uint32_t *child = NULL;
		uint32_t count = 0;
		if (vol[i].type == VOLUME_SLICE)
			child = &vol[i].slice.volume, count = 1;
		else if (vol[i].type == VOLUME_CONCAT)
			child = vol[i].concat.volumes, count = vol[i].concat.n;
		else if (vol[i].type == VOLUME_STRIPE)
			child = vol[i].stripe.volumes, count = vol[i].stripe.n;
		for (uint32_t c = 0; c < count; c++)
			if (child[c] >= i)
				abort();
	}
}

/* With all leaves on one device of a GiB: the borders of the volume, and of the runs from its start. */
static void
check_topology(const struct volume *vol, uint32_t n)
{
	static struct bdev device = { .size = 1 << 30, .block_size = 512 };
	struct topology *topo = topology_new(vol, n);
	if (!topo)
		return;
	for (uint32_t i = 0; i < topo->n; i++)
		if (topo->nodes[i].type == VOLUME_SIMPLE || topo->nodes[i].type == VOLUME_BASE)
			topo->nodes[i].bdev = &device;
	if (topology_finish(topo) == 0) {
		uint64_t size = topology_size(topo), offset, run = 0;
		struct bdev *bdev;
		if (topology_map(topo, size, &bdev, &offset, &run))
			abort();
		uint64_t at = 0;
		for (unsigned i = 0; i < 16 && at < size; i++, at += run)
			if (!topology_map(topo, at, &bdev, &offset, &run) || !run || run > size - at || offset >= device.size ||
			    run > device.size - offset)
				abort();
		if (size && !topology_map(topo, size - 1, &bdev, &offset, &run))
			abort();
	}
	topology_free(topo);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct volume *vol;
	uint32_t n;
	XDR x;
	if (size == 0 || size > 1 << 16)
		return 0;
	layouttype4 type = data[0] & 1 ? LAYOUT4_SCSI : LAYOUT4_BLOCK_VOLUME;
	uint32_t len = (uint32_t)size - 1;
	uint8_t *copy = malloc(size), *out = malloc(size);
	memcpy(copy, data + 1, len);
	arena_init(&arena, 0);
	if (layout_device_decode(type, copy, len, &arena, &vol, &n)) {
		check_tree(vol, n);
		check_topology(vol, n);
		ax_init(&x, out, len, XDR_ENCODE, NULL);
		if (!layout_device_encode(&x, type, vol, n) || ax_used(&x) != len)
			abort();
	}
	arena_destroy(&arena);
	free(copy);
	free(out);
	return 0;
}
