/*
 * tool.h: the program that scenarios call on guests and on the server.
 */
#ifndef GUEST_TOOL_H
#define GUEST_TOOL_H

#include <stddef.h>
#include <stdint.h>

/* The bytes that belong at `offset` (a multiple of 8) of a file written with `seed` (0: zeros): no two blocks of a test are alike. */
void pattern_fill(void *buf, size_t length, uint64_t offset, uint64_t seed);

/* Bytes [from, end) of an open file are those of `seed`; else the first wrong one is told, with `name`.  Returns 0 or 1. */
int pattern_check(int fd, const char *name, uint64_t from, uint64_t end, uint64_t seed);

/* Prints the command's error with `what`, and returns 1. */
int tool_error(const char *what);

/* The next number of a generator, in [0, below); *state is never 0. */
uint64_t tool_random(uint64_t *state, uint64_t below);

/*
 * Random operations on one file, compared with a model of it in memory, for `limit`: "30" seconds, or "1000x": operations.
 * With `writers` above 1 others write it as well, each its own pieces; the file has its size before.  The file's sum is printed at
 * the end.  Returns an exit status.
 */
int model_run(const char *path, const char *limit, uint64_t seed, unsigned writer, unsigned writers);

/* The sum over a writer's pieces of a file, as model_run() prints it. */
int model_sum(const char *path, unsigned writer, unsigned writers);

/*
 * `count` processes, from number `first` on, make, fill, append to, cut, link, rename and remove files of their own in directories that
 * they share; each leaves a list of what it must have left.  Returns an exit status.
 */
int tree_run(const char *dir, unsigned seconds, uint64_t seed, unsigned first, unsigned count);

/* What the lists say is there, each byte of it, and nothing else. */
int tree_check(const char *dir);

/*
 * Opened once, with O_DIRECT: at most 1 MiB at `offset` is written over and over until a file `stop` is there or an error comes; then fsync.
 * The last line says "ended: written" or "ended: error".  Returns an exit status.
 */
int insist_run(const char *path, uint64_t offset, uint64_t length, uint64_t seed, const char *stop);

#endif
