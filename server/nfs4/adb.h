/* Application data blocks (RFC 7862 8.1.1): what WRITE_SAME writes.  Pure; op_write_same.c. */
#ifndef PNFS_SERVER_NFS4_ADB_H
#define PNFS_SERVER_NFS4_ADB_H

#include <stdint.h>

#include "proto/x/nfs4.h"

/*
 * NFS4_OK: pattern and number lie within a block, the file's offsets end before 2^63; *LEN is the length of all blocks.  INVAL, FBIG.
 */
nfsstat4 adb_check(const app_data_block4 *adb, uint64_t *len);
/* The bytes [FROM, FROM + LEN) of all blocks, counted from the first one's start, into BUF. */
void adb_fill(const app_data_block4 *adb, uint64_t from, uint8_t *buf, uint32_t len);

#endif
