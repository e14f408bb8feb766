/* Loops: order of posted work, posting from within, end of the turn, calls, stop. */
#include "../vector.h"

#include <pthread.h>
#include <stdatomic.h>

#include "proto/rpc/loop.h"

struct item {
	struct loop_work work;
	struct loop *loop;
	unsigned thread, seq, again;
};

static unsigned ran, last[4];
static bool in_order = true, on_loop = true;

static void
run_item(struct loop_work *work)
{
	struct item *item = (struct item *)work;
	ran++;
	on_loop = on_loop && loop_is_current(item->loop);
	if (item->again) {
		item->again--;
		loop_post(item->loop, work);
		return;
	}
	in_order = in_order && item->seq == last[item->thread] + 1;
	last[item->thread] = item->seq;
	free(item);
}

struct poster { struct loop *loop; unsigned thread; };

static void *
post_many(void *arg)
{
	struct poster *p = arg;
	for (unsigned i = 1; i <= 5000; i++) {
		struct item *item = calloc(1, sizeof *item);
		*item = (struct item){ .work.fn = run_item, .loop = p->loop, .thread = p->thread, .seq = i };
		loop_post(p->loop, &item->work);
	}
	return NULL;
}

static void
nothing(void *arg)
{
	*(bool *)arg = true;
}

START_TEST(posted_work)
{
	struct loop *loop = loop_new("a name longer than threads have");
	pthread_t thread[4];
	struct poster poster[4];
	bool called = false;
	ck_assert(!loop_is_current(loop));
	ck_assert_int_eq(loop_start(loop), 0);
	for (unsigned i = 0; i < 4; i++) {
		poster[i] = (struct poster){ loop, i };
		pthread_create(&thread[i], NULL, post_many, &poster[i]);
	}
	for (unsigned i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	loop_call(loop, nothing, &called);
	ck_assert(called);
	ck_assert_uint_eq(ran, 20000);
	ck_assert(in_order && on_loop);
	/* posts itself a hundred times: no starving, no loss */
	struct item *item = calloc(1, sizeof *item);
	*item = (struct item){ .work.fn = run_item, .loop = loop, .again = 100, .seq = 5001 };
	loop_post(loop, &item->work);
	for (int i = 0; i < 120; i++)
		loop_call(loop, nothing, &called);
	ck_assert_uint_eq(ran, 20101);
	ck_assert(in_order && on_loop);
	loop_stop(loop);
}
END_TEST

START_TEST(posted_before_stop)
{
	struct loop *loop = loop_new("x");
	ck_assert_int_eq(loop_start(loop), 0);
	struct poster p = { loop, 3 };
	ran = last[3] = 0;
	post_many(&p);
	loop_stop(loop);
	ck_assert_uint_eq(ran, 5000);
	ck_assert(in_order && on_loop);
	loop = loop_new("never started");
	p.loop = loop;
	last[3] = 0;
	post_many(&p);
	loop_stop(loop);
	ck_assert_uint_eq(ran, 10000);
}
END_TEST

/* ---- hooks ---- */

struct hook_test { struct loop *loop; struct loop_work hook, post; char log[8]; };

static void
log_hook(struct loop_work *work)
{
	struct hook_test *t = (struct hook_test *)((char *)work - offsetof(struct hook_test, hook));
	strcat(t->log, "h");
}

static void
log_post(struct loop_work *work)
{
	struct hook_test *t = (struct hook_test *)((char *)work - offsetof(struct hook_test, post));
	strcat(t->log, "p");
}

static void
arrange(void *arg)
{
	struct hook_test *t = arg;
	loop_at_turn_end(t->loop, &t->hook);
	loop_post(t->loop, &t->post);
	strcat(t->log, "c");
}

START_TEST(turn_end)
{
	struct hook_test t = { .loop = loop_new("hooks"), .hook.fn = log_hook, .post.fn = log_post };
	loop_start(t.loop);
	loop_call(t.loop, arrange, &t);
	loop_stop(t.loop);
	ck_assert_str_eq(t.log, "cph");
}
END_TEST

/*
 * An event fed by the end of a turn runs after it: what it leaves for an end of turn, and what it posts, must
 * not wait until something else happens to wake the loop.
 */
#define FED_ROUNDS 20
struct fed_test {
	struct loop *loop;
	ev_async fed;			/* never sent, only fed */
	struct loop_work first, last, post;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	int done, rounds;
};

static void
fed_done(struct fed_test *t)
{
	pthread_mutex_lock(&t->lock);
	t->done++;
	pthread_cond_signal(&t->cond);
	pthread_mutex_unlock(&t->lock);
}

/* The end of a turn: feed again, which has its own end. */
static void
fed_last(struct loop_work *work)
{
	struct fed_test *t = (struct fed_test *)((char *)work - offsetof(struct fed_test, last));
	fed_done(t);
	if (t->rounds-- > 0)
		ev_feed_event(loop_ev(t->loop), &t->fed, EV_CUSTOM);
}

static void
fed_post(struct loop_work *work)
{
	fed_done((struct fed_test *)((char *)work - offsetof(struct fed_test, post)));
}

static void
fed_event(struct ev_loop *ev, ev_async *w, int revents)
{
	struct fed_test *t = w->data;
	(void)ev, (void)revents;
	loop_at_turn_end(t->loop, &t->last);
	loop_post(t->loop, &t->post);
}

static void
fed_first(struct loop_work *work)
{
	struct fed_test *t = (struct fed_test *)((char *)work - offsetof(struct fed_test, first));
	ev_feed_event(loop_ev(t->loop), &t->fed, EV_CUSTOM);
}

static void
fed_begin(void *arg)
{
	struct fed_test *t = arg;
	ev_async_start(loop_ev(t->loop), &t->fed);
	loop_at_turn_end(t->loop, &t->first);
}

static void
fed_stop(void *arg)
{
	struct fed_test *t = arg;
	ev_async_stop(loop_ev(t->loop), &t->fed);
}

START_TEST(fed_at_turn_end)
{
	struct fed_test t = { .loop = loop_new("fed"), .rounds = FED_ROUNDS, .first.fn = fed_first, .last.fn = fed_last, .post.fn = fed_post,
		.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	ev_async_init(&t.fed, fed_event);
	t.fed.data = &t;
	loop_start(t.loop);
	loop_call(t.loop, fed_begin, &t);
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 3;
	pthread_mutex_lock(&t.lock);
	int err = 0;
	while (t.done < 2 * (FED_ROUNDS + 1) && !err)
		err = pthread_cond_timedwait(&t.cond, &t.lock, &until);
	ck_assert_int_eq(t.done, 2 * (FED_ROUNDS + 1));
	pthread_mutex_unlock(&t.lock);
	loop_call(t.loop, fed_stop, &t);
	loop_stop(t.loop);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("rpc/loop");
	TCase *tc = tcase_create("loop");
	tcase_add_test(tc, posted_work);
	tcase_add_test(tc, posted_before_stop);
	tcase_add_test(tc, turn_end);
	tcase_add_test(tc, fed_at_turn_end);
	suite_add_tcase(s, tc);
	return suite_run(s);
}
