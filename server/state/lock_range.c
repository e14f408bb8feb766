/*
 * The byte ranges of one file, in a list by start: conflict, lock, unlock, with the
 * POSIX rules (RFC 8881 9.2, 9.3; fcntl(2)).  Ranges of one owner never overlap, and touching ones of the same kind
 * and state are one.  Pure: no table, no allocation.  Used by lock.c.
 */
#include "server/state/lock.h"

#include <stddef.h>
#include <stdlib.h>

#include "include/queue.h"
#include "server/state/file.h"

/* From R on. */
static struct lock_range *
conflict_from(struct lock_range *r, const struct owner *owner, bool write, uint64_t start, uint64_t end)
{
	for (; r && r->start <= end; r = TAILQ_NEXT(r, of_file))
		if (r->end >= start && r->state->owner != owner && (write || r->write))
			return r;
	return NULL;
}

struct lock_range *
lock_range_conflict(const struct file_state *fs, const struct owner *owner, bool write, uint64_t start, uint64_t end)
{
	return conflict_from(TAILQ_FIRST(&fs->locks), owner, write, start, end);
}

struct lock_range *
lock_range_conflict_next(const struct lock_range *r, const struct owner *owner, bool write, uint64_t start, uint64_t end)
{
	return conflict_from(TAILQ_NEXT(r, of_file), owner, write, start, end);
}

static void
range_insert(struct file_state *fs, struct lock_range *range)
{
	struct lock_range *r;

	TAILQ_FOREACH(r, &fs->locks, of_file)
		if (r->start > range->start) {
			TAILQ_INSERT_BEFORE(r, range, of_file);
			return;
		}
	TAILQ_INSERT_TAIL(&fs->locks, range, of_file);
}

static void
range_add(struct file_state *fs, struct lock_spare *spare, struct lock_state *state, bool write,
    uint64_t start, uint64_t end)
{
	struct lock_range **slot = spare->node[0] ? &spare->node[0] : &spare->node[1];
	struct lock_range *range = *slot;

	*slot = NULL;
	range->state = state;
	range->write = write;
	range->start = start;
	range->end = end;
	state->nranges++;
	range_insert(fs, range);
}

static void
range_drop(struct file_state *fs, struct lock_range *range)
{
	TAILQ_REMOVE(&fs->locks, range, of_file);
	range->state->nranges--;
	free(range);
}

/* Take START to END out of R, which overlaps it.  Returns by how many ranges there are more. */
static int
range_cut(struct file_state *fs, struct lock_range *r, uint64_t start, uint64_t end, struct lock_spare *spare)
{
	if (r->start >= start && r->end <= end) {
		range_drop(fs, r);
		return -1;
	}
	if (r->start < start && r->end > end) {
		range_add(fs, spare, r->state, r->write, end + 1, r->end);
		r->end = start - 1;
		return 1;
	}
	if (r->start < start) {
		r->end = start - 1;
		return 0;
	}
	TAILQ_REMOVE(&fs->locks, r, of_file);
	r->start = end + 1;
	range_insert(fs, r);
	return 0;
}

/* A range cut at its front moves on in the list and is seen again, but then it does not overlap any more. */
int
lock_range_apply(struct file_state *fs, const struct owner *owner, struct lock_state *state, enum lock_mode mode,
    uint64_t start, uint64_t end, struct lock_spare *spare)
{
	struct lock_range *r, *next;
	int more = 0;

	TAILQ_FOREACH_SAFE(r, &fs->locks, of_file, next) {
		if (r->start > end && r->start - end > 1)
			break;
		if (r->state->owner != owner || (r->end < start && start - r->end > 1))
			continue;
		if (mode != LOCK_NONE && r->state == state && r->write == (mode == LOCK_WRITE)) {
			/* Touches or overlaps: one range. */
			start = r->start < start ? r->start : start;
			end = r->end > end ? r->end : end;
			range_drop(fs, r);
			more--;
		} else if (r->end >= start && r->start <= end) {
			more += range_cut(fs, r, start, end, spare);
		}
	}
	if (mode != LOCK_NONE) {
		range_add(fs, spare, state, mode == LOCK_WRITE, start, end);
		more++;
	}
	return more;
}
