# A small world to show and test things in: one XFS on a loop device, the same image as an iSCSI LUN by tgtd on
# loopback, and pnfs-mds exporting the XFS.  Sourced by scripts/demo, scripts/bench and tests/integ/test_*.sh, as root.
#
#	world_private "$@"		re-run the script in a mount namespace of its own (first thing)
#	world_init NAME [MiB]		folder $W, image, loop device $LOOP, XFS mounted on $MNT, LUN at $LUN
#	world_folder NAME [MiB]		the folder and the empty image only; world_disk: the XFS, without a target
#	world_mds [block|scsi] [key=value...]	start pnfs-mds ($MDS_PID, $MDS_PORT, $URL = nfs://.../ of the export)
#	world_mds_stop, world_mds_kill	orderly; kill -9 (the keeper goes on)
#	world_keeper			the keeper's process, or nothing
#	world_end			everything away again (also runs on exit)
#
# $BIN: where pnfs-mds and pnfs are (the build folder).  $MDS_ADDRESS, $CAPTURE_DEVICE: loopback, unless set.

world_private() {
	[ -n "${WORLD_PRIVATE:-}" ] && return 0
	exec env WORLD_PRIVATE=1 unshare --mount --propagation private -- bash "$0" "$@"
}

world_fail() {
	echo "world: $*" >&2
	exit 1
}

# A TCP port nobody listens on.
world_port() {
	local port
	for _ in 1 2 3 4 5 6 7 8 9 10; do
		port=$((20000 + RANDOM % 10000))
		ss -Hltn "sport = :$port" | grep -q . || { echo "$port"; return 0; }
	done
	return 1
}

world_tgtadm() {
	tgtadm -C "$TGT_CONTROL" --lld iscsi "$@"
}

# The target: defaults of tgtd make it three times slower than these.
world_target_start() {
	TGT_PORT=$(world_port) || world_fail "no free port"
	TGT_CONTROL=$((TGT_PORT - 20000 + 100))
	IQN=iqn.2026-11.org.pnfs-block:$(basename "$W")
	tgtd -f --iscsi portal="127.0.0.1:$TGT_PORT" -C "$TGT_CONTROL" >>"$W/tgtd.log" 2>&1 &
	TGT_PID=$!
	for _ in $(seq 50); do
		world_tgtadm --op show --mode sys >/dev/null 2>&1 && break
		sleep .1
	done
	world_tgtadm --op new --mode target --tid 1 -T "$IQN" || world_fail "tgtd does not start: see $W/tgtd.log"
	local name
	for name in MaxRecvDataSegmentLength MaxXmitDataSegmentLength FirstBurstLength; do
		world_tgtadm --op update --mode target --tid 1 --name $name --value 262144
	done
	world_tgtadm --op update --mode target --tid 1 --name MaxBurstLength --value 1048576
	world_tgtadm --op new --mode logicalunit --tid 1 --lun 1 -b "$IMAGE" || world_fail "tgtd does not take the image"
	world_tgtadm --op bind --mode target --tid 1 -I ALL
	LUN="iscsi://127.0.0.1:$TGT_PORT/$IQN/1"
}

# tgtd ignores SIGTERM while it has a target.
world_target_stop() {
	[ -n "${TGT_PID:-}" ] || return 0
	world_tgtadm --op delete --force --mode target --tid 1 >/dev/null 2>&1
	tgtadm -C "$TGT_CONTROL" --op delete --mode system >/dev/null 2>&1
	for _ in $(seq 50); do
		kill -0 "$TGT_PID" 2>/dev/null || break
		sleep .1
	done
	kill -9 "$TGT_PID" 2>/dev/null
	wait "$TGT_PID" 2>/dev/null
	TGT_PID=
}

world_folder() {
	[ "$(id -u)" = 0 ] || world_fail "needs root"
	W=$(mktemp -d "${TMPDIR:-/var/tmp}/pnfs-$1.XXXXXX")
	trap world_end EXIT
	trap 'exit 130' INT TERM
	IMAGE=$W/lun.img MNT=$W/mnt LOOP= MDS_PID=
	mkdir "$MNT" "$W/state"
	truncate -s "${2:-1024}M" "$IMAGE"
}

world_init() {
	world_folder "$@"
	world_disk
	world_target_start
}

# The XFS in the image.
world_disk() {
	# Buffered like tgtd's: mixing direct and buffered I/O on one image shuts XFS down.
	LOOP=$(losetup --find --show --direct-io=off "$IMAGE") || world_fail "no loop device"
	mkfs.xfs -q "$LOOP" || world_fail "mkfs.xfs"
	mount -t xfs "$LOOP" "$MNT" || world_fail "mount"
}

# world_mds [block|scsi] [key=value ...]: settings of [server], or of [device] with "device.key=value", or "opts=..." for the export.
world_mds() {
	local type=${1:-block} kv lease=90 grace=90 recall_timeout=30 server= device= opts=
	shift
	for kv in "$@"; do
		case $kv in
		lease=*|grace=*|recall_timeout=*) eval "${kv%%=*}=${kv#*=}" ;;
		device.*) device="$device${kv#device.}"$'\n' ;;
		opts=*) opts=,${kv#opts=} ;;
		*) server="$server$kv"$'\n' ;;
		esac
	done
	cat >"$W/mds.conf" <<-END
	[server]
	listen=${MDS_ADDRESS:-127.0.0.1}:${MDS_PORT_FIXED:-0}
	state_dir=$W/state
	ctl=$W/ctl
	exports=$W/exports
	lease=$lease
	grace=$grace
	recall_timeout=$recall_timeout
	$server
	[device lun]
	path=$LOOP
	iscsi_url=$LUN
	initiator_name=iqn.2026-11.org.pnfs-block:mds
	allow_no_ptpl=yes
	$device
	END
	echo "$MNT *(rw,no_root_squash,pnfs,layouts=$type,device=lun$opts)" >"$W/exports"
	world_mds_run
}

# Start it with the configuration that is there.
world_mds_run() {
	: >"$W/mds.out"
	"$BIN/pnfs-mds" -f -c "$W/mds.conf" >>"$W/mds.out" 2>>"$W/mds.log" &
	MDS_PID=$!
	for _ in $(seq 200); do
		grep -q ^READY "$W/mds.out" && break
		kill -0 "$MDS_PID" 2>/dev/null || break
		sleep .05
	done
	MDS_PORT=$(sed -n 's/^READY port=//p' "$W/mds.out")
	[ -n "$MDS_PORT" ] || { cat "$W/mds.out" "$W/mds.log" >&2; world_fail "pnfs-mds does not start"; }
	MDS_PORT_FIXED=$MDS_PORT	# the same after a restart
	URL=nfs://${MDS_ADDRESS:-127.0.0.1}:$MDS_PORT$MNT/
}

# It waits for layouts that are out; a second signal ends that.
world_mds_stop() {
	[ -n "${MDS_PID:-}" ] || return 0
	for _ in 1 2; do
		kill "$MDS_PID" 2>/dev/null
		for _ in $(seq 100); do
			kill -0 "$MDS_PID" 2>/dev/null || break 2
			sleep .05
		done
	done
	kill -9 "$MDS_PID" 2>/dev/null && echo "world: pnfs-mds did not end by itself" >&2
	wait "$MDS_PID" 2>/dev/null
	MDS_PID=
}

world_mds_kill() {
	kill -9 "$MDS_PID"
	wait "$MDS_PID" 2>/dev/null
	MDS_PID=
}

world_keeper() {
	cat "$W/state/keeper.pid" 2>/dev/null
}

# It outlives a server that was killed, and one that did not wait for its layouts.
world_keeper_end() {
	local pid
	pid=$(world_keeper)
	[ -n "$pid" ] || return 0
	kill "$pid" 2>/dev/null
	for _ in $(seq 100); do
		kill -0 "$pid" 2>/dev/null || return 0
		sleep .05
	done
	kill -9 "$pid"
}

# Operations the server counted since it was started: mds_ops READ -> a number.
mds_ops() {
	local before after
	before=$(grep -c ^OPS "$W/mds.out")
	kill -USR1 "$MDS_PID"
	for _ in $(seq 100); do
		after=$(grep -c ^OPS "$W/mds.out")
		[ "$after" -gt "$before" ] && break
		sleep .02
	done
	grep ^OPS "$W/mds.out" | tail -n 1 | tr ' ' '\n' | sed -n "s/^$1=//p" | grep . || echo 0
}

# What local programs see: nothing from the page cache.
drop_caches() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

world_end() {
	trap - EXIT
	[ -n "${CAPTURE_PID:-}" ] && kill "$CAPTURE_PID" 2>/dev/null
	world_mds_stop
	world_keeper_end
	mountpoint -q "$MNT" && umount "$MNT"
	world_target_stop
	[ -n "${LOOP:-}" ] && losetup -d "$LOOP"
	[ -n "${KEEP:-}" ] || rm -rf "$W"
}

# ---- proof on the wire ----

# capture_start FILE PORT; capture_stop
capture_start() {
	tshark -q -i "${CAPTURE_DEVICE:-lo}" -f "tcp port $2" -s 0 -w "$1" >"$1.log" 2>&1 &
	CAPTURE_PID=$!
	for _ in $(seq 100); do
		grep -q "Capturing on" "$1.log" && break
		sleep .05
	done
	sleep .3
}

capture_stop() {
	sleep .7		# what is still in the ring
	kill "$CAPTURE_PID"
	wait "$CAPTURE_PID" 2>/dev/null
	CAPTURE_PID=
}

# capture_calls FILE PORT: "OPCODE COUNT" lines of all NFSv4 operations in calls
capture_calls() {
	tshark -r "$1" -d "tcp.port==$2,rpc" -Y 'rpc.msgtyp == 0 && nfs.opcode' -T fields -e nfs.opcode 2>/dev/null |
		tr ',' '\n' | sort -n | uniq -c | awk '{print $2, $1}'
}

capture_count() {
	capture_calls "$1" "$2" | awk -v op="$3" '$1 == op {n = $2} END {print n + 0}'
}

# Frames the dissector finds malformed.
capture_malformed() {
	tshark -r "$1" -d "tcp.port==$2,rpc" -Y _ws.malformed 2>/dev/null | wc -l
}
