/*
 * The loopback session to the kernel's nfsd: NFSv4.1 (RFC 8881 2.10) over one connection that is never made again - with it the kernel forgets
 * our layouts.  See kernel.h.
 *
 * Calls wait for their answers on the thread that makes them (workers); a loop of our own reads, answers callbacks and keeps the lease.
 */
#include <errno.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "proto/nfs4/status.h"
#include "server/export/kernel.h"
#include "server/mds.h"

#define CB_PROGRAM 0x40000000u
#define MINOR 1u
#define RENEW_MAX_S 300u

struct kernel_session {
	struct loop *loop;
	struct rpc_peer *peer;
	const struct kernel_session_ops *ops;
	void *owner;
	struct cb_channel cb;
	ev_timer timer;			/* once a second */
	unsigned lease;			/* seconds */
	uint64_t renew_ms;		/* when the lease is to be renewed, if nothing else did */
	bool renewing;

	pthread_mutex_t lock;		/* a leaf: guards what follows */
	pthread_cond_t slot_free;
	struct kernel_session_state state;
	bool busy[KERNEL_SLOTS];
	atomic_bool lost;
	atomic_bool up;			/* established: before, the owner (who waits for it) is told nothing */
};

static struct rpc_cred root_cred = { .flavor = AUTH_SYS };

/* ---- waiting for an answer ---- */

struct answer {
	sem_t come;
	int status;
	uint8_t *body;
	uint32_t len;
	struct rpc_rec *rec;
};

static void
answer_come(struct rpc_peer *peer, void *arg, int status, uint8_t *body, uint32_t len, struct rpc_rec *rec)
{
	struct answer *answer = arg;
	(void)peer;
	answer->status = status;
	answer->body = body;
	answer->len = len;
	answer->rec = rec ? rpc_rec_get(rec) : NULL;
	sem_post(&answer->come);
}

/* OUT is taken over.  0 with call->rec and call->results, or -errno. */
static int
exchange(struct kernel_call *call, struct rpc_out *out)
{
	struct answer answer;
	sem_init(&answer.come, 0, 0);
	rpc_peer_call(call->session->peer, out, 0, answer_come, &answer);
	while (sem_wait(&answer.come) < 0 && errno == EINTR)
		;
	sem_destroy(&answer.come);
	call->rec = answer.rec;
	if (answer.status)
		return answer.status;
	return compound_results_begin(&call->results, answer.body, answer.len, &call->arena);
}

int
kernel_call_take(struct kernel_call *call, uint32_t op)
{
	int err = compound_res_get(&call->results, op, &call->res);
	if (err)
		return -EPROTO;
	uint32_t word;			/* the first member of all of them */
	memcpy(&word, &call->res.nfs_resop4_u, sizeof word);
	call->status = (nfsstat4)word;
	return nfs4_errno(call->status);
}

static int
call_begin(struct kernel_call *call, struct kernel_session *session)
{
	memset(call, 0, offsetof(struct kernel_call, results));
	call->session = session;
	call->status = NFS4_OK;
	arena_init(&call->arena, 1u << 20);
	call->out = rpc_out_get(KERNEL_ROOM);
	if (!call->out)
		return -ENOMEM;
	rpc_call_header(call->out, NFS4_PROGRAM, NFS_V4, NFSPROC4_COMPOUND, &root_cred, "pnfs-mds");
	compound_call_begin(&call->c, call->out->data + call->out->len, call->out->cap - call->out->len, "", MINOR);
	return 0;
}

static int
call_run(struct kernel_call *call)
{
	uint32_t len = compound_call_end(&call->c);
	if (!len)
		return -EMSGSIZE;
	struct rpc_out *out = call->out;
	out->len += len;
	call->out = NULL;
	return exchange(call, out);
}

static void
call_end(struct kernel_call *call)
{
	if (call->out)
		rpc_out_put(call->out);
	if (call->rec)
		rpc_rec_put(call->rec);
	arena_destroy(&call->arena);
}

/* ---- slots ---- */

/* The highest that is in use.  session->lock held. */
static uint32_t
highest_slot(const struct kernel_session *session)
{
	uint32_t high = 0;
	for (uint32_t i = 0; i < session->state.nslots; i++)
		if (session->busy[i])
			high = i;
	return high;
}

/* A free one, taken, with its SEQUENCE; waits unless NOWAIT. */
static bool
slot_take(struct kernel_session *session, uint32_t *slot, SEQUENCE4args *args, bool nowait)
{
	LOCK_SCOPE(&session->lock);
	for (;;) {
		uint32_t i = 0;
		while (i < session->state.nslots && session->busy[i])
			i++;
		if (i < session->state.nslots) {
			session->busy[i] = true;
			*slot = i;
			break;
		}
		if (nowait)
			return false;
		pthread_cond_wait(&session->slot_free, &session->lock);
	}
	*args = (SEQUENCE4args){ .sa_sequenceid = session->state.slots[*slot], .sa_slotid = *slot,
		.sa_highest_slotid = highest_slot(session) };
	memcpy(args->sa_sessionid, session->state.session, sizeof args->sa_sessionid);
	return true;
}

static void
slot_put(struct kernel_session *session, uint32_t slot, bool used)
{
	LOCK_SCOPE(&session->lock);
	session->busy[slot] = false;
	if (used)
		session->state.slots[slot]++;
	pthread_cond_signal(&session->slot_free);
}

static void
session_lost(struct kernel_session *session, const char *why)
{
	if (atomic_exchange(&session->lost, true))
		return;
	log_error("nfsd: the session is lost (%s): the kernel guards no layout any more", why);
	if (atomic_load(&session->up))
		session->ops->lost(session->owner);
}

bool
kernel_session_lost(const struct kernel_session *session)
{
	return atomic_load(&session->lost);
}

/* What SEQUENCE said.  Any thread. */
static int
sequence_done(struct kernel_session *session, const SEQUENCE4res *res)
{
	uint64_t pause = session->lease / 4 < RENEW_MAX_S ? session->lease / 4 : RENEW_MAX_S;
	if (res->sr_status != NFS4_OK) {
		/* On a connection that is never made again nothing but the end of session or lease leads here. */
		session_lost(session, nfs4_status_name(res->sr_status));
		return -EIO;
	}
	__atomic_store_n(&session->renew_ms, mds_now_ms() + pause * 1000, __ATOMIC_RELAXED);
	uint32_t flags = res->SEQUENCE4res_u.sr_resok4.sr_status_flags;
	if (flags)
		log_warn("nfsd: session status 0x%x", flags);
	return 0;
}

int
kernel_call_begin(struct kernel_call *call, struct kernel_session *session, const struct kernel_fh *fh)
{
	SEQUENCE4args seq;
	if (kernel_session_lost(session))
		return -EIO;
	int err = call_begin(call, session);
	if (err)
		return err;
	slot_take(session, &call->slot, &seq, false);
	compound_call_op(&call->c, OP_SEQUENCE, &seq);
	call->fh = fh != NULL;
	if (fh) {
		PUTFH4args put = { .object = { .nfs_fh4_len = fh->len, .nfs_fh4_val = (char *)(uintptr_t)fh->data } };
		compound_call_op(&call->c, OP_PUTFH, &put);
	}
	return 0;
}

int
kernel_call_run(struct kernel_call *call)
{
	struct kernel_session *session = call->session;
	int err = call_run(call);
	slot_put(session, call->slot, call->out == NULL);
	if (call->out)			/* it did not fit */
		rpc_out_put(call->out);
	call->out = NULL;
	if (err == -ECONNRESET || err == -ETIMEDOUT)
		return -EIO;		/* ops->closed tells of the end */
	if (err)
		return err;
	err = kernel_call_take(call, OP_SEQUENCE);
	if (err == -EPROTO)
		return err;
	err = sequence_done(session, &call->res.nfs_resop4_u.opsequence);
	if (!err && call->fh)
		err = kernel_call_take(call, OP_PUTFH);
	return err;
}

void
kernel_call_end(struct kernel_call *call)
{
	if (call->out)			/* not run */
		slot_put(call->session, call->slot, false);
	call_end(call);
}

/* ---- on the loop: renewal, callbacks, the end ---- */

struct renewal {
	struct kernel_session *session;
	uint32_t slot;
};

static void
renew_done(struct rpc_peer *peer, void *arg, int status, uint8_t *body, uint32_t len, struct rpc_rec *rec)
{
	struct renewal *renewal = arg;
	struct kernel_session *session = renewal->session;
	struct compound_results results;
	nfs_resop4 res;
	struct arena arena;
	(void)peer;
	(void)rec;
	slot_put(session, renewal->slot, true);
	free(renewal);
	session->renewing = false;
	if (status)
		return;
	arena_init(&arena, 64u << 10);
	if (compound_results_begin(&results, body, len, &arena) == 0 && compound_res_get(&results, OP_SEQUENCE, &res) == 0)
		sequence_done(session, &res.nfs_resop4_u.opsequence);
	arena_destroy(&arena);
}

static void
renew(struct kernel_session *session)
{
	struct renewal *renewal = malloc(sizeof *renewal);
	struct rpc_out *out = rpc_out_get(1024);
	struct compound_call c;
	SEQUENCE4args seq;
	/* All slots taken: they renew. */
	if (!renewal || !out || !slot_take(session, &renewal->slot, &seq, true)) {
		free(renewal);
		if (out)
			rpc_out_put(out);
		return;
	}
	renewal->session = session;
	session->renewing = true;
	rpc_call_header(out, NFS4_PROGRAM, NFS_V4, NFSPROC4_COMPOUND, &root_cred, "pnfs-mds");
	compound_call_begin(&c, out->data + out->len, out->cap - out->len, "", MINOR);
	compound_call_op(&c, OP_SEQUENCE, &seq);
	out->len += compound_call_end(&c);
	rpc_peer_call(session->peer, out, 0, renew_done, renewal);
}

static void
session_tick(struct ev_loop *loop, ev_timer *timer, int events)
{
	struct kernel_session *session = timer->data;
	uint64_t now = mds_now_ms();
	(void)loop;
	(void)events;
	if (!atomic_load(&session->up))
		return;
	if (!kernel_session_lost(session) && !session->renewing &&
	    now >= __atomic_load_n(&session->renew_ms, __ATOMIC_RELAXED))
		renew(session);
	session->ops->tick(session->owner, now);
}

static nfsstat4
session_callback(struct cb_channel *ch, const nfs_cb_argop4 *arg, nfs_cb_resop4 *res)
{
	struct kernel_session *session = ch->owner;
	(void)res;
	if (arg->argop == OP_CB_LAYOUTRECALL)
		return session->ops->recall(session->owner, &arg->nfs_cb_argop4_u.opcblayoutrecall);
	return NFS4ERR_NOTSUPP;
}

static const struct cb_channel_ops session_cb_ops = { .op = session_callback };

static void
session_call(struct rpc_peer *peer, struct rpc_call *call)
{
	struct kernel_session *session = rpc_peer_owner(peer);
	cb_channel_call(&session->cb, peer, call);
}

static void
session_closed(struct rpc_peer *peer, int err)
{
	struct kernel_session *session = rpc_peer_owner(peer);
	if (session)
		session_lost(session, err ? strerror(-err) : "closed by nfsd");
}

static const struct rpc_peer_ops session_peer_ops = { .call = session_call, .closed = session_closed };

/* ---- client ID and session ---- */

/* One operation alone in its COMPOUND (18.35.3, 18.36.3...); its result is in call->res, kernel_call-end style by the caller. */
static int
control(struct kernel_session *session, struct kernel_call *call, uint32_t op, const void *args)
{
	int err = call_begin(call, session);
	if (err)
		return err;
	compound_call_op(&call->c, op, args);
	err = call_run(call);
	if (!err)
		err = kernel_call_take(call, op);
	if (err)
		log_info("nfsd: %s: %s", nfs4_op_name(op), call->status != NFS4_OK ? nfs4_status_name(call->status) : strerror(-err));
	return err;
}

static int
exchange_id(struct kernel_session *session, uint32_t *sequence)
{
	char owner[32];
	struct kernel_call call;
	uint64_t verifier = 0;
	EXCHANGE_ID4args args = { .eia_state_protect.spa_how = SP4_NONE };
	int n = snprintf(owner, sizeof owner, "pnfs-mds %ld", (long)getpid());
	if (getrandom(&verifier, sizeof verifier, 0) != (ssize_t)sizeof verifier)
		verifier = mds_now_ms();
	memcpy(args.eia_clientowner.co_verifier, &verifier, sizeof verifier);
	args.eia_clientowner.co_ownerid.co_ownerid_len = (u_int)n;
	args.eia_clientowner.co_ownerid.co_ownerid_val = owner;
	int err = control(session, &call, OP_EXCHANGE_ID, &args);
	const EXCHANGE_ID4resok *ok = &call.res.nfs_resop4_u.opexchange_id.EXCHANGE_ID4res_u.eir_resok4;
	if (!err && !(ok->eir_flags & EXCHGID4_FLAG_USE_PNFS_MDS))
		err = -ENOTSUP;
	if (!err) {
		session->state.clientid = ok->eir_clientid;
		*sequence = ok->eir_sequenceid;
	}
	call_end(&call);
	return err;
}

static int
create_session(struct kernel_session *session, uint32_t sequence)
{
	struct kernel_call call;
	callback_sec_parms4 sec = { .cb_secflavor = AUTH_SYS };
	sec.callback_sec_parms4_u.cbsp_sys_cred.machinename = (char *)(uintptr_t)"pnfs-mds";
	CREATE_SESSION4args args = {
		.csa_clientid = session->state.clientid,
		.csa_sequence = sequence,
		.csa_flags = CREATE_SESSION4_FLAG_CONN_BACK_CHAN,
		.csa_fore_chan_attrs = { .ca_maxrequestsize = KERNEL_ROOM, .ca_maxresponsesize = 128u << 10,
			.ca_maxresponsesize_cached = 2048, .ca_maxoperations = 8, .ca_maxrequests = KERNEL_SLOTS },
		.csa_back_chan_attrs = { .ca_maxrequestsize = 4096, .ca_maxresponsesize = 4096,
			.ca_maxresponsesize_cached = CB_CHANNEL_REPLY, .ca_maxoperations = 8, .ca_maxrequests = CB_CHANNEL_SLOTS },
		.csa_cb_program = CB_PROGRAM,
		.csa_sec_parms = { .csa_sec_parms_len = 1, .csa_sec_parms_val = &sec },
	};
	int err = control(session, &call, OP_CREATE_SESSION, &args);
	const CREATE_SESSION4resok *ok = &call.res.nfs_resop4_u.opcreate_session.CREATE_SESSION4res_u.csr_resok4;
	/* Without a backchannel there is no recall, and without recalls no layout may be had. */
	if (!err && (!(ok->csr_flags & CREATE_SESSION4_FLAG_CONN_BACK_CHAN) || !ok->csr_fore_chan_attrs.ca_maxrequests ||
	    ok->csr_fore_chan_attrs.ca_maxoperations < 5))
		err = -EPROTO;
	if (!err) {
		uint32_t n = ok->csr_fore_chan_attrs.ca_maxrequests;
		memcpy(session->state.session, ok->csr_sessionid, sizeof session->state.session);
		cb_channel_session(&session->cb, session->state.session, MINOR);
		session->state.nslots = n < KERNEL_SLOTS ? n : KERNEL_SLOTS;
		for (uint32_t i = 0; i < KERNEL_SLOTS; i++)
			session->state.slots[i] = 1;
	}
	call_end(&call);
	return err;
}

static int
reclaim_complete(struct kernel_session *session)
{
	struct kernel_call call;
	RECLAIM_COMPLETE4args args = { .rca_one_fs = FALSE };
	int err = kernel_call_begin(&call, session, NULL);
	if (err)
		return err;
	compound_call_op(&call.c, OP_RECLAIM_COMPLETE, &args);
	err = kernel_call_run(&call);
	if (!err)
		err = kernel_call_take(&call, OP_RECLAIM_COMPLETE);
	kernel_call_end(&call);
	return err;
}

static int
establish(struct kernel_session *session)
{
	uint32_t sequence;
	int err = exchange_id(session, &sequence);
	if (!err)
		err = create_session(session, sequence);
	return err ? err : reclaim_complete(session);
}

/* ---- begin and end ---- */

struct opening {
	struct kernel_session *session;
	int sock;
};

static void
open_on_loop(void *arg)
{
	struct opening *o = arg;
	struct kernel_session *session = o->session;
	struct ev_loop *ev = loop_ev(session->loop);
	session->peer = rpc_peer_new(session->loop, o->sock, &session_peer_ops, session);
	if (!session->peer)
		close(o->sock);
	ev_timer_init(&session->timer, session_tick, 1, 1);
	session->timer.data = session;
	ev_now_update(ev);
	ev_timer_start(ev, &session->timer);
}

static void
close_on_loop(void *arg)
{
	struct kernel_session *session = arg;
	ev_timer_stop(loop_ev(session->loop), &session->timer);
	if (!session->peer)
		return;
	rpc_peer_set_owner(session->peer, NULL);
	rpc_peer_close(session->peer);
	rpc_peer_put(session->peer);
}

static void
session_end(struct kernel_session *session)
{
	loop_call(session->loop, close_on_loop, session);
	loop_stop(session->loop);
	cb_channel_destroy(&session->cb);
	pthread_mutex_destroy(&session->lock);
	pthread_cond_destroy(&session->slot_free);
	free(session);
}

int
kernel_session_new(struct kernel_session **sessionp, int sock, unsigned lease, const struct kernel_session_ops *ops,
    void *owner)
{
	struct kernel_session *session = calloc(1, sizeof *session);
	if (session)
		session->loop = loop_new("nfsd");
	if (!session || !session->loop || loop_start(session->loop)) {
		close(sock);
		free(session);
		return -ENOMEM;
	}
	session->ops = ops;
	session->owner = owner;
	session->lease = lease;
	session->renew_ms = mds_now_ms() + 1000;
	pthread_mutex_init(&session->lock, NULL);
	pthread_cond_init(&session->slot_free, NULL);
	cb_channel_init(&session->cb, &session_cb_ops, session);
	session->cb.program = CB_PROGRAM;
	struct opening o = { session, sock };
	loop_call(session->loop, open_on_loop, &o);
	int err = session->peer ? establish(session) : -ENOMEM;
	if (err) {
		atomic_store(&session->lost, true);
		session_end(session);
		return err;
	}
	atomic_store(&session->up, true);
	*sessionp = session;
	return 0;
}

void
kernel_session_free(struct kernel_session *session)
{
	struct kernel_call call;
	if (!kernel_session_lost(session)) {
		DESTROY_SESSION4args destroy;
		memcpy(destroy.dsa_sessionid, session->state.session, sizeof destroy.dsa_sessionid);
		if (control(session, &call, OP_DESTROY_SESSION, &destroy) == 0) {
			DESTROY_CLIENTID4args client = { .dca_clientid = session->state.clientid };
			call_end(&call);
			control(session, &call, OP_DESTROY_CLIENTID, &client);
		}
		call_end(&call);
	}
	atomic_store(&session->lost, true);
	session_end(session);
}

void
kernel_session_leave(struct kernel_session *session)
{
	atomic_store(&session->lost, true);
	session_end(session);
}
