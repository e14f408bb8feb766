/*
 * Taking delegations back (RFC 8881 10.4.4, 10.4.5, 20.2), and asking for some when there are too many (20.6).
 *
 *   WANTED -> SENT -> ANSWERED -> (DELEGRETURN)
 *                  -> PAUSED -> WANTED         DELAY, no answer, or it does not know the delegation: the OPEN's reply may be under way
 *                  -> returned                 it does not know it, and has had every reply: nothing is held there (20.2.4)
 *   WANTED -> NO_PATH -> WANTED                no backchannel (PITFALLS C14)
 *
 * Whatever the state, at the deadline it is revoked.  No thread waits: answers come in callbacks, time passes in delegs_tick().  As for layouts (layout/recall.c),
 * but what is recalled is a whole, said once, and nobody has to be cut off from a device.
 */
#include "server/state/deleg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "include/log.h"
#include "server/mds.h"
#include "server/state/client.h"

#define PAUSE_MIN_MS 100u
#define PAUSE_MAX_MS 2000u
/* An answer to a callback is waited for this long before it is sent again. */
#define CB_TIMEOUT_MS 10000u
/* CB_RECALL_ANY: not more often to one client, to this share of what it may have, and from that share on. */
#define ANY_EVERY_MS 10000u
#define ANY_KEEP(limit) ((limit) / 4 * 3)
#define ANY_FROM(limit) ((limit) - (limit) / 8)
#define ANY_CLIENTS 16u

struct deleg_call {
	struct deleg *deleg;		/* NULL: gone meanwhile */
	struct client *client;		/* referenced */
};

static void
recall_set(struct delegs *delegs, struct deleg *deleg, enum deleg_recall_state state)
{
	enum deleg_recall_state old = deleg->recall.state;

	if (old == DELEG_WANTED)
		TAILQ_REMOVE(&delegs->to_send, deleg, of_recalls);
	else if (old != DELEG_KEPT)
		TAILQ_REMOVE(&delegs->recalls, deleg, of_recalls);
	deleg->recall.state = state;
	if (state == DELEG_WANTED)
		TAILQ_INSERT_TAIL(&delegs->to_send, deleg, of_recalls);
	else if (state != DELEG_KEPT)
		TAILQ_INSERT_TAIL(&delegs->recalls, deleg, of_recalls);
}

void
deleg_recall_locked(struct mds *mds, struct deleg *deleg)
{
	if (deleg->recall.state != DELEG_KEPT)
		return;
	/* From the moment it is wanted, sent or not (10.4.5). */
	deleg->recall.deadline_ms = mds_now_ms() + mds->conf.recall_timeout * 1000ull;
	mds->delegs->nrecalled++;
	recall_set(mds->delegs, deleg, DELEG_WANTED);
}

void
deleg_recall_end_locked(struct deleg *deleg)
{
	if (deleg->recall.call)
		deleg->recall.call->deleg = NULL;
	deleg->recall.call = NULL;
	if (deleg->file)
		recall_set(deleg->file->delegs, deleg, DELEG_KEPT);
}

static void
recall_later(struct mds *mds, struct deleg *deleg)
{
	uint32_t ms = deleg->recall.pause_ms ? deleg->recall.pause_ms * 2 : PAUSE_MIN_MS;

	deleg->recall.pause_ms = ms > PAUSE_MAX_MS ? PAUSE_MAX_MS : ms;
	deleg->recall.resend_ms = mds_now_ms() + deleg->recall.pause_ms;
	recall_set(mds->delegs, deleg, DELEG_PAUSED);
}

/* ---- sending ---- */

struct message {
	nfs_cb_argop4 arg;
	uint8_t handle[FS_HANDLE_MAX];
	struct cb_refs refs;
	uint32_t timeout_ms;
};

static void recall_done(struct mds *mds, void *arg, int status);

/* NULL: nothing to send now. */
static struct deleg_call *
recall_prepare(struct mds *mds, struct deleg *deleg, struct message *msg)
{
	const struct inode *inode = deleg->obj.inode;
	CB_RECALL4args *args = &msg->arg.nfs_cb_argop4_u.opcbrecall;
	uint64_t now = mds_now_ms();

	if (!cb_path_locked(deleg->obj.client)) {
		recall_set(mds->delegs, deleg, DELEG_NO_PATH);
		return NULL;
	}
	struct deleg_call *call = malloc(sizeof *call);
	if (!call) {
		recall_later(mds, deleg);
		return NULL;
	}
	memset(msg, 0, sizeof *msg);
	msg->arg.argop = OP_CB_RECALL;
	state_sid(&deleg->obj, &args->stateid);
	args->truncate = FALSE;
	memcpy(msg->handle, inode->handle, inode->handle_len);
	args->fh.nfs_fh4_len = inode->handle_len;
	args->fh.nfs_fh4_val = (char *)msg->handle;
	cb_refs_prune_locked(mds, &deleg->given);
	msg->refs = deleg->given;
	uint64_t left = deleg->recall.deadline_ms > now ? deleg->recall.deadline_ms - now : 0;
	msg->timeout_ms = left < 1000 ? 1000 : left > CB_TIMEOUT_MS ? CB_TIMEOUT_MS : (uint32_t)left;
	*call = (struct deleg_call){ deleg, client_get(deleg->obj.client) };
	deleg->recall.call = call;
	recall_set(mds->delegs, deleg, DELEG_SENT);
	return call;
}

void
delegs_pump(struct mds *mds)
{
	struct delegs *delegs = mds->delegs;
	struct message msg;
	struct deleg *deleg;

	if (!delegs)
		return;
	pthread_mutex_lock(&mds->state_lock);
	while ((deleg = TAILQ_FIRST(&delegs->to_send))) {
		struct deleg_call *call = recall_prepare(mds, deleg, &msg);
		if (!call)
			continue;
		/* Once it is sent it may be answered and CALL freed. */
		struct client *client = client_get(call->client);
		pthread_mutex_unlock(&mds->state_lock);
		cb_send(mds, client, &msg.arg, msg.refs.ref, msg.refs.n, msg.timeout_ms, recall_done, call);
		client_put(mds, client);
		pthread_mutex_lock(&mds->state_lock);
	}
	pthread_mutex_unlock(&mds->state_lock);
}

/* ---- answers ---- */

/*
 * "Replying does not complete the recall except when ... neither NFS4ERR_DELAY nor NFS4_OK" (20.2.4): it has none.  But only if it had the reply that gave it; an idle
 * client's slot does not tell, so that one is asked once more and then believed.
 */
static void
recall_unknown(struct mds *mds, struct deleg *deleg)
{
	cb_refs_prune_locked(mds, &deleg->given);
	if (deleg->given.n && !deleg->recall.unknown) {
		deleg->recall.unknown = true;
		recall_later(mds, deleg);
		return;
	}
	deleg_return_locked(mds, deleg);
}

static void
recall_answer(struct mds *mds, struct deleg *deleg, int status)
{
	switch (status) {
	case NFS4_OK:
		recall_set(mds->delegs, deleg, DELEG_ANSWERED);
		return;
	case NFS4ERR_BADHANDLE:
	case NFS4ERR_BAD_STATEID:
		recall_unknown(mds, deleg);
		return;
	case -ENOTCONN:
		recall_set(mds->delegs, deleg, DELEG_NO_PATH);
		return;
	default:
		/* DELAY: ask again.  Anything else, and silence: the same, until the deadline. */
		if (status != NFS4ERR_DELAY && status != -ETIMEDOUT && status != -ECONNRESET)
			log_info("recall of a delegation of inode %llu: client answers %d",
			    (unsigned long long)deleg->obj.inode->ino, status);
		recall_later(mds, deleg);
		return;
	}
}

static void
recall_done(struct mds *mds, void *arg, int status)
{
	struct deleg_call *call = arg;

	pthread_mutex_lock(&mds->state_lock);
	struct deleg *deleg = call->deleg;
	if (deleg) {
		deleg->recall.call = NULL;
		recall_answer(mds, deleg, status);
	}
	pthread_mutex_unlock(&mds->state_lock);
	client_put(mds, call->client);
	free(call);
	delegs_pump(mds);
}

/* ---- too many ---- */

static void
any_done(struct mds *mds, void *arg, int status)
{
	(void)mds;
	(void)arg;
	(void)status;		/* a client that gives none back is not given more; that is all */
}

struct any_search {
	struct mds *mds;
	uint64_t now_ms;
	bool all;			/* there are too many altogether */
	struct client *found[ANY_CLIENTS];	/* referenced */
	uint32_t keep[ANY_CLIENTS];
	unsigned n;
};

static void
any_look(struct client *client, void *arg)
{
	struct any_search *s = arg;
	const struct deleg_limits *limits = &s->mds->delegs->limits;
	bool many = client->ndelegs > 0 && client->ndelegs >= ANY_FROM(limits->of_client);

	if ((!many && !(s->all && client->ndelegs > 1)) || s->n == ANY_CLIENTS || !cb_path_locked(client) ||
	    (client->recall_any_ms && s->now_ms - client->recall_any_ms < ANY_EVERY_MS))
		return;
	client->recall_any_ms = s->now_ms;
	s->keep[s->n] = many ? ANY_KEEP(limits->of_client) : ANY_KEEP(client->ndelegs);
	s->found[s->n++] = client_get(client);
}

static void
any_send(struct mds *mds, uint64_t now_ms)
{
	struct any_search s = { .mds = mds, .now_ms = now_ms };
	uint32_t types = 1u << RCA4_TYPE_MASK_RDATA_DLG | 1u << RCA4_TYPE_MASK_WDATA_DLG;

	pthread_mutex_lock(&mds->state_lock);
	s.all = mds->delegs->n >= ANY_FROM(mds->delegs->limits.all);
	if (mds->delegs->n)
		client_each_locked(mds, any_look, &s);
	pthread_mutex_unlock(&mds->state_lock);
	for (unsigned i = 0; i < s.n; i++) {
		nfs_cb_argop4 arg = { .argop = OP_CB_RECALL_ANY };
		CB_RECALL_ANY4args *any = &arg.nfs_cb_argop4_u.opcbrecall_any;
		any->craa_objects_to_keep = s.keep[i];
		any->craa_type_mask.bitmap4_len = 1;
		any->craa_type_mask.bitmap4_val = &types;
		cb_send(mds, s.found[i], &arg, NULL, 0, CB_TIMEOUT_MS, any_done, NULL);
		client_put(mds, s.found[i]);
	}
}

/* ---- time and other events ---- */

void
delegs_tick(struct mds *mds, uint64_t now_ms)
{
	struct deleg *deleg, *next;

	if (!mds->delegs)
		return;
	pthread_mutex_lock(&mds->state_lock);
	for (deleg = TAILQ_FIRST(&mds->delegs->recalls); deleg; deleg = next) {
		next = TAILQ_NEXT(deleg, of_recalls);
		if (now_ms >= deleg->recall.deadline_ms)
			deleg_revoke_locked(mds, deleg);
		else if ((deleg->recall.state == DELEG_PAUSED && now_ms >= deleg->recall.resend_ms) ||
		    (deleg->recall.state == DELEG_NO_PATH && cb_path_locked(deleg->obj.client)))
			recall_set(mds->delegs, deleg, DELEG_WANTED);
	}
	pthread_mutex_unlock(&mds->state_lock);
	delegs_pump(mds);
	any_send(mds, now_ms);
}

void
deleg_path_up(struct mds *mds, struct client *client)
{
	struct deleg *deleg, *next;

	if (!mds->delegs)
		return;
	pthread_mutex_lock(&mds->state_lock);
	for (deleg = TAILQ_FIRST(&mds->delegs->recalls); deleg; deleg = next) {
		next = TAILQ_NEXT(deleg, of_recalls);
		if (deleg->obj.client == client &&
		    (deleg->recall.state == DELEG_NO_PATH || deleg->recall.state == DELEG_PAUSED))
			recall_set(mds->delegs, deleg, DELEG_WANTED);
	}
	pthread_mutex_unlock(&mds->state_lock);
	delegs_pump(mds);
}
