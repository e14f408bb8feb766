# Names that go, come and change under open files; many small ones.  Called by tests/guest/run.sh.

# The file that an open descriptor means stays that one; the other's blocks are its own.
scenario rename "1 2" a 2
scenario_rename() {
	on server <<-'END'
		$TOOL write $D/old 0 1048576 20
		$TOOL write $D/new 0 1048576 21
	END
	on a <<-'END'
		exec 5<>$D/old
		$TOOL write $D/old 0 1048576 22
		within 1000 mv $D/new $D/old
		$TOOL check $D/old 0 1048576 21
		caches_drop
		$TOOL check /proc/self/fd/5 0 1048576 22
		exec 5>&-
		equal "$(ls -A $D)" old
	END
	on server <<-'END'
		equal "$(ls -A $D)" old
		$TOOL check $D/old 0 1048576 21
	END
}

scenario unlink "1 2" a 2
scenario_unlink() {
	on server -- '$TOOL write $D/gone 0 1048576 23'
	on a <<-'END'
		exec 5<>$D/gone
		$TOOL write $D/gone 0 1048576 24
		within 1000 rm $D/gone
		caches_drop
		$TOOL check /proc/self/fd/5 0 1048576 24
		exec 5>&-
		equal "$(ls -A $D)" ""
	END
	on server -- 'equal "$(ls -A $D)" ""'
}

# Each of a size of its own, so that most end inside a block.
scenario small "1 2" a 2
scenario_small() {
	local files=200
	[ -z "$QUICK" ] || files=50
	on a 120 <<-END
		for i in \$(seq $files); do
			\$TOOL write \$D/f\$i 0 \$((i * 104)) \$i
		done
		caches_drop
		for i in \$(seq $files); do
			\$TOOL check \$D/f\$i 0 \$((i * 104)) \$i
		done
		equal "\$(ls \$D | wc -l)" $files
	END
	on server <<-END
		for i in \$(seq $files); do
			equal "\$(size \$D/f\$i)" \$((i * 104))
			\$TOOL check \$D/f\$i 0 \$((i * 104)) \$i
		done
		rm \$D/f?
	END
	on a -- 'sleep 1; for i in $(seq 10 20); do rm $D/f$i; done; ls $D | wc -l'
}
