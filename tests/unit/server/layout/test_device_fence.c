/* Reservation, former keys, late registrations, over a target of paper (PITFALLS B7, B8, B12). */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/conf/conf.h"
#include "server/export/export.h"
#include "server/fence/fence.h"
#include "server/layout/device_private.h"
#include "server/state/client.h"

enum { SERVER = 0x5e, FORMER = 0xa, LATE = 0xb, HOST = 0xc, STRANGER = 0xd };

static struct target {
	uint64_t keys[16], holder;
	uint32_t nkeys;
	bool down, new_login, lies;
	unsigned looks, drains;
	uint64_t size;
} target;

static struct mds mds;
static struct devices devices;
static struct device_conf conf = { .name = (char *)"paper" };
static struct device device;
static char dir[64];

/* ---- the target ---- */

static bool
has(uint64_t key)
{
	for (uint32_t i = 0; i < target.nkeys; i++)
		if (target.keys[i] == key)
			return true;
	return false;
}

static void
enter(uint64_t key)
{
	if (!has(key))
		target.keys[target.nkeys++] = key;
}

static void
drop(uint64_t key)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < target.nkeys; i++)
		if (target.keys[i] != key)
			target.keys[n++] = target.keys[i];
	target.nkeys = n;
}

static int
paper_register(struct pr *pr, uint64_t key, bool aptpl)
{
	(void)pr;
	(void)aptpl;
	enter(key);
	return 0;
}

static int
paper_reserve(struct pr *pr, uint64_t key)
{
	(void)pr;
	ck_assert(has(key));
	if (target.holder && target.holder != key)
		return -EBUSY;
	target.holder = key;
	return 0;
}

static int
paper_preempt(struct pr *pr, uint64_t key, uint64_t victim)
{
	(void)pr;
	ck_assert(has(key));
	drop(victim);
	if (target.holder == victim)
		target.holder = key;
	return 0;
}

static int
paper_drain(struct pr *pr, uint64_t key, uint64_t victim)
{
	(void)pr;
	(void)key;
	(void)victim;
	target.drains++;
	return 0;
}

static int
paper_status(struct pr *pr, struct pr_status *st)
{
	(void)pr;
	memset(st, 0, sizeof *st);
	st->holder = target.holder;
	st->type = target.holder ? PR_TYPE_EXCLUSIVE_ACCESS_REG_ONLY : 0;
	st->nkeys = target.nkeys;
	memcpy(st->keys, target.keys, sizeof target.keys);
	return 0;
}

static int
paper_ensure(struct pr *pr, uint64_t key)
{
	(void)pr;
	__atomic_fetch_add(&target.looks, 1, __ATOMIC_RELAXED);
	if (target.down)
		return -ENOTCONN;
	if (target.new_login && key)
		enter(key);
	target.new_login = false;
	return 0;
}

static int
paper_enforced(struct pr *pr)
{
	(void)pr;
	return target.lies ? -EBADE : 0;
}

static int
paper_capacity(struct pr *pr, uint64_t *bytes, uint32_t *block_size)
{
	(void)pr;
	*block_size = 512;
	*bytes = target.size;
	return target.down ? -ENOTCONN : 0;
}

static const struct pr_ops paper_ops = { .name = "paper", .do_register = paper_register, .reserve = paper_reserve,
	.preempt = paper_preempt, .drain = paper_drain, .status = paper_status, .ensure = paper_ensure, .enforced = paper_enforced,
	.capacity = paper_capacity };
static struct pr paper = { .ops = &paper_ops };

/* All that it knew is gone, as is the login. */
static void
power_cut(void)
{
	target.nkeys = 0;
	target.holder = 0;
	target.new_login = true;
}

/* ---- */

static void
setup(void)
{
	target = (struct target){ 0 };
	memset(&mds, 0, sizeof mds);
	snprintf(dir, sizeof dir, "%s/device.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_int_eq(stable_open(&mds, dir), 0);
	pthread_mutex_init(&devices.lock, NULL);
	pthread_cond_init(&devices.quiet, NULL);
	LIST_INIT(&devices.list);
	mds.devices = &devices;
	device = (struct device){ .refs = 1, .mds = &mds, .conf = &conf, .layout_type = 5, .pr = &paper, .server_key = SERVER };
	pthread_mutex_init(&device.lock, NULL);
	LIST_INIT(&device.exports);
	device_watch_init(&device);
	LIST_INSERT_HEAD(&devices.list, &device, link);
}

static void
teardown(void)
{
	char cmd[100];
	stable_close(&mds);
	free(device.fenced);
	snprintf(cmd, sizeof cmd, "rm -r %s", dir);
	ck_assert_int_eq(system(cmd), 0);
}

static int
prepare(enum reason *why)
{
	device.verified_ms = 0;
	return device_prepare(&device, why);
}

/* B8: reported, but an unregistered initiator is not kept out. */
START_TEST(target_that_does_not_enforce)
{
	enum reason why;
	target.lies = true;
	ck_assert_int_eq(prepare(&why), -EBADE);
	ck_assert_int_eq(why, REASON_NO_RESERVATIONS);
	ck_assert(!device.reserved);
	target.lies = false;
	ck_assert_int_eq(prepare(&why), 0);
	ck_assert(device.reserved);
	ck_assert_uint_eq(target.holder, SERVER);
}
END_TEST

/* B12: what was on record is cut off, and again when it registers again, or late for the first time. */
START_TEST(former_keys_stay_out)
{
	enum reason why;
	ck_assert_int_eq(stable_key_add(&mds, conf.name, FORMER), 0);
	ck_assert_int_eq(stable_key_add(&mds, conf.name, LATE), 0);
	enter(FORMER);
	ck_assert_int_eq(prepare(&why), 0);
	ck_assert(!has(FORMER));
	ck_assert_int_eq(device_give_key(&device, HOST), 0);
	enter(FORMER);
	enter(LATE);
	enter(HOST);
	unsigned drains = target.drains;
	ck_assert_int_eq(device_verify(&device), 0);
	ck_assert(!has(FORMER));
	ck_assert(!has(LATE));
	ck_assert(has(HOST));
	ck_assert_uint_eq(target.drains - drains, 2);
	/* Nor is one a stranger that keeps us from reserving again. */
	power_cut();
	enter(LATE);
	ck_assert_int_eq(device_verify(&device), 0);
	ck_assert(!has(LATE));
	ck_assert_uint_eq(target.holder, SERVER);
}
END_TEST

/* B18: clients are told, who read the size when they opened it. */
START_TEST(grown)
{
	enum reason why;
	ck_assert_int_eq(prepare(&why), 0);
	device.size = target.size = 1 << 20;
	device_measure(&device);
	ck_assert_int_eq(device.changed, DEVICE_SAME);
	ck_assert(!devices.notices_due);
	target.size = 2 << 20;
	device_measure(&device);
	ck_assert_uint_eq(device.size, 2 << 20);
	ck_assert_int_eq(device.changed, DEVICE_RESIZED);
	ck_assert(devices.notices_due);
	/* One that is not reached says nothing. */
	device.changed = DEVICE_SAME;
	target.down = true;
	target.size = 0;
	device_measure(&device);
	ck_assert_uint_eq(device.size, 2 << 20);
	ck_assert_int_eq(device.changed, DEVICE_SAME);
}
END_TEST

/* B7 */
START_TEST(lost_reservation_is_taken_again)
{
	enum reason why;
	ck_assert_int_eq(prepare(&why), 0);
	ck_assert_int_eq(device.changed, DEVICE_SAME);
	power_cut();
	ck_assert_int_eq(device_verify(&device), 0);
	ck_assert(device.reserved);
	ck_assert_uint_eq(target.holder, SERVER);
	ck_assert(has(SERVER));
	/* Clients have to register again: they are told, once. */
	ck_assert_int_eq(device.changed, DEVICE_LOST);
	ck_assert(devices.notices_due);
	device.changed = DEVICE_SAME;
	ck_assert_int_eq(device_verify(&device), 0);
	ck_assert_int_eq(device.changed, DEVICE_SAME);
	/* Somebody else was faster: nothing is granted. */
	power_cut();
	enter(STRANGER);
	target.holder = STRANGER;
	ck_assert_int_eq(device_verify(&device), -EBUSY);
	ck_assert(!device.reserved);
	ck_assert(device.unguarded);
	ck_assert_int_eq(prepare(&why), -EBUSY);
	drop(STRANGER);
	target.holder = 0;
	ck_assert_int_eq(device_verify(&device), 0);
	ck_assert(device.reserved);
	/* One that does not answer may have all in force. */
	target.down = true;
	ck_assert_int_eq(device_verify(&device), -ENOTCONN);
	ck_assert(!device.reserved);
	ck_assert(!device.unguarded);
}
END_TEST

static unsigned
looks_after_tick(uint64_t now)
{
	unsigned before = __atomic_load_n(&target.looks, __ATOMIC_RELAXED);
	ck_assert_int_eq(workers_new(&mds.workers, 1, "worker"), 0);
	pthread_mutex_lock(&device.lock);	/* the look does not end meanwhile */
	devices_tick(&mds, now);
	devices_tick(&mds, now);	/* never twice at once */
	pthread_mutex_unlock(&device.lock);
	workers_stop(mds.workers);
	ck_assert(!device.watching);
	ck_assert_int_eq(device.refs, 1);
	return target.looks - before;
}

/* As long as there is something to lose, and not more often than is of use. */
START_TEST(looked_at_while_in_use)
{
	enum reason why;
	struct export *one = calloc(1, sizeof *one);
	LIST_INSERT_HEAD(&device.exports, one, on_device);
	ck_assert_int_eq(prepare(&why), 0);
	uint64_t now = mds_now_ms(), due = now + DEVICE_VERIFY_MS;
	ck_assert_uint_eq(looks_after_tick(due), 0);		/* idle */
	ck_assert_int_eq(device_give_key(&device, HOST), 0);
	ck_assert_uint_eq(looks_after_tick(now), 0);		/* it was looked at just now */
	ck_assert_uint_eq(looks_after_tick(due), 1);
	/* It was given a key and did not register. */
	ck_assert_uint_eq(looks_after_tick(due + DEVICE_VERIFY_MS), 0);
	enter(HOST);
	ck_assert_int_eq(device_verify(&device), 0);
	ck_assert_uint_eq(looks_after_tick(due + DEVICE_VERIFY_MS), 1);
	drop(HOST);
	ck_assert_int_eq(device_verify(&device), 0);
	ck_assert_uint_eq(looks_after_tick(due + DEVICE_VERIFY_MS), 0);
	/* The target is gone: tried again in the same rhythm. */
	enter(HOST);
	ck_assert_int_eq(device_verify(&device), 0);
	target.down = true;
	ck_assert_uint_eq(looks_after_tick(due + DEVICE_VERIFY_MS), 1);
	ck_assert_uint_eq(looks_after_tick(now), 0);
	ck_assert_uint_eq(looks_after_tick(due + DEVICE_VERIFY_MS), 1);
	LIST_REMOVE(one, on_device);
	free(one);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("device_fence");
	TCase *tc = tcase_create("device_fence");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, target_that_does_not_enforce);
	tcase_add_test(tc, former_keys_stay_out);
	tcase_add_test(tc, lost_reservation_is_taken_again);
	tcase_add_test(tc, grown);
	tcase_add_test(tc, looked_at_while_in_use);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
