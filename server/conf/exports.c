/*
 * exports(5): the table, its lines, matching.  Called at start and at SIGHUP by net/;
 * exports_match() whenever a filehandle becomes current, so it never waits.
 *
 * Differences from exports(5), all told by the manual page:
 *   - insecure is the default: NFSv4.1 clients need no reserved port (secure asks for one);
 *   - a client without a name, "host (rw)", and a path without clients are errors rather than "everyone";
 *   - sync, async, wdelay, subtree_check, hide and their opposites are accepted and change nothing:
 *     data is stable when the protocol says so, and handles are checked by their MAC;
 *   - crossmnt and nohide are errors: mounts below an export want lines of their own;
 *   - netgroups are errors; host names are resolved once, when the file is read; patterns
 *     are held against the names in /etc/hosts, then too, never against reverse DNS.
 */
#include "server/conf/exports.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "include/cleanup.h"
#include "server/conf/exports_private.h"

#define WORD_MAX_LEN 4095

struct parser {
	struct exports *exports;
	const char *text, *name;
	unsigned line;
	char **error;
	char word[WORD_MAX_LEN + 1];
};

/* ---- words ---- */

enum word { WORD, WORD_EOL, WORD_EOF, WORD_BAD };

static bool
is_octal(char c)
{
	return c >= '0' && c <= '7';
}

/* \ooo: its value, or -1. */
static int
octal(const char *p)
{
	if (p[0] != '\\' || p[1] < '0' || p[1] > '3' || !is_octal(p[2]) || !is_octal(p[3]))
		return -1;
	return (p[1] - '0') << 6 | (p[2] - '0') << 3 | (p[3] - '0');
}

static bool
skip_continuation(struct parser *p)
{
	size_t n = p->text[0] != '\\' ? 0 : p->text[1] == '\n' ? 2 : p->text[1] == '\r' && p->text[2] == '\n' ? 3 : 0;
	p->text += n;
	p->line += n != 0;
	return n != 0;
}

static void
skip_blanks(struct parser *p)
{
	while (*p->text == ' ' || *p->text == '\t' || (p->text[0] == '\r' && p->text[1] == '\n') || skip_continuation(p))
		if (*p->text == ' ' || *p->text == '\t' || *p->text == '\r')
			p->text++;
	if (*p->text == '#')
		p->text = strchrnul(p->text, '\n');
}

/* The next word of the logical line into p->word, quotes and \ooo resolved. */
static enum word
next_word(struct parser *p)
{
	skip_blanks(p);
	if (!*p->text)
		return WORD_EOF;
	if (*p->text == '\n') {
		p->text++;
		p->line++;
		return WORD_EOL;
	}
	bool quoted = false;
	size_t n = 0;
	p->word[0] = 0;
	while (*p->text && *p->text != '\n' && *p->text != '\r' && (quoted || !strchr(" \t", *p->text))) {
		int c = octal(p->text);
		if (c < 0 && skip_continuation(p))
			continue;
		if (c < 0 && *p->text == '"') {
			quoted = !quoted;
			p->text++;
			continue;
		}
		p->text += c < 0 ? 1 : 4;
		if (!c || n == WORD_MAX_LEN) {
			text_fail(p->error, p->name, p->line, c ? "word too long: '%.40s...'" : "a NUL in '%.40s'", p->word);
			return WORD_BAD;
		}
		p->word[n++] = c < 0 ? p->text[-1] : (char)c;
		p->word[n] = 0;
	}
	if (*p->text == '\r')
		p->text++;
	p->word[n] = 0;
	if (!quoted)
		return WORD;
	text_fail(p->error, p->name, p->line, "no closing quote after '%s'", p->word);
	return WORD_BAD;
}

/* ---- lines ---- */

void
exports_free(struct exports *exports)
{
	if (!exports)
		return;
	struct export_line *line;
	while ((line = exports->lines)) {
		exports->lines = line->next;
		exports_line_free(line);
	}
	free(exports);
}

/* Absolute, without . and .., in place without doubled and trailing slashes. */
static bool
path_clean(char *path)
{
	char *out = path;
	if (*path != '/')
		return false;
	for (char *p = path; *p;) {
		while (*p == '/')
			p++;
		size_t n = strcspn(p, "/");
		if ((n == 1 && *p == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
			return false;
		if (!n)
			break;
		*out++ = '/';
		memmove(out, p, n);
		out += n;
		p += n;
	}
	if (out == path)
		*out++ = '/';
	*out = 0;
	return true;
}

/* The line of the path in p->word; a path given again goes on with its first line. */
static int
line_get(struct parser *p, struct line_private **linep)
{
	struct export_line **end = &p->exports->lines;
	if (!path_clean(p->word))
		return text_fail(p->error, p->name, p->line, "not an absolute path without . and ..: '%s'", p->word);
	for (; *end; end = &(*end)->next)
		if (!strcmp((*end)->path, p->word)) {
			*linep = (struct line_private *)*end;
			return 0;
		}
	struct line_private *line = calloc(1, sizeof *line);
	if (!line || !(line->line.path = strdup(p->word))) {
		free(line);
		return -ENOMEM;
	}
	line->line.line = p->line;
	line->line.pnfs = true;
	line->line.layout_type = 3;
	*end = &line->line;
	*linep = line;
	return 0;
}

static int
options(struct parser *p, struct line_private *line, struct export_client *client, char *list)
{
	char *save = NULL;
	int err = 0;
	for (char *o = strtok_r(list, ",", &save); o && !err; o = strtok_r(NULL, ",", &save))
		err = exports_option(line, client, o, p->name, p->line, p->error);
	return err;
}

/* "spec" or "spec(options)". */
static int
client_word(struct parser *p, struct line_private *line, const struct export_client *defaults)
{
	char *open = strchr(p->word, '('), *list = NULL;
	size_t len = strlen(p->word);
	if (open) {
		if (p->word[len - 1] != ')' || strchr(open + 1, '('))
			return text_fail(p->error, p->name, p->line, "parentheses do not match: '%s'", p->word);
		p->word[len - 1] = 0;
		*open = 0;
		list = open + 1;
	}
	if (!*p->word && !list)
		return text_fail(p->error, p->name, p->line, "an empty word among the clients of '%s'", line->line.path);
	if (!*p->word)
		return text_fail(p->error, p->name, p->line,
		    "no client before '(%s)': write *(%s) for everyone, and no blank after a client", list, list);
	struct export_client **end = &line->line.clients;
	for (; *end; end = &(*end)->next)
		if (!strcmp((*end)->spec, p->word))
			return text_fail(p->error, p->name, p->line, "client given twice: '%s'", p->word);
	struct client_private *client = calloc(1, sizeof *client);
	if (!client)
		return -ENOMEM;
	client->client = *defaults;
	client->client.spec = strdup(p->word);
	const char *wrong = client->client.spec ? client_spec_parse(client) : "no memory";
	int err = wrong ? text_fail(p->error, p->name, p->line, "'%s': %s", p->word, wrong) : 0;
	if (!err && list)
		err = options(p, line, &client->client, list);
	if (err)
		exports_client_free(&client->client);
	else
		*end = &client->client;
	return err;
}

/* What follows the path. */
static int
rest_of_line(struct parser *p, struct line_private *line, enum word *kind)
{
	struct export_client defaults = { .root_squash = true, .insecure = true, .anonuid = 65534, .anongid = 65534,
		.sec = EXPORT_SEC_SYS, .nsec = 1 };
	unsigned number = p->line, clients = 0;
	int err = 0;
	while (!err && (*kind = next_word(p)) == WORD) {
		if (*p->word == '-' && !clients) {
			err = options(p, line, &defaults, p->word + 1);
			continue;
		}
		clients++;
		err = client_word(p, line, &defaults);
	}
	if (!err && *kind == WORD_BAD)
		err = -EINVAL;
	if (!err && !clients)
		err = text_fail(p->error, p->name, number, "no client for '%s': write *(ro) for everyone", line->line.path);
	return err;
}

static int
parse(struct parser *p)
{
	enum word kind;
	struct line_private *line = NULL;
	while ((kind = next_word(p)) != WORD_EOF) {
		if (kind == WORD_EOL)
			continue;
		int err = kind == WORD_BAD ? -EINVAL : line_get(p, &line);
		if (!err)
			err = rest_of_line(p, line, &kind);
		if (err)
			return err;
		if (kind == WORD_EOF)
			break;
	}
	return 0;
}

/* Only one can be the root. */
static int
check_roots(const struct exports *exports, const char *name, char **error)
{
	const struct export_line *root = NULL;
	for (const struct export_line *l = exports->lines; l; l = l->next) {
		if (!l->fsid_root)
			continue;
		if (root)
			return text_fail(error, name, l->line, "fsid=0 for '%s' and for '%s' in line %u", l->path,
			    root->path, root->line);
		root = l;
	}
	return 0;
}

int
exports_parse(struct exports **exportsp, const char *text, const char *name, char **error)
{
	*error = NULL;
	CLEANUP_FREE struct parser *p = calloc(1, sizeof *p);
	struct exports *exports = calloc(1, sizeof *exports);
	if (!p || !exports) {
		free(exports);
		return -ENOMEM;
	}
	p->exports = exports;
	p->text = text;
	p->name = name;
	p->line = 1;
	p->error = error;
	int err = parse(p);
	if (!err)
		err = check_roots(exports, name, error);
	if (err)
		exports_free(exports);
	else
		*exportsp = exports;
	return err;
}

int
exports_read(struct exports **exports, const char *file, char **error)
{
	CLEANUP_FREE char *text = NULL;
	*error = NULL;
	int err = text_read(file, &text, error);
	if (!err)
		err = exports_parse(exports, text, file, error);
	if (!err)
		exports_resolve(*exports, file);
	return err;
}

/* ---- matching ---- */

static bool
net_has(const struct client_net *net, const struct in6_addr *addr)
{
	unsigned bytes = net->bits / 8, rest = net->bits % 8;
	if (memcmp(net->addr.s6_addr, addr->s6_addr, bytes))
		return false;
	return !rest || (net->addr.s6_addr[bytes] ^ addr->s6_addr[bytes]) >> (8 - rest) == 0;
}

static bool
client_has(const struct client_private *client, const struct in6_addr *addr)
{
	if (client->everyone)
		return true;
	for (unsigned i = 0; addr && i < client->nnets; i++)
		if (net_has(&client->nets[i], addr))
			return true;
	return false;
}

const struct export_client *
exports_match(const struct export_line *line, const struct sockaddr *addr)
{
	struct in6_addr in6;
	const struct in6_addr *a = client_addr_of(addr, &in6) ? &in6 : NULL;
	/* A reload gives the line of an export that goes on other clients. */
	const struct export_client *clients = __atomic_load_n(&line->clients, __ATOMIC_ACQUIRE);
	for (int kind = CLIENT_HOST; kind <= CLIENT_WILDCARD; kind++)
		for (const struct export_client *c = clients; c; c = c->next)
			if ((int)client_priv(c)->kind == kind && client_has(client_priv(c), a))
				return c;
	return NULL;
}
