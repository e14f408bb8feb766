/*
 * Is our lease surely alive?  (RFC 8881 8.3, 12.7.2)  The server counts from when it received the last SEQUENCE it answered; we from when we
 * sent it, which is earlier, on a clock that runs on while the machine sleeps.  Pure; the caller brings the time.
 *
 * mds.c renews it; io_direct.c and map.c ask it before each transfer.
 */
#ifndef PNFS_CLIENT_LEASE_H
#define PNFS_CLIENT_LEASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct lease {
	_Atomic uint64_t sent_ns;	/* when the newest successful SEQUENCE was sent; 0: none yet */
	_Atomic uint64_t length_ns;	/* lease_time (attribute 10) */
};

/* CLOCK_BOOTTIME in ns. */
uint64_t lease_clock(void);

void lease_set_length(struct lease *lease, uint32_t seconds);
/* A SEQUENCE sent at SENT_NS succeeded. */
void lease_renewed(struct lease *lease, uint64_t sent_ns);
/* Nothing is known any more (client ID lost). */
void lease_drop(struct lease *lease);

/*
 * May I/O to a device start at NOW?  A margin of an eighth of the lease (at most 10 s) is kept for commands that are on their way.
 * Any thread.
 */
bool lease_valid(const struct lease *lease, uint64_t now_ns);
/* Is it time for a SEQUENCE if nothing else is sent?  After a third of the lease. */
bool lease_due(const struct lease *lease, uint64_t now_ns);

#endif
