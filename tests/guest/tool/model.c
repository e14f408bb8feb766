/*
 * model.c: an fsx: random reads, writes (through the cache, O_DIRECT, by a mapping), truncations, punched holes, allocations, copies,
 * fsyncs and reopenings of one file, each result compared with a copy in memory.  The same seed does the same again.
 * Called by main.c ("tool model").
 *
 * Several may write one file, each the pieces that are its own: they take each other's layouts away all the time, but say nothing of
 * each other's bytes.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

#define MODEL_MAX ((size_t)4 << 20)	/* the file is never larger */
#define MODEL_IO ((size_t)256 << 10)	/* an operation; a piece of one writer's */
#define MODEL_LAST 12			/* operations told when one fails */

struct model {
	const char *path;
	int fd, direct;			/* the same file, and with O_DIRECT */
	uint64_t random;
	unsigned writer, writers;
	size_t size;
	char *data;			/* what the file must hold; zeros behind size */
	char *buf;
	unsigned long steps;
	int late;			/* near the end: a file with shared blocks gets no layouts any more */
	char last[MODEL_LAST][80];
};

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

/* Not every server can do all: such an operation did nothing, and that is right. */
static int
model_refused(void)
{
	return errno == EOPNOTSUPP || errno == ENOSYS || errno == ENOTTY || errno == EXDEV;
}

/* Where, and how much, below `end`: often on block borders (always, with `blocks`), else anywhere.  0: nowhere. */
static int
model_range(struct model *m, size_t end, int blocks, size_t *offset, size_t *length)
{
	size_t pieces = MODEL_MAX / MODEL_IO / m->writers;
	size_t low = m->writers == 1 ? 0 : (tool_random(&m->random, pieces) * m->writers + m->writer) * MODEL_IO;

	if (m->writers > 1 && end > low + MODEL_IO)
		end = low + MODEL_IO;
	if (end <= low)
		return 0;
	*offset = low + tool_random(&m->random, end - low);
	*length = 1 + tool_random(&m->random, MODEL_IO);
	if (tool_random(&m->random, 2) || blocks) {
		*offset &= ~(size_t)4095;
		*length = (*length + 4095) & ~(size_t)4095;
	}
	if (*length > end - *offset)
		*length = end - *offset;
	if (blocks)
		*length &= ~(size_t)4095;
	return *length > 0;
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
model_read_by(struct model *m, const char *verb, int fd, int blocks)
{
	size_t offset, length;
	ssize_t n;

	if (!model_range(m, m->size, blocks, &offset, &length))
		return 0;
	model_note(m, verb, offset, length);
	n = pread(fd, m->buf, length, (off_t)offset);
	if (n < 0 && errno == EINVAL)	/* a file system that takes whole blocks only */
		n = pread(m->fd, m->buf, length, (off_t)offset);
	if (n != (ssize_t)length)
		return model_fail(m, "pread");
	return model_compare(m, m->buf, offset, length);
}

static int
model_read(struct model *m)
{
	return model_read_by(m, "read", m->fd, 0);
}

/* Most on block borders: the others are for the server. */
static int
model_read_direct(struct model *m)
{
	return model_read_by(m, "direct read", m->direct, tool_random(&m->random, 8) > 0);
}

static void
model_grown(struct model *m, size_t end)
{
	if (end > m->size)
		m->size = end;
}

static void
model_data(struct model *m, size_t offset, size_t length)
{
	for (size_t i = 0; i < length; i++)
		m->data[offset + i] = (char)(tool_random(&m->random, 255) + 1);
	model_grown(m, offset + length);
}

static int
model_write_by(struct model *m, const char *verb, int fd, int blocks)
{
	size_t offset, length;
	ssize_t n;

	if (!model_range(m, MODEL_MAX, blocks, &offset, &length))
		return 0;
	model_note(m, verb, offset, length);
	model_data(m, offset, length);
	n = pwrite(fd, m->data + offset, length, (off_t)offset);
	if (n < 0 && errno == EINVAL)
		n = pwrite(m->fd, m->data + offset, length, (off_t)offset);
	if (n != (ssize_t)length)
		return model_fail(m, "pwrite");
	return 0;
}

static int
model_write(struct model *m)
{
	return model_write_by(m, "write", m->fd, 0);
}

static int
model_write_direct(struct model *m)
{
	return model_write_by(m, "direct write", m->direct, tool_random(&m->random, 8) > 0);
}

/* Read and write through a mapping; never behind the end. */
static int
model_map(struct model *m, int store)
{
	size_t offset, length, start;
	char *map;
	int status;

	if (!model_range(m, m->size, 0, &offset, &length))
		return 0;
	model_note(m, store ? "store" : "load", offset, length);
	start = offset & ~(size_t)4095;
	map = mmap(NULL, offset + length - start, PROT_READ | PROT_WRITE, MAP_SHARED, m->fd, (off_t)start);
	if (map == MAP_FAILED)
		return model_fail(m, "mmap");
	status = model_compare(m, map + (offset - start), offset, length);
	if (store) {
		model_data(m, offset, length);
		memcpy(map + (offset - start), m->data + offset, length);
		if (tool_random(&m->random, 2) && msync(map, offset + length - start, MS_SYNC))
			status = model_fail(m, "msync");
	}
	munmap(map, offset + length - start);
	return status;
}

static int
model_load(struct model *m)
{
	return model_map(m, 0);
}

static int
model_store(struct model *m)
{
	return model_map(m, 1);
}

/* Down and up.  One that others write keeps its size. */
static int
model_truncate(struct model *m)
{
	size_t size = tool_random(&m->random, MODEL_MAX);

	if (m->writers > 1)
		return 0;
	if (tool_random(&m->random, 2))
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
model_punch(struct model *m)
{
	size_t offset, length;

	if (!model_range(m, MODEL_MAX, 0, &offset, &length))
		return 0;
	model_note(m, "punch", offset, length);
	if (fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset, (off_t)length))
		return model_refused() ? 0 : model_fail(m, "punch");
	memset(m->data + offset, 0, length);
	return 0;
}

static int
model_allocate(struct model *m)
{
	size_t offset, length;

	if (!model_range(m, MODEL_MAX, 0, &offset, &length))
		return 0;
	model_note(m, "allocate", offset, length);
	if (fallocate(m->fd, 0, (off_t)offset, (off_t)length))
		return model_refused() ? 0 : model_fail(m, "fallocate");
	model_grown(m, offset + length);
	return 0;
}

/* From one part of the file to another that does not overlap; by shared blocks if `clone`. */
static int
model_copy_by(struct model *m, int clone)
{
	size_t from, to, length, room;
	char verb[32];

	if (!model_range(m, m->size, clone, &from, &length) || !model_range(m, MODEL_MAX, clone, &to, &room))
		return 0;
	if (room < length)
		length = room;
	if (from < to + length && to < from + length)
		return 0;
	snprintf(verb, sizeof(verb), "%s to %zu", clone ? "clone" : "copy", to);
	model_note(m, verb, from, length);
	if (clone) {
		struct file_clone_range range = { .src_fd = m->fd, .src_offset = from, .src_length = length, .dest_offset = to };

		if (ioctl(m->fd, FICLONERANGE, &range))
			return model_refused() ? 0 : model_fail(m, "clone");
	} else {
		loff_t in = (loff_t)from, out = (loff_t)to;
		ssize_t n = copy_file_range(m->fd, &in, m->fd, &out, length, 0);

		if (n < 0)
			return model_refused() ? 0 : model_fail(m, "copy");
		length = (size_t)n;
	}
	memcpy(m->data + to, m->data + from, length);
	if (length > 0)
		model_grown(m, to + length);
	return 0;
}

static int
model_copy(struct model *m)
{
	return model_copy_by(m, 0);
}

static int
model_clone(struct model *m)
{
	return m->late ? model_copy_by(m, 1) : 0;
}

static int
model_sync(struct model *m)
{
	model_note(m, "fsync", 0, 0);
	if (fsync(m->fd))
		return model_fail(m, "fsync");
	if (tool_random(&m->random, 2))	/* the next read comes from the device */
		posix_fadvise(m->fd, 0, 0, POSIX_FADV_DONTNEED);
	return 0;
}

static int
model_open(struct model *m, int flags)
{
	m->fd = open(m->path, O_RDWR | flags, 0644);
	m->direct = m->fd < 0 ? -1 : open(m->path, O_RDWR | O_DIRECT);
	return m->direct < 0 ? model_fail(m, "open") : 0;
}

static int
model_reopen(struct model *m)
{
	model_note(m, "reopen", 0, 0);
	if (close(m->fd) || close(m->direct))
		return model_fail(m, "close");
	return model_open(m, 0);
}

/* How often of a hundred. */
static const struct {
	const char *name;
	int (*run)(struct model *m);
	unsigned share;
} model_verbs[] = {
	{ "read", model_read, 20 },
	{ "direct read", model_read_direct, 8 },
	{ "write", model_write, 20 },
	{ "direct write", model_write_direct, 8 },
	{ "load", model_load, 6 },
	{ "store", model_store, 10 },
	{ "truncate", model_truncate, 6 },
	{ "punch", model_punch, 4 },
	{ "allocate", model_allocate, 3 },
	{ "copy", model_copy, 3 },
	{ "clone", model_clone, 1 },
	{ "fsync", model_sync, 7 },
	{ "reopen", model_reopen, 4 },
};

#define MODEL_VERBS (sizeof(model_verbs) / sizeof(model_verbs[0]))

static int
model_step(struct model *m, unsigned long *counts)
{
	uint64_t dice = tool_random(&m->random, 100);
	struct stat st;
	size_t verb = 0;
	int status;

	while (dice >= model_verbs[verb].share)
		dice -= model_verbs[verb++].share;
	counts[verb]++;
	status = model_verbs[verb].run(m);
	if (status == 0 && (fstat(m->fd, &st) || (size_t)st.st_size != m->size)) {
		fprintf(stderr, "size %lld, not %zu\n", (long long)st.st_size, m->size);
		status = model_fail(m, "size");
	}
	m->steps++;
	return status;
}

/* FNV-1a over a writer's pieces. */
static uint64_t
model_sum_add(uint64_t sum, const char *data, size_t offset, size_t length, unsigned writer, unsigned writers)
{
	for (size_t i = 0; i < length; i++) {
		if ((offset + i) / MODEL_IO % writers == writer)
			sum = (sum ^ (unsigned char)data[i]) * 0x100000001b3u;
	}
	return sum;
}

#define MODEL_SUM_START 0xcbf29ce484222325u

int
model_sum(const char *path, unsigned writer, unsigned writers)
{
	int fd = open(path, O_RDONLY);
	char *buf = malloc(MODEL_IO);
	uint64_t sum = MODEL_SUM_START;
	size_t offset = 0;
	ssize_t n = 0;

	if (fd < 0 || !buf)
		return tool_error(path);
	while ((n = read(fd, buf, MODEL_IO)) > 0) {
		sum = model_sum_add(sum, buf, offset, (size_t)n, writer, writers);
		offset += (size_t)n;
	}
	if (n < 0)
		return tool_error(path);
	printf("SUM %zu %016llx\n", offset, (unsigned long long)sum);
	free(buf);
	close(fd);
	return 0;
}

/* Everything once more, from the device. */
static int
model_end(struct model *m)
{
	model_note(m, "end", 0, m->size);
	if (fsync(m->fd) || posix_fadvise(m->fd, 0, 0, POSIX_FADV_DONTNEED) || close(m->fd) || close(m->direct))
		return model_fail(m, "end");
	if (model_open(m, 0))
		return 1;
	for (size_t offset = 0; offset < m->size; offset += MODEL_IO) {
		size_t n = m->size - offset < MODEL_IO ? m->size - offset : MODEL_IO;

		if (offset / MODEL_IO % m->writers != m->writer)
			continue;
		if (pread(m->fd, m->buf, n, (off_t)offset) != (ssize_t)n)
			return model_fail(m, "pread");
		if (model_compare(m, m->buf, offset, n))
			return 1;
	}
	return close(m->fd) || close(m->direct) ? model_fail(m, "end") : 0;
}

int
model_run(const char *path, const char *limit, uint64_t seed, unsigned writer, unsigned writers)
{
	struct model m = { .path = path, .random = seed * 2 + 1, .writer = writer, .writers = writers };
	unsigned long counts[MODEL_VERBS] = { 0 }, most;
	time_t start = time(NULL);
	char *rest;
	int status, timed;

	most = strtoul(limit, &rest, 10);
	timed = *rest != 'x';
	if (writers == 0 || writers > MODEL_MAX / MODEL_IO || writer >= writers)
		return 2;
	if (posix_memalign((void **)&m.data, 4096, MODEL_MAX) || posix_memalign((void **)&m.buf, 4096, MODEL_IO))
		return tool_error("memory");
	memset(m.data, 0, MODEL_MAX);
	status = model_open(&m, writers > 1 ? 0 : O_CREAT | O_TRUNC);
	if (writers > 1)
		m.size = MODEL_MAX;
	while (status == 0) {
		unsigned long spent = timed ? (unsigned long)(time(NULL) - start) : m.steps;

		if (spent >= most)
			break;
		m.late = spent >= most - most / 10;
		status = model_step(&m, counts);
	}
	if (status == 0)
		status = model_end(&m);
	printf("%lu operations with seed %llu, size at the end %zu:", m.steps, (unsigned long long)seed, m.size);
	for (size_t i = 0; i < MODEL_VERBS; i++)
		printf(" %s %lu%s", model_verbs[i].name, counts[i], i + 1 < MODEL_VERBS ? "," : "\n");
	if (status == 0)
		printf("SUM %zu %016llx\n", m.size,
			(unsigned long long)model_sum_add(MODEL_SUM_START, m.data, 0, m.size, writer, writers));
	free(m.data);
	free(m.buf);
	return status;
}
