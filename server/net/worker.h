/* Worker threads for what may block. */
#ifndef PNFS_SERVER_NET_WORKER_H
#define PNFS_SERVER_NET_WORKER_H

struct workers;

/* Embedded by the caller; may be freed or submitted again from fn. */
struct work {
	void (*fn)(struct work *);
	struct work *next;
};

int workers_new(struct workers **workers, unsigned threads, const char *name);
void workers_submit(struct workers *workers, struct work *work);
/* Run what is queued, end the threads, free. */
void workers_stop(struct workers *workers);

#endif
