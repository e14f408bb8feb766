/* See session.h. */
#include "tests/bench/session.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proto/nfs4/status.h"
#include "tests/common/rpc_socket.h"

void
session_die(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	fputs("mdsload: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	exit(1);
}

/* Record mark and call header; the COMPOUND follows. */
static uint32_t
begin(struct session *s)
{
	rpc_socket_header(s->call, ++s->xid, 0);
	compound_call_begin(&s->out, s->call + RPC_SOCKET_HEADER, CALL_MAX - RPC_SOCKET_HEADER, "", 1);
	return RPC_SOCKET_HEADER;
}

uint32_t
session_end(struct session *s)
{
	uint32_t body = compound_call_end(&s->out);
	if (!body)
		session_die("a call is too long");
	rpc_socket_mark(s->call, RPC_SOCKET_HEADER + body);
	return RPC_SOCKET_HEADER + body;
}

static void
exchange(struct session *s)
{
	uint32_t len = session_end(s);
	if (rpc_socket_send(s->fd, s->call, len))
		session_die("send");
	int64_t got = rpc_socket_read(s->fd, s->reply, sizeof s->reply);
	if (got < 24)
		session_die("a reply of %lld bytes", (long long)got);
	arena_reset(&s->arena);
	if (compound_results_begin(&s->in, s->reply + 24, (uint32_t)got - 24, &s->arena))
		session_die("malformed reply");
}

void
session_result(struct session *s, uint32_t op, nfs_resop4 *res)
{
	memset(res, 0, sizeof *res);
	int err = compound_res_get(&s->in, op, res);
	nfsstat4 status = *(nfsstat4 *)&res->nfs_resop4_u;
	if (err || status != NFS4_OK)
		session_die("%s: %s (compound: %s)", nfs4_op_name(op), err ? strerror(-err) : nfs4_status_name(status),
		    nfs4_status_name(s->in.status));
}

uint32_t
session_begin(struct session *s, uint32_t slot, uint32_t seqid)
{
	uint32_t at = begin(s) + 16;	/* empty tag, minor version, count, operation number */
	SEQUENCE4args seq = { .sa_sequenceid = seqid, .sa_slotid = slot, .sa_highest_slotid = slot };
	memcpy(seq.sa_sessionid, s->id, sizeof seq.sa_sessionid);
	compound_call_op(&s->out, OP_SEQUENCE, &seq);
	return at;
}

void
session_call(struct session *s)
{
	nfs_resop4 res;
	exchange(s);
	session_result(s, OP_SEQUENCE, &res);
}

nfsstat4
session_status(struct session *s, uint32_t op, nfs_resop4 *res)
{
	memset(res, 0, sizeof *res);
	return compound_res_get(&s->in, op, res) ? SESSION_NO_RESULT : *(nfsstat4 *)&res->nfs_resop4_u;
}

void
session_connect(struct session *s, uint16_t port)
{
	memset(s, 0, sizeof *s);
	arena_init(&s->arena, 0);
	s->fd = rpc_socket_open(port);
	if (s->fd < 0)
		session_die("cannot connect to port %u: %s", port, strerror(-s->fd));
}

void
session_client(struct session *s, const char *owner)
{
	nfs_resop4 res;
	EXCHANGE_ID4args eid = { .eia_clientowner.co_ownerid = { (u_int)strlen(owner), (char *)(uintptr_t)owner },
		.eia_flags = EXCHGID4_FLAG_USE_PNFS_MDS };
	begin(s);
	compound_call_op(&s->out, OP_EXCHANGE_ID, &eid);
	exchange(s);
	session_result(s, OP_EXCHANGE_ID, &res);
	s->clientid = res.nfs_resop4_u.opexchange_id.EXCHANGE_ID4res_u.eir_resok4.eir_clientid;
	s->seqid = res.nfs_resop4_u.opexchange_id.EXCHANGE_ID4res_u.eir_resok4.eir_sequenceid;
}

void
session_create(struct session *s, unsigned slots)
{
	nfs_resop4 res;
	callback_sec_parms4 sec = { .cb_secflavor = AUTH_NONE };
	CREATE_SESSION4args cs = { .csa_clientid = s->clientid, .csa_sequence = s->seqid, .csa_cb_program = 0x40000000,
		.csa_flags = CREATE_SESSION4_FLAG_CONN_BACK_CHAN,
		.csa_fore_chan_attrs = { 0, 1 << 16, REPLY_MAX - 64, 4096, 64, slots, { 0, NULL } },
		.csa_back_chan_attrs = { 0, 4096, 4096, 4096, 2, 1, { 0, NULL } },
		.csa_sec_parms = { 1, &sec } };
	begin(s);
	compound_call_op(&s->out, OP_CREATE_SESSION, &cs);
	exchange(s);
	session_result(s, OP_CREATE_SESSION, &res);
	CREATE_SESSION4resok *ok = &res.nfs_resop4_u.opcreate_session.CREATE_SESSION4res_u.csr_resok4;
	memcpy(s->id, ok->csr_sessionid, sizeof s->id);
	if (ok->csr_fore_chan_attrs.ca_maxrequests < slots)
		session_die("the server gives %u slots", ok->csr_fore_chan_attrs.ca_maxrequests);
	s->seqid = 0;
}

void
session_complete(struct session *s)
{
	nfs_resop4 res;
	RECLAIM_COMPLETE4args rc = { 0 };
	session_begin(s, 0, ++s->seqid);
	compound_call_op(&s->out, OP_RECLAIM_COMPLETE, &rc);
	session_call(s);
	session_result(s, OP_RECLAIM_COMPLETE, &res);
}

void
session_open(struct session *s, uint16_t port, unsigned slots)
{
	char owner[64];
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	snprintf(owner, sizeof owner, "mdsload %d %p %ld", getpid(), (void *)s, ts.tv_nsec);
	session_connect(s, port);
	session_client(s, owner);
	session_create(s, slots);
	session_complete(s);
}

void
session_close(struct session *s)
{
	close(s->fd);
	arena_destroy(&s->arena);
}

nfs_fh4
session_lookup(struct session *s, const char *path, char handle[NFS4_FHSIZE])
{
	nfs_resop4 res;
	unsigned n = 0;
	session_begin(s, 0, ++s->seqid);
	compound_call_op(&s->out, OP_PUTROOTFH, NULL);
	while (*path) {
		size_t len = strcspn(path, "/");
		if (len) {
			LOOKUP4args lookup = { { (u_int)len, (char *)(uintptr_t)path } };
			compound_call_op(&s->out, OP_LOOKUP, &lookup);
			n++;
		}
		path += len + (path[len] == '/');
	}
	compound_call_op(&s->out, OP_GETFH, NULL);
	session_call(s);
	session_result(s, OP_PUTROOTFH, &res);
	while (n--)
		session_result(s, OP_LOOKUP, &res);
	session_result(s, OP_GETFH, &res);
	nfs_fh4 *fh = &res.nfs_resop4_u.opgetfh.GETFH4res_u.resok4.object;
	memcpy(handle, fh->nfs_fh4_val, fh->nfs_fh4_len);
	return (nfs_fh4){ fh->nfs_fh4_len, handle };
}
