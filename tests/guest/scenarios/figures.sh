# What it costs, for doc/providers.md.  Called by tests/guest/run.sh.

# First write into new space, 256 MiB and fsync: the median of five runs after one that warms up.  Files that grow, and that had their size before.
scenario figures "1" a ""
scenario_figures() {
	on a 600 <<-'END'
		# first_write SHAPE FLAGS: "MB/s WRITEs LAYOUTGETs"
		first_write() {
			local start
			rm -f $D/new
			[ $1 = grows ] && : >$D/new || resize new 256M
			# on the server what was removed is given back, and what is delayed is done
			sync
			sleep 2
			ops_mark
			start=${EPOCHREALTIME/./}
			dd if=/dev/zero of=$D/new bs=1M count=256 conv=notrunc,fsync $2 status=none
			start=$((${EPOCHREALTIME/./} - start))
			ops_since
			echo "$((268435456 / start)) ${OPS[1]} ${OPS[4]}"
		}
		for shape in grows sized; do
			for flags in "" oflag=direct; do
				first_write $shape $flags >/dev/null
				for i in 1 2 3 4 5; do first_write $shape $flags; done | sort -n >/run/figures
				awk -v what="$shape${flags:+, O_DIRECT}" '{speed[NR] = $1; writes[NR] = $2; layouts[NR] = $3}
					END {printf "FIGURE first write, %s: %d MB/s (%d to %d), WRITE %d, LAYOUTGET %d\n", what, speed[3], speed[1], speed[NR],
						writes[3], layouts[3]}' /run/figures
			done
		done
		rm $D/new
	END
}
