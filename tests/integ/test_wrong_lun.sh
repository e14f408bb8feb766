#!/bin/bash
# A LUN with the designator that the SCSI layout names, and another file system on it: tgtd's NAA identifiers come from
# target and LUN number, so two targets have the same.  Nothing may be written there.
. "$(dirname "$0")/lib.sh"
world_private "$@"
requires tgtd mkfs.xfs jq
world_init wrong-lun 512
right=$LUN

# a second target, with an XFS of its own
truncate -s 512M "$W/wrong.img"
mkfs.xfs -q "$W/wrong.img"
before=$(sha "$W/wrong.img")
port=$(world_port) control=$((port - 20000 + 10100))
tgtd -f --iscsi portal="127.0.0.1:$port" -C "$control" >"$W/tgtd2.log" 2>&1 &
second=$!
stop_second() {
	tgtadm -C "$control" --lld iscsi --op delete --force --mode target --tid 1 >/dev/null 2>&1
	tgtadm -C "$control" --op delete --mode system >/dev/null 2>&1
	sleep .3
	kill -9 "$second" 2>/dev/null
	wait "$second" 2>/dev/null
}
trap 'stop_second; world_end' EXIT
for _ in $(seq 50); do tgtadm -C "$control" --op show --mode sys >/dev/null 2>&1 && break; sleep .1; done
tgtadm -C "$control" --lld iscsi --op new --mode target --tid 1 -T iqn.2026-11.org.pnfs-block:wrong
tgtadm -C "$control" --lld iscsi --op new --mode logicalunit --tid 1 --lun 1 -b "$W/wrong.img"
tgtadm -C "$control" --lld iscsi --op bind --mode target --tid 1 -I ALL
wrong=iscsi://127.0.0.1:$port/iqn.2026-11.org.pnfs-block:wrong/1

head -c 8M /dev/urandom >"$W/source"
for type in scsi block; do
	world_mds $type
	"$BIN/pnfs" --device "$wrong" --direct require put "$W/source" "$URL"a 2>"$W/err"
	check "$type: only the wrong LUN: --direct require is refused with 4" test $? = 4
	"$BIN/pnfs" --device "$wrong" --json put "$W/source" "$URL"b >"$W/j"
	check "$type: --direct auto goes through the server and says so with 3" test $? = 3
	reason=no-device
	[ $type = scsi ] && reason=wrong-device
	check "$type: the reason is $reason" test "$(jq -r '.fallbacks[0].reason' "$W/j")" = $reason
	"$BIN/pnfs" --device "$wrong" --device "$right" --json put "$W/source" "$URL"c >"$W/j"
	check "$type: with both at hand the right one is found" \
		test "$? $(jq -r '.extents[0].device' "$W/j") $(jq .nfs_write "$W/j")" = "0 $right 0"
	drop_caches
	for f in b c; do
		check "$type: $f is what was put" test "$(sha "$MNT/$f")" = "$(sha "$W/source")"
	done
	world_mds_stop
done
check "no byte of the wrong LUN has changed" test "$(sha "$W/wrong.img")" = "$before"
finish
