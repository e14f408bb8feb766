/*
 * journal.c: words that say whose they are, and the journal of who did what when.  Called by write.c, check.c and expect.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "crash.h"

/* MurmurHash3's last step, a bijection, and its inverse: neighbours look nothing alike. */
static uint64_t
scramble(uint64_t x)
{
	x = (x ^ x >> 33) * 0xff51afd7ed558ccdu;
	x = (x ^ x >> 33) * 0xc4ceb9fe1a85ec53u;
	return x ^ x >> 33;
}

static uint64_t
unscramble(uint64_t x)
{
	x = (x ^ x >> 33) * 0x9cb4b2f8129337dbu;
	x = (x ^ x >> 33) * 0x4f74430c22a54005u;
	return x ^ x >> 33;
}

uint64_t
word_make(struct word w)
{
	return scramble((uint64_t)w.file << 48 | (uint64_t)(w.version & 0xffffff) << 24 | (w.offset / 8 & 0xffffff));
}

struct word
word_read(uint64_t bits)
{
	bits = unscramble(bits);
	return (struct word){ .file = (uint16_t)(bits >> 48), .version = bits >> 24 & 0xffffff, .offset = (bits & 0xffffff) * 8 };
}

void
words_fill(void *buf, size_t length, struct word w)
{
	uint64_t *word = buf;

	for (size_t i = 0; i < length / 8; i++, w.offset += 8)
		word[i] = word_make(w);
}

int
journal_open(const char *path)
{
	return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
}

/* One write call: whole, and in its place, also if we are killed next. */
void
journal_add(int fd, struct record r)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	r.time = (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
	if (write(fd, &r, sizeof(r)) != (ssize_t)sizeof(r)) {
		perror("journal");
		_exit(3);
	}
}

struct record *
journal_read(const char *path, size_t *n)
{
	struct stat st;
	struct record *records = NULL;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > 0 && st.st_size % (off_t)sizeof(*records) == 0)
		records = malloc((size_t)st.st_size);
	if (records && read(fd, records, (size_t)st.st_size) != st.st_size) {
		free(records);
		records = NULL;
	}
	if (!records)
		fprintf(stderr, "%s: no journal\n", path);
	else
		*n = (size_t)st.st_size / sizeof(*records);
	if (fd >= 0)
		close(fd);
	return records;
}
