/* Maps of provider plain, without a lease: what becomes of data and pages that are here already. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "include/iomap.h"
#include "server/export/plain.h"
#include "tests/unit/server/fs/fs_fixture.h"

#define BLOCK 4096u
#define BLOCKS 256u

static bool lose_data;

/* Instead of libc's: like the kernel, it tells of lost data once. */
int
fdatasync(int fd)
{
	if (!lose_data)
		return (int)syscall(SYS_fdatasync, fd);
	lose_data = false;
	errno = EIO;
	return -1;
}

static struct inode *
file_of_zeros(struct fs_env *env, const char *name, struct plain_lease *pl)
{
	struct inode *inode = env_create(env, name, 0644);
	char *data = calloc(BLOCKS, BLOCK);
	ck_assert_ptr_nonnull(data);
	ck_assert_int_eq(fs_write(inode, data, (size_t)BLOCKS * BLOCK, 0, false, false), BLOCKS * BLOCK);
	free(data);
	env->export->block_size = BLOCK;
	*pl = (struct plain_lease){ .lease = { .inode = inode, .ops = &export_plain }, .fd = inode_data_fd(inode) };
	return inode;
}

static int
map_all(struct plain_lease *pl, bool write)
{
	struct iomap map[64];
	enum reason why;
	return plain_map_blocks(&pl->lease, 0, (uint64_t)BLOCKS * BLOCK, write, map, 64, &why);
}

/* PITFALLS E11: data that a client wrote unstably; its COMMIT finds nothing left to fail. */
START_TEST(lost_data_is_told)
{
	struct fs_env env;
	struct plain_lease pl;
	env_open(&env);
	for (int write = 0; write < 2; write++) {
		struct inode *inode = file_of_zeros(&env, write ? "lost-rw" : "lost-r", &pl);
		uint64_t before = fs_write_errors(env.fs);
		lose_data = true;
		ck_assert_int_eq(map_all(&pl, write), -EIO);
		ck_assert_uint_gt(fs_write_errors(env.fs), before);
		ck_assert_int_gt(map_all(&pl, write), 0);
		inode_put(inode);
	}
	env_close(&env);
}
END_TEST

/* PITFALLS A23: also those that were read while the lease was kept but nobody had a layout. */
START_TEST(each_grant_drops_pages)
{
	struct fs_env env;
	struct plain_lease pl;
	char buf[16];
	env_open(&env);
	struct inode *inode = file_of_zeros(&env, "pages", &pl);
	for (unsigned turn = 0; turn < 3; turn++) {
		ck_assert_int_gt(map_all(&pl, true), 0);
		ck_assert_int_eq(fs_read(inode, buf, sizeof buf, 0, true, false), -EAGAIN);
		ck_assert_int_eq(fs_read(inode, buf, sizeof buf, 0, false, false), sizeof buf);
		ck_assert_int_eq(fs_read(inode, buf, sizeof buf, 0, true, false), sizeof buf);
		usleep(60000);		/* where ctime goes by ticks only now is the file known to be clean */
	}
	inode_put(inode);
	env_close(&env);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("plain_map");
	TCase *tc = tcase_create("plain_map");
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, lost_data_is_told);
	tcase_add_test(tc, each_grant_drops_pages);
	return fs_fixture_main(suite);
}
