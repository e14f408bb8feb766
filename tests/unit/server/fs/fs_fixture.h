/* A struct fs over one or more exports, for the tests of server/fs. */
#ifndef PNFS_TESTS_FS_FIXTURE_H
#define PNFS_TESTS_FS_FIXTURE_H

#include <check.h>

#include "server/conf/exports.h"
#include "server/export/export.h"
#include "server/fs/fs.h"
#include "server/mds.h"
#include "tests/unit/xfs_fixture.h"

#define ck_assert_ok(e) do { int e_ = (e); ck_assert_msg(e_ == 0, "%s: %s", #e, strerror(-e_)); } while (0)
#define ck_assert_err(e, want) do { int e_ = (e); \
	ck_assert_msg(e_ == -(want), "%s: %d (%s), not %s", #e, e_, strerror(-e_), #want); } while (0)

extern struct xfs_fixture xfs;
extern const struct fs_cred root_cred, alice, bob;	/* uid 0; 1001 of groups 1001, 5000; 1002 of 1002 */

struct fs_env {
	struct mds mds;
	struct fs *fs;
	struct inode *root;		/* of the export of xfs.mnt */
	struct export *export;
};

/* Every export a test makes: by its path; FSID_ROOT as fsid=0. */
struct export *env_export(struct fs_env *env, const char *path, bool fsid_root);
void env_bare(struct fs_env *env);	/* no export */
void env_open(struct fs_env *env);	/* xfs.mnt with fsid=0 */
void env_close(struct fs_env *env);

/* Below the export's root; a reference. */
struct inode *env_create(struct fs_env *env, const char *name, mode_t mode);
struct inode *env_mkdir(struct inode *dir, const char *name, mode_t mode);
struct inode *env_lookup(struct inode *dir, const char *name);
uint64_t env_change(struct inode *inode);
mode_t env_mode(struct inode *inode);

/* Runs SUITE over an XFS. */
int fs_fixture_main(Suite *suite);

#endif
