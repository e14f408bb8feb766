/* Directories: what the operations on names share.  op_fh.c, op_dir.c, op_readdir.c; and op_open.c. */
#ifndef PNFS_SERVER_NFS4_DIR_H
#define PNFS_SERVER_NFS4_DIR_H

#include "server/nfs4/compound.h"

/* NFS4_OK if INODE is a directory; else NOTDIR. */
nfsstat4 dir_check(const struct inode *inode);
/* The same for LOOKUP, LOOKUPP, LINK, OPEN, which say SYMLINK for a symbolic link (RFC 8881 15.2). */
nfsstat4 dir_check_link(const struct inode *inode);

/* Are all the rights of MASK (R_OK, W_OK, X_OK) granted on INODE (of any type)?  NFS4_OK, ACCESS, OP_WORKER, or the error of looking. */
nfsstat4 dir_access(struct compound *c, struct inode *inode, const struct fs_cred *cred, unsigned mask);

/* May the caller know of INODE at all: is its export for him, or, of a node of the pseudo root, any that it leads to? */
bool dir_visible(struct compound *c, const struct inode *inode);
/* Does the caller's security flavor do for the export of INODE, which is visible to him?  WRONGSEC. */
nfsstat4 dir_check_sec(struct compound *c, const struct inode *inode);

#endif
