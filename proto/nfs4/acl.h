/*
 * nfsace4 (RFC 8881 6.2.1), one by one: an ACL stays in its encoded form, which attrs.c has walked through once.  The server takes it apart and
 * makes it with these.
 */
#ifndef PNFS_PROTO_NFS4_ACL_H
#define PNFS_PROTO_NFS4_ACL_H

#include "proto/nfs4/attrs.h"
#include "proto/xdr/xdr_arena.h"

struct nfs_ace {
	uint32_t type, flag, mask;	/* ACE4_ */
	struct nfs_str who;
};

/* False: malformed, or the end. */
static inline bool
nfs_ace_get(XDR *x, struct nfs_ace *ace)
{
	uint8_t *who;
	if (!ax_get_u32(x, &ace->type) || !ax_get_u32(x, &ace->flag) || !ax_get_u32(x, &ace->mask) ||
	    !ax_get_opaque(x, &who, &ace->who.len, UINT32_MAX))
		return false;
	ace->who.data = (const char *)who;
	return true;
}

static inline bool
nfs_ace_put(XDR *x, const struct nfs_ace *ace)
{
	return ax_put_u32(x, ace->type) && ax_put_u32(x, ace->flag) && ax_put_u32(x, ace->mask) &&
	    ax_put_opaque(x, ace->who.data, ace->who.len);
}

/* Bytes of an ACE whose name has LEN. */
static inline uint32_t
nfs_ace_size(uint32_t len)
{
	return 16 + len + ax_pad(len);
}

/* X stands before the first ACE; there are acl->count. */
static inline void
nfs_acl_open(XDR *x, const struct nfs_acl *acl)
{
	ax_init(x, (void *)(uintptr_t)acl->aces.data, acl->aces.len, XDR_DECODE, NULL);
}

#endif
