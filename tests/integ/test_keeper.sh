#!/bin/bash
# The server is killed while a client that does not answer may write a file: the keeper holds its lease, so that no local program frees its blocks, until the next
# life of the server has seen to the client.  And: the keeper is killed; both ends in order; two servers.
. "$(dirname "$0")/lib.sh"
world_private "$@"
requires tgtd tgtadm mkfs.xfs xfs_repair
world_init keeper 512
MDS_PORT_FIXED=$(world_port)

ctl() { "$BIN/pnfsctl" --socket "$W/ctl" --json "$@"; }
# until_true TEXT SECONDS COMMAND...
until_true() {
	local i text=$1 seconds=$2
	shift 2
	for ((i = 0; i < seconds * 10; i++)); do
		"$@" >/dev/null 2>&1 && { pass "$text"; return; }
		sleep .1
	done
	fail "$text ($*)"
}
no_layout() { [ "$(ctl layouts | grep -c '"path":')" = 0 ] && [ "$(ctl fences | grep -c '"id":')" = 0 ]; }
one_layout() { [ "$(ctl layouts | grep -o '"rw":\|"path":' | grep -c path)" = 1 ]; }
gone() { ! kill -0 "$1" 2>/dev/null; }
alive() { kill -0 "$1" 2>/dev/null; }
holds() { ls -l "/proc/$1/fd" | grep -q " $MNT/held\$"; }
other_keeper() { local pid; pid=$(world_keeper); [ -n "$pid" ] && [ "$pid" != "$1" ] && alive "$pid" && holds "$pid"; }
# No process has this state_dir for a keeper's argument.
no_keeper() { [ ! -e "$W/state/keeper" ] && [ ! -e "$W/state/keeper.pid" ] && ! grep -qsaF "$W/state" /proc/[0-9]*/cmdline; }
connects() { (exec 3<>"/dev/tcp/127.0.0.1/$MDS_PORT") 2>/dev/null; }
logged() { grep -q -- "$1" "$W/mds.log"; }
# A file that is 0xEE from one end to the other.
pattern() { [ "$(tr -d '\356' <"$1" | head -c 1 | wc -c)" = 0 ]; }

# A client that writes without end, until it is stopped; $HOLDER.
holder_start() {
	truncate -s 32M "$MNT/held"
	"$BIN/tests/integ/check_client" write "$URL" held 32 100000 5 >"$W/holder.log" 2>&1 &
	HOLDER=$!
	until_true "$1: a layout is out" 10 one_layout
	sleep .5
	kill -STOP $HOLDER
}

# What was freed belongs to others now: the client wakes up, and not one byte of it may land there.
foreign_bytes() {
	head -c 300M /dev/zero | tr '\0' '\356' >"$MNT/reuse"
	sync
	kill -CONT $HOLDER
	sleep 2
	kill $HOLDER
	wait $HOLDER 2>/dev/null
	drop_caches
	check "$1: no byte of the client in the blocks it had" pattern "$MNT/reuse"
	rm -f "$MNT/reuse" "$MNT/held"
}

for type in block scsi; do
	world_mds $type lease=6 grace=6 recall_timeout=3 max_io_time=3
	holder_start $type
	keeper=$(world_keeper)
	check "$type: the keeper is nobody's child" test "$(ps -o comm=,ppid= -p "$keeper" | tr -s ' ')" = "pnfs-keeper $(ps -o ppid= -p "$keeper" | tr -d ' ')" -a "$(ps -o ppid= -p "$keeper" | tr -d ' ')" != "$MDS_PID"
	check "$type: its socket is for root only" test "$(stat -c '%a %U' "$W/state/keeper")" = "600 root"
	check "$type: it has no capabilities" grep -q "^CapEff:[[:space:]]*0*\$" "/proc/$keeper/status"
	check "$type: it has the file" holds "$keeper"

	# ---- the keeper is killed ----
	kill -9 "$keeper"
	until_true "$type: another keeper has everything" 5 other_keeper "$keeper"
	until_true "$type: that was logged" 3 logged "keeper: started anew (process $(world_keeper)), 2 descriptors handed over"
	keeper=$(world_keeper)

	# ---- the server is killed ----
	world_mds_kill
	xfs_io -c "truncate 0" "$MNT/held" &
	truncate=$!
	sleep 4
	check "$type: without a server a local truncate waits" alive $truncate
	check "$type: ... and nothing is freed" test "$(stat -c %b "$MNT/held")" -ge 65536
	check "$type: a client that connects waits, too" connects
	world_mds_run
	began=$SECONDS
	check "$type: the same keeper" test "$(world_keeper)" = "$keeper"
	check "$type: the next life has the lease" logged "leases of before the restart are held on 1 files"
	check "$type: ... and knows who waits" logged "a local program waits for its blocks"
	world_mds_kill		# and once more
	sleep 1
	check "$type: killed again in grace: the truncate waits" alive $truncate
	world_mds_run
	began=$SECONDS
	until_true "$type: the holder was seen to: the truncate went on" 20 gone $truncate
	took=$((SECONDS - began))
	least=5; [ $type = block ] && least=8	# grace; lease and max_io_time
	check "$type: not before that (after $took s)" test $took -ge $least
	text="cut off from device\|cut off, confirmed\|lease and maximum I/O time are over"
	check "$type: as is logged" logged "$text"
	check "$type: the file is empty" test "$(stat -c %s "$MNT/held")" = 0
	until_true "$type: the keeper has let go" 3 sh -c "! ls -l /proc/$keeper/fd | grep -q ' $MNT/held\$'"
	foreign_bytes $type
	until_true "$type: what the client got since is given up" 30 no_layout
	world_mds_stop
	until_true "$type: an orderly end leaves no keeper" 3 no_keeper
done

# ---- one that does not wait for its layouts ----
# The reservation outlives the end, since a client was cut off a moment before it: the target forgets.
kill -9 "$TGT_PID"
wait "$TGT_PID" 2>/dev/null
port=$TGT_PORT
world_port() { echo "$port"; }
world_target_start
world_mds block lease=6 grace=6 recall_timeout=30 max_io_time=3
holder_start second
kill "$MDS_PID"
sleep .3
kill "$MDS_PID"
wait "$MDS_PID"
check "a second signal: the keeper has what is out" holds "$(world_keeper)"
check "... which is logged" logged "only the keeper keeps local programs from them"
# a name that goes does not free blocks either
rm "$MNT/held"
check "... also without a name" sh -c "ls -l /proc/$(world_keeper)/fd | grep -q '$MNT/held (deleted)'"
cp "$W/exports" "$W/exports.was"
: >"$W/exports"
world_mds_run
check "... and without its export the next life holds it" logged "its blocks are held, nevertheless"
world_mds_kill
cp "$W/exports.was" "$W/exports"
world_mds_run
check "... with it, too" sh -c "ls -l /proc/$MDS_PID/fd | grep -q '$MNT/held (deleted)'"
keeper=$(world_keeper)
kill "$MDS_PID"
sleep 4
check "an orderly end in grace waits for the client of before" alive "$MDS_PID"
check "... and the keeper holds its blocks" sh -c "ls -l /proc/$keeper/fd | grep -q '$MNT/held'"
until_true "... until it is no danger any more; then both end" 20 no_keeper
wait "$MDS_PID"
check "... in order" test $? = 0
foreign_bytes second
world_mds_run

# ---- two servers ----
sed -i "s/^listen=.*/listen=127.0.0.1:0/; s#^ctl=.*#ctl=$W/ctl2#" "$W/mds.conf"
"$BIN/pnfs-mds" -f -c "$W/mds.conf" >"$W/second.out" 2>&1
check "a second server with the same state_dir is refused" grep -q "another pnfs-mds runs with this state_dir" "$W/second.out"
keeper=$(world_keeper)
mkdir "$W/state2"
sed "s#^state_dir=.*#state_dir=$W/state2#" "$W/mds.conf" >"$W/mds2.conf"
: >"$W/exports2"
sed -i "s#^exports=.*#exports=$W/exports2#" "$W/mds2.conf"
"$BIN/pnfs-mds" -f -c "$W/mds2.conf" >"$W/second.out" 2>>"$W/second.log" &
second=$!
until_true "one with another state_dir is not" 5 grep -q ^READY "$W/second.out"
kill -9 $second
wait $second 2>/dev/null
second=$(cat "$W/state2/keeper.pid")
world_mds_stop
until_true "the end of a server's keeper..." 3 gone "$keeper"
check "... is not that of another one's" alive "$second"
kill "$second"
until_true "which ends when it is told to" 3 gone "$second"
check "... and leaves nothing" test ! -e "$W/state2/keeper" -a ! -e "$W/state2/keeper.pid"

umount "$MNT"
check "xfs_repair finds nothing" xfs_repair -n "$LOOP" 2>/dev/null
finish
