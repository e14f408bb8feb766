/* Extended attributes on an XFS: server/fs/posix_xattr.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "server/fs/fs_private.h"
#include "tests/unit/server/fs/fs_fixture.h"

static struct fs_env env;
static struct fs_change change;

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

static int
set(struct inode *inode, const struct fs_cred *cred, const char *name, const char *value, enum fs_xattr_how how)
{
	return fs_xattr_set(inode, cred, name, (unsigned)strlen(name), value, strlen(value), how, &change);
}

static ssize_t
get(struct inode *inode, const struct fs_cred *cred, const char *name, void *value, size_t size)
{
	return fs_xattr_get(inode, cred, name, (unsigned)strlen(name), value, size);
}

static int
unset(struct inode *inode, const struct fs_cred *cred, const char *name)
{
	return fs_xattr_remove(inode, cred, name, (unsigned)strlen(name), &change);
}

START_TEST(what_is_set_is_there)
{
	char buf[64], path[160];
	struct inode *inode = env_create(&env, "set", 0600);
	ck_assert(fs_xattr_supported(inode));
	ck_assert_int_eq(get(inode, &alice, "k", buf, sizeof buf), -ENODATA);
	ck_assert_err(set(inode, &alice, "k", "v", FS_XATTR_REPLACE), ENODATA);
	ck_assert_ok(set(inode, &alice, "k", "value", FS_XATTR_CREATE));
	ck_assert_err(set(inode, &alice, "k", "v", FS_XATTR_CREATE), EEXIST);
	ck_assert_int_eq(get(inode, &alice, "k", NULL, 0), 5);
	ck_assert_int_eq(get(inode, &alice, "k", buf, 4), -ERANGE);
	ck_assert_int_eq(get(inode, &alice, "k", buf, sizeof buf), 5);
	ck_assert_mem_eq(buf, "value", 5);
	/* The name space, as local programs see it. */
	snprintf(path, sizeof path, "%s/set", xfs.mnt);
	ck_assert_int_eq(getxattr(path, "user.k", buf, sizeof buf), 5);
	ck_assert_ok(set(inode, &alice, "k", "", FS_XATTR_REPLACE));
	ck_assert_int_eq(get(inode, &alice, "k", buf, sizeof buf), 0);
	ck_assert_ok(unset(inode, &alice, "k"));
	ck_assert_err(unset(inode, &alice, "k"), ENODATA);
	ck_assert_int_eq(getxattr(path, "user.k", buf, sizeof buf), -1);
	inode_put(inode);
}
END_TEST

/* RFC 8276 8.4.2.3: change and time_metadata move. */
START_TEST(change_moves)
{
	struct inode *inode = env_create(&env, "moves", 0600);
	uint64_t before = env_change(inode);
	ck_assert_ok(set(inode, &alice, "k", "1", FS_XATTR_EITHER));
	ck_assert_uint_eq(change.before, before);
	ck_assert_uint_gt(change.after, before);
	ck_assert_uint_eq(env_change(inode), change.after);
	before = change.after;
	ck_assert_ok(unset(inode, &alice, "k"));
	ck_assert_uint_eq(change.before, before);
	ck_assert_uint_gt(change.after, before);
	inode_put(inode);
}
END_TEST

START_TEST(rights)
{
	char buf[16], path[160];
	struct inode *f = env_create(&env, "rights", 0640), *dir = env_mkdir(env.root, "d", 01777), *link, *fifo;
	ck_assert_ok(set(f, &alice, "k", "v", FS_XATTR_EITHER));
	ck_assert_int_eq(get(f, &bob, "k", buf, sizeof buf), -EACCES);
	ck_assert_int_eq(fs_xattr_list(f, &bob, buf, sizeof buf), -EACCES);
	ck_assert_err(set(f, &bob, "k", "w", FS_XATTR_EITHER), EACCES);
	ck_assert_err(unset(f, &bob, "k"), EACCES);
	ck_assert_int_eq(get(f, &root_cred, "k", buf, sizeof buf), 1);
	/* In a sticky directory that all may write only its owner has a say on these. */
	ck_assert_err(set(dir, &bob, "k", "w", FS_XATTR_EITHER), EPERM);
	ck_assert_ok(set(dir, &alice, "k", "w", FS_XATTR_EITHER));
	ck_assert_int_eq(get(dir, &bob, "k", buf, sizeof buf), 1);
	/* What has none. */
	ck_assert_ok(fs_symlink(env.root, "l", 1, &alice, "rights", 6, &link, NULL));
	ck_assert_ok(fs_mknod(env.root, "p", 1, &alice, S_IFIFO | 0600, 0, &fifo, NULL));
	ck_assert_err(set(link, &root_cred, "k", "w", FS_XATTR_EITHER), EPERM);
	ck_assert_err(set(fifo, &root_cred, "k", "w", FS_XATTR_EITHER), EPERM);
	ck_assert_int_eq(get(fifo, &root_cred, "k", buf, sizeof buf), -ENODATA);
	ck_assert_int_eq(fs_xattr_list(link, &root_cred, buf, sizeof buf), 0);
	/* Not the link's target. */
	snprintf(path, sizeof path, "%s/rights", xfs.mnt);
	ck_assert_int_eq(getxattr(path, "user.k", buf, sizeof buf), 1);
	ck_assert_int_eq(buf[0], 'v');
	inode_put(f);
	inode_put(dir);
	inode_put(link);
	inode_put(fifo);
}
END_TEST

START_TEST(limits)
{
	static char big[65537];
	char name[252];
	struct inode *inode = env_create(&env, "limits", 0600);
	memset(name, 'n', sizeof name);
	memset(big, 'b', sizeof big);
	ck_assert_ok(fs_xattr_set(inode, &alice, name, 250, "v", 1, FS_XATTR_EITHER, &change));
	ck_assert_err(fs_xattr_set(inode, &alice, name, 251, "v", 1, FS_XATTR_EITHER, &change), ENAMETOOLONG);
	ck_assert_err(fs_xattr_set(inode, &alice, "", 0, "v", 1, FS_XATTR_EITHER, &change), EINVAL);
	ck_assert_err(fs_xattr_set(inode, &alice, "a\0b", 3, "v", 1, FS_XATTR_EITHER, &change), EINVAL);
	ck_assert_ok(fs_xattr_set(inode, &alice, "big", 3, big, 65536, FS_XATTR_EITHER, &change));
	ck_assert_int_eq(get(inode, &alice, "big", NULL, 0), 65536);
	ck_assert_err(fs_xattr_set(inode, &alice, "big", 3, big, 65537, FS_XATTR_EITHER, &change), E2BIG);
	inode_put(inode);
}
END_TEST

/* Other name spaces are not for clients, and are not shortened to look as if they were. */
START_TEST(list_is_of_users)
{
	char buf[256], path[160];
	struct inode *inode = env_create(&env, "list", 0600);
	snprintf(path, sizeof path, "%s/list", xfs.mnt);
	ck_assert_int_eq(fs_xattr_list(inode, &alice, buf, sizeof buf), 0);
	ck_assert_int_eq(setxattr(path, "trusted.t", "1", 1, 0), 0);
	ck_assert_ok(set(inode, &alice, "one", "1", FS_XATTR_EITHER));
	ck_assert_int_eq(setxattr(path, "security.s", "1", 1, 0), 0);
	ck_assert_ok(set(inode, &alice, "user.two", "2", FS_XATTR_EITHER));
	ck_assert_int_ge(fs_xattr_list(inode, &alice, NULL, 0), 13);
	ck_assert_int_eq(fs_xattr_list(inode, &alice, buf, 4), -ERANGE);
	ck_assert_int_eq(fs_xattr_list(inode, &alice, buf, sizeof buf), 13);
	ck_assert(!memcmp(buf, "one\0user.two", 13) || !memcmp(buf, "user.two\0one", 13));
	ck_assert_int_eq(get(inode, &root_cred, "t", buf, sizeof buf), -ENODATA);
	inode_put(inode);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("posix_xattr");
	TCase *tc = tcase_create("xattr");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_is_set_is_there);
	tcase_add_test(tc, change_moves);
	tcase_add_test(tc, rights);
	tcase_add_test(tc, limits);
	tcase_add_test(tc, list_is_of_users);
	suite_add_tcase(s, tc);
	return fs_fixture_main(s);
}
