/* Is it UTF-8 (RFC 3629)?  Tags of COMPOUND; names, where an operation cares. */
#ifndef PNFS_SERVER_NFS4_UTF8_H
#define PNFS_SERVER_NFS4_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool utf8_valid(const uint8_t *s, size_t len);

#endif
