/*
 * The client's side of a backchannel: CB_COMPOUND taken apart operation by operation, CB_SEQUENCE and its slots
 * with their kept answers (RFC 8881 20.2, 20.9, 2.10.6).  What the other operations mean is the owner's.
 *
 * Loop's thread only.  Used by libpnfs (client/mds_cb.c) and the server's session to the kernel's nfsd (server/export/kernel_session.c).
 */
#ifndef PNFS_PROTO_NFS4_CB_CHANNEL_H
#define PNFS_PROTO_NFS4_CB_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/rpc/peer.h"
#include "proto/x/nfs4.h"
#include "proto/xdr/arena.h"

#define CB_CHANNEL_SLOTS 16u
#define CB_CHANNEL_REPLY 512u		/* the longest answer that is given and kept, bytes of CB_COMPOUND4res */

struct cb_channel;

struct cb_channel_ops {
	/* Required.  One operation but CB_SEQUENCE; its result goes to RES (zeroed), whose status is set to what is returned. */
	nfsstat4 (*op)(struct cb_channel *ch, const nfs_cb_argop4 *arg, nfs_cb_resop4 *res);
	/*
	 * Optional.  A new call, before it is run (its referring calls, RFC 8881 2.10.6.3): NFS4_OK to go on, NFS4ERR_DELAY, or -1: CALL was kept
	 * (its rec referenced), to be given to cb_channel_call() again.
	 */
	int (*admit)(struct cb_channel *ch, struct rpc_peer *peer, const struct rpc_call *call, const CB_SEQUENCE4args *seq);
};

struct cb_channel_slot {
	uint32_t seqid;			/* of the last call; 0: none yet */
	uint32_t len;			/* of its answer */
	uint8_t reply[CB_CHANNEL_REPLY];
};

struct cb_channel {
	const struct cb_channel_ops *ops;
	void *owner;			/* the ops' */
	uint32_t program;		/* csa_cb_program */
	uint32_t minor;
	uint8_t session[NFS4_SESSIONID_SIZE];
	struct arena arena;		/* of the call under way */
	struct cb_channel_slot slots[CB_CHANNEL_SLOTS];
};

/* The owner sets the program. */
void cb_channel_init(struct cb_channel *ch, const struct cb_channel_ops *ops, void *owner);
void cb_channel_destroy(struct cb_channel *ch);
/* A new session, of this minor version: all slots are new. */
void cb_channel_session(struct cb_channel *ch, const uint8_t session[NFS4_SESSIONID_SIZE], uint32_t minor);

/* Answer CALL (from rpc_peer_ops.call, or one that was kept), whatever it is. */
void cb_channel_call(struct cb_channel *ch, struct rpc_peer *peer, struct rpc_call *call);

#endif
