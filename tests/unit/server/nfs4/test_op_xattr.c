/* GETXATTR, SETXATTR, LISTXATTRS, REMOVEXATTR: server/nfs4/op_xattr.c. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/nfs4/op_xdr.h"
#include "tests/unit/server/nfs4/fake.h"

static nfs_argop4 arg;
static nfs_resop4 res;

static void
setup(void)
{
	fake_setup();
	fake_cd(fake_file(&fake->node[0], "f", ""));
	memset(&arg, 0, sizeof arg);
	memset(&res, 0, sizeof res);
}

static nfsstat4
getx(const char *name)
{
	arg.nfs_argop4_u.opgetxattr.gxa_name = fake_name(name);
	return op_getxattr(&fake->c, &arg, &res);
}

static nfsstat4
setx(setxattr_option4 how, const char *name, const char *value)
{
	SETXATTR4args *a = &arg.nfs_argop4_u.opsetxattr;
	a->sxa_option = how;
	a->sxa_key = fake_name(name);
	a->sxa_value.xattrvalue4_len = (uint32_t)strlen(value);
	a->sxa_value.xattrvalue4_val = (char *)(uintptr_t)value;
	return op_setxattr(&fake->c, &arg, &res);
}

static nfsstat4
removex(const char *name)
{
	arg.nfs_argop4_u.opremovexattr.rxa_name = fake_name(name);
	return op_removexattr(&fake->c, &arg, &res);
}

START_TEST(set_get_remove)
{
	const xattrvalue4 *v = &res.nfs_resop4_u.opgetxattr.GETXATTR4res_u.gxr_value;
	ck_assert_int_eq(getx("k"), NFS4ERR_NOXATTR);
	ck_assert_int_eq(setx(SETXATTR4_REPLACE, "k", "v"), NFS4ERR_NOXATTR);
	ck_assert_int_eq(setx(SETXATTR4_CREATE, "k", "value"), NFS4_OK);
	const change_info4 *info = &res.nfs_resop4_u.opsetxattr.SETXATTR4res_u.sxr_info;
	ck_assert_uint_eq(info->before, 3);
	ck_assert_uint_eq(info->after, 4);
	ck_assert(!info->atomic);
	ck_assert_int_eq(setx(SETXATTR4_CREATE, "k", "v"), NFS4ERR_EXIST);
	ck_assert_int_eq(getx("k"), NFS4_OK);
	ck_assert_uint_eq(v->xattrvalue4_len, 5);
	ck_assert_mem_eq(v->xattrvalue4_val, "value", 5);
	ck_assert_int_eq(setx(SETXATTR4_EITHER, "k", ""), NFS4_OK);
	ck_assert_int_eq(getx("k"), NFS4_OK);
	ck_assert_uint_eq(v->xattrvalue4_len, 0);
	ck_assert_int_eq(removex("k"), NFS4_OK);
	ck_assert_uint_eq(res.nfs_resop4_u.opremovexattr.REMOVEXATTR4res_u.rxr_info.after, 6);
	ck_assert_int_eq(removex("k"), NFS4ERR_NOXATTR);
}
END_TEST

/* The value gets longer between its size and its bytes. */
START_TEST(value_that_grows)
{
	ck_assert_int_eq(setx(SETXATTR4_EITHER, "k", "v"), NFS4_OK);
	fake->xattr_grows = 2;
	ck_assert_int_eq(getx("k"), NFS4_OK);
	ck_assert_uint_eq(res.nfs_resop4_u.opgetxattr.GETXATTR4res_u.gxr_value.xattrvalue4_len, 3);
	fake->xattr_grows = 20;
	ck_assert_int_eq(getx("k"), NFS4ERR_DELAY);
}
END_TEST

START_TEST(refusals)
{
	char name[252] = { 0 };
	memset(name, 'n', 251);
	ck_assert_int_eq(getx(""), NFS4ERR_INVAL);
	ck_assert_int_eq(getx("\xff"), NFS4ERR_INVAL);
	ck_assert_int_eq(getx(name), NFS4ERR_NAMETOOLONG);
	ck_assert_int_eq(removex(name), NFS4ERR_NAMETOOLONG);
	ck_assert_int_eq(setx(SETXATTR4_EITHER, name, "v"), NFS4ERR_NAMETOOLONG);
	name[250] = 0;
	ck_assert_int_eq(setx(SETXATTR4_EITHER, name, "v"), NFS4_OK);
	ck_assert_int_eq(setx(SETXATTR4_EITHER, "a/..", "v"), NFS4_OK);	/* no name of a file */
	ck_assert_int_eq(setx(3, "k", "v"), NFS4ERR_INVAL);
	ck_assert_int_eq(setx(-1, "k", "v"), NFS4ERR_INVAL);
	arg.nfs_argop4_u.opgetxattr.gxa_name = (component4){ 3, (char *)(uintptr_t)"a\0b" };
	ck_assert_int_eq(op_getxattr(&fake->c, &arg, &res), NFS4ERR_INVAL);

	fake->xattr_err = -E2BIG;
	ck_assert_int_eq(setx(SETXATTR4_EITHER, "k", "v"), NFS4ERR_XATTR2BIG);
	fake->xattr_err = -EACCES;
	ck_assert_int_eq(setx(SETXATTR4_EITHER, "k", "v"), NFS4ERR_ACCESS);
	fake->xattr_err = 0;
	fake->readonly = true;
	ck_assert_int_eq(setx(SETXATTR4_EITHER, "k", "v"), NFS4ERR_ROFS);
	ck_assert_int_eq(removex("k"), NFS4ERR_ROFS);
	ck_assert_int_eq(getx("k"), NFS4ERR_NOXATTR);
	/* RFC 8276 8.4: where xattr_support is FALSE */
	fake->readonly = false;
	fake->no_xattrs = true;
	ck_assert_int_eq(getx("k"), NFS4ERR_NOTSUPP);
	ck_assert_int_eq(setx(SETXATTR4_EITHER, "k", "v"), NFS4ERR_NOTSUPP);
	ck_assert_int_eq(removex("k"), NFS4ERR_NOTSUPP);
	ck_assert_int_eq(op_listxattrs(&fake->c, &arg, &res), NFS4ERR_NOTSUPP);
}
END_TEST

/* ---- LISTXATTRS ---- */

static nfsstat4
list(uint64_t cookie, uint32_t maxcount)
{
	arg.nfs_argop4_u.oplistxattrs = (LISTXATTRS4args){ cookie, maxcount };
	return op_listxattrs(&fake->c, &arg, &res);
}

static const LISTXATTRS4resok *
listed(void)
{
	return &res.nfs_resop4_u.oplistxattrs.LISTXATTRS4res_u.lxr_value;
}

/* Bytes of the LISTXATTRS4resok. */
static uint32_t
encoded(void)
{
	static uint8_t buf[1 << 16];
	XDR x;
	ax_init(&x, buf, sizeof buf, XDR_ENCODE, NULL);
	ck_assert(nfs4_op_xdr(OP_LISTXATTRS)->res(&x, &res.nfs_resop4_u));
	return ax_used(&x) - 4;
}

static unsigned
number_of(const char *name)
{
	return (unsigned)atoi(name + strspn(name, "name-"));
}

static void
add_names(unsigned from, unsigned to)
{
	for (unsigned i = from; i < to; i++) {
		char name[32];
		snprintf(name, sizeof name, "name%.*s%u", (int)(i % 5), "-----", i);
		ck_assert_int_eq(setx(SETXATTR4_CREATE, name, "v"), NFS4_OK);
	}
}

/* Names of which others take the places in the list. */
static void
remove_names(unsigned from)
{
	for (unsigned i = fake->nxattrs; i-- > 0;)
		if (number_of(fake->xattr[i].name) >= from) {
			char name[256];
			strcpy(name, fake->xattr[i].name);
			ck_assert_int_eq(removex(name), NFS4_OK);
		}
}

/* What is there all the while is told once, whatever comes and goes meanwhile. */
START_TEST(list_in_parts)
{
	for (uint32_t maxcount = 40; maxcount < 1500; maxcount = maxcount * 3 / 2) {
		unsigned seen[FAKE_XATTRS] = { 0 };
		uint64_t cookie = 0;
		bool eof = false, more = false;
		fake->nxattrs = 0;
		add_names(0, 50);
		while (!eof) {
			ck_assert_int_eq(list(cookie, maxcount), NFS4_OK);
			ck_assert_uint_le(encoded(), maxcount);
			eof = listed()->lxr_eof;
			ck_assert(eof || listed()->lxr_names.lxr_names_len > 0);
			for (uint32_t i = 0; i < listed()->lxr_names.lxr_names_len; i++)
				seen[number_of(listed()->lxr_names.lxr_names_val[i].utf8string_val)]++;
			cookie = listed()->lxr_cookie;
			if (more)
				remove_names(50);
			else
				add_names(50, 60);
			more = !more;
		}
		for (unsigned i = 0; i < 50; i++)
			ck_assert_msg(seen[i] == 1, "%u: %u times, by %u bytes", i, seen[i], maxcount);
	}
}
END_TEST

START_TEST(list_bounds)
{
	/* 8 cookie, 4 count, 4 eof */
	ck_assert_int_eq(list(0, 16), NFS4_OK);
	ck_assert(listed()->lxr_eof);
	ck_assert_uint_eq(listed()->lxr_names.lxr_names_len, 0);
	ck_assert_uint_eq(encoded(), 16);
	ck_assert_int_eq(list(0, 15), NFS4ERR_TOOSMALL);
	ck_assert_int_eq(list(0, 0), NFS4ERR_TOOSMALL);
	ck_assert_int_eq(setx(SETXATTR4_EITHER, "12345", "v"), NFS4_OK);
	ck_assert_int_eq(list(0, 27), NFS4ERR_TOOSMALL);
	ck_assert_int_eq(list(0, 28), NFS4_OK);
	ck_assert_uint_eq(encoded(), 28);
	ck_assert(listed()->lxr_eof);
	ck_assert_int_eq(list(UINT64_MAX, 28), NFS4_OK);
	ck_assert(listed()->lxr_eof);
	ck_assert_uint_eq(listed()->lxr_names.lxr_names_len, 0);
	/* The session's limit, not the client's. */
	fake->room = 27;
	ck_assert_int_eq(list(0, 1000), NFS4ERR_REP_TOO_BIG);
	fake->room = 28;
	ck_assert_int_eq(list(0, 1000), NFS4_OK);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("op_xattr");
	TCase *tc = tcase_create("xattr");
	tcase_add_checked_fixture(tc, setup, fake_teardown);
	tcase_add_test(tc, set_get_remove);
	tcase_add_test(tc, value_that_grows);
	tcase_add_test(tc, refusals);
	tcase_add_test(tc, list_in_parts);
	tcase_add_test(tc, list_bounds);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
