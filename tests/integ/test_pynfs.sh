#!/bin/bash
# pynfs, if there is one: PYNFS_DIR names a built checkout of it (tests/conformance/run-pynfs).
here=$(dirname "$0")
[ -n "${PYNFS_DIR:-}" ] || { echo "SKIP: pynfs: PYNFS_DIR not set"; exit 77; }
if "$here/../conformance/run-pynfs" "$PYNFS_DIR" --minor 1; then
	echo "PASS: pynfs, minor version 1, as expected-minor1.txt says"
else
	status=$?
	[ $status = 77 ] || echo "FAIL: pynfs, minor version 1"
	exit $status
fi
