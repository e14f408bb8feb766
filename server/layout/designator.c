/* Names of LUNs; see designator.h. */
#include "server/layout/designator.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { TYPE_EUI64 = 2, TYPE_NAA = 3, CODE_SET_BINARY = 1 };

struct page_iter {
	const uint8_t *p, *end;
};

static bool
page_start(struct page_iter *it, const uint8_t *page, uint32_t len)
{
	if (len < 4 || page[1] != 0x83)
		return false;
	uint32_t bytes = (uint32_t)page[2] << 8 | page[3];
	it->p = page + 4;
	it->end = it->p + (bytes < len - 4 ? bytes : len - 4);
	return true;
}

/* The next designator that names the logical unit (association 0) and that we can carry. */
static bool
page_next(struct page_iter *it, struct designator *d)
{
	while (it->end - it->p >= 4) {
		const uint8_t *p = it->p;
		unsigned len = p[3];
		if (len > (unsigned)(it->end - p) - 4)
			return false;
		it->p += 4 + len;
		if ((p[1] >> 4 & 3) != 0 || len == 0 || len > DESIGNATOR_MAX)
			continue;
		memset(d, 0, sizeof *d);
		d->code_set = p[0] & 0x0f;
		d->type = p[1] & 0x0f;
		d->len = len;
		memcpy(d->bytes, p + 4, len);
		return true;
	}
	return false;
}

static unsigned
designator_rank(const struct designator *d)
{
	if (d->code_set != CODE_SET_BINARY)
		return 0;
	return d->type == TYPE_NAA ? 1000 + d->len : d->type == TYPE_EUI64 ? 100 + d->len : 0;
}

bool
designator_choose(const uint8_t *page, uint32_t len, struct designator *best)
{
	struct page_iter it;
	struct designator d;
	unsigned rank = 0;
	if (!page_start(&it, page, len))
		return false;
	while (page_next(&it, &d))
		if (designator_rank(&d) > rank) {
			rank = designator_rank(&d);
			*best = d;
		}
	return rank > 0;
}

bool
designator_listed(const uint8_t *page, uint32_t len, const struct designator *designator)
{
	struct page_iter it;
	struct designator d;
	if (!page_start(&it, page, len))
		return false;
	while (page_next(&it, &d))
		if (d.type == designator->type && d.code_set == designator->code_set && d.len == designator->len &&
		    memcmp(d.bytes, designator->bytes, d.len) == 0)
			return true;
	return false;
}

static int
hex_digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 :
	    c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool
designator_parse(const char *text, struct designator *d)
{
	memset(d, 0, sizeof *d);
	d->code_set = CODE_SET_BINARY;
	d->type = strncasecmp(text, "naa.", 4) == 0 ? TYPE_NAA : strncasecmp(text, "eui.", 4) == 0 ? TYPE_EUI64 : 0;
	if (!d->type)
		return false;
	for (text += 4; *text; text += 2) {
		int high = hex_digit(text[0]), low = high < 0 ? -1 : hex_digit(text[1]);
		if (low < 0 || d->len == DESIGNATOR_MAX)
			return false;
		d->bytes[d->len++] = (uint8_t)(high << 4 | low);
	}
	return d->type == TYPE_NAA ? d->len == 8 || d->len == 16 : d->len == 8 || d->len == 12 || d->len == 16;
}

void
designator_print(const struct designator *d, char *buf, size_t size)
{
	size_t used = (size_t)snprintf(buf, size, "%s", d->type == TYPE_NAA ? "naa." : d->type == TYPE_EUI64 ? "eui." : "?");
	for (unsigned i = 0; i < d->len && used + 3 <= size; i++)
		used += (size_t)snprintf(buf + used, size - used, "%02x", d->bytes[i]);
}
