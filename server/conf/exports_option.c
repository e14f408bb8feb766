/* The options of exports(5) and our own.  Called by exports.c for each word between parentheses. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "server/conf/exports_private.h"

struct where {
	struct line_private *line;
	struct export_client *client;
	const char *option;		/* as written */
	const char *name;
	unsigned number;
	char **error;
};

static int
wrong(const struct where *w, const char *why)
{
	return text_fail(w->error, w->name, w->number, "'%s': %s", w->option, why);
}

/* ---- of a client ---- */

static int
set_id(const struct where *w, const char *value, uint32_t *id)
{
	uint64_t v;
	if (!text_number(value, 0, UINT32_MAX - 1, &v))
		return wrong(w, "not a number of 0 to 4294967294");
	*id = (uint32_t)v;
	return 0;
}

/* sec=FLAVOR:FLAVOR...  exports(5) lets options depend on the flavor, by a sec= before each group: here there is one group. */
static int
set_sec(const struct where *w, const char *value)
{
	static const char *const names[] = { "sys", "krb5", "krb5i", "krb5p" };
	struct export_client *c = w->client;
	if (c->sec_set)
		return wrong(w, "sec= given twice: options are the same for all flavors");
	c->sec = c->nsec = 0;
	c->sec_set = true;
	for (const char *end; ; value = end + 1) {
		end = strchrnul(value, ':');
		size_t len = (size_t)(end - value);
		uint8_t service = 0;
		while (service < 4 && (strlen(names[service]) != len || memcmp(names[service], value, len)))
			service++;
		if (service == 4)
			return wrong(w, "sec is a list of sys, krb5, krb5i, krb5p with : between them");
#ifndef HAVE_GSS
		if (service)
			return wrong(w, "built without GSS-API: only sec=sys is served");
#endif
		if (c->sec & EXPORT_SEC_SYS << service)
			return wrong(w, "a flavor given twice");
		c->sec |= EXPORT_SEC_SYS << service;
		c->sec_list[c->nsec++] = service;
		if (!*end)
			return 0;
	}
}

/* Words without a value; true if WORD was one. */
static bool
client_flag(struct export_client *c, const char *word)
{
	static const char *const without_effect[] = { "sync", "async", "wdelay", "no_wdelay", "subtree_check",
		"no_subtree_check", "hide", "auth_nlm", "no_auth_nlm", "secure_locks", "insecure_locks", "acl", "no_acl" };
	struct { const char *word; bool *flag, value; } flags[] = {
		{ "rw", &c->rw, true }, { "ro", &c->rw, false },
		{ "root_squash", &c->root_squash, true }, { "no_root_squash", &c->root_squash, false },
		{ "all_squash", &c->all_squash, true }, { "no_all_squash", &c->all_squash, false },
		{ "insecure", &c->insecure, true }, { "secure", &c->insecure, false },
	};
	for (unsigned i = 0; i < sizeof flags / sizeof *flags; i++)
		if (!strcmp(word, flags[i].word)) {
			*flags[i].flag = flags[i].value;
			return true;
		}
	for (unsigned i = 0; i < sizeof without_effect / sizeof *without_effect; i++)
		if (!strcmp(word, without_effect[i]))
			return true;
	return false;
}

/* ---- of the path: the same for all its clients ---- */

/* True if the option is new for the path; false with *err set if it says something else than before. */
static bool
line_first(const struct where *w, unsigned bit, bool same, int *err)
{
	bool before = w->line->set & bit;
	w->line->set |= bit;
	*err = before && !same ? wrong(w, "differs from what was said for this path before") : 0;
	return !before;
}

static bool
equal(const char *a, const char *b)
{
	return a ? b && !strcmp(a, b) : !b;
}

static int
set_word(const struct where *w, unsigned bit, char **field, const char *value)
{
	int err;
	if (line_first(w, bit, equal(*field, value), &err) && !(*field = strdup(value)))
		err = -ENOMEM;
	return err;
}

/* A number of 32 bits or 32 hexadecimal digits with dashes. */
static bool
is_fsid(const char *value)
{
	uint64_t v;
	if (text_number(value, 1, UINT32_MAX, &v))
		return true;
	unsigned digits = 0;
	for (; *value; value++) {
		if (strchr("0123456789abcdefABCDEF", *value))
			digits++;
		else if (*value != '-' && *value != ':')
			return false;
	}
	return digits == 32;
}

static int
set_fsid(const struct where *w, const char *value)
{
	struct export_line *line = &w->line->line;
	int err;
	if (!strcmp(value, "0") || !strcmp(value, "root")) {
		if (line_first(w, LINE_FSID, line->fsid_root, &err))
			line->fsid_root = true;
		return err;
	}
	if (!is_fsid(value))
		return wrong(w, "fsid is root, a number or a UUID");
	return set_word(w, LINE_FSID, &line->fsid, value);
}

static int
set_layouts(const struct where *w, const char *value)
{
	bool scsi = !strcmp(value, "scsi");
	int err;
	if (!scsi && strcmp(value, "block"))
		return wrong(w, "layouts is block or scsi");
	uint32_t type = scsi ? 5 : 3;
	if (line_first(w, LINE_LAYOUTS, w->line->line.layout_type == type, &err))
		w->line->line.layout_type = type;
	return err;
}

/* WORD or no_WORD. */
static int
set_switch(const struct where *w, unsigned bit, bool *field, bool value)
{
	int err;
	if (line_first(w, bit, *field == value, &err))
		*field = value;
	return err;
}

/* ---- all ---- */

/* NAME=VALUE. */
static int
valued(const struct where *w, const char *key, const char *value)
{
	if (!strcmp(key, "anonuid"))
		return set_id(w, value, &w->client->anonuid);
	if (!strcmp(key, "anongid"))
		return set_id(w, value, &w->client->anongid);
	if (!strcmp(key, "sec"))
		return set_sec(w, value);
	if (!*value)
		return wrong(w, "no value");
	if (!strcmp(key, "fsid"))
		return set_fsid(w, value);
	if (!strcmp(key, "layouts"))
		return set_layouts(w, value);
	if (!strcmp(key, "device"))
		return set_word(w, LINE_DEVICE, &w->line->line.device, value);
	if (strcmp(key, "provider"))
		return wrong(w, "unknown option");
	if (strcmp(value, "kernel") && strcmp(value, "plain"))
		return wrong(w, "provider is kernel or plain");
	return set_word(w, LINE_PROVIDER, &w->line->line.provider, value);
}

int
exports_option(struct line_private *line, struct export_client *client, char *option, const char *name, unsigned number,
    char **error)
{
	struct where w = { line, client, option, name, number, error };
	if (client_flag(client, option))
		return 0;
	if (!strcmp(option, "pnfs") || !strcmp(option, "no_pnfs"))
		return set_switch(&w, LINE_PNFS, &line->line.pnfs, *option == 'p');
	if (!strcmp(option, "delegations") || !strcmp(option, "no_delegations"))
		return set_switch(&w, LINE_DELEGATIONS, &line->line.delegations, *option == 'd');
	if (!strcmp(option, "crossmnt") || !strcmp(option, "nohide"))
		return wrong(&w, "mounts below an export are not crossed: export them by lines of their own");
	const char *eq = strchr(option, '=');
	char key[16];
	if (!eq || (size_t)(eq - option) >= sizeof key)
		return wrong(&w, "unknown option");
	memcpy(key, option, (size_t)(eq - option));
	key[eq - option] = 0;
	return valued(&w, key, eq + 1);
}
