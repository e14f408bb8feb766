/* The attribute acl and POSIX ACLs: server/nfs4/acl.c. */
#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/nfs4/acl.h"
#include "server/nfs4/acl.h"
#include "server/nfs4/attr.h"
#include "tests/unit/server/nfs4/fake.h"

#define A ACE4_ACCESS_ALLOWED_ACE_TYPE
#define D ACE4_ACCESS_DENIED_ACE_TYPE
#define R ACE4_READ_DATA
#define W (ACE4_WRITE_DATA | ACE4_APPEND_DATA)
#define X ACE4_EXECUTE
#define ANY (ACE4_READ_ATTRIBUTES | ACE4_READ_ACL | ACE4_SYNCHRONIZE)
#define OWN (ANY | ACE4_WRITE_ATTRIBUTES | ACE4_WRITE_ACL)
#define G ACE4_IDENTIFIER_GROUP
#define INH (ACE4_FILE_INHERIT_ACE | ACE4_DIRECTORY_INHERIT_ACE)

struct ace { uint32_t type, flag, mask; const char *who; };

static void
acl_is(const struct nfs_acl *acl, const struct ace *want, unsigned n)
{
	struct nfs_ace ace;
	XDR x;
	nfs_acl_open(&x, acl);
	for (unsigned i = 0; i < acl->count; i++) {
		ck_assert(nfs_ace_get(&x, &ace));
		ck_assert_msg(i < n && ace.type == want[i].type && ace.flag == want[i].flag && ace.mask == want[i].mask &&
		    ace.who.len == strlen(want[i].who) && !memcmp(ace.who.data, want[i].who, ace.who.len),
		    "ace %u: %u %x %x %.*s", i, ace.type, ace.flag, ace.mask, (int)ace.who.len, ace.who.data);
	}
	ck_assert_uint_eq(ax_left(&x), 0);
	ck_assert_uint_eq(acl->count, n);
}

static struct nfs_acl
acl_of(const struct ace *aces, unsigned n)
{
	static uint8_t buf[4096];
	XDR x;
	ax_init(&x, buf, sizeof buf, XDR_ENCODE, NULL);
	for (unsigned i = 0; i < n; i++) {
		struct nfs_ace ace = { aces[i].type, aces[i].flag, aces[i].mask, { (uint32_t)strlen(aces[i].who), aces[i].who } };
		ck_assert(nfs_ace_put(&x, &ace));
	}
	return (struct nfs_acl){ n, { ax_used(&x), (const char *)buf } };
}

static void
entries_are(const struct fs_acl *acl, const struct fs_ace *want, unsigned n)
{
	ck_assert_uint_eq(acl->n, n);
	for (unsigned i = 0; i < n; i++)
		ck_assert_msg(acl->e[i].tag == want[i].tag && acl->e[i].perm == want[i].perm && acl->e[i].id == want[i].id,
		    "entry %u: %x %o %u", i, acl->e[i].tag, acl->e[i].perm, acl->e[i].id);
}

#define N(a) (sizeof (a) / sizeof *(a))

START_TEST(of_a_mode)
{
	static const struct ace of_640[] = { { A, 0, R | W | OWN, "OWNER@" }, { A, 0, R | ANY, "GROUP@" },
		{ A, 0, ANY, "EVERYONE@" } };
	/* What later ones would give is denied before. */
	static const struct ace of_0407[] = { { D, 0, W | X, "OWNER@" }, { A, 0, R | OWN, "OWNER@" }, { A, 0, ANY, "GROUP@" },
		{ D, 0, R | W | X, "GROUP@" }, { A, 0, R | W | X | ANY, "EVERYONE@" } };
	static const struct ace of_dir[] = { { A, 0, R | W | ACE4_DELETE_CHILD | X | OWN, "OWNER@" },
		{ A, 0, R | X | ANY, "GROUP@" }, { A, 0, R | X | ANY, "EVERYONE@" } };
	struct nfs_acl acl;
	fake_cd(fake_add(&fake->node[0], "f", S_IFREG | 0640));
	ck_assert_int_eq(acl_get(&fake->c, fake->c.cur, &acl), NFS4_OK);
	acl_is(&acl, of_640, N(of_640));
	fake_cd(fake_add(&fake->node[0], "f", S_IFREG | 0407));
	ck_assert_int_eq(acl_get(&fake->c, fake->c.cur, &acl), NFS4_OK);
	acl_is(&acl, of_0407, N(of_0407));
	fake_cd(fake_add(&fake->node[0], "f", S_IFDIR | 0755));
	ck_assert_int_eq(acl_get(&fake->c, fake->c.cur, &acl), NFS4_OK);
	acl_is(&acl, of_dir, N(of_dir));
}
END_TEST

START_TEST(of_entries)
{
	static struct fs_ace e[] = { { FS_ACE_USER_OBJ, 7, 0 }, { FS_ACE_USER, 6, 1002 }, { FS_ACE_GROUP_OBJ, 4, 0 },
		{ FS_ACE_GROUP, 7, 5000 }, { FS_ACE_MASK, 5, 0 }, { FS_ACE_OTHER, 1, 0 } };
	static const struct ace aces[] = { { A, 0, R | W | X | OWN, "OWNER@" }, { D, 0, X, "1002" }, { A, 0, R | ANY, "1002" },
		{ A, 0, R | ANY, "GROUP@" }, { A, G, R | X | ANY, "5000" }, { D, 0, X, "GROUP@" }, { A, 0, X | ANY, "EVERYONE@" } };
	struct nfs_acl acl;
	fake_cd(fake_add(&fake->node[0], "f", S_IFREG | 0751));
	fake->acl[FS_ACL_ACCESS] = (struct fs_acl){ N(e), e };
	ck_assert_int_eq(acl_get(&fake->c, fake->c.cur, &acl), NFS4_OK);
	acl_is(&acl, aces, N(aces));
}
END_TEST

START_TEST(of_defaults)
{
	static struct fs_ace d[] = { { FS_ACE_USER_OBJ, 7, 0 }, { FS_ACE_GROUP_OBJ, 5, 0 }, { FS_ACE_OTHER, 0, 0 } };
	static const uint32_t f = INH | ACE4_INHERIT_ONLY_ACE, dw = W | ACE4_DELETE_CHILD;
	const struct ace aces[] = { { A, 0, R | dw | X | OWN, "OWNER@" }, { A, 0, ANY, "GROUP@" }, { A, 0, ANY, "EVERYONE@" },
		{ A, f, R | dw | X | OWN, "OWNER@" }, { A, f, R | X | ANY, "GROUP@" }, { A, f, ANY, "EVERYONE@" } };
	struct nfs_acl acl;
	struct fs_setattr set = { 0 };
	fake_cd(fake_add(&fake->node[0], "d", S_IFDIR | 0700));
	fake->acl[FS_ACL_DEFAULT] = (struct fs_acl){ N(d), d };
	ck_assert_int_eq(acl_get(&fake->c, fake->c.cur, &acl), NFS4_OK);
	acl_is(&acl, aces, N(aces));
	ck_assert_int_eq(acl_to_set(&fake->c, true, &acl, &set), NFS4_OK);
	entries_are(&set.default_acl, d, N(d));
	/* Only directories have something to give on. */
	ck_assert_int_eq(acl_to_set(&fake->c, false, &acl, &set), NFS4ERR_ATTRNOTSUPP);
}
END_TEST

/* What a client gets, and sets again, changes nobody's rights. */
START_TEST(there_and_back)
{
	unsigned seed = 5;
	for (unsigned turn = 0; turn < 2000; turn++) {
		struct fs_ace e[16];
		struct nfs_acl acl;
		struct fs_setattr set = { 0 };
		bool dir = turn & 1;
		unsigned n = 0, mask = (unsigned)rand_r(&seed) & 7, named = (unsigned)rand_r(&seed) % 4;
		e[n++] = (struct fs_ace){ FS_ACE_USER_OBJ, rand_r(&seed) & 7, 0 };
		for (unsigned i = 0; i < named; i++)
			e[n++] = (struct fs_ace){ FS_ACE_USER, rand_r(&seed) & 7, 1001 + i };
		e[n++] = (struct fs_ace){ FS_ACE_GROUP_OBJ, rand_r(&seed) & 7, 0 };
		for (unsigned i = 0; i < named; i++)
			e[n++] = (struct fs_ace){ FS_ACE_GROUP, rand_r(&seed) & 7, 5000 + i };
		if (named)
			e[n++] = (struct fs_ace){ FS_ACE_MASK, (uint16_t)mask, 0 };
		else
			mask = 7;
		e[n++] = (struct fs_ace){ FS_ACE_OTHER, rand_r(&seed) & 7, 0 };
		fake->acl[FS_ACL_ACCESS] = (struct fs_acl){ n, e };
		fake_cd(&fake->node[dir ? 0 : 1]);
		ck_assert_int_eq(acl_get(&fake->c, fake->c.cur, &acl), NFS4_OK);
		ck_assert_int_eq(acl_to_set(&fake->c, dir, &acl, &set), NFS4_OK);
		ck_assert_uint_eq(set.acl.n, n);
		unsigned back = 7;
		for (unsigned i = 0; i < n; i++)
			if (set.acl.e[i].tag == FS_ACE_MASK)
				back = set.acl.e[i].perm;
		for (unsigned i = 0; i < n; i++) {
			const struct fs_ace *was = &e[i], *is = &set.acl.e[i];
			bool masked = was->tag == FS_ACE_USER || was->tag == FS_ACE_GROUP_OBJ || was->tag == FS_ACE_GROUP;
			ck_assert(was->tag == is->tag && was->id == is->id);
			if (was->tag != FS_ACE_MASK)
				ck_assert_msg((was->perm & (masked ? mask : 7)) == (is->perm & (masked ? back : 7)),
				    "turn %u, entry %u: %o & %o, %o & %o", turn, i, was->perm, mask, is->perm, back);
		}
		arena_reset(&fake->c.arena);
	}
}
END_TEST

START_TEST(to_entries)
{
	/* In any order, and a denial to a group hits all who may be in it. */
	static const struct ace aces[] = { { D, G, W, "5000" }, { A, 0, R | W | X, "EVERYONE@" }, { A, 0, R, "1003" },
		{ A, 0, R, "1002" } };
	static const struct fs_ace e[] = { { FS_ACE_USER_OBJ, 5, 0 }, { FS_ACE_USER, 5, 1002 }, { FS_ACE_USER, 5, 1003 },
		{ FS_ACE_GROUP_OBJ, 5, 0 }, { FS_ACE_GROUP, 5, 5000 }, { FS_ACE_MASK, 5, 0 }, { FS_ACE_OTHER, 7, 0 } };
	static const struct fs_ace none[] = { { FS_ACE_USER_OBJ, 0, 0 }, { FS_ACE_GROUP_OBJ, 0, 0 }, { FS_ACE_OTHER, 0, 0 } };
	struct nfs_acl acl = acl_of(aces, N(aces));
	struct fs_setattr set = { 0 };
	ck_assert_int_eq(acl_to_set(&fake->c, false, &acl, &set), NFS4_OK);
	ck_assert_uint_eq(set.what, FS_SET_ACL);
	entries_are(&set.acl, e, N(e));
	ck_assert_uint_eq(set.default_acl.n, 0);
	/* Writing without appending is not POSIX's w. */
	static const struct ace half[] = { { A, 0, ACE4_WRITE_DATA, "OWNER@" } };
	acl = acl_of(half, 1);
	ck_assert_int_eq(acl_to_set(&fake->c, false, &acl, &set), NFS4_OK);
	entries_are(&set.acl, none, 3);
	acl = acl_of(NULL, 0);
	ck_assert_int_eq(acl_to_set(&fake->c, true, &acl, &set), NFS4_OK);
	entries_are(&set.acl, none, 3);
	ck_assert_uint_eq(set.default_acl.n, 0);
}
END_TEST

START_TEST(refusals)
{
	static const struct { struct ace ace; bool dir; nfsstat4 status; } rows[] = {
		{ { ACE4_SYSTEM_AUDIT_ACE_TYPE, 0, R, "OWNER@" }, false, NFS4ERR_ATTRNOTSUPP },
		{ { A, ACE4_FILE_INHERIT_ACE, R, "OWNER@" }, false, NFS4ERR_ATTRNOTSUPP },
		{ { A, ACE4_FILE_INHERIT_ACE, R, "OWNER@" }, true, NFS4_OK },
		{ { A, ACE4_INHERIT_ONLY_ACE, R, "OWNER@" }, false, NFS4_OK },
		{ { A, ACE4_NO_PROPAGATE_INHERIT_ACE, R, "OWNER@" }, true, NFS4ERR_ATTRNOTSUPP },
		{ { A, ACE4_SUCCESSFUL_ACCESS_ACE_FLAG, R, "OWNER@" }, true, NFS4ERR_ATTRNOTSUPP },
		{ { D, 0, ACE4_READ_ATTRIBUTES, "GROUP@" }, false, NFS4ERR_ATTRNOTSUPP },
		{ { D, 0, ACE4_READ_ACL, "EVERYONE@" }, false, NFS4ERR_ATTRNOTSUPP },
		{ { D, 0, ACE4_WRITE_ACL, "OWNER@" }, false, NFS4ERR_ATTRNOTSUPP },
		{ { D, 0, ACE4_WRITE_ACL, "GROUP@" }, false, NFS4ERR_ATTRNOTSUPP },	/* the owner may be in it */
		{ { A, 0, 0xffffffff, "OWNER@" }, false, NFS4_OK },
		{ { A, 0, R, "INTERACTIVE@" }, false, NFS4ERR_BADOWNER },
		{ { A, 0, R, "" }, false, NFS4ERR_BADOWNER },
		{ { A, 0, R, "4294967295" }, false, NFS4ERR_BADOWNER },
	};
	for (size_t i = 0; i < N(rows); i++) {
		struct nfs_acl acl = acl_of(&rows[i].ace, 1);
		struct fs_setattr set = { 0 };
		nfsstat4 status = acl_to_set(&fake->c, rows[i].dir, &acl, &set);
		ck_assert_msg(status == rows[i].status, "row %zu: %u", i, status);
		ck_assert_uint_eq(set.what, status == NFS4_OK ? FS_SET_ACL : 0);
	}
	/* More than a file can have is not looked at. */
	struct nfs_acl acl = { FS_ACL_MAX + 1, { 0, NULL } };
	struct fs_setattr set = { 0 };
	ck_assert_int_eq(acl_to_set(&fake->c, false, &acl, &set), NFS4ERR_FBIG);
}
END_TEST

/* By way of GETATTR's and SETATTR's value. */
START_TEST(as_attribute)
{
	static const struct ace aces[] = { { A, 0, R | W | OWN, "OWNER@" }, { A, 0, R | ANY, "GROUP@" }, { A, 0, ANY, "EVERYONE@" } };
	struct attr_mask want = { { 1u << FATTR4_ACL | 1u << FATTR4_ACLSUPPORT, 0, 0 } }, mask;
	struct nfs_attrs a, b;
	struct fs_setattr set;
	fake_cd(fake_add(&fake->node[0], "f", S_IFREG | 0640));
	fake->c.on_loop = true;
	ck_assert_int_eq(attr_get(&fake->c, fake->c.cur, &want, &a), OP_WORKER);
	fake->c.on_loop = false;
	ck_assert_int_eq(attr_get(&fake->c, fake->c.cur, &want, &a), NFS4_OK);
	ck_assert_uint_eq(a.aclsupport, ACL4_SUPPORT_ALLOW_ACL | ACL4_SUPPORT_DENY_ACL);
	fattr4 f = fake_fattr(&a);
	ck_assert_int_eq(attrs_decode(&f, &b), NFS4_OK);
	acl_is(&b.acl, aces, N(aces));
	attr_clear(&a.mask, FATTR4_ACLSUPPORT);
	f = fake_fattr(&a);
	ck_assert_int_eq(attr_to_set(&fake->c, false, &f, &set, &mask), NFS4_OK);
	ck_assert_uint_eq(set.what, FS_SET_ACL);
	ck_assert_uint_eq(set.acl.n, 3);
	fake->no_acls = true;
	ck_assert_int_eq(attr_to_set(&fake->c, false, &f, &set, &mask), NFS4ERR_ATTRNOTSUPP);
	/* Short, and more than is there. */
	f.attr_vals.attrlist4_len -= 4;
	ck_assert_int_eq(attrs_decode(&f, &b), NFS4ERR_BADXDR);
	f.attr_vals.attrlist4_len = 4;
	ck_assert_int_eq(attrs_decode(&f, &b), NFS4ERR_BADXDR);
}
END_TEST

static void
setup(void)
{
	fake_setup();
	fake_file(&fake->node[0], "f", "");
}

int
main(void)
{
	Suite *s = suite_create("acl");
	TCase *tc = tcase_create("acl");
	tcase_add_checked_fixture(tc, setup, fake_teardown);
	tcase_add_test(tc, of_a_mode);
	tcase_add_test(tc, of_entries);
	tcase_add_test(tc, of_defaults);
	tcase_add_test(tc, there_and_back);
	tcase_add_test(tc, to_entries);
	tcase_add_test(tc, refusals);
	tcase_add_test(tc, as_attribute);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
