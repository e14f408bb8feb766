/* See fake_state.h. */
#include "tests/unit/server/state/fake_state.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/net/worker.h"
#include "server/state/lock_wait.h"

struct inode_private {
	unsigned refs;
};

bool fake_grace;
nfsstat4 fake_reclaim;

static struct work *queued;
static uint32_t seed = 12345;

void
fake_mds_init(struct mds *mds)
{
	static char nothing;

	*mds = (struct mds){ .boot = 42, .workers = (struct workers *)&nothing };
	pthread_mutex_init(&mds->state_lock, NULL);
	ck_assert_int_eq(stateids_new(mds), 0);
	ck_assert_int_eq(lock_waits_new(mds), 0);
	pthread_mutex_lock(&mds->state_lock);
	fake_grace = false;
	fake_callback = (struct fake_callback){ 0 };
	fake_reclaim = NFS4_OK;
}

void
fake_mds_end(struct mds *mds)
{
	pthread_mutex_unlock(&mds->state_lock);
	fake_workers_run();
	stateids_free(mds);
	lock_waits_free(mds);
	pthread_mutex_destroy(&mds->state_lock);
}

void
fake_client_init(struct client *client, uint64_t id)
{
	*client = (struct client){ .id = id, .confirmed = true, .reclaim_complete = true };
	TAILQ_INIT(&client->sessions);
	TAILQ_INIT(&client->states);
}

void
fake_client_release(struct mds *mds, struct client *client)
{
	struct state_obj *obj;

	while ((obj = TAILQ_FIRST(&client->states)))
		obj->cls->release(mds, obj);
	ck_assert_uint_eq(client->nstates, 0);
	ck_assert_uint_eq(client->nranges, 0);
	ck_assert_uint_eq(client->nwaits, 0);
	ck_assert_ptr_null(client->owners);
}

struct inode *
fake_inode_new(mode_t type)
{
	struct inode *inode = calloc(1, sizeof *inode);

	inode->type = type;
	inode->fd = -1;
	pthread_rwlock_init(&inode->io_lock, NULL);
	inode->priv = calloc(1, sizeof *inode->priv);
	inode->priv->refs = 1;
	return inode;
}

unsigned
fake_inode_refs(const struct inode *inode)
{
	return inode->priv->refs;
}

void
fake_inode_free(struct inode *inode)
{
	ck_assert_uint_eq(inode->priv->refs, 1);
	ck_assert_ptr_null(inode->state);
	pthread_rwlock_destroy(&inode->io_lock);
	free(inode->priv);
	free(inode);
}

struct inode *
inode_get(struct inode *inode)
{
	inode->priv->refs++;
	return inode;
}

void
inode_put(struct inode *inode)
{
	ck_assert_uint_gt(inode->priv->refs, 1);	/* the last is the test's */
	inode->priv->refs--;
}

void
workers_submit(struct workers *workers, struct work *work)
{
	(void)workers;
	work->next = queued;
	queued = work;
}

unsigned
fake_workers_run(void)
{
	unsigned n = 0;

	for (struct work *work; (work = queued); n++) {
		queued = work->next;
		work->fn(work);
	}
	return n;
}

bool
grace_active(const struct mds *mds)
{
	(void)mds;
	return fake_grace;
}

nfsstat4
grace_check_reclaim_locked(struct mds *mds, struct client *client)
{
	(void)mds;
	(void)client;
	return fake_reclaim;
}

/* ---- leases ---- */

__attribute__((weak)) bool
lease_lapsed_locked(const struct mds *mds, const struct client *client)
{
	(void)mds;
	return client->lapsed;
}

__attribute__((weak)) void
lease_want_locked(struct mds *mds, struct client *client)
{
	(void)mds;
	client->wanted = true;
}

__attribute__((weak)) bool
lease_make_room_locked(struct mds *mds)
{
	(void)mds;
	return false;
}

/* ---- weak: tests of layouts have their own ---- */

struct fake_callback fake_callback;

__attribute__((weak)) bool
cb_path_locked(const struct client *client)
{
	return atomic_load(&client->nback) > 0;
}

void
fake_callback_note(const struct client *client, const nfs_cb_argop4 *arg, unsigned nrefs, cb_done_fn *done, void *done_arg)
{
	const state_owner4 *owner = &arg->nfs_cb_argop4_u.opcbnotify_lock.cnla_lock_owner;

	ck_assert_uint_eq(nrefs, 0);
	fake_callback = (struct fake_callback){ .n = fake_callback.n + 1, .client = client, .op = arg->argop, .done = done, .arg = done_arg };
	if (arg->argop == OP_CB_NOTIFY_LOCK) {
		ck_assert_uint_eq(owner->clientid, client->id);
		ck_assert_uint_lt(owner->owner.owner_len, sizeof fake_callback.owner);
		memcpy(fake_callback.owner, owner->owner.owner_val, owner->owner.owner_len);
	}
}

__attribute__((weak)) void
cb_send(struct mds *mds, struct client *client, const nfs_cb_argop4 *arg, const struct cb_ref *refs, unsigned nrefs,
    uint32_t timeout_ms, cb_done_fn *done, void *done_arg)
{
	(void)mds;
	(void)refs;
	(void)timeout_ms;
	fake_callback_note(client, arg, nrefs, done, done_arg);
}

__attribute__((weak)) struct client *
client_get(struct client *client)
{
	atomic_fetch_add(&client->refs, 1);
	return client;
}

__attribute__((weak)) void
client_put(struct mds *mds, struct client *client)
{
	(void)mds;
	atomic_fetch_sub(&client->refs, 1);
}

uint32_t
fake_random(uint32_t below)
{
	seed = seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(seed >> 8) * below >> 24);
}
