/*
 * expect.c: from the journal to what each word of a file may be after the crash.  Called by check.c; pure.
 *
 * One thread writes a file, so its writes are in order; truncations come from others too, at any time.  "Before" is: done, as
 * the journal has it, when the other began.  What is not before and not after may be either way.
 *
 *	a write is acknowledged		if a sync of the file that began after its end was done
 *	a truncation is final		as soon as it was done: names and sizes are durable when the server answers
 */
#include <stdlib.h>
#include <string.h>

#include "crash.h"

#define NEVER SIZE_MAX

/* An operation of one kind; begin and end are places in the journal. */
struct op {
	size_t begin, end;
	uint32_t version;
	uint64_t from, to;		/* of truncations: size, NEVER */
	bool acknowledged;
};

struct history {
	struct op *writes, *truncations;
	size_t nwrites, ntruncations;
	size_t last_sync;		/* the last sync that was done: its begin, + 1; 0: none */
	bool created, create_begun, remove_begun, removed;
};

static void
history_op(struct op **ops, size_t *n, const struct record *r, size_t at, bool truncation)
{
	*ops = reallocarray(*ops, *n + 1, sizeof(**ops));
	if (!*ops)
		abort();
	(*ops)[(*n)++] = (struct op){ .begin = at, .end = NEVER, .version = r->version, .from = r->offset,
		.to = truncation ? UINT64_MAX : r->offset + r->length };
}

/* Its beginning is the latest one with that version: truncations of two clients may have the same only if they are not at the same time. */
static void
history_end(struct op *ops, size_t n, const struct record *r, size_t at)
{
	while (n-- > 0)
		if (ops[n].version == r->version && ops[n].end == NEVER) {
			ops[n].end = at;
			return;
		}
}

static void
history_record(struct history *h, const struct record *r, size_t at, size_t *sync_begin)
{
	switch (r->type) {
	case RECORD_CREATE: h->create_begun = true; break;
	case RECORD_CREATED: h->created = true; break;
	case RECORD_WRITE: history_op(&h->writes, &h->nwrites, r, at, false); break;
	case RECORD_WRITTEN: history_end(h->writes, h->nwrites, r, at); break;
	case RECORD_SYNC: *sync_begin = at + 1; break;
	case RECORD_SYNCED: h->last_sync = *sync_begin; break;
	case RECORD_TRUNCATE: history_op(&h->truncations, &h->ntruncations, r, at, true); break;
	case RECORD_TRUNCATED: history_end(h->truncations, h->ntruncations, r, at); break;
	case RECORD_REMOVE: h->remove_begun = true; break;
	case RECORD_REMOVED: h->removed = true; break;
	default: break;
	}
}

static void
history_make(struct history *h, const struct record *journal, size_t n, uint16_t file)
{
	size_t sync_begin = 0;

	for (size_t i = 0; i < n; i++)
		if (journal[i].file == file)
			history_record(h, &journal[i], i, &sync_begin);
	for (size_t i = 0; i < h->nwrites; i++)
		h->writes[i].acknowledged = h->writes[i].end != NEVER && h->writes[i].end + 1 < h->last_sync;
	for (size_t i = 0; i < h->ntruncations; i++)
		h->truncations[i].acknowledged = h->truncations[i].end != NEVER;
}

/* ---- one word ---- */

/* Was what W wrote at OFFSET cut off for good? */
static bool
write_cut(const struct history *h, const struct op *w, uint64_t offset)
{
	for (size_t i = 0; i < h->ntruncations; i++) {
		const struct op *t = &h->truncations[i];
		if (t->acknowledged && t->from <= offset && w->end < t->begin)
			return true;
	}
	return false;
}

/* Might it have been? */
static bool
write_endangered(const struct history *h, const struct op *w, uint64_t end)
{
	for (size_t i = 0; i < h->ntruncations; i++)
		if (h->truncations[i].from < end && h->truncations[i].end > w->begin)
			return true;
	return false;
}

static void
stretch_judge(const struct history *h, struct stretch *s)
{
	s->zero = true;
	s->versions = calloc(h->nwrites + 1, sizeof(*s->versions));
	if (!s->versions)
		abort();
	/* later writes first, up to one that is sure to have covered what was before */
	size_t i = h->nwrites, n = 0;
	while (i-- > 0) {
		const struct op *w = &h->writes[i];
		if (w->from > s->start || w->to < s->end)
			continue;
		if (!write_cut(h, w, s->start))
			s->versions[n++] = w->version;
		if (w->acknowledged) {
			s->acknowledged = true;
			s->zero = write_endangered(h, w, s->end);
			break;
		}
	}
	s->nversions = (uint32_t)n;
	for (size_t a = 0; a < n / 2; a++) {
		uint32_t v = s->versions[a];
		s->versions[a] = s->versions[n - 1 - a];
		s->versions[n - 1 - a] = v;
	}
}

/* ---- the file ---- */

static int
compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return x < y ? -1 : x > y;
}

static void
stretches_make(const struct history *h, struct expect *e)
{
	uint64_t *border = calloc(2 * h->nwrites + h->ntruncations + 1, sizeof(*border));
	size_t n = 1, last = 0;

	if (!border)
		abort();
	for (size_t i = 0; i < h->nwrites; i++) {
		border[n++] = h->writes[i].from;
		border[n++] = h->writes[i].to;
	}
	for (size_t i = 0; i < h->ntruncations; i++)
		border[n++] = h->truncations[i].from;
	qsort(border, n, sizeof(*border), compare_u64);
	e->stretches = calloc(n, sizeof(*e->stretches));
	if (!e->stretches)
		abort();
	for (size_t i = 1; i < n; i++) {
		if (border[i] == border[last])
			continue;
		struct stretch *s = &e->stretches[e->nstretches++];
		*s = (struct stretch){ .start = border[last], .end = border[i] };
		last = i;
		stretch_judge(h, s);
		if (s->acknowledged && !s->zero)
			e->acknowledged += s->end - s->start;
	}
	free(border);
}

static void
size_at_least(const struct history *h, struct expect *e)
{
	for (size_t i = 0; i < h->nwrites; i++) {
		const struct op *w = &h->writes[i];
		if (w->acknowledged && w->to > e->size_min && !write_endangered(h, w, w->to))
			e->size_min = w->to;
	}
	for (size_t i = 0; i < h->ntruncations; i++) {
		const struct op *t = &h->truncations[i];
		if (t->acknowledged && t->from > e->size_min && !write_endangered(h, t, t->from))
			e->size_min = t->from;
	}
}

/* As large as the largest that was not before a final truncation. */
static uint64_t
size_after(const struct history *h, const struct op *cut)
{
	uint64_t size = cut ? cut->from : 0;

	for (size_t i = 0; i < h->nwrites; i++)
		if ((!cut || h->writes[i].end > cut->begin) && h->writes[i].to > size)
			size = h->writes[i].to;
	for (size_t i = 0; i < h->ntruncations; i++)
		if ((!cut || h->truncations[i].end > cut->begin) && h->truncations[i].from > size)
			size = h->truncations[i].from;
	return size;
}

static void
size_at_most(const struct history *h, struct expect *e)
{
	e->size_max = size_after(h, NULL);
	for (size_t i = 0; i < h->ntruncations; i++) {
		uint64_t size = h->truncations[i].acknowledged ? size_after(h, &h->truncations[i]) : e->size_max;
		if (size < e->size_max)
			e->size_max = size;
	}
}

struct expect *
expect_make(const struct record *journal, size_t n, uint16_t file)
{
	struct history h = { 0 };
	struct expect *e = calloc(1, sizeof(*e));

	if (!e)
		abort();
	history_make(&h, journal, n, file);
	e->known = h.create_begun;
	e->must_exist = (h.created || h.last_sync) && !h.remove_begun;
	e->must_not_exist = h.removed || !h.create_begun;
	stretches_make(&h, e);
	size_at_least(&h, e);
	size_at_most(&h, e);
	free(h.writes);
	free(h.truncations);
	return e;
}

void
expect_free(struct expect *e)
{
	for (size_t i = 0; i < e->nstretches; i++)
		free(e->stretches[i].versions);
	free(e->stretches);
	free(e);
}
