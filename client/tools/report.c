/* Shared by the subcommands of pnfs: mounting by a file's URL, errors, the report of what went where. */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "client/tools/tool.h"

double
tool_now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static char failure[512];		/* the first error, for --json */

void
tool_complain(const char *fmt, ...)
{
	va_list ap;
	char text[sizeof failure];
	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	fprintf(stderr, "pnfs: %s\n", text);
	if (!failure[0])
		memcpy(failure, text, sizeof failure);
}

int
tool_fail(const char *what, int err)
{
	const char *why = pnfs_error();
	size_t len = strlen(what);
	/* libpnfs's words say more than the number, or the same; transfers leave none. */
	if (!strcmp(why, "no error") || !strcmp(why, strerror(-err)))
		why = "";
	if (!strncmp(why, what, len) && !strncmp(why + len, ": ", 2))
		why += len + 2;
	tool_complain("%s: %s%s%s", what, strerror(-err), *why ? ": " : "", why);
	return err == -EOPNOTSUPP ? EXIT_DIRECT_IMPOSSIBLE : EXIT_ERROR;
}

int
tool_fail_mount(const char *url, int err)
{
	int status = tool_fail(url, err);
	return err == -EINVAL ? EXIT_USAGE : status;
}

void
tool_report_failure(const struct tool *tool, int status)
{
	json_t *none = json_array();
	/* A message may quote a name that is not UTF-8, which JSON cannot have. */
	for (char *p = failure; *p; p++)
		if ((unsigned char)*p >= 0x80 || (unsigned char)*p < ' ')
			*p = '?';
	json_t *out = json_pack("{s:s,s:i,s:O,s:O}", "error", failure[0] ? failure : "wrong usage", "status", status,
	    "extents", tool->extents ? tool->extents : none, "fallbacks", tool->fallbacks ? tool->fallbacks : none);
	if (out)
		json_dumpf(out, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(out);
	json_decref(none);
}

int
tool_mount(struct tool *tool, const char *url, struct pnfs **mount, char **name)
{
	*name = NULL;
	/* ?sec= stands behind the name and is of the mount. */
	const char *query = strstr(url, "?sec=");
	size_t len = query ? (size_t)(query - url) : strlen(url);
	char *dir = malloc(strlen(url) + 2);
	if (!dir)
		return -ENOMEM;
	memcpy(dir, url, len);
	dir[len] = 0;
	char *path = strncmp(dir, "nfs://", 6) ? NULL : strchr(dir + 6, '/');
	char *slash = path ? strrchr(path, '/') : NULL;
	*name = strdup(slash && slash[1] ? slash + 1 : ".");
	if (slash)
		slash[slash == path] = 0;	/* the root keeps its slash */
	if (query)
		strcat(dir, query);
	int err = *name ? pnfs_mount(dir, &tool->options, mount) : -ENOMEM;
	free(dir);
	if (err) {
		free(*name);
		*name = NULL;
	}
	return err;
}

static int
note_fallback(const struct pnfs_fallback *fb, void *arg)
{
	struct tool *tool = arg;
	return json_array_append_new(tool->fallbacks, json_pack("{s:I,s:I,s:s}", "offset", (json_int_t)fb->offset,
	    "length", (json_int_t)fb->length, "reason", fb->reason));
}

void
tool_note_fallbacks(struct tool *tool, struct pnfs_file *file)
{
	if (!tool->fallbacks)
		tool->fallbacks = json_array();
	if (tool->fallbacks)
		pnfs_fallbacks(file, note_fallback, tool);
}

/* Extents of one map; returns where it ends. */
static uint64_t
note_map(struct tool *tool, struct pnfs_map *map, uint64_t at)
{
	static const char *const states[] = { "read-write", "read", "invalid", "hole" };
	const struct pnfs_extent *ext;
	size_t n = pnfs_map_extents(map, &ext);
	for (size_t i = 0; i < n; i++) {
		json_array_append_new(tool->extents, json_pack("{s:I,s:I,s:s,s:s?,s:I}",
		    "offset", (json_int_t)ext[i].offset, "length", (json_int_t)ext[i].length,
		    "state", states[ext[i].state], "device", ext[i].device,
		    "device_offset", (json_int_t)ext[i].device_offset));
		at = ext[i].offset + ext[i].length;
	}
	return at;
}

int
tool_note_extents(struct tool *tool, struct pnfs_file *file, uint64_t offset, uint64_t length, uint64_t size)
{
	if (!tool->extents && !(tool->extents = json_array()))
		return -ENOMEM;
	if (offset >= size)
		return 0;
	uint64_t at = offset - offset % 4096, end = length < size - offset ? offset + length : size;
	end += -end & 4095;
	while (at < end) {
		struct pnfs_map *map;
		int err = pnfs_map(file, at, end - at, false, NULL, NULL, &map);
		if (err)
			return err;
		uint64_t next = note_map(tool, map, at);
		pnfs_map_release(map);
		if (next <= at)
			return -EIO;
		at = next;
	}
	return 0;
}

static void
report_json(const struct tool *tool, const struct pnfs_stats *st, double seconds)
{
	uint64_t direct = st->direct_read + st->direct_write, mds = st->mds_read + st->mds_write;
	json_t *out = json_pack("{s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:I,s:O?,s:O?,s:f}",
	    "bytes", (json_int_t)tool->bytes, "direct_bytes", (json_int_t)direct, "mds_bytes", (json_int_t)mds,
	    "nfs_read", (json_int_t)st->nfs_read, "nfs_write", (json_int_t)st->nfs_write,
	    "layoutget", (json_int_t)st->layoutget, "layoutcommit", (json_int_t)st->layoutcommit,
	    "layoutreturn", (json_int_t)st->layoutreturn, "recalls", (json_int_t)st->recalls,
	    "extents", tool->extents, "fallbacks", tool->fallbacks, "seconds", seconds);
	if (!out)
		return;
	if (!tool->extents)
		json_object_set_new(out, "extents", json_array());
	if (!tool->fallbacks)
		json_object_set_new(out, "fallbacks", json_array());
	json_dumpf(out, stdout, JSON_INDENT(1));
	putchar('\n');
	json_decref(out);
}

static void
report_text(const struct tool *tool, const struct pnfs_stats *st, double seconds)
{
	uint64_t direct = st->direct_read + st->direct_write, mds = st->mds_read + st->mds_write;
	fprintf(stderr, "%" PRIu64 " bytes in %.2f s (%.0f MB/s): %" PRIu64 " direct, %" PRIu64 " through the MDS; "
	    "READ %" PRIu64 " WRITE %" PRIu64 " LAYOUTGET %" PRIu64 " LAYOUTCOMMIT %" PRIu64 " LAYOUTRETURN %" PRIu64
	    " recalls %" PRIu64 "\n", tool->bytes, seconds, seconds > 0 ? (double)tool->bytes / seconds / 1e6 : 0.,
	    direct, mds, st->nfs_read, st->nfs_write, st->layoutget, st->layoutcommit, st->layoutreturn, st->recalls);
	tool_print_fallbacks(tool);
}

void
tool_print_fallbacks(const struct tool *tool)
{
	size_t i;
	json_t *fb;
	json_array_foreach(tool->fallbacks, i, fb)
		fprintf(stderr, "%s: %" JSON_INTEGER_FORMAT " bytes at %" JSON_INTEGER_FORMAT ": %s\n",
		    tool->options.direct == PNFS_DIRECT_REQUIRE ? "not direct" : "through the MDS", json_integer_value(json_object_get(fb, "length")), json_integer_value(json_object_get(fb, "offset")),
		    json_string_value(json_object_get(fb, "reason")));
}

int
tool_report(struct tool *tool, struct pnfs *mount)
{
	struct pnfs_stats st;
	pnfs_get_stats(mount, &st);
	double seconds = tool_now() - tool->started;
	if (tool->json) {
		report_json(tool, &st, seconds);
		tool->reported = true;
	} else if (!tool->quiet) {
		report_text(tool, &st, seconds);
	}
	bool mds = st.mds_read + st.mds_write > 0;
	return mds && tool->options.direct == PNFS_DIRECT_AUTO ? EXIT_NOT_DIRECT : EXIT_DONE;
}
