/*
 * LAYOUTCOMMIT by RFC 8881 18.42, 12.5.4 and 12.7.4, RFC 5663 2.3.2, RFC 8154 2.4.2: what is named in it, when; what a refusal, a time-out and a restart of the
 * server make of it.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/client/fixture.h"

static char buf[65536];
static struct pnfs_file *f;

static void
start(unsigned timeout)
{
	fixture_start((struct pnfs_options){ .timeout = timeout });
	f = fixture_open("a", O_RDWR);
}

static void
stop(int status)
{
	ck_assert_int_eq(pnfs_close(f), status);
	fixture_stop();
}

static void
write_at(uint64_t offset, size_t len)
{
	ck_assert_int_eq(pnfs_pwrite(f, buf, len, offset), (ssize_t)len);
}

static const struct fake_commit *
last_commit(void)
{
	ck_assert_uint_gt(atomic_load(&files.ncommits), 0);
	return &files.commits[atomic_load(&files.ncommits) - 1];
}

/* Space that held no data: exactly what was written is named, in order; the size by the last byte written. */
START_TEST(names_what_was_written)
{
	start(0);
	files.file[0].nrw = 1;
	files.file[0].rw[0] = fake_extent(0, 0, FAKE_SPAN, EXTENT_INVALID);
	write_at(16384, 8192);
	write_at(0, 4096);
	write_at(4096, 4096);
	write_at((256 << 10) + 4096, 4096);	/* behind the end: layouts for writing may go there */
	ck_assert_int_eq(pnfs_fsync(f), 0);
	const struct fake_commit *c = last_commit();
	ck_assert_uint_eq(atomic_load(&files.ncommits), 1);
	ck_assert(!c->reclaim);
	ck_assert_uint_eq(c->offset, 0);
	ck_assert_uint_eq(c->last, (256 << 10) + 8191);
	ck_assert_uint_eq(c->offset + c->length, c->last + 1);
	ck_assert_uint_eq(c->n, 3);
	ck_assert_uint_eq(c->ext[0].offset, 0);
	ck_assert_uint_eq(c->ext[0].length, 8192);
	ck_assert_uint_eq(c->ext[1].offset, 16384);
	ck_assert_uint_eq(c->ext[1].length, 8192);
	ck_assert_mem_eq(c->ext[1].device, fake_device, sizeof fake_device);
	ck_assert_uint_eq(atomic_load(&files.file[0].size), (256 << 10) + 8192);
	/* It holds data now: an overwrite names nothing, but is told all the same (mtime). */
	write_at(16384, 4096);
	ck_assert_int_eq(pnfs_fsync(f), 0);
	ck_assert_uint_eq(atomic_load(&files.ncommits), 2);
	ck_assert_uint_eq(last_commit()->n, 0);
	/* And with nothing written nothing is said. */
	ck_assert_int_eq(pnfs_fsync(f), 0);
	ck_assert_uint_eq(atomic_load(&files.ncommits), 2);
	stop(0);
}
END_TEST

/* Each extent of a block layout's update has the device it lies on (RFC 5663 2.3.2), though the file lies on two. */
START_TEST(device_of_each_extent)
{
	start(0);
	struct fake_file *a = &files.file[0];
	a->nrw = 4;
	for (unsigned i = 0; i < 4; i++) {
		a->rw[i] = fake_extent(0, i * 8192, 8192, EXTENT_INVALID);
		a->rw[i].device[15] = i % 2 ? 'B' : 'A';
	}
	write_at(0, 32768);
	ck_assert_int_eq(pnfs_fsync(f), 0);
	unsigned named = 0;
	for (unsigned i = 0; i < atomic_load(&files.ncommits); i++)
		for (unsigned j = 0; j < files.commits[i].n; j++) {
			const struct layout_extent *e = &files.commits[i].ext[j];
			ck_assert_uint_eq(e->length, 8192);
			ck_assert_int_eq(e->device[15], e->offset / 8192 % 2 ? 'B' : 'A');
			named |= 1u << e->offset / 8192;
		}
	ck_assert_uint_eq(named, 15);
	stop(0);
}
END_TEST

/* Refused: what was in space that held no data is lost, and fsync says so, once; data written in place is made durable by COMMIT. */
START_TEST(refused)
{
	start(0);
	files.file[0].nrw = 2;
	files.file[0].rw[0] = fake_extent(0, 0, 8192, EXTENT_READ_WRITE);
	files.file[0].rw[1] = fake_extent(0, 8192, FAKE_SPAN - 8192, EXTENT_INVALID);
	fake_refuse(&files, OP_LAYOUTCOMMIT, NFS4ERR_BADLAYOUT, 1);
	write_at(0, 4096);
	ck_assert_int_eq(pnfs_fsync(f), 0);
	ck_assert_uint_eq(fake_count(&files, OP_COMMIT), 1);
	fake_refuse(&files, OP_LAYOUTCOMMIT, NFS4ERR_BADLAYOUT, 1);
	write_at(8192, 4096);
	ck_assert_int_eq(pnfs_fsync(f), -EIO);
	ck_assert_int_eq(pnfs_fsync(f), 0);
	stop(0);
}
END_TEST

static bool
server_back(void)
{
	return pnfs_fsync(f) == 0;
}

static void
hang_up(void)
{
	atomic_store(&fake.silent, 0);
	pthread_mutex_lock(&fake.lock);
	shutdown(fake.conn, SHUT_RDWR);
	pthread_mutex_unlock(&fake.lock);
}

/* It timed out, so nobody knows whether it was done: the next fsync tells all of it again. */
START_TEST(timed_out_is_told_again)
{
	start(1);
	files.file[0].nrw = 1;
	files.file[0].rw[0] = fake_extent(0, 0, FAKE_SPAN, EXTENT_INVALID);
	write_at(0, 4096);
	write_at(65536, 4096);
	atomic_store(&fake.silent, 1000);
	ck_assert_int_eq(pnfs_fsync(f), -ETIMEDOUT);
	ck_assert_uint_eq(atomic_load(&files.ncommits), 0);
	hang_up();
	ck_assert(fixture_until(server_back, 10000));
	const struct fake_commit *c = last_commit();
	ck_assert_uint_eq(c->n, 2);
	ck_assert_uint_eq(c->ext[0].offset, 0);
	ck_assert_uint_eq(c->ext[1].offset, 65536);
	ck_assert_uint_eq(c->last, 65536 + 4095);
	stop(0);
}
END_TEST

/* ---- after a restart of the server (RFC 8881 12.7.4) ---- */

static void
restart(void)
{
	atomic_store(&fake.forget_client, 1);
	atomic_store(&fake.forget_session, 1);
	struct stat st;
	ck_assert_int_eq(pnfs_fstat(f, &st), 0);
	ck_assert_int_eq(atomic_load(&fake.reclaim_completes), 2);
	ck_assert_uint_eq(fake_last(&files, OP_OPEN)->a, CLAIM_PREVIOUS);
}

/* Written into new space: by LAYOUTCOMMIT with loca_reclaim, by the old stateid, with the device it was on. */
START_TEST(reclaim_new_space)
{
	start(0);
	files.file[0].nrw = 1;
	files.file[0].rw[0] = fake_extent(0, 0, FAKE_SPAN, EXTENT_INVALID);
	write_at(4096, 8192);
	stateid4 old = files.file[0].last_layout;
	restart();
	const struct fake_commit *c = last_commit();
	ck_assert_uint_eq(atomic_load(&files.ncommits), 1);
	ck_assert(c->reclaim);
	ck_assert_mem_eq(c->stateid.other, old.other, sizeof old.other);
	ck_assert_uint_eq(c->n, 1);
	ck_assert_uint_eq(c->ext[0].offset, 4096);
	ck_assert_uint_eq(c->ext[0].length, 8192);
	ck_assert_mem_eq(c->ext[0].device, fake_device, sizeof fake_device);
	ck_assert_int_eq(pnfs_fsync(f), 0);
	ck_assert_uint_eq(atomic_load(&files.ncommits), 1);
	stop(0);
}
END_TEST

/* Growth without new space: the last block was held READ_WRITE and is completed behind the end of the file. */
START_TEST(reclaim_growth)
{
	start(0);
	atomic_store(&files.file[0].size, 5000);
	ck_assert_int_eq(pnfs_close(f), 0);
	f = fixture_open("a", O_RDWR);
	files.file[0].nrw = 2;
	files.file[0].rw[0] = fake_extent(0, 0, 4096, EXTENT_INVALID);
	files.file[0].rw[1] = fake_extent(0, 4096, FAKE_SPAN - 4096, EXTENT_READ_WRITE);
	write_at(0, 4096);		/* it learns that layouts may go past the end */
	ck_assert_int_eq(pnfs_fsync(f), 0);
	ck_assert_uint_eq(fake_count(&files, OP_WRITE), 0);
	unsigned before = atomic_load(&files.ncommits);
	write_at(5000, 1000);
	ck_assert_uint_eq(fake_count(&files, OP_WRITE), 0);
	restart();
	ck_assert_uint_eq(atomic_load(&files.ncommits), before + 1);
	ck_assert(last_commit()->reclaim);
	ck_assert_uint_eq(last_commit()->n, 0);
	ck_assert_uint_eq(last_commit()->last, 5999);
	ck_assert_uint_eq(atomic_load(&files.file[0].size), 6000);
	ck_assert_int_eq(pnfs_fsync(f), 0);
	stop(0);
}
END_TEST

/* The server does not take it: lost, and told; what was written in place is not, and made durable by COMMIT. */
START_TEST(reclaim_refused)
{
	start(0);
	files.file[0].nrw = 1;
	files.file[0].rw[0] = fake_extent(0, 0, FAKE_SPAN, _i ? EXTENT_INVALID : EXTENT_READ_WRITE);
	write_at(4096, 4096);
	fake_refuse(&files, OP_LAYOUTCOMMIT, NFS4ERR_NO_GRACE, 1);
	restart();
	ck_assert_int_eq(pnfs_fsync(f), _i ? -EIO : 0);
	ck_assert_uint_ge(fake_count(&files, OP_COMMIT), 1);
	stop(0);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("layout_commit");
	TCase *t = tcase_create("layout_commit");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, names_what_was_written);
	tcase_add_test(t, device_of_each_extent);
	tcase_add_test(t, refused);
	tcase_add_test(t, timed_out_is_told_again);
	tcase_add_test(t, reclaim_new_space);
	tcase_add_test(t, reclaim_growth);
	tcase_add_loop_test(t, reclaim_refused, 0, 2);
	suite_add_tcase(s, t);
	return fixture_main(s);
}
