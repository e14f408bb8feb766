/* See fake_deleg.h. */
#include "tests/unit/server/state/fake_deleg.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/nfs4/attrs.h"
#include "proto/xdr/arena.h"
#include "server/export/deleg_lease.h"
#include "server/export/export.h"
#include "server/mds.h"
#include "server/state/client.h"
#include "tests/unit/server/state/fake_state.h"

struct fake_deleg fd;
void (*export_on_deleg_break)(struct mds *mds, struct inode *inode);

void
fake_deleg_init(struct mds *mds)
{
	memset(&fd, 0, sizeof fd);
	fd.now_ms = 1000000;
	fd.session.slots = &fd.slot;
	fd.session.nslots = 1;
	pthread_mutex_init(&fd.session.lock, NULL);
	mds->conf.recall_timeout = 10;
	ck_assert_int_eq(delegs_new(mds), 0);
}

uint64_t
mds_now_ms(void)
{
	return fd.now_ms;
}

/* ---- callbacks ---- */

void
cb_send(struct mds *mds, struct client *client, const nfs_cb_argop4 *arg, const struct cb_ref *refs, unsigned nrefs,
    uint32_t timeout_ms, cb_done_fn *done, void *done_arg)
{
	if (arg->argop == OP_CB_NOTIFY_LOCK) {
		fake_callback_note(client, arg, nrefs, done, done_arg);
		return;
	}
	struct fake_call *call = &fd.call[fd.ncalls++];
	(void)refs;
	/* No lock is held. */
	ck_assert_int_eq(pthread_mutex_trylock(&mds->state_lock), 0);
	pthread_mutex_unlock(&mds->state_lock);
	ck_assert_uint_le(fd.ncalls, FAKE_CALLS);
	ck_assert_uint_gt(timeout_ms, 0);
	*call = (struct fake_call){ .client = client_get(client), .op = (uint32_t)arg->argop, .nrefs = nrefs, .done = done, .arg = done_arg };
	if (arg->argop == OP_CB_RECALL)
		call->sid = arg->nfs_cb_argop4_u.opcbrecall.stateid;
	if (arg->argop == OP_CB_RECALL_ANY) {
		call->keep = arg->nfs_cb_argop4_u.opcbrecall_any.craa_objects_to_keep;
		call->types = arg->nfs_cb_argop4_u.opcbrecall_any.craa_type_mask.bitmap4_val[0];
	}
}

void
cb_ask(struct mds *mds, struct client *client, const nfs_cb_argop4 *arg, uint32_t timeout_ms, cb_take_fn *take, cb_done_fn *done,
    void *done_arg)
{
	ck_assert_int_eq(arg->argop, OP_CB_GETATTR);
	cb_send(mds, client, arg, NULL, 0, timeout_ms, done, done_arg);
	fd.call[fd.ncalls - 1].take = take;
	attr_mask_from(&fd.asked, &arg->nfs_cb_argop4_u.opcbgetattr.attr_request);
}

bool
fake_deleg_answer_attrs(struct mds *mds, const struct nfs_attrs *a)
{
	nfs_cb_resop4 res = { .resop = OP_CB_GETATTR };
	struct arena arena;

	arena_init(&arena, 0);
	if (a)
		ck_assert(attrs_to_fattr4(&res.nfs_cb_resop4_u.opcbgetattr.CB_GETATTR4res_u.resok4.obj_attributes, a, &arena));
	for (unsigned i = 0; i < fd.ncalls; i++)
		if (fd.call[i].op == OP_CB_GETATTR)
			fd.call[i].take(fd.call[i].arg, &res);
	arena_destroy(&arena);
	return fake_deleg_answer(mds, OP_CB_GETATTR, NFS4_OK);
}

unsigned
fake_deleg_calls(uint32_t op)
{
	unsigned n = 0;

	for (unsigned i = 0; i < fd.ncalls; i++)
		n += fd.call[i].op == op;
	return n;
}

bool
fake_deleg_answer(struct mds *mds, uint32_t op, int status)
{
	for (unsigned i = 0; i < fd.ncalls; i++) {
		struct fake_call call = fd.call[i];
		if (call.op != op)
			continue;
		memmove(&fd.call[i], &fd.call[i + 1], (--fd.ncalls - i) * sizeof call);
		call.done(mds, call.arg, status);
		client_put(mds, call.client);
		return true;
	}
	return false;
}

struct session *
session_find_locked(struct mds *mds, const uint8_t id[NFS4_SESSIONID_SIZE])
{
	(void)mds;
	(void)id;
	return &fd.session;
}

void
client_each_locked(struct mds *mds, void (*fn)(struct client *, void *), void *arg)
{
	(void)mds;
	for (unsigned i = 0; i < 4; i++)
		if (fd.clients[i])
			fn(fd.clients[i], arg);
}

/* ---- leases ---- */

bool
deleg_export_gives(const struct export *export)
{
	(void)export;
	return !fd.no_delegations;
}

int
deleg_lease_take(struct inode *inode, bool nowait, struct layout_lease **lease)
{
	ck_assert_int_eq(pthread_rwlock_tryrdlock(&inode->io_lock), EBUSY);
	ck_assert(!nowait || !fd.fd_closed);
	ck_assert_ptr_null(fd.lease);
	if (fd.lease_err)
		return fd.lease_err;
	*lease = fd.lease = calloc(1, sizeof **lease);
	fd.lease->inode = inode;
	fd.leases++;
	return 0;
}

void
deleg_lease_drop(struct layout_lease *lease)
{
	ck_assert_int_eq(pthread_rwlock_tryrdlock(&lease->inode->io_lock), EBUSY);
	ck_assert_ptr_eq(lease, fd.lease);
	free(lease);
	fd.lease = NULL;
}

int
inode_data_fd_nowait(struct inode *inode)
{
	(void)inode;
	return fd.fd_closed ? -EAGAIN : 5;
}
