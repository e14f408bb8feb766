/*
 * The operations on data of RFC 7862 beside layouts: each waits for a holder that does not return, and not for itself (PITFALLS A19, A20, A22); who may do them (E1);
 * CLONE, SEEK and READ_PLUS (E2, E3).
 */
#include <fcntl.h>
#include <unistd.h>

#include "tests/integ/wire/wire.h"

static struct client *c1, *c2;
static struct file *f, *g, *h;		/* the holder's; the other's of the same file, and one more of the other's: "h", 1 MiB, too */

static struct client *
client42(const char *name)
{
	struct client *c = client_bare(name);
	c->minor = 2;
	OK(client_exchange_id(c));
	OK(client_create_session(c));
	OK(client_reclaim_complete(c));
	return c;
}

static void
begin(uint32_t iomode)
{
	c1 = client42("holder");
	c2 = client42("other");
	local_make("f", MiB, 5);
	local_make("h", MiB, 8);
	f = file_open(c1, "f", READ_WRITE);
	g = file_open(c2, "f", READ_WRITE);
	h = file_open(c2, "h", READ_WRITE);
	struct layout *l = layout_need(f, iomode, 0, MiB);
	if (iomode == LAYOUTIOMODE4_RW)
		lun_write(l, 0, 8192, 6);
	c1->policy = CB_HOLD;
}

/* ---- the operations, once ---- */

static nfsstat4
try_allocate(struct file *a, uint64_t offset, uint64_t length)
{
	ALLOCATE4args args = { a->open, offset, length };
	return on_fh(a->c, &a->fh, OP_ALLOCATE, &args, NULL);
}

static nfsstat4
try_deallocate(struct file *a, uint64_t offset, uint64_t length)
{
	DEALLOCATE4args args = { a->open, offset, length };
	return on_fh(a->c, &a->fh, OP_DEALLOCATE, &args, NULL);
}

static nfsstat4
from_to(const struct file *from, const struct file *to, uint32_t op, const void *args, nfs_resop4 *res)
{
	PUTFH4args src = { from->fh }, dst = { to->fh };
	struct client *c = to->c;
	call_begin(c);
	call_op(c, OP_PUTFH, &src);
	call_op(c, OP_SAVEFH, NULL);
	call_op(c, OP_PUTFH, &dst);
	call_op(c, op, args);
	OK(call_run(c));
	OK(call_res(c, OP_PUTFH, NULL));
	OK(call_res(c, OP_SAVEFH, NULL));
	OK(call_res(c, OP_PUTFH, NULL));
	return call_res(c, op, res);
}

static nfsstat4
try_copy(const struct file *from, const struct file *to, uint64_t offset, uint64_t length)
{
	nfs_resop4 res;
	COPY4args args = { .ca_src_stateid = from->open, .ca_dst_stateid = to->open, .ca_src_offset = offset, .ca_dst_offset = offset,
		.ca_count = length, .ca_consecutive = TRUE, .ca_synchronous = TRUE };
	nfsstat4 status = from_to(from, to, OP_COPY, &args, &res);
	if (status == NFS4_OK) {
		const COPY4resok *ok = &res.nfs_resop4_u.opcopy.COPY4res_u.cr_resok4;
		EXPECT(ok->cr_response.wr_count, length);
		EXPECT(ok->cr_response.wr_callback_id.wr_callback_id_len, 0);
		EXPECT_TRUE(ok->cr_requirements.cr_consecutive && ok->cr_requirements.cr_synchronous);
	}
	return status;
}

static nfsstat4
try_clone(const struct file *from, const struct file *to, uint64_t src, uint64_t dst, uint64_t length)
{
	CLONE4args args = { from->open, to->open, src, dst, length };
	return from_to(from, to, OP_CLONE, &args, NULL);
}

static nfsstat4
try_seek(struct file *a, uint64_t offset, uint32_t what, seek_res4 *found)
{
	nfs_resop4 res;
	SEEK4args args = { a->open, offset, (data_content4)what };
	nfsstat4 status = on_fh(a->c, &a->fh, OP_SEEK, &args, &res);
	if (status == NFS4_OK && found)
		*found = res.nfs_resop4_u.opseek.SEEK4res_u.resok4;
	return status;
}

/* Into BUF, holes as zeros; *EOF as told, *HOLES how many there were. */
static nfsstat4
try_read_plus(struct file *a, uint64_t offset, uint32_t len, uint8_t *buf, uint32_t *got, bool *eof, unsigned *holes)
{
	nfs_resop4 res;
	READ_PLUS4args args = { a->open, offset, len };
	nfsstat4 status = on_fh(a->c, &a->fh, OP_READ_PLUS, &args, &res);
	if (status != NFS4_OK)
		return status;
	const read_plus_res4 *r = &res.nfs_resop4_u.opread_plus.READ_PLUS4res_u.rp_resok4;
	*got = 0;
	*eof = r->rpr_eof;
	*holes = 0;
	for (unsigned i = 0; i < r->rpr_contents.rpr_contents_len; i++) {
		const read_plus_content *p = &r->rpr_contents.rpr_contents_val[i];
		bool hole = p->rpc_content == NFS4_CONTENT_HOLE;
		const data4 *d = &p->read_plus_content_u.rpc_data;
		uint64_t at = hole ? p->read_plus_content_u.rpc_hole.di_offset : d->d_offset;
		uint64_t n = hole ? p->read_plus_content_u.rpc_hole.di_length : d->d_data.d_data_len;
		REQUIRE(at == offset + *got && n <= len - *got);
		if (hole)
			memset(buf + *got, 0, n);
		else
			memcpy(buf + *got, d->d_data.d_data_val, n);
		*got += (uint32_t)n;
		*holes += hole;
	}
	return NFS4_OK;
}

static nfsstat4
try_write_same(struct file *a, uint64_t offset, uint64_t block, uint64_t count)
{
	nfs_resop4 res;
	static char pattern[] = "SAME";
	WRITE_SAME4args args = { a->open, FILE_SYNC4, { .adb_offset = offset, .adb_block_size = block, .adb_block_count = count,
		.adb_reloff_blocknum = 0, .adb_block_num = 7, .adb_reloff_pattern = 8, .adb_pattern = { 4, pattern } } };
	nfsstat4 status = on_fh(a->c, &a->fh, OP_WRITE_SAME, &args, &res);
	if (status == NFS4_OK)
		EXPECT(res.nfs_resop4_u.opwrite_same.WRITE_SAME4res_u.resok4.wr_count, block * count);
	return status;
}

/* ---- A19 ---- */

static nfsstat4 once_allocate(void) { return try_allocate(g, 4096, 64 * KiB); }
static nfsstat4 once_allocate_all(void) { return try_allocate(g, 0, MiB); }
static nfsstat4 once_deallocate(void) { return try_deallocate(g, 4096, 64 * KiB); }
static nfsstat4 once_copy_to(void) { return try_copy(h, g, 4096, 64 * KiB); }
static nfsstat4 once_copy_from(void) { return try_copy(g, h, 0, 64 * KiB); }
static nfsstat4 once_clone_to(void) { return try_clone(h, g, 4096, 4096, 64 * KiB); }
static nfsstat4 once_clone_from(void) { return try_clone(g, h, 0, 0, 64 * KiB); }
static nfsstat4 once_seek(void) { return try_seek(g, 0, NFS4_CONTENT_HOLE, NULL); }
static nfsstat4 once_write_same(void) { return try_write_same(g, 4096, 4096, 16); }

static nfsstat4
once_read_plus(void)
{
	static uint8_t buf[64 * KiB];
	uint32_t got;
	unsigned holes;
	bool eof;
	nfsstat4 status = try_read_plus(g, 0, sizeof buf, buf, &got, &eof, &holes);
	if (status == NFS4_OK)
		EXPECT_TRUE(got == sizeof buf && pattern_is(buf, 0, 8192, 6) && pattern_is(buf + 8192, 8192, got - 8192, 5));
	return status;
}

static nfsstat4
patient(nfsstat4 (*once)(void), unsigned ms)
{
	nfsstat4 status;
	for (uint64_t end = now_ms() + ms; (status = once()) == NFS4ERR_DELAY && now_ms() < end; world_pump(10))
		;
	return status;
}

/* The holder is asked, and nothing happens until it returns. */
static void
waits_for(uint32_t iomode, nfsstat4 (*once)(void))
{
	begin(iomode);
	STATUS(once(), NFS4ERR_DELAY);
	EXPECT_TRUE(recall_wait(c1, 0, 1000));
	EXPECT(recalls(c1, &f->fh), c1->ncbs);
	world_pump(100);
	STATUS(once(), NFS4ERR_DELAY);
	if (iomode == LAYOUTIOMODE4_RW)
		OK(layout_commit(f, 0, 8192));
	STATUS(recall_return(f), NFS4_OK);
	c1->policy = CB_RETURN;
	STATUS(patient(once, 1000), NFS4_OK);
}

#define RW LAYOUTIOMODE4_RW
#define RO LAYOUTIOMODE4_READ

static void
by_allocate(void)
{
	waits_for(RW, once_allocate);
	EXPECT_TRUE(file_is(g, 0, 8192, 6) && file_is(g, 8192, MiB - 8192, 5));
	clients_end();
	waits_for(RO, once_allocate);
	EXPECT_TRUE(file_is(g, 0, MiB, 5));
}

static void
by_deallocate(void)
{
	waits_for(RW, once_deallocate);
	EXPECT_TRUE(file_is(g, 0, 4096, 6) && file_is(g, 4096, 64 * KiB, 0) && file_is(g, 68 * KiB, MiB - 68 * KiB, 5));
	clients_end();
	waits_for(RO, once_deallocate);
	EXPECT_TRUE(file_is(g, 0, 4096, 5) && file_is(g, 4096, 64 * KiB, 0) && file_is(g, 68 * KiB, MiB - 68 * KiB, 5));
}

static void
by_copy(void)
{
	waits_for(RW, once_copy_to);
	EXPECT_TRUE(file_is(g, 0, 4096, 6) && file_is(g, 4096, 64 * KiB, 8) && file_is(g, 68 * KiB, MiB - 68 * KiB, 5));
	clients_end();
	waits_for(RO, once_copy_to);
	EXPECT_TRUE(file_is(g, 0, 4096, 5) && file_is(g, 4096, 64 * KiB, 8) && file_is(g, 68 * KiB, MiB - 68 * KiB, 5));
}

/* What the holder wrote is what is copied; readers are let be. */
static void
by_copy_of_it(void)
{
	waits_for(RW, once_copy_from);
	EXPECT_TRUE(file_is(h, 0, 8192, 6) && file_is(h, 8192, 56 * KiB, 5) && file_is(h, 64 * KiB, MiB - 64 * KiB, 8));
	/* Both have blocks of their own, so both can be given out. */
	layout_need(h, RW, 0, MiB);
	layout_need(g, RW, 0, MiB);
	clients_end();
	begin(RO);
	STATUS(once_copy_from(), NFS4_OK);
	world_pump(50);
	EXPECT(c1->ncbs, 0);
	EXPECT_TRUE(file_is(h, 0, 64 * KiB, 5));
}

/* Blocks that are shared are nobody's to write by a layout. */
static void
no_layouts_on(struct file *a)
{
	struct layout *l = layout_get(a, RW, 4096, 4096, 4096);
	for (uint64_t end = now_ms() + 5000; l->status == NFS4ERR_RECALLCONFLICT || l->status == NFS4ERR_LAYOUTTRYLATER; world_pump(20)) {
		if (now_ms() > end)
			break;
		l = layout_get(a, RW, 4096, 4096, 4096);
	}
	STATUS(l->status, NFS4ERR_LAYOUTUNAVAILABLE);
}

static void
by_clone(void)
{
	waits_for(RW, once_clone_to);
	EXPECT_TRUE(file_is(g, 0, 4096, 6) && file_is(g, 4096, 64 * KiB, 8) && file_is(g, 68 * KiB, MiB - 68 * KiB, 5));
	no_layouts_on(g);
	no_layouts_on(h);
	clients_end();
	waits_for(RO, once_clone_to);
	EXPECT_TRUE(file_is(g, 0, 4096, 5) && file_is(g, 4096, 64 * KiB, 8) && file_is(g, 68 * KiB, MiB - 68 * KiB, 5));
}

/* Readers, too: the next write to the source moves what they have. */
static void
by_clone_of_it(void)
{
	waits_for(RW, once_clone_from);
	EXPECT_TRUE(file_is(h, 0, 8192, 6) && file_is(h, 8192, 56 * KiB, 5) && file_is(h, 64 * KiB, MiB - 64 * KiB, 8));
	no_layouts_on(g);
	/* What is written to the one is not in the other; ALLOCATE makes the blocks its own, and it has layouts again. */
	uint8_t buf[4096];
	pattern_fill(buf, 0, sizeof buf, 9);
	OK(file_write(g, 0, buf, sizeof buf));
	EXPECT_TRUE(file_is(g, 0, 4096, 9) && file_is(h, 0, 8192, 6));
	STATUS(patient(once_allocate_all, 1000), NFS4_OK);
	layout_need(g, RW, 0, MiB);
	EXPECT_TRUE(file_is(h, 0, 8192, 6) && file_is(h, 8192, 56 * KiB, 5));
	clients_end();
	waits_for(RO, once_clone_from);
	EXPECT_TRUE(file_is(h, 0, 64 * KiB, 5));
}

static void
by_seek(void)
{
	waits_for(RW, once_seek);
}

static void
by_read_plus(void)
{
	waits_for(RW, once_read_plus);
}

static void
by_write_same(void)
{
	static uint8_t buf[8192], want[8192];
	uint32_t got;
	waits_for(RW, once_write_same);
	for (unsigned i = 0; i < 2; i++) {
		want[i * 4096 + 3] = (uint8_t)(7 + i);
		memcpy(want + i * 4096 + 8, "SAME", 4);
	}
	OK(file_read(g, 4096, sizeof buf, buf, &got));
	EXPECT_TRUE(got == sizeof buf && !memcmp(buf, want, sizeof buf));
	EXPECT_TRUE(file_is(g, 0, 4096, 6) && file_is(g, 68 * KiB, MiB - 68 * KiB, 5));
	clients_end();
	waits_for(RO, once_write_same);
}

/* ---- A20, A22 ---- */

/* Who holds the layouts itself is asked to return them, and is done in a moment. */
static void
by_the_holder(void)
{
	begin(RW);
	c1->policy = CB_RETURN;
	uint64_t began = now_ms();
	nfsstat4 status;
	while ((status = try_deallocate(f, 8192, 8192)) == NFS4ERR_DELAY && now_ms() - began < 1000)
		world_pump(10);
	STATUS(status, NFS4_OK);
	layout_need(f, RW, 0, MiB);
	while ((status = try_allocate(f, MiB, MiB)) == NFS4ERR_DELAY && now_ms() - began < 2000)
		world_pump(10);
	STATUS(status, NFS4_OK);
	EXPECT_TRUE(now_ms() - began < 1000);
	EXPECT(local_size("f"), 2 * MiB);
}

/* At every 512th byte of three blocks, beside blocks under a layout: what is before and behind stays. */
static void
within_blocks(void)
{
	struct client *c = client42("c");
	for (uint64_t at = 4096; at <= 4 * 4096; at += 512) {
		char name[16];
		snprintf(name, sizeof name, "d%u", (unsigned)at);
		local_make(name, 8 * 4096, 5);
		struct file *t = file_open(c, name, READ_WRITE);
		struct layout *l = layout_need(t, RW, 0, 8 * 4096);
		lun_write(l, 0, 8 * 4096, 7);
		OK(layout_commit(t, 0, 8 * 4096));
		nfsstat4 status;
		for (unsigned i = 0; (status = try_deallocate(t, at, 5000)) == NFS4ERR_DELAY && i < 100; i++)
			world_pump(10);
		STATUS(status, NFS4_OK);
		EXPECT_TRUE(file_is(t, 0, at, 7) && file_is(t, at + 5000, 8 * 4096 - at - 5000, 7));
		uint8_t buf[5000], zero[5000] = { 0 };
		uint32_t got;
		OK(file_read(t, at, sizeof buf, buf, &got));
		EXPECT_TRUE(got == sizeof buf && !memcmp(buf, zero, sizeof buf));
		if (t->held)
			layout_return(t, LAYOUTIOMODE4_ANY, 0, ALL);
		file_close(t);
		EXPECT_TRUE(local_is(name, 0, at, 7));
	}
}

/* ---- E1, E2, E3 ---- */

static void
stateids(void)
{
	struct client *c = client42("c");
	local_make("a", MiB, 5);
	local_make("b", MiB, 5);
	struct file *ro = file_open(c, "a", READ_ONLY), *b = file_open(c, "b", READ_WRITE), mixed = *b;
	STATUS(try_allocate(ro, 0, 4096), NFS4ERR_OPENMODE);
	STATUS(try_deallocate(ro, 0, 4096), NFS4ERR_OPENMODE);
	STATUS(try_write_same(ro, 0, 4096, 1), NFS4ERR_OPENMODE);
	STATUS(try_copy(b, ro, 0, 4096), NFS4ERR_OPENMODE);
	STATUS(try_clone(b, ro, 0, 0, 4096), NFS4ERR_OPENMODE);
	STATUS(try_copy(ro, b, 0, 4096), NFS4_OK);
	/* another file's */
	mixed.open = ro->open;
	STATUS(try_allocate(&mixed, 0, 4096), NFS4ERR_BAD_STATEID);
	STATUS(try_deallocate(&mixed, 0, 4096), NFS4ERR_BAD_STATEID);
	STATUS(try_seek(&mixed, 0, NFS4_CONTENT_DATA, NULL), NFS4ERR_BAD_STATEID);
	STATUS(try_write_same(&mixed, 0, 4096, 1), NFS4ERR_BAD_STATEID);
	STATUS(try_copy(&mixed, ro, 0, 4096), NFS4ERR_OPENMODE);
	STATUS(try_copy(&mixed, b, 0, 4096), NFS4ERR_BAD_STATEID);
	STATUS(try_copy(ro, &mixed, 0, 4096), NFS4ERR_BAD_STATEID);
	STATUS(try_clone(&mixed, ro, 0, 0, 4096), NFS4ERR_OPENMODE);
	/* somebody denies writing */
	struct client *d = client42("d");
	struct file deny = { .c = d };
	OPEN4args args;
	nfs_fh4 dir = fh_dir(d);
	open_args(d, "h", READ_ONLY, &args);
	local_make("h", MiB, 5);
	args.share_deny = OPEN4_SHARE_DENY_WRITE;
	OK(file_try_open(d, &deny, &args, &dir));
	struct file anonymous = deny;
	memset(&anonymous.open, 0, sizeof anonymous.open);
	anonymous.c = c;
	STATUS(try_allocate(&anonymous, 0, 4096), NFS4ERR_LOCKED);
	STATUS(try_deallocate(&anonymous, 0, 4096), NFS4ERR_LOCKED);
	STATUS(try_write_same(&anonymous, 0, 4096, 1), NFS4ERR_LOCKED);
	STATUS(try_copy(b, &anonymous, 0, 4096), NFS4ERR_LOCKED);
	STATUS(try_clone(b, &anonymous, 0, 0, 4096), NFS4ERR_LOCKED);
	EXPECT_TRUE(local_is("a", 0, MiB, 5));
	OK(file_close(&deny));
}

static void
clone_rules(void)
{
	struct client *c = client42("c");
	local_make("full", MiB, 5);
	local_sparse("sparse", MiB);
	struct file *full = file_open(c, "full", READ_WRITE), *sparse = file_open(c, "sparse", READ_WRITE);
	STATUS(try_clone(sparse, full, 0, 64 * KiB, 64 * KiB), NFS4_OK);
	EXPECT_TRUE(file_is(full, 0, 64 * KiB, 5) && file_is(full, 64 * KiB, 64 * KiB, 0) && file_is(full, 128 * KiB, MiB - 128 * KiB, 5));
	STATUS(try_clone(full, sparse, MiB - 4096, 0, 8192), NFS4ERR_INVAL);
	STATUS(try_clone(full, sparse, MiB + 4096, 0, 0), NFS4ERR_INVAL);
	STATUS(try_clone(full, sparse, 100, 0, 4096), NFS4ERR_INVAL);
	STATUS(try_clone(full, sparse, 0, 100, 4096), NFS4ERR_INVAL);
	STATUS(try_clone(full, sparse, 0, 0, 100), NFS4ERR_INVAL);
	STATUS(try_clone(full, full, 0, 4096, 8192), NFS4ERR_INVAL);
	STATUS(try_clone(full, full, 0, 512 * KiB, 4096), NFS4_OK);
	STATUS(try_copy(full, full, 0, 4096), NFS4ERR_INVAL);
	STATUS(try_clone(full, sparse, 0, 2 * MiB, 0), NFS4_OK);	/* all of it, behind the end */
	EXPECT(local_size("sparse"), 3 * MiB);
	/* the granularity that is told */
	struct attr_mask want = { { 0 } };
	struct nfs_attrs a;
	attr_set(&want, FATTR4_CLONE_BLKSIZE);
	OK(fh_attrs(c, &full->fh, &want, &a));
	EXPECT(a.clone_blksize, 4096);
}

/* Random sparse files: READ_PLUS is READ, and SEEK finds what local programs find. */
static void
sparse_files(void)
{
	static uint8_t plus[256 * KiB], plain[256 * KiB];
	struct client *c = client42("c");
	unsigned seed = 1, all_holes = 0;
	for (unsigned n = 0; n < 8; n++) {
		char name[16];
		snprintf(name, sizeof name, "s%u", n);
		uint64_t size = 100 * KiB + (uint64_t)(rand_r(&seed) % (150 * 1024));
		local_sparse(name, size);
		for (unsigned i = 0; i < 6; i++)
			local_put(name, (uint64_t)rand_r(&seed) % (90 * KiB), (uint64_t)(rand_r(&seed) % 9000), n + 1);
		struct file *s = file_open(c, name, READ_ONLY);
		for (unsigned i = 0; i < 40; i++) {
			uint64_t at = (uint64_t)rand_r(&seed) % (size + 5000);
			uint32_t len = (uint32_t)rand_r(&seed) % (uint32_t)sizeof plus, got = 0, got_plain = 0;
			unsigned holes = 0;
			bool eof = false;
			OK(try_read_plus(s, at, len, plus, &got, &eof, &holes));
			OK(file_read(s, at, len, plain, &got_plain));
			EXPECT(got, got_plain);
			EXPECT_TRUE(!memcmp(plus, plain, got));
			EXPECT(eof, at >= size || len >= size - at);
			all_holes += holes;
		}
		int fd = open(local_path(name), O_RDONLY | O_CLOEXEC);
		REQUIRE(fd >= 0);
		for (uint64_t at = 0; at < size + 4096; at += 3000)
			for (uint32_t what = 0; what < 2; what++) {
				seek_res4 found;
				off_t want = lseek(fd, (off_t)at, what == NFS4_CONTENT_DATA ? SEEK_DATA : SEEK_HOLE);
				nfsstat4 status = try_seek(s, at, what, &found);
				STATUS(status, at < size ? NFS4_OK : NFS4ERR_NXIO);
				if (status == NFS4_OK) {
					EXPECT(found.sr_offset, want < 0 ? (off_t)size : want);
					EXPECT(found.sr_eof, want < 0 || (uint64_t)want >= size);
				}
			}
		close(fd);
		STATUS(try_seek(s, 0, 2, NULL), NFS4ERR_UNION_NOTSUPP);
	}
	EXPECT_TRUE(all_holes > 0);	/* what is cached comes as data */
}

/* ---- what is told of layouts, lists of devices, what is not done ---- */

static void
reports(void)
{
	begin(RW);
	device_error4 error = { .de_status = NFS4ERR_NXIO, .de_opnum = OP_ILLEGAL };
	LAYOUTERROR4args err = { .lea_length = 4096, .lea_stateid = f->layout, .lea_errors = { 1, &error } };
	LAYOUTSTATS4args stats = { .lsa_length = 4096, .lsa_stateid = f->layout, .lsa_read = { 1, 4096 }, .lsa_layoutupdate.lou_type = world.type };
	STATUS(on_fh(c1, &f->fh, OP_LAYOUTERROR, &err, NULL), NFS4_OK);
	EXPECT_TRUE(server_logged("errors of its direct I/O") >= 1);
	STATUS(on_fh(c1, &f->fh, OP_LAYOUTSTATS, &stats, NULL), NFS4_OK);
	err.lea_stateid = stats.lsa_stateid = f->open;
	STATUS(on_fh(c1, &f->fh, OP_LAYOUTERROR, &err, NULL), NFS4ERR_BAD_STATEID);
	STATUS(on_fh(c1, &f->fh, OP_LAYOUTSTATS, &stats, NULL), NFS4ERR_BAD_STATEID);
	err.lea_stateid = stats.lsa_stateid = f->layout;
	STATUS(on_fh(c2, &g->fh, OP_LAYOUTERROR, &err, NULL), NFS4ERR_BAD_STATEID);
	STATUS(on_fh(c2, &g->fh, OP_LAYOUTSTATS, &stats, NULL), NFS4ERR_BAD_STATEID);
}

static void
device_list(void)
{
	struct client *c = client_new("c");
	nfs_resop4 res;
	local_make("f", MiB, 5);
	struct file *a = file_open(c, "f", READ_ONLY);
	struct layout *l = layout_need(a, RO, 0, MiB);
	GETDEVICELIST4args args = { .gdla_layout_type = world.type, .gdla_maxdevices = UINT32_MAX };
	OK(on_fh(c, &a->fh, OP_GETDEVICELIST, &args, &res));
	GETDEVICELIST4resok ok = res.nfs_resop4_u.opgetdevicelist.GETDEVICELIST4res_u.gdlr_resok4;
	REQUIRE(ok.gdlr_deviceid_list.gdlr_deviceid_list_len == 1);
	EXPECT(memcmp(ok.gdlr_deviceid_list.gdlr_deviceid_list_val[0], l->ext[0].device, NFS4_DEVICEID4_SIZE), 0);
	EXPECT_TRUE(ok.gdlr_eof);
	args.gdla_cookie = ok.gdlr_cookie;
	memcpy(args.gdla_cookieverf, ok.gdlr_cookieverf, sizeof args.gdla_cookieverf);
	OK(on_fh(c, &a->fh, OP_GETDEVICELIST, &args, &res));
	ok = res.nfs_resop4_u.opgetdevicelist.GETDEVICELIST4res_u.gdlr_resok4;
	EXPECT_TRUE(ok.gdlr_deviceid_list.gdlr_deviceid_list_len == 0 && ok.gdlr_eof);
	args.gdla_cookieverf[0] ^= 1;
	STATUS(on_fh(c, &a->fh, OP_GETDEVICELIST, &args, NULL), NFS4ERR_NOT_SAME);
	args.gdla_cookie = 77;
	STATUS(on_fh(c, &a->fh, OP_GETDEVICELIST, &args, NULL), NFS4ERR_BAD_COOKIE);
	args = (GETDEVICELIST4args){ .gdla_layout_type = world.type };
	STATUS(on_fh(c, &a->fh, OP_GETDEVICELIST, &args, NULL), NFS4ERR_INVAL);
	args = (GETDEVICELIST4args){ .gdla_layout_type = LAYOUT4_NFSV4_1_FILES, .gdla_maxdevices = 1 };
	STATUS(on_fh(c, &a->fh, OP_GETDEVICELIST, &args, NULL), NFS4ERR_UNKNOWN_LAYOUTTYPE);
	/* RFC 7862 14.2: not at minor version 2 */
	struct client *d = client42("d");
	struct file *b = file_open(d, "f", READ_ONLY);
	args = (GETDEVICELIST4args){ .gdla_layout_type = world.type, .gdla_maxdevices = 1 };
	STATUS(on_fh(d, &b->fh, OP_GETDEVICELIST, &args, NULL), NFS4ERR_NOTSUPP);
}

/* ---- copies that go on (RFC 7862 4.8, 15.8, 15.9, 16.1) ---- */

#define LARGE (40ull * MiB)

static nfsstat4
copy_starts(const struct file *from, const struct file *to, stateid4 *sid, verifier4 verf)
{
	nfs_resop4 res;
	COPY4args args = { .ca_src_stateid = from->open, .ca_dst_stateid = to->open, .ca_count = LARGE, .ca_consecutive = TRUE };
	nfsstat4 status = from_to(from, to, OP_COPY, &args, &res);
	if (status != NFS4_OK)
		return status;
	const COPY4resok *ok = &res.nfs_resop4_u.opcopy.COPY4res_u.cr_resok4;
	EXPECT(ok->cr_response.wr_callback_id.wr_callback_id_len, 1);
	EXPECT_TRUE(ok->cr_requirements.cr_consecutive && !ok->cr_requirements.cr_synchronous);
	EXPECT_TRUE(ok->cr_response.wr_callback_id.wr_callback_id_val->seqid != 0);
	*sid = *ok->cr_response.wr_callback_id.wr_callback_id_val;
	memcpy(verf, ok->cr_response.wr_writeverf, NFS4_VERIFIER_SIZE);
	return NFS4_OK;
}

static nfsstat4
copy_status(struct file *to, const stateid4 *sid, uint64_t *count, bool *complete)
{
	nfs_resop4 res;
	OFFLOAD_STATUS4args args = { *sid };
	nfsstat4 status = on_fh(to->c, &to->fh, OP_OFFLOAD_STATUS, &args, &res);
	if (status == NFS4_OK) {
		const OFFLOAD_STATUS4resok *ok = &res.nfs_resop4_u.opoffload_status.OFFLOAD_STATUS4res_u.osr_resok4;
		*count = ok->osr_count;
		*complete = ok->osr_complete.osr_complete_len == 1;
	}
	return status;
}

static nfsstat4
copy_cancel(struct file *to, const stateid4 *sid)
{
	OFFLOAD_CANCEL4args args = { *sid };
	return on_fh(to->c, &to->fh, OP_OFFLOAD_CANCEL, &args, NULL);
}

/* The other's "f", of which the holder has a layout, is to be a copy of "h"; both are large. */
static void
copy_behind(stateid4 *sid, verifier4 verf)
{
	uint64_t count = 1;
	bool complete = true;
	begin(RW);
	local_make("large", LARGE, 9);
	h = file_open(c2, "large", READ_WRITE);
	STATUS(copy_starts(h, g, sid, verf), NFS4_OK);
	EXPECT_TRUE(recall_wait(c1, 0, 2000));
	world_pump(300);
	STATUS(copy_status(g, sid, &count, &complete), NFS4_OK);
	EXPECT_TRUE(count == 0 && !complete);
	EXPECT(c2->noffloads, 0);
	STATUS(copy_status(h, sid, &count, &complete), NFS4ERR_BAD_STATEID);
	stateid4 zero = *sid;
	zero.seqid = 0;
	STATUS(copy_status(g, &zero, &count, &complete), NFS4ERR_BAD_STATEID);
}

static void
copy_goes_on(void)
{
	stateid4 sid;
	verifier4 verf;
	uint64_t count = 0;
	bool complete = false;
	copy_behind(&sid, verf);
	OK(layout_commit(f, 0, 8192));
	STATUS(recall_return(f), NFS4_OK);
	c1->policy = CB_RETURN;
	for (uint64_t end = now_ms() + 20000; !c2->noffloads && now_ms() < end;)
		world_pump(20);
	EXPECT(c2->noffloads, 1);
	EXPECT(c2->offload.status, NFS4_OK);
	EXPECT_TRUE(c2->offload.count == LARGE && c2->offload.committed == UNSTABLE4);
	EXPECT_TRUE(!memcmp(c2->offload.verf, verf, sizeof verf));
	EXPECT_TRUE(!memcmp(&c2->offload.stateid, &sid, sizeof sid));
	EXPECT_TRUE(c2->offload.fh_len == g->fh.nfs_fh4_len && !memcmp(c2->offload.fh, g->fh.nfs_fh4_val, c2->offload.fh_len));
	EXPECT_TRUE(file_is(g, 0, LARGE, 9));
	/* answered, so over; the answer may still be under way */
	nfsstat4 status;
	for (uint64_t end = now_ms() + 2000; (status = copy_status(g, &sid, &count, &complete)) == NFS4_OK && now_ms() < end;)
		world_pump(20);
	STATUS(status, NFS4ERR_BAD_STATEID);
	STATUS(copy_cancel(g, &sid), NFS4ERR_BAD_STATEID);
	/* Both have blocks of their own. */
	layout_need(h, RW, 0, MiB);
	layout_need(g, RW, 0, MiB);
}

static void
copy_cancelled(void)
{
	stateid4 sid;
	verifier4 verf;
	copy_behind(&sid, verf);
	nfsstat4 status = copy_cancel(g, &sid);
	for (uint64_t end = now_ms() + 2000; status == NFS4ERR_DELAY && now_ms() < end; status = copy_cancel(g, &sid))
		world_pump(20);
	STATUS(status, NFS4_OK);
	STATUS(copy_cancel(g, &sid), NFS4ERR_BAD_STATEID);
	OK(layout_commit(f, 0, 8192));
	STATUS(recall_return(f), NFS4_OK);
	c1->policy = CB_RETURN;
	world_pump(1500);
	EXPECT(c2->noffloads, 0);
	EXPECT_TRUE(file_is(g, 0, 8192, 6) && file_is(g, 8192, MiB - 8192, 5));
}

const struct wire_test tests_space[] = {
	{ "A19", "ALLOCATE waits for a RW and for a READ holder", by_allocate },
	{ "A19", "DEALLOCATE waits for a RW and for a READ holder", by_deallocate },
	{ "A19", "COPY to the file waits for a RW and for a READ holder", by_copy },
	{ "A19", "COPY of the file waits for a RW holder, and has what it wrote", by_copy_of_it },
	{ "A19", "COPY that goes on after the reply waits for a RW holder; CB_OFFLOAD", copy_goes_on },
	{ "A19", "OFFLOAD_CANCEL of a COPY that waits for a RW holder", copy_cancelled },
	{ "A19", "CLONE to the file waits for a RW and for a READ holder; no layouts after", by_clone },
	{ "A19", "CLONE of the file waits for a RW and for a READ holder; no layouts after, until ALLOCATE", by_clone_of_it },
	{ "A19", "SEEK waits for a RW holder", by_seek },
	{ "A19", "READ_PLUS waits for a RW holder, and sees what it wrote", by_read_plus },
	{ "A19", "WRITE_SAME waits for a RW and for a READ holder", by_write_same },
	{ "A20", "DEALLOCATE and ALLOCATE by the holder itself", by_the_holder },
	{ "A22", "DEALLOCATE at every 512th byte of three blocks", within_blocks },
	{ "E1", "stateids of another kind of open, of another file; a denial of writing", stateids },
	{ "E2", "CLONE: holes over data, alignment, the source's end", clone_rules },
	{ "E3", "READ_PLUS is READ, SEEK is lseek(2), on random sparse files", sparse_files },
	{ "E1", "LAYOUTERROR and LAYOUTSTATS want a layout's stateid", reports },
	{ "B20", "GETDEVICELIST lists the export's device, at minor version 1 only", device_list },
	{ NULL, NULL, NULL },
};
