/*
 * Taking back all layouts of an export that goes (net/exporting.c), or of a device that nobody can be cut off from any more
 * (device_fence.c), or that has changed (device.c).  An ordinary recall each: clients that do not answer are fenced at the deadline (recall.c, holder.c).
 */
#include "server/layout/layout_impl.h"

#include "server/export/export.h"
#include "server/mds.h"

unsigned
layout_withdraw(struct mds *mds, const struct export *export, const struct device *device)
{
	struct layouts *layouts = mds->layouts;
	struct layout_file *file;
	struct layout *layout;
	unsigned out = 0;

	if (!layouts)
		return 0;
	pthread_mutex_lock(&mds->state_lock);
	TAILQ_FOREACH(file, &layouts->files, of_layouts) {
		const struct export *of = file->inode->export;
		if ((export && of != export) || (device && of->device != device))
			continue;
		out += !TAILQ_EMPTY(&file->list) || file->busy;
		/* Not "changed": what is dirty may still be written by the layout, and committed, first (RFC 8881 20.3.3). */
		TAILQ_FOREACH(layout, &file->list, of_file)
			recall_want_locked(mds, layout, RANGE_ALL, false);
	}
	pthread_mutex_unlock(&mds->state_lock);
	if (out)
		recalls_pump(mds);
	return out;
}

bool
layout_uses_device_locked(const struct mds *mds, const struct device *device)
{
	const struct holder *holder, *tmp;

	if (!mds->layouts)
		return false;
	HASH_ITER(hh, mds->layouts->holders, holder, tmp)
		if (holder->device == device)
			return true;
	TAILQ_FOREACH(holder, &mds->layouts->fences, of_fences)
		if (holder->device == device)
			return true;
	return false;
}
