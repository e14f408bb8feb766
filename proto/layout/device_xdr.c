/*
 * Bytes of device addresses (RFC 5663 2.2.2, RFC 8154 2.3.1); see layout_xdr.h.
 * What is malformed for a reader is refused by the writer too, by the same
 * function: volume_ok().
 */
#include "proto/layout/layout_xdr.h"

#include "proto/xdr/xdr_arena.h"

static bool
type_allowed(layouttype4 layout, uint32_t type)
{
	switch (type) {
	case VOLUME_SIMPLE:
		return layout == LAYOUT4_BLOCK_VOLUME;
	case VOLUME_BASE:
		return layout == LAYOUT4_SCSI;
	case VOLUME_SLICE:
	case VOLUME_CONCAT:
	case VOLUME_STRIPE:
		return layout == LAYOUT4_BLOCK_VOLUME || layout == LAYOUT4_SCSI;
	default:
		return false;
	}
}

/* Children stand before their parent (PITFALLS B21), so there is no cycle; and not too deep. */
static bool
children_ok(const uint32_t *child, uint32_t n, uint32_t self, uint8_t *depth)
{
	if (n == 0 || n > VOLUME_MAX)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (child[i] >= self)
			return false;
		if (depth[self] < depth[child[i]] + 1)
			depth[self] = depth[child[i]] + 1;
	}
	return depth[self] <= VOLUME_MAX_DEPTH;
}

/* A signature without bytes would fit every disk. */
static bool
signatures_ok(const struct volume *v)
{
	if (v->simple.nsigs == 0 || v->simple.nsigs > PNFS_BLOCK_MAX_SIG_COMP)
		return false;
	for (uint32_t i = 0; i < v->simple.nsigs; i++)
		if (v->simple.sigs[i].len == 0 || v->simple.sigs[i].len > VOLUME_MAX_SIG)
			return false;
	return true;
}

/* Volume number SELF, those before it being good; DEPTH has one entry for each. */
static bool
volume_ok(layouttype4 layout, const struct volume *v, uint32_t self, uint8_t *depth)
{
	depth[self] = 1;
	if (!type_allowed(layout, v->type))
		return false;
	switch (v->type) {
	case VOLUME_SIMPLE:
		return signatures_ok(v);
	case VOLUME_BASE:
		return v->base.len > 0 && v->base.len <= VOLUME_MAX_DESIGNATOR;
	case VOLUME_SLICE:
		return children_ok(&v->slice.volume, 1, self, depth);
	case VOLUME_CONCAT:
		return children_ok(v->concat.volumes, v->concat.n, self, depth);
	case VOLUME_STRIPE:
		return v->stripe.unit != 0 &&
		    children_ok(v->stripe.volumes, v->stripe.n, self, depth);
	}
	return false;
}

/* ---- written ---- */

static bool
indices_put(XDR *x, const uint32_t *index, uint32_t n)
{
	if (!ax_put_u32(x, n))
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (!ax_put_u32(x, index[i]))
			return false;
	return true;
}

static bool
simple_put(XDR *x, const struct volume *v)
{
	if (!ax_put_u32(x, v->simple.nsigs))
		return false;
	for (uint32_t i = 0; i < v->simple.nsigs; i++) {
		const struct volume_sig *sig = &v->simple.sigs[i];
		if (!ax_put_u64(x, (uint64_t)sig->offset) ||
		    !ax_put_opaque(x, sig->contents, sig->len))
			return false;
	}
	return true;
}

static bool
volume_put(XDR *x, const struct volume *v)
{
	if (!ax_put_u32(x, v->type))
		return false;
	switch (v->type) {
	case VOLUME_SIMPLE:
		return simple_put(x, v);
	case VOLUME_BASE:
		return ax_put_u32(x, v->base.code_set) && ax_put_u32(x, v->base.designator_type) &&
		    ax_put_opaque(x, v->base.designator, v->base.len) &&
		    ax_put_u64(x, v->base.pr_key);
	case VOLUME_SLICE:
		return ax_put_u64(x, v->slice.start) && ax_put_u64(x, v->slice.length) &&
		    ax_put_u32(x, v->slice.volume);
	case VOLUME_CONCAT:
		return indices_put(x, v->concat.volumes, v->concat.n);
	case VOLUME_STRIPE:
		return ax_put_u64(x, v->stripe.unit) &&
		    indices_put(x, v->stripe.volumes, v->stripe.n);
	}
	return false;
}

bool
layout_device_encode(XDR *xdrs, layouttype4 type, const struct volume *vol, uint32_t n)
{
	uint8_t depth[VOLUME_MAX];
	if (n == 0 || n > VOLUME_MAX || !ax_put_u32(xdrs, n))
		return false;
	for (uint32_t i = 0; i < n; i++)
		if (!volume_ok(type, &vol[i], i, depth) || !volume_put(xdrs, &vol[i]))
			return false;
	return true;
}

/* ---- read ---- */

static bool
indices_get(XDR *x, uint32_t **index, uint32_t *n)
{
	if (!ax_get_u32(x, n) || *n > VOLUME_MAX || *n > ax_left(x) / 4)
		return false;
	*index = arena_alloc(ax_arena(x), *n * sizeof **index);
	if (!*index)
		return false;
	for (uint32_t i = 0; i < *n; i++)
		ax_get_u32(x, &(*index)[i]);
	return true;
}

static bool
simple_get(XDR *x, struct volume *v)
{
	if (!ax_get_u32(x, &v->simple.nsigs) || v->simple.nsigs > PNFS_BLOCK_MAX_SIG_COMP)
		return false;
	for (uint32_t i = 0; i < v->simple.nsigs; i++) {
		struct volume_sig *sig = &v->simple.sigs[i];
		uint8_t *data;
		if (!ax_get_u64(x, (uint64_t *)&sig->offset) ||
		    !ax_get_opaque(x, &data, &sig->len, VOLUME_MAX_SIG))
			return false;
		sig->contents = data;
	}
	return true;
}

static bool
base_get(XDR *x, struct volume *v)
{
	uint8_t *data;
	if (!ax_get_u32(x, &v->base.code_set) || !ax_get_u32(x, &v->base.designator_type) ||
	    !ax_get_opaque(x, &data, &v->base.len, VOLUME_MAX_DESIGNATOR) ||
	    !ax_get_u64(x, &v->base.pr_key))
		return false;
	v->base.designator = data;
	return true;
}

static bool
volume_get(XDR *x, layouttype4 layout, struct volume *v)
{
	uint32_t type;
	if (!ax_get_u32(x, &type) || !type_allowed(layout, type))
		return false;
	v->type = type;
	switch (v->type) {
	case VOLUME_SIMPLE:
		return simple_get(x, v);
	case VOLUME_BASE:
		return base_get(x, v);
	case VOLUME_SLICE:
		return ax_get_u64(x, &v->slice.start) && ax_get_u64(x, &v->slice.length) &&
		    ax_get_u32(x, &v->slice.volume);
	case VOLUME_CONCAT:
		return indices_get(x, &v->concat.volumes, &v->concat.n);
	case VOLUME_STRIPE:
		return ax_get_u64(x, &v->stripe.unit) &&
		    indices_get(x, &v->stripe.volumes, &v->stripe.n);
	}
	return false;
}

bool
layout_device_decode(layouttype4 type, void *body, uint32_t len, struct arena *arena,
    struct volume **vol, uint32_t *n)
{
	XDR x;
	uint8_t depth[VOLUME_MAX];
	ax_init(&x, body, len, XDR_DECODE, arena);
	if (!ax_get_u32(&x, n) || *n == 0 || *n > VOLUME_MAX)
		return false;
	*vol = arena_zalloc(arena, *n * sizeof **vol);
	if (!*vol)
		return false;
	for (uint32_t i = 0; i < *n; i++)
		if (!volume_get(&x, type, &(*vol)[i]) || !volume_ok(type, &(*vol)[i], i, depth))
			return false;
	return ax_left(&x) == 0;
}
