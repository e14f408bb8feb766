/*
 * The server behind a COMPOUND: any body is answered with a COMPOUND4res that can be read, or as garbage; nothing leaks.  A whole server without exports; the input is
 * the body of one call, with the session's id put where its SEQUENCE would have it, so that what stands behind is reached.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "proto/nfs4/compound_xdr.h"
#include "server/mds.h"
#include "server/net/conn.h"
#include "server/net/listener.h"
#include "tests/fuzz/server.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct mds *mds;
static struct wire_end { int fd; uint32_t xid; uint8_t buf[2 << 20]; uint32_t len; } w;
static sessionid4 session;
static uint32_t sequence;

/* Over a socket pair: the server's end goes to the loop as if it had been accepted. */
struct give { int fd; };
static void
give_run(void *arg)
{
	struct sockaddr_storage addr = { .ss_family = AF_INET };
	if (!conn_new(mds, mds->loops[0], ((struct give *)arg)->fd, &addr))
		abort();
}

static void
reconnect(void)
{
	int fd[2];
	if (w.fd > 0)
		close(w.fd);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd) < 0)
		abort();
	fcntl(fd[0], F_SETFL, O_NONBLOCK);
	int size = 4 << 20;
	setsockopt(fd[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
	struct give give = { fd[0] };
	loop_call(mds->loops[0], give_run, &give);
	w.fd = fd[1];
}

/* ---- the wire: libFuzzer's timer (SIGALRM) interrupts what waits ---- */

static bool
wait_answer(void)
{
	struct pollfd p = { .fd = w.fd, .events = POLLIN };
	time_t until = time(NULL) + 10;
	int n;
	do
		n = poll(&p, 1, 1000);
	while (n != 1 && (n == 0 || errno == EINTR) && time(NULL) <= until);
	return n == 1;
}

static bool
send_all(const void *data, size_t len)
{
	while (len) {
		ssize_t n = send(w.fd, data, len, MSG_NOSIGNAL);
		if (n < 0 && errno != EINTR)
			return false;
		data = (const char *)data + (n < 0 ? 0 : n);
		len -= n < 0 ? 0 : (size_t)n;
	}
	return true;
}

static bool
recv_all(void *data, size_t len)
{
	while (len) {
		ssize_t n = recv(w.fd, data, len, 0);
		if (n == 0 || (n < 0 && errno != EINTR))
			return false;
		data = (char *)data + (n < 0 ? 0 : n);
		len -= n < 0 ? 0 : (size_t)n;
	}
	return true;
}

/* False: the server closed. */
static bool
exchange(const void *body, uint32_t len)
{
	struct rpc_cred cred = { .flavor = AUTH_SYS };
	struct rpc_out *out = rpc_out_get(len + 512);
	rpc_call_header(out, 100003, 4, 1, &cred, "fuzz");
	memcpy(out->data, &(uint32_t){ ++w.xid }, 4);
	memcpy(out->data + out->len, body, len);
	out->len += len;
	uint32_t mark = htobe32(0x80000000u | out->len);
	bool ok = send_all(&mark, 4) && send_all(out->data, out->len);
	rpc_out_put(out);
	/* Every call is answered. */
	if (!ok || !wait_answer()) {
		fprintf(stderr, ok ? "no answer in 10 s\n" : "cannot send: %m\n");
		abort();
	}
	if (!recv_all(&mark, 4))
		return false;
	w.len = be32toh(mark) & 0x7fffffff;
	if (w.len > sizeof w.buf || !recv_all(w.buf, w.len))
		abort();
	return true;
}

/* The reply must be one of RPC, and if accepted a COMPOUND4res whose results can be decoded to the last byte. */
static void
check_reply(void)
{
	struct compound_results r;
	struct arena arena;
	uint32_t stat, op;
	if (w.len < 24 || memcmp(w.buf, &w.xid, 4) != 0)
		abort();
	memcpy(&stat, w.buf + 20, 4);
	if (be32toh(stat) == 4 && w.len == 24)
		return;
	if (stat != 0)
		abort();
	arena_init(&arena, 16u << 20);
	if (compound_results_begin(&r, w.buf + 24, w.len - 24, &arena) < 0)
		abort();
	while (r.left > 0) {
		nfs_resop4 res;
		XDR peek = r.xdrs;
		if (!ax_get_u32(&peek, &op))
			abort();
		memset(&res, 0, sizeof res);
		if (op == OP_ILLEGAL) {
			ax_take(&r.xdrs, 8);
			r.left--;
		} else if (compound_res_get(&r, op, &res) < 0) {
			abort();
		}
	}
	if (ax_left(&r.xdrs) != 0)
		abort();
	arena_destroy(&arena);
}

static void
make_session(void)
{
	uint8_t body[1024];
	struct compound_call cc;
	struct compound_results r;
	struct arena arena;
	nfs_resop4 res;
	arena_init(&arena, 0);
	/* A new verifier each time: the client begins anew, and its old sessions go. */
	static uint64_t verifier;
	EXCHANGE_ID4args eid = { .eia_clientowner.co_ownerid = { 4, (char *)(uintptr_t)"fuzz" } };
	verifier++;
	memcpy(eid.eia_clientowner.co_verifier, &verifier, sizeof verifier);
	compound_call_begin(&cc, body, sizeof body, "", 1);
	compound_call_op(&cc, OP_EXCHANGE_ID, &eid);
	memset(&res, 0, sizeof res);
	if (!exchange(body, compound_call_end(&cc)) ||
	    compound_results_begin(&r, w.buf + 24, w.len - 24, &arena) < 0 || r.status != NFS4_OK ||
	    compound_res_get(&r, OP_EXCHANGE_ID, &res) < 0)
		abort();
	const EXCHANGE_ID4resok *ok = &res.nfs_resop4_u.opexchange_id.EXCHANGE_ID4res_u.eir_resok4;
	channel_attrs4 ch = { .ca_maxrequestsize = 1 << 20, .ca_maxresponsesize = 1 << 20, .ca_maxoperations = 64,
		.ca_maxrequests = 4, .ca_maxresponsesize_cached = 4096 };
	CREATE_SESSION4args cs = { .csa_clientid = ok->eir_clientid, .csa_sequence = ok->eir_sequenceid,
		.csa_fore_chan_attrs = ch, .csa_back_chan_attrs = ch };
	compound_call_begin(&cc, body, sizeof body, "", 1);
	compound_call_op(&cc, OP_CREATE_SESSION, &cs);
	memset(&res, 0, sizeof res);
	if (!exchange(body, compound_call_end(&cc)) ||
	    compound_results_begin(&r, w.buf + 24, w.len - 24, &arena) < 0 || r.status != NFS4_OK ||
	    compound_res_get(&r, OP_CREATE_SESSION, &res) < 0)
		abort();
	memcpy(session, res.nfs_resop4_u.opcreate_session.CREATE_SESSION4res_u.csr_resok4.csr_sessionid, sizeof session);
	sequence = 0;
	arena_destroy(&arena);
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	mds = fuzz_server();
	/* Other threads and their fsyncs make no difference to what is looked for. */
	reconnect();
	make_session();
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* The first byte: with a SEQUENCE of the session before, or as it is. */
	uint8_t body[16384];
	struct compound_call cc;
	uint32_t len;
	if (size < 1 || size > 8192)
		return 0;
	if (data[0] & 1) {
		SEQUENCE4args seq = { .sa_sequenceid = ++sequence, .sa_cachethis = data[0] >> 1 & 1 };
		memcpy(seq.sa_sessionid, session, sizeof session);
		compound_call_begin(&cc, body, sizeof body, "", 1 + (data[0] >> 2 & 1));
		compound_call_op(&cc, OP_SEQUENCE, &seq);
		len = compound_call_end(&cc);
		/* The count: what the second byte says. */
		uint32_t count = htobe32(1 + (size > 1 ? data[1] & 15 : 0));
		memcpy(body + 8, &count, 4);
		if (size > 2) {
			memcpy(body + len, data + 2, size - 2);
			len += (uint32_t)size - 2;
		}
	} else {
		memcpy(body, data + 1, size - 1);
		len = (uint32_t)size - 1;
	}
	if (!exchange(body, len)) {
		reconnect();
		return 0;
	}
	check_reply();
	/* Garbage has not moved the slot; the session may have been destroyed: begin again. */
	struct compound_results r;
	if ((data[0] & 1) && w.buf[23] != 0)
		sequence--;
	else if (data[0] & 1) {
		uint32_t status;
		memcpy(&status, w.buf + 24, 4);
		status = be32toh(status);
		if (compound_results_begin(&r, w.buf + 24, w.len - 24, NULL) < 0)
			abort();
		if (r.left <= 1 && status != NFS4_OK)
			make_session();
	}
	return 0;
}
