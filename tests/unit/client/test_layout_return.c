/*
 * Layouts on their way back (RFC 8881 12.5.5, 18.44, 20.3): after I/O has ended and what was written is committed; before the file is cut; with the last close.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "tests/unit/client/fixture.h"

static char buf[65536];
static struct pnfs_file *f;

static void
setup(void)
{
	fixture_start((struct pnfs_options){ 0 });
	f = fixture_open("a", O_RDWR);
}

static void
teardown(void)
{
	if (f)
		ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
}

/* Where among all operations the last OP was; -1: nowhere. */
static int
at(uint32_t op)
{
	const struct fake_op *o = fake_last(&files, op);
	return o ? (int)(o - files.ops) : -1;
}

static bool
returned(void)
{
	return fake_count(&files, OP_LAYOUTRETURN) > 0;
}

/* Answered at once; given back when the write under way has ended and is committed. */
START_TEST(recall_waits_for_io)
{
	struct fixture_io io;
	files.file[0].nrw = 1;
	files.file[0].rw[0] = fake_extent(0, 0, FAKE_SPAN, EXTENT_INVALID);
	fixture_wrap(f);
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 0), 4096);
	atomic_store(&script.hold, true);
	fixture_submit(&io, f, PNFS_IO_WRITE, buf, 4096, 8192);
	ck_assert_int_eq(fixture_wait(&io, 100), -EINPROGRESS);
	ck_assert_int_eq(fixture_recall(0), NFS4_OK);
	ck_assert(!fixture_until(returned, 300));
	/* Said again: it is one recall, and one LAYOUTRETURN. */
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(fixture_recall_again(0), NFS4_OK);
	/* Nothing new is begun on it. */
	struct fixture_io other;
	int writes = atomic_load(&script.writes);
	fixture_submit(&other, f, PNFS_IO_WRITE, buf, 4096, 16384);
	ck_assert_int_eq(fixture_wait(&other, 200), -EINPROGRESS);
	ck_assert_int_eq(atomic_load(&script.writes), writes);
	fixture_release();
	ck_assert_int_eq(fixture_wait(&io, 5000), 4096);
	ck_assert(fixture_until(returned, 5000));
	const struct fake_commit *c = &files.commits[0];
	ck_assert_uint_eq(c->n, 2);
	ck_assert_int_eq(fixture_wait(&other, 5000), 4096);
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTRETURN), 1);
	struct pnfs_stats stats;
	pnfs_get_stats(mount, &stats);
	ck_assert_uint_eq(stats.recalls, 1);
	ck_assert_int_lt(at(OP_LAYOUTRETURN), at(OP_LAYOUTGET));	/* a layout of its own */
	ck_assert_uint_eq(fake_last(&files, OP_LAYOUTRETURN)->offset, 0);
	ck_assert_uint_eq(fake_last(&files, OP_LAYOUTRETURN)->length, UINT64_MAX);
	ck_assert_uint_eq(fake_count(&files, OP_WRITE), 0);
}
END_TEST

/* Nothing is held: said so, and no LAYOUTRETURN follows (20.3.3). */
START_TEST(nothing_matches)
{
	ck_assert_int_eq(fixture_recall(0), NFS4ERR_NOMATCHING_LAYOUT);
	ck_assert_int_eq(pnfs_pread(f, buf, 4096, 0), 4096);
	ck_assert_int_eq(fixture_recall(1), NFS4ERR_NOMATCHING_LAYOUT);
	ck_assert(!fixture_until(returned, 200));
}
END_TEST

/* It speaks of a LAYOUTGET whose answer has not come: not before that (12.5.5.2.1). */
START_TEST(recall_ahead_of_layoutget)
{
	struct fixture_io io;
	fake_refuse(&files, OP_LAYOUTGET, NFS4ERR_LAYOUTTRYLATER, 40);
	fixture_submit(&io, f, PNFS_IO_READ, buf, 4096, 0);
	ck_assert_int_eq(fixture_wait(&io, 100), -EINPROGRESS);
	files.file[0].last_layout.other[0] = 'l';
	ck_assert_int_eq(fixture_recall(0), NFS4ERR_DELAY);
	fake_refuse(&files, 0, NFS4_OK, 0);
	ck_assert_int_eq(fixture_wait(&io, 5000), 4096);
}
END_TEST

/* Cut: what lies behind the new end must not be used by a layout of before. */
START_TEST(truncated)
{
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 65536), 4096);
	ck_assert_int_eq(pnfs_ftruncate(f, 4096), 0);
	ck_assert_int_ge(at(OP_LAYOUTCOMMIT), 0);
	ck_assert_int_lt(at(OP_LAYOUTCOMMIT), at(OP_LAYOUTRETURN));
	ck_assert_int_lt(at(OP_LAYOUTRETURN), at(OP_SETATTR));
	ck_assert_int_eq(pnfs_ftruncate(f, 256 << 10), 0);
	ck_assert_int_eq(pnfs_pread(f, buf, 4096, 65536), 4096);
	ck_assert_int_gt(at(OP_LAYOUTGET), at(OP_SETATTR));
}
END_TEST

/* Returned with the last close, committed before, and not with another's. */
START_TEST(last_close)
{
	struct pnfs_file *g = fixture_open("a", O_RDWR);
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 0), 4096);
	ck_assert_int_eq(pnfs_close(g), 0);
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTRETURN), 0);
	ck_assert_int_eq(pnfs_close(f), 0);
	f = NULL;
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTRETURN), 1);
	ck_assert_int_lt(at(OP_LAYOUTCOMMIT), at(OP_LAYOUTRETURN));
	ck_assert_int_lt(at(OP_LAYOUTRETURN), at(OP_CLOSE));
}
END_TEST

/* The server does not know it any more: that is as good, and the next I/O gets another. */
START_TEST(refused)
{
	ck_assert_int_eq(pnfs_pread(f, buf, 4096, 0), 4096);
	fake_refuse(&files, OP_LAYOUTRETURN, NFS4ERR_BAD_STATEID, 1);
	ck_assert_int_eq(fixture_recall(0), NFS4_OK);
	ck_assert(fixture_until(returned, 5000));
	ck_assert_int_eq(pnfs_pread(f, buf, 4096, 0), 4096);
	ck_assert_int_gt(at(OP_LAYOUTGET), at(OP_LAYOUTRETURN));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("layout_return");
	TCase *t = tcase_create("layout_return");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, recall_waits_for_io);
	tcase_add_test(t, nothing_matches);
	tcase_add_test(t, recall_ahead_of_layoutget);
	tcase_add_test(t, truncated);
	tcase_add_test(t, last_close);
	tcase_add_test(t, refused);
	suite_add_tcase(s, t);
	return fixture_main(s);
}
