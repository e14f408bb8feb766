/* Leases for delegations; see deleg_lease.h. */
#include "server/export/deleg_lease.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "include/log.h"
#include "server/conf/exports.h"
#include "server/export/plain.h"
#include "server/fs/fs.h"

void (*export_on_deleg_break)(struct mds *mds, struct inode *inode);

void
deleg_leases_start(struct export *export)
{
	/* The one probed counts: its layouts may come later, with its device. */
	if (export->provider == &export_kernel || export->readonly)
		return;
	int err = plain_leases_start(export->mds);
	if (err)
		log_info("%s: file leases cannot be had here (%s): no delegations", export->line->path, strerror(-err));
	export->delegs = !err;
}

void
deleg_leases_stop(struct export *export)
{
	if (export->delegs)
		plain_leases_stop();
	export->delegs = false;
}

bool
deleg_export_gives(const struct export *export)
{
	/* provider: found when the export is tried again, perhaps. */
	return export && export->delegs && __atomic_load_n(&export->line->delegations, __ATOMIC_RELAXED) &&
	    export->provider != &export_kernel;
}

int
deleg_lease_take(struct inode *inode, bool nowait, struct layout_lease **leasep)
{
	int fd = nowait ? inode_data_fd_nowait(inode) : inode_data_fd(inode);
	if (fd < 0)
		return fd == -ETXTBSY ? -EAGAIN : fd;
	struct plain_lease *pl = calloc(1, sizeof *pl);
	if (!pl)
		return -ENOMEM;
	pl->kind = PLAIN_DELEGS;
	pl->fd = fd;
	atomic_init(&pl->refs, 1);
	pl->lease.inode = inode_get(inode);
	int err = plain_leases_take(pl);
	/* Left by a former life, and being broken: somebody waits for it. */
	if (!err && pl->lease.broken) {
		plain_leases_drop(pl);
		return -EAGAIN;
	}
	if (err) {
		inode_put(inode);
		free(pl);
		return err;
	}
	*leasep = &pl->lease;
	return 0;
}

void
deleg_lease_drop(struct layout_lease *lease)
{
	plain_leases_drop(plain_lease(lease));
}
