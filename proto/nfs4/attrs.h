/*
 * fattr4 (RFC 8881 5, RFC 7862 12.2): attribute masks, and a table of one encoder
 * and decoder per attribute.  The same on both sides.
 *
 * Values stand in struct nfs_attrs; the bitmap says which are there.
 */
#ifndef PNFS_PROTO_NFS4_ATTRS_H
#define PNFS_PROTO_NFS4_ATTRS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/x/nfs4.h"

/* RFC 9754 */
#define FATTR4_TIME_DELEG_ACCESS 84
#define FATTR4_TIME_DELEG_MODIFY 85
#define FATTR4_OPEN_ARGUMENTS 86
#define OPEN_ARGS_SHARE_ACCESS_WANT_DELEG_TIMESTAMPS 20
#define OPEN_ARGS_SHARE_ACCESS_WANT_OPEN_XOR_DELEGATION 21

/* Attributes 0 to 95; RFC 8881, 7862, 8276 and 9754 end at 87. */
#define ATTR_WORDS 3
struct attr_mask {
	uint32_t w[ATTR_WORDS];
};

static inline void attr_set(struct attr_mask *m, unsigned bit) { m->w[bit / 32] |= 1u << (bit % 32); }
static inline void attr_clear(struct attr_mask *m, unsigned bit) { m->w[bit / 32] &= ~(1u << (bit % 32)); }
static inline bool attr_has(const struct attr_mask *m, unsigned bit) { return m->w[bit / 32] >> (bit % 32) & 1; }

/* bitmap4 <-> mask.  Bits past word 2 in BM are dropped and reported by the return value (true: there were some). */
bool attr_mask_from(struct attr_mask *m, const bitmap4 *bm);
/* BM points into M afterwards; trailing zero words are left out. */
void attr_mask_to(bitmap4 *bm, struct attr_mask *m);

/* A name on the wire: not terminated. */
struct nfs_str {
	uint32_t len;
	const char *data;
};

/* An ACL: its nfsace4s as they stand on the wire, one after the other; acl.h takes them apart. */
struct nfs_acl {
	uint32_t count;
	struct nfs_str aces;
};

struct nfs_attrs {
	struct attr_mask mask;		/* which of the following are valid */
	struct attr_mask supported;	/* supported_attrs (0) */
	uint32_t type;			/* nfs_ftype4 (1) */
	uint32_t fh_expire_type;	/* (2) */
	uint64_t change, size;		/* (3), (4) */
	bool link_support, symlink_support, named_attr;		/* (5)-(7) */
	fsid4 fsid;			/* (8) */
	bool unique_handles;		/* (9) */
	uint32_t lease_time;		/* seconds (10) */
	uint32_t rdattr_error;		/* (11) */
	struct nfs_acl acl;		/* (12) */
	uint32_t aclsupport;		/* (13) */
	bool cansettime, case_insensitive, case_preserving, chown_restricted;	/* (15)-(18) */
	struct nfs_str fh;		/* filehandle (19) */
	uint64_t fileid;		/* (20) */
	uint64_t files_avail, files_free, files_total;		/* (21)-(23) */
	bool homogeneous;		/* (26) */
	uint64_t maxfilesize;		/* (27) */
	uint32_t maxlink, maxname;	/* (28), (29) */
	uint64_t maxread, maxwrite;	/* (30), (31) */
	uint32_t mode;			/* permission bits 07777 (33) */
	bool no_trunc;			/* (34) */
	uint32_t numlinks;		/* (35) */
	struct nfs_str owner, owner_group;	/* (36), (37): "uid" or "name@domain" */
	specdata4 rawdev;		/* (41) */
	uint64_t space_avail, space_free, space_total, space_used;	/* bytes (42)-(45) */
	nfstime4 time_access, time_create, time_delta, time_metadata, time_modify; /* (47) (50) (51) (52) (53) */
	settime4 time_access_set, time_modify_set;	/* (48), (54): SETATTR only */
	uint64_t mounted_on_fileid;	/* (55) */
	uint32_t nlayout_types, layout_types[4];	/* fs_layout_types (62) */
	uint32_t layout_blksize;	/* bytes (65) */
	uint32_t mode_set_masked_value, mode_set_masked_mask;	/* mode_set_masked (74), set only */
	struct attr_mask suppattr_exclcreat;	/* (75) */
	uint64_t clone_blksize;		/* (77): uint32 on the wire */
	uint64_t space_freed;		/* (78) */
	uint32_t change_attr_type;	/* (79) */
	bool xattr_support;		/* RFC 8276 8.2.1 (82) */
	nfstime4 time_deleg_access, time_deleg_modify;	/* (84), (85): SETATTR and CB_GETATTR only */
	uint32_t open_arguments[5];	/* (86): bitmaps of shares, denials, wants, claims, ways to create; all fit into a word */
};

/* Every attribute that has an encoder; what a server may put into supported_attrs. */
extern const struct attr_mask attrs_known;
/* Attributes a client may set (SETATTR, OPEN, CREATE), and those it may not read. */
extern const struct attr_mask attrs_settable, attrs_writeonly;

/* Has BIT an encoder; and may it be set, and not be read (what the masks are made of)? */
bool attrs_row_flags(unsigned bit, bool *set, bool *writeonly);

/*
 * Write a fattr4 (mask, length, values in bit order) of WANT & a->mask.
 * False if it does not fit.
 */
bool attrs_encode(XDR *xdrs, const struct nfs_attrs *a, const struct attr_mask *want);

/* A fattr4 value for generated code, its values encoded into ARENA (as SETATTR's argument).  False: no room. */
bool attrs_to_fattr4(fattr4 *fattr, const struct nfs_attrs *a, struct arena *arena);

/*
 * Take the values of a fattr4 apart.  Strings point into it.  NFS4_OK;
 * ATTRNOTSUPP for a bit without a decoder (a->mask then holds those before it);
 * BADXDR if the values are short, too long, or malformed.
 */
nfsstat4 attrs_decode(const fattr4 *fattr, struct nfs_attrs *a);

/* Bytes the encoded values can take at most, without owner names, the handle and the ACL (for reply bounds). */
#define ATTRS_MAX_FIXED 512u

#endif
