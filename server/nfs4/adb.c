/* See adb.h. */
#include "server/nfs4/adb.h"

#include <endian.h>
#include <stdbool.h>
#include <string.h>

#define NUMBER_LEN 4u		/* of a count4, as XDR has it: 8.1.1 does not say how it stands in the block */
/* Smaller blocks would cost more to lay out than to send. */
#define BLOCK_LEAST 16u

static bool
field_fits(uint64_t offset, uint64_t len, uint64_t block)
{
	return offset == UINT64_MAX || (len <= block && offset <= block - len);
}

nfsstat4
adb_check(const app_data_block4 *adb, uint64_t *len)
{
	uint64_t block = adb->adb_block_size, count = adb->adb_block_count;

	*len = 0;
	if (block < BLOCK_LEAST || !field_fits(adb->adb_reloff_blocknum, NUMBER_LEN, block) ||
	    !field_fits(adb->adb_reloff_pattern, adb->adb_pattern.adb_pattern_len, block))
		return NFS4ERR_INVAL;
	if (count && (block > INT64_MAX / count || adb->adb_offset > INT64_MAX - block * count))
		return NFS4ERR_FBIG;
	*len = block * count;
	return NFS4_OK;
}

/* What of [AT, AT + LEN) at SRC lies in the LEN_BUF bytes from FROM on. */
static void
overlay(uint8_t *buf, uint64_t from, uint32_t len_buf, uint64_t at, const void *src, uint64_t len)
{
	uint64_t start = at > from ? at : from, end = at + len < from + len_buf ? at + len : from + len_buf;

	if (start < end)
		memcpy(buf + (start - from), (const uint8_t *)src + (start - at), end - start);
}

void
adb_fill(const app_data_block4 *adb, uint64_t from, uint8_t *buf, uint32_t len)
{
	uint64_t block = adb->adb_block_size;

	memset(buf, 0, len);
	for (uint64_t i = from / block; i * block < from + len; i++) {
		uint32_t number = htobe32(adb->adb_block_num + (uint32_t)i);
		if (adb->adb_reloff_pattern != UINT64_MAX)
			overlay(buf, from, len, i * block + adb->adb_reloff_pattern, adb->adb_pattern.adb_pattern_val,
			    adb->adb_pattern.adb_pattern_len);
		if (adb->adb_reloff_blocknum != UINT64_MAX)
			overlay(buf, from, len, i * block + adb->adb_reloff_blocknum, &number, sizeof number);
	}
}
