/* Directories: see dir.h. */
#include <errno.h>

#include "proto/nfs4/status.h"
#include "server/conf/exports.h"
#include "server/export/export.h"
#include "server/net/conn.h"
#include "server/nfs4/dir.h"

nfsstat4
dir_check(const struct inode *inode)
{
	return inode->type == S_IFDIR ? NFS4_OK : NFS4ERR_NOTDIR;
}

nfsstat4
dir_check_link(const struct inode *inode)
{
	return inode->type == S_IFLNK ? NFS4ERR_SYMLINK : dir_check(inode);
}

nfsstat4
dir_access(struct compound *c, struct inode *inode, const struct fs_cred *cred, unsigned mask)
{
	struct fs_stat st;
	int err = fs_glance(inode, &st);

	if (err == 0)
		err = fs_permits(inode, &st, cred, mask, c->on_loop);
	return err == -EAGAIN && c->on_loop ? OP_WORKER : nfs4_status(err);
}

static bool
export_visible(const struct export *export, void *arg)
{
	const struct compound *c = arg;

	return conn_export_client(c->conn, export->line, c->on_loop) != NULL;
}

bool
dir_visible(struct compound *c, const struct inode *inode)
{
	/* A node of the pseudo root is there for those whom it leads somewhere, as knfsd makes them. */
	if (inode->pseudo)
		return fs_pseudo_leads(inode, export_visible, c);
	/* Within the export of the directory it was found in, that has been decided. */
	if (!inode->export || (c->cur && c->cur->export == inode->export))
		return true;
	return export_visible(inode->export, c);
}

nfsstat4
dir_check_sec(struct compound *c, const struct inode *inode)
{
	const struct export_client *opts;

	if (!inode->export || (c->cur && c->cur->export == inode->export))
		return NFS4_OK;
	opts = conn_export_client(c->conn, inode->export->line, c->on_loop);
	return opts && opts->sec & c->sec ? NFS4_OK : NFS4ERR_WRONGSEC;
}
