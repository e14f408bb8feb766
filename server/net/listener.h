/* The listening socket and the connections it brought: accepts on the first loop, hands them round to all.  server.c. */
#ifndef PNFS_SERVER_NET_LISTENER_H
#define PNFS_SERVER_NET_LISTENER_H

#include <stdbool.h>
#include <stdint.h>

struct conn;
struct mds;

/* Connections at once; more are closed as they come. */
#define LISTENER_MAX_CONNS 8192

/* Bind to HOST ("0.0.0.0", "::", a name) and PORT (0: any, *bound tells).  Loops exist but need not run.  0 or -errno. */
int listener_new(struct mds *mds, const char *host, uint16_t port, uint16_t *bound);
/* Begin to accept. */
void listener_start(struct mds *mds);
/* No more connections; those there are closed.  Loops run. */
void listener_stop(struct mds *mds);
void listener_free(struct mds *mds);

/* conn.c: a connection is there, is gone.  False: too many. */
bool listener_add(struct mds *mds, struct conn *conn);
void listener_remove(struct mds *mds, struct conn *conn);

#endif
