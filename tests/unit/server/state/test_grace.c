/* The stable store over kills, and who may reclaim after which restart (RFC 8881 8.4.2). */
#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "server/mds.h"
#include "server/state/client.h"
#include "tests/unit/server/net/mds_fixture.h"
#include "tests/unit/server/net/wire.h"

/* ---- the store alone ---- */

static char dir[64];
static struct mds store;

static void
store_setup(void)
{
	memset(&store, 0, sizeof store);
	strcpy(dir, "/tmp/test-stable-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void
store_teardown(void)
{
	char path[128];
	snprintf(path, sizeof path, "%s/state.mdb", dir);
	unlink(path);
	snprintf(path, sizeof path, "%s/state.mdb-lock", dir);
	unlink(path);
	ck_assert_int_eq(rmdir(dir), 0);
}

static unsigned nfound;
static bool found_long;

static void
count(const void *ownerid, uint32_t len, void *arg)
{
	nfound++;
	if (len == NFS4_OPAQUE_LIMIT)
		found_long = memcmp(ownerid, arg, len) == 0;
}

/* A life that ends by SIGKILL after it has added NAMES and, if OVER, ended its grace. */
static void
life(const char *const *names, bool over, const char *gone)
{
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		bool ok = stable_open(&store, dir) == 0 && stable_begin(&store) == 0;
		for (; *names; names++)
			ok &= stable_client_add(&store, *names, (uint32_t)strlen(*names)) == 0;
		if (over)
			ok &= stable_former_drop(&store) == 0;
		if (gone)
			ok &= stable_client_remove(&store, gone, (uint32_t)strlen(gone)) == 0;
		if (!ok)
			_exit(1);
		raise(SIGKILL);
	}
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFSIGNALED(status));
}

/* How many may reclaim in the next life; which is begun by asking. */
static unsigned
former(void)
{
	nfound = 0;
	ck_assert_int_eq(stable_open(&store, dir), 0);
	ck_assert_int_eq(stable_begin(&store), 0);
	ck_assert_int_eq(stable_former_each(&store, count, NULL), 0);
	stable_close(&store);
	return nfound;
}

START_TEST(lives)
{
	life((const char *const[]){ "a", "b", "c", NULL }, true, "b");
	ck_assert_uint_eq(former(), 2);
	/* That one ended within its grace: they may still come, and what it recorded itself is void. */
	life((const char *const[]){ "x", NULL }, false, NULL);
	ck_assert_uint_eq(former(), 2);
	/* Only a has come back before the grace was over: c may not reclaim after the next restart. */
	life((const char *const[]){ "a", NULL }, true, NULL);
	ck_assert_uint_eq(former(), 1);
	life((const char *const[]){ NULL }, true, NULL);
	ck_assert_uint_eq(former(), 0);
}
END_TEST

START_TEST(long_owners)
{
	char owner[NFS4_OPAQUE_LIMIT];
	memset(owner, 'o', sizeof owner);
	ck_assert_int_eq(stable_open(&store, dir), 0);
	ck_assert_int_eq(stable_begin(&store), 0);
	ck_assert_int_eq(stable_client_add(&store, owner, sizeof owner), 0);
	ck_assert_int_eq(stable_client_add(&store, owner, sizeof owner), 0);
	ck_assert_int_eq(stable_client_add(&store, owner, sizeof owner - 1), 0);
	ck_assert_int_eq(stable_client_remove(&store, "nobody", 6), 0);
	ck_assert_int_eq(stable_former_drop(&store), 0);
	ck_assert_int_eq(stable_begin(&store), 0);
	nfound = 0;
	ck_assert_int_eq(stable_former_each(&store, count, owner), 0);
	ck_assert_uint_eq(nfound, 2);
	ck_assert(found_long);
	stable_close(&store);
}
END_TEST

static uint64_t keys[8];
static unsigned nkeys;

static void
note_key(uint64_t key, void *arg)
{
	/* May change the store it is called from. */
	ck_assert_int_eq(stable_key_remove(&store, arg, key), 0);
	keys[nkeys++] = key;
}

START_TEST(scsi_keys)
{
	ck_assert_int_eq(stable_open(&store, dir), 0);
	ck_assert_int_eq(stable_key_add(&store, "lun", 0x1122334455667788), 0);
	ck_assert_int_eq(stable_key_add(&store, "lun", 2), 0);
	ck_assert_int_eq(stable_key_add(&store, "lun2", 3), 0);
	ck_assert_int_eq(stable_key_add(&store, "lu", 4), 0);
	stable_close(&store);
	ck_assert_int_eq(stable_open(&store, dir), 0);
	ck_assert_int_eq(stable_begin(&store), 0);
	ck_assert_int_eq(stable_key_each(&store, "lun", note_key, (void *)(uintptr_t)"lun"), 0);
	ck_assert_uint_eq(nkeys, 2);
	ck_assert_uint_eq(keys[0] + keys[1], 0x112233445566778a);
	nkeys = 0;
	ck_assert_int_eq(stable_key_each(&store, "lun", note_key, (void *)(uintptr_t)"lun"), 0);
	ck_assert_uint_eq(nkeys, 0);
	ck_assert_int_eq(stable_key_each(&store, "lun2", note_key, (void *)(uintptr_t)"lun2"), 0);
	ck_assert_uint_eq(nkeys, 1);
	stable_close(&store);
}
END_TEST

/* ---- a server over restarts ---- */

static struct mds_fixture fx;
static struct wire w;
static struct wire_call call;
static struct compound_results r;

static void
server_setup(void)
{
	mds_fixture_start(&fx, 90, 90);
}

static void
server_teardown(void)
{
	mds_fixture_stop(&fx);
}

static nfsstat4
reclaim_status(const struct wire_session *s)
{
	pthread_mutex_lock(&fx.mds->state_lock);
	struct client *client = client_find_locked(fx.mds, s->clientid);
	ck_assert_ptr_nonnull(client);
	nfsstat4 status = grace_check_reclaim_locked(fx.mds, client);
	pthread_mutex_unlock(&fx.mds->state_lock);
	return status;
}

static void
complete(struct wire_session *s)
{
	RECLAIM_COMPLETE4args rc = { .rca_one_fs = FALSE };
	wire_begin_seq(&call, s, 0, true, true);
	wire_op(&call, OP_RECLAIM_COMPLETE, &rc);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4_OK);
}

static bool
grace_ends(void)
{
	for (unsigned i = 0; i < 300 && grace_active(fx.mds); i++)
		usleep(10000);
	return !grace_active(fx.mds);
}

START_TEST(grace)
{
	struct wire_session a, b, c;
	/* Nobody on record: none. */
	ck_assert(!grace_active(fx.mds));
	wire_connect(&w, fx.port);
	wire_session(&w, "a", &a);
	wire_session(&w, "b", &b);
	ck_assert_int_eq(reclaim_status(&a), NFS4ERR_NO_GRACE);
	wire_close(&w);

	mds_fixture_restart(&fx);
	ck_assert(grace_active(fx.mds));
	wire_connect(&w, fx.port);
	/* The old client ID is of a former life. */
	ck_assert_int_eq(wire_create_session(&w, a.clientid, 2, 0, NULL, NULL), NFS4ERR_STALE_CLIENTID);
	wire_session(&w, "a", &a);
	wire_session(&w, "c", &c);
	ck_assert_int_eq(reclaim_status(&a), NFS4_OK);
	ck_assert_int_eq(reclaim_status(&c), NFS4ERR_RECLAIM_BAD);	/* D3: not on record */
	complete(&a);
	ck_assert_int_eq(reclaim_status(&a), NFS4ERR_NO_GRACE);		/* D3: it has said it was done */
	complete(&c);
	ck_assert(grace_active(fx.mds));
	wire_close(&w);

	/* Again before b has come: both still may. */
	mds_fixture_restart(&fx);
	wire_connect(&w, fx.port);
	wire_session(&w, "b", &b);
	wire_session(&w, "a", &a);
	wire_session(&w, "c", &c);
	ck_assert_int_eq(reclaim_status(&a), NFS4_OK);
	ck_assert_int_eq(reclaim_status(&b), NFS4_OK);
	ck_assert_int_eq(reclaim_status(&c), NFS4ERR_RECLAIM_BAD);
	complete(&b);
	complete(&a);
	ck_assert(grace_ends());						/* D5: long before 90 s */
	ck_assert_int_eq(reclaim_status(&c), NFS4ERR_NO_GRACE);
	wire_close(&w);
}
END_TEST

START_TEST(destroyed_clients)
{
	struct wire_session a;
	wire_connect(&w, fx.port);
	wire_session(&w, "a", &a);
	DESTROY_SESSION4args ds;
	DESTROY_CLIENTID4args dc = { .dca_clientid = a.clientid };
	memcpy(ds.dsa_sessionid, a.id, sizeof a.id);
	wire_begin(&call, 1, "");
	wire_op(&call, OP_DESTROY_SESSION, &ds);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4_OK);
	wire_begin(&call, 1, "");
	wire_op(&call, OP_DESTROY_CLIENTID, &dc);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4_OK);
	wire_close(&w);
	mds_fixture_restart(&fx);
	ck_assert(!grace_active(fx.mds));
}
END_TEST

START_TEST(expired_clients)
{
	struct wire_session a, b;
	wire_connect(&w, fx.port);
	wire_session(&w, "a", &a);
	wire_session(&w, "b", &b);
	pthread_mutex_lock(&fx.mds->state_lock);
	atomic_store(&client_find_locked(fx.mds, a.clientid)->renewed_ms, mds_now_ms() - 91000);
	pthread_mutex_unlock(&fx.mds->state_lock);
	/* What does not succeed does not renew (PITFALLS C4). */
	a.seq[0] = 17;
	wire_begin_seq(&call, &a, 0, true, false);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4ERR_SEQ_MISORDERED);
	lease_expire(fx.mds, mds_now_ms());
	a.seq[0] = 0;
	wire_begin_seq(&call, &a, 0, true, false);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4ERR_BADSESSION);
	wire_begin_seq(&call, &b, 0, true, false);
	ck_assert_int_eq(wire_compound(&w, &call, &r), NFS4_OK);
	wire_close(&w);
	mds_fixture_restart(&fx);
	wire_connect(&w, fx.port);
	wire_session(&w, "a", &a);
	wire_session(&w, "b", &b);
	ck_assert_int_eq(reclaim_status(&a), NFS4ERR_RECLAIM_BAD);
	ck_assert_int_eq(reclaim_status(&b), NFS4_OK);
	wire_close(&w);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("grace");
	TCase *tc = tcase_create("store");
	tcase_set_timeout(tc, 30);
	tcase_add_checked_fixture(tc, store_setup, store_teardown);
	tcase_add_test(tc, lives);
	tcase_add_test(tc, long_owners);
	tcase_add_test(tc, scsi_keys);
	suite_add_tcase(suite, tc);
	tc = tcase_create("server");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, server_setup, server_teardown);
	tcase_add_test(tc, grace);
	tcase_add_test(tc, destroyed_clients);
	tcase_add_test(tc, expired_clients);
	suite_add_tcase(suite, tc);
	SRunner *sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
