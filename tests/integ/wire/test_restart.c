/*
 * The server is killed with opens and layouts out, and started again (RFC 8881 8.4.2, 12.7.4, 18.42.3, 18.51; PITFALLS A17, A34, D1 to D3, D5).
 */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "tests/integ/wire/wire.h"

static void
restart(void)
{
	REQUIRE(world_do("world_mds_kill; world_mds_run") == 0);
	clients_cut();
}

static nfsstat4
reclaim_open(struct file *f, struct client *c, uint32_t access)
{
	OPEN4args args;
	open_args(c, f->name, access, &args);
	args.claim.claim = CLAIM_PREVIOUS;
	args.claim.open_claim4_u.delegate_type = OPEN_DELEGATE_NONE;
	return file_try_open(c, f, &args, &f->fh);
}

static nfsstat4
try_open(struct client *c, const char *name)
{
	OPEN4args args;
	struct file f = { .c = c };
	nfs_fh4 dir = fh_dir(c);
	open_args(c, name, READ_WRITE, &args);
	nfsstat4 status = file_try_open(c, &f, &args, &dir);
	if (status == NFS4_OK)
		file_close(&f);
	return status;
}

static nfsstat4
read_with(struct client *c, const nfs_fh4 *fh, const stateid4 *sid)
{
	READ4args args = { *sid, 0, 16 };
	return on_fh(c, fh, OP_READ, &args, NULL);
}

static struct client *c1, *c2, *c3;
static struct file *f, *g;
static stateid4 old_open, old_layout;

static void
in_grace(void)
{
	char path[512], data[NFS4_FHSIZE];
	nfs_fh4 fh;
	struct nfs_attrs a;
	/* the handle is the same, by name and as it was */
	OK(file_attrs(f, &a));
	snprintf(path, sizeof path, "%s/%s/f", world.export, world.dir);
	OK(fh_lookup(c1, path, data, &fh));
	EXPECT_TRUE(fh.nfs_fh4_len == f->fh.nfs_fh4_len && !memcmp(data, f->fh_data, fh.nfs_fh4_len));
	/* old stateids are bad, never stale (8.2.4: Linux would try for ever) */
	STATUS(read_with(c1, &f->fh, &old_open), NFS4ERR_BAD_STATEID);
	nfs_resop4 res;
	TEST_STATEID4args test = { { 1, &old_layout } };
	call_begin(c1);
	call_op(c1, OP_TEST_STATEID, &test);
	OK(call_run(c1));
	OK(call_res(c1, OP_TEST_STATEID, &res));
	STATUS(res.nfs_resop4_u.optest_stateid.TEST_STATEID4res_u.tsr_resok4.tsr_status_codes.tsr_status_codes_val[0], NFS4ERR_BAD_STATEID);
	/* nothing new in grace */
	STATUS(try_open(c1, "f"), NFS4ERR_GRACE);
	STATUS(try_open(c3, "f"), NFS4ERR_GRACE);
	struct file stranger = *f;
	nfsstat4 status = reclaim_open(&stranger, c3, READ_WRITE);
	EXPECT_TRUE(status == NFS4ERR_NO_GRACE || status == NFS4ERR_RECLAIM_BAD);
	OK(reclaim_open(f, c1, READ_WRITE));
	f->held = false;
	STATUS(layout_get(f, LAYOUTIOMODE4_RW, 0, MiB, MiB)->status, NFS4ERR_GRACE);
	STATUS(layout_get(f, LAYOUTIOMODE4_READ, 0, MiB, MiB)->status, NFS4ERR_GRACE);
	stateid4 zero = { 0 };
	STATUS(read_with(c3, &f->fh, &zero), NFS4ERR_GRACE);
}

static void
reclaimed(void)
{
	c1 = client_new("writer");
	c2 = client_new("other");
	local_make("f", 2 * MiB, 5);
	local_make("g", MiB, 5);
	f = file_open(c1, "f", READ_WRITE);
	g = file_open(c2, "g", READ_WRITE);
	struct layout l = *layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	lun_write(&l, 0, 65536, 7);
	STATUS(layout_commit(f, 0, 65536), NFS4_OK);
	lun_write(&l, 65536, 65536, 8);
	old_open = f->open;
	old_layout = f->layout;
	restart();
	uint64_t began = now_ms();
	/* what was is gone: session, then client ID */
	c1->conn = client_connect(c1);
	call_begin(c1);
	STATUS(call_run(c1), NFS4ERR_BADSESSION);
	STATUS(client_create_session(c1), NFS4ERR_STALE_CLIENTID);
	client_disconnect(c1, c1->conn);
	client_come_back(c1);
	client_come_back(c2);
	c3 = client_bare("stranger");
	OK(client_exchange_id(c3));
	OK(client_create_session(c3));
	in_grace();
	/* written before the restart, committed after it: accepted, and no layout comes of it (18.42.3) */
	struct layout_range range = { 65536, 65536 };
	struct lcommit a = { .offset = 65536, .length = 65536, .reclaim = true, .stateid = &old_layout, .has_last = true, .last = 131071,
		.ranges = &range, .n = 1 };
	STATUS(layout_commit_as(f, &a, NULL), NFS4_OK);
	a.reclaim = false;
	EXPECT_TRUE(layout_commit_as(f, &a, NULL) != NFS4_OK);
	EXPECT_TRUE(file_is(f, 0, 65536, 7) && file_is(f, 65536, 65536, 8) && file_is(f, 131072, 65536, 5));
	OK(reclaim_open(g, c2, READ_WRITE));
	/* both have said so: grace is over before its time */
	OK(client_reclaim_complete(c1));
	STATUS(client_reclaim_complete(c1), NFS4ERR_COMPLETE_ALREADY);
	OK(client_reclaim_complete(c2));
	OK(client_reclaim_complete(c3));
	nfsstat4 status = try_open(c3, "f");
	while (status == NFS4ERR_GRACE && now_ms() - began < world.lease * 2000u) {
		world_pump(50);
		status = try_open(c3, "f");
	}
	STATUS(status, NFS4_OK);
	fprintf(stderr, "grace was over after %" PRIu64 " ms\n", now_ms() - began);
	EXPECT_TRUE(now_ms() - began < 3000);
	struct file again = *f;
	STATUS(reclaim_open(&again, c1, READ_WRITE), NFS4ERR_NO_GRACE);
	a.reclaim = true;
	STATUS(layout_commit_as(f, &a, NULL), NFS4ERR_NO_GRACE);
	/* layouts as ever, and the recall speaks of the same handle */
	layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	struct file *h = file_open(c3, "f", READ_WRITE);
	STATUS(file_set_size(h, 4096), NFS4_OK);
	EXPECT(recalls(c1, &f->fh), 1);
	EXPECT(c1->ncbs, 1);
}

/* A holder that does not come back: it is waited for, then cut off, then its blocks are free. */
static void
never_back(void)
{
	c1 = client_new("gone");
	c2 = client_new("other");
	local_make("f", MiB, 5);
	f = file_open(c1, "f", READ_WRITE);
	g = file_open(c2, "f", READ_WRITE);
	layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	restart();
	uint64_t began = now_ms();
	client_come_back(c2);
	OK(reclaim_open(g, c2, READ_WRITE));
	OK(client_reclaim_complete(c2));
	nfsstat4 status;
	STATUS(file_try_size(g, 4096), NFS4ERR_GRACE);
	while ((status = file_set_size(g, 4096)) != NFS4_OK && now_ms() - began < 40000)
		;
	STATUS(status, NFS4_OK);
	fprintf(stderr, "its blocks were free after %" PRIu64 " ms\n", now_ms() - began);
	EXPECT_TRUE(now_ms() - began >= 4000);		/* it had its grace */
	/* the command had its name, and its address, from the record */
	EXPECT(world_do("(exit $(grep -c '%.12s.* 127.0.0.1$' $W/fences))", "wire_gone_"), 1);
	STATUS(layout_get(g, LAYOUTIOMODE4_RW, 0, 4096, 4096)->status, NFS4_OK);
}

static void
return_in_grace(void)
{
	c1 = client_new("holder");
	local_make("f", MiB, 5);
	f = file_open(c1, "f", READ_WRITE);
	struct layout l = *layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	restart();
	client_come_back(c1);
	OK(reclaim_open(f, c1, READ_WRITE));
	lun_write(&l, 0, 8192, 9);
	struct layout_range range = { 0, 8192 };
	STATUS(layout_commit_as(f, &(struct lcommit){ .length = 8192, .reclaim = true, .stateid = &f->layout, .has_last = true, .last = 8191,
	    .ranges = &range, .n = 1 }, NULL), NFS4_OK);
	LAYOUTRETURN4args ret = { .lora_layout_type = world.type, .lora_iomode = LAYOUTIOMODE4_ANY, .lora_reclaim = true };
	ret.lora_layoutreturn.lr_returntype = LAYOUTRETURN4_FILE;
	ret.lora_layoutreturn.layoutreturn4_u.lr_layout = (layoutreturn_file4){ 0, ALL, f->layout, { 0, NULL } };
	STATUS(on_fh(c1, &f->fh, OP_LAYOUTRETURN, &ret, NULL), NFS4_OK);
	OK(client_reclaim_complete(c1));
	f->held = false;
	EXPECT_TRUE(file_is(f, 0, 8192, 9) && file_is(f, 8192, 65536, 5));
	file_close(f);
	EXPECT_TRUE(local_is("f", 0, 8192, 9) && local_is("f", 8192, 65536, 5));
}

/* The host was restarted, too: what it has now is not what it had, and what that had sent may be on its way for the maximum I/O time. */
static void
another_instance(void)
{
	c1 = client_new("again");
	local_make("f", MiB, 5);
	f = file_open(c1, "f", READ_WRITE);
	layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	restart();
	c1->verifier[0] ^= 1;
	client_come_back(c1);
	uint64_t began = now_ms();
	OK(client_reclaim_complete(c1));
	f->is_open = f->held = false;
	while (now_ms() - began < world.max_io * 1000u - 300) {
		STATUS(try_open(c1, "f"), NFS4ERR_GRACE);
		world_pump(200);
	}
	nfsstat4 status;
	while ((status = try_open(c1, "f")) == NFS4ERR_GRACE && now_ms() - began < world.max_io * 1000u + 3000)
		world_pump(100);
	STATUS(status, NFS4_OK);
	/* and nobody cut its host off */
	EXPECT(world_do("(exit $(grep -c '%s' $W/fences))", "wire_again_"), 0);
}

/* Killed while a silent client's blocks wait for the time, its lease long over: nothing but the record on disk knows of it. */
static void
killed_in_the_wait(void)
{
	c1 = client_new("silent");
	c2 = client_new("other");
	local_make("f", MiB, 5);
	f = file_open(c1, "f", READ_WRITE);
	g = file_open(c2, "f", READ_WRITE);
	layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	c1->policy = CB_SILENT;
	uint64_t began = now_ms();
	while (now_ms() - began < world.lease * 1000u + 2500) {
		STATUS(file_try_size(g, 4096), NFS4ERR_DELAY);
		world_pump(200);
	}
	EXPECT(server_logged("lease is over") > 0, 1);
	restart();
	began = now_ms();
	client_come_back(c2);
	OK(reclaim_open(g, c2, READ_WRITE));
	OK(client_reclaim_complete(c2));
	/* all who may reclaim have done so, but its blocks are not free */
	unsigned least = (world.lease + world.max_io) * 1000u;
	while (now_ms() - began < least - 500) {
		STATUS(file_try_size(g, 4096), NFS4ERR_GRACE);
		world_pump(200);
	}
	nfsstat4 status;
	while ((status = file_try_size(g, 4096)) != NFS4_OK && now_ms() - began < least + 4000)
		world_pump(100);
	STATUS(status, NFS4_OK);
	EXPECT(local_size("f"), 4096);
	/* it is off the record: the next restart does not wait for it */
	restart();
	began = now_ms();
	client_come_back(c2);
	OK(reclaim_open(g, c2, READ_WRITE));
	OK(client_reclaim_complete(c2));
	while ((status = file_try_size(g, 8192)) != NFS4_OK && now_ms() - began < 4000)
		world_pump(100);
	STATUS(status, NFS4_OK);
}

/* OPEN EXCLUSIVE4_1; CLOSE if that went well. */
static nfsstat4
exclusive(struct client *c, const char *name, uint8_t verifier)
{
	OPEN4args args;
	struct file x = { .c = c };
	nfs_fh4 dir = fh_dir(c);
	open_args(c, name, READ_WRITE, &args);
	args.openhow.opentype = OPEN4_CREATE;
	createhow4 *how = &args.openhow.openflag4_u.how;
	how->mode = EXCLUSIVE4_1;
	memset(how->createhow4_u.ch_createboth.cva_verf, verifier, NFS4_VERIFIER_SIZE);
	nfsstat4 status = file_try_open(c, &x, &args, &dir);
	if (status == NFS4_OK)
		file_close(&x);
	return status;
}

/* The reply was lost with the server: the same OPEN finds the file its own, another one not (18.16.3). */
static void
exclusive_create(void)
{
	nfsstat4 status;
	c1 = client_new("creator");
	OK(exclusive(c1, "new", 17));
	STATUS(exclusive(c1, "new", 18), NFS4ERR_EXIST);
	restart();
	client_come_back(c1);
	OK(client_reclaim_complete(c1));
	uint64_t end = now_ms() + 15000;
	while ((status = exclusive(c1, "new", 17)) == NFS4ERR_GRACE && now_ms() < end)
		world_pump(100);
	STATUS(status, NFS4_OK);
	STATUS(exclusive(c1, "new", 18), NFS4ERR_EXIST);
}

/* PITFALLS D2: what is new has to wait, whatever the operation; what names reclaimed state, or none at all, has not. */
static void
all_operations_in_grace(void)
{
	char buf[16] = "x";
	stateid4 none = { 0 };
	nfs_resop4 res;
	c1 = client_new("reclaims");
	local_make("f", MiB, 5);
	f = file_open(c1, "f", READ_WRITE);
	restart();
	client_come_back(c1);
	nfs_fh4 dir = fh_dir(c1);
	OK(reclaim_open(f, c1, READ_WRITE));
	STATUS(try_open(c1, "f"), NFS4ERR_GRACE);
	STATUS(exclusive(c1, "g", 1), NFS4ERR_GRACE);
	STATUS(read_with(c1, &f->fh, &none), NFS4ERR_GRACE);
	WRITE4args write = { .stateid = none, .stable = FILE_SYNC4, .data = { 1, buf } };
	STATUS(on_fh(c1, &f->fh, OP_WRITE, &write, NULL), NFS4ERR_GRACE);
	STATUS(file_try_size(f, 4096), NFS4ERR_GRACE);
	REMOVE4args rm = { { 1, (char *)(uintptr_t)"f" } };
	STATUS(on_fh(c1, &dir, OP_REMOVE, &rm, NULL), NFS4ERR_GRACE);
	LOCK4args lock = { .locktype = WRITE_LT, .length = 1 };
	lock.locker.new_lock_owner = TRUE;
	lock.locker.locker4_u.open_owner.open_stateid = f->open;
	STATUS(on_fh(c1, &f->fh, OP_LOCK, &lock, &res), NFS4ERR_GRACE);
	LOCKT4args test = { .locktype = WRITE_LT, .length = 1 };
	STATUS(on_fh(c1, &f->fh, OP_LOCKT, &test, &res), NFS4ERR_GRACE);
	struct lget get = { .type = world.type, .iomode = LAYOUTIOMODE4_RW, .length = 4096, .minlength = 4096, .maxcount = 4096, .stateid = &f->open };
	STATUS(layout_get_as(f, &get)->status, NFS4ERR_GRACE);
	/* A lock is reclaimed, and by what was reclaimed the file is read and written. */
	lock.reclaim = TRUE;
	OK(on_fh(c1, &f->fh, OP_LOCK, &lock, &res));
	OK(read_with(c1, &f->fh, &f->open));
	OK(file_write(f, 0, buf, 1));
	OK(client_reclaim_complete(c1));
}

const struct wire_test tests_restart_unfenced[] = {
	{ "B6", "type 3, no command: kill -9 while blocks wait for lease and maximum I/O time: they wait after the restart, too", killed_in_the_wait },
	{ NULL, NULL, NULL },
};

const struct wire_test tests_restart[] = {
	{ "A34", "kill -9 and restart: GRACE for what is new, reclaims of OPEN and LAYOUTCOMMIT, early end, same handles", reclaimed },
	{ "A34", "LAYOUTCOMMIT and LAYOUTRETURN with reclaim: the bytes are right", return_in_grace },
	{ "A35", "a holder that does not come back after the restart has its grace, then is cut off, then its blocks are free", never_back },
	{ "B6", "a holder that comes back after the restart as another instance: its old I/O is waited for", another_instance },
	{ "18.16.3", "EXCLUSIVE4_1: kill -9 after the file was made, the same OPEN again", exclusive_create },
	{ "D2", "in grace: each operation that would take or change something, and those by reclaimed state", all_operations_in_grace },
	{ NULL, NULL, NULL },
};
