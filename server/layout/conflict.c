/* The conflict rule; see conflict.h. */
#include "server/layout/conflict.h"

static uint64_t
min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t
conflict_first(const struct holding *h, bool own, enum layout_need need, struct range r)
{
	if (own && need != LAYOUT_NEED_BLOCKS)
		return need == LAYOUT_NEED_WRITE ? ranges_first(&h->holes, r) : r.end;
	uint64_t first = ranges_first(&h->rw, r);
	if (need != LAYOUT_NEED_READ)
		first = min_u64(first, ranges_first(&h->read, r));
	return first;
}

struct range
conflict_recall(const struct holding *h, bool own, enum layout_need need, struct range r)
{
	return own && need == LAYOUT_NEED_WRITE ? ranges_grow(&h->holes, r) : r;
}

uint64_t
conflict_want_first(const struct want *w, uint64_t client, enum layout_need need, struct range r)
{
	if (range_empty(r) || !range_overlap(w->range, r))
		return r.end;
	bool own = w->owner == client && client != 0;
	bool blocked;
	switch (w->need) {
	case LAYOUT_NEED_READ:
		blocked = !own && need != LAYOUT_NEED_READ;
		break;
	case LAYOUT_NEED_RW:
		blocked = !own;
		break;
	case LAYOUT_NEED_WRITE:
		blocked = !own || need == LAYOUT_NEED_READ;
		break;
	default:
		blocked = !own || !w->met;
		break;
	}
	if (!blocked)
		return r.end;
	return w->range.start > r.start ? w->range.start : r.start;
}
