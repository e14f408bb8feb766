/*
 * model.c: random reads, writes, stores through a mapping, truncations, fsyncs and reopenings of one file, each result compared with
 * a copy in memory.  The same seed does the same again.  Called by main.c ("tool model").
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

#define MODEL_MAX ((size_t)4 << 20)	/* the file is never larger */
#define MODEL_IO ((size_t)256 << 10)
#define MODEL_LAST 12			/* operations told when one fails */

struct model {
	const char *path;
	int fd;
	uint64_t random;
	size_t size;
	char *data;		/* what the file must hold; zeros behind size */
	char *buf;
	unsigned long steps;
	char last[MODEL_LAST][80];
};

static uint64_t
model_random(struct model *m, uint64_t below)
{
	m->random ^= m->random << 13;
	m->random ^= m->random >> 7;
	m->random ^= m->random << 17;
	return m->random % below;
}

static void
model_note(struct model *m, const char *verb, size_t offset, size_t length)
{
	snprintf(m->last[m->steps % MODEL_LAST], sizeof(m->last[0]), "%lu: %s offset %zu length %zu (size %zu)", m->steps, verb,
		offset, length, m->size);
}

static int
model_fail(struct model *m, const char *what)
{
	perror(what);
	for (unsigned long i = m->steps < MODEL_LAST ? 0 : m->steps + 1 - MODEL_LAST; i <= m->steps; i++)
		fprintf(stderr, "  %s\n", m->last[i % MODEL_LAST]);
	return 1;
}

/* Where, and how much: often on block borders, else anywhere. */
static void
model_range(struct model *m, size_t end, size_t *offset, size_t *length)
{
	*offset = model_random(m, end);
	*length = 1 + model_random(m, MODEL_IO);
	if (model_random(m, 2)) {
		*offset &= ~(size_t)4095;
		*length = (*length + 4095) & ~(size_t)4095;
	}
	if (*length > end - *offset)
		*length = end - *offset;
}

static int
model_compare(struct model *m, const char *got, size_t offset, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		if (got[i] != m->data[offset + i]) {
			fprintf(stderr, "wrong byte at %zu: %02x, not %02x\n", offset + i, (unsigned char)got[i],
				(unsigned char)m->data[offset + i]);
			return model_fail(m, "data");
		}
	}
	return 0;
}

static int
model_read(struct model *m)
{
	size_t offset, length;

	if (m->size == 0)
		return 0;
	model_range(m, m->size, &offset, &length);
	model_note(m, "read", offset, length);
	if (pread(m->fd, m->buf, length, (off_t)offset) != (ssize_t)length)
		return model_fail(m, "pread");
	return model_compare(m, m->buf, offset, length);
}

static void
model_data(struct model *m, size_t offset, size_t length)
{
	for (size_t i = 0; i < length; i++)
		m->data[offset + i] = (char)(model_random(m, 255) + 1);
	if (offset + length > m->size)
		m->size = offset + length;
}

static int
model_write(struct model *m)
{
	size_t offset, length;

	model_range(m, MODEL_MAX, &offset, &length);
	model_note(m, "write", offset, length);
	model_data(m, offset, length);
	if (pwrite(m->fd, m->data + offset, length, (off_t)offset) != (ssize_t)length)
		return model_fail(m, "pwrite");
	return 0;
}

/* Read and write through a mapping; never behind the end. */
static int
model_map(struct model *m, int store)
{
	size_t offset, length, start;
	char *map;
	int status;

	if (m->size == 0)
		return 0;
	model_range(m, m->size, &offset, &length);
	model_note(m, store ? "store" : "load", offset, length);
	start = offset & ~(size_t)4095;
	map = mmap(NULL, offset + length - start, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, (off_t)start);
	if (map == MAP_FAILED)
		return model_fail(m, "mmap");
	status = model_compare(m, map + (offset - start), offset, length);
	if (store) {
		model_data(m, offset, length);
		memcpy(map + (offset - start), m->data + offset, length);
		if (model_random(m, 2) && msync(map, offset + length - start, MS_SYNC))
			status = model_fail(m, "msync");
	}
	munmap(map, offset + length - start);
	return status;
}

static int
model_truncate(struct model *m)
{
	size_t size = model_random(m, MODEL_MAX);

	if (model_random(m, 2))
		size &= ~(size_t)4095;
	model_note(m, "truncate", size, 0);
	if (ftruncate(m->fd, (off_t)size))
		return model_fail(m, "ftruncate");
	if (size < m->size)
		memset(m->data + size, 0, m->size - size);
	m->size = size;
	return 0;
}

static int
model_sync(struct model *m)
{
	model_note(m, "fsync", 0, 0);
	if (fsync(m->fd))
		return model_fail(m, "fsync");
	if (model_random(m, 2))		/* the next read comes from the device */
		posix_fadvise(m->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

static int
model_reopen(struct model *m)
{
	model_note(m, "reopen", 0, 0);
	if (close(m->fd))
		return model_fail(m, "close");
	m->fd = open(m->path, O_RDWR);
	return m->fd < 0 ? model_fail(m, "open") : 0;
}

static int
model_step(struct model *m)
{
	struct stat st;
	uint64_t dice = model_random(m, 100);
	int status;

	if (dice < 30)
		status = model_read(m);
	else if (dice < 60)
		status = model_write(m);
	else if (dice < 68)
		status = model_map(m, 0);
	else if (dice < 80)
		status = model_map(m, 1);
	else if (dice < 87)
		status = model_truncate(m);
	else if (dice < 96)
		status = model_sync(m);
	else
		status = model_reopen(m);
	if (status == 0 && (fstat(m->fd, &st) || (size_t)st.st_size != m->size)) {
		fprintf(stderr, "size %lld, not %zu\n", (long long)st.st_size, m->size);
		status = model_fail(m, "size");
	}
	m->steps++;
	return status;
}

int
model_run(const char *path, unsigned seconds, uint64_t seed)
{
	struct model m = { .path = path, .random = seed * 2 + 1 };
	time_t end = time(NULL) + seconds;
	int status = 0;

	m.data = calloc(1, MODEL_MAX);
	m.buf = malloc(MODEL_IO + 4096);
	m.fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0644);
	if (m.fd < 0 || !m.data || !m.buf)
		return tool_error(path);
	while (status == 0 && time(NULL) < end)
		status = model_step(&m);
	if (status == 0 && (fsync(m.fd) || close(m.fd)))
		status = tool_error("end");
	printf("%lu operations with seed %llu, size at the end %zu\n", m.steps, (unsigned long long)seed, m.size);
	free(m.data);
	free(m.buf);
	return status;
}
