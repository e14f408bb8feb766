/* Reservations at the LUN: taken, enforced, a former life's keys, strangers. */
#include "tests/integ/export/export.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "server/fence/fence.h"
#include "server/fence/scsi_cdb.h"
#include "server/state/client.h"

static int
client_write(struct nexus *client)
{
	uint8_t block[512];
	struct scsi_cmd cmd;
	scsi_rw16(&cmd, false, 0, 1, block, sizeof block);	/* exclusive access: reads conflict too */
	return nexus_run(client, &cmd);
}

static void
client_register(struct nexus *client, uint64_t key)
{
	uint8_t param[PR_OUT_PARAM_LEN];
	struct scsi_cmd cmd;
	scsi_pr_out(&cmd, param, PR_OUT_REGISTER_IGNORE, 6, 0, key, false);
	EXPECT(nexus_run(client, &cmd), 0);
}

static bool
key_there(struct device *device, uint64_t key)
{
	static struct pr_status st;
	EXPECT(device->pr->ops->status(device->pr, &st), 0);
	return pr_has_key(&st, key);
}

void
check_scsi(void)
{
	enum reason why;
	uint8_t id[DEVICE_ID_SIZE];
	struct fence_target target = { .key = 0xc1, .client = "c1" };
	struct nexus *client = client_login("iqn.2026-01.invalid.pnfs-block:c1");
	expect_reason("ptpl", 5, NULL, REASON_NO_PTPL);
	EXPECT(client_write(client), 0);

	struct export *export = open_export("right", 5, NULL), *twin = open_export("right", 5, NULL);
	EXPECT(export->layout_type, 5);
	EXPECT(twin->device == export->device, 1);
	export_put(twin);
	expect_reason("right", 3, NULL, REASON_WRONG_DEVICE);	/* one type per LUN */
	struct device *device = export->device;
	EXPECT(device->reserved, 1);
	EXPECT(device->designator_type, 3);
	memcpy(id, device->id, sizeof id);
	struct device *found = device_find(&server, id);
	EXPECT(found == device, 1);
	device_put(found);
	id[0] ^= 1;
	EXPECT(device_find(&server, id) == NULL, 1);
	id[0] ^= 1;
	EXPECT(client_write(client), -EBUSY);

	EXPECT(device_prepare(device, &why), 0);
	EXPECT(stable_key_add(&server, "right", 0xc1), 0);
	client_register(client, 0xc1);
	EXPECT(client_write(client), 0);
	uint64_t t = now_us();
	EXPECT(device_fence(device, &target), 0);
	printf("fence: %" PRIu64 " us\n", now_us() - t);
	EXPECT(client_write(client), -EBUSY);
	EXPECT(device_fence(device, &target), 0);	/* gone already: confirmed again */
	target.key = 0xdead;				/* never registered (PITFALLS B12) */
	EXPECT(device_fence(device, &target), 0);

	/* A cut-off client registers its old key late: seen and cut off again. */
	client_register(client, 0xc1);
	EXPECT(client_write(client), 0);
	device->verified_ms = 1;
	EXPECT(device_prepare(device, &why), 0);
	EXPECT(key_there(device, 0xc1), 0);
	EXPECT(client_write(client), -EBUSY);

	/* The server dies with a client registered; the next one cuts it off before it offers layouts. */
	EXPECT(stable_key_add(&server, "right", 0xc2), 0);
	client_register(client, 0xc2);
	export_put(export);				/* the reservation stays, since a client is registered */
	EXPECT(client_write(client), 0);
	export = open_export("right", 5, NULL);
	EXPECT(export->layout_type, 5);
	EXPECT(memcmp(export->device->id, id, sizeof id), 0);
	EXPECT(client_write(client), -EBUSY);
	EXPECT(key_there(export->device, 0xc2), 0);
	export_put(export);				/* nobody else: given back */
	EXPECT(client_write(client), 0);

	/* A stranger's reservation is not taken away. */
	uint8_t param[PR_OUT_PARAM_LEN];
	struct scsi_cmd cmd;
	client_register(client, 0xbad);
	expect_reason("right", 5, NULL, REASON_NO_RESERVATIONS);
	scsi_pr_out(&cmd, param, PR_OUT_RESERVE, 6, 0xbad, 0, false);
	EXPECT(nexus_run(client, &cmd), 0);
	expect_reason("right", 5, NULL, REASON_NO_RESERVATIONS);
	expect_reason("right", 3, NULL, REASON_NO_RESERVATIONS);
	EXPECT(client_write(client), 0);
	scsi_pr_out(&cmd, param, PR_OUT_CLEAR, 6, 0xbad, 0, false);
	EXPECT(nexus_run(client, &cmd), 0);
	expect_reason("right", 5, NULL, REASON_NONE);
	nexus_close(client);
}
