/* What all parts of the server share; see mds.h. */
#include "server/mds.h"

#include <time.h>

uint64_t
mds_now_ms(void)
{
	struct timespec ts;
	/* Leases count in seconds: a tick of the kernel is fine enough, and cheap. */
	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}
