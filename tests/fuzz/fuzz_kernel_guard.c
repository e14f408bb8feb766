/* Callbacks of nfsd to a server that is dead: what answers for it reads no byte too many, and its answer fits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server/export/kernel_guard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > KERNEL_GUARD_CALL)
		return 0;
	/* Copies of exactly their lengths, for the sanitizer. */
	uint8_t *copy = malloc(size + 1), *reply = malloc(KERNEL_GUARD_REPLY);
	if (!copy || !reply)
		abort();
	uint8_t *call = size ? copy + 1 : copy;		/* the record's bytes are aligned to nothing */
	if (size)
		memcpy(call, data, size);
	size_t n = kernel_guard_answer(call, size, reply);
	/* Six words of RPC, and a COMPOUND that begins with a status, or nothing (CB_NULL). */
	if (n > KERNEL_GUARD_REPLY || n % 4 || (n && (n < 24 || memcmp(reply, call, 4))))
		abort();
	free(copy);
	free(reply);
	return 0;
}
