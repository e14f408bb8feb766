#!/bin/bash
# The server killed while a scripted client (tests/integ/wire) holds opens and layouts, and started again on the same port: grace, reclaim, handles.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/wire.sh"
world_private "$@"
requires tgtd tgtadm mkfs.xfs xfs_repair tshark
world_init restart 512
cat >"$W/fence" <<'END'
#!/bin/sh
echo "$PNFS_FENCE_CLIENT $PNFS_FENCE_ADDR" >>"$(dirname "$0")/fences"
END
chmod +x "$W/fence"
: >"$W/fences"
MDS_PORT_FIXED=$(world_port)
export MAX_IO_TIME=3
world_mds block lease=6 grace=6 recall_timeout=2 max_io_time=3 "device.fence_command=$W/fence"
wire_capture
wire_run block 6 2 restart
wire_capture_check
world_mds_stop
world_mds block lease=4 grace=0 recall_timeout=2 max_io_time=3
wire_run block 4 2 restart-unfenced
world_mds_stop
umount "$MNT" && mount -t xfs "$LOOP" "$MNT" && umount "$MNT"
check "A4: xfs_repair finds nothing after kill -9, mount and unmount" xfs_repair -n "$LOOP" 2>/dev/null
finish
