/* LOCK, LOCKT, LOCKU, TEST_STATEID, FREE_STATEID as a client sees them. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/server/nfs4/open_fake.h"

static nfsstat4
do_lock(nfs_lock_type4 type, uint64_t offset, uint64_t length, const stateid4 *open_sid, const char *owner)
{
	LOCK4args *a = &of->arg.nfs_argop4_u.oplock;

	*a = (LOCK4args){ .locktype = type, .offset = offset, .length = length };
	a->locker.new_lock_owner = owner != NULL;
	if (owner) {
		open_to_lock_owner4 *o = &a->locker.locker4_u.open_owner;
		o->open_stateid = *open_sid;
		o->lock_owner.owner.owner_val = (char *)(uintptr_t)owner;
		o->lock_owner.owner.owner_len = (u_int)strlen(owner);
	} else {
		a->locker.locker4_u.lock_owner.lock_stateid = *open_sid;
	}
	return open_fake_run(op_lock);
}

static nfsstat4
do_locku(const stateid4 *sid, uint64_t offset, uint64_t length)
{
	of->arg.nfs_argop4_u.oplocku = (LOCKU4args){ .locktype = READ_LT, .lock_stateid = *sid, .offset = offset,
		.length = length };
	return open_fake_run(op_locku);
}

static nfsstat4
do_lockt(nfs_lock_type4 type, uint64_t offset, uint64_t length, const char *owner)
{
	LOCKT4args *a = &of->arg.nfs_argop4_u.oplockt;

	*a = (LOCKT4args){ .locktype = type, .offset = offset, .length = length };
	a->owner.owner.owner_val = (char *)(uintptr_t)owner;
	a->owner.owner.owner_len = (u_int)strlen(owner);
	return open_fake_run(op_lockt);
}

START_TEST(lock_ranges)
{
	static const struct { uint64_t offset, length; nfsstat4 want; } t[] = {
		{ 0, 0, NFS4ERR_INVAL }, { 5, 0, NFS4ERR_INVAL }, { 1, UINT64_MAX - 1, NFS4_OK },
		{ 2, UINT64_MAX - 1, NFS4ERR_INVAL }, { UINT64_MAX, 1, NFS4ERR_INVAL }, { UINT64_MAX, UINT64_MAX, NFS4_OK },
		{ 0, UINT64_MAX, NFS4_OK }, { UINT64_MAX - 1, 1, NFS4_OK },
	};
	struct open_fake_file *f = open_fake_add("f", S_IFREG | 0644, 1000);
	ck_assert_int_eq(open_fake_open("f", 3, 0), NFS4_OK);
	stateid4 open_sid = open_fake_ok()->stateid;
	for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
		ck_assert_int_eq(do_lock(WRITE_LT, t[i].offset, t[i].length, &open_sid, "l"), t[i].want);
		ck_assert_int_eq(do_lockt(WRITE_LT, t[i].offset, t[i].length, "l"), t[i].want);
	}
	ck_assert_int_eq(do_lock(0, 0, 1, &open_sid, "l"), NFS4ERR_INVAL);
	ck_assert_int_eq(do_lock(5, 0, 1, &open_sid, "l"), NFS4ERR_INVAL);
	open_fake_cd(&of->file[0]);
	ck_assert_int_eq(do_lockt(READ_LT, 0, 1, "l"), NFS4ERR_ISDIR);
	ck_assert_int_eq(do_lock(READ_LT, 0, 1, &open_sid, "l"), NFS4ERR_ISDIR);
	open_fake_cd(f);
}
END_TEST

START_TEST(lock_denied)
{
	open_fake_add("f", S_IFREG | 0666, 1000);
	ck_assert_int_eq(open_fake_open("f", 3, 0), NFS4_OK);
	stateid4 open_sid = open_fake_ok()->stateid;
	ck_assert_int_eq(do_lock(WRITEW_LT, 100, UINT64_MAX, &open_sid, "first"), NFS4_OK);
	stateid4 lock_sid = of->res.nfs_resop4_u.oplock.LOCK4res_u.resok4.lock_stateid;
	ck_assert_uint_eq(lock_sid.seqid, 1);
	ck_assert_mem_eq(&of->c.cur_sid, &lock_sid, sizeof lock_sid);

	open_fake_be(1, 2000);
	ck_assert_int_eq(open_fake_open("f", 1, 0), NFS4_OK);
	stateid4 other = open_fake_ok()->stateid;
	ck_assert_int_eq(do_lock(WRITE_LT, 0, 10, &other, "second"), NFS4ERR_OPENMODE);
	ck_assert_int_eq(do_lock(READW_LT, 50, 100, &other, "second"), NFS4ERR_DENIED);
	const LOCK4denied *d = &of->res.nfs_resop4_u.oplock.LOCK4res_u.denied;
	ck_assert(d->offset == 100 && d->length == UINT64_MAX && d->locktype == WRITE_LT && d->owner.clientid == 51);
	ck_assert_uint_eq(d->owner.owner.owner_len, 5);
	ck_assert_mem_eq(d->owner.owner.owner_val, "first", 5);
	ck_assert_uint_eq(of->client[1].nstates, 1);	/* no lock state of a denied lock */
	ck_assert_int_eq(do_lockt(READ_LT, 150, 1, "first"), NFS4ERR_DENIED);	/* same name, another client */
	ck_assert_int_eq(do_lockt(READ_LT, 99, 1, "x"), NFS4_OK);
	of->arg.nfs_argop4_u.oplock.reclaim = false;
	fake_grace = true;
	ck_assert_int_eq(do_lock(READ_LT, 0, 1, &other, "second"), NFS4ERR_GRACE);
	ck_assert_int_eq(do_lockt(READ_LT, 0, 1, "second"), NFS4ERR_GRACE);
	do_lock(READ_LT, 100, 1, &other, "second");
	of->arg.nfs_argop4_u.oplock.reclaim = true;
	ck_assert_int_eq(open_fake_run(op_lock), NFS4ERR_RECLAIM_CONFLICT);
	fake_grace = false;
	fake_reclaim = NFS4ERR_NO_GRACE;
	ck_assert_int_eq(open_fake_run(op_lock), NFS4ERR_NO_GRACE);

	/* Stateids of the wrong kind, and of the wrong client. */
	ck_assert_int_eq(do_lock(READ_LT, 0, 1, &other, NULL), NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(do_lock(READ_LT, 0, 1, &open_sid, "second"), NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(do_locku(&other, 0, 1), NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(do_locku(&lock_sid, 0, 1), NFS4ERR_BAD_STATEID);
}
END_TEST

START_TEST(lock_unlock_current)
{
	open_fake_add("f", S_IFREG | 0644, 1000);
	ck_assert_int_eq(open_fake_open("f", 3, 0), NFS4_OK);
	ck_assert_int_eq(do_lock(READ_LT, 0, 10, &open_fake_current, "l"), NFS4_OK);
	ck_assert_int_eq(do_lock(WRITE_LT, 0, 10, &open_fake_current, NULL), NFS4_OK);
	stateid4 old = of->c.cur_sid;
	ck_assert_int_eq(do_locku(&open_fake_current, 0, 5), NFS4_OK);
	ck_assert_uint_eq(of->c.cur_sid.seqid, 3);
	ck_assert_int_eq(do_locku(&old, 0, 5), NFS4ERR_OLD_STATEID);
	old.seqid = 9;
	ck_assert_int_eq(do_locku(&old, 0, 5), NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(do_locku(&open_fake_current, 7, 0), NFS4ERR_INVAL);
	ck_assert_uint_eq(of->client[0].nranges, 1);
}
END_TEST

static nfsstat4
do_free(const stateid4 *sid)
{
	of->arg.nfs_argop4_u.opfree_stateid.fsa_stateid = *sid;
	return open_fake_run(op_free_stateid);
}

START_TEST(test_and_free)
{
	stateid4 zero = { 0 }, ones = { .seqid = UINT32_MAX }, list[7];
	memset(ones.other, 0xff, sizeof ones.other);

	open_fake_add("f", S_IFREG | 0644, 1000);
	ck_assert_int_eq(open_fake_open("f", 3, 0), NFS4_OK);
	stateid4 open_sid = open_fake_ok()->stateid;
	ck_assert_int_eq(do_lock(READ_LT, 0, 10, &open_sid, "l"), NFS4_OK);
	stateid4 lock_sid = of->c.cur_sid;
	/* By kind (PITFALLS D7). */
	ck_assert_int_eq(do_free(&open_sid), NFS4ERR_LOCKS_HELD);
	ck_assert_int_eq(do_free(&lock_sid), NFS4ERR_LOCKS_HELD);
	ck_assert_int_eq(do_locku(&lock_sid, 0, 20), NFS4_OK);
	ck_assert_int_eq(do_free(&lock_sid), NFS4ERR_OLD_STATEID);
	lock_sid.seqid = 2;
	open_fake_be(1, 1000);
	ck_assert_int_eq(do_free(&lock_sid), NFS4ERR_BAD_STATEID);	/* another client's */
	open_fake_be(0, 1000);
	ck_assert_int_eq(do_free(&open_fake_current), NFS4ERR_BAD_STATEID);

	stateid4 older = lock_sid, later = lock_sid, foreign = open_sid;
	older.seqid = 1;
	later.seqid = 3;
	foreign.other[0] ^= 1;			/* of another life of the server */
	memcpy(list, (stateid4[]){ open_sid, lock_sid, older, later, foreign, zero, ones }, sizeof list);
	static const nfsstat4 want[] = { NFS4_OK, NFS4_OK, NFS4ERR_OLD_STATEID, NFS4ERR_BAD_STATEID, NFS4ERR_BAD_STATEID,
		NFS4ERR_BAD_STATEID, NFS4ERR_BAD_STATEID };
	TEST_STATEID4args *a = &of->arg.nfs_argop4_u.optest_stateid;
	a->ts_stateids.ts_stateids_len = 7;
	a->ts_stateids.ts_stateids_val = list;
	ck_assert_int_eq(open_fake_run(op_test_stateid), NFS4_OK);
	const TEST_STATEID4resok *ok = &of->res.nfs_resop4_u.optest_stateid.TEST_STATEID4res_u.tsr_resok4;
	ck_assert_uint_eq(ok->tsr_status_codes.tsr_status_codes_len, 7);
	ck_assert_mem_eq(ok->tsr_status_codes.tsr_status_codes_val, want, sizeof want);
	a->ts_stateids.ts_stateids_len = 0;
	ck_assert_int_eq(open_fake_run(op_test_stateid), NFS4_OK);
	a->ts_stateids.ts_stateids_len = 5000;		/* more than the reply may hold: not even looked at */
	ck_assert_int_eq(open_fake_run(op_test_stateid), NFS4ERR_REP_TOO_BIG);

	ck_assert_int_eq(do_free(&lock_sid), NFS4_OK);
	ck_assert_int_eq(do_free(&lock_sid), NFS4ERR_BAD_STATEID);
	/* Revoked: freed, whatever it was. */
	pthread_mutex_lock(&of->mds.state_lock);
	state_lookup_locked(&of->mds, &of->client[0], &open_sid)->revoked = true;
	pthread_mutex_unlock(&of->mds.state_lock);
	open_fake_cd(open_fake_find("f"));
	ck_assert_int_eq(open_fake_close(open_sid), NFS4ERR_ADMIN_REVOKED);
	ck_assert_int_eq(do_free(&open_sid), NFS4_OK);
	ck_assert_uint_eq(of->client[0].nstates, 0);
}
END_TEST

/* The blocking types: in OPEN the word that there may be a callback, for those that have a backchannel; in LOCK a place in the queue (RFC 8881 9.6, 18.16.4, 20.11). */
START_TEST(lock_blocking)
{
	open_fake_add("f", S_IFREG | 0666, 1000);
	of->client[1].nback = 1;
	ck_assert_int_eq(open_fake_open("f", 3, 0), NFS4_OK);
	ck_assert_uint_eq(open_fake_ok()->rflags, OPEN4_RESULT_LOCKTYPE_POSIX);
	stateid4 mine = open_fake_ok()->stateid;
	ck_assert_int_eq(do_lock(WRITE_LT, 0, 10, &mine, "first"), NFS4_OK);
	stateid4 held = of->c.cur_sid;

	open_fake_be(1, 2000);
	ck_assert_int_eq(open_fake_open("f", 3, 0), NFS4_OK);
	ck_assert_uint_eq(open_fake_ok()->rflags, OPEN4_RESULT_LOCKTYPE_POSIX | OPEN4_RESULT_MAY_NOTIFY_LOCK);
	stateid4 theirs = open_fake_ok()->stateid;
	ck_assert_int_eq(do_lock(WRITE_LT, 5, 1, &theirs, "polls"), NFS4ERR_DENIED);
	ck_assert_int_eq(do_lock(WRITEW_LT, 5, 10, &theirs, "waits"), NFS4ERR_DENIED);
	ck_assert_mem_eq(of->res.nfs_resop4_u.oplock.LOCK4res_u.denied.owner.owner.owner_val, "first", 5);
	ck_assert_uint_eq(of->client[1].nwaits, 1);
	ck_assert_uint_eq(of->client[1].nstates, 1);

	open_fake_be(0, 1000);
	open_fake_cd(open_fake_find("f"));
	ck_assert_int_eq(do_locku(&held, 0, 10), NFS4_OK);
	fake_workers_run();
	ck_assert_uint_eq(fake_callback.n, 1);
	ck_assert_uint_eq(fake_callback.op, OP_CB_NOTIFY_LOCK);
	ck_assert_str_eq(fake_callback.owner, "waits");
	fake_callback.done(&of->mds, fake_callback.arg, NFS4_OK);
	/* It is the other one's turn, and so the answer says who is in the way; who does not wait may have it in between. */
	ck_assert_int_eq(do_lock(READW_LT, 0, 6, &mine, "first"), NFS4ERR_DENIED);
	const LOCK4denied *d = &of->res.nfs_resop4_u.oplock.LOCK4res_u.denied;
	ck_assert(d->offset == 5 && d->length == 10 && d->locktype == WRITE_LT && d->owner.clientid == 52);
	ck_assert_mem_eq(d->owner.owner.owner_val, "waits", 5);
	ck_assert_uint_eq(of->client[0].nwaits, 0);	/* was told of no callback */
	ck_assert_int_eq(do_lock(WRITE_LT, 8, 1, &held, NULL), NFS4ERR_OLD_STATEID);
	open_fake_be(1, 2000);
	open_fake_cd(open_fake_find("f"));
	ck_assert_int_eq(do_lock(WRITEW_LT, 5, 10, &theirs, "waits"), NFS4_OK);
	ck_assert_uint_eq(of->client[1].nwaits, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("op_lock");
	TCase *tc = tcase_create("op_lock");
	tcase_add_checked_fixture(tc, open_fake_setup, open_fake_teardown);
	tcase_add_test(tc, lock_ranges);
	tcase_add_test(tc, lock_denied);
	tcase_add_test(tc, lock_blocking);
	tcase_add_test(tc, lock_unlock_current);
	tcase_add_test(tc, test_and_free);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
