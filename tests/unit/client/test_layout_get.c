/*
 * LAYOUTGET as RFC 8881 18.43 and 12.5, RFC 5663 2.3 and RFC 8154 2.7 want it of a client, seen from the fake server: what is asked for, by which stateid, how refusals
 * are taken, and that a malformed layout is not used.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "tests/unit/client/fixture.h"

static char buf[65536];
static struct pnfs_file *f;

static const char *reason;
static int
note(const struct pnfs_fallback *fb, void *arg)
{
	(void)arg;
	reason = fb->reason;
	return 1;
}
static const char *
why(void)
{
	reason = "";
	pnfs_fallbacks(f, note, NULL);
	return reason;
}

static void
setup(void)
{
	fixture_start((struct pnfs_options){ 0 });
	f = fixture_open("a", O_RDWR);
}

static void
teardown(void)
{
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
}

static void
read_ok(uint64_t offset)
{
	ck_assert_int_eq(pnfs_pread(f, buf, 4096, offset), 4096);
}

/* The first by the open stateid, the others by the layout's (12.5.2); held extents are not asked for again. */
START_TEST(one_is_enough)
{
	files.file[0].nread = 2;
	files.file[0].read[0] = fake_extent(0, 0, 65536, EXTENT_READ);
	files.file[0].read[1] = fake_extent(0, 65536, FAKE_SPAN - 65536, EXTENT_NONE);
	for (unsigned i = 0; i < 16; i++)
		read_ok(i * 4096);
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTGET), 1);
	ck_assert_uint_eq(fake_last(&files, OP_LAYOUTGET)->a, LAYOUTIOMODE4_READ);
	ck_assert_uint_eq(fake_last(&files, OP_LAYOUTGET)->offset, 0);
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 8192), 4096);
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTGET), 2);
	ck_assert_uint_eq(fake_last(&files, OP_LAYOUTGET)->a, LAYOUTIOMODE4_RW);
	ck_assert_uint_eq(fake_last(&files, OP_LAYOUTGET)->offset % 4096, 0);
	read_ok(8192);			/* what is held for writing may be read */
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTGET), 2);
	ck_assert_uint_eq(fake_count(&files, OP_READ) + fake_count(&files, OP_WRITE), 0);
	ck_assert_uint_eq(fake_count(&files, OP_GETDEVICEINFO), 1);
}
END_TEST

/* TRYLATER, RECALLCONFLICT, DELAY: asked again, and then direct (RFC 8154 2.7). */
START_TEST(try_later)
{
	static const nfsstat4 status[] = { NFS4ERR_LAYOUTTRYLATER, NFS4ERR_RECALLCONFLICT, NFS4ERR_DELAY };
	for (unsigned i = 0; i < 3; i++) {
		fake_refuse(&files, OP_LAYOUTGET, status[i], 3);
		unsigned before = fake_count(&files, OP_LAYOUTGET);
		read_ok(0);
		ck_assert_uint_eq(fake_count(&files, OP_LAYOUTGET), before + 4);
		ck_assert_uint_eq(fake_count(&files, OP_READ), 0);
		ck_assert_int_eq(pnfs_ftruncate(f, 8192), 0);	/* the layout goes back */
		ck_assert_int_eq(pnfs_ftruncate(f, 256 << 10), 0);
	}
}
END_TEST

/* LAYOUTUNAVAILABLE: through the server, and not asked again for each request. */
START_TEST(unavailable)
{
	fake_refuse(&files, OP_LAYOUTGET, NFS4ERR_LAYOUTUNAVAILABLE, 1000);
	for (unsigned i = 0; i < 20; i++)
		read_ok(i * 4096);
	ck_assert_uint_eq(fake_count(&files, OP_READ), 20);
	ck_assert_uint_le(fake_count(&files, OP_LAYOUTGET), 3);
	ck_assert_str_eq(why(), "layouts-off");
	fake_refuse(&files, 0, NFS4_OK, 0);
}
END_TEST

START_TEST(no_space)
{
	fake_refuse(&files, OP_LAYOUTGET, NFS4ERR_NOSPC, 1);
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 0), 4096);
	ck_assert_uint_eq(fake_count(&files, OP_WRITE), 1);
	ck_assert_str_eq(why(), "no-space");
}
END_TEST

/* The stateid is not good any more: the file is opened again by its handle, and the layout asked for by the new open. */
START_TEST(bad_stateid)
{
	fake_refuse(&files, OP_LAYOUTGET, NFS4ERR_BAD_STATEID, 1);
	read_ok(0);
	ck_assert_uint_eq(fake_count(&files, OP_OPEN), 2);
	ck_assert_uint_eq(fake_last(&files, OP_OPEN)->a, CLAIM_FH);
	ck_assert_uint_eq(fake_count(&files, OP_READ), 0);
}
END_TEST

/* What no layout may have (RFC 5663 2.3.1): nothing of it is used. */
START_TEST(malformed)
{
	struct fake_file *a = &files.file[0];
	switch (_i) {
	case 0:				/* a hole in a layout for writing */
		a->rw[0] = fake_extent(0, 0, FAKE_SPAN, EXTENT_NONE);
		a->nrw = 1;
		break;
	case 1:				/* overlapping */
		a->rw[0] = fake_extent(0, 0, 8192, EXTENT_READ_WRITE);
		a->rw[1] = fake_extent(0, 4096, 8192, EXTENT_READ_WRITE);
		a->nrw = 2;
		break;
	case 2:				/* not in sectors */
		a->rw[0] = fake_extent(0, 0, 4100, EXTENT_READ_WRITE);
		a->nrw = 1;
		break;
	case 3:				/* for reading only */
		a->rw[0] = fake_extent(0, 0, FAKE_SPAN, EXTENT_READ);
		a->nrw = 1;
		break;
	}
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 0), 4096);
	struct pnfs_stats s;
	pnfs_get_stats(mount, &s);
	ck_assert_uint_eq(s.direct_write, 0);
	ck_assert_uint_eq(s.mds_write, 4096);
	ck_assert_str_eq(why(), "io-error");
}
END_TEST

/* A provider whose layouts end at the last whole block: the tail is the server's, and says so. */
START_TEST(eof_block)
{
	atomic_store(&files.file[0].size, 10000);
	ck_assert_int_eq(pnfs_close(f), 0);
	f = fixture_open("a", O_RDWR);
	ck_assert_int_eq(pnfs_pwrite(f, buf, 10000, 0), 10000);
	ck_assert_uint_eq(fake_count(&files, OP_WRITE), 1);
	ck_assert_uint_eq(fake_last(&files, OP_WRITE)->offset, 8192);
	ck_assert_uint_eq(fake_last(&files, OP_WRITE)->length, 10000 - 8192);
	ck_assert_str_eq(why(), "eof-block");
}
END_TEST

/* The size has changed under us: asked for before a layout that depends on it. */
START_TEST(after_a_recall)
{
	read_ok(0);
	ck_assert_int_eq(fixture_recall(0), NFS4_OK);
	unsigned before = fake_count(&files, OP_GETATTR);
	atomic_store(&files.file[0].size, 8192);
	ck_assert_int_eq(pnfs_pread(f, buf, 16384, 0), 8192);
	ck_assert_uint_gt(fake_count(&files, OP_GETATTR), before);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("layout_get");
	TCase *t = tcase_create("layout_get");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, one_is_enough);
	tcase_add_test(t, try_later);
	tcase_add_test(t, unavailable);
	tcase_add_test(t, no_space);
	tcase_add_test(t, bad_stateid);
	tcase_add_loop_test(t, malformed, 0, 4);
	tcase_add_test(t, eof_block);
	tcase_add_test(t, after_a_recall);
	suite_add_tcase(s, t);
	return fixture_main(s);
}
