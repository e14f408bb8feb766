/* da_addr_body; the first byte chooses the layout type: what decodes must encode to as many bytes. */
#include <stdlib.h>
#include <string.h>

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
		ax_init(&x, out, len, XDR_ENCODE, NULL);
		if (!layout_device_encode(&x, type, vol, n) || ax_used(&x) != len)
			abort();
	}
	arena_destroy(&arena);
	free(copy);
	free(out);
	return 0;
}
