/*
 * Leases (RFC 8881 8.3): a timer finds those that are over and takes the clients down.  Only a successful SEQUENCE renews
 * (op_sequence.c).  The courteous kind, which waits for a conflict, comes with its own issue.
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
#include "server/state/client.h"
#include "server/state/lock_wait.h"

#define EXPIRE_AT_ONCE 64u

struct lease_search {
	uint64_t now_ms, lease_ms;
	struct client *found[EXPIRE_AT_ONCE];
	unsigned n;
};

static bool
lease_over(const struct client *client, uint64_t now_ms, uint64_t lease_ms)
{
	uint64_t renewed = atomic_load(&client->renewed_ms);
	return now_ms > renewed && now_ms - renewed > lease_ms;
}

static void
lease_check(struct client *client, void *arg)
{
	struct lease_search *s = arg;
	if (s->n < EXPIRE_AT_ONCE && lease_over(client, s->now_ms, s->lease_ms))
		s->found[s->n++] = client_get(client);
}

/*
 * Take CLIENT down if its lease is over (EXPIRED), or whatever its lease (NULL: evicted).  Its record goes first, and durably: others may take conflicting state
 * from now on, so after a restart it must not reclaim (RFC 8881 8.4.2.1, PITFALLS D4).  -errno: the record could not be removed, nothing is done.
 */
static int
lease_end(struct mds *mds, struct client *client, const struct lease_search *expired)
{
	int err = client->confirmed ? stable_client_remove(mds, client->ownerid, client->ownerid_len) : 0;
	if (err)
		return err;
	bool back = false;
	pthread_mutex_lock(&mds->state_lock);
	if (!client->removed && (!expired || lease_over(client, expired->now_ms, expired->lease_ms))) {
		if (client->confirmed && expired)
			log_info("client %016llx: lease is over", (unsigned long long)client->id);
		if (client->confirmed)
			client_destroy_locked(mds, client);
		else
			client_remove_locked(mds, client);
	} else {
		back = client->confirmed && !client->removed;
	}
	pthread_mutex_unlock(&mds->state_lock);
	/* It renewed in the last moment: as if nothing had been. */
	if (back && stable_client_add(mds, client->ownerid, client->ownerid_len) < 0)
		log_error("state_dir: client record lost");
	return 0;
}

void
lease_expire(struct mds *mds, uint64_t now_ms)
{
	struct lease_search s = { .now_ms = now_ms, .lease_ms = (uint64_t)mds->conf.lease * 1000 };
	pthread_mutex_lock(&mds->state_lock);
	client_each_locked(mds, lease_check, &s);
	pthread_mutex_unlock(&mds->state_lock);
	for (unsigned i = 0; i < s.n; i++) {
		int err = lease_end(mds, s.found[i], &s);
		if (err)		/* the next tick tries again */
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
	int err = lease_end(mds, client, NULL);
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
