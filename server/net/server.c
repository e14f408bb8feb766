/* The whole server: what is started and stopped in which order; see server.h. */
#include "server/net/server.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "proto/rpc/loop.h"
#include "server/conf/exports.h"
#include "server/ctl/ctl.h"
#include "server/export/former_lease.h"
#include "server/fs/fs.h"
#include "server/gss/gss.h"
#include "server/keeper/keeper.h"
#include "server/layout/device.h"
#include "server/layout/device_notice.h"
#include "server/layout/layout.h"
#include "server/mds.h"
#include "server/net/exporting.h"
#include "server/net/listener.h"
#include "server/net/worker.h"
#include "server/nfs4/compound.h"
#include "server/nfs4/offload.h"
#include "server/state/client.h"
#include "server/state/deleg.h"
#include "server/state/lock_wait.h"
#include "server/state/session.h"
#include "server/state/stateid.h"

struct server {
	struct mds mds;
	ev_timer tick;
	bool ticking;
};

/*
 * server_owner and server_scope are the same as long as state_dir is, and no other's: from the handle key, which is as lasting
 * and as secret (PITFALLS C9).
 */
static void
server_make_identity(struct mds *mds)
{
	static const char salt[] = "server owner";
	uint8_t key[256], digest[SHA256_DIGEST_SIZE];
	char path[4096];
	snprintf(path, sizeof path, "%s/handle.key", mds->conf.state_dir);
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd >= 0 ? read(fd, key, sizeof key) : -1;
	if (n <= 0) {
		log_warn("%s: no key; clients will not know this server after a restart", path);
		n = getrandom(key, sizeof key, 0);
	}
	struct sha256_ctx ctx;
	sha256_init(&ctx);
	sha256_update(&ctx, sizeof salt, (const uint8_t *)salt);
	sha256_update(&ctx, n > 0 ? (size_t)n : 0, key);
	sha256_digest(&ctx, sizeof digest, digest);
	memcpy(mds->owner_id, digest, sizeof mds->owner_id);
}

static void
server_make_boot(struct mds *mds)
{
	struct timespec ts;
	clock_gettime(CLOCK_REALTIME, &ts);
	mds->boot = (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
	memcpy(mds->write_verifier, &mds->boot, sizeof mds->write_verifier);
}

static void
server_tick(struct ev_loop *ev, ev_timer *w, int revents)
{
	(void)ev;
	(void)revents;
	lease_tick(w->data);
	devices_tick(w->data, mds_now_ms());
	device_notices_tick(w->data, mds_now_ms());
	exporting_tick(w->data);
	former_leases_tick(w->data, grace_active(w->data));
#ifdef HAVE_GSS
	gss_server_tick(w->data, mds_now_ms());
#endif
}

static void
server_tick_start(void *arg)
{
	struct server *s = arg;
	ev_timer_start(loop_ev(s->mds.loops[0]), &s->tick);
	s->ticking = true;
}

static void
server_tick_stop(void *arg)
{
	struct server *s = arg;
	ev_timer_stop(loop_ev(s->mds.loops[0]), &s->tick);
	s->ticking = false;
}

static int
server_make_loops(struct mds *mds)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	unsigned n = mds->conf.loops ? mds->conf.loops : cpus > 0 ? (unsigned)cpus : 1;
	mds->loops = calloc(n, sizeof *mds->loops);
	if (!mds->loops)
		return -ENOMEM;
	for (; mds->nloops < n; mds->nloops++) {
		char name[16];
		snprintf(name, sizeof name, "loop-%u", mds->nloops);
		mds->loops[mds->nloops] = loop_new(name);
		if (!mds->loops[mds->nloops])
			return -ENOMEM;
		int err = loop_start(mds->loops[mds->nloops]);
		if (err) {
			mds->nloops++;
			return err;
		}
	}
	unsigned workers = mds->conf.workers ? mds->conf.workers : 2 * n + 6;
	return workers_new(&mds->workers, workers, "worker");
}

/* A failure at start in words, unless there are some already. */
static int
server_fail(char **error, int err, const char *what)
{
	if (err && !*error && asprintf(error, "%s: %s", what, strerror(-err)) < 0)
		*error = NULL;
	return err;
}

static int
server_make_state(struct mds *mds, char **error)
{
	int err;
	if (mkdir(mds->conf.state_dir, 0700) < 0 && errno != EEXIST)
		return server_fail(error, -errno, mds->conf.state_dir);
	/* It raises the limit of open files, for what the keeper has. */
	if ((err = fs_new(mds, &mds->fs)))
		return server_fail(error, err, "handles");
	/* Two servers with one state_dir do not get any further. */
	if (!mds->conf.keeper)
		log_warn("keeper=no: if this server is killed nothing keeps local programs from blocks that clients write");
	else if ((err = keeper_open(mds->conf.state_dir, &mds->keeper, error)))
		return server_fail(error, err, mds->conf.state_dir);
	if ((err = clients_new(mds)) || (err = sessions_new(mds)) || (err = stateids_new(mds)) || (err = delegs_new(mds)) ||
	    (err = lock_waits_new(mds)) || (err = offloads_new(mds)))
		return server_fail(error, err, "state");
	if ((err = grace_start(mds)))
		return server_fail(error, err, mds->conf.state_dir);
	server_make_identity(mds);
	if ((err = layouts_new(mds)))
		return server_fail(error, err, "layouts");
	return 0;
}

#ifdef HAVE_GSS
static uint32_t
server_flavors(const struct mds *mds)
{
	uint32_t sec = 0;
	for (const struct export_line *l = mds->exports->lines; l; l = l->next)
		for (const struct export_client *c = l->clients; c; c = c->next)
			sec |= c->sec;
	return sec;
}
#endif

/* An export that asks for Kerberos without a key of ours is nobody's: said, not fatal, since a keytab may come later. */
static void
server_check_key(struct mds *mds)
{
#ifdef HAVE_GSS
	CLEANUP_FREE char *why = NULL;
	if (server_flavors(mds) & ~EXPORT_SEC_SYS && gss_server_check(mds, &why))
		log_warn("sec=krb5: no key of this server: %s", why ? why : "no memory");
#else
	(void)mds;
#endif
}

int
server_start(const char *conf_file, struct mds **mds_ret, uint16_t *port, char **error)
{
	struct server *s = calloc(1, sizeof *s);
	*error = NULL;
	if (!s)
		return -ENOMEM;
	struct mds *mds = &s->mds;
	pthread_mutex_init(&mds->state_lock, NULL);
	server_make_boot(mds);
	int err = conf_read(&mds->conf, conf_file, error);
	if (!err)
		err = server_fail(error, server_make_loops(mds), "threads");
	if (!err)
		err = server_make_state(mds, error);
#ifdef HAVE_GSS
	if (!err)
		err = server_fail(error, gss_server_new(mds), "gss");
#endif
	if (!err)
		err = exporting_start(mds, error);
	if (!err)
		err = server_fail(error, former_leases_take(mds), "leases of before");
	if (!err)
		err = server_fail(error, listener_new(mds, mds->conf.listen_host, mds->conf.listen_port, port),
		    mds->conf.listen_host);
	if (err) {
		server_stop(mds);
		return err;
	}
	/* Not being able to look is no reason not to serve. */
	if ((err = ctl_start(mds)))
		log_warn("%s: %s: pnfsctl will not work", mds->conf.ctl, strerror(-err));
	exporting_print(mds);
	server_check_key(mds);
	ev_timer_init(&s->tick, server_tick, 1.0, 1.0);
	s->tick.data = mds;
	loop_call(mds->loops[0], server_tick_start, s);
	listener_start(mds);
	*mds_ret = mds;
	return 0;
}

int
server_check(const char *conf_file, char **error)
{
	struct mds_conf conf = { 0 };
	struct exports *exports = NULL;
	*error = NULL;
	int err = conf_read(&conf, conf_file, error);
	if (!err)
		err = exports_read(&exports, conf.exports_file, error);
	exports_free(exports);
	conf_free(&conf);
	return err;
}

void
server_reload(struct mds *mds)
{
	char *error = NULL;
	int err = exporting_reload(mds, &error);
	if (err)
		log_error("exports not changed: %s", error ? error : strerror(-err));
	else
		log_info("exports read again");
	server_check_key(mds);
	free(error);
}

static void
nothing(void *arg)
{
	(void)arg;
}

/* Let the loops do what was posted to them. */
static void
server_drain_loops(struct mds *mds)
{
	for (unsigned turn = 0; turn < 2; turn++)
		for (unsigned i = 0; i < mds->nloops; i++)
			loop_call(mds->loops[i], nothing, NULL);
}

void
server_drain(struct mds *mds)
{
	layouts_drain(mds);
	if (former_leases_any(mds))
		log_info("the end: leases of before the restart are out, and wait for the end of grace");
}

bool
server_drained(struct mds *mds)
{
	return layouts_drained(mds) && !former_leases_any(mds);
}

void
server_stop(struct mds *mds)
{
	struct server *s = (struct server *)mds;
	ctl_stop(mds);
	if (s->ticking)
		loop_call(mds->loops[0], server_tick_stop, s);
	/* What ticks have set going wants layouts and workers. */
	exporting_settle(mds);
	devices_settle(mds);
	if (mds->listener)
		listener_stop(mds);
	offloads_stop(mds);
	if (mds->workers)
		server_drain_loops(mds);
	if (mds->layouts && mds->clients) {
		layouts_leave(mds);
		records_sweep(mds, true);
	}
	if (mds->clients)
		clients_free(mds);
	server_drain_loops(mds);
	layouts_free(mds);
	exporting_stop(mds);
	/* Whatever the above handed over is done before the threads end. */
	workers_stop(mds->workers);
	mds->workers = NULL;
	server_drain_loops(mds);
	former_leases_free(mds);
	lock_waits_free(mds);
	offloads_free(mds);
	delegs_free(mds);
	stateids_free(mds);
	sessions_free(mds);
	if (mds->fs)
		fs_free(mds->fs);
	devices_free(mds);		/* the last inodes kept exports, and they their devices */
	grace_stop(mds);
	for (unsigned i = 0; i < mds->nloops; i++)
		loop_stop(mds->loops[i]);
	free(mds->loops);
#ifdef HAVE_GSS
	gss_server_free(mds);
#endif
	listener_free(mds);
	keeper_close(mds->keeper);
	conf_free(&mds->conf);
	compound_pool_drain();
	pthread_mutex_destroy(&mds->state_lock);
	free(s);
}
