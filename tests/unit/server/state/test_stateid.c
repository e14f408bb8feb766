/* The table: validation by kind, file, client and seqid (RFC 8881 8.2.4); special stateids; I/O checks; limits. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/nfs4/compound.h"
#include "server/state/lock.h"
#include "tests/unit/server/state/fake_state.h"

static struct mds mds;
static struct client client[2];
static struct inode *file[2];

static void
setup(void)
{
	fake_mds_init(&mds);
	for (unsigned i = 0; i < 2; i++) {
		fake_client_init(&client[i], 100 + i);
		file[i] = fake_inode_new(S_IFREG);
	}
}

static void
teardown(void)
{
	for (unsigned i = 0; i < 2; i++)
		fake_client_release(&mds, &client[i]);
	fake_mds_end(&mds);
	for (unsigned i = 0; i < 2; i++)
		fake_inode_free(file[i]);
}

static stateid4
do_open(struct client *cl, struct inode *inode, const char *owner, uint32_t access, uint32_t deny)
{
	struct open_ask ask = { .owner = owner, .owner_len = (uint32_t)strlen(owner), .access = access,
		.deny = deny, .uid = 1000 };
	struct open_undo undo;
	stateid4 sid;

	ck_assert_int_eq(open_add_locked(&mds, cl, inode, &ask, &undo, &sid), NFS4_OK);
	return sid;
}

static struct state_obj *
get(struct client *cl, const stateid4 *sid)
{
	struct state_obj *obj = state_lookup_locked(&mds, cl, sid);
	ck_assert_ptr_nonnull(obj);
	return obj;
}

static stateid4
do_lock(struct client *cl, const stateid4 *open_sid, const char *owner, uint64_t start, uint64_t end)
{
	struct lock_ask ask = { .start = start, .end = end, .write = true, .owner = owner,
		.owner_len = (uint32_t)strlen(owner) };
	const struct lock_range *denied;
	stateid4 sid;

	ck_assert_int_eq(lock_set_locked(&mds, (struct open_state *)get(cl, open_sid), NULL, &ask, &sid, &denied),
	    NFS4_OK);
	return sid;
}

/* What must come out, written down a second time. */
static nfsstat4
expected(unsigned kind, unsigned mask, unsigned cl, unsigned fl, int64_t seq, uint32_t now)
{
	if (cl != 0 || fl == 1 || !(kind & mask))
		return NFS4ERR_BAD_STATEID;
	if (seq == 0 || (uint32_t)seq == now)
		return NFS4_OK;
	return seq < now ? NFS4ERR_OLD_STATEID : NFS4ERR_BAD_STATEID;
}

START_TEST(matrix)
{
	stateid4 sid[2] = { do_open(&client[0], file[0], "o", 3, 0) };
	sid[1] = do_lock(&client[0], &sid[0], "l", 0, 9);
	for (int i = 0; i < 3; i++) {	/* now at 4 */
		sid[0] = do_open(&client[0], file[0], "o", 3, 0);
		sid[1] = do_lock(&client[0], &sid[0], "l", 20 * (unsigned)i, 20 * (unsigned)i + 10);
	}
	ck_assert_uint_eq(sid[0].seqid, 4);
	ck_assert_uint_eq(sid[1].seqid, 4);
	for (unsigned k = 0; k < 2; k++)
		for (unsigned mask = 0; mask < 16; mask++)
			for (unsigned cl = 0; cl < 2; cl++)
				for (unsigned fl = 0; fl < 3; fl++)
					for (uint32_t seq = 0; seq < 7; seq++) {
						stateid4 s = sid[k];
						struct state_obj *obj = NULL;
						s.seqid = seq;
						nfsstat4 want = expected(k ? STATE_LOCK : STATE_OPEN, mask, cl, fl, seq, 4);
						nfsstat4 got = state_find_locked(&mds, &client[cl], &s, mask,
						    fl == 2 ? NULL : file[fl], &obj);
						ck_assert_int_eq(got, want);
						ck_assert(got != NFS4_OK || obj == get(&client[0], &s));
					}
	stateid4 s = sid[0];
	for (unsigned i = 0; i < NFS4_OTHER_SIZE; i++) {	/* of another life (PITFALLS D1, D6) */
		s.other[i] ^= 1;
		struct state_obj *obj;
		ck_assert_int_eq(state_find_locked(&mds, &client[0], &s, ~0u, NULL, &obj), NFS4ERR_BAD_STATEID);
		s.other[i] ^= 1;
	}
}
END_TEST

START_TEST(seqid_wraps)
{
	stateid4 sid = do_open(&client[0], file[0], "o", 3, 0), out;
	struct state_obj *obj = get(&client[0], &sid), *found;

	obj->seqid = UINT32_MAX;
	stateid4 old;
	state_sid(obj, &old);
	state_bump_locked(obj, &out);
	ck_assert_uint_eq(out.seqid, 1);	/* not 0, which means "current" */
	ck_assert_int_eq(state_find_locked(&mds, &client[0], &old, STATE_OPEN, NULL, &found), NFS4ERR_OLD_STATEID);
	obj->seqid = UINT32_MAX - 1;
	out.seqid = 3;				/* to come after the wrap */
	ck_assert_int_eq(state_find_locked(&mds, &client[0], &out, STATE_OPEN, NULL, &found), NFS4ERR_BAD_STATEID);
	out.seqid = 0;
	ck_assert_int_eq(state_find_locked(&mds, &client[0], &out, STATE_OPEN, NULL, &found), NFS4_OK);
}
END_TEST

START_TEST(special)
{
	stateid4 zero = { 0 }, ones = { .seqid = UINT32_MAX }, one = { .seqid = 1 }, bad = { .seqid = UINT32_MAX };
	struct state_obj *obj;

	memset(ones.other, 0xff, sizeof ones.other);
	ck_assert(stateid_is_anonymous(&zero) && !stateid_is_anonymous(&one) && !stateid_is_anonymous(&ones));
	ck_assert(stateid_is_bypass(&ones) && !stateid_is_bypass(&bad) && !stateid_is_bypass(&zero));
	ck_assert(stateid_is_current(&one) && !stateid_is_current(&zero) && !stateid_is_current(&bad));
	ck_assert(stateid_is_invalid(&bad) && !stateid_is_invalid(&ones) && !stateid_is_invalid(&one));
	stateid4 *all[] = { &zero, &ones, &one, &bad };
	for (unsigned i = 0; i < 4; i++)
		ck_assert_int_eq(state_find_locked(&mds, &client[0], all[i], ~0u, NULL, &obj), NFS4ERR_BAD_STATEID);
}
END_TEST

START_TEST(revoked_and_expired)
{
	stateid4 sid = do_open(&client[0], file[0], "o", 3, 0);
	struct state_obj *obj = get(&client[0], &sid), *found;

	obj->revoked = true;
	ck_assert_int_eq(state_find_locked(&mds, &client[0], &sid, STATE_OPEN, NULL, &found), NFS4ERR_ADMIN_REVOKED);
	obj->revoked = false;
	client[0].expired = true;
	ck_assert_int_eq(state_find_locked(&mds, &client[0], &sid, STATE_OPEN, NULL, &found), NFS4ERR_EXPIRED);
	ck_assert_int_eq(state_room_locked(&mds, &client[0]), NFS4ERR_EXPIRED);
	ck_assert_int_eq(state_room_locked(&mds, &client[1]), NFS4_OK);
}
END_TEST

/* state_check_io() takes the lock itself. */
static nfsstat4
check_io(struct client *cl, uid_t uid, const stateid4 *sid, struct inode *inode, bool write, bool *by_open)
{
	struct compound c = { .mds = &mds, .client = cl, .cred = { .uid = uid } };

	pthread_mutex_unlock(&mds.state_lock);
	nfsstat4 status = state_check_io(&c, sid, inode, write, by_open);
	pthread_mutex_lock(&mds.state_lock);
	return status;
}

START_TEST(io_by_access)
{
	static const char *name[] = { "", "r", "w", "rw" };
	bool by_open;

	for (uint32_t access = 1; access <= 3; access++) {
		stateid4 sid = do_open(&client[0], file[0], name[access], access, 0);
		ck_assert_int_eq(check_io(&client[0], 1000, &sid, file[0], true, &by_open),
		    access & 2 ? NFS4_OK : NFS4ERR_OPENMODE);
		ck_assert_int_eq(by_open, access >> 1);
		ck_assert_int_eq(check_io(&client[0], 1000, &sid, file[0], false, &by_open), NFS4_OK);
		ck_assert_int_eq(by_open, access & 1);	/* by a write-only open the caller looks at the mode */
		ck_assert_int_eq(check_io(&client[0], 1001, &sid, file[0], false, &by_open), NFS4_OK);
		ck_assert(!by_open);			/* somebody else with the stateid */
		ck_assert_int_eq(check_io(&client[1], 1000, &sid, file[0], false, &by_open), NFS4ERR_BAD_STATEID);
		ck_assert_int_eq(check_io(&client[0], 1000, &sid, file[1], false, NULL), NFS4ERR_BAD_STATEID);
		if (access == 3) {
			stateid4 lock = do_lock(&client[0], &sid, "l", 0, 1);
			ck_assert_int_eq(check_io(&client[0], 1000, &lock, file[0], true, &by_open), NFS4_OK);
			ck_assert(by_open);
		}
	}
}
END_TEST

START_TEST(io_special)
{
	stateid4 anon = { 0 }, bypass = { .seqid = UINT32_MAX }, invalid = { .seqid = UINT32_MAX };
	bool by_open = true;

	memset(bypass.other, 0xff, sizeof bypass.other);
	for (uint32_t deny = 0; deny <= 3; deny++) {
		stateid4 sid = do_open(&client[1], file[0], "o", 1, deny), none = { .seqid = 1 };
		ck_assert_int_eq(check_io(&client[0], 0, &anon, file[0], false, &by_open),
		    deny & 1 ? NFS4ERR_LOCKED : NFS4_OK);
		ck_assert(!by_open);
		ck_assert_int_eq(check_io(&client[0], 0, &anon, file[0], true, NULL),
		    deny & 2 ? NFS4ERR_LOCKED : NFS4_OK);
		ck_assert_int_eq(check_io(&client[0], 0, &bypass, file[0], false, NULL), NFS4_OK);
		ck_assert_int_eq(check_io(&client[0], 0, &bypass, file[0], true, NULL),
		    deny & 2 ? NFS4ERR_LOCKED : NFS4_OK);
		ck_assert_int_eq(check_io(&client[0], 0, &invalid, file[0], true, NULL), NFS4ERR_BAD_STATEID);
		ck_assert_int_eq(check_io(&client[0], 0, &none, file[0], true, NULL), NFS4ERR_BAD_STATEID);
		fake_grace = true;	/* PITFALLS D2: special ones, but not those reclaimed */
		ck_assert_int_eq(check_io(&client[0], 0, &anon, file[0], false, NULL), NFS4ERR_GRACE);
		ck_assert_int_eq(check_io(&client[0], 0, &bypass, file[0], false, NULL), NFS4ERR_GRACE);
		ck_assert_int_eq(check_io(&client[1], 0, &sid, file[0], false, NULL), NFS4_OK);
		fake_grace = false;
		fake_client_release(&mds, &client[1]);
	}
	/* Reading by a write-only open: not if another denies it, but one's own denial is none. */
	stateid4 w = do_open(&client[0], file[0], "w", 2, 1);
	ck_assert_int_eq(check_io(&client[0], 0, &w, file[0], false, NULL), NFS4_OK);
	stateid4 o = do_open(&client[1], file[0], "w", 2, 0);
	struct open_state *mine = (struct open_state *)get(&client[0], &w), *other = (struct open_state *)get(&client[1], &o);
	mine->deny = 0;		/* as if the other had denied it */
	other->deny = 1;
	ck_assert_int_eq(check_io(&client[0], 0, &w, file[0], false, NULL), NFS4ERR_LOCKED);
	mine->deny = 1;
	other->deny = 0;
}
END_TEST

START_TEST(limits)
{
	struct state_limits few = { .client_states = 4, .states = 6, .client_ranges = 3, .ranges = 4 };
	struct open_ask ask = { .owner_len = 1, .access = 1 };
	struct open_undo undo;
	const struct lock_range *denied;
	stateid4 sid, first[2];
	char name;

	stateids_set_limits(&mds, &few);
	ask.owner = &name;
	for (name = 'a'; name < 'e'; name++)
		ck_assert_int_eq(open_add_locked(&mds, &client[0], file[0], &ask, &undo, name == 'a' ? &first[0] : &sid), NFS4_OK);
	ck_assert_int_eq(open_add_locked(&mds, &client[0], file[0], &ask, &undo, &sid), NFS4ERR_SERVERFAULT);
	name = 'b';		/* an upgrade needs no room */
	ck_assert_int_eq(open_add_locked(&mds, &client[0], file[0], &ask, &undo, &sid), NFS4_OK);
	for (name = 'a'; name < 'c'; name++)
		ck_assert_int_eq(open_add_locked(&mds, &client[1], file[0], &ask, &undo, name == 'a' ? &first[1] : &sid), NFS4_OK);
	ck_assert_int_eq(open_add_locked(&mds, &client[1], file[0], &ask, &undo, &sid), NFS4ERR_SERVERFAULT);

	few.client_states = few.states = 100;
	stateids_set_limits(&mds, &few);
	for (unsigned i = 0; i < 3; i++)
		do_lock(&client[0], &first[0], "l", 10 * i, 10 * i + 5);
	struct lock_ask lask = { .start = 100, .end = 105, .owner = "l", .owner_len = 1 };
	struct open_state *open = (struct open_state *)get(&client[0], &first[0]);
	ck_assert_int_eq(lock_set_locked(&mds, open, NULL, &lask, &sid, &denied), NFS4ERR_SERVERFAULT);
	lask.owner = "m";
	uint32_t before = client[0].nstates;
	ck_assert_int_eq(lock_set_locked(&mds, open, NULL, &lask, &sid, &denied), NFS4ERR_SERVERFAULT);
	ck_assert_uint_eq(client[0].nstates, before);	/* no lock state left behind */
	/* Unlocking the middle makes four of three, and must not fail. */
	struct lock_state *state = TAILQ_FIRST(&open->locks);
	ck_assert_int_eq(lock_unset_locked(&mds, state, 2, 3, &sid), NFS4_OK);
	ck_assert_uint_eq(client[0].nranges, 4);
	open = (struct open_state *)get(&client[1], &first[1]);
	lask.owner = "l";
	ck_assert_int_eq(lock_set_locked(&mds, open, NULL, &lask, &sid, &denied), NFS4ERR_SERVERFAULT);
	ck_assert_int_eq(lock_unset_locked(&mds, state, 0, UINT64_MAX, &sid), NFS4_OK);
	ck_assert_uint_eq(client[0].nranges, 0);
	ck_assert_int_eq(lock_set_locked(&mds, open, NULL, &lask, &sid, &denied), NFS4_OK);
}
END_TEST

/* The last reference of an inode may block: by a worker, not under the lock. */
START_TEST(inodes_put_late)
{
	stateid4 sid = do_open(&client[0], file[0], "o", 3, 0);

	do_lock(&client[0], &sid, "l", 0, 1);
	ck_assert_uint_eq(fake_inode_refs(file[0]), 4);
	fake_client_release(&mds, &client[0]);
	ck_assert_uint_eq(fake_inode_refs(file[0]), 2);
	pthread_mutex_unlock(&mds.state_lock);
	ck_assert_uint_eq(fake_workers_run(), 1);
	pthread_mutex_lock(&mds.state_lock);
	ck_assert_uint_eq(fake_inode_refs(file[0]), 1);
	/* Those still waiting at the end go with the table. */
	do_open(&client[0], file[0], "o", 3, 0);
	fake_client_release(&mds, &client[0]);
	ck_assert_uint_eq(fake_inode_refs(file[0]), 2);
}
END_TEST

START_TEST(others_differ)
{
	stateid4 sid[1000];

	for (unsigned i = 0; i < 1000; i++) {
		char name[8];
		snprintf(name, sizeof name, "%u", i);
		sid[i] = do_open(&client[i & 1], file[i & 1], name, 1 + i % 3, 0);
		ck_assert_uint_eq(sid[i].seqid, 1);
		ck_assert(i == 0 || memcmp(sid[i].other, sid[i - 1].other, 4) == 0);
	}
	for (unsigned i = 0; i < 1000; i++) {
		struct state_obj *obj = get(&client[i & 1], &sid[i]);
		ck_assert_mem_eq(obj->other, sid[i].other, NFS4_OTHER_SIZE);
		ck_assert_ptr_null(state_lookup_locked(&mds, &client[!(i & 1)], &sid[i]));
	}
	/* A table of another life has other first words. */
	struct mds later;
	fake_mds_init(&later);
	struct client cl;
	fake_client_init(&cl, 1);
	struct open_ask ask = { .owner = "o", .owner_len = 1, .access = 1 };
	struct open_undo undo;
	stateid4 s;
	ck_assert_int_eq(open_add_locked(&later, &cl, file[0], &ask, &undo, &s), NFS4_OK);
	ck_assert(memcmp(s.other, sid[0].other, 4) != 0);
	fake_client_release(&later, &cl);
	fake_mds_end(&later);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("stateid");
	TCase *tc = tcase_create("stateid");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, matrix);
	tcase_add_test(tc, seqid_wraps);
	tcase_add_test(tc, special);
	tcase_add_test(tc, revoked_and_expired);
	tcase_add_test(tc, io_by_access);
	tcase_add_test(tc, io_special);
	tcase_add_test(tc, limits);
	tcase_add_test(tc, inodes_put_late);
	tcase_add_test(tc, others_differ);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
