/*
 * What a pnfs-mds and libpnfs say to each other that NFS has no place for.  SCSI layouts name a LUN by its designator, and those of
 * some targets are not globally unique; so our server makes the fsid (RFC 8881 5.8.1.9) of the file system's UUID, tells in
 * EXCHANGE_ID who it is (18.35.3, eir_server_impl_id), and our client looks for that UUID on the LUN.
 */
#ifndef PNFS_PROTO_NFS4_FSID_H
#define PNFS_PROTO_NFS4_FSID_H

#include <endian.h>
#include <string.h>

#include "proto/x/nfs4.h"

#define PNFS_BLOCK_IMPL_DOMAIN "pnfs-block"

/*
 * Clients read fs_layout_types once per fsid, so another layout type has to be another fsid
 * (PITFALLS B24): it is folded in.
 */
static inline fsid4
fsid_of_uuid(const uint8_t uuid[16], uint32_t layout_type)
{
	uint64_t half[2];
	memcpy(half, uuid, sizeof half);
	return (fsid4){ be64toh(half[0]), be64toh(half[1]) ^ layout_type };
}

static inline void
fsid_to_uuid(const fsid4 *fsid, uint32_t layout_type, uint8_t uuid[16])
{
	uint64_t half[2] = { htobe64(fsid->major), htobe64(fsid->minor ^ layout_type) };
	memcpy(uuid, half, sizeof half);
}

#endif
