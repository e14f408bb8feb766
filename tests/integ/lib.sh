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

finish() {
	exit $test_failed
}

pnfs() {
	"$BIN/pnfs" --device "$LUN" "$@"
}

# SHA-256 of a file
sha() {
	sha256sum "$1" | cut -d' ' -f1
}
