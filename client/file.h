/*
 * An open file.  open.c opens, reopens and closes; file.c has fstat, truncate, fsync and what went through the server.
 * Service thread, but for the functions of pnfs.h.
 */
#ifndef PNFS_CLIENT_FILE_H
#define PNFS_CLIENT_FILE_H

#include "client/node.h"

#define FILE_MAX_FALLBACKS 256u

struct fallback {
	uint64_t offset, length;
	enum reason reason;
};

struct pnfs_file {
	LIST_ENTRY(pnfs_file) link, node_link;
	struct pnfs *m;
	struct node *node;
	stateid4 stateid;
	uint32_t access;		/* OPEN4_SHARE_ACCESS_... */
	uint32_t owner;
	int error;			/* of a write, not yet told */
	int dead;			/* -errno: the file could not be opened again; all I/O fails */
	bool lost;			/* could not be reclaimed: to be opened again */
	bool reopening;
	unsigned ios;			/* pnfs_submit()s under way */
	struct close_op *closing;	/* waits for them */
	struct mds_req reopen;
	struct waiter_list reopen_waiters;
	unsigned nfallbacks;
	struct fallback fallbacks[FILE_MAX_FALLBACKS];
};

/* The stateid for READ, WRITE, SETATTR, LAYOUTGET: "the newest" (RFC 8881 8.2.2). */
stateid4 file_stateid(const struct pnfs_file *file);

/* Is STATUS one of a stateid that is no longer good? */
bool status_is_state(nfsstat4 status);

/* Open again by CLAIM_FH (RFC 8881 18.16), checking that it is the same file; or by CLAIM_PREVIOUS in recovery. */
void file_reopen(struct pnfs_file *file, done_fn *done, void *arg);
/* Append an OPEN of FILE with CLAIM to C; for file_reopen and recover.c. */
void file_open_args(struct pnfs_file *file, struct compound_call *c, open_claim_type4 claim);
/* Take its answer: PUTFH, OPEN and GETATTR. */
int file_open_take(struct pnfs_file *file, struct reply *reply);

/* I/O under way awaited, all durable, layouts back, CLOSE; FILE is gone when DONE runs with the first error. */
void file_close(struct pnfs_file *file, done_fn *done, void *arg);
/* The last I/O under way ended: a close goes on. */
void file_idle(struct pnfs_file *file);
/* LAYOUTCOMMIT and COMMIT as needed; the first error not told is told. */
void file_fsync(struct pnfs_file *file, done_fn *done, void *arg);
/* GETATTR; ST may be NULL. */
void file_getattr(struct pnfs_file *file, struct stat *st, done_fn *done, void *arg);
void file_truncate(struct pnfs_file *file, uint64_t size, done_fn *done, void *arg);

/* Note that a range went through the server. */
void file_fallback(struct pnfs_file *file, uint64_t offset, uint64_t length, enum reason reason);

#endif
