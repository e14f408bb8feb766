/* Names and filehandles: server/nfs4/op_dir.c, op_create.c, op_fh.c. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "server/export/export.h"
#include "server/nfs4/attr.h"
#include "server/state/file.h"
#include "server/state/open.h"
#include "server/conf/exports.h"
#include "tests/unit/server/nfs4/fake.h"

static nfs_argop4 arg;
static nfs_resop4 res;
static struct fake_node *dir, *file;

static void
setup(void)
{
	fake_setup();
	memset(&arg, 0, sizeof arg);
	memset(&res, 0, sizeof res);
	dir = fake_add(&fake->node[0], "dir", S_IFDIR | 0755);
	file = fake_file(&fake->node[0], "file", "abc");
	fake_save(&fake->node[0]);
}

static nfsstat4
lookup(const char *name)
{
	arg.nfs_argop4_u.oplookup.objname = fake_name(name);
	return op_lookup(&fake->c, &arg, &res);
}

START_TEST(lookups)
{
	ck_assert_int_eq(lookup("none"), NFS4ERR_NOENT);
	ck_assert_int_eq(lookup(""), NFS4ERR_INVAL);
	ck_assert_int_eq(lookup(".."), NFS4ERR_BADNAME);
	fake->c.on_loop = true;
	fake->contended = true;
	ck_assert_int_eq(lookup("dir"), OP_WORKER);
	ck_assert_ptr_eq(fake->c.cur, &fake->node[0].inode);
	fake->contended = false;
	ck_assert_int_eq(lookup("dir"), NFS4_OK);
	ck_assert_ptr_eq(fake->c.cur, &dir->inode);
	fake->c.on_loop = false;
	ck_assert_int_eq(op_lookupp(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_ptr_eq(fake->c.cur, &fake->node[0].inode);
	ck_assert_int_eq(op_lookupp(&fake->c, &arg, &res), NFS4ERR_NOENT);
	fake->node[0].st.stx.stx_mode = S_IFDIR | 0666;
	ck_assert_int_eq(lookup("dir"), NFS4ERR_ACCESS);
	fake_cd(file);
	ck_assert_int_eq(lookup("x"), NFS4ERR_NOTDIR);
	fake_cd(fake_add(&fake->node[0], "l", S_IFLNK | 0777));
	ck_assert_int_eq(lookup("x"), NFS4ERR_SYMLINK);
	ck_assert_int_eq(op_lookupp(&fake->c, &arg, &res), NFS4ERR_SYMLINK);
}
END_TEST

/* An export that is not for this client cannot be seen. */
START_TEST(lookup_foreign_export)
{
	static struct export other;
	struct fake_node *pseudo = fake_add(NULL, "", S_IFDIR | 0555);
	pseudo->inode.export = NULL;
	fake_cd(pseudo);
	struct fake_node *root = fake_add(pseudo, "other", S_IFDIR | 0755);
	root->inode.export = &other;
	fake->visible = false;
	ck_assert_int_eq(lookup("other"), NFS4ERR_NOENT);
	ck_assert_uint_eq(root->refs, 0);
	fake->visible = true;
	ck_assert_int_eq(lookup("other"), NFS4_OK);
}
END_TEST

START_TEST(handles)
{
	arg.nfs_argop4_u.opputfh.object = (nfs_fh4){ 3, (char *)"abc" };
	ck_assert_int_eq(op_putfh(&fake->c, &arg, &res), NFS4ERR_BADHANDLE);
	arg.nfs_argop4_u.opputfh.object = (nfs_fh4){ 4, (char *)"\xff\xff\xff\xff" };
	ck_assert_int_eq(op_putfh(&fake->c, &arg, &res), NFS4ERR_STALE);
	fake_cd(file);
	ck_assert_int_eq(op_getfh(&fake->c, &arg, &res), NFS4_OK);
	arg.nfs_argop4_u.opputfh.object = res.nfs_resop4_u.opgetfh.GETFH4res_u.resok4.object;
	ck_assert_int_eq(op_putrootfh(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_int_eq(op_putfh(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_ptr_eq(fake->c.cur, &file->inode);
	fake->c.on_loop = fake->contended = true;
	ck_assert_int_eq(op_putfh(&fake->c, &arg, &res), OP_WORKER);
}
END_TEST

START_TEST(save_restore)
{
	fake_cd(file);
	fake->c.cur_sid_valid = true;
	fake->c.cur_sid.seqid = 9;
	ck_assert_int_eq(op_savefh(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_int_eq(op_putrootfh(&fake->c, &arg, &res), NFS4_OK);
	ck_assert(!fake->c.cur_sid_valid);
	fake->c.cred.uid = 1;
	ck_assert_int_eq(op_restorefh(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_ptr_eq(fake->c.cur, &file->inode);
	ck_assert(fake->c.cur_sid_valid);
	ck_assert_uint_eq(fake->c.cur_sid.seqid, 9);
	ck_assert_uint_eq(fake->c.cred.uid, 1000);
	ck_assert_uint_eq(file->refs, 2);
	ck_assert_uint_eq(fake->node[0].refs, 0);
}
END_TEST

/* PITFALLS E6 */
START_TEST(secinfo)
{
	SECINFO4resok *ok = &res.nfs_resop4_u.opsecinfo.SECINFO4res_u.resok4;
	arg.nfs_argop4_u.opsecinfo.name = fake_name("none");
	ck_assert_int_eq(op_secinfo(&fake->c, &arg, &res), NFS4ERR_NOENT);
	ck_assert_ptr_nonnull(fake->c.cur);
	arg.nfs_argop4_u.opsecinfo.name = fake_name("file");
	ck_assert_int_eq(op_secinfo(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_ptr_null(fake->c.cur);
	ck_assert_uint_eq(file->refs, 0);
	ck_assert_uint_eq(ok->SECINFO4resok_len, 1);
	ck_assert_uint_eq(ok->SECINFO4resok_val[0].flavor, AUTH_SYS);

	/* Kerberos, in the order of exports. */
	fake_client = (struct export_client){ .sec = EXPORT_SEC_KRB5P | EXPORT_SEC_SYS, .nsec = 2, .sec_list = { 3, 0 } };
	fake_cd(&fake->node[0]);
	arg.nfs_argop4_u.opsecinfo.name = fake_name("file");
	ck_assert_int_eq(op_secinfo(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_uint_eq(ok->SECINFO4resok_len, 2);
	const secinfo4 *krb5 = &ok->SECINFO4resok_val[0];
	ck_assert_uint_eq(krb5->flavor, RPCSEC_GSS);
	ck_assert_int_eq(krb5->secinfo4_u.flavor_info.service, RPC_GSS_SVC_PRIVACY);
	ck_assert_uint_eq(krb5->secinfo4_u.flavor_info.qop, 0);
	ck_assert_uint_eq(krb5->secinfo4_u.flavor_info.oid.sec_oid4_len, 9);
	ck_assert_uint_eq(krb5[1].flavor, AUTH_SYS);
	fake_client = (struct export_client){ .rw = true, .sec = EXPORT_SEC_SYS, .nsec = 1 };

	fake_cd(&fake->node[0]);
	arg.nfs_argop4_u.opsecinfo_no_name = SECINFO_STYLE4_PARENT;
	ck_assert_int_eq(op_secinfo_no_name(&fake->c, &arg, &res), NFS4ERR_NOENT);
	arg.nfs_argop4_u.opsecinfo_no_name = 7;
	ck_assert_int_eq(op_secinfo_no_name(&fake->c, &arg, &res), NFS4ERR_BADXDR);
	ck_assert_ptr_nonnull(fake->c.cur);
	arg.nfs_argop4_u.opsecinfo_no_name = SECINFO_STYLE4_CURRENT_FH;
	ck_assert_int_eq(op_secinfo_no_name(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_ptr_null(fake->c.cur);
	fake_cd(dir);
	arg.nfs_argop4_u.opsecinfo_no_name = SECINFO_STYLE4_PARENT;
	ck_assert_int_eq(op_secinfo_no_name(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_ptr_null(fake->c.cur);
}
END_TEST

static nfsstat4
remove_(const char *name)
{
	arg.nfs_argop4_u.opremove.target = fake_name(name);
	return op_remove(&fake->c, &arg, &res);
}

/* PITFALLS A19: the last name of a file with layouts. */
START_TEST(remove_last_link)
{
	fake->in_way = true;
	ck_assert_int_eq(remove_("file"), NFS4ERR_DELAY);
	ck_assert_int_eq(fake->need, LAYOUT_NEED_BLOCKS);
	ck_assert_uint_eq(fake->need_offset, 0);
	ck_assert_uint_eq(fake->need_length, UINT64_MAX);
	ck_assert_uint_eq(fake->removes, 0);
	fake->in_way = false;
	ck_assert_int_eq(remove_("file"), NFS4_OK);
	ck_assert(fake->lock_held_at_change);
	ck_assert_uint_eq(file->refs, 0);
	ck_assert_int_eq(remove_("file"), NFS4ERR_NOENT);
	fake->make_way = 0;
	ck_assert_int_eq(remove_("dir"), NFS4_OK);
	ck_assert_uint_eq(fake->make_way, 0);
}
END_TEST

START_TEST(remove_other_link)
{
	fake->in_way = true;
	file->st.stx.stx_nlink = 2;
	ck_assert_int_eq(remove_("file"), NFS4_OK);
	ck_assert_uint_eq(fake->make_way, 0);
	struct fake_node *opened = fake_file(&fake->node[0], "opened", "");
	fake->open = true;
	ck_assert_int_eq(remove_("opened"), NFS4_OK);
	ck_assert_uint_eq(fake->make_way, 0);
	ck_assert(opened->removed);
}
END_TEST

/* RFC 8881 18.25.4 */
START_TEST(remove_denied)
{
	struct file_state state = { .inode = &file->inode };
	struct open_state open = { .deny = OPEN4_SHARE_DENY_READ };
	TAILQ_INIT(&state.opens);
	TAILQ_INSERT_TAIL(&state.opens, &open, of_file);
	state.deny_n[0] = 1;
	file->inode.state = &state;
	fake->open = true;
	open.deny = OPEN4_SHARE_DENY_WRITE;
	state.deny_n[1] = 1;
	ck_assert_int_eq(remove_("file"), NFS4ERR_FILE_OPEN);
	open.deny = OPEN4_SHARE_DENY_READ;
	state.deny_n[1] = 0;
	ck_assert_int_eq(remove_("file"), NFS4_OK);
	file->inode.state = NULL;
}
END_TEST

START_TEST(remove_refused)
{
	ck_assert_int_eq(remove_("."), NFS4ERR_BADNAME);
	ck_assert_int_eq(remove_(""), NFS4ERR_INVAL);
	fake->grace = true;
	ck_assert_int_eq(remove_("file"), NFS4ERR_GRACE);
	fake->grace = false;
	fake->readonly = true;
	ck_assert_int_eq(remove_("file"), NFS4ERR_ROFS);
	fake->readonly = false;
	fake->node[0].st.stx.stx_mode = S_IFDIR | 0555;
	ck_assert_int_eq(remove_("file"), NFS4ERR_ACCESS);
	fake_cd(file);
	ck_assert_int_eq(remove_("file"), NFS4ERR_NOTDIR);
	ck_assert_uint_eq(fake->removes, 0);
}
END_TEST

static nfsstat4
rename_(const char *old, const char *new)
{
	arg.nfs_argop4_u.oprename = (RENAME4args){ fake_name(old), fake_name(new) };
	return op_rename(&fake->c, &arg, &res);
}

START_TEST(renames)
{
	RENAME4resok *ok = &res.nfs_resop4_u.oprename.RENAME4res_u.resok4;
	ck_assert_int_eq(rename_("none", "x"), NFS4ERR_NOENT);
	ck_assert_int_eq(rename_("file", "file"), NFS4_OK);	/* nothing to do, nothing changed */
	ck_assert_uint_eq(ok->source_cinfo.before, ok->source_cinfo.after);
	ck_assert_uint_eq(ok->target_cinfo.before, ok->target_cinfo.after);
	ck_assert_uint_eq(fake->renames, 0);
	ck_assert_int_eq(rename_("dir", "file"), NFS4ERR_EXIST);
	ck_assert_int_eq(rename_("file", "dir"), NFS4ERR_EXIST);
	ck_assert_int_eq(rename_("file", ".."), NFS4ERR_BADNAME);
	ck_assert_int_eq(rename_(".", "x"), NFS4ERR_BADNAME);
	ck_assert_int_eq(rename_("file", ""), NFS4ERR_INVAL);
	ck_assert_int_eq(rename_("file", "x"), NFS4_OK);
	ck_assert_uint_eq(file->refs, 0);
	ck_assert_uint_eq(fake->make_way, 0);
}
END_TEST

START_TEST(rename_over_last_link)
{
	struct fake_node *victim = fake_file(&fake->node[0], "victim", "x");
	fake->in_way = true;
	ck_assert_int_eq(rename_("file", "victim"), NFS4ERR_DELAY);
	ck_assert_uint_eq(fake->renames, 0);
	ck_assert_uint_eq(victim->refs, 0);
	fake->in_way = false;
	ck_assert_int_eq(rename_("file", "victim"), NFS4_OK);
	ck_assert(fake->lock_held_at_change);
	ck_assert(victim->removed);
	ck_assert_uint_eq(victim->refs, 0);
}
END_TEST

/* PITFALLS E7 */
START_TEST(other_export)
{
	static struct export other;
	struct fake_node *elsewhere = fake_add(NULL, "", S_IFDIR | 0755);
	elsewhere->inode.export = &other;
	fake_cd(elsewhere);
	ck_assert_int_eq(rename_("file", "x"), NFS4ERR_XDEV);
	fake_save(file);
	arg.nfs_argop4_u.oplink.newname = fake_name("x");
	ck_assert_int_eq(op_link(&fake->c, &arg, &res), NFS4ERR_XDEV);
	fake_cd(&fake->node[0]);
	ck_assert_int_eq(op_link(&fake->c, &arg, &res), NFS4_OK);
	ck_assert_uint_eq(file->st.stx.stx_nlink, 2);
	arg.nfs_argop4_u.oplink.newname = fake_name("dir");
	ck_assert_int_eq(op_link(&fake->c, &arg, &res), NFS4ERR_EXIST);
	fake_save(dir);
	ck_assert_int_eq(op_link(&fake->c, &arg, &res), NFS4ERR_ISDIR);
}
END_TEST

static nfsstat4
create(nfs_ftype4 type, const char *name, const char *target)
{
	struct nfs_attrs a;
	CREATE4args *args = &arg.nfs_argop4_u.opcreate;
	memset(&a, 0, sizeof a);
	attr_set(&a.mask, FATTR4_MODE);
	a.mode = 0751;
	memset(args, 0, sizeof *args);
	args->objtype.type = type;
	if (type == NF4LNK)
		args->objtype.createtype4_u.linkdata = (linktext4){ strlen(target), (char *)(uintptr_t)target };
	else if (type == NF4BLK || type == NF4CHR)
		args->objtype.createtype4_u.devdata = (specdata4){ 1, 2 };
	args->objname = fake_name(name);
	args->createattrs = fake_fattr(&a);
	return op_create(&fake->c, &arg, &res);
}

START_TEST(creates)
{
	static const nfs_ftype4 types[] = { NF4DIR, NF4BLK, NF4CHR, NF4SOCK, NF4FIFO };
	CREATE4resok *ok = &res.nfs_resop4_u.opcreate.CREATE4res_u.resok4;
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		char name[] = { 'n', 'a' + i, 0 };
		fake_cd(&fake->node[0]);
		ck_assert_int_eq(create(types[i], name, NULL), NFS4_OK);
		struct fake_node *n = (struct fake_node *)fake->c.cur;
		ck_assert_int_eq(attr_type(n->inode.type), types[i]);
		ck_assert_uint_eq(n->st.stx.stx_mode & 07777, 0751);
		ck_assert_uint_eq(ok->attrset.bitmap4_len, 2);
		ck_assert_uint_eq(ok->attrset.bitmap4_val[1], 1u << (FATTR4_MODE - 32));
		ck_assert_uint_lt(ok->cinfo.before, ok->cinfo.after);
		ck_assert_uint_eq(n->refs, 1);
	}
	fake_cd(&fake->node[0]);
	ck_assert_int_eq(create(NF4LNK, "l", "to/there"), NFS4_OK);
	ck_assert_int_eq(op_readlink(&fake->c, &arg, &res), NFS4_OK);
	linktext4 *link = &res.nfs_resop4_u.opreadlink.READLINK4res_u.resok4.link;
	ck_assert_uint_eq(link->linktext4_len, 8);
	ck_assert_mem_eq(link->linktext4_val, "to/there", 8);
}
END_TEST

START_TEST(creates_refused)
{
	ck_assert_int_eq(create(NF4DIR, "dir", NULL), NFS4ERR_EXIST);
	ck_assert_int_eq(create(NF4REG, "x", NULL), NFS4ERR_BADTYPE);
	ck_assert_int_eq(create(NF4ATTRDIR, "x", NULL), NFS4ERR_BADTYPE);
	ck_assert_int_eq(create(99, "x", NULL), NFS4ERR_BADTYPE);
	ck_assert_int_eq(create(NF4LNK, "x", ""), NFS4ERR_INVAL);
	ck_assert_int_eq(create(NF4DIR, "a/b", NULL), NFS4ERR_BADCHAR);
	fake->readonly = true;
	ck_assert_int_eq(create(NF4DIR, "x", NULL), NFS4ERR_ROFS);
	ck_assert_int_eq(op_readlink(&fake->c, &arg, &res), NFS4ERR_WRONG_TYPE);
	fake_cd(file);
	ck_assert_int_eq(create(NF4DIR, "x", NULL), NFS4ERR_NOTDIR);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("op_dir");
	TCase *tc = tcase_create("op_dir");
	tcase_add_checked_fixture(tc, setup, fake_teardown);
	tcase_add_test(tc, lookups);
	tcase_add_test(tc, lookup_foreign_export);
	tcase_add_test(tc, handles);
	tcase_add_test(tc, save_restore);
	tcase_add_test(tc, secinfo);
	tcase_add_test(tc, remove_last_link);
	tcase_add_test(tc, remove_other_link);
	tcase_add_test(tc, remove_denied);
	tcase_add_test(tc, remove_refused);
	tcase_add_test(tc, renames);
	tcase_add_test(tc, rename_over_last_link);
	tcase_add_test(tc, other_export);
	tcase_add_test(tc, creates);
	tcase_add_test(tc, creates_refused);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
