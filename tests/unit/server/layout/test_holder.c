/* Cutting clients off: deadline, target, clients that go (fake_layout.h). */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/server/layout/fake_layout.h"

#define NOBODY FAKE_CLIENTS

static struct fake_file *file;
static stateid4 held;

/* Client 0 holds 16 blocks of a file for writing. */
static void
setup_type(uint32_t type)
{
	fake_world_init(type);
	file = fake_file_new(16 * U);
	stateid4 open = fake_open(0, file, true);
	struct fake_got got = fake_get(0, file, &open, true, 0, 16 * U);
	ck_assert_int_eq(got.status, NFS4_OK);
	held = got.a.sid;
	w.slot[0][0].seqid++;		/* the reply has arrived: the slot has moved on */
}

static void
setup(void)
{
	setup_type(LAYOUT4_SCSI);
}

static void
setup_block(void)
{
	setup_type(LAYOUT4_BLOCK_VOLUME);
}

static void
teardown(void)
{
	fake_world_end();
}

static nfsstat4
way(unsigned c, enum layout_need need, uint64_t offset, uint64_t length)
{
	return layout_make_way(&w.mds, file->inode, c == NOBODY ? NULL : &w.client[c], need, offset, length);
}

static nfsstat4
truncate_all(void)
{
	return way(1, LAYOUT_NEED_BLOCKS, 0, UINT64_MAX);
}

static bool
give_back(unsigned c, const stateid4 *sid, uint64_t offset, uint64_t length)
{
	stateid4 s = *sid;
	bool present;
	ck_assert_int_eq(fake_return(c, file, &s, offset, length, &present), NFS4_OK);
	return present;
}

/* ---- the deadline (B1, B2, B14) ---- */

START_TEST(deadline)
{
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_answer(0, NFS4_OK);
	fake_pass(29900);
	ck_assert_uint_eq(w.nfenced, 0);
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_pass(200);
	ck_assert_uint_eq(w.nfenced, 1);
	ck_assert_uint_eq(w.fenced_key[0], 0x1000);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	/* The client is told, refused, and its stateid says why. */
	ck_assert(w.client[0].fenced);
	ck_assert_uint_ne(w.client[0].pr_key, 0x1000);
	ck_assert_uint_eq(w.rekeyed[0], 1);	/* the device's address is another one for it */
	ck_assert_uint_eq(w.rekeyed[1], 0);
	ck_assert(atomic_load(&w.client[0].seq_flags) & SEQ4_STATUS_RECALLABLE_STATE_REVOKED);
	ck_assert_int_eq(fake_get(0, file, &held, true, 0, U).status, NFS4ERR_DELEG_REVOKED);
	ck_assert_int_eq(fake_commit(0, file, &held, NULL, 0), NFS4ERR_DELEG_REVOKED);		/* A28 */
	ck_assert_int_eq(file->commits, 0);
	/* It gives back what it does not have any more (RFC 8154 2.4.10.5): it may begin anew. */
	ck_assert(!give_back(0, &held, 0, UINT64_MAX));
	ck_assert(!w.client[0].fenced);
	ck_assert(!(atomic_load(&w.client[0].seq_flags) & SEQ4_STATUS_RECALLABLE_STATE_REVOKED));
	ck_assert_int_eq(fake_commit(0, file, &held, NULL, 0), NFS4ERR_BADLAYOUT);
	fake_pass(2000);
	stateid4 open = fake_open(0, file, true);
	ck_assert_int_eq(fake_get(0, file, &open, true, 0, U).status, NFS4_OK);
}
END_TEST

/* A client that says nothing about it: it is over when the slot of a refused LAYOUTGET has moved on. */
START_TEST(fence_noticed_by_the_flag)
{
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_pass(30200);
	ck_assert_uint_eq(w.nfenced, 1);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	fake_pass(2000);
	stateid4 open = fake_open(0, file, true);
	struct fake_got got = fake_get(0, file, &open, true, 0, U);
	ck_assert_int_eq(got.status, NFS4ERR_LAYOUTTRYLATER);
	ck_assert_int_eq(got.a.why, REASON_FENCED);
	got = fake_get(0, file, &open, true, 0, U);
	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert(!w.client[0].fenced);
	/* What was revoked is forgotten. */
	bool present;
	ck_assert_int_eq(fake_return(0, file, &held, 0, UINT64_MAX, &present), NFS4ERR_BAD_STATEID);
}
END_TEST

/* A device that had no part in the first fence knows the client by the key of before: that one goes, too. */
START_TEST(former_keys_are_cut_off)
{
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_pass(30200);
	ck_assert_uint_eq(w.nfenced, 1);
	ck_assert(!give_back(0, &held, 0, UINT64_MAX));
	fake_pass(2000);
	stateid4 open = fake_open(0, file, true);
	ck_assert_int_eq(fake_get(0, file, &open, true, 0, U).status, NFS4_OK);
	uint64_t key = w.client[0].pr_key;
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_pass(30200);
	ck_assert_uint_eq(w.nfenced, 3);
	ck_assert_uint_eq(w.fenced_key[1], 0x1000);
	ck_assert_uint_eq(w.fenced_key[2], key);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
}
END_TEST

static stateid4 sid_in_fence;

static void
return_in_fence(void)
{
	w.in_fence = NULL;
	sid_in_fence = held;
	give_back(0, &sid_in_fence, 0, UINT64_MAX);
}

/* PITFALLS B14: the return arrives just before, just after, and during. */
START_TEST(return_at_the_deadline)
{
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_answer(0, NFS4_OK);
	/* The fencer is queued, and the return comes before it runs. */
	w.now_ms += 30001;
	layouts_tick(&w.mds);
	ck_assert(!give_back(0, &held, 0, UINT64_MAX));
	fake_workers_run();
	ck_assert_uint_eq(w.nfenced, 0);
	ck_assert(!w.client[0].fenced);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	fake_pass(2000);

	stateid4 open = fake_open(0, file, true);
	struct fake_got got = fake_get(0, file, &open, true, 0, 16 * U);
	ck_assert_int_eq(got.status, NFS4_OK);
	held = got.a.sid;
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	w.in_fence = return_in_fence;
	fake_pass(30200);
	/* The target was told: the client is cut off, whether it has returned or not. */
	ck_assert_uint_eq(w.nfenced, 1);
	ck_assert(w.client[0].fenced);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	fake_pass(100000);
	ck_assert_uint_eq(w.nfenced, 1);
}
END_TEST

/* PITFALLS B2, B13: not confirmed means not free, however long it takes. */
START_TEST(fence_fails_then_succeeds)
{
	w.fence_result = -ETIMEDOUT;
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_pass(30200);
	ck_assert_uint_eq(w.nfenced, 1);
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	stateid4 other = fake_open(1, file, true);
	ck_assert_int_eq(fake_get(1, file, &other, false, 0, U).status, NFS4ERR_LAYOUTTRYLATER);
	/* Nothing new for the client that is being cut off. */
	struct fake_file *second = fake_file_new(16 * U);
	stateid4 open = fake_open(0, second, true);
	ck_assert_int_eq(fake_get(0, second, &open, true, 0, U).status, NFS4ERR_LAYOUTTRYLATER);
	fake_pass(120000);
	ck_assert_uint_ge(w.nfenced, 5);
	ck_assert_uint_le(w.nfenced, 10);		/* with growing pauses */
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	w.fence_result = 0;
	fake_pass(31000);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	unsigned n = w.nfenced;
	fake_pass(100000);
	ck_assert_uint_eq(w.nfenced, n);
}
END_TEST

/* Once the target was told, only its confirmation ends it: the client may be half cut off. */
START_TEST(return_while_the_fence_fails)
{
	w.fence_result = -EIO;
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	w.in_fence = return_in_fence;
	fake_pass(30200);
	ck_assert_uint_eq(w.nfenced, 1);
	ck_assert(!w.client[0].fenced);
	w.fence_result = 0;
	fake_pass(2000);
	ck_assert_uint_eq(w.nfenced, 2);
	ck_assert(w.client[0].fenced);
}
END_TEST

/* PITFALLS B4 */
START_TEST(fifty_files_one_preempt)
{
	struct fake_file *many[50];

	for (unsigned i = 0; i < 50; i++) {
		many[i] = fake_file_new(16 * U);
		stateid4 open = fake_open(0, many[i], true);
		ck_assert_int_eq(fake_get(0, many[i], &open, true, 0, U).status, NFS4_OK);
		w.slot[0][0].seqid++;
		ck_assert_int_eq(layout_make_way(&w.mds, many[i]->inode, &w.client[1], LAYOUT_NEED_BLOCKS, 0, UINT64_MAX),
		    NFS4ERR_DELAY);
	}
	ck_assert_uint_eq(w.nsent, 50);
	fake_pass(60000);
	ck_assert_uint_eq(w.nfenced, 1);
	for (unsigned i = 0; i < 50; i++)
		ck_assert_int_eq(layout_make_way(&w.mds, many[i]->inode, &w.client[1], LAYOUT_NEED_BLOCKS, 0, UINT64_MAX),
		    NFS4_OK);
	/* The one nobody asked for went with the rest: the key is gone for all of the LU (RFC 8154 2.4.4). */
	ck_assert_ptr_null(layout_find_locked(file->inode, &w.client[0]));
}
END_TEST

/* ---- clients that go ---- */

static void
client_gone(unsigned c, enum layout_gone why)
{
	pthread_mutex_lock(&w.mds.state_lock);
	w.client[c].removed = w.client[c].expired = true;
	layout_client_gone_locked(&w.mds, &w.client[c], why);
	fake_client_release(&w.mds, &w.client[c]);
	pthread_mutex_unlock(&w.mds.state_lock);
}

/* PITFALLS A35 */
START_TEST(expired)
{
	w.fence_result = -EIO;
	client_gone(0, LAYOUT_GONE_EXPIRED);
	fake_pass(5000);
	ck_assert_uint_ge(w.nfenced, 1);
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);	/* not confirmed */
	ck_assert_uint_eq(w.nsent, 0);
	w.fence_result = 0;
	fake_pass(31000);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	ck_assert_uint_eq(file->leased, file->unleased);
}
END_TEST

static void
client_lapses(unsigned c)
{
	pthread_mutex_lock(&w.mds.state_lock);
	w.client[c].lapsed = true;
	layout_client_lapsed_locked(&w.mds, &w.client[c]);
	pthread_mutex_unlock(&w.mds.state_lock);
}

/* Its lease is over, but it is not taken down: no layout is kept by courtesy (PITFALLS D11).  It is told when it comes back. */
START_TEST(lapsed)
{
	w.fence_result = -EIO;
	fake_pass(91000);
	client_lapses(0);
	fake_pass(5000);
	ck_assert_uint_ge(w.nfenced, 1);
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);	/* not confirmed */
	w.fence_result = 0;
	fake_pass(31000);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	ck_assert(w.client[0].fenced && w.client[0].seq_flags & SEQ4_STATUS_RECALLABLE_STATE_REVOKED);
	ck_assert_uint_eq(w.fenced_key[0], 0x1000);
	ck_assert_uint_ne(w.client[0].pr_key, 0x1000);
}
END_TEST

/* It came back before anything was done to it. */
START_TEST(lapsed_and_back)
{
	fake_pass(91000);
	client_lapses(0);
	atomic_store(&w.client[0].renewed_ms, w.now_ms);
	fake_pass(1000);
	ck_assert_uint_eq(w.nfenced, 0);
	ck_assert(!w.client[0].fenced);
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	ck_assert_uint_eq(w.nsent, 1);				/* asked, as anybody who is there */
}
END_TEST

START_TEST(replaced_and_destroyed)
{
	client_gone(0, LAYOUT_GONE_REPLACED);
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);	/* its old key comes off first */
	fake_workers_run();
	ck_assert_uint_eq(w.nfenced, 1);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	fake_pass(2000);
	stateid4 open = fake_open(2, file, true);
	ck_assert_int_eq(fake_get(2, file, &open, true, 0, U).status, NFS4_OK);
	client_gone(2, LAYOUT_GONE_DESTROYED);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	ck_assert_uint_eq(w.nfenced, 1);
}
END_TEST

/* The lease runs out while a recall is under way, its callback unanswered. */
START_TEST(expired_while_recalled)
{
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	client_gone(0, LAYOUT_GONE_EXPIRED);
	fake_answer(0, -ECONNRESET);
	fake_workers_run();
	ck_assert_uint_eq(w.nfenced, 1);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
}
END_TEST

/* ---- on record (PITFALLS B6) ---- */

/* Before the first layout, once for all files, and by the new key after a fence. */
START_TEST(recorded_first)
{
	ck_assert_uint_eq(w.non_disk, 1);
	ck_assert_uint_eq(w.on_disk[0].clientid, w.client[0].id);
	ck_assert_uint_eq(w.on_disk[0].key, 0x1000);
	struct fake_file *second = fake_file_new(16 * U);
	stateid4 open = fake_open(0, second, true);
	ck_assert_int_eq(fake_get(0, second, &open, true, 0, U).status, NFS4_OK);
	ck_assert_uint_eq(w.nstable, 1);
	/* No record, no layout. */
	w.stable_err = -ENOSPC;
	stateid4 other = fake_open(1, second, true);
	struct fake_got got = fake_get(1, second, &other, false, 8 * U, U);
	ck_assert_int_eq(got.status, NFS4ERR_LAYOUTUNAVAILABLE);
	ck_assert_int_eq(got.a.why, REASON_IO_ERROR);
	ck_assert_ptr_null(layout_find_locked(second->inode, &w.client[1]));
	w.stable_err = 0;
	/* Returned: it may come again at any time. */
	ck_assert(!give_back(0, &held, 0, UINT64_MAX));
	records_sweep(&w.mds, false);
	ck_assert_uint_eq(w.non_disk, 1);
	client_gone(0, LAYOUT_GONE_DESTROYED);
	records_sweep(&w.mds, false);
	ck_assert_uint_eq(w.non_disk, 0);
}
END_TEST

/* The client is long gone, but its fence is not confirmed: a server that is killed now must know of it. */
START_TEST(recorded_until_confirmed)
{
	w.fence_result = -EIO;
	client_gone(0, LAYOUT_GONE_EXPIRED);
	for (unsigned i = 0; i < 20; i++) {
		fake_pass(5000);
		records_sweep(&w.mds, false);
		ck_assert_uint_eq(w.non_disk, 1);
	}
	w.fence_result = 0;
	fake_pass(31000);
	records_sweep(&w.mds, false);
	ck_assert_uint_eq(w.non_disk, 0);
}
END_TEST

START_TEST(recorded_until_time_is_over)
{
	w.fence_result = -EOPNOTSUPP;
	w.now_ms += 91000;
	client_gone(0, LAYOUT_GONE_EXPIRED);
	fake_pass(28000);
	records_sweep(&w.mds, false);
	ck_assert_uint_eq(w.non_disk, 1);
	fake_pass(2000);
	records_sweep(&w.mds, false);
	ck_assert_uint_eq(w.non_disk, 0);
}
END_TEST

/* At the end only those stay on record that still hold something. */
START_TEST(recorded_over_the_end)
{
	struct fake_file *second = fake_file_new(16 * U);
	stateid4 open = fake_open(1, second, true);
	struct fake_got got = fake_get(1, second, &open, true, 0, U);
	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert_uint_eq(w.non_disk, 2);
	layouts_drain(&w.mds);
	ck_assert_uint_eq(w.nsent, 2);
	ck_assert_int_eq(fake_get(1, second, &open, true, 8 * U, U).status, NFS4ERR_RECALLCONFLICT);
	stateid4 other = fake_open(2, second, true);
	ck_assert_int_eq(fake_get(2, second, &other, false, 0, U).status, NFS4ERR_LAYOUTTRYLATER);
	ck_assert(!layouts_drained(&w.mds));
	bool present;
	ck_assert_int_eq(fake_return(1, second, &got.a.sid, 0, UINT64_MAX, &present), NFS4_OK);
	got = fake_get(2, second, &other, false, 0, U);
	ck_assert_int_eq(got.status, NFS4ERR_LAYOUTTRYLATER);
	ck_assert_int_eq(got.a.why, REASON_STOPPING);
	fake_workers_run();
	ck_assert(!layouts_drained(&w.mds));
	records_sweep(&w.mds, true);
	ck_assert_uint_eq(w.non_disk, 1);
	ck_assert_uint_eq(w.on_disk[0].clientid, w.client[0].id);
	ck_assert(!give_back(0, &held, 0, UINT64_MAX));
	fake_workers_run();
	ck_assert(layouts_drained(&w.mds));
	records_sweep(&w.mds, true);
	ck_assert_uint_eq(w.non_disk, 0);
}
END_TEST

/* ---- local processes ---- */

START_TEST(local_break_of_a_silent_client)
{
	w.fence_result = -EIO;
	file->lease.broken = true;
	export_on_break(&w.mds, file->inode);
	fake_pass(40000);
	ck_assert_uint_eq(file->unleased, 0);		/* not before it is confirmed */
	w.fence_result = 0;
	fake_pass(31000);
	ck_assert_uint_eq(file->unleased, 1);
}
END_TEST

/* ---- type 3 without a fencing command: time (RFC 5663 2.3.8) ---- */

START_TEST(timed)
{
	w.fence_result = -EOPNOTSUPP;
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_pass(30100);
	ck_assert_uint_eq(w.nfenced, 1);
	uint64_t revoked = w.now_ms;
	ck_assert(w.client[0].fenced);
	ck_assert(atomic_load(&w.client[0].seq_flags) & SEQ4_STATUS_RECALLABLE_STATE_REVOKED);
	/* Known to be over for the client at once, for the blocks only after lease and maximum I/O time. */
	ck_assert(!give_back(0, &held, 0, UINT64_MAX));
	ck_assert(!w.client[0].fenced);
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	while (w.now_ms + 1000 < revoked + 120000) {
		fake_pass(500);
		ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	}
	fake_pass(1500);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	ck_assert_uint_eq(w.nfenced, 1);
}
END_TEST

/* Gone for a lease already: what is left is the maximum I/O time. */
START_TEST(timed_expired)
{
	w.fence_result = -EOPNOTSUPP;
	w.now_ms += 91000;
	uint64_t then = w.now_ms;
	client_gone(0, LAYOUT_GONE_EXPIRED);
	fake_pass(1000);
	while (w.now_ms < then + 28000) {
		ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
		fake_pass(1000);
	}
	fake_pass(2000);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
}
END_TEST

/* The same of one that is not taken down: it is told, and the time counts from when it was last heard of. */
START_TEST(timed_lapsed)
{
	w.fence_result = -EOPNOTSUPP;
	w.now_ms += 91000;
	uint64_t then = w.now_ms;
	client_lapses(0);
	fake_pass(1000);
	ck_assert(w.client[0].seq_flags & SEQ4_STATUS_RECALLABLE_STATE_REVOKED);
	while (w.now_ms < then + 28000) {
		ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
		fake_pass(1000);
	}
	fake_pass(2000);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
}
END_TEST

/*
 * The new instance is the sign that the old one issues nothing more (RFC 8881 12.7.1); what it had issued may take the maximum I/O time.  The command
 * would cut off the host, which is the new one's.
 */
START_TEST(timed_replaced)
{
	uint64_t then = w.now_ms;
	client_gone(0, LAYOUT_GONE_REPLACED);
	while (w.now_ms < then + 29000) {
		ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
		fake_pass(1000);
	}
	fake_pass(2000);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	ck_assert_uint_eq(w.nfenced, 0);
}
END_TEST

/* Its lease was over some time ago: the maximum I/O time began then. */
START_TEST(timed_replaced_late)
{
	w.now_ms += 110000;
	uint64_t then = w.now_ms;
	client_gone(0, LAYOUT_GONE_REPLACED);
	fake_pass(5000);
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_pass(6000);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	ck_assert_uint_lt(w.now_ms, then + 12000);
}
END_TEST

/* The command fails again and again: a lease and the maximum I/O time after the client was told, time has done what it did not. */
START_TEST(failing_command_gives_way_to_time)
{
	w.fence_result = -EIO;
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_pass(30100);
	ck_assert_uint_eq(w.nfenced, 1);
	uint64_t told = w.now_ms;
	ck_assert(w.client[0].fenced);
	ck_assert(atomic_load(&w.client[0].seq_flags) & SEQ4_STATUS_RECALLABLE_STATE_REVOKED);
	/* A layout would go with the next success of the command. */
	struct fake_file *second = fake_file_new(16 * U);
	stateid4 open = fake_open(0, second, true);
	ck_assert_int_eq(fake_get(0, second, &open, true, 0, U).status, NFS4ERR_LAYOUTTRYLATER);
	while (w.now_ms + 1000 < told + 120000) {
		fake_pass(1000);
		ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	}
	ck_assert_uint_ge(w.nfenced, 5);
	fake_pass(2000);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	unsigned n = w.nfenced;
	fake_pass(100000);
	ck_assert_uint_eq(w.nfenced, n);
}
END_TEST

/* The lease was over already when the command failed first: what is left is the maximum I/O time. */
START_TEST(failing_command_of_an_expired)
{
	w.fence_result = -EIO;
	w.now_ms += 91000;
	client_gone(0, LAYOUT_GONE_EXPIRED);
	fake_pass(28000);
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_pass(2000);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
}
END_TEST

/* It has seen that its layouts are gone: the command is not tried again, it may have others, and the blocks wait for the time. */
START_TEST(acknowledged_while_the_command_fails)
{
	w.fence_result = -EIO;
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_pass(30100);
	uint64_t told = w.now_ms;
	ck_assert(!give_back(0, &held, 0, UINT64_MAX));
	ck_assert(!w.client[0].fenced);
	unsigned n = w.nfenced;
	fake_pass(60000);
	ck_assert_uint_eq(w.nfenced, n);
	struct fake_file *second = fake_file_new(16 * U);
	stateid4 open = fake_open(0, second, true);
	struct fake_got got = fake_get(0, second, &open, true, 0, U);
	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_pass(told + 120100 - w.now_ms);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	ck_assert_uint_eq(w.nfenced, n);
}
END_TEST

static void
add_tests(Suite *suite, const char *name, void (*set)(void), const TTest *const *tests, size_t n)
{
	TCase *tc = tcase_create(name);
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, set, teardown);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
}

int
main(void)
{
	const TTest *const scsi[] = { deadline, fence_noticed_by_the_flag, return_at_the_deadline, fence_fails_then_succeeds,
		return_while_the_fence_fails, former_keys_are_cut_off,
		fifty_files_one_preempt, expired, lapsed, lapsed_and_back, replaced_and_destroyed, expired_while_recalled,
		local_break_of_a_silent_client, recorded_first, recorded_until_confirmed, recorded_over_the_end };
	const TTest *const block[] = { recorded_until_time_is_over, timed, timed_expired, timed_lapsed, timed_replaced, timed_replaced_late, failing_command_gives_way_to_time,
		failing_command_of_an_expired, acknowledged_while_the_command_fails };
	Suite *suite = suite_create("holder");
	add_tests(suite, "scsi", setup, scsi, sizeof scsi / sizeof *scsi);
	add_tests(suite, "block", setup_block, block, sizeof block / sizeof *block);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
