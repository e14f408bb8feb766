/* What answers nfsd's recalls while there is no server (PITFALLS B29): right answers, to whole records, and none to what is no record. */
#include <check.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/nfs4/compound_xdr.h"
#include "proto/rpc/rpc_msg.h"
#include "server/export/kernel_guard.h"

static uint8_t record[8192];		/* with its mark */
static uint32_t record_len;
static int pair[2];
static struct kernel_guard guard;

static void
setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	guard = (struct kernel_guard){ .sock = pair[0] };
}

static void
teardown(void)
{
	close(pair[0]);
	close(pair[1]);
}

static void
mark(uint32_t len, uint32_t last)
{
	for (unsigned i = 0; i < 4; i++)
		record[i] = (uint8_t)((len | last) >> (24 - 8 * i));
	record_len = 4 + len;
}

static void
call_make(uint32_t xid, uint32_t proc, const uint8_t *body, uint32_t len)
{
	struct rpc_cred cred = { .flavor = AUTH_SYS, .uid = 1, .ngids = 2 };
	struct rpc_out *out = rpc_out_get(1024);
	rpc_call_header(out, 0x40000000, NFS_CB, proc, &cred, "a machine");
	ck_assert_uint_le(out->len + len, sizeof record - 4);
	memcpy(record + 4, out->data, out->len);
	for (unsigned i = 0; i < 4; i++)
		record[4 + i] = (uint8_t)(xid >> (24 - 8 * i));
	if (len)
		memcpy(record + 4 + out->len, body, len);
	mark(out->len + len, 0x80000000u);
	rpc_out_put(out);
}

/* CB_SEQUENCE, with referring calls, and a recall if RECALL. */
static void
recall_make(uint32_t xid, bool recall)
{
	static referring_call4 calls[3];
	static referring_call_list4 lists[2] = { { .rcl_referring_calls = { 3, calls } }, { .rcl_referring_calls = { 0, NULL } } };
	CB_SEQUENCE4args seq = { .csa_sequenceid = 77, .csa_slotid = 3, .csa_highest_slotid = 5,
		.csa_referring_call_lists = { 2, lists } };
	CB_LAYOUTRECALL4args args = { .clora_type = LAYOUT4_BLOCK_VOLUME, .clora_recall.lor_recalltype = LAYOUTRECALL4_ALL };
	struct compound_call c;
	uint8_t buf[1024];
	memset(seq.csa_sessionid, 9, sizeof seq.csa_sessionid);
	compound_cb_begin(&c, buf, sizeof buf, "tag", 1, 0);
	compound_call_op(&c, OP_CB_SEQUENCE, &seq);
	if (recall)
		compound_call_op(&c, OP_CB_LAYOUTRECALL, &args);
	uint32_t len = compound_call_end(&c);
	ck_assert_uint_gt(len, 0);
	call_make(xid, CB_COMPOUND, buf, len);
}

/* An answer to XID, by the codec that everybody else uses. */
static void
answer_check(const uint8_t *reply, uint32_t len, uint32_t xid, bool recall)
{
	uint8_t copy[KERNEL_GUARD_REPLY];
	struct rpc_reply rpc;
	uint32_t got;
	enum rpc_msg_type type;
	struct compound_results r;
	struct arena arena;
	nfs_cb_resop4 res;
	memcpy(copy, reply, len);
	ck_assert_int_eq(rpc_msg_type(copy, len, &got, &type), 0);
	ck_assert(type == RPC_MSG_REPLY && got == xid);
	ck_assert_int_eq(rpc_msg_reply(copy, len, &rpc), 0);
	arena_init(&arena, 0);
	ck_assert_int_eq(compound_results_begin(&r, rpc.body, rpc.body_len, &arena), 0);
	ck_assert_int_eq(r.status, recall ? NFS4ERR_DELAY : NFS4_OK);
	ck_assert_int_eq(compound_cb_res_get(&r, OP_CB_SEQUENCE, &res), 0);
	const CB_SEQUENCE4res *seq = &res.nfs_cb_resop4_u.opcbsequence;
	const CB_SEQUENCE4resok *ok = &seq->CB_SEQUENCE4res_u.csr_resok4;
	ck_assert_int_eq(seq->csr_status, NFS4_OK);
	ck_assert_int_eq(ok->csr_sessionid[0], 9);
	ck_assert_int_eq(ok->csr_sessionid[15], 9);
	ck_assert(ok->csr_sequenceid == 77 && ok->csr_slotid == 3 && ok->csr_highest_slotid == 5 && ok->csr_target_highest_slotid == 5);
	if (recall) {
		ck_assert_int_eq(compound_cb_res_get(&r, OP_CB_LAYOUTRECALL, &res), 0);
		ck_assert_int_eq(res.nfs_cb_resop4_u.opcblayoutrecall.clorr_status, NFS4ERR_DELAY);
	}
	ck_assert_uint_eq(r.left, 0);
	arena_destroy(&arena);
}

static bool
readable(int fd)
{
	struct pollfd pfd = { .fd = fd, .events = POLLIN };
	return poll(&pfd, 1, 0) == 1;
}

static void
say(const void *bytes, size_t len)
{
	ck_assert_int_eq(send(pair[1], bytes, len, 0), (ssize_t)len);
}

static void
expect_answer(uint32_t xid, bool recall)
{
	uint8_t reply[4 + KERNEL_GUARD_REPLY];
	ssize_t n = recv(pair[1], reply, sizeof reply, MSG_DONTWAIT);
	ck_assert_int_gt(n, 4);
	ck_assert(reply[0] == 0x80 && reply[3] == n - 4);
	answer_check(reply + 4, (uint32_t)n - 4, xid, recall);
}

START_TEST(answers)
{
	recall_make(0x12345678, true);
	say(record, record_len);
	kernel_guard_serve(&guard);
	expect_answer(0x12345678, true);
	recall_make(6, false);
	say(record, record_len);
	kernel_guard_serve(&guard);
	expect_answer(6, false);
	call_make(7, CB_NULL, NULL, 0);
	say(record, record_len);
	kernel_guard_serve(&guard);
	uint8_t reply[64];
	ck_assert_int_eq(recv(pair[1], reply, sizeof reply, MSG_DONTWAIT), 4 + RPC_REPLY_HEADER);
	ck_assert(!readable(pair[0]));
}
END_TEST

/* What the dead one was waiting for is no call, however long it is; then two recalls at once, one of them in pieces. */
START_TEST(answers_to_the_dead_one)
{
	static uint8_t big[20000];
	big[0] = 0x80, big[2] = (sizeof big - 4) >> 8, big[3] = (sizeof big - 4) & 255;
	big[11] = 1;
	say(big, sizeof big);
	recall_make(8, true);
	say(record, record_len);
	recall_make(9, true);
	say(record, 10);
	for (unsigned i = 0; i < 12; i++)
		kernel_guard_serve(&guard);
	expect_answer(8, true);
	say(record + 10, record_len - 11);
	kernel_guard_serve(&guard);
	ck_assert(!readable(pair[1]));
	say(record + record_len - 1, 1);
	kernel_guard_serve(&guard);
	expect_answer(9, true);
	ck_assert_int_eq(guard.sock, pair[0]);
}
END_TEST

/* The rest of a record that the dead one had begun to read, and other things that are none: silence, and the connection stays open. */
START_TEST(no_record)
{
	static const uint32_t marks[][2] = { { 100, 0 }, { 0, 0x80000000u }, { 0x7fffffff, 0x80000000u }, { KERNEL_GUARD_CALL + 4, 0x80000000u } };
	for (unsigned i = 0; i < 4; i++) {
		recall_make(8, true);
		mark(marks[i][0], marks[i][1]);
		record_len = 200;
		say(record, record_len);
		kernel_guard_serve(&guard);
		ck_assert_int_eq(guard.sock, -1);
		kernel_guard_serve(&guard);
		ck_assert(!readable(pair[1]));
		teardown();
		setup();
	}
}
END_TEST

/* Every call cut short, and with every word made large: an answer or none, nothing read that is not there (ASan). */
START_TEST(cut_and_broken)
{
	uint8_t reply[KERNEL_GUARD_REPLY];
	recall_make(8, true);
	uint32_t len = record_len - 4;
	for (uint32_t n = 0; n < len; n++) {
		uint8_t *copy = malloc(n ? n : 1);
		memcpy(copy, record + 4, n);
		size_t got = kernel_guard_answer(copy, n, reply);
		/* the end of the recall is not looked at */
		ck_assert(got == 0 || n > len - 60);
		free(copy);
	}
	for (uint32_t at = 0; at + 4 <= len; at += 4) {
		uint8_t *copy = malloc(len);
		memcpy(copy, record + 4, len);
		memset(copy + at, 0xff, 4);
		ck_assert_uint_le(kernel_guard_answer(copy, len, reply), sizeof reply);
		free(copy);
	}
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("kernel_guard");
	TCase *tc = tcase_create("kernel_guard");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, answers);
	tcase_add_test(tc, answers_to_the_dead_one);
	tcase_add_test(tc, no_record);
	tcase_add_test(tc, cut_and_broken);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
