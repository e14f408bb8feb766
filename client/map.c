/* pnfs_map() and its kin; see map.h and include/pnfs/pnfs.h. */
#include "client/map.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "client/device.h"
#include "client/file.h"
#include "client/ioplan.h"
#include "client/sync.h"

#define MAX_EXTENTS 4096u
#define MAX_TRIES 8u
#define DEADLINE 20.0			/* seconds; servers wait 30 or so */

struct pnfs_map {
	LIST_ENTRY(pnfs_map) link;
	struct pnfs *m;
	struct pnfs_file *file;
	struct node *node;
	uint64_t offset, end;
	bool write;
	uint32_t epoch;
	struct layout_wait wait;
	struct layout_pin pin;
	pnfs_revoke_fn *revoke;
	void *arg;
	atomic_bool revoked, lost;
	bool told_lost;
	unsigned tries;
	struct pnfs_extent *ext;
	size_t n, cap;
	struct sync *sync;
};

/* ---- being asked to give back ---- */

static void
revoke_one(struct pnfs_map *map, uint64_t offset, uint64_t end, bool lost)
{
	bool was = atomic_exchange(&map->revoked, true);
	if (lost)
		atomic_store(&map->lost, true);
	if ((was && !lost) || (lost && map->told_lost))
		return;
	map->told_lost |= lost;
	uint64_t from = offset > map->offset ? offset : map->offset, to = end < map->end ? end : map->end;
	if (map->revoke)
		map->revoke(map, from, to - from, lost, lost ? 0 : DEADLINE, map->arg);
}

void
map_revoke(struct node *node, uint64_t offset, uint64_t end, bool lost)
{
	struct pnfs_map *map;
	LIST_FOREACH(map, &node->m->maps, link)
		if (map->node == node && map->offset < end && offset < map->end)
			revoke_one(map, offset, end, lost);
}

void
map_expired(struct pnfs *m)
{
	struct pnfs_map *map;
	LIST_FOREACH(map, &m->maps, link)
		revoke_one(map, map->offset, map->end, true);
}

/* ---- mapping ---- */

static bool
map_add(struct pnfs_map *map, const struct pnfs_extent *ext)
{
	struct pnfs_extent *last = map->n ? &map->ext[map->n - 1] : NULL;
	if (last && last->state == ext->state && last->device == ext->device && (ext->state == PNFS_EXTENT_HOLE ||
	    last->device_offset + last->length == ext->device_offset)) {
		last->length += ext->length;
		return true;
	}
	if (map->n == map->cap) {
		size_t cap = map->cap ? map->cap * 2 : 16;
		struct pnfs_extent *grown = cap > MAX_EXTENTS ? NULL : realloc(map->ext, cap * sizeof *grown);
		if (!grown)
			return false;
		map->ext = grown;
		map->cap = cap;
	}
	map->ext[map->n++] = *ext;
	return true;
}

/* The part of a layout extent from AT on, cut at END and at borders of devices.  Where it got to. */
static uint64_t
map_extent(struct pnfs_map *map, const struct map_extent *e, uint64_t at, uint64_t end)
{
	static const enum pnfs_extent_state states[] = { PNFS_EXTENT_READ_WRITE, PNFS_EXTENT_READ,
		PNFS_EXTENT_INVALID, PNFS_EXTENT_HOLE };
	while (at < end) {
		struct pnfs_extent ext = { .offset = at, .length = end - at, .state = states[e->e.state] };
		if (e->e.state != EXTENT_NONE) {
			struct bdev *bdev;
			uint64_t offset, run;
			if (!device_map(map->m, e->e.device, e->e.addr + (at - e->e.offset), &bdev, &offset, &run))
				return at;
			ext.device = bdev->name;
			ext.device_offset = offset;
			if (run < ext.length)
				ext.length = run;
		}
		if (!map_add(map, &ext))
			return at;
		at += ext.length;
	}
	return at;
}

static void
map_fill(struct pnfs_map *map)
{
	const struct layout_map *held = &map->node->layout.map;
	uint64_t at = map->offset;
	while (at < map->end) {
		const struct map_extent *e = layout_map_find(held, at);
		if (!e || (map->write && !e->rw) || layout_map_blocked(held, at, at + 1))
			break;
		uint64_t end = range_end(e->e.offset, e->e.length);
		end = end < map->end ? end : map->end;
		uint64_t to = map_extent(map, e, at, end);
		at = to;
		if (to < end)
			break;
	}
	map->end = at;
}

static void
map_free(struct pnfs_map *map)
{
	free(map->ext);
	free(map);
}

static void
map_got(void *arg, int status, enum reason reason)
{
	struct pnfs_map *map = arg;
	struct layout *layout = &map->node->layout;
	uint64_t end = map->end;
	if (status) {
		sync_done(map->sync, status);
		return;
	}
	if (reason == REASON_NONE) {
		map_fill(map);
		if (map->n == 0 && ++map->tries < MAX_TRIES) {
			map->end = end;
			layout_get(&map->wait);
			return;
		}
	}
	if (reason != REASON_NONE || map->n == 0) {
		sync_error(map->sync, "%s", reason_name(reason != REASON_NONE ? reason : REASON_NO_DEVICE));
		sync_done(map->sync, -EOPNOTSUPP);
		return;
	}
	map->epoch = layout->epoch;
	map->pin = (struct layout_pin){ .offset = map->offset, .end = map->end, .kind = PIN_MAP };
	layout_map_pin(&layout->map, &map->pin);
	node_ref(map->node);
	LIST_INSERT_HEAD(&map->m->maps, map, link);
	sync_done(map->sync, 0);
}

static void
map_start(struct pnfs *m, void *args, struct sync *sync)
{
	struct pnfs_map *map = args;
	enum reason refused = layout_refused(map->file->node);
	(void)m;
	map->node = map->file->node;
	map->sync = sync;
	if (refused != REASON_NONE) {
		map_got(map, 0, refused);
		return;
	}
	map->wait = (struct layout_wait){ .file = map->file, .offset = map->offset, .length = map->end - map->offset,
		.write = map->write, .submitted_ns = lease_clock(), .done = map_got, .arg = map };
	layout_get(&map->wait);
}

int
pnfs_map(struct pnfs_file *file, uint64_t offset, uint64_t length, bool write,
    pnfs_revoke_fn *revoke, void *arg, struct pnfs_map **result)
{
	if (offset % IO_BLOCK || length % IO_BLOCK || length == 0 || length > INT64_MAX || offset > INT64_MAX)
		return error_set(-EINVAL, "a range to be mapped is of whole blocks of %u bytes", IO_BLOCK);
	struct pnfs_map *map = calloc(1, sizeof *map);
	if (!map)
		return error_set(-ENOMEM, NULL);
	map->m = file->m;
	map->file = file;
	map->offset = offset;
	map->end = offset + length;
	map->write = write;
	map->revoke = revoke;
	map->arg = arg;
	int err = sync_run(file->m, map_start, map);
	if (err)
		map_free(map);
	else
		*result = map;
	return err;
}

size_t
pnfs_map_extents(struct pnfs_map *map, const struct pnfs_extent **extents)
{
	*extents = map->ext;
	return map->n;
}

bool
pnfs_map_valid(struct pnfs_map *map)
{
	return !atomic_load(&map->revoked) && mds_lease_valid(&map->m->mds);
}

/* ---- committing, giving back ---- */

struct map_op {
	struct pnfs_map *map;
	uint64_t offset, end;
};

static void
commit_start(struct pnfs *m, void *args, struct sync *sync)
{
	struct map_op *op = args;
	struct pnfs_map *map = op->map;
	(void)m;
	if (atomic_load(&map->lost) || map->epoch != map->node->layout.epoch) {
		sync_error(sync, "the layout is lost");
		sync_done(sync, -EIO);
		return;
	}
	layout_dirty(map->node, op->offset, op->end);
	if (map->node->layout.grow && op->end > map->node->size)
		map->node->size = op->end;
	layout_commit(map->node, sync_done, sync);
}

int
pnfs_map_commit(struct pnfs_map *map, uint64_t offset, uint64_t length)
{
	struct map_op op = { .map = map, .offset = offset, .end = range_end(offset, length) };
	if (!map->write || offset < map->offset || op.end > map->end || length == 0)
		return error_set(-EINVAL, "not a range of a map for writing");
	return sync_run(map->m, commit_start, &op);
}

static void
release_done(void *arg, int status)
{
	struct pnfs_map *map = arg;
	struct sync *sync = map->sync;
	struct node *node = map->node;
	map_free(map);
	sync_done(sync, status);
	node_put(node);
}

static void
release_start(struct pnfs *m, void *args, struct sync *sync)
{
	struct pnfs_map *map = args;
	struct node *node = map->node;
	(void)m;
	map->sync = sync;
	LIST_REMOVE(map, link);
	layout_unpin(node, &map->pin);
	/* What others use too, or what is on its way back already, is not returned here. */
	if (atomic_load(&map->revoked) || layout_map_pinned(&node->layout.map, map->offset, map->end))
		release_done(map, 0);
	else
		layout_return(node, map->offset, map->end, release_done, map);
}

int
pnfs_map_release(struct pnfs_map *map)
{
	return sync_run(map->m, release_start, map);
}
