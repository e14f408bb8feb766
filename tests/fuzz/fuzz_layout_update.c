/* lou_body and loc_body; the first byte chooses the layout type: what decodes must encode again. */
#include <stdlib.h>
#include <string.h>

#include "proto/layout/layout_xdr.h"
#include "proto/xdr/xdr_arena.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint8_t device[NFS4_DEVICEID4_SIZE];
	struct arena arena;
	struct layout_range *range;
	struct layout_extent *ext;
	uint32_t n;
	XDR x;
	if (size == 0 || size > 1 << 16)
		return 0;
	layouttype4 type = data[0] & 1 ? LAYOUT4_SCSI : LAYOUT4_BLOCK_VOLUME;
	uint32_t len = (uint32_t)size - 1;
	uint8_t *copy = malloc(size), *out = malloc(size + 8);
	memcpy(copy, data + 1, len);
	arena_init(&arena, 0);
	if (layout_update_decode(type, copy, len, &arena, &range, &n)) {
		ax_init(&x, out, (uint32_t)size + 8, XDR_ENCODE, NULL);
		if (!layout_update_encode(&x, type, device, range, n) ||
		    (len && ax_used(&x) != len))
			abort();
	}
	if (layout_extents_decode(type, copy, len, &arena, &ext, &n)) {
		ax_init(&x, out, (uint32_t)size + 8, XDR_ENCODE, NULL);
		if (!layout_extents_encode(&x, type, ext, n) || ax_used(&x) != len)
			abort();
	}
	arena_destroy(&arena);
	free(copy);
	free(out);
	return 0;
}
