/* The exports that are open: opened at start, changed by server_reload().  server.c. */
#ifndef PNFS_SERVER_NET_EXPORTING_H
#define PNFS_SERVER_NET_EXPORTING_H

struct mds;

/* Read the exports file and open what it names; -EINVAL with *error for a configuration error. */
int exporting_start(struct mds *mds, char **error);
/* Read it again.  On an error all stays as it was; *error says why. */
int exporting_reload(struct mds *mds, char **error);
/* A line "EXPORT path=..." for each on stdout (INTERFACES). */
void exporting_print(const struct mds *mds);
void exporting_stop(struct mds *mds);

#endif
