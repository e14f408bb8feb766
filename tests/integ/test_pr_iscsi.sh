#!/bin/sh
# Persistent reservations at a real target (Debian's tgtd): PITFALLS B1, B4, B5, B8, B9.
. "${srcdir:-.}/tests/integ/lib.sh"
integ_begin tgtd tgtadm
IMAGE=$T/image
truncate -s 64M "$IMAGE"
start_tgtd
mkfifo "$T/in"
"${builddir:-.}/tests/integ/check_pr" "$URL" <"$T/in" >"$T/out" 2>&1 &
pid=$!
exec 3>"$T/in"
wait_for 60 sh -c "grep -q RESTART '$T/out' || ! kill -0 $pid"
kill_tgtd
start_tgtd
echo go >&3
wait $pid
rc=$?
cat "$T/out"
exit $rc
