#!/bin/bash
# The providers on a kernel with nfsd: check_export (test_export.sh) and the scripted client's suites, with provider plain and kernel, in a guest
# under user-mode-linux.
#
#	SUITES="..." PROVIDERS="plain kernel"
. "$(dirname "$0")/lib.sh"
. "$top/scripts/packages.sh"
. "$top/tests/guest/image.sh"
. "$top/tests/guest/hosts.sh"
. "$top/tests/guest/server.sh"
KERNEL=uml SERVER_KIND=kernel SERVER_ADDRESS= SERVER_FOLDER= SERVER_TOOL=
requires linux.uml mmdebstrap tgtd tgtadm ldd
[ -c /dev/net/tun ] || skip_all "no /dev/net/tun"
guest_image || skip_all "no root file system for guests"
[ -n "${WORLD_PRIVATE:-}" ] ||
	exec env WORLD_PRIVATE=1 unshare --mount --net --propagation private -- bash "$0" "$@"

world_folder export-guest 16
guest_folder
for program in "$BIN/pnfs-mds" "$BIN/tests/integ/check_export" "$BIN/tests/integ/wire/wire" "$(command -v tgtd)" "$(command -v tgtadm)"; do
	server_program "$program" "$W/host/lib"
done
server_keeper "$W/host/lib"
mkdir -p "$W/host/tests/integ/wire" "$W/host/bin" "$W/host/scripts"
# programs by their names, with this host's libraries
for program in pnfs-mds tests/integ/check_export tests/integ/wire/wire bin/tgtd bin/tgtadm; do
	printf '#!/bin/sh\nexec /host/lib/ld-linux-* --library-path /host/lib /host/lib/%s "$@"\n' "$(basename $program)" >"$W/host/$program"
	chmod +x "$W/host/$program"
done
cp "$top/scripts/world.sh" "$W/host/scripts/"
cp "$top/tests/integ/wire/wire.sh" "$W/host/tests/integ/wire/"
cat >"$W/host/export_guest" <<'END'
# In the guest: export_guest PROVIDER SUITES
export PROVIDER=$1 SUITES=$2 BIN=/host WORLD_PRIVATE=1 TMPDIR=/ram PATH=/host/bin:$PATH
set +eE
mkdir -p /ram /run/tgtd
mount -t tmpfs -o size=1600m ram /ram
modprobe loop
. /host/scripts/world.sh
. /host/tests/integ/wire/wire.sh
test_failed=0
world_init export 1400
head -c 600M /dev/zero | tr '\0' '\245' >"$MNT/old" && sync && rm "$MNT/old" && sync
cp --sparse=always "$IMAGE" "$W/copy"
world_tgtadm --op new --mode logicalunit --tid 1 --lun 2 -b "$W/copy"
/host/tests/integ/check_export "$MNT" "$W/state" "$LUN" "${LUN%/1}/2" "$LOOP" $PROVIDER || test_failed=1
rm -f "$W/copy" "$MNT"/*
printf '#!/bin/sh\nd=$(dirname "$0")\necho "$PNFS_FENCE_CLIENT $PNFS_FENCE_ADDR $PNFS_FENCE_DEVICE" >>"$d/fences"\nexit "$(cat "$d/fence.status")"\n' >"$W/fence"
chmod +x "$W/fence"
: >"$W/fences"
echo 0 >"$W/fence.status"
MDS_PORT_FIXED=2049
world_mds block lease=6 grace=0 recall_timeout=2 "device.fence_command=$W/fence" opts=provider=$PROVIDER
grep ^EXPORT "$W/mds.out"
[ $PROVIDER = plain ] || sleep 11
wire_run block 6 2 $SUITES
world_mds_stop
grep -q "provider=$PROVIDER layouts=block" "$W/mds.out" || { echo "FAIL: another provider"; test_failed=1; }
pgrep -x nfsd && { echo "FAIL: nfsd is left"; test_failed=1; }
if umount "$MNT" && xfs_repair -n "$LOOP" >/dev/null 2>&1; then
	echo "PASS: xfs_repair finds nothing"
else
	echo "FAIL: xfs_repair, or something holds the mount"
	test_failed=1
fi
world_end
umount /ram
exit $test_failed
END
net_up
GUEST_MEMORY=2600 guest_start server server 4 || { fail "the guest does not start"; finish; }
for provider in ${PROVIDERS:-plain kernel}; do
	# what plain does on the wire is seen on this host (test_wire_block.sh)
	suites=commit
	[ $provider = plain ] || suites="layout grant commit recall conflict backchannel fence"
	on_guest server 400 "bash /host/export_guest $provider '${SUITES:-$suites}'" |
		sed "s/^\(PASS\|FAIL\): /\1: $provider: /" >"$W/$provider.log"
	status=${PIPESTATUS[0]}
	grep -E '^(PASS|FAIL|EXPORT)|p50|MB/s| ms$' "$W/$provider.log"
	[ "$status" = 0 ] || { cat "$W/$provider.log"; fail "provider $provider"; }
done
guest_stop server
finish
