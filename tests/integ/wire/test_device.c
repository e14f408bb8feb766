/* GETDEVICEINFO (RFC 8881 18.40, 20.12; RFC 5663 2.2.1; RFC 8154 2.3.1; PITFALLS B15, B17, B20). */
#include <unistd.h>

#include "tests/integ/wire/wire.h"

struct info {
	nfsstat4 status;
	uint32_t mincount, body_len, words, notify;
	struct volume *vol;
	uint32_t n;
};

static struct info
device_info(struct client *c, const uint8_t *id, layouttype4 type, uint32_t maxcount, uint32_t want)
{
	nfs_resop4 res;
	struct info i = { 0 };
	GETDEVICEINFO4args args = { .gdia_layout_type = type, .gdia_maxcount = maxcount, .gdia_notify_types = { want ? 1 : 0, &want } };
	memcpy(args.gdia_device_id, id, NFS4_DEVICEID4_SIZE);
	call_begin(c);
	call_op(c, OP_GETDEVICEINFO, &args);
	OK(call_run(c));
	i.status = call_res(c, OP_GETDEVICEINFO, &res);
	if (i.status == NFS4ERR_TOOSMALL)
		i.mincount = res.nfs_resop4_u.opgetdeviceinfo.GETDEVICEINFO4res_u.gdir_mincount;
	if (i.status != NFS4_OK)
		return i;
	GETDEVICEINFO4resok *ok = &res.nfs_resop4_u.opgetdeviceinfo.GETDEVICEINFO4res_u.gdir_resok4;
	i.body_len = ok->gdir_device_addr.da_addr_body.da_addr_body_len;
	i.words = ok->gdir_notification.bitmap4_len;
	i.notify = i.words ? ok->gdir_notification.bitmap4_val[0] : 0;
	EXPECT(ok->gdir_device_addr.da_layout_type, type);
	if (i.body_len)
		REQUIRE(layout_device_decode(type, ok->gdir_device_addr.da_addr_body.da_addr_body_val, i.body_len, &c->arena, &i.vol, &i.n));
	return i;
}

uint32_t
device_subscribe(struct client *c, const uint8_t *id, uint32_t want)
{
	struct info i = device_info(c, id, world.type, 65536, want);
	OK(i.status);
	return i.notify;
}

static const uint8_t *
some_device(struct client *c)
{
	static uint8_t id[NFS4_DEVICEID4_SIZE];
	local_make("f", MiB, 5);
	struct file *f = file_open(c, "f", READ_ONLY);
	struct layout *l = layout_need(f, LAYOUTIOMODE4_READ, 0, MiB);
	memcpy(id, l->ext[0].device, sizeof id);
	for (uint32_t i = 0; i < l->n; i++)
		EXPECT(memcmp(l->ext[i].device, id, sizeof id), 0);
	return id;
}

static void
identity(void)
{
	struct client *c = client_new("c");
	const uint8_t *id = some_device(c);
	struct info i = device_info(c, id, world.type, 65536, 0);
	OK(i.status);
	REQUIRE(i.n >= 1);
	const struct volume *v = &i.vol[i.n - 1];
	if (world.type == LAYOUT4_BLOCK_VOLUME) {
		/* the signature is on the disk, where it is said to be */
		uint8_t buf[VOLUME_MAX_SIG];
		EXPECT(v->type, VOLUME_SIMPLE);
		EXPECT_TRUE(v->simple.nsigs >= 1);
		for (uint32_t s = 0; s < v->simple.nsigs; s++) {
			const struct volume_sig *sig = &v->simple.sigs[s];
			REQUIRE(sig->offset >= 0 && sig->len >= 8);
			REQUIRE(pread(world.image, buf, sig->len, sig->offset) == (ssize_t)sig->len);
			EXPECT(memcmp(buf, sig->contents, sig->len), 0);
		}
		return;
	}
	EXPECT(v->type, VOLUME_BASE);
	EXPECT_TRUE(v->base.code_set == PS_CODE_SET_BINARY &&
	    (v->base.designator_type == PS_DESIGNATOR_NAA || v->base.designator_type == PS_DESIGNATOR_EUI64));
	EXPECT_TRUE(v->base.len == 8 || v->base.len == 12 || v->base.len == 16);
	EXPECT_TRUE(v->base.pr_key != 0);
	/* a key for each client (2.4.10.1), and the same one each time */
	uint64_t key = v->base.pr_key;
	struct client *o = client_new("other");
	i = device_info(o, id, world.type, 65536, 0);
	OK(i.status);
	EXPECT_TRUE(i.vol[i.n - 1].base.pr_key != key);
	i = device_info(c, id, world.type, 65536, 0);
	OK(i.status);
	EXPECT_TRUE(i.vol[i.n - 1].base.pr_key == key);
}

static void
notifications(void)
{
	struct client *c = client_new("c");
	const uint8_t *id = some_device(c);
	static const uint32_t asked[] = { 0, 1 << NOTIFY_DEVICEID4_CHANGE, 1 << NOTIFY_DEVICEID4_DELETE,
		1 << NOTIFY_DEVICEID4_CHANGE | 1 << NOTIFY_DEVICEID4_DELETE, 0xffffffff };
	for (unsigned i = 0; i < 5; i++) {
		struct info info = device_info(c, id, world.type, 65536, asked[i]);
		OK(info.status);
		EXPECT(info.notify, asked[i] & 6u);
		EXPECT(info.words, info.notify != 0);
	}
}

static void
counts(void)
{
	struct client *c = client_new("c");
	const uint8_t *id = some_device(c);
	uint8_t unknown[NFS4_DEVICEID4_SIZE];
	memset(unknown, 0x5a, sizeof unknown);
	STATUS(device_info(c, unknown, world.type, 65536, 0).status, NFS4ERR_NOENT);
	STATUS(device_info(c, unknown, world.type, 0, 0).status, NFS4ERR_NOENT);
	memcpy(unknown, id, sizeof unknown);
	unknown[15] ^= 1;
	STATUS(device_info(c, unknown, world.type, 65536, 0).status, NFS4ERR_NOENT);
	struct info all = device_info(c, id, world.type, 65536, 6), i = device_info(c, id, world.type, 0, 6);
	OK(all.status);
	STATUS(i.status, NFS4_OK);	/* 0 asks for notifications only */
	EXPECT(i.body_len, 0);
	/* type, length, padded body, bitmap */
	uint32_t exact = 4 + 4 + ((all.body_len + 3) & ~3u) + 4 + 4 * all.words;
	i = device_info(c, id, world.type, 1, 6);
	STATUS(i.status, NFS4ERR_TOOSMALL);
	EXPECT(i.mincount, exact);
	i = device_info(c, id, world.type, exact - 1, 6);
	STATUS(i.status, NFS4ERR_TOOSMALL);
	EXPECT(i.mincount, exact);
	STATUS(device_info(c, id, world.type, exact, 6).status, NFS4_OK);
	i = device_info(c, id, LAYOUT4_NFSV4_1_FILES, 65536, 0);
	EXPECT_TRUE(i.status == NFS4ERR_UNKNOWN_LAYOUTTYPE || i.status == NFS4ERR_NOENT || i.status == NFS4ERR_INVAL);
}

const struct wire_test tests_device[] = {
	{ "B15", "what names the device is found on it; a reservation key for each client", identity },
	{ "B17", "notification bits are bits: those that were asked for and no other", notifications },
	{ "B20", "GETDEVICEINFO: unknown id, maxcount 0, 1, exact - 1, exact", counts },
	{ NULL, NULL, NULL },
};
