# A Kerberos realm of its own for tests: a KDC on loopback, everything in a folder.  Sourced by tests/integ/test_gss.sh, run by unit tests:
#
#	sh tests/common/kdc.sh DIR	make the realm and start the KDC; exit 77 if Debian's krb5-kdc, krb5-admin-server, krb5-user are not there
#
# KRB5_CONFIG=DIR/krb5.conf and KRB5_KDC_PROFILE=DIR/kdc.conf lead there.  The server's keys are in DIR/server.keytab (nfs/localhost).  Users daemon, root and
# ghost (who has no account) have tickets in DIR/cc.USER.  DIR/kdc.pid: the KDC's.

PATH=$PATH:/usr/sbin:/sbin
KDC_REALM=PNFS.TEST

kdc_conf() {
	cat >"$1/krb5.conf" <<-END
	[libdefaults]
	default_realm = $KDC_REALM
	dns_lookup_kdc = false
	dns_lookup_realm = false
	dns_canonicalize_hostname = false
	rdns = false
	udp_preference_limit = 1
	[realms]
	$KDC_REALM = {
		kdc = 127.0.0.1:$2
	}
	[domain_realm]
	localhost = $KDC_REALM
	END
	cat >"$1/kdc.conf" <<-END
	[kdcdefaults]
	kdc_listen = 127.0.0.1:$2
	kdc_tcp_listen = 127.0.0.1:$2
	[realms]
	$KDC_REALM = {
		database_name = $1/principal
		key_stash_file = $1/stash
		acl_file = $1/acl
		max_life = 10h
	}
	[logging]
	kdc = FILE:$1/kdc.log
	END
	export KRB5_CONFIG="$1/krb5.conf" KRB5_KDC_PROFILE="$1/kdc.conf"
}

# kdc_principal DIR KEYTAB NAME
kdc_principal() {
	kadmin.local -r $KDC_REALM -q "add_principal -randkey $3" &&
	kadmin.local -r $KDC_REALM -q "ktadd -k $1/$2 $3"
}

kdc_listens() {
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		kill -0 "$(cat "$1/kdc.pid" 2>/dev/null)" 2>/dev/null || { sleep .1; continue; }
		kinit -k -t "$1/user.keytab" -c "FILE:$1/cc.daemon" daemon && return 0
		sleep .2
	done
	return 1
}

# kdc_start DIR PORT
kdc_start() {
	kdc_conf "$1" "$2"
	kdb5_util create -s -P master -r $KDC_REALM &&
	kdc_principal "$1" server.keytab nfs/localhost &&
	kdc_principal "$1" user.keytab daemon && kdc_principal "$1" user.keytab root && kdc_principal "$1" user.keytab ghost &&
	krb5kdc -r $KDC_REALM -P "$1/kdc.pid" && kdc_listens "$1" &&
	kinit -k -t "$1/user.keytab" -c "FILE:$1/cc.root" root &&
	kinit -k -t "$1/user.keytab" -c "FILE:$1/cc.ghost" ghost
}

kdc_stop() {
	kill "$(cat "$1/kdc.pid")" 2>/dev/null
}

if [ "${0##*/}" = kdc.sh ]; then
	for tool in krb5kdc kdb5_util kadmin.local kinit; do
		command -v $tool >/dev/null || exit 77
	done
	for try in 1 2 3; do
		port=$((30000 + ($$ * 7 + try * 1009) % 9000))
		rm -f "$1"/principal* "$1"/*.keytab
		kdc_start "$1" $port >>"$1/setup.log" 2>&1 && exit 0
		kdc_stop "$1"
	done
	cat "$1/setup.log" >&2
	exit 1
fi
