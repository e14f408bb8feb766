/* pnfsctl: the administrator's command.  Asks a running pnfs-mds over its Unix socket (ctl.h) and prints a table, or its JSON. */
#include <errno.h>
#include <getopt.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "config.h"
#include "include/cleanup.h"

#define DEFAULT_SOCKET "/run/pnfs-mds/ctl"
/* A server that is opening devices answers "exports" only after that. */
#define PATIENCE_S 60
#define REPLY_MAX (256u << 20)

/* ---- what there is ---- */

struct column {
	const char *title, *key;
};

#define COLUMNS 10

static const struct show {
	const char *name;
	struct column columns[COLUMNS];
} shows[] = {
	{ "exports", { { "PATH", "path" }, { "PROVIDER", "provider" }, { "LAYOUTS", "layouts" }, { "DEVICE", "device" },
		{ "REASON", "reason" }, { "ADVICE", "advice" } } },
	{ "clients", { { "ID", "id" }, { "ADDRESS", "address" }, { "RENEWED", "renewed_seconds_ago" }, { "CALLBACK", "backchannel" },
		{ "FENCED", "fenced" }, { "SESSIONS", "sessions" }, { "STATES", "states" }, { "NAME", "name" } } },
	{ "layouts", { { "CLIENT", "client" }, { "READ", "read_bytes" }, { "RW", "rw_bytes" }, { "RECALL", "recall" },
		{ "FENCE", "fence" }, { "PATH", "path" } } },
	{ "devices", { { "NAME", "name" }, { "LAYOUTS", "layouts" }, { "BYTES", "bytes" }, { "REASON", "reason" },
		{ "RESERVED", "reserved" }, { "VERIFIED", "verified_seconds_ago" }, { "REGISTERED", "registered" },
		{ "IDENTITY", "identity" }, { "TARGET", "target" } } },
	{ "recalls", { { "CLIENT", "client" }, { "STATE", "recall" }, { "DEADLINE", "deadline_seconds" }, { "READ", "read_bytes" },
		{ "RW", "rw_bytes" }, { "PATH", "path" } } },
	{ "fences", { { "ID", "id" }, { "DEVICE", "device" }, { "STATE", "state" }, { "TRIES", "tries" }, { "NEXT", "next_try_seconds" },
		{ "OVER", "over_seconds" }, { "FILES", "files" }, { "NAME", "name" } } },
};

static const struct act {
	const char *noun, *verb, *request;
} acts[] = {
	{ "client", "evict", "evict" },
	{ "fences", "retry", "retry" },
	{ "fences", "release", "release" },
};

static int
usage(FILE *to, int code)
{
	fputs("usage: pnfsctl [--json] [--socket PATH] COMMAND\n"
	    "  status                       what the server is doing, counts since its start\n"
	    "  exports                      provider and layouts of each export, and why not\n"
	    "  clients                      who is there\n"
	    "  layouts                      who holds which file\n"
	    "  devices                      LUNs, their identity and reservation\n"
	    "  recalls                      layouts that are wanted back\n"
	    "  fences                       clients that are being cut off\n"
	    "  client evict ID              end a client's lease now\n"
	    "  fences retry ID              try to cut it off again now\n"
	    "  fences release ID            take your word that it is cut off: its blocks are used again\n"
	    "The socket is " DEFAULT_SOCKET " unless ctl= of pnfs-mds.conf says otherwise.\n", to);
	return code;
}

/* ---- asking ---- */

static int
ctl_connect(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct timeval patience = { .tv_sec = PATIENCE_S };

	if (strlen(path) >= sizeof addr.sun_path)
		return -ENAMETOOLONG;
	strcpy(addr.sun_path, path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (connect(fd, (struct sockaddr *)&addr, sizeof addr) == 0)
		return fd;
	int err = -errno;
	close(fd);
	return err;
}

/* All up to the end, terminated. */
static char *
read_all(int fd, size_t *len)
{
	char *text = NULL;
	size_t room = 0;

	*len = 0;
	for (;;) {
		if (*len + 1 >= room) {
			room = room ? 2 * room : 65536;
			char *more = room <= REPLY_MAX ? realloc(text, room) : NULL;
			if (!more)
				break;
			text = more;
		}
		ssize_t n = recv(fd, text + *len, room - *len - 1, 0);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			break;
		if (n == 0)
			return text;
		*len += (size_t)n;
	}
	free(text);
	return NULL;
}

/* The reply, or NULL and told why. */
static json_t *
ask(const char *path, const char *request)
{
	CLEANUP_CLOSE int fd = ctl_connect(path);
	json_error_t why;
	size_t len;

	if (fd < 0) {
		fprintf(stderr, "pnfsctl: %s: %s%s\n", path, strerror(-fd),
		    fd == -ENOENT || fd == -ECONNREFUSED ? ": pnfs-mds does not run, or has another ctl=" : "");
		return NULL;
	}
	if (send(fd, request, strlen(request), MSG_NOSIGNAL) != (ssize_t)strlen(request)) {
		fprintf(stderr, "pnfsctl: %s: %s\n", path, strerror(errno));
		return NULL;
	}
	CLEANUP_FREE char *text = read_all(fd, &len);
	if (!text) {
		fprintf(stderr, "pnfsctl: %s: no answer\n", path);
		return NULL;
	}
	json_t *reply = json_loadb(text, len, 0, &why);
	if (!reply) {
		fprintf(stderr, "pnfsctl: %s: not an answer: %s\n", path, why.text);
		return NULL;
	}
	const char *error = json_string_value(json_object_get(reply, "error"));
	if (!error)
		return reply;
	fprintf(stderr, "pnfsctl: %s\n", error);
	json_decref(reply);
	return NULL;
}

/* ---- tables ---- */

static void
cell_text(const json_t *value, char *buf, size_t size)
{
	switch (json_typeof(value)) {
	case JSON_STRING:
		snprintf(buf, size, "%s", *json_string_value(value) ? json_string_value(value) : "-");
		break;
	case JSON_INTEGER:
		snprintf(buf, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		break;
	case JSON_REAL:
		snprintf(buf, size, "%.1f", json_real_value(value));
		break;
	case JSON_TRUE:
	case JSON_FALSE:
		snprintf(buf, size, "%s", json_is_true(value) ? "yes" : "no");
		break;
	default:
		snprintf(buf, size, "-");
	}
}

static void
cell_of(const json_t *row, const struct column *column, char *buf, size_t size)
{
	const json_t *value = json_object_get(row, column->key);

	if (value)
		cell_text(value, buf, size);
	else
		snprintf(buf, size, "-");
}

static void
print_rows(const struct show *show, const json_t *reply)
{
	const json_t *rows = json_object_get(reply, show->name), *row;
	int width[COLUMNS], more = (int)json_integer_value(json_object_get(reply, "more"));
	char buf[4096];
	size_t i, n = 0;

	while (n < COLUMNS && show->columns[n].title)
		n++;
	for (size_t c = 0; c < n; c++) {
		width[c] = (int)strlen(show->columns[c].title);
		json_array_foreach(rows, i, row) {
			cell_of(row, &show->columns[c], buf, sizeof buf);
			if ((int)strlen(buf) > width[c])
				width[c] = (int)strlen(buf);
		}
	}
	for (size_t c = 0; c < n; c++)
		printf("%-*s%s", c + 1 < n ? width[c] : 0, show->columns[c].title, c + 1 < n ? "  " : "\n");
	json_array_foreach(rows, i, row)
		for (size_t c = 0; c < n; c++) {
			cell_of(row, &show->columns[c], buf, sizeof buf);
			printf("%-*s%s", c + 1 < n ? width[c] : 0, buf, c + 1 < n ? "  " : "\n");
		}
	if (more)
		printf("and %d more\n", more);
}

/* Key and value, a line each; objects indented. */
static void
print_object(json_t *object, int indent)
{
	const char *key;
	json_t *value;
	char buf[4096];

	json_object_foreach(object, key, value) {
		if (json_is_object(value)) {
			printf("%*s%s\n", indent, "", key);
			print_object(value, indent + 4);
			continue;
		}
		cell_text(value, buf, sizeof buf);
		printf("%*s%-*s  %s\n", indent, "", 24 - indent, key, buf);
	}
}

static int
run(const char *path, bool json, const char *request, const struct show *show)
{
	json_t *reply = ask(path, request);

	if (!reply)
		return EXIT_FAILURE;
	if (json) {
		json_dumpf(reply, stdout, JSON_INDENT(1));
		putchar('\n');
	} else if (show) {
		print_rows(show, reply);
	} else if (!json_object_get(reply, "ok")) {
		print_object(reply, 0);
	}
	json_decref(reply);
	return fflush(stdout) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- the command ---- */

static int
command(const char *path, bool json, int argc, char **argv)
{
	char request[256];

	if (argc == 1) {
		snprintf(request, sizeof request, "{\"do\":\"%s\"}\n", argv[0]);
		if (!strcmp(argv[0], "status"))
			return run(path, json, request, NULL);
		for (size_t i = 0; i < sizeof shows / sizeof shows[0]; i++)
			if (!strcmp(argv[0], shows[i].name))
				return run(path, json, request, &shows[i]);
	}
	for (size_t i = 0; argc == 3 && i < sizeof acts / sizeof acts[0]; i++) {
		if (strcmp(argv[0], acts[i].noun) || strcmp(argv[1], acts[i].verb))
			continue;
		if (strspn(argv[2], "0123456789abcdefABCDEF") != strlen(argv[2]) || !*argv[2] || strlen(argv[2]) > 16) {
			fprintf(stderr, "pnfsctl: '%s' is not an ID: up to 16 hexadecimal digits\n", argv[2]);
			return EX_USAGE;
		}
		snprintf(request, sizeof request, "{\"do\":\"%s\",\"id\":\"%s\"}\n", acts[i].request, argv[2]);
		return run(path, json, request, NULL);
	}
	return usage(stderr, EX_USAGE);
}

int
main(int argc, char **argv)
{
	static const struct option options[] = { { "json", no_argument, NULL, 'j' }, { "socket", required_argument, NULL, 's' },
		{ "help", no_argument, NULL, 'h' }, { "version", no_argument, NULL, 'V' }, { 0 } };
	const char *path = DEFAULT_SOCKET;
	bool json = false;
	int opt;

	while ((opt = getopt_long(argc, argv, "+js:hV", options, NULL)) != -1) {
		switch (opt) {
		case 'j':
			json = true;
			break;
		case 's':
			path = optarg;
			break;
		case 'h':
			return usage(stdout, 0);
		case 'V':
			puts(PACKAGE_STRING);
			return 0;
		default:
			return usage(stderr, EX_USAGE);
		}
	}
	return command(path, json, argc - optind, argv + optind);
}
