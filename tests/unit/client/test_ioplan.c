/* ioplan.c against a model that knows each 512 bytes by themselves. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "client/ioplan.h"

#define BLOCKS 64u
#define UNIT 512u
#define UNITS (BLOCKS * IO_BLOCK / UNIT)
#define STEPS 256

static uint8_t device[NFS4_DEVICEID4_SIZE] = "the device";

/* A random set of disjoint extents; per_block tells which holds a block (-1: none). */
static uint32_t
random_extents(struct layout_extent *ext, int *per_block)
{
	uint32_t n = 0;
	unsigned b = 0;
	for (unsigned i = 0; i < BLOCKS; i++)
		per_block[i] = -1;
	while (b < BLOCKS) {
		unsigned len = 1 + (unsigned)rand() % 8;
		if (len > BLOCKS - b)
			len = BLOCKS - b;
		if (rand() % 3) {
			struct layout_extent *e = &ext[n];
			memcpy(e->device, device, sizeof device);
			e->offset = (uint64_t)b * IO_BLOCK;
			e->length = (uint64_t)len * IO_BLOCK;
			e->state = (enum extent_state)(rand() % 4);
			e->addr = e->state == EXTENT_NONE ? 0 : (1000 + (uint64_t)rand() % 1000) * IO_BLOCK;
			for (unsigned i = b; i < b + len; i++)
				per_block[i] = (int)n;
			n++;
		}
		b += len;
	}
	return n;
}

/* What the rules of ioplan.h say of the 512 bytes at AT, in a request [offset, end). */
static enum ioplan_kind
model(const struct ioplan_in *in, const int *per_block, uint64_t at)
{
	uint64_t block = at / IO_BLOCK * IO_BLOCK, end = in->offset + in->length;
	uint64_t limit = in->size / IO_BLOCK * IO_BLOCK;
	if (in->write && !in->grow && at >= limit)
		return IOPLAN_MDS;
	int e = per_block[block / IO_BLOCK];
	const struct layout_extent *ext = e < 0 ? NULL : &in->ext[e];
	if (ext && in->write && ext->state != EXTENT_READ_WRITE && ext->state != EXTENT_INVALID)
		ext = NULL;
	if (!ext)
		return in->no_layout ? IOPLAN_MDS : IOPLAN_NEED;
	if (!in->write)
		return ext->state == EXTENT_NONE || ext->state == EXTENT_INVALID ? IOPLAN_ZERO : IOPLAN_DIRECT;
	if (in->offset <= block && end >= block + IO_BLOCK)
		return IOPLAN_DIRECT;
	return ext->state == EXTENT_READ_WRITE ? IOPLAN_RMW : IOPLAN_MDS;
}

static void
check_step(const struct ioplan_in *in, const int *per_block, const struct ioplan_step *s)
{
	ck_assert_uint_gt(s->length, 0);
	uint64_t block = s->offset / IO_BLOCK * IO_BLOCK;
	for (uint64_t at = s->offset; at < s->offset + s->length; at += UNIT)
		ck_assert_int_eq(s->kind, model(in, per_block, at));
	if (s->kind != IOPLAN_DIRECT && s->kind != IOPLAN_RMW)
		return;
	const struct layout_extent *ext = &in->ext[per_block[block / IO_BLOCK]];
	ck_assert_mem_eq(s->device, device, sizeof device);
	ck_assert_uint_ge(s->offset, ext->offset);
	ck_assert_uint_le(s->offset + s->length, ext->offset + ext->length);
	uint64_t from = s->kind == IOPLAN_RMW ? block : s->offset;
	ck_assert_uint_eq(s->addr, ext->addr + (from - ext->offset));
	if (s->kind == IOPLAN_RMW)
		ck_assert_uint_le(s->offset + s->length, block + IO_BLOCK);
	else if (in->write)
		ck_assert_uint_eq(s->offset % IO_BLOCK + s->length % IO_BLOCK, 0);
}

START_TEST(against_model)
{
	srand(20261122);
	unsigned kinds[5] = { 0 };
	for (int round = 0; round < 20000; round++) {
		struct layout_extent ext[BLOCKS];
		int per_block[BLOCKS];
		struct ioplan_step steps[STEPS];
		struct ioplan_in in = { .ext = ext, .write = rand() % 2, .grow = rand() % 2,
			.no_layout = rand() % 3 ? REASON_NONE : REASON_NO_DEVICE, .block_size = UNIT };
		in.next = random_extents(ext, per_block);
		uint64_t a = (uint64_t)rand() % UNITS, b = (uint64_t)rand() % UNITS;
		in.offset = (a < b ? a : b) * UNIT;
		in.length = ((a < b ? b - a : a - b) + 1) * UNIT;
		in.size = (uint64_t)rand() % (UNITS * UNIT + 1);
		unsigned max = rand() % 4 ? STEPS : 1 + (unsigned)rand() % 3;
		unsigned n = ioplan_make(&in, steps, max);
		ck_assert_uint_ge(n, 1);
		ck_assert_uint_le(n, max);
		uint64_t at = in.offset;
		for (unsigned i = 0; i < n; i++) {
			ck_assert_uint_eq(steps[i].offset, at);
			at += steps[i].length;
			check_step(&in, per_block, &steps[i]);
			kinds[steps[i].kind]++;
		}
		if (n < max)
			ck_assert_uint_eq(at, in.offset + in.length);
		ck_assert_uint_le(at, in.offset + in.length);
	}
	for (int k = 0; k < 5; k++)	/* else the test proved nothing */
		ck_assert_uint_gt(kinds[k], 1000);
}
END_TEST

/* Reasons: the tail of a file is eof-block, an edge in unwritten space unaligned. */
START_TEST(reasons)
{
	struct layout_extent ext = { .offset = 0, .length = 2 * IO_BLOCK, .addr = IO_BLOCK, .state = EXTENT_INVALID };
	struct ioplan_in in = { .write = true, .offset = 100, .length = 2 * IO_BLOCK, .size = 2 * IO_BLOCK + 50,
		.ext = &ext, .next = 1, .block_size = 512 };
	struct ioplan_step s[8];
	ck_assert_uint_eq(ioplan_make(&in, s, 8), 3);
	ck_assert_int_eq(s[0].kind, IOPLAN_MDS);
	ck_assert_int_eq(s[0].reason, REASON_UNALIGNED);
	ck_assert_uint_eq(s[0].length, IO_BLOCK - 100);
	ck_assert_int_eq(s[1].kind, IOPLAN_DIRECT);
	ck_assert_uint_eq(s[1].addr, 2 * IO_BLOCK);
	ck_assert_int_eq(s[2].kind, IOPLAN_MDS);
	ck_assert_int_eq(s[2].reason, REASON_EOF_BLOCK);
	ck_assert_uint_eq(s[2].length, 100);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ioplan");
	TCase *tc = tcase_create("ioplan");
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, against_model);
	tcase_add_test(tc, reasons);
	suite_add_tcase(suite, tc);
	SRunner *sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
