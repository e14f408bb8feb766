# libpnfs and the tools.
noinst_LTLIBRARIES += libbdev.la

# Block devices and the planning of I/O: no NFS sessions in here.
libbdev_la_SOURCES = \
	client/bdev.c client/bdev.h \
	client/bdev/bdev_priv.h \
	client/bdev/file.c \
	client/bdev/iscsi.c \
	client/bdev/vpd83.c \
	client/ioplan.c client/ioplan.h \
	client/match.c client/match.h \
	client/topology.c client/topology.h
libbdev_la_LIBADD = $(ISCSI_LIBS) $(URING_LIBS) $(EV_LIBS)

# The library.  Everything in it is also in libclient.la, for the unit tests, which see more than pnfs_*.
noinst_LTLIBRARIES += libclient.la
lib_LTLIBRARIES += libpnfs.la
pkgconfig_DATA += client/libpnfs.pc
pnfsincludedir = $(includedir)/pnfs
pnfsinclude_HEADERS = include/pnfs/pnfs.h

libclient_la_SOURCES = \
	client/callback.c client/callback.h \
	client/compound.c client/compound.h \
	client/device.c client/device.h \
	client/file.c client/file.h \
	client/gss.h \
	client/io.c client/io.h \
	client/io_direct.c \
	client/layout.h \
	client/layout_commit.c \
	client/layout_get.c \
	client/layout_map.c client/layout_map.h \
	client/layout_return.c \
	client/lease.c client/lease.h \
	client/list.c \
	client/map.c client/map.h \
	client/mds.c client/mds.h \
	client/mds_cb.c \
	client/mds_conn.c \
	client/mds_session.c \
	client/mdsio.c client/mdsio.h \
	client/mount.c client/mount.h \
	client/names.c \
	client/node.c client/node.h \
	client/open.c \
	client/recover.c \
	client/stats.c \
	client/sync.c client/sync.h \
	client/url.c client/url.h \
	client/waiter.c client/waiter.h \
	client/walk.c client/walk.h
libclient_la_LIBADD =
if GSS
libclient_la_SOURCES += client/gss.c
endif

libpnfs_la_SOURCES =
libpnfs_la_LIBADD = libclient.la libbdev.la libproto.la
libpnfs_la_LDFLAGS = $(AM_LDFLAGS) -no-undefined -version-info 0:0:0 -export-symbols-regex '^pnfs_'

# The command.  Its benchmark drives a LUN by itself, with the same code as libpnfs underneath.
bin_PROGRAMS += pnfs
pnfs_SOURCES = \
	client/tools/bench_load.c client/tools/bench_load.h \
	client/tools/cmd_bench.c \
	client/tools/cmd_copy.c \
	client/tools/cmd_names.c \
	client/tools/main.c \
	client/tools/pipe.c \
	client/tools/progress.c \
	client/tools/report.c \
	client/tools/tool.h
pnfs_LDADD = libpnfs.la libbdev.la libproto.la $(JANSSON_LIBS)
