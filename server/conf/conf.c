/*
 * pnfs-mds.conf.  Called at start by net/ and by tests.
 *
 * libinih splits lines into section, name and value; Debian's does not say which line
 * it is at and cuts what is too long for it, so the reader given to it counts, hands it the lines without indentation
 * (no continuation lines) and checks sections and lengths first.
 */
#include "server/conf/conf.h"

#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "include/cleanup.h"
#include "server/conf/text.h"

#define INIH_LINE 200		/* INI_MAX_LINE of Debian's library, end of line and string included */
#define INIH_NAME 50		/* its limit for section and name, with the NUL */

struct parser {
	struct mds_conf *conf;
	const char *name;		/* of the file, for messages */
	const char *text;		/* what is left */
	unsigned line;
	struct device_conf *device;	/* of the present section */
	unsigned seen;			/* keys of [server] */
	bool seen_ptpl;			/* allow_no_ptpl of the present device */
	char **error;
	int err;
};

static int
fail_line(struct parser *p, const char *what, const char *word)
{
	p->err = text_fail(p->error, p->name, p->line, "%s '%s'", what, word);
	return 0;
}

/* ---- values ---- */

static bool
set_string(struct parser *p, char **field, const char *value)
{
	free(*field);
	*field = strdup(value);
	if (!*field)
		p->err = -ENOMEM;
	return *field != NULL;
}

static int
set_path(struct parser *p, char **field, const char *value)
{
	if (*value != '/')
		return fail_line(p, "not an absolute path:", value);
	return set_string(p, field, value);
}

static int
set_number(struct parser *p, uint32_t *field, const char *value, uint32_t min, uint32_t max)
{
	uint64_t v;
	if (!text_number(value, min, max, &v)) {
		p->err = text_fail(p->error, p->name, p->line, "'%s' is not a number of %u to %u", value, min, max);
		return 0;
	}
	*field = (uint32_t)v;
	return 1;
}

static int
set_bool(struct parser *p, bool *field, const char *value)
{
	static const char *const words[] = { "no", "yes", "false", "true", "off", "on", "0", "1" };
	for (unsigned i = 0; i < sizeof words / sizeof *words; i++)
		if (!strcasecmp(value, words[i])) {
			*field = i & 1;
			return 1;
		}
	return fail_line(p, "neither yes nor no:", value);
}

/* HOST:PORT, [IPv6]:PORT, HOST, :PORT.  Whether HOST is an address of this machine is found out by bind(). */
static int
set_listen(struct parser *p, const char *value)
{
	struct mds_conf *conf = p->conf;
	const char *host = value, *end, *port;
	if (*host == '[') {
		end = strchr(++host, ']');
		if (!end || end == host || (end[1] && end[1] != ':'))
			return fail_line(p, "not [ADDRESS]:PORT:", value);
		port = end[1] ? end + 2 : NULL;
	} else {
		end = strchrnul(host, ':');
		if (*end && strchr(end + 1, ':'))
			return fail_line(p, "an IPv6 address wants brackets, [ADDRESS]:PORT:", value);
		port = *end ? end + 1 : NULL;
	}
	uint64_t number = 2049;
	if (port && !text_number(port, 0, 65535, &number))
		return fail_line(p, "not a port:", port);
	for (const char *c = host; c < end; c++)
		if (!isalnum((unsigned char)*c) && !strchr(".-:%_", *c))
			return fail_line(p, "not a host:", value);
	conf->listen_port = (uint16_t)number;
	CLEANUP_FREE char *copy = strndup(host, (size_t)(end - host));
	if (!copy) {
		p->err = -ENOMEM;
		return 0;
	}
	return set_string(p, &conf->listen_host, *copy ? copy : "0.0.0.0");
}

/* iscsi://HOST[:PORT]/IQN/LUN; libiscsi parses it for good when it connects. */
static int
set_iscsi_url(struct parser *p, char **field, const char *value)
{
	static const char scheme[] = "iscsi://";
	uint64_t lun;
	const char *host = value + strlen(scheme), *iqn, *last;
	if (strncmp(value, scheme, strlen(scheme)) || !(iqn = strchr(host, '/')) || iqn == host ||
	    !(last = strchr(iqn + 1, '/')) || last == iqn + 1 || !text_number(last + 1, 0, 16383, &lun))
		return fail_line(p, "not iscsi://HOST[:PORT]/IQN/LUN:", value);
	return set_string(p, field, value);
}

/* naa. or eui. and 16 or 32 hexadecimal digits (eui: 24 too); SPC-4 7.8.6. */
static int
set_designator(struct parser *p, char **field, const char *value)
{
	bool naa = !strncmp(value, "naa.", 4), eui = !strncmp(value, "eui.", 4);
	size_t digits = naa || eui ? strspn(value + 4, "0123456789abcdefABCDEF") : 0;
	if ((digits != 16 && digits != 32 && !(eui && digits == 24)) || value[4 + digits])
		return fail_line(p, "not naa.DIGITS or eui.DIGITS:", value);
	return set_string(p, field, value);
}

/* ---- keys ---- */

static int
server_key(struct parser *p, const char *name, const char *value)
{
	static const char *const names[] = { "listen", "state_dir", "ctl", "exports", "lease", "grace",
		"recall_timeout", "max_io_time", "loops", "workers", "keeper", "keytab", "principal" };
	struct mds_conf *conf = p->conf;
	unsigned key = 0;
	while (key < sizeof names / sizeof *names && strcmp(name, names[key]))
		key++;
	if (key == sizeof names / sizeof *names)
		return fail_line(p, "unknown name in [server]:", name);
	if (p->seen & 1u << key)
		return fail_line(p, "given twice:", name);
	p->seen |= 1u << key;
	switch (key) {
	case 0: return set_listen(p, value);
	case 1: return set_path(p, &conf->state_dir, value);
	case 2: return set_path(p, &conf->ctl, value);
	case 3: return set_path(p, &conf->exports_file, value);
	case 4: return set_number(p, &conf->lease, value, 1, 3600);
	case 5: return set_number(p, &conf->grace, value, 0, 3600);
	case 6: return set_number(p, &conf->recall_timeout, value, 1, 3600);
	case 7: return set_number(p, &conf->max_io_time, value, 1, 3600);
	case 8: return set_number(p, &conf->loops, value, 0, 1024);
	case 9: return set_number(p, &conf->workers, value, 0, 4096);
	case 10: return set_bool(p, &conf->keeper, value);
	case 11: return set_path(p, &conf->keytab, value);
	default: return set_string(p, &conf->principal, value);
	}
}

static int
device_key(struct parser *p, const char *name, const char *value)
{
	struct device_conf *d = p->device;
	if (!strcmp(name, "allow_no_ptpl")) {
		if (p->seen_ptpl)
			return fail_line(p, "given twice:", name);
		p->seen_ptpl = true;
		return set_bool(p, &d->allow_no_ptpl, value);
	}
	struct {
		const char *name;
		char **field;
		int (*set)(struct parser *, char **, const char *);
	} keys[] = {
		{ "path", &d->path, set_path },
		{ "iscsi_url", &d->iscsi_url, set_iscsi_url },
		{ "designator", &d->designator, set_designator },
		{ "fence_command", &d->fence_command, NULL },
		{ "initiator_name", &d->initiator_name, NULL },
	};
	for (unsigned i = 0; i < sizeof keys / sizeof *keys; i++) {
		if (strcmp(name, keys[i].name))
			continue;
		if (*keys[i].field)
			return fail_line(p, "given twice:", name);
		return keys[i].set ? keys[i].set(p, keys[i].field, value) : set_string(p, keys[i].field, value);
	}
	return fail_line(p, "unknown name in a [device]:", name);
}

/* libinih's callback: 1 or, on an error, 0. */
static int
on_key(void *arg, const char *section, const char *name, const char *value)
{
	struct parser *p = arg;
	if (p->err)
		return 0;
	if (!value || !*value)
		return fail_line(p, "no value for", name);
	if (p->device)
		return device_key(p, name, value);
	if (!*section)
		return fail_line(p, "before any [section]:", name);
	return server_key(p, name, value);
}

/* ---- sections ---- */

static int
add_device(struct parser *p, const char *name, size_t len)
{
	struct device_conf **end = &p->conf->devices, *d;
	for (; *end; end = &(*end)->next)
		if (strlen((*end)->name) == len && !memcmp((*end)->name, name, len)) {
			p->err = text_fail(p->error, p->name, p->line, "device '%.*s' stands in line %u already", (int)len,
			    name, (*end)->line);
			return 0;
		}
	d = calloc(1, sizeof *d);
	if (!d || !(d->name = strndup(name, len))) {
		free(d);
		p->err = -ENOMEM;
		return 0;
	}
	d->line = p->line;
	p->seen_ptpl = false;
	*end = p->device = d;
	return 1;
}

/* "[server]" or "[device NAME]", LEN bytes. */
static int
on_section(struct parser *p, const char *text, size_t len)
{
	const char *end = memchr(text, ']', len);
	CLEANUP_FREE char *whole = strndup(text, len);
	if (!whole) {
		p->err = -ENOMEM;
		return 0;
	}
	if (!end)
		return fail_line(p, "no ] in", whole);
	const char *rest = whole + (end - text) + 1;
	rest += strspn(rest, " \t\r\v\f");
	if (*rest && *rest != ';' && *rest != '#')
		return fail_line(p, "something after the ] of a section:", rest);
	size_t n = (size_t)(end - text) - 1;
	const char *s = text + 1;
	if (n >= INIH_NAME)
		return fail_line(p, "too long:", whole);
	if (n == 6 && !memcmp(s, "server", 6)) {
		p->device = NULL;
		return 1;
	}
	if (n > 7 && !memcmp(s, "device ", 7)) {
		for (size_t i = 7; i < n; i++)
			if (!isalnum((unsigned char)s[i]) && !strchr("._-", s[i]))
				return fail_line(p, "not a device's name:", whole);
		return add_device(p, s + 7, n - 7);
	}
	return fail_line(p, "unknown section", whole);
}

/* libinih's reader: the next line without indentation into BUF; NULL at the end and after an error. */
static char *
next_line(char *buf, int size, void *arg)
{
	struct parser *p = arg;
	if (p->err || !*p->text)
		return NULL;
	p->line++;
	const char *line = p->text, *end = strchrnul(line, '\n');
	p->text = *end ? end + 1 : end;
	if (p->line == 1 && !strncmp(line, "\xef\xbb\xbf", 3))
		line += 3;
	while (line < end && isspace((unsigned char)*line))
		line++;
	size_t len = (size_t)(end - line);
	if (*line == '#' || *line == ';')
		len = 0;
	bool long_name = len && *line != '[' && strcspn(line, "=:\n") >= INIH_NAME;
	if (len + 2 > INIH_LINE || len + 2 > (size_t)size || long_name) {
		p->err = text_fail(p->error, p->name, p->line, "line or name too long: '%.40s...'", line);
		return NULL;
	}
	if (len && *line == '[' && !on_section(p, line, len))
		return NULL;
	memcpy(buf, line, len);
	memcpy(buf + len, "\n", 2);
	return buf;
}

/* ---- as a whole ---- */

static int
set_defaults(struct mds_conf *conf, const char *name)
{
	*conf = (struct mds_conf){ .listen_port = 2049, .lease = 90, .grace = 90, .max_io_time = 30, .keeper = true };
	conf->file = strdup(name);
	conf->listen_host = strdup("0.0.0.0");
	conf->state_dir = strdup("/var/lib/pnfs-mds");
	conf->ctl = strdup("/run/pnfs-mds/ctl");
	conf->exports_file = strdup("/etc/pnfs/exports");
	return conf->file && conf->listen_host && conf->state_dir && conf->ctl && conf->exports_file ? 0 : -ENOMEM;
}

/* What can only be said at the end. */
static int
check_devices(const struct mds_conf *conf, const char *name, char **error)
{
	for (const struct device_conf *d = conf->devices; d; d = d->next)
		if (!d->path && !d->iscsi_url)
			return text_fail(error, name, d->line, "device '%s' has neither path= nor iscsi_url=", d->name);
	return 0;
}

int
conf_parse(struct mds_conf *conf, const char *text, const char *name, char **error)
{
	*error = NULL;
	struct parser p = { .conf = conf, .name = name, .text = text, .error = error };
	int err = set_defaults(conf, name);
	if (!err) {
		int bad = ini_parse_stream(next_line, &p, on_key, &p);
		err = p.err;
		if (!err && bad)
			err = bad < 0 ? -ENOMEM : text_fail(error, name, (unsigned)bad, "neither [section] nor name=value");
	}
	/* RFC 8881 12.5.5: "a server MUST wait one lease period" before it acts; less is the administrator's own decision. */
	if (!err && !conf->recall_timeout)
		conf->recall_timeout = conf->lease;
	if (!err)
		err = check_devices(conf, name, error);
	if (err)
		conf_free(conf);
	return err;
}

int
conf_read(struct mds_conf *conf, const char *file, char **error)
{
	CLEANUP_FREE char *text = NULL;
	*error = NULL;
	*conf = (struct mds_conf){ 0 };
	int err = text_read(file, &text, error);
	return err ? err : conf_parse(conf, text, file, error);
}

void
conf_free(struct mds_conf *conf)
{
	struct device_conf *d;
	while ((d = conf->devices)) {
		conf->devices = d->next;
		free(d->name);
		free(d->path);
		free(d->iscsi_url);
		free(d->initiator_name);
		free(d->designator);
		free(d->fence_command);
		free(d);
	}
	free(conf->file);
	free(conf->listen_host);
	free(conf->state_dir);
	free(conf->ctl);
	free(conf->exports_file);
	free(conf->keytab);
	free(conf->principal);
	*conf = (struct mds_conf){ 0 };
}

struct device_conf *
conf_device(const struct mds_conf *conf, const char *name)
{
	struct device_conf *d = conf->devices;
	while (d && strcmp(d->name, name))
		d = d->next;
	return d;
}
