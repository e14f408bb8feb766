/* Who waits for a byte range: order, offers, and their ends (RFC 8881 9.6, 20.11). */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/state/file.h"
#include "server/state/lock.h"
#include "server/state/lock_wait.h"
#include "tests/unit/server/state/fake_state.h"

static struct mds mds;
static struct client client[2];
static struct inode *file;
static struct open_state *open_of[2];

static void
setup(void)
{
	fake_mds_init(&mds);
	mds.conf.lease = 90;
	file = fake_inode_new(S_IFREG);
	for (unsigned i = 0; i < 2; i++) {
		fake_client_init(&client[i], 11 + i);
		client[i].nback = 1;
		struct open_ask ask = { .owner = "o", .owner_len = 1, .access = 3, .may_notify = true };
		struct open_undo undo;
		stateid4 sid;
		ck_assert_int_eq(open_add_locked(&mds, &client[i], file, &ask, &undo, &sid), NFS4_OK);
		open_of[i] = undo.open;
	}
}

static void
teardown(void)
{
	fake_client_release(&mds, &client[0]);
	fake_client_release(&mds, &client[1]);
	fake_mds_end(&mds);
	ck_assert_int_eq(client[0].refs + client[1].refs, 0);
	fake_inode_free(file);
}

static struct lock_ask
ask_of(const char *owner, bool write, uint64_t start, uint64_t end)
{
	return (struct lock_ask){ .start = start, .end = end, .write = write, .owner = owner, .owner_len = (uint32_t)strlen(owner) };
}

/* As LOCK does. */
static nfsstat4
lock(unsigned c, const char *name, bool wait, bool write, uint64_t start, uint64_t end)
{
	struct lock_ask ask = ask_of(name, write, start, end);
	struct owner *owner = owner_find_locked(&client[c], OWNER_LOCK, ask.owner, ask.owner_len);
	const struct lock_range *denied;
	stateid4 sid;
	nfsstat4 status = NFS4ERR_DENIED;

	if (!wait || !lock_wait_offer_locked(file->state, owner, &ask))
		status = lock_set_locked(&mds, open_of[c], NULL, &ask, &sid, &denied);
	if (status == NFS4ERR_DENIED && wait)
		lock_wait_add_locked(&mds, open_of[c], owner, &ask);
	return status;
}

static void
unlock(unsigned c, const char *name, uint64_t start, uint64_t end)
{
	const struct owner *owner = owner_find_locked(&client[c], OWNER_LOCK, name, (uint32_t)strlen(name));
	struct lock_state *state;
	stateid4 sid;

	TAILQ_FOREACH(state, &open_of[c]->locks, of_open)
		if (state->owner == owner)
			break;
	ck_assert_ptr_nonnull(state);
	ck_assert_int_eq(lock_unset_locked(&mds, state, start, end, &sid), NFS4_OK);
}

static void
run_workers(void)
{
	pthread_mutex_unlock(&mds.state_lock);
	fake_workers_run();
	pthread_mutex_lock(&mds.state_lock);
}

static void
answer(int status)
{
	pthread_mutex_unlock(&mds.state_lock);
	fake_callback.done(&mds, fake_callback.arg, status);
	fake_workers_run();
	pthread_mutex_lock(&mds.state_lock);
}

/* MS pass. */
static void
tick(uint64_t ms)
{
	struct lock_wait *w;

	TAILQ_FOREACH(w, &file->state->waits, of_file)
		w->until_ms -= ms;
	pthread_mutex_unlock(&mds.state_lock);
	lock_waits_tick(&mds, mds_now_ms());
	fake_workers_run();
	pthread_mutex_lock(&mds.state_lock);
}

#define TOLD(count, cl, name) do { \
	run_workers(); \
	ck_assert_uint_eq(fake_callback.n, count); \
	ck_assert_ptr_eq(fake_callback.client, &client[cl]); \
	ck_assert_uint_eq(fake_callback.op, OP_CB_NOTIFY_LOCK); \
	ck_assert_str_eq(fake_callback.owner, name); \
} while (0)

/* First come, first told; what is offered is kept from the others who wait, not from one who does not. */
START_TEST(order)
{
	ck_assert_int_eq(lock(0, "a", true, true, 0, 99), NFS4_OK);
	ck_assert_int_eq(lock(1, "b", true, true, 10, 19), NFS4ERR_DENIED);
	ck_assert_int_eq(lock(1, "c", true, true, 10, 29), NFS4ERR_DENIED);
	ck_assert_int_eq(lock(0, "d", true, false, 50, 59), NFS4ERR_DENIED);
	ck_assert_int_eq(lock(0, "e", false, false, 50, 59), NFS4ERR_DENIED);	/* is not ready to wait */
	unlock(0, "a", 0, 9);			/* none of theirs */
	unlock(0, "a", 25, 29);
	run_workers();
	ck_assert_uint_eq(fake_callback.n, 0);
	unlock(0, "a", 0, 24);
	TOLD(1, 1, "b");			/* c's is free, too, but b was first */
	answer(NFS4_OK);
	ck_assert_int_eq(lock(1, "c", true, true, 10, 29), NFS4ERR_DENIED);
	ck_assert_int_eq(lock(0, "x", false, true, 18, 18), NFS4_OK);
	unlock(0, "x", 18, 18);
	ck_assert_int_eq(lock(1, "b", true, true, 10, 19), NFS4_OK);
	unlock(1, "b", 10, 19);
	TOLD(2, 1, "c");
	answer(NFS4_OK);
	ck_assert_int_eq(lock(1, "c", true, true, 10, 29), NFS4_OK);
	unlock(0, "a", 0, UINT64_MAX);
	TOLD(3, 0, "d");
	answer(NFS4_OK);
	ck_assert_int_eq(lock(0, "d", true, false, 50, 59), NFS4_OK);
	ck_assert(TAILQ_EMPTY(&file->state->waits));
}
END_TEST

/* A lock that becomes one for reading, a close, and all that an open has when its client goes. */
START_TEST(ways_to_be_free)
{
	struct inode *iref;

	ck_assert_int_eq(lock(0, "a", true, true, 0, 9), NFS4_OK);
	ck_assert_int_eq(lock(1, "r", true, false, 0, 9), NFS4ERR_DENIED);
	ck_assert_int_eq(lock(1, "w", true, true, 0, 9), NFS4ERR_DENIED);
	ck_assert_int_eq(lock(0, "a", true, false, 0, 9), NFS4_OK);
	TOLD(1, 1, "r");
	answer(NFS4_OK);
	ck_assert_int_eq(lock(1, "r", true, false, 0, 9), NFS4_OK);
	unlock(1, "r", 0, 9);
	open_close_locked(&mds, open_of[0], &iref);
	inode_put(iref);
	TOLD(2, 1, "w");
	/* It goes before it comes: nothing of it stays, and the answer finds nobody. */
	open_close_locked(&mds, open_of[1], &iref);
	inode_put(iref);
	ck_assert_uint_eq(client[1].nwaits, 0);
	answer(-ETIMEDOUT);
}
END_TEST

/* Not reached, does not want it, does not come: the next one. */
START_TEST(turns_that_are_missed)
{
	ck_assert_int_eq(lock(0, "a", true, true, 0, 9), NFS4_OK);
	ck_assert_int_eq(lock(1, "b", true, true, 0, 9), NFS4ERR_DENIED);
	ck_assert_int_eq(lock(0, "c", true, true, 0, 9), NFS4ERR_DENIED);
	ck_assert_int_eq(lock(1, "d", true, true, 0, 9), NFS4ERR_DENIED);
	ck_assert_int_eq(lock(0, "e", true, true, 0, 9), NFS4ERR_DENIED);
	unlock(0, "a", 0, 9);
	TOLD(1, 1, "b");
	answer(-ENOTCONN);
	TOLD(2, 0, "c");
	answer(NFS4ERR_NOTSUPP);
	TOLD(3, 1, "d");
	answer(NFS4_OK);
	tick(1800);
	ck_assert_uint_eq(fake_callback.n, 3);
	tick(300);
	TOLD(4, 0, "e");
	answer(NFS4_OK);
	/* d is late, and behind e. */
	ck_assert_int_eq(lock(1, "d", true, true, 0, 9), NFS4ERR_DENIED);
	ck_assert_int_eq(lock(0, "e", true, true, 0, 9), NFS4_OK);
	unlock(0, "e", 0, 9);
	TOLD(5, 1, "d");
	answer(NFS4_OK);
}
END_TEST

/* Nobody waits for a range because others wait: two that hold what the other wants do not lock each other out for good. */
START_TEST(no_deadlock)
{
	ck_assert_int_eq(lock(0, "y", true, true, 50, 99), NFS4_OK);
	ck_assert_int_eq(lock(1, "x", true, true, 0, 99), NFS4ERR_DENIED);
	ck_assert_int_eq(lock(0, "y", true, true, 0, 9), NFS4_OK);
	unlock(0, "y", 0, UINT64_MAX);
	TOLD(1, 1, "x");
	answer(NFS4_OK);
}
END_TEST

/* Forgotten without a poll for a lease, not with one; one place however often it asks; none without a word in OPEN, or a backchannel. */
START_TEST(how_long)
{
	ck_assert_int_eq(lock(0, "a", true, true, 0, 9), NFS4_OK);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(lock(1, "b", true, true, 0, 9), NFS4ERR_DENIED);
	ck_assert_uint_eq(client[1].nwaits, 1);
	tick(88000);
	ck_assert_uint_eq(client[1].nwaits, 1);
	tick(3000);
	ck_assert_uint_eq(client[1].nwaits, 0);
	open_of[1]->may_notify = false;
	ck_assert_int_eq(lock(1, "b", true, true, 0, 9), NFS4ERR_DENIED);
	ck_assert_uint_eq(client[1].nwaits, 0);
	open_of[1]->may_notify = true;
	ck_assert_int_eq(lock(1, "b", true, true, 0, 9), NFS4ERR_DENIED);
	client[1].nback = 0;
	unlock(0, "a", 0, 9);
	run_workers();
	ck_assert_uint_eq(fake_callback.n, 0);
	ck_assert_int_eq(lock(1, "b", true, true, 0, 9), NFS4_OK);
	ck_assert_uint_eq(client[1].nwaits, 0);
}
END_TEST

/* A client can make us keep so much and no more. */
START_TEST(bounds)
{
	char name[16];

	ck_assert_int_eq(lock(0, "a", true, true, 0, 9), NFS4_OK);
	for (unsigned i = 0; i < 2 * LOCK_WAITS_OF_FILE; i++) {
		snprintf(name, sizeof name, "w%u", i);
		ck_assert_int_eq(lock(1, name, true, true, 0, 9), NFS4ERR_DENIED);
	}
	ck_assert_uint_eq(client[1].nwaits, LOCK_WAITS_OF_FILE);
	ck_assert_int_eq(lock(1, "w0", true, true, 0, 9), NFS4ERR_DENIED);
	ck_assert_uint_eq(client[1].nwaits, LOCK_WAITS_OF_FILE);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lock_wait");
	TCase *tc = tcase_create("lock_wait");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, order);
	tcase_add_test(tc, ways_to_be_free);
	tcase_add_test(tc, turns_that_are_missed);
	tcase_add_test(tc, no_deadlock);
	tcase_add_test(tc, how_long);
	tcase_add_test(tc, bounds);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
