/* The tree above the exports, nested exports, fsid=0. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/fs/handle.h"
#include "tests/unit/server/fs/fs_fixture.h"

static char one[128], two[128], inner[160];

/* xfs.mnt/one, xfs.mnt/two, xfs.mnt/one/x/inner */
static void
make_dirs(void)
{
	char x[140];
	snprintf(one, sizeof one, "%s/one", xfs.mnt);
	snprintf(two, sizeof two, "%s/two", xfs.mnt);
	snprintf(x, sizeof x, "%s/x", one);
	snprintf(inner, sizeof inner, "%s/inner", x);
	mkdir(one, 0777);
	mkdir(two, 0777);
	mkdir(x, 0777);
	mkdir(inner, 0777);
}

/* "/tmp/a/b" from the root. */
static struct inode *
walk(struct fs *fs, const char *path)
{
	struct inode *at, *next;
	ck_assert_ok(fs_root(fs, &at));
	while (*path) {
		path += strspn(path, "/");
		size_t n = strcspn(path, "/");
		int err = fs_lookup(at, path, (unsigned)n, &next);
		ck_assert_msg(!err, "%s: %s", path, strerror(-err));
		inode_put(at);
		at = next;
		path += n;
	}
	return at;
}

struct names {
	unsigned n;
	char name[8][64];
	struct fs_dirent ent[8];
};

static bool
collect(void *arg, const struct fs_dirent *ent)
{
	struct names *names = arg;
	ck_assert_uint_lt(names->n, 8);
	ck_assert_uint_gt(ent->cookie, 2);
	names->ent[names->n] = *ent;
	snprintf(names->name[names->n++], 64, "%.*s", (int)ent->len, ent->name);
	return true;
}

START_TEST(tree_leads_to_the_exports)
{
	struct fs_env env;
	struct fs_stat st;
	struct names names = { 0 };
	struct fs_space space;
	bool eof;
	make_dirs();
	env_bare(&env);
	struct export *a = env_export(&env, one, false), *b = env_export(&env, two, false);
	ck_assert_uint_ne(a->id, b->id);
	ck_assert_ok(fs_export_add(env.fs, a));
	ck_assert_ok(fs_export_add(env.fs, b));
	ck_assert_err(fs_export_add(env.fs, a), EEXIST);

	struct inode *top = walk(env.fs, ""), *mnt = walk(env.fs, xfs.mnt), *ra = walk(env.fs, one), *up, *none;
	ck_assert_ptr_null(top->export);
	ck_assert_ptr_null(mnt->export);
	ck_assert_ptr_eq(ra->export, a);
	ck_assert_ok(fs_getattr(mnt, &st));
	ck_assert_uint_eq(st.stx.stx_mode, S_IFDIR | 0555);
	ck_assert_uint_eq(st.stx.stx_ino, mnt->ino);
	ck_assert_ok(fs_statfs(mnt, &space));
	ck_assert_ok(fs_readdir(mnt, 0, collect, &names, &eof));
	ck_assert(eof);
	ck_assert_uint_eq(names.n, 2);
	ck_assert_str_eq(names.name[0], "one");
	ck_assert(names.ent[0].mount);
	ck_assert_uint_eq(names.ent[0].ino, fs_mounted_on(ra));
	ck_assert_uint_ne(fs_mounted_on(ra), ra->ino);
	struct names rest = { 0 };
	ck_assert_ok(fs_readdir(mnt, names.ent[0].cookie, collect, &rest, &eof));
	ck_assert_uint_eq(rest.n, 1);
	ck_assert_str_eq(rest.name[0], "two");
	ck_assert_err(fs_readdir(mnt, 2, collect, &rest, &eof), EINVAL);

	ck_assert_err(fs_lookup(mnt, "three", 5, &none), ENOENT);
	ck_assert_err(fs_create(mnt, "new", 3, &root_cred, 0600, &none, NULL), EROFS);
	ck_assert_err(fs_remove(mnt, "one", 3, &root_cred, NULL), EROFS);
	ck_assert_ok(fs_lookupp(ra, &up));
	ck_assert_ptr_eq(up, mnt);
	inode_put(up);
	ck_assert_err(fs_lookupp(top, &up), ENOENT);

	inode_put(top);
	inode_put(mnt);
	inode_put(ra);
	fs_free(env.fs);
	export_put(a);
	export_put(b);
}
END_TEST

START_TEST(tree_follows_the_exports)
{
	struct fs_env env;
	struct fs_stat before, after;
	struct inode *mnt, *got;
	make_dirs();
	env_bare(&env);
	struct export *a = env_export(&env, one, false), *b = env_export(&env, two, false);
	ck_assert_ok(fs_export_add(env.fs, a));
	mnt = walk(env.fs, xfs.mnt);
	uint8_t h[FS_HANDLE_MAX];
	unsigned len = mnt->handle_len;
	memcpy(h, mnt->handle, len);
	ck_assert_ok(fs_getattr(mnt, &before));
	ck_assert_ok(fs_export_add(env.fs, b));
	ck_assert_ok(fs_getattr(mnt, &after));
	ck_assert_uint_gt(after.change, before.change);
	fs_export_remove(env.fs, b);
	ck_assert_err(fs_lookup(mnt, "two", 3, &got), ENOENT);
	fs_export_remove(env.fs, a);
	ck_assert_err(fs_inode(env.fs, h, len, &got), ESTALE);
	ck_assert_ok(fs_export_add(env.fs, a));
	ck_assert_ok(fs_inode(env.fs, h, len, &got));
	ck_assert_ptr_eq(got, mnt);
	inode_put(got);
	inode_put(mnt);
	fs_free(env.fs);

	/* After a restart with other exports first, the handle is the same (PITFALLS E8). */
	env_bare(&env);
	ck_assert_ok(fs_export_add(env.fs, b));
	ck_assert_ok(fs_export_add(env.fs, a));
	mnt = walk(env.fs, xfs.mnt);
	ck_assert_uint_eq(mnt->handle_len, len);
	ck_assert_mem_eq(mnt->handle, h, len);
	for (unsigned i = 0; i < len; i++) {
		h[i] ^= 1;
		ck_assert_err(fs_inode(env.fs, h, len, &got), EBADMSG);
		h[i] ^= 1;
	}
	inode_put(mnt);
	fs_free(env.fs);
	export_put(a);
	export_put(b);
}
END_TEST

START_TEST(export_below_an_export)
{
	struct fs_env env;
	struct names names = { 0 };
	bool eof;
	make_dirs();
	env_bare(&env);
	/* In either order. */
	struct export *in = env_export(&env, inner, false), *out = env_export(&env, one, false);
	ck_assert_ok(fs_export_add(env.fs, in));
	ck_assert_ok(fs_export_add(env.fs, out));
	struct inode *ri = walk(env.fs, inner), *x, *root, *top;
	ck_assert_ptr_eq(ri->export, in);
	ck_assert_ok(fs_lookupp(ri, &x));
	ck_assert_ptr_eq(x->export, out);
	ck_assert_ok(fs_readdir(x, 0, collect, &names, &eof));
	ck_assert_uint_eq(names.n, 1);
	ck_assert(names.ent[0].mount);
	ck_assert_uint_eq(names.ent[0].ino, fs_mounted_on(ri));
	ck_assert_err(fs_remove(x, "inner", 5, &root_cred, NULL), EBUSY);
	ck_assert_err(fs_rename(x, "inner", 5, x, "outer", 5, &root_cred, NULL, NULL), EBUSY);
	ck_assert_ok(fs_lookupp(x, &root));
	ck_assert_ok(fs_lookupp(root, &top));
	ck_assert_ptr_null(top->export);
	ck_assert_err(fs_link(ri, x, "l", 1, &root_cred, NULL), EXDEV);
	ck_assert_err(fs_rename(x, "n", 1, ri, "n", 1, &root_cred, NULL, NULL), EXDEV);
	inode_put(top);
	inode_put(root);
	inode_put(x);
	inode_put(ri);
	/* Without the inner one its directory is an ordinary one. */
	fs_export_remove(env.fs, in);
	ri = walk(env.fs, inner);
	ck_assert_ptr_eq(ri->export, out);
	inode_put(ri);
	fs_free(env.fs);
	export_put(in);
	export_put(out);
}
END_TEST

START_TEST(fsid_zero_is_the_root)
{
	struct fs_env env;
	struct inode *none;
	make_dirs();
	env_bare(&env);
	struct export *in = env_export(&env, two, false), *root = env_export(&env, xfs.mnt, true);
	struct export *slash = env_export(&env, xfs.dir, true);
	ck_assert_ok(fs_export_add(env.fs, in));
	ck_assert_ok(fs_export_add(env.fs, root));
	ck_assert_err(fs_export_add(env.fs, slash), EEXIST);
	struct inode *top = walk(env.fs, ""), *t = walk(env.fs, "/two"), *o = walk(env.fs, "/one");
	ck_assert_ptr_eq(top->export, root);
	ck_assert_ptr_eq(t->export, in);
	ck_assert_ptr_eq(o->export, root);
	ck_assert_err(fs_lookupp(top, &none), ENOENT);
	ck_assert_ok(fs_lookupp(t, &none));
	ck_assert_ptr_eq(none, top);
	inode_put(none);
	inode_put(top);
	inode_put(t);
	inode_put(o);
	fs_free(env.fs);
	export_put(in);
	export_put(root);
	export_put(slash);
}
END_TEST

static bool
is_that(const struct export *export, void *arg)
{
	return export == arg;
}

/* Which nodes are there for somebody to whom only one export is given. */
START_TEST(nodes_lead_to_exports)
{
	struct fs_env env;
	make_dirs();
	env_bare(&env);
	struct export *a = env_export(&env, inner, false), *b = env_export(&env, two, false);
	ck_assert_ok(fs_export_add(env.fs, a));
	ck_assert_ok(fs_export_add(env.fs, b));
	struct inode *top = walk(env.fs, ""), *mnt = walk(env.fs, xfs.mnt), *dir = walk(env.fs, one);
	ck_assert(fs_pseudo_leads(top, is_that, NULL));
	ck_assert(fs_pseudo_leads(mnt, is_that, a));
	ck_assert(fs_pseudo_leads(mnt, is_that, b));
	ck_assert(fs_pseudo_leads(dir, is_that, a));
	ck_assert(!fs_pseudo_leads(dir, is_that, b));
	ck_assert(!fs_pseudo_leads(mnt, is_that, NULL));
	fs_export_remove(env.fs, a);
	ck_assert(!fs_pseudo_leads(dir, is_that, a));
	inode_put(top);
	inode_put(mnt);
	inode_put(dir);
	fs_free(env.fs);
	export_put(a);
	export_put(b);
}
END_TEST

/* The first export at "/" of the host is the root of the tree too. */
START_TEST(export_of_the_whole_host)
{
	struct fs_env env;
	make_dirs();
	env_bare(&env);
	struct export *slash = env_export(&env, "/", false), *in = env_export(&env, two, false);
	ck_assert_ok(fs_export_add(env.fs, slash));
	ck_assert_ok(fs_export_add(env.fs, in));
	struct inode *top = walk(env.fs, ""), *etc = walk(env.fs, "/etc");
	ck_assert_ptr_eq(top->export, slash);
	ck_assert_ptr_eq(etc->export, slash);
	inode_put(top);
	inode_put(etc);
	fs_free(env.fs);
	export_put(slash);
	export_put(in);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("pseudo");
	TCase *tc = tcase_create("pseudo");
	tcase_set_timeout(tc, 60);
	suite_add_tcase(suite, tc);
	tcase_add_test(tc, tree_leads_to_the_exports);
	tcase_add_test(tc, tree_follows_the_exports);
	tcase_add_test(tc, export_below_an_export);
	tcase_add_test(tc, fsid_zero_is_the_root);
	tcase_add_test(tc, nodes_lead_to_exports);
	tcase_add_test(tc, export_of_the_whole_host);
	return fs_fixture_main(suite);
}
