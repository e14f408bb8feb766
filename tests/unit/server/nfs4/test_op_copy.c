/* COPY, CLONE: server/nfs4/op_copy.c, way_take_both() of way.c. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "server/export/export.h"
#include "server/state/session.h"
#include "tests/unit/server/nfs4/fake.h"

static nfs_argop4 arg;
static nfs_resop4 res;
static struct fake_node *src, *dst;

static void
setup(void)
{
	fake_setup();
	memset(&arg, 0, sizeof arg);
	memset(&res, 0, sizeof res);
	src = fake_file(&fake->node[0], "src", "");
	dst = fake_file(&fake->node[0], "dst", "");
	src->st.stx.stx_size = 10000;
	fake_save(src);
	fake_cd(dst);
}

static nfsstat4
do_copy(uint64_t from, uint64_t to, uint64_t count)
{
	memset(&res, 0, sizeof res);
	arg.nfs_argop4_u.opcopy.ca_src_offset = from;
	arg.nfs_argop4_u.opcopy.ca_dst_offset = to;
	arg.nfs_argop4_u.opcopy.ca_count = count;
	return op_copy(&fake->c, &arg, &res);
}

static nfsstat4
do_clone(uint64_t from, uint64_t to, uint64_t count)
{
	arg.nfs_argop4_u.opclone = (CLONE4args){ .cl_src_offset = from, .cl_dst_offset = to, .cl_count = count };
	return op_clone(&fake->c, &arg, &res);
}

static nfsstat4 (*const both[])(uint64_t, uint64_t, uint64_t) = { do_copy, do_clone };

START_TEST(copies)
{
	COPY4resok *ok = &res.nfs_resop4_u.opcopy.COPY4res_u.cr_resok4;
	ck_assert_int_eq(do_copy(100, 5000, 0), NFS4_OK);	/* all that is left */
	ck_assert(fake->copy.src == &src->inode && fake->copy.dst == &dst->inode);
	ck_assert(fake->copy.src_offset == 100 && fake->copy.dst_offset == 5000 && fake->copy.len == 9900);
	ck_assert_uint_eq(ok->cr_response.wr_count, 9900);
	ck_assert(ok->cr_response.wr_committed == UNSTABLE4 && !ok->cr_response.wr_callback_id.wr_callback_id_len);
	ck_assert_mem_eq(ok->cr_response.wr_writeverf, "verifier", 8);
	ck_assert(ok->cr_requirements.cr_consecutive && ok->cr_requirements.cr_synchronous);
	fake->copied = 77;
	ck_assert_int_eq(do_copy(0, 0, 10000), NFS4_OK);
	ck_assert_uint_eq(ok->cr_response.wr_count, 77);
	fake->copied = -ENOSPC;
	ck_assert_int_eq(do_copy(0, 0, 10000), NFS4ERR_NOSPC);
	fake->copied = 0;
	ck_assert_int_eq(do_copy(10000, 0, 0), NFS4_OK);	/* nothing */
	ck_assert_uint_eq(ok->cr_response.wr_count, 0);
	/* a list of source servers: another one is not asked */
	netloc4 other = { 0 };
	arg.nfs_argop4_u.opcopy.ca_source_server.ca_source_server_len = 1;
	arg.nfs_argop4_u.opcopy.ca_source_server.ca_source_server_val = &other;
	ck_assert_int_eq(do_copy(0, 0, 1), NFS4ERR_OFFLOAD_DENIED);
}
END_TEST

#define LARGE (FS_COPY_MOST + 1ull)

START_TEST(goes_on)
{
	COPY4resok *ok = &res.nfs_resop4_u.opcopy.COPY4res_u.cr_resok4;
	struct slot slots[3] = { [2].seqid = 9 };
	struct session session = { .id = "a session", .slots = slots, .nslots = 3 };
	fake->c.session = &session;
	fake->c.slot = &slots[2];
	src->st.stx.stx_size = 100 + LARGE;
	fake->offloads = true;
	arg.nfs_argop4_u.opcopy.ca_synchronous = FALSE;
	ck_assert_int_eq(do_copy(100, 5000, LARGE), NFS4_OK);
	ck_assert(ok->cr_requirements.cr_consecutive && !ok->cr_requirements.cr_synchronous);
	ck_assert_uint_eq(ok->cr_response.wr_callback_id.wr_callback_id_len, 1);
	ck_assert_str_eq(ok->cr_response.wr_callback_id.wr_callback_id_val->other, "offload");
	ck_assert(ok->cr_response.wr_count == 0 && !fake->copy.len);
	ck_assert_mem_eq(ok->cr_response.wr_writeverf, "verifier", 8);
	const struct offload_ask *ask = &fake->offload;
	ck_assert(ask->src == &src->inode && ask->dst == &dst->inode && ask->src_offset == 100 && ask->dst_offset == 5000 && ask->len == LARGE);
	ck_assert_mem_eq(ask->verf, "verifier", 8);
	ck_assert(ask->ref.slot == 2 && ask->ref.seqid == 9);
	ck_assert_mem_eq(ask->ref.session, session.id, NFS4_SESSIONID_SIZE);
	/* small, synchronous, or no room: at once */
	ck_assert_int_eq(do_copy(0, 0, FS_COPY_MOST), NFS4_OK);
	ck_assert(ok->cr_requirements.cr_synchronous && !ok->cr_response.wr_callback_id.wr_callback_id_len && ok->cr_response.wr_count == FS_COPY_MOST);
	arg.nfs_argop4_u.opcopy.ca_synchronous = TRUE;
	ck_assert_int_eq(do_copy(0, 0, LARGE), NFS4_OK);
	ck_assert(ok->cr_requirements.cr_synchronous && ok->cr_response.wr_count == LARGE);
	arg.nfs_argop4_u.opcopy.ca_synchronous = FALSE;
	fake->offloads = false;
	ck_assert_int_eq(do_copy(0, 0, LARGE), NFS4_OK);
	ck_assert(ok->cr_requirements.cr_synchronous && ok->cr_response.wr_count == LARGE);
	fake->c.session = NULL;
	fake->c.slot = NULL;
}
END_TEST

START_TEST(offload_ops)
{
	const OFFLOAD_STATUS4resok *ok = &res.nfs_resop4_u.opoffload_status.OFFLOAD_STATUS4res_u.osr_resok4;
	arg.nfs_argop4_u.opoffload_status.osa_stateid.seqid = 1;
	fake->progress = (struct offload_progress){ .done = 5 };
	ck_assert_int_eq(op_offload_status(&fake->c, &arg, &res), NFS4_OK);
	ck_assert(ok->osr_count == 5 && !ok->osr_complete.osr_complete_len);
	fake->progress = (struct offload_progress){ .done = 7, .complete = true, .status = NFS4ERR_NOSPC };
	ck_assert_int_eq(op_offload_status(&fake->c, &arg, &res), NFS4_OK);
	ck_assert(ok->osr_count == 7 && ok->osr_complete.osr_complete_len == 1 && *ok->osr_complete.osr_complete_val == NFS4ERR_NOSPC);
	ck_assert_int_eq(op_offload_cancel(&fake->c, &arg, &res), NFS4_OK);
	fake->offload_status = NFS4ERR_BAD_STATEID;
	ck_assert_int_eq(op_offload_status(&fake->c, &arg, &res), NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(op_offload_cancel(&fake->c, &arg, &res), NFS4ERR_BAD_STATEID);
}
END_TEST

START_TEST(arguments)
{
	nfsstat4 (*run)(uint64_t, uint64_t, uint64_t) = both[_i];
	ck_assert_int_eq(run(0, 0, 10000), NFS4_OK);
	ck_assert_int_eq(run(0, 0, 10001), NFS4ERR_INVAL);
	ck_assert_int_eq(run(10001, 0, 0), NFS4ERR_INVAL);
	ck_assert_int_eq(run(10000, 0, 1), NFS4ERR_INVAL);
	ck_assert_int_eq(run(1, 0, UINT64_MAX), NFS4ERR_INVAL);
	ck_assert_int_eq(run(0, INT64_MAX - 9999, 10000), NFS4ERR_FBIG);
	ck_assert_int_eq(run(0, INT64_MAX - 10000, 10000), NFS4_OK);
	ck_assert_int_eq(run(0, UINT64_MAX, 0), NFS4ERR_FBIG);
	fake->io_status = NFS4ERR_LOCKED;
	ck_assert_int_eq(run(0, 0, 1), NFS4ERR_LOCKED);
	fake->io_status = NFS4_OK;
	fake->readonly = true;
	ck_assert_int_eq(run(0, 0, 1), NFS4ERR_ROFS);
	fake->readonly = fake->by_open = false;
	src->st.stx.stx_mode = S_IFREG | 0200;
	ck_assert_int_eq(run(0, 0, 1), NFS4ERR_ACCESS);
	fake->by_open = true;
	ck_assert_int_eq(run(0, 0, 1), NFS4_OK);
	/* of another export, where the caller is somebody else: whose open it is was not looked at there */
	fake->c.saved_cred.uid = 65534;
	src->st.stx.stx_mode = S_IFREG | 0600;
	ck_assert_int_eq(run(0, 0, 1), NFS4ERR_ACCESS);
	fake->c.on_loop = true;
	ck_assert_int_eq(run(0, 0, 1), OP_WORKER);
	fake->c.on_loop = false;
	fake_save(&fake->node[0]);
	ck_assert_int_eq(run(0, 0, 1), NFS4ERR_WRONG_TYPE);
	fake_save(src);
	fake_cd(&fake->node[0]);
	ck_assert_int_eq(run(0, 0, 1), NFS4ERR_WRONG_TYPE);
}
END_TEST

/* "current" stateid of the source: the saved one. */
START_TEST(saved_stateid)
{
	arg.nfs_argop4_u.opcopy.ca_src_stateid.seqid = 1;
	ck_assert_int_eq(do_copy(0, 0, 1), NFS4ERR_BAD_STATEID);
	fake->c.saved_sid_valid = true;
	ck_assert_int_eq(do_copy(0, 0, 1), NFS4_OK);
}
END_TEST

static const struct fake_way *
way_of(const struct fake_node *n)
{
	for (unsigned i = 0; i < 8; i++)
		if (fake->ways[i].inode == &n->inode)
			return &fake->ways[i];
	ck_abort_msg("no way was made for %s", n->name);
}

/* One in the way, at whichever file: both are asked for, nothing stays locked (teardown looks), nothing is done. */
START_TEST(in_the_way)
{
	nfsstat4 (*run)(uint64_t, uint64_t, uint64_t) = both[_i & 1];
	struct fake_node *in_way = _i & 2 ? src : dst;
	atomic_store(&src->inode.layouts, 1);
	atomic_store(&dst->inode.layouts, 1);
	fake->in_way = true;
	fake->way_of = &in_way->inode;
	ck_assert_int_eq(run(4096, 8192, 5000), NFS4ERR_DELAY);
	ck_assert(!fake->spaces && !fake->copy.len);
	ck_assert(fake_unlocked(&src->inode) && fake_unlocked(&dst->inode));
	bool clones = run == do_clone;
	const struct fake_way *s = way_of(src), *d = way_of(dst);
	ck_assert_int_eq(s->need, clones ? LAYOUT_NEED_BLOCKS : LAYOUT_NEED_READ);
	ck_assert_int_eq(d->need, LAYOUT_NEED_BLOCKS);
	ck_assert(s->offset == 4096 && d->offset == 8192 && s->length == (clones ? 8192 : 5000) && d->length == s->length);
	fake->in_way = false;
	ck_assert_int_eq(run(4096, 8192, 5000), NFS4_OK);
	ck_assert(fake_unlocked(&src->inode) && fake_unlocked(&dst->inode));
	atomic_store(&src->inode.layouts, 0);
	atomic_store(&dst->inode.layouts, 0);
}
END_TEST

START_TEST(same_file)
{
	src = dst;
	dst->st.stx.stx_size = 40960;
	fake_save(dst);
	ck_assert_int_eq(do_copy(0, 8192, 4096), NFS4ERR_INVAL);	/* 15.2.3 */
	ck_assert_int_eq(do_clone(20480, 4096, 4096), NFS4_OK);
	ck_assert(fake->make_way == 1 && fake->need == LAYOUT_NEED_BLOCKS && fake->need_offset == 4096 && fake->need_length == 20480);
	ck_assert(fake->clone_from == 20480 && fake->space_offset == 4096 && fake->space_len == 4096);
	ck_assert(fake_unlocked(&dst->inode));
}
END_TEST

START_TEST(clone_elsewhere)
{
	static struct export other;
	other = fake_export;
	other.dev++;
	src->inode.export = &other;
	ck_assert_int_eq(do_clone(0, 0, 4096), NFS4ERR_XDEV);
	ck_assert_int_eq(do_copy(0, 0, 4096), NFS4_OK);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("op_copy");
	TCase *tc = tcase_create("op_copy");
	tcase_add_checked_fixture(tc, setup, fake_teardown);
	tcase_add_test(tc, copies);
	tcase_add_test(tc, goes_on);
	tcase_add_test(tc, offload_ops);
	tcase_add_loop_test(tc, arguments, 0, 2);
	tcase_add_test(tc, saved_stateid);
	tcase_add_loop_test(tc, in_the_way, 0, 4);
	tcase_add_test(tc, same_file);
	tcase_add_test(tc, clone_elsewhere);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
