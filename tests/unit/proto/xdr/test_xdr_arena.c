/* The primitives under rpcgen's code: counts are bounded, padding is zero, memory is the arena's. */
#include "../vector.h"

#include "proto/x/nfs4.h"

START_TEST(count_bombs)
{
	/* TEST_STATEID with 2^28 stateids, a COMPOUND of 2^32 - 1 operations, a bitmap of 2^30 words */
	static uint8_t bomb[12] = { 0x10, 0, 0, 0 }, ops[16] = { 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff };
	static uint8_t bits[8] = { 0x40, 0, 0, 0 };
	struct arena arena;
	XDR x;
	arena_init(&arena, 0);
	TEST_STATEID4args ts = { { 0 } };
	ax_init(&x, bomb, sizeof bomb, XDR_DECODE, &arena);
	ck_assert(!xdr_TEST_STATEID4args(&x, &ts));
	COMPOUND4args c = { .minorversion = 0 };
	ax_init(&x, ops, sizeof ops, XDR_DECODE, &arena);
	ck_assert(!xdr_COMPOUND4args(&x, &c));
	bitmap4 bm = { 0 };
	ax_init(&x, bits, sizeof bits, XDR_DECODE, &arena);
	ck_assert(!xdr_bitmap4(&x, &bm));
	ck_assert_uint_le(arena.used, 4096);
	arena_destroy(&arena);
}
END_TEST

START_TEST(arena_limit)
{
	struct arena arena;
	arena_init(&arena, 1000);
	ck_assert_ptr_nonnull(arena_alloc(&arena, 0));	/* an array of no elements is no failure */
	ck_assert_ptr_nonnull(arena_alloc(&arena, 500));
	ck_assert_ptr_null(arena_alloc(&arena, 600));
	ck_assert_ptr_null(arena_alloc(&arena, SIZE_MAX));
	ck_assert_ptr_null(arena_alloc(&arena, SIZE_MAX - 15));
	ck_assert_ptr_nonnull(arena_alloc(&arena, 400));
	arena_reset(&arena);
	uint8_t *p = arena_zalloc(&arena, 900);
	ck_assert_ptr_nonnull(p);
	ck_assert_uint_eq(((uintptr_t)p) % 16, 0);
	for (int i = 0; i < 900; i++)
		ck_assert_uint_eq(p[i], 0);
	arena_destroy(&arena);
}
END_TEST

START_TEST(opaque)
{
	uint8_t buf[16], *data;
	uint32_t len;
	XDR x;
	memset(buf, 0xee, sizeof buf);
	ax_init(&x, buf, sizeof buf, XDR_ENCODE, NULL);
	ck_assert(ax_put_opaque(&x, "abcde", 5));
	ck_assert_mem_eq(buf, "\0\0\0\5abcde\0\0\0", 12);
	ck_assert(!ax_put_opaque(&x, "abcde", 5));
	for (uint32_t n = 0; n < 12; n++) {	/* padding must be there, too */
		ax_init(&x, buf, n, XDR_DECODE, NULL);
		ck_assert(!ax_get_opaque(&x, &data, &len, 100));
	}
	ax_init(&x, buf, 12, XDR_DECODE, NULL);
	ck_assert(!ax_get_opaque(&x, &data, &len, 4));
	ax_init(&x, buf, 12, XDR_DECODE, NULL);
	ck_assert(ax_get_opaque(&x, &data, &len, 5));
	ck_assert_ptr_eq(data, buf + 4);
	memcpy(buf, "\xff\xff\xff\xfd", 4);	/* its length and padding together pass 2^32 */
	ax_init(&x, buf, 12, XDR_DECODE, NULL);
	ck_assert(!ax_get_opaque(&x, &data, &len, UINT32_MAX));
}
END_TEST

START_TEST(booleans_and_strings)
{
	static uint8_t two[4] = { 0, 0, 0, 2 }, nul[8] = { 0, 0, 0, 3, 'a', 0, 'b', 0 };
	struct arena arena;
	bool_t b = FALSE;
	char *s = NULL;
	XDR x;
	arena_init(&arena, 0);
	ax_init(&x, two, 4, XDR_DECODE, &arena);
	ck_assert(!ax_bool(&x, &b));
	ax_init(&x, nul, 8, XDR_DECODE, &arena);
	ck_assert(!ax_string(&x, &s, 100));
	nul[5] = 'x';
	ax_init(&x, nul, 8, XDR_DECODE, &arena);
	ck_assert(ax_string(&x, &s, 100));
	ck_assert_str_eq(s, "axb");
	arena_destroy(&arena);
}
END_TEST

/* Optional members: WRITE_SAME, COPY's netlocs, LAYOUTGET's union: absent and present. */
START_TEST(optional)
{
	uint8_t buf[256];
	struct arena arena;
	XDR x;
	arena_init(&arena, 0);
	open_owner4 owner = { .clientid = 1, .owner = { 3, (char *)(uintptr_t)"own" } };
	open_owner4 *p = &owner, *none = NULL, *got;
	for (int present = 0; present < 2; present++) {
		ax_init(&x, buf, sizeof buf, XDR_ENCODE, NULL);
		ck_assert(ax_pointer(&x, (char **)(present ? &p : &none), sizeof owner, (xdrproc_t)xdr_open_owner4));
		uint32_t len = ax_used(&x);
		ck_assert_uint_eq(len, present ? 20 : 4);
		ax_init(&x, buf, len, XDR_DECODE, &arena);
		got = NULL;
		ck_assert(ax_pointer(&x, (char **)&got, sizeof owner, (xdrproc_t)xdr_open_owner4));
		ck_assert_int_eq(got != NULL, present);
		if (got)
			ck_assert_mem_eq(got->owner.owner_val, "own", 3);
	}
	arena_destroy(&arena);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("xdr/xdr_arena");
	TCase *tc = tcase_create("xdr");
	tcase_add_test(tc, count_bombs);
	tcase_add_test(tc, arena_limit);
	tcase_add_test(tc, opaque);
	tcase_add_test(tc, booleans_and_strings);
	tcase_add_test(tc, optional);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
