/* What the files of the exports table share. */
#ifndef PNFS_SERVER_CONF_EXPORTS_PRIVATE_H
#define PNFS_SERVER_CONF_EXPORTS_PRIVATE_H

#include <netinet/in.h>

#include "server/conf/exports.h"
#include "server/conf/text.h"

/* In the order in which they are tried. */
enum client_kind { CLIENT_HOST, CLIENT_SUBNET, CLIENT_WILDCARD };

/* A network, or one host with 128 bits; IPv4 is mapped into IPv6 (::ffff:a.b.c.d). */
struct client_net {
	struct in6_addr addr;
	unsigned bits;
};

struct client_private {
	struct export_client client;	/* first */
	enum client_kind kind;
	bool everyone;			/* "*" */
	bool name;			/* a host name or pattern: nets come from exports_resolve() */
	unsigned nnets;
	struct client_net *nets;
};

enum { LINE_FSID = 1, LINE_PNFS = 2, LINE_LAYOUTS = 4, LINE_PROVIDER = 8, LINE_DEVICE = 16, LINE_DELEGATIONS = 32 };

struct line_private {
	struct export_line line;	/* first */
	unsigned set;			/* LINE_ */
};

static inline struct client_private *
client_priv(const struct export_client *client)
{
	return (struct client_private *)(uintptr_t)client;
}

/* exports_line.c */
void exports_client_free(struct export_client *client);

/* exports_client.c */

/* Understand client->spec; what is wrong with it as a text, or NULL (-ENOMEM comes as text too). */
const char *client_spec_parse(struct client_private *client);
bool client_net_add(struct client_private *client, const struct in6_addr *addr, unsigned bits);
/* False for what has no Internet address. */
bool client_addr_of(const struct sockaddr *addr, struct in6_addr *in6);
/* Names to addresses: hosts by the resolver, all at once and for at most EXPORTS_RESOLVE_MS; patterns by /etc/hosts. */
#define EXPORTS_RESOLVE_MS 3000
void exports_resolve(struct exports *exports, const char *file);

/* exports_option.c */

/* One option for CLIENT of LINE.  -EINVAL with *error. */
int exports_option(struct line_private *line, struct export_client *client, char *option, const char *name,
    unsigned number, char **error);

#endif
