# Sourced by test_wire_*.sh, test_restart.sh and test_garbage.sh after lib.sh: run suites of the scripted client, serving its "DO command" lines
# in this shell (world_mds_kill and the like).
#
#	wire_run block|scsi LEASE RECALL SUITE...

wire_run() {
	local type=$1 lease=$2 recall=$3 line out in pid
	shift 3
	export MDS_PID
	coproc WIRE { "$BIN/tests/integ/wire/wire" "$MDS_PORT" "$MNT" "$IMAGE" "$LUN" "$type" "$lease" "$recall" "$@" 2>>"$W/wire.log"; }
	# of our own: bash closes a coprocess's as soon as it has ended, read or not
	exec {out}<&"${WIRE[0]}" {in}>&"${WIRE[1]}"
	pid=$WIRE_PID
	while read -r line <&"$out"; do
		case $line in
		DO\ *)
			eval "${line#DO }" >>"$W/do.log" 2>&1
			echo $? >&"$in" ;;
		FAIL:*) echo "$line"; test_failed=1 ;;
		*) echo "$line" ;;
		esac
	done
	wait "$pid" || test_failed=1
	exec {out}<&- {in}>&-
	if [ "$test_failed" != 0 ]; then
		sed 's/^/    /' "$W/wire.log"
		tail -n 60 "$W/mds.log" | sed 's/^/    mds: /'
	fi
}

# All that goes over the wire, and tshark's opinion of it.
wire_capture() {
	capture_start "$W/wire.pcap" "$MDS_PORT"
}

wire_capture_check() {
	capture_stop
	local frames malformed
	frames=$(tshark -r "$W/wire.pcap" -d "tcp.port==$MDS_PORT,rpc" -Y nfs 2>/dev/null | wc -l)
	malformed=$(capture_malformed "$W/wire.pcap" "$MDS_PORT")
	check "A25: tshark finds no malformed frame among $frames of NFS" test "$malformed" = 0 -a "$frames" -gt 100
}
