/* Extents of grants: what the Linux client checks, for random maps. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/layout/extent.h"

#define BLOCKS 40

static uint32_t seed = 3;
static const uint8_t device[NFS4_DEVICEID4_SIZE] = "0123456789abcde";

static uint32_t
rnd(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(seed >> 8) * below >> 24);
}

struct block {
	enum iomap_type type;
	uint64_t addr;
};

/* A map over some blocks, in pieces that do not care where extents begin. */
static unsigned
make_map(struct block *blocks, struct iomap *map)
{
	unsigned n = 0;
	uint64_t addr = 1 << 20;

	for (unsigned b = 0; b < BLOCKS;) {
		unsigned len = 1 + rnd(5);
		if (len > BLOCKS - b)
			len = BLOCKS - b;
		enum iomap_type type = (enum iomap_type)rnd(3);
		if (rnd(2))
			addr += LAYOUT_UNIT * (1 + rnd(9));
		map[n++] = (struct iomap){ b * (uint64_t)LAYOUT_UNIT, len * (uint64_t)LAYOUT_UNIT,
			type == IOMAP_HOLE ? 0 : addr, type };
		for (unsigned i = 0; i < len; i++)
			blocks[b + i] = (struct block){ type, addr + i * LAYOUT_UNIT };
		addr += len * LAYOUT_UNIT;
		b += len;
	}
	return n;
}

static void
check_extents(const struct layout_extent *ext, uint32_t n, const struct block *blocks, struct range r, uint64_t end, bool rw)
{
	uint64_t pos = r.start;

	for (uint32_t i = 0; i < n; i++) {
		ck_assert_uint_eq(ext[i].offset, pos);			/* no gap, no overlap (PITFALLS A5, A6) */
		ck_assert_uint_gt(ext[i].length, 0);
		ck_assert_uint_eq(ext[i].length % LAYOUT_UNIT, 0);
		ck_assert_mem_eq(ext[i].device, device, sizeof device);
		for (uint64_t at = 0; at < ext[i].length; at += LAYOUT_UNIT) {
			const struct block *b = &blocks[(pos + at) / LAYOUT_UNIT];
			if (ext[i].state == EXTENT_NONE) {
				ck_assert(!rw && b->type != IOMAP_MAPPED);
				continue;
			}
			ck_assert_uint_eq(ext[i].addr + at, b->addr);
			if (rw)
				ck_assert_int_eq(ext[i].state, b->type == IOMAP_MAPPED ? EXTENT_READ_WRITE : EXTENT_INVALID);
			else
				ck_assert(ext[i].state == EXTENT_READ && b->type == IOMAP_MAPPED);
		}
		if (ext[i].state == EXTENT_NONE)
			ck_assert_uint_eq(ext[i].addr, 0);		/* PITFALLS A25 */
		pos += ext[i].length;
	}
	ck_assert_uint_eq(pos, end);
	ck_assert_uint_le(pos, r.end);
}

START_TEST(random_maps)
{
	for (int step = 0; step < 20000; step++) {
		struct block blocks[BLOCKS];
		struct iomap map[BLOCKS];
		struct layout_extent ext[BLOCKS];
		unsigned n = make_map(blocks, map);
		bool rw = rnd(2), full;
		uint32_t max = 1 + rnd(BLOCKS);
		struct range r = { rnd(BLOCKS) * (uint64_t)LAYOUT_UNIT, 0 };
		uint64_t end;
		r.end = r.start + (1 + rnd(BLOCKS)) * (uint64_t)LAYOUT_UNIT;
		uint32_t count = extents_make(ext, max, map, n, r, rw, device, &end, &full);
		ck_assert_uint_le(count, max);
		check_extents(ext, count, blocks, r, end, rw);
		/* Why did it end where it ended? */
		if (end < r.end && end < BLOCKS * (uint64_t)LAYOUT_UNIT) {
			if (full)
				ck_assert_uint_eq(count, max);
			else
				ck_assert(rw && blocks[end / LAYOUT_UNIT].type == IOMAP_HOLE);
		}
		for (uint32_t i = 1; i < count; i++)		/* neighbours were joined */
			ck_assert(ext[i].state != ext[i - 1].state || (ext[i].state != EXTENT_NONE &&
			    ext[i - 1].addr + ext[i - 1].length != ext[i].addr));
		uint64_t cut = r.start + rnd((uint32_t)((end - r.start) / LAYOUT_UNIT + 1)) * (uint64_t)LAYOUT_UNIT;
		count = extents_trim(ext, count, cut);
		check_extents(ext, count, blocks, r, cut, rw);
	}
}
END_TEST

START_TEST(gap_ends_it)
{
	struct iomap map[] = { { 0, 8192, 65536, IOMAP_MAPPED }, { 12288, 4096, 99 * 4096, IOMAP_MAPPED } };
	struct layout_extent ext[4];
	uint64_t end;
	bool full;

	ck_assert_uint_eq(extents_make(ext, 4, map, 2, (struct range){ 0, 16384 }, false, device, &end, &full), 1);
	ck_assert_uint_eq(end, 8192);
	ck_assert_uint_eq(extents_make(ext, 4, map, 2, (struct range){ 8192, 16384 }, false, device, &end, &full), 0);
	ck_assert_uint_eq(end, 8192);
	/* A map that ends off our alignment is cut. */
	map[0].length = 5120;
	ck_assert_uint_eq(extents_make(ext, 4, map, 1, (struct range){ 0, 16384 }, false, device, &end, &full), 1);
	ck_assert_uint_eq(end, 4096);
	ck_assert_uint_eq(ext[0].length, 4096);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("extent");
	TCase *tc = tcase_create("extent");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, random_maps);
	tcase_add_test(tc, gap_ends_it);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
