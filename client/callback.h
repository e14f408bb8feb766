/* What callbacks do to the files of a mount (RFC 8881 20); hooks->callback of the session engine. */
#ifndef PNFS_CLIENT_CALLBACK_H
#define PNFS_CLIENT_CALLBACK_H

#include "client/mds.h"

nfsstat4 mount_callback(struct mds *mds, const nfs_cb_argop4 *arg, nfs_cb_resop4 *res);

#endif
