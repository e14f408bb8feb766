/*
 * The stable store: an LMDB environment in state_dir.  Who has had state in this life and in the former one (grace.c), and SCSI
 * keys handed out (layout/).  Every change is on disk when its function returns.
 *
 *   clients.0, clients.1   SHA-256 of co_ownerid -> co_ownerid; one is this life's, the other the former one's
 *   keys                   device name, NUL, key -> sum
 *   holders                who may have I/O under way on which device (stable_holder.c)
 *   meta                   "life": which of the two is this life's; "grace": the former one is still of use; "lease": seconds, the longest of both; "sum": of these
 */
#include "server/state/stable_private.h"

#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/cleanup.h"
#include "server/mds.h"
#include "server/state/client.h"

int
stable_errno(int rc)
{
	if (rc == 0)
		return 0;
	if (rc == MDB_MAP_FULL)
		return -ENOSPC;
	return rc > 0 ? -rc : -EIO;
}

int
stable_commit(MDB_txn **txn)
{
	int rc = mdb_txn_commit(*txn);
	*txn = NULL;
	return stable_errno(rc);
}

static int
stable_open_tables(struct stable *st)
{
	TXN_SCOPE MDB_txn *txn = NULL;
	int rc = mdb_txn_begin(st->env, NULL, 0, &txn);
	if (!rc)
		rc = mdb_dbi_open(txn, "clients.0", MDB_CREATE, &st->clients[0]);
	if (!rc)
		rc = mdb_dbi_open(txn, "clients.1", MDB_CREATE, &st->clients[1]);
	if (!rc)
		rc = mdb_dbi_open(txn, "keys", MDB_CREATE, &st->keys);
	if (!rc)
		rc = mdb_dbi_open(txn, "holders", MDB_CREATE, &st->holders);
	if (!rc)
		rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &st->meta);
	return rc ? stable_errno(rc) : stable_commit(&txn);
}

int
stable_open(struct mds *mds, const char *dir)
{
	char path[4096];
	if ((size_t)snprintf(path, sizeof path, "%s/state.mdb", dir) >= sizeof path)
		return -ENAMETOOLONG;
	int err = stable_check(path);
	if (err)
		return err;
	struct stable *st = calloc(1, sizeof *st);
	if (!st)
		return -ENOMEM;
	mds->stable = st;
	pthread_mutex_init(&st->lock, NULL);
	pthread_cond_init(&st->cond, NULL);
	TAILQ_INIT(&st->waiting);
	int rc = mdb_env_create(&st->env);
	if (!rc)
		rc = mdb_env_set_maxdbs(st->env, 5);
	if (!rc)
		rc = mdb_env_set_mapsize(st->env, STABLE_MAP_SIZE);
	if (!rc)
		rc = mdb_env_open(st->env, path, MDB_NOSUBDIR | MDB_NOTLS | MDB_NORDAHEAD, 0600);
	err = rc ? stable_errno(rc) : stable_open_tables(st);
	if (err)
		stable_close(mds);
	return err;
}

void
stable_close(struct mds *mds)
{
	struct stable *st = mds->stable;
	if (!st)
		return;
	if (st->env)
		mdb_env_close(st->env);
	pthread_cond_destroy(&st->cond);
	pthread_mutex_destroy(&st->lock);
	free(st);
	mds->stable = NULL;
}

/* 0: there is none. */
static uint32_t
meta_get(MDB_txn *txn, MDB_dbi meta, const char *name)
{
	MDB_val key = { strlen(name), (void *)(uintptr_t)name }, val;
	uint32_t v;
	if (mdb_get(txn, meta, &key, &val) != 0)
		return 0;
	if (val.mv_size == 1)		/* as it was once written */
		return *(const uint8_t *)val.mv_data;
	if (val.mv_size != sizeof v)
		return 0;
	memcpy(&v, val.mv_data, sizeof v);
	return v;
}

static int
meta_put(MDB_txn *txn, MDB_dbi meta, const char *name, uint32_t v)
{
	MDB_val key = { strlen(name), (void *)(uintptr_t)name }, val = { sizeof v, &v };
	return mdb_put(txn, meta, &key, &val, 0);
}

static const char *const meta_names[] = { "life", "grace", "lease" };

static uint32_t
meta_sum(MDB_txn *txn, MDB_dbi meta)
{
	uint32_t v[sizeof meta_names / sizeof *meta_names];
	for (unsigned i = 0; i < sizeof v / sizeof *v; i++)
		v[i] = meta_get(txn, meta, meta_names[i]);
	return stable_sum("meta", 4, v, sizeof v);
}

/* Stores of before there were sums have none. */
bool
stable_meta_ok(MDB_txn *txn, MDB_dbi meta)
{
	uint32_t sum = meta_get(txn, meta, "sum");
	return sum == 0 || sum == meta_sum(txn, meta);
}

/* Is anybody left of former lives: to reclaim, or to be waited for? */
static int
stable_any_former(struct stable *st, MDB_txn *txn, unsigned life, bool *any)
{
	MDB_stat clients, holders;
	int rc = mdb_stat(txn, st->clients[life ^ 1], &clients);
	if (!rc)
		rc = mdb_stat(txn, st->holders, &holders);
	*any = !rc && (clients.ms_entries || holders.ms_entries);
	return rc;
}

int
stable_begin(struct mds *mds)
{
	struct stable *st = mds->stable;
	TXN_SCOPE MDB_txn *txn = NULL;
	int rc = mdb_txn_begin(st->env, NULL, 0, &txn);
	if (rc)
		return stable_errno(rc);
	unsigned life = meta_get(txn, st->meta, "life") & 1;
	uint32_t lease = meta_get(txn, st->meta, "lease");
	bool any;
	/*
	 * A life that ended within its grace has given nobody anything new: its own records are void, and those of the
	 * life before it still stand (RFC 8881 8.4.2.1).
	 */
	if (!meta_get(txn, st->meta, "grace"))
		life ^= 1;
	rc = mdb_drop(txn, st->clients[life], 0);
	if (!rc)
		rc = meta_put(txn, st->meta, "life", life);
	if (!rc)
		rc = stable_any_former(st, txn, life, &any);
	if (!rc)
		rc = meta_put(txn, st->meta, "grace", any);
	/* A lease of before may be longer than ours, until its clients are no longer waited for. */
	if (!rc)
		rc = meta_put(txn, st->meta, "lease", any && lease > mds->conf.lease ? lease : mds->conf.lease);
	if (!rc)
		rc = meta_put(txn, st->meta, "sum", meta_sum(txn, st->meta));
	if (rc)
		return stable_errno(rc);
	st->life = life;
	st->former_lease = any ? lease : 0;
	return stable_commit(&txn);
}

int
stable_former_each(struct mds *mds, void (*fn)(const void *ownerid, uint32_t len, void *arg), void *arg)
{
	struct stable *st = mds->stable;
	TXN_SCOPE MDB_txn *txn = NULL;
	MDB_cursor *cursor;
	MDB_val key, val;
	int rc = mdb_txn_begin(st->env, NULL, MDB_RDONLY, &txn);
	if (!rc)
		rc = mdb_cursor_open(txn, st->clients[st->life ^ 1], &cursor);
	if (rc)
		return stable_errno(rc);
	while ((rc = mdb_cursor_get(cursor, &key, &val, MDB_NEXT)) == 0)
		fn(val.mv_data, (uint32_t)val.mv_size, arg);
	mdb_cursor_close(cursor);
	return rc == MDB_NOTFOUND ? 0 : stable_errno(rc);
}

uint32_t
stable_former_lease(const struct mds *mds)
{
	return mds->stable->former_lease;
}

int
stable_former_drop(struct mds *mds)
{
	struct stable *st = mds->stable;
	TXN_SCOPE MDB_txn *txn = NULL;
	int rc = mdb_txn_begin(st->env, NULL, 0, &txn);
	if (!rc)
		rc = mdb_drop(txn, st->clients[st->life ^ 1], 0);
	/* Nothing is granted in grace: all of them are of former lives. */
	if (!rc)
		rc = mdb_drop(txn, st->holders, 0);
	if (!rc)
		rc = meta_put(txn, st->meta, "grace", 0);
	if (!rc)
		rc = meta_put(txn, st->meta, "lease", mds->conf.lease);
	if (!rc)
		rc = meta_put(txn, st->meta, "sum", meta_sum(txn, st->meta));
	return rc ? stable_errno(rc) : stable_commit(&txn);
}

/* co_ownerid may be longer than a key of LMDB. */
static void
client_key(const void *ownerid, uint32_t len, uint8_t digest[SHA256_DIGEST_SIZE])
{
	struct sha256_ctx ctx;
	sha256_init(&ctx);
	sha256_update(&ctx, len, ownerid);
	sha256_digest(&ctx, SHA256_DIGEST_SIZE, digest);
}

/* One record to add (VALUE) or remove (NULL). */
struct stable_change {
	MDB_dbi table;
	MDB_val *key, *value;
	bool done;
	int err;
	TAILQ_ENTRY(stable_change) link;
};
TAILQ_HEAD(stable_changes, stable_change);

/* In one transaction, in the order they came: all or none. */
static int
stable_write(struct stable *st, const struct stable_changes *list)
{
	TXN_SCOPE MDB_txn *txn = NULL;
	const struct stable_change *ch;
	int rc = mdb_txn_begin(st->env, NULL, 0, &txn);
	TAILQ_FOREACH(ch, list, link) {
		if (!rc)
			rc = ch->value ? mdb_put(txn, ch->table, ch->key, ch->value, 0) : mdb_del(txn, ch->table, ch->key, NULL);
		if (rc == MDB_NOTFOUND)
			rc = 0;
	}
	return rc ? stable_errno(rc) : stable_commit(&txn);
}

/*
 * The disk is waited for once for all that have come while it was busy: after a restart thousands of clients come at the same time.  Whoever finds nobody writing
 * writes what is there.
 */
static int
stable_change(struct stable *st, MDB_dbi table, MDB_val *key, MDB_val *value)
{
	struct stable_change me = { .table = table, .key = key, .value = value }, *ch;
	struct stable_changes list = TAILQ_HEAD_INITIALIZER(list);

	pthread_mutex_lock(&st->lock);
	TAILQ_INSERT_TAIL(&st->waiting, &me, link);
	while (!me.done && st->writing)
		pthread_cond_wait(&st->cond, &st->lock);
	if (me.done) {
		pthread_mutex_unlock(&st->lock);
		return me.err;
	}
	st->writing = true;
	TAILQ_CONCAT(&list, &st->waiting, link);
	pthread_mutex_unlock(&st->lock);
	int err = stable_write(st, &list);
	pthread_mutex_lock(&st->lock);
	TAILQ_FOREACH(ch, &list, link) {
		ch->err = err;
		ch->done = true;
	}
	st->writing = false;
	pthread_cond_broadcast(&st->cond);
	pthread_mutex_unlock(&st->lock);
	return err;
}

int
stable_client_add(struct mds *mds, const void *ownerid, uint32_t len)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	client_key(ownerid, len, digest);
	MDB_val key = { sizeof digest, digest }, val = { len, (void *)(uintptr_t)ownerid };
	return stable_change(mds->stable, mds->stable->clients[mds->stable->life], &key, &val);
}

int
stable_client_remove(struct mds *mds, const void *ownerid, uint32_t len)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	client_key(ownerid, len, digest);
	MDB_val key = { sizeof digest, digest };
	return stable_change(mds->stable, mds->stable->clients[mds->stable->life], &key, NULL);
}

/* ---- SCSI keys ---- */

/* NAME, NUL, key big-endian; the length, or 0 if the name is too long. */
static size_t
scsi_key(uint8_t *buf, const char *device, uint64_t key)
{
	size_t len = strlen(device);
	if (len > STABLE_NAME_MAX)
		return 0;
	memcpy(buf, device, len + 1);
	for (unsigned i = 0; i < 8; i++)
		buf[len + 1 + i] = (uint8_t)(key >> (56 - 8 * i));
	return len + 9;
}

static int
scsi_key_change(struct mds *mds, const char *device, uint64_t scsi, bool add)
{
	uint8_t buf[STABLE_NAME_MAX + 9];
	size_t len = scsi_key(buf, device, scsi);
	uint32_t sum = stable_sum(buf, len, "", 0);
	MDB_val key = { len, buf }, val = { sizeof sum, &sum };
	if (len == 0)
		return -ENAMETOOLONG;
	return stable_change(mds->stable, mds->stable->keys, &key, add ? &val : NULL);
}

int
stable_key_add(struct mds *mds, const char *device, uint64_t key)
{
	return scsi_key_change(mds, device, key, true);
}

int
stable_key_remove(struct mds *mds, const char *device, uint64_t key)
{
	return scsi_key_change(mds, device, key, false);
}

int
stable_key_each(struct mds *mds, const char *device, void (*fn)(uint64_t key, void *arg), void *arg)
{
	struct stable *st = mds->stable;
	uint8_t buf[STABLE_NAME_MAX + 9];
	size_t len = scsi_key(buf, device, 0);
	TXN_SCOPE MDB_txn *txn = NULL;
	MDB_cursor *cursor;
	MDB_val key = { len, buf }, val;
	if (len == 0)
		return -ENAMETOOLONG;
	int rc = mdb_txn_begin(st->env, NULL, MDB_RDONLY, &txn);
	if (!rc)
		rc = mdb_cursor_open(txn, st->keys, &cursor);
	if (rc)
		return stable_errno(rc);
	/* FN may change the store: it runs on a copy. */
	uint64_t *keys = NULL;
	size_t n = 0, cap = 0;
	rc = mdb_cursor_get(cursor, &key, &val, MDB_SET_RANGE);
	while (rc == 0 && key.mv_size == len && memcmp(key.mv_data, buf, len - 8) == 0) {
		if (n == cap) {
			cap = cap ? 2 * cap : 64;
			uint64_t *bigger = reallocarray(keys, cap, sizeof *keys);
			if (!bigger) {
				rc = ENOMEM;
				break;
			}
			keys = bigger;
		}
		const uint8_t *p = (const uint8_t *)key.mv_data + len - 8;
		keys[n] = 0;
		for (unsigned i = 0; i < 8; i++)
			keys[n] = keys[n] << 8 | p[i];
		n++;
		rc = mdb_cursor_get(cursor, &key, &val, MDB_NEXT);
	}
	mdb_cursor_close(cursor);
	mdb_txn_abort(txn);
	txn = NULL;
	for (size_t i = 0; i < n; i++)
		fn(keys[i], arg);
	free(keys);
	return rc == 0 || rc == MDB_NOTFOUND ? 0 : stable_errno(rc);
}
