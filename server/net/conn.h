/*
 * A connection to the server: a peer, the sessions bound to it, requests under way.  Loop's thread unless said otherwise.
 */
#ifndef PNFS_SERVER_NET_CONN_H
#define PNFS_SERVER_NET_CONN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "proto/rpc/peer.h"

struct mds;
struct session;

/* Which channels of a session a connection carries (session->lock). */
struct conn_bind {
	struct conn *conn;
	struct session *session;
	bool fore, back;
	TAILQ_ENTRY(conn_bind) of_session, of_conn;
};

struct conn {
	struct mds *mds;
	struct rpc_peer *peer;
	struct sockaddr_storage addr;
	struct session *last;		/* session of the last SEQUENCE: no table look-up, no global lock per request (PERFORMANCE.md); referenced */
	TAILQ_HEAD(, conn_bind) binds;	/* state_lock */
	atomic_int refs, under_way;
	bool closed;			/* state_lock */
};

struct conn *conn_get(struct conn *conn);
void conn_put(struct conn *conn);

#endif
