/*
 * The layout of one file: what is held (layout_map.h), by which stateid (RFC 8881 12.5.3), and what has to be told the server.
 *
 *   layout_get.c      LAYOUTGET, its retries, what came
 *   layout_commit.c   LAYOUTCOMMIT
 *   layout_return.c   LAYOUTRETURN: recalls, truncation, close, lost devices; losing all
 *
 * One LAYOUTGET of a file is under way at a time, and none while something is being returned; so the order of stateids needs no
 * more care than this: a recall that answers a LAYOUTGET overtakes its reply (RFC 8881 12.5.5.2.1), and is put off by DELAY.
 * Service thread.
 */
#ifndef PNFS_CLIENT_LAYOUT_H
#define PNFS_CLIENT_LAYOUT_H

#include "client/layout_map.h"
#include "client/mount.h"
#include "client/waiter.h"

struct node;
struct pnfs_file;

/*
 * REASON_NONE: look again, something usable may be there (or not: then ask again); else the range is to go through the server, for this reason.
 * STATUS is -ETIMEDOUT if it waited for as long as the mount's timeout says, else 0.
 */
typedef void layout_get_fn(void *arg, int status, enum reason reason);

/* Somebody who waits for a layout; embedded by its owner. */
struct layout_wait {
	TAILQ_ENTRY(layout_wait) link;
	struct pnfs_file *file;
	uint64_t offset, length;
	bool write;
	uint64_t submitted_ns;		/* the request it is for: the mount's timeout counts from there */
	layout_get_fn *done;
	void *arg;
	uint64_t since_ns;		/* layout_get()'s own */
};

/* A range on its way back: no new I/O -> I/O under way ends -> commit -> LAYOUTRETURN. */
struct layout_drop {
	TAILQ_ENTRY(layout_drop) link;
	struct mds_req req;
	struct node *node;
	struct layout_block block;
	enum layout_which which;
	bool recalled;			/* by the server: a LAYOUTRETURN is owed in any case */
	bool bulk;			/* part of a bulk recall: the LAYOUTRETURN is one for all files */
	bool told;			/* those who map the range themselves know */
	enum { DROP_DRAIN, DROP_COMMIT, DROP_RETURN } state;
	done_fn *done;			/* may be NULL */
	void *arg;
};

/* File ranges to be named in LAYOUTCOMMIT, each with the device it lies on: ascending, disjoint. */
struct commit_range {
	struct layout_range r;
	uint8_t device[NFS4_DEVICEID4_SIZE];
};
struct commit_ranges {
	struct commit_range *range;
	uint32_t n, cap;
};

struct layout {
	layouttype4 type;		/* 0: the server has none for this file that we know */
	struct layout_map map;
	bool have_stateid;
	stateid4 stateid;
	bool grow;			/* extents of its layouts may be written past the end of the file */
	enum reason off;		/* no layouts until off_ns, and why */
	uint64_t off_ns, off_for;
	uint64_t contended_ns;		/* when it was last recalled: ask for little for a while */
	uint32_t epoch;			/* rises when all is lost */

	struct layout_getting *get;	/* LAYOUTGET under way, or waiting for its repetition */
	TAILQ_HEAD(, layout_wait) waits;
	TAILQ_HEAD(, layout_drop) drops;
	struct loop_work kick;		/* of them */
	bool kick_posted;
	bool reclaim;			/* recovery has yet to look at it */
	struct pnfs_file *get_file;	/* whose open it uses */
	unsigned get_tries, state_tries;	/* in a row */
	bool raced;			/* something was returned since the LAYOUTGET was sent */

	bool dirty;			/* written directly since the last LAYOUTCOMMIT */
	uint64_t dirty_first, dirty_end;
	struct commit_ranges converted;	/* of it, what was INVALID */
	struct layout_commit *commit;	/* under way */
	uint64_t commit_ticket;		/* of the next snapshot */
	struct waiter_list commit_waiters;
};

void layout_init(struct layout *layout);
void layout_free(struct layout *layout);

/* fs_layout_types of the file's file system (RFC 8881 5.12.1): SCSI is preferred to block. */
void layout_types(struct node *node, const uint32_t *types, unsigned n);
/* Why no layout may be asked for now; REASON_NONE if it may. */
enum reason layout_refused(const struct node *node);

/* ---- layout_get.c ---- */

/* Ask for a layout; all of W but its link and since_ns is set, and it stays until its done(). */
void layout_get(struct layout_wait *w);
/* Those who wait since DEADLINE_NS or before are told -ETIMEDOUT. */
void layout_waits_expire(struct node *node, uint64_t deadline_ns);
/* Go on with those who wait, if nothing is in the way. */
void layout_kick(struct node *node);
/* A stateid came: the highest counts (RFC 8881 12.5.3). */
void layout_stateid(struct layout *layout, const stateid4 *stateid);

/* ---- layout_commit.c ---- */

/* [offset, end) was written to the device. */
void layout_dirty(struct node *node, uint64_t offset, uint64_t end);
/* Where what was written to devices, and is not known to the server yet, ends; 0: nothing.  LAYOUTCOMMITs under way count. */
uint64_t layout_own_end(const struct node *node);
/* Has [offset, end) a block only in part, and does such data lie in its blocks? */
bool layout_unsettled(const struct node *node, uint64_t offset, uint64_t end);
/* All written so far made known and durable; done(-EIO) if it cannot be proven (also told to the files' fsync). */
void layout_commit(struct node *node, done_fn *done, void *arg);
/* In recovery: by reclaim, RFC 8881 12.7.4. */
void layout_commit_reclaim(struct node *node, done_fn *done, void *arg);

/* ---- layout_return.c ---- */

/* Give back [offset, end). */
void layout_return(struct node *node, uint64_t offset, uint64_t end, done_fn *done, void *arg);
/* CB_LAYOUTRECALL of a file: the status to answer. */
nfsstat4 layout_recall(struct node *node, layoutiomode4 iomode, uint64_t offset, uint64_t end, const stateid4 *stateid);
/* The same as part of FSID or ALL: forgotten when drained and committed. */
void layout_forget(struct node *node, done_fn *done, void *arg);
/* Something ended that a drop may have waited for. */
void layout_drops_kick(struct node *node);
/* The server has forgotten: nothing may be used, nothing needs to be returned. */
void layout_lost(struct node *node);
/* I/O ends. */
void layout_unpin(struct node *node, struct layout_pin *pin);

#endif
