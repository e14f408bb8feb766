/* Shared by the files of server/ctl only: what can be asked (ctl.c has the table). */
#ifndef PNFS_SERVER_CTL_CTL_PRIVATE_H
#define PNFS_SERVER_CTL_CTL_PRIVATE_H

#include <jansson.h>
#include <stdarg.h>

struct mds;

/* The reply to REQUEST, a new reference; NULL without memory.  On ctl's thread, no lock held. */
typedef json_t *ctl_fn(struct mds *mds, const json_t *request);

json_t *ctl_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* ctl_show.c */
ctl_fn ctl_status, ctl_exports, ctl_clients, ctl_layouts, ctl_devices, ctl_recalls, ctl_fences;
/* ctl_act.c: "id" is a client's, as ctl_clients tells it */
ctl_fn ctl_evict, ctl_retry, ctl_release;

#endif
