/* Sessions, their slots, and what binds connections to them; see session.h. */
#include "server/state/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "include/cleanup.h"
#include "server/cb/cb.h"
#include "server/mds.h"
#include "server/net/conn.h"
#include "server/state/client.h"

#define RECALLS_AT_ONCE 64u
#define RECALL_SLOT_MS 10000u

struct sessions {
	struct session *by_id;
	atomic_uint_fast64_t cached;	/* bytes of replies */
	uint64_t cache_max;
};

int
sessions_new(struct mds *mds)
{
	mds->sessions = calloc(1, sizeof *mds->sessions);
	if (!mds->sessions)
		return -ENOMEM;
	mds->sessions->cache_max = SESSION_CACHE_MAX;
	return 0;
}

/* After clients_free(), which destroys them all. */
void
sessions_free(struct mds *mds)
{
	free(mds->sessions);
	mds->sessions = NULL;
}

struct session *
session_find_locked(struct mds *mds, const uint8_t id[NFS4_SESSIONID_SIZE])
{
	struct session *session;
	HASH_FIND(hh, mds->sessions->by_id, id, NFS4_SESSIONID_SIZE, session);
	return session;
}

struct session *
session_get(struct session *session)
{
	atomic_fetch_add_explicit(&session->refs, 1, memory_order_relaxed);
	return session;
}

static void
session_free(struct mds *mds, struct session *session)
{
	for (uint32_t i = 0; i < session->nslots; i++)
		free(session->slots[i].reply);
	atomic_fetch_sub(&session->sessions->cached, session->cached);
	free(session->slots);
	free(session->cb_machine);
	cb_queue_free(session->cb_queue);
	pthread_mutex_destroy(&session->lock);
	client_put(mds, session->client);
	free(session);
}

void
session_put(struct mds *mds, struct session *session)
{
	if (atomic_fetch_sub(&session->refs, 1) == 1)
		session_free(mds, session);
}

struct session *
session_new_locked(struct mds *mds, struct client *client, const channel_attrs4 *fore, const channel_attrs4 *back)
{
	struct session *session = calloc(1, sizeof *session);
	if (!session)
		return NULL;
	session->nslots = fore->ca_maxrequests;
	session->slots = calloc(session->nslots, sizeof session->slots[0]);
	session->cb_queue = cb_queue_new();
	/* The client ID and 64 bits that cannot be guessed: SEQUENCE on any connection binds it. */
	memcpy(session->id, &client->id, 8);
	if (!session->slots || !session->cb_queue || getrandom(session->id + 8, 8, 0) != 8 ||
	    session_find_locked(mds, session->id)) {
		free(session->slots);
		cb_queue_free(session->cb_queue);
		free(session);
		return NULL;
	}
	session->client = client_get(client);
	session->sessions = mds->sessions;
	session->fore = *fore;
	session->back = *back;
	atomic_init(&session->refs, 1);
	pthread_mutex_init(&session->lock, NULL);
	TAILQ_INIT(&session->conns);
	TAILQ_INSERT_TAIL(&client->sessions, session, of_client);
	client->nsessions++;
	HASH_ADD(hh, mds->sessions->by_id, id, NFS4_SESSIONID_SIZE, session);
	return session;
}

/* ---- bindings ---- */

static struct conn_bind *
session_bind_find(struct session *session, const struct conn *conn)
{
	struct conn_bind *bind;
	TAILQ_FOREACH(bind, &session->conns, of_session)
		if (bind->conn == conn)
			return bind;
	return NULL;
}

/* state_lock and session->lock held. */
static void
bind_set_back(struct session *session, struct conn_bind *bind, bool back)
{
	if (bind->back == back)
		return;
	bind->back = back;
	session->nback += back ? 1 : -1u;
	atomic_fetch_add(&session->client->nback, back ? 1 : -1);
}

static void
bind_remove(struct session *session, struct conn_bind *bind)
{
	bind_set_back(session, bind, false);
	TAILQ_REMOVE(&session->conns, bind, of_session);
	TAILQ_REMOVE(&bind->conn->binds, bind, of_conn);
	free(bind);
}

bool
session_bind_locked(struct session *session, struct conn *conn, bool fore, bool back)
{
	if (conn->closed)
		return false;
	LOCK_SCOPE(&session->lock);
	if (session->dead)
		return false;
	struct conn_bind *bind = session_bind_find(session, conn);
	if (!bind) {
		bind = calloc(1, sizeof *bind);
		if (!bind)
			return false;
		bind->conn = conn;
		bind->session = session;
		TAILQ_INSERT_TAIL(&session->conns, bind, of_session);
		TAILQ_INSERT_TAIL(&conn->binds, bind, of_conn);
	}
	bool had = atomic_load(&session->client->nback) > 0;
	bind->fore = fore;
	bind_set_back(session, bind, back);
	session->back_wanted |= back;
	return back && !had;
}

bool
session_is_bound_locked(struct session *session, const struct conn *conn)
{
	LOCK_SCOPE(&session->lock);
	return session_bind_find(session, conn) != NULL;
}

void
session_back_failed(struct mds *mds, struct session *session, struct conn *conn)
{
	LOCK_SCOPE(&mds->state_lock);
	pthread_mutex_lock(&session->lock);
	struct conn_bind *bind = session_bind_find(session, conn);
	if (bind)
		bind_set_back(session, bind, false);
	pthread_mutex_unlock(&session->lock);
}

void
session_conn_closed(struct mds *mds, struct conn *conn)
{
	/* One at a time, so that cb.c can be told without the lock. */
	for (;;) {
		pthread_mutex_lock(&mds->state_lock);
		conn->closed = true;
		struct conn_bind *bind = TAILQ_FIRST(&conn->binds);
		struct session *session = bind ? session_get(bind->session) : NULL;
		if (bind) {
			pthread_mutex_lock(&session->lock);
			bind_remove(session, bind);
			pthread_mutex_unlock(&session->lock);
		}
		pthread_mutex_unlock(&mds->state_lock);
		if (!session)
			return;
		cb_session_changed(mds, session);
		session_put(mds, session);
	}
}

void
session_destroy_locked(struct mds *mds, struct session *session)
{
	pthread_mutex_lock(&session->lock);
	session->dead = true;
	struct conn_bind *bind;
	while ((bind = TAILQ_FIRST(&session->conns)) != NULL)
		bind_remove(session, bind);
	pthread_mutex_unlock(&session->lock);
	TAILQ_REMOVE(&session->client->sessions, session, of_client);
	session->client->nsessions--;
	HASH_DELETE(hh, mds->sessions->by_id, session);
	cb_session_dead(mds, session);
	session_put(mds, session);
}

void
session_each_locked(struct mds *mds, void (*fn)(struct mds *, struct session *, void *), void *arg)
{
	struct session *session, *tmp;
	HASH_ITER(hh, mds->sessions->by_id, session, tmp)
		fn(mds, session, arg);
}

/* ---- slots ---- */

/* Room for LEN bytes of reply; a slot keeps what it once had. */
static bool
slot_reserve(struct session *session, struct slot *slot, uint32_t len)
{
	struct sessions *all = session->sessions;
	if (slot->reply_cap >= len)
		return true;
	uint32_t cap = slot->reply_cap ? slot->reply_cap : 256;
	while (cap < len)
		cap *= 2;
	if (atomic_load_explicit(&all->cached, memory_order_relaxed) + cap > all->cache_max)
		return false;
	uint8_t *reply = realloc(slot->reply, cap);
	if (!reply)
		return false;
	session->cached += cap - slot->reply_cap;
	atomic_fetch_add_explicit(&all->cached, cap - slot->reply_cap, memory_order_relaxed);
	slot->reply = reply;
	slot->reply_cap = cap;
	return true;
}

static bool
cache_short(const struct sessions *all)
{
	return atomic_load_explicit(&all->cached, memory_order_relaxed) > all->cache_max / 2;
}

bool
sessions_short(const struct mds *mds)
{
	return cache_short(mds->sessions);
}

void
sessions_set_cache_max(struct mds *mds, uint64_t bytes)
{
	mds->sessions->cache_max = bytes;
}

uint32_t
session_target(const struct session *session)
{
	return (session->nslots > SESSION_FEW_SLOTS && cache_short(session->sessions) ? SESSION_FEW_SLOTS : session->nslots) - 1;
}

/*
 * RFC 8881 2.10.6.1: the requester has the replies of the slots above its highest.  A retry that was lost on the way until now finds none, and
 * is answered RETRY_UNCACHED_REP.
 */
void
session_slots_idle(struct session *session, uint32_t highest)
{
	uint32_t freed = 0;
	if (!session->cached || !cache_short(session->sessions))
		return;
	for (uint32_t i = highest + 1; i < session->nslots; i++) {
		struct slot *slot = &session->slots[i];
		if (slot->busy || !slot->reply_cap)
			continue;
		free(slot->reply);
		slot->reply = NULL;
		slot->cached = false;
		freed += slot->reply_cap;
		slot->reply_cap = slot->reply_len = 0;
	}
	session->cached -= freed;
	atomic_fetch_sub_explicit(&session->sessions->cached, freed, memory_order_relaxed);
	if (highest < SESSION_FEW_SLOTS)
		session->recalled = false;
}

void
session_slot_done(struct session *session, struct slot *slot, const uint8_t *reply, uint32_t len)
{
	LOCK_SCOPE(&session->lock);
	slot->busy = false;
	/* ca_maxresponsesize_cached was looked after; a slot without memory answers RETRY_UNCACHED_REP. */
	slot->cached = reply && len <= SESSION_MAX_CACHED && slot_reserve(session, slot, len);
	if (slot->cached) {
		memcpy(slot->reply, reply, len);
		slot->reply_len = len;
	}
}

/* ---- asking for slots ---- */

struct recall_slots {
	struct session *list[RECALLS_AT_ONCE];
	unsigned n;
};

static void
recall_collect(struct mds *mds, struct session *session, void *arg)
{
	struct recall_slots *r = arg;
	(void)mds;
	LOCK_SCOPE(&session->lock);
	if (r->n == RECALLS_AT_ONCE || session->recalled || session->nback == 0 || session->nslots <= SESSION_FEW_SLOTS || !session->cached)
		return;
	session->recalled = true;
	r->list[r->n++] = session_get(session);
}

static void
recall_done(struct mds *mds, void *arg, int status)
{
	(void)mds;
	(void)arg;
	(void)status;	/* it also reads sr_target_highest_slotid, and what its idle slots keep is given up anyway */
}

/* RFC 8881 20.8: for a session whose client sends nothing that could be answered with a target. */
void
sessions_tick(struct mds *mds)
{
	struct recall_slots r = { .n = 0 };
	nfs_cb_argop4 arg = { .argop = OP_CB_RECALL_SLOT };
	arg.nfs_cb_argop4_u.opcbrecall_slot.rsa_target_highest_slotid = SESSION_FEW_SLOTS - 1;
	if (!sessions_short(mds))
		return;
	pthread_mutex_lock(&mds->state_lock);
	session_each_locked(mds, recall_collect, &r);
	pthread_mutex_unlock(&mds->state_lock);
	for (unsigned i = 0; i < r.n; i++) {
		cb_send_session(mds, r.list[i], &arg, RECALL_SLOT_MS, recall_done, NULL);
		session_put(mds, r.list[i]);
	}
}
