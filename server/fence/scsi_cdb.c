/* Bytes of a few SCSI commands; see scsi_cdb.h. */
#include "server/fence/scsi_cdb.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "server/fence/fence.h"

static void
put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void
put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v);
}

static void
put64(uint8_t *p, uint64_t v)
{
	put32(p, (uint32_t)(v >> 32));
	put32(p + 4, (uint32_t)v);
}

static uint32_t
get32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static uint64_t
get64(const uint8_t *p)
{
	return (uint64_t)get32(p) << 32 | get32(p + 4);
}

void
scsi_pr_out(struct scsi_cmd *cmd, uint8_t param[PR_OUT_PARAM_LEN], uint8_t action, uint8_t type,
    uint64_t key, uint64_t service_key, bool aptpl)
{
	*cmd = (struct scsi_cmd){ .cdb_len = 10, .out = param, .out_len = PR_OUT_PARAM_LEN };
	cmd->cdb[0] = 0x5f;
	cmd->cdb[1] = action;
	/* Scope LU; REGISTER and CLEAR take no type. */
	if (action == PR_OUT_RESERVE || action == PR_OUT_RELEASE || action == PR_OUT_PREEMPT ||
	    action == PR_OUT_PREEMPT_ABORT)
		cmd->cdb[2] = type;
	put32(cmd->cdb + 5, PR_OUT_PARAM_LEN);
	memset(param, 0, PR_OUT_PARAM_LEN);
	put64(param, key);
	put64(param + 8, service_key);
	param[20] = aptpl;
}

void
scsi_pr_in(struct scsi_cmd *cmd, uint8_t action, void *buf, uint32_t size)
{
	*cmd = (struct scsi_cmd){ .cdb_len = 10, .in = buf, .in_len = size };
	cmd->cdb[0] = 0x5e;
	cmd->cdb[1] = action;
	put16(cmd->cdb + 7, size);
}

void
scsi_test_unit_ready(struct scsi_cmd *cmd)
{
	*cmd = (struct scsi_cmd){ .cdb_len = 6 };
}

void
scsi_inquiry_vpd(struct scsi_cmd *cmd, uint8_t page, void *buf, uint32_t size)
{
	*cmd = (struct scsi_cmd){ .cdb_len = 6, .in = buf, .in_len = size };
	cmd->cdb[0] = 0x12;
	cmd->cdb[1] = 1;
	cmd->cdb[2] = page;
	put16(cmd->cdb + 3, size);
}

void
scsi_read_capacity(struct scsi_cmd *cmd, void *buf, uint32_t size)
{
	*cmd = (struct scsi_cmd){ .cdb_len = 16, .in = buf, .in_len = size };
	cmd->cdb[0] = 0x9e;
	cmd->cdb[1] = 0x10;
	put32(cmd->cdb + 10, size);
}

void
scsi_rw16(struct scsi_cmd *cmd, bool write, uint64_t lba, uint32_t blocks, void *buf, uint32_t len)
{
	*cmd = (struct scsi_cmd){ .cdb_len = 16 };
	if (write) {
		cmd->out = buf;
		cmd->out_len = len;
	} else {
		cmd->in = buf;
		cmd->in_len = len;
	}
	cmd->cdb[0] = write ? 0x8a : 0x88;
	put64(cmd->cdb + 2, lba);
	put32(cmd->cdb + 10, blocks);
}

int
scsi_parse_keys(const uint8_t *buf, uint32_t len, struct pr_status *st)
{
	if (len < 8)
		return -EIO;
	uint32_t bytes = get32(buf + 4), n = bytes / 8;
	st->generation = get32(buf);
	if (n > sizeof st->keys / sizeof st->keys[0])
		return -EOVERFLOW;
	if (bytes % 8 || bytes > len - 8)
		return -EIO;
	for (uint32_t i = 0; i < n; i++)
		st->keys[i] = get64(buf + 8 + 8 * i);
	st->nkeys = n;
	return 0;
}

int
scsi_parse_reservation(const uint8_t *buf, uint32_t len, struct pr_status *st)
{
	st->holder = 0;
	st->type = 0;
	if (len < 8)
		return -EIO;
	st->generation = get32(buf);
	if (get32(buf + 4) == 0)
		return 0;
	if (get32(buf + 4) < 16 || len < 24)
		return -EIO;
	st->holder = get64(buf + 8);
	st->type = buf[21] & 0x0f;
	return 0;
}

int
scsi_parse_capacity(const uint8_t *buf, uint32_t len, uint64_t *bytes, uint32_t *block_size)
{
	if (len < 12)
		return -EIO;
	uint64_t last = get64(buf);
	uint32_t size = get32(buf + 8);
	if (size < 512 || size > 65536 || size & (size - 1) || last >= UINT64_MAX / size - 1)
		return -EIO;
	*bytes = (last + 1) * size;
	*block_size = size;
	return 0;
}
