/* The exports that are open: opened at start, changed by server_reload().  server.c. */
#ifndef PNFS_SERVER_NET_EXPORTING_H
#define PNFS_SERVER_NET_EXPORTING_H

#include <stdbool.h>

struct export;
struct mds;

/* Read the exports file and open what it names; -EINVAL with *error for a configuration error. */
int exporting_start(struct mds *mds, char **error);
/*
 * Read it again.  On an error all stays as it was; *error says why.  An export that is the same but for whom it admits and whether it grants layouts goes
 * on; one that goes (or becomes another) has its layouts recalled first, which takes up to twice recall_timeout, and is served until then.
 */
int exporting_reload(struct mds *mds, char **error);
/* FN for each export that is open; LEAVING: it goes when its layouts are back.  May wait for a device that is being opened. */
void exporting_each(struct mds *mds, void (*fn)(const struct export *export, bool leaving, void *arg), void *arg);
/* A line "EXPORT path=..." for each on stdout (INTERFACES). */
void exporting_print(const struct mds *mds);
/* About once a second, on a loop: have a worker look after exports that are going, and devices that were not to be had. */
void exporting_tick(struct mds *mds);
/* The server is going to stop: no tick comes any more; wait for what is under way.  Before layouts_free(). */
void exporting_settle(struct mds *mds);
void exporting_stop(struct mds *mds);

#endif
