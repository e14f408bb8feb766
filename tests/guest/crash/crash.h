/*
 * crash.h: two clients write files whose every word says whose it is; the server's host is cut off; what is left is judged by the
 * clients' journal.  The program that scripts/test-crash runs.
 *
 * A word is 8 bytes: file, version and place, scrambled.  Offsets, lengths and sizes are multiples of 8.  A file is named after its number (f%05u), is
 * written by one thread only, and a name is never used twice.  Versions count the writes of a file, from 1.
 */
#ifndef GUEST_CRASH_H
#define GUEST_CRASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRASH_FILE_MAX ((uint64_t)4 << 20)	/* bytes */
#define CRASH_DEVICE 0xffffu			/* the file whose words the device is filled with beforehand */
#define CRASH_CLIENTS 2u
#define CRASH_OWNERS 3u				/* threads of a client that write */

/* ---- words ---- */

struct word {
	uint16_t file;
	uint32_t version;		/* 24 bits; of CRASH_DEVICE: the offset's upper part */
	uint64_t offset;		/* bytes, below 128 MiB */
};

uint64_t word_make(struct word w);
struct word word_read(uint64_t bits);
/* `length` bytes that belong at w.offset. */
void words_fill(void *buf, size_t length, struct word w);

/* ---- the journal: one for all clients, appended to by each, so that its order is that of time ---- */

enum record_type {
	/* begun; done comes next in this list, and only after success */
	RECORD_CREATE, RECORD_CREATED,
	RECORD_WRITE, RECORD_WRITTEN,
	RECORD_SYNC, RECORD_SYNCED,
	RECORD_TRUNCATE, RECORD_TRUNCATED,	/* offset: the new size */
	RECORD_REMOVE, RECORD_REMOVED,
	RECORD_FOREIGN,			/* seen while all was well: a word of somebody else */
	RECORD_STATS,			/* of a client's mount; offset: bytes written straight to the device; length: through the server */
};

struct record {
	uint8_t type, client;
	uint16_t file;
	uint32_t version;		/* of WRITE; else whatever tells this operation on the file from others */
	uint64_t offset, length;
	uint64_t time;			/* us */
};

int journal_open(const char *path);
void journal_add(int fd, struct record r);
/* All of it; *n of them.  NULL: told. */
struct record *journal_read(const char *path, size_t *n);

/* ---- what a file may hold ---- */

/* A stretch of a file whose words are all under the same law. */
struct stretch {
	uint64_t start, end;
	bool zero;			/* may be zeros */
	uint32_t nversions;
	uint32_t *versions;		/* ascending: may be of these */
	bool acknowledged;		/* something was, here */
};

struct expect {
	bool known, must_exist, must_not_exist;
	uint64_t size_min, size_max;
	uint64_t acknowledged;		/* bytes */
	size_t nstretches;
	struct stretch *stretches;	/* ascending, without gaps, from 0 to the end of all that was written */
};

/* From the whole journal, for one file. */
struct expect *expect_make(const struct record *journal, size_t n, uint16_t file);
void expect_free(struct expect *e);

/* ---- commands; all return exit statuses ---- */

int crash_write(const char *url, const char *device, const char *journal, unsigned client, uint64_t seed);
int crash_check(const char *dir, const char *journal);
int crash_damage(const char *dir, const char *journal, const char *kind);

static inline uint64_t
dice_roll(uint64_t *state, uint64_t below)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state % below;
}

#endif
