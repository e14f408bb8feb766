/*
 * SEQ4_STATUS flags (RFC 8881 18.46.3, 12.7.2, 8.4.3) as a mount takes them: which state is asked about and acknowledged, what is opened again, and that no layout of before
 * is used.  Flags that are the session's own business are test_mds.c's.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/client/fixture.h"

static char buf[65536];
static struct pnfs_file *f;

static void
setup(void)
{
	fixture_start((struct pnfs_options){ 0 });
	f = fixture_open("a", O_RDWR);
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 0), 4096);
	ck_assert_int_eq(pnfs_fsync(f), 0);
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTGET), 1);
}

static void
teardown(void)
{
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
}

/* Any answer: it brings the flags. */
static void
poke(void)
{
	struct stat st;
	ck_assert_int_eq(pnfs_fstat(f, &st), 0);
}

static bool
content(void)
{
	return atomic_load(&fake.sticky) == 0;
}

static bool
reopened(void)
{
	return fake_count(&files, OP_OPEN) == 2;
}

static const uint32_t some[] = { SEQ4_STATUS_EXPIRED_SOME_STATE_REVOKED, SEQ4_STATUS_ADMIN_STATE_REVOKED,
	SEQ4_STATUS_RECALLABLE_STATE_REVOKED, SEQ4_STATUS_LEASE_MOVED };

/* A layout was revoked: found by TEST_STATEID, acknowledged by FREE_STATEID, not used; the open stays. */
START_TEST(layout_revoked)
{
	atomic_store(&files.layouts_revoked, true);
	atomic_store(&fake.sticky, some[_i]);
	poke();
	ck_assert(fixture_until(content, 5000));
	ck_assert_int_eq(atomic_load(&files.freed_layouts), 1);
	ck_assert_int_eq(atomic_load(&files.freed_opens), 0);
	ck_assert_uint_eq(fake_last(&files, OP_TEST_STATEID)->a, 2);
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 8192), 4096);
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTGET), 2);
	ck_assert_uint_eq(fake_count(&files, OP_OPEN), 1);
	ck_assert_uint_eq(fake_count(&files, OP_WRITE), 0);
}
END_TEST

/* An open was: opened again by its handle, once; the layout stays. */
START_TEST(open_revoked)
{
	atomic_store(&files.opens_revoked, true);
	atomic_store(&fake.sticky, some[_i]);
	poke();
	ck_assert(fixture_until(content, 5000));
	ck_assert(fixture_until(reopened, 5000));
	ck_assert_uint_eq(fake_last(&files, OP_OPEN)->a, CLAIM_FH);
	ck_assert_int_eq(atomic_load(&files.freed_opens), 1);
	ck_assert_int_eq(atomic_load(&files.freed_layouts), 0);
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 8192), 4096);
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTGET), 1);
	ck_assert_uint_eq(fake_count(&files, OP_OPEN), 2);
}
END_TEST

/* The lease ran out: no layout may be used, all stateids are acknowledged, all files opened again; the lease is good only when the flag is gone. */
START_TEST(all_revoked)
{
	atomic_store(&files.layouts_revoked, true);
	atomic_store(&files.opens_revoked, true);
	atomic_store(&fake.sticky, SEQ4_STATUS_EXPIRED_ALL_STATE_REVOKED);
	poke();
	ck_assert(fixture_until(content, 5000));
	ck_assert_int_eq(atomic_load(&files.freed_layouts), 1);
	ck_assert_int_eq(atomic_load(&files.freed_opens), 1);
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 8192), 4096);
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTGET), 2);
	ck_assert(fixture_until(reopened, 5000));
	ck_assert_uint_eq(fake_last(&files, OP_OPEN)->a, CLAIM_FH);
	ck_assert_int_eq(atomic_load(&fake.exchanges), 1);
	struct pnfs_stats s;
	pnfs_get_stats(mount, &s);
	ck_assert_uint_eq(s.direct_write, 8192);
}
END_TEST

static bool
new_client(void)
{
	return atomic_load(&fake.reclaim_completes) == 2;
}

/* All is acknowledged, and the flag stays: it is about something unknown here.  As a new client, then (8.4.3). */
START_TEST(all_revoked_for_ever)
{
	atomic_store(&files.layouts_revoked, true);
	atomic_store(&files.opens_revoked, true);
	atomic_store(&files.stubborn, true);
	atomic_store(&fake.sticky, SEQ4_STATUS_EXPIRED_ALL_STATE_REVOKED);
	poke();
	for (unsigned i = 0; i < 60 && atomic_load(&fake.exchanges) == 1; i++) {
		poke();
		usleep(100000);
	}
	ck_assert_int_eq(atomic_load(&fake.exchanges), 2);
	atomic_store(&fake.sticky, 0);
	ck_assert(fixture_until(new_client, 5000));
	ck_assert_uint_eq(fake.clientid, 2);
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 8192), 4096);
}
END_TEST

/* Nothing is found, and the flag stays: asked about now and then, not with each answer. */
START_TEST(vain)
{
	atomic_store(&fake.sticky, SEQ4_STATUS_RECALLABLE_STATE_REVOKED);
	double start = fixture_now();
	for (unsigned i = 0; i < 100; i++)
		poke();
	ck_assert_uint_ge(fake_count(&files, OP_TEST_STATEID), 1);
	ck_assert_uint_le(fake_count(&files, OP_TEST_STATEID), 2 + (unsigned)(fixture_now() - start));
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 8192), 4096);
	/* A revocation under it is found all the same. */
	atomic_store(&files.layouts_revoked, true);
	usleep(1100000);
	poke();
	ck_assert(fixture_until(content, 5000));
	ck_assert_int_eq(atomic_load(&files.freed_layouts), 1);
}
END_TEST

static bool
device_again(void)
{
	return fake_count(&files, OP_GETDEVICEINFO) >= (unsigned)2;
}

/* A device has changed: layouts on it go back, and it is asked for anew; not with each answer while the flag stays. */
START_TEST(devid_changed)
{
	atomic_store(&fake.sticky, SEQ4_STATUS_DEVID_CHANGED);
	poke();
	ck_assert(fixture_until(device_again, 5000));
	for (unsigned i = 0; i < 20; i++)
		poke();
	ck_assert_int_eq(pnfs_pread(f, buf, 4096, 0), 4096);
	ck_assert_uint_le(fake_count(&files, OP_GETDEVICEINFO), 3);
	ck_assert_uint_eq(fake_last(&files, OP_GETDEVICEINFO)->a, 1u << NOTIFY_DEVICEID4_CHANGE | 1u << NOTIFY_DEVICEID4_DELETE);
	ck_assert_uint_eq(fake_count(&files, OP_READ), 0);
	atomic_store(&fake.sticky, 0);
}
END_TEST

/* One was deleted: cleared by GETDEVICEINFO without notifications. */
START_TEST(devid_deleted)
{
	atomic_store(&files.devid_gone, _i);
	atomic_store(&fake.sticky, SEQ4_STATUS_DEVID_DELETED);
	poke();
	ck_assert(fixture_until(device_again, 5000));
	bool acknowledged = false;
	for (unsigned i = 0; i < atomic_load(&files.nops); i++)
		acknowledged |= files.ops[i].op == OP_GETDEVICEINFO && files.ops[i].a == 0;
	ck_assert(acknowledged);
	atomic_store(&fake.sticky, 0);
	ck_assert_int_eq(pnfs_pread(f, buf, 4096, 0), 4096);
	ck_assert_uint_eq(fake_count(&files, OP_READ), _i);
}
END_TEST

static bool
bound(void)
{
	return atomic_load(&fake.binds) > 0;
}

/* The backchannel is gone: bound again, nothing lost. */
START_TEST(path_down)
{
	atomic_store(&fake.flags, _i ? SEQ4_STATUS_CB_PATH_DOWN : SEQ4_STATUS_CB_PATH_DOWN_SESSION);
	poke();
	ck_assert(fixture_until(bound, 5000));
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 8192), 4096);
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTGET), 1);
	ck_assert_int_eq(atomic_load(&fake.sessions), 1);
}
END_TEST

/* The session is replaced; layouts belong to the client ID and stay. */
START_TEST(backchannel_fault)
{
	atomic_store(&fake.flags, SEQ4_STATUS_BACKCHANNEL_FAULT);
	poke();
	poke();
	ck_assert_int_eq(atomic_load(&fake.sessions), 2);
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 8192), 4096);
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTGET), 1);
	ck_assert_uint_eq(fake_count(&files, OP_OPEN), 1);
}
END_TEST

/* State is gone but the session is there: opens by CLAIM_PREVIOUS, layouts not at all, RECLAIM_COMPLETE. */
START_TEST(reclaim_needed)
{
	atomic_store(&fake.sticky, SEQ4_STATUS_RESTART_RECLAIM_NEEDED);
	poke();
	ck_assert(fixture_until(new_client, 5000));
	ck_assert_uint_eq(fake_last(&files, OP_OPEN)->a, CLAIM_PREVIOUS);
	ck_assert_int_eq(pnfs_pwrite(f, buf, 4096, 8192), 4096);
	ck_assert_uint_eq(fake_count(&files, OP_LAYOUTGET), 2);
	ck_assert_uint_eq(fake_count(&files, OP_GETDEVICEINFO), 2);
	ck_assert_int_eq(atomic_load(&fake.exchanges), 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("recover");
	TCase *t = tcase_create("recover");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, layout_revoked, 0, 4);
	tcase_add_loop_test(t, open_revoked, 0, 4);
	tcase_add_test(t, all_revoked);
	tcase_add_test(t, all_revoked_for_ever);
	tcase_add_test(t, vain);
	tcase_add_test(t, devid_changed);
	tcase_add_loop_test(t, devid_deleted, 0, 2);
	tcase_add_loop_test(t, path_down, 0, 2);
	tcase_add_test(t, backchannel_fault);
	tcase_add_test(t, reclaim_needed);
	suite_add_tcase(s, t);
	return fixture_main(s);
}
