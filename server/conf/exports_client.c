/*
 * Who a line of exports is for: addresses, networks, host names, patterns.  Called by
 * exports.c.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fnmatch.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "include/cleanup.h"
#include "include/log.h"
#include "server/conf/exports_private.h"

/* Names in a file that are resolved; more are never asked for at once. */
#define NAMES_MAX 1024

static void
map_v4(struct in6_addr *in6, const struct in_addr *in)
{
	memset(in6, 0, sizeof *in6);
	in6->s6_addr[10] = in6->s6_addr[11] = 0xff;
	memcpy(in6->s6_addr + 12, in, 4);
}

bool
client_addr_of(const struct sockaddr *addr, struct in6_addr *in6)
{
	if (addr->sa_family == AF_INET) {
		struct sockaddr_in sin;
		memcpy(&sin, addr, sizeof sin);
		map_v4(in6, &sin.sin_addr);
		return true;
	}
	if (addr->sa_family != AF_INET6)
		return false;
	struct sockaddr_in6 sin6;
	memcpy(&sin6, addr, sizeof sin6);
	*in6 = sin6.sin6_addr;
	return true;
}

bool
client_net_add(struct client_private *client, const struct in6_addr *addr, unsigned bits)
{
	struct client_net *nets = realloc(client->nets, (client->nnets + 1) * sizeof *nets);
	if (!nets)
		return false;
	client->nets = nets;
	nets[client->nnets++] = (struct client_net){ *addr, bits };
	return true;
}

/* An address; *width its bits. */
static bool
addr_parse(const char *text, struct in6_addr *in6, unsigned *width)
{
	struct in_addr in;
	*width = 128;
	if (inet_pton(AF_INET6, text, in6) == 1)
		return true;
	*width = 32;
	if (inet_pton(AF_INET, text, &in) != 1)
		return false;
	map_v4(in6, &in);
	return true;
}

/* "24" or "255.255.255.0"; -1 if neither. */
static int
prefix_parse(const char *text, unsigned width)
{
	uint64_t bits;
	struct in_addr mask;
	if (text_number(text, 0, width, &bits))
		return (int)bits;
	if (width != 32 || inet_pton(AF_INET, text, &mask) != 1)
		return -1;
	uint32_t m = ntohl(mask.s_addr), rest = ~m;
	return rest & (rest + 1) ? -1 : __builtin_popcount(m);
}

static const char *
network_parse(struct client_private *client, const char *spec, const char *slash)
{
	char addr[64];
	struct in6_addr in6;
	unsigned width;
	if ((size_t)(slash - spec) >= sizeof addr)
		return "not a network";
	memcpy(addr, spec, (size_t)(slash - spec));
	addr[slash - spec] = 0;
	if (!addr_parse(addr, &in6, &width))
		return strncmp(spec, "gss/", 4) ? "not ADDRESS/BITS or ADDRESS/NETMASK" : "write *(sec=krb5), krb5i or krb5p instead";
	int bits = prefix_parse(slash + 1, width);
	if (bits < 0)
		return "not a number of bits or a netmask";
	client->kind = CLIENT_SUBNET;
	return client_net_add(client, &in6, (unsigned)bits + 128 - width) ? NULL : "no memory";
}

const char *
client_spec_parse(struct client_private *client)
{
	const char *spec = client->client.spec, *slash = strchr(spec, '/');
	struct in6_addr in6;
	unsigned width;
	if (*spec == '@')
		return "netgroups are not supported";
	if (slash)
		return network_parse(client, spec, slash);
	if (addr_parse(spec, &in6, &width)) {
		client->kind = CLIENT_HOST;
		return client_net_add(client, &in6, 128) ? NULL : "no memory";
	}
	client->everyone = !strcmp(spec, "*");
	client->name = !client->everyone;
	bool pattern = strpbrk(spec, "*?[");
	client->kind = pattern ? CLIENT_WILDCARD : CLIENT_HOST;
	for (const char *c = spec; *c; c++)
		if (!isalnum((unsigned char)*c) && !strchr("._-*?[]!", *c))
			return "neither an address nor a host name";
	return strlen(spec) > 255 ? "host name too long" : NULL;
}

/* ---- names ---- */

/* One line of /etc/hosts against all patterns. */
static void
hosts_line(struct exports *exports, char *text)
{
	char *save = NULL, *word = strtok_r(text, " \t\r\n", &save);
	struct in6_addr in6;
	unsigned width;
	if (!word || *word == '#' || !addr_parse(word, &in6, &width))
		return;
	while ((word = strtok_r(NULL, " \t\r\n", &save)) && *word != '#')
		for (struct export_line *l = exports->lines; l; l = l->next)
			for (struct export_client *c = l->clients; c; c = c->next) {
				struct client_private *p = client_priv(c);
				if (p->name && p->kind == CLIENT_WILDCARD && !fnmatch(c->spec, word, FNM_CASEFOLD))
					client_net_add(p, &in6, 128);
			}
}

static void
resolve_patterns(struct exports *exports)
{
	char line[1024];
	FILE *f = fopen("/etc/hosts", "re");
	if (!f)
		return;
	while (fgets(line, sizeof line, f))
		hosts_line(exports, line);
	fclose(f);
}

/* A request to the resolver and whom it is for; freed only when it is over. */
struct lookup {
	struct gaicb cb;
	struct addrinfo hints;
	struct client_private *client;
	char name[256];
};

static void
take_answer(struct lookup *l, const char *file)
{
	int err = gai_error(&l->cb);
	if (err) {
		log_warn("%s: host '%s' %s: nobody matches it until the file is read again", file, l->name,
		    err == EAI_INPROGRESS ? "is not resolved in time" : gai_strerror(err));
		return;
	}
	struct in6_addr in6;
	for (struct addrinfo *ai = l->cb.ar_result; ai; ai = ai->ai_next)
		if (client_addr_of(ai->ai_addr, &in6))
			client_net_add(l->client, &in6, 128);
	freeaddrinfo(l->cb.ar_result);
}

/* All at once; one that has no answer in time goes on by itself and what it holds stays allocated. */
static void
lookup_all(struct lookup **all, int n, const char *file)
{
	struct gaicb *list[NAMES_MAX];
	for (int i = 0; i < n; i++)
		list[i] = &all[i]->cb;
	struct timespec start, now;
	clock_gettime(CLOCK_MONOTONIC, &start);
	int left = n && getaddrinfo_a(GAI_NOWAIT, list, n, NULL) == 0 ? EXPORTS_RESOLVE_MS : 0;
	while (left > 0) {
		struct timespec wait = { left / 1000, left % 1000 * 1000000l };
		if (gai_suspend((const struct gaicb *const *)list, n, &wait) == EAI_ALLDONE)
			break;
		clock_gettime(CLOCK_MONOTONIC, &now);
		left = EXPORTS_RESOLVE_MS - (int)((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000);
		for (int i = 0; i < n; i++)
			if (list[i] && gai_error(list[i]) != EAI_INPROGRESS)
				list[i] = NULL;
	}
	for (int i = 0; i < n; i++) {
		take_answer(all[i], file);
		if (gai_error(&all[i]->cb) != EAI_INPROGRESS)
			free(all[i]);
		else if (gai_cancel(&all[i]->cb) == EAI_CANCELED)
			free(all[i]);
	}
}

void
exports_resolve(struct exports *exports, const char *file)
{
	CLEANUP_FREE struct lookup **all = calloc(NAMES_MAX, sizeof *all);
	int n = 0;
	resolve_patterns(exports);
	for (struct export_line *l = exports->lines; l && all; l = l->next)
		for (struct export_client *c = l->clients; c; c = c->next) {
			struct client_private *p = client_priv(c);
			if (!p->name || p->kind != CLIENT_HOST || n == NAMES_MAX || !(all[n] = calloc(1, sizeof **all)))
				continue;
			struct lookup *k = all[n++];
			snprintf(k->name, sizeof k->name, "%s", c->spec);
			k->client = p;
			k->hints = (struct addrinfo){ .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
			k->cb.ar_name = k->name;
			k->cb.ar_request = &k->hints;
		}
	lookup_all(all, n, file);
}
