/*
 * Holders on disk.  Before a client gets its first layout on a device it is on record there (state/stable_holder.c), and it stays so until it is certain that no
 * I/O of it can be under way: it is gone and holds nothing, and no fence of it is waited for.  A server that is killed, in a fence above all, knows
 * afterwards whom to cut off or to wait for (former.c).  Returning layouts does not end the record, so that a client costs one write, not one for each file.
 */
#include "server/layout/layout_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/conf/conf.h"
#include "server/export/export.h"
#include "server/layout/device.h"
#include "server/mds.h"
#include "server/state/client.h"

struct record {
	struct holder_key key;
	struct device *device;		/* the key's; referenced */
	uint64_t pr_key;		/* as it is on disk */
	UT_hash_handle hh;
};

static struct record *
record_find(struct layouts *layouts, const struct holder_key *key)
{
	struct record *record;

	HASH_FIND(hh, layouts->records, key, sizeof *key, record);
	return record;
}

static void
record_describe(const struct mds *mds, const struct client *client, const struct inode *inode, uint64_t pr_key,
    struct stable_holder *h)
{
	*h = (struct stable_holder){ .clientid = client->id, .device = inode->export->device->conf->name,
		.ownerid = client->ownerid, .ownerid_len = client->ownerid_len, .layout_type = inode->export->layout_type,
		.lease = mds->conf.lease, .max_io_time = mds->conf.max_io_time, .key = pr_key, .addr = client->addr };
	memcpy(h->verifier, client->verifier, sizeof h->verifier);
}

/* It is on disk.  False: no memory. */
static bool
record_enter_locked(struct layouts *layouts, const struct client *client, const struct inode *inode, uint64_t pr_key)
{
	struct holder_key key = holder_key(client, inode);
	struct record *record = record_find(layouts, &key);

	if (!record) {
		record = calloc(1, sizeof *record);
		if (!record)
			return false;
		record->key = key;
		record->device = device_get(inode->export->device);
		HASH_ADD(hh, layouts->records, key, sizeof record->key, record);
	}
	record->pr_key = pr_key;
	/* Gone while the disk was busy. */
	layouts->records_stale |= client->removed;
	return true;
}

bool
record_there(struct mds *mds, const struct client *client, const struct inode *inode)
{
	const struct layout_plug *plug = layout_plug_find(inode->export->layout_type);
	struct holder_key key = holder_key(client, inode);

	LOCK_SCOPE(&mds->state_lock);
	const struct record *record = record_find(mds->layouts, &key);
	return record && record->pr_key == plug->fence_key(client);
}

int
record_make(struct mds *mds, const struct client *client, const struct inode *inode)
{
	struct layouts *layouts = mds->layouts;
	const struct layout_plug *plug = layout_plug_find(inode->export->layout_type);
	struct stable_holder h;

	if (record_there(mds, client, inode))
		return 0;
	pthread_mutex_lock(&mds->state_lock);
	uint64_t pr_key = plug->fence_key(client);
	record_describe(mds, client, inode, pr_key, &h);
	pthread_mutex_unlock(&mds->state_lock);
	int err = stable_holder_put(mds, &h);
	if (err) {
		log_error("state_dir: no record of client %016llx, so no layout: %s", (unsigned long long)client->id,
		    strerror(-err));
		return err;
	}
	pthread_mutex_lock(&mds->state_lock);
	if (!record_enter_locked(layouts, client, inode, pr_key))
		err = -ENOMEM;
	pthread_mutex_unlock(&mds->state_lock);
	return err;
}

/* ---- their end ---- */

static bool
record_needed_locked(struct mds *mds, const struct record *record, bool stopping)
{
	const struct holder *holder;

	/* A client that is there may have a layout at any time, but not at the end. */
	if (!stopping && client_find_locked(mds, record->key.clientid))
		return true;
	HASH_FIND(hh, mds->layouts->holders, &record->key, sizeof record->key, holder);
	if (holder)
		return true;
	TAILQ_FOREACH(holder, &mds->layouts->fences, of_fences)
		if (!memcmp(&holder->key, &record->key, sizeof record->key))
			return true;
	return false;
}

static size_t
records_collect_locked(struct mds *mds, bool stopping, struct record **list)
{
	struct record *record, *tmp;
	size_t n = 0;

	HASH_ITER(hh, mds->layouts->records, record, tmp)
		if (!record_needed_locked(mds, record, stopping))
			list[n++] = record;
	return n;
}

static int
records_remove(struct mds *mds, struct record *const *list, size_t n)
{
	CLEANUP_FREE struct stable_holder *h = calloc(n, sizeof *h);

	if (!h)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		h[i].clientid = list[i]->key.clientid;
		h[i].device = list[i]->device->conf->name;
	}
	return stable_holders_remove(mds, h, n);
}

static void
record_free(struct record *record)
{
	device_put(record->device);
	free(record);
}

void
records_sweep(struct mds *mds, bool stopping)
{
	struct layouts *layouts = mds->layouts;
	CLEANUP_FREE struct record **list = NULL;
	size_t n = 0;

	pthread_mutex_lock(&mds->state_lock);
	layouts->draining |= stopping;
	if ((layouts->records_stale || stopping) && layouts->records) {
		list = calloc(HASH_COUNT(layouts->records), sizeof *list);
		n = list ? records_collect_locked(mds, stopping, list) : 0;
		/* Once its client is gone nobody looks for a record but this; at the end nothing is given. */
		for (size_t i = 0; i < n; i++)
			HASH_DELETE(hh, layouts->records, list[i]);
		layouts->records_stale = !list;
	}
	pthread_mutex_unlock(&mds->state_lock);
	int err = n ? records_remove(mds, list, n) : 0;
	/* One that stays on disk costs the next start a wait. */
	if (err)
		log_error("state_dir: records of holders not removed: %s", strerror(-err));
	for (size_t i = 0; i < n; i++)
		record_free(list[i]);
}

void
records_free(struct layouts *layouts)
{
	struct record *record, *tmp;

	HASH_ITER(hh, layouts->records, record, tmp) {
		HASH_DELETE(hh, layouts->records, record);
		record_free(record);
	}
}
