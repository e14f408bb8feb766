/*
 * An XFS of a test's own: image, loop device, mount in a private mount namespace.  For
 * tests of whatever needs real file handles, leases or FIEMAP.
 */
#ifndef PNFS_TESTS_XFS_FIXTURE_H
#define PNFS_TESTS_XFS_FIXTURE_H

struct xfs_fixture {
	char dir[64];			/* holds what follows and may hold more */
	char image[96], loop[64], mnt[96];
};

/* Exits with 77 (skipped) when not root or when there is no loop device or mkfs.xfs. */
void xfs_fixture_make(struct xfs_fixture *f);
void xfs_fixture_remount(struct xfs_fixture *f);
/* Also run at exit of the process that made it. */
void xfs_fixture_remove(struct xfs_fixture *f);

#endif
