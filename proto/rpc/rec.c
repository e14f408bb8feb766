/*
 * Incoming records; see rec.h.  Small records are taken apart where they were
 * received.  A large one (or one in several fragments) gets a buffer of its own,
 * into which the rest is received directly.
 */
#include "proto/rpc/rec.h"

#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "proto/rpc/peer.h"

#define RX_BUFFER (64u << 10)
#define RX_SMALL (32u << 10)	/* a record up to this is received into the common buffer */
#define RX_ROOM (16u << 10)	/* less room than this is not worth a recv */
#define RX_MAX_EMPTY 16u	/* fragments of no length in one record */

/* ---- buffers ---- */

#if defined(__SANITIZE_ADDRESS__)
#define KEEP(n) 0		/* let the sanitizer see uses after free */
#else
#define KEEP(n) (n)
#endif

static struct rec_class {
	uint32_t cap;
	unsigned count, keep;
	struct rpc_rec *free;
} classes[] = {
	{ .cap = RX_BUFFER, .keep = KEEP(64) },
	{ .cap = RX_BUFFER * 4, .keep = KEEP(16) },
	{ .cap = RPC_MAX_RECORD, .keep = KEEP(16) },
};
#define NCLASSES (sizeof classes / sizeof *classes)
static pthread_mutex_t classes_lock = PTHREAD_MUTEX_INITIALIZER;

struct rpc_rec *
rpc_rec_new(uint32_t size)
{
	struct rpc_rec *rec = NULL;
	for (unsigned i = 0; i < NCLASSES; i++) {
		struct rec_class *class = &classes[i];
		if (size > class->cap)
			continue;
		size = class->cap;
		pthread_mutex_lock(&classes_lock);
		if ((rec = class->free)) {
			class->free = rec->next;
			class->count--;
		}
		pthread_mutex_unlock(&classes_lock);
		break;
	}
	if (!rec) {
		rec = malloc(sizeof *rec + size);
		if (!rec)
			return NULL;
		rec->cap = size;
	}
	atomic_init(&rec->refs, 1);
	return rec;
}

static void
rec_free(struct rpc_rec *rec)
{
	for (unsigned i = 0; i < NCLASSES; i++) {
		struct rec_class *class = &classes[i];
		if (rec->cap != class->cap)
			continue;
		pthread_mutex_lock(&classes_lock);
		if (class->count < class->keep) {
			rec->next = class->free;
			class->free = rec;
			class->count++;
			rec = NULL;
		}
		pthread_mutex_unlock(&classes_lock);
		break;
	}
	free(rec);
}

struct rpc_rec *
rpc_rec_get(struct rpc_rec *rec)
{
	atomic_fetch_add_explicit(&rec->refs, 1, memory_order_relaxed);
	return rec;
}

void
rpc_rec_put(struct rpc_rec *rec)
{
	if (rec && atomic_fetch_sub_explicit(&rec->refs, 1, memory_order_acq_rel) == 1)
		rec_free(rec);
}

static bool
rec_is_ours(const struct rpc_rec *rec)
{
	return atomic_load_explicit(&rec->refs, memory_order_acquire) == 1;
}

/* ---- the stream ---- */

/* Make room in the common buffer; what is in use by others is not moved. */
static int
rx_room(struct rpc_rx *rx)
{
	uint32_t used = rx->end - rx->pos;
	if (rx->buf) {
		uint32_t cap = rx->buf->cap;
		bool ours = rec_is_ours(rx->buf);
		if (ours && used == 0)
			rx->pos = rx->end = 0;
		if (cap - rx->end >= RX_ROOM && cap - rx->pos >= RX_SMALL + 4)
			return 0;
		if (ours) {
			memmove(rx->buf->data, rx->buf->data + rx->pos, used);
			rx->pos = 0;
			rx->end = used;
			return 0;
		}
	}
	struct rpc_rec *rec = rpc_rec_new(RX_BUFFER);
	if (!rec)
		return -ENOMEM;
	if (used)
		memcpy(rec->data, rx->buf->data + rx->pos, used);
	rpc_rec_put(rx->buf);
	rx->buf = rec;
	rx->pos = 0;
	rx->end = used;
	return 0;
}

int
rx_space(struct rpc_rx *rx, struct iovec iov[2])
{
	int n = 0;
	int err = rx_room(rx);
	if (err)
		return err;
	if (rx->big && rx->frag_left)
		iov[n++] = (struct iovec){ rx->big->data + rx->big_len, rx->frag_left };
	iov[n++] = (struct iovec){ rx->buf->data + rx->end, rx->buf->cap - rx->end };
	return n;
}

void
rx_filled(struct rpc_rx *rx, uint32_t n)
{
	if (rx->big && rx->frag_left) {
		uint32_t part = n < rx->frag_left ? n : rx->frag_left;
		rx->big_len += part;
		rx->frag_left -= part;
		n -= part;
	}
	rx->end += n;
}

/* A fragment of LEN bytes begins which does not lie in the common buffer as a whole record. */
static int
rx_fragment(struct rpc_rx *rx, uint32_t len, bool last)
{
	if (len > RPC_MAX_RECORD - rx->big_len)
		return -EMSGSIZE;
	if (len == 0 && ++rx->empty > RX_MAX_EMPTY)
		return -EBADMSG;
	if (!rx->big || rx->big->cap - rx->big_len < len) {
		struct rpc_rec *rec = rpc_rec_new(rx->big_len + len);
		if (!rec)
			return -ENOMEM;
		if (rx->big)
			memcpy(rec->data, rx->big->data, rx->big_len);
		rpc_rec_put(rx->big);
		rx->big = rec;
	}
	rx->frag_left = len;
	rx->last = last;
	rx->pos += 4;
	return 0;
}

/* Move what is here of the present fragment to its record. */
static void
rx_gather(struct rpc_rx *rx)
{
	uint32_t n = rx->end - rx->pos;
	if (n > rx->frag_left)
		n = rx->frag_left;
	if (n == 0)
		return;
	memcpy(rx->big->data + rx->big_len, rx->buf->data + rx->pos, n);
	rx->pos += n;
	rx->big_len += n;
	rx->frag_left -= n;
}

static void
rx_drop_big(struct rpc_rx *rx)
{
	rpc_rec_put(rx->big);
	rx->big = NULL;
	rx->big_len = rx->frag_left = 0;
	rx->empty = 0;
	rx->last = rx->handed = false;
}

int
rx_next(struct rpc_rx *rx, struct rpc_view *view)
{
	if (rx->handed)
		rx_drop_big(rx);
	for (;;) {
		if (rx->big) {
			rx_gather(rx);
			if (rx->frag_left)
				return 0;
			if (rx->last) {
				rx->handed = true;
				*view = (struct rpc_view){ rx->big, rx->big->data, rx->big_len };
				return 1;
			}
		}
		uint32_t have = rx->end - rx->pos, mark;
		if (have < 4)
			return 0;
		uint8_t *p = rx->buf->data + rx->pos;
		memcpy(&mark, p, 4);
		mark = be32toh(mark);
		uint32_t len = mark & 0x7fffffff;
		bool last = mark >> 31;
		if (!rx->big && last) {
			if (len <= have - 4) {
				rx->pos += 4 + len;
				*view = (struct rpc_view){ rx->buf, p + 4, len };
				return 1;
			}
			if (len <= RX_SMALL)
				return 0;
		}
		int err = rx_fragment(rx, len, last);
		if (err)
			return err;
	}
}

void
rx_idle(struct rpc_rx *rx)
{
	if (rx->buf && rx->pos == rx->end && rec_is_ours(rx->buf)) {
		rpc_rec_put(rx->buf);
		rx->buf = NULL;
		rx->pos = rx->end = 0;
	}
}

void
rx_destroy(struct rpc_rx *rx)
{
	rx_drop_big(rx);
	rpc_rec_put(rx->buf);
	rx->buf = NULL;
	rx->pos = rx->end = 0;
}
