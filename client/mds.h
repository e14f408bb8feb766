/*
 * The way to the metadata server: connection, client ID, session, slots (RFC 8881 2.10), for libpnfs.
 *
 *   mds.c          requests: queue, slots, sending, answers, retry
 *   mds_conn.c     connecting, losing the connection and coming back, timeouts, lease renewal
 *   mds_session.c  EXCHANGE_ID, CREATE_SESSION, BIND_CONN_TO_SESSION, and their end
 *   mds_cb.c       callbacks: CB_SEQUENCE, its slots, dispatch
 *   gss.c          RPCSEC_GSS: security contexts
 *
 * Everything runs on the loop's thread.  It knows no files: what a lost client ID or a callback means to those is the
 * mount's business (struct mds_hooks).
 */
#ifndef PNFS_CLIENT_MDS_H
#define PNFS_CLIENT_MDS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "client/compound.h"
#include "client/gss.h"
#include "client/lease.h"
#include "proto/nfs4/cb_channel.h"
#include "proto/rpc/peer.h"

struct mds;
struct mds_req;

/*
 * Append the operations behind SEQUENCE.  May be called more than once for a request: when there is to be more room, and
 * when it is built anew for a new session - never for a retry, which repeats the same bytes (RFC 8881 2.10.6.1.3).
 */
typedef void mds_build_fn(struct mds_req *req, struct compound_call *c);

/*
 * The answer.  STATUS 0: SEQUENCE was fine and the results are in REPLY, valid during the call; else -errno and REPLY is NULL:
 * -ETIMEDOUT (its outcome is then not known), -EMSGSIZE, -EPROTO, -ENOMEM, -ESHUTDOWN.
 */
typedef void mds_done_fn(struct mds_req *req, int status, struct reply *reply);

enum {
	MDS_CACHE = 1,			/* changes something: the server shall keep the answer (sa_cachethis) */
	MDS_PRIVILEGED = 2,		/* part of recovery: goes out while others wait, and never times out */
	MDS_NO_DELAY = 4,		/* give NFS4ERR_DELAY and GRACE to the caller instead of retrying */
};

/* A request; the caller embeds it, sets the first part, and keeps it until done. */
struct mds_req {
	mds_build_fn *build;
	mds_done_fn *done;
	unsigned flags;
	const void *data;		/* sent behind the built operations: the data of a WRITE */
	uint32_t data_len;
	uint64_t since_ns;		/* mds->timeout counts from here; 0: from mds_submit() */

	/* the engine's */
	struct mds *mds;
	TAILQ_ENTRY(mds_req) link;
	struct mds_slot *slot;
	uint64_t queued_ns;
	unsigned delays;
	bool queued;			/* in the queue or waiting for its time */
	bool resent;			/* it went out in an earlier session, and may have been done there */
	ev_timer timer;
};

struct mds_slot {
	struct mds *mds;
	uint32_t seqid;			/* of the request under way, or the next one */
	struct mds_req *req;		/* NULL while busy: its owner has given up (timeout) */
	struct rpc_out *msg;		/* the COMPOUND as sent, without the data */
	const void *data;
	uint32_t data_len;
	bool busy, waiting;		/* waiting: SEQUENCE said DELAY, to be repeated */
	uint64_t sent_ns;		/* last time */
	uint64_t first_ns;		/* first time: a repetition is answered from the reply cache, and may renew nothing */
	ev_timer timer;
};

#define MDS_MAX_SLOTS 128u

/* A callback that waits for answers it refers to (RFC 8881 2.10.6.3). */
struct mds_cb_held {
	TAILQ_ENTRY(mds_cb_held) link;
	struct rpc_peer *peer;
	struct rpc_call call;		/* its rec is referenced */
	uint64_t since_ns;
};

enum mds_state { MDS_OFF, MDS_CONNECTING, MDS_RECLAIMING, MDS_UP, MDS_ENDING };

struct mds_hooks {
	/* Required.  The first time up (0), or why that is not to be; once. */
	void (*started)(struct mds *mds, int status);
	/* Required.  There is a new client ID and all state is gone: reclaim it by privileged requests, then mds_reclaimed(). */
	void (*reclaim)(struct mds *mds);
	/*
	 * Required.  sr_status_flags that say that state was revoked or has moved, or devices have changed (RFC 8881 18.46.3): with each answer that has them, and
	 * once by 0 when they are gone.
	 */
	void (*revoked)(struct mds *mds, uint32_t flags);
	/* Required.  One callback operation but CB_SEQUENCE; its result goes to RES, whose status is preset to what is returned. */
	nfsstat4 (*callback)(struct mds *mds, const nfs_cb_argop4 *arg, nfs_cb_resop4 *res);
	/* Required.  An answer came in time after the lease could no longer be relied on, or the lease was renewed: I/O that waited may go on. */
	void (*renewed)(struct mds *mds);
	/* Required.  The lease may be over by the clock. */
	void (*expired)(struct mds *mds);
	/* Required.  What was asked for at DEADLINE_NS or before has waited for as long as mds->timeout says. */
	void (*timeout)(struct mds *mds, uint64_t deadline_ns);
};

struct mds_stats { uint64_t reconnects, recoveries; };

struct mds {
	struct loop *loop;
	const struct mds_hooks *hooks;
	void *owner;			/* the hooks' */
	struct sockaddr_storage addr;
	socklen_t addrlen;
	struct rpc_cred cred;
	struct mds_gss gss;
	char machine[65];
	unsigned timeout;		/* seconds a request waits at most; 0: for ever */
	unsigned want_slots;

	enum mds_state state;
	bool started;
	struct rpc_peer *peer;
	unsigned failures;		/* attempts to connect in a row */
	uint64_t start_ns;		/* mds_start() */
	ev_timer tick, retry;

	/* client ID and session */
	uint32_t minor;
	bool minor_fixed;
	char ownerid[160];
	uint8_t verifier[NFS4_VERIFIER_SIZE];
	bool have_clientid, have_session;
	bool fresh;			/* a client ID nothing was reclaimed for yet */
	bool reclaiming, reclaim_again;	/* the hook is at it; lost once more meanwhile */
	clientid4 clientid;
	uint32_t create_seq;		/* of the next CREATE_SESSION */
	bool create_ahead;		/* it counts one that the server refused; not all servers do */
	bool create_asked;		/* EXCHANGE_ID was asked what the server knows of us */
	bool fault;			/* SEQ4_STATUS_BACKCHANNEL_FAULT: the session is drained, then replaced */
	uint32_t flags_told;		/* hooks->revoked knows of */
	uint32_t flags_later;		/* seen while state was being reclaimed */
	uint64_t reclaimed_ns;		/* when that was over */
	uint32_t exchange_flags;	/* eir_flags */
	bool ours;			/* a pnfs-mds: its fsid is made of the file system's UUID (proto/nfs4/fsid.h) */
	uint8_t session[NFS4_SESSIONID_SIZE];
	channel_attrs4 fore, back;
	bool back_channel;		/* CONN_BACK_CHAN was granted, or BIND said both */
	uint64_t bound_ns;		/* last BIND_CONN_TO_SESSION */
	void (*stopped)(struct mds *mds);
	ev_timer stop_timer;
	struct mds_control *control;	/* the call of connection set-up that is under way */

	struct lease lease;
	bool lease_was_valid;
	struct mds_req renew;
	bool renewing;

	struct mds_slot slots[MDS_MAX_SLOTS];
	uint32_t nslots, target;	/* target: the server's wish, as a count */
	TAILQ_HEAD(, mds_req) queue, urgent, delayed;
	struct arena arena;

	struct cb_channel cb;
	bool cb_again;			/* a callback that was held is looked at again */
	TAILQ_HEAD(, mds_cb_held) cb_held;
	unsigned ncb_held;
	struct mds_stats stats;
};

/* Set defaults (machine, owner, verifier); before the loop starts. */
void mds_init(struct mds *mds, struct loop *loop, const struct mds_hooks *hooks, void *owner);
/* Connect; hooks->started tells.  Loop's thread, as all that follows. */
void mds_start(struct mds *mds);
/* Reclaiming is over. */
void mds_reclaimed(struct mds *mds);
/* Destroy session and client ID, close.  What is queued ends with -ESHUTDOWN.  DONE comes within 5 s. */
void mds_stop(struct mds *mds, void (*done)(struct mds *mds));
void mds_free(struct mds *mds);

void mds_submit(struct mds *mds, struct mds_req *req);

/*
 * Nothing is left of us at the server, but it cannot say goodbye (EXPIRED_ALL_STATE_REVOKED stays): a new client ID by a new verifier
 * (RFC 8881 8.4.3); hooks->reclaim follows.
 */
void mds_renounce(struct mds *mds);

/* SEQUENCE now, if none is under way (the lease is in doubt): hooks->renewed follows when it worked. */
void mds_renew(struct mds *mds);

/* May I/O to a device start now? */
bool mds_lease_valid(const struct mds *mds);

/* Bytes of file data a READ or WRITE may carry in this session; a multiple of 4096. */
uint32_t mds_max_read(const struct mds *mds);
uint32_t mds_max_write(const struct mds *mds);

/* ---- between the files of the engine ---- */

void mds_pump(struct mds *mds);
void mds_slot_send(struct mds *mds, struct mds_slot *slot);
/* The connection is back and bound: what is unanswered goes out again, same slot and sequence. */
void mds_resend(struct mds *mds);
/* A new session: all slots start anew, what was in them is built again. */
void mds_slots_reset(struct mds *mds, uint32_t nslots);
/* End requests with STATUS: those older than DEADLINE_NS (UINT64_MAX: all). */
void mds_expire(struct mds *mds, uint64_t deadline_ns, int status);

extern const struct rpc_peer_ops mds_peer_ops;
void mds_connect(struct mds *mds);
/* Drop the connection and come back; FORGET the session too. */
void mds_reconnect(struct mds *mds, bool forget);
/* The header of a call of COMPOUND into OUT; its sending, with the arguments that stand from AT on: in the flavor of the mount. */
void mds_call_header(struct mds *mds, struct rpc_out *out);
void mds_call_send(struct mds *mds, struct rpc_out *out, uint32_t at, uint32_t timeout_ms, rpc_done_fn *done, void *arg);
/* Is STATUS (of a call) the end of the security context?  Then another one is made, over a new connection. */
bool mds_gss_lost(struct mds *mds, int status);
/* There is no security context to be had. */
void mds_gss_failed(struct mds *mds, int err);
/* The connection is there: establish what is missing, step by step. */
void mds_establish(struct mds *mds);
void mds_bind(struct mds *mds);
void mds_conn_up(struct mds *mds);
/* sr_status_flags of the answer to a request first sent at SENT_NS. */
void mds_flags(struct mds *mds, uint32_t flags, uint64_t sent_ns);
/* mds->fault: when nothing is under way any more, on to another session. */
void mds_fault_step(struct mds *mds);

struct mds_control;
void mds_control_drop(struct mds *mds);

extern const struct cb_channel_ops mds_cb_ops;
void mds_cb_call(struct rpc_peer *peer, struct rpc_call *call);
void mds_cb_reset(struct mds *mds);
/* An answer was taken: callbacks that referred to it may go on. */
void mds_cb_release(struct mds *mds);
bool mds_slot_busy_with(const struct mds *mds, const uint8_t *session, uint32_t slot, uint32_t seqid);

#endif
