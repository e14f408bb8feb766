/* Grants, returns, races: the bookkeeping over a provider of paper (fake_layout.h). */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/layout/extent.h"
#include "tests/unit/server/layout/fake_layout.h"

#define U ((uint64_t)LAYOUT_UNIT)

static void
setup(void)
{
	fake_world_init(LAYOUT4_BLOCK_VOLUME);
}

static void
teardown(void)
{
	fake_world_end();
}

static unsigned
layouts_of(const struct fake_file *file)
{
	const struct layout_file *f = layout_file_find(file->inode);
	const struct layout *l;
	unsigned n = 0;

	if (f)
		TAILQ_FOREACH(l, &f->list, of_file)
			n++;
	return n;
}

static nfsstat4
way(unsigned c, struct fake_file *file, enum layout_need need, uint64_t offset, uint64_t length)
{
	return layout_make_way(&w.mds, file->inode, c == FAKE_CLIENTS ? NULL : &w.client[c], need, offset, length);
}

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
	ck_assert_uint_eq(layouts_of(file), 1);
	ck_assert_uint_eq(file->leased, 1);
	/* A12: the last byte returned ends it. */
	bool present;
	ck_assert_int_eq(fake_return(0, file, &more.a.sid, 0, UINT64_MAX, &present), NFS4_OK);
	ck_assert(!present);
	ck_assert(!layout_any(file->inode));
	fake_workers_run();
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
		{ -EAGAIN, 0, REASON_LOCAL_OPEN, NFS4ERR_LAYOUTUNAVAILABLE },
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
		ck_assert_uint_eq(layouts_of(file), 0);
		ck_assert_uint_eq(w.client[0].nstates, states);
		ck_assert_ptr_null(layout_file_find(file->inode));
		ck_assert_uint_eq(file->leased, file->unleased);
	}
	w.lease_err = w.map_err = 0;
	w.why = REASON_NONE;
	ck_assert_int_eq(fake_get(0, file, &open, true, 0, U).status, NFS4_OK);
}
END_TEST

/* ---- stateids (A11, A15) ---- */

START_TEST(seqids)
{
	ck_assert_int_eq(layout_check_seqid(5, 0), NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(layout_check_seqid(5, 5), NFS4_OK);
	ck_assert_int_eq(layout_check_seqid(5, 1), NFS4_OK);
	ck_assert_int_eq(layout_check_seqid(5, 6), NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(layout_check_seqid(100000, 1), NFS4ERR_OLD_STATEID);
	ck_assert_int_eq(layout_check_seqid(3, UINT32_MAX - 2), NFS4_OK);	/* it has wrapped */
	ck_assert_int_eq(layout_check_seqid(UINT32_MAX - 2, 3), NFS4ERR_BAD_STATEID);
}
END_TEST

START_TEST(stateid_matrix)
{
	struct fake_file *file = fake_file_new(64 * U), *other = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true);
	fake_open(0, other, true);
	stateid4 reader = fake_open(1, file, false);
	struct fake_got got = fake_get(0, file, &open, true, 0, U);
	stateid4 sid = got.a.sid, bad;
	bool present;

	ck_assert_int_eq(got.status, NFS4_OK);
	/* layout stateid of another file, of another client, seqid 0, one to come */
	ck_assert_int_eq(fake_get(0, other, &sid, true, 0, U).status, NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(fake_return(0, other, &sid, 0, UINT64_MAX, &present), NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(fake_commit(0, other, &sid, NULL, 0), NFS4ERR_BADLAYOUT);
	bad = sid;
	ck_assert_int_eq(fake_return(1, file, &bad, 0, UINT64_MAX, &present), NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(fake_commit(1, file, &sid, NULL, 0), NFS4ERR_BADLAYOUT);
	bad.seqid = 0;
	ck_assert_int_eq(fake_get(0, file, &bad, true, 0, U).status, NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(fake_return(0, file, &bad, 0, UINT64_MAX, &present), NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(fake_commit(0, file, &bad, NULL, 0), NFS4ERR_BADLAYOUT);
	bad.seqid = sid.seqid + 1;
	ck_assert_int_eq(fake_get(0, file, &bad, true, 0, U).status, NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(fake_return(0, file, &bad, 0, UINT64_MAX, &present), NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(fake_commit(0, file, &bad, NULL, 0), NFS4ERR_BADLAYOUT);
	/* an open stateid returns nothing */
	bad = open;
	bad.seqid = 1;
	ck_assert_int_eq(fake_return(0, file, &bad, 0, UINT64_MAX, &present), NFS4ERR_BAD_STATEID);
	/* a reader may not write, whatever stateid it shows */
	fake_close(0, file);
	ck_assert_int_eq(fake_get(1, file, &reader, true, 0, U).status, NFS4ERR_OPENMODE);
	got = fake_get(1, file, &reader, false, 0, U);
	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert_int_eq(fake_get(1, file, &got.a.sid, true, 0, U).status, NFS4ERR_OPENMODE);
	/* parallel requests: an older seqid is fine, also after a return */
	struct fake_got two = fake_get(1, file, &got.a.sid, false, 0, U), three = fake_get(1, file, &got.a.sid, false, 0, U);
	ck_assert_uint_eq(two.a.sid.seqid, 2);
	ck_assert_uint_eq(three.a.sid.seqid, 3);
	ck_assert_int_eq(fake_return(1, file, &got.a.sid, 0, U, &present), NFS4_OK);
	ck_assert(present);
	ck_assert_uint_eq(got.a.sid.seqid, 4);
	/* first LAYOUTGETs in parallel, by the open: one layout */
	got = fake_get(1, file, &reader, false, 0, U);
	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert_uint_eq(got.a.sid.seqid, 5);
	ck_assert_uint_eq(layouts_of(file), 1);
}
END_TEST

/* ---- returns ---- */

START_TEST(partial_returns)
{
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true);
	fake_open(1, file, true);
	struct fake_got got = fake_get(0, file, &open, true, 0, 64 * U);
	bool present;

	/* Only whole blocks: the rest of a block is not free. */
	ck_assert_int_eq(fake_return(0, file, &got.a.sid, 16 * U - 1, 16 * U + 2, &present), NFS4_OK);
	ck_assert(present);
	/* A13: each third. */
	ck_assert_int_eq(way(1, file, LAYOUT_NEED_WRITE, 16 * U, 16 * U), NFS4_OK);
	ck_assert_int_eq(way(1, file, LAYOUT_NEED_WRITE, 16 * U - 1, 1), NFS4ERR_DELAY);
	ck_assert_int_eq(way(1, file, LAYOUT_NEED_WRITE, 32 * U, 1), NFS4ERR_DELAY);
	ck_assert_int_eq(way(0, file, LAYOUT_NEED_WRITE, 0, UINT64_MAX), NFS4_OK);	/* its own is not in the way */
	ck_assert_int_eq(way(0, file, LAYOUT_NEED_BLOCKS, 40 * U, UINT64_MAX), NFS4ERR_DELAY);	/* unless blocks go */
	ck_assert_int_eq(fake_return(0, file, &got.a.sid, 0, 32 * U, &present), NFS4_OK);
	ck_assert(present);
	ck_assert_int_eq(fake_return(0, file, &got.a.sid, 32 * U, UINT64_MAX, &present), NFS4_OK);
	ck_assert(!present);
	ck_assert_int_eq(way(1, file, LAYOUT_NEED_WRITE, 0, UINT64_MAX), NFS4_OK);
}
END_TEST

START_TEST(modes)
{
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true), sid;
	fake_open(1, file, true);
	struct fake_got got = fake_get(0, file, &open, false, 0, 64 * U);
	bool present;

	got = fake_get(0, file, &got.a.sid, true, 0, 64 * U);
	/* READ of what is held both ways: the RW half stays. */
	ck_assert_int_eq(layout_return_file(&w.mds, &w.client[0], file->inode, &got.a.sid, 0, UINT64_MAX, true, false, &sid,
	    &present), NFS4_OK);
	ck_assert(present);
	ck_assert_int_eq(way(1, file, LAYOUT_NEED_READ, 0, U), NFS4ERR_DELAY);
	got = fake_get(0, file, &sid, false, 0, 64 * U);
	ck_assert_int_eq(got.status, NFS4ERR_RECALLCONFLICT);	/* A18 */
	ck_assert_int_eq(layout_return_file(&w.mds, &w.client[0], file->inode, &sid, 0, UINT64_MAX, false, true, &sid, &present),
	    NFS4_OK);
	ck_assert(!present);
	ck_assert_int_eq(way(1, file, LAYOUT_NEED_READ, 0, U), NFS4_OK);
}
END_TEST

/* PITFALLS A14 */
START_TEST(bulk_returns)
{
	struct fake_file *file[3];
	stateid4 open;

	for (unsigned i = 0; i < 3; i++) {
		file[i] = fake_file_new(64 * U);
		open = fake_open(0, file[i], true);
		ck_assert_int_eq(fake_get(0, file[i], &open, true, 0, U).status, NFS4_OK);
	}
	open = fake_open(1, file[0], false);
	layout_return_bulk(&w.mds, &w.client[0], file[0]->inode, LAYOUT4_SCSI, true, true);
	ck_assert_uint_eq(layouts_of(file[0]), 1);		/* of another type: not meant */
	layout_return_bulk(&w.mds, &w.client[0], file[0]->inode, LAYOUT4_BLOCK_VOLUME, true, false);
	ck_assert_uint_eq(layouts_of(file[0]), 1);		/* READ only */
	layout_return_bulk(&w.mds, &w.client[0], NULL, LAYOUT4_BLOCK_VOLUME, true, true);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(layouts_of(file[i]), 0);
		ck_assert_int_eq(way(1, file[i], LAYOUT_NEED_BLOCKS, 0, UINT64_MAX), NFS4_OK);
	}
	ck_assert_uint_eq(w.nsent, 0);		/* no recall */
	ck_assert(!layout_client_has_locked(&w.client[0]));
}
END_TEST

START_TEST(close_ends_it)
{
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true);
	struct fake_got got = fake_get(0, file, &open, true, 0, U);

	ck_assert_int_eq(got.status, NFS4_OK);
	fake_close(0, file);
	ck_assert_uint_eq(layouts_of(file), 0);
	fake_workers_run();
	ck_assert_uint_eq(file->unleased, 1);
	bool present;
	ck_assert_int_eq(fake_return(0, file, &got.a.sid, 0, UINT64_MAX, &present), NFS4ERR_BAD_STATEID);
}
END_TEST

/* ---- races ---- */

static void
truncate_in_map(struct fake_file *file)
{
	/* It finds nothing out, and goes on to wait for io_lock; or it comes a moment later and finds the grant. */
	ck_assert_int_eq(way(1, file, LAYOUT_NEED_BLOCKS, 0, UINT64_MAX), NFS4_OK);
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
	ck_assert_uint_eq(layouts_of(file), 0);
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
	ck_assert_uint_eq(layouts_of(file), 0);

	/* All returned by a parallel request: the stateid that was shown is no more (12.5.3). */
	open = fake_open(0, file, true);
	return_sid = fake_get(0, file, &open, true, 0, U).a.sid;
	stateid4 shown = return_sid;
	w.in_map = return_in_map;
	ck_assert_int_eq(fake_get(0, file, &shown, true, 0, U).status, NFS4ERR_BAD_STATEID);
	ck_assert_uint_eq(layouts_of(file), 0);
	fake_close(0, file);

	open = fake_open(0, file, true);
	w.in_map = gone_in_map;
	ck_assert_int_eq(fake_get(0, file, &open, true, 0, U).status, NFS4ERR_BAD_STATEID);
	ck_assert_uint_eq(layouts_of(file), 0);
	ck_assert_uint_eq(file->leased, file->unleased);
}
END_TEST

/* Who was refused is not passed over for ever (RFC 8154 2.4.6). */
START_TEST(no_starvation)
{
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 a = fake_open(0, file, true), b = fake_open(1, file, true);
	struct fake_got got = fake_get(0, file, &a, true, 0, 64 * U);
	bool present;

	ck_assert_int_eq(fake_get(1, file, &b, true, 0, 64 * U).status, NFS4ERR_LAYOUTTRYLATER);
	ck_assert_int_eq(fake_return(0, file, &got.a.sid, 0, UINT64_MAX, &present), NFS4_OK);
	ck_assert_int_eq(fake_get(0, file, &a, true, 0, 64 * U).status, NFS4ERR_LAYOUTTRYLATER);
	got = fake_get(1, file, &b, true, 0, 64 * U);
	ck_assert_int_eq(got.status, NFS4_OK);
	/* Now A waits: B, which has had its turn, gets no more. */
	ck_assert_int_eq(fake_get(1, file, &got.a.sid, true, 0, U).status, NFS4ERR_LAYOUTTRYLATER);
	fake_pass(4000);		/* A has given up; so have the callbacks */
	while (fake_answer(1, NFS4_OK) || fake_answer(0, NFS4_OK))
		;
	/* A truncate that waits holds off its own client, too, until it is through. */
	ck_assert_int_eq(way(1, file, LAYOUT_NEED_BLOCKS, 0, UINT64_MAX), NFS4ERR_DELAY);
	ck_assert_int_eq(fake_return(1, file, &got.a.sid, 0, UINT64_MAX, &present), NFS4_OK);
	ck_assert_int_eq(fake_get(1, file, &b, true, 0, U).status, NFS4ERR_LAYOUTTRYLATER);
	ck_assert_int_eq(way(1, file, LAYOUT_NEED_BLOCKS, 0, UINT64_MAX), NFS4_OK);
	ck_assert_int_eq(fake_get(1, file, &b, true, 0, U).status, NFS4_OK);
	ck_assert_int_eq(fake_get(0, file, &a, true, 0, U).status, NFS4ERR_LAYOUTTRYLATER);
	/* One that never comes back does not hold the file for ever. */
	fake_close(1, file);
	fake_pass(5000);
	ck_assert_int_eq(fake_get(0, file, &a, true, 0, U).status, NFS4_OK);
}
END_TEST

/* ---- everything at random, against a model of who holds which block how ---- */

struct model {
	bool read[FAKE_CLIENTS][FAKE_BLOCKS], rw[FAKE_CLIENTS][FAKE_BLOCKS];
};

static void
check_model(const struct fake_file *file, const struct model *m)
{
	for (unsigned c = 0; c < FAKE_CLIENTS; c++) {
		const struct layout *l = layout_find_locked(file->inode, &w.client[c]);
		for (unsigned b = 0; b < FAKE_BLOCKS; b++) {
			struct range r = { b * U, (b + 1) * U };
			ck_assert_int_eq(l && ranges_cover(&l->held.read, r), m->read[c][b]);
			ck_assert_int_eq(l && ranges_cover(&l->held.rw, r), m->rw[c][b]);
			for (unsigned o = 0; o < FAKE_CLIENTS; o++)	/* one writer XOR readers */
				ck_assert(o == c || !m->rw[c][b] || (!m->rw[o][b] && !m->read[o][b]));
		}
	}
}

static void
model_set(bool *row, uint64_t offset, uint64_t length, bool value)
{
	for (unsigned b = 0; b < FAKE_BLOCKS; b++)
		if (b * U >= offset && (b + 1) * U <= range_make(offset, length).end)
			row[b] = value;
}

START_TEST(random_world)
{
	struct fake_file *file = fake_file_new(64 * U);
	struct model m = { 0 };
	stateid4 open[3], sid[3];
	bool held[3] = { false };
	unsigned granted = 0, refused = 0;

	for (unsigned c = 0; c < 3; c++)
		open[c] = fake_open(c, file, true);
	for (int step = 0; step < 20000; step++) {
		unsigned c = fake_random(3);
		uint64_t offset = fake_random(64 * 4096), length = 1 + fake_random(8 * 4096);
		bool present;
		if (fake_random(3)) {
			bool rw = fake_random(2);
			struct fake_got got = fake_get_min(c, file, held[c] ? &sid[c] : &open[c], rw, offset, length, 1,
			    1 + fake_random(12));
			if (got.status == NFS4_OK) {
				granted++;
				ck_assert_uint_le(got.a.offset, offset);
				ck_assert_uint_gt(got.a.offset + got.a.length, offset);
				model_set(rw ? m.rw[c] : m.read[c], got.a.offset, got.a.length, true);
				sid[c] = got.a.sid;
				held[c] = true;
			} else {
				refused++;
				ck_assert(got.status == NFS4ERR_LAYOUTTRYLATER || got.status == NFS4ERR_RECALLCONFLICT);
			}
		} else if (held[c]) {
			ck_assert_int_eq(fake_return(c, file, &sid[c], offset, length, &present), NFS4_OK);
			model_set(m.read[c], offset, length, false);
			model_set(m.rw[c], offset, length, false);
			held[c] = present;
		}
		/* Whoever is asked returns what he is asked for, now and then. */
		for (unsigned k = 0; k < 3; k++) {
			struct fake_call *call = fake_random(2) ? fake_call_of(k) : NULL;
			if (!call)
				continue;
			const layoutrecall_file4 *r = &call->args.clora_recall.layoutrecall4_u.lor_layout;
			uint64_t ro = r->lor_offset, rl = r->lor_length;
			stateid4 rsid = r->lor_stateid;
			bool mine = held[k] && !memcmp(rsid.other, sid[k].other, NFS4_OTHER_SIZE);
			fake_answer(k, mine ? NFS4_OK : NFS4ERR_NOMATCHING_LAYOUT);
			if (!mine)
				continue;
			ck_assert_int_eq(fake_return(k, file, &rsid, ro, rl, &present), NFS4_OK);
			model_set(m.read[k], ro, rl, false);
			model_set(m.rw[k], ro, rl, false);
			held[k] = present;
			if (present)
				sid[k] = rsid;
		}
		if (step % 8 == 0)
			fake_pass(100);
		for (unsigned k = 0; k < 3; k++) {
			const struct layout *l = layout_find_locked(file->inode, &w.client[k]);
			ck_assert_int_eq(l != NULL, held[k]);
		}
		if (step % 16 == 0)
			check_model(file, &m);
	}
	check_model(file, &m);
	ck_assert_uint_gt(granted, 1000);
	ck_assert_uint_gt(refused, 1000);
	ck_assert_uint_eq(w.nfenced, 0);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = { first_grant, unaligned_ask, room_for_extents, sequential_gib, failures, seqids,
		stateid_matrix, partial_returns, modes, bulk_returns, close_ends_it, races_with_map, no_starvation, random_world };
	Suite *suite = suite_create("layout");
	TCase *tc = tcase_create("layout");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	for (unsigned i = 0; i < sizeof tests / sizeof *tests; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
