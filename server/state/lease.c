/*
 * Leases (RFC 8881 8.3): a timer finds those that are over.  Only a successful SEQUENCE renews (op_sequence.c).
 *
 * The server is courteous (8.4.3, as Linux' is): a client that lapses loses its layouts - others want their blocks, and it must not write any more: they are
 * fenced at once - but its opens and locks stay, and when it comes back it goes on, as long as nobody wanted what conflicts with
 * them.  Then, or after a day, it is taken down: first the record by which it might reclaim after a restart, durably (8.4.2.1), then the client.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/cb/cb.h"
#include "server/layout/layout.h"
#include "server/mds.h"
#include "server/net/worker.h"
#include "server/nfs4/offload.h"
#include "server/state/client.h"
#include "server/state/deleg.h"
#include "server/state/lock_wait.h"
#include "server/state/session.h"
#include "server/state/stateid.h"

#define EXPIRE_AT_ONCE 64u

/* As knfsd: a client that comes back after so long starts anew. */
#define COURTESY_MS (24ull * 3600 * 1000)

struct lease_search {
	struct mds *mds;
	uint64_t now_ms;
	struct client *found[EXPIRE_AT_ONCE];
	unsigned n;
};

static bool
lease_over(const struct mds *mds, const struct client *client, uint64_t now_ms)
{
	return client_lease_over(client, now_ms, mds->conf.lease);
}

/* ---- courtesy ---- */

bool
lease_lapsed_locked(const struct mds *mds, const struct client *client)
{
	return client->lapsed && lease_over(mds, client, mds_now_ms());
}

void
lease_want_locked(struct mds *mds, struct client *client)
{
	if (client->wanted)
		return;
	client->wanted = true;
	/* A tick that is under way may miss it: then the next. */
	lease_tick(mds);
}

struct lease_room {
	struct mds *mds;
	bool any;
};

static void
lease_want_lapsed(struct client *client, void *arg)
{
	struct lease_room *room = arg;
	if (!lease_lapsed_locked(room->mds, client))
		return;
	room->any = true;
	lease_want_locked(room->mds, client);
}

bool
lease_make_room_locked(struct mds *mds)
{
	struct lease_room room = { .mds = mds };
	client_each_locked(mds, lease_want_lapsed, &room);
	return room.any;
}

/* Has it more than layouts? */
static bool
lease_keeps(const struct client *client)
{
	const struct state_obj *obj;
	TAILQ_FOREACH(obj, &client->states, of_client)
		if (obj->cls->kind != STATE_LAYOUT)
			return true;
	return false;
}

/* Is CLIENT, whose lease is over, left alone? */
static bool
lease_courtesy(struct lease_search *s, struct client *client)
{
	if (!client->confirmed || client->wanted || s->now_ms > atomic_load(&client->renewed_ms) + COURTESY_MS ||
	    (client->lapsed ? TAILQ_EMPTY(&client->states) : !lease_keeps(client)))
		return false;
	if (client->lapsed)
		return true;
	client->lapsed = true;
	log_info("client %016llx: lease is over; its opens and locks stay until somebody wants them", (unsigned long long)client->id);
	if (s->mds->layouts)
		layout_client_lapsed_locked(s->mds, client);
	return true;
}

static void
lease_check(struct client *client, void *arg)
{
	struct lease_search *s = arg;
	if (!lease_over(s->mds, client, s->now_ms)) {
		if (client->lapsed)
			log_info("client %016llx: is back", (unsigned long long)client->id);
		client->lapsed = client->wanted = false;
	} else if (!lease_courtesy(s, client) && s->n < EXPIRE_AT_ONCE) {
		s->found[s->n++] = client_get(client);
	}
}

/* ---- the end ---- */

/* May CLIENT's record be removed now?  Not while one of its new instance is being written, or else that would be lost. */
static bool
lease_end_begin(struct mds *mds, struct client *client)
{
	LOCK_SCOPE(&mds->state_lock);
	const struct client *next = client_find_owner_locked(mds, client->ownerid, client->ownerid_len, false);
	if (client->removed || client->forgetting || client->recording || (client->confirmed && next && next->recording))
		return false;
	client->forgetting = true;
	return true;
}

/*
 * Take CLIENT down if its lease is over (NOW_MS), or whatever its lease (0: evicted).  Its record goes first, and durably: others may take conflicting state
 * from now on, so after a restart it must not reclaim (RFC 8881 8.4.2.1, PITFALLS D4).  -errno: the record could not be removed, nothing is done.
 */
static int
lease_end(struct mds *mds, struct client *client, uint64_t now_ms)
{
	if (!lease_end_begin(mds, client))
		return -EAGAIN;
	int err = client->confirmed ? stable_client_remove(mds, client->ownerid, client->ownerid_len) : 0;
	bool back = false;
	pthread_mutex_lock(&mds->state_lock);
	client->forgetting = false;
	if (!err && !client->removed && (!now_ms || lease_over(mds, client, now_ms))) {
		if (client->confirmed && now_ms)
			log_info("client %016llx: lease is over%s", (unsigned long long)client->id, client->wanted ? ", and its state is wanted" : "");
		if (client->confirmed)
			client_destroy_locked(mds, client);
		else
			client_remove_locked(mds, client);
	} else if (!err) {
		/* It renewed in the last moment, or went another way: as if nothing had been. */
		back = client->confirmed && client_recorded_locked(mds, client->ownerid, client->ownerid_len);
	}
	pthread_mutex_unlock(&mds->state_lock);
	if (back && stable_client_add(mds, client->ownerid, client->ownerid_len) < 0)
		log_error("state_dir: client record lost");
	return err;
}

void
lease_expire(struct mds *mds, uint64_t now_ms)
{
	struct lease_search s = { .mds = mds, .now_ms = now_ms };
	pthread_mutex_lock(&mds->state_lock);
	client_each_locked(mds, lease_check, &s);
	pthread_mutex_unlock(&mds->state_lock);
	for (unsigned i = 0; i < s.n; i++) {
		int err = lease_end(mds, s.found[i], now_ms);
		if (err && err != -EAGAIN)	/* the next tick tries again */
			log_error("state_dir: client record not removed: %s", strerror(-err));
		client_put(mds, s.found[i]);
	}
	if (mds->layouts)
		records_sweep(mds, false);
	grace_tick(mds, now_ms);
}

int
client_evict(struct mds *mds, uint64_t id)
{
	pthread_mutex_lock(&mds->state_lock);
	struct client *client = client_find_locked(mds, id);
	if (client)
		client_get(client);
	pthread_mutex_unlock(&mds->state_lock);
	if (!client)
		return -ENOENT;
	int err = lease_end(mds, client, 0);
	client_put(mds, client);
	return err ? err : 1;
}

struct lease_job {
	struct work work;
	struct mds *mds;
};

static void
lease_job_run(struct work *work)
{
	struct lease_job *job = (struct lease_job *)work;
	uint64_t now_ms = mds_now_ms();
	cb_tick(job->mds, now_ms);
	lock_waits_tick(job->mds, now_ms);
	sessions_tick(job->mds);
	delegs_tick(job->mds, now_ms);
	offloads_tick(job->mds);
	lease_expire(job->mds, now_ms);
	atomic_store(&job->mds->lease_busy, false);
	free(job);
}

void
lease_tick(struct mds *mds)
{
	/* The disk may be slower than the clock. */
	if (atomic_exchange(&mds->lease_busy, true))
		return;
	struct lease_job *job = malloc(sizeof *job);
	if (!job) {
		atomic_store(&mds->lease_busy, false);
		return;
	}
	*job = (struct lease_job){ .work.fn = lease_job_run, .mds = mds };
	workers_submit(mds->workers, &job->work);
}
