/* Bytes of the few SCSI commands of fence/: builders and parsers, no I/O.  SPC-4, SBC-3. */
#ifndef PNFS_SERVER_FENCE_SCSI_CDB_H
#define PNFS_SERVER_FENCE_SCSI_CDB_H

#include <stdbool.h>
#include <stdint.h>

#include "server/fence/iscsi_nexus.h"

struct pr_status;

/* PERSISTENT RESERVE IN, OUT: service actions (SPC-4 6.15, 6.16) */
enum { PR_IN_READ_KEYS = 0, PR_IN_READ_RESERVATION = 1 };
enum {
	PR_OUT_REGISTER = 0, PR_OUT_RESERVE = 1, PR_OUT_RELEASE = 2, PR_OUT_CLEAR = 3, PR_OUT_PREEMPT = 4,
	PR_OUT_PREEMPT_ABORT = 5, PR_OUT_REGISTER_IGNORE = 6,
};
#define PR_OUT_PARAM_LEN 24u

/* PARAM is filled in and referred to by CMD. */
void scsi_pr_out(struct scsi_cmd *cmd, uint8_t param[PR_OUT_PARAM_LEN], uint8_t action, uint8_t type,
    uint64_t key, uint64_t service_key, bool aptpl);
void scsi_pr_in(struct scsi_cmd *cmd, uint8_t action, void *buf, uint32_t size);
void scsi_test_unit_ready(struct scsi_cmd *cmd);
void scsi_inquiry_vpd(struct scsi_cmd *cmd, uint8_t page, void *buf, uint32_t size);
void scsi_read_capacity(struct scsi_cmd *cmd, void *buf, uint32_t size);
/* WRITE takes data from BUF. */
void scsi_rw16(struct scsi_cmd *cmd, bool write, uint64_t lba, uint32_t blocks, void *buf, uint32_t len);

/* 0; -EIO: shorter than it says; -EOVERFLOW: more keys than st holds. */
int scsi_parse_keys(const uint8_t *buf, uint32_t len, struct pr_status *st);
int scsi_parse_reservation(const uint8_t *buf, uint32_t len, struct pr_status *st);
/* -EIO also for a block size that is no power of two from 512 to 64 KiB. */
int scsi_parse_capacity(const uint8_t *buf, uint32_t len, uint64_t *bytes, uint32_t *block_size);

#endif
