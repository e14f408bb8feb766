/* Mount URLs and paths.  Pure. */
#ifndef PNFS_CLIENT_URL_H
#define PNFS_CLIENT_URL_H

#include <stdint.h>

struct url {
	char host[256];			/* without the brackets of an IPv6 literal */
	char port[6];
	char path[1024];		/* starts with '/'; percent escapes decoded */
	char sec[8];			/* of ?sec=, or empty */
};

/* "nfs://HOST[:PORT]/path[?sec=FLAVOR]"; what FLAVOR is is not looked at.  0, or -EINVAL with *why set to what is wrong. */
int url_parse(const char *text, struct url *url, const char **why);

#define PATH_MAX_COMPONENTS 64u

/* A path cut into names: those of BASE and of PATH ("." left out, ".." taken back; it does not lead above the root). */
struct path {
	unsigned n;
	const char *name[PATH_MAX_COMPONENTS];
	char buf[4096];
};

/* PATH beginning with '/' starts at the server's root, others at BASE.  0, -ENAMETOOLONG. */
int path_parse(struct path *out, const char *base, const char *path);

#endif
