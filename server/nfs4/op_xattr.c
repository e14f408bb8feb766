/*
 * GETXATTR, SETXATTR, LISTXATTRS, REMOVEXATTR (RFC 8276 8.4).  Names stand on the wire without "user."; fs/ puts it before them.
 *
 * LISTXATTRS gives names in the order of their hashes, and the hash of the last one is the cookie: it means the same whatever is set or
 * removed between two calls, so every name that is there all the while is told once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/nfs4/status.h"
#include "server/nfs4/attr.h"
#include "server/nfs4/utf8.h"

#define RESULT_FIXED 16u		/* of LISTXATTRS4resok: cookie, count, eof */
#define TURNS 4				/* the file is changed while we look: so often, then DELAY */

/* xattrkey4 is a component4, but has no use for "/" and "." of its own. */
static nfsstat4
key_check(const xattrkey4 *key)
{
	if (key->utf8string_len > FS_XATTR_NAME_MAX)
		return NFS4ERR_NAMETOOLONG;
	if (key->utf8string_len == 0 || memchr(key->utf8string_val, 0, key->utf8string_len) ||
	    !utf8_valid((const uint8_t *)key->utf8string_val, key->utf8string_len))
		return NFS4ERR_INVAL;
	return NFS4_OK;
}

/* ---- GETXATTR, LISTXATTRS: of a size that is asked for first ---- */

/* KEY NULL: the names. */
static ssize_t
read_one(struct compound *c, const xattrkey4 *key, void *buf, size_t size)
{
	return key ? fs_xattr_get(c->cur, &c->cred, key->utf8string_val, key->utf8string_len, buf, size) :
	    fs_xattr_list(c->cur, &c->cred, buf, size);
}

static nfsstat4
read_all(struct compound *c, const xattrkey4 *key, char **buf, uint32_t *len)
{
	for (int turn = 0; turn < TURNS; turn++) {
		ssize_t n = read_one(c, key, NULL, 0);
		if (n < 0)
			return nfs4_status((int)n);
		*buf = arena_alloc(&c->arena, (size_t)n);
		if (!*buf)
			return NFS4ERR_DELAY;
		*len = 0;
		if (n == 0)
			return NFS4_OK;
		n = read_one(c, key, *buf, (size_t)n);
		if (n >= 0) {
			*len = (uint32_t)n;
			return NFS4_OK;
		}
		if (n != -ERANGE)
			return nfs4_status((int)n);
	}
	return NFS4ERR_DELAY;
}

/* One that is too long for the session's replies is compound.c's to refuse: REP_TOO_BIG. */
nfsstat4
op_getxattr(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const xattrkey4 *key = &arg->nfs_argop4_u.opgetxattr.gxa_name;
	xattrvalue4 *value = &res->nfs_resop4_u.opgetxattr.GETXATTR4res_u.gxr_value;
	nfsstat4 status = key_check(key);

	if (status == NFS4_OK)
		status = read_all(c, key, &value->xattrvalue4_val, &value->xattrvalue4_len);
	return status;
}

struct name {
	uint64_t hash;
	xattrkey4 key;
};

/* FNV-1a; 0 is the cookie before all. */
static uint64_t
name_hash(const char *name, size_t len)
{
	uint64_t h = 0xcbf29ce484222325u;

	for (size_t i = 0; i < len; i++)
		h = (h ^ (uint8_t)name[i]) * 0x100000001b3u;
	return h ? h : 1;
}

static int
name_compare(const void *a, const void *b)
{
	const struct name *x = a, *y = b;

	return x->hash < y->hash ? -1 : x->hash > y->hash;
}

/* Those behind COOKIE, in order.  LEN bytes of terminated names at BUF. */
static nfsstat4
names_sort(struct compound *c, char *buf, uint32_t len, uint64_t cookie, struct name **names, uint32_t *count)
{
	uint32_t n = 0;

	for (uint32_t at = 0; at < len; at++)
		n += buf[at] == 0;
	*names = arena_alloc(&c->arena, n * sizeof **names);
	if (!*names)
		return NFS4ERR_DELAY;
	*count = 0;
	for (uint32_t at = 0; at < len;) {
		size_t l = strlen(buf + at);
		struct name name = { name_hash(buf + at, l), { (uint32_t)l, buf + at } };
		if (name.hash > cookie)
			(*names)[(*count)++] = name;
		at += (uint32_t)l + 1;
	}
	qsort(*names, *count, sizeof **names, name_compare);
	return NFS4_OK;
}

/* As many as fit into LIMIT bytes.  Names of the same hash are not parted, for no cookie is between them. */
static uint32_t
names_fit(const struct name *names, uint32_t count, uint32_t limit)
{
	uint32_t left = limit - RESULT_FIXED, fit = 0;

	for (uint32_t i = 0; i < count; i++) {
		uint32_t len = names[i].key.utf8string_len, size = 4 + len + ax_pad(len);
		if (size > left)
			return fit;
		left -= size;
		if (i + 1 == count || names[i + 1].hash != names[i].hash)
			fit = i + 1;
	}
	return fit;
}

static nfsstat4
names_take(struct compound *c, const LISTXATTRS4args *args, uint32_t limit, LISTXATTRS4resok *ok)
{
	struct name *names;
	char *buf;
	uint32_t len, count;

	if (limit < RESULT_FIXED)
		return NFS4ERR_TOOSMALL;
	nfsstat4 status = read_all(c, NULL, &buf, &len);
	if (status == NFS4_OK)
		status = names_sort(c, buf, len, args->lxa_cookie, &names, &count);
	if (status != NFS4_OK)
		return status;
	uint32_t fit = names_fit(names, count, limit);
	if (count && !fit)
		return NFS4ERR_TOOSMALL;
	ok->lxr_names.lxr_names_val = arena_alloc(&c->arena, fit * sizeof(xattrkey4));
	if (!ok->lxr_names.lxr_names_val)
		return NFS4ERR_DELAY;
	for (uint32_t i = 0; i < fit; i++)
		ok->lxr_names.lxr_names_val[i] = names[i].key;
	ok->lxr_names.lxr_names_len = fit;
	ok->lxr_cookie = fit ? names[fit - 1].hash : args->lxa_cookie;
	ok->lxr_eof = fit == count;
	return NFS4_OK;
}

nfsstat4
op_listxattrs(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const LISTXATTRS4args *args = &arg->nfs_argop4_u.oplistxattrs;
	uint32_t room = compound_room(c), limit = args->lxa_maxcount < room ? args->lxa_maxcount : room;
	nfsstat4 status = names_take(c, args, limit, &res->nfs_resop4_u.oplistxattrs.LISTXATTRS4res_u.lxr_value);

	/* Not the client's maxcount but its session's limit was too small. */
	return status == NFS4ERR_TOOSMALL && room < args->lxa_maxcount ? NFS4ERR_REP_TOO_BIG : status;
}

/* ---- SETXATTR, REMOVEXATTR ---- */

static nfsstat4
change_check(struct compound *c, const xattrkey4 *key)
{
	nfsstat4 status = key_check(key);

	if (status == NFS4_OK && !fs_xattr_supported(c->cur))
		status = NFS4ERR_NOTSUPP;
	return status == NFS4_OK ? compound_check_rw(c) : status;
}

nfsstat4
op_setxattr(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const SETXATTR4args *args = &arg->nfs_argop4_u.opsetxattr;
	static const enum fs_xattr_how how[] = {
		[SETXATTR4_EITHER] = FS_XATTR_EITHER, [SETXATTR4_CREATE] = FS_XATTR_CREATE,
		[SETXATTR4_REPLACE] = FS_XATTR_REPLACE,
	};
	struct fs_change change;

	if ((uint32_t)args->sxa_option > SETXATTR4_REPLACE)
		return NFS4ERR_INVAL;
	nfsstat4 status = change_check(c, &args->sxa_key);
	if (status != NFS4_OK)
		return status;
	int err = fs_xattr_set(c->cur, &c->cred, args->sxa_key.utf8string_val, args->sxa_key.utf8string_len,
	    args->sxa_value.xattrvalue4_val, args->sxa_value.xattrvalue4_len, how[args->sxa_option], &change);
	if (err < 0)
		return nfs4_status(err);
	attr_change_info(&res->nfs_resop4_u.opsetxattr.SETXATTR4res_u.sxr_info, &change);
	return NFS4_OK;
}

nfsstat4
op_removexattr(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const xattrkey4 *key = &arg->nfs_argop4_u.opremovexattr.rxa_name;
	struct fs_change change;
	nfsstat4 status = change_check(c, key);

	if (status != NFS4_OK)
		return status;
	int err = fs_xattr_remove(c->cur, &c->cred, key->utf8string_val, key->utf8string_len, &change);
	if (err < 0)
		return nfs4_status(err);
	attr_change_info(&res->nfs_resop4_u.opremovexattr.REMOVEXATTR4res_u.rxr_info, &change);
	return NFS4_OK;
}
