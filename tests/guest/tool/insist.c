/*
 * insist.c: one who writes the same bytes again and again by what he once got, and asks nobody.  For tests/guest/scenarios/scsi.sh.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

#define LENGTH_MAX (1u << 20)

static double
now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

/* Says each round that took more than a second. */
static int
insist_rounds(int fd, const void *buf, size_t length, uint64_t offset, const char *stop)
{
	for (unsigned rounds = 0; access(stop, F_OK); rounds++) {
		double start = now();

		if (pwrite(fd, buf, length, (off_t)offset) != (ssize_t)length)
			return tool_error("write");
		if (now() - start > 1)
			printf("round %u took %.1f s\n", rounds, now() - start);
	}
	return 0;
}

int
insist_run(const char *path, uint64_t offset, uint64_t length, uint64_t seed, const char *stop)
{
	int fd = open(path, O_RDWR | O_DIRECT), status;
	void *buf;

	if (fd < 0)
		return tool_error(path);
	if (length > LENGTH_MAX) {
		errno = EINVAL;
		return tool_error(path);
	}
	if ((errno = posix_memalign(&buf, 4096, LENGTH_MAX)))
		return tool_error("memory");
	setvbuf(stdout, NULL, _IOLBF, 0);
	pattern_fill(buf, length, offset, seed);
	status = insist_rounds(fd, buf, length, offset, stop);
	if (fsync(fd))
		status = tool_error("fsync");
	if (close(fd))
		status = tool_error("close");
	free(buf);
	printf("ended: %s\n", status ? "error" : "written");
	return status;
}
