/* The client's side of a backchannel (RFC 8881 20.2, 20.9): what is answered to which call.  What would go to the peer is caught here. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "proto/nfs4/cb_channel.h"
#include "proto/nfs4/compound_xdr.h"

static struct cb_channel ch;
static uint8_t answer[1024];
static uint32_t answer_len;
static unsigned answers, runs;
static int admit_says;

void
rpc_peer_send(struct rpc_peer *peer, struct rpc_out *out)
{
	(void)peer;
	ck_assert_uint_le(out->len, sizeof answer);
	memcpy(answer, out->data, out->len);
	answer_len = out->len;
	answers++;
	rpc_out_put(out);
}

static nfsstat4
one_op(struct cb_channel *c, const nfs_cb_argop4 *arg, nfs_cb_resop4 *res)
{
	(void)res;
	ck_assert_ptr_eq(c, &ch);
	runs++;
	return arg->argop == OP_CB_LAYOUTRECALL ? NFS4_OK : NFS4ERR_NOTSUPP;
}

static int
admit(struct cb_channel *c, struct rpc_peer *peer, const struct rpc_call *call, const CB_SEQUENCE4args *seq)
{
	(void)c;
	(void)peer;
	(void)call;
	(void)seq;
	return admit_says;
}

static const struct cb_channel_ops ops = { .op = one_op, .admit = admit };

static void
setup(void)
{
	cb_channel_init(&ch, &ops, NULL);
	memset(ch.session, 7, sizeof ch.session);
	ch.program = 0x40000000;
	ch.minor = 1;
	answers = runs = 0;
	admit_says = NFS4_OK;
}

static void
teardown(void)
{
	cb_channel_destroy(&ch);
}

static void
call_raw(void *args, uint32_t len, uint32_t prog, uint32_t proc)
{
	struct rpc_call call = { .xid = 5, .prog = prog, .vers = NFS_CB, .proc = proc, .args = args, .args_len = len };
	unsigned before = answers;
	cb_channel_call(&ch, NULL, &call);
	ck_assert_uint_eq(answers, before + (admit_says >= 0));
}

struct what {
	uint32_t seq, slot, minor, nops;
	uint8_t session;
	bool no_sequence;
};

/* CB_SEQUENCE and N - 1 recalls of everything; the status of the whole, and results in *count. */
static nfsstat4
run_call(struct what w, uint32_t *count)
{
	uint8_t buf[1024];
	struct compound_call c;
	CB_SEQUENCE4args seq = { .csa_sequenceid = w.seq, .csa_slotid = w.slot, .csa_highest_slotid = w.slot };
	CB_LAYOUTRECALL4args recall = { .clora_type = LAYOUT4_BLOCK_VOLUME, .clora_iomode = LAYOUTIOMODE4_ANY,
		.clora_recall.lor_recalltype = LAYOUTRECALL4_ALL };
	struct compound_results r;
	struct arena arena;
	memset(seq.csa_sessionid, w.session, sizeof seq.csa_sessionid);
	compound_cb_begin(&c, buf, sizeof buf, "tag", w.minor, 0);
	if (!w.no_sequence)
		compound_call_op(&c, OP_CB_SEQUENCE, &seq);
	for (uint32_t i = !w.no_sequence; i < w.nops; i++)
		compound_call_op(&c, OP_CB_LAYOUTRECALL, &recall);
	uint32_t len = compound_call_end(&c);
	ck_assert_uint_gt(len, 0);
	call_raw(buf, len, ch.program, CB_COMPOUND);
	if (admit_says < 0)
		return (nfsstat4)-1;
	arena_init(&arena, 0);
	ck_assert_int_eq(compound_results_begin(&r, answer + RPC_REPLY_HEADER, answer_len - RPC_REPLY_HEADER, &arena), 0);
	*count = r.left;
	nfsstat4 status = r.status;
	arena_destroy(&arena);
	return status;
}

START_TEST(runs_once)
{
	uint32_t n;
	struct what w = { .seq = 1, .session = 7, .minor = 1, .nops = 2 };
	uint8_t first[sizeof answer];
	ck_assert_int_eq(run_call(w, &n), NFS4_OK);
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_eq(runs, 1);
	/* again: the kept answer, nothing is run (2.10.6.1.3) */
	memcpy(first, answer, answer_len);
	uint32_t len = answer_len;
	ck_assert_int_eq(run_call(w, &n), NFS4_OK);
	ck_assert_uint_eq(runs, 1);
	ck_assert_uint_eq(answer_len, len);
	ck_assert(!memcmp(first, answer, len));
	w.seq = 2;
	ck_assert_int_eq(run_call(w, &n), NFS4_OK);
	ck_assert_uint_eq(runs, 2);
	/* another slot counts for itself */
	w.seq = 1;
	w.slot = CB_CHANNEL_SLOTS - 1;
	ck_assert_int_eq(run_call(w, &n), NFS4_OK);
	ck_assert_uint_eq(runs, 3);
}
END_TEST

START_TEST(refused)
{
	static const struct { struct what w; nfsstat4 status; uint32_t results; } bad[] = {
		{ { .seq = 2, .session = 7, .minor = 1, .nops = 2 }, NFS4ERR_SEQ_MISORDERED, 1 },
		{ { .seq = 0, .session = 7, .minor = 1, .nops = 2 }, NFS4ERR_SEQ_MISORDERED, 1 },
		{ { .seq = 1, .session = 8, .minor = 1, .nops = 2 }, NFS4ERR_BADSESSION, 1 },
		{ { .seq = 1, .session = 7, .minor = 1, .nops = 2, .slot = CB_CHANNEL_SLOTS }, NFS4ERR_BADSLOT, 1 },
		{ { .seq = 1, .session = 7, .minor = 2, .nops = 2 }, NFS4ERR_MINOR_VERS_MISMATCH, 0 },
		{ { .seq = 1, .session = 7, .minor = 1, .nops = 2, .no_sequence = true }, NFS4ERR_OP_NOT_IN_SESSION, 0 },
		{ { .seq = 1, .session = 7, .minor = 1, .nops = 17 }, NFS4ERR_TOO_MANY_OPS, 0 },
	};
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		uint32_t n;
		ck_assert_int_eq(run_call(bad[i].w, &n), bad[i].status);
		ck_assert_uint_eq(n, bad[i].results);
		ck_assert_uint_eq(runs, 0);
	}
	/* and none of it has moved a slot */
	uint32_t n;
	ck_assert_int_eq(run_call((struct what){ .seq = 1, .session = 7, .minor = 1, .nops = 2 }, &n), NFS4_OK);
}
END_TEST

/* The owner may put a call off, or keep it: then nothing is answered, and the slot has not moved. */
START_TEST(admitted)
{
	uint32_t n;
	struct what w = { .seq = 1, .session = 7, .minor = 1, .nops = 2 };
	admit_says = NFS4ERR_DELAY;
	ck_assert_int_eq(run_call(w, &n), NFS4ERR_DELAY);
	admit_says = -1;
	run_call(w, &n);
	ck_assert_uint_eq(runs, 0);
	admit_says = NFS4_OK;
	ck_assert_int_eq(run_call(w, &n), NFS4_OK);
	ck_assert_uint_eq(runs, 1);
}
END_TEST

/* RFC 5531: other programs, procedures, the null procedure, garbage. */
START_TEST(rpc_level)
{
	static const struct { uint32_t prog, proc, accept; } calls[] = {
		{ 0x40000000, CB_NULL, 0 }, { 0x40000001, CB_COMPOUND, 1 }, { 0x40000000, 2, 3 }, { 0x40000000, CB_COMPOUND, 4 },
	};
	uint8_t garbage[] = { 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4 };
	for (unsigned i = 0; i < sizeof calls / sizeof calls[0]; i++) {
		uint32_t stat;
		call_raw(garbage, sizeof garbage, calls[i].prog, calls[i].proc);
		memcpy(&stat, answer + 20, 4);
		ck_assert_uint_eq(be32toh(stat), calls[i].accept);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("cb_channel");
	TCase *tc = tcase_create("cb_channel");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, runs_once);
	tcase_add_test(tc, refused);
	tcase_add_test(tc, admitted);
	tcase_add_test(tc, rpc_level);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
