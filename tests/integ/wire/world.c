/*
 * The runner of the tests, and what they do beside the wire: files made locally, commands of the script.
 *
 *	wire PORT EXPORT IMAGE LUN block|scsi LEASE RECALL_TIMEOUT SUITE[:ID]...
 *
 * Prints PASS: and FAIL: lines.  A line "DO command" is for the script that runs it (wire_run in wire.sh), which answers with the exit status.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/integ/wire/wire.h"

struct world world;
static unsigned checks, failures, failed_tests;

uint64_t
now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

/* ---- expectations ---- */

void
wire_expect(const char *file, int line, const char *what, int64_t got, int64_t want)
{
	checks++;
	if (got == want)
		return;
	failures++;
	fprintf(stderr, "%s:%d: %s: %" PRId64 ", expected %" PRId64 "\n", file, line, what, got, want);
}

void
wire_true(const char *file, int line, const char *what, bool ok)
{
	checks++;
	if (ok)
		return;
	failures++;
	fprintf(stderr, "%s:%d: not so: %s\n", file, line, what);
}

void
wire_status(const char *file, int line, const char *what, nfsstat4 got, nfsstat4 want)
{
	checks++;
	if (got == want)
		return;
	failures++;
	fprintf(stderr, "%s:%d: %s: %s", file, line, what, got == WIRE_LOST ? "no answer" : nfs4_status_name(got));
	fprintf(stderr, ", expected %s\n", nfs4_status_name(want));
}

void
wire_give_up(const char *file, int line, const char *what)
{
	failures++;
	fprintf(stderr, "%s:%d: required: %s\n", file, line, what);
	longjmp(world.give_up, 1);
}

/* ---- the script ---- */

int
world_do(const char *fmt, ...)
{
	va_list ap;
	char line[64];
	printf("DO ");
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	fflush(stdout);
	REQUIRE(fgets(line, sizeof line, stdin));
	return atoi(line);
}

const char *
world_ask(const char *command)
{
	static char line[256];
	FILE *f = popen(command, "r");
	REQUIRE(f);
	if (!fgets(line, sizeof line, f))
		*line = 0;
	pclose(f);
	line[strcspn(line, "\n")] = 0;
	return line;
}

/* ---- local files ---- */

const char *
local_path(const char *name)
{
	static char path[4][512];
	static unsigned i;
	char *p = path[i++ % 4];
	snprintf(p, sizeof path[0], "%s/%s/%s", world.export, world.dir, name);
	return p;
}

void
pattern_fill(void *buf, uint64_t offset, uint64_t len, uint64_t seed)
{
	uint8_t *p = buf;
	for (uint64_t i = 0; i < len; i++) {
		uint64_t word = ((offset + i) / 8 * 8 + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ seed;
		p[i] = seed ? (uint8_t)(word >> ((offset + i) % 8 * 8)) : 0;
	}
}

bool
pattern_is(const void *buf, uint64_t offset, uint64_t len, uint64_t seed)
{
	static uint8_t want[MiB];
	const uint8_t *p = buf;
	for (uint64_t at = 0; at < len;) {
		uint64_t n = len - at < sizeof want ? len - at : sizeof want;
		pattern_fill(want, offset + at, n, seed);
		if (memcmp(p + at, want, n)) {
			uint64_t i = 0;
			while (p[at + i] == want[i])
				i++;
			fprintf(stderr, "byte %" PRIu64 " is %#x, not %#x\n", offset + at + i, p[at + i], want[i]);
			return false;
		}
		at += n;
	}
	return true;
}

static int
local_open(const char *name, int flags)
{
	int fd = open(local_path(name), flags | O_CLOEXEC, 0644);
	if (fd < 0)
		fprintf(stderr, "%s: %s\n", local_path(name), strerror(errno));
	REQUIRE(fd >= 0);
	return fd;
}

static void
put_pattern(int fd, uint64_t offset, uint64_t len, uint64_t seed)
{
	static uint8_t buf[MiB];
	while (len) {
		uint64_t n = len < sizeof buf ? len : sizeof buf;
		pattern_fill(buf, offset, n, seed);
		REQUIRE(pwrite(fd, buf, n, (off_t)offset) == (ssize_t)n);
		offset += n;
		len -= n;
	}
}

void
local_make(const char *name, uint64_t size, uint64_t seed)
{
	int fd = local_open(name, O_CREAT | O_TRUNC | O_WRONLY);
	put_pattern(fd, 0, size, seed);
	REQUIRE(!fsync(fd) && !close(fd));
}

void
local_put(const char *name, uint64_t offset, uint64_t len, uint64_t seed)
{
	int fd = local_open(name, O_WRONLY);
	put_pattern(fd, offset, len, seed);
	REQUIRE(!fsync(fd) && !close(fd));
}

void
local_sparse(const char *name, uint64_t size)
{
	int fd = local_open(name, O_CREAT | O_TRUNC | O_WRONLY);
	REQUIRE(!ftruncate(fd, (off_t)size) && !fsync(fd) && !close(fd));
}

void
local_prealloc(const char *name, uint64_t size)
{
	int fd = local_open(name, O_CREAT | O_TRUNC | O_WRONLY);
	REQUIRE(!fallocate(fd, 0, 0, (off_t)size) && !fsync(fd) && !close(fd));
}

void
local_fragments(const char *name, unsigned count, uint32_t block, uint64_t seed)
{
	int fd = local_open(name, O_CREAT | O_TRUNC | O_WRONLY);
	for (unsigned i = 0; i < count; i++)
		put_pattern(fd, (uint64_t)i * 2 * block, block, seed);
	REQUIRE(!fsync(fd) && !close(fd));
}

bool
local_is(const char *name, uint64_t offset, uint64_t len, uint64_t seed)
{
	static uint8_t buf[MiB];
	int fd = local_open(name, O_RDONLY);
	bool same = true;
	while (len && same) {
		uint64_t n = len < sizeof buf ? len : sizeof buf;
		same = pread(fd, buf, n, (off_t)offset) == (ssize_t)n && pattern_is(buf, offset, n, seed);
		offset += n;
		len -= n;
	}
	close(fd);
	return same;
}

uint64_t
local_size(const char *name)
{
	struct stat st;
	return stat(local_path(name), &st) ? ALL : (uint64_t)st.st_size;
}

static int
local_run(enum local_op op, const char *name, uint64_t arg)
{
	uint8_t buf[4096];
	const char *path = local_path(name);
	if (op == LOCAL_TRUNCATE)
		return truncate(path, (off_t)arg) ? errno : 0;
	int fd = open(path, op == LOCAL_WRITE ? O_WRONLY : O_RDONLY);
	if (fd < 0)
		return errno;
	if (op == LOCAL_WRITE) {
		pattern_fill(buf, arg, sizeof buf, 99);
		return pwrite(fd, buf, sizeof buf, (off_t)arg) != sizeof buf || fsync(fd) ? errno : 0;
	}
	return op == LOCAL_READ && pread(fd, buf, sizeof buf, (off_t)arg) != sizeof buf ? EIO : 0;
}

pid_t
local_start(enum local_op op, const char *name, uint64_t arg)
{
	fflush(stdout);
	pid_t pid = fork();
	REQUIRE(pid >= 0);
	if (!pid)
		_exit(local_run(op, name, arg));
	return pid;
}

bool
local_wait(pid_t pid, unsigned ms, int *err)
{
	int status;
	for (uint64_t end = now_ms() + ms;;) {
		if (waitpid(pid, &status, WNOHANG) == pid) {
			if (err)
				*err = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
			return true;
		}
		if (now_ms() >= end)
			return false;
		world_pump(10);
	}
}

/* ---- the server ---- */

void
server_term(void)
{
	REQUIRE(world_do("kill -TERM $MDS_PID") == 0);
}

bool
server_ended(struct client *c, unsigned ms)
{
	for (uint64_t end = now_ms() + ms; c->fd[c->conn] >= 0; world_pump(10))
		if (now_ms() >= end)
			return false;
	return true;
}

void
server_again(void)
{
	REQUIRE(world_do("wait $MDS_PID; world_mds_run") == 0);
}

unsigned
server_logged(const char *text)
{
	return (unsigned)world_do("(exit $(grep -c '%s' $W/mds.log))", text);
}

/* ---- running ---- */

static const struct {
	const char *name;
	const struct wire_test *tests;
} suites[] = {
	{ "layout", tests_layout }, { "grant", tests_grant }, { "commit", tests_commit }, { "recall", tests_recall },
	{ "conflict", tests_conflict }, { "space", tests_space }, { "session", tests_session }, { "backchannel", tests_backchannel }, { "state", tests_state },
	{ "device", tests_device },
	{ "fence", tests_fence }, { "unfenced", tests_unfenced }, { "scsi", tests_scsi }, { "former", tests_former }, { "reload", tests_reload }, { "restart", tests_restart },
	{ "restart-unfenced", tests_restart_unfenced }, { "garbage", tests_garbage },
};

static void
run_test(const struct wire_test *t)
{
	static unsigned number;
	unsigned failures_before = failures, checks_before = checks, wrong_before = layouts_wrong();
	uint64_t began = now_ms();
	snprintf(world.dir, sizeof world.dir, "%.*s.%u", (int)strcspn(t->id, " "), t->id, ++number);
	char path[512];
	snprintf(path, sizeof path, "%s/%s", world.export, world.dir);
	fprintf(stderr, "-- %s %s\n", t->id, t->text);
	if (!setjmp(world.give_up)) {
		REQUIRE(!mkdir(path, 0777));
		t->fn();
	}
	struct client **all;
	for (unsigned i = 0, n = clients(&all); i < n; i++)
		if (all[i]->cb_errors)
			failures++;
	if (!setjmp(world.give_up))
		clients_end();
	else
		fprintf(stderr, "clients left\n");
	bool failed = failures != failures_before || checks == checks_before || layouts_wrong() != wrong_before;
	failed_tests += failed;
	printf("%s: %s: %s\n", failed ? "FAIL" : "PASS", t->id, t->text);
	fflush(stdout);
	fprintf(stderr, "-- %s: %" PRIu64 " ms\n", failed ? "FAIL" : "ok", now_ms() - began);
}

static void
run_suite(char *spec)
{
	char *only = strchr(spec, ':');
	if (only)
		*only++ = 0;
	unsigned run = 0;
	for (unsigned i = 0; i < sizeof suites / sizeof *suites; i++)
		for (const struct wire_test *t = suites[i].tests; !strcmp(suites[i].name, spec) && t->id; t++)
			if (!only || !strcmp(only, t->id)) {
				run_test(t);
				run++;
			}
	if (!run) {
		printf("FAIL: no test %s %s\n", spec, only ? only : "");
		failed_tests++;
	}
}

int
main(int argc, char **argv)
{
	struct stat st;
	if (argc < 9) {
		fputs("usage: wire PORT EXPORT IMAGE LUN block|scsi LEASE RECALL SUITE[:ID]...\n", stderr);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	world.port = (uint16_t)atoi(argv[1]);
	world.export = argv[2];
	world.image = open(argv[3], O_RDWR | O_CLOEXEC);
	world.lun = argv[4];
	world.type = !strcmp(argv[5], "scsi") ? LAYOUT4_SCSI : LAYOUT4_BLOCK_VOLUME;
	world.lease = (unsigned)atoi(argv[6]);
	world.recall = (unsigned)atoi(argv[7]);
	world.max_io = getenv("MAX_IO_TIME") ? (unsigned)atoi(getenv("MAX_IO_TIME")) : 30;
	world.kernel = getenv("PROVIDER") && !strcmp(getenv("PROVIDER"), "kernel");
	if (world.image < 0 || fstat(world.image, &st)) {
		perror(argv[3]);
		return 2;
	}
	world.image_size = (uint64_t)st.st_size;
	for (int i = 8; i < argc; i++)
		run_suite(argv[i]);
	if (layouts_checked())
		printf("%s: A25: %u layout replies by the own decoder, %u wrong\n", layouts_wrong() ? "FAIL" : "PASS", layouts_checked(),
		    layouts_wrong());
	printf("%u checks, %u failed\n", checks, failures);
	return failed_tests || layouts_wrong() ? 1 : 0;
}
