#!/bin/bash
# Persistent reservations at a real target (Debian's tgtd): PITFALLS B1, B4, B5, B8, B9.
. "$(dirname "$0")/lib.sh"
world_private "$@"
requires tgtd tgtadm mkfs.xfs
world_init pr 512
mkfifo "$W/in"
"$BIN/tests/integ/check_pr" "$LUN" <"$W/in" >"$W/out" &
pid=$!
exec 3>"$W/in"
# Half-way the target loses its power and comes back, at the same address, with nothing.
for _ in $(seq 600); do
	grep -q RESTART "$W/out" && break
	kill -0 $pid 2>/dev/null || break
	sleep .1
done
kill -9 "$TGT_PID"
wait "$TGT_PID" 2>/dev/null
eval "world_port() { echo $TGT_PORT; }"
world_target_start
echo go >&3
wait $pid || test_failed=1
cat "$W/out"
finish
