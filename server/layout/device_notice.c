/*
 * Telling clients about devices; see device_notice.h.
 *
 * Subscriptions are the client's (state/client.h) and end with it; a restarted server has none, and no client that would count on one: its client ID
 * is gone, and devices are asked for anew with the next.
 */
#include "server/layout/device_notice.h"

#include <stdlib.h>
#include <string.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "proto/x/nfs4.h"
#include "proto/xdr/xdr_arena.h"
#include "server/cb/cb.h"
#include "server/layout/device_private.h"
#include "server/state/client.h"

#define CHANGE (1u << NOTIFY_DEVICEID4_CHANGE)
#define DELETE (1u << NOTIFY_DEVICEID4_DELETE)

#define CB_TIMEOUT_MS 10000u
/* After DELAY, or no answer. */
#define RETRY_MS 1000u

/*
 * A CHANGE goes out this long after the layouts were recalled.  The Linux client that drops a device unregisters its key, which is that of the device it
 * asks for next: with nothing in use it is dropped before that (PITFALLS B16).
 */
#define SETTLE_MS 1000u

/* ---- subscriptions ---- */

static struct subscription *
subscription_find(const struct client *client, const uint8_t *id, uint32_t layout_type)
{
	struct subscription *sub;
	LIST_FOREACH(sub, &client->subscriptions, link)
		if (sub->layout_type == layout_type && memcmp(sub->device, id, sizeof sub->device) == 0)
			return sub;
	return NULL;
}

static void
subscription_end(struct client *client, struct subscription *sub)
{
	LIST_REMOVE(sub, link);
	client->nsubscriptions--;
	free(sub);
}

/* Without memory, or with too many of them, nothing is promised. */
static struct subscription *
subscription_new(struct client *client, const struct device *device)
{
	if (client->removed || client->nsubscriptions >= CLIENT_MAX_SUBSCRIPTIONS)
		return NULL;
	struct subscription *sub = calloc(1, sizeof *sub);
	if (!sub)
		return NULL;
	memcpy(sub->device, device->id, sizeof sub->device);
	sub->layout_type = device->layout_type;
	LIST_INSERT_HEAD(&client->subscriptions, sub, link);
	client->nsubscriptions++;
	return sub;
}

uint32_t
device_notice_subscribe(struct mds *mds, struct client *client, const struct device *device, uint32_t mask, bool fetched, uint64_t *key)
{
	LOCK_SCOPE(&mds->state_lock);
	struct subscription *sub = subscription_find(client, device->id, device->layout_type);
	*key = client->pr_key;
	mask &= CHANGE | DELETE;
	/* The last bitmap counts, and an empty one ends it (RFC 8881 18.40.3). */
	if (!mask) {
		if (sub)
			subscription_end(client, sub);
		return 0;
	}
	if (!sub)
		sub = subscription_new(client, device);
	if (!sub)
		return 0;
	sub->mask = mask;
	sub->pending &= fetched ? mask & ~CHANGE : mask;
	return mask;
}

static void
subscription_want(struct mds *mds, struct subscription *sub, uint32_t what, bool immediate, uint64_t when)
{
	struct devices *devices = devices_of(mds);
	if (!(sub->mask & what) || !devices)
		return;
	sub->immediate = immediate || (sub->pending & CHANGE && sub->immediate);
	sub->pending |= what;
	sub->retry_ms = when;
	__atomic_store_n(&devices->notices_due, true, __ATOMIC_RELEASE);
}

void
device_notice_key_locked(struct mds *mds, struct client *client)
{
	struct subscription *sub;
	LIST_FOREACH(sub, &client->subscriptions, link)
		if (sub->layout_type == LAYOUT_SCSI)
			subscription_want(mds, sub, CHANGE, true, 0);
}

/* ---- what has happened to devices ---- */

struct event {
	struct mds *mds;
	const uint8_t *id;
	uint32_t layout_type, what;
	bool immediate;
	uint64_t when;
	bool heard;			/* somebody will be told */
};

static void
event_of_client(struct client *client, void *arg)
{
	struct event *event = arg;
	struct subscription *sub = subscription_find(client, event->id, event->layout_type);
	if (!sub)
		return;
	if (event->what == DELETE && !(sub->mask & DELETE)) {
		subscription_end(client, sub);
		return;
	}
	subscription_want(event->mds, sub, event->what, event->immediate, event->when);
	event->heard |= event->what == DELETE;
}

/*
 * Nobody has a layout that refers to a device that is gone (devices_retire_locked()): holders have references to it until they returned all or are cut off (RFC 8881 20.12.3).
 * Its ID is not used again while there may be a client that was told so.
 */
static void
events_take_locked(struct mds *mds, struct devices *devices)
{
	struct gone_device *gone, *next;
	struct device *device;
	LOCK_SCOPE(&devices->lock);
	if (devices_retire_locked(mds))
		__atomic_store_n(&devices->notices_due, true, __ATOMIC_RELEASE);
	for (gone = LIST_FIRST(&devices->gone); gone; gone = next) {
		struct event event = { .mds = mds, .id = gone->id, .layout_type = gone->layout_type, .what = DELETE };
		next = LIST_NEXT(gone, link);
		if (gone->told)
			continue;
		client_each_locked(mds, event_of_client, &event);
		gone->told = event.heard;
		if (!gone->told) {
			LIST_REMOVE(gone, link);
			free(gone);
		}
	}
	LIST_FOREACH(device, &devices->list, link) {
		enum device_change change = __atomic_exchange_n(&device->changed, DEVICE_SAME, __ATOMIC_ACQ_REL);
		struct event event = { .mds = mds, .id = device->id, .layout_type = device->layout_type, .what = CHANGE,
			.immediate = change == DEVICE_LOST, .when = mds_now_ms() + SETTLE_MS };
		if (change != DEVICE_SAME)
			client_each_locked(mds, event_of_client, &event);
	}
}

/* ---- sending ---- */

/* One CB_NOTIFY_DEVICEID to one client. */
struct notice {
	LIST_ENTRY(notice) link;
	struct client *client;		/* referenced */
	uint8_t device[NFS4_DEVICEID4_SIZE];
	uint32_t layout_type, what;
	bool immediate;
};

struct notices {
	struct mds *mds;
	uint64_t now;
	LIST_HEAD(, notice) list;
	bool left;			/* there are others, for later */
};

/* SUB's next, if it is to be sent now. */
static void
notice_collect(struct notices *notices, struct client *client, struct subscription *sub)
{
	if (!sub->pending)
		return;
	notices->left = true;
	if (sub->sending || notices->now < sub->retry_ms || !cb_path_locked(client))
		return;
	struct notice *notice = calloc(1, sizeof *notice);
	if (!notice)
		return;
	notice->client = client_get(client);
	memcpy(notice->device, sub->device, sizeof notice->device);
	notice->layout_type = sub->layout_type;
	/* Of one that is gone it does not matter what else has changed. */
	notice->what = sub->pending & DELETE ? DELETE : CHANGE;
	notice->immediate = sub->immediate;
	sub->sending = true;
	sub->pending = 0;
	LIST_INSERT_HEAD(&notices->list, notice, link);
}

static void
notices_of_client(struct client *client, void *arg)
{
	struct subscription *sub;
	LIST_FOREACH(sub, &client->subscriptions, link)
		notice_collect(arg, client, sub);
}

static void
notice_done(struct mds *mds, void *arg, int status)
{
	struct notice *notice = arg;
	bool again = status < 0 || status == NFS4ERR_DELAY;
	pthread_mutex_lock(&mds->state_lock);
	struct subscription *sub = subscription_find(notice->client, notice->device, notice->layout_type);
	if (sub) {
		sub->sending = false;
		/* It ended and began anew meanwhile: what it wants now counts. */
		if (again) {
			subscription_want(mds, sub, notice->what, notice->immediate, mds_now_ms() + RETRY_MS);
		} else if (notice->what == DELETE) {
			subscription_end(notice->client, sub);
		}
	}
	pthread_mutex_unlock(&mds->state_lock);
	if (!again && status != NFS4_OK)
		log_info("CB_NOTIFY_DEVICEID: client %016llx answers %d", (unsigned long long)notice->client->id, status);
	client_put(mds, notice->client);
	free(notice);
}

/* One word of bitmap and one value each: all that the Linux client reads. */
static void
notice_send(struct mds *mds, struct notice *notice)
{
	nfs_cb_argop4 arg = { .argop = OP_CB_NOTIFY_DEVICEID };
	CB_NOTIFY_DEVICEID4args *args = &arg.nfs_cb_argop4_u.opcbnotify_deviceid;
	char value[4 + NFS4_DEVICEID4_SIZE + 4];
	XDR xdrs;
	ax_init(&xdrs, value, sizeof value, XDR_ENCODE, NULL);
	ax_put_u32(&xdrs, notice->layout_type);
	ax_put_fixed(&xdrs, notice->device, sizeof notice->device);
	if (notice->what == CHANGE)
		ax_put_u32(&xdrs, notice->immediate);
	notify4 change = { .notify_mask = { .bitmap4_len = 1, .bitmap4_val = &notice->what },
		.notify_vals = { .notifylist4_len = ax_used(&xdrs), .notifylist4_val = value } };
	args->cnda_changes.cnda_changes_len = 1;
	args->cnda_changes.cnda_changes_val = &change;
	/* It may be answered, and NOTICE be freed, before this returns. */
	struct client *client = client_get(notice->client);
	cb_send(mds, client, &arg, NULL, 0, CB_TIMEOUT_MS, notice_done, notice);
	client_put(mds, client);
}

void
device_notices_tick(struct mds *mds, uint64_t now)
{
	struct devices *devices = devices_of(mds);
	struct notices notices = { .mds = mds, .now = now };
	struct notice *notice;
	if (!devices || !__atomic_exchange_n(&devices->notices_due, false, __ATOMIC_ACQ_REL))
		return;
	LIST_INIT(&notices.list);
	pthread_mutex_lock(&mds->state_lock);
	events_take_locked(mds, devices);
	client_each_locked(mds, notices_of_client, &notices);
	if (notices.left)
		__atomic_store_n(&devices->notices_due, true, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&mds->state_lock);
	while ((notice = LIST_FIRST(&notices.list)) != NULL) {
		LIST_REMOVE(notice, link);
		notice_send(mds, notice);
	}
}
