/* The store's own: what its files (stable.c, stable_holder.c) share. */
#ifndef PNFS_SERVER_STATE_STABLE_PRIVATE_H
#define PNFS_SERVER_STATE_STABLE_PRIVATE_H

#include <lmdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define STABLE_NAME_MAX 400u		/* of a device; LMDB keys end at 511 */

#define STABLE_MAP_SIZE (256u << 20)	/* address space; the file grows as needed */

struct stable_change;

struct stable {
	MDB_env *env;
	MDB_dbi clients[2], keys, holders, meta;
	unsigned life;			/* index of this life's clients */
	uint32_t former_lease;		/* seconds; of the lives whose clients may still come back */

	pthread_mutex_t lock;		/* what waits for the disk: below */
	pthread_cond_t cond;
	TAILQ_HEAD(, stable_change) waiting;
	bool writing;
};

static inline void txn_abort_(MDB_txn **txn) { if (*txn) mdb_txn_abort(*txn); }
#define TXN_SCOPE __attribute__((cleanup(txn_abort_)))

/* LMDB's results: errno, or its own below 0. */
int stable_errno(int rc);
/* stable_check.c: 0; -EUCLEAN, logged: the store at PATH is damaged.  Forks. */
int stable_check(const char *path);
/* Of a record, never 0. */
uint32_t stable_sum(const void *key, size_t key_len, const void *value, size_t len);
bool stable_holder_ok(const MDB_val *key, const MDB_val *val);
bool stable_meta_ok(MDB_txn *txn, MDB_dbi meta);
/* Commit and forget; durable unless the environment says otherwise, and ours does not. */
int stable_commit(MDB_txn **txn);

#endif
