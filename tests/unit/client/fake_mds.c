/* A small server to test the session engine against; see fake_mds.h. */
#include "tests/unit/client/fake_mds.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/nfs4/compound_xdr.h"
#include "proto/rpc/rpc_msg.h"

static bool
count(atomic_int *n)
{
	int v = atomic_load(n);
	if (v <= 0)
		return false;
	atomic_fetch_sub(n, 1);
	return true;
}

static bool
read_all(int fd, void *buf, size_t len)
{
	for (size_t at = 0; at < len;) {
		ssize_t n = recv(fd, (uint8_t *)buf + at, len - at, 0);
		if (n <= 0)
			return false;
		at += (size_t)n;
	}
	return true;
}

static void
send_record(struct fake_mds *fake, const uint8_t *data, uint32_t len)
{
	uint32_t mark = htobe32(0x80000000u | len);
	uint8_t *buf = malloc(len + 4);
	memcpy(buf, &mark, 4);
	memcpy(buf + 4, data, len);
	pthread_mutex_lock(&fake->lock);
	if (send(fake->conn, buf, len + 4, MSG_NOSIGNAL) < 0)
		(void)0;		/* the other side may have closed: it will be seen when reading */
	pthread_mutex_unlock(&fake->lock);
	free(buf);
}

/* ---- operations ---- */

static void
put_status(XDR *out, uint32_t op, nfsstat4 status)
{
	nfs_resop4 res;
	uint32_t word = (uint32_t)status;
	memset(&res, 0, sizeof res);
	memcpy(&res.nfs_resop4_u, &word, 4);
	compound_res_put(out, op, &res.nfs_resop4_u);
}

/* RFC 8881 18.35.4: 2 (known and confirmed), else a new client ID. */
static nfsstat4
op_exchange(struct fake_mds *fake, const EXCHANGE_ID4args *args, XDR *out)
{
	nfs_resop4 res;
	EXCHANGE_ID4resok *ok = &res.nfs_resop4_u.opexchange_id.EXCHANGE_ID4res_u.eir_resok4;
	memset(&res, 0, sizeof res);
	atomic_fetch_add(&fake->exchanges, 1);
	bool known = fake->confirmed && !memcmp(fake->verifier, args->eia_clientowner.co_verifier, sizeof fake->verifier);
	if (!known) {
		fake->clientid++;
		fake->confirmed = false;
		memcpy(fake->verifier, args->eia_clientowner.co_verifier, sizeof fake->verifier);
		fake->create_seq = 0;
		fake->create_status = NFS4ERR_SEQ_MISORDERED;
	}
	ok->eir_clientid = fake->clientid;
	ok->eir_sequenceid = fake->create_seq + (known && atomic_load(&fake->exchange_lies) ? UINT32_MAX : 1);
	ok->eir_flags = EXCHGID4_FLAG_USE_PNFS_MDS | (known ? EXCHGID4_FLAG_CONFIRMED_R : 0);
	compound_res_put(out, OP_EXCHANGE_ID, &res.nfs_resop4_u);
	return NFS4_OK;
}

static nfsstat4
op_create(struct fake_mds *fake, const CREATE_SESSION4args *args, XDR *out)
{
	nfs_resop4 res;
	CREATE_SESSION4resok *ok = &res.nfs_resop4_u.opcreate_session.CREATE_SESSION4res_u.csr_resok4;
	memset(&res, 0, sizeof res);
	if (count(&fake->forget_client))
		fake->confirmed = false, fake->clientid++;
	fake->create_seq += (uint32_t)atomic_exchange(&fake->create_skip, 0);
	/* The phases of RFC 8881 18.36.4. */
	nfsstat4 status = args->csa_clientid != fake->clientid ? NFS4ERR_STALE_CLIENTID :
	    args->csa_sequence == fake->create_seq ? fake->create_status :
	    args->csa_sequence != fake->create_seq + 1 ? NFS4ERR_SEQ_MISORDERED : NFS4_OK;
	bool replay = status != NFS4ERR_STALE_CLIENTID && args->csa_sequence == fake->create_seq;
	if (status == NFS4_OK && !replay && count(&fake->create_refused)) {
		status = NFS4ERR_NOSPC;
		if (!atomic_load(&fake->create_uncounted)) {
			fake->create_seq++;
			fake->create_status = status;
		}
	}
	if (status) {
		put_status(out, OP_CREATE_SESSION, status);
		return status;
	}
	if (replay) {
		*ok = fake->create_ok;
		compound_res_put(out, OP_CREATE_SESSION, &res.nfs_resop4_u);
		return NFS4_OK;
	}
	fake->confirmed = true;
	fake->create_seq++;
	fake->create_status = NFS4_OK;
	atomic_fetch_add(&fake->sessions, 1);
	fake->session++;
	fake->have_session = true;
	memset(fake->slots, 0, sizeof fake->slots);
	memcpy(ok->csr_sessionid, &fake->session, 4);
	ok->csr_sequence = args->csa_sequence;
	ok->csr_flags = args->csa_flags & CREATE_SESSION4_FLAG_CONN_BACK_CHAN;
	ok->csr_fore_chan_attrs = args->csa_fore_chan_attrs;
	ok->csr_fore_chan_attrs.ca_maxrequests = FAKE_SLOTS;
	ok->csr_back_chan_attrs = args->csa_back_chan_attrs;
	fake->create_ok = *ok;
	compound_res_put(out, OP_CREATE_SESSION, &res.nfs_resop4_u);
	return NFS4_OK;
}

static bool
session_known(struct fake_mds *fake, const char *id)
{
	uint32_t n;
	memcpy(&n, id, 4);
	if (count(&fake->forget_session))
		fake->have_session = false;
	return fake->have_session && n == fake->session;
}

static nfsstat4
op_bind(struct fake_mds *fake, const BIND_CONN_TO_SESSION4args *args, XDR *out)
{
	nfs_resop4 res;
	BIND_CONN_TO_SESSION4resok *ok = &res.nfs_resop4_u.opbind_conn_to_session.BIND_CONN_TO_SESSION4res_u.bctsr_resok4;
	memset(&res, 0, sizeof res);
	atomic_fetch_add(&fake->binds, 1);
	if (!session_known(fake, args->bctsa_sessid)) {
		put_status(out, OP_BIND_CONN_TO_SESSION, NFS4ERR_BADSESSION);
		return NFS4ERR_BADSESSION;
	}
	memcpy(ok->bctsr_sessid, args->bctsa_sessid, sizeof ok->bctsr_sessid);
	ok->bctsr_dir = CDFS4_BOTH;
	compound_res_put(out, OP_BIND_CONN_TO_SESSION, &res.nfs_resop4_u);
	return NFS4_OK;
}

static nfsstat4
op_putrootfh(struct fake_mds *fake, XDR *out)
{
	nfsstat4 status = count(&fake->delay) ? NFS4ERR_DELAY : count(&fake->grace) ? NFS4ERR_GRACE : NFS4_OK;
	if (status == NFS4_OK)
		atomic_fetch_add(&fake->done, 1);
	put_status(out, OP_PUTROOTFH, status);
	return status;
}

/* SEQUENCE: *slot is set if it was fine; *replay if the slot's reply is to be sent. */
static nfsstat4
op_sequence(struct fake_mds *fake, const SEQUENCE4args *args, XDR *out, const uint8_t *request, uint32_t len,
    struct fake_slot **slot, bool *replay)
{
	nfs_resop4 res;
	SEQUENCE4resok *ok = &res.nfs_resop4_u.opsequence.SEQUENCE4res_u.sr_resok4;
	memset(&res, 0, sizeof res);
	nfsstat4 status = NFS4_OK;
	struct fake_slot *s = args->sa_slotid < FAKE_SLOTS ? &fake->slots[args->sa_slotid] : NULL;
	if (!session_known(fake, args->sa_sessionid))
		status = NFS4ERR_BADSESSION;
	else if (!s)
		status = NFS4ERR_BADSLOT;
	else if (count(&fake->seq_delay))
		status = NFS4ERR_DELAY;
	else if (args->sa_sequenceid == s->seqid) {
		atomic_fetch_add(&fake->retries, 1);
		*replay = s->request_len == len && !memcmp(s->request, request, len);
		if (!*replay) {
			atomic_fetch_add(&fake->false_retries, 1);
			status = NFS4ERR_SEQ_FALSE_RETRY;
		}
	} else if (args->sa_sequenceid != s->seqid + 1)
		status = NFS4ERR_SEQ_MISORDERED;
	if (s && args->sa_slotid > atomic_load(&fake->max_slot))
		atomic_store(&fake->max_slot, args->sa_slotid);
	if (status) {
		put_status(out, OP_SEQUENCE, status);
		return status;
	}
	*slot = s;
	memcpy(ok->sr_sessionid, args->sa_sessionid, sizeof ok->sr_sessionid);
	ok->sr_sequenceid = args->sa_sequenceid;
	ok->sr_slotid = args->sa_slotid;
	ok->sr_highest_slotid = ok->sr_target_highest_slotid = FAKE_SLOTS - 1;
	ok->sr_status_flags = atomic_exchange(&fake->flags, 0) | atomic_load(&fake->sticky);
	compound_res_put(out, OP_SEQUENCE, &res.nfs_resop4_u);
	return NFS4_OK;
}

static nfsstat4
op_any(struct fake_mds *fake, uint32_t op, const nfs_argop4 *arg, XDR *out)
{
	nfsstat4 status;
	if (fake->more && fake->more(fake, op, arg, out, &status))
		return status;
	switch (op) {
	case OP_EXCHANGE_ID:
		return op_exchange(fake, &arg->nfs_argop4_u.opexchange_id, out);
	case OP_CREATE_SESSION:
		return op_create(fake, &arg->nfs_argop4_u.opcreate_session, out);
	case OP_BIND_CONN_TO_SESSION:
		return op_bind(fake, &arg->nfs_argop4_u.opbind_conn_to_session, out);
	case OP_PUTROOTFH:
		return op_putrootfh(fake, out);
	case OP_RECLAIM_COMPLETE:
		atomic_fetch_add(&fake->reclaim_completes, 1);
		atomic_fetch_and(&fake->sticky, ~(unsigned)SEQ4_STATUS_RESTART_RECLAIM_NEEDED);
		put_status(out, op, NFS4_OK);
		return NFS4_OK;
	case OP_DESTROY_SESSION:
		atomic_fetch_add(&fake->destroyed, 1);
		fake->have_session = false;
		put_status(out, op, NFS4_OK);
		return NFS4_OK;
	case OP_DESTROY_CLIENTID:
		put_status(out, op, NFS4_OK);
		return NFS4_OK;
	default:
		put_status(out, op, NFS4ERR_NOTSUPP);
		return NFS4ERR_NOTSUPP;
	}
}

/* ---- calls ---- */

static bool
answer(struct fake_mds *fake, uint32_t xid, const uint8_t *body, uint32_t len)
{
	uint8_t out[RPC_REPLY_HEADER + FAKE_MESSAGE];
	struct rpc_out header = { .data = out, .cap = sizeof out };
	rpc_reply_header(&header, xid, RPC_OK, 0, 0);
	memcpy(out + RPC_REPLY_HEADER, body, len);
	send_record(fake, out, RPC_REPLY_HEADER + len);
	if (count(&fake->twice))
		send_record(fake, out, RPC_REPLY_HEADER + len);
	return true;
}

static bool
serve_compound(struct fake_mds *fake, struct rpc_call *call, struct arena *arena)
{
	XDR in, out;
	struct compound_header header;
	struct compound_reply r;
	uint8_t body[FAKE_MESSAGE];
	struct fake_slot *slot = NULL;
	nfsstat4 status = NFS4_OK;
	uint32_t n = 0, op;
	int done_before = atomic_load(&fake->done);
	ax_init(&in, call->args, call->args_len, XDR_DECODE, arena);
	ax_init(&out, body, sizeof body, XDR_ENCODE, NULL);
	ck_assert(compound_header_get(&in, &header));
	compound_reply_begin(&r, &out, &header.tag);
	if (atomic_load(&fake->minor1) && header.minor != 1)
		status = NFS4ERR_MINOR_VERS_MISMATCH;
	for (uint32_t i = 0; i < header.count && status == NFS4_OK; i++) {
		nfs_argop4 arg;
		bool replay = false;
		ck_assert_int_eq(compound_arg_get(&in, &arg, &op), NFS4_OK);
		if (op == OP_SEQUENCE)
			status = op_sequence(fake, &arg.nfs_argop4_u.opsequence, &out, call->args, call->args_len, &slot, &replay);
		else
			status = op_any(fake, op, &arg, &out);
		n++;
		if (replay)
			return answer(fake, call->xid, slot->reply, slot->reply_len);
	}
	compound_reply_end(&r, status, n);
	if (slot) {
		slot->seqid++;
		ck_assert_uint_le(call->args_len, sizeof slot->request);
		slot->request_len = call->args_len;
		memcpy(slot->request, call->args, call->args_len);
		slot->reply_len = ax_used(&out);
		memcpy(slot->reply, body, slot->reply_len);
	}
	if (atomic_load(&fake->drop_after) > 0 && atomic_load(&fake->done) > done_before &&
	    atomic_fetch_sub(&fake->drop_after, 1) == 1)
		return false;		/* done, and never told */
	return answer(fake, call->xid, body, ax_used(&out));
}

static bool
serve_record(struct fake_mds *fake, uint8_t *data, uint32_t len, struct arena *arena)
{
	uint32_t xid;
	struct rpc_reply rpc;
	enum rpc_msg_type type;
	enum rpc_status status;
	struct rpc_call call;
	ck_assert_int_eq(rpc_msg_type(data, len, &xid, &type), 0);
	if (type == RPC_MSG_REPLY) {
		pthread_mutex_lock(&fake->lock);
		ck_assert_int_eq(rpc_msg_reply(data, len, &rpc), 0);
		ck_assert_uint_le(rpc.body_len, sizeof fake->cb_reply);
		memcpy(fake->cb_reply, rpc.body, rpc.body_len);
		fake->cb_len = rpc.body_len;
		fake->cb_answered = true;
		pthread_cond_signal(&fake->cond);
		pthread_mutex_unlock(&fake->lock);
		return true;
	}
	ck_assert_int_eq(rpc_msg_call(data, len, &call, &status), 0);
	ck_assert_int_eq(status, RPC_OK);
	if (count(&fake->silent))
		return true;
	arena_reset(arena);
	return serve_compound(fake, &call, arena);
}

static void
serve(struct fake_mds *fake)
{
	struct arena arena;
	arena_init(&arena, 0);
	for (;;) {
		uint32_t mark;
		uint8_t *data;
		if (!read_all(fake->conn, &mark, 4))
			break;
		mark = be32toh(mark);
		ck_assert(mark & 0x80000000u);
		mark &= 0x7fffffffu;
		data = malloc(mark);
		bool fine = read_all(fake->conn, data, mark) && serve_record(fake, data, mark, &arena);
		free(data);
		if (!fine)
			break;
	}
	arena_destroy(&arena);
}

static void *
fake_main(void *arg)
{
	struct fake_mds *fake = arg;
	while (!atomic_load(&fake->stop)) {
		struct pollfd p = { .fd = fake->listener, .events = POLLIN };
		if (poll(&p, 1, 50) <= 0)
			continue;
		int fd = accept(fake->listener, NULL, NULL);
		pthread_mutex_lock(&fake->lock);
		fake->conn = fd;
		pthread_mutex_unlock(&fake->lock);
		atomic_fetch_add(&fake->connections, 1);
		serve(fake);
		pthread_mutex_lock(&fake->lock);
		close(fake->conn);
		fake->conn = -1;
		pthread_mutex_unlock(&fake->lock);
	}
	return NULL;
}

void
fake_start(struct fake_mds *fake)
{
	memset(fake, 0, sizeof *fake);
	pthread_mutex_init(&fake->lock, NULL);
	pthread_cond_init(&fake->cond, NULL);
	fake->conn = -1;
	fake->addr = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof fake->addr;
	fake->listener = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fake->listener, (struct sockaddr *)&fake->addr, len), 0);
	ck_assert_int_eq(listen(fake->listener, 8), 0);
	ck_assert_int_eq(getsockname(fake->listener, (struct sockaddr *)&fake->addr, &len), 0);
	ck_assert_int_eq(pthread_create(&fake->thread, NULL, fake_main, fake), 0);
}

void
fake_stop(struct fake_mds *fake)
{
	atomic_store(&fake->stop, true);
	pthread_mutex_lock(&fake->lock);
	if (fake->conn >= 0)
		shutdown(fake->conn, SHUT_RDWR);
	pthread_mutex_unlock(&fake->lock);
	pthread_join(fake->thread, NULL);
	close(fake->listener);
	pthread_mutex_destroy(&fake->lock);
	pthread_cond_destroy(&fake->cond);
}

void
fake_callback(struct fake_mds *fake, const void *body, uint32_t len, unsigned ms)
{
	struct rpc_cred cred = { .flavor = AUTH_SYS };
	struct rpc_out *out = rpc_out_get(4096);
	struct timespec until;
	rpc_call_header(out, 0x40000000, NFS_CB, CB_COMPOUND, &cred, "fake");
	memcpy(out->data + out->len, body, len);
	pthread_mutex_lock(&fake->lock);
	fake->cb_answered = false;
	fake->cb_len = 0;
	pthread_mutex_unlock(&fake->lock);
	send_record(fake, out->data, out->len + len);
	rpc_out_put(out);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += (long)ms % 1000 * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	pthread_mutex_lock(&fake->lock);
	while (!fake->cb_answered && pthread_cond_timedwait(&fake->cond, &fake->lock, &until) != ETIMEDOUT)
		;
	pthread_mutex_unlock(&fake->lock);
}
