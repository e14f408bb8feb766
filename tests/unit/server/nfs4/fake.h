/*
 * What handlers stand on, made of paper: a tree of nodes in memory in place of fs/, layouts and
 * stateids that say what the test wants.  Everything a fake was asked is counted.
 */
#ifndef PNFS_TESTS_NFS4_FAKE_H
#define PNFS_TESTS_NFS4_FAKE_H

#include "server/layout/layout.h"
#include "server/mds.h"
#include "server/net/conn.h"
#include "server/nfs4/compound.h"
#include "server/nfs4/offload.h"
#include "server/state/deleg.h"

extern struct state_obj *fake_deleg;	/* what state_find_locked() finds; NULL: nothing */

struct export;

#define FAKE_NODES 300
#define FAKE_REPLY (256u << 10)

struct fake_node {
	struct inode inode;
	struct fs_stat st;
	char name[256];
	struct fake_node *parent;
	struct fake_node *mounted_on;	/* of the root of an export */
	char *data;			/* of a file */
	char target[64];		/* of a symbolic link */
	int err;			/* fs_lookup() of it fails so */
	unsigned refs;
	bool removed;
};

/* An extended attribute; they are the same for all nodes. */
struct fake_xattr {
	char name[256], value[64];
	unsigned len;
};
#define FAKE_XATTRS 64

struct fake {
	struct mds mds;
	struct conn conn;
	struct compound c;
	struct fake_node node[FAKE_NODES];
	unsigned nnodes;
	uint8_t reply[FAKE_REPLY];

	/* what fakes answer */
	struct deleg_seen seen;		/* deleg_getattr()'s */
	bool deleg_in_way;		/* deleg_make_way(): DELAY */
	unsigned deleg_ways;		/* how often it was asked ... */
	const struct inode *deleg_of;	/* ... last about this one */
	bool readonly, grace, visible, by_open, open, in_way, contended;
	unsigned clear_after;		/* layout_clear_locked() says no so many times */
	bool writers_wait;		/* layout_writers_wait() */
	bool former_nfsd;		/* former_nfsd_any() */
	unsigned let_go;		/* calls of layout_let_go() */
	nfsstat4 io_status;
	int commit_err, setattr_err;
	unsigned setattr_fails_at;	/* FS_SET_ bit whose step fails with setattr_err */
	ssize_t read_err;
	uint32_t room;
	bool no_acls;			/* the file system has none */
	struct fs_acl acl[2];		/* of every node, by enum fs_acl_kind */
	bool no_xattrs;			/* the file system has none */
	struct fake_xattr xattr[FAKE_XATTRS];
	unsigned nxattrs;
	int xattr_err;			/* of the verbs that change one */
	unsigned xattr_grows;		/* looks that find the value longer than the one before */

	/* what they were asked */
	unsigned lookups, make_way, renames, removes, setattrs, writes, write_errors;
	enum layout_need need;
	uint64_t need_offset, need_length;
	bool lock_held_at_change;	/* io_lock was held for writing when the fake changed something */
	bool wrote_sync, read_nowait, read_coherent;

	/* blocks */
	struct fake_way { const struct inode *inode; enum layout_need need; uint64_t offset, length; } ways[8];	/* asked of layout_make_way() */
	const struct inode *way_of;	/* with in_way: only this one's is blocked; NULL: any */
	unsigned spaces;		/* calls of fs_allocate(), fs_deallocate(), fs_clone() */
	uint64_t space_offset, space_len, clone_from;
	int space_err;
	int64_t copied;			/* fs_copy() says; 0: all */
	struct fs_copy copy;
	bool offloads;			/* offload_start() says; offload is what it was asked */
	struct offload_ask offload;
	nfsstat4 offload_status;	/* of OFFLOAD_STATUS, OFFLOAD_CANCEL */
	struct offload_progress progress;
	uint64_t data[8][2];		/* fs_seek(): where there is data, ascending; ended by {0, 0} */
};

extern struct fake *fake;
/* How the exports are exported to the caller. */
extern struct export_client fake_client;
extern struct export fake_export;
extern struct export fake_hidden;	/* is not exported to the caller */

/* A pseudo root with one export (node 0) below it, in a compound on a worker as uid 1000 with the export as current filehandle. */
void fake_setup(void);
void fake_teardown(void);
/* MODE with type bits; owned by 1000:1000. */
struct fake_node *fake_add(struct fake_node *parent, const char *name, mode_t mode);
/* A node of the pseudo root, and the root of fake_export or fake_hidden below it. */
struct fake_node *fake_pseudo(struct fake_node *parent, const char *name);
struct fake_node *fake_root(struct fake_node *parent, const char *name, struct export *export);
struct fake_node *fake_file(struct fake_node *parent, const char *name, const char *data);
void fake_cd(struct fake_node *node);
void fake_save(struct fake_node *node);
/* Is INODE's io_lock free now? */
bool fake_unlocked(struct inode *inode);

component4 fake_name(const char *s);
/* A fattr4 of A (mask included) in the compound's arena. */
struct nfs_attrs;
fattr4 fake_fattr(const struct nfs_attrs *a);

#endif
