#!/bin/bash
# libpnfs under way while the server is killed, the target closes connections, a local process truncates, and the client itself is
# stopped until it is fenced: nothing acknowledged is lost, and the I/O goes on directly.
. "$(dirname "$0")/lib.sh"
world_private "$@"
requires tgtd tgtadm mkfs.xfs python3
world_init client 3072
MDS_PORT_FIXED=$(world_port)
CLIENT=$BIN/tests/integ/check_client
export DEV=$LUN

start() {
	"$CLIENT" "$@" >"$W/out" 2>"$W/err" &
	PID=$!
	for _ in $(seq 200); do
		grep -q ^ready "$W/out" && return 0
		sleep .05
	done
	cat "$W/out" "$W/err"
	fail "the client does not start"
}
ended() {
	timeout 60 tail --pid="$PID" -f /dev/null || kill "$PID"
	wait "$PID"
	local status=$?
	[ $status = 0 ] || cat "$W/out" "$W/err"
	return $status
}
value() { tr ' ' '\n' <"$W/out" | sed -n "s/^$1=//p"; }
letters() {
	drop_caches
	python3 - "$1" "$2" <<-'END'
	import sys
	with open(sys.argv[1], "rb") as f:
	    for i in range(int(sys.argv[2])):
	        if f.read(1 << 20) != bytes([65 + i % 16]) * (1 << 20):
	            sys.exit(1)
	    sys.exit(f.read(1) != b"")
	END
}
truncate_locally() { timeout 20 python3 -c "import os, sys; os.truncate(sys.argv[1], int(sys.argv[2]))" "$@"; }

for type in block scsi; do
	world_mds $type lease=8 grace=8 recall_timeout=3

	start write "$URL" killed 96 12 30
	sleep .5
	world_mds_kill
	sleep .5
	world_mds_run
	check "$type: the server is killed and comes back: the client finishes" ended
	check "$type: ... by a new client ID" test "$(value recoveries)" = 1
	check "$type: ... directly" test "$(value mds_write)" = 0
	check "$type: ... with every byte right" letters "$MNT/killed" 96

	start write "$URL" lost 96 12 30
	sleep .5
	sid=$(world_tgtadm --op show --mode conn --tid 1 | grep -B2 -A2 "pnfs-block:.*:$PID" | sed -n 's/^Session: //p' | head -1)
	world_tgtadm --op delete --mode conn --tid 1 --sid "${sid:-0}" --cid 0
	check "$type: the target closes the connection: the client finishes" ended
	check "$type: ... with layouts asked for anew" test "$(value layoutget)" -gt 1
	check "$type: ... directly" test "$(value mds_write)" = 0
	check "$type: ... with every byte right" letters "$MNT/lost" 96

	start write "$URL" cut 96 40 30
	for i in 1 2 3 4; do
		sleep .6
		check "$type: local truncate $i goes through" truncate_locally "$MNT/cut" $((80 << 20))
	done
	check "$type: the client finishes" ended
	check "$type: ... it was asked for its layout and got another" test "$(value recalls)" -ge 2
	check "$type: ... with every byte right" letters "$MNT/cut" 96
	world_mds_stop
done

world_mds scsi lease=8 grace=8 recall_timeout=3
start write "$URL" stopped 96 12 30
sleep .5
kill -STOP "$PID"
check "a client is stopped: a local truncate goes through after the fence" truncate_locally "$MNT/stopped" 0
kill -CONT "$PID"
check "the client recovers" ended
check "... it saw the fence, or was told" grep -q "reservation conflict\|has revoked" "$W/err"

start map "$URL" mapped
check "a map is revoked for a local truncate" truncate_locally "$MNT/mapped" 4096
check "the program that maps finishes" ended
check "... it was told" grep -q "revoked offset=0 length=4194304 lost=0" "$W/out"
check "... a blocking call in the callback is refused" grep -q "release=-35" "$W/out"

start chain "$URL" chained
check "reads of holes chained in callbacks, and a close with writes under way" ended
start hole "$URL" filled
check "a hole that was read, then filled through the server, is read as filled" ended

# ---- the command: exit statuses, and JSON in any case ----
# tool STATUS OPTION...: no device unless one is given
tool() {
	local want=$1
	shift
	env -u PNFS_DEVICES "$BIN/pnfs" "$@" >"$W/out" 2>"$W/err"
	local got=$?
	[ $got = "$want" ] || { cat "$W/out" "$W/err"; return 1; }
}
# json EXPRESSION: of what the tool printed, d
json() { python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); sys.exit(not eval(sys.argv[2]))' "$W/out" "$1"; }
got() { cmp -s "$MNT/filled" "$W/got"; }

check "get, directly: 0" tool 0 --json --device "$LUN" get "$URL/filled" "$W/got"
check "... the bytes" got
check "... the report" json 'd["bytes"] == 1000000 and d["mds_bytes"] == 0 and d["nfs_read"] == 0 and d["extents"] and not d["fallbacks"]'
check "get without a device: 3" tool 3 --json get "$URL/filled" "$W/got"
check "... the bytes" got
check "... the report says why" json 'd["direct_bytes"] == 0 and d["mds_bytes"] and d["fallbacks"][0]["reason"] == "no-device"'
check "... in words" tool 3 get "$URL/filled" "$W/got"
check "... with the reason" grep -q "through the MDS: .*no-device" "$W/err"
check "--direct require without a device: 4" tool 4 --json --direct require get "$URL/filled" "$W/not"
check "... the report says why" json 'd["status"] == 4 and d["error"] and d["fallbacks"][0]["reason"] == "no-device"'
check "... in words" tool 4 --direct require get "$URL/filled" "$W/not"
check "... with the reason" grep -q "not direct: .*no-device" "$W/err"
check "--direct never: 0" tool 0 --json --direct never --device "$LUN" get "$URL/filled" "$W/got"
check "... the report" json 'd["direct_bytes"] == 0 and d["layoutget"] == 0'
check "map without a device: 4" tool 4 --json map "$URL/filled"
check "... the report" json '"no-device" in d["error"]'
head -c 1048576 /dev/urandom >"$W/whole"
check "put of whole blocks, directly: 0" tool 0 --json --device "$LUN" put "$W/whole" "$URL/put"
check "... the report" json 'd["direct_bytes"] == 1048576 and d["nfs_write"] == 0'
check "put with an unaligned end: 3" tool 3 --json --device "$LUN" put "$W/got" "$URL/put"
check "... the report says why" json 'd["fallbacks"][0]["reason"] == "eof-block"'
check "a file that is not there: 1" tool 1 --json get "$URL/none" "$W/got"
check "... the report" json 'd["status"] == 1 and "No such file" in d["error"]'
check "... and the local file is as it was" got
check "stat and ls: 0" tool 0 --json stat "$URL/filled"
check "... the report" json 'd["size"] == 1000000 and d["type"] == "file"'
check "a wrong URL: 2" tool 2 --json ls "http://127.0.0.1/"
check "... the report" json 'd["status"] == 2'
finish
