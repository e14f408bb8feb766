/* Shared by the kinds of bdev; bdev.c and bdev/ only. */
#ifndef PNFS_CLIENT_BDEV_BDEV_PRIV_H
#define PNFS_CLIENT_BDEV_BDEV_PRIV_H

#include <stddef.h>

#include "client/bdev.h"

/* Openers: DONE runs later, by bdev_later() at the soonest.  NULL without memory. */
struct bdev *bdev_iscsi_open(struct loop *loop, const char *url, const char *initiator,
    bdev_done_fn *done, void *arg);
struct bdev *bdev_file_open(struct loop *loop, const char *path, bdev_done_fn *done, void *arg);

/* Call DONE on the next turn of the loop.  With FREE_AFTER the bdev is closed when it has run. */
int bdev_later(struct bdev *bdev, int status, bdev_done_fn *done, void *arg, bool free_after);

/* End IO on the next turn. */
void bdev_io_later(struct bdev *bdev, struct bdev_io *io, int result);

/* Take the designators of a VPD page 0x83 (SPC-5 7.7.6) whose association is the logical unit.  False: malformed; those before it stay. */
bool bdev_parse_vpd83(struct bdev *bdev, const uint8_t *page, size_t len);

void bdev_set_up(struct bdev *bdev, bool up);

#endif
