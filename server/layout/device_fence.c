/*
 * Reservations and fencing of a device (RFC 8154 2.4.10); see device.h.  Workers (device_prepare, and device_verify for device_watch.c) and
 * fencers (device_fence); device->lock is held over the talk with the target, so concurrent calls queue.
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
#include "server/layout/layout.h"
#include "server/mds.h"
#include "server/state/client.h"

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

static void
key_seen(uint64_t key, void *arg)
{
	(void)key;
	*(bool *)arg = true;
}

bool
device_has_keys(struct mds *mds, const struct device_conf *conf)
{
	bool any = false;
	/* What cannot be read may say anything. */
	return stable_key_each(mds, conf->name, key_seen, &any) != 0 || any;
}

/* Is the reservation ours and in force? */
static bool
status_ours(const struct device *device, const struct pr_status *st)
{
	return st->holder == device->server_key && st->type == PR_TYPE_EXCLUSIVE_ACCESS_REG_ONLY &&
	    pr_has_key(st, device->server_key);
}

/* Keys watched for at most; the oldest are forgotten first. */
#define FENCED_MAX 4096u

static bool
fenced_has(const struct device *device, uint64_t key)
{
	for (unsigned i = 0; i < device->nfenced; i++)
		if (device->fenced[i] == key)
			return true;
	return false;
}

/* KEY is to stay out: one that registers it again, or late, is cut off again (PITFALLS B12). */
static void
fenced_add(struct device *device, uint64_t key)
{
	__atomic_store_n(&device->fenced_ms, mds_now_ms(), __ATOMIC_RELAXED);
	if (fenced_has(device, key))
		return;
	if (device->nfenced == FENCED_MAX)
		memmove(device->fenced, device->fenced + 1, --device->nfenced * sizeof device->fenced[0]);
	if (device->nfenced == device->fenced_room) {
		unsigned room = device->fenced_room ? 2 * device->fenced_room : 64;
		uint64_t *bigger = reallocarray(device->fenced, room, sizeof *bigger);
		if (!bigger) {
			log_error("device %s: no memory to remember key 0x%016" PRIx64, device->conf->name, key);
			return;
		}
		device->fenced = bigger;
		device->fenced_room = room;
	}
	device->fenced[device->nfenced++] = key;
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
		if (key == 0 || key == device->server_key || keys_have(ours, key) || fenced_has(device, key))
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

/* Does the target do what the reservation says (PITFALLS B8)?  A fence that it only reports would be none. */
static int
check_enforced(struct device *device)
{
	int r = device->pr->ops->enforced(device->pr);
	if (r == -EBADE)
		log_error("device %s: the target does not enforce the reservation: an unregistered initiator is not kept out: "
		    "no SCSI layouts", device->conf->name);
	return r;
}

/*
 * Keys of a former life: their clients may still write by layouts that nobody remembers.  Those that are not registered yet may be at any time: all
 * are watched for.  OURS: recorded before this life.
 */
static int
fence_former(struct device *device, const struct keys *ours, struct pr_status *st)
{
	for (unsigned i = 0; i < ours->n; i++) {
		if (ours->key[i] == device->server_key)
			continue;
		fenced_add(device, ours->key[i]);
		if (!pr_has_key(st, ours->key[i]))
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

/* One that was cut off has registered its old key: out with it (PITFALLS B12). */
static int
check_fenced(struct device *device, const struct pr_status *st)
{
	for (uint32_t i = 0; i < st->nkeys; i++) {
		if (!fenced_has(device, st->keys[i]))
			continue;
		log_warn("device %s: key 0x%016" PRIx64 ", cut off before, registered again: it is cut off again", device->conf->name,
		    st->keys[i]);
		int r = cut_off(device, st->keys[i]);
		if (r)
			return r;
	}
	return 0;
}

/* Who is on the LUN besides us: as long as anybody is, it is looked at from time to time. */
static void
note_registered(struct device *device, const struct pr_status *st)
{
	unsigned others = 0;
	for (uint32_t i = 0; i < st->nkeys; i++)
		others += st->keys[i] != device->server_key;
	__atomic_store_n(&device->registered, others, __ATOMIC_RELAXED);
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
		r = check_enforced(device);
	if (r == 0)
		r = check_fenced(device, st);
	if (r == 0)
		note_registered(device, st);
	return r;
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
	bool reached = r == 0;
	if (r == 0 && device->reserved) {
		r = pr->ops->status(pr, st);
		if (r == 0 && !status_ours(device, st)) {
			log_error("device %s: the reservation is gone (holder 0x%016" PRIx64 ", type %u): taking it again",
			    device->conf->name, st->holder, st->type);
			__atomic_store_n(&device->reserved, false, __ATOMIC_RELEASE);
			device->lost = true;
		} else if (r == 0) {
			note_registered(device, st);
			r = check_fenced(device, st);
		}
	}
	if (r == 0 && !device->reserved) {
		r = establish(device, why);
		if (r == 0)
			log_info("device %s: reserved, key 0x%016" PRIx64, device->conf->name, device->server_key);
	}
	__atomic_store_n(&device->reserved, r == 0, __ATOMIC_RELEASE);
	device->unguarded = r && reached;
	device->reason = r ? *why : REASON_NONE;
	if (r && !device->failed_ms)
		log_error("device %s: no reservation: %s", device->conf->name, strerror(-r));
	if (r == 0)
		*why = REASON_NONE;
	__atomic_store_n(&device->failed_ms, r ? mds_now_ms() : 0, __ATOMIC_RELAXED);
	__atomic_store_n(&device->verified_ms, r ? 0 : mds_now_ms(), __ATOMIC_RELEASE);
	return r;
}

/*
 * The target answers, but there is no reservation to be had: nobody can be cut off any more, so what is out comes back as long as its holders
 * are willing.  (A target that does not answer may have all in force: nothing is taken back for that.)
 */
static void
recall_unguarded(const struct device *device, bool unguarded)
{
	if (unguarded && layout_withdraw(device->mds, NULL, device))
		log_error("device %s: layouts are out without a reservation: they are recalled", device->conf->name);
}

/*
 * The reservation was gone and is in force again.  What clients had registered may be gone with it, and those that keep what they know of the device do not
 * register again before they ask for it again.
 */
static void
tell_lost(struct device *device)
{
	pthread_mutex_lock(&device->lock);
	bool lost = device->lost && device->reserved;
	if (lost)
		device->lost = false;
	pthread_mutex_unlock(&device->lock);
	if (!lost)
		return;
	layout_withdraw(device->mds, NULL, device);
	device_note_change(device, DEVICE_LOST);
}

int
device_prepare(struct device *device, enum reason *why)
{
	*why = REASON_NONE;
	if (device->layout_type != LAYOUT_SCSI)
		return 0;
	uint64_t seen = __atomic_load_n(&device->verified_ms, __ATOMIC_ACQUIRE);
	if (seen && mds_now_ms() - seen < DEVICE_VERIFY_MS)
		return 0;
	uint64_t asked = mds_now_ms();
	int r = 0;
	pthread_mutex_lock(&device->lock);
	seen = __atomic_load_n(&device->verified_ms, __ATOMIC_ACQUIRE);
	if (device->failed_ms > asked) {
		/* Workers that queued behind a target that is gone must not each wait for it in turn (PITFALLS B3). */
		*why = device->reason;
		r = -EAGAIN;
	} else if (!seen || mds_now_ms() - seen >= DEVICE_VERIFY_MS) {
		r = prepare_locked(device, why);
	}				/* else somebody else has just done it */
	bool unguarded = device->unguarded;
	pthread_mutex_unlock(&device->lock);
	recall_unguarded(device, r && unguarded);
	tell_lost(device);
	return r;
}

int
device_verify(struct device *device)
{
	enum reason why;
	pthread_mutex_lock(&device->lock);
	int r = prepare_locked(device, &why);
	bool unguarded = device->unguarded;
	pthread_mutex_unlock(&device->lock);
	recall_unguarded(device, r && unguarded);
	tell_lost(device);
	return r;
}

int
device_give_key(struct device *device, uint64_t key)
{
	int r = stable_key_add(device->mds, device->conf->name, key);
	/* It may be registered from now on; the next look counts who really is. */
	if (r == 0)
		__atomic_fetch_add(&device->registered, 1, __ATOMIC_RELAXED);
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
		fenced_add(device, key);
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

/* May one that was cut off still send what it had begun?  Nothing but the reservation keeps it off then. */
static bool
fenced_lately(const struct device *device)
{
	const struct mds_conf *conf = &device->mds->conf;
	uint64_t fenced = __atomic_load_n(&device->fenced_ms, __ATOMIC_ACQUIRE);

	return fenced && mds_now_ms() - fenced < (conf->lease + conf->max_io_time) * 1000ull;
}

void
device_release(struct device *device)
{
	CLEANUP_FREE struct pr_status *st = malloc(sizeof *st);
	struct pr *pr = device->pr;
	if (device->layout_type != LAYOUT_SCSI || !st || pr->ops->ensure(pr, 0) || pr->ops->status(pr, st))
		return;
	if (!pr_has_key(st, device->server_key)) {
		/* Refused by the target, or gone: nobody has to be cut off for its sake. */
		stable_key_remove(device->mds, device->conf->name, device->server_key);
		return;
	}
	if (!device->reserved) {
		/* A start that failed.  If the reservation is ours by now, it stays: without it the LUN would be open to all. */
		if (st->holder != device->server_key && pr->ops->do_register(pr, 0, false) == 0)
			stable_key_remove(device->mds, device->conf->name, device->server_key);
		return;
	}
	for (uint32_t i = 0; i < st->nkeys; i++)
		if (st->keys[i] != device->server_key) {
			log_info("device %s: clients are still registered: the reservation stays", device->conf->name);
			return;
		}
	if (fenced_lately(device)) {
		log_info("device %s: clients were cut off a moment ago: the reservation stays", device->conf->name);
		return;
	}
	if (pr->ops->clear(pr, device->server_key) == 0)
		stable_key_remove(device->mds, device->conf->name, device->server_key);
}
