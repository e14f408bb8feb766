/*
 * Type 5: keys of clients of before a restart of the server (RFC 8154 2.4.10, RFC 8881 12.7.4; PITFALLS B12).
 */
#include <errno.h>
#include <inttypes.h>

#include "server/fence/iscsi_nexus.h"
#include "tests/integ/wire/wire.h"

static struct client *former, *other;
static struct file *f, *g;
static struct nexus *host;
static struct layout_extent extent;
static uint64_t key;

/* A client that writes by its layout. */
static void
begin(void)
{
	former = client_new("former");
	other = client_new("other");
	local_make("f", MiB, 5);
	f = file_open(former, "f", READ_WRITE);
	g = file_open(other, "f", READ_WRITE);
	extent = layout_need(f, LAYOUTIOMODE4_RW, 0, MiB)->ext[0];
	key = client_key(former, extent.device);
	host = host_login("former");
	EXPECT(host_register(host, key), 0);
	EXPECT(host_write(host, &extent), 0);
}

/* Both are back in the next life, so that grace does not last. */
static void
back(void)
{
	clients_cut();
	client_come_back(former);
	client_come_back(other);
	OK(client_reclaim_complete(former));
	OK(client_reclaim_complete(other));
	f->is_open = g->is_open = f->held = false;
	world_pump(2500);
}

static bool
registered(void)
{
	struct pr_status st = keys_now(host);
	return key_is_there(&st, key);
}

/* Cut off at the start, and when it registers again later, though nobody asks for anything. */
static void
registered_late(void)
{
	begin();
	REQUIRE(world_do("world_mds_kill; world_mds_run") == 0);
	EXPECT(registered(), 0);
	EXPECT(host_write(host, &extent), -EBUSY);
	back();
	EXPECT(host_register(host, key), 0);
	look_wait(former, other);
	EXPECT(registered(), 0);
	EXPECT(host_write(host, &extent), -EBUSY);
	nexus_close(host);
}

static nfsstat4
try_remove(struct client *c, const char *name)
{
	nfs_fh4 dir = fh_dir(c);
	REMOVE4args args = { { (u_int)strlen(name), (char *)(uintptr_t)name } };
	return on_fh(c, &dir, OP_REMOVE, &args, NULL);
}

/* The target is out of reach when the server starts again: nothing is freed until it has been asked, and then its keys are cut off first. */
static void
target_out_of_reach(void)
{
	begin();
	local_make("g", MiB, 6);
	REQUIRE(world_do("world_mds_kill; kill -STOP $TGT_PID; world_mds_run") == 0);
	REQUIRE(world_do("grep -q 'layouts=none reason=\"no-device\"' $W/mds.out") == 0);
	back();
	f = file_open(former, "f", READ_WRITE);
	g = file_open(other, "f", READ_WRITE);
	/* data is served, blocks are not freed */
	for (unsigned i = 0; i < 5; i++) {
		STATUS(file_try_size(g, 4096), NFS4ERR_DELAY);
		STATUS(try_remove(other, "g"), NFS4ERR_DELAY);
		EXPECT_TRUE(file_is(g, 65536, 65536, 5));
		EXPECT_TRUE(layout_get(f, LAYOUTIOMODE4_RW, 0, MiB, MiB)->status == NFS4ERR_LAYOUTUNAVAILABLE);
		world_pump(300);
	}
	EXPECT(local_size("f"), MiB);
	REQUIRE(world_do("kill -CONT $TGT_PID") == 0);
	nfsstat4 status = NFS4ERR_DELAY;
	for (uint64_t began = now_ms(); status == NFS4ERR_DELAY && now_ms() - began < 30000; world_pump(200)) {
		call_begin(former);
		OK(call_run(former));
		status = try_remove(other, "g");
	}
	STATUS(status, NFS4_OK);
	EXPECT(registered(), 0);
	EXPECT(host_write(host, &extent), -EBUSY);
	STATUS(file_set_size(g, 4096), NFS4_OK);
	STATUS(file_set_size(g, MiB), NFS4_OK);
	/* And layouts as ever. */
	layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	EXPECT_TRUE(client_key(former, extent.device) != key);
	nexus_close(host);
}

const struct wire_test tests_former[] = {
	{ "B12", "a key of before the restart is cut off at the start, and again when it registers later", registered_late },
	{ "B2", "the target out of reach at a restart: no block is freed until the former keys are cut off", target_out_of_reach },
	{ NULL, NULL, NULL },
};
