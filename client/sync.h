/*
 * Blocking calls: start something on the mount's service thread and wait for its end; and the words of the last error.
 */
#ifndef PNFS_CLIENT_SYNC_H
#define PNFS_CLIENT_SYNC_H

#include <semaphore.h>

#include "proto/rpc/loop.h"

struct pnfs;

/* How everything asynchronous here ends: STATUS is 0 (or a count) or -errno. */
typedef void done_fn(void *arg, int status);

struct sync {
	struct loop_work work;
	struct pnfs *mount;
	void (*start)(struct pnfs *mount, void *args, struct sync *sync);
	void *args;
	sem_t ended;
	int status;
	char error[200];
};

/* Run START on the service thread; returns what sync_done() is given.  -EDEADLK on that thread itself. */
int sync_run(struct pnfs *mount, void (*start)(struct pnfs *mount, void *args, struct sync *sync), void *args);

/* A done_fn whose argument is the struct sync. */
void sync_done(void *sync, int status);

/* The service thread: words for pnfs_error() of the thread that waits. */
void sync_error(struct sync *sync, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* This thread's pnfs_error(); errno's text if FMT is NULL.  Returns ERR. */
int error_set(int err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
