# Reading and writing: what must go straight to the disk, and what may go through the server.  Called by tests/guest/run.sh.
# Offsets, sizes and seeds are those of tests/guest/tool.

# A file written on the server is read, one of a known size written, overwritten and read again: not a byte through the server.
scenario basic "1 2" a 10
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
