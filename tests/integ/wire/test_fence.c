/*
 * Clients that do not return what is recalled (RFC 8881 12.5.5, 12.5.6; RFC 8154 2.4.10; PITFALLS A28, B1, B2, B4, B5, B7, B8, B12, B14).  Type 3 is fenced by
 * the script's command, which notes each call in $W/fences and ends as $W/fence.status says; type 5 by PREEMPT at the target.
 */
#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

#include "server/fence/iscsi_nexus.h"
#include "tests/integ/wire/wire.h"

static bool
scsi(void)
{
	return world.type == LAYOUT4_SCSI;
}

/* How often C was fenced, by the command's notes or the server's log. */
static unsigned
fences_of(const struct client *c)
{
	char cmd[512], who[64];
	/* as the server writes owners: what is no letter or digit is an underscore */
	snprintf(who, sizeof who, "%s", c->owner);
	for (char *p = who; *p; p++)
		if (*p == ' ')
			*p = '_';
	char link[64], image[300];
	snprintf(link, sizeof link, "/proc/self/fd/%d", world.image);
	ssize_t n = readlink(link, image, sizeof image - 1);
	REQUIRE(n > 0);
	image[n] = 0;
	*strrchr(image, '/') = 0;
	snprintf(cmd, sizeof cmd, scsi() ? "grep -c '%s: fenced\\|%s: cut off' %s/mds.log" : "grep -c '%s' %s%s/fences", who,
	    scsi() ? who : "", image);
	return (unsigned)atoi(world_ask(cmd));
}

static struct client *silent, *other;
static struct file *f, *g;

static struct layout *
begin(const char *name)
{
	silent = client_new("silent");
	other = client_new("other");
	local_make(name, MiB, 5);
	f = file_open(silent, name, READ_WRITE);
	g = file_open(other, name, READ_WRITE);
	struct layout *l = layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	silent->policy = CB_SILENT;
	return l;
}

/* Callbacks are never answered, but its lease is renewed. */
static uint64_t
wait_for_size(uint64_t size, unsigned ms)
{
	uint64_t began = now_ms();
	nfsstat4 status = NFS4ERR_DELAY;
	while (now_ms() - began < ms && (status = file_try_size(g, size)) == NFS4ERR_DELAY) {
		call_begin_slot(silent, 2);
		call_run(silent);
		world_pump(20);
	}
	STATUS(status, NFS4_OK);
	return now_ms() - began;
}

/* ---- tests ---- */

static void
fenced_may_not_commit(void)
{
	begin("f");
	stateid4 held = f->layout;
	uint64_t took = wait_for_size(512 * KiB, 8000);
	EXPECT_TRUE(took >= world.recall * 1000u - 200 && took < world.recall * 1000u + 2500);
	EXPECT(fences_of(silent), 1);
	/* the session lives; it is told, and what it held is void */
	silent->policy = CB_RETURN;
	call_begin(silent);
	OK(call_run(silent));
	EXPECT_TRUE(silent->status_flags & (SEQ4_STATUS_RECALLABLE_STATE_REVOKED | SEQ4_STATUS_ADMIN_STATE_REVOKED |
	    SEQ4_STATUS_EXPIRED_SOME_STATE_REVOKED));
	struct layout_range range = { 0, MiB };
	struct lcommit a = { .length = MiB, .stateid = &held, .has_last = true, .last = MiB - 1, .ranges = &range, .n = 1 };
	EXPECT_TRUE(layout_commit_as(f, &a, NULL) != NFS4_OK);
	EXPECT(local_size("f"), 512 * KiB);
	struct lget get = { world.type, LAYOUTIOMODE4_RW, 0, 4096, 4096, 4096, &held };
	EXPECT_TRUE(layout_get_as(f, &get)->status != NFS4_OK);
	/* TEST_STATEID tells, FREE_STATEID ends it (8.2.4, 18.38) */
	nfs_resop4 res;
	TEST_STATEID4args test = { { 1, &held } };
	call_begin(silent);
	call_op(silent, OP_TEST_STATEID, &test);
	OK(call_run(silent));
	OK(call_res(silent, OP_TEST_STATEID, &res));
	EXPECT_TRUE(res.nfs_resop4_u.optest_stateid.TEST_STATEID4res_u.tsr_resok4.tsr_status_codes.tsr_status_codes_val[0] != NFS4_OK);
	FREE_STATEID4args fs = { held };
	call_begin(silent);
	call_op(silent, OP_FREE_STATEID, &fs);
	OK(call_run(silent));
	STATUS(call_res(silent, OP_FREE_STATEID, NULL), NFS4_OK);
	call_begin(silent);
	OK(call_run(silent));
	call_begin(silent);
	OK(call_run(silent));
	EXPECT(silent->status_flags & SEQ4_STATUS_RECALLABLE_STATE_REVOKED, 0);
	/* through the MDS it goes on, and after that with a layout again, where it can be let in again (type 5: by a new registration) */
	f->held = false;
	uint8_t buf[4096] = { 0 };
	STATUS(file_write(f, 4096, buf, sizeof buf), NFS4_OK);
	if (scsi()) {
		struct layout *l = layout_need(f, LAYOUTIOMODE4_RW, 0, 4096);
		EXPECT_TRUE(client_key(silent, l->ext[0].device) != 0);
		EXPECT_TRUE(layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL) == NFS4_OK);
	}
}

/* The way to the target is cut (or the command fails): nothing goes on until the fence is confirmed. */
static void
unconfirmed(void)
{
	begin("f");
	REQUIRE(world_do("%s", scsi() ? "kill -STOP $TGT_PID" : "echo 1 >$W/fence.status") == 0);
	/* an open for reading does not wait for a lease on writing */
	pid_t local = world.kernel ? local_start(LOCAL_TRUNCATE, "f", 4096) : local_start(LOCAL_OPEN, "f", 0);
	uint64_t began = now_ms();
	unsigned slow = 0;
	bool early = false;
	while (now_ms() - began < world.recall * 1000u + 3500) {
		uint64_t t = now_ms();
		early |= file_try_size(g, 4096) != NFS4ERR_DELAY;
		/* and nobody else waits with it */
		struct nfs_attrs a;
		OK(file_attrs(g, &a));
		slow += now_ms() - t > 1000;
		call_begin_slot(silent, 2);
		call_run(silent);
		early |= local_wait(local, 100, NULL);
	}
	EXPECT(early, 0);
	EXPECT(slow, 0);
	EXPECT(local_size("f"), MiB);
	REQUIRE(world_do("%s", scsi() ? "kill -CONT $TGT_PID" : "echo 0 >$W/fence.status") == 0);
	uint64_t took = wait_for_size(4096, 20000);
	fprintf(stderr, "%" PRIu64 " ms from the healing of the way to the end\n", took);
	EXPECT_TRUE(local_wait(local, 3000, NULL));
	EXPECT(local_size("f"), 4096);
}

/* Fifty files of one holder: one fence. */
static void
one_fence(void)
{
	enum { N = 50 };
	char name[8];
	struct file *files[N];
	begin("first");
	for (unsigned i = 0; i < N; i++) {
		snprintf(name, sizeof name, "f%u", i);
		local_make(name, 65536, 5);
		silent->policy = CB_RETURN;
		layout_need(file_open(silent, name, READ_WRITE), LAYOUTIOMODE4_RW, 0, 65536);
		files[i] = file_open(other, name, READ_WRITE);
	}
	silent->policy = CB_SILENT;
	struct nexus *host = NULL;
	uint32_t generation = 0;
	uint64_t key = 0;
	if (scsi()) {
		host = host_login("fifty");
		struct layout *l = layout_get(f, LAYOUTIOMODE4_RW, 0, 4096, 4096);
		OK(l->status);
		key = client_key(silent, l->ext[0].device);
		REQUIRE(host_register(host, key) == 0);
		struct pr_status st = keys_now(host);
		EXPECT_TRUE(key_is_there(&st, key));
		generation = st.generation;
	}
	unsigned left = N;
	bool done[N] = { false };
	for (uint64_t began = now_ms(); left && now_ms() - began < 10000; world_pump(20))
		for (unsigned i = 0; i < N; i++)
			if (!done[i] && file_try_size(files[i], 4096) == NFS4_OK) {
				done[i] = true;
				left--;
			}
	EXPECT(left, 0);
	wait_for_size(4096, 5000);
	world_pump(500);
	EXPECT(fences_of(silent), 1);
	if (scsi()) {
		struct pr_status st = keys_now(host);
		EXPECT(st.generation - generation, 1);		/* one PREEMPT, no second for a key that is gone */
		EXPECT(key_is_there(&st, key), 0);
		nexus_close(host);
	}
}

/* The return comes shortly before the deadline, then shortly after it. */
static void
at_the_deadline(void)
{
	static const int offset[] = { -400, -30, 250 };
	char name[8];
	for (unsigned i = 0; i < 3; i++) {
		snprintf(name, sizeof name, "f%u", i);
		begin(name);
		silent->policy = CB_HOLD;
		STATUS(file_try_size(g, 4096), NFS4ERR_DELAY);
		REQUIRE(recall_wait(silent, 0, 1000));
		uint64_t deadline = recall_last(silent)->at + world.recall * 1000u;
		while ((int64_t)(deadline + offset[i] - now_ms()) > 0)
			world_pump(1 + (unsigned)(deadline + offset[i] - now_ms()));
		nfsstat4 status = layout_return_as(f, LAYOUTRETURN4_FILE, LAYOUTIOMODE4_ANY, 0, ALL, &recall_last(silent)->stateid, NULL);
		wait_for_size(4096, 4000);
		world_pump(700);
		unsigned fences = fences_of(silent);
		fprintf(stderr, "return %d ms from the deadline: %s, %u fences\n", offset[i], nfs4_status_name(status), fences);
		if (offset[i] <= -400)		/* in time: a good client */
			STATUS(status, NFS4_OK), EXPECT(fences, 0);
		else
			EXPECT_TRUE(fences <= 1 && (fences == 1 || status == NFS4_OK));
		clients_end();
	}
}

/* ---- the server ends in order ---- */

/* What is out comes back first; commits are served, and the file is the local programs' only then. */
static void
stop_answered(void)
{
	struct client *writer = client_new("writer"), *reader = client_new("reader");
	local_make("f", MiB, 5);
	local_make("g", MiB, 5);
	f = file_open(writer, "f", READ_WRITE);
	g = file_open(reader, "g", READ_WRITE);
	layout_need(g, LAYOUTIOMODE4_READ, 0, MiB);
	struct layout l = *layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	writer->policy = CB_HOLD;
	server_term();
	REQUIRE(recall_wait(writer, 0, 1000));
	pid_t local = local_start(LOCAL_TRUNCATE, "f", 64 * KiB);
	lun_write(&l, 0, 64 * KiB, 9);
	EXPECT(local_wait(local, 500, NULL), 0);
	STATUS(layout_commit(f, 0, 64 * KiB), NFS4_OK);
	EXPECT(recalls(reader, &g->fh), 1);
	EXPECT(reader->returned, 1);
	/* nothing new */
	g->held = false;
	STATUS(layout_get(g, LAYOUTIOMODE4_READ, 0, MiB, MiB)->status, NFS4ERR_LAYOUTTRYLATER);
	uint64_t began = now_ms();
	STATUS(layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL), NFS4_OK);
	EXPECT_TRUE(server_ended(writer, 1000));
	fprintf(stderr, "ended %" PRIu64 " ms after the last return\n", now_ms() - began);
	EXPECT_TRUE(local_wait(local, 1000, NULL));
	EXPECT(local_size("f"), 64 * KiB);
	EXPECT_TRUE(local_is("f", 0, 64 * KiB, 9));
	EXPECT(server_logged("neither returned nor fenced"), 0);
	server_again();
}

/* A holder that says nothing is fenced before its blocks are anybody else's. */
static void
stop_silent(void)
{
	struct layout *l = begin("f");
	struct layout_extent e = l->ext[0];
	struct nexus *host = NULL;
	if (scsi()) {
		uint64_t key = client_key(silent, e.device);
		host = host_login("stop");
		EXPECT(host_register(host, key), 0);
		EXPECT(host_write(host, &e), 0);
	}
	uint64_t began = now_ms();
	server_term();
	REQUIRE(recall_wait(silent, 0, 1000));
	pid_t local = local_start(LOCAL_TRUNCATE, "f", 4096);
	struct nfs_attrs a;
	OK(file_attrs(g, &a));
	EXPECT(local_wait(local, world.recall * 1000u - 500, NULL), 0);
	EXPECT_TRUE(local_wait(local, 4000, NULL));
	EXPECT_TRUE(now_ms() - began >= world.recall * 1000u - 200);
	EXPECT(fences_of(silent), 1);
	EXPECT_TRUE(server_ended(other, 2000));
	if (scsi()) {
		/* The blocks are somebody else's now, and there is no server: the reservation still keeps it off. */
		EXPECT(host_write(host, &e), -EBUSY);
		nexus_close(host);
	}
	EXPECT(local_size("f"), 4096);
	EXPECT(server_logged("neither returned nor fenced"), 0);
	server_again();
}

/* Type 3 without a command: the end waits for lease and maximum I/O time. */
static void
stop_unfenced(void)
{
	begin("f");
	uint64_t began = now_ms();
	server_term();
	REQUIRE(recall_wait(silent, 0, 1000));
	pid_t local = local_start(LOCAL_TRUNCATE, "f", 4096);
	unsigned least = (world.recall + world.lease + world.max_io) * 1000u;
	EXPECT(local_wait(local, least - 500, NULL), 0);
	EXPECT_TRUE(server_ended(other, 3000));
	EXPECT_TRUE(local_wait(local, 1000, NULL));
	EXPECT_TRUE(now_ms() - began >= least - 200);
	EXPECT(server_logged("neither returned nor fenced"), 0);
	server_again();
}

/* Who cannot wait says so by a second signal, and is told what that means. */
static void
stop_at_once(void)
{
	begin("f");
	server_term();
	REQUIRE(recall_wait(silent, 0, 1000));
	EXPECT(server_ended(other, 300), 0);
	server_term();
	EXPECT_TRUE(server_ended(other, 1000));
	server_again();
	EXPECT(server_logged("neither returned nor fenced"), 1);
	/* the keeper has its lease, and the next life waits for it */
	pid_t local = local_start(LOCAL_TRUNCATE, "f", 4096);
	unsigned least = (world.lease + world.max_io) * 1000u;
	EXPECT(local_wait(local, least - 2500, NULL), 0);
	EXPECT_TRUE(local_wait(local, 6000, NULL));
	EXPECT(local_size("f"), 4096);
}

/* Type 3 without a command: blocks stay out of use until lease and maximum I/O time have passed (RFC 5663 2.3.8). */
static void
nothing_to_fence_with(void)
{
	begin("f");
	uint64_t began = now_ms();
	while (now_ms() - began < (world.recall + world.lease + world.max_io) * 1000u - 500) {
		STATUS(file_try_size(g, 4096), NFS4ERR_DELAY);
		call_begin_slot(silent, 2);
		call_run(silent);
		world_pump(200);
	}
	/* what it held is void meanwhile */
	EXPECT_TRUE(layout_commit(f, 0, 4096) != NFS4_OK);
	uint64_t took = wait_for_size(4096, 60000);
	fprintf(stderr, "out of use for another %" PRIu64 " ms\n", took);
	EXPECT_TRUE(now_ms() - began >= (world.recall + world.lease + world.max_io) * 1000u - 200);
	EXPECT(local_size("f"), 4096);
}

/* ---- type 5 ---- */

static void
reserved(void)
{
	struct layout *l = begin("f");
	struct layout_extent e = l->ext[0];
	uint64_t key = client_key(silent, e.device);
	struct nexus *host = host_login("host"), *stranger = host_login("stranger");
	struct pr_status st = keys_now(host);
	EXPECT_TRUE(st.holder != 0);
	EXPECT(st.type, PR_TYPE_EXCLUSIVE_ACCESS_REG_ONLY);
	EXPECT_TRUE(st.nkeys >= 1 && !key_is_there(&st, key));
	EXPECT(host_write(host, &e), -EBUSY);	/* not registered: enforced, not only reported */
	EXPECT(host_register(host, key), 0);
	EXPECT(host_write(host, &e), 0);
	EXPECT(host_write(stranger, &e), -EBUSY);
	/* it goes silent: its write fails at the target once the truncate has gone on */
	wait_for_size(512 * KiB, 8000);
	EXPECT(host_write(host, &e), -EBUSY);
	st = keys_now(host);
	EXPECT(key_is_there(&st, key), 0);
	EXPECT_TRUE(st.holder != 0);
	EXPECT(fences_of(silent), 1);
	nexus_close(host);
	nexus_close(stranger);
}

/* Fenced before its first I/O; then it registers with the old key, late. */
static void
registered_late(void)
{
	struct layout *l = begin("f");
	struct layout_extent e = l->ext[0];
	uint64_t key = client_key(silent, e.device);
	struct nexus *host = host_login("late");
	uint64_t took = wait_for_size(4096, 8000);
	EXPECT_TRUE(took < world.recall * 1000u + 2500);
	/*
	 * Nothing at the target keeps it from REGISTER AND IGNORE (2.4.10.5 trusts it to ask again).  The server throws it out when it looks at the
	 * target next, every few seconds, whether anybody asks for a layout or not; and lets it in by another key.
	 */
	REQUIRE(host_register(host, key) == 0);
	silent->policy = CB_RETURN;
	stateid4 held = f->layout;
	FREE_STATEID4args fs = { held };
	call_begin(silent);
	call_op(silent, OP_FREE_STATEID, &fs);
	OK(call_run(silent));
	f->held = false;
	look_wait(silent, other);
	struct pr_status st = keys_now(host);
	EXPECT(key_is_there(&st, key), 0);
	STATUS(file_set_size(f, MiB), NFS4_OK);
	l = layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	e = l->ext[0];
	uint64_t fresh = client_key(silent, e.device);
	EXPECT_TRUE(fresh != key);
	EXPECT(host_write(host, &e), -EBUSY);
	EXPECT(host_register(host, fresh), 0);
	EXPECT(host_write(host, &e), 0);
	nexus_close(host);
}

/* The target loses its power and with it all registrations: seen, and reserved again before anything is granted. */
static void
target_restarted(void)
{
	struct client *c = client_new("c");
	local_make("f", MiB, 5);
	local_make("g", MiB, 5);
	struct layout *held = layout_need(file_open(c, "f", READ_WRITE), LAYOUTIOMODE4_RW, 0, MiB);
	uint8_t device[NFS4_DEVICEID4_SIZE];
	memcpy(device, held->ext[0].device, sizeof device);
	EXPECT(device_subscribe(c, device, 6), 6);
	REQUIRE(world_do("target_power_cut") == 0);
	struct nexus *host = host_login("after");
	struct pr_status st = keys_now(host);
	EXPECT(st.holder, 0);
	/* A layout is out: it is noticed although nobody asks for another. */
	look_wait(c, NULL);
	st = keys_now(host);
	EXPECT_TRUE(st.holder != 0);
	/* and the client, which has to register again, is told, after it was asked for its layout */
	EXPECT_TRUE(recalls(c, NULL) > 0);
	EXPECT_TRUE(notice_wait(c, 1 << NOTIFY_DEVICEID4_CHANGE, device, 0, 4000));
	EXPECT(c->notices[0].immediate, 1);
	struct file *file = file_open(c, "g", READ_WRITE);
	struct layout *l = NULL;
	for (uint64_t began = now_ms(); now_ms() - began < 15000; world_pump(100)) {
		l = layout_get(file, LAYOUTIOMODE4_RW, 0, MiB, MiB);
		if (l->status == NFS4_OK)
			break;
		struct nfs_attrs a;
		OK(file_attrs(file, &a));
	}
	STATUS(l->status, NFS4_OK);
	uint64_t key = client_key(c, l->ext[0].device);
	struct layout_extent e = l->ext[0];
	st = keys_now(host);
	EXPECT_TRUE(st.holder != 0);
	EXPECT(host_write(host, &e), -EBUSY);
	EXPECT(host_register(host, key), 0);
	EXPECT(host_write(host, &e), 0);
	nexus_close(host);
}

/* Killed while the target does not confirm: the next life cuts the key off before anything else. */
static void
killed_in_the_fence(void)
{
	struct layout *l = begin("f");
	struct layout_extent e = l->ext[0];
	uint64_t key = client_key(silent, e.device);
	struct nexus *host = host_login("killed");
	EXPECT(host_register(host, key), 0);
	EXPECT(host_write(host, &e), 0);
	REQUIRE(world_do("kill -STOP $TGT_PID") == 0);
	uint64_t began = now_ms();
	while (now_ms() - began < world.recall * 1000u + 1500) {
		STATUS(file_try_size(g, 4096), NFS4ERR_DELAY);
		world_pump(100);
	}
	EXPECT(fences_of(silent), 0);
	REQUIRE(world_do("kill -9 $MDS_PID; kill -CONT $TGT_PID") == 0);
	EXPECT_TRUE(server_ended(other, 2000));
	server_again();
	struct pr_status st = keys_now(host);
	EXPECT(key_is_there(&st, key), 0);
	EXPECT(host_write(host, &e), -EBUSY);
	nexus_close(host);
}

const struct wire_test tests_fence[] = {
	{ "A28", "a fenced client: told, its commit refused; FREE_STATEID, and on through the MDS", fenced_may_not_commit },
	{ "B2", "no fence confirmed: blocks stay out of use, others are served; then it goes on", unconfirmed },
	{ "B4", "a silent holder of 50 files is fenced once", one_fence },
	{ "B14", "a return just before and just after the deadline", at_the_deadline },
	{ "B28", "SIGTERM: layouts are recalled, commits served, local programs wait; the end comes with the last return", stop_answered },
	{ "B28", "SIGTERM with a silent holder: fenced, and only then are its blocks anybody else's", stop_silent },
	{ NULL, NULL, NULL },
};

const struct wire_test tests_unfenced[] = {
	{ "B2", "type 3 without a command: no reuse before lease and maximum I/O time have passed", nothing_to_fence_with },
	{ "B28", "SIGTERM with a silent holder and no command: its blocks wait for lease and maximum I/O time", stop_unfenced },
	{ "B28", "a second SIGTERM: the end at once, and what is left unguarded is logged", stop_at_once },
	{ NULL, NULL, NULL },
};

const struct wire_test tests_scsi[] = {
	{ "B1", "reserved type 6 before a layout is out; unregistered and fenced writes fail at the target", reserved },
	{ "B12", "fenced before its first I/O; a late registration with the old key does not last, the way back is a new key", registered_late },
	{ "B6", "kill -9 while the target does not confirm a fence: the key is off it before the next life serves", killed_in_the_fence },
	{ "B7", "the target restarted without its registrations: reserved again before the next layout", target_restarted },
	{ NULL, NULL, NULL },
};
