# The storage of SCSI layouts: a guest "san" whose LIO serves the image's disk by iSCSI.  Sourced by scripts/test-guest.
#
#	san_image		its root file system
#	san_start		LUN: what pnfs-mds is told
#	san_attach GUEST	a client logs in
#	san_keys [GUEST]	registrations, as the target has them: "INITIATOR KEY" lines; keys that a guest's NFS client took
#
# Not tgtd: Linux asks for a registration that outlives a loss of power (APTPL), which tgtd refuses; the client would say nothing and go to
# the server for all its data.  LIO serves the disk without a cache of its own, so that it and the mounted loop device are of one mind.

SAN_ADDRESS=10.99.0.5
SAN_TARGET=iqn.2026-11.org.pnfs-block:san
SAN_HOST_KEY=0x1

# It is always user-mode-linux, whatever the clients are.
san_image() {
	local KERNEL=uml GUEST_ROOT GUEST_KERNEL
	guest_image
}

san_start() {
	LUN=iscsi://$SAN_ADDRESS:3260/$SAN_TARGET/0
	local KERNEL=uml GUEST_ROOT GUEST_KERNEL
	guest_image && guest_start san san 5 || world_fail "the guest of the target does not start"
	on san <<-END || world_fail "no target"
		modprobe -a target_core_mod target_core_iblock iscsi_target_mod
		mount -t configfs configfs /sys/kernel/config
		mkdir -p /var/target/pr /etc/target/pr
		cd /sys/kernel/config/target
		mkdir -p core/iblock_0/disk
		echo udev_path=\$(readlink -f /dev/lun) >core/iblock_0/disk/control
		echo 1 >core/iblock_0/disk/enable
		echo 11223344-5566-7788-99aa-bbccddeeff00 >core/iblock_0/disk/wwn/vpd_unit_serial
		mkdir -p iscsi/$SAN_TARGET/tpgt_1/np/$SAN_ADDRESS:3260 iscsi/$SAN_TARGET/tpgt_1/lun/lun_0
		cd iscsi/$SAN_TARGET/tpgt_1
		ln -s /sys/kernel/config/target/core/iblock_0/disk lun/lun_0/port
		# any initiator, for reading and writing
		echo 0 >attrib/authentication
		echo 0 >attrib/demo_mode_write_protect
		echo 1 >attrib/generate_node_acls
		echo 1 >attrib/cache_dynamic_acls
		echo 1 >enable
	END
}

# As a stock host does it: open-iscsi logs in, and udev names the disk by what the target says it is.
san_attach() {
	on "$1" <<-END || { echo "guest $1 does not log in to the target"; return 1; }
		modprobe -a sd_mod iscsi_tcp
		mkdir -p /run/lock/iscsi /run/udev
		echo "InitiatorName=$SAN_TARGET.$1" >/etc/iscsi/initiatorname.iscsi
		/lib/systemd/systemd-udevd --daemon >/run/udev.log 2>&1
		iscsid >/run/iscsid.log 2>&1
		iscsiadm -m discovery -t sendtargets -p $SAN_ADDRESS >/dev/null
		iscsiadm -m node --login >/dev/null
		for i in \$(seq 100); do
			! ls /dev/disk/by-id/wwn-0x* >/dev/null 2>&1 || break
			sleep .1
		done
		ls /dev/disk/by-id/wwn-0x*
		# LIO answers READ CAPACITY with a reservation conflict to a host that is not registered: the disk has no size, until it is and
		# looks again.  By any key: the NFS client puts its own in its place.
		disk=\$(readlink -f /dev/disk/by-id/wwn-0x*)
		ln -sf \$disk /dev/lun
		sg_persist --no-inquiry --out --register-ignore --param-sark=$SAN_HOST_KEY \$disk
		udevadm settle
		echo 1 >/sys/block/\${disk##*/}/device/rescan
		equal "\$(blockdev --getsize64 \$disk)" $(stat -c %s "$IMAGE")
	END
}

san_keys() {
	on san -- 'sed -n "s/^iSCSI Node: \([^,]*\),.*Key: \(0x[0-9a-f]*\).*/\1 \2/p" /sys/kernel/config/target/core/iblock_0/disk/pr/res_pr_registered_i_pts' |
		if [ -z "${1:-}" ]; then cat; else sed -n "s/^$SAN_TARGET.$1 //p" | grep -v "^0x0*${SAN_HOST_KEY#0x}\$"; fi
}
