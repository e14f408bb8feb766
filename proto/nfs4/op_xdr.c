/* Codecs by operation number; see op_xdr.h. */
#include "proto/nfs4/op_xdr.h"

#include "proto/nfs4/dirent.h"

static bool_t
no_args(XDR *xdrs, void *args)
{
	(void)xdrs;
	(void)args;
	return TRUE;
}

#define ROW(op) [OP_##op] = { #op, (xdrproc_t)xdr_##op##4args, (xdrproc_t)xdr_##op##4res }
#define NO_ARGS(op) [OP_##op] = { #op, (xdrproc_t)no_args, (xdrproc_t)xdr_##op##4res }

static const struct op_xdr ops[] = {
	ROW(ACCESS),
	ROW(CLOSE),
	ROW(COMMIT),
	ROW(CREATE),
	ROW(DELEGPURGE),
	ROW(DELEGRETURN),
	ROW(GETATTR),
	NO_ARGS(GETFH),
	ROW(LINK),
	ROW(LOCK),
	ROW(LOCKT),
	ROW(LOCKU),
	ROW(LOOKUP),
	NO_ARGS(LOOKUPP),
	ROW(NVERIFY),
	ROW(OPEN),
	ROW(OPENATTR),
	ROW(OPEN_CONFIRM),
	ROW(OPEN_DOWNGRADE),
	ROW(PUTFH),
	NO_ARGS(PUTPUBFH),
	NO_ARGS(PUTROOTFH),
	ROW(READ),
	[OP_READDIR] = { "READDIR", (xdrproc_t)xdr_READDIR4args, (xdrproc_t)dirent_xdr_res },
	NO_ARGS(READLINK),
	ROW(REMOVE),
	ROW(RENAME),
	ROW(RENEW),
	NO_ARGS(RESTOREFH),
	NO_ARGS(SAVEFH),
	ROW(SECINFO),
	ROW(SETATTR),
	ROW(SETCLIENTID),
	ROW(SETCLIENTID_CONFIRM),
	ROW(VERIFY),
	ROW(WRITE),
	ROW(RELEASE_LOCKOWNER),
	ROW(BACKCHANNEL_CTL),
	ROW(BIND_CONN_TO_SESSION),
	ROW(EXCHANGE_ID),
	ROW(CREATE_SESSION),
	ROW(DESTROY_SESSION),
	ROW(FREE_STATEID),
	ROW(GET_DIR_DELEGATION),
	ROW(GETDEVICEINFO),
	ROW(GETDEVICELIST),
	ROW(LAYOUTCOMMIT),
	ROW(LAYOUTGET),
	ROW(LAYOUTRETURN),
	ROW(SECINFO_NO_NAME),
	ROW(SEQUENCE),
	ROW(SET_SSV),
	ROW(TEST_STATEID),
	ROW(WANT_DELEGATION),
	ROW(DESTROY_CLIENTID),
	ROW(RECLAIM_COMPLETE),
	ROW(ALLOCATE),
	ROW(COPY),
	ROW(COPY_NOTIFY),
	ROW(DEALLOCATE),
	ROW(IO_ADVISE),
	ROW(LAYOUTERROR),
	ROW(LAYOUTSTATS),
	ROW(OFFLOAD_CANCEL),
	ROW(OFFLOAD_STATUS),
	ROW(READ_PLUS),
	ROW(SEEK),
	ROW(WRITE_SAME),
	ROW(CLONE),
	ROW(GETXATTR),
	ROW(SETXATTR),
	ROW(LISTXATTRS),
	ROW(REMOVEXATTR),
};

static const struct op_xdr cb_ops[] = {
	ROW(CB_GETATTR),
	ROW(CB_RECALL),
	ROW(CB_LAYOUTRECALL),
	ROW(CB_NOTIFY),
	ROW(CB_PUSH_DELEG),
	ROW(CB_RECALL_ANY),
	ROW(CB_RECALLABLE_OBJ_AVAIL),
	ROW(CB_RECALL_SLOT),
	ROW(CB_SEQUENCE),
	ROW(CB_WANTS_CANCELLED),
	ROW(CB_NOTIFY_LOCK),
	ROW(CB_NOTIFY_DEVICEID),
	ROW(CB_OFFLOAD),
};

#define FIND(table, op) \
	((op) < sizeof (table) / sizeof *(table) && (table)[op].name ? &(table)[op] : NULL)

const struct op_xdr *
nfs4_op_xdr(uint32_t op)
{
	return FIND(ops, op);
}

const struct op_xdr *
nfs4_cb_op_xdr(uint32_t op)
{
	return FIND(cb_ops, op);
}
