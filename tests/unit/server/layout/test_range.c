/* Sets of ranges against a model of one bool per block. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "server/layout/range.h"

#define BLOCKS 48
#define BLOCK 4096ull

static uint32_t seed = 1;

static uint32_t
rnd(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(seed >> 8) * below >> 24);
}

/* The last block of the model stands for all there is behind it. */
static uint64_t
pos(unsigned block)
{
	return block == BLOCKS ? UINT64_MAX : block * BLOCK;
}

static struct range
rnd_range(unsigned *from, unsigned *to)
{
	*from = rnd(BLOCKS);
	*to = *from + rnd(BLOCKS - *from + 1);
	return (struct range){ pos(*from), pos(*to) };
}

static void
check_same(const struct ranges *set, const bool *model)
{
	uint32_t i = 0;

	for (unsigned b = 0; b < BLOCKS;) {
		if (!model[b]) {
			b++;
			continue;
		}
		unsigned e = b;
		while (e < BLOCKS && model[e])
			e++;
		ck_assert_uint_lt(i, set->n);
		ck_assert_uint_eq(set->v[i].start, pos(b));
		ck_assert_uint_eq(set->v[i].end, pos(e));
		i++;
		b = e;
	}
	ck_assert_uint_eq(i, set->n);
}

static void
check_queries(const struct ranges *set, const bool *model)
{
	unsigned from, to;
	struct range r = rnd_range(&from, &to);
	bool any = false, all = true;
	unsigned first = to;

	for (unsigned b = to; b-- > from;) {
		any |= model[b];
		all &= model[b];
		if (model[b])
			first = b;
	}
	ck_assert_int_eq(ranges_overlap(set, r), any);
	ck_assert_int_eq(ranges_cover(set, r), all);
	ck_assert_uint_eq(ranges_first(set, r), pos(first));
	unsigned at = rnd(BLOCKS), reach = at;
	while (reach < BLOCKS && model[reach])
		reach++;
	ck_assert_uint_eq(ranges_reach(set, pos(at)), pos(reach));
	struct range grown = ranges_grow(set, r);
	if (to > from) {
		for (; model[from] && from && model[from - 1]; from--)
			;
		for (; model[to - 1] && to < BLOCKS && model[to]; to++)
			;
		ck_assert_uint_eq(grown.start, pos(from));
		ck_assert_uint_eq(grown.end, pos(to));
	} else {
		ck_assert(range_empty(grown));
	}
}

START_TEST(random_steps)
{
	struct ranges set = { 0 };
	bool model[BLOCKS] = { false };

	for (int step = 0; step < 100000; step++) {
		unsigned from, to;
		struct range r = rnd_range(&from, &to);
		bool add = rnd(2);
		if (rnd(2) && to > from + 3) {		/* mostly short ones, for many pieces */
			to = from + 3;
			r.end = pos(to);
		}
		ck_assert_int_eq(add ? ranges_add(&set, r) : ranges_sub(&set, r), 0);
		for (unsigned b = from; b < to; b++)
			model[b] = add;
		check_same(&set, model);
		check_queries(&set, model);
	}
	ranges_free(&set);
	ck_assert_ptr_null(set.v);
}
END_TEST

/* PITFALLS A13: hold 0 to 1 MiB, return the middle; each third then stands for itself. */
START_TEST(middle_third)
{
	struct ranges set = { 0 };

	ck_assert_int_eq(ranges_add(&set, (struct range){ 0, 1 << 20 }), 0);
	ck_assert_int_eq(ranges_sub(&set, (struct range){ 256 << 10, 512 << 10 }), 0);
	ck_assert_uint_eq(set.n, 2);
	ck_assert(ranges_overlap(&set, (struct range){ 0, 1 }));
	ck_assert(ranges_overlap(&set, (struct range){ (256 << 10) - 1, 256 << 10 }));
	ck_assert(!ranges_overlap(&set, (struct range){ 256 << 10, 512 << 10 }));
	ck_assert(ranges_overlap(&set, (struct range){ 512 << 10, (512 << 10) + 1 }));
	ck_assert(!ranges_overlap(&set, (struct range){ 1 << 20, UINT64_MAX }));
	ranges_free(&set);
}
END_TEST

START_TEST(pieces_are_bounded)
{
	struct ranges set = { 0 };
	uint64_t end = RANGES_MAX * 2ull * BLOCK;

	ck_assert_int_eq(ranges_add(&set, (struct range){ 0, end }), 0);
	unsigned holes = 0;
	for (uint64_t at = BLOCK; at + BLOCK < end; at += 2 * BLOCK, holes++)
		if (ranges_sub(&set, (struct range){ at, at + BLOCK }) == -E2BIG)
			break;
	ck_assert_uint_eq(set.n, RANGES_MAX);
	ck_assert_uint_eq(holes, RANGES_MAX - 1);
	/* Refused means unchanged; ends can always be taken off, and merging always goes. */
	ck_assert_uint_eq(set.v[set.n - 1].end, end);
	ck_assert_int_eq(ranges_sub(&set, (struct range){ end - BLOCK, end }), 0);
	ck_assert_int_eq(ranges_add(&set, (struct range){ 0, end }), 0);
	ck_assert_uint_eq(set.n, 1);
	ck_assert_int_eq(ranges_sub(&set, RANGE_ALL), 0);
	ck_assert_uint_eq(set.n, 0);
	ranges_free(&set);
}
END_TEST

START_TEST(making_and_aligning)
{
	struct range r = range_make(UINT64_MAX - 5, 10);
	ck_assert_uint_eq(r.end, UINT64_MAX);
	r = range_make(100, UINT64_MAX);
	ck_assert_uint_eq(r.end, UINT64_MAX);
	r = range_align_out((struct range){ 5000, 8193 }, 4096);
	ck_assert_uint_eq(r.start, 4096);
	ck_assert_uint_eq(r.end, 12288);
	r = range_align_out((struct range){ 1, UINT64_MAX - 1 }, 4096);
	ck_assert_uint_eq(r.start, 0);
	ck_assert_uint_eq(r.end, UINT64_MAX);
	r = range_align_in((struct range){ 5000, 12287 }, 4096);
	ck_assert(range_empty(r));
	r = range_align_in((struct range){ 4097, UINT64_MAX }, 4096);
	ck_assert_uint_eq(r.start, 8192);
	ck_assert_uint_eq(r.end, UINT64_MAX);
	r = range_align_in((struct range){ UINT64_MAX - 3, UINT64_MAX }, 4096);
	ck_assert(range_empty(r));
	struct ranges set = { 0 };
	ck_assert_int_eq(ranges_add(&set, r), 0);
	ck_assert_uint_eq(set.n, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("range");
	TCase *tc = tcase_create("range");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, random_steps);
	tcase_add_test(tc, middle_third);
	tcase_add_test(tc, pieces_are_bounded);
	tcase_add_test(tc, making_and_aligning);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
