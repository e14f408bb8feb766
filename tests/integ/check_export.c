/*
 * Provider plain and devices on a real XFS over a real target; run by test_export.sh.
 *
 *	check_export MNT STATE_DIR URL WRONG_URL LOOP
 *
 * WRONG_URL is a LUN with a copy of the image made before: the same UUID, another disk.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "include/cleanup.h"
#include "server/conf/conf.h"
#include "server/conf/exports.h"
#include "server/export/export.h"
#include "server/export/fiemap.h"
#include "server/fence/fence.h"
#include "server/fence/iscsi_nexus.h"
#include "server/fence/scsi_cdb.h"
#include "server/fs/fs.h"
#include "server/layout/device.h"
#include "server/mds.h"
#include "tests/integ/integ.h"
#include "tests/integ/fakes.h"

#define MIB (UINT64_C(1) << 20)
#define BS 4096u
#define MAP_MAX 4096u

static struct mds mds = { .state_lock = PTHREAD_MUTEX_INITIALIZER };
static struct device_conf dev_right = { .name = (char *)"right", .allow_no_ptpl = true };
static struct device_conf dev_wrong = { .name = (char *)"wrong", .allow_no_ptpl = true, .next = &dev_right };
static struct device_conf dev_ptpl = { .name = (char *)"ptpl", .next = &dev_wrong };
static struct device_conf dev_path = { .name = (char *)"path", .next = &dev_ptpl };
static struct device_conf dev_none = { .name = (char *)"none", .next = &dev_path };
static char *mnt;

static struct export *
open_export(const char *device, uint32_t type, const char *provider)
{
	struct export_line line = { .path = mnt, .line = 1, .pnfs = true, .layout_type = type,
		.provider = (char *)(uintptr_t)provider, .device = (char *)(uintptr_t)device };
	struct export *export;
	char *error;
	int r = export_open(&mds, &line, &export, &error);
	if (r)
		die("export_open: %s", error ? error : strerror(-r));
	return export;
}

/* ---- opening, proof ---- */

static void
expect_reason(const char *device, uint32_t type, const char *provider, enum reason reason)
{
	struct export *export = open_export(device, type, provider);
	EXPECT(export->reason, reason);
	EXPECT(export->layout_type, reason == REASON_NONE || export->waiting ? type : 0);
	EXPECT(export->device != NULL, reason == REASON_NONE);
	EXPECT(export->ops != NULL, reason == REASON_NONE);
	export_put(export);
}

static void
check_open(void)
{
	struct export_line line = { .path = mnt, .line = 7, .pnfs = true, .layout_type = 3, .device = (char *)"nowhere" };
	struct export *export;
	char *error;
	expect_reason("right", 3, NULL, REASON_NONE);
	expect_reason("path", 3, "plain", REASON_NONE);
	expect_reason("wrong", 3, NULL, REASON_WRONG_DEVICE);
	expect_reason("none", 3, NULL, REASON_NO_DEVICE);
	expect_reason(NULL, 3, NULL, REASON_NO_DEVICE);
	expect_reason("right", 3, "kernel", REASON_UNSUPPORTED_KERNEL);
	expect_reason("path", 5, NULL, REASON_NO_RESERVATIONS);
	EXPECT(export_open(&mds, &line, &export, &error), -EINVAL);
	EXPECT(error && strstr(error, "nowhere"), 1);
	free(error);
}

/* ---- maps ---- */

static struct inode *
inode_of(const char *name)
{
	struct inode *root, *inode;
	struct stat st;
	char path[512];
	snprintf(path, sizeof path, "%s/%s", mnt, name);
	if (stat(path, &st))
		die("%s: %s", path, strerror(errno));
	if (fs_root(mds.fs, &root))
		die("no root");
	/* From the pseudo root to the export, name by name. */
	char *copy = strdup(path), *save, *part;
	for (part = strtok_r(copy, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		int r = fs_lookup(root, part, (unsigned)strlen(part), &inode);
		if (r)
			die("lookup %s: %s", part, strerror(-r));
		inode_put(root);
		root = inode;
	}
	free(copy);
	return root;
}

/* The byte that stands at OFFSET of a test file. */
static uint8_t
pattern(uint64_t offset, unsigned seed)
{
	return (uint8_t)((offset / 512 * 131 + offset * 7 + seed * 37) % 251 + 1);
}

static void
fill(int fd, uint64_t offset, uint64_t length, unsigned seed)
{
	CLEANUP_FREE uint8_t *buf = malloc(length);
	for (uint64_t i = 0; i < length; i++)
		buf[i] = pattern(offset + i, seed);
	if (pwrite(fd, buf, length, (off_t)offset) != (ssize_t)length)
		die("pwrite: %s", strerror(errno));
}

static int
create(const char *name)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", mnt, name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

/* What the LUN has at ADDR. */
static void
lun_get(struct export *export, uint64_t addr, uint8_t *buf, uint64_t length)
{
	struct pr *pr = export->device->pr;
	for (uint64_t done = 0; done < length; done += 256 << 10) {
		uint32_t n = length - done < 256 << 10 ? (uint32_t)(length - done) : 256 << 10;
		int r = pr->ops->read(pr, addr + done, buf + done, n);
		if (r)
			die("LUN read at %" PRIu64 ": %s", addr + done, strerror(-r));
	}
}

/* Ascending, contiguous, whole blocks, cut to the range; a hole has address 0 (PITFALLS A5, A6, A25). */
static void
expect_form(const struct iomap *map, int n, uint64_t offset, uint64_t end, bool write)
{
	uint64_t pos = offset;
	unsigned bad = 0;
	for (int i = 0; i < n; i++) {
		bad += map[i].offset != pos || !map[i].length || map[i].length % BS || map[i].addr % BS;
		bad += map[i].type == IOMAP_UNWRITTEN || (map[i].type == IOMAP_HOLE && (write || map[i].addr));
		pos += map[i].length;
	}
	EXPECT(bad, 0);
	EXPECT(pos, end);
}

/* Through the map and the LUN the file has the bytes of the local file. */
static void
expect_bytes(struct export *export, const struct iomap *map, int n, const uint8_t *want, uint64_t size)
{
	unsigned bad = 0;
	for (int i = 0; i < n; i++) {
		uint64_t len = map[i].offset >= size ? 0 : map[i].offset + map[i].length > size ? size - map[i].offset : map[i].length;
		CLEANUP_FREE uint8_t *buf = calloc(1, map[i].length);
		if (map[i].type == IOMAP_MAPPED)
			lun_get(export, map[i].addr, buf, map[i].length);
		if (len && memcmp(buf, want + map[i].offset, len))
			bad++;
	}
	EXPECT(bad, 0);
}

/* The kernel's own map, whatever is written and inside EOF, extent by extent. */
static void
expect_truth(int fd, const struct iomap *map, int n)
{
	static struct fiemap_iter it;
	struct iomap truth;
	enum reason why;
	unsigned bad = 0;
	for (int i = 0; i < n; i++) {
		uint64_t addr = map[i].addr;
		fiemap_start(&it, fd, map[i].offset, map[i].offset + map[i].length, false);
		while (fiemap_next(&it, &truth, &why) > 0) {
			bad += map[i].type == IOMAP_MAPPED ? truth.type != IOMAP_MAPPED || truth.addr != addr :
			    truth.type == IOMAP_MAPPED;
			addr += truth.length;
		}
	}
	EXPECT(bad, 0);
}

static struct iomap map[MAP_MAX];

static int
map_locked(struct layout_lease *lease, uint64_t offset, uint64_t length, bool write, unsigned max, enum reason *why)
{
	struct inode *inode = lease->inode;
	pthread_rwlock_wrlock(&inode->io_lock);
	int n = lease->ops->map_blocks(lease, offset, length, write, map, max, why);
	pthread_rwlock_unlock(&inode->io_lock);
	return n;
}

static struct layout_lease *
lease_of(struct inode *inode, int want, enum reason want_why)
{
	struct layout_lease *lease;
	enum reason why;
	pthread_rwlock_wrlock(&inode->io_lock);
	int r = inode->export->ops->lease(inode, &lease, &why);
	pthread_rwlock_unlock(&inode->io_lock);
	EXPECT(r, want);
	EXPECT(why, want_why);
	return r ? NULL : lease;
}

/* Random sparse, fragmented, preallocated; then the same ranges for writing. */
static void
check_random(struct export *export, unsigned seed)
{
	char name[32];
	snprintf(name, sizeof name, "random%u", seed);
	srand(seed);
	int fd = create(name);
	uint64_t blocks = 64 + (unsigned)rand() % 400, size = blocks * BS - (unsigned)rand() % BS;
	for (unsigned i = 0; i < 30; i++) {
		uint64_t at = (unsigned)rand() % blocks, len = 1 + (unsigned)rand() % 8;
		if (at + len > blocks)
			len = blocks - at;
		switch (rand() % 4) {
		case 0:
			if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)(at * BS), (off_t)(len * BS)))
				die("fallocate: %s", strerror(errno));
			break;
		case 1:
			if (fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, (off_t)(at * BS), (off_t)(len * BS)))
				die("punch: %s", strerror(errno));
			break;
		default:
			fill(fd, at * BS, len * BS, seed);
			if (rand() % 3 == 0)
				fsync(fd);
		}
	}
	if (ftruncate(fd, (off_t)size) || lseek(fd, 0, SEEK_SET))
		die("ftruncate");
	CLEANUP_FREE uint8_t *want = calloc(1, blocks * BS), *now = calloc(1, blocks * BS);
	if (pread(fd, want, size, 0) != (ssize_t)size)
		die("pread");
	close(fd);		/* dirty pages and all */

	struct inode *inode = inode_of(name);
	struct layout_lease *lease = lease_of(inode, 0, REASON_NONE);
	enum reason why;
	int data = inode_data_fd(inode), n = map_locked(lease, 0, blocks * BS, false, MAP_MAX, &why);
	EXPECT(n > 0, 1);
	expect_form(map, n, 0, blocks * BS, false);
	expect_truth(data, map, n);
	expect_bytes(export, map, n, want, size);
	/* From the middle of extents, and with little room. */
	uint64_t from = (unsigned)rand() % blocks;
	n = map_locked(lease, from * BS, (blocks - from) * BS, false, 1, &why);
	EXPECT(n, 1);
	EXPECT(map[0].offset, from * BS);

	uint64_t whole = size / BS * BS;
	n = map_locked(lease, 0, blocks * BS, true, MAP_MAX, &why);
	EXPECT(n > 0, 1);
	EXPECT(why, size % BS ? REASON_EOF_BLOCK : REASON_NONE);
	expect_form(map, n, 0, whole, true);
	expect_truth(data, map, n);
	expect_bytes(export, map, n, want, size);
	if (pread(data, now, size, 0) != (ssize_t)size || memcmp(now, want, size))
		EXPECT(0, 1);
	EXPECT(fcntl(data, F_GETFL) & O_DIRECT, 0);
	pthread_rwlock_wrlock(&inode->io_lock);
	lease->ops->unlease(lease);
	pthread_rwlock_unlock(&inode->io_lock);
	inode_put(inode);
}

/* Preallocated only, over old data: zeros by the time it is given (PITFALLS A3). */
static void
check_unwritten(struct export *export)
{
	CLEANUP_FREE uint8_t *want = calloc(1, MIB);
	int fd = create("preallocated");
	if (posix_fallocate(fd, 0, MIB))
		die("fallocate");
	close(fd);
	struct inode *inode = inode_of("preallocated");
	struct layout_lease *lease = lease_of(inode, 0, REASON_NONE);
	enum reason why;
	EXPECT(map_locked(lease, 0, MIB, false, MAP_MAX, &why), 1);
	EXPECT(map[0].type, IOMAP_HOLE);
	int n = map_locked(lease, 64 * BS, MIB - 64 * BS, true, MAP_MAX, &why);
	expect_form(map, n, 64 * BS, MIB, true);
	expect_bytes(export, map, n, want, MIB);
	/* What was not asked for is as it was. */
	EXPECT(map_locked(lease, 0, 64 * BS, false, MAP_MAX, &why), 1);
	EXPECT(map[0].type, IOMAP_HOLE);
	lease->ops->unlease(lease);
	inode_put(inode);
}

/*
 * A client writes by the map straight to the LUN; after the commit the file has it, locally too (PITFALLS A23), with a new change and the same size (A1).
 */
static void
check_write(struct export *export, struct nexus *client)
{
	uint64_t size = 4 * MIB;
	int fd = create("written");
	fill(fd, 0, size / 2, 1);
	if (ftruncate(fd, (off_t)size + 100))
		die("ftruncate");
	close(fd);
	struct inode *inode = inode_of("written");
	struct layout_lease *lease = lease_of(inode, 0, REASON_NONE);
	enum reason why;
	struct fs_stat before, after;
	CLEANUP_FREE uint8_t *buf = malloc(size), *now = malloc(size);
	(void)export;
	int data = inode_data_fd(inode), n = map_locked(lease, 0, size, true, MAP_MAX, &why);
	EXPECT(n > 0, 1);
	if (pread(data, now, size, 0) != (ssize_t)size)	/* makes stale pages */
		die("pread");
	fs_getattr(inode, &before);
	for (uint64_t i = 0; i < size; i++)
		buf[i] = pattern(i, 99);
	for (int i = 0; i < n; i++)
		for (uint64_t done = 0; done < map[i].length; done += 128 << 10) {
			uint64_t len = map[i].length - done < 128 << 10 ? map[i].length - done : 128 << 10;
			struct scsi_cmd cmd;
			scsi_rw16(&cmd, true, (map[i].addr + done) / 512, (uint32_t)len / 512,
			    buf + map[i].offset + done, (uint32_t)len);
			int r = nexus_run(client, &cmd);
			if (r)
				die("LUN write: %s: %s", strerror(-r), nexus_error(client));
		}
	struct commit_attr attr = { .size_valid = true, .size = 4096, .mtime_valid = true, .mtime = { 1000, 0 } };
	pthread_rwlock_wrlock(&inode->io_lock);
	EXPECT(lease->ops->commit_blocks(lease, map, (unsigned)n, &attr), 0);
	pthread_rwlock_unlock(&inode->io_lock);
	fs_getattr(inode, &after);
	EXPECT(after.stx.stx_size, size + 100);
	EXPECT(after.change > before.change, 1);
	EXPECT(after.stx.stx_mtime.tv_sec > 1000000, 1);
	if (pread(data, now, size, 0) != (ssize_t)size)
		die("pread");
	EXPECT(memcmp(now, buf, size), 0);
	lease->ops->unlease(lease);
	inode_put(inode);
}

/* ---- refusals ---- */

static void
check_refused(void)
{
	enum reason why;
	char path[512];
	int fd = create("open-elsewhere");
	fill(fd, 0, BS, 2);
	struct inode *inode = inode_of("open-elsewhere");
	lease_of(inode, -EAGAIN, REASON_LOCAL_OPEN);
	close(fd);
	struct layout_lease *lease = lease_of(inode, 0, REASON_NONE);
	struct layout_lease *second;
	EXPECT(inode->export->ops->lease(inode, &second, &why), -EBUSY);
	EXPECT(map_locked(lease, 0, 100, false, 4, &why), -EINVAL);
	EXPECT(map_locked(lease, 100, BS, false, 4, &why), -EINVAL);
	EXPECT(map_locked(lease, UINT64_MAX - 4095, 4096, false, 4, &why), -EINVAL);
	EXPECT(map_locked(lease, 8 * BS, BS, true, 4, &why), 0);
	EXPECT(why, REASON_EOF_BLOCK);
	EXPECT(map_locked(lease, 8 * BS, BS, false, 4, &why), 1);
	EXPECT(map[0].type, IOMAP_HOLE);
	lease->ops->unlease(lease);
	inode_put(inode);

	/* A clone shares blocks. */
	snprintf(path, sizeof path, "cp --reflink=always %s/open-elsewhere %s/clone", mnt, mnt);
	EXPECT(system(path), 0);
	inode = inode_of("clone");
	lease = lease_of(inode, 0, REASON_NONE);
	EXPECT(map_locked(lease, 0, BS, false, 4, &why), -ENOTSUP);
	EXPECT(why, REASON_REFLINKED);
	lease->ops->unlease(lease);
	inode_put(inode);

	/* suid goes with a grant to write. */
	fd = create("suid");
	fill(fd, 0, BS, 3);
	fchmod(fd, 06755);
	close(fd);
	inode = inode_of("suid");
	lease = lease_of(inode, 0, REASON_NONE);
	struct fs_stat st;
	EXPECT(map_locked(lease, 0, BS, false, 4, &why), 1);
	EXPECT(fs_getattr(inode, &st), 0);
	EXPECT(st.stx.stx_mode & 07777, 06755);
	EXPECT(map_locked(lease, 0, BS, true, 4, &why), 1);
	EXPECT(fs_getattr(inode, &st), 0);
	EXPECT(st.stx.stx_mode & 07777, 0755);
	lease->ops->unlease(lease);
	inode_put(inode);
}

/* ---- local breakers ---- */

static atomic_uint breaks;
static _Atomic(struct inode *) broken_inode;
static atomic_uint_fast64_t broken_us;

static void
on_break(struct mds *m, struct inode *inode)
{
	(void)m;
	atomic_store(&broken_inode, inode);
	atomic_store(&broken_us, now_us());
	atomic_fetch_add(&breaks, 1);
}

static int
break_time(void)
{
	char text[16] = "";
	int fd = open("/proc/sys/fs/lease-break-time", O_RDONLY);
	if (fd < 0 || read(fd, text, sizeof text - 1) < 0)
		die("lease-break-time");
	close(fd);
	return atoi(text);
}

/* A program that truncates a leased file waits until the lease is given back. */
static void
check_break(void)
{
	char path[512];
	int fd = create("breakme"), status;
	fill(fd, 0, 8 * BS, 4);
	close(fd);
	struct inode *inode = inode_of("breakme");
	struct layout_lease *lease = lease_of(inode, 0, REASON_NONE);
	EXPECT(break_time(), 0);
	snprintf(path, sizeof path, "%s/breakme", mnt);
	uint64_t start = now_us();
	pid_t pid = fork();
	if (pid == 0)
		_exit(truncate(path, BS) ? 1 : 0);
	for (unsigned i = 0; i < 200 && !atomic_load(&breaks); i++)
		usleep(5000);
	EXPECT(atomic_load(&breaks), 1);
	EXPECT(atomic_load(&broken_inode) == inode, 1);
	printf("break told after %" PRIu64 " us\n", atomic_load(&broken_us) - start);
	pthread_mutex_lock(&mds.state_lock);
	EXPECT(lease->broken, 1);
	pthread_mutex_unlock(&mds.state_lock);
	usleep(300 * 1000);
	EXPECT(waitpid(pid, &status, WNOHANG), 0);	/* still waits */
	lease->ops->unlease(lease);
	EXPECT(waitpid(pid, &status, 0), pid);
	EXPECT(status, 0);
	struct fs_stat st;
	EXPECT(fs_getattr(inode, &st), 0);
	EXPECT(st.stx.stx_size, BS);
	/* And again from the start. */
	lease = lease_of(inode, 0, REASON_NONE);
	EXPECT(lease->broken, 0);
	lease->ops->unlease(lease);
	inode_put(inode);
}

/* More breaks than the signal queue holds: none is missed. */
static void
check_overflow(void)
{
	enum { FILES = 200 };
	struct rlimit few = { 4, 4 };
	EXPECT(setrlimit(RLIMIT_SIGPENDING, &few), 0);
	static struct inode *inodes[FILES];
	static struct layout_lease *held[FILES];
	char name[32], path[512];
	for (unsigned i = 0; i < FILES; i++) {
		snprintf(name, sizeof name, "many%u", i);
		close(create(name));
		inodes[i] = inode_of(name);
		held[i] = lease_of(inodes[i], 0, REASON_NONE);
	}
	atomic_store(&breaks, 0);
	pid_t pid = fork();
	if (pid == 0) {
		for (unsigned i = 0; i < FILES; i++) {
			snprintf(path, sizeof path, "%s/many%u", mnt, i);
			if (open(path, O_RDONLY | O_NONBLOCK) >= 0 || errno != EWOULDBLOCK)
				_exit(1);
		}
		_exit(0);
	}
	int status;
	EXPECT(waitpid(pid, &status, 0), pid);
	EXPECT(status, 0);
	for (unsigned i = 0; i < 2000 && atomic_load(&breaks) < FILES; i++)
		usleep(5000);
	EXPECT(atomic_load(&breaks), FILES);
	for (unsigned i = 0; i < FILES; i++) {
		held[i]->ops->unlease(held[i]);
		inode_put(inodes[i]);
	}
}

/* ---- numbers ---- */

static void
measure(void)
{
	enum reason why;
	uint64_t size = 256 * MIB, t;
	int fd = create("big");
	if (ftruncate(fd, (off_t)size))
		die("ftruncate");
	close(fd);
	struct inode *inode = inode_of("big");
	struct layout_lease *lease = lease_of(inode, 0, REASON_NONE);
	t = now_us();
	int n = map_locked(lease, 0, size, true, MAP_MAX, &why);
	t = now_us() - t;
	EXPECT(n > 0, 1);
	printf("zero-fill: %.0f MB/s, %d extents\n", (double)size / (double)t, n);
	for (int write = 0; write < 2; write++) {
		uint64_t least = UINT64_MAX;
		map_locked(lease, 0, size, write, MAP_MAX, &why);
		for (unsigned i = 0; i < 10; i++) {
			t = now_us();
			for (unsigned k = 0; k < 100; k++)
				map_locked(lease, 0, 128 * MIB, write, MAP_MAX, &why);
			t = now_us() - t;
			least = t < least ? t : least;
		}
		printf("map for %s, warm: %.2f us\n", write ? "writing" : "reading", (double)least / 100);
	}
	struct commit_attr attr = { 0 };
	t = now_us();
	for (unsigned i = 0; i < 10; i++)
		lease->ops->commit_blocks(lease, NULL, 0, &attr);
	printf("commit: %.0f us\n", (double)(now_us() - t) / 10);
	lease->ops->unlease(lease);
	t = now_us();
	for (unsigned i = 0; i < 1000; i++) {
		if (inode->export->ops->lease(inode, &lease, &why))
			die("lease");
		lease->ops->unlease(lease);
	}
	printf("lease and unlease: %.2f us\n", (double)(now_us() - t) / 1000);
	inode_put(inode);
}

/* ---- reservations ---- */

static int
client_write(struct nexus *client)
{
	uint8_t block[512];
	struct scsi_cmd cmd;
	scsi_rw16(&cmd, false, 0, 1, block, sizeof block);	/* exclusive access: reads conflict too */
	return nexus_run(client, &cmd);
}

static void
client_register(struct nexus *client, uint64_t key)
{
	uint8_t param[PR_OUT_PARAM_LEN];
	struct scsi_cmd cmd;
	scsi_pr_out(&cmd, param, PR_OUT_REGISTER_IGNORE, 6, 0, key, false);
	EXPECT(nexus_run(client, &cmd), 0);
}

static bool
key_there(struct device *device, uint64_t key)
{
	static struct pr_status st;
	EXPECT(device->pr->ops->status(device->pr, &st), 0);
	return pr_has_key(&st, key);
}

static struct nexus *
client_login(const char *name)
{
	struct nexus *client;
	char *error;
	if (nexus_open(dev_right.iscsi_url, name, 0, 5000, &client, &error))
		die("client: %s", error ? error : "?");
	return client;
}

static void
check_scsi(void)
{
	enum reason why;
	uint8_t id[DEVICE_ID_SIZE];
	struct fence_target target = { .key = 0xc1, .client = "c1" };
	struct nexus *client = client_login("iqn.2026-01.invalid.pnfs-block:c1");
	expect_reason("ptpl", 5, NULL, REASON_NO_PTPL);
	EXPECT(client_write(client), 0);

	struct export *export = open_export("right", 5, NULL), *twin = open_export("right", 5, NULL);
	EXPECT(export->layout_type, 5);
	EXPECT(twin->device == export->device, 1);
	export_put(twin);
	expect_reason("right", 3, NULL, REASON_WRONG_DEVICE);	/* one type per LUN */
	struct device *device = export->device;
	EXPECT(device->reserved, 1);
	EXPECT(device->designator_type, 3);
	memcpy(id, device->id, sizeof id);
	struct device *found = device_find(&mds, id);
	EXPECT(found == device, 1);
	device_put(found);
	id[0] ^= 1;
	EXPECT(device_find(&mds, id) == NULL, 1);
	id[0] ^= 1;
	EXPECT(client_write(client), -EBUSY);

	EXPECT(device_prepare(device, &why), 0);
	EXPECT(stable_key_add(&mds, "right", 0xc1), 0);
	client_register(client, 0xc1);
	EXPECT(client_write(client), 0);
	uint64_t t = now_us();
	EXPECT(device_fence(device, &target), 0);
	printf("fence: %" PRIu64 " us\n", now_us() - t);
	EXPECT(client_write(client), -EBUSY);
	EXPECT(device_fence(device, &target), 0);	/* gone already: confirmed again */
	target.key = 0xdead;				/* never registered (PITFALLS B12) */
	EXPECT(device_fence(device, &target), 0);

	/* A cut-off client registers its old key late: seen and cut off again. */
	client_register(client, 0xc1);
	EXPECT(client_write(client), 0);
	device->verified_ms = 1;
	EXPECT(device_prepare(device, &why), 0);
	EXPECT(key_there(device, 0xc1), 0);
	EXPECT(client_write(client), -EBUSY);

	/* The server dies with a client registered; the next one cuts it off before it offers layouts. */
	EXPECT(stable_key_add(&mds, "right", 0xc2), 0);
	client_register(client, 0xc2);
	export_put(export);				/* the reservation stays, since a client is registered */
	EXPECT(client_write(client), 0);
	export = open_export("right", 5, NULL);
	EXPECT(export->layout_type, 5);
	EXPECT(memcmp(export->device->id, id, sizeof id), 0);
	EXPECT(client_write(client), -EBUSY);
	EXPECT(key_there(export->device, 0xc2), 0);
	export_put(export);				/* nobody else: given back */
	EXPECT(client_write(client), 0);

	/* A stranger's reservation is not taken away. */
	uint8_t param[PR_OUT_PARAM_LEN];
	struct scsi_cmd cmd;
	client_register(client, 0xbad);
	expect_reason("right", 5, NULL, REASON_NO_RESERVATIONS);
	scsi_pr_out(&cmd, param, PR_OUT_RESERVE, 6, 0xbad, 0, false);
	EXPECT(nexus_run(client, &cmd), 0);
	expect_reason("right", 5, NULL, REASON_NO_RESERVATIONS);
	expect_reason("right", 3, NULL, REASON_NO_RESERVATIONS);
	EXPECT(client_write(client), 0);
	scsi_pr_out(&cmd, param, PR_OUT_CLEAR, 6, 0xbad, 0, false);
	EXPECT(nexus_run(client, &cmd), 0);
	expect_reason("right", 5, NULL, REASON_NONE);
	nexus_close(client);
}

int
main(int argc, char **argv)
{
	if (argc != 6)
		die("usage: check_export MNT STATE_DIR URL WRONG_URL LOOP");
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	export_block_signals();
	mnt = argv[1];
	mds.conf = (struct mds_conf){ .file = (char *)"test.conf", .state_dir = argv[2], .devices = &dev_none };
	dev_right.iscsi_url = dev_ptpl.iscsi_url = argv[3];
	dev_wrong.iscsi_url = argv[4];
	dev_path.path = argv[5];
	export_on_break = on_break;
	/* As if a server before this one was killed with layouts out. */
	char record[512];
	int found = 45;
	snprintf(record, sizeof record, "echo 45 >%s/lease-break-time; echo 0 >/proc/sys/fs/lease-break-time", argv[2]);
	EXPECT(system(record), 0);
	if (fs_new(&mds, &mds.fs))
		die("fs_new");
	SECTION("provider, device, proof by nonce: right and wrong LUN", check_open());
	struct export *export = open_export("right", 3, NULL);
	if (!export->layout_type || fs_export_add(mds.fs, export))
		die("no layouts: %s", reason_name(export->reason));
	struct nexus *client = client_login("iqn.2026-01.invalid.pnfs-block:writer");
	SECTION("random sparse files: maps as FIEMAP has them, bytes on the LUN as in the file, new blocks zero",
	    for (unsigned seed = 1; seed <= 20; seed++) check_random(export, seed));
	SECTION("preallocated blocks are zeros when they are given", check_unwritten(export));
	SECTION("written by the map, committed, read back", check_write(export, client));
	SECTION("refusals with reasons; suid stripped", check_refused());
	SECTION("a local truncate waits for the lease", check_break());
	SECTION("200 breaks at once, with room for 4 signals", check_overflow());
	SECTION("numbers", measure());
	nexus_close(client);
	fs_export_remove(mds.fs, export);
	export_put(export);
	fs_free(mds.fs);
	SECTION("lease-break-time as it was, before a killed server too", EXPECT(break_time(), found));
	SECTION("SCSI: reserve, fence, former life, strangers", check_scsi());
	devices_free(&mds);
	return integ_result();
}
