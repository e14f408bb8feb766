/* Files of the fake server; see fake_file.h. */
#include "tests/unit/client/fake_file.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/xdr/arena.h"

#define FSID_MAJOR 77
#define FILEID 1000

const uint8_t fake_device[NFS4_DEVICEID4_SIZE] = "fake-device";

static __thread int cur;		/* the file; -1: a directory */

static uint64_t
place(unsigned i, uint64_t offset)
{
	return FAKE_BASE + (uint64_t)i * FAKE_SPAN + offset;
}

struct layout_extent
fake_extent(unsigned i, uint64_t offset, uint64_t length, enum extent_state state)
{
	struct layout_extent e = { .offset = offset, .length = length, .state = state };
	memcpy(e.device, fake_device, sizeof e.device);
	if (state != EXTENT_NONE)
		e.addr = place(i, offset);
	return e;
}

void
fake_peek(struct fake_files *files, unsigned i, uint64_t offset, void *buf, size_t len)
{
	ck_assert_int_eq(pread(files->image, buf, len, (off_t)place(i, offset)), (ssize_t)len);
}

void
fake_poke(struct fake_files *files, unsigned i, uint64_t offset, const void *buf, size_t len)
{
	ck_assert_int_eq(pwrite(files->image, buf, len, (off_t)place(i, offset)), (ssize_t)len);
	ck_assert_int_eq(fdatasync(files->image), 0);
}

unsigned
fake_count(struct fake_files *files, uint32_t op)
{
	unsigned n = 0, all = atomic_load(&files->nops);
	for (unsigned i = 0; i < all; i++)
		n += files->ops[i].op == op;
	return n;
}

const struct fake_op *
fake_last(struct fake_files *files, uint32_t op)
{
	for (unsigned i = atomic_load(&files->nops); i-- > 0;)
		if (files->ops[i].op == op)
			return &files->ops[i];
	return NULL;
}

void
fake_refuse(struct fake_files *files, uint32_t op, nfsstat4 status, int times)
{
	atomic_store(&files->refuse_op, op);
	atomic_store(&files->refuse_status, status);
	atomic_store(&files->refuse, times);
}

static bool
count(atomic_int *n)
{
	if (atomic_load(n) <= 0)
		return false;
	atomic_fetch_sub(n, 1);
	return true;
}

/* ---- operations ---- */

struct call {
	struct fake_files *files;
	const nfs_argop4 *arg;
	nfs_resop4 res;
	struct fake_op log;
	struct arena arena;
};

static struct fake_file *
file_cur(struct call *c)
{
	return cur >= 0 ? &c->files->file[cur] : NULL;
}

static stateid4
stateid_make(char kind, uint32_t seqid)
{
	stateid4 sid = { .seqid = seqid };
	sid.other[0] = kind;
	sid.other[1] = (char)cur;
	return sid;
}

static void
handle_make(char *buf, nfs_fh4 *fh)
{
	buf[0] = 'h';
	buf[1] = (char)(cur + 1);
	*fh = (nfs_fh4){ .nfs_fh4_len = 2, .nfs_fh4_val = buf };
}

static nfsstat4
do_lookup(const struct call *c)
{
	const component4 *name = &c->arg->nfs_argop4_u.oplookup.objname;
	if (name->utf8string_len == 1 && (*name->utf8string_val == 'a' || *name->utf8string_val == 'b'))
		cur = *name->utf8string_val - 'a';
	else if (name->utf8string_len != 6)	/* "export" */
		return NFS4ERR_NOENT;
	return NFS4_OK;
}

static nfsstat4
do_open(struct call *c)
{
	const OPEN4args *args = &c->arg->nfs_argop4_u.opopen;
	OPEN4resok *ok = &c->res.nfs_resop4_u.opopen.OPEN4res_u.resok4;
	c->log.a = args->claim.claim;
	if (args->claim.claim == CLAIM_NULL)
		cur = *args->claim.open_claim4_u.file.utf8string_val == 'b';
	struct fake_file *f = file_cur(c);
	if (!f)
		return NFS4ERR_ISDIR;
	f->opens++;
	ok->stateid = stateid_make('o', f->opens);
	ok->delegation.delegation_type = OPEN_DELEGATE_NONE;
	return NFS4_OK;
}

static nfsstat4
do_getattr(struct call *c)
{
	GETATTR4resok *ok = &c->res.nfs_resop4_u.opgetattr.GETATTR4res_u.resok4;
	struct attr_mask want;
	struct fake_file *f = file_cur(c);
	struct nfs_attrs a = { .type = f ? NF4REG : NF4DIR, .change = 1, .size = f ? atomic_load(&f->size) : 0, .fsid = { FSID_MAJOR, 1 },
		.lease_time = c->files->lease, .fileid = (uint64_t)(FILEID + cur), .maxread = 65536, .maxwrite = 65536, .mode = 0644, .numlinks = 1,
		.owner = { 1, "0" }, .owner_group = { 1, "0" }, .nlayout_types = 1, .layout_types = { LAYOUT4_BLOCK_VOLUME } };
	attr_mask_from(&want, &c->arg->nfs_argop4_u.opgetattr.attr_request);
	a.mask = want;
	ck_assert(attrs_to_fattr4(&ok->obj_attributes, &a, &c->arena));
	return NFS4_OK;
}

static nfsstat4
do_setattr(struct call *c)
{
	struct nfs_attrs a;
	if (attrs_decode(&c->arg->nfs_argop4_u.opsetattr.obj_attributes, &a) != NFS4_OK)
		return NFS4ERR_BADXDR;
	if (attr_has(&a.mask, FATTR4_SIZE))
		atomic_store(&file_cur(c)->size, a.size);
	return NFS4_OK;
}

static nfsstat4
do_read(struct call *c)
{
	const READ4args *args = &c->arg->nfs_argop4_u.opread;
	READ4resok *ok = &c->res.nfs_resop4_u.opread.READ4res_u.resok4;
	uint64_t size = count(&c->files->read_short) ? atomic_load(&c->files->read_eof) : atomic_load(&file_cur(c)->size);
	uint64_t n = args->offset >= size ? 0 : size - args->offset < args->count ? size - args->offset : args->count;
	c->log.offset = args->offset;
	c->log.length = args->count;
	ok->data.data_val = arena_alloc(&c->arena, n + 1);
	ok->data.data_len = (u_int)n;
	fake_peek(c->files, (unsigned)cur, args->offset, ok->data.data_val, n);
	ok->eof = args->offset + n >= size;
	return NFS4_OK;
}

static nfsstat4
do_write(struct call *c)
{
	const WRITE4args *args = &c->arg->nfs_argop4_u.opwrite;
	WRITE4resok *ok = &c->res.nfs_resop4_u.opwrite.WRITE4res_u.resok4;
	struct fake_file *f = file_cur(c);
	c->log.offset = args->offset;
	c->log.length = args->data.data_len;
	fake_poke(c->files, (unsigned)cur, args->offset, args->data.data_val, args->data.data_len);
	if (args->offset + args->data.data_len > atomic_load(&f->size))
		atomic_store(&f->size, args->offset + args->data.data_len);
	ok->count = args->data.data_len;
	ok->committed = args->stable;
	return NFS4_OK;
}

static nfsstat4
do_layoutget(struct call *c)
{
	const LAYOUTGET4args *args = &c->arg->nfs_argop4_u.oplayoutget;
	LAYOUTGET4resok *ok = &c->res.nfs_resop4_u.oplayoutget.LAYOUTGET4res_u.logr_resok4;
	struct fake_file *f = file_cur(c);
	bool rw = args->loga_iomode == LAYOUTIOMODE4_RW;
	struct layout_extent all = fake_extent((unsigned)cur, 0, FAKE_SPAN, rw ? EXTENT_READ_WRITE : EXTENT_READ), *ext = &all;
	uint32_t n = rw ? f->nrw : f->nread;
	c->log.a = args->loga_iomode;
	c->log.offset = args->loga_offset;
	c->log.length = args->loga_length;
	if (n)
		ext = rw ? f->rw : f->read;
	else
		n = 1;
	struct layout_extent *got = arena_alloc(&c->arena, n * sizeof *got);
	uint32_t m = 0;
	for (uint32_t i = 0; i < n; i++)
		if (ext[i].offset < args->loga_offset + args->loga_length && ext[i].offset + ext[i].length > args->loga_offset)
			got[m++] = ext[i];
	if (!m)
		return NFS4ERR_LAYOUTUNAVAILABLE;
	uint32_t room = 4 + m * LAYOUT_EXTENT_SIZE;
	uint8_t *body = arena_alloc(&c->arena, room);
	XDR x;
	ax_init(&x, body, room, XDR_ENCODE, NULL);
	ck_assert(layout_extents_encode(&x, LAYOUT4_BLOCK_VOLUME, got, m));
	layout4 *seg = arena_alloc(&c->arena, sizeof *seg);
	*seg = (layout4){ .lo_offset = got[0].offset, .lo_length = got[m - 1].offset + got[m - 1].length - got[0].offset, .lo_iomode = args->loga_iomode,
		.lo_content = { .loc_type = LAYOUT4_BLOCK_VOLUME, .loc_body = { .loc_body_len = ax_used(&x), .loc_body_val = (char *)body } } };
	ok->logr_return_on_close = TRUE;
	ok->logr_stateid = f->last_layout = stateid_make('l', atomic_fetch_add(&f->layout_seqid, 1) + 1);
	ok->logr_layout.logr_layout_len = 1;
	ok->logr_layout.logr_layout_val = seg;
	return NFS4_OK;
}

static nfsstat4
do_layoutcommit(struct call *c)
{
	const LAYOUTCOMMIT4args *args = &c->arg->nfs_argop4_u.oplayoutcommit;
	newsize4 *size = &c->res.nfs_resop4_u.oplayoutcommit.LAYOUTCOMMIT4res_u.locr_resok4.locr_newsize;
	struct fake_file *f = file_cur(c);
	struct fake_commit *log = &c->files->commits[atomic_load(&c->files->ncommits) % FAKE_MAX_LOG];
	struct layout_extent *ext = NULL;
	uint32_t n = 0;
	/* Each extent as it was sent, volume and all: a list of them is what a loc_body is too. */
	if (args->loca_layoutupdate.lou_body.lou_body_len)
		ck_assert(layout_extents_decode(LAYOUT4_BLOCK_VOLUME, args->loca_layoutupdate.lou_body.lou_body_val,
		    args->loca_layoutupdate.lou_body.lou_body_len, &c->arena, &ext, &n));
	*log = (struct fake_commit){ .reclaim = args->loca_reclaim, .offset = args->loca_offset, .length = args->loca_length,
		.last = args->loca_last_write_offset.newoffset4_u.no_offset, .stateid = args->loca_stateid, .n = n };
	for (uint32_t i = 0; i < n && i < FAKE_MAX_EXTENTS; i++)
		log->ext[i] = ext[i];
	atomic_fetch_add(&c->files->ncommits, 1);
	if (args->loca_last_write_offset.no_newoffset && log->last + 1 > atomic_load(&f->size)) {
		atomic_store(&f->size, log->last + 1);
		size->ns_sizechanged = TRUE;
		size->newsize4_u.ns_size = log->last + 1;
	}
	return NFS4_OK;
}

static nfsstat4
do_layoutreturn(struct call *c)
{
	const LAYOUTRETURN4args *args = &c->arg->nfs_argop4_u.oplayoutreturn;
	layoutreturn_stateid *s = &c->res.nfs_resop4_u.oplayoutreturn.LAYOUTRETURN4res_u.lorr_stateid;
	const layoutreturn_file4 *f = &args->lora_layoutreturn.layoutreturn4_u.lr_layout;
	c->log.a = args->lora_layoutreturn.lr_returntype;
	c->log.b = args->lora_iomode;
	if (args->lora_layoutreturn.lr_returntype != LAYOUTRETURN4_FILE) {
		for (unsigned i = 0; i < FAKE_NFILES; i++)
			atomic_store(&c->files->file[i].layout_seqid, 0);
		return NFS4_OK;
	}
	c->log.offset = f->lrf_offset;
	c->log.length = f->lrf_length;
	if (f->lrf_offset == 0 && f->lrf_length == UINT64_MAX) {
		atomic_store(&file_cur(c)->layout_seqid, 0);
	} else {
		s->lrs_present = TRUE;
		s->layoutreturn_stateid_u.lrs_stateid = stateid_make('l', atomic_fetch_add(&file_cur(c)->layout_seqid, 1) + 1);
	}
	return NFS4_OK;
}

static nfsstat4
do_getdeviceinfo(struct call *c)
{
	const GETDEVICEINFO4args *args = &c->arg->nfs_argop4_u.opgetdeviceinfo;
	GETDEVICEINFO4resok *ok = &c->res.nfs_resop4_u.opgetdeviceinfo.GETDEVICEINFO4res_u.gdir_resok4;
	struct volume vol = { .type = VOLUME_SIMPLE, .simple = { .nsigs = 1, .sigs = { { .offset = FAKE_SIGNATURE_AT,
		.len = sizeof FAKE_SIGNATURE - 1, .contents = (const uint8_t *)FAKE_SIGNATURE } } } };
	c->log.a = args->gdia_notify_types.bitmap4_len ? args->gdia_notify_types.bitmap4_val[0] : 0;
	if (atomic_load(&c->files->devid_gone))
		return NFS4ERR_NOENT;
	uint8_t *body = arena_alloc(&c->arena, 512);
	XDR x;
	ax_init(&x, body, 512, XDR_ENCODE, NULL);
	ck_assert(layout_device_encode(&x, LAYOUT4_BLOCK_VOLUME, &vol, 1));
	ok->gdir_device_addr.da_layout_type = LAYOUT4_BLOCK_VOLUME;
	ok->gdir_device_addr.da_addr_body.da_addr_body_len = ax_used(&x);
	ok->gdir_device_addr.da_addr_body.da_addr_body_val = (char *)body;
	return NFS4_OK;
}

static nfsstat4
do_test_stateid(struct call *c)
{
	const TEST_STATEID4args *args = &c->arg->nfs_argop4_u.optest_stateid;
	TEST_STATEID4resok *ok = &c->res.nfs_resop4_u.optest_stateid.TEST_STATEID4res_u.tsr_resok4;
	u_int n = args->ts_stateids.ts_stateids_len;
	ok->tsr_status_codes.tsr_status_codes_len = c->log.a = n;
	ok->tsr_status_codes.tsr_status_codes_val = arena_alloc(&c->arena, (n + 1) * sizeof(nfsstat4));
	for (u_int i = 0; i < n; i++) {
		bool layout = args->ts_stateids.ts_stateids_val[i].other[0] == 'l';
		bool bad = atomic_load(layout ? &c->files->layouts_revoked : &c->files->opens_revoked);
		ok->tsr_status_codes.tsr_status_codes_val[i] = bad ? NFS4ERR_EXPIRED : NFS4_OK;
	}
	return NFS4_OK;
}

static nfsstat4
do_free_stateid(struct call *c, struct fake_mds *fake)
{
	const stateid4 *sid = &c->arg->nfs_argop4_u.opfree_stateid.fsa_stateid;
	bool layout = sid->other[0] == 'l';
	atomic_fetch_add(layout ? &c->files->freed_layouts : &c->files->freed_opens, 1);
	if (!layout)
		atomic_store(&c->files->opens_revoked, false);
	else
		atomic_store(&c->files->layouts_revoked, false);
	if (!atomic_load(&c->files->stubborn) && !atomic_load(&c->files->opens_revoked) && !atomic_load(&c->files->layouts_revoked))
		atomic_store(&fake->sticky, 0);
	return NFS4_OK;
}

static nfsstat4
do_fh(struct call *c, uint32_t op)
{
	static char buf[2];
	const nfs_fh4 *fh = &c->arg->nfs_argop4_u.opputfh.object;
	if (op == OP_GETFH) {
		handle_make(buf, &c->res.nfs_resop4_u.opgetfh.GETFH4res_u.resok4.object);
		return NFS4_OK;
	}
	if (op == OP_PUTROOTFH)
		cur = -1;
	else if (fh->nfs_fh4_len == 2 && fh->nfs_fh4_val[0] == 'h')
		cur = fh->nfs_fh4_val[1] - 1;
	else
		return NFS4ERR_BADHANDLE;
	return NFS4_OK;
}

static bool
run(struct call *c, struct fake_mds *fake, uint32_t op, nfsstat4 *status)
{
	switch (op) {
	case OP_PUTFH:
	case OP_PUTROOTFH:
	case OP_GETFH: *status = do_fh(c, op); return true;
	case OP_LOOKUP: *status = do_lookup(c); return true;
	case OP_OPEN: *status = do_open(c); return true;
	case OP_CLOSE:
	case OP_COMMIT: *status = NFS4_OK; return true;
	case OP_GETATTR: *status = do_getattr(c); return true;
	case OP_SETATTR: *status = do_setattr(c); return true;
	case OP_READ: *status = do_read(c); return true;
	case OP_WRITE: *status = do_write(c); return true;
	case OP_LAYOUTGET: *status = do_layoutget(c); return true;
	case OP_LAYOUTCOMMIT: *status = do_layoutcommit(c); return true;
	case OP_LAYOUTRETURN: *status = do_layoutreturn(c); return true;
	case OP_GETDEVICEINFO: *status = do_getdeviceinfo(c); return true;
	case OP_TEST_STATEID: *status = do_test_stateid(c); return true;
	case OP_FREE_STATEID: *status = do_free_stateid(c, fake); return true;
	default: return false;
	}
}

static bool
more(struct fake_mds *fake, uint32_t op, const nfs_argop4 *arg, XDR *out, nfsstat4 *status)
{
	struct call c = { .files = fake->more_arg, .arg = arg, .log = { .op = op } };
	struct fake_files *files = c.files;
	arena_init(&c.arena, 0);
	bool ours;
	if (atomic_load(&files->refuse_op) == op && count(&files->refuse)) {
		*status = atomic_load(&files->refuse_status);
		ours = true;
	} else {
		ours = run(&c, fake, op, status);
	}
	if (ours) {
		uint32_t word = (uint32_t)*status;
		memcpy(&c.res.nfs_resop4_u, &word, sizeof word);
		ck_assert(compound_res_put(out, op, &c.res.nfs_resop4_u));
		c.log.status = *status;
		ck_assert_uint_lt(atomic_load(&files->nops), FAKE_MAX_OPS);
		files->ops[atomic_load(&files->nops)] = c.log;
		atomic_fetch_add(&files->nops, 1);
	}
	arena_destroy(&c.arena);
	return ours;
}

void
fake_files_start(struct fake_files *files, struct fake_mds *fake)
{
	memset(files, 0, sizeof *files);
	strcpy(files->path, "/var/tmp/test-fake-XXXXXX");
	files->image = mkstemp(files->path);
	ck_assert_int_ge(files->image, 0);
	ck_assert_int_eq(ftruncate(files->image, FAKE_IMAGE), 0);
	ck_assert_int_eq(pwrite(files->image, FAKE_SIGNATURE, sizeof FAKE_SIGNATURE - 1, FAKE_SIGNATURE_AT), sizeof FAKE_SIGNATURE - 1);
	files->lease = 90;
	fake->more_arg = files;
	fake->more = more;
}

void
fake_files_stop(struct fake_files *files)
{
	close(files->image);
	unlink(files->path);
}
