# The metadata server.  A convenience library, so that tests link only what they use.
noinst_LTLIBRARIES += libserver.la

libserver_la_SOURCES = \
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
	server/fs/handle.c \
	server/fs/handle.h \
	server/fs/inode.c \
	server/fs/inode_open.c \
	server/fs/inode_sweep.c \
	server/fs/posix_attr.c \
	server/fs/posix_data.c \
	server/fs/posix_dir.c \
	server/fs/posix_modify.c \
	server/fs/pseudo.c \
	server/fs/user.c \
	server/nfs4/attr.c \
	server/nfs4/attr.h \
	server/nfs4/attr_set.c \
	server/nfs4/dir.c \
	server/nfs4/dir.h \
	server/nfs4/ftype.h \
	server/nfs4/name.c \
	server/nfs4/name.h \
	server/nfs4/op_attr.c \
	server/nfs4/op_close.c \
	server/nfs4/op_create.c \
	server/nfs4/op_dir.c \
	server/nfs4/op_fh.c \
	server/nfs4/op_io.c \
	server/nfs4/op_lock.c \
	server/nfs4/op_open.c \
	server/nfs4/op_readdir.c \
	server/nfs4/op_setattr.c \
	server/nfs4/op_stateid.c \
	server/nfs4/open_file.c \
	server/nfs4/open_file.h \
	server/nfs4/way.c \
	server/nfs4/way.h \
	server/state/file.c \
	server/state/file.h \
	server/state/lock.c \
	server/state/lock.h \
	server/state/lock_range.c \
	server/state/open.c \
	server/state/open.h \
	server/state/owner.c \
	server/state/owner.h \
	server/state/stateid.c \
	server/state/stateid.h \
	server/state/stateid_io.c
libserver_la_LIBADD = libproto.la $(ISCSI_LIBS) $(INIH_LIBS) $(NETTLE_LIBS) $(JANSSON_LIBS) $(LMDB_LIBS)
