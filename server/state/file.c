/* State per file; see file.h.  Used by open.c and layout/. */
#include "server/state/file.h"

#include <stdlib.h>

#include "server/fs/fs.h"

struct file_state *
file_state_get_locked(struct mds *mds, struct inode *inode)
{
	struct file_state *fs = inode->state;

	(void)mds;
	if (!fs) {
		fs = calloc(1, sizeof *fs);
		if (!fs)
			return NULL;
		fs->inode = inode_get(inode);
		TAILQ_INIT(&fs->opens);
		TAILQ_INIT(&fs->locks);
		TAILQ_INIT(&fs->waits);
		inode->state = fs;
	}
	fs->users++;
	return fs;
}

void
file_state_put_locked(struct file_state *fs, struct inode **iref)
{
	*iref = NULL;
	if (--fs->users)
		return;
	*iref = fs->inode;
	fs->inode->state = NULL;
	free(fs);
}
