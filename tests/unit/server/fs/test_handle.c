/* Handles: forging, the key, survival of remounts and restarts. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/fs/handle.h"
#include "tests/unit/server/fs/fs_fixture.h"

/* PITFALLS E9: whatever byte is changed, cached or not, nothing is reached. */
START_TEST(every_flipped_byte_is_refused)
{
	struct fs_env env;
	env_open(&env);
	struct inode *inode = env_create(&env, "forge", 0600), *got;
	uint8_t h[FS_HANDLE_MAX];
	unsigned len = inode->handle_len;
	memcpy(h, inode->handle, len);
	for (int cached = 1; cached >= 0; cached--) {
		for (unsigned i = 0; i < len; i++)
			for (unsigned bit = 0; bit < 8; bit++) {
				h[i] ^= 1u << bit;
				ck_assert_err(fs_inode(env.fs, h, len, &got), EBADMSG);
				h[i] ^= 1u << bit;
			}
		for (unsigned n = 0; n < len; n++)
			ck_assert_err(fs_inode(env.fs, h, n, &got), EBADMSG);
		if (cached) {
			inode_put(inode);
			inode_put(env.root);
			env.root = NULL;
			env_close(&env);
			env_open(&env);
		}
	}
	ck_assert_ok(fs_inode(env.fs, h, len, &got));
	inode_put(got);
	env_close(&env);
}
END_TEST

/* The parent's inode number under a handle of ours: the MAC does not fit. */
START_TEST(handle_of_another_file_under_our_mac_is_refused)
{
	struct fs_env env;
	env_open(&env);
	struct inode *a = env_create(&env, "mac_a", 0600), *b = env_create(&env, "mac_b", 0600), *got;
	uint8_t h[FS_HANDLE_MAX];
	ck_assert_uint_eq(a->handle_len, b->handle_len);
	memcpy(h, a->handle, a->handle_len);
	memcpy(h + HANDLE_HEADER, b->handle + HANDLE_HEADER, a->handle_len - HANDLE_HEADER - HANDLE_MAC);
	ck_assert_err(fs_inode(env.fs, h, a->handle_len, &got), EBADMSG);
	inode_put(a);
	inode_put(b);
	env_close(&env);
}
END_TEST

static unsigned
read_handle(const char *path, uint8_t *h)
{
	FILE *f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	size_t n = fread(h, 1, FS_HANDLE_MAX, f);
	fclose(f);
	return (unsigned)n;
}

/* First a process of its own makes the handle, then the file system is mounted anew. */
START_TEST(handles_survive_remount_and_restart)
{
	char path[128];
	uint8_t h[FS_HANDLE_MAX];
	snprintf(path, sizeof path, "%s/handle", xfs.dir);
	pid_t pid = fork();
	if (pid == 0) {
		struct fs_env env;
		env_open(&env);
		struct inode *inode = env_create(&env, "survivor", 0600);
		FILE *f = fopen(path, "w");
		fwrite(inode->handle, 1, inode->handle_len, f);
		fclose(f);
		inode_put(inode);
		env_close(&env);
		_exit(0);
	}
	int status;
	waitpid(pid, &status, 0);
	ck_assert_int_eq(status, 0);
	xfs_fixture_remount(&xfs);
	unsigned len = read_handle(path, h);
	struct fs_env env;
	struct inode *inode, *again;
	env_open(&env);
	ck_assert_ok(fs_inode(env.fs, h, len, &inode));
	again = env_lookup(env.root, "survivor");
	ck_assert_ptr_eq(inode, again);
	ck_assert_uint_eq(again->handle_len, len);
	ck_assert_mem_eq(again->handle, h, len);
	inode_put(again);
	inode_put(inode);
	env_close(&env);
}
END_TEST

START_TEST(removed_file_is_stale)
{
	struct fs_env env;
	env_open(&env);
	struct inode *inode = env_create(&env, "gone", 0600), *got;
	uint8_t h[FS_HANDLE_MAX];
	unsigned len = inode->handle_len;
	memcpy(h, inode->handle, len);
	inode_put(inode);
	int fd = openat(env.root->fd, "gone", O_RDONLY);
	ck_assert_int_ge(fd, 0);
	ck_assert_ok(fs_remove(env.root, "gone", 4, &alice, NULL));
	/* At once, though a descriptor keeps the file until the sweeper has closed its own. */
	ck_assert_err(fs_inode(env.fs, h, len, &got), ESTALE);
	ck_assert_int_eq(close(fd), 0);
	env_close(&env);
}
END_TEST

START_TEST(other_key_refuses_all)
{
	char key[128], moved[128];
	struct fs_env env;
	env_open(&env);
	struct inode *inode = env_create(&env, "keyed", 0600), *got;
	uint8_t h[FS_HANDLE_MAX];
	unsigned len = inode->handle_len;
	memcpy(h, inode->handle, len);
	inode_put(inode);
	env_close(&env);
	snprintf(key, sizeof key, "%s/handle.key", xfs.dir);
	snprintf(moved, sizeof moved, "%s/handle.key.old", xfs.dir);
	ck_assert_int_eq(rename(key, moved), 0);
	env_open(&env);
	ck_assert_err(fs_inode(env.fs, h, len, &got), EBADMSG);
	env_close(&env);
	ck_assert_int_eq(rename(moved, key), 0);
}
END_TEST

START_TEST(key_is_private_and_of_its_size)
{
	char dir[96], path[128];
	struct stat st;
	struct handle_key *key;
	snprintf(dir, sizeof dir, "%s/key", xfs.dir);
	snprintf(path, sizeof path, "%s/handle.key", dir);
	ck_assert_err(handle_key_load(dir, &key), ENOENT);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	ck_assert_ok(handle_key_load(dir, &key));
	handle_key_free(key);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, HANDLE_KEY);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_ok(handle_key_load(dir, &key));
	handle_key_free(key);
	ck_assert_int_eq(truncate(path, HANDLE_KEY + 1), 0);
	ck_assert_err(handle_key_load(dir, &key), EINVAL);
	ck_assert_int_eq(truncate(path, HANDLE_KEY - 1), 0);
	ck_assert_err(handle_key_load(dir, &key), EINVAL);
	ck_assert_int_eq(truncate(path, 0), 0);
	ck_assert_err(handle_key_load(dir, &key), EINVAL);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("handle");
	TCase *tc = tcase_create("handle");
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, every_flipped_byte_is_refused);
	tcase_add_test(tc, handle_of_another_file_under_our_mac_is_refused);
	tcase_add_test(tc, handles_survive_remount_and_restart);
	tcase_add_test(tc, removed_file_is_stale);
	tcase_add_test(tc, other_key_refuses_all);
	tcase_add_test(tc, key_is_private_and_of_its_size);
	return fs_fixture_main(suite);
}
