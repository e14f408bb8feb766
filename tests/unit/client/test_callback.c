/*
 * Callbacks as a server may send them (RFC 8881 20.3, 20.6, 20.8, 20.12; RFC 8154 2.6), and what the client does about them then.  Slots, replays and illegal
 * operations are test_mds.c's.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "proto/xdr/xdr_arena.h"
#include "tests/unit/client/fixture.h"

static char buf[65536];
static struct pnfs_file *a, *b;

static void
setup(void)
{
	fixture_start((struct pnfs_options){ 0 });
	a = fixture_open("a", O_RDWR);
	b = fixture_open("b", O_RDWR);
}

static void
teardown(void)
{
	ck_assert_int_eq(pnfs_close(a), 0);
	ck_assert_int_eq(pnfs_close(b), 0);
	fixture_stop();
}

static void
hold_both(void)
{
	ck_assert_int_eq(pnfs_pwrite(a, buf, 4096, 0), 4096);
	ck_assert_int_eq(pnfs_pwrite(b, buf, 4096, 0), 4096);
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTGET), 2);
	ck_assert_uint_eq(fake_count(&files, OP_GETDEVICEINFO), 1);
}

static bool
returned(void)
{
	return fake_count(&files, OP_LAYOUTRETURN) > 0;
}

static bool
returned_twice(void)
{
	return fake_count(&files, OP_LAYOUTRETURN) > 1;
}

static nfsstat4
recall_bulk(layoutrecall_type4 type, uint64_t major)
{
	CB_LAYOUTRECALL4args args = { .clora_type = LAYOUT4_BLOCK_VOLUME, .clora_iomode = LAYOUTIOMODE4_ANY,
		.clora_recall = { .lor_recalltype = type } };
	args.clora_recall.layoutrecall4_u.lor_fsid = (fsid4){ major, 1 };
	return fixture_callback(OP_CB_LAYOUTRECALL, &args);
}

/* All of a file system, all of the client: committed, one LAYOUTRETURN of that kind, and device IDs are asked for anew (20.3.3). */
START_TEST(recall_fsid_all)
{
	layoutrecall_type4 type = _i ? LAYOUTRECALL4_ALL : LAYOUTRECALL4_FSID;
	hold_both();
	if (!_i)
		ck_assert_int_eq(recall_bulk(type, 78), NFS4ERR_NOMATCHING_LAYOUT);
	ck_assert_int_eq(recall_bulk(type, 77), NFS4_OK);
	ck_assert(fixture_until(returned, 5000));
	ck_assert_uint_eq(fake_last(&files, OP_LAYOUTRETURN)->a, _i ? LAYOUTRETURN4_ALL : LAYOUTRETURN4_FSID);
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTRETURN), 1);
	ck_assert_uint_eq(atomic_load(&files.ncommits), 2);
	ck_assert_int_eq(pnfs_pread(a, buf, 4096, 0), 4096);
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTGET), 3);
	ck_assert_uint_eq(fake_count(&files, OP_GETDEVICEINFO), 2);
	ck_assert_uint_eq(fake_count(&files, OP_READ), 0);
}
END_TEST

/* It waits for I/O too; meanwhile another is put off, and no layout is asked for (12.5.5.2.1.5). */
START_TEST(recall_all_busy)
{
	struct fixture_io io, other;
	hold_both();
	fixture_wrap(a);
	atomic_store(&script.hold, true);
	fixture_submit(&io, a, PNFS_IO_WRITE, buf, 4096, 8192);
	ck_assert_int_eq(fixture_wait(&io, 100), -EINPROGRESS);
	ck_assert_int_eq(recall_bulk(LAYOUTRECALL4_ALL, 0), NFS4_OK);
	ck_assert_int_eq(recall_bulk(LAYOUTRECALL4_ALL, 0), NFS4ERR_DELAY);
	fixture_submit(&other, b, PNFS_IO_READ, buf, 4096, 0);
	ck_assert_int_eq(fixture_wait(&other, 300), -EINPROGRESS);
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTGET), 2);
	ck_assert(!returned());
	fixture_release();
	ck_assert_int_eq(fixture_wait(&io, 5000), 4096);
	ck_assert_int_eq(fixture_wait(&other, 5000), 4096);
	ck_assert(returned());
	ck_assert(fake_last(&files, OP_LAYOUTRETURN) < fake_last(&files, OP_LAYOUTGET));
}
END_TEST

START_TEST(recall_nothing)
{
	ck_assert_int_eq(recall_bulk(LAYOUTRECALL4_ALL, 0), NFS4ERR_NOMATCHING_LAYOUT);
	CB_LAYOUTRECALL4args args = { .clora_type = LAYOUT4_BLOCK_VOLUME, .clora_iomode = 7, .clora_recall = { .lor_recalltype = LAYOUTRECALL4_ALL } };
	ck_assert_int_eq(fixture_callback(OP_CB_LAYOUTRECALL, &args), NFS4ERR_INVAL);
}
END_TEST

static nfsstat4
recall_any(uint32_t keep, uint32_t mask)
{
	CB_RECALL_ANY4args args = { .craa_objects_to_keep = keep, .craa_type_mask = { .bitmap4_len = 1, .bitmap4_val = &mask } };
	return fixture_callback(OP_CB_RECALL_ANY, &args);
}

/* Whole layouts of files go back until no more than asked are left; others' types are fine, undefined ones are not (20.6.3). */
START_TEST(recall_any_some)
{
	hold_both();
	ck_assert_int_eq(recall_any(0, 1u << RCA4_TYPE_MASK_DIR_DLG), NFS4_OK);
	ck_assert_int_eq(recall_any(2, 1u << RCA4_TYPE_MASK_BLK_LAYOUT), NFS4_OK);
	ck_assert_int_eq(recall_any(0, 1u << 5), NFS4ERR_INVAL);
	ck_assert_int_eq(recall_any(0, 1u << RCA4_TYPE_MASK_BLK_LAYOUT | 1u << 31), NFS4ERR_INVAL);
	ck_assert(!fixture_until(returned, 200));
	ck_assert_int_eq(recall_any(1, 1u << RCA4_TYPE_MASK_BLK_LAYOUT), NFS4_OK);
	ck_assert(fixture_until(returned, 5000));
	ck_assert(!fixture_until(returned_twice, 200));
	ck_assert_uint_eq(fake_last(&files, OP_LAYOUTRETURN)->a, LAYOUTRETURN4_FILE);
	ck_assert_uint_eq(fake_last(&files, OP_LAYOUTRETURN)->length, UINT64_MAX);
	ck_assert_uint_eq(atomic_load(&files.ncommits), 1);
}
END_TEST

START_TEST(recall_slot)
{
	CB_RECALL_SLOT4args args = { .rsa_target_highest_slotid = 0 };
	ck_assert_int_eq(fixture_callback(OP_CB_RECALL_SLOT, &args), NFS4_OK);
	args.rsa_target_highest_slotid = 1000;
	ck_assert_int_eq(fixture_callback(OP_CB_RECALL_SLOT, &args), NFS4ERR_BAD_HIGH_SLOT);
}
END_TEST

/* ---- devices ---- */

static nfsstat4
notify(uint32_t mask, layouttype4 type, const uint8_t *id, bool change, uint32_t cut)
{
	uint8_t vals[64];
	XDR x;
	ax_init(&x, vals, sizeof vals, XDR_ENCODE, NULL);
	ck_assert(ax_put_u32(&x, type) && ax_put_fixed(&x, id, NFS4_DEVICEID4_SIZE) && (!change || ax_put_u32(&x, 0)));
	notify4 n = { .notify_mask = { .bitmap4_len = 1, .bitmap4_val = &mask },
		.notify_vals = { .notifylist4_len = ax_used(&x) - cut, .notifylist4_val = (char *)vals } };
	CB_NOTIFY_DEVICEID4args args = { .cnda_changes = { .cnda_changes_len = 1, .cnda_changes_val = &n } };
	return fixture_callback(OP_CB_NOTIFY_DEVICEID, &args);
}

static bool
asked_twice(void)
{
	return fake_count(&files, OP_GETDEVICEINFO) >= 2;
}

/* Layouts on it go back, and it is asked for anew before any I/O. */
START_TEST(device_changed)
{
	hold_both();
	ck_assert_int_eq(notify(1u << NOTIFY_DEVICEID4_CHANGE, LAYOUT4_BLOCK_VOLUME, fake_device, true, 0), NFS4_OK);
	ck_assert(fixture_until(asked_twice, 5000));
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTRETURN), 2);
	ck_assert_int_eq(pnfs_pread(a, buf, 4096, 0), 4096);
	ck_assert_uint_eq(fake_count(&files, OP_READ), 0);
	ck_assert_uint_eq(fake_count(&files, OP_GETDEVICEINFO), 2);
}
END_TEST

/* Deleted, which it may be only with no layout on it: not asked for any more, since the ID does not come back. */
START_TEST(device_deleted)
{
	hold_both();
	ck_assert_int_eq(fixture_recall(0), NFS4_OK);
	ck_assert_int_eq(fixture_recall(1), NFS4_OK);
	ck_assert(fixture_until(returned, 5000));
	ck_assert_int_eq(notify(1u << NOTIFY_DEVICEID4_DELETE, LAYOUT4_BLOCK_VOLUME, fake_device, false, 0), NFS4_OK);
	ck_assert(!fixture_until(asked_twice, 300));
}
END_TEST

/* Of another type, of another ID: nothing to us.  Malformed: said so, and nothing done. */
START_TEST(device_others)
{
	static const uint8_t other[NFS4_DEVICEID4_SIZE] = "another";
	hold_both();
	ck_assert_int_eq(notify(1u << NOTIFY_DEVICEID4_CHANGE, LAYOUT4_SCSI, fake_device, true, 0), NFS4_OK);
	ck_assert_int_eq(notify(1u << NOTIFY_DEVICEID4_CHANGE, LAYOUT4_BLOCK_VOLUME, other, true, 0), NFS4_OK);
	ck_assert_int_eq(notify(1u << NOTIFY_DEVICEID4_CHANGE, LAYOUT4_BLOCK_VOLUME, fake_device, true, 4), NFS4ERR_BADXDR);
	ck_assert_int_eq(notify(1u << NOTIFY_DEVICEID4_DELETE, LAYOUT4_BLOCK_VOLUME, fake_device, true, 0), NFS4ERR_BADXDR);
	ck_assert_int_eq(notify(1u << 7, LAYOUT4_BLOCK_VOLUME, fake_device, true, 0), NFS4ERR_INVAL);
	ck_assert(!fixture_until(returned, 300));
	ck_assert(!asked_twice());
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("callback");
	TCase *t = tcase_create("callback");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, recall_fsid_all, 0, 2);
	tcase_add_test(t, recall_all_busy);
	tcase_add_test(t, recall_nothing);
	tcase_add_test(t, recall_any_some);
	tcase_add_test(t, recall_slot);
	tcase_add_test(t, device_changed);
	tcase_add_test(t, device_deleted);
	tcase_add_test(t, device_others);
	suite_add_tcase(s, t);
	return fixture_main(s);
}
