# One who wants what a client holds: a program on the server's host, another client.  Called by tests/guest/run.sh.
# Each time the layout is recalled, comes back, and both see the right bytes, soon.

# held FILE...: a mebibyte each; client a keeps them open, with layouts for writing, until release
held() {
	on server <<-END
		for file in $*; do put \$file 0 1M 30; done
	END
	on a <<-END
		rm -f /run/gate
		mkfifo /run/gate
		for file in $*; do
			exec {fd}<>\$D/\$file
			straight put \$file 0 1M 31
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
	held read write truncate remove over punch allocate clone map
	on server <<-'END'
		put instead 0 1M 32
		within 3000 has read 1M:31
		within 3000 put write 256K 4K 33
		within 3000 resize truncate 4K
		within 3000 resize truncate 8K
		within 3000 rm $D/remove
		within 3000 mv $D/instead $D/over
		within 3000 fallocate -p -o 256K -l 256K $D/punch
		within 3000 fallocate -o 1M -l 256K $D/allocate
		within 3000 cp --reflink=always $D/clone $D/cloned
		within 3000 store map 256K 4K 33
		has cloned 1M:31
	END
	# the client had to give back what it held, and gets it again; but no longer of blocks that two files share.
	# (The kernel's server does not ask for it when a program there reads, or stores by a mapping.)
	on a <<-'END'
		for file in write punch allocate ${OURS:+read map}; do straight put $file 1020K 4K 31; done
		put clone 0 4K 39
	END
	# what the client may believe of its caches until it looks again
	release
	on a <<-'END'
		has read 1M:31
		has write 256K:31 260K:33 1M:31
		has truncate 4K:31 8K:0
		! cat $D/remove 2>/dev/null
		has over 1M:32
		has punch 256K:31 512K:0 1M:31
		has allocate 1M:31 1280K:0
		has clone 4K:39 1M:31
		has cloned 1M:31
		has map 256K:31 260K:33 1M:31
		# and the client goes on
		put write 0 1M 34
	END
	on server <<-'END'
		has write 1M:34
		has clone 4K:39 1M:31
		has cloned 1M:31
	END
}

# A truncation on the server while the client writes: each byte is the client's or a hole.
# The client's flusher may wait for a LAYOUTGET while it owes a LAYOUTCOMMIT: the recall has to be said again (server/layout/recall.c).
scenario race "1 2" a 2
scenario_race() {
	on server -- resize race 8M
	on a <<-'END'
		(for i in 1 2 3 4 5 6; do put race 0 8M 35; done; touch /run/race.done) >/run/race.log 2>&1 &
	END
	on server <<-'END'
		for i in 1 2 3 4; do
			within 5000 resize race 64K
			within 5000 resize race 8M
			sleep .2
		done
	END
	on a <<-'END'
		while [ ! -e /run/race.done ]; do sleep .2; done
		cat /run/race.log
		rm /run/race.done
		put race 0 8M 36
		has_fresh race 8M:36
	END
	on server -- has race 8M:36
}

# A second client reads, writes and truncates what the first holds.
scenario two "1 2" "a b" 2
scenario_two() {
	held read write truncate
	on b <<-'END'
		ops_mark
		within 3000 has read 1M:31
		within 3000 put write 256K 512K 37
		direct
		within 3000 resize truncate 4K
		within 3000 resize truncate 8K
	END
	release
	on a <<-'END'
		has read 1M:31
		has write 256K:31 768K:37 1M:31
		has truncate 4K:31 8K:0
		put write 0 512K 38
	END
	on_each "b server" has write 512K:38 768K:37 1M:31
}

# A second client punches, allocates, clones and copies what the first holds (NFSv4.2: DEALLOCATE, ALLOCATE, CLONE, COPY).
scenario space 2 "a b" 2
scenario_space() {
	held punch allocate clone copy
	on b <<-'END'
		calls() { awk -v mount=$MOUNT -v op="$1:" '/^device/ {on = $5 == mount} on && $1 == op {n = $2} END {print n + 0}' /proc/self/mountstats; }
		within 3000 fallocate -p -o 256K -l 256K $D/punch
		within 3000 fallocate -o 1M -l 256K $D/allocate
		within 3000 cp --reflink=always $D/clone $D/cloned
		within 3000 xfs_io -f -c "copy_range $D/copy" $D/copied >/dev/null
		for op in DEALLOCATE ALLOCATE CLONE COPY; do
			[ "$(calls $op)" -gt 0 ] || { echo "no $op was called"; false; }
		done
		has cloned 1M:31
		has copied 1M:31
		has punch 256K:31 512K:0 1M:31
		# of a copy, not of a clone, there are layouts
		straight put copied 0 1M 40
		# more than a reply's worth: one COPY, and CB_OFFLOAD
		put much 0 40M 41
		had=$(calls COPY)
		within 20000 xfs_io -f -c "copy_range $D/much" $D/offloaded >/dev/null
		had=$(($(calls COPY) - had))
		[ -z "$OURS" ] || [ $had = 1 ] || { echo "$had calls of COPY"; false; }
		has offloaded 40M:41
	END
	on a <<-'END'
		for file in punch copy; do straight put $file 1020K 4K 31; done
		# what was allocated is behind its layout, which it still has
		put allocate 1020K 4K 31
		put clone 0 4K 39
	END
	release
	on_each "a b server" has punch 256K:31 512K:0 1M:31
	on_each "a b server" has allocate 1M:31 1280K:0
	on_each "a b server" has clone 4K:39 1M:31
	on_each "a b server" has cloned 1M:31
	on_each "a b server" has copy 1M:31
	on_each "a b server" has copied 1M:40
	on_each "a server" has offloaded 40M:41
}
