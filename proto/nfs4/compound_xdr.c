/* COMPOUND and CB_COMPOUND frames; see compound_xdr.h. */
#include "proto/nfs4/compound_xdr.h"

#include <errno.h>
#include <stddef.h>

/* ---- calls ---- */

static void
call_begin(struct compound_call *c, void *buf, uint32_t cap, const char *tag, uint32_t minor)
{
	uint32_t len = (uint32_t)strlen(tag);
	*c = (struct compound_call){ .failed = false };
	ax_init(&c->xdrs, buf, cap, XDR_ENCODE, NULL);
	c->failed = !ax_put_opaque(&c->xdrs, tag, len) || !ax_put_u32(&c->xdrs, minor);
}

static void
call_count(struct compound_call *c)
{
	c->count_at = c->failed ? NULL : ax_take(&c->xdrs, 4);
	c->failed = !c->count_at;
}

void
compound_call_begin(struct compound_call *c, void *buf, uint32_t cap, const char *tag, uint32_t minor)
{
	call_begin(c, buf, cap, tag, minor);
	call_count(c);
}

void
compound_cb_begin(struct compound_call *c, void *buf, uint32_t cap, const char *tag, uint32_t minor,
    uint32_t callback_ident)
{
	call_begin(c, buf, cap, tag, minor);
	c->cb = true;
	c->failed = c->failed || !ax_put_u32(&c->xdrs, callback_ident);
	call_count(c);
}

XDR *
compound_call_raw(struct compound_call *c, uint32_t op)
{
	if (c->failed || !ax_put_u32(&c->xdrs, op)) {
		c->failed = true;
		return NULL;
	}
	c->count++;
	return &c->xdrs;
}

void
compound_call_op(struct compound_call *c, uint32_t op, const void *args)
{
	const struct op_xdr *row = c->cb ? nfs4_cb_op_xdr(op) : nfs4_op_xdr(op);
	XDR *x = compound_call_raw(c, op);
	/* Encoding does not write to what it encodes. */
	if (x && (!row || !row->args(x, (void *)(uintptr_t)args)))
		c->failed = true;
}

static void
patch(uint8_t *at, uint32_t value)
{
	value = htobe32(value);
	memcpy(at, &value, 4);
}

uint32_t
compound_call_end(struct compound_call *c)
{
	if (c->failed)
		return 0;
	patch(c->count_at, c->count);
	return ax_used(&c->xdrs);
}

static bool
str_get(XDR *xdrs, struct nfs_str *s)
{
	uint8_t *data;
	if (!ax_get_opaque(xdrs, &data, &s->len, UINT32_MAX))
		return false;
	s->data = (const char *)data;
	return true;
}

bool
compound_header_get(XDR *xdrs, struct compound_header *h)
{
	*h = (struct compound_header){ .minor = 0 };
	return str_get(xdrs, &h->tag) && ax_get_u32(xdrs, &h->minor) && ax_get_u32(xdrs, &h->count);
}

bool
compound_cb_header_get(XDR *xdrs, struct compound_header *h)
{
	*h = (struct compound_header){ .minor = 0 };
	return str_get(xdrs, &h->tag) && ax_get_u32(xdrs, &h->minor) &&
	    ax_get_u32(xdrs, &h->callback_ident) && ax_get_u32(xdrs, &h->count);
}

static nfsstat4
arg_get(XDR *xdrs, const struct op_xdr *row, void *args)
{
	if (!row)
		return NFS4ERR_OP_ILLEGAL;
	return row->args(xdrs, args) ? NFS4_OK : NFS4ERR_BADXDR;
}

nfsstat4
compound_arg_get(XDR *xdrs, nfs_argop4 *arg, uint32_t *op)
{
	memset(arg, 0, sizeof *arg);
	*op = arg->argop = OP_ILLEGAL;
	if (!ax_get_u32(xdrs, op))
		return NFS4ERR_BADXDR;
	const struct op_xdr *row = nfs4_op_xdr(*op);
	if (row)
		arg->argop = (nfs_opnum4)*op;
	return arg_get(xdrs, row, &arg->nfs_argop4_u);
}

nfsstat4
compound_cb_arg_get(XDR *xdrs, nfs_cb_argop4 *arg, uint32_t *op)
{
	memset(arg, 0, sizeof *arg);
	*op = arg->argop = (nfs_cb_opnum4)OP_CB_ILLEGAL;
	if (!ax_get_u32(xdrs, op))
		return NFS4ERR_BADXDR;
	const struct op_xdr *row = nfs4_cb_op_xdr(*op);
	if (row)
		arg->argop = (nfs_cb_opnum4)*op;
	return arg_get(xdrs, row, &arg->nfs_cb_argop4_u);
}

/* ---- replies ---- */

bool
compound_reply_begin(struct compound_reply *r, XDR *xdrs, const struct nfs_str *tag)
{
	r->xdrs = xdrs;
	r->status_at = ax_take(xdrs, 4);
	if (!r->status_at || !ax_put_opaque(xdrs, tag->data, tag->len))
		return false;
	r->count_at = ax_take(xdrs, 4);
	if (!r->count_at)
		return false;
	compound_reply_end(r, NFS4ERR_SERVERFAULT, 0);
	return true;
}

void
compound_reply_end(struct compound_reply *r, nfsstat4 status, uint32_t count)
{
	patch(r->status_at, (uint32_t)status);
	patch(r->count_at, count);
}

static bool
res_put(XDR *xdrs, uint32_t op, xdrproc_t proc, const void *res)
{
	const XDR before = *xdrs;
	if (ax_put_u32(xdrs, op) && proc(xdrs, (void *)(uintptr_t)res))
		return true;
	*xdrs = before;
	return false;
}

/* The result of an illegal operation is its status (RFC 8881 18.52). */
bool
compound_res_put(XDR *xdrs, uint32_t op, const void *res)
{
	const struct op_xdr *row = nfs4_op_xdr(op);
	return res_put(xdrs, row ? op : OP_ILLEGAL, row ? row->res : (xdrproc_t)xdr_ILLEGAL4res, res);
}

bool
compound_cb_res_put(XDR *xdrs, uint32_t op, const void *res)
{
	const struct op_xdr *row = nfs4_cb_op_xdr(op);
	return res_put(xdrs, row ? op : OP_CB_ILLEGAL,
	    row ? row->res : (xdrproc_t)xdr_CB_ILLEGAL4res, res);
}

int
compound_results_begin(struct compound_results *r, void *buf, uint32_t len, struct arena *arena)
{
	uint32_t status;
	*r = (struct compound_results){ .left = 0 };
	ax_init(&r->xdrs, buf, len, XDR_DECODE, arena);
	if (!ax_get_u32(&r->xdrs, &status) || !str_get(&r->xdrs, &r->tag) ||
	    !ax_get_u32(&r->xdrs, &r->left)) {
		r->left = 0;
		return -EBADMSG;
	}
	r->status = (nfsstat4)status;
	return 0;
}

/* An operation the other side does not know may come back as OP_ILLEGAL: *illegal. */
static int
res_number(struct compound_results *r, uint32_t op, bool *illegal)
{
	uint32_t got;
	if (r->left == 0)
		return -ENODATA;
	if (!ax_get_u32(&r->xdrs, &got))
		return -EBADMSG;
	r->left--;
	*illegal = got == OP_ILLEGAL && op != OP_ILLEGAL;
	return got == op || *illegal ? 0 : -EBADMSG;
}

static int
res_get(struct compound_results *r, uint32_t op, const struct op_xdr *row, void *res)
{
	bool illegal;
	int err = res_number(r, op, &illegal);
	if (err)
		return err;
	xdrproc_t proc = illegal || !row ? (xdrproc_t)xdr_nfsstat4 : row->res;
	return proc(&r->xdrs, res) ? 0 : -EBADMSG;
}

int
compound_res_get(struct compound_results *r, uint32_t op, nfs_resop4 *res)
{
	memset(res, 0, sizeof *res);
	res->resop = (nfs_opnum4)op;
	return res_get(r, op, nfs4_op_xdr(op), &res->nfs_resop4_u);
}

int
compound_cb_res_get(struct compound_results *r, uint32_t op, nfs_cb_resop4 *res)
{
	memset(res, 0, sizeof *res);
	res->resop = (nfs_cb_opnum4)op;
	return res_get(r, op, nfs4_cb_op_xdr(op), &res->nfs_cb_resop4_u);
}

int
compound_res_raw(struct compound_results *r, uint32_t op)
{
	bool illegal;
	return res_number(r, op, &illegal);
}
