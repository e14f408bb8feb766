/* The table of files in use; see node.h. */
#define HASH_NONFATAL_OOM 1
#include "client/node.h"

#include <stdlib.h>
#include <string.h>

#include "client/file.h"

struct node *
node_find(struct pnfs *m, const uint8_t *fh, uint32_t len)
{
	struct node *node;
	HASH_FIND(hh, m->nodes, fh, len, node);
	return node;
}

struct node *
node_get(struct pnfs *m, const struct fh *fh)
{
	struct node *node = node_find(m, fh->data, fh->len);
	if (node)
		return node_ref(node);
	node = calloc(1, sizeof *node);
	if (!node)
		return NULL;
	node->m = m;
	node->fh = *fh;
	node->refs = 1;
	LIST_INIT(&node->files);
	TAILQ_INIT(&node->kept);
	TAILQ_INIT(&node->held);
	TAILQ_INIT(&node->io_blocked);
	TAILQ_INIT(&node->io_waiting);
	TAILQ_INIT(&node->commit_waiters);
	HASH_ADD_KEYPTR(hh, m->nodes, node->fh.data, node->fh.len, node);
	if (!node->hh.tbl) {
		free(node);
		return NULL;
	}
	layout_init(&node->layout);
	return node;
}

struct node *
node_ref(struct node *node)
{
	node->refs++;
	return node;
}

void
node_put(struct node *node)
{
	struct kept *kept;
	if (--node->refs)
		return;
	HASH_DEL(node->m->nodes, node);
	while ((kept = TAILQ_FIRST(&node->kept))) {
		TAILQ_REMOVE(&node->kept, kept, link);
		node->m->kept -= kept->len;
		free(kept);
	}
	layout_free(&node->layout);
	free(node);
}

void
node_update(struct node *node, const struct nfs_attrs *a)
{
	if (attr_has(&a->mask, FATTR4_SIZE)) {
		/* What we wrote past the end and have not committed is not in the server's size yet (RFC 8881 12.5.4.2). */
		uint64_t own = layout_own_end(node);
		if (!own || a->size > node->told)
			node->told = a->size;
		node->size = a->size > own || !node->layout.grow ? a->size : own;
		node->size_stale = false;
	}
	if (attr_has(&a->mask, FATTR4_FSID))
		node->fsid = a->fsid;
	if (attr_has(&a->mask, FATTR4_FILEID))
		node->fileid = a->fileid;
	uint32_t max_read = mds_max_read(&node->m->mds), max_write = mds_max_write(&node->m->mds);
	if (attr_has(&a->mask, FATTR4_MAXREAD))
		node->max_read = a->maxread < max_read && a->maxread ? (uint32_t)a->maxread : max_read;
	if (attr_has(&a->mask, FATTR4_MAXWRITE))
		node->max_write = a->maxwrite < max_write && a->maxwrite ? (uint32_t)a->maxwrite : max_write;
	if (!node->max_read)
		node->max_read = max_read;
	if (!node->max_write)
		node->max_write = max_write;
	if (attr_has(&a->mask, FATTR4_FS_LAYOUT_TYPES))
		layout_types(node, a->layout_types, a->nlayout_types);
}

void
node_error(struct node *node, int err)
{
	struct pnfs_file *file;
	LIST_FOREACH(file, &node->files, node_link)
		if (!file->error)
			file->error = err;
}
