/* Bytes, and what stays of them when a client writes the device behind our back. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/unit/server/fs/fs_fixture.h"

#define BLOCK 4096u

static bool lose_data;

/* Instead of libc's: pages that cannot be written back. */
int
sync_file_range(int fd, off_t offset, off_t len, unsigned flags)
{
	if (!lose_data)
		return (int)syscall(SYS_sync_file_range, fd, offset, len, flags);
	errno = EIO;
	return -1;
}

/* A client with a layout: O_DIRECT on the loop device, where FIEMAP says the file's block is. */
struct client {
	int fd;
	uint64_t addr;
	char *block;
};

static void
client_open(struct client *c, struct inode *inode, unsigned blocks)
{
	union { struct fiemap map; char room[sizeof(struct fiemap) + sizeof(struct fiemap_extent)]; } f = { .map = {
		.fm_length = FIEMAP_MAX_OFFSET, .fm_flags = FIEMAP_FLAG_SYNC, .fm_extent_count = 1 } };
	ck_assert_int_eq(ioctl(inode_data_fd(inode), FS_IOC_FIEMAP, &f), 0);
	ck_assert_uint_eq(f.map.fm_mapped_extents, 1);
	struct fiemap_extent extent;
	memcpy(&extent, f.room + sizeof f.map, sizeof extent);
	c->addr = extent.fe_physical;
	ck_assert_uint_ge(extent.fe_length, blocks * BLOCK);
	c->fd = open(xfs.loop, O_RDWR | O_DIRECT | O_CLOEXEC);
	ck_assert_int_ge(c->fd, 0);
	ck_assert_int_eq(posix_memalign((void **)&c->block, BLOCK, BLOCK), 0);
}

static void
client_write(struct client *c, unsigned block, char fill)
{
	memset(c->block, fill, BLOCK);
	ck_assert_int_eq(pwrite(c->fd, c->block, BLOCK, (off_t)(c->addr + block * BLOCK)), BLOCK);
}

static void
client_read(struct client *c, unsigned block)
{
	ck_assert_int_eq(pread(c->fd, c->block, BLOCK, (off_t)(c->addr + block * BLOCK)), BLOCK);
}

static void
client_close(struct client *c)
{
	free(c->block);
	close(c->fd);
}

static struct inode *
file_of_blocks(struct fs_env *env, const char *name, unsigned blocks)
{
	struct inode *inode = env_create(env, name, 0600);
	char buf[BLOCK];
	memset(buf, '0', sizeof buf);
	for (unsigned i = 0; i < blocks; i++)
		ck_assert_int_eq(fs_write(inode, buf, BLOCK, i * BLOCK, false, false), BLOCK);
	ck_assert_ok(fs_commit(inode, true));
	return inode;
}

static void
assert_all(const char *buf, size_t len, char c)
{
	for (size_t i = 0; i < len; i++)
		ck_assert_msg(buf[i] == c, "byte %zu is %d, not %d", i, buf[i], c);
}

START_TEST(bytes_come_back)
{
	struct fs_env env;
	char buf[16];
	env_open(&env);
	struct inode *inode = env_create(&env, "bytes", 0600);
	ck_assert_int_eq(fs_read(inode, buf, sizeof buf, 0, false, false), 0);
	ck_assert_int_eq(fs_write(inode, "hello", 5, 3, true, false), 5);
	ck_assert_int_eq(fs_read(inode, buf, sizeof buf, 0, false, false), 8);
	ck_assert_mem_eq(buf, "\0\0\0hello", 8);
	ck_assert_int_eq(fs_read(inode, buf, 2, 4, true, false), 2);
	ck_assert_int_eq(fs_read(inode, buf, sizeof buf, 4, true, false), 4);	/* short only at the end */
	ck_assert_int_eq(fs_read(inode, buf, sizeof buf, 100, false, false), 0);
	ck_assert_int_eq(fs_read(inode, buf, sizeof buf, UINT64_MAX - 3, false, false), 0);
	ck_assert_int_eq(fs_write(inode, "x", 1, UINT64_MAX - 3, false, false), -EFBIG);
	ck_assert_int_eq(fs_write(inode, "x", 1, INT64_MAX, false, false), -EFBIG);
	ck_assert_int_eq(fs_write(inode, "", 0, 0, false, false), 0);
	ck_assert_int_eq(fs_read(env.root, buf, 1, 0, false, false), -EISDIR);
	inode_put(inode);
	env_close(&env);
}
END_TEST

START_TEST(nowait_asks_to_be_called_again)
{
	struct fs_env env;
	char buf[16];
	env_open(&env);
	struct inode *inode = file_of_blocks(&env, "nowait", 4);
	ck_assert_int_eq(fs_read(inode, buf, sizeof buf, 0, true, false), -EAGAIN);	/* dropped by the commit */
	ck_assert_int_eq(fs_read(inode, buf, sizeof buf, 0, false, false), sizeof buf);
	ck_assert_int_eq(fs_read(inode, buf, sizeof buf, 0, true, false), sizeof buf);
	ck_assert_int_eq(fs_read(inode, buf, sizeof buf, 0, true, true), -EAGAIN);
	inode_put(inode);
	/* Nothing is opened without waiting. */
	inode = env_lookup(env.root, "nowait");
	inode_put(inode);
	env_close(&env);
}
END_TEST

/* PITFALLS A23 */
START_TEST(coherent_read_sees_what_the_client_wrote)
{
	struct fs_env env;
	struct client c;
	char buf[BLOCK];
	enum { BLOCKS = 128 };
	env_open(&env);
	struct inode *inode = file_of_blocks(&env, "cread", BLOCKS);
	client_open(&c, inode, BLOCKS);
	for (char fill = 'a'; fill < 'd'; fill++) {
		for (unsigned b = 0; b < BLOCKS; b++)
			client_write(&c, b, fill);
		for (unsigned b = 0; b < BLOCKS; b++) {
			ck_assert_int_eq(fs_read(inode, buf, BLOCK, b * BLOCK, false, true), BLOCK);
			assert_all(buf, BLOCK, fill);
		}
	}
	/* The layouts are back: what coherent reads left behind, read-ahead too, must not be believed now. */
	for (unsigned b = 0; b < 8; b++)
		ck_assert_int_eq(fs_read(inode, buf, BLOCK, b * BLOCK, false, true), BLOCK);
	for (unsigned b = 0; b < BLOCKS; b++)
		client_write(&c, b, 'z');
	for (unsigned b = 0; b < BLOCKS; b++) {
		ck_assert_int_eq(fs_read(inode, buf, BLOCK, b * BLOCK, false, false), BLOCK);
		assert_all(buf, BLOCK, 'z');
	}
	client_close(&c);
	inode_put(inode);
	env_close(&env);
}
END_TEST

/* Part of a block through us, the rest just written by the client. */
START_TEST(coherent_write_keeps_the_clients_bytes)
{
	static const struct { unsigned offset, len; } rows[] = {
		{ 0, 1 }, { 1, 510 }, { 511, 2 }, { 512, 512 }, { 4095, 2 }, { 5000, 3000 }, { 4096, 4096 }, { 100, 12000 },
	};
	struct fs_env env;
	struct client c;
	char data[4 * BLOCK];
	env_open(&env);
	struct inode *inode = file_of_blocks(&env, "cwrite", 4);
	client_open(&c, inode, 4);
	memset(data, 'S', sizeof data);
	for (unsigned r = 0; r < sizeof rows / sizeof *rows; r++)
		for (unsigned sync = 0; sync < 2; sync++) {
			char fill = (char)('a' + 2 * r + sync);
			for (unsigned b = 0; b < 4; b++)
				client_write(&c, b, fill);
			ck_assert_int_eq(fs_write(inode, data, rows[r].len, rows[r].offset, sync, true), rows[r].len);
			/* On the device at once, and nothing else changed there. */
			for (unsigned b = 0; b < 4; b++) {
				client_read(&c, b);
				for (unsigned i = 0; i < BLOCK; i++) {
					unsigned at = b * BLOCK + i;
					bool ours = at >= rows[r].offset && at < rows[r].offset + rows[r].len;
					ck_assert_msg(c.block[i] == (ours ? 'S' : fill), "row %u, byte %u: '%c'", r, at, c.block[i]);
				}
			}
			/* And nothing is left to be written back later. */
			for (unsigned b = 0; b < 4; b++)
				client_write(&c, b, 'Z');
			ck_assert_ok(fs_commit(inode, true));
			for (unsigned b = 0; b < 4; b++) {
				client_read(&c, b);
				assert_all(c.block, BLOCK, 'Z');
			}
		}
	client_close(&c);
	inode_put(inode);
	env_close(&env);
}
END_TEST

/* XFS.md: ftruncate zeroes the rest of the last block through a cached page. */
/* PITFALLS E11: the kernel tells once, and COMMIT comes too late. */
START_TEST(coherent_write_tells_of_lost_data)
{
	struct fs_env env;
	env_open(&env);
	struct inode *inode = file_of_blocks(&env, "lost", 4);
	uint64_t before = fs_write_errors(env.fs);
	ck_assert_int_eq(fs_write(inode, "x", 1, 0, false, false), 1);
	lose_data = true;
	ck_assert_int_eq(fs_write(inode, "y", 1, 1, false, true), -EIO);
	lose_data = false;
	ck_assert_uint_gt(fs_write_errors(env.fs), before);
	inode_put(inode);
	env_close(&env);
}
END_TEST

START_TEST(truncate_takes_no_stale_page)
{
	struct fs_env env;
	struct client c;
	char buf[BLOCK];
	env_open(&env);
	struct inode *inode = file_of_blocks(&env, "ctrunc", 2);
	client_open(&c, inode, 2);
	ck_assert_int_eq(fs_read(inode, buf, BLOCK, BLOCK, false, false), BLOCK);	/* cached: '0' */
	client_write(&c, 1, 'c');
	struct fs_setattr set = { .what = FS_SET_SIZE, .size = BLOCK + 1000 };
	ck_assert_ok(fs_setattr(inode, &alice, &set, false));
	ck_assert_ok(fs_commit(inode, true));
	client_read(&c, 1);
	assert_all(c.block, 1000, 'c');
	assert_all(c.block + 1000, BLOCK - 1000, 0);
	client_close(&c);
	inode_put(inode);
	env_close(&env);
}
END_TEST

/* A running program, an immutable file: readable though the shared descriptor cannot be had. */
START_TEST(unwritable_files_are_read)
{
	struct fs_env env;
	char buf[4];
	env_open(&env);
	struct inode *inode = env_create(&env, "immutable", 0644);
	ck_assert_int_eq(fs_write(inode, "data", 4, 0, true, false), 4);
	int fd = inode_data_fd(inode), flags = FS_IMMUTABLE_FL;
	ck_assert_int_eq(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
	inode_put(inode);
	env_close(&env);
	env_open(&env);
	inode = env_lookup(env.root, "immutable");
	ck_assert_int_eq(fs_read(inode, buf, 4, 0, false, false), 4);
	ck_assert_mem_eq(buf, "data", 4);
	ck_assert_int_eq(fs_write(inode, "x", 1, 0, false, false), -EPERM);
	ck_assert_ok(fs_commit(inode, false));
	char path[128];
	snprintf(path, sizeof path, "%s/immutable", xfs.mnt);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	flags = 0;
	ck_assert_int_eq(ioctl(fd, FS_IOC_SETFLAGS, &flags), 0);
	close(fd);
	inode_put(inode);
	env_close(&env);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("posix_data");
	TCase *tc = tcase_create("posix_data");
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, bytes_come_back);
	tcase_add_test(tc, nowait_asks_to_be_called_again);
	tcase_add_test(tc, coherent_read_sees_what_the_client_wrote);
	tcase_add_test(tc, coherent_write_keeps_the_clients_bytes);
	tcase_add_test(tc, coherent_write_tells_of_lost_data);
	tcase_add_test(tc, truncate_takes_no_stale_page);
	tcase_add_test(tc, unwritable_files_are_read);
	return fs_fixture_main(suite);
}
