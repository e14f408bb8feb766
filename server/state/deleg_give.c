/*
 * Giving a delegation (RFC 8881 10.4, 18.16.3, 18.49), or the reason why there is none.  OPEN and WANT_DELEGATION call it, when what they are about is entered.
 *
 * The server gives one unasked, too, where nothing speaks against it: not while others have the file open against it or layouts there, not while a local program has it
 * open, not for some time after one had to be recalled.  OPEN never waits for it: what cannot be had at once is not given.
 */
#include "server/state/deleg.h"

#include <errno.h>
#include <stdlib.h>

#include "include/cleanup.h"
#include "server/export/deleg_lease.h"
#include "server/export/export.h"
#include "server/layout/layout.h"
#include "server/mds.h"
#include "server/state/client.h"
#include "server/state/file.h"
#include "server/state/open.h"

/* Given; else a why_no_delegation4. */
#define GIVEN (-1)

struct give {
	struct mds *mds;
	const struct deleg_ask *ask;
	bool write;
	struct deleg_file *file;	/* busy */
	struct deleg *fresh, *given;
	uint64_t change;
};

static int
check_want(struct give *g)
{
	const struct deleg_ask *ask = g->ask;
	uint32_t want = ask->want & OPEN4_SHARE_ACCESS_WANT_DELEG_MASK;

	if (ask->reclaim != OPEN_DELEGATE_NONE) {
		g->write = ask->reclaim == OPEN_DELEGATE_WRITE || ask->reclaim == OPEN_DELEGATE_WRITE_ATTRS_DELEG;
		return GIVEN;
	}
	/* 18.49.3: WANT_DELEGATION ignores it */
	if (want == OPEN4_SHARE_ACCESS_WANT_NO_DELEG && ask->access)
		return WND4_NOT_WANTED;
	if (want == OPEN4_SHARE_ACCESS_WANT_CANCEL)
		return WND4_CANCELLED;
	g->write = want == OPEN4_SHARE_ACCESS_WANT_WRITE_DELEG ||
	    (want != OPEN4_SHARE_ACCESS_WANT_READ_DELEG && ask->access & OPEN4_SHARE_ACCESS_WRITE);
	if (!g->mds->delegs || !deleg_export_gives(ask->inode->export) || ask->inode->type != S_IFREG)
		return WND4_NOT_SUPP_FTYPE;
	return g->write && ask->readonly ? WND4_WRITE_DELEG_NOT_SUPP_FTYPE : GIVEN;
}

/* Has somebody else the file open against it, or a delegation, or a layout by which he may write what the client would not see? */
static bool
contended_locked(const struct give *g)
{
	const struct inode *inode = g->ask->inode;
	const struct client *client = g->ask->client;
	const struct open_state *open;

	if (inode->state)
		TAILQ_FOREACH(open, &inode->state->opens, of_file)
			if (open->obj.client != client && (g->write || open->access & OPEN4_SHARE_ACCESS_WRITE ||
			    open->deny & OPEN4_SHARE_DENY_READ))
				return true;
	return !deleg_clear_locked(inode, client, g->write ? DELEG_NEED_WRITE : DELEG_NEED_READ) ||
	    !layout_clear_locked(inode, client, g->write ? LAYOUT_NEED_RW : LAYOUT_NEED_READ, 0, UINT64_MAX);
}

static struct deleg *
own_locked(const struct give *g)
{
	const struct deleg_file *file = deleg_file_find(g->ask->inode);
	struct deleg *deleg;

	if (file)
		TAILQ_FOREACH(deleg, &file->list, of_file)
			if (deleg->obj.client == g->ask->client)
				return deleg;
	return NULL;
}

/* With one that it has: only the step from reading to writing is made. */
static int
check_own(const struct give *g, const struct deleg *own)
{
	if (own->recall.state != DELEG_KEPT)
		return WND4_CONTENTION;
	if (own->write && !g->write)
		return WND4_NOT_SUPP_DOWNGRADE;
	return own->write == g->write ? WND4_RESOURCE : GIVEN;
}

static int
check_locked(const struct give *g)
{
	const struct deleg_ask *ask = g->ask;
	const struct client *client = ask->client;
	const struct delegs *delegs = g->mds->delegs;
	const struct deleg *own = own_locked(g);
	uint64_t now = mds_now_ms();
	bool reclaim = ask->reclaim != OPEN_DELEGATE_NONE;

	if (contended_locked(g))
		return WND4_CONTENTION;
	if (own)
		return check_own(g, own);
	if (client->nrevoked || client->expired || state_room_locked(g->mds, client) != NFS4_OK)
		return WND4_RESOURCE;
	/* 18.16.3, CLAIM_PREVIOUS: given in any case, and recalled at once if need be. */
	if (reclaim)
		return GIVEN;
	if (ask->inode->deleg_rest.until_ms > now && ask->inode->deleg_rest.but != client->id)
		return WND4_CONTENTION;
	if (!cb_path_locked(client) || client->ndelegs >= delegs->limits.of_client || delegs->n >= delegs->limits.all)
		return WND4_RESOURCE;
	return GIVEN;
}

/* ---- with io_lock ---- */

/* -EAGAIN and other errors: none to be had. */
static int
take_lease(struct give *g)
{
	struct layout_lease *lease;
	struct fs_stat st;

	int err = fs_getattr(g->ask->inode, &st);
	if (err)
		return err;
	g->change = st.change;
	if (g->file->lease)
		return 0;
	err = deleg_lease_take(g->ask->inode, g->ask->at_once, &lease);
	if (err)
		return err;
	pthread_mutex_lock(&g->mds->state_lock);
	g->file->lease = lease;
	pthread_mutex_unlock(&g->mds->state_lock);
	return 0;
}

static void
enter_locked(struct give *g)
{
	const struct deleg_ask *ask = g->ask;
	struct deleg *deleg = own_locked(g);

	if (deleg) {		/* upgraded: the same stateid, one on */
		state_bump_locked(&deleg->obj, NULL);
	} else {
		deleg = g->fresh;
		g->fresh = NULL;
		state_add_locked(g->mds, &deleg->obj, &deleg_class, ask->client, ask->inode);
		deleg->file = g->file;
		TAILQ_INSERT_TAIL(&g->file->list, deleg, of_file);
		atomic_fetch_add(&ask->inode->delegs, 1);
		ask->client->ndelegs++;
		g->mds->delegs->n++;
		g->mds->delegs->ngiven++;
	}
	deleg->write = g->write;
	deleg->times = ask->want & OPEN4_SHARE_ACCESS_WANT_DELEG_TIMESTAMPS ||
	    ask->reclaim == OPEN_DELEGATE_READ_ATTRS_DELEG || ask->reclaim == OPEN_DELEGATE_WRITE_ATTRS_DELEG;
	deleg->access = ask->access;
	deleg->uid = ask->uid;
	deleg->attr.change = g->change;
	cb_refs_note_locked(g->mds, &deleg->given, &ask->ref);
	g->given = deleg;
}

static void
fill(const struct deleg *deleg, open_delegation4 *d, stateid4 *sid)
{
	bool recall = deleg->recall.state != DELEG_KEPT;

	state_sid(&deleg->obj, sid);
	/* permissions: nobody is spared ACCESS. */
	if (deleg->write) {
		open_write_delegation4 *w = &d->open_delegation4_u.write;
		d->delegation_type = deleg->times ? OPEN_DELEGATE_WRITE_ATTRS_DELEG : OPEN_DELEGATE_WRITE;
		w->stateid = *sid;
		w->recall = recall;
		/* No space is promised: what is written is flushed at close, where ENOSPC can be told (10.4.1). */
		w->space_limit.limitby = NFS_LIMIT_SIZE;
		w->space_limit.nfs_space_limit4_u.filesize = 0;
	} else {
		open_read_delegation4 *r = &d->open_delegation4_u.read;
		d->delegation_type = deleg->times ? OPEN_DELEGATE_READ_ATTRS_DELEG : OPEN_DELEGATE_READ;
		r->stateid = *sid;
		r->recall = recall;
	}
}

/* io_lock is held: nobody reads or writes meanwhile, and nobody else gives or ends a lease here. */
static int
give_locked_io(struct give *g, open_delegation4 *d, stateid4 *sid)
{
	struct mds *mds = g->mds;
	bool reclaim = g->ask->reclaim != OPEN_DELEGATE_NONE, broken = false;

	pthread_mutex_lock(&mds->state_lock);
	int why = check_locked(g);
	if (why == GIVEN && !(g->file = deleg_file_get_locked(mds, g->ask->inode)))
		why = WND4_RESOURCE;
	if (why == GIVEN)
		g->file->busy++;
	pthread_mutex_unlock(&mds->state_lock);
	if (why != GIVEN)
		return why;
	int err = take_lease(g);
	pthread_mutex_lock(&mds->state_lock);
	if (err == -EAGAIN || (g->file->lease && g->file->lease->broken))
		broken = true;
	why = (err || broken) && !reclaim ? broken ? WND4_CONTENTION : WND4_RESOURCE : check_locked(g);
	if (why == GIVEN) {
		enter_locked(g);
		/* Without a lease, or a backchannel: wanted back at once. */
		if (err || broken || (reclaim && !cb_path_locked(g->ask->client)))
			deleg_recall_locked(mds, g->given);
		fill(g->given, d, sid);
	}
	g->file->busy--;
	deleg_file_put_locked(g->file);
	pthread_mutex_unlock(&mds->state_lock);
	return why;
}

/* ---- the answer, if it is none ---- */

/* Who did not use the flags of 4.1 is told nothing. */
static void
fill_none(const struct deleg_ask *ask, int why, open_delegation4 *d)
{
	d->delegation_type = ask->want & DELEG_WANT_TOLD || !ask->access ? OPEN_DELEGATE_NONE_EXT : OPEN_DELEGATE_NONE;
	d->open_delegation4_u.od_whynone.ond_why = (why_no_delegation4)why;	/* and no signal, no push: FALSE */
}

bool
deleg_wants_worker(struct mds *mds, const struct deleg_ask *ask)
{
	struct give g = { .mds = mds, .ask = ask };

	if (inode_data_fd_nowait(ask->inode) != -EAGAIN || check_want(&g) != GIVEN)
		return false;
	LOCK_SCOPE(&mds->state_lock);
	return check_locked(&g) == GIVEN;
}

bool
deleg_give(struct mds *mds, const struct deleg_ask *ask, open_delegation4 *d, stateid4 *sid)
{
	struct give g = { .mds = mds, .ask = ask };
	int why = check_want(&g);

	*d = (open_delegation4){ .delegation_type = OPEN_DELEGATE_NONE };
	if (why == GIVEN && !(g.fresh = calloc(1, sizeof *g.fresh)))
		why = WND4_RESOURCE;
	if (why == GIVEN && pthread_rwlock_trywrlock(&ask->inode->io_lock))
		why = WND4_RESOURCE;
	if (why == GIVEN) {
		why = give_locked_io(&g, d, sid);
		pthread_rwlock_unlock(&ask->inode->io_lock);
	}
	free(g.fresh);
	if (!g.given)
		fill_none(ask, why, d);
	else if (ask->reclaim != OPEN_DELEGATE_NONE)
		delegs_pump(mds);
	return g.given;
}
