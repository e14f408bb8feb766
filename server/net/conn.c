/* Connections to the server: calls go to compound.c, bindings to state/session.c; see conn.h. */
#include "server/net/conn.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <unistd.h>

#include "proto/x/nfs4.h"
#include "server/conf/exports.h"
#include "server/fs/fs.h"
#include "server/gss/gss.h"
#include "server/mds.h"
#include "server/net/listener.h"
#include "server/nfs4/compound.h"
#include "server/state/session.h"

/* An answer without a body, or an error of RPC itself (RFC 5531 9). */
static void
conn_answer(struct conn *conn, const struct rpc_call *call, enum rpc_status status)
{
	struct gss_use use;
	struct rpc_out *out = rpc_out_get(RPC_REPLY_HEADER + 8);
	gss_use_take(&use, call);
	if (!out) {
		gss_use_drop(&use);
		return;
	}
	rpc_reply_header(out, call->xid, status, NFS_V4, NFS_V4);
	gss_send(conn->peer, &use, out);
}

static void
conn_call(struct rpc_peer *peer, struct rpc_call *call)
{
	struct conn *conn = rpc_peer_owner(peer);
	fs_glance_begin(call->batch);
#ifdef HAVE_GSS
	if (call->cred.flavor == RPCSEC_GSS && !gss_call(conn->mds, conn, call))
		return;
#endif
	if (call->prog != NFS4_PROGRAM)
		conn_answer(conn, call, RPC_PROG_UNAVAIL);
	else if (call->vers != NFS_V4)
		conn_answer(conn, call, RPC_PROG_MISMATCH);
	else if (call->proc == NFSPROC4_COMPOUND)
		compound_start(conn->mds, conn, call);
	else
		conn_answer(conn, call, call->proc == NFSPROC4_NULL ? RPC_OK : RPC_PROC_UNAVAIL);
}

static void
conn_closed(struct rpc_peer *peer, int err)
{
	struct conn *conn = rpc_peer_owner(peer);
	(void)err;
	session_conn_closed(conn->mds, conn);
	if (conn->last)
		session_put(conn->mds, conn->last);
	conn->last = NULL;
	listener_remove(conn->mds, conn);
	conn_put(conn);
}

static const struct rpc_peer_ops conn_ops = {
#ifdef HAVE_GSS
	.gss = true,
#endif
	.call = conn_call, .closed = conn_closed };

/* Loop's thread: read again if enough was answered. */
static void
conn_unpause(struct conn *conn)
{
	if (!conn->paused || conn->closed || atomic_load(&conn->under_way) > CONN_MAX_UNDER_WAY / 2)
		return;
	atomic_store(&conn->paused, false);
	rpc_peer_pause(conn->peer, false);
}

static void
conn_resume(struct loop_work *work)
{
	struct conn *conn = (struct conn *)((char *)work - offsetof(struct conn, resume));
	atomic_store(&conn->resuming, false);
	conn_unpause(conn);
	conn_put(conn);
}

struct conn *
conn_new(struct mds *mds, struct loop *loop, int fd, const struct sockaddr_storage *addr)
{
	struct conn *conn = calloc(1, sizeof *conn);
	if (!conn) {
		close(fd);
		return NULL;
	}
	conn->mds = mds;
	conn->addr = *addr;
	TAILQ_INIT(&conn->binds);
	conn->resume.fn = conn_resume;
	atomic_init(&conn->refs, 1);
	if (!listener_add(mds, conn)) {
		close(fd);
		free(conn);
		return NULL;
	}
	conn->peer = rpc_peer_new(loop, fd, &conn_ops, conn);
	if (!conn->peer) {
		listener_remove(mds, conn);
		close(fd);
		free(conn);
		return NULL;
	}
	return conn;
}

struct conn *
conn_get(struct conn *conn)
{
	atomic_fetch_add_explicit(&conn->refs, 1, memory_order_relaxed);
	return conn;
}

void
conn_put(struct conn *conn)
{
	if (atomic_fetch_sub(&conn->refs, 1) != 1)
		return;
	rpc_peer_put(conn->peer);
	free(conn);
}

void
conn_work_begin(struct conn *conn)
{
	conn_get(conn);
	if (atomic_fetch_add(&conn->under_way, 1) + 1 >= CONN_MAX_UNDER_WAY && !conn->paused) {
		atomic_store(&conn->paused, true);
		rpc_peer_pause(conn->peer, true);
		conn_unpause(conn);	/* workers that did not see "paused" have posted nothing */
	}
}

void
conn_work_end(struct conn *conn)
{
	if (atomic_fetch_sub(&conn->under_way, 1) - 1 <= CONN_MAX_UNDER_WAY / 2 &&
	    atomic_load(&conn->paused) && !atomic_exchange(&conn->resuming, true)) {
		conn_get(conn);
		loop_post(rpc_peer_loop(conn->peer), &conn->resume);
	}
	conn_put(conn);
}

static unsigned
conn_port(const struct conn *conn)
{
	return ntohs(conn->addr.ss_family == AF_INET6 ?
	    ((const struct sockaddr_in6 *)&conn->addr)->sin6_port :
	    ((const struct sockaddr_in *)&conn->addr)->sin_port);
}

static const struct export_client *
conn_export_match(struct conn *conn, const struct export_line *line)
{
	const struct export_client *opts = exports_match(line, (const struct sockaddr *)&conn->addr);
	/* exports(5): without "insecure" only from ports below 1024. */
	return opts && (opts->insecure || conn_port(conn) < IPPORT_RESERVED) ? opts : NULL;
}

const struct export_client *
conn_export_client(struct conn *conn, const struct export_line *line, bool on_loop)
{
	if (!on_loop)
		return conn_export_match(conn, line);
	unsigned gen = atomic_load_explicit(&conn->mds->exports_gen, memory_order_acquire);
	const unsigned n = sizeof conn->access / sizeof conn->access[0];
	if (conn->access_gen != gen) {
		for (unsigned i = 0; i < n; i++)
			conn->access[i] = (struct conn_access){ 0 };
		conn->access_gen = gen;
	}
	for (unsigned i = 0; i < n; i++)
		if (conn->access[i].line == line)
			return conn->access[i].opts;
	struct conn_access *slot = &conn->access[conn->access_next++ % n];
	*slot = (struct conn_access){ .line = line, .opts = conn_export_match(conn, line) };
	return slot->opts;
}
