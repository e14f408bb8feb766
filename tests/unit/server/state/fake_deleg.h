/* What delegations stand on, made small: leases, callbacks that wait for their answers, sessions whose slots move when told. */
#ifndef PNFS_TESTS_FAKE_DELEG_H
#define PNFS_TESTS_FAKE_DELEG_H

#include "proto/nfs4/attrs.h"
#include "server/cb/cb.h"
#include "server/state/deleg.h"
#include "server/state/session.h"

#define FAKE_CALLS 32u

struct fake_call {
	struct client *client;
	uint32_t op;
	stateid4 sid;			/* CB_RECALL's */
	uint32_t keep, types;		/* CB_RECALL_ANY's */
	unsigned nrefs;
	cb_take_fn *take;		/* CB_GETATTR's */
	cb_done_fn *done;
	void *arg;
};

struct fake_deleg {
	uint64_t now_ms;
	bool no_delegations;		/* the export gives none */
	int lease_err;
	bool fd_closed;			/* the data descriptor is not open */
	struct layout_lease *lease;	/* the one that is out; NULL: none */
	unsigned leases;		/* taken so far */
	struct fake_call call[FAKE_CALLS];
	unsigned ncalls;
	struct session session;		/* everybody's */
	struct slot slot;
	struct client *clients[4];
	bool layout_in_way;
	struct attr_mask asked;		/* by the last CB_GETATTR */
};
extern struct fake_deleg fd;

void fake_deleg_init(struct mds *mds);
/* Answer the oldest callback of OP. */
bool fake_deleg_answer(struct mds *mds, uint32_t op, int status);
unsigned fake_deleg_calls(uint32_t op);
/* Answer a CB_GETATTR with attributes; NULL: without any. */
bool fake_deleg_answer_attrs(struct mds *mds, const struct nfs_attrs *a);

#endif
