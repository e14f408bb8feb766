/*
 * Sessions and their connections: CREATE_SESSION (RFC 8881 18.36), DESTROY_SESSION (18.37), BIND_CONN_TO_SESSION (18.34),
 * BACKCHANNEL_CTL (18.33).  CREATE_SESSION may write the stable store, so it runs on a worker.
 */
#include <stdlib.h>
#include <string.h>

#include "include/cleanup.h"
#include "server/cb/cb.h"
#include "server/mds.h"
#include "server/net/conn.h"
#include "server/nfs4/compound.h"
#include "server/state/client.h"
#include "server/state/deleg.h"
#include "server/state/session.h"

/* With less than this no reply to SEQUENCE, no callback can ever be sent (18.36.3: TOOSMALL). */
#define FORE_MIN_REQUEST 128u
#define FORE_MIN_RESPONSE 96u
#define BACK_MIN_REQUEST 512u		/* CB_COMPOUND of CB_SEQUENCE and CB_LAYOUTRECALL with credentials */
#define BACK_MIN_RESPONSE 128u
#define BACK_MIN_OPS 2u
#define BACK_MAX_REQUEST (64u << 10)

static uint32_t
min_u32(uint32_t a, uint32_t b)
{
	return a < b ? a : b;
}

static nfsstat4
channel_fore(const channel_attrs4 *ask, channel_attrs4 *give)
{
	if (ask->ca_maxrequestsize < FORE_MIN_REQUEST || ask->ca_maxresponsesize < FORE_MIN_RESPONSE ||
	    ask->ca_maxoperations < 1)
		return NFS4ERR_TOOSMALL;
	if (ask->ca_maxrequests < 1)
		return NFS4ERR_INVAL;
	*give = (channel_attrs4){
		.ca_maxrequestsize = min_u32(ask->ca_maxrequestsize, RPC_MAX_RECORD),
		.ca_maxresponsesize = min_u32(ask->ca_maxresponsesize, RPC_MAX_RECORD),
		.ca_maxresponsesize_cached = min_u32(ask->ca_maxresponsesize_cached, SESSION_MAX_CACHED),
		.ca_maxoperations = min_u32(ask->ca_maxoperations, SESSION_MAX_OPS),
		.ca_maxrequests = min_u32(ask->ca_maxrequests, SESSION_MAX_SLOTS),
	};
	return NFS4_OK;
}

/*
 * One slot is used: callbacks of a session go one at a time (cb.c).  The client's numbers of operations and requests may not be changed
 * (RFC 8881 18.36.3).
 */
static nfsstat4
channel_back(const channel_attrs4 *ask, channel_attrs4 *give)
{
	if (ask->ca_maxrequestsize < BACK_MIN_REQUEST || ask->ca_maxresponsesize < BACK_MIN_RESPONSE ||
	    ask->ca_maxoperations < BACK_MIN_OPS)
		return NFS4ERR_TOOSMALL;
	if (ask->ca_maxrequests < 1)
		return NFS4ERR_INVAL;
	*give = (channel_attrs4){
		.ca_maxrequestsize = min_u32(ask->ca_maxrequestsize, BACK_MAX_REQUEST),
		.ca_maxresponsesize = min_u32(ask->ca_maxresponsesize, BACK_MAX_REQUEST),
		.ca_maxresponsesize_cached = min_u32(ask->ca_maxresponsesize_cached, BACK_MAX_REQUEST),
		.ca_maxoperations = ask->ca_maxoperations,
		.ca_maxrequests = ask->ca_maxrequests,
	};
	return NFS4_OK;
}

/* The best of what the client accepts in callbacks: AUTH_SYS, else AUTH_NONE (RFC 8881 2.10.8.2). session->lock held. */
static void
session_set_security(struct session *s, uint32_t program, const callback_sec_parms4 *parms, uint32_t n)
{
	s->cb_program = program;
	s->cb_cred = (struct rpc_cred){ .flavor = AUTH_NONE };
	free(s->cb_machine);
	s->cb_machine = NULL;
	for (uint32_t i = 0; i < n; i++) {
		if (parms[i].cb_secflavor != AUTH_SYS)
			continue;
		const authsys_parms *sys = &parms[i].callback_sec_parms4_u.cbsp_sys_cred;
		s->cb_cred.flavor = AUTH_SYS;
		s->cb_cred.uid = sys->uid;
		s->cb_cred.gid = sys->gid;
		s->cb_cred.ngids = min_u32(sys->gids.gids_len, RPC_MAX_GROUPS);
		for (uint32_t k = 0; k < s->cb_cred.ngids; k++)
			s->cb_cred.gids[k] = sys->gids.gids_val[k];
		s->cb_machine = strdup(sys->machinename);
		return;
	}
}

/* Phases 1 to 3 of RFC 8881 18.36.4.  OK with *replay: the cached result is in RES.  state_lock held. */
static nfsstat4
create_session_check(struct compound *c, const CREATE_SESSION4args *arg, struct client **client_ret,
    CREATE_SESSION4resok *ok, bool *replay)
{
	struct client *client = client_find_locked(c->mds, arg->csa_clientid);
	*replay = false;
	if (!client)
		return NFS4ERR_STALE_CLIENTID;
	nfsstat4 status = compound_check_mach(c, client);
	if (status != NFS4_OK)
		return status;
	if (arg->csa_sequence == client->create_seqid) {
		*ok = client->create_res;
		*replay = true;
		return client->create_status;
	}
	if (arg->csa_sequence != client->create_seqid + 1)
		return NFS4ERR_SEQ_MISORDERED;
	if (!client->confirmed && !client_same_principal(client, &c->rpc_cred))
		return NFS4ERR_CLID_INUSE;
	if (client->nsessions >= SESSION_MAX_OF_CLIENT)
		return NFS4ERR_NOSPC;
	if (!client->confirmed && client_count_locked(c->mds) >= CLIENT_MAX_CONFIRMED)
		return lease_make_room_locked(c->mds) ? NFS4ERR_DELAY : NFS4ERR_NOSPC;
	/* The record of an instance before it is being removed, under the same name as the one that is going to be written. */
	const struct client *old = client_find_owner_locked(c->mds, client->ownerid, client->ownerid_len, true);
	if (!client->confirmed && old && old->forgetting)
		return NFS4ERR_DELAY;
	*client_ret = client;
	return NFS4_OK;
}

/* Phase 4, and with it the confirmation.  state_lock held. */
static nfsstat4
create_session_make(struct compound *c, const CREATE_SESSION4args *arg, struct client *client,
    CREATE_SESSION4resok *ok, struct session **session)
{
	struct session *s = session_new_locked(c->mds, client, &ok->csr_fore_chan_attrs, &ok->csr_back_chan_attrs);
	if (!s)
		return NFS4ERR_NOSPC;
	session_set_security(s, arg->csa_cb_program, arg->csa_sec_parms.csa_sec_parms_val,
	    arg->csa_sec_parms.csa_sec_parms_len);
	s->minor = c->minor;
	if (!client->confirmed) {
		struct client *old = client_find_owner_locked(c->mds, client->ownerid, client->ownerid_len, true);
		if (old)
			client_replace_locked(c->mds, old);
		client_confirm_locked(c->mds, client);
	}
	memcpy(ok->csr_sessionid, s->id, NFS4_SESSIONID_SIZE);
	ok->csr_sequence = arg->csa_sequence;
	ok->csr_flags = arg->csa_flags & CREATE_SESSION4_FLAG_CONN_BACK_CHAN;	/* nothing persists, no RDMA */
	client->create_seqid = arg->csa_sequence;
	client->create_status = NFS4_OK;
	client->create_res = *ok;
	*session = session_get(s);
	return NFS4_OK;
}

/* A record of a client that was not confirmed after all is of no use. */
static void
create_session_recorded(struct mds *mds, struct client *client, bool recorded)
{
	pthread_mutex_lock(&mds->state_lock);
	client->recording = false;
	bool forget = recorded && !client->confirmed;
	pthread_mutex_unlock(&mds->state_lock);
	if (forget)
		client_forget(mds, client);
}

nfsstat4
op_create_session(struct compound *c, nfs_argop4 *arg_op, nfs_resop4 *res)
{
	const CREATE_SESSION4args *arg = &arg_op->nfs_argop4_u.opcreate_session;
	CREATE_SESSION4resok *ok = &res->nfs_resop4_u.opcreate_session.CREATE_SESSION4res_u.csr_resok4;
	struct mds *mds = c->mds;
	struct client *client = NULL;
	struct session *session = NULL;
	bool replay, confirm = false, recorded = false, path_up = false;

	/* Errors leave CREATE_SESSION's slot as it was: the client may try again with the same sequence ID. */
	pthread_mutex_lock(&mds->state_lock);
	nfsstat4 status = create_session_check(c, arg, &client, ok, &replay);
	if (status == NFS4_OK && !replay) {
		client_get(client);
		confirm = !client->confirmed;
		client->recording |= confirm;
	}
	pthread_mutex_unlock(&mds->state_lock);
	if (status != NFS4_OK || replay)
		return status;

	if (arg->csa_flags & ~(uint32_t)(CREATE_SESSION4_FLAG_PERSIST | CREATE_SESSION4_FLAG_CONN_BACK_CHAN |
	    CREATE_SESSION4_FLAG_CONN_RDMA))
		status = NFS4ERR_INVAL;
	if (status == NFS4_OK)
		status = channel_fore(&arg->csa_fore_chan_attrs, &ok->csr_fore_chan_attrs);
	if (status == NFS4_OK && sessions_short(mds))
		ok->csr_fore_chan_attrs.ca_maxrequests = min_u32(ok->csr_fore_chan_attrs.ca_maxrequests, SESSION_FEW_SLOTS);
	if (status == NFS4_OK)
		status = channel_back(&arg->csa_back_chan_attrs, &ok->csr_back_chan_attrs);
	/* On disk before anybody can have state by it. */
	if (status == NFS4_OK && confirm) {
		recorded = stable_client_add(mds, client->ownerid, client->ownerid_len) == 0;
		if (!recorded)
			status = NFS4ERR_SERVERFAULT;
	}
	if (status == NFS4_OK) {
		CREATE_SESSION4resok again;
		struct client *now = NULL;
		pthread_mutex_lock(&mds->state_lock);
		/* It may have been done by a retry, or the client be gone, while the disk was busy. */
		status = create_session_check(c, arg, &now, &again, &replay);
		if (status == NFS4_OK && replay)
			*ok = again;
		else if (status == NFS4_OK)
			status = create_session_make(c, arg, client, ok, &session);
		if (session)
			path_up = session_bind_locked(session, c->conn, true,
			    arg->csa_flags & CREATE_SESSION4_FLAG_CONN_BACK_CHAN);
		pthread_mutex_unlock(&mds->state_lock);
	}
	if (confirm)
		create_session_recorded(mds, client, recorded);
	if (path_up && cb_path_up)
		cb_path_up(mds, client);
	if (path_up)
		deleg_path_up(mds, client);
	if (session)
		session_put(mds, session);
	client_put(mds, client);
	return status;
}

nfsstat4
op_destroy_session(struct compound *c, nfs_argop4 *arg_op, nfs_resop4 *res)
{
	const uint8_t *id = (const uint8_t *)arg_op->nfs_argop4_u.opdestroy_session.dsa_sessionid;
	(void)res;
	/* RFC 8881 18.37.3: the session it runs in only at the end. */
	if (c->session && memcmp(c->session->id, id, NFS4_SESSIONID_SIZE) == 0 && c->index + 1 != c->nops)
		return NFS4ERR_NOT_ONLY_OP;
	LOCK_SCOPE(&c->mds->state_lock);
	struct session *session = session_find_locked(c->mds, id);
	if (!session)
		return NFS4ERR_BADSESSION;
	if (!session_is_bound_locked(session, c->conn))
		return NFS4ERR_CONN_NOT_BOUND_TO_SESSION;
	nfsstat4 status = compound_check_mach(c, session->client);
	if (status != NFS4_OK)
		return status;
	/* It MAY be refused while callbacks are out (BACK_CHAN_BUSY); they go on by another session instead. */
	session_destroy_locked(c->mds, session);
	return NFS4_OK;
}

nfsstat4
op_bind_conn_to_session(struct compound *c, nfs_argop4 *arg_op, nfs_resop4 *res)
{
	const BIND_CONN_TO_SESSION4args *arg = &arg_op->nfs_argop4_u.opbind_conn_to_session;
	BIND_CONN_TO_SESSION4resok *ok =
	    &res->nfs_resop4_u.opbind_conn_to_session.BIND_CONN_TO_SESSION4res_u.bctsr_resok4;
	struct client *client = NULL;
	bool fore, back, path_up = false;
	if (c->nops != 1)
		return NFS4ERR_NOT_ONLY_OP;	/* RFC 8881 18.34.3 */
	switch (arg->bctsa_dir) {
	case CDFC4_FORE:
		fore = true, back = false;
		break;
	case CDFC4_BACK:
		fore = false, back = true;
		break;
	case CDFC4_FORE_OR_BOTH:
	case CDFC4_BACK_OR_BOTH:
		fore = back = true;
		break;
	default:
		return NFS4ERR_BADXDR;
	}
	pthread_mutex_lock(&c->mds->state_lock);
	struct session *session = session_find_locked(c->mds, (const uint8_t *)arg->bctsa_sessid);
	nfsstat4 status = session ? compound_check_mach(c, session->client) : NFS4ERR_BADSESSION;
	if (status == NFS4_OK) {
		path_up = session_bind_locked(session, c->conn, fore, back);
		client = client_get(session->client);
		session_get(session);
	}
	pthread_mutex_unlock(&c->mds->state_lock);
	if (status != NFS4_OK)
		return status;
	if (path_up && cb_path_up)
		cb_path_up(c->mds, client);
	if (path_up)
		deleg_path_up(c->mds, client);
	cb_session_changed(c->mds, session);
	memcpy(ok->bctsr_sessid, arg->bctsa_sessid, NFS4_SESSIONID_SIZE);
	ok->bctsr_dir = (channel_dir_from_server4)((fore ? CDFS4_FORE : 0) | (back ? CDFS4_BACK : 0));
	ok->bctsr_use_conn_in_rdma_mode = FALSE;
	client_put(c->mds, client);
	session_put(c->mds, session);
	return NFS4_OK;
}

nfsstat4
op_backchannel_ctl(struct compound *c, nfs_argop4 *arg_op, nfs_resop4 *res)
{
	const BACKCHANNEL_CTL4args *arg = &arg_op->nfs_argop4_u.opbackchannel_ctl;
	(void)res;
	LOCK_SCOPE(&c->session->lock);
	session_set_security(c->session, arg->bca_cb_program, arg->bca_sec_parms.bca_sec_parms_val,
	    arg->bca_sec_parms.bca_sec_parms_len);
	return NFS4_OK;
}
