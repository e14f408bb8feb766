/* Worker threads; see worker.h. */
#include "server/net/worker.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "include/cleanup.h"

struct workers {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	struct work *head, **tail;
	bool stop;
	unsigned threads;
	pthread_t thread[];
};

/* The next piece of work; NULL: none is left and we are to end. */
static struct work *
workers_next(struct workers *w)
{
	LOCK_SCOPE(&w->lock);
	while (!w->head) {
		if (w->stop)
			return NULL;
		pthread_cond_wait(&w->wake, &w->lock);
	}
	struct work *work = w->head;
	w->head = work->next;
	if (!w->head)
		w->tail = &w->head;
	return work;
}

static void *
worker_main(void *arg)
{
	struct work *work;
	while ((work = workers_next(arg)) != NULL)
		work->fn(work);
	return NULL;
}

int
workers_new(struct workers **workers, unsigned threads, const char *name)
{
	struct workers *w = calloc(1, sizeof *w + threads * sizeof w->thread[0]);
	if (!w)
		return -ENOMEM;
	pthread_mutex_init(&w->lock, NULL);
	pthread_cond_init(&w->wake, NULL);
	w->tail = &w->head;
	for (; w->threads < threads; w->threads++) {
		pthread_t *t = &w->thread[w->threads];
		int err = pthread_create(t, NULL, worker_main, w);
		if (err) {
			workers_stop(w);
			return -err;
		}
		pthread_setname_np(*t, name);
	}
	*workers = w;
	return 0;
}

void
workers_submit(struct workers *w, struct work *work)
{
	work->next = NULL;
	LOCK_SCOPE(&w->lock);
	*w->tail = work;
	w->tail = &work->next;
	pthread_cond_signal(&w->wake);
}

void
workers_stop(struct workers *w)
{
	if (!w)
		return;
	pthread_mutex_lock(&w->lock);
	w->stop = true;
	pthread_cond_broadcast(&w->wake);
	pthread_mutex_unlock(&w->lock);
	for (unsigned i = 0; i < w->threads; i++)
		pthread_join(w->thread[i], NULL);
	pthread_cond_destroy(&w->wake);
	pthread_mutex_destroy(&w->lock);
	free(w);
}
