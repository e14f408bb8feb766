/* One RPC connection: its life, and what comes in; see peer.h and peer_impl.h. */
#include "proto/rpc/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "proto/rpc/peer_impl.h"
#include "proto/rpc/rpc_msg.h"

/* ---- what comes in ---- */

static void
peer_reject(struct rpc_peer *peer, uint32_t xid, enum rpc_status status)
{
	struct rpc_out *out = rpc_out_get(64);
	if (!out)
		return;		/* the caller will have to ask again */
	rpc_reply_header(out, xid, status, 0, 0);
	rpc_peer_send(peer, out);
}

static int
peer_record(struct rpc_peer *peer, struct rpc_view *view)
{
	uint32_t xid;
	enum rpc_msg_type type;
	enum rpc_status status;
	struct rpc_call call;
	peer_count(&peer->rx_records, 1);
	int err = rpc_msg_type(view->data, view->len, &xid, &type);
	if (err)
		return err;
	if (type == RPC_MSG_REPLY) {
		peer_reply(peer, xid, view);
		return 0;
	}
	err = rpc_msg_call(view->data, view->len, &call, &status);
	if (err)
		return err;
	if (status == RPC_OK && !peer->ops->call)
		status = RPC_PROG_UNAVAIL;
	if (status == RPC_OK && call.cred.flavor == RPCSEC_GSS && !peer->ops->gss)
		status = RPC_AUTH_BADCRED;
	if (status != RPC_OK) {
		peer_reject(peer, xid, status);
		return 0;
	}
	call.rec = view->rec;
	call.batch = peer->batch;
	peer->ops->call(peer, &call);
	return 0;
}

/* Stop reading while too much output waits (a peer that asks but does not read). */
static bool
peer_paused(struct rpc_peer *peer)
{
	if (peer->user_paused)
		return true;
	if (atomic_load_explicit(&peer->queued, memory_order_relaxed) <= OUT_LOW) {
		atomic_store(&peer->out_paused, false);
		return false;
	}
	if (!atomic_load(&peer->out_paused)) {
		if (atomic_load(&peer->queued) <= OUT_HIGH)
			return false;
		atomic_store(&peer->out_paused, true);
		/* Another thread may have drained it before it could see the flag. */
		if (atomic_load(&peer->queued) <= OUT_LOW)
			atomic_store(&peer->out_paused, false);
	}
	return atomic_load(&peer->out_paused);
}

/* Serve the records that are here; loop's thread, not nested. */
static void
peer_drain(struct rpc_peer *peer)
{
	struct rpc_view view;
	int ret = 0;
	bool starved = false;
	while (ret == 0 && peer_state(peer) == PEER_OPEN && !peer_paused(peer)) {
		ret = rx_next(&peer->rx, &view);
		if (ret == 0) {
			starved = true;
			break;
		}
		if (ret > 0)
			ret = peer_record(peer, &view);
	}
	if (ret < 0)
		peer_fail(peer, ret);
	else if (starved)
		rx_idle(&peer->rx);
	if (peer_state(peer) != PEER_OPEN || peer_paused(peer))
		ev_io_stop(loop_ev(peer->loop), &peer->rd);
	else if (!starved)		/* the output drained between the two looks: nobody else will come for the rest */
		ev_feed_event(loop_ev(peer->loop), &peer->rd, EV_CUSTOM);
}

static void
peer_readable(EV_P_ ev_io *w, int revents)
{
	struct rpc_peer *peer = w->data;
	struct iovec iov[2];
	(void)loop;
	if (peer_state(peer) != PEER_OPEN)
		return;
	if (revents & EV_READ) {
		int n = rx_space(&peer->rx, iov);
		if (n < 0) {
			peer_fail(peer, n);
			return;
		}
		ssize_t got = readv(peer->fd, iov, n);
		if (got <= 0) {
			if (got == 0 || (errno != EAGAIN && errno != EINTR))
				peer_fail(peer, got ? -errno : 0);
			return;
		}
		static _Thread_local uint64_t batches;
		peer->batch = ++batches;
		peer_count(&peer->recvs, 1);
		peer_count(&peer->rx_bytes, (uint64_t)got);
		rx_filled(&peer->rx, (uint32_t)got);
	}
	peer_drain(peer);
}

void
peer_resume(struct rpc_peer *peer)
{
	if (peer_state(peer) != PEER_OPEN || peer->connecting || peer_paused(peer) ||
	    ev_is_active(&peer->rd))
		return;
	ev_io_start(loop_ev(peer->loop), &peer->rd);
	/* Records may be in the buffer already; not from here, which may be a handler. */
	ev_feed_event(loop_ev(peer->loop), &peer->rd, EV_CUSTOM);
}

void
rpc_peer_pause(struct rpc_peer *peer, bool pause)
{
	peer->user_paused = pause;
	if (pause)
		ev_io_stop(loop_ev(peer->loop), &peer->rd);
	else
		peer_resume(peer);
}

/* ---- life ---- */

void
peer_kick(struct rpc_peer *peer)
{
	if (peer->kicked)
		return;
	peer->kicked = true;
	rpc_peer_get(peer);
	loop_post(peer->loop, &peer->kick_work);
}

void
peer_fail(struct rpc_peer *peer, int err)
{
	pthread_mutex_lock(&peer->lock);
	if (peer_state(peer) == PEER_OPEN) {
		atomic_store(&peer->state, PEER_CLOSING);
		peer->err = err;
		peer_kick(peer);
	}
	pthread_mutex_unlock(&peer->lock);
}

void
rpc_peer_close(struct rpc_peer *peer)
{
	peer_fail(peer, 0);
}

static void
peer_teardown(struct rpc_peer *peer)
{
	struct ev_loop *ev = loop_ev(peer->loop);
	ev_io_stop(ev, &peer->rd);
	ev_io_stop(ev, &peer->wr);
	ev_timer_stop(ev, &peer->timer);
	pthread_mutex_lock(&peer->lock);
	peer_turn_splice(peer);
	if (peer->err == 0) {		/* what was sent before the close goes out if there is room */
		peer_flush(peer);
		pthread_mutex_lock(&peer->lock);
	}
	atomic_store(&peer->state, PEER_CLOSED);
	while (peer->writing)
		pthread_cond_wait(&peer->written, &peer->lock);
	peer_drop_output(peer);
	ev_io_stop(ev, &peer->wr);
	if (peer->fd >= 0)
		close(peer->fd);
	peer->fd = -1;
	int err = peer->err;
	pthread_mutex_unlock(&peer->lock);
	rx_destroy(&peer->rx);
	peer_fail_calls(peer, -ECONNRESET);
	peer->ops->closed(peer, err);
	rpc_peer_put(peer);		/* the connection's own */
}

/* What other threads (and callbacks) have left for the loop to do. */
static void
peer_kicked(struct loop_work *work)
{
	struct rpc_peer *peer = (struct rpc_peer *)((char *)work - offsetof(struct rpc_peer, kick_work));
	pthread_mutex_lock(&peer->lock);
	peer->kicked = false;
	bool blocked = peer->blocked;
	pthread_mutex_unlock(&peer->lock);
	switch (peer_state(peer)) {
	case PEER_OPEN:
		if (blocked)
			ev_io_start(loop_ev(peer->loop), &peer->wr);
		peer_arm(peer);
		peer_resume(peer);
		break;
	case PEER_CLOSING:
		peer_teardown(peer);
		break;
	default:
		peer_fail_calls(peer, -ECONNRESET);
	}
	rpc_peer_put(peer);
}

static void
peer_connected(struct rpc_peer *peer)
{
	int err = 0;
	socklen_t len = sizeof err;
	if (getsockopt(peer->fd, SOL_SOCKET, SO_ERROR, &err, &len) < 0)
		err = errno;
	if (err) {
		peer_fail(peer, -err);
		return;
	}
	pthread_mutex_lock(&peer->lock);
	peer->connecting = false;
	pthread_mutex_unlock(&peer->lock);
	peer_resume(peer);
}

static void
peer_write_ready(EV_P_ ev_io *w, int revents)
{
	struct rpc_peer *peer = w->data;
	(void)loop;
	(void)revents;
	if (peer_state(peer) != PEER_OPEN)
		return;
	if (peer->connecting)
		peer_connected(peer);
	peer_writable(peer);
}

static void
socket_options(int fd)
{
	/* Best effort: a socketpair knows none of them. */
	const int on = 1, idle = 30, interval = 10, count = 3;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
	setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
	fcntl(fd, F_SETFD, FD_CLOEXEC);
}

static struct rpc_peer *
peer_alloc(struct loop *loop, int fd, const struct rpc_peer_ops *ops, void *owner)
{
	struct rpc_peer *peer = calloc(1, sizeof *peer);
	if (!peer)
		return NULL;
	atomic_init(&peer->refs, 2);	/* the caller's and the connection's */
	peer->loop = loop;
	peer->ops = ops;
	peer->owner = owner;
	peer->fd = fd;
	peer->armed = UINT64_MAX;
	pthread_mutex_init(&peer->lock, NULL);
	pthread_cond_init(&peer->written, NULL);
	peer->kick_work.fn = peer_kicked;
	peer->turn_work.fn = peer_turn_end;
	out_queue_init(&peer->outq);
	out_queue_init(&peer->turn);
	if (getrandom(&peer->xid, sizeof peer->xid, GRND_NONBLOCK) < 0)
		peer->xid = 1;
	if (fd >= 0)
		socket_options(fd);
	ev_io_init(&peer->rd, peer_readable, fd, EV_READ);
	ev_io_init(&peer->wr, peer_write_ready, fd, EV_WRITE);
	ev_init(&peer->timer, peer_timeout);
	peer->rd.data = peer->wr.data = peer->timer.data = peer;
	return peer;
}

struct rpc_peer *
rpc_peer_new(struct loop *loop, int fd, const struct rpc_peer_ops *ops, void *owner)
{
	struct rpc_peer *peer = peer_alloc(loop, fd, ops, owner);
	if (!peer)
		return NULL;
	socklen_t len = sizeof peer->addr;
	if (getpeername(fd, (struct sockaddr *)&peer->addr, &len) < 0)
		peer->addr.ss_family = AF_UNSPEC;
	ev_io_start(loop_ev(loop), &peer->rd);
	return peer;
}

struct rpc_peer *
rpc_peer_connect(struct loop *loop, const struct sockaddr *addr, socklen_t len,
    const struct rpc_peer_ops *ops, void *owner)
{
	int err = 0, fd = socket(addr->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		err = -errno;
	struct rpc_peer *peer = peer_alloc(loop, fd, ops, owner);
	if (!peer) {
		if (fd >= 0)
			close(fd);
		return NULL;
	}
	memcpy(&peer->addr, addr, len < sizeof peer->addr ? len : sizeof peer->addr);
	peer->connecting = true;
	if (fd >= 0 && connect(fd, addr, len) < 0 && errno != EINPROGRESS)
		err = -errno;
	if (err)
		peer_fail(peer, err);
	else
		ev_io_start(loop_ev(loop), &peer->wr);
	return peer;
}

struct rpc_peer *
rpc_peer_get(struct rpc_peer *peer)
{
	atomic_fetch_add_explicit(&peer->refs, 1, memory_order_relaxed);
	return peer;
}

void
rpc_peer_put(struct rpc_peer *peer)
{
	if (!peer || atomic_fetch_sub_explicit(&peer->refs, 1, memory_order_acq_rel) != 1)
		return;
	/* Torn down before, else the connection would hold a reference. */
	peer_drop_output(peer);
	peer_free_calls(peer);
	pthread_cond_destroy(&peer->written);
	pthread_mutex_destroy(&peer->lock);
	free(peer);
}

void *
rpc_peer_owner(const struct rpc_peer *peer)
{
	return peer->owner;
}

void
rpc_peer_set_owner(struct rpc_peer *peer, void *owner)
{
	peer->owner = owner;
}

struct loop *
rpc_peer_loop(const struct rpc_peer *peer)
{
	return peer->loop;
}

const struct sockaddr *
rpc_peer_addr(const struct rpc_peer *peer)
{
	return (const struct sockaddr *)&peer->addr;
}

void
rpc_peer_stats(const struct rpc_peer *peer, struct rpc_peer_stats *stats)
{
#define GET(name) .name = atomic_load_explicit(&peer->name, memory_order_relaxed)
	*stats = (struct rpc_peer_stats){ GET(rx_bytes), GET(tx_bytes), GET(rx_records),
		GET(tx_records), GET(recvs), GET(writevs) };
#undef GET
}
