/*
 * For integration programs that run parts of the server without its state: the stable store of keys in memory (kept over "restarts" within the program).
 */
#ifndef PNFS_TESTS_INTEG_FAKES_H
#define PNFS_TESTS_INTEG_FAKES_H

#include <string.h>

#include "server/layout/layout.h"
#include "server/state/client.h"

static uint64_t store_keys[256];
static unsigned store_count;

int
stable_key_add(struct mds *mds, const char *device, uint64_t key)
{
	(void)mds;
	(void)device;
	for (unsigned i = 0; i < store_count; i++)
		if (store_keys[i] == key)
			return 0;
	if (store_count == 256)
		die("too many keys");
	store_keys[store_count++] = key;
	return 0;
}

int
stable_key_remove(struct mds *mds, const char *device, uint64_t key)
{
	(void)mds;
	(void)device;
	for (unsigned i = 0; i < store_count; i++)
		if (store_keys[i] == key)
			store_keys[i--] = store_keys[--store_count];
	return 0;
}

int
stable_key_each(struct mds *mds, const char *device, void (*fn)(uint64_t, void *), void *arg)
{
	(void)mds;
	(void)device;
	for (unsigned i = 0; i < store_count; i++)
		fn(store_keys[i], arg);
	return 0;
}

/* No layouts are given here. */
bool
layout_uses_device_locked(const struct mds *mds, const struct device *device)
{
	(void)mds;
	(void)device;
	return false;
}

unsigned
layout_withdraw(struct mds *mds, const struct export *export, const struct device *device)
{
	(void)mds;
	(void)export;
	(void)device;
	return 0;
}

struct device_conf *
conf_device(const struct mds_conf *conf, const char *name)
{
	struct device_conf *d = conf->devices;
	while (d && strcmp(d->name, name))
		d = d->next;
	return d;
}

const struct export_client *
exports_match(const struct export_line *line, const struct sockaddr *addr)
{
	(void)addr;
	return line->clients;
}

uint64_t
mds_now_ms(void)
{
	return now_us() / 1000;
}

#endif
