/* Names, LOOKUP(P), READDIR and its cookies. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "server/fs/fs_private.h"
#include "tests/unit/server/fs/fs_fixture.h"

#define ENTRIES 1500

START_TEST(bad_names_are_refused)
{
	struct fs_env env;
	struct inode *inode;
	char longest[256];
	memset(longest, 'n', sizeof longest);
	env_open(&env);
	ck_assert_err(fs_lookup(env.root, "", 0, &inode), EINVAL);
	ck_assert_err(fs_lookup(env.root, ".", 1, &inode), EINVAL);
	ck_assert_err(fs_lookup(env.root, "..", 2, &inode), EINVAL);
	ck_assert_err(fs_lookup(env.root, "a/b", 3, &inode), EINVAL);
	ck_assert_err(fs_lookup(env.root, "a\0b", 3, &inode), EINVAL);
	ck_assert_err(fs_lookup(env.root, longest, 256, &inode), ENAMETOOLONG);
	ck_assert_err(fs_lookup(env.root, longest, 255, &inode), ENOENT);
	ck_assert_ok(fs_create(env.root, longest, 255, &alice, 0600, &inode, NULL));
	struct inode *none;
	ck_assert_err(fs_lookup(inode, "x", 1, &none), ENOTDIR);
	inode_put(inode);
	ck_assert_err(fs_create(env.root, "..", 2, &alice, 0600, &inode, NULL), EINVAL);
	ck_assert_err(fs_remove(env.root, "", 0, &alice, NULL), EINVAL);
	env_close(&env);
}
END_TEST

START_TEST(nowait_finds_what_is_cached)
{
	struct fs_env env;
	struct inode *inode;
	env_open(&env);
	inode_put(env_create(&env, "warm", 0600));
	ck_assert_ok(fs_lookup_nowait(env.root, "warm", 4, &inode));
	ck_assert_uint_eq(inode->type, S_IFREG);
	inode_put(inode);
	env.fs->max_fds = 0;
	inode_put(env_lookup(env.root, "warm"));
	inode_room(env.fs, 0);		/* or the sweeper, soon */
	ck_assert_err(fs_lookup_nowait(env.root, "warm", 4, &inode), EAGAIN);
	env_close(&env);
}
END_TEST

/* What was found a moment ago is asked for in a shorter way: the answer is what the directory says now all the same. */
START_TEST(nowait_knows_what_changed_since)
{
	struct fs_env env;
	struct inode *inode;
	env_open(&env);
	struct inode *dir = env_mkdir(env.root, "dir", 0755), *first, *second;
	ck_assert_ok(fs_create(dir, "name", 4, &root_cred, 0600, &first, NULL));
	for (int i = 0; i < 3; i++) {
		ck_assert_ok(fs_lookup_nowait(dir, "name", 4, &inode));
		ck_assert_ptr_eq(inode, first);
		inode_put(inode);
	}
	/* by a local process, so that nothing here was told */
	ck_assert_int_eq(renameat(dir->fd, "name", dir->fd, "other"), 0);
	ck_assert_err(fs_lookup_nowait(dir, "name", 4, &inode), ENOENT);
	ck_assert_ok(fs_create(dir, "name", 4, &root_cred, 0600, &second, NULL));
	ck_assert_ptr_ne(second, first);
	ck_assert_ok(fs_lookup_nowait(dir, "name", 4, &inode));
	ck_assert_ptr_eq(inode, second);
	inode_put(inode);
	ck_assert_int_eq(unlinkat(dir->fd, "name", 0), 0);
	ck_assert_err(fs_lookup_nowait(dir, "name", 4, &inode), ENOENT);
	inode_put(first);
	inode_put(second);
	inode_put(dir);
	env_close(&env);
}
END_TEST

/* Where the directory is what it was the kernel is not asked again; where it moved, it is. */
START_TEST(nowait_believes_an_unmoved_directory_only)
{
	struct fs_env env;
	struct inode *inode;
	struct handle_native native;
	struct fs_stat st;
	int mount_id;
	env_open(&env);
	struct inode *dir = env_mkdir(env.root, "unmoved", 0755), *file;
	struct names *names = env.fs->names;
	ck_assert_ok(fs_create(dir, "name", 4, &root_cred, 0600, &file, NULL));
	ck_assert_ok(fs_lookup_nowait(dir, "name", 4, &inode));
	inode_put(inode);
	ck_assert_ok(fs_getattr(dir, &st));
	uint64_t ctime = change_ctime(&st.stx);
	ck_assert_int_eq(names_find(names, dir->priv, ctime, "name", 4, &native, &mount_id),
	    dir->priv->fse->fine_ctime ? NAMES_SAME : NAMES_CACHED);
	ck_assert_int_eq(names_find(names, dir->priv, ctime + 1, "name", 4, &native, &mount_id), NAMES_CACHED);
	ck_assert_int_eq(names_find(names, dir->priv, ctime, "nam", 3, &native, &mount_id), NAMES_UNKNOWN);
	ck_assert_int_eq(names_find(names, dir->priv, ctime, "other", 5, &native, &mount_id), NAMES_UNKNOWN);
	ck_assert_int_eq(names_find(names, env.root->priv, ctime, "name", 4, &native, &mount_id), NAMES_UNKNOWN);
	/* a name that is too long for the table is found the other way, each time */
	char longer[NAMES_LEN + 2];
	memset(longer, 'n', sizeof longer);
	struct inode *second;
	ck_assert_ok(fs_create(dir, longer, sizeof longer, &root_cred, 0600, &second, NULL));
	for (int i = 0; i < 2; i++) {
		ck_assert_ok(fs_lookup_nowait(dir, longer, sizeof longer, &inode));
		ck_assert_ptr_eq(inode, second);
		inode_put(inode);
	}
	inode_put(file);
	inode_put(second);
	inode_put(dir);
	env_close(&env);
}
END_TEST

/* Within a batch one look serves all; the next batch, and a change of the thread's own, want another. */
START_TEST(a_glance_serves_one_batch)
{
	struct fs_env env;
	struct fs_stat st;
	env_open(&env);
	struct inode *file = env_create(&env, "file", 0600);
	fs_glance_begin(7);
	ck_assert_ok(fs_glance(file, &st));
	ck_assert_uint_eq(st.stx.stx_mode & 0777, 0600);
	char path[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", file->fd);
	ck_assert_int_eq(chmod(path, 0640), 0);
	ck_assert_ok(fs_glance(file, &st));
	ck_assert_uint_eq(st.stx.stx_mode & 0777, 0600);
	ck_assert_ok(fs_getattr(file, &st));
	ck_assert_uint_eq(st.stx.stx_mode & 0777, 0640);
	fs_glance_begin(8);
	ck_assert_ok(fs_glance(file, &st));
	ck_assert_uint_eq(st.stx.stx_mode & 0777, 0640);
	struct fs_setattr set = { .what = FS_SET_MODE, .mode = 0400 };
	ck_assert_ok(fs_setattr(file, &root_cred, &set, false));
	fs_glance_begin(8);
	ck_assert_ok(fs_glance(file, &st));
	ck_assert_uint_eq(st.stx.stx_mode & 0777, 0400);
	fs_glance_begin(0);
	ck_assert_int_eq(chmod(path, 0600), 0);
	ck_assert_ok(fs_glance(file, &st));
	ck_assert_uint_eq(st.stx.stx_mode & 0777, 0600);
	inode_put(file);
	env_close(&env);
}
END_TEST

/* ---- READDIR ---- */

struct reader {
	unsigned room, seen[ENTRIES], other;
	uint64_t cookie, refused;
};

static bool
take(void *arg, const struct fs_dirent *ent)
{
	struct reader *r = arg;
	unsigned n;
	ck_assert_uint_gt(ent->cookie, 2);
	if (!r->room) {
		r->refused = ent->ino;
		return false;
	}
	r->room--;
	r->cookie = ent->cookie;
	if (ent->len > 6 && !memcmp(ent->name, "entry_", 6) && (n = (unsigned)atoi(ent->name + 6)) < ENTRIES)
		r->seen[n]++;
	else
		r->other++;
	return true;
}

START_TEST(cookies_resume_over_many_entries)
{
	static const unsigned rooms[] = { 1, 2, 7, 100, ENTRIES + 10 };
	struct fs_env env;
	env_open(&env);
	struct inode *dir = env_mkdir(env.root, "many", 0700);
	for (int i = 0; i < ENTRIES; i++) {
		char path[128];
		snprintf(path, sizeof path, "%s/many/entry_%d", xfs.mnt, i);
		int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		ck_assert_int_ge(fd, 0);
		close(fd);
	}
	for (unsigned k = 0; k < sizeof rooms / sizeof *rooms; k++) {
		struct reader r = { 0 };
		bool eof = false;
		unsigned calls = 0;
		while (!eof) {
			r.room = rooms[k];
			ck_assert_ok(fs_readdir(dir, r.cookie, take, &r, &eof));
			ck_assert_uint_le(++calls, ENTRIES + 1);
			ck_assert(eof || r.room == 0);
		}
		for (int i = 0; i < ENTRIES; i++)
			ck_assert_uint_eq(r.seen[i], 1);
		ck_assert_uint_eq(r.other, 0);	/* neither . nor .. */
	}
	inode_put(dir);
	env_close(&env);
}
END_TEST

/* PITFALLS E12 */
START_TEST(bad_cookies_are_told_apart)
{
	struct fs_env env;
	struct reader r = { .room = 10 };
	bool eof;
	env_open(&env);
	ck_assert_err(fs_readdir(env.root, 1, take, &r, &eof), EINVAL);
	ck_assert_err(fs_readdir(env.root, 2, take, &r, &eof), EINVAL);
	ck_assert_err(fs_readdir(env.root, UINT64_MAX, take, &r, &eof), EINVAL);
	/* Any other is a position; past the end there is nothing. */
	int err = fs_readdir(env.root, INT64_MAX, take, &r, &eof);
	ck_assert(err == -EINVAL || (err == 0 && eof));
	struct inode *file = env_create(&env, "nodir", 0600);
	ck_assert_err(fs_readdir(file, 0, take, &r, &eof), ENOTDIR);
	inode_put(file);
	env_close(&env);
}
END_TEST

/* tmpfs has small positions: they must not go out as 1 and 2. */
START_TEST(cookies_of_tmpfs)
{
	struct fs_env env;
	char path[128];
	bool eof = false;
	snprintf(path, sizeof path, "%s/tmpfs", xfs.dir);
	ck_assert_int_eq(mkdir(path, 0755), 0);
	ck_assert_int_eq(mount("none", path, "tmpfs", 0, NULL), 0);
	env_bare(&env);
	env.export = env_export(&env, path, true);
	ck_assert(!env.export->is_xfs);
	ck_assert_ok(fs_export_add(env.fs, env.export));
	ck_assert_ok(fs_root(env.fs, &env.root));
	for (int i = 0; i < 20; i++) {
		char name[16];
		struct inode *inode;
		int n = snprintf(name, sizeof name, "entry_%d", i);
		ck_assert_ok(fs_create(env.root, name, (unsigned)n, &root_cred, 0600, &inode, NULL));
		inode_put(inode);
	}
	struct reader r = { 0 };
	while (!eof) {
		r.room = 1;
		ck_assert_ok(fs_readdir(env.root, r.cookie, take, &r, &eof));
	}
	for (int i = 0; i < 20; i++)
		ck_assert_uint_eq(r.seen[i], 1);
	env_close(&env);
	umount2(path, MNT_DETACH);
}
END_TEST

/* ---- up ---- */

START_TEST(lookupp_goes_up_and_stops_at_the_top)
{
	struct fs_env env;
	struct inode *up, *up2;
	env_open(&env);
	struct inode *a = env_mkdir(env.root, "a", 0755), *b = env_mkdir(a, "b", 0755);
	ck_assert_ok(fs_lookupp(b, &up));
	ck_assert_ptr_eq(up, a);
	ck_assert_ok(fs_lookupp(up, &up2));
	ck_assert_ptr_eq(up2, env.root);
	ck_assert_err(fs_lookupp(env.root, &up), ENOENT);
	inode_put(up2);
	inode_put(a);
	inode_put(a);
	inode_put(b);
	env_close(&env);
}
END_TEST

/* PITFALLS E7: an export of part of a file system; a directory is moved out of it. */
START_TEST(lookupp_never_leaves_the_export)
{
	struct fs_env env;
	char path[128], from[160], to[160];
	struct inode *up;
	env_bare(&env);
	snprintf(path, sizeof path, "%s/part", xfs.mnt);
	snprintf(from, sizeof from, "%s/in", path);
	snprintf(to, sizeof to, "%s/out", xfs.mnt);
	ck_assert_int_eq(mkdir(path, 0777), 0);
	ck_assert_int_eq(mkdir(from, 0777), 0);
	env.export = env_export(&env, path, true);
	ck_assert_ok(fs_export_add(env.fs, env.export));
	ck_assert_ok(fs_root(env.fs, &env.root));
	struct inode *in = env_lookup(env.root, "in");
	ck_assert_ok(fs_lookupp(in, &up));
	ck_assert_ptr_eq(up, env.root);
	inode_put(up);
	ck_assert_int_eq(rename(from, to), 0);
	ck_assert_err(fs_lookupp(in, &up), ENOENT);
	ck_assert_err(fs_lookupp(env.root, &up), ENOENT);
	inode_put(in);
	env_close(&env);
}
END_TEST

START_TEST(other_mounts_are_not_crossed)
{
	struct fs_env env;
	char path[128];
	struct inode *inode;
	env_open(&env);
	inode_put(env_mkdir(env.root, "mnt", 0755));
	snprintf(path, sizeof path, "%s/mnt", xfs.mnt);
	ck_assert_int_eq(mount("none", path, "tmpfs", 0, NULL), 0);
	ck_assert_err(fs_lookup(env.root, "mnt", 3, &inode), EACCES);
	ck_assert_err(fs_lookup_nowait(env.root, "mnt", 3, &inode), EACCES);
	ck_assert_err(fs_remove(env.root, "mnt", 3, &root_cred, NULL), EBUSY);
	ck_assert_err(fs_rename(env.root, "mnt", 3, env.root, "mnt2", 4, &root_cred, NULL, NULL), EBUSY);
	umount2(path, MNT_DETACH);
	env_close(&env);
}
END_TEST

START_TEST(symbolic_links_are_not_followed)
{
	struct fs_env env;
	char buf[64];
	size_t len;
	struct inode *ln;
	env_open(&env);
	ck_assert_ok(fs_symlink(env.root, "etc", 3, &alice, "/etc/passwd", 11, &ln, NULL));
	ck_assert_uint_eq(ln->type, S_IFLNK);
	ck_assert_ok(fs_readlink(ln, buf, sizeof buf, &len));
	ck_assert_uint_eq(len, 11);
	ck_assert_mem_eq(buf, "/etc/passwd", 11);
	struct inode *again = env_lookup(env.root, "etc"), *below;
	ck_assert_ptr_eq(again, ln);
	ck_assert_err(fs_lookup(ln, "x", 1, &below), ENOTDIR);
	ck_assert_err(fs_readlink(env.root, buf, sizeof buf, &len), EINVAL);
	inode_put(again);
	inode_put(ln);
	env_close(&env);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("posix_dir");
	TCase *tc = tcase_create("posix_dir");
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, bad_names_are_refused);
	tcase_add_test(tc, nowait_finds_what_is_cached);
	tcase_add_test(tc, nowait_knows_what_changed_since);
	tcase_add_test(tc, nowait_believes_an_unmoved_directory_only);
	tcase_add_test(tc, a_glance_serves_one_batch);
	tcase_add_test(tc, cookies_resume_over_many_entries);
	tcase_add_test(tc, bad_cookies_are_told_apart);
	tcase_add_test(tc, cookies_of_tmpfs);
	tcase_add_test(tc, lookupp_goes_up_and_stops_at_the_top);
	tcase_add_test(tc, lookupp_never_leaves_the_export);
	tcase_add_test(tc, other_mounts_are_not_crossed);
	tcase_add_test(tc, symbolic_links_are_not_followed);
	return fs_fixture_main(suite);
}
