/*
 * The administrator's socket (Unix, stream): one request as a line of JSON, one reply as JSON, then the server closes.  pnfsctl is its user.
 *
 *	{"do": "clients"}		-> {"clients": [{"id": ...}, ...]}
 *	{"do": "evict", "id": "..."}	-> {"ok": true}
 *	what cannot be done		-> {"error": "..."}
 *
 * Only root and the user the server runs as are heard.
 */
#ifndef PNFS_SERVER_CTL_CTL_H
#define PNFS_SERVER_CTL_CTL_H

#include <jansson.h>
#include <stddef.h>

struct mds;

/* Bytes of a request. */
#define CTL_REQUEST_MAX 4096u

/*
 * Listen on mds->conf.ctl, with a thread of its own.  -EADDRINUSE: another server listens there; a socket that nobody listens on any more is replaced.
 */
int ctl_start(struct mds *mds);
void ctl_stop(struct mds *mds);

/* The reply to LEN bytes of a request: a new reference, NULL without memory. */
json_t *ctl_answer(struct mds *mds, const char *request, size_t len);

#endif
