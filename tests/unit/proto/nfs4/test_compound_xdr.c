/* COMPOUND frames: the vectors taken apart op by op and put together again; unknown and cut ones. */
#include "../vector.h"

#include <errno.h>

#include "proto/nfs4/compound_xdr.h"

static struct vector v;
static struct arena arena;
static uint8_t out[4096];

static void
setup(void)
{
	arena_init(&arena, 0);
	memset(out, 0xee, sizeof out);
}

static void
teardown(void)
{
	arena_destroy(&arena);
}

/* ---- calls ---- */

static nfs_argop4 args[8];

/* Decode all of a call, encode it again, compare. */
static uint32_t
call_both_ways(const char *name)
{
	XDR x;
	struct compound_header h;
	struct compound_call c;
	uint32_t op;
	vector_load(&v, name);
	ax_init(&x, v.data, v.len, XDR_DECODE, &arena);
	ck_assert(compound_header_get(&x, &h));
	ck_assert_uint_le(h.count, 8);
	compound_call_begin(&c, out, sizeof out, "", h.minor);
	for (uint32_t i = 0; i < h.count; i++) {
		ck_assert_int_eq(compound_arg_get(&x, &args[i], &op), NFS4_OK);
		ck_assert_uint_eq(op, args[i].argop);
		compound_call_op(&c, op, &args[i].nfs_argop4_u);
	}
	ck_assert_uint_eq(ax_left(&x), 0);
	bytes_eq(name, out, compound_call_end(&c), v.data, v.len);
	return h.count;
}

START_TEST(layout_calls)
{
	ck_assert_uint_eq(call_both_ways("call-layoutget"), 3);
	ck_assert_uint_eq(args[0].nfs_argop4_u.opsequence.sa_cachethis, 1);
	LAYOUTGET4args *get = &args[2].nfs_argop4_u.oplayoutget;
	ck_assert_uint_eq(get->loga_minlength, 4096);
	ck_assert_mem_eq(get->loga_stateid.other, "\x19\x02\0\0\0", 5);
	ck_assert_uint_eq(call_both_ways("call-layoutcommit"), 5);
	LAYOUTCOMMIT4args *commit = &args[2].nfs_argop4_u.oplayoutcommit;
	ck_assert(commit->loca_last_write_offset.no_newoffset);
	ck_assert_uint_eq(commit->loca_last_write_offset.newoffset4_u.no_offset, 2097151);
	ck_assert(!commit->loca_time_modify.nt_timechanged);
	ck_assert_uint_eq(commit->loca_layoutupdate.lou_body.lou_body_len, 48);
	/* PITFALLS A2: no offset sent, none to be seen */
	commit = &args[4].nfs_argop4_u.oplayoutcommit;
	ck_assert(!commit->loca_last_write_offset.no_newoffset);
	ck_assert_uint_eq(commit->loca_last_write_offset.newoffset4_u.no_offset, 0);
	ck_assert_int_eq(commit->loca_time_modify.newtime4_u.nt_time.seconds, 1700000000);
	ck_assert_uint_eq(call_both_ways("call-getdeviceinfo"), 2);
	ck_assert_uint_eq(args[1].nfs_argop4_u.opgetdeviceinfo.gdia_notify_types.bitmap4_val[0], 6);
	ck_assert_uint_eq(call_both_ways("call-layoutreturn"), 3);
	ck_assert_uint_eq(args[2].nfs_argop4_u.oplayoutreturn.lora_layoutreturn.lr_returntype,
	    LAYOUTRETURN4_FILE);
}
END_TEST

/* All arms of state_protect4_a are consumed: the operation behind still reads right (PITFALLS C8). */
START_TEST(session_calls)
{
	static const char *const names[] = { "call-exchange-id", "call-exchange-id-mach",
		"call-exchange-id-ssv" };
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(call_both_ways(names[i]), 2);
		EXCHANGE_ID4args *eid = &args[0].nfs_argop4_u.opexchange_id;
		ck_assert_int_eq((int)eid->eia_state_protect.spa_how, i);
		ck_assert_uint_eq(eid->eia_client_impl_id.eia_client_impl_id_len, 1);
		ck_assert_uint_eq(args[1].nfs_argop4_u.opdestroy_clientid.dca_clientid, 0xfeedface);
	}
	ssv_sp_parms4 *ssv = &args[0].nfs_argop4_u.opexchange_id.eia_state_protect.state_protect4_a_u.spa_ssv_parms;
	ck_assert_uint_eq(ssv->ssp_window, 128);
	ck_assert_uint_eq(ssv->ssp_hash_algs.ssp_hash_algs_len, 1);
	ck_assert_uint_eq(call_both_ways("call-create-session"), 1);
	CREATE_SESSION4args *csa = &args[0].nfs_argop4_u.opcreate_session;
	ck_assert_uint_eq(csa->csa_sec_parms.csa_sec_parms_len, 2);
	ck_assert_str_eq(csa->csa_sec_parms.csa_sec_parms_val[1].callback_sec_parms4_u.cbsp_sys_cred.machinename,
	    "client-1");
}
END_TEST

/* Every call cut at every word: BADXDR or short header, and nothing read past the end. */
START_TEST(cut_calls)
{
	static const char *const names[] = { "call-layoutget", "call-layoutcommit",
		"call-getdeviceinfo", "call-layoutreturn", "call-exchange-id-ssv", "call-create-session" };
	for (unsigned i = 0; i < sizeof names / sizeof *names; i++) {
		vector_load(&v, names[i]);
		for (uint32_t len = 0; len < v.len; len += 4) {
			uint8_t *copy = malloc(len + 1);
			XDR x;
			struct compound_header h;
			uint32_t op, n = 0;
			nfsstat4 status = NFS4_OK;
			memcpy(copy, v.data, len);
			ax_init(&x, copy, len, XDR_DECODE, &arena);
			if (compound_header_get(&x, &h)) {
				while (status == NFS4_OK && n < h.count) {
					status = compound_arg_get(&x, &args[0], &op);
					n++;
				}
				ck_assert_int_eq(status, NFS4ERR_BADXDR);
			}
			free(copy);
			arena_reset(&arena);
		}
	}
}
END_TEST

START_TEST(unknown_operation)
{
	XDR x;
	struct compound_header h;
	uint32_t op;
	nfs_resop4 res;
	vector_load(&v, "call-layoutget");
	ax_init(&x, v.data, v.len, XDR_DECODE, &arena);
	ck_assert(compound_header_get(&x, &h));
	ck_assert_int_eq(compound_arg_get(&x, &args[0], &op), NFS4_OK);
	static const uint32_t bad[] = { 0, 1, 2, OP_REMOVEXATTR + 1, 1000, OP_ILLEGAL, UINT32_MAX };
	for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
		uint32_t be = htobe32(bad[i]);
		XDR y = x;
		memcpy(ax_pos(&y), &be, 4);
		ck_assert_int_eq(compound_arg_get(&y, &args[1], &op), NFS4ERR_OP_ILLEGAL);
		ck_assert_uint_eq(op, bad[i]);
		ck_assert_int_eq(args[1].argop, OP_ILLEGAL);
	}
	/* and its result (RFC 8881 18.52) */
	memset(&res, 0, sizeof res);
	res.nfs_resop4_u.opillegal.status = NFS4ERR_OP_ILLEGAL;
	ax_init(&x, out, sizeof out, XDR_ENCODE, NULL);
	ck_assert(compound_res_put(&x, 1000, &res.nfs_resop4_u));
	static const uint8_t want[] = { 0, 0, 0x27, 0x3c, 0, 0, 0x27, 0x3c };
	bytes_eq("ILLEGAL", out, ax_used(&x), want, sizeof want);
}
END_TEST

START_TEST(no_room)
{
	uint32_t n = call_both_ways("call-layoutcommit");
	for (uint32_t room = 0; room < v.len; room++) {
		struct compound_call c;
		compound_call_begin(&c, out, room, "", 1);
		for (uint32_t i = 0; i < n; i++)
			compound_call_op(&c, args[i].argop, &args[i].nfs_argop4_u);
		ck_assert_uint_eq(compound_call_end(&c), 0);
		ck_assert_ptr_null(compound_call_raw(&c, OP_GETFH));
	}
}
END_TEST

/* ---- replies ---- */

static void
reply_both_ways(const char *name, const uint32_t *ops, nfs_resop4 *res)
{
	struct compound_results r;
	struct compound_reply w;
	XDR x;
	uint32_t n = 0;
	vector_load(&v, name);
	ck_assert_int_eq(compound_results_begin(&r, v.data, v.len, &arena), 0);
	ax_init(&x, out, sizeof out, XDR_ENCODE, NULL);
	ck_assert(compound_reply_begin(&w, &x, &r.tag));
	for (; r.left; n++) {
		ck_assert_int_eq(compound_res_get(&r, ops[n], &res[n]), 0);
		ck_assert(compound_res_put(&x, ops[n], &res[n].nfs_resop4_u));
	}
	ck_assert_int_eq(compound_res_get(&r, ops[n], &res[n]), -ENODATA);
	ck_assert_uint_eq(ax_left(&r.xdrs), 0);
	compound_reply_end(&w, r.status, n);
	bytes_eq(name, out, ax_used(&x), v.data, v.len);
}

START_TEST(replies)
{
	nfs_resop4 res[4];
	reply_both_ways("reply-layoutget", (const uint32_t[]){ OP_SEQUENCE, OP_PUTFH, OP_LAYOUTGET, 0 }, res);
	LAYOUTGET4resok *get = &res[2].nfs_resop4_u.oplayoutget.LAYOUTGET4res_u.logr_resok4;
	ck_assert(get->logr_return_on_close);
	ck_assert_uint_eq(get->logr_layout.logr_layout_val[0].lo_content.loc_body.loc_body_len, 48);
	reply_both_ways("reply-getdeviceinfo", (const uint32_t[]){ OP_SEQUENCE, OP_GETDEVICEINFO, 0 }, res);
	reply_both_ways("reply-getdeviceinfo-toosmall", (const uint32_t[]){ OP_SEQUENCE, OP_GETDEVICEINFO, 0 }, res);
	ck_assert_uint_eq(res[1].nfs_resop4_u.opgetdeviceinfo.GETDEVICEINFO4res_u.gdir_mincount, 72);
	reply_both_ways("reply-layoutreturn", (const uint32_t[]){ OP_SEQUENCE, OP_PUTFH, OP_LAYOUTRETURN, 0 }, res);
	reply_both_ways("reply-readdir", (const uint32_t[]){ OP_SEQUENCE, OP_PUTFH, OP_READDIR, 0 }, res);
}
END_TEST

START_TEST(wrong_replies)
{
	struct compound_results r;
	nfs_resop4 res;
	vector_load(&v, "reply-layoutget");
	ck_assert_int_eq(compound_results_begin(&r, v.data, v.len, &arena), 0);
	ck_assert_int_eq(compound_res_get(&r, OP_PUTFH, &res), -EBADMSG);
	for (uint32_t len = 0; len < v.len; len += 4) {
		uint8_t *copy = malloc(len + 1);
		memcpy(copy, v.data, len);
		int err = compound_results_begin(&r, copy, len, &arena);
		static const uint32_t ops[] = { OP_SEQUENCE, OP_PUTFH, OP_LAYOUTGET };
		for (int i = 0; i < 3 && !err; i++)
			err = compound_res_get(&r, ops[i], &res);
		ck_assert_int_eq(err, -EBADMSG);
		free(copy);
	}
	/* an answer of OP_ILLEGAL to what we have asked */
	static uint8_t illegal[] = { 0, 0, 0x27, 0x3c, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0x27, 0x3c, 0, 0, 0x27, 0x3c };
	ck_assert_int_eq(compound_results_begin(&r, illegal, sizeof illegal, &arena), 0);
	ck_assert_int_eq(compound_res_get(&r, OP_CLONE, &res), 0);
	ck_assert_int_eq(res.nfs_resop4_u.opclone.cl_status, NFS4ERR_OP_ILLEGAL);
}
END_TEST

START_TEST(callbacks)
{
	XDR x;
	struct compound_header h;
	struct compound_call c;
	nfs_cb_argop4 cb[2];
	nfs_cb_resop4 res[2];
	struct compound_results r;
	struct compound_reply w;
	uint32_t op;
	vector_load(&v, "cb-call-layoutrecall");
	ax_init(&x, v.data, v.len, XDR_DECODE, &arena);
	ck_assert(compound_cb_header_get(&x, &h));
	ck_assert_uint_eq(h.count, 2);
	compound_cb_begin(&c, out, sizeof out, "", h.minor, h.callback_ident);
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(compound_cb_arg_get(&x, &cb[i], &op), NFS4_OK);
		compound_call_op(&c, op, &cb[i].nfs_cb_argop4_u);
	}
	bytes_eq("CB_LAYOUTRECALL", out, compound_call_end(&c), v.data, v.len);
	ck_assert_uint_eq(cb[0].nfs_cb_argop4_u.opcbsequence.csa_referring_call_lists.csa_referring_call_lists_len, 1);
	CB_LAYOUTRECALL4args *recall = &cb[1].nfs_cb_argop4_u.opcblayoutrecall;
	ck_assert_int_eq(recall->clora_type, LAYOUT4_BLOCK_VOLUME);
	ck_assert_uint_eq(recall->clora_recall.layoutrecall4_u.lor_layout.lor_stateid.seqid, 3);
	uint32_t bad = htobe32(72);
	ax_init(&x, &bad, 4, XDR_DECODE, &arena);
	ck_assert_int_eq(compound_cb_arg_get(&x, &cb[0], &op), NFS4ERR_OP_ILLEGAL);

	vector_load(&v, "cb-reply-layoutrecall");
	ck_assert_int_eq(compound_results_begin(&r, v.data, v.len, &arena), 0);
	ck_assert_int_eq(r.status, NFS4ERR_NOMATCHING_LAYOUT);
	ck_assert_int_eq(compound_cb_res_get(&r, OP_CB_SEQUENCE, &res[0]), 0);
	ck_assert_int_eq(compound_cb_res_get(&r, OP_CB_LAYOUTRECALL, &res[1]), 0);
	ck_assert_int_eq(res[1].nfs_cb_resop4_u.opcblayoutrecall.clorr_status, NFS4ERR_NOMATCHING_LAYOUT);
	ax_init(&x, out, sizeof out, XDR_ENCODE, NULL);
	ck_assert(compound_reply_begin(&w, &x, &r.tag));
	ck_assert(compound_cb_res_put(&x, OP_CB_SEQUENCE, &res[0].nfs_cb_resop4_u));
	ck_assert(compound_cb_res_put(&x, OP_CB_LAYOUTRECALL, &res[1].nfs_cb_resop4_u));
	compound_reply_end(&w, r.status, 2);
	bytes_eq("CB reply", out, ax_used(&x), v.data, v.len);
}
END_TEST

/* Each row of the table: zeroed results of an error are 4 bytes, or what the RFC gives an error besides. */
START_TEST(table)
{
	unsigned rows = 0;
	for (uint32_t op = 0; op < 100; op++) {
		const struct op_xdr *row = nfs4_op_xdr(op);
		ck_assert_int_eq(row != NULL, op >= OP_ACCESS && op <= OP_REMOVEXATTR);
		if (!row)
			continue;
		ck_assert_ptr_nonnull(row->args);
		ck_assert_ptr_nonnull(row->res);
		nfs_resop4 res;
		memset(&res, 0, sizeof res);
		res.nfs_resop4_u.opillegal.status = NFS4ERR_SERVERFAULT;
		XDR x;
		ax_init(&x, out, sizeof out, XDR_ENCODE, NULL);
		ck_assert(compound_res_put(&x, op, &res.nfs_resop4_u));
		uint32_t status;
		memcpy(&status, out + 4, 4);
		ck_assert_msg(be32toh(status) == NFS4ERR_SERVERFAULT, "%s", row->name);
		/* SETATTR has its mask, TEST_STATEID and others nothing: never more than 8 */
		ck_assert_msg(ax_used(&x) <= 12, "%s: %u", row->name, ax_used(&x));
		rows++;
	}
	ck_assert_uint_eq(rows, OP_REMOVEXATTR - OP_ACCESS + 1);
	for (uint32_t op = 0; op < 100; op++)
		ck_assert_int_eq(nfs4_cb_op_xdr(op) != NULL, op >= OP_CB_GETATTR && op <= OP_CB_OFFLOAD);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("nfs4/compound_xdr");
	TCase *tc = tcase_create("compound");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, layout_calls);
	tcase_add_test(tc, session_calls);
	tcase_add_test(tc, cut_calls);
	tcase_add_test(tc, unknown_operation);
	tcase_add_test(tc, no_room);
	tcase_add_test(tc, replies);
	tcase_add_test(tc, wrong_replies);
	tcase_add_test(tc, callbacks);
	tcase_add_test(tc, table);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
