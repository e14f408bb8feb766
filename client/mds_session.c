/*
 * Client ID and session: EXCHANGE_ID, CREATE_SESSION, BIND_CONN_TO_SESSION, DESTROY_SESSION, DESTROY_CLIENTID
 * (RFC 8881 18.35, 18.36, 18.34, 18.37, 18.50), each alone in its COMPOUND; one at a time.  See mds.h.
 *
 *   no client ID   -> EXCHANGE_ID    -> CREATE_SESSION -> reclaim -> up
 *   no session     -> CREATE_SESSION -> up              (STALE_CLIENTID: from the start; SEQ_MISORDERED: see there)
 *   new connection -> BIND_CONN_TO_SESSION -> resend    (BADSESSION: CREATE_SESSION)
 */
#include "client/mds.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "include/log.h"
#include "proto/nfs4/fsid.h"
#include "proto/nfs4/status.h"

#define CONTROL_ROOM 4096u
#define CONTROL_TIMEOUT_MS 15000u
#define MAX_MESSAGE ((1u << 20) + (32u << 10))	/* 1 MiB of data and what stands around it */

typedef void control_fn(struct mds *mds, int err, struct reply *reply);

struct mds_control {
	struct mds *mds;		/* NULL: nobody waits for it any more */
	uint32_t op;
	control_fn *done;
};

void
mds_control_drop(struct mds *mds)
{
	if (mds->control)
		mds->control->mds = NULL;
	mds->control = NULL;
}

static void
control_answer(struct rpc_peer *peer, void *arg, int status, uint8_t *body, uint32_t len, struct rpc_rec *rec)
{
	(void)peer;
	(void)rec;
	struct mds_control *control = arg;
	struct mds *mds = control->mds;
	control_fn *done = control->done;
	uint32_t op = control->op;
	free(control);
	if (!mds)
		return;
	mds->control = NULL;
	if (status == -ECONNRESET && mds->state != MDS_ENDING)
		return;			/* ops->closed comes too */
	if (mds_gss_lost(mds, status))
		return;
	struct reply reply = { .status = NFS4_OK };
	arena_reset(&mds->arena);
	if (!status)
		status = compound_results_begin(&reply.results, body, len, &mds->arena) ? -EPROTO : 0;
	if (!status) {
		status = reply_op(&reply, op);
		/* Refused as a whole: there is no result to take. */
		if (status == -EPROTO && reply.results.status != NFS4_OK) {
			reply.status = reply.results.status;
			status = nfs4_errno(reply.status);
		}
	}
	done(mds, status, &reply);
}

static void
control_call(struct mds *mds, uint32_t op, const void *args, control_fn *done)
{
	struct mds_control *control = calloc(1, sizeof *control);
	struct rpc_out *out = control ? rpc_out_get(CONTROL_ROOM) : NULL;
	if (!out || mds->control) {
		free(control);
		mds_reconnect(mds, false);
		return;
	}
	*control = (struct mds_control){ .mds = mds, .op = op, .done = done };
	mds->control = control;
	mds_call_header(mds, out);
	uint32_t at = out->len;
	struct compound_call c;
	compound_call_begin(&c, out->data + out->len, out->cap - out->len, "", mds->minor);
	compound_call_op(&c, op, args);
	out->len += compound_call_end(&c);
	mds_call_send(mds, out, at, mds->state == MDS_ENDING ? 2000 : CONTROL_TIMEOUT_MS, control_answer, control);
}

/* It cannot go on: a mount fails, later it is tried again for as long as callers wait. */
static void
establish_failed(struct mds *mds, const char *what, int err, nfsstat4 status)
{
	log_warn("mds: %s: %s", what, err == -ETIMEDOUT ? "no answer" : nfs4_status_name(status));
	if (!mds->started) {
		mds->started = true;
		mds->hooks->started(mds, err);
		return;
	}
	mds_reconnect(mds, false);
}

/* ---- EXCHANGE_ID ---- */

static bool
str_is(const utf8str_cis *str, const char *text)
{
	return str->utf8string_len == strlen(text) && !memcmp(str->utf8string_val, text, strlen(text));
}

static void
exchange_done(struct mds *mds, int err, struct reply *reply)
{
	if (reply->status == NFS4ERR_MINOR_VERS_MISMATCH && mds->minor == 2 && !mds->minor_fixed) {
		mds->minor = 1;
		mds_establish(mds);
		return;
	}
	if (err) {
		establish_failed(mds, "EXCHANGE_ID", err, reply->status);
		return;
	}
	const EXCHANGE_ID4resok *ok = &reply->res.nfs_resop4_u.opexchange_id.EXCHANGE_ID4res_u.eir_resok4;
	/* The same one, confirmed: it was only CREATE_SESSION's sequence that did not fit, and all state is as it was. */
	bool same = mds->create_asked && ok->eir_flags & EXCHGID4_FLAG_CONFIRMED_R && ok->eir_clientid == mds->clientid;
	if (!same) {
		mds->fresh = true;
		mds->create_asked = false;
		lease_drop(&mds->lease);
	}
	mds->create_ahead = false;
	mds->clientid = ok->eir_clientid;
	mds->create_seq = ok->eir_sequenceid;
	mds->exchange_flags = ok->eir_flags;
	mds->ours = ok->eir_server_impl_id.eir_server_impl_id_len == 1 &&
	    str_is(&ok->eir_server_impl_id.eir_server_impl_id_val->nii_domain, PNFS_BLOCK_IMPL_DOMAIN);
	mds->have_clientid = true;
	mds->have_session = false;
	mds->minor_fixed = true;
	mds_establish(mds);
}

static void
exchange_start(struct mds *mds)
{
	EXCHANGE_ID4args args = { .eia_flags = 0 };
	memcpy(args.eia_clientowner.co_verifier, mds->verifier, sizeof mds->verifier);
	args.eia_clientowner.co_ownerid.co_ownerid_len = (u_int)strlen(mds->ownerid);
	args.eia_clientowner.co_ownerid.co_ownerid_val = mds->ownerid;
	args.eia_state_protect.spa_how = SP4_NONE;
	control_call(mds, OP_EXCHANGE_ID, &args, exchange_done);
}

/* ---- CREATE_SESSION ---- */

/* The next EXCHANGE_ID is that of a new client instance. */
static void
verifier_change(struct mds *mds)
{
	uint64_t word;
	memcpy(&word, mds->verifier, sizeof word);
	word++;
	memcpy(mds->verifier, &word, sizeof word);
}

static void
session_up(struct mds *mds)
{
	mds_conn_up(mds);
	if (mds->fresh) {
		mds->fresh = false;
		mds->state = MDS_RECLAIMING;
		if (mds->started)
			mds->stats.recoveries++;
		if (mds->reclaiming) {
			mds->reclaim_again = true;
			mds_pump(mds);
		} else {
			mds->reclaiming = true;
			mds->hooks->reclaim(mds);
		}
		return;
	}
	mds->state = mds->reclaiming ? MDS_RECLAIMING : MDS_UP;
	mds_pump(mds);
}

void
mds_reclaimed(struct mds *mds)
{
	mds->reclaiming = false;
	if (mds->reclaim_again) {
		mds->reclaim_again = false;
		mds->reclaiming = true;
		mds->hooks->reclaim(mds);
		return;
	}
	if (mds->state == MDS_RECLAIMING)
		mds->state = MDS_UP;
	mds->reclaimed_ns = lease_clock();
	if (!mds->started) {
		mds->started = true;
		mds->hooks->started(mds, 0);
	}
	uint32_t flags = mds->flags_later;
	mds->flags_later = 0;
	if (flags)
		mds_flags(mds, flags, 0);
	mds_pump(mds);
}

void
mds_renounce(struct mds *mds)
{
	verifier_change(mds);
	mds->have_clientid = mds->create_asked = false;
	lease_drop(&mds->lease);
	mds_reconnect(mds, true);
}

/*
 * The client ID is known there, but this is not the next CREATE_SESSION of its slot (RFC 8881 18.36.4, phases 1 and 2).  State is not lost by
 * that, so first without giving it up.
 */
static void
create_misordered(struct mds *mds)
{
	if (mds->create_ahead) {
		mds->create_ahead = false;	/* the server does not count what it refuses */
		mds->create_seq--;
		return;
	}
	mds->have_clientid = false;
	if (mds->create_asked)
		verifier_change(mds);	/* it told a number, and does not take that either: as a new client */
	mds->create_asked = !mds->create_asked;
}

/* Was the request, refused with STATUS, counted in the slot?  Phase 2 comes before what may fail later; a mistake is mended by create_misordered(). */
static bool
create_counted(nfsstat4 status)
{
	return status != NFS4_OK && status != NFS4ERR_DELAY && status != NFS4ERR_BADXDR;
}

static void
create_refused(struct mds *mds, int err, nfsstat4 status)
{
	if (status != NFS4ERR_STALE_CLIENTID && status != NFS4ERR_SEQ_MISORDERED) {
		if (create_counted(status) && !mds->create_ahead) {
			mds->create_seq++;
			mds->create_ahead = true;
		}
		establish_failed(mds, "CREATE_SESSION", err, status);
		return;
	}
	if (status == NFS4ERR_STALE_CLIENTID) {
		/* The server was restarted, or has forgotten us: layouts are void from here on (RFC 8881 12.7.4). */
		mds->have_clientid = mds->create_asked = false;
		lease_drop(&mds->lease);
	} else {
		create_misordered(mds);
	}
	if (++mds->failures > 8)
		mds_reconnect(mds, false);	/* with its pause */
	else
		mds_establish(mds);
}

static void
create_done(struct mds *mds, int err, struct reply *reply)
{
	if (err) {
		create_refused(mds, err, reply->status);
		return;
	}
	const CREATE_SESSION4resok *ok = &reply->res.nfs_resop4_u.opcreate_session.CREATE_SESSION4res_u.csr_resok4;
	memcpy(mds->session, ok->csr_sessionid, sizeof mds->session);
	mds->create_seq++;
	mds->create_ahead = mds->create_asked = mds->fault = false;
	mds->fore = ok->csr_fore_chan_attrs;
	mds->back = ok->csr_back_chan_attrs;
	mds->fore.ca_rdma_ird.ca_rdma_ird_len = mds->back.ca_rdma_ird.ca_rdma_ird_len = 0;
	mds->back_channel = ok->csr_flags & CREATE_SESSION4_FLAG_CONN_BACK_CHAN;
	uint32_t n = mds->fore.ca_maxrequests < mds->want_slots ? mds->fore.ca_maxrequests : mds->want_slots;
	if (n == 0 || mds->fore.ca_maxoperations < 5 || mds->fore.ca_maxrequestsize < 8192 ||
	    mds->fore.ca_maxresponsesize < 8192) {
		establish_failed(mds, "a session with too narrow limits", -EPROTO, NFS4ERR_TOOSMALL);
		return;
	}
	mds->have_session = true;
	mds_cb_reset(mds);
	mds_slots_reset(mds, n < MDS_MAX_SLOTS ? n : MDS_MAX_SLOTS);
	session_up(mds);
}

static void
create_start(struct mds *mds)
{
	callback_sec_parms4 sec = { .cb_secflavor = AUTH_SYS };
	authsys_parms *sys = &sec.callback_sec_parms4_u.cbsp_sys_cred;
	sys->machinename = mds->machine;
	sys->uid = mds->cred.uid;
	sys->gid = mds->cred.gid;
	CREATE_SESSION4args args = {
		.csa_clientid = mds->clientid,
		.csa_sequence = mds->create_seq,
		.csa_flags = CREATE_SESSION4_FLAG_CONN_BACK_CHAN,
		.csa_fore_chan_attrs = { .ca_maxrequestsize = MAX_MESSAGE, .ca_maxresponsesize = MAX_MESSAGE,
			.ca_maxresponsesize_cached = 4096, .ca_maxoperations = 32, .ca_maxrequests = mds->want_slots },
		.csa_back_chan_attrs = { .ca_maxrequestsize = 4096, .ca_maxresponsesize = 4096,
			.ca_maxresponsesize_cached = CB_CHANNEL_REPLY, .ca_maxoperations = 8, .ca_maxrequests = CB_CHANNEL_SLOTS },
		.csa_cb_program = mds->cb.program,
		.csa_sec_parms = { .csa_sec_parms_len = 1, .csa_sec_parms_val = &sec },
	};
	control_call(mds, OP_CREATE_SESSION, &args, create_done);
}

/* ---- BIND_CONN_TO_SESSION ---- */

static void
bind_take(struct mds *mds, int err, struct reply *reply)
{
	/* A server without it (it is REQUIRED, but see RFC 8881 2.10.3.1: SEQUENCE binds the fore channel too) gives no backchannel. */
	mds->back_channel = !err && (reply->res.nfs_resop4_u.opbind_conn_to_session
	    .BIND_CONN_TO_SESSION4res_u.bctsr_resok4.bctsr_dir & CDFS4_BACK);
}

static void
bind_done(struct mds *mds, int err, struct reply *reply)
{
	if (reply->status == NFS4ERR_BADSESSION || reply->status == NFS4ERR_DEADSESSION) {
		mds->have_session = false;
		mds_establish(mds);
		return;
	}
	if (err == -ETIMEDOUT || reply->status == NFS4ERR_DELAY) {
		establish_failed(mds, "BIND_CONN_TO_SESSION", err, reply->status);
		return;
	}
	bind_take(mds, err, reply);
	mds_conn_up(mds);
	mds->state = mds->reclaiming ? MDS_RECLAIMING : MDS_UP;
	mds_resend(mds);
	mds_pump(mds);
}

static void
rebind_done(struct mds *mds, int err, struct reply *reply)
{
	if (reply->status == NFS4ERR_BADSESSION || reply->status == NFS4ERR_DEADSESSION) {
		mds_reconnect(mds, true);
	} else {
		bind_take(mds, err, reply);
		mds_pump(mds);
	}
}

static void
bind_call(struct mds *mds, control_fn *done)
{
	BIND_CONN_TO_SESSION4args args = { .bctsa_dir = CDFC4_FORE_OR_BOTH };
	memcpy(args.bctsa_sessid, mds->session, sizeof args.bctsa_sessid);
	mds->bound_ns = lease_clock();
	control_call(mds, OP_BIND_CONN_TO_SESSION, &args, done);
}

/* The server says that callbacks do not reach us. */
void
mds_bind(struct mds *mds)
{
	if (mds->control || !mds->peer || mds->state != MDS_UP ||
	    lease_clock() - mds->bound_ns < 2000000000ull)
		return;
	bind_call(mds, rebind_done);
}

/* ---- all together ---- */

void
mds_establish(struct mds *mds)
{
	if (!mds->peer)
		return;
	if (!mds_gss_ready(&mds->gss))
		mds_gss_start(mds);
	else if (!mds->have_clientid)
		exchange_start(mds);
	else if (!mds->have_session)
		create_start(mds);
	else
		bind_call(mds, bind_done);
}

/* ---- SEQ4_STATUS_BACKCHANNEL_FAULT: all outstanding requests, then DESTROY_SESSION (RFC 8881 18.46.3) ---- */

static void
fault_done(struct mds *mds, int err, struct reply *reply)
{
	(void)err;
	(void)reply;			/* it is not used any more in any case */
	mds->have_session = false;
	if (mds->peer)
		mds_establish(mds);
	else
		mds_reconnect(mds, true);
}

void
mds_fault_step(struct mds *mds)
{
	if (mds->control || !mds->peer)
		return;			/* looked at again when that ends */
	for (uint32_t i = 0; i < mds->nslots; i++)
		if (mds->slots[i].busy)
			return;
	log_info("mds: the server has lost the backchannel: the session is replaced");
	mds->state = MDS_CONNECTING;
	DESTROY_SESSION4args args;
	memcpy(args.dsa_sessionid, mds->session, sizeof args.dsa_sessionid);
	control_call(mds, OP_DESTROY_SESSION, &args, fault_done);
}

/* ---- what SEQUENCE says besides ---- */

void
mds_flags(struct mds *mds, uint32_t flags, uint64_t sent_ns)
{
	const uint32_t revoked = SEQ4_STATUS_EXPIRED_ALL_STATE_REVOKED | SEQ4_STATUS_EXPIRED_SOME_STATE_REVOKED |
	    SEQ4_STATUS_ADMIN_STATE_REVOKED | SEQ4_STATUS_RECALLABLE_STATE_REVOKED | SEQ4_STATUS_LEASE_MOVED |
	    SEQ4_STATUS_DEVID_CHANGED | SEQ4_STATUS_DEVID_DELETED;
	if (mds->state == MDS_RECLAIMING)
		mds->flags_later |= flags & ~(uint32_t)SEQ4_STATUS_RESTART_RECLAIM_NEEDED;
	if (mds->state != MDS_UP)
		return;
	/* (An answer from before RECLAIM_COMPLETE says so too.) */
	if (flags & SEQ4_STATUS_RESTART_RECLAIM_NEEDED && sent_ns > mds->reclaimed_ns) {
		/* The session outlived a restart, the state did not (RFC 8881 8.4.2.1). */
		lease_drop(&mds->lease);
		mds->fresh = true;
		session_up(mds);
		return;
	}
	if (flags & SEQ4_STATUS_BACKCHANNEL_FAULT)
		mds->fault = true;	/* mds_pump() sees to it */
	else if (flags & (SEQ4_STATUS_CB_PATH_DOWN | SEQ4_STATUS_CB_PATH_DOWN_SESSION))
		mds_bind(mds);
	flags &= revoked;
	if (flags || mds->flags_told) {
		mds->flags_told = flags;
		mds->hooks->revoked(mds, flags);
	}
}

static uint32_t
max_data(uint32_t message)
{
	uint32_t n = message > 8192 ? message - 2048 : 4096;
	n = n < (1u << 20) ? n : 1u << 20;
	return n - n % 4096;
}

uint32_t
mds_max_read(const struct mds *mds)
{
	return max_data(mds->fore.ca_maxresponsesize);
}

uint32_t
mds_max_write(const struct mds *mds)
{
	return max_data(mds->fore.ca_maxrequestsize);
}

/* ---- the end ---- */

static void
stop_finish(struct mds *mds)
{
	struct rpc_peer *peer = mds->peer;
	mds_control_drop(mds);
	mds_gss_drop(mds);
	mds->peer = NULL;
	if (peer) {
		rpc_peer_close(peer);
		rpc_peer_put(peer);
	}
	ev_timer_stop(loop_ev(mds->loop), &mds->tick);
	ev_timer_stop(loop_ev(mds->loop), &mds->retry);
	ev_timer_stop(loop_ev(mds->loop), &mds->stop_timer);
	mds_expire(mds, UINT64_MAX, -ESHUTDOWN);
	for (uint32_t i = 0; i < MDS_MAX_SLOTS; i++)
		ev_timer_stop(loop_ev(mds->loop), &mds->slots[i].timer);
	mds_cb_reset(mds);
	void (*stopped)(struct mds *) = mds->stopped;
	mds->stopped = NULL;
	if (stopped)
		stopped(mds);
}

static void
stop_clientid_done(struct mds *mds, int err, struct reply *reply)
{
	(void)err;
	(void)reply;
	stop_finish(mds);
}

static void
stop_session_done(struct mds *mds, int err, struct reply *reply)
{
	(void)err;
	(void)reply;
	if (!mds->peer) {
		stop_finish(mds);
		return;
	}
	DESTROY_CLIENTID4args args = { .dca_clientid = mds->clientid };
	control_call(mds, OP_DESTROY_CLIENTID, &args, stop_clientid_done);
}

static void
stop_late(struct ev_loop *loop, ev_timer *timer, int events)
{
	(void)loop;
	(void)events;
	stop_finish(timer->data);
}

void
mds_stop(struct mds *mds, void (*done)(struct mds *mds))
{
	bool up = mds->state == MDS_UP;
	mds->stopped = done;
	mds->state = MDS_ENDING;
	ev_timer_init(&mds->stop_timer, stop_late, up ? 5 : 0, 0);
	mds->stop_timer.data = mds;
	ev_now_update(loop_ev(mds->loop));
	ev_timer_start(loop_ev(mds->loop), &mds->stop_timer);
	if (!up)
		return;
	mds_control_drop(mds);
	DESTROY_SESSION4args args;
	memcpy(args.dsa_sessionid, mds->session, sizeof args.dsa_sessionid);
	control_call(mds, OP_DESTROY_SESSION, &args, stop_session_done);
}
