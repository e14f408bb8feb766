/* Workers: everything submitted runs once, from whichever thread, also what is queued when they are stopped. */
#include <check.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/net/worker.h"

#define SUBMITTERS 4
#define EACH 2000

struct job {
	struct work work;
	struct workers *workers;
	atomic_uint ran, again;		/* again: submits itself as often */
};

static atomic_uint total, running, most;

static void
job_run(struct work *work)
{
	struct job *job = (struct job *)work;
	unsigned now = atomic_fetch_add(&running, 1) + 1, max = atomic_load(&most);
	while (now > max && !atomic_compare_exchange_weak(&most, &max, now))
		;
	atomic_fetch_add(&job->ran, 1);
	atomic_fetch_sub(&running, 1);
	atomic_fetch_add(&total, 1);
	if (atomic_load(&job->again)) {
		atomic_fetch_sub(&job->again, 1);
		workers_submit(job->workers, work);
	}
}

static void *
submitter(void *arg)
{
	struct job *jobs = arg;
	for (unsigned i = 0; i < EACH; i++) {
		workers_submit(jobs[i].workers, &jobs[i].work);
		if (i % 64 == 0)
			usleep(50);	/* so that threads become idle in between */
	}
	return NULL;
}

START_TEST(each_runs_once)
{
	static struct job jobs[SUBMITTERS][EACH];
	struct workers *w;
	pthread_t thread[SUBMITTERS];

	ck_assert_int_eq(workers_new(&w, 3, "test"), 0);
	for (unsigned t = 0; t < SUBMITTERS; t++) {
		for (unsigned i = 0; i < EACH; i++)
			jobs[t][i] = (struct job){ .work.fn = job_run, .workers = w };
		ck_assert_int_eq(pthread_create(&thread[t], NULL, submitter, jobs[t]), 0);
	}
	for (unsigned t = 0; t < SUBMITTERS; t++)
		pthread_join(thread[t], NULL);
	workers_stop(w);
	for (unsigned t = 0; t < SUBMITTERS; t++)
		for (unsigned i = 0; i < EACH; i++)
			ck_assert_uint_eq(atomic_load(&jobs[t][i].ran), 1);
	ck_assert_uint_eq(atomic_load(&total), SUBMITTERS * EACH);
	ck_assert_uint_le(atomic_load(&most), 3);
}
END_TEST

START_TEST(may_be_submitted_again_by_itself)
{
	struct workers *w;
	struct job job = { .work.fn = job_run };

	ck_assert_int_eq(workers_new(&w, 2, "test"), 0);
	job.workers = w;
	atomic_store(&job.again, 500);
	workers_submit(w, &job.work);
	while (atomic_load(&total) < 501)
		usleep(100);
	workers_stop(w);
	ck_assert_uint_eq(atomic_load(&job.ran), 501);
}
END_TEST

static void
block(struct work *work)
{
	(void)work;
	usleep(20000);
}

START_TEST(stop_runs_what_is_queued)
{
	struct workers *w;
	struct job jobs[40];
	struct work slow = { .fn = block };

	ck_assert_int_eq(workers_new(&w, 1, "test"), 0);
	workers_submit(w, &slow);
	for (unsigned i = 0; i < 40; i++) {
		jobs[i] = (struct job){ .work.fn = job_run, .workers = w };
		workers_submit(w, &jobs[i].work);
	}
	workers_stop(w);
	ck_assert_uint_eq(atomic_load(&total), 40);
}
END_TEST

START_TEST(idle_ones_end)
{
	struct workers *w;

	for (unsigned i = 0; i < 50; i++) {
		ck_assert_int_eq(workers_new(&w, i % 5, "test"), 0);
		if (i % 2)
			usleep(200);
		workers_stop(w);
	}
	workers_stop(NULL);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("worker");
	TCase *tc = tcase_create("worker");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, each_runs_once);
	tcase_add_test(tc, may_be_submitted_again_by_itself);
	tcase_add_test(tc, stop_runs_what_is_queued);
	tcase_add_test(tc, idle_ones_end);
	suite_add_tcase(s, tc);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
