/* A mount of libpnfs at the fake server; see fixture.h. */
#include "tests/unit/client/fixture.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "client/bdev/bdev_priv.h"

struct fake_mds fake;
struct fake_files files;
struct pnfs *mount;
struct device_script script;
uint32_t fixture_cb_seqid;

double
fixture_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

void
fixture_start(struct pnfs_options options)
{
	char url[64];
	fake_start(&fake);
	fake_files_start(&files, &fake);
	memset(&script, 0, sizeof script);
	fixture_cb_seqid = 0;
	for (unsigned i = 0; i < FAKE_NFILES; i++)
		atomic_store(&files.file[i].size, 256u << 10);
	const char *devices[] = { files.path, NULL };
	if (!options.devices)
		options.devices = devices;
	snprintf(url, sizeof url, "nfs://127.0.0.1:%u/export", ntohs(fake.addr.sin_port));
	ck_assert_msg(pnfs_mount(url, &options, &mount) == 0, "%s", pnfs_error());
}

struct pnfs_file *
fixture_open(const char *name, int flags)
{
	struct pnfs_file *file;
	ck_assert_msg(pnfs_open(mount, name, flags, 0, &file) == 0, "%s", pnfs_error());
	return file;
}

/* ---- the device ---- */

static const struct bdev_ops *real_ops;
static struct bdev_ops wrapped_ops;
static struct bdev_io *held;

static bool
count(atomic_int *n)
{
	if (atomic_load(n) <= 0)
		return false;
	atomic_fetch_sub(n, 1);
	return true;
}

static void
wrapped_submit(struct bdev *bdev, struct bdev_io *io)
{
	atomic_fetch_add(io->op == BDEV_READ ? &script.reads : &script.writes, 1);
	if (atomic_load(&script.hold)) {
		io->next = held;
		held = io;
	} else if ((io->op == BDEV_WRITE || !atomic_load(&script.only_writes)) && count(&script.fail)) {
		bdev_io_later(bdev, io, atomic_load(&script.error));
	} else {
		real_ops->submit(bdev, io);
	}
}

static void
wrapped_reconnect(struct bdev *bdev, bdev_done_fn *done, void *arg)
{
	atomic_fetch_add(&script.reconnects, 1);
	if (!atomic_load(&script.down))
		bdev_set_up(bdev, true);
	ck_assert_int_eq(bdev_later(bdev, bdev->up ? 0 : -ECONNREFUSED, done, arg, false), 0);
}

static void
wrap_now(void *arg)
{
	(void)arg;
	struct bdev *bdev = mount->bdevs[0].bdev;
	ck_assert_ptr_nonnull(bdev);
	if (bdev->ops == &wrapped_ops)
		return;
	real_ops = bdev->ops;
	wrapped_ops = *real_ops;
	wrapped_ops.submit = wrapped_submit;
	wrapped_ops.reconnect = wrapped_reconnect;
	bdev->ops = &wrapped_ops;
}

void
fixture_wrap(struct pnfs_file *file)
{
	char buf[4096];
	ck_assert_int_eq(pnfs_pread(file, buf, sizeof buf, 0), sizeof buf);
	loop_call(mount->loop, wrap_now, NULL);
}

static void
release_now(void *arg)
{
	struct bdev_io *io;
	(void)arg;
	atomic_store(&script.hold, false);
	while ((io = held)) {
		held = io->next;
		real_ops->submit(io->bdev, io);
	}
}

void
fixture_release(void)
{
	loop_call(mount->loop, release_now, NULL);
}

static void
disconnect_now(void *arg)
{
	struct bdev_io *io;
	(void)arg;
	bdev_set_up(mount->bdevs[0].bdev, false);
	atomic_store(&script.hold, false);
	while ((io = held)) {
		held = io->next;
		io->result = -ENOTCONN;
		io->done(io);
	}
}

void
fixture_disconnect(void)
{
	loop_call(mount->loop, disconnect_now, NULL);
}

/* ---- transfers ---- */

static void
io_done(struct pnfs_io *io)
{
	sem_post(&((struct fixture_io *)io)->ended);
}

void
fixture_submit(struct fixture_io *io, struct pnfs_file *file, enum pnfs_io_op op, void *buf, size_t len, uint64_t offset)
{
	io->io = (struct pnfs_io){ .file = file, .op = op, .buf = buf, .len = len, .offset = offset, .done = io_done };
	sem_init(&io->ended, 0, 0);
	pnfs_submit(&io->io);
}

ssize_t
fixture_wait(struct fixture_io *io, unsigned ms)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_nsec += (long)(ms % 1000) * 1000000;
	until.tv_sec += ms / 1000 + until.tv_nsec / 1000000000;
	until.tv_nsec %= 1000000000;
	while (sem_timedwait(&io->ended, &until))
		if (errno == ETIMEDOUT)
			return -EINPROGRESS;
	return io->io.result;
}

bool
fixture_until(bool (*fn)(void), unsigned ms)
{
	for (unsigned i = 0; i <= ms / 10; i++) {
		if (fn())
			return true;
		usleep(10000);
	}
	return false;
}

/* ---- callbacks ---- */

nfsstat4
fixture_callback(uint32_t op, const void *args)
{
	uint8_t buf[2048];
	struct compound_call c;
	CB_SEQUENCE4args seq = { .csa_sequenceid = ++fixture_cb_seqid };
	uint32_t word;
	memcpy(seq.csa_sessionid, mount->mds.session, sizeof seq.csa_sessionid);
	compound_cb_begin(&c, buf, sizeof buf, "", mount->mds.minor, 0);
	compound_call_op(&c, OP_CB_SEQUENCE, &seq);
	compound_call_op(&c, op, args);
	fake_callback(&fake, buf, compound_call_end(&c), 5000);
	ck_assert_uint_ge(fake.cb_len, 4);
	memcpy(&word, fake.cb_reply, 4);
	return (nfsstat4)be32toh(word);
}

static nfsstat4
recall(unsigned i, uint32_t seqid)
{
	struct fake_file *f = &files.file[i];
	char fh[2] = { 'h', (char)(i + 1) };
	CB_LAYOUTRECALL4args args = { .clora_type = LAYOUT4_BLOCK_VOLUME, .clora_iomode = LAYOUTIOMODE4_ANY, .clora_changed = 1,
		.clora_recall = { .lor_recalltype = LAYOUTRECALL4_FILE } };
	layoutrecall_file4 *l = &args.clora_recall.layoutrecall4_u.lor_layout;
	l->lor_fh = (nfs_fh4){ .nfs_fh4_len = 2, .nfs_fh4_val = fh };
	l->lor_length = UINT64_MAX;
	l->lor_stateid = f->last_layout;
	l->lor_stateid.seqid = seqid;
	return fixture_callback(OP_CB_LAYOUTRECALL, &args);
}

nfsstat4
fixture_recall(unsigned i)
{
	return recall(i, atomic_fetch_add(&files.file[i].layout_seqid, 1) + 1);
}

nfsstat4
fixture_recall_again(unsigned i)
{
	return recall(i, atomic_load(&files.file[i].layout_seqid));
}

void
fixture_stop(void)
{
	if (held)
		fixture_release();
	pnfs_unmount(mount);
	fake_stop(&fake);
	fake_files_stop(&files);
}

int
fixture_main(struct Suite *s)
{
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
