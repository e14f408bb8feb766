/*
 * Event loop with a thread of its own; see loop.h.
 *
 * Two queues: work posted by any thread (under a lock, the loop is woken when
 * the queue was empty), and hooks for the end of the turn (loop's thread only).
 * Both are run by the prepare watcher, that is before libev sleeps; posted work
 * also when the async watcher fires.
 */
#include "proto/rpc/loop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

/* Work that makes work: this often in one turn, then another turn is forced. */
#define MAX_ROUNDS 8

struct work_queue {
	struct loop_work *head, **tail;
};

struct loop {
	struct ev_loop *ev;
	ev_async wake;
	ev_prepare turn;
	ev_check woken;
	struct work_queue hooks;	/* loop's thread */
	bool turn_over;			/* loop's thread: finished, about to sleep */
	pthread_t thread;
	bool started;
	char name[16];

	pthread_mutex_t lock;
	struct work_queue posted;	/* under lock */
};

static __thread struct loop *current_loop;

static void
queue_init(struct work_queue *q)
{
	q->head = NULL;
	q->tail = &q->head;
}

static void
queue_add(struct work_queue *q, struct loop_work *work)
{
	work->next = NULL;
	*q->tail = work;
	q->tail = &work->next;
}

static void
queue_run(struct loop_work *work)
{
	while (work) {
		struct loop_work *next = work->next;
		work->fn(work);
		work = next;
	}
}

static struct loop_work *
posted_take(struct loop *loop)
{
	pthread_mutex_lock(&loop->lock);
	struct loop_work *work = loop->posted.head;
	queue_init(&loop->posted);
	pthread_mutex_unlock(&loop->lock);
	return work;
}

static void
loop_wake(EV_P_ ev_async *w, int revents)
{
	(void)loop;
	(void)revents;
	queue_run(posted_take(w->data));
}

static void
hooks_run(struct loop *loop)
{
	struct loop_work *hooks = loop->hooks.head;
	queue_init(&loop->hooks);
	queue_run(hooks);
}

/* What is left to do in this turn: posted work, then the hooks, then what these have posted... */
static void
loop_finish_turn(struct loop *loop)
{
	for (int round = 0; round < MAX_ROUNDS; round++) {
		struct loop_work *work = posted_take(loop);
		if (work)
			queue_run(work);
		else if (loop->hooks.head)
			hooks_run(loop);
		else
			return;
	}
	hooks_run(loop);
	ev_async_send(loop->ev, &loop->wake);
}

static void
loop_turn(EV_P_ ev_prepare *w, int revents)
{
	struct loop *l = w->data;
	(void)loop;
	(void)revents;
	loop_finish_turn(l);
	l->turn_over = true;
}

static void
loop_woken(EV_P_ ev_check *w, int revents)
{
	struct loop *l = w->data;
	(void)loop;
	(void)revents;
	l->turn_over = false;
}

struct loop *
loop_new(const char *name)
{
	struct loop *loop = calloc(1, sizeof *loop);
	if (!loop)
		return NULL;
	loop->ev = ev_loop_new(EVFLAG_AUTO | EVFLAG_NOENV);
	if (!loop->ev) {
		free(loop);
		return NULL;
	}
	snprintf(loop->name, sizeof loop->name, "%s", name);
	pthread_mutex_init(&loop->lock, NULL);
	queue_init(&loop->posted);
	queue_init(&loop->hooks);
	ev_async_init(&loop->wake, loop_wake);
	loop->wake.data = loop;
	ev_async_start(loop->ev, &loop->wake);
	ev_prepare_init(&loop->turn, loop_turn);
	loop->turn.data = loop;
	ev_set_priority(&loop->turn, EV_MINPRI);	/* after other prepare watchers */
	ev_prepare_start(loop->ev, &loop->turn);
	ev_check_init(&loop->woken, loop_woken);
	loop->woken.data = loop;
	ev_set_priority(&loop->woken, EV_MAXPRI);	/* before anything that may post */
	ev_check_start(loop->ev, &loop->woken);
	return loop;
}

static void *
loop_main(void *arg)
{
	struct loop *loop = arg;
	current_loop = loop;
	pthread_setname_np(pthread_self(), loop->name);
	ev_run(loop->ev, 0);
	return NULL;
}

int
loop_start(struct loop *loop)
{
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);	/* signals are the main thread's */
	int err = pthread_create(&loop->thread, NULL, loop_main, loop);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	loop->started = !err;
	return -err;
}

struct stop_work {
	struct loop_work work;
	struct loop *loop;
};

static void
loop_break(struct loop_work *work)
{
	struct stop_work *stop = (struct stop_work *)work;
	ev_break(stop->loop->ev, EVBREAK_ALL);
}

void
loop_stop(struct loop *loop)
{
	if (loop->started) {
		struct stop_work stop = { .work.fn = loop_break, .loop = loop };
		loop_post(loop, &stop.work);
		pthread_join(loop->thread, NULL);
	}
	/* We are its thread now: what was posted meanwhile still runs. */
	struct loop *mine = current_loop;
	current_loop = loop;
	loop_finish_turn(loop);
	current_loop = mine;
	ev_loop_destroy(loop->ev);
	pthread_mutex_destroy(&loop->lock);
	free(loop);
}

struct ev_loop *
loop_ev(struct loop *loop)
{
	return loop->ev;
}

bool
loop_is_current(const struct loop *loop)
{
	return current_loop == loop;
}

void
loop_post(struct loop *loop, struct loop_work *work)
{
	pthread_mutex_lock(&loop->lock);
	bool was_empty = !loop->posted.head;
	queue_add(&loop->posted, work);
	/* Under the lock, so that loop_stop() cannot free the loop before. */
	if (was_empty && (!loop_is_current(loop) || loop->turn_over))
		ev_async_send(loop->ev, &loop->wake);
	pthread_mutex_unlock(&loop->lock);
}

struct call_work {
	struct loop_work work;
	void (*fn)(void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool done;
};

static void
loop_call_run(struct loop_work *work)
{
	struct call_work *call = (struct call_work *)work;
	call->fn(call->arg);
	pthread_mutex_lock(&call->lock);
	call->done = true;
	pthread_cond_signal(&call->cond);
	pthread_mutex_unlock(&call->lock);
}

void
loop_call(struct loop *loop, void (*fn)(void *arg), void *arg)
{
	struct call_work call = { .work.fn = loop_call_run, .fn = fn, .arg = arg,
		.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	loop_post(loop, &call.work);
	pthread_mutex_lock(&call.lock);
	while (!call.done)
		pthread_cond_wait(&call.cond, &call.lock);
	pthread_mutex_unlock(&call.lock);
	pthread_mutex_destroy(&call.lock);
	pthread_cond_destroy(&call.cond);
}

void
loop_at_turn_end(struct loop *loop, struct loop_work *work)
{
	queue_add(&loop->hooks, work);
	/*
	 * What the end of a turn feeds (ev_feed_event in peer_resume) runs after it, before the sleep: then the
	 * sleep must not be one.
	 */
	if (loop->turn_over)
		ev_async_send(loop->ev, &loop->wake);
}
