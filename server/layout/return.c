/* LAYOUTRETURN; see return.h. */
#include "server/layout/return.h"

#include "include/cleanup.h"
#include "server/export/export.h"
#include "server/layout/layout_impl.h"
#include "server/mds.h"
#include "server/state/client.h"

/* A client that was cut off gives back what it does not have any more. */
static void
return_revoked(struct mds *mds, struct layout *layout)
{
	layout_class.release(mds, &layout->obj);
}

nfsstat4
layout_return_file(struct mds *mds, struct client *client, struct inode *inode, const stateid4 *given, uint64_t offset,
    uint64_t length, bool read, bool rw, stateid4 *sid, bool *present)
{
	struct range range = range_align_in(range_make(offset, length), layout_unit(inode));

	*present = false;
	LOCK_SCOPE(&mds->state_lock);
	struct layout *layout = layout_by_sid_locked(mds, client, given);
	if (!layout || layout->obj.inode != inode)
		return NFS4ERR_BAD_STATEID;
	nfsstat4 status = layout_check_seqid(layout->obj.seqid, given->seqid);
	if (status != NFS4_OK)
		return status;
	if (layout->obj.revoked) {
		return_revoked(mds, layout);
		return NFS4_OK;
	}
	layout_drop_range_locked(layout, range, read, rw);
	if (layout_empty(layout)) {
		layout_free_locked(mds, layout);
		return NFS4_OK;
	}
	state_bump_locked(&layout->obj, sid);
	*present = true;
	return NFS4_OK;
}

void
layout_return_bulk(struct mds *mds, struct client *client, const struct inode *inode, uint32_t type, bool read, bool rw)
{
	struct state_obj *obj, *next;

	LOCK_SCOPE(&mds->state_lock);
	bool was_fenced = client->fenced;
	for (obj = TAILQ_FIRST(&client->states); obj; obj = next) {
		struct layout *layout = (struct layout *)obj;
		next = TAILQ_NEXT(obj, of_client);
		if (obj->cls != &layout_class || obj->revoked)
			continue;
		const struct export *export = obj->inode->export;
		if (export->layout_type != type || (inode && export != inode->export))
			continue;
		layout_drop_range_locked(layout, RANGE_ALL, read, rw);
		if (layout_empty(layout))
			layout_free_locked(mds, layout);
	}
	/* "All I had": it knows of those that were taken from it, too. */
	if (was_fenced && read && rw)
		layout_fence_acked_locked(mds, client);
}
