/* One I_T nexus to a LUN; see iscsi_nexus.h. */
#include "server/fence/iscsi_nexus.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <iscsi/iscsi.h>
#include <iscsi/scsi-lowlevel.h>

#include "include/log.h"

#define RETRIES 16
#define REDIRECTS 4

struct nexus {
	char *url, *initiator;
	uint32_t isid, timeout_ms;
	struct iscsi_context *ctx;	/* NULL: down */
	int lun;
	char error[256];
};

/* What a callback of libiscsi leaves. */
struct outcome {
	bool done;
	int status;
	uint32_t response;		/* of a task management function */
};

static uint64_t
now_ms(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void
on_done(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	(void)ctx;
	(void)data;
	struct outcome *outcome = arg;
	outcome->status = status;
	outcome->done = true;
}

static void
on_tmf_done(struct iscsi_context *ctx, int status, void *data, void *arg)
{
	struct outcome *outcome = arg;
	outcome->response = data ? *(uint32_t *)data : ISCSI_TMR_FUNC_REJECTED;
	on_done(ctx, status, NULL, arg);
}

/* Callbacks still out are called from within, so their struct outcome must be alive. */
static void
nexus_drop(struct nexus *nexus)
{
	if (nexus->ctx)
		iscsi_destroy_context(nexus->ctx);
	nexus->ctx = NULL;
}

static int
nexus_fail(struct nexus *nexus, int err)
{
	const char *text = nexus->ctx ? iscsi_get_error(nexus->ctx) : NULL;
	snprintf(nexus->error, sizeof nexus->error, "%s%s%s", strerror(-err),
	    text && *text ? ": " : "", text ? text : "");
	nexus->error[strcspn(nexus->error, "\n")] = 0;
	if (err == -ENOTCONN || err == -ETIMEDOUT)
		nexus_drop(nexus);
	return err;
}

/* Drive the session until the callback came.  0, or -errno with the session down. */
static int
nexus_wait(struct nexus *nexus, struct outcome *outcome, uint64_t deadline)
{
	while (!outcome->done) {
		uint64_t now = now_ms();
		if (now >= deadline)
			return nexus_fail(nexus, -ETIMEDOUT);
		struct pollfd pfd = { .fd = iscsi_get_fd(nexus->ctx), .events = (short)iscsi_which_events(nexus->ctx) };
		if (pfd.fd < 0)
			return nexus_fail(nexus, -ENOTCONN);
		int n = poll(&pfd, 1, deadline - now < 500 ? (int)(deadline - now) : 500);
		if (n < 0 && errno != EINTR)
			return nexus_fail(nexus, -ENOTCONN);
		if (iscsi_service(nexus->ctx, n > 0 ? pfd.revents : 0) < 0 && !outcome->done)
			return nexus_fail(nexus, -ENOTCONN);
	}
	return 0;
}

/* TCP, then the login; 1: go to the portal that iscsi_get_target_address() names instead (RFC 7143 11.13.5, status class 1). */
static int
nexus_login(struct nexus *nexus, const char *portal, uint64_t deadline)
{
	struct outcome connected = { 0 }, login = { 0 };

	if (iscsi_connect_async(nexus->ctx, portal, on_done, &connected))
		return nexus_fail(nexus, -ENOTCONN);
	int r = nexus_wait(nexus, &connected, deadline);
	if (r)
		return r;
	if (connected.status != SCSI_STATUS_GOOD || iscsi_login_async(nexus->ctx, on_done, &login))
		return nexus_fail(nexus, -ENOTCONN);
	r = nexus_wait(nexus, &login, deadline);
	if (r)
		return r;
	if (login.status == SCSI_STATUS_REDIRECT)
		return 1;
	return login.status == SCSI_STATUS_GOOD ? 0 : nexus_fail(nexus, -ENOTCONN);
}

/*
 * In steps, not by iscsi_full_connect_async(): that loses memory each time a target goes silent during the login, and a target that is silent is
 * tried again for ever.  No TEST UNIT READY either, which a reservation of somebody else would spoil.
 */
static int
nexus_login_somewhere(struct nexus *nexus, const char *portal)
{
	uint64_t deadline = now_ms() + nexus->timeout_ms;
	char there[256];

	for (unsigned i = 0; i < REDIRECTS; i++) {
		int r = nexus_login(nexus, portal, deadline);
		if (r != 1)
			return r;
		snprintf(there, sizeof there, "%s", iscsi_get_target_address(nexus->ctx));
		iscsi_disconnect(nexus->ctx);
		portal = there;
	}
	return nexus_fail(nexus, -ENOTCONN);
}

int
nexus_connect(struct nexus *nexus)
{
	nexus_drop(nexus);
	nexus->ctx = iscsi_create_context(nexus->initiator);
	if (!nexus->ctx)
		return -ENOMEM;
	struct iscsi_url *url = iscsi_parse_full_url(nexus->ctx, nexus->url);
	if (!url) {
		nexus_fail(nexus, -EINVAL);
		nexus_drop(nexus);
		return -EINVAL;
	}
	nexus->lun = url->lun;
	iscsi_set_targetname(nexus->ctx, url->target);
	iscsi_set_session_type(nexus->ctx, ISCSI_SESSION_NORMAL);
	iscsi_set_header_digest(nexus->ctx, ISCSI_HEADER_DIGEST_NONE_CRC32C);
	iscsi_set_noautoreconnect(nexus->ctx, 1);
	if (nexus->isid)
		iscsi_set_isid_random(nexus->ctx, nexus->isid & 0xffffff, 0);
	int r = nexus_login_somewhere(nexus, url->portal);
	iscsi_destroy_url(url);
	return r;
}

int
nexus_open(const char *url, const char *initiator_name, uint32_t isid, uint32_t timeout_ms,
    struct nexus **nexusp, char **error)
{
	struct nexus *nexus = calloc(1, sizeof *nexus);
	*nexusp = NULL;
	*error = NULL;
	if (!nexus)
		return -ENOMEM;
	nexus->url = strdup(url);
	nexus->initiator = strdup(initiator_name);
	nexus->isid = isid;
	nexus->timeout_ms = timeout_ms;
	int r = nexus->url && nexus->initiator ? nexus_connect(nexus) : -ENOMEM;
	if (r) {
		*error = strdup(nexus_error(nexus));
		nexus_close(nexus);
		return r;
	}
	*nexusp = nexus;
	return 0;
}

int
nexus_open_beside(const struct nexus *nexus, struct nexus **other, char **error)
{
	return nexus_open(nexus->url, nexus->initiator, 0, nexus->timeout_ms, other, error);
}

void
nexus_close(struct nexus *nexus)
{
	if (!nexus)
		return;
	if (nexus->ctx) {
		struct outcome outcome = { 0 };
		uint64_t deadline = now_ms() + (nexus->timeout_ms < 1000 ? nexus->timeout_ms : 1000);
		if (iscsi_logout_async(nexus->ctx, on_done, &outcome) == 0)
			nexus_wait(nexus, &outcome, deadline);
		nexus_drop(nexus);
	}
	free(nexus->url);
	free(nexus->initiator);
	free(nexus);
}

bool
nexus_up(const struct nexus *nexus)
{
	return nexus->ctx != NULL;
}

const char *
nexus_error(const struct nexus *nexus)
{
	return nexus->error;
}

/* What a finished command means; 1: try it again. */
static int
task_result(const struct scsi_task *task, int status)
{
	switch (status) {
	case SCSI_STATUS_GOOD:
	case SCSI_STATUS_CONDITION_MET:
		return 0;
	case SCSI_STATUS_RESERVATION_CONFLICT:
		return -EBUSY;
	case SCSI_STATUS_BUSY:
	case SCSI_STATUS_TASK_SET_FULL:
	case SCSI_STATUS_TASK_ABORTED:
		return 1;
	case SCSI_STATUS_TIMEOUT:
		return -ETIMEDOUT;
	case SCSI_STATUS_CHECK_CONDITION:
		break;
	default:			/* CANCELLED, ERROR: the connection is gone */
		return -ENOTCONN;
	}
	switch ((int)task->sense.key) {
	case SCSI_SENSE_RECOVERED_ERROR:
		return 0;
	case SCSI_SENSE_UNIT_ATTENTION:
	case SCSI_SENSE_COMMAND_ABORTED:
		return 1;
	case SCSI_SENSE_ILLEGAL_REQUEST:
		return task->sense.ascq == SCSI_SENSE_ASCQ_LOGICAL_UNIT_NOT_SUPPORTED ? -ENODEV : -EOPNOTSUPP;
	case SCSI_SENSE_DATA_PROTECTION:
		return -EROFS;
	}
	return -EIO;
}

static int
run_once(struct nexus *nexus, struct scsi_cmd *cmd, uint64_t deadline)
{
	struct outcome outcome = { 0 };
	int dir = cmd->out_len ? SCSI_XFER_WRITE : cmd->in_len ? SCSI_XFER_READ : SCSI_XFER_NONE;
	struct scsi_task *task = scsi_create_task((int)cmd->cdb_len, cmd->cdb, dir,
	    (int)(cmd->out_len ? cmd->out_len : cmd->in_len));
	if (!task)
		return -ENOMEM;
	/* libiscsi only reads what goes out */
	struct iscsi_data out = { .size = cmd->out_len, .data = (unsigned char *)(uintptr_t)cmd->out };
	int r = -ENOTCONN;
	if (iscsi_scsi_command_async(nexus->ctx, nexus->lun, task, on_done, cmd->out_len ? &out : NULL, &outcome) == 0)
		r = nexus_wait(nexus, &outcome, deadline);
	else
		nexus_fail(nexus, r);
	if (r == 0)
		r = task_result(task, outcome.status);
	if (r == 0 && cmd->in_len) {
		uint32_t got = task->datain.size > 0 ? (uint32_t)task->datain.size : 0;
		cmd->got = got < cmd->in_len ? got : cmd->in_len;
		if (cmd->got)
			memcpy(cmd->in, task->datain.data, cmd->got);
	} else if (r < 0) {
		nexus_fail(nexus, r);
	}
	/* The context must not know the task any more: it was completed, or the context is gone. */
	scsi_free_scsi_task(task);
	return r;
}

int
nexus_run(struct nexus *nexus, struct scsi_cmd *cmd)
{
	uint64_t deadline = now_ms() + nexus->timeout_ms;
	int r = -EIO;
	cmd->got = 0;
	for (unsigned i = 0; i < RETRIES; i++) {
		if (!nexus->ctx)
			return -ENOTCONN;
		r = run_once(nexus, cmd, deadline);
		if (r <= 0)
			return r;
		if (i >= 4) {		/* attentions come one by one; busy takes time */
			struct timespec pause = { .tv_nsec = 20 * 1000000 };
			nanosleep(&pause, NULL);
		}
	}
	return nexus_fail(nexus, -EIO);
}

int
nexus_lun_reset(struct nexus *nexus)
{
	struct outcome outcome = { 0 };
	if (!nexus->ctx)
		return -ENOTCONN;
	if (iscsi_task_mgmt_lun_reset_async(nexus->ctx, (uint32_t)nexus->lun, on_tmf_done, &outcome))
		return nexus_fail(nexus, -ENOTCONN);
	int r = nexus_wait(nexus, &outcome, now_ms() + nexus->timeout_ms);
	if (r)
		return r;
	if (outcome.status != SCSI_STATUS_GOOD)
		return nexus_fail(nexus, -ENOTCONN);
	switch (outcome.response) {
	case ISCSI_TMR_FUNC_COMPLETE:
		return 0;
	case ISCSI_TMR_TMF_NOT_SUPPORTED:
	case ISCSI_TMR_FUNC_REJECTED:
		return -EOPNOTSUPP;
	case ISCSI_TMR_LUN_DOES_NOT_EXIST:
		return -ENODEV;
	}
	return -EIO;
}
