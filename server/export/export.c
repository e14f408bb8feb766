/*
 * Opening an export: its file system, its provider of layouts, its device.  Called at start and on SIGHUP.
 *
 * Whatever keeps layouts away leaves an export without layouts and a reason, told in the EXPORT line and by pnfsctl; only mistakes in
 * the configuration and a directory that cannot be opened are errors.
 */
#include "server/export/export.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/conf/conf.h"
#include "server/conf/exports.h"
#include "server/export/deleg_lease.h"
#include "server/fs/describe.h"
#include "server/layout/device.h"
#include "server/mds.h"

void (*export_on_break)(struct mds *mds, struct inode *inode);

/* Best first: an export that names none gets the first that works. */
static const struct export_ops *const providers[] = { &export_kernel, &export_plain };

#define NPROVIDERS (sizeof providers / sizeof providers[0])

/* ---- layouts ---- */

/* Is what the line names a provider? */
static int
export_check_provider(const struct export *export, char **error)
{
	const char *name = export->line->provider;
	if (!name)
		return 0;
	for (unsigned i = 0; i < NPROVIDERS; i++)
		if (strcmp(providers[i]->name, name) == 0)
			return 0;
	if (asprintf(error, "exports line %u: no such provider '%s' (kernel, plain)", export->line->line, name) < 0)
		*error = NULL;
	return -EINVAL;
}

/* export->provider; or export->reason why there is none: of the named one, else of the last, which needs least. */
static bool
export_choose(struct export *export)
{
	const char *name = export->line->provider;
	for (unsigned i = 0; i < NPROVIDERS && !export->provider; i++) {
		if (name && strcmp(providers[i]->name, name) != 0)
			continue;
		export->second_best = export->reason;
		export->reason = REASON_NONE;
		if (providers[i]->probe(export))
			continue;
		export->provider = providers[i];
		if (export->second_best != REASON_NONE)
			log_warn("%s: provider %s, since a better one is not to be had here (%s)", export->line->path,
			    providers[i]->name, reason_name(export->second_best));
	}
	return export->provider != NULL;
}

/* The [device] section that the line names; NULL: it names none. */
static int
export_device_conf(struct export *export, const struct device_conf **conf, char **error)
{
	const struct export_line *line = export->line;
	*conf = line->device ? conf_device(&export->mds->conf, line->device) : NULL;
	if (*conf || !line->device)
		return 0;
	if (asprintf(error, "exports line %u: no section [device %s] in %s", line->line, line->device,
	    export->mds->conf.file ? export->mds->conf.file : "the configuration") < 0)
		*error = NULL;
	return -EINVAL;
}

/* All is there: whoever sees the device sees the rest. */
static void
export_offer(struct export *export, struct device *device)
{
	export->ops = export->provider;
	export->layout_type = export->line->layout_type;
	export->reason = REASON_NONE;
	export->waiting = false;
	__atomic_store_n(&export->device, device, __ATOMIC_RELEASE);
	if (export_holds_blocks(export))
		log_warn("%s: clients of the server's former life are cut off from device %s: files may be removed and truncated again",
		    export->line->path, device->conf->name);
	__atomic_store_n(&export->held, false, __ATOMIC_RELEASE);
}

/* The device is not to be had now.  May it be later, and is anybody still registered there who must not be forgotten? */
static void
export_wait(struct export *export, const struct device_conf *conf)
{
	bool held = device_has_keys(export->mds, conf);
	export->waiting = held || (conf->iscsi_url && export->reason == REASON_NO_DEVICE);
	/* Told to clients from the start: they ask once for each file system, and find out at LAYOUTGET (PITFALLS B24). */
	if (export->waiting)
		export->layout_type = export->line->layout_type;
	if (held && !export_holds_blocks(export))
		log_warn("%s: clients of the server's former life may still be registered at device %s, where they cannot be cut off now (%s): "
		    "no file is removed or truncated through this server until they are cut off", export->line->path, conf->name,
		    reason_name(export->reason));
	__atomic_store_n(&export->held, held, __ATOMIC_RELEASE);
}

/* Offer layouts if all is there; else export->reason says what is not.  -errno: a mistake in the configuration. */
static int
export_layouts(struct export *export, char **error)
{
	const struct export_line *line = export->line;
	const struct device_conf *conf;
	struct device *device;
	enum reason why;
	int r = export_check_provider(export, error);
	if (r == 0)
		r = export_device_conf(export, &conf, error);
	if (r)
		return r;
	export->reason = REASON_LAYOUTS_OFF;
	if (!line->pnfs || !line->layout_type)
		return 0;
	export->reason = REASON_NONE;
	if (!export_choose(export))
		return 0;
	export->provider->get_uuid(export, export->uuid, &export->device_offset);
	export->reason = REASON_NO_DEVICE;
	if (!conf) {
		log_warn("%s: no device= says which LUN it is on: no layouts", line->path);
	} else if (device_open(export->mds, conf, export, line->layout_type, &device, &why) == 0) {
		export_offer(export, device);
		return 0;
	} else {
		export->reason = why;
		export_wait(export, conf);
	}
	return 0;
}

bool
export_try_layouts(struct export *export)
{
	CLEANUP_FREE char *error = NULL;
	if (export_layouts(export, &error))
		log_error("%s: no layouts: %s", export->line->path, error ? error : "a mistake in its line");
	if (!export->device)
		return false;
	log_info("%s: layouts are granted now, on device %s", export->line->path, export->device->conf->name);
	return true;
}

void
export_withdraw(struct export *export, bool withdraw)
{
	__atomic_store_n(&export->withdrawn, withdraw, __ATOMIC_RELEASE);
	export->reason = withdraw ? REASON_LAYOUTS_OFF : export->device ? REASON_NONE : export->reason;
	if (!withdraw || export->line->pnfs)
		return;
	export->waiting = false;
	if (export_holds_blocks(export))
		log_warn("%s: the administrator says that nobody of the server's former life writes any more", export->line->path);
	__atomic_store_n(&export->held, false, __ATOMIC_RELEASE);
}

static void
export_free(struct export *export)
{
	if (export->device)
		device_close(export->device, export);
	deleg_leases_stop(export);
	if (export->provider && export->provider->stop)
		export->provider->stop(export);
	fs_export_close(export);
	exports_line_free(export->line);
	free(export);
}

int
export_open(struct mds *mds, const struct export_line *line, struct export **exportp, char **error)
{
	*exportp = NULL;
	*error = NULL;
	struct export *export = calloc(1, sizeof *export);
	if (!export)
		return -ENOMEM;
	export->refs = 1;
	export->mds = mds;
	export->root_fd = export->mount_fd = -1;
	export->line = exports_line_copy(line);
	if (!export->line) {
		free(export);
		return -ENOMEM;
	}
	int r = fs_export_describe(export, error);
	if (r) {
		exports_line_free(export->line);
		free(export);
		return r;
	}
	r = export_layouts(export, error);
	if (r) {
		export_free(export);
		return r;
	}
	deleg_leases_start(export);
	*exportp = export;
	return 0;
}

struct export *
export_get(struct export *export)
{
	__atomic_fetch_add(&export->refs, 1, __ATOMIC_RELAXED);
	return export;
}

void
export_put(struct export *export)
{
	if (export && __atomic_sub_fetch(&export->refs, 1, __ATOMIC_ACQ_REL) == 0)
		export_free(export);
}
