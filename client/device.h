/*
 * The devices layouts name (deviceid4): GETDEVICEINFO, which of the caller's devices it is, reservation key, loss and recovery.
 * Service thread.
 */
#ifndef PNFS_CLIENT_DEVICE_H
#define PNFS_CLIENT_DEVICE_H

#include "client/bdev.h"
#include "client/layout.h"
#include "client/match.h"
#include "client/mount.h"

enum device_state { DEVICE_WAIT, DEVICE_READY, DEVICE_DEAD };

/* DEAD: *reason says why (for half a minute, then it is WAIT: worth another look). */
enum device_state device_state(struct pnfs *m, const uint8_t *id, enum reason *reason);

/* Where ADDR of the device is: as topology_map.  False: the device is not ready, or the address is outside of it. */
bool device_map(struct pnfs *m, const uint8_t *id, uint64_t addr, struct bdev **bdev, uint64_t *offset, uint64_t *run);

/* Make it usable; done when it is READY or DEAD.  FSID is of a file on it. */
void device_resolve(struct pnfs *m, layouttype4 type, const uint8_t *id, const fsid4 *fsid, done_fn *done, void *arg);

/*
 * I/O on it failed with -EBADE (fenced, RFC 8154 2.4.10.5) or -ENOTCONN: all layouts on it are committed and returned, the key is
 * given up, and it is looked for anew (GETDEVICEINFO, a new registration) when the next layout comes.
 */
void device_failed(struct pnfs *m, const uint8_t *id, int err);

/*
 * CB_NOTIFY_DEVICEID (RFC 8881 20.12): the layouts on it go back, then it is asked for anew - or, DELETED, not any more.
 * TYPE: two layout types may have the same device ID.
 */
void device_changed(struct pnfs *m, layouttype4 type, const uint8_t *id, bool deleted);
/* Some of them were: SEQUENCE does not say which (18.46.3). */
void devices_changed(struct pnfs *m, bool deleted);
/* What device IDs mean is forgotten, of one file system or (FSID NULL) of all: the client ID is lost (12.7.4), or a bulk recall (20.3.3). */
void devices_forget(struct pnfs *m, const fsid4 *fsid);

/* Unmount: unregister the keys (RFC 8154 2.4.10.3), then close. */
void devices_unregister(struct pnfs *m, done_fn *done, void *arg);
void devices_close(struct pnfs *m);

#endif
