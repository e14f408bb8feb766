/* See fs_fixture.h. */
#include "tests/unit/server/fs/fs_fixture.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "server/fs/describe.h"

struct xfs_fixture xfs;
const struct fs_cred root_cred = { .uid = 0 };
const struct fs_cred alice = { .uid = 1001, .gid = 1001, .ngids = 1, .gids = { 5000 } };
const struct fs_cred bob = { .uid = 1002, .gid = 1002 };

/* server/export is another part; weak, should the library bring its own. */
struct export * __attribute__((weak))
export_get(struct export *export)
{
	export->refs++;
	return export;
}

void __attribute__((weak))
export_put(struct export *export)
{
	if (--export->refs)
		return;
	fs_export_close(export);
	free(export->line->path);
	free(export->line);
	free(export);
}

struct export *
env_export(struct fs_env *env, const char *path, bool fsid_root)
{
	char *error = NULL;
	struct export *export = calloc(1, sizeof *export);
	export->refs = 1;
	export->mds = &env->mds;
	export->line = calloc(1, sizeof *export->line);
	export->line->path = strdup(path);
	export->line->fsid_root = fsid_root;
	int err = fs_export_describe(export, &error);
	ck_assert_msg(!err, "%s", error);
	return export;
}

void
env_bare(struct fs_env *env)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	memset(env, 0, sizeof *env);
	env->mds.boot = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
	env->mds.conf.state_dir = xfs.dir;
	ck_assert_ok(fs_new(&env->mds, &env->fs));
}

void
env_open(struct fs_env *env)
{
	env_bare(env);
	env->export = env_export(env, xfs.mnt, true);
	ck_assert_ok(fs_export_add(env->fs, env->export));
	ck_assert_ok(fs_root(env->fs, &env->root));
}

void
env_close(struct fs_env *env)
{
	inode_put(env->root);
	fs_free(env->fs);
	if (env->export)
		export_put(env->export);
}

struct inode *
env_create(struct fs_env *env, const char *name, mode_t mode)
{
	struct inode *inode;
	ck_assert_ok(fs_create(env->root, name, (unsigned)strlen(name), &alice, mode, &inode, NULL));
	return inode;
}

struct inode *
env_mkdir(struct inode *dir, const char *name, mode_t mode)
{
	struct inode *inode;
	ck_assert_ok(fs_mkdir(dir, name, (unsigned)strlen(name), &alice, mode, &inode, NULL));
	return inode;
}

struct inode *
env_lookup(struct inode *dir, const char *name)
{
	struct inode *inode;
	ck_assert_ok(fs_lookup(dir, name, (unsigned)strlen(name), &inode));
	return inode;
}

uint64_t
env_change(struct inode *inode)
{
	struct fs_stat st;
	ck_assert_ok(fs_getattr(inode, &st));
	return st.change;
}

mode_t
env_mode(struct inode *inode)
{
	struct fs_stat st;
	ck_assert_ok(fs_getattr(inode, &st));
	return st.stx.stx_mode & 07777;
}

int
fs_fixture_main(Suite *suite)
{
	xfs_fixture_make(&xfs);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
