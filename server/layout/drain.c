/*
 * The end of a server in order: no more layouts are given, those that are out are recalled, and whoever does not return his is fenced, all by the
 * ordinary ways (recall.c, holder.c) and with their deadlines.  Meanwhile everything else is served, LAYOUTCOMMIT and LAYOUTRETURN above all.  Only when
 * nothing is out may the leases go that keep local programs off the blocks; those of a server that does not wait for that are left to the keeper.  Called by net/server.c.
 */
#include "server/layout/layout_impl.h"

#include "include/log.h"
#include "server/export/export.h"
#include "server/fs/fs.h"
#include "server/keeper/keeper.h"
#include "server/mds.h"

/* Files named one by one in the last message. */
#define REPORT_FILES 20u

void
layouts_drain(struct mds *mds)
{
	pthread_mutex_lock(&mds->state_lock);
	mds->layouts->draining = true;
	pthread_mutex_unlock(&mds->state_lock);
	/* By file, as ever: a bulk recall may not go out beside others (RFC 8881 12.5.5.2.1.5).  Grants look at "draining" when they are entered. */
	unsigned n = layout_withdraw(mds, NULL, NULL);
	if (n)
		log_info("the end: layouts are out on %u files, recalled", n);
}

static bool
drain_file_done(const struct layout_file *file)
{
	return TAILQ_EMPTY(&file->list) && !file->lease && !file->busy;
}

bool
layouts_drained(struct mds *mds)
{
	const struct layouts *layouts = mds->layouts;
	const struct layout_file *file;

	pthread_mutex_lock(&mds->state_lock);
	bool done = layouts->unleasing == 0;
	TAILQ_FOREACH(file, &layouts->files, of_layouts)
		done &= drain_file_done(file);
	pthread_mutex_unlock(&mds->state_lock);
	return done;
}

void
layouts_leave(struct mds *mds)
{
	struct layout_file *file;
	const struct layout *layout;
	unsigned files = 0;

	pthread_mutex_lock(&mds->state_lock);
	TAILQ_FOREACH(file, &mds->layouts->files, of_layouts) {
		if (TAILQ_EMPTY(&file->list))
			continue;
		bool left = file->lease && file->lease->ops->kept && keeper_pid(mds->keeper);
		if (file->lease)
			file->lease->left = left;
		if (++files > REPORT_FILES)
			continue;
		TAILQ_FOREACH(layout, &file->list, of_file)
			log_error("inode %llu: client %016llx may still write its blocks, and from now on %s local "
			    "programs from them", (unsigned long long)file->inode->ino,
			    (unsigned long long)layout->holder->key.clientid, left ? "only the keeper keeps" : "nothing keeps");
	}
	pthread_mutex_unlock(&mds->state_lock);
	if (files)
		log_error("ended with layouts out on %u files, neither returned nor fenced", files);
}
