/*
 * CB_GETATTR (RFC 8881 10.4.3, 20.1; RFC 9754 5): who holds a write delegation may have changed the file without telling, so that it is asked when somebody else
 * wants to know size or times.  nfs4/op_attr.c.
 *
 * The first to ask is answered NFS4ERR_DELAY, and the callback goes out; who asks again finds the answer.  It is good for a moment: all who wait see the same.  A client
 * that cannot be asked has its delegation recalled, which the RFC allows in any case.
 */
#include "server/state/deleg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proto/nfs4/attrs.h"
#include "server/mds.h"
#include "server/state/client.h"

/* The Linux client asks again after 100 ms, then 200 ms, 400 ms...; up to 15 s. */
#define FRESH_MS 1000u
#define TIMEOUT_MS 5000u
#define MAX_FAILURES 3u

struct attr_call {
	struct deleg *deleg;		/* NULL: gone meanwhile */
	struct client *client;		/* referenced */
	/* what came; ours alone until it is done */
	bool heard;
	struct nfs_attrs attrs;
};

static void
attr_take(void *arg, const nfs_cb_resop4 *res)
{
	struct attr_call *call = arg;
	const CB_GETATTR4res *r = &res->nfs_cb_resop4_u.opcbgetattr;

	call->heard = r->status == NFS4_OK && attrs_decode(&r->CB_GETATTR4res_u.resok4.obj_attributes, &call->attrs) == NFS4_OK &&
	    attr_has(&call->attrs.mask, FATTR4_CHANGE) && attr_has(&call->attrs.mask, FATTR4_SIZE) && call->attrs.size <= INT64_MAX;
}

static bool
time_ok(const struct nfs_attrs *a, unsigned bit, const nfstime4 *t)
{
	return attr_has(&a->mask, bit) && t->nseconds < 1000000000;
}

static void
attr_heard(struct deleg *deleg, const struct nfs_attrs *a)
{
	struct deleg_attr *attr = &deleg->attr;

	attr->failures = 0;
	attr->heard_ms = mds_now_ms();
	/* Once it has, it always has (10.4.3, "modified"): it may say the same value of change from then on. */
	attr->modified |= a->change != attr->change;
	attr->size = a->size;
	attr->told = false;
	attr->has_times = deleg->times && time_ok(a, FATTR4_TIME_DELEG_ACCESS, &a->time_deleg_access) &&
	    time_ok(a, FATTR4_TIME_DELEG_MODIFY, &a->time_deleg_modify);
	if (attr->has_times) {
		attr->atime = (struct timespec){ a->time_deleg_access.seconds, a->time_deleg_access.nseconds };
		attr->mtime = (struct timespec){ a->time_deleg_modify.seconds, a->time_deleg_modify.nseconds };
	}
}

static void
attr_done(struct mds *mds, void *arg, int status)
{
	struct attr_call *call = arg;

	pthread_mutex_lock(&mds->state_lock);
	struct deleg *deleg = call->deleg;
	if (deleg) {
		deleg->attr.call = NULL;
		if (call->heard)
			attr_heard(deleg, &call->attrs);
		else if (status != NFS4ERR_DELAY && ++deleg->attr.failures >= MAX_FAILURES)
			deleg_recall_locked(mds, deleg);
	}
	pthread_mutex_unlock(&mds->state_lock);
	client_put(mds, call->client);
	free(call);
	delegs_pump(mds);
}

void
deleg_attr_end_locked(struct deleg *deleg)
{
	if (deleg->attr.call)
		deleg->attr.call->deleg = NULL;
	deleg->attr.call = NULL;
}

struct attr_message {
	nfs_cb_argop4 arg;
	uint8_t handle[FS_HANDLE_MAX];
	struct attr_mask mask;
};

/* Ready to go, or NULL. */
static struct attr_call *
attr_prepare(struct deleg *deleg, struct attr_message *msg)
{
	const struct inode *inode = deleg->obj.inode;
	CB_GETATTR4args *args = &msg->arg.nfs_cb_argop4_u.opcbgetattr;
	struct attr_call *call = calloc(1, sizeof *call);

	if (!call)
		return NULL;
	memset(msg, 0, sizeof *msg);
	msg->arg.argop = OP_CB_GETATTR;
	memcpy(msg->handle, inode->handle, inode->handle_len);
	args->fh.nfs_fh4_len = inode->handle_len;
	args->fh.nfs_fh4_val = (char *)msg->handle;
	attr_set(&msg->mask, FATTR4_CHANGE);
	attr_set(&msg->mask, FATTR4_SIZE);
	if (deleg->times) {
		attr_set(&msg->mask, FATTR4_TIME_DELEG_ACCESS);
		attr_set(&msg->mask, FATTR4_TIME_DELEG_MODIFY);
	}
	attr_mask_to(&args->attr_request, &msg->mask);
	call->deleg = deleg;
	call->client = client_get(deleg->obj.client);
	deleg->attr.call = call;
	return call;
}

/* Another's delegation for writing; NULL. */
static struct deleg *
writer_locked(const struct inode *inode, const struct client *client)
{
	const struct deleg_file *file = deleg_file_find(inode);
	struct deleg *deleg;

	if (file)
		TAILQ_FOREACH(deleg, &file->list, of_file)
			if (deleg->write && deleg->obj.client != client)
				return deleg;
	return NULL;
}

static void
attr_seen(const struct deleg_attr *attr, struct deleg_seen *seen)
{
	*seen = (struct deleg_seen){ .valid = true, .modified = attr->modified, .told = attr->told, .size = attr->size,
		.has_times = attr->has_times, .atime = attr->atime, .mtime = attr->mtime };
}

nfsstat4
deleg_getattr(struct mds *mds, struct inode *inode, const struct client *client, struct deleg_seen *seen)
{
	struct attr_message msg;
	struct attr_call *call = NULL;

	*seen = (struct deleg_seen){ 0 };
	if (!mds->delegs || !deleg_any(inode))
		return NFS4_OK;
	pthread_mutex_lock(&mds->state_lock);
	struct deleg *deleg = writer_locked(inode, client);
	if (!deleg) {
		pthread_mutex_unlock(&mds->state_lock);
		return NFS4_OK;
	}
	if (deleg->attr.heard_ms && mds_now_ms() - deleg->attr.heard_ms < FRESH_MS) {
		attr_seen(&deleg->attr, seen);
		pthread_mutex_unlock(&mds->state_lock);
		return NFS4_OK;
	}
	if (!cb_path_locked(deleg->obj.client))
		deleg_recall_locked(mds, deleg);
	else if (!deleg->attr.call)
		call = attr_prepare(deleg, &msg);
	struct client *holder = call ? client_get(call->client) : NULL;
	pthread_mutex_unlock(&mds->state_lock);
	if (call) {
		cb_ask(mds, holder, &msg.arg, TIMEOUT_MS, attr_take, attr_done, call);
		client_put(mds, holder);
	}
	delegs_pump(mds);
	return NFS4ERR_DELAY;
}

void
deleg_getattr_told(struct mds *mds, struct inode *inode, const struct client *client)
{
	pthread_mutex_lock(&mds->state_lock);
	struct deleg *deleg = writer_locked(inode, client);
	if (deleg) {
		deleg->attr.told = true;
		deleg->attr.modified = true;
	}
	pthread_mutex_unlock(&mds->state_lock);
}
