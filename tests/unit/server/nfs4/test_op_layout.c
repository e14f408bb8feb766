/* LAYOUTGET, LAYOUTCOMMIT, LAYOUTRETURN as a client sees them: arguments, results, bytes.  Below them all is real but provider, callbacks and target. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "server/nfs4/compound.h"
#include "tests/unit/server/layout/fake_layout.h"

static struct compound c;
static nfs_argop4 arg;
static nfs_resop4 res;
static struct fake_file *file;
static stateid4 open_sid;
static bool readonly;
static uint32_t room;

/* ---- compound.c's ---- */

void
compound_set_stateid(struct compound *comp, const stateid4 *sid)
{
	comp->cur_sid = *sid;
	comp->cur_sid_valid = true;
}

nfsstat4
compound_resolve_stateid(struct compound *comp, stateid4 *sid)
{
	if (!stateid_is_current(sid))
		return NFS4_OK;
	if (!comp->cur_sid_valid)
		return NFS4ERR_BAD_STATEID;
	*sid = comp->cur_sid;
	return NFS4_OK;
}

nfsstat4
compound_check_rw(struct compound *comp)
{
	(void)comp;
	return readonly ? NFS4ERR_ROFS : NFS4_OK;
}

uint32_t
compound_room(struct compound *comp)
{
	(void)comp;
	return room;
}

int
fs_permits(struct inode *inode, const struct fs_stat *st, const struct fs_cred *cred, unsigned want, bool nowait)
{
	(void)inode;
	(void)st;
	(void)want;
	(void)nowait;
	return cred->uid == 666 ? -EACCES : 0;
}

/* ---- */

static void
setup(void)
{
	fake_world_init(LAYOUT4_SCSI);
	file = fake_file_new(16 * U);
	file->addr = 98304;
	open_sid = fake_open(0, file, true);
	memset(&c, 0, sizeof c);
	arena_init(&c.arena, 0);
	c.mds = &w.mds;
	c.client = &w.client[0];
	c.session = &w.session[0];
	c.slot = &w.slot[0][1];
	c.cur = file->inode;
	readonly = false;
	room = 100000;
}

static void
teardown(void)
{
	arena_destroy(&c.arena);
	fake_world_end();
}

static nfsstat4
run(op_fn *op)
{
	memset(&res, 0, sizeof res);
	c.slot->seqid++;
	return op(&c, &arg, &res);
}

static LAYOUTGET4args *
get_args(layoutiomode4 iomode)
{
	memset(&arg, 0, sizeof arg);
	LAYOUTGET4args *a = &arg.nfs_argop4_u.oplayoutget;
	*a = (LAYOUTGET4args){ .loga_layout_type = LAYOUT4_SCSI, .loga_iomode = iomode, .loga_length = UINT64_MAX,
		.loga_minlength = U, .loga_maxcount = 4096, .loga_stateid = open_sid };
	return a;
}

static const LAYOUTGET4resok *
got(void)
{
	return &res.nfs_resop4_u.oplayoutget.LAYOUTGET4res_u.logr_resok4;
}

/* The whole result, as it goes over the wire. */
START_TEST(golden)
{
	static const uint8_t expect[] = {
		0, 0, 0, 0,			/* NFS4_OK */
		0, 0, 0, 1,			/* return_on_close */
		0, 0, 0, 1,			/* seqid; "other" follows, at 12 */
		0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 1,			/* one layout4 */
		0, 0, 0, 0, 0, 0, 0, 0,		/* offset */
		0, 0, 0, 0, 0, 1, 0, 0,		/* length 65536 */
		0, 0, 0, 1,			/* READ */
		0, 0, 0, 5,			/* LAYOUT4_SCSI */
		0, 0, 0, 92,			/* the body: */
		0, 0, 0, 2,
		'd', 'e', 'v', 'i', 'c', 'e', ' ', 'o', 'f', ' ', 'p', 'a', 'p', 'e', 'r', '!',
		0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 0, 0, 0, 0x10, 0,
		0, 0, 0, 0, 0, 1, 0x80, 0,	/* 98304 */
		0, 0, 0, 1,			/* READ_DATA */
		'd', 'e', 'v', 'i', 'c', 'e', ' ', 'o', 'f', ' ', 'p', 'a', 'p', 'e', 'r', '!',
		0, 0, 0, 0, 0, 0, 0x10, 0,
		0, 0, 0, 0, 0, 0, 0xf0, 0,
		0, 0, 0, 0, 0, 0, 0, 0,
		0, 0, 0, 3,			/* NONE_DATA */
	};
	uint8_t bytes[512], all[sizeof expect];
	XDR xdrs;

	file->block[0] = IOMAP_MAPPED;
	for (unsigned i = 1; i < 16; i++)
		file->block[i] = i % 2 ? IOMAP_HOLE : IOMAP_UNWRITTEN;	/* zeros both ways */
	get_args(LAYOUTIOMODE4_READ);
	ck_assert_int_eq(run(op_layoutget), NFS4_OK);
	ax_init(&xdrs, bytes, sizeof bytes, XDR_ENCODE, NULL);
	ck_assert(xdr_LAYOUTGET4res(&xdrs, &res.nfs_resop4_u.oplayoutget));
	ck_assert_uint_eq(ax_used(&xdrs), sizeof expect);
	memcpy(all, expect, sizeof expect);
	memcpy(all + 12, got()->logr_stateid.other, NFS4_OTHER_SIZE);
	ck_assert_mem_eq(bytes, all, sizeof expect);
	/* And back. */
	LAYOUTGET4res back;
	struct layout_extent *ext;
	uint32_t n;
	memset(&back, 0, sizeof back);
	ax_init(&xdrs, bytes, sizeof expect, XDR_DECODE, &c.arena);
	ck_assert(xdr_LAYOUTGET4res(&xdrs, &back));
	const layout4 *l = back.LAYOUTGET4res_u.logr_resok4.logr_layout.logr_layout_val;
	ck_assert(layout_extents_decode(LAYOUT4_SCSI, l->lo_content.loc_body.loc_body_val, l->lo_content.loc_body.loc_body_len,
	    &c.arena, &ext, &n));
	ck_assert_uint_eq(n, 2);
	ck_assert_uint_eq(ext[1].offset, U);
	ck_assert_uint_eq(ext[1].length, 15 * U);
	/* The current stateid is the layout's now (18.43.3). */
	ck_assert(c.cur_sid_valid);
	ck_assert_mem_eq(c.cur_sid.other, got()->logr_stateid.other, NFS4_OTHER_SIZE);
}
END_TEST

START_TEST(get_arguments)
{
	LAYOUTGET4args *a;

	/* A10 */
	for (int iomode = 0; iomode < 9; iomode++) {
		if (iomode == LAYOUTIOMODE4_READ || iomode == LAYOUTIOMODE4_RW)
			continue;
		get_args((layoutiomode4)iomode);
		ck_assert_int_eq(run(op_layoutget), NFS4ERR_BADIOMODE);
	}
	a = get_args(LAYOUTIOMODE4_READ);
	a->loga_layout_type = LAYOUT4_BLOCK_VOLUME;
	ck_assert_int_eq(run(op_layoutget), NFS4ERR_UNKNOWN_LAYOUTTYPE);
	/* A9 */
	a = get_args(LAYOUTIOMODE4_READ);
	a->loga_length = U - 1;
	ck_assert_int_eq(run(op_layoutget), NFS4ERR_INVAL);
	a = get_args(LAYOUTIOMODE4_READ);
	a->loga_offset = UINT64_MAX - U + 1;
	ck_assert_int_eq(run(op_layoutget), NFS4ERR_INVAL);
	a = get_args(LAYOUTIOMODE4_READ);
	a->loga_offset = U;
	a->loga_length = UINT64_MAX - U + 1;
	ck_assert_int_eq(run(op_layoutget), NFS4ERR_INVAL);
	static const struct { uint32_t maxcount; nfsstat4 status; uint32_t n; } sizes[] = {
		{ 0, NFS4ERR_TOOSMALL, 0 }, { 8, NFS4ERR_TOOSMALL, 0 }, { 75, NFS4ERR_TOOSMALL, 0 }, { 76, NFS4_OK, 1 },
		{ 119, NFS4_OK, 1 }, { 120, NFS4_OK, 2 }, { 4096, NFS4_OK, 16 }, { UINT32_MAX, NFS4_OK, 16 },
	};
	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		a = get_args(LAYOUTIOMODE4_RW);
		a->loga_maxcount = sizes[i].maxcount;
		ck_assert_int_eq(run(op_layoutget), sizes[i].status);
		if (sizes[i].status != NFS4_OK)
			continue;
		ck_assert_uint_eq(got()->logr_layout.logr_layout_val->lo_content.loc_body.loc_body_len, 4 + 44 * sizes[i].n);
		ck_assert_uint_eq(got()->logr_layout.logr_layout_val->lo_length, sizes[i].n * U);
	}
	/* The reply's own room. */
	room = 24 + 32 + 2 * 44;
	get_args(LAYOUTIOMODE4_RW);
	ck_assert_int_eq(run(op_layoutget), NFS4_OK);
	ck_assert_uint_eq(got()->logr_layout.logr_layout_val->lo_length, 2 * U);
	room = 24 + 32 + 43;
	ck_assert_int_eq(run(op_layoutget), NFS4ERR_REP_TOO_BIG);
	c.cache_this = true;
	ck_assert_int_eq(run(op_layoutget), NFS4ERR_REP_TOO_BIG_TO_CACHE);
}
END_TEST

START_TEST(get_refusals)
{
	stateid4 special[] = { { .seqid = 0 }, { .seqid = UINT32_MAX }, { .seqid = UINT32_MAX }, { .seqid = 1 } };

	memset(special[1].other, 0xff, NFS4_OTHER_SIZE);
	/* RFC 8154 3.1: not by anonymous, bypass, invalid stateids; nor by the current one when there is none */
	for (unsigned i = 0; i < 4; i++) {
		get_args(LAYOUTIOMODE4_READ)->loga_stateid = special[i];
		ck_assert_int_eq(run(op_layoutget), NFS4ERR_BAD_STATEID);
	}
	compound_set_stateid(&c, &open_sid);
	ck_assert_int_eq(run(op_layoutget), NFS4_OK);
	fake_close(0, file);
	open_sid = fake_open(0, file, false);
	get_args(LAYOUTIOMODE4_RW);
	ck_assert_int_eq(run(op_layoutget), NFS4ERR_OPENMODE);
	/* A34 */
	fake_grace = true;
	get_args(LAYOUTIOMODE4_READ);
	ck_assert_int_eq(run(op_layoutget), NFS4ERR_GRACE);
	fake_grace = false;
	readonly = true;
	get_args(LAYOUTIOMODE4_RW);
	ck_assert_int_eq(run(op_layoutget), NFS4ERR_BADIOMODE);
	readonly = false;
	/* another user than the one that opened, without rights of his own */
	c.cred.uid = 666;
	get_args(LAYOUTIOMODE4_READ);
	ck_assert_int_eq(run(op_layoutget), NFS4ERR_ACCESS);
	c.cred.uid = 0;
	w.export.layout_type = 0;
	w.export.reason = REASON_NOT_XFS;
	ck_assert_int_eq(run(op_layoutget), NFS4ERR_LAYOUTUNAVAILABLE);
	ck_assert_uint_eq(w.mds.layouts->refused[REASON_NOT_XFS], 1);
	w.export.layout_type = LAYOUT4_SCSI;
	file->inode->type = S_IFDIR;
	ck_assert_int_eq(run(op_layoutget), NFS4ERR_WRONG_TYPE);
	file->inode->type = S_IFREG;
	/* B1: no reservation, no layout */
	w.why = REASON_NO_RESERVATIONS;
	w.device.reserved = false;
	ck_assert_int_eq(run(op_layoutget), NFS4ERR_LAYOUTUNAVAILABLE);
	ck_assert_uint_eq(w.mds.layouts->refused[REASON_NO_RESERVATIONS], 1);
	w.why = REASON_NONE;
}
END_TEST

/* LAYOUTTRYLATER has an arm of its own in the union. */
START_TEST(trylater_on_the_wire)
{
	uint8_t bytes[64];
	XDR xdrs;

	stateid4 other = fake_open(1, file, true);
	ck_assert_int_eq(fake_get(1, file, &other, true, 0, U).status, NFS4_OK);
	get_args(LAYOUTIOMODE4_READ)->loga_signal_layout_avail = TRUE;
	ck_assert_int_eq(run(op_layoutget), NFS4ERR_LAYOUTTRYLATER);
	res.nfs_resop4_u.oplayoutget.logr_status = NFS4ERR_LAYOUTTRYLATER;
	ax_init(&xdrs, bytes, sizeof bytes, XDR_ENCODE, NULL);
	ck_assert(xdr_LAYOUTGET4res(&xdrs, &res.nfs_resop4_u.oplayoutget));
	ck_assert_uint_eq(ax_used(&xdrs), 8);
	ck_assert_mem_eq(bytes, "\0\0\x27\x4a\0\0\0\0", 8);		/* 10058, FALSE */
	ck_assert_uint_eq(w.nsent, 1);
}
END_TEST

/* ---- LAYOUTRETURN ---- */

static LAYOUTRETURN4args *
return_args(layoutreturn_type4 type, const stateid4 *sid)
{
	memset(&arg, 0, sizeof arg);
	LAYOUTRETURN4args *a = &arg.nfs_argop4_u.oplayoutreturn;
	a->lora_layout_type = LAYOUT4_SCSI;
	a->lora_iomode = LAYOUTIOMODE4_ANY;
	a->lora_layoutreturn.lr_returntype = type;
	if (sid) {
		a->lora_layoutreturn.layoutreturn4_u.lr_layout.lrf_length = UINT64_MAX;
		a->lora_layoutreturn.layoutreturn4_u.lr_layout.lrf_stateid = *sid;
	}
	return a;
}

static const layoutreturn_stateid *
returned(void)
{
	return &res.nfs_resop4_u.oplayoutreturn.LAYOUTRETURN4res_u.lorr_stateid;
}

/* PITFALLS A12: the union says what is left. */
START_TEST(return_result)
{
	get_args(LAYOUTIOMODE4_RW);
	ck_assert_int_eq(run(op_layoutget), NFS4_OK);
	stateid4 sid = got()->logr_stateid;
	LAYOUTRETURN4args *a = return_args(LAYOUTRETURN4_FILE, &sid);
	a->lora_layoutreturn.layoutreturn4_u.lr_layout.lrf_length = 8 * U;
	ck_assert_int_eq(run(op_layoutreturn), NFS4_OK);
	ck_assert(returned()->lrs_present);
	ck_assert_uint_eq(returned()->layoutreturn_stateid_u.lrs_stateid.seqid, 2);
	/* By the current stateid, which is this one now. */
	stateid4 current = { .seqid = 1 };
	return_args(LAYOUTRETURN4_FILE, &current);
	ck_assert_int_eq(run(op_layoutreturn), NFS4_OK);
	ck_assert(!returned()->lrs_present);
	ck_assert_int_eq(run(op_layoutreturn), NFS4ERR_BAD_STATEID);	/* there is none any more */
	ck_assert(stateid_is_anonymous(&c.cur_sid));
	return_args(LAYOUTRETURN4_FILE, &sid);
	ck_assert_int_eq(run(op_layoutreturn), NFS4ERR_BAD_STATEID);
}
END_TEST

START_TEST(return_arguments)
{
	get_args(LAYOUTIOMODE4_RW);
	ck_assert_int_eq(run(op_layoutget), NFS4_OK);
	stateid4 sid = got()->logr_stateid, zero = sid;
	LAYOUTRETURN4args *a;

	zero.seqid = 0;
	return_args(LAYOUTRETURN4_FILE, &zero);
	ck_assert_int_eq(run(op_layoutreturn), NFS4ERR_BAD_STATEID);		/* A15 */
	return_args(LAYOUTRETURN4_FILE, &sid)->lora_iomode = (layoutiomode4)4;
	ck_assert_int_eq(run(op_layoutreturn), NFS4ERR_INVAL);
	return_args(LAYOUTRETURN4_FILE, &sid)->lora_layout_type = (layouttype4)1;
	ck_assert_int_eq(run(op_layoutreturn), NFS4ERR_UNKNOWN_LAYOUTTYPE);
	return_args(LAYOUTRETURN4_FILE, &sid)->lora_layout_type = LAYOUT4_BLOCK_VOLUME;
	ck_assert_int_eq(run(op_layoutreturn), NFS4ERR_UNKNOWN_LAYOUTTYPE);
	a = return_args(LAYOUTRETURN4_FILE, &sid);
	a->lora_layoutreturn.layoutreturn4_u.lr_layout.lrf_body.lrf_body_len = 4;
	ck_assert_int_eq(run(op_layoutreturn), NFS4ERR_INVAL);
	a = return_args(LAYOUTRETURN4_FILE, &sid);
	a->lora_layoutreturn.layoutreturn4_u.lr_layout.lrf_offset = 4096;
	a->lora_layoutreturn.layoutreturn4_u.lr_layout.lrf_length = UINT64_MAX - 4095;
	ck_assert_int_eq(run(op_layoutreturn), NFS4ERR_INVAL);
	return_args(LAYOUTRETURN4_FILE, &sid)->lora_reclaim = TRUE;
	ck_assert_int_eq(run(op_layoutreturn), NFS4ERR_NO_GRACE);
	return_args(LAYOUTRETURN4_ALL, NULL)->lora_reclaim = TRUE;
	ck_assert_int_eq(run(op_layoutreturn), NFS4ERR_INVAL);
	fake_grace = true;
	return_args(LAYOUTRETURN4_FILE, &sid)->lora_reclaim = TRUE;
	ck_assert_int_eq(run(op_layoutreturn), NFS4_OK);
	ck_assert(!returned()->lrs_present);
	fake_grace = false;
	ck_assert(layout_any(file->inode));
	/* ALL needs no filehandle; the others do. */
	c.cur = NULL;
	return_args(LAYOUTRETURN4_FSID, NULL);
	ck_assert_int_eq(run(op_layoutreturn), NFS4ERR_NOFILEHANDLE);
	return_args(LAYOUTRETURN4_ALL, NULL);
	ck_assert_int_eq(run(op_layoutreturn), NFS4_OK);
	ck_assert(!returned()->lrs_present);
	ck_assert(!layout_any(file->inode));
}
END_TEST

/* ---- LAYOUTCOMMIT ---- */

static LAYOUTCOMMIT4args *
commit_args(const stateid4 *sid, void *body, uint32_t len)
{
	memset(&arg, 0, sizeof arg);
	LAYOUTCOMMIT4args *a = &arg.nfs_argop4_u.oplayoutcommit;
	a->loca_length = U;
	a->loca_stateid = *sid;
	a->loca_layoutupdate.lou_type = LAYOUT4_SCSI;
	a->loca_layoutupdate.lou_body.lou_body_val = body;
	a->loca_layoutupdate.lou_body.lou_body_len = len;
	return a;
}

START_TEST(commit_arguments)
{
	uint8_t body[] = { 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0x20, 0 };	/* 4096, 8192 bytes */
	get_args(LAYOUTIOMODE4_RW);
	ck_assert_int_eq(run(op_layoutget), NFS4_OK);
	stateid4 sid = got()->logr_stateid;
	const newsize4 *newsize = &res.nfs_resop4_u.oplayoutcommit.LAYOUTCOMMIT4res_u.locr_resok4.locr_newsize;
	LAYOUTCOMMIT4args *a;

	commit_args(&sid, body, sizeof body);
	ck_assert_int_eq(run(op_layoutcommit), NFS4_OK);
	ck_assert(!newsize->ns_sizechanged);
	ck_assert_uint_eq(file->commit_n, 1);
	/* Empty bodies move the times and flush; both ways to be empty. */
	commit_args(&sid, NULL, 0);
	ck_assert_int_eq(run(op_layoutcommit), NFS4_OK);
	ck_assert_uint_eq(file->commit_n, 0);
	memset(body, 0, 4);
	commit_args(&sid, body, 4);
	ck_assert_int_eq(run(op_layoutcommit), NFS4_OK);
	ck_assert_uint_eq(file->commits, 3);
	/* malformed */
	body[3] = 2;
	commit_args(&sid, body, sizeof body);
	ck_assert_int_eq(run(op_layoutcommit), NFS4ERR_BADXDR);
	commit_args(&sid, body, 3);
	ck_assert_int_eq(run(op_layoutcommit), NFS4ERR_BADXDR);
	/* A2: FALSE means that the offset is not there, whatever memory says. */
	a = commit_args(&sid, NULL, 0);
	a->loca_last_write_offset.newoffset4_u.no_offset = 1 << 30;
	ck_assert_int_eq(run(op_layoutcommit), NFS4_OK);
	ck_assert(!file->commit_attr.size_valid);
	a->loca_last_write_offset.no_newoffset = TRUE;
	ck_assert_int_eq(run(op_layoutcommit), NFS4ERR_INVAL);		/* outside offset and length */
	a->loca_length = UINT64_MAX;
	ck_assert_int_eq(run(op_layoutcommit), NFS4ERR_BADLAYOUT);	/* held nowhere */
	a->loca_last_write_offset.newoffset4_u.no_offset = UINT64_MAX;
	ck_assert_int_eq(run(op_layoutcommit), NFS4ERR_INVAL);
	a = commit_args(&sid, NULL, 0);
	a->loca_time_modify.nt_timechanged = TRUE;
	a->loca_time_modify.newtime4_u.nt_time.nseconds = 1000000000;
	ck_assert_int_eq(run(op_layoutcommit), NFS4ERR_INVAL);
	a->loca_time_modify.newtime4_u.nt_time.nseconds = 7;
	ck_assert_int_eq(run(op_layoutcommit), NFS4_OK);
	ck_assert(file->commit_attr.mtime_valid);
	ck_assert_int_eq(file->commit_attr.mtime.tv_nsec, 7);
	commit_args(&sid, NULL, 0)->loca_layoutupdate.lou_type = LAYOUT4_BLOCK_VOLUME;
	ck_assert_int_eq(run(op_layoutcommit), NFS4ERR_UNKNOWN_LAYOUTTYPE);
	commit_args(&open_sid, NULL, 0);
	ck_assert_int_eq(run(op_layoutcommit), NFS4ERR_BADLAYOUT);
	/* A34 */
	commit_args(&sid, NULL, 0)->loca_reclaim = TRUE;
	ck_assert_int_eq(run(op_layoutcommit), NFS4ERR_NO_GRACE);
	fake_grace = true;
	ck_assert_int_eq(run(op_layoutcommit), NFS4_OK);
	fake_reclaim = NFS4ERR_RECLAIM_BAD;
	ck_assert_int_eq(run(op_layoutcommit), NFS4ERR_RECLAIM_BAD);
	fake_grace = false;
	fake_reclaim = NFS4_OK;
	file->inode->type = S_IFDIR;
	ck_assert_int_eq(run(op_layoutcommit), NFS4ERR_ISDIR);
	file->inode->type = S_IFREG;
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = { golden, get_arguments, get_refusals, trylater_on_the_wire, return_result, return_arguments,
		commit_arguments };
	Suite *suite = suite_create("op_layout");
	TCase *tc = tcase_create("op_layout");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	for (unsigned i = 0; i < sizeof tests / sizeof *tests; i++)
		tcase_add_test(tc, tests[i]);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
