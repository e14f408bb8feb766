# The server of a test: pnfs-mds on this host, or nfsd in a guest named "server".  Sourced by scripts/test-guest.
#
#	server_start		SERVER_ADDRESS, SERVER_FOLDER (what it exports), SERVER_TOOL
#	server_check		what must hold after each scenario
#	image_has FILE OFFSET LENGTH SEED	the image has a file's bytes where the file system maps them
#	server_repair		the file system, when all is over

server_start() {
	"server_$SERVER_KIND"
	[ -z "$CAPTURE" ] || CAPTURE_DEVICE=br0 capture_start "$CAPTURE" 2049
}

server_ours() {
	OURS=1 SERVER_ADDRESS=10.99.0.9
	world_folder guest 3072
	world_disk
	trap run_clean EXIT
	guest_folder
	SERVER_FOLDER=$MNT SERVER_TOOL=$W/host/tool
	if [ "$LAYOUT" = scsi ]; then san_start; else world_target_start; fi
	server_join
	MDS_ADDRESS=$SERVER_ADDRESS MDS_PORT_FIXED=2049
	world_mds "$LAYOUT" lease=20 grace=0 recall_timeout=10
	grep ^EXPORT "$W/mds.out"
	grep -q "^EXPORT.* layouts=$LAYOUT" "$W/mds.out" || world_fail "no $LAYOUT layouts: see $W/mds.log"
}

# The address of pnfs-mds on this host alone: without it not a byte goes to or from the server, and all else goes on.
server_join() {
	ip addr add $SERVER_ADDRESS/32 dev br0
}

server_part() {
	ip addr del $SERVER_ADDRESS/32 dev br0
}

# What runs a program of this host in a guest, into DIRECTORY: the program and its libraries, ld.so among them.
server_program() {
	mkdir -p "$2"
	cp "$1" "$2/"
	ldd "$1" | sed -n 's/.* => \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) .*/\1/p' | xargs -I{} cp -L {} "$2/"
}

# The keeper for a pnfs-mds in DIRECTORY, which looks for it beside its own program: ld.so, there.
server_keeper() {
	server_program "$BIN/pnfs-keeper" "$1/keeper"
	cat >"$1/pnfs-keeper" <<-'END'
		#!/bin/sh
		d=$(dirname "$0")/keeper
		exec "$d"/ld-linux-* --library-path "$d" "$d/pnfs-keeper" "$@"
	END
	chmod +x "$1/pnfs-keeper"
}

# pnfs-mds in a guest of its own: provider kernel wants a kernel with nfsd.
server_guest() {
	case $SERVER_KIND in kernel|plain) ;; *) return 1 ;; esac
}

server_kernel() {
	server_provider kernel
	# nfsd's grace, in which no layout is given
	on server -- sleep 10
}

server_plain() {
	OURS=1
	server_provider plain
}

server_provider() {
	world_folder guest 3072
	trap run_clean EXIT
	guest_folder
	server_program "$BIN/pnfs-mds" "$W/host/mds"
	server_keeper "$W/host/mds"
	SERVER_ADDRESS=10.99.0.4 SERVER_FOLDER=/srv/x SERVER_TOOL=/host/tool
	guest_start server server 4 || world_fail "the server's guest does not start"
	on server <<-END || world_fail "pnfs-mds does not start"
		provider=$1
		$(server_provider_start)
	END
}

# In the guest, with \$provider.
server_provider_start() {
	cat <<-'END'
		mkfs.xfs -q -f /dev/lun
		mkdir -p /srv/x /run/mds/state
		mount -t xfs /dev/lun /srv/x
		cat >/run/mds/conf <<-CONF
			[server]
			listen=0.0.0.0:2049
			state_dir=/run/mds/state
			ctl=/run/mds/ctl
			exports=/run/mds/exports
			lease=20
			grace=0
			recall_timeout=10
			[device lun]
			path=/dev/lun
		CONF
		echo "/srv/x *(rw,no_root_squash,insecure,pnfs,layouts=block,device=lun,provider=$provider)" >/run/mds/exports
		setsid /host/mds/ld-linux-* --library-path /host/mds /host/mds/pnfs-mds -f -c /run/mds/conf >/run/mds/out 2>/run/mds/log </dev/null &
		echo $! >/run/mds/pid
		for i in $(seq 100); do grep -q ^READY /run/mds/out && break; sleep .1; done
		cat /run/mds/out
		grep -q "^EXPORT.*provider=$provider layouts=block" /run/mds/out || { cat /run/mds/log; exit 1; }
	END
}

server_knfsd() {
	world_folder guest 3072
	trap run_clean EXIT
	guest_folder
	SERVER_ADDRESS=10.99.0.4 SERVER_FOLDER=/srv/x SERVER_TOOL=/host/tool
	guest_start server server 4 || world_fail "the server's guest does not start"
	on server <<-END || world_fail "nfsd does not start"
		folder=/srv/x disk=/dev/lun port=2049
		$(server_knfsd_start)
	END
}

# In the guest, with \$folder, \$disk, \$port.
server_knfsd_start() {
	cat <<-'END'
		mkfs.xfs -q -f $disk
		mkdir -p $folder
		mount -t xfs $disk $folder
		modprobe nfsd
		mount -t nfsd nfsd /proc/fs/nfsd
		mkdir -p /var/lib/nfs/nfsdcld /var/lib/nfs/v4recovery
		touch /var/lib/nfs/etab /var/lib/nfs/rmtab
		echo "$folder *(rw,no_root_squash,insecure,pnfs,no_subtree_check)" >/etc/exports
		rpcbind -w
		nfsdcld
		exportfs -ra
		rpc.mountd -N 3
		rpc.nfsd -N 3 -p $port -G 10 -L 20 4
	END
}

server_check() {
	case $SERVER_KIND in
	knfsd) return 0 ;;
	kernel|plain) on server -- 'kill -0 $(cat /run/mds/pid) || { echo "pnfs-mds is gone"; tail -n 30 /run/mds/log; exit 1; }'; return ;;
	esac
	kill -0 "$MDS_PID" 2>/dev/null || { echo "pnfs-mds is gone"; return 1; }
}

server_repair() {
	if server_guest; then
		on server -- 'pid=$(cat /run/mds/pid); kill $pid; for i in $(seq 200); do kill -0 $pid 2>/dev/null || break; sleep .1; done;
			! pgrep -x nfsd; umount /srv/x; xfs_repair -n /dev/lun' >"$W/repair.log" 2>&1
	elif [ "$SERVER_KIND" = ours ]; then
		world_mds_stop
		umount "$MNT" && xfs_repair -n "$LOOP" >"$W/repair.log" 2>&1
	else
		on server -- 'exportfs -ua; echo 0 >/proc/fs/nfsd/threads; umount /srv/x; xfs_repair -n /dev/lun' >"$W/repair.log" 2>&1
	fi
}

# image_has FILE OFFSET LENGTH SEED: a file's bytes where the file system has them on the disk, seen by no file system.
image_has() {
	on server <<-END >"$W/extents"
		sync
		xfs_bmap \$D/$1
	END
	local from to at start end n=0
	# "n: [from..to]: from..to", in sectors
	while read -r from to at; do
		start=$((from * 512)) end=$(((to + 1) * 512))
		[ $start -lt "$2" ] && { at=$((at + ($2 - start) / 512)); start=$2; }
		[ $end -gt $(($2 + $3)) ] && end=$(($2 + $3))
		[ $start -lt $end ] || continue
		dd if="$IMAGE" of="$W/piece" iflag=skip_bytes,count_bytes bs=1M skip=$((at * 512)) count=$((end - start)) status=none
		"$W/host/tool" compare "$W/piece" $start $((end - start)) "$4" || return 1
		n=$((n + end - start))
	done < <(sed -n 's/.*\[\([0-9]*\)\.\.\([0-9]*\)\]: \([0-9]*\)\.\..*/\1 \2 \3/p' "$W/extents")
	[ $n = "$3" ] || { echo "$n bytes of $3 found on the disk"; return 1; }
}
