/* READ_PLUS: server/nfs4/op_read_plus.c. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/nfs4/op_xdr.h"
#include "tests/unit/server/nfs4/fake.h"

static nfs_argop4 arg;
static nfs_resop4 res;
static struct fake_node *file;

static void
setup(void)
{
	fake_setup();
	memset(&arg, 0, sizeof arg);
	memset(&res, 0, sizeof res);
	file = fake_file(&fake->node[0], "f", "");
	fake_cd(file);
}

/* A file of SIZE bytes that are zeros but in DATA. */
static void
contents(uint64_t size)
{
	free(file->data);
	file->data = calloc(1, size + 1);
	file->st.stx.stx_size = size;
	for (unsigned i = 0; fake->data[i][1]; i++)
		for (uint64_t at = fake->data[i][0]; at < fake->data[i][1]; at++)
			file->data[at] = (char)(1 + at % 250);
}

/* What stands in the reply, as a client reads it. */
static read_plus_res4 *
read_plus(uint64_t offset, uint32_t count)
{
	XDR x;
	uint32_t op;
	ax_init(&fake->c.out, fake->reply, sizeof fake->reply, XDR_ENCODE, &fake->c.arena);
	fake->c.encoded = false;
	arg.nfs_argop4_u.opread_plus = (READ_PLUS4args){ .rpa_offset = offset, .rpa_count = count };
	ck_assert_int_eq(op_read_plus(&fake->c, &arg, &res), NFS4_OK);
	ck_assert(fake->c.encoded);
	ck_assert_uint_le(ax_used(&fake->c.out), 8 + fake->room);
	memset(&res, 0, sizeof res);
	ax_init(&x, fake->reply, ax_used(&fake->c.out), XDR_DECODE, &fake->c.arena);
	ck_assert(ax_get_u32(&x, &op) && op == OP_READ_PLUS);
	ck_assert(nfs4_op_xdr(OP_READ_PLUS)->res(&x, &res.nfs_resop4_u));
	ck_assert_uint_eq(ax_left(&x), 0);
	ck_assert_int_eq(res.nfs_resop4_u.opread_plus.rp_status, NFS4_OK);
	return &res.nfs_resop4_u.opread_plus.READ_PLUS4res_u.rp_resok4;
}

/* The pieces join, and are what the file has; where they end. */
static uint64_t
check(const read_plus_res4 *r, uint64_t offset)
{
	for (unsigned i = 0; i < r->rpr_contents.rpr_contents_len; i++) {
		const read_plus_content *p = &r->rpr_contents.rpr_contents_val[i];
		if (p->rpc_content == NFS4_CONTENT_HOLE) {
			const data_info4 *h = &p->read_plus_content_u.rpc_hole;
			ck_assert_uint_eq(h->di_offset, offset);
			ck_assert(h->di_length > 0 && h->di_length <= file->st.stx.stx_size - offset);
			for (uint64_t at = 0; at < h->di_length; at++)
				ck_assert_int_eq(file->data[offset + at], 0);
			offset += h->di_length;
		} else {
			const data4 *d = &p->read_plus_content_u.rpc_data;
			ck_assert_uint_eq(d->d_offset, offset);
			ck_assert_mem_eq(d->d_data.d_data_val, file->data + offset, d->d_data.d_data_len);
			offset += d->d_data.d_data_len;
		}
	}
	return offset;
}

static const data_content4 *
kinds(const read_plus_res4 *r)
{
	static data_content4 kind[256];
	for (unsigned i = 0; i < r->rpr_contents.rpr_contents_len; i++)
		kind[i] = r->rpr_contents.rpr_contents_val[i].rpc_content;
	return kind;
}

START_TEST(data_and_holes)
{
	fake->data[0][0] = 4096, fake->data[0][1] = 8192;
	fake->data[1][0] = 12288, fake->data[1][1] = 12300;
	contents(20000);
	const read_plus_res4 *r = read_plus(0, 20000);
	static const data_content4 all[] = { NFS4_CONTENT_HOLE, NFS4_CONTENT_DATA, NFS4_CONTENT_HOLE, NFS4_CONTENT_DATA, NFS4_CONTENT_HOLE };
	ck_assert_uint_eq(r->rpr_contents.rpr_contents_len, 5);
	ck_assert_mem_eq(kinds(r), all, sizeof all);
	ck_assert(r->rpr_eof);
	ck_assert_uint_eq(check(r, 0), 20000);
	/* cut to what was asked; short holes are data */
	r = read_plus(4000, 1000);
	ck_assert(r->rpr_contents.rpr_contents_len == 1 && kinds(r)[0] == NFS4_CONTENT_DATA && !r->rpr_eof);
	ck_assert_uint_eq(check(r, 4000), 5000);
	r = read_plus(5000, 6001);
	ck_assert(r->rpr_contents.rpr_contents_len == 2 && !r->rpr_eof);
	ck_assert_uint_eq(check(r, 5000), 11001);
	r = read_plus(9000, 100);
	ck_assert(r->rpr_contents.rpr_contents_len == 1 && kinds(r)[0] == NFS4_CONTENT_DATA);
	ck_assert_uint_eq(check(r, 9000), 9100);
	r = read_plus(9000, 1000);
	ck_assert(r->rpr_contents.rpr_contents_len == 1 && kinds(r)[0] == NFS4_CONTENT_HOLE);
	ck_assert_uint_eq(check(r, 9000), 10000);
}
END_TEST

START_TEST(ends)
{
	fake->data[0][1] = 10;
	contents(10);
	ck_assert(!read_plus(0, 9)->rpr_eof);
	ck_assert(read_plus(0, 10)->rpr_eof && read_plus(0, 11)->rpr_eof && read_plus(9, 1)->rpr_eof);
	ck_assert(!read_plus(5, 0)->rpr_eof && read_plus(10, 0)->rpr_eof);
	ck_assert(read_plus(11, 5)->rpr_eof && read_plus(UINT64_MAX, UINT32_MAX)->rpr_eof);
	ck_assert_uint_eq(read_plus(11, 5)->rpr_contents.rpr_contents_len, 0);
	file->st.stx.stx_size = 0;
	ck_assert(read_plus(0, 5)->rpr_eof);
}
END_TEST

/* Wherever it ends, it is right and goes on from there; it never takes more than the Linux client has room for. */
START_TEST(small_room)
{
	for (unsigned i = 0; i < 7; i++)
		fake->data[i][0] = 1000 + i * 2000, fake->data[i][1] = 2001 + i * 2000;
	contents(15000);
	static const uint32_t rooms[] = { 60, 100, 301, 1000, 2500, 5003, 12000 };
	for (unsigned i = 0; i < sizeof rooms / sizeof *rooms; i++) {
		uint64_t pos = 0;
		fake->room = rooms[i];
		for (unsigned n = 0; pos < 15000; n++) {
			const read_plus_res4 *r = read_plus(pos, 15000);
			uint64_t next = check(r, pos);
			ck_assert(next > pos && n < 15000);
			ck_assert(r->rpr_eof == (next == 15000));
			pos = next;
		}
	}
	fake->room = 1 << 20;
	for (uint32_t count = 1; count < 15000; count += 101) {
		check(read_plus(777, count), 777);
		ck_assert_uint_le(ax_used(&fake->c.out), 8 + 8 + 16 + 20 + (count + 3));
	}
	fake->room = 44;
	ck_assert_uint_eq(check(read_plus(1000, 15000), 1000), 1004);
	fake->room = 43;
	ck_assert_int_eq(op_read_plus(&fake->c, &arg, &res), NFS4ERR_REP_TOO_BIG);
}
END_TEST

START_TEST(on_loop)
{
	fake->data[0][0] = 4096, fake->data[0][1] = 8192;
	contents(20000);
	fake->c.on_loop = true;
	const read_plus_res4 *r = read_plus(0, 20000);
	ck_assert(r->rpr_contents.rpr_contents_len == 1 && r->rpr_eof && fake->read_nowait);
	ck_assert_uint_eq(check(r, 0), 20000);
	fake->read_err = -EAGAIN;
	ck_assert_int_eq(op_read_plus(&fake->c, &arg, &res), OP_WORKER);
	fake->read_err = 0;
	atomic_store(&file->inode.layouts, 1);
	ck_assert_int_eq(op_read_plus(&fake->c, &arg, &res), OP_WORKER);
	fake->c.on_loop = false;
	ck_assert_uint_eq(check(read_plus(0, 20000), 0), 20000);
	ck_assert(fake->read_coherent);
	fake->in_way = true;
	ck_assert_int_eq(op_read_plus(&fake->c, &arg, &res), NFS4ERR_DELAY);
	ck_assert_int_eq(fake->need, LAYOUT_NEED_READ);
	atomic_store(&file->inode.layouts, 0);
	fake->io_status = NFS4ERR_LOCKED;
	ck_assert_int_eq(op_read_plus(&fake->c, &arg, &res), NFS4ERR_LOCKED);
	fake_cd(&fake->node[0]);
	ck_assert_int_eq(op_read_plus(&fake->c, &arg, &res), NFS4ERR_ISDIR);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("op_read_plus");
	TCase *tc = tcase_create("op_read_plus");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, fake_teardown);
	tcase_add_test(tc, data_and_holes);
	tcase_add_test(tc, ends);
	tcase_add_test(tc, small_room);
	tcase_add_test(tc, on_loop);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_ENV);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? 1 : 0;
}
