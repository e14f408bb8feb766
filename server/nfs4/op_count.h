/* How often each operation was answered, for SIGUSR1 and, later, pnfsctl.  compound.c counts, main.c prints. */
#ifndef PNFS_SERVER_NFS4_OP_COUNT_H
#define PNFS_SERVER_NFS4_OP_COUNT_H

#include <stdint.h>
#include <stdio.h>

/* Any thread; the threads do not share cache lines. */
void op_count(uint32_t op);

/* "OPS READ=0 WRITE=12 ...": all that were answered at least once since the process started. */
void op_count_print(FILE *to);

#endif
