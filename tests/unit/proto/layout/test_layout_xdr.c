/* Block and SCSI bodies: vectors both ways, every truncation, PITFALLS A25, A29, B21. */
#include "../vector.h"

#include "proto/layout/layout_xdr.h"
#include "proto/xdr/xdr_arena.h"

#define BYTES(literal) (uint8_t[]){ literal }

static struct vector v;
static struct arena arena;
static uint8_t out[4096];
static const uint8_t device[16] = { 1 };

static void
setup(void)
{
	arena_init(&arena, 0);
	memset(out, 0xee, sizeof out);
}

static void
teardown(void)
{
	arena_destroy(&arena);
}

static struct layout_extent *
layout_both_ways(const char *name, layouttype4 type, uint32_t *n)
{
	struct layout_extent *ext, *cut_ext;
	uint32_t cut_n;
	XDR x;
	vector_load(&v, name);
	ck_assert(layout_extents_decode(type, v.data, v.len, &arena, &ext, n));
	ax_init(&x, out, sizeof out, XDR_ENCODE, NULL);
	ck_assert(layout_extents_encode(&x, type, ext, *n));
	bytes_eq(name, out, ax_used(&x), v.data, v.len);
	for (uint32_t len = 0; len < v.len + 8; len++) {
		uint8_t *copy = malloc(len + 1);
		memcpy(copy, v.data, len);
		if (len != v.len)
			ck_assert(!layout_extents_decode(type, copy, len, &arena, &cut_ext, &cut_n));
		free(copy);
		ax_init(&x, out, len, XDR_ENCODE, NULL);
		ck_assert_int_eq(layout_extents_encode(&x, type, ext, *n), len >= v.len);
	}
	return ext;
}

START_TEST(layouts)
{
	uint32_t n;
	struct layout_extent *ext = layout_both_ways("loc-block", LAYOUT4_BLOCK_VOLUME, &n);
	ck_assert_uint_eq(n, 1);
	ck_assert_mem_eq(ext->device, device, 16);
	ck_assert_uint_eq(ext->addr, 98304);
	ck_assert_int_eq(ext->state, EXTENT_INVALID);
	ext = layout_both_ways("loc-scsi", LAYOUT4_SCSI, &n);
	ck_assert_uint_eq(n, 3);
	ck_assert_int_eq(ext[1].state, EXTENT_NONE);
	ck_assert_uint_eq(ext[2].addr, 1ull << 40);
	/* a hole has no address on the wire (PITFALLS A25) */
	ext[1].addr = 4711;
	XDR x;
	ax_init(&x, out, sizeof out, XDR_ENCODE, NULL);
	ck_assert(layout_extents_encode(&x, LAYOUT4_SCSI, ext, n));
	bytes_eq("hole", out, ax_used(&x), v.data, v.len);
	ck_assert_uint_eq(ax_used(&x), 4 + 3 * LAYOUT_EXTENT_SIZE);
	/* an unknown state; another layout type */
	v.data[4 + 43] = 4;
	ck_assert(!layout_extents_decode(LAYOUT4_SCSI, v.data, v.len, &arena, &ext, &n));
	v.data[4 + 43] = 1;
	ck_assert(!layout_extents_decode(LAYOUT4_NFSV4_1_FILES, v.data, v.len, &arena, &ext, &n));
	/* 2^32 - 1 extents in four bytes */
	ck_assert(!layout_extents_decode(LAYOUT4_SCSI, BYTES("\xff\xff\xff\xff"), 4, &arena, &ext, &n));
}
END_TEST

static struct layout_range *
update_both_ways(const char *name, layouttype4 type, uint32_t *n)
{
	struct layout_range *range, *cut_range;
	uint32_t cut_n;
	XDR x;
	vector_load(&v, name);
	ck_assert(layout_update_decode(type, v.data, v.len, &arena, &range, n));
	ax_init(&x, out, sizeof out, XDR_ENCODE, NULL);
	ck_assert(layout_update_encode(&x, type, device, range, *n));
	bytes_eq(name, out, ax_used(&x), v.data, v.len);
	for (uint32_t len = 1; len < v.len + 8; len++) {
		uint8_t *copy = malloc(len);
		memcpy(copy, v.data, len);
		if (len != v.len)
			ck_assert(!layout_update_decode(type, copy, len, &arena, &cut_range, &cut_n));
		free(copy);
	}
	return range;
}

START_TEST(updates)
{
	uint32_t n;
	struct layout_range *range = update_both_ways("lou-block", LAYOUT4_BLOCK_VOLUME, &n);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(range->offset, 1048576);
	ck_assert_uint_eq(range->length, 1048576);
	/* junk in the members not looked at */
	memset(v.data + 4, 0xff, 16);
	memset(v.data + 4 + 32, 0xff, 12);
	ck_assert(layout_update_decode(LAYOUT4_BLOCK_VOLUME, v.data, v.len, &arena, &range, &n));
	ck_assert_uint_eq(range->length, 1048576);
	range = update_both_ways("lou-scsi", LAYOUT4_SCSI, &n);
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_eq(range[1].length, 8388608);
	/* nothing at all is an update of nothing */
	ck_assert(layout_update_decode(LAYOUT4_SCSI, NULL, 0, &arena, &range, &n));
	ck_assert_uint_eq(n, 0);
	ck_assert(layout_update_decode(LAYOUT4_BLOCK_VOLUME, BYTES("\0\0\0\0"), 4, &arena, &range, &n));
	ck_assert_uint_eq(n, 0);
	ck_assert(!layout_update_decode(LAYOUT4_FLEX_FILES, NULL, 0, &arena, &range, &n));
}
END_TEST

START_TEST(large_update)
{
	enum { N = 10000 };
	struct layout_range *range = calloc(N, sizeof *range), *got;
	uint32_t size = 4 + N * LAYOUT_EXTENT_SIZE, n;
	uint8_t *buf = malloc(size);
	XDR x;
	for (uint32_t i = 0; i < N; i++)
		range[i] = (struct layout_range){ i * 8192ull, 4096 };
	ax_init(&x, buf, size, XDR_ENCODE, NULL);
	ck_assert(layout_update_encode(&x, LAYOUT4_BLOCK_VOLUME, device, range, N));
	ck_assert_uint_eq(ax_used(&x), size);
	ck_assert(layout_update_decode(LAYOUT4_BLOCK_VOLUME, buf, size, &arena, &got, &n));
	ck_assert_uint_eq(n, N);
	ck_assert_mem_eq(got, range, N * sizeof *range);
	/* no arena, no memory: refused, not crashed */
	struct arena tiny;
	arena_init(&tiny, 1024);
	ck_assert(!layout_update_decode(LAYOUT4_BLOCK_VOLUME, buf, size, &tiny, &got, &n));
	arena_destroy(&tiny);
	free(buf);
	free(range);
}
END_TEST

static struct volume *
device_both_ways(const char *name, layouttype4 type, uint32_t *n)
{
	struct volume *vol, *cut_vol;
	uint32_t cut_n;
	XDR x;
	vector_load(&v, name);
	ck_assert(layout_device_decode(type, v.data, v.len, &arena, &vol, n));
	ax_init(&x, out, sizeof out, XDR_ENCODE, NULL);
	ck_assert(layout_device_encode(&x, type, vol, *n));
	bytes_eq(name, out, ax_used(&x), v.data, v.len);
	for (uint32_t len = 0; len < v.len; len++) {
		uint8_t *copy = malloc(len + 1);
		memcpy(copy, v.data, len);
		ck_assert(!layout_device_decode(type, copy, len, &arena, &cut_vol, &cut_n));
		free(copy);
		ax_init(&x, out, len, XDR_ENCODE, NULL);
		ck_assert(!layout_device_encode(&x, type, vol, *n));
	}
	memset(v.data + v.len, 0, 4);
	ck_assert(!layout_device_decode(type, v.data, v.len + 4, &arena, &cut_vol, &cut_n));
	return vol;
}

START_TEST(devices)
{
	uint32_t n;
	struct volume *vol = device_both_ways("dev-block", LAYOUT4_BLOCK_VOLUME, &n);
	ck_assert_uint_eq(n, 1);
	ck_assert_int_eq(vol->simple.sigs[0].offset, 32);
	ck_assert_uint_eq(vol->simple.sigs[0].contents[0], 2);
	ck_assert(!layout_device_decode(LAYOUT4_SCSI, v.data, v.len, &arena, &vol, &n));
	vol = device_both_ways("dev-scsi", LAYOUT4_SCSI, &n);
	ck_assert_uint_eq(vol->base.pr_key, 0x6b02d9df7eb3f492);
	ck_assert_uint_eq(vol->base.len, 16);
	ck_assert(!layout_device_decode(LAYOUT4_BLOCK_VOLUME, v.data, v.len, &arena, &vol, &n));
	vol = device_both_ways("dev-block-topology", LAYOUT4_BLOCK_VOLUME, &n);
	ck_assert_uint_eq(n, 5);
	ck_assert_int_eq(vol[0].simple.sigs[1].offset, -512);
	ck_assert_uint_eq(vol[3].stripe.unit, 65536);
	ck_assert_uint_eq(vol[4].concat.volumes[0], 3);
}
END_TEST

/* What must be refused, by the writer and - without the writer's check - by the reader. */
START_TEST(bad_devices)
{
	static const uint8_t name[16] = { 9 };
	const struct volume base = { .type = VOLUME_BASE, .base = { 1, 3, 16, name, 1 } };
	struct volume vol[VOLUME_MAX + 1];
	uint32_t zero = 0, one = 1, many[VOLUME_MAX + 1] = { 0 }, n;
	struct volume *got;
	XDR x;
#define REFUSED(count) do { \
	ax_init(&x, out, sizeof out, XDR_ENCODE, NULL); \
	ck_assert(!layout_device_encode(&x, LAYOUT4_SCSI, vol, count)); } while (0)
	REFUSED(0);
	vol[0] = base;
	vol[0].base.len = 0;
	REFUSED(1);
	vol[0] = base;
	vol[1] = (struct volume){ .type = VOLUME_CONCAT, .concat = { 1, &one } };	/* itself */
	REFUSED(2);
	vol[1].concat.n = 0;
	REFUSED(2);
	vol[1] = (struct volume){ .type = VOLUME_CONCAT, .concat = { VOLUME_MAX + 1, many } };
	REFUSED(2);
	vol[1] = (struct volume){ .type = VOLUME_STRIPE, .stripe = { 0, 1, &zero } };
	REFUSED(2);
	vol[1] = (struct volume){ .type = VOLUME_SLICE, .slice = { 0, 1, 2 } };		/* forward */
	REFUSED(2);
	for (uint32_t i = 1; i <= VOLUME_MAX; i++)	/* too deep */
		vol[i] = (struct volume){ .type = VOLUME_SLICE, .slice = { 0, 1, i - 1 } };
	REFUSED(VOLUME_MAX_DEPTH + 1);
	ax_init(&x, out, sizeof out, XDR_ENCODE, NULL);
	ck_assert(layout_device_encode(&x, LAYOUT4_SCSI, vol, VOLUME_MAX_DEPTH));
	ck_assert(layout_device_decode(LAYOUT4_SCSI, out, ax_used(&x), &arena, &got, &n));
	/* the reader: make the last slice's index point to itself, then far away */
	uint32_t last = ax_used(&x) - 4;
	out[last + 3] = VOLUME_MAX_DEPTH - 1;
	ck_assert(!layout_device_decode(LAYOUT4_SCSI, out, last + 4, &arena, &got, &n));
	memset(out + last, 0xff, 4);
	ck_assert(!layout_device_decode(LAYOUT4_SCSI, out, last + 4, &arena, &got, &n));
	ck_assert(!layout_device_decode(LAYOUT4_SCSI, BYTES("\0\0\0\x41"), 4, &arena, &got, &n));
	ck_assert(!layout_device_decode(LAYOUT4_SCSI, BYTES("\0\0\0\0"), 4, &arena, &got, &n));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("layout/layout_xdr");
	TCase *tc = tcase_create("layout");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, layouts);
	tcase_add_test(tc, updates);
	tcase_add_test(tc, large_update);
	tcase_add_test(tc, devices);
	tcase_add_test(tc, bad_devices);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
