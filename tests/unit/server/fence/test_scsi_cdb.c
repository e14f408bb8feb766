/* Bytes of commands and answers of persistent reservations: SPC-4 6.15, 6.16; SBC-3 5.16. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/fence/fence.h"
#include "server/fence/scsi_cdb.h"

START_TEST(preempt_bytes)
{
	static const uint8_t cdb[10] = { 0x5f, 0x04, 0x06, 0, 0, 0, 0, 0, 24, 0 };
	static const uint8_t want[24] = { 1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18 };
	uint8_t param[PR_OUT_PARAM_LEN];
	struct scsi_cmd cmd;
	scsi_pr_out(&cmd, param, PR_OUT_PREEMPT, PR_TYPE_EXCLUSIVE_ACCESS_REG_ONLY, 0x0102030405060708,
	    0x1112131415161718, false);
	ck_assert_uint_eq(cmd.cdb_len, 10);
	ck_assert_mem_eq(cmd.cdb, cdb, 10);
	ck_assert_uint_eq(cmd.out_len, 24);
	ck_assert_mem_eq(cmd.out, want, 24);
}
END_TEST

START_TEST(register_bytes)
{
	uint8_t param[PR_OUT_PARAM_LEN];
	struct scsi_cmd cmd;
	scsi_pr_out(&cmd, param, PR_OUT_REGISTER_IGNORE, PR_TYPE_EXCLUSIVE_ACCESS_REG_ONLY, 0, 9, true);
	ck_assert_uint_eq(cmd.cdb[1], 6);
	ck_assert_uint_eq(cmd.cdb[2], 0);	/* no type */
	ck_assert_uint_eq(param[15], 9);
	ck_assert_uint_eq(param[20], 1);	/* APTPL */
}
END_TEST

START_TEST(rw16_bytes)
{
	static const uint8_t cdb[16] = { 0x88, 0, 0, 0, 0, 1, 0x23, 0x45, 0x67, 0x89, 0, 0, 2, 0, 0, 0 };
	struct scsi_cmd cmd;
	uint8_t buf[1];
	scsi_rw16(&cmd, false, 0x123456789, 0x200, buf, 0x40000);
	ck_assert_mem_eq(cmd.cdb, cdb, 16);
	ck_assert_uint_eq(cmd.in_len, 0x40000);
	ck_assert_uint_eq(cmd.out_len, 0);
	scsi_rw16(&cmd, true, 1, 1, buf, 512);
	ck_assert_uint_eq(cmd.cdb[0], 0x8a);
	ck_assert_uint_eq(cmd.in_len, 0);
}
END_TEST

static struct pr_status st;

START_TEST(keys)
{
	static const uint8_t two[24] = { 0, 0, 0, 7, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 5, 0xff, 0, 0, 0, 0, 0, 0, 1 };
	ck_assert_int_eq(scsi_parse_keys(two, 24, &st), 0);
	ck_assert_uint_eq(st.generation, 7);
	ck_assert_uint_eq(st.nkeys, 2);
	ck_assert(pr_has_key(&st, 5) && pr_has_key(&st, 0xff00000000000001) && !pr_has_key(&st, 1));
	/* Says more than it brought: absence would be believed. */
	ck_assert_int_eq(scsi_parse_keys(two, 23, &st), -EIO);
	ck_assert_int_eq(scsi_parse_keys(two, 16, &st), -EIO);
	ck_assert_int_eq(scsi_parse_keys(two, 7, &st), -EIO);
	static const uint8_t odd[16] = { 0, 0, 0, 7, 0, 0, 0, 7 };
	ck_assert_int_eq(scsi_parse_keys(odd, 16, &st), -EIO);
}
END_TEST

START_TEST(keys_too_many)
{
	uint32_t n = sizeof st.keys / 8 + 1;
	uint8_t *buf = calloc(1, 8 + 8 * n);
	buf[6] = (uint8_t)(n * 8 >> 8);
	buf[7] = (uint8_t)(n * 8);
	ck_assert_int_eq(scsi_parse_keys(buf, 8 + 8 * n, &st), -EOVERFLOW);
	buf[4] = 0xff;
	ck_assert_int_eq(scsi_parse_keys(buf, 8 + 8 * n, &st), -EOVERFLOW);
	free(buf);
}
END_TEST

START_TEST(reservation)
{
	uint8_t buf[24] = { 0, 0, 0, 1, 0, 0, 0, 16, 0, 0, 0, 0, 0, 0, 0, 0xaa };
	buf[21] = 0x06;
	ck_assert_int_eq(scsi_parse_reservation(buf, 24, &st), 0);
	ck_assert_uint_eq(st.holder, 0xaa);
	ck_assert_uint_eq(st.type, 6);
	ck_assert_int_eq(scsi_parse_reservation(buf, 23, &st), -EIO);
	ck_assert_uint_eq(st.holder, 0);
	buf[7] = 0;
	ck_assert_int_eq(scsi_parse_reservation(buf, 8, &st), 0);
	ck_assert_uint_eq(st.holder, 0);
	ck_assert_int_eq(scsi_parse_reservation(buf, 4, &st), -EIO);
}
END_TEST

START_TEST(capacity)
{
	uint8_t buf[32] = { 0, 0, 0, 0, 0, 0, 0x0f, 0xff, 0, 0, 2, 0 };
	uint64_t bytes;
	uint32_t bs;
	ck_assert_int_eq(scsi_parse_capacity(buf, 32, &bytes, &bs), 0);
	ck_assert_uint_eq(bytes, 4096 * 512);
	ck_assert_uint_eq(bs, 512);
	ck_assert_int_eq(scsi_parse_capacity(buf, 11, &bytes, &bs), -EIO);
	buf[10] = 0;
	ck_assert_int_eq(scsi_parse_capacity(buf, 32, &bytes, &bs), -EIO);	/* 0 bytes a block */
	buf[10] = 3;
	ck_assert_int_eq(scsi_parse_capacity(buf, 32, &bytes, &bs), -EIO);	/* 768 */
	buf[10] = 2;
	memset(buf, 0xff, 8);
	ck_assert_int_eq(scsi_parse_capacity(buf, 32, &bytes, &bs), -EIO);	/* 2^64 blocks */
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("scsi_cdb");
	TCase *t = tcase_create("bytes");
	tcase_add_test(t, preempt_bytes);
	tcase_add_test(t, register_bytes);
	tcase_add_test(t, rw16_bytes);
	tcase_add_test(t, keys);
	tcase_add_test(t, keys_too_many);
	tcase_add_test(t, reservation);
	tcase_add_test(t, capacity);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
