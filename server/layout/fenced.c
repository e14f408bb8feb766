/*
 * Clients that were cut off and have not yet shown that they know (RFC 8881 18.46.3, SEQ4_STATUS_RECALLABLE_STATE_REVOKED; RFC 8154 2.4.10.5): they
 * get no layouts until then, and then by another reservation key.  holder.c begins it; grant.c asks.
 */
#include "server/layout/layout_impl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "server/layout/device_notice.h"
#include "server/mds.h"
#include "server/state/client.h"

#define SEQ4_REVOKED SEQ4_STATUS_RECALLABLE_STATE_REVOKED

static struct fenced_client *
fenced_find(struct layouts *layouts, uint64_t clientid)
{
	struct fenced_client *fc;

	HASH_FIND(hh, layouts->fenced, &clientid, sizeof clientid, fc);
	return fc;
}

static void
fenced_drop(struct layouts *layouts, struct fenced_client *fc)
{
	HASH_DELETE(hh, layouts->fenced, fc);
	free(fc);
}

void
fenced_free(struct layouts *layouts)
{
	while (layouts->fenced)
		fenced_drop(layouts, layouts->fenced);
}

static void
client_keep_key(struct client *client)
{
	if (client->nold_keys == CLIENT_OLD_KEYS) {
		memmove(client->old_keys, client->old_keys + 1, (CLIENT_OLD_KEYS - 1) * sizeof client->old_keys[0]);
		client->nold_keys--;
	}
	client->old_keys[client->nold_keys++] = client->pr_key;
}

/* Its next key is another one, so that the old one stays dead (PITFALLS B12). */
void
fenced_begin_locked(struct layouts *layouts, struct client *client)
{
	struct fenced_client *fc = fenced_find(layouts, client->id);
	struct holder *holder, *tmp;
	uint64_t key = 0;

	client->fenced = true;
	atomic_fetch_or(&client->seq_flags, SEQ4_REVOKED);
	while (key == 0 || key == client->pr_key)
		if (getrandom(&key, sizeof key, GRND_NONBLOCK) != sizeof key)
			key = client->pr_key + 0x9e3779b97f4a7c15u;
	client_keep_key(client);
	client->pr_key = key;
	device_notice_key_locked(layouts->mds, client);
	HASH_ITER(hh, layouts->holders, holder, tmp)
		if (holder->client == client)
			holder_add_key(holder, holder->plug->fence_key(client));
	if (!fc) {
		/* Without memory: the client stays fenced until GETDEVICEINFO or as a new instance. */
		fc = calloc(1, sizeof *fc);
		if (!fc)
			return;
		fc->clientid = client->id;
		HASH_ADD(hh, layouts->fenced, clientid, sizeof fc->clientid, fc);
	}
	fc->refused = false;
}

void
fenced_note_locked(struct mds *mds, struct client *client)
{
	struct fenced_client *fc = fenced_find(mds->layouts, client->id);
	if (fc)
		fc->revoked++;
}

void
fenced_forget_stateid_locked(struct mds *mds, struct client *client)
{
	struct fenced_client *fc = fenced_find(mds->layouts, client->id);

	/* The last one freed: it knows of all (RFC 8881 18.46.3, SEQ4_STATUS_RECALLABLE_STATE_REVOKED). */
	if (fc && fc->revoked && --fc->revoked == 0)
		layout_fence_acked_locked(mds, client);
}

void
layout_fence_acked_locked(struct mds *mds, struct client *client)
{
	struct fenced_client *fc = fenced_find(mds->layouts, client->id);
	struct state_obj *obj, *next;
	struct holder *holder;

	if (!client->fenced)
		return;
	client->fenced = false;
	if (!client->nrevoked)
		atomic_fetch_and(&client->seq_flags, ~(unsigned)SEQ4_REVOKED);
	if (fc)
		fenced_drop(mds->layouts, fc);
	for (obj = TAILQ_FIRST(&client->states); obj; obj = next) {
		next = TAILQ_NEXT(obj, of_client);
		if (obj->cls == &layout_class && obj->revoked)
			layout_class.release(mds, obj);
	}
	/* It issues nothing more by what it held: what is left is to wait, and it may have layouts again meanwhile. */
	TAILQ_FOREACH(holder, &mds->layouts->fences, of_fences) {
		if (holder->key.clientid != client->id || !holder->over_ms)
			continue;
		holder->time_only = true;
		if (holder->fence == FENCE_RETRY)
			holder->fence = FENCE_TIMED;
	}
}

/*
 * RFC 8881 has the flag end with FREE_STATEID, which the Linux client never sends for layouts: it forgets them all when it sees the flag.  So another sign
 * counts, too: a LAYOUTGET was refused, in a reply whose SEQUENCE carried the flag, and the slot of that reply has moved on.
 */
bool
fenced_still_locked(struct mds *mds, struct client *client, const struct cb_ref *ref)
{
	if (!client->fenced)
		return false;
	struct fenced_client *fc = fenced_find(mds->layouts, client->id);
	if (!fc)
		return true;
	if (fc->refused && cb_ref_acked_locked(mds, &fc->ref)) {
		layout_fence_acked_locked(mds, client);
		return false;
	}
	if (!fc->refused) {
		fc->refused = true;
		fc->ref = *ref;
	}
	return true;
}

void
fenced_end_locked(struct layouts *layouts, const struct client *client)
{
	struct fenced_client *fc = fenced_find(layouts, client->id);
	if (fc)
		fenced_drop(layouts, fc);
}
