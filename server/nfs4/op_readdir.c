/*
 * READDIR (RFC 8881 18.23).  Entries are written straight into the reply, one by one
 * as the file system gives them: no list in memory, no recursion.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "proto/nfs4/dirent.h"
#include "proto/nfs4/status.h"
#include "server/nfs4/attr.h"
#include "server/nfs4/dir.h"

#define READDIR_MAX (128u << 10)	/* bytes of one reply at most; the client comes again */
#define RESULT_HEAD 8u			/* operation number and status */
#define COOKIE_RESERVED 2u

/* Cookies are the file system's own and outlive us: the verifier is always this one. */
static const uint8_t cookie_verifier[NFS4_VERIFIER_SIZE] = { 'p', 'n', 'f', 's', 'd', 'i', 'r', 1 };

struct listing {
	struct compound *c;
	struct dirent_writer w;
	struct attr_mask want;
	bool stopped;			/* no room, or status */
	nfsstat4 status;
};

/* What a directory knows of its entries by itself. */
static bool
from_dirent(const struct listing *l, const struct fs_dirent *ent, struct nfs_attrs *a)
{
	struct attr_mask known = { { 1u << FATTR4_RDATTR_ERROR | 1u << FATTR4_FILEID |
	    (ent->type ? 1u << FATTR4_TYPE : 0), 1u << (FATTR4_MOUNTED_ON_FILEID - 32), 0 } };
	struct attr_mask supported = attr_supported_at(l->c->minor);

	/* Nor whether this client may see it: below the pseudo root that is a matter of each entry's. */
	if (ent->mount || l->c->cur->pseudo)
		return false;
	for (int i = 0; i < ATTR_WORDS; i++) {
		a->mask.w[i] = l->want.w[i] & supported.w[i];
		if (a->mask.w[i] & ~known.w[i])
			return false;
	}
	a->rdattr_error = NFS4_OK;
	a->type = ent->type ? attr_type(ent->type) : 0;
	a->fileid = a->mounted_on_fileid = ent->ino;
	return true;
}

/* NFS4ERR_NOENT: gone meanwhile, or not for this client's eyes. */
static nfsstat4
from_inode(struct listing *l, const struct fs_dirent *ent, struct nfs_attrs *a)
{
	struct inode *inode;
	int err = fs_lookup(l->c->cur, ent->name, ent->len, &inode);

	if (err < 0)
		return err == -ESTALE ? NFS4ERR_NOENT : nfs4_status(err);
	nfsstat4 status = dir_visible(l->c, inode) ? dir_check_sec(l->c, inode) : NFS4ERR_NOENT;
	if (status == NFS4_OK)
		status = attr_get(l->c, inode, &l->want, a);
	if (status == NFS4_OK && attr_has(&a->mask, FATTR4_FILEHANDLE)) {
		/* It would point into an inode that has been put. */
		a->fh.data = arena_dup(&l->c->arena, inode->handle, inode->handle_len);
		if (!a->fh.data)
			status = NFS4ERR_DELAY;
	}
	inode_put(inode);
	return status == NFS4ERR_STALE ? NFS4ERR_NOENT : status;
}

static bool
stop(struct listing *l, nfsstat4 status)
{
	/* What went wrong after the first entry will go wrong again as the first of the next READDIR. */
	l->status = l->w.count ? NFS4_OK : status;
	l->stopped = true;
	return false;
}

static bool
emit(void *arg, const struct fs_dirent *ent)
{
	struct listing *l = arg;
	struct nfs_attrs a;

	if (!from_dirent(l, ent, &a)) {
		nfsstat4 status = from_inode(l, ent, &a);
		/*
		 * A mount that is no export is not to be had by anybody, nor an export by another flavor than its own: without rdattr_error they would stop
		 * every READDIR.
		 */
		if (status == NFS4ERR_NOENT ||
		    ((status == NFS4ERR_ACCESS || status == NFS4ERR_WRONGSEC) && !attr_has(&l->want, FATTR4_RDATTR_ERROR)))
			return true;
		if (status != NFS4_OK && !attr_has(&l->want, FATTR4_RDATTR_ERROR))
			return stop(l, status);
		if (status != NFS4_OK) {
			/* RFC 8881 18.23.3: the error in its place, not instead of all */
			a.mask = (struct attr_mask){ { 1u << FATTR4_RDATTR_ERROR, 0, 0 } };
			a.rdattr_error = status;
		}
	}
	return dirent_add(&l->w, ent->cookie, ent->name, ent->len, &a, &a.mask) || stop(l, NFS4ERR_TOOSMALL);
}

static nfsstat4
readdir_check(struct compound *c, const READDIR4args *args, struct attr_mask *want)
{
	nfsstat4 status = dir_check(c->cur);

	if (status == NFS4_OK)
		status = dir_access(c, c->cur, &c->cred, R_OK);
	if (status != NFS4_OK)
		return status;
	attr_mask_from(want, &args->attr_request);
	for (int i = 0; i < ATTR_WORDS; i++)
		if (want->w[i] & attrs_writeonly.w[i])
			return NFS4ERR_INVAL;
	if (args->cookie == 0)
		return NFS4_OK;
	/* 1 and 2 are never given (PITFALLS E12); about others the file system decides. */
	if (args->cookie <= COOKIE_RESERVED)
		return NFS4ERR_BAD_COOKIE;
	static const uint8_t none[NFS4_VERIFIER_SIZE];
	if (memcmp(args->cookieverf, none, sizeof none) != 0 &&
	    memcmp(args->cookieverf, cookie_verifier, sizeof cookie_verifier) != 0)
		return NFS4ERR_NOT_SAME;
	return NFS4_OK;
}

/* Operation number and status go before what X holds. */
static void
reply_finish(struct compound *c, XDR *x)
{
	ax_put_u32(&c->out, OP_READDIR);
	ax_put_u32(&c->out, NFS4_OK);
	ax_take(&c->out, ax_used(x));
	c->encoded = true;
}

/* All but the arguments' checks; LIMIT bytes at most. */
static nfsstat4
readdir_list(struct compound *c, const READDIR4args *args, struct listing *l, uint32_t limit)
{
	bool eof = false;
	XDR x;

	if (!compound_reply_data(c, 0, limit))
		return NFS4ERR_TOOSMALL;
	ax_init(&x, ax_pos(&c->out) + RESULT_HEAD, limit, XDR_ENCODE, NULL);
	if (!dirent_begin(&l->w, &x, (const char *)cookie_verifier, args->dircount, limit))
		return NFS4ERR_TOOSMALL;
	int err = fs_readdir(c->cur, args->cookie, emit, l, &eof);
	if (err < 0)
		return err == -EINVAL && args->cookie ? NFS4ERR_BAD_COOKIE : nfs4_status(err);
	if (l->status != NFS4_OK)
		return l->status;
	nfsstat4 status = dirent_finish(&l->w, eof && !l->stopped);
	if (status == NFS4_OK)
		reply_finish(c, &x);
	return status;
}

nfsstat4
op_readdir(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const READDIR4args *args = &arg->nfs_argop4_u.opreaddir;
	struct listing l = { .c = c };

	(void)res;
	if (c->on_loop)
		return OP_WORKER;
	nfsstat4 status = readdir_check(c, args, &l.want);
	if (status != NFS4_OK)
		return status;
	uint32_t limit = args->maxcount < READDIR_MAX ? args->maxcount : READDIR_MAX;
	uint32_t room = compound_room(c);
	status = readdir_list(c, args, &l, (room < limit ? room : limit) & ~3u);
	/* Not the client's maxcount but its session's limit was too small. */
	return status == NFS4ERR_TOOSMALL && room < limit ? NFS4ERR_REP_TOO_BIG : status;
}
