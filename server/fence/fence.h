/*
 * Persistent reservations (SPC-4 5.12; RFC 8154 2.4.10) behind one face: struct pr_ops.
 * pr_iscsi.c speaks to a target in process (libiscsi); pr_kernel.c (IOC_PR_*) comes with its own issue; command.c is the administrator's script.
 * Everything blocks, with a bound of pr->timeout_ms each; no NFS header here.
 */
#ifndef PNFS_SERVER_FENCE_FENCE_H
#define PNFS_SERVER_FENCE_FENCE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct pr_ops;

struct pr {
	const struct pr_ops *ops;
	uint32_t timeout_ms;
};

/* SPC: EXCLUSIVE ACCESS - REGISTRANTS ONLY (PITFALLS B5: not 8h, which RFC 8154's text says) */
#define PR_TYPE_EXCLUSIVE_ACCESS_REG_ONLY 0x06

struct pr_status {
	uint64_t holder;		/* key of the reservation's holder, 0: none */
	uint8_t type;
	uint32_t generation, nkeys;
	uint64_t keys[1024];
};

struct pr_ops {
	const char *name;
	/* Required.  Register KEY for our nexus (REGISTER AND IGNORE EXISTING KEY); APTPL as asked: -EOPNOTSUPP if the target refuses it. */
	int (*do_register)(struct pr *, uint64_t key, bool aptpl);
	/* Required.  Reserve, type 6h.  -EBUSY: somebody else holds it. */
	int (*reserve)(struct pr *, uint64_t key);
	/* Required.  Remove VICTIM's registration; 0 also if it was already gone (verified by status). */
	int (*preempt)(struct pr *, uint64_t key, uint64_t victim);
	/* Required.  Drain the victim's commands: PREEMPT AND ABORT where the target has it, else logical unit reset. */
	int (*drain)(struct pr *, uint64_t key, uint64_t victim);
	/* Required. */
	int (*status)(struct pr *, struct pr_status *st);
	/* Required.  Unregister and release. */
	int (*clear)(struct pr *, uint64_t key);
	/* Optional.  Block I/O on the LU for the nonce proof and tests: bytes at an offset, block aligned. */
	int (*read)(struct pr *, uint64_t offset, void *buf, uint32_t len);
	int (*inquiry)(struct pr *, uint8_t vpd_page, uint8_t *buf, uint32_t size, uint32_t *len);
	int (*capacity)(struct pr *, uint64_t *bytes, uint32_t *block_size);
	/* Required.  Is our nexus up and registered?  Reconnects and registers again if not (a new nexus is unregistered, PITFALLS B9). */
	int (*ensure)(struct pr *, uint64_t key);
	/*
	 * Required.  With the reservation in force: is an initiator port that never registered kept out, by a READ of the first block?  0;
	 * -EBADE: it could read, or failed in another way than by RESERVATION CONFLICT; other -errno: it could not be asked.
	 */
	int (*enforced)(struct pr *);
	void (*close)(struct pr *);
};

bool pr_has_key(const struct pr_status *st, uint64_t key);

/* URL as libiscsi writes it. */
int pr_iscsi_open(const char *url, const char *initiator_name, uint32_t timeout_ms, struct pr **pr, char **error);

/* The fencing command (INTERFACES.md): 0 confirmed; -errno otherwise, -ETIMEDOUT after 30 s. */
struct fence_env { const char *client, *addr, *iqn, *device; uint64_t key; };
int fence_command_run(const char *command, const struct fence_env *env, uint32_t timeout_ms);

#endif
