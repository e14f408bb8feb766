/*
 * Names that were looked up a moment ago, for LOOKUP on loops (posix_dir.c).
 *
 * Where two changes of a directory never share a ctime (change.c) a name leads where it led as long as the directory's ctime is what it was
 * before the kernel was asked: then nobody is asked again.  Else the entry says only that the kernel has the name in its cache:
 * it was there less than NAMES_MS ago, and still is unless memory is very short, and then one block is read.  So it may be asked on a loop by the one
 * system call that might have to read the directory.
 *
 * After NAMES_MS nothing is believed: what is mounted on a name does not move its directory's ctime.
 */
#include "server/fs/fs_private.h"

#include <stdlib.h>
#include <time.h>

#define NAMES_MS 1024u
#define NAMES_LOCKS 64u			/* powers of 2, both */
#define NAMES 4096u

struct name_seen {
	uint64_t dir, ctime;		/* serial of the directory; 0: none.  ctime, in ns, before the kernel was asked */
	uint32_t when;			/* in units of NAMES_MS */
	int mount_id;
	uint8_t len;
	char name[NAMES_LEN];
	struct handle_native native;
};

struct names {
	pthread_mutex_t lock[NAMES_LOCKS];
	struct name_seen seen[NAMES];
};

struct names *
names_new(void)
{
	struct names *names = calloc(1, sizeof *names);
	for (unsigned i = 0; names && i < NAMES_LOCKS; i++)
		pthread_mutex_init(&names->lock[i], NULL);
	return names;
}

void
names_free(struct names *names)
{
	for (unsigned i = 0; names && i < NAMES_LOCKS; i++)
		pthread_mutex_destroy(&names->lock[i]);
	free(names);
}

static uint32_t
names_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint32_t)(((uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000) / NAMES_MS);
}

static unsigned
names_slot(uint64_t dir, const char *name, unsigned len)
{
	uint64_t h = 0xcbf29ce484222325u ^ dir;	/* FNV-1a: a slot, nothing is believed of it */
	for (unsigned i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 0x100000001b3u;
	return (h ^ h >> 32) % NAMES;
}

enum names_answer
names_find(struct names *names, const struct inode_private *dir, uint64_t ctime, const char *name, unsigned len,
    struct handle_native *native, int *mount_id)
{
	unsigned slot = names_slot(dir->serial, name, len);
	const struct name_seen *seen = &names->seen[slot];

	LOCK_SCOPE(&names->lock[slot % NAMES_LOCKS]);
	if (seen->dir != dir->serial || seen->len != len || memcmp(seen->name, name, len) || seen->when != names_now())
		return NAMES_UNKNOWN;
	if (!dir->fse->fine_ctime || seen->ctime != ctime)
		return NAMES_CACHED;
	*native = seen->native;
	*mount_id = seen->mount_id;
	return NAMES_SAME;
}

void
names_note(struct names *names, const struct inode_private *dir, uint64_t ctime, const char *name, unsigned len,
    const struct handle_native *native, int mount_id)
{
	unsigned slot = names_slot(dir->serial, name, len);
	struct name_seen *seen = &names->seen[slot];

	if (len > NAMES_LEN)
		return;
	LOCK_SCOPE(&names->lock[slot % NAMES_LOCKS]);
	seen->dir = dir->serial;
	seen->ctime = ctime;
	seen->when = names_now();
	seen->mount_id = mount_id;
	seen->len = (uint8_t)len;
	memcpy(seen->name, name, len);
	seen->native = *native;
}
