/*
 * The device under an export as clients see it: a LUN with an identity (deviceid4), proven to be the one
 * the file system is on, reserved for SCSI layouts, the place of fencing.
 *
 * device.c does discovery and proof; op_device.c asks it for its address; recall.c asks it to fence; device_watch.c looks at it from time to time.
 */
#ifndef PNFS_SERVER_LAYOUT_DEVICE_H
#define PNFS_SERVER_LAYOUT_DEVICE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "include/reason.h"
#include "server/net/worker.h"

struct device_conf;
struct export;
struct mds;
struct pr;

#define DEVICE_ID_SIZE 16

/* What clients have to be told about (device_notice.h). */
enum device_change {
	DEVICE_SAME,
	DEVICE_RESIZED,
	DEVICE_LOST,			/* registrations at the target */
};

struct device {
	int refs;
	const struct device_conf *conf;
	uint8_t id[DEVICE_ID_SIZE];	/* deviceid4: hash of UUID, designator and layout type: the same after restarts (PITFALLS B16) */
	uint8_t uuid[16];		/* signature (type 3), at sig_offset on the LU */
	uint64_t sig_offset;
	uint32_t layout_type;		/* 3 or 5 */
	uint8_t designator[64];		/* binary (type 5) */
	unsigned designator_len;
	uint32_t designator_type, code_set;	/* SPC: 3 NAA, 2 EUI-64; 1 binary */
	uint64_t size;			/* bytes, of the LU */
	uint32_t block_size;		/* logical, bytes */
	struct pr *pr;			/* fence/fence.h; NULL: no reservations (type 3) */
	uint64_t server_key;
	bool reserved;			/* registered and reserved, verified */
	enum reason reason;		/* why not usable, REASON_NONE if it is */

	/* device.c's own */
	struct mds *mds;
	LIST_ENTRY(device) link;	/* mds->devices */
	LIST_HEAD(, export) exports;	/* that use it */
	pthread_mutex_t lock;		/* held over talks with the target: fencers and workers only, never under state_lock */
	uint64_t verified_ms;		/* mds_now_ms() when the reservation was last seen in force; atomic */
	uint64_t failed_ms;		/* mds_now_ms() when that was last found not to be so, 0: it is; atomic, written with lock */
	bool former_fenced;		/* keys of a former life are gone */
	bool lost;			/* the reservation was gone, and clients have not been told; lock */
	bool unguarded;			/* the target was reached, but there was no reservation to be had; lock */
	uint64_t *fenced;		/* keys cut off, and all of a former life: one that registers is cut off again (PITFALLS B12); lock */
	unsigned nfenced, fenced_room;
	uint64_t fenced_ms;		/* mds_now_ms() of the last of them; atomic */
	unsigned registered;		/* others' keys seen at the target, and given out since; atomic */
	bool retired;			/* no export of it is served and nobody has layouts: for clients it is gone; devices->lock */
	enum device_change changed;	/* not told yet; atomic */
	struct work watch;		/* device_watch.c's */
	bool watching;			/* that is queued; devices->lock */
};

/* Open the LUN of CONF for EXPORT: identity, size, proof by nonce.  Blocks (start only).  0, or -errno with *why set and logged. */
int device_open(struct mds *mds, const struct device_conf *conf, struct export *export, uint32_t layout_type,
    struct device **device, enum reason *why);
struct device *device_get(struct device *device);
void device_put(struct device *device);
/* By deviceid4; referenced.  NULL: unknown. */
struct device *device_find(struct mds *mds, const uint8_t id[DEVICE_ID_SIZE]);
/* The open one of [device NAME]; referenced.  NULL: none. */
struct device *device_find_name(struct mds *mds, const char *name);
/* FN for each; the list is locked meanwhile. */
void devices_each(struct mds *mds, void (*fn)(struct device *device, void *arg), void *arg);
/* Does one of the device's exports admit a client at ADDR?  (Its key opens the whole LUN.) */
bool device_admits(struct device *device, const struct sockaddr *addr);
/* Has the LUN grown?  Then layouts are recalled and clients are told (device_notice.h).  Blocks: worker. */
void device_measure(struct device *device);
/* EXPORT is no longer served, though files of it may be open for a while: the device goes as far as clients are concerned, if it was the last. */
void device_leave(struct device *device, struct export *export);
/* EXPORT goes: drops its reference too. */
void device_close(struct device *device, struct export *export);
/* At the end, when all exports are gone. */
void devices_free(struct mds *mds);

/*
 * Register the server's key and take the reservation if that has not been done (RFC 8154 2.4.10.2); keys of clients of a former life are preempted.
 * Blocks: worker.  0 or -errno with *why.
 */
int device_prepare(struct device *device, enum reason *why);

/*
 * Talk to the target now: is the reservation in force, has one that was cut off registered again?  What is not as it should be is put right; if
 * it cannot be, nothing is granted until it is.  Blocks: worker.  0 or -errno.
 */
int device_verify(struct device *device);
/* KEY is going to be told to a client: on record first (durable), so that a restarted server knows whom to cut off.  Blocks: worker. */
int device_give_key(struct device *device, uint64_t key);

/* Are keys on record for the device of CONF - of this server's, or of clients', who may be registered there? */
bool device_has_keys(struct mds *mds, const struct device_conf *conf);

/* A reservation seen in force this long ago is believed. */
#define DEVICE_VERIFY_MS 5000u
/*
 * About once a second, on a loop: devices in use - layouts out, clients registered, somebody cut off not long ago - that were not looked at for
 * DEVICE_VERIFY_MS are looked at by a worker.
 */
void devices_tick(struct mds *mds, uint64_t now_ms);
/* No tick comes any more: wait for looks that are under way. */
void devices_settle(struct mds *mds);

/* What the fencing command is told. */
struct fence_target {
	uint64_t key;			/* 0: type 3 */
	const char *client;		/* printable co_ownerid */
	struct sockaddr_storage addr;
};

/*
 * Cut a client off and see to it that it is (key absent, its commands drained; or the fencing command said 0).  Blocks, with bounds of its own (30 s): fencer threads.
 * 0: confirmed.  -EOPNOTSUPP: no way to fence (type 3 without a command): the caller waits lease and maximum I/O time instead (RFC 5663 2.3.8).
 * Other -errno: not confirmed, retry.
 */
int device_fence(struct device *device, const struct fence_target *target);

#endif
