/* From a path to a file handle; see walk.h. */
#include "client/walk.h"

#include <string.h>
#include <sys/stat.h>

static void
walk_build(struct mds_req *req, struct compound_call *c)
{
	struct walk *w = (struct walk *)req;
	compound_putfh(c, &w->fh);
	for (unsigned i = 0; i < w->step; i++)
		compound_lookup(c, w->path->name[w->at + i]);
	compound_call_op(c, OP_GETFH, NULL);
	if (w->st)
		compound_getattr(c, &stat_mask);
}

static void
walk_send(struct walk *w, struct mds *mds)
{
	unsigned room = mds->fore.ca_maxoperations - 4;
	w->step = w->end - w->at < room ? w->end - w->at : room;
	mds_submit(mds, &w->req);
}

static void
walk_done(struct mds_req *req, int status, struct reply *reply)
{
	struct walk *w = (struct walk *)req;
	struct nfs_attrs attrs;
	if (!status)
		status = reply_op(reply, OP_PUTFH);
	for (unsigned i = 0; i < w->step && !status; i++)
		status = reply_op(reply, OP_LOOKUP);
	if (!status)
		status = reply_getfh(reply, &w->fh);
	if (!status && w->st) {
		status = reply_getattr(reply, &attrs);
		if (!status)
			stat_from_attrs(w->st, &attrs);
	}
	w->at += w->step;
	if (!status && w->at < w->end)
		walk_send(w, req->mds);
	else
		w->done(w->arg, status);
}

void
walk_start(struct walk *w, struct mds *mds, const struct fh *root, const struct path *path, unsigned n,
    struct stat *st, done_fn *done, void *arg)
{
	memset(w, 0, sizeof *w);
	w->req.build = walk_build;
	w->req.done = walk_done;
	w->path = path;
	w->end = n;
	w->fh = *root;
	w->st = st;
	w->done = done;
	w->arg = arg;
	walk_send(w, mds);
}
