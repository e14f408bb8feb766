# Names that go, come and change under open files; many small ones.  Called by tests/guest/run.sh.

# The file that an open descriptor means stays that one; the other's blocks are its own.
scenario rename "1 2" a 2
scenario_rename() {
	on server <<-'END'
		put old 0 1M 20
		put new 0 1M 21
	END
	on a <<-'END'
		exec 5<>$D/old
		put old 0 1M 22
		within 1000 mv $D/new $D/old
		has old 1M:21
		has_fresh /proc/self/fd/5 1M:22
		exec 5>&-
	END
	on_each "a server" 'equal "$(ls -A $D)" old; has old 1M:21'
}

scenario unlink "1 2" a 2
scenario_unlink() {
	on server -- put gone 0 1M 23
	on a <<-'END'
		exec 5<>$D/gone
		put gone 0 1M 24
		within 1000 rm $D/gone
		has_fresh /proc/self/fd/5 1M:24
		exec 5>&-
	END
	on_each "a server" 'equal "$(ls -A $D)" ""'
}

# Each of a size of its own, so that most end inside a block.
scenario small "1 2" a 2
scenario_small() {
	local files=200 each
	[ -z "$QUICK" ] || files=50
	each="for i in \$(seq $files); do has f\$i \$((i * 104)):\$i; done"
	on a 120 <<-END
		for i in \$(seq $files); do put f\$i 0 \$((i * 104)) \$i; done
		caches_drop
		$each
		equal "\$(ls \$D | wc -l)" $files
	END
	on server 120 -- "$each; rm \$D/f?"
	on a -- 'sleep 1; for i in $(seq 10 20); do rm $D/f$i; done; ls $D | wc -l'
}
