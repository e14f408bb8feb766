/* pnfs_map(): ranges leased and mapped for programs that do the device I/O themselves.  Service thread but for pnfs.h's functions. */
#ifndef PNFS_CLIENT_MAP_H
#define PNFS_CLIENT_MAP_H

#include "client/node.h"

/* Tell those who hold something of [offset, end); LOST: it is too late already. */
void map_revoke(struct node *node, uint64_t offset, uint64_t end, bool lost);
/* The lease of the mount may be over. */
void map_expired(struct pnfs *m);

#endif
