/* Worker threads; see worker.h. */
#include "server/net/worker.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdbool.h>
#include <stdlib.h>

/* Work is handed to the thread that became idle last: its stack is warm, and nobody else is woken for it. */
struct worker {
	struct workers *of;
	struct worker *below;		/* in the stack of the idle */
	struct work *given;		/* with wake posted; NULL: the end */
	sem_t wake;
	pthread_t thread;
};

struct workers {
	pthread_mutex_t lock;
	struct work *head, **tail;	/* waits for a thread; empty while one is idle */
	struct worker *idle;
	bool stop;
	unsigned threads;
	struct worker worker[];
};

/* The next piece of work; NULL: none is left and we are to end. */
static struct work *
worker_next(struct worker *me)
{
	struct workers *w = me->of;

	pthread_mutex_lock(&w->lock);
	struct work *work = w->head;
	if (work) {
		w->head = work->next;
		if (!w->head)
			w->tail = &w->head;
	}
	bool wait = !work && !w->stop;
	if (wait) {
		me->given = NULL;
		me->below = w->idle;
		w->idle = me;
	}
	pthread_mutex_unlock(&w->lock);
	if (!wait)
		return work;
	while (sem_wait(&me->wake) < 0)
		;			/* EINTR */
	return me->given;
}

static void *
worker_main(void *arg)
{
	struct work *work;
	while ((work = worker_next(arg)) != NULL)
		work->fn(work);
	return NULL;
}

int
workers_new(struct workers **workers, unsigned threads, const char *name)
{
	struct workers *w = calloc(1, sizeof *w + threads * sizeof w->worker[0]);
	if (!w)
		return -ENOMEM;
	pthread_mutex_init(&w->lock, NULL);
	w->tail = &w->head;
	for (; w->threads < threads; w->threads++) {
		struct worker *worker = &w->worker[w->threads];
		worker->of = w;
		sem_init(&worker->wake, 0, 0);
		int err = pthread_create(&worker->thread, NULL, worker_main, worker);
		if (err) {
			sem_destroy(&worker->wake);
			workers_stop(w);
			return -err;
		}
		pthread_setname_np(worker->thread, name);
	}
	*workers = w;
	return 0;
}

void
workers_submit(struct workers *w, struct work *work)
{
	work->next = NULL;
	pthread_mutex_lock(&w->lock);
	struct worker *to = w->idle;
	if (to) {
		w->idle = to->below;
		to->given = work;
	} else {
		*w->tail = work;
		w->tail = &work->next;
	}
	pthread_mutex_unlock(&w->lock);
	if (to)
		sem_post(&to->wake);
}

void
workers_stop(struct workers *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	struct worker *idle = w->idle, *next;
	w->idle = NULL;
	pthread_mutex_unlock(&w->lock);
	for (; idle; idle = next) {
		next = idle->below;
		sem_post(&idle->wake);
	}
	for (unsigned i = 0; i < w->threads; i++) {
		pthread_join(w->worker[i].thread, NULL);
		sem_destroy(&w->worker[i].wake);
	}
	pthread_mutex_destroy(&w->lock);
	free(w);
}
