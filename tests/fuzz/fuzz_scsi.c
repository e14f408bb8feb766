/*
 * What a target answers; the first byte chooses the parser: VPD page 0x83 by the server and by the client, READ KEYS, READ RESERVATION,
 * READ CAPACITY (16).
 */
#include <stdlib.h>
#include <string.h>

#include "client/bdev/bdev_priv.h"
#include "server/fence/fence.h"
#include "server/fence/scsi_cdb.h"
#include "server/layout/designator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool
client_has(const struct bdev *bdev, const struct designator *d)
{
	for (unsigned i = 0; i < bdev->ndesignators; i++) {
		const struct bdev_designator *b = &bdev->designators[i];
		if (b->type == d->type && b->code_set == d->code_set && b->len == d->len && !memcmp(b->bytes, d->bytes, d->len))
			return true;
	}
	return false;
}

/* What the server names a LUN by is in the page, and the client finds it there, if it keeps all of the page. */
static void
page_83(const uint8_t *page, uint32_t len)
{
	static struct bdev bdev;
	struct designator best, again;
	char text[5 + 2 * DESIGNATOR_MAX];
	bdev.ndesignators = 0;
	bool whole = bdev_parse_vpd83(&bdev, page, len);
	for (unsigned i = 0; i < bdev.ndesignators; i++)
		if (!bdev.designators[i].len)
			abort();
	if (!designator_choose(page, len, &best))
		return;
	if (!designator_listed(page, len, &best))
		abort();
	if (whole && bdev.ndesignators < BDEV_MAX_DESIGNATORS && !client_has(&bdev, &best))
		abort();
	designator_print(&best, text, sizeof text);
	if (designator_parse(text, &again) && (again.len != best.len || again.type != best.type || memcmp(again.bytes, best.bytes, best.len)))
		abort();
}

static void
reservations(const uint8_t *buf, uint32_t len, bool keys)
{
	static struct pr_status st;
	if (keys) {
		if (scsi_parse_keys(buf, len, &st) == 0 && st.nkeys > (len - 8) / 8)
			abort();
	} else if (scsi_parse_reservation(buf, len, &st) == 0 && (st.type > 15 || (st.holder && len < 24))) {
		abort();
	}
}

static void
capacity(const uint8_t *buf, uint32_t len)
{
	uint64_t bytes;
	uint32_t block;
	if (scsi_parse_capacity(buf, len, &bytes, &block) == 0 && (block < 512 || !bytes || bytes % block))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || size > 1 << 16)
		return 0;
	uint32_t len = (uint32_t)size - 1;
	uint8_t *copy = malloc(len ? len : 1);	/* of exactly its length, for the sanitizer */
	if (!copy)
		return 0;
	memcpy(copy, data + 1, len);
	switch (data[0] & 3) {
	case 0: page_83(copy, len); break;
	case 1: reservations(copy, len, true); break;
	case 2: reservations(copy, len, false); break;
	default: capacity(copy, len);
	}
	free(copy);
	return 0;
}
