/*
 * Requests whose replies a client may not have digested yet: what a recall refers to (RFC 8881 2.10.6.3, 20.9.3), so that it is not taken for one of something
 * the client does not have.  layout/recall.c and state/deleg_recall.c.
 */
#ifndef PNFS_SERVER_CB_REF_H
#define PNFS_SERVER_CB_REF_H

#include "server/cb/cb.h"

/* Beyond CB_MAX_REFS a callback cannot name them: the oldest is the likeliest to have arrived. */
struct cb_refs {
	struct cb_ref ref[CB_MAX_REFS];
	unsigned n;
};

/* Has the client got the reply to this call (its slot has moved on)?  These want state_lock and take the session's. */
bool cb_ref_acked_locked(struct mds *mds, const struct cb_ref *ref);
/* The reply to REF is going to be sent. */
void cb_refs_note_locked(struct mds *mds, struct cb_refs *refs, const struct cb_ref *ref);
/* Forget those whose replies the client has. */
void cb_refs_prune_locked(struct mds *mds, struct cb_refs *refs);

#endif
