#!/bin/bash
# Layouts of type 3 (block) as the RFCs and tests/PITFALLS.md want them, by a scripted client (tests/integ/wire).
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/wire.sh"
world_private "$@"
requires tgtd tgtadm mkfs.xfs xfs_repair tshark
world_init wire-block 1536
# Old data nearly everywhere: blocks given out must not show it.
head -c 1300M /dev/zero | tr '\0' '\245' >"$MNT/old" && sync && rm "$MNT/old" && sync
# The fencing command notes whom it is called for and says what the test wants.
cat >"$W/fence" <<'END'
#!/bin/sh
d=$(dirname "$0")
echo "$PNFS_FENCE_CLIENT $PNFS_FENCE_ADDR $PNFS_FENCE_DEVICE" >>"$d/fences"
exit "$(cat "$d/fence.status")"
END
chmod +x "$W/fence"
: >"$W/fences"
echo 0 >"$W/fence.status"
MDS_PORT_FIXED=$(world_port)	# the same after a restart
world_mds block lease=6 grace=6 recall_timeout=2 "device.fence_command=$W/fence"
wire_capture
wire_run block 6 2 ${SUITES:-layout grant commit recall conflict space session backchannel state device fence reload}
wire_capture_check
world_mds_stop
if [ -z "${SUITES:-}" ]; then
	lines=$(wc -l <"$W/mds.log")
	world_mds block lease=4 grace=4 recall_timeout=2 max_io_time=3
	# Clients of the life before may be on record: grace lasts their lease, which is longer than the one that clients have to wait in here.
	for _ in $(seq 100); do
		tail -n "+$((lines + 1))" "$W/mds.log" | grep -c -e 'grace for' -e 'grace is over' | grep -q '[02]' && break
		sleep .1
	done
	export MAX_IO_TIME=3
	wire_run block 4 2 unfenced
	world_mds_stop
fi
check "D12: nothing holds the mount any more" umount "$MNT"
check "A4: xfs_repair finds nothing" xfs_repair -n "$LOOP" 2>/dev/null
finish
