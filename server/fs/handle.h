/*
 * File handles: what the wire carries, its parts, its key.
 *
 *	0	version (1)
 *	1	kind: 0 a node of the pseudo root, 1 a file
 *	2	export's id, 32 bits, big endian; 0 for a pseudo node
 *	6	type of the native handle (name_to_handle_at), 16 bits
 *	8	native handle, or the number of the pseudo node
 *	end-16	MAC: HMAC-SHA256 of all before it, first 16 bytes
 *
 * A function of the file alone: the same bytes always, over restarts and mounts (PITFALLS A17, E8, E9).
 */
#ifndef PNFS_SERVER_FS_HANDLE_H
#define PNFS_SERVER_FS_HANDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "server/fs/fs.h"

#define HANDLE_HEADER 8
#define HANDLE_MAC 16
#define HANDLE_NATIVE_MAX (FS_HANDLE_MAX - HANDLE_HEADER - HANDLE_MAC)
#define HANDLE_KEY 32

enum handle_kind { HANDLE_PSEUDO, HANDLE_FILE };

/* As name_to_handle_at() gives it. */
struct handle_native {
	uint16_t type;
	uint8_t len;
	uint8_t bytes[HANDLE_NATIVE_MAX];
};

struct handle {
	uint8_t bytes[FS_HANDLE_MAX];
	unsigned len, body;		/* body: without the MAC */
};

struct handle_key;

/* Read DIR/handle.key or make it.  -EINVAL: the file has not the right size (told to the log). */
int handle_key_load(const char *dir, struct handle_key **key);
void handle_key_free(struct handle_key *key);

/* The body alone: enough to look in the cache. */
void handle_body(struct handle *handle, enum handle_kind kind, uint32_t export_id, const struct handle_native *native);
void handle_sign(const struct handle_key *key, struct handle *handle);

/* Is this long enough and of our version?  Says nothing about the MAC. */
bool handle_form_ok(const void *bytes, unsigned len);
/* Takes a handle of good form apart after checking its MAC: -EBADMSG. */
int handle_open(const struct handle_key *key, const void *bytes, unsigned len, struct handle *handle,
    enum handle_kind *kind, uint32_t *export_id, struct handle_native *native);
/* Compare in constant time. */
bool handle_equal(const void *a, const void *b, unsigned len);

/* name_to_handle_at(): NAME below DIR_FD, or DIR_FD itself if NAME is "". -EOVERFLOW: longer than we can carry. */
int handle_of(int dir_fd, const char *name, struct handle_native *native, int *mount_id);
/* open_by_handle_at() with O_PATH: fd or -errno; -ESTALE for whatever is no file (any more). */
int handle_native_open(int mount_fd, const struct handle_native *native);

static inline bool
handle_native_equal(const struct handle_native *a, const struct handle_native *b)
{
	return a->type == b->type && a->len == b->len && !__builtin_memcmp(a->bytes, b->bytes, a->len);
}

#endif
