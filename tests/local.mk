# Unit tests (libcheck), programs of the integration tests, fuzz targets.
#
# A test is one line in unit_tests; its source is the same name with .c, and it is linked with LDADD, of which it takes what it
# uses; one of the client has a _LDADD line besides.  Fakes stand in a _SOURCES line, before what they replace.
# Data files: below $srcdir/tests (automake exports srcdir to tests).

TEST_LIBS = libproto.la $(CHECK_LIBS) $(TIRPC_LIBS) $(EV_LIBS) $(ISCSI_LIBS)
LDADD = libserver.la $(TEST_LIBS) $(NETTLE_LIBS)
CLIENT_LDADD = libclient.la libbdev.la $(TEST_LIBS)

if GSS
GSS_TESTS = \
	tests/unit/proto/rpc/test_gss \
	tests/unit/server/gss/test_gss
GSS_FUZZ = tests/fuzz/fuzz_gss
endif

unit_tests = \
	tests/unit/client/test_bdev \
	tests/unit/client/test_callback \
	tests/unit/client/test_device \
	tests/unit/client/test_io \
	tests/unit/client/test_ioplan \
	tests/unit/client/test_layout_commit \
	tests/unit/client/test_layout_get \
	tests/unit/client/test_layout_map \
	tests/unit/client/test_layout_return \
	tests/unit/client/test_lease \
	tests/unit/client/test_mds \
	tests/unit/client/test_mds_cb \
	tests/unit/client/test_recover \
	tests/unit/client/test_topology \
	tests/unit/client/test_url \
	tests/unit/guest/test_expect \
	tests/unit/proto/layout/test_layout_xdr \
	tests/unit/proto/nfs4/test_attrs \
	tests/unit/proto/nfs4/test_cb_channel \
	tests/unit/proto/nfs4/test_compound_xdr \
	tests/unit/proto/nfs4/test_dirent \
	tests/unit/proto/nfs4/test_status \
	tests/unit/proto/rpc/test_loop \
	tests/unit/proto/rpc/test_peer \
	tests/unit/proto/rpc/test_peer_race \
	tests/unit/proto/rpc/test_rpc_msg \
	tests/unit/proto/test_log \
	tests/unit/proto/xdr/test_xdr_arena \
	tests/unit/server/cb/test_cb \
	tests/unit/server/conf/test_conf \
	tests/unit/server/conf/test_exports \
	tests/unit/server/conf/test_exports_line \
	tests/unit/server/export/test_backing \
	tests/unit/server/export/test_fiemap \
	tests/unit/server/export/test_kernel_extents \
	tests/unit/server/export/test_kernel_guard \
	tests/unit/server/export/test_plain_map \
	tests/unit/server/fence/test_command \
	tests/unit/server/fence/test_iscsi_nexus \
	tests/unit/server/fence/test_scsi_cdb \
	tests/unit/server/fs/test_handle \
	tests/unit/server/fs/test_inode \
	tests/unit/server/fs/test_posix_acl \
	tests/unit/server/fs/test_posix_attr \
	tests/unit/server/fs/test_posix_data \
	tests/unit/server/fs/test_posix_dir \
	tests/unit/server/fs/test_posix_modify \
	tests/unit/server/fs/test_posix_space \
	tests/unit/server/fs/test_posix_xattr \
	tests/unit/server/fs/test_pseudo \
	$(GSS_TESTS) \
	tests/unit/server/keeper/test_message \
	tests/unit/server/keeper/test_serve \
	tests/unit/server/layout/test_commit \
	tests/unit/server/layout/test_conflict \
	tests/unit/server/layout/test_designator \
	tests/unit/server/layout/test_device_fence \
	tests/unit/server/layout/test_device_notice \
	tests/unit/server/layout/test_device_prepare \
	tests/unit/server/layout/test_extent \
	tests/unit/server/layout/test_grant \
	tests/unit/server/layout/test_holder \
	tests/unit/server/layout/test_layout \
	tests/unit/server/layout/test_range \
	tests/unit/server/layout/test_recall \
	tests/unit/server/layout/test_return \
	tests/unit/server/layout/test_writers_wait \
	tests/unit/server/net/test_worker \
	tests/unit/server/nfs4/test_adb \
	tests/unit/server/nfs4/test_acl \
	tests/unit/server/nfs4/test_attr \
	tests/unit/server/nfs4/test_client_case \
	tests/unit/server/nfs4/test_compound \
	tests/unit/server/nfs4/test_name \
	tests/unit/server/nfs4/test_offload \
	tests/unit/server/nfs4/test_op_attr \
	tests/unit/server/nfs4/test_op_copy \
	tests/unit/server/nfs4/test_op_device \
	tests/unit/server/nfs4/test_op_dir \
	tests/unit/server/nfs4/test_op_io \
	tests/unit/server/nfs4/test_op_layout \
	tests/unit/server/nfs4/test_op_lock \
	tests/unit/server/nfs4/test_op_open \
	tests/unit/server/nfs4/test_op_read_plus \
	tests/unit/server/nfs4/test_op_readdir \
	tests/unit/server/nfs4/test_op_space \
	tests/unit/server/nfs4/test_op_xattr \
	tests/unit/server/state/test_deleg \
	tests/unit/server/state/test_grace \
	tests/unit/server/state/test_lease \
	tests/unit/server/state/test_lock \
	tests/unit/server/state/test_lock_wait \
	tests/unit/server/state/test_model \
	tests/unit/server/state/test_open \
	tests/unit/server/state/test_session \
	tests/unit/server/state/test_stateid

if HAVE_CHECK
check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)
endif
EXTRA_DIST += tests/unit/proto/rpc/peer_fixture.h tests/unit/proto/vector.h \
	tests/vectors/make.py $(wildcard $(srcdir)/tests/vectors/*.hex)

# ---- what stands before the libraries in some of them ----

tests_unit_client_test_bdev_LDADD = $(CLIENT_LDADD)
tests_unit_client_test_callback_LDADD = $(CLIENT_LDADD)
tests_unit_client_test_device_LDADD = $(CLIENT_LDADD)
tests_unit_client_test_io_LDADD = $(CLIENT_LDADD)
tests_unit_client_test_ioplan_LDADD = $(CLIENT_LDADD)
tests_unit_client_test_layout_commit_LDADD = $(CLIENT_LDADD)
tests_unit_client_test_layout_get_LDADD = $(CLIENT_LDADD)
tests_unit_client_test_layout_map_LDADD = $(CLIENT_LDADD)
tests_unit_client_test_layout_return_LDADD = $(CLIENT_LDADD)
tests_unit_client_test_lease_LDADD = $(CLIENT_LDADD)
tests_unit_client_test_mds_LDADD = $(CLIENT_LDADD)
tests_unit_client_test_mds_cb_LDADD = $(CLIENT_LDADD)
tests_unit_client_test_recover_LDADD = $(CLIENT_LDADD)
tests_unit_client_test_topology_LDADD = $(CLIENT_LDADD)
tests_unit_client_test_url_LDADD = $(CLIENT_LDADD)
FAKE_MDS = tests/unit/client/fake_mds.c tests/unit/client/fake_mds.h
FAKE_CLIENT = $(FAKE_MDS) tests/unit/client/fake_file.c tests/unit/client/fake_file.h \
	tests/unit/client/fixture.c tests/unit/client/fixture.h
tests_unit_client_test_callback_SOURCES = tests/unit/client/test_callback.c $(FAKE_CLIENT)
tests_unit_client_test_device_SOURCES = tests/unit/client/test_device.c $(FAKE_CLIENT)
tests_unit_client_test_io_SOURCES = tests/unit/client/test_io.c $(FAKE_CLIENT)
tests_unit_client_test_layout_commit_SOURCES = tests/unit/client/test_layout_commit.c $(FAKE_CLIENT)
tests_unit_client_test_layout_get_SOURCES = tests/unit/client/test_layout_get.c $(FAKE_CLIENT)
tests_unit_client_test_layout_return_SOURCES = tests/unit/client/test_layout_return.c $(FAKE_CLIENT)
tests_unit_client_test_recover_SOURCES = tests/unit/client/test_recover.c $(FAKE_CLIENT)
ENGINE_FIXTURE = $(FAKE_MDS) tests/unit/client/engine_fixture.c tests/unit/client/engine_fixture.h
tests_unit_client_test_mds_SOURCES = tests/unit/client/test_mds.c $(ENGINE_FIXTURE)
tests_unit_client_test_mds_cb_SOURCES = tests/unit/client/test_mds_cb.c $(ENGINE_FIXTURE)

# The judge of power cuts (scripts/test-crash).
tests_unit_guest_test_expect_SOURCES = tests/unit/guest/test_expect.c \
	tests/guest/crash/crash.h tests/guest/crash/expect.c tests/guest/crash/journal.c

# State without a server.
STATE_FAKE = tests/unit/server/state/fake_state.c tests/unit/server/state/fake_state.h
DELEG_FAKE = tests/unit/server/state/fake_deleg.c tests/unit/server/state/fake_deleg.h
tests_unit_server_state_test_deleg_SOURCES = tests/unit/server/state/test_deleg.c $(DELEG_FAKE) $(STATE_FAKE)
tests_unit_server_state_test_lock_SOURCES = tests/unit/server/state/test_lock.c $(STATE_FAKE)
tests_unit_server_state_test_lock_wait_SOURCES = tests/unit/server/state/test_lock_wait.c $(STATE_FAKE)
tests_unit_server_state_test_open_SOURCES = tests/unit/server/state/test_open.c $(STATE_FAKE)
tests_unit_server_state_test_stateid_SOURCES = tests/unit/server/state/test_stateid.c $(STATE_FAKE)

# Handlers of operations, over a file system of paper: the fakes stand before libserver's own.
NFS4_FAKE = tests/unit/server/nfs4/fake.c tests/unit/server/nfs4/fake.h
tests_unit_server_nfs4_test_acl_SOURCES = tests/unit/server/nfs4/test_acl.c $(NFS4_FAKE)
tests_unit_server_nfs4_test_attr_SOURCES = tests/unit/server/nfs4/test_attr.c $(NFS4_FAKE)
tests_unit_server_nfs4_test_op_attr_SOURCES = tests/unit/server/nfs4/test_op_attr.c $(NFS4_FAKE)
tests_unit_server_nfs4_test_op_dir_SOURCES = tests/unit/server/nfs4/test_op_dir.c $(NFS4_FAKE)
tests_unit_server_nfs4_test_op_io_SOURCES = tests/unit/server/nfs4/test_op_io.c $(NFS4_FAKE)
tests_unit_server_nfs4_test_op_copy_SOURCES = tests/unit/server/nfs4/test_op_copy.c $(NFS4_FAKE)
tests_unit_server_nfs4_test_op_read_plus_SOURCES = tests/unit/server/nfs4/test_op_read_plus.c $(NFS4_FAKE)
tests_unit_server_nfs4_test_op_space_SOURCES = tests/unit/server/nfs4/test_op_space.c $(NFS4_FAKE)
tests_unit_server_nfs4_test_op_readdir_SOURCES = tests/unit/server/nfs4/test_op_readdir.c $(NFS4_FAKE)
tests_unit_server_nfs4_test_op_xattr_SOURCES = tests/unit/server/nfs4/test_op_xattr.c $(NFS4_FAKE)
OPEN_FAKE = tests/unit/server/nfs4/open_fake.c tests/unit/server/nfs4/open_fake.h $(DELEG_FAKE) $(STATE_FAKE)
tests_unit_server_nfs4_test_offload_SOURCES = tests/unit/server/nfs4/test_offload.c $(STATE_FAKE)
tests_unit_server_nfs4_test_op_lock_SOURCES = tests/unit/server/nfs4/test_op_lock.c $(OPEN_FAKE)
tests_unit_server_nfs4_test_op_open_SOURCES = tests/unit/server/nfs4/test_op_open.c $(OPEN_FAKE)

# layouts
LAYOUT_FAKE = tests/unit/server/layout/fake_layout.c tests/unit/server/layout/fake_layout.h $(STATE_FAKE)
tests_unit_server_layout_test_commit_SOURCES = tests/unit/server/layout/test_commit.c $(LAYOUT_FAKE)
tests_unit_server_layout_test_grant_SOURCES = tests/unit/server/layout/test_grant.c $(LAYOUT_FAKE)
tests_unit_server_layout_test_holder_SOURCES = tests/unit/server/layout/test_holder.c $(LAYOUT_FAKE)
tests_unit_server_layout_test_layout_SOURCES = tests/unit/server/layout/test_layout.c $(LAYOUT_FAKE)
tests_unit_server_nfs4_test_op_layout_SOURCES = tests/unit/server/nfs4/test_op_layout.c $(LAYOUT_FAKE)
tests_unit_server_state_test_model_SOURCES = tests/unit/server/state/test_model.c $(LAYOUT_FAKE)
tests_unit_server_layout_test_recall_SOURCES = tests/unit/server/layout/test_recall.c $(LAYOUT_FAKE)
tests_unit_server_layout_test_return_SOURCES = tests/unit/server/layout/test_return.c $(LAYOUT_FAKE)
tests_unit_server_layout_test_writers_wait_SOURCES = tests/unit/server/layout/test_writers_wait.c $(LAYOUT_FAKE)

# Tests that want an XFS of their own add these to their sources.
XFS_FIXTURE = tests/unit/xfs_fixture.c tests/unit/xfs_fixture.h
FS_SOURCES = tests/unit/server/fs/fs_fixture.c tests/unit/server/fs/fs_fixture.h $(XFS_FIXTURE)
tests_unit_server_export_test_plain_map_SOURCES = tests/unit/server/export/test_plain_map.c $(FS_SOURCES)
tests_unit_server_fs_test_handle_SOURCES = tests/unit/server/fs/test_handle.c $(FS_SOURCES)
tests_unit_server_fs_test_inode_SOURCES = tests/unit/server/fs/test_inode.c $(FS_SOURCES)
tests_unit_server_fs_test_posix_acl_SOURCES = tests/unit/server/fs/test_posix_acl.c $(FS_SOURCES)
tests_unit_server_fs_test_posix_attr_SOURCES = tests/unit/server/fs/test_posix_attr.c $(FS_SOURCES)
tests_unit_server_fs_test_posix_xattr_SOURCES = tests/unit/server/fs/test_posix_xattr.c $(FS_SOURCES)
tests_unit_server_fs_test_posix_data_SOURCES = tests/unit/server/fs/test_posix_data.c $(FS_SOURCES)
tests_unit_server_fs_test_posix_dir_SOURCES = tests/unit/server/fs/test_posix_dir.c $(FS_SOURCES)
tests_unit_server_fs_test_posix_modify_SOURCES = tests/unit/server/fs/test_posix_modify.c $(FS_SOURCES)
tests_unit_server_fs_test_posix_space_SOURCES = tests/unit/server/fs/test_posix_space.c $(FS_SOURCES)
tests_unit_server_fs_test_pseudo_SOURCES = tests/unit/server/fs/test_pseudo.c $(FS_SOURCES)

# Whole servers without exports, and a client of few words.
WIRE = tests/unit/server/net/wire.c tests/unit/server/net/wire.h
MDS_FIXTURE = $(WIRE) tests/unit/server/net/mds_fixture.c tests/unit/server/net/mds_fixture.h
tests_unit_server_cb_test_cb_SOURCES = tests/unit/server/cb/test_cb.c $(MDS_FIXTURE)
tests_unit_server_nfs4_test_compound_SOURCES = tests/unit/server/nfs4/test_compound.c $(WIRE)
tests_unit_server_gss_test_gss_SOURCES = tests/unit/server/gss/test_gss.c $(MDS_FIXTURE)
tests_unit_server_state_test_grace_SOURCES = tests/unit/server/state/test_grace.c $(MDS_FIXTURE)
tests_unit_server_state_test_lease_SOURCES = tests/unit/server/state/test_lease.c $(MDS_FIXTURE)
tests_unit_server_state_test_session_SOURCES = tests/unit/server/state/test_session.c $(MDS_FIXTURE)

# ---- integration ----

# Programs that scripts in tests/integ run.
integ_programs = \
	tests/integ/check_client \
	tests/integ/check_export \
	tests/integ/check_pr \
	tests/integ/wire/wire
tests_integ_check_client_LDADD = libpnfs.la
tests_integ_check_export_SOURCES = \
	tests/integ/export/export.h \
	tests/integ/export/fences.c \
	tests/integ/export/leases.c \
	tests/integ/export/main.c \
	tests/integ/export/maps.c \
	tests/integ/fakes.h \
	tests/integ/integ.c tests/integ/integ.h
tests_integ_check_pr_SOURCES = tests/integ/check_pr.c tests/integ/integ.c tests/integ/integ.h
# the scripted client
tests_integ_wire_wire_SOURCES = \
	tests/common/rpc_socket.c tests/common/rpc_socket.h \
	tests/integ/wire/callback.c \
	tests/integ/wire/client.c \
	tests/integ/wire/decode.c \
	tests/integ/wire/file.c \
	tests/integ/wire/host.c \
	tests/integ/wire/test_backchannel.c \
	tests/integ/wire/test_commit.c \
	tests/integ/wire/test_conflict.c \
	tests/integ/wire/test_device.c \
	tests/integ/wire/test_fence.c \
	tests/integ/wire/test_former.c \
	tests/integ/wire/test_garbage.c \
	tests/integ/wire/test_grant.c \
	tests/integ/wire/test_layout.c \
	tests/integ/wire/test_recall.c \
	tests/integ/wire/test_reload.c \
	tests/integ/wire/test_restart.c \
	tests/integ/wire/test_session.c \
	tests/integ/wire/test_space.c \
	tests/integ/wire/test_state.c \
	tests/integ/wire/wire.h \
	tests/integ/wire/world.c
noinst_PROGRAMS += $(integ_programs)
EXTRA_DIST += \
	tests/PITFALLS.md \
	tests/common/kdc.sh \
	tests/conformance/expected-minor1.txt \
	tests/conformance/expected-minor2.txt \
	tests/conformance/pynfs_results.py \
	tests/conformance/run-pynfs \
	tests/guest/crash/cycle.sh \
	tests/guest/crash/init \
	tests/guest/hosts.sh \
	tests/guest/image.sh \
	tests/guest/inside/agent \
	tests/guest/inside/init \
	tests/guest/inside/lib.sh \
	tests/guest/run.sh \
	tests/guest/san.sh \
	tests/guest/scenarios/conflict.sh \
	tests/guest/scenarios/data.sh \
	tests/guest/scenarios/figures.sh \
	tests/guest/scenarios/names.sh \
	tests/guest/scenarios/scsi.sh \
	tests/guest/scenarios/stress.sh \
	tests/guest/server.sh \
	tests/integ/guest.sh \
	tests/integ/layoutget_guest.sh \
	tests/integ/lib.sh \
	tests/integ/test_client.sh \
	tests/integ/test_export.sh \
	tests/integ/test_export_guest.sh \
	tests/integ/test_ctl.sh \
	tests/integ/test_garbage.sh \
	tests/integ/test_gss.sh \
	tests/integ/test_keeper.sh \
	tests/integ/test_keeper_guest.sh \
	tests/integ/test_pr_iscsi.sh \
	tests/integ/test_pynfs.sh \
	tests/integ/test_restart.sh \
	tests/integ/test_wire_block.sh \
	tests/integ/test_wire_scsi.sh \
	tests/integ/test_wrong_lun.sh \
	tests/integ/wire/wire.sh
# What scenarios in guests run.
noinst_PROGRAMS += tests/guest/tool/tool
tests_guest_tool_tool_SOURCES = tests/guest/tool/insist.c tests/guest/tool/main.c tests/guest/tool/model.c tests/guest/tool/tool.h \
	tests/guest/tool/tree.c
tests_guest_tool_tool_LDADD =
# What scripts/test-crash runs.
noinst_PROGRAMS += tests/guest/crash/crash
tests_guest_crash_crash_SOURCES = \
	tests/guest/crash/check.c \
	tests/guest/crash/crash.h \
	tests/guest/crash/expect.c \
	tests/guest/crash/journal.c \
	tests/guest/crash/main.c \
	tests/guest/crash/write.c
tests_guest_crash_crash_LDADD = libpnfs.la
# The load generator and the floor that scripts/bench measures with.
noinst_PROGRAMS += tests/bench/echod tests/bench/mdsload tests/bench/scale
tests_bench_echod_SOURCES = tests/bench/echod.c
tests_bench_echod_LDADD =
tests_bench_mdsload_SOURCES = tests/bench/mdsload.c tests/bench/session.c tests/bench/session.h \
	tests/common/rpc_socket.c tests/common/rpc_socket.h
tests_bench_mdsload_LDADD = libproto.la $(TIRPC_LIBS)
tests_bench_scale_SOURCES = tests/bench/scale.c tests/bench/session.c tests/bench/session.h \
	tests/common/rpc_socket.c tests/common/rpc_socket.h
tests_bench_scale_LDADD = libproto.la $(TIRPC_LIBS)

# ---- fuzzing ----

# tests/fuzz/fuzz_X.c, corpus in tests/fuzz/corpus/X; configure --enable-fuzzers CC=clang.
# Each needs its _LDFLAGS line, and an _LDADD line if it is of the client.
fuzz_targets = \
	tests/fuzz/fuzz_cb_channel \
	tests/fuzz/fuzz_compound \
	tests/fuzz/fuzz_conf \
	tests/fuzz/fuzz_ctl \
	tests/fuzz/fuzz_device_addr \
	tests/fuzz/fuzz_exports \
	tests/fuzz/fuzz_fattr4 \
	tests/fuzz/fuzz_keeper \
	$(GSS_FUZZ) \
	tests/fuzz/fuzz_kernel_guard \
	tests/fuzz/fuzz_layout_update \
	tests/fuzz/fuzz_mds \
	tests/fuzz/fuzz_rpc_record \
	tests/fuzz/fuzz_scsi \
	tests/fuzz/fuzz_url
FUZZ_ENGINE = $(AM_LDFLAGS) -fsanitize=fuzzer
if FUZZERS
noinst_PROGRAMS += $(fuzz_targets)
endif
EXTRA_DIST += tests/fuzz/corpus
tests_fuzz_fuzz_cb_channel_LDFLAGS = $(FUZZ_ENGINE)
tests_fuzz_fuzz_compound_LDFLAGS = $(FUZZ_ENGINE)
tests_fuzz_fuzz_conf_LDFLAGS = $(FUZZ_ENGINE)
tests_fuzz_fuzz_ctl_LDFLAGS = $(FUZZ_ENGINE)
tests_fuzz_fuzz_device_addr_LDFLAGS = $(FUZZ_ENGINE)
tests_fuzz_fuzz_exports_LDFLAGS = $(FUZZ_ENGINE)
tests_fuzz_fuzz_fattr4_LDFLAGS = $(FUZZ_ENGINE)
tests_fuzz_fuzz_keeper_LDFLAGS = $(FUZZ_ENGINE)
tests_fuzz_fuzz_gss_LDFLAGS = $(FUZZ_ENGINE)
tests_fuzz_fuzz_kernel_guard_LDFLAGS = $(FUZZ_ENGINE)
tests_fuzz_fuzz_layout_update_LDFLAGS = $(FUZZ_ENGINE)
tests_fuzz_fuzz_mds_LDFLAGS = $(FUZZ_ENGINE)
tests_fuzz_fuzz_rpc_record_LDFLAGS = $(FUZZ_ENGINE)
tests_fuzz_fuzz_scsi_LDFLAGS = $(FUZZ_ENGINE)
tests_fuzz_fuzz_url_LDFLAGS = $(FUZZ_ENGINE)
tests_fuzz_fuzz_device_addr_LDADD = $(CLIENT_LDADD)
tests_fuzz_fuzz_scsi_LDADD = libbdev.la $(LDADD)
tests_fuzz_fuzz_url_LDADD = $(CLIENT_LDADD)
tests_fuzz_fuzz_ctl_SOURCES = tests/fuzz/fuzz_ctl.c tests/fuzz/server.c tests/fuzz/server.h
tests_fuzz_fuzz_mds_SOURCES = tests/fuzz/fuzz_mds.c tests/fuzz/server.c tests/fuzz/server.h
