/*
 * One ONC RPC connection over TCP (RFC 5531), calls in both directions: the same
 * code serves the server's forward channel, its backchannel, and the client.
 * libtirpc's svc_* and clnt_* cannot carry an NFSv4.1 backchannel; see
 * ARCHITECTURE.md, decision 1.
 *
 * A peer belongs to one loop.  One recv takes all the socket has, one writev
 * per turn sends all there is.
 */
#ifndef PNFS_PROTO_RPC_PEER_H
#define PNFS_PROTO_RPC_PEER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "proto/rpc/loop.h"
#include "proto/xdr/xdr_arena.h"

struct rpc_peer;

/* Largest record accepted by default: 1 MiB of data and room for the rest of a COMPOUND. */
#define RPC_MAX_RECORD ((1u << 20) + (64u << 10))

/* ---- records that come in ---- */

/*
 * Bytes received, counted.  A handler that outlives the call of ops->call (work
 * moved to another thread) takes a reference; aliased opaques live as long.
 */
struct rpc_rec;
struct rpc_rec *rpc_rec_get(struct rpc_rec *rec);
void rpc_rec_put(struct rpc_rec *rec);

#define RPC_MAX_GROUPS 16

/*
 * The caller, as its credential claims.  AUTH_NONE: uid = gid = 65534, no groups.  RPCSEC_GSS: what claims it is in rpc_call's gss; who it is says the context
 * (server/gss), which sets the rest.
 */
struct rpc_cred {
	uint32_t flavor;		/* AUTH_NONE, AUTH_SYS, RPCSEC_GSS */
	uint32_t uid, gid;
	uint32_t ngids;
	uint32_t gids[RPC_MAX_GROUPS];
	const char *principal;		/* RPCSEC_GSS: its name, the context's; else NULL */
};

/* The credential and verifier of a call with RPCSEC_GSS (RFC 2203 5.1, 5.3.1), taken apart, nothing verified. */
struct rpc_gss_cred {
	uint32_t proc, seq, service;
	uint8_t *handle;
	uint32_t handle_len;
	uint8_t *header;		/* what the verifier is of: xid to the end of the credential */
	uint32_t header_len;
	uint32_t verf_flavor;
	uint8_t *mic;
	uint32_t mic_len;
	struct gss_ctx *ctx;		/* the server's own, once it has verified the call (server/gss/gss.h); referenced */
};

/* An incoming CALL whose header was accepted; ARGS stands behind it. */
struct rpc_call {
	uint32_t xid, prog, vers, proc;
	struct rpc_cred cred;
	struct rpc_gss_cred gss;	/* only with cred.flavor RPCSEC_GSS */
	struct rpc_rec *rec;		/* ARGS points into it; borrowed */
	uint8_t *args;
	uint32_t args_len;
	uint32_t record_len;		/* of the whole record, header included */
	uint64_t batch;			/* calls with the same number were all here before the first of them was handed on; a thread's numbers grow from 1 */
};

/* ---- records that go out ---- */

/*
 * A record being built: DATA[0..LEN) is sent with the record mark before it.
 * Buffers are recycled.  rpc_out_get() rounds SIZE up (to at least 1984 bytes);
 * CAP says to what.  NULL without memory.
 */
struct rpc_out {
	struct rpc_out *next;		/* the owner's, then the peer's, to link */
	uint8_t *data;
	uint32_t len, cap;
};
struct rpc_out *rpc_out_get(uint32_t size);
void rpc_out_put(struct rpc_out *out);

/* accept_stat and reject codes in one space, for rpc_reply_header() */
enum rpc_status { RPC_OK, RPC_PROG_UNAVAIL, RPC_PROG_MISMATCH, RPC_PROC_UNAVAIL,
	RPC_GARBAGE_ARGS, RPC_SYSTEM_ERR, RPC_BADVERS, RPC_AUTH_BADCRED, RPC_AUTH_TOOWEAK,
	RPC_AUTH_BADVERF, RPC_AUTH_GSS_CRED, RPC_AUTH_GSS_CTX };	/* the last two: RFC 2203 5.3.3.3 */

/*
 * Bytes of a reply header with RPC_OK: the body goes at out->data + this.
 * (AUTH_NONE verifier.)
 */
#define RPC_REPLY_HEADER 24u

/* Write the header of a reply to XID into OUT (LEN is set behind it).  LOW and HIGH are versions, for MISMATCH. */
void rpc_reply_header(struct rpc_out *out, uint32_t xid, enum rpc_status status,
    uint32_t low, uint32_t high);

/*
 * Write a call header with AUTH_SYS (cred->flavor AUTH_SYS) or AUTH_NONE into
 * OUT.  The xid is filled in by rpc_peer_call().
 */
void rpc_call_header(struct rpc_out *out, uint32_t prog, uint32_t vers, uint32_t proc,
    const struct rpc_cred *cred, const char *machine);

/* ---- a connection ---- */

struct rpc_peer_ops {
	/* Calls with RPCSEC_GSS come to CALL, with nothing of it verified; else they are refused. */
	bool gss;
	/*
	 * Required if the other side may call.  Loop's thread.  Answer, now or
	 * later and from any thread, with rpc_peer_send(); or never.  RPC NULL
	 * comes here too.
	 */
	void (*call)(struct rpc_peer *peer, struct rpc_call *call);
	/* Required.  Loop's thread, once; err is -errno, 0 for an orderly end. */
	void (*closed)(struct rpc_peer *peer, int err);
};

/*
 * Take over a connected (or, with rpc_peer_connect, connecting) socket.  Loop's
 * thread.  The reference returned is the caller's; the connection holds one of its own
 * until it is closed.  OWNER is for the ops' use.
 */
struct rpc_peer *rpc_peer_new(struct loop *loop, int fd, const struct rpc_peer_ops *ops, void *owner);

/* Connect; ops->closed with the error if it fails, calls wait until it is up.  NULL without memory. */
struct rpc_peer *rpc_peer_connect(struct loop *loop, const struct sockaddr *addr, socklen_t len,
    const struct rpc_peer_ops *ops, void *owner);

void *rpc_peer_owner(const struct rpc_peer *peer);
void rpc_peer_set_owner(struct rpc_peer *peer, void *owner);
struct loop *rpc_peer_loop(const struct rpc_peer *peer);
const struct sockaddr *rpc_peer_addr(const struct rpc_peer *peer);

/* References are counted; any thread. */
struct rpc_peer *rpc_peer_get(struct rpc_peer *peer);
void rpc_peer_put(struct rpc_peer *peer);

/*
 * Send a record; takes OUT over.  Any thread.  On the loop's own thread it goes
 * out at the end of the turn, together with the others.  On a closed connection it
 * is dropped.
 */
void rpc_peer_send(struct rpc_peer *peer, struct rpc_out *out);

/* Outgoing call: the answer.  Loop's thread.  STATUS 0 and the result body, or
 * -errno: -ETIMEDOUT, -ECONNRESET (closed first), -EPROTO (rejected or malformed),
 * -EACCES (auth error), -EKEYEXPIRED (the one of RPCSEC_GSS: the context is not known or of no use any more),
 * -EKEYREJECTED (the answer is not by whom it should be).  BODY is borrowed. */
typedef void rpc_done_fn(struct rpc_peer *peer, void *arg, int status,
    uint8_t *body, uint32_t len, struct rpc_rec *rec);

/*
 * Send OUT (from rpc_call_header) as a call; DONE is called exactly once.
 * Any thread.  timeout_ms 0: none, until the connection closes.  A reply after the timeout is dropped.
 * Without memory DONE comes at once, on the caller's thread, with -ENOMEM.
 * Not after loop_stop().
 */
void rpc_peer_call(struct rpc_peer *peer, struct rpc_out *out, uint32_t timeout_ms,
    rpc_done_fn *done, void *arg);

/* A reply taken apart: verifier and results. */
struct rpc_reply {
	uint32_t verf_flavor;
	uint8_t *verf;
	uint32_t verf_len;
	uint8_t *body;
	uint32_t body_len;
};

/* What the answer to a call is held against before DONE sees it (gss.h). */
struct rpc_auth {
	/* 0, the body then being what DONE is to see; or -errno for it.  Loop's thread. */
	int (*open)(struct rpc_auth *auth, struct rpc_reply *reply);
	/* Not needed any more; once. */
	void (*drop)(struct rpc_auth *auth);
};

/* An xid for a call whose header is signed with it: in network order it then stands in OUT. */
uint32_t rpc_peer_xid(struct rpc_peer *peer);
/* rpc_peer_call() with an xid of rpc_peer_xid() in OUT; AUTH is taken over. */
void rpc_peer_call_auth(struct rpc_peer *peer, struct rpc_out *out, uint32_t timeout_ms,
    struct rpc_auth *auth, rpc_done_fn *done, void *arg);

/* Close: pending calls end with -ECONNRESET, then ops->closed(peer, 0).  Any thread. */
void rpc_peer_close(struct rpc_peer *peer);

/* Back-pressure: stop and start reading (a server with too many requests under way).  Loop's thread. */
void rpc_peer_pause(struct rpc_peer *peer, bool pause);

/* Bytes and records so far, for metrics and tests. */
struct rpc_peer_stats { uint64_t rx_bytes, tx_bytes, rx_records, tx_records, recvs, writevs; };
void rpc_peer_stats(const struct rpc_peer *peer, struct rpc_peer_stats *stats);

#endif
