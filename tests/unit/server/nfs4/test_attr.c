/* Attributes gathered and taken apart: server/nfs4/attr.c, attr_set.c. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "server/export/export.h"
#include "server/nfs4/attr.h"
#include "tests/unit/server/nfs4/fake.h"

static struct attr_mask
bit(unsigned b)
{
	struct attr_mask m = { { 0 } };
	attr_set(&m, b);
	return m;
}

/* Everything supported, encoded and decoded again. */
static struct nfs_attrs
roundtrip(struct inode *inode)
{
	struct nfs_attrs a, b;
	struct attr_mask want = attr_supported_at(fake->c.minor);
	ck_assert_int_eq(attr_get(&fake->c, inode, &want, &a), NFS4_OK);
	fattr4 f = fake_fattr(&a);
	ck_assert_int_eq(attrs_decode(&f, &b), NFS4_OK);
	ck_assert_mem_eq(&a.mask, &b.mask, sizeof a.mask);
	return b;
}

START_TEST(each_type)
{
	static const struct { mode_t mode; nfs_ftype4 type; } types[] = {
		{ S_IFREG, NF4REG }, { S_IFDIR, NF4DIR }, { S_IFLNK, NF4LNK }, { S_IFBLK, NF4BLK },
		{ S_IFCHR, NF4CHR }, { S_IFIFO, NF4FIFO }, { S_IFSOCK, NF4SOCK } };
	for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
		struct fake_node *n = fake_add(&fake->node[0], "x", types[i].mode | 04751);
		n->st.stx.stx_size = 12345;
		n->st.stx.stx_blocks = 24;
		n->st.stx.stx_rdev_major = 8;
		n->st.stx.stx_rdev_minor = 17;
		n->st.stx.stx_uid = 4294967294u;
		n->st.stx.stx_mtime.tv_sec = -5;
		n->st.stx.stx_mtime.tv_nsec = 999999999;
		struct nfs_attrs a = roundtrip(&n->inode);
		ck_assert_uint_eq(a.type, types[i].type);
		ck_assert_uint_eq(a.mode, 04751);
		ck_assert_uint_eq(a.size, 12345);
		ck_assert_uint_eq(a.space_used, 24 * 512);
		ck_assert_uint_eq(a.rawdev.specdata1, 8);
		ck_assert_uint_eq(a.rawdev.specdata2, 17);
		ck_assert_uint_eq(a.change, n->st.change);
		ck_assert_uint_eq(a.fileid, n->inode.ino);
		ck_assert_int_eq(a.time_modify.seconds, -5);
		ck_assert_uint_eq(a.owner.len, 10);
		ck_assert_mem_eq(a.owner.data, "4294967294", 10);
		ck_assert_mem_eq(a.owner_group.data, "1000", 4);
		ck_assert_uint_eq(a.fh.len, 4);
		ck_assert_uint_eq(a.lease_time, 90);
		ck_assert_uint_eq(a.maxread, 1 << 20);
		ck_assert_uint_eq(a.space_total, 1000);
		ck_assert_uint_eq(a.files_avail, 50);
	}
}
END_TEST

/* PITFALLS B23, B24: at every node; another layout type is another fsid. */
START_TEST(layout_facts)
{
	struct nfs_attrs a = roundtrip(&fake->node[0].inode);
	ck_assert_uint_eq(a.nlayout_types, 1);
	ck_assert_uint_eq(a.layout_types[0], LAYOUT4_BLOCK_VOLUME);
	ck_assert_uint_eq(a.layout_blksize, 4096);
	ck_assert_uint_eq(a.mounted_on_fileid, 5);
	ck_assert_uint_eq(a.fileid, 1000);

	fake_export.layout_type = LAYOUT4_SCSI;
	struct nfs_attrs b = roundtrip(&fake->node[0].inode);
	ck_assert_uint_eq(b.layout_types[0], LAYOUT4_SCSI);
	ck_assert(a.fsid.major != b.fsid.major || a.fsid.minor != b.fsid.minor);

	fake_export.layout_type = 0;
	b = roundtrip(&fake->node[0].inode);
	ck_assert_uint_eq(b.nlayout_types, 0);

	struct fake_node *pseudo = fake_add(NULL, "", S_IFDIR | 0555);
	pseudo->inode.export = NULL;
	b = roundtrip(&pseudo->inode);
	ck_assert_uint_eq(b.layout_blksize, 4096);
	ck_assert_uint_eq(b.nlayout_types, 0);
	ck_assert_uint_eq(b.fsid.major, 0);
	ck_assert_uint_eq(b.fsid.minor, 0);
}
END_TEST

START_TEST(minor_versions)
{
	struct attr_mask want = attr_supported;
	struct nfs_attrs a;

	fake->c.minor = 1;
	ck_assert_int_eq(attr_get(&fake->c, &fake->node[0].inode, &want, &a), NFS4_OK);
	ck_assert(!attr_has(&a.mask, FATTR4_CHANGE_ATTR_TYPE));
	ck_assert(!attr_has(&a.supported, FATTR4_CHANGE_ATTR_TYPE));
	ck_assert(attr_has(&a.supported, FATTR4_SUPPATTR_EXCLCREAT));
	fake->c.minor = 2;
	ck_assert_int_eq(attr_get(&fake->c, &fake->node[0].inode, &want, &a), NFS4_OK);
	ck_assert(attr_has(&a.mask, FATTR4_CHANGE_ATTR_TYPE));
	ck_assert(attr_has(&a.supported, FATTR4_CHANGE_ATTR_TYPE));
	/* what can be set is supported; what is supported has a codec */
	for (int i = 0; i < ATTR_WORDS; i++) {
		ck_assert_uint_eq(attr_supported_set.w[i] & ~attr_supported.w[i], 0);
		ck_assert_uint_eq(attr_supported.w[i] & ~attrs_known.w[i], 0);
		ck_assert_uint_eq(attr_supported_set.w[i] & ~attrs_settable.w[i], 0);
	}
}
END_TEST

START_TEST(no_birth_time)
{
	struct attr_mask want = bit(FATTR4_TIME_CREATE);
	struct nfs_attrs a;
	fake->node[0].st.stx.stx_mask &= ~STATX_BTIME;
	ck_assert_int_eq(attr_get(&fake->c, &fake->node[0].inode, &want, &a), NFS4_OK);
	ck_assert(!attr_has(&a.mask, FATTR4_TIME_CREATE));
}
END_TEST

static nfsstat4
to_set(struct nfs_attrs *a, struct fs_setattr *set)
{
	struct attr_mask mask;
	fattr4 f = fake_fattr(a);
	return attr_to_set(&fake->c, false, &f, set, &mask);
}

static struct nfs_attrs
with(unsigned b)
{
	struct nfs_attrs a;
	memset(&a, 0, sizeof a);
	a.mask = bit(b);
	return a;
}

START_TEST(set_good)
{
	struct fs_setattr set;
	struct nfs_attrs a = with(FATTR4_MODE);
	attr_set(&a.mask, FATTR4_SIZE);
	attr_set(&a.mask, FATTR4_OWNER);
	attr_set(&a.mask, FATTR4_OWNER_GROUP);
	attr_set(&a.mask, FATTR4_TIME_ACCESS_SET);
	attr_set(&a.mask, FATTR4_TIME_MODIFY_SET);
	a.mode = 07755;
	a.size = INT64_MAX;
	a.owner = (struct nfs_str){ 1, "0" };
	a.owner_group = (struct nfs_str){ 10, "4294967294" };
	a.time_access_set.set_it = SET_TO_SERVER_TIME4;
	a.time_modify_set.set_it = SET_TO_CLIENT_TIME4;
	a.time_modify_set.settime4_u.time = (nfstime4){ -1, 999999999 };
	ck_assert_int_eq(to_set(&a, &set), NFS4_OK);
	ck_assert_uint_eq(set.what, FS_SET_MODE | FS_SET_SIZE | FS_SET_UID | FS_SET_GID | FS_SET_ATIME | FS_SET_MTIME);
	ck_assert_uint_eq(set.mode, 07755);
	ck_assert_uint_eq(set.size, INT64_MAX);
	ck_assert_uint_eq(set.uid, 0);
	ck_assert_uint_eq(set.gid, 4294967294u);
	ck_assert_int_eq(set.atime.tv_nsec, UTIME_NOW);
	ck_assert_int_eq(set.mtime.tv_sec, -1);
	ck_assert_int_eq(set.mtime.tv_nsec, 999999999);
}
END_TEST

START_TEST(set_bad_values)
{
	static const char *const owners[] = { "", "-1", "4294967295", "99999999999", "root", "root@localdomain", "1 ", "+1",
		"0x1" };
	struct fs_setattr set;
	struct nfs_attrs a = with(FATTR4_OWNER);
	for (size_t i = 0; i < sizeof owners / sizeof *owners; i++) {
		a.owner = (struct nfs_str){ strlen(owners[i]), owners[i] };
		ck_assert_int_eq(to_set(&a, &set), NFS4ERR_BADOWNER);
	}
	a.owner = (struct nfs_str){ 2, "\xc0\xc1" };
	ck_assert_int_eq(to_set(&a, &set), NFS4ERR_INVAL);
	a = with(FATTR4_MODE);
	a.mode = 010000;
	ck_assert_int_eq(to_set(&a, &set), NFS4ERR_INVAL);
	a = with(FATTR4_SIZE);
	a.size = (uint64_t)INT64_MAX + 1;
	ck_assert_int_eq(to_set(&a, &set), NFS4ERR_FBIG);
	a = with(FATTR4_TIME_MODIFY_SET);
	a.time_modify_set.set_it = SET_TO_CLIENT_TIME4;
	a.time_modify_set.settime4_u.time = (nfstime4){ 1, 1000000000 };
	ck_assert_int_eq(to_set(&a, &set), NFS4ERR_INVAL);
}
END_TEST

/* RFC 8881 6.2.5 */
START_TEST(set_masked_mode)
{
	struct fs_setattr set;
	struct attr_mask mask;
	mode_t mode_mask = 0;
	struct nfs_attrs a = with(FATTR4_MODE_SET_MASKED);
	a.mode_set_masked_value = 07777;
	a.mode_set_masked_mask = 06000;
	ck_assert_int_eq(to_set(&a, &set), NFS4ERR_INVAL);	/* OPEN, CREATE */
	fattr4 f = fake_fattr(&a);
	ck_assert_int_eq(attr_to_setattr(&fake->c, &f, &set, &mask, &mode_mask), NFS4_OK);
	ck_assert_uint_eq(set.mode, 06000);
	ck_assert_uint_eq(mode_mask, 06000);
	a.mode_set_masked_value = 010000;
	f = fake_fattr(&a);
	ck_assert_int_eq(attr_to_setattr(&fake->c, &f, &set, &mask, &mode_mask), NFS4ERR_INVAL);
	a.mode_set_masked_value = 0;
	attr_set(&a.mask, FATTR4_MODE);
	f = fake_fattr(&a);
	ck_assert_int_eq(attr_to_setattr(&fake->c, &f, &set, &mask, &mode_mask), NFS4ERR_INVAL);
}
END_TEST

START_TEST(set_bad_masks)
{
	uint32_t words[8] = { 0 };
	uint8_t vals[8] = { 0 };
	struct fs_setattr set;
	struct attr_mask mask;
	fattr4 f = { .attrmask = { 1, words }, .attr_vals = { 4, (char *)vals } };
	words[0] = 1u << FATTR4_TYPE;		/* read-only */
	ck_assert_int_eq(attr_to_set(&fake->c, false, &f, &set, &mask), NFS4ERR_INVAL);
	words[0] = 1u << FATTR4_ARCHIVE;	/* not supported */
	ck_assert_int_eq(attr_to_set(&fake->c, false, &f, &set, &mask), NFS4ERR_ATTRNOTSUPP);
	words[0] = 1u << FATTR4_SIZE;		/* 4 of 8 bytes */
	ck_assert_int_eq(attr_to_set(&fake->c, false, &f, &set, &mask), NFS4ERR_BADXDR);
	words[0] = 0;
	ck_assert_int_eq(attr_to_set(&fake->c, false, &f, &set, &mask), NFS4ERR_BADXDR);	/* left over */
	f.attr_vals.attrlist4_len = 0;
	ck_assert_int_eq(attr_to_set(&fake->c, false, &f, &set, &mask), NFS4_OK);
	ck_assert_uint_eq(set.what, 0);
	f.attrmask.bitmap4_len = 8;		/* PITFALLS E5 */
	ck_assert_int_eq(attr_to_set(&fake->c, false, &f, &set, &mask), NFS4_OK);
	words[7] = 1;
	ck_assert_int_eq(attr_to_set(&fake->c, false, &f, &set, &mask), NFS4ERR_ATTRNOTSUPP);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("attr");
	TCase *tc = tcase_create("attr");
	tcase_add_checked_fixture(tc, fake_setup, fake_teardown);
	tcase_add_test(tc, each_type);
	tcase_add_test(tc, layout_facts);
	tcase_add_test(tc, minor_versions);
	tcase_add_test(tc, no_birth_time);
	tcase_add_test(tc, set_good);
	tcase_add_test(tc, set_bad_values);
	tcase_add_test(tc, set_masked_mode);
	tcase_add_test(tc, set_bad_masks);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
