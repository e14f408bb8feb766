/* VPD page 0x83, Device Identification (SPC-5 7.7.6): the names a LUN has. */
#include "client/bdev/bdev_priv.h"

#include <string.h>

enum { VPD_HEADER = 4, DESCRIPTOR_HEADER = 4, ASSOCIATION_LU = 0 };

bool
bdev_parse_vpd83(struct bdev *bdev, const uint8_t *page, size_t len)
{
	if (len < VPD_HEADER || page[1] != 0x83)
		return false;
	size_t end = VPD_HEADER + ((size_t)page[2] << 8 | page[3]);
	if (end > len)
		return false;
	for (size_t at = VPD_HEADER; at < end;) {
		if (end - at < DESCRIPTOR_HEADER)
			return false;
		const uint8_t *d = page + at;
		size_t dlen = d[3];
		if (end - at - DESCRIPTOR_HEADER < dlen)
			return false;
		at += DESCRIPTOR_HEADER + dlen;
		if ((d[1] >> 4 & 3) != ASSOCIATION_LU || dlen == 0 ||
		    bdev->ndesignators == BDEV_MAX_DESIGNATORS)
			continue;
		struct bdev_designator *out = &bdev->designators[bdev->ndesignators++];
		out->code_set = d[0] & 0xf;
		out->type = d[1] & 0xf;
		out->len = (uint8_t)dlen;
		memcpy(out->bytes, d + DESCRIPTOR_HEADER, dlen);
	}
	return true;
}
