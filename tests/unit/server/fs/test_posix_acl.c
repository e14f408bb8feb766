/* POSIX ACLs on an XFS, held against the kernel's own judgement: server/fs/posix_acl.c. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "server/fs/fs_private.h"
#include "tests/unit/server/fs/fs_fixture.h"

static const struct fs_cred carol = { .uid = 1003, .gid = 1003, .ngids = 1, .gids = { 1001 } };
static const struct fs_cred dave = { .uid = 1004, .gid = 1004, .ngids = 2, .gids = { 5000, 5001 } };
static const struct fs_cred *const who[] = { &root_cred, &alice, &bob, &carol, &dave };

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

static int
permits(struct inode *inode, const struct fs_cred *cred, unsigned want, bool nowait)
{
	struct fs_stat st;
	ck_assert_ok(fs_getattr(inode, &st));
	return fs_permits(inode, &st, cred, want, nowait);
}

static int
kernel_permits(struct inode *inode, const struct fs_cred *cred, unsigned want)
{
	ck_assert_ok(user_enter(env.fs, cred));
	int err = syscall(SYS_faccessat2, inode->fd, "", want, AT_EACCESS | AT_EMPTY_PATH) < 0 ? -errno : 0;
	user_leave(env.fs, cred);
	return err;
}

static int
set_acl(struct inode *inode, const struct fs_cred *cred, struct fs_ace *e, unsigned n, struct fs_ace *d, unsigned nd)
{
	struct fs_setattr set = { .what = FS_SET_ACL, .acl = { n, e }, .default_acl = { nd, d } };
	return fs_setattr(inode, cred, &set, false);
}

/* A few names, each with any rights; valid as the kernel wants it. */
static unsigned
random_acl(unsigned *seed, struct fs_ace *e)
{
	static const uint32_t groups[] = { 1001, 1002, 5000, 5001 };
	unsigned n = 0, named = 0;
	e[n++] = (struct fs_ace){ FS_ACE_USER_OBJ, rand_r(seed) & 7, 0 };
	for (uint32_t uid = 1001; uid <= 1004; uid++)
		if (rand_r(seed) & 1)
			e[n++] = (struct fs_ace){ FS_ACE_USER, rand_r(seed) & 7, uid }, named++;
	e[n++] = (struct fs_ace){ FS_ACE_GROUP_OBJ, rand_r(seed) & 7, 0 };
	for (unsigned i = 0; i < 4; i++)
		if (rand_r(seed) & 1)
			e[n++] = (struct fs_ace){ FS_ACE_GROUP, rand_r(seed) & 7, groups[i] }, named++;
	if (named || (rand_r(seed) & 1))
		e[n++] = (struct fs_ace){ FS_ACE_MASK, rand_r(seed) % 5 ? (rand_r(seed) & 7) | 1 : rand_r(seed) & 7, 0 };
	e[n++] = (struct fs_ace){ FS_ACE_OTHER, rand_r(seed) & 7, 0 };
	return n;
}

static void
judge(struct inode *inode, unsigned turn)
{
	for (unsigned w = 0; w < sizeof who / sizeof *who; w++)
		for (unsigned want = 1; want <= 7; want++) {
			int ours = permits(inode, who[w], want, false), theirs = kernel_permits(inode, who[w], want);
			ck_assert_msg(ours == theirs, "turn %u, uid %u, want %u: %d, the kernel %d", turn, who[w]->uid, want, ours,
			    theirs);
		}
}

START_TEST(as_the_kernel_has_it)
{
	unsigned seed = 11;
	struct fs_ace e[16], back[16];
	struct inode *f = env_create(&env, "judged", 0644), *d = env_mkdir(env.root, "judged_dir", 0755);
	judge(f, 0);
	for (unsigned turn = 1; turn <= 200; turn++) {
		struct inode *inode = turn & 1 ? f : d;
		unsigned n = random_acl(&seed, e);
		struct fs_setattr owner = { .what = FS_SET_UID | FS_SET_GID, .uid = 1001 + turn % 3, .gid = turn % 2 ? 1001 : 5000 };
		ck_assert_ok(fs_setattr(inode, &root_cred, &owner, false));
		ck_assert_ok(set_acl(inode, &root_cred, e, n, NULL, 0));
		if (n > 3)
			ck_assert_int_eq(fs_acl_get(inode, FS_ACL_ACCESS, back, 16), n);
		judge(inode, turn);
	}
	inode_put(f);
	inode_put(d);
}
END_TEST

#define XATTR(inode, call) do { \
	char path_[32]; \
	snprintf(path_, sizeof path_, "/proc/self/fd/%d", (inode)->fd); \
	const char *path = path_; \
	ck_assert_int_ge(call, 0); \
} while (0)

/* By a local program, between two looks, within a tick of the clock: seen all the same. */
START_TEST(a_local_change_is_seen)
{
	struct fs_ace e[] = { { FS_ACE_USER_OBJ, 6, 0 }, { FS_ACE_USER, 4, 1002 }, { FS_ACE_GROUP_OBJ, 0, 0 },
		{ FS_ACE_MASK, 4, 0 }, { FS_ACE_OTHER, 0, 0 } };
	char acl[256];
	struct inode *model = env_create(&env, "model", 0640), *inode = env_create(&env, "local", 0640);
	ssize_t len = 0;
	ck_assert_ok(set_acl(model, &alice, e, 5, NULL, 0));
	XATTR(model, len = getxattr(path, "system.posix_acl_access", acl, sizeof acl));
	for (unsigned i = 0; i < 20; i++) {
		ck_assert_int_eq(permits(inode, &bob, R_OK, false), -EACCES);
		XATTR(inode, setxattr(path, "system.posix_acl_access", acl, (size_t)len, 0));
		ck_assert_int_eq(permits(inode, &bob, R_OK, false), 0);
		ck_assert_int_eq(permits(inode, &carol, R_OK, false), -EACCES);
		XATTR(inode, removexattr(path, "system.posix_acl_access"));
		/* The mask stays behind as the group's bits. */
		ck_assert_int_eq(permits(inode, &bob, R_OK, false), -EACCES);
		if (i % 5 == 4)
			usleep(30000);	/* what is known is believed from now on */
	}
	inode_put(model);
	inode_put(inode);
}
END_TEST

/* A loop may not be the first to look; and who needs no look never waits. */
START_TEST(first_look_is_no_loops)
{
	struct inode *inode = env_create(&env, "first", 0644);
	ck_assert_int_eq(permits(inode, &alice, R_OK, true), 0);
	ck_assert_int_eq(permits(inode, &root_cred, R_OK, true), 0);
	ck_assert_int_eq(permits(inode, &bob, R_OK, true), -EAGAIN);
	ck_assert_int_eq(permits(inode, &bob, R_OK, false), 0);
	ck_assert_int_eq(permits(inode, &bob, R_OK, true), 0);
	ck_assert_int_eq(permits(inode, &bob, W_OK, true), -EACCES);
	inode_put(inode);
}
END_TEST

START_TEST(who_may_set)
{
	struct fs_ace e[] = { { FS_ACE_USER_OBJ, 7, 0 }, { FS_ACE_USER, 7, 1002 }, { FS_ACE_GROUP_OBJ, 5, 0 },
		{ FS_ACE_MASK, 7, 0 }, { FS_ACE_OTHER, 0, 0 } };
	struct inode *inode = env_create(&env, "set_by", 0600), *link;
	ck_assert_err(set_acl(inode, &bob, e, 5, NULL, 0), EPERM);
	ck_assert_ok(set_acl(inode, &alice, e, 5, NULL, 0));
	ck_assert_uint_eq(env_mode(inode), 0770);	/* the mask is the group's bits */
	/* chmod moves the mask, and leaves the names (RFC 8881 6.4.1.1). */
	struct fs_setattr mode = { .what = FS_SET_MODE, .mode = 0740 };
	ck_assert_ok(fs_setattr(inode, &alice, &mode, false));
	struct fs_ace back[8];
	ck_assert_int_eq(fs_acl_get(inode, FS_ACL_ACCESS, back, 8), 5);
	ck_assert_uint_eq(back[3].tag, FS_ACE_MASK);
	ck_assert_uint_eq(back[3].perm, 4);
	ck_assert_int_eq(permits(inode, &bob, R_OK, false), 0);
	ck_assert_int_eq(permits(inode, &bob, W_OK, false), -EACCES);
	ck_assert_int_eq(fs_acl_get(inode, FS_ACL_ACCESS, back, 4), -ERANGE);
	ck_assert_int_eq(fs_acl_get(inode, FS_ACL_DEFAULT, back, 4), 0);
	/* set-group-ID goes with an ACL by somebody outside of the group, as with a mode. */
	struct fs_setattr gid = { .what = FS_SET_GID, .gid = 1002 }, sgid = { .what = FS_SET_MODE, .mode = 02770 };
	ck_assert_ok(fs_setattr(inode, &root_cred, &gid, false));
	ck_assert_ok(fs_setattr(inode, &root_cred, &sgid, false));
	ck_assert_uint_eq(env_mode(inode), 02770);
	ck_assert_ok(set_acl(inode, &alice, e, 5, NULL, 0));
	ck_assert_uint_eq(env_mode(inode), 0770);
	ck_assert_ok(fs_symlink(env.root, "set_link", 8, &alice, "set_by", 6, &link, NULL));
	ck_assert_err(set_acl(link, &alice, e, 5, NULL, 0), EOPNOTSUPP);
	inode_put(inode);
	inode_put(link);
}
END_TEST

/* A directory's default ACL becomes what is created in it: the kernel's work, for we create as the user and without a umask. */
START_TEST(defaults_apply_at_create)
{
	struct fs_ace e[] = { { FS_ACE_USER_OBJ, 7, 0 }, { FS_ACE_GROUP_OBJ, 5, 0 }, { FS_ACE_OTHER, 5, 0 } };
	struct fs_ace d[] = { { FS_ACE_USER_OBJ, 7, 0 }, { FS_ACE_USER, 6, 1002 }, { FS_ACE_GROUP_OBJ, 5, 0 },
		{ FS_ACE_MASK, 7, 0 }, { FS_ACE_OTHER, 0, 0 } };
	struct fs_ace back[8];
	struct inode *dir = env_mkdir(env.root, "defaults", 0755), *f, *sub;
	ck_assert_ok(set_acl(dir, &alice, e, 3, d, 5));
	ck_assert_int_eq(fs_acl_get(dir, FS_ACL_DEFAULT, back, 8), 5);
	ck_assert_ok(fs_create(dir, "f", 1, &alice, 0640, &f, NULL));
	ck_assert_int_eq(fs_acl_get(f, FS_ACL_ACCESS, back, 8), 5);
	ck_assert_uint_eq(back[1].id, 1002);
	ck_assert_int_eq(permits(f, &bob, R_OK, false), 0);
	ck_assert_int_eq(permits(f, &bob, W_OK, false), -EACCES);	/* the mode asked for is the mask */
	ck_assert_int_eq(permits(f, &carol, R_OK, false), 0);		/* of the group */
	ck_assert_ok(fs_mkdir(dir, "sub", 3, &alice, 0777, &sub, NULL));
	ck_assert_int_eq(fs_acl_get(sub, FS_ACL_DEFAULT, back, 8), 5);
	ck_assert_uint_eq(env_mode(sub), 0770);
	/* Without an entry: none any more. */
	ck_assert_ok(set_acl(dir, &alice, e, 3, NULL, 0));
	ck_assert_int_eq(fs_acl_get(dir, FS_ACL_DEFAULT, back, 8), 0);
	inode_put(f);
	inode_put(sub);
	inode_put(dir);
}
END_TEST

/* Bob's entry is what lets him create and remove in alice's directory. */
START_TEST(directories_by_acl)
{
	struct fs_ace e[] = { { FS_ACE_USER_OBJ, 7, 0 }, { FS_ACE_USER, 7, 1002 }, { FS_ACE_GROUP_OBJ, 5, 0 },
		{ FS_ACE_MASK, 7, 0 }, { FS_ACE_OTHER, 5, 0 } };
	struct inode *dir = env_mkdir(env.root, "shared", 0755), *f;
	ck_assert_err(fs_create(dir, "f", 1, &bob, 0600, &f, NULL), EACCES);
	ck_assert_ok(set_acl(dir, &alice, e, 5, NULL, 0));
	ck_assert_ok(fs_create(dir, "f", 1, &bob, 0600, &f, NULL));
	ck_assert_ok(fs_remove(dir, "f", 1, &bob, NULL));
	inode_put(f);
	inode_put(dir);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("posix_acl");
	TCase *tc = tcase_create("acl");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, as_the_kernel_has_it);
	tcase_add_test(tc, a_local_change_is_seen);
	tcase_add_test(tc, first_look_is_no_loops);
	tcase_add_test(tc, who_may_set);
	tcase_add_test(tc, defaults_apply_at_create);
	tcase_add_test(tc, directories_by_acl);
	suite_add_tcase(s, tc);
	return fs_fixture_main(s);
}
