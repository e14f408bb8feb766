/*
 * Provider kernel: map_blocks is LAYOUTGET, commit_blocks is LAYOUTCOMMIT, both on the loopback session; see kernel.h.
 *
 * What nfsd gives is XFS's own answer: whole extents, allocated as unwritten where there was nothing, in the log before it answers (PITFALLS A3, A4).
 * While the lease is held it cannot move, so it is remembered and not asked for twice.
 *
 * io_lock is held for writing throughout: one call at a time for a file.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "include/log.h"
#include "proto/layout/layout_xdr.h"
#include "proto/nfs4/status.h"
#include "server/export/file_rules.h"
#include "server/export/kernel.h"
#include "server/fs/fs.h"

/* Of a loc_body: some hundred extents from a kernel that gives several, far more than one that gives one. */
#define MAX_COUNT (32u << 10)

/* ---- map ---- */

/* What LAYOUTGET's refusal means for a layout of our own. */
static int
get_error(nfsstat4 status, enum reason *why)
{
	switch (status) {
	case NFS4ERR_NXIO:		/* any inode that has ever shared blocks (xfs_fs_map_blocks) */
	case NFS4ERR_LAYOUTUNAVAILABLE:
		*why = REASON_REFLINKED;
		return -ENOTSUP;
	case NFS4ERR_NOSPC:
	case NFS4ERR_DQUOT:
		*why = REASON_NO_SPACE;
		return nfs4_errno(status);
	case NFS4ERR_GRACE:
		*why = REASON_GRACE;
		return -EAGAIN;
	case NFS4ERR_RECALLCONFLICT:
	case NFS4ERR_LAYOUTTRYLATER:
	case NFS4ERR_DELAY:
		*why = REASON_RECALL_PENDING;
		return -EAGAIN;
	default:
		log_error("nfsd: LAYOUTGET: %s", nfs4_status_name(status));
		*why = REASON_IO_ERROR;
		return -EIO;
	}
}

/* Remember what came.  False: not what a layout of this mode may have. */
static bool
extents_take(struct kernel_lease *kl, const struct layout_extent *ext, uint32_t n, bool write)
{
	for (uint32_t i = 0; i < n; i++) {
		struct kernel_extent e = { .offset = ext[i].offset, .length = ext[i].length, .addr = ext[i].addr, .rw = write };
		if (!e.length || e.length > INT64_MAX || e.offset > INT64_MAX - e.length)
			return false;
		switch (ext[i].state) {
		case EXTENT_READ_WRITE:
		case EXTENT_READ:
			e.type = IOMAP_MAPPED;
			break;
		case EXTENT_INVALID:
			e.type = IOMAP_UNWRITTEN;
			break;
		case EXTENT_NONE:
			e.type = IOMAP_HOLE;
			e.addr = 0;
			break;
		}
		if (write && e.type == IOMAP_HOLE)
			return false;
		memcpy(kl->device, ext[i].device, sizeof kl->device);
		kernel_extents_put(&kl->extents, &e);
	}
	return n > 0;
}

static int
get_take(struct kernel_lease *kl, struct kernel_call *call, bool write)
{
	const LAYOUTGET4resok *ok = &call->res.nfs_resop4_u.oplayoutget.LAYOUTGET4res_u.logr_resok4;
	bool fine = ok->logr_layout.logr_layout_len > 0;
	kl->layout = ok->logr_stateid;
	kl->have_layout = true;
	for (u_int i = 0; fine && i < ok->logr_layout.logr_layout_len; i++) {
		const layout_content4 *content = &ok->logr_layout.logr_layout_val[i].lo_content;
		struct layout_extent *ext;
		uint32_t n;
		fine = content->loc_type == LAYOUT4_BLOCK_VOLUME &&
		    layout_extents_decode(content->loc_type, content->loc_body.loc_body_val,
			content->loc_body.loc_body_len, &call->arena, &ext, &n) &&
		    extents_take(kl, ext, n, write);
	}
	if (!fine)
		log_error("nfsd: LAYOUTGET: a layout that is not understood");
	return fine ? 0 : -EIO;
}

/* Ask for [offset, offset+length): at least what stands at OFFSET comes. */
static int
layoutget(struct kernel_lease *kl, uint64_t offset, uint64_t length, bool write, enum reason *why)
{
	struct kernel_call call;
	LAYOUTGET4args args = {
		.loga_layout_type = LAYOUT4_BLOCK_VOLUME,
		.loga_iomode = write ? LAYOUTIOMODE4_RW : LAYOUTIOMODE4_READ,
		.loga_offset = offset,
		.loga_length = length,
		/* 0 is refused over unwritten extents, more than a block over fragments (PITFALLS A7). */
		.loga_minlength = kl->lease.inode->export->block_size,
		.loga_stateid = kl->have_layout ? kl->layout : kl->open,
		.loga_maxcount = MAX_COUNT,
	};
	int err = kernel_call_begin(&call, kernel_session(), &kl->fh);
	if (!err) {
		compound_call_op(&call.c, OP_LAYOUTGET, &args);
		err = kernel_call_run(&call);
		if (!err)
			err = kernel_call_take(&call, OP_LAYOUTGET);
		if (!err)
			err = get_take(kl, &call, write);
		else if (call.status != NFS4_OK)
			err = get_error(call.status, why);
		kernel_call_end(&call);
	}
	if (err && *why == REASON_NONE)
		*why = REASON_IO_ERROR;
	return err;
}

/* What is known at POS that serves this mode; NULL: it has to be asked for, up to *end at most. */
static const struct kernel_extent *
known(const struct kernel_lease *kl, uint64_t pos, bool write, uint64_t *end)
{
	uint64_t next;
	const struct kernel_extent *e = kernel_extents_find(&kl->extents, pos, &next);
	if (e && (!write || e->rw))
		return e;
	/* Where something is known for writing there is nothing to allocate. */
	uint64_t stop = e ? e->offset + e->length : next;
	if (stop < *end)
		*end = stop;
	return NULL;
}

static struct iomap
piece(const struct kernel_extent *e, uint64_t pos, uint64_t end)
{
	struct iomap map = { .offset = pos, .type = e->type };
	uint64_t stop = e->offset + e->length;
	map.length = (stop < end ? stop : end) - pos;
	if (e->type != IOMAP_HOLE)
		map.addr = e->addr + (pos - e->offset);
	return map;
}

static int
map_collect(struct kernel_lease *kl, uint64_t pos, uint64_t end, bool write, struct iomap *map, unsigned max,
    enum reason *why)
{
	unsigned n = 0;
	while (pos < end && n < max) {
		uint64_t ask = end;
		const struct kernel_extent *e = known(kl, pos, write, &ask);
		if (!e) {
			int err = layoutget(kl, pos, ask - pos, write, why);
			if (err)
				return n && err != -EIO ? (int)n : err;
			e = known(kl, pos, write, &ask);
		}
		if (!e) {		/* what came does not hold what was asked for */
			*why = REASON_IO_ERROR;
			return -EIO;
		}
		map[n] = piece(e, pos, end);
		pos += map[n++].length;
	}
	return (int)n;
}

/* Freed space behind the ends of others is asked for once. */
static int
map_or_make_room(struct kernel_lease *kl, uint64_t pos, uint64_t end, bool write, struct iomap *map, unsigned max,
    enum reason *why)
{
	int n = map_collect(kl, pos, end, write, map, max, why);
	if (n != -ENOSPC || !file_rules_make_room(kl->fd))
		return n;
	*why = REASON_NONE;
	return map_collect(kl, pos, end, write, map, max, why);
}

static int
map_prepare_write(struct kernel_lease *kl)
{
	struct statx stx;
	if (kl->stripped)
		return 0;
	if (statx(kl->fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx))
		return -errno;
	int err = file_rules_strip(kl->fd, &stx);
	kl->stripped = !err;
	return err;
}

/* Blocks for writing up to END: those behind the end of the file must not go.  If they may, the next lease is taken in a way that they do not. */
static int
map_keep_end(struct kernel_lease *kl, uint64_t end, enum reason *why)
{
	struct stat st;
	if (kl->end_stays)
		return 0;
	if (fstat(kl->fd, &st))
		return -errno;
	uint64_t bs = kl->lease.inode->export->block_size;
	if (end <= ((uint64_t)st.st_size + bs - 1) / bs * bs)
		return 0;
	int stays = file_rules_end_stays(kl->fd);
	if (stays) {
		kl->end_stays = stays > 0;
		return stays > 0 ? 0 : stays;
	}
	kernel_lease_break(kl);
	*why = REASON_RECALL_PENDING;
	return -EAGAIN;
}

int
kernel_map_blocks(struct layout_lease *lease, uint64_t offset, uint64_t length, bool write,
    struct iomap *map, unsigned max, enum reason *why)
{
	struct kernel_lease *kl = kernel_lease(lease);
	uint64_t bs = lease->inode->export->block_size;
	uint64_t end = length > INT64_MAX - offset ? (uint64_t)INT64_MAX / bs * bs : offset + length;
	*why = REASON_NONE;
	if (offset > INT64_MAX || offset % bs || end % bs || end <= offset || !max) {
		*why = REASON_UNALIGNED;
		return -EINVAL;
	}
	int err = write ? map_prepare_write(kl) : 0;
	if (err) {
		*why = REASON_IO_ERROR;
		return err;
	}
	kl->written |= write;
	int n = map_or_make_room(kl, offset, end, write, map, max, why);
	if (n > 0 && write)
		err = map_keep_end(kl, map[n - 1].offset + map[n - 1].length, why);
	return err ? err : n;
}

bool
kernel_mapped(struct layout_lease *lease, uint64_t offset, uint64_t length, bool write)
{
	const struct kernel_lease *kl = kernel_lease(lease);
	uint64_t pos = offset, end = offset + length;
	if (write && !kl->stripped)
		return false;
	while (pos < end) {
		uint64_t ask = end;
		const struct kernel_extent *e = known(kl, pos, write, &ask);
		if (!e)
			return false;
		pos = e->offset + e->length;
	}
	return true;
}

/* ---- commit ---- */

/* nfsd before 6.17 reads an update of more than a page wrongly: 64 x 44 bytes are well inside. */
#define COMMIT_RANGES 64u

struct commit {
	struct kernel_lease *kl;
	uint64_t size;			/* of the file now */
	bool mtime_valid;
	struct timespec mtime;
};

/* Write LAYOUTCOMMIT by hand around the body: no copies, and no allocation. */
static int
commit_build(struct kernel_call *call, const struct commit *c, uint64_t last, const struct layout_range *ranges, uint32_t n)
{
	uint8_t body[4 + COMMIT_RANGES * LAYOUT_EXTENT_SIZE];
	XDR x;
	ax_init(&x, body, sizeof body, XDR_ENCODE, NULL);
	if (!layout_update_encode(&x, LAYOUT4_BLOCK_VOLUME, c->kl->device, ranges, n))
		return -EMSGSIZE;
	LAYOUTCOMMIT4args args = {
		/* nfsd before 6.17 looks at the last byte also where there is none, so it is always given; it lies in the range. */
		.loca_length = INT64_MAX,
		.loca_stateid = c->kl->layout,
		.loca_last_write_offset = { .no_newoffset = TRUE, .newoffset4_u.no_offset = last },
		.loca_time_modify.nt_timechanged = c->mtime_valid,
		.loca_layoutupdate = { .lou_type = LAYOUT4_BLOCK_VOLUME,
			.lou_body = { .lou_body_len = ax_used(&x), .lou_body_val = (char *)body } },
	};
	args.loca_time_modify.newtime4_u.nt_time.seconds = c->mtime.tv_sec;
	args.loca_time_modify.newtime4_u.nt_time.nseconds = (uint32_t)c->mtime.tv_nsec;
	compound_call_op(&call->c, OP_LAYOUTCOMMIT, &args);
	return 0;
}

/* One LAYOUTCOMMIT; the size becomes LAST + 1 if that is more than it is. */
static int
layoutcommit(struct commit *c, uint64_t last, const struct layout_range *ranges, uint32_t n)
{
	struct kernel_call call;
	int err = kernel_call_begin(&call, kernel_session(), &c->kl->fh);
	if (err)
		return err;
	err = commit_build(&call, c, last, ranges, n);
	if (!err)
		err = kernel_call_run(&call);
	if (!err)
		err = kernel_call_take(&call, OP_LAYOUTCOMMIT);
	if (err)
		log_warn("nfsd: LAYOUTCOMMIT of %u ranges, last byte %llu: %s", n, (unsigned long long)last,
		    call.status != NFS4_OK ? nfs4_status_name(call.status) : strerror(-err));
	kernel_call_end(&call);
	if (!err && last + 1 > c->size)
		c->size = last + 1;
	return err;
}

/*
 * The kernel converts what lies inside the size it knows then, and takes no size whose last block is not written (xfs_fs_commit_blocks): so each
 * part brings the size that its own ranges reach.
 */
static int
commit_parts(struct commit *c, const struct iomap *ranges, unsigned n, uint64_t want)
{
	struct layout_range part[COMMIT_RANGES];
	for (unsigned i = 0; i < n;) {
		uint32_t k = 0;
		uint64_t end = 0;
		for (; i < n; i++) {
			if (k && part[k - 1].offset + part[k - 1].length == ranges[i].offset) {
				part[k - 1].length += ranges[i].length;
			} else if (k < COMMIT_RANGES) {
				part[k++] = (struct layout_range){ ranges[i].offset, ranges[i].length };
			} else {
				break;
			}
			end = ranges[i].offset + ranges[i].length;
		}
		uint64_t size = i == n || end > want ? want : end;
		int err = layoutcommit(c, size > c->size ? size - 1 : c->size - 1, part, k);
		if (err)
			return err;
	}
	return n ? 0 : layoutcommit(c, want - 1, NULL, 0);
}

/* Nothing that the kernel has to convert: as for a write through the server. */
static int
commit_touch(struct kernel_lease *kl)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } };
	if (futimens(kl->fd, times))
		return -errno;
	return fs_commit(kl->lease.inode, true);
}

int
kernel_commit_blocks(struct layout_lease *lease, const struct iomap *ranges, unsigned n,
    const struct commit_attr *attr)
{
	struct kernel_lease *kl = kernel_lease(lease);
	struct commit c = { .kl = kl };
	struct stat st;
	struct timespec now;
	int err;
	if (fstat(kl->fd, &st))
		return -errno;
	c.size = (uint64_t)st.st_size;
	uint64_t want = attr->size_valid && attr->size > c.size ? attr->size : c.size;
	/* A wish that is not in the past is the kernel's to refuse; one in the future is ours (PITFALLS A30). */
	clock_gettime(CLOCK_REALTIME, &now);
	c.mtime = attr->mtime;
	c.mtime_valid = attr->mtime_valid && (attr->mtime.tv_sec < now.tv_sec ||
	    (attr->mtime.tv_sec == now.tv_sec && attr->mtime.tv_nsec <= now.tv_nsec));
	if (!kl->have_layout)
		err = n || want > c.size ? -ENOTSUP : commit_touch(kl);	/* blocks that nobody has guarded since */
	else
		err = want ? commit_parts(&c, ranges, n, want) : commit_touch(kl);
	if (err)
		return err;
	uint64_t bs = lease->inode->export->block_size, inside = (c.size + bs - 1) / bs * bs;
	for (unsigned i = 0; i < n; i++) {
		uint64_t end = ranges[i].offset + ranges[i].length;
		kernel_extents_written(&kl->extents, ranges[i].offset, end < inside ? end : inside);
	}
	if (!n)				/* overwrites: neither the client nor the kernel says where pages are stale */
		posix_fadvise(kl->fd, 0, 0, POSIX_FADV_DONTNEED);
	fs_inode_changed(lease->inode);
	return 0;
}
