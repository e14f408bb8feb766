/* layout_map.c against a model of single blocks: random grants, returns, recalls, writes, pins. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "client/layout_map.h"

#define BLOCKS 96u
#define B 4096u
#define ROUNDS 20000

struct cell {
	bool held, rw;
	enum extent_state state;
	uint64_t addr;
	uint8_t device;
};

static struct cell model[BLOCKS];
static struct layout_map map;

static unsigned
pick(unsigned n)
{
	return (unsigned)rand() % n;
}

static void
grant(void)
{
	bool rw = pick(2);
	struct layout_extent ext[8];
	uint32_t n = 0;
	unsigned at = pick(BLOCKS);
	while (n < 8 && at < BLOCKS && pick(6)) {
		unsigned len = 1 + pick(10);
		if (len > BLOCKS - at)
			len = BLOCKS - at;
		struct layout_extent *e = &ext[n++];
		memset(e, 0, sizeof *e);
		e->device[0] = (uint8_t)pick(2);
		e->offset = (uint64_t)at * B;
		e->length = (uint64_t)len * B;
		e->state = rw ? (pick(2) ? EXTENT_READ_WRITE : EXTENT_INVALID) : pick(2) ? EXTENT_READ : EXTENT_NONE;
		e->addr = e->state == EXTENT_NONE ? 0 : (uint64_t)(at + pick(2) * 1000) * B;
		for (unsigned i = 0; i < len; i++) {
			struct cell *c = &model[at + i];
			if (!rw && c->held && c->rw)
				continue;
			*c = (struct cell){ .held = true, .rw = rw, .state = e->state, .device = e->device[0],
				.addr = e->state == EXTENT_NONE ? 0 : e->addr + (uint64_t)i * B };
		}
		at += len + pick(3);
	}
	ck_assert_int_eq(layout_map_insert(&map, ext, n, rw), 0);
}

static void
take(void)
{
	unsigned from = pick(BLOCKS), to = pick(4) ? from + pick(20) : BLOCKS;
	enum layout_which which = (enum layout_which)pick(3);
	if (to > BLOCKS)
		to = BLOCKS;
	ck_assert_int_eq(layout_map_remove(&map, (uint64_t)from * B, to == BLOCKS ? UINT64_MAX : (uint64_t)to * B, which), 0);
	for (unsigned i = from; i < to; i++)
		if (which == LAYOUT_ANY || (which == LAYOUT_RW_ONLY) == model[i].rw)
			model[i].held = model[i].held && false;
}

static void
written(void)
{
	unsigned from = pick(BLOCKS), to = from + 1 + pick(12);
	bool any = false;
	if (to > BLOCKS)
		to = BLOCKS;
	for (unsigned i = from; i < to; i++)
		if (model[i].held && model[i].state == EXTENT_INVALID) {
			model[i].state = EXTENT_READ_WRITE;
			any = true;
		}
	ck_assert_int_eq(layout_map_written(&map, (uint64_t)from * B, (uint64_t)to * B), any);
}

static bool
usable(void *arg, const uint8_t *device)
{
	return device[0] != *(uint8_t *)arg;
}

/* The view, block by block; through it also that extents are in order and disjoint. */
static void
compare(bool *blocked, int dead)
{
	struct layout_extent out[BLOCKS];
	unsigned from = pick(BLOCKS), to = from + 1 + pick(BLOCKS - from);
	uint64_t at = (uint64_t)from * B, end = (uint64_t)to * B;
	uint8_t device = (uint8_t)dead;
	while (at < end) {
		uint64_t stop, last = 0;
		uint32_t max = 1 + pick(6), n = layout_map_view(&map, at, end, dead < 0 ? NULL : usable, &device, out, max, &stop);
		ck_assert_uint_le(n, max);
		ck_assert_uint_gt(stop, at);
		for (uint32_t i = 0; i < n; i++) {
			ck_assert_uint_ge(out[i].offset, last);
			last = out[i].offset + out[i].length;
		}
		for (uint64_t b = at / B; b < (stop < end ? stop : end) / B; b++) {
			const struct layout_extent *hit = NULL;
			for (uint32_t i = 0; i < n; i++)
				if (out[i].offset <= b * B && b * B < out[i].offset + out[i].length)
					hit = &out[i];
			const struct cell *c = &model[b];
			bool there = c->held && !blocked[b] && (dead < 0 || c->state == EXTENT_NONE || c->device != device);
			ck_assert_msg((hit != NULL) == there, "block %u", (unsigned)b);
			if (!hit)
				continue;
			ck_assert_int_eq(hit->state, c->state);
			if (c->state != EXTENT_NONE)
				ck_assert_uint_eq(hit->addr + (b * B - hit->offset), c->addr);
		}
		at = stop;
	}
	for (unsigned b = 0; b < BLOCKS; b++) {
		const struct map_extent *e = layout_map_find(&map, (uint64_t)b * B);
		ck_assert_int_eq(e != NULL, model[b].held);
		if (e)
			ck_assert_int_eq(e->rw, model[b].rw);
	}
}

/* A plan made for the first block of a range is good for all of it, or not: block by block. */
static void
plans(void)
{
	static const enum layout_pin_kind kinds[] = { PIN_READ, PIN_WRITE, PIN_RMW };
	unsigned from = pick(BLOCKS), to = from + 1 + pick(4);
	enum layout_pin_kind kind = kinds[pick(3)];
	uint8_t device[16] = { model[from].device };
	uint64_t addr = model[from].addr + (pick(8) ? 0 : B);
	bool good = to <= BLOCKS;
	for (unsigned i = from; good && i < to; i++) {
		const struct cell *c = &model[i];
		good = c->held && c->state != EXTENT_NONE && c->device == device[0] && c->addr == addr + (uint64_t)(i - from) * B &&
		    (kind == PIN_READ ? c->state != EXTENT_INVALID :
		     c->rw && (c->state == EXTENT_READ_WRITE || kind == PIN_WRITE));
	}
	ck_assert_int_eq(layout_map_holds(&map, (uint64_t)from * B, (uint64_t)to * B, device, addr, kind), good);
}

START_TEST(random_against_model)
{
	struct layout_block blocks[3];
	bool on[3] = { false };
	srand(7);
	memset(model, 0, sizeof model);
	layout_map_init(&map);
	for (unsigned round = 0; round < ROUNDS; round++) {
		bool blocked[BLOCKS] = { false };
		switch (pick(8)) {
		case 0: case 1: case 2:
			grant();
			break;
		case 3:
			take();
			break;
		case 4: case 5:
			written();
			break;
		default: {
			unsigned i = pick(3);
			if (on[i]) {
				layout_map_unblock(&map, &blocks[i]);
			} else {
				blocks[i].offset = (uint64_t)pick(BLOCKS) * B;
				blocks[i].end = pick(5) ? blocks[i].offset + (1 + pick(20)) * (uint64_t)B : UINT64_MAX;
				layout_map_block(&map, &blocks[i]);
			}
			on[i] = !on[i];
		}
		}
		for (unsigned i = 0; i < 3; i++)
			for (unsigned b = 0; on[i] && b < BLOCKS; b++)
				blocked[b] |= blocks[i].offset <= (uint64_t)b * B && (uint64_t)b * B < blocks[i].end;
		compare(blocked, (int)pick(3) - 1);
		for (unsigned i = 0; i < 8; i++)
			plans();
		for (unsigned b = 0; b < BLOCKS; b++)
			ck_assert_int_eq(layout_map_blocked(&map, (uint64_t)b * B, (uint64_t)(b + 1) * B), blocked[b]);
	}
	layout_map_free(&map);
}
END_TEST

START_TEST(pins)
{
	struct layout_pin rmw = { .offset = B, .end = 2 * B, .kind = PIN_RMW };
	struct layout_pin write = { .offset = 4 * B, .end = 8 * B, .kind = PIN_WRITE };
	struct layout_pin mds = { .offset = 10 * B, .end = 11 * B, .kind = PIN_MDS_WRITE };
	layout_map_init(&map);
	layout_map_pin(&map, &rmw);
	layout_map_pin(&map, &write);
	layout_map_pin(&map, &mds);
	/* A recall waits for what is on the device, not for what the server does. */
	ck_assert(layout_map_pinned(&map, 0, UINT64_MAX));
	ck_assert(!layout_map_pinned(&map, 2 * B, 4 * B));
	ck_assert(!layout_map_pinned(&map, 9 * B, 20 * B));
	/* Nothing that writes stands beside a read-modify-write of the same block. */
	ck_assert(!layout_map_may(&map, B, 2 * B, PIN_RMW));
	ck_assert(!layout_map_may(&map, 0, 4 * B, PIN_WRITE));
	ck_assert(!layout_map_may(&map, B, 2 * B, PIN_MDS_WRITE));
	ck_assert(layout_map_may(&map, B, 2 * B, PIN_READ));
	ck_assert(!layout_map_may(&map, 5 * B, 6 * B, PIN_RMW));
	ck_assert(!layout_map_may(&map, 10 * B, 11 * B, PIN_RMW));
	ck_assert(layout_map_may(&map, 5 * B, 6 * B, PIN_WRITE));
	ck_assert(layout_map_may(&map, 2 * B, 3 * B, PIN_RMW));
	layout_map_unpin(&map, &rmw);
	ck_assert(layout_map_may(&map, B, 2 * B, PIN_RMW));
	ck_assert(!layout_map_pinned(&map, 0, 4 * B));
	layout_map_free(&map);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("layout_map");
	TCase *t = tcase_create("all");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, random_against_model);
	tcase_add_test(t, pins);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
