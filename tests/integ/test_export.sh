#!/bin/sh
# Provider plain and devices on XFS + loop + tgtd: maps against FIEMAP and the LUN's bytes, local breakers, proof by nonce, reservations.
. "${srcdir:-.}/tests/integ/lib.sh"
integ_begin tgtd tgtadm mkfs.xfs cp
# Old data everywhere: blocks given out must not show it (PITFALLS A3).
head -c 640M /dev/zero | tr '\0' '\245' >"$T/image"
make_xfs_image 640M -K
umount "$MNT"
cp --sparse=always "$IMAGE" "$T/copy"	# the same UUID, another disk
mount -t xfs "$LOOP" "$MNT" || fail mount
start_tgtd
add_lun 2 "$T/copy"
mkdir "$T/state"
"${builddir:-.}/tests/integ/check_export" "$MNT" "$T/state" "$URL" "${URL%/1}/2" "$LOOP" || fail check_export
umount "$MNT" || fail "umount: something is still held"
xfs_repair -n "$LOOP" >"$T/repair" 2>&1 || fail "xfs_repair: $(cat "$T/repair")"
