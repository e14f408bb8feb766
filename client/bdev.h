/*
 * A block device as the client does I/O on it: a LUN by libiscsi in process, or a local block device or image file (O_DIRECT, io_uring).
 * Everything happens on one loop's thread.
 *
 *   bdev.c         open by URL or path, common checks
 *   bdev/iscsi.c   libiscsi
 *   bdev/file.c    io_uring
 */
#ifndef PNFS_CLIENT_BDEV_H
#define PNFS_CLIENT_BDEV_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/rpc/loop.h"

struct bdev;
struct bdev_io;
struct bdev_ops;

/*
 * One transfer; the caller embeds it and keeps it until done.  offset and length are multiples of the logical block size; up to BDEV_MAX_IO (larger is
 * cut by the caller).
 */
#define BDEV_MAX_IO (1u << 20)
enum bdev_io_op { BDEV_READ, BDEV_WRITE, BDEV_FLUSH };
struct bdev_io {
	enum bdev_io_op op;
	void *buf;
	uint32_t len;
	uint64_t offset;
	/*
	 * 0 or -errno.  -EBADE: RESERVATION CONFLICT (fenced, or not registered).  -ENOTCONN: the connection was lost; it
	 * may or may not have been done.  Others: the device's error.
	 */
	int result;
	void (*done)(struct bdev_io *io);
	/*
	 * May be NULL.  Asked before a device sends a command once more by itself (UNIT ATTENTION, BUSY): false ends the io with -EAGAIN.  It was not
	 * done then.
	 */
	bool (*may)(const struct bdev_io *io);
	void *arg;
	struct bdev *bdev;		/* filled in by bdev_submit */
	struct bdev_io *next;	/* the device's, while under way */
	void *priv;
};

/* Identity for type 5: a designation descriptor of VPD page 0x83 (SPC-5 7.7.6), association logical unit. */
struct bdev_designator {
	uint8_t code_set, type, len;
	uint8_t bytes[255];
};
#define BDEV_MAX_DESIGNATORS 16

struct bdev {
	const struct bdev_ops *ops;
	struct loop *loop;
	char *name;			/* URL or path as given */
	uint64_t size;			/* bytes */
	uint32_t block_size;		/* logical */
	bool up;			/* connected; false: submit answers -ENOTCONN */
	uint32_t generation;		/* rises with every (re)connection: layouts are revalidated before anything is reissued */
	unsigned ndesignators;
	struct bdev_designator designators[BDEV_MAX_DESIGNATORS];
	uint64_t pr_key;		/* registered for this nexus; 0: none */
	uint64_t bytes_read, bytes_written, ios;
	/* Called (may be NULL) when up changes. */
	void (*state_changed)(struct bdev *bdev, void *arg);
	void *state_arg;
};

/* Completion of open, registration, reconnection: 0 or -errno. */
typedef void bdev_done_fn(struct bdev *bdev, int status, void *arg);

struct bdev_ops {
	/* Required.  bdev->up was checked; never calls io->done from within. */
	void (*submit)(struct bdev *bdev, struct bdev_io *io);
	/* Required.  Ends what is under way with -ENOTCONN, frees. */
	void (*close)(struct bdev *bdev);
	/* Optional (NULL: no reservations here).  REGISTER AND IGNORE EXISTING KEY for this nexus; key 0 unregisters.  APTPL=1 is tried
	 * first, then 0 (RFC 8154 2.4.10.3). */
	void (*do_register)(struct bdev *bdev, uint64_t key, bdev_done_fn *done, void *arg);
	/* Optional.  See bdev_expire(). */
	void (*expire)(struct bdev *bdev);
	/* Optional.  Connect again after a loss (bdev->up false). */
	void (*reconnect)(struct bdev *bdev, bdev_done_fn *done, void *arg);
};

/*
 * Open NAME ("iscsi://..." or a path); identity and size are there when DONE runs with 0.  INITIATOR is the IQN (iSCSI only).
 * Loop's thread; DONE is never called from within.  Returns NULL only without memory; on failure the bdev is freed after DONE.
 */
struct bdev *bdev_open(struct loop *loop, const char *name, const char *initiator, bdev_done_fn *done, void *arg);
void bdev_submit(struct bdev *bdev, struct bdev_io *io);
void bdev_close(struct bdev *bdev);
/*
 * The right to what is under way is about to end (lease): what has not ended within a second is given up, by cutting the connection so that nothing
 * of it that is still queued here goes out later.  Ends as any lost connection.
 */
void bdev_expire(struct bdev *bdev);
/* -EOPNOTSUPP by DONE where there is none. */
void bdev_register(struct bdev *bdev, uint64_t key, bdev_done_fn *done, void *arg);
void bdev_reconnect(struct bdev *bdev, bdev_done_fn *done, void *arg);

#endif
