/*
 * main.c: data of a known pattern, written and checked in every way a program can.  For tests/guest/scenarios.
 *
 *	tool write|check FILE OFFSET LENGTH SEED [direct]	pwrite and fsync; pread and compare
 *	tool compare FILE OFFSET LENGTH SEED			FILE is a copy of that part alone
 *	tool store FILE OFFSET LENGTH SEED			by a shared mapping, and msync
 *	tool has FILE END:SEED...				the whole file: up to END the bytes of SEED, and so on; the last END is its size
 *	tool truncate FILE SIZE					ftruncate (coreutils' opens without waiting for leases)
 *	tool model FILE SECONDS|Nx SEED [WRITER WRITERS]	random operations against a model; prints a sum
 *	tool sum FILE [WRITER WRITERS]				the sum of a file, as model prints it
 *	tool tree DIRECTORY SECONDS SEED FIRST COUNT		random files by COUNT processes
 *	tool treecheck DIRECTORY				what they left
 *	tool insist FILE OFFSET LENGTH SEED STOP		open once, O_DIRECT, write over and over until the file STOP is there; fsync
 *
 * SEED 0: zeros.  OFFSET, LENGTH, END and SIZE are bytes, K or M; multiples of 8 (of 4096 for direct).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

uint64_t
tool_random(uint64_t *state, uint64_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % below;
}

/* "4096", "64K", "8M" */
static uint64_t
size_parse(const char *text)
{
	char *rest;
	uint64_t n = strtoull(text, &rest, 0);

	return *rest == 'K' ? n << 10 : *rest == 'M' ? n << 20 : n;
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
data_check(int fd, const char *name, uint64_t base, uint64_t offset, uint64_t length, uint64_t seed, char *buf)
{
	char *got = buf + PIECE;

	while (length > 0) {
		size_t n = length < PIECE ? length : PIECE;
		ssize_t done = pread(fd, got, n, (off_t)(offset - base));

		if (done != (ssize_t)n) {
			fprintf(stderr, "%s: read at %llu: %zd of %zu bytes: %s\n", name, (unsigned long long)offset, done, n,
				done < 0 ? strerror(errno) : "end of file");
			return 1;
		}
		pattern_fill(buf, n, offset, seed);
		for (size_t i = 0; i < n; i++) {
			if (buf[i] != got[i]) {
				fprintf(stderr, "%s: wrong byte at %llu: %02x, not %02x\n", name, (unsigned long long)(offset + i),
					(unsigned char)got[i], (unsigned char)buf[i]);
				return 1;
			}
		}
		offset += n;
		length -= n;
	}
	return 0;
}

int
pattern_check(int fd, const char *name, uint64_t from, uint64_t end, uint64_t seed)
{
	char *buf;
	int status;

	if (posix_memalign((void **)&buf, 4096, 2 * PIECE))
		return tool_error("memory");
	status = data_check(fd, name, 0, from, end - from, seed, buf);
	free(buf);
	return status;
}

/* Parts that follow each other, and end with the file. */
static int
file_has(const char *path, char **parts, int count)
{
	int fd = open(path, O_RDONLY), status = 0;
	uint64_t from = 0;
	struct stat st;

	if (fd < 0)
		return tool_error(path);
	for (int i = 0; i < count && status == 0; i++) {
		const char *seed = strchr(parts[i], ':');
		uint64_t end = size_parse(parts[i]);

		/* a suffix stands before the colon */
		if (!seed || end < from)
			return 2;
		status = pattern_check(fd, path, from, end, strtoull(seed + 1, NULL, 0));
		from = end;
	}
	if (status == 0 && (fstat(fd, &st) || (uint64_t)st.st_size != from)) {
		fprintf(stderr, "%s: size %lld, not %llu\n", path, (long long)st.st_size, (unsigned long long)from);
		status = 1;
	}
	close(fd);
	return status;
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
	uint64_t offset = size_parse(argv[1]), length = size_parse(argv[2]), seed = strtoull(argv[3], NULL, 0);
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
		status = data_check(fd, argv[0], compare ? offset : 0, offset, length, seed, buf);
	free(buf);
	if (close(fd))
		return tool_error("close");
	return status;
}

static int
file_truncate(const char *path, const char *size)
{
	int fd = open(path, O_RDWR | O_CREAT, 0644);

	if (fd < 0 || ftruncate(fd, (off_t)size_parse(size)) || close(fd))
		return tool_error(path);
	return 0;
}

static unsigned
number(const char *text)
{
	return (unsigned)strtoul(text, NULL, 0);
}

/* Commands with a file and numbers. */
static int
random_command(int argc, char **argv)
{
	const char *verb = argv[1], *path = argv[2];

	if ((argc == 5 || argc == 7) && !strcmp(verb, "model"))
		return model_run(path, argv[3], strtoull(argv[4], NULL, 0), argc == 7 ? number(argv[5]) : 0,
			argc == 7 ? number(argv[6]) : 1);
	if ((argc == 3 || argc == 5) && !strcmp(verb, "sum"))
		return model_sum(path, argc == 5 ? number(argv[3]) : 0, argc == 5 ? number(argv[4]) : 1);
	if (argc == 7 && !strcmp(verb, "tree"))
		return tree_run(path, number(argv[3]), strtoull(argv[4], NULL, 0), number(argv[5]), number(argv[6]));
	if (argc == 3 && !strcmp(verb, "treecheck"))
		return tree_check(path);
	return -1;
}

int
main(int argc, char **argv)
{
	const char *verb = argc > 2 ? argv[1] : "";
	int data = !strcmp(verb, "write") || !strcmp(verb, "check") || !strcmp(verb, "compare") || !strcmp(verb, "store");
	int status;

	if (data && (argc == 6 || argc == 7))
		return data_command(verb, argv + 2, argc == 7);
	if (argc == 7 && !strcmp(verb, "insist"))
		return insist_run(argv[2], size_parse(argv[3]), size_parse(argv[4]), strtoull(argv[5], NULL, 0), argv[6]);
	if (argc == 4 && !strcmp(verb, "truncate"))
		return file_truncate(argv[2], argv[3]);
	if (argc >= 4 && !strcmp(verb, "has"))
		return file_has(argv[2], argv + 3, argc - 3);
	status = argc > 2 ? random_command(argc, argv) : -1;
	if (status < 0) {
		fprintf(stderr, "usage: tool write|check|compare|store|has|truncate|model|sum|tree|treecheck ARGUMENTS: see main.c\n");
		return 2;
	}
	return status;
}
