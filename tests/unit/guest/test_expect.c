/* What a file may hold after a crash, by the journal: tests/guest/crash/expect.c. */
#include <check.h>
#include <stdlib.h>

#include "tests/guest/crash/crash.h"

#define FILE_NUMBER 7

static struct record
record(enum record_type type, uint32_t version, uint64_t offset, uint64_t length)
{
	return (struct record){ .type = (uint8_t)type, .file = FILE_NUMBER, .version = version, .offset = offset, .length = length };
}

#define WRITE(v, o, n) record(RECORD_WRITE, v, o, n), record(RECORD_WRITTEN, v, o, n)
#define TRUNCATE(v, s) record(RECORD_TRUNCATE, v, s, 0), record(RECORD_TRUNCATED, v, s, 0)
#define SYNC record(RECORD_SYNC, 0, 0, 0), record(RECORD_SYNCED, 0, 0, 0)
#define CREATE record(RECORD_CREATE, 0, 0, 0), record(RECORD_CREATED, 0, 0, 0)
#define EXPECT(...) expect_make((const struct record[]){ __VA_ARGS__ }, \
	sizeof((const struct record[]){ __VA_ARGS__ }) / sizeof(struct record), FILE_NUMBER)

static const struct stretch *
stretch_at(const struct expect *e, uint64_t offset)
{
	for (size_t i = 0; i < e->nstretches; i++)
		if (e->stretches[i].start <= offset && offset < e->stretches[i].end)
			return &e->stretches[i];
	ck_abort_msg("nothing is known of %llu", (unsigned long long)offset);
	return NULL;
}

static void
ck_allowed(const struct expect *e, uint64_t offset, bool zero, uint32_t oldest, uint32_t newest)
{
	const struct stretch *s = stretch_at(e, offset);
	ck_assert_int_eq(s->zero, zero);
	ck_assert_uint_eq(s->nversions, oldest ? newest - oldest + 1 : 0);
	for (uint32_t i = 0; i < s->nversions; i++)
		ck_assert_uint_eq(s->versions[i], oldest + i);
}

START_TEST(words_come_back)
{
	struct word w = { .file = 65534, .version = 0xabcdef, .offset = 0x7fffff8 }, r = word_read(word_make(w));
	ck_assert(r.file == w.file && r.version == w.version && r.offset == w.offset);
	ck_assert_uint_ne(word_make((struct word){ .file = 1 }), 0);
}
END_TEST

START_TEST(acknowledged_is_there)
{
	struct expect *e = EXPECT(CREATE, WRITE(1, 0, 4096), WRITE(2, 1024, 1024), SYNC, WRITE(3, 1024, 512), WRITE(4, 8192, 512));
	ck_assert(e->known && e->must_exist && !e->must_not_exist);
	ck_allowed(e, 0, false, 1, 1);
	ck_allowed(e, 1024, false, 2, 3);
	ck_allowed(e, 1536, false, 2, 2);
	ck_allowed(e, 4096, true, 0, 0);
	ck_allowed(e, 8192, true, 4, 4);
	ck_assert_uint_eq(e->size_min, 4096);
	ck_assert_uint_eq(e->size_max, 8704);
	ck_assert_uint_eq(e->acknowledged, 4096);
	expect_free(e);
}
END_TEST

START_TEST(a_sync_covers_what_was_done_before_it_began)
{
	struct expect *e = EXPECT(CREATE, WRITE(1, 0, 512), record(RECORD_SYNC, 0, 0, 0), WRITE(2, 0, 512), record(RECORD_SYNCED, 0, 0, 0));
	ck_allowed(e, 0, false, 1, 2);
	expect_free(e);
	e = EXPECT(CREATE, WRITE(1, 0, 512), record(RECORD_SYNC, 0, 0, 0));
	ck_allowed(e, 0, true, 1, 1);
	ck_assert_uint_eq(e->size_min, 0);
	expect_free(e);
}
END_TEST

START_TEST(truncated_is_gone_for_good)
{
	struct expect *e = EXPECT(CREATE, WRITE(1, 0, 4096), SYNC, TRUNCATE(9, 1024), TRUNCATE(10, 8192), WRITE(2, 2048, 512));
	ck_allowed(e, 0, false, 1, 1);
	ck_allowed(e, 1024, true, 0, 0);
	ck_allowed(e, 2048, true, 2, 2);
	ck_assert_uint_eq(e->size_min, 8192);
	ck_assert_uint_eq(e->size_max, 8192);
	expect_free(e);
	/* one that was not answered may have been done or not */
	e = EXPECT(CREATE, WRITE(1, 0, 4096), SYNC, record(RECORD_TRUNCATE, 9, 1024, 0));
	ck_allowed(e, 1024, true, 1, 1);
	ck_assert_uint_eq(e->size_min, 0);
	ck_assert_uint_eq(e->size_max, 4096);
	expect_free(e);
	/* at the same time as a write: either may be the last */
	e = EXPECT(CREATE, record(RECORD_TRUNCATE, 9, 1024, 0), WRITE(1, 0, 4096), record(RECORD_TRUNCATED, 9, 1024, 0), SYNC);
	ck_allowed(e, 0, false, 1, 1);
	ck_allowed(e, 1024, true, 1, 1);
	ck_assert_uint_eq(e->size_min, 1024);
	ck_assert_uint_eq(e->size_max, 4096);
	expect_free(e);
}
END_TEST

START_TEST(names)
{
	struct expect *e = EXPECT(WRITE(1, 0, 8));
	ck_assert(!e->known && e->must_not_exist);
	expect_free(e);
	e = EXPECT(CREATE, record(RECORD_REMOVE, 0, 0, 0));
	ck_assert(!e->must_exist && !e->must_not_exist);
	expect_free(e);
	e = EXPECT(CREATE, record(RECORD_REMOVE, 0, 0, 0), record(RECORD_REMOVED, 0, 0, 0));
	ck_assert(e->must_not_exist);
	expect_free(e);
	e = EXPECT(record(RECORD_CREATE, 0, 0, 0));
	ck_assert(!e->must_exist && !e->must_not_exist);
	expect_free(e);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("expect");
	TCase *tc = tcase_create("expect");
	tcase_add_test(tc, words_come_back);
	tcase_add_test(tc, acknowledged_is_there);
	tcase_add_test(tc, a_sync_covers_what_was_done_before_it_began);
	tcase_add_test(tc, truncated_is_gone_for_good);
	tcase_add_test(tc, names);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
