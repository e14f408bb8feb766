#!/bin/bash
# pnfsctl against a running server: what it shows of a client that holds layouts, is recalled, falls silent, is evicted; bad requests.
. "$(dirname "$0")/lib.sh"
world_private "$@"
requires tgtd tgtadm mkfs.xfs jq
world_init ctl 512
world_mds block opts=provider=plain lease=30 recall_timeout=20

ctl() { "$BIN/pnfsctl" --socket "$W/ctl" "$@"; }
# json FILTER COMMAND...
json() { local filter=$1; shift; ctl --json "$@" | jq -r "$filter"; }
# until TEXT COMMAND...: within 10 s
until_true() {
	local i text=$1
	shift
	for ((i = 0; i < 100; i++)); do
		"$@" >/dev/null 2>&1 && { pass "$text"; return; }
		sleep .1
	done
	fail "$text ($*)"
}
holds() { jq -en "$1" >/dev/null; }
is_error() { jq -e .error >/dev/null; }
one_layout() { [ "$(json '.layouts | length' layouts)" = 1 ]; }
one_recall() { [ "$(json '.recalls | length' recalls)" = 1 ]; }
no_clients() { [ "$(json '.clients | length' clients)" = 0 ]; }
one_fence() { [ "$(json '[.fences[] | select(.state == "timed")] | length' fences)" = 1 ]; }
no_fence() { [ "$(json '.fences | length' fences)" = 0 ]; }
gone() { ! kill -0 "$TRUNCATE_PID" 2>/dev/null; }

check "the socket is for root only" test "$(stat -c '%a %U' "$W/ctl")" = "600 root"
check "status: nothing is out" test "$(json '[.clients, .layouts, .recalls, .fences] | add' status)" = 0
check "status: as a table" grep -q '^lease_seconds  *30$' <(ctl status)
check "exports: path, provider, layouts" test "$(json '.exports[0] | "\(.path) \(.provider) \(.layouts) \(.reason)"' exports)" = \
	"$MNT plain block none"
check "devices: the identity is the XFS's UUID" test "$(json '.devices[0].identity' devices)" = \
	"$(xfs_admin -u "$LOOP" | sed 's/.*= //; s/-//g')"
check "devices: as many bytes as the LUN has" test "$(json '.devices[0].bytes' devices)" = "$(blockdev --getsize64 "$LOOP")"

# a client that holds a layout for longer than all this takes
head -c 64M /dev/zero >"$MNT/held"
sync
"$BIN/pnfs" --device "$LUN" bench "${URL}held" 100 >"$W/bench.log" 2>&1 &
HOLDER_PID=$!
until_true "layouts: one is out" one_layout
check "layouts: by path" test "$(json '.layouts[0].path' layouts)" = "$MNT/held"
id=$(json '.clients[0].id' clients)
check "layouts: by its client" test "$(json '.layouts[0].client' layouts)" = "$id"
check "clients: from loopback, with a backchannel" test "$(json '.clients[0] | "\(.address) \(.backchannel) \(.fenced)"' clients)" = \
	"127.0.0.1 true false"
check "layouts: as a table" grep -q "^$id .* $MNT/held\$" <(ctl layouts)

kill -STOP "$HOLDER_PID"
xfs_io -c "truncate 0" "$MNT/held" &
TRUNCATE_PID=$!
until_true "recalls: one is on" one_recall
left=$(json '.recalls[0].deadline_seconds' recalls)
check "recalls: the deadline is at most 20 s away, and not over" holds "$left > 0 and $left <= 20"

check "client evict" ctl client evict "$id"
until_true "clients: it is gone" no_clients
until_true "fences: with type 3 and no command its blocks wait for time" one_fence
check "the truncate still waits" kill -0 "$TRUNCATE_PID"
check "fences: by the same ID" test "$(json '.fences[0].id' fences)" = "$id"
check "fences release" ctl fences release "$id"
until_true "fences: it is over" no_fence
until_true "the truncate went on" gone
check "status: one client was cut off or given up, nothing is out" test "$(json '[.layouts, .recalls, .fences] | add' status)" = 0
kill -CONT "$HOLDER_PID"
kill "$HOLDER_PID" 2>/dev/null
wait "$HOLDER_PID" 2>/dev/null

# ---- bad requests ----
status_of() { "$@" >/dev/null 2>"$W/err"; echo $?; }
check "an unknown command: 64" test "$(status_of ctl frobnicate)" = 64
check "not an ID: 64" test "$(status_of ctl client evict xyz)" = 64
check "an ID that is not there: 1" test "$(status_of ctl client evict 1)" = 1
check "no server there: 1, and says so" test "$(status_of "$BIN/pnfsctl" --socket "$W/none" status)" = 1
check "... in words" grep -q "pnfs-mds does not run" "$W/err"
raw() { python3 -c '
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.connect(sys.argv[1])
try:
    s.sendall(sys.stdin.buffer.read())
    s.shutdown(socket.SHUT_WR)
except OSError:
    pass
print(s.recv(65536).decode())' "$W/ctl"; }
for bad in '' 'garbage' '[]' '{}' '{"do": 3}' '{"do": "evict"}' '{"do": "evict", "id": 5}' '{"do": "evict", "id": "00112233445566778"}' '{"do":"status"'; do
	check "answered with an error: '$bad'" is_error <<<"$(printf '%s\n' "$bad" | raw)"
done
check "a request without an end is refused" is_error <<<"$(head -c 1M /dev/zero | tr '\0' x | raw)"
check "and the server goes on" test "$(json .pid status)" = "$MDS_PID"
world_mds_stop
check "the socket goes with the server" test ! -e "$W/ctl"
finish
