/*
 * Clients on devices, and cutting them off (RFC 8154 2.4.10, RFC 5663 2.3.8).  One holder is one client on one device, so however many
 * files it has not returned, there is one fence (PITFALLS B4).
 *
 * What a holder holds stays held - in the way of everybody - until the fence is confirmed, or, where nothing but time helps, over; also
 * when the client's record is long gone (PITFALLS B2).
 *
 *   QUEUED -> RUNNING -> NONE (confirmed)
 *          -> NONE (returned meanwhile, PITFALLS B14)   -> RETRY -> QUEUED    not confirmed: again and again, logged (B13)
 *                                                       -> TIMED -> NONE      no way to fence
 *
 * Where the protocol makes clients stop by themselves (type 3), RETRY ends when TIMED would have, too.
 */
#include "server/layout/layout_impl.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/log.h"
#include "server/export/export.h"
#include "server/layout/device.h"
#include "server/mds.h"
#include "server/state/client.h"

#define RETRY_MIN_MS 1000u
#define RETRY_MAX_MS 30000u

static void holder_work(struct work *work);

/* ---- the table ---- */

struct holder_key
holder_key(const struct client *client, const struct inode *inode)
{
	struct holder_key key;
	memset(&key, 0, sizeof key);
	key.clientid = client->id;
	key.device = inode->export->device;
	return key;
}

static struct holder *
holder_find(struct mds *mds, const struct client *client, const struct inode *inode)
{
	struct holder_key key = holder_key(client, inode);
	struct holder *holder;

	HASH_FIND(hh, mds->layouts->holders, &key, sizeof key, holder);
	return holder;
}

/* The target of HOLDER may come to know it by KEY, too. */
void
holder_add_key(struct holder *holder, uint64_t key)
{
	if (holder->nkeys && holder->keys[holder->nkeys - 1] == key)
		return;
	if (holder->nkeys == HOLDER_KEYS) {
		memmove(holder->keys, holder->keys + 1, (HOLDER_KEYS - 1) * sizeof key);
		holder->nkeys--;
	}
	holder->keys[holder->nkeys++] = key;
}

struct holder *
holder_get_locked(struct mds *mds, struct client *client, const struct inode *inode)
{
	struct holder *holder = holder_find(mds, client, inode);
	const struct layout_plug *plug = layout_plug_find(inode->export->layout_type);

	if (holder || !plug)
		return holder;
	holder = calloc(1, sizeof *holder);
	if (!holder)
		return NULL;
	holder->key = holder_key(client, inode);
	holder->layouts = mds->layouts;
	holder->client = client;
	holder->device = device_get(inode->export->device);
	holder->plug = plug;
	holder->work.fn = holder_work;
	TAILQ_INIT(&holder->list);
	/* Fenced on another device, it may still be registered here by the key it had then. */
	for (unsigned i = 0; i < client->nold_keys && plug->fence_key(client); i++)
		holder_add_key(holder, client->old_keys[i]);
	holder_add_key(holder, plug->fence_key(client));
	HASH_ADD(hh, mds->layouts->holders, key, sizeof holder->key, holder);
	holder->hashed = true;
	return holder;
}

static void
holder_unhash(struct holder *holder)
{
	if (holder->hashed)
		HASH_DELETE(hh, holder->layouts->holders, holder);
	holder->hashed = false;
}

void
holder_put_locked(struct holder *holder)
{
	if (!TAILQ_EMPTY(&holder->list) || holder->fence != FENCE_NONE)
		return;
	holder_unhash(holder);
	/* device_put() may close a connection to a target. */
	TAILQ_INSERT_TAIL(&holder->layouts->reaped, holder, of_reaped);
	layouts_kick_locked(holder->layouts);
}

void
holders_reap(struct layouts *layouts)
{
	struct holder *holder;

	pthread_mutex_lock(&layouts->mds->state_lock);
	while ((holder = TAILQ_FIRST(&layouts->reaped))) {
		TAILQ_REMOVE(&layouts->reaped, holder, of_reaped);
		pthread_mutex_unlock(&layouts->mds->state_lock);
		device_put(holder->device);
		free(holder);
		pthread_mutex_lock(&layouts->mds->state_lock);
	}
	pthread_mutex_unlock(&layouts->mds->state_lock);
}

/* ---- the fence ---- */

void
holder_print_name(char name[HOLDER_NAME], const uint8_t *ownerid, uint32_t len)
{
	unsigned n = 0;

	for (uint32_t i = 0; i < len && n < HOLDER_NAME - 1; i++) {
		uint8_t c = ownerid[i];
		name[n++] = c > ' ' && c < 0x7f && c != '\'' && c != '"' && c != '\\' ? (char)c : '_';
	}
	name[n] = 0;
}

/* Whom it is about, while that can be seen. */
static void
holder_note_client(struct holder *holder, const struct client *client)
{
	holder_print_name(holder->name, client->ownerid, client->ownerid_len);
	holder->addr = client->addr;
}

static void
holder_queue(struct holder *holder)
{
	holder->fence = FENCE_QUEUED;
	if (holder->layouts->fencers)
		workers_submit(holder->layouts->fencers, &holder->work);
}

void
holder_fence_locked(struct holder *holder)
{
	if (holder->fence != FENCE_NONE)
		return;
	if (holder->client)
		holder_note_client(holder, holder->client);
	holder->tried = false;
	holder->tries = 0;
	holder->over_ms = 0;
	holder->time_only = false;
	TAILQ_INSERT_TAIL(&holder->layouts->fences, holder, of_fences);
	holder_queue(holder);
	layouts_kick_locked(holder->layouts);
}

bool
holder_fencing_locked(struct mds *mds, const struct client *client, const struct inode *inode)
{
	const struct holder *holder;
	struct holder_key key = holder_key(client, inode);

	TAILQ_FOREACH(holder, &mds->layouts->fences, of_fences)
		if (holder->fence != FENCE_TIMED && !memcmp(&holder->key, &key, sizeof key))
			return true;
	return false;
}

/* Is its client silent, its lease over? */
static bool
holder_lapsed(const struct holder *holder, uint64_t now)
{
	const struct client *client = holder->client;

	return client && client->lapsed && client_lease_over(client, now, holder->layouts->mds->conf.lease);
}

/* Is there still a reason to cut it off, when nothing was done about it yet? */
static bool
holder_due(const struct holder *holder, uint64_t now)
{
	const struct layout *layout;

	if (holder->tried || holder_lapsed(holder, now))
		return true;
	TAILQ_FOREACH(layout, &holder->list, of_holder)
		if (!holder->client || (layout->recall.state != RECALL_NONE && layout->recall.deadline_ms &&
		    now >= layout->recall.deadline_ms))
			return true;
	return false;
}

static void
holder_fence_end(struct holder *holder)
{
	holder->fence = FENCE_NONE;
	TAILQ_REMOVE(&holder->layouts->fences, holder, of_fences);
	holder->layouts->records_stale = true;
	holder_put_locked(holder);
}

/* From here on the client is told that its layouts are gone; what it held is ours again only when CONFIRMED. */
static void
holder_revoke(struct holder *holder)
{
	struct mds *mds = holder->layouts->mds;
	struct client *client = holder->client;
	struct layout *layout;

	if (!client)
		return;
	fenced_begin_locked(holder->layouts, client);
	TAILQ_FOREACH(layout, &holder->list, of_holder) {
		recall_end_locked(layout);
		if (layout->known && !layout->obj.revoked) {
			layout->obj.revoked = true;
			fenced_note_locked(mds, client);
		}
	}
	returned_client_gone_locked(holder->layouts, client);
	/* Later layouts of the client have nothing to do with this. */
	holder->renewed_ms = atomic_load(&client->renewed_ms);
	holder->client = NULL;
	holder_unhash(holder);
}

/* It cannot write any more: its blocks are free. */
static void
holder_release(struct holder *holder)
{
	struct mds *mds = holder->layouts->mds;
	struct layout *layout;

	while ((layout = TAILQ_FIRST(&holder->list))) {
		recall_end_locked(layout);
		if (layout->known)
			layout_detach_locked(mds, layout);
		else
			layout_free_locked(mds, layout);
	}
}

/*
 * RFC 5663 2.3.8: a client stops using layouts a lease after it last renewed, or when it sees that they were revoked; an I/O sent before that
 * takes at most the maximum I/O time.  If the client is there and renews, every reply to it from now on says SEQ4_STATUS_RECALLABLE_STATE_REVOKED, so
 * the last one that did not is at most as old as this moment: the same sum from now.  Its lease is left alone: it may go on by
 * READ and WRITE.  One that is silent, its lease over, renewed last when it renewed last - if that is still so when the flag is set: SEQUENCE
 * notes the renewal before it looks for the flag.
 */
static void
holder_set_time(struct holder *holder, uint64_t now)
{
	const struct mds *mds = holder->layouts->mds;
	const struct client *client = holder->client;
	bool lapsed = holder_lapsed(holder, now);

	if (holder->over_ms)
		return;
	holder_revoke(holder);
	uint64_t from = holder->renewed_ms;
	if (client && !(lapsed && client_lease_over(client, now, mds->conf.lease)))
		from = now;
	holder->over_ms = from + (mds->conf.lease + mds->conf.max_io_time) * 1000ull;
}

static unsigned
seconds_left(uint64_t then, uint64_t now)
{
	return then > now ? (unsigned)((then - now + 999) / 1000) : 0;
}

/* Nothing but time. */
static void
holder_timed(struct holder *holder, uint64_t now)
{
	holder_set_time(holder, now);
	holder->fence = FENCE_TIMED;
	log_warn("client %s: not fenced: its blocks stay out of use for %u s more", holder->name,
	    seconds_left(holder->over_ms, now));
}

/* Not confirmed. */
static void
holder_retry(struct holder *holder, int err, uint64_t now)
{
	uint32_t pause = holder->tries < 5 ? RETRY_MIN_MS << holder->tries : RETRY_MAX_MS;

	if (holder->plug->timed_lease)
		holder_set_time(holder, now);
	holder->fence = FENCE_RETRY;
	holder->next_ms = now + pause;
	holder->tries++;
	log_error("client %s: not fenced (%s), its blocks stay out of use; next try in %u s", holder->name, strerror(-err),
	    pause / 1000);
	if (holder->over_ms)
		log_warn("client %s: without a fence its blocks are free in %u s", holder->name,
		    seconds_left(holder->over_ms, now));
}

void
holder_release_locked(struct holder *holder)
{
	holder_revoke(holder);
	holder_release(holder);
	holder_fence_end(holder);
}

static void
holder_fenced(struct holder *holder, int err, uint64_t now)
{
	switch (err) {
	case 0:
		log_warn("client %s: fenced, confirmed%s", holder->name, holder->client ? " (it did not return layouts)" : "");
		holder->layouts->nfences++;
		holder_release_locked(holder);
		return;
	case -EOPNOTSUPP:
		holder_timed(holder, now);
		return;
	default:
		if (holder->time_only)
			holder_timed(holder, now);
		else
			holder_retry(holder, err, now);
		return;
	}
}

/* Fencer thread. */
static void
holder_work(struct work *work)
{
	struct holder *holder = (struct holder *)((char *)work - offsetof(struct holder, work));
	struct mds *mds = holder->layouts->mds;
	struct fence_target target;

	pthread_mutex_lock(&mds->state_lock);
	if (!holder_due(holder, mds_now_ms())) {
		/* Returned while this was waiting for its turn. */
		holder_fence_end(holder);
		pthread_mutex_unlock(&mds->state_lock);
		return;
	}
	if (holder->time_only) {
		holder_timed(holder, mds_now_ms());
		pthread_mutex_unlock(&mds->state_lock);
		return;
	}
	holder->fence = FENCE_RUNNING;
	holder->tried = true;
	/* A fence keeps the holder where it is; keys are added to those of live clients only, and once more than one is rare. */
	uint64_t keys[HOLDER_KEYS];
	unsigned nkeys = holder->nkeys;
	memcpy(keys, holder->keys, sizeof keys);
	target = (struct fence_target){ .client = holder->name, .addr = holder->addr };
	pthread_mutex_unlock(&mds->state_lock);
	int err = 0;
	for (unsigned i = 0; i < nkeys && err == 0; i++) {
		target.key = keys[i];
		err = device_fence(holder->device, &target);
	}
	pthread_mutex_lock(&mds->state_lock);
	holder_fenced(holder, err, mds_now_ms());
	layouts_kick_locked(holder->layouts);
	pthread_mutex_unlock(&mds->state_lock);
	recalls_pump(mds);
}

void
holders_tick_locked(struct mds *mds, uint64_t now)
{
	struct holder *holder, *next;

	for (holder = TAILQ_FIRST(&mds->layouts->fences); holder; holder = next) {
		next = TAILQ_NEXT(holder, of_fences);
		if (holder->fence != FENCE_RETRY && holder->fence != FENCE_TIMED)
			continue;
		if (holder->over_ms && now >= holder->over_ms) {
			log_warn("client %s: lease and maximum I/O time are over: its blocks are free", holder->name);
			holder_release_locked(holder);
		} else if (holder->fence == FENCE_RETRY && now >= holder->next_ms) {
			holder_queue(holder);
		}
	}
}

/* ---- clients that go ---- */

/*
 * A new instance is the sign that the old one issues nothing more (RFC 8881 12.7.1), but what it had issued may be on its way for the maximum I/O time.
 * A key is the old instance's alone and comes off the target; the fencing command would cut off the host, which is the new instance's by now.
 */
static void
holder_replaced(struct holder *holder)
{
	const struct mds *mds = holder->layouts->mds;
	uint64_t now = mds_now_ms(), last = holder->renewed_ms + mds->conf.lease * 1000ull;

	holder_fence_locked(holder);
	holder->over_ms = (last < now ? last : now) + mds->conf.max_io_time * 1000ull;
	holder->time_only = true;
}

static void
holder_client_gone(struct holder *holder, struct client *client, enum layout_gone why)
{
	if (holder->fence == FENCE_NONE)
		holder_note_client(holder, client);
	holder->renewed_ms = atomic_load(&client->renewed_ms);
	holder->client = NULL;
	holder_unhash(holder);
	/* DESTROY_CLIENTID is the client's own word that it is done. */
	if ((why == LAYOUT_GONE_DESTROYED || why == LAYOUT_GONE_STOPPING) && holder->fence == FENCE_NONE)
		holder_release(holder);		/* frees the holder with its last layout */
	else if (why == LAYOUT_GONE_REPLACED && holder->plug->timed_lease)
		holder_replaced(holder);
	else
		holder_fence_locked(holder);
}

void
layout_client_lapsed_locked(struct mds *mds, struct client *client)
{
	struct holder *holder, *tmp;

	HASH_ITER(hh, mds->layouts->holders, holder, tmp)
		if (holder->client == client)
			holder_fence_locked(holder);
}

void
layout_client_gone_locked(struct mds *mds, struct client *client, enum layout_gone why)
{
	struct layouts *layouts = mds->layouts;
	struct state_obj *obj, *next;
	struct holder *holder, *tmp;

	/* First, so that freeing its stateids is not taken for an acknowledgement. */
	fenced_end_locked(layouts, client);
	/* Then the stateids: what is held stays with the holders, which need no client. */
	for (obj = TAILQ_FIRST(&client->states); obj; obj = next) {
		struct layout *layout = (struct layout *)obj;
		next = TAILQ_NEXT(obj, of_client);
		if (obj->cls != &layout_class)
			continue;
		if (!layout->file) {
			layout_free_locked(mds, layout);
			continue;
		}
		recall_end_locked(layout);
		state_remove_locked(mds, obj, NULL);
		layout->known = false;
		obj->client = NULL;
	}
	HASH_ITER(hh, layouts->holders, holder, tmp)
		if (holder->client == client)
			holder_client_gone(holder, client, why);
	returned_client_gone_locked(layouts, client);
	layouts->records_stale |= why != LAYOUT_GONE_STOPPING;
}
