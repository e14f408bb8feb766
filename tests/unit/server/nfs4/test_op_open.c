/* OPEN, CLOSE, OPEN_DOWNGRADE as a client sees them. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/nfs4/attrs.h"
#include "tests/unit/server/nfs4/open_fake.h"
#include "tests/unit/server/state/fake_deleg.h"

/* With attributes A (NULL: none), and VERF for EXCLUSIVE4_1. */
static nfsstat4
do_create(const char *name, createmode4 mode, const struct nfs_attrs *a, const char *verf)
{
	static const struct nfs_attrs none;
	OPEN4args *args = open_fake_args(name, 3, 0);
	createhow4 *how = &args->openhow.openflag4_u.how;
	fattr4 *fattr = mode == EXCLUSIVE4_1 ? &how->createhow4_u.ch_createboth.cva_attrs : &how->createhow4_u.createattrs;

	args->openhow.opentype = OPEN4_CREATE;
	how->mode = mode;
	if (mode == EXCLUSIVE4_1)
		memcpy(how->createhow4_u.ch_createboth.cva_verf, verf, NFS4_VERIFIER_SIZE);
	if (mode != EXCLUSIVE4)
		ck_assert(attrs_to_fattr4(fattr, a ? a : &none, &of->c.arena));
	return open_fake_run(op_open);
}

static struct nfs_attrs
with_mode(uint32_t mode)
{
	struct nfs_attrs a = { .mode = mode };
	attr_set(&a.mask, FATTR4_MODE);
	return a;
}

static struct nfs_attrs
with_size(uint64_t size)
{
	struct nfs_attrs a = { .size = size };
	attr_set(&a.mask, FATTR4_SIZE);
	return a;
}

static bool
attrset_is(const unsigned *bits, unsigned n)
{
	struct attr_mask got, want = { { 0 } };

	attr_mask_from(&got, &open_fake_ok()->attrset);
	for (unsigned i = 0; i < n; i++)
		attr_set(&want, bits[i]);
	return !memcmp(&got, &want, sizeof got);
}

START_TEST(arguments)
{
	open_fake_add("f", S_IFREG | 0644, 1000);
	static const struct { uint32_t access, deny; nfsstat4 want; } t[] = {
		{ 0, 0, NFS4ERR_INVAL }, { 1, 4, NFS4ERR_INVAL }, { 4, 0, NFS4ERR_INVAL }, { 0x400, 0, NFS4ERR_INVAL },
		{ 0x601, 0, NFS4ERR_INVAL }, { 0x40001, 0, NFS4ERR_INVAL }, { 0x80000001, 0, NFS4ERR_INVAL },
		{ 1, 0, NFS4_OK }, { 0x30003, 3, NFS4ERR_SHARE_DENIED },
	};
	for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
		open_fake_be(0, 1000);
		ck_assert_int_eq(open_fake_open("f", t[i].access, t[i].deny), t[i].want);
	}
	open_fake_be(0, 1000);
	ck_assert_int_eq(open_fake_open("", 1, 0), NFS4ERR_INVAL);
	ck_assert_int_eq(open_fake_open("..", 1, 0), NFS4ERR_BADNAME);
	ck_assert_int_eq(open_fake_open("none", 1, 0), NFS4ERR_NOENT);
	OPEN4args *a = open_fake_args(NULL, 1, 0);
	a->openhow.opentype = OPEN4_CREATE;
	a->openhow.openflag4_u.how.mode = GUARDED4;
	ck_assert_int_eq(open_fake_run(op_open), NFS4ERR_INVAL);
}
END_TEST

START_TEST(delegation_answers)
{
	static const struct { uint32_t want; open_delegation_type4 type; why_no_delegation4 why; } t[] = {
		{ 0, OPEN_DELEGATE_NONE, 0 }, { 0x100, OPEN_DELEGATE_NONE_EXT, WND4_NOT_SUPP_FTYPE },
		{ 0x200, OPEN_DELEGATE_NONE_EXT, WND4_NOT_SUPP_FTYPE }, { 0x300, OPEN_DELEGATE_NONE_EXT, WND4_NOT_SUPP_FTYPE },
		{ 0x400, OPEN_DELEGATE_NONE_EXT, WND4_NOT_WANTED }, { 0x500, OPEN_DELEGATE_NONE_EXT, WND4_CANCELLED },
		{ 0x10000, OPEN_DELEGATE_NONE_EXT, WND4_NOT_SUPP_FTYPE },
	};
	open_fake_add("f", S_IFREG | 0644, 1000);
	for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
		open_fake_be(0, 1000);
		ck_assert_int_eq(open_fake_open("f", 1 | t[i].want, 0), NFS4_OK);
		ck_assert_int_eq(open_fake_ok()->delegation.delegation_type, t[i].type);
		if (t[i].type == OPEN_DELEGATE_NONE_EXT)
			ck_assert_int_eq(open_fake_ok()->delegation.open_delegation4_u.od_whynone.ond_why, t[i].why);
		ck_assert_uint_eq(open_fake_ok()->rflags, OPEN4_RESULT_LOCKTYPE_POSIX);
		ck_assert_uint_eq(open_fake_ok()->stateid.seqid, i + 1);
	}
}
END_TEST

START_TEST(claims_and_grace)
{
	struct open_fake_file *f = open_fake_add("f", S_IFREG | 0444, 1000);
	OPEN4args *a;
	static const struct { open_claim_type4 claim; nfsstat4 want; } t[] = {
		{ CLAIM_DELEGATE_PREV, NFS4ERR_RECLAIM_BAD }, { CLAIM_DELEG_PREV_FH, NFS4ERR_RECLAIM_BAD },
		{ 99, NFS4ERR_INVAL },
	};
	for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
		a = open_fake_args("f", 1, 0);
		a->claim.claim = t[i].claim;
		ck_assert_int_eq(open_fake_run(op_open), t[i].want);
	}
	fake_grace = true;
	ck_assert_int_eq(open_fake_open("f", 1, 0), NFS4ERR_GRACE);
	open_fake_cd(f);
	ck_assert_int_eq(open_fake_open(NULL, 1, 0), NFS4ERR_GRACE);
	a = open_fake_args(NULL, 3, 0);
	a->claim.claim = CLAIM_PREVIOUS;
	ck_assert_int_eq(open_fake_run(op_open), NFS4_OK);	/* 0444 was writable for who made it */
	/* Two reclaims that cannot both have been. */
	open_fake_be(1, 1000);
	open_fake_cd(f);
	a = open_fake_args(NULL, 1, 2);
	a->claim.claim = CLAIM_PREVIOUS;
	ck_assert_int_eq(open_fake_run(op_open), NFS4ERR_RECLAIM_CONFLICT);
	fake_reclaim = NFS4ERR_NO_GRACE;
	ck_assert_int_eq(open_fake_run(op_open), NFS4ERR_NO_GRACE);
	fake_grace = false;
	of->client[1].reclaim_complete = false;
	ck_assert_int_eq(open_fake_open(NULL, 1, 0), NFS4ERR_GRACE);	/* 18.51.3 */
}
END_TEST

/* What the last OPEN said of its delegation. */
static stateid4
deleg_sid(void)
{
	const open_delegation4 *d = &open_fake_ok()->delegation;

	return d->delegation_type == OPEN_DELEGATE_WRITE || d->delegation_type == OPEN_DELEGATE_WRITE_ATTRS_DELEG ?
	    d->open_delegation4_u.write.stateid : d->open_delegation4_u.read.stateid;
}

static nfsstat4
do_delegreturn(stateid4 sid)
{
	of->arg.nfs_argop4_u.opdelegreturn.deleg_stateid = sid;
	return open_fake_run(op_delegreturn);
}

/* Given by one, recalled for another, opened by it while it is recalled, returned. */
START_TEST(delegation)
{
	struct open_fake_file *f = open_fake_add("f", S_IFREG | 0666, 1000);
	OPEN4args *a;

	ck_assert_int_eq(open_fake_open("f", 3, 0), NFS4_OK);
	ck_assert_int_eq(open_fake_ok()->delegation.delegation_type, OPEN_DELEGATE_WRITE);
	stateid4 open = open_fake_ok()->stateid, deleg = deleg_sid();
	ck_assert_int_eq(open_fake_close(open), NFS4_OK);
	ck_assert_uint_eq(of->layouts_closed, 0);	/* it is as good as an open */
	open_fake_be(1, 1000);
	ck_assert_int_eq(open_fake_open("f", 1, 0), NFS4ERR_DELAY);
	ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL), 1);
	fake_deleg_answer(&of->mds, OP_CB_RECALL, NFS4_OK);
	/* by name and by handle, of its own delegation only */
	open_fake_be(1, 1000);
	a = open_fake_args("f", 1, 0);
	a->claim.claim = CLAIM_DELEGATE_CUR;
	a->claim.open_claim4_u.delegate_cur_info.delegate_stateid = deleg;
	a->claim.open_claim4_u.delegate_cur_info.file = (component4){ 1, (char *)(uintptr_t)"f" };
	ck_assert_int_eq(open_fake_run(op_open), NFS4ERR_BAD_STATEID);
	open_fake_be(0, 1000);
	fake_grace = true;		/* subordinate to a delegation: not held up by grace (18.16.3) */
	ck_assert_int_eq(open_fake_run(op_open), NFS4_OK);
	ck_assert_int_eq(open_fake_ok()->delegation.delegation_type, OPEN_DELEGATE_NONE);
	fake_grace = false;
	open_fake_cd(f);
	a = open_fake_args(NULL, 3, 0);
	a->claim.claim = CLAIM_DELEG_CUR_FH;
	a->claim.open_claim4_u.oc_delegate_stateid = deleg;
	ck_assert_int_eq(open_fake_run(op_open), NFS4_OK);
	open_fake_cd(f);
	ck_assert_int_eq(do_delegreturn(open), NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(do_delegreturn(deleg), NFS4_OK);
	ck_assert_int_eq(do_delegreturn(deleg), NFS4ERR_BAD_STATEID);
	fake_workers_run();
	open_fake_be(1, 1000);
	ck_assert_int_eq(open_fake_open("f", 1, 0), NFS4_OK);
}
END_TEST

/* RFC 9754 4; at 4.1 the flags are none. */
START_TEST(open_xor_delegation)
{
	const uint32_t xor = OPEN4_SHARE_ACCESS_WANT_OPEN_XOR_DELEGATION, times = OPEN4_SHARE_ACCESS_WANT_DELEG_TIMESTAMPS;
	static const stateid4 none;
	struct open_fake_file *f = open_fake_add("f", S_IFREG | 0666, 1000);

	ck_assert_int_eq(open_fake_open("f", 1 | xor, 0), NFS4ERR_INVAL);
	ck_assert_int_eq(open_fake_open("f", 1 | times, 0), NFS4ERR_INVAL);
	of->c.minor = 2;
	ck_assert_int_eq(open_fake_open("f", 3 | xor | times, 0), NFS4_OK);
	ck_assert_int_eq(open_fake_ok()->delegation.delegation_type, OPEN_DELEGATE_WRITE_ATTRS_DELEG);
	ck_assert(open_fake_ok()->rflags & OPEN4_RESULT_NO_OPEN_STATEID);
	ck_assert(!memcmp(&open_fake_ok()->stateid, &none, sizeof none));
	ck_assert_uint_eq(of->client[0].nstates, 1);
	ck_assert_int_eq(do_delegreturn(deleg_sid()), NFS4_OK);
	fake_workers_run();
	ck_assert_uint_eq(of->layouts_closed, 1);
	/* denials are an open's */
	open_fake_be(0, 1000);
	ck_assert_int_eq(open_fake_open("f", 3 | xor, OPEN4_SHARE_DENY_WRITE), NFS4_OK);
	ck_assert(!(open_fake_ok()->rflags & OPEN4_RESULT_NO_OPEN_STATEID));
	stateid4 open = open_fake_ok()->stateid;
	open_fake_cd(f);
	ck_assert_int_eq(do_delegreturn(deleg_sid()), NFS4_OK);
	ck_assert_int_eq(open_fake_close(open), NFS4_OK);
	fake_workers_run();
	/* an owner that has it open keeps the stateid; so does one whose delegation does not cover the access */
	open_fake_be(0, 1000);
	ck_assert_int_eq(open_fake_open("f", 3 | xor | OPEN4_SHARE_ACCESS_WANT_READ_DELEG, 0), NFS4_OK);
	ck_assert_int_eq(open_fake_ok()->delegation.delegation_type, OPEN_DELEGATE_READ);
	ck_assert(!(open_fake_ok()->rflags & OPEN4_RESULT_NO_OPEN_STATEID));
	open_fake_be(0, 1000);
	ck_assert_int_eq(open_fake_open("f", 3 | xor | OPEN4_SHARE_ACCESS_WANT_WRITE_DELEG, 0), NFS4_OK);
	ck_assert_int_eq(open_fake_ok()->delegation.delegation_type, OPEN_DELEGATE_WRITE);
	ck_assert(!(open_fake_ok()->rflags & OPEN4_RESULT_NO_OPEN_STATEID));
	ck_assert_uint_eq(open_fake_ok()->stateid.seqid, 2);
}
END_TEST

START_TEST(delegation_reclaimed)
{
	struct open_fake_file *f = open_fake_add("f", S_IFREG | 0666, 1000);
	OPEN4args *a;

	fake_grace = true;
	open_fake_cd(f);
	a = open_fake_args(NULL, 3, 0);
	a->claim.claim = CLAIM_PREVIOUS;
	a->claim.open_claim4_u.delegate_type = 6;
	ck_assert_int_eq(open_fake_run(op_open), NFS4ERR_INVAL);
	a->claim.open_claim4_u.delegate_type = OPEN_DELEGATE_WRITE;
	ck_assert_int_eq(open_fake_run(op_open), NFS4_OK);
	ck_assert_int_eq(open_fake_ok()->delegation.delegation_type, OPEN_DELEGATE_WRITE);
	ck_assert(!open_fake_ok()->delegation.open_delegation4_u.write.recall);
	fake_grace = false;
}
END_TEST

/* The stateid of a delegation reads, and writes if it is for that. */
START_TEST(deleg_io)
{
	struct open_fake_file *f = open_fake_add("f", S_IFREG | 0666, 1000);
	bool by_open;

	ck_assert_int_eq(open_fake_open("f", 1, 0), NFS4_OK);
	stateid4 sid = deleg_sid();
	ck_assert_int_eq(state_check_io(&of->c, &sid, f->inode, false, &by_open), NFS4_OK);
	ck_assert(by_open);
	ck_assert_int_eq(state_check_io(&of->c, &sid, f->inode, true, &by_open), NFS4ERR_OPENMODE);
	of->c.cred.uid = 17;
	ck_assert_int_eq(state_check_io(&of->c, &sid, f->inode, false, &by_open), NFS4_OK);
	ck_assert(!by_open);		/* whose rights were not looked at */
	open_fake_be(0, 1000);
	ck_assert_int_eq(open_fake_open("f", 2, 0), NFS4_OK);
	sid = deleg_sid();
	ck_assert_int_eq(state_check_io(&of->c, &sid, f->inode, true, &by_open), NFS4_OK);
	ck_assert(by_open);
	ck_assert_int_eq(state_check_io(&of->c, &sid, f->inode, false, &by_open), NFS4_OK);
	ck_assert(!by_open);
	open_fake_be(1, 1000);
	ck_assert_int_eq(state_check_io(&of->c, &sid, f->inode, true, &by_open), NFS4ERR_BAD_STATEID);
}
END_TEST

START_TEST(want_delegation)
{
	struct open_fake_file *f = open_fake_add("f", S_IFREG | 0666, 1000), *dir = &of->file[0];
	WANT_DELEGATION4args *a = &of->arg.nfs_argop4_u.opwant_delegation;
	const open_delegation4 *d = &of->res.nfs_resop4_u.opwant_delegation.WANT_DELEGATION4res_u.wdr_resok4;

	of->arg.nfs_argop4_u.opwant_delegation = (WANT_DELEGATION4args){ .wda_claim.dc_claim = CLAIM_FH };
	open_fake_cd(f);
	ck_assert_int_eq(open_fake_run(op_want_delegation), NFS4ERR_INVAL);
	a->wda_want = OPEN4_SHARE_ACCESS_WANT_NO_DELEG;
	ck_assert_int_eq(open_fake_run(op_want_delegation), NFS4ERR_INVAL);
	a->wda_want = OPEN4_SHARE_ACCESS_WANT_READ_DELEG | 3;	/* 18.49.3: the access bits are ignored */
	ck_assert_int_eq(open_fake_run(op_want_delegation), NFS4_OK);
	ck_assert_int_eq(d->delegation_type, OPEN_DELEGATE_READ);
	ck_assert_int_eq(do_delegreturn(d->open_delegation4_u.read.stateid), NFS4_OK);
	fake_workers_run();
	open_fake_be(1, 1000);
	ck_assert_int_eq(open_fake_open("f", 2 | OPEN4_SHARE_ACCESS_WANT_NO_DELEG, 0), NFS4_OK);
	open_fake_be(0, 1000);
	open_fake_cd(f);
	of->arg.nfs_argop4_u.opwant_delegation = (WANT_DELEGATION4args){ .wda_want = OPEN4_SHARE_ACCESS_WANT_READ_DELEG |
	    OPEN4_SHARE_ACCESS_WANT_PUSH_DELEG_WHEN_UNCONTENDED, .wda_claim.dc_claim = CLAIM_FH };
	ck_assert_int_eq(open_fake_run(op_want_delegation), NFS4_OK);
	ck_assert_int_eq(d->delegation_type, OPEN_DELEGATE_NONE_EXT);
	ck_assert_int_eq(d->open_delegation4_u.od_whynone.ond_why, WND4_CONTENTION);
	ck_assert(!d->open_delegation4_u.od_whynone.open_none_delegation4_u.ond_server_will_push_deleg);
	open_fake_cd(dir);
	ck_assert_int_eq(open_fake_run(op_want_delegation), NFS4_OK);
	ck_assert_int_eq(d->open_delegation4_u.od_whynone.ond_why, WND4_IS_DIR);
	fake_grace = true;
	ck_assert_int_eq(open_fake_run(op_want_delegation), NFS4ERR_GRACE);
	a->wda_claim.dc_claim = CLAIM_DELEG_PREV_FH;
	ck_assert_int_eq(open_fake_run(op_want_delegation), NFS4ERR_RECLAIM_BAD);
	fake_grace = false;
}
END_TEST

START_TEST(types)
{
	static const struct { mode_t type; nfsstat4 want; } t[] = {
		{ S_IFDIR, NFS4ERR_ISDIR }, { S_IFLNK, NFS4ERR_SYMLINK }, { S_IFIFO, NFS4ERR_WRONG_TYPE },
		{ S_IFBLK, NFS4ERR_WRONG_TYPE }, { S_IFREG, NFS4_OK },
	};
	for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
		char name[2] = { 'a' + (char)i };
		struct open_fake_file *f = open_fake_add(name, t[i].type | 0777, 1000);
		open_fake_be(0, 1000);
		ck_assert_int_eq(open_fake_open(name, 1, 0), t[i].want);
		open_fake_cd(f);
		ck_assert_int_eq(open_fake_open(NULL, 1, 0), t[i].want);
		if (t[i].type != S_IFDIR) {	/* as a directory */
			open_fake_cd(f);
			ck_assert_int_eq(open_fake_open("x", 1, 0), NFS4ERR_NOTDIR);
		}
	}
}
END_TEST

START_TEST(rights)
{
	static const struct { mode_t mode; uid_t uid; uint32_t access; nfsstat4 want; } t[] = {
		{ 0644, 1000, 3, NFS4_OK }, { 0444, 1000, 1, NFS4_OK }, { 0444, 1000, 2, NFS4ERR_ACCESS },
		{ 0444, 1000, 3, NFS4ERR_ACCESS }, { 0600, 7, 1, NFS4ERR_ACCESS }, { 0604, 7, 1, NFS4_OK },
		{ 0606, 7, 3, NFS4_OK }, { 0604, 7, 2, NFS4ERR_ACCESS }, { 0711, 7, 1, NFS4_OK }, { 0602, 7, 1, NFS4ERR_ACCESS },
	};
	for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
		char name[2] = { 'a' + (char)i };
		open_fake_add(name, S_IFREG | t[i].mode, t[i].uid);
		open_fake_be(0, 1000);
		ck_assert_int_eq(open_fake_open(name, t[i].access, 0), t[i].want);
	}
	of->readonly = true;
	open_fake_be(0, 1000);
	ck_assert_int_eq(open_fake_open("a", 2, 0), NFS4ERR_ROFS);
	open_fake_be(0, 1000);
	ck_assert_int_eq(open_fake_open("a", 1, 0), NFS4_OK);
	open_fake_be(0, 1000);
	ck_assert_int_eq(do_create("new", UNCHECKED4, NULL, NULL), NFS4ERR_ROFS);
	of->readonly = false;
	open_fake_be(0, 1000);
	of->file[0].st.stx.stx_mode = S_IFDIR | 0666;	/* no search */
	ck_assert_int_eq(open_fake_open("a", 1, 0), NFS4ERR_ACCESS);
}
END_TEST

START_TEST(create_unchecked)
{
	struct nfs_attrs a = with_mode(0444), zero = with_size(0), five = with_size(5);
	const unsigned mode_bit = FATTR4_MODE, size_bit = FATTR4_SIZE;

	/* 0444 and yet open for writing: it is its maker's. */
	ck_assert_int_eq(do_create("f", UNCHECKED4, &a, NULL), NFS4_OK);
	ck_assert(attrset_is(&mode_bit, 1));
	ck_assert(open_fake_ok()->cinfo.after == open_fake_ok()->cinfo.before + 1);
	struct open_fake_file *f = open_fake_find("f");
	ck_assert_ptr_eq(of->c.cur, f->inode);
	ck_assert_uint_eq(f->st.stx.stx_mode, S_IFREG | 0444);
	/* Existing: attributes are not used ... */
	f->st.stx.stx_mode = S_IFREG | 0644;
	f->st.stx.stx_size = 100;
	open_fake_be(0, 1000);
	ck_assert_int_eq(do_create("f", UNCHECKED4, &five, NULL), NFS4_OK);
	ck_assert(attrset_is(NULL, 0) && of->truncates == 0 && of->ways == 0);
	ck_assert(open_fake_ok()->cinfo.after == open_fake_ok()->cinfo.before);
	/* ... but size 0, which takes layouts back and the lock. */
	open_fake_be(0, 1000);
	ck_assert_int_eq(do_create("f", UNCHECKED4, &zero, NULL), NFS4_OK);
	ck_assert(attrset_is(&size_bit, 1) && of->truncates == 1 && of->ways == 1 && of->locked_at_truncate);
	ck_assert_uint_eq(f->st.stx.stx_size, 0);
	ck_assert_uint_eq(of->creates, 1);
	/* A new file that starts with a size. */
	open_fake_be(0, 1000);
	ck_assert_int_eq(do_create("g", UNCHECKED4, &five, NULL), NFS4_OK);
	ck_assert_uint_eq(open_fake_find("g")->st.stx.stx_size, 5);
	ck_assert_uint_eq(open_fake_find("g")->st.stx.stx_mode, S_IFREG | 0600);
}
END_TEST

/* On a loop it is left before anything has changed: what runs it again on a worker starts from the directory. */
START_TEST(truncate_leaves_loop)
{
	struct open_fake_file *f = open_fake_add("f", S_IFREG | 0666, 7);
	struct nfs_attrs zero = with_size(0);

	f->st.stx.stx_size = 9;
	of->c.on_loop = true;
	const struct inode *dir = of->c.cur;
	ck_assert_int_eq(do_create("f", UNCHECKED4, &zero, NULL), OP_WORKER);
	ck_assert_ptr_eq(of->c.cur, dir);
	ck_assert(of->ways == 0 && of->truncates == 0 && of->client[0].nstates == 0);
	of->c.on_loop = false;
	ck_assert_int_eq(open_fake_run(op_open), NFS4_OK);
	ck_assert_uint_eq(of->truncates, 1);
}
END_TEST

START_TEST(truncate_refused)
{
	struct open_fake_file *f = open_fake_add("f", S_IFREG | 0666, 7);
	struct nfs_attrs zero = with_size(0);

	f->st.stx.stx_size = 9;
	of->make_way = NFS4ERR_DELAY;
	ck_assert_int_eq(do_create("f", UNCHECKED4, &zero, NULL), NFS4ERR_DELAY);
	ck_assert(of->client[0].nstates == 0 && of->truncates == 0);
	of->make_way = NFS4_OK;
	of->setattr_fails_at = FS_SET_SIZE;
	of->setattr_err = -EIO;
	open_fake_be(0, 1000);
	ck_assert_int_eq(do_create("f", UNCHECKED4, &zero, NULL), NFS4ERR_IO);
	ck_assert_uint_eq(of->client[0].nstates, 0);		/* the open was taken back */
	of->setattr_fails_at = 0;
	open_fake_be(1, 1000);
	ck_assert_int_eq(open_fake_open("f", 1, 2), NFS4_OK);
	of->ways = 0;
	open_fake_be(0, 1000);
	ck_assert_int_eq(do_create("f", UNCHECKED4, &zero, NULL), NFS4ERR_SHARE_DENIED);
	ck_assert(of->ways == 0 && of->truncates == 0 && f->st.stx.stx_size == 9);
	/* Truncating is writing, whatever the access. */
	f->st.stx.stx_mode = S_IFREG | 0444;
	open_fake_be(0, 1000);
	do_create("f", UNCHECKED4, &zero, NULL);
	of->arg.nfs_argop4_u.opopen.share_access = 1;
	open_fake_be(0, 1000);
	ck_assert_int_eq(open_fake_run(op_open), NFS4ERR_ACCESS);
}
END_TEST

START_TEST(create_guarded_and_exclusive)
{
	struct nfs_attrs a = with_mode(0640), times = { 0 };
	const unsigned bits[] = { FATTR4_MODE, FATTR4_TIME_ACCESS_SET, FATTR4_TIME_MODIFY_SET };

	ck_assert_int_eq(do_create("g", GUARDED4, &a, NULL), NFS4_OK);
	open_fake_be(0, 1000);
	ck_assert_int_eq(do_create("g", GUARDED4, &a, NULL), NFS4ERR_EXIST);

	ck_assert_int_eq(do_create("e", EXCLUSIVE4_1, &a, "verifier"), NFS4_OK);
	ck_assert(attrset_is(bits, 3));
	/* Said again, as after a lost reply: the same file. Another verifier: not. */
	open_fake_be(0, 1000);
	ck_assert_int_eq(do_create("e", EXCLUSIVE4_1, &a, "verifier"), NFS4_OK);
	ck_assert(attrset_is(bits, 3) && open_fake_ok()->stateid.seqid == 2);
	open_fake_be(0, 1000);
	ck_assert_int_eq(do_create("e", EXCLUSIVE4_1, &a, "Verifier"), NFS4ERR_EXIST);
	ck_assert_int_eq(do_create("e", EXCLUSIVE4_1, &a, "verifieR"), NFS4ERR_EXIST);
	/* Somebody else who knows the verifier still needs rights. */
	open_fake_find("e")->st.stx.stx_mode = S_IFREG | 0400;
	open_fake_be(1, 1001);
	ck_assert_int_eq(do_create("e", EXCLUSIVE4_1, &a, "verifier"), NFS4ERR_ACCESS);
	open_fake_be(0, 1000);
	ck_assert_int_eq(do_create("e", EXCLUSIVE4_1, &a, "verifier"), NFS4_OK);

	/* What holds the verifier cannot be asked for (suppattr_exclcreat); EXCLUSIVE4 is not for pNFS clients. */
	attr_set(&times.mask, FATTR4_TIME_MODIFY_SET);
	open_fake_be(0, 1000);
	ck_assert_int_eq(do_create("t", EXCLUSIVE4_1, &times, "verifier"), NFS4ERR_INVAL);
	ck_assert_int_eq(do_create("t", EXCLUSIVE4, NULL, NULL), NFS4ERR_INVAL);
	ck_assert_ptr_null(open_fake_find("t"));
	/* A step after the creation fails: no file stays. */
	of->setattr_fails_at = FS_SET_MTIME;
	of->setattr_err = -ENOSPC;
	ck_assert_int_eq(do_create("t", EXCLUSIVE4_1, NULL, "verifier"), NFS4ERR_NOSPC);
	ck_assert_ptr_null(open_fake_find("t"));
}
END_TEST

START_TEST(close_and_current)
{
	open_fake_add("f", S_IFREG | 0644, 1000);
	ck_assert_int_eq(open_fake_close(open_fake_current), NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(open_fake_open("f", 3, 0), NFS4_OK);
	ck_assert_int_eq(open_fake_close(open_fake_current), NFS4_OK);
	const stateid4 *out = &of->res.nfs_resop4_u.opclose.CLOSE4res_u.open_stateid;
	ck_assert(stateid_is_invalid(out));
	ck_assert_uint_eq(of->layouts_closed, 1);
	/* PITFALLS D10: the current stateid is now the invalid one. */
	stateid4 sid = open_fake_current;
	ck_assert_int_eq(compound_resolve_stateid(&of->c, &sid), NFS4_OK);
	ck_assert_int_eq(state_check_io(&of->c, &sid, of->c.cur, false, NULL), NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(open_fake_close(open_fake_current), NFS4ERR_BAD_STATEID);
	/* Two owners: layouts go with the last of the client. */
	open_fake_be(0, 1000);
	ck_assert_int_eq(open_fake_open("f", 1, 0), NFS4_OK);
	stateid4 first = open_fake_ok()->stateid;
	open_fake_args(NULL, 1, 0)->owner.owner.owner_len = 3;
	ck_assert_int_eq(open_fake_run(op_open), NFS4_OK);
	stateid4 second = open_fake_ok()->stateid;
	ck_assert_int_eq(open_fake_open(NULL, 2, 0), NFS4_OK);		/* upgrades the first */
	ck_assert_int_eq(open_fake_close(first), NFS4ERR_OLD_STATEID);
	first.seqid = 0;
	ck_assert_int_eq(open_fake_close(first), NFS4_OK);
	ck_assert_uint_eq(of->layouts_closed, 1);
	ck_assert_int_eq(open_fake_close(second), NFS4_OK);
	ck_assert_uint_eq(of->layouts_closed, 2);
	ck_assert_ptr_null(of->c.cur->state);
}
END_TEST

/* A program on the server's host removed the file: who has it open goes on, others look the name up again. */
START_TEST(by_handle_without_a_name)
{
	open_fake_add("f", S_IFREG | 0644, 1000);
	ck_assert_int_eq(open_fake_open("f", 1, 0), NFS4_OK);
	open_fake_find("f")->st.stx.stx_nlink = 0;
	ck_assert_int_eq(open_fake_open(NULL, 3, 0), NFS4_OK);
	ck_assert_int_eq(open_fake_close(open_fake_current), NFS4_OK);
	ck_assert_int_eq(open_fake_open(NULL, 1, 0), NFS4ERR_STALE);
}
END_TEST

START_TEST(downgrade)
{
	OPEN_DOWNGRADE4args *a = &of->arg.nfs_argop4_u.opopen_downgrade;

	open_fake_add("f", S_IFREG | 0644, 1000);
	ck_assert_int_eq(open_fake_open("f", 1, 0), NFS4_OK);
	ck_assert_int_eq(open_fake_open(NULL, 3, 0), NFS4_OK);
	*a = (OPEN_DOWNGRADE4args){ .open_stateid = open_fake_current, .share_access = 4 };
	ck_assert_int_eq(open_fake_run(op_open_downgrade), NFS4ERR_INVAL);
	a->share_access = 1 | OPEN4_SHARE_ACCESS_WANT_NO_DELEG;
	ck_assert_int_eq(open_fake_run(op_open_downgrade), NFS4_OK);
	ck_assert_uint_eq(of->res.nfs_resop4_u.opopen_downgrade.OPEN_DOWNGRADE4res_u.resok4.open_stateid.seqid, 3);
	ck_assert_uint_eq(of->c.cur_sid.seqid, 3);
	a->share_access = 3;
	ck_assert_int_eq(open_fake_run(op_open_downgrade), NFS4ERR_INVAL);
}
END_TEST

static void
deleg_setup(void)
{
	open_fake_setup();
	fake_deleg_init(&of->mds);
	for (unsigned i = 0; i < 2; i++) {
		atomic_init(&of->client[i].nback, 1);
		atomic_init(&of->client[i].refs, 1);
	}
}

static void
deleg_teardown(void)
{
	struct delegs *delegs = of->mds.delegs;

	open_fake_teardown();
	ck_assert_uint_eq(delegs->n, 0);
	ck_assert_ptr_null(fd.lease);
	free(delegs);
}

int
main(void)
{
	Suite *suite = suite_create("op_open");
	TCase *tc = tcase_create("op_open");
	tcase_add_checked_fixture(tc, open_fake_setup, open_fake_teardown);
	tcase_add_test(tc, arguments);
	tcase_add_test(tc, delegation_answers);
	tcase_add_test(tc, claims_and_grace);
	tcase_add_test(tc, types);
	tcase_add_test(tc, rights);
	tcase_add_test(tc, create_unchecked);
	tcase_add_test(tc, truncate_leaves_loop);
	tcase_add_test(tc, truncate_refused);
	tcase_add_test(tc, create_guarded_and_exclusive);
	tcase_add_test(tc, close_and_current);
	tcase_add_test(tc, by_handle_without_a_name);
	tcase_add_test(tc, downgrade);
	suite_add_tcase(suite, tc);
	tc = tcase_create("delegations");
	tcase_add_checked_fixture(tc, deleg_setup, deleg_teardown);
	tcase_add_test(tc, delegation);
	tcase_add_test(tc, open_xor_delegation);
	tcase_add_test(tc, delegation_reclaimed);
	tcase_add_test(tc, deleg_io);
	tcase_add_test(tc, want_delegation);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
