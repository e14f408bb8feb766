/*
 * What a connection sends.  On the loop's thread records gather until the end
 * of the turn; other threads queue and, if nobody is writing, write at once.
 * Whoever writes does so without the lock and takes along what others have
 * queued meanwhile; when the socket is full, the loop goes on (EV_WRITE).
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "proto/rpc/peer_impl.h"
#include "proto/xdr/xdr_arena.h"

#define MAX_IOV 64
#define SMALL 1024u		/* bytes of a record worth a copy */
#define FLAT_SIZE (16u << 10)
#define MARK 4u

static uint32_t
out_size(const struct rpc_out *out)
{
	return out->len + MARK;
}

/* RFC 5531 11: the record mark, one fragment. */
static void
out_mark(struct rpc_out *out)
{
	uint32_t mark = htobe32(out->len | 0x80000000u);
	memcpy(out->data - MARK, &mark, MARK);
}

/*
 * What one sendmsg takes.  Small records are put side by side first: the copy is
 * cheaper than the kernel's work for a piece of its own.
 */
struct batch {
	struct iovec iov[MAX_IOV];
	unsigned n;
	uint32_t flat_len;
	uint8_t flat[FLAT_SIZE];
};

/* One record, or the rest of it; false: the batch is full. */
static bool
batch_add(struct batch *b, uint8_t *data, uint32_t len)
{
	if (len <= SMALL && len <= FLAT_SIZE - b->flat_len) {
		uint8_t *to = b->flat + b->flat_len;
		struct iovec *last = b->n ? &b->iov[b->n - 1] : NULL;
		if (last && (uint8_t *)last->iov_base + last->iov_len == to)
			last->iov_len += len;
		else if (b->n < MAX_IOV)
			b->iov[b->n++] = (struct iovec){ to, len };
		else
			return false;
		memcpy(to, data, len);
		b->flat_len += len;
		return true;
	}
	if (b->n == MAX_IOV)
		return false;
	b->iov[b->n++] = (struct iovec){ data, len };
	return true;
}

static void
batch_fill(struct batch *b, const struct out_queue *q)
{
	uint32_t skip = q->sent;
	b->n = b->flat_len = 0;
	for (struct rpc_out *out = q->head; out; out = out->next) {
		if (!batch_add(b, out->data - MARK + skip, out_size(out) - skip))
			break;
		skip = 0;
	}
}

/* N more bytes are out; whole records go to *DONE. */
static unsigned
queue_advance(struct out_queue *q, size_t n, struct rpc_out **done)
{
	unsigned records = 0;
	while (q->head && n >= out_size(q->head) - q->sent) {
		struct rpc_out *out = q->head;
		n -= out_size(out) - q->sent;
		q->sent = 0;
		q->head = out->next;
		out->next = *done;
		*done = out;
		records++;
	}
	q->sent += (uint32_t)n;
	if (!q->head)
		q->tail = &q->head;
	return records;
}

static void
outs_free(struct rpc_out *out)
{
	while (out) {
		struct rpc_out *next = out->next;
		rpc_out_put(out);
		out = next;
	}
}

void
peer_drop_output(struct rpc_peer *peer)
{
	outs_free(peer->turn.head);
	outs_free(peer->outq.head);
	out_queue_init(&peer->turn);
	out_queue_init(&peer->outq);
}

void
peer_turn_splice(struct rpc_peer *peer)
{
	if (!peer->turn.head)
		return;
	*peer->outq.tail = peer->turn.head;
	peer->outq.tail = peer->turn.tail;
	out_queue_init(&peer->turn);
}

/* After writing; lock held. */
static void
flush_end(struct rpc_peer *peer, int err)
{
	peer->writing = false;
	if (peer_state(peer) == PEER_CLOSED) {
		pthread_cond_signal(&peer->written);
		return;
	}
	if (err == -EAGAIN) {
		peer->blocked = true;
		if (loop_is_current(peer->loop))
			ev_io_start(loop_ev(peer->loop), &peer->wr);
		else
			peer_kick(peer);
	}
	if (atomic_load(&peer->out_paused) && atomic_load(&peer->queued) <= OUT_LOW)
		peer_kick(peer);
}

void
peer_flush(struct rpc_peer *peer)
{
	struct batch batch;
	struct rpc_out *done = NULL;
	int err = 0;
	if (peer->writing || peer->blocked || peer->connecting || peer->fd < 0) {
		pthread_mutex_unlock(&peer->lock);
		return;
	}
	peer->writing = true;
	while (peer->outq.head && !err && peer_state(peer) != PEER_CLOSED) {
		batch_fill(&batch, &peer->outq);
		struct msghdr msg = { .msg_iov = batch.iov, .msg_iovlen = batch.n };
		pthread_mutex_unlock(&peer->lock);
		ssize_t n = sendmsg(peer->fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (n < 0 && errno != EINTR)
			err = -errno;
		pthread_mutex_lock(&peer->lock);
		peer_count(&peer->writevs, 1);
		if (n > 0) {
			peer_count(&peer->tx_bytes, (uint64_t)n);
			peer_count(&peer->tx_records,
			    queue_advance(&peer->outq, (size_t)n, &done));
			atomic_fetch_sub(&peer->queued, (size_t)n);
		}
	}
	flush_end(peer, err);
	pthread_mutex_unlock(&peer->lock);
	outs_free(done);
	if (err && err != -EAGAIN)
		peer_fail(peer, err);
}

void
peer_turn_end(struct loop_work *work)
{
	struct rpc_peer *peer = (struct rpc_peer *)((char *)work - offsetof(struct rpc_peer, turn_work));
	peer->turn_queued = false;
	pthread_mutex_lock(&peer->lock);
	peer_turn_splice(peer);
	peer_flush(peer);
	rpc_peer_put(peer);
}

void
peer_writable(struct rpc_peer *peer)
{
	pthread_mutex_lock(&peer->lock);
	peer->blocked = false;
	peer_turn_splice(peer);
	peer_flush(peer);
	pthread_mutex_lock(&peer->lock);
	bool blocked = peer->blocked;
	pthread_mutex_unlock(&peer->lock);
	if (!blocked)
		ev_io_stop(loop_ev(peer->loop), &peer->wr);
}

void
rpc_peer_send(struct rpc_peer *peer, struct rpc_out *out)
{
	if (peer_state(peer) != PEER_OPEN) {
		rpc_out_put(out);
		return;
	}
	out_mark(out);
	atomic_fetch_add(&peer->queued, out_size(out));
	if (loop_is_current(peer->loop)) {
		out_queue_add(&peer->turn, out);
		if (!peer->turn_queued) {
			peer->turn_queued = true;
			loop_at_turn_end(peer->loop, &rpc_peer_get(peer)->turn_work);
		}
		return;
	}
	pthread_mutex_lock(&peer->lock);
	if (peer_state(peer) != PEER_OPEN) {
		pthread_mutex_unlock(&peer->lock);
		rpc_out_put(out);
		return;
	}
	out_queue_add(&peer->outq, out);
	peer_flush(peer);
}
