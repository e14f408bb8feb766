/* Who is told what about devices, and when (RFC 8881 18.40.3, 20.12; PITFALLS B17 to B19). */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/xdr/xdr_arena.h"
#include "server/cb/cb.h"
#include "server/layout/device_notice.h"
#include "server/layout/device_private.h"
#include "server/state/client.h"

#define CHANGE (1u << NOTIFY_DEVICEID4_CHANGE)
#define DELETE (1u << NOTIFY_DEVICEID4_DELETE)

static struct mds mds;
static struct devices devices;
static struct device block, scsi;
static struct client client[2];
static bool path[2];
static uint64_t now;

/* What was sent. */
static struct call {
	unsigned client;
	uint32_t what, type, immediate;
	uint8_t id[DEVICE_ID_SIZE];
	cb_done_fn *done;
	void *arg;
} calls[16];
static unsigned ncalls;

uint64_t
mds_now_ms(void)
{
	return now;
}

struct client *
client_get(struct client *c)
{
	atomic_fetch_add(&c->refs, 1);
	return c;
}

void
client_put(struct mds *m, struct client *c)
{
	(void)m;
	ck_assert_int_gt(atomic_fetch_sub(&c->refs, 1), 1);
}

void
client_each_locked(struct mds *m, void (*fn)(struct client *, void *), void *arg)
{
	ck_assert_int_ne(pthread_mutex_trylock(&m->state_lock), 0);
	for (unsigned i = 0; i < 2; i++)
		if (!client[i].removed)
			fn(&client[i], arg);
}

bool
devices_retire_locked(const struct mds *m)
{
	ck_assert_int_ne(pthread_mutex_trylock(&m->devices->lock), 0);
	return false;
}

bool
cb_path_locked(const struct client *c)
{
	return path[c - client];
}

void
cb_send(struct mds *m, struct client *c, const nfs_cb_argop4 *arg, const struct cb_ref *refs, unsigned nrefs, uint32_t timeout_ms,
    cb_done_fn *done, void *done_arg)
{
	const CB_NOTIFY_DEVICEID4args *args = &arg->nfs_cb_argop4_u.opcbnotify_deviceid;
	struct call *call = &calls[ncalls++];
	XDR x;
	(void)refs;
	ck_assert_uint_le(ncalls, 16);
	ck_assert_int_eq(pthread_mutex_trylock(&m->state_lock), 0);
	pthread_mutex_unlock(&m->state_lock);
	ck_assert_int_eq(arg->argop, OP_CB_NOTIFY_DEVICEID);
	ck_assert_uint_eq(nrefs, 0);
	ck_assert_uint_gt(timeout_ms, 0);
	ck_assert_uint_eq(args->cnda_changes.cnda_changes_len, 1);
	const notify4 *n = args->cnda_changes.cnda_changes_val;
	ck_assert_uint_eq(n->notify_mask.bitmap4_len, 1);
	*call = (struct call){ .client = (unsigned)(c - client), .what = n->notify_mask.bitmap4_val[0], .done = done, .arg = done_arg };
	ax_init(&x, n->notify_vals.notifylist4_val, n->notify_vals.notifylist4_len, XDR_DECODE, NULL);
	ck_assert(ax_get_u32(&x, &call->type));
	const uint8_t *id = ax_get_fixed(&x, DEVICE_ID_SIZE);
	ck_assert_ptr_nonnull(id);
	memcpy(call->id, id, sizeof call->id);
	if (call->what == CHANGE)
		ck_assert(ax_get_u32(&x, &call->immediate));
	ck_assert_uint_eq(ax_left(&x), 0);
}

static void
setup(void)
{
	memset(&mds, 0, sizeof mds);
	memset(&devices, 0, sizeof devices);
	memset(&client, 0, sizeof client);
	memset(&calls, 0, sizeof calls);
	pthread_mutex_init(&mds.state_lock, NULL);
	pthread_mutex_init(&devices.lock, NULL);
	mds.devices = &devices;
	block = (struct device){ .refs = 1, .mds = &mds, .layout_type = 3, .id = { 3 } };
	scsi = (struct device){ .refs = 1, .mds = &mds, .layout_type = 5, .id = { 5 } };
	LIST_INSERT_HEAD(&devices.list, &block, link);
	LIST_INSERT_HEAD(&devices.list, &scsi, link);
	for (unsigned i = 0; i < 2; i++) {
		atomic_init(&client[i].refs, 1);
		client[i].pr_key = 0x1000 + i;
		path[i] = true;
	}
	now = 1000000;
	ncalls = 0;
}

static void
teardown(void)
{
	struct subscription *sub;
	struct gone_device *gone;
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(atomic_load(&client[i].refs), 1);
		while ((sub = LIST_FIRST(&client[i].subscriptions)) != NULL) {
			LIST_REMOVE(sub, link);
			free(sub);
		}
	}
	while ((gone = LIST_FIRST(&devices.gone)) != NULL) {
		LIST_REMOVE(gone, link);
		free(gone);
	}
}

static uint32_t
subscribe(unsigned who, const struct device *device, uint32_t mask)
{
	uint64_t key = 0;
	uint32_t got = device_notice_subscribe(&mds, &client[who], device, mask, true, &key);
	ck_assert_uint_eq(key, client[who].pr_key);
	return got;
}

/* As device.c does with the last reference. */
static struct gone_device *
go(struct device *device)
{
	struct gone_device *gone = calloc(1, sizeof *gone);
	LIST_REMOVE(device, link);
	memcpy(gone->id, device->id, sizeof gone->id);
	gone->layout_type = device->layout_type;
	LIST_INSERT_HEAD(&devices.gone, gone, link);
	devices.notices_due = true;
	return gone;
}

/* How many were sent now. */
static unsigned
tick(void)
{
	unsigned had = ncalls;
	now += 1000;
	device_notices_tick(&mds, now);
	return ncalls - had;
}

static void
answer(unsigned call, int status)
{
	calls[call].done(&mds, calls[call].arg, status);
}

static void
rekey(unsigned who)
{
	pthread_mutex_lock(&mds.state_lock);
	device_notice_key_locked(&mds, &client[who]);
	pthread_mutex_unlock(&mds.state_lock);
}

START_TEST(promises)
{
	ck_assert_uint_eq(subscribe(0, &block, 0), 0);
	ck_assert_uint_eq(client[0].nsubscriptions, 0);
	ck_assert_uint_eq(subscribe(0, &block, CHANGE), CHANGE);
	ck_assert_uint_eq(subscribe(0, &block, UINT32_MAX), CHANGE | DELETE);
	ck_assert_uint_eq(client[0].nsubscriptions, 1);
	ck_assert_uint_eq(subscribe(0, &block, 0), 0);
	ck_assert_uint_eq(client[0].nsubscriptions, 0);
	/* bounded */
	struct device many = { .layout_type = 3, .mds = &mds, .id = { [15] = 1 } };
	for (unsigned i = 0; i < CLIENT_MAX_SUBSCRIPTIONS; i++) {
		memcpy(many.id, &i, sizeof i);
		ck_assert_uint_eq(subscribe(0, &many, DELETE), DELETE);
	}
	ck_assert_uint_eq(subscribe(0, &block, DELETE), 0);
	ck_assert_uint_eq(subscribe(0, &many, CHANGE), CHANGE);
	ck_assert_uint_eq(client[0].nsubscriptions, CLIENT_MAX_SUBSCRIPTIONS);
}
END_TEST

START_TEST(deleted)
{
	subscribe(0, &block, CHANGE | DELETE);
	subscribe(0, &scsi, CHANGE | DELETE);
	subscribe(1, &block, CHANGE);
	ck_assert_uint_eq(tick(), 0);
	struct gone_device *gone = go(&block);
	ck_assert_uint_eq(tick(), 1);
	ck_assert_uint_eq(calls[0].client, 0);
	ck_assert_uint_eq(calls[0].what, DELETE);
	ck_assert_uint_eq(calls[0].type, 3);
	ck_assert_mem_eq(calls[0].id, block.id, sizeof block.id);
	ck_assert(gone->told);			/* the ID stays unused */
	ck_assert_uint_eq(client[1].nsubscriptions, 0);
	ck_assert_uint_eq(tick(), 0);		/* one at a time */
	answer(0, NFS4ERR_DELAY);
	ck_assert_uint_eq(tick(), 1);
	answer(1, -ETIMEDOUT);
	ck_assert_uint_eq(tick(), 1);
	/* no backchannel: with the next one */
	path[0] = false;
	answer(2, -ENOTCONN);
	ck_assert_uint_eq(tick() + tick(), 0);
	path[0] = true;
	ck_assert_uint_eq(tick(), 1);
	answer(3, NFS4_OK);
	ck_assert_uint_eq(tick() + tick(), 0);
	ck_assert_uint_eq(client[0].nsubscriptions, 1);
}
END_TEST

/* Nobody was told: the device may have its ID again. */
START_TEST(deleted_unheard)
{
	subscribe(0, &scsi, CHANGE | DELETE);
	subscribe(1, &block, CHANGE);
	go(&block);
	ck_assert_uint_eq(tick(), 0);
	ck_assert(LIST_EMPTY(&devices.gone));
}
END_TEST

START_TEST(another_key)
{
	subscribe(0, &block, CHANGE | DELETE);
	subscribe(0, &scsi, CHANGE | DELETE);
	subscribe(1, &scsi, CHANGE | DELETE);
	rekey(0);
	ck_assert_uint_eq(tick(), 1);
	ck_assert_uint_eq(calls[0].client, 0);
	ck_assert_uint_eq(calls[0].what, CHANGE);
	ck_assert_uint_eq(calls[0].type, 5);
	ck_assert_uint_eq(calls[0].immediate, 1);
	answer(0, NFS4_OK);
	ck_assert_uint_eq(tick(), 0);
	ck_assert_uint_eq(client[0].nsubscriptions, 2);
	/* Asked for anew before it was told: it knows.  Not by maxcount 0, which tells nothing. */
	uint64_t key;
	rekey(0);
	device_notice_subscribe(&mds, &client[0], &scsi, CHANGE, true, &key);
	ck_assert_uint_eq(tick(), 0);
	rekey(0);
	device_notice_subscribe(&mds, &client[0], &scsi, CHANGE, false, &key);
	ck_assert_uint_eq(tick(), 1);
	/* Changed again while that is under way: told again, after it. */
	rekey(0);
	ck_assert_uint_eq(tick(), 0);
	answer(1, NFS4_OK);
	ck_assert_uint_eq(tick(), 1);
	/* It has ended its subscription meanwhile. */
	device_notice_subscribe(&mds, &client[0], &scsi, 0, true, &key);
	answer(2, NFS4ERR_DELAY);
	ck_assert_uint_eq(tick(), 0);
}
END_TEST

/* Recalled first; a device's layouts have a while to come back. */
START_TEST(device_changes)
{
	subscribe(0, &scsi, CHANGE | DELETE);
	subscribe(1, &scsi, DELETE);
	subscribe(1, &block, CHANGE);
	device_note_change(&scsi, DEVICE_RESIZED);
	ck_assert_uint_eq(tick(), 0);
	ck_assert_uint_eq(tick(), 1);
	ck_assert_uint_eq(calls[0].client, 0);
	ck_assert_uint_eq(calls[0].what, CHANGE);
	ck_assert_uint_eq(calls[0].immediate, 0);
	answer(0, NFS4_OK);
	device_note_change(&scsi, DEVICE_LOST);
	device_note_change(&scsi, DEVICE_RESIZED);
	ck_assert_uint_eq(tick() + tick(), 1);
	ck_assert_uint_eq(calls[1].immediate, 1);
	/* of one that is gone nothing else is told */
	answer(1, -ECONNRESET);
	go(&scsi);
	ck_assert_uint_eq(tick(), 2);
	ck_assert_uint_eq(calls[2].what, DELETE);
	ck_assert_uint_eq(calls[3].what, DELETE);
	answer(2, NFS4_OK);
	answer(3, NFS4ERR_NOTSUPP);
	ck_assert_uint_eq(tick(), 0);
	ck_assert_uint_eq(client[0].nsubscriptions, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("device_notice");
	TCase *tc = tcase_create("device_notice");
	suite_add_tcase(suite, tc);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, promises);
	tcase_add_test(tc, deleted);
	tcase_add_test(tc, deleted_unheard);
	tcase_add_test(tc, another_key);
	tcase_add_test(tc, device_changes);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
