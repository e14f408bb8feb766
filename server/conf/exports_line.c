/*
 * Lines of exports that stand alone: an export keeps its own, since tables come and go with SIGHUP.
 * Called by exports.c and export/export.c.
 */
#include <stdlib.h>
#include <string.h>

#include "server/conf/exports_private.h"

void
exports_client_free(struct export_client *client)
{
	if (!client)
		return;
	free(client_priv(client)->nets);
	free(client->spec);
	free(client);
}

void
exports_line_free(struct export_line *line)
{
	if (!line)
		return;
	struct export_client *client;
	while ((client = line->clients)) {
		line->clients = client->next;
		exports_client_free(client);
	}
	free(line->path);
	free(line->fsid);
	free(line->provider);
	free(line->device);
	free(line);
}

static bool
text_copy(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return !from || *to;
}

/* With what exports_match() needs: addresses as they were resolved. */
static struct export_client *
client_copy(const struct export_client *from)
{
	const struct client_private *old = client_priv(from);
	struct client_private *client = malloc(sizeof *client);
	if (!client)
		return NULL;
	*client = *old;
	client->client.next = NULL;
	client->nets = NULL;
	client->nnets = 0;
	bool ok = text_copy(&client->client.spec, from->spec);
	for (unsigned i = 0; ok && i < old->nnets; i++)
		ok = client_net_add(client, &old->nets[i].addr, old->nets[i].bits);
	if (!ok) {
		exports_client_free(&client->client);
		return NULL;
	}
	return &client->client;
}

struct export_line *
exports_line_copy(const struct export_line *from)
{
	struct line_private *copy = calloc(1, sizeof *copy);
	if (!copy)
		return NULL;
	struct export_line *line = &copy->line;
	*line = *from;
	line->next = NULL;
	line->clients = NULL;
	bool ok = text_copy(&line->path, from->path);
	ok &= text_copy(&line->fsid, from->fsid);
	ok &= text_copy(&line->provider, from->provider);
	ok &= text_copy(&line->device, from->device);
	struct export_client **tail = &line->clients;
	for (const struct export_client *c = from->clients; ok && c; c = c->next) {
		*tail = client_copy(c);
		ok = *tail != NULL;
		if (ok)
			tail = &(*tail)->next;
	}
	if (!ok) {
		exports_line_free(line);
		return NULL;
	}
	return line;
}
