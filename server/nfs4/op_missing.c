/* Weak stand-ins for what is not there yet, so that pnfs-mds links; to be deleted when layout/ is complete. */
#include "server/layout/layout.h"
#include "server/mds.h"
#include "server/nfs4/compound.h"

#define WEAK __attribute__((weak))

WEAK nfsstat4 op_layoutget(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res) { (void)c; (void)arg; (void)res; return NFS4ERR_LAYOUTUNAVAILABLE; }
WEAK nfsstat4 op_layoutcommit(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res) { (void)c; (void)arg; (void)res; return NFS4ERR_NOTSUPP; }
WEAK nfsstat4 op_layoutreturn(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res) { (void)c; (void)arg; (void)res; return NFS4ERR_NOTSUPP; }
WEAK int layouts_new(struct mds *mds) { (void)mds; return 0; }
WEAK void layouts_free(struct mds *mds) { (void)mds; }
WEAK nfsstat4 layout_make_way(struct mds *mds, struct inode *inode, struct client *client, enum layout_need need, uint64_t offset, uint64_t length)
{ (void)mds; (void)inode; (void)client; (void)need; (void)offset; (void)length; return NFS4_OK; }
WEAK bool layout_clear_locked(const struct inode *inode, const struct client *client, enum layout_need need, uint64_t offset, uint64_t length)
{ (void)inode; (void)client; (void)need; (void)offset; (void)length; return true; }
WEAK bool layout_any(const struct inode *inode) { (void)inode; return false; }
WEAK void layout_closed_locked(struct mds *mds, struct inode *inode, struct client *client) { (void)mds; (void)inode; (void)client; }
WEAK void layout_client_gone_locked(struct mds *mds, struct client *client, enum layout_gone why) { (void)mds; (void)client; (void)why; }
WEAK void layout_fence_acked_locked(struct mds *mds, struct client *client) { (void)mds; (void)client; }
WEAK bool layout_client_has_locked(const struct client *client) { (void)client; return false; }
