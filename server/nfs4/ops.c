/*
 * THE table: one row per operation (RFC 8881 18, RFC 7862 15, RFC 8276 8).  compound.c reads it, nothing else knows operations by
 * number.  To add one: a handler in its op_*.c, the row here, a test.
 *
 * reply_max counts the status, not the operation's number.  Rows without run and flags do not exist (OP_ILLEGAL).
 */
#include "server/nfs4/compound.h"

#define STATUS 4u
#define STATEID 16u
#define CHANGE_INFO 20u
#define BITMAP 16u		/* count and three words */
#define FH (4u + NFS4_FHSIZE)
#define DENIED (8u + 8 + 4 + 8 + 4 + NFS4_OPAQUE_LIMIT)	/* LOCK4denied */
#define WRITE_RESPONSE (4u + STATEID + 8 + 4 + NFS4_VERIFIER_SIZE)	/* write_response4 with a callback id */
#define DELEGATION (4u + STATEID + 4 + 12 + 16)	/* open_delegation4, its largest arm; permissions are for nobody */
#define SECINFO (4u + 4 * (4 + 4 + 12 + 4 + 4))	/* four flavors, three with an OID */
#define CHANNEL (6u * 4 + 4 + 4)

#define FHR OPF_FH
#define FHM (OPF_FH | OPF_MODIFIES)
#define FHMB (OPF_FH | OPF_MODIFIES | OPF_BLOCKS)
#define UNSUPPORTED { NULL, OPF_UNSUPPORTED, STATUS }
#define UNSUPPORTED_42 { NULL, OPF_UNSUPPORTED | OPF_V42, STATUS }

const struct op_row op_rows[OP_ROWS] = {
	[OP_ACCESS] = { op_access, FHR, STATUS + 8 },
	[OP_CLOSE] = { op_close, FHM, STATUS + STATEID },
	[OP_COMMIT] = { op_commit, FHMB, STATUS + NFS4_VERIFIER_SIZE },
	[OP_CREATE] = { op_create, FHMB, STATUS + CHANGE_INFO + BITMAP },
	[OP_DELEGPURGE] = UNSUPPORTED,
	[OP_DELEGRETURN] = { op_delegreturn, FHM, STATUS },
	[OP_GETATTR] = { op_getattr, FHR, 0 },
	[OP_GETFH] = { op_getfh, FHR, STATUS + FH },
	[OP_LINK] = { op_link, FHMB | OPF_SAVED, STATUS + CHANGE_INFO },
	[OP_LOCK] = { op_lock, FHM, STATUS + DENIED },
	[OP_LOCKT] = { op_lockt, FHR, STATUS + DENIED },
	[OP_LOCKU] = { op_locku, FHM, STATUS + STATEID },
	[OP_LOOKUP] = { op_lookup, FHR | OPF_ANYSEC, STATUS },
	[OP_LOOKUPP] = { op_lookupp, FHR | OPF_ANYSEC, STATUS },
	[OP_NVERIFY] = { op_nverify, FHR, STATUS },
	[OP_OPEN] = { op_open, FHM | OPF_ANYSEC, STATUS + STATEID + CHANGE_INFO + 4 + BITMAP + DELEGATION },
	[OP_OPENATTR] = UNSUPPORTED,
	[OP_OPEN_CONFIRM] = UNSUPPORTED,	/* RFC 8881 17: mandatory to not implement, here and below */
	[OP_OPEN_DOWNGRADE] = { op_open_downgrade, FHM, STATUS + STATEID },
	[OP_PUTFH] = { op_putfh, OPF_PUTFH, STATUS },
	[OP_PUTPUBFH] = { op_putpubfh, OPF_PUTFH, STATUS },
	[OP_PUTROOTFH] = { op_putrootfh, OPF_PUTFH, STATUS },
	[OP_READ] = { op_read, FHR, 0 },
	[OP_READDIR] = { op_readdir, FHR | OPF_BLOCKS, 0 },
	[OP_READLINK] = { op_readlink, FHR, 0 },
	[OP_REMOVE] = { op_remove, FHMB, STATUS + CHANGE_INFO },
	[OP_RENAME] = { op_rename, FHMB | OPF_SAVED, STATUS + 2 * CHANGE_INFO },
	[OP_RENEW] = UNSUPPORTED,
	[OP_RESTOREFH] = { op_restorefh, OPF_SAVED | OPF_PUTFH, STATUS },
	[OP_SAVEFH] = { op_savefh, FHR | OPF_ANYSEC, STATUS },
	[OP_SECINFO] = { op_secinfo, FHR | OPF_ANYSEC, STATUS + SECINFO },
	[OP_SETATTR] = { op_setattr, FHMB, STATUS + BITMAP },
	[OP_SETCLIENTID] = UNSUPPORTED,
	[OP_SETCLIENTID_CONFIRM] = UNSUPPORTED,
	[OP_VERIFY] = { op_verify, FHR, STATUS },
	[OP_WRITE] = { op_write, FHM, STATUS + 8 + NFS4_VERIFIER_SIZE },
	[OP_RELEASE_LOCKOWNER] = UNSUPPORTED,

	[OP_BACKCHANNEL_CTL] = { op_backchannel_ctl, OPF_MODIFIES, STATUS },
	[OP_BIND_CONN_TO_SESSION] = { op_bind_conn_to_session, OPF_NO_SESSION, STATUS + NFS4_SESSIONID_SIZE + 8 },
	[OP_EXCHANGE_ID] = { op_exchange_id, OPF_NO_SESSION | OPF_MODIFIES | OPF_BLOCKS,
	    STATUS + 16 + 4 + 2 * (4 + 8) + 8 + 4 + 16 + 4 + 16 + 4 },
	[OP_CREATE_SESSION] = { op_create_session, OPF_NO_SESSION | OPF_MODIFIES | OPF_BLOCKS,
	    STATUS + NFS4_SESSIONID_SIZE + 8 + 2 * CHANNEL },
	[OP_DESTROY_SESSION] = { op_destroy_session, OPF_NO_SESSION | OPF_MODIFIES, STATUS },
	[OP_FREE_STATEID] = { op_free_stateid, OPF_MODIFIES, STATUS },
	[OP_GET_DIR_DELEGATION] = UNSUPPORTED,
	[OP_GETDEVICEINFO] = { op_getdeviceinfo, OPF_BLOCKS, 0 },
	[OP_GETDEVICELIST] = { op_getdevicelist, FHR | OPF_V41_ONLY, 0 },
	[OP_LAYOUTCOMMIT] = { op_layoutcommit, FHMB, STATUS + 12 },
	[OP_LAYOUTGET] = { op_layoutget, OPF_FH | OPF_MODIFIES, 256 },
	[OP_LAYOUTRETURN] = { op_layoutreturn, OPF_MODIFIES, STATUS + 4 + STATEID },
	[OP_SECINFO_NO_NAME] = { op_secinfo_no_name, FHR | OPF_ANYSEC, STATUS + SECINFO },
	[OP_SEQUENCE] = { op_sequence, OPF_FIRST, STATUS + NFS4_SESSIONID_SIZE + 20 },
	[OP_SET_SSV] = UNSUPPORTED,
	[OP_TEST_STATEID] = { op_test_stateid, 0, 0 },
	[OP_WANT_DELEGATION] = { op_want_delegation, FHM | OPF_BLOCKS, STATUS + DELEGATION },
	[OP_DESTROY_CLIENTID] = { op_destroy_clientid, OPF_NO_SESSION | OPF_MODIFIES | OPF_BLOCKS, STATUS },
	[OP_RECLAIM_COMPLETE] = { op_reclaim_complete, OPF_MODIFIES, STATUS },

	[OP_ALLOCATE] = { op_allocate, FHMB | OPF_V42, STATUS },
	[OP_COPY] = { op_copy, FHMB | OPF_SAVED | OPF_V42, STATUS + WRITE_RESPONSE + 8 },
	[OP_COPY_NOTIFY] = UNSUPPORTED_42,	/* between servers: RFC 7862 13 */
	[OP_DEALLOCATE] = { op_deallocate, FHMB | OPF_V42, STATUS },
	[OP_IO_ADVISE] = { op_io_advise, FHR | OPF_BLOCKS | OPF_V42, STATUS + BITMAP },
	[OP_LAYOUTERROR] = { op_layouterror, FHR | OPF_V42, STATUS },
	[OP_LAYOUTSTATS] = { op_layoutstats, FHR | OPF_V42, STATUS },
	[OP_OFFLOAD_CANCEL] = { op_offload_cancel, FHM | OPF_V42, STATUS },
	[OP_OFFLOAD_STATUS] = { op_offload_status, FHR | OPF_V42, STATUS + 8 + 4 + 4 },
	[OP_READ_PLUS] = { op_read_plus, FHR | OPF_V42, 0 },
	[OP_SEEK] = { op_seek, FHR | OPF_BLOCKS | OPF_V42, STATUS + 12 },
	[OP_WRITE_SAME] = { op_write_same, FHMB | OPF_V42, STATUS + WRITE_RESPONSE },
	[OP_CLONE] = { op_clone, FHMB | OPF_SAVED | OPF_V42, STATUS },

	[OP_GETXATTR] = { op_getxattr, FHR | OPF_BLOCKS | OPF_V42, 0 },
	[OP_SETXATTR] = { op_setxattr, FHMB | OPF_V42, STATUS + CHANGE_INFO },
	[OP_LISTXATTRS] = { op_listxattrs, FHR | OPF_BLOCKS | OPF_V42, 0 },
	[OP_REMOVEXATTR] = { op_removexattr, FHMB | OPF_V42, STATUS + CHANGE_INFO },
};
