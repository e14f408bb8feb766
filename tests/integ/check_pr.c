/*
 * pr_iscsi against a real target; run by test_pr_iscsi.sh.  where the target has to be restarted it prints RESTART and waits
 * for a line on stdin.
 */
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/fence/fence.h"
#include "server/fence/iscsi_nexus.h"
#include "server/fence/scsi_cdb.h"
#include "tests/integ/integ.h"

#define SERVER UINT64_C(0x5e21e4000000001)
#define CLIENT UINT64_C(0xc11e470000000002)
#define OTHER UINT64_C(0xc11e470000000003)

static const char *url;
static uint8_t block[4096];

static struct pr *
login(const char *who)
{
	struct pr *pr;
	char *error, name[128];
	snprintf(name, sizeof name, "iqn.2026-01.invalid.pnfs-block:%s", who);
	int r = pr_iscsi_open(url, name, 5000, &pr, &error);
	if (r)
		die("login %s: %s", who, error ? error : strerror(-r));
	return pr;
}

/* An initiator that writes: what a client is to the target. */
static struct nexus *
writer_login(const char *who)
{
	struct nexus *nexus;
	char *error, name[128];
	snprintf(name, sizeof name, "iqn.2026-01.invalid.pnfs-block:%s", who);
	int r = nexus_open(url, name, 0, 5000, &nexus, &error);
	if (r)
		die("login %s: %s", who, error ? error : strerror(-r));
	return nexus;
}

static int
writer_write(struct nexus *nexus)
{
	struct scsi_cmd cmd;
	scsi_rw16(&cmd, true, 1024, 8, block, sizeof block);
	return nexus_run(nexus, &cmd);
}

static int
writer_register(struct nexus *nexus, uint64_t key)
{
	uint8_t param[PR_OUT_PARAM_LEN];
	struct scsi_cmd cmd;
	scsi_pr_out(&cmd, param, PR_OUT_REGISTER_IGNORE, 6, 0, key, false);
	return nexus_run(nexus, &cmd);
}

static struct pr_status
status_of(struct pr *pr)
{
	static struct pr_status st;
	EXPECT(pr->ops->status(pr, &st), 0);
	return st;
}

static void
check_basics(struct pr *pr)
{
	uint8_t page[256];
	uint32_t len, bs;
	uint64_t bytes;
	EXPECT(pr->ops->capacity(pr, &bytes, &bs), 0);
	EXPECT(bs, 512);
	EXPECT(pr->ops->inquiry(pr, 0x83, page, sizeof page, &len), 0);
	EXPECT(page[1], 0x83);
	EXPECT(pr->ops->inquiry(pr, 0xfe, page, sizeof page, &len), -EOPNOTSUPP);
	EXPECT(pr->ops->read(pr, 0, block, sizeof block), 0);
	EXPECT(pr->ops->read(pr, 1, block, sizeof block), -EINVAL);
	EXPECT(pr->ops->read(pr, bytes, block, sizeof block), -ENXIO);
	EXPECT(pr->ops->read(pr, UINT64_MAX - 511, block, 512), -ENXIO);
}

/* PITFALLS B1, B5, B8: reserved, type 6, and an unregistered initiator is kept out. */
static void
check_reserve(struct pr *pr)
{
	struct nexus *stranger = writer_login("stranger");
	EXPECT(status_of(pr).nkeys, 0);
	EXPECT(writer_write(stranger), 0);
	EXPECT(pr->ops->do_register(pr, SERVER, true), -EOPNOTSUPP);	/* this target has no APTPL */
	EXPECT(pr->ops->do_register(pr, SERVER, false), 0);
	EXPECT(pr->ops->reserve(pr, SERVER), 0);
	EXPECT(pr->ops->reserve(pr, SERVER), 0);
	struct pr_status st = status_of(pr);
	EXPECT(st.holder, SERVER);
	EXPECT(st.type, PR_TYPE_EXCLUSIVE_ACCESS_REG_ONLY);
	EXPECT(st.nkeys, 1);
	EXPECT(writer_write(stranger), -EBUSY);
	struct pr *second = login("second");
	EXPECT(second->ops->read(second, 0, block, 512), -EBUSY);
	EXPECT(second->ops->do_register(second, OTHER, false), 0);
	EXPECT(second->ops->reserve(second, OTHER), -EBUSY);
	EXPECT(second->ops->do_register(second, 0, false), 0);
	second->ops->close(second);
	nexus_close(stranger);
}

/* A client that registered is preempted, its commands drained; a second time is no failure (PITFALLS B4). */
static void
check_fence(struct pr *pr)
{
	struct nexus *client = writer_login("client");
	EXPECT(writer_register(client, CLIENT), 0);
	EXPECT(writer_write(client), 0);
	EXPECT(pr_has_key(&(struct pr_status){ .nkeys = 1, .keys = { CLIENT } }, CLIENT), true);
	uint64_t t = now_us();
	EXPECT(pr->ops->preempt(pr, SERVER, CLIENT), 0);
	uint64_t preempted = now_us();
	EXPECT(pr->ops->drain(pr, SERVER, CLIENT), 0);
	uint64_t drained = now_us();
	struct pr_status st = status_of(pr);
	printf("preempt %" PRIu64 " us, drain %" PRIu64 " us, verify %" PRIu64 " us\n", preempted - t,
	    drained - preempted, now_us() - drained);
	EXPECT(pr_has_key(&st, CLIENT), false);
	EXPECT(st.holder, SERVER);
	EXPECT(writer_write(client), -EBUSY);
	EXPECT(pr->ops->preempt(pr, SERVER, CLIENT), 0);
	EXPECT(pr->ops->preempt(pr, OTHER, CLIENT), -EBUSY);	/* with a key that is not registered */
	/* Recovery: a new registration lets it in again. */
	EXPECT(writer_register(client, OTHER), 0);
	EXPECT(writer_write(client), 0);
	nexus_close(client);
}

/* PITFALLS B9: the key belongs to the nexus. */
static void
check_relogin(void)
{
	struct nexus *client = writer_login("client");
	EXPECT(writer_write(client), -EBUSY);
	EXPECT(writer_register(client, OTHER), 0);
	EXPECT(writer_write(client), 0);
	EXPECT(nexus_connect(client), 0);
	int again = writer_write(client);
	printf("after a new login of the same name: %s\n", again ? strerror(-again) : "still registered");
	EXPECT(writer_register(client, OTHER), 0);
	EXPECT(writer_write(client), 0);
	nexus_close(client);
}

/* The target is killed and comes back with nothing: ensure() logs in and registers, the reservation is seen to be gone. */
static void
check_restart(struct pr *pr)
{
	char line[16];
	puts("RESTART");
	fflush(stdout);
	if (!fgets(line, sizeof line, stdin))
		die("no answer");
	struct pr_status st;
	EXPECT(pr->ops->status(pr, &st), -ENOTCONN);
	EXPECT(pr->ops->ensure(pr, SERVER), 0);
	st = status_of(pr);
	EXPECT(st.holder, 0);
	EXPECT(pr_has_key(&st, SERVER), true);
	EXPECT(pr->ops->ensure(pr, SERVER), 0);
	EXPECT(pr->ops->reserve(pr, SERVER), 0);
	EXPECT(status_of(pr).holder, SERVER);
}

int
main(int argc, char **argv)
{
	if (argc != 2)
		die("usage: check_pr URL");
	url = argv[1];
	signal(SIGPIPE, SIG_IGN);
	struct pr *pr = login("server");
	SECTION("inquiry, capacity, reads", check_basics(pr));
	SECTION("reserved, type 6h: an unregistered initiator cannot write", check_reserve(pr));
	SECTION("preempt, drain, verify; a second time too", check_fence(pr));
	SECTION("a new login must register again", check_relogin());
	SECTION("the target comes back without the reservation", check_restart(pr));
	SECTION("clear", EXPECT(pr->ops->clear(pr, SERVER), 0); EXPECT(status_of(pr).nkeys, 0));
	pr->ops->close(pr);
	return integ_result();
}
