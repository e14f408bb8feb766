/* Open and lock owners; see owner.h. */
#define HASH_NONFATAL_OOM 1
#include "server/state/owner.h"

#include <stdlib.h>
#include <string.h>

#include "server/state/client.h"

/* The key: kind and name, in at most NFS4_OPAQUE_LIMIT + 1 bytes.  Returns its length, 0 if the name is too long. */
static uint32_t
owner_key(uint8_t *key, enum owner_kind kind, const void *name, uint32_t len)
{
	if (len > NFS4_OPAQUE_LIMIT)
		return 0;
	key[0] = (uint8_t)kind;
	if (len)
		memcpy(key + 1, name, len);
	return len + 1;
}

struct owner *
owner_find_locked(struct client *client, enum owner_kind kind, const void *name, uint32_t len)
{
	uint8_t key[NFS4_OPAQUE_LIMIT + 1];
	uint32_t n = owner_key(key, kind, name, len);
	struct owner *owner = NULL;

	if (n)
		HASH_FIND(hh, client->owners, key, n, owner);
	return owner;
}

struct owner *
owner_get_locked(struct client *client, enum owner_kind kind, const void *name, uint32_t len)
{
	struct owner *owner = owner_find_locked(client, kind, name, len);
	if (owner) {
		owner->refs++;
		return owner;
	}
	if (len > NFS4_OPAQUE_LIMIT)
		return NULL;
	owner = calloc(1, sizeof *owner + len + 1);
	if (!owner)
		return NULL;
	owner->data = (uint8_t *)(owner + 1);
	owner->len = owner_key(owner->data, kind, name, len);
	owner->refs = 1;
	HASH_ADD_KEYPTR(hh, client->owners, owner->data, owner->len, owner);
	if (!owner->hh.tbl) {
		free(owner);
		return NULL;
	}
	return owner;
}

void
owner_put_locked(struct client *client, struct owner *owner)
{
	if (--owner->refs)
		return;
	HASH_DELETE(hh, client->owners, owner);
	free(owner);
}
