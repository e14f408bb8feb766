/* Stateids, who stands in whose way, the end of an open; all of it at random against a model.  Over a provider of paper (fake_layout.h). */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/server/layout/fake_layout.h"

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
	ck_assert_uint_eq(fake_layouts_of(file), 1);
}
END_TEST

/* ---- return on close ---- */

/* RFC 8881 18.43.3: a client that closes without returning is asked to; until it answers it may be writing (12.5.5.1). */
START_TEST(close_without_return)
{
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true), sid;
	struct fake_got got = fake_get(0, file, &open, true, 0, U);
	struct layout_range range = { 0, U };
	bool present;

	ck_assert_int_eq(got.status, NFS4_OK);
	fake_open(0, file, false);
	fake_open(1, file, true);
	fake_close_only(0, file);
	ck_assert_uint_eq(fake_layouts_of(file), 1);
	const struct fake_call *call = fake_call_of(0);
	ck_assert_ptr_nonnull(call);
	const layoutrecall_file4 *r = &call->args.clora_recall.layoutrecall4_u.lor_layout;
	ck_assert_uint_eq(r->lor_offset, 0);
	ck_assert_uint_eq(r->lor_length, UINT64_MAX);
	ck_assert(!call->args.clora_changed);	/* what it has it may still write */
	sid = r->lor_stateid;
	ck_assert_int_eq(fake_way(1, file, LAYOUT_NEED_BLOCKS, 0, UINT64_MAX), NFS4ERR_DELAY);
	/* Nothing more is given meanwhile, but it may commit what it wrote. */
	open = fake_open(0, file, true);
	ck_assert_int_eq(fake_get(0, file, &open, true, 0, U).status, NFS4ERR_RECALLCONFLICT);
	fake_answer(0, NFS4_OK);
	ck_assert_int_eq(fake_commit(0, file, &sid, &range, 1), NFS4_OK);
	ck_assert_int_eq(fake_way(1, file, LAYOUT_NEED_BLOCKS, 0, UINT64_MAX), NFS4ERR_DELAY);
	ck_assert_int_eq(fake_return(0, file, &sid, 0, UINT64_MAX, &present), NFS4_OK);
	ck_assert(!present);
	ck_assert_int_eq(fake_way(1, file, LAYOUT_NEED_BLOCKS, 0, UINT64_MAX), NFS4_OK);
	fake_lease_ends();
	ck_assert_uint_eq(file->unleased, 1);
	ck_assert_uint_eq(w.nsent, 1);
}
END_TEST

/* One that knows of nothing says so; one that does not answer is cut off. */
START_TEST(close_forgotten)
{
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true);

	ck_assert_int_eq(fake_get(0, file, &open, true, 0, U).status, NFS4_OK);
	w.slot[0][0].seqid++;			/* the reply has come */
	fake_close_only(0, file);
	ck_assert(fake_answer(0, NFS4ERR_NOMATCHING_LAYOUT));
	ck_assert_uint_eq(fake_layouts_of(file), 0);
	open = fake_open(0, file, true);
	ck_assert_int_eq(fake_get(0, file, &open, true, 0, U).status, NFS4_OK);
	fake_close_only(0, file);
	fake_pass(29000);
	ck_assert_uint_eq(w.nfenced, 0);
	ck_assert(!layout_clear_locked(file->inode, &w.client[1], LAYOUT_NEED_BLOCKS, 0, UINT64_MAX));
	fake_pass(2000);
	ck_assert_uint_eq(w.nfenced, 1);
	ck_assert_int_eq(fake_way(1, file, LAYOUT_NEED_BLOCKS, 0, UINT64_MAX), NFS4_OK);
}
END_TEST

/* Returned first, as told, or another open left: nobody is asked anything. */
START_TEST(close_after_return)
{
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true);
	struct fake_got got = fake_get(0, file, &open, true, 0, U);

	ck_assert_int_eq(got.status, NFS4_OK);
	layout_closed(&w.mds, file->inode, &w.client[0]);	/* of another owner: this one's open is left */
	ck_assert_uint_eq(fake_layouts_of(file), 1);
	fake_close(0, file);
	ck_assert_uint_eq(fake_layouts_of(file), 0);
	ck_assert_uint_eq(w.nsent, 0);
	fake_lease_ends();
	ck_assert_uint_eq(file->unleased, 1);
}
END_TEST

/* ---- holes that the asker itself is going to fill ---- */

START_TEST(own_hole_is_filled)
{
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true), sid;
	bool present;

	for (unsigned i = 0; i < FAKE_BLOCKS; i++)
		file->block[i] = i / 8 % 2 ? IOMAP_HOLE : IOMAP_MAPPED;	/* holes: 8 to 15, 24 to 31... */
	struct fake_got got = fake_get(0, file, &open, false, 0, 64 * U);
	ck_assert_int_eq(got.status, NFS4_OK);
	ck_assert_uint_eq(got.a.length, 64 * U);
	/* Over data, and for reading: its layout stays true (A20). */
	ck_assert_int_eq(fake_way(0, file, LAYOUT_NEED_WRITE, 0, 8 * U), NFS4_OK);
	ck_assert_int_eq(fake_way(0, file, LAYOUT_NEED_READ, 0, 64 * U), NFS4_OK);
	ck_assert_uint_eq(w.nsent, 0);
	/* Into a hole: all of that hole is recalled. */
	ck_assert_int_eq(fake_way(0, file, LAYOUT_NEED_WRITE, 9 * U + 5, 10), NFS4ERR_DELAY);
	ck_assert(!layout_clear_locked(file->inode, &w.client[0], LAYOUT_NEED_WRITE, 9 * U + 5, 10));
	ck_assert_uint_eq(w.nsent, 1);
	const layoutrecall_file4 *r = &fake_call_of(0)->args.clora_recall.layoutrecall4_u.lor_layout;
	ck_assert_uint_eq(r->lor_offset, 8 * U);
	ck_assert_uint_eq(r->lor_length, 8 * U);
	sid = r->lor_stateid;
	fake_answer(0, NFS4_OK);
	ck_assert_int_eq(fake_return(0, file, &sid, 8 * U, 8 * U, &present), NFS4_OK);
	ck_assert(present);
	/* It is not given again before the WRITE has come; other parts, and for writing, are. */
	ck_assert_int_eq(fake_get(0, file, &sid, false, 9 * U, U).status, NFS4ERR_LAYOUTTRYLATER);
	got = fake_get(0, file, &sid, false, 8 * U, 8 * U);
	ck_assert(got.status != NFS4_OK || got.a.length <= U);
	ck_assert_int_eq(fake_get(0, file, &sid, false, 16 * U, U).status, NFS4_OK);
	ck_assert_int_eq(fake_get_min(0, file, &sid, true, 9 * U, U, U, 1).status, NFS4_OK);
	ck_assert_int_eq(fake_way(0, file, LAYOUT_NEED_WRITE, 9 * U + 5, 10), NFS4_OK);
	file->block[9] = IOMAP_MAPPED;
	ck_assert_int_eq(fake_get(0, file, &sid, false, 9 * U, U).status, NFS4_OK);
	ck_assert_int_eq(fake_way(0, file, LAYOUT_NEED_WRITE, 9 * U, U), NFS4_OK);
	/* What was a hole when it was granted is one to the client until it is returned, whatever was granted since. */
	ck_assert_int_eq(fake_get(0, file, &sid, true, 24 * U, 8 * U).status, NFS4_OK);
	ck_assert_int_eq(fake_way(0, file, LAYOUT_NEED_WRITE, 24 * U, U), NFS4ERR_DELAY);
}
END_TEST

/* More holes than are remembered one by one: never one too few. */
START_TEST(many_holes)
{
	struct holding h = { 0 };

	for (uint64_t i = 0; i < RANGES_MAX; i++)
		ck_assert_int_eq(ranges_add(&h.holes, (struct range){ 4 * i * U, (4 * i + 1) * U }), 0);
	struct fake_file *file = fake_file_new(64 * U);
	stateid4 open = fake_open(0, file, true);
	struct fake_got got = fake_get(0, file, &open, false, 0, U);
	struct layout *layout = layout_find_locked(file->inode, &w.client[0]);
	ck_assert_int_eq(got.status, NFS4_OK);
	ranges_free(&layout->held.holes);
	layout->held.holes = h.holes;
	for (unsigned i = 0; i < FAKE_BLOCKS; i++)
		file->block[i] = i % 4 == 2 ? IOMAP_HOLE : IOMAP_MAPPED;	/* none touches one that is remembered */
	got = fake_get(0, file, &got.a.sid, false, 0, 64 * U);
	ck_assert_int_eq(got.status, NFS4_OK);
	for (unsigned i = 2; i < FAKE_BLOCKS; i += 4)
		ck_assert(!layout_clear_locked(file->inode, &w.client[0], LAYOUT_NEED_WRITE, i * U, U));
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
	ck_assert_int_eq(fake_way(1, file, LAYOUT_NEED_BLOCKS, 0, UINT64_MAX), NFS4ERR_DELAY);
	ck_assert_int_eq(fake_return(1, file, &got.a.sid, 0, UINT64_MAX, &present), NFS4_OK);
	ck_assert_int_eq(fake_get(1, file, &b, true, 0, U).status, NFS4ERR_LAYOUTTRYLATER);
	ck_assert_int_eq(fake_way(1, file, LAYOUT_NEED_BLOCKS, 0, UINT64_MAX), NFS4_OK);
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
			bool same = (l && ranges_cover(&l->held.read, r)) == m->read[c][b] &&
			    (l && ranges_cover(&l->held.rw, r)) == m->rw[c][b];
			for (unsigned o = 0; o < FAKE_CLIENTS; o++)	/* one writer XOR readers */
				same &= o == c || !m->rw[c][b] || (!m->rw[o][b] && !m->read[o][b]);
			if (!same)	/* each ck_assert() costs a write(2), and there would be millions */
				ck_abort_msg("client %u, block %u", c, b);
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
	const TTest *const tests[] = { seqids, stateid_matrix, close_without_return, close_forgotten,
		close_after_return, own_hole_is_filled, many_holes, no_starvation, random_world };
	return fake_suite("layout", tests, sizeof tests / sizeof *tests);
}
