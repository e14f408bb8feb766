/* From a path to a file handle: LOOKUPs, as many in a COMPOUND as the session allows.  Service thread. */
#ifndef PNFS_CLIENT_WALK_H
#define PNFS_CLIENT_WALK_H

#include "client/compound.h"
#include "client/mds.h"
#include "client/sync.h"
#include "client/url.h"

struct walk {
	struct mds_req req;
	const struct path *path;
	unsigned at, end;		/* components done; where to stop */
	unsigned step;			/* of them in the request under way */
	struct fh fh;			/* result */
	struct stat *st;		/* NULL: no attributes wanted */
	done_fn *done;
	void *arg;
};

/*
 * The first N names of PATH from ROOT.  ST (may be NULL) gets the attributes of the last.  *w and PATH must stay until DONE;
 * a symbolic link in the middle is -ELOOP.
 */
void walk_start(struct walk *w, struct mds *mds, const struct fh *root, const struct path *path, unsigned n,
    struct stat *st, done_fn *done, void *arg);

#endif
