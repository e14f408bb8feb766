#!/bin/bash
# Bad input on the server's port: it goes on, serves others, and takes no memory for it.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/wire/wire.sh"
world_private "$@"
requires tgtd tgtadm mkfs.xfs xfs_repair
world_init garbage 512
# With sanitizers: what is freed must not count as memory taken for long.
export ASAN_OPTIONS="quarantine_size_mb=8:${ASAN_OPTIONS:-}"
MDS_PORT_FIXED=$(world_port)
world_mds block lease=20 grace=6 recall_timeout=5
wire_run block 20 5 garbage
check "garbage: the server is the one that was started" kill -0 "$MDS_PID"
world_mds_stop
check "garbage: nothing holds the mount any more" umount "$MNT"
check "garbage: xfs_repair finds nothing" xfs_repair -n "$LOOP" 2>/dev/null
finish
