#!/bin/bash
# Layouts of type 5 (SCSI) as the RFCs and tests/PITFALLS.md want them, by a scripted client (tests/integ/wire), the LUN reserved at tgtd.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/wire.sh"
world_private "$@"
requires tgtd tgtadm mkfs.xfs xfs_repair tshark
world_init wire-scsi 1536

# The target dies and comes back at the same address, with nothing it knew.
target_power_cut() {
	kill -9 "$TGT_PID"
	wait "$TGT_PID" 2>/dev/null
	local port=$TGT_PORT
	world_port() { echo "$port"; }
	world_target_start
}

head -c 1300M /dev/zero | tr '\0' '\245' >"$MNT/old" && sync && rm "$MNT/old" && sync

# Registrations that do not survive a power cut are no fence: refused, unless the administrator insists.
world_mds scsi lease=6 grace=6 recall_timeout=2
world_mds_stop
sed -i /allow_no_ptpl/d "$W/mds.conf"
world_mds_run
check "B7: a target without APTPL gets no layouts, and the reason is told" grep -q "layouts=none.*no-ptpl" "$W/mds.out"
world_mds_stop

world_mds scsi lease=6 grace=6 recall_timeout=2
# Before the capture: tshark takes the empty address that maxcount 0 asks for as malformed.
wire_run scsi 6 2 device:B20
wire_capture
wire_run scsi 6 2 ${SUITES:-layout:A3 layout:A5 layout:A6 layout:A8 layout:A10 grant commit recall:A16 recall:A17 recall:A18 recall:A35 conflict:A22 \
	device:B15 device:B17 fence scsi former reload}
wire_capture_check
world_mds_stop
check "D12: nothing holds the mount any more" umount "$MNT"
check "A4: xfs_repair finds nothing" xfs_repair -n "$LOOP" 2>/dev/null
finish
