/* What the state tables stand on, made small: inodes that count references, clients, workers that run when told. */
#ifndef PNFS_TESTS_FAKE_STATE_H
#define PNFS_TESTS_FAKE_STATE_H

#include "server/cb/cb.h"
#include "server/fs/fs.h"
#include "server/mds.h"
#include "server/state/client.h"
#include "server/state/stateid.h"

/* A server without any thread, its state_lock held as every _locked function wants it. */
void fake_mds_init(struct mds *mds);
/* Ends with a look: nothing may be left. */
void fake_mds_end(struct mds *mds);

void fake_client_init(struct client *client, uint64_t id);
/* As client_destroy_locked() does. */
void fake_client_release(struct mds *mds, struct client *client);

struct inode *fake_inode_new(mode_t type);
unsigned fake_inode_refs(const struct inode *inode);
/* Has to have one reference left, the test's own. */
void fake_inode_free(struct inode *inode);

/* Run what workers were given (takes state_lock). Returns how much it was. */
unsigned fake_workers_run(void);

extern bool fake_grace;
extern nfsstat4 fake_reclaim;

/* The last callback that was sent; who knows more of callbacks has fakes of his own. */
struct fake_callback {
	unsigned n;			/* so far */
	const struct client *client;
	uint32_t op;
	char owner[64];			/* CB_NOTIFY_LOCK's */
	cb_done_fn *done;		/* to be called once for each */
	void *arg;
};
extern struct fake_callback fake_callback;
void fake_callback_note(const struct client *client, const nfs_cb_argop4 *arg, unsigned nrefs, cb_done_fn *done, void *done_arg);

/* Small deterministic random numbers, so that a failure repeats. */
uint32_t fake_random(uint32_t below);

#endif
