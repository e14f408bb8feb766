/*
 * Reservations and fencing of a device (RFC 8154 2.4.10); see device.h.  Workers (device_prepare) and fencers (device_fence);
 * device->lock is held over the talk with the target, so concurrent calls queue.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/conf/conf.h"
#include "server/fence/fence.h"
#include "server/layout/device_private.h"
#include "server/mds.h"
#include "server/state/client.h"

/* A reservation seen in force this long ago is believed. */
#define VERIFY_MS 5000u

#define COMMAND_TIMEOUT_MS 30000u

struct keys {
	uint64_t *key;
	unsigned n, room;
	bool failed;
};

static void
keys_add(uint64_t key, void *arg)
{
	struct keys *keys = arg;
	if (keys->n == keys->room) {
		unsigned room = keys->room ? 2 * keys->room : 32;
		uint64_t *bigger = realloc(keys->key, room * sizeof *bigger);
		if (!bigger) {
			keys->failed = true;
			return;
		}
		keys->key = bigger;
		keys->room = room;
	}
	keys->key[keys->n++] = key;
}

static bool
keys_have(const struct keys *keys, uint64_t key)
{
	for (unsigned i = 0; i < keys->n; i++)
		if (keys->key[i] == key)
			return true;
	return false;
}

static void
keys_free(struct keys *keys)
{
	free(keys->key);
}
#define CLEANUP_KEYS __attribute__((cleanup(keys_free)))

/* All keys this server has given itself or clients on the device, in this life and before. */
static int
keys_recorded(struct device *device, struct keys *keys)
{
	int r = stable_key_each(device->mds, device->conf->name, keys_add, keys);
	return r ? r : keys->failed ? -ENOMEM : 0;
}

/* Is the reservation ours and in force? */
static bool
status_ours(const struct device *device, const struct pr_status *st)
{
	return st->holder == device->server_key && st->type == PR_TYPE_EXCLUSIVE_ACCESS_REG_ONLY &&
	    pr_has_key(st, device->server_key);
}

/*
 * Nothing but our own, present and former, may be on the LUN: we take no reservation from a stranger, and a registered stranger could not be
 * kept out.  The administrator clears them if they are nobody's.
 */
static int
check_strangers(const struct device *device, const struct keys *ours, const struct pr_status *st)
{
	for (uint32_t i = 0; i <= st->nkeys; i++) {
		uint64_t key = i < st->nkeys ? st->keys[i] : st->holder;
		if (key == 0 || key == device->server_key || keys_have(ours, key))
			continue;
		log_error("device %s: key 0x%016" PRIx64 " is %s on the LUN and was not given by this server: "
		    "no SCSI layouts until it is gone", device->conf->name, key,
		    key == st->holder ? "holding a reservation" : "registered");
		return -EBUSY;
	}
	return 0;
}

/* Register the server's key, to survive a power loss of the target (APTPL, PITFALLS B7) if it can. */
static int
register_server(struct device *device, enum reason *why)
{
	struct pr *pr = device->pr;
	/* Recorded first: after a crash right here we still know it as ours. */
	int r = stable_key_add(device->mds, device->conf->name, device->server_key);
	if (r)
		return r;
	r = pr->ops->do_register(pr, device->server_key, true);
	if (r != -EOPNOTSUPP)
		return r;
	if (!device->conf->allow_no_ptpl) {
		log_error("device %s: the target does not keep registrations over a power loss (no APTPL): "
		    "no SCSI layouts unless allow_no_ptpl=yes", device->conf->name);
		*why = REASON_NO_PTPL;
		return r;
	}
	return pr->ops->do_register(pr, device->server_key, false);
}

static int
cut_off(struct device *device, uint64_t key)
{
	struct pr *pr = device->pr;
	int r = pr->ops->preempt(pr, device->server_key, key);
	return r ? r : pr->ops->drain(pr, device->server_key, key);
}

/* Does the target do what the reservation says?  An initiator port that never registered must not read (PITFALLS B8). */
static int
probe_enforced(struct device *device)
{
	const struct device_conf *conf = device->conf;
	CLEANUP_FREE char *error = NULL;
	CLEANUP_FREE void *buf = malloc(device->block_size);
	struct pr *other;
	if (!buf)
		return -ENOMEM;
	int r = pr_iscsi_open(conf->iscsi_url, conf->initiator_name ? conf->initiator_name :
	    "iqn.2026-01.invalid.pnfs-block:mds-probe", DEVICE_TIMEOUT_MS, &other, &error);
	if (r) {
		log_error("device %s: second login, to see that the reservation is enforced: %s", conf->name,
		    error ? error : strerror(-r));
		return r;
	}
	r = other->ops->read(other, 0, buf, device->block_size);
	other->ops->close(other);
	if (r == -EBUSY)
		return 0;
	log_error("device %s: an unregistered initiator could read in spite of the reservation (%s)", conf->name,
	    r ? strerror(-r) : "no error");
	return -EBADE;
}

/* Keys of a former life: their clients may still write by layouts that nobody remembers.  OURS: recorded before this life. */
static int
fence_former(struct device *device, const struct keys *ours, struct pr_status *st)
{
	for (unsigned i = 0; i < ours->n; i++) {
		if (ours->key[i] == device->server_key || !pr_has_key(st, ours->key[i]))
			continue;
		log_info("device %s: key 0x%016" PRIx64 " of a former life is cut off", device->conf->name, ours->key[i]);
		int r = cut_off(device, ours->key[i]);
		if (r)
			return r;
	}
	int r = device->pr->ops->status(device->pr, st);
	if (r)
		return r;
	for (unsigned i = 0; i < ours->n; i++)
		if (ours->key[i] != device->server_key && pr_has_key(st, ours->key[i]))
			return -EBUSY;
	for (unsigned i = 0; i < ours->n; i++)
		if (ours->key[i] != device->server_key)
			stable_key_remove(device->mds, device->conf->name, ours->key[i]);
	device->former_fenced = true;
	return 0;
}

/* Register, reserve, see that it holds.  device->lock held. */
static int
establish(struct device *device, enum reason *why)
{
	struct pr *pr = device->pr;
	CLEANUP_KEYS struct keys ours = { 0 };
	CLEANUP_FREE struct pr_status *st = malloc(sizeof *st);
	*why = REASON_NO_RESERVATIONS;
	if (!st)
		return -ENOMEM;
	int r = keys_recorded(device, &ours);
	if (r == 0)
		r = pr->ops->status(pr, st);
	if (r == 0)
		r = check_strangers(device, &ours, st);
	if (r == 0)
		r = register_server(device, why);
	if (r)
		return r;
	if (st->holder == 0)
		r = pr->ops->reserve(pr, device->server_key);
	else if (st->holder != device->server_key)
		r = pr->ops->preempt(pr, device->server_key, st->holder);	/* the reservation passes to us, never free between */
	if (r == 0)
		r = pr->ops->status(pr, st);
	if (r == 0 && !device->former_fenced)
		r = fence_former(device, &ours, st);
	if (r == 0 && !status_ours(device, st))
		r = -EBADE;
	if (r == 0)
		r = probe_enforced(device);
	return r;
}

/* One that was cut off has registered its old key again: out with it (PITFALLS B12). */
static int
check_fenced(struct device *device, const struct pr_status *st)
{
	unsigned n = device->nfenced < 64 ? device->nfenced : 64;
	for (unsigned i = 0; i < n; i++) {
		if (!pr_has_key(st, device->fenced[i]))
			continue;
		log_warn("device %s: key 0x%016" PRIx64 ", cut off before, registered again", device->conf->name,
		    device->fenced[i]);
		int r = cut_off(device, device->fenced[i]);
		if (r)
			return r;
	}
	return 0;
}

/* Session up, registered, reservation in force - or made so.  device->lock held. */
static int
prepare_locked(struct device *device, enum reason *why)
{
	struct pr *pr = device->pr;
	CLEANUP_FREE struct pr_status *st = malloc(sizeof *st);
	*why = REASON_NO_RESERVATIONS;
	if (!st)
		return -ENOMEM;
	int r = pr->ops->ensure(pr, device->reserved ? device->server_key : 0);
	if (r == 0 && device->reserved) {
		r = pr->ops->status(pr, st);
		if (r == 0 && !status_ours(device, st)) {
			log_error("device %s: the reservation is gone (holder 0x%016" PRIx64 ", type %u): taking it again",
			    device->conf->name, st->holder, st->type);
			device->reserved = false;
		} else if (r == 0) {
			r = check_fenced(device, st);
		}
	}
	if (r == 0 && !device->reserved) {
		r = establish(device, why);
		if (r == 0)
			log_info("device %s: reserved, key 0x%016" PRIx64, device->conf->name, device->server_key);
	}
	device->reserved = r == 0;
	device->reason = r ? *why : REASON_NONE;
	__atomic_store_n(&device->verified_ms, r ? 0 : mds_now_ms(), __ATOMIC_RELEASE);
	if (r)
		log_error("device %s: no reservation: %s", device->conf->name, strerror(-r));
	else
		*why = REASON_NONE;
	return r;
}

int
device_prepare(struct device *device, enum reason *why)
{
	*why = REASON_NONE;
	if (device->layout_type != LAYOUT_SCSI)
		return 0;
	uint64_t seen = __atomic_load_n(&device->verified_ms, __ATOMIC_ACQUIRE);
	if (seen && mds_now_ms() - seen < VERIFY_MS)
		return 0;
	uint64_t asked = mds_now_ms();
	LOCK_SCOPE(&device->lock);
	seen = __atomic_load_n(&device->verified_ms, __ATOMIC_ACQUIRE);
	if (seen && mds_now_ms() - seen < VERIFY_MS)
		return 0;		/* somebody else has just done it */
	if (device->failed_ms > asked) {
		/* Or tried: workers that queued behind a target that is gone must not each wait for it in turn (PITFALLS B3). */
		*why = device->reason;
		return -EAGAIN;
	}
	int r = prepare_locked(device, why);
	device->failed_ms = r ? mds_now_ms() : 0;
	return r;
}

int
device_enter_reserved(struct device *device, enum reason *why)
{
	CLEANUP_KEYS struct keys ours = { 0 };
	CLEANUP_FREE struct pr_status *st = malloc(sizeof *st);
	*why = REASON_NO_RESERVATIONS;
	if (!st)
		return -ENOMEM;
	int r = device->pr->ops->status(device->pr, st);
	if (r)
		return r;
	if (device->layout_type != LAYOUT_SCSI) {
		log_error("device %s: reserved by key 0x%016" PRIx64 ": it cannot serve block layouts", device->conf->name,
		    st->holder);
		return -EBUSY;
	}
	r = keys_recorded(device, &ours);
	if (r == 0)
		r = check_strangers(device, &ours, st);
	return r ? r : register_server(device, why);
}

/* device->lock held.  0: the key is absent, its commands are drained, and the reservation keeps it out. */
static int
fence_by_reservation(struct device *device, uint64_t key)
{
	CLEANUP_FREE struct pr_status *st = malloc(sizeof *st);
	enum reason why;
	if (!st)
		return -ENOMEM;
	int r = prepare_locked(device, &why);
	/* Also if the key is not there (it never registered, or an attempt before got half way): commands of its may be under way. */
	if (r == 0)
		r = cut_off(device, key);
	if (r == 0)
		r = device->pr->ops->status(device->pr, st);
	if (r == 0 && (pr_has_key(st, key) || !status_ours(device, st)))
		r = -EBUSY;
	if (r == 0)
		device->fenced[device->nfenced++ % 64] = key;
	log_print(r ? LOG_LEVEL_ERROR : LOG_LEVEL_WARN, "device %s: key 0x%016" PRIx64 " %s%s", device->conf->name, key,
	    r ? "could not be cut off: " : "is cut off, confirmed", r ? strerror(-r) : "");
	return r;
}

static int
fence_by_command(const struct device *device, const struct fence_target *target)
{
	char addr[INET6_ADDRSTRLEN] = "";
	const struct sockaddr_in *in = (const void *)&target->addr;
	const struct sockaddr_in6 *in6 = (const void *)&target->addr;
	if (target->addr.ss_family == AF_INET)
		inet_ntop(AF_INET, &in->sin_addr, addr, sizeof addr);
	else if (target->addr.ss_family == AF_INET6)
		inet_ntop(AF_INET6, &in6->sin6_addr, addr, sizeof addr);
	/* We are not told which IQN a client logs in with: empty. */
	struct fence_env env = { .client = target->client, .addr = addr, .iqn = "", .device = device->conf->name,
		.key = target->key };
	return fence_command_run(device->conf->fence_command, &env, COMMAND_TIMEOUT_MS);
}

int
device_fence(struct device *device, const struct fence_target *target)
{
	int r = -EOPNOTSUPP;
	if (device->layout_type == LAYOUT_SCSI && target->key) {
		LOCK_SCOPE(&device->lock);
		r = fence_by_reservation(device, target->key);
	}
	if (r && device->conf->fence_command)
		r = fence_by_command(device, target);
	return r;
}

void
device_release(struct device *device)
{
	CLEANUP_FREE struct pr_status *st = malloc(sizeof *st);
	struct pr *pr = device->pr;
	if (device->layout_type != LAYOUT_SCSI || !st || pr->ops->ensure(pr, 0) || pr->ops->status(pr, st))
		return;
	if (!pr_has_key(st, device->server_key))
		return;
	if (!device->reserved) {
		/* A start that failed.  If the reservation is ours by now, it stays: without it the LUN would be open to all. */
		if (st->holder != device->server_key)
			pr->ops->do_register(pr, 0, false);
		return;
	}
	for (uint32_t i = 0; i < st->nkeys; i++)
		if (st->keys[i] != device->server_key) {
			log_info("device %s: clients are still registered: the reservation stays", device->conf->name);
			return;
		}
	if (pr->ops->clear(pr, device->server_key) == 0)
		stable_key_remove(device->mds, device->conf->name, device->server_key);
}
