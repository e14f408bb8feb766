# One crash: a guest serves two clients on this host, is cut off, and what its disk holds is judged.  Sourced by scripts/test-crash.
#
#	crash_prepare		in $W: what guests see, and the disk that each cycle begins with
#	crash_cycle N		cycle N of $SEED with $PROVIDER, in $C, by guest number $SLOT: $FREEZE crashes by stopping the guest, one by
#				killing it.  Calls crash_told N STATUS for each; CYCLE_TEXT
#	crash_damages		the checker finds damage that is done to what the last cycle left in $C
#
# The disk is a file of this host, written by the guest (ubd, virtio) and by the clients (O_DIRECT): what was written to it when the guest is
# killed stays, whatever was only in the guest's memory is gone.  That is a power cut of the server, with a disk that keeps what it was sent: a disk
# that forgets its write cache is not modelled.

CRASH=$BIN/tests/guest/crash/crash
CRASH_MIB=320
# What an emulated processor does, it does so much later.
SLOWER=$([ "$KERNEL" = uml ] && echo 1 || echo 5)

crash_prepare() {
	mkdir "$W/host"
	cp "$top/tests/guest/crash/init" "$W/host/init"
	server_program "$BIN/pnfs-mds" "$W/host/mds"
	server_keeper "$W/host/mds"
	[ "$KERNEL" = uml ] || guest_tar "$W/host" "$W/host.tar"
	truncate -s ${CRASH_MIB}M "$W/blank"
	"$CRASH" fill "$W/blank" || return 1
	# -K: no discard, the pattern stays wherever no metadata is
	mkfs.xfs -q -K "$W/blank" >"$W/mkfs.log" 2>&1 || { cat "$W/mkfs.log"; return 1; }
}

# The dice of a cycle, by seed and number alone: crash_roll BELOW; ROLLED
crash_roll() {
	ROLL=$(((ROLL ^ ROLL >> 29) * 6364136223846793005 + 1442695040888963407 & 0x7fffffffffffffff))
	ROLLED=$(((ROLL >> 31) % $1))
}

crash_sleep() {
	sleep $(($1 / 1000)).$(printf %03d $(($1 % 1000)))
}

# What is printed to a guest's console or a client's output: crash_await FILE TEXT SECONDS; $SLOWER times as long
crash_await() {
	local i
	for ((i = 0; i < $3 * 20 * SLOWER; i++)); do
		grep -qs "$2" "$1" && return 0
		sleep .05
	done
	return 1
}

# In the background, as the leader of a group of its own; $GUEST
crash_guest() {
	local words="quiet init=/sbin/guest-init guest.address=10.99.0.$SLOT guest.provider=$PROVIDER"
	if [ "$KERNEL" != uml ]; then
		GUEST_MEMORY=512 guest_qemu "$SLOT" "$W/host.tar" "$C/disk" $words guest.host=/dev/vda </dev/null >"$C/console" 2>&1 &
	else
		mkdir -p "$C/uml"
		TMPDIR=/dev/shm setsid linux.uml mem=256M uml_dir="$C/uml" umid=server \
			ubd0="$C/root.cow,$GUEST_ROOT" ubd1c="$C/disk" root=/dev/ubda ro rootfstype=ext4 con0=null,fd:1 con=null \
			$words guest.host="$W/host" \
			"vec0:transport=tap,ifname=tap$SLOT,depth=128,gro=1,mac=52:54:00:00:00:0$SLOT" </dev/null >"$C/console" 2>&1 &
	fi
	GUEST=$!
}

crash_boot() {
	crash_guest
	crash_await "$C/console" '^READY\|^CRASH' 60
	grep -q "provider=$PROVIDER layouts=block" "$C/console" && grep -q ^READY "$C/console"
}

# Now and then a guest is deaf from the start: that one is given up, and another is booted.
crash_reach() {
	local i
	for i in 1 2 3 4; do
		timeout $((5 * SLOWER)) bash -c "exec 3<>/dev/tcp/10.99.0.$SLOT/2049" 2>/dev/null && return 0
		sleep .2
	done
	crash_cut
	return 1
}

# As pulling the plug: all that carries the guest, and then nothing of it is left that could still write.
crash_cut() {
	kill -9 -- "-$GUEST" 2>/dev/null
	wait "$GUEST" 2>/dev/null
	while kill -0 -- "-$GUEST" 2>/dev/null; do sleep .005; done
	rm -f "$C/root.cow"
	GUEST=
}

crash_clients() {
	local i
	for i in 0 1; do
		"$CRASH" write "nfs://10.99.0.$SLOT:2049/srv/x/" "$C/disk" "$C/journal" $i "$1" >"$C/client$i" 2>"$C/client$i.errors" &
		CLIENTS+=($!)
	done
	for i in 0 1; do
		crash_await "$C/client$i" ready 40 || return 1
	done
}

crash_kill_clients() {
	local pid
	for pid in "${CLIENTS[@]}"; do
		kill -9 "$pid" 2>/dev/null
		wait "$pid" 2>/dev/null
	done
	CLIENTS=()
}

crash_end() {
	crash_kill_clients
	[ -z "$GUEST" ] || crash_cut
	mountpoint -q "$C/mnt" && umount "$C/mnt"
	[ -z "$LOOP" ] || losetup -d "$LOOP"
	LOOP=
}

# Log replay by this host's kernel.  Others' disks have the same UUID.  crash_mount DISK
crash_mount() {
	LOOP=$(losetup --find --show "$1") && mount -t xfs -o nouuid "$LOOP" "$C/mnt"
}

crash_unmount() {
	umount "$C/mnt" && losetup -d "$LOOP" && LOOP=
}

# What is left: files against the journal, the file system against itself.  crash_judge DISK JOURNAL
crash_judge() {
	local bad=0
	# kept for whoever wants to see what was there before the replay
	[ -z "${KEEP:-}" ] || cp --sparse=never "$1" "$C/cut"
	crash_mount "$1" || { echo "BAD replay: it cannot be mounted"; return 1; }
	"$CRASH" check "$C/mnt" "$2" || bad=1
	crash_unmount || { echo "BAD umount"; return 1; }
	xfs_repair -n "$1" >"$C/repair" 2>&1 || { echo "BAD repair"; cat "$C/repair"; bad=1; }
	return $bad
}

# The guest's kernel and its I/O threads; under user-mode-linux its programs' processes are traced by it, so that they stand when it does:
# crash_kernels SIGNAL
crash_kernels() {
	local pid tracer
	for pid in $(pgrep -g "$GUEST"); do
		tracer=$(sed -n 's/^TracerPid:[[:space:]]*//p' "/proc/$pid/status" 2>/dev/null)
		[ "$tracer" != 0 ] || kill "-$1" "$pid"
	done
}

# Some time of writing, then the guest is stopped or killed at a random moment, and the clients a while later: meanwhile they go on writing what was granted
# to them; it must be theirs still, whatever the replay makes of it.  crash_moment STOP|KILL
crash_moment() {
	local pid
	crash_roll $((2500 * SLOWER))
	CYCLE_TEXT="by=$1 run=${ROLLED}ms"
	crash_sleep "$ROLLED"
	if [ "$1" = KILL ]; then crash_cut; else crash_kernels STOP; fi
	crash_roll $((300 * SLOWER))
	CYCLE_TEXT="$CYCLE_TEXT linger=${ROLLED}ms"
	crash_sleep "$ROLLED"
	if [ "$1" = KILL ]; then crash_kill_clients; else kill -STOP "${CLIENTS[@]}"; fi
}

crash_start() {
	rm -rf "$C"
	mkdir -p "$C/mnt"
	cp --sparse=never "$W/blank" "$C/disk"
	: >"$C/journal"
	GUEST= CLIENTS=() LOOP= CYCLE_TEXT=
	crash_boot && { crash_reach || { crash_boot && crash_reach; }; } || { CYCLE_TEXT="the guest does not start"; return 1; }
	# nfsd grants nothing in its first ten seconds: one cycle in eight looks at those
	crash_roll 8
	[ "$PROVIDER" = plain ] || [ "$ROLLED" = 0 ] || sleep 10
	crash_clients $((SEED * 100000 + $1)) && crash_alive || { CYCLE_TEXT="the clients do not start"; return 1; }
}

# Work goes on: the journal grows, by 50 records at least.
crash_alive() {
	local i before
	before=$(stat -c %s "$C/journal")
	for ((i = 0; i < 300 * SLOWER; i++)); do
		[ "$(stat -c %s "$C/journal")" -lt $((before + 1600)) ] || return 0
		sleep .1
	done
	return 1
}

# The disk as it is when the guest and the clients are stopped is what it would be if they were killed; then they go on.
crash_freeze() {
	crash_moment STOP
	cp --sparse=never "$C/disk" "$C/frozen"
	cp "$C/journal" "$C/frozen-journal"
	kill -CONT "${CLIENTS[@]}"
	crash_kernels CONT
	crash_judge "$C/frozen" "$C/frozen-journal" >"$C/verdict" 2>&1 || return 1
	crash_alive || { echo "BAD guest: hardly anything is done any more" >>"$C/verdict"; return 1; }
}

crash_kill() {
	crash_moment KILL
	crash_judge "$C/disk" "$C/journal" >"$C/verdict" 2>&1
}

# crash_cycle N: calls crash_told N[.K] STATUS for each crash
crash_cycle() {
	local k
	ROLL=$((SEED * 1000003 + $1))
	crash_roll 2
	if crash_start "$1"; then
		for ((k = 1; k <= FREEZE; k++)); do
			crash_freeze
			crash_told "$1.$k" $?
		done
		crash_kill
		crash_told "$1" $?
	else
		crash_told "$1" 1
	fi
	crash_end
}

# crash_damages: lines "KIND found" or "KIND not found"
crash_damages() {
	local kind
	LOOP=
	crash_mount "$C/disk" || { echo "mount not found"; return; }
	for kind in foreign foreign-device foreign-file lost short missing; do
		"$CRASH" damage "$C/mnt" "$C/journal" $kind >"$C/damage" || { echo "$kind not done"; continue; }
		"$CRASH" check "$C/mnt" "$C/journal" | grep -q "^BAD $kind " && echo "$kind found" || echo "$kind not found"
	done
	crash_unmount
}
