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

struct export_client;
struct export_line;
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
	atomic_int refs;
	atomic_int under_way;		/* compounds that left the loop and are not answered */
	bool closed;			/* state_lock */
	atomic_bool paused;		/* reading stopped: too many under way */
	struct loop_work resume;	/* to start it again */
	atomic_bool resuming;		/* which is posted */
	struct conn_access {		/* what exports_match() said for this peer */
		const struct export_line *line;
		const struct export_client *opts;
	} access[4];
	unsigned access_gen, access_next;	/* mds->exports_gen they were found in; the one to replace */
	LIST_ENTRY(conn) of_server;	/* server's own */
};

/* Most compounds of one connection that may be at the workers; reading stops there, and starts again at half of it. */
#define CONN_MAX_UNDER_WAY 256

/* An accepted socket: takes FD over.  Loop's thread.  NULL without memory (FD is closed). */
struct conn *conn_new(struct mds *mds, struct loop *loop, int fd, const struct sockaddr_storage *addr);

/* A compound leaves the loop (its thread), and was answered (any thread). */
void conn_work_begin(struct conn *conn);
void conn_work_end(struct conn *conn);

/* How LINE exports to this peer; NULL: not at all.  Remembered.  Any thread: others than the loop's are slower. */
const struct export_client *conn_export_client(struct conn *conn, const struct export_line *line, bool on_loop);

struct conn *conn_get(struct conn *conn);
void conn_put(struct conn *conn);

#endif
