/*
 * WRITE_SAME (RFC 7862 15.12): the same block again and again.  A WRITE in all respects but for where the bytes come from; synchronous, so that
 * of many blocks it writes as many as take a moment, and the client asks for the rest.
 */
#include <errno.h>
#include <stdlib.h>

#include "include/cleanup.h"
#include "proto/nfs4/status.h"
#include "server/nfs4/adb.h"
#include "server/nfs4/io.h"
#include "server/nfs4/way.h"

#define MOST (16u << 20)		/* bytes in one go */

static nfsstat4
same_check(struct compound *c, const WRITE_SAME4args *args, uint64_t *len)
{
	if (args->wsa_stable != UNSTABLE4 && args->wsa_stable != DATA_SYNC4 && args->wsa_stable != FILE_SYNC4)
		return NFS4ERR_BADXDR;
	nfsstat4 status = io_check(c, &args->wsa_stateid, true);
	if (status == NFS4_OK)
		status = compound_check_rw(c);
	if (status == NFS4_OK)
		status = adb_check(&args->wsa_adb, len);
	/* Whole blocks, if that is not less than one. */
	if (status == NFS4_OK && *len > MOST)
		*len = args->wsa_adb.adb_block_size > MOST ? MOST : MOST - MOST % args->wsa_adb.adb_block_size;
	return status;
}

/* io_lock held.  Bytes, or -errno if there were none. */
static int64_t
same_write(struct compound *c, const WRITE_SAME4args *args, uint64_t len)
{
	const app_data_block4 *adb = &args->wsa_adb;
	CLEANUP_FREE uint8_t *buf = malloc(IO_MAX);
	uint64_t done = 0;
	ssize_t n = buf ? 0 : -ENOMEM;

	while (buf && done < len) {
		uint32_t want = len - done < IO_MAX ? (uint32_t)(len - done) : IO_MAX;
		adb_fill(adb, done, buf, want);
		n = fs_write(c->cur, buf, want, adb->adb_offset + done, args->wsa_stable != UNSTABLE4, layout_any(c->cur));
		if (n > 0)
			done += (uint64_t)n;
		if (n < (ssize_t)want)
			break;
	}
	return n < 0 && !done ? n : (int64_t)done;
}

nfsstat4
op_write_same(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const WRITE_SAME4args *args = &arg->nfs_argop4_u.opwrite_same;
	write_response4 *ok = &res->nfs_resop4_u.opwrite_same.WRITE_SAME4res_u.resok4;
	int64_t n = 0;
	uint64_t len;

	if (c->on_loop)
		return OP_WORKER;
	nfsstat4 status = same_check(c, args, &len);
	if (status != NFS4_OK)
		return status;
	io_verifier(c->mds, ok->wr_writeverf);
	if (len) {
		status = way_take(c, c->cur, LAYOUT_NEED_WRITE, args->wsa_adb.adb_offset, len);
		if (status != NFS4_OK)
			return status;
		n = same_write(c, args, len);
		way_drop(c->cur);
	}
	if (n < 0)
		return nfs4_status((int)n);
	ok->wr_count = (uint64_t)n;
	ok->wr_committed = args->wsa_stable;
	return NFS4_OK;
}
