/* Operations on files and layouts, each a COMPOUND of SEQUENCE, PUTFH and the operation (wire.h). */
#include <unistd.h>

#include "tests/integ/wire/wire.h"

nfsstat4
on_fh(struct client *c, const nfs_fh4 *fh, uint32_t op, const void *args, nfs_resop4 *res)
{
	PUTFH4args putfh = { *fh };
	call_begin(c);
	call_op(c, OP_PUTFH, &putfh);
	call_op(c, op, args);
	nfsstat4 status = call_run(c);
	if (status == NFS4_OK)
		status = call_res(c, OP_PUTFH, NULL);
	if (status == NFS4_OK)
		status = call_res(c, op, res);
	return status;
}

nfsstat4
on_fh_patient(struct client *c, const nfs_fh4 *fh, uint32_t op, const void *args, nfs_resop4 *res, unsigned ms)
{
	uint64_t end = now_ms() + ms;
	for (;;) {
		nfsstat4 status = on_fh(c, fh, op, args, res);
		if (status != NFS4ERR_DELAY && status != NFS4ERR_GRACE && status != NFS4ERR_RECALLCONFLICT &&
		    status != NFS4ERR_RETURNCONFLICT && status != NFS4ERR_LAYOUTTRYLATER)
			return status;
		if (now_ms() >= end)
			return status;
		world_pump(10);
	}
}

nfsstat4
fh_lookup(struct client *c, const char *path, char data[NFS4_FHSIZE], nfs_fh4 *fh)
{
	nfs_resop4 res;
	unsigned n = 0;
	call_begin(c);
	call_op(c, OP_PUTROOTFH, NULL);
	while (*path) {
		size_t len = strcspn(path, "/");
		if (len) {
			LOOKUP4args lookup = { { (u_int)len, (char *)(uintptr_t)path } };
			call_op(c, OP_LOOKUP, &lookup);
			n++;
		}
		path += len + (path[len] == '/');
	}
	call_op(c, OP_GETFH, NULL);
	nfsstat4 status = call_run(c);
	if (status == NFS4_OK)
		status = call_res(c, OP_PUTROOTFH, NULL);
	while (status == NFS4_OK && n--)
		status = call_res(c, OP_LOOKUP, NULL);
	if (status == NFS4_OK)
		status = call_res(c, OP_GETFH, &res);
	if (status == NFS4_OK) {
		nfs_fh4 *got = &res.nfs_resop4_u.opgetfh.GETFH4res_u.resok4.object;
		memcpy(data, got->nfs_fh4_val, got->nfs_fh4_len);
		*fh = (nfs_fh4){ got->nfs_fh4_len, data };
	}
	return status;
}

nfs_fh4
fh_dir(struct client *c)
{
	static char data[NFS4_FHSIZE];
	char path[512];
	nfs_fh4 fh = { 0, NULL };
	snprintf(path, sizeof path, "%s/%s", world.export, world.dir);
	OK(fh_lookup(c, path, data, &fh));
	return fh;
}

void
open_args(struct client *c, const char *name, uint32_t access, OPEN4args *args)
{
	memset(args, 0, sizeof *args);
	args->share_access = access | OPEN4_SHARE_ACCESS_WANT_NO_DELEG;
	args->owner.clientid = c->clientid;
	args->owner.owner.owner_len = (u_int)strlen(c->owner);
	args->owner.owner.owner_val = c->owner;
	args->claim.claim = CLAIM_NULL;
	args->claim.open_claim4_u.file.utf8string_len = (u_int)strlen(name);
	args->claim.open_claim4_u.file.utf8string_val = (char *)(uintptr_t)name;
}

nfsstat4
file_try_open(struct client *c, struct file *f, const OPEN4args *args, const nfs_fh4 *dir)
{
	nfs_resop4 res;
	PUTFH4args putfh = { *dir };
	call_begin(c);
	call_op(c, OP_PUTFH, &putfh);
	call_op(c, OP_OPEN, args);
	call_op(c, OP_GETFH, NULL);
	nfsstat4 status = call_run(c);
	if (status == NFS4_OK)
		status = call_res(c, OP_PUTFH, NULL);
	if (status == NFS4_OK)
		status = call_res(c, OP_OPEN, &res);
	if (status != NFS4_OK)
		return status;
	f->c = c;
	f->is_open = true;
	f->open = res.nfs_resop4_u.opopen.OPEN4res_u.resok4.stateid;
	status = call_res(c, OP_GETFH, &res);
	if (status == NFS4_OK) {
		nfs_fh4 *got = &res.nfs_resop4_u.opgetfh.GETFH4res_u.resok4.object;
		memcpy(f->fh_data, got->nfs_fh4_val, got->nfs_fh4_len);
		f->fh = (nfs_fh4){ got->nfs_fh4_len, f->fh_data };
	}
	return status;
}

struct file *
file_open(struct client *c, const char *name, uint32_t access)
{
	OPEN4args args;
	nfsstat4 status;
	struct file *f = calloc(1, sizeof *f);
	REQUIRE(f);
	f->c = c;
	snprintf(f->name, sizeof f->name, "%s", name);
	f->next = c->files;
	c->files = f;
	nfs_fh4 dir = fh_dir(c);
	open_args(c, name, access, &args);
	uint64_t end = now_ms() + 10000;
	while ((status = file_try_open(c, f, &args, &dir)) == NFS4ERR_DELAY || status == NFS4ERR_GRACE) {
		REQUIRE(now_ms() < end);
		world_pump(10);
	}
	OK(status);
	return f;
}

nfsstat4
file_close(struct file *f)
{
	CLOSE4args args = { 0, f->open };
	f->is_open = false;
	nfsstat4 status = on_fh_patient(f->c, &f->fh, OP_CLOSE, &args, NULL, 3000);
	if (status != NFS4_OK)
		fprintf(stderr, "CLOSE %s by %s: %s\n", f->name, f->c->owner, nfs4_status_name(status));
	return status;
}

nfsstat4
file_read(struct file *f, uint64_t offset, uint32_t len, void *buf, uint32_t *got)
{
	nfs_resop4 res;
	READ4args args = { f->open, offset, len };
	nfsstat4 status = on_fh_patient(f->c, &f->fh, OP_READ, &args, &res, 10000);
	if (status == NFS4_OK) {
		READ4resok *ok = &res.nfs_resop4_u.opread.READ4res_u.resok4;
		*got = ok->data.data_len;
		REQUIRE(*got <= len);
		memcpy(buf, ok->data.data_val, *got);
	}
	return status;
}

nfsstat4
file_write(struct file *f, uint64_t offset, const void *data, uint32_t len)
{
	nfs_resop4 res;
	WRITE4args args = { f->open, offset, FILE_SYNC4, { len, (char *)(uintptr_t)data } };
	nfsstat4 status = on_fh_patient(f->c, &f->fh, OP_WRITE, &args, &res, 10000);
	if (status == NFS4_OK)
		REQUIRE(res.nfs_resop4_u.opwrite.WRITE4res_u.resok4.count == len);
	return status;
}

static nfsstat4
set_size(struct file *f, uint64_t size, unsigned patience)
{
	struct arena arena __attribute__((cleanup(arena_destroy)));
	arena_init(&arena, 0);
	struct nfs_attrs a = { .size = size };
	attr_set(&a.mask, FATTR4_SIZE);
	SETATTR4args args = { .stateid = f->open };
	REQUIRE(attrs_to_fattr4(&args.obj_attributes, &a, &arena));
	return on_fh_patient(f->c, &f->fh, OP_SETATTR, &args, NULL, patience);
}

nfsstat4
file_set_size(struct file *f, uint64_t size)
{
	return set_size(f, size, 10000);
}

nfsstat4
file_try_size(struct file *f, uint64_t size)
{
	return set_size(f, size, 0);
}

nfsstat4
fh_attrs(struct client *c, const nfs_fh4 *fh, const struct attr_mask *want, struct nfs_attrs *a)
{
	nfs_resop4 res;
	struct attr_mask mask = *want;
	GETATTR4args args;
	attr_mask_to(&args.attr_request, &mask);
	nfsstat4 status = on_fh_patient(c, fh, OP_GETATTR, &args, &res, 10000);
	memset(a, 0, sizeof *a);
	if (status == NFS4_OK)
		status = attrs_decode(&res.nfs_resop4_u.opgetattr.GETATTR4res_u.resok4.obj_attributes, a);
	return status;
}

nfsstat4
file_attrs(struct file *f, struct nfs_attrs *a)
{
	struct attr_mask want = { { 0 } };
	attr_set(&want, FATTR4_CHANGE);
	attr_set(&want, FATTR4_SIZE);
	attr_set(&want, FATTR4_TIME_MODIFY);
	return fh_attrs(f->c, &f->fh, &want, a);
}

bool
file_is(struct file *f, uint64_t offset, uint64_t len, uint64_t seed)
{
	static uint8_t buf[256 * KiB];
	while (len) {
		uint32_t got = 0, n = len < sizeof buf ? (uint32_t)len : (uint32_t)sizeof buf;
		OK(file_read(f, offset, n, buf, &got));
		if (!got || !pattern_is(buf, offset, got, seed))
			return false;
		offset += got;
		len -= got;
	}
	return true;
}

/* ---- layouts ---- */

static uint64_t
size_of(struct file *f)
{
	char path[512];
	snprintf(path, sizeof path, "%s", f->name);
	return local_size(path);
}

struct layout *
layout_get_as(struct file *f, const struct lget *a)
{
	static struct layout l;
	nfs_resop4 res;
	LAYOUTGET4args args = { .loga_layout_type = a->type, .loga_iomode = a->iomode, .loga_offset = a->offset, .loga_length = a->length,
		.loga_minlength = a->minlength, .loga_maxcount = a->maxcount };
	memset(&l, 0, offsetof(struct layout, ext));
	if (a->stateid) {
		args.loga_stateid = *a->stateid;
	} else if (f->held) {
		args.loga_stateid = f->layout;
	} else {
		args.loga_stateid = f->open;
		args.loga_stateid.seqid = 0;	/* the newest (8.2.2) */
	}
	l.status = on_fh(f->c, &f->fh, OP_LAYOUTGET, &args, &res);
	if (l.status != NFS4_OK)
		return &l;
	LAYOUTGET4resok *ok = &res.nfs_resop4_u.oplayoutget.LAYOUTGET4res_u.logr_resok4;
	REQUIRE(ok->logr_layout.logr_layout_len == 1);	/* the Linux client uses one */
	layout4 *lo = ok->logr_layout.logr_layout_val;
	struct layout_extent *ext;
	l.return_on_close = ok->logr_return_on_close;
	l.stateid = ok->logr_stateid;
	l.offset = lo->lo_offset;
	l.length = lo->lo_length;
	l.iomode = lo->lo_iomode;
	l.body_len = lo->lo_content.loc_body.loc_body_len;
	REQUIRE(lo->lo_content.loc_type == a->type);
	REQUIRE(layout_extents_decode(a->type, lo->lo_content.loc_body.loc_body_val, l.body_len, &f->c->arena, &ext, &l.n));
	REQUIRE(l.n <= sizeof l.ext / sizeof *l.ext);
	memcpy(l.ext, ext, l.n * sizeof *ext);
	layout_check(f, a, &l, size_of(f));
	f->layout = l.stateid;
	f->held = true;
	return &l;
}

struct layout *
layout_get(struct file *f, uint32_t iomode, uint64_t offset, uint64_t length, uint64_t minlength)
{
	struct lget args = { world.type, iomode, offset, length, minlength, 65536, NULL };
	return layout_get_as(f, &args);
}

struct layout *
layout_need(struct file *f, uint32_t iomode, uint64_t offset, uint64_t length)
{
	uint64_t end = now_ms() + 10000;
	struct layout *l;
	for (;;) {
		l = layout_get(f, iomode, offset, length, length == ALL ? 4096 : length);
		if ((l->status != NFS4ERR_RECALLCONFLICT && l->status != NFS4ERR_LAYOUTTRYLATER && l->status != NFS4ERR_DELAY &&
			l->status != NFS4ERR_GRACE && l->status != NFS4ERR_RETURNCONFLICT) || now_ms() > end)
			break;
		world_pump(10);
	}
	OK(l->status);
	return l;
}

nfsstat4
layout_return_as(struct file *f, uint32_t how, uint32_t iomode, uint64_t offset, uint64_t length, const stateid4 *stateid, bool *present)
{
	nfs_resop4 res;
	LAYOUTRETURN4args ret = { .lora_layout_type = world.type, .lora_iomode = iomode };
	ret.lora_layoutreturn.lr_returntype = how;
	ret.lora_layoutreturn.layoutreturn4_u.lr_layout = (layoutreturn_file4){ offset, length, stateid ? *stateid : f->layout, { 0, NULL } };
	nfsstat4 status = on_fh(f->c, &f->fh, OP_LAYOUTRETURN, &ret, &res);
	if (status != NFS4_OK)
		return status;
	layoutreturn_stateid *st = &res.nfs_resop4_u.oplayoutreturn.LAYOUTRETURN4res_u.lorr_stateid;
	f->held = st->lrs_present;
	if (st->lrs_present)
		f->layout = st->layoutreturn_stateid_u.lrs_stateid;
	if (present)
		*present = st->lrs_present;
	return status;
}

nfsstat4
layout_return(struct file *f, uint32_t iomode, uint64_t offset, uint64_t length)
{
	return layout_return_as(f, LAYOUTRETURN4_FILE, iomode, offset, length, NULL, NULL);
}

struct pair
pair_of(struct client *holder, const char *name, uint32_t iomode)
{
	struct pair p = { .holder = holder, .other = client_new("other") };
	local_make(name, MiB, 5);
	p.f = file_open(p.holder, name, READ_WRITE);
	p.g = file_open(p.other, name, READ_WRITE);
	p.l = layout_need(p.f, iomode, 0, MiB);
	return p;
}

struct pair
pair_new(uint32_t iomode)
{
	return pair_of(client_new("holder"), "f", iomode);
}

nfsstat4
recall_return(struct file *f)
{
	struct cb_seen *r = recall_last(f->c);
	return layout_return_as(f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_ANY, r->offset, r->length, &r->stateid, NULL);
}

nfsstat4
layout_commit_as(struct file *f, const struct lcommit *a, newsize4 *newsize)
{
	static uint8_t body[1 << 20];
	static const uint8_t device[NFS4_DEVICEID4_SIZE];
	nfs_resop4 res;
	XDR x;
	LAYOUTCOMMIT4args args = { .loca_offset = a->offset, .loca_length = a->length, .loca_reclaim = a->reclaim,
		.loca_stateid = a->stateid ? *a->stateid : f->layout };
	args.loca_last_write_offset.no_newoffset = a->has_last;
	args.loca_last_write_offset.newoffset4_u.no_offset = a->last;
	args.loca_time_modify.nt_timechanged = a->has_time;
	args.loca_time_modify.newtime4_u.nt_time = a->time;
	args.loca_layoutupdate.lou_type = world.type;
	ax_init(&x, body, sizeof body, XDR_ENCODE, NULL);
	if (a->n)
		REQUIRE(layout_update_encode(&x, world.type, device, a->ranges, a->n));
	args.loca_layoutupdate.lou_body.lou_body_len = ax_used(&x);
	args.loca_layoutupdate.lou_body.lou_body_val = (char *)body;
	nfsstat4 status = on_fh_patient(f->c, &f->fh, OP_LAYOUTCOMMIT, &args, &res, 5000);
	if (status == NFS4_OK && newsize)
		*newsize = res.nfs_resop4_u.oplayoutcommit.LAYOUTCOMMIT4res_u.locr_resok4.locr_newsize;
	return status;
}

nfsstat4
layout_commit(struct file *f, uint64_t offset, uint64_t length)
{
	struct layout_range range = { offset, length };
	struct lcommit a = { .offset = offset, .length = length, .has_last = true, .last = offset + length - 1, .ranges = &range, .n = 1 };
	return layout_commit_as(f, &a, NULL);
}

const struct layout_extent *
layout_at(const struct layout *l, uint64_t offset)
{
	for (uint32_t i = 0; i < l->n; i++)
		if (offset >= l->ext[i].offset && offset - l->ext[i].offset < l->ext[i].length)
			return &l->ext[i];
	return NULL;
}

/* Piece by piece of the layout; WRITE or compare. */
static bool
lun_each(const struct layout *l, uint64_t offset, uint64_t len, uint64_t seed, bool write)
{
	static uint8_t buf[MiB];
	while (len) {
		const struct layout_extent *e = layout_at(l, offset);
		REQUIRE(e);
		uint64_t n = e->offset + e->length - offset, at = e->addr + offset - e->offset;
		n = n < len ? n : len;
		n = n < sizeof buf ? n : sizeof buf;
		if (write) {
			REQUIRE(e->state == EXTENT_READ_WRITE || e->state == EXTENT_INVALID);
			pattern_fill(buf, offset, n, seed);
			REQUIRE(pwrite(world.image, buf, n, (off_t)at) == (ssize_t)n);
		} else if (e->state == EXTENT_NONE || e->state == EXTENT_INVALID) {
			if (seed)	/* reads as zeros */
				return false;
		} else {
			REQUIRE(pread(world.image, buf, n, (off_t)at) == (ssize_t)n);
			if (!pattern_is(buf, offset, n, seed))
				return false;
		}
		offset += n;
		len -= n;
	}
	return true;
}

void
lun_write(const struct layout *l, uint64_t offset, uint64_t len, uint64_t seed)
{
	lun_each(l, offset, len, seed, true);
}

bool
lun_is(const struct layout *l, uint64_t offset, uint64_t len, uint64_t seed)
{
	return lun_each(l, offset, len, seed, false);
}
