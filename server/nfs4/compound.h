/*
 * One COMPOUND in execution.  compound.c decodes, gates, runs and encodes operation
 * by operation; ops.c holds the table; op_*.c the handlers.
 *
 * A compound starts on the loop that owns the connection.  Handlers are plain
 * functions.  On a loop (c->on_loop) a handler that would block returns
 * OP_WORKER having changed nothing: the compound is then resumed at that same operation on a
 * worker.  Rows flagged OPF_BLOCKS go there at once.
 * A handler that would have to wait for a client answers NFS4ERR_DELAY.
 */
#ifndef PNFS_SERVER_NFS4_COMPOUND_H
#define PNFS_SERVER_NFS4_COMPOUND_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/rpc/peer.h"
#include "proto/x/nfs4.h"
#include "server/fs/fs.h"
#include "server/gss/gss.h"
#include "server/net/worker.h"

struct client;
struct conn;
struct export_client;
struct mds;
struct session;
struct slot;

/* Not on the wire: run this operation again on a worker. */
#define OP_WORKER ((nfsstat4)0x7fff0001)
/* Not on the wire: send no reply at all (a retry of what is still under way). */
#define OP_DROP ((nfsstat4)0x7fff0002)

struct compound {
	struct mds *mds;
	struct conn *conn;		/* net/conn.h; referenced once off the loop, which holds it anyway; so is the session */
	struct rpc_rec *rec;		/* what args alias; the same */
	uint32_t xid, minor, nops, index;	/* index of the operation being run */
	uint32_t op;			/* its number */
	uint32_t record_len;		/* bytes of the request with its RPC header (ca_maxrequestsize) */
	struct gss_use gss;		/* RPCSEC_GSS */
	uint32_t sec;			/* what it came by: EXPORT_SEC_ bit (conf/exports.h) */
	bool next_judges;		/* the operation leaves it to the next one to say WRONGSEC (RFC 8881 2.6.3.1.1) */
	bool wrongsec, saved_wrongsec;	/* that does not do for cur's, saved's export: few operations may come (RFC 8881 2.6.3.1) */
	XDR in, out;
	struct rpc_out *reply;
	bool on_loop;

	/*
	 * A handler may write its whole result to OUT itself (operation number, NFS4_OK, result) and set this before it
	 * returns NFS4_OK: nothing more is encoded then (READDIR, whose generated codec recurses per entry).  False before each
	 * operation.  On another return value OUT is put back to where it was.  Room: compound_reply_data().
	 */
	bool encoded;

	/* Set by SEQUENCE; NULL for the few operations that come without. */
	struct client *client;
	struct session *session;
	struct slot *slot;
	uint32_t max_reply;		/* bytes the reply may take on this channel (RFC 8881 2.10.6.4) */
	bool cache_this;
	bool uncached_retry;		/* a retry whose answer was not kept: the operation after SEQUENCE says so */

	/* Current and saved filehandle and stateid (RFC 8881 16.2.3.1). */
	struct inode *cur, *saved;	/* referenced; NULL: none */
	const struct export_client *cur_opts, *saved_opts;	/* options of the export for this client; NULL for the pseudo root */
	stateid4 cur_sid, saved_sid;
	bool cur_sid_valid, saved_sid_valid;

	uint32_t results;		/* encoded so far */
	uint32_t results_pos;		/* where their count stands in OUT */

	/* What stands from here is not cleared between uses. */
	struct work work;
	struct compound *next;		/* the pool's */
	struct rpc_cred rpc_cred;	/* as the RPC claims */
	struct fs_cred cred;		/* of the caller, squashed for cur's export; valid with cur */
	struct fs_cred saved_cred;	/* and with saved */
	struct arena arena;		/* for arguments and results */
};

/* ---- for handlers ---- */

/* Make INODE (reference taken over) the current filehandle; drops the current stateid.  Checks that its export admits the caller. */
nfsstat4 compound_set_fh(struct compound *c, struct inode *inode);

/* Note a stateid that an operation gave back, so that the special "current" stateid means it. */
void compound_set_stateid(struct compound *c, const stateid4 *sid);

/* Replace the special current stateid {1, 0} by c->cur_sid (RFC 8881 16.2.3.1.2); BAD_STATEID if there is none. */
nfsstat4 compound_resolve_stateid(struct compound *c, stateid4 *sid);

/* Is the export writable for this client?  NFS4ERR_ROFS if not. */
nfsstat4 compound_check_rw(struct compound *c);

/* Room left in the reply after this operation's status, in bytes (for READ and READDIR). */
uint32_t compound_room(struct compound *c);

/*
 * Where READ's data will stand in the reply if the result is
 * encoded next with HEADER bytes before it (after the operation's number and status; READ: 8, eof and count): read straight to it (ax_put_fixed then copies nothing).
 * NULL: no room for LEN.  OUT has room for HEADER + LEN after the status when it returns.
 */
uint8_t *compound_reply_data(struct compound *c, uint32_t header, uint32_t len);

/*
 * May the caller do what CLIENT has put under its machine's credential (SP4_MACH_CRED, RFC 8881 2.10.8.3)?  WRONG_CRED if it is another, or nothing protects the
 * call.
 */
nfsstat4 compound_check_mach(const struct compound *c, const struct client *client);

/* ---- the table ---- */

enum {
	OPF_NO_SESSION = 1 << 0,	/* may stand without SEQUENCE, alone (RFC 8881 2.10.1: EXCHANGE_ID ...) */
	OPF_FH = 1 << 1,		/* needs a current filehandle: NOFILEHANDLE */
	OPF_SAVED = 1 << 2,		/* and a saved one */
	OPF_MODIFIES = 1 << 3,		/* room for the reply is checked first (PITFALLS C6) */
	OPF_BLOCKS = 1 << 4,		/* always on a worker */
	OPF_V42 = 1 << 5,		/* NFS4ERR_OP_ILLEGAL at minor version 1 */
	OPF_FIRST = 1 << 6,		/* SEQUENCE: only as the first */
	OPF_V41_ONLY = 1 << 7,		/* GETDEVICELIST: dropped by RFC 7862 */
	OPF_UNSUPPORTED = 1 << 8,	/* answers NOTSUPP after its arguments were decoded */
	OPF_PUTFH = 1 << 9,		/* "put filehandle operation" of RFC 8881 2.6.3.1.1 */
	OPF_ANYSEC = 1 << 10,		/* takes a filehandle whatever the security flavor: judges what it finds by it, or tells the flavors */
};

struct op_row {
	nfsstat4 (*run)(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res);
	uint32_t flags;
	uint32_t reply_max;		/* bytes of the result at most, status included; 0: variable, the handler looks at compound_room() */
};

/* Indexed by nfs_opnum4, up to and with the highest of RFC 8276. */
#define OP_ROWS (OP_REMOVEXATTR + 1)
extern const struct op_row op_rows[OP_ROWS];

/* Names of the handlers; each in its op_*.c. RES is zeroed; its status is set by compound.c from the return value. */
typedef nfsstat4 op_fn(struct compound *c, nfs_argop4 *arg, nfs_resop4 *res);
/* op_session.c */
op_fn op_exchange_id, op_create_session, op_destroy_session, op_destroy_clientid, op_bind_conn_to_session,
    op_backchannel_ctl, op_sequence, op_reclaim_complete;
/* op_fh.c */
op_fn op_putfh, op_putrootfh, op_putpubfh, op_getfh, op_savefh, op_restorefh, op_lookup, op_lookupp, op_secinfo,
    op_secinfo_no_name;
/* op_attr.c */
op_fn op_getattr, op_setattr, op_access, op_verify, op_nverify;
/* op_dir.c */
op_fn op_create, op_remove, op_rename, op_link, op_readlink, op_readdir;
/* op_io.c */
op_fn op_read, op_write, op_commit;
/* op_read_plus.c, op_space.c, op_copy.c, op_write_same.c */
op_fn op_read_plus, op_allocate, op_deallocate, op_seek, op_io_advise, op_copy, op_offload_status, op_offload_cancel, op_clone, op_write_same;
/* op_open.c */
op_fn op_open, op_open_downgrade, op_close;
/* op_deleg.c */
op_fn op_delegreturn, op_want_delegation;
/* op_lock.c */
op_fn op_lock, op_lockt, op_locku;
/* op_stateid.c */
op_fn op_test_stateid, op_free_stateid;
/* op_layout.c */
op_fn op_layoutget, op_layoutcommit, op_layoutreturn;
/* op_layout_report.c */
op_fn op_layouterror, op_layoutstats;
/* op_device.c */
op_fn op_getdeviceinfo, op_getdevicelist;
/* op_xattr.c */
op_fn op_getxattr, op_setxattr, op_listxattrs, op_removexattr;

/* ---- for op_sequence.c and the pool ---- */

/* Not on the wire: the whole reply stands in c->reply (from the slot's cache). */
#define OP_REPLAYED ((nfsstat4)0x7fff0003)

/* Make sure that OUT has NEED more bytes, moving the reply if it must; false: beyond what any reply may take, or no memory. */
bool compound_grow(struct compound *c, uint32_t need);

/* From the pool, everything but the arena's block cleared; NULL without memory. */
struct compound *compound_alloc(struct mds *mds);
void compound_free(struct compound *c);
/* Give back what is pooled (tests, server_stop). */
void compound_pool_drain(void);

/* ---- for net/ ---- */

/* A CALL of COMPOUND arrived: run it and answer.  Loop's thread. */
void compound_start(struct mds *mds, struct conn *conn, struct rpc_call *call);

#endif
