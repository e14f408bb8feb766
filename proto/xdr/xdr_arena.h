/*
 * XDR primitives (RFC 4506) for the code rpcgen makes of proto/x.
 *
 * rpcgen's output calls xdr_uint32_t(), xdr_bytes() and so on.  libtirpc's own
 * allocate with malloc as much as a peer asks for: 12 bytes from the wire can
 * cost 2.2 GB.  The names are therefore mapped here to inline functions that
 *  - bound every count by the bytes left,
 *  - take memory from the arena of the request (decoding only),
 *  - alias opaque data in the receive buffer instead of copying it,
 *  - write the padding as zeros and check that it is there when reading.
 *
 * The stream is libtirpc's XDR struct over memory: x_private is the next byte,
 * x_handy the bytes left, x_base the first byte, x_public the arena.
 */
#ifndef PNFS_PROTO_XDR_XDR_ARENA_H
#define PNFS_PROTO_XDR_XDR_ARENA_H

#include <endian.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include <rpc/rpc.h>

#include "proto/xdr/arena.h"

/*
 * Start a stream over LEN bytes at BUF (at most 2^31 - 1).  ARENA is needed to
 * decode anything of variable length other than opaque data; it may be NULL to
 * encode.  Decoded opaques point into BUF and live as long as it does.
 */
static inline void
ax_init(XDR *xdrs, void *buf, uint32_t len, enum xdr_op op, struct arena *arena)
{
	xdrmem_create(xdrs, buf, len, op);
	xdrs->x_public = (void *)arena;
}

static inline uint8_t *
ax_pos(XDR *xdrs)
{
	return xdrs->x_private;
}

/* Bytes already read or written. */
static inline uint32_t
ax_used(XDR *xdrs)
{
	return (uint32_t)((uint8_t *)xdrs->x_private - (uint8_t *)xdrs->x_base);
}

static inline uint32_t
ax_left(XDR *xdrs)
{
	return xdrs->x_handy;
}

/* The next LEN bytes of the stream, which moves past them; NULL if there are fewer. */
static inline uint8_t *
ax_take(XDR *xdrs, uint32_t len)
{
	if (xdrs->x_handy < len)
		return NULL;
	uint8_t *p = xdrs->x_private;
	xdrs->x_private = p + len;
	xdrs->x_handy -= len;
	return p;
}

static inline bool
ax_get_u32(XDR *xdrs, uint32_t *v)
{
	uint8_t *p = ax_take(xdrs, 4);
	if (!p)
		return false;
	memcpy(v, p, 4);
	*v = be32toh(*v);
	return true;
}

static inline bool
ax_put_u32(XDR *xdrs, uint32_t v)
{
	uint8_t *p = ax_take(xdrs, 4);
	if (!p)
		return false;
	v = htobe32(v);
	memcpy(p, &v, 4);
	return true;
}

static inline bool
ax_get_u64(XDR *xdrs, uint64_t *v)
{
	uint8_t *p = ax_take(xdrs, 8);
	if (!p)
		return false;
	memcpy(v, p, 8);
	*v = be64toh(*v);
	return true;
}

static inline bool
ax_put_u64(XDR *xdrs, uint64_t v)
{
	uint8_t *p = ax_take(xdrs, 8);
	if (!p)
		return false;
	v = htobe64(v);
	memcpy(p, &v, 8);
	return true;
}

static inline uint32_t
ax_pad(uint32_t len)
{
	return -len & 3;
}

/* Opaque of LEN bytes, without a count: points into the stream; NULL if short. */
static inline uint8_t *
ax_get_fixed(XDR *xdrs, uint32_t len)
{
	uint32_t pad = ax_pad(len);
	if (xdrs->x_handy < len || xdrs->x_handy - len < pad)
		return NULL;
	return ax_take(xdrs, len + pad);
}

static inline bool
ax_put_fixed(XDR *xdrs, const void *src, uint32_t len)
{
	uint32_t pad = ax_pad(len);
	if (xdrs->x_handy < len || xdrs->x_handy - len < pad)
		return false;
	uint8_t *p = ax_take(xdrs, len + pad);
	if (len && p != src)
		memmove(p, src, len);	/* READ has put its data where it goes */
	memset(p + len, 0, pad);
	return true;
}

/* Opaque with a count, aliased. */
static inline bool
ax_get_opaque(XDR *xdrs, uint8_t **data, uint32_t *len, uint32_t max)
{
	return ax_get_u32(xdrs, len) && *len <= max &&
	    (*data = ax_get_fixed(xdrs, *len)) != NULL;
}

static inline bool
ax_put_opaque(XDR *xdrs, const void *data, uint32_t len)
{
	return ax_put_u32(xdrs, len) && ax_put_fixed(xdrs, data, len);
}

static inline struct arena *
ax_arena(XDR *xdrs)
{
	return (struct arena *)(void *)xdrs->x_public;
}

/* ---- what rpcgen's output calls; XDR_FREE has nothing to do ---- */

static inline bool_t
ax_uint32_t(XDR *xdrs, uint32_t *v)
{
	return xdrs->x_op == XDR_DECODE ? ax_get_u32(xdrs, v) :
	    xdrs->x_op == XDR_ENCODE ? ax_put_u32(xdrs, *v) : TRUE;
}

static inline bool_t
ax_int32_t(XDR *xdrs, int32_t *v)
{
	return ax_uint32_t(xdrs, (uint32_t *)v);
}

static inline bool_t
ax_uint64_t(XDR *xdrs, uint64_t *v)
{
	return xdrs->x_op == XDR_DECODE ? ax_get_u64(xdrs, v) :
	    xdrs->x_op == XDR_ENCODE ? ax_put_u64(xdrs, *v) : TRUE;
}

static inline bool_t
ax_int64_t(XDR *xdrs, int64_t *v)
{
	return ax_uint64_t(xdrs, (uint64_t *)v);
}

static inline bool_t
ax_enum(XDR *xdrs, enum_t *v)
{
	return ax_uint32_t(xdrs, (uint32_t *)v);
}

/* RFC 4506 4.4: only 0 and 1 are booleans. */
static inline bool_t
ax_bool(XDR *xdrs, bool_t *v)
{
	return ax_uint32_t(xdrs, (uint32_t *)v) &&
	    (xdrs->x_op != XDR_DECODE || *v == 0 || *v == 1);
}

bool_t ax_opaque(XDR *xdrs, char *data, uint32_t len);
bool_t ax_bytes(XDR *xdrs, char **data, uint32_t *len, uint32_t max);
bool_t ax_string(XDR *xdrs, char **str, uint32_t max);
bool_t ax_array(XDR *xdrs, char **data, uint32_t *count, uint32_t max,
    uint32_t elsize, xdrproc_t proc);
bool_t ax_vector(XDR *xdrs, char *data, uint32_t count, uint32_t elsize, xdrproc_t proc);
bool_t ax_pointer(XDR *xdrs, char **data, uint32_t size, xdrproc_t proc);

#define xdr_uint32_t ax_uint32_t
#define xdr_int32_t ax_int32_t
#define xdr_uint64_t ax_uint64_t
#define xdr_int64_t ax_int64_t
#define xdr_u_int ax_uint32_t
#define xdr_int ax_int32_t
#define xdr_enum ax_enum
#define xdr_bool ax_bool
#define xdr_opaque ax_opaque
#define xdr_bytes ax_bytes
#define xdr_string ax_string
#define xdr_array ax_array
#define xdr_vector ax_vector
#define xdr_pointer ax_pointer

#endif
