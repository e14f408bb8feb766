/*
 * A provider whose lease every write of this host waits for (export_ops.writers_wait, "kernel"): all layouts of the file come back before the server touches
 * it, the lease is given up before, too, and outlives the last layout only as long as nobody waits for it.
 */
#include <check.h>
#include <errno.h>
#include <stdlib.h>

#include "tests/unit/server/layout/fake_layout.h"


static struct export_ops waiting;
static struct fake_file *file;
static stateid4 open0, open1;

static void
setup(void)
{
	fake_world_init(LAYOUT4_BLOCK_VOLUME);
	waiting = *w.export.ops;
	waiting.writers_wait = waiting.past_eof = true;
	w.export.ops = &waiting;
	file = fake_file_new(16 * U);
	file->lease.ops = &waiting;
	open0 = fake_open(0, file, true);
	open1 = fake_open(1, file, true);
}

static void
teardown(void)
{
	fake_world_end();
}

static void
let_go(void)
{
	pthread_rwlock_wrlock(&file->inode->io_lock);
	layout_let_go(&w.mds, file->inode);
	pthread_rwlock_unlock(&file->inode->io_lock);
}

static bool
clear(enum layout_need need)
{
	pthread_mutex_lock(&w.mds.state_lock);
	bool is = layout_clear_locked(file->inode, &w.client[0], need, 0, U);
	pthread_mutex_unlock(&w.mds.state_lock);
	return is;
}

/* A WRITE recalls all of the file, the writer's own layouts and such as it would not touch, too (else it would wait for itself in the kernel). */
START_TEST(write_takes_all)
{
	struct fake_got b = fake_get(1, file, &open1, false, 8 * U, 4 * U), a = fake_get(0, file, &open0, true, 0, 4 * U);
	bool present;
	ck_assert_int_eq(a.status, NFS4_OK);
	ck_assert_int_eq(b.status, NFS4_OK);
	ck_assert_int_eq(fake_way(0, file, LAYOUT_NEED_READ, 0, U), NFS4_OK);
	ck_assert(!clear(LAYOUT_NEED_WRITE));
	ck_assert_int_eq(fake_way(0, file, LAYOUT_NEED_WRITE, 12 * U, U), NFS4ERR_DELAY);
	ck_assert_ptr_nonnull(fake_call_of(0));
	ck_assert_ptr_nonnull(fake_call_of(1));
	fake_answer(0, NFS4_OK);
	fake_answer(1, NFS4_OK);
	ck_assert_int_eq(fake_return(0, file, &a.a.sid, 0, UINT64_MAX, &present), NFS4_OK);
	ck_assert_int_eq(fake_way(0, file, LAYOUT_NEED_WRITE, 12 * U, U), NFS4ERR_DELAY);
	ck_assert_int_eq(fake_return(1, file, &b.a.sid, 0, UINT64_MAX, &present), NFS4_OK);
	ck_assert_int_eq(fake_way(0, file, LAYOUT_NEED_WRITE, 12 * U, U), NFS4_OK);
	/* the lease is still there, and seen: the way leads over layout_let_go() */
	ck_assert(layout_any(file->inode));
	ck_assert_uint_eq(file->unleased, 0);
	let_go();
	ck_assert_uint_eq(file->unleased, 1);
	ck_assert(clear(LAYOUT_NEED_WRITE));
	/* nobody has broken it: it may be had again at once, when the write is over */
	fake_pass(1100);
	ck_assert(!layout_any(file->inode));
	ck_assert_int_eq(fake_get(0, file, &open0, true, 0, 4 * U).status, NFS4_OK);
}
END_TEST

/* It is not given up under a layout. */
START_TEST(not_let_go_under_a_layout)
{
	ck_assert_int_eq(fake_get(0, file, &open0, true, 0, 4 * U).status, NFS4_OK);
	let_go();
	ck_assert_uint_eq(file->unleased, 0);
}
END_TEST

/* PITFALLS A27: returned, then committed - while the lease has guarded the blocks all the time, and not any more after. */
START_TEST(commit_after_return)
{
	struct layout_range range = { 0, U };
	struct fake_got a = fake_get(0, file, &open0, true, 0, 4 * U);
	bool present;
	stateid4 held = a.a.sid;
	ck_assert_int_eq(fake_return(0, file, &a.a.sid, 0, UINT64_MAX, &present), NFS4_OK);
	fake_pass(1000);
	ck_assert_uint_eq(file->unleased, 0);
	ck_assert_int_eq(fake_commit(0, file, &held, &range, 1), NFS4_OK);
	ck_assert_uint_eq(file->commits, 1);
	fake_pass(2000);
	ck_assert_uint_eq(file->unleased, 1);
	ck_assert_int_eq(fake_commit(0, file, &held, &range, 1), NFS4ERR_BADLAYOUT);
	ck_assert_uint_eq(file->commits, 1);
	ck_assert_uint_eq(file->leased, 1);
}
END_TEST

static bool mapped_says;
static unsigned mapped_asked;

static bool
mapped(struct layout_lease *lease, uint64_t offset, uint64_t length, bool write)
{
	ck_assert_ptr_eq(lease, &file->lease);
	ck_assert_int_eq(pthread_rwlock_tryrdlock(&file->inode->io_lock), EBUSY);
	ck_assert(offset == 0 && length >= 4 * U && write);
	mapped_asked++;
	return mapped_says;
}

static nfsstat4
at_once(bool *wait)
{
	struct layout_ask ask = { .client = &w.client[0], .inode = file->inode, .rw = true, .length = 4 * U, .minlength = U, .max_extents = 92,
		.at_once = true, .arena = &w.arena };
	struct layout_answer answer = { 0 };
	nfsstat4 status = layout_get(&w.mds, &ask, &answer);
	*wait = answer.wait;
	ck_assert_int_eq(pthread_rwlock_trywrlock(&file->inode->io_lock), 0);
	pthread_rwlock_unlock(&file->inode->io_lock);
	return status;
}

/* LAYOUTGET on a loop: given there only if nothing has to be waited for; else nothing has changed. */
START_TEST(given_at_once)
{
	bool wait;
	waiting.mapped = mapped;
	mapped_asked = 0;
	/* nobody on record, and no lease */
	ck_assert_int_ne(at_once(&wait), NFS4_OK);
	ck_assert(wait && file->leased == 0 && mapped_asked == 0);
	struct fake_got a = fake_get(0, file, &open0, true, 0, 4 * U);
	ck_assert_int_eq(a.status, NFS4_OK);
	/* not known */
	mapped_says = false;
	unsigned before = file->mapped;
	ck_assert_int_ne(at_once(&wait), NFS4_OK);
	ck_assert(wait && mapped_asked == 1 && file->mapped == before);
	/* somebody is at the file */
	pthread_rwlock_rdlock(&file->inode->io_lock);
	struct layout_ask ask = { .client = &w.client[0], .inode = file->inode, .rw = true, .length = 4 * U, .minlength = U, .max_extents = 92,
		.at_once = true, .arena = &w.arena };
	struct layout_answer answer = { 0 };
	mapped_says = true;
	ck_assert_int_ne(layout_get(&w.mds, &ask, &answer), NFS4_OK);
	ck_assert(answer.wait && mapped_asked == 1);
	pthread_rwlock_unlock(&file->inode->io_lock);
	/* one that breaks it */
	ck_assert_int_eq(at_once(&wait), NFS4_OK);
	ck_assert(!wait && mapped_asked == 2 && file->leased == 1);
	file->lease.broken = true;
	ck_assert_int_ne(at_once(&wait), NFS4_OK);
	ck_assert(wait && mapped_asked == 2 && file->unleased == 0);
	file->lease.broken = false;
	/* another client's */
	fake_return(0, file, &a.a.sid, 0, UINT64_MAX, NULL);
	ck_assert_int_eq(fake_get(1, file, &open1, true, 0, 4 * U).status, NFS4_OK);
	ck_assert_int_ne(at_once(&wait), NFS4_OK);
	ck_assert(wait && mapped_asked == 2 && fake_layouts_of(file) == 1);
}
END_TEST

/* A layout that comes while it lingers uses it on. */
START_TEST(taken_up_again)
{
	struct fake_got a = fake_get(0, file, &open0, true, 0, 4 * U);
	bool present;
	ck_assert_int_eq(fake_return(0, file, &a.a.sid, 0, UINT64_MAX, &present), NFS4_OK);
	fake_pass(1500);
	a = fake_get(0, file, &open0, true, 0, 4 * U);
	ck_assert_int_eq(a.status, NFS4_OK);
	fake_pass(5000);
	ck_assert_uint_eq(file->unleased, 0);
	ck_assert_uint_eq(file->leased, 1);
	ck_assert_int_eq(fake_return(0, file, &a.a.sid, 0, UINT64_MAX, &present), NFS4_OK);
	fake_pass(2200);
	ck_assert_uint_eq(file->unleased, 1);
}
END_TEST

/* Somebody local waits: it does not linger, and nothing is given for a moment. */
START_TEST(broken_ends_at_once)
{
	struct fake_got a = fake_get(0, file, &open0, true, 0, 4 * U);
	bool present;
	ck_assert_int_eq(fake_return(0, file, &a.a.sid, 0, UINT64_MAX, &present), NFS4_OK);
	file->lease.broken = true;
	export_on_break(&w.mds, file->inode);
	fake_pass(0);
	ck_assert_uint_eq(file->unleased, 1);
	a = fake_get(0, file, &open0, true, 0, 4 * U);
	ck_assert_int_eq(a.status, NFS4ERR_LAYOUTTRYLATER);
	fake_pass(100);
	ck_assert_int_eq(fake_get(0, file, &open0, true, 0, 4 * U).status, NFS4_OK);
}
END_TEST

/* Behind EOF no more than was asked for: it would stay allocated. */
START_TEST(growth_ends_at_eof)
{
	file->big = true;
	struct fake_got a = fake_get(0, file, &open0, true, 12 * U, 8 * U);
	ck_assert_int_eq(a.status, NFS4_OK);
	ck_assert_uint_eq(a.a.offset + a.a.length, 20 * U);
	struct fake_got b = fake_get(0, file, &open0, true, 0, U);
	ck_assert_uint_eq(b.a.length, 16 * U);
}
END_TEST

/* After a restart nothing has guarded what was granted before: only what needs no conversion is taken. */
START_TEST(reclaim_converts_nothing)
{
	stateid4 old = { .seqid = 7 };
	struct layout_range range = { 0, U };
	struct layout_commit commit = { .client = &w.client[0], .inode = file->inode, .sid = &old, .reclaim = true,
		.ranges = &range, .n = 1, .arena = &w.arena };
	bool set;
	uint64_t size;
	ck_assert_int_eq(layout_commit(&w.mds, &commit, &set, &size), NFS4ERR_RECLAIM_BAD);
	ck_assert_uint_eq(file->commits, 0);
	commit.n = 0;
	ck_assert_int_eq(layout_commit(&w.mds, &commit, &set, &size), NFS4_OK);
	ck_assert_uint_eq(file->flushes, 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("writers_wait");
	TCase *tc = tcase_create("writers_wait");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, write_takes_all);
	tcase_add_test(tc, not_let_go_under_a_layout);
	tcase_add_test(tc, commit_after_return);
	tcase_add_test(tc, given_at_once);
	tcase_add_test(tc, taken_up_again);
	tcase_add_test(tc, broken_ends_at_once);
	tcase_add_test(tc, growth_ends_at_eof);
	tcase_add_test(tc, reclaim_converts_nothing);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
