/* Which disks' addresses may be handed out: sysfs trees made for the purpose. */
#include <check.h>
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "server/export/backing.h"

static char root[] = "/tmp/pnfs-sysfs.XXXXXX";

static void
put(const char *name, const char *text)
{
	char path[256];
	snprintf(path, sizeof path, "%s/%s", root, name);
	for (char *p = path + sizeof root; (p = strchr(p, '/')); p++) {
		*p = 0;
		mkdir(path, 0755);
		*p = '/';
	}
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
}

static void
disk(const char *name, const char *number)
{
	char path[256], to[256];
	snprintf(path, sizeof path, "devices/%s/size", name);
	put(path, "2048\n");
	put("dev/block/.keep", "");
	snprintf(path, sizeof path, "%s/dev/block/%s", root, number);
	snprintf(to, sizeof to, "../../devices/%s", name);
	ck_assert_int_eq(symlink(to, path), 0);
}

static int
look(unsigned minor_number, struct backing *b)
{
	return backing_look(root, makedev(8, minor_number), b);
}

START_TEST(kinds)
{
	struct backing b;
	disk("sda", "8:0");
	put("devices/sda/device/wwid", "naa.6001405abc\n");
	ck_assert_int_eq(look(0, &b), 0);
	ck_assert_str_eq(b.name, "sda");
	ck_assert_str_eq(b.wwid, "naa.6001405abc");
	ck_assert_uint_eq(b.size, 1 << 20);
	ck_assert(!b.loop);

	disk("sda1", "8:1");
	put("devices/sda1/partition", "1\n");
	ck_assert_int_eq(look(1, &b), -ENOTSUP);
	ck_assert_ptr_nonnull(strstr(b.why, "partition"));

	disk("dm-0", "8:2");
	put("devices/dm-0/dm/uuid", "CRYPT-LUKS2-...\n");
	ck_assert_int_eq(look(2, &b), -ENOTSUP);
	disk("md0", "8:3");
	ck_assert_int_eq(look(3, &b), -ENOTSUP);
	disk("bcache0", "8:4");
	ck_assert_int_eq(look(4, &b), -ENOTSUP);

	disk("loop0", "8:5");
	put("devices/loop0/loop/offset", "0\n");
	put("devices/loop0/loop/dio", "1\n");
	ck_assert_int_eq(look(5, &b), 0);
	ck_assert(b.loop && b.loop_direct);
	put("devices/loop0/loop/offset", "1048576\n");
	ck_assert_int_eq(look(5, &b), -ENOTSUP);

	disk("nvme0n1", "8:6");
	put("devices/nvme0n1/wwid", "eui.0025385b\n");
	ck_assert_int_eq(look(6, &b), 0);
	ck_assert_str_eq(b.wwid, "eui.0025385b");
	ck_assert_int_eq(look(99, &b), -ENOENT);
	ck_assert_ptr_nonnull(strstr(b.why, "8:99"));
}
END_TEST

static int
gone(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int
main(void)
{
	if (!mkdtemp(root))
		return 99;
	Suite *s = suite_create("backing");
	TCase *t = tcase_create("look");
	tcase_add_test(t, kinds);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	nftw(root, gone, 8, FTW_DEPTH | FTW_PHYS);
	return failed != 0;
}
