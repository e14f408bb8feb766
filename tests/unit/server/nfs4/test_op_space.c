/* ALLOCATE, DEALLOCATE, SEEK, IO_ADVISE, WRITE_SAME: server/nfs4/op_space.c, op_write_same.c. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "tests/unit/server/nfs4/fake.h"

static nfs_argop4 arg;
static nfs_resop4 res;
static struct fake_node *file;

static void
setup(void)
{
	fake_setup();
	memset(&arg, 0, sizeof arg);
	memset(&res, 0, sizeof res);
	file = fake_file(&fake->node[0], "f", "0123456789");
	fake_cd(file);
}

static nfsstat4
allocate(uint64_t offset, uint64_t length)
{
	arg.nfs_argop4_u.opallocate = (ALLOCATE4args){ .aa_offset = offset, .aa_length = length };
	return op_allocate(&fake->c, &arg, &res);
}

static nfsstat4
deallocate(uint64_t offset, uint64_t length)
{
	arg.nfs_argop4_u.opdeallocate = (DEALLOCATE4args){ .da_offset = offset, .da_length = length };
	return op_deallocate(&fake->c, &arg, &res);
}

static nfsstat4 (*const changes[])(uint64_t, uint64_t) = { allocate, deallocate };

/* All layouts of the range stand in the way, and nothing is done before. */
START_TEST(blocks_in_the_way)
{
	nfsstat4 (*change)(uint64_t, uint64_t) = changes[_i];
	fake->in_way = true;
	ck_assert_int_eq(change(5000, 100), NFS4ERR_DELAY);
	ck_assert(fake->need == LAYOUT_NEED_BLOCKS && fake->need_offset == 5000 && fake->need_length == 100);
	ck_assert_uint_eq(fake->spaces, 0);
	fake->in_way = false;
	ck_assert_int_eq(change(5000, 100), NFS4_OK);
	ck_assert(fake->spaces == 1 && fake->space_offset == 5000 && fake->space_len == 100);
	/* where the kernel would wait for the lease, it is given up before */
	fake->writers_wait = true;
	ck_assert_int_eq(change(5000, 100), NFS4_OK);
	ck_assert_uint_eq(fake->let_go, 1);
	fake->space_err = -ENOSPC;
	ck_assert_int_eq(change(5000, 100), NFS4ERR_NOSPC);
	fake->former_nfsd = fake->grace = true;
	ck_assert_int_eq(change(5000, 100), NFS4ERR_GRACE);
}
END_TEST

START_TEST(change_arguments)
{
	nfsstat4 (*change)(uint64_t, uint64_t) = changes[_i];
	ck_assert_int_eq(change(0, 0), NFS4ERR_INVAL);
	ck_assert_int_eq(change(0, INT64_MAX), NFS4_OK);
	ck_assert_int_eq(change(1, INT64_MAX), NFS4ERR_FBIG);
	ck_assert_int_eq(change(INT64_MAX, 1), NFS4ERR_FBIG);
	ck_assert_int_eq(change(UINT64_MAX, 1), NFS4ERR_FBIG);
	ck_assert_int_eq(change(0, UINT64_MAX), NFS4ERR_FBIG);
	ck_assert_uint_eq(fake->spaces, 1);
	fake->readonly = true;
	ck_assert_int_eq(change(0, 1), NFS4ERR_ROFS);
	fake->readonly = false;
	fake->io_status = NFS4ERR_OPENMODE;
	ck_assert_int_eq(change(0, 1), NFS4ERR_OPENMODE);
	fake->io_status = NFS4_OK;
	fake->by_open = false;
	file->st.stx.stx_mode = S_IFREG | 0400;
	ck_assert_int_eq(change(0, 1), NFS4ERR_ACCESS);
	fake->c.on_loop = true;
	ck_assert_int_eq(change(0, 1), OP_WORKER);
	fake->c.on_loop = false;
	fake_cd(&fake->node[0]);
	ck_assert_int_eq(change(0, 1), NFS4ERR_WRONG_TYPE);	/* 15.1.3, 15.4.3: MUST */
}
END_TEST

static nfsstat4
seek_at(uint64_t offset, data_content4 what)
{
	arg.nfs_argop4_u.opseek = (SEEK4args){ .sa_offset = offset, .sa_what = what };
	return op_seek(&fake->c, &arg, &res);
}

static void
seek_gives(uint64_t offset, data_content4 what, uint64_t found, bool eof)
{
	seek_res4 *ok = &res.nfs_resop4_u.opseek.SEEK4res_u.resok4;
	ck_assert_int_eq(seek_at(offset, what), NFS4_OK);
	ck_assert_uint_eq(ok->sr_offset, found);
	ck_assert_int_eq(ok->sr_eof, eof);
}

START_TEST(seeks)
{
	file->st.stx.stx_size = 1000;
	fake->data[0][0] = 100, fake->data[0][1] = 200;
	fake->data[1][0] = 300, fake->data[1][1] = 400;
	seek_gives(0, NFS4_CONTENT_DATA, 100, false);
	seek_gives(150, NFS4_CONTENT_DATA, 150, false);
	seek_gives(200, NFS4_CONTENT_DATA, 300, false);
	seek_gives(400, NFS4_CONTENT_DATA, 1000, true);	/* OK with sr_eof: not NXIO (15.11.3) */
	seek_gives(0, NFS4_CONTENT_HOLE, 0, false);
	seek_gives(150, NFS4_CONTENT_HOLE, 200, false);
	fake->data[1][1] = 1000;
	seek_gives(300, NFS4_CONTENT_HOLE, 1000, true);	/* the one at the end */
	ck_assert_int_eq(seek_at(1000, NFS4_CONTENT_HOLE), NFS4ERR_NXIO);
	ck_assert_int_eq(seek_at(1000, NFS4_CONTENT_DATA), NFS4ERR_NXIO);
	ck_assert_int_eq(seek_at(UINT64_MAX, NFS4_CONTENT_DATA), NFS4ERR_NXIO);
	ck_assert_int_eq(seek_at(0, 2), NFS4ERR_UNION_NOTSUPP);
	ck_assert_int_eq(seek_at(0, (data_content4)-1), NFS4ERR_UNION_NOTSUPP);
	/* who writes behind the offset is asked for it */
	atomic_store(&file->inode.layouts, 1);
	fake->in_way = true;
	ck_assert_int_eq(seek_at(150, NFS4_CONTENT_HOLE), NFS4ERR_DELAY);
	ck_assert(fake->need == LAYOUT_NEED_READ && fake->need_offset == 150 && fake->need_length == UINT64_MAX);
	atomic_store(&file->inode.layouts, 0);
	fake_cd(&fake->node[0]);
	ck_assert_int_eq(seek_at(0, NFS4_CONTENT_DATA), NFS4ERR_ISDIR);
}
END_TEST

static uint32_t
advise(uint32_t words, uint32_t hints)
{
	bitmap4 *got = &res.nfs_resop4_u.opio_advise.IO_ADVISE4res_u.resok4.ior_hints;
	arg.nfs_argop4_u.opio_advise = (IO_ADVISE4args){ .iaa_offset = 10, .iaa_hints = { words, &hints } };
	ck_assert_int_eq(op_io_advise(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_uint_eq(got->bitmap4_len, 1);
	return got->bitmap4_val[0];
}

START_TEST(advice)
{
	ck_assert_uint_eq(advise(0, 0), 1 << IO_ADVISE4_NORMAL);
	ck_assert_uint_eq(advise(1, 1 << IO_ADVISE4_WILLNEED), 1 << IO_ADVISE4_NORMAL);
	ck_assert_uint_eq(advise(1, 1 << IO_ADVISE4_SEQUENTIAL | 1 << IO_ADVISE4_RANDOM), 1 << IO_ADVISE4_NORMAL);	/* contradictions are no error */
	ck_assert_uint_eq(advise(1, 1 << IO_ADVISE4_DONTNEED), 1 << IO_ADVISE4_DONTNEED);
	ck_assert(fake->space_offset == 10 && fake->space_len == UINT64_MAX - 10);
	fake->io_status = NFS4ERR_OPENMODE;
	ck_assert_uint_eq(advise(1, 0), 1 << IO_ADVISE4_NORMAL);
	fake->io_status = NFS4ERR_BAD_STATEID;
	ck_assert_int_eq(op_io_advise(&fake->c, &arg, &res), NFS4ERR_BAD_STATEID);
}
END_TEST

START_TEST(same)
{
	WRITE_SAME4args *args = &arg.nfs_argop4_u.opwrite_same;
	write_response4 *ok = &res.nfs_resop4_u.opwrite_same.WRITE_SAME4res_u.resok4;
	*args = (WRITE_SAME4args){ .wsa_stable = FILE_SYNC4, .wsa_adb = { .adb_offset = 4096, .adb_block_size = 3000, .adb_block_count = 700,
		.adb_reloff_blocknum = UINT64_MAX, .adb_reloff_pattern = UINT64_MAX } };
	ck_assert_int_eq(op_write_same(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_uint_eq(ok->wr_count, 2100000);
	ck_assert(ok->wr_committed == FILE_SYNC4 && fake->wrote_sync && !ok->wr_callback_id.wr_callback_id_len);
	ck_assert_mem_eq(ok->wr_writeverf, "verifier", 8);
	ck_assert_uint_eq(fake->writes, 3);
	/* a moment's worth, whole blocks */
	args->wsa_adb.adb_block_count = 1000000;
	ck_assert_int_eq(op_write_same(&fake->c, &arg, &res), NFS4_OK);
	ck_assert(ok->wr_count % 3000 == 0 && ok->wr_count <= 16 << 20 && ok->wr_count > (16 << 20) - 3000);
	args->wsa_adb.adb_block_size = 100 << 20;
	ck_assert_int_eq(op_write_same(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_uint_eq(ok->wr_count, 16 << 20);
	args->wsa_adb.adb_block_count = 0;
	ck_assert_int_eq(op_write_same(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_uint_eq(ok->wr_count, 0);
	args->wsa_adb.adb_block_count = 1;
	atomic_store(&file->inode.layouts, 1);
	fake->in_way = true;
	ck_assert_int_eq(op_write_same(&fake->c, &arg, &res), NFS4ERR_DELAY);
	ck_assert(fake->need == LAYOUT_NEED_WRITE && fake->need_offset == 4096 && fake->need_length == 16 << 20);
	atomic_store(&file->inode.layouts, 0);
	args->wsa_stable = 3;
	ck_assert_int_eq(op_write_same(&fake->c, &arg, &res), NFS4ERR_BADXDR);
	args->wsa_stable = UNSTABLE4;
	args->wsa_adb.adb_block_size = 0;
	ck_assert_int_eq(op_write_same(&fake->c, &arg, &res), NFS4ERR_INVAL);
	fake->readonly = true;
	ck_assert_int_eq(op_write_same(&fake->c, &arg, &res), NFS4ERR_ROFS);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("op_space");
	TCase *tc = tcase_create("op_space");
	tcase_add_checked_fixture(tc, setup, fake_teardown);
	tcase_add_loop_test(tc, blocks_in_the_way, 0, 2);
	tcase_add_loop_test(tc, change_arguments, 0, 2);
	tcase_add_test(tc, seeks);
	tcase_add_test(tc, advice);
	tcase_add_test(tc, same);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
