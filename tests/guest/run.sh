# Scenarios: named, started, judged.  Sourced by scripts/test-guest.
#
#	scenario NAME VERSIONS GUESTS QUICK [LAYOUT]
#						declares the function scenario_NAME: minor versions ("1 2"), clients it needs ("a", "a b"),
#						the minor versions that --quick runs it with, and the layout type if it is for one only.
#						--quick with SCSI layouts runs only what is for them
#	$VERSION, $FOLDER			while it runs: 4.1 or 4.2; its folder's name
#
# A line of its output that begins with FIGURE is shown when it passed, too.
# A scenario runs with set -e: the first command that fails is its end.  Client a has the export mounted before, and b as well.

SCENARIOS=()
passed=0 failed=0 skipped=0
declare -A GUEST_NUMBER=([a]=2 [b]=3)

scenario() {
	SCENARIOS+=("$1|$2|$3|$4|${5:-}")
}

# How long random operations go on: --seconds, or what --quick allows.
run_seconds() {
	echo "${LONG:-${QUICK:+10}}" | grep . || echo 30
}

run_list() {
	local entry
	for entry in "${SCENARIOS[@]}"; do echo "${entry%%|*}"; done
}

run_skip_all() {
	echo "SKIP: $*"
	echo "0 passed, 0 failed, 1 skipped"
	exit 0
}

run_wanted() {
	local only
	[ ${#ONLY[@]} -gt 0 ] || return 0
	for only in "${ONLY[@]}"; do
		case $1 in "$only"*) return 0 ;; esac
	done
	return 1
}

# Guests that a scenario needs, alive.
run_guests() {
	local guest
	for guest in $1; do
		[ -z "${GUEST_PID[$guest]:-}" ] || continue
		guest_start "$guest" client "${GUEST_NUMBER[$guest]}" || return 1
		[ "$LAYOUT" = block ] || san_attach "$guest" || return 1
	done
}

run_body() {
	local name=$1 guests=$2 guest
	set -eE
	trap 'echo "failed: ${BASH_COMMAND%%$'"'\n'"'*}"' ERR
	for guest in $guests; do
		on "$guest" -- "nfs_mount $VERSION"
	done
	on a -- 'mkdir "$D"; ops_mark'
	"scenario_$name"
	on a -- 'echo "OPS $(ops_all)"'
	for guest in $guests; do
		on "$guest" -- nfs_umount
	done
	server_check
}

# What a scenario that failed leaves: the guests' last words, then new guests.
run_autopsy() {
	local guest
	for guest in $1; do
		echo "--- guest $guest"
		on_guest "$guest" 10 'dmesg | grep -vE "Not locking|using block" | tail -n 15; tail -n 4 /run/blkmapd.log; ps -eo pid,stat,wchan:30,args | awk "\$2 ~ /D/"'
		guest_kill "$guest"
	done
	server_guest && { echo "--- pnfs-mds"; on_guest server 10 'tail -n 30 /run/mds/log; dmesg | tail -n 15'; }
	[ "$LAYOUT" = block ] || { echo "--- san"; on_guest san 10 'dmesg | tail -n 15'; }
	[ "$SERVER_KIND" = ours ] && { echo "--- pnfs-mds"; tail -n 30 "$W/mds.log"; }
}

run_one() {
	local name=$1 guests=$2 log status verdict ops start=$SECONDS
	FOLDER=$name-$VERSION log=$W/$FOLDER.log
	run_guests "$guests" || { failed=$((failed + 1)); echo "RESULT name=$FOLDER kernel=$KERNEL server=$SERVER_KIND layout=$LAYOUT fail"; return; }
	(run_body "$name" "$guests") >"$log" 2>&1
	status=$?
	rm -f "$W/visiting"
	ops=($(sed -n 's/^OPS //p' "$log" | tail -n 1))
	case $status in
	0) verdict=pass passed=$((passed + 1)) ;;
	*) verdict=fail failed=$((failed + 1)) ;;
	esac
	echo "RESULT name=$FOLDER kernel=$KERNEL server=$SERVER_KIND layout=$LAYOUT read=${ops[0]:--} write=${ops[1]:--} read_plus=${ops[2]:--}" \
		"commit=${ops[3]:--} layoutget=${ops[4]:--} seconds=$((SECONDS - start)) $verdict"
	[ $verdict = pass ] && { sed -n 's/^FIGURE /    /p' "$log"; return; }
	KEEP=1
	run_autopsy "$guests" >>"$log" 2>&1
	sed 's/^/    /' "$log"
}

run_scenarios() {
	local entry name versions guests quick layout version
	for entry in "${SCENARIOS[@]}"; do
		IFS='|' read -r name versions guests quick layout <<<"$entry"
		[ "${layout:-$LAYOUT}" = "$LAYOUT" ] || continue
		[ -z "$QUICK" ] || versions=$quick
		[ "$LAYOUT" = block ] || [ -n "$layout" ] || [ -z "$QUICK" ] || continue
		for version in $versions; do
			VERSION=4.$version
			run_wanted "$name-$VERSION" && run_one "$name" "$guests"
		done
	done
}

run_clean() {
	local guest
	trap - EXIT
	for guest in "${!GUEST_PID[@]}"; do guest_kill "$guest"; done
	[ -z "${KEEP:-}" ] || { rm -rf "$W/uml"; rm -f "$IMAGE.keep"; echo "logs are in $W"; }
	world_end
	# logs are worth keeping, a disk is not
	rm -f "$IMAGE"
}

run_end() {
	local guest
	for guest in a b; do guest_stop "$guest"; done
	[ -z "$CAPTURE" ] || capture_stop
	if server_repair; then
		passed=$((passed + 1))
	else
		failed=$((failed + 1)) KEEP=1
		echo "FAIL: xfs_repair -n after all"
		cat "$W/repair.log"
	fi
	[ $((passed + failed)) -gt 1 ] || { failed=$((failed + 1)); echo "FAIL: no scenario was run"; }
	echo "$passed passed, $failed failed, $skipped skipped"
	[ $failed = 0 ]
	exit
}
