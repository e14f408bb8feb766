/*
 * May this be given, or done, beside what others hold?  Pure.
 *
 * The rule (RFC 8154 2.4.7, RFC 5663 2.3.5): a block has one client that may write it, or several that may read it.
 * What one client holds does not conflict with itself, but for two cases: where blocks move or go even the caller's own layouts stand in the way; and a WRITE
 * through the server into what the caller was told is a hole gives it blocks that its layout knows nothing of, so that it would go on reading zeros there.
 */
#ifndef PNFS_SERVER_LAYOUT_CONFLICT_H
#define PNFS_SERVER_LAYOUT_CONFLICT_H

#include "server/layout/layout.h"
#include "server/layout/range.h"

/* What one client holds of one file. */
struct holding {
	struct ranges read, rw;
	struct ranges holes;		/* of READ grants: was told to be a hole (NONE_DATA) */
};

/*
 * Somebody was refused and will come again: until then nothing is given that would refuse him again (RFC 8154
 * 2.4.6 asks for such a mechanism).
 */
struct want {
	uint64_t owner;			/* clientid; 0: a local process */
	enum layout_need need;
	struct range range;
	uint64_t expires_ms;
	bool met;			/* a BLOCKS operation was let through: it holds off others while it is at it, but not its own client */
};

/* The first byte of R at which H stands in the way of NEED; r.end: nowhere.  OWN: H is the asker's. */
uint64_t conflict_first(const struct holding *h, bool own, enum layout_need need, struct range r);

/*
 * What of H to recall if it stands in the way: R, but for a hole of the asker's own all of the hole, since who fills it from start to end shall be asked once.
 */
struct range conflict_recall(const struct holding *h, bool own, enum layout_need need, struct range r);

/*
 * The first byte of R that must not be given to CLIENT as a grant for NEED (READ or RW) because of W; r.end: none.  One's own want holds off what would be in its
 * way again.
 */
uint64_t conflict_want_first(const struct want *w, uint64_t client, enum layout_need need, struct range r);

#endif
