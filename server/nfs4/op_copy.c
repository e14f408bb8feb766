/*
 * COPY and CLONE (RFC 7862 15.2, 15.13): from the saved file to the current one, coherent with layouts on both: way.h.
 *
 * COPY makes a copy with blocks of its own (fs_copy()); CLONE shares blocks, and as nobody may write those by a layout, neither file gets layouts on them any more.
 * A COPY that is small, or has to be synchronous, does as much as takes a moment and says how much that was, like a WRITE that is short; the client asks for
 * the rest.  Others go on after the reply: offload.h, with OFFLOAD_STATUS and OFFLOAD_CANCEL (15.9, 15.8).
 */
#include <string.h>

#include "proto/nfs4/status.h"
#include "server/export/export.h"
#include "server/nfs4/io.h"
#include "server/nfs4/offload.h"
#include "server/nfs4/way.h"
#include "server/state/session.h"

/* From the first offset to the second; *LENGTH 0: to the end of the source. */
struct span {
	uint64_t src, dst, length;
};

/* RFC 7862 15.2.3, 15.13.3: beyond the source's end is INVAL; 0 stands for all up to it. */
static nfsstat4
span_check(struct compound *c, struct span *s)
{
	struct fs_stat st;
	int err = fs_getattr(c->saved, &st);

	if (err < 0)
		return nfs4_status(err);
	uint64_t size = st.stx.stx_size;
	if (s->src > size || s->length > size - s->src)
		return NFS4ERR_INVAL;
	if (!s->length)
		s->length = size - s->src;
	return s->dst > INT64_MAX || s->length > INT64_MAX - s->dst ? NFS4ERR_FBIG : NFS4_OK;
}

static nfsstat4
both_check(struct compound *c, const stateid4 *src, const stateid4 *dst)
{
	nfsstat4 status = io_check_write(c, dst);

	return status == NFS4_OK ? io_check_saved(c, src) : status;
}

/* ---- COPY ---- */

static nfsstat4
copy_check(struct compound *c, const COPY4args *args)
{
	nfsstat4 status = both_check(c, &args->ca_src_stateid, &args->ca_dst_stateid);

	if (status != NFS4_OK)
		return status;
	if (c->saved == c->cur)
		return NFS4ERR_INVAL;
	/* Another server is not asked; the client "should fall back to the normal copy semantics" (11.1.2.1). */
	return args->ca_source_server.ca_source_server_len ? NFS4ERR_OFFLOAD_DENIED : NFS4_OK;
}

/*
 * Where the source has holes the target's blocks go, so no layout may be on them.  The source is read as by READ.
 */
static nfsstat4
copy_span(struct compound *c, const struct span *s, COPY4resok *ok)
{
	struct way from = { c->saved, LAYOUT_NEED_READ, s->src, s->length }, to = { c->cur, LAYOUT_NEED_BLOCKS, s->dst, s->length };
	nfsstat4 status = way_take_both(c, &from, &to);

	if (status != NFS4_OK)
		return status;
	struct fs_copy copy = { .src = c->saved, .dst = c->cur, .src_offset = s->src, .dst_offset = s->dst, .len = s->length,
		.src_coherent = layout_any(c->saved), .dst_coherent = layout_any(c->cur) };
	int64_t n = fs_copy(&copy);
	way_drop_both(&from, &to);
	if (n < 0)
		return nfs4_status((int)n);
	ok->cr_response.wr_count = (uint64_t)n;
	return NFS4_OK;
}

/* True: it goes on after the reply. */
static bool
copy_goes_on(struct compound *c, const COPY4args *args, const struct span *s, COPY4resok *ok)
{
	if (args->ca_synchronous || s->length <= FS_COPY_MOST)
		return false;
	stateid4 *sid = arena_zalloc(&c->arena, sizeof *sid);
	struct offload_ask ask = { .src = c->saved, .dst = c->cur, .src_offset = s->src, .dst_offset = s->dst, .len = s->length,
		.ref = session_ref(c->session, c->slot) };
	memcpy(ask.verf, ok->cr_response.wr_writeverf, sizeof ask.verf);
	if (!sid || !offload_start(c->mds, c->client, &ask, sid))
		return false;
	ok->cr_response.wr_callback_id.wr_callback_id_len = 1;
	ok->cr_response.wr_callback_id.wr_callback_id_val = sid;
	ok->cr_requirements.cr_synchronous = FALSE;
	return true;
}

nfsstat4
op_copy(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const COPY4args *args = &arg->nfs_argop4_u.opcopy;
	COPY4resok *ok = &res->nfs_resop4_u.opcopy.COPY4res_u.cr_resok4;
	struct span span = { args->ca_src_offset, args->ca_dst_offset, args->ca_count };

	if (c->on_loop)
		return OP_WORKER;
	nfsstat4 status = copy_check(c, args);
	if (status == NFS4_OK)
		status = span_check(c, &span);
	if (status != NFS4_OK)
		return status;
	/* Before the data, as in WRITE: a flush that fails in between changes it. */
	io_verifier(c->mds, ok->cr_response.wr_writeverf);
	ok->cr_response.wr_committed = UNSTABLE4;
	ok->cr_requirements.cr_consecutive = TRUE;
	ok->cr_requirements.cr_synchronous = TRUE;
	return !span.length || copy_goes_on(c, args, &span, ok) ? NFS4_OK : copy_span(c, &span, ok);
}

nfsstat4
op_offload_status(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	OFFLOAD_STATUS4resok *ok = &res->nfs_resop4_u.opoffload_status.OFFLOAD_STATUS4res_u.osr_resok4;
	struct offload_progress is;
	nfsstat4 status = offload_progress(c->mds, c->client, &arg->nfs_argop4_u.opoffload_status.osa_stateid, c->cur, &is);

	if (status != NFS4_OK)
		return status;
	ok->osr_count = is.done;
	if (!is.complete)
		return NFS4_OK;
	ok->osr_complete.osr_complete_val = arena_zalloc(&c->arena, sizeof(nfsstat4));
	if (!ok->osr_complete.osr_complete_val)
		return NFS4ERR_DELAY;
	ok->osr_complete.osr_complete_len = 1;
	*ok->osr_complete.osr_complete_val = is.status;
	return NFS4_OK;
}

nfsstat4
op_offload_cancel(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	(void)res;
	return offload_cancel(c->mds, c->client, &arg->nfs_argop4_u.opoffload_cancel.oca_stateid, c->cur);
}

/* ---- CLONE ---- */

/* Blocks are shared in whole: the last one of the source that is not full, too. */
static uint64_t
whole_blocks(const struct inode *inode, uint64_t length)
{
	uint64_t block = inode->export->block_size, rest = block ? length % block : 0;

	return rest ? length - rest + block : length;
}

static nfsstat4
clone_span(struct compound *c, const struct span *s)
{
	uint64_t length = whole_blocks(c->cur, s->length);
	/* Whoever may write the source by a layout would write the clone, and a write through the server moves what readers have. */
	struct way from = { c->saved, LAYOUT_NEED_BLOCKS, s->src, length }, to = { c->cur, LAYOUT_NEED_BLOCKS, s->dst, length };
	nfsstat4 status = way_take_both(c, &from, &to);

	if (status != NFS4_OK)
		return status;
	int err = fs_clone(c->saved, s->src, c->cur, s->dst, s->length, layout_any(c->cur));
	way_drop_both(&from, &to);
	return nfs4_status(err);
}

nfsstat4
op_clone(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const CLONE4args *args = &arg->nfs_argop4_u.opclone;
	struct span span = { args->cl_src_offset, args->cl_dst_offset, args->cl_count };

	(void)res;
	if (c->on_loop)
		return OP_WORKER;
	nfsstat4 status = both_check(c, &args->cl_src_stateid, &args->cl_dst_stateid);
	if (status == NFS4_OK && c->saved->export->dev != c->cur->export->dev)
		status = NFS4ERR_XDEV;
	if (status == NFS4_OK)
		status = span_check(c, &span);
	if (status != NFS4_OK || !span.length)
		return status;
	return clone_span(c, &span);
}
