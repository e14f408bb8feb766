/* Blocks: given, taken, shared, found, copied (server/fs/posix_space.c, posix_copy.c), on an XFS that can share them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/unit/server/fs/fs_fixture.h"

#define BLOCK 4096u
#define MiB (1u << 20)

static struct fs_env env;

static void
setup(void)
{
	env_open(&env);
}

static void
teardown(void)
{
	env_close(&env);
}

/* COUNT blocks of letters that tell them apart. */
static struct inode *
make(const char *name, unsigned count)
{
	struct inode *inode = env_create(&env, name, 0600);
	char buf[BLOCK];
	for (unsigned i = 0; i < count; i++) {
		memset(buf, 'A' + (int)(i % 26), sizeof buf);
		ck_assert_int_eq(fs_write(inode, buf, BLOCK, (uint64_t)i * BLOCK, false, false), BLOCK);
	}
	ck_assert_ok(fs_commit(inode, false));
	return inode;
}

static uint64_t
size_of(struct inode *inode)
{
	struct fs_stat st;
	ck_assert_ok(fs_getattr(inode, &st));
	return st.stx.stx_size;
}

static uint64_t
used(struct inode *inode)
{
	struct fs_stat st;
	ck_assert_ok(fs_getattr(inode, &st));
	return st.stx.stx_blocks * 512;
}

static char
byte_at(struct inode *inode, uint64_t offset)
{
	char c;
	ck_assert_int_eq(fs_read(inode, &c, 1, offset, false, false), 1);
	return c;
}

static bool
shares(struct inode *inode)
{
	union { struct fiemap map; char room[sizeof(struct fiemap) + 64 * sizeof(struct fiemap_extent)]; } f = { .map = {
		.fm_length = FIEMAP_MAX_OFFSET, .fm_flags = FIEMAP_FLAG_SYNC, .fm_extent_count = 64 } };
	ck_assert_int_eq(ioctl(inode_data_fd(inode), FS_IOC_FIEMAP, &f), 0);
	for (unsigned i = 0; i < f.map.fm_mapped_extents; i++) {
		struct fiemap_extent e;
		memcpy(&e, f.room + sizeof f.map + i * sizeof e, sizeof e);
		if (e.fe_flags & FIEMAP_EXTENT_SHARED)
			return true;
	}
	return false;
}

START_TEST(allocates)
{
	struct inode *inode = make("alloc", 2);
	uint64_t change = env_change(inode), before = used(inode);
	ck_assert_ok(fs_allocate(inode, 100 * BLOCK, 64 * BLOCK, false));
	ck_assert_uint_eq(size_of(inode), 164 * BLOCK);
	ck_assert_uint_ge(used(inode), before + 64 * BLOCK);
	ck_assert_uint_gt(env_change(inode), change);
	ck_assert(byte_at(inode, 0) == 'A' && byte_at(inode, 2 * BLOCK) == 0 && byte_at(inode, 163 * BLOCK) == 0);
	/* what is there stays */
	ck_assert_ok(fs_allocate(inode, 0, BLOCK + 1, true));
	ck_assert(byte_at(inode, 0) == 'A' && byte_at(inode, BLOCK) == 'B' && size_of(inode) == 164 * BLOCK);
	ck_assert_err(fs_allocate(inode, 0, 1ull << 50, false), ENOSPC);
	inode_put(inode);
}
END_TEST

START_TEST(strips_set_id)
{
	struct inode *inode = make("sid", 4), *other = make("sid2", 4);
	struct fs_setattr set = { .what = FS_SET_MODE, .mode = 06755 };
	struct fs_copy copy = { .src = other, .dst = inode, .len = BLOCK };
	for (unsigned i = 0; i < 4; i++) {
		ck_assert_ok(fs_setattr(inode, &root_cred, &set, true));
		ck_assert_int_eq(env_mode(inode), 06755);
		switch (i) {
		case 0:
			ck_assert_ok(fs_allocate(inode, 0, BLOCK, false));
			break;
		case 1:
			ck_assert_ok(fs_deallocate(inode, 0, 1, false));
			break;
		case 2:
			ck_assert_ok(fs_clone(other, 0, inode, 0, BLOCK, false));
			break;
		default:
			ck_assert_int_eq(fs_copy(&copy), BLOCK);
		}
		ck_assert_msg(env_mode(inode) == 0755, "%u", i);
	}
	inode_put(inode);
	inode_put(other);
}
END_TEST

START_TEST(deallocates)
{
	struct inode *inode = make("punch", 64);
	uint64_t change = env_change(inode), before = used(inode);
	ck_assert_ok(fs_deallocate(inode, 10 * BLOCK - 1, 20 * BLOCK + 2, true));
	ck_assert_uint_eq(size_of(inode), 64 * BLOCK);
	ck_assert_uint_le(used(inode), before - 20 * BLOCK);
	ck_assert_uint_gt(env_change(inode), change);
	ck_assert(byte_at(inode, 10 * BLOCK - 2) == 'A' + 9 && byte_at(inode, 10 * BLOCK - 1) == 0);
	ck_assert(byte_at(inode, 30 * BLOCK) == 0 && byte_at(inode, 30 * BLOCK + 1) == 'A' + 30 - 26);
	/* across the end: the size stays */
	ck_assert_ok(fs_deallocate(inode, 63 * BLOCK + 7, 100 * BLOCK, false));
	ck_assert_uint_eq(size_of(inode), 64 * BLOCK);
	ck_assert(byte_at(inode, 63 * BLOCK + 6) == 'A' + 63 - 52 && byte_at(inode, 63 * BLOCK + 7) == 0);
	inode_put(inode);
}
END_TEST

START_TEST(seeks)
{
	struct inode *inode = make("seek", 64);
	uint64_t at;
	ck_assert_ok(fs_deallocate(inode, 10 * BLOCK, 20 * BLOCK, false));
	ck_assert_ok(fs_seek(inode, 0, false, &at));
	ck_assert_uint_eq(at, 10 * BLOCK);
	ck_assert_ok(fs_seek(inode, 10 * BLOCK, true, &at));
	ck_assert_uint_eq(at, 30 * BLOCK);
	ck_assert_ok(fs_seek(inode, 31 * BLOCK, false, &at));
	ck_assert_uint_eq(at, 64 * BLOCK);
	ck_assert_err(fs_seek(inode, 64 * BLOCK, true, &at), ENXIO);
	ck_assert_err(fs_seek(inode, UINT64_MAX, true, &at), ENXIO);
	/* allocated, not written: no data */
	ck_assert_ok(fs_allocate(inode, 10 * BLOCK, 20 * BLOCK, false));
	ck_assert_ok(fs_seek(inode, 10 * BLOCK, true, &at));
	ck_assert_uint_eq(at, 30 * BLOCK);
	inode_put(inode);
}
END_TEST

START_TEST(clones)
{
	struct inode *src = make("from", 16), *dst = make("to", 4);
	uint64_t change = env_change(dst);
	ck_assert_ok(fs_clone(src, 0, dst, 0, 0, false));
	ck_assert(size_of(dst) == 16 * BLOCK && byte_at(dst, 15 * BLOCK) == 'P' && shares(src) && shares(dst));
	ck_assert_uint_gt(env_change(dst), change);
	/* each its own from the first write on */
	ck_assert_int_eq(fs_write(dst, "x", 1, 0, true, false), 1);
	ck_assert(byte_at(dst, 0) == 'x' && byte_at(src, 0) == 'A');
	/* a hole over data */
	ck_assert_ok(fs_deallocate(src, 0, 2 * BLOCK, false));
	ck_assert_ok(fs_clone(src, 0, dst, 8 * BLOCK, 2 * BLOCK, true));
	ck_assert(byte_at(dst, 8 * BLOCK) == 0 && byte_at(dst, 10 * BLOCK - 1) == 0 && byte_at(dst, 10 * BLOCK) == 'K');
	ck_assert_err(fs_clone(src, 1, dst, 0, BLOCK, false), EINVAL);
	ck_assert_err(fs_clone(src, 0, dst, 0, 17 * BLOCK, false), EINVAL);
	ck_assert_err(fs_clone(src, 0, src, BLOCK, 2 * BLOCK, false), EINVAL);
	ck_assert_ok(fs_clone(src, 4 * BLOCK, src, 0, BLOCK, false));
	ck_assert_int_eq(byte_at(src, 0), 'E');
	/* RFC 7862 15.1.3: what is allocated is nobody else's */
	ck_assert_ok(fs_allocate(dst, 0, 16 * BLOCK, false));
	ck_assert(!shares(dst));
	ck_assert(byte_at(dst, 0) == 'x' && byte_at(dst, 3 * BLOCK) == 'D' && byte_at(dst, 15 * BLOCK) == 'P');
	inode_put(src);
	inode_put(dst);
}
END_TEST

static void
same(struct inode *a, uint64_t from_a, struct inode *b, uint64_t from_b, uint64_t len)
{
	static char x[MiB], y[MiB];
	while (len) {
		size_t n = len < MiB ? len : MiB;
		ck_assert_int_eq(fs_read(a, x, n, from_a, false, false), n);
		ck_assert_int_eq(fs_read(b, y, n, from_b, false, false), n);
		ck_assert_mem_eq(x, y, n);
		from_a += n, from_b += n, len -= n;
	}
}

START_TEST(copies)
{
	struct inode *src = make("copy", 1000), *dst = make("copied", 700);
	struct fs_copy c = { src, dst, 100, 5000, 1000 * BLOCK - 100, false, false };
	uint64_t change = env_change(dst);
	ck_assert_int_eq(fs_copy(&c), 1000 * BLOCK - 100);
	ck_assert(size_of(dst) == 5000 + 1000 * BLOCK - 100 && byte_at(dst, 4096) == 'B' && !shares(src) && !shares(dst));
	ck_assert_uint_gt(env_change(dst), change);
	same(src, 100, dst, 5000, 1000 * BLOCK - 100);
	/* as much as there is */
	c.src_offset = 999 * BLOCK + 5;
	c.dst_offset = 0;
	c.len = BLOCK - 5;
	ck_assert_int_eq(fs_copy(&c), BLOCK - 5);
	inode_put(src);
	inode_put(dst);
}
END_TEST

START_TEST(copies_holes)
{
	struct inode *src = make("holes", 64), *dst = make("filled", 48), *new = make("new", 0);
	for (unsigned i = 0; i < 4; i++)
		ck_assert_ok(fs_deallocate(src, (16 * i + 4) * BLOCK, 12 * BLOCK, false));
	struct fs_copy c = { src, dst, 0, 0, 64 * BLOCK, true, true };
	ck_assert_int_eq(fs_copy(&c), 64 * BLOCK);
	ck_assert_uint_eq(size_of(dst), 64 * BLOCK);	/* though it ends with a hole */
	same(src, 0, dst, 0, 64 * BLOCK);
	ck_assert_uint_le(used(dst), 32 * BLOCK);
	c.dst = new;
	ck_assert_int_eq(fs_copy(&c), 64 * BLOCK);
	same(src, 0, new, 0, 64 * BLOCK);
	/* not aligned to blocks */
	c = (struct fs_copy){ src, dst, 3 * BLOCK + 7, 20 * BLOCK + 1, 30 * BLOCK + 11, false, false };
	ck_assert_int_eq(fs_copy(&c), 30 * BLOCK + 11);
	same(src, c.src_offset, dst, c.dst_offset, c.len);
	ck_assert_int_eq(byte_at(dst, 20 * BLOCK), 0);
	ck_assert_int_eq(byte_at(dst, 51 * BLOCK + 12), byte_at(src, 51 * BLOCK + 12));
	/* what was reserved is still */
	struct inode *reserved = make("reserved", 0);
	ck_assert_ok(fs_allocate(reserved, 0, 64 * BLOCK, false));
	c = (struct fs_copy){ src, reserved, 0, 0, 64 * BLOCK, false, false };
	ck_assert_int_eq(fs_copy(&c), 64 * BLOCK);
	ck_assert_ok(fs_commit(reserved, false));
	ck_assert_uint_ge(used(reserved), 64 * BLOCK);
	same(src, 0, reserved, 0, 64 * BLOCK);
	inode_put(reserved);
	inode_put(src);
	inode_put(dst);
	inode_put(new);
}
END_TEST

/* No call takes long: the rest is asked for. */
START_TEST(copies_a_moments_worth)
{
	static char buf[MiB];
	struct inode *src = env_create(&env, "large", 0600), *dst = env_create(&env, "larger", 0600);
	memset(buf, 'L', sizeof buf);
	for (unsigned i = 0; i < 20; i++)
		ck_assert_int_eq(fs_write(src, buf, MiB, (uint64_t)i * MiB, false, false), MiB);
	struct fs_copy c = { src, dst, 0, 0, 20 * MiB, false, false };
	ck_assert_int_eq(fs_copy(&c), FS_COPY_MOST);
	ck_assert_uint_eq(size_of(dst), FS_COPY_MOST);
	inode_put(src);
	inode_put(dst);
}
END_TEST

/* PITFALLS A22, A23: blocks that a client wrote behind our back beside the ends of what goes. */
START_TEST(stale_pages)
{
	struct inode *inode = make("stale", 8);
	union { struct fiemap map; char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)]; } f = { .map = {
		.fm_length = FIEMAP_MAX_OFFSET, .fm_flags = FIEMAP_FLAG_SYNC, .fm_extent_count = 1 } };
	struct fiemap_extent e;
	char *block;
	byte_at(inode, 2 * BLOCK);	/* cached */
	byte_at(inode, 4 * BLOCK);
	ck_assert_int_eq(ioctl(inode_data_fd(inode), FS_IOC_FIEMAP, &f), 0);
	memcpy(&e, f.room + sizeof f.map, sizeof e);
	ck_assert_uint_ge(e.fe_length, 8 * BLOCK);
	int fd = open(xfs.loop, O_RDWR | O_DIRECT | O_CLOEXEC);
	ck_assert(fd >= 0 && !posix_memalign((void **)&block, BLOCK, BLOCK));
	memset(block, 'c', BLOCK);
	ck_assert_int_eq(pwrite(fd, block, BLOCK, (off_t)e.fe_physical + 2 * BLOCK), BLOCK);
	ck_assert_int_eq(pwrite(fd, block, BLOCK, (off_t)e.fe_physical + 4 * BLOCK), BLOCK);
	ck_assert_ok(fs_deallocate(inode, 2 * BLOCK + 100, 2 * BLOCK, false));
	ck_assert(byte_at(inode, 2 * BLOCK + 99) == 'c' && byte_at(inode, 2 * BLOCK + 100) == 0);
	ck_assert(byte_at(inode, 4 * BLOCK + 99) == 0 && byte_at(inode, 4 * BLOCK + 100) == 'c');
	free(block);
	close(fd);
	inode_put(inode);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("posix_space");
	TCase *tc = tcase_create("posix_space");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, allocates);
	tcase_add_test(tc, strips_set_id);
	tcase_add_test(tc, deallocates);
	tcase_add_test(tc, seeks);
	tcase_add_test(tc, clones);
	tcase_add_test(tc, copies);
	tcase_add_test(tc, copies_holes);
	tcase_add_test(tc, copies_a_moments_worth);
	tcase_add_test(tc, stale_pages);
	return fs_fixture_main(suite);
}
