#!/bin/bash
# LAYOUTGET of provider kernel beside knfsd's own, by turns in one guest, for doc/providers.md.  Not a test: it prints lines FIGURE.  By hand, on a quiet machine.
#
#	KERNEL=uml|6.12|7|...	ROUNDS=7	SECONDS_EACH=2	of the guest; of each; of a round of what is held
. "$(dirname "$0")/guest.sh"
guest_world "$@"
cat >"$W/host/layoutget_guest" <<'INSIDE'
# In the guest: layoutget_guest ROUNDS SECONDS
ROUNDS=$1 SECONDS_EACH=$2
echo "KERNEL $(uname -r)"
world_init layoutget 600
folder=/srv/x disk=$W/other port=2050
truncate -s 600M $disk
disk=$(losetup --find --show $disk)
@KNFSD@
export MDS_PORT_FIXED=2049
world_mds block lease=90 grace=0 opts=provider=kernel
grep "^EXPORT.*provider=kernel layouts=block" "$W/mds.out" || { cat "$W/mds.out"; exit 1; }
for at in $folder "$MNT"; do
	head -c 64M /dev/zero >$at/data
	mkdir $at/written $at/empty
	for i in $(seq -w 0 99); do head -c 1M /dev/zero >$at/written/f$i; done
done
sync
sleep 12		# nfsd's grace, of both

# load SERVER MODE PATH: p50 in us
load() {
	local port=2050 at=$folder pid=$$
	[ $1 = knfsd ] || port=$MDS_PORT at=$MNT pid=$MDS_PID
	/host/tests/bench/mdsload $port $pid $at/$3 $2 1 1 $SECONDS_EACH | sed -n 's/.*"p50_us": \([0-9.]*\),.*/\1/p'
}

# New files of a MiB without a block.
empty_again() {
	rm -f $1/empty/f*
	for i in $(seq -w 0 99); do truncate -s 1M $1/empty/f$i; done
	sync
}

for what in seq:data layoutget:data layoutmiss:written layoutmiss:empty; do
	for round in $(seq $ROUNDS); do
		[ $what != layoutmiss:empty ] || { empty_again $folder; empty_again "$MNT"; }
		# what was given back is let go by provider kernel after two seconds
		[ ${what%:*} != layoutmiss ] || sleep 3
		for server in knfsd kernel; do
			load $server ${what%:*} ${what#*:} >>"$W/$what.$server"
		done
	done
	paste <(sort -n "$W/$what.knfsd") <(sort -n "$W/$what.kernel") | awk -v what=$what '
		{knfsd[NR] = $1; kernel[NR] = $2}
		END {m = int((NR + 1) / 2)
			printf "FIGURE %s: kernel %.0f us (%.0f to %.0f), knfsd %.0f us (%.0f to %.0f), ratio %.2f, %d rounds\n", what,
				kernel[m], kernel[1], kernel[NR], knfsd[m], knfsd[1], knfsd[NR], knfsd[m] ? kernel[m] / knfsd[m] : 0, NR}'
done
exportfs -ua
echo 0 >/proc/fs/nfsd/threads
umount $folder
losetup -d $disk
world_mds_stop
umount "$MNT"
INSIDE
server_knfsd_start >"$W/knfsd"
sed -i -e "/^@KNFSD@/{r $W/knfsd" -e 'd}' "$W/host/layoutget_guest"
guest_run 900 layoutget_guest "${ROUNDS:-7}" "${SECONDS_EACH:-2}" >"$W/log" 2>&1
status=$?
grep -E '^(FIGURE|EXPORT|KERNEL)' "$W/log"
[ "$status" = 0 ] || { cat "$W/log"; fail "layoutget_guest"; }
guest_stop server
finish
