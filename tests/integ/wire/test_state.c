/* Opens and locks between clients: who waits for a lock (RFC 8881 9.6, 20.11), what a silent client keeps (8.4.3). */
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

/* Time passes; C is not heard of, OTHER is. */
static void
silence(struct client *other, unsigned ms)
{
	for (uint64_t end = now_ms() + ms; now_ms() < end; world_pump(500)) {
		call_begin(other);
		OK(call_run(other));
	}
}

static nfsstat4
open_denied(struct client *c, const char *name, uint32_t access, uint32_t deny, struct file *f)
{
	OPEN4args args;
	nfs_fh4 dir = fh_dir(c);
	memset(f, 0, sizeof *f);
	f->c = c;
	open_args(c, name, access, &args);
	args.share_deny = deny;
	return file_try_open(c, f, &args, &dir);
}

/*
 * Over its lease, a client keeps what nobody wants: the open with its denial, the lock; not the layout, which is fenced.  Then somebody wants it, and is not
 * kept waiting.
 */
static void
courtesy(void)
{
	struct client *c1 = client_new("silent"), *c2 = client_new("other");
	struct file deny, mine;
	stateid4 sid;
	local_make("f", MiB, 5);
	local_make("g", 4096, 5);
	struct file *f = file_open(c1, "f", READ_WRITE), *g = file_open(c2, "f", READ_WRITE);
	OK(lock_as(f, WRITE_LT, "one", 0, 10, &sid));
	OK(open_denied(c1, "g", READ_ONLY, OPEN4_SHARE_DENY_WRITE, &deny));
	layout_need(f, LAYOUTIOMODE4_RW, 0, MiB);
	c1->policy = CB_SILENT;
	silence(c2, (world.lease + 3) * 1000);
	/* Its blocks are to be had, without a recall that it would not answer. */
	STATUS(file_set_size(g, 4096), NFS4_OK);
	EXPECT(recalls(c1, NULL), 0);
	/* It comes back: its opens and its lock are there, its layout is not, and it is told. */
	c1->policy = CB_RETURN;
	call_begin(c1);
	OK(call_run(c1));
	EXPECT_TRUE(c1->status_flags & SEQ4_STATUS_RECALLABLE_STATE_REVOKED);
	STATUS(layout_commit(f, 0, 4096), NFS4ERR_DELEG_REVOKED);
	STATUS(lock_as(g, WRITE_LT, "two", 5, 1, NULL), NFS4ERR_DENIED);
	STATUS(open_denied(c2, "g", READ_WRITE, 0, &mine), NFS4ERR_SHARE_DENIED);
	OK(unlock(f, &sid, 0, 1));
	/* And goes again: now what it has is wanted. */
	silence(c2, (world.lease + 3) * 1000);
	nfsstat4 status;
	uint64_t end = now_ms() + 5000;
	while ((status = open_denied(c2, "g", READ_WRITE, 0, &mine)) == NFS4ERR_DELAY && now_ms() < end)
		world_pump(50);
	STATUS(status, NFS4_OK);
	OK(lock_as(g, WRITE_LT, "two", 5, 1, NULL));
	call_begin(c1);
	STATUS(call_run(c1), NFS4ERR_BADSESSION);
	OK(file_close(&mine));
	f->is_open = false;
}

const struct wire_test tests_state[] = {
	{ "9.6", "a blocked lock is told when it is free, in the order of asking", lock_notified },
	{ "9.6", "who was told and does not come loses its turn", lock_turn_missed },
	{ "D11", "a silent client keeps its opens and locks until somebody wants them, its layouts not", courtesy },
	{ NULL, NULL, NULL },
};
