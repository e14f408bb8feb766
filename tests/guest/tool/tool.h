/*
 * tool.h: the program that scenarios call on guests and on the server.
 */
#ifndef GUEST_TOOL_H
#define GUEST_TOOL_H

#include <stddef.h>
#include <stdint.h>

/* The bytes that belong at `offset` (a multiple of 8) of a file written with `seed` (0: zeros): no two blocks of a test are alike. */
void pattern_fill(void *buf, size_t length, uint64_t offset, uint64_t seed);

/* Prints the command's error with `what`, and returns 1. */
int tool_error(const char *what);

/* Random operations on one file, compared with a model of it in memory.  Returns an exit status. */
int model_run(const char *path, unsigned seconds, uint64_t seed);

#endif
