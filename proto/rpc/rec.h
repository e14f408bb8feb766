/*
 * Records that come in (RFC 5531 11): counted buffers, and the state of taking
 * a byte stream apart into records.  No socket here: peer.c receives into
 * rx_space() and the fuzz target and the tests do as well.
 */
#ifndef PNFS_PROTO_RPC_REC_H
#define PNFS_PROTO_RPC_REC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct rpc_rec {
	atomic_uint refs;
	uint32_t cap;
	struct rpc_rec *next;		/* while not in use */
	uint8_t data[];
};

/* A buffer for SIZE bytes (cap may be more), one reference; NULL without memory. */
struct rpc_rec *rpc_rec_new(uint32_t size);

/* A record: borrowed until the next call of rx_next() unless REC is referenced. */
struct rpc_view {
	struct rpc_rec *rec;
	uint8_t *data;
	uint32_t len;
};

struct rpc_rx {
	struct rpc_rec *buf;		/* what is received and not taken apart: [pos, end) */
	uint32_t pos, end;
	struct rpc_rec *big;		/* a record of its own: large, or in fragments */
	uint32_t big_len;		/* bytes of it that are here */
	uint32_t frag_left;		/* bytes of its present fragment to come */
	bool last;			/* which is the last one */
	bool handed;			/* big was given out by rx_next() */
	unsigned empty;			/* fragments of no length in it */
};

/* Where the next bytes are to be put; the number of IOV used (1 or 2), or -ENOMEM. */
int rx_space(struct rpc_rx *rx, struct iovec iov[2]);

/* N bytes were put there. */
void rx_filled(struct rpc_rx *rx, uint32_t n);

/* The next record: 1; 0: more bytes are needed; -EMSGSIZE, -EBADMSG, -ENOMEM. */
int rx_next(struct rpc_rx *rx, struct rpc_view *view);

/* After rx_next() said 0: give the buffer back if there is nothing in it. */
void rx_idle(struct rpc_rx *rx);

void rx_destroy(struct rpc_rx *rx);

#endif
