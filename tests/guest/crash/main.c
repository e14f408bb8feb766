/*
 * main.c: the program of scripts/test-crash.
 *
 *	crash fill FILE				every word says: nobody's
 *	crash write URL DEVICE JOURNAL CLIENT SEED	one of two clients, until it is killed; prints "ready"
 *	crash check DIRECTORY JOURNAL		what is left after the crash; "BAD ..." for each finding, and a line of counts
 *	crash damage DIRECTORY JOURNAL KIND	foreign, foreign-device, foreign-file, lost, short or missing: for check to find
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash.h"

#define PIECE ((size_t)1 << 20)

static int
crash_fill(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	char *buf = malloc(PIECE);
	struct stat st;

	if (fd < 0 || !buf || fstat(fd, &st)) {
		perror(path);
		return 1;
	}
	for (uint64_t at = 0; at < (uint64_t)st.st_size; at += PIECE) {
		words_fill(buf, PIECE, (struct word){ .file = CRASH_DEVICE, .version = (uint32_t)(at >> 27), .offset = at });
		if (pwrite(fd, buf, PIECE, (off_t)at) != (ssize_t)PIECE) {
			perror(path);
			return 1;
		}
	}
	free(buf);
	return close(fd) ? 1 : 0;
}

int
main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";

	if (argc == 3 && !strcmp(verb, "fill"))
		return crash_fill(argv[2]);
	if (argc == 7 && !strcmp(verb, "write"))
		return crash_write(argv[2], argv[3], argv[4], (unsigned)atoi(argv[5]), strtoull(argv[6], NULL, 0));
	if (argc == 4 && !strcmp(verb, "check"))
		return crash_check(argv[2], argv[3]);
	if (argc == 5 && !strcmp(verb, "damage"))
		return crash_damage(argv[2], argv[3], argv[4]);
	fprintf(stderr, "usage: crash fill FILE | write URL DEVICE JOURNAL CLIENT SEED | check DIRECTORY JOURNAL | damage DIRECTORY JOURNAL KIND\n");
	return 2;
}
