/* LAYOUTRETURN: whole, in part, FSID, ALL (RFC 8881 18.44; PITFALLS A12 to A15). */
#include "tests/integ/wire/wire.h"

static void
stateid_present(void)
{
	struct client *c = client_new("c");
	local_make("f", MiB, 5);
	struct file *f = file_open(c, "f", READ_WRITE);
	bool present;
	layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	stateid4 before = f->layout;
	STATUS(layout_return_as(f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_RW, 0, 65536, NULL, &present), NFS4_OK);
	EXPECT(present, 1);
	EXPECT(f->layout.seqid, before.seqid + 1);
	EXPECT(memcmp(f->layout.other, before.other, NFS4_OTHER_SIZE), 0);
	/* another iomode: nothing is returned, and it is no error */
	STATUS(layout_return_as(f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_READ, 0, ALL, NULL, &present), NFS4_OK);
	EXPECT(present, 1);
	/* a range that is not held */
	STATUS(layout_return_as(f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_ANY, 0, 65536, NULL, &present), NFS4_OK);
	EXPECT(present, 1);
	STATUS(layout_return_as(f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_ANY, 0, ALL, NULL, &present), NFS4_OK);
	EXPECT(present, 0);
	/* it is over: the stateid is no more (12.5.3), and the open's gets a new one */
	stateid4 gone = before;
	EXPECT_TRUE(layout_return_as(f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_ANY, 0, ALL, &gone, NULL) == NFS4ERR_BAD_STATEID);
	f->held = false;
	layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	EXPECT(f->layout.seqid, 1);
}

/* Only the client asked, and only about what is held. */
static void
conflict_third(struct file *other, struct client *holder, unsigned third, bool held)
{
	unsigned before = holder->ncbs;
	struct layout *l = layout_get(other, LAYOUTIOMODE4_RW, third * 256 * KiB, 256 * KiB, 256 * KiB);
	if (held) {
		EXPECT_TRUE(l->status == NFS4ERR_RECALLCONFLICT || l->status == NFS4ERR_LAYOUTTRYLATER || l->status == NFS4ERR_DELAY);
		EXPECT_TRUE(recall_wait(holder, before, 1000));
		struct cb_seen *r = recall_last(holder);
		EXPECT_TRUE(r->what == LAYOUTRECALL4_FILE && r->offset <= third * 256 * KiB &&
		    (r->length == ALL || r->offset + r->length >= (third + 1) * 256 * KiB));
	} else {
		STATUS(l->status, NFS4_OK);
		world_pump(100);
		EXPECT(holder->ncbs, before);
	}
}

static void
middle_third(unsigned third)
{
	char name[8];
	struct client *c1 = client_new("holder"), *c2 = client_new("other");
	snprintf(name, sizeof name, "f%u", third);
	local_make(name, 768 * KiB, 5);
	struct file *f = file_open(c1, name, READ_WRITE), *g = file_open(c2, name, READ_WRITE);
	bool present;
	layout_need(f, LAYOUTIOMODE4_RW, 0, 768 * KiB);
	STATUS(layout_return_as(f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_RW, 256 * KiB, 256 * KiB, NULL, &present), NFS4_OK);
	EXPECT(present, 1);
	c1->policy = CB_RETURN;
	conflict_third(g, c1, third, third != 1);
}

static void
middle_returned(void)
{
	for (unsigned third = 0; third < 3; third++)
		middle_third(third);
}

static void
returned_in_bulk(uint32_t how)
{
	struct client *c1 = client_new("holder"), *c2 = client_new("other");
	char name[8];
	struct file *f = NULL;
	c1->policy = CB_HOLD;
	for (unsigned i = 0; i < 3; i++) {
		snprintf(name, sizeof name, "%u.%u", how, i);
		local_make(name, MiB, 5);
		f = file_open(c1, name, READ_WRITE);
		layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	}
	STATUS(layout_return_as(f, how, LAYOUTIOMODE4_ANY, 0, 0, NULL, NULL), NFS4_OK);
	for (unsigned i = 0; i < 3; i++) {
		snprintf(name, sizeof name, "%u.%u", how, i);
		struct file *g = file_open(c2, name, READ_WRITE);
		uint64_t began = now_ms();
		STATUS(file_set_size(g, 4096), NFS4_OK);
		EXPECT_TRUE(now_ms() - began < 1000);
	}
	EXPECT(c1->ncbs, 0);
}

static void
bulk(void)
{
	returned_in_bulk(LAYOUTRETURN4_ALL);
	returned_in_bulk(LAYOUTRETURN4_FSID);
}

static void
bad_returns(void)
{
	struct client *c1 = client_new("c1"), *c2 = client_new("c2");
	local_make("f", MiB, 5);
	local_make("g", MiB, 5);
	struct file *f = file_open(c1, "f", READ_WRITE), *g = file_open(c2, "g", READ_WRITE);
	layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	layout_need(g, LAYOUTIOMODE4_RW, 0, MiB);
	stateid4 zero_seq = f->layout, zero = { 0 };
	zero_seq.seqid = 0;
	STATUS(layout_return_as(f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_ANY, 0, ALL, &zero_seq, NULL), NFS4ERR_BAD_STATEID);
	STATUS(layout_return_as(f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_ANY, 0, ALL, &zero, NULL), NFS4ERR_BAD_STATEID);
	STATUS(layout_return_as(f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_ANY, 0, ALL, &g->layout, NULL), NFS4ERR_BAD_STATEID);
	STATUS(layout_return_as(f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_ANY, 0, ALL, &f->open, NULL), NFS4ERR_BAD_STATEID);
	LAYOUTRETURN4args ret = { .lora_layout_type = world.type, .lora_iomode = LAYOUTIOMODE4_ANY, .lora_reclaim = true };
	ret.lora_layoutreturn.lr_returntype = LAYOUTRETURN4_FILE;
	ret.lora_layoutreturn.layoutreturn4_u.lr_layout = (layoutreturn_file4){ 0, ALL, f->layout, { 0, NULL } };
	STATUS(on_fh(c1, &f->fh, OP_LAYOUTRETURN, &ret, NULL), NFS4ERR_NO_GRACE);
	ret.lora_layoutreturn.lr_returntype = LAYOUTRETURN4_ALL;
	STATUS(on_fh(c1, &f->fh, OP_LAYOUTRETURN, &ret, NULL), NFS4ERR_INVAL);
	/* none of these gave anything back */
	bool present;
	f->held = true;
	STATUS(layout_return_as(f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_RW, 0, 4096, NULL, &present), NFS4_OK);
	EXPECT(present, 1);
}

const struct wire_test tests_grant[] = {
	{ "A12", "LAYOUTRETURN's stateid: there while layouts remain, else not", stateid_present },
	{ "A13", "the middle third returned: the first and the last are recalled, the middle is free", middle_returned },
	{ "A14", "FSID and ALL returns take effect: no recall afterwards", bulk },
	{ "A15", "FILE return with seqid 0, another stateid, reclaim outside grace: refused", bad_returns },
	{ NULL, NULL, NULL },
};
