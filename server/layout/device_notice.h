/*
 * CB_NOTIFY_DEVICEID (RFC 8881 20.12): which client is told what about which device, and the telling.
 *
 * A device goes: DELETE.  What a client was told of it is so no more - its reservation key is another one, registrations at the target are lost, the LUN
 * has grown: CHANGE.  op_device.c subscribes, fenced.c and device*.c note what happens, server.c's tick sends.
 */
#ifndef PNFS_SERVER_LAYOUT_DEVICE_NOTICE_H
#define PNFS_SERVER_LAYOUT_DEVICE_NOTICE_H

#include <stdbool.h>
#include <stdint.h>

struct client;
struct device;
struct mds;

/*
 * CLIENT wants notifications MASK (bits 1 << notify_deviceid_type4) of DEVICE and no others, from now on.  Returns those it will get.  FETCHED: it is about
 * to be told the address, so that a CHANGE not sent yet has nothing to say; *key is the reservation key as of this moment.  No lock held.
 */
uint32_t device_notice_subscribe(struct mds *mds, struct client *client, const struct device *device, uint32_t mask, bool fetched, uint64_t *key);

/* CLIENT has another reservation key: each SCSI device's address is another one for it.  state_lock held. */
void device_notice_key_locked(struct mds *mds, struct client *client);

/* Once a second: what has happened is told to those who subscribed, again and again until they answer.  No lock held. */
void device_notices_tick(struct mds *mds, uint64_t now_ms);

#endif
