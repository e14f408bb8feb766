/*
 * What an inode's attributes are: the file's own (statx), the file system's, the
 * export's, the server's (RFC 8881 chapter 5).  GETATTR, READDIR and VERIFY ask.
 * The bytes are proto/nfs4/attrs.c's.
 */
#include <string.h>

#include "proto/nfs4/fsid.h"
#include "proto/nfs4/status.h"
#include "server/export/export.h"
#include "server/mds.h"
#include "server/nfs4/acl.h"
#include "server/nfs4/attr.h"

#define ATTR_MAX_IO (1u << 20)		/* maxread, maxwrite */
#define ATTR_MAX_LINK 0x7fffffffu	/* XFS */
#define ATTR_MAX_FILE ((uint64_t)INT64_MAX)

#define B(bit) (1u << ((bit) % 32))

/* Words 0, 1, 2; what a client may only set stands in them too (RFC 8881 5.8.1.1 counts both). */
#define SET0 (B(FATTR4_SIZE) | B(FATTR4_ACL))
#define SET1 (B(FATTR4_MODE) | B(FATTR4_OWNER) | B(FATTR4_OWNER_GROUP) | B(FATTR4_TIME_ACCESS_SET) | \
	B(FATTR4_TIME_MODIFY_SET))
#define SET2 (B(FATTR4_MODE_SET_MASKED) | B(FATTR4_TIME_DELEG_ACCESS) | B(FATTR4_TIME_DELEG_MODIFY))

/* From statx(2). */
#define STAT0 (B(FATTR4_TYPE) | B(FATTR4_CHANGE) | B(FATTR4_SIZE) | B(FATTR4_FILEID))
#define STAT1 (B(FATTR4_MODE) | B(FATTR4_NUMLINKS) | B(FATTR4_OWNER) | B(FATTR4_OWNER_GROUP) | \
	B(FATTR4_RAWDEV) | B(FATTR4_SPACE_USED) | B(FATTR4_TIME_ACCESS) | B(FATTR4_TIME_CREATE) | \
	B(FATTR4_TIME_METADATA) | B(FATTR4_TIME_MODIFY))

/* From statfs(2). */
#define SPACE0 (B(FATTR4_FILES_AVAIL) | B(FATTR4_FILES_FREE) | B(FATTR4_FILES_TOTAL))
#define SPACE1 (B(FATTR4_SPACE_AVAIL) | B(FATTR4_SPACE_FREE) | B(FATTR4_SPACE_TOTAL))

/* The same for every node, or the export's. */
#define CONST0 (B(FATTR4_SUPPORTED_ATTRS) | B(FATTR4_FH_EXPIRE_TYPE) | B(FATTR4_LINK_SUPPORT) | \
	B(FATTR4_SYMLINK_SUPPORT) | B(FATTR4_NAMED_ATTR) | B(FATTR4_FSID) | B(FATTR4_UNIQUE_HANDLES) | \
	B(FATTR4_LEASE_TIME) | B(FATTR4_RDATTR_ERROR) | B(FATTR4_ACLSUPPORT) | B(FATTR4_CANSETTIME) | \
	B(FATTR4_CASE_INSENSITIVE) | B(FATTR4_CASE_PRESERVING) | B(FATTR4_CHOWN_RESTRICTED) | \
	B(FATTR4_FILEHANDLE) | B(FATTR4_HOMOGENEOUS) | B(FATTR4_MAXFILESIZE) | B(FATTR4_MAXLINK) | \
	B(FATTR4_MAXNAME) | B(FATTR4_MAXREAD) | B(FATTR4_MAXWRITE))
#define CONST1 (B(FATTR4_NO_TRUNC) | B(FATTR4_TIME_DELTA) | B(FATTR4_MOUNTED_ON_FILEID) | \
	B(FATTR4_FS_LAYOUT_TYPES))
#define CONST2 (B(FATTR4_LAYOUT_BLKSIZE) | B(FATTR4_SUPPATTR_EXCLCREAT) | B(FATTR4_CLONE_BLKSIZE) | \
	B(FATTR4_CHANGE_ATTR_TYPE) | B(FATTR4_XATTR_SUPPORT) | B(FATTR4_OPEN_ARGUMENTS))

const struct attr_mask attr_supported = { { CONST0 | STAT0 | SPACE0 | SET0, CONST1 | STAT1 | SPACE1 | SET1,
    CONST2 | SET2 } };
const struct attr_mask attr_supported_set = { { SET0, SET1, SET2 } };

/* Bits of word 2 that RFC 7862 added, from clone_blksize (77) on. */
#define V42_WORD2 (~0u << (FATTR4_CLONE_BLKSIZE % 32))

struct attr_mask
attr_supported_at(uint32_t minor)
{
	struct attr_mask m = attr_supported;

	if (minor < 2)
		m.w[2] &= ~V42_WORD2;
	return m;
}

static bool
mask_any(const struct attr_mask *m, uint32_t w0, uint32_t w1)
{
	return (m->w[0] & w0) || (m->w[1] & w1);
}

nfs_ftype4
attr_type(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR:
		return NF4DIR;
	case S_IFBLK:
		return NF4BLK;
	case S_IFCHR:
		return NF4CHR;
	case S_IFLNK:
		return NF4LNK;
	case S_IFSOCK:
		return NF4SOCK;
	case S_IFIFO:
		return NF4FIFO;
	default:
		return NF4REG;
	}
}

static nfstime4
time_of(const struct statx_timestamp *ts)
{
	return (nfstime4){ .seconds = ts->tv_sec, .nseconds = ts->tv_nsec };
}

/* Decimal: RFC 8881 5.9 allows it where there is no translation. */
bool
attr_id_string(struct compound *c, uint32_t id, bool group, struct nfs_str *str)
{
	char buf[10], *p = buf + sizeof buf;

	(void)group;
	do
		*--p = '0' + id % 10;
	while (id /= 10);
	str->len = buf + sizeof buf - p;
	str->data = arena_dup(&c->arena, p, str->len);
	return str->data != NULL;
}

static nfsstat4
fill_stat(struct compound *c, struct inode *inode, struct nfs_attrs *a)
{
	struct fs_stat st;
	int err = fs_getattr(inode, &st);

	if (err < 0)
		return nfs4_status(err);
	const struct statx *stx = &st.stx;
	a->type = attr_type(stx->stx_mode);
	a->change = st.change;
	a->size = stx->stx_size;
	a->fileid = stx->stx_ino;
	a->mode = stx->stx_mode & 07777;
	a->numlinks = stx->stx_nlink;
	a->rawdev = (specdata4){ stx->stx_rdev_major, stx->stx_rdev_minor };
	a->space_used = stx->stx_blocks * 512;
	a->time_access = time_of(&stx->stx_atime);
	a->time_create = time_of(&stx->stx_btime);
	a->time_metadata = time_of(&stx->stx_ctime);
	a->time_modify = time_of(&stx->stx_mtime);
	if (!(stx->stx_mask & STATX_BTIME))
		attr_clear(&a->mask, FATTR4_TIME_CREATE);
	if (attr_has(&a->mask, FATTR4_OWNER) && !attr_id_string(c, stx->stx_uid, false, &a->owner))
		return NFS4ERR_DELAY;
	if (attr_has(&a->mask, FATTR4_OWNER_GROUP) && !attr_id_string(c, stx->stx_gid, true, &a->owner_group))
		return NFS4ERR_DELAY;
	return NFS4_OK;
}

static nfsstat4
fill_space(struct inode *inode, struct nfs_attrs *a)
{
	struct fs_space space = { 0 };
	int err = fs_statfs(inode, &space);

	if (err < 0)
		return nfs4_status(err);
	a->files_avail = space.files_avail;
	a->files_free = space.files_free;
	a->files_total = space.files_total;
	a->space_avail = space.avail;
	a->space_free = space.free;
	a->space_total = space.total;
	return NFS4_OK;
}

/*
 * Clients read fs_layout_types once per fsid: another layout type is another file
 * system to them (PITFALLS B24).  0, 0 is the pseudo file system.
 */
static fsid4
fsid_of(const struct export *export)
{
	if (!export)
		return (fsid4){ 0, 0 };
	static const uint8_t none[sizeof export->uuid];
	if (memcmp(export->uuid, none, sizeof none))
		return fsid_of_uuid(export->uuid, export->layout_type);
	return (fsid4){ .major = (uint64_t)1 << 32 | export->id, .minor = export->layout_type };
}

/*
 * What OPEN takes (RFC 9754 3.1), the bits being the values: shares, denials, what is wanted of delegations, claims, ways to create.  Not the promises of
 * signals and pushes, which are never made, nor the claims and the way to create that are declined (op_open.c, open_file.c).
 */
#define V(value) (1u << (value))
static const uint32_t open_args[5] = {
	V(OPEN4_SHARE_ACCESS_READ) | V(OPEN4_SHARE_ACCESS_WRITE) | V(OPEN4_SHARE_ACCESS_BOTH),
	V(OPEN4_SHARE_DENY_NONE) | V(OPEN4_SHARE_DENY_READ) | V(OPEN4_SHARE_DENY_WRITE) | V(OPEN4_SHARE_DENY_BOTH),
	V(3) | V(4) | V(5) |	/* any, none, cancel */
	    V(OPEN_ARGS_SHARE_ACCESS_WANT_DELEG_TIMESTAMPS) | V(OPEN_ARGS_SHARE_ACCESS_WANT_OPEN_XOR_DELEGATION),
	V(CLAIM_NULL) | V(CLAIM_PREVIOUS) | V(CLAIM_DELEGATE_CUR) | V(CLAIM_FH) | V(CLAIM_DELEG_CUR_FH),
	V(UNCHECKED4) | V(GUARDED4) | V(EXCLUSIVE4_1),
};

/* What costs nothing: set always, the mask says what is sent. */
static void
fill_const(struct compound *c, struct inode *inode, struct nfs_attrs *a)
{
	const struct export *export = inode->export;

	a->supported = attr_supported_at(c->minor);
	a->suppattr_exclcreat = attr_exclcreat();
	a->fh_expire_type = FH4_PERSISTENT;
	a->link_support = a->symlink_support = a->unique_handles = true;
	a->named_attr = a->case_insensitive = false;
	a->case_preserving = a->cansettime = a->chown_restricted = a->homogeneous = a->no_trunc = true;
	a->fsid = fsid_of(export);
	a->lease_time = c->mds->conf.lease;
	a->rdattr_error = NFS4_OK;
	a->aclsupport = fs_acl_supported(inode) ? ACL4_SUPPORT_ALLOW_ACL | ACL4_SUPPORT_DENY_ACL : 0;
	a->fh = (struct nfs_str){ inode->handle_len, (const char *)inode->handle };
	a->maxfilesize = ATTR_MAX_FILE;
	a->maxlink = ATTR_MAX_LINK;
	a->maxname = FS_NAME_MAX;
	a->maxread = a->maxwrite = ATTR_MAX_IO;
	a->time_delta = (nfstime4){ 0, 1 };
	a->nlayout_types = export && export->layout_type;
	a->layout_types[0] = export ? export->layout_type : 0;
	a->layout_blksize = 4096;	/* at every node, or Linux does no pNFS on the mount (PITFALLS B23) */
	a->clone_blksize = export ? export->block_size : 0;
	a->xattr_support = fs_xattr_supported(inode);
	a->change_attr_type = NFS4_CHANGE_TYPE_IS_MONOTONIC_INCR;
	memcpy(a->open_arguments, open_args, sizeof open_args);
}

nfsstat4
attr_get(struct compound *c, struct inode *inode, const struct attr_mask *want, struct nfs_attrs *a)
{
	struct attr_mask supported = attr_supported_at(c->minor);
	nfsstat4 status = NFS4_OK;

	for (int i = 0; i < ATTR_WORDS; i++)
		a->mask.w[i] = want->w[i] & supported.w[i] & ~attrs_writeonly.w[i];
	if (attr_has(&a->mask, FATTR4_ACL) && c->on_loop)
		return OP_WORKER;	/* it may have to be read from the disk */
	fill_const(c, inode, a);
	if (mask_any(&a->mask, STAT0, STAT1))
		status = fill_stat(c, inode, a);
	if (status == NFS4_OK && mask_any(&a->mask, SPACE0, SPACE1))
		status = fill_space(inode, a);
	if (status == NFS4_OK && attr_has(&a->mask, FATTR4_ACL))
		status = acl_get(c, inode, &a->acl);
	if (attr_has(&a->mask, FATTR4_MOUNTED_ON_FILEID))
		a->mounted_on_fileid = fs_mounted_on(inode);
	return status;
}

void
attr_change_info(change_info4 *info, const struct fs_change *change)
{
	info->atomic = FALSE;
	info->before = change->before;
	info->after = change->after;
}

bool
attr_time_counts(struct timespec *t, const struct statx_timestamp *has, const struct timespec *now)
{
	if (t->tv_sec > now->tv_sec || (t->tv_sec == now->tv_sec && t->tv_nsec > now->tv_nsec))
		*t = *now;
	return t->tv_sec > has->tv_sec || (t->tv_sec == has->tv_sec && t->tv_nsec > has->tv_nsec);
}
