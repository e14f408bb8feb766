/* Is it UTF-8 (RFC 3629), without U+FFFE, U+FFFF and their like?  Tags of COMPOUND, names, owners. */
#ifndef PNFS_SERVER_NFS4_UTF8_H
#define PNFS_SERVER_NFS4_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

bool utf8_valid(const uint8_t *s, size_t len);

#endif
