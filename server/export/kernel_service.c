/*
 * Provider kernel: the life of nfsd and of the session to it, one for all exports of the process; see kernel.h.  It begins with the first export and ends with the
 * last one.  A session that is lost is made anew, with an nfsd of its own, as soon as all that was given under it is back.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/conf/exports.h"
#include "server/export/kernel.h"
#include "server/mds.h"

#define RENEW_PAUSE_MS 5000u		/* between tries to start nfsd anew */

/* One that nfsd serves. */
struct kernel_export {
	const struct export *export;
	LIST_ENTRY(kernel_export) link;
};

static struct {
	/* Held for writing by who starts or stops nfsd or session, for reading by who uses them and has no lease: while there is a lease they stay. */
	pthread_rwlock_t life;
	LIST_HEAD(, kernel_export) exports;
	struct kernel_nfsd nfsd;
	struct kernel_session *session;	/* NULL: none could be had */
	uint64_t tried_ms;		/* to start it anew */
	pthread_mutex_t keep_lock;	/* held over questions to the keeper */
	atomic_bool left;		/* a lease was left to the keeper */
} service = { .life = PTHREAD_RWLOCK_INITIALIZER, .keep_lock = PTHREAD_MUTEX_INITIALIZER };

struct kernel_session *
kernel_session(void)
{
	return service.session;
}

/* service.life held for writing. */
static int
service_start(char *why, size_t size)
{
	const struct kernel_export *ke;
	int sock, err = kernel_nfsd_start(&service.nfsd, KERNEL_NFSD_LEASE, &sock, why, size);
	if (err)
		return err;
	err = kernel_session_new(&service.session, sock, KERNEL_NFSD_LEASE, &kernel_service_ops, NULL);
	if (err) {
		service.session = NULL;
		snprintf(why, size, "no session: %s", strerror(-err));
		kernel_nfsd_stop(&service.nfsd);
		return err;
	}
	/* Those of the one before. */
	LIST_FOREACH(ke, &service.exports, link)
		if (kernel_nfsd_export(&service.nfsd, ke->export->id, ke->export->mount_fd))
			log_error("%s: nfsd does not export it any more", ke->export->line->path);
	return 0;
}

/* service.life held for writing; no lease is in the table. */
static void
service_stop(void)
{
	if (!service.session)
		return;
	if (atomic_load(&service.left)) {
		kernel_session_leave(service.session);
		kernel_nfsd_leave(&service.nfsd);
	} else {
		kernel_session_free(service.session);
		kernel_nfsd_stop(&service.nfsd);
	}
	service.session = NULL;
}

int
kernel_service_join(const struct export *export, char *why, size_t size)
{
	struct kernel_export *ke = malloc(sizeof *ke);
	if (!ke)
		return -ENOMEM;
	pthread_rwlock_wrlock(&service.life);
	int err = service.session ? 0 : service_start(why, size);
	if (!err) {
		err = kernel_nfsd_export(&service.nfsd, export->id, export->mount_fd);
		if (err)
			snprintf(why, size, "the kernel does not export it: %s", strerror(-err));
		if (err && LIST_EMPTY(&service.exports))
			service_stop();
	}
	if (!err) {
		ke->export = export;
		LIST_INSERT_HEAD(&service.exports, ke, link);
	}
	pthread_rwlock_unlock(&service.life);
	if (err)
		free(ke);
	return err;
}

void
kernel_service_quit(const struct export *export)
{
	struct kernel_export *ke;
	pthread_rwlock_wrlock(&service.life);
	LIST_FOREACH(ke, &service.exports, link)
		if (ke->export == export)
			break;
	if (ke) {
		LIST_REMOVE(ke, link);
		free(ke);
	}
	if (service.session && !atomic_load(&service.left))
		kernel_nfsd_unexport(&service.nfsd, export->id, export->mount_fd);
	if (LIST_EMPTY(&service.exports))
		service_stop();
	pthread_rwlock_unlock(&service.life);
}

static bool
service_works(void)
{
	return service.session && !kernel_session_lost(service.session);
}

/* After the session was lost, and all that was given under it is back: nfsd and session anew, now and then. */
static void
service_renew(void)
{
	char why[120];
	pthread_rwlock_wrlock(&service.life);
	uint64_t now = mds_now_ms();
	if (!service_works() && !kernel_leases_any() && (!service.tried_ms || now - service.tried_ms >= RENEW_PAUSE_MS)) {
		service.tried_ms = now;
		service_stop();
		int err = service_start(why, sizeof why);
		if (err)
			log_error("nfsd: cannot be started anew: %s", why);
		else
			log_warn("nfsd: started anew, after the session was lost");
	}
	pthread_rwlock_unlock(&service.life);
}

bool
kernel_service_hold(void)
{
	for (unsigned turn = 0; turn < 2; turn++) {
		pthread_rwlock_rdlock(&service.life);
		if (service_works())
			return true;
		pthread_rwlock_unlock(&service.life);
		service_renew();
	}
	return false;
}

void
kernel_service_release(void)
{
	pthread_rwlock_unlock(&service.life);
}

void
kernel_service_leave(void)
{
	atomic_store(&service.left, true);
}

int
kernel_service_keep(const struct mds *mds)
{
	LOCK_SCOPE(&service.keep_lock);
	return kernel_nfsd_keep(&service.nfsd, mds->keeper, mds->boot);
}
