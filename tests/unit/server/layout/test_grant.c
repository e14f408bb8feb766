/* Giving layouts, over a provider of paper (fake_layout.h): how much, when not, and what may come while the map is made. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/unit/server/layout/fake_layout.h"

/* ---- one grant ---- */

START_TEST(first_grant)
{
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true);
	struct fake_got got = fake_get(0, file, &open, true, 0, 8 * U);

	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert_uint_eq(got.a.sid.seqid, 1);
	ck_assert_uint_eq(got.a.offset, 0);
	ck_assert_uint_eq(got.a.length, 64 * U);	/* grown to the end of the file */
	ck_assert_uint_eq(got.a.n, 64);
	ck_assert(layout_any(file->inode));
	/* With the layout stateid: the next seqid. */
	struct fake_got more = fake_get(0, file, &got.a.sid, true, 0, U);
	ck_assert_int_eq(more.status, NFS4_OK);
	ck_assert_uint_eq(more.a.sid.seqid, 2);
	ck_assert_mem_eq(more.a.sid.other, got.a.sid.other, NFS4_OTHER_SIZE);
	ck_assert_uint_eq(fake_layouts_of(file), 1);
	ck_assert_uint_eq(file->leased, 1);
	/* A12: the last byte returned ends it. */
	bool present;
	ck_assert_int_eq(fake_return(0, file, &more.a.sid, 0, UINT64_MAX, &present), NFS4_OK);
	ck_assert(!present);
	ck_assert(!layout_any(file->inode));
	fake_lease_ends();
	ck_assert_uint_eq(file->unleased, 1);
	ck_assert_int_eq(fake_get(0, file, &more.a.sid, true, 0, U).status, NFS4ERR_BAD_STATEID);
}
END_TEST

START_TEST(unaligned_ask)
{
	struct fake_file *file = fake_file_new(20 * U + 100);
	stateid4 open = fake_open(0, file, true);

	/* PITFALLS A7: the block of the offset is given, and the minimum counts from the offset. */
	struct fake_got got = fake_get_min(0, file, &open, false, 3 * U + 5, 2 * U, 16 * U, 92);
	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert_uint_eq(got.a.offset, 3 * U);
	ck_assert_uint_eq(got.a.length, 18 * U);		/* for reading: the block of EOF, too */
	/* For writing it is left out. */
	got = fake_get_min(0, file, &open, true, 3 * U + 5, 2 * U, 1, 92);
	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert_uint_eq(got.a.offset + got.a.length, 20 * U);
	got = fake_get_min(0, file, &open, true, 20 * U, U, U, 92);
	ck_assert_int_eq(got.status, NFS4ERR_BADLAYOUT);
	ck_assert_int_eq(got.a.why, REASON_EOF_BLOCK);
	got = fake_get_min(0, file, &open, true, 20 * U, U, 0, 92);
	ck_assert_int_eq(got.status, NFS4ERR_LAYOUTTRYLATER);
	got = fake_get_min(0, file, &open, true, 19 * U, 4 * U, 2 * U, 92);
	ck_assert_int_eq(got.status, NFS4ERR_BADLAYOUT);
	got = fake_get_min(0, file, &open, true, 0, UINT64_MAX, UINT64_MAX, 92);
	ck_assert_int_eq(got.status, NFS4ERR_BADLAYOUT);	/* Table 22: a length without end */
	/* Reading beyond EOF. */
	got = fake_get_min(0, file, &open, false, 21 * U, U, U, 92);
	ck_assert_int_eq(got.status, NFS4ERR_BADLAYOUT);
	got = fake_get_min(0, file, &open, false, 19 * U, UINT64_MAX, UINT64_MAX, 92);
	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert_uint_eq(got.a.offset + got.a.length, 21 * U);
}
END_TEST

/* PITFALLS A8, A9: as many extents as fit; too few for the minimum is TOOSMALL. */
START_TEST(room_for_extents)
{
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, false);

	for (unsigned i = 0; i < FAKE_BLOCKS; i++)
		file->block[i] = i % 2 ? IOMAP_HOLE : IOMAP_MAPPED;
	struct fake_got got = fake_get_min(0, file, &open, false, 0, UINT64_MAX, U, 10);
	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert_uint_eq(got.a.n, 10);
	ck_assert_uint_eq(got.a.length, 10 * U);
	ck_assert_int_eq(got.a.ext[9].state, EXTENT_NONE);
	got = fake_get_min(0, file, &got.a.sid, false, 10 * U, UINT64_MAX, 10 * U, 10);
	ck_assert_int_eq(got.status, NFS4_OK);
	stateid4 sid = got.a.sid;
	got = fake_get_min(0, file, &sid, false, 20 * U, UINT64_MAX, 11 * U, 10);
	ck_assert_int_eq(got.status, NFS4ERR_TOOSMALL);
	got = fake_get_min(0, file, &sid, false, 20 * U, UINT64_MAX, 11 * U, 11);
	ck_assert_int_eq(got.status, NFS4_OK);
	got = fake_get_min(0, file, &got.a.sid, false, 0, UINT64_MAX, UINT64_MAX, 64);
	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert_uint_eq(got.a.n, 64);
}
END_TEST

/* PITFALLS A31: a GiB written from start to end in at most 16 LAYOUTGETs, and bounded work for each. */
START_TEST(sequential_gib)
{
	struct fake_file *file = fake_file_new(1024 * MIB);
	stateid4 sid = fake_open(0, file, true);
	unsigned n = 0;

	file->big = true;
	for (uint64_t pos = 0; pos < 1024 * MIB; n++) {
		struct fake_got got = fake_get(0, file, &sid, true, pos, MIB);
		ck_assert_int_eq(got.status, NFS4_OK);
		ck_assert_uint_le(got.a.length, 128 * MIB);
		pos = got.a.offset + got.a.length;
		sid = got.a.sid;
	}
	ck_assert_uint_le(n, 16);
	/* Asked for all at once: bounded. */
	stateid4 other = fake_open(1, file, true);
	fake_close(0, file);
	struct fake_got got = fake_get(1, file, &other, true, 0, UINT64_MAX);
	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert_uint_eq(got.a.length, 512 * MIB);
	/* Reading goes to EOF. */
	fake_close(1, file);
	other = fake_open(1, file, false);
	got = fake_get(1, file, &other, false, 4096, 4096);
	ck_assert_uint_eq(got.a.length, 1024 * MIB - 4096);
}
END_TEST

/* ---- failures leave nothing (A33), and say the right thing (A32) ---- */

START_TEST(failures)
{
	static const struct { int lease, map; enum reason why; nfsstat4 status; } cases[] = {
		{ -EAGAIN, 0, REASON_NONE, NFS4ERR_LAYOUTTRYLATER },
		{ -ENOTSUP, 0, REASON_REFLINKED, NFS4ERR_LAYOUTUNAVAILABLE },
		{ -EIO, 0, REASON_IO_ERROR, NFS4ERR_IO },
		{ 0, -ENOSPC, REASON_NONE, NFS4ERR_NOSPC },
		{ 0, -EDQUOT, REASON_NONE, NFS4ERR_DQUOT },
		{ 0, -ENOTSUP, REASON_REFLINKED, NFS4ERR_LAYOUTUNAVAILABLE },
		{ 0, -EIO, REASON_NONE, NFS4ERR_IO },
	};
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true);
	uint32_t states = w.client[0].nstates;

	for (unsigned round = 0; round < 1000; round++) {
		unsigned i = round % (sizeof cases / sizeof *cases);
		w.lease_err = cases[i].lease;
		w.map_err = cases[i].map;
		w.why = cases[i].why;
		struct fake_got got = fake_get(0, file, &open, true, 0, U);
		ck_assert_int_eq(got.status, cases[i].status);
		ck_assert_uint_eq(fake_layouts_of(file), 0);
		ck_assert_uint_eq(w.client[0].nstates, states);
		ck_assert_ptr_null(layout_file_find(file->inode));
		ck_assert_uint_eq(file->leased, file->unleased);
	}
	w.lease_err = w.map_err = 0;
	w.why = REASON_NONE;
	ck_assert_int_eq(fake_get(0, file, &open, true, 0, U).status, NFS4_OK);
}
END_TEST

/* Somebody has it open: that may be over in a moment, but nobody waits for long. */
START_TEST(local_open)
{
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true);

	for (unsigned round = 0; round < 2; round++) {
		w.lease_err = -EAGAIN;
		w.why = REASON_LOCAL_OPEN;
		for (unsigned ms = 0; ms < 10000; ms += 200) {
			struct fake_got got = fake_get(0, file, &open, true, 0, U);
			ck_assert_int_eq(got.status, ms < 1000 ? NFS4ERR_LAYOUTTRYLATER : NFS4ERR_LAYOUTUNAVAILABLE);
			ck_assert_int_eq(got.a.why, REASON_LOCAL_OPEN);
			fake_pass(200);
		}
		/* Forgotten, or at once when it can be had. */
		if (round == 0) {
			fake_pass(200);
			ck_assert_ptr_null(layout_file_find(file->inode));
		}
	}
	w.lease_err = 0;
	w.why = REASON_NONE;
	struct fake_got got = fake_get(0, file, &open, true, 0, U);
	ck_assert_int_eq(got.status, NFS4_OK);
	bool present;
	ck_assert_int_eq(fake_return(0, file, &got.a.sid, 0, UINT64_MAX, &present), NFS4_OK);
	fake_lease_ends();
	w.lease_err = -EAGAIN;
	w.why = REASON_LOCAL_OPEN;
	ck_assert_int_eq(fake_get(0, file, &open, true, 0, U).status, NFS4ERR_LAYOUTTRYLATER);
}
END_TEST

/* ---- races ---- */

static void
truncate_in_map(struct fake_file *file)
{
	/* It finds nothing out, and goes on to wait for io_lock; or it comes a moment later and finds the grant. */
	ck_assert_int_eq(fake_way(1, file, LAYOUT_NEED_BLOCKS, 0, UINT64_MAX), NFS4_OK);
}

static void
close_in_map(struct fake_file *file)
{
	w.in_map = NULL;
	fake_close(0, file);
}

static void
break_in_map(struct fake_file *file)
{
	file->lease.broken = true;
	export_on_break(&w.mds, file->inode);
}

static stateid4 return_sid;

static void
return_in_map(struct fake_file *file)
{
	bool present;

	w.in_map = NULL;
	ck_assert_int_eq(fake_return(0, file, &return_sid, 0, UINT64_MAX, &present), NFS4_OK);
	ck_assert(!present);
}

static void
gone_in_map(struct fake_file *file)
{
	(void)file;
	w.in_map = NULL;
	pthread_mutex_lock(&w.mds.state_lock);
	w.client[0].removed = w.client[0].expired = true;
	layout_client_gone_locked(&w.mds, &w.client[0], LAYOUT_GONE_EXPIRED);
	fake_client_release(&w.mds, &w.client[0]);
	pthread_mutex_unlock(&w.mds.state_lock);
}

/* PITFALLS A21: what comes while the map is made. */
START_TEST(races_with_map)
{
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true);
	fake_open(1, file, true);

	w.in_map = truncate_in_map;
	struct fake_got got = fake_get(0, file, &open, true, 0, U);
	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert(!layout_clear_locked(file->inode, &w.client[1], LAYOUT_NEED_BLOCKS, 0, UINT64_MAX));
	w.in_map = NULL;
	fake_close(0, file);
	fake_workers_run();

	open = fake_open(0, file, true);
	w.in_map = break_in_map;
	got = fake_get(0, file, &open, true, 0, U);
	ck_assert_int_eq(got.status, NFS4ERR_LAYOUTTRYLATER);
	ck_assert_uint_eq(fake_layouts_of(file), 0);
	ck_assert_uint_eq(file->leased, file->unleased);	/* the breaker goes on at once */
	w.in_map = NULL;
	w.now_ms += 40;
	ck_assert_int_eq(fake_get(0, file, &open, true, 0, U).status, NFS4ERR_LAYOUTTRYLATER);	/* XFS.md: 50 ms */
	w.now_ms += 40;
	ck_assert_int_eq(fake_get(0, file, &open, true, 0, U).status, NFS4_OK);
	fake_close(0, file);
	fake_workers_run();

	open = fake_open(0, file, true);
	w.in_map = close_in_map;
	ck_assert_int_eq(fake_get(0, file, &open, true, 0, U).status, NFS4ERR_BAD_STATEID);
	ck_assert_uint_eq(fake_layouts_of(file), 0);

	/* All returned by a parallel request: the stateid that was shown is no more (12.5.3). */
	open = fake_open(0, file, true);
	return_sid = fake_get(0, file, &open, true, 0, U).a.sid;
	stateid4 shown = return_sid;
	w.in_map = return_in_map;
	ck_assert_int_eq(fake_get(0, file, &shown, true, 0, U).status, NFS4ERR_BAD_STATEID);
	ck_assert_uint_eq(fake_layouts_of(file), 0);
	fake_close(0, file);

	open = fake_open(0, file, true);
	w.in_map = gone_in_map;
	ck_assert_int_eq(fake_get(0, file, &open, true, 0, U).status, NFS4ERR_BAD_STATEID);
	ck_assert_uint_eq(fake_layouts_of(file), 0);
	ck_assert_uint_eq(file->leased, file->unleased);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = { first_grant, unaligned_ask, room_for_extents, sequential_gib, failures, local_open, races_with_map };
	return fake_suite("grant", tests, sizeof tests / sizeof *tests);
}
