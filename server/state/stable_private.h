/* The store's own: what its files (stable.c, stable_holder.c) share. */
#ifndef PNFS_SERVER_STATE_STABLE_PRIVATE_H
#define PNFS_SERVER_STATE_STABLE_PRIVATE_H

#include <lmdb.h>
#include <stdint.h>

#define STABLE_NAME_MAX 400u		/* of a device; LMDB keys end at 511 */

struct stable {
	MDB_env *env;
	MDB_dbi clients[2], keys, holders, meta;
	unsigned life;			/* index of this life's clients */
	uint32_t former_lease;		/* seconds; of the lives whose clients may still come back */
};

static inline void txn_abort_(MDB_txn **txn) { if (*txn) mdb_txn_abort(*txn); }
#define TXN_SCOPE __attribute__((cleanup(txn_abort_)))

/* LMDB's results: errno, or its own below 0. */
int stable_errno(int rc);
/* Commit and forget; durable unless the environment says otherwise, and ours does not. */
int stable_commit(MDB_txn **txn);

#endif
