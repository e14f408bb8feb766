/* Delegations: who stands in whose way, recall, revocation, what is given and why not. */
#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/export/deleg_lease.h"
#include "server/export/export.h"
#include "server/layout/layout.h"
#include "server/state/open.h"
#include "tests/unit/server/state/fake_deleg.h"
#include "tests/unit/server/state/fake_state.h"

static struct mds mds;
static struct client client[3];
static struct inode *inode;
static open_delegation4 d;
static stateid4 sid;
static uint64_t change;

int
fs_getattr(struct inode *i, struct fs_stat *st)
{
	(void)i;
	*st = (struct fs_stat){ .change = change };
	return 0;
}

bool
layout_clear_locked(const struct inode *i, const struct client *c, enum layout_need need, uint64_t offset, uint64_t length)
{
	(void)i;
	(void)c;
	(void)need;
	(void)offset;
	(void)length;
	return !fd.layout_in_way;
}

static void
setup(void)
{
	fake_mds_init(&mds);
	fake_deleg_init(&mds);
	for (unsigned i = 0; i < 3; i++) {
		fake_client_init(&client[i], i + 1);
		atomic_init(&client[i].refs, 1);
		atomic_init(&client[i].nback, 1);
		fd.clients[i] = &client[i];
	}
	inode = fake_inode_new(S_IFREG);
	change = 77;
	pthread_mutex_unlock(&mds.state_lock);
}

static void
teardown(void)
{
	pthread_mutex_lock(&mds.state_lock);
	for (unsigned i = 0; i < 3; i++) {
		fake_client_release(&mds, &client[i]);
		ck_assert_uint_eq(client[i].ndelegs, 0);
		ck_assert_uint_eq(client[i].nrevoked, 0);
	}
	ck_assert(TAILQ_EMPTY(&mds.delegs->to_send));
	ck_assert(TAILQ_EMPTY(&mds.delegs->recalls));
	ck_assert_uint_eq(mds.delegs->n, 0);
	pthread_mutex_unlock(&mds.state_lock);
	while (fake_deleg_answer(&mds, OP_CB_GETATTR, -ECONNRESET) || fake_deleg_answer(&mds, OP_CB_RECALL, -ECONNRESET) ||
	    fake_deleg_answer(&mds, OP_CB_RECALL_ANY, -ECONNRESET))
		;
	fake_workers_run();
	pthread_mutex_lock(&mds.state_lock);
	ck_assert_ptr_null(fd.lease);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(atomic_load(&client[i].refs), 1);
	delegs_free(&mds);
	fake_mds_end(&mds);
	ck_assert(!deleg_any(inode));
	fake_inode_free(inode);
}

/* The stateid of an open of client C. */
static stateid4
do_open(unsigned c, uint32_t access, uint32_t deny)
{
	char owner = (char)('a' + c);
	struct open_ask ask = { .owner = &owner, .owner_len = 1, .access = access, .deny = deny };
	struct open_undo undo;
	stateid4 open;

	pthread_mutex_lock(&mds.state_lock);
	ck_assert_int_eq(open_add_locked(&mds, &client[c], inode, &ask, &undo, &open), NFS4_OK);
	pthread_mutex_unlock(&mds.state_lock);
	return open;
}

static void
do_close(unsigned c, stateid4 open)
{
	struct inode *iref;

	pthread_mutex_lock(&mds.state_lock);
	struct state_obj *obj = state_lookup_locked(&mds, &client[c], &open);
	open_close_locked(&mds, (struct open_state *)obj, &iref);
	pthread_mutex_unlock(&mds.state_lock);
	if (iref)
		inode_put(iref);
}

static struct deleg_ask
ask_of(unsigned c, uint32_t access, uint32_t want)
{
	return (struct deleg_ask){ .client = &client[c], .inode = inode, .access = access, .want = want, .uid = 1000,
		.ref = { .seqid = fd.slot.seqid } };
}

static bool
give(unsigned c, uint32_t access, uint32_t want)
{
	struct deleg_ask ask = ask_of(c, access, want);

	memset(&d, 0x5a, sizeof d);
	bool given = deleg_give(&mds, &ask, &d, &sid);
	ck_assert_int_eq(given, d.delegation_type != OPEN_DELEGATE_NONE && d.delegation_type != OPEN_DELEGATE_NONE_EXT);
	/* No lock stays. */
	ck_assert_int_eq(pthread_mutex_trylock(&mds.state_lock), 0);
	pthread_mutex_unlock(&mds.state_lock);
	ck_assert_int_eq(pthread_rwlock_trywrlock(&inode->io_lock), 0);
	pthread_rwlock_unlock(&inode->io_lock);
	return given;
}

static int
why(void)
{
	ck_assert_int_eq(d.delegation_type, OPEN_DELEGATE_NONE_EXT);
	return (int)d.open_delegation4_u.od_whynone.ond_why;
}

static struct deleg *
find(unsigned c, const stateid4 *s)
{
	return (struct deleg *)state_lookup_locked(&mds, &client[c], s);
}

static void
give_back(unsigned c, const stateid4 *s)
{
	pthread_mutex_lock(&mds.state_lock);
	deleg_return_locked(&mds, find(c, s));
	pthread_mutex_unlock(&mds.state_lock);
	fake_workers_run();
}

static nfsstat4
open_by(unsigned c, uint32_t access, uint32_t deny)
{
	pthread_mutex_lock(&mds.state_lock);
	nfsstat4 status = deleg_open_locked(&mds, inode, &client[c], access, deny);
	pthread_mutex_unlock(&mds.state_lock);
	delegs_pump(&mds);
	return status;
}

static void
pass(uint64_t ms)
{
	fd.now_ms += ms;
	delegs_tick(&mds, fd.now_ms);
}

#define R OPEN4_SHARE_ACCESS_READ
#define W OPEN4_SHARE_ACCESS_WRITE
#define RW OPEN4_SHARE_ACCESS_BOTH
#define WANT_R OPEN4_SHARE_ACCESS_WANT_READ_DELEG
#define WANT_W OPEN4_SHARE_ACCESS_WANT_WRITE_DELEG
#define WANT_ANY OPEN4_SHARE_ACCESS_WANT_ANY_DELEG

/* ---- giving ---- */

START_TEST(kinds)
{
	static const struct { uint32_t access, want; open_delegation_type4 type; } t[] = {
		{ R, 0, OPEN_DELEGATE_READ }, { W, 0, OPEN_DELEGATE_WRITE }, { RW, 0, OPEN_DELEGATE_WRITE },
		{ RW, WANT_R, OPEN_DELEGATE_READ }, { R, WANT_W, OPEN_DELEGATE_WRITE }, { R, WANT_ANY, OPEN_DELEGATE_READ },
		{ RW, WANT_ANY, OPEN_DELEGATE_WRITE }, { 0, WANT_ANY, OPEN_DELEGATE_READ }, { 0, WANT_W, OPEN_DELEGATE_WRITE },
		{ R, OPEN4_SHARE_ACCESS_WANT_DELEG_TIMESTAMPS, OPEN_DELEGATE_READ_ATTRS_DELEG },
		{ RW, OPEN4_SHARE_ACCESS_WANT_DELEG_TIMESTAMPS, OPEN_DELEGATE_WRITE_ATTRS_DELEG },
	};
	for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
		stateid4 open = do_open(0, RW, 0);
		ck_assert(give(0, t[i].access, t[i].want));
		ck_assert_int_eq(d.delegation_type, t[i].type);
		ck_assert_uint_eq(sid.seqid, 1);
		ck_assert(deleg_any(inode));
		ck_assert_ptr_nonnull(fd.lease);
		if (d.delegation_type == OPEN_DELEGATE_READ)
			ck_assert(!d.open_delegation4_u.read.recall && !d.open_delegation4_u.read.permissions.who.utf8string_len);
		if (d.delegation_type == OPEN_DELEGATE_WRITE) {
			ck_assert(!d.open_delegation4_u.write.recall);
			/* flushed at close */
			ck_assert_int_eq(d.open_delegation4_u.write.space_limit.limitby, NFS_LIMIT_SIZE);
			ck_assert_uint_eq(d.open_delegation4_u.write.space_limit.nfs_space_limit4_u.filesize, 0);
		}
		give_back(0, &sid);
		ck_assert(!deleg_any(inode));
		ck_assert_ptr_null(fd.lease);
		do_close(0, open);
	}
}
END_TEST

START_TEST(refusals)
{
	do_open(0, RW, 0);
	ck_assert(!give(0, R, OPEN4_SHARE_ACCESS_WANT_NO_DELEG));
	ck_assert_int_eq(why(), WND4_NOT_WANTED);
	ck_assert(!give(0, R, OPEN4_SHARE_ACCESS_WANT_CANCEL));
	ck_assert_int_eq(why(), WND4_CANCELLED);
	fd.no_delegations = true;
	ck_assert(!give(0, R, WANT_R));
	ck_assert_int_eq(why(), WND4_NOT_SUPP_FTYPE);
	ck_assert(!give(0, R, 0));
	ck_assert_int_eq(d.delegation_type, OPEN_DELEGATE_NONE);	/* who does not use the flags is told nothing */
	fd.no_delegations = false;
	atomic_store(&client[0].nback, 0);
	ck_assert(!give(0, R, WANT_R));
	ck_assert_int_eq(why(), WND4_RESOURCE);
	atomic_store(&client[0].nback, 1);
	fd.lease_err = -EAGAIN;		/* a local program has it open */
	ck_assert(!give(0, R, WANT_R));
	ck_assert_int_eq(why(), WND4_CONTENTION);
	fd.lease_err = -EIO;
	ck_assert(!give(0, R, WANT_R));
	ck_assert_int_eq(why(), WND4_RESOURCE);
	fd.lease_err = 0;
	fd.layout_in_way = true;
	ck_assert(!give(0, R, WANT_R));
	ck_assert_int_eq(why(), WND4_CONTENTION);
	fd.layout_in_way = false;
	struct deleg_ask ask = ask_of(0, RW, WANT_W);
	ask.readonly = true;
	ck_assert(!deleg_give(&mds, &ask, &d, &sid));
	ck_assert_int_eq(why(), WND4_WRITE_DELEG_NOT_SUPP_FTYPE);
	/* somebody reads or writes just now: OPEN does not wait for it */
	pthread_rwlock_rdlock(&inode->io_lock);
	ask = ask_of(0, R, WANT_R);
	ck_assert(!deleg_give(&mds, &ask, &d, &sid));
	ck_assert_int_eq(why(), WND4_RESOURCE);
	pthread_rwlock_unlock(&inode->io_lock);
	delegs_set_limits(&mds, &(struct deleg_limits){ .of_client = 0, .all = 5 });
	ck_assert(!give(0, R, WANT_R));
	ck_assert_int_eq(why(), WND4_RESOURCE);
	delegs_set_limits(&mds, &(struct deleg_limits){ .of_client = 5, .all = 0 });
	ck_assert(!give(0, R, WANT_R));
	ck_assert_int_eq(why(), WND4_RESOURCE);
	ck_assert(!deleg_any(inode));
	ck_assert_uint_eq(fd.leases, 0);
}
END_TEST

/* What of others keeps one from being given, for reading and for writing. */
START_TEST(opens_of_others)
{
	static const struct { uint32_t access, deny; bool read, write; } t[] = {
		{ R, 0, true, false }, { W, 0, false, false }, { RW, 0, false, false }, { R, OPEN4_SHARE_DENY_WRITE, true, false },
	};
	for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
		stateid4 other = do_open(1, t[i].access, t[i].deny);
		ck_assert_int_eq(give(0, R, WANT_R), t[i].read);
		if (t[i].read)
			give_back(0, &sid);
		else
			ck_assert_int_eq(why(), WND4_CONTENTION);
		ck_assert_int_eq(give(0, R, WANT_W), t[i].write);
		ck_assert_int_eq(why(), WND4_CONTENTION);
		do_close(1, other);
	}
	/* its own does not */
	do_open(0, RW, OPEN4_SHARE_DENY_NONE);
	ck_assert(give(0, R, WANT_R));
}
END_TEST

START_TEST(delegations_of_others)
{
	stateid4 a;
	ck_assert(give(0, 0, WANT_R));
	a = sid;
	ck_assert(!give(1, 0, WANT_W));
	ck_assert_int_eq(why(), WND4_CONTENTION);
	/* both for reading: under one lease */
	ck_assert(give(1, 0, WANT_R));
	ck_assert_uint_eq(fd.leases, 1);
	ck_assert_uint_eq(fd.ncalls, 0);	/* asking recalls nothing (18.49.4) */
	ck_assert(!give(0, 0, WANT_W));		/* no upgrade beside another */
	give_back(1, &sid);
	ck_assert_ptr_nonnull(fd.lease);
	/* upgrade: the same stateid, one on */
	ck_assert(give(0, 0, WANT_W));
	ck_assert_int_eq(d.delegation_type, OPEN_DELEGATE_WRITE);
	ck_assert_uint_eq(sid.seqid, 2);
	ck_assert(!memcmp(sid.other, a.other, sizeof a.other));
	ck_assert_uint_eq(client[0].ndelegs, 1);
	ck_assert(!give(1, 0, WANT_R));
	ck_assert_int_eq(why(), WND4_CONTENTION);
	ck_assert(!give(0, 0, WANT_R));
	ck_assert_int_eq(why(), WND4_NOT_SUPP_DOWNGRADE);
	ck_assert(!give(0, 0, WANT_W));
	ck_assert_int_eq(why(), WND4_RESOURCE);
	give_back(0, &sid);
	ck_assert_ptr_null(fd.lease);
}
END_TEST

START_TEST(worker)
{
	struct deleg_ask ask = ask_of(0, R, 0);
	ask.at_once = true;
	ck_assert(!deleg_wants_worker(&mds, &ask));	/* the descriptor is there */
	fd.fd_closed = true;
	ck_assert(deleg_wants_worker(&mds, &ask));
	ask.want = OPEN4_SHARE_ACCESS_WANT_NO_DELEG;
	ck_assert(!deleg_wants_worker(&mds, &ask));
	ask.want = 0;
	do_open(1, W, 0);
	ck_assert(!deleg_wants_worker(&mds, &ask));	/* there would be none anyway */
}
END_TEST

/* ---- conflicts ---- */

/* Operation by another client, by the holder itself, and by nobody's. */
START_TEST(conflicts)
{
	static const struct { bool write, need_write; bool in_way; } t[] = {
		{ false, false, false }, { false, true, true }, { true, false, true }, { true, true, true },
	};
	for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
		enum deleg_need need = t[i].need_write ? DELEG_NEED_WRITE : DELEG_NEED_READ;
		ck_assert(give(0, 0, t[i].write ? WANT_W : WANT_R));
		/* its own: never */
		ck_assert_int_eq(deleg_make_way(&mds, inode, &client[0], need), NFS4_OK);
		ck_assert(deleg_clear_locked(inode, &client[0], need));
		ck_assert_uint_eq(fd.ncalls, 0);
		ck_assert_int_eq(deleg_clear_locked(inode, &client[1], need), !t[i].in_way);
		ck_assert_int_eq(deleg_make_way(&mds, inode, &client[1], need), t[i].in_way ? NFS4ERR_DELAY : NFS4_OK);
		ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL), t[i].in_way);
		/* once is enough */
		deleg_make_way(&mds, inode, NULL, need);
		ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL), t[i].in_way);
		if (t[i].in_way) {
			ck_assert(!memcmp(&fd.call[0].sid, &sid, sizeof sid));
			ck_assert_ptr_eq(fd.call[0].client, &client[0]);
			fake_deleg_answer(&mds, OP_CB_RECALL, NFS4_OK);
		}
		give_back(0, &sid);
		ck_assert_int_eq(deleg_make_way(&mds, inode, &client[1], need), NFS4_OK);
		inode->deleg_rest.until_ms = 0;
	}
}
END_TEST

START_TEST(open_conflicts)
{
	static const struct { bool write; uint32_t access, deny; bool in_way; } t[] = {
		{ false, R, 0, false }, { false, W, 0, true }, { false, RW, 0, true }, { false, R, OPEN4_SHARE_DENY_READ, true },
		{ false, R, OPEN4_SHARE_DENY_WRITE, true }, { true, R, 0, true }, { true, W, 0, true },
	};
	for (unsigned i = 0; i < sizeof t / sizeof *t; i++) {
		ck_assert(give(0, 0, t[i].write ? WANT_W : WANT_R));
		ck_assert_int_eq(open_by(0, t[i].access, t[i].deny), NFS4_OK);
		ck_assert_int_eq(open_by(1, t[i].access, t[i].deny), t[i].in_way ? NFS4ERR_DELAY : NFS4_OK);
		ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL), t[i].in_way);
		fake_deleg_answer(&mds, OP_CB_RECALL, NFS4_OK);
		give_back(0, &sid);
		ck_assert_int_eq(open_by(1, t[i].access, t[i].deny), NFS4_OK);
		inode->deleg_rest.until_ms = 0;
	}
}
END_TEST

/* Those who share a file do not get one after the other; and none slips in beside an operation that was let through. */
START_TEST(rest)
{
	ck_assert(give(0, 0, WANT_R));
	ck_assert_int_eq(open_by(1, W, 0), NFS4ERR_DELAY);
	fake_deleg_answer(&mds, OP_CB_RECALL, NFS4_OK);
	give_back(0, &sid);
	ck_assert(!give(0, 0, WANT_R));
	ck_assert_int_eq(why(), WND4_CONTENTION);
	ck_assert(!give(1, 0, WANT_R));
	fd.now_ms += 30001;
	ck_assert(give(1, 0, WANT_R));
	give_back(1, &sid);
	/* SETATTR of client 0 is at work */
	ck_assert_int_eq(deleg_make_way(&mds, inode, &client[0], DELEG_NEED_WRITE), NFS4_OK);
	ck_assert(!give(1, 0, WANT_R));
	ck_assert(give(0, 0, WANT_R));
	give_back(0, &sid);
	/* and of client 1, too */
	ck_assert_int_eq(deleg_make_way(&mds, inode, &client[1], DELEG_NEED_WRITE), NFS4_OK);
	ck_assert(!give(0, 0, WANT_R));
	ck_assert(!give(1, 0, WANT_R));
	fd.now_ms += 2001;
	ck_assert(give(0, 0, WANT_R));
}
END_TEST

START_TEST(local_break)
{
	ck_assert(give(0, 0, WANT_R));
	stateid4 a = sid;
	ck_assert(give(1, 0, WANT_R));
	stateid4 b = sid;
	fd.lease->broken = true;
	export_on_deleg_break(&mds, inode);
	ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL), 2);
	ck_assert(!give(2, 0, WANT_R));
	ck_assert_int_eq(why(), WND4_CONTENTION);
	give_back(0, &a);
	ck_assert_ptr_nonnull(fd.lease);
	give_back(1, &b);
	ck_assert_ptr_null(fd.lease);	/* now it goes on */
}
END_TEST

/* ---- recall ---- */

static void
recall_begun(void)
{
	ck_assert(give(0, 0, WANT_W));
	ck_assert_int_eq(open_by(1, R, 0), NFS4ERR_DELAY);
	ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL), 1);
}

START_TEST(deadline)
{
	struct state_obj *obj;

	recall_begun();
	fake_deleg_answer(&mds, OP_CB_RECALL, NFS4_OK);
	pass(9999);
	ck_assert_int_eq(open_by(1, R, 0), NFS4ERR_DELAY);
	ck_assert_uint_eq(atomic_load(&client[0].seq_flags), 0);
	pass(1);
	/* RFC 8881 10.4.5: revoked, told, and in nobody's way */
	ck_assert_int_eq(open_by(1, R, 0), NFS4_OK);
	ck_assert_uint_eq(atomic_load(&client[0].seq_flags), SEQ4_STATUS_RECALLABLE_STATE_REVOKED);
	ck_assert(!deleg_any(inode));
	ck_assert_int_eq(state_find_locked(&mds, &client[0], &sid, STATE_DELEG, inode, &obj), NFS4ERR_DELEG_REVOKED);
	fake_workers_run();
	ck_assert_ptr_null(fd.lease);
	/* nothing more for it until it knows */
	fd.now_ms += 40000;
	ck_assert(!give(0, 0, WANT_R));
	ck_assert_int_eq(why(), WND4_RESOURCE);
	/* FREE_STATEID */
	pthread_mutex_lock(&mds.state_lock);
	struct deleg *deleg = find(0, &sid);
	deleg->obj.cls->release(&mds, &deleg->obj);
	ck_assert_ptr_null(find(0, &sid));
	pthread_mutex_unlock(&mds.state_lock);
	ck_assert_uint_eq(atomic_load(&client[0].seq_flags), 0);
	ck_assert(give(0, 0, WANT_R));
}
END_TEST

/* The flag is the layouts', too. */
START_TEST(flag_shared)
{
	recall_begun();
	pass(10001);
	client[0].fenced = true;
	give_back(0, &sid);
	ck_assert_uint_eq(atomic_load(&client[0].seq_flags), SEQ4_STATUS_RECALLABLE_STATE_REVOKED);
	client[0].fenced = false;
}
END_TEST

START_TEST(said_again)
{
	static const int answers[] = { NFS4ERR_DELAY, NFS4ERR_SERVERFAULT, -ETIMEDOUT, -ECONNRESET };

	recall_begun();
	for (unsigned i = 0; i < sizeof answers / sizeof *answers; i++) {
		ck_assert(fake_deleg_answer(&mds, OP_CB_RECALL, answers[i]));
		ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL), 0);
		pass(2000);
		ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL), 1);
	}
	/* answered: the return is waited for, not asked for again */
	fake_deleg_answer(&mds, OP_CB_RECALL, NFS4_OK);
	pass(1500);
	ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL), 0);
	give_back(0, &sid);
	ck_assert_int_eq(open_by(1, R, 0), NFS4_OK);
}
END_TEST

START_TEST(no_path)
{
	ck_assert(give(0, 0, WANT_W));
	atomic_store(&client[0].nback, 0);
	ck_assert_int_eq(open_by(1, R, 0), NFS4ERR_DELAY);
	ck_assert_uint_eq(fd.ncalls, 0);
	pass(1000);
	ck_assert_uint_eq(fd.ncalls, 0);
	atomic_store(&client[0].nback, 1);
	deleg_path_up(&mds, &client[1]);
	ck_assert_uint_eq(fd.ncalls, 0);
	deleg_path_up(&mds, &client[0]);
	ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL), 1);
	fake_deleg_answer(&mds, OP_CB_RECALL, -ENOTCONN);
	atomic_store(&client[0].nback, 0);
	/* the deadline does not wait for a path (10.4.5) */
	pass(9001);
	ck_assert_int_eq(open_by(1, R, 0), NFS4_OK);
	ck_assert_uint_eq(client[0].nrevoked, 1);
}
END_TEST

/* The recall overtook the reply to the OPEN: the client does not know what it is about, yet. */
START_TEST(race)
{
	recall_begun();
	ck_assert_uint_eq(fd.call[0].nrefs, 1);	/* it is told which request it may have to wait for */
	fake_deleg_answer(&mds, OP_CB_RECALL, NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(open_by(1, R, 0), NFS4ERR_DELAY);
	fd.slot.seqid++;		/* now it has it */
	pass(1000);
	ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL), 1);
	ck_assert_uint_eq(fd.call[0].nrefs, 0);
	/* and does not know it all the same: returned (20.2.4) */
	fake_deleg_answer(&mds, OP_CB_RECALL, NFS4ERR_BADHANDLE);
	ck_assert_int_eq(open_by(1, R, 0), NFS4_OK);
	ck_assert_uint_eq(client[0].nrevoked, 0);
	ck_assert_ptr_null(find(0, &sid));
}
END_TEST

START_TEST(race_idle)
{
	recall_begun();
	fake_deleg_answer(&mds, OP_CB_RECALL, NFS4ERR_BAD_STATEID);
	pass(1000);
	fake_deleg_answer(&mds, OP_CB_RECALL, NFS4ERR_BAD_STATEID);
	ck_assert_int_eq(open_by(1, R, 0), NFS4_OK);
}
END_TEST

/* Returned, or the client gone, while the callback is under way. */
START_TEST(answer_too_late)
{
	recall_begun();
	give_back(0, &sid);
	ck_assert(fake_deleg_answer(&mds, OP_CB_RECALL, NFS4_OK));
	inode->deleg_rest.until_ms = 0;
	recall_begun();
	pthread_mutex_lock(&mds.state_lock);
	fake_client_release(&mds, &client[0]);
	pthread_mutex_unlock(&mds.state_lock);
	ck_assert_int_eq(open_by(1, R, 0), NFS4_OK);
	ck_assert(fake_deleg_answer(&mds, OP_CB_RECALL, NFS4ERR_DELAY));
	pass(1000);
	ck_assert_uint_eq(fd.ncalls, 0);
}
END_TEST

/* An open by CLAIM_PREVIOUS: given whatever the circumstances, and wanted back if they are bad (18.16.3). */
START_TEST(reclaim)
{
	struct deleg_ask ask = ask_of(0, RW, 0);

	ask.reclaim = OPEN_DELEGATE_WRITE;
	inode->deleg_rest.until_ms = fd.now_ms + 1000;
	ck_assert(deleg_give(&mds, &ask, &d, &sid));
	ck_assert_int_eq(d.delegation_type, OPEN_DELEGATE_WRITE);
	ck_assert(!d.open_delegation4_u.write.recall);
	give_back(0, &sid);
	fd.lease_err = -EAGAIN;
	ask.reclaim = OPEN_DELEGATE_READ;
	ck_assert(deleg_give(&mds, &ask, &d, &sid));
	ck_assert_int_eq(d.delegation_type, OPEN_DELEGATE_READ);
	ck_assert(d.open_delegation4_u.read.recall);
	ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL), 1);
	/* what cannot have been */
	ask = ask_of(1, RW, 0);
	ask.reclaim = OPEN_DELEGATE_WRITE;
	ck_assert(!deleg_give(&mds, &ask, &d, &sid));
}
END_TEST

/* ---- too many ---- */

START_TEST(recall_any)
{
	struct inode *more[4];

	delegs_set_limits(&mds, &(struct deleg_limits){ .of_client = 4, .all = 100 });
	for (unsigned i = 0; i < 4; i++) {
		more[i] = fake_inode_new(S_IFREG);
		struct deleg_ask ask = ask_of(0, 0, WANT_R);
		ask.inode = more[i];
		fd.lease = NULL;	/* one for each file: of no interest here */
		ck_assert(deleg_give(&mds, &ask, &d, &sid));
		free(fd.lease);
		((struct deleg *)find(0, &sid))->file->lease = NULL;
		fd.lease = NULL;
	}
	ck_assert(!give(0, 0, WANT_R));
	pass(1000);
	ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL_ANY), 1);
	ck_assert_uint_eq(fd.call[0].keep, 3);
	ck_assert_uint_eq(fd.call[0].types, 1u << RCA4_TYPE_MASK_RDATA_DLG | 1u << RCA4_TYPE_MASK_WDATA_DLG);
	fake_deleg_answer(&mds, OP_CB_RECALL_ANY, NFS4_OK);
	pass(9000);
	ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL_ANY), 0);	/* not all the time */
	pass(2000);
	ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL_ANY), 1);
	pthread_mutex_lock(&mds.state_lock);
	fake_client_release(&mds, &client[0]);
	pthread_mutex_unlock(&mds.state_lock);
	fake_workers_run();
	for (unsigned i = 0; i < 4; i++)
		fake_inode_free(more[i]);
}
END_TEST

/* ---- CB_GETATTR ---- */

static struct nfs_attrs
attrs(uint64_t ch, uint64_t size)
{
	struct nfs_attrs a = { .change = ch, .size = size };

	attr_set(&a.mask, FATTR4_CHANGE);
	attr_set(&a.mask, FATTR4_SIZE);
	return a;
}

START_TEST(getattr)
{
	struct deleg_seen seen;
	struct nfs_attrs a = attrs(77, 5);

	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4_OK);
	ck_assert(give(0, 0, WANT_R));
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4_OK);	/* for reading: nothing to be asked */
	ck_assert(give(0, 0, WANT_W));
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[0], &seen), NFS4_OK);	/* its own */
	ck_assert(!seen.valid);
	ck_assert_uint_eq(fd.ncalls, 0);
	/* asked once, however many want to know */
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4ERR_DELAY);
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[2], &seen), NFS4ERR_DELAY);
	ck_assert_uint_eq(fake_deleg_calls(OP_CB_GETATTR), 1);
	ck_assert(!attr_has(&fd.asked, FATTR4_TIME_DELEG_MODIFY));
	ck_assert(fake_deleg_answer_attrs(&mds, &a));
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4_OK);
	ck_assert(seen.valid && !seen.modified && seen.size == 5 && !seen.has_times);
	/* an answer grows old */
	fd.now_ms += 1000;
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4ERR_DELAY);
	a = attrs(78, 9);
	ck_assert(fake_deleg_answer_attrs(&mds, &a));
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4_OK);
	ck_assert(seen.modified && !seen.told && seen.size == 9);
	deleg_getattr_told(&mds, inode, &client[1]);
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[2], &seen), NFS4_OK);
	ck_assert(seen.modified && seen.told);
	/* once modified, always, and it moves on with each answer (10.4.3) */
	fd.now_ms += 1000;
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4ERR_DELAY);
	a = attrs(77, 9);
	ck_assert(fake_deleg_answer_attrs(&mds, &a));
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4_OK);
	ck_assert(seen.modified && !seen.told);
}
END_TEST

START_TEST(getattr_times)
{
	struct deleg_seen seen;
	struct nfs_attrs a = attrs(78, 1);

	ck_assert(give(0, 0, WANT_W | OPEN4_SHARE_ACCESS_WANT_DELEG_TIMESTAMPS));
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4ERR_DELAY);
	ck_assert(attr_has(&fd.asked, FATTR4_TIME_DELEG_MODIFY) && attr_has(&fd.asked, FATTR4_TIME_DELEG_ACCESS));
	attr_set(&a.mask, FATTR4_TIME_DELEG_ACCESS);
	attr_set(&a.mask, FATTR4_TIME_DELEG_MODIFY);
	a.time_deleg_access = (nfstime4){ 5, 6 };
	a.time_deleg_modify = (nfstime4){ 7, 8 };
	ck_assert(fake_deleg_answer_attrs(&mds, &a));
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4_OK);
	ck_assert(seen.has_times && seen.atime.tv_sec == 5 && seen.atime.tv_nsec == 6 && seen.mtime.tv_sec == 7);
	/* nonsense is no time */
	fd.now_ms += 1000;
	a.time_deleg_modify.nseconds = 1000000000;
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4ERR_DELAY);
	ck_assert(fake_deleg_answer_attrs(&mds, &a));
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4_OK);
	ck_assert(!seen.has_times);
}
END_TEST

/* Who cannot be asked has it recalled. */
START_TEST(getattr_failures)
{
	struct deleg_seen seen;
	struct nfs_attrs a = attrs(77, UINT64_MAX);

	ck_assert(give(0, 0, WANT_W));
	for (unsigned i = 0; i < 5; i++) {	/* DELAY is no failure */
		ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4ERR_DELAY);
		ck_assert(fake_deleg_answer(&mds, OP_CB_GETATTR, NFS4ERR_DELAY));
	}
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4ERR_DELAY);
	ck_assert(fake_deleg_answer_attrs(&mds, &a));		/* a size that no file has */
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4ERR_DELAY);
	ck_assert(fake_deleg_answer_attrs(&mds, NULL));
	ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL), 0);
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4ERR_DELAY);
	ck_assert(fake_deleg_answer(&mds, OP_CB_GETATTR, -ETIMEDOUT));
	ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL), 1);
	fake_deleg_answer(&mds, OP_CB_RECALL, NFS4_OK);
	/* returned while it is asked */
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4ERR_DELAY);
	give_back(0, &sid);
	a = attrs(77, 1);
	ck_assert(fake_deleg_answer_attrs(&mds, &a));
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4_OK);
	ck_assert(!seen.valid);
	inode->deleg_rest.until_ms = 0;
	ck_assert(give(0, 0, WANT_W));
	atomic_store(&client[0].nback, 0);
	ck_assert_int_eq(deleg_getattr(&mds, inode, &client[1], &seen), NFS4ERR_DELAY);
	atomic_store(&client[0].nback, 1);
	deleg_path_up(&mds, &client[0]);
	ck_assert_uint_eq(fake_deleg_calls(OP_CB_RECALL), 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("deleg");
	TCase *tc = tcase_create("deleg");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, kinds);
	tcase_add_test(tc, refusals);
	tcase_add_test(tc, opens_of_others);
	tcase_add_test(tc, delegations_of_others);
	tcase_add_test(tc, worker);
	tcase_add_test(tc, conflicts);
	tcase_add_test(tc, open_conflicts);
	tcase_add_test(tc, rest);
	tcase_add_test(tc, local_break);
	tcase_add_test(tc, deadline);
	tcase_add_test(tc, flag_shared);
	tcase_add_test(tc, said_again);
	tcase_add_test(tc, no_path);
	tcase_add_test(tc, race);
	tcase_add_test(tc, race_idle);
	tcase_add_test(tc, answer_too_late);
	tcase_add_test(tc, reclaim);
	tcase_add_test(tc, recall_any);
	tcase_add_test(tc, getattr);
	tcase_add_test(tc, getattr_times);
	tcase_add_test(tc, getattr_failures);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
