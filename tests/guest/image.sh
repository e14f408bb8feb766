# The root file system of the guests, made once into the cache.  Sourced by scripts/test-guest.
#
#	guest_image	sets GUEST_ROOT: an ext4 image, never written, with Debian's NFS tools and the modules of $KERNEL;
#			and GUEST_KERNEL: what QEMU boots (none for uml)
#
# The image knows nothing of the tests: its init mounts what the host hands it at /host and goes on there.

GUEST_CACHE=${PNFS_CACHE:-/var/cache/pnfs-block}/guest
GUEST_PACKAGES=nfs-common,nfs-kernel-server,rpcbind,xfsprogs,kmod,iproute2,procps,socat,util-linux,dmsetup,keyutils,strace,open-iscsi,udev,sg3-utils
# Where newer kernels come from than this host's release has: they need nothing of its userland.
GUEST_SUITES="trixie trixie-backports"

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
		case $word in guest.host=*) from=${word#*=} ;; esac
	done
	case $from in
	/dev/*)
		modprobe -a virtio_pci virtio_blk virtio_net virtio_rng
		mount -t tmpfs tmpfs /host
		for i in 1 2 3 4 5 6 7 8 9 10; do [ -b "$from" ] && break; sleep .3; done
		tar -x -f "$from" -C /host ;;
	*)
		mount -t hostfs -o "$from" none /host ;;
	esac
	exec bash /host/init
	END
}

# image_apt host|next get|cache ARGUMENT...: this host's apt, or one with a private list of $GUEST_SUITES, which leaves the host's alone
image_apt() {
	local from=$1 tool=apt-$2 state=$GUEST_CACHE/apt
	shift 2
	[ "$from" = host ] || set -- -o "Dir::Etc::SourceList=$state/list" -o Dir::Etc::SourceParts=/dev/null \
		-o "Dir::State::Lists=$state/lists" -o "Dir::Cache=$state" "$@"
	"$tool" -o APT::Sandbox::User=root "$@"
}

image_apt_update() {
	local suite
	mkdir -p "$GUEST_CACHE/apt/lists/partial" "$GUEST_CACHE/apt/archives/partial"
	for suite in $GUEST_SUITES; do
		echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(image_mirror) $suite main"
	done >"$GUEST_CACHE/apt/list"
	image_apt next get update -qq >/dev/null
}

# image_kernel_newest FROM: of Debian's kernels for clouds whose version begins with $KERNEL; NVMe and ext4 are built in, no initramfs
image_kernel_newest() {
	image_apt "$1" cache search --names-only "^linux-image-${KERNEL//./\\.}\\..*-cloud-amd64\$" 2>/dev/null |
		cut -d' ' -f1 | sort -V | tail -n 1
}

# image_kernel_find: FROM and PACKAGE.  The private lists are fetched when they lack what is wanted, not each time.
image_kernel_find() {
	local from package
	for from in host next fetch; do
		[ $from != fetch ] || { image_apt_update && from=next; }
		package=$(image_kernel_newest $from)
		[ -z "$package" ] || { echo "$from $package"; return; }
	done
}

# image_kernel_unpack FOLDER: the kernel and its modules; from 7.0 on they are packages of their own, which the first depends on
image_kernel_unpack() {
	local from package parts deb
	read -r from package <<<"$(image_kernel_find)"
	[ -n "$package" ] || return 1
	parts=$(image_apt "$from" cache depends "$package" | sed -n "s/^ *Depends: \(linux-[a-z]*-${package#linux-image-}\)\$/\1/p")
	(cd "$1" && image_apt "$from" get download -q "$package" $parts >/dev/null &&
		for deb in ./*.deb; do dpkg-deb -x "$deb" . || exit; done)
}

# image_modules FOLDER: into the root file system there, and the kernel beside the image
image_modules() {
	local modules work=$1.kernel
	mkdir -p "$work" "$1/lib/modules"
	if [ "$KERNEL" = uml ]; then
		cp -a /usr/lib/uml/modules/* "$1/lib/modules/"
	else
		image_kernel_unpack "$work" || return 1
		cp "$(find "$work" -name 'vmlinuz*' -type f | head -n 1)" "$GUEST_KERNEL" || return 1
		for modules in "$work"/lib/modules/* "$work"/usr/lib/modules/*; do
			[ ! -d "$modules" ] || cp -a "$modules" "$1/lib/modules/"
		done
	fi
	for modules in "$1"/lib/modules/*; do chroot "$1" depmod "${modules##*/}"; done
}

# image_build FILE: from packages to an image, in a folder that goes away.
image_build() {
	local work=$1.d
	rm -rf "$work"
	mkdir -p "$work"
	mmdebstrap --quiet --variant=minbase --aptopt='APT::Install-Recommends "false"' \
		--include="$GUEST_PACKAGES" "$(image_codename)" "$work/root" "$(image_mirror)" >"$1.log" 2>&1 || return 1
	mkdir -p "$work/root/host"
	image_modules "$work/root" || { echo "no modules of $KERNEL" >>"$1.log"; return 1; }
	image_init >"$work/root/sbin/guest-init"
	chmod 755 "$work/root/sbin/guest-init"
	rm -rf "$work/root"/var/lib/apt/lists/* "$work/root"/var/cache/apt/archives/*.deb \
		"$work/root"/usr/share/doc "$work/root"/usr/share/man "$work/root"/usr/share/locale
	rm -f "$1.tmp"
	truncate -s 800M "$1.tmp"
	mke2fs -q -t ext4 -O ^has_journal -m 0 -d "$work/root" "$1.tmp" && mv "$1.tmp" "$1"
	local status=$?
	rm -rf "$work"
	return $status
}

# The version that an image is made for.
image_modules_of() {
	if [ "$KERNEL" = uml ]; then ls /usr/lib/uml/modules; else image_kernel_find; fi
}

guest_image() {
	local key
	key=$({ image_codename; image_init; declare -f image_build image_modules; echo "$GUEST_PACKAGES"; image_modules_of; } |
		sha256sum | cut -c1-12)
	GUEST_ROOT=$GUEST_CACHE/$KERNEL-$key.img GUEST_KERNEL=$GUEST_CACHE/$KERNEL-$key.vmlinuz
	mkdir -p "$GUEST_CACHE"
	# what no run has wanted for a week was made from other packages; another tree may still want it before
	[ -s "$GUEST_ROOT" ] && { touch -c "$GUEST_ROOT" "$GUEST_KERNEL"; return 0; }
	find "$GUEST_CACHE" -maxdepth 1 -type f -name '*-*' -mtime +7 -delete
	echo "making the guests' root file system $GUEST_ROOT"
	(flock 9
	[ -s "$GUEST_ROOT" ] && exit
	image_build "$GUEST_ROOT") 9>"$GUEST_CACHE/lock"
}
