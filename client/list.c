/* pnfs_list(): READDIR (RFC 8881 18.23), a reply at a time; entries are handed out on the caller's thread. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/mount.h"
#include "client/walk.h"
#include "proto/nfs4/dirent.h"
#include "proto/nfs4/status.h"

#define DIR_COUNT (16u << 10)
#define MAX_COUNT (128u << 10)		/* bytes of a reply */

struct entry {
	struct entry *next;
	struct stat st;
	char name[];
};

struct list_op {
	struct mds_req req;
	struct walk walk;
	struct path path;
	const char *text;
	bool walked, eof;
	uint64_t cookie;
	verifier4 verf;
	struct entry *first, **last;
	struct pnfs *m;
	struct sync *sync;
};

static void
list_build(struct mds_req *req, struct compound_call *c)
{
	struct list_op *op = (struct list_op *)req;
	struct attr_mask mask = stat_mask;
	uint32_t room = op->m->mds.fore.ca_maxresponsesize - 512;
	READDIR4args args = { .cookie = op->cookie, .dircount = DIR_COUNT,
		.maxcount = room < MAX_COUNT ? room : MAX_COUNT };
	memcpy(args.cookieverf, op->verf, sizeof args.cookieverf);
	attr_set(&mask, FATTR4_RDATTR_ERROR);
	attr_mask_to(&args.attr_request, &mask);
	compound_putfh(c, &op->walk.fh);
	compound_call_op(c, OP_READDIR, &args);
}

static int
entry_add(struct list_op *op, const struct dirent_item *item)
{
	struct nfs_attrs attrs = { .type = 0 };
	struct entry *entry = calloc(1, sizeof *entry + item->name.len + 1);
	if (!entry)
		return -ENOMEM;
	memcpy(entry->name, item->name.data, item->name.len);
	if (attrs_decode(&item->attrs, &attrs) != NFS4_OK) {
		free(entry);
		return -EPROTO;
	}
	/* An entry whose attributes could not be got has its name all the same. */
	stat_from_attrs(&entry->st, &attrs);
	*op->last = entry;
	op->last = &entry->next;
	op->cookie = item->cookie;
	return 0;
}

static int
entries_take(struct list_op *op, struct reply *reply)
{
	struct dirent_reader reader;
	struct dirent_item item;
	uint32_t status;
	XDR *xdrs = &reply->results.xdrs;
	int n = 0, err = 0;
	if (compound_res_raw(&reply->results, OP_READDIR) || !ax_get_u32(xdrs, &status))
		return -EPROTO;
	reply->status = (nfsstat4)status;
	if (status)
		return nfs4_errno(reply->status);
	if (!dirent_open(&reader, xdrs))
		return -EPROTO;
	while (!err && (n = dirent_next(&reader, &item)) > 0)
		err = entry_add(op, &item);
	memcpy(op->verf, reader.verf, sizeof op->verf);
	op->eof = reader.eof;
	return err ? err : n < 0 ? -EPROTO : 0;
}

static void
list_done(struct mds_req *req, int status, struct reply *reply)
{
	struct list_op *op = (struct list_op *)req;
	if (!status)
		status = reply_op(reply, OP_PUTFH);
	if (!status)
		status = entries_take(op, reply);
	sync_done(op->sync, status);
}

static void
list_send(struct list_op *op)
{
	op->req.build = list_build;
	op->req.done = list_done;
	mds_submit(&op->m->mds, &op->req);
}

static void
list_walked(void *arg, int status)
{
	struct list_op *op = arg;
	op->walked = status == 0;
	if (status)
		sync_done(op->sync, status);
	else
		list_send(op);
}

static void
list_start(struct pnfs *m, void *args, struct sync *sync)
{
	struct list_op *op = args;
	op->m = m;
	op->sync = sync;
	if (op->walked) {
		list_send(op);
		return;
	}
	int err = path_parse(&op->path, m->base, op->text);
	if (err)
		sync_done(sync, err);
	else
		walk_start(&op->walk, &m->mds, &m->root, &op->path, op->path.n, NULL, list_walked, op);
}

int
pnfs_list(struct pnfs *mount, const char *path, int (*fn)(const struct pnfs_dirent *ent, void *arg), void *arg)
{
	struct list_op op = { .text = path };
	int status = 0;
	while (!status && !op.eof) {
		uint64_t before = op.cookie;
		op.first = NULL;
		op.last = &op.first;
		status = sync_run(mount, list_start, &op);
		if (!status && !op.eof && op.cookie == before)
			status = error_set(-EPROTO, "READDIR gives no entries and no end");
		struct entry *entry, *next;
		for (entry = op.first; entry; entry = next) {
			next = entry->next;
			struct pnfs_dirent ent = { .name = entry->name, .st = entry->st };
			if (!status)
				status = fn(&ent, arg);
			free(entry);
		}
	}
	return status;
}
