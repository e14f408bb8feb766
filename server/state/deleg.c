/* Delegations: records, who stands in whose way, ends; see deleg.h. */
#include "server/state/deleg.h"

#include <errno.h>
#include <stdlib.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/export/deleg_lease.h"
#include "server/export/export.h"
#include "server/mds.h"
#include "server/state/client.h"
#include "server/state/file.h"
#include "server/state/open.h"

/*
 * A file whose delegation had to be recalled is shared just now: none for this long.  And none for somebody else while a conflicting operation, which has been let
 * through, is at work.
 */
#define REST_RECALLED_MS 30000u
#define REST_AT_WORK_MS 2000u

/* Each costs an open descriptor. */
static const struct deleg_limits default_limits = { .of_client = 4096, .all = 16384 };

static void file_unlease(struct work *work);

int
delegs_new(struct mds *mds)
{
	struct delegs *delegs = calloc(1, sizeof *delegs);

	if (!delegs)
		return -ENOMEM;
	delegs->mds = mds;
	delegs->limits = default_limits;
	TAILQ_INIT(&delegs->to_send);
	TAILQ_INIT(&delegs->recalls);
	mds->delegs = delegs;
	export_on_deleg_break = deleg_on_break;
	return 0;
}

void
delegs_free(struct mds *mds)
{
	free(mds->delegs);
	mds->delegs = NULL;
}

void
delegs_set_limits(struct mds *mds, const struct deleg_limits *limits)
{
	mds->delegs->limits = *limits;
}

/* ---- files ---- */

struct deleg_file *
deleg_file_find(const struct inode *inode)
{
	return inode->state ? inode->state->delegs : NULL;
}

struct deleg_file *
deleg_file_get_locked(struct mds *mds, struct inode *inode)
{
	struct deleg_file *file = deleg_file_find(inode);

	if (file)
		return file;
	file = calloc(1, sizeof *file);
	if (!file)
		return NULL;
	file->fs = file_state_get_locked(mds, inode);
	if (!file->fs) {
		free(file);
		return NULL;
	}
	file->inode = inode;
	file->delegs = mds->delegs;
	file->unlease.fn = file_unlease;
	TAILQ_INIT(&file->list);
	file->fs->delegs = file;
	return file;
}

void
deleg_file_put_locked(struct deleg_file *file)
{
	struct mds *mds = file->delegs->mds;
	struct inode *iref;

	if (!TAILQ_EMPTY(&file->list) || file->busy || file->unlease_queued)
		return;
	if (file->lease) {
		file->unlease_queued = true;
		workers_submit(mds->workers, &file->unlease);
		return;
	}
	file->fs->delegs = NULL;
	file_state_put_locked(file->fs, &iref);
	if (iref)
		state_put_inode_locked(mds, iref);
	free(file);
}

/* Worker: the last delegation has gone. */
static void
file_unlease(struct work *work)
{
	struct deleg_file *file = (struct deleg_file *)((char *)work - offsetof(struct deleg_file, unlease));
	struct mds *mds = file->delegs->mds;
	struct inode *inode = inode_get(file->inode);
	struct layout_lease *lease = NULL;

	pthread_rwlock_wrlock(&inode->io_lock);
	pthread_mutex_lock(&mds->state_lock);
	if (TAILQ_EMPTY(&file->list)) {		/* none has come meanwhile */
		lease = file->lease;
		file->lease = NULL;
	}
	pthread_mutex_unlock(&mds->state_lock);
	if (lease)
		deleg_lease_drop(lease);
	pthread_rwlock_unlock(&inode->io_lock);
	pthread_mutex_lock(&mds->state_lock);
	file->unlease_queued = false;
	deleg_file_put_locked(file);
	pthread_mutex_unlock(&mds->state_lock);
	inode_put(inode);
}

/* ---- conflicts ---- */

void
deleg_rest_locked(struct inode *inode, uint64_t but, uint64_t ms)
{
	uint64_t now = mds_now_ms(), until = now + ms;

	/* Two who both have a right to it have none. */
	if (inode->deleg_rest.until_ms > now && inode->deleg_rest.but != but)
		but = 0;
	if (inode->deleg_rest.until_ms < until)
		inode->deleg_rest.until_ms = until;
	inode->deleg_rest.but = but;
}

static bool
in_way(const struct deleg *deleg, const struct client *client, enum deleg_need need)
{
	return (!client || deleg->obj.client != client) && (deleg->write || need == DELEG_NEED_WRITE);
}

bool
deleg_clear_locked(const struct inode *inode, const struct client *client, enum deleg_need need)
{
	const struct deleg_file *file = deleg_file_find(inode);
	const struct deleg *deleg;

	if (file)
		TAILQ_FOREACH(deleg, &file->list, of_file)
			if (in_way(deleg, client, need))
				return false;
	return true;
}

static nfsstat4
make_way_locked(struct mds *mds, struct inode *inode, const struct client *client, enum deleg_need need)
{
	struct deleg_file *file = deleg_file_find(inode);
	nfsstat4 status = NFS4_OK;
	struct deleg *deleg;

	if (file)
		TAILQ_FOREACH(deleg, &file->list, of_file)
			if (in_way(deleg, client, need)) {
				deleg_recall_locked(mds, deleg);
				status = NFS4ERR_DELAY;
			}
	if (status != NFS4_OK)
		deleg_rest_locked(inode, 0, REST_RECALLED_MS);
	return status;
}

nfsstat4
deleg_make_way(struct mds *mds, struct inode *inode, struct client *client, enum deleg_need need)
{
	if (!mds->delegs || (need == DELEG_NEED_READ && !deleg_any(inode)))
		return NFS4_OK;
	pthread_mutex_lock(&mds->state_lock);
	nfsstat4 status = make_way_locked(mds, inode, client, need);
	if (status == NFS4_OK && need == DELEG_NEED_WRITE)
		deleg_rest_locked(inode, client ? client->id : 0, REST_AT_WORK_MS);
	pthread_mutex_unlock(&mds->state_lock);
	if (status != NFS4_OK)
		delegs_pump(mds);
	return status;
}

nfsstat4
deleg_open_locked(struct mds *mds, struct inode *inode, struct client *client, uint32_t access, uint32_t deny)
{
	bool write = (access & OPEN4_SHARE_ACCESS_WRITE) || deny;

	if (!deleg_any(inode))
		return NFS4_OK;
	return make_way_locked(mds, inode, client, write ? DELEG_NEED_WRITE : DELEG_NEED_READ);
}

/* A local program waits for the file. */
void
deleg_on_break(struct mds *mds, struct inode *inode)
{
	pthread_mutex_lock(&mds->state_lock);
	if (!make_way_locked(mds, inode, NULL, DELEG_NEED_WRITE))
		deleg_rest_locked(inode, 0, REST_RECALLED_MS);
	pthread_mutex_unlock(&mds->state_lock);
	delegs_pump(mds);
}

/* ---- ends ---- */

/* Out of its file; the stateid stays. */
static void
detach(struct mds *mds, struct deleg *deleg)
{
	struct deleg_file *file = deleg->file;

	deleg_recall_end_locked(deleg);
	deleg_attr_end_locked(deleg);
	if (!file)
		return;
	deleg->file = NULL;
	TAILQ_REMOVE(&file->list, deleg, of_file);
	atomic_fetch_sub(&file->inode->delegs, 1);
	deleg->obj.client->ndelegs--;
	mds->delegs->n--;
	deleg_file_put_locked(file);
}

/* RFC 8881 18.46.3: the flag stands until all that was revoked is freed, layouts' included. */
static void
revoked_forget(struct client *client)
{
	if (--client->nrevoked == 0 && !client->fenced)
		atomic_fetch_and(&client->seq_flags, ~(unsigned)SEQ4_STATUS_RECALLABLE_STATE_REVOKED);
}

void
deleg_return_locked(struct mds *mds, struct deleg *deleg)
{
	if (deleg->obj.revoked)
		revoked_forget(deleg->obj.client);
	detach(mds, deleg);
	state_remove_locked(mds, &deleg->obj, NULL);
	free(deleg);
}

void
deleg_revoke_locked(struct mds *mds, struct deleg *deleg)
{
	struct client *client = deleg->obj.client;

	log_info("inode %llu: its delegation was not returned by client %016llx in time, and is revoked",
	    (unsigned long long)deleg->obj.inode->ino, (unsigned long long)client->id);
	detach(mds, deleg);
	deleg->obj.revoked = true;
	client->nrevoked++;
	mds->delegs->nrevoked++;
	atomic_fetch_or(&client->seq_flags, SEQ4_STATUS_RECALLABLE_STATE_REVOKED);
}

static void
deleg_release(struct mds *mds, struct state_obj *obj)
{
	deleg_return_locked(mds, (struct deleg *)obj);
}

const struct state_class deleg_class = { .kind = STATE_DELEG, .release = deleg_release };
