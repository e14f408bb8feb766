/*
 * check.c: the files that are left after the crash, word by word, against what the journal allows (expect.c); and damage done on purpose, which
 * must be found.  Called by main.c.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crash.h"

#define TOLD_MAX 20u			/* findings that are told one by one */
#define FILES 65536u

struct check {
	const struct record *journal;
	size_t nrecords;
	uint8_t *made, *seen;		/* by file number */
	unsigned bad;
	uint64_t files, acknowledged, words, zeros;
};

static void __attribute__((format(printf, 4, 5)))
tell(struct check *c, const char *kind, uint16_t file, const char *format, ...)
{
	va_list ap;

	/* what is foreign is the worst, and comes late in the list where clients saw it */
	if (c->bad++ >= TOLD_MAX && strncmp(kind, "foreign", 7) != 0)
		return;
	printf("BAD %s f%05u: ", kind, file);
	va_start(ap, format);
	vprintf(format, ap);
	va_end(ap);
	putchar('\n');
}

static bool
version_allowed(const struct stretch *s, uint32_t version)
{
	for (uint32_t i = 0; i < s->nversions; i++)
		if (s->versions[i] == version)
			return true;
	return false;
}

/* What a word that is not allowed is. */
static void
word_bad(struct check *c, uint16_t file, const struct stretch *s, uint64_t at, uint64_t bits)
{
	struct word w = word_read(bits);
	unsigned long long offset = at, from = w.offset;

	if (bits == 0)
		tell(c, "lost", file, "at %llu: zeros, where version %u was acknowledged", offset, s->versions[0]);
	else if (w.file == CRASH_DEVICE)
		tell(c, "foreign-device", file, "at %llu: what the device held before, at %llu", offset,
			((unsigned long long)w.version << 27) + from);
	else if (w.file == file && w.offset == at)
		tell(c, "lost", file, "at %llu: version %u, not %u or later", offset, w.version, s->nversions ? s->versions[0] : 0);
	else if (c->made[w.file] && w.offset < CRASH_FILE_MAX)
		tell(c, "foreign-file", file, "at %llu: f%05u version %u offset %llu", offset, w.file, w.version, from);
	else
		tell(c, "foreign", file, "at %llu: %016llx", offset, (unsigned long long)bits);
}

static void
stretch_check(struct check *c, uint16_t file, const struct stretch *s, const uint64_t *words, uint64_t size)
{
	uint64_t end = s->end < size ? s->end : size;

	for (uint64_t at = s->start; at < end; at += 8) {
		uint64_t bits = words[at / 8];
		struct word w = word_read(bits);
		c->words++;
		c->zeros += bits == 0;
		if (bits == 0 ? s->zero : w.file == file && w.offset == at && version_allowed(s, w.version))
			continue;
		word_bad(c, file, s, at, bits);
		return;				/* one of a stretch will do */
	}
}

static void
content_check(struct check *c, uint16_t file, const struct expect *e, const uint64_t *words, uint64_t size)
{
	uint64_t end = 0;

	for (size_t i = 0; i < e->nstretches && e->stretches[i].start < size; i++) {
		stretch_check(c, file, &e->stretches[i], words, size);
		end = e->stretches[i].end;
	}
	const struct stretch rest = { .start = end, .end = size, .zero = true };
	if (end < size)
		stretch_check(c, file, &rest, words, size);
}

static void
file_check(struct check *c, int dir, const char *name, uint16_t file)
{
	struct expect *e = expect_make(c->journal, c->nrecords, file);
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	struct stat st;

	c->files++;
	c->acknowledged += e->acknowledged;
	if (e->must_not_exist)
		tell(c, "undead", file, "%s", e->known ? "it was removed" : "nobody made it");
	if (fd < 0 || fstat(fd, &st)) {
		tell(c, "unreadable", file, "%s", strerror(errno));
	} else {
		uint64_t size = (uint64_t)st.st_size, *words = malloc(size + 8);
		if (size < e->size_min)
			tell(c, "short", file, "%llu bytes of %llu", (unsigned long long)size, (unsigned long long)e->size_min);
		if (size > e->size_max)
			tell(c, "long", file, "%llu bytes, not %llu", (unsigned long long)size, (unsigned long long)e->size_max);
		else if (!words || pread(fd, words, size, 0) != st.st_size)
			tell(c, "unreadable", file, "%s", strerror(errno));
		else
			content_check(c, file, e, words, size & ~(uint64_t)7);
		free(words);
	}
	if (fd >= 0)
		close(fd);
	expect_free(e);
}

static void
directory_check(struct check *c, const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *ent;
	unsigned number;

	if (!dir) {
		tell(c, "unreadable", 0, "%s: %s", path, strerror(errno));
		return;
	}
	while ((ent = readdir(dir)))
		if (sscanf(ent->d_name, "f%05u", &number) == 1 && number < FILES) {
			c->seen[number] = 1;
			file_check(c, dirfd(dir), ent->d_name, (uint16_t)number);
		}
	closedir(dir);
}

/* Files that are gone, what clients saw, and the counts that say the crash hit something. */
static void
journal_check(struct check *c)
{
	uint64_t n[RECORD_STATS + 1] = { 0 }, direct[CRASH_CLIENTS] = { 0 }, through[CRASH_CLIENTS] = { 0 };

	for (size_t i = 0; i < c->nrecords; i++) {
		const struct record *r = &c->journal[i];
		if (r->type <= RECORD_STATS)
			n[r->type]++;
		if (r->type == RECORD_STATS && r->client < CRASH_CLIENTS) {
			direct[r->client] = r->offset;
			through[r->client] = r->length;
		}
		if (r->type == RECORD_FOREIGN)
			tell(c, "foreign-alive", r->file, "at %llu, read by client %u", (unsigned long long)r->offset, r->client);
		if (r->type != RECORD_CREATED || c->seen[r->file])
			continue;
		struct expect *e = expect_make(c->journal, c->nrecords, r->file);
		if (e->must_exist)
			tell(c, "missing", r->file, "it was made, and not removed");
		expect_free(e);
	}
	printf("files=%llu acknowledged=%lluK words=%llu zeros=%llu writes=%llu syncs=%llu truncations=%llu removals=%llu direct=%lluM through=%lluM bad=%u\n",
		(unsigned long long)c->files, (unsigned long long)c->acknowledged >> 10, (unsigned long long)c->words,
		(unsigned long long)c->zeros, (unsigned long long)n[RECORD_WRITTEN], (unsigned long long)n[RECORD_SYNCED],
		(unsigned long long)n[RECORD_TRUNCATED], (unsigned long long)n[RECORD_REMOVED],
		(unsigned long long)(direct[0] + direct[1]) >> 20, (unsigned long long)(through[0] + through[1]) >> 20, c->bad);
}

int
crash_check(const char *dir, const char *journal)
{
	struct check c = { 0 };
	struct record *records = journal_read(journal, &c.nrecords);

	c.journal = records;
	c.made = calloc(FILES, 2);
	if (!records || !c.made)
		return 2;
	c.seen = c.made + FILES;
	for (size_t i = 0; i < c.nrecords; i++)
		c.made[records[i].file] |= records[i].type == RECORD_CREATE;
	directory_check(&c, dir);
	journal_check(&c);
	free(records);
	free(c.made);
	return c.bad != 0;
}

/* ---- damage ---- */

/* What is to be found of each kind, in a stretch whose bytes were acknowledged and may not be zeros.  OTHER: another file. */
static int
stretch_damage(int fd, uint16_t other, const struct stretch *s, const char *kind)
{
	struct word w = { .file = CRASH_DEVICE, .offset = 4096 };
	uint64_t bits = 0;

	if (strcmp(kind, "short") == 0)
		return ftruncate(fd, (off_t)s->start);
	if (strcmp(kind, "foreign") == 0)
		bits = 0x0123456789abcdef;
	else if (strcmp(kind, "foreign-device") == 0)
		bits = word_make(w);
	else if (strcmp(kind, "foreign-file") == 0)
		bits = word_make((struct word){ .file = other, .version = 1, .offset = s->start });
	return pwrite(fd, &bits, sizeof(bits), (off_t)s->start) == sizeof(bits) ? 0 : -1;
}

/* Any other that was made. */
static uint16_t
file_other(const struct record *records, size_t n, uint16_t file)
{
	for (size_t i = 0; i < n; i++)
		if (records[i].type == RECORD_CREATE && records[i].file != file)
			return records[i].file;
	return file;
}

/* To the first file it can be done to; 1 if there is none. */
int
crash_damage(const char *dir, const char *journal, const char *kind)
{
	size_t n;
	struct record *records = journal_read(journal, &n);
	int done = 1;
	char path[4096];

	for (size_t i = 0; records && done && i < n; i++) {
		if (records[i].type != RECORD_SYNCED)
			continue;
		struct expect *e = expect_make(records, n, records[i].file);
		snprintf(path, sizeof(path), "%s/f%05u", dir, records[i].file);
		int fd = open(path, O_WRONLY | O_CLOEXEC);
		for (size_t k = 0; fd >= 0 && done && k < e->nstretches; k++) {
			const struct stretch *s = &e->stretches[k];
			if (s->acknowledged && !s->zero && (strcmp(kind, "short") || s->end <= e->size_min))
				done = stretch_damage(fd, file_other(records, n, records[i].file), s, kind) ? 1 : 0;
		}
		if (!done)
			printf("%s: done to f%05u\n", kind, records[i].file);
		if (!done && strcmp(kind, "missing") == 0)
			done = unlink(path) ? 1 : 0;
		if (fd >= 0)
			close(fd);
		expect_free(e);
	}
	free(records);
	return done;
}
