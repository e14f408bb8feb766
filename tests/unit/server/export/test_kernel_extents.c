/* What the kernel has given of a file: pieces put over pieces, against a model of single blocks. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/export/kernel.h"

#define BLOCKS 96u
#define U 4096u

struct block {
	bool known, rw;
	enum iomap_type type;
	uint64_t addr;
};

static struct block model[BLOCKS];

static void
compare(const struct kernel_extents *set)
{
	uint64_t end = 0;
	for (unsigned i = 0; i < set->n; i++) {
		const struct kernel_extent *e = &set->v[i];
		ck_assert_uint_ge(e->offset, end);
		ck_assert_uint_gt(e->length, 0);
		end = e->offset + e->length;
	}
	for (unsigned b = 0; b < BLOCKS; b++) {
		uint64_t next, pos = (uint64_t)b * U;
		const struct kernel_extent *e = kernel_extents_find(set, pos + 17, &next);
		ck_assert_int_eq(e != NULL, model[b].known);
		unsigned later = b + 1;
		while (!e && later < BLOCKS && !model[later].known)
			later++;
		if (!e) {
			ck_assert_uint_eq(next, later == BLOCKS ? UINT64_MAX : (uint64_t)later * U);
			continue;
		}
		ck_assert_int_eq(e->type, model[b].type);
		ck_assert_int_eq(e->rw, model[b].rw);
		ck_assert_uint_eq(e->type == IOMAP_HOLE ? 0 : e->addr + (pos - e->offset), model[b].addr);
	}
}

/* Neighbours that go on are one: a map of many pieces stays short. */
static void
check_merged(const struct kernel_extents *set)
{
	for (unsigned i = 1; i < set->n; i++) {
		const struct kernel_extent *a = &set->v[i - 1], *b = &set->v[i];
		ck_assert(a->type != b->type || a->rw != b->rw || a->offset + a->length != b->offset ||
		    (a->type != IOMAP_HOLE && a->addr + a->length != b->addr));
	}
}

static void
random_put(struct kernel_extents *set)
{
	unsigned from = (unsigned)rand() % BLOCKS, n = 1 + (unsigned)rand() % (rand() % 4 ? 6 : 40);
	if (n > BLOCKS - from)
		n = BLOCKS - from;
	struct kernel_extent e = { .offset = (uint64_t)from * U, .length = (uint64_t)n * U, .rw = rand() % 2,
		.type = (enum iomap_type)(rand() % 3) };
	/* Often where the block before would go on. */
	if (e.type != IOMAP_HOLE)
		e.addr = (uint64_t)(from + (unsigned)(rand() % 3) * 1000) * U;
	kernel_extents_put(set, &e);
	for (unsigned b = from; b < from + n; b++)
		model[b] = (struct block){ true, e.rw, e.type, e.type == IOMAP_HOLE ? 0 : e.addr + (uint64_t)(b - from) * U };
}

START_TEST(against_model)
{
	srand(7);
	for (unsigned round = 0; round < 300; round++) {
		struct kernel_extents set = { 0 };
		memset(model, 0, sizeof model);
		for (unsigned i = 0; i < 60; i++) {
			if (rand() % 5) {
				random_put(&set);
			} else {
				unsigned from = (unsigned)rand() % BLOCKS, to = from + (unsigned)rand() % (BLOCKS + 1 - from);
				kernel_extents_written(&set, (uint64_t)from * U, (uint64_t)to * U);
				for (unsigned b = from; b < to; b++)
					if (model[b].type == IOMAP_UNWRITTEN)
						model[b].type = IOMAP_MAPPED;
			}
			compare(&set);
			check_merged(&set);
		}
		kernel_extents_free(&set);
	}
}
END_TEST

/* A commit of the middle of what was unwritten: three pieces (PITFALLS A3). */
START_TEST(written_in_the_middle)
{
	struct kernel_extents set = { 0 };
	struct kernel_extent e = { .offset = 0, .length = 16 * U, .addr = 100 * U, .type = IOMAP_UNWRITTEN, .rw = true };
	uint64_t next;
	kernel_extents_put(&set, &e);
	kernel_extents_written(&set, 4 * U, 8 * U);
	ck_assert_uint_eq(set.n, 3);
	const struct kernel_extent *m = kernel_extents_find(&set, 4 * U, &next);
	ck_assert_int_eq(m->type, IOMAP_MAPPED);
	ck_assert_uint_eq(m->addr, 104 * U);
	ck_assert_uint_eq(m->length, 4 * U);
	ck_assert_uint_eq(next, 8 * U);
	kernel_extents_written(&set, 0, UINT64_MAX);
	ck_assert_uint_eq(set.n, 1);
	kernel_extents_free(&set);
}
END_TEST

/* It is a cache: past its bound it starts anew, and never grows without end. */
START_TEST(bounded)
{
	struct kernel_extents set = { 0 };
	for (uint64_t i = 0; i < KERNEL_EXTENTS_MAX + 10; i++) {
		struct kernel_extent e = { .offset = i * 2 * U, .length = U, .addr = i * U, .type = IOMAP_MAPPED };
		kernel_extents_put(&set, &e);
		ck_assert_uint_le(set.n, KERNEL_EXTENTS_MAX);
	}
	ck_assert_uint_lt(set.n, 10);
	kernel_extents_free(&set);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("kernel_extents");
	TCase *tc = tcase_create("kernel_extents");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, against_model);
	tcase_add_test(tc, written_in_the_middle);
	tcase_add_test(tc, bounded);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
