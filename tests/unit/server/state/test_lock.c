/* Byte-range locks against a model with a word per byte. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/state/file.h"
#include "server/state/lock.h"
#include "tests/unit/server/state/fake_state.h"

#define BYTES 64
#define OWNERS 4
#define OPENS 3

static struct mds mds;
static struct client client[2];
static struct inode *file;
static struct open_state *open_of[OPENS];	/* 0 and 1 of client 0, 2 of client 1 */
static struct lock_state *state_of[OPENS][OWNERS];

/* Who holds each byte how: owners 0, 1 of client 0 (through either open), 2, 3 of client 1. */
static struct { enum lock_mode mode; int open; } byte[OWNERS][BYTES];

static void
setup(void)
{
	fake_mds_init(&mds);
	fake_client_init(&client[0], 11);
	fake_client_init(&client[1], 12);
	file = fake_inode_new(S_IFREG);
	for (unsigned i = 0; i < OPENS; i++) {
		struct open_ask ask = { .owner = &"ab"[i & 1], .owner_len = 1, .access = 3 };
		struct open_undo undo;
		stateid4 sid;
		ck_assert_int_eq(open_add_locked(&mds, &client[i / 2], file, &ask, &undo, &sid), NFS4_OK);
		open_of[i] = undo.open;
	}
	memset(state_of, 0, sizeof state_of);
	memset(byte, 0, sizeof byte);
}

static void
teardown(void)
{
	fake_client_release(&mds, &client[0]);
	fake_client_release(&mds, &client[1]);
	fake_mds_end(&mds);
	fake_inode_free(file);
}

/* Owners 0 and 2 have the same name, as 1 and 3 have. */
static void
ask_owner(struct lock_ask *ask, unsigned owner)
{
	ask->owner = owner & 1 ? "y" : "x";
	ask->owner_len = 1;
}

static bool
model_conflict(unsigned owner, bool write, unsigned start, unsigned end)
{
	for (unsigned o = 0; o < OWNERS; o++)
		for (unsigned b = start; o != owner && b <= end; b++)
			if (byte[o][b].mode == LOCK_WRITE || (write && byte[o][b].mode != LOCK_NONE))
				return true;
	return false;
}

static void
denied_check(const struct lock_range *r, unsigned owner, bool write, unsigned start, unsigned end)
{
	ck_assert_ptr_nonnull(r);
	unsigned c = r->state->obj.client == &client[1];
	unsigned o = 2 * c + (r->state->owner->data[1] == 'y');
	ck_assert_uint_ne(o, owner);
	ck_assert(r->start <= end && r->end >= start && (write || r->write));
	for (uint64_t b = r->start; b <= r->end; b++)
		ck_assert_int_eq(byte[o][b].mode, r->write ? LOCK_WRITE : LOCK_READ);
}

static void
step_lock(unsigned owner, unsigned op, bool write, unsigned start, unsigned end)
{
	struct lock_ask ask = { .start = start, .end = end, .write = write };
	struct lock_state *state = fake_random(2) ? state_of[op][owner] : NULL;
	const struct lock_range *denied;
	stateid4 sid;

	ask_owner(&ask, owner);
	bool conflict = model_conflict(owner, write, start, end);
	nfsstat4 test = lock_test_locked(&mds, file, &client[owner / 2], &ask, &denied);
	ck_assert_int_eq(test, conflict ? NFS4ERR_DENIED : NFS4_OK);
	uint32_t seqid = state_of[op][owner] ? state_of[op][owner]->obj.seqid : 0;
	nfsstat4 status = lock_set_locked(&mds, open_of[op], state, &ask, &sid, &denied);
	ck_assert_int_eq(status, conflict ? NFS4ERR_DENIED : NFS4_OK);
	if (conflict) {
		denied_check(denied, owner, write, start, end);
		return;
	}
	ck_assert_uint_eq(sid.seqid, seqid + 1);
	state = (struct lock_state *)state_lookup_locked(&mds, &client[owner / 2], &sid);
	ck_assert_ptr_nonnull(state);
	ck_assert(!state_of[op][owner] || state_of[op][owner] == state);
	state_of[op][owner] = state;
	for (unsigned b = start; b <= end; b++) {
		byte[owner][b].mode = write ? LOCK_WRITE : LOCK_READ;
		byte[owner][b].open = (int)op;
	}
}

static void
step_unlock(unsigned owner, unsigned op, unsigned start, unsigned end)
{
	struct lock_state *state = state_of[op][owner];
	stateid4 sid;

	if (!state)
		return;
	uint32_t seqid = state->obj.seqid;
	ck_assert_int_eq(lock_unset_locked(&mds, state, start, end, &sid), NFS4_OK);
	ck_assert_uint_eq(sid.seqid, seqid + 1);
	for (unsigned b = start; b <= end; b++)
		byte[owner][b].mode = LOCK_NONE;
}

/* One ck_assert costs a write to a pipe: they are for whole steps. */
static bool
range_ok(const struct lock_range *r, unsigned o)
{
	bool ok = r->end >= r->start && r->end < BYTES;

	for (uint64_t b = r->start; ok && b <= r->end; b++)
		ok = byte[o][b].mode == (r->write ? LOCK_WRITE : LOCK_READ) &&
		    r->state->open == open_of[byte[o][b].open];
	return ok;
}

static bool
states_ok(void)
{
	bool ok = true;

	for (unsigned i = 0; i < OPENS; i++)
		for (unsigned o = 0; o < OWNERS; o++) {
			bool held = false;
			for (unsigned b = 0; b < BYTES; b++)
				held |= byte[o][b].mode != LOCK_NONE && byte[o][b].open == (int)i;
			ok &= !state_of[i][o] || lock_held_locked(state_of[i][o]) == held;
		}
	return ok;
}

/* The list says the same as the bytes, is sorted, and has no two that could be one. */
static bool
list_ok(void)
{
	unsigned seen = 0, want = 0, count[2] = { 0 };
	const struct lock_range *r, *last_of[OWNERS] = { 0 };
	uint64_t last = 0;
	bool ok = states_ok();

	TAILQ_FOREACH(r, &file->state->locks, of_file) {
		unsigned c = r->state->obj.client == &client[1];
		unsigned o = 2 * c + (r->state->owner->data[1] == 'y');
		const struct lock_range *p = last_of[o];
		ok &= r->start >= last && range_ok(r, o) && (!p || r->start > p->end) &&
		    (!p || r->start > p->end + 1 || p->write != r->write || p->state != r->state);
		last = r->start;
		last_of[o] = r;
		seen += (unsigned)(r->end - r->start + 1);
		count[c]++;
	}
	for (unsigned o = 0; o < OWNERS; o++)
		for (unsigned b = 0; b < BYTES; b++)
			want += byte[o][b].mode != LOCK_NONE;
	return ok && seen == want && client[0].nranges == count[0] && client[1].nranges == count[1];
}

START_TEST(random_against_model)
{
	for (unsigned step = 0; step < 100000; step++) {
		unsigned owner = fake_random(OWNERS);
		unsigned op = owner < 2 ? fake_random(2) : 2;
		unsigned start = fake_random(BYTES), end = start + fake_random(fake_random(4) ? 8 : BYTES);
		if (end >= BYTES)
			end = BYTES - 1;
		if (fake_random(5) < 3)
			step_lock(owner, op, fake_random(3) == 0, start, end);
		else
			step_unlock(owner, op, start, end);
		ck_assert_msg(list_ok(), "step %u", step);
	}
}
END_TEST

START_TEST(ends)
{
	struct lock_ask ask = { .start = 0, .end = UINT64_MAX, .write = true };
	const struct lock_range *denied, *r;
	stateid4 sid;

	ask_owner(&ask, 0);
	ck_assert_int_eq(lock_set_locked(&mds, open_of[0], NULL, &ask, &sid, &denied), NFS4_OK);
	struct lock_state *state = (struct lock_state *)state_lookup_locked(&mds, &client[0], &sid);
	/* A hole at the very end, one at the very start, one in the middle. */
	ck_assert_int_eq(lock_unset_locked(&mds, state, UINT64_MAX, UINT64_MAX, &sid), NFS4_OK);
	ck_assert_int_eq(lock_unset_locked(&mds, state, 0, 0, &sid), NFS4_OK);
	ck_assert_int_eq(lock_unset_locked(&mds, state, 100, 199, &sid), NFS4_OK);
	ck_assert_uint_eq(state->nranges, 2);
	r = TAILQ_FIRST(&file->state->locks);
	ck_assert(r->start == 1 && r->end == 99);
	r = TAILQ_NEXT(r, of_file);
	ck_assert(r->start == 200 && r->end == UINT64_MAX - 1);
	ask_owner(&ask, 2);
	ask.start = ask.end = UINT64_MAX;
	ck_assert_int_eq(lock_test_locked(&mds, file, &client[1], &ask, &denied), NFS4_OK);
	ask.start--;
	ck_assert_int_eq(lock_test_locked(&mds, file, &client[1], &ask, &denied), NFS4ERR_DENIED);
	ck_assert_ptr_eq(denied, r);
	/* Touching ones grow together again. */
	ask_owner(&ask, 0);
	ask.start = 100;
	ask.end = 199;
	ck_assert_int_eq(lock_set_locked(&mds, open_of[0], state, &ask, &sid, &denied), NFS4_OK);
	ask.start = ask.end = UINT64_MAX;
	ck_assert_int_eq(lock_set_locked(&mds, open_of[0], state, &ask, &sid, &denied), NFS4_OK);
	ask.start = ask.end = 0;
	ck_assert_int_eq(lock_set_locked(&mds, open_of[0], state, &ask, &sid, &denied), NFS4_OK);
	ck_assert_uint_eq(state->nranges, 1);
	r = TAILQ_FIRST(&file->state->locks);
	ck_assert(r->start == 0 && r->end == UINT64_MAX);
}
END_TEST

START_TEST(close_drops_its_own)
{
	struct lock_ask ask = { .start = 0, .end = 9, .write = true };
	const struct lock_range *denied;
	struct inode *iref;
	stateid4 s0, s1;

	ask_owner(&ask, 0);
	ck_assert_int_eq(lock_set_locked(&mds, open_of[0], NULL, &ask, &s0, &denied), NFS4_OK);
	ask.start = 5;
	ask.end = 14;
	/* The same lock owner through its other open takes bytes 5 to 9 over (RFC 8881 9.5). */
	ck_assert_int_eq(lock_set_locked(&mds, open_of[1], NULL, &ask, &s1, &denied), NFS4_OK);
	ck_assert(memcmp(s0.other, s1.other, sizeof s0.other) != 0);
	ck_assert_uint_eq(state_lookup_locked(&mds, &client[0], &s0)->seqid, 1);	/* 9.5: MUST NOT */
	open_close_locked(&mds, open_of[0], &iref);
	inode_put(iref);
	ck_assert_ptr_null(state_lookup_locked(&mds, &client[0], &s0));
	const struct lock_range *r = TAILQ_FIRST(&file->state->locks);
	ck_assert(r->start == 5 && r->end == 14 && !TAILQ_NEXT(r, of_file));
	ck_assert_uint_eq(client[0].nranges, 1);
	/* A lock state with nothing locked can be freed, its open stays. */
	struct lock_state *state = (struct lock_state *)state_lookup_locked(&mds, &client[0], &s1);
	ck_assert(lock_held_locked(state));
	ck_assert_int_eq(lock_unset_locked(&mds, state, 0, 100, &s1), NFS4_OK);
	ck_assert(!lock_held_locked(state));
	lock_free_locked(&mds, state);
	ck_assert_ptr_null(state_lookup_locked(&mds, &client[0], &s1));
	ck_assert(open_held_locked(file, &client[0], true));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lock");
	TCase *tc = tcase_create("lock");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, random_against_model);
	tcase_add_test(tc, ends);
	tcase_add_test(tc, close_drops_its_own);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
