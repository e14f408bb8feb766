/*
 * Grace (RFC 8881 8.4.2): after a restart those who are on record may reclaim, and nobody may take anything new.  There is
 * none if nobody is on record; it ends early when all who are have said RECLAIM_COMPLETE (PITFALLS D5), but not while a client of before may still write
 * by a layout (layout/former.h).
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/layout/former.h"
#include "server/mds.h"
#include "server/state/client.h"

/* A client of the former life. */
struct grace_record {
	UT_hash_handle hh;
	bool done;			/* it has reclaimed what it wanted */
	uint32_t len;
	uint8_t ownerid[];
};

struct grace {
	atomic_bool active;
	uint64_t until_ms;
	struct grace_record *records;	/* state_lock */
	unsigned left;			/* not done; state_lock */
	bool oom, told;
};

static void
grace_record_add(const void *ownerid, uint32_t len, void *arg)
{
	struct grace *g = arg;
	struct grace_record *r = malloc(sizeof *r + len);
	if (!r) {
		g->oom = true;
		return;
	}
	r->done = false;
	r->len = len;
	memcpy(r->ownerid, ownerid, len);
	HASH_ADD_KEYPTR(hh, g->records, r->ownerid, r->len, r);
	g->left++;
}

static struct grace_record *
grace_find(const struct grace *g, const void *ownerid, uint32_t len)
{
	struct grace_record *r = NULL;
	if (g)
		HASH_FIND(hh, g->records, ownerid, len, r);
	return r;
}

int
grace_start(struct mds *mds)
{
	int err = stable_open(mds, mds->conf.state_dir);
	if (err)
		return err;
	struct grace *g = calloc(1, sizeof *g);
	if (!g)
		return -ENOMEM;
	mds->grace = g;
	err = stable_begin(mds);
	if (!err)
		err = stable_former_each(mds, grace_record_add, g);
	if (!err && g->oom)
		err = -ENOMEM;
	if (!err)
		err = formers_new(mds);
	if (err)
		return err;
	unsigned formers = formers_count(mds);
	if (g->left > 0 || formers > 0) {
		/* At least the lease of the life before (RFC 8881 8.4.2.1). */
		uint32_t lease = stable_former_lease(mds), s = mds->conf.grace > lease ? mds->conf.grace : lease;
		g->until_ms = mds_now_ms() + (uint64_t)s * 1000;
		atomic_store(&g->active, true);
		log_info("grace for %u clients, at most %u s; %u may still write by layouts", g->left, s, formers);
	}
	return 0;
}

bool
grace_active(const struct mds *mds)
{
	return mds->grace && atomic_load_explicit(&mds->grace->active, memory_order_acquire);
}

bool
grace_has_record_locked(const struct mds *mds, const void *ownerid, uint32_t len)
{
	return grace_active(mds) && grace_find(mds->grace, ownerid, len) != NULL;
}

nfsstat4
grace_check_reclaim_locked(struct mds *mds, struct client *client)
{
	/* RFC 8881 18.51.3: after its RECLAIM_COMPLETE, and when grace is over, NO_GRACE; 8.4.2.1: only those on record. */
	if (client->reclaim_complete || !grace_active(mds))
		return NFS4ERR_NO_GRACE;
	return client->may_reclaim ? NFS4_OK : NFS4ERR_RECLAIM_BAD;
}

void
grace_client_done_locked(struct mds *mds, struct client *client)
{
	if (!grace_active(mds))
		return;
	former_done_locked(mds, client);
	struct grace_record *r = grace_find(mds->grace, client->ownerid, client->ownerid_len);
	if (!r || r->done)
		return;
	r->done = true;
	mds->grace->left--;
}

void
grace_tick(struct mds *mds, uint64_t now_ms)
{
	struct grace *g = mds->grace;
	if (!grace_active(mds))
		return;
	pthread_mutex_lock(&mds->state_lock);
	unsigned left = g->left;
	pthread_mutex_unlock(&mds->state_lock);
	bool reclaim_over = left == 0 || now_ms >= g->until_ms;
	unsigned formers = formers_tick(mds, now_ms, reclaim_over);
	if (!reclaim_over)
		return;
	if (formers) {
		if (!g->told)
			log_info("grace goes on: %u clients of before the restart may still write by layouts", formers);
		g->told = true;
		return;
	}
	/*
	 * Durable before anybody may take what those who did not come would have reclaimed: a second restart must not let
	 * them (RFC 8881 8.4.2.1, PITFALLS D4).
	 */
	int err = stable_former_drop(mds);
	if (err) {
		log_error("state_dir: grace cannot end: %s", strerror(-err));
		return;
	}
	atomic_store_explicit(&g->active, false, memory_order_release);
	log_info("grace is over, %u clients did not come", left);
}

void
grace_stop(struct mds *mds)
{
	struct grace *g = mds->grace;
	mds->grace = NULL;
	formers_free(mds);
	stable_close(mds);
	if (!g)
		return;
	struct grace_record *r, *tmp;
	HASH_ITER(hh, g->records, r, tmp) {
		HASH_DELETE(hh, g->records, r);
		free(r);
	}
	free(g);
}
