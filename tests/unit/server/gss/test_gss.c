/* RPCSEC_GSS against a real server and a KDC of the test's own (tests/common/kdc.sh): good calls of every service, and every way to forge one. */
#include <check.h>
#include <errno.h>
#include <gssapi/gssapi.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/rpc/gss.h"
#include "proto/rpc/rpc_msg.h"
#include "tests/unit/server/net/mds_fixture.h"
#include "tests/unit/server/net/wire.h"

static char dir[] = "/tmp/test-gss-XXXXXX";
static struct mds_fixture fx;
static struct wire w;
static struct compound_results results;

/* ---- an initiator ---- */

struct side {
	struct rpc_gss *gss;
	uint8_t handle[RPC_GSS_MAX_HANDLE];
	uint32_t handle_len, service, seq;
};

static void
send_out(const struct rpc_out *out)
{
	uint32_t mark = htobe32(0x80000000u | out->len);
	ck_assert_int_eq(send(w.fd, &mark, 4, MSG_MORE | MSG_NOSIGNAL), 4);
	ck_assert_int_eq(send(w.fd, out->data, out->len, MSG_NOSIGNAL), (ssize_t)out->len);
}

static bool
silent(void)
{
	struct pollfd p = { .fd = w.fd, .events = POLLIN };
	return poll(&p, 1, 150) == 0;
}

static OM_uint32
init_token(gss_ctx_id_t *ctx, gss_buffer_t in, gss_buffer_t out)
{
	OM_uint32 minor, major;
	gss_name_t name;
	gss_buffer_desc text = { 13, (void *)(uintptr_t)"nfs@localhost" };
	gss_import_name(&minor, &text, GSS_C_NT_HOSTBASED_SERVICE, &name);
	major = gss_init_sec_context(&minor, GSS_C_NO_CREDENTIAL, ctx, name, GSS_C_NO_OID, GSS_C_MUTUAL_FLAG, 0,
	    GSS_C_NO_CHANNEL_BINDINGS, in, NULL, out, NULL, NULL);
	gss_release_name(&minor, &name);
	return major;
}

/* Send TOKEN as INIT; the answer taken apart. */
static struct rpc_reply
send_init(const void *token, uint32_t len, struct rpc_gss_init_res *res)
{
	XDR x;
	struct rpc_reply reply;
	struct rpc_out *out = rpc_out_get(len + 512);
	struct rpc_gss_call call = { .xid = ++w.xid, .prog = 100003, .vers = 4, .gss_proc = RPC_GSS_INIT, .service = 1 };
	ck_assert_int_eq(rpc_gss_call_header(NULL, out, &call), 0);
	ax_init(&x, out->data + out->len, out->cap - out->len, XDR_ENCODE, NULL);
	ck_assert(ax_put_opaque(&x, token, len));
	out->len += ax_used(&x);
	send_out(out);
	rpc_out_put(out);
	ck_assert(wire_recv(&w));
	ck_assert_int_eq(rpc_msg_reply(w.buf, w.len, &reply), 0);
	ck_assert(rpc_gss_init_res_get(reply.body, reply.body_len, res));
	return reply;
}

static void
establish(struct side *s, const char *user, uint32_t service)
{
	gss_ctx_id_t ctx = GSS_C_NO_CONTEXT;
	gss_buffer_desc out = GSS_C_EMPTY_BUFFER, in;
	struct rpc_gss_init_res res;
	char cc[64];
	OM_uint32 minor;
	snprintf(cc, sizeof cc, "FILE:%s/cc.%s", dir, user);
	setenv("KRB5CCNAME", cc, 1);
	ck_assert_int_eq(init_token(&ctx, GSS_C_NO_BUFFER, &out), GSS_S_CONTINUE_NEEDED);
	struct rpc_reply reply = send_init(out.value, (uint32_t)out.length, &res);
	gss_release_buffer(&minor, &out);
	ck_assert_uint_eq(res.major, GSS_S_COMPLETE);
	ck_assert_uint_eq(res.window, RPC_GSS_WINDOW);
	ck_assert_uint_ge(res.handle_len, 16);
	in = (gss_buffer_desc){ res.token_len, (void *)(uintptr_t)res.token };
	ck_assert_int_eq(init_token(&ctx, &in, &out), GSS_S_COMPLETE);
	*s = (struct side){ .gss = rpc_gss_new(ctx), .handle_len = res.handle_len, .service = service };
	memcpy(s->handle, res.handle, res.handle_len);
	/* RFC 2203 5.2.3.1: the verifier is of the window. */
	uint32_t window = htobe32(res.window);
	ck_assert_uint_eq(reply.verf_flavor, RPCSEC_GSS);
	ck_assert_int_eq(rpc_gss_verify(s->gss, &window, 4, reply.verf, reply.verf_len), 0);
}

/* What to do to a call before it is sent. */
struct forge {
	uint32_t proc, gss_proc;
	uint32_t seq;			/* 0: the next */
	uint32_t body_seq;		/* 0: the same */
	uint32_t service;		/* 0: the side's; claimed in the header */
	int flip;			/* this byte of the record, from its end if below 0 */
	bool no_verifier;
};

/* The last call, for sending it again. */
static struct rpc_out *last;

static void
call_send(struct side *s, const void *body, uint32_t len, const struct forge *f)
{
	struct rpc_out *out = rpc_out_get(len + 1024);
	uint32_t seq = f->seq ? f->seq : ++s->seq;
	struct rpc_gss_call call = { .xid = ++w.xid, .prog = 100003, .vers = 4, .proc = f->proc, .gss_proc = f->gss_proc,
		.service = f->service ? f->service : s->service, .seq = seq, .handle = s->handle, .handle_len = s->handle_len };
	ck_assert_int_eq(rpc_gss_call_header(f->no_verifier ? NULL : s->gss, out, &call), 0);
	uint32_t at = out->len;
	if (len)
		memcpy(out->data + at, body, len);
	out->len += len;
	if (f->gss_proc == RPC_GSS_DATA)
		ck_assert_int_eq(rpc_gss_seal_call(s->gss, s->service, f->body_seq ? f->body_seq : seq, &out, at), 0);
	if (f->flip)
		out->data[f->flip > 0 ? (uint32_t)f->flip : out->len - (uint32_t)-f->flip] ^= 1;
	send_out(out);
	rpc_out_put(last);
	last = out;
}

/* The answer, opened. */
static int
call_take(struct side *s, struct rpc_reply *reply, bool destroy)
{
	ck_assert(wire_recv(&w));
	int err = rpc_msg_reply(w.buf, w.len, reply);
	return err ? err : rpc_gss_open_reply(s->gss, destroy ? 1 : s->service, s->seq, reply);
}

static int
null_call(struct side *s, const struct forge *f)
{
	struct rpc_reply reply;
	call_send(s, NULL, 0, f);
	int err = call_take(s, &reply, f->gss_proc == RPC_GSS_DESTROY);
	if (!err)
		ck_assert_uint_eq(reply.body_len, 0);
	return err;
}

/* auth_stat of the denial that came last. */
static uint32_t
auth_stat(void)
{
	uint32_t words[5];
	ck_assert_uint_eq(w.len, sizeof words);
	memcpy(words, w.buf, sizeof words);
	ck_assert(be32toh(words[2]) == MSG_DENIED && be32toh(words[3]) == AUTH_ERROR);
	return be32toh(words[4]);
}

/* accept_stat of the last answer, whose verifier is right. */
static uint32_t
accept_stat(struct side *s)
{
	uint32_t words[5], be_seq = htobe32(s->seq), stat;
	memcpy(words, w.buf, sizeof words);
	ck_assert(be32toh(words[2]) == MSG_ACCEPTED && be32toh(words[3]) == RPCSEC_GSS);
	uint32_t len = be32toh(words[4]);
	ck_assert_int_eq(rpc_gss_verify(s->gss, &be_seq, 4, w.buf + 20, len), 0);
	memcpy(&stat, w.buf + 20 + len + ax_pad(len), 4);
	return be32toh(stat);
}

static nfsstat4
compound(struct side *s, struct wire_call *c)
{
	struct rpc_reply reply;
	uint32_t len = compound_call_end(&c->cc);
	call_send(s, c->body, len, &(struct forge){ .proc = 1 });
	ck_assert_int_eq(call_take(s, &reply, false), 0);
	arena_reset(&w.arena);
	ck_assert_int_eq(compound_results_begin(&results, reply.body, reply.body_len, &w.arena), 0);
	return results.status;
}

static void
setup(void)
{
	mds_fixture_start(&fx, 90, 90);
	wire_connect(&w, fx.port);
}

static void
teardown(void)
{
	rpc_out_put(last);
	last = NULL;
	wire_close(&w);
	mds_fixture_stop(&fx);
}

/* ---- contexts ---- */

static const struct forge plain = { 0 };

START_TEST(services)
{
	struct side s;
	establish(&s, "daemon", (uint32_t)_i);
	for (unsigned i = 0; i < 300; i++)
		ck_assert_int_eq(null_call(&s, &plain), 0);
	/* errors of RPC itself are answered under the context too */
	call_send(&s, NULL, 0, &(struct forge){ .proc = 7 });
	ck_assert(wire_recv(&w));
	ck_assert_uint_eq(accept_stat(&s), PROC_UNAVAIL);
	ck_assert_int_eq(null_call(&s, &(struct forge){ .gss_proc = RPC_GSS_DESTROY }), 0);
	ck_assert_int_eq(null_call(&s, &plain), -EKEYEXPIRED);
	ck_assert_uint_eq(auth_stat(), RPCSEC_GSS_CREDPROBLEM);
	rpc_gss_put(s.gss);
}
END_TEST

START_TEST(no_context)
{
	struct rpc_gss_init_res res;
	struct side s;
	/* Not a token; the connection goes on. */
	send_init("nonsense", 8, &res);
	ck_assert_uint_ne(res.major, GSS_S_COMPLETE);
	ck_assert_uint_eq(res.handle_len, 0);
	send_init("", 0, &res);
	ck_assert_uint_ne(res.major, GSS_S_COMPLETE);
	establish(&s, "daemon", 1);
	s.handle[3] ^= 1;
	ck_assert_int_eq(null_call(&s, &plain), -EKEYEXPIRED);
	ck_assert_uint_eq(auth_stat(), RPCSEC_GSS_CREDPROBLEM);
	s.handle_len = 0;
	ck_assert_int_eq(null_call(&s, &plain), -EKEYEXPIRED);
	/* INIT by another procedure; a procedure there is not */
	ck_assert_int_eq(null_call(&s, &(struct forge){ .gss_proc = RPC_GSS_INIT, .proc = 1, .no_verifier = true }), -EACCES);
	ck_assert_int_eq(null_call(&s, &(struct forge){ .gss_proc = 4 }), -EACCES);
	/* nothing to go on with */
	struct rpc_reply reply;
	call_send(&s, "\0\0\0", 4, &(struct forge){ .gss_proc = RPC_GSS_CONTINUE_INIT, .no_verifier = true });
	ck_assert_int_eq(call_take(&s, &reply, false), -EKEYEXPIRED);
	rpc_gss_put(s.gss);
}
END_TEST

/* ---- forged calls ---- */

START_TEST(header)
{
	struct side s;
	establish(&s, "daemon", 2);
	/* A byte of the xid, of the procedure, of the sequence number, of the service, of the verifier (PITFALLS E10). */
	static const int at[] = { 3, 23, 43, 47 };
	for (unsigned i = 0; i < sizeof at / sizeof *at; i++) {
		ck_assert_int_eq(null_call(&s, &(struct forge){ .flip = at[i] }), -EKEYEXPIRED);
		ck_assert_uint_eq(auth_stat(), RPCSEC_GSS_CREDPROBLEM);
	}
	int verifier = 48 + 4 + (int)s.handle_len + 8 + 20;
	ck_assert_int_eq(null_call(&s, &(struct forge){ .flip = verifier }), -EKEYEXPIRED);
	ck_assert_int_eq(null_call(&s, &(struct forge){ .no_verifier = true }), -EKEYEXPIRED);
	/* none of which has moved the window */
	s.seq = 0;
	ck_assert_int_eq(null_call(&s, &plain), 0);
	ck_assert_int_eq(null_call(&s, &(struct forge){ .service = 4 }), -EACCES);
	ck_assert_int_eq(null_call(&s, &plain), 0);
	rpc_gss_put(s.gss);
}
END_TEST

START_TEST(bodies)
{
	struct side s;
	establish(&s, "daemon", (uint32_t)_i);
	/* A byte of the body's own checksum or cipher; a body of another call; one sealed otherwise than the header says. */
	static const struct forge bad[] = { { .flip = -1 }, { .flip = -20 }, { .body_seq = 77 }, { .service = 5 } };
	for (unsigned i = 0; i < 4; i++) {
		struct forge f = bad[i];
		if (f.service)
			f.service = _i == 2 ? 3 : 2;
		call_send(&s, "12345678", 8, &f);
		ck_assert(wire_recv(&w));
		ck_assert_uint_eq(accept_stat(&s), GARBAGE_ARGS);
	}
	ck_assert_int_eq(null_call(&s, &plain), 0);
	rpc_gss_put(s.gss);
}
END_TEST

START_TEST(sequence)
{
	struct side s;
	establish(&s, "daemon", 3);
	ck_assert_int_eq(null_call(&s, &plain), 0);
	/* The same bytes again: no answer at all (RFC 2203 5.3.3.1). */
	send_out(last);
	ck_assert(silent());
	s.seq = 500;
	ck_assert_int_eq(null_call(&s, &plain), 0);
	/* Another that is in the window, once; below it never. */
	s.seq = 501 - RPC_GSS_WINDOW;
	ck_assert_int_eq(null_call(&s, &plain), 0);
	send_out(last);
	ck_assert(silent());
	s.seq = 501 - RPC_GSS_WINDOW - 1;
	call_send(&s, NULL, 0, &plain);
	ck_assert(silent());
	ck_assert_int_eq(null_call(&s, &(struct forge){ .seq = RPC_GSS_MAXSEQ }), -EKEYEXPIRED);
	ck_assert_uint_eq(auth_stat(), RPCSEC_GSS_CTXPROBLEM);
	s.seq = 501;
	ck_assert_int_eq(null_call(&s, &plain), 0);
	rpc_gss_put(s.gss);
}
END_TEST

/* ---- principals ---- */

static nfsstat4
exchange_id(struct side *s, EXCHANGE_ID4args *args, EXCHANGE_ID4resok *ok)
{
	static struct wire_call c;
	nfs_resop4 res;
	args->eia_clientowner.co_ownerid.co_ownerid_val = (char *)(uintptr_t)"owner";
	args->eia_clientowner.co_ownerid.co_ownerid_len = 5;
	wire_begin(&c, 1, "");
	wire_op(&c, OP_EXCHANGE_ID, args);
	nfsstat4 status = compound(s, &c);
	memset(&res, 0, sizeof res);
	ck_assert_int_eq(compound_res_get(&results, OP_EXCHANGE_ID, &res), 0);
	*ok = res.nfs_resop4_u.opexchange_id.EXCHANGE_ID4res_u.eir_resok4;
	return status;
}

static nfsstat4
create_session(struct side *s, const EXCHANGE_ID4resok *ok, sessionid4 id)
{
	static struct wire_call c;
	nfs_resop4 res;
	callback_sec_parms4 sec = { .cb_secflavor = AUTH_NONE };
	CREATE_SESSION4args args = { .csa_clientid = ok->eir_clientid, .csa_sequence = ok->eir_sequenceid };
	wire_channel(&args.csa_fore_chan_attrs, &args.csa_back_chan_attrs);
	args.csa_sec_parms.csa_sec_parms_len = 1;
	args.csa_sec_parms.csa_sec_parms_val = &sec;
	wire_begin(&c, 1, "");
	wire_op(&c, OP_CREATE_SESSION, &args);
	nfsstat4 status = compound(s, &c);
	memset(&res, 0, sizeof res);
	ck_assert_int_eq(compound_res_get(&results, OP_CREATE_SESSION, &res), 0);
	if (status == NFS4_OK)
		memcpy(id, res.nfs_resop4_u.opcreate_session.CREATE_SESSION4res_u.csr_resok4.csr_sessionid, NFS4_SESSIONID_SIZE);
	return status;
}

static nfsstat4
destroy_clientid(struct side *s, const EXCHANGE_ID4resok *ok)
{
	static struct wire_call c;
	DESTROY_CLIENTID4args args = { ok->eir_clientid };
	wire_begin(&c, 1, "");
	wire_op(&c, OP_DESTROY_CLIENTID, &args);
	return compound(s, &c);
}

static nfsstat4
destroy_session(struct side *s, const sessionid4 id)
{
	static struct wire_call c;
	DESTROY_SESSION4args args;
	memcpy(args.dsa_sessionid, id, sizeof args.dsa_sessionid);
	wire_begin(&c, 1, "");
	wire_op(&c, OP_DESTROY_SESSION, &args);
	return compound(s, &c);
}

/* root and daemon are two, even without accounts; the same one is itself in another context, of another service. */
START_TEST(principals)
{
	struct side daemon_i, daemon_p, root, ghost;
	EXCHANGE_ID4args args = { .eia_flags = 0 };
	EXCHANGE_ID4resok ok;
	sessionid4 id;
	establish(&daemon_i, "daemon", 2);
	establish(&daemon_p, "daemon", 3);
	establish(&root, "root", 1);
	establish(&ghost, "ghost", 1);
	ck_assert_int_eq(exchange_id(&daemon_i, &args, &ok), NFS4_OK);
	ck_assert_int_eq(create_session(&root, &ok, id), NFS4ERR_CLID_INUSE);
	ck_assert_int_eq(create_session(&ghost, &ok, id), NFS4ERR_CLID_INUSE);
	ck_assert_int_eq(create_session(&daemon_p, &ok, id), NFS4_OK);
	ck_assert_int_eq(exchange_id(&root, &args, &ok), NFS4ERR_CLID_INUSE);
	ck_assert_int_eq(exchange_id(&daemon_p, &args, &ok), NFS4_OK);
	ck_assert(ok.eir_flags & EXCHGID4_FLAG_CONFIRMED_R);
	ck_assert_int_eq(destroy_session(&daemon_i, id), NFS4_OK);
	rpc_gss_put(daemon_i.gss);
	rpc_gss_put(daemon_p.gss);
	rpc_gss_put(root.gss);
	rpc_gss_put(ghost.gss);
}
END_TEST

START_TEST(mach_cred)
{
	struct side none, integ, root;
	EXCHANGE_ID4args args = { .eia_flags = 0 };
	EXCHANGE_ID4resok ok;
	sessionid4 id;
	uint32_t allow[3] = { 1u << OP_CLOSE | 1u << OP_READ, 1u << (OP_FREE_STATEID - 32), 1 };
	establish(&none, "daemon", 1);
	establish(&integ, "daemon", 2);
	establish(&root, "root", 2);
	args.eia_state_protect.spa_how = SP4_MACH_CRED;
	args.eia_state_protect.state_protect4_a_u.spa_mach_ops.spo_must_allow = (bitmap4){ 3, allow };
	ck_assert_int_eq(exchange_id(&none, &args, &ok), NFS4ERR_INVAL);
	ck_assert_int_eq(exchange_id(&integ, &args, &ok), NFS4_OK);
	ck_assert_int_eq(ok.eir_state_protect.spr_how, SP4_MACH_CRED);
	const state_protect_ops4 *ops = &ok.eir_state_protect.state_protect4_r_u.spr_mach_ops;
	ck_assert_uint_eq(ops->spo_must_enforce.bitmap4_len, 2);
	ck_assert_uint_eq(ops->spo_must_enforce.bitmap4_val[1], 1u << 9 | 1u << 10 | 1u << 11 | 1u << 12 | 1u << 25);
	ck_assert_uint_eq(ops->spo_must_allow.bitmap4_val[0], 1u << OP_CLOSE);
	ck_assert_uint_eq(ops->spo_must_allow.bitmap4_val[1], 1u << (OP_FREE_STATEID - 32));
	ck_assert_int_eq(create_session(&none, &ok, id), NFS4ERR_WRONG_CRED);
	ck_assert_int_eq(create_session(&root, &ok, id), NFS4ERR_WRONG_CRED);
	ck_assert_int_eq(create_session(&integ, &ok, id), NFS4_OK);
	EXCHANGE_ID4resok again;
	ck_assert_int_eq(exchange_id(&none, &(EXCHANGE_ID4args){ .eia_flags = 0 }, &again), NFS4ERR_WRONG_CRED);
	ck_assert_int_eq(destroy_session(&root, id), NFS4ERR_WRONG_CRED);
	ck_assert_int_eq(destroy_session(&none, id), NFS4ERR_WRONG_CRED);
	ck_assert_int_eq(destroy_session(&integ, id), NFS4_OK);
	ck_assert_int_eq(destroy_clientid(&root, &ok), NFS4ERR_WRONG_CRED);
	ck_assert_int_eq(destroy_clientid(&integ, &ok), NFS4_OK);
	rpc_gss_put(none.gss);
	rpc_gss_put(integ.gss);
	rpc_gss_put(root.gss);
}
END_TEST

/* ---- the realm ---- */

static int
realm_make(void)
{
	char cmd[512], value[128];
	const char *src = getenv("srcdir");
	if (!mkdtemp(dir))
		return 1;
	snprintf(cmd, sizeof cmd, "sh %s/tests/common/kdc.sh %s", src ? src : ".", dir);
	int status = system(cmd);
	snprintf(value, sizeof value, "%s/krb5.conf", dir);
	setenv("KRB5_CONFIG", value, 1);
	snprintf(value, sizeof value, "FILE:%s/server.keytab", dir);
	setenv("KRB5_KTNAME", value, 1);
	snprintf(value, sizeof value, "file2:%s/rcache", dir);
	setenv("KRB5RCACHENAME", value, 1);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static void
realm_end(void)
{
	char text[512];
	int pid = 0;
	snprintf(text, sizeof text, "%s/kdc.pid", dir);
	FILE *f = fopen(text, "r");
	if (f && fscanf(f, "%d", &pid) == 1 && pid > 1)
		kill(pid, SIGTERM);
	if (f)
		fclose(f);
	snprintf(text, sizeof text, "rm -rf %s", dir);
	if (system(text))
		fprintf(stderr, "%s stays\n", dir);
}

int
main(void)
{
	int made = realm_make();
	if (made) {
		realm_end();
		return made;
	}
	Suite *suite = suite_create("gss");
	TCase *tc = tcase_create("all");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, services, 1, 4);
	tcase_add_test(tc, no_context);
	tcase_add_test(tc, header);
	tcase_add_loop_test(tc, bodies, 2, 4);
	tcase_add_test(tc, sequence);
	tcase_add_test(tc, principals);
	tcase_add_test(tc, mach_cred);
	suite_add_tcase(suite, tc);
	SRunner *sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	realm_end();
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
