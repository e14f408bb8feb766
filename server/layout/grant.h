/* Giving layouts: what LAYOUTGET does below its wire format.  op_layout.c calls it, on a worker, or at_once on a loop. */
#ifndef PNFS_SERVER_LAYOUT_GRANT_H
#define PNFS_SERVER_LAYOUT_GRANT_H

#include "include/reason.h"
#include "proto/layout/layout_xdr.h"
#include "server/cb/cb.h"

struct client;
struct inode;
struct mds;

struct layout_ask {
	struct client *client;
	struct inode *inode;		/* regular, of an export with layouts of the asked type */
	bool by_layout;			/* the stateid was a layout's (layout_check_sid), not one that state_check_io() has approved */
	bool rw;
	bool at_once;			/* the caller must not wait: see layout_answer.wait */
	uint64_t offset, length, minlength;	/* their arithmetic was checked (RFC 8881 18.43.3) */
	uint32_t max_extents;		/* that fit in maxcount and in the reply; at least 1 */
	struct cb_ref ref;		/* the request */
	struct arena *arena;
};

struct layout_answer {
	stateid4 sid;
	uint64_t offset, length;	/* sum of the extents' */
	struct layout_extent *ext;	/* in the arena */
	uint32_t n;
	enum reason why;		/* of a refusal */
	bool wait;			/* was asked for at_once, and is no layout: nothing is decided, ask again where it may take its time */
};

/* Most extents of one grant: a megabyte's worth of reply is no use to anybody. */
#define GRANT_MAX_EXTENTS 4096u

/*
 * Does SID name a layout of the client's on this file?  NFS4_OK with *is_layout; or what is wrong with it: BAD_STATEID, OLD_STATEID,
 * DELEG_REVOKED.  A stateid that is no layout's is not looked at further.
 */
nfsstat4 layout_check_sid(struct mds *mds, struct client *client, struct inode *inode, const stateid4 *sid, bool *is_layout);

/*
 * Give a layout.  Statuses of LAYOUTGET (RFC 8881 15.2), answer->why telling the reason of a refusal.  On failure no state is left (PITFALLS A33).  Takes
 * io_lock for writing and state_lock.
 */
nfsstat4 layout_get(struct mds *mds, const struct layout_ask *ask, struct layout_answer *answer);

#endif
