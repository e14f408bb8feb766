/* READDIR entries without recursion; see dirent.h. */
#include "proto/nfs4/dirent.h"

#include <errno.h>

/* What ends the list: no more entries, eof. */
#define END_SIZE 8u

/* ---- writing ---- */

bool
dirent_begin(struct dirent_writer *w, XDR *xdrs, const verifier4 verf,
    uint32_t dircount, uint32_t maxcount)
{
	*w = (struct dirent_writer){ .xdrs = xdrs, .start = *xdrs,
		.max_left = maxcount, .dir_left = dircount ? dircount : UINT32_MAX };
	if (maxcount < NFS4_VERIFIER_SIZE + END_SIZE ||
	    ax_left(xdrs) < NFS4_VERIFIER_SIZE + END_SIZE)
		return false;
	w->max_left -= NFS4_VERIFIER_SIZE + END_SIZE;
	return ax_put_fixed(xdrs, verf, NFS4_VERIFIER_SIZE);
}

bool
dirent_add(struct dirent_writer *w, uint64_t cookie, const char *name, uint32_t len,
    const struct nfs_attrs *a, const struct attr_mask *want)
{
	XDR *x = w->xdrs;
	const XDR before = *x;
	/* RFC 8881 18.23.3: the length of the XDR encoding of names and cookies */
	uint64_t dir_size = 12 + (uint64_t)len + ax_pad(len);
	if (w->count && dir_size > w->dir_left)
		return false;
	bool ok = ax_put_u32(x, 1) && ax_put_u64(x, cookie) && ax_put_opaque(x, name, len) &&
	    attrs_encode(x, a, want) && ax_left(x) >= END_SIZE;
	uint32_t size = before.x_handy - x->x_handy;
	if (!ok || size > w->max_left) {
		*x = before;
		return false;
	}
	w->max_left -= size;
	w->dir_left -= dir_size < w->dir_left ? (uint32_t)dir_size : w->dir_left;
	w->count++;
	return true;
}

nfsstat4
dirent_finish(struct dirent_writer *w, bool eof)
{
	if ((w->count == 0 && !eof) || !ax_put_u32(w->xdrs, 0) || !ax_put_u32(w->xdrs, eof)) {
		*w->xdrs = w->start;
		return NFS4ERR_TOOSMALL;
	}
	return NFS4_OK;
}

/* ---- reading ---- */

bool
dirent_open(struct dirent_reader *r, XDR *xdrs)
{
	*r = (struct dirent_reader){ .xdrs = xdrs };
	uint8_t *verf = ax_get_fixed(xdrs, NFS4_VERIFIER_SIZE);
	if (!verf)
		return false;
	memcpy(r->verf, verf, NFS4_VERIFIER_SIZE);
	return true;
}

static bool
name_ok(const uint8_t *name, uint32_t len)
{
	return len && !memchr(name, '/', len) && !memchr(name, 0, len);
}

static bool
entry_get(XDR *x, struct dirent_item *item)
{
	uint8_t *name;
	*item = (struct dirent_item){ .cookie = 0 };
	if (!ax_get_u64(x, &item->cookie) ||
	    !ax_get_opaque(x, &name, &item->name.len, UINT32_MAX) ||
	    !name_ok(name, item->name.len) || !xdr_fattr4(x, &item->attrs))
		return false;
	item->name.data = (const char *)name;
	return true;
}

int
dirent_next(struct dirent_reader *r, struct dirent_item *item)
{
	uint32_t more, eof;
	if (r->done)
		return 0;
	if (!ax_get_u32(r->xdrs, &more) || more > 1)
		return -EBADMSG;
	if (more)
		return entry_get(r->xdrs, item) ? 1 : -EBADMSG;
	if (!ax_get_u32(r->xdrs, &eof) || eof > 1)
		return -EBADMSG;
	r->done = true;
	r->eof = eof;
	return 0;
}

/* ---- as a list ---- */

static bool_t
list_get(XDR *xdrs, READDIR4resok *ok)
{
	struct dirent_reader r;
	struct dirent_item item;
	entry4 **tail = &ok->reply.entries;
	int ret;
	if (!dirent_open(&r, xdrs))
		return FALSE;
	*tail = NULL;
	while ((ret = dirent_next(&r, &item)) == 1) {
		entry4 *entry = arena_alloc(ax_arena(xdrs), sizeof *entry);
		if (!entry)
			return FALSE;
		*entry = (entry4){ .cookie = item.cookie, .attrs = item.attrs,
			.name = { item.name.len, (char *)(uintptr_t)item.name.data } };
		*tail = entry;
		tail = &entry->nextentry;
	}
	memcpy(ok->cookieverf, r.verf, sizeof r.verf);
	ok->reply.eof = r.eof;
	return ret == 0;
}

static bool_t
list_put(XDR *xdrs, READDIR4resok *ok)
{
	if (!ax_put_fixed(xdrs, ok->cookieverf, NFS4_VERIFIER_SIZE))
		return FALSE;
	for (entry4 *entry = ok->reply.entries; entry; entry = entry->nextentry)
		if (!ax_put_u32(xdrs, 1) || !ax_put_u64(xdrs, entry->cookie) ||
		    !ax_put_opaque(xdrs, entry->name.utf8string_val, entry->name.utf8string_len) ||
		    !xdr_fattr4(xdrs, &entry->attrs))
			return FALSE;
	return ax_put_u32(xdrs, 0) && ax_put_u32(xdrs, ok->reply.eof ? 1 : 0);
}

bool_t
dirent_xdr_res(XDR *xdrs, READDIR4res *res)
{
	if (xdrs->x_op == XDR_FREE)
		return TRUE;
	if (!xdr_nfsstat4(xdrs, &res->status))
		return FALSE;
	if (res->status != NFS4_OK)
		return TRUE;
	READDIR4resok *ok = &res->READDIR4res_u.resok4;
	return xdrs->x_op == XDR_DECODE ? list_get(xdrs, ok) : list_put(xdrs, ok);
}
