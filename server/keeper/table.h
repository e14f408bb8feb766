/* The descriptors that are kept, by kind and key: of the keeper, and of the server, which hands them over again to a new keeper. */
#ifndef PNFS_SERVER_KEEPER_TABLE_H
#define PNFS_SERVER_KEEPER_TABLE_H

#include <stdbool.h>
#include <uthash.h>

#include "server/keeper/message.h"

struct keeper_entry {
	UT_hash_handle hh;
	unsigned index;			/* in the list */
	int fd;				/* whose it is, the owner of the table knows */
	bool former;			/* the server's: from a former life, nobody has claimed it */
	uint16_t kind;
	uint32_t key_len, blob_len;
	uint8_t *blob;			/* behind the key */
	uint8_t id[];			/* kind, key, blob */
};

struct keeper_table {
	struct keeper_entry *hash;
	struct keeper_entry **list;
	unsigned n, size;
};

struct keeper_entry *keeper_table_find(const struct keeper_table *t, uint16_t kind, const void *key, uint32_t key_len);
/* M's kind, key, blob.  *old: the descriptor that was there, or -1.  NULL without memory. */
struct keeper_entry *keeper_table_put(struct keeper_table *t, const struct keeper_message *m, int fd, int *old);
/* Its descriptor.  The last entry takes its place in the list. */
int keeper_table_remove(struct keeper_table *t, struct keeper_entry *entry);
unsigned keeper_table_count(const struct keeper_table *t, uint16_t kind);
void keeper_entry_message(const struct keeper_entry *entry, uint16_t op, struct keeper_message *m);
/* Without closing anything. */
void keeper_table_free(struct keeper_table *t);

#endif
