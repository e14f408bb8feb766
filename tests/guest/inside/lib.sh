# What scenarios call on a client (and, for data, on the server).  Sourced before each command that tests/guest/hosts.sh
# sends; a command that fails ends the whole.  The host sets before:
#	SERVER, EXPORT	what to mount; on a client it is /mnt/nfs
#	D		the scenario's folder, as this host sees it
#	SLACK		how many times slower than an idle machine this one is
#	OURS		set if the server is pnfs-mds
#	TOOL		the program of tests/guest/tool

set -eE -o pipefail
trap 'echo "on $(hostname): failed: $BASH_COMMAND"' ERR
MOUNT=/mnt/nfs

# within MILLISECONDS COMMAND...: it must be done in that time; SLACK times as long when others use the machine as well
within() {
	local limit=$(($1 * SLACK)) start took
	shift
	start=${EPOCHREALTIME/./}
	"$@"
	took=$(((${EPOCHREALTIME/./} - start) / 1000))
	echo "took $took ms: $*"
	[ $took -lt "$limit" ] || { echo "too slow, the limit is $limit ms"; return 1; }
}

nfs_mount() {
	mount -t nfs -o "vers=$1,proto=tcp,timeo=600" "$SERVER:$EXPORT" $MOUNT
}

nfs_umount() {
	! mountpoint -q $MOUNT || within 2000 umount $MOUNT
}

# All that prove where the bytes went, since the mount: READ WRITE READ_PLUS COMMIT LAYOUTGET.  Forks are slow in a guest.
ops_all() {
	awk -v mount=$MOUNT '
		/^device/ {on = $5 == mount}
		on {n[$1] = $2}
		END {print n["READ:"] + 0, n["WRITE:"] + 0, n["READ_PLUS:"] + 0, n["COMMIT:"] + 0, n["LAYOUTGET:"] + 0}' /proc/self/mountstats
}

ops_mark() {
	ops_all >/run/ops.mark
}

# ops_since: OPS, the same five since the mark
ops_since() {
	local before now i
	ops_all >/run/ops.now
	read -r -a before </run/ops.mark
	read -r -a now </run/ops.now
	OPS=()
	for i in 0 1 2 3 4; do OPS+=($((now[i] - before[i]))); done
}

# Since the mark no byte went through the server, and there were layouts.
direct() {
	ops_since
	echo "READ ${OPS[0]} WRITE ${OPS[1]} READ_PLUS ${OPS[2]} COMMIT ${OPS[3]} LAYOUTGET ${OPS[4]}"
	[ $((OPS[0] + OPS[1] + OPS[2] + OPS[3])) = 0 ] || { echo "bytes went through the server"; return 1; }
	[ "${OPS[4]}" -gt 0 ] || { echo "no layout was asked for"; return 1; }
}

caches_drop() {
	sync
	echo 3 >/proc/sys/vm/drop_caches
}

sha() {
	sha256sum "$1" | cut -d' ' -f1
}

equal() {
	[ "$1" = "$2" ] || { echo "not equal: $1 and $2"; return 1; }
}

size() {
	stat -c %s "$1"
}
