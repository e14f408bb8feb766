/*
 * READDIR's entries (RFC 8881 18.23), written and read one by one: rpcgen's
 * codec for entry4 recurses once per entry, and a reply of 10 MB ends the process.
 *
 * Server: dirent_begin behind the status word, dirent_add while it says true,
 * dirent_finish.  Client: dirent_open behind the status word, dirent_next.
 */
#ifndef PNFS_PROTO_NFS4_DIRENT_H
#define PNFS_PROTO_NFS4_DIRENT_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/nfs4/attrs.h"
#include "proto/xdr/xdr_arena.h"

struct dirent_writer {
	XDR *xdrs;
	XDR start;			/* to come back to if nothing fits */
	uint32_t max_left, dir_left;	/* bytes */
	uint32_t count;			/* entries so far */
};

/*
 * Begin a READDIR4resok.  MAXCOUNT bounds all of it, as in the request; DIRCOUNT
 * is the hint for cookies and names, 0: none (it never stops the first entry).
 * False: not even an empty reply fits (NFS4ERR_TOOSMALL).
 */
bool dirent_begin(struct dirent_writer *w, XDR *xdrs, const verifier4 verf,
    uint32_t dircount, uint32_t maxcount);

/* One more entry, with the attributes WANT & a->mask.  False: it does not fit and the stream is as before. */
bool dirent_add(struct dirent_writer *w, uint64_t cookie, const char *name, uint32_t len,
    const struct nfs_attrs *a, const struct attr_mask *want);

/*
 * End of the list.  EOF: there are no entries behind the last one.  NFS4ERR_TOOSMALL, and nothing
 * written, if there is none in it although the directory has some (EOF false).
 */
nfsstat4 dirent_finish(struct dirent_writer *w, bool eof);

struct dirent_reader {
	XDR *xdrs;
	verifier4 verf;
	bool done, eof;			/* eof counts when done */
};

/* NAME and ATTRS point into the stream, but for the mask, which is in the arena. */
struct dirent_item {
	uint64_t cookie;
	struct nfs_str name;
	fattr4 attrs;
};

/* Begin to read a READDIR4resok; the stream needs an arena.  False: malformed. */
bool dirent_open(struct dirent_reader *r, XDR *xdrs);

/*
 * The next entry: 1; 0: no more (r->eof says whether of the directory or of this
 * reply), the stream stands behind it; -EBADMSG: malformed, or a name which is none (empty, "/" or NUL in it).
 */
int dirent_next(struct dirent_reader *r, struct dirent_item *item);

/* For op_xdr.c: xdr_READDIR4res without recursion. */
bool_t dirent_xdr_res(XDR *xdrs, READDIR4res *res);

#endif
