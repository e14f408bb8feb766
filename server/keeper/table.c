/* See table.h. */
#include "server/keeper/table.h"

#include <stdlib.h>
#include <string.h>

static uint32_t
id_make(uint8_t *id, uint16_t kind, const void *key, uint32_t key_len)
{
	memcpy(id, &kind, sizeof kind);
	memcpy(id + sizeof kind, key, key_len);
	return (uint32_t)sizeof kind + key_len;
}

struct keeper_entry *
keeper_table_find(const struct keeper_table *t, uint16_t kind, const void *key, uint32_t key_len)
{
	uint8_t id[sizeof kind + KEEPER_KEY_MAX];
	struct keeper_entry *entry;

	if (key_len > KEEPER_KEY_MAX)
		return NULL;
	uint32_t len = id_make(id, kind, key, key_len);
	HASH_FIND(hh, t->hash, id, len, entry);
	return entry;
}

static bool
table_grow(struct keeper_table *t)
{
	unsigned size = t->size ? 2 * t->size : 64;

	if (t->n < t->size)
		return true;
	struct keeper_entry **list = realloc(t->list, size * sizeof *list);
	if (!list)
		return false;
	t->list = list;
	t->size = size;
	return true;
}

struct keeper_entry *
keeper_table_put(struct keeper_table *t, const struct keeper_message *m, int fd, int *old)
{
	*old = -1;
	struct keeper_entry *have = keeper_table_find(t, m->kind, m->key, m->key_len);
	struct keeper_entry *entry = calloc(1, sizeof *entry + sizeof m->kind + m->key_len + m->blob_len);
	if (!entry || !table_grow(t)) {
		free(entry);
		return NULL;
	}
	if (have)
		*old = keeper_table_remove(t, have);
	entry->fd = fd;
	entry->kind = m->kind;
	entry->key_len = m->key_len;
	entry->blob_len = m->blob_len;
	uint32_t len = id_make(entry->id, m->kind, m->key, m->key_len);
	entry->blob = entry->id + len;
	if (m->blob_len)
		memcpy(entry->blob, m->blob, m->blob_len);
	entry->index = t->n;
	t->list[t->n++] = entry;
	HASH_ADD_KEYPTR(hh, t->hash, entry->id, len, entry);
	return entry;
}

int
keeper_table_remove(struct keeper_table *t, struct keeper_entry *entry)
{
	int fd = entry->fd;
	struct keeper_entry *last = t->list[--t->n];

	last->index = entry->index;
	t->list[last->index] = last;
	HASH_DELETE(hh, t->hash, entry);
	free(entry);
	return fd;
}

unsigned
keeper_table_count(const struct keeper_table *t, uint16_t kind)
{
	unsigned n = 0;

	for (unsigned i = 0; i < t->n; i++)
		n += t->list[i]->kind == kind;
	return n;
}

void
keeper_entry_message(const struct keeper_entry *entry, uint16_t op, struct keeper_message *m)
{
	*m = (struct keeper_message){ .op = op, .kind = entry->kind, .key_len = entry->key_len, .blob_len = entry->blob_len,
		.key = entry->id + sizeof entry->kind, .blob = entry->blob };
}

void
keeper_table_free(struct keeper_table *t)
{
	while (t->n)
		keeper_table_remove(t, t->list[t->n - 1]);
	free(t->list);
	memset(t, 0, sizeof *t);
}
