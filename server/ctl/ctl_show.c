/* What pnfsctl shows.  State is copied under its lock and told afterwards. */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config.h"
#include "server/conf/exports.h"
#include "server/ctl/ctl_private.h"
#include "server/export/export.h"
#include "server/fs/fs.h"
#include "server/layout/designator.h"
#include "server/layout/device.h"
#include "server/layout/layout.h"
#include "server/layout/view.h"
#include "server/mds.h"
#include "server/net/exporting.h"
#include "server/nfs4/op_count.h"
#include "server/state/client.h"
#include "server/state/session.h"

static json_t *
hex_id(uint64_t id)
{
	return json_sprintf("%016" PRIx64, id);
}

/* Milliseconds as seconds; NULL in JSON for "none". */
static json_t *
seconds(int64_t ms)
{
	return ms ? json_real((double)ms / 1000) : json_null();
}

/* {"NAME": ROWS, "more": MORE} */
static json_t *
rows_reply(const char *name, json_t *rows, unsigned more)
{
	return rows ? json_pack("{s:o, s:i}", name, rows, "more", (int)more) : NULL;
}

/* ---- status ---- */

static void
op_add(const char *name, uint64_t count, void *arg)
{
	json_object_set_new(arg, name, json_integer((json_int_t)count));
}

static json_t *
refused_json(const struct layouts_count *count)
{
	json_t *refused = json_object();

	for (unsigned i = 0; i < REASON_COUNT; i++)
		if (count->refused[i])
			json_object_set_new(refused, reason_name(i), json_integer((json_int_t)count->refused[i]));
	return refused;
}

json_t *
ctl_status(struct mds *mds, const json_t *request)
{
	struct layouts_count n;
	struct timespec now;

	(void)request;
	layouts_count(mds, &n);
	pthread_mutex_lock(&mds->state_lock);
	unsigned clients = client_count_locked(mds);
	pthread_mutex_unlock(&mds->state_lock);
	clock_gettime(CLOCK_REALTIME, &now);
	json_t *ops = json_object();
	op_count_each(op_add, ops);
	return json_pack("{s:s, s:i, s:I, s:b, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:o, s:o}",
	    "version", PACKAGE_VERSION, "pid", (int)getpid(),
	    "uptime_seconds", (json_int_t)((uint64_t)now.tv_sec - mds->boot / 1000000000),
	    "grace", grace_active(mds), "lease_seconds", (int)mds->conf.lease, "grace_seconds", (int)mds->conf.grace,
	    "recall_timeout_seconds", (int)mds->conf.recall_timeout, "max_io_time_seconds", (int)mds->conf.max_io_time,
	    "clients", (int)clients, "files_with_layouts", (int)n.files, "layouts", (int)n.layouts, "recalls", (int)n.recalls,
	    "fences", (int)n.fences, "layouts_granted", (json_int_t)n.granted, "layouts_recalled", (json_int_t)n.recalled,
	    "clients_fenced", (json_int_t)n.fenced, "layouts_refused", refused_json(&n), "operations", ops);
}

/* ---- exports ---- */

/* What to do about it. */
static const char *
reason_advice(enum reason reason)
{
	switch (reason) {
	case REASON_NONE: return "";
	case REASON_NO_DEVICE: return "name the LUN: device= in exports, [device NAME] in pnfs-mds.conf; is the target up?";
	case REASON_NO_RESERVATIONS: return "the target has no SCSI-3 persistent reservations: use layouts=block with fence_command=";
	case REASON_NO_PTPL: return "the target forgets registrations when it restarts: enable APTPL, or allow_no_ptpl=yes";
	case REASON_WRONG_DEVICE: return "the LUN is not the one under this file system: check path= and iscsi_url=";
	case REASON_NOT_XFS: return "only XFS has layouts";
	case REASON_UNSUPPORTED_KERNEL: return "no nfsd with block layouts in this kernel, or it does not start: see the log, and doc/providers.md";
	case REASON_LAYOUTS_OFF: return "no_pnfs in exports";
	case REASON_REALTIME: return "files of the realtime device have no layouts";
	case REASON_IO_ERROR: return "see the log";
	default: return "";
	}
}

static void
export_add(const struct export *x, bool leaving, void *arg)
{
	bool grants = export_grants(x);
	/* with a device that grants nothing now, the reason for that */
	enum reason why = grants ? export_why(x) : x->reason;
	const char *type = !grants ? "none" : x->layout_type == 3 ? "block" : "scsi";

	json_array_append_new(arg, json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:b}", "path", x->line->path,
	    "provider", x->ops ? x->ops->name : "none", "layouts", type, "reason", reason_name(why),
	    "advice", reason_advice(why), "device", x->line->device ? x->line->device : "",
	    "blocks_held", export_holds_blocks(x), "leaving", leaving));
}

json_t *
ctl_exports(struct mds *mds, const json_t *request)
{
	json_t *rows = json_array();

	(void)request;
	exporting_each(mds, export_add, rows);
	return rows_reply("exports", rows, 0);
}

/* ---- clients ---- */

struct client_row {
	uint64_t id, renewed_ms;
	char *owner;
	struct sockaddr_storage addr;
	bool confirmed, fenced, backchannel;
	unsigned sessions, states, layouts;
};

struct client_rows {
	struct client_row *v;
	unsigned n, room, more;
};

static void
client_look(struct client *client, void *arg)
{
	struct client_rows *rows = arg;

	if (rows->n == rows->room) {
		rows->more++;
		return;
	}
	char name[HOLDER_NAME];
	holder_print_name(name, client->ownerid, client->ownerid_len);
	rows->v[rows->n++] = (struct client_row){ .id = client->id, .renewed_ms = atomic_load(&client->renewed_ms),
		.owner = strdup(name), .addr = client->addr, .confirmed = client->confirmed, .fenced = client->fenced,
		.backchannel = atomic_load(&client->nback) > 0, .sessions = client->nsessions, .states = client->nstates };
}

static json_t *
addr_json(const struct sockaddr_storage *addr)
{
	char text[INET6_ADDRSTRLEN] = "";

	if (addr->ss_family == AF_INET)
		inet_ntop(AF_INET, &((const struct sockaddr_in *)addr)->sin_addr, text, sizeof text);
	else if (addr->ss_family == AF_INET6)
		inet_ntop(AF_INET6, &((const struct sockaddr_in6 *)addr)->sin6_addr, text, sizeof text);
	return json_string(text);
}

json_t *
ctl_clients(struct mds *mds, const json_t *request)
{
	struct client_rows rows = { .room = CLIENT_MAX_CONFIRMED + CLIENT_MAX_UNCONFIRMED };
	uint64_t now = mds_now_ms();
	json_t *out = json_array();

	(void)request;
	rows.v = calloc(rows.room, sizeof *rows.v);
	if (!rows.v) {
		json_decref(out);
		return NULL;
	}
	pthread_mutex_lock(&mds->state_lock);
	client_each_locked(mds, client_look, &rows);
	pthread_mutex_unlock(&mds->state_lock);
	for (unsigned i = 0; i < rows.n; i++) {
		struct client_row *r = &rows.v[i];
		json_array_append_new(out, json_pack("{s:o, s:s, s:o, s:o, s:b, s:b, s:b, s:i, s:i}", "id", hex_id(r->id),
		    "name", r->owner ? r->owner : "?", "address", addr_json(&r->addr),
		    "renewed_seconds_ago", seconds(now > r->renewed_ms ? (int64_t)(now - r->renewed_ms) : 0),
		    "confirmed", r->confirmed, "backchannel", r->backchannel, "fenced", r->fenced,
		    "sessions", (int)r->sessions, "states", (int)r->states));
		free(r->owner);
	}
	free(rows.v);
	return rows_reply("clients", out, rows.more);
}

/* ---- layouts, recalls, fences ---- */

/* Where the file is now, as the server's host sees it; it may have no name any more. */
static json_t *
inode_path(const struct inode *inode)
{
	char link[64], path[4096];

	snprintf(link, sizeof link, "/proc/self/fd/%d", inode->fd);
	ssize_t n = readlink(link, path, sizeof path - 1);
	if (n < 0)
		return json_sprintf("inode %" PRIu64, inode->ino);
	path[n] = 0;
	json_t *text = json_string(path);
	return text ? text : json_sprintf("inode %" PRIu64, inode->ino);	/* not UTF-8 */
}

/* UINT64_MAX: all there is. */
static json_t *
bytes_json(uint64_t bytes)
{
	return bytes == UINT64_MAX ? json_string("all") : json_integer((json_int_t)bytes);
}

static json_t *
layouts_reply(struct mds *mds, const char *name, bool recalls_only)
{
	struct layout_view *v;
	unsigned n, more;
	json_t *rows;

	if (layouts_view(mds, recalls_only, &v, &n, &more))
		return NULL;
	rows = json_array();
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(rows, json_pack("{s:o, s:o, s:s, s:o, s:o, s:s, s:o, s:s}", "client", hex_id(v[i].clientid),
		    "path", inode_path(v[i].inode), "export", v[i].inode->export->line->path, "read_bytes", bytes_json(v[i].read),
		    "rw_bytes", bytes_json(v[i].rw), "recall", v[i].recall ? v[i].recall : "",
		    "deadline_seconds", seconds(v[i].deadline_ms), "fence", v[i].fence ? v[i].fence : ""));
	layouts_view_free(v, n);
	return rows_reply(name, rows, more);
}

json_t *
ctl_layouts(struct mds *mds, const json_t *request)
{
	(void)request;
	return layouts_reply(mds, "layouts", false);
}

json_t *
ctl_recalls(struct mds *mds, const json_t *request)
{
	(void)request;
	return layouts_reply(mds, "recalls", true);
}

json_t *
ctl_fences(struct mds *mds, const json_t *request)
{
	struct fence_view *v;
	unsigned n, more;
	json_t *rows;

	(void)request;
	if (fences_view(mds, &v, &n, &more))
		return NULL;
	rows = json_array();
	for (unsigned i = 0; i < n; i++)
		json_array_append_new(rows, json_pack("{s:o, s:s, s:s, s:s, s:i, s:i, s:o, s:o}", "id", hex_id(v[i].clientid),
		    "name", v[i].name, "device", v[i].device, "state", v[i].state ? v[i].state : "", "tries", (int)v[i].tries,
		    "files", (int)v[i].files, "next_try_seconds", seconds(v[i].next_ms), "over_seconds", seconds(v[i].over_ms)));
	free(v);
	return rows_reply("fences", rows, more);
}

/* ---- devices ---- */

static json_t *
identity_json(const struct device *d)
{
	struct designator name = { .type = d->designator_type, .code_set = d->code_set, .len = d->designator_len };
	char text[5 + 2 * DESIGNATOR_MAX];

	if (d->layout_type == 3) {
		unsigned n = 0;
		for (unsigned i = 0; i < sizeof d->uuid; i++)
			n += (unsigned)snprintf(text + n, sizeof text - n, "%02x", d->uuid[i]);
	} else {
		memcpy(name.bytes, d->designator, sizeof name.bytes);
		designator_print(&name, text, sizeof text);
	}
	return json_string(text);
}

static void
device_add(struct device *d, void *arg)
{
	uint64_t seen = __atomic_load_n(&d->verified_ms, __ATOMIC_ACQUIRE), now = mds_now_ms();

	json_array_append_new(arg, json_pack("{s:s, s:s, s:s, s:o, s:I, s:i, s:s, s:s, s:b, s:o, s:i}", "name", d->conf->name,
	    "path", d->conf->path ? d->conf->path : "", "layouts", d->layout_type == 3 ? "block" : "scsi", "identity", identity_json(d),
	    "bytes", (json_int_t)d->size, "block_size", (int)d->block_size,
	    "target", d->conf->iscsi_url ? d->conf->iscsi_url : "", "reason", reason_name(d->reason),
	    "reserved", __atomic_load_n(&d->reserved, __ATOMIC_RELAXED), "verified_seconds_ago", seconds(seen ? (int64_t)(now - seen) : 0),
	    "registered", (int)__atomic_load_n(&d->registered, __ATOMIC_RELAXED)));
}

json_t *
ctl_devices(struct mds *mds, const json_t *request)
{
	json_t *rows = json_array();

	(void)request;
	devices_each(mds, device_add, rows);
	return rows_reply("devices", rows, 0);
}
