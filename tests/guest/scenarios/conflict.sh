# One who wants what a client holds: a program on the server's host, another client.  Called by tests/guest/run.sh.
# Each time the layout is recalled, comes back, and both see the right bytes, soon.

# hold FILE...: client a keeps files open, with layouts for writing, until release
hold() {
	on a <<-END
		rm -f /run/gate
		mkfifo /run/gate
		for file in $*; do
			exec {fd}<>\$D/\$file
			ops_mark
			\$TOOL write \$D/\$file 0 1048576 31
			direct
		done
		(read -r _ </run/gate || :) >/dev/null 2>&1 &
	END
}

release() {
	on a -- 'echo >/run/gate; sleep .3'
}

# A program on the server's host, against what the client holds.
scenario local "1 2" a 2
scenario_local() {
	local files='read write truncate remove over punch allocate clone map'
	on server <<-END
		for file in $files; do \$TOOL write \$D/\$file 0 1048576 30; done
		\$TOOL write \$D/instead 0 1048576 32
	END
	hold $files
	on server <<-'END'
		within 3000 $TOOL check $D/read 0 1048576 31
		within 3000 $TOOL write $D/write 262144 4096 33
		within 3000 $TOOL truncate $D/truncate 4096
		within 3000 $TOOL truncate $D/truncate 8192
		within 3000 rm $D/remove
		within 3000 mv $D/instead $D/over
		within 3000 fallocate -p -o 262144 -l 262144 $D/punch
		within 3000 fallocate -o 1048576 -l 262144 $D/allocate
		within 3000 cp --reflink=always $D/clone $D/cloned
		within 3000 $TOOL store $D/map 262144 4096 33
		$TOOL check $D/cloned 0 1048576 31
	END
	# the client had to give back what it held, and gets it again; but no longer of blocks that two files share.
	# (The kernel's server does not ask for it when a program there reads, or stores by a mapping.)
	on a <<-'END'
		for file in write punch allocate ${OURS:+read map}; do
			ops_mark
			$TOOL write $D/$file 1044480 4096 31
			direct
		done
		$TOOL write $D/clone 0 4096 39
	END
	# what the client may believe of its caches until it looks again
	release
	on a <<-'END'
		$TOOL check $D/read 0 1048576 31
		$TOOL check $D/write 0 262144 31
		$TOOL check $D/write 262144 4096 33
		$TOOL check $D/write 266240 782336 31
		equal "$(size $D/truncate)" 8192
		$TOOL check $D/truncate 0 4096 31
		$TOOL check $D/truncate 4096 4096 0
		! cat $D/remove 2>/dev/null
		$TOOL check $D/over 0 1048576 32
		$TOOL check $D/punch 262144 262144 0
		$TOOL check $D/punch 524288 524288 31
		equal "$(size $D/allocate)" 1310720
		$TOOL check $D/allocate 0 1048576 31
		$TOOL check $D/allocate 1048576 262144 0
		$TOOL check $D/clone 0 4096 39
		$TOOL check $D/clone 4096 1044480 31
		$TOOL check $D/cloned 0 1048576 31
		$TOOL check $D/map 262144 4096 33
		# and the client goes on
		$TOOL write $D/write 0 1048576 34
	END
	on server <<-'END'
		$TOOL check $D/write 0 1048576 34
		$TOOL check $D/clone 0 4096 39
		$TOOL check $D/cloned 0 1048576 31
	END
}

# A truncation on the server while the client writes: each byte is the client's or a hole.
# The client's flusher may wait for a LAYOUTGET while it owes a LAYOUTCOMMIT: the recall has to be said again (server/layout/recall.c).
scenario race "1 2" a 2
scenario_race() {
	on server -- '$TOOL truncate $D/race 8388608'
	on a <<-'END'
		(for i in 1 2 3 4 5 6; do $TOOL write $D/race 0 8388608 35; done; touch /run/race.done) >/run/race.log 2>&1 &
	END
	on server <<-'END'
		for i in 1 2 3 4; do
			within 5000 $TOOL truncate $D/race 65536
			within 5000 $TOOL truncate $D/race 8388608
			sleep .2
		done
	END
	on a 60 <<-'END'
		while [ ! -e /run/race.done ]; do sleep .2; done
		cat /run/race.log
		rm /run/race.done
		$TOOL write $D/race 0 8388608 36
		caches_drop
		$TOOL check $D/race 0 8388608 36
	END
	on server -- '$TOOL check $D/race 0 8388608 36'
}

# A second client reads, writes and truncates what the first holds.
scenario two "1 2" "a b" 2
scenario_two() {
	on server <<-'END'
		for file in read write truncate; do $TOOL write $D/$file 0 1048576 30; done
	END
	hold read write truncate
	on b <<-'END'
		ops_mark
		within 3000 $TOOL check $D/read 0 1048576 31
		within 3000 $TOOL write $D/write 262144 524288 37
		direct
		within 3000 $TOOL truncate $D/truncate 4096
		within 3000 $TOOL truncate $D/truncate 8192
	END
	release
	on a <<-'END'
		$TOOL check $D/read 0 1048576 31
		$TOOL check $D/write 0 262144 31
		$TOOL check $D/write 262144 524288 37
		equal "$(size $D/truncate)" 8192
		$TOOL write $D/write 0 524288 38
	END
	on b <<-'END'
		$TOOL check $D/write 0 524288 38
		$TOOL check $D/write 524288 262144 37
	END
	on server <<-'END'
		$TOOL check $D/write 0 524288 38
		$TOOL check $D/write 524288 262144 37
		$TOOL check $D/write 786432 262144 31
	END
}

# Random operations while a program on the server's host and another client look at the file all the time: each look takes the
# layouts away.
scenario visited "1 2" "a b" 2
scenario_visited() {
	local seconds=30 visitor
	[ -z "$QUICK" ] || seconds=8
	on a -- ': >$D/random'
	: >"$W/visiting"
	(while [ -e "$W/visiting" ]; do
		on server -- 'cat $D/random >/dev/null'
		sleep .3
	done) &
	visitor=$!
	on b -- "(for n in \$(seq $seconds); do cat \$D/random; sleep .5; done) >/dev/null 2>&1 &"
	on a $((seconds + 60)) <<-END
		\$TOOL model \$D/random $seconds $SEED
		sha \$D/random >\$D/sum
	END
	rm "$W/visiting"
	wait $visitor
	on server -- 'equal "$(sha $D/random)" "$(cat $D/sum)"'
	on b -- 'caches_drop; sleep 1; equal "$(sha $D/random)" "$(cat $D/sum)"'
}
