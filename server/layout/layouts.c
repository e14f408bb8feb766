/*
 * Start and end of the layout bookkeeping, and its clock: a thread that wakes every 100 ms while there is a recall, a fence or somebody who waits,
 * and sleeps otherwise.  It never waits for a client or a target.
 */
#include "server/layout/layout_impl.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "server/export/export.h"
#include "server/layout/device.h"
#include "server/mds.h"
#include "server/state/file.h"

#define TICK_MS 100
/* Targets that do not answer hold a fencer for up to 30 s each. */
#define FENCERS 2

int
layouts_alloc(struct mds *mds)
{
	struct layouts *layouts = calloc(1, sizeof *layouts);
	pthread_condattr_t attr;

	if (!layouts)
		return -ENOMEM;
	layouts->mds = mds;
	TAILQ_INIT(&layouts->files);
	TAILQ_INIT(&layouts->waiting);
	TAILQ_INIT(&layouts->to_send);
	TAILQ_INIT(&layouts->recalls);
	TAILQ_INIT(&layouts->fences);
	TAILQ_INIT(&layouts->reaped);
	TAILQ_INIT(&layouts->returned_all);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&layouts->cond, &attr);
	pthread_condattr_destroy(&attr);
	mds->layouts = layouts;
	recalls_init();
	return 0;
}

void
layouts_kick_locked(struct layouts *layouts)
{
	/* Once awake it ticks until there is nothing to do. */
	if (layouts->asleep)
		pthread_cond_signal(&layouts->cond);
	layouts->asleep = false;
}

static bool
layouts_idle(const struct layouts *layouts)
{
	return TAILQ_EMPTY(&layouts->waiting) && TAILQ_EMPTY(&layouts->to_send) && TAILQ_EMPTY(&layouts->recalls) &&
	    TAILQ_EMPTY(&layouts->fences) && TAILQ_EMPTY(&layouts->reaped);
}

void
layouts_tick(struct mds *mds)
{
	uint64_t now = mds_now_ms();

	pthread_mutex_lock(&mds->state_lock);
	layout_waiting_tick_locked(mds->layouts, now);
	recalls_tick_locked(mds, now);
	holders_tick_locked(mds, now);
	pthread_mutex_unlock(&mds->state_lock);
	recalls_pump(mds);
	holders_reap(mds->layouts);
}

static void *
layouts_ticker(void *arg)
{
	struct layouts *layouts = arg;
	struct mds *mds = layouts->mds;
	struct timespec ts;

	pthread_setname_np(pthread_self(), "layouts");
	pthread_mutex_lock(&mds->state_lock);
	while (!layouts->stop) {
		if (layouts_idle(layouts)) {
			layouts->asleep = true;
			pthread_cond_wait(&layouts->cond, &mds->state_lock);
			layouts->asleep = false;
			continue;
		}
		clock_gettime(CLOCK_MONOTONIC, &ts);
		ts.tv_nsec += TICK_MS * 1000000l;
		ts.tv_sec += ts.tv_nsec / 1000000000;
		ts.tv_nsec %= 1000000000;
		/* A kick is no reason to tick early: sleep it out unless it is the end. */
		while (!layouts->stop && pthread_cond_timedwait(&layouts->cond, &mds->state_lock, &ts) == 0)
			;
		if (layouts->stop)
			break;
		pthread_mutex_unlock(&mds->state_lock);
		layouts_tick(mds);
		pthread_mutex_lock(&mds->state_lock);
	}
	pthread_mutex_unlock(&mds->state_lock);
	return NULL;
}

int
layouts_new(struct mds *mds)
{
	int err = layouts_alloc(mds);

	if (err)
		return err;
	err = workers_new(&mds->layouts->fencers, FENCERS, "fencer");
	if (!err)
		err = -pthread_create(&mds->layouts->ticker, NULL, layouts_ticker, mds->layouts);
	if (err) {
		layouts_free(mds);
		return err;
	}
	pthread_mutex_lock(&mds->state_lock);
	mds->layouts->ticking = true;
	pthread_mutex_unlock(&mds->state_lock);
	return 0;
}

static void
layouts_stop(struct layouts *layouts)
{
	struct mds *mds = layouts->mds;

	pthread_mutex_lock(&mds->state_lock);
	bool ticking = layouts->ticking;
	layouts->stop = true;
	layouts->ticking = false;
	pthread_cond_signal(&layouts->cond);
	pthread_mutex_unlock(&mds->state_lock);
	if (ticking)
		pthread_join(layouts->ticker, NULL);
	if (layouts->fencers)
		workers_stop(layouts->fencers);
	layouts->fencers = NULL;
}

static void
file_free(struct layouts *layouts, struct layout_file *file)
{
	struct layout_lease *lease = file->lease;

	layout_file_lease_locked(file, NULL);
	file->nwants = 0;
	file->not_before_ms = file->opened_ms = 0;
	file->busy = 0;
	if (file->waiting)
		TAILQ_REMOVE(&layouts->waiting, file, of_waiting);
	file->waiting = false;
	if (lease)
		lease->ops->unlease(lease);
	layout_file_put_locked(file);
}

/*
 * Connections and clients are gone, workers still run (they give leases up).  What is still held belongs to clients that are being cut off: it is forgotten here, but their keys are in
 * the stable store, and the next start fences them.
 */
void
layouts_free(struct mds *mds)
{
	struct layouts *layouts = mds->layouts;
	struct layout *layout;
	struct layout_file *file;
	struct holder *holder;

	if (!layouts)
		return;
	layouts_stop(layouts);
	pthread_mutex_lock(&mds->state_lock);
	while (layouts->unleasing)
		pthread_cond_wait(&layouts->cond, &mds->state_lock);
	while ((holder = TAILQ_FIRST(&layouts->fences))) {
		TAILQ_REMOVE(&layouts->fences, holder, of_fences);
		holder->fence = FENCE_NONE;
		holder_put_locked(holder);
	}
	while ((file = TAILQ_FIRST(&layouts->files))) {
		file->busy++;
		while ((layout = TAILQ_FIRST(&file->list)))
			layout_free_locked(mds, layout);
		file_free(layouts, file);
	}
	fenced_free(layouts);
	returned_free(layouts);
	pthread_mutex_unlock(&mds->state_lock);
	holders_reap(layouts);
	records_free(layouts);
	pthread_cond_destroy(&layouts->cond);
	free(layouts);
	mds->layouts = NULL;
}
