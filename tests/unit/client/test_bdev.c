/*
 * bdev.c and its kinds on an image file (io_uring), and on a LUN if PNFS_TEST_LUN names one ("iscsi://..."; the
 * integration tests run this program again with tgtd; its first 4 MiB are zeros): random transfers against a model in memory, errors, identity.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "client/bdev.h"
#include "client/bdev/bdev_priv.h"
#include "client/match.h"

#define SIZE (4u << 20)
#define IOS 400
#define DEPTH 16

static char path[] = "/var/tmp/test-bdev-XXXXXX";
static struct loop *loop;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static bool finished;
static int result;

static void
finish(int status)
{
	pthread_mutex_lock(&lock);
	result = status;
	finished = true;
	pthread_cond_signal(&cond);
	pthread_mutex_unlock(&lock);
}

/* Run FN on the loop and wait for finish(). */
static int
run(void (*fn)(void *), void *arg)
{
	finished = false;
	loop_call(loop, fn, arg);
	pthread_mutex_lock(&lock);
	while (!finished)
		pthread_cond_wait(&cond, &lock);
	pthread_mutex_unlock(&lock);
	return result;
}

static struct bdev *dev;

static void
opened(struct bdev *bdev, int status, void *arg)
{
	(void)arg;
	dev = status ? NULL : bdev;
	finish(status);
}

static void
do_open(void *name)
{
	ck_assert_ptr_nonnull(bdev_open(loop, name, "iqn.2026-11.org.pnfs-block:test", opened, NULL));
}

static void
do_close(void *arg)
{
	(void)arg;
	bdev_close(dev);
	dev = NULL;
}

static void
setup(void)
{
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(ftruncate(fd, SIZE), 0);
	close(fd);
	loop = loop_new("test");
	ck_assert_int_eq(loop_start(loop), 0);
}

static void
teardown(void)
{
	loop_stop(loop);
	unlink(path);
}

/* ---- random transfers ---- */

struct slot {
	struct bdev_io io;
	uint8_t *buf;			/* of a request: may be unaligned */
	uint8_t *mem;
	bool write, busy;
	uint32_t at, len;
};

static uint8_t *model;
static struct slot slots[DEPTH];
static unsigned started, ended;

static void pump(void *arg);

static bool
overlaps(uint32_t at, uint32_t len)
{
	for (unsigned i = 0; i < DEPTH; i++)
		if (slots[i].busy && at < slots[i].at + slots[i].len && slots[i].at < at + len)
			return true;
	return false;
}

static void
transfer_done(struct bdev_io *io)
{
	struct slot *s = io->arg;
	ck_assert_int_eq(io->result, 0);
	if (!s->write)
		ck_assert_mem_eq(s->buf, model + s->at, s->len);
	s->busy = false;
	ended++;
	pump(NULL);
}

static void
pump(void *arg)
{
	(void)arg;
	for (unsigned i = 0; i < DEPTH && started < IOS; i++) {
		struct slot *s = &slots[i];
		if (s->busy)
			continue;
		uint32_t len = (1 + (uint32_t)rand() % 64) * 512, at = (uint32_t)rand() % ((SIZE - len) / 512) * 512;
		if (overlaps(at, len))
			continue;
		*s = (struct slot){ .mem = s->mem, .at = at, .len = len, .busy = true, .write = rand() % 2 };
		s->buf = s->mem + rand() % 3 * 8;	/* some need a bounce buffer */
		for (uint32_t k = 0; k < len; k++)
			s->buf[k] = (uint8_t)rand();
		if (s->write)
			memcpy(model + at, s->buf, len);
		s->io = (struct bdev_io){ .op = s->write ? BDEV_WRITE : BDEV_READ, .buf = s->buf, .len = len,
			.offset = at, .done = transfer_done, .arg = s };
		started++;
		bdev_submit(dev, &s->io);
	}
	if (ended == IOS)
		finish(0);
}

static void
random_transfers(const char *name)
{
	ck_assert_int_eq(run(do_open, (void *)(uintptr_t)name), 0);
	ck_assert_uint_ge(dev->size, SIZE);
	model = calloc(1, SIZE);
	int fd = open(path, O_RDONLY);
	ck_assert_int_eq(pread(fd, model, SIZE, 0), SIZE);
	close(fd);
	started = ended = 0;
	for (unsigned i = 0; i < DEPTH; i++) {
		slots[i].busy = false;
		ck_assert_int_eq(posix_memalign((void **)&slots[i].mem, 4096, 64 * 512 + 64), 0);
	}
	ck_assert_int_eq(run(pump, NULL), 0);
	ck_assert_uint_eq(dev->ios, IOS);
	loop_call(loop, do_close, NULL);
	for (unsigned i = 0; i < DEPTH; i++)
		free(slots[i].mem);
	free(model);
}

START_TEST(file_random)
{
	srand(1);
	random_transfers(path);
}
END_TEST

START_TEST(lun_random)
{
	srand(2);
	random_transfers(getenv("PNFS_TEST_LUN"));
}
END_TEST

/* ---- errors ---- */

static struct bdev_io one;
static uint8_t one_buf[4096] __attribute__((aligned(4096)));

static void
one_done(struct bdev_io *io)
{
	finish(io->result);
}

static void
do_one(void *arg)
{
	(void)arg;
	bdev_submit(dev, &one);
}

static int
transfer(enum bdev_io_op op, uint64_t offset, uint32_t len)
{
	one = (struct bdev_io){ .op = op, .buf = one_buf, .offset = offset, .len = len, .done = one_done };
	return run(do_one, NULL);
}

START_TEST(errors)
{
	ck_assert_int_eq(run(do_open, (char *)"/nonexistent/device"), -ENOENT);
	ck_assert_int_eq(run(do_open, (char *)"/"), -EISDIR);
	ck_assert_int_eq(run(do_open, (char *)"iscsi://127.0.0.1:1/iqn.none/1"), -ENOTCONN);
	ck_assert_int_eq(run(do_open, (char *)"iscsi://garbage"), -EINVAL);
	ck_assert_int_eq(run(do_open, path), 0);
	ck_assert_int_eq(transfer(BDEV_READ, 0, 512), 0);
	ck_assert_int_eq(transfer(BDEV_READ, 1, 512), -EINVAL);
	ck_assert_int_eq(transfer(BDEV_READ, 0, 100), -EINVAL);
	ck_assert_int_eq(transfer(BDEV_WRITE, SIZE, 512), -EINVAL);
	ck_assert_int_eq(transfer(BDEV_WRITE, SIZE - 512, 1024), -EINVAL);
	ck_assert_int_eq(transfer(BDEV_WRITE, UINT64_MAX - 511, 512), -EINVAL);
	ck_assert_int_eq(transfer(BDEV_FLUSH, 0, 0), 0);
	/* the file is cut under us: an error, not a short success */
	ck_assert_int_eq(truncate(path, SIZE / 2), 0);
	ck_assert_int_eq(transfer(BDEV_READ, SIZE - 4096, 4096), -EIO);
	loop_call(loop, do_close, NULL);
}
END_TEST

START_TEST(vpd83)
{
	static const uint8_t page[] = { 0, 0x83, 0, 32,
		1, 3, 0, 8, 0x60, 1, 2, 3, 4, 5, 6, 7,		/* NAA, logical unit */
		1, 0x14, 0, 4, 0, 0, 0, 1,			/* relative target port: not of the LU */
		2, 1, 0, 4, 'T', '1', '0', ' ',			/* T10 vendor */
		1, 2, 0, 0 };					/* empty: left out */
	struct bdev b = { 0 };
	ck_assert(bdev_parse_vpd83(&b, page, sizeof page));
	ck_assert_uint_eq(b.ndesignators, 2);
	ck_assert_uint_eq(b.designators[0].type, 3);
	ck_assert_uint_eq(b.designators[0].len, 8);
	ck_assert_mem_eq(b.designators[0].bytes, page + 8, 8);
	ck_assert_uint_eq(b.designators[1].type, 1);
	for (size_t cut = 0; cut < sizeof page; cut++) {
		memset(&b, 0, sizeof b);
		ck_assert(!bdev_parse_vpd83(&b, page, cut));
	}
}
END_TEST

/* ---- signatures ---- */

static struct topology *topo;

static void
matched(struct topology *t, int status, void *arg)
{
	(void)arg;
	topo = t;
	finish(status);
}

static void
do_match(void *vol)
{
	match_device(loop, LAYOUT4_BLOCK_VOLUME, vol, 1, NULL, &dev, 1, matched, NULL);
}

START_TEST(signature)
{
	static const uint8_t sig[16] = "sixteen bytes id";
	int fd = open(path, O_WRONLY);
	ck_assert_int_eq(pwrite(fd, sig, 16, 32), 16);
	ck_assert_int_eq(pwrite(fd, sig, 16, SIZE - 700), 16);
	close(fd);
	ck_assert_int_eq(run(do_open, path), 0);
	struct volume vol = { .type = VOLUME_SIMPLE, .simple = { 2, { { 32, 16, sig }, { -700, 16, sig } } } };
	ck_assert_int_eq(run(do_match, &vol), 0);
	ck_assert_uint_eq(topology_size(topo), SIZE);
	topology_free(topo);
	vol.simple.sigs[1].offset = -701;
	ck_assert_int_eq(run(do_match, &vol), -ENODEV);
	vol.simple.sigs[1].offset = SIZE;		/* outside */
	ck_assert_int_eq(run(do_match, &vol), -ENODEV);
	vol.simple.nsigs = 0;				/* a signature of nothing names nothing */
	ck_assert_int_eq(run(do_match, &vol), -ENODEV);
	vol.simple.nsigs = 1;
	vol.simple.sigs[0].len = 100000;
	ck_assert_int_eq(run(do_match, &vol), -EINVAL);
	loop_call(loop, do_close, NULL);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("bdev");
	TCase *tc = tcase_create("bdev");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, file_random);
	tcase_add_test(tc, errors);
	tcase_add_test(tc, vpd83);
	tcase_add_test(tc, signature);
	if (getenv("PNFS_TEST_LUN"))
		tcase_add_test(tc, lun_random);
	suite_add_tcase(suite, tc);
	SRunner *sr = srunner_create(suite);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
