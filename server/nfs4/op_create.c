/* CREATE of all but regular files, and READLINK (RFC 8881 18.4, 18.24). */
#include <limits.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "proto/nfs4/status.h"
#include "server/nfs4/attr.h"
#include "server/nfs4/dir.h"
#include "server/nfs4/name.h"

/* dev_t in Linux: 12 bits major, 20 bits minor. */
#define DEV_MAJOR_MAX 0xfffu
#define DEV_MINOR_MAX 0xfffffu

static nfsstat4
target_check(const linktext4 *target)
{
	if (target->linktext4_len == 0)
		return NFS4ERR_INVAL;
	if (target->linktext4_len >= PATH_MAX)
		return NFS4ERR_NAMETOOLONG;
	return memchr(target->linktext4_val, 0, target->linktext4_len) ? NFS4ERR_INVAL : NFS4_OK;
}

static nfsstat4
type_check(const createtype4 *type)
{
	const specdata4 *dev = &type->createtype4_u.devdata;

	switch (type->type) {
	case NF4LNK:
		return target_check(&type->createtype4_u.linkdata);
	case NF4BLK:
	case NF4CHR:
		return dev->specdata1 > DEV_MAJOR_MAX || dev->specdata2 > DEV_MINOR_MAX ? NFS4ERR_INVAL : NFS4_OK;
	case NF4SOCK:
	case NF4FIFO:
	case NF4DIR:
		return NFS4_OK;
	default:
		return NFS4ERR_BADTYPE;
	}
}

static bool
in_groups(const struct fs_cred *cred, gid_t gid)
{
	if (gid == cred->gid)
		return true;
	for (unsigned i = 0; i < cred->ngids; i++)
		if (cred->gids[i] == gid)
			return true;
	return false;
}

/* What fs_setattr() would refuse is refused before there is anything to take back. */
static nfsstat4
owner_check(const struct fs_cred *cred, const struct fs_setattr *set)
{
	if (cred->uid == 0)
		return NFS4_OK;
	if (set->what & FS_SET_UID && set->uid != cred->uid)
		return NFS4ERR_PERM;
	return set->what & FS_SET_GID && !in_groups(cred, set->gid) ? NFS4ERR_PERM : NFS4_OK;
}

static int
create_node(struct compound *c, const createtype4 *type, const component4 *name, mode_t mode, struct inode **inode,
    struct fs_change *change)
{
	const char *s = name->utf8string_val;
	unsigned len = name->utf8string_len;
	const specdata4 *dev = &type->createtype4_u.devdata;
	const linktext4 *target = &type->createtype4_u.linkdata;

	switch (type->type) {
	case NF4DIR:
		return fs_mkdir(c->cur, s, len, &c->cred, mode, inode, change);
	case NF4LNK:
		return fs_symlink(c->cur, s, len, &c->cred, target->linktext4_val, target->linktext4_len, inode, change);
	case NF4BLK:
	case NF4CHR:
		return fs_mknod(c->cur, s, len, &c->cred, (type->type == NF4BLK ? S_IFBLK : S_IFCHR) | mode,
		    makedev(dev->specdata1, dev->specdata2), inode, change);
	default:
		return fs_mknod(c->cur, s, len, &c->cred, (type->type == NF4SOCK ? S_IFSOCK : S_IFIFO) | mode, 0,
		    inode, change);
	}
}

/* Owner and times, one after the other; those that fail are missing from the reply's mask, the object stays. */
static void
set_rest(struct compound *c, struct inode *inode, const struct fs_setattr *set, struct attr_mask *done)
{
	static const struct { unsigned what, attr; } rest[] = {
		{ FS_SET_UID, FATTR4_OWNER }, { FS_SET_GID, FATTR4_OWNER_GROUP }, { FS_SET_ACL, FATTR4_ACL },
		{ FS_SET_ATIME, FATTR4_TIME_ACCESS_SET }, { FS_SET_MTIME, FATTR4_TIME_MODIFY_SET },
	};

	for (unsigned i = 0; i < sizeof rest / sizeof *rest; i++) {
		struct fs_setattr one = *set;

		one.what &= rest[i].what;
		if (one.what && fs_setattr(inode, &c->cred, &one, false) < 0)
			attr_clear(done, rest[i].attr);
	}
}

static nfsstat4
create_check(struct compound *c, const CREATE4args *args, struct fs_setattr *set, struct attr_mask *mask)
{
	nfsstat4 status = dir_check(c->cur);

	if (status == NFS4_OK)
		status = type_check(&args->objtype);
	if (status == NFS4_OK)
		status = name_check(&args->objname);
	if (status == NFS4_OK)
		status = attr_to_set(c, args->objtype.type == NF4DIR, &args->createattrs, set, mask);
	if (status == NFS4_OK && set->what & FS_SET_SIZE)
		status = NFS4ERR_INVAL;
	if (status == NFS4_OK)
		status = compound_check_rw(c);
	if (status == NFS4_OK)
		status = owner_check(&c->cred, set);
	return status;
}

nfsstat4
op_create(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const CREATE4args *args = &arg->nfs_argop4_u.opcreate;
	CREATE4resok *ok = &res->nfs_resop4_u.opcreate.CREATE4res_u.resok4;
	struct fs_setattr set;
	struct attr_mask mask;
	struct fs_change change;
	struct inode *inode;

	if (c->on_loop)
		return OP_WORKER;
	nfsstat4 status = create_check(c, args, &set, &mask);
	if (status != NFS4_OK)
		return status;
	struct attr_mask *done = arena_dup(&c->arena, &mask, sizeof mask);
	if (!done)
		return NFS4ERR_DELAY;
	mode_t mode = set.what & FS_SET_MODE ? set.mode : args->objtype.type == NF4DIR ? 0755 : 0644;
	int err = create_node(c, &args->objtype, &args->objname, mode, &inode, &change);
	if (err < 0)
		return nfs4_status(err);
	if (args->objtype.type == NF4LNK)
		attr_clear(done, FATTR4_MODE);	/* a symbolic link has none of its own */
	set_rest(c, inode, &set, done);
	attr_change_info(&ok->cinfo, &change);
	attr_mask_to(&ok->attrset, done);
	return compound_set_fh(c, inode);
}

nfsstat4
op_readlink(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	linktext4 *link = &res->nfs_resop4_u.opreadlink.READLINK4res_u.resok4.link;
	size_t len;

	(void)arg;
	if (c->cur->type != S_IFLNK)
		return NFS4ERR_WRONG_TYPE;
	if (c->on_loop)
		return OP_WORKER;
	char *buf = arena_alloc(&c->arena, PATH_MAX);
	if (!buf)
		return NFS4ERR_DELAY;
	int err = fs_readlink(c->cur, buf, PATH_MAX, &len);
	if (err < 0)
		return nfs4_status(err);
	link->linktext4_val = buf;
	link->linktext4_len = len;
	return NFS4_OK;
}
