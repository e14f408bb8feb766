/*
 * Provider plain and devices on a real XFS over a real target; run by test_export.sh.
 *
 *	check_export MNT STATE_DIR URL WRONG_URL LOOP
 *
 * WRONG_URL is a LUN with a copy of the image made before: the same UUID, another disk.
 */
#include "tests/integ/export/export.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "include/cleanup.h"
#include "server/conf/conf.h"
#include "server/conf/exports.h"
#include "tests/integ/fakes.h"

struct mds server = { .state_lock = PTHREAD_MUTEX_INITIALIZER };
static struct device_conf dev_right = { .name = (char *)"right", .allow_no_ptpl = true };
static struct device_conf dev_wrong = { .name = (char *)"wrong", .allow_no_ptpl = true, .next = &dev_right };
static struct device_conf dev_ptpl = { .name = (char *)"ptpl", .next = &dev_wrong };
static struct device_conf dev_path = { .name = (char *)"path", .next = &dev_ptpl };
static struct device_conf dev_none = { .name = (char *)"none", .next = &dev_path };
const char *mnt;
bool kernel;
struct iomap map[MAP_MAX];

struct export *
open_export(const char *device, uint32_t type, const char *provider)
{
	struct export_line line = { .path = (char *)(uintptr_t)mnt, .line = 1, .pnfs = true, .layout_type = type,
		.provider = (char *)(uintptr_t)provider, .device = (char *)(uintptr_t)device };
	struct export *export;
	char *error;
	int r = export_open(&server, &line, &export, &error);
	if (r)
		die("export_open: %s", error ? error : strerror(-r));
	return export;
}

void
expect_reason(const char *device, uint32_t type, const char *provider, enum reason reason)
{
	struct export *export = open_export(device, type, provider);
	EXPECT(export->reason, reason);
	EXPECT(export->layout_type, reason == REASON_NONE || export->waiting ? type : 0);
	EXPECT(export->device != NULL, reason == REASON_NONE);
	EXPECT(export->ops != NULL, reason == REASON_NONE);
	export_put(export);
}

struct nexus *
client_login(const char *name)
{
	struct nexus *client;
	char *error;
	if (nexus_open(dev_right.iscsi_url, name, 0, 5000, &client, &error))
		die("client: %s", error ? error : "?");
	return client;
}

struct inode *
inode_of(const char *name)
{
	struct inode *root, *inode;
	struct stat st;
	char path[512];
	snprintf(path, sizeof path, "%s/%s", mnt, name);
	if (stat(path, &st))
		die("%s: %s", path, strerror(errno));
	if (fs_root(server.fs, &root))
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

uint8_t
pattern(uint64_t offset, unsigned seed)
{
	return (uint8_t)((offset / 512 * 131 + offset * 7 + seed * 37) % 251 + 1);
}

void
fill(int fd, uint64_t offset, uint64_t length, unsigned seed)
{
	CLEANUP_FREE uint8_t *buf = malloc(length);
	for (uint64_t i = 0; i < length; i++)
		buf[i] = pattern(offset + i, seed);
	if (pwrite(fd, buf, length, (off_t)offset) != (ssize_t)length)
		die("pwrite: %s", strerror(errno));
}

int
create(const char *name)
{
	char path[512];
	snprintf(path, sizeof path, "%s/%s", mnt, name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	return fd;
}

int
map_locked(struct layout_lease *lease, uint64_t offset, uint64_t length, bool write, unsigned max, enum reason *why)
{
	struct inode *inode = lease->inode;
	pthread_rwlock_wrlock(&inode->io_lock);
	int n = lease->ops->map_blocks(lease, offset, length, write, map, max, why);
	pthread_rwlock_unlock(&inode->io_lock);
	return n;
}

struct layout_lease *
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

/* nfsd's, after its start. */
static void
grace_wait(void)
{
	struct layout_lease *lease;
	enum reason why = REASON_GRACE;
	close(create("grace"));
	struct inode *inode = inode_of("grace");
	for (unsigned i = 0; i < 150 && why == REASON_GRACE; i++) {
		pthread_rwlock_wrlock(&inode->io_lock);
		int r = inode->export->ops->lease(inode, &lease, &why);
		if (r == 0)
			lease->ops->unlease(lease);
		pthread_rwlock_unlock(&inode->io_lock);
		if (why == REASON_GRACE)
			usleep(100 * 1000);
	}
	EXPECT(why, REASON_NONE);
	inode_put(inode);
}

/* ---- opening, proof ---- */

static void
check_open(void)
{
	struct export_line line = { .path = (char *)(uintptr_t)mnt, .line = 7, .pnfs = true, .layout_type = 3, .device = (char *)"nowhere" };
	struct export *export;
	char *error;
	expect_reason("right", 3, NULL, REASON_NONE);
	expect_reason("path", 3, "plain", REASON_NONE);
	expect_reason("wrong", 3, NULL, REASON_WRONG_DEVICE);
	expect_reason("none", 3, NULL, REASON_NO_DEVICE);
	expect_reason(NULL, 3, NULL, REASON_NO_DEVICE);
	if (kernel || access("/proc/fs/nfsd", F_OK))	/* not here, or it is the one looked at */
		expect_reason("right", 3, "kernel", kernel ? REASON_NONE : REASON_UNSUPPORTED_KERNEL);
	expect_reason("path", 5, NULL, REASON_NO_RESERVATIONS);
	EXPECT(export_open(&server, &line, &export, &error), -EINVAL);
	EXPECT(error && strstr(error, "nowhere"), 1);
	free(error);
}

int
main(int argc, char **argv)
{
	if (argc < 6 || argc > 7)
		die("usage: check_export MNT STATE_DIR URL WRONG_URL LOOP [plain|kernel]");
	kernel = argc == 7 && !strcmp(argv[6], "kernel");
	signal(SIGPIPE, SIG_IGN);
	setvbuf(stdout, NULL, _IOLBF, 0);
	export_block_signals();
	mnt = argv[1];
	server.conf = (struct mds_conf){ .file = (char *)"test.conf", .state_dir = argv[2], .devices = &dev_none };
	dev_right.iscsi_url = dev_ptpl.iscsi_url = argv[3];
	dev_wrong.iscsi_url = argv[4];
	dev_path.path = argv[5];
	export_on_break = on_break;
	/* As if a server before this one was killed with layouts out. */
	char record[512];
	int found = 45;
	snprintf(record, sizeof record, "echo 45 >%s/lease-break-time; echo 0 >/proc/sys/fs/lease-break-time", argv[2]);
	EXPECT(system(record), 0);
	if (fs_new(&server, &server.fs))
		die("fs_new");
	SECTION("provider, device, proof by nonce: right and wrong LUN", check_open());
	struct export *export = open_export("right", 3, kernel ? "kernel" : "plain");
	if (!export->layout_type || fs_export_add(server.fs, export))
		die("no layouts: %s", reason_name(export->reason));
	struct nexus *client = client_login("iqn.2026-01.invalid.pnfs-block:writer");
	if (kernel)
		grace_wait();
	SECTION("random sparse files: maps as FIEMAP has them, bytes on the LUN as in the file, new blocks zero",
	    for (unsigned seed = 1; seed <= 20; seed++) check_random(export, seed));
	SECTION("preallocated blocks are zeros when they are given", check_unwritten(export));
	SECTION("written by the map, committed, read back", check_write(client));
	if (kernel)
		SECTION("appended by the map: exact size, and its time", check_append(client));
	SECTION("refusals with reasons; suid stripped", check_refused());
	SECTION("a local truncate waits for the lease", check_break());
	SECTION("200 breaks at once, with room for 4 signals", check_overflow());
	SECTION("numbers", measure());
	nexus_close(client);
	fs_export_remove(server.fs, export);
	export_put(export);
	fs_free(server.fs);
	if (!kernel)
		SECTION("lease-break-time as it was, before a killed server too", EXPECT(break_time(), found));
	SECTION("SCSI: reserve, fence, former life, strangers", check_scsi());
	devices_free(&server);
	return integ_result();
}
