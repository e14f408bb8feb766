/*
 * Callbacks: a queue per session, one request at a time on back slot 0 (RFC 8881 2.10.6, 20.9).
 *
 * The slot stays in step with the client's by these rules.  An answer moves it on.  When a connection breaks the same request goes, with
 * the same sequence ID, to another connection of the session (2.10.6.2); if there is none, or an answer did not come in time,
 * the slot is in doubt, and before the next request CB_SEQUENCE goes alone with that sequence ID: whatever the client answers -
 * it is new to it, or a retry - both are then in step (PITFALLS C14), and no answer is ever taken for another's.
 */
#include "server/cb/cb.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/cb/cb_impl.h"
#include "server/mds.h"
#include "server/net/conn.h"
#include "server/state/client.h"
#include "server/state/session.h"

#define RETRY_MS 250u
#define MAX_TRIES 4u
#define TICK_SESSIONS 64u

void (*cb_path_up)(struct mds *mds, struct client *client);

static void cb_kick(struct mds *mds, struct session *session);

/* ---- the end of a call ---- */

static void
cb_done_run(struct loop_work *work)
{
	struct cb_call *call = (struct cb_call *)((char *)work - offsetof(struct cb_call, work));
	call->done(call->mds, call->done_arg, call->status);
	if (call->only)
		session_put(call->mds, call->only);
	client_put(call->mds, call->client);
	free(call);
}

static void
cb_finish(struct cb_call *call, int status)
{
	call->status = status;
	call->work.fn = cb_done_run;
	loop_post(call->mds->loops[0], &call->work);
}

/* ---- queues ---- */

struct cb_queue *
cb_queue_new(void)
{
	struct cb_queue *q = calloc(1, sizeof *q);
	if (q) {
		TAILQ_INIT(&q->waiting);
		q->seqid = 1;
	}
	return q;
}

void
cb_queue_free(struct cb_queue *queue)
{
	free(queue);
}

bool
cb_path_locked(const struct client *client)
{
	return atomic_load(&client->nback) > 0;
}

/* A session to go by; referenced.  state_lock held. */
static struct session *
cb_pick_locked(const struct cb_call *call)
{
	struct session *s;
	TAILQ_FOREACH(s, &call->client->sessions, of_client)
		if (s->nback > 0 && (!call->only || call->only == s))
			return session_get(s);
	return NULL;
}

/* Queue CALL on a session that has a backchannel; without one it ends. */
static void
cb_route(struct cb_call *call)
{
	struct mds *mds = call->mds;
	if (call->sent) {
		cb_finish(call, -ECONNRESET);
		return;
	}
	pthread_mutex_lock(&mds->state_lock);
	struct session *s = cb_pick_locked(call);
	if (s) {
		pthread_mutex_lock(&s->lock);
		TAILQ_INSERT_TAIL(&s->cb_queue->waiting, call, link);
		pthread_mutex_unlock(&s->lock);
	}
	pthread_mutex_unlock(&mds->state_lock);
	if (!s) {
		cb_finish(call, -ENOTCONN);
		return;
	}
	cb_kick(mds, s);
	session_put(mds, s);
}

static void
cb_route_run(struct loop_work *work)
{
	cb_route((struct cb_call *)((char *)work - offsetof(struct cb_call, work)));
}

/* Everything off the queue of a session that cannot send. session->lock held. */
static void
cb_take_all(struct cb_queue *q, struct cb_calls *calls)
{
	if (q->current) {
		TAILQ_INSERT_TAIL(calls, q->current, link);
		q->doubt |= q->current->sent;
		q->current = NULL;
		q->resend = false;
	}
	TAILQ_CONCAT(calls, &q->waiting, link);
}

static void
cb_route_all(struct cb_calls *calls)
{
	struct cb_call *call;
	while ((call = TAILQ_FIRST(calls)) != NULL) {
		TAILQ_REMOVE(calls, call, link);
		cb_route(call);
	}
}

void
cb_session_dead(struct mds *mds, struct session *session)
{
	struct cb_calls calls = TAILQ_HEAD_INITIALIZER(calls);
	struct cb_call *call;
	pthread_mutex_lock(&session->lock);
	cb_take_all(session->cb_queue, &calls);
	pthread_mutex_unlock(&session->lock);
	while ((call = TAILQ_FIRST(&calls)) != NULL) {
		TAILQ_REMOVE(&calls, call, link);
		call->work.fn = cb_route_run;
		loop_post(mds->loops[0], &call->work);
	}
}

/* ---- sending ---- */

static void
flight_free(struct cb_flight *f)
{
	session_put(f->mds, f->session);
	conn_put(f->conn);
	free(f);
}

/* A connection that carries the backchannel; referenced.  session->lock held. */
static struct conn *
cb_conn(struct session *s)
{
	struct conn_bind *bind;
	TAILQ_FOREACH(bind, &s->conns, of_session)
		if (bind->back)
			return conn_get(bind->conn);
	return NULL;
}

/* Calls whose time is over while they waited. session->lock held. */
static void
cb_take_late(struct cb_queue *q, uint64_t now_ms, struct cb_calls *late)
{
	struct cb_call *call, *next;
	for (call = TAILQ_FIRST(&q->waiting); call; call = next) {
		next = TAILQ_NEXT(call, link);
		if (call->deadline_ms > now_ms)
			continue;
		TAILQ_REMOVE(&q->waiting, call, link);
		TAILQ_INSERT_TAIL(late, call, link);
	}
	if (q->current && !q->flight && q->current->deadline_ms <= now_ms) {
		q->doubt |= q->current->sent;
		TAILQ_INSERT_TAIL(late, q->current, link);
		q->current = NULL;
		q->resend = false;
	}
}

static rpc_done_fn cb_replied;

/* The next flight with its bytes, if there is something to send and a way.  session->lock held. */
static struct rpc_out *
cb_prepare(struct mds *mds, struct session *s, uint64_t now_ms, struct cb_flight **flight)
{
	struct cb_queue *q = s->cb_queue;
	if (q->flight || s->dead || now_ms < q->retry_ms || s->nback == 0)
		return NULL;
	if (!q->current) {
		q->current = TAILQ_FIRST(&q->waiting);
		if (!q->current)
			return NULL;
		TAILQ_REMOVE(&q->waiting, q->current, link);
	}
	struct conn *conn = cb_conn(s);
	struct cb_flight *f = calloc(1, sizeof *f);
	bool probe = q->doubt && !q->resend;
	struct rpc_out *out = f ? cb_request(s, q->seqid, probe ? NULL : q->current) : NULL;
	if (!out) {
		free(f);
		conn_put(conn);
		q->retry_ms = now_ms + RETRY_MS;
		return NULL;
	}
	*f = (struct cb_flight){ .mds = mds, .session = session_get(s), .conn = conn, .probe = probe,
		.resend = q->resend };
	if (!probe)
		q->current->sent = true;
	q->flight = *flight = f;
	return out;
}

/* Send what is to be sent; move it elsewhere if this session has no way. */
static void
cb_kick(struct mds *mds, struct session *session)
{
	struct cb_calls late = TAILQ_HEAD_INITIALIZER(late), moved = TAILQ_HEAD_INITIALIZER(moved);
	struct cb_flight *flight = NULL;
	uint64_t now_ms = mds_now_ms(), deadline_ms = 0;
	struct cb_call *call;

	pthread_mutex_lock(&session->lock);
	struct cb_queue *q = session->cb_queue;
	cb_take_late(q, now_ms, &late);
	if (!q->flight && session->nback == 0)
		cb_take_all(q, &moved);
	struct rpc_out *out = cb_prepare(mds, session, now_ms, &flight);
	if (out)
		deadline_ms = q->current->deadline_ms;
	pthread_mutex_unlock(&session->lock);

	while ((call = TAILQ_FIRST(&late)) != NULL) {
		TAILQ_REMOVE(&late, call, link);
		cb_finish(call, -ETIMEDOUT);
	}
	cb_route_all(&moved);
	if (out)
		rpc_peer_call(flight->conn->peer, out, (uint32_t)(deadline_ms - now_ms), cb_replied, flight);
}

void
cb_session_changed(struct mds *mds, struct session *session)
{
	cb_kick(mds, session);
}

static void
cb_start(struct mds *mds, struct client *client, struct session *only, const nfs_cb_argop4 *arg, const struct cb_ref *refs, unsigned nrefs,
    uint32_t timeout_ms, cb_take_fn *take, cb_done_fn *done, void *done_arg)
{
	struct cb_call *call = malloc(sizeof *call);
	if (!call || !cb_call_encode(call, arg)) {
		free(call);
		log_error("callback %u dropped", (unsigned)arg->argop);
		done(mds, done_arg, -ENOTCONN);
		return;
	}
	call->mds = mds;
	call->client = client_get(client);
	call->only = only ? session_get(only) : NULL;
	call->take = take;
	call->done = done;
	call->done_arg = done_arg;
	call->deadline_ms = mds_now_ms() + timeout_ms;
	call->sent = false;
	call->tries = 0;
	call->nrefs = nrefs < CB_MAX_REFS ? nrefs : CB_MAX_REFS;
	for (unsigned i = 0; i < call->nrefs; i++)
		call->refs[i] = refs[i];
	cb_route(call);
}

void
cb_send(struct mds *mds, struct client *client, const nfs_cb_argop4 *arg, const struct cb_ref *refs, unsigned nrefs,
    uint32_t timeout_ms, cb_done_fn *done, void *done_arg)
{
	cb_start(mds, client, NULL, arg, refs, nrefs, timeout_ms, NULL, done, done_arg);
}

void
cb_send_session(struct mds *mds, struct session *session, const nfs_cb_argop4 *arg, uint32_t timeout_ms, cb_done_fn *done, void *done_arg)
{
	cb_start(mds, session->client, session, arg, NULL, 0, timeout_ms, NULL, done, done_arg);
}

void
cb_ask(struct mds *mds, struct client *client, const nfs_cb_argop4 *arg, uint32_t timeout_ms, cb_take_fn *take, cb_done_fn *done,
    void *done_arg)
{
	cb_start(mds, client, NULL, arg, NULL, 0, timeout_ms, take, done, done_arg);
}

/* ---- answers ---- */

/* What a landing leaves to do without the lock. */
struct landing {
	struct cb_call *finish;
	int status;
	bool refused;			/* the connection is of no use for callbacks */
};

static void
landing_finish(struct cb_queue *q, struct landing *l, int status)
{
	l->finish = q->current;
	l->status = status;
	q->current = NULL;
	q->resend = false;
}

static void
cb_step(struct cb_queue *q)
{
	q->seqid++;
	q->doubt = false;
	q->resend = false;
}

/* The slot is out of step: one back (the client has not seen what we gave up on), then the beginning. */
static void
cb_resync(struct cb_queue *q, struct landing *l)
{
	switch (++q->current->tries) {
	case 1:
		q->seqid--;
		q->doubt = true;
		q->resend = false;
		return;
	case 2:
		q->seqid = 1;
		q->doubt = false;
		q->resend = false;
		return;
	default:
		l->refused = true;
		landing_finish(q, l, -ECONNRESET);
	}
}

/* Not executed: another connection or session may do. */
static void
cb_elsewhere(struct cb_queue *q, const struct cb_flight *f, struct landing *l)
{
	l->refused = true;
	q->current->sent = f->resend;
	q->resend = false;
}

/* An answer came.  session->lock held. */
static void
cb_land_answer(struct cb_queue *q, const struct cb_flight *f, enum cb_outcome outcome, nfsstat4 op_status,
    struct landing *l)
{
	switch (outcome) {
	case CB_ANSWERED:
		cb_step(q);
		landing_finish(q, l, (int)op_status);
		return;
	case CB_STEP:
		cb_step(q);
		/* A probe has done its work; what was sent twice was executed, but its answer is lost. */
		if (!f->probe && (f->resend || ++q->current->tries >= MAX_TRIES))
			landing_finish(q, l, -ECONNRESET);
		return;
	case CB_UNKNOWN:
		/* A recall that waited for the session may overtake the answer to CREATE_SESSION. */
		if (++q->current->tries >= MAX_TRIES) {
			cb_elsewhere(q, f, l);
			return;
		}
		q->retry_ms = mds_now_ms() + RETRY_MS;
		q->resend = f->resend;
		return;
	case CB_LATER:
		q->retry_ms = mds_now_ms() + RETRY_MS;
		q->resend = !f->probe;
		return;
	case CB_OUT_OF_STEP:
		cb_resync(q, l);
		return;
	case CB_REFUSED:
		cb_elsewhere(q, f, l);
		return;
	}
}

/* No answer.  session->lock held. */
static void
cb_land_error(struct session *s, struct cb_queue *q, const struct cb_flight *f, int status, struct landing *l)
{
	if (status == -EPROTO || status == -EACCES || status == -ENOMEM) {
		l->refused = status != -ENOMEM;
		q->current->sent = f->resend;
		if (status == -ENOMEM)
			q->retry_ms = mds_now_ms() + RETRY_MS;
		return;
	}
	q->doubt = true;
	if (status == -ECONNRESET) {
		/* closed: its binding goes in a moment, and with it this way. */
		l->refused = true;
		unsigned others = s->nback;
		struct conn_bind *bind;
		TAILQ_FOREACH(bind, &s->conns, of_session)
			others -= bind->back && bind->conn == f->conn;
		if (f->probe || others > 0) {
			q->resend = !f->probe;
			return;
		}
	}
	landing_finish(q, l, status == -ETIMEDOUT ? -ETIMEDOUT : -ECONNRESET);
}

static void
cb_replied(struct rpc_peer *peer, void *arg, int status, uint8_t *body, uint32_t len, struct rpc_rec *rec)
{
	struct cb_flight *f = arg;
	struct session *s = f->session;
	struct landing l = { 0 };
	(void)peer;
	(void)rec;

	pthread_mutex_lock(&s->lock);
	struct cb_queue *q = s->cb_queue;
	q->flight = NULL;
	if (q->current && status == 0) {
		nfsstat4 op_status = NFS4_OK;
		enum cb_outcome outcome = cb_reply_parse(body, len, s->id, q->seqid, f->probe, q->current, &op_status);
		cb_land_answer(q, f, outcome, op_status, &l);
	} else if (q->current) {
		cb_land_error(s, q, f, status, &l);
	}
	pthread_mutex_unlock(&s->lock);

	if (l.refused)
		session_back_failed(f->mds, s, f->conn);
	if (l.finish)
		cb_finish(l.finish, l.status);
	cb_kick(f->mds, s);
	flight_free(f);
}

/* ---- time ---- */

struct tick {
	struct session *sessions[TICK_SESSIONS];
	unsigned n;
};

static void
tick_collect(struct mds *mds, struct session *s, void *arg)
{
	struct tick *t = arg;
	(void)mds;
	LOCK_SCOPE(&s->lock);
	if (t->n < TICK_SESSIONS && (s->cb_queue->current || !TAILQ_EMPTY(&s->cb_queue->waiting)))
		t->sessions[t->n++] = session_get(s);
}

void
cb_tick(struct mds *mds, uint64_t now_ms)
{
	struct tick t = { .n = 0 };
	(void)now_ms;
	pthread_mutex_lock(&mds->state_lock);
	session_each_locked(mds, tick_collect, &t);
	pthread_mutex_unlock(&mds->state_lock);
	for (unsigned i = 0; i < t.n; i++) {
		cb_kick(mds, t.sessions[i]);
		session_put(mds, t.sessions[i]);
	}
}
