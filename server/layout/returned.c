/*
 * What clients returned lately.  The Linux client may return a layout and commit what it wrote by it afterwards; refused, its
 * data would be lost to a size that stays short (PITFALLS A27).  So for one lease period a LAYOUTCOMMIT is accepted for what was held for writing - as
 * long as nothing happened to those blocks since.
 */
#include "server/layout/layout_impl.h"

#include <stdlib.h>
#include <string.h>

#include "server/mds.h"
#include "server/state/client.h"

static unsigned
returned_bucket(const uint8_t *handle, unsigned len)
{
	uint32_t hash = 2166136261u;
	for (unsigned i = 0; i < len; i++)
		hash = (hash ^ handle[i]) * 16777619u;
	return hash % RETURNED_BUCKETS;
}

static void
returned_drop(struct layouts *layouts, struct returned *r)
{
	LIST_REMOVE(r, of_bucket);
	TAILQ_REMOVE(&layouts->returned_all, r, of_all);
	layouts->nreturned--;
	ranges_free(&r->rw);
	free(r);
}

static bool
returned_is(const struct returned *r, const struct inode *inode)
{
	return r->handle_len == inode->handle_len && !memcmp(r->handle, inode->handle, r->handle_len);
}

static struct returned *
returned_find(struct layouts *layouts, const uint8_t *other, const struct inode *inode)
{
	struct returned *r;

	LIST_FOREACH(r, &layouts->returned[returned_bucket(inode->handle, inode->handle_len)], of_bucket)
		if (!memcmp(r->other, other, sizeof r->other) && returned_is(r, inode))
			return r;
	return NULL;
}

/* Of one client and file a few are enough: the commit that comes late is for the last. */
static void
returned_trim(struct layouts *layouts, const struct layout *layout)
{
	const struct inode *inode = layout->file->inode;
	struct returned *r, *next;
	unsigned n = 0;

	/* The newest stand first. */
	for (r = LIST_FIRST(&layouts->returned[returned_bucket(inode->handle, inode->handle_len)]); r; r = next) {
		next = LIST_NEXT(r, of_bucket);
		if (r->clientid == layout->obj.client->id && returned_is(r, inode) && ++n >= RETURNED_OF_ONE)
			returned_drop(layouts, r);
	}
}

static struct returned *
returned_new(struct layouts *layouts, const struct layout *layout)
{
	const struct inode *inode = layout->file->inode;
	struct returned *r;

	returned_trim(layouts, layout);
	while (layouts->nreturned >= RETURNED_MAX)
		returned_drop(layouts, TAILQ_FIRST(&layouts->returned_all));
	r = calloc(1, sizeof *r);
	if (!r)
		return NULL;
	r->clientid = layout->obj.client->id;
	memcpy(r->other, layout->obj.other, sizeof r->other);
	memcpy(r->handle, inode->handle, inode->handle_len);
	r->handle_len = inode->handle_len;
	LIST_INSERT_HEAD(&layouts->returned[returned_bucket(r->handle, r->handle_len)], r, of_bucket);
	TAILQ_INSERT_TAIL(&layouts->returned_all, r, of_all);
	layouts->nreturned++;
	return r;
}

void
returned_add_locked(struct layouts *layouts, const struct layout *layout, struct range range)
{
	struct returned *r;

	if (!ranges_overlap(&layout->held.rw, range))
		return;
	r = returned_find(layouts, layout->obj.other, layout->file->inode);
	if (r) {
		TAILQ_REMOVE(&layouts->returned_all, r, of_all);
		TAILQ_INSERT_TAIL(&layouts->returned_all, r, of_all);
	} else {
		r = returned_new(layouts, layout);
	}
	if (!r)
		return;		/* a late commit will be refused: as the RFC has it */
	r->expires_ms = mds_now_ms() + layouts->mds->conf.lease * 1000ull;
	for (uint32_t i = 0; i < layout->held.rw.n; i++) {
		struct range part = layout->held.rw.v[i];
		part.start = part.start > range.start ? part.start : range.start;
		part.end = part.end < range.end ? part.end : range.end;
		if (!range_empty(part) && ranges_add(&r->rw, part) < 0)
			break;
	}
}

const struct returned *
returned_find_locked(struct layouts *layouts, const struct client *client, const struct inode *inode, const stateid4 *sid)
{
	struct returned *r = returned_find(layouts, (const uint8_t *)sid->other, inode);
	return r && r->clientid == client->id && r->expires_ms > mds_now_ms() ? r : NULL;
}

void
returned_forget_locked(struct layouts *layouts, const struct inode *inode, const struct client *except, struct range range)
{
	struct returned *r, *next;

	if (!layouts->nreturned)
		return;
	for (r = LIST_FIRST(&layouts->returned[returned_bucket(inode->handle, inode->handle_len)]); r; r = next) {
		next = LIST_NEXT(r, of_bucket);
		if (!returned_is(r, inode) || (except && r->clientid == except->id))
			continue;
		if (ranges_sub(&r->rw, range) < 0 || !r->rw.n)
			returned_drop(layouts, r);
	}
}

void
returned_client_gone_locked(struct layouts *layouts, const struct client *client)
{
	struct returned *r, *next;

	for (r = TAILQ_FIRST(&layouts->returned_all); r; r = next) {
		next = TAILQ_NEXT(r, of_all);
		if (r->clientid == client->id)
			returned_drop(layouts, r);
	}
}

void
returned_free(struct layouts *layouts)
{
	while (!TAILQ_EMPTY(&layouts->returned_all))
		returned_drop(layouts, TAILQ_FIRST(&layouts->returned_all));
}
