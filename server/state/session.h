/*
 * Sessions, slots and the reply cache (RFC 8881 2.10.6), and what binds connections to them.
 */
#ifndef PNFS_SERVER_STATE_SESSION_H
#define PNFS_SERVER_STATE_SESSION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/queue.h>
#include <uthash.h>

#include "proto/rpc/peer.h"
#include "proto/x/nfs4.h"
#include "server/cb/cb.h"

struct cb_queue;
struct client;
struct conn;
struct mds;

#define SESSION_MAX_SLOTS 128u
#define SESSION_MAX_CACHED (8u << 10)	/* bytes of a reply we are ready to keep */
#define SESSION_MAX_OPS 64u
#define SESSION_MAX_OF_CLIENT 64u	/* sessions of one client: more are refused (NOSPC) */

/*
 * Bytes of kept replies of all sessions.  Beyond half of it sessions are asked to do with SESSION_FEW_SLOTS (sr_target_highest_slotid, CB_RECALL_SLOT), new ones
 * get no more, and what idle slots keep is given up; beyond it nothing more is kept.
 */
#define SESSION_CACHE_MAX (512u << 20)
#define SESSION_FEW_SLOTS 8u

struct slot {
	uint32_t seqid;
	bool busy;			/* a request is being executed */
	bool cached;			/* reply holds the answer to seqid */
	bool used;			/* seqid is that of a request, not the 0 of the beginning */
	bool solo;			/* the request was SEQUENCE alone */
	uint32_t reply_len, reply_cap;
	uint64_t digest;		/* of the request and its user: false retries (RFC 8881 2.10.6.1.3.1) */
	uint8_t *reply;			/* COMPOUND4res bytes, without the RPC header */
};

struct session {
	uint8_t id[NFS4_SESSIONID_SIZE];
	struct client *client;		/* referenced */
	struct sessions *sessions;
	TAILQ_ENTRY(session) of_client;
	channel_attrs4 fore, back;
	uint32_t cb_program;
	struct rpc_cred cb_cred;	/* AUTH_SYS for callbacks, from csa_sec_parms (PITFALLS C10) */
	char *cb_machine;		/* machinename of it, or NULL */
	uint32_t minor;			/* minor version of CREATE_SESSION's COMPOUND: callbacks use it (C11) */
	atomic_int refs;
	bool dead;			/* destroyed; lock */

	pthread_mutex_t lock;		/* slots and conns below */
	uint32_t nslots;
	struct slot *slots;
	uint32_t cached;		/* bytes of their replies */
	bool recalled;			/* CB_RECALL_SLOT was sent, and it uses as many slots as before */
	TAILQ_HEAD(, conn_bind) conns;	/* connections bound to it, by channel */
	unsigned nback;			/* of conns that carry the backchannel */
	bool back_wanted;		/* the client asked for one: SEQ4_STATUS_CB_PATH_DOWN_SESSION if it is gone */
	struct cb_queue *cb_queue;	/* cb/cb.c's; lock */
	UT_hash_handle hh;		/* state_lock */
};

int sessions_new(struct mds *mds);
void sessions_free(struct mds *mds);
struct session *session_find_locked(struct mds *mds, const uint8_t id[NFS4_SESSIONID_SIZE]);
/* References are counted; any thread, with or without state_lock. */
struct session *session_get(struct session *session);
void session_put(struct mds *mds, struct session *session);

/*
 * A new session of CLIENT with the negotiated attributes, in the tables; the reference is the tables'.  NULL without memory.  state_lock held.
 */
struct session *session_new_locked(struct mds *mds, struct client *client, const channel_attrs4 *fore,
    const channel_attrs4 *back);

/*
 * Out of the tables, unbound from its connections, dead; callbacks it has queued move to another session of the client or
 * fail.  state_lock held.
 */
void session_destroy_locked(struct mds *mds, struct session *session);

/*
 * Bind CONN to the channels, as they are asked for now; nothing happens on a closed connection.  state_lock held.  True: the
 * client had no backchannel and has one now (call cb_path_up() when unlocked).  Without memory: not bound.
 */
bool session_bind_locked(struct session *session, struct conn *conn, bool fore, bool back);
bool session_is_bound_locked(struct session *session, const struct conn *conn);

/* The backchannel of this connection is of no use (a callback was refused): as if it had been bound for the fore channel only. Takes state_lock. */
void session_back_failed(struct mds *mds, struct session *session, struct conn *conn);

/* The connection closed: unbind it everywhere and tell cb.c.  Takes state_lock. */
void session_conn_closed(struct mds *mds, struct conn *conn);

/* The request in SLOT was answered: free for the next; REPLY (COMPOUND4res, NULL: not to be kept) is there for a retry. */
void session_slot_done(struct session *session, struct slot *slot, const uint8_t *reply, uint32_t len);

/* The request being run in SLOT, for callbacks that refer to it. */
static inline struct cb_ref
session_ref(const struct session *session, const struct slot *slot)
{
	struct cb_ref ref = { .slot = (uint32_t)(slot - session->slots), .seqid = slot->seqid };
	memcpy(ref.session, session->id, sizeof ref.session);
	return ref;
}

/* Are replies kept by all sessions so many that slots have to go?  No lock. */
bool sessions_short(const struct mds *mds);
void sessions_set_cache_max(struct mds *mds, uint64_t bytes);	/* for tests */
/* The client has no request under way above slot HIGHEST, and so every reply to those: when memory is short they are given up.  session->lock held. */
void session_slots_idle(struct session *session, uint32_t highest);
/* sr_target_highest_slotid.  session->lock held. */
uint32_t session_target(const struct session *session);
/* Once a second: ask for slots.  No lock held. */
void sessions_tick(struct mds *mds);

/* For each session there is; state_lock held. */
void session_each_locked(struct mds *mds, void (*fn)(struct mds *, struct session *, void *), void *arg);

#endif
