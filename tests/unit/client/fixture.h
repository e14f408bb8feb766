/*
 * A mount of libpnfs at the fake server with its files (fake_file.h), for tests that want to see inside: struct pnfs is at hand, and the device's I/O
 * can be made to fail or to wait.
 */
#ifndef PNFS_TESTS_CLIENT_FIXTURE_H
#define PNFS_TESTS_CLIENT_FIXTURE_H

#include "client/bdev.h"
#include "client/file.h"
#include "client/mount.h"
#include "tests/unit/client/fake_file.h"

extern struct fake_mds fake;
extern struct fake_files files;
extern struct pnfs *mount;

/* What the device does; the counters are of transfers that got to it. */
extern struct device_script {
	atomic_int fail;		/* so many transfers end with ERROR */
	atomic_int error;
	atomic_bool only_writes;	/* reads do not fail */
	atomic_bool hold;		/* transfers wait until fixture_release() */
	atomic_bool down;		/* bdev_reconnect() fails too */
	atomic_int reads, writes, reconnects;
} script;

/* Server and mount; OPTIONS' devices are set here if NULL. */
void fixture_start(struct pnfs_options options);
void fixture_stop(void);

/* Read and write "a" or "b" through pnfs_*. */
struct pnfs_file *fixture_open(const char *name, int flags);
/* The device's ops are wrapped by SCRIPT from now on (one transfer is made, to open it). */
void fixture_wrap(struct pnfs_file *file);
void fixture_release(void);
/* The target has closed the connection. */
void fixture_disconnect(void);

/* A pnfs_io that was submitted, and its end. */
struct fixture_io {
	struct pnfs_io io;
	sem_t ended;
	bool waiting;
};
void fixture_submit(struct fixture_io *io, struct pnfs_file *file, enum pnfs_io_op op, void *buf, size_t len, uint64_t offset);
/* Its result within MS; -EINPROGRESS if it has not ended. */
ssize_t fixture_wait(struct fixture_io *io, unsigned ms);

/* Is FN true within MS? */
bool fixture_until(bool (*fn)(void), unsigned ms);

/* Send one callback operation; the whole CB_COMPOUND's status. */
nfsstat4 fixture_callback(uint32_t op, const void *args);
/* A CB_LAYOUTRECALL of all of file I. */
nfsstat4 fixture_recall(unsigned i);
/* The same again. */
nfsstat4 fixture_recall_again(unsigned i);
/* The address the callbacks' slot 0 is at (CB_SEQUENCE). */
extern uint32_t fixture_cb_seqid;

/* Of a test's main(): one suite with one case of N tests, run with a fixture of its own; the exit status. */
struct Suite;
int fixture_main(struct Suite *s);

double fixture_now(void);

#endif
