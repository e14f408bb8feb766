/* Names of LUNs: designators of the Device Identification VPD page (SPC-4 7.8.6; RFC 8154 2.3.1).  Pure. */
#ifndef PNFS_SERVER_LAYOUT_DESIGNATOR_H
#define PNFS_SERVER_LAYOUT_DESIGNATOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DESIGNATOR_MAX 64u

struct designator {
	uint32_t type, code_set;	/* SPC: 3 NAA, 2 EUI-64; code set 1 binary */
	unsigned len;
	uint8_t bytes[DESIGNATOR_MAX];
};

/*
 * The best name of the logical unit in page 0x83: binary NAA, the longest; else binary EUI-64, the longest.  T10 vendor ids and names are not
 * taken: clients resolve wwn-0x... and nvme-eui... only (PITFALLS B15).  False: none.
 */
bool designator_choose(const uint8_t *page, uint32_t len, struct designator *best);

/* Is it one of those of the page? */
bool designator_listed(const uint8_t *page, uint32_t len, const struct designator *designator);

/* "naa.6001..." or "eui.0025...": type and hex digits.  False: neither. */
bool designator_parse(const char *text, struct designator *designator);

/* The same back; BUF takes 5 + 2 * DESIGNATOR_MAX bytes. */
void designator_print(const struct designator *designator, char *buf, size_t size);

#endif
