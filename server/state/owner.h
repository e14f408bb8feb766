/*
 * Open and lock owners of a client (RFC 8881 9.1.1): a counted name.  They carry no
 * sequence (4.1 has none) and live as long as an open or lock state has them.
 * Guarded by state_lock.
 */
#ifndef PNFS_SERVER_STATE_OWNER_H
#define PNFS_SERVER_STATE_OWNER_H

#include <stdint.h>
#include <uthash.h>

struct client;

enum owner_kind { OWNER_OPEN = 'o', OWNER_LOCK = 'l' };

struct owner {
	uint8_t *data;			/* with one byte before the owner's (enum owner_kind) that tells open from lock owners */
	uint32_t len;			/* that byte included: 1 to NFS4_OPAQUE_LIMIT + 1 */
	unsigned refs;
	UT_hash_handle hh;		/* client->owners */
};

/* The owner if the client has it, without a reference; NULL. */
struct owner *owner_find_locked(struct client *client, enum owner_kind kind, const void *name, uint32_t len);
/* The same, made if it is not there; with a reference.  NULL without memory, or LEN above NFS4_OPAQUE_LIMIT. */
struct owner *owner_get_locked(struct client *client, enum owner_kind kind, const void *name, uint32_t len);
void owner_put_locked(struct client *client, struct owner *owner);

#endif
