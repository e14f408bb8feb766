/* LAYOUTCOMMIT (RFC 8881 18.42, 12.5.4; RFC 8154 2.4.2; PITFALLS A1, A2, A23, A26, A27, A29, A30). */
#include <time.h>

#include "tests/integ/wire/wire.h"

static void
size_is(struct file *f, uint64_t size)
{
	struct nfs_attrs a;
	OK(file_attrs(f, &a));
	EXPECT(a.size, size);
}

/* Both ways round: a commit of the middle after one of the end. */
static void
size_never_shrinks(void)
{
	struct client *c1 = client_new("c1"), *c2 = client_new("c2");
	local_make("f", 8 * MiB, 5);
	struct file *f = file_open(c1, "f", READ_WRITE), *g = file_open(c2, "f", READ_WRITE);
	struct layout *l = layout_need(f, LAYOUTIOMODE4_RW, 0, 8 * MiB);
	lun_write(l, 0, 8 * MiB, 6);
	STATUS(layout_commit(f, 0, 8 * MiB), NFS4_OK);
	lun_write(l, 0, 4096, 7);
	STATUS(layout_commit(f, 0, 4096), NFS4_OK);
	size_is(f, 8 * MiB);
	STATUS(layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL), NFS4_OK);
	l = layout_need(g, LAYOUTIOMODE4_RW, 8 * MiB - 4096, 4096);
	lun_write(l, 8 * MiB - 4096, 4096, 8);
	STATUS(layout_commit(g, 8 * MiB - 4096, 4096), NFS4_OK);
	STATUS(layout_return(g, LAYOUTIOMODE4_ANY, 0, ALL), NFS4_OK);
	l = layout_need(f, LAYOUTIOMODE4_RW, 4096, 4096);
	lun_write(l, 4096, 4096, 9);
	struct layout_range range = { 4096, 4096 };
	newsize4 newsize;
	struct lcommit a = { .offset = 4096, .length = 4096, .has_last = true, .last = 8191, .ranges = &range, .n = 1 };
	STATUS(layout_commit_as(f, &a, &newsize), NFS4_OK);
	EXPECT_TRUE(!newsize.ns_sizechanged || newsize.newsize4_u.ns_size == 8 * MiB);
	size_is(f, 8 * MiB);
	layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL);
	EXPECT_TRUE(file_is(g, 0, 4096, 7) && file_is(g, 4096, 4096, 9) && file_is(g, 8192, 8 * MiB - 12288, 6) &&
	    file_is(g, 8 * MiB - 4096, 4096, 8));
	EXPECT(local_size("f"), 8 * MiB);
}

static void
no_new_offset(void)
{
	struct client *c = client_new("c");
	local_make("f", MiB + 100, 5);
	struct file *f = file_open(c, "f", READ_WRITE);
	struct layout *l = layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	lun_write(l, 8192, 4096, 7);
	struct layout_range range = { 8192, 4096 };
	newsize4 newsize;
	struct lcommit a = { .offset = 8192, .length = 4096, .last = 1, .ranges = &range, .n = 1 };
	STATUS(layout_commit_as(f, &a, &newsize), NFS4_OK);
	EXPECT(newsize.ns_sizechanged, 0);
	size_is(f, MiB + 100);
	/* as Linux does: offset 0, the last byte, and an empty body after overwriting (still moves change) */
	struct nfs_attrs before, after;
	OK(file_attrs(f, &before));
	struct lcommit as_linux = { .offset = 0, .length = 12288, .has_last = true, .last = 12287 };
	STATUS(layout_commit_as(f, &as_linux, NULL), NFS4_OK);
	OK(file_attrs(f, &after));
	EXPECT_TRUE(after.change != before.change);
	EXPECT(after.size, MiB + 100);
}

/* The server's own cache must not hide what the LUN got, nor its dirty pages destroy it. */
static void
mds_is_coherent(void)
{
	struct client *c = client_new("writer"), *o = client_new("other");
	local_make("f", MiB, 5);
	struct file *f = file_open(c, "f", READ_WRITE), *g = file_open(o, "f", READ_WRITE);
	EXPECT_TRUE(file_is(g, 0, MiB, 5));		/* now cached at the server */
	static uint8_t buf[4096];
	for (unsigned round = 0; round < 8; round++) {
		/* dirty pages by MDS WRITE beside the blocks of the layout */
		pattern_fill(buf, round * 65536, sizeof buf, 100 + round);
		WRITE4args w = { g->open, round * 65536, UNSTABLE4, { sizeof buf, (char *)buf } };
		OK(on_fh_patient(o, &g->fh, OP_WRITE, &w, NULL, 5000));
		struct layout *l = layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
		lun_write(l, round * 65536 + 4096, 8192, 200 + round);
		STATUS(layout_commit(f, round * 65536 + 4096, 8192), NFS4_OK);
		c->policy = CB_RETURN;		/* when the other reads */
		EXPECT_TRUE(file_is(g, round * 65536, 4096, 100 + round));
		EXPECT_TRUE(file_is(g, round * 65536 + 4096, 8192, 200 + round));
		EXPECT_TRUE(file_is(g, round * 65536 + 12288, 53248, 5));
	}
	layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL);
	file_close(f);
	file_close(g);
	for (unsigned round = 0; round < 8; round++)
		EXPECT_TRUE(local_is("f", round * 65536, 4096, 100 + round) && local_is("f", round * 65536 + 4096, 8192, 200 + round));
}

static nfsstat4
commit_range(struct file *f, uint64_t offset, uint64_t length)
{
	struct layout_range range = { offset, length };
	struct lcommit a = { .offset = 0, .length = ALL, .ranges = &range, .n = 1 };
	return layout_commit_as(f, &a, NULL);
}

static void
never_granted(void)
{
	struct client *c = client_new("malicious");
	local_prealloc("f", 256 * MiB);
	local_make("ro", MiB, 5);
	struct file *f = file_open(c, "f", READ_WRITE), *ro = file_open(c, "ro", READ_WRITE);
	struct layout *l = layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	uint64_t end = l->offset + l->length;
	REQUIRE(end < 256 * MiB);	/* a grant of all there is after 1 MiB was asked for would be no good policy (A31) */
	EXPECT_TRUE(commit_range(f, 100, 4096) != NFS4_OK);		/* unaligned */
	EXPECT_TRUE(commit_range(f, 4096, 100) != NFS4_OK);
	EXPECT_TRUE(commit_range(f, end, 4096) != NFS4_OK);		/* not granted */
	EXPECT_TRUE(commit_range(f, end - 4096, 8192) != NFS4_OK);	/* half of it */
	EXPECT_TRUE(commit_range(f, 300 * MiB, 4096) != NFS4_OK);	/* behind the end */
	EXPECT_TRUE(commit_range(f, UINT64_C(0xfffffffffffff000), 8192) != NFS4_OK);
	EXPECT_TRUE(commit_range(f, 0, ALL - 4095) != NFS4_OK);
	layout_need(ro, LAYOUTIOMODE4_READ, 0, MiB);
	nfsstat4 status = commit_range(ro, 0, 4096);			/* READ is no right to commit */
	EXPECT_TRUE(status == NFS4ERR_BADIOMODE || status == NFS4ERR_BADLAYOUT);
	/* a body that is none */
	LAYOUTCOMMIT4args bad = { .loca_length = ALL, .loca_stateid = f->layout };
	char junk[50] = "\0\0\0\3";
	bad.loca_layoutupdate.lou_type = world.type;
	bad.loca_layoutupdate.lou_body.lou_body_len = sizeof junk;
	bad.loca_layoutupdate.lou_body.lou_body_val = junk;
	EXPECT_TRUE(on_fh(c, &f->fh, OP_LAYOUTCOMMIT, &bad, NULL) != NFS4_OK);
	/* the last byte written has to lie in the range (18.42.3), and the size stays */
	struct lcommit far = { .offset = 0, .length = 4096, .has_last = true, .last = 1 << 30 };
	EXPECT_TRUE(layout_commit_as(f, &far, NULL) != NFS4_OK);
	struct lcommit whole = { .offset = 0, .length = ALL, .has_last = true, .last = 1 << 30 };
	layout_commit_as(f, &whole, NULL);
	struct lcommit reclaim = { .offset = 0, .length = 4096, .reclaim = true };
	STATUS(layout_commit_as(f, &reclaim, NULL), NFS4ERR_NO_GRACE);
	status = layout_commit_as(f, &(struct lcommit){ .offset = 0, .length = 4096, .stateid = &ro->layout }, NULL);
	EXPECT_TRUE(status == NFS4ERR_BAD_STATEID || status == NFS4ERR_BADLAYOUT);
	size_is(f, 256 * MiB);
	layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL);
	file_close(f);
	EXPECT_TRUE(local_is("f", 0, 64 * MiB, 0));
}

/* Linux returns, then commits. */
static void
after_return(void)
{
	struct client *c = client_new("c");
	local_prealloc("f", MiB);
	struct file *f = file_open(c, "f", READ_WRITE);
	struct layout *l = layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	stateid4 held = l->stateid;
	lun_write(l, 0, MiB, 7);
	STATUS(layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL), NFS4_OK);
	struct layout_range range = { 0, MiB };
	nfsstat4 status = layout_commit_as(f, &(struct lcommit){ .length = MiB, .stateid = &held, .has_last = true, .last = MiB - 1,
	    .ranges = &range, .n = 1 }, NULL);
	EXPECT_TRUE(status == NFS4_OK || status == NFS4ERR_BADLAYOUT || status == NFS4ERR_BAD_STATEID);
	size_is(f, MiB);
	EXPECT_TRUE(file_is(f, 0, MiB, 7));
	file_close(f);
	EXPECT_TRUE(local_is("f", 0, MiB, 7));
}

static void
many_ranges(void)
{
	struct client *c = client_new("c");
	static struct layout_range ranges[10000];
	local_prealloc("f", 80 * MiB);
	struct file *f = file_open(c, "f", READ_WRITE);
	for (uint64_t at = 0; at < 80 * MiB;) {
		struct layout *l = layout_need(f, LAYOUTIOMODE4_RW, at, MiB);
		for (uint64_t o = at; o < l->offset + l->length; o += 8192)
			lun_write(l, o, 4096, 9);
		at = l->offset + l->length;
	}
	for (unsigned i = 0; i < 10000; i++)
		ranges[i] = (struct layout_range){ (uint64_t)i * 8192, 4096 };
	struct lcommit a = { .length = 80 * MiB, .has_last = true, .last = 9999 * 8192 + 4095, .ranges = ranges, .n = 10000 };
	uint64_t began = now_ms();
	STATUS(layout_commit_as(f, &a, NULL), NFS4_OK);
	uint64_t took = now_ms() - began;
	printf("10,000 ranges: %llu ms\n", (unsigned long long)took);
	EXPECT_TRUE(took < 3000);
	for (unsigned part = 0; part < 3; part++) {	/* as a client splits it at the size of a request */
		struct lcommit b = { .length = 80 * MiB, .ranges = ranges + part * 3333, .n = part == 2 ? 3334 : 3333 };
		STATUS(layout_commit_as(f, &b, NULL), NFS4_OK);
	}
	layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL);
	file_close(f);
	EXPECT_TRUE(local_is("f", 0, 4096, 9) && local_is("f", 4096, 4096, 0) && local_is("f", 9999 * 8192, 4096, 9));
	size_is(f, 80 * MiB);
}

static void
time_only_forward(void)
{
	struct client *c = client_new("c");
	local_make("f", MiB, 5);
	struct file *f = file_open(c, "f", READ_WRITE);
	layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	struct nfs_attrs a, b;
	OK(file_attrs(f, &a));
	struct layout_range range = { 0, 4096 };
	struct lcommit past = { .length = 4096, .has_last = true, .last = 4095, .has_time = true, .time = { 1000000, 0 }, .ranges = &range, .n = 1 };
	STATUS(layout_commit_as(f, &past, NULL), NFS4_OK);
	OK(file_attrs(f, &b));
	EXPECT_TRUE(b.time_modify.seconds >= a.time_modify.seconds);
	EXPECT_TRUE(b.change != a.change);
	past.time.nseconds = 2000000000;
	nfsstat4 status = layout_commit_as(f, &past, NULL);
	EXPECT_TRUE(status == NFS4ERR_INVAL || status == NFS4_OK);
	OK(file_attrs(f, &a));
	EXPECT_TRUE(a.time_modify.nseconds < 1000000000 && a.time_modify.seconds >= b.time_modify.seconds);
}

/*
 * A write through the server leaves XFS blocks behind the end that it takes back whenever somebody closes the file.  Given to a client, they must not go:
 * a commit would find nothing there, and allocate blocks that nobody has written.
 */
static void
behind_the_end(void)
{
	static uint8_t buf[72 << 10];
	const uint64_t end = sizeof buf, more = 32 << 10;
	struct client *c = client_new("c");
	local_make("f", 0, 0);
	struct file *f = file_open(c, "f", READ_WRITE);
	if (!world.kernel) {		/* gives nothing there */
		nfsstat4 status = layout_get(f, LAYOUTIOMODE4_RW, end, more, more)->status;
		EXPECT_TRUE(status == NFS4ERR_BADLAYOUT || status == NFS4ERR_LAYOUTUNAVAILABLE);
		return;
	}
	pattern_fill(buf, 0, end, 5);
	/* In two parts: XFS sees the second as the first of many. */
	STATUS(file_write(f, 0, buf, (uint32_t)end - 4096), NFS4_OK);
	STATUS(file_write(f, end - 4096, buf + end - 4096, 4096), NFS4_OK);
	struct layout *l = layout_need(f, LAYOUTIOMODE4_RW, end, more);
	EXPECT_TRUE(local_is("f", 0, end, 5));	/* opens and closes it */
	lun_write(l, end, more, 7);
	STATUS(layout_commit(f, end, more), NFS4_OK);
	STATUS(layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL), NFS4_OK);
	size_is(f, end + more);
	file_close(f);
	EXPECT_TRUE(local_is("f", 0, end, 5));
	EXPECT_TRUE(local_is("f", end, more, 7));
}

const struct wire_test tests_commit[] = {
	{ "A1", "a commit of the middle leaves the size, in either order", size_never_shrinks },
	{ "A2", "a commit without a new offset leaves the size; change moves with an empty body", no_new_offset },
	{ "A23", "MDS reads see what the LUN got, MDS writes do not destroy it", mds_is_coherent },
	{ "A26", "commits of ranges never granted, unaligned, of READ layouts, malformed: refused", never_granted },
	{ "A27", "commit after return: size and data are right", after_return },
	{ "A29", "10,000 ranges in one commit, and in three", many_ranges },
	{ "A30", "a time of modification in the past does not set it back; change moves", time_only_forward },
	{ "A40", "blocks that XFS had ready behind the end stay those that were given", behind_the_end },
	{ NULL, NULL, NULL },
};
