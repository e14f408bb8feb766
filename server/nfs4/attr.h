/* Attributes of an inode as NFS has them: gathers fs_stat, export and server facts.  op_attr.c, op_dir.c (READDIR), op_open.c. */
#ifndef PNFS_SERVER_NFS4_ATTR_H
#define PNFS_SERVER_NFS4_ATTR_H

#include "proto/nfs4/attrs.h"
#include "server/nfs4/compound.h"

/* What this server supports for reading and setting. */
extern const struct attr_mask attr_supported, attr_supported_set;

/* suppattr_exclcreat (RFC 8881 5.8.1.14): what may be set with EXCLUSIVE4_1.  The verifier is kept in the two times. */
static inline struct attr_mask
attr_exclcreat(void)
{
	struct attr_mask m = attr_supported_set;
	attr_clear(&m, FATTR4_TIME_ACCESS_SET);
	attr_clear(&m, FATTR4_TIME_MODIFY_SET);
	attr_clear(&m, FATTR4_MODE_SET_MASKED);		/* SETATTR only (6.2.5) */
	attr_clear(&m, FATTR4_TIME_DELEG_ACCESS);	/* and these (RFC 9754 5) */
	attr_clear(&m, FATTR4_TIME_DELEG_MODIFY);
	return m;
}

/* The same by minor version: what RFC 7862 added is not known to 4.1 (supported_attrs). */
struct attr_mask attr_supported_at(uint32_t minor);

/*
 * Fill A with what WANT asks of INODE (system calls only for what is needed).  Strings come from the arena.
 * What a client with a write delegation knows better is not in it: op_attr.c (GETATTR asks it; READDIR does not).
 */
nfsstat4 attr_get(struct compound *c, struct inode *inode, const struct attr_mask *want, struct nfs_attrs *a);

/* Decode a fattr4 of SETATTR, OPEN or CREATE into a struct fs_setattr, DIR: of a directory; *set_mask: which bits it covers.
 * INVAL for read-only attributes, ATTRNOTSUPP, BADOWNER, BADXDR. */
nfsstat4 attr_to_set(struct compound *c, bool dir, const fattr4 *fattr, struct fs_setattr *set, struct attr_mask *set_mask);

/* The same for SETATTR, which knows mode_set_masked too: *mode_mask tells which bits of set->mode are meant (07777 with mode). */
nfsstat4 attr_to_setattr(struct compound *c, const fattr4 *fattr, struct fs_setattr *set,
    struct attr_mask *set_mask, mode_t *mode_mask);

/* An ID as owner, owner_group and the names in ACLs have it, from C's arena (false: no memory); and back: BADOWNER, INVAL. */
bool attr_id_string(struct compound *c, uint32_t id, bool group, struct nfs_str *str);
nfsstat4 attr_id_parse(struct compound *c, const struct nfs_str *str, bool group, uint32_t *id);

/* Type by S_IFMT bits. */
nfs_ftype4 attr_type(mode_t mode);

/* Is T, a time that a client keeps with its delegation, later than what the file HAS?  In the future it becomes NOW (RFC 9754 5). */
bool attr_time_counts(struct timespec *t, const struct statx_timestamp *has, const struct timespec *now);

/* change_info4 */
void attr_change_info(change_info4 *info, const struct fs_change *change);

#endif
