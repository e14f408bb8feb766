/* XDR primitives of variable length; see xdr_arena.h. */
#include "proto/xdr/xdr_arena.h"

bool_t
ax_opaque(XDR *xdrs, char *data, uint32_t len)
{
	if (xdrs->x_op == XDR_ENCODE)
		return ax_put_fixed(xdrs, data, len);
	if (xdrs->x_op == XDR_FREE)
		return TRUE;
	uint8_t *p = ax_get_fixed(xdrs, len);
	if (!p)
		return FALSE;
	memcpy(data, p, len);
	return TRUE;
}

bool_t
ax_bytes(XDR *xdrs, char **data, uint32_t *len, uint32_t max)
{
	if (xdrs->x_op == XDR_ENCODE)
		return *len <= max && ax_put_opaque(xdrs, *data, *len);
	if (xdrs->x_op == XDR_FREE)
		return TRUE;
	return ax_get_opaque(xdrs, (uint8_t **)data, len, max);
}

/* A NUL in the middle of a string is not one: refused. */
bool_t
ax_string(XDR *xdrs, char **str, uint32_t max)
{
	if (xdrs->x_op == XDR_ENCODE) {
		size_t len = strlen(*str);
		return len <= max && ax_put_opaque(xdrs, *str, (uint32_t)len);
	}
	if (xdrs->x_op == XDR_FREE)
		return TRUE;
	uint8_t *p;
	uint32_t len;
	if (!ax_get_opaque(xdrs, &p, &len, max) || memchr(p, 0, len))
		return FALSE;
	char *s = arena_alloc(ax_arena(xdrs), (size_t)len + 1);
	if (!s)
		return FALSE;
	memcpy(s, p, len);
	s[len] = 0;
	*str = s;
	return TRUE;
}

bool_t
ax_array(XDR *xdrs, char **data, uint32_t *count, uint32_t max,
    uint32_t elsize, xdrproc_t proc)
{
	if (xdrs->x_op == XDR_FREE)
		return TRUE;
	if (!ax_uint32_t(xdrs, count) || *count > max)
		return FALSE;
	if (xdrs->x_op == XDR_DECODE) {
		/* No element of any array in our .x files takes less than 4 bytes. */
		if (*count > ax_left(xdrs) / 4)
			return FALSE;
		*data = arena_zalloc(ax_arena(xdrs), (size_t)*count * elsize);
		if (!*data)
			return FALSE;
	}
	return ax_vector(xdrs, *data, *count, elsize, proc);
}

bool_t
ax_vector(XDR *xdrs, char *data, uint32_t count, uint32_t elsize, xdrproc_t proc)
{
	for (uint32_t i = 0; i < count; i++, data += elsize)
		if (!proc(xdrs, data))
			return FALSE;
	return TRUE;
}

bool_t
ax_pointer(XDR *xdrs, char **data, uint32_t size, xdrproc_t proc)
{
	if (xdrs->x_op == XDR_FREE)
		return TRUE;
	bool_t present = *data != NULL;
	if (!ax_bool(xdrs, &present))
		return FALSE;
	if (!present) {
		*data = NULL;
		return TRUE;
	}
	if (xdrs->x_op == XDR_DECODE &&
	    !(*data = arena_zalloc(ax_arena(xdrs), size)))
		return FALSE;
	return proc(xdrs, *data);
}
