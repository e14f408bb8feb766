/*
 * What answers nfsd's recalls while no server does: for the process in nfsd's namespaces (kernel_nfsd.c), from the moment on at which the server is
 * dead.  System calls only: that process is the fork of a program with threads.
 */
#ifndef PNFS_SERVER_EXPORT_KERNEL_GUARD_H
#define PNFS_SERVER_EXPORT_KERNEL_GUARD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KERNEL_GUARD_CALL 8192u		/* bytes; the backchannel has 4096 for a COMPOUND */
#define KERNEL_GUARD_REPLY 128u

struct kernel_guard {
	int sock;			/* the loopback connection; -1: it is of no use any more */
	uint32_t skip;			/* bytes that are still to come of an answer to the server that is dead */
};

/*
 * The answer to the CALL of LEN bytes (without record mark), into REPLY: "later" (NFS4ERR_DELAY), whatever is asked.  Its length, or 0: not
 * understood, and not answered.
 */
size_t kernel_guard_answer(const uint8_t *call, size_t len, uint8_t reply[KERNEL_GUARD_REPLY]);

/* There is something to read.  Waits for nobody but for a record to become whole. */
void kernel_guard_serve(struct kernel_guard *guard);

#endif
