/* Callbacks as the session engine takes them (RFC 8881 2.10.6, 20.9): slots, replay, referring calls. */
#include <check.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/client/engine_fixture.h"

static uint32_t
cb_make(uint8_t *buf, uint32_t size, uint32_t slot, uint32_t seqid, uint32_t op, const referring_call_list4 *refer)
{
	struct compound_call c;
	CB_SEQUENCE4args seq = { .csa_sequenceid = seqid, .csa_slotid = slot };
	CB_RECALL_SLOT4args recall = { .rsa_target_highest_slotid = 3 };
	referring_call_list4 list;
	memcpy(seq.csa_sessionid, mds.session, sizeof seq.csa_sessionid);
	if (refer) {
		list = *refer;
		seq.csa_referring_call_lists.csa_referring_call_lists_len = 1;
		seq.csa_referring_call_lists.csa_referring_call_lists_val = &list;
	}
	compound_cb_begin(&c, buf, size, "t", mds.minor, 0);
	compound_call_op(&c, OP_CB_SEQUENCE, &seq);
	if (op == OP_CB_RECALL_SLOT)
		compound_call_op(&c, op, &recall);
	else if (!ax_put_u32(&c.xdrs, op))
		ck_abort();
	else
		c.count++;
	return compound_call_end(&c);
}

static nfsstat4
cb_status(void)
{
	uint32_t word;
	ck_assert_uint_ge(fake.cb_len, 4);
	memcpy(&word, fake.cb_reply, 4);
	return (nfsstat4)be32toh(word);
}

/* The answer taken apart: CB_SEQUENCE's and the other operation's status, and what CB_SEQUENCE says. */
static void
cb_check(uint32_t slot, uint32_t seqid, uint32_t op, nfsstat4 status)
{
	struct compound_results r;
	struct arena arena;
	nfs_cb_resop4 res;
	arena_init(&arena, 0);
	ck_assert_int_eq(compound_results_begin(&r, fake.cb_reply, fake.cb_len, &arena), 0);
	ck_assert_int_eq(r.status, status);
	ck_assert_uint_eq(r.left, 2);
	ck_assert_int_eq(compound_cb_res_get(&r, OP_CB_SEQUENCE, &res), 0);
	const CB_SEQUENCE4res *seq = &res.nfs_cb_resop4_u.opcbsequence;
	ck_assert_int_eq(seq->csr_status, NFS4_OK);
	const CB_SEQUENCE4resok *ok = &seq->CB_SEQUENCE4res_u.csr_resok4;
	ck_assert_mem_eq(ok->csr_sessionid, mds.session, sizeof mds.session);
	ck_assert_uint_eq(ok->csr_sequenceid, seqid);
	ck_assert_uint_eq(ok->csr_slotid, slot);
	ck_assert_uint_eq(ok->csr_highest_slotid, CB_CHANNEL_SLOTS - 1);
	ck_assert_int_eq(compound_cb_res_get(&r, op, &res), 0);
	ck_assert_int_eq(res.nfs_cb_resop4_u.opcbrecall_slot.rsr_status, status);
	ck_assert_uint_eq(ax_left(&r.xdrs), 0);
	arena_destroy(&arena);
}

START_TEST(callback_slots)
{
	uint8_t buf[1024], first[1024];
	uint32_t len = cb_make(buf, sizeof buf, 0, 1, OP_CB_RECALL_SLOT, NULL);
	fake_callback(&fake, buf, len, 5000);
	ck_assert_int_eq(cb_status(), NFS4_OK);
	ck_assert_int_eq(callbacks, 1);
	cb_check(0, 1, OP_CB_RECALL_SLOT, NFS4_OK);
	uint32_t first_len = fake.cb_len;
	memcpy(first, fake.cb_reply, first_len);
	/* A repetition: the same answer, and nothing is done. */
	fake_callback(&fake, buf, len, 5000);
	ck_assert_uint_eq(fake.cb_len, first_len);
	ck_assert_mem_eq(fake.cb_reply, first, first_len);
	ck_assert_int_eq(callbacks, 1);
	len = cb_make(buf, sizeof buf, 0, 5, OP_CB_RECALL_SLOT, NULL);
	fake_callback(&fake, buf, len, 5000);
	ck_assert_int_eq(cb_status(), NFS4ERR_SEQ_MISORDERED);
	len = cb_make(buf, sizeof buf, CB_CHANNEL_SLOTS, 1, OP_CB_RECALL_SLOT, NULL);
	fake_callback(&fake, buf, len, 5000);
	ck_assert_int_eq(cb_status(), NFS4ERR_BADSLOT);
	len = cb_make(buf, sizeof buf, 0, 2, 99, NULL);
	fake_callback(&fake, buf, len, 5000);
	cb_check(0, 2, OP_CB_ILLEGAL, NFS4ERR_OP_ILLEGAL);
	len = cb_make(buf, sizeof buf, 0, 3, OP_CB_RECALLABLE_OBJ_AVAIL, NULL);
	fake_callback(&fake, buf, len, 5000);
	cb_check(0, 3, OP_CB_RECALLABLE_OBJ_AVAIL, NFS4ERR_BADXDR);	/* its arguments are missing */
	len = cb_make(buf, sizeof buf, 1, 1, OP_CB_RECALL_SLOT, NULL);
	buf[len / 2] ^= 0xff;		/* somewhere in the session ID or behind it */
	fake_callback(&fake, buf, len, 5000);
	ck_assert_int_ne(cb_status(), NFS4_OK);
	ck_assert_int_eq(callbacks, 1);
}
END_TEST

/* It refers to a request that is not answered yet: it waits for that, and is done then. */
START_TEST(referring_calls)
{
	uint8_t buf[1024];
	referring_call4 call = { .rc_slotid = 0 };
	referring_call_list4 list = { .rcl_referring_calls = { .rcl_referring_calls_len = 1, .rcl_referring_calls_val = &call } };
	requests_run(1, 0);
	memcpy(list.rcl_sessionid, mds.session, sizeof list.rcl_sessionid);
	call.rc_sequenceid = mds.slots[0].seqid;	/* the next one of slot 0 */
	atomic_store(&fake.silent, 1);
	requests_begin(1, 0);
	for (unsigned i = 0; i < 200 && fake.silent; i++)
		usleep(10000);
	uint32_t len = cb_make(buf, sizeof buf, 2, 1, OP_CB_RECALL_SLOT, &list);
	fake_callback(&fake, buf, len, 300);
	ck_assert_uint_eq(fake.cb_len, 0);
	ck_assert_int_eq(callbacks, 0);
	/* Others are not held up. */
	uint8_t other[1024];
	uint32_t other_len = cb_make(other, sizeof other, 3, 1, OP_CB_RECALL_SLOT, NULL);
	fake_callback(&fake, other, other_len, 5000);
	ck_assert_int_eq(cb_status(), NFS4_OK);
	ck_assert_int_eq(callbacks, 1);
	/* The connection goes, the request is sent again and answered; the callback went with the connection. */
	pthread_mutex_lock(&fake.lock);
	shutdown(fake.conn, SHUT_RDWR);
	pthread_mutex_unlock(&fake.lock);
	requests_end(1);
	ck_assert_int_eq(requests[0].status, 0);
	ck_assert_int_eq(callbacks, 1);
	fake_callback(&fake, buf, len, 5000);
	ck_assert_int_eq(cb_status(), NFS4_OK);
	ck_assert_int_eq(callbacks, 2);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("mds_cb");
	TCase *t = tcase_create("callbacks");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, engine_fixture_setup, engine_fixture_stop);
	tcase_add_test(t, callback_slots);
	tcase_add_test(t, referring_calls);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
