# The metadata server.  A convenience library, so that tests link only what they use.
noinst_LTLIBRARIES += libserver.la libkeeper.la
sbin_PROGRAMS += pnfs-mds pnfsctl
keeperdir = $(libexecdir)/pnfs-block
keeper_PROGRAMS = pnfs-keeper
AM_CPPFLAGS += -DKEEPER_LIBEXEC='"$(keeperdir)"'

# What the keeper's process is made of, and no more.
libkeeper_la_SOURCES = \
	server/keeper/message.c \
	server/keeper/message.h \
	server/keeper/serve.c \
	server/keeper/serve.h \
	server/keeper/table.c \
	server/keeper/table.h

libserver_la_SOURCES = \
	server/cb/cb.c \
	server/cb/cb.h \
	server/cb/cb_impl.h \
	server/cb/cb_xdr.c \
	server/cb/ref.c \
	server/cb/ref.h \
	server/conf/conf.c \
	server/conf/conf.h \
	server/conf/exports.c \
	server/conf/exports.h \
	server/conf/exports_client.c \
	server/conf/exports_line.c \
	server/conf/exports_option.c \
	server/conf/exports_private.h \
	server/conf/text.c \
	server/conf/text.h \
	server/ctl/ctl.c \
	server/ctl/ctl.h \
	server/ctl/ctl_act.c \
	server/ctl/ctl_private.h \
	server/ctl/ctl_show.c \
	server/export/backing.c \
	server/export/backing.h \
	server/export/deleg_lease.c \
	server/export/deleg_lease.h \
	server/export/export.c \
	server/export/export.h \
	server/export/fiemap.c \
	server/export/fiemap.h \
	server/export/file_rules.c \
	server/export/file_rules.h \
	server/export/kernel.c \
	server/export/kernel.h \
	server/export/kernel_extents.c \
	server/export/kernel_guard.c \
	server/export/kernel_guard.h \
	server/export/kernel_map.c \
	server/export/kernel_nfsd.c \
	server/export/kernel_service.c \
	server/export/kernel_session.c \
	server/export/former_lease.c \
	server/export/former_lease.h \
	server/export/plain.c \
	server/export/plain.h \
	server/export/plain_lease.c \
	server/export/plain_map.c \
	server/fence/command.c \
	server/fence/fence.h \
	server/fence/iscsi_nexus.c \
	server/fence/iscsi_nexus.h \
	server/fence/pr_iscsi.c \
	server/fence/scsi_cdb.c \
	server/fence/scsi_cdb.h \
	server/fs/change.c \
	server/fs/describe.c \
	server/fs/describe.h \
	server/fs/fs.c \
	server/fs/fs.h \
	server/fs/fs_private.h \
	server/fs/glance.c \
	server/fs/handle.c \
	server/fs/handle.h \
	server/fs/inode.c \
	server/fs/inode_open.c \
	server/fs/inode_sweep.c \
	server/fs/names.c \
	server/fs/posix_acl.c \
	server/fs/posix_attr.c \
	server/fs/posix_copy.c \
	server/fs/posix_data.c \
	server/fs/posix_dir.c \
	server/fs/posix_modify.c \
	server/fs/posix_space.c \
	server/fs/posix_xattr.c \
	server/fs/pseudo.c \
	server/fs/user.c \
	server/gss/gss.h \
	server/gss/gss_private.h \
	server/keeper/keeper.c \
	server/keeper/keeper.h \
	server/keeper/spawn.c \
	server/keeper/spawn.h \
	server/layout/block.c \
	server/layout/commit.c \
	server/layout/commit.h \
	server/layout/conflict.c \
	server/layout/conflict.h \
	server/layout/designator.c \
	server/layout/designator.h \
	server/layout/device.c \
	server/layout/device.h \
	server/layout/device_fence.c \
	server/layout/device_notice.c \
	server/layout/device_notice.h \
	server/layout/device_private.h \
	server/layout/device_proof.c \
	server/layout/device_watch.c \
	server/layout/drain.c \
	server/layout/extent.c \
	server/layout/extent.h \
	server/layout/fenced.c \
	server/layout/former.c \
	server/layout/former.h \
	server/layout/grant.c \
	server/layout/grant.h \
	server/layout/holder.c \
	server/layout/layout.c \
	server/layout/layout.h \
	server/layout/layout_impl.h \
	server/layout/layouts.c \
	server/layout/plug.h \
	server/layout/range.c \
	server/layout/range.h \
	server/layout/recall.c \
	server/layout/record.c \
	server/layout/return.c \
	server/layout/return.h \
	server/layout/returned.c \
	server/layout/scsi.c \
	server/layout/withdraw.c \
	server/layout/view.c \
	server/layout/view.h \
	server/mds.c \
	server/mds.h \
	server/net/conn.c \
	server/net/conn.h \
	server/net/exporting.c \
	server/net/exporting.h \
	server/net/listener.c \
	server/net/listener.h \
	server/net/notify.c \
	server/net/notify.h \
	server/net/server.c \
	server/net/server.h \
	server/net/worker.c \
	server/net/worker.h \
	server/nfs4/adb.c \
	server/nfs4/adb.h \
	server/nfs4/acl.c \
	server/nfs4/acl.h \
	server/nfs4/attr.c \
	server/nfs4/attr.h \
	server/nfs4/attr_set.c \
	server/nfs4/client_case.c \
	server/nfs4/client_case.h \
	server/nfs4/compound.c \
	server/nfs4/compound.h \
	server/nfs4/compound_fh.c \
	server/nfs4/compound_pool.c \
	server/nfs4/dir.c \
	server/nfs4/dir.h \
	server/nfs4/ftype.h \
	server/nfs4/io.h \
	server/nfs4/name.c \
	server/nfs4/name.h \
	server/nfs4/op_attr.c \
	server/nfs4/op_client.c \
	server/nfs4/op_close.c \
	server/nfs4/offload.c \
	server/nfs4/offload.h \
	server/nfs4/op_copy.c \
	server/nfs4/op_count.c \
	server/nfs4/op_count.h \
	server/nfs4/op_create.c \
	server/nfs4/deleg.h \
	server/nfs4/op_deleg.c \
	server/nfs4/op_device.c \
	server/nfs4/op_dir.c \
	server/nfs4/op_fh.c \
	server/nfs4/op_io.c \
	server/nfs4/op_layout.c \
	server/nfs4/op_layout_report.c \
	server/nfs4/op_lock.c \
	server/nfs4/op_open.c \
	server/nfs4/op_read_plus.c \
	server/nfs4/op_readdir.c \
	server/nfs4/op_sequence.c \
	server/nfs4/op_session.c \
	server/nfs4/op_setattr.c \
	server/nfs4/op_space.c \
	server/nfs4/op_stateid.c \
	server/nfs4/op_write_same.c \
	server/nfs4/op_xattr.c \
	server/nfs4/open_file.c \
	server/nfs4/open_file.h \
	server/nfs4/ops.c \
	server/nfs4/utf8.c \
	server/nfs4/utf8.h \
	server/nfs4/way.c \
	server/nfs4/way.h \
	server/state/client.c \
	server/state/client.h \
	server/state/deleg.c \
	server/state/deleg.h \
	server/state/deleg_attr.c \
	server/state/deleg_give.c \
	server/state/deleg_recall.c \
	server/state/file.c \
	server/state/file.h \
	server/state/grace.c \
	server/state/lease.c \
	server/state/lock.c \
	server/state/lock.h \
	server/state/lock_range.c \
	server/state/lock_wait.c \
	server/state/lock_wait.h \
	server/state/open.c \
	server/state/open.h \
	server/state/owner.c \
	server/state/owner.h \
	server/state/session.c \
	server/state/session.h \
	server/state/stable.c \
	server/state/stable_check.c \
	server/state/stable_holder.c \
	server/state/stable_private.h \
	server/state/stateid.c \
	server/state/stateid.h \
	server/state/stateid_io.c
if GSS
libserver_la_SOURCES += \
	server/gss/accept.c \
	server/gss/context.c \
	server/gss/who.c
endif
libserver_la_LIBADD = libkeeper.la libproto.la $(ISCSI_LIBS) $(INIH_LIBS) $(NETTLE_LIBS) $(JANSSON_LIBS) $(LMDB_LIBS)

pnfs_mds_SOURCES = server/net/main.c
pnfs_mds_LDADD = libserver.la

pnfs_keeper_SOURCES = server/keeper/pnfs_keeper.c
pnfs_keeper_LDADD = libkeeper.la

pnfsctl_SOURCES = server/ctl/pnfsctl.c
pnfsctl_LDADD = $(JANSSON_LIBS)
