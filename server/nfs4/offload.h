/*
 * Copies that go on after the reply to COPY (RFC 7862 4.8, 15.2.3): a state of the client's, known to it by its copy stateid, until it has answered
 * CB_OFFLOAD or asks by OFFLOAD_CANCEL for the end.  A worker copies FS_COPY_MOST bytes at a time, and others come between.  Used by op_copy.c.
 *
 * What does not survive: a restart, as the RFC has it (4.8).
 */
#ifndef PNFS_SERVER_NFS4_OFFLOAD_H
#define PNFS_SERVER_NFS4_OFFLOAD_H

#include <stdbool.h>
#include <stdint.h>

#include "server/cb/cb.h"
#include "server/fs/fs.h"

struct client;
struct mds;

/* At once; whoever asks for more is served synchronously. */
#define OFFLOADS_OF_CLIENT 16u
#define OFFLOADS 256u

struct offload_ask {
	struct inode *src, *dst;	/* two files, checked */
	uint64_t src_offset, dst_offset, len;	/* bytes */
	verifier4 verf;			/* of before the first byte */
	struct cb_ref ref;		/* the COPY */
};

int offloads_new(struct mds *mds);
/* No more bytes are copied when it returns.  Layouts and file systems are there yet; no compound is run any more. */
void offloads_stop(struct mds *mds);
/* After all state was released. */
void offloads_free(struct mds *mds);

/* False: not now, for want of room or of a backchannel.  No lock held; so are the others. */
bool offload_start(struct mds *mds, struct client *client, const struct offload_ask *ask, stateid4 *sid);

struct offload_progress {
	uint64_t done;			/* bytes */
	bool complete;
	nfsstat4 status;		/* of the whole, if complete */
};
/* Of DST; errors as state_find_locked(), and BAD_STATEID for seqid 0 (RFC 7862 4.8). */
nfsstat4 offload_progress(struct mds *mds, struct client *client, const stateid4 *sid, const struct inode *dst, struct offload_progress *is);
/* Nothing more is written when it returns NFS4_OK, and the stateid is gone.  NFS4ERR_DELAY: it is being written at this moment. */
nfsstat4 offload_cancel(struct mds *mds, struct client *client, const stateid4 *sid, const struct inode *dst);

/* Once a second: those that had to wait for somebody, and callbacks to be sent again. */
void offloads_tick(struct mds *mds);

#endif
