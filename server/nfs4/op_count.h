/* How often each operation was answered, for SIGUSR1 and pnfsctl.  compound.c counts; main.c prints, ctl_show.c tells. */
#ifndef PNFS_SERVER_NFS4_OP_COUNT_H
#define PNFS_SERVER_NFS4_OP_COUNT_H

#include <stdint.h>
#include <stdio.h>

/* Any thread; the threads do not share cache lines. */
void op_count(uint32_t op);

/* FN for each that was answered at least once since the process started. */
void op_count_each(void (*fn)(const char *name, uint64_t count, void *arg), void *arg);

/* "OPS READ=0 WRITE=12 ...": the same as a line. */
void op_count_print(FILE *to);

#endif
