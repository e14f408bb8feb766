/* Permission, SETATTR, the change attribute. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/fs/fs_private.h"
#include "tests/unit/server/fs/fs_fixture.h"

static const struct fs_cred carol = { .uid = 1003, .gid = 1003, .ngids = 1, .gids = { 1001 } };

/* ---- fs_permits ---- */

/* Of what has no ACL; a node of the pseudo root never does. */
static unsigned
granted(const struct fs_stat *st, const struct fs_cred *cred, unsigned mask)
{
	struct inode inode = { .pseudo = (struct pseudo_node *)&inode };
	unsigned bits = 0;
	for (unsigned bit = 1; bit <= 4; bit <<= 1)
		if ((mask & bit) && fs_permits(&inode, st, cred, bit, true) == 0)
			bits |= bit;
	ck_assert_int_eq(fs_permits(&inode, st, cred, mask, true), bits == mask ? 0 : -EACCES);
	return bits;
}

START_TEST(access_matrix)
{
	static const struct { mode_t mode; unsigned owner, group, other, root; } rows[] = {
		{ S_IFREG | 0000, 0, 0, 0, R_OK | W_OK },
		{ S_IFREG | 0700, R_OK | W_OK | X_OK, 0, 0, R_OK | W_OK | X_OK },
		{ S_IFREG | 0070, 0, R_OK | W_OK | X_OK, 0, R_OK | W_OK | X_OK },
		{ S_IFREG | 0007, 0, 0, R_OK | W_OK | X_OK, R_OK | W_OK | X_OK },
		{ S_IFREG | 0640, R_OK | W_OK, R_OK, 0, R_OK | W_OK },
		{ S_IFREG | 0604, R_OK | W_OK, 0, R_OK, R_OK | W_OK },
		{ S_IFREG | 0251, W_OK, R_OK | X_OK, X_OK, R_OK | W_OK | X_OK },
		{ S_IFDIR | 0000, 0, 0, 0, R_OK | W_OK | X_OK },
		{ S_IFDIR | 0751, R_OK | W_OK | X_OK, R_OK | X_OK, X_OK, R_OK | W_OK | X_OK },
	};
	const unsigned all = R_OK | W_OK | X_OK;
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct fs_stat st = { .stx = { .stx_mode = (uint16_t)rows[i].mode, .stx_uid = 1001, .stx_gid = 1001 } };
		ck_assert_uint_eq(granted(&st, &alice, all), rows[i].owner);
		ck_assert_uint_eq(granted(&st, &carol, all), rows[i].group);	/* supplementary */
		ck_assert_uint_eq(granted(&st, &bob, all), rows[i].other);
		ck_assert_uint_eq(granted(&st, &root_cred, all), rows[i].root);
		ck_assert_uint_eq(granted(&st, &alice, R_OK), rows[i].owner & R_OK);
		ck_assert_uint_eq(granted(&st, &alice, 0), 0);
	}
}
END_TEST

/* ---- fs_setattr ---- */

enum { ROOT, ALICE, CAROL, BOB };
static const struct fs_cred *const who[] = { &root_cred, &alice, &carol, &bob };

/* On a file of alice:1001, mode 0664. */
START_TEST(setattr_rights)
{
	const struct timespec now = { .tv_nsec = UTIME_NOW }, past = { .tv_sec = 1 };
	struct { struct fs_setattr set; int err[4]; } rows[] = {
		{ { .what = FS_SET_MODE, .mode = 0664 }, { 0, 0, -EPERM, -EPERM } },
		{ { .what = FS_SET_UID, .uid = 1001 }, { 0, 0, -EPERM, -EPERM } },
		{ { .what = FS_SET_UID, .uid = 1003 }, { 0, -EPERM, -EPERM, -EPERM } },
		{ { .what = FS_SET_GID, .gid = 5000 }, { 0, 0, -EPERM, -EPERM } },
		{ { .what = FS_SET_GID, .gid = 1002 }, { 0, -EPERM, -EPERM, -EPERM } },
		{ { .what = FS_SET_SIZE, .size = 10 }, { 0, 0, 0, -EACCES } },
		{ { .what = FS_SET_MTIME, .mtime = now }, { 0, 0, 0, -EACCES } },
		{ { .what = FS_SET_MTIME, .mtime = past }, { 0, 0, -EPERM, -EPERM } },
		{ { .what = FS_SET_ATIME | FS_SET_MTIME, .atime = now, .mtime = past }, { 0, 0, -EPERM, -EPERM } },
		{ { .what = FS_SET_SIZE, .size = UINT64_MAX }, { -EFBIG, -EFBIG, -EFBIG, -EFBIG } },
	};
	struct fs_env env;
	env_open(&env);
	struct inode *inode = env_create(&env, "rights", 0664);
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++)
		for (unsigned w = 0; w < 4; w++) {
			struct fs_setattr reset = { .what = FS_SET_UID | FS_SET_GID | FS_SET_MODE, .uid = 1001, .gid = 1001,
				.mode = 0664 };
			ck_assert_ok(fs_setattr(inode, &root_cred, &reset, false));
			int err = fs_setattr(inode, who[w], &rows[i].set, false);
			ck_assert_msg(err == rows[i].err[w], "row %u, who %u: %d, not %d", i, w, err, rows[i].err[w]);
		}
	/* An open for writing counts for the size. */
	struct fs_setattr size = { .what = FS_SET_SIZE, .size = 3 };
	ck_assert_ok(fs_setattr(inode, &bob, &size, true));
	inode_put(inode);
	env_close(&env);
}
END_TEST

START_TEST(setattr_sets)
{
	struct fs_env env;
	struct fs_stat st;
	env_open(&env);
	struct inode *inode = env_create(&env, "sets", 0600);
	struct fs_setattr set = { .what = FS_SET_MODE | FS_SET_SIZE | FS_SET_GID | FS_SET_ATIME | FS_SET_MTIME, .mode = 0751,
		.size = 12345, .gid = 5000, .atime = { 1000, 5 }, .mtime = { 2000, 6 } };
	ck_assert_ok(fs_setattr(inode, &alice, &set, false));
	ck_assert_ok(fs_getattr(inode, &st));
	ck_assert_uint_eq(st.stx.stx_mode, S_IFREG | 0751);
	ck_assert_uint_eq(st.stx.stx_size, 12345);
	ck_assert_uint_eq(st.stx.stx_gid, 5000);
	ck_assert_int_eq(st.stx.stx_atime.tv_sec, 1000);
	ck_assert_int_eq(st.stx.stx_mtime.tv_sec, 2000);
	ck_assert_uint_eq(st.stx.stx_mtime.tv_nsec, 6);
	inode_put(inode);
	struct fs_setattr size = { .what = FS_SET_SIZE };
	ck_assert_err(fs_setattr(env.root, &root_cred, &size, false), EISDIR);
	env_close(&env);
}
END_TEST

static void
set_mode(struct inode *inode, mode_t mode)
{
	struct fs_setattr set = { .what = FS_SET_MODE, .mode = mode };
	ck_assert_ok(fs_setattr(inode, &root_cred, &set, false));
	ck_assert_uint_eq(env_mode(inode), mode);
}

START_TEST(sid_bits_go_when_data_or_owner_change)
{
	struct fs_env env;
	env_open(&env);
	struct inode *inode = env_create(&env, "sid", 0755);
	struct fs_setattr size = { .what = FS_SET_SIZE, .size = 1 }, group = { .what = FS_SET_GID, .gid = 5000 };
	struct fs_setattr both = { .what = FS_SET_GID | FS_SET_MODE, .gid = 1001, .mode = 06755 };

	set_mode(inode, 06777);
	ck_assert_int_eq(fs_write(inode, "x", 1, 0, false, false), 1);
	ck_assert_uint_eq(env_mode(inode), 0777);
	set_mode(inode, 06767);		/* no group execution: sgid stays */
	ck_assert_int_eq(fs_write(inode, "x", 1, 0, true, true), 1);
	ck_assert_uint_eq(env_mode(inode), 02767);
	set_mode(inode, 06755);
	ck_assert_ok(fs_setattr(inode, &alice, &size, false));
	ck_assert_uint_eq(env_mode(inode), 0755);
	set_mode(inode, 06755);
	ck_assert_ok(fs_setattr(inode, &alice, &group, false));
	ck_assert_uint_eq(env_mode(inode), 0755);
	ck_assert_ok(fs_setattr(inode, &alice, &both, false));
	ck_assert_uint_eq(env_mode(inode), 0755);
	inode_put(inode);
	env_close(&env);
}
END_TEST

START_TEST(sgid_only_for_members)
{
	struct fs_env env;
	env_open(&env);
	struct inode *inode = env_create(&env, "member", 0755);
	struct fs_setattr group = { .what = FS_SET_GID, .gid = 1002 }, mode = { .what = FS_SET_MODE, .mode = 02755 };
	ck_assert_ok(fs_setattr(inode, &alice, &mode, false));
	ck_assert_uint_eq(env_mode(inode), 02755);
	ck_assert_ok(fs_setattr(inode, &root_cred, &group, false));
	ck_assert_ok(fs_setattr(inode, &alice, &mode, false));
	ck_assert_uint_eq(env_mode(inode), 0755);
	inode_put(inode);
	env_close(&env);
}
END_TEST

/* ---- change ---- */

/* PITFALLS E4: far more changes than ticks, each looked at. */
static void
thousand_creates(struct fs_env *env)
{
	uint64_t last = env_change(env->root);
	for (int i = 0; i < 1000; i++) {
		char name[16];
		struct inode *inode;
		struct fs_change change;
		int n = snprintf(name, sizeof name, "e4_%d", i);
		ck_assert_ok(fs_create(env->root, name, (unsigned)n, &alice, 0600, &inode, &change));
		inode_put(inode);
		ck_assert_uint_eq(change.before, last);
		ck_assert_uint_gt(change.after, change.before);
		last = change.after;
		ck_assert_uint_eq(env_change(env->root), last);
	}
	for (int i = 0; i < 1000; i++) {
		char name[16];
		int n = snprintf(name, sizeof name, "e4_%d", i);
		ck_assert_ok(fs_remove(env->root, name, (unsigned)n, &alice, NULL));
		ck_assert_uint_gt(env_change(env->root), last);
		last = env_change(env->root);
	}
}

START_TEST(thousand_changes_differ)
{
	struct fs_env env;
	env_open(&env);
	thousand_creates(&env);
	env_close(&env);
}
END_TEST

/* A kernel without fine timestamps: the same must hold of the counter alone, with ctime cut to 10 ms. */
static uint64_t
coarse_change(struct inode *inode)
{
	struct statx stx;
	ck_assert_ok(posix_stat(inode->fd, STATX_BASIC_STATS, &stx));
	stx.stx_ctime.tv_nsec -= stx.stx_ctime.tv_nsec % 10000000;
	return change_value(inode->priv, &stx);
}

static uint64_t
ns_since_change(struct inode *inode)
{
	struct fs_stat st;
	struct timespec now;
	ck_assert_ok(fs_getattr(inode, &st));
	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)(now.tv_sec - st.stx.stx_ctime.tv_sec) * 1000000000u + (uint64_t)now.tv_nsec -
	    st.stx.stx_ctime.tv_nsec;
}

START_TEST(coarse_changes_differ_over_eviction)
{
	struct fs_env env;
	env_open(&env);
	inode_priv(env.root)->fse->fine_ctime = false;
	uint64_t last = 0;
	struct inode *inode = env_create(&env, "coarse", 0600);
	for (int round = 0; round < 4; round++) {
		ck_assert(round == 0 || coarse_change(inode) >= last);
		for (int i = 0; i < 200; i++) {
			uint64_t before = coarse_change(inode);
			ck_assert_uint_ge(before, last);
			ck_assert_uint_eq(coarse_change(inode), before);
			ck_assert_int_eq(fs_write(inode, "x", 1, 0, false, false), 1);
			last = coarse_change(inode);
			ck_assert_uint_gt(last, before);
		}
		/* Out of the cache and back, at once. */
		inode_put(inode);
		inode_room(env.fs, 0);
		ck_assert_uint_eq(env.fs->nunused, 0);
		inode = env_lookup(env.root, "coarse");
		/* It was looked at only when no change could come with the same ctime any more. */
		ck_assert_uint_ge(ns_since_change(inode), 40000000);
	}
	inode_put(inode);
	env_close(&env);
}
END_TEST

START_TEST(every_kind_of_change_moves_it)
{
	struct fs_env env;
	env_open(&env);
	struct inode *inode = env_create(&env, "kinds", 0600);
	uint64_t last = env_change(inode);
	struct fs_setattr sets[] = {
		{ .what = FS_SET_MODE, .mode = 0600 }, { .what = FS_SET_SIZE, .size = 0 }, { .what = FS_SET_GID, .gid = 1001 },
		{ .what = FS_SET_MTIME, .mtime = { 1, 0 } }, { .what = FS_SET_ATIME, .atime = { 1, 0 } },
	};
	for (unsigned i = 0; i < sizeof sets / sizeof *sets; i++) {
		ck_assert_ok(fs_setattr(inode, &alice, &sets[i], false));
		ck_assert_uint_gt(env_change(inode), last);
		last = env_change(inode);
	}
	ck_assert_int_eq(fs_write(inode, "x", 1, 0, false, false), 1);
	ck_assert_uint_gt(env_change(inode), last);
	last = env_change(inode);
	ck_assert_ok(fs_link(inode, env.root, "kinds2", 6, &alice, NULL));
	ck_assert_uint_gt(env_change(inode), last);
	last = env_change(inode);
	ck_assert_ok(fs_remove(env.root, "kinds2", 6, &alice, NULL));
	ck_assert_uint_gt(env_change(inode), last);
	last = env_change(inode);
	ck_assert_ok(fs_rename(env.root, "kinds", 5, env.root, "kinds3", 6, &alice, NULL, NULL));
	ck_assert_uint_gt(env_change(inode), last);
	inode_put(inode);
	env_close(&env);
}
END_TEST

/* Attributes are made durable without a descriptor for writing that stays: a local program could not execute the file. */
START_TEST(nothing_stays_open_for_attributes)
{
	struct fs_env env;
	struct fs_setattr set = { .what = FS_SET_MODE, .mode = 0755 };
	char path[128];
	snprintf(path, sizeof path, "%s/program", xfs.mnt);
	int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
	ck_assert_int_ge(fd, 0);
	close(fd);
	env_open(&env);
	struct inode *inode = env_lookup(env.root, "program");
	ck_assert_ok(fs_setattr(inode, &root_cred, &set, false));
	fd = open(path, O_RDONLY | O_CLOEXEC);
	/* given only if nobody has it open for writing */
	ck_assert_int_eq(fcntl(fd, F_SETLEASE, F_RDLCK), 0);
	close(fd);
	inode_put(inode);
	env_close(&env);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("posix_attr");
	TCase *tc = tcase_create("posix_attr");
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, access_matrix);
	tcase_add_test(tc, setattr_rights);
	tcase_add_test(tc, setattr_sets);
	tcase_add_test(tc, sid_bits_go_when_data_or_owner_change);
	tcase_add_test(tc, sgid_only_for_members);
	tcase_add_test(tc, thousand_changes_differ);
	tcase_add_test(tc, coarse_changes_differ_over_eviction);
	tcase_add_test(tc, every_kind_of_change_moves_it);
	tcase_add_test(tc, nothing_stays_open_for_attributes);
	return fs_fixture_main(suite);
}
