# SCSI layouts (RFC 8154): the disk is found by what the target says it is, and a client that says nothing is cut off there.
# Called by tests/guest/run.sh with --layout scsi; the scenarios of the other files run with it as well.

# The client's key is at the target while it has the device; what it reads, writes, and adds to a file goes straight; a local program gets its way.
scenario scsi "1 2" a 2 scsi
scenario_scsi() {
	on server <<-'END'
		put read 0 8M 40
		resize sized 8M
	END
	on a <<-'END'
		straight has read 8M:40
		straight put sized 0 8M 41
		# who says how far he will write goes straight there
		resize sized 16M
		straight put sized 8M 8M 41
		straight has_fresh sized 16M:41
	END
	san_keys a
	image_has sized 0 16777216 41
	held local cut
	on server <<-'END'
		within 3000 has local 1M:31
		within 3000 resize cut 4K
	END
	on a -- straight put local 0 512K 42
	release
	on_each "a server" 'has_fresh local 512K:42 1M:31; has cut 4K:31'
}

# Client a writes the same mebibyte of "held" over and over; its key is at the target.
silent_begin() {
	on server <<-'END'
		put held 0 1M 43
		sync
		sectors $D/held >$D/sectors
	END
	on a <<-'END'
		rm -f /run/stop
		# the ring of messages is small and may turn round: count from here
		dmesg -C
		ops_mark
		setsid $TOOL insist $D/held 0 1M 44 /run/stop >/run/insist.log 2>&1 </dev/null &
		sleep 2
		direct
	END
	san_keys
	KEY=$(san_keys a)
}

# It is silent now: a local program gets its way after recall_timeout, by the client's key being gone; then its blocks are another file's.
silent_cut_off() {
	on server 60 <<-'END'
		within 20000 resize held 0
		sync
		OVER=0
		for n in $(seq 20); do
			put other 0 $((n * 8))M 45
			sync
			sectors $D/other >$D/others
			OVER=$(awk 'NR == FNR {from[NR] = $1; to[NR] = $2; next}
				{for (i in from) if ($1 <= to[i] && $2 >= from[i]) n++} END {print n + 0}' $D/sectors $D/others)
			[ $OVER = 0 ] || break
		done
		[ $OVER -gt 0 ] || { echo "the blocks were not used again"; exit 1; }
	END
	san_keys
	! san_keys | grep " $KEY$"
	LENGTH=$(on server -- 'size $D/other')
	image_has other 0 "$LENGTH" 45
}

# It is heard again: it comes to an end, by the server or with an error; no byte of it is in the other file; and it has a layout again.
silent_end() {
	on a 60 <<-'END'
		touch /run/stop
		while ! grep ^ended /run/insist.log; do sleep .2; done
		cat /run/insist.log
		echo "FIGURE writes that met the reservation: $(conflicts)"
	END
	image_has other 0 "$LENGTH" 45
	if on a -- 'grep written /run/insist.log'; then on_each "a server" has_fresh held 1M:44; fi
	on a <<-END
		nfs_umount
		nfs_mount $VERSION
		resize again 4M
		straight put again 0 4M 46
	END
	on server -- has again 4M:46
	image_has other 0 "$LENGTH" 45
	san_keys a | grep -v "^$KEY$"
}

# The server hears nothing of the client, nor the client of it, while the client's way to the disk is open: its late writes meet the reservation.
scenario silent "1 2" a 2 scsi
scenario_silent() {
	silent_begin
	server_part
	silent_cut_off
	on a 30 -- 'until [ $(conflicts) -gt 0 ]; do sleep .2; done'
	server_join
	silent_end
}

# The client's whole host stands still in the middle of its writes, and goes on as if nothing had been.
scenario frozen "1 2" a "" scsi
scenario_frozen() {
	silent_begin
	guest_freeze a
	silent_cut_off
	guest_thaw a
	silent_end
}
