#!/bin/bash
# RPCSEC_GSS between libpnfs and pnfs-mds, by a KDC on loopback: each flavor carries files, exports refuse the others, nothing can be read on the
# wire with krb5p, tickets that are missing and contexts that are gone are dealt with.
. "$(dirname "$0")/lib.sh"
world_private "$@"
PATH=$PATH:/usr/sbin:/sbin
requires tgtd tgtadm mkfs.xfs tshark krb5kdc kdb5_util kadmin.local kinit
world_init gss 512
. "$top/tests/common/kdc.sh"
end() { kdc_stop "$W"; world_end; }
trap end EXIT

kdc_start "$W" "$(world_port)" >"$W/kdc.setup" 2>&1 || { cat "$W/kdc.setup"; fail "no KDC"; finish; }
export KRB5RCACHENAME=file2:$W/rcache KRB5CCNAME=FILE:$W/cc.root
requires_gss() {
	"$BIN/pnfs" --sec krb5 ls nfs://127.0.0.1:1/ 2>&1 | grep -q "without GSS" && skip_all "built without GSS-API"
}
requires_gss

MDS_PORT_FIXED=$(world_port)
world_mds block keytab="$W/server.keytab" lease=6 grace=6 opts=sec=krb5:krb5i:krb5p
url() { echo "nfs://localhost:$MDS_PORT$MNT/$1?sec=$2"; }
head -c 3145728 /dev/urandom >"$W/data"
yes "plain words on the wire" | head -c 200000 >"$W/words"

for sec in krb5 krb5i krb5p; do
	capture_start "$W/$sec.pcap" "$MDS_PORT"
	check "$sec: put, directly" pnfs --direct require put "$W/data" "$(url $sec $sec)"
	check "$sec: get, through the server" pnfs --direct never get "$(url $sec $sec)" "$W/got"
	check "$sec: ... the bytes" cmp "$W/data" "$W/got"
	check "$sec: words put through the server" pnfs --direct never put "$W/words" "$(url words.$sec $sec)"
	check "$sec: ... and got" pnfs --direct never get "$(url words.$sec $sec)" "$W/got"
	check "$sec: ... the words" cmp "$W/words" "$W/got"
	check "$sec: ls" pnfs ls "$(url '' $sec)"
	capture_stop
	seen=$(tshark -r "$W/$sec.pcap" -Y 'tcp contains "plain words"' 2>/dev/null | wc -l)
	if [ $sec = krb5p ]; then
		check "krb5p: no word of it on the wire" test "$seen" = 0
		check "krb5p: nor a name" test "$(tshark -r "$W/$sec.pcap" -Y 'tcp contains "words.krb5p"' 2>/dev/null | wc -l)" = 0
	else
		check "$sec: the words are on the wire (the capture sees what there is)" test "$seen" -gt 0
	fi
	check "$sec: no call goes by AUTH_SYS" test "$(tshark -r "$W/$sec.pcap" -d "tcp.port==$MDS_PORT,rpc" \
		-Y 'rpc.msgtyp == 0 && rpc.auth.flavor == 1 && rpc.program == 100003' 2>/dev/null | wc -l)" = 0
done

check "files are of the principal's account" test "$(stat -c %u "$MNT/krb5p")" = 0
chmod 777 "$MNT"
check "daemon puts" env KRB5CCNAME="FILE:$W/cc.daemon" "$BIN/pnfs" --direct never put "$W/words" "$(url daemon krb5i)"
check "... as itself" test "$(stat -c %U "$MNT/daemon")" = daemon
check "one without an account puts" env KRB5CCNAME="FILE:$W/cc.ghost" "$BIN/pnfs" --direct never put "$W/words" "$(url ghost krb5)"
check "... as nobody" test "$(stat -c %u "$MNT/ghost")" = 65534
chmod 600 "$MNT/daemon"
not() { ! "$@"; }
check "... and does not read what is daemon's" not env KRB5CCNAME="FILE:$W/cc.ghost" "$BIN/pnfs" --direct never get "$(url daemon krb5)" "$W/not"

check "sys is refused" not pnfs --direct never get "$(url words.krb5 sys)" "$W/not"
check "no ticket: told so" not env KRB5CCNAME="FILE:$W/none" "$BIN/pnfs" ls "$(url '' krb5)"
check "... at once, in words" grep -q "Required key not available" <(KRB5CCNAME=FILE:$W/none "$BIN/pnfs" ls "$(url '' krb5)" 2>&1)
check "a flavor there is not" not pnfs ls "$(url '' krb6)"

# The server's contexts are gone: the client makes another, a new client ID, and goes on.
DEV=$LUN "$BIN/tests/integ/check_client" write "$(url '' krb5i)" long 48 12 30 >"$W/long.out" 2>"$W/long.err" &
LONG=$!
for _ in $(seq 200); do
	grep -q ^ready "$W/long.out" && break
	sleep .05
done
sleep .5
world_mds_kill
sleep .5
world_mds_run
check "the server is killed and comes back: a krb5i client finishes" wait $LONG
check "... under another context, by a new client ID" grep -q "recoveries=1" "$W/long.out"
check "... with every byte" test "$(stat -c %s "$MNT/long")" = $((48 << 20))
world_mds_stop

world_mds block keytab="$W/server.keytab" lease=6 grace=6 opts=sec=krb5p
check "krb5i where krb5p is asked for: refused" not pnfs --direct never get "$(url krb5p krb5i)" "$W/not"
check "krb5p: granted" pnfs --direct never get "$(url krb5p krb5p)" "$W/got"
check "... the bytes" cmp "$W/data" "$W/got"
world_mds_stop

world_mds block keytab="$W/none.keytab" lease=6 grace=6 opts=sec=sys:krb5
check "no key of the server: said at start" grep -q "no key of this server" "$W/mds.log"
check "... krb5 fails" not timeout 60 "$BIN/pnfs" --direct never get "$(url krb5p krb5)" "$W/not"
check "... sys goes" pnfs --direct never get "$(url krb5p sys)" "$W/got"
cp "$W/server.keytab" "$W/none.keytab"
check "... the key comes: krb5 goes, too" pnfs --direct never get "$(url krb5p krb5)" "$W/got"
finish
