/*
 * A directory in memory and a compound on it, for the operations on state: everything below OPEN, CLOSE and
 * LOCK is real but the file system, layouts and grace.
 */
#ifndef PNFS_TESTS_OPEN_FAKE_H
#define PNFS_TESTS_OPEN_FAKE_H

#include "server/export/export.h"
#include "server/layout/layout.h"
#include "server/nfs4/compound.h"
#include "tests/unit/server/state/fake_state.h"

#define OPEN_FAKE_FILES 32

struct open_fake_file {
	struct inode *inode;
	struct fs_stat st;
	char name[64];
	bool removed;
};

struct open_fake {
	struct mds mds;
	struct client client[2];
	struct export export;
	struct compound c;
	nfs_argop4 arg;
	nfs_resop4 res;
	struct open_fake_file file[OPEN_FAKE_FILES];	/* 0: the directory */
	unsigned nfiles;

	bool readonly;			/* by its export's line; seen at the next open_fake_cd() */
	nfsstat4 make_way;		/* what layouts answer */
	int setattr_err;
	unsigned setattr_fails_at;	/* FS_SET_ bits */
	unsigned creates, ways, truncates, layouts_closed;
	bool locked_at_truncate;	/* io_lock was held for writing */
};

extern struct open_fake *of;

void open_fake_setup(void);
void open_fake_teardown(void);
/* A file of that name and mode (with type), owned by UID. */
struct open_fake_file *open_fake_add(const char *name, mode_t mode, uid_t uid);
struct open_fake_file *open_fake_find(const char *name);
/* Be this client and user; current filehandle the directory, or FILE. */
void open_fake_be(unsigned client, uid_t uid);
void open_fake_cd(struct open_fake_file *file);

/* Run an operation with of->arg; of->res is zeroed before. */
nfsstat4 open_fake_run(op_fn *op);

/* The current stateid (RFC 8881 16.2.3.1.2). */
extern const stateid4 open_fake_current;
/* of->arg an OPEN of NAME (NULL: the current filehandle) by "owner"; to be changed before open_fake_run(op_open). */
OPEN4args *open_fake_args(const char *name, uint32_t access, uint32_t deny);
nfsstat4 open_fake_open(const char *name, uint32_t access, uint32_t deny);
/* What OPEN answered. */
OPEN4resok *open_fake_ok(void);
nfsstat4 open_fake_close(stateid4 sid);

#endif
