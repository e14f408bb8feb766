/* For programs of integration tests: expectations that are counted, not aborted on. */
#ifndef PNFS_TESTS_INTEG_INTEG_H
#define PNFS_TESTS_INTEG_INTEG_H

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

extern unsigned integ_checks, integ_failures;

static inline uint64_t
now_us(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

void integ_expect(const char *file, int line, const char *what, int64_t got, int64_t want);

#define EXPECT(got, want) integ_expect(__FILE__, __LINE__, #got, (int64_t)(got), (int64_t)(want))

static inline void __attribute__((format(printf, 1, 2), noreturn))
die(const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

/* A PASS or FAIL line for what FN checks. */
#define SECTION(text, fn) do { \
	unsigned failures_ = integ_failures, checks_ = integ_checks; \
	fn; \
	printf("%s: %s\n", integ_failures != failures_ || integ_checks == checks_ ? "FAIL" : "PASS", text); \
	fflush(stdout); \
} while (0)

/* The last line, and the exit status. */
int integ_result(void);

#endif
