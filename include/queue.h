/* <sys/queue.h> of glibc, and the walk during which the element may be removed. */
#ifndef PNFS_QUEUE_H
#define PNFS_QUEUE_H

#include <sys/queue.h>

#ifndef TAILQ_FOREACH_SAFE
#define TAILQ_FOREACH_SAFE(var, head, field, next) \
	for ((var) = TAILQ_FIRST(head); (var) && ((next) = TAILQ_NEXT(var, field), 1); (var) = (next))
#endif

#endif
