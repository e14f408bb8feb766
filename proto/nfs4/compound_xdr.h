/*
 * The frame of COMPOUND (RFC 8881 16.2) and CB_COMPOUND (20.2), both ways, by hand:
 * operations are read and written one at a time, so that an unknown one in the
 * middle spoils nothing before it.
 *
 *            calls, writer   calls, reader   replies, writer   replies, reader
 * COMPOUND   client          server          server            client
 * CB_...     server          client          client            server
 */
#ifndef PNFS_PROTO_NFS4_COMPOUND_XDR_H
#define PNFS_PROTO_NFS4_COMPOUND_XDR_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/nfs4/attrs.h"
#include "proto/nfs4/op_xdr.h"
#include "proto/xdr/xdr_arena.h"

/*
 * A call being written.  Once something did not fit, the rest is ignored and
 * compound_call_end() says so.
 */
struct compound_call {
	XDR xdrs;
	uint8_t *count_at;
	uint32_t count;
	bool failed, cb;
};

/* Write into CAP bytes at BUF. */
void compound_call_begin(struct compound_call *c, void *buf, uint32_t cap, const char *tag, uint32_t minor);
void compound_cb_begin(struct compound_call *c, void *buf, uint32_t cap, const char *tag, uint32_t minor,
    uint32_t callback_ident);

/* Add an operation; ARGS points to its ...4args, NULL if it has none. */
void compound_call_op(struct compound_call *c, uint32_t op, const void *args);

/* The same for arguments the caller writes itself (without copies in between); NULL after a failure. */
XDR *compound_call_raw(struct compound_call *c, uint32_t op);

/* Patch the count; the bytes used, 0 if something did not fit. */
uint32_t compound_call_end(struct compound_call *c);

/* What stands before the operations of a call. */
struct compound_header {
	struct nfs_str tag;		/* in the stream */
	uint32_t minor;
	uint32_t callback_ident;	/* CB_COMPOUND only */
	uint32_t count;			/* of operations, as claimed */
};

/* False: malformed; RPC GARBAGE_ARGS or NFS4ERR_BADXDR. */
bool compound_header_get(XDR *xdrs, struct compound_header *header);
bool compound_cb_header_get(XDR *xdrs, struct compound_header *header);

/*
 * The next operation of a call.  NFS4_OK; NFS4ERR_OP_ILLEGAL (arg->argop is
 * OP_ILLEGAL then, and *op the number sent); NFS4ERR_BADXDR (*op is valid unless the
 * stream ended before it: then OP_ILLEGAL).  ARG is zeroed first.
 */
nfsstat4 compound_arg_get(XDR *xdrs, nfs_argop4 *arg, uint32_t *op);
nfsstat4 compound_cb_arg_get(XDR *xdrs, nfs_cb_argop4 *arg, uint32_t *op);

/* A reply being written; the same for both. */
struct compound_reply {
	XDR *xdrs;
	uint8_t *status_at, *count_at;
};

/* Leave room for the status and the count, and echo the tag.  False: no room. */
bool compound_reply_begin(struct compound_reply *r, XDR *xdrs, const struct nfs_str *tag);
/* Fill in both. */
void compound_reply_end(struct compound_reply *r, nfsstat4 status, uint32_t count);

/* One result: number and RES (...4res).  False: no room, and the stream is as before. */
bool compound_res_put(XDR *xdrs, uint32_t op, const void *res);
bool compound_cb_res_put(XDR *xdrs, uint32_t op, const void *res);

/* A reply being read. */
struct compound_results {
	XDR xdrs;
	nfsstat4 status;		/* of the last operation run */
	struct nfs_str tag;
	uint32_t left;			/* results not yet read */
};

/* 0, or -EBADMSG.  ARENA for what is decoded. */
int compound_results_begin(struct compound_results *r, void *buf, uint32_t len, struct arena *arena);

/*
 * The next result, which must be of operation OP: 0 and *res filled (its status may be an
 * error); -ENODATA: there is none (an operation before failed); -EBADMSG.  The first
 * member of every ...4res is its status.
 */
int compound_res_get(struct compound_results *r, uint32_t op, nfs_resop4 *res);
int compound_cb_res_get(struct compound_results *r, uint32_t op, nfs_cb_resop4 *res);

/* The same, but stops behind the number: the caller reads status and result from r->xdrs (READDIR by dirent.h). */
int compound_res_raw(struct compound_results *r, uint32_t op);

#endif
