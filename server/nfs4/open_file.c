/* OPEN by name: look-up and the four ways to create (RFC 8881 18.16.3); see open_file.h. */
#include "server/nfs4/open_file.h"

#include <errno.h>
#include <string.h>

#include "proto/nfs4/status.h"
#include "server/nfs4/dir.h"
#include "server/nfs4/name.h"
#include "server/nfs4/way.h"

/* Of files created without a mode: for their owner alone (RFC 8881 18.16.4). */
#define DEFAULT_MODE 0600

/* How to create, taken apart before anything is done. */
struct create {
	createmode4 mode;
	struct fs_setattr set;
	struct attr_mask mask;		/* attributes that SET covers */
	struct timespec verf[2];	/* the verifier as atime and mtime */
};

/*
 * The verifier as two times, kept in the inode as other servers do.  31 bits of each half: what every file system can
 * store.
 */
static void
verifier_times(const verifier4 verf, struct timespec t[2])
{
	uint32_t half[2];

	memcpy(half, verf, sizeof half);
	for (unsigned i = 0; i < 2; i++)
		t[i] = (struct timespec){ .tv_sec = half[i] & 0x7fffffff };
}

static nfsstat4
create_parse(struct compound *c, createhow4 *how, struct create *cr)
{
	cr->mode = how->mode;
	if (how->mode == UNCHECKED4 || how->mode == GUARDED4)
		return attr_to_set(c, false, &how->createhow4_u.createattrs, &cr->set, &cr->mask);
	/*
	 * EXCLUSIVE4: INVAL for clients of a pNFS server, as all ours are (EXCHGID4_FLAG_USE_PNFS_MDS, RFC 8881 18.16.3).
	 */
	if (how->mode != EXCLUSIVE4_1)
		return NFS4ERR_INVAL;
	creatverfattr *both = &how->createhow4_u.ch_createboth;
	struct attr_mask asked, may = attr_exclcreat();
	nfsstat4 status = NFS4_OK;
	if (attr_mask_from(&asked, &both->cva_attrs.attrmask))
		status = NFS4ERR_INVAL;
	for (unsigned i = 0; i < ATTR_WORDS; i++)
		if (asked.w[i] & ~may.w[i])
			status = NFS4ERR_INVAL;	/* 18.16.3: outside suppattr_exclcreat */
	if (status != NFS4_OK)
		return status;
	verifier_times(both->cva_verf, cr->verf);
	return attr_to_set(c, false, &both->cva_attrs, &cr->set, &cr->mask);
}

/* The directory: its change, and may the caller search it?  NOTDIR for whatever is none (RFC 8881 18.16.4). */
static nfsstat4
dir_look(struct compound *c, struct fs_change *change)
{
	struct fs_stat st;

	nfsstat4 status = dir_check(c->cur);
	if (status != NFS4_OK)
		return status;
	int err = fs_getattr(c->cur, &st);
	if (err)
		return nfs4_status(err);
	change->before = change->after = st.change;
	return nfs4_status(fs_permits(c->cur, &st, &c->cred, X_OK, false));
}

/* Is INODE what an earlier EXCLUSIVE4_1 with this verifier has made? */
static nfsstat4
exclusive_seen(struct inode *inode, const struct create *cr)
{
	struct fs_stat st;

	if ((inode->type & S_IFMT) != S_IFREG)
		return NFS4ERR_EXIST;
	int err = fs_getattr(inode, &st);
	if (err)
		return nfs4_status(err);
	return st.stx.stx_atime.tv_sec == cr->verf[0].tv_sec && st.stx.stx_mtime.tv_sec == cr->verf[1].tv_sec ?
	    NFS4_OK : NFS4ERR_EXIST;
}

static void
exclusive_attrset(struct open_file *f, const struct create *cr)
{
	f->attrset = cr->mask;
	attr_set(&f->attrset, FATTR4_TIME_ACCESS_SET);
	attr_set(&f->attrset, FATTR4_TIME_MODIFY_SET);
}

/* The name is taken. */
static nfsstat4
create_exists(struct inode *inode, const struct create *cr, struct open_file *f)
{
	nfsstat4 status = NFS4_OK;

	switch (cr->mode) {
	case GUARDED4:
		return NFS4ERR_EXIST;
	case EXCLUSIVE4_1:
		status = exclusive_seen(inode, cr);
		f->replay = status == NFS4_OK;
		if (f->replay)
			exclusive_attrset(f, cr);
		return status;
	default:
		/* Of the attributes only a size of 0 counts now (18.16.3). */
		f->truncate = (cr->set.what & FS_SET_SIZE) && cr->set.size == 0;
		return NFS4_OK;
	}
}

/* Everything that fs_create() has not set, the verifier in the same step. */
static nfsstat4
create_attrs(struct compound *c, struct inode *inode, const struct create *cr)
{
	struct fs_setattr set = cr->set;

	if (set.size == 0)
		set.what &= ~(unsigned)FS_SET_SIZE;
	if (!(set.what & (FS_SET_UID | FS_SET_GID)))
		set.what &= ~(unsigned)FS_SET_MODE;	/* else again: chown takes set-id bits away */
	if (cr->mode == EXCLUSIVE4_1) {
		set.what |= FS_SET_ATIME | FS_SET_MTIME;
		set.atime = cr->verf[0];
		set.mtime = cr->verf[1];
	}
	if (!set.what)
		return NFS4_OK;
	nfsstat4 status = way_take_lock(c, inode);
	if (status != NFS4_OK)
		return status;
	status = nfs4_status(fs_setattr(inode, &c->cred, &set, true));
	way_drop(inode);
	return status;
}

/* -EEXIST comes back as NFS4ERR_EXIST. */
static nfsstat4
create_new(struct compound *c, const component4 *name, const struct create *cr, struct open_file *f,
    struct inode **inode)
{
	nfsstat4 status = compound_check_rw(c);
	if (status != NFS4_OK)
		return status;
	mode_t mode = cr->set.what & FS_SET_MODE ? cr->set.mode & 07777 : DEFAULT_MODE;
	int err = fs_create(c->cur, name->utf8string_val, name->utf8string_len, &c->cred, mode, inode, &f->change);
	if (err)
		return nfs4_status(err);
	status = create_attrs(c, *inode, cr);
	if (status != NFS4_OK) {
		/* Not half a file: nobody was told of it. */
		fs_remove(c->cur, name->utf8string_val, name->utf8string_len, &c->cred, NULL);
		inode_put(*inode);
		return status == NFS4ERR_EXIST ? NFS4ERR_IO : status;
	}
	f->made = true;
	if (cr->mode == EXCLUSIVE4_1)
		exclusive_attrset(f, cr);
	else
		f->attrset = cr->mask;
	return NFS4_OK;
}

static nfsstat4
find_or_create(struct compound *c, const component4 *name, const struct create *cr, struct open_file *f,
    struct inode **inode)
{
	/* Somebody may create it after our look and remove it after our try: not for ever. */
	for (unsigned tries = 0; tries < 8; tries++) {
		int err = fs_lookup(c->cur, name->utf8string_val, name->utf8string_len, inode);
		if (!err) {
			nfsstat4 status = cr ? create_exists(*inode, cr, f) : NFS4_OK;
			if (status != NFS4_OK)
				inode_put(*inode);
			return status;
		}
		if (err != -ENOENT || !cr)
			return nfs4_status(err);
		nfsstat4 status = create_new(c, name, cr, f, inode);
		if (status != NFS4ERR_EXIST)
			return status;
	}
	return NFS4ERR_DELAY;
}

nfsstat4
open_file_by_name(struct compound *c, const component4 *name, createhow4 *how, struct open_file *f)
{
	struct create cr = { 0 };
	struct inode *inode;

	nfsstat4 status = dir_look(c, &f->change);
	if (status == NFS4_OK)
		status = name_check(name);
	if (status == NFS4_OK && how)
		status = create_parse(c, how, &cr);
	if (status == NFS4_OK)
		status = find_or_create(c, name, how ? &cr : NULL, f, &inode);
	if (status != NFS4_OK)
		return status;
	f->deleg.inode = inode;
	if (c->on_loop && !f->made && (f->truncate || deleg_wants_worker(c->mds, &f->deleg))) {
		/* Somebody may have to be waited for, and then this is run again: nothing has changed yet. */
		inode_put(inode);
		return OP_WORKER;
	}
	f->has_change = true;
	return compound_set_fh(c, inode);
}
