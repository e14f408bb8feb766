# For tests/integ/test_*_guest.sh: a world (scripts/world.sh) inside a guest whose kernel has nfsd.  Sourced first of all.
#
#	KERNEL				user-mode-linux (uml), unless it is set to 6.12, 7 ...: emulated, as scripts/test-guest --kernel does it
#	guest_world "$@"		the guest "server" runs; programs of the build are in its /host
#	guest_run SECONDS FILE ARG...	the script $W/host/FILE in the guest, with world.sh and wire.sh sourced; its output

. "$(dirname "$0")/lib.sh"
. "$top/scripts/packages.sh"
. "$top/tests/guest/image.sh"
. "$top/tests/guest/hosts.sh"
. "$top/tests/guest/server.sh"
KERNEL=${KERNEL:-uml} SERVER_KIND=kernel SERVER_ADDRESS= SERVER_FOLDER= SERVER_TOOL=

# Programs by their names, with this host's libraries.
guest_programs() {
	local program file
	mkdir -p "$W/host/tests/integ/wire" "$W/host/tests/bench" "$W/host/bin" "$W/host/scripts"
	for program in pnfs-mds pnfsctl tests/integ/check_client tests/integ/check_export tests/integ/wire/wire tests/bench/mdsload bin/tgtd bin/tgtadm; do
		file=$BIN/$program
		case $program in
		bin/*) file=$(command -v "$(basename $program)") ;;
		*/check_client) file=$(dirname "$file")/.libs/check_client ;;	# libtool's: what stands in its place is a script
		esac
		LD_LIBRARY_PATH=$BIN/.libs server_program "$file" "$W/host/lib"
		printf '#!/bin/sh\nexec /host/lib/ld-linux-* --library-path /host/lib /host/lib/%s "$@"\n' "$(basename $program)" >"$W/host/$program"
		chmod +x "$W/host/$program"
	done
	server_keeper "$W/host/lib"
	cp "$top/scripts/world.sh" "$W/host/scripts/"
	cp "$top/tests/integ/wire/wire.sh" "$W/host/tests/integ/wire/"
}

guest_world() {
	requires $([ "$KERNEL" = uml ] && echo linux.uml || echo qemu-system-x86_64) mmdebstrap tgtd tgtadm ldd
	[ -c /dev/net/tun ] || skip_all "no /dev/net/tun"
	guest_image || skip_all "no root file system for guests"
	[ -n "${WORLD_PRIVATE:-}" ] ||
		exec env WORLD_PRIVATE=1 unshare --mount --net --propagation private -- bash "$0" "$@"
	world_folder export-guest 16
	trap 'guest_kill server; world_end' EXIT
	guest_folder
	guest_programs
	cat >"$W/host/prelude" <<-'END'
		export BIN=/host WORLD_PRIVATE=1 TMPDIR=/ram PATH=/host/bin:$PATH
		set +eE
		trap - ERR
		mkdir -p /ram /run/tgtd
		mount -t tmpfs -o size=1600m ram /ram
		modprobe loop
		. /host/scripts/world.sh
		. /host/tests/integ/wire/wire.sh
		test_failed=0
		pass() { echo "PASS: $*"; }
		fail() { echo "FAIL: $*"; test_failed=1; }
		check() {
			local text=$1
			shift
			if "$@"; then pass "$text"; else fail "$text ($*)"; fi
		}
	END
	net_up
	GUEST_MEMORY=2600 guest_start server server 4 || { fail "the guest does not start"; finish; }
}

# The text itself: an emulated guest's /host is what it was when the guest started.
guest_run() {
	local seconds=$1 file=$2
	shift 2
	LC_ALL=C on_guest server $((seconds * $(on_slack))) "set -- $(printf '%q ' "$@"); . /host/prelude
$(cat "$W/host/$file")
world_end; umount /ram; exit \$test_failed"
}
