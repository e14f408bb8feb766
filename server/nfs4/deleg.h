/* What OPEN and WANT_DELEGATION share of delegations: op_deleg.c. */
#ifndef PNFS_SERVER_NFS4_DELEG_H
#define PNFS_SERVER_NFS4_DELEG_H

#include "server/nfs4/compound.h"
#include "server/state/deleg.h"
#include "server/state/session.h"

/* Who asks, for what, by which request. */
void deleg_ask_fill(const struct compound *c, uint32_t want, struct deleg_ask *ask);

/* The OPEN4_SHARE_ACCESS_WANT_ flags of a minor version. */
uint32_t deleg_want_bits(uint32_t minor);

/* May a reclaim name this type? */
static inline bool
deleg_type_may_be_claimed(open_delegation_type4 type)
{
	return type == OPEN_DELEGATE_NONE || type == OPEN_DELEGATE_READ || type == OPEN_DELEGATE_WRITE ||
	    type == OPEN_DELEGATE_READ_ATTRS_DELEG || type == OPEN_DELEGATE_WRITE_ATTRS_DELEG;
}

#endif
