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
libbdev_la_LIBADD = libproto.la $(ISCSI_LIBS) $(URING_LIBS) $(EV_LIBS)
