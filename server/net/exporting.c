/* Opening exports, and changing them while the server runs; see exporting.h. */
#include "server/net/exporting.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "include/log.h"
#include "server/conf/exports.h"
#include "server/export/export.h"
#include "server/fs/fs.h"
#include "server/mds.h"

struct exported {
	struct exported *next;
	struct export *export;
	struct export_line *line;	/* of the table it was read in last; the export has a copy */
};

/* Tables are kept: loops read lines without a lock, and a reload is rare. */
struct table {
	struct table *next;
	struct exports *exports;
};

struct exporting {
	struct exported *list;
	struct table *tables;
};

static struct exported *
exported_find(const struct mds *mds, const char *path)
{
	struct exported *e = mds->exporting->list;
	while (e && strcmp(e->line->path, path) != 0)
		e = e->next;
	return e;
}

static bool
same(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

/* Do the lines differ only in whom they admit? */
static bool
line_same_export(const struct export_line *a, const struct export_line *b)
{
	return a->fsid_root == b->fsid_root && same(a->fsid, b->fsid) && a->pnfs == b->pnfs &&
	    a->layout_type == b->layout_type && same(a->provider, b->provider) && same(a->device, b->device);
}

static int
exported_open(struct mds *mds, struct export_line *line, char **error)
{
	struct exported *e = calloc(1, sizeof *e);
	if (!e)
		return -ENOMEM;
	int err = export_open(mds, line, &e->export, error);
	if (!err) {
		err = fs_export_add(mds->fs, e->export);
		if (err)
			export_put(e->export);
	}
	if (err) {
		if (!*error && asprintf(error, "%s:%u: '%s': %s", mds->conf.exports_file, line->line, line->path,
		    strerror(-err)) < 0)
			*error = NULL;
		free(e);
		return err;
	}
	e->line = line;
	struct exported **tail = &mds->exporting->list;
	while (*tail)
		tail = &(*tail)->next;
	*tail = e;
	return 0;
}

static void
exported_close(struct mds *mds, struct exported *e)
{
	struct exported **p = &mds->exporting->list;
	while (*p != e)
		p = &(*p)->next;
	*p = e->next;
	fs_export_remove(mds->fs, e->export);
	export_put(e->export);
	free(e);
}

/* Read the file into a table of its own. */
static int
exporting_read(struct mds *mds, char **error)
{
	struct table *table = calloc(1, sizeof *table);
	if (!table)
		return -ENOMEM;
	int err = exports_read(&table->exports, mds->conf.exports_file, error);
	if (err) {
		free(table);
		return err;
	}
	table->next = mds->exporting->tables;
	mds->exporting->tables = table;
	mds->exports = table->exports;
	return 0;
}

/* Open what is named and not open yet. */
static void
exporting_open_new(struct mds *mds)
{
	for (struct export_line *l = mds->exports->lines; l; l = l->next) {
		char *why = NULL;
		if (exported_find(mds, l->path))
			continue;
		if (exported_open(mds, l, &why) < 0)
			log_error("not exported: %s", why ? why : l->path);
		free(why);
	}
}

int
exporting_start(struct mds *mds, char **error)
{
	mds->exporting = calloc(1, sizeof *mds->exporting);
	if (!mds->exporting)
		return -ENOMEM;
	int err = exporting_read(mds, error);
	if (err)
		return err;
	/* One that cannot be opened does not keep the others from being served. */
	exporting_open_new(mds);
	return 0;
}

/* What is no longer named, or has become another export, goes. */
static void
exporting_drop(struct mds *mds)
{
	struct exported *next;
	for (struct exported *e = mds->exporting->list; e; e = next) {
		next = e->next;
		struct export_line *l = mds->exports->lines;
		while (l && strcmp(l->path, e->line->path) != 0)
			l = l->next;
		if (l && line_same_export(l, e->line)) {
			/*
			 * Only whom it admits may have changed: handles, opens and layouts go on.  The export has a copy of its line; the
			 * clients change places, so that loops that still look at the old ones find them in the table.
			 */
			l->clients = __atomic_exchange_n(&e->export->line->clients, l->clients, __ATOMIC_ACQ_REL);
			e->line = l;
			continue;
		}
		log_info("export %s: removed", e->line->path);
		exported_close(mds, e);
	}
}

int
exporting_reload(struct mds *mds, char **error)
{
	int err = exporting_read(mds, error);
	if (err)
		return err;
	exporting_drop(mds);
	atomic_fetch_add(&mds->exports_gen, 1);
	exporting_open_new(mds);
	return 0;
}

void
exporting_print(const struct mds *mds)
{
	for (const struct exported *e = mds->exporting->list; e; e = e->next) {
		const struct export *x = e->export;
		printf("EXPORT path=%s provider=%s layouts=%s reason=\"%s\"\n", e->line->path,
		    x->ops ? x->ops->name : "none",
		    x->layout_type == 3 ? "block" : x->layout_type == 5 ? "scsi" : "none",
		    x->layout_type ? "" : reason_name(x->reason));
	}
	fflush(stdout);
}

void
exporting_stop(struct mds *mds)
{
	struct exporting *x = mds->exporting;
	if (!x)
		return;
	while (x->list)
		exported_close(mds, x->list);
	struct table *table, *next;
	for (table = x->tables; table; table = next) {
		next = table->next;
		exports_free(table->exports);
		free(table);
	}
	free(x);
	mds->exporting = NULL;
	mds->exports = NULL;
}
