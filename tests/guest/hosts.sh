# The hosts of a test: guests under user-mode-linux or QEMU on a private bridge, and this host.  Sourced by scripts/test-guest.
#
#	net_up [NUMBER...]		bridge and taps (of guests 2 3 4 5), in the network namespace of its own that the script runs in
#	guest_start NAME ROLE NUMBER	boot (ROLE client|server|san); GUEST_PID[NAME]
#	guest_stop NAME			power off; guest_kill NAME: as pulling the plug
#	guest_freeze NAME, guest_thaw NAME	not an instruction more, and on again
#	on NAME [SECONDS] <<'END'	run a script on a guest, or on the host that serves ("server")
#	on NAME [SECONDS] -- COMMAND	the same for a single line
#	on_each "NAME..." COMMAND	one after the other

declare -A GUEST_PID GUEST_ADDRESS
HOST_ADDRESS=10.99.0.1

net_up() {
	local n
	ip link set lo up
	ip link add br0 type bridge
	ip addr add $HOST_ADDRESS/24 dev br0
	ip link set br0 up
	for n in ${*:-2 3 4 5}; do
		# without vnet_hdr user-mode-linux drops every large frame
		ip tuntap add dev tap$n mode tap vnet_hdr
		ip link set tap$n master br0 up
	done
}

# The folder that every guest sees as /host.
guest_folder() {
	mkdir "$W/host"
	cp "$top"/tests/guest/inside/* "$W/host/"
	cp "$BIN/tests/guest/tool/tool" "$W/host/"
}

# What init reads of the kernel's command line: guest_words NAME ROLE HOST-FOLDER
guest_words() {
	echo "quiet init=/sbin/guest-init guest.host=$3 guest.name=$1 guest.role=$2 guest.address=${GUEST_ADDRESS[$1]}"
}

# For SCSI layouts a client reaches the disk by iSCSI alone.
guest_has_disk() {
	[ "${LAYOUT:-block}" = block ] || [ "$1" != client ]
}

# Both in the background, as leaders of groups of their own.
guest_run_uml() {
	local name=$1 role=$2 number=$3 disk=
	mkdir -p "$W/uml"
	guest_has_disk "$role" && disk=ubd1c=$IMAGE
	# the disk is shared with others and cached by the host, as the loop device is: no flags but c
	TMPDIR=/dev/shm setsid linux.uml mem=${GUEST_MEMORY:-768}M uml_dir="$W/uml" umid="$name" \
		ubd0="$W/$name.cow,$GUEST_ROOT" $disk root=/dev/ubda ro rootfstype=ext4 \
		con0=null,fd:1 con=null $(guest_words "$name" "$role" "$W/host") \
		"vec0:transport=tap,ifname=tap$number,depth=128,gro=1" </dev/null >"$W/$name.console" 2>&1 &
}

# What QEMU hands a guest in the place of a folder of this host: guest_tar FOLDER FILE
guest_tar() {
	tar -c -f "$2" -C "$1" .
	truncate -s %512 "$2"
}

# The emulator, in the place of this shell: guest_qemu NUMBER TAR DISK WORD...; DISK (none: "") is shared with others and cached by the host, as ubd's
guest_qemu() {
	local number=$1 tar=$2 disk=()
	[ -z "$3" ] ||
		disk=(-drive "if=none,id=data,format=raw,cache=writeback,file.locking=off,file=$3" -device virtio-blk-pci,drive=data)
	shift 3
	exec setsid qemu-system-x86_64 -accel tcg -cpu max -m ${GUEST_MEMORY:-768} -nodefaults -display none -serial stdio -no-reboot \
		-kernel "$GUEST_KERNEL" -append "console=ttyS0 panic=-1 root=/dev/nvme0n1 rw $*" \
		-drive if=none,id=root,format=raw,snapshot=on,file="$GUEST_ROOT" -device nvme,drive=root,serial=root \
		-drive if=none,id=host,format=raw,readonly=on,file.locking=off,file="$tar" -device virtio-blk-pci,drive=host \
		"${disk[@]}" \
		-netdev tap,id=net,ifname=tap$number,script=no,downscript=no -device virtio-net-pci,netdev=net,mac=52:54:00:00:00:0$number \
		-device virtio-rng-pci
}

guest_run_qemu() {
	local disk=
	guest_has_disk "$2" && disk=$IMAGE
	guest_tar "$W/host" "$W/host.tar"
	guest_qemu "$3" "$W/host.tar" "$disk" $(guest_words "$1" "$2" /dev/vda) </dev/null >"$W/$1.console" 2>&1 &
}

guest_start() {
	local name=$1 role=$2 number=$3
	GUEST_ADDRESS[$name]=10.99.0.$number
	if [ "$KERNEL" = uml ]; then guest_run_uml "$@"; else guest_run_qemu "$@"; fi
	GUEST_PID[$name]=$!
	local i
	for i in $(seq 600); do
		on "$name" 10 -- : >/dev/null 2>&1 && return 0
		kill -0 "${GUEST_PID[$name]}" 2>/dev/null || break
		sleep .1
	done
	tail -n 20 "$W/$name.console"
	guest_kill "$name"
	return 1
}

guest_gone() {
	local i
	for i in $(seq $(($1 * 10))); do
		kill -0 "${GUEST_PID[$2]}" 2>/dev/null || break
		sleep .1
	done
	! kill -0 "${GUEST_PID[$2]}" 2>/dev/null
}

guest_stop() {
	[ -n "${GUEST_PID[$1]:-}" ] || return 0
	on "$1" 5 -- 'sync; echo o >/proc/sysrq-trigger' >/dev/null 2>&1
	guest_gone 10 "$1" || echo "guest $1 did not power off"
	guest_kill "$1"
}

guest_kill() {
	[ -n "${GUEST_PID[$1]:-}" ] || return 0
	# it leads a group of its own; those that carry its threads and its programs do not end by themselves
	kill -9 -- "-${GUEST_PID[$1]}" "${GUEST_PID[$1]}" 2>/dev/null
	wait "${GUEST_PID[$1]}" 2>/dev/null
	unset "GUEST_PID[$1]"
	rm -f "$W/$1.cow"
}

# The emulator alone: what it traces does not run without it, and a stop of its own would be an event of the guest's.
guest_freeze() {
	kill -STOP "${GUEST_PID[$1]}"
}

guest_thaw() {
	kill -CONT "${GUEST_PID[$1]}"
}

# How much slower than an idle machine: runnable tasks for each processor beside our own two; an emulated one is slow by itself.
on_slack() {
	awk -v cpus="$(nproc)" -v kernel="$KERNEL" '{
		n = int(($1 - 2) / cpus) + 1
		print (n < 1 ? 1 : n) * (kernel == "uml" ? 1 : 4)
	}' /proc/loadavg
}

# What each command finds set.
on_prelude() {
	echo "SLACK=$2 OURS=${OURS:-}"
	if [ "$1" = server ]; then
		echo "D='$SERVER_FOLDER/${FOLDER:-}' TOOL='$SERVER_TOOL'"
	else
		echo "SERVER=$SERVER_ADDRESS EXPORT='$SERVER_FOLDER' D='/mnt/nfs/${FOLDER:-}' TOOL=/host/tool"
	fi
}

# on_guest NAME SECONDS SCRIPT
on_guest() {
	local line status= fd
	# the kernel's own errors on connecting are of no interest
	{ exec {fd}<>"/dev/tcp/${GUEST_ADDRESS[$1]}/7"; } 2>/dev/null || return 99
	printf '%d %d\n%s' "${#3}" "$2" "$3" >&$fd
	while IFS= read -r -t $(($2 + 15)) line <&$fd; do
		case $line in
		STATUS\ *) status=${line#STATUS }; break ;;
		?*) printf '%s\n' "$line" ;;
		esac
	done
	exec {fd}>&-
	if [ -z "$status" ]; then
		echo "guest $1 gives no answer after $(($2 + 15)) s"
		return 98
	fi
	return "$status"
}

on() {
	local name=$1 seconds=60 slack script
	shift
	case ${1:-} in [0-9]*) seconds=$1; shift ;; esac
	if [ "${1:-}" = -- ]; then shift; script=$*; else script=$(cat); fi
	slack=$(on_slack)
	seconds=$((seconds * slack))
	script="$(on_prelude "$name" "$slack")
$script"
	if [ "$name" = server ] && [ "$SERVER_KIND" = ours ]; then
		timeout -k 5 "$seconds" bash -c '. "$0"/tests/guest/inside/lib.sh; eval "$1"' "$top" "$script" </dev/null 2>&1
	else
		LC_ALL=C on_guest "$name" "$seconds" "$script"
	fi
}

on_each() {
	local name
	for name in $1; do on "$name" -- "${*:2}"; done
}
