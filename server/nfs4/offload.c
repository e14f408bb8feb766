/* Copies that go on after the reply; see offload.h. */
#include "server/nfs4/offload.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "include/queue.h"
#include "proto/nfs4/status.h"
#include "server/cb/ref.h"
#include "server/layout/layout.h"
#include "server/mds.h"
#include "server/net/worker.h"
#include "server/nfs4/way.h"
#include "server/state/client.h"
#include "server/state/stateid.h"

#define CB_TIMEOUT_MS 10000u

enum offload_state {
	OFFLOAD_RUNS,		/* a worker has it, or will */
	OFFLOAD_WAITS,		/* for whom it was told DELAY or GRACE: the next tick */
	OFFLOAD_COMPLETE,	/* the client is to be told */
	OFFLOAD_TOLD,		/* CB_OFFLOAD is under way */
};

/* Guarded by state_lock; who RUNS it or has TOLD may keep it beyond its state, and frees it then. */
struct offload {
	struct state_obj obj;
	struct work work;
	struct offloads *all;
	enum offload_state state;
	bool cancelled;			/* no further step */
	bool gone;			/* the state was released */
	nfsstat4 status;		/* of what is complete */
	uint64_t done;
	struct client *client;		/* these three referenced */
	struct inode *src, *dst;
	uint64_t src_offset, dst_offset, len;
	verifier4 verf;
	struct cb_refs refs;
	TAILQ_ENTRY(offload) of_all;
};

struct offloads {
	struct mds *mds;
	TAILQ_HEAD(, offload) list;
	unsigned n, running;
	bool stop;
	pthread_cond_t idle;		/* running is 0 */
};

static void offload_release(struct mds *mds, struct state_obj *obj);
static const struct state_class copy_class = { .kind = STATE_COPY, .release = offload_release };

int
offloads_new(struct mds *mds)
{
	struct offloads *os = calloc(1, sizeof *os);

	if (!os)
		return -ENOMEM;
	os->mds = mds;
	TAILQ_INIT(&os->list);
	pthread_cond_init(&os->idle, NULL);
	mds->offloads = os;
	return 0;
}

void
offloads_stop(struct mds *mds)
{
	struct offloads *os = mds->offloads;

	if (!os)
		return;
	LOCK_SCOPE(&mds->state_lock);
	os->stop = true;
	while (os->running)
		pthread_cond_wait(&os->idle, &mds->state_lock);
}

void
offloads_free(struct mds *mds)
{
	struct offloads *os = mds->offloads;

	if (!os)
		return;
	pthread_cond_destroy(&os->idle);
	free(os);
	mds->offloads = NULL;
}

/* ---- its life ---- */

static void
offload_free_locked(struct offload *o)
{
	struct mds *mds = o->all->mds;

	TAILQ_REMOVE(&o->all->list, o, of_all);
	o->all->n--;
	state_put_inode_locked(mds, o->src);
	state_put_inode_locked(mds, o->dst);
	client_put(mds, o->client);
	free(o);
}

static void
offload_release(struct mds *mds, struct state_obj *obj)
{
	struct offload *o = (struct offload *)obj;

	state_remove_locked(mds, obj, NULL);
	o->gone = true;
	if (o->state != OFFLOAD_RUNS && o->state != OFFLOAD_TOLD)
		offload_free_locked(o);
}

static void
offload_submit_locked(struct offload *o)
{
	o->state = OFFLOAD_RUNS;
	o->all->running++;
	workers_submit(o->all->mds->workers, &o->work);
}

static bool
offload_room_locked(struct mds *mds, const struct client *client)
{
	const struct offloads *os = mds->offloads;
	const struct offload *o;
	unsigned n = 0;

	if (os->stop || os->n >= OFFLOADS || !cb_path_locked(client) || state_room_locked(mds, client) != NFS4_OK)
		return false;
	TAILQ_FOREACH(o, &os->list, of_all)
		n += o->client == client;
	return n < OFFLOADS_OF_CLIENT;
}

/* ---- CB_OFFLOAD ---- */

/* Any answer but DELAY is one (RFC 7862 4.8). */
static void
told(struct mds *mds, void *arg, int status)
{
	struct offload *o = arg;

	LOCK_SCOPE(&mds->state_lock);
	o->state = OFFLOAD_COMPLETE;
	if (o->gone) {
		offload_free_locked(o);
	} else if (status >= 0 && status != NFS4ERR_DELAY) {
		if (status != NFS4_OK)
			log_info("client %016llx: answers CB_OFFLOAD with %s", (unsigned long long)o->client->id, nfs4_status_name((nfsstat4)status));
		offload_release(mds, &o->obj);
	}
}

struct telling {
	nfs_cb_argop4 arg;
	struct cb_refs refs;
	uint8_t handle[FS_HANDLE_MAX];
};

/* RFC 7862 16.1.  Without the callback id, which is in the reply to COPY only. */
static void
telling_fill(struct telling *t, struct offload *o)
{
	CB_OFFLOAD4args *args = &t->arg.nfs_cb_argop4_u.opcboffload;
	offload_info4 *info = &args->coa_offload_info;

	memset(&t->arg, 0, sizeof t->arg);
	t->arg.argop = OP_CB_OFFLOAD;
	memcpy(t->handle, o->dst->handle, o->dst->handle_len);
	args->coa_fh = (nfs_fh4){ o->dst->handle_len, (char *)t->handle };
	state_sid(&o->obj, &args->coa_stateid);
	info->coa_status = o->status;
	if (o->status == NFS4_OK) {
		write_response4 *ok = &info->offload_info4_u.coa_resok4;
		ok->wr_count = o->done;
		ok->wr_committed = UNSTABLE4;
		memcpy(ok->wr_writeverf, o->verf, sizeof o->verf);
	} else {
		info->offload_info4_u.coa_bytes_copied = o->done;
	}
	cb_refs_prune_locked(o->all->mds, &o->refs);
	t->refs = o->refs;
}

/* O is TOLD: nobody frees it meanwhile. */
static void
tell(struct offload *o)
{
	struct mds *mds = o->all->mds;
	struct telling t;

	pthread_mutex_lock(&mds->state_lock);
	telling_fill(&t, o);
	pthread_mutex_unlock(&mds->state_lock);
	cb_send(mds, o->client, &t.arg, t.refs.ref, t.refs.n, CB_TIMEOUT_MS, told, o);
}

/* ---- copying ---- */

/* So many bytes more, or the status that ends it; NFS4_OK with none: there is no more. */
static nfsstat4
offload_step(struct offload *o, uint64_t *n)
{
	/* Nobody's compound: what way.h wants to know of one. */
	struct compound c = { .mds = o->all->mds, .client = o->client };
	struct way from = { o->src, LAYOUT_NEED_READ, o->src_offset + o->done, o->len - o->done };
	struct way to = { o->dst, LAYOUT_NEED_BLOCKS, o->dst_offset + o->done, o->len - o->done };
	nfsstat4 status = way_take_both(&c, &from, &to);

	*n = 0;
	if (status != NFS4_OK)
		return status;
	struct fs_copy copy = { .src = o->src, .dst = o->dst, .src_offset = from.offset, .dst_offset = to.offset, .len = from.length,
		.src_coherent = layout_any(o->src), .dst_coherent = layout_any(o->dst) };
	int64_t copied = fs_copy(&copy);
	way_drop_both(&from, &to);
	if (copied < 0)
		return nfs4_status((int)copied);
	*n = (uint64_t)copied;
	return NFS4_OK;
}

static bool
offload_begin(struct offload *o)
{
	LOCK_SCOPE(&o->all->mds->state_lock);
	return !o->gone && !o->cancelled && !o->all->stop;
}

/* A step, or none, is over.  True: the client is to be told. */
static bool
offload_end(struct offload *o, bool stepped, nfsstat4 status, uint64_t n)
{
	struct offloads *os = o->all;

	LOCK_SCOPE(&os->mds->state_lock);
	if (--os->running == 0)
		pthread_cond_broadcast(&os->idle);
	o->done += n;
	o->state = OFFLOAD_WAITS;
	if (o->gone) {
		offload_free_locked(o);
		return false;
	}
	if (!stepped || o->cancelled || os->stop || status == NFS4ERR_DELAY || status == NFS4ERR_GRACE)
		return false;
	if (status == NFS4_OK && n && o->done < o->len) {
		offload_submit_locked(o);
		return false;
	}
	o->status = status;
	o->state = OFFLOAD_TOLD;
	return true;
}

/* Worker. */
static void
offload_run(struct work *work)
{
	struct offload *o = (struct offload *)((char *)work - offsetof(struct offload, work));
	bool steps = offload_begin(o);
	uint64_t n = 0;
	nfsstat4 status = steps ? offload_step(o, &n) : NFS4_OK;

	if (offload_end(o, steps, status, n))
		tell(o);
}

bool
offload_start(struct mds *mds, struct client *client, const struct offload_ask *ask, stateid4 *sid)
{
	struct offload *o = calloc(1, sizeof *o);

	if (!o)
		return false;
	LOCK_SCOPE(&mds->state_lock);
	if (!offload_room_locked(mds, client)) {
		free(o);
		return false;
	}
	o->all = mds->offloads;
	o->work.fn = offload_run;
	o->client = client_get(client);
	o->src = inode_get(ask->src);
	o->dst = inode_get(ask->dst);
	o->src_offset = ask->src_offset;
	o->dst_offset = ask->dst_offset;
	o->len = ask->len;
	memcpy(o->verf, ask->verf, sizeof o->verf);
	state_add_locked(mds, &o->obj, &copy_class, client, ask->dst);
	state_sid(&o->obj, sid);
	cb_refs_note_locked(mds, &o->refs, &ask->ref);
	TAILQ_INSERT_TAIL(&o->all->list, o, of_all);
	o->all->n++;
	offload_submit_locked(o);
	return true;
}

/* ---- what the client asks ---- */

static nfsstat4
offload_find_locked(struct mds *mds, struct client *client, const stateid4 *sid, const struct inode *dst, struct offload **o)
{
	struct state_obj *obj;

	if (!sid->seqid)
		return NFS4ERR_BAD_STATEID;
	nfsstat4 status = state_find_locked(mds, client, sid, STATE_COPY, dst, &obj);
	if (status == NFS4_OK)
		*o = (struct offload *)obj;
	return status;
}

nfsstat4
offload_progress(struct mds *mds, struct client *client, const stateid4 *sid, const struct inode *dst, struct offload_progress *is)
{
	struct offload *o;

	LOCK_SCOPE(&mds->state_lock);
	nfsstat4 status = offload_find_locked(mds, client, sid, dst, &o);
	if (status != NFS4_OK)
		return status;
	is->done = o->done;
	is->complete = o->state == OFFLOAD_COMPLETE || o->state == OFFLOAD_TOLD;
	is->status = o->status;
	return NFS4_OK;
}

nfsstat4
offload_cancel(struct mds *mds, struct client *client, const stateid4 *sid, const struct inode *dst)
{
	struct offload *o;

	LOCK_SCOPE(&mds->state_lock);
	nfsstat4 status = offload_find_locked(mds, client, sid, dst, &o);
	if (status != NFS4_OK)
		return status;
	o->cancelled = true;
	if (o->state == OFFLOAD_RUNS)
		return NFS4ERR_DELAY;
	offload_release(mds, &o->obj);
	return NFS4_OK;
}

void
offloads_tick(struct mds *mds)
{
	struct offloads *os = mds->offloads;
	struct offload *o, *to_tell[16];
	unsigned n = 0;

	pthread_mutex_lock(&mds->state_lock);
	TAILQ_FOREACH(o, &os->list, of_all) {
		if (os->stop)
			break;
		if (o->state == OFFLOAD_WAITS && !o->cancelled)
			offload_submit_locked(o);
		if (o->state == OFFLOAD_COMPLETE && n < sizeof to_tell / sizeof to_tell[0] && cb_path_locked(o->client)) {
			o->state = OFFLOAD_TOLD;
			to_tell[n++] = o;
		}
	}
	pthread_mutex_unlock(&mds->state_lock);
	for (unsigned i = 0; i < n; i++)
		tell(to_tell[i]);
}
