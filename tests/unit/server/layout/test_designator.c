/* Names of LUNs in the Device Identification page (SPC-4 7.8.6; RFC 8154 2.3.1; PITFALLS B15). */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/layout/designator.h"

#define NAA6 0x60, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15

/* T10 vendor id; NAA of the port (association 1); NAA 8; EUI 8; NAA 16; a name. */
static const uint8_t page[] = {
	0, 0x83, 0, 4 + 3 + 4 + 8 + 4 + 8 + 4 + 8 + 4 + 16 + 4 + 4,
	0x02, 0x01, 0, 3, 'T', 'G', 'T',
	0x01, 0x13, 0, 8, 0x50, 9, 9, 9, 9, 9, 9, 9,
	0x01, 0x03, 0, 8, 0x30, 0, 0, 0, 1, 0, 0, 1,
	0x01, 0x02, 0, 8, 0, 0x25, 1, 2, 3, 4, 5, 6,
	0x01, 0x03, 0, 16, NAA6,
	0x03, 0x08, 0, 4, 'e', 'u', 'i', '.',
};

START_TEST(best)
{
	static const uint8_t naa6[] = { NAA6 };
	struct designator d;
	ck_assert(designator_choose(page, sizeof page, &d));
	ck_assert_uint_eq(d.type, 3);
	ck_assert_uint_eq(d.code_set, 1);
	ck_assert_uint_eq(d.len, 16);
	ck_assert_mem_eq(d.bytes, naa6, 16);
	/* Cut before the long NAA: the short one is better than EUI. */
	ck_assert(designator_choose(page, 4 + 7 + 12 + 12 + 12, &d));
	ck_assert_uint_eq(d.type, 3);
	ck_assert_uint_eq(d.len, 8);
	ck_assert_uint_eq(d.bytes[0], 0x30);
}
END_TEST

START_TEST(none)
{
	struct designator d;
	uint8_t copy[sizeof page];
	memcpy(copy, page, sizeof page);
	ck_assert(!designator_choose(page, 4 + 7 + 12, &d));	/* T10 and the port's only */
	copy[1] = 0x80;
	ck_assert(!designator_choose(copy, sizeof copy, &d));
	ck_assert(!designator_choose(page, 3, &d));
	ck_assert(!designator_choose(page, 0, &d));
}
END_TEST

/* Every cut of the page, in a buffer of just that size: ASan sees a step too far. */
START_TEST(cuts)
{
	struct designator d;
	for (uint32_t len = 0; len <= sizeof page; len++) {
		uint8_t *copy = malloc(len ? len : 1);
		memcpy(copy, page, len);
		designator_choose(copy, len, &d);
		if (len > 7) {
			copy[7] = 0xff;
			ck_assert(!designator_choose(copy, len, &d));
		}
		free(copy);
	}
}
END_TEST

START_TEST(texts)
{
	struct designator d;
	char text[8 + 2 * DESIGNATOR_MAX];
	ck_assert(designator_parse("naa.6001020304050607080900ab0c0d0e0f", &d));
	ck_assert_uint_eq(d.len, 16);
	ck_assert_uint_eq(d.type, 3);
	designator_print(&d, text, sizeof text);
	ck_assert_str_eq(text, "naa.6001020304050607080900ab0c0d0e0f");
	ck_assert(designator_parse("EUI.0025010203040506", &d));
	ck_assert(designator_listed(page, sizeof page, &d));
	ck_assert(designator_parse("eui.0025010203040507", &d));
	ck_assert(!designator_listed(page, sizeof page, &d));
	static const char *const bad[] = { "", "naa.", "naa.6", "naa.60010203040506", "naa.600102030405060g", "0x6001",
		"naa.60010203040506070809000a0b0c0d0e0f", "t10.abc" };
	for (unsigned i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(!designator_parse(bad[i], &d), "%s", bad[i]);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("designator");
	TCase *t = tcase_create("page");
	tcase_add_test(t, best);
	tcase_add_test(t, none);
	tcase_add_test(t, cuts);
	tcase_add_test(t, texts);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
