/*
 * LAYOUTGET, LAYOUTCOMMIT, LAYOUTRETURN (RFC 8881 18.42 to 18.44): arguments, stateids, results.  What they mean is
 * server/layout's; the bytes of layout types are proto/layout's.
 *
 * LAYOUTCOMMIT blocks and runs on workers (OPF_BLOCKS), and so does LAYOUTGET unless all of it is known and held by its provider already;
 * LAYOUTRETURN does not.
 */
#include <errno.h>
#include <assert.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/layout/layout_xdr.h"
#include "proto/nfs4/status.h"
#include "server/export/export.h"
#include "server/layout/commit.h"
#include "server/layout/extent.h"
#include "server/layout/grant.h"
#include "server/layout/layout_impl.h"
#include "server/layout/return.h"
#include "server/mds.h"
#include "server/nfs4/compound.h"
#include "server/state/client.h"
#include "server/state/session.h"

/* Bytes of a layout4 without its extents: offset, length, iomode, type, length of the body, count. */
#define LAYOUT4_FIXED 32u
/* Of LAYOUTGET4resok before it: return_on_close, stateid, count. */
#define LAYOUTGET_FIXED 24u

/* ---- LAYOUTGET ---- */

/* offset + length must not pass the end, unless the length means "to the end" (18.43.3). */
static bool
span_ok(uint64_t offset, uint64_t length)
{
	return length == UINT64_MAX || length <= UINT64_MAX - offset;
}

static nfsstat4
layoutget_check_args(const struct compound *c, const LAYOUTGET4args *args, enum reason *why)
{
	const struct export *export = c->cur->export;

	if (c->cur->type != S_IFREG)
		return NFS4ERR_WRONG_TYPE;
	/* READ or RW; ANY and whatever else may stand in the enumeration is neither (PITFALLS A10). */
	if (args->loga_iomode != LAYOUTIOMODE4_READ && args->loga_iomode != LAYOUTIOMODE4_RW)
		return NFS4ERR_BADIOMODE;
	if (args->loga_minlength > args->loga_length || !span_ok(args->loga_offset, args->loga_minlength) ||
	    !span_ok(args->loga_offset, args->loga_length))
		return NFS4ERR_INVAL;
	if (!export || !export_grants(export)) {
		*why = export && export->reason != REASON_NONE ? export->reason : REASON_LAYOUTS_OFF;
		return NFS4ERR_LAYOUTUNAVAILABLE;
	}
	if ((uint32_t)args->loga_layout_type != export->layout_type)
		return NFS4ERR_UNKNOWN_LAYOUTTYPE;
	if (grace_active(c->mds)) {
		/* Old holders may still be writing and have the right to commit first (12.7.4, PITFALLS A34). */
		*why = REASON_GRACE;
		return NFS4ERR_GRACE;
	}
	return NFS4_OK;
}

/* How many extents fit into what the client can take and into the reply. */
static nfsstat4
layoutget_room(struct compound *c, uint32_t maxcount, uint32_t *extents)
{
	uint32_t room = compound_room(c);

	if (maxcount < LAYOUT4_FIXED + LAYOUT_EXTENT_SIZE)
		return NFS4ERR_TOOSMALL;
	if (room < LAYOUTGET_FIXED + LAYOUT4_FIXED + LAYOUT_EXTENT_SIZE)
		return c->cache_this ? NFS4ERR_REP_TOO_BIG_TO_CACHE : NFS4ERR_REP_TOO_BIG;
	room -= LAYOUTGET_FIXED;
	*extents = ((room < maxcount ? room : maxcount) - LAYOUT4_FIXED) / LAYOUT_EXTENT_SIZE;
	return NFS4_OK;
}

/* Another user of the client than the one that opened: as for READ and WRITE by this stateid. */
static nfsstat4
layoutget_check_access(struct compound *c, bool rw)
{
	struct fs_stat st;
	unsigned want = rw ? W_OK : R_OK;

	int err = fs_getattr(c->cur, &st);
	if (err)
		return nfs4_status(err);
	/* RFC 8881 18.16.4: an owner who may not write by the mode may by his open. */
	if (st.stx.stx_uid == c->cred.uid)
		return NFS4_OK;
	err = fs_permits(c->cur, &st, &c->cred, want, c->on_loop);
	return err == -EAGAIN && c->on_loop ? OP_WORKER : nfs4_status(err);
}

/* A layout stateid of this file, or else an open, lock or delegation stateid that allows the mode (18.43.3, RFC 8154 3.1). */
static nfsstat4
layoutget_check_stateid(struct compound *c, stateid4 *sid, bool rw, bool *by_layout)
{
	bool by_open;

	nfsstat4 status = compound_resolve_stateid(c, sid);
	if (status != NFS4_OK)
		return status;
	if (stateid_is_anonymous(sid) || stateid_is_bypass(sid) || stateid_is_invalid(sid))
		return NFS4ERR_BAD_STATEID;
	status = layout_check_sid(c->mds, c->client, c->cur, sid, by_layout);
	if (status != NFS4_OK || *by_layout)
		return status;
	status = state_check_io(c, sid, c->cur, rw, &by_open);
	if (status == NFS4_OK && !by_open)
		status = layoutget_check_access(c, rw);
	return status;
}

/* Memory for the result, taken before anything is granted: a LAYOUTGET that fails leaves nothing behind (PITFALLS A33). */
struct layoutget_result {
	layout4 *layout;
	uint8_t *body;
	uint32_t room;
};

static bool
layoutget_result_alloc(struct compound *c, uint32_t extents, struct layoutget_result *result)
{
	if (extents > GRANT_MAX_EXTENTS)
		extents = GRANT_MAX_EXTENTS;
	result->room = 4 + extents * LAYOUT_EXTENT_SIZE;
	result->body = arena_alloc(&c->arena, result->room);
	result->layout = arena_zalloc(&c->arena, sizeof *result->layout);
	return result->body && result->layout;
}

static void
layoutget_encode(const LAYOUTGET4args *args, const struct layout_answer *answer, const struct layoutget_result *result,
    LAYOUTGET4resok *ok)
{
	layout4 *layout = result->layout;
	XDR xdrs;

	ax_init(&xdrs, result->body, result->room, XDR_ENCODE, NULL);
	bool fits = layout_extents_encode(&xdrs, args->loga_layout_type, answer->ext, answer->n);
	assert(fits);
	(void)fits;
	layout->lo_offset = answer->offset;
	layout->lo_length = answer->length;
	layout->lo_iomode = args->loga_iomode;
	layout->lo_content.loc_type = args->loga_layout_type;
	layout->lo_content.loc_body.loc_body_len = ax_used(&xdrs);
	layout->lo_content.loc_body.loc_body_val = (char *)result->body;
	ok->logr_return_on_close = TRUE;
	ok->logr_stateid = answer->sid;
	ok->logr_layout.logr_layout_len = 1;
	ok->logr_layout.logr_layout_val = layout;
}

static nfsstat4
layoutget(struct compound *c, const LAYOUTGET4args *args, LAYOUTGET4resok *ok, enum reason *why)
{
	bool rw = args->loga_iomode == LAYOUTIOMODE4_RW;
	stateid4 sid = args->loga_stateid;
	struct layoutget_result result;
	struct layout_answer answer = { 0 };
	struct layout_ask ask = { .client = c->client, .inode = c->cur, .rw = rw, .offset = args->loga_offset,
		.length = args->loga_length, .minlength = args->loga_minlength, .at_once = c->on_loop, .arena = &c->arena };

	nfsstat4 status = layoutget_check_args(c, args, why);
	if (status != NFS4_OK)
		return status;
	if (rw && compound_check_rw(c) != NFS4_OK) {
		*why = REASON_LAYOUTS_OFF;
		return NFS4ERR_BADIOMODE;	/* 15.1.10.1; ROFS is not LAYOUTGET's */
	}
	status = layoutget_check_stateid(c, &sid, rw, &ask.by_layout);
	if (status == NFS4_OK)
		status = layoutget_room(c, args->loga_maxcount, &ask.max_extents);
	if (status != NFS4_OK)
		return status;
	if (!layoutget_result_alloc(c, ask.max_extents, &result))
		return NFS4ERR_DELAY;
	ask.ref = session_ref(c->session, c->slot);
	status = layout_get(c->mds, &ask, &answer);
	if (answer.wait)
		return OP_WORKER;
	*why = answer.why;
	if (status != NFS4_OK)
		return status;
	layoutget_encode(args, &answer, &result, ok);
	compound_set_stateid(c, &ok->logr_stateid);
	return NFS4_OK;
}

/* Is it worth trying on the loop? */
static bool
layoutget_may_be_quick(const struct inode *inode)
{
	const struct export *export = inode->export;

	return export && export_grants(export) && export->ops->mapped && layout_any(inode);
}

nfsstat4
op_layoutget(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const LAYOUTGET4args *args = &arg->nfs_argop4_u.oplayoutget;
	LAYOUTGET4res *r = &res->nfs_resop4_u.oplayoutget;
	enum reason why = REASON_NONE;

	if (c->on_loop && !layoutget_may_be_quick(c->cur))
		return OP_WORKER;
	nfsstat4 status = layoutget(c, args, &r->LAYOUTGET4res_u.logr_resok4, &why);
	if (status != NFS4_OK && status != OP_WORKER) {
		layout_refused(c->mds, c->cur, why);
		/* No CB_RECALLABLE_OBJ_AVAIL from us. */
		memset(&r->LAYOUTGET4res_u, 0, sizeof r->LAYOUTGET4res_u);
		r->LAYOUTGET4res_u.logr_will_signal_layout_avail = FALSE;
	}
	return status;
}

/* ---- LAYOUTCOMMIT ---- */

static nfsstat4
layoutcommit_check_args(const struct compound *c, const LAYOUTCOMMIT4args *args)
{
	const struct export *export = c->cur->export;
	const newoffset4 *last = &args->loca_last_write_offset;

	if (c->cur->type == S_IFDIR)
		return NFS4ERR_ISDIR;
	if (c->cur->type != S_IFREG)
		return c->cur->type == S_IFLNK ? NFS4ERR_SYMLINK : NFS4ERR_INVAL;
	if (!export || (uint32_t)args->loca_layoutupdate.lou_type != export->layout_type || !export->ops)
		return NFS4ERR_UNKNOWN_LAYOUTTYPE;
	if (!span_ok(args->loca_offset, args->loca_length))
		return NFS4ERR_INVAL;
	/* Only with no_newoffset TRUE is there an offset (18.42.1, PITFALLS A2); it lies in the range (18.42.3). */
	if (last->no_newoffset) {
		uint64_t offset = last->newoffset4_u.no_offset;
		if (offset >= UINT64_MAX - 1 || offset < args->loca_offset ||
		    (args->loca_length != UINT64_MAX && offset - args->loca_offset >= args->loca_length))
			return NFS4ERR_INVAL;
	}
	if (args->loca_time_modify.nt_timechanged &&
	    args->loca_time_modify.newtime4_u.nt_time.nseconds >= 1000000000u)
		return NFS4ERR_INVAL;
	return NFS4_OK;
}

static nfsstat4
layoutcommit_check_reclaim(struct compound *c)
{
	if (!grace_active(c->mds))
		return NFS4ERR_NO_GRACE;
	pthread_mutex_lock(&c->mds->state_lock);
	nfsstat4 status = grace_check_reclaim_locked(c->mds, c->client);
	pthread_mutex_unlock(&c->mds->state_lock);
	return status;
}

nfsstat4
op_layoutcommit(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const LAYOUTCOMMIT4args *args = &arg->nfs_argop4_u.oplayoutcommit;
	newsize4 *newsize = &res->nfs_resop4_u.oplayoutcommit.LAYOUTCOMMIT4res_u.locr_resok4.locr_newsize;
	const layoutupdate4 *update = &args->loca_layoutupdate;
	stateid4 sid = args->loca_stateid;
	struct layout_range *ranges = NULL;
	struct layout_commit commit = { .client = c->client, .inode = c->cur, .sid = &sid, .reclaim = args->loca_reclaim,
		.offset = args->loca_offset, .length = args->loca_length, .arena = &c->arena };
	bool size_set;
	uint64_t size;

	nfsstat4 status = layoutcommit_check_args(c, args);
	if (status == NFS4_OK && commit.reclaim)
		status = layoutcommit_check_reclaim(c);
	else if (status == NFS4_OK && compound_resolve_stateid(c, &sid) != NFS4_OK)
		status = NFS4ERR_BADLAYOUT;
	if (status != NFS4_OK)
		return status;
	if (!layout_update_decode(update->lou_type, update->lou_body.lou_body_val, update->lou_body.lou_body_len, &c->arena,
	    &ranges, &commit.n))
		return NFS4ERR_BADXDR;
	commit.ranges = ranges;
	commit.last_valid = args->loca_last_write_offset.no_newoffset;
	if (commit.last_valid)
		commit.last = args->loca_last_write_offset.newoffset4_u.no_offset;
	commit.mtime_valid = args->loca_time_modify.nt_timechanged;
	if (commit.mtime_valid) {
		const nfstime4 *t = &args->loca_time_modify.newtime4_u.nt_time;
		commit.mtime = (struct timespec){ .tv_sec = t->seconds, .tv_nsec = t->nseconds };
	}
	status = layout_commit(c->mds, &commit, &size_set, &size);
	if (status == NFS4_OK && size_set) {
		newsize->ns_sizechanged = TRUE;
		newsize->newsize4_u.ns_size = size;
	}
	return status;
}

/* ---- LAYOUTRETURN ---- */

static nfsstat4
layoutreturn_check_args(const struct compound *c, const LAYOUTRETURN4args *args)
{
	const layoutreturn4 *ret = &args->lora_layoutreturn;
	bool file = ret->lr_returntype == LAYOUTRETURN4_FILE;
	bool all = ret->lr_returntype == LAYOUTRETURN4_ALL;

	if (!file && !all && ret->lr_returntype != LAYOUTRETURN4_FSID)
		return NFS4ERR_INVAL;
	if (!all && !c->cur)
		return NFS4ERR_NOFILEHANDLE;
	if (args->lora_iomode < LAYOUTIOMODE4_READ || args->lora_iomode > LAYOUTIOMODE4_ANY)
		return NFS4ERR_INVAL;	/* BADIOMODE is not LAYOUTRETURN's (15.2) */
	if (!layout_plug_find((uint32_t)args->lora_layout_type))
		return NFS4ERR_UNKNOWN_LAYOUTTYPE;
	if (args->lora_reclaim)
		return !file ? NFS4ERR_INVAL : grace_active(c->mds) ? NFS4_OK : NFS4ERR_NO_GRACE;
	if (!file)
		return NFS4_OK;
	if (c->cur->type != S_IFREG)
		return c->cur->type == S_IFDIR ? NFS4ERR_ISDIR : NFS4ERR_WRONG_TYPE;
	if (!c->cur->export || (uint32_t)args->lora_layout_type != c->cur->export->layout_type)
		return NFS4ERR_UNKNOWN_LAYOUTTYPE;
	const layoutreturn_file4 *f = &ret->layoutreturn4_u.lr_layout;
	/* Neither type has a body (RFC 8154 2.4.3, RFC 5663 2.3.3). */
	return span_ok(f->lrf_offset, f->lrf_length) && f->lrf_body.lrf_body_len == 0 ? NFS4_OK : NFS4ERR_INVAL;
}

static nfsstat4
layoutreturn_file(struct compound *c, const layoutreturn_file4 *f, bool read, bool rw, layoutreturn_stateid *out)
{
	stateid4 given = f->lrf_stateid, sid;
	bool present;

	nfsstat4 status = compound_resolve_stateid(c, &given);
	if (status == NFS4_OK)
		status = layout_return_file(c->mds, c->client, c->cur, &given, f->lrf_offset, f->lrf_length, read, rw, &sid,
		    &present);
	if (status != NFS4_OK)
		return status;
	out->lrs_present = present;
	if (present) {
		out->layoutreturn_stateid_u.lrs_stateid = sid;
		compound_set_stateid(c, &sid);
	} else {
		/* 18.44.3: all zeroes, and of no use until another operation sets it. */
		memset(&c->cur_sid, 0, sizeof c->cur_sid);
		c->cur_sid_valid = false;
	}
	return NFS4_OK;
}

nfsstat4
op_layoutreturn(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const LAYOUTRETURN4args *args = &arg->nfs_argop4_u.oplayoutreturn;
	const layoutreturn4 *ret = &args->lora_layoutreturn;
	layoutreturn_stateid *out = &res->nfs_resop4_u.oplayoutreturn.LAYOUTRETURN4res_u.lorr_stateid;
	bool read = args->lora_iomode != LAYOUTIOMODE4_RW, rw = args->lora_iomode != LAYOUTIOMODE4_READ;

	nfsstat4 status = layoutreturn_check_args(c, args);
	if (status != NFS4_OK)
		return status;
	if (args->lora_reclaim) {
		/* From before the restart: nothing of it is held here. */
		out->lrs_present = FALSE;
		return NFS4_OK;
	}
	switch (ret->lr_returntype) {
	case LAYOUTRETURN4_FILE:
		return layoutreturn_file(c, &ret->layoutreturn4_u.lr_layout, read, rw, out);
	case LAYOUTRETURN4_FSID:
		layout_return_bulk(c->mds, c->client, c->cur, (uint32_t)args->lora_layout_type, read, rw);
		return NFS4_OK;
	default:
		layout_return_bulk(c->mds, c->client, NULL, (uint32_t)args->lora_layout_type, read, rw);
		return NFS4_OK;
	}
}
