/* topology.c: every address of a volume against addresses worked out the other way round. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "client/topology.h"

#define KIB 1024u

static struct bdev lun[3] = {
	{ .size = 64 * KIB }, { .size = 64 * KIB }, { .size = 70 * KIB },
};

static struct topology *
build(const struct volume *vol, uint32_t n)
{
	struct topology *topo = topology_new(vol, n);
	ck_assert_ptr_nonnull(topo);
	unsigned leaf = 0;
	for (uint32_t i = 0; i < n; i++)
		if (vol[i].type == VOLUME_SIMPLE || vol[i].type == VOLUME_BASE)
			topo->nodes[i].bdev = &lun[leaf++];
	ck_assert_int_eq(topology_finish(topo), 0);
	return topo;
}

static void
expect(const struct topology *topo, uint64_t addr, unsigned want_lun, uint64_t want_offset)
{
	struct bdev *bdev;
	uint64_t offset, run;
	ck_assert(topology_map(topo, addr, &bdev, &offset, &run));
	ck_assert_ptr_eq(bdev, &lun[want_lun]);
	ck_assert_uint_eq(offset, want_offset);
	ck_assert_uint_ge(run, 1);
	/* the whole run is contiguous: its last byte is where it should be */
	struct bdev *last;
	uint64_t last_offset, last_run;
	ck_assert(topology_map(topo, addr + run - 1, &last, &last_offset, &last_run));
	ck_assert_ptr_eq(last, bdev);
	ck_assert_uint_eq(last_offset, offset + run - 1);
}

static void
expect_end(const struct topology *topo, uint64_t size)
{
	struct bdev *bdev;
	uint64_t offset, run;
	ck_assert_uint_eq(topology_size(topo), size);
	ck_assert(!topology_map(topo, size, &bdev, &offset, &run));
	ck_assert(!topology_map(topo, UINT64_MAX, &bdev, &offset, &run));
}

START_TEST(simple)
{
	struct volume vol = { .type = VOLUME_BASE, .base.pr_key = 77 };
	struct topology *topo = build(&vol, 1);
	for (uint64_t a = 0; a < 64 * KIB; a += 512)
		expect(topo, a, 0, a);
	expect_end(topo, 64 * KIB);
	struct bdev *bdev[2];
	uint64_t key[2];
	ck_assert_uint_eq(topology_devices(topo, bdev, key, 2), 1);
	ck_assert_uint_eq(key[0], 77);
	topology_free(topo);
}
END_TEST

START_TEST(concat_of_slice)
{
	uint32_t parts[] = { 2, 1 };
	struct volume vol[] = {
		{ .type = VOLUME_SIMPLE }, { .type = VOLUME_SIMPLE },
		{ .type = VOLUME_SLICE, .slice = { .start = 8 * KIB, .length = 16 * KIB, .volume = 0 } },
		{ .type = VOLUME_CONCAT, .concat = { 2, parts } },
	};
	struct topology *topo = build(vol, 4);
	for (uint64_t a = 0; a < 80 * KIB; a += 512)
		expect(topo, a, a < 16 * KIB ? 0 : 1, a < 16 * KIB ? a + 8 * KIB : a - 16 * KIB);
	expect_end(topo, 80 * KIB);
	topology_free(topo);
}
END_TEST

/* Three LUNs, the third larger: what is past the smallest is not used (RFC 5663 2.2.2: MUST be the same size). */
START_TEST(stripe)
{
	uint32_t parts[] = { 0, 1, 2 };
	struct volume vol[] = {
		{ .type = VOLUME_SIMPLE }, { .type = VOLUME_SIMPLE }, { .type = VOLUME_SIMPLE },
		{ .type = VOLUME_STRIPE, .stripe = { 4 * KIB, 3, parts } },
	};
	struct topology *topo = build(vol, 4);
	for (unsigned l = 0; l < 3; l++)
		for (uint64_t o = 0; o < 64 * KIB; o += 512) {
			uint64_t chunk = o / (4 * KIB);
			expect(topo, (chunk * 3 + l) * 4 * KIB + o % (4 * KIB), l, o);
		}
	expect_end(topo, 192 * KIB);
	topology_free(topo);
}
END_TEST

START_TEST(refused)
{
	uint32_t self[] = { 1 }, later[] = { 2 };
	struct volume vol[] = {
		{ .type = VOLUME_SIMPLE }, { .type = VOLUME_CONCAT, .concat = { 1, self } }, { .type = VOLUME_SIMPLE },
	};
	ck_assert_ptr_null(topology_new(vol, 3));
	vol[1].concat.volumes = later;
	ck_assert_ptr_null(topology_new(vol, 3));
	struct volume slice[] = {
		{ .type = VOLUME_SIMPLE },
		{ .type = VOLUME_SLICE, .slice = { .start = 60 * KIB, .length = 5 * KIB, .volume = 0 } },
	};
	struct topology *topo = topology_new(slice, 2);
	topo->nodes[0].bdev = &lun[0];
	ck_assert_int_eq(topology_finish(topo), -EINVAL);
	topology_free(topo);
	struct volume zero_unit[] = {
		{ .type = VOLUME_SIMPLE }, { .type = VOLUME_STRIPE, .stripe = { 0, 1, (uint32_t[]){ 0 } } },
	};
	topo = topology_new(zero_unit, 2);
	topo->nodes[0].bdev = &lun[0];
	ck_assert_int_eq(topology_finish(topo), -EINVAL);
	topology_free(topo);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("topology");
	TCase *tc = tcase_create("topology");
	tcase_add_test(tc, simple);
	tcase_add_test(tc, concat_of_slice);
	tcase_add_test(tc, stripe);
	tcase_add_test(tc, refused);
	suite_add_tcase(suite, tc);
	SRunner *sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
