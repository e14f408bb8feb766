/* Extents of LAYOUTGET replies, and what goes into and out of LAYOUTGET (RFC 8881 18.43; PITFALLS A3 to A11, A31 to A33). */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/integ/wire/wire.h"

/* Old data lies nearly everywhere on the LUN (the script saw to it). */
static void
no_old_data(void)
{
	struct client *c1 = client_new("writer"), *c2 = client_new("reader");
	local_prealloc("pre", 4 * MiB);
	local_sparse("holes", 4 * MiB);
	static const char *const names[] = { "pre", "holes" };
	for (unsigned i = 0; i < 2; i++) {
		struct file *f = file_open(c1, names[i], READ_WRITE);
		struct layout *l = layout_need(f, LAYOUTIOMODE4_RW, 0, 4 * MiB);
		EXPECT_TRUE(lun_is(l, 0, 4 * MiB, 0));	/* what may be read there now */
		lun_write(l, MiB, 64 * KiB, 7);
		STATUS(layout_commit(f, MiB, 64 * KiB), NFS4_OK);
		STATUS(layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL), NFS4_OK);
		struct file *g = file_open(c2, names[i], READ_ONLY);
		EXPECT_TRUE(file_is(g, 0, MiB, 0));
		EXPECT_TRUE(file_is(g, MiB, 64 * KiB, 7));
		EXPECT_TRUE(file_is(g, MiB + 64 * KiB, 3 * MiB - 64 * KiB, 0));
		l = layout_need(g, LAYOUTIOMODE4_READ, 0, 4 * MiB);
		EXPECT_TRUE(lun_is(l, 0, MiB, 0) && lun_is(l, MiB + 64 * KiB, 3 * MiB - 64 * KiB, 0) && lun_is(l, MiB, 64 * KiB, 7));
		layout_return(g, LAYOUTIOMODE4_ANY, 0, ALL);
		file_close(g);
		EXPECT_TRUE(local_is(names[i], 0, MiB, 0) && local_is(names[i], MiB, 64 * KiB, 7) &&
		    local_is(names[i], MiB + 64 * KiB, 3 * MiB - 64 * KiB, 0));
	}
}

static void
sparse_read(void)
{
	struct client *c = client_new("reader");
	local_sparse("f", 2 * MiB);
	local_put("f", 256 * KiB, 64 * KiB, 3);
	local_put("f", 1024 * KiB, 4 * KiB, 3);
	struct file *f = file_open(c, "f", READ_ONLY);
	struct layout *l = layout_need(f, LAYOUTIOMODE4_READ, 0, 2 * MiB);
	EXPECT(layout_at(l, 0)->state, EXTENT_NONE);
	EXPECT(layout_at(l, 256 * KiB)->state, EXTENT_READ);
	EXPECT(layout_at(l, 320 * KiB)->state, EXTENT_NONE);
	EXPECT(layout_at(l, 1024 * KiB)->state, EXTENT_READ);
	EXPECT(layout_at(l, 2 * MiB - 1)->state, EXTENT_NONE);
	EXPECT_TRUE(lun_is(l, 256 * KiB, 64 * KiB, 3) && lun_is(l, 1024 * KiB, 4 * KiB, 3));
	/* preallocated space reads as zeros: no address may be told */
	local_prealloc("p", MiB);
	struct file *p = file_open(c, "p", READ_ONLY);
	l = layout_need(p, LAYOUTIOMODE4_READ, 0, MiB);
	EXPECT(l->n, 1);
	EXPECT(l->ext[0].state, EXTENT_NONE);
}

static void
from_the_middle(void)
{
	struct client *c = client_new("c");
	local_fragments("f", 32, 16384, 5);
	struct file *f = file_open(c, "f", READ_WRITE);
	static const uint64_t at[] = { 4096, 12288, 16384, 20480, 100 * KiB, 500 * KiB };
	for (unsigned i = 0; i < sizeof at / sizeof *at; i++) {
		struct layout *l = layout_need(f, LAYOUTIOMODE4_READ, at[i], 128 * KiB);
		EXPECT_TRUE(layout_at(l, at[i]) && layout_at(l, at[i] + 128 * KiB - 1));
		for (uint64_t o = at[i]; o < at[i] + 128 * KiB; o += 4096)
			EXPECT_TRUE(layout_at(l, o) && layout_at(l, o)->state == (o / 16384 % 2 ? EXTENT_NONE : EXTENT_READ));
		STATUS(layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL), NFS4_OK);
	}
	EXPECT(layouts_wrong(), 0);
}

/* minlength over 4 KiB extents from a byte that begins no block. */
static void
odd_offset(void)
{
	struct client *c = client_new("c");
	local_fragments("f", 100, 4096, 5);
	struct file *f = file_open(c, "f", READ_WRITE);
	struct layout *l = layout_get(f, LAYOUTIOMODE4_READ, 5000, 64 * KiB, 64 * KiB);
	STATUS(l->status, NFS4_OK);
	EXPECT_TRUE(layout_at(l, 5000) && layout_at(l, 5000 + 64 * KiB - 1));
	l = layout_get(f, LAYOUTIOMODE4_RW, 4097, 64 * KiB, 64 * KiB);
	STATUS(l->status, NFS4_OK);
	EXPECT_TRUE(layout_at(l, 4097) && layout_at(l, 4097 + 64 * KiB - 1));
}

static void
extents_per_reply(void)
{
	struct client *c = client_new("c");
	local_fragments("f", 100, 4096, 5);
	struct file *f = file_open(c, "f", READ_ONLY);
	uint64_t size = 199 * 4096, at = 0;
	unsigned calls = 0;
	while (at < size) {
		/* 92 extents fit into 4096 bytes */
		struct lget a = { world.type, LAYOUTIOMODE4_READ, at, ALL, 4096, 4096, NULL };
		struct layout *l = layout_get_as(f, &a);
		OK(l->status);
		calls++;
		at = l->offset + l->length;
		REQUIRE(calls < 50);
	}
	EXPECT(calls, (199 + 91) / 92);
}

static void
maxcount(void)
{
	struct client *c = client_new("c");
	local_fragments("f", 10, 4096, 5);
	struct file *f = file_open(c, "f", READ_WRITE);
	struct lget a = { world.type, LAYOUTIOMODE4_READ, 0, 19 * 4096, 4096, 0, NULL };
	STATUS(layout_get_as(f, &a)->status, NFS4ERR_TOOSMALL);
	a.maxcount = 8;
	STATUS(layout_get_as(f, &a)->status, NFS4ERR_TOOSMALL);
	a.maxcount = 4096;
	struct layout *l = layout_get_as(f, &a);
	STATUS(l->status, NFS4_OK);
	EXPECT(l->n, 19);
	/*
	 * What is counted is "the layout structure" (18.43.3): the body at least, all of layout4 at most.  With room for one extent there is either one
	 * or TOOSMALL, never more (layout_check), and where the reply fits one byte less must not give the same.
	 */
	a.maxcount = 4 + 44 + 28;
	l = layout_get_as(f, &a);
	STATUS(l->status, NFS4_OK);
	EXPECT(l->n, 1);
	a.maxcount = 4 + 43;
	STATUS(layout_get_as(f, &a)->status, NFS4ERR_TOOSMALL);
	/* minlength that does not fit into maxcount */
	a.minlength = 19 * 4096;
	a.maxcount = 4 + 44 + 28;
	nfsstat4 status = layout_get_as(f, &a)->status;
	EXPECT_TRUE(status == NFS4ERR_TOOSMALL || status == NFS4ERR_BADLAYOUT);
}

static void
lengths(void)
{
	struct client *c = client_new("c");
	local_make("f", MiB, 5);
	struct file *f = file_open(c, "f", READ_WRITE);
	STATUS(layout_get(f, LAYOUTIOMODE4_READ, 0, 4096, 8192)->status, NFS4ERR_INVAL);
	STATUS(layout_get(f, LAYOUTIOMODE4_READ, 4096, ALL - 1, 4096)->status, NFS4ERR_INVAL);
	STATUS(layout_get(f, LAYOUTIOMODE4_READ, 8192, ALL, ALL - 4096)->status, NFS4ERR_INVAL);
	/* a RW layout is whole, or there is none (table 22): behind the end "plain" has nothing */
	nfsstat4 status = layout_get(f, LAYOUTIOMODE4_RW, 0, 2 * MiB, 2 * MiB)->status;
	EXPECT_TRUE(world.kernel ? !status : status == NFS4ERR_BADLAYOUT || status == NFS4ERR_LAYOUTUNAVAILABLE);
	status = layout_get(f, LAYOUTIOMODE4_RW, 2 * MiB, 4096, 4096)->status;
	EXPECT_TRUE(world.kernel ? !status : status == NFS4ERR_BADLAYOUT || status == NFS4ERR_LAYOUTUNAVAILABLE);
	/* minlength 0: TRYLATER is the only way not to give one */
	status = layout_get(f, LAYOUTIOMODE4_RW, 2 * MiB, 4096, 0)->status;
	EXPECT_TRUE(world.kernel ? !status : status == NFS4ERR_LAYOUTTRYLATER || status == NFS4ERR_LAYOUTUNAVAILABLE);
	STATUS(layout_get(f, LAYOUTIOMODE4_READ, 0, 0, 0)->status, NFS4_OK);
	/* READ over the end of the file is short, and good */
	struct layout *l = layout_get(f, LAYOUTIOMODE4_READ, 512 * KiB, 2 * MiB, 2 * MiB);
	STATUS(l->status, NFS4_OK);
	STATUS(layout_get(f, LAYOUTIOMODE4_READ, 0, ALL, ALL)->status, NFS4_OK);
	STATUS(layout_get(f, LAYOUTIOMODE4_READ, 0, ALL, 4096)->status, NFS4_OK);
	STATUS(layout_get(f, LAYOUTIOMODE4_RW, 0, ALL, 4096)->status, NFS4_OK);
}

static void
iomodes(void)
{
	struct client *c = client_new("c");
	local_make("f", MiB, 5);
	struct file *f = file_open(c, "f", READ_WRITE);
	static const uint32_t junk[] = { 0, 3, 7, 0xffffffff };
	for (unsigned i = 0; i < 4; i++) {
		nfsstat4 status = layout_get(f, junk[i], 0, 4096, 4096)->status;
		EXPECT_TRUE(status == NFS4ERR_BADIOMODE || (junk[i] != 3 && status == NFS4ERR_BADXDR));
	}
	struct lget a = { LAYOUT4_NFSV4_1_FILES, LAYOUTIOMODE4_READ, 0, 4096, 4096, 4096, NULL };
	STATUS(layout_get_as(f, &a)->status, NFS4ERR_UNKNOWN_LAYOUTTYPE);
	a.type = world.type == LAYOUT4_SCSI ? LAYOUT4_BLOCK_VOLUME : LAYOUT4_SCSI;
	nfsstat4 status = layout_get_as(f, &a)->status;
	EXPECT_TRUE(status == NFS4ERR_UNKNOWN_LAYOUTTYPE || status == NFS4ERR_LAYOUTUNAVAILABLE);
	nfs_fh4 dir = fh_dir(c);
	LAYOUTGET4args d = { .loga_layout_type = world.type, .loga_iomode = LAYOUTIOMODE4_READ, .loga_length = 4096, .loga_maxcount = 4096,
		.loga_stateid = f->open };
	EXPECT_TRUE(on_fh(c, &dir, OP_LAYOUTGET, &d, NULL) != NFS4_OK);
}

static void
with_stateid(struct file *f, uint32_t iomode, const stateid4 *stateid, nfsstat4 want, const char *what)
{
	struct lget a = { world.type, iomode, 0, 4096, 4096, 4096, stateid };
	nfsstat4 got = layout_get_as(f, &a)->status;
	if (got != want)
		fprintf(stderr, "LAYOUTGET with %s:\n", what);
	STATUS(got, want);
}

static void
stateids(void)
{
	struct client *c1 = client_new("c1"), *c2 = client_new("c2");
	local_make("f", MiB, 5);
	local_make("g", MiB, 5);
	struct file *f = file_open(c1, "f", READ_WRITE), *g = file_open(c1, "g", READ_WRITE), *ro = file_open(c2, "g", READ_ONLY);
	stateid4 zero = { 0 }, ones, junk = f->open, future = f->open;
	memset(&ones, 0xff, sizeof ones);
	junk.other[5] ^= 0x55;
	future.seqid += 5;
	with_stateid(f, LAYOUTIOMODE4_READ, &zero, NFS4ERR_BAD_STATEID, "the anonymous stateid");
	with_stateid(f, LAYOUTIOMODE4_READ, &ones, NFS4ERR_BAD_STATEID, "the READ bypass stateid");
	with_stateid(f, LAYOUTIOMODE4_READ, &junk, NFS4ERR_BAD_STATEID, "junk");
	with_stateid(f, LAYOUTIOMODE4_READ, &future, NFS4ERR_BAD_STATEID, "a seqid to come");
	with_stateid(f, LAYOUTIOMODE4_READ, &g->open, NFS4ERR_BAD_STATEID, "another file's");
	with_stateid(f, LAYOUTIOMODE4_READ, &ro->open, NFS4ERR_BAD_STATEID, "another client's");
	with_stateid(g, LAYOUTIOMODE4_READ, &ro->open, NFS4ERR_BAD_STATEID, "another client's of the same file");
	/* RFC 8154 3.1: access rights are the open's */
	struct layout *l = layout_get(ro, LAYOUTIOMODE4_RW, 0, 4096, 4096);
	EXPECT_TRUE(l->status == NFS4ERR_OPENMODE || l->status == NFS4ERR_ACCESS || l->status == NFS4ERR_BAD_STATEID);
	/* old and future layout stateids */
	layout_need(f, LAYOUTIOMODE4_READ, 0, 4096);
	stateid4 first = f->layout, of_f = f->layout;
	of_f.seqid = 0;
	with_stateid(f, LAYOUTIOMODE4_READ, &of_f, NFS4ERR_BAD_STATEID, "a layout stateid with seqid 0");
	of_f.seqid = f->layout.seqid + 100;
	EXPECT_TRUE(layout_get_as(f, &(struct lget){ world.type, LAYOUTIOMODE4_READ, 0, 4096, 4096, 4096, &of_f })->status != NFS4_OK);
	EXPECT(f->layout.seqid, 1);
	layout_need(f, LAYOUTIOMODE4_READ, 65536, 4096);
	EXPECT(f->layout.seqid, 2);
	with_stateid(g, LAYOUTIOMODE4_READ, &first, NFS4ERR_BAD_STATEID, "another file's layout stateid");
	/* gone with the last layout */
	layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL);
	with_stateid(f, LAYOUTIOMODE4_READ, &first, NFS4ERR_BAD_STATEID, "that of a layout returned");
	/* a closed open's */
	stateid4 closed = g->open;
	file_close(g);
	with_stateid(g, LAYOUTIOMODE4_READ, &closed, NFS4ERR_BAD_STATEID, "a closed file's");
}

/* LAYOUTGETs of a client that writes 1 GiB from the start to the end, asking for 1 MiB at a time, as Linux does. */
static void
grant_sizes(void)
{
	struct client *c = client_new("c");
	uint64_t size = 1024 * MiB, at = 0;
	unsigned calls = 0;
	local_prealloc("f", size);
	struct file *f = file_open(c, "f", READ_WRITE);
	uint64_t began = now_ms();
	while (at < size && calls < 100) {
		struct layout *l = layout_get(f, LAYOUTIOMODE4_RW, at, MiB, 4096);
		OK(l->status);
		at = l->offset + l->length;
		calls++;
	}
	fprintf(stderr, "1 GiB in %u LAYOUTGETs, %u ms\n", calls, (unsigned)(now_ms() - began));
	EXPECT_TRUE(calls <= 16);
	layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL);
	OK(file_set_size(f, 0));		/* the server has it open for a while: the others need the space now */
	file_close(f);
	unlink(local_path("f"));
}

static void
no_space(void)
{
	struct client *c = client_new("c");
	local_sparse("f", 64 * MiB);
	struct file *f = file_open(c, "f", READ_WRITE);
	char cmd[600];
	snprintf(cmd, sizeof cmd, "fallocate -l $(($(stat -f -c '%%a*%%S' %s) - 1048576)) %s", world.export, local_path("fill"));
	REQUIRE(system(cmd) == 0);
	uint64_t began = now_ms();
	nfsstat4 status = layout_get(f, LAYOUTIOMODE4_RW, 0, 32 * MiB, 32 * MiB)->status;
	unlink(local_path("fill"));
	STATUS(status, NFS4ERR_NOSPC);
	EXPECT_TRUE(now_ms() - began < 5000);
	/* and nothing is left of it */
	STATUS(file_close(f), NFS4_OK);
	STATUS(client_end(c), NFS4_OK);
}

/*
 * The last space is what XFS holds behind the end of a file that a local program is appending to (with dirty pages: else the kernel finds it itself): it is
 * asked for before "no space" is said.
 */
static void
held_space(void)
{
	struct client *c = client_new("c");
	char cmd[600];
	static uint8_t buf[MiB];
	local_sparse("f", 64 * MiB);
	struct file *f = file_open(c, "f", READ_WRITE);
	REQUIRE(!system("sync"));
	snprintf(cmd, sizeof cmd, "fallocate -l $(($(stat -f -c '%%a*%%S' %s) - 400 * 1048576)) %s", world.export, local_path("fill"));
	REQUIRE(!system(cmd));
	int fd = open(local_path("grows"), O_CREAT | O_RDWR | O_APPEND, 0666);
	REQUIRE(fd >= 0);
	for (unsigned i = 0; i < 130; i++)
		REQUIRE(write(fd, buf, sizeof buf) == sizeof buf);
	snprintf(cmd, sizeof cmd, "fallocate -l $(($(stat -f -c '%%a*%%S' %s) - 1048576)) %s", world.export, local_path("more"));
	REQUIRE(!system(cmd));
	nfsstat4 status = layout_get(f, LAYOUTIOMODE4_RW, 0, 32 * MiB, 32 * MiB)->status;
	close(fd);
	unlink(local_path("fill"));
	unlink(local_path("more"));
	unlink(local_path("grows"));
	STATUS(status, NFS4_OK);
}

static char grown[512];

static uint64_t
grown_spare(void)
{
	struct stat st;
	REQUIRE(!stat(grown, &st));
	return (uint64_t)st.st_blocks * 512 - (uint64_t)st.st_size;
}

/* XFS gives a file that is appended to through the server up to as much again, and the server has it open. */
static void
append(void)
{
	struct client *c = client_new("c");
	static uint8_t buf[512 * KiB];
	local_make("f", 0, 5);
	snprintf(grown, sizeof grown, "%s", local_path("f"));
	struct file *f = file_open(c, "f", READ_WRITE);
	for (unsigned i = 0; i < 80; i++)
		OK(file_write(f, i * sizeof buf, buf, sizeof buf));
	EXPECT_TRUE(grown_spare() > MiB);
	STATUS(file_close(f), NFS4_OK);
}

/* It was closed by its last client a while ago: what it does not need is back.  (Waited for once; it has nothing to do with the type of layouts.) */
static void
append_over(void)
{
	REQUIRE(*grown);
	for (uint64_t end = now_ms() + 15000; world.type == LAYOUT4_BLOCK_VOLUME && grown_spare() > MiB && now_ms() < end;)
		world_pump(200);
	EXPECT_TRUE(grown_spare() < MiB || world.type != LAYOUT4_BLOCK_VOLUME);
}

static void
failed_leave_nothing(void)
{
	struct client *c = client_new("c");
	local_make("f", MiB, 5);
	struct file *f = file_open(c, "f", READ_WRITE);
	stateid4 junk = f->open;
	junk.other[3] ^= 0xaa;
	unsigned bad = 0;
	for (unsigned i = 0; i < 1000; i++) {
		struct lget a = { world.type, i % 3 ? LAYOUTIOMODE4_READ : 3, 0, 4096, 4096, i % 3 == 1 ? 0 : 4096, i % 3 == 2 ? &junk : NULL };
		bad += layout_get_as(f, &a)->status != NFS4_OK;
	}
	EXPECT(bad, 1000);
	STATUS(file_close(f), NFS4_OK);
	/* DESTROY_CLIENTID says CLIENTID_BUSY while there is a layout (18.50.3) */
	STATUS(client_end(c), NFS4_OK);
	pid_t pid = local_start(LOCAL_TRUNCATE, "f", 4096);
	EXPECT_TRUE(local_wait(pid, 500, NULL));
}

const struct wire_test tests_layout[] = {
	{ "A39", "a file is appended to through the server, and closed", append },
	{ "A3", "blocks given out hold no old data: zeros by LUN, by MDS, locally", no_old_data },
	{ "A5", "sparse file: READ extents and NONE_DATA, contiguous; preallocated space is a hole", sparse_read },
	{ "A6", "fragments from the middle: disjoint, increasing, the right states", from_the_middle },
	{ "A7", "minlength from an odd offset over 4 KiB extents", odd_offset },
	{ "A8", "a file of 199 extents takes 3 LAYOUTGETs of 4096 bytes", extents_per_reply },
	{ "A9", "loga_maxcount: TOOSMALL, never too much", maxcount },
	{ "A9", "loga_length, loga_minlength, overflow and end of file (tables 22 and 23)", lengths },
	{ "A10", "iomode ANY and junk, other layout types, directories", iomodes },
	{ "A11", "LAYOUTGET's stateid: kind, file, client, mode, seqid", stateids },
	{ "A39", "what XFS held behind its end is free again", append_over },
	{ "A32", "NOSPC not before what XFS holds behind the ends of files was asked for", held_space },
	{ "A31", "a sequential write of 1 GiB in at most 16 LAYOUTGETs", grant_sizes },
	{ "A32", "no space is NOSPC, at once", no_space },
	{ "A33", "1,000 failing LAYOUTGETs leave no state", failed_leave_nothing },
	{ NULL, NULL, NULL },
};
