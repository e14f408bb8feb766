/* The conflict rule against its definition, block by block. */
#include <check.h>
#include <stdlib.h>

#include "server/layout/conflict.h"

#define BLOCKS 12
#define STEPS 100000

static uint32_t seed = 7;

static uint32_t
rnd(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(seed >> 8) * below >> 24);
}

static struct range
rnd_range(void)
{
	struct range r = { rnd(BLOCKS), 0 };
	r.end = r.start + rnd((uint32_t)(BLOCKS - r.start + 1));
	return r;
}

/* RFC 8154 2.4.7: one writer XOR several readers; what moves blocks wants all of them gone, and who fills a hole must not go on believing in it. */
static bool
block_conflicts(bool read, bool rw, bool hole, bool own, enum layout_need need)
{
	if (need == LAYOUT_NEED_BLOCKS)
		return read || rw;
	if (own)
		return need == LAYOUT_NEED_WRITE && hole;
	return need == LAYOUT_NEED_READ ? rw : read || rw;
}

START_TEST(holdings)
{
	for (int step = 0; step < STEPS; step++) {
		struct holding h = { 0 };
		bool read[BLOCKS] = { false }, rw[BLOCKS] = { false }, hole[BLOCKS] = { false };
		for (unsigned i = rnd(3); i; i--) {
			bool w = rnd(2);
			struct range r = rnd_range();
			ck_assert_int_eq(ranges_add(w ? &h.rw : &h.read, r), 0);
			for (uint64_t b = r.start; b < r.end; b++)
				(w ? rw : read)[b] = true;
			if (w || !rnd(2))
				continue;
			r.end -= rnd((uint32_t)(r.end - r.start + 1));
			ck_assert_int_eq(ranges_add(&h.holes, r), 0);
			for (uint64_t b = r.start; b < r.end; b++)
				hole[b] = true;
		}
		bool own = rnd(2);
		enum layout_need need = (enum layout_need)rnd(4);
		struct range r = rnd_range();
		uint64_t expect = r.start;
		while (expect < r.end && !block_conflicts(read[expect], rw[expect], hole[expect], own, need))
			expect++;
		ck_assert_uint_eq(conflict_first(&h, own, need, r), expect);
		/* What is recalled: the range, and all of a hole that it has a part of. */
		struct range want = r, got = conflict_recall(&h, own, need, r);
		if (own && need == LAYOUT_NEED_WRITE && !range_empty(r)) {
			while (want.start && hole[want.start] && hole[want.start - 1])
				want.start--;
			while (want.end < BLOCKS && hole[want.end] && hole[want.end - 1])
				want.end++;
		}
		ck_assert(got.start == want.start && got.end == want.end);
		ranges_free(&h.holes);
		ranges_free(&h.read);
		ranges_free(&h.rw);
	}
}
END_TEST

/* Who was refused first is not passed over; his own client may go on, but not against its own waiting truncate. */
START_TEST(wants)
{
	for (int step = 0; step < STEPS; step++) {
		struct want w = { .owner = rnd(3), .need = (enum layout_need)rnd(4), .range = rnd_range(), .met = rnd(2) };
		uint64_t client = 1 + rnd(2);
		enum layout_need need = rnd(2) ? LAYOUT_NEED_READ : LAYOUT_NEED_RW;
		struct range r = rnd_range();
		bool own = w.owner == client;
		bool blocked;
		if (w.need == LAYOUT_NEED_BLOCKS)
			blocked = !(own && w.met);
		else
			/* Given, it would conflict with what is waited for; a READ grant may always be of a hole. */
			blocked = block_conflicts(need == LAYOUT_NEED_READ, need == LAYOUT_NEED_RW, need == LAYOUT_NEED_READ, own, w.need);
		uint64_t expect = r.start;
		while (expect < r.end && !(blocked && expect >= w.range.start && expect < w.range.end))
			expect++;
		ck_assert_uint_eq(conflict_want_first(&w, client, need, r), expect);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("conflict");
	TCase *tc = tcase_create("conflict");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, holdings);
	tcase_add_test(tc, wants);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
