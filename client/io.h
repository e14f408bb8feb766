/*
 * Reads and writes: planned (ioplan.h), done on the device or through the server, planned again where something was in the way.
 *
 *   io.c         pnfs_submit; ranges and their plan; what goes through the server
 *   io_direct.c  pieces on devices: pins, the lease, read-modify-write, errors
 *
 * Service thread, but for pnfs_submit.
 */
#ifndef PNFS_CLIENT_IO_H
#define PNFS_CLIENT_IO_H

#include "client/bdev.h"
#include "client/file.h"
#include "client/ioplan.h"

/* One pnfs_submit(). */
struct io_req {
	struct loop_work work;
	struct pnfs_io *user;
	struct pnfs_file *file;
	bool write;
	uint64_t offset, end;
	uint64_t short_end;		/* a read: the file was found to end here */
	uint64_t since_ns;		/* when it was submitted */
	unsigned pending;		/* ranges not done */
	int error;
};

/* Part of a request on its way: planned, waiting, or in the hands of one of the two paths. */
struct io_range {
	struct io_req *req;
	uint64_t offset, end;
	unsigned tries;			/* direct attempts that failed */
	enum reason force;		/* through the server, for this reason; NONE: plan it */
	uint64_t need_end;		/* what the wait is for ends here */
	struct layout_wait wait;
	struct layout_pin pin;
	TAILQ_ENTRY(io_range) blocked;	/* node->io_blocked */
};

/* A transfer on one device. */
struct io_piece {
	TAILQ_ENTRY(io_piece) link;	/* of node's io_waiting, or the mount's io_queue or io_lease */
	struct bdev_io bio;
	struct io_req *req;
	uint64_t offset, end;		/* in the file: the caller's bytes */
	uint64_t addr;			/* on the volume: of offset, or of the block's start for RMW */
	uint8_t device[NFS4_DEVICEID4_SIZE];
	enum layout_pin_kind kind;
	unsigned tries;
	uint32_t epoch;
	bool writing;			/* RMW: the second half */
	bool pinned;
	struct layout_pin pin;
	uint8_t *bounce;
};

/* io_direct.c's part of io_unblocked(). */
void io_pieces_unblocked(struct node *node);

uint8_t *io_buf(const struct io_req *req, uint64_t offset);

/* A range of REQ is to be planned (anew); TRIES: direct attempts it has behind it. */
void io_range_add(struct io_req *req, uint64_t offset, uint64_t end, unsigned tries, enum reason force);
/* A range came to its end. */
void io_range_end(struct io_req *req, int error);

/* Do [offset, end) as STEP (DIRECT or RMW) says.  Takes over one of the request's pending. */
void io_direct(struct io_req *req, const struct ioplan_step *step, unsigned tries);

/* Pins went: what waited for them is tried again. */
void io_unblocked(struct node *node);
/* The lease was renewed. */
void io_renewed(struct pnfs *m);

/* Has REQ waited for the server for as long as the mount's timeout allows? */
bool io_late(const struct io_req *req);
/* What waits for the lease or for a layout since DEADLINE_NS or before ends with -ETIMEDOUT. */
void io_expire(struct pnfs *m, uint64_t deadline_ns);

#endif
