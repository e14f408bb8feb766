/* Copies that go on after the reply: server/nfs4/offload.c (RFC 7862 4.8, 15.8, 15.9, 16.1). */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "server/nfs4/offload.h"
#include "server/nfs4/way.h"
#include "server/state/session.h"
#include "tests/unit/server/state/fake_state.h"

#define MIB (1ull << 20)

static struct mds mds;
static struct client client[2];
static struct inode *src, *dst;
static stateid4 sid;

/* ---- fakes: the way, the copy, the callback ---- */

static nfsstat4 way_status;
static unsigned ways_held;
static struct way way_from, way_to;
static struct fs_copy first, last;
static unsigned steps, full_at;		/* the step that finds no space; 0: none */
static void (*in_copy)(void);
static uint64_t size_left;		/* of the source */
static struct {
	unsigned n, nrefs;
	CB_OFFLOAD4args args;
	uint8_t handle[FS_HANDLE_MAX];
	cb_done_fn *done;
	void *arg;
} cb;

nfsstat4
way_take_both(struct compound *c, const struct way *a, const struct way *b)
{
	ck_assert(c->mds == &mds && c->client == &client[0] && !c->on_loop);
	way_from = *a;
	way_to = *b;
	ways_held += way_status == NFS4_OK;
	return way_status;
}

void
way_drop_both(const struct way *a, const struct way *b)
{
	ck_assert(a->inode == src && b->inode == dst);
	ways_held--;
}

bool
layout_any(const struct inode *inode)
{
	return inode == src;
}

int64_t
fs_copy(const struct fs_copy *copy)
{
	ck_assert_uint_eq(ways_held, 1);
	last = *copy;
	if (!steps++)
		first = *copy;
	if (in_copy)
		in_copy();
	if (steps == full_at)
		return -ENOSPC;
	uint64_t n = copy->len < FS_COPY_MOST ? copy->len : FS_COPY_MOST;
	if (n > size_left)
		n = size_left;
	size_left -= n;
	return (int64_t)n;
}

void
cb_send(struct mds *m, struct client *to, const nfs_cb_argop4 *arg, const struct cb_ref *refs, unsigned nrefs, uint32_t timeout_ms, cb_done_fn *done,
    void *done_arg)
{
	ck_assert(m == &mds && to == &client[0] && arg->argop == OP_CB_OFFLOAD && timeout_ms);
	ck_assert_int_eq(pthread_mutex_trylock(&mds.state_lock), 0);	/* no lock is held */
	pthread_mutex_unlock(&mds.state_lock);
	cb.n++;
	cb.nrefs = nrefs;
	ck_assert(!nrefs || refs[0].seqid == 7);
	cb.args = arg->nfs_cb_argop4_u.opcboffload;
	memcpy(cb.handle, cb.args.coa_fh.nfs_fh4_val, cb.args.coa_fh.nfs_fh4_len);
	cb.done = done;
	cb.arg = done_arg;
}

static struct session session;
static struct slot slot = { .seqid = 7 };

struct session *
session_find_locked(struct mds *m, const uint8_t id[NFS4_SESSIONID_SIZE])
{
	(void)m;
	ck_assert_mem_eq(id, session.id, NFS4_SESSIONID_SIZE);
	return &session;
}

static void
setup(void)
{
	fake_mds_init(&mds);
	pthread_mutex_unlock(&mds.state_lock);	/* offload.c takes it */
	src = fake_inode_new(S_IFREG);
	dst = fake_inode_new(S_IFREG);
	for (unsigned i = 0; i < 2; i++) {
		fake_client_init(&client[i], 11 + i);
		client[i].nback = 1;
	}
	ck_assert_int_eq(offloads_new(&mds), 0);
	session = (struct session){ .id = "session", .slots = &slot, .nslots = 1 };
	pthread_mutex_init(&session.lock, NULL);
	slot.seqid = 7;
	way_status = NFS4_OK;
	size_left = UINT64_MAX;
}

static void
teardown(void)
{
	offloads_stop(&mds);
	pthread_mutex_lock(&mds.state_lock);
	fake_client_release(&mds, &client[0]);
	fake_client_release(&mds, &client[1]);
	fake_mds_end(&mds);
	offloads_free(&mds);
	ck_assert_int_eq(client[0].refs + client[1].refs, 0);
	ck_assert_uint_eq(ways_held, 0);
	fake_inode_free(src);
	fake_inode_free(dst);
}

static bool
start(uint64_t len)
{
	struct offload_ask ask = { .src = src, .dst = dst, .src_offset = 4096, .dst_offset = 8192, .len = len, .verf = "verifie",
		.ref = session_ref(&session, &slot) };
	return offload_start(&mds, &client[0], &ask, &sid);
}

static struct offload_progress
progress(void)
{
	struct offload_progress is;
	ck_assert_int_eq(offload_progress(&mds, &client[0], &sid, dst, &is), NFS4_OK);
	return is;
}

static nfsstat4
ask(unsigned c, const stateid4 *of, const struct inode *inode)
{
	struct offload_progress is;
	return offload_progress(&mds, &client[c], of, inode, &is);
}

static void
answer(int status)
{
	ck_assert_uint_gt(cb.n, 0);
	cb.done(&mds, cb.arg, status);
	fake_workers_run();
}

/* ---- */

START_TEST(to_the_end)
{
	ck_assert(start(40 * MIB));
	ck_assert_uint_ne(sid.seqid, 0);
	ck_assert_uint_eq(steps, 0);
	struct offload_progress is = progress();
	ck_assert(!is.done && !is.complete);
	fake_workers_run();
	ck_assert(first.src == src && first.dst == dst && first.src_offset == 4096 && first.dst_offset == 8192 && first.len == 40 * MIB);
	ck_assert(first.src_coherent && !first.dst_coherent);
	ck_assert_uint_eq(steps, 3);
	ck_assert(last.src_offset == 4096 + 32 * MIB && last.dst_offset == 8192 + 32 * MIB && last.len == 8 * MIB);
	ck_assert(way_from.inode == src && way_from.need == LAYOUT_NEED_READ && way_from.offset == last.src_offset && way_from.length == last.len);
	ck_assert(way_to.inode == dst && way_to.need == LAYOUT_NEED_BLOCKS && way_to.offset == last.dst_offset && way_to.length == last.len);
	is = progress();
	ck_assert(is.done == 40 * MIB && is.complete && is.status == NFS4_OK);
	/* RFC 7862 16.1: what, and of which file; the COPY is named as long as its reply may be under way */
	ck_assert_uint_eq(cb.n, 1);
	ck_assert_uint_eq(cb.nrefs, 1);
	ck_assert_mem_eq(&cb.args.coa_stateid, &sid, sizeof sid);
	ck_assert_uint_eq(cb.args.coa_fh.nfs_fh4_len, dst->handle_len);
	ck_assert_mem_eq(cb.handle, dst->handle, dst->handle_len);
	const write_response4 *ok = &cb.args.coa_offload_info.offload_info4_u.coa_resok4;
	ck_assert_int_eq(cb.args.coa_offload_info.coa_status, NFS4_OK);
	ck_assert(ok->wr_count == 40 * MIB && ok->wr_committed == UNSTABLE4 && !ok->wr_callback_id.wr_callback_id_len);
	ck_assert_mem_eq(ok->wr_writeverf, "verifie", 8);
	answer(NFS4_OK);
	ck_assert_int_eq(ask(0, &sid, dst), NFS4ERR_BAD_STATEID);
	offloads_tick(&mds);
	ck_assert_uint_eq(cb.n, 1);
}
END_TEST

START_TEST(short_and_failed)
{
	size_left = 20 * MIB;		/* the source was cut off meanwhile */
	ck_assert(start(40 * MIB));
	fake_workers_run();
	ck_assert_int_eq(cb.args.coa_offload_info.coa_status, NFS4_OK);
	ck_assert_uint_eq(cb.args.coa_offload_info.offload_info4_u.coa_resok4.wr_count, 20 * MIB);
	answer(NFS4_OK);
	size_left = UINT64_MAX;
	full_at = steps + 2;
	ck_assert(start(40 * MIB));
	fake_workers_run();
	struct offload_progress is = progress();
	ck_assert(is.complete && is.status == NFS4ERR_NOSPC && is.done == 16 * MIB);
	ck_assert_int_eq(cb.args.coa_offload_info.coa_status, NFS4ERR_NOSPC);
	ck_assert_uint_eq(cb.args.coa_offload_info.offload_info4_u.coa_bytes_copied, 16 * MIB);
	answer(NFS4ERR_BAD_STATEID);	/* is an answer */
	ck_assert_int_eq(ask(0, &sid, dst), NFS4ERR_BAD_STATEID);
}
END_TEST

/* Recalls, and grace: nobody is told of it, and it goes on a second later. */
START_TEST(waits)
{
	ck_assert(start(20 * MIB));
	way_status = NFS4ERR_DELAY;
	fake_workers_run();
	ck_assert(!steps && !progress().complete);
	offloads_tick(&mds);
	way_status = NFS4ERR_GRACE;
	fake_workers_run();
	ck_assert(!steps && !cb.n);
	way_status = NFS4_OK;
	fake_workers_run();
	ck_assert_uint_eq(steps, 0);
	offloads_tick(&mds);
	fake_workers_run();
	ck_assert_uint_eq(steps, 2);
	answer(NFS4_OK);
}
END_TEST

/* Not reached, not heard, or busy: again, until there is an answer. */
START_TEST(told_again)
{
	static const int not_yet[] = { -ENOTCONN, -ETIMEDOUT, -ECONNRESET, NFS4ERR_DELAY };
	ck_assert(start(20 * MIB));
	fake_workers_run();
	slot.seqid++;			/* the reply has come */
	for (unsigned i = 0; i < sizeof not_yet / sizeof not_yet[0]; i++) {
		answer(not_yet[i]);
		ck_assert(progress().complete);
		client[0].nback = 0;
		offloads_tick(&mds);
		ck_assert_uint_eq(cb.n, i + 1);
		client[0].nback = 1;
		offloads_tick(&mds);
		ck_assert_uint_eq(cb.n, i + 2);
		ck_assert_uint_eq(cb.nrefs, 0);
	}
	answer(NFS4_OK);
	ck_assert_int_eq(ask(0, &sid, dst), NFS4ERR_BAD_STATEID);
}
END_TEST

static nfsstat4 cancel_status;
static void
cancel_it(void)
{
	cancel_status = offload_cancel(&mds, &client[0], &sid, dst);
}

START_TEST(cancelled)
{
	/* while a step writes: not before it is over, and it is the last one */
	ck_assert(start(40 * MIB));
	in_copy = cancel_it;
	fake_workers_run();
	in_copy = NULL;
	ck_assert_int_eq(cancel_status, NFS4ERR_DELAY);
	offloads_tick(&mds);
	fake_workers_run();
	ck_assert_uint_eq(steps, 1);
	cancel_it();
	ck_assert_int_eq(cancel_status, NFS4_OK);
	cancel_it();
	ck_assert_int_eq(cancel_status, NFS4ERR_BAD_STATEID);
	/* while it waits */
	ck_assert(start(40 * MIB));
	way_status = NFS4ERR_DELAY;
	fake_workers_run();
	cancel_it();
	ck_assert_int_eq(cancel_status, NFS4_OK);
	way_status = NFS4_OK;
	/* while the client is being told */
	ck_assert(start(MIB));
	fake_workers_run();
	cancel_it();
	ck_assert_int_eq(cancel_status, NFS4_OK);
	answer(-ETIMEDOUT);
	offloads_tick(&mds);
	ck_assert_uint_eq(cb.n, 1);
	ck_assert_uint_eq(steps, 2);
}
END_TEST

static void
client_ends(void)
{
	pthread_mutex_lock(&mds.state_lock);
	while (!TAILQ_EMPTY(&client[0].states)) {
		struct state_obj *obj = TAILQ_FIRST(&client[0].states);
		obj->cls->release(&mds, obj);
	}
	pthread_mutex_unlock(&mds.state_lock);
}

/* The client goes: in a step, between, and while it is told. */
START_TEST(client_goes)
{
	ck_assert(start(40 * MIB));
	in_copy = client_ends;
	fake_workers_run();
	in_copy = NULL;
	ck_assert_uint_eq(steps, 1);
	ck_assert_uint_eq(cb.n, 0);
	ck_assert(start(40 * MIB));
	client_ends();
	fake_workers_run();
	ck_assert_uint_eq(steps, 1);
	ck_assert(start(MIB));
	fake_workers_run();
	client_ends();
	answer(-ENOTCONN);
	ck_assert_uint_eq(cb.n, 1);
}
END_TEST

static void
a_millisecond(void)
{
	usleep(1000);
}

static unsigned stopped_at;
static void *
stop(void *arg)
{
	offloads_stop(&mds);
	stopped_at = steps;
	return arg;
}

/* The end of the server: no step more, and nothing is told. */
START_TEST(server_stops)
{
	pthread_t stopper;
	ck_assert(start(1000 * FS_COPY_MOST));
	in_copy = a_millisecond;
	ck_assert_int_eq(pthread_create(&stopper, NULL, stop, NULL), 0);
	fake_workers_run();
	pthread_join(stopper, NULL);
	ck_assert_uint_eq(steps, stopped_at);
	ck_assert_uint_lt(steps, 1000);
	offloads_tick(&mds);
	fake_workers_run();
	ck_assert(steps == stopped_at && !cb.n);
	ck_assert(!start(40 * MIB));
}
END_TEST

START_TEST(not_now)
{
	client[0].nback = 0;
	ck_assert(!start(40 * MIB));
	client[0].nback = 1;
	for (unsigned i = 0; i < OFFLOADS_OF_CLIENT; i++)
		ck_assert(start(40 * MIB));
	ck_assert(!start(40 * MIB));
	client_ends();
	fake_workers_run();
	ck_assert(start(40 * MIB));
	client_ends();
	fake_workers_run();
	ck_assert_uint_eq(steps, 0);
}
END_TEST

START_TEST(stateids)
{
	ck_assert(start(40 * MIB));
	stateid4 other = sid;
	ck_assert_int_eq(ask(0, &sid, dst), NFS4_OK);
	ck_assert_int_eq(ask(0, &sid, src), NFS4ERR_BAD_STATEID);	/* identified by both (15.8.3) */
	ck_assert_int_eq(ask(1, &sid, dst), NFS4ERR_BAD_STATEID);
	other.seqid = 0;		/* 4.8 */
	ck_assert_int_eq(ask(0, &other, dst), NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(offload_cancel(&mds, &client[0], &other, dst), NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(offload_cancel(&mds, &client[1], &sid, dst), NFS4ERR_BAD_STATEID);
	other = (stateid4){ .seqid = 1 };
	ck_assert_int_eq(ask(0, &other, dst), NFS4ERR_BAD_STATEID);
	client_ends();
	fake_workers_run();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("offload");
	TCase *tc = tcase_create("offload");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, to_the_end);
	tcase_add_test(tc, short_and_failed);
	tcase_add_test(tc, waits);
	tcase_add_test(tc, told_again);
	tcase_add_test(tc, cancelled);
	tcase_add_test(tc, client_goes);
	tcase_add_test(tc, server_stops);
	tcase_add_test(tc, not_now);
	tcase_add_test(tc, stateids);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
