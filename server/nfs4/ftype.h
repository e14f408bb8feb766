/* What an operation on ordinary files answers for other objects (RFC 8881 18.10.3, 18.16.4, 18.22.3).  op_open.c, op_lock.c, op_io.c. */
#ifndef PNFS_SERVER_NFS4_FTYPE_H
#define PNFS_SERVER_NFS4_FTYPE_H

#include <sys/stat.h>

#include "server/fs/fs.h"
#include "proto/x/nfs4.h"

static inline nfsstat4
ftype_check_regular(const struct inode *inode)
{
	switch (inode->type & S_IFMT) {
	case S_IFREG:
		return NFS4_OK;
	case S_IFDIR:
		return NFS4ERR_ISDIR;
	case S_IFLNK:
		return NFS4ERR_SYMLINK;
	default:
		return NFS4ERR_WRONG_TYPE;
	}
}

#endif
