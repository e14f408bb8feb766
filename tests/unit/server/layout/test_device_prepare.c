/* A target that does not answer: how long do those who want layouts wait for it? */
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "server/conf/conf.h"
#include "server/fence/fence.h"
#include "server/layout/device.h"

#define THREADS 6u

static atomic_uint asked, talks;

/* Not before all of them wait. */
static int
silent_ensure(struct pr *pr, uint64_t key)
{
	(void)pr;
	(void)key;
	atomic_fetch_add(&talks, 1);
	for (unsigned i = 0; i < 1000 && atomic_load(&asked) < THREADS; i++)
		usleep(1000);
	usleep(200000);
	return -ETIMEDOUT;
}

static const struct pr_ops silent_ops = { .name = "silent", .ensure = silent_ensure };
static struct pr silent = { .ops = &silent_ops };
static struct device_conf conf = { .name = (char *)"silent" };
static struct device device = { .conf = &conf, .layout_type = 5, .pr = &silent, .server_key = 1,
	.lock = PTHREAD_MUTEX_INITIALIZER };

static void *
prepare(void *arg)
{
	enum reason why = REASON_NONE;
	(void)arg;
	atomic_fetch_add(&asked, 1);
	int r = device_prepare(&device, &why);
	return r < 0 && why == REASON_NO_RESERVATIONS ? arg : NULL;
}

/* PITFALLS B3 */
START_TEST(one_talk_fails_for_all_who_wait)
{
	pthread_t threads[THREADS];
	void *failed;
	for (unsigned i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, prepare, &device), 0);
	for (unsigned i = 0; i < THREADS; i++) {
		pthread_join(threads[i], &failed);
		ck_assert_ptr_eq(failed, &device);
	}
	ck_assert_uint_eq(atomic_load(&talks), 1);
	/* Who comes later tries again. */
	ck_assert_ptr_eq(prepare(&device), &device);
	ck_assert_uint_eq(atomic_load(&talks), 2);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("device_prepare");
	TCase *tc = tcase_create("device_prepare");
	suite_add_tcase(suite, tc);
	tcase_set_timeout(tc, 30);
	tcase_add_test(tc, one_talk_fails_for_all_who_wait);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
