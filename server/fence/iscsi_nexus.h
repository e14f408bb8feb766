/*
 * One I_T nexus to a LUN, in process (libiscsi): connect, run a command, reset the LUN - each with a
 * hard deadline.  No reconnecting by itself: a new nexus is an unregistered one (PITFALLS B9), so whoever uses it must know.
 *
 * Used by pr_iscsi.c.  Not thread-safe: the caller has a lock.
 */
#ifndef PNFS_SERVER_FENCE_ISCSI_NEXUS_H
#define PNFS_SERVER_FENCE_ISCSI_NEXUS_H

#include <stdbool.h>
#include <stdint.h>

struct nexus;

/* What goes to the target: a CDB and data one way at most. */
struct scsi_cmd {
	uint8_t cdb[16];
	unsigned cdb_len;
	const void *out;		/* data out, OUT_LEN bytes */
	uint32_t out_len;
	void *in;			/* data in, at most IN_LEN bytes */
	uint32_t in_len;
	uint32_t got;			/* set: bytes that came in */
};

/*
 * Parse URL and log in.  ISID 0: a random one; else the low 24 bits, so that two logins are the same initiator port.
 * 0, or -errno with *error (malloc'd; may be NULL for out of memory).
 */
int nexus_open(const char *url, const char *initiator_name, uint32_t isid, uint32_t timeout_ms,
    struct nexus **nexus, char **error);
void nexus_close(struct nexus *nexus);

/* Another login to the same LUN under the same name, by an initiator port of its own: a nexus that never registered.  As nexus_open(). */
int nexus_open_beside(const struct nexus *nexus, struct nexus **other, char **error);

/* Log in again, after nexus_up() was false.  0 or -errno. */
int nexus_connect(struct nexus *nexus);

/* Is there a session, as far as we know? */
bool nexus_up(const struct nexus *nexus);

/*
 * Run a command; UNIT ATTENTION, BUSY and ABORTED COMMAND are retried.  0 good; -EBUSY RESERVATION CONFLICT; -EOPNOTSUPP ILLEGAL REQUEST;
 * -ENODEV no such LUN; -EROFS write protected; -ENOTCONN, -ETIMEDOUT: the session is down now; -EIO.
 */
int nexus_run(struct nexus *nexus, struct scsi_cmd *cmd);

/* LOGICAL UNIT RESET: 0 once the target says complete, -EOPNOTSUPP, or as above. */
int nexus_lun_reset(struct nexus *nexus);

/* Target text or reason of the last failure; never NULL. */
const char *nexus_error(const struct nexus *nexus);

#endif
