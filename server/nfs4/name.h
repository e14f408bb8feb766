/* Names from the wire: checked once, at the border (RFC 8881 14.4).  Used by every operation that takes a component4. */
#ifndef PNFS_SERVER_NFS4_NAME_H
#define PNFS_SERVER_NFS4_NAME_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/x/nfs4.h"

/* Is it well-formed UTF-8 (no overlong forms, surrogates, U+FFFE, U+FFFF, nothing past U+10FFFF)? */
bool name_utf8(const void *data, uint32_t len);

/*
 * One component: NFS4_OK; INVAL if empty or not UTF-8, NAMETOOLONG past FS_NAME_MAX bytes, BADNAME for "." and "..",
 * BADCHAR with '/' or NUL inside.
 */
nfsstat4 name_check(const component4 *name);

#endif
