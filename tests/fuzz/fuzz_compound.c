/*
 * Arguments of a COMPOUND (even first byte: as a server reads it) or its results (odd: as
 * a client reads them), op by op, and the same for callbacks.  Arguments that decode are encoded again.
 */
#include <stdlib.h>
#include <string.h>

#include "proto/nfs4/compound_xdr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
arguments(uint8_t *data, uint32_t len, bool cb, uint8_t *out, struct arena *arena)
{
	XDR x;
	struct compound_header h;
	uint32_t op;
	union { nfs_argop4 fore; nfs_cb_argop4 back; } arg;
	ax_init(&x, data, len, XDR_DECODE, arena);
	if (!(cb ? compound_cb_header_get : compound_header_get)(&x, &h))
		return;
	for (uint32_t i = 0; i < h.count && i < 64; i++) {
		uint8_t *start = ax_pos(&x);
		nfsstat4 status = cb ? compound_cb_arg_get(&x, &arg.back, &op) :
		    compound_arg_get(&x, &arg.fore, &op);
		if (status != NFS4_OK)
			return;
		struct compound_call c;
		uint32_t used = (uint32_t)(ax_pos(&x) - start);
		if (cb)
			compound_cb_begin(&c, out, used + 16, "", 1, 0);
		else
			compound_call_begin(&c, out, used + 12, "", 1);
		compound_call_op(&c, op, cb ? (void *)&arg.back.nfs_cb_argop4_u : (void *)&arg.fore.nfs_argop4_u);
		if (compound_call_end(&c) != used + (cb ? 16 : 12))
			abort();
	}
}

static void
results(uint8_t *data, uint32_t len, bool cb, struct arena *arena)
{
	struct compound_results r;
	union { nfs_resop4 fore; nfs_cb_resop4 back; } res;
	if (compound_results_begin(&r, data, len, arena) != 0)
		return;
	while (r.left && ax_left(&r.xdrs) >= 4) {
		uint32_t op;
		memcpy(&op, ax_pos(&r.xdrs), 4);	/* as if that had been asked */
		op = be32toh(op);
		if (cb ? compound_cb_res_get(&r, op, &res.back) : compound_res_get(&r, op, &res.fore))
			return;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena arena;
	if (size == 0 || size > 1 << 16)
		return 0;
	uint32_t len = (uint32_t)size - 1;
	uint8_t *copy = malloc(size), *out = malloc(size + 64);
	memcpy(copy, data + 1, len);
	arena_init(&arena, 0);
	if (data[0] & 1)
		results(copy, len, data[0] & 2, &arena);
	else
		arguments(copy, len, data[0] & 2, out, &arena);
	arena_destroy(&arena);
	free(copy);
	free(out);
	return 0;
}
