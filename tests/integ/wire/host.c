/* A client host at the target: a login of its own, registration, writes where a layout says.  test_fence.c, test_former.c. */
#include <unistd.h>

#include "server/fence/iscsi_nexus.h"
#include "server/fence/scsi_cdb.h"
#include "tests/integ/wire/wire.h"

struct nexus *
host_login(const char *who)
{
	struct nexus *nexus;
	char *error = NULL, name[128];
	snprintf(name, sizeof name, "iqn.2026-11.org.pnfs-block:%s.%d", who, getpid());
	int r = nexus_open(world.lun, name, 0, 5000, &nexus, &error);
	if (r)
		fprintf(stderr, "login: %s\n", error ? error : strerror(-r));
	REQUIRE(r == 0);
	return nexus;
}

int
host_register(struct nexus *nexus, uint64_t key)
{
	uint8_t param[PR_OUT_PARAM_LEN];
	struct scsi_cmd cmd;
	scsi_pr_out(&cmd, param, PR_OUT_REGISTER_IGNORE, PR_TYPE_EXCLUSIVE_ACCESS_REG_ONLY, 0, key, false);
	return nexus_run(nexus, &cmd);
}

/* Where the layout says, by the LUN. */
int
host_write(struct nexus *nexus, const struct layout_extent *e)
{
	static uint8_t buf[4096];
	struct scsi_cmd cmd;
	pattern_fill(buf, e->offset, sizeof buf, 77);
	scsi_rw16(&cmd, true, e->addr / 512, 8, buf, sizeof buf);
	return nexus_run(nexus, &cmd);
}

/* READ KEYS: the generation moves with each registration and preemption. */
struct pr_status
keys_now(struct nexus *nexus)
{
	static struct pr_status st;
	uint8_t buf[4096];
	struct scsi_cmd cmd;
	scsi_pr_in(&cmd, PR_IN_READ_KEYS, buf, sizeof buf);
	REQUIRE(nexus_run(nexus, &cmd) == 0);
	REQUIRE(scsi_parse_keys(buf, cmd.got, &st) == 0);
	scsi_pr_in(&cmd, PR_IN_READ_RESERVATION, buf, sizeof buf);
	REQUIRE(nexus_run(nexus, &cmd) == 0);
	REQUIRE(scsi_parse_reservation(buf, cmd.got, &st) == 0);
	return st;
}

uint64_t
client_key(struct client *c, const uint8_t *id)
{
	nfs_resop4 res;
	GETDEVICEINFO4args args = { .gdia_layout_type = world.type, .gdia_maxcount = 65536 };
	struct volume *vol;
	uint32_t n;
	memcpy(args.gdia_device_id, id, NFS4_DEVICEID4_SIZE);
	call_begin(c);
	call_op(c, OP_GETDEVICEINFO, &args);
	OK(call_run(c));
	OK(call_res(c, OP_GETDEVICEINFO, &res));
	device_addr4 *a = &res.nfs_resop4_u.opgetdeviceinfo.GETDEVICEINFO4res_u.gdir_resok4.gdir_device_addr;
	REQUIRE(layout_device_decode(world.type, a->da_addr_body.da_addr_body_val, a->da_addr_body.da_addr_body_len, &c->arena, &vol, &n));
	return vol[n - 1].base.pr_key;
}

void
look_wait(struct client *a, struct client *b)
{
	struct client *of[] = { a, b };
	for (uint64_t began = now_ms(); now_ms() - began < LOOKS_EVERY_MS; world_pump(500))
		for (unsigned i = 0; i < 2; i++) {
			if (!of[i])
				continue;
			call_begin(of[i]);
			OK(call_run(of[i]));
		}
}

bool
key_is_there(const struct pr_status *st, uint64_t key)
{
	for (unsigned i = 0; i < st->nkeys; i++)
		if (st->keys[i] == key)
			return true;
	return false;
}
