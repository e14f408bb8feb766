/*
 * What is shared by all opens of one file: its handle, size, layout, and what was written but is not yet durable.
 * Service thread.
 */
#ifndef PNFS_CLIENT_NODE_H
#define PNFS_CLIENT_NODE_H

#include <sys/queue.h>
#include <uthash.h>

#include "client/layout.h"
#include "client/mount.h"

/* A WRITE answered UNSTABLE4: kept until COMMIT has the same verifier (RFC 8881 18.32, 18.3). */
struct kept {
	TAILQ_ENTRY(kept) link;
	struct pnfs_file *file;
	uint64_t offset;
	uint32_t len;
	uint8_t verf[NFS4_VERIFIER_SIZE];
	uint8_t data[];
};
TAILQ_HEAD(kept_list, kept);

struct node {
	UT_hash_handle hh;
	struct pnfs *m;
	struct fh fh;
	unsigned refs;
	fsid4 fsid;
	uint64_t fileid;
	uint64_t size;			/* as known */
	uint64_t told;			/* the file's size as the server has known it, at most, since what we wrote to devices is not all committed */
	bool size_stale;		/* somebody else may have changed it */
	uint32_t max_read, max_write;	/* bytes */
	LIST_HEAD(, pnfs_file) files;
	struct layout layout;

	TAILQ_HEAD(io_range_list, io_range) io_blocked;	/* writes through the server that wait for a read-modify-write */
	struct io_piece_list io_waiting;	/* the same on devices */
	struct kept_list kept;
	bool rewriting;			/* they are being sent again: new writes wait in held */
	TAILQ_HEAD(, held_write) held;
	struct mdsio_commit *commit;	/* COMMIT under way */
	uint64_t commit_ticket;		/* of the last COMMIT */
	struct waiter_list commit_waiters;
};

/* The node of FH, made if there was none; referenced.  NULL without memory. */
struct node *node_get(struct pnfs *m, const struct fh *fh);
struct node *node_find(struct pnfs *m, const uint8_t *fh, uint32_t len);
struct node *node_ref(struct node *node);
void node_put(struct node *node);
/* Take over size and identity. */
void node_update(struct node *node, const struct nfs_attrs *attrs);
/* A write error for each open file to tell (pnfs_fsync, pnfs_close). */
void node_error(struct node *node, int err);

#endif
