/*
 * write.c: one client through libpnfs: threads that own files and write them, and one that truncates, removes and reads the other client's, so that
 * blocks change hands.  All of it goes into the journal, before and after.  Runs until it is killed.  Called by main.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "crash.h"
#include "pnfs/pnfs.h"

#define SLOTS 6u			/* files that a thread has at a time */
#define IO_MAX ((size_t)512 << 10)
#define OWNER_FILES (65536u / (CRASH_CLIENTS * (CRASH_OWNERS + 1)))
#define NAMES_MAX 64u

struct client {
	struct pnfs *mount;
	int journal;
	unsigned number;
	uint64_t seed;
	bool quiet;			/* see crash_write() */
	atomic_uint ready, operations;
};

struct slot {
	struct pnfs_file *file;		/* NULL: empty */
	uint16_t number;
	uint32_t version;
	uint64_t size;			/* as its writer believes it; others cut it */
};

struct owner {
	struct client *client;
	unsigned thread;
	uint64_t dice;
	uint32_t made;
	char *buf;
	struct slot slots[SLOTS];
};

static void
note(struct client *c, enum record_type type, uint16_t file, uint32_t version, uint64_t offset, uint64_t length)
{
	journal_add(c->journal, (struct record){ .type = type, .client = (uint8_t)c->number, .file = file, .version = version,
		.offset = offset, .length = length });
}

static void
file_name(char name[16], uint16_t number)
{
	snprintf(name, 16, "f%05u", number);
}

/* A number no other operation on files has. */
static uint32_t
operation_number(struct client *c)
{
	return c->number << 24 | (atomic_fetch_add(&c->operations, 1) & 0xffffff);
}

/* Words of a file that was read: its own, or zeros. */
static void
words_look(struct client *c, const char *buf, size_t length, uint16_t file, uint64_t offset)
{
	const uint64_t *word = (const uint64_t *)buf;

	for (size_t i = 0; i < length / 8; i++) {
		struct word w = word_read(word[i]);
		if (word[i] == 0 || (w.file == file && w.offset == offset + i * 8))
			continue;
		fprintf(stderr, "client %u read at %llu of f%05u: f%05u version %u offset %llu\n", c->number,
			(unsigned long long)(offset + i * 8), file, w.file, w.version, (unsigned long long)w.offset);
		note(c, RECORD_FOREIGN, file, 0, offset + i * 8, word[i]);
		return;
	}
}

static void
file_read(struct client *c, struct pnfs_file *file, uint16_t number, char *buf, uint64_t *dice)
{
	uint64_t offset = dice_roll(dice, CRASH_FILE_MAX / 4096) * 4096;
	ssize_t n = pnfs_pread(file, buf, IO_MAX, offset);

	if (n > 0)
		words_look(c, buf, (size_t)n, number, offset);
}

static int
file_truncate(struct client *c, struct pnfs_file *file, uint16_t number, uint64_t size)
{
	uint32_t operation = operation_number(c);

	note(c, RECORD_TRUNCATE, number, operation, size, 0);
	int err = pnfs_ftruncate(file, size);
	if (!err)
		note(c, RECORD_TRUNCATED, number, operation, size, 0);
	return err;
}

static int
file_remove(struct client *c, uint16_t number)
{
	char name[16];

	file_name(name, number);
	note(c, RECORD_REMOVE, number, 0, 0, 0);
	int err = pnfs_unlink(c->mount, name);
	if (!err)
		note(c, RECORD_REMOVED, number, 0, 0, 0);
	return err;
}

/* ---- owners ---- */

static int
slot_open(struct owner *o, struct slot *s, int flags)
{
	char name[16];

	file_name(name, s->number);
	return pnfs_open(o->client->mount, name, O_RDWR | flags, 0644, &s->file);
}

static uint64_t
size_roll(struct owner *o)
{
	uint64_t size = dice_roll(&o->dice, CRASH_FILE_MAX + 8);
	return dice_roll(&o->dice, 2) ? size & ~(uint64_t)4095 : size & ~(uint64_t)7;
}

static int
slot_create(struct owner *o, struct slot *s)
{
	struct client *c = o->client;
	unsigned first = (c->number * (CRASH_OWNERS + 1) + o->thread) * OWNER_FILES;

	if (++o->made >= OWNER_FILES - 1)
		pause();			/* no more numbers; never in the time a cycle has */
	*s = (struct slot){ .number = (uint16_t)(first + o->made) };
	note(c, RECORD_CREATE, s->number, 0, 0, 0);
	int err = slot_open(o, s, O_CREAT | O_EXCL);
	if (err)
		return err;
	note(c, RECORD_CREATED, s->number, 0, 0, 0);
	/* Sized beforehand: then provider plain gives layouts for it. */
	if (dice_roll(&o->dice, 10) < 7) {
		s->size = size_roll(o);
		err = file_truncate(c, s->file, s->number, s->size);
	}
	return err;
}

static int
slot_write(struct owner *o, struct slot *s, bool append)
{
	uint64_t length = 1 + dice_roll(&o->dice, dice_roll(&o->dice, 4) ? 64 << 10 : IO_MAX);
	uint64_t offset = append ? s->size : dice_roll(&o->dice, s->size + 1), mask = dice_roll(&o->dice, 4) ? 4095 : 7;

	if (!append)
		offset &= ~mask;
	length = (length + mask) & ~mask;
	if (length > IO_MAX)
		length = IO_MAX;
	if (offset + length > CRASH_FILE_MAX)
		return 0;
	s->version++;
	words_fill(o->buf, length, (struct word){ .file = s->number, .version = s->version, .offset = offset });
	note(o->client, RECORD_WRITE, s->number, s->version, offset, length);
	ssize_t n = pnfs_pwrite(s->file, o->buf, length, offset);
	if (offset + length > s->size)
		s->size = offset + length;
	if (n < 0)
		return (int)n;
	note(o->client, RECORD_WRITTEN, s->number, s->version, offset, length);
	return 0;
}

static int
slot_sync(struct owner *o, struct slot *s)
{
	note(o->client, RECORD_SYNC, s->number, 0, 0, 0);
	int err = pnfs_fsync(s->file);
	if (!err)
		note(o->client, RECORD_SYNCED, s->number, 0, 0, 0);
	return err;
}

static int
slot_reopen(struct owner *o, struct slot *s)
{
	pnfs_close(s->file);
	s->file = NULL;
	return slot_open(o, s, 0);
}

static int
slot_step(struct owner *o, struct slot *s)
{
	uint64_t dice = dice_roll(&o->dice, 100);
	int err = 0;

	if (!s->file)
		return slot_create(o, s);
	if (o->client->quiet && dice >= 58)
		return dice < 90 ? slot_sync(o, s) : slot_write(o, s, false);
	if (dice < 45)
		return slot_write(o, s, false);
	if (dice < 58)
		return slot_write(o, s, true);
	if (dice < 80)
		return slot_sync(o, s);
	if (dice < 86) {
		uint64_t size = size_roll(o);
		err = file_truncate(o->client, s->file, s->number, size);
		s->size = size;
	} else if (dice < 92) {
		file_read(o->client, s->file, s->number, o->buf, &o->dice);
	} else if (dice < 96) {
		err = slot_reopen(o, s);
	} else {
		file_remove(o->client, s->number);
		err = -ESTALE;
	}
	return err;
}

static void *
owner_run(void *arg)
{
	struct owner *o = arg;

	for (unsigned n = 0;; n++) {
		struct slot *s = &o->slots[dice_roll(&o->dice, SLOTS)];
		int err = slot_step(o, s);
		if (n == SLOTS)
			atomic_fetch_add(&o->client->ready, 1);
		if (err && err != -ESTALE && err != -ENOENT)
			fprintf(stderr, "client %u: f%05u: %s: %s\n", o->client->number, s->number, strerror(-err), pnfs_error());
		if (err && s->file) {
			pnfs_close(s->file);
			s->file = NULL;
		}
		if (n % 16 == 0) {
			struct pnfs_stats st;
			pnfs_get_stats(o->client->mount, &st);
			note(o->client, RECORD_STATS, 0, 0, st.direct_write, st.mds_write);
		}
	}
	return NULL;
}

/* ---- the other client's files ---- */

struct names {
	struct client *client;
	unsigned n;
	uint16_t numbers[NAMES_MAX];
};

static int
names_add(const struct pnfs_dirent *ent, void *arg)
{
	struct names *names = arg;
	unsigned number;

	if (sscanf(ent->name, "f%05u", &number) != 1 || number / (OWNER_FILES * (CRASH_OWNERS + 1)) == names->client->number)
		return 0;
	names->numbers[names->n++] = (uint16_t)number;
	return names->n == NAMES_MAX;
}

/* LEFT: how many files the other client has. */
static void
other_change(struct client *c, uint16_t number, unsigned left, uint64_t *dice, char *buf)
{
	struct pnfs_file *file;
	uint64_t what = dice_roll(dice, 100);
	char name[16];

	if (what < 30) {
		/* a quiet one makes no others */
		if (!c->quiet || left > SLOTS / 2)
			file_remove(c, number);
		return;
	}
	file_name(name, number);
	if (pnfs_open(c->mount, name, what < 70 ? O_RDWR : O_RDONLY, 0, &file))
		return;
	if (what < 70)
		file_truncate(c, file, number, dice_roll(dice, CRASH_FILE_MAX / 8) * 8);
	else
		file_read(c, file, number, buf, dice);
	pnfs_close(file);
}

static void *
other_run(void *arg)
{
	struct client *c = arg;
	uint64_t dice = c->seed ^ 0x5851f42d4c957f2d;
	char *buf = aligned_alloc(4096, IO_MAX);

	if (!buf)
		abort();
	for (;;) {
		struct names names = { .client = c };
		usleep((useconds_t)((5000 + dice_roll(&dice, 40000)) * (c->quiet ? 50 : 1)));
		pnfs_list(c->mount, "", names_add, &names);
		if (names.n)
			other_change(c, names.numbers[dice_roll(&dice, names.n)], names.n, &dice, buf);
	}
	return NULL;
}

/*
 * Every other seed is quiet: one thread, which makes no names and cuts no file after the beginning.  What the server leaves in its log without forcing it would be
 * forced by the next of those.
 */
int
crash_write(const char *url, const char *device, const char *journal, unsigned number, uint64_t seed)
{
	struct client c = { .number = number, .seed = (seed * CRASH_CLIENTS + number + 1) * 0x9e3779b97f4a7c15u | 1 };
	const char *const devices[] = { device, NULL };
	struct pnfs_options options = { .devices = devices };
	struct owner owners[CRASH_OWNERS] = { 0 };
	unsigned nowners = seed % 2 ? CRASH_OWNERS : 1;
	pthread_t thread;

	c.quiet = nowners == 1;
	c.journal = journal_open(journal);
	if (c.journal < 0 || pnfs_mount(url, &options, &c.mount)) {
		fprintf(stderr, "client %u: %s\n", number, c.journal < 0 ? strerror(errno) : pnfs_error());
		return 1;
	}
	for (unsigned i = 0; i < nowners; i++) {
		owners[i] = (struct owner){ .client = &c, .thread = i, .dice = c.seed + (uint64_t)i * 0x2545f4914f6cdd1d };
		owners[i].buf = aligned_alloc(4096, IO_MAX);
		if (!owners[i].buf || pthread_create(&thread, NULL, owner_run, &owners[i]))
			return 1;
	}
	if (pthread_create(&thread, NULL, other_run, &c))
		return 1;
	while (atomic_load(&c.ready) < nowners)
		usleep(1000);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
