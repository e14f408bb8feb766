/* Slots, CREATE_SESSION, BIND_CONN_TO_SESSION, DESTROY_*, leases (RFC 8881 2.10.6, 18.34 to 18.37, 18.46, 18.50; PITFALLS C1, C3 to C5, C15, C16, B23). */
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integ/wire/wire.h"

static nfsstat4
sequence(struct client *c, uint32_t slot, uint32_t seqid)
{
	call_begin_seq(c, slot, seqid, false);
	return call_run(c);
}

static void
slot_errors(void)
{
	struct client *c = client_new("c");
	uint32_t at = c->seqids[0];
	STATUS(sequence(c, c->fore.ca_maxrequests, 1), NFS4ERR_BADSLOT);
	STATUS(sequence(c, 0xffffffff, 1), NFS4ERR_BADSLOT);
	STATUS(sequence(c, 0, at + 2), NFS4ERR_SEQ_MISORDERED);
	STATUS(sequence(c, 0, at - 1), NFS4ERR_SEQ_MISORDERED);
	STATUS(sequence(c, 5, 7), NFS4ERR_SEQ_MISORDERED);
	c->session[9] ^= 1;
	STATUS(sequence(c, 0, at + 1), NFS4ERR_BADSESSION);
	c->session[9] ^= 1;
	/* none of it moved the slot or was kept as its answer */
	STATUS(sequence(c, 0, at + 1), NFS4_OK);
	STATUS(sequence(c, 5, 1), NFS4_OK);
	/* a bad operation behind a good SEQUENCE does move it */
	char name[] = "no such file";
	LOOKUP4args lookup = { { sizeof name - 1, name } };
	call_begin_seq(c, 0, at + 2, false);
	call_op(c, OP_PUTROOTFH, NULL);
	call_op(c, OP_LOOKUP, &lookup);
	OK(call_run(c));
	OK(call_res(c, OP_PUTROOTFH, NULL));
	STATUS(call_res(c, OP_LOOKUP, NULL), NFS4ERR_NOENT);
	c->seqids[0] = at + 2;
	STATUS(sequence(c, 0, at + 3), NFS4_OK);
	c->seqids[0] = at + 3;
	/* SEQUENCE where it may not stand, and its absence */
	SEQUENCE4args seq = { .sa_sequenceid = ++c->seqids[0] + 1 };
	memcpy(seq.sa_sessionid, c->session, sizeof seq.sa_sessionid);
	call_begin_seq(c, 0, c->seqids[0], false);
	call_op(c, OP_SEQUENCE, &seq);
	OK(call_run(c));
	STATUS(call_res(c, OP_SEQUENCE, NULL), NFS4ERR_SEQUENCE_POS);
	call_begin_bare(c);
	call_op(c, OP_PUTROOTFH, NULL);
	call_run(c);
	STATUS(call_res(c, OP_PUTROOTFH, NULL), NFS4ERR_OP_NOT_IN_SESSION);
}

static void
create_op(struct client *c, const char *name)
{
	CREATE4args args = { .objtype.type = NF4DIR, .objname = { (u_int)strlen(name), (char *)(uintptr_t)name } };
	call_op(c, OP_CREATE, &args);
}

/* The same request again, while it runs and afterwards, on two connections: done once. */
static void
retries(void)
{
	struct client *c = client_new("c");
	unsigned second = client_connect(c);
	nfs_fh4 dir = fh_dir(c);
	PUTFH4args putfh = { dir };
	char name[16];
	for (unsigned i = 0; i < 40; i++) {
		snprintf(name, sizeof name, "d%u", i);
		unsigned made = 0;
		uint32_t xid[2];
		for (unsigned j = 0; j < 2; j++) {
			c->conn = j ? second : 0;
			call_begin_seq(c, 1, i + 1, true);
			call_op(c, OP_PUTFH, &putfh);
			create_op(c, name);
			xid[j] = call_send(c);
		}
		for (unsigned j = 0; j < 2; j++) {
			if (!call_wait(c, xid[j], 1000))
				continue;	/* silence is right while the first runs */
			nfsstat4 status = call_seq_result(c);
			if (status == NFS4ERR_DELAY || status == NFS4ERR_RETRY_UNCACHED_REP)
				continue;
			STATUS(status, NFS4_OK);
			OK(call_res(c, OP_PUTFH, NULL));
			STATUS(call_res(c, OP_CREATE, NULL), NFS4_OK);
			made++;
		}
		EXPECT_TRUE(made >= 1);
		/* once more: from the cache, not NFS4ERR_EXIST */
		c->conn = 0;
		call_begin_seq(c, 1, i + 1, true);
		call_op(c, OP_PUTFH, &putfh);
		create_op(c, name);
		STATUS(call_run(c), NFS4_OK);
		OK(call_res(c, OP_PUTFH, NULL));
		STATUS(call_res(c, OP_CREATE, NULL), NFS4_OK);
		EXPECT_TRUE(local_size(name) != ALL);
	}
	c->conn = 0;
}

/* Rejected requests do not renew the lease: its share reservation is gone after it. */
static void
lease_not_renewed(void)
{
	struct client *c1 = client_new("rejected"), *c2 = client_new("other");
	local_make("f", 4096, 5);
	OPEN4args args;
	struct file *f = calloc(1, sizeof *f);
	REQUIRE(f);
	f->next = c1->files;
	c1->files = f;
	nfs_fh4 dir = fh_dir(c1);
	open_args(c1, "f", READ_WRITE, &args);
	args.share_deny = OPEN4_SHARE_DENY_BOTH;
	OK(file_try_open(c1, f, &args, &dir));
	struct file g = { .c = c2 };
	dir = fh_dir(c2);
	open_args(c2, "f", READ_WRITE, &args);
	STATUS(file_try_open(c2, &g, &args, &dir), NFS4ERR_SHARE_DENIED);
	uint64_t began = now_ms();
	while (now_ms() - began < world.lease * 1500u) {
		nfsstat4 status = sequence(c1, 0, c1->seqids[0] + 50);
		EXPECT_TRUE(status == NFS4ERR_SEQ_MISORDERED || (status == NFS4ERR_BADSESSION && now_ms() - began > world.lease * 900u));
		OK(client_reclaim_complete(c2) == NFS4ERR_COMPLETE_ALREADY ? NFS4_OK : NFS4ERR_IO);
		world_pump(300);
	}
	nfsstat4 status = file_try_open(c2, &g, &args, &dir);
	for (unsigned i = 0; status == NFS4ERR_DELAY && i < 20; i++) {
		world_pump(100);
		status = file_try_open(c2, &g, &args, &dir);
	}
	STATUS(status, NFS4_OK);
	if (status == NFS4_OK)
		file_close(&g);
}

static nfsstat4
create_session(struct client *c, uint32_t seq, uint32_t flags, uint32_t request, uint32_t response, bool alone, CREATE_SESSION4resok *ok)
{
	nfs_resop4 res;
	callback_sec_parms4 sec = { .cb_secflavor = AUTH_NONE };
	CREATE_SESSION4args cs = { .csa_clientid = c->clientid, .csa_sequence = seq, .csa_flags = flags, .csa_cb_program = 0x40000123,
		.csa_fore_chan_attrs = { 64, request, response, 4096, 8, 4, { 0, NULL } },
		.csa_back_chan_attrs = { 64, 4096, 4096, 4096, 2, 3, { 0, NULL } }, .csa_sec_parms = { 1, &sec } };
	call_begin_bare(c);
	call_op(c, OP_CREATE_SESSION, &cs);
	if (!alone)
		call_op(c, OP_PUTROOTFH, NULL);
	call_run(c);
	nfsstat4 status = call_res(c, OP_CREATE_SESSION, &res);
	if (status == NFS4_OK && ok)
		*ok = res.nfs_resop4_u.opcreate_session.CREATE_SESSION4res_u.csr_resok4;
	return status;
}

static void
sessions_made(void)
{
	struct client *c = client_bare("c");
	CREATE_SESSION4resok first, again;
	OK(client_exchange_id(c));
	uint32_t seq = c->create_seq;
	uint64_t id = c->clientid;
	c->clientid ^= UINT64_C(0x1122334400000000);
	STATUS(create_session(c, seq, 2, 65536, 65536, true, NULL), NFS4ERR_STALE_CLIENTID);
	c->clientid = id;
	STATUS(create_session(c, seq + 1, 2, 65536, 65536, true, NULL), NFS4ERR_SEQ_MISORDERED);
	STATUS(create_session(c, seq, 2, 65536, 65536, false, NULL), NFS4ERR_NOT_ONLY_OP);
	STATUS(create_session(c, seq, 2, 65536, 65536, true, &first), NFS4_OK);
	EXPECT(first.csr_sequence, seq);
	EXPECT(first.csr_fore_chan_attrs.ca_headerpadsize, 0);
	EXPECT_TRUE(first.csr_fore_chan_attrs.ca_maxrequestsize <= 65536 && first.csr_fore_chan_attrs.ca_maxresponsesize <= 65536 &&
	    first.csr_fore_chan_attrs.ca_maxresponsesize_cached <= 4096);
	EXPECT(first.csr_back_chan_attrs.ca_maxoperations, 2);
	EXPECT(first.csr_back_chan_attrs.ca_maxrequests, 3);
	EXPECT(first.csr_flags & ~CREATE_SESSION4_FLAG_CONN_BACK_CHAN, 0);
	/* the retry gets the same answer (18.36.4) */
	STATUS(create_session(c, seq, 2, 65536, 65536, true, &again), NFS4_OK);
	EXPECT(memcmp(first.csr_sessionid, again.csr_sessionid, NFS4_SESSIONID_SIZE), 0);
	EXPECT(again.csr_sequence, seq);
	STATUS(create_session(c, seq + 2, 2, 65536, 65536, true, NULL), NFS4ERR_SEQ_MISORDERED);
	STATUS(create_session(c, seq - 1, 2, 65536, 65536, true, NULL), NFS4ERR_SEQ_MISORDERED);
	STATUS(create_session(c, seq + 1, 2, 20, 65536, true, NULL), NFS4ERR_TOOSMALL);
	nfsstat4 status = create_session(c, seq + 2, 2, 65536, 20, true, NULL);
	EXPECT_TRUE(status == NFS4ERR_TOOSMALL || status == NFS4ERR_SEQ_MISORDERED);
	memcpy(c->session, first.csr_sessionid, sizeof c->session);
	STATUS(client_reclaim_complete(c), NFS4_OK);
}

static nfsstat4
bind_conn(struct client *c, uint32_t dir, bool alone, uint32_t *got)
{
	nfs_resop4 res;
	BIND_CONN_TO_SESSION4args args = { .bctsa_dir = dir };
	memcpy(args.bctsa_sessid, c->session, sizeof args.bctsa_sessid);
	call_begin_bare(c);
	call_op(c, OP_BIND_CONN_TO_SESSION, &args);
	if (!alone)
		call_op(c, OP_PUTROOTFH, NULL);
	call_run(c);
	nfsstat4 status = call_res(c, OP_BIND_CONN_TO_SESSION, &res);
	if (status == NFS4_OK && got)
		*got = res.nfs_resop4_u.opbind_conn_to_session.BIND_CONN_TO_SESSION4res_u.bctsr_resok4.bctsr_dir;
	return status;
}

static void
connections(void)
{
	struct client *c = client_new("c");
	uint32_t got = 0;
	static const struct { uint32_t dir, either, or; } rows[] = { { CDFC4_FORE, CDFS4_FORE, CDFS4_FORE }, { CDFC4_BACK, CDFS4_BACK, CDFS4_BACK },
		{ CDFC4_FORE_OR_BOTH, CDFS4_FORE, CDFS4_BOTH }, { CDFC4_BACK_OR_BOTH, CDFS4_BACK, CDFS4_BOTH } };
	for (unsigned i = 0; i < 4; i++) {
		c->conn = client_connect(c);
		STATUS(bind_conn(c, rows[i].dir, false, NULL), NFS4ERR_NOT_ONLY_OP);
		STATUS(bind_conn(c, rows[i].dir, true, &got), NFS4_OK);
		EXPECT_TRUE(got == rows[i].either || got == rows[i].or);
		client_disconnect(c, c->conn);
	}
	c->conn = client_connect(c);
	c->session[3] ^= 1;
	STATUS(bind_conn(c, CDFC4_FORE, true, NULL), NFS4ERR_BADSESSION);
	c->session[3] ^= 1;
	/* from a connection that is not the session's (18.37.3) */
	DESTROY_SESSION4args ds;
	memcpy(ds.dsa_sessionid, c->session, sizeof ds.dsa_sessionid);
	call_begin_bare(c);
	call_op(c, OP_DESTROY_SESSION, &ds);
	call_run(c);
	STATUS(call_res(c, OP_DESTROY_SESSION, NULL), NFS4ERR_CONN_NOT_BOUND_TO_SESSION);
	c->conn = 0;
	call_begin_bare(c);
	call_op(c, OP_DESTROY_SESSION, &ds);
	call_op(c, OP_PUTROOTFH, NULL);
	call_run(c);
	STATUS(call_res(c, OP_DESTROY_SESSION, NULL), NFS4ERR_NOT_ONLY_OP);
	call_begin(c);
	call_op(c, OP_DESTROY_SESSION, &ds);
	call_op(c, OP_PUTROOTFH, NULL);
	OK(call_run(c));
	STATUS(call_res(c, OP_DESTROY_SESSION, NULL), NFS4ERR_NOT_ONLY_OP);
	call_begin_bare(c);
	call_op(c, OP_DESTROY_SESSION, &ds);
	call_run(c);
	STATUS(call_res(c, OP_DESTROY_SESSION, NULL), NFS4_OK);
	STATUS(sequence(c, 0, c->seqids[0] + 1), NFS4ERR_BADSESSION);
}

static nfsstat4
destroy_clientid(struct client *c, uint64_t id, bool in_session)
{
	DESTROY_CLIENTID4args dc = { id };
	if (in_session)
		call_begin(c);
	else
		call_begin_bare(c);
	call_op(c, OP_DESTROY_CLIENTID, &dc);
	call_run(c);
	return call_res(c, OP_DESTROY_CLIENTID, NULL);
}

static void
client_destroyed(void)
{
	struct client *c = client_new("c"), *o = client_new("other");
	local_make("f", MiB, 5);
	struct file *f = file_open(c, "f", READ_WRITE);
	layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	STATUS(destroy_clientid(c, c->clientid, true), NFS4ERR_CLIENTID_BUSY);
	STATUS(destroy_clientid(c, c->clientid, false), NFS4ERR_CLIENTID_BUSY);
	STATUS(destroy_clientid(o, c->clientid, true), NFS4ERR_CLIENTID_BUSY);
	DESTROY_SESSION4args ds;
	memcpy(ds.dsa_sessionid, c->session, sizeof ds.dsa_sessionid);
	call_begin_bare(c);
	call_op(c, OP_DESTROY_SESSION, &ds);
	call_run(c);
	STATUS(call_res(c, OP_DESTROY_SESSION, NULL), NFS4_OK);
	STATUS(destroy_clientid(o, c->clientid, true), NFS4ERR_CLIENTID_BUSY);	/* an open and a layout */
	OK(client_create_session(c));
	EXPECT(f->is_open, 1);
	STATUS(layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL), NFS4_OK);
	STATUS(file_close(f), NFS4_OK);
	uint64_t began = now_ms();
	uint64_t id = c->clientid;
	STATUS(client_end(c), NFS4_OK);
	EXPECT_TRUE(now_ms() - began < 1000);
	STATUS(destroy_clientid(o, id, true), NFS4ERR_STALE_CLIENTID);
}

static void
layout_attributes(void)
{
	struct client *c = client_new("c");
	local_make("f", 4096, 5);
	char path[512], data[NFS4_FHSIZE];
	const char *deepest = local_path("f");
	struct attr_mask want = { { 0 } };
	attr_set(&want, FATTR4_FSID);
	attr_set(&want, FATTR4_LEASE_TIME);
	attr_set(&want, FATTR4_FS_LAYOUT_TYPES);
	attr_set(&want, FATTR4_LAYOUT_BLKSIZE);
	unsigned with = 0;
	for (size_t len = 0; len <= strlen(deepest); len++) {
		if (len && deepest[len] && deepest[len] != '/')
			continue;
		nfs_fh4 fh;
		struct nfs_attrs a;
		snprintf(path, sizeof path, "%.*s", (int)len, deepest);
		OK(fh_lookup(c, path, data, &fh));
		OK(fh_attrs(c, &fh, &want, &a));
		EXPECT(a.lease_time, world.lease);
		bool exported = len >= strlen(world.export);
		EXPECT_TRUE(attr_has(&a.mask, FATTR4_FS_LAYOUT_TYPES));
		EXPECT(a.nlayout_types, exported);
		EXPECT_TRUE(!exported || a.layout_types[0] == (uint32_t)world.type);
		EXPECT_TRUE(attr_has(&a.mask, FATTR4_LAYOUT_BLKSIZE) && a.layout_blksize >= 512 && a.layout_blksize <= 4096);
		with += exported;
	}
	EXPECT_TRUE(with >= 3);
}

const struct wire_test tests_session[] = {
	{ "C1", "errors of SEQUENCE move no slot and are not kept", slot_errors },
	{ "C3", "a retry while the request runs, on another connection: done once", retries },
	{ "C4", "rejected requests renew no lease", lease_not_renewed },
	{ "C5", "CREATE_SESSION: retry, order, sole operation, limits", sessions_made },
	{ "C15", "BIND_CONN_TO_SESSION and DESTROY_SESSION: alone, direction, unbound", connections },
	{ "C16", "DESTROY_CLIENTID: busy with session, open or layout, at once without", client_destroyed },
	{ "B23", "fs_layout_types and layout_blksize at every node from the pseudo-root on", layout_attributes },
	{ NULL, NULL, NULL },
};
