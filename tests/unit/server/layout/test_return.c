/* Taking layouts back, over a provider of paper (fake_layout.h). */
#include <check.h>
#include <stdlib.h>

#include "tests/unit/server/layout/fake_layout.h"

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
	ck_assert_int_eq(fake_way(1, file, LAYOUT_NEED_WRITE, 16 * U, 16 * U), NFS4_OK);
	ck_assert_int_eq(fake_way(1, file, LAYOUT_NEED_WRITE, 16 * U - 1, 1), NFS4ERR_DELAY);
	ck_assert_int_eq(fake_way(1, file, LAYOUT_NEED_WRITE, 32 * U, 1), NFS4ERR_DELAY);
	ck_assert_int_eq(fake_way(0, file, LAYOUT_NEED_WRITE, 0, UINT64_MAX), NFS4_OK);	/* its own is not in the way */
	ck_assert_int_eq(fake_way(0, file, LAYOUT_NEED_BLOCKS, 40 * U, UINT64_MAX), NFS4ERR_DELAY);	/* unless blocks go */
	ck_assert_int_eq(fake_return(0, file, &got.a.sid, 0, 32 * U, &present), NFS4_OK);
	ck_assert(present);
	ck_assert_int_eq(fake_return(0, file, &got.a.sid, 32 * U, UINT64_MAX, &present), NFS4_OK);
	ck_assert(!present);
	ck_assert_int_eq(fake_way(1, file, LAYOUT_NEED_WRITE, 0, UINT64_MAX), NFS4_OK);
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
	ck_assert_int_eq(fake_way(1, file, LAYOUT_NEED_READ, 0, U), NFS4ERR_DELAY);
	got = fake_get(0, file, &sid, false, 0, 64 * U);
	ck_assert_int_eq(got.status, NFS4ERR_RECALLCONFLICT);	/* A18 */
	ck_assert_int_eq(layout_return_file(&w.mds, &w.client[0], file->inode, &sid, 0, UINT64_MAX, false, true, &sid, &present),
	    NFS4_OK);
	ck_assert(!present);
	ck_assert_int_eq(fake_way(1, file, LAYOUT_NEED_READ, 0, U), NFS4_OK);
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
	ck_assert_uint_eq(fake_layouts_of(file[0]), 1);		/* of another type: not meant */
	layout_return_bulk(&w.mds, &w.client[0], file[0]->inode, LAYOUT4_BLOCK_VOLUME, true, false);
	ck_assert_uint_eq(fake_layouts_of(file[0]), 1);		/* READ only */
	layout_return_bulk(&w.mds, &w.client[0], NULL, LAYOUT4_BLOCK_VOLUME, true, true);
	for (unsigned i = 0; i < 3; i++) {
		ck_assert_uint_eq(fake_layouts_of(file[i]), 0);
		ck_assert_int_eq(fake_way(1, file[i], LAYOUT_NEED_BLOCKS, 0, UINT64_MAX), NFS4_OK);
	}
	ck_assert_uint_eq(w.nsent, 0);		/* no recall */
	ck_assert(!layout_client_has_locked(&w.client[0]));
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = { partial_returns, modes, bulk_returns };
	return fake_suite("return", tests, sizeof tests / sizeof *tests);
}
