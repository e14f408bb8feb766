/*
 * How one read or write is to be done: a pure function of what we hold.  No I/O here.
 *
 * A request is cut into steps, ascending and without gaps:
 *   DIRECT   on the device, whole blocks
 *   ZERO     a read of a hole or of space not yet written: no I/O
 *   RMW      a write's unaligned edge inside a block we hold READ_WRITE: read the block, patch, write it
 *   NEED     no layout covers it: LAYOUTGET first, then plan again
 *   MDS      through the server, with the reason
 */
#ifndef PNFS_CLIENT_IOPLAN_H
#define PNFS_CLIENT_IOPLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "include/reason.h"
#include "proto/layout/layout_xdr.h"

#define IO_BLOCK 4096u			/* layouts come in multiples of this (layout_blksize) */

enum ioplan_kind { IOPLAN_DIRECT, IOPLAN_ZERO, IOPLAN_RMW, IOPLAN_NEED, IOPLAN_MDS };

struct ioplan_step {
	enum ioplan_kind kind;
	uint64_t offset, length;	/* in the file; for RMW the bytes of the caller, inside one block */
	uint64_t addr;			/* on the volume, of offset (DIRECT) or of the block's start (RMW) */
	const uint8_t *device;		/* deviceid of the extent; points into it */
	enum reason reason;		/* MDS only */
};

struct ioplan_in {
	bool write;
	uint64_t offset, length;	/* of the request; length > 0 */
	uint64_t size;			/* of the file, as known */
	const struct layout_extent *ext;	/* held, ascending, disjoint; those being recalled or of dead devices are left out by the caller */
	uint32_t next;
	bool grow;			/* the server's layouts may go past the end of the file (INVALID extents there may be written): not with provider plain */
	enum reason no_layout;		/* REASON_NONE: layouts may be asked for; else why not: NEED becomes MDS */
	uint32_t block_size;		/* logical block size of the device: reads are aligned to it, the bounce is the caller's */
};

/*
 * Fill STEPS, at most MAX; returns how many.  If more were needed the last ends early: plan the rest afterwards.
 * Writes are never planned DIRECT past the end of the file's last whole block unless grow; reads past size are not planned at all (the caller cuts at size).
 */
unsigned ioplan_make(const struct ioplan_in *in, struct ioplan_step *steps, unsigned max);

#endif
