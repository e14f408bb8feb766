/*
 * The session engine against a server that drops connections, repeats answers, delays, forgets: each request ends once, and is done once
 * (RFC 8881 2.10.6).  Callbacks: slots, replay, referring calls.
 */
#include <check.h>
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/mds.h"
#include "tests/unit/client/fake_mds.h"

#define REQUESTS 40

static struct fake_mds fake;
static struct loop *loop;
static struct mds mds;
static sem_t started, ended, stopped;
static int start_status;
static atomic_int callbacks, reclaims, revocations, bad;
static struct mds_req complete_req;

struct request {
	struct mds_req req;
	struct loop_work work;
	int ends, status, revocations;	/* revocations: known of when it ended */
};
static struct request requests[REQUESTS];

/* ---- hooks ---- */

static void
hook_started(struct mds *m, int status)
{
	(void)m;
	start_status = status;
	sem_post(&started);
}

static void
complete_build(struct mds_req *req, struct compound_call *c)
{
	RECLAIM_COMPLETE4args args = { 0 };
	(void)req;
	compound_call_op(c, OP_RECLAIM_COMPLETE, &args);
}

static void
complete_done(struct mds_req *req, int status, struct reply *reply)
{
	(void)status;
	(void)reply;
	mds_reclaimed(req->mds);
}

static void
hook_reclaim(struct mds *m)
{
	atomic_fetch_add(&reclaims, 1);
	complete_req = (struct mds_req){ .build = complete_build, .done = complete_done, .flags = MDS_PRIVILEGED | MDS_CACHE };
	mds_submit(m, &complete_req);
}

static void
hook_revoked(struct mds *m, uint32_t flags)
{
	(void)m;
	atomic_fetch_add(&revocations, flags == SEQ4_STATUS_ADMIN_STATE_REVOKED);
}

static nfsstat4
hook_callback(struct mds *m, const nfs_cb_argop4 *arg, nfs_cb_resop4 *res)
{
	(void)m;
	(void)res;
	atomic_fetch_add(&callbacks, 1);
	return arg->argop == OP_CB_RECALL_SLOT ? NFS4_OK : NFS4ERR_NOTSUPP;
}

static void
hook_nothing(struct mds *m)
{
	(void)m;
}

static void
hook_timeout(struct mds *m, uint64_t deadline_ns)
{
	(void)m;
	(void)deadline_ns;
}

static const struct mds_hooks hooks = { .started = hook_started, .reclaim = hook_reclaim, .revoked = hook_revoked,
	.callback = hook_callback, .renewed = hook_nothing, .expired = hook_nothing, .timeout = hook_timeout };

/* ---- requests ---- */

static void
request_build(struct mds_req *req, struct compound_call *c)
{
	(void)req;
	compound_call_op(c, OP_PUTROOTFH, NULL);
}

static void
request_done(struct mds_req *req, int status, struct reply *reply)
{
	struct request *r = (struct request *)req;
	if (!status)
		status = reply_op(reply, OP_PUTROOTFH);
	r->ends++;
	r->status = status;
	r->revocations = revocations;
	if (status)
		atomic_fetch_add(&bad, 1);
	sem_post(&ended);
}

static void
request_start(struct loop_work *work)
{
	struct request *r = (struct request *)(void *)((char *)work - offsetof(struct request, work));
	mds_submit(&mds, &r->req);
}

static void
wait_for(sem_t *sem)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	while (sem_timedwait(sem, &until))
		ck_assert_int_eq(errno, EINTR);
}

static void
run(unsigned n, unsigned flags)
{
	memset(requests, 0, sizeof requests);
	for (unsigned i = 0; i < n; i++) {
		requests[i].req = (struct mds_req){ .build = request_build, .done = request_done, .flags = flags };
		requests[i].work.fn = request_start;
		loop_post(loop, &requests[i].work);
	}
	for (unsigned i = 0; i < n; i++)
		wait_for(&ended);
	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(requests[i].ends, 1);
}

/* ---- fixture ---- */

static void
start_now(void *arg)
{
	(void)arg;
	mds_start(&mds);
}

static void
setup_with(unsigned timeout, bool minor1)
{
	fake_start(&fake);
	atomic_store(&fake.minor1, minor1);
	sem_init(&started, 0, 0);
	sem_init(&ended, 0, 0);
	sem_init(&stopped, 0, 0);
	loop = loop_new("test");
	mds_init(&mds, loop, &hooks, NULL);
	memcpy(&mds.addr, &fake.addr, sizeof fake.addr);
	mds.addrlen = sizeof fake.addr;
	mds.cred.flavor = AUTH_SYS;
	mds.timeout = timeout;
	lease_set_length(&mds.lease, 90);
	ck_assert_int_eq(loop_start(loop), 0);
	loop_call(loop, start_now, NULL);
	wait_for(&started);
	ck_assert_int_eq(start_status, 0);
}

static void
setup(void)
{
	setup_with(0, false);
}

static void
stop_done(struct mds *m)
{
	(void)m;
	sem_post(&stopped);
}

static void
stop_now(void *arg)
{
	(void)arg;
	mds_stop(&mds, stop_done);
}

static void
teardown(void)
{
	loop_call(loop, stop_now, NULL);
	wait_for(&stopped);
	loop_stop(loop);
	mds_free(&mds);
	fake_stop(&fake);
}

/* ---- the forward channel ---- */

START_TEST(plain)
{
	run(REQUESTS, MDS_CACHE);
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
		run(REQUESTS, MDS_CACHE);
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
	run(1, MDS_CACHE);
	ck_assert_int_eq(fake.retries, 1);
	ck_assert_uint_lt(atomic_load(&mds.lease.sent_ns), mds.bound_ns);
}
END_TEST

START_TEST(answered_twice)
{
	atomic_store(&fake.twice, 30);
	run(REQUESTS, MDS_CACHE);
	run(REQUESTS, 0);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(fake.done, 2 * REQUESTS);
}
END_TEST

START_TEST(session_lost)
{
	for (int i = 0; i < 3; i++) {
		atomic_store(&fake.forget_session, 1);
		run(REQUESTS, MDS_CACHE);
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
	run(REQUESTS, MDS_CACHE);
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
	run(REQUESTS, MDS_CACHE);
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
	run(REQUESTS, MDS_CACHE);
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
	run(REQUESTS, MDS_CACHE);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(fake.sessions, 2);
	ck_assert_int_eq(fake.exchanges, 1);
	ck_assert_int_eq(reclaims, 1);
	/* And by a server that does not count it. */
	atomic_store(&fake.create_uncounted, true);
	atomic_store(&fake.create_refused, 1);
	atomic_store(&fake.forget_session, 1);
	run(REQUESTS, MDS_CACHE);
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
	run(REQUESTS, MDS_CACHE);
	run(1, 0);
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
	run(1, 0);
	ck_assert(mds_lease_valid(&mds));
	atomic_store(&fake.sticky, SEQ4_STATUS_EXPIRED_ALL_STATE_REVOKED);
	run(1, 0);
	ck_assert(!mds_lease_valid(&mds));
	run(1, 0);
	ck_assert(!mds_lease_valid(&mds));
	atomic_store(&fake.sticky, 0);
	run(1, 0);
	ck_assert(mds_lease_valid(&mds));
}
END_TEST

/* The session outlived a restart, the state did not: reclaimed once, though the flag is there until RECLAIM_COMPLETE was done. */
START_TEST(reclaim_needed)
{
	atomic_store(&fake.sticky, SEQ4_STATUS_RESTART_RECLAIM_NEEDED);
	run(1, 0);
	for (unsigned i = 0; i < 200 && fake.reclaim_completes < 2; i++)
		usleep(10000);
	ck_assert_int_eq(fake.reclaim_completes, 2);
	run(REQUESTS, 0);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(reclaims, 2);
	ck_assert_int_eq(fake.sessions, 1);
}
END_TEST

/* The connection goes, and by the time it is back the session is gone too. */
START_TEST(dropped_and_lost)
{
	atomic_store(&fake.drop_after, 3);
	run(3, MDS_CACHE);
	atomic_store(&fake.drop_after, 2);
	atomic_store(&fake.forget_session, 0);
	run(1, MDS_CACHE);
	atomic_store(&fake.forget_session, 1);
	run(REQUESTS, MDS_CACHE);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_ge(fake.done, REQUESTS + 4);
}
END_TEST

START_TEST(delays)
{
	atomic_store(&fake.delay, 3);
	run(2, MDS_CACHE);
	atomic_store(&fake.grace, 2);
	run(2, MDS_CACHE);
	atomic_store(&fake.seq_delay, 3);
	run(4, MDS_CACHE);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(fake.done, 8);
	ck_assert_int_eq(fake.false_retries, 0);
	/* Who wants to know gets it. */
	atomic_store(&fake.delay, 1);
	run(1, MDS_NO_DELAY);
	ck_assert_int_eq(requests[0].status, -EAGAIN);
}
END_TEST

START_TEST(status_flags)
{
	atomic_store(&fake.flags, SEQ4_STATUS_ADMIN_STATE_REVOKED);
	run(1, 0);
	ck_assert_int_eq(requests[0].revocations, 1);	/* before whoever acts on that answer */
	run(1, 0);
	ck_assert_int_eq(revocations, 1);
	int binds = fake.binds;
	atomic_store(&fake.flags, SEQ4_STATUS_CB_PATH_DOWN);
	run(1, 0);
	run(1, 0);
	for (unsigned i = 0; i < 100 && fake.binds == binds; i++)
		usleep(10000);
	ck_assert_int_eq(fake.binds, binds + 1);
	ck_assert_int_eq(bad, 0);
}
END_TEST

START_TEST(minor_version_1)
{
	setup_with(0, true);
	run(3, 0);
	ck_assert_int_eq(bad, 0);
	ck_assert_uint_eq(mds.minor, 1);
	teardown();
}
END_TEST

/* A server that says nothing: the caller is let go, and the slot comes back later. */
START_TEST(timeout)
{
	setup_with(1, false);
	atomic_store(&fake.silent, 3);
	run(3, MDS_CACHE);
	ck_assert_int_eq(bad, 3);
	ck_assert_int_eq(requests[0].status, -ETIMEDOUT);
	atomic_store(&bad, 0);
	run(4, MDS_CACHE);		/* on the other slots */
	ck_assert_int_eq(bad, 0);
	ck_assert_uint_ge(fake.max_slot, 3);
	/* With a new connection it is asked what became of the three. */
	atomic_store(&fake.drop_after, 1);
	run(1, MDS_CACHE);
	run(REQUESTS, MDS_CACHE);
	ck_assert_int_eq(bad, 0);
	ck_assert_int_eq(fake.false_retries, 0);
	teardown();
}
END_TEST

/* ---- callbacks ---- */

static uint32_t
cb_make(uint8_t *buf, uint32_t size, uint32_t slot, uint32_t seqid, uint32_t op, const referring_call_list4 *refer)
{
	struct compound_call c;
	CB_SEQUENCE4args seq = { .csa_sequenceid = seqid, .csa_slotid = slot };
	CB_RECALL_SLOT4args recall = { .rsa_target_highest_slotid = 3 };
	referring_call_list4 list;
	memcpy(seq.csa_sessionid, mds.session, sizeof seq.csa_sessionid);
	if (refer) {
		list = *refer;
		seq.csa_referring_call_lists.csa_referring_call_lists_len = 1;
		seq.csa_referring_call_lists.csa_referring_call_lists_val = &list;
	}
	compound_cb_begin(&c, buf, size, "t", mds.minor, 0);
	compound_call_op(&c, OP_CB_SEQUENCE, &seq);
	if (op == OP_CB_RECALL_SLOT)
		compound_call_op(&c, op, &recall);
	else if (!ax_put_u32(&c.xdrs, op))
		ck_abort();
	else
		c.count++;
	return compound_call_end(&c);
}

static nfsstat4
cb_status(void)
{
	uint32_t word;
	ck_assert_uint_ge(fake.cb_len, 4);
	memcpy(&word, fake.cb_reply, 4);
	return (nfsstat4)be32toh(word);
}

/* The answer taken apart: CB_SEQUENCE's and the other operation's status, and what CB_SEQUENCE says. */
static void
cb_check(uint32_t slot, uint32_t seqid, uint32_t op, nfsstat4 status)
{
	struct compound_results r;
	struct arena arena;
	nfs_cb_resop4 res;
	arena_init(&arena, 0);
	ck_assert_int_eq(compound_results_begin(&r, fake.cb_reply, fake.cb_len, &arena), 0);
	ck_assert_int_eq(r.status, status);
	ck_assert_uint_eq(r.left, 2);
	ck_assert_int_eq(compound_cb_res_get(&r, OP_CB_SEQUENCE, &res), 0);
	const CB_SEQUENCE4res *seq = &res.nfs_cb_resop4_u.opcbsequence;
	ck_assert_int_eq(seq->csr_status, NFS4_OK);
	const CB_SEQUENCE4resok *ok = &seq->CB_SEQUENCE4res_u.csr_resok4;
	ck_assert_mem_eq(ok->csr_sessionid, mds.session, sizeof mds.session);
	ck_assert_uint_eq(ok->csr_sequenceid, seqid);
	ck_assert_uint_eq(ok->csr_slotid, slot);
	ck_assert_uint_eq(ok->csr_highest_slotid, CB_CHANNEL_SLOTS - 1);
	ck_assert_int_eq(compound_cb_res_get(&r, op, &res), 0);
	ck_assert_int_eq(res.nfs_cb_resop4_u.opcbrecall_slot.rsr_status, status);
	ck_assert_uint_eq(ax_left(&r.xdrs), 0);
	arena_destroy(&arena);
}

START_TEST(callback_slots)
{
	uint8_t buf[1024], first[1024];
	uint32_t len = cb_make(buf, sizeof buf, 0, 1, OP_CB_RECALL_SLOT, NULL);
	fake_callback(&fake, buf, len, 5000);
	ck_assert_int_eq(cb_status(), NFS4_OK);
	ck_assert_int_eq(callbacks, 1);
	cb_check(0, 1, OP_CB_RECALL_SLOT, NFS4_OK);
	uint32_t first_len = fake.cb_len;
	memcpy(first, fake.cb_reply, first_len);
	/* A repetition: the same answer, and nothing is done. */
	fake_callback(&fake, buf, len, 5000);
	ck_assert_uint_eq(fake.cb_len, first_len);
	ck_assert_mem_eq(fake.cb_reply, first, first_len);
	ck_assert_int_eq(callbacks, 1);
	len = cb_make(buf, sizeof buf, 0, 5, OP_CB_RECALL_SLOT, NULL);
	fake_callback(&fake, buf, len, 5000);
	ck_assert_int_eq(cb_status(), NFS4ERR_SEQ_MISORDERED);
	len = cb_make(buf, sizeof buf, CB_CHANNEL_SLOTS, 1, OP_CB_RECALL_SLOT, NULL);
	fake_callback(&fake, buf, len, 5000);
	ck_assert_int_eq(cb_status(), NFS4ERR_BADSLOT);
	len = cb_make(buf, sizeof buf, 0, 2, 99, NULL);
	fake_callback(&fake, buf, len, 5000);
	cb_check(0, 2, OP_CB_ILLEGAL, NFS4ERR_OP_ILLEGAL);
	len = cb_make(buf, sizeof buf, 0, 3, OP_CB_RECALLABLE_OBJ_AVAIL, NULL);
	fake_callback(&fake, buf, len, 5000);
	cb_check(0, 3, OP_CB_RECALLABLE_OBJ_AVAIL, NFS4ERR_BADXDR);	/* its arguments are missing */
	len = cb_make(buf, sizeof buf, 1, 1, OP_CB_RECALL_SLOT, NULL);
	buf[len / 2] ^= 0xff;		/* somewhere in the session ID or behind it */
	fake_callback(&fake, buf, len, 5000);
	ck_assert_int_ne(cb_status(), NFS4_OK);
	ck_assert_int_eq(callbacks, 1);
}
END_TEST

/* It refers to a request that is not answered yet: it waits for that, and is done then. */
START_TEST(referring_calls)
{
	uint8_t buf[1024];
	referring_call4 call = { .rc_slotid = 0 };
	referring_call_list4 list = { .rcl_referring_calls = { .rcl_referring_calls_len = 1, .rcl_referring_calls_val = &call } };
	run(1, 0);
	memcpy(list.rcl_sessionid, mds.session, sizeof list.rcl_sessionid);
	call.rc_sequenceid = mds.slots[0].seqid;	/* the next one of slot 0 */
	atomic_store(&fake.silent, 1);
	memset(requests, 0, sizeof requests);
	requests[0].req = (struct mds_req){ .build = request_build, .done = request_done };
	requests[0].work.fn = request_start;
	loop_post(loop, &requests[0].work);
	for (unsigned i = 0; i < 200 && fake.silent; i++)
		usleep(10000);
	uint32_t len = cb_make(buf, sizeof buf, 2, 1, OP_CB_RECALL_SLOT, &list);
	fake_callback(&fake, buf, len, 300);
	ck_assert_uint_eq(fake.cb_len, 0);
	ck_assert_int_eq(callbacks, 0);
	/* Others are not held up. */
	uint8_t other[1024];
	uint32_t other_len = cb_make(other, sizeof other, 3, 1, OP_CB_RECALL_SLOT, NULL);
	fake_callback(&fake, other, other_len, 5000);
	ck_assert_int_eq(cb_status(), NFS4_OK);
	ck_assert_int_eq(callbacks, 1);
	/* The connection goes, the request is sent again and answered; the callback went with the connection. */
	pthread_mutex_lock(&fake.lock);
	shutdown(fake.conn, SHUT_RDWR);
	pthread_mutex_unlock(&fake.lock);
	wait_for(&ended);
	ck_assert_int_eq(requests[0].status, 0);
	ck_assert_int_eq(callbacks, 1);
	fake_callback(&fake, buf, len, 5000);
	ck_assert_int_eq(cb_status(), NFS4_OK);
	ck_assert_int_eq(callbacks, 2);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("mds");
	TCase *t = tcase_create("requests");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
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
	tcase_add_test(t, callback_slots);
	tcase_add_test(t, referring_calls);
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
