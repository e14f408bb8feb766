/*
 * The attribute acl (RFC 8881 6.2.1) of files that have POSIX ACLs: draft-ietf-nfsv4-acl-mapping, with the choices of knfsd, so that a client sees the same with
 * either.  attr.c and attr_set.c call.
 */
#ifndef PNFS_SERVER_NFS4_ACL_H
#define PNFS_SERVER_NFS4_ACL_H

#include "proto/nfs4/attrs.h"
#include "server/nfs4/compound.h"

/* What INODE has, or what its mode comes to; in C's arena.  Not on a loop. */
nfsstat4 acl_get(struct compound *c, struct inode *inode, struct nfs_acl *acl);

/* What ACL is for a directory or another file, into set->acl and set->default_acl.  ATTRNOTSUPP: what POSIX ACLs cannot say; BADOWNER. */
nfsstat4 acl_to_set(struct compound *c, bool dir, const struct nfs_acl *acl, struct fs_setattr *set);

#endif
