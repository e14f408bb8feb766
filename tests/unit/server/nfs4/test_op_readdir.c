/* READDIR: server/nfs4/op_readdir.c. */
#include <check.h>
#include <errno.h>
#include <string.h>

#include "proto/nfs4/dirent.h"
#include "tests/unit/server/nfs4/fake.h"

#define W1(b) (1u << ((b) - 32))

static nfs_argop4 arg;
static nfs_resop4 res;
static uint32_t words[3];

static void
setup(void)
{
	fake_setup();
	memset(&arg, 0, sizeof arg);
	memset(words, 0, sizeof words);
	arg.nfs_argop4_u.opreaddir.attr_request = (bitmap4){ 3, words };
	arg.nfs_argop4_u.opreaddir.maxcount = 8192;
}

/* Bytes of the READDIR4resok, which READER then stands before. */
static uint32_t
readdir(struct dirent_reader *reader, XDR *x)
{
	READDIR4args *args = &arg.nfs_argop4_u.opreaddir;
	uint32_t op, status, limit = args->maxcount < fake->room ? args->maxcount : fake->room;
	memset(fake->reply, 0xee, sizeof fake->reply);
	ax_init(&fake->c.out, fake->reply, sizeof fake->reply, XDR_ENCODE, &fake->c.arena);
	fake->c.encoded = false;
	ck_assert_int_eq(op_readdir(&fake->c, &arg, &res), NFS4_OK);
	ck_assert(fake->c.encoded);
	uint32_t used = ax_used(&fake->c.out);
	ck_assert_uint_le(used - 8, limit);
	ax_init(x, fake->reply, used, XDR_DECODE, &fake->c.arena);
	ck_assert(ax_get_u32(x, &op) && ax_get_u32(x, &status));
	ck_assert_uint_eq(op, OP_READDIR);
	ck_assert_uint_eq(status, NFS4_OK);
	ck_assert(dirent_open(reader, x));
	return used - 8;
}

static nfsstat4
readdir_fails(void)
{
	uint32_t before = ax_used(&fake->c.out);
	nfsstat4 status = op_readdir(&fake->c, &arg, &res);
	ck_assert_int_ne(status, NFS4_OK);
	ck_assert_uint_eq(ax_used(&fake->c.out), before);
	return status;
}

/* List all by as many calls as it takes; each entry once.  Number of calls. */
static unsigned
list_all(unsigned entries)
{
	READDIR4args *args = &arg.nfs_argop4_u.opreaddir;
	unsigned seen[FAKE_NODES] = { 0 }, calls = 0, total = 0;
	struct dirent_reader r;
	struct dirent_item item;
	XDR x;
	args->cookie = 0;
	memset(args->cookieverf, 0, sizeof args->cookieverf);
	do {
		unsigned got = 0;
		readdir(&r, &x);
		while (dirent_next(&r, &item) == 1) {
			ck_assert_uint_gt(item.cookie, 2);
			struct fake_node *n = &fake->node[item.cookie / 10 - 1];
			ck_assert_uint_eq(item.name.len, strlen(n->name));
			ck_assert_mem_eq(item.name.data, n->name, item.name.len);
			struct nfs_attrs a;
			ck_assert_int_eq(attrs_decode(&item.attrs, &a), NFS4_OK);
			if (attr_has(&a.mask, FATTR4_FILEID))
				ck_assert_uint_eq(a.fileid, n->inode.ino);
			if (attr_has(&a.mask, FATTR4_FILEHANDLE))
				ck_assert_mem_eq(a.fh.data, n->inode.handle, 4);
			seen[n - fake->node]++;
			args->cookie = item.cookie;
			got++;
		}
		ck_assert(r.done);
		ck_assert(got || r.eof);
		memcpy(args->cookieverf, r.verf, sizeof r.verf);
		total += got;
		calls++;
		arena_reset(&fake->c.arena);
	} while (!r.eof);
	for (unsigned i = 0; i < FAKE_NODES; i++)
		ck_assert_uint_le(seen[i], 1);
	ck_assert_uint_eq(total, entries);
	return calls;
}

static void
many(unsigned n)
{
	char name[256];
	for (unsigned i = 0; i < n; i++) {
		snprintf(name, sizeof name, "%u%.*s", i, (int)(i * 7 % 200),
		    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
		    "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
		fake_add(&fake->node[0], name, S_IFREG | 0644);
	}
}

START_TEST(chunks)
{
	many(200);
	words[0] = 1u << FATTR4_RDATTR_ERROR | 1u << FATTR4_FILEID;
	words[1] = W1(FATTR4_MOUNTED_ON_FILEID);
	unsigned most = 0;
	for (uint32_t maxcount = 320; maxcount < 6000; maxcount = maxcount * 5 / 4 + 1) {
		arg.nfs_argop4_u.opreaddir.maxcount = maxcount;
		unsigned calls = list_all(200);
		most = calls > most ? calls : most;
	}
	ck_assert_uint_gt(most, 90);
	ck_assert_uint_eq(fake->lookups, 0);	/* the directory knew it all */
	arg.nfs_argop4_u.opreaddir.maxcount = 1 << 20;
	ck_assert_uint_eq(list_all(200), 1);
}
END_TEST

START_TEST(chunks_with_attributes)
{
	many(100);
	words[0] = 1u << FATTR4_FILEHANDLE | 1u << FATTR4_SIZE | 1u << FATTR4_FILEID;
	words[1] = W1(FATTR4_OWNER) | W1(FATTR4_MODE);
	for (uint32_t maxcount = 400; maxcount < 4000; maxcount += 371) {
		arg.nfs_argop4_u.opreaddir.maxcount = maxcount;
		list_all(100);
	}
}
END_TEST

START_TEST(dircount_hint)
{
	many(50);
	arg.nfs_argop4_u.opreaddir.dircount = 1;	/* never stops the first one */
	ck_assert_uint_eq(list_all(50), 50);
	arg.nfs_argop4_u.opreaddir.dircount = 0;
	arg.nfs_argop4_u.opreaddir.maxcount = 1 << 16;
	ck_assert_uint_eq(list_all(50), 1);
}
END_TEST

START_TEST(empty)
{
	struct dirent_reader r;
	struct dirent_item item;
	XDR x;
	arg.nfs_argop4_u.opreaddir.maxcount = 16;
	ck_assert_uint_eq(readdir(&r, &x), 16);
	ck_assert_int_eq(dirent_next(&r, &item), 0);
	ck_assert(r.eof);
	arg.nfs_argop4_u.opreaddir.maxcount = 15;
	ck_assert_int_eq(readdir_fails(), NFS4ERR_TOOSMALL);
	arg.nfs_argop4_u.opreaddir.maxcount = 0;
	ck_assert_int_eq(readdir_fails(), NFS4ERR_TOOSMALL);
}
END_TEST

START_TEST(too_small)
{
	fake_add(&fake->node[0], "somebody", S_IFREG);
	/* verifier 8, follows 4, cookie 8, name 4 + 8, mask 4, values 4, end 8 */
	arg.nfs_argop4_u.opreaddir.maxcount = 47;
	ck_assert_int_eq(readdir_fails(), NFS4ERR_TOOSMALL);
	arg.nfs_argop4_u.opreaddir.maxcount = 48;
	ck_assert_uint_eq(list_all(1), 1);
	arg.nfs_argop4_u.opreaddir.maxcount = 4096;
	arg.nfs_argop4_u.opreaddir.cookie = 0;
	fake->room = 40;		/* the session's limit, not the client's wish */
	ck_assert_int_eq(readdir_fails(), NFS4ERR_REP_TOO_BIG);
}
END_TEST

START_TEST(cookies)
{
	READDIR4args *args = &arg.nfs_argop4_u.opreaddir;
	many(3);
	static const uint64_t bad[] = { 1, 2, UINT64_MAX, (uint64_t)INT64_MAX + 1 };
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		args->cookie = bad[i];
		ck_assert_int_eq(readdir_fails(), NFS4ERR_BAD_COOKIE);
	}
	args->cookie = 20;
	memset(args->cookieverf, 7, sizeof args->cookieverf);
	ck_assert_int_eq(readdir_fails(), NFS4ERR_NOT_SAME);
	memset(args->cookieverf, 0, sizeof args->cookieverf);
	struct dirent_reader r;
	struct dirent_item item;
	XDR x;
	readdir(&r, &x);
	ck_assert_int_eq(dirent_next(&r, &item), 1);
	ck_assert_uint_eq(item.cookie, 30);
}
END_TEST

START_TEST(entry_errors)
{
	struct dirent_reader r;
	struct dirent_item item;
	struct nfs_attrs a;
	XDR x;
	many(3);
	fake->node[2].err = -EIO;
	words[0] = 1u << FATTR4_SIZE | 1u << FATTR4_RDATTR_ERROR;
	readdir(&r, &x);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(dirent_next(&r, &item), 1);
		ck_assert_int_eq(attrs_decode(&item.attrs, &a), NFS4_OK);
		ck_assert_uint_eq(a.rdattr_error, i == 1 ? NFS4ERR_IO : NFS4_OK);
		ck_assert(attr_has(&a.mask, FATTR4_SIZE) == (i != 1));
	}
	/* Not asked for: what came before is given, then the error. */
	words[0] = 1u << FATTR4_SIZE;
	readdir(&r, &x);
	ck_assert_int_eq(dirent_next(&r, &item), 1);
	ck_assert_int_eq(dirent_next(&r, &item), 0);
	ck_assert(!r.eof);
	arg.nfs_argop4_u.opreaddir.cookie = item.cookie = 20;
	ck_assert_int_eq(readdir_fails(), NFS4ERR_IO);
	/* Gone meanwhile: left out. */
	arg.nfs_argop4_u.opreaddir.cookie = 0;
	fake->node[2].err = -ENOENT;
	list_all(2);
}
END_TEST

/* What leads only to exports of others is not there, whatever is asked of it; LOOKUP says the same. */
START_TEST(pseudo_root_shows_what_is_for_the_caller)
{
	struct fake_node *top = fake_pseudo(NULL, ""), *srv = fake_pseudo(top, "srv"), *pub = fake_pseudo(top, "pub");
	fake_root(srv, "secret", &fake_hidden);
	fake_root(pub, "open", &fake_export);
	fake_root(pub, "closed", &fake_hidden);
	LOOKUP4args *lookup = &arg.nfs_argop4_u.oplookup;
	fake_cd(top);
	*lookup = (LOOKUP4args){ fake_name("srv") };
	ck_assert_int_eq(op_lookup(&fake->c, &arg, &res), NFS4ERR_NOENT);
	*lookup = (LOOKUP4args){ fake_name("pub") };
	ck_assert_int_eq(op_lookup(&fake->c, &arg, &res), NFS4_OK);
	for (unsigned more = 0; more < 2; more++) {
		memset(&arg, 0, sizeof arg);
		arg.nfs_argop4_u.opreaddir.attr_request = (bitmap4){ 3, words };
		arg.nfs_argop4_u.opreaddir.maxcount = 8192;
		words[0] = 1u << FATTR4_FILEID | (more ? 1u << FATTR4_TYPE | 1u << FATTR4_SIZE : 0);
		fake_cd(top);
		list_all(1);		/* pub */
		fake_cd(pub);
		list_all(1);		/* open */
		fake_cd(srv);
		list_all(0);
	}
}
END_TEST

START_TEST(refused)
{
	words[1] = W1(FATTR4_TIME_MODIFY_SET);
	ck_assert_int_eq(readdir_fails(), NFS4ERR_INVAL);
	words[1] = 0;
	fake->node[0].st.stx.stx_mode = S_IFDIR | 0333;
	ck_assert_int_eq(readdir_fails(), NFS4ERR_ACCESS);
	fake_cd(fake_file(&fake->node[0], "f", ""));
	ck_assert_int_eq(readdir_fails(), NFS4ERR_NOTDIR);
	fake->c.on_loop = true;
	ck_assert_int_eq(readdir_fails(), OP_WORKER);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("op_readdir");
	TCase *tc = tcase_create("op_readdir");
	tcase_add_checked_fixture(tc, setup, fake_teardown);
	tcase_add_test(tc, chunks);
	tcase_add_test(tc, chunks_with_attributes);
	tcase_add_test(tc, dircount_hint);
	tcase_add_test(tc, empty);
	tcase_add_test(tc, too_small);
	tcase_add_test(tc, cookies);
	tcase_add_test(tc, entry_errors);
	tcase_add_test(tc, pseudo_root_shows_what_is_for_the_caller);
	tcase_add_test(tc, refused);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
