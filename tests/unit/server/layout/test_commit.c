/* LAYOUTCOMMIT below its wire format, over a provider of paper (fake_layout.h). */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/server/layout/fake_layout.h"

START_TEST(commit_checks)
{
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true);
	struct fake_got got = fake_get_min(0, file, &open, true, 8 * U, 8 * U, U, 8);
	static const struct { struct layout_range r[2]; uint32_t n; nfsstat4 status; } cases[] = {
		{ { { 0, 0 } }, 0, NFS4_OK },
		{ { { 8 * U, U } }, 1, NFS4_OK },
		{ { { 8 * U, 8 * U } }, 1, NFS4_OK },
		{ { { 8 * U, U }, { 10 * U, 2 * U } }, 2, NFS4_OK },
		{ { { 7 * U, 2 * U } }, 1, NFS4ERR_BADLAYOUT },		/* A26: begins before the grant */
		{ { { 15 * U, 2 * U } }, 1, NFS4ERR_BADLAYOUT },	/* ends after it */
		{ { { 40 * U, U } }, 1, NFS4ERR_BADLAYOUT },
		{ { { 8 * U + 512, U } }, 1, NFS4ERR_INVAL },
		{ { { 8 * U, 512 } }, 1, NFS4ERR_INVAL },
		{ { { 8 * U, 0 } }, 1, NFS4ERR_INVAL },
		{ { { 10 * U, U }, { 8 * U, U } }, 2, NFS4ERR_INVAL },
		{ { { 8 * U, 2 * U }, { 9 * U, U } }, 2, NFS4ERR_INVAL },
		{ { { 8 * U, UINT64_MAX - U + 1 } }, 1, NFS4ERR_INVAL },
	};

	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert_uint_eq(got.a.length, 8 * U);
	for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
		unsigned before = file->commits;
		ck_assert_int_eq(fake_commit(0, file, &got.a.sid, cases[i].r, cases[i].n), cases[i].status);
		ck_assert_uint_eq(file->commits, before + (cases[i].status == NFS4_OK));
	}
	/* What is held for reading only. */
	got = fake_get_min(0, file, &got.a.sid, false, 32 * U, U, U, 1);
	struct layout_range read = { 32 * U, U };
	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert_int_eq(fake_commit(0, file, &got.a.sid, &read, 1), NFS4ERR_BADIOMODE);
}
END_TEST

static nfsstat4
commit_last(struct fake_file *file, const stateid4 *sid, uint64_t last, bool *size_set, uint64_t *size)
{
	struct layout_commit commit = { .client = &w.client[0], .inode = file->inode, .sid = sid, .length = last + 1,
		.last_valid = true, .last = last, .mtime_valid = true, .mtime = { .tv_sec = 5 }, .arena = &w.arena };
	return layout_commit(&w.mds, &commit, size_set, size);
}

/* PITFALLS A1: a commit of a middle range leaves the size alone; only what is held may move it. */
START_TEST(commit_size)
{
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true);
	struct fake_got got = fake_get(0, file, &open, true, 0, 64 * U);
	bool set;
	uint64_t size;

	ck_assert_int_eq(commit_last(file, &got.a.sid, 4095, &set, &size), NFS4_OK);
	ck_assert(!set);
	ck_assert_uint_eq(file->size, 64 * U);
	ck_assert(!file->commit_attr.size_valid);
	ck_assert(file->commit_attr.mtime_valid);
	ck_assert_int_eq(commit_last(file, &got.a.sid, 64 * U - 1, &set, &size), NFS4_OK);
	ck_assert(!set);
	ck_assert_int_eq(commit_last(file, &got.a.sid, 64 * U, &set, &size), NFS4ERR_BADLAYOUT);
	/* A provider that grants beyond EOF would have it grow. */
	file->size = 10 * U;
	ck_assert_int_eq(commit_last(file, &got.a.sid, 12 * U + 6, &set, &size), NFS4_OK);
	ck_assert(set);
	ck_assert_uint_eq(size, 12 * U + 7);
	ck_assert_uint_eq(file->size, 12 * U + 7);
	/* One that does not grow files has changed nothing: no size is told (18.42.3). */
	w.keeps_size = true;
	ck_assert_int_eq(commit_last(file, &got.a.sid, 14 * U, &set, &size), NFS4_OK);
	ck_assert(file->commit_attr.size_valid);
	ck_assert(!set);
	ck_assert_uint_eq(file->size, 12 * U + 7);
}
END_TEST

/* PITFALLS A29 */
START_TEST(commit_10000_ranges)
{
	struct fake_file *file = fake_file_new(128 * MIB);
	stateid4 open = fake_open(0, file, true);
	struct layout_range *range = calloc(10000, sizeof *range);

	file->big = true;
	struct fake_got got = fake_get(0, file, &open, true, 0, 128 * MIB);
	ck_assert_int_eq(got.status, NFS4_OK);
	for (unsigned i = 0; i < 10000; i++)
		range[i] = (struct layout_range){ 2 * i * U, U };
	ck_assert_int_eq(fake_commit(0, file, &got.a.sid, range, 10000), NFS4_OK);
	ck_assert_uint_eq(file->commit_n, 10000);
	range[9999].offset = 128 * MIB;
	ck_assert_int_eq(fake_commit(0, file, &got.a.sid, range, 10000), NFS4ERR_BADLAYOUT);
	free(range);
}
END_TEST

/* PITFALLS A27: returned, then committed. */
START_TEST(commit_after_return)
{
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true), sid;
	struct layout_range range = { 8 * U, 4 * U };
	struct fake_got got = fake_get(0, file, &open, true, 0, 16 * U);
	bool present;

	sid = got.a.sid;
	ck_assert_int_eq(fake_return(0, file, &got.a.sid, 0, UINT64_MAX, &present), NFS4_OK);
	/* The lease is there for a moment yet. */
	fake_workers_run();
	ck_assert_int_eq(fake_commit(0, file, &sid, &range, 1), NFS4_OK);
	ck_assert_uint_eq(file->commits, 1);
	ck_assert(file->leased == 1 && file->unleased == 0);
	/* Then it is taken for the commit. */
	fake_lease_ends();
	ck_assert_uint_eq(file->unleased, 1);
	ck_assert_int_eq(fake_commit(0, file, &sid, &range, 1), NFS4_OK);
	ck_assert_uint_eq(file->commits, 2);
	ck_assert(file->leased == 2 && file->unleased == 2);
	/* The lease is not to be had: what is there is flushed. */
	w.lease_err = -EAGAIN;
	w.why = REASON_LOCAL_OPEN;
	ck_assert_int_eq(fake_commit(0, file, &sid, &range, 1), NFS4_OK);
	ck_assert_uint_eq(file->flushes, 1);
	w.lease_err = 0;
	w.why = REASON_NONE;
	/* Others' stateids and ranges never held are as bad as ever. */
	ck_assert_int_eq(fake_commit(1, file, &sid, &range, 1), NFS4ERR_BADLAYOUT);
	range.length = 100 * U;
	ck_assert_int_eq(fake_commit(0, file, &sid, &range, 1), NFS4ERR_BADLAYOUT);
	range.length = 4 * U;
	/* Another writer had them since. */
	stateid4 other = fake_open(1, file, true);
	ck_assert_int_eq(fake_get_min(1, file, &other, true, 9 * U, U, U, 1).status, NFS4_OK);
	ck_assert_int_eq(fake_commit(0, file, &sid, &range, 1), NFS4ERR_BADLAYOUT);
	range.length = U;
	ck_assert_int_eq(fake_commit(0, file, &sid, &range, 1), NFS4_OK);
	/* Truncated since. */
	fake_close(1, file);
	ck_assert_int_eq(fake_way(1, file, LAYOUT_NEED_BLOCKS, 0, UINT64_MAX), NFS4_OK);
	ck_assert_int_eq(fake_commit(0, file, &sid, &range, 1), NFS4ERR_BADLAYOUT);
	/* A lease later. */
	got = fake_get(0, file, &open, true, 0, 16 * U);
	sid = got.a.sid;
	ck_assert_int_eq(fake_return(0, file, &got.a.sid, 0, UINT64_MAX, &present), NFS4_OK);
	w.now_ms += 89000;
	ck_assert_int_eq(fake_commit(0, file, &sid, &range, 1), NFS4_OK);
	w.now_ms += 2000;
	ck_assert_int_eq(fake_commit(0, file, &sid, &range, 1), NFS4ERR_BADLAYOUT);
}
END_TEST

static void
break_it(struct fake_file *file)
{
	file->lease.broken = true;
	export_on_break(&w.mds, file->inode);
}

/* Somebody local opens the file while a late commit has leased it: the next lease waits a moment, as after any break (XFS.md). */
START_TEST(commit_after_return_broken)
{
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true), sid;
	struct layout_range range = { 8 * U, 4 * U };
	struct fake_got got = fake_get(0, file, &open, true, 0, 16 * U);
	bool present;

	sid = got.a.sid;
	ck_assert_int_eq(fake_return(0, file, &got.a.sid, 0, UINT64_MAX, &present), NFS4_OK);
	fake_lease_ends();
	w.in_commit = break_it;
	ck_assert_int_eq(fake_commit(0, file, &sid, &range, 1), NFS4_OK);
	w.in_commit = NULL;
	ck_assert_uint_eq(file->leased, file->unleased);
	got = fake_get(0, file, &open, true, 0, 16 * U);
	ck_assert_int_eq(got.status, NFS4ERR_LAYOUTTRYLATER);
	ck_assert_int_eq(got.a.why, REASON_LOCAL_OPEN);
	fake_pass(100);
	ck_assert_int_eq(fake_get(0, file, &open, true, 0, 16 * U).status, NFS4_OK);
}
END_TEST

START_TEST(commit_reclaim)
{
	struct fake_file *file = fake_file_new(20 * U + 1);
	stateid4 old = { .seqid = 7 };
	struct layout_range range = { 16 * U, 4 * U };
	struct layout_commit commit = { .client = &w.client[0], .inode = file->inode, .sid = &old, .reclaim = true,
		.ranges = &range, .n = 1, .arena = &w.arena };
	bool set;
	uint64_t size;

	ck_assert_int_eq(layout_commit(&w.mds, &commit, &set, &size), NFS4_OK);
	ck_assert_uint_eq(file->commits, 1);
	range.length = 6 * U;
	ck_assert_int_eq(layout_commit(&w.mds, &commit, &set, &size), NFS4ERR_RECLAIM_BAD);
	range.length = U;
	commit.last_valid = true;
	commit.last = 20 * U + 1;
	ck_assert_int_eq(layout_commit(&w.mds, &commit, &set, &size), NFS4ERR_RECLAIM_BAD);
	commit.last = 20 * U;
	ck_assert_int_eq(layout_commit(&w.mds, &commit, &set, &size), NFS4_OK);
	ck_assert(!set);
	ck_assert_ptr_null(layout_file_find(file->inode));
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = { commit_checks, commit_size, commit_10000_ranges, commit_after_return,
		commit_after_return_broken, commit_reclaim };
	return fake_suite("commit", tests, sizeof tests / sizeof *tests);
}
