/* Private to cb/: one callback, a session's queue of them, and their bytes. */
#ifndef PNFS_SERVER_CB_CB_IMPL_H
#define PNFS_SERVER_CB_CB_IMPL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "proto/rpc/peer.h"
#include "server/cb/cb.h"

/* Largest operation without its number: CB_LAYOUTRECALL takes 200, CB_NOTIFY_DEVICEID a few dozen. */
#define CB_OP_MAX 1024u

/* A callback somebody asked for. */
struct cb_call {
	TAILQ_ENTRY(cb_call) link;
	struct loop_work work;
	struct mds *mds;
	struct client *client;		/* referenced */
	struct session *only;		/* referenced; NULL: any of the client's */
	cb_take_fn *take;		/* NULL: only the status is of interest */
	cb_done_fn *done;
	void *done_arg;
	int status;
	uint64_t deadline_ms;
	bool sent;			/* it may have been executed */
	unsigned tries;
	struct cb_ref refs[CB_MAX_REFS];
	unsigned nrefs;
	uint32_t op, len;		/* number, and bytes of the arguments */
	uint8_t args[CB_OP_MAX];
};
TAILQ_HEAD(cb_calls, cb_call);

/* One CB_COMPOUND on its way. */
struct cb_flight {
	struct mds *mds;
	struct session *session;	/* referenced */
	struct conn *conn;		/* referenced */
	bool probe;			/* CB_SEQUENCE alone, to get into step again */
	bool resend;			/* of what was sent on a connection that broke */
};

/* session->lock */
struct cb_queue {
	struct cb_calls waiting;
	struct cb_call *current;	/* the slot is its */
	struct cb_flight *flight;	/* under way for it; a dead session's stays until it lands */
	uint32_t seqid;			/* of the next request on slot 0 (RFC 8881 18.36.4: the first is 1) */
	bool doubt;			/* has the client seen SEQID already? */
	bool resend;			/* the current one was sent with SEQID and is to be sent again */
	uint64_t retry_ms;		/* not before */
};

/* What the answer to CB_SEQUENCE and the operation behind it means for the slot. */
enum cb_outcome {
	CB_ANSWERED,		/* *op_status is the operation's */
	CB_STEP,		/* the slot has moved on, but there is no answer to the operation */
	CB_LATER,		/* the same again in a while */
	CB_OUT_OF_STEP,		/* SEQ_MISORDERED */
	CB_UNKNOWN,		/* BADSESSION: perhaps it has not read the answer to CREATE_SESSION yet */
	CB_REFUSED,		/* the client wants no callbacks here */
};

/* The reply's body; PROBE: CB_SEQUENCE was alone, without CALL's operation. */
enum cb_outcome cb_reply_parse(uint8_t *body, uint32_t len, const uint8_t *sessionid, uint32_t seqid, bool probe,
    const struct cb_call *call, nfsstat4 *op_status);

/* The arguments of ARG into CALL.  False: too long. */
bool cb_call_encode(struct cb_call *call, const nfs_cb_argop4 *arg);

struct session;
/* A whole CB_COMPOUND for the session's slot; CALL NULL: a probe.  session->lock held.  NULL without memory. */
struct rpc_out *cb_request(const struct session *session, uint32_t seqid, const struct cb_call *call);

#endif
