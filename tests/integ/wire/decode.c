/*
 * What every layout reply of a run must look like (PITFALLS A5, A6, A9, A10, A25): RFC 8881 18.43.3, RFC 5663 2.3.1, RFC 8154 2.4.1, and what the
 * Linux client rejects besides.
 */
#include <inttypes.h>

#include "tests/integ/wire/wire.h"

#define BLOCK 4096u

static unsigned checked, wrong;

unsigned
layouts_checked(void)
{
	return checked;
}

unsigned
layouts_wrong(void)
{
	return wrong;
}

static bool
state_legal(uint32_t iomode, enum extent_state state)
{
	if (iomode == LAYOUTIOMODE4_READ)
		return state == EXTENT_READ || state == EXTENT_NONE;
	return state == EXTENT_READ_WRITE || state == EXTENT_INVALID;
}

static const char *
extents_fault(const struct layout *l)
{
	uint64_t pos = l->offset;
	static const uint8_t no_device[NFS4_DEVICEID4_SIZE];
	if (!l->n)
		return "no extents";
	for (uint32_t i = 0; i < l->n; i++) {
		const struct layout_extent *e = &l->ext[i];
		if (e->offset != pos)
			return "extents not contiguous, or not from lo_offset on";
		if (!e->length || e->offset % BLOCK || e->length % BLOCK || e->addr % BLOCK)
			return "an extent that is no whole blocks";
		if (!state_legal(l->iomode, e->state))
			return "an extent state the iomode does not allow";
		if (e->state == EXTENT_NONE && e->addr)
			return "a hole with a storage offset";
		if (e->state != EXTENT_NONE && (e->addr + e->length > world.image_size || !memcmp(e->device, no_device, sizeof no_device)))
			return "an extent off the device";
		pos += e->length;
	}
	return pos - l->offset == l->length ? NULL : "lengths that do not sum up to lo_length";
}

/* Table 22 of RFC 8881 18.43.3. */
static const char *
range_fault(const struct lget *a, const struct layout *l, uint64_t size)
{
	if (l->iomode != LAYOUTIOMODE4_READ && l->iomode != LAYOUTIOMODE4_RW)
		return "an iomode that is none";
	if (a->iomode == LAYOUTIOMODE4_RW && l->iomode != LAYOUTIOMODE4_RW)
		return "RW asked, READ given";
	if (l->offset > a->offset || l->offset + l->length <= a->offset)
		return "the offset asked for is not in it";
	uint64_t need = a->minlength == ALL ? ALL : a->offset + a->minlength;
	if (l->iomode == LAYOUTIOMODE4_READ && need > size)
		need = size;
	if (l->offset + l->length < need)
		return "shorter than loga_minlength";
	return NULL;
}

void
layout_check(const struct file *f, const struct lget *a, const struct layout *l, uint64_t size)
{
	const char *fault = extents_fault(l);
	if (!fault)
		fault = range_fault(a, l, size);
	if (!fault && l->body_len != 4 + LAYOUT_EXTENT_SIZE * l->n)
		fault = "a loc_body of another length";
	if (!fault && l->body_len > a->maxcount)
		fault = "larger than loga_maxcount";
	if (!fault && !l->stateid.seqid)
		fault = "a layout stateid with seqid 0";
	if (!fault && f->held && memcmp(f->layout.other, l->stateid.other, NFS4_OTHER_SIZE))
		fault = "another stateid.other for the same file";
	checked++;
	if (!fault)
		return;
	wrong++;
	fprintf(stderr, "layout of %s, asked iomode %u %" PRIu64 "+%" PRIu64 " (at least %" PRIu64 "), got iomode %u %" PRIu64 "+%" PRIu64 ", %u extents: %s\n",
	    f->name, a->iomode, a->offset, a->length, a->minlength, l->iomode, l->offset, l->length, l->n, fault);
	for (uint32_t i = 0; i < l->n && i < 20; i++)
		fprintf(stderr, "  %" PRIu64 "+%" PRIu64 " at %" PRIu64 " state %u\n", l->ext[i].offset, l->ext[i].length, l->ext[i].addr,
		    l->ext[i].state);
}
