# Debian packages, and a function to install what is missing.  Sourced.

PACKAGES_BUILD="autoconf automake libtool pkg-config make gcc libc6-dev rpcsvc-proto
	libtirpc-dev libev-dev libiscsi-dev liburing-dev libinih-dev uthash-dev nettle-dev
	libjansson-dev liblmdb-dev libkrb5-dev"
PACKAGES_RUN="tgt xfsprogs tshark jq iproute2 util-linux"
PACKAGES_GUEST="user-mode-linux mmdebstrap e2fsprogs"
PACKAGES_TEST="check clang sg3-utils libiscsi-bin python3 git krb5-kdc krb5-admin-server krb5-user"

packages_missing() {
	for p in "$@"; do
		dpkg-query -W -f '${db:Status-Status}\n' "$p" 2>/dev/null | grep -qx installed || echo "$p"
	done
}

# need_packages NAME...: returns 1 if some cannot be had.
need_packages() {
	missing=$(packages_missing "$@")
	[ -z "$missing" ] && return 0
	if [ "$(id -u)" != 0 ]; then
		echo "missing packages, and not root to install them:" $missing >&2
		return 1
	fi
	echo "installing:" $missing
	apt-get update -qq >/dev/null &&
	# tgt and others start services where there is an init; a test has its own
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

# configure_build DIR CONFIGURE-ARGUMENT...: (re)configure if needed, and build all.
configure_build() {
	dir=$1
	shift
	[ -x "$top/configure" ] && [ "$top/configure" -nt "$top/configure.ac" ] || "$top/autogen.sh" >"$top/autogen.log" 2>&1 ||
		{ cat "$top/autogen.log" >&2; return 1; }
	mkdir -p "$dir"
	if [ ! -f "$dir/Makefile" ] || [ "$top/configure" -nt "$dir/Makefile" ]; then
		(cd "$dir" && "$top/configure" -q "$@") || return 1
	fi
	make -C "$dir" -s -j"$(nproc)"
}
