/* Extents of a file as a gapless run; see fiemap.h. */
#include "server/export/fiemap.h"

#include <errno.h>
#include <linux/fs.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>

void
fiemap_start(struct fiemap_iter *it, int fd, uint64_t offset, uint64_t end, bool sync)
{
	it->fd = fd;
	it->sync = sync;
	it->pos = offset;
	it->end = end;
	it->next = it->count = 0;
	it->last = false;
}

static int
fiemap_fill(struct fiemap_iter *it)
{
	union {
		struct fiemap fm;
		uint8_t room[sizeof(struct fiemap) + FIEMAP_BATCH * sizeof(struct fiemap_extent)];
	} req;
	const uint8_t *ext = req.room + sizeof req.fm;
	memset(&req.fm, 0, sizeof req.fm);
	req.fm.fm_start = it->pos;
	req.fm.fm_length = it->end - it->pos;
	req.fm.fm_flags = it->sync ? FIEMAP_FLAG_SYNC : 0;
	req.fm.fm_extent_count = FIEMAP_BATCH;
	if (ioctl(it->fd, FS_IOC_FIEMAP, &req))
		return -errno;
	it->sync = false;
	it->next = 0;
	it->count = req.fm.fm_mapped_extents < FIEMAP_BATCH ? req.fm.fm_mapped_extents : FIEMAP_BATCH;
	memcpy(it->ext, ext, it->count * sizeof it->ext[0]);
	it->last = it->count < FIEMAP_BATCH || it->ext[it->count - 1].fe_flags & FIEMAP_EXTENT_LAST;
	return 0;
}

/* May these blocks be read and written behind the file system's back? */
static int
extent_ok(const struct fiemap_extent *ext, enum reason *why)
{
	if (ext->fe_flags & FIEMAP_EXTENT_SHARED) {
		*why = REASON_REFLINKED;
		return -ENOTSUP;
	}
	if (ext->fe_flags & (FIEMAP_EXTENT_ENCODED | FIEMAP_EXTENT_DATA_ENCRYPTED | FIEMAP_EXTENT_NOT_ALIGNED |
	    FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_DATA_TAIL)) {
		*why = REASON_UNALIGNED;
		return -ENOTSUP;
	}
	if (ext->fe_flags & (FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC)) {
		*why = REASON_LOCAL_OPEN;	/* dirty again after the flush */
		return -EAGAIN;
	}
	return 0;
}

int
fiemap_next(struct fiemap_iter *it, struct iomap *piece, enum reason *why)
{
	if (it->pos >= it->end)
		return 0;
	for (;;) {
		while (it->next < it->count && it->ext[it->next].fe_logical + it->ext[it->next].fe_length <= it->pos)
			it->next++;
		if (it->next < it->count || it->last)
			break;
		int r = fiemap_fill(it);
		if (r) {
			*why = REASON_IO_ERROR;
			return r;
		}
	}
	const struct fiemap_extent *ext = it->next < it->count ? &it->ext[it->next] : NULL;
	*piece = (struct iomap){ .offset = it->pos, .type = IOMAP_HOLE };
	if (!ext || ext->fe_logical >= it->end) {
		piece->length = it->end - it->pos;
	} else if (ext->fe_logical > it->pos) {
		piece->length = ext->fe_logical - it->pos;
	} else {
		int r = extent_ok(ext, why);
		if (r)
			return r;
		uint64_t skip = it->pos - ext->fe_logical, len = ext->fe_length - skip;
		piece->addr = ext->fe_physical + skip;
		piece->length = len < it->end - it->pos ? len : it->end - it->pos;
		piece->type = ext->fe_flags & FIEMAP_EXTENT_UNWRITTEN ? IOMAP_UNWRITTEN : IOMAP_MAPPED;
	}
	it->pos += piece->length;
	return 1;
}

bool
iomap_append(struct iomap *map, unsigned *n, unsigned max, const struct iomap *piece)
{
	struct iomap *last = *n ? &map[*n - 1] : NULL;
	if (last && last->type == piece->type && last->offset + last->length == piece->offset &&
	    (piece->type == IOMAP_HOLE || last->addr + last->length == piece->addr)) {
		last->length += piece->length;
		return true;
	}
	if (*n == max)
		return false;
	map[(*n)++] = *piece;
	return true;
}
