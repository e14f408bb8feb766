/* Client records; see client.h.  The tables, and the taking down of a client with all it has. */
#include "server/state/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "include/log.h"
#include "server/layout/former.h"
#include "server/layout/layout.h"
#include "server/mds.h"
#include "server/state/session.h"
#include "server/state/stateid.h"

struct clients {
	struct client *by_id;
	struct client *confirmed, *unconfirmed;		/* by co_ownerid */
	TAILQ_HEAD(, client) waiting;			/* unconfirmed ones, oldest first */
	unsigned nconfirmed, nunconfirmed;
	uint32_t next_id;
};

int
clients_new(struct mds *mds)
{
	mds->clients = calloc(1, sizeof *mds->clients);
	if (!mds->clients)
		return -ENOMEM;
	TAILQ_INIT(&mds->clients->waiting);
	if (getrandom(&mds->clients->next_id, sizeof mds->clients->next_id, 0) < 0)
		mds->clients->next_id = 1;
	return 0;
}

static struct client **
client_owner_table(struct clients *cs, bool confirmed)
{
	return confirmed ? &cs->confirmed : &cs->unconfirmed;
}

struct client *
client_find_locked(struct mds *mds, uint64_t id)
{
	struct client *client;
	HASH_FIND(hh_id, mds->clients->by_id, &id, sizeof id, client);
	return client;
}

struct client *
client_find_owner_locked(struct mds *mds, const void *ownerid, uint32_t len, bool confirmed)
{
	struct client *client;
	HASH_FIND(hh_owner, *client_owner_table(mds->clients, confirmed), ownerid, len, client);
	return client;
}

unsigned
client_count_locked(const struct mds *mds)
{
	return mds->clients->nconfirmed;
}

static void
client_enter_owner(struct clients *cs, struct client *client)
{
	struct client **table = client_owner_table(cs, client->confirmed);
	HASH_ADD_KEYPTR(hh_owner, *table, client->ownerid, client->ownerid_len, client);
	if (client->confirmed) {
		cs->nconfirmed++;
	} else {
		TAILQ_INSERT_TAIL(&cs->waiting, client, of_unconfirmed);
		cs->nunconfirmed++;
	}
}

static void
client_leave_owner(struct clients *cs, struct client *client)
{
	struct client **table = client_owner_table(cs, client->confirmed);
	HASH_DELETE(hh_owner, *table, client);
	if (client->confirmed) {
		cs->nconfirmed--;
	} else {
		TAILQ_REMOVE(&cs->waiting, client, of_unconfirmed);
		cs->nunconfirmed--;
	}
}

/* A number nobody can guess and that is never 0: the key that opens the LUN (RFC 8154 2.4.10.1). */
static uint64_t
client_make_pr_key(void)
{
	uint64_t key = 0;
	while (key == 0)
		if (getrandom(&key, sizeof key, 0) != sizeof key)
			key = 0;
	return key;
}

struct client *
client_new_locked(struct mds *mds, const client_owner4 *owner, const struct rpc_cred *principal,
    const struct sockaddr_storage *addr)
{
	struct clients *cs = mds->clients;
	if (cs->nunconfirmed >= CLIENT_MAX_UNCONFIRMED)
		client_remove_locked(mds, TAILQ_FIRST(&cs->waiting));
	struct client *client = calloc(1, sizeof *client);
	if (!client)
		return NULL;
	client->ownerid_len = owner->co_ownerid.co_ownerid_len;
	client->ownerid = malloc(client->ownerid_len + 1);
	if (!client->ownerid) {
		free(client);
		return NULL;
	}
	memcpy(client->ownerid, owner->co_ownerid.co_ownerid_val, client->ownerid_len);
	memcpy(client->verifier, owner->co_verifier, sizeof client->verifier);
	client->principal = *principal;
	if (principal->principal && !(client->principal.principal = strdup(principal->principal))) {
		free(client->ownerid);
		free(client);
		return NULL;
	}
	client->addr = *addr;
	/* RFC 8881 18.36.4: before the first one the slot holds a contrived SEQ_MISORDERED. */
	client->create_seqid = 0;
	client->create_status = NFS4ERR_SEQ_MISORDERED;
	client->pr_key = client_make_pr_key();
	atomic_init(&client->renewed_ms, mds_now_ms());
	atomic_init(&client->refs, 1);
	TAILQ_INIT(&client->sessions);
	TAILQ_INIT(&client->states);
	LIST_INIT(&client->subscriptions);
	/* Seconds of the start above, so that those of a former life are STALE_CLIENTID. */
	do
		client->id = mds->boot / 1000000000 << 32 | cs->next_id++;
	while (client_find_locked(mds, client->id));
	HASH_ADD(hh_id, cs->by_id, id, sizeof client->id, client);
	client_enter_owner(cs, client);
	return client;
}

void
client_confirm_locked(struct mds *mds, struct client *client)
{
	if (client->confirmed)
		return;
	client_leave_owner(mds->clients, client);
	client->confirmed = true;
	client->may_reclaim = grace_has_record_locked(mds, client->ownerid, client->ownerid_len);
	client_enter_owner(mds->clients, client);
	former_back_locked(mds, client);
	atomic_store(&client->renewed_ms, mds_now_ms());
}

struct client *
client_get(struct client *client)
{
	atomic_fetch_add_explicit(&client->refs, 1, memory_order_relaxed);
	return client;
}

void
client_put(struct mds *mds, struct client *client)
{
	(void)mds;
	if (atomic_fetch_sub(&client->refs, 1) != 1)
		return;
	free((void *)(uintptr_t)client->principal.principal);
	free(client->ownerid);
	free(client);
}

bool
client_same_principal(const struct client *client, const struct rpc_cred *cred)
{
	const struct rpc_cred *own = &client->principal;
	if (own->flavor != cred->flavor)
		return false;
	return own->principal && cred->principal ? !strcmp(own->principal, cred->principal) :
	    !own->principal && !cred->principal && own->uid == cred->uid;
}

bool
client_has_state_locked(const struct client *client)
{
	return !TAILQ_EMPTY(&client->states) || layout_client_has_locked(client);
}

static void
client_take_down_locked(struct mds *mds, struct client *client, enum layout_gone why)
{
	if (client->removed)
		return;
	client->removed = true;
	client->expired = true;
	client_leave_owner(mds->clients, client);
	HASH_DELETE(hh_id, mds->clients->by_id, client);
	layout_client_gone_locked(mds, client, why);
	struct state_obj *obj;
	while ((obj = TAILQ_FIRST(&client->states)) != NULL)
		obj->cls->release(mds, obj);
	struct subscription *sub;
	while ((sub = LIST_FIRST(&client->subscriptions)) != NULL) {
		LIST_REMOVE(sub, link);
		free(sub);
	}
	client->nsubscriptions = 0;
	struct session *session;
	while ((session = TAILQ_FIRST(&client->sessions)) != NULL)
		session_destroy_locked(mds, session);
	client_put(mds, client);
}

void
client_destroy_locked(struct mds *mds, struct client *client)
{
	client_take_down_locked(mds, client, LAYOUT_GONE_EXPIRED);
}

void
client_replace_locked(struct mds *mds, struct client *client)
{
	client_take_down_locked(mds, client, LAYOUT_GONE_REPLACED);
}

void
client_remove_locked(struct mds *mds, struct client *client)
{
	client_take_down_locked(mds, client, LAYOUT_GONE_DESTROYED);
}

bool
client_recorded_locked(struct mds *mds, const void *ownerid, uint32_t len)
{
	const struct client *unconf = client_find_owner_locked(mds, ownerid, len, false);
	return client_find_owner_locked(mds, ownerid, len, true) || (unconf && unconf->recording);
}

void
client_forget(struct mds *mds, const struct client *client)
{
	int err = stable_client_remove(mds, client->ownerid, client->ownerid_len);
	pthread_mutex_lock(&mds->state_lock);
	bool back = client_recorded_locked(mds, client->ownerid, client->ownerid_len);
	pthread_mutex_unlock(&mds->state_lock);
	if (!err && back)
		err = stable_client_add(mds, client->ownerid, client->ownerid_len);
	if (err)
		log_error("state_dir: record of client %016llx: %s", (unsigned long long)client->id, strerror(-err));
}

void
client_each_locked(struct mds *mds, void (*fn)(struct client *, void *), void *arg)
{
	struct client *client, *tmp;
	HASH_ITER(hh_id, mds->clients->by_id, client, tmp)
		fn(client, arg);
}

void
clients_free(struct mds *mds)
{
	if (!mds->clients)
		return;
	pthread_mutex_lock(&mds->state_lock);
	struct client *client, *tmp;
	HASH_ITER(hh_id, mds->clients->by_id, client, tmp)
		client_take_down_locked(mds, client, LAYOUT_GONE_STOPPING);
	pthread_mutex_unlock(&mds->state_lock);
	free(mds->clients);
	mds->clients = NULL;
}
