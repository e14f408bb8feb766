/*
 * An event loop (libev) with a thread of its own.  Everything bound to a loop -
 * connections, timers, iSCSI sessions - is touched by its thread only; other
 * threads hand work over with loop_post().
 *
 * Server: one loop per core owns its share of the connections.
 * Client: one loop per mount.
 */
#ifndef PNFS_PROTO_RPC_LOOP_H
#define PNFS_PROTO_RPC_LOOP_H

#include <stdbool.h>
#include <ev.h>

struct loop;

/* A new loop; its thread does not run yet.  NULL without memory or descriptors. */
struct loop *loop_new(const char *name);

/* Start the thread.  0 or -errno. */
int loop_start(struct loop *loop);

/* Ask the loop to end after the turn it is in, and wait for the thread; then free. */
void loop_stop(struct loop *loop);

/* The libev loop, for watchers; only from its own thread (or before loop_start). */
struct ev_loop *loop_ev(struct loop *loop);

/* Are we on this loop's thread? */
bool loop_is_current(const struct loop *loop);

/*
 * Work handed to a loop.  The caller embeds it; it may be freed or posted again
 * from within fn.  Posted work runs in order, once, on the loop's thread.
 */
struct loop_work {
	void (*fn)(struct loop_work *);
	struct loop_work *next;
};

/* From any thread (also the loop's own: it then runs later in the same turn). */
void loop_post(struct loop *loop, struct loop_work *work);

/* Post and wait until it has run; not from the loop's own thread. */
void loop_call(struct loop *loop, void (*fn)(void *arg), void *arg);

/*
 * Run HOOK once before the loop sleeps, at the end of the present turn (for
 * batching: one writev per connection and turn).  Loop's own thread only.
 */
void loop_at_turn_end(struct loop *loop, struct loop_work *work);

#endif
