/*
 * Reads and writes by what pnfs.h and the RFCs promise: pread()'s counts, edges, holes, the lease, lost connections, failing devices, time-outs.
 * The server is fake_file.h's; blind to how io.c does it, but for the device's script.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/client/fixture.h"

static uint8_t out[65536], in[65536];

static void
fill(uint8_t seed)
{
	for (size_t i = 0; i < sizeof out; i++)
		out[i] = (uint8_t)(seed + i * 7 + i / 251);
}

static const char *reason;
static unsigned nreasons;

static int
note(const struct pnfs_fallback *fb, void *arg)
{
	(void)arg;
	reason = fb->reason;
	nreasons++;
	return 0;
}

static void
reasons(struct pnfs_file *f)
{
	reason = "";
	nreasons = 0;
	pnfs_fallbacks(f, note, NULL);
}

static struct pnfs_stats
stats(void)
{
	struct pnfs_stats s;
	pnfs_get_stats(mount, &s);
	return s;
}

/* ---- counts ---- */

/* "short only at the end of the file", and nothing behind it is touched. */
START_TEST(eof_tail)
{
	fixture_start((struct pnfs_options){ 0 });
	atomic_store(&files.file[0].size, 10000);
	fill(1);
	fake_poke(&files, 0, 0, out, sizeof out);
	struct pnfs_file *f = fixture_open("a", O_RDONLY);
	memset(in, 0xee, sizeof in);
	ck_assert_int_eq(pnfs_pread(f, in, 8192, 4096), 10000 - 4096);
	ck_assert_mem_eq(in, out + 4096, 10000 - 4096);
	for (unsigned i = 10000 - 4096; i < 8192; i++)
		ck_assert_uint_eq(in[i], 0xee);
	ck_assert_int_eq(pnfs_pread(f, in, 100, 9950), 50);
	ck_assert_int_eq(pnfs_pread(f, in, 100, 10000), 0);
	ck_assert_int_eq(pnfs_pread(f, in, 100, 1u << 30), 0);
	ck_assert_uint_eq(stats().mds_read, 0);
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
}
END_TEST

/* Somebody cut the file under a read through the server: a short count, no invented zeros. */
START_TEST(shrunk_under_read)
{
	fixture_start((struct pnfs_options){ .direct = PNFS_DIRECT_NEVER });
	fill(2);
	fake_poke(&files, 0, 0, out, sizeof out);
	struct pnfs_file *f = fixture_open("a", O_RDONLY);
	memset(in, 0xee, sizeof in);
	atomic_store(&files.read_eof, 5000);
	atomic_store(&files.read_short, 1);
	ck_assert_int_eq(pnfs_pread(f, in, 16384, 0), 5000);
	ck_assert_mem_eq(in, out, 5000);
	ck_assert_uint_eq(in[5000], 0xee);
	/* All behind the new end: nothing. */
	atomic_store(&files.read_short, 1);
	ck_assert_int_eq(pnfs_pread(f, in, 4096, 8192), 0);
	ck_assert_int_eq(pnfs_pread(f, in, 16384, 0), 16384);
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
}
END_TEST

/* ---- extents ---- */

/* Short extents, holes among them: each byte is where its extent says, holes read as zeros, nothing through the server. */
START_TEST(short_extents)
{
	fixture_start((struct pnfs_options){ 0 });
	struct fake_file *a = &files.file[0];
	fill(3);
	fake_poke(&files, 0, 0, out, sizeof out);
	a->nread = 4;
	a->read[0] = fake_extent(0, 0, 4096, EXTENT_READ);
	a->read[1] = fake_extent(0, 4096, 8192, EXTENT_NONE);
	a->read[2] = fake_extent(0, 12288, 4096, EXTENT_READ);
	a->read[3] = fake_extent(0, 16384, FAKE_SPAN - 16384, EXTENT_READ);
	struct pnfs_file *f = fixture_open("a", O_RDONLY);
	memset(in, 0xee, sizeof in);
	ck_assert_int_eq(pnfs_pread(f, in, 30000, 100), 30000);
	ck_assert_mem_eq(in, out + 100, 3996);
	for (unsigned i = 3996; i < 3996 + 8192; i++)
		ck_assert_uint_eq(in[i], 0);
	ck_assert_mem_eq(in + 12188, out + 12288, 30000 - 12188);
	ck_assert_uint_eq(stats().mds_read, 0);
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
}
END_TEST

/* Unaligned edges: read, patched and written inside blocks held READ_WRITE; elsewhere the server does it (RFC 8154 2.4.7). */
START_TEST(unaligned_edges)
{
	fixture_start((struct pnfs_options){ 0 });
	struct fake_file *a = &files.file[0];
	fill(4);
	fake_poke(&files, 0, 0, out, sizeof out);
	a->nrw = 2;
	a->rw[0] = fake_extent(0, 0, 32768, EXTENT_READ_WRITE);
	a->rw[1] = fake_extent(0, 32768, FAKE_SPAN - 32768, EXTENT_INVALID);
	struct pnfs_file *f = fixture_open("a", O_RDWR);
	memset(in, 'x', sizeof in);
	ck_assert_int_eq(pnfs_pwrite(f, in, 10000, 1000), 10000);
	ck_assert_uint_eq(stats().direct_write, 10000);
	ck_assert_uint_eq(fake_count(&files, OP_WRITE), 0);
	ck_assert_int_eq(pnfs_fsync(f), 0);
	fake_peek(&files, 0, 0, in, 16384);
	ck_assert_mem_eq(in, out, 1000);
	for (unsigned i = 1000; i < 11000; i++)
		ck_assert_uint_eq(in[i], 'x');
	ck_assert_mem_eq(in + 11000, out + 11000, 16384 - 11000);
	/* The same in space that holds no data: the whole block directly, the edge by the server. */
	memset(in, 'y', sizeof in);
	ck_assert_int_eq(pnfs_pwrite(f, in, 4096 + 100, 40960), 4096 + 100);
	ck_assert_uint_eq(fake_count(&files, OP_WRITE), 1);
	ck_assert_uint_eq(fake_last(&files, OP_WRITE)->offset, 45056);
	ck_assert_uint_eq(fake_last(&files, OP_WRITE)->length, 100);
	reasons(f);
	ck_assert_uint_eq(nreasons, 1);
	ck_assert_str_eq(reason, "unaligned");
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
}
END_TEST

/* ---- devices that fail ---- */

/* An error of the device: that range, and no other, through the server, and why. */
START_TEST(device_error)
{
	fixture_start((struct pnfs_options){ 0 });
	fill(5);
	fake_poke(&files, 0, 0, out, sizeof out);
	struct pnfs_file *f = fixture_open("a", O_RDWR);
	fixture_wrap(f);
	atomic_store(&script.error, -EIO);
	atomic_store(&script.fail, 1);
	ck_assert_int_eq(pnfs_pread(f, in, 8192, 4096), 8192);
	ck_assert_mem_eq(in, out + 4096, 8192);
	ck_assert_uint_eq(stats().mds_read, 8192);
	reasons(f);
	ck_assert_uint_eq(nreasons, 1);
	ck_assert_str_eq(reason, "io-error");
	ck_assert_int_eq(pnfs_pread(f, in, 8192, 16384), 8192);
	ck_assert_uint_eq(stats().mds_read, 8192);
	atomic_store(&script.fail, 1);
	ck_assert_int_eq(pnfs_pwrite(f, out, 4096, 8192), 4096);
	ck_assert_uint_eq(stats().mds_write, 4096);
	fake_peek(&files, 0, 8192, in, 4096);
	ck_assert_mem_eq(in, out, 4096);
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
}
END_TEST

/* With --direct require it is an error instead. */
START_TEST(device_error_required)
{
	fixture_start((struct pnfs_options){ .direct = PNFS_DIRECT_REQUIRE });
	struct pnfs_file *f = fixture_open("a", O_RDWR);
	fixture_wrap(f);
	atomic_store(&script.error, -EIO);
	atomic_store(&script.fail, 1);
	ck_assert_int_eq(pnfs_pread(f, in, 8192, 4096), -EOPNOTSUPP);
	ck_assert_uint_eq(fake_count(&files, OP_READ), 0);
	reasons(f);
	ck_assert_str_eq(reason, "io-error");
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
}
END_TEST

/* The connection to the target is lost under a write: the layout is asked for anew before anything is sent again. */
START_TEST(reconnect_revalidates)
{
	fixture_start((struct pnfs_options){ 0 });
	struct fixture_io io;
	fill(6);
	struct pnfs_file *f = fixture_open("a", O_RDWR);
	fixture_wrap(f);
	ck_assert_int_eq(pnfs_pwrite(f, out, 4096, 0), 4096);
	atomic_store(&script.hold, true);
	unsigned gets = fake_count(&files, OP_LAYOUTGET), infos = fake_count(&files, OP_GETDEVICEINFO);
	int writes = atomic_load(&script.writes);
	fixture_submit(&io, f, PNFS_IO_WRITE, out + 4096, 4096, 4096);
	ck_assert_int_eq(fixture_wait(&io, 200), -EINPROGRESS);
	ck_assert_int_eq(atomic_load(&script.writes), writes + 1);
	/* The blocks are elsewhere by then: the server gives another place. */
	files.file[0].nrw = 1;
	files.file[0].rw[0] = fake_extent(1, 0, FAKE_SPAN, EXTENT_READ_WRITE);
	fixture_disconnect();
	ck_assert_int_eq(fixture_wait(&io, 10000), 4096);
	ck_assert_int_ge(atomic_load(&script.reconnects), 1);
	ck_assert_uint_gt(fake_count(&files, OP_LAYOUTGET), gets);
	ck_assert_uint_gt(fake_count(&files, OP_GETDEVICEINFO), infos);
	fake_peek(&files, 1, 4096, in, 4096);
	ck_assert_mem_eq(in, out + 4096, 4096);
	fake_peek(&files, 0, 4096, in, 4096);
	ck_assert_mem_ne(in, out + 4096, 4096);
	ck_assert_uint_eq(stats().mds_write, 0);
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
}
END_TEST

/* ---- the lease ---- */

static void
age_lease(void *arg)
{
	/* The last renewal was sent a lease ago. */
	(void)arg;
	atomic_store(&mount->mds.lease.sent_ns, lease_clock() - 95 * 1000000000ull);
}

/* lease_time after the last renewal was sent: no direct I/O, until a SEQUENCE has worked (RFC 8881 12.7.2). */
START_TEST(lease_over)
{
	fixture_start((struct pnfs_options){ 0 });
	struct fixture_io io;
	struct pnfs_file *f = fixture_open("a", O_RDWR);
	fixture_wrap(f);
	int reads = atomic_load(&script.reads);
	atomic_store(&fake.silent, 1000);
	loop_call(mount->loop, age_lease, NULL);
	fixture_submit(&io, f, PNFS_IO_READ, in, 4096, 8192);
	ck_assert_int_eq(fixture_wait(&io, 1000), -EINPROGRESS);
	ck_assert_int_eq(atomic_load(&script.reads), reads);
	ck_assert_int_lt(atomic_load(&fake.silent), 1000);	/* it has asked */
	atomic_store(&fake.silent, 0);
	pthread_mutex_lock(&fake.lock);
	shutdown(fake.conn, SHUT_RDWR);
	pthread_mutex_unlock(&fake.lock);
	ck_assert_int_eq(fixture_wait(&io, 5000), 4096);
	ck_assert_int_eq(atomic_load(&script.reads), reads + 1);
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
}
END_TEST

/* ---- options.timeout ---- */

/* A server that has gone silent: I/O that waits for the lease ends as documented, and goes on once the server is back. */
START_TEST(timeout_lease)
{
	fixture_start((struct pnfs_options){ .timeout = 1 });
	struct fixture_io io;
	struct pnfs_file *f = fixture_open("a", O_RDWR);
	fixture_wrap(f);
	int reads = atomic_load(&script.reads);
	atomic_store(&fake.silent, 1000);
	loop_call(mount->loop, age_lease, NULL);
	double start = fixture_now();
	fixture_submit(&io, f, PNFS_IO_READ, in, 4096, 8192);
	ck_assert_int_eq(fixture_wait(&io, 5000), -ETIMEDOUT);
	ck_assert_double_le(fixture_now() - start, 3.);
	ck_assert_double_ge(fixture_now() - start, .9);
	ck_assert_int_eq(atomic_load(&script.reads), reads);
	atomic_store(&fake.silent, 0);
	pthread_mutex_lock(&fake.lock);
	shutdown(fake.conn, SHUT_RDWR);
	pthread_mutex_unlock(&fake.lock);
	for (unsigned i = 0; i < 50 && pnfs_pread(f, in, 4096, 8192) != 4096; i++)
		usleep(100000);
	ck_assert_int_eq(pnfs_pread(f, in, 4096, 8192), 4096);
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
}
END_TEST

/* The same while a layout is waited for, without falling back to the server for another time. */
START_TEST(timeout_layout)
{
	fixture_start((struct pnfs_options){ .timeout = 1 });
	struct pnfs_file *f = fixture_open("a", O_RDWR);
	struct pnfs_map *map;
	atomic_store(&fake.silent, 1000);
	double start = fixture_now();
	ck_assert_int_eq(pnfs_pread(f, in, 4096, 0), -ETIMEDOUT);
	ck_assert_double_le(fixture_now() - start, 3.);
	start = fixture_now();
	ck_assert_int_eq(pnfs_map(f, 0, 4096, false, NULL, NULL, &map), -ETIMEDOUT);
	ck_assert_double_le(fixture_now() - start, 3.);
	start = fixture_now();
	ck_assert_int_eq(pnfs_close(f), -ETIMEDOUT);
	ck_assert_double_le(fixture_now() - start, 9.5);
	fixture_stop();
}
END_TEST

/* The server delays for ever: within the documented bound too. */
START_TEST(timeout_delayed)
{
	fixture_start((struct pnfs_options){ .timeout = 1 });
	struct pnfs_file *f = fixture_open("a", O_RDWR);
	fake_refuse(&files, OP_LAYOUTGET, NFS4ERR_GRACE, 1000);
	double start = fixture_now();
	ck_assert_int_eq(pnfs_pread(f, in, 4096, 0), -ETIMEDOUT);
	ck_assert_double_le(fixture_now() - start, 3.);
	fake_refuse(&files, 0, NFS4_OK, 0);
	ck_assert_int_eq(pnfs_close(f), 0);
	fixture_stop();
}
END_TEST

/* A server that takes the connection and says nothing: the mount ends. */
START_TEST(timeout_mount)
{
	struct pnfs_options options = { .timeout = 1 };
	struct pnfs *m;
	char url[64];
	fake_start(&fake);
	atomic_store(&fake.silent, 1000);
	snprintf(url, sizeof url, "nfs://127.0.0.1:%u/export", ntohs(fake.addr.sin_port));
	double start = fixture_now();
	ck_assert_int_eq(pnfs_mount(url, &options, &m), -ETIMEDOUT);
	ck_assert_double_le(fixture_now() - start, 3.5);
	ck_assert_double_ge(fixture_now() - start, .9);
	fake_stop(&fake);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("io");
	TCase *t = tcase_create("io");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, eof_tail);
	tcase_add_test(t, shrunk_under_read);
	tcase_add_test(t, short_extents);
	tcase_add_test(t, unaligned_edges);
	tcase_add_test(t, device_error);
	tcase_add_test(t, device_error_required);
	tcase_add_test(t, reconnect_revalidates);
	tcase_add_test(t, lease_over);
	tcase_add_test(t, timeout_lease);
	tcase_add_test(t, timeout_layout);
	tcase_add_test(t, timeout_delayed);
	tcase_add_test(t, timeout_mount);
	suite_add_tcase(s, t);
	return fixture_main(s);
}
