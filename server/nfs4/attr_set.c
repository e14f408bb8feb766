/*
 * The other way: a fattr4 of SETATTR, OPEN or CREATE to what fs_setattr() takes.
 * Everything is checked here; what comes out is in range.
 */
#include <string.h>

#include "server/nfs4/acl.h"
#include "server/nfs4/attr.h"
#include "server/nfs4/utf8.h"

#define MODE_BITS 07777u

/* Decimal numbers only (RFC 8881 5.9); names come with their own translation. */
nfsstat4
attr_id_parse(struct compound *c, const struct nfs_str *str, bool group, uint32_t *id)
{
	uint64_t n = 0;

	(void)c;
	(void)group;
	if (!utf8_valid((const uint8_t *)str->data, str->len))
		return NFS4ERR_INVAL;
	if (str->len == 0 || str->len > 10)
		return NFS4ERR_BADOWNER;
	for (uint32_t i = 0; i < str->len; i++) {
		if (str->data[i] < '0' || str->data[i] > '9')
			return NFS4ERR_BADOWNER;
		n = n * 10 + (uint64_t)(str->data[i] - '0');
	}
	/* The last one is chown(2)'s "leave it". */
	if (n >= UINT32_MAX)
		return NFS4ERR_BADOWNER;
	*id = n;
	return NFS4_OK;
}

static nfsstat4
time_parse(const settime4 *from, struct timespec *to)
{
	if (from->set_it != SET_TO_CLIENT_TIME4) {
		*to = (struct timespec){ .tv_nsec = UTIME_NOW };
		return NFS4_OK;
	}
	const nfstime4 *t = &from->settime4_u.time;
	if (t->nseconds >= 1000000000)
		return NFS4ERR_INVAL;
	*to = (struct timespec){ .tv_sec = t->seconds, .tv_nsec = t->nseconds };
	return NFS4_OK;
}

/* RFC 8881 6.2.4, 6.2.5 */
static nfsstat4
mode_parse(const struct nfs_attrs *a, struct fs_setattr *set, mode_t *mode_mask)
{
	bool plain = attr_has(&a->mask, FATTR4_MODE);
	bool masked = attr_has(&a->mask, FATTR4_MODE_SET_MASKED);

	if (!plain && !masked)
		return NFS4_OK;
	if ((plain && masked) || (masked && !mode_mask))
		return NFS4ERR_INVAL;
	uint32_t mode = plain ? a->mode : a->mode_set_masked_value;
	uint32_t mask = plain ? MODE_BITS : a->mode_set_masked_mask;
	if ((mode | mask) & ~MODE_BITS)
		return NFS4ERR_INVAL;
	set->what |= FS_SET_MODE;
	set->mode = mode & mask;
	if (mode_mask)
		*mode_mask = mask;
	return NFS4_OK;
}

/* Before the values are looked at: are these attributes that can be set? */
static nfsstat4
mask_check(struct compound *c, const fattr4 *fattr, struct attr_mask *mask)
{
	struct attr_mask supported = attr_supported_at(c->minor);

	if (attr_mask_from(mask, &fattr->attrmask))
		return NFS4ERR_ATTRNOTSUPP;
	for (int i = 0; i < ATTR_WORDS; i++)
		if (mask->w[i] & ~supported.w[i])
			return NFS4ERR_ATTRNOTSUPP;
	for (int i = 0; i < ATTR_WORDS; i++)
		if (mask->w[i] & ~attr_supported_set.w[i])
			return NFS4ERR_INVAL;
	return NFS4_OK;
}

static nfsstat4
times_parse(const struct nfs_attrs *a, struct fs_setattr *set)
{
	nfsstat4 status = NFS4_OK;

	if (attr_has(&a->mask, FATTR4_TIME_ACCESS_SET)) {
		set->what |= FS_SET_ATIME;
		status = time_parse(&a->time_access_set, &set->atime);
	}
	if (status == NFS4_OK && attr_has(&a->mask, FATTR4_TIME_MODIFY_SET)) {
		set->what |= FS_SET_MTIME;
		status = time_parse(&a->time_modify_set, &set->mtime);
	}
	return status;
}

/* RFC 9754 5: of SETATTR alone, instead of the others; op_setattr.c looks at who may. */
static nfsstat4
deleg_times_parse(const struct nfs_attrs *a, struct fs_setattr *set, bool setattr)
{
	bool atime = attr_has(&a->mask, FATTR4_TIME_DELEG_ACCESS), mtime = attr_has(&a->mask, FATTR4_TIME_DELEG_MODIFY);

	if (!atime && !mtime)
		return NFS4_OK;
	if (!setattr || set->what & (FS_SET_ATIME | FS_SET_MTIME) || (atime && a->time_deleg_access.nseconds >= 1000000000) ||
	    (mtime && a->time_deleg_modify.nseconds >= 1000000000))
		return NFS4ERR_INVAL;
	set->what |= (atime ? FS_SET_ATIME : 0) | (mtime ? FS_SET_MTIME : 0);
	set->atime = (struct timespec){ .tv_sec = a->time_deleg_access.seconds, .tv_nsec = a->time_deleg_access.nseconds };
	set->mtime = (struct timespec){ .tv_sec = a->time_deleg_modify.seconds, .tv_nsec = a->time_deleg_modify.nseconds };
	return NFS4_OK;
}

static nfsstat4
owners_parse(struct compound *c, const struct nfs_attrs *a, struct fs_setattr *set)
{
	nfsstat4 status = NFS4_OK;

	if (attr_has(&a->mask, FATTR4_OWNER)) {
		set->what |= FS_SET_UID;
		status = attr_id_parse(c, &a->owner, false, &set->uid);
	}
	if (status == NFS4_OK && attr_has(&a->mask, FATTR4_OWNER_GROUP)) {
		set->what |= FS_SET_GID;
		status = attr_id_parse(c, &a->owner_group, true, &set->gid);
	}
	return status;
}

static nfsstat4
acl_parse(struct compound *c, bool dir, const struct nfs_attrs *a, struct fs_setattr *set)
{
	if (!attr_has(&a->mask, FATTR4_ACL))
		return NFS4_OK;
	return fs_acl_supported(c->cur) ? acl_to_set(c, dir, &a->acl, set) : NFS4ERR_ATTRNOTSUPP;
}

static nfsstat4
parse(struct compound *c, bool dir, const fattr4 *fattr, struct fs_setattr *set, struct attr_mask *set_mask,
    mode_t *mode_mask)
{
	struct nfs_attrs a;
	nfsstat4 status = mask_check(c, fattr, set_mask);

	memset(set, 0, sizeof *set);
	if (status == NFS4_OK)
		status = attrs_decode(fattr, &a);
	if (status != NFS4_OK)
		return status;
	if (attr_has(&a.mask, FATTR4_SIZE)) {
		if (a.size > INT64_MAX)
			return NFS4ERR_FBIG;
		set->what |= FS_SET_SIZE;
		set->size = a.size;
	}
	status = mode_parse(&a, set, mode_mask);
	if (status == NFS4_OK)
		status = owners_parse(c, &a, set);
	if (status == NFS4_OK)
		status = times_parse(&a, set);
	if (status == NFS4_OK)
		status = deleg_times_parse(&a, set, mode_mask != NULL);
	if (status == NFS4_OK)
		status = acl_parse(c, dir, &a, set);
	return status;
}

nfsstat4
attr_to_setattr(struct compound *c, const fattr4 *fattr, struct fs_setattr *set, struct attr_mask *set_mask,
    mode_t *mode_mask)
{
	return parse(c, c->cur->type == S_IFDIR, fattr, set, set_mask, mode_mask);
}

nfsstat4
attr_to_set(struct compound *c, bool dir, const fattr4 *fattr, struct fs_setattr *set, struct attr_mask *set_mask)
{
	return parse(c, dir, fattr, set, set_mask, NULL);
}
