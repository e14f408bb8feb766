/*
 * fattr4: one row per attribute, {put, get, where its value stands}; values go in
 * the order of their numbers (RFC 8881 3.3.7).  See attrs.h.
 */
#include "proto/nfs4/attrs.h"

#include <stddef.h>

#include "proto/nfs4/acl.h"
#include "proto/xdr/xdr_arena.h"

/* ---- encoders and decoders by type; P points to the value ---- */

static bool
put_u32(XDR *x, const void *p)
{
	return ax_put_u32(x, *(const uint32_t *)p);
}

static bool
get_u32(XDR *x, void *p)
{
	return ax_get_u32(x, p);
}

static bool
put_u64(XDR *x, const void *p)
{
	return ax_put_u64(x, *(const uint64_t *)p);
}

static bool
get_u64(XDR *x, void *p)
{
	return ax_get_u64(x, p);
}

/* clone_blksize: 32 bits on the wire (RFC 7862 12.2.1) */
static bool
put_u64_as_u32(XDR *x, const void *p)
{
	uint64_t v = *(const uint64_t *)p;
	return ax_put_u32(x, v > UINT32_MAX ? UINT32_MAX : (uint32_t)v);
}

static bool
get_u64_as_u32(XDR *x, void *p)
{
	uint32_t v;
	if (!ax_get_u32(x, &v))
		return false;
	*(uint64_t *)p = v;
	return true;
}

static bool
put_bool(XDR *x, const void *p)
{
	return ax_put_u32(x, *(const bool *)p);
}

static bool
get_bool(XDR *x, void *p)
{
	uint32_t v;
	if (!ax_get_u32(x, &v) || v > 1)
		return false;
	*(bool *)p = v;
	return true;
}

static bool
put_fsid(XDR *x, const void *p)
{
	const fsid4 *fsid = p;
	return ax_put_u64(x, fsid->major) && ax_put_u64(x, fsid->minor);
}

static bool
get_fsid(XDR *x, void *p)
{
	fsid4 *fsid = p;
	return ax_get_u64(x, &fsid->major) && ax_get_u64(x, &fsid->minor);
}

static bool
put_specdata(XDR *x, const void *p)
{
	const specdata4 *spec = p;
	return ax_put_u32(x, spec->specdata1) && ax_put_u32(x, spec->specdata2);
}

static bool
get_specdata(XDR *x, void *p)
{
	specdata4 *spec = p;
	return ax_get_u32(x, &spec->specdata1) && ax_get_u32(x, &spec->specdata2);
}

static bool
put_str(XDR *x, const void *p)
{
	const struct nfs_str *s = p;
	return ax_put_opaque(x, s->data, s->len);
}

static bool
get_str(XDR *x, void *p)
{
	struct nfs_str *s = p;
	uint8_t *data;
	if (!ax_get_opaque(x, &data, &s->len, UINT32_MAX))
		return false;
	s->data = (const char *)data;
	return true;
}

static bool
put_fh(XDR *x, const void *p)
{
	const struct nfs_str *s = p;
	return s->len <= NFS4_FHSIZE && put_str(x, p);
}

static bool
get_fh(XDR *x, void *p)
{
	struct nfs_str *s = p;
	return get_str(x, p) && s->len <= NFS4_FHSIZE;
}

static bool
put_acl(XDR *x, const void *p)
{
	const struct nfs_acl *acl = p;
	return ax_put_u32(x, acl->count) && ax_put_fixed(x, acl->aces.data, acl->aces.len);
}

static bool
get_acl(XDR *x, void *p)
{
	struct nfs_acl *acl = p;
	struct nfs_ace ace;
	if (!ax_get_u32(x, &acl->count))
		return false;
	acl->aces.data = (const char *)ax_pos(x);
	uint32_t start = ax_used(x);
	for (uint32_t i = 0; i < acl->count; i++)
		if (!nfs_ace_get(x, &ace))
			return false;
	acl->aces.len = ax_used(x) - start;
	return true;
}

static bool
put_time(XDR *x, const void *p)
{
	const nfstime4 *t = p;
	return ax_put_u64(x, (uint64_t)t->seconds) && ax_put_u32(x, t->nseconds);
}

static bool
get_time(XDR *x, void *p)
{
	nfstime4 *t = p;
	return ax_get_u64(x, (uint64_t *)&t->seconds) && ax_get_u32(x, &t->nseconds);
}

static bool
put_settime(XDR *x, const void *p)
{
	const settime4 *t = p;
	return ax_put_u32(x, t->set_it) &&
	    (t->set_it != SET_TO_CLIENT_TIME4 || put_time(x, &t->settime4_u.time));
}

static bool
get_settime(XDR *x, void *p)
{
	settime4 *t = p;
	uint32_t how;
	if (!ax_get_u32(x, &how) || how > SET_TO_CLIENT_TIME4)
		return false;
	t->set_it = how;
	return how == SET_TO_SERVER_TIME4 || get_time(x, &t->settime4_u.time);
}

static uint32_t
mask_words(const struct attr_mask *m)
{
	uint32_t n = ATTR_WORDS;
	while (n && !m->w[n - 1])
		n--;
	return n;
}

static bool
put_mask(XDR *x, const void *p)
{
	const struct attr_mask *m = p;
	uint32_t n = mask_words(m);
	bool ok = ax_put_u32(x, n);
	for (uint32_t i = 0; i < n; i++)
		ok = ok && ax_put_u32(x, m->w[i]);
	return ok;
}

/* Of any length; words we have no place for are read and forgotten. */
static bool
get_mask(XDR *x, void *p)
{
	struct attr_mask *m = p;
	uint32_t n, word;
	*m = (struct attr_mask){ { 0 } };
	if (!ax_get_u32(x, &n) || n > ax_left(x) / 4)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (!ax_get_u32(x, &word))
			return false;
		if (i < ATTR_WORDS)
			m->w[i] = word;
	}
	return true;
}

static struct nfs_attrs *
attrs_of_types(const void *p)
{
	return (struct nfs_attrs *)((char *)(uintptr_t)p - offsetof(struct nfs_attrs, nlayout_types));
}

#define MAX_TYPES (sizeof ((struct nfs_attrs *)0)->layout_types / sizeof (uint32_t))

static bool
put_layout_types(XDR *x, const void *p)
{
	const struct nfs_attrs *a = attrs_of_types(p);
	bool ok = a->nlayout_types <= MAX_TYPES && ax_put_u32(x, a->nlayout_types);
	for (uint32_t i = 0; ok && i < a->nlayout_types; i++)
		ok = ax_put_u32(x, a->layout_types[i]);
	return ok;
}

/* The first four, in the server's order. */
static bool
get_layout_types(XDR *x, void *p)
{
	struct nfs_attrs *a = attrs_of_types(p);
	uint32_t n, type;
	a->nlayout_types = 0;
	if (!ax_get_u32(x, &n) || n > ax_left(x) / 4)
		return false;
	for (uint32_t i = 0; i < n; i++) {
		if (!ax_get_u32(x, &type))
			return false;
		if (i < MAX_TYPES)
			a->layout_types[a->nlayout_types++] = type;
	}
	return true;
}

/* mode_masked4: both words stand side by side in struct nfs_attrs */
static bool
put_mode_masked(XDR *x, const void *p)
{
	const uint32_t *v = p;
	return ax_put_u32(x, v[0]) && ax_put_u32(x, v[1]);
}

static bool
get_mode_masked(XDR *x, void *p)
{
	uint32_t *v = p;
	return ax_get_u32(x, &v[0]) && ax_get_u32(x, &v[1]);
}

_Static_assert(offsetof(struct nfs_attrs, mode_set_masked_mask) ==
    offsetof(struct nfs_attrs, mode_set_masked_value) + 4, "mode_masked4");

/* open_arguments4 (RFC 9754 3.1): five bitmaps of one word, or none. */
static bool
put_open_args(XDR *x, const void *p)
{
	const uint32_t *v = p;
	bool ok = true;
	for (unsigned i = 0; i < 5; i++)
		ok = ok && ax_put_u32(x, v[i] != 0) && (!v[i] || ax_put_u32(x, v[i]));
	return ok;
}

static bool
get_open_args(XDR *x, void *p)
{
	uint32_t *v = p;
	for (unsigned i = 0; i < 5; i++) {
		struct attr_mask m;
		if (!get_mask(x, &m))
			return false;
		v[i] = m.w[0];
	}
	return true;
}

/* ---- the table ---- */

enum { SET = 1, WRITE_ONLY = 2 };

struct attr_row {
	bool (*put)(XDR *x, const void *p);
	bool (*get)(XDR *x, void *p);
	uint16_t offset;
	uint8_t flags;
};

#define ROW(bit, type, member, fl) \
	[bit] = { put_##type, get_##type, offsetof(struct nfs_attrs, member), fl }

static const struct attr_row rows[ATTR_WORDS * 32] = {
	ROW(FATTR4_SUPPORTED_ATTRS, mask, supported, 0),
	ROW(FATTR4_TYPE, u32, type, 0),
	ROW(FATTR4_FH_EXPIRE_TYPE, u32, fh_expire_type, 0),
	ROW(FATTR4_CHANGE, u64, change, 0),
	ROW(FATTR4_SIZE, u64, size, SET),
	ROW(FATTR4_LINK_SUPPORT, bool, link_support, 0),
	ROW(FATTR4_SYMLINK_SUPPORT, bool, symlink_support, 0),
	ROW(FATTR4_NAMED_ATTR, bool, named_attr, 0),
	ROW(FATTR4_FSID, fsid, fsid, 0),
	ROW(FATTR4_UNIQUE_HANDLES, bool, unique_handles, 0),
	ROW(FATTR4_LEASE_TIME, u32, lease_time, 0),
	ROW(FATTR4_RDATTR_ERROR, u32, rdattr_error, 0),
	ROW(FATTR4_ACL, acl, acl, SET),
	ROW(FATTR4_ACLSUPPORT, u32, aclsupport, 0),
	ROW(FATTR4_CANSETTIME, bool, cansettime, 0),
	ROW(FATTR4_CASE_INSENSITIVE, bool, case_insensitive, 0),
	ROW(FATTR4_CASE_PRESERVING, bool, case_preserving, 0),
	ROW(FATTR4_CHOWN_RESTRICTED, bool, chown_restricted, 0),
	ROW(FATTR4_FILEHANDLE, fh, fh, 0),
	ROW(FATTR4_FILEID, u64, fileid, 0),
	ROW(FATTR4_FILES_AVAIL, u64, files_avail, 0),
	ROW(FATTR4_FILES_FREE, u64, files_free, 0),
	ROW(FATTR4_FILES_TOTAL, u64, files_total, 0),
	ROW(FATTR4_HOMOGENEOUS, bool, homogeneous, 0),
	ROW(FATTR4_MAXFILESIZE, u64, maxfilesize, 0),
	ROW(FATTR4_MAXLINK, u32, maxlink, 0),
	ROW(FATTR4_MAXNAME, u32, maxname, 0),
	ROW(FATTR4_MAXREAD, u64, maxread, 0),
	ROW(FATTR4_MAXWRITE, u64, maxwrite, 0),
	ROW(FATTR4_MODE, u32, mode, SET),
	ROW(FATTR4_NO_TRUNC, bool, no_trunc, 0),
	ROW(FATTR4_NUMLINKS, u32, numlinks, 0),
	ROW(FATTR4_OWNER, str, owner, SET),
	ROW(FATTR4_OWNER_GROUP, str, owner_group, SET),
	ROW(FATTR4_RAWDEV, specdata, rawdev, 0),
	ROW(FATTR4_SPACE_AVAIL, u64, space_avail, 0),
	ROW(FATTR4_SPACE_FREE, u64, space_free, 0),
	ROW(FATTR4_SPACE_TOTAL, u64, space_total, 0),
	ROW(FATTR4_SPACE_USED, u64, space_used, 0),
	ROW(FATTR4_TIME_ACCESS, time, time_access, 0),
	ROW(FATTR4_TIME_ACCESS_SET, settime, time_access_set, SET | WRITE_ONLY),
	ROW(FATTR4_TIME_CREATE, time, time_create, 0),
	ROW(FATTR4_TIME_DELTA, time, time_delta, 0),
	ROW(FATTR4_TIME_METADATA, time, time_metadata, 0),
	ROW(FATTR4_TIME_MODIFY, time, time_modify, 0),
	ROW(FATTR4_TIME_MODIFY_SET, settime, time_modify_set, SET | WRITE_ONLY),
	ROW(FATTR4_MOUNTED_ON_FILEID, u64, mounted_on_fileid, 0),
	ROW(FATTR4_FS_LAYOUT_TYPES, layout_types, nlayout_types, 0),
	ROW(FATTR4_LAYOUT_BLKSIZE, u32, layout_blksize, 0),
	ROW(FATTR4_MODE_SET_MASKED, mode_masked, mode_set_masked_value, SET | WRITE_ONLY),
	ROW(FATTR4_SUPPATTR_EXCLCREAT, mask, suppattr_exclcreat, 0),
	ROW(FATTR4_CLONE_BLKSIZE, u64_as_u32, clone_blksize, 0),
	ROW(FATTR4_SPACE_FREED, u64, space_freed, 0),
	ROW(FATTR4_CHANGE_ATTR_TYPE, u32, change_attr_type, 0),
	ROW(FATTR4_XATTR_SUPPORT, bool, xattr_support, 0),
	ROW(FATTR4_TIME_DELEG_ACCESS, time, time_deleg_access, SET | WRITE_ONLY),
	ROW(FATTR4_TIME_DELEG_MODIFY, time, time_deleg_modify, SET | WRITE_ONLY),
	ROW(FATTR4_OPEN_ARGUMENTS, open_args, open_arguments, 0),
};

/* The same as masks; test_attrs.c holds them against the table. */
const struct attr_mask attrs_known = { { 0xfcffbfff, 0x40fdbe3e, 0x0074ec02 } };
const struct attr_mask attrs_settable = { { 0x00001010, 0x00410032, 0x00300400 } };
const struct attr_mask attrs_writeonly = { { 0x00000000, 0x00410000, 0x00300400 } };

bool
attrs_row_flags(unsigned bit, bool *set, bool *writeonly)
{
	if (bit >= ATTR_WORDS * 32 || !rows[bit].put)
		return false;
	*set = rows[bit].flags & SET;
	*writeonly = rows[bit].flags & WRITE_ONLY;
	return true;
}

/* ---- masks ---- */

bool
attr_mask_from(struct attr_mask *m, const bitmap4 *bm)
{
	uint32_t rest = 0;
	*m = (struct attr_mask){ { 0 } };
	for (uint32_t i = 0; i < bm->bitmap4_len; i++) {
		if (i < ATTR_WORDS)
			m->w[i] = bm->bitmap4_val[i];
		else
			rest |= bm->bitmap4_val[i];
	}
	return rest != 0;
}

void
attr_mask_to(bitmap4 *bm, struct attr_mask *m)
{
	bm->bitmap4_len = mask_words(m);
	bm->bitmap4_val = m->w;
}

/* ---- whole fattr4 ---- */

static bool
values_put(XDR *x, const struct nfs_attrs *a, const struct attr_mask *mask)
{
	for (unsigned w = 0; w < ATTR_WORDS; w++) {
		for (uint32_t left = mask->w[w]; left; left &= left - 1) {
			const struct attr_row *row = &rows[w * 32 + (unsigned)__builtin_ctz(left)];
			if (!row->put(x, (const char *)a + row->offset))
				return false;
		}
	}
	return true;
}

/* What is wanted, there, and has an encoder. */
static struct attr_mask
mask_of(const struct nfs_attrs *a, const struct attr_mask *want)
{
	struct attr_mask m;
	for (unsigned w = 0; w < ATTR_WORDS; w++)
		m.w[w] = a->mask.w[w] & want->w[w] & attrs_known.w[w];
	return m;
}

bool
attrs_encode(XDR *xdrs, const struct nfs_attrs *a, const struct attr_mask *want)
{
	struct attr_mask mask = mask_of(a, want);
	if (!put_mask(xdrs, &mask))
		return false;
	uint8_t *len_at = ax_take(xdrs, 4);
	if (!len_at)
		return false;
	uint32_t start = ax_used(xdrs);
	if (!values_put(xdrs, a, &mask))
		return false;
	uint32_t len = htobe32(ax_used(xdrs) - start);
	memcpy(len_at, &len, 4);
	return true;
}

bool
attrs_to_fattr4(fattr4 *fattr, const struct nfs_attrs *a, struct arena *arena)
{
	XDR x;
	struct attr_mask *mask = arena_alloc(arena, sizeof *mask);
	size_t size = ATTRS_MAX_FIXED;
	if (!mask)
		return false;
	*mask = mask_of(a, &attrs_known);
	if (attr_has(mask, FATTR4_OWNER))
		size += (size_t)a->owner.len + 8;
	if (attr_has(mask, FATTR4_OWNER_GROUP))
		size += (size_t)a->owner_group.len + 8;
	if (attr_has(mask, FATTR4_FILEHANDLE))
		size += NFS4_FHSIZE + 8;
	if (attr_has(mask, FATTR4_ACL))
		size += (size_t)a->acl.aces.len + 4;
	uint8_t *values = size <= INT32_MAX ? arena_alloc(arena, size) : NULL;
	if (!values)
		return false;
	ax_init(&x, values, (uint32_t)size, XDR_ENCODE, NULL);
	if (!values_put(&x, a, mask))
		return false;
	attr_mask_to(&fattr->attrmask, mask);
	fattr->attr_vals.attrlist4_val = (char *)values;
	fattr->attr_vals.attrlist4_len = ax_used(&x);
	return true;
}

nfsstat4
attrs_decode(const fattr4 *fattr, struct nfs_attrs *a)
{
	XDR x;
	struct attr_mask mask;
	*a = (struct nfs_attrs){ .mask = { { 0 } } };
	bool more = attr_mask_from(&mask, &fattr->attrmask);
	ax_init(&x, fattr->attr_vals.attrlist4_val, fattr->attr_vals.attrlist4_len, XDR_DECODE, NULL);
	for (unsigned w = 0; w < ATTR_WORDS; w++) {
		for (uint32_t left = mask.w[w]; left; left &= left - 1) {
			unsigned bit = w * 32 + (unsigned)__builtin_ctz(left);
			if (!rows[bit].get)
				return NFS4ERR_ATTRNOTSUPP;
			if (!rows[bit].get(&x, (char *)a + rows[bit].offset))
				return NFS4ERR_BADXDR;
			attr_set(&a->mask, bit);
		}
	}
	if (more)
		return NFS4ERR_ATTRNOTSUPP;
	return ax_left(&x) == 0 ? NFS4_OK : NFS4ERR_BADXDR;
}
