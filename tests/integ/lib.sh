# For tests/integ/test_*.sh: a world (scripts/world.sh) and PASS/FAIL/SKIP lines.  Usage:
#
#	. "$(dirname "$0")/lib.sh"
#	world_private "$@"
#	world_init NAME; world_mds block; ...
#	check "what must hold" test "$a" = "$b"
#	finish

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BIN=${BIN:-$top/build}
. "$top/scripts/world.sh"

test_failed=0
pass() { echo "PASS: $*"; }
fail() { echo "FAIL: $*"; test_failed=1; }
skip_all() { echo "SKIP: $*"; exit 77; }

# requires COMMAND...
requires() {
	local c
	for c in "$@"; do
		command -v "$c" >/dev/null || skip_all "no $c here"
	done
	[ "$(id -u)" = 0 ] || skip_all "not root"
}

# check TEXT COMMAND...: passes if the command does
check() {
	local text=$1
	shift
	if "$@"; then pass "$text"; else fail "$text ($*)"; fi
}

# BIN may be a build with sanitizers: what they have to say of the server, leaks at its end too, is a failure.
finish() {
	if grep -E 'Sanitizer:|runtime error:' "$W/mds.log" 2>/dev/null; then
		fail "a sanitizer's report"
		sed 's/^/    mds: /' "$W/mds.log" | grep -A 40 -E 'Sanitizer:|runtime error:' | head -n 60
	fi
	exit $test_failed
}

pnfs() {
	"$BIN/pnfs" --device "$LUN" "$@"
}

# SHA-256 of a file
sha() {
	sha256sum "$1" | cut -d' ' -f1
}
