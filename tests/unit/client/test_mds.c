/*
 * The session engine against a server that drops connections, repeats answers, delays, forgets: each request ends once, and is done once
 * (RFC 8881 2.10.6).  Callbacks: test_mds_cb.c.
 */
#include <check.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/client/engine_fixture.h"

/* ---- the forward channel ---- */

START_TEST(plain)
{
	requests_run(REQUESTS, MDS_CACHE);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(fake.done, REQUESTS);
	ck_assert_int_eq(fake.retries, 0);
	ck_assert_uint_lt(fake.max_slot, FAKE_SLOTS);
	ck_assert_int_eq(fake.reclaim_completes, 1);
	ck_assert_int_eq(fake.sessions, 1);
}
END_TEST

/* Done, but the answer is lost with the connection: the same bytes again, and the answer from the cache. */
START_TEST(dropped)
{
	for (int i = 1; i <= 5; i++) {
		atomic_store(&fake.drop_after, i);
		int before = fake.done;
		requests_run(REQUESTS, MDS_CACHE);
		ck_assert_int_eq(bad, 0);
		ck_assert_int_eq(fake.done - before, REQUESTS);
	}
	ck_assert_int_ge(fake.retries, 5);
	ck_assert_int_eq(fake.false_retries, 0);
	ck_assert_int_eq(fake.sessions, 1);
	ck_assert_int_ge(fake.binds, 5);
	ck_assert_int_ge((int)mds.stats.reconnects, 5);
}
END_TEST

/* The answer of a repetition says nothing of now: the lease counts from the first time it was sent. */
START_TEST(dropped_lease)
{
	atomic_store(&fake.drop_after, 1);
	requests_run(1, MDS_CACHE);
	ck_assert_int_eq(fake.retries, 1);
	ck_assert_uint_lt(atomic_load(&mds.lease.sent_ns), mds.bound_ns);
}
END_TEST

START_TEST(answered_twice)
{
	atomic_store(&fake.twice, 30);
	requests_run(REQUESTS, MDS_CACHE);
	requests_run(REQUESTS, 0);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(fake.done, 2 * REQUESTS);
}
END_TEST

START_TEST(session_lost)
{
	for (int i = 0; i < 3; i++) {
		atomic_store(&fake.forget_session, 1);
		requests_run(REQUESTS, MDS_CACHE);
	}
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(fake.done, 3 * REQUESTS);
	ck_assert_int_eq(fake.sessions, 4);
	ck_assert_int_eq(fake.exchanges, 1);
	ck_assert_int_eq(reclaims, 1);
}
END_TEST

START_TEST(client_lost)
{
	atomic_store(&fake.forget_client, 1);
	atomic_store(&fake.forget_session, 1);
	requests_run(REQUESTS, MDS_CACHE);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(fake.done, REQUESTS);
	ck_assert_int_eq(fake.exchanges, 2);
	ck_assert_int_eq(reclaims, 2);
	ck_assert_int_eq(fake.reclaim_completes, 2);
	ck_assert_int_eq((int)mds.stats.recoveries, 1);
}
END_TEST

/* ---- CREATE_SESSION's own slot (RFC 8881 18.36.4) ---- */

/*
 * The sequence is not the one the server expects, but it knows the client ID: nothing is lost, so nothing is reclaimed - and layouts that were
 * held need not be given up.
 */
START_TEST(create_misordered)
{
	atomic_store(&fake.create_skip, 2);
	atomic_store(&fake.forget_session, 1);
	requests_run(REQUESTS, MDS_CACHE);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(fake.done, REQUESTS);
	ck_assert_int_eq(fake.sessions, 2);
	ck_assert_int_eq(fake.exchanges, 2);	/* asked what it knows of us */
	ck_assert_int_eq(reclaims, 1);
	ck_assert_uint_eq(fake.clientid, 1);
	ck_assert(mds_lease_valid(&mds));
}
END_TEST

/* It does not even take the number it has told: a new client, by a new verifier, and state is reclaimed. */
START_TEST(create_misordered_for_ever)
{
	atomic_store(&fake.exchange_lies, true);
	atomic_store(&fake.create_skip, 2);
	atomic_store(&fake.forget_session, 1);
	requests_run(REQUESTS, MDS_CACHE);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(fake.done, REQUESTS);
	ck_assert_int_eq(reclaims, 2);
	ck_assert_uint_eq(fake.clientid, 2);
}
END_TEST

/* A refusal is counted in the slot, and repeated for the same sequence: the next attempt is by the next one. */
START_TEST(create_refused)
{
	atomic_store(&fake.create_refused, 1);
	atomic_store(&fake.forget_session, 1);
	requests_run(REQUESTS, MDS_CACHE);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(fake.sessions, 2);
	ck_assert_int_eq(fake.exchanges, 1);
	ck_assert_int_eq(reclaims, 1);
	/* And by a server that does not count it. */
	atomic_store(&fake.create_uncounted, true);
	atomic_store(&fake.create_refused, 1);
	atomic_store(&fake.forget_session, 1);
	requests_run(REQUESTS, MDS_CACHE);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(fake.sessions, 3);
	ck_assert_int_eq(fake.exchanges, 1);
	ck_assert_int_eq(reclaims, 1);
	ck_assert_uint_eq(fake.clientid, 1);
}
END_TEST

/* ---- SEQ4_STATUS flags that are the engine's ---- */

/* BACKCHANNEL_FAULT: the session is drained and destroyed, another one made; the client ID stays (RFC 8881 18.46.3). */
START_TEST(backchannel_fault)
{
	atomic_store(&fake.flags, SEQ4_STATUS_BACKCHANNEL_FAULT);
	requests_run(REQUESTS, MDS_CACHE);
	requests_run(1, 0);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(fake.destroyed, 1);
	ck_assert_int_eq(fake.sessions, 2);
	ck_assert_int_eq(fake.exchanges, 1);
	ck_assert_int_eq(fake.done, REQUESTS + 1);
	ck_assert_int_eq(fake.retries, 0);
	ck_assert_int_eq(reclaims, 1);
}
END_TEST

/* The one answer that renews nothing; the lease is good again with the first without the flag. */
START_TEST(expired_renews_nothing)
{
	requests_run(1, 0);
	ck_assert(mds_lease_valid(&mds));
	atomic_store(&fake.sticky, SEQ4_STATUS_EXPIRED_ALL_STATE_REVOKED);
	requests_run(1, 0);
	ck_assert(!mds_lease_valid(&mds));
	requests_run(1, 0);
	ck_assert(!mds_lease_valid(&mds));
	atomic_store(&fake.sticky, 0);
	requests_run(1, 0);
	ck_assert(mds_lease_valid(&mds));
}
END_TEST

/* The session outlived a restart, the state did not: reclaimed once, though the flag is there until RECLAIM_COMPLETE was done. */
START_TEST(reclaim_needed)
{
	atomic_store(&fake.sticky, SEQ4_STATUS_RESTART_RECLAIM_NEEDED);
	requests_run(1, 0);
	for (unsigned i = 0; i < 200 && fake.reclaim_completes < 2; i++)
		usleep(10000);
	ck_assert_int_eq(fake.reclaim_completes, 2);
	requests_run(REQUESTS, 0);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(reclaims, 2);
	ck_assert_int_eq(fake.sessions, 1);
}
END_TEST

/* The connection goes, and by the time it is back the session is gone too. */
START_TEST(dropped_and_lost)
{
	atomic_store(&fake.drop_after, 3);
	requests_run(3, MDS_CACHE);
	atomic_store(&fake.drop_after, 2);
	atomic_store(&fake.forget_session, 0);
	requests_run(1, MDS_CACHE);
	atomic_store(&fake.forget_session, 1);
	requests_run(REQUESTS, MDS_CACHE);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_ge(fake.done, REQUESTS + 4);
}
END_TEST

START_TEST(delays)
{
	atomic_store(&fake.delay, 3);
	requests_run(2, MDS_CACHE);
	atomic_store(&fake.grace, 2);
	requests_run(2, MDS_CACHE);
	atomic_store(&fake.seq_delay, 3);
	requests_run(4, MDS_CACHE);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(fake.done, 8);
	ck_assert_int_eq(fake.false_retries, 0);
	/* Who wants to know gets it. */
	atomic_store(&fake.delay, 1);
	requests_run(1, MDS_NO_DELAY);
	ck_assert_int_eq(requests[0].status, -EAGAIN);
}
END_TEST

START_TEST(status_flags)
{
	atomic_store(&fake.flags, SEQ4_STATUS_ADMIN_STATE_REVOKED);
	requests_run(1, 0);
	ck_assert_int_eq(requests[0].revocations, 1);	/* before whoever acts on that answer */
	requests_run(1, 0);
	ck_assert_int_eq(revocations, 1);
	int binds = fake.binds;
	atomic_store(&fake.flags, SEQ4_STATUS_CB_PATH_DOWN);
	requests_run(1, 0);
	requests_run(1, 0);
	for (unsigned i = 0; i < 100 && fake.binds == binds; i++)
		usleep(10000);
	ck_assert_int_eq(fake.binds, binds + 1);
	ck_assert_int_eq(bad, 0);
}
END_TEST

START_TEST(minor_version_1)
{
	engine_fixture_start(0, true);
	requests_run(3, 0);
	ck_assert_int_eq(bad, 0);
	ck_assert_uint_eq(mds.minor, 1);
	engine_fixture_stop();
}
END_TEST

/* A server that says nothing: the caller is let go, and the slot comes back later. */
START_TEST(timeout)
{
	engine_fixture_start(1, false);
	atomic_store(&fake.silent, 3);
	requests_run(3, MDS_CACHE);
	ck_assert_int_eq(bad, 3);
	ck_assert_int_eq(requests[0].status, -ETIMEDOUT);
	atomic_store(&bad, 0);
	requests_run(4, MDS_CACHE);		/* on the other slots */
	ck_assert_int_eq(bad, 0);
	ck_assert_uint_ge(fake.max_slot, 3);
	/* With a new connection it is asked what became of the three. */
	atomic_store(&fake.drop_after, 1);
	requests_run(1, MDS_CACHE);
	requests_run(REQUESTS, MDS_CACHE);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(fake.false_retries, 0);
	engine_fixture_stop();
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("mds");
	TCase *t = tcase_create("requests");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, engine_fixture_setup, engine_fixture_stop);
	tcase_add_test(t, plain);
	tcase_add_test(t, dropped);
	tcase_add_test(t, dropped_lease);
	tcase_add_test(t, answered_twice);
	tcase_add_test(t, session_lost);
	tcase_add_test(t, client_lost);
	tcase_add_test(t, dropped_and_lost);
	tcase_add_test(t, create_misordered);
	tcase_add_test(t, create_misordered_for_ever);
	tcase_add_test(t, create_refused);
	tcase_add_test(t, backchannel_fault);
	tcase_add_test(t, expired_renews_nothing);
	tcase_add_test(t, reclaim_needed);
	tcase_add_test(t, delays);
	tcase_add_test(t, status_flags);
	suite_add_tcase(s, t);
	TCase *own = tcase_create("own");
	tcase_set_timeout(own, 60);
	tcase_add_test(own, minor_version_1);
	tcase_add_test(own, timeout);
	suite_add_tcase(s, own);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
