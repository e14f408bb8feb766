# Random operations, whose outcome is known: an fsx (tool model) and an fsstress (tool tree; Debian packages neither, and what it has -
# stress-ng, fio - checks no file after renames, cuts and mappings).  Called by tests/guest/run.sh.  --seed says what is done, --seconds how
# long.  Each client tells which calls the server had from it, and must have had layouts and written to the disk itself.

# visits COMMAND: a program on the server's host does it again and again, until visits_end or the scenario's end
visits() {
	: >"$W/visiting"
	(while [ -e "$W/visiting" ]; do
		on server -- "($*) >/dev/null 2>&1 || :"
		sleep .3
	done) &
	VISITOR=$!
}

visits_end() {
	rm "$W/visiting"
	wait "$VISITOR"
}

# fsx_on HOST WRITER WRITERS: leaves the sum of its part in sum.WRITER
fsx_on() {
	on "$1" $(($(run_seconds) + 120)) <<-END
		lun_mark
		\$TOOL model \$D/random $(run_seconds) $((SEED + $2)) $2 $3 >/run/model.out || { cat /run/model.out; exit 1; }
		cat /run/model.out
		grep ^SUM /run/model.out >\$D/sum.$2
		direct_some
	END
}

# fsx_same HOST WRITERS: it sees what the writers say they left
fsx_same() {
	on "$1" <<-END
		caches_drop
		for writer in \$(seq 0 $(($2 - 1))); do
			equal "\$(\$TOOL sum \$D/random \$writer $2)" "\$(cat \$D/sum.\$writer)"
		done
	END
}

# fsstress_on HOST FIRST: four processes, numbered from there on
fsstress_on() {
	on "$1" $(($(run_seconds) + 120)) <<-END
		lun_mark
		\$TOOL tree \$D $(run_seconds) $SEED $2 4
		direct_some
	END
}

# together A B: two commands at the same time; both must succeed
together() {
	local first status=0
	$1 &
	first=$!
	$2 || status=1
	wait $first && return $status
}

scenario fsx "1 2" a "1 2"
scenario_fsx() {
	fsx_on a 0 1
	fsx_same a 1
	fsx_same server 1
}

# Two clients write one file, each every other 256 KiB of it, and take each other's layouts away.
scenario twofsx "1 2" "a b" "1 2"
scenario_twofsx() {
	on server -- resize random 4M
	together "fsx_on a 0 2" "fsx_on b 1 2"
	for host in a b server; do fsx_same $host 2; done
}

# A program on the server's host and another client look at the file all the time: each look takes the layouts away.
scenario visited "1 2" "a b" 2
scenario_visited() {
	visits 'cat $D/random'
	on b -- "(for n in \$(seq $(run_seconds)); do cat \$D/random; sleep .5; done) >/dev/null 2>&1 &"
	fsx_on a 0 1
	visits_end
	fsx_same server 1
	on b -- sleep 1
	fsx_same b 1
}

scenario fsstress "1 2" a "1 2"
scenario_fsstress() {
	fsstress_on a 0
	on_each "a server" 'caches_drop; $TOOL treecheck $D'
}

# Two clients in the same directories, and a program on the server's host that reads all that is there.
scenario twofsstress "1 2" "a b" "1 2"
scenario_twofsstress() {
	visits 'ls -lR $D; find $D -type f | head -n 20 | xargs cat'
	together "fsstress_on a 0" "fsstress_on b 4"
	visits_end
	on_each "a b server" 'caches_drop; $TOOL treecheck $D'
}
