/*
 * Client IDs: EXCHANGE_ID (RFC 8881 18.35), DESTROY_CLIENTID (18.50), RECLAIM_COMPLETE (18.51).  The first two may change the
 * stable store, so they run on workers.
 */
#include <string.h>

#include "config.h"
#include "include/cleanup.h"
#include "proto/nfs4/fsid.h"
#include "server/layout/layout.h"
#include "server/mds.h"
#include "server/net/conn.h"
#include "server/nfs4/client_case.h"
#include "server/nfs4/compound.h"
#include "server/state/client.h"

#define EXCHANGE_ID_FLAGS (EXCHGID4_FLAG_SUPP_MOVED_REFER | EXCHGID4_FLAG_SUPP_MOVED_MIGR | \
	EXCHGID4_FLAG_BIND_PRINC_STATEID | EXCHGID4_FLAG_MASK_PNFS | EXCHGID4_FLAG_UPD_CONFIRMED_REC_A)

/*
 * SP4_MACH_CRED: what is always enforced, as knfsd has it and the Linux client expects it, and what may be asked to be allowed, of both words of operations
 * (RFC 8881 2.10.8.3).
 */
#define BIT(op) (1u << (op) % 32)
static const uint32_t mach_enforce[2] = { 0, BIT(OP_BIND_CONN_TO_SESSION) | BIT(OP_EXCHANGE_ID) | BIT(OP_CREATE_SESSION) |
	BIT(OP_DESTROY_SESSION) | BIT(OP_DESTROY_CLIENTID) };
static const uint32_t mach_may_allow[2] = { BIT(OP_CLOSE) | BIT(OP_OPEN_DOWNGRADE) | BIT(OP_LOCKU) | BIT(OP_DELEGRETURN),
	BIT(OP_TEST_STATEID) | BIT(OP_FREE_STATEID) };

static struct client_facts
client_facts(struct mds *mds, const struct client *conf, const struct compound *c, const EXCHANGE_ID4args *arg)
{
	struct client_facts f = { .update = arg->eia_flags & EXCHGID4_FLAG_UPD_CONFIRMED_REC_A };
	if (conf) {
		f.confirmed = true;
		f.same_verifier = memcmp(conf->verifier, arg->eia_clientowner.co_verifier, NFS4_VERIFIER_SIZE) == 0;
		f.same_principal = client_same_principal(conf, &c->rpc_cred);
		f.has_state = client_has_state_locked(conf) || !TAILQ_EMPTY(&conf->sessions);
		uint64_t renewed = atomic_load(&conf->renewed_ms), now = mds_now_ms();
		f.lease_over = now > renewed && now - renewed > (uint64_t)mds->conf.lease * 1000;
	}
	return f;
}

static void
mach_wanted(struct client *client, const state_protect4_a *protect)
{
	const bitmap4 *want = &protect->state_protect4_a_u.spa_mach_ops.spo_must_allow;
	client->mach_cred = protect->spa_how == SP4_MACH_CRED;
	for (u_int i = 0; client->mach_cred && i < 2 && i < want->bitmap4_len; i++)
		client->mach_allow[i] = want->bitmap4_val[i] & mach_may_allow[i];
}

static void
mach_result(struct compound *c, const struct client *client, state_protect4_r *res)
{
	state_protect_ops4 *ops = &res->state_protect4_r_u.spr_mach_ops;
	res->spr_how = client->mach_cred ? SP4_MACH_CRED : SP4_NONE;
	if (!client->mach_cred)
		return;
	/* The record may be gone before this is encoded. */
	uint32_t *allow = arena_dup(&c->arena, client->mach_allow, sizeof client->mach_allow);
	ops->spo_must_enforce = (bitmap4){ 2, (uint32_t *)(uintptr_t)mach_enforce };
	ops->spo_must_allow = (bitmap4){ allow ? 2 : 0, allow };
}

/* The answer; strings are mds's own. */
static void
exchange_id_result(struct compound *c, const struct client *client, EXCHANGE_ID4resok *ok)
{
	struct mds *mds = c->mds;
	ok->eir_clientid = client->id;
	ok->eir_sequenceid = client->create_seqid + 1;
	ok->eir_flags = EXCHGID4_FLAG_USE_PNFS_MDS | (client->confirmed ? EXCHGID4_FLAG_CONFIRMED_R : 0);
	mach_result(c, client, &ok->eir_state_protect);
	ok->eir_server_owner.so_minor_id = 0;
	ok->eir_server_owner.so_major_id.so_major_id_val = (char *)mds->owner_id;
	ok->eir_server_owner.so_major_id.so_major_id_len = sizeof mds->owner_id;
	ok->eir_server_scope.eir_server_scope_val = (char *)mds->owner_id;
	ok->eir_server_scope.eir_server_scope_len = sizeof mds->owner_id;
	static nfs_impl_id4 impl = { .nii_domain = { sizeof PNFS_BLOCK_IMPL_DOMAIN - 1, (char *)PNFS_BLOCK_IMPL_DOMAIN },
		.nii_name = { sizeof PACKAGE_STRING - 1, (char *)PACKAGE_STRING } };
	ok->eir_server_impl_id.eir_server_impl_id_len = 1;
	ok->eir_server_impl_id.eir_server_impl_id_val = &impl;
}

/* RFC 8881 18.35.3: what may be said at all. */
static nfsstat4
exchange_id_check(const struct compound *c, const EXCHANGE_ID4args *arg)
{
	if (arg->eia_flags & ~(uint32_t)EXCHANGE_ID_FLAGS)
		return NFS4ERR_INVAL;
	switch (arg->eia_state_protect.spa_how) {
	case SP4_NONE:
		return NFS4_OK;
	case SP4_SSV:
		return NFS4ERR_ENCR_ALG_UNSUPP;	/* none of them (2.10.9) */
	default:		/* SP4_MACH_CRED wants RPCSEC_GSS with integrity or privacy (2.10.8.3): AUTH_SYS cannot keep it */
		return c->gss.ctx && c->gss.service >= (uint32_t)RPC_GSS_SVC_INTEGRITY ? NFS4_OK : NFS4ERR_INVAL;
	}
}

/* As client_case() says.  *remove: confirmed record to be forgotten on disk too, referenced.  state_lock held. */
static nfsstat4
exchange_id_locked(struct compound *c, const EXCHANGE_ID4args *arg, EXCHANGE_ID4resok *ok, struct client **remove)
{
	struct mds *mds = c->mds;
	const client_owner4 *owner = &arg->eia_clientowner;
	const void *id = owner->co_ownerid.co_ownerid_val;
	uint32_t len = owner->co_ownerid.co_ownerid_len;
	struct client *conf = client_find_owner_locked(mds, id, len, true);
	struct client *unconf = client_find_owner_locked(mds, id, len, false);
	struct client_facts facts = client_facts(mds, conf, c, arg);
	struct client_verdict v = client_case(&facts);
	if (v.status != NFS4_OK)
		return v.status;
	if (v.keep && (v.status = compound_check_mach(c, conf)) != NFS4_OK)
		return v.status;
	if (v.keep) {
		exchange_id_result(c, conf, ok);
		return NFS4_OK;
	}
	if (v.drop_confirmed) {
		*remove = client_get(conf);
		client_destroy_locked(mds, conf);
	}
	if (unconf)
		client_remove_locked(mds, unconf);
	struct client *client = client_new_locked(mds, owner, &c->rpc_cred, &c->conn->addr);
	if (!client)
		return NFS4ERR_DELAY;
	mach_wanted(client, &arg->eia_state_protect);
	exchange_id_result(c, client, ok);
	return NFS4_OK;
}

nfsstat4
op_exchange_id(struct compound *c, nfs_argop4 *arg_op, nfs_resop4 *res)
{
	const EXCHANGE_ID4args *arg = &arg_op->nfs_argop4_u.opexchange_id;
	EXCHANGE_ID4resok *ok = &res->nfs_resop4_u.opexchange_id.EXCHANGE_ID4res_u.eir_resok4;
	struct client *remove = NULL;
	nfsstat4 status = exchange_id_check(c, arg);
	if (status != NFS4_OK)
		return status;
	pthread_mutex_lock(&c->mds->state_lock);
	status = exchange_id_locked(c, arg, ok, &remove);
	pthread_mutex_unlock(&c->mds->state_lock);
	if (remove) {
		client_forget(c->mds, remove);
		client_put(c->mds, remove);
	}
	return status;
}

nfsstat4
op_destroy_clientid(struct compound *c, nfs_argop4 *arg_op, nfs_resop4 *res)
{
	struct mds *mds = c->mds;
	(void)res;
	pthread_mutex_lock(&mds->state_lock);
	struct client *client = client_find_locked(mds, arg_op->nfs_argop4_u.opdestroy_clientid.dca_clientid);
	nfsstat4 status = NFS4_OK;
	bool stable = false;
	if (!client)
		status = NFS4ERR_STALE_CLIENTID;
	else if ((status = compound_check_mach(c, client)) != NFS4_OK)
		;
	else if (!TAILQ_EMPTY(&client->sessions) || client_has_state_locked(client))
		status = NFS4ERR_CLIENTID_BUSY;
	if (status == NFS4_OK) {
		client_get(client);
		stable = client->confirmed;
		if (stable)
			grace_client_done_locked(mds, client);
		client_remove_locked(mds, client);
	}
	pthread_mutex_unlock(&mds->state_lock);
	if (status != NFS4_OK)
		return status;
	/* It had no state, so a record that stays by an error costs a grace period at most. */
	if (stable) {
		client_forget(mds, client);
		/* Nor is it to be cut off after a restart. */
		records_sweep(mds, false);
	}
	client_put(mds, client);
	return NFS4_OK;
}

nfsstat4
op_reclaim_complete(struct compound *c, nfs_argop4 *arg_op, nfs_resop4 *res)
{
	(void)res;
	if (arg_op->nfs_argop4_u.opreclaim_complete.rca_one_fs)
		/* After a migration (RFC 8881 18.51.3): there is none here, so there is nothing to end. */
		return c->cur ? NFS4_OK : NFS4ERR_NOFILEHANDLE;
	LOCK_SCOPE(&c->mds->state_lock);
	if (c->client->reclaim_complete)
		return NFS4ERR_COMPLETE_ALREADY;
	c->client->reclaim_complete = true;
	grace_client_done_locked(c->mds, c->client);
	return NFS4_OK;
}
