#!/bin/bash
# What test_keeper.sh shows for provider plain, for provider kernel, in a guest: the server is killed while clients hold layouts; the keeper holds the nfsd of then,
# so that whoever waits for a layout waits on, until the next life of the server has seen to the clients.
#
#	MUTATION=keeper|end	what must make it fail: no keeper; the old nfsd dies with the server
. "$(dirname "$0")/guest.sh"
guest_world "$@"
cat >"$W/host/keeper_guest" <<'END'
# In the guest: keeper_guest [MUTATION]
MUTATION=$1
world_init keeper 512
MDS_PORT_FIXED=$(world_port)
export DEV=$LUN

ctl() { "$BIN/pnfsctl" --socket "$W/ctl" --json "$@"; }
# until_true TEXT SECONDS COMMAND...
until_true() {
	local i text=$1 seconds=$2
	shift 2
	for ((i = 0; i < seconds * 5; i++)); do
		"$@" >/dev/null 2>&1 && { pass "$text"; return; }
		sleep .2
	done
	fail "$text ($*)"
}
layouts() { [ "$(ctl layouts | grep -o '"rw":\|"path":' | grep -c path)" = "$1" ]; }
gone() { ! kill -0 "$1" 2>/dev/null; }
alive() { kill -0 "$1" 2>/dev/null; }
logged() { grep -q -- "$1" "$W/mds.log"; }
nfsds() { [ "$(pgrep -x pnfs-nfsd | wc -l)" = "$1" ] && [ "$(pgrep -x nfsd | wc -l)" = $((8 * $1)) ]; }
no_keeper() { [ ! -e "$W/state/keeper" ] && [ ! -e "$W/state/keeper.pid" ]; }
pattern() { [ "$(tr -d '\356' <"$1" | head -c 1 | wc -c)" = 0 ]; }
switches() { sed -n 's/^voluntary_ctxt_switches:[[:space:]]*//p' "/proc/$1/status"; }

# A client that writes FILE without end; $HOLDER
holder_start() {
	truncate -s 16M "$MNT/$1"
	"$BIN/tests/integ/check_client" write "$URL" "$1" 16 100000 5 >"$W/holder.log" 2>&1 &
	HOLDER=$!
	until_true "$1: a layout is out" 30 layouts 1
	sleep .5
}

server() {
	local keeper=yes
	[ "$MUTATION" = keeper ] && keeper=no
	world_mds block lease=6 grace=6 recall_timeout=3 max_io_time=3 keeper=$keeper opts=provider=kernel
	grep -q "provider=kernel layouts=block" "$W/mds.out" || fail "another provider"
}

server_kill() {
	world_mds_kill
	[ "$MUTATION" != end ] || kill -9 $(pgrep -x pnfs-nfsd)
}

server
sleep 11		# nfsd's grace

# ---- a client that does not answer ----
holder_start silent
kill -STOP $HOLDER
nfsd=$(pgrep -x pnfs-nfsd)
server_kill
sleep 1
check "silent: nfsd outlives the server" nfsds 1
xfs_io -c "truncate 0" "$MNT/silent" &
truncate=$!
sleep 2
before=$(switches $nfsd)
sleep 3
check "silent: without a server a local truncate waits" alive $truncate
check "silent: ... and nothing is freed" test "$(stat -c %b "$MNT/silent")" -ge 32768
check "silent: ... and nfsd asks, and is answered" test $(($(switches $nfsd) - before)) -gt 20
world_mds_run
check "silent: the next life knows" logged "leases of before the restart are held by the nfsd of then"
check "silent: ... and has an nfsd of its own" nfsds 2
server_kill		# and once more
sleep 1
check "silent: killed again in grace: the truncate waits" alive $truncate
check "silent: ... for the nfsd of the first life; the second gave nothing" nfsds 1
world_mds_run
began=$SECONDS
until_true "silent: the client was seen to: the truncate went on" 30 gone $truncate
took=$((SECONDS - began))
check "silent: not before that (after $took s)" test $took -ge 8
check "silent: as is logged" logged "lease and maximum I/O time are over"
check "silent: the file is empty" test "$(stat -c %s "$MNT/silent")" = 0
until_true "silent: one nfsd is left" 5 nfsds 1
head -c 300M /dev/zero | tr '\0' '\356' >"$MNT/reuse"
sync
kill -CONT $HOLDER
sleep 2
kill $HOLDER
wait $HOLDER 2>/dev/null
drop_caches
check "silent: no byte of the client in the blocks it had" pattern "$MNT/reuse"
rm -f "$MNT/reuse" "$MNT/silent"
until_true "silent: what the client got since is given up" 30 layouts 0

# ---- one that is there ----
holder_start there
server_kill
xfs_io -c "truncate 4096" "$MNT/there" &
truncate=$!
sleep 3
check "there: without a server a local truncate waits" alive $truncate
world_mds_run
began=$SECONDS
until_true "there: the client came back: the truncate went on" 30 gone $truncate
echo "there: after $((SECONDS - began)) s"
until_true "there: one nfsd is left" 5 nfsds 1
kill $HOLDER
wait $HOLDER 2>/dev/null
until_true "there: its layouts are given up" 30 layouts 0
rm -f "$MNT/there"

# ---- the break is older than the end of the server; before, the keeper was another ----
holder_start broken
kill -9 "$(world_keeper)"
until_true "broken: another keeper has nfsd" 10 logged "2 descriptors handed over"
kill -STOP $HOLDER
xfs_io -c "truncate 0" "$MNT/broken" &
truncate=$!
sleep 1
server_kill
sleep 4
check "broken: asked for before the server was killed: the truncate waits" alive $truncate
world_mds_run
until_true "broken: until the client was seen to" 30 gone $truncate
kill $HOLDER
kill -CONT $HOLDER
wait $HOLDER 2>/dev/null
until_true "broken: one nfsd is left" 10 nfsds 1
rm -f "$MNT/broken"
world_mds_stop
until_true "an orderly end leaves no keeper" 5 no_keeper
check "... and no nfsd" nfsds 0

# ---- nfsd ends under a server that lives: another one ----
server
sleep 11
holder_start lost
nsenter -t "$(pgrep -x pnfs-nfsd)" -m -n sh -c 'echo 0 >/run/nfsd/threads'
until_true "lost: is noticed" 5 logged "the session is lost"
until_true "lost: all is recalled, and nfsd started anew" 20 logged "nfsd: started anew"
check "lost: one nfsd is there" nfsds 1
kill $HOLDER
wait $HOLDER 2>/dev/null
until_true "lost: layouts are given up" 30 layouts 0
sleep 11
holder_start again
xfs_io -c "truncate 0" "$MNT/again"
check "lost: a local truncate goes on when the client has returned" test $? = 0
kill $HOLDER
wait $HOLDER 2>/dev/null
world_mds_stop
until_true "lost: an orderly end leaves no keeper" 5 no_keeper
check "... and no nfsd" nfsds 0

# ---- one that does not wait for its layouts ----
server
holder_start second
kill -STOP $HOLDER
kill "$MDS_PID"
sleep .3
kill "$MDS_PID"
wait "$MDS_PID"
check "a second signal: nfsd is left, with what is out" nfsds 1
check "... which is logged" logged "only the keeper keeps local programs from them"
xfs_io -c "truncate 0" "$MNT/second" &
truncate=$!
sleep 3
check "... and a local truncate waits" alive $truncate
world_mds_run
kill "$MDS_PID"
sleep 3
check "an orderly end in grace waits for the client of before" alive "$MDS_PID"
check "... and so does the truncate" alive $truncate
until_true "... until it is no danger any more" 30 gone $truncate
until_true "... then all end" 10 no_keeper
wait "$MDS_PID"
check "... in order" test $? = 0
check "... with nfsd" nfsds 0
kill -CONT $HOLDER
kill $HOLDER
wait $HOLDER 2>/dev/null
MDS_PID=
grep -E "Sanitizer:|runtime error:" "$W/mds.log" && fail "a sanitizer's report"
if umount "$MNT" && xfs_repair -n "$LOOP" >/dev/null 2>&1; then
	pass "xfs_repair finds nothing"
else
	fail "xfs_repair, or something holds the mount"
fi
[ $test_failed = 0 ] || tail -n 150 "$W/mds.log" | sed 's/^/    mds: /'
END
guest_run 500 keeper_guest "${MUTATION:-}" >"$W/keeper.log"
[ $? = 0 ] || test_failed=1
cat "$W/keeper.log"
guest_stop server
finish
