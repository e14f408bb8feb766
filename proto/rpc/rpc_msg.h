/*
 * Headers of RPC messages (RFC 5531 9), taken apart.  Those written are in
 * peer.h.  Called by peer.c and the fuzz target.
 */
#ifndef PNFS_PROTO_RPC_RPC_MSG_H
#define PNFS_PROTO_RPC_RPC_MSG_H

#include "proto/rpc/peer.h"

enum rpc_msg_type { RPC_MSG_CALL = 0, RPC_MSG_REPLY = 1 };

/* xid and type of a record: 0, or -EBADMSG if it is none. */
int rpc_msg_type(const uint8_t *data, uint32_t len, uint32_t *xid, enum rpc_msg_type *type);

/*
 * Take the header of a CALL apart.  0: *call is filled but for rec, *status
 * RPC_OK or why it is to be rejected.  -EBADMSG: too short to be answered.
 */
int rpc_msg_call(uint8_t *data, uint32_t len, struct rpc_call *call, enum rpc_status *status);

/* Take the header of a REPLY apart: 0, -EPROTO, -EACCES, -EKEYEXPIRED as rpc_done_fn. */
int rpc_msg_reply(uint8_t *data, uint32_t len, struct rpc_reply *reply);

#endif
