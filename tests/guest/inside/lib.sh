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

# Sectors that this host itself read from the LUN and wrote to it, since it was booted.
lun_sectors() {
	awk '{print $3, $7}' "/sys/class/block/$(basename "$(readlink -f /dev/lun)")/stat"
}

lun_mark() {
	ops_mark
	lun_sectors >/run/lun.mark
}

# Since lun_mark there were layouts, and bytes went straight to the disk; how many, and which calls were for the server.
direct_some() {
	local before now
	ops_since
	sync
	read -r -a before </run/lun.mark
	read -r -a now <<<"$(lun_sectors)"
	echo "FIGURE $(hostname): READ ${OPS[0]} WRITE ${OPS[1]} READ_PLUS ${OPS[2]} COMMIT ${OPS[3]} LAYOUTGET ${OPS[4]}," \
		"straight from the disk $(((now[0] - before[0]) / 2048)) MiB, to it $(((now[1] - before[1]) / 2048)) MiB"
	[ "${OPS[4]}" -gt 0 ] || { echo "no layout was asked for"; return 1; }
	[ "${now[1]}" -gt "${before[1]}" ] || { echo "nothing was written straight"; return 1; }
}

# Since the mark no byte went through the server, and there were layouts.
direct() {
	ops_since
	echo "READ ${OPS[0]} WRITE ${OPS[1]} READ_PLUS ${OPS[2]} COMMIT ${OPS[3]} LAYOUTGET ${OPS[4]}"
	[ $((OPS[0] + OPS[1] + OPS[2] + OPS[3])) = 0 ] || { echo "bytes went through the server"; return 1; }
	[ "${OPS[4]}" -gt 0 ] || { echo "no layout was asked for"; return 1; }
}

# straight COMMAND...: it did what it does without the server
straight() {
	ops_mark
	"$@"
	direct
}

# What tests/guest/tool does, with a file of the scenario (or one by its whole path): OFFSET, LENGTH, SIZE and END may end in K or M.
#	put FILE OFFSET LENGTH SEED [direct]	store FILE OFFSET LENGTH SEED	resize FILE SIZE
#	has FILE END:SEED...			all of the file, its size too
#	part FILE OFFSET LENGTH SEED [direct]	some of it
named() {
	case $1 in /*) NAMED=$1 ;; *) NAMED=$D/$1 ;; esac
}

put() { named "$1"; "$TOOL" write "$NAMED" "${@:2}"; }
store() { named "$1"; "$TOOL" store "$NAMED" "${@:2}"; }
resize() { named "$1"; "$TOOL" truncate "$NAMED" "$2"; }
has() { named "$1"; "$TOOL" has "$NAMED" "${@:2}"; }
part() { named "$1"; "$TOOL" check "$NAMED" "${@:2}"; }

# has, with nothing of it in memory
has_fresh() {
	caches_drop
	has "$@"
}

# On a client: the host that serves may have other things to do.
caches_drop() {
	[ -n "${EXPORT:-}" ] || return 0
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

# sectors FILE: where it is on the disk, "FIRST LAST" of each extent
sectors() {
	xfs_bmap "$1" | sed -n 's/.*: \([0-9]*\)\.\.\([0-9]*\)$/\1 \2/p'
}

# How often the disk has told this host that it may not, since dmesg -C.
conflicts() {
	dmesg | grep -c "reservation conflict" || :
}
