/* Lists of those who wait; see waiter.h. */
#include "client/waiter.h"

#include <errno.h>
#include <stdlib.h>

int
waiter_add(struct waiter_list *list, done_fn *done, void *arg, uint64_t ticket)
{
	struct waiter *w = calloc(1, sizeof *w);
	if (!w) {
		if (done)
			done(arg, -ENOMEM);
		return -ENOMEM;
	}
	*w = (struct waiter){ .ticket = ticket, .done = done, .arg = arg };
	TAILQ_INSERT_TAIL(list, w, link);
	return 0;
}

/* Taken off the list before anybody is told: what they do then may change it. */
static void
tell(struct waiter_list *ended, int status)
{
	struct waiter *w;
	while ((w = TAILQ_FIRST(ended))) {
		TAILQ_REMOVE(ended, w, link);
		if (w->done)
			w->done(w->arg, status);
		free(w);
	}
}

void
waiters_end(struct waiter_list *list, uint64_t ticket, int status)
{
	struct waiter_list ended;
	struct waiter *w, *next;
	TAILQ_INIT(&ended);
	for (w = TAILQ_FIRST(list); w; w = next) {
		next = TAILQ_NEXT(w, link);
		if (w->ticket > ticket)
			continue;
		TAILQ_REMOVE(list, w, link);
		TAILQ_INSERT_TAIL(&ended, w, link);
	}
	tell(&ended, status);
}

void
waiters_end_all(struct waiter_list *list, int status)
{
	struct waiter_list ended;
	TAILQ_INIT(&ended);
	TAILQ_CONCAT(&ended, list, link);
	tell(&ended, status);
}
