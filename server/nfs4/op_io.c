/*
 * READ, WRITE, COMMIT through the server (RFC 8881 18.22, 18.32, 18.3), coherent with
 * layouts: way.h.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "proto/nfs4/status.h"
#include "server/mds.h"
#include "server/nfs4/dir.h"
#include "server/nfs4/ftype.h"
#include "server/nfs4/io.h"
#include "server/nfs4/way.h"
#include "server/state/stateid.h"

#define READ_HEADER 8u			/* eof and count stand before the data */

/*
 * Another one after each flush that failed: what was written unstably may be lost, and clients have to send it
 * again (PITFALLS E11).
 */
void
io_verifier(const struct mds *mds, verifier4 verf)
{
	uint64_t v;

	memcpy(&v, mds->write_verifier, sizeof v);
	v += fs_write_errors(mds->fs);
	memcpy(verf, &v, sizeof v);
}

nfsstat4
io_check(struct compound *c, const stateid4 *stateid, bool write)
{
	stateid4 sid = *stateid;	/* the argument stays: the operation may be run again */
	bool by_open = false;
	nfsstat4 status = ftype_check_regular(c->cur);

	if (status == NFS4_OK)
		status = compound_resolve_stateid(c, &sid);
	if (status == NFS4_OK)
		status = state_check_io(c, &sid, c->cur, write, &by_open);
	if (status != NFS4_OK || by_open)
		return status;
	return dir_access(c, c->cur, &c->cred, write ? W_OK : R_OK);
}

nfsstat4
io_check_write(struct compound *c, const stateid4 *stateid)
{
	if (c->cur->type != S_IFREG)
		return NFS4ERR_WRONG_TYPE;
	nfsstat4 status = io_check(c, stateid, true);
	return status == NFS4_OK ? compound_check_rw(c) : status;
}

nfsstat4
io_check_saved(struct compound *c, const stateid4 *stateid)
{
	stateid4 sid = *stateid;
	bool by_open = false;

	if (c->saved->type != S_IFREG)
		return NFS4ERR_WRONG_TYPE;
	if (stateid_is_current(&sid)) {
		if (!c->saved_sid_valid)
			return NFS4ERR_BAD_STATEID;
		sid = c->saved_sid;
	}
	nfsstat4 status = state_check_io(c, &sid, c->saved, false, &by_open);
	/* It was compared with who the caller is on the current file's export: as good here only if he is the same. */
	if (status != NFS4_OK || (by_open && c->cred.uid == c->saved_cred.uid))
		return status;
	return dir_access(c, c->saved, &c->saved_cred, R_OK);
}

/* Bytes to read: what is asked, what fits the reply, and files end at 2^63 - 1. */
static uint32_t
read_len(struct compound *c, const READ4args *args)
{
	uint32_t len = args->count < IO_MAX ? args->count : IO_MAX;
	uint32_t room = compound_room(c);

	room = room > READ_HEADER ? (room - READ_HEADER) & ~3u : 0;
	if (len > room)
		len = room;
	if (args->offset >= INT64_MAX)
		return 0;
	uint64_t left = INT64_MAX - args->offset;
	return len < left ? len : left;
}

/* io_lock held if LEN.  eof is exact: a read that ends at the end says so (RFC 8881 18.22.3). */
static nfsstat4
read_data(struct compound *c, const READ4args *args, uint32_t len, uint8_t *buf, READ4resok *ok)
{
	ssize_t n = 0;
	struct fs_stat st;

	if (len)
		n = fs_read(c->cur, buf, len, args->offset, c->on_loop, layout_any(c->cur));
	if (n == -EAGAIN && c->on_loop)
		return OP_WORKER;
	if (n < 0)
		return nfs4_status(n);
	ok->data.data_val = (char *)buf;
	ok->data.data_len = n;
	ok->eof = TRUE;
	if (n == len) {
		int err = fs_glance(c->cur, &st);
		if (!err && args->offset + len > st.stx.stx_size)	/* it has grown since that look */
			err = fs_getattr(c->cur, &st);
		if (err < 0)
			return nfs4_status(err);
		ok->eof = args->offset >= st.stx.stx_size || (uint64_t)n >= st.stx.stx_size - args->offset;
	}
	return NFS4_OK;
}

nfsstat4
op_read(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const READ4args *args = &arg->nfs_argop4_u.opread;
	nfsstat4 status = io_check(c, &args->stateid, false);

	if (status != NFS4_OK)
		return status;
	/* Then it is read from the device itself. */
	if (c->on_loop && layout_any(c->cur))
		return OP_WORKER;
	uint32_t len = read_len(c, args);
	uint8_t *buf = compound_reply_data(c, READ_HEADER, len);
	if (!buf)
		return NFS4ERR_REP_TOO_BIG;
	READ4resok *ok = &res->nfs_resop4_u.opread.READ4res_u.resok4;
	if (!len)
		return read_data(c, args, 0, buf, ok);
	status = way_take(c, c->cur, LAYOUT_NEED_READ, args->offset, len);
	if (status != NFS4_OK)
		return status;
	status = read_data(c, args, len, buf, ok);
	way_drop(c->cur);
	return status;
}

static nfsstat4
write_check(struct compound *c, const WRITE4args *args)
{
	if (args->stable != UNSTABLE4 && args->stable != DATA_SYNC4 && args->stable != FILE_SYNC4)
		return NFS4ERR_BADXDR;
	nfsstat4 status = io_check(c, &args->stateid, true);
	if (status == NFS4_OK)
		status = compound_check_rw(c);
	if (status != NFS4_OK)
		return status;
	if (args->data.data_len && args->offset > (uint64_t)INT64_MAX - args->data.data_len)
		return NFS4ERR_FBIG;
	return NFS4_OK;
}

nfsstat4
op_write(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const WRITE4args *args = &arg->nfs_argop4_u.opwrite;
	WRITE4resok *ok = &res->nfs_resop4_u.opwrite.WRITE4res_u.resok4;
	uint32_t len = args->data.data_len < IO_MAX ? args->data.data_len : IO_MAX;
	bool sync = args->stable != UNSTABLE4;
	ssize_t n = 0;

	if (c->on_loop)
		return OP_WORKER;
	nfsstat4 status = write_check(c, args);
	if (status != NFS4_OK)
		return status;
	/* Before the data: a flush that fails in between changes it, and the client will notice. */
	io_verifier(c->mds, ok->writeverf);
	if (len) {
		status = way_take(c, c->cur, LAYOUT_NEED_WRITE, args->offset, len);
		if (status != NFS4_OK)
			return status;
		n = fs_write(c->cur, args->data.data_val, len, args->offset, sync, layout_any(c->cur));
		way_drop(c->cur);
	}
	if (n < 0)
		return nfs4_status(n);
	ok->count = n;
	ok->committed = args->stable;
	return NFS4_OK;
}

/* The range is a hint: all of the file is flushed (RFC 8881 18.3.3 lets it be more). */
nfsstat4
op_commit(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	COMMIT4resok *ok = &res->nfs_resop4_u.opcommit.COMMIT4res_u.resok4;

	(void)arg;
	if (c->on_loop)
		return OP_WORKER;
	nfsstat4 status = ftype_check_regular(c->cur);
	if (status != NFS4_OK)
		return status;
	pthread_rwlock_rdlock(&c->cur->io_lock);
	int err = fs_commit(c->cur, layout_any(c->cur));
	pthread_rwlock_unlock(&c->cur->io_lock);
	if (err < 0)
		return nfs4_status(err);
	/* After the flush: another one that failed meanwhile took our data with it. */
	io_verifier(c->mds, ok->writeverf);
	return NFS4_OK;
}
