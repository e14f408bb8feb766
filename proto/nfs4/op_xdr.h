/*
 * How each operation's arguments and results are read and written: the server,
 * the client and the callbacks of both decode a COMPOUND operation by operation
 * with this (compound_xdr.h).
 *
 * All members of nfs_argop4_u have the same address, so a pointer to the union is
 * what ARGS wants; RES the same with nfs_resop4_u, nfs_cb_argop4_u,
 * nfs_cb_resop4_u.  What is decoded into must be zeroed before.
 */
#ifndef PNFS_PROTO_NFS4_OP_XDR_H
#define PNFS_PROTO_NFS4_OP_XDR_H

#include "proto/x/nfs4.h"

struct op_xdr {
	const char *name;		/* without OP_ */
	xdrproc_t args, res;
};

/* By operation number, minor version 2 (a superset of 1); NULL if there is none: NFS4ERR_OP_ILLEGAL. */
const struct op_xdr *nfs4_op_xdr(uint32_t op);
const struct op_xdr *nfs4_cb_op_xdr(uint32_t op);

#endif
