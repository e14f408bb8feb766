# The wire: knows neither server nor client.
noinst_LTLIBRARIES += libproto.la librpcgen.la

RPC_X = proto/x/nfs4.x proto/x/pnfs_block.x proto/x/pnfs_scsi.x
RPC_H = $(RPC_X:.x=.h)
RPC_C = $(RPC_X:.x=_xdr.c)
BUILT_SOURCES += $(RPC_H)
CLEANFILES += $(RPC_H) $(RPC_C)
EXTRA_DIST += $(RPC_X)

# rpcgen does not overwrite; -i: no inline blocks, which would bypass xdr_arena.h.
%.h: %.x
	@$(MKDIR_P) $(@D)
	$(AM_V_GEN)rm -f $@ && out=`pwd`/$@ && cd $(<D) && $(RPCGEN) -i 100000 -h -o $$out $(<F)
%_xdr.c: %.x %.h
	$(AM_V_GEN)rm -f $@ && out=`pwd`/$@ && cd $(<D) && $(RPCGEN) -i 100000 -c -o $$out $(<F) && \
	sed -i 's|#include "\(.*\)\.h"|#include "proto/x/\1.h"|' $$out

nodist_librpcgen_la_SOURCES = $(RPC_C)
librpcgen_la_CFLAGS = $(AM_CFLAGS) -Wno-unused -Wno-missing-prototypes -Wno-cast-function-type -Wno-shadow

libproto_la_SOURCES = \
	include/cleanup.h include/iomap.h include/log.h include/queue.h include/reason.h \
	proto/layout/device_xdr.c \
	proto/layout/layout_xdr.c proto/layout/layout_xdr.h \
	proto/log.c \
	proto/nfs4/acl.h \
	proto/nfs4/attrs.c proto/nfs4/attrs.h \
	proto/nfs4/cb_channel.c proto/nfs4/cb_channel.h \
	proto/nfs4/compound_xdr.c proto/nfs4/compound_xdr.h \
	proto/nfs4/dirent.c proto/nfs4/dirent.h \
	proto/nfs4/fsid.h \
	proto/nfs4/op_xdr.c proto/nfs4/op_xdr.h \
	proto/nfs4/status.c proto/nfs4/status.h \
	proto/rpc/gss.h \
	proto/rpc/loop.c proto/rpc/loop.h \
	proto/rpc/out.c \
	proto/rpc/peer.c proto/rpc/peer.h \
	proto/rpc/peer_call.c \
	proto/rpc/peer_impl.h \
	proto/rpc/peer_out.c \
	proto/rpc/rec.c proto/rpc/rec.h \
	proto/rpc/rpc_msg.c proto/rpc/rpc_msg.h \
	proto/xdr/arena.c proto/xdr/arena.h \
	proto/xdr/xdr_arena.c proto/xdr/xdr_arena.h
libproto_la_CFLAGS = $(AM_CFLAGS) -Wno-cast-function-type
libproto_la_LIBADD = librpcgen.la $(TIRPC_LIBS) $(EV_LIBS) $(GSS_LIBS)
if GSS
libproto_la_SOURCES += proto/rpc/gss.c
endif
