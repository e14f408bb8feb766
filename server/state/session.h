/*
 * Sessions, slots and the reply cache (RFC 8881 2.10.6), and what binds connections to them.
 */
#ifndef PNFS_SERVER_STATE_SESSION_H
#define PNFS_SERVER_STATE_SESSION_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

#include "proto/rpc/peer.h"
#include "proto/x/nfs4.h"

struct client;
struct conn;
struct mds;

#define SESSION_MAX_SLOTS 128u
#define SESSION_MAX_CACHED (8u << 10)	/* bytes of a reply we are ready to keep */

struct slot {
	uint32_t seqid;
	bool busy;			/* a request is being executed */
	bool cached;			/* reply holds the answer to seqid */
	uint32_t reply_len, reply_cap;
	uint8_t *reply;			/* COMPOUND4res bytes, without the RPC header */
};

struct session {
	uint8_t id[NFS4_SESSIONID_SIZE];
	struct client *client;		/* referenced */
	TAILQ_ENTRY(session) of_client;
	channel_attrs4 fore, back;
	uint32_t cb_program;
	struct rpc_cred cb_cred;	/* AUTH_SYS for callbacks, from csa_sec_parms (PITFALLS C10) */
	uint32_t minor;			/* minor version of CREATE_SESSION's COMPOUND: callbacks use it (C11) */
	int refs;			/* state_lock */
	bool dead;			/* destroyed; read under lock */

	pthread_mutex_t lock;		/* slots and conns below */
	uint32_t nslots;
	struct slot *slots;
	TAILQ_HEAD(, conn_bind) conns;	/* connections bound to it, by channel */
	uint32_t cb_seqid;		/* back slot 0: next sequence id, one callback at a time; cb/cb.c's */
	bool cb_busy;
	void *cb_queue;			/* cb/cb.c's */
	UT_hash_handle hh;		/* state_lock */
};

int sessions_new(struct mds *mds);
void sessions_free(struct mds *mds);
struct session *session_find_locked(struct mds *mds, const uint8_t id[NFS4_SESSIONID_SIZE]);
struct session *session_get_locked(struct session *session);
void session_put_locked(struct mds *mds, struct session *session);

#endif
