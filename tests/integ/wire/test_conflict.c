/* Who must recall: one operation a test, each with a holder that returns when asked, and not before (PITFALLS A19, A22; RFC 8154 2.4.6). */
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/integ/wire/wire.h"

static struct client *c1, *c2;
static struct file *f, *g;

static void
begin(uint32_t iomode)
{
	struct pair p = pair_new(iomode);
	c1 = p.holder;
	c2 = p.other;
	f = p.f;
	g = p.g;
	if (iomode == LAYOUTIOMODE4_RW)
		lun_write(p.l, 0, 8192, 6);
	c1->policy = CB_HOLD;
}

/*
 * The operation was tried once and has to wait: the holder was asked, and nothing happens (another DELAY) until it returns.
 */
static void
held_back(uint32_t op, const struct client *by, const nfs_fh4 *fh, const void *args)
{
	struct client *c = (struct client *)(uintptr_t)by;
	STATUS(on_fh(c, fh, op, args, NULL), NFS4ERR_DELAY);
	EXPECT_TRUE(recall_wait(c1, 0, 1000));
	EXPECT(recalls(c1, &f->fh), c1->ncbs);
	world_pump(100);
	STATUS(on_fh(c, fh, op, args, NULL), NFS4ERR_DELAY);
	if (f->held)
		layout_commit(f, 0, 8192);
	STATUS(recall_return(f), NFS4_OK);
	c1->policy = CB_RETURN;
	STATUS(on_fh_patient(c, fh, op, args, NULL, 1000), NFS4_OK);
	world_pump(20);
}

static void
by_setattr(void)
{
	struct arena arena __attribute__((cleanup(arena_destroy)));
	begin(LAYOUTIOMODE4_RW);
	arena_init(&arena, 0);
	struct nfs_attrs a = { .size = 4096 };
	attr_set(&a.mask, FATTR4_SIZE);
	SETATTR4args args = { .stateid = g->open };
	REQUIRE(attrs_to_fattr4(&args.obj_attributes, &a, &arena));
	held_back(OP_SETATTR, c2, &g->fh, &args);
	EXPECT(local_size("f"), 4096);
}

static void
by_setattr_against_readers(void)
{
	struct arena arena __attribute__((cleanup(arena_destroy)));
	begin(LAYOUTIOMODE4_READ);
	arena_init(&arena, 0);
	struct nfs_attrs a = { .size = 4096 };
	attr_set(&a.mask, FATTR4_SIZE);
	SETATTR4args args = { .stateid = g->open };
	REQUIRE(attrs_to_fattr4(&args.obj_attributes, &a, &arena));
	held_back(OP_SETATTR, c2, &g->fh, &args);
}

static uint64_t
free_blocks(void)
{
	struct statvfs st;
	REQUIRE(!system("sync") && !statvfs(world.export, &st));
	return st.f_bfree;
}

/*
 * The name is gone, the file is open: its blocks stay its own as long as a layout is out (12.5.5: the recall may come with the last close).
 */
static void
name_is_gone(uint64_t free_before, uint64_t blocks)
{
	struct layout *l = layout_get(f, LAYOUTIOMODE4_RW, 0, 4096, 4096);	/* still good for use, or recalled */
	EXPECT_TRUE(l->status == NFS4_OK || c1->ncbs);
	world_pump(300);
	EXPECT_TRUE(free_blocks() < free_before + blocks / 2);
	uint32_t got;
	uint8_t buf[4096];
	STATUS(file_read(f, 0, 4096, buf, &got), NFS4_OK);
	stateid4 st = c1->ncbs ? recall_last(c1)->stateid : f->layout;
	nfsstat4 status = layout_return_as(f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_ANY, 0, ALL, &st, NULL);
	EXPECT_TRUE(status == NFS4_OK || status == NFS4ERR_STALE || status == NFS4ERR_BAD_STATEID);
	file_close(f);
	c1->policy = CB_RETURN;
	uint64_t end = now_ms() + 3000;
	while (free_blocks() < free_before + blocks / 2 && now_ms() < end)
		world_pump(50);
	EXPECT_TRUE(free_blocks() >= free_before + blocks / 2);
}

static void
by_remove(void)
{
	begin(LAYOUTIOMODE4_RW);
	nfs_fh4 dir = fh_dir(c2);
	file_close(g);
	uint64_t before = free_blocks();
	char name[] = "f";
	REMOVE4args args = { { 1, name } };
	nfsstat4 status = on_fh(c2, &dir, OP_REMOVE, &args, NULL);
	if (status == NFS4ERR_DELAY) {
		held_back(OP_REMOVE, c2, &dir, &args);
	} else {
		STATUS(status, NFS4_OK);
		name_is_gone(before, MiB / 4096);
	}
	EXPECT(local_size("f"), ALL);
}

static nfsstat4
rename_once(struct client *c, nfs_fh4 dir)
{
	char from[] = "new", to[] = "f";
	PUTFH4args putfh = { dir };
	RENAME4args args = { { 3, from }, { 1, to } };
	call_begin(c);
	call_op(c, OP_PUTFH, &putfh);
	call_op(c, OP_SAVEFH, NULL);
	call_op(c, OP_RENAME, &args);
	OK(call_run(c));
	OK(call_res(c, OP_PUTFH, NULL));
	OK(call_res(c, OP_SAVEFH, NULL));
	return call_res(c, OP_RENAME, NULL);
}

static void
by_rename_over(void)
{
	begin(LAYOUTIOMODE4_RW);
	local_make("new", 4096, 8);
	nfs_fh4 dir = fh_dir(c2);
	file_close(g);
	uint64_t before = free_blocks();
	nfsstat4 status = rename_once(c2, dir);
	if (status == NFS4ERR_DELAY) {
		EXPECT_TRUE(recall_wait(c1, 0, 1000));
		STATUS(rename_once(c2, dir), NFS4ERR_DELAY);
		OK(recall_return(f));
		STATUS(rename_once(c2, dir), NFS4_OK);
	} else {
		STATUS(status, NFS4_OK);
		name_is_gone(before, MiB / 4096);
	}
	EXPECT(local_size("f"), 4096);
}

static void
by_open_truncate(void)
{
	struct arena arena __attribute__((cleanup(arena_destroy)));
	begin(LAYOUTIOMODE4_RW);
	arena_init(&arena, 0);
	OPEN4args args;
	open_args(c2, "f", OPEN4_SHARE_ACCESS_WRITE, &args);
	struct nfs_attrs a = { .size = 0 };
	attr_set(&a.mask, FATTR4_SIZE);
	args.openhow.opentype = OPEN4_CREATE;
	args.openhow.openflag4_u.how.mode = UNCHECKED4;
	REQUIRE(attrs_to_fattr4(&args.openhow.openflag4_u.how.createhow4_u.createattrs, &a, &arena));
	nfs_fh4 dir = fh_dir(c2);
	held_back(OP_OPEN, c2, &dir, &args);
	EXPECT(local_size("f"), 0);
}

static void
by_read(void)
{
	begin(LAYOUTIOMODE4_RW);
	READ4args args = { g->open, 0, 4096 };
	held_back(OP_READ, c2, &g->fh, &args);
	EXPECT_TRUE(file_is(g, 0, 8192, 6) && file_is(g, 8192, 65536, 5));
}

static void
read_against_readers(void)
{
	begin(LAYOUTIOMODE4_READ);
	EXPECT_TRUE(file_is(g, 0, MiB, 5));
	world_pump(50);
	EXPECT(c1->ncbs, 0);
	EXPECT(layout_get(g, LAYOUTIOMODE4_READ, 0, MiB, MiB)->status, NFS4_OK);
	world_pump(50);
	EXPECT(c1->ncbs, 0);
}

static void
write_by(uint32_t iomode)
{
	uint8_t buf[4096];
	begin(iomode);
	pattern_fill(buf, 16384, sizeof buf, 9);
	WRITE4args args = { g->open, 16384, FILE_SYNC4, { sizeof buf, (char *)buf } };
	held_back(OP_WRITE, c2, &g->fh, &args);
	EXPECT_TRUE(file_is(g, 16384, 4096, 9) && file_is(g, 20480, 65536, 5));
}

static void
by_write(void)
{
	write_by(LAYOUTIOMODE4_RW);
}

static void
by_write_against_readers(void)
{
	write_by(LAYOUTIOMODE4_READ);
}

static void
by_layoutget(void)
{
	static const uint32_t modes[][3] = { { LAYOUTIOMODE4_RW, LAYOUTIOMODE4_RW }, { LAYOUTIOMODE4_RW, LAYOUTIOMODE4_READ },
		{ LAYOUTIOMODE4_READ, LAYOUTIOMODE4_RW } };
	for (unsigned i = 0; i < 3; i++) {
		begin(modes[i][0]);
		nfsstat4 status = layout_get(g, modes[i][1], 4096, 4096, 4096)->status;
		EXPECT_TRUE(status == NFS4ERR_RECALLCONFLICT || status == NFS4ERR_LAYOUTTRYLATER || status == NFS4ERR_DELAY);
		EXPECT_TRUE(recall_wait(c1, 0, 1000));
		OK(recall_return(f));
		layout_need(g, modes[i][1], 4096, 4096);
		clients_end();
	}
}

static void
locally(enum local_op op, uint64_t arg)
{
	int err;
	begin(LAYOUTIOMODE4_RW);
	pid_t pid = local_start(op, "f", arg);
	EXPECT_TRUE(recall_wait(c1, 0, 1000));
	EXPECT_TRUE(!local_wait(pid, 300, &err));
	layout_commit(f, 0, 8192);
	OK(recall_return(f));
	EXPECT_TRUE(local_wait(pid, 1000, &err));
	EXPECT(err, 0);
}

static void
by_local_truncate(void)
{
	locally(LOCAL_TRUNCATE, 8192);
	EXPECT(local_size("f"), 8192);
	EXPECT_TRUE(local_is("f", 0, 8192, 6));
}

static void
by_local_open(void)
{
	if (world.kernel) {
		/* The kernel's lease is one on writing: a reader sees what is committed. */
		begin(LAYOUTIOMODE4_RW);
		layout_commit(f, 0, 8192);
		EXPECT_TRUE(local_is("f", 0, 8192, 6) && local_is("f", 8192, 65536, 5));
		return;
	}
	locally(LOCAL_READ, 0);
	EXPECT_TRUE(local_is("f", 0, 8192, 6) && local_is("f", 8192, 65536, 5));
}

static void
by_local_write(void)
{
	locally(LOCAL_WRITE, 16384);
	EXPECT_TRUE(local_is("f", 0, 8192, 6) && local_is("f", 16384, 4096, 99) && local_is("f", 20480, 65536, 5));
}

/* To every 512th byte of three blocks, by one who holds a layout: the bytes before stay, those behind are zeros. */
static void
truncate_within_blocks(void)
{
	struct client *c = client_new("c");
	for (uint64_t to = 4096; to <= 4 * 4096; to += 512) {
		char name[16];
		snprintf(name, sizeof name, "t%u", (unsigned)to);
		local_make(name, 8 * 4096, 5);
		struct file *t = file_open(c, name, READ_WRITE);
		struct layout *l = layout_need(t, LAYOUTIOMODE4_RW, 0, 8 * 4096);
		lun_write(l, 0, 8 * 4096, 7);
		OK(layout_commit(t, 0, 8 * 4096));
		STATUS(file_set_size(t, to), NFS4_OK);
		STATUS(file_set_size(t, 8 * 4096), NFS4_OK);
		EXPECT_TRUE(file_is(t, 0, to, 7) && file_is(t, to, 8 * 4096 - to, 0));
		layout_return(t, LAYOUTIOMODE4_ANY, 0, ALL);
		file_close(t);
		EXPECT_TRUE(local_is(name, 0, to, 7) && local_is(name, to, 8 * 4096 - to, 0));
	}
}

/* Shrunk by another: blocks given to a new file afterwards get nothing more from the old layout's holder, whose part before the end is untouched. */
static void
neighbours(void)
{
	begin(LAYOUTIOMODE4_RW);
	c1->policy = CB_RETURN;
	struct layout *l = layout_get(f, LAYOUTIOMODE4_RW, 0, MiB, MiB);
	OK(l->status);
	lun_write(l, 0, MiB, 6);
	OK(layout_commit(f, 0, MiB));
	STATUS(file_set_size(g, 512 * KiB + 100), NFS4_OK);
	EXPECT_TRUE(file_is(g, 0, 512 * KiB + 100, 6));
	STATUS(file_set_size(g, MiB), NFS4_OK);
	EXPECT_TRUE(file_is(g, 0, 512 * KiB + 100, 6) && file_is(g, 512 * KiB + 100, MiB - 512 * KiB - 100, 0));
}

const struct wire_test tests_conflict[] = {
	{ "A19", "SETATTR of size waits for a RW holder", by_setattr },
	{ "A19", "SETATTR of size waits for a READ holder", by_setattr_against_readers },
	{ "A19", "REMOVE of the last link: the blocks stay while a layout is out", by_remove },
	{ "A19", "RENAME over the file: the blocks stay while a layout is out", by_rename_over },
	{ "A19", "OPEN with truncation waits for the holder", by_open_truncate },
	{ "A19", "READ by another waits for a RW holder, and sees what it wrote", by_read },
	{ "A19", "READ and READ layouts leave READ holders alone", read_against_readers },
	{ "A19", "WRITE by another waits for a RW holder", by_write },
	{ "A19", "WRITE by another waits for a READ holder", by_write_against_readers },
	{ "A19", "LAYOUTGET: one writer or several readers a block", by_layoutget },
	{ "A19", "a local truncate waits for the holder", by_local_truncate },
	{ "A19", "a local open for reading waits, and sees what the holder wrote", by_local_open },
	{ "A19", "a local write waits, and destroys nothing", by_local_write },
	{ "A22", "truncate at every 512th byte of three blocks", truncate_within_blocks },
	{ "A22", "truncate by another: what is before the new end stays", neighbours },
	{ NULL, NULL, NULL },
};
