/* A fattr4 from the wire: what decodes must encode again, and decode to the same. */
#include <stdlib.h>
#include <string.h>

#include "proto/nfs4/attrs.h"
#include "proto/xdr/xdr_arena.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	struct nfs_attrs a, b;
	fattr4 fattr;
	XDR x;
	if (size > 1 << 16)
		return 0;
	uint8_t *copy = malloc(size + 1), *out = malloc(size + 64);
	memcpy(copy, data, size);
	arena_init(&arena, 0);
	memset(&fattr, 0, sizeof fattr);
	ax_init(&x, copy, (uint32_t)size, XDR_DECODE, &arena);
	if (xdr_fattr4(&x, &fattr) && attrs_decode(&fattr, &a) == NFS4_OK) {
		ax_init(&x, out, (uint32_t)size + 64, XDR_ENCODE, NULL);
		if (!attrs_encode(&x, &a, &attrs_known))
			abort();
		uint32_t len = ax_used(&x);
		memset(&fattr, 0, sizeof fattr);
		ax_init(&x, out, len, XDR_DECODE, &arena);
		if (!xdr_fattr4(&x, &fattr) || attrs_decode(&fattr, &b) != NFS4_OK ||
		    memcmp(&a.mask, &b.mask, sizeof a.mask) != 0)
			abort();
		if (!attrs_to_fattr4(&fattr, &b, &arena))
			abort();
	}
	arena_destroy(&arena);
	free(copy);
	free(out);
	return 0;
}
