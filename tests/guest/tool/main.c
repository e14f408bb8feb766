/*
 * main.c: data of a known pattern, written and checked in every way a program can.  For tests/guest/scenarios.
 *
 *	tool write|check FILE OFFSET LENGTH SEED [direct]	pwrite and fsync; pread and compare
 *	tool compare FILE OFFSET LENGTH SEED			FILE is a copy of that part alone
 *	tool store FILE OFFSET LENGTH SEED			by a shared mapping, and msync
 *	tool truncate FILE SIZE					ftruncate (coreutils' opens without waiting for leases)
 *	tool model FILE SECONDS SEED				random operations against a model
 *
 * SEED 0: zeros.  OFFSET and LENGTH are bytes, multiples of 8 (of 4096 for direct).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tool.h"

#define PIECE ((size_t)1 << 20)

int
tool_error(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	return 1;
}

void
pattern_fill(void *buf, size_t length, uint64_t offset, uint64_t seed)
{
	uint64_t *word = buf;

	if (seed == 0) {
		memset(buf, 0, length);
		return;
	}
	for (size_t i = 0; i < length / sizeof(*word); i++) {
		uint64_t x = (offset / sizeof(*word) + i + 1) * 0x9e3779b97f4a7c15u + seed * 0xd6e8feb86659fd93u;

		x ^= x >> 32;
		x *= 0xd6e8feb86659fd93u;
		word[i] = x ^ x >> 29;
	}
}

static int
data_write(int fd, uint64_t offset, uint64_t length, uint64_t seed, char *buf)
{
	while (length > 0) {
		size_t n = length < PIECE ? length : PIECE;

		pattern_fill(buf, n, offset, seed);
		if (pwrite(fd, buf, n, (off_t)offset) != (ssize_t)n)
			return tool_error("write");
		offset += n;
		length -= n;
	}
	return fsync(fd) ? tool_error("fsync") : 0;
}

/* `base`: the offset that the file begins with. */
static int
data_check(int fd, uint64_t base, uint64_t offset, uint64_t length, uint64_t seed, char *buf)
{
	char *got = buf + PIECE;

	while (length > 0) {
		size_t n = length < PIECE ? length : PIECE;
		ssize_t done = pread(fd, got, n, (off_t)(offset - base));

		if (done != (ssize_t)n) {
			fprintf(stderr, "read at %llu: %zd of %zu bytes: %s\n", (unsigned long long)offset, done, n,
				done < 0 ? strerror(errno) : "end of file");
			return 1;
		}
		pattern_fill(buf, n, offset, seed);
		for (size_t i = 0; i < n; i++) {
			if (buf[i] != got[i]) {
				fprintf(stderr, "wrong byte at %llu: %02x, not %02x\n", (unsigned long long)(offset + i),
					(unsigned char)got[i], (unsigned char)buf[i]);
				return 1;
			}
		}
		offset += n;
		length -= n;
	}
	return 0;
}

static int
data_store(int fd, uint64_t offset, uint64_t length, uint64_t seed)
{
	uint64_t page = offset & 4095;
	char *map = mmap(NULL, length + page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(offset - page));

	if (map == MAP_FAILED)
		return tool_error("mmap");
	pattern_fill(map + page, length, offset, seed);
	if (msync(map, length + page, MS_SYNC))
		return tool_error("msync");
	munmap(map, length + page);
	return 0;
}

static int
data_command(const char *verb, char **argv, int direct)
{
	int compare = !strcmp(verb, "compare"), writing = !compare && strcmp(verb, "check"), status;
	uint64_t offset = strtoull(argv[1], NULL, 0), length = strtoull(argv[2], NULL, 0), seed = strtoull(argv[3], NULL, 0);
	int fd = open(argv[0], (writing ? O_RDWR | O_CREAT : O_RDONLY) | (direct ? O_DIRECT : 0), 0644);
	char *buf;

	if (fd < 0)
		return tool_error(argv[0]);
	if (posix_memalign((void **)&buf, 4096, 2 * PIECE))
		return tool_error("memory");
	if (strcmp(verb, "store") == 0)
		status = data_store(fd, offset, length, seed);
	else if (writing)
		status = data_write(fd, offset, length, seed, buf);
	else
		status = data_check(fd, compare ? offset : 0, offset, length, seed, buf);
	free(buf);
	if (close(fd))
		return tool_error("close");
	return status;
}

static int
file_truncate(const char *path, const char *size)
{
	int fd = open(path, O_RDWR | O_CREAT, 0644);

	if (fd < 0 || ftruncate(fd, (off_t)strtoull(size, NULL, 0)) || close(fd))
		return tool_error(path);
	return 0;
}

int
main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	int data = !strcmp(verb, "write") || !strcmp(verb, "check") || !strcmp(verb, "compare") || !strcmp(verb, "store");

	if (data && (argc == 6 || argc == 7))
		return data_command(verb, argv + 2, argc == 7);
	if (argc == 4 && !strcmp(verb, "truncate"))
		return file_truncate(argv[2], argv[3]);
	if (argc == 5 && !strcmp(verb, "model"))
		return model_run(argv[2], (unsigned)strtoul(argv[3], NULL, 0), strtoull(argv[4], NULL, 0));
	fprintf(stderr, "usage: tool write|check|compare|store FILE OFFSET LENGTH SEED [direct] | truncate FILE SIZE | model FILE SECONDS SEED\n");
	return 2;
}
