/* Holders of a former life; see former.h.  The fencing command runs on a fencer thread. */
#include "server/layout/former.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "include/log.h"
#include "server/conf/conf.h"
#include "server/layout/device.h"
#include "server/layout/layout_impl.h"
#include "server/mds.h"
#include "server/net/worker.h"
#include "server/state/client.h"

#define RETRY_MIN_MS 1000u
#define RETRY_MAX_MS 30000u

struct former {
	struct mds *mds;
	struct stable_holder h;		/* device and ownerid are this record's own copies */
	char *device;
	uint8_t *ownerid;
	char name[HOLDER_NAME];
	uint64_t over_ms;		/* then time has made an end of its I/O */
	uint64_t next_ms;		/* of the command */
	unsigned tries;
	bool back;			/* an instance of it is here: its host is not cut off */
	bool no_command;		/* there is none */
	bool running;			/* a fencer has it */
	bool done;
	struct work work;
	TAILQ_ENTRY(former) link;
};

struct formers {
	TAILQ_HEAD(, former) list;
	unsigned n;
};

static void former_work(struct work *work);

static void
former_free(struct former *f)
{
	free(f->device);
	free(f->ownerid);
	free(f);
}

static int
former_add(const struct stable_holder *h, void *arg)
{
	struct mds *mds = arg;
	struct former *f = calloc(1, sizeof *f);
	uint32_t max_io = h->max_io_time > mds->conf.max_io_time ? h->max_io_time : mds->conf.max_io_time;

	if (!f)
		return -ENOMEM;
	f->mds = mds;
	f->h = *h;
	f->device = strdup(h->device);
	f->ownerid = malloc(h->ownerid_len + 1);
	if (!f->device || !f->ownerid) {
		former_free(f);
		return -ENOMEM;
	}
	memcpy(f->ownerid, h->ownerid, h->ownerid_len);
	f->h.device = f->device;
	f->h.ownerid = f->ownerid;
	holder_print_name(f->name, f->ownerid, h->ownerid_len);
	f->over_ms = mds_now_ms() + ((uint64_t)h->lease + max_io) * 1000;
	f->work.fn = former_work;
	TAILQ_INSERT_TAIL(&mds->formers->list, f, link);
	mds->formers->n++;
	return 0;
}

int
formers_new(struct mds *mds)
{
	mds->formers = calloc(1, sizeof *mds->formers);
	if (!mds->formers)
		return -ENOMEM;
	TAILQ_INIT(&mds->formers->list);
	return stable_holder_each(mds, former_add, mds);
}

unsigned
formers_count(const struct mds *mds)
{
	return mds->formers ? mds->formers->n : 0;
}

void
formers_free(struct mds *mds)
{
	struct former *f;

	if (!mds->formers)
		return;
	while ((f = TAILQ_FIRST(&mds->formers->list))) {
		TAILQ_REMOVE(&mds->formers->list, f, link);
		former_free(f);
	}
	free(mds->formers);
	mds->formers = NULL;
}

/* ---- those that come back ---- */

static bool
former_is(const struct former *f, const struct client *client)
{
	return f->h.ownerid_len == client->ownerid_len && !memcmp(f->ownerid, client->ownerid, client->ownerid_len);
}

static bool
former_same_instance(const struct former *f, const struct client *client)
{
	return !memcmp(f->h.verifier, client->verifier, sizeof f->h.verifier);
}

void
former_back_locked(struct mds *mds, const struct client *client)
{
	struct former *f;

	if (!mds->formers)
		return;
	TAILQ_FOREACH(f, &mds->formers->list, link) {
		if (!former_is(f, client))
			continue;
		/* A new instance: the old one sends nothing more (RFC 8881 12.7.1). */
		uint64_t over = mds_now_ms() + f->mds->conf.max_io_time * 1000ull;
		if (!f->back && !former_same_instance(f, client) && over < f->over_ms)
			f->over_ms = over;
		f->back = true;
	}
}

void
former_done_locked(struct mds *mds, const struct client *client)
{
	struct former *f;

	if (!mds->formers)
		return;
	TAILQ_FOREACH(f, &mds->formers->list, link)
		if (former_is(f, client) && former_same_instance(f, client))
			f->done = true;
}

/* ---- cutting off ---- */

/*
 * 0: it is cut off.  -EOPNOTSUPP: nothing to do it with, so that time must.  Former keys of a SCSI device are cut off when it is opened, before anything else is
 * done with it (device_prepare()); if the device is not there now, neither is a layout on it.
 */
static int
former_fence(const struct former *f)
{
	struct device *device = device_find_name(f->mds, f->device);
	struct fence_target target = { .key = f->h.key, .client = f->name, .addr = f->h.addr };
	enum reason why;
	int r = -EOPNOTSUPP;

	if (!device)
		return -EOPNOTSUPP;
	if (f->h.key && device->layout_type == LAYOUT4_SCSI)
		r = device_prepare(device, &why);
	if (r)
		r = device_fence(device, &target);
	device_put(device);
	return r;
}

static void
former_fenced_locked(struct former *f, int err, uint64_t now)
{
	uint32_t pause = f->tries < 5 ? RETRY_MIN_MS << f->tries : RETRY_MAX_MS;

	if (err == 0) {
		log_warn("client %s, of before the restart: cut off, confirmed", f->name);
		f->done = true;
	} else if (err == -EOPNOTSUPP) {
		f->no_command = true;
	} else {
		log_error("client %s, of before the restart: not cut off (%s); next try in %u s", f->name, strerror(-err),
		    pause / 1000);
		f->next_ms = now + pause;
		f->tries++;
	}
}

/* Fencer thread. */
static void
former_work(struct work *work)
{
	struct former *f = (struct former *)((char *)work - offsetof(struct former, work));
	struct mds *mds = f->mds;

	pthread_mutex_lock(&mds->state_lock);
	bool stop = mds->layouts->stop;
	pthread_mutex_unlock(&mds->state_lock);
	int err = stop ? -ECANCELED : former_fence(f);
	pthread_mutex_lock(&mds->state_lock);
	if (!stop)
		former_fenced_locked(f, err, mds_now_ms());
	f->running = false;
	pthread_mutex_unlock(&mds->state_lock);
}

/* A key is nobody's else: that may go at once.  The command is for those that are not expected any more. */
static bool
former_due_locked(const struct mds *mds, const struct former *f, uint64_t now, bool reclaim_over)
{
	if (f->running || f->no_command || now < f->next_ms)
		return false;
	if (f->h.key)
		return true;
	return !f->back && (reclaim_over || !grace_has_record_locked(mds, f->ownerid, f->h.ownerid_len));
}

/* As for holders of this life: where there are reservations only the target's word counts, as long as it can be asked. */
static bool
former_by_time(const struct former *f)
{
	return f->h.layout_type != LAYOUT4_SCSI || f->no_command;
}

unsigned
formers_tick(struct mds *mds, uint64_t now, bool reclaim_over)
{
	struct formers *formers = mds->formers;
	struct former *f, *next;

	if (!formers)
		return 0;
	pthread_mutex_lock(&mds->state_lock);
	for (f = TAILQ_FIRST(&formers->list); f; f = next) {
		next = TAILQ_NEXT(f, link);
		if (f->running)
			continue;
		if (!f->done && now >= f->over_ms && former_by_time(f)) {
			log_warn("client %s, of before the restart: lease and maximum I/O time are over", f->name);
			f->done = true;
		}
		if (f->done) {
			TAILQ_REMOVE(&formers->list, f, link);
			formers->n--;
			former_free(f);
		} else if (former_due_locked(mds, f, now, reclaim_over)) {
			f->running = true;
			workers_submit(mds->layouts->fencers, &f->work);
		}
	}
	unsigned left = formers->n;
	pthread_mutex_unlock(&mds->state_lock);
	return left;
}
