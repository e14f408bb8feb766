# The root file system of the guests, made once into the cache.  Sourced by scripts/test-guest.
#
#	guest_image	sets GUEST_ROOT: a read-only ext4 image with Debian's NFS tools and the kernels' modules
#
# The image knows nothing of the tests: its init mounts what the host hands it at /host and goes on there.

GUEST_CACHE=${PNFS_CACHE:-/var/cache/pnfs-block}/guest
GUEST_PACKAGES=nfs-common,nfs-kernel-server,rpcbind,xfsprogs,kmod,iproute2,procps,socat,util-linux,dmsetup,keyutils,strace

# The mirror that this host's apt uses, and its release.
image_mirror() {
	apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1
}

image_codename() {
	sed -n 's/^VERSION_CODENAME=//p' /etc/os-release
}

# image_init: PID 1 of every guest, until it finds what the host hands it.
image_init() {
	cat <<-'END'
	#!/bin/bash
	export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root TERM=dumb
	mount -t proc proc /proc
	mount -t sysfs sys /sys
	mountpoint -q /dev || mount -t devtmpfs dev /dev
	for word in $(cat /proc/cmdline); do
		case $word in guest.host=*) mount -t hostfs -o "${word#*=}" none /host ;; esac
	done
	exec bash /host/init
	END
}

# image_build FILE: from packages to an image, in a folder that goes away.
image_build() {
	local work=$1.d modules
	rm -rf "$work"
	mkdir -p "$work"
	mmdebstrap --quiet --variant=minbase --aptopt='APT::Install-Recommends "false"' \
		--include="$GUEST_PACKAGES" "$(image_codename)" "$work/root" "$(image_mirror)" >"$1.log" 2>&1 || return 1
	mkdir -p "$work/root/host" "$work/root/lib/modules"
	for modules in /usr/lib/uml/modules/*; do
		[ -d "$modules" ] || continue
		cp -a "$modules" "$work/root/lib/modules/"
		chroot "$work/root" depmod "${modules##*/}"
	done
	image_init >"$work/root/sbin/guest-init"
	chmod 755 "$work/root/sbin/guest-init"
	rm -rf "$work/root"/var/lib/apt/lists/* "$work/root"/var/cache/apt/archives/*.deb \
		"$work/root"/usr/share/doc "$work/root"/usr/share/man "$work/root"/usr/share/locale
	rm -f "$1.tmp"
	truncate -s 700M "$1.tmp"
	mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$work/root" "$1.tmp" && mv "$1.tmp" "$1"
	local status=$?
	rm -rf "$work"
	return $status
}

guest_image() {
	local key
	key=$({ image_codename; image_init; declare -f image_build; echo "$GUEST_PACKAGES"; ls /usr/lib/uml/modules; } |
		sha256sum | cut -c1-12)
	GUEST_ROOT=$GUEST_CACHE/root-$key.img
	mkdir -p "$GUEST_CACHE"
	[ -s "$GUEST_ROOT" ] && return 0
	echo "making the guests' root file system $GUEST_ROOT"
	# one that was made from other packages is of no use any more
	rm -f "$GUEST_CACHE"/root-*.img
	(flock 9; [ -s "$GUEST_ROOT" ] || image_build "$GUEST_ROOT") 9>"$GUEST_CACHE/lock"
}
