/* See engine_fixture.h. */
#include "tests/unit/client/engine_fixture.h"

#include <check.h>
#include <errno.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

struct fake_mds fake;
struct mds mds;
atomic_int callbacks, reclaims, revocations, bad;
struct request requests[REQUESTS];

static struct loop *loop;
static sem_t started, ended, stopped;
static int start_status;
static struct mds_req complete_req;

/* ---- hooks ---- */

static void
hook_started(struct mds *m, int status)
{
	(void)m;
	start_status = status;
	sem_post(&started);
}

static void
complete_build(struct mds_req *req, struct compound_call *c)
{
	RECLAIM_COMPLETE4args args = { 0 };
	(void)req;
	compound_call_op(c, OP_RECLAIM_COMPLETE, &args);
}

static void
complete_done(struct mds_req *req, int status, struct reply *reply)
{
	(void)status;
	(void)reply;
	mds_reclaimed(req->mds);
}

static void
hook_reclaim(struct mds *m)
{
	atomic_fetch_add(&reclaims, 1);
	complete_req = (struct mds_req){ .build = complete_build, .done = complete_done, .flags = MDS_PRIVILEGED | MDS_CACHE };
	mds_submit(m, &complete_req);
}

static void
hook_revoked(struct mds *m, uint32_t flags)
{
	(void)m;
	atomic_fetch_add(&revocations, flags == SEQ4_STATUS_ADMIN_STATE_REVOKED);
}

static nfsstat4
hook_callback(struct mds *m, const nfs_cb_argop4 *arg, nfs_cb_resop4 *res)
{
	(void)m;
	(void)res;
	atomic_fetch_add(&callbacks, 1);
	return arg->argop == OP_CB_RECALL_SLOT ? NFS4_OK : NFS4ERR_NOTSUPP;
}

static void
hook_nothing(struct mds *m)
{
	(void)m;
}

static void
hook_timeout(struct mds *m, uint64_t deadline_ns)
{
	(void)m;
	(void)deadline_ns;
}

static const struct mds_hooks hooks = { .started = hook_started, .reclaim = hook_reclaim, .revoked = hook_revoked,
	.callback = hook_callback, .renewed = hook_nothing, .expired = hook_nothing, .timeout = hook_timeout };

/* ---- requests ---- */

static void
request_build(struct mds_req *req, struct compound_call *c)
{
	(void)req;
	compound_call_op(c, OP_PUTROOTFH, NULL);
}

static void
request_done(struct mds_req *req, int status, struct reply *reply)
{
	struct request *r = (struct request *)req;
	if (!status)
		status = reply_op(reply, OP_PUTROOTFH);
	r->ends++;
	r->status = status;
	r->revocations = revocations;
	if (status)
		atomic_fetch_add(&bad, 1);
	sem_post(&ended);
}

static void
request_start(struct loop_work *work)
{
	struct request *r = (struct request *)(void *)((char *)work - offsetof(struct request, work));
	mds_submit(&mds, &r->req);
}

static void
wait_for(sem_t *sem)
{
	struct timespec until;
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += 20;
	while (sem_timedwait(sem, &until))
		ck_assert_int_eq(errno, EINTR);
}

void
requests_begin(unsigned n, unsigned flags)
{
	memset(requests, 0, sizeof requests);
	for (unsigned i = 0; i < n; i++) {
		requests[i].req = (struct mds_req){ .build = request_build, .done = request_done, .flags = flags };
		requests[i].work.fn = request_start;
		loop_post(loop, &requests[i].work);
	}
}

void
requests_end(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		wait_for(&ended);
	for (unsigned i = 0; i < n; i++)
		ck_assert_int_eq(requests[i].ends, 1);
}

void
requests_run(unsigned n, unsigned flags)
{
	requests_begin(n, flags);
	requests_end(n);
}

/* ---- fixture ---- */

static void
start_now(void *arg)
{
	(void)arg;
	mds_start(&mds);
}

void
engine_fixture_start(unsigned timeout, bool minor1)
{
	fake_start(&fake);
	atomic_store(&fake.minor1, minor1);
	sem_init(&started, 0, 0);
	sem_init(&ended, 0, 0);
	sem_init(&stopped, 0, 0);
	loop = loop_new("test");
	mds_init(&mds, loop, &hooks, NULL);
	memcpy(&mds.addr, &fake.addr, sizeof fake.addr);
	mds.addrlen = sizeof fake.addr;
	mds.cred.flavor = AUTH_SYS;
	mds.timeout = timeout;
	lease_set_length(&mds.lease, 90);
	ck_assert_int_eq(loop_start(loop), 0);
	loop_call(loop, start_now, NULL);
	wait_for(&started);
	ck_assert_int_eq(start_status, 0);
}

void
engine_fixture_setup(void)
{
	engine_fixture_start(0, false);
}

static void
stop_done(struct mds *m)
{
	(void)m;
	sem_post(&stopped);
}

static void
stop_now(void *arg)
{
	(void)arg;
	mds_stop(&mds, stop_done);
}

void
engine_fixture_stop(void)
{
	loop_call(loop, stop_now, NULL);
	wait_for(&stopped);
	loop_stop(loop);
	mds_free(&mds);
	fake_stop(&fake);
}
