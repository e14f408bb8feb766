/*
 * The stable store's table of holders: which client may have I/O under way on which device.  A record is made before the client's first layout there
 * (layout/record.c) and goes when its end is certain; after a restart what is left is waited for, or cut off (layout/former.c).
 *
 *	client ID (8 bytes, big-endian), device name -> struct holder_value, co_ownerid
 *
 * The file stays on the host that wrote it: numbers are the host's.
 */
#include "server/state/stable_private.h"

#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "include/log.h"
#include "server/mds.h"
#include "server/state/client.h"

#define VALUE_VERSION 1u

struct holder_value {
	uint32_t version;
	uint32_t layout_type, lease, max_io_time;
	uint64_t key;
	uint8_t verifier[NFS4_VERIFIER_SIZE];
	uint8_t addr[16];		/* IPv6, or IPv4 in the first four */
	uint32_t family;
	uint32_t sum;			/* of the record with 0 here; 0 in stores of before there were sums */
};

#define KEY_MAX (8 + STABLE_NAME_MAX)

/* The length; 0: the name is too long. */
static size_t
holder_key_make(uint8_t buf[KEY_MAX], uint64_t clientid, const char *device)
{
	uint64_t be = htobe64(clientid);
	size_t len = strlen(device);
	if (len > STABLE_NAME_MAX)
		return 0;
	memcpy(buf, &be, sizeof be);
	memcpy(buf + sizeof be, device, len);
	return sizeof be + len;
}

static void
value_put_addr(struct holder_value *v, const struct sockaddr_storage *addr)
{
	const struct sockaddr_in *in = (const void *)addr;
	const struct sockaddr_in6 *in6 = (const void *)addr;
	v->family = addr->ss_family;
	if (addr->ss_family == AF_INET)
		memcpy(v->addr, &in->sin_addr, sizeof in->sin_addr);
	else if (addr->ss_family == AF_INET6)
		memcpy(v->addr, &in6->sin6_addr, sizeof in6->sin6_addr);
}

static void
value_get_addr(const struct holder_value *v, struct sockaddr_storage *addr)
{
	struct sockaddr_in *in = (void *)addr;
	struct sockaddr_in6 *in6 = (void *)addr;
	memset(addr, 0, sizeof *addr);
	if (v->family != AF_INET && v->family != AF_INET6)
		return;
	addr->ss_family = (sa_family_t)v->family;
	if (v->family == AF_INET)
		memcpy(&in->sin_addr, v->addr, sizeof in->sin_addr);
	else
		memcpy(&in6->sin6_addr, v->addr, sizeof in6->sin6_addr);
}

int
stable_holder_put(struct mds *mds, const struct stable_holder *h)
{
	struct stable *st = mds->stable;
	TXN_SCOPE MDB_txn *txn = NULL;
	uint8_t buf[KEY_MAX];
	struct holder_value v = { .version = VALUE_VERSION, .layout_type = h->layout_type, .lease = h->lease,
		.max_io_time = h->max_io_time, .key = h->key };
	MDB_val key = { holder_key_make(buf, h->clientid, h->device), buf };
	MDB_val val = { sizeof v + h->ownerid_len, NULL };
	if (!key.mv_size)
		return -ENAMETOOLONG;
	memcpy(v.verifier, h->verifier, sizeof v.verifier);
	value_put_addr(&v, &h->addr);
	int rc = mdb_txn_begin(st->env, NULL, 0, &txn);
	if (!rc)
		rc = mdb_put(txn, st->holders, &key, &val, MDB_RESERVE);
	if (rc)
		return stable_errno(rc);
	memcpy(val.mv_data, &v, sizeof v);
	memcpy((uint8_t *)val.mv_data + sizeof v, h->ownerid, h->ownerid_len);
	v.sum = stable_sum(buf, key.mv_size, val.mv_data, val.mv_size);
	memcpy(val.mv_data, &v, sizeof v);
	return stable_commit(&txn);
}

bool
stable_holder_ok(const MDB_val *key, const MDB_val *val)
{
	uint8_t copy[sizeof(struct holder_value) + NFS4_OPAQUE_LIMIT];
	struct holder_value v;
	if (key->mv_size > KEY_MAX || val->mv_size < sizeof v || val->mv_size > sizeof copy)
		return false;
	memcpy(&v, val->mv_data, sizeof v);
	uint32_t sum = v.sum;
	v.sum = 0;
	memcpy(copy, val->mv_data, val->mv_size);
	memcpy(copy, &v, sizeof v);
	return sum == 0 || sum == stable_sum(key->mv_data, key->mv_size, copy, val->mv_size);
}

int
stable_holders_remove(struct mds *mds, const struct stable_holder *list, size_t n)
{
	struct stable *st = mds->stable;
	TXN_SCOPE MDB_txn *txn = NULL;
	uint8_t buf[KEY_MAX];
	int rc = n ? mdb_txn_begin(st->env, NULL, 0, &txn) : 0;
	for (size_t i = 0; i < n && !rc; i++) {
		MDB_val key = { holder_key_make(buf, list[i].clientid, list[i].device), buf };
		rc = key.mv_size ? mdb_del(txn, st->holders, &key, NULL) : 0;
		if (rc == MDB_NOTFOUND)
			rc = 0;
	}
	return rc ? stable_errno(rc) : txn ? stable_commit(&txn) : 0;
}

/* What cannot be understood is still somebody who may be writing: with the times of now, and nobody it could be. */
static void
holder_parse(const struct mds *mds, const MDB_val *key, const MDB_val *val, char name[STABLE_NAME_MAX + 1], struct stable_holder *h)
{
	struct holder_value v;
	uint64_t be = 0;
	size_t len = key->mv_size < 8 ? 0 : key->mv_size - 8;
	if (len > STABLE_NAME_MAX)
		len = STABLE_NAME_MAX;
	if (len)
		memcpy(&be, key->mv_data, sizeof be);
	memcpy(name, (const uint8_t *)key->mv_data + key->mv_size - len, len);
	name[len] = 0;
	*h = (struct stable_holder){ .clientid = be64toh(be), .device = name, .ownerid = (const uint8_t *)"", .lease = mds->conf.lease,
		.max_io_time = mds->conf.max_io_time };
	if (val->mv_size >= sizeof v)
		memcpy(&v, val->mv_data, sizeof v);
	if (val->mv_size < sizeof v || val->mv_size - sizeof v > NFS4_OPAQUE_LIMIT || v.version != VALUE_VERSION) {
		log_error("state_dir: the record of client %016llx on device '%s' is damaged", (unsigned long long)h->clientid,
		    name);
		return;
	}
	h->layout_type = v.layout_type;
	h->lease = v.lease;
	h->max_io_time = v.max_io_time;
	h->key = v.key;
	memcpy(h->verifier, v.verifier, sizeof h->verifier);
	value_get_addr(&v, &h->addr);
	h->ownerid = (const uint8_t *)val->mv_data + sizeof v;
	h->ownerid_len = (uint32_t)(val->mv_size - sizeof v);
}

int
stable_holder_each(struct mds *mds, int (*fn)(const struct stable_holder *, void *arg), void *arg)
{
	struct stable *st = mds->stable;
	TXN_SCOPE MDB_txn *txn = NULL;
	MDB_cursor *cursor;
	MDB_val key, val;
	char name[STABLE_NAME_MAX + 1];
	struct stable_holder h;
	int err = 0, rc = mdb_txn_begin(st->env, NULL, MDB_RDONLY, &txn);
	if (!rc)
		rc = mdb_cursor_open(txn, st->holders, &cursor);
	if (rc)
		return stable_errno(rc);
	while (!err && (rc = mdb_cursor_get(cursor, &key, &val, MDB_NEXT)) == 0) {
		holder_parse(mds, &key, &val, name, &h);
		err = fn(&h, arg);
	}
	mdb_cursor_close(cursor);
	return err ? err : rc == MDB_NOTFOUND ? 0 : stable_errno(rc);
}
