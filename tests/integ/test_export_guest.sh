#!/bin/bash
# The providers on a kernel with nfsd: check_export (test_export.sh) and the scripted client's suites, with provider plain and kernel, in a guest.
#
#	SUITES="..." PROVIDERS="plain kernel" KERNEL=uml|6.12|7|...
. "$(dirname "$0")/guest.sh"
guest_world "$@"
cat >"$W/host/export_guest" <<'END'
# In the guest: export_guest PROVIDER SUITES
PROVIDER=$1 SUITES=$2
export PROVIDER
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
END
for provider in ${PROVIDERS:-plain kernel}; do
	# what plain does on the wire is seen on this host (test_wire_block.sh)
	suites=commit
	[ $provider = plain ] || suites="layout grant commit recall conflict space backchannel fence"
	guest_run 400 export_guest $provider "${SUITES:-$suites}" |
		sed "s/^\(PASS\|FAIL\): /\1: $provider: /" >"$W/$provider.log"
	status=${PIPESTATUS[0]}
	grep -E '^(PASS|FAIL|EXPORT)|p50|MB/s| ms$' "$W/$provider.log"
	[ "$status" = 0 ] || { cat "$W/$provider.log"; fail "provider $provider"; }
done
guest_stop server
finish
