/* See wire.h. */
#include "tests/unit/server/net/wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

void
wire_open(struct wire *w, int fd)
{
	struct timeval tv = { .tv_sec = 2 };
	memset(w, 0, sizeof *w);
	w->fd = fd;
	w->xid = 1000;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	arena_init(&w->arena, 0);
}

int
wire_connect(struct wire *w, uint16_t port)
{
	struct sockaddr_in addr = { .sin_family = AF_INET, .sin_port = htons(port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof addr), 0);
	wire_open(w, fd);
	return fd;
}

void
wire_close(struct wire *w)
{
	close(w->fd);
	arena_destroy(&w->arena);
}

void
wire_begin(struct wire_call *c, uint32_t minor, const char *tag)
{
	compound_call_begin(&c->cc, c->body, sizeof c->body, tag, minor);
}

void
wire_op(struct wire_call *c, uint32_t op, const void *args)
{
	compound_call_op(&c->cc, op, args);
}

void
wire_send_body(struct wire *w, const void *body, uint32_t len)
{
	struct rpc_cred cred = { .flavor = AUTH_SYS, .uid = w->uid };
	struct rpc_out *out = rpc_out_get(len + 512);
	rpc_call_header(out, 100003, 4, 1, &cred, "test");
	uint32_t xid = htobe32(++w->xid);
	memcpy(out->data, &xid, 4);
	memcpy(out->data + out->len, body, len);
	out->len += len;
	uint32_t mark = htobe32(0x80000000u | out->len);
	ck_assert_int_eq(send(w->fd, &mark, 4, MSG_MORE | MSG_NOSIGNAL), 4);
	ck_assert_int_eq(send(w->fd, out->data, out->len, MSG_NOSIGNAL), (ssize_t)out->len);
	rpc_out_put(out);
}

void
wire_send(struct wire *w, struct wire_call *c)
{
	uint32_t len = compound_call_end(&c->cc);
	ck_assert_uint_gt(len, 0);
	wire_send_body(w, c->body, len);
}

bool
wire_recv(struct wire *w)
{
	uint32_t mark;
	if (recv(w->fd, &mark, 4, MSG_WAITALL) != 4)
		return false;
	w->len = be32toh(mark) & 0x7fffffff;
	ck_assert_uint_le(w->len, sizeof w->buf);
	return recv(w->fd, w->buf, w->len, MSG_WAITALL) == (ssize_t)w->len;
}

static uint32_t
wire_word(const struct wire *w, uint32_t at)
{
	uint32_t v;
	ck_assert_uint_le(at + 4, w->len);
	memcpy(&v, w->buf + at, 4);
	return be32toh(v);
}

uint32_t
wire_accept_stat(const struct wire *w)
{
	ck_assert_uint_eq(wire_word(w, 4), 1);
	return wire_word(w, 20);
}

nfsstat4
wire_reply(struct wire *w, struct compound_results *r)
{
	ck_assert_uint_eq(wire_word(w, 0), w->xid);
	ck_assert_uint_eq(wire_accept_stat(w), 0);
	arena_reset(&w->arena);
	ck_assert_int_eq(compound_results_begin(r, w->buf + 24, w->len - 24, &w->arena), 0);
	return r->status;
}

nfsstat4
wire_compound(struct wire *w, struct wire_call *c, struct compound_results *r)
{
	wire_send(w, c);
	ck_assert(wire_recv(w));
	return wire_reply(w, r);
}

/* ---- sessions ---- */

nfsstat4
wire_exchange_id(struct wire *w, const char *owner, uint64_t verifier, uint32_t flags, EXCHANGE_ID4resok *ok)
{
	static struct wire_call c;
	struct compound_results r;
	nfs_resop4 res;
	EXCHANGE_ID4args args = { .eia_flags = flags };
	memcpy(args.eia_clientowner.co_verifier, &verifier, 8);
	args.eia_clientowner.co_ownerid.co_ownerid_val = (char *)(uintptr_t)owner;
	args.eia_clientowner.co_ownerid.co_ownerid_len = (uint32_t)strlen(owner);
	wire_begin(&c, 1, "");
	wire_op(&c, OP_EXCHANGE_ID, &args);
	nfsstat4 status = wire_compound(w, &c, &r);
	memset(&res, 0, sizeof res);
	ck_assert_int_eq(compound_res_get(&r, OP_EXCHANGE_ID, &res), 0);
	if (ok)
		*ok = res.nfs_resop4_u.opexchange_id.EXCHANGE_ID4res_u.eir_resok4;
	return status;
}

void
wire_channel(channel_attrs4 *fore, channel_attrs4 *back)
{
	*fore = *back = (channel_attrs4){ .ca_maxrequestsize = 16384, .ca_maxresponsesize = 16384,
		.ca_maxresponsesize_cached = 4096, .ca_maxoperations = 16, .ca_maxrequests = 8 };
}

nfsstat4
wire_create_session(struct wire *w, uint64_t clientid, uint32_t seq, uint32_t flags, const channel_attrs4 *fore,
    struct wire_session *s)
{
	static struct wire_call c;
	struct compound_results r;
	nfs_resop4 res;
	callback_sec_parms4 sec = { .cb_secflavor = AUTH_SYS };
	sec.callback_sec_parms4_u.cbsp_sys_cred = (authsys_parms){ .machinename = (char *)(uintptr_t)"me", .uid = 7, .gid = 8 };
	CREATE_SESSION4args args = { .csa_clientid = clientid, .csa_sequence = seq, .csa_flags = flags,
		.csa_cb_program = 0x40000000 };
	wire_channel(&args.csa_fore_chan_attrs, &args.csa_back_chan_attrs);
	if (fore)
		args.csa_fore_chan_attrs = *fore;
	args.csa_sec_parms.csa_sec_parms_len = 1;
	args.csa_sec_parms.csa_sec_parms_val = &sec;
	wire_begin(&c, 1, "");
	wire_op(&c, OP_CREATE_SESSION, &args);
	nfsstat4 status = wire_compound(w, &c, &r);
	memset(&res, 0, sizeof res);
	ck_assert_int_eq(compound_res_get(&r, OP_CREATE_SESSION, &res), 0);
	if (status == NFS4_OK && s) {
		memset(s, 0, sizeof *s);
		s->made = res.nfs_resop4_u.opcreate_session.CREATE_SESSION4res_u.csr_resok4;
		memcpy(s->id, s->made.csr_sessionid, sizeof s->id);
		s->clientid = clientid;
	}
	return status;
}

void
wire_session(struct wire *w, const char *owner, struct wire_session *s)
{
	EXCHANGE_ID4resok ok;
	ck_assert_int_eq(wire_exchange_id(w, owner, 1, 0, &ok), NFS4_OK);
	ck_assert_int_eq(wire_create_session(w, ok.eir_clientid, ok.eir_sequenceid,
	    CREATE_SESSION4_FLAG_CONN_BACK_CHAN, NULL, s), NFS4_OK);
}

void
wire_begin_seq(struct wire_call *c, struct wire_session *s, uint32_t slot, bool next, bool cache)
{
	SEQUENCE4args seq = { .sa_slotid = slot, .sa_highest_slotid = slot, .sa_cachethis = cache };
	memcpy(seq.sa_sessionid, s->id, sizeof s->id);
	s->seq[slot] += next;
	seq.sa_sequenceid = s->seq[slot];
	wire_begin(c, 1, "");
	wire_op(c, OP_SEQUENCE, &seq);
}
