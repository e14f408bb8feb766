/*
 * SIGHUP while layouts are out: what is the same goes on, what goes has its layouts recalled first, and a client that does not answer is cut off before
 * its blocks are anybody's (RFC 8881 12.5.5, 12.5.6; PITFALLS A35).
 */
#include <inttypes.h>

#include "tests/integ/wire/wire.h"

static struct client *c1, *c2;
static struct file *f, *g;

static void
begin(void)
{
	c1 = client_new("holder");
	c2 = client_new("other");
	local_make("f", MiB, 5);
	f = file_open(c1, "f", READ_WRITE);
	g = file_open(c2, "f", READ_WRITE);
	layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
}

static void
reload(const char *sed)
{
	REQUIRE(world_do("cp $W/exports $W/exports.kept; sed -i '%s' $W/exports; n=$(grep -c 'exports read again' $W/mds.log); kill -HUP $MDS_PID; "
	    "for i in $(seq 50); do [ $(grep -c 'exports read again' $W/mds.log) -gt $n ] && break; sleep .1; done", sed) == 0);
}

static void
renew(void)
{
	call_begin_slot(c1, 2);
	call_run(c1);
	call_begin_slot(c2, 2);
	call_run(c2);
}

/* Options change: handles, opens, layouts, the device stay what they are. */
static void
options(void)
{
	begin();
	uint8_t device[NFS4_DEVICEID4_SIZE], buf[4096] = { 0 };
	memcpy(device, layout_get(f, LAYOUTIOMODE4_RW, 0, 4096, 4096)->ext[0].device, sizeof device);
	unsigned had = recalls(c1, NULL);
	reload("s/rw,/rw,sync,/");
	EXPECT(recalls(c1, NULL), had);
	STATUS(layout_commit(f, 0, 4096), NFS4_OK);
	/* no_pnfs: layouts come back, all else goes on */
	reload("s/,pnfs,/,no_pnfs,/");
	EXPECT_TRUE(recall_wait(c1, had, 2000));
	world_pump(1500);
	f->held = false;
	STATUS(layout_get(f, LAYOUTIOMODE4_RW, 0, 4096, 4096)->status, NFS4ERR_LAYOUTUNAVAILABLE);
	STATUS(file_write(f, 4096, buf, sizeof buf), NFS4_OK);
	STATUS(file_set_size(g, 512 * KiB), NFS4_OK);
	reload("s/,no_pnfs,/,pnfs,/");
	struct layout *l = layout_need(f, LAYOUTIOMODE4_RW, 0, 4096);
	EXPECT(memcmp(device, l->ext[0].device, sizeof device), 0);
	STATUS(layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL), NFS4_OK);
}

static void
export_back(void)
{
	REQUIRE(world_do("sed -i 's/^#//' $W/exports; kill -HUP $MDS_PID") == 0);
	for (uint64_t began = now_ms(); now_ms() - began < 5000; world_pump(100)) {
		char data[NFS4_FHSIZE];
		nfs_fh4 fh;
		if (fh_lookup(c2, world.export, data, &fh) == NFS4_OK)
			return;
	}
	REQUIRE(!"the export is back");
}

/* How long until F's handle is stale.  C1 and C2 live meanwhile; a truncate through the server gets nowhere before that. */
static uint64_t
wait_for_stale(pid_t local, uint64_t *freed)
{
	uint64_t began = now_ms();
	nfsstat4 status = NFS4_OK;
	*freed = 0;
	while (now_ms() - began < 20000 && (status != NFS4ERR_STALE || !*freed)) {
		struct nfs_attrs a;
		if (status != NFS4ERR_STALE)
			status = file_attrs(g, &a);
		if (local_wait(local, 50, NULL) && !*freed)
			*freed = now_ms() - began + 1;
		renew();
	}
	STATUS(status, NFS4ERR_STALE);
	return now_ms() - began;
}

static void
removed(void)
{
	begin();
	unsigned had = recalls(c1, NULL);
	reload("s/^/#/");
	EXPECT_TRUE(recall_wait(c1, had, 2000));
	nfsstat4 status = NFS4_OK;
	for (uint64_t began = now_ms(); status != NFS4ERR_STALE && now_ms() - began < 5000; world_pump(100)) {
		struct nfs_attrs a;
		status = file_attrs(g, &a);
	}
	STATUS(status, NFS4ERR_STALE);
	export_back();
}

/*
 * Those who subscribed are told, when nobody has layouts there any more (RFC 8881 20.12.3), and again until they answer; others are not.  The ID is
 * not used again.
 */
static void
device_deleted(void)
{
	static const uint32_t delete = 1 << NOTIFY_DEVICEID4_DELETE;
	uint8_t device[NFS4_DEVICEID4_SIZE];
	begin();
	struct client *deaf = client_new("not subscribed");
	memcpy(device, layout_get(f, LAYOUTIOMODE4_RW, 0, 4096, 4096)->ext[0].device, sizeof device);
	EXPECT(device_subscribe(c1, device, 6), 6);
	EXPECT(device_subscribe(c2, device, delete), delete);
	device_subscribe(deaf, device, 6);
	EXPECT(device_subscribe(deaf, device, 0), 0);
	unsigned had = recalls(c1, NULL);
	c1->policy = CB_HOLD;
	c2->policy = CB_DELAY;
	reload("s/^/#/");
	EXPECT_TRUE(recall_wait(c1, had, 2000));
	world_pump(1200);
	EXPECT(notices(c1, delete, device), 0);
	EXPECT(notices(c2, delete, device), 0);
	renew();
	STATUS(recall_return(f), NFS4_OK);
	EXPECT_TRUE(notice_wait(c1, delete, device, 0, 5000));
	EXPECT_TRUE(notice_wait(c2, delete, device, 1, 5000));
	c2->policy = CB_RETURN;
	EXPECT_TRUE(notice_wait(c2, delete, device, notices(c2, delete, device), 5000));
	had = notices(c2, delete, device);
	renew();
	world_pump(2500);
	renew();
	EXPECT(notices(c1, delete, device), 1);
	EXPECT(notices(c2, delete, device), had);
	EXPECT(c1->nnotices, 1);
	EXPECT(deaf->nnotices, 0);
	export_back();
	/* "f" is still open there, by the handles of before */
	local_make("g", MiB, 5);
	f = file_open(c1, "g", READ_WRITE);
	struct layout *l = layout_need(f, LAYOUTIOMODE4_RW, 0, 4096);
	EXPECT_TRUE(memcmp(device, l->ext[0].device, sizeof device) != 0);
	STATUS(layout_return(f, LAYOUTIOMODE4_ANY, 0, ALL), NFS4_OK);
}

static void
removed_under_silence(void)
{
	begin();
	c1->policy = CB_SILENT;
	reload("s/^/#/");
	pid_t local = local_start(LOCAL_TRUNCATE, "f", 4096);
	uint64_t freed, took = wait_for_stale(local, &freed);
	fprintf(stderr, "blocks free after %" PRIu64 " ms, export gone by %" PRIu64 "\n", freed, took);
	EXPECT_TRUE(freed >= world.recall * 1000u - 200);
	EXPECT(local_size("f"), 4096);
	c1->policy = CB_RETURN;
	export_back();
}

const struct wire_test tests_reload[] = {
	{ "A35", "SIGHUP: other options of the same export: opens and layouts go on; no_pnfs takes only layouts back", options },
	{ "A35", "SIGHUP takes an export away: its layouts are recalled first", removed },
	{ "B19", "the device goes with its export: DELETE to those who subscribed, when its layouts are back; another ID later", device_deleted },
	{ "A35", "SIGHUP takes an export away under a silent holder: it is cut off before its blocks are free", removed_under_silence },
	{ NULL, NULL, NULL },
};
