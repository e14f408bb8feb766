/* fattr4: vectors both ways, order, unknown bits, long bitmaps, short values. */
#include "../vector.h"

#include "proto/nfs4/attrs.h"
#include "proto/xdr/xdr_arena.h"

static const struct attr_mask everything = { { UINT32_MAX, UINT32_MAX, UINT32_MAX } };

static void
load_fattr(const char *name, struct vector *v, struct arena *arena, fattr4 *fattr)
{
	XDR x;
	vector_load(v, name);
	memset(fattr, 0, sizeof *fattr);
	ax_init(&x, v->data, v->len, XDR_DECODE, arena);
	ck_assert(xdr_fattr4(&x, fattr));
	ck_assert_uint_eq(ax_left(&x), 0);
}

/* Decode, then encode in both ways and compare. */
static void
round_trip(const char *name, struct nfs_attrs *a, struct arena *arena, struct vector *v)
{
	fattr4 fattr;
	uint8_t out[4096];
	XDR x;
	load_fattr(name, v, arena, &fattr);
	ck_assert_int_eq(attrs_decode(&fattr, a), NFS4_OK);
	memset(out, 0xee, sizeof out);
	ax_init(&x, out, sizeof out, XDR_ENCODE, NULL);
	ck_assert(attrs_encode(&x, a, &everything));
	bytes_eq(name, out, ax_used(&x), v->data, v->len);
	ck_assert(attrs_to_fattr4(&fattr, a, arena));
	ax_init(&x, out, sizeof out, XDR_ENCODE, NULL);
	ck_assert(xdr_fattr4(&x, &fattr));
	bytes_eq(name, out, ax_used(&x), v->data, v->len);
	for (uint32_t room = 0; room < v->len; room++) {	/* never past the end */
		ax_init(&x, out, room, XDR_ENCODE, NULL);
		ck_assert(!attrs_encode(&x, a, &everything));
	}
}

START_TEST(vectors)
{
	struct arena arena;
	struct nfs_attrs a;
	struct vector v;
	arena_init(&arena, 0);
	round_trip("fattr-fsinfo", &a, &arena, &v);
	ck_assert_uint_eq(a.lease_time, 90);
	ck_assert_uint_eq(a.maxfilesize, INT64_MAX);
	ck_assert_uint_eq(a.nlayout_types, 2);
	ck_assert_uint_eq(a.layout_types[0], 5);
	ck_assert_uint_eq(a.layout_blksize, 4096);
	ck_assert(attr_has(&a.supported, 65) && !attr_has(&a.supported, 66));
	round_trip("fattr-file", &a, &arena, &v);
	ck_assert_uint_eq(a.type, NF4REG);
	ck_assert_uint_eq(a.size, 268435457);
	ck_assert_uint_eq(a.mode, 0640);
	ck_assert_uint_eq(a.owner_group.len, 17);
	ck_assert_mem_eq(a.owner_group.data, "users@example.org", 17);
	ck_assert_int_eq(a.time_metadata.seconds, -1);
	ck_assert_uint_eq(a.rawdev.specdata2, 17);
	round_trip("fattr-set", &a, &arena, &v);
	ck_assert_int_eq(a.time_access_set.set_it, SET_TO_SERVER_TIME4);
	ck_assert_int_eq(a.time_modify_set.settime4_u.time.seconds, -5);
	arena_destroy(&arena);
}
END_TEST

START_TEST(masks_are_the_table)
{
	for (unsigned bit = 0; bit < ATTR_WORDS * 32; bit++) {
		bool set = false, wronly = false;
		bool known = attrs_row_flags(bit, &set, &wronly);
		ck_assert_msg(known == attr_has(&attrs_known, bit), "bit %u", bit);
		ck_assert_msg(set == attr_has(&attrs_settable, bit), "bit %u", bit);
		ck_assert_msg(wronly == attr_has(&attrs_writeonly, bit), "bit %u", bit);
	}
	/* REQUIRED ones (RFC 8881 5.6) but for rdattr_error are there */
	for (unsigned bit = 0; bit <= 11; bit++)
		ck_assert(attr_has(&attrs_known, bit));
	ck_assert(attr_has(&attrs_known, 19) && attr_has(&attrs_known, 75));
}
END_TEST

/* Every attribute at its largest: within ATTRS_MAX_FIXED, and each survives alone and together. */
START_TEST(all_of_them)
{
	struct nfs_attrs a, b;
	uint8_t out[2048], again[2048];
	struct arena arena;
	XDR x;
	fattr4 fattr;
	arena_init(&arena, 0);
	memset(&a, 0, sizeof a);
	a.mask = attrs_known;
	a.supported = a.suppattr_exclcreat = everything;
	a.nlayout_types = 4;
	a.time_access_set.set_it = a.time_modify_set.set_it = SET_TO_CLIENT_TIME4;
	a.clone_blksize = 4096;
	a.mode_set_masked_mask = 07777;
	ax_init(&x, out, sizeof out, XDR_ENCODE, NULL);
	ck_assert(attrs_encode(&x, &a, &everything));
	ck_assert_uint_le(ax_used(&x), ATTRS_MAX_FIXED);
	uint32_t len = ax_used(&x);
	memset(&fattr, 0, sizeof fattr);
	ax_init(&x, out, len, XDR_DECODE, &arena);
	ck_assert(xdr_fattr4(&x, &fattr));
	ck_assert_int_eq(attrs_decode(&fattr, &b), NFS4_OK);
	ck_assert_mem_eq(&b.mask, &attrs_known, sizeof b.mask);
	ax_init(&x, again, sizeof again, XDR_ENCODE, NULL);
	ck_assert(attrs_encode(&x, &b, &everything));
	bytes_eq("all", again, ax_used(&x), out, len);
	/* only what is wanted and there */
	struct attr_mask want = { { 0 } };
	attr_set(&want, FATTR4_SIZE);
	attr_set(&want, FATTR4_MIMETYPE);
	attr_set(&want, 95);
	ax_init(&x, again, sizeof again, XDR_ENCODE, NULL);
	ck_assert(attrs_encode(&x, &a, &want));
	ck_assert_uint_eq(ax_used(&x), 4 + 4 + 4 + 8);
	arena_destroy(&arena);
}
END_TEST

static nfsstat4
decode(uint32_t *words, uint32_t nwords, const void *values, uint32_t len, struct nfs_attrs *a)
{
	uint8_t *copy = malloc(len + 1);	/* an overrun is seen by the sanitizer */
	if (len)
		memcpy(copy, values, len);
	fattr4 fattr = { .attrmask = { nwords, words }, .attr_vals = { len, (char *)copy } };
	nfsstat4 status = attrs_decode(&fattr, a);
	free(copy);
	return status;
}

START_TEST(odd_bitmaps)
{
	static const uint8_t size[8] = { 0, 0, 0, 0, 0, 0, 0, 9 };
	struct nfs_attrs a;
	struct attr_mask m;
	uint32_t words[8] = { 1u << FATTR4_SIZE };
	/* eight words, five of them empty (PITFALLS E5) */
	ck_assert_int_eq(decode(words, 8, size, 8, &a), NFS4_OK);
	ck_assert_uint_eq(a.size, 9);
	ck_assert(!attr_mask_from(&m, &(bitmap4){ 8, words }));
	/* a bit past the third word: reported, those before are taken */
	words[7] = 0x80000000;
	ck_assert_int_eq(decode(words, 8, size, 8, &a), NFS4ERR_ATTRNOTSUPP);
	ck_assert(attr_has(&a.mask, FATTR4_SIZE));
	ck_assert(attr_mask_from(&m, &(bitmap4){ 8, words }));
	ck_assert_uint_eq(m.w[0], 1u << FATTR4_SIZE);
	/* no bits, no values; no bits, some values */
	ck_assert_int_eq(decode(words, 0, size, 0, &a), NFS4_OK);
	ck_assert_int_eq(decode(words, 0, size, 4, &a), NFS4ERR_BADXDR);
	/* archive has no decoder */
	words[0] = 1u << FATTR4_SIZE | 1u << FATTR4_ARCHIVE;
	words[7] = 0;
	ck_assert_int_eq(decode(words, 1, size, 8, &a), NFS4ERR_ATTRNOTSUPP);
	ck_assert_uint_eq(a.mask.w[0], 1u << FATTR4_SIZE);
}
END_TEST

START_TEST(bad_values)
{
	struct nfs_attrs a;
	struct vector v;
	struct arena arena;
	fattr4 fattr;
	arena_init(&arena, 0);
	load_fattr("fattr-file", &v, &arena, &fattr);
	uint32_t len = fattr.attr_vals.attrlist4_len;
	for (uint32_t n = 0; n < len; n++)
		ck_assert_int_eq(decode(fattr.attrmask.bitmap4_val, fattr.attrmask.bitmap4_len,
		    fattr.attr_vals.attrlist4_val, n, &a), NFS4ERR_BADXDR);
	fattr.attr_vals.attrlist4_len = len - 4;
	uint32_t bool_word = 1u << FATTR4_NAMED_ATTR, fh_word = 1u << FATTR4_FILEHANDLE;
	uint32_t types[2] = { 0, 1u << (FATTR4_FS_LAYOUT_TYPES - 32) };
	static const uint8_t two[4] = { 0, 0, 0, 2 }, huge[4] = { 0xff, 0xff, 0xff, 0xff };
	uint8_t fh[4 + 132] = { 0, 0, 0, 129 };
	ck_assert_int_eq(decode(&bool_word, 1, two, 4, &a), NFS4ERR_BADXDR);
	ck_assert_int_eq(decode(types, 2, huge, 4, &a), NFS4ERR_BADXDR);
	ck_assert_int_eq(decode(types, 2, two, 4, &a), NFS4ERR_BADXDR);
	ck_assert_int_eq(decode(&fh_word, 1, fh, sizeof fh, &a), NFS4ERR_BADXDR);
	fh[3] = 128;
	ck_assert_int_eq(decode(&fh_word, 1, fh, sizeof fh - 4, &a), NFS4_OK);
	/* more layout types than we have places for */
	uint8_t many[4 + 24] = { 0, 0, 0, 6, 0, 0, 0, 9 };
	ck_assert_int_eq(decode(types, 2, many, sizeof many, &a), NFS4_OK);
	ck_assert_uint_eq(a.nlayout_types, 4);
	ck_assert_uint_eq(a.layout_types[0], 9);
	/* a time that is neither the server's nor the client's */
	uint32_t set[2] = { 0, 1u << (FATTR4_TIME_ACCESS_SET - 32) };
	ck_assert_int_eq(decode(set, 2, two, 4, &a), NFS4ERR_BADXDR);
	arena_destroy(&arena);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("nfs4/attrs");
	TCase *tc = tcase_create("attrs");
	tcase_add_test(tc, vectors);
	tcase_add_test(tc, masks_are_the_table);
	tcase_add_test(tc, all_of_them);
	tcase_add_test(tc, odd_bitmaps);
	tcase_add_test(tc, bad_values);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
