/* Blocking calls on the service thread, and pnfs_error(); see sync.h. */
#include "client/sync.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "client/mount.h"

static _Thread_local char last_error[256];

int
error_set(int err, const char *fmt, ...)
{
	va_list ap;
	if (!fmt) {
		char buf[128];
		snprintf(last_error, sizeof last_error, "%s", strerror_r(-err, buf, sizeof buf));
		return err;
	}
	va_start(ap, fmt);
	vsnprintf(last_error, sizeof last_error, fmt, ap);
	va_end(ap);
	return err;
}

const char *
pnfs_error(void)
{
	return last_error[0] ? last_error : "no error";
}

void
sync_error(struct sync *sync, const char *fmt, ...)
{
	va_list ap;
	va_start(ap, fmt);
	vsnprintf(sync->error, sizeof sync->error, fmt, ap);
	va_end(ap);
}

void
sync_done(void *arg, int status)
{
	struct sync *sync = arg;
	sync->status = status;
	sem_post(&sync->ended);
}

static void
sync_start(struct loop_work *work)
{
	struct sync *sync = (struct sync *)work;
	sync->start(sync->mount, sync->args, sync);
}

int
sync_run(struct pnfs *mount, void (*start)(struct pnfs *mount, void *args, struct sync *sync), void *args)
{
	struct sync sync = { .work.fn = sync_start, .mount = mount, .start = start, .args = args };
	if (loop_is_current(mount->loop))
		return error_set(-EDEADLK, "a blocking function was called from a callback");
	sem_init(&sync.ended, 0, 0);
	loop_post(mount->loop, &sync.work);
	while (sem_wait(&sync.ended) && errno == EINTR)
		;
	sem_destroy(&sync.ended);
	if (sync.status < 0) {
		if (sync.error[0])
			error_set(sync.status, "%s", sync.error);
		else
			error_set(sync.status, NULL);
	}
	return sync.status;
}
