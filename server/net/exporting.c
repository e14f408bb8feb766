/*
 * Opening exports, and changing them while the server runs; see exporting.h.  What a reload cannot do at once - an export goes when its layouts are
 * back - and devices that were not to be had when their exports were opened are looked after by a worker, about once a second.
 */
#include "server/net/exporting.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/conf/exports.h"
#include "server/export/export.h"
#include "server/fs/describe.h"
#include "server/fs/fs.h"
#include "server/layout/device.h"
#include "server/layout/layout.h"
#include "server/mds.h"
#include "server/net/worker.h"

/* A recall's deadline is at most twice recall_timeout away (recall.c); then its holder is fenced. */
#define LEAVE_SPARE_MS 3000u
/* Between tries to reach a device. */
#define RETRY_MIN_MS 2000u
#define RETRY_MAX_MS 60000u

struct exported {
	struct exported *next;
	struct export *export;
	struct export_line *line;	/* of the table it was read in last; the export has a copy */
	bool recalling;			/* its layouts are being taken back */
	bool leaving;			/* and then it goes */
	uint64_t deadline_ms;		/* it goes at this time whatever is out: that is being fenced by then */
	uint64_t retry_ms;		/* its device is tried again */
	uint32_t pause_ms;
};

/* Tables are kept: loops read lines without a lock, and a reload is rare. */
struct table {
	struct table *next;
	struct exports *exports;
};

struct exporting {
	pthread_mutex_t lock;		/* of all below; held over opening and closing: never on a loop */
	struct exported *list;
	struct table *tables;
	atomic_bool pending;		/* there is something for the worker to do */
	atomic_bool busy;		/* it is at it */
	atomic_bool stop;
	struct work work;
	struct mds *mds;
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

/* Do the lines differ only in whom they admit, and whether layouts are granted? */
static bool
line_same_export(const struct export_line *a, const struct export_line *b)
{
	return a->fsid_root == b->fsid_root && same(a->fsid, b->fsid) && a->layout_type == b->layout_type &&
	    same(a->provider, b->provider) && same(a->device, b->device);
}

/* Does the path lead to where it led when the export was opened? */
static bool
export_same_place(const struct export *export, struct export_line *line)
{
	struct export now = { .line = line };
	CLEANUP_FREE char *error = NULL;
	if (fs_export_describe(&now, &error))
		return true;		/* not now; what is open goes on */
	fs_export_close(&now);
	return now.id == export->id && now.dev == export->dev;
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
	log_info("export %s: removed", e->export->line->path);
	if (e->export->device)
		device_leave(e->export->device, e->export);
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

static void exporting_work(struct work *work);

/* Is there anything to come back for?  x->lock held. */
static void
exporting_note_pending(struct exporting *x)
{
	bool pending = false;
	for (const struct exported *e = x->list; e; e = e->next)
		pending |= e->leaving || e->recalling || e->export->waiting;
	atomic_store(&x->pending, pending);
}

int
exporting_start(struct mds *mds, char **error)
{
	struct exporting *x = calloc(1, sizeof *x);
	if (!x)
		return -ENOMEM;
	pthread_mutex_init(&x->lock, NULL);
	x->mds = mds;
	x->work.fn = exporting_work;
	mds->exporting = x;
	LOCK_SCOPE(&x->lock);
	int err = exporting_read(mds, error);
	if (err)
		return err;
	/* One that cannot be opened does not keep the others from being served. */
	exporting_open_new(mds);
	exporting_note_pending(x);
	return 0;
}

/* ---- what takes time ---- */

/* Its layouts are asked for, again and again; does it go now?  True: it is closed. */
static bool
exported_recall(struct mds *mds, struct exported *e, uint64_t now)
{
	unsigned out = layout_withdraw(mds, e->export, NULL);
	if (!e->leaving) {
		e->recalling = out != 0;
		return false;
	}
	if (out && now < e->deadline_ms)
		return false;
	if (out)
		log_warn("export %s: layouts of %u files are still out: their blocks stay out of use until their holders are cut off",
		    e->export->line->path, out);
	exported_close(mds, e);
	return true;
}

/* Its device once more. */
static void
exported_retry(struct exported *e, uint64_t now)
{
	if (now < e->retry_ms || export_try_layouts(e->export))
		return;
	e->pause_ms = !e->pause_ms ? RETRY_MIN_MS : e->pause_ms < RETRY_MAX_MS / 2 ? 2 * e->pause_ms : RETRY_MAX_MS;
	e->retry_ms = mds_now_ms() + e->pause_ms;
}

/* One turn.  x->lock held. */
static void
exporting_step(struct mds *mds)
{
	struct exporting *x = mds->exporting;
	struct exported *next;
	bool closed = false;
	for (struct exported *e = x->list; e && !atomic_load(&x->stop); e = next) {
		uint64_t now = mds_now_ms();
		next = e->next;
		if (e->leaving || e->recalling)
			closed |= exported_recall(mds, e, now);
		else if (e->export->waiting)
			exported_retry(e, now);
	}
	/* In the place of one that went there may be another. */
	if (closed && !atomic_load(&x->stop))
		exporting_open_new(mds);
	exporting_note_pending(x);
}

static void
exporting_work(struct work *work)
{
	struct exporting *x = (struct exporting *)((char *)work - offsetof(struct exporting, work));
	pthread_mutex_lock(&x->lock);
	if (!atomic_load(&x->stop))
		exporting_step(x->mds);
	atomic_store(&x->busy, false);
	pthread_mutex_unlock(&x->lock);
}

void
exporting_tick(struct mds *mds)
{
	struct exporting *x = mds->exporting;
	if (atomic_load(&x->pending) && !atomic_exchange(&x->busy, true))
		workers_submit(mds->workers, &x->work);
}

void
exporting_settle(struct mds *mds)
{
	struct exporting *x = mds->exporting;
	if (!x)
		return;
	atomic_store(&x->stop, true);
	/* It was handed to a worker before: that one takes the lock sooner or later. */
	while (atomic_load(&x->busy))
		usleep(1000);
	pthread_mutex_lock(&x->lock);
	pthread_mutex_unlock(&x->lock);
}

/* ---- reload ---- */

/*
 * The same export: handles, opens and layouts go on.  It has a copy of its line; the clients change places, so that loops that still look
 * at the old ones find them in the table.
 */
static void
exported_keep(struct exported *e, struct export_line *l)
{
	l->clients = __atomic_exchange_n(&e->export->line->clients, l->clients, __ATOMIC_ACQ_REL);
	e->line = l;
	e->leaving = false;
	if (e->export->line->pnfs != l->pnfs) {
		log_info("export %s: %s", l->path, l->pnfs ? "pnfs" : "no_pnfs: its layouts are taken back");
		e->export->line->pnfs = l->pnfs;
		if (l->pnfs && !e->export->device)
			e->export->waiting = true;
	}
	__atomic_store_n(&e->export->line->delegations, l->delegations, __ATOMIC_RELAXED);	/* those that are out stay */
	export_withdraw(e->export, !l->pnfs);
	e->recalling = !l->pnfs;
	e->retry_ms = e->pause_ms = 0;
}

/* What is no longer named, or has become another export, goes as soon as its layouts are back or their holders are being cut off. */
static void
exporting_drop(struct mds *mds)
{
	for (struct exported *e = mds->exporting->list; e; e = e->next) {
		struct export_line *l = mds->exports->lines;
		while (l && strcmp(l->path, e->line->path) != 0)
			l = l->next;
		if (l && line_same_export(l, e->line) && export_same_place(e->export, l)) {
			exported_keep(e, l);
			continue;
		}
		if (!e->leaving)
			e->deadline_ms = mds_now_ms() + 2000ull * mds->conf.recall_timeout + LEAVE_SPARE_MS;
		e->leaving = true;
		export_withdraw(e->export, true);
	}
}

/* Devices that stay may have grown. */
static void
exporting_measure(struct mds *mds)
{
	for (struct exported *e = mds->exporting->list; e; e = e->next)
		if (e->export->device && !e->leaving)
			device_measure(e->export->device);
}

int
exporting_reload(struct mds *mds, char **error)
{
	LOCK_SCOPE(&mds->exporting->lock);
	int err = exporting_read(mds, error);
	if (err)
		return err;
	exporting_drop(mds);
	atomic_fetch_add(&mds->exports_gen, 1);
	/* What has no layouts out goes now. */
	exporting_step(mds);
	exporting_open_new(mds);
	exporting_measure(mds);
	exporting_note_pending(mds->exporting);
	return 0;
}

void
exporting_print(const struct mds *mds)
{
	for (const struct exported *e = mds->exporting->list; e; e = e->next) {
		const struct export *x = e->export;
		enum reason why = export_why(x);
		printf("EXPORT path=%s provider=%s layouts=%s reason=\"%s\"\n", e->line->path,
		    x->ops ? x->ops->name : "none",
		    !x->device ? "none" : x->layout_type == 3 ? "block" : "scsi", why == REASON_NONE ? "" : reason_name(why));
	}
	fflush(stdout);
}

void
exporting_each(struct mds *mds, void (*fn)(const struct export *export, bool leaving, void *arg), void *arg)
{
	LOCK_SCOPE(&mds->exporting->lock);
	for (const struct exported *e = mds->exporting->list; e; e = e->next)
		fn(e->export, e->leaving, arg);
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
	pthread_mutex_destroy(&x->lock);
	free(x);
	mds->exporting = NULL;
	mds->exports = NULL;
}
