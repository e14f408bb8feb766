/* Golden vectors (tests/vectors/NAME.hex) and what every test program's end looks like. */
#ifndef PNFS_TESTS_VECTOR_H
#define PNFS_TESTS_VECTOR_H

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct vector {
	uint8_t data[4096];
	uint32_t len;
};

static inline void
vector_load(struct vector *v, const char *name)
{
	char path[512];
	const char *srcdir = getenv("srcdir");	/* automake's */
	snprintf(path, sizeof path, "%s/tests/vectors/%s.hex", srcdir ? srcdir : ".", name);
	FILE *f = fopen(path, "r");
	ck_assert_msg(f != NULL, "%s", path);
	unsigned word;
	v->len = 0;
	while (fscanf(f, "%8x", &word) == 1) {
		ck_assert_uint_le(v->len + 4, sizeof v->data);
		for (int shift = 24; shift >= 0; shift -= 8)
			v->data[v->len++] = (uint8_t)(word >> shift);
	}
	fclose(f);
	ck_assert_uint_gt(v->len, 0);
}

static inline void
bytes_eq(const char *what, const void *got, uint32_t got_len, const void *want, uint32_t want_len)
{
	ck_assert_msg(got_len == want_len, "%s: %u bytes, not %u", what, got_len, want_len);
	for (uint32_t i = 0; i < got_len; i++)
		ck_assert_msg(((const uint8_t *)got)[i] == ((const uint8_t *)want)[i],
		    "%s differs at byte %u", what, i);
}

static inline int
suite_run(Suite *s)
{
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif
