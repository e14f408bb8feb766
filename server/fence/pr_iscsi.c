/*
 * Persistent reservations at an iSCSI target, in process: struct pr_ops over a nexus of the server's own.
 *
 * That nexus is one more initiator beside whatever carries the mount: reserving shuts unregistered paths out, the mount's
 * too.  So it is for an XFS mounted from the target's backing store, not over the same LUN (layout/device.c checks).
 */
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/fence/fence.h"
#include "server/fence/iscsi_nexus.h"
#include "server/fence/scsi_cdb.h"

#define READ_MAX (256u << 10)

struct pr_iscsi {
	struct pr pr;
	pthread_mutex_t lock;		/* of all below */
	struct nexus *nexus;
	uint64_t key;			/* registered; 0: none */
	bool aptpl;			/* how it was registered */
	bool no_abort;			/* PREEMPT AND ABORT was refused: not tried again */
	uint64_t aborted;		/* the victim whose commands the last preempt aborted */
	uint32_t block_size;		/* 0: not asked yet */
	uint64_t bytes;
};

static struct pr_iscsi *
pr_iscsi(struct pr *pr)
{
	return (struct pr_iscsi *)(void *)pr;
}

static int
pr_out(struct pr_iscsi *p, uint8_t action, uint64_t key, uint64_t service_key, bool aptpl)
{
	uint8_t param[PR_OUT_PARAM_LEN];
	struct scsi_cmd cmd;
	/* RFC 8154 2.4.10.2 wants every port of ours registered: we have one, so ALL_TG_PT stays 0. */
	scsi_pr_out(&cmd, param, action, PR_TYPE_EXCLUSIVE_ACCESS_REG_ONLY, key, service_key, aptpl);
	return nexus_run(p->nexus, &cmd);
}

static int
register_locked(struct pr_iscsi *p, uint64_t key, bool aptpl)
{
	int r = pr_out(p, PR_OUT_REGISTER_IGNORE, 0, key, aptpl);
	if (r == 0) {
		p->key = key;
		p->aptpl = aptpl;
	}
	return r;
}

static int
iscsi_do_register(struct pr *pr, uint64_t key, bool aptpl)
{
	struct pr_iscsi *p = pr_iscsi(pr);
	LOCK_SCOPE(&p->lock);
	return register_locked(p, key, aptpl);
}

static int
iscsi_reserve(struct pr *pr, uint64_t key)
{
	struct pr_iscsi *p = pr_iscsi(pr);
	LOCK_SCOPE(&p->lock);
	return pr_out(p, PR_OUT_RESERVE, key, 0, false);
}

/* The keys; -EOVERFLOW: more than fit, so that absence proves nothing. */
static int
read_keys_locked(struct pr_iscsi *p, struct pr_status *st)
{
	uint8_t buf[8 + sizeof st->keys];
	struct scsi_cmd cmd;
	scsi_pr_in(&cmd, PR_IN_READ_KEYS, buf, sizeof buf);
	int r = nexus_run(p->nexus, &cmd);
	return r ? r : scsi_parse_keys(buf, cmd.got, st);
}

static int
status_locked(struct pr_iscsi *p, struct pr_status *st)
{
	uint8_t buf[24];
	struct scsi_cmd cmd;
	memset(st, 0, sizeof *st);
	int r = read_keys_locked(p, st);
	if (r)
		return r;
	scsi_pr_in(&cmd, PR_IN_READ_RESERVATION, buf, sizeof buf);
	r = nexus_run(p->nexus, &cmd);
	return r ? r : scsi_parse_reservation(buf, cmd.got, st);
}

static int
iscsi_status(struct pr *pr, struct pr_status *st)
{
	struct pr_iscsi *p = pr_iscsi(pr);
	LOCK_SCOPE(&p->lock);
	return status_locked(p, st);
}

/*
 * PREEMPT AND ABORT takes the victim's commands along; where the target does not know it, PREEMPT, and drain() does the rest.
 * A RESERVATION CONFLICT may mean that the victim's key is gone or that ours is: READ KEYS tells.
 */
static int
iscsi_preempt(struct pr *pr, uint64_t key, uint64_t victim)
{
	struct pr_iscsi *p = pr_iscsi(pr);
	CLEANUP_FREE struct pr_status *st = malloc(sizeof *st);
	if (!st)
		return -ENOMEM;
	LOCK_SCOPE(&p->lock);
	p->aborted = 0;
	int r = -EOPNOTSUPP;
	if (!p->no_abort) {
		r = pr_out(p, PR_OUT_PREEMPT_ABORT, key, victim, false);
		if (r == 0)
			p->aborted = victim;
		p->no_abort = r == -EOPNOTSUPP;
	}
	if (r == -EOPNOTSUPP)
		r = pr_out(p, PR_OUT_PREEMPT, key, victim, false);
	if (r == -EBUSY) {
		r = status_locked(p, st);
		if (r == 0 && (pr_has_key(st, victim) || !pr_has_key(st, key)))
			r = -EBUSY;
	}
	return r;
}

static int
iscsi_drain(struct pr *pr, uint64_t key, uint64_t victim)
{
	struct pr_iscsi *p = pr_iscsi(pr);
	(void)key;
	LOCK_SCOPE(&p->lock);
	if (victim && p->aborted == victim)
		return 0;
	return nexus_lun_reset(p->nexus);
}

static int
iscsi_clear(struct pr *pr, uint64_t key)
{
	struct pr_iscsi *p = pr_iscsi(pr);
	LOCK_SCOPE(&p->lock);
	int r = pr_out(p, PR_OUT_CLEAR, key, 0, false);
	if (r == 0)
		p->key = 0;
	return r;
}

static int
capacity_locked(struct pr_iscsi *p)
{
	uint8_t buf[32];
	struct scsi_cmd cmd;
	if (p->block_size)
		return 0;
	scsi_read_capacity(&cmd, buf, sizeof buf);
	int r = nexus_run(p->nexus, &cmd);
	return r ? r : scsi_parse_capacity(buf, cmd.got, &p->bytes, &p->block_size);
}

static int
iscsi_capacity(struct pr *pr, uint64_t *bytes, uint32_t *block_size)
{
	struct pr_iscsi *p = pr_iscsi(pr);
	LOCK_SCOPE(&p->lock);
	p->block_size = 0;		/* it may have grown */
	int r = capacity_locked(p);
	*bytes = p->bytes;
	*block_size = p->block_size;
	return r;
}

static int
iscsi_read(struct pr *pr, uint64_t offset, void *buf, uint32_t len)
{
	struct pr_iscsi *p = pr_iscsi(pr);
	LOCK_SCOPE(&p->lock);
	int r = capacity_locked(p);
	if (r)
		return r;
	if (offset % p->block_size || len % p->block_size || len > READ_MAX)
		return -EINVAL;
	if (offset > p->bytes || len > p->bytes - offset)
		return -ENXIO;
	struct scsi_cmd cmd;
	scsi_rw16(&cmd, false, offset / p->block_size, len / p->block_size, buf, len);
	r = nexus_run(p->nexus, &cmd);
	return r ? r : cmd.got == len ? 0 : -EIO;
}

static int
iscsi_inquiry(struct pr *pr, uint8_t vpd_page, uint8_t *buf, uint32_t size, uint32_t *len)
{
	struct pr_iscsi *p = pr_iscsi(pr);
	LOCK_SCOPE(&p->lock);
	struct scsi_cmd cmd;
	scsi_inquiry_vpd(&cmd, vpd_page, buf, size > 0xfff0 ? 0xfff0 : size);
	int r = nexus_run(p->nexus, &cmd);
	*len = r ? 0 : cmd.got;
	return r;
}

static int
iscsi_ensure(struct pr *pr, uint64_t key)
{
	struct pr_iscsi *p = pr_iscsi(pr);
	struct scsi_cmd cmd;
	LOCK_SCOPE(&p->lock);
	if (nexus_up(p->nexus)) {
		scsi_test_unit_ready(&cmd);
		int r = nexus_run(p->nexus, &cmd);
		if (r != -ENOTCONN && r != -ETIMEDOUT && (p->key == key || !key))
			return 0;
	}
	if (!nexus_up(p->nexus)) {
		int r = nexus_connect(p->nexus);
		if (r) {
			log_warn("iscsi: cannot log in: %s", nexus_error(p->nexus));
			return r;
		}
		log_info("iscsi: logged in again");
		p->block_size = 0;
	}
	return key ? register_locked(p, key, p->aptpl) : 0;
}

static int
iscsi_enforced(struct pr *pr)
{
	struct pr_iscsi *p = pr_iscsi(pr);
	CLEANUP_FREE char *error = NULL;
	struct nexus *other;
	LOCK_SCOPE(&p->lock);
	int r = capacity_locked(p);
	if (r)
		return r;
	CLEANUP_FREE void *buf = malloc(p->block_size);
	if (!buf)
		return -ENOMEM;
	r = nexus_open_beside(p->nexus, &other, &error);
	if (r) {
		log_error("iscsi: second login, to see that the reservation is enforced: %s", error ? error : strerror(-r));
		return r;
	}
	struct scsi_cmd cmd;
	scsi_rw16(&cmd, false, 0, 1, buf, p->block_size);
	r = nexus_run(other, &cmd);
	nexus_close(other);
	if (r == -EBUSY)
		return 0;
	return r == -ENOTCONN || r == -ETIMEDOUT ? r : -EBADE;
}

static void
iscsi_close(struct pr *pr)
{
	struct pr_iscsi *p = pr_iscsi(pr);
	nexus_close(p->nexus);
	pthread_mutex_destroy(&p->lock);
	free(p);
}

static const struct pr_ops pr_iscsi_ops = {
	.name = "iscsi",
	.do_register = iscsi_do_register,
	.reserve = iscsi_reserve,
	.preempt = iscsi_preempt,
	.drain = iscsi_drain,
	.status = iscsi_status,
	.clear = iscsi_clear,
	.read = iscsi_read,
	.inquiry = iscsi_inquiry,
	.capacity = iscsi_capacity,
	.ensure = iscsi_ensure,
	.enforced = iscsi_enforced,
	.close = iscsi_close,
};

int
pr_iscsi_open(const char *url, const char *initiator_name, uint32_t timeout_ms, struct pr **pr, char **error)
{
	uint32_t isid;
	*pr = NULL;
	*error = NULL;
	/* One initiator port for the life of this object: a target that follows the book then keeps the registration over a new login. */
	if (getrandom(&isid, sizeof isid, 0) != (ssize_t)sizeof isid)
		return -EIO;
	struct pr_iscsi *p = calloc(1, sizeof *p);
	if (!p)
		return -ENOMEM;
	int r = nexus_open(url, initiator_name, isid | 1, timeout_ms, &p->nexus, error);
	if (r) {
		free(p);
		return r;
	}
	pthread_mutex_init(&p->lock, NULL);
	p->pr = (struct pr){ .ops = &pr_iscsi_ops, .timeout_ms = timeout_ms };
	*pr = &p->pr;
	return 0;
}

bool
pr_has_key(const struct pr_status *st, uint64_t key)
{
	for (uint32_t i = 0; i < st->nkeys; i++)
		if (st->keys[i] == key)
			return true;
	return false;
}
