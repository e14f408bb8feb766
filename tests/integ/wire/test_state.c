/* Opens and locks between clients: who waits for a lock (RFC 8881 9.6, 20.11). */
#include <unistd.h>

#include "tests/integ/wire/wire.h"

/* LOCK of F's file by OWNER, by the open. */
static nfsstat4
lock_as(struct file *f, nfs_lock_type4 type, const char *owner, uint64_t offset, uint64_t length, stateid4 *sid)
{
	nfs_resop4 res;
	LOCK4args a = { .locktype = type, .offset = offset, .length = length };
	open_to_lock_owner4 *o = &a.locker.locker4_u.open_owner;
	a.locker.new_lock_owner = TRUE;
	o->open_stateid = f->open;
	o->open_stateid.seqid = 0;
	o->lock_owner.clientid = f->c->clientid;
	o->lock_owner.owner.owner_val = (char *)(uintptr_t)owner;
	o->lock_owner.owner.owner_len = (u_int)strlen(owner);
	nfsstat4 status = on_fh(f->c, &f->fh, OP_LOCK, &a, &res);
	if (status == NFS4_OK && sid)
		*sid = res.nfs_resop4_u.oplock.LOCK4res_u.resok4.lock_stateid;
	return status;
}

static nfsstat4
unlock(struct file *f, stateid4 *sid, uint64_t offset, uint64_t length)
{
	nfs_resop4 res;
	LOCKU4args a = { .locktype = WRITE_LT, .lock_stateid = *sid, .offset = offset, .length = length };
	nfsstat4 status = on_fh(f->c, &f->fh, OP_LOCKU, &a, &res);
	if (status == NFS4_OK)
		*sid = res.nfs_resop4_u.oplocku.LOCKU4res_u.lock_stateid;
	return status;
}

static bool
told(struct client *c, unsigned had, unsigned ms)
{
	for (uint64_t end = now_ms() + ms; c->nlocks <= had && now_ms() < end;)
		world_pump(5);
	return c->nlocks > had;
}

/* Denied, told as soon as it is free, granted; the second in the queue after the first. */
static void
lock_notified(void)
{
	struct client *c1 = client_new("holder"), *c2 = client_new("second"), *c3 = client_new("third");
	local_make("f", 4096, 5);
	struct file *f = file_open(c1, "f", READ_WRITE), *g = file_open(c2, "f", READ_WRITE), *h = file_open(c3, "f", READ_WRITE);
	stateid4 sid, sid2;
	OK(lock_as(f, WRITE_LT, "one", 0, ALL, &sid));
	STATUS(lock_as(g, WRITEW_LT, "two", 10, 10, NULL), NFS4ERR_DENIED);
	STATUS(lock_as(h, READW_LT, "three", 0, 20, NULL), NFS4ERR_DENIED);
	world_pump(50);
	EXPECT(c2->nlocks + c3->nlocks, 0);
	uint64_t freed = now_ms();
	OK(unlock(f, &sid, 0, ALL));
	REQUIRE(told(c2, 0, 1000));
	EXPECT_TRUE(c2->locks[0].at - freed < 500);
	EXPECT(c2->locks[0].fh_len, g->fh.nfs_fh4_len);
	EXPECT_TRUE(!memcmp(c2->locks[0].fh, g->fh_data, g->fh.nfs_fh4_len));
	EXPECT_TRUE(c2->locks[0].owner_len == 3 && !memcmp(c2->locks[0].owner, "two", 3));
	STATUS(lock_as(h, READW_LT, "three", 0, 20, NULL), NFS4ERR_DENIED);
	OK(lock_as(g, WRITEW_LT, "two", 10, 10, &sid2));
	world_pump(50);
	EXPECT(c3->nlocks, 0);
	/* CLOSE frees, too. */
	OK(file_close(g));
	REQUIRE(told(c3, 0, 1000));
	OK(lock_as(h, READW_LT, "three", 0, 20, NULL));
	EXPECT(c1->nlocks, 0);
	EXPECT(c2->nlocks, 1);
}

/* One that was told and does not come holds up the others for two seconds at most. */
static void
lock_turn_missed(void)
{
	struct client *c1 = client_new("holder"), *c2 = client_new("gone"), *c3 = client_new("third");
	local_make("f", 4096, 5);
	struct file *f = file_open(c1, "f", READ_WRITE), *g = file_open(c2, "f", READ_WRITE), *h = file_open(c3, "f", READ_WRITE);
	stateid4 sid;
	OK(lock_as(f, WRITE_LT, "one", 0, ALL, &sid));
	STATUS(lock_as(g, WRITEW_LT, "two", 0, 1, NULL), NFS4ERR_DENIED);
	STATUS(lock_as(h, WRITEW_LT, "three", 0, 1, NULL), NFS4ERR_DENIED);
	OK(unlock(f, &sid, 0, ALL));
	REQUIRE(told(c2, 0, 1000));
	REQUIRE(told(c3, 0, 4000));
	EXPECT_TRUE(c3->locks[0].at - c2->locks[0].at > 1500);
	OK(lock_as(h, WRITEW_LT, "three", 0, 1, NULL));
}

const struct wire_test tests_state[] = {
	{ "9.6", "a blocked lock is told when it is free, in the order of asking", lock_notified },
	{ "9.6", "who was told and does not come loses its turn", lock_turn_missed },
	{ NULL, NULL, NULL },
};
