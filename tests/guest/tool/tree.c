/*
 * tree.c: an fsstress that knows what must come out.  Several processes, on one or more hosts, make, fill, append to, cut, link,
 * rename and remove files in directories that they share, each files of its own; what each holds in mind of them it looks up by
 * random choice, and writes down at the end.  Called by main.c ("tool tree", "tool treecheck").
 *
 * What a file holds is told by four numbers: the bytes of `seed` up to `written`, zeros up to `size`.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tool.h"

#define TREE_DIRS 6
#define TREE_NAMES 48			/* of one process */
#define TREE_FILE ((size_t)512 << 10)	/* the largest file */

struct tree_file {
	unsigned names;			/* 0: there is none */
	unsigned gone;			/* names it had: an NFS client takes one away that is in use some time later */
	uint64_t seed;
	size_t written, size;
};

struct tree_name {
	struct tree_file *file;		/* NULL: no such name */
	unsigned dir;
};

struct tree {
	const char *root;
	unsigned worker;
	uint64_t random;
	uint64_t seed;			/* the next file's: no two are alike */
	struct tree_name names[TREE_NAMES];
	struct tree_file files[TREE_NAMES];
	int sub;			/* the directory that its own one is in, or -1 */
	char *buf;
};

static unsigned
tree_random(struct tree *t, unsigned below)
{
	return (unsigned)tool_random(&t->random, below);
}

static void
tree_path(const struct tree *t, char *path, unsigned dir, unsigned name)
{
	snprintf(path, PATH_MAX, "%s/d%u/w%u.f%u", t->root, dir, t->worker, name);
}

static int
tree_fail(const struct tree *t, const char *what, const char *path)
{
	int error = errno;

	fprintf(stderr, "process %u, %s: ", t->worker, path);
	errno = error;
	return tool_error(what);
}

/* A name that is taken (or not), or -1 when luck does not give one. */
static int
tree_pick(struct tree *t, int taken)
{
	for (int i = 0; i < 20; i++) {
		unsigned n = tree_random(t, TREE_NAMES);

		if ((t->names[n].file != NULL) == taken)
			return (int)n;
	}
	return -1;
}

static int
tree_fill(struct tree *t, int fd, size_t from, size_t end, uint64_t seed)
{
	/* through the cache at any place; with O_DIRECT whole blocks */
	pattern_fill(t->buf, end - from, from, seed);
	return pwrite(fd, t->buf, end - from, (off_t)from) != (ssize_t)(end - from);
}

static size_t
tree_size(struct tree *t)
{
	size_t size = tree_random(t, tree_random(t, 4) ? 65536 : TREE_FILE);

	return tree_random(t, 2) ? size & ~(size_t)4095 : size & ~(size_t)7;
}

/* All of a file, new or old: sized first (then a client may write it straight), or growing as it is written. */
static int
tree_write(struct tree *t, struct tree_file *f, const char *path, int flags)
{
	size_t size = tree_size(t);
	int sized = (int)tree_random(t, 3), fd;

	if (sized == 0 && size % 4096 == 0)
		flags |= O_DIRECT;
	fd = open(path, O_RDWR | flags, 0644);
	if (fd < 0)
		return tree_fail(t, "open", path);
	f->seed = t->seed++;
	f->written = f->size = size;
	if ((sized && ftruncate(fd, (off_t)size)) || tree_fill(t, fd, 0, size, f->seed) ||
		(!sized && ftruncate(fd, (off_t)size)) || (tree_random(t, 4) == 0 && fsync(fd)) || close(fd))
		return tree_fail(t, "write", path);
	return 0;
}

static int
tree_create(struct tree *t)
{
	int n = tree_pick(t, 0);
	char path[PATH_MAX];
	struct tree_file *f = t->files;

	if (n < 0)
		return 0;
	while (f->names > 0)
		f++;
	t->names[n] = (struct tree_name){ .file = f, .dir = tree_random(t, TREE_DIRS) };
	f->names = 1;
	f->gone = 0;
	tree_path(t, path, t->names[n].dir, (unsigned)n);
	return tree_write(t, f, path, O_CREAT | O_EXCL);
}

static int
tree_rewrite(struct tree *t)
{
	int n = tree_pick(t, 1);
	char path[PATH_MAX];

	if (n < 0)
		return 0;
	tree_path(t, path, t->names[n].dir, (unsigned)n);
	return tree_write(t, t->names[n].file, path, tree_random(t, 2) ? O_TRUNC : 0);
}

static int
tree_append(struct tree *t)
{
	int n = tree_pick(t, 1), fd;
	char path[PATH_MAX];
	struct tree_file *f;
	size_t end;

	if (n < 0)
		return 0;
	f = t->names[n].file;
	end = f->size + tree_size(t) / 8 * 8;
	if (f->written != f->size || f->size % 8 || end > TREE_FILE)
		return 0;
	tree_path(t, path, t->names[n].dir, (unsigned)n);
	fd = open(path, O_WRONLY);
	if (fd < 0 || tree_fill(t, fd, f->size, end, f->seed) || close(fd))
		return tree_fail(t, "append", path);
	f->written = f->size = end;
	return 0;
}

static int
tree_cut(struct tree *t)
{
	int n = tree_pick(t, 1);
	char path[PATH_MAX];
	struct tree_file *f;
	size_t size = tree_size(t);

	if (n < 0)
		return 0;
	f = t->names[n].file;
	tree_path(t, path, t->names[n].dir, (unsigned)n);
	if (truncate(path, (off_t)size))
		return tree_fail(t, "truncate", path);
	f->size = size;
	if (f->written > size)
		f->written = size;
	return 0;
}

static int
tree_look(struct tree *t, const struct tree_file *f, int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st))
		return tree_fail(t, "stat", path);
	if ((size_t)st.st_size != f->size || st.st_nlink < f->names || st.st_nlink > f->names + f->gone) {
		fprintf(stderr, "process %u, %s: size %lld, links %lu; not %zu, %u\n", t->worker, path, (long long)st.st_size,
			(unsigned long)st.st_nlink, f->size, f->names);
		return 1;
	}
	return pattern_check(fd, path, 0, f->written, f->seed) || pattern_check(fd, path, f->written, f->size, 0);
}

static int
tree_read(struct tree *t)
{
	int n = tree_pick(t, 1), fd, status;
	char path[PATH_MAX];

	if (n < 0)
		return 0;
	tree_path(t, path, t->names[n].dir, (unsigned)n);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return tree_fail(t, "open", path);
	status = tree_look(t, t->names[n].file, fd, path);
	if (tree_random(t, 2))		/* the next one reads it from the device */
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return status;
}

static void
tree_forget(struct tree_name *name)
{
	name->file->names--;
	name->file->gone++;
	name->file = NULL;
}

/* Over another of its own, or to a name that is free; in another directory or not. */
static int
tree_rename(struct tree *t)
{
	int from = tree_pick(t, 1), to = tree_pick(t, (int)tree_random(t, 2));
	char old[PATH_MAX], new[PATH_MAX];
	unsigned dir;

	if (from < 0 || to < 0 || from == to)
		return 0;
	dir = t->names[to].file ? t->names[to].dir : tree_random(t, TREE_DIRS);
	tree_path(t, old, t->names[from].dir, (unsigned)from);
	tree_path(t, new, dir, (unsigned)to);
	if (rename(old, new))
		return tree_fail(t, "rename", old);
	if (t->names[to].file == t->names[from].file)	/* two names of one file: both stay */
		return 0;
	if (t->names[to].file)
		tree_forget(&t->names[to]);
	t->names[to] = (struct tree_name){ .file = t->names[from].file, .dir = dir };
	t->names[from].file = NULL;
	return 0;
}

static int
tree_link(struct tree *t)
{
	int from = tree_pick(t, 1), to = tree_pick(t, 0);
	char old[PATH_MAX], new[PATH_MAX];
	unsigned dir = tree_random(t, TREE_DIRS);

	if (from < 0 || to < 0)
		return 0;
	tree_path(t, old, t->names[from].dir, (unsigned)from);
	tree_path(t, new, dir, (unsigned)to);
	if (link(old, new))
		return tree_fail(t, "link", new);
	t->names[to] = (struct tree_name){ .file = t->names[from].file, .dir = dir };
	t->names[to].file->names++;
	return 0;
}

/* Half of them while it is open: then it still has its bytes. */
static int
tree_remove(struct tree *t)
{
	int n = tree_pick(t, 1), fd = -1;
	char path[PATH_MAX];
	struct tree_file *f;

	if (n < 0)
		return 0;
	f = t->names[n].file;
	tree_path(t, path, t->names[n].dir, (unsigned)n);
	if (tree_random(t, 2) && (fd = open(path, O_RDONLY)) < 0)
		return tree_fail(t, "open", path);
	if (unlink(path))
		return tree_fail(t, "unlink", path);
	tree_forget(&t->names[n]);
	if (fd < 0)
		return 0;
	if (pattern_check(fd, path, 0, f->written, f->seed) || pattern_check(fd, path, f->written, f->size, 0))
		return 1;
	return close(fd) ? tree_fail(t, "close", path) : 0;
}

/* A directory of its own: made, moved, removed. */
static int
tree_sub(struct tree *t)
{
	unsigned dir = tree_random(t, TREE_DIRS);
	char old[PATH_MAX], new[PATH_MAX];
	int status;

	snprintf(old, sizeof(old), "%s/d%d/w%u.sub", t->root, t->sub, t->worker);
	snprintf(new, sizeof(new), "%s/d%u/w%u.sub", t->root, dir, t->worker);
	if (t->sub < 0) {
		status = mkdir(new, 0755);
		t->sub = (int)dir;
	} else if (tree_random(t, 2)) {
		status = rename(old, new);
		t->sub = (int)dir;
	} else {
		status = rmdir(old);
		t->sub = -1;
	}
	return status ? tree_fail(t, "directory", new) : 0;
}

/* All of its own names, and none that it took away. */
static int
tree_list(struct tree *t)
{
	unsigned dir = tree_random(t, TREE_DIRS), worker, n, expected = 0, found = 0;
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *d;

	snprintf(path, sizeof(path), "%s/d%u", t->root, dir);
	for (n = 0; n < TREE_NAMES; n++)
		expected += t->names[n].file && t->names[n].dir == dir;
	d = opendir(path);
	if (!d)
		return tree_fail(t, "opendir", path);
	while ((entry = readdir(d))) {
		if (sscanf(entry->d_name, "w%u.f%u", &worker, &n) != 2 || worker != t->worker)
			continue;
		found++;
		if (n >= TREE_NAMES || !t->names[n].file || t->names[n].dir != dir)
			found += 1000;
	}
	closedir(d);
	if (found == expected)
		return 0;
	fprintf(stderr, "process %u, %s: %u names, not %u\n", t->worker, path, found, expected);
	return 1;
}

static const struct {
	int (*run)(struct tree *t);
	unsigned share;
} tree_verbs[] = {
	{ tree_create, 22 },
	{ tree_rewrite, 12 },
	{ tree_append, 10 },
	{ tree_cut, 8 },
	{ tree_read, 18 },
	{ tree_rename, 8 },
	{ tree_link, 4 },
	{ tree_remove, 12 },
	{ tree_sub, 2 },
	{ tree_list, 4 },
};

/* What it must have left: "name seed written size links". */
static int
tree_leave(struct tree *t)
{
	char path[PATH_MAX];
	FILE *list;

	snprintf(path, sizeof(path), "%s/list.%u", t->root, t->worker);
	list = fopen(path, "w");
	if (!list)
		return tree_fail(t, "list", path);
	for (unsigned n = 0; n < TREE_NAMES; n++) {
		const struct tree_file *f = t->names[n].file;

		if (f)
			fprintf(list, "d%u/w%u.f%u %llu %zu %zu %u\n", t->names[n].dir, t->worker, n,
				(unsigned long long)f->seed, f->written, f->size, f->names);
	}
	if (t->sub >= 0)
		fprintf(list, "d%d/w%u.sub 0 0 0 0\n", t->sub, t->worker);
	return fclose(list) ? tree_fail(t, "list", path) : 0;
}

static int
tree_work(const char *root, unsigned seconds, uint64_t seed, unsigned worker, unsigned long *steps)
{
	struct tree t = { .root = root, .worker = worker, .random = (seed * 64 + worker) * 2 + 1, .sub = -1 };
	time_t end = time(NULL) + seconds;
	int status = 0;

	t.seed = (uint64_t)(worker + 1) << 32;
	if (posix_memalign((void **)&t.buf, 4096, TREE_FILE))
		return tool_error("memory");
	for (int i = 0; i < 20; i++)	/* the first ones of neighbours are alike */
		tree_random(&t, 2);
	while (status == 0 && time(NULL) < end) {
		unsigned dice = tree_random(&t, 100), verb = 0;

		while (dice >= tree_verbs[verb].share)
			dice -= tree_verbs[verb++].share;
		status = tree_verbs[verb].run(&t);
		(*steps)++;
	}
	if (status == 0)
		status = tree_leave(&t);
	free(t.buf);
	return status;
}

int
tree_run(const char *dir, unsigned seconds, uint64_t seed, unsigned first, unsigned count)
{
	unsigned long *steps = mmap(NULL, sizeof(*steps) * count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned long sum = 0;
	char path[PATH_MAX];
	int status = 0, one;

	if (steps == MAP_FAILED)
		return tool_error("memory");
	for (unsigned i = 0; i < TREE_DIRS; i++) {
		snprintf(path, sizeof(path), "%s/d%u", dir, i);
		if (mkdir(path, 0755) && errno != EEXIST)
			return tool_error(path);
	}
	for (unsigned i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return tool_error("fork");
		if (pid == 0)
			_exit(tree_work(dir, seconds, seed, first + i, &steps[i]));
	}
	while (wait(&one) > 0)
		status |= one != 0;
	for (unsigned i = 0; i < count; i++)
		sum += steps[i];
	printf("%lu operations of %u processes with seed %llu\n", sum, count, (unsigned long long)seed);
	return status;
}

/* A line of a list against what is there.  Returns 0 or 1. */
static int
tree_check_one(const struct tree *t, const char *name, const struct tree_file *f)
{
	char path[PATH_MAX + 64];
	struct tree reader = *t;
	struct stat st;
	int fd, status;

	snprintf(path, sizeof(path), "%s/%s", t->root, name);
	if (f->names == 0) {
		if (stat(path, &st) || !S_ISDIR(st.st_mode))
			return tree_fail(t, "directory", path);
		return 0;
	}
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return tree_fail(t, "open", path);
	status = tree_look(&reader, f, fd, path);
	close(fd);
	return status;
}

static int
tree_check_list(struct tree *t, const char *path, unsigned *names)
{
	FILE *list = fopen(path, "r");
	struct tree_file f = { .gone = 0 };	/* by now it has no name more */
	unsigned long long seed;
	char name[64];
	int status = 0;

	if (!list)
		return tool_error(path);
	while (status == 0 && fscanf(list, "%63s %llu %zu %zu %u", name, &seed, &f.written, &f.size, &f.names) == 5) {
		f.seed = seed;
		status = tree_check_one(t, name, &f);
		(*names)++;
	}
	fclose(list);
	return status;
}

static unsigned
tree_count(const char *root)
{
	char path[PATH_MAX];
	struct dirent *entry;
	unsigned n = 0;

	for (unsigned i = 0; i < TREE_DIRS; i++) {
		DIR *d;

		snprintf(path, sizeof(path), "%s/d%u", root, i);
		d = opendir(path);
		while (d && (entry = readdir(d)))
			n += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
		if (d)
			closedir(d);
	}
	return n;
}

int
tree_check(const char *dir)
{
	struct tree t = { .root = dir };
	unsigned names = 0, lists = 0, there = tree_count(dir);
	struct dirent *entry;
	char path[PATH_MAX];
	DIR *d = opendir(dir);

	if (!d)
		return tool_error(dir);
	while ((entry = readdir(d))) {
		if (sscanf(entry->d_name, "list.%u", &t.worker) != 1)
			continue;
		snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
		if (tree_check_list(&t, path, &names))
			return 1;
		lists++;
	}
	closedir(d);
	printf("%u names of %u lists\n", names, lists);
	if (names != there || lists == 0) {
		fprintf(stderr, "%u names are there, not %u\n", there, names);
		return 1;
	}
	return 0;
}
