/*
 * Holders of a former life: clients that had layouts when the server ended without getting them back, and may still have I/O under way by them.  Which files
 * they wrote is not known any more, so grace (state/grace.c) lasts until all of them are done with: nothing is given and no block is freed
 * meanwhile (RFC 8881 12.7.4, RFC 5663 2.3.8).
 *
 * One is done with when
 *   - its device's former keys are cut off at the target (type 5), or the fencing command says so, or
 *   - the same instance of it (co_verifier) has come back and said RECLAIM_COMPLETE: it has seen the restart, stopped using its layouts (12.7.4), and
 *     committed by reclaim what it had written, or
 *   - the lease and the maximum I/O time, as they were when it was granted layouts, are over since the start of this life, or
 *   - another instance of it has come, and the maximum I/O time is over since: what the old one had sent may be on its way that long.
 */
#ifndef PNFS_SERVER_LAYOUT_FORMER_H
#define PNFS_SERVER_LAYOUT_FORMER_H

#include <stdbool.h>
#include <stdint.h>

struct client;
struct mds;

/* Read the records.  0 or -errno. */
int formers_new(struct mds *mds);
unsigned formers_count(const struct mds *mds);
/* After layouts_free(). */
void formers_free(struct mds *mds);

/* CLIENT was confirmed; it is done with reclaiming, or has been destroyed by its own will.  state_lock held. */
void former_back_locked(struct mds *mds, const struct client *client);
void former_done_locked(struct mds *mds, const struct client *client);

/*
 * Look whether some are done with, and have those cut off that are not expected back: all that are not here if RECLAIM_OVER, else those that have no right to
 * reclaim.  How many are left.  No lock held; waits for nobody.
 */
unsigned formers_tick(struct mds *mds, uint64_t now_ms, bool reclaim_over);

#endif
