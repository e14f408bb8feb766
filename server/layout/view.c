/* See view.h. */
#include "server/layout/view.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/log.h"
#include "server/conf/conf.h"
#include "server/layout/device.h"
#include "server/layout/layout_impl.h"
#include "server/mds.h"

static const char *
recall_name(const struct recall *recall)
{
	static const char *const names[] = { [RECALL_NONE] = NULL, [RECALL_WANTED] = "wanted", [RECALL_SENT] = "sent",
		[RECALL_ANSWERED] = "answered", [RECALL_PAUSED] = "paused", [RECALL_NO_PATH] = "no-path" };
	return names[recall->state];
}

static const char *
fence_name(const struct holder *holder)
{
	static const char *const names[] = { [FENCE_NONE] = NULL, [FENCE_QUEUED] = "queued", [FENCE_RUNNING] = "running",
		[FENCE_RETRY] = "retry", [FENCE_TIMED] = "timed" };
	return names[holder->fence];
}

static int64_t
from_now(uint64_t then, uint64_t now)
{
	return then ? (int64_t)(then - now) : 0;
}

static uint64_t
ranges_bytes(const struct ranges *set)
{
	uint64_t sum = 0;

	for (uint32_t i = 0; i < set->n; i++) {
		if (set->v[i].end == UINT64_MAX)
			return UINT64_MAX;
		sum += set->v[i].end - set->v[i].start;
	}
	return sum;
}

static void
layout_look(const struct layout *layout, uint64_t now, struct layout_view *v)
{
	*v = (struct layout_view){ .clientid = layout->holder->key.clientid, .inode = inode_get(layout->file->inode),
		.read = ranges_bytes(&layout->held.read), .rw = ranges_bytes(&layout->held.rw),
		.recall = recall_name(&layout->recall), .deadline_ms = from_now(layout->recall.deadline_ms, now),
		.fence = fence_name(layout->holder) };
}

/* N of them, up to VIEW_MAX. */
static void *
views_alloc(unsigned *n, size_t size, unsigned *more)
{
	*more = *n > VIEW_MAX ? *n - VIEW_MAX : 0;
	*n -= *more;
	return calloc(*n ? *n : 1, size);
}

int
layouts_view(struct mds *mds, bool recalls_only, struct layout_view **views, unsigned *n, unsigned *more)
{
	const struct layout_file *file;
	const struct layout *layout;
	unsigned i = 0;
	uint64_t now = mds_now_ms();

	*n = 0;
	pthread_mutex_lock(&mds->state_lock);
	TAILQ_FOREACH(file, &mds->layouts->files, of_layouts)
		TAILQ_FOREACH(layout, &file->list, of_file)
			*n += !recalls_only || layout->recall.state != RECALL_NONE;
	*views = views_alloc(n, sizeof **views, more);
	TAILQ_FOREACH(file, &mds->layouts->files, of_layouts)
		TAILQ_FOREACH(layout, &file->list, of_file)
			if (*views && i < *n && (!recalls_only || layout->recall.state != RECALL_NONE))
				layout_look(layout, now, &(*views)[i++]);
	pthread_mutex_unlock(&mds->state_lock);
	return *views ? 0 : -ENOMEM;
}

void
layouts_view_free(struct layout_view *views, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		inode_put(views[i].inode);
	free(views);
}

static void
fence_look(const struct holder *holder, uint64_t now, struct fence_view *v)
{
	const struct layout *layout;

	*v = (struct fence_view){ .clientid = holder->key.clientid, .state = fence_name(holder), .tries = holder->tries,
		.next_ms = holder->fence == FENCE_RETRY ? from_now(holder->next_ms, now) : 0,
		.over_ms = from_now(holder->over_ms, now) };
	snprintf(v->name, sizeof v->name, "%s", holder->name);
	snprintf(v->device, sizeof v->device, "%s", holder->device->conf->name);
	TAILQ_FOREACH(layout, &holder->list, of_holder)
		v->files++;
}

int
fences_view(struct mds *mds, struct fence_view **views, unsigned *n, unsigned *more)
{
	const struct holder *holder;
	unsigned i = 0;
	uint64_t now = mds_now_ms();

	*n = 0;
	pthread_mutex_lock(&mds->state_lock);
	TAILQ_FOREACH(holder, &mds->layouts->fences, of_fences)
		++*n;
	*views = views_alloc(n, sizeof **views, more);
	TAILQ_FOREACH(holder, &mds->layouts->fences, of_fences)
		if (*views && i < *n)
			fence_look(holder, now, &(*views)[i++]);
	pthread_mutex_unlock(&mds->state_lock);
	return *views ? 0 : -ENOMEM;
}

void
layouts_count(struct mds *mds, struct layouts_count *count)
{
	const struct layouts *layouts = mds->layouts;
	const struct layout_file *file;
	const struct layout *layout;
	const struct holder *holder;

	*count = (struct layouts_count){ 0 };
	pthread_mutex_lock(&mds->state_lock);
	TAILQ_FOREACH(file, &layouts->files, of_layouts) {
		count->files++;
		TAILQ_FOREACH(layout, &file->list, of_file) {
			count->layouts++;
			count->recalls += layout->recall.state != RECALL_NONE;
		}
	}
	TAILQ_FOREACH(holder, &layouts->fences, of_fences)
		count->fences++;
	count->granted = layouts->ngranted;
	count->recalled = layouts->nrecalls;
	count->fenced = layouts->nfences;
	memcpy(count->refused, layouts->refused, sizeof count->refused);
	pthread_mutex_unlock(&mds->state_lock);
}

/* ---- the administrator's word ---- */

static int
fences_act(struct mds *mds, uint64_t clientid, bool release)
{
	struct holder *holder, *next;
	int acted = 0;
	bool found = false;

	pthread_mutex_lock(&mds->state_lock);
	for (holder = TAILQ_FIRST(&mds->layouts->fences); holder; holder = next) {
		next = TAILQ_NEXT(holder, of_fences);
		if (holder->key.clientid != clientid)
			continue;
		found = true;
		if (holder->fence == FENCE_RETRY && !release) {
			holder->next_ms = mds_now_ms();
			acted++;
		} else if (release && (holder->fence == FENCE_RETRY || holder->fence == FENCE_TIMED)) {
			holder_release_locked(holder);
			acted++;
		}
	}
	layouts_kick_locked(mds->layouts);
	pthread_mutex_unlock(&mds->state_lock);
	recalls_pump(mds);
	return acted ? acted : found ? -EBUSY : -ENOENT;
}

int
fences_retry(struct mds *mds, uint64_t clientid)
{
	return fences_act(mds, clientid, false);
}

int
fences_release(struct mds *mds, uint64_t clientid)
{
	return fences_act(mds, clientid, true);
}
