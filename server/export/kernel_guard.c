/*
 * Answers to nfsd while there is no server; see kernel_guard.h.
 *
 * The session, its slots and the layouts are as the server left them, and nobody has to know them: the answer to CB_SEQUENCE repeats what was asked (RFC 8881
 * 20.9.2), and the one to CB_LAYOUTRECALL is NFS4ERR_DELAY.  nfsd then asks again, for as long as it is patient (two of its leases), and whoever waits for the
 * layout waits on.  Without an answer kernels since 6.9 take the layout away when a tenth of the lease is over.
 *
 * If the server died with half of a record read, what follows is no record: then nothing is answered any more.
 */
#include "server/export/kernel_guard.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "proto/x/nfs4.h"

#define RECORD_LAST 0x80000000u
#define RECORD_MAX (2u << 20)		/* more than any answer that the server has asked for */
#define RPC_CALL 0u
#define RPC_REPLY 1u
#define AUTH_MAX 400u			/* bytes (RFC 5531 8.2) */
#define WHOLE_WAIT_NS 10000000l

/* ---- what is asked ---- */

struct reader {
	const uint8_t *p, *end;
	bool bad;
};

static const uint8_t *
take(struct reader *r, size_t n)
{
	static const uint8_t none[NFS4_SESSIONID_SIZE];
	const uint8_t *p = r->p;
	if (r->bad || (size_t)(r->end - r->p) < n) {
		r->bad = true;
		return none;
	}
	r->p += n;
	return p;
}

static uint32_t
take_word(struct reader *r)
{
	uint32_t word;
	memcpy(&word, take(r, sizeof word), sizeof word);
	return ntohl(word);
}

static void
skip_opaque(struct reader *r, uint32_t max)
{
	uint32_t len = take_word(r);
	r->bad |= len > max;
	if (!r->bad)
		take(r, (len + 3) & ~3u);
}

/* CB_SEQUENCE4args (RFC 8881 20.9.1): what its answer repeats goes to ECHO. */
static void
take_sequence(struct reader *r, uint8_t echo[NFS4_SESSIONID_SIZE + 12])
{
	memcpy(echo, take(r, NFS4_SESSIONID_SIZE), NFS4_SESSIONID_SIZE);
	for (unsigned i = 0; i < 3; i++) {	/* sequence, slot, highest slot */
		uint32_t word = htonl(take_word(r));
		memcpy(echo + NFS4_SESSIONID_SIZE + 4 * i, &word, sizeof word);
	}
	take_word(r);			/* cachethis */
	for (uint32_t lists = take_word(r); lists && !r->bad; lists--) {
		take(r, NFS4_SESSIONID_SIZE);
		for (uint32_t calls = take_word(r); calls && !r->bad; calls--)
			take(r, 8);
	}
}

/* ---- what is answered ---- */

struct writer {
	uint8_t *p;
};

static void
put_word(struct writer *w, uint32_t value)
{
	uint32_t word = htonl(value);
	memcpy(w->p, &word, sizeof word);
	w->p += sizeof word;
}

static void
put_header(struct writer *w, uint32_t xid)
{
	put_word(w, xid);
	put_word(w, RPC_REPLY);
	for (unsigned i = 0; i < 4; i++)
		put_word(w, 0);		/* MSG_ACCEPTED, AUTH_NONE without a body, SUCCESS */
}

static void
put_compound(struct writer *w, const uint8_t echo[NFS4_SESSIONID_SIZE + 12], uint32_t count, uint32_t op)
{
	put_word(w, count > 1 ? NFS4ERR_DELAY : NFS4_OK);
	put_word(w, 0);			/* no tag */
	put_word(w, count > 1 ? 2 : 1);
	put_word(w, OP_CB_SEQUENCE);
	put_word(w, NFS4_OK);
	memcpy(w->p, echo, NFS4_SESSIONID_SIZE + 12);
	w->p += NFS4_SESSIONID_SIZE + 12;
	memcpy(w->p, w->p - 4, 4);	/* the target is the highest slot */
	w->p += 4;
	if (count > 1) {
		put_word(w, op);
		put_word(w, NFS4ERR_DELAY);
	}
}

size_t
kernel_guard_answer(const uint8_t *call, size_t len, uint8_t reply[KERNEL_GUARD_REPLY])
{
	struct reader r = { call, call + len, false };
	struct writer w = { reply };
	uint8_t echo[NFS4_SESSIONID_SIZE + 12] = { 0 };
	uint32_t xid = take_word(&r);
	if (take_word(&r) != RPC_CALL || take_word(&r) != 2)
		return 0;
	take(&r, 8);			/* program and version: nobody else calls here */
	uint32_t proc = take_word(&r);
	for (unsigned i = 0; i < 2; i++) {
		take_word(&r);
		skip_opaque(&r, AUTH_MAX);
	}
	if (r.bad || proc > CB_COMPOUND)
		return 0;
	put_header(&w, xid);
	if (proc == CB_NULL)
		return (size_t)(w.p - reply);
	skip_opaque(&r, KERNEL_GUARD_CALL);	/* tag */
	take(&r, 8);			/* minorversion, callback_ident */
	uint32_t count = take_word(&r);
	if (!count || take_word(&r) != OP_CB_SEQUENCE)
		return 0;
	take_sequence(&r, echo);
	uint32_t op = count > 1 ? take_word(&r) : 0;
	if (r.bad)
		return 0;
	put_compound(&w, echo, count, op);
	return (size_t)(w.p - reply);
}

/* ---- the connection ---- */

/* An answer that the dead server waited for, or what is left of it. */
static bool
discard(struct kernel_guard *guard)
{
	uint8_t bytes[4096];
	size_t want = guard->skip < sizeof bytes ? guard->skip : sizeof bytes;
	ssize_t n = recv(guard->sock, bytes, want, MSG_DONTWAIT);
	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	guard->skip -= (uint32_t)n;
	return true;
}

static bool
answer(struct kernel_guard *guard, const uint8_t *record, size_t len)
{
	uint8_t bytes[4 + KERNEL_GUARD_REPLY];
	size_t n = kernel_guard_answer(record, len, bytes + 4);
	if (!n)
		return false;
	uint32_t mark = htonl(RECORD_LAST | (uint32_t)n);
	memcpy(bytes, &mark, sizeof mark);
	/* It is a few bytes to a peer that reads: what does not fit is a connection that is stuck. */
	return send(guard->sock, bytes, 4 + n, MSG_DONTWAIT | MSG_NOSIGNAL) == (ssize_t)(4 + n);
}

/* One record, or a part of an answer.  False: the connection is of no use any more. */
static bool
serve_record(struct kernel_guard *guard)
{
	static const struct timespec pause = { .tv_nsec = WHOLE_WAIT_NS };
	uint8_t bytes[4 + KERNEL_GUARD_CALL];
	uint32_t head[3];			/* record mark, xid, type */
	ssize_t n = recv(guard->sock, bytes, sizeof bytes, MSG_PEEK | MSG_DONTWAIT);
	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR);
	if ((size_t)n >= sizeof head) {
		memcpy(head, bytes, sizeof head);
		uint32_t len = ntohl(head[0]) & ~RECORD_LAST;
		if (!(ntohl(head[0]) & RECORD_LAST) || len < 8 || len > RECORD_MAX)
			return false;
		if (ntohl(head[2]) == RPC_REPLY) {
			guard->skip = 4 + len;
			return true;
		}
		if (len > KERNEL_GUARD_CALL)
			return false;
		if ((size_t)n >= 4 + (size_t)len)
			return recv(guard->sock, bytes, 4 + len, MSG_DONTWAIT) == (ssize_t)(4 + len) && answer(guard, bytes + 4, len);
	}
	/* More will come: what is there does not go by waiting for it. */
	nanosleep(&pause, NULL);
	return true;
}

void
kernel_guard_serve(struct kernel_guard *guard)
{
	if (guard->sock < 0)
		return;
	/* Left open: its end would be the end of the layouts. */
	if (!(guard->skip ? discard(guard) : serve_record(guard)))
		guard->sock = -1;
}
