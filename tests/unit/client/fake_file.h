/*
 * The file operations of the fake server (fake_mds.h): two files of one file system, "a" and "b", on a volume that is an image file with a signature.
 * What it grants, refuses and remembers stands in struct fake_files; the test looks at it and changes it between requests.
 *
 * A file's byte at OFFSET is at FAKE_BASE + index * FAKE_SPAN + OFFSET of the image - through the server and in layouts alike.
 */
#ifndef PNFS_TESTS_FAKE_FILE_H
#define PNFS_TESTS_FAKE_FILE_H

#include "proto/layout/layout_xdr.h"
#include "tests/unit/client/fake_mds.h"

#define FAKE_NFILES 2u
#define FAKE_SPAN (1u << 20)
#define FAKE_BASE (64u << 10)
#define FAKE_IMAGE (FAKE_BASE + FAKE_NFILES * FAKE_SPAN)
#define FAKE_SIGNATURE_AT 512
#define FAKE_SIGNATURE "the volume of fake_file"
#define FAKE_MAX_EXTENTS 32u
#define FAKE_MAX_LOG 64u
#define FAKE_MAX_OPS 4096u

struct fake_file {
	atomic_ullong size;
	uint32_t opens;			/* seqid of its open stateid, whose other begins with 'o'; a layout's with 'l' */
	atomic_uint layout_seqid;	/* 0: no layout is out */
	stateid4 last_layout;
	/* Granted by the next LAYOUTGET in this mode: what of it touches the range asked for.  n 0: all of the file, mapped. */
	uint32_t nread, nrw;
	struct layout_extent read[FAKE_MAX_EXTENTS], rw[FAKE_MAX_EXTENTS];
};

struct fake_commit {
	bool reclaim;
	uint64_t offset, length, last;
	stateid4 stateid;
	uint32_t n;
	struct layout_extent ext[FAKE_MAX_EXTENTS];	/* as sent */
};

struct fake_op {
	uint32_t op;
	nfsstat4 status;
	uint32_t a, b;			/* LAYOUTGET: iomode; LAYOUTRETURN: type and iomode; OPEN: claim; GETDEVICEINFO: notify bits; TEST_STATEID: how many */
	uint64_t offset, length;	/* LAYOUTGET, LAYOUTRETURN of a file, READ, WRITE */
};

struct fake_files {
	struct fake_file file[FAKE_NFILES];
	int image;
	char path[64];
	uint32_t lease;			/* seconds, told to the client */
	/* Knobs: an operation and the status it is answered by, so many times. */
	_Atomic uint32_t refuse_op;
	_Atomic nfsstat4 refuse_status;
	atomic_int refuse;
	atomic_int read_short;		/* READs that end at read_eof */
	atomic_ullong read_eof;
	/* TEST_STATEID: those of opens, or layouts, are NFS4ERR_EXPIRED until one is freed; then fake->sticky goes, unless stubborn. */
	atomic_bool opens_revoked, layouts_revoked, stubborn;
	atomic_bool devid_gone;		/* GETDEVICEINFO: NFS4ERR_NOENT */
	/* What happened. */
	atomic_uint nops;
	struct fake_op ops[FAKE_MAX_OPS];
	atomic_uint ncommits;
	struct fake_commit commits[FAKE_MAX_LOG];
	atomic_int freed_opens, freed_layouts;
};

/* The image, made in the working directory or /tmp; FILES serve as FAKE's from its next request on. */
void fake_files_start(struct fake_files *files, struct fake_mds *fake);
void fake_files_stop(struct fake_files *files);

/* The device the layouts name. */
extern const uint8_t fake_device[NFS4_DEVICEID4_SIZE];

/* An extent of file I, mapped where its bytes are. */
struct layout_extent fake_extent(unsigned i, uint64_t offset, uint64_t length, enum extent_state state);

/* How many operations OP were done (answered, also by an error) so far. */
unsigned fake_count(struct fake_files *files, uint32_t op);
/* The last OP, or NULL. */
const struct fake_op *fake_last(struct fake_files *files, uint32_t op);
void fake_refuse(struct fake_files *files, uint32_t op, nfsstat4 status, int times);

/* The bytes of file I as they are on the image. */
void fake_peek(struct fake_files *files, unsigned i, uint64_t offset, void *buf, size_t len);
void fake_poke(struct fake_files *files, unsigned i, uint64_t offset, const void *buf, size_t len);

#endif
