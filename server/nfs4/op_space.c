/*
 * ALLOCATE, DEALLOCATE, SEEK, IO_ADVISE (RFC 7862 15.1, 15.4, 15.11, 15.5), coherent with layouts: way.h.
 */
#include <errno.h>
#include <unistd.h>

#include "proto/nfs4/status.h"
#include "server/nfs4/io.h"
#include "server/nfs4/way.h"
#include "server/state/stateid.h"

/* As Linux' fallocate(2) has it, whose client passes on what it says: nothing is INVAL, past the largest file FBIG. */
static nfsstat4
range_check(uint64_t offset, uint64_t length)
{
	if (!length)
		return NFS4ERR_INVAL;
	return offset > INT64_MAX || length > INT64_MAX - offset ? NFS4ERR_FBIG : NFS4_OK;
}

typedef int space_fn(struct inode *inode, uint64_t offset, uint64_t len, bool coherent);

/*
 * Blocks come, go and move, so no layout may say where they are: not the caller's either (PITFALLS A19).  In the block that the range ends in, too, since
 * layouts are of whole blocks.
 */
static nfsstat4
space_change(struct compound *c, const stateid4 *stateid, uint64_t offset, uint64_t length, space_fn *fn)
{
	if (c->on_loop)
		return OP_WORKER;
	nfsstat4 status = io_check_write(c, stateid);
	if (status == NFS4_OK)
		status = range_check(offset, length);
	if (status == NFS4_OK)
		status = way_take(c, c->cur, LAYOUT_NEED_BLOCKS, offset, length);
	if (status != NFS4_OK)
		return status;
	int err = fn(c->cur, offset, length, layout_any(c->cur));
	way_drop(c->cur);
	return nfs4_status(err);
}

nfsstat4
op_allocate(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const ALLOCATE4args *args = &arg->nfs_argop4_u.opallocate;

	(void)res;
	return space_change(c, &args->aa_stateid, args->aa_offset, args->aa_length, fs_allocate);
}

nfsstat4
op_deallocate(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const DEALLOCATE4args *args = &arg->nfs_argop4_u.opdeallocate;

	(void)res;
	return space_change(c, &args->da_stateid, args->da_offset, args->da_length, fs_deallocate);
}

/* io_lock held.  No data until the end: sr_eof (15.11.3); the end of the file is a hole, found with sr_eof. */
static nfsstat4
seek(struct compound *c, const SEEK4args *args, seek_res4 *ok)
{
	struct fs_stat st;
	uint64_t found;
	int err = fs_getattr(c->cur, &st);

	if (err < 0)
		return nfs4_status(err);
	uint64_t size = st.stx.stx_size;
	/* At the end, too, as lseek(2) and nfsd have it: there is nothing to be found. */
	if (args->sa_offset >= size)
		return NFS4ERR_NXIO;
	err = fs_seek(c->cur, args->sa_offset, args->sa_what == NFS4_CONTENT_DATA, &found);
	if (err == -ENXIO)
		found = size;
	else if (err < 0)
		return nfs4_status(err);
	ok->sr_eof = found >= size;
	ok->sr_offset = found;
	return NFS4_OK;
}

nfsstat4
op_seek(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const SEEK4args *args = &arg->nfs_argop4_u.opseek;

	if (c->on_loop)
		return OP_WORKER;
	if (args->sa_what != NFS4_CONTENT_DATA && args->sa_what != NFS4_CONTENT_HOLE)
		return NFS4ERR_UNION_NOTSUPP;
	nfsstat4 status = io_check(c, &args->sa_stateid, false);
	if (status != NFS4_OK)
		return status;
	/* Who may be writing what is behind: its layouts have to be committed before it is data. */
	status = way_take(c, c->cur, LAYOUT_NEED_READ, args->sa_offset, WAY_TO_END);
	if (status != NFS4_OK)
		return status;
	status = seek(c, args, &res->nfs_resop4_u.opseek.SEEK4res_u.resok4);
	way_drop(c->cur);
	return status;
}

#define HINT(h) (1u << IO_ADVISE4_##h)

/*
 * What is not needed is forgotten, and said so; else there is no advice that is taken, NORMAL.  Reading ahead is for later at best: pages under way when a layout is granted would be
 * what was there before the client wrote.
 */
nfsstat4
op_io_advise(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const IO_ADVISE4args *args = &arg->nfs_argop4_u.opio_advise;
	bitmap4 *hints = &res->nfs_resop4_u.opio_advise.IO_ADVISE4res_u.resok4.ior_hints;

	if (c->on_loop)
		return OP_WORKER;
	nfsstat4 status = io_check(c, &args->iaa_stateid, false);
	/* Neither is an error of it: a hint is harmless. */
	if (status == NFS4ERR_OPENMODE || status == NFS4ERR_LOCKED)
		status = NFS4_OK;
	if (status != NFS4_OK)
		return status;
	uint32_t asked = args->iaa_hints.bitmap4_len ? args->iaa_hints.bitmap4_val[0] : 0;
	uint32_t *word = arena_alloc(&c->arena, sizeof *word);
	if (!word)
		return NFS4ERR_DELAY;
	*word = asked & (HINT(DONTNEED) | HINT(NOREUSE)) ? HINT(DONTNEED) : HINT(NORMAL);
	if (*word == HINT(DONTNEED))
		fs_forget(c->cur, args->iaa_offset, args->iaa_count ? args->iaa_count : UINT64_MAX - args->iaa_offset);
	hints->bitmap4_len = 1;
	hints->bitmap4_val = word;
	return NFS4_OK;
}
