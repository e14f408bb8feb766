/*
 * Callbacks from the metadata server (RFC 8881 20) on the same connection: proto/nfs4/cb_channel.h takes them apart, those that overtake answers
 * wait here, the operations go to the mount's hook.  Called by the connection, on the loop's thread.
 */
#include "client/mds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "include/log.h"

#define MAX_HELD 64u			/* callbacks that wait for answers */
#define HELD_NS 5000000000ull		/* then DELAY */

void
mds_cb_reset(struct mds *mds)
{
	struct mds_cb_held *held;
	cb_channel_session(&mds->cb, mds->session, mds->minor);
	while ((held = TAILQ_FIRST(&mds->cb_held))) {
		TAILQ_REMOVE(&mds->cb_held, held, link);
		rpc_rec_put(held->call.rec);
		rpc_peer_put(held->peer);
		free(held);
	}
	mds->ncb_held = 0;
}

/* Does it refer to requests whose answers we have not got yet (RFC 8881 2.10.6.3)? */
static bool
refers_ahead(const struct mds *mds, const CB_SEQUENCE4args *args)
{
	for (u_int i = 0; i < args->csa_referring_call_lists.csa_referring_call_lists_len; i++) {
		const referring_call_list4 *list = &args->csa_referring_call_lists.csa_referring_call_lists_val[i];
		for (u_int j = 0; j < list->rcl_referring_calls.rcl_referring_calls_len; j++) {
			const referring_call4 *call = &list->rcl_referring_calls.rcl_referring_calls_val[j];
			if (mds_slot_busy_with(mds, (const uint8_t *)list->rcl_sessionid,
			    call->rc_slotid, call->rc_sequenceid))
				return true;
		}
	}
	return false;
}

static bool
hold(struct mds *mds, struct rpc_peer *peer, const struct rpc_call *call)
{
	struct mds_cb_held *held = mds->ncb_held < MAX_HELD ? malloc(sizeof *held) : NULL;
	if (!held)
		return false;
	held->peer = rpc_peer_get(peer);
	held->call = *call;
	rpc_rec_get(held->call.rec);
	held->since_ns = lease_clock();
	TAILQ_INSERT_TAIL(&mds->cb_held, held, link);
	mds->ncb_held++;
	return true;
}

static int
cb_admit(struct cb_channel *ch, struct rpc_peer *peer, const struct rpc_call *call, const CB_SEQUENCE4args *seq)
{
	struct mds *mds = ch->owner;
	if (!mds->have_session)
		return NFS4ERR_BADSESSION;
	if (!refers_ahead(mds, seq))
		return NFS4_OK;
	return !mds->cb_again && hold(mds, peer, call) ? -1 : (int)NFS4ERR_DELAY;
}

static nfsstat4
cb_op(struct cb_channel *ch, const nfs_cb_argop4 *arg, nfs_cb_resop4 *res)
{
	struct mds *mds = ch->owner;
	return mds->hooks->callback(mds, arg, res);
}

const struct cb_channel_ops mds_cb_ops = { .op = cb_op, .admit = cb_admit };

void
mds_cb_release(struct mds *mds)
{
	/* Each held one is looked at again; those that still wait are kept, for a time. */
	struct mds_cb_held *held, *next;
	uint64_t now = lease_clock();
	for (held = TAILQ_FIRST(&mds->cb_held); held; held = next) {
		XDR in;
		struct compound_header header;
		nfs_cb_argop4 arg;
		uint32_t op;
		next = TAILQ_NEXT(held, link);
		arena_reset(&mds->cb.arena);
		ax_init(&in, held->call.args, held->call.args_len, XDR_DECODE, &mds->cb.arena);
		bool waits = compound_cb_header_get(&in, &header) &&
		    compound_cb_arg_get(&in, &arg, &op) == NFS4_OK &&
		    refers_ahead(mds, &arg.nfs_cb_argop4_u.opcbsequence);
		if (waits && now - held->since_ns < HELD_NS)
			continue;
		TAILQ_REMOVE(&mds->cb_held, held, link);
		mds->ncb_held--;
		mds->cb_again = true;
		if (held->peer == mds->peer)
			cb_channel_call(&mds->cb, held->peer, &held->call);
		mds->cb_again = false;
		rpc_rec_put(held->call.rec);
		rpc_peer_put(held->peer);
		free(held);
	}
}

void
mds_cb_call(struct rpc_peer *peer, struct rpc_call *call)
{
	struct mds *mds = rpc_peer_owner(peer);
	if (peer == mds->peer)
		cb_channel_call(&mds->cb, peer, call);
}
