# Reading and writing: what must go straight to the disk, and what may go through the server.  Called by tests/guest/run.sh.
# Offsets, sizes and seeds are those of tests/guest/tool.

# A file written on the server is read, one of a known size written, overwritten and read again: not a byte through the server.
scenario basic "1 2" a "1 2"
scenario_basic() {
	on server <<-'END'
		put local 0 8M 1
		resize sized 16M
	END
	on a <<-'END'
		ls -l $D
		straight has local 8M:1
		straight put sized 0 16M 2
		straight put sized 4M 4M 3
		straight has_fresh sized 4M:2 8M:3 16M:2
	END
	on server -- has sized 4M:2 8M:3 16M:2
	image_has sized 4194304 4194304 3
}

# Behind the end of the file: by design through the server (plain), or straight (nfsd); right in any case.
scenario append "1 2" a 2
scenario_append() {
	on a <<-'END'
		for i in 0 1 2 3 4 5 6 7; do put grown $((i * 100000)) 100000 4; done
		put large 0 4M 5
		has grown 800000:4
	END
	on_each "a server" 'has_fresh grown 800000:4; has large 4M:5'
}

# Holes read as zeros, from a layout and after another hole was filled.
scenario sparse "1 2" a 2
scenario_sparse() {
	on server <<-'END'
		resize holes 8M
		put holes 1M 64K 6
		put holes 5M 64K 6
	END
	on a <<-'END'
		straight has holes 1M:0 1088K:6 5M:0 5184K:6 8M:0
		straight put holes 3M 64K 7
	END
	on_each "a server" has_fresh holes 1M:0 1088K:6 3M:0 3136K:7 5M:0 5184K:6 8M:0
}

# Stores through a shared mapping, and parts of pages.
scenario mmap "1 2" a 2
scenario_mmap() {
	on server -- put mapped 0 4M 8
	on a <<-'END'
		ops_mark
		store mapped 1M 1M 9
		store mapped 12344 64 10
		direct
	END
	on_each "a server" has_fresh mapped 12344:8 12408:10 1M:8 2M:9 4M:8
}

# O_DIRECT, beside what the caches of both sides hold of the same file.
scenario odirect "1 2" a 2
scenario_odirect() {
	on server -- put straight 0 8M 11
	on a <<-'END'
		has straight 8M:11
		ops_mark
		put straight 2M 4M 12 direct
		part straight 2M 4M 12 direct
		direct
	END
	on_each "a server" has straight 2M:11 6M:12 8M:11
}

# Down, up, and up inside the last block: what was cut off is zeros for ever.  A client that holds the file does not wait for itself.
scenario truncate "1 2" a 2
scenario_truncate() {
	on server -- put cut 0 4M 13
	on a <<-'END'
		exec 5<>$D/cut
		put cut 0 4M 14
		within 1000 resize cut 1000000
		equal "$(size $D/cut)" 1000000
		put cut 0 8K 15
		within 1000 resize cut 1001000
		within 1000 resize cut 4M
		has cut 8K:15 1000000:14 4M:0
		exec 5>&-
	END
	on_each "a server" has_fresh cut 8K:15 1000000:14 4M:0
}

# As many extents as fit into a layout, as often as it takes.
scenario fragments "1 2" a 2
scenario_fragments() {
	on server 120 <<-'END'
		# two files written by turns, a block each, straight to the disk, come out in as many pieces
		for i in $(seq 0 999); do
			echo "file 0"; echo "pwrite -q $((i * 4096)) 4096"
			echo "file 1"; echo "pwrite -q $((i * 4096)) 4096"
		done >/run/pieces.$$
		xfs_io -f -d $D/pieces $D/other </run/pieces.$$ >/dev/null
		rm /run/pieces.$$ $D/other
		put pieces 0 4096000 16
		xfs_bmap $D/pieces | grep -vc :$ >$D/extents
		[ "$(cat $D/extents)" -ge 900 ]
	END
	on a <<-'END'
		EXTENTS=$(cat $D/extents)
		straight has pieces 4096000:16
		# 44 bytes for an extent, maxcount 4096 in the client's calls: 92 in each (nfsd gives one at a time)
		[ ! "$OURS" ] || [ "${OPS[4]}" = $(((EXTENTS + 91) / 92)) ]
		straight put pieces 0 4096000 17
	END
	on_each "a server" has_fresh pieces 4096000:17
}

# A gibibyte, all of it straight.
scenario gigabyte "1" a ""
scenario_gigabyte() {
	on server -- resize giga 1024M
	on a 200 <<-'END'
		ops_mark
		put giga 0 1024M 18
		has_fresh giga 1024M:18
		direct
	END
	on server 100 -- 'has giga 1024M:18; rm $D/giga'
}
