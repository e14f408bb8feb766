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

const struct wire_test tests_former[] = {
	{ "B12", "a key of before the restart is cut off at the start, and again when it registers later", registered_late },
	{ NULL, NULL, NULL },
};
