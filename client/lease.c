/* The lease clock; see lease.h. */
#include "client/lease.h"

#include <time.h>

#define NS 1000000000ull

uint64_t
lease_clock(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_BOOTTIME, &ts);
	return (uint64_t)ts.tv_sec * NS + (uint64_t)ts.tv_nsec;
}

void
lease_set_length(struct lease *lease, uint32_t seconds)
{
	atomic_store(&lease->length_ns, seconds * NS);
}

void
lease_renewed(struct lease *lease, uint64_t sent_ns)
{
	/* Replies may come in another order than requests went out. */
	if (sent_ns > atomic_load(&lease->sent_ns))
		atomic_store(&lease->sent_ns, sent_ns);
}

void
lease_drop(struct lease *lease)
{
	atomic_store(&lease->sent_ns, 0);
}

static uint64_t
margin(uint64_t length)
{
	return length / 8 < 10 * NS ? length / 8 : 10 * NS;
}

bool
lease_valid(const struct lease *lease, uint64_t now_ns)
{
	uint64_t sent = atomic_load(&lease->sent_ns), length = atomic_load(&lease->length_ns);
	if (!sent || !length)
		return false;
	return now_ns < sent || now_ns - sent < length - margin(length);
}

bool
lease_due(const struct lease *lease, uint64_t now_ns)
{
	uint64_t sent = atomic_load(&lease->sent_ns), length = atomic_load(&lease->length_ns);
	return now_ns > sent && now_ns - sent >= length / 3;
}
