/* CB_LAYOUTRECALL: what it says, and what may happen while it is out (RFC 8881 12.5.5, 20.3; PITFALLS A16 to A18, A20, A35, B3). */
#include <unistd.h>

#include "tests/integ/wire/wire.h"

static bool
conflict(nfsstat4 status)
{
	return status == NFS4ERR_RECALLCONFLICT || status == NFS4ERR_RETURNCONFLICT || status == NFS4ERR_LAYOUTTRYLATER || status == NFS4ERR_DELAY;
}

static void
right_type(void)
{
	struct pair p = pair_new(LAYOUTIOMODE4_RW);
	stateid4 held = p.f->layout;
	p.holder->policy = CB_NOMATCH;	/* as if the client had forgotten it: that is the end of the recall */
	uint64_t began = now_ms();
	STATUS(file_set_size(p.g, 4096), NFS4_OK);
	EXPECT_TRUE(now_ms() - began < 1000);
	EXPECT_TRUE(p.holder->ncbs >= 1);
	struct cb_seen *r = &p.holder->cbs[0];
	EXPECT(r->type, world.type);
	EXPECT(r->what, LAYOUTRECALL4_FILE);
	EXPECT_TRUE(r->iomode == LAYOUTIOMODE4_ANY || r->iomode == LAYOUTIOMODE4_RW);
	EXPECT(memcmp(r->stateid.other, held.other, NFS4_OTHER_SIZE), 0);
	EXPECT(r->stateid.seqid, held.seqid + 1);	/* 12.5.3 */
	/* another RW holder now, no trace of the first */
	layout_need(p.g, LAYOUTIOMODE4_RW, 0, 4096);
}

static void
same_handle(void)
{
	struct client *c1 = client_new("holder"), *c2 = client_new("other");
	local_make("f", MiB, 5);
	REQUIRE(!link(local_path("f"), local_path("second")));
	struct file *f = file_open(c1, "second", READ_WRITE), *g = file_open(c2, "f", READ_WRITE);
	char path[512], data[NFS4_FHSIZE];
	nfs_fh4 fh;
	snprintf(path, sizeof path, "%s/%s/f", world.export, world.dir);
	OK(fh_lookup(c1, path, data, &fh));
	EXPECT_TRUE(fh.nfs_fh4_len == f->fh.nfs_fh4_len && !memcmp(data, f->fh_data, fh.nfs_fh4_len));
	layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	STATUS(file_set_size(g, 4096), NFS4_OK);
	EXPECT(recalls(c1, NULL), 1);
	EXPECT(recalls(c1, &fh), 1);
}

static void
none_while_recalled(void)
{
	struct pair p = pair_new(LAYOUTIOMODE4_RW);
	stateid4 before = p.f->layout;
	p.holder->policy = CB_HOLD;
	nfsstat4 status = layout_get(p.g, LAYOUTIOMODE4_RW, 0, MiB, MiB)->status;
	EXPECT_TRUE(conflict(status));
	EXPECT_TRUE(recall_wait(p.holder, 0, 1000));
	world_pump(50);
	struct cb_seen *r = recall_last(p.holder);
	for (unsigned i = 0; i < 5; i++) {
		/* 12.5.5.2.1.3, cases 1 and 3 */
		struct lget a = { world.type, LAYOUTIOMODE4_RW, 0, 4096, 4096, 4096, &before };
		STATUS(layout_get_as(p.f, &a)->status, NFS4ERR_RECALLCONFLICT);
		a.stateid = &r->stateid;
		status = layout_get_as(p.f, &a)->status;
		EXPECT_TRUE(status == NFS4ERR_RETURNCONFLICT || status == NFS4ERR_RECALLCONFLICT);
		EXPECT_TRUE(conflict(layout_get(p.g, LAYOUTIOMODE4_RW, 0, 4096, 4096)->status));
		EXPECT_TRUE(conflict(layout_get(p.g, LAYOUTIOMODE4_READ, 0, 4096, 4096)->status));
		world_pump(20);
	}
	STATUS(recall_return(p.f), NFS4_OK);
	layout_need(p.g, LAYOUTIOMODE4_RW, 0, MiB);
}

/* A part returned is not all: the recall goes on until the rest is. */
static void
returned_in_parts(void)
{
	struct pair p = pair_new(LAYOUTIOMODE4_RW);
	p.holder->policy = CB_HOLD;
	EXPECT_TRUE(conflict(layout_get(p.g, LAYOUTIOMODE4_RW, 0, MiB, MiB)->status));
	EXPECT_TRUE(recall_wait(p.holder, 0, 1000));
	struct cb_seen *r = recall_last(p.holder);
	stateid4 st = r->stateid;
	STATUS(layout_return_as(p.f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_RW, 0, 256 * KiB, &st, NULL), NFS4_OK);
	EXPECT_TRUE(conflict(layout_get(p.g, LAYOUTIOMODE4_RW, 0, MiB, MiB)->status));
	REQUIRE(p.f->held);
	STATUS(layout_return_as(p.f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_RW, 256 * KiB, 512 * KiB, NULL, NULL), NFS4_OK);
	EXPECT_TRUE(conflict(layout_get(p.g, LAYOUTIOMODE4_RW, 0, MiB, MiB)->status));
	REQUIRE(p.f->held);
	STATUS(layout_return_as(p.f, LAYOUTRETURN4_FILE, r->iomode, r->offset, r->length, NULL, NULL), NFS4_OK);
	layout_need(p.g, LAYOUTIOMODE4_RW, 0, MiB);
}

/* CB answered DELAY: it is asked again, and the blocks stay. */
static void
delayed(void)
{
	struct pair p = pair_new(LAYOUTIOMODE4_RW);
	p.holder->policy = CB_DELAY;
	EXPECT_TRUE(conflict(layout_get(p.g, LAYOUTIOMODE4_RW, 0, MiB, MiB)->status));
	EXPECT_TRUE(recall_wait(p.holder, 0, 1000));
	EXPECT_TRUE(conflict(layout_get(p.g, LAYOUTIOMODE4_RW, 0, MiB, MiB)->status));
	p.holder->policy = CB_RETURN;
	EXPECT_TRUE(recall_wait(p.holder, p.holder->ncbs, world.recall * 1000));
	layout_need(p.g, LAYOUTIOMODE4_RW, 0, MiB);
}

/*
 * One's own layout is in the way of one's own truncate: the answer comes at once, DELAY at worst - it never waits for the callback's, which the same
 * client may give only afterwards - and a client that returns what is recalled gets on.
 */
static void
own_truncate(void)
{
	struct client *c = client_new("c");
	local_make("f", MiB, 5);
	struct file *f = file_open(c, "f", READ_WRITE);
	static const enum cb_policy policies[] = { CB_RETURN, CB_NOMATCH, CB_HOLD, CB_SILENT };
	for (unsigned i = 0; i < 4; i++) {
		c->policy = policies[i];
		f->held = false;
		layout_need(f, LAYOUTIOMODE4_RW, 0, 256 * KiB);
		unsigned had = c->ncbs;
		uint64_t began = now_ms();
		nfsstat4 status = file_try_size(f, 128 * KiB);
		EXPECT_TRUE(status == NFS4_OK || (status == NFS4ERR_DELAY && recall_wait(c, had, 500)));
		EXPECT_TRUE(now_ms() - began < 500);
		if (i < 2)
			STATUS(file_set_size(f, 128 * KiB), NFS4_OK);
		else if (c->ncbs > had)
			OK(layout_return_as(f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_ANY, 0, ALL, &recall_last(c)->stateid, NULL));
		STATUS(file_set_size(f, 128 * KiB), NFS4_OK);
		EXPECT_TRUE(now_ms() - began < 1000);
		c->policy = CB_RETURN;
		world_pump(50);
		f->held = false;
		STATUS(file_set_size(f, MiB), NFS4_OK);
	}
	/* WRITE and READ through the MDS within one's own layout; a silent client is not asked anything, where a write does not need the file's lease */
	c->policy = CB_SILENT;
	if (world.kernel) {
		c = client_new("returns");
		f = file_open(c, "f", READ_WRITE);
	}
	layout_need(f, LAYOUTIOMODE4_RW, 0, 256 * KiB);
	uint64_t began = now_ms();
	uint8_t buf[4096] = { 0 };
	STATUS(file_write(f, 0, buf, sizeof buf), NFS4_OK);
	EXPECT_TRUE(file_is(f, 4096, 4096, 5));
	EXPECT_TRUE(now_ms() - began < 1000);
	c->policy = CB_RETURN;
}

/*
 * A WRITE through the server into what the writer's own READ layout says is a hole: the layout would go on saying so, and it is recalled - from the
 * client that waits for the WRITE's answer, which therefore comes at once.
 */
static void
own_hole(void)
{
	struct client *c = client_new("c");
	uint8_t buf[4096];
	local_sparse("f", MiB);
	local_put("f", 0, 64 * KiB, 5);
	struct file *f = file_open(c, "f", READ_WRITE);
	pattern_fill(buf, 128 * KiB, sizeof buf, 9);
	WRITE4args args = { f->open, 128 * KiB, FILE_SYNC4, { sizeof buf, (char *)buf } };
	static const enum cb_policy policies[] = { CB_RETURN, CB_NOMATCH, CB_HOLD };
	for (unsigned i = 0; i < 3; i++) {
		struct layout *l = layout_need(f, LAYOUTIOMODE4_READ, 0, MiB);
		EXPECT(layout_at(l, args.offset)->state, EXTENT_NONE);
		c->policy = policies[i];
		unsigned had = c->ncbs;
		uint64_t began = now_ms();
		STATUS(on_fh(c, &f->fh, OP_WRITE, &args, NULL), NFS4ERR_DELAY);
		EXPECT_TRUE(now_ms() - began < 300);
		EXPECT_TRUE(recall_wait(c, had, 500));
		struct cb_seen *r = recall_last(c);
		EXPECT(recalls(c, &f->fh), c->ncbs);
		EXPECT_TRUE(r->offset <= args.offset && (r->length == ALL || r->offset + r->length >= args.offset + sizeof buf));
		if (policies[i] == CB_NOMATCH)
			f->held = false;
		if (policies[i] == CB_HOLD) {
			world_pump(100);
			STATUS(on_fh(c, &f->fh, OP_WRITE, &args, NULL), NFS4ERR_DELAY);
			OK(recall_return(f));
		}
		STATUS(on_fh_patient(c, &f->fh, OP_WRITE, &args, NULL, 1000), NFS4_OK);
		EXPECT_TRUE(now_ms() - began < 1000);
		c->policy = CB_RETURN;
		world_pump(20);
		l = layout_need(f, LAYOUTIOMODE4_READ, 0, MiB);
		EXPECT(layout_at(l, args.offset)->state, EXTENT_READ);
		EXPECT_TRUE(lun_is(l, args.offset, sizeof buf, 9));
		/* over data: the layout stays true, and nobody is asked - unless the lease is in the way */
		had = c->ncbs;
		STATUS(on_fh_patient(c, &f->fh, OP_WRITE, &args, NULL, 1000), NFS4_OK);
		EXPECT(c->ncbs, had + world.kernel);
		/* the next hole */
		if (!world.kernel)
			OK(layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL));
		args.offset += 128 * KiB;
		pattern_fill(buf, args.offset, sizeof buf, 9);
	}
	/* As a program does that fills a hole from start to end: asked once. */
	layout_need(f, LAYOUTIOMODE4_READ, 0, MiB);
	unsigned had = c->ncbs;
	for (uint64_t at = 768 * KiB; at < MiB; at += sizeof buf)
		STATUS(file_write(f, at, buf, sizeof buf), NFS4_OK);
	EXPECT_TRUE(c->ncbs <= had + 2);
}

/*
 * logr_return_on_close was true and the client closed without a LAYOUTRETURN (18.43.3): it is asked for it, and as long as it has not answered its blocks
 * are its own.  One that returns first is not asked.
 */
static void
close_without_return(void)
{
	struct pair p = pair_new(LAYOUTIOMODE4_RW);
	EXPECT_TRUE(p.l->return_on_close);
	lun_write(p.l, 0, 8192, 6);
	p.holder->policy = CB_HOLD;
	STATUS(file_close(p.f), NFS4_OK);
	EXPECT_TRUE(recall_wait(p.holder, 0, 1000));
	EXPECT(recall_last(p.holder)->offset, 0);
	EXPECT_TRUE(recall_last(p.holder)->length >= MiB);
	STATUS(file_try_size(p.g, 4096), NFS4ERR_DELAY);
	world_pump(200);
	STATUS(file_try_size(p.g, 4096), NFS4ERR_DELAY);
	p.f->layout = recall_last(p.holder)->stateid;
	STATUS(layout_commit(p.f, 0, 8192), NFS4_OK);	/* what it still wrote */
	STATUS(recall_return(p.f), NFS4_OK);
	STATUS(file_set_size(p.g, 4096), NFS4_OK);
	EXPECT_TRUE(file_is(p.g, 0, 4096, 6));

	unsigned had = p.holder->ncbs;
	struct file *f = file_open(p.holder, "f", READ_WRITE);
	layout_need(f, LAYOUTIOMODE4_RW, 0, 4096);
	STATUS(layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL), NFS4_OK);
	STATUS(file_close(f), NFS4_OK);
	world_pump(200);
	EXPECT(p.holder->ncbs, had);
}

/* Closed, asked, and silent: cut off at the deadline like any other; then the blocks are free. */
static void
close_and_silence(void)
{
	struct pair p = pair_new(LAYOUTIOMODE4_RW);
	p.holder->policy = CB_SILENT;
	uint64_t began = now_ms();
	STATUS(file_close(p.f), NFS4_OK);
	world_pump(world.recall * 500);
	STATUS(file_try_size(p.g, 4096), NFS4ERR_DELAY);
	STATUS(file_set_size(p.g, 4096), NFS4_OK);
	EXPECT_TRUE(now_ms() - began >= world.recall * 1000u);
}

/* The connection gone, the lease over: nobody waits for it any more. */
static void
dead_client(void)
{
	struct client *c1 = client_new("dead"), *c2 = client_new("other");
	local_make("f", MiB, 5);
	local_make("g", MiB, 5);
	struct file *f = file_open(c1, "f", READ_WRITE), *g = file_open(c1, "g", READ_WRITE);
	layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	layout_need(g, LAYOUTIOMODE4_RW, 0, MiB);
	client_disconnect(c1, 0);
	struct file *h = file_open(c2, "f", READ_WRITE);
	uint64_t began = now_ms(), wait = world.lease * 2000u + world.recall * 1000u;
	nfsstat4 status;
	while ((status = file_set_size(h, 4096)) == NFS4ERR_DELAY && now_ms() - began < wait)
		;
	STATUS(status, NFS4_OK);
	fprintf(stderr, "a dead client's blocks were free after %u ms\n", (unsigned)(now_ms() - began));
	EXPECT_TRUE(now_ms() - began < wait);
	/* the other file: two leases after its death at once */
	while (now_ms() - began < world.lease * 2000u) {
		EXPECT_TRUE(file_is(h, 0, 4096, 5));	/* the other client's lease goes on */
		world_pump(500);
	}
	pid_t pid = local_start(LOCAL_TRUNCATE, "g", 4096);
	EXPECT_TRUE(local_wait(pid, 1000, NULL));
}

/* N conflicts with one silent holder under way; everybody else is served. */
static void
others_are_served(void)
{
	enum { N = 64 };	/* more than the server has threads, workers and connections for */
	char name[8];
	struct client *c1 = client_new("silent"), *c2 = client_new("other"), *c3 = client_new("third");
	struct file *g[N], *own;
	for (unsigned i = 0; i < N; i++) {
		snprintf(name, sizeof name, "f%u", i);
		local_make(name, 64 * KiB, 5);
		layout_need(file_open(c1, name, READ_WRITE), LAYOUTIOMODE4_RW, 0, 64 * KiB);
		g[i] = file_open(c2, name, READ_WRITE);
	}
	local_make("own", MiB, 5);
	own = file_open(c3, "own", READ_WRITE);
	c1->policy = CB_SILENT;
	uint64_t began = now_ms(), worst = 0;
	pid_t locals[8];
	for (unsigned i = 0; i < 8; i++) {
		snprintf(name, sizeof name, "f%u", i);
		locals[i] = local_start(LOCAL_TRUNCATE, name, 4096);
	}
	bool done[N] = { false };
	unsigned left = N;
	while (left && now_ms() - began < world.lease * 3000u) {
		for (unsigned i = 0; i < N; i++) {
			if (!done[i] && file_try_size(g[i], 4096) == NFS4_OK) {
				done[i] = true;
				left--;
			}
		}
		/* Its lease goes on and on: what ends this is the recall's deadline. */
		call_begin_slot(c1, 2);
		call_run(c1);
		uint64_t t = now_ms();
		struct layout *l = layout_get(own, LAYOUTIOMODE4_RW, 0, MiB, MiB);
		STATUS(l->status, NFS4_OK);
		EXPECT_TRUE(file_is(own, 0, 4096, 5));
		worst = now_ms() - t > worst ? now_ms() - t : worst;
		world_pump(50);
	}
	EXPECT(left, 0);
	fprintf(stderr, "%u files free after %u ms; the others waited %u ms at most\n", N, (unsigned)(now_ms() - began), (unsigned)worst);
	EXPECT_TRUE(worst < 1000);
	for (unsigned i = 0; i < 8; i++)
		EXPECT_TRUE(local_wait(locals[i], 2000, NULL));
}

const struct wire_test tests_recall[] = {
	{ "A16", "the recall carries the layout's type; NOMATCHING_LAYOUT ends it", right_type },
	{ "A17", "the recall's handle is GETFH's, byte for byte, by either name", same_handle },
	{ "A18", "no grants while a recall is pending, to holder or others", none_while_recalled },
	{ "A18", "a recall is over when all of it is returned, not a part", returned_in_parts },
	{ "A18", "a recall answered DELAY is sent again", delayed },
	{ "A20", "own SETATTR(size), READ, WRITE under one's own layout end at once", own_truncate },
	{ "A37", "CLOSE without LAYOUTRETURN: recalled, and its blocks stay until it is returned", close_without_return },
	{ "A37", "CLOSE without LAYOUTRETURN and then silence: cut off at the deadline", close_and_silence },
	{ "A38", "WRITE into a hole of one's own READ layout recalls it, at once, and once", own_hole },
	{ "A35", "a dead client's layouts hold nobody up after its lease", dead_client },
	{ "B3", "64 conflicts with a silent holder that renews its lease: others are served meanwhile, and it is over at the deadline", others_are_served },
	{ NULL, NULL, NULL },
};
