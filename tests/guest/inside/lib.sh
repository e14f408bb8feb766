# What scenarios call on a client (and, for data, on the server).  Sourced before each command that tests/guest/hosts.sh
# sends; a command that fails ends the whole.  The host sets before:
#	SERVER, EXPORT	what to mount; on a client it is /mnt/nfs
#	D		the scenario's folder, as this host sees it
#	SLACK		how many times slower than an idle machine this one is
#	NFSD		set if the server is the kernel's
#	TOOL		the program of tests/guest/tool

set -eE -o pipefail
trap 'echo "on $(hostname): failed: $BASH_COMMAND"' ERR
MOUNT=/mnt/nfs

milliseconds() {
	local now=${EPOCHREALTIME/./}
	echo $((now / 1000))
}

# within MILLISECONDS COMMAND...: it must be done in that time; SLACK times as long when others use the machine as well
within() {
	local limit=$(($1 * SLACK)) start took
	shift
	start=$(milliseconds)
	"$@"
	took=$(($(milliseconds) - start))
	echo "took $took ms: $*"
	[ $took -lt "$limit" ] || { echo "too slow, the limit is $limit ms"; return 1; }
}

nfs_mount() {
	mount -t nfs -o "vers=$1,proto=tcp,timeo=600" "$SERVER:$EXPORT" $MOUNT
}

nfs_umount() {
	! mountpoint -q $MOUNT || within 2000 umount $MOUNT
}

# How often an operation was sent since the mount.
ops() {
	awk -v op="$1:" -v mount="$MOUNT" '/^device/ {on = $5 == mount} on && $1 == op {n = $2} END {print n + 0}' /proc/self/mountstats
}

# All that prove where the bytes went, since ops_mark: READ WRITE READ_PLUS COMMIT LAYOUTGET
ops_all() {
	local op
	for op in READ WRITE READ_PLUS COMMIT LAYOUTGET; do ops $op; done | tr '\n' ' '
}

ops_mark() {
	ops_all >/run/ops.mark
}

ops_since() {
	local before now i out=
	before=($(cat /run/ops.mark)) now=($(ops_all))
	for i in 0 1 2 3 4; do out="$out$((now[i] - before[i])) "; done
	echo "$out"
}

# Since the mark no byte went through the server, and there were layouts.  (direct held: of a layout got before)
direct() {
	local n
	n=($(ops_since))
	echo "READ ${n[0]} WRITE ${n[1]} READ_PLUS ${n[2]} COMMIT ${n[3]} LAYOUTGET ${n[4]}"
	[ $((n[0] + n[1] + n[2] + n[3])) = 0 ] || { echo "bytes went through the server"; return 1; }
	[ "${1:-}" = held ] || [ "${n[4]}" -gt 0 ] || { echo "no layout was asked for"; return 1; }
}

caches_drop() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

sha() {
	sha256sum "$1" | cut -d' ' -f1
}

noise() {
	head -c "$2" /dev/urandom >"$1"
}

equal() {
	[ "$1" = "$2" ] || { echo "not equal: $1 and $2"; return 1; }
}

size() {
	stat -c %s "$1"
}
