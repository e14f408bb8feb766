/* Clients whose lease is over: what they keep, who takes it, and their records (RFC 8881 8.3, 8.4.2.1, 8.4.3; PITFALLS D4, D11). */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/fs/fs.h"
#include "server/mds.h"
#include "server/state/client.h"
#include "server/state/lock.h"
#include "server/state/session.h"
#include "tests/unit/server/net/mds_fixture.h"
#include "tests/unit/server/net/wire.h"

static struct mds_fixture fx;
static struct wire w;
static struct wire_call call;
static struct compound_results r;
static struct wire_session a, b;
static struct inode *file;	/* the root: opens do not ask what they are of */

static void
sessions_new_life(void)
{
	wire_connect(&w, fx.port);
	wire_session(&w, "a", &a);
	wire_session(&w, "b", &b);
	ck_assert_int_eq(fs_root(fx.mds->fs, &file), 0);
}

static void
setup(void)
{
	mds_fixture_start(&fx, 90, 90);
	sessions_new_life();
}

static void
hang_up(void)
{
	inode_put(file);
	wire_close(&w);
}

static void
teardown(void)
{
	hang_up();
	mds_fixture_stop(&fx);
}

static void
restart(void)
{
	hang_up();
	mds_fixture_restart(&fx);
	sessions_new_life();
}

static struct client *
client_of(const struct wire_session *s)
{
	pthread_mutex_lock(&fx.mds->state_lock);
	struct client *client = client_find_locked(fx.mds, s->clientid);
	pthread_mutex_unlock(&fx.mds->state_lock);
	return client;
}

static nfsstat4
open_as(const struct wire_session *s, uint32_t access, uint32_t deny, struct open_state **open)
{
	struct open_ask ask = { .owner = "o", .owner_len = 1, .access = access, .deny = deny };
	struct open_undo undo = { 0 };
	stateid4 sid;
	struct client *client = client_of(s);
	pthread_mutex_lock(&fx.mds->state_lock);
	nfsstat4 status = open_add_locked(fx.mds, client, file, &ask, &undo, &sid);
	pthread_mutex_unlock(&fx.mds->state_lock);
	if (open)
		*open = undo.open;
	return status;
}

static nfsstat4
lock_as(struct open_state *open, const char *owner)
{
	struct lock_ask ask = { .start = 0, .end = 9, .write = true, .owner = owner, .owner_len = 1 };
	const struct lock_range *denied;
	stateid4 sid;
	pthread_mutex_lock(&fx.mds->state_lock);
	nfsstat4 status = lock_set_locked(fx.mds, open, NULL, &ask, &sid, &denied);
	pthread_mutex_unlock(&fx.mds->state_lock);
	return status;
}

static nfsstat4
locktest_as(const struct wire_session *s)
{
	struct lock_ask ask = { .start = 0, .end = 9, .write = true, .owner = "t", .owner_len = 1 };
	const struct lock_range *denied;
	struct client *client = client_of(s);
	pthread_mutex_lock(&fx.mds->state_lock);
	nfsstat4 status = lock_test_locked(fx.mds, file, client, &ask, &denied);
	pthread_mutex_unlock(&fx.mds->state_lock);
	return status;
}

/* Its last sign of life was SECONDS ago. */
static void
silent(const struct wire_session *s, uint64_t seconds)
{
	atomic_store(&client_of(s)->renewed_ms, mds_now_ms() - seconds * 1000);
}

static void
tick(void)
{
	/* Somebody's wish may have set one going. */
	for (unsigned i = 0; i < 1000 && atomic_load(&fx.mds->lease_busy); i++)
		usleep(1000);
	lease_expire(fx.mds, mds_now_ms());
}

static nfsstat4
sequence(struct wire_session *s)
{
	wire_begin_seq(&call, s, 0, true, false);
	return wire_compound(&w, &call, &r);
}

static nfsstat4
reclaim_status(const struct wire_session *s)
{
	struct client *client = client_of(s);
	pthread_mutex_lock(&fx.mds->state_lock);
	nfsstat4 status = grace_check_reclaim_locked(fx.mds, client);
	pthread_mutex_unlock(&fx.mds->state_lock);
	return status;
}

/* Nobody wanted anything: it goes on as if nothing had been, after a restart, too. */
START_TEST(comes_back)
{
	struct open_state *open;
	ck_assert_int_eq(open_as(&a, 3, 2, &open), NFS4_OK);
	ck_assert_int_eq(lock_as(open, "l"), NFS4_OK);
	silent(&a, 89);
	tick();
	ck_assert(!client_of(&a)->lapsed);
	silent(&a, 1000);
	tick();
	tick();
	ck_assert(client_of(&a) && client_of(&a)->lapsed);
	ck_assert_int_eq(open_as(&b, 1, 0, NULL), NFS4_OK);	/* no conflict */
	tick();
	ck_assert_int_eq(sequence(&a), NFS4_OK);
	/* Back at once, not only when a tick has seen it. */
	ck_assert_int_eq(open_as(&b, 2, 0, NULL), NFS4ERR_SHARE_DENIED);
	ck_assert_int_eq(locktest_as(&b), NFS4ERR_DENIED);
	tick();
	ck_assert(!client_of(&a)->lapsed);
	silent(&a, 1000);
	tick();
	ck_assert(client_of(&a)->lapsed);
	restart();
	ck_assert_int_eq(reclaim_status(&a), NFS4_OK);
}
END_TEST

/* Somebody wants what it has: DELAY until its record is gone and it with it; it must not reclaim what others had meanwhile. */
START_TEST(share_wanted)
{
	ck_assert_int_eq(open_as(&a, 3, 2, NULL), NFS4_OK);
	ck_assert_int_eq(open_as(&b, 3, 0, NULL), NFS4ERR_SHARE_DENIED);
	silent(&a, 1000);
	tick();
	ck_assert_int_eq(open_as(&b, 3, 0, NULL), NFS4ERR_DELAY);
	tick();
	ck_assert_ptr_null(client_of(&a));
	ck_assert_int_eq(open_as(&b, 3, 0, NULL), NFS4_OK);
	ck_assert_int_eq(sequence(&a), NFS4ERR_BADSESSION);
	restart();
	ck_assert_int_eq(reclaim_status(&a), NFS4ERR_RECLAIM_BAD);
	ck_assert_int_eq(reclaim_status(&b), NFS4_OK);
}
END_TEST

START_TEST(lock_wanted)
{
	struct open_state *mine, *theirs;
	ck_assert_int_eq(open_as(&a, 3, 0, &mine), NFS4_OK);
	ck_assert_int_eq(open_as(&b, 3, 0, &theirs), NFS4_OK);
	ck_assert_int_eq(lock_as(mine, "l"), NFS4_OK);
	ck_assert_int_eq(lock_as(theirs, "l"), NFS4ERR_DENIED);
	silent(&a, 1000);
	tick();
	ck_assert_int_eq(locktest_as(&b), NFS4ERR_DELAY);
	ck_assert(client_of(&a) == NULL || client_of(&a)->wanted);
	tick();
	ck_assert_ptr_null(client_of(&a));
	ck_assert_int_eq(lock_as(theirs, "l"), NFS4_OK);
}
END_TEST

/* One who is there is in the way, too: then nobody goes for nothing. */
START_TEST(not_for_nothing)
{
	struct wire_session c;
	wire_session(&w, "c", &c);
	ck_assert_int_eq(open_as(&a, 1, 2, NULL), NFS4_OK);
	ck_assert_int_eq(open_as(&c, 1, 2, NULL), NFS4_OK);
	silent(&a, 1000);
	tick();
	ck_assert_int_eq(open_as(&b, 2, 0, NULL), NFS4ERR_SHARE_DENIED);
	tick();
	ck_assert(client_of(&a) && client_of(&a)->lapsed && !client_of(&a)->wanted);
}
END_TEST

/* Wanted, but it comes back before anything was done: it stays, with its record. */
START_TEST(back_in_time)
{
	ck_assert_int_eq(open_as(&a, 3, 2, NULL), NFS4_OK);
	silent(&a, 1000);
	tick();
	atomic_store(&fx.mds->lease_busy, true);	/* the disk is slow */
	ck_assert_int_eq(open_as(&b, 2, 0, NULL), NFS4ERR_DELAY);
	ck_assert_int_eq(sequence(&a), NFS4_OK);
	atomic_store(&fx.mds->lease_busy, false);
	tick();
	ck_assert(client_of(&a) && !client_of(&a)->wanted);
	ck_assert_int_eq(open_as(&b, 2, 0, NULL), NFS4ERR_SHARE_DENIED);
	restart();
	ck_assert_int_eq(reclaim_status(&a), NFS4_OK);
}
END_TEST

/* Not for ever, and not for those who have nothing. */
START_TEST(taken_down)
{
	ck_assert_int_eq(open_as(&a, 3, 2, NULL), NFS4_OK);
	silent(&a, 1000);
	silent(&b, 91);
	tick();
	ck_assert(client_of(&a) && client_of(&a)->lapsed);
	ck_assert_ptr_null(client_of(&b));
	lease_expire(fx.mds, mds_now_ms() + 25 * 3600 * 1000);
	ck_assert_ptr_null(client_of(&a));
}
END_TEST

/* When there is no room those whose lease is over make some. */
START_TEST(room)
{
	static const struct state_limits limits = { .client_states = 10, .states = 1, .client_ranges = 10, .ranges = 10 };
	stateids_set_limits(fx.mds, &limits);
	ck_assert_int_eq(open_as(&a, 1, 0, NULL), NFS4_OK);
	ck_assert_int_eq(open_as(&b, 1, 0, NULL), NFS4ERR_SERVERFAULT);
	silent(&a, 1000);
	tick();
	ck_assert_int_eq(open_as(&b, 1, 0, NULL), NFS4ERR_DELAY);
	tick();
	ck_assert_int_eq(open_as(&b, 1, 0, NULL), NFS4_OK);
}
END_TEST

static uint64_t
exchange(const char *owner, uint64_t verifier)
{
	EXCHANGE_ID4resok ok;
	ck_assert_int_eq(wire_exchange_id(&w, owner, verifier, 0, &ok), NFS4_OK);
	return ok.eir_clientid;
}

/*
 * The old instance's record is removed and the new one's written under the same name: one waits for the other, whichever comes first, or
 * else the new one's would be lost.
 */
START_TEST(record_of_the_next_instance)
{
	uint64_t next = exchange("a", 4711);
	client_of(&a)->forgetting = true;
	ck_assert_int_eq(wire_create_session(&w, next, 1, 0, NULL, NULL), NFS4ERR_DELAY);
	client_of(&a)->forgetting = false;
	silent(&a, 91);
	pthread_mutex_lock(&fx.mds->state_lock);
	client_find_locked(fx.mds, next)->recording = true;
	pthread_mutex_unlock(&fx.mds->state_lock);
	tick();
	ck_assert_ptr_nonnull(client_of(&a));
	/* What DESTROY_CLIENTID removes, and EXCHANGE_ID by another user, comes again. */
	client_forget(fx.mds, client_of(&a));
	ck_assert_int_eq(wire_create_session(&w, next, 1, 0, NULL, NULL), NFS4_OK);
	ck_assert_ptr_null(client_of(&a));
	restart();
	ck_assert_int_eq(reclaim_status(&a), NFS4_OK);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lease");
	TCase *tc = tcase_create("lease");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, comes_back);
	tcase_add_test(tc, share_wanted);
	tcase_add_test(tc, lock_wanted);
	tcase_add_test(tc, not_for_nothing);
	tcase_add_test(tc, back_in_time);
	tcase_add_test(tc, taken_down);
	tcase_add_test(tc, room);
	tcase_add_test(tc, record_of_the_next_instance);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
