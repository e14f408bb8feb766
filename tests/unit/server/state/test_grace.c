/* The stable store over kills, and who may reclaim after which restart (RFC 8881 8.4.2). */
#include <check.h>
#include <errno.h>
#include <netinet/in.h>
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

/* ---- holders ---- */

static const struct stable_holder holder_a = { .clientid = 0x1122334455667788, .device = "lun", .ownerid = (const uint8_t *)"owner a",
	.ownerid_len = 7, .verifier = { 1, 2, 3, 4, 5, 6, 7, 8 }, .layout_type = 3, .lease = 90, .max_io_time = 30, .key = 42,
	.addr.ss_family = AF_INET };
static unsigned nholders;

static int
note_holder(const struct stable_holder *h, void *arg)
{
	const struct stable_holder *want = arg;
	nholders++;
	if (!want || h->clientid != want->clientid || strcmp(h->device, want->device))
		return 0;
	ck_assert_uint_eq(h->ownerid_len, want->ownerid_len);
	ck_assert_mem_eq(h->ownerid, want->ownerid, want->ownerid_len);
	ck_assert_mem_eq(h->verifier, want->verifier, sizeof h->verifier);
	ck_assert_uint_eq(h->layout_type, want->layout_type);
	ck_assert_uint_eq(h->lease, want->lease);
	ck_assert_uint_eq(h->max_io_time, want->max_io_time);
	ck_assert_uint_eq(h->key, want->key);
	ck_assert_int_eq(h->addr.ss_family, want->addr.ss_family);
	ck_assert_mem_eq(&((const struct sockaddr_in *)(const void *)&h->addr)->sin_addr,
	    &((const struct sockaddr_in *)(const void *)&want->addr)->sin_addr, 4);
	return 0;
}

/* As long as one is there, a life that begins is in grace, whoever may reclaim. */
START_TEST(holders)
{
	struct stable_holder a = holder_a, b = holder_a;
	((struct sockaddr_in *)(void *)&a.addr)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	b.device = "lun2";
	store.conf.lease = 17;
	ck_assert_int_eq(stable_open(&store, dir), 0);
	ck_assert_int_eq(stable_begin(&store), 0);
	ck_assert_uint_eq(stable_former_lease(&store), 0);
	ck_assert_int_eq(stable_holder_put(&store, &b), 0);
	a.key = 41;
	ck_assert_int_eq(stable_holder_put(&store, &a), 0);
	a.key = 42;
	ck_assert_int_eq(stable_holder_put(&store, &a), 0);	/* the same with another key */
	ck_assert_int_eq(stable_holders_remove(&store, &b, 1), 0);
	ck_assert_int_eq(stable_holders_remove(&store, &b, 1), 0);
	stable_close(&store);
	/* Two lives, the first of which ends in its grace, with a shorter lease. */
	for (unsigned i = 0; i < 2; i++) {
		nholders = 0;
		store.conf.lease = 5;
		ck_assert_int_eq(stable_open(&store, dir), 0);
		ck_assert_int_eq(stable_begin(&store), 0);
		ck_assert_uint_eq(stable_former_lease(&store), 17);
		ck_assert_int_eq(stable_holder_each(&store, note_holder, &a), 0);
		ck_assert_uint_eq(nholders, 1);
		if (i == 1)
			ck_assert_int_eq(stable_former_drop(&store), 0);
		stable_close(&store);
	}
	nholders = 0;
	ck_assert_int_eq(stable_open(&store, dir), 0);
	ck_assert_int_eq(stable_begin(&store), 0);
	ck_assert_int_eq(stable_holder_each(&store, note_holder, NULL), 0);
	ck_assert_uint_eq(nholders, 0);
	ck_assert_uint_eq(stable_former_lease(&store), 0);
	stable_close(&store);
}
END_TEST

/* ---- damage ---- */

#define MANY 300u

static void
many_name(char name[16], unsigned i)
{
	snprintf(name, 16, "client %u", i);
}

static void
store_fill(void)
{
	struct stable_holder h = holder_a;
	char name[16];
	ck_assert_int_eq(stable_open(&store, dir), 0);
	ck_assert_int_eq(stable_begin(&store), 0);
	for (unsigned i = 0; i < MANY; i++) {
		many_name(name, i);
		ck_assert_int_eq(stable_client_add(&store, name, (uint32_t)strlen(name)), 0);
		h.clientid = i;
		ck_assert_int_eq(stable_holder_put(&store, &h), 0);
		ck_assert_int_eq(stable_key_add(&store, "lun", i + 1), 0);
	}
	stable_close(&store);
}

static uint8_t *image;
static size_t image_len;

static void
image_read(void)
{
	char path[128];
	snprintf(path, sizeof path, "%s/state.mdb", dir);
	FILE *f = fopen(path, "r");
	ck_assert_ptr_nonnull(f);
	fseek(f, 0, SEEK_END);
	image_len = (size_t)ftell(f);
	rewind(f);
	image = malloc(image_len);
	ck_assert_uint_eq(fread(image, 1, image_len, f), image_len);
	fclose(f);
}

static void
image_write(size_t len)
{
	char path[128];
	snprintf(path, sizeof path, "%s/state.mdb", dir);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(image, 1, len, f), len);
	fclose(f);
}

static void
sum_key(uint64_t key, void *arg)
{
	*(uint64_t *)arg += key;
}

/* All of it is there, and nothing else. */
static bool
store_whole(void)
{
	uint64_t sum = 0;
	nfound = nholders = 0;
	bool ok = stable_begin(&store) == 0 && stable_former_each(&store, count, NULL) == 0 && nfound == MANY &&
	    stable_holder_each(&store, note_holder, NULL) == 0 && nholders == MANY &&
	    stable_key_each(&store, "lun", sum_key, &sum) == 0 && sum == MANY * (MANY + 1) / 2;
	stable_close(&store);
	return ok;
}

/* Cut short anywhere: the server does not start.  Never with less than there was. */
START_TEST(truncated)
{
	unsigned refused = 0;
	store_fill();
	image_read();
	for (size_t len = 0; len < image_len; len += len < 8192 ? 2000 : 8192) {
		image_write(len);
		int err = stable_open(&store, dir);
		ck_assert_msg(err < 0 || store_whole(), "cut to %zu", len);
		refused += err == -EUCLEAN;
	}
	ck_assert_uint_ge(refused, (unsigned)(image_len / 8192) / 2);
	image_write(image_len);
	ck_assert_int_eq(stable_open(&store, dir), 0);
	ck_assert(store_whole());
	free(image);
}
END_TEST

/* Bytes changed: found out, or of no consequence. */
START_TEST(changed)
{
	unsigned refused = 0, seed = 1;
	store_fill();
	image_read();
	for (unsigned i = 0; i < 200; i++) {
		/* Not the first two pages: an older one of the two is a whole older state. */
		size_t at = 8192 + (size_t)rand_r(&seed) % (image_len - 8192), n = i % 3 ? 1 : 64;
		uint8_t old[64];
		n = n < image_len - at ? n : image_len - at;
		memcpy(old, image + at, n);
		for (size_t k = 0; k < n; k++)
			image[at + k] ^= (uint8_t)(1 + rand_r(&seed) % 255);
		image_write(image_len);
		int err = stable_open(&store, dir);
		ck_assert_msg(err < 0 || store_whole(), "change %u of %zu bytes at %zu", i, n, at);
		refused += err == -EUCLEAN;
		memcpy(image + at, old, n);
	}
	ck_assert_uint_gt(refused, 20);
	free(image);
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

/* Is it over at NOW_MS?  What a fencer is looking at takes another turn. */
static bool
grace_over_at(uint64_t now_ms)
{
	for (unsigned i = 0; i < 300 && grace_active(fx.mds); i++) {
		grace_tick(fx.mds, now_ms);
		usleep(1000);
	}
	return !grace_active(fx.mds);
}

/* A client of before that may still write: its lease and the maximum I/O time, though nobody may reclaim; then it is forgotten. */
START_TEST(former_holder)
{
	ck_assert_int_eq(stable_holder_put(fx.mds, &holder_a), 0);
	mds_fixture_restart(&fx);
	ck_assert(grace_active(fx.mds));
	uint64_t now = mds_now_ms();
	grace_tick(fx.mds, now + 118000);
	ck_assert(grace_active(fx.mds));
	/* Killed in it: all of it again. */
	mds_fixture_restart(&fx);
	now = mds_now_ms();
	grace_tick(fx.mds, now + 118000);
	ck_assert(grace_active(fx.mds));
	ck_assert(grace_over_at(now + 121000));
	mds_fixture_restart(&fx);
	ck_assert(!grace_active(fx.mds));
}
END_TEST

/* It comes back: as it was, it is done with when it says so; another instance's word is not about I/O of the old one. */
START_TEST(former_holder_back)
{
	struct wire_session s;
	struct stable_holder a = holder_a;
	a.ownerid = (const uint8_t *)"a";
	a.ownerid_len = 1;
	for (int same = 0; same < 2; same++) {
		wire_connect(&w, fx.port);
		wire_session(&w, "a", &s);
		pthread_mutex_lock(&fx.mds->state_lock);
		memcpy(a.verifier, client_find_locked(fx.mds, s.clientid)->verifier, sizeof a.verifier);
		pthread_mutex_unlock(&fx.mds->state_lock);
		a.verifier[0] ^= !same;
		ck_assert_int_eq(stable_holder_put(fx.mds, &a), 0);
		wire_close(&w);
		mds_fixture_restart(&fx);
		wire_connect(&w, fx.port);
		wire_session(&w, "a", &s);
		uint64_t now = mds_now_ms();
		complete(&s);
		ck_assert_int_eq(grace_over_at(now), same);
		ck_assert_int_eq(grace_over_at(now + 29000), same);
		ck_assert(grace_over_at(now + 32000));
		wire_close(&w);
	}
}
END_TEST

static void
server_setup_no_grace(void)
{
	mds_fixture_start(&fx, 90, 0);
}

/* RFC 8881 8.4.2.1: whatever is configured, the lease of the life before. */
START_TEST(grace_is_no_shorter_than_the_lease)
{
	struct wire_session a;
	wire_connect(&w, fx.port);
	wire_session(&w, "a", &a);
	wire_close(&w);
	mds_fixture_restart(&fx);
	uint64_t now = mds_now_ms();
	grace_tick(fx.mds, now + 88000);
	ck_assert(grace_active(fx.mds));
	grace_tick(fx.mds, now + 91000);
	ck_assert(!grace_active(fx.mds));
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
	tcase_add_test(tc, holders);
	suite_add_tcase(suite, tc);
	tc = tcase_create("damage");
	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, store_setup, store_teardown);
	tcase_add_test(tc, truncated);
	tcase_add_test(tc, changed);
	suite_add_tcase(suite, tc);
	tc = tcase_create("server");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, server_setup, server_teardown);
	tcase_add_test(tc, grace);
	tcase_add_test(tc, destroyed_clients);
	tcase_add_test(tc, expired_clients);
	tcase_add_test(tc, former_holder);
	tcase_add_test(tc, former_holder_back);
	suite_add_tcase(suite, tc);
	tc = tcase_create("no grace");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, server_setup_no_grace, server_teardown);
	tcase_add_test(tc, grace_is_no_shorter_than_the_lease);
	suite_add_tcase(suite, tc);
	SRunner *sr = srunner_create(suite);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
