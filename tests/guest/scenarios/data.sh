# Reading and writing: what must go straight to the disk, and what may go through the server.  Called by tests/guest/run.sh.
# Offsets, sizes and seeds are those of tests/guest/tool.

# A file written on the server is read, one of a known size written, overwritten and read again: not a byte through the server.
scenario basic "1 2" a "1 2"
scenario_basic() {
	on server <<-'END'
		$TOOL write $D/local 0 8388608 1
		$TOOL truncate $D/sized 16777216
	END
	on a <<-'END'
		ls -l $D
		equal "$(size $D/local)" 8388608
		ops_mark
		$TOOL check $D/local 0 8388608 1
		direct
		ops_mark
		$TOOL write $D/sized 0 16777216 2
		direct
		ops_mark
		$TOOL write $D/sized 4194304 4194304 3
		direct
		caches_drop
		ops_mark
		$TOOL check $D/sized 0 4194304 2
		$TOOL check $D/sized 4194304 4194304 3
		$TOOL check $D/sized 8388608 8388608 2
		direct
	END
	on server <<-'END'
		$TOOL check $D/sized 0 4194304 2
		$TOOL check $D/sized 4194304 4194304 3
		$TOOL check $D/sized 8388608 8388608 2
	END
	image_has sized 4194304 4194304 3
}

# Behind the end of the file: by design through the server (plain), or straight (nfsd); right in any case.
scenario append "1 2" a 2
scenario_append() {
	on a <<-'END'
		for i in 0 1 2 3 4 5 6 7; do
			$TOOL write $D/grown $((i * 100000)) 100000 4
		done
		equal "$(size $D/grown)" 800000
		$TOOL write $D/large 0 4194304 5
		$TOOL check $D/grown 0 800000 4
		caches_drop
		$TOOL check $D/grown 0 800000 4
		$TOOL check $D/large 0 4194304 5
	END
	on server <<-'END'
		equal "$(size $D/grown)" 800000
		$TOOL check $D/grown 0 800000 4
		$TOOL check $D/large 0 4194304 5
	END
}

# Holes read as zeros, from a layout and after another hole was filled.
scenario sparse "1 2" a 2
scenario_sparse() {
	on server <<-'END'
		$TOOL truncate $D/holes 8388608
		$TOOL write $D/holes 1048576 65536 6
		$TOOL write $D/holes 5242880 65536 6
		cp --reflink=never $D/holes $D/as-it-was
	END
	on a <<-'END'
		ops_mark
		cmp $D/holes $D/as-it-was
		equal "$(sha $D/holes)" "$(sha $D/as-it-was)"
		direct
		ops_mark
		$TOOL write $D/holes 3145728 65536 7
		direct
		caches_drop
		$TOOL check $D/holes 3145728 65536 7
		$TOOL check $D/holes 1048576 65536 6
		$TOOL check $D/holes 0 1048576 0
		$TOOL check $D/holes 5308416 3080192 0
	END
	on server <<-'END'
		$TOOL check $D/holes 3145728 65536 7
		$TOOL write $D/as-it-was 3145728 65536 7
		cmp $D/holes $D/as-it-was
	END
}

# Stores through a shared mapping, and parts of pages.
scenario mmap "1 2" a 2
scenario_mmap() {
	on server -- '$TOOL write $D/mapped 0 4194304 8'
	on a <<-'END'
		ops_mark
		$TOOL store $D/mapped 1048576 1048576 9
		$TOOL store $D/mapped 12344 64 10
		direct
		caches_drop
		$TOOL check $D/mapped 0 12344 8
		$TOOL check $D/mapped 12344 64 10
		$TOOL check $D/mapped 12408 1036168 8
		$TOOL check $D/mapped 1048576 1048576 9
	END
	on server <<-'END'
		$TOOL check $D/mapped 12344 64 10
		$TOOL check $D/mapped 12408 1036168 8
		$TOOL check $D/mapped 1048576 1048576 9
		$TOOL check $D/mapped 2097152 2097152 8
	END
}

# O_DIRECT, beside what the caches of both sides hold of the same file.
scenario odirect "1 2" a 2
scenario_odirect() {
	on server -- '$TOOL write $D/straight 0 8388608 11'
	on a <<-'END'
		$TOOL check $D/straight 0 8388608 11
		ops_mark
		$TOOL write $D/straight 2097152 4194304 12 direct
		$TOOL check $D/straight 2097152 4194304 12 direct
		direct
		$TOOL check $D/straight 0 2097152 11
		$TOOL check $D/straight 2097152 4194304 12
	END
	on server <<-'END'
		$TOOL check $D/straight 0 2097152 11
		$TOOL check $D/straight 2097152 4194304 12
		$TOOL check $D/straight 6291456 2097152 11
	END
}

# Down, up, and up inside the last block: what was cut off is zeros for ever.  A client that holds the file does not wait for itself.
scenario truncate "1 2" a 2
scenario_truncate() {
	on server -- '$TOOL write $D/cut 0 4194304 13'
	on a <<-'END'
		exec 5<>$D/cut
		$TOOL write $D/cut 0 4194304 14
		within 1000 $TOOL truncate $D/cut 1000000
		equal "$(size $D/cut)" 1000000
		$TOOL write $D/cut 0 8192 15
		within 1000 $TOOL truncate $D/cut 1001000
		within 1000 $TOOL truncate $D/cut 4194304
		$TOOL check $D/cut 8192 991808 14
		$TOOL check $D/cut 1000000 3194304 0
		exec 5>&-
		caches_drop
		$TOOL check $D/cut 1000000 3194304 0
	END
	on server <<-'END'
		$TOOL check $D/cut 0 8192 15
		$TOOL check $D/cut 8192 991808 14
		$TOOL check $D/cut 1000000 3194304 0
		equal "$(size $D/cut)" 4194304
	END
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
		$TOOL write $D/pieces 0 4096000 16
		xfs_bmap $D/pieces | grep -vc :$ >$D/extents
		[ "$(cat $D/extents)" -ge 900 ]
	END
	on a <<-'END'
		EXTENTS=$(cat $D/extents)
		ops_mark
		$TOOL check $D/pieces 0 4096000 16
		direct
		# 44 bytes for an extent, maxcount 4096 in the client's calls: 92 in each (nfsd gives one at a time)
		[ ! "$OURS" ] || [ "${OPS[4]}" = $(((EXTENTS + 91) / 92)) ]
		ops_mark
		$TOOL write $D/pieces 0 4096000 17
		direct
		caches_drop
		$TOOL check $D/pieces 0 4096000 17
	END
	on server -- '$TOOL check $D/pieces 0 4096000 17'
}

# A gibibyte, all of it straight.
scenario gigabyte "1" a ""
scenario_gigabyte() {
	on server -- '$TOOL truncate $D/giga 1073741824'
	on a 200 <<-'END'
		ops_mark
		$TOOL write $D/giga 0 1073741824 18
		caches_drop
		$TOOL check $D/giga 0 1073741824 18
		direct
	END
	on server 100 -- '$TOOL check $D/giga 0 1073741824 18; rm $D/giga'
}

# Random operations, and the end of it compared on the server.
scenario model "1 2" a 2
scenario_model() {
	local seconds=30
	[ -z "$QUICK" ] || seconds=8
	on a $((seconds + 60)) <<-END
		\$TOOL model \$D/random $seconds $SEED
		sha \$D/random >\$D/sum
		caches_drop
		equal "\$(sha \$D/random)" "\$(cat \$D/sum)"
	END
	on server -- 'equal "$(sha $D/random)" "$(cat $D/sum)"'
}
