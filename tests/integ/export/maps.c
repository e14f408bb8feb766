/* Maps of the provider against FIEMAP, the local file and the bytes of the LUN. */
#include "tests/integ/export/export.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "include/cleanup.h"
#include "server/export/fiemap.h"
#include "server/fence/fence.h"
#include "server/fence/scsi_cdb.h"

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
expect_form(const struct iomap *m, int n, uint64_t offset, uint64_t end, bool write)
{
	uint64_t pos = offset;
	unsigned bad = 0;
	for (int i = 0; i < n; i++) {
		bad += m[i].offset != pos || !m[i].length || m[i].length % BS || m[i].addr % BS;
		bad += (m[i].type == IOMAP_UNWRITTEN && !kernel) || (m[i].type == IOMAP_HOLE && (write || m[i].addr));
		pos += m[i].length;
	}
	EXPECT(bad, 0);
	EXPECT(pos, end);
}

/* Through the map and the LUN the file has the bytes of the local file. */
static void
expect_bytes(struct export *export, const struct iomap *m, int n, const uint8_t *want, uint64_t size)
{
	unsigned bad = 0;
	for (int i = 0; i < n; i++) {
		uint64_t len = m[i].offset >= size ? 0 : m[i].offset + m[i].length > size ? size - m[i].offset : m[i].length;
		CLEANUP_FREE uint8_t *buf = calloc(1, m[i].length);
		if (m[i].type == IOMAP_MAPPED)
			lun_get(export, m[i].addr, buf, m[i].length);
		if (len && memcmp(buf, want + m[i].offset, len))
			bad++;
	}
	EXPECT(bad, 0);
}

/* The kernel's own map, whatever is written and inside EOF, extent by extent. */
static void
expect_truth(int fd, const struct iomap *m, int n)
{
	static struct fiemap_iter it;
	struct iomap truth;
	enum reason why;
	unsigned bad = 0;
	for (int i = 0; i < n; i++) {
		uint64_t addr = m[i].addr;
		fiemap_start(&it, fd, m[i].offset, m[i].offset + m[i].length, false);
		while (fiemap_next(&it, &truth, &why) > 0) {
			bad += m[i].type == IOMAP_MAPPED ? truth.type != IOMAP_MAPPED || truth.addr != addr :
			    truth.type == IOMAP_MAPPED;
			addr += truth.length;
		}
	}
	EXPECT(bad, 0);
}

/* Random sparse, fragmented, preallocated; then the same ranges for writing. */
void
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

	uint64_t whole = kernel ? blocks * BS : size / BS * BS;
	n = map_locked(lease, 0, blocks * BS, true, MAP_MAX, &why);
	EXPECT(n > 0, 1);
	EXPECT(why, size % BS && !kernel ? REASON_EOF_BLOCK : REASON_NONE);
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
void
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
	EXPECT(map[0].type, kernel ? IOMAP_UNWRITTEN : IOMAP_HOLE);
	lease->ops->unlease(lease);
	inode_put(inode);
}

/* BUF, the file from its start, to where map[] says. */
static void
lun_put(struct nexus *client, int n, uint8_t *buf)
{
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
}

/*
 * A client writes by the map straight to the LUN; after the commit the file has it, locally too (PITFALLS A23), with a new change and the same size (A1).
 */
void
check_write(struct nexus *client)
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
	int data = inode_data_fd(inode), n = map_locked(lease, 0, size, true, MAP_MAX, &why);
	EXPECT(n > 0, 1);
	if (pread(data, now, size, 0) != (ssize_t)size)	/* makes stale pages */
		die("pread");
	fs_getattr(inode, &before);
	for (uint64_t i = 0; i < size; i++)
		buf[i] = pattern(i, 99);
	lun_put(client, n, buf);
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

/*
 * Into an empty file: what is committed is there to the byte, with the writer's time; what was written and not committed is zeros (PITFALLS A3), and a size over
 * blocks that were not committed is refused.
 */
void
check_append(struct nexus *client)
{
	uint64_t size = 3 * MIB - 12345, room = 4 * MIB;
	close(create("appended"));
	struct inode *inode = inode_of("appended");
	struct layout_lease *lease = lease_of(inode, 0, REASON_NONE);
	CLEANUP_FREE uint8_t *buf = malloc(room), *now = calloc(1, room);
	enum reason why;
	struct fs_stat st;
	int data = inode_data_fd(inode), n = map_locked(lease, 0, room, true, MAP_MAX, &why);
	EXPECT(n > 0, 1);
	expect_form(map, n, 0, room, true);
	for (int i = 0; i < n; i++)
		EXPECT(map[i].type, IOMAP_UNWRITTEN);
	for (uint64_t i = 0; i < room; i++)
		buf[i] = pattern(i, 77);
	lun_put(client, n, buf);
	struct commit_attr attr = { .size_valid = true, .size = size };
	pthread_rwlock_wrlock(&inode->io_lock);
	EXPECT(lease->ops->commit_blocks(lease, NULL, 0, &attr) < 0, 1);
	attr.mtime_valid = true;
	clock_gettime(CLOCK_REALTIME, &attr.mtime);
	attr.mtime.tv_nsec = attr.mtime.tv_nsec / 1000 * 1000;
	struct iomap range = { .length = 3 * MIB };
	EXPECT(lease->ops->commit_blocks(lease, &range, 1, &attr), 0);
	pthread_rwlock_unlock(&inode->io_lock);
	EXPECT(fs_getattr(inode, &st), 0);
	EXPECT(st.stx.stx_size, size);
	EXPECT(st.stx.stx_mtime.tv_sec, attr.mtime.tv_sec);
	EXPECT(st.stx.stx_mtime.tv_nsec, attr.mtime.tv_nsec);
	EXPECT(pread(data, now, room, 0), (ssize_t)size);
	EXPECT(memcmp(now, buf, size), 0);
	/* the rest was written, but never committed */
	n = map_locked(lease, 0, room, true, MAP_MAX, &why);
	EXPECT(n > 0 && map[n - 1].type == IOMAP_UNWRITTEN && map[n - 1].offset >= size, 1);
	lease->ops->unlease(lease);
	EXPECT(ftruncate(data, (off_t)room), 0);
	EXPECT(pread(data, now, room, 0), (ssize_t)room);
	unsigned foreign = 0;
	for (uint64_t i = size; i < room; i++)
		foreign += now[i] != 0;
	EXPECT(foreign, 0);
	inode_put(inode);
}

/* ---- numbers ---- */

static int
by_value(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

#define ROUNDS 200u

/* What stands behind a LAYOUTGET for a file of 256 MiB when nothing is known of it: lease, map of 1 MiB, commit, unlease; medians. */
static void
measure_cold(struct inode *inode)
{
	static uint64_t took[4][ROUNDS];
	static const char *const what[] = { "lease", "map for writing, first", "commit of 1 MiB", "unlease" };
	struct commit_attr attr = { 0 };
	struct layout_lease *lease;
	enum reason why;
	pthread_rwlock_wrlock(&inode->io_lock);
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct iomap range = { .offset = i * MIB, .length = MIB };
		uint64_t t[5] = { now_us() };
		if (inode->export->ops->lease(inode, &lease, &why))
			die("lease");
		t[1] = now_us();
		if (lease->ops->map_blocks(lease, range.offset, MIB, true, map, MAP_MAX, &why) < 1)
			die("map");
		t[2] = now_us();
		if (lease->ops->commit_blocks(lease, &range, 1, &attr))
			die("commit");
		t[3] = now_us();
		lease->ops->unlease(lease);
		t[4] = now_us();
		for (unsigned k = 0; k < 4; k++)
			took[k][i] = t[k + 1] - t[k];
	}
	pthread_rwlock_unlock(&inode->io_lock);
	for (unsigned k = 0; k < 4; k++) {
		qsort(took[k], ROUNDS, sizeof took[k][0], by_value);
		printf("%s, p50: %" PRIu64 " us\n", what[k], took[k][ROUNDS / 2]);
	}
}

void
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
	printf("new space: %.0f MB/s, %d extents\n", (double)size / (double)t, n);
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
	measure_cold(inode);
	inode_put(inode);
}
