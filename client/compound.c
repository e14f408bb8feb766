/* COMPOUNDs, built and taken apart; see compound.h. */
#include "client/compound.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "proto/nfs4/status.h"

utf8string
compound_name(const char *name)
{
	/* The generated types have no const. */
	union { const char *in; char *out; } u = { .in = name };
	return (utf8string){ .utf8string_len = (uint32_t)strlen(name), .utf8string_val = u.out };
}

void
compound_putfh(struct compound_call *c, const struct fh *fh)
{
	union { const uint8_t *in; char *out; } u = { .in = fh->data };
	PUTFH4args args = { .object = { .nfs_fh4_len = fh->len, .nfs_fh4_val = u.out } };
	compound_call_op(c, OP_PUTFH, &args);
}

void
compound_getattr(struct compound_call *c, const struct attr_mask *mask)
{
	struct attr_mask m = *mask;
	GETATTR4args args;
	attr_mask_to(&args.attr_request, &m);
	compound_call_op(c, OP_GETATTR, &args);
}

void
compound_lookup(struct compound_call *c, const char *name)
{
	LOOKUP4args args = { .objname = compound_name(name) };
	compound_call_op(c, OP_LOOKUP, &args);
}

int
reply_op(struct reply *r, uint32_t op)
{
	r->status = NFS4ERR_BADXDR;
	int err = compound_res_get(&r->results, op, &r->res);
	if (err) {
		/* An operation the server does not know is answered by OP_ILLEGAL, as the last. */
		if (r->results.status == NFS4ERR_OP_ILLEGAL) {
			r->status = NFS4ERR_OP_ILLEGAL;
			return -EOPNOTSUPP;
		}
		return -EPROTO;
	}
	/* Every result starts with its status. */
	uint32_t status;
	memcpy(&status, &r->res.nfs_resop4_u, sizeof status);
	r->status = (nfsstat4)status;
	return nfs4_errno(r->status);
}

int
reply_getfh(struct reply *r, struct fh *fh)
{
	int err = reply_op(r, OP_GETFH);
	if (err)
		return err;
	const nfs_fh4 *got = &r->res.nfs_resop4_u.opgetfh.GETFH4res_u.resok4.object;
	if (got->nfs_fh4_len > sizeof fh->data)
		return -EPROTO;
	memset(fh, 0, sizeof *fh);
	fh->len = got->nfs_fh4_len;
	memcpy(fh->data, got->nfs_fh4_val, fh->len);
	return 0;
}

int
reply_getattr(struct reply *r, struct nfs_attrs *attrs)
{
	int err = reply_op(r, OP_GETATTR);
	if (err)
		return err;
	memset(attrs, 0, sizeof *attrs);
	return attrs_decode(&r->res.nfs_resop4_u.opgetattr.GETATTR4res_u.resok4.obj_attributes, attrs) == NFS4_OK ?
	    0 : -EPROTO;
}

#define BIT(n) (1u << ((n) % 32))
const struct attr_mask stat_mask = { {
	BIT(FATTR4_TYPE) | BIT(FATTR4_CHANGE) | BIT(FATTR4_SIZE) | BIT(FATTR4_FSID) | BIT(FATTR4_FILEID),
	BIT(FATTR4_MODE) | BIT(FATTR4_NUMLINKS) | BIT(FATTR4_OWNER) | BIT(FATTR4_OWNER_GROUP) | BIT(FATTR4_RAWDEV) |
	    BIT(FATTR4_SPACE_USED) | BIT(FATTR4_TIME_ACCESS) | BIT(FATTR4_TIME_METADATA) | BIT(FATTR4_TIME_MODIFY),
	0 } };

static mode_t
file_type(uint32_t type)
{
	static const mode_t types[] = {
		[NF4REG] = S_IFREG, [NF4DIR] = S_IFDIR, [NF4BLK] = S_IFBLK, [NF4CHR] = S_IFCHR,
		[NF4LNK] = S_IFLNK, [NF4SOCK] = S_IFSOCK, [NF4FIFO] = S_IFIFO,
		[NF4ATTRDIR] = S_IFDIR, [NF4NAMEDATTR] = S_IFREG,
	};
	return type < sizeof types / sizeof *types ? types[type] : 0;
}

/* Owners as decimal numbers (RFC 8881 5.9); a name of a domain is nobody here. */
static uint32_t
owner_id(const struct nfs_str *s)
{
	uint64_t id = 0;
	if (s->len == 0 || s->len > 10)
		return 65534;
	for (uint32_t i = 0; i < s->len; i++) {
		if (s->data[i] < '0' || s->data[i] > '9')
			return 65534;
		id = id * 10 + (uint64_t)(s->data[i] - '0');
	}
	return id <= UINT32_MAX ? (uint32_t)id : 65534;
}

static struct timespec
time_from(const nfstime4 *t)
{
	return (struct timespec){ .tv_sec = t->seconds,
		.tv_nsec = t->nseconds < 1000000000 ? (long)t->nseconds : 0 };
}

void
stat_from_attrs(struct stat *st, const struct nfs_attrs *a)
{
	memset(st, 0, sizeof *st);
	st->st_dev = (dev_t)(a->fsid.major * 31 + a->fsid.minor);
	st->st_ino = a->fileid;
	st->st_mode = file_type(a->type) | (a->mode & 07777);
	st->st_nlink = a->numlinks;
	st->st_uid = owner_id(&a->owner);
	st->st_gid = owner_id(&a->owner_group);
	st->st_rdev = makedev(a->rawdev.specdata1, a->rawdev.specdata2);
	st->st_size = (off_t)a->size;
	st->st_blksize = 1 << 20;
	st->st_blocks = (blkcnt_t)(a->space_used / 512);
	st->st_atim = time_from(&a->time_access);
	st->st_mtim = time_from(&a->time_modify);
	st->st_ctim = time_from(&a->time_metadata);
}
