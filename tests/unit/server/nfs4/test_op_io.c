/* READ, WRITE, COMMIT: server/nfs4/op_io.c, way.c. */
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
read_at(uint64_t offset, uint32_t count)
{
	arg.nfs_argop4_u.opread = (READ4args){ .offset = offset, .count = count };
	return op_read(&fake->c, &arg, &res);
}

static void
read_gives(uint64_t offset, uint32_t count, const char *data, bool eof)
{
	READ4resok *ok = &res.nfs_resop4_u.opread.READ4res_u.resok4;
	ck_assert_int_eq(read_at(offset, count), NFS4_OK);
	ck_assert_uint_eq(ok->data.data_len, strlen(data));
	ck_assert_mem_eq(ok->data.data_val, data, strlen(data));
	ck_assert_int_eq(ok->eof, eof);
	/* It stands where the generated code will put it. */
	ck_assert_ptr_eq(ok->data.data_val, fake->reply + 16);
}

START_TEST(read_eof)
{
	read_gives(0, 9, "012345678", false);
	read_gives(0, 10, "0123456789", true);
	read_gives(0, 11, "0123456789", true);
	read_gives(9, 1, "9", true);
	read_gives(8, 1, "8", false);
	read_gives(10, 1, "", true);
	read_gives(11, 1, "", true);
	read_gives(5, 0, "", false);
	read_gives(10, 0, "", true);
	read_gives(UINT64_MAX, 100, "", true);
	read_gives(INT64_MAX, UINT32_MAX, "", true);
	read_gives(INT64_MAX - 1, UINT32_MAX, "", true);
	file->st.stx.stx_size = 0;
	read_gives(0, 10, "", true);
}
END_TEST

START_TEST(read_room)
{
	fake->room = 8 + 5;	/* 4 bytes of data: the padding has to fit too */
	read_gives(0, 10, "0123", false);
	fake->room = 7;
	ck_assert_int_eq(read_at(0, 10), NFS4ERR_REP_TOO_BIG);
}
END_TEST

START_TEST(read_types)
{
	static const struct { mode_t type; nfsstat4 status; } types[] = { { S_IFDIR, NFS4ERR_ISDIR },
		{ S_IFLNK, NFS4ERR_SYMLINK }, { S_IFBLK, NFS4ERR_WRONG_TYPE }, { S_IFIFO, NFS4ERR_WRONG_TYPE } };
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		fake_cd(fake_add(&fake->node[0], "x", types[i].type | 0777));
		ck_assert_int_eq(read_at(0, 1), types[i].status);
		ck_assert_int_eq(op_commit(&fake->c, &arg, &res), types[i].status);
	}
}
END_TEST

/* On a loop nothing blocks and nothing changes before OP_WORKER. */
START_TEST(read_on_loop)
{
	fake->c.on_loop = true;
	read_gives(0, 5, "01234", false);
	ck_assert(fake->read_nowait);
	fake->read_err = -EAGAIN;
	ck_assert_int_eq(read_at(0, 5), OP_WORKER);
	fake->read_err = 0;
	pthread_rwlock_wrlock(&file->inode.io_lock);
	ck_assert_int_eq(read_at(0, 5), OP_WORKER);
	pthread_rwlock_unlock(&file->inode.io_lock);
	atomic_store(&file->inode.layouts, 1);
	ck_assert_int_eq(read_at(0, 5), OP_WORKER);
	ck_assert_uint_eq(fake->make_way, 0);
	fake->c.on_loop = false;
	read_gives(0, 5, "01234", false);
	ck_assert(fake->read_coherent);
	ck_assert(!fake->read_nowait);
	ck_assert_uint_eq(fake->make_way, 1);
}
END_TEST

START_TEST(in_the_way)
{
	atomic_store(&file->inode.layouts, 1);
	fake->in_way = true;
	ck_assert_int_eq(read_at(3, 5), NFS4ERR_DELAY);
	ck_assert_int_eq(fake->need, LAYOUT_NEED_READ);
	ck_assert_uint_eq(fake->need_offset, 3);
	ck_assert_uint_eq(fake->need_length, 5);
	arg.nfs_argop4_u.opwrite = (WRITE4args){ .offset = 7, .data = { 3, (char *)"abc" } };
	ck_assert_int_eq(op_write(&fake->c, &arg, &res), NFS4ERR_DELAY);
	ck_assert_int_eq(fake->need, LAYOUT_NEED_WRITE);
	ck_assert_uint_eq(fake->need_offset, 7);
	ck_assert_uint_eq(fake->writes, 0);
}
END_TEST

/* Without an open the mode decides. */
START_TEST(rights)
{
	fake->by_open = false;
	file->st.stx.stx_mode = S_IFREG | 0400;
	read_gives(0, 1, "0", false);
	arg.nfs_argop4_u.opwrite = (WRITE4args){ .data = { 3, (char *)"abc" } };
	ck_assert_int_eq(op_write(&fake->c, &arg, &res), NFS4ERR_ACCESS);
	file->st.stx.stx_mode = S_IFREG | 0200;
	ck_assert_int_eq(read_at(0, 1), NFS4ERR_ACCESS);
	fake->by_open = true;
	read_gives(0, 1, "0", false);
	fake->io_status = NFS4ERR_LOCKED;
	ck_assert_int_eq(read_at(0, 1), NFS4ERR_LOCKED);
}
END_TEST

START_TEST(writes)
{
	static const stable_how4 hows[] = { UNSTABLE4, DATA_SYNC4, FILE_SYNC4 };
	WRITE4args *args = &arg.nfs_argop4_u.opwrite;
	WRITE4resok *ok = &res.nfs_resop4_u.opwrite.WRITE4res_u.resok4;
	for (int i = 0; i < 3; i++) {
		*args = (WRITE4args){ .offset = 4, .stable = hows[i], .data = { 3, (char *)"abc" } };
		ck_assert_int_eq(op_write(&fake->c, &arg, &res), NFS4_OK);
		ck_assert_uint_eq(ok->count, 3);
		ck_assert_int_eq(ok->committed, hows[i]);
		ck_assert(fake->wrote_sync == (hows[i] != UNSTABLE4));
		ck_assert_mem_eq(ok->writeverf, "verifier", 8);
	}
	args->stable = 3;
	ck_assert_int_eq(op_write(&fake->c, &arg, &res), NFS4ERR_BADXDR);
	args->stable = UNSTABLE4;
	args->data.data_len = 0;
	fake->writes = 0;
	ck_assert_int_eq(op_write(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_uint_eq(ok->count, 0);
	ck_assert_uint_eq(fake->writes, 0);
	args->data.data_len = 3;
	args->offset = INT64_MAX - 2;
	ck_assert_int_eq(op_write(&fake->c, &arg, &res), NFS4ERR_FBIG);
	args->offset = INT64_MAX - 3;
	ck_assert_int_eq(op_write(&fake->c, &arg, &res), NFS4_OK);
	args->offset = UINT64_MAX;
	ck_assert_int_eq(op_write(&fake->c, &arg, &res), NFS4ERR_FBIG);
	args->offset = 0;
	fake->readonly = true;
	ck_assert_int_eq(op_write(&fake->c, &arg, &res), NFS4ERR_ROFS);
	fake->c.on_loop = true;
	ck_assert_int_eq(op_write(&fake->c, &arg, &res), OP_WORKER);
}
END_TEST

/*
 * The kernel may guard the file for clients of before a restart: a write would wait there, so it is not begun, in grace (8.4.2.1) and as long after as it takes.
 * To read is no harm.
 */
START_TEST(write_guarded)
{
	nfs_argop4 reading = { .nfs_argop4_u.opread = { .offset = 0, .count = 1 } };
	arg.nfs_argop4_u.opwrite = (WRITE4args){ .offset = 4, .stable = UNSTABLE4, .data = { 3, (char *)"abc" } };
	fake->former_nfsd = fake->grace = true;
	ck_assert_int_eq(op_write(&fake->c, &arg, &res), NFS4ERR_GRACE);
	fake->grace = false;
	ck_assert_int_eq(op_write(&fake->c, &arg, &res), NFS4ERR_DELAY);
	ck_assert_uint_eq(fake->writes, 0);
	ck_assert(fake_unlocked(fake->c.cur));
	ck_assert_int_eq(op_read(&fake->c, &reading, &res), NFS4_OK);
	fake->former_nfsd = false;
	ck_assert_int_eq(op_write(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_uint_eq(fake->writes, 1);
}
END_TEST

/* Where a write waits in the kernel for the lease behind layouts: it is given up first, with nobody else at the file. */
START_TEST(write_waits)
{
	arg.nfs_argop4_u.opwrite = (WRITE4args){ .offset = 4, .stable = UNSTABLE4, .data = { 3, (char *)"abc" } };
	fake->writers_wait = true;
	ck_assert_int_eq(op_write(&fake->c, &arg, &res), NFS4_OK);
	ck_assert(fake->let_go == 0 && fake->writes == 1);	/* no lease */
	atomic_store(&fake->c.cur->layouts, 1);
	ck_assert_int_eq(op_write(&fake->c, &arg, &res), NFS4_OK);
	ck_assert(fake->let_go == 1 && fake->writes == 2);
	fake->in_way = true;
	ck_assert_int_eq(op_write(&fake->c, &arg, &res), NFS4ERR_DELAY);
	ck_assert(fake->let_go == 1 && fake->writes == 2);
	atomic_store(&fake->c.cur->layouts, 0);
}
END_TEST

/* PITFALLS E11: a failed flush changes the verifier, for everybody. */
START_TEST(commit_verifier)
{
	COMMIT4resok *ok = &res.nfs_resop4_u.opcommit.COMMIT4res_u.resok4;
	ck_assert_int_eq(op_commit(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_mem_eq(ok->writeverf, "verifier", 8);
	fake->commit_err = -EIO;
	ck_assert_int_eq(op_commit(&fake->c, &arg, &res), NFS4ERR_IO);
	fake->commit_err = 0;
	ck_assert_int_eq(op_commit(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_mem_ne(ok->writeverf, "verifier", 8);
	arg.nfs_argop4_u.opwrite = (WRITE4args){ .data = { 3, (char *)"abc" } };
	verifier4 changed;
	memcpy(changed, ok->writeverf, sizeof changed);
	ck_assert_int_eq(op_write(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_mem_eq(res.nfs_resop4_u.opwrite.WRITE4res_u.resok4.writeverf, changed, 8);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("op_io");
	TCase *tc = tcase_create("op_io");
	tcase_add_checked_fixture(tc, setup, fake_teardown);
	tcase_add_test(tc, read_eof);
	tcase_add_test(tc, read_room);
	tcase_add_test(tc, read_types);
	tcase_add_test(tc, read_on_loop);
	tcase_add_test(tc, in_the_way);
	tcase_add_test(tc, rights);
	tcase_add_test(tc, writes);
	tcase_add_test(tc, write_guarded);
	tcase_add_test(tc, write_waits);
	tcase_add_test(tc, commit_verifier);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
