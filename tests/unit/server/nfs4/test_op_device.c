/* GETDEVICEINFO (RFC 8881 18.40.3; PITFALLS B17, B19, B20), over a device that is not there. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/layout/layout_xdr.h"
#include "proto/xdr/xdr_arena.h"
#include "server/conf/conf.h"
#include "server/layout/device.h"
#include "server/layout/device_notice.h"
#include "server/mds.h"
#include "server/nfs4/compound.h"
#include "server/state/client.h"

static struct device_conf conf = { .name = (char *)"lun" };
static struct device device;
static struct mds mds;
static struct client client;
static struct compound c;
static bool admits;
static int prepare_result, key_result;
static uint64_t key_added, key_then;
static unsigned subscriptions;
static uint32_t subscribed, granted, wanted;
static bool subscribed_fetched;

struct device *
device_find(struct mds *m, const uint8_t id[DEVICE_ID_SIZE])
{
	(void)m;
	return memcmp(id, device.id, DEVICE_ID_SIZE) ? NULL : &device;
}

bool
device_admits(struct device *d, const struct sockaddr *addr)
{
	(void)d;
	(void)addr;
	return admits;
}

void
device_put(struct device *d)
{
	(void)d;
}

int
device_prepare(struct device *d, enum reason *why)
{
	(void)d;
	*why = prepare_result ? REASON_NO_RESERVATIONS : REASON_NONE;
	return prepare_result;
}

int
device_give_key(struct device *d, uint64_t key)
{
	(void)d;
	key_added = key;
	return key_result;
}

uint32_t
device_notice_subscribe(struct mds *m, struct client *cl, const struct device *d, uint32_t mask, bool fetched, uint64_t *key)
{
	(void)m;
	ck_assert_ptr_eq(cl, &client);
	ck_assert_ptr_eq(d, &device);
	subscriptions++;
	subscribed = mask;
	subscribed_fetched = fetched;
	*key = key_then ? key_then : cl->pr_key;
	return mask & granted;
}

static void
setup(void)
{
	memset(&device, 0, sizeof device);
	device.conf = &conf;
	device.layout_type = LAYOUT4_BLOCK_VOLUME;
	device.sig_offset = 32;
	for (unsigned i = 0; i < 16; i++)
		device.id[i] = (uint8_t)(i + 1), device.uuid[i] = (uint8_t)(0xa0 + i);
	memcpy(device.designator, "\x60\x01\x40\x05\x00\x01\x02\x03", 8);
	device.designator_len = 8;
	device.designator_type = 3;
	device.code_set = 1;
	admits = true;
	prepare_result = key_result = 0;
	key_added = key_then = 0;
	subscriptions = 0;
	subscribed = 0;
	granted = UINT32_MAX;
	wanted = 6;
	client.pr_key = 0x1122334455667788;
	memset(&c, 0, sizeof c);
	c.mds = &mds;
	c.client = &client;
	arena_init(&c.arena, 0);
}

static void
teardown(void)
{
	arena_destroy(&c.arena);
}

static uint8_t bytes[2048];
static uint32_t encoded;		/* of the resok */

static nfsstat4
get(layouttype4 type, uint32_t maxcount, GETDEVICEINFO4res **res)
{
	static nfs_resop4 resop;
	nfs_argop4 arg = { .argop = OP_GETDEVICEINFO };
	GETDEVICEINFO4args *a = &arg.nfs_argop4_u.opgetdeviceinfo;
	XDR xdrs;
	memcpy(a->gdia_device_id, device.id, 16);
	a->gdia_layout_type = type;
	a->gdia_maxcount = maxcount;
	a->gdia_notify_types.bitmap4_len = wanted != 0;
	a->gdia_notify_types.bitmap4_val = &wanted;
	memset(&resop, 0, sizeof resop);
	nfsstat4 status = op_getdeviceinfo(&c, &arg, &resop);
	*res = &resop.nfs_resop4_u.opgetdeviceinfo;
	if (status == NFS4_OK) {
		ax_init(&xdrs, bytes, sizeof bytes, XDR_ENCODE, NULL);
		ck_assert(xdr_GETDEVICEINFO4resok(&xdrs, &(*res)->GETDEVICEINFO4res_u.gdir_resok4));
		encoded = ax_used(&xdrs);
	}
	return status;
}

static struct volume *
volume(GETDEVICEINFO4res *res, layouttype4 type)
{
	struct volume *vol;
	uint32_t n;
	device_addr4 *addr = &res->GETDEVICEINFO4res_u.gdir_resok4.gdir_device_addr;
	ck_assert_int_eq(addr->da_layout_type, type);
	ck_assert(layout_device_decode(type, addr->da_addr_body.da_addr_body_val, addr->da_addr_body.da_addr_body_len,
	    &c.arena, &vol, &n));
	ck_assert_uint_eq(n, 1);
	return vol;
}

START_TEST(block)
{
	GETDEVICEINFO4res *res;
	ck_assert_int_eq(get(LAYOUT4_BLOCK_VOLUME, 4096, &res), NFS4_OK);
	struct volume *vol = volume(res, LAYOUT4_BLOCK_VOLUME);
	ck_assert_int_eq(vol->type, VOLUME_SIMPLE);
	ck_assert_uint_eq(vol->simple.nsigs, 1);
	ck_assert_int_eq(vol->simple.sigs[0].offset, 32);
	ck_assert_uint_eq(vol->simple.sigs[0].len, 16);
	ck_assert_mem_eq(vol->simple.sigs[0].contents, device.uuid, 16);
	ck_assert_uint_eq(key_added, 0);
}
END_TEST

static uint32_t
promised(const GETDEVICEINFO4res *res)
{
	const bitmap4 *map = &res->GETDEVICEINFO4res_u.gdir_resok4.gdir_notification;
	return map->bitmap4_len ? map->bitmap4_val[0] : 0;
}

/* Of what is asked for, that which will be sent, and no more (PITFALLS B17, B19). */
START_TEST(notifications)
{
	GETDEVICEINFO4res *res;
	static const uint32_t asked[] = { 0, 1, 2, 4, 6, 8, UINT32_MAX };
	for (unsigned i = 0; i < sizeof asked / sizeof *asked; i++) {
		wanted = asked[i];
		ck_assert_int_eq(get(LAYOUT4_BLOCK_VOLUME, 4096, &res), NFS4_OK);
		ck_assert_uint_eq(promised(res), asked[i] & 6);
		ck_assert_uint_eq(subscribed, asked[i] & 6);
		ck_assert_uint_eq(subscriptions, i + 1);
		ck_assert(subscribed_fetched);
	}
	granted = 0;
	wanted = 6;
	ck_assert_int_eq(get(LAYOUT4_BLOCK_VOLUME, 4096, &res), NFS4_OK);
	ck_assert_uint_eq(res->GETDEVICEINFO4res_u.gdir_resok4.gdir_notification.bitmap4_len, 0);
	/* maxcount 0: subscribed all the same */
	granted = UINT32_MAX;
	ck_assert_int_eq(get(LAYOUT4_BLOCK_VOLUME, 0, &res), NFS4_OK);
	ck_assert_uint_eq(promised(res), 6);
	ck_assert(!subscribed_fetched);
	/* an error changes nothing */
	subscriptions = 0;
	ck_assert_int_eq(get(LAYOUT4_BLOCK_VOLUME, 4, &res), NFS4ERR_TOOSMALL);
	ck_assert_int_eq(get(LAYOUT4_SCSI, 4096, &res), NFS4ERR_NOENT);
	ck_assert_uint_eq(subscriptions, 0);
}
END_TEST

/* The key changed between: not the old one, of which no CHANGE would tell. */
START_TEST(key_changes)
{
	GETDEVICEINFO4res *res;
	device.layout_type = LAYOUT4_SCSI;
	key_then = 99;
	ck_assert_int_eq(get(LAYOUT4_SCSI, 4096, &res), NFS4ERR_DELAY);
}
END_TEST

START_TEST(scsi)
{
	GETDEVICEINFO4res *res;
	device.layout_type = LAYOUT4_SCSI;
	ck_assert_int_eq(get(LAYOUT4_SCSI, 4096, &res), NFS4_OK);
	struct volume *vol = volume(res, LAYOUT4_SCSI);
	ck_assert_int_eq(vol->type, VOLUME_BASE);
	ck_assert_uint_eq(vol->base.designator_type, 3);
	ck_assert_uint_eq(vol->base.code_set, 1);
	ck_assert_uint_eq(vol->base.len, 8);
	ck_assert_mem_eq(vol->base.designator, device.designator, 8);
	ck_assert_uint_eq(vol->base.pr_key, client.pr_key);
	ck_assert_uint_eq(key_added, client.pr_key);
}
END_TEST

/* No key leaves before the LUN is reserved and the key on record (RFC 8154 2.4.10.2). */
START_TEST(scsi_not_ready)
{
	GETDEVICEINFO4res *res;
	device.layout_type = LAYOUT4_SCSI;
	prepare_result = -ENOTCONN;
	ck_assert_int_eq(get(LAYOUT4_SCSI, 4096, &res), NFS4ERR_DELAY);
	ck_assert_uint_eq(key_added, 0);
	prepare_result = 0;
	key_result = -ENOSPC;
	ck_assert_int_ne(get(LAYOUT4_SCSI, 4096, &res), NFS4_OK);
}
END_TEST

START_TEST(unknown)
{
	GETDEVICEINFO4res *res;
	ck_assert_int_eq(get(LAYOUT4_SCSI, 4096, &res), NFS4ERR_NOENT);
	ck_assert_int_eq(get(LAYOUT4_NFSV4_1_FILES, 4096, &res), NFS4ERR_UNKNOWN_LAYOUTTYPE);
	ck_assert_int_eq(get((layouttype4)77, 4096, &res), NFS4ERR_UNKNOWN_LAYOUTTYPE);
	admits = false;
	ck_assert_int_eq(get(LAYOUT4_BLOCK_VOLUME, 4096, &res), NFS4ERR_NOENT);
}
END_TEST

/* Counted over the whole resok; exact is enough, one less is not; 0 only asks whether the id is valid. */
START_TEST(counts)
{
	GETDEVICEINFO4res *res;
	static const layouttype4 types[] = { LAYOUT4_BLOCK_VOLUME, LAYOUT4_SCSI };
	for (unsigned i = 0; i < 2; i++) {
		device.layout_type = types[i];
		ck_assert_int_eq(get(types[i], 1, &res), NFS4ERR_TOOSMALL);
		uint32_t need = res->GETDEVICEINFO4res_u.gdir_mincount;
		ck_assert_int_eq(get(types[i], need - 1, &res), NFS4ERR_TOOSMALL);
		ck_assert_uint_eq(res->GETDEVICEINFO4res_u.gdir_mincount, need);
		ck_assert_uint_eq(key_added, 0);
		ck_assert_int_eq(get(types[i], need, &res), NFS4_OK);
		ck_assert_uint_eq(encoded, need);
		key_added = 0;
		ck_assert_int_eq(get(types[i], 0, &res), NFS4_OK);
		ck_assert_uint_eq(res->GETDEVICEINFO4res_u.gdir_resok4.gdir_device_addr.da_addr_body.da_addr_body_len, 0);
		ck_assert_int_eq(res->GETDEVICEINFO4res_u.gdir_resok4.gdir_device_addr.da_layout_type, types[i]);
		ck_assert_uint_eq(key_added, 0);
	}
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("op_device");
	TCase *t = tcase_create("getdeviceinfo");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, block);
	tcase_add_test(t, notifications);
	tcase_add_test(t, key_changes);
	tcase_add_test(t, scsi);
	tcase_add_test(t, scsi_not_ready);
	tcase_add_test(t, unknown);
	tcase_add_test(t, counts);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
