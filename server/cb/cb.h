/*
 * Callbacks: CB_COMPOUND {CB_SEQUENCE, one operation} on a connection bound to a backchannel of the client (RFC 8881 2.10.3, 20.9).
 */
#ifndef PNFS_SERVER_CB_CB_H
#define PNFS_SERVER_CB_CB_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/x/nfs4.h"

struct cb_queue;
struct client;
struct mds;
struct session;

/*
 * The answer.  STATUS >= 0: nfsstat4 of the operation.  -ENOTCONN: no backchannel now (SEQ4_STATUS_CB_PATH_DOWN is then set by itself; cb_path_up is
 * called when there is one again).  -ETIMEDOUT, -ECONNRESET: sent, no answer: may or may not have been executed.
 * On a loop's thread, no lock held.
 */
typedef void cb_done_fn(struct mds *mds, void *arg, int status);

/*
 * A request of the client that the callback refers to, for csa_referring_call_lists of CB_SEQUENCE (RFC 8881 20.9.3, 2.10.6.3): the client
 * acts on the callback only when it has the reply to it (PITFALLS C12).
 */
struct cb_ref {
	uint8_t session[NFS4_SESSIONID_SIZE];
	uint32_t slot, seqid;		/* slotid and sequence id of its SEQUENCE */
};
#define CB_MAX_REFS 8u

/*
 * Send ARG (encoded before this returns) to CLIENT, on any of its sessions with a live backchannel.  One callback at a time per session, the others
 * queue.  REFS (copied; nrefs at most CB_MAX_REFS, may be 0) may be left out if they do not fit the backchannel.  Any thread, no lock
 * held.  DONE is called exactly once.  timeout_ms bounds the wait for the answer, queueing included.
 */
void cb_send(struct mds *mds, struct client *client, const nfs_cb_argop4 *arg, const struct cb_ref *refs, unsigned nrefs,
    uint32_t timeout_ms, cb_done_fn *done, void *done_arg);

/* The same on this session and no other (CB_RECALL_SLOT is about it). */
void cb_send_session(struct mds *mds, struct session *session, const nfs_cb_argop4 *arg, uint32_t timeout_ms, cb_done_fn *done, void *done_arg);

/*
 * The same for one whose result is wanted: TAKE sees the operation's result, whatever its status, before DONE and only if one came.  Called with a session's lock held: it takes what
 * it needs into DONE_ARG, and nothing else.
 */
typedef void cb_take_fn(void *arg, const nfs_cb_resop4 *res);
void cb_ask(struct mds *mds, struct client *client, const nfs_cb_argop4 *arg, uint32_t timeout_ms, cb_take_fn *take, cb_done_fn *done,
    void *done_arg);

/* Has CLIENT a live backchannel?  With state_lock held it stays so. */
bool cb_path_locked(const struct client *client);

/* Called (no lock held) when a client gets a backchannel after it had none: recalls are sent again (PITFALLS C14).  Set by layout/recall.c. */
extern void (*cb_path_up)(struct mds *mds, struct client *client);

/* session.c, conn.c: bindings changed, or the session goes: queued callbacks move to another or fail. */
void cb_session_changed(struct mds *mds, struct session *session);
/* The same for a session that is being destroyed: what is to be done is left to a loop.  state_lock held. */
void cb_session_dead(struct mds *mds, struct session *session);

/* Once a second: callbacks that waited too long, and those to be tried again.  No lock held. */
void cb_tick(struct mds *mds, uint64_t now_ms);

/* session.c: a session's queue. */
struct cb_queue *cb_queue_new(void);
void cb_queue_free(struct cb_queue *queue);

#endif
