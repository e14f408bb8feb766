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

#include "include/log.h"
#include "server/conf/conf.h"
#include "server/conf/exports.h"
#include "server/fs/describe.h"
#include "server/layout/device.h"
#include "server/mds.h"

void (*export_on_break)(struct mds *mds, struct inode *inode);

/* Best first: an export that names none gets the first that is there.  kernel's ops come with kernel.c. */
static const struct provider {
	const char *name;
	const struct export_ops *ops;	/* NULL: not in this version */
} providers[] = {
	{ "kernel", NULL },
	{ "plain", &export_plain },
};

#define NPROVIDERS (sizeof providers / sizeof providers[0])

/* ---- layouts ---- */

static int
export_choose(struct export *export, const struct provider **provider, char **error)
{
	const char *name = export->line->provider;
	*provider = NULL;
	for (unsigned i = 0; i < NPROVIDERS; i++)
		if (name ? strcmp(providers[i].name, name) == 0 : providers[i].ops != NULL) {
			*provider = &providers[i];
			return 0;
		}
	if (asprintf(error, "exports line %u: no such provider '%s' (kernel, plain)", export->line->line, name) < 0)
		*error = NULL;
	return -EINVAL;
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

/* Offer layouts if all is there; else export->reason says what is not.  -errno: a mistake in the configuration. */
static int
export_layouts(struct export *export, char **error)
{
	const struct export_line *line = export->line;
	const struct provider *provider;
	const struct device_conf *conf;
	int r = export_choose(export, &provider, error);
	if (r == 0)
		r = export_device_conf(export, &conf, error);
	if (r)
		return r;
	export->reason = REASON_LAYOUTS_OFF;
	if (!line->pnfs || !line->layout_type)
		return 0;
	if (!provider->ops) {
		log_warn("%s: provider=%s is not available in this version", line->path, provider->name);
		export->reason = REASON_UNSUPPORTED_KERNEL;
		return 0;
	}
	export->reason = REASON_NONE;
	if (provider->ops->probe(export))
		return 0;
	export->ops = provider->ops;
	provider->ops->get_uuid(export, export->uuid, &export->device_offset);
	export->reason = REASON_NO_DEVICE;
	if (!conf) {
		log_warn("%s: no device= says which LUN it is on: no layouts", line->path);
	} else if (device_open(export->mds, conf, export, line->layout_type, &export->device, &export->reason) == 0) {
		export->layout_type = line->layout_type;
		export->reason = REASON_NONE;
		return 0;
	}
	export->ops = NULL;
	if (provider->ops->stop)
		provider->ops->stop(export);
	return 0;
}

static void
export_free(struct export *export)
{
	if (export->device)
		device_close(export->device, export);
	if (export->ops && export->ops->stop)
		export->ops->stop(export);
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
