/* Names from the wire: checked once, at the border (RFC 8881 14.4).  Used by every operation that takes a component4. */
#ifndef PNFS_SERVER_NFS4_NAME_H
#define PNFS_SERVER_NFS4_NAME_H

#include "proto/x/nfs4.h"

/*
 * One component: NFS4_OK; INVAL if empty or not UTF-8, NAMETOOLONG past FS_NAME_MAX bytes, BADNAME for "." and "..",
 * BADCHAR with '/' or NUL inside.
 */
nfsstat4 name_check(const component4 *name);

#endif
