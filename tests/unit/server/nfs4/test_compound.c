/*
 * compound.c over a table of its own: who may stand where, what moves to a worker, how large replies may get.  The table below
 * stands before libserver's.  One connection over a socket pair.
 */
#include <check.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "server/mds.h"
#include "server/net/conn.h"
#include "server/net/worker.h"
#include "server/nfs4/compound.h"
#include "server/state/session.h"
#include "tests/unit/server/net/wire.h"

/* ---- handlers: which ran, where ---- */

static struct mds mds;
static struct conn *conn;
static struct session fake_session;
static pthread_t loop_thread;
static uint32_t limit;
static bool cache_this, uncached;
static unsigned modified, moved, ran_on_loop;

/* SEQUENCE: takes limits from the test. */
static nfsstat4
run_first(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	(void)arg;
	(void)res;
	ck_assert(c->on_loop);
	c->max_reply = limit;
	c->cache_this = cache_this;
	c->uncached_retry = uncached;
	loop_thread = pthread_self();
	return NFS4_OK;
}

static nfsstat4
run_ok(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	(void)arg;
	(void)res;
	ran_on_loop += c->on_loop;
	return NFS4_OK;
}

static nfsstat4
run_modify(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	(void)res;
	(void)c;
	ck_assert_uint_eq(arg->nfs_argop4_u.opremove.target.utf8string_len, 4);
	modified++;
	return NFS4_OK;
}

/* LOOKUP: moves to a worker, where its arguments must be as they were. */
static nfsstat4
run_mover(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	(void)res;
	ck_assert_uint_eq(arg->nfs_argop4_u.oplookup.objname.utf8string_len, 5);
	ck_assert_int_eq(memcmp(arg->nfs_argop4_u.oplookup.objname.utf8string_val, "hello", 5), 0);
	if (c->on_loop) {
		moved++;
		return OP_WORKER;
	}
	ck_assert(!pthread_equal(loop_thread, pthread_self()));
	return NFS4_OK;
}

/* GETATTR: a result of 3000 bytes. */
static nfsstat4
run_large(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	fattr4 *a = &res->nfs_resop4_u.opgetattr.GETATTR4res_u.resok4.obj_attributes;
	(void)arg;
	a->attr_vals.attrlist4_len = 3000;
	a->attr_vals.attrlist4_val = arena_zalloc(&c->arena, 3000);
	return NFS4_OK;
}

static nfsstat4
run_current(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	(void)c;
	(void)arg;
	(void)res;
	return NFS4_OK;
}

/* PUTPUBFH: of an export by a flavor that does not do. */
static nfsstat4
run_put(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	(void)arg;
	(void)res;
	return c->next_judges ? NFS4_OK : NFS4ERR_WRONGSEC;
}

const struct op_row op_rows[OP_ROWS] = {
	[OP_PUTPUBFH] = { run_put, OPF_PUTFH, 4 },
	[OP_LOOKUPP] = { run_ok, OPF_ANYSEC, 4 },
	[OP_SEQUENCE] = { run_first, OPF_FIRST, 40 },
	[OP_EXCHANGE_ID] = { run_ok, OPF_NO_SESSION, 100 },
	[OP_DESTROY_CLIENTID] = { run_ok, OPF_NO_SESSION | OPF_BLOCKS, 4 },
	[OP_PUTROOTFH] = { run_ok, 0, 4 },
	[OP_REMOVE] = { run_modify, OPF_MODIFIES, 24 },
	[OP_LOOKUP] = { run_mover, 0, 4 },
	[OP_GETATTR] = { run_large, 0, 0 },
	[OP_READLINK] = { run_current, OPF_FH, 0 },
	[OP_RESTOREFH] = { run_current, OPF_SAVED, 4 },
	[OP_OPENATTR] = { NULL, OPF_UNSUPPORTED, 4 },
	[OP_SEEK] = { NULL, OPF_UNSUPPORTED | OPF_V42, 4 },
	[OP_SETXATTR] = { NULL, OPF_UNSUPPORTED | OPF_V42, 4 },
};

/* ---- the connection ---- */

static struct wire w;
static struct wire_call call;

static void
on_call(struct rpc_peer *peer, struct rpc_call *c)
{
	compound_start(&mds, rpc_peer_owner(peer), c);
}

static void
on_closed(struct rpc_peer *peer, int err)
{
	(void)peer;
	(void)err;
}

static const struct rpc_peer_ops ops = { .call = on_call, .closed = on_closed };

static void
open_on_loop(void *arg)
{
	conn->peer = rpc_peer_new(mds.loops[0], *(int *)arg, &ops, conn);
}

static void
drain(void *arg)
{
	(void)arg;
	compound_pool_drain();
}

static struct loop *the_loop;

static void
setup(void)
{
	int fd[2];
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fd), 0);
	the_loop = loop_new("test");
	mds.loops = &the_loop;
	mds.nloops = 1;
	ck_assert_int_eq(workers_new(&mds.workers, 2, "work"), 0);
	ck_assert_int_eq(loop_start(the_loop), 0);
	conn = calloc(1, sizeof *conn);
	conn->mds = &mds;
	atomic_init(&conn->refs, 1);
	loop_call(the_loop, open_on_loop, &fd[0]);
	wire_open(&w, fd[1]);
	limit = 16384;
	cache_this = uncached = false;
	modified = moved = ran_on_loop = 0;
	memset(&fake_session, 0, sizeof fake_session);
}

static void
teardown(void)
{
	rpc_peer_close(conn->peer);
	workers_stop(mds.workers);
	loop_call(the_loop, drain, NULL);
	rpc_peer_put(conn->peer);
	loop_stop(the_loop);
	free(conn);
	wire_close(&w);
	compound_pool_drain();
}

/* What a call of these operations (0-terminated; LOOKUP and REMOVE with arguments) comes to, and how many results there are. */
static nfsstat4
run(uint32_t minor, const uint32_t *list, uint32_t *results, uint32_t *last)
{
	LOOKUP4args lookup = { .objname = { 5, (char *)(uintptr_t)"hello" } };
	REMOVE4args rm = { .target = { 4, (char *)(uintptr_t)"file" } };
	SEQUENCE4args seq = { .sa_slotid = 0 };
	EXCHANGE_ID4args eid = { .eia_flags = 0 };
	GETATTR4args getattr = { .attr_request = { 0, NULL } };
	uint64_t number = 0;
	struct compound_results r;
	wire_begin(&call, minor, "tag");
	for (; *list; list++) {
		const void *args = *list == OP_LOOKUP ? (void *)&lookup : *list == OP_REMOVE ? (void *)&rm :
		    *list == OP_SEQUENCE ? (void *)&seq : *list == OP_EXCHANGE_ID ? (void *)&eid :
		    *list == OP_GETATTR ? (void *)&getattr : *list == OP_DESTROY_CLIENTID ? (void *)&number : NULL;
		if (*list == 9999) {
			XDR *x = compound_call_raw(&call.cc, *list);
			ck_assert_ptr_nonnull(x);
		} else if (*list == OP_SEEK) {
			SEEK4args seek = { .sa_what = NFS4_CONTENT_DATA };
			wire_op(&call, OP_SEEK, &seek);
		} else if (*list == OP_SETXATTR) {
			SETXATTR4args set = { .sxa_key = { 1, (char *)(uintptr_t)"k" } };
			wire_op(&call, OP_SETXATTR, &set);
		} else if (*list == OP_OPENATTR) {
			OPENATTR4args oa = { .createdir = FALSE };
			wire_op(&call, OP_OPENATTR, &oa);
		} else {
			wire_op(&call, *list, args);
		}
	}
	nfsstat4 status = wire_compound(&w, &call, &r);
	ck_assert_uint_eq(r.tag.len, 3);
	ck_assert_int_eq(memcmp(r.tag.data, "tag", 3), 0);
	*results = r.left;
	*last = 0;
	for (uint32_t n = r.left; n > 0; n--) {
		ck_assert(ax_get_u32(&r.xdrs, last));
		uint32_t st;
		ck_assert(ax_get_u32(&r.xdrs, &st));
		if (n > 1)
			ck_assert_uint_eq(st, NFS4_OK);
		else
			ck_assert_uint_eq(st, status);
		if (*last == OP_SEQUENCE && st == NFS4_OK)
			ax_take(&r.xdrs, 36);
		if (*last == OP_REMOVE && st == NFS4_OK)
			ax_take(&r.xdrs, 20);
		if (*last == OP_GETATTR && st == NFS4_OK)
			ax_take(&r.xdrs, 8 + 3000);
		if (*last == OP_EXCHANGE_ID && st == NFS4_OK)
			return status;
	}
	ck_assert_uint_eq(ax_left(&r.xdrs), 0);
	return status;
}

#define S OP_SEQUENCE

START_TEST(positions)
{
	static const struct row { uint32_t minor, ops[5]; nfsstat4 status; uint32_t results, last; } rows[] = {
		{ 1, { 0 }, NFS4_OK, 0, 0 },
		{ 1, { S }, NFS4_OK, 1, S },
		{ 1, { S, OP_PUTROOTFH }, NFS4_OK, 2, OP_PUTROOTFH },
		{ 1, { OP_PUTROOTFH }, NFS4ERR_OP_NOT_IN_SESSION, 1, OP_PUTROOTFH },
		{ 1, { S, S }, NFS4ERR_SEQUENCE_POS, 2, S },
		{ 1, { OP_DESTROY_CLIENTID }, NFS4_OK, 1, OP_DESTROY_CLIENTID },
		{ 1, { OP_DESTROY_CLIENTID, OP_PUTROOTFH }, NFS4ERR_NOT_ONLY_OP, 1, OP_DESTROY_CLIENTID },
		{ 1, { S, OP_DESTROY_CLIENTID, OP_PUTROOTFH }, NFS4_OK, 3, OP_PUTROOTFH },
		{ 1, { S, OP_READLINK }, NFS4ERR_NOFILEHANDLE, 2, OP_READLINK },
		{ 1, { S, OP_RESTOREFH }, NFS4ERR_NOFILEHANDLE, 2, OP_RESTOREFH },
		{ 1, { S, 9999, OP_PUTROOTFH }, NFS4ERR_OP_ILLEGAL, 2, OP_ILLEGAL },
		{ 1, { 9999 }, NFS4ERR_OP_ILLEGAL, 1, OP_ILLEGAL },
		{ 1, { S, OP_COMMIT }, NFS4ERR_OP_ILLEGAL, 2, OP_ILLEGAL },	/* no row here */
		{ 1, { S, OP_OPENATTR }, NFS4ERR_NOTSUPP, 2, OP_OPENATTR },
		{ 1, { S, OP_SEEK }, NFS4ERR_OP_ILLEGAL, 2, OP_ILLEGAL },
		{ 2, { S, OP_SEEK }, NFS4ERR_NOTSUPP, 2, OP_SEEK },
		{ 1, { S, OP_SETXATTR }, NFS4ERR_OP_ILLEGAL, 2, OP_ILLEGAL },
		{ 2, { S, OP_SETXATTR }, NFS4ERR_NOTSUPP, 2, OP_SETXATTR },
		{ 0, { S }, NFS4ERR_MINOR_VERS_MISMATCH, 0, 0 },
		{ 3, { 9999 }, NFS4ERR_MINOR_VERS_MISMATCH, 0, 0 },
	};
	const struct row *row = &rows[_i];
	uint32_t list[6] = { 0 }, results, last;
	memcpy(list, row->ops, sizeof row->ops);
	if (row->ops[1] == OP_COMMIT) {
		/* Arguments do not matter: the operation is not looked at. */
		list[1] = 9999;
	}
	ck_assert_int_eq(run(row->minor, list, &results, &last), row->status);
	ck_assert_uint_eq(results, row->results);
	ck_assert_uint_eq(last, row->last);
}
END_TEST
#define POSITIONS 20

/* RFC 8881 2.6.3.1.1: whether the next operation is looked at. */
START_TEST(put_wrongsec)
{
	static const struct { uint32_t ops[5]; nfsstat4 status; } rows[] = {
		{ { S, OP_PUTPUBFH }, NFS4_OK },
		{ { S, OP_PUTPUBFH, OP_LOOKUPP }, NFS4_OK },
		{ { S, OP_PUTPUBFH, OP_PUTPUBFH }, NFS4_OK },
		{ { S, OP_PUTPUBFH, OP_PUTPUBFH, OP_GETATTR }, NFS4ERR_WRONGSEC },
		{ { S, OP_PUTPUBFH, OP_GETATTR }, NFS4ERR_WRONGSEC },
		{ { S, OP_PUTPUBFH, OP_REMOVE }, NFS4ERR_WRONGSEC },
		{ { S, OP_PUTPUBFH, 9999 }, NFS4ERR_WRONGSEC },
		{ { S, OP_PUTPUBFH, OP_LOOKUPP, OP_GETATTR }, NFS4_OK },
	};
	for (unsigned i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint32_t list[6] = { 0 }, results, last;
		memcpy(list, rows[i].ops, sizeof rows[i].ops);
		ck_assert_msg(run(1, list, &results, &last) == rows[i].status, "row %u", i);
	}
}
END_TEST

START_TEST(moves_to_worker)
{
	uint32_t results, last;
	for (unsigned i = 0; i < 50; i++) {
		ran_on_loop = moved = 0;
		ck_assert_int_eq(run(1, (uint32_t[]){ S, OP_PUTROOTFH, OP_LOOKUP, OP_PUTROOTFH, OP_LOOKUP, 0 },
		    &results, &last), NFS4_OK);
		ck_assert_uint_eq(results, 5);
		ck_assert_uint_eq(ran_on_loop, 1);	/* what stands behind the move stays there */
		ck_assert_uint_eq(moved, 1);
	}
	/* The worker sends the reply first. */
	for (unsigned i = 0; i < 2000 && atomic_load(&conn->under_way); i++)
		usleep(1000);
	ck_assert_int_eq(atomic_load(&conn->under_way), 0);
	ck_assert_int_eq(run(1, (uint32_t[]){ OP_DESTROY_CLIENTID, 0 }, &results, &last), NFS4_OK);
	ck_assert_uint_eq(ran_on_loop, 1);		/* OPF_BLOCKS */
}
END_TEST

START_TEST(reply_limits)
{
	uint32_t results, last;
	/* A reply without a limit in the way grows. */
	ck_assert_int_eq(run(1, (uint32_t[]){ S, OP_GETATTR, OP_GETATTR, OP_GETATTR, 0 }, &results, &last), NFS4_OK);
	ck_assert_uint_eq(results, 4);
	/* The second does not fit: its error stands in its place. */
	limit = 4096;
	ck_assert_int_eq(run(1, (uint32_t[]){ S, OP_GETATTR, OP_GETATTR, 0 }, &results, &last), NFS4ERR_REP_TOO_BIG);
	ck_assert_uint_eq(results, 3);
	cache_this = true;
	ck_assert_int_eq(run(1, (uint32_t[]){ S, OP_GETATTR, OP_GETATTR, 0 }, &results, &last),
	    NFS4ERR_REP_TOO_BIG_TO_CACHE);
	cache_this = false;
	/* One that modifies is not run if its answer would not fit (RFC 8881 2.10.6.4). */
	uint32_t used = 24 + 4 + 8 + 4 + 44;
	limit = used + 4 + 24 - 1;
	ck_assert_int_eq(run(1, (uint32_t[]){ S, OP_REMOVE, 0 }, &results, &last), NFS4ERR_REP_TOO_BIG);
	ck_assert_uint_eq(modified, 0);
	ck_assert_uint_eq(results, 2);
	limit++;
	ck_assert_int_eq(run(1, (uint32_t[]){ S, OP_REMOVE, 0 }, &results, &last), NFS4_OK);
	ck_assert_uint_eq(modified, 1);
	/* With another behind it there must be room for that one's error. */
	ck_assert_int_eq(run(1, (uint32_t[]){ S, OP_REMOVE, OP_PUTROOTFH, 0 }, &results, &last), NFS4ERR_REP_TOO_BIG);
	ck_assert_uint_eq(modified, 1);
}
END_TEST

START_TEST(uncached_retry)
{
	uint32_t results, last;
	uncached = true;
	ck_assert_int_eq(run(1, (uint32_t[]){ S, OP_REMOVE, 0 }, &results, &last), NFS4ERR_RETRY_UNCACHED_REP);
	ck_assert_uint_eq(modified, 0);
	/* RFC 8881 2.10.6.1.3: never for an illegal operation */
	ck_assert_int_eq(run(1, (uint32_t[]){ S, 9999, 0 }, &results, &last), NFS4ERR_OP_ILLEGAL);
}
END_TEST

START_TEST(bad_arguments)
{
	struct compound_results r;
	/* LOOKUP whose name is longer than the record: BADXDR in its place, SEQUENCE's result before it. */
	SEQUENCE4args seq = { .sa_slotid = 0 };
	wire_begin(&call, 1, "");
	wire_op(&call, OP_SEQUENCE, &seq);
	XDR *x = compound_call_raw(&call.cc, OP_LOOKUP);
	ax_put_u32(x, 1000);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4ERR_BADXDR);
	ck_assert_uint_eq(r.left, 2);

	/* More operations than there can be: garbage, nothing runs. */
	uint32_t body[] = { 0, htobe32(1), htobe32(0x10000000), 0 };
	wire_send_body(&w, body, sizeof body);
	ck_assert(wire_recv(&w));
	ck_assert_uint_eq(wire_accept_stat(&w), 4);
	wire_send_body(&w, body, 2);
	ck_assert(wire_recv(&w));
	ck_assert_uint_eq(wire_accept_stat(&w), 4);
}
END_TEST

START_TEST(tags)
{
	static const struct { const char *tag; nfsstat4 status; } rows[] = {
		{ "", NFS4_OK }, { "plain", NFS4_OK }, { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", NFS4_OK },
		{ "\xc0\x80", NFS4ERR_INVAL }, { "\xed\xa0\x80", NFS4ERR_INVAL }, { "\xff", NFS4ERR_INVAL },
		{ "a\xe2\x82", NFS4ERR_INVAL }, { "\xf4\x90\x80\x80", NFS4ERR_INVAL },
	};
	struct compound_results r;
	for (unsigned i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		wire_begin(&call, 1, rows[i].tag);
		ck_assert_int_eq(wire_compound(&w, &call, &r), rows[i].status);
		ck_assert_uint_eq(r.tag.len, strlen(rows[i].tag));
		ck_assert_uint_eq(r.left, 0);
	}
	char *huge = calloc(1, 20001);
	memset(huge, 'x', 20000);
	wire_begin(&call, 1, huge);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4ERR_INVAL);
	ck_assert_uint_eq(r.tag.len, 0);
	free(huge);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("compound");
	TCase *tc = tcase_create("all");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, positions, 0, POSITIONS);
	tcase_add_test(tc, put_wrongsec);
	tcase_add_test(tc, moves_to_worker);
	tcase_add_test(tc, reply_limits);
	tcase_add_test(tc, uncached_retry);
	tcase_add_test(tc, bad_arguments);
	tcase_add_test(tc, tags);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
