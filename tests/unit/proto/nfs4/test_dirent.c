/* READDIR entries: the vector both ways, limits, long lists without recursion, bad names. */
#include "../vector.h"

#include <errno.h>
#include <pthread.h>

#include "proto/nfs4/compound_xdr.h"
#include "proto/nfs4/dirent.h"

static const verifier4 verf = { 0, 1, 2, 3, 4, 5, 6, 7 };

static struct nfs_attrs
attrs_of(uint64_t fileid)
{
	struct nfs_attrs a;
	memset(&a, 0, sizeof a);
	a.type = NF4REG;
	a.fileid = fileid;
	attr_set(&a.mask, FATTR4_TYPE);
	attr_set(&a.mask, FATTR4_FILEID);
	return a;
}

static bool
add(struct dirent_writer *w, uint64_t cookie, const char *name, uint64_t fileid)
{
	struct nfs_attrs a = attrs_of(fileid);
	return dirent_add(w, cookie, name, (uint32_t)strlen(name), &a, &a.mask);
}

START_TEST(vector_both_ways)
{
	struct vector v;
	struct arena arena;
	struct compound_results r;
	nfs_resop4 res;
	struct dirent_reader reader;
	struct dirent_item item;
	nfsstat4 status;
	arena_init(&arena, 0);
	vector_load(&v, "reply-readdir");
	ck_assert_int_eq(compound_results_begin(&r, v.data, v.len, &arena), 0);
	ck_assert_int_eq(compound_res_get(&r, OP_SEQUENCE, &res), 0);
	ck_assert_int_eq(compound_res_get(&r, OP_PUTFH, &res), 0);
	struct compound_results list = r;	/* read once more below */
	ck_assert_int_eq(compound_res_raw(&r, OP_READDIR), 0);
	ck_assert(xdr_nfsstat4(&r.xdrs, &status));
	uint8_t *body = ax_pos(&r.xdrs);
	uint32_t body_len = ax_left(&r.xdrs);
	ck_assert(dirent_open(&reader, &r.xdrs));
	ck_assert_mem_eq(reader.verf, verf, 8);
	static const struct { uint64_t cookie; const char *name; uint64_t fileid; } want[] = {
		{ 3, "a", 131 }, { 4, "some-name", 132 }, { 1ull << 63, "h\xc3\xb6he", 133 } };
	for (unsigned i = 0; i < 3; i++) {
		struct nfs_attrs a;
		ck_assert_int_eq(dirent_next(&reader, &item), 1);
		ck_assert_uint_eq(item.cookie, want[i].cookie);
		bytes_eq("name", item.name.data, item.name.len, want[i].name, (uint32_t)strlen(want[i].name));
		ck_assert_int_eq(attrs_decode(&item.attrs, &a), NFS4_OK);
		ck_assert_uint_eq(a.fileid, want[i].fileid);
	}
	ck_assert_int_eq(dirent_next(&reader, &item), 0);
	ck_assert_int_eq(dirent_next(&reader, &item), 0);
	ck_assert(reader.eof);
	ck_assert_uint_eq(ax_left(&r.xdrs), 0);

	uint8_t out[512];
	struct dirent_writer w;
	XDR x;
	ax_init(&x, out, sizeof out, XDR_ENCODE, NULL);
	ck_assert(dirent_begin(&w, &x, verf, 0, sizeof out));
	for (unsigned i = 0; i < 3; i++)
		ck_assert(add(&w, want[i].cookie, want[i].name, want[i].fileid));
	ck_assert_int_eq(dirent_finish(&w, true), NFS4_OK);
	bytes_eq("READDIR4resok", out, ax_used(&x), body, body_len);

	/* as a list, through the table */
	ck_assert_int_eq(compound_res_get(&list, OP_READDIR, &res), 0);
	READDIR4resok *ok = &res.nfs_resop4_u.opreaddir.READDIR4res_u.resok4;
	ck_assert_uint_eq(ok->reply.entries->nextentry->cookie, 4);
	ck_assert(ok->reply.eof);
	ax_init(&x, out, sizeof out, XDR_ENCODE, NULL);
	ck_assert(dirent_xdr_res(&x, &res.nfs_resop4_u.opreaddir));
	bytes_eq("list", out + 4, ax_used(&x) - 4, body, body_len);
	arena_destroy(&arena);
}
END_TEST

/* One entry of these takes 4 + 8 + 4 + 4 + (8 + 4 + 12) = 44 bytes. */
#define ENTRY 44u
#define EMPTY 16u

static uint32_t
entries_that_fit(uint32_t dircount, uint32_t maxcount, uint32_t room, uint32_t *used)
{
	uint8_t out[4096];
	struct dirent_writer w;
	XDR x;
	uint32_t n = 0;
	ax_init(&x, out, room, XDR_ENCODE, NULL);
	if (!dirent_begin(&w, &x, verf, dircount, maxcount))
		return UINT32_MAX;
	while (n < 40 && add(&w, n + 3, "name", n))
		n++;
	nfsstat4 status = dirent_finish(&w, n == 40);
	ck_assert_int_eq(status, n ? NFS4_OK : NFS4ERR_TOOSMALL);
	*used = ax_used(&x);
	ck_assert_uint_eq(*used, n ? EMPTY + n * ENTRY : 0);
	ck_assert_uint_le(*used, maxcount);
	return n;
}

START_TEST(limits)
{
	uint32_t used;
	ck_assert_uint_eq(entries_that_fit(0, 0, 4096, &used), UINT32_MAX);
	ck_assert_uint_eq(entries_that_fit(0, 15, 4096, &used), UINT32_MAX);
	ck_assert_uint_eq(entries_that_fit(0, EMPTY + ENTRY - 1, 4096, &used), 0);
	ck_assert_uint_eq(entries_that_fit(0, EMPTY + ENTRY, 4096, &used), 1);
	ck_assert_uint_eq(entries_that_fit(0, EMPTY + 3 * ENTRY - 1, 4096, &used), 2);
	ck_assert_uint_eq(entries_that_fit(0, 4096, EMPTY + 3 * ENTRY, &used), 3);
	ck_assert_uint_eq(entries_that_fit(0, 4096, EMPTY + 3 * ENTRY - 4, &used), 2);
	ck_assert_uint_eq(entries_that_fit(0, UINT32_MAX, 4096, &used), 40);
	/* cookie and name: 8 + 4 + 4 bytes an entry; the first is never held up */
	ck_assert_uint_eq(entries_that_fit(1, 4096, 4096, &used), 1);
	ck_assert_uint_eq(entries_that_fit(47, 4096, 4096, &used), 2);
	ck_assert_uint_eq(entries_that_fit(48, 4096, 4096, &used), 3);
}
END_TEST

START_TEST(empty_directory)
{
	uint8_t out[64];
	struct dirent_writer w;
	XDR x;
	ax_init(&x, out, sizeof out, XDR_ENCODE, NULL);
	ck_assert(dirent_begin(&w, &x, verf, 0, 16));
	ck_assert_int_eq(dirent_finish(&w, true), NFS4_OK);
	ck_assert_uint_eq(ax_used(&x), 16);
}
END_TEST

/* ---- a reply that overflows the stack with rpcgen's codec ---- */

enum { MANY = 60000 };

static void *
read_many(void *arg)
{
	struct arena arena;
	READDIR4res res;
	XDR x;
	memset(&res, 0, sizeof res);
	arena_init(&arena, 64u << 20);
	ax_init(&x, arg, 4 + EMPTY + MANY * ENTRY, XDR_DECODE, &arena);
	bool ok = dirent_xdr_res(&x, &res);
	unsigned n = 0;
	for (entry4 *e = res.READDIR4res_u.resok4.reply.entries; e; e = e->nextentry)
		n++;
	arena_destroy(&arena);
	return (void *)(uintptr_t)(ok && n == MANY);
}

START_TEST(no_recursion)
{
	uint32_t size = 4 + EMPTY + MANY * ENTRY;
	uint8_t *out = malloc(size);
	struct dirent_writer w;
	XDR x;
	ax_init(&x, out, size, XDR_ENCODE, NULL);
	ck_assert(ax_put_u32(&x, NFS4_OK));
	ck_assert(dirent_begin(&w, &x, verf, 0, UINT32_MAX));
	for (unsigned i = 0; i < MANY; i++)
		ck_assert(add(&w, i + 3, "name", i));
	ck_assert_int_eq(dirent_finish(&w, true), NFS4_OK);
	pthread_attr_t attr;
	pthread_t thread;
	void *ok = NULL;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	ck_assert_int_eq(pthread_create(&thread, &attr, read_many, out), 0);
	pthread_join(thread, &ok);
	ck_assert_ptr_nonnull(ok);
	free(out);
}
END_TEST

static int
read_one(const char *name, uint32_t len, uint32_t more, uint32_t cut)
{
	uint8_t buf[128];
	struct arena arena;
	struct dirent_reader r;
	struct dirent_item item;
	XDR x;
	ax_init(&x, buf, sizeof buf, XDR_ENCODE, NULL);
	ax_put_fixed(&x, verf, 8);
	ax_put_u32(&x, more);
	ax_put_u64(&x, 3);
	ax_put_opaque(&x, name, len);
	ax_put_u32(&x, 0);
	ax_put_u32(&x, 0);
	uint32_t total = ax_used(&x) - cut;
	uint8_t *copy = malloc(total);
	memcpy(copy, buf, total);
	arena_init(&arena, 0);
	ax_init(&x, copy, total, XDR_DECODE, &arena);
	ck_assert(dirent_open(&r, &x));
	int ret = dirent_next(&r, &item);
	arena_destroy(&arena);
	free(copy);
	return ret;
}

START_TEST(malformed)
{
	ck_assert_int_eq(read_one("ok", 2, 1, 0), 1);
	ck_assert_int_eq(read_one("", 0, 1, 0), -EBADMSG);
	ck_assert_int_eq(read_one("a/b", 3, 1, 0), -EBADMSG);
	ck_assert_int_eq(read_one("a\0b", 3, 1, 0), -EBADMSG);
	ck_assert_int_eq(read_one("ok", 2, 2, 0), -EBADMSG);
	for (uint32_t cut = 4; cut <= 28; cut += 4)
		ck_assert_int_eq(read_one("ok", 2, 1, cut), -EBADMSG);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("nfs4/dirent");
	TCase *tc = tcase_create("dirent");
	tcase_add_test(tc, vector_both_ways);
	tcase_add_test(tc, limits);
	tcase_add_test(tc, empty_directory);
	tcase_add_test(tc, no_recursion);
	tcase_add_test(tc, malformed);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
