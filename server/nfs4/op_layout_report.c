/*
 * LAYOUTERROR and LAYOUTSTATS (RFC 7862 15.6, 15.7): what clients tell of their I/O.  Errors go to the log; with block and SCSI layouts nothing follows from either: who
 * cannot reach the LUN does its I/O through the server.
 */
#include <stdatomic.h>

#include "include/log.h"
#include "proto/nfs4/status.h"
#include "server/layout/grant.h"
#include "server/mds.h"
#include "server/nfs4/compound.h"

#define TELL_MS 10000u

static nfsstat4
report_check(struct compound *c, const stateid4 *stateid)
{
	stateid4 sid = *stateid;
	bool is_layout = false;

	if (c->cur->type != S_IFREG)
		return c->cur->type == S_IFDIR ? NFS4ERR_ISDIR : NFS4ERR_WRONG_TYPE;
	nfsstat4 status = compound_resolve_stateid(c, &sid);
	if (status == NFS4_OK)
		status = layout_check_sid(c->mds, c->client, c->cur, &sid, &is_layout);
	return status == NFS4_OK && !is_layout ? NFS4ERR_BAD_STATEID : status;
}

/* A client with a broken path may send many: told once in a while. */
static bool
tell_now(void)
{
	static atomic_uint_fast64_t last;
	uint64_t now = mds_now_ms(), before = atomic_load(&last);

	return (!before || now - before >= TELL_MS) && atomic_compare_exchange_strong(&last, &before, now);
}

nfsstat4
op_layouterror(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	const LAYOUTERROR4args *args = &arg->nfs_argop4_u.oplayouterror;
	const device_error4 *first = args->lea_errors.lea_errors_val;

	(void)res;
	nfsstat4 status = report_check(c, &args->lea_stateid);
	/* 15.6.3: "MUST NOT return an error in the processing of the errors". */
	if (status == NFS4_OK && args->lea_errors.lea_errors_len && tell_now())
		log_warn("a client reports %u errors of its direct I/O, the first in [%llu, +%llu) of inode %llu: %s", args->lea_errors.lea_errors_len,
		    (unsigned long long)args->lea_offset, (unsigned long long)args->lea_length, (unsigned long long)c->cur->ino,
		    nfs4_status_name(first->de_status));
	return status;
}

/* RFCs 5663 and 8154 define no contents of lsa_layoutupdate: it is not looked at. */
nfsstat4
op_layoutstats(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res)
{
	(void)res;
	return report_check(c, &arg->nfs_argop4_u.oplayoutstats.lsa_stateid);
}
