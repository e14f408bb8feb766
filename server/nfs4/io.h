/* What operations on data share.  op_io.c has it; op_space.c, op_read_plus.c, op_copy.c, op_write_same.c. */
#ifndef PNFS_SERVER_NFS4_IO_H
#define PNFS_SERVER_NFS4_IO_H

#include "server/nfs4/compound.h"

#define IO_MAX (1u << 20)		/* bytes: maxread, maxwrite */

/* May the caller read, or write, the current file with STATEID; by the file's mode where no open stands behind it?  It is a regular one. */
nfsstat4 io_check(struct compound *c, const stateid4 *stateid, bool write);
/* The same for the operations of RFC 7862 whose MUST is WRONG_TYPE for all that is no regular file (15.1.3, 15.2.3, 15.4.3, 15.13.3); and is the export writable? */
nfsstat4 io_check_write(struct compound *c, const stateid4 *stateid);
/* To read the saved file, a regular one; "current" stateid: the saved one. */
nfsstat4 io_check_saved(struct compound *c, const stateid4 *stateid);

/* Of WRITE and COMMIT. */
void io_verifier(const struct mds *mds, verifier4 verf);

#endif
