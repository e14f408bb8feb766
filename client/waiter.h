/* Those who wait for something shared that is under way: a commit, an open, a device.  Service thread. */
#ifndef PNFS_CLIENT_WAITER_H
#define PNFS_CLIENT_WAITER_H

#include <stdint.h>
#include <sys/queue.h>

#include "client/sync.h"

/* Somebody who waits for something that has a ticket. */
struct waiter {
	TAILQ_ENTRY(waiter) link;
	uint64_t ticket;
	done_fn *done;			/* may be NULL */
	void *arg;
};
TAILQ_HEAD(waiter_list, waiter);

/* DONE is called when the list gets to TICKET; without memory at once, with -ENOMEM, which is returned. */
int waiter_add(struct waiter_list *list, done_fn *done, void *arg, uint64_t ticket);
/* Those with a ticket up to TICKET are told STATUS.  What they begin may wait on the same list, by a later ticket. */
void waiters_end(struct waiter_list *list, uint64_t ticket, int status);
/* All who wait now are told STATUS; who comes meanwhile waits on. */
void waiters_end_all(struct waiter_list *list, int status);

#endif
