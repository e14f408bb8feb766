/* The recall state machine: clock and callbacks by hand (fake_layout.h).  What comes after the deadline: test_holder.c. */
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
setup(void)
{
	fake_world_init(LAYOUT4_SCSI);
	file = fake_file_new(16 * U);
	stateid4 open = fake_open(0, file, true);
	struct fake_got got = fake_get(0, file, &open, true, 0, 16 * U);
	ck_assert_int_eq(got.status, NFS4_OK);
	held = got.a.sid;
	w.slot[0][0].seqid++;		/* the reply has arrived: the slot has moved on */
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

static const layoutrecall_file4 *
recall_of(unsigned c)
{
	struct fake_call *call = fake_call_of(c);
	ck_assert_ptr_nonnull(call);
	return &call->args.clora_recall.layoutrecall4_u.lor_layout;
}

static bool
give_back(unsigned c, const stateid4 *sid, uint64_t offset, uint64_t length)
{
	stateid4 s = *sid;
	bool present;
	ck_assert_int_eq(fake_return(c, file, &s, offset, length, &present), NFS4_OK);
	return present;
}

static void
expect_state(enum recall_state state)
{
	const struct layout *l = layout_find_locked(file->inode, &w.client[0]);
	ck_assert_ptr_nonnull(l);
	ck_assert_int_eq(l->recall.state, state);
}

/* ---- what is sent ---- */

START_TEST(callback)
{
	ck_assert_int_eq(way(1, LAYOUT_NEED_WRITE, 5 * U + 1, 10), NFS4ERR_DELAY);
	ck_assert_uint_eq(w.nsent, 1);
	const struct fake_call *call = fake_call_of(0);
	const layoutrecall_file4 *r = recall_of(0);
	ck_assert_int_eq((int)call->args.clora_type, LAYOUT4_SCSI);			/* A16 */
	ck_assert_int_eq(call->args.clora_iomode, LAYOUTIOMODE4_ANY);
	ck_assert_int_eq(call->args.clora_recall.lor_recalltype, LAYOUTRECALL4_FILE);
	ck_assert(!call->args.clora_changed);
	ck_assert_uint_eq(r->lor_fh.nfs_fh4_len, file->inode->handle_len);		/* A17 */
	ck_assert_mem_eq(call->handle, file->inode->handle, file->inode->handle_len);
	ck_assert_uint_eq(r->lor_offset, 5 * U);		/* the blocks in question, no more */
	ck_assert_uint_eq(r->lor_length, U);
	ck_assert_uint_eq(r->lor_stateid.seqid, held.seqid + 1);
	ck_assert_mem_eq(r->lor_stateid.other, held.other, NFS4_OTHER_SIZE);
	ck_assert_uint_eq(call->nrefs, 0);
	expect_state(RECALL_SENT);
	/* Asked again, nothing more is sent. */
	ck_assert_int_eq(way(1, LAYOUT_NEED_WRITE, 5 * U + 1, 10), NFS4ERR_DELAY);
	fake_pass(500);
	ck_assert_uint_eq(w.nsent, 1);
	stateid4 sid = r->lor_stateid;
	fake_answer(0, NFS4_OK);
	expect_state(RECALL_ANSWERED);
	fake_pass(50);
	ck_assert_uint_eq(w.nsent, 1);
	ck_assert(give_back(0, &sid, 5 * U, U));
	ck_assert_int_eq(way(1, LAYOUT_NEED_WRITE, 5 * U + 1, 10), NFS4_OK);
	expect_state(RECALL_NONE);
	fake_pass(60000);
	ck_assert_uint_eq(w.nfenced, 0);
}
END_TEST

/* PITFALLS A18: nothing is given in a range under recall; elsewhere all goes on. */
START_TEST(no_grants_meanwhile)
{
	ck_assert_int_eq(way(1, LAYOUT_NEED_BLOCKS, 8 * U, UINT64_MAX), NFS4ERR_DELAY);
	ck_assert(fake_call_of(0)->args.clora_changed);
	ck_assert_int_eq(fake_get(0, file, &held, true, 9 * U, U).status, NFS4ERR_RECALLCONFLICT);
	stateid4 other = fake_open(1, file, true);
	ck_assert_int_eq(fake_get(1, file, &other, false, 9 * U, U).status, NFS4ERR_LAYOUTTRYLATER);
	struct fake_got got = fake_get(0, file, &held, true, 2 * U, U);
	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert_uint_eq(got.a.offset + got.a.length, 8 * U);		/* up to the recalled range */
	stateid4 sid = recall_of(0)->lor_stateid;
	fake_answer(0, NFS4_OK);
	give_back(0, &sid, 8 * U, UINT64_MAX);
	/* The truncate still waits for its turn: what it is about to free is not given again. */
	ck_assert_int_eq(fake_get(0, file, &held, true, 9 * U, U).status, NFS4ERR_LAYOUTTRYLATER);
	ck_assert_int_eq(way(1, LAYOUT_NEED_BLOCKS, 8 * U, UINT64_MAX), NFS4_OK);
}
END_TEST

/* PITFALLS A20: the truncating client holds the layout itself.  It is asked, and not waited for. */
START_TEST(own_truncate)
{
	ck_assert_int_eq(way(0, LAYOUT_NEED_BLOCKS, 0, UINT64_MAX), NFS4ERR_DELAY);
	stateid4 sid = recall_of(0)->lor_stateid;
	fake_answer(0, NFS4_OK);
	ck_assert(!give_back(0, &sid, 0, UINT64_MAX));
	ck_assert_int_eq(way(0, LAYOUT_NEED_BLOCKS, 0, UINT64_MAX), NFS4_OK);
}
END_TEST

START_TEST(more_is_wanted)
{
	ck_assert_int_eq(way(1, LAYOUT_NEED_WRITE, 0, U), NFS4ERR_DELAY);
	/* While it is on its way, everything comes to be wanted. */
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	ck_assert_uint_eq(w.nsent, 1);
	uint32_t first = recall_of(0)->lor_stateid.seqid;
	fake_answer(0, NFS4_OK);
	ck_assert_uint_eq(w.nsent, 2);
	ck_assert_uint_eq(recall_of(0)->lor_length, UINT64_MAX);
	ck_assert_uint_eq(recall_of(0)->lor_stateid.seqid, first + 1);
	ck_assert(fake_call_of(0)->args.clora_changed);
	stateid4 sid = recall_of(0)->lor_stateid;
	fake_answer(0, NFS4_OK);
	ck_assert(give_back(0, &sid, 0, U));
	expect_state(RECALL_ANSWERED);
	ck_assert(!give_back(0, &sid, 0, UINT64_MAX));
	ck_assert_int_eq(truncate_all(), NFS4_OK);
}
END_TEST

/* However much more is wanted, the deadline does not run away. */
START_TEST(more_and_more_is_wanted)
{
	w.fence_result = 0;
	for (unsigned i = 0; i < 16 && !w.nfenced; i++) {
		way(1, LAYOUT_NEED_WRITE, 0, (i + 1) * U);
		fake_pass(5000);
	}
	ck_assert_uint_eq(w.nfenced, 1);
	ck_assert_uint_le(w.now_ms, 1000000 + 61000);
}
END_TEST

/* ---- answers ---- */

START_TEST(nomatching)
{
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_answer(0, NFS4ERR_NOMATCHING_LAYOUT);
	ck_assert_ptr_null(layout_find_locked(file->inode, &w.client[0]));
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	fake_lease_ends();
	ck_assert_uint_eq(file->leased, file->unleased);
}
END_TEST

/* Its LAYOUTGET's reply may still be under way: not believed the first time. */
START_TEST(nomatching_too_soon)
{
	stateid4 open2 = fake_open(2, file, true);
	fake_close(0, file);
	struct fake_got got = fake_get(2, file, &open2, true, 0, 16 * U);
	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	ck_assert_uint_eq(fake_call_of(2)->nrefs, 1);		/* C12: the client is told which call */
	uint32_t seqid = recall_of(2)->lor_stateid.seqid;
	fake_answer(2, NFS4ERR_NOMATCHING_LAYOUT);
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_pass(400);
	ck_assert_ptr_null(fake_call_of(2));
	fake_pass(200);
	ck_assert_ptr_nonnull(fake_call_of(2));
	ck_assert_uint_eq(recall_of(2)->lor_stateid.seqid, seqid);	/* the same recall, the same number */
	/* Now it has found it. */
	stateid4 sid = recall_of(2)->lor_stateid;
	fake_answer(2, NFS4_OK);
	ck_assert(!give_back(2, &sid, 0, UINT64_MAX));
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	/* An idle client, whose slot does not move on, is believed the second time; its OLD_STATEID says the same. */
	for (int round = 0; round < 2; round++) {
		fake_pass(2000);
		got = fake_get(2, file, &open2, true, 0, 16 * U);
		ck_assert_int_eq(got.status, NFS4_OK);
		ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
		fake_answer(2, NFS4ERR_NOMATCHING_LAYOUT);
		fake_pass(600);
		fake_answer(2, round ? NFS4ERR_OLD_STATEID : NFS4ERR_NOMATCHING_LAYOUT);
		ck_assert_int_eq(truncate_all(), NFS4_OK);
	}
}
END_TEST

START_TEST(delay_then_ok)
{
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	uint32_t seqid = recall_of(0)->lor_stateid.seqid;
	for (unsigned i = 0; i < 10; i++) {
		fake_answer(0, NFS4ERR_DELAY);
		expect_state(RECALL_PAUSED);
		ck_assert_ptr_null(fake_call_of(0));
		fake_pass(1100);
		ck_assert_uint_eq(recall_of(0)->lor_stateid.seqid, seqid);
	}
	stateid4 sid = recall_of(0)->lor_stateid;
	fake_answer(0, NFS4_OK);
	ck_assert(!give_back(0, &sid, 0, UINT64_MAX));
	ck_assert_uint_eq(w.nfenced, 0);
}
END_TEST

/* The Linux client may need to hear of it again to commit; it stays the same recall, ever less often. */
START_TEST(again_until_it_is_back)
{
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	uint32_t seqid = recall_of(0)->lor_stateid.seqid;
	unsigned sent = 1;
	for (unsigned at = 0; at < 10000; at += 100) {
		if (w.nsent > sent) {
			sent = w.nsent;
			ck_assert_uint_eq(recall_of(0)->lor_stateid.seqid, seqid);
			ck_assert_uint_eq(recall_of(0)->lor_length, UINT64_MAX);
		}
		if (fake_call_of(0))
			fake_answer(0, NFS4_OK);
		expect_state(RECALL_ANSWERED);
		fake_pass(100);
	}
	ck_assert_uint_ge(sent, 10);
	ck_assert_uint_le(sent, 14);
	/* It crosses the LAYOUTRETURN: the late answer finds nothing. */
	while (!fake_call_of(0))
		fake_pass(100);
	stateid4 sid = recall_of(0)->lor_stateid;
	ck_assert(!give_back(0, &sid, 0, UINT64_MAX));
	fake_answer(0, NFS4ERR_NOMATCHING_LAYOUT);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	sent = w.nsent;
	fake_pass(5000);
	ck_assert_uint_eq(w.nsent, sent);
	ck_assert_uint_eq(w.nfenced, 0);
}
END_TEST

/* Blocks will move, it turns out while the callback is under way: said with the next. */
START_TEST(changed_meanwhile)
{
	ck_assert_int_eq(way(1, LAYOUT_NEED_WRITE, 0, UINT64_MAX), NFS4ERR_DELAY);
	ck_assert(!fake_call_of(0)->args.clora_changed);
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_answer(0, NFS4_OK);
	fake_pass(200);
	ck_assert(fake_call_of(0)->args.clora_changed);
}
END_TEST

START_TEST(delay_does_not_move_the_deadline)
{
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	for (unsigned ms = 0; ms < 29000; ms += 500) {
		fake_answer(0, NFS4ERR_DELAY);
		fake_pass(500);
	}
	ck_assert_uint_eq(w.nfenced, 0);
	fake_pass(1200);
	ck_assert_uint_eq(w.nfenced, 1);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
}
END_TEST

/* The client is ahead: numbered anew. */
START_TEST(old_stateid)
{
	ck_assert_int_eq(way(1, LAYOUT_NEED_WRITE, 0, U), NFS4ERR_DELAY);
	uint32_t seqid = recall_of(0)->lor_stateid.seqid;
	struct fake_got got = fake_get(0, file, &held, true, 4 * U, U);
	ck_assert_uint_eq(got.a.sid.seqid, seqid + 1);
	fake_answer(0, NFS4ERR_OLD_STATEID);
	fake_pass(200);
	ck_assert_uint_eq(recall_of(0)->lor_stateid.seqid, seqid + 2);
	stateid4 sid = recall_of(0)->lor_stateid;
	fake_answer(0, NFS4_OK);
	ck_assert(give_back(0, &sid, 0, U));
	expect_state(RECALL_NONE);
}
END_TEST

START_TEST(no_answer)
{
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	ck_assert_uint_eq(fake_call_of(0)->timeout_ms, 10000);
	fake_pass(10000);
	fake_answer(0, -ETIMEDOUT);
	fake_pass(200);
	ck_assert_uint_eq(w.nsent, 2);
	fake_answer(0, -ECONNRESET);
	fake_pass(300);
	ck_assert_uint_eq(w.nsent, 3);
	/* Returned without any answer to the callback: fine, and the answer that comes later finds nothing. */
	stateid4 sid = recall_of(0)->lor_stateid;
	ck_assert(!give_back(0, &sid, 0, UINT64_MAX));
	fake_answer(0, NFS4_OK);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	fake_pass(60000);
	ck_assert_uint_eq(w.nfenced, 0);
}
END_TEST

/* PITFALLS C14 */
START_TEST(no_path)
{
	w.path[0] = false;
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	ck_assert_uint_eq(w.nsent, 0);
	expect_state(RECALL_NO_PATH);
	fake_pass(5000);
	ck_assert_uint_eq(w.nsent, 0);
	w.path[0] = true;
	cb_path_up(&w.mds, &w.client[0]);
	ck_assert_uint_eq(w.nsent, 1);
	/* Lost on the way; the ticker finds the new one, too. */
	w.path[0] = false;
	fake_answer(0, -ENOTCONN);
	fake_pass(1000);
	ck_assert_uint_eq(w.nsent, 1);
	w.path[0] = true;
	fake_pass(100);
	ck_assert_uint_eq(w.nsent, 2);
	stateid4 sid = recall_of(0)->lor_stateid;
	fake_answer(0, NFS4_OK);
	ck_assert(!give_back(0, &sid, 0, UINT64_MAX));
	ck_assert_int_eq(truncate_all(), NFS4_OK);
	ck_assert_uint_eq(w.nfenced, 0);
}
END_TEST

START_TEST(never_a_path)
{
	w.path[0] = false;
	ck_assert_int_eq(truncate_all(), NFS4ERR_DELAY);
	fake_pass(29900);
	ck_assert_uint_eq(w.nfenced, 0);
	fake_pass(200);
	ck_assert_uint_eq(w.nfenced, 1);
	ck_assert_int_eq(truncate_all(), NFS4_OK);
}
END_TEST

/* ---- local processes ---- */

START_TEST(local_break)
{
	file->lease.broken = true;
	export_on_break(&w.mds, file->inode);
	ck_assert_uint_eq(recall_of(0)->lor_length, UINT64_MAX);
	ck_assert_int_eq(fake_get(0, file, &held, true, 0, U).status, NFS4ERR_LAYOUTTRYLATER);
	stateid4 sid = recall_of(0)->lor_stateid;
	fake_answer(0, NFS4_OK);
	fake_workers_run();
	ck_assert_uint_eq(file->unleased, 0);
	ck_assert(!give_back(0, &sid, 0, UINT64_MAX));
	fake_workers_run();
	ck_assert_uint_eq(file->unleased, 1);		/* the process goes on */
	stateid4 open = fake_open(0, file, true);
	ck_assert_int_eq(fake_get(0, file, &open, true, 0, U).status, NFS4ERR_LAYOUTTRYLATER);
	fake_pass(100);
	ck_assert_int_eq(fake_get(0, file, &open, true, 0, U).status, NFS4_OK);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = { callback, no_grants_meanwhile, own_truncate, more_is_wanted, more_and_more_is_wanted,
		nomatching, nomatching_too_soon, delay_then_ok, again_until_it_is_back, changed_meanwhile, delay_does_not_move_the_deadline, old_stateid, no_answer, no_path,
		never_a_path, local_break };
	Suite *suite = suite_create("recall");
	TCase *tc = tcase_create("recall");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	for (size_t i = 0; i < sizeof tests / sizeof *tests; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
