/* Scope-bound cleanup for locals (GNU attribute). */
#ifndef PNFS_CLEANUP_H
#define PNFS_CLEANUP_H

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free_(void *p) { free(*(void **)p); }
static inline void cleanup_close_(int *fd) { if (*fd >= 0) close(*fd); }
static inline void cleanup_unlock_(pthread_mutex_t **m) { if (*m) pthread_mutex_unlock(*m); }

#define CLEANUP_FREE __attribute__((cleanup(cleanup_free_)))
#define CLEANUP_CLOSE __attribute__((cleanup(cleanup_close_)))

/* Hold MUTEX until the end of the enclosing block. */
#define LOCK_SCOPE(mutex) \
	pthread_mutex_t *lock_scope_ __attribute__((cleanup(cleanup_unlock_), unused)) = (mutex); \
	pthread_mutex_lock(lock_scope_)

#endif
