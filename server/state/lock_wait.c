/* Blocked byte-range locks; see lock_wait.h.  Used by lock.c and op_lock.c; the clock is lease.c's. */
#include "server/state/lock_wait.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "include/cleanup.h"
#include "include/queue.h"
#include "server/cb/cb.h"
#include "server/fs/fs.h"
#include "server/mds.h"
#include "server/net/worker.h"
#include "server/state/client.h"
#include "server/state/file.h"
#include "server/state/lock.h"

/* Others that wait stand back so long for one that was told.  RFC 8881 9.6 allows a lease; a client that is there needs a round trip. */
#define OFFER_MS 2000u
/* It has to ask again within the lease (9.6), but a client that is going to be told polls seldom: Linux every 30 s. */
#define WAIT_MIN_MS 60000u

struct lock_waits {
	struct mds *mds;
	TAILQ_HEAD(, lock_wait) all, to_tell;
	unsigned n;
	uint64_t next_id;
	bool working;			/* the worker has work, or is at it */
	struct work work;
};

static void lock_waits_run(struct work *work);

int
lock_waits_new(struct mds *mds)
{
	struct lock_waits *ws = calloc(1, sizeof *ws);

	if (!ws)
		return -ENOMEM;
	ws->mds = mds;
	ws->work.fn = lock_waits_run;
	TAILQ_INIT(&ws->all);
	TAILQ_INIT(&ws->to_tell);
	mds->lock_waits = ws;
	return 0;
}

void
lock_waits_free(struct mds *mds)
{
	free(mds->lock_waits);
	mds->lock_waits = NULL;
}

static void
wait_drop(struct mds *mds, struct lock_wait *w)
{
	struct lock_waits *ws = mds->lock_waits;
	struct client *client = w->open->obj.client;

	if (w->queued)
		TAILQ_REMOVE(&ws->to_tell, w, to_tell);
	TAILQ_REMOVE(&ws->all, w, of_all);
	TAILQ_REMOVE(&w->open->file->waits, w, of_file);
	ws->n--;
	client->nwaits--;
	owner_put_locked(client, w->owner);
	free(w);
}

/* ---- who waits ---- */

static struct lock_wait *
wait_find(const struct file_state *fs, const struct owner *owner, const struct lock_ask *ask, unsigned *n)
{
	struct lock_wait *w;

	*n = 0;
	TAILQ_FOREACH(w, &fs->waits, of_file) {
		if (w->owner == owner && w->start == ask->start && w->end == ask->end && w->write == ask->write)
			return w;
		++*n;
	}
	return NULL;
}

void
lock_wait_add_locked(struct mds *mds, struct open_state *open, struct owner *owner, const struct lock_ask *ask)
{
	struct lock_waits *ws = mds->lock_waits;
	struct client *client = open->obj.client;
	uint64_t wait_ms = mds->conf.lease * 1000ull;
	unsigned of_file;

	if (!open->may_notify)
		return;
	if (wait_ms < WAIT_MIN_MS)
		wait_ms = WAIT_MIN_MS;
	if (!owner)
		owner = owner_find_locked(client, OWNER_LOCK, ask->owner, ask->owner_len);
	struct lock_wait *w = owner ? wait_find(open->file, owner, ask, &of_file) : NULL;
	if (w) {		/* it polls: in its old place, and to be told anew */
		w->told = false;
		w->until_ms = mds_now_ms() + wait_ms;
		return;
	}
	if (!owner)		/* then it is none of those who wait */
		wait_find(open->file, NULL, ask, &of_file);
	if (of_file >= LOCK_WAITS_OF_FILE || client->nwaits >= LOCK_WAITS_OF_CLIENT || ws->n >= LOCK_WAITS)
		return;
	w = calloc(1, sizeof *w);
	if (!w)
		return;
	/* The name is counted, so that it stays although no lock state has it. */
	w->owner = owner ? owner_get_locked(client, OWNER_LOCK, owner->data + 1, owner->len - 1) :
	    owner_get_locked(client, OWNER_LOCK, ask->owner, ask->owner_len);
	if (!w->owner) {
		free(w);
		return;
	}
	w->id = ++ws->next_id;
	w->open = open;
	w->start = ask->start;
	w->end = ask->end;
	w->write = ask->write;
	w->until_ms = mds_now_ms() + wait_ms;
	TAILQ_INSERT_TAIL(&ws->all, w, of_all);
	TAILQ_INSERT_TAIL(&open->file->waits, w, of_file);
	ws->n++;
	client->nwaits++;
}

const struct lock_wait *
lock_wait_offer_locked(const struct file_state *fs, const struct owner *owner, const struct lock_ask *ask)
{
	const struct lock_wait *w;

	TAILQ_FOREACH(w, &fs->waits, of_file)
		if (w->told && w->owner != owner && w->start <= ask->end && w->end >= ask->start && (w->write || ask->write))
			return w;
	return NULL;
}

void
lock_wait_met_locked(struct mds *mds, struct file_state *fs, const struct owner *owner, const struct lock_ask *ask)
{
	struct lock_wait *w, *next;

	TAILQ_FOREACH_SAFE(w, &fs->waits, of_file, next)
		if (w->owner == owner && w->start >= ask->start && w->end <= ask->end && (ask->write || !w->write))
			wait_drop(mds, w);
}

void
lock_wait_open_gone_locked(struct mds *mds, struct open_state *open)
{
	struct lock_wait *w, *next;

	TAILQ_FOREACH_SAFE(w, &open->file->waits, of_file, next)
		if (w->open == open)
			wait_drop(mds, w);
}

/* ---- telling them ---- */

void
lock_wait_freed_locked(struct mds *mds, struct file_state *fs)
{
	struct lock_waits *ws = mds->lock_waits;
	struct lock_wait *w;

	TAILQ_FOREACH(w, &fs->waits, of_file) {
		struct lock_ask ask = { .start = w->start, .end = w->end, .write = w->write };
		if (w->told || !cb_path_locked(w->open->obj.client) ||
		    lock_range_conflict(fs, w->owner, w->write, w->start, w->end) || lock_wait_offer_locked(fs, w->owner, &ask))
			continue;
		w->told = true;
		w->until_ms = mds_now_ms() + OFFER_MS;
		if (!w->queued)
			TAILQ_INSERT_TAIL(&ws->to_tell, w, to_tell);
		w->queued = true;
	}
	if (!TAILQ_EMPTY(&ws->to_tell) && !ws->working) {
		ws->working = true;
		workers_submit(mds->workers, &ws->work);
	}
}

struct notice {
	nfs_cb_argop4 arg;
	uint64_t id;
	struct client *client;		/* referenced */
	uint8_t handle[FS_HANDLE_MAX], owner[NFS4_OPAQUE_LIMIT];
};

/* RFC 8881 20.11.1.  The file's handle as GETFH gave it, the owner as in the LOCK. */
static void
notice_fill(struct notice *n, const struct lock_wait *w)
{
	CB_NOTIFY_LOCK4args *args = &n->arg.nfs_cb_argop4_u.opcbnotify_lock;
	const struct inode *inode = w->open->obj.inode;

	memset(&n->arg, 0, sizeof n->arg);
	n->arg.argop = OP_CB_NOTIFY_LOCK;
	n->id = w->id;
	n->client = client_get(w->open->obj.client);
	memcpy(n->handle, inode->handle, inode->handle_len);
	args->cnla_fh = (nfs_fh4){ inode->handle_len, (char *)n->handle };
	args->cnla_lock_owner.clientid = n->client->id;
	if (w->owner->len > 1)
		memcpy(n->owner, w->owner->data + 1, w->owner->len - 1);
	args->cnla_lock_owner.owner.owner_len = w->owner->len - 1;
	args->cnla_lock_owner.owner.owner_val = (char *)n->owner;
}

/* A client that was not reached, or does not want it, polls: the next one's turn. */
static void
notice_done(struct mds *mds, void *arg, int status)
{
	uint64_t *id = arg;
	struct lock_wait *w;

	if (status != NFS4_OK) {
		LOCK_SCOPE(&mds->state_lock);
		TAILQ_FOREACH(w, &mds->lock_waits->all, of_all)
			if (w->id == *id)
				break;
		if (w && w->told) {
			struct file_state *fs = w->open->file;
			wait_drop(mds, w);
			lock_wait_freed_locked(mds, fs);
		}
	}
	free(id);
}

static bool
notice_next(struct lock_waits *ws, struct notice *n)
{
	LOCK_SCOPE(&ws->mds->state_lock);
	struct lock_wait *w = TAILQ_FIRST(&ws->to_tell);
	ws->working = w != NULL;
	if (!w)
		return false;
	TAILQ_REMOVE(&ws->to_tell, w, to_tell);
	w->queued = false;
	notice_fill(n, w);
	return true;
}

/* Worker. */
static void
lock_waits_run(struct work *work)
{
	struct lock_waits *ws = (struct lock_waits *)((char *)work - offsetof(struct lock_waits, work));
	struct mds *mds = ws->mds;
	struct notice n;

	while (notice_next(ws, &n)) {
		uint64_t *id = malloc(sizeof *id);
		if (id) {
			*id = n.id;
			cb_send(mds, n.client, &n.arg, NULL, 0, OFFER_MS, notice_done, id);
		}
		client_put(mds, n.client);
	}
}

void
lock_waits_tick(struct mds *mds, uint64_t now_ms)
{
	struct lock_wait *w, *next;

	LOCK_SCOPE(&mds->state_lock);
	TAILQ_FOREACH_SAFE(w, &mds->lock_waits->all, of_all, next) {
		if (now_ms < w->until_ms)
			continue;
		struct file_state *fs = w->open->file;
		bool told = w->told;
		wait_drop(mds, w);
		if (told)	/* wakes others; drops none */
			lock_wait_freed_locked(mds, fs);
	}
}
