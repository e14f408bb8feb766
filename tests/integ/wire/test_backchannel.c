/* The backchannel: credentials, minor version, races, load, loss (RFC 8881 2.10.3.1, 2.10.6.3, 20.9; PITFALLS C10 to C14). */
#include <unistd.h>

#include "tests/integ/wire/wire.h"

static struct client *
client_with(const char *name, uint32_t minor, uint32_t flavor)
{
	struct client *c = client_bare(name);
	c->minor = minor;
	c->cb_flavor = flavor;
	OK(client_exchange_id(c));
	OK(client_create_session(c));
	EXPECT_TRUE(c->csr_flags & CREATE_SESSION4_FLAG_CONN_BACK_CHAN);
	OK(client_reclaim_complete(c));
	return c;
}

static void
recalled_as(uint32_t minor, uint32_t flavor)
{
	char name[16];
	snprintf(name, sizeof name, "f%u.%u", minor, flavor);
	struct pair p = pair_of(client_with("holder", minor, flavor), name, LAYOUTIOMODE4_RW);
	STATUS(file_set_size(p.g, 4096), NFS4_OK);
	EXPECT_TRUE(recall_wait(p.holder, 0, 1000));
	struct cb_seen *r = recall_last(p.holder);
	EXPECT(r->minor, minor);
	EXPECT(r->flavor, flavor);
	EXPECT(r->uid, flavor == AUTH_SYS ? 4711 : 0);
	EXPECT(r->program, 0x40000123);
}

static void
credentials(void)
{
	recalled_as(1, AUTH_SYS);
	recalled_as(1, AUTH_NONE);
}

static void
minor_versions(void)
{
	recalled_as(1, AUTH_SYS);
	recalled_as(2, AUTH_SYS);
}

/* A LAYOUTGET on SLOT: its answer is read, but for all the server knows it may be lost, as long as the slot is not used again. */
static void
get_on_slot(struct file *f, uint32_t slot)
{
	struct client *c = f->c;
	PUTFH4args putfh = { f->fh };
	LAYOUTGET4args args = { .loga_layout_type = world.type, .loga_iomode = LAYOUTIOMODE4_RW, .loga_length = MiB, .loga_minlength = 4096,
		.loga_maxcount = 4096, .loga_stateid = f->open };
	nfs_resop4 res;
	args.loga_stateid.seqid = 0;
	nfsstat4 status;
	for (unsigned i = 0; i < 300; i++) {
		call_begin_slot(c, slot);
		call_op(c, OP_PUTFH, &putfh);
		call_op(c, OP_LAYOUTGET, &args);
		OK(call_run(c));
		OK(call_res(c, OP_PUTFH, NULL));
		status = call_res(c, OP_LAYOUTGET, &res);
		if (status != NFS4ERR_LAYOUTTRYLATER && status != NFS4ERR_RECALLCONFLICT)
			break;
		world_pump(10);
	}
	OK(status);
	f->layout = res.nfs_resop4_u.oplayoutget.LAYOUTGET4res_u.logr_resok4.logr_stateid;
	f->held = true;
}

static void
referring_calls(void)
{
	struct client *c1 = client_new("holder"), *c2 = client_new("other");
	local_make("f", MiB, 5);
	struct file *f = file_open(c1, "f", READ_WRITE), *g = file_open(c2, "f", READ_WRITE);
	get_on_slot(f, 3);
	STATUS(file_set_size(g, 512 * KiB), NFS4_OK);
	struct cb_seen *r = recall_last(c1);
	bool refers = false;
	for (unsigned i = 0; i < r->nrefs; i++)
		refers |= r->refs[i].slot == 3 && r->refs[i].seqid == c1->seqids[3] && !memcmp(r->refs[i].session, c1->session, NFS4_SESSIONID_SIZE);
	EXPECT_TRUE(refers);
	/* the slot used again: the answer was seen, there is no race */
	f->held = false;
	get_on_slot(f, 3);
	call_begin_slot(c1, 3);
	OK(call_run(c1));
	STATUS(file_set_size(g, 4096), NFS4_OK);
	r = recall_last(c1);
	for (unsigned i = 0; i < r->nrefs; i++)
		EXPECT_TRUE(r->refs[i].slot != 3);
	EXPECT_TRUE(c1->ncbs >= 2);
}

/* Calls both ways on one connection, eight of the client's under way all the time. */
static void
both_ways(void)
{
	enum { ROUNDS = 60, DEEP = 8 };
	struct client *c1 = client_new("holder"), *c2 = client_new("other");
	local_make("f", MiB, 5);
	struct file *f = file_open(c1, "f", READ_WRITE), *g = file_open(c2, "f", READ_WRITE);
	PUTFH4args putfh = { f->fh };
	uint32_t words[] = { 0x0010011a, 0x00b0a23a }, xid[DEEP] = { 0 };
	GETATTR4args getattr = { { 2, words } };
	static uint8_t buf[4096];
	unsigned answered = 0, sent = 0;
	for (unsigned round = 0; round < ROUNDS; round++) {
		layout_need(f, LAYOUTIOMODE4_RW, 0, 4096);
		for (unsigned i = 0; i < DEEP; i++) {
			if (xid[i]) {
				REQUIRE(call_wait(c1, xid[i], 5000));
				OK(call_seq_result(c1));
				OK(call_res(c1, OP_PUTFH, NULL));
				STATUS(call_res(c1, OP_GETATTR, NULL), NFS4_OK);
				answered++;
			}
			call_begin_slot(c1, i + 1);
			call_op(c1, OP_PUTFH, &putfh);
			call_op(c1, OP_GETATTR, &getattr);
			xid[i] = call_send(c1);
			sent++;
		}
		STATUS(file_write(g, 0, buf, sizeof buf), NFS4_OK);
		EXPECT_TRUE(c1->ncbs > round);
	}
	for (unsigned i = 0; i < DEEP; i++)
		answered += call_wait(c1, xid[i], 5000);
	EXPECT(answered, sent);
	EXPECT_TRUE(c1->ncbs >= ROUNDS && c1->ncbs < 2 * ROUNDS);
	EXPECT(c1->return_status, NFS4_OK);
}

static uint32_t
flags_now(struct client *c)
{
	call_begin_slot(c, 2);
	OK(call_run(c));
	return c->status_flags;
}

#define PATH_DOWN (SEQ4_STATUS_CB_PATH_DOWN | SEQ4_STATUS_CB_PATH_DOWN_SESSION)

/* The connection is lost with a recall on it: the client is told, and asked again on the next one. */
static void
connection_lost(void)
{
	struct pair p = pair_new(LAYOUTIOMODE4_RW);
	EXPECT(flags_now(p.holder) & PATH_DOWN, 0);
	p.holder->policy = CB_SILENT;
	STATUS(file_try_size(p.g, 4096), NFS4ERR_DELAY);
	EXPECT_TRUE(recall_wait(p.holder, 0, 1000));
	client_disconnect(p.holder, 0);
	p.holder->conn = client_connect(p.holder);
	world_pump(50);
	EXPECT_TRUE(flags_now(p.holder) & PATH_DOWN);
	STATUS(file_try_size(p.g, 4096), NFS4ERR_DELAY);
	p.holder->policy = CB_RETURN;
	BIND_CONN_TO_SESSION4args args = { .bctsa_dir = CDFC4_FORE_OR_BOTH };
	memcpy(args.bctsa_sessid, p.holder->session, sizeof args.bctsa_sessid);
	call_begin_bare(p.holder);
	call_op(p.holder, OP_BIND_CONN_TO_SESSION, &args);
	call_run(p.holder);
	OK(call_res(p.holder, OP_BIND_CONN_TO_SESSION, NULL));
	EXPECT_TRUE(recall_wait(p.holder, 1, 1500));
	STATUS(file_set_size(p.g, 4096), NFS4_OK);
	EXPECT(flags_now(p.holder) & PATH_DOWN, 0);
}

/* DESTROY_SESSION with a recall pending, or refused because of it (18.37.3); the next session has the recall. */
static void
session_lost(void)
{
	struct pair p = pair_new(LAYOUTIOMODE4_RW);
	p.holder->policy = CB_SILENT;
	STATUS(file_try_size(p.g, 4096), NFS4ERR_DELAY);
	EXPECT_TRUE(recall_wait(p.holder, 0, 1000));
	DESTROY_SESSION4args ds;
	memcpy(ds.dsa_sessionid, p.holder->session, sizeof ds.dsa_sessionid);
	call_begin_bare(p.holder);
	call_op(p.holder, OP_DESTROY_SESSION, &ds);
	call_run(p.holder);
	nfsstat4 status = call_res(p.holder, OP_DESTROY_SESSION, NULL);
	EXPECT_TRUE(status == NFS4_OK || status == NFS4ERR_BACK_CHAN_BUSY || status == NFS4ERR_DELAY);
	p.holder->policy = CB_RETURN;
	unsigned had = p.holder->ncbs;
	OK(client_create_session(p.holder));
	if (status == NFS4_OK)
		EXPECT_TRUE(recall_wait(p.holder, had, 1500));
	STATUS(file_set_size(p.g, 4096), NFS4_OK);
}

const struct wire_test tests_backchannel[] = {
	{ "C10", "callbacks carry csa_sec_parms' credentials", credentials },
	{ "C11", "callbacks carry the session's minor version", minor_versions },
	{ "C12", "a recall refers to the LAYOUTGET whose answer may not have been seen, and only then", referring_calls },
	{ "C13", "60 recalls under load, both ways on one connection", both_ways },
	{ "C14", "connection lost with a recall: CB_PATH_DOWN, and asked again on the next", connection_lost },
	{ "C14", "session destroyed with a recall: asked again on the next", session_lost },
	{ NULL, NULL, NULL },
};
