#!/bin/bash
# Provider plain and devices on XFS + loop + tgtd, without the server: maps against FIEMAP and the LUN's bytes, local breakers,
# proof by nonce, reservations.
. "$(dirname "$0")/lib.sh"
world_private "$@"
requires tgtd tgtadm mkfs.xfs xfs_repair cp
world_init export 1024
# Old data nearly everywhere: blocks given out must not show it (PITFALLS A3).
head -c 850M /dev/zero | tr '\0' '\245' >"$MNT/old" && sync && rm "$MNT/old" && sync
# The same UUID, another disk.
cp --sparse=always "$IMAGE" "$W/copy"
world_tgtadm --op new --mode logicalunit --tid 1 --lun 2 -b "$W/copy"
"$BIN/tests/integ/check_export" "$MNT" "$W/state" "$LUN" "${LUN%/1}/2" "$LOOP" || test_failed=1
check "nothing holds the mount any more" umount "$MNT"
check "xfs_repair finds nothing" xfs_repair -n "$LOOP" 2>/dev/null
finish
