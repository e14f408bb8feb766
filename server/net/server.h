/* Start and stop the whole server: main.c and tests. */
#ifndef PNFS_SERVER_NET_SERVER_H
#define PNFS_SERVER_NET_SERVER_H

#include <stdbool.h>
#include <stdint.h>

struct mds;

/*
 * Read the configuration, open exports (an EXPORT line each on stdout), listen, start threads.  0, or -errno with *error: -EINVAL is a
 * configuration error (exit 78).
 */
int server_start(const char *conf_file, struct mds **mds, uint16_t *port, char **error);
/* -t: only read and check the configuration and the exports file.  As server_start(). */
int server_check(const char *conf_file, char **error);
/* SIGHUP: read exports again.  On an error the old ones stay, and it is logged. */
void server_reload(struct mds *mds);
/*
 * Before the end: get layouts back, or their holders cut off, while everything is served.  Takes as long as clients take, at most what deadlines and fences
 * do (pnfs-mds(8), SIGTERM); nothing is waited for here.
 */
void server_drain(struct mds *mds);
bool server_drained(struct mds *mds);
/* The end, whatever is still out: that is logged. */
void server_stop(struct mds *mds);

#endif
