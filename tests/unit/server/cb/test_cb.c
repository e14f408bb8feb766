/* Callbacks of a real server to a client made of one socket: steps of the slot, lost connections, silence. */
#include <check.h>
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "server/cb/cb.h"
#include "server/mds.h"
#include "server/state/client.h"
#include "server/state/session.h"
#include "tests/unit/server/net/mds_fixture.h"
#include "tests/unit/server/net/wire.h"

static struct mds_fixture fx;
static struct wire w;
static struct wire_session s;
static struct wire_call call;
static struct compound_results r;
static struct client *client;
static atomic_int ups;

static void
path_up(struct mds *mds, struct client *c)
{
	(void)mds;
	(void)c;
	atomic_fetch_add(&ups, 1);
}

static void
setup(void)
{
	mds_fixture_start(&fx, 90, 90);
	cb_path_up = path_up;
	atomic_store(&ups, 0);
	wire_connect(&w, fx.port);
	wire_session(&w, "client", &s);
	pthread_mutex_lock(&fx.mds->state_lock);
	client = client_get(client_find_locked(fx.mds, s.clientid));
	pthread_mutex_unlock(&fx.mds->state_lock);
	ck_assert_int_eq(atomic_load(&ups), 1);
}

static void
teardown(void)
{
	client_put(fx.mds, client);
	wire_close(&w);
	mds_fixture_stop(&fx);
}

struct result {
	sem_t done;
	int status;
	unsigned times;
};

static void
on_done(struct mds *mds, void *arg, int status)
{
	struct result *res = arg;
	(void)mds;
	res->status = status;
	res->times++;
	sem_post(&res->done);
}

static void
recall(struct result *res, unsigned timeout_ms)
{
	nfs_cb_argop4 arg = { .argop = OP_CB_RECALL_ANY };
	arg.nfs_cb_argop4_u.opcbrecall_any.craa_objects_to_keep = 5;
	memset(res, 0, sizeof *res);
	sem_init(&res->done, 0, 0);
	cb_send(fx.mds, client, &arg, NULL, 0, timeout_ms, on_done, res);
}

static int
wait_done(struct result *res)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += 10;
	ck_assert_int_eq(sem_timedwait(&res->done, &ts), 0);
	ck_assert_uint_eq(res->times, 1);
	return res->status;
}

/* What came as a callback. */
struct came {
	uint32_t xid, minor, count, seqid, op;
};

static struct came
callback(struct wire *wire)
{
	struct came c = { 0 };
	struct compound_header h;
	nfs_cb_argop4 arg;
	XDR x;
	uint32_t v, uid, op;
	uint8_t *p;
	ck_assert(wire_recv(wire));
	arena_reset(&wire->arena);
	ax_init(&x, wire->buf, wire->len, XDR_DECODE, &wire->arena);
	ck_assert(ax_get_u32(&x, &c.xid) && ax_get_u32(&x, &v) && v == 0);
	ck_assert(ax_get_u32(&x, &v) && v == 2 && ax_get_u32(&x, &v) && v == 0x40000000);
	ck_assert(ax_get_u32(&x, &v) && v == 1 && ax_get_u32(&x, &v) && v == 1);
	/* AUTH_SYS as csa_sec_parms had it (PITFALLS C10). */
	ck_assert(ax_get_u32(&x, &v) && v == AUTH_SYS && ax_get_u32(&x, &v) && ax_get_u32(&x, &v));
	ck_assert(ax_get_opaque(&x, &p, &v, 255) && v == 2 && memcmp(p, "me", 2) == 0);
	ck_assert(ax_get_u32(&x, &uid) && uid == 7 && ax_get_u32(&x, &v) && v == 8 && ax_get_u32(&x, &v) && v == 0);
	ck_assert(ax_get_u32(&x, &v) && v == AUTH_NONE && ax_get_u32(&x, &v) && v == 0);
	ck_assert(compound_cb_header_get(&x, &h));
	c.minor = h.minor;
	c.count = h.count;
	ck_assert_int_eq(compound_cb_arg_get(&x, &arg, &op), NFS4_OK);
	ck_assert_uint_eq(op, OP_CB_SEQUENCE);
	const CB_SEQUENCE4args *seq = &arg.nfs_cb_argop4_u.opcbsequence;
	ck_assert_int_eq(memcmp(seq->csa_sessionid, s.id, sizeof s.id), 0);
	ck_assert_uint_eq(seq->csa_slotid, 0);
	c.seqid = seq->csa_sequenceid;
	if (h.count > 1) {
		ck_assert_int_eq(compound_cb_arg_get(&x, &arg, &op), NFS4_OK);
		c.op = op;
	}
	return c;
}

/* Answer: CB_SEQUENCE with SEQ_STATUS, and, if that is OK and there was one, the operation with OP_STATUS. */
static void
answer(struct wire *wire, const struct came *c, nfsstat4 seq_status, nfsstat4 op_status)
{
	uint8_t out[256];
	XDR x;
	bool both = seq_status == NFS4_OK && c->count > 1;
	ax_init(&x, out + 4, sizeof out - 4, XDR_ENCODE, NULL);
	ax_put_u32(&x, c->xid);
	for (unsigned i = 0; i < 5; i++)
		ax_put_u32(&x, i == 0);		/* REPLY, accepted, AUTH_NONE, no verifier, SUCCESS */
	ax_put_u32(&x, (uint32_t)(both ? op_status : seq_status));
	ax_put_u32(&x, 0);
	ax_put_u32(&x, both ? 2 : 1);
	CB_SEQUENCE4res seq = { .csr_status = seq_status };
	memcpy(seq.CB_SEQUENCE4res_u.csr_resok4.csr_sessionid, s.id, sizeof s.id);
	seq.CB_SEQUENCE4res_u.csr_resok4.csr_sequenceid = c->seqid;
	ck_assert(compound_cb_res_put(&x, OP_CB_SEQUENCE, &seq));
	if (both) {
		CB_RECALL_ANY4res res = { .crar_status = op_status };
		ck_assert(compound_cb_res_put(&x, OP_CB_RECALL_ANY, &res));
	}
	uint32_t mark = htobe32(0x80000000u | ax_used(&x));
	memcpy(out, &mark, 4);
	ck_assert_int_gt(send(wire->fd, out, ax_used(&x) + 4, MSG_NOSIGNAL), 0);
}

static void
bind_conn(struct wire *wire, channel_dir_from_client4 dir)
{
	BIND_CONN_TO_SESSION4args args = { .bctsa_dir = dir };
	memcpy(args.bctsa_sessid, s.id, sizeof s.id);
	wire_begin(&call, 1, "");
	wire_op(&call, OP_BIND_CONN_TO_SESSION, &args);
	ck_assert_int_eq(wire_compound(wire, &call, &r), NFS4_OK);
}

static uint32_t
sequence_flags(struct wire *wire)
{
	nfs_resop4 res;
	wire_begin_seq(&call, &s, 0, true, false);
	ck_assert_int_eq(wire_compound(wire, &call, &r), NFS4_OK);
	memset(&res, 0, sizeof res);
	ck_assert_int_eq(compound_res_get(&r, OP_SEQUENCE, &res), 0);
	return res.nfs_resop4_u.opsequence.SEQUENCE4res_u.sr_resok4.sr_status_flags;
}

START_TEST(answers)
{
	struct result a, b;
	recall(&a, 5000);
	recall(&b, 5000);
	struct came c = callback(&w);
	ck_assert_uint_eq(c.seqid, 1);
	ck_assert_uint_eq(c.minor, 1);
	ck_assert_uint_eq(c.op, OP_CB_RECALL_ANY);
	/* The second waits for the first. */
	ck_assert_uint_eq(sequence_flags(&w), 0);
	answer(&w, &c, NFS4_OK, NFS4_OK);
	ck_assert_int_eq(wait_done(&a), NFS4_OK);
	c = callback(&w);
	ck_assert_uint_eq(c.seqid, 2);
	answer(&w, &c, NFS4_OK, NFS4ERR_DELAY);
	ck_assert_int_eq(wait_done(&b), NFS4ERR_DELAY);
	/* The client asks for patience: the same again. */
	recall(&a, 8000);
	c = callback(&w);
	answer(&w, &c, NFS4ERR_DELAY, 0);
	c = callback(&w);
	ck_assert_uint_eq(c.seqid, 3);
	answer(&w, &c, NFS4_OK, NFS4_OK);
	ck_assert_int_eq(wait_done(&a), NFS4_OK);
}
END_TEST

START_TEST(other_connection)
{
	struct result a;
	struct wire w2;
	wire_connect(&w2, fx.port);
	bind_conn(&w2, CDFC4_BACK_OR_BOTH);
	ck_assert_int_eq(atomic_load(&ups), 1);
	recall(&a, 5000);
	struct came c = callback(&w);
	/* The connection breaks: the same request on the other one (RFC 8881 2.10.6.2). */
	close(w.fd);
	struct came again = callback(&w2);
	ck_assert_uint_eq(again.seqid, c.seqid);
	ck_assert_uint_eq(again.count, 2);
	answer(&w2, &again, NFS4_OK, NFS4_OK);
	ck_assert_int_eq(wait_done(&a), NFS4_OK);
	/* It was executed the first time, and its answer is lost: not anybody's answer. */
	arena_destroy(&w.arena);
	w = w2;
	wire_connect(&w2, fx.port);
	bind_conn(&w2, CDFC4_BACK);
	recall(&a, 5000);
	callback(&w);
	close(w.fd);
	again = callback(&w2);
	answer(&w2, &again, NFS4_OK, NFS4ERR_RETRY_UNCACHED_REP);
	ck_assert_int_eq(wait_done(&a), -ECONNRESET);
	arena_destroy(&w.arena);
	w = w2;
}
END_TEST

START_TEST(path_lost)
{
	struct result a;
	recall(&a, 5000);
	struct came c = callback(&w);
	close(w.fd);
	ck_assert_int_eq(wait_done(&a), -ECONNRESET);
	recall(&a, 5000);
	ck_assert_int_eq(wait_done(&a), -ENOTCONN);
	arena_destroy(&w.arena);
	wire_connect(&w, fx.port);
	ck_assert_uint_eq(sequence_flags(&w), SEQ4_STATUS_CB_PATH_DOWN | SEQ4_STATUS_CB_PATH_DOWN_SESSION);
	bind_conn(&w, CDFC4_FORE_OR_BOTH);
	ck_assert_int_eq(atomic_load(&ups), 2);
	ck_assert_uint_eq(sequence_flags(&w), 0);
	/* Has the client seen that sequence ID?  Asked first, with nothing behind it. */
	recall(&a, 5000);
	struct came probe = callback(&w);
	ck_assert_uint_eq(probe.seqid, c.seqid);
	ck_assert_uint_eq(probe.count, 1);
	answer(&w, &probe, NFS4_OK, 0);
	c = callback(&w);
	ck_assert_uint_eq(c.seqid, probe.seqid + 1);
	ck_assert_uint_eq(c.count, 2);
	answer(&w, &c, NFS4_OK, NFS4_OK);
	ck_assert_int_eq(wait_done(&a), NFS4_OK);
}
END_TEST

START_TEST(silence)
{
	struct result a, b;
	recall(&a, 300);
	recall(&b, 200);	/* its time is over before its turn comes: never sent */
	struct came c = callback(&w);
	ck_assert_int_eq(wait_done(&a), -ETIMEDOUT);
	ck_assert_int_eq(wait_done(&b), -ETIMEDOUT);
	/* A late answer is nobody's. */
	answer(&w, &c, NFS4_OK, NFS4_OK);
	recall(&a, 5000);
	c = callback(&w);
	ck_assert_uint_eq(c.count, 1);
	answer(&w, &c, NFS4ERR_RETRY_UNCACHED_REP, 0);
	c = callback(&w);
	ck_assert_uint_eq(c.count, 2);
	ck_assert_uint_eq(c.seqid, 2);
	answer(&w, &c, NFS4_OK, NFS4_OK);
	ck_assert_int_eq(wait_done(&a), NFS4_OK);
}
END_TEST

START_TEST(refused)
{
	struct result a;
	recall(&a, 5000);
	struct came c = callback(&w);
	answer(&w, &c, NFS4ERR_BADSESSION, 0);
	/* It may not have read the answer to CREATE_SESSION: the same again, but not for ever. */
	c = callback(&w);
	ck_assert_uint_eq(c.seqid, 1);
	answer(&w, &c, NFS4_OK, NFS4_OK);
	ck_assert_int_eq(wait_done(&a), NFS4_OK);
	recall(&a, 5000);
	for (unsigned i = 0; i < 4; i++) {
		c = callback(&w);
		ck_assert_uint_eq(c.seqid, 2);
		answer(&w, &c, NFS4ERR_BADSESSION, 0);
	}
	ck_assert_int_eq(wait_done(&a), -ENOTCONN);
	ck_assert_uint_ne(sequence_flags(&w) & SEQ4_STATUS_CB_PATH_DOWN, 0);
	/* Garbage does not hurt either. */
	bind_conn(&w, CDFC4_BACK_OR_BOTH);
	recall(&a, 5000);
	c = callback(&w);
	c.count = 1;
	answer(&w, &c, NFS4_OK, 0);	/* without the second result */
	int status = NFS4ERR_DELAY;
	for (unsigned i = 0; i < 8 && sem_trywait(&a.done) != 0; i++) {
		c = callback(&w);
		c.count = 1;
		answer(&w, &c, NFS4_OK, 0);
		status = -ECONNRESET;
		struct timespec ts = { .tv_nsec = 50000000 };
		nanosleep(&ts, NULL);
	}
	ck_assert_int_eq(status, -ECONNRESET);
	ck_assert_int_eq(a.status, -ECONNRESET);
}
END_TEST

START_TEST(session_destroyed)
{
	struct result a, b;
	struct wire_session first = s, second;
	recall(&a, 5000);
	recall(&b, 5000);
	callback(&w);
	ck_assert_int_eq(wire_create_session(&w, s.clientid, 2, CREATE_SESSION4_FLAG_CONN_BACK_CHAN, NULL, &second), NFS4_OK);
	DESTROY_SESSION4args ds;
	memcpy(ds.dsa_sessionid, first.id, sizeof first.id);
	wire_begin(&call, 1, "");
	wire_op(&call, OP_DESTROY_SESSION, &ds);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4_OK);
	/* What was on its way is lost with the session; what waited goes by the other one. */
	ck_assert_int_eq(wait_done(&a), -ECONNRESET);
	s = second;
	struct came c = callback(&w);
	ck_assert_uint_eq(c.seqid, 1);
	answer(&w, &c, NFS4_OK, NFS4_OK);
	ck_assert_int_eq(wait_done(&b), NFS4_OK);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("cb");
	TCase *tc = tcase_create("all");
	tcase_set_timeout(tc, 40);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, answers);
	tcase_add_test(tc, other_connection);
	tcase_add_test(tc, path_lost);
	tcase_add_test(tc, silence);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, session_destroyed);
	suite_add_tcase(suite, tc);
	SRunner *sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
