/* Share reservations against a brute-force model; upgrade, downgrade, undo; nothing left after release. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "server/state/file.h"
#include "server/state/lock.h"
#include "tests/unit/server/state/fake_state.h"

#define OWNERS 4

static struct mds mds;
static struct client client[2];
static struct inode *file;

static void
setup(void)
{
	fake_mds_init(&mds);
	fake_client_init(&client[0], 1);
	fake_client_init(&client[1], 2);
	file = fake_inode_new(S_IFREG);
}

static void
teardown(void)
{
	fake_client_release(&mds, &client[0]);
	fake_client_release(&mds, &client[1]);
	fake_mds_end(&mds);
	fake_inode_free(file);
}

/* Owners 0 and 1 are of client 0, 2 and 3 of client 1; 0 and 2 have the same name. */
static nfsstat4
do_open(unsigned owner, uint32_t access, uint32_t deny, struct open_undo *undo, stateid4 *sid)
{
	struct open_ask ask = { .owner = owner & 1 ? "odd" : "even", .owner_len = 3, .access = access, .deny = deny,
		.uid = owner };
	struct open_undo ignored;

	return open_add_locked(&mds, &client[owner / 2], file, &ask, undo ? undo : &ignored, sid);
}

static struct open_state *
get(unsigned owner, const stateid4 *sid)
{
	return (struct open_state *)state_lookup_locked(&mds, &client[owner / 2], sid);
}

static void
do_close(struct open_state *open)
{
	struct inode *iref;

	open_close_locked(&mds, open, &iref);
	inode_put(iref);
}

/* 3 x 3 accesses, 4 x 4 denials, by the same and by different owners and clients. */
START_TEST(matrix)
{
	stateid4 s1, s2;

	for (unsigned other = 0; other < OWNERS; other++)
		for (uint32_t n = 0; n < 3 * 3 * 4 * 4; n++) {
			uint32_t a1 = 1 + n % 3, a2 = 1 + n / 3 % 3, d1 = n / 9 % 4, d2 = n / 36;
			bool conflict = (a2 & d1) || (d2 & a1);
			ck_assert_int_eq(do_open(0, a1, d1, NULL, &s1), NFS4_OK);
			ck_assert_int_eq(open_conflict_locked(file, a2, d2), conflict);
			ck_assert_int_eq(do_open(other, a2, d2, NULL, &s2),
			    conflict ? NFS4ERR_SHARE_DENIED : NFS4_OK);
			if (!conflict) {
				bool same = !memcmp(s1.other, s2.other, sizeof s1.other);
				ck_assert_int_eq(same, other == 0);
				ck_assert_uint_eq(s2.seqid, same ? 2 : 1);
			}
			fake_client_release(&mds, &client[0]);
			fake_client_release(&mds, &client[1]);
			ck_assert_ptr_null(file->state);
		}
}
END_TEST

/* The model: every OPEN of every owner since its last CLOSE. */
static struct model {
	unsigned n;
	uint32_t access[32], deny[32];
	stateid4 sid;
} model[OWNERS];

static void
model_union(const struct model *m, uint32_t *access, uint32_t *deny)
{
	*access = *deny = 0;
	for (unsigned i = 0; i < m->n; i++) {
		*access |= m->access[i];
		*deny |= m->deny[i];
	}
}

static void
model_open(unsigned owner)
{
	struct model *m = &model[owner];
	uint32_t a = 1 + fake_random(3), d = fake_random(8) ? 0 : fake_random(4), ua, ud;
	bool conflict = false;
	stateid4 sid;

	for (unsigned i = 0; i < OWNERS; i++) {
		model_union(&model[i], &ua, &ud);
		conflict |= (a & ud) || (d & ua);
	}
	ck_assert_int_eq(do_open(owner, a, d, NULL, &sid), conflict ? NFS4ERR_SHARE_DENIED : NFS4_OK);
	if (conflict)
		return;
	ck_assert_uint_eq(sid.seqid, m->n ? m->sid.seqid + 1 : 1);
	m->sid = sid;
	m->access[m->n] = a;
	m->deny[m->n++] = d;
}

/* May the owner go back to (a, d)?  Over all subsets of its OPENs. */
static bool
model_reachable(const struct model *m, uint32_t a, uint32_t d)
{
	bool access = false, deny = false;

	for (uint32_t set = 1; set < 1u << m->n; set++) {
		uint32_t ua = 0, ud = 0;
		for (unsigned i = 0; i < m->n; i++)
			if (set >> i & 1) {
				ua |= m->access[i];
				ud |= m->deny[i];
			}
		access |= ua == a;
		deny |= ud == d;
	}
	return access && deny;
}

static void
model_downgrade(unsigned owner)
{
	struct model *m = &model[owner];
	uint32_t a = 1 + fake_random(3), d = fake_random(4);
	stateid4 sid;

	if (!m->n)
		return;
	bool may = model_reachable(m, a, d);
	nfsstat4 status = open_downgrade_locked(get(owner, &m->sid), a, d, &sid);
	ck_assert_int_eq(status, may ? NFS4_OK : NFS4ERR_INVAL);
	if (!may)
		return;
	ck_assert_uint_eq(sid.seqid, m->sid.seqid + 1);
	m->sid = sid;
	unsigned n = 0;
	for (unsigned i = 0; i < m->n; i++)
		if (!(m->access[i] & ~a) && !(m->deny[i] & ~d)) {
			m->access[n] = m->access[i];
			m->deny[n++] = m->deny[i];
		}
	m->access[n] = a;
	m->deny[n++] = d;
	m->n = n;
}

static void
model_check(void)
{
	for (unsigned i = 0; i < OWNERS; i++) {
		uint32_t a, d;
		if (!model[i].n)
			continue;
		model_union(&model[i], &a, &d);
		struct open_state *open = get(i, &model[i].sid);
		ck_assert_uint_eq(open->access, a);
		ck_assert_uint_eq(open->deny, d);
	}
	for (unsigned c = 0; c < 2; c++) {
		bool any = model[2 * c].n || model[2 * c + 1].n;
		ck_assert_int_eq(open_held_locked(file, &client[c], false), any);
		uint32_t a0, a1, d;
		model_union(&model[2 * c], &a0, &d);
		model_union(&model[2 * c + 1], &a1, &d);
		ck_assert_int_eq(open_held_locked(file, &client[c], true), (a0 | a1) >> 1);
	}
}

START_TEST(random_against_model)
{
	memset(model, 0, sizeof model);
	for (unsigned step = 0; step < 40000; step++) {
		unsigned owner = fake_random(OWNERS);
		struct model *m = &model[owner];
		switch (fake_random(4)) {
		case 0:
		case 1:
			if (m->n < 8)
				model_open(owner);
			break;
		case 2:
			model_downgrade(owner);
			break;
		default:
			if (m->n) {
				do_close(get(owner, &m->sid));
				ck_assert_ptr_null(get(owner, &m->sid));
				m->n = 0;
			}
		}
		model_check();
	}
}
END_TEST

START_TEST(downgrade_history)
{
	stateid4 sid;

	/* READ, then BOTH: back to READ, and then BOTH is gone (RFC 8881 18.18.3). */
	ck_assert_int_eq(do_open(0, 1, 0, NULL, &sid), NFS4_OK);
	struct open_state *open = get(0, &sid);
	ck_assert_int_eq(open_downgrade_locked(open, 2, 0, &sid), NFS4ERR_INVAL);
	ck_assert_int_eq(open_downgrade_locked(open, 3, 0, &sid), NFS4ERR_INVAL);
	ck_assert_int_eq(do_open(0, 3, 0, NULL, &sid), NFS4_OK);
	ck_assert_int_eq(open_downgrade_locked(open, 2, 0, &sid), NFS4ERR_INVAL);
	ck_assert_int_eq(open_downgrade_locked(open, 1, 0, &sid), NFS4_OK);
	ck_assert_uint_eq(sid.seqid, 3);
	ck_assert_int_eq(open_downgrade_locked(open, 3, 0, &sid), NFS4ERR_INVAL);
	ck_assert_int_eq(open_downgrade_locked(open, 1, 0, &sid), NFS4_OK);	/* no change, still counted */
	ck_assert_uint_eq(sid.seqid, 4);
	/* READ and WRITE opened one by one make BOTH. */
	ck_assert_int_eq(do_open(0, 2, 0, NULL, &sid), NFS4_OK);
	ck_assert_int_eq(open_downgrade_locked(open, 3, 0, &sid), NFS4_OK);
	ck_assert_int_eq(open_downgrade_locked(open, 2, 0, &sid), NFS4_OK);
	/* A denial that every OPEN had cannot be dropped. */
	do_close(open);
	ck_assert_int_eq(do_open(0, 3, 3, NULL, &sid), NFS4_OK);
	ck_assert_int_eq(open_downgrade_locked(get(0, &sid), 3, 0, &sid), NFS4ERR_INVAL);
}
END_TEST

START_TEST(undo)
{
	struct open_undo u;
	struct inode *iref;
	stateid4 s1, s2, s3;

	ck_assert_int_eq(do_open(0, 1, 0, &u, &s1), NFS4_OK);
	open_undo_locked(&mds, &client[0], &u, &iref);
	inode_put(iref);
	ck_assert_ptr_null(file->state);

	/* An upgrade goes back, seqid and all. */
	ck_assert_int_eq(do_open(0, 1, 0, NULL, &s1), NFS4_OK);
	ck_assert_int_eq(do_open(0, 2, 2, &u, &s2), NFS4_OK);	/* denies WRITE, which nobody else has */
	open_undo_locked(&mds, &client[0], &u, &iref);
	ck_assert_ptr_null(iref);
	struct open_state *open = get(0, &s1);
	ck_assert_uint_eq(open->obj.seqid, 1);
	ck_assert_uint_eq(open->access, 1);
	ck_assert_uint_eq(open->deny, 0);
	ck_assert_int_eq(do_open(2, 2, 0, NULL, &s3), NFS4_OK);		/* nothing denies it */
	do_close(get(2, &s3));

	/* A parallel OPEN came between: what was promised to it stays. */
	ck_assert_int_eq(do_open(0, 2, 0, &u, &s2), NFS4_OK);
	ck_assert_int_eq(do_open(0, 2, 0, NULL, &s3), NFS4_OK);
	open_undo_locked(&mds, &client[0], &u, &iref);
	ck_assert_ptr_null(iref);
	ck_assert_uint_eq(open->access, 3);
	ck_assert_uint_eq(open->obj.seqid, s3.seqid);

	/* And so does a CLOSE. */
	ck_assert_int_eq(do_open(0, 2, 0, &u, &s2), NFS4_OK);
	do_close(open);
	open_undo_locked(&mds, &client[0], &u, &iref);
	ck_assert_ptr_null(iref);
}
END_TEST

START_TEST(users_differ)
{
	struct open_ask ask = { .owner = "o", .owner_len = 1, .access = 1, .uid = 7 };
	struct open_undo u;
	stateid4 sid;

	ck_assert_int_eq(open_add_locked(&mds, &client[0], file, &ask, &u, &sid), NFS4_OK);
	struct open_state *open = get(0, &sid);
	ck_assert(open->uid == 7 && !open->mixed);
	ask.uid = 8;
	ck_assert_int_eq(open_add_locked(&mds, &client[0], file, &ask, &u, &sid), NFS4_OK);
	ck_assert(open->mixed);
}
END_TEST

/* Release in the client's order, with locks before and after their opens in it. */
START_TEST(release_all)
{
	for (unsigned i = 0; i < 50; i++) {
		char name[8];
		uint32_t len = (uint32_t)snprintf(name, sizeof name, "%u", i);
		struct open_ask ask = { .owner = name, .owner_len = len, .access = 3 };
		struct open_undo u;
		stateid4 sid;
		const struct lock_range *denied;
		ck_assert_int_eq(open_add_locked(&mds, &client[i & 1], file, &ask, &u, &sid), NFS4_OK);
		for (unsigned k = 0; k < 3; k++) {
			struct lock_ask lask = { .start = 100 * i + 10 * k, .end = 100 * i + 10 * k + 5, .write = true,
				.owner = k ? "same" : name, .owner_len = k ? 4 : len };
			ck_assert_int_eq(lock_set_locked(&mds, u.open, NULL, &lask, &sid, &denied), NFS4_OK);
		}
	}
	ck_assert_uint_eq(client[0].nstates, 75);
	ck_assert_uint_eq(client[0].nranges, 75);
	ck_assert_uint_eq(HASH_COUNT(client[0].owners), 25 + 25 + 1);
	fake_client_release(&mds, &client[0]);
	ck_assert(open_any_locked(file) && !open_held_locked(file, &client[0], false));
	ck_assert_uint_eq(client[1].nstates, 75);
}
END_TEST

START_TEST(owner_names)
{
	static uint8_t name[NFS4_OPAQUE_LIMIT + 1];
	struct owner *a = owner_get_locked(&client[0], OWNER_OPEN, name, NFS4_OPAQUE_LIMIT);
	struct owner *b = owner_get_locked(&client[0], OWNER_LOCK, name, NFS4_OPAQUE_LIMIT);
	struct owner *none = owner_get_locked(&client[0], OWNER_OPEN, NULL, 0);

	ck_assert(a && b && a != b && none);
	ck_assert_ptr_eq(owner_get_locked(&client[0], OWNER_OPEN, name, NFS4_OPAQUE_LIMIT), a);
	ck_assert_ptr_eq(owner_find_locked(&client[0], OWNER_OPEN, name, 0), none);
	ck_assert_ptr_null(owner_find_locked(&client[1], OWNER_OPEN, name, 0));
	ck_assert_ptr_null(owner_get_locked(&client[0], OWNER_OPEN, name, NFS4_OPAQUE_LIMIT + 1));
	ck_assert_ptr_null(owner_find_locked(&client[0], OWNER_OPEN, name, NFS4_OPAQUE_LIMIT - 1));
	owner_put_locked(&client[0], a);
	owner_put_locked(&client[0], a);
	owner_put_locked(&client[0], b);
	owner_put_locked(&client[0], none);
	ck_assert_ptr_null(client[0].owners);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("open");
	TCase *tc = tcase_create("open");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, matrix);
	tcase_add_test(tc, random_against_model);
	tcase_add_test(tc, downgrade_history);
	tcase_add_test(tc, undo);
	tcase_add_test(tc, users_differ);
	tcase_add_test(tc, release_all);
	tcase_add_test(tc, owner_names);
	suite_add_tcase(suite, tc);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
