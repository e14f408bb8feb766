/*
 * Devices: opening a LUN for an export, its identity, the registry; see device.h.  The proof stands in device_proof.c,
 * reservations and fencing in device_fence.c.
 */
#include "server/layout/device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <nettle/sha2.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/conf/conf.h"
#include "server/conf/exports.h"
#include "server/export/backing.h"
#include "server/export/export.h"
#include "server/fence/fence.h"
#include "server/layout/designator.h"
#include "server/layout/device_private.h"
#include "server/layout/layout.h"
#include "server/mds.h"

/* ---- identity ---- */

static int
lun_open(struct lun *lun, struct device *device, enum reason *why)
{
	const struct device_conf *conf = device->conf;
	CLEANUP_FREE char *error = NULL;
	char name[300], host[200] = "localhost";
	lun->device = device;
	lun->fd = -1;
	*why = REASON_NO_DEVICE;
	if (conf->iscsi_url) {
		gethostname(host, sizeof host - 1);
		snprintf(name, sizeof name, "iqn.2026-01.invalid.pnfs-block:mds.%s", host);
		int r = pr_iscsi_open(conf->iscsi_url, conf->initiator_name ? conf->initiator_name : name,
		    DEVICE_TIMEOUT_MS, &device->pr, &error);
		if (r)
			log_error("device %s: %s: %s", conf->name, conf->iscsi_url, error ? error : strerror(-r));
		return r;
	}
	if (!conf->path) {
		log_error("device %s: neither iscsi_url= nor path=", conf->name);
		return -ENODEV;
	}
	lun->fd = open(conf->path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	if (lun->fd >= 0)
		return 0;
	int r = -errno;
	log_error("device %s: %s: %s", conf->name, conf->path, strerror(-r));
	return r;
}

static int
lun_capacity(const struct lun *lun)
{
	struct device *device = lun->device;
	struct stat st;
	int sector = 512;
	if (lun->fd < 0)
		return device->pr->ops->capacity(device->pr, &device->size, &device->block_size);
	if (fstat(lun->fd, &st))
		return -errno;
	if (S_ISBLK(st.st_mode)) {
		if (ioctl(lun->fd, BLKGETSIZE64, &device->size) || ioctl(lun->fd, BLKSSZGET, &sector))
			return -errno;
	} else {
		device->size = (uint64_t)st.st_size;
	}
	device->block_size = (uint32_t)sector;
	return 0;
}

/* The LU's name; the configured one must be among those it has. */
static int
lun_designator(const struct lun *lun, enum reason *why)
{
	struct device *device = lun->device;
	const struct device_conf *conf = device->conf;
	uint8_t page[1024];
	uint32_t len = 0;
	struct designator d;
	*why = REASON_WRONG_DEVICE;
	if (!device->pr)
		return 0;		/* type 3: the signature is its name */
	int r = device->pr->ops->inquiry(device->pr, 0x83, page, sizeof page, &len);
	if (r && r != -EOPNOTSUPP)
		return r;
	if (conf->designator) {
		if (!designator_parse(conf->designator, &d) || !designator_listed(page, len, &d)) {
			log_error("device %s: designator=%s is not one of the LUN's", conf->name, conf->designator);
			return -ENODEV;
		}
	} else if (!designator_choose(page, len, &d)) {
		if (device->layout_type != LAYOUT_SCSI)
			return 0;
		log_error("device %s: the LUN has no NAA or EUI-64 name: no SCSI layouts", conf->name);
		return -ENODEV;
	}
	device->designator_type = d.type;
	device->code_set = d.code_set;
	device->designator_len = d.len;
	memcpy(device->designator, d.bytes, d.len);
	return 0;
}

/* Does not change over restarts or growth (PITFALLS B16); a type 3 device is named by the signature alone. */
static void
device_name(struct device *device)
{
	struct sha256_ctx sha;
	uint8_t type[4] = { 0, 0, 0, (uint8_t)device->layout_type };
	sha256_init(&sha);
	sha256_update(&sha, sizeof type, type);
	sha256_update(&sha, sizeof device->uuid, device->uuid);
	if (device->layout_type == LAYOUT_SCSI)
		sha256_update(&sha, device->designator_len, device->designator);
	sha256_digest(&sha, sizeof device->id, device->id);
}

/* ---- is the file system's disk one whose addresses are the LUN's? ---- */

static int
device_check_backing(struct device *device, struct export *export)
{
	struct backing backing;
	struct designator mine;
	struct statfs fs;
	char name[8 + 2 * DESIGNATOR_MAX];
	int r = backing_look("/sys", export->dev, &backing);
	if (r) {
		log_error("%s: %s", export->line->path, backing.why[0] ? backing.why : strerror(-r));
		return r;
	}
	if (fstatfs(export->mount_fd, &fs) == 0 && (uint64_t)fs.f_blocks * (uint64_t)fs.f_bsize > device->size) {
		log_error("%s: device %s is smaller than the file system", export->line->path, device->conf->name);
		return -EXDEV;
	}
	if (export->block_size < device->block_size) {
		log_error("%s: the file system's blocks are smaller than those of device %s", export->line->path,
		    device->conf->name);
		return -EXDEV;
	}
	if (backing.loop_direct)
		log_warn("%s: %s opens its file directly: the target must do so too, or XFS shuts down", export->line->path,
		    backing.name);
	if (device->layout_type != LAYOUT_SCSI || !device->pr)
		return 0;
	/* A reservation of ours shuts out all other paths of this host to the same LUN, the mount's too. */
	mine = (struct designator){ .type = device->designator_type, .len = device->designator_len };
	memcpy(mine.bytes, device->designator, device->designator_len);
	designator_print(&mine, name, sizeof name);
	if (strcmp(name, backing.wwid) == 0) {
		log_error("%s: it is mounted through %s, a path to this same LUN that cannot be registered here",
		    export->line->path, backing.name);
		return -EXDEV;
	}
	return 0;
}

/* Everything about a fresh device.  0 or -errno with *why. */
static int
device_setup(struct device *device, struct export *export, struct lun *lun, enum reason *why)
{
	int r = lun_open(lun, device, why);
	if (r)
		return r;
	*why = REASON_IO_ERROR;
	r = lun_capacity(lun);
	if (r)
		return r;
	r = lun_designator(lun, why);
	if (r)
		return r;
	device_name(device);
	*why = REASON_WRONG_DEVICE;
	r = device_check_backing(device, export);
	if (r)
		return r;
	r = device_prove(lun, export);
	if (r == -EBUSY) {		/* reserved: by us in a former life? */
		r = device_enter_reserved(device, why);
		if (r == 0)
			r = device_prove(lun, export);
	}
	if (r && r != -EXDEV && r != -EBUSY) {
		log_error("%s: device %s: cannot prove that it is the disk: %s", export->line->path, device->conf->name,
		    strerror(-r));
		*why = REASON_IO_ERROR;
	} else if (r == -EXDEV) {
		*why = REASON_WRONG_DEVICE;
	}
	/* Now and not at the first layout: the EXPORT line tells, and clients of a former life are cut off before anything else happens. */
	return r ? r : device_prepare(device, why);
}

static int
device_remeasure(struct device *device)
{
	struct lun lun = { .device = device, .fd = -1 };
	enum reason why;
	LOCK_SCOPE(&device->lock);
	int r = device->pr ? device->pr->ops->ensure(device->pr, device->reserved ? device->server_key : 0) :
	    lun_open(&lun, device, &why);
	if (r == 0)
		r = lun_capacity(&lun);
	cleanup_close_(&lun.fd);
	return r;
}

void
device_measure(struct device *device)
{
	uint64_t was = device->size;
	int r = device_remeasure(device);
	if (r)
		log_warn("device %s: its size is not to be had: %s", device->conf->name, strerror(-r));
	if (r || device->size == was)
		return;
	log_info("device %s: %llu bytes, were %llu", device->conf->name, (unsigned long long)device->size, (unsigned long long)was);
	/* Clients that read the size when they opened the device read it again; nothing of theirs is in use then. */
	layout_withdraw(device->mds, NULL, device);
	device_note_change(device, DEVICE_RESIZED);
}

/* ---- registry ---- */

static int
devices_get(struct mds *mds, struct devices **devices)
{
	*devices = devices_of(mds);
	if (*devices)
		return 0;
	*devices = calloc(1, sizeof **devices);
	if (!*devices)
		return -ENOMEM;
	pthread_mutex_init(&(*devices)->lock, NULL);
	pthread_cond_init(&(*devices)->quiet, NULL);
	/* Loops may look already. */
	__atomic_store_n(&mds->devices, *devices, __ATOMIC_RELEASE);
	return 0;
}

void
devices_free(struct mds *mds)
{
	if (!mds->devices)
		return;
	struct gone_device *gone;
	while ((gone = LIST_FIRST(&mds->devices->gone)) != NULL) {
		LIST_REMOVE(gone, link);
		free(gone);
	}
	pthread_mutex_destroy(&mds->devices->lock);
	pthread_cond_destroy(&mds->devices->quiet);
	free(mds->devices);
	mds->devices = NULL;
}

/* To be told to clients.  devices->lock held. */
static void
device_retire(struct devices *devices, struct device *device)
{
	struct gone_device *gone = device->retired ? NULL : calloc(1, sizeof *gone);
	device->retired = true;
	if (!gone)
		return;		/* without memory: clients find out when they ask */
	memcpy(gone->id, device->id, sizeof gone->id);
	gone->layout_type = device->layout_type;
	LIST_INSERT_HEAD(&devices->gone, gone, link);
	__atomic_store_n(&devices->notices_due, true, __ATOMIC_RELEASE);
}

bool
devices_retire_locked(const struct mds *mds)
{
	struct devices *devices = mds->devices;
	struct device *device;
	bool again = false;
	LIST_FOREACH(device, &devices->list, link) {
		const struct export *export;
		int exports = 0, left = 0;
		LIST_FOREACH(export, &device->exports, on_device) {
			exports++;
			left += export->off_device;
		}
		if (device->retired || !left || left < exports)
			continue;
		/* RFC 8881 20.12.3 */
		if (layout_uses_device_locked(mds, device))
			again = true;
		else
			device_retire(devices, device);
	}
	return again;
}

static struct gone_device *
gone_find(struct devices *devices, const struct device *device)
{
	struct gone_device *gone;
	LIST_FOREACH(gone, &devices->gone, link)
		if (gone->layout_type == device->layout_type && memcmp(gone->id, device->id, sizeof gone->id) == 0)
			return gone;
	return NULL;
}

/*
 * A device that was here before in this life.  If clients were told that it is gone, its ID is not used again while they live
 * (RFC 8881 20.12.3): it gets another one.  devices->lock held.
 */
static void
device_come_back(struct devices *devices, struct device *device)
{
	struct gone_device *gone;
	while ((gone = gone_find(devices, device)) != NULL) {
		if (!gone->told) {
			LIST_REMOVE(gone, link);
			free(gone);
			return;
		}
		struct sha256_ctx sha;
		sha256_init(&sha);
		sha256_update(&sha, sizeof device->id, device->id);
		sha256_digest(&sha, sizeof device->id, device->id);
	}
}

static void
device_free(struct device *device)
{
	if (device->pr) {
		device_release(device);
		device->pr->ops->close(device->pr);
	}
	pthread_mutex_destroy(&device->lock);
	free(device->fenced);
	free(device);
}

/* A device of that section that is open already.  devices->lock held. */
static struct device *
device_of_conf(struct devices *devices, const struct device_conf *conf)
{
	struct device *device;
	LIST_FOREACH(device, &devices->list, link)
		if (device->conf == conf)
			return device;
	return NULL;
}

/* Use DEVICE for one more export.  A reserved LUN serves one type: others would be shut out. */
static int
device_join(struct device *device, struct export *export, uint32_t layout_type, enum reason *why)
{
	if (device->layout_type != layout_type || memcmp(device->uuid, export->uuid, sizeof device->uuid)) {
		log_error("%s: device %s serves %s", export->line->path, device->conf->name,
		    device->layout_type != layout_type ? "another layout type" : "another file system");
		*why = REASON_WRONG_DEVICE;
		return -EXDEV;
	}
	device->refs++;
	LIST_INSERT_HEAD(&device->exports, export, on_device);
	if (device->retired)
		device_come_back(export->mds->devices, device);
	device->retired = false;
	*why = REASON_NONE;
	return 0;
}

static int
device_new(struct mds *mds, const struct device_conf *conf, struct export *export, uint32_t layout_type,
    struct device **devicep, enum reason *why)
{
	struct device *device = calloc(1, sizeof *device);
	struct lun lun = { .fd = -1 };
	*devicep = NULL;
	*why = REASON_IO_ERROR;
	if (!device)
		return -ENOMEM;
	device->mds = mds;
	device->conf = conf;
	device->layout_type = layout_type;
	device->sig_offset = export->device_offset;
	memcpy(device->uuid, export->uuid, sizeof device->uuid);
	pthread_mutex_init(&device->lock, NULL);
	LIST_INIT(&device->exports);
	device_watch_init(device);
	while (device->server_key == 0)
		if (getrandom(&device->server_key, sizeof device->server_key, 0) < 0)
			break;
	int r = device->server_key ? device_setup(device, export, &lun, why) : -EIO;
	cleanup_close_(&lun.fd);
	if (r) {
		device_free(device);
		return r;
	}
	*devicep = device;
	return 0;
}

int
device_open(struct mds *mds, const struct device_conf *conf, struct export *export, uint32_t layout_type,
    struct device **devicep, enum reason *why)
{
	struct devices *devices;
	*devicep = NULL;
	*why = REASON_NO_RESERVATIONS;
	if (layout_type == LAYOUT_SCSI && !conf->iscsi_url) {
		log_error("%s: layouts=scsi needs iscsi_url= in [device %s]: reservations by path= come with another version",
		    export->line->path, conf->name);
		return -ENOTSUP;
	}
	*why = REASON_IO_ERROR;
	int r = devices_get(mds, &devices);
	if (r)
		return r;
	pthread_mutex_lock(&devices->lock);
	struct device *device = device_of_conf(devices, conf);
	if (device)
		r = device_join(device, export, layout_type, why);
	pthread_mutex_unlock(&devices->lock);
	if (!device) {
		/* Nobody else opens devices meanwhile: net/exporting.c does, one after the other. */
		r = device_new(mds, conf, export, layout_type, &device, why);
		if (r)
			return r;
		pthread_mutex_lock(&devices->lock);
		device_come_back(devices, device);
		LIST_INSERT_HEAD(&devices->list, device, link);
		r = device_join(device, export, layout_type, why);
		pthread_mutex_unlock(&devices->lock);
	}
	if (r == 0)
		*devicep = device;
	return r;
}

struct device *
device_get(struct device *device)
{
	pthread_mutex_lock(&device->mds->devices->lock);
	device->refs++;
	pthread_mutex_unlock(&device->mds->devices->lock);
	return device;
}

/* Drop a reference, and EXPORT's use if it is not NULL. */
static void
device_drop(struct device *device, struct export *export)
{
	struct devices *devices = device->mds->devices;
	pthread_mutex_lock(&devices->lock);
	if (export)
		LIST_REMOVE(export, on_device);
	bool last = --device->refs == 0;
	if (last) {
		LIST_REMOVE(device, link);
		device_retire(devices, device);
	}
	pthread_mutex_unlock(&devices->lock);
	if (last)
		device_free(device);
}

void
device_put(struct device *device)
{
	if (device)
		device_drop(device, NULL);
}

void
device_leave(struct device *device, struct export *export)
{
	struct devices *devices = device->mds->devices;
	LOCK_SCOPE(&devices->lock);
	export->off_device = true;
	__atomic_store_n(&devices->notices_due, true, __ATOMIC_RELEASE);
}

void
device_close(struct device *device, struct export *export)
{
	device_drop(device, export);
}

struct device *
device_find(struct mds *mds, const uint8_t id[DEVICE_ID_SIZE])
{
	struct devices *devices = devices_of(mds);
	struct device *device;
	if (!devices)
		return NULL;
	LOCK_SCOPE(&devices->lock);
	LIST_FOREACH(device, &devices->list, link)
		if (!device->retired && memcmp(device->id, id, DEVICE_ID_SIZE) == 0) {
			device->refs++;
			return device;
		}
	return NULL;
}

struct device *
device_find_name(struct mds *mds, const char *name)
{
	struct devices *devices = devices_of(mds);
	struct device *device;
	if (!devices)
		return NULL;
	LOCK_SCOPE(&devices->lock);
	LIST_FOREACH(device, &devices->list, link)
		if (strcmp(device->conf->name, name) == 0) {
			device->refs++;
			return device;
		}
	return NULL;
}

void
devices_each(struct mds *mds, void (*fn)(struct device *device, void *arg), void *arg)
{
	struct devices *devices = devices_of(mds);
	struct device *device;
	if (!devices)
		return;
	LOCK_SCOPE(&devices->lock);
	LIST_FOREACH(device, &devices->list, link)
		fn(device, arg);
}

bool
device_admits(struct device *device, const struct sockaddr *addr)
{
	struct export *export;
	LOCK_SCOPE(&device->mds->devices->lock);
	LIST_FOREACH(export, &device->exports, on_device)
		if (exports_match(export->line, addr))
			return true;
	return false;
}
