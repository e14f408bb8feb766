/* OPEN's file: found or made.  Private to op_open.c and open_file.c. */
#ifndef PNFS_SERVER_NFS4_OPEN_FILE_H
#define PNFS_SERVER_NFS4_OPEN_FILE_H

#include <stdbool.h>

#include "server/fs/fs.h"
#include "server/nfs4/attr.h"
#include "server/nfs4/compound.h"
#include "server/state/deleg.h"

struct open_file {
	struct deleg_ask deleg;		/* what the OPEN says of delegations; its inode is open_file_by_name()'s */
	bool made;			/* by this OPEN: no look at its mode bits */
	bool replay;			/* an exclusive create seen before: its owner may do as if it were new */
	bool truncate;			/* existing, UNCHECKED4 with size 0 */
	struct fs_change change;	/* of the directory */
	bool has_change;
	struct attr_mask attrset;	/* what was set, and what holds the verifier */
};

/*
 * CLAIM_NULL: find NAME in the current filehandle, or create it as HOW says (NULL: do not create), and make it the current
 * filehandle.  Its type and rights are the caller's to look at.
 */
nfsstat4 open_file_by_name(struct compound *c, const component4 *name, createhow4 *how, struct open_file *f);

#endif
