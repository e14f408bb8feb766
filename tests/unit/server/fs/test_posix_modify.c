/* Creation as the user, removal, renaming, links; sticky and sgid directories. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "tests/unit/server/fs/fs_fixture.h"

static void
own(struct inode *inode, uid_t uid, gid_t gid, mode_t mode)
{
	struct fs_setattr set = { .what = FS_SET_UID | FS_SET_GID, .uid = uid, .gid = gid };
	struct fs_setattr set2 = { .what = FS_SET_MODE, .mode = mode };
	ck_assert_ok(fs_setattr(inode, &root_cred, &set, false));
	ck_assert_ok(fs_setattr(inode, &root_cred, &set2, false));
}

START_TEST(created_as_the_user_and_back)
{
	struct fs_env env;
	struct fs_stat st;
	env_open(&env);
	struct inode *nodes[4];
	ck_assert_ok(fs_create(env.root, "u_file", 6, &alice, 0666, &nodes[0], NULL));
	ck_assert_ok(fs_mkdir(env.root, "u_dir", 5, &alice, 0777, &nodes[1], NULL));
	ck_assert_ok(fs_mknod(env.root, "u_fifo", 6, &alice, S_IFIFO | 0622, 0, &nodes[2], NULL));
	ck_assert_ok(fs_symlink(env.root, "u_ln", 4, &alice, "t", 1, &nodes[3], NULL));
	static const mode_t modes[] = { S_IFREG | 0666, S_IFDIR | 0777, S_IFIFO | 0622, S_IFLNK | 0777 };
	for (int i = 0; i < 4; i++) {
		ck_assert_ok(fs_getattr(nodes[i], &st));
		ck_assert_uint_eq(st.stx.stx_uid, 1001);
		ck_assert_uint_eq(st.stx.stx_gid, 1001);
		ck_assert_uint_eq(st.stx.stx_mode, modes[i]);	/* no umask */
		inode_put(nodes[i]);
	}
	/* This thread is root again, after errors too. */
	struct inode *inode;
	ck_assert_err(fs_create(env.root, "u_file", 6, &alice, 0666, &inode, NULL), EEXIST);
	ck_assert_int_eq(setfsuid((uid_t)-1), 0);
	ck_assert_int_eq(setfsgid((gid_t)-1), 0);
	/* An id that cannot be taken must not end in root's. */
	struct fs_cred none = { .uid = (uid_t)-1, .gid = 1 };
	ck_assert_err(fs_create(env.root, "u_none", 6, &none, 0666, &inode, NULL), EINVAL);
	ck_assert_err(fs_lookup(env.root, "u_none", 6, &inode), ENOENT);
	env_close(&env);
}
END_TEST

START_TEST(devices_are_roots)
{
	struct fs_env env;
	struct inode *inode;
	struct fs_stat st;
	env_open(&env);
	ck_assert_err(fs_mknod(env.root, "null", 4, &alice, S_IFCHR | 0666, makedev(1, 3), &inode, NULL), EPERM);
	ck_assert_err(fs_mknod(env.root, "reg", 3, &root_cred, S_IFREG | 0666, 0, &inode, NULL), EINVAL);
	ck_assert_ok(fs_mknod(env.root, "null", 4, &root_cred, S_IFCHR | 0666, makedev(1, 3), &inode, NULL));
	ck_assert_ok(fs_getattr(inode, &st));
	ck_assert_uint_eq(st.stx.stx_rdev_minor, 3);
	inode_put(inode);
	env_close(&env);
}
END_TEST

START_TEST(sgid_directory_hands_its_group_down)
{
	struct fs_env env;
	struct fs_stat st;
	struct inode *inode;
	env_open(&env);
	struct inode *dir = env_mkdir(env.root, "sgid", 0777);
	own(dir, 1001, 7777, 02777);
	ck_assert_ok(fs_create(dir, "f", 1, &bob, 02755, &inode, NULL));
	ck_assert_ok(fs_getattr(inode, &st));
	ck_assert_uint_eq(st.stx.stx_uid, 1002);
	ck_assert_uint_eq(st.stx.stx_gid, 7777);
	ck_assert_uint_eq(st.stx.stx_mode & 07777, 0755);	/* bob is not in 7777 */
	inode_put(inode);
	ck_assert_ok(fs_mkdir(dir, "d", 1, &bob, 0755, &inode, NULL));
	ck_assert_ok(fs_getattr(inode, &st));
	ck_assert_uint_eq(st.stx.stx_gid, 7777);
	ck_assert_uint_eq(st.stx.stx_mode & 07777, 02755);
	inode_put(inode);
	inode_put(dir);
	env_close(&env);
}
END_TEST

START_TEST(directory_needs_write_and_search)
{
	struct fs_env env;
	struct inode *inode;
	env_open(&env);
	struct inode *dir = env_mkdir(env.root, "perm", 0777);
	ck_assert_ok(fs_create(dir, "f", 1, &alice, 0600, &inode, NULL));
	static const mode_t modes[] = { 0775, 0770, 0776, 0773 };	/* others: r-x, none, rw-, -wx */
	static const int errs[] = { -EACCES, -EACCES, -EACCES, 0 };
	for (int i = 0; i < 4; i++) {
		struct inode *made;
		own(dir, 1001, 1001, modes[i]);
		int err = fs_mkdir(dir, "new", 3, &bob, 0700, &made, NULL);
		ck_assert_int_eq(err, errs[i]);
		if (!err)
			inode_put(made);
		ck_assert_int_eq(fs_link(inode, dir, "l", 1, &bob, NULL), errs[i]);
		ck_assert_int_eq(fs_rename(dir, "f", 1, dir, "g", 1, &bob, NULL, NULL), errs[i]);
		ck_assert_int_eq(fs_remove(dir, "g", 1, &bob, NULL), errs[i]);
	}
	inode_put(inode);
	inode_put(dir);
	env_close(&env);
}
END_TEST

START_TEST(sticky_directory_protects_names)
{
	struct fs_env env;
	struct inode *inode;
	static const struct fs_cred owner = { .uid = 4000, .gid = 4000 };
	env_open(&env);
	struct inode *dir = env_mkdir(env.root, "sticky", 0777);
	own(dir, 4000, 4000, 01777);
	for (const char *n = "abcd"; *n; n++) {
		ck_assert_ok(fs_create(dir, n, 1, &alice, 0666, &inode, NULL));
		inode_put(inode);
	}
	ck_assert_ok(fs_create(dir, "B", 1, &bob, 0666, &inode, NULL));
	inode_put(inode);
	ck_assert_err(fs_remove(dir, "a", 1, &bob, NULL), EPERM);
	ck_assert_err(fs_rename(dir, "a", 1, dir, "z", 1, &bob, NULL, NULL), EPERM);
	ck_assert_err(fs_rename(dir, "B", 1, dir, "a", 1, &bob, NULL, NULL), EPERM);	/* over alice's */
	ck_assert_ok(fs_remove(dir, "a", 1, &alice, NULL));
	ck_assert_ok(fs_remove(dir, "b", 1, &owner, NULL));
	ck_assert_ok(fs_remove(dir, "c", 1, &root_cred, NULL));
	inode_put(dir);
	env_close(&env);
}
END_TEST

START_TEST(remove_tells_what_is_wrong)
{
	struct fs_env env;
	env_open(&env);
	struct inode *dir = env_mkdir(env.root, "rm", 0777), *sub = env_mkdir(dir, "sub", 0777), *file;
	struct fs_change change;
	ck_assert_ok(fs_create(sub, "f", 1, &alice, 0600, &file, NULL));
	ck_assert_err(fs_remove(dir, "none", 4, &alice, NULL), ENOENT);
	ck_assert_err(fs_remove(dir, "sub", 3, &alice, &change), ENOTEMPTY);
	ck_assert_uint_eq(change.before, change.after);
	ck_assert_err(fs_remove(file, "x", 1, &alice, NULL), ENOTDIR);
	ck_assert_ok(fs_remove(sub, "f", 1, &alice, NULL));
	ck_assert_ok(fs_remove(dir, "sub", 3, &alice, &change));
	ck_assert_uint_gt(change.after, change.before);
	/* Gone, but held: nothing can be made in it. */
	struct inode *made;
	ck_assert_err(fs_create(sub, "x", 1, &alice, 0600, &made, NULL), ENOENT);
	inode_put(file);
	inode_put(sub);
	inode_put(dir);
	env_close(&env);
}
END_TEST

/* RFC 8881 18.26.3 */
START_TEST(rename_rules)
{
	struct fs_env env;
	env_open(&env);
	struct inode *a = env_mkdir(env.root, "ra", 0777), *b = env_mkdir(env.root, "rb", 0777), *i;
	struct fs_change ca, cb;
	inode_put(env_mkdir(a, "d", 0777));
	inode_put(env_mkdir(b, "empty", 0777));
	struct inode *full = env_mkdir(b, "full", 0777);
	inode_put(env_mkdir(full, "x", 0777));
	ck_assert_ok(fs_create(a, "f", 1, &alice, 0600, &i, NULL));
	inode_put(i);
	ck_assert_err(fs_rename(a, "none", 4, b, "n", 1, &alice, NULL, NULL), ENOENT);
	ck_assert_err(fs_rename(a, "f", 1, b, "empty", 5, &alice, NULL, NULL), EEXIST);
	ck_assert_err(fs_rename(b, "empty", 5, a, "f", 1, &alice, NULL, NULL), EEXIST);
	ck_assert_err(fs_rename(a, "d", 1, b, "full", 4, &alice, NULL, NULL), EEXIST);
	ck_assert_err(fs_rename(env.root, "rb", 2, full, "in", 2, &alice, NULL, NULL), EINVAL);
	ck_assert_ok(fs_rename(a, "d", 1, b, "empty", 5, &alice, &ca, &cb));
	ck_assert_uint_gt(ca.after, ca.before);
	ck_assert_uint_gt(cb.after, cb.before);
	ck_assert_ok(fs_rename(a, "f", 1, a, "f", 1, &alice, NULL, NULL));
	ck_assert_ok(fs_rename(a, "f", 1, a, "g", 1, &alice, &ca, &cb));
	ck_assert_uint_eq(ca.after, cb.after);
	/* Moving a directory writes its "..": bob may write both parents but not the directory. */
	struct fs_setattr mode = { .what = FS_SET_MODE, .mode = 0755 };
	ck_assert_ok(fs_setattr(full, &alice, &mode, false));
	ck_assert_err(fs_rename(b, "full", 4, a, "full", 4, &bob, NULL, NULL), EACCES);
	ck_assert_ok(fs_rename(b, "full", 4, b, "full2", 5, &bob, NULL, NULL));
	inode_put(full);
	inode_put(a);
	inode_put(b);
	env_close(&env);
}
END_TEST

START_TEST(link_rules)
{
	struct fs_env env;
	struct fs_stat st;
	env_open(&env);
	struct inode *file = env_create(&env, "linked", 0600), *dir = env_mkdir(env.root, "ldir", 0777);
	ck_assert_ok(fs_link(file, dir, "l1", 2, &alice, NULL));
	ck_assert_err(fs_link(file, dir, "l1", 2, &alice, NULL), EEXIST);
	ck_assert_err(fs_link(dir, dir, "l2", 2, &root_cred, NULL), EISDIR);
	struct inode *again = env_lookup(dir, "l1");
	ck_assert_ptr_eq(again, file);
	ck_assert_ok(fs_getattr(file, &st));
	ck_assert_uint_eq(st.stx.stx_nlink, 2);
	/* One of two names goes: the inode stays in the cache. */
	ck_assert_ok(fs_remove(env.root, "linked", 6, &alice, NULL));
	inode_put(again);
	inode_put(file);
	ck_assert_ok(fs_lookup_nowait(dir, "l1", 2, &again));
	inode_put(again);
	inode_put(dir);
	env_close(&env);
}
END_TEST

START_TEST(bad_symlink_targets)
{
	struct fs_env env;
	struct inode *inode;
	static char longest[4096];
	memset(longest, 't', sizeof longest);
	env_open(&env);
	ck_assert_err(fs_symlink(env.root, "s", 1, &alice, "", 0, &inode, NULL), EINVAL);
	ck_assert_err(fs_symlink(env.root, "s", 1, &alice, "a\0b", 3, &inode, NULL), EINVAL);
	ck_assert_err(fs_symlink(env.root, "s", 1, &alice, longest, 4096, &inode, NULL), ENAMETOOLONG);
	env_close(&env);
}
END_TEST

/* ---- what was answered stays, whatever happens next ---- */

#define GOINGDOWN _IOR('X', 125, uint32_t)	/* XFS_IOC_GOINGDOWN */
#define NO_LOG_FLUSH 2u

/* Each is the last thing that was done, so that nothing that came after took it along into the log. */
enum last_thing { LAST_CREATE, LAST_MKDIR, LAST_SYMLINK, LAST_LINK, LAST_RENAME, LAST_MOVE, LAST_REMOVE, LAST_SIZE, LAST_MODE, LAST_LINK_OWNER, LAST_THINGS };

static void
do_last(struct fs_env *env, enum last_thing what, struct inode *file, struct inode *dir, struct inode *symlink)
{
	struct fs_setattr set = { .what = FS_SET_SIZE, .size = 12345 };
	struct inode *made = NULL;
	switch (what) {
	case LAST_CREATE: ck_assert_ok(fs_create(env->root, "made", 4, &alice, 0644, &made, NULL)); break;
	case LAST_MKDIR: ck_assert_ok(fs_mkdir(env->root, "made", 4, &alice, 0755, &made, NULL)); break;
	case LAST_SYMLINK: ck_assert_ok(fs_symlink(env->root, "made", 4, &alice, "t", 1, &made, NULL)); break;
	case LAST_LINK: ck_assert_ok(fs_link(file, env->root, "made", 4, &root_cred, NULL)); break;
	case LAST_RENAME: ck_assert_ok(fs_rename(env->root, "file", 4, env->root, "made", 4, &root_cred, NULL, NULL)); break;
	case LAST_MOVE: ck_assert_ok(fs_rename(env->root, "file", 4, dir, "moved", 5, &root_cred, NULL, NULL)); break;
	case LAST_REMOVE: ck_assert_ok(fs_remove(env->root, "file", 4, &root_cred, NULL)); break;
	case LAST_MODE: set = (struct fs_setattr){ .what = FS_SET_MODE, .mode = 0123 }; /* FALLTHROUGH */
	case LAST_SIZE: ck_assert_ok(fs_setattr(file, &root_cred, &set, false)); break;
	case LAST_LINK_OWNER:
		set = (struct fs_setattr){ .what = FS_SET_UID, .uid = 1001 };
		ck_assert_ok(fs_setattr(symlink, &root_cred, &set, false));
		break;
	case LAST_THINGS: break;
	}
	if (made)
		inode_put(made);
}

static void
ck_last(enum last_thing what)
{
	char path[128];
	struct stat st = { 0 }, made = { 0 };
	snprintf(path, sizeof path, "%s/made", xfs.mnt);
	bool is_made = lstat(path, &made) == 0;
	ck_assert_msg(is_made == (what <= LAST_RENAME), "%d: made", what);
	snprintf(path, sizeof path, "%s/file", xfs.mnt);
	bool file = lstat(path, &st) == 0;
	ck_assert_msg(file == (what < LAST_RENAME || what > LAST_REMOVE), "%d: file", what);
	ck_assert_int_eq(st.st_size, what == LAST_SIZE ? 12345 : 0);
	ck_assert_uint_eq(st.st_mode & 07777, file ? what == LAST_MODE ? 0123 : 0600 : 0);
	snprintf(path, sizeof path, "%s/dir/moved", xfs.mnt);
	ck_assert_msg((lstat(path, &st) == 0) == (what == LAST_MOVE), "%d: moved", what);
	snprintf(path, sizeof path, "%s/symlink", xfs.mnt);
	ck_assert_int_eq(lstat(path, &st), 0);
	ck_assert_uint_eq(st.st_uid, what == LAST_LINK_OWNER ? 1001 : 0);
}

START_TEST(names_and_attributes_survive_a_crash)
{
	static const char *const all[] = { "made", "file", "dir/moved", "dir", "symlink" };
	struct fs_env env;
	char path[128];
	uint32_t flags = NO_LOG_FLUSH;
	env_open(&env);
	struct inode *symlink, *file = env_create(&env, "file", 0600), *dir = env_mkdir(env.root, "dir", 0700);
	ck_assert_ok(fs_symlink(env.root, "symlink", 7, &root_cred, "t", 1, &symlink, NULL));
	ck_assert_int_eq(syncfs(env.export->mount_fd), 0);
	do_last(&env, (enum last_thing)_i, file, dir, symlink);
	ck_assert_int_eq(ioctl(env.export->mount_fd, GOINGDOWN, &flags), 0);
	inode_put(symlink);
	inode_put(file);
	inode_put(dir);
	env_close(&env);
	xfs_fixture_remount(&xfs);
	ck_last((enum last_thing)_i);
	for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
		snprintf(path, sizeof path, "%s/%s", xfs.mnt, all[i]);
		remove(path);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("posix_modify");
	TCase *tc = tcase_create("posix_modify");
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, created_as_the_user_and_back);
	tcase_add_test(tc, devices_are_roots);
	tcase_add_test(tc, sgid_directory_hands_its_group_down);
	tcase_add_test(tc, directory_needs_write_and_search);
	tcase_add_test(tc, sticky_directory_protects_names);
	tcase_add_test(tc, remove_tells_what_is_wrong);
	tcase_add_test(tc, rename_rules);
	tcase_add_test(tc, link_rules);
	tcase_add_test(tc, bad_symlink_targets);
	tcase_add_loop_test(tc, names_and_attributes_survive_a_crash, 0, LAST_THINGS);
	return fs_fixture_main(suite);
}
