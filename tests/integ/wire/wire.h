/*
 * A scripted NFSv4.1 client: what is sent, on which slot and connection, and how and when callbacks are answered is the test's business.  It knows the
 * server by RFC 8881, 5663 and 8154 only.  One thread: while an answer is awaited, callbacks to all clients are served (world_pump).
 *
 *	client.c    connections, calls, sessions
 *	callback.c  CB_COMPOUND
 *	file.c      operations on files, layouts
 *	decode.c    what every layout must look like
 *	world.c     the tests' runner, files made locally, the script's commands
 *	test_*.c    the tests
 */
#ifndef PNFS_TESTS_WIRE_H
#define PNFS_TESTS_WIRE_H

#include <setjmp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "proto/layout/layout_xdr.h"
#include "proto/nfs4/compound_xdr.h"
#include "proto/nfs4/status.h"
#include "server/fence/fence.h"
#include "tests/common/rpc_socket.h"

#define MiB (UINT64_C(1) << 20)
#define KiB UINT64_C(1024)
#define ALL UINT64_MAX

/* No status came: the connection ended, or the answer is malformed. */
#define WIRE_LOST ((nfsstat4)-1)

/* ---- world.c ---- */

struct world {
	uint16_t port;
	const char *export;		/* absolute path, the same locally and by NFS */
	char dir[32];			/* below it: the running test's folder */
	int image;			/* the LUN's backing file */
	uint64_t image_size;
	const char *lun;		/* iscsi:// URL */
	layouttype4 type;
	unsigned lease, recall, max_io;	/* seconds */
	bool kernel;			/* the server's provider (PROVIDER in the environment): blocks behind EOF, and every write here waits for the file's lease */
	jmp_buf give_up;
};
extern struct world world;

struct wire_test {
	const char *id, *text;		/* id of PITFALLS.md */
	void (*fn)(void);
};
extern const struct wire_test tests_layout[], tests_grant[], tests_commit[], tests_recall[], tests_conflict[], tests_space[], tests_session[], tests_backchannel[], tests_state[],
    tests_device[], tests_fence[], tests_unfenced[], tests_scsi[], tests_former[], tests_reload[], tests_restart[], tests_restart_unfenced[], tests_garbage[];

uint64_t now_ms(void);
void wire_expect(const char *file, int line, const char *what, int64_t got, int64_t want);
void wire_true(const char *file, int line, const char *what, bool ok);
void wire_give_up(const char *file, int line, const char *what) __attribute__((noreturn));
/* The same, and the test goes on. */
#define EXPECT(got, want) wire_expect(__FILE__, __LINE__, #got, (int64_t)(got), (int64_t)(want))
#define EXPECT_TRUE(cond) wire_true(__FILE__, __LINE__, #cond, cond)
/* A status, by name. */
void wire_status(const char *file, int line, const char *what, nfsstat4 got, nfsstat4 want);
#define STATUS(got, want) wire_status(__FILE__, __LINE__, #got, got, want)
/* Or the test ends as failed. */
#define REQUIRE(cond) ((cond) ? (void)0 : wire_give_up(__FILE__, __LINE__, #cond))
#define OK(call) do { \
	nfsstat4 ok_ = (call); \
	if (ok_ != NFS4_OK) { \
		fprintf(stderr, "%s: %s\n", #call, nfs4_status_name(ok_)); \
		wire_give_up(__FILE__, __LINE__, #call); \
	} \
} while (0)

/* A command of the script (scripts/world.sh): its exit status. */
int world_do(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Output of a command, first line, static. */
const char *world_ask(const char *command);

/* Serve callbacks for MS milliseconds, or until something happened (STOP). */
void world_pump(unsigned ms);

/* Files made locally, closed and on the disk; NAME in the test's folder.  Contents: every 8 bytes are their offset xor SEED. */
void local_make(const char *name, uint64_t size, uint64_t seed);
void local_sparse(const char *name, uint64_t size);
void local_prealloc(const char *name, uint64_t size);
/* Every second block is data: COUNT pieces of BLOCK bytes. */
void local_fragments(const char *name, unsigned count, uint32_t block, uint64_t seed);
/* Open, patch, sync, close. */
void local_put(const char *name, uint64_t offset, uint64_t len, uint64_t seed);
/* Are these bytes so?  SEED 0 stands for zeros.  Opens the file: no layout may be out. */
bool local_is(const char *name, uint64_t offset, uint64_t len, uint64_t seed);
uint64_t local_size(const char *name);
const char *local_path(const char *name);
void pattern_fill(void *buf, uint64_t offset, uint64_t len, uint64_t seed);
bool pattern_is(const void *buf, uint64_t offset, uint64_t len, uint64_t seed);

struct client;

/* A local operation in a child, since it may wait for a layout. */
enum local_op { LOCAL_TRUNCATE, LOCAL_OPEN, LOCAL_READ, LOCAL_WRITE };
pid_t local_start(enum local_op op, const char *name, uint64_t arg);
/* Callbacks are served meanwhile.  False: it is not done after MS (then it goes on). */
bool local_wait(pid_t pid, unsigned ms, int *err);

/* Send the server SIGTERM, no more. */
void server_term(void);
/* Has it ended, as C's connection tells?  Callbacks are served meanwhile.  False: not after MS. */
bool server_ended(struct client *c, unsigned ms);
/* Start it again. */
void server_again(void);
/* Lines of its log with TEXT (at most 255). */
unsigned server_logged(const char *text);

/* ---- client.c ---- */

#define SLOTS 16u
#define CONNS 4u
#define CBS 512u
#define SLOT_RETURNS (SLOTS - 1)	/* of LAYOUTRETURNs the client sends by itself */

enum cb_policy {
	CB_RETURN,			/* NFS4_OK, and return the range at once */
	CB_HOLD,			/* NFS4_OK, and nothing more */
	CB_NOMATCH,			/* NFS4ERR_NOMATCHING_LAYOUT */
	CB_DELAY,			/* NFS4ERR_DELAY */
	CB_SILENT,			/* no answer at all */
};

/* A CB_COMPOUND with CB_LAYOUTRECALL that came. */
struct cb_seen {
	uint64_t at;			/* ms */
	uint32_t minor, program, flavor, uid, slot, seqid;
	layouttype4 type;
	uint32_t iomode, what;
	bool changed, cachethis;
	uint32_t fh_len;
	char fh[NFS4_FHSIZE];
	uint64_t offset, length;
	stateid4 stateid;
	unsigned nrefs;
	struct { char session[NFS4_SESSIONID_SIZE]; uint32_t seqid, slot; } refs[8];
	unsigned conn;
};

/* A CB_NOTIFY_DEVICEID that came. */
struct notice_seen {
	uint64_t at;			/* ms */
	uint32_t what, immediate;	/* what: 1 << notify_deviceid_type4 */
	uint8_t device[NFS4_DEVICEID4_SIZE];
};
#define NOTICES 64u

/* A CB_NOTIFY_LOCK that came. */
struct lock_seen {
	uint64_t at;			/* ms */
	uint32_t fh_len, owner_len;
	char fh[NFS4_FHSIZE], owner[64];
};
#define LOCKS_SEEN 16u

/* The last CB_OFFLOAD that came. */
struct offload_seen {
	uint32_t fh_len;
	char fh[NFS4_FHSIZE];
	stateid4 stateid;
	nfsstat4 status;
	uint64_t count;			/* of bytes, whatever the status */
	stable_how4 committed;
	verifier4 verf;
};

struct file;
struct answer;				/* a reply nobody asked for yet */

struct client {
	char owner[64];
	uint32_t minor, id;		/* id: user and group of every call */
	verifier4 verifier;
	uint64_t clientid;
	uint32_t create_seq, eid_flags, csr_flags;
	char session[NFS4_SESSIONID_SIZE];
	channel_attrs4 fore, back;	/* as granted */
	uint32_t seqids[SLOTS];		/* last used */
	int fd[CONNS];			/* -1: none */
	unsigned conn;			/* to send on */
	uint32_t status_flags;		/* of the last SEQUENCE */
	uint32_t cb_flavor;		/* csa_sec_parms */
	enum cb_policy policy;
	struct cb_seen cbs[CBS];
	struct notice_seen notices[NOTICES];
	unsigned nnotices;
	struct lock_seen locks[LOCKS_SEEN];
	unsigned nlocks;
	struct offload_seen offload;
	unsigned noffloads;
	unsigned ncbs, cb_errors;	/* cb_errors: callbacks that break the RFC's rules */
	uint32_t cb_seqids[SLOTS];
	/* LAYOUTRETURNs to be sent by CB_RETURN */
	struct cb_seen *returns[CBS];
	unsigned nreturns;
	uint32_t return_xid;
	nfsstat4 return_status;		/* of the last one */
	unsigned returned;
	struct file *files;
	struct answer *answers;
	/* the call being made, the answer being read */
	uint32_t xid, call_slot;
	uint8_t *call, *reply;
	struct compound_call out;
	struct compound_results in;
	struct arena arena;
	uint32_t reply_len;
};
#define WIRE_BUF (2u << 20)

/* A client with a session, its grace behind it.  They go away with the test. */
struct client *client_new(const char *name);
/* The steps, for tests that take them apart.  client_bare(): only connected. */
struct client *client_bare(const char *name);
nfsstat4 client_exchange_id(struct client *c);
nfsstat4 client_create_session(struct client *c);
nfsstat4 client_reclaim_complete(struct client *c);
/* RETURN ALL, CLOSE, DESTROY_SESSION, DESTROY_CLIENTID; the last one's status. */
nfsstat4 client_end(struct client *c);
void clients_end(void);
unsigned clients(struct client ***all);
/* Another connection to the server; its number. */
unsigned client_connect(struct client *c);
void client_disconnect(struct client *c, unsigned conn);

/* A call: begin, operations, run. */
void call_begin(struct client *c);				/* SEQUENCE on slot 0 */
void call_begin_slot(struct client *c, uint32_t slot);
void call_begin_seq(struct client *c, uint32_t slot, uint32_t seqid, bool cachethis);
void call_begin_bare(struct client *c);				/* no SEQUENCE */
void call_op(struct client *c, uint32_t op, const void *args);
uint32_t call_send(struct client *c);				/* the xid */
/* The length of the record at c->call, for those who send it themselves. */
uint32_t call_finish(struct client *c);
/* Wait for an answer.  False: none in MS, or the connection went. */
bool call_wait(struct client *c, uint32_t xid, unsigned ms);
/* Send, wait, and read SEQUENCE's result if there is one. */
nfsstat4 call_run(struct client *c);
nfsstat4 call_seq_result(struct client *c);
nfsstat4 call_res(struct client *c, uint32_t op, nfs_resop4 *res);

/* ---- callback.c ---- */
void callback_take(struct client *c, unsigned conn, uint8_t *data, uint32_t len);
void callback_next_return(struct client *c);
/* Recalls of FH (NULL: any) so far. */
unsigned recalls(const struct client *c, const nfs_fh4 *fh);
/* Wait for one more than HAD: false after MS. */
bool recall_wait(struct client *c, unsigned had, unsigned ms);
struct cb_seen *recall_last(struct client *c);

/* Of DEVICE, so far. */
unsigned notices(const struct client *c, uint32_t what, const uint8_t *device);
/* Wait for one more than HAD: false after MS. */
bool notice_wait(struct client *c, uint32_t what, const uint8_t *device, unsigned had, unsigned ms);

/* The server was killed: all connections of all clients are gone. */
void clients_cut(void);
/* To the next life of it: client ID and session anew. */
void client_come_back(struct client *c);

/* ---- test_device.c ---- */
/* GETDEVICEINFO of a device of the world's type, asking for notifications WANT: those promised. */
uint32_t device_subscribe(struct client *c, const uint8_t *id, uint32_t want);

/* ---- file.c ---- */
struct file {
	struct file *next;
	struct client *c;
	char name[64];
	char fh_data[NFS4_FHSIZE];
	nfs_fh4 fh;
	stateid4 open, layout;
	bool is_open, held;
};

/* PUTFH and one operation; its status. */
nfsstat4 on_fh(struct client *c, const nfs_fh4 *fh, uint32_t op, const void *args, nfs_resop4 *res);
/* Again while the server says DELAY, GRACE, RECALLCONFLICT or LAYOUTTRYLATER, at most MS. */
nfsstat4 on_fh_patient(struct client *c, const nfs_fh4 *fh, uint32_t op, const void *args, nfs_resop4 *res, unsigned ms);
/* Absolute path. */
nfsstat4 fh_lookup(struct client *c, const char *path, char data[NFS4_FHSIZE], nfs_fh4 *fh);
/* The test's folder. */
nfs_fh4 fh_dir(struct client *c);

enum { READ_ONLY = OPEN4_SHARE_ACCESS_READ, READ_WRITE = OPEN4_SHARE_ACCESS_BOTH };
/* Open NAME of the test's folder; gives the test up if it fails. */
struct file *file_open(struct client *c, const char *name, uint32_t access);
nfsstat4 file_try_open(struct client *c, struct file *f, const OPEN4args *args, const nfs_fh4 *dir);
void open_args(struct client *c, const char *name, uint32_t access, OPEN4args *args);
nfsstat4 file_close(struct file *f);
nfsstat4 file_read(struct file *f, uint64_t offset, uint32_t len, void *buf, uint32_t *got);
nfsstat4 file_write(struct file *f, uint64_t offset, const void *data, uint32_t len);
nfsstat4 file_set_size(struct file *f, uint64_t size);
nfsstat4 file_try_size(struct file *f, uint64_t size);		/* once, whatever it says */
nfsstat4 file_attrs(struct file *f, struct nfs_attrs *a);
nfsstat4 fh_attrs(struct client *c, const nfs_fh4 *fh, const struct attr_mask *want, struct nfs_attrs *a);
/* The same by MDS READ and the pattern. */
bool file_is(struct file *f, uint64_t offset, uint64_t len, uint64_t seed);

struct layout {
	nfsstat4 status;
	bool return_on_close;
	stateid4 stateid;
	uint64_t offset, length;
	uint32_t iomode, n, body_len;
	struct layout_extent ext[2048];
};
struct lget {
	layouttype4 type;
	uint32_t iomode;
	uint64_t offset, length, minlength;
	uint32_t maxcount;
	const stateid4 *stateid;	/* NULL: the file's */
};
/* The result is good until the next. */
struct layout *layout_get_as(struct file *f, const struct lget *args);
struct layout *layout_get(struct file *f, uint32_t iomode, uint64_t offset, uint64_t length, uint64_t minlength);
/* Patient (on_fh_patient), and given up without one. */
struct layout *layout_need(struct file *f, uint32_t iomode, uint64_t offset, uint64_t length);
nfsstat4 layout_return(struct file *f, uint32_t iomode, uint64_t offset, uint64_t length);
nfsstat4 layout_return_as(struct file *f, uint32_t how, uint32_t iomode, uint64_t offset, uint64_t length, const stateid4 *stateid, bool *present);
struct lcommit {
	uint64_t offset, length;
	bool reclaim;
	const stateid4 *stateid;	/* NULL: the file's layout */
	bool has_last, has_time;
	uint64_t last;
	nfstime4 time;
	const struct layout_range *ranges;
	unsigned n;
};
nfsstat4 layout_commit_as(struct file *f, const struct lcommit *args, newsize4 *newsize);
/* One range, last byte of it last. */
nfsstat4 layout_commit(struct file *f, uint64_t offset, uint64_t length);
/*
 * What most tests of recalls begin with: a HOLDER that has NAME (1 MiB, pattern of seed 5) open with a layout of all of it, and another client that has it
 * open, too.
 */
struct pair {
	struct client *holder, *other;
	struct file *f, *g;		/* the holder's, the other's */
	struct layout *l;		/* good until the next LAYOUTGET */
};
struct pair pair_of(struct client *holder, const char *name, uint32_t iomode);
struct pair pair_new(uint32_t iomode);		/* of a new client, "f" */
/* The range that F's client was last asked for goes back, by the recall's stateid. */
nfsstat4 recall_return(struct file *f);
/* Straight to the LUN's image. */
void lun_write(const struct layout *l, uint64_t offset, uint64_t len, uint64_t seed);
bool lun_is(const struct layout *l, uint64_t offset, uint64_t len, uint64_t seed);
const struct layout_extent *layout_at(const struct layout *l, uint64_t offset);

/* ---- host.c ---- */
#define LOOKS_EVERY_MS 6500u	/* the server does at the target, while it is in use */
/* Until it has; the leases of A and B (NULL: nobody) are renewed. */
void look_wait(struct client *a, struct client *b);
struct nexus;
struct nexus *host_login(const char *who);
int host_register(struct nexus *nexus, uint64_t key);
/* Where the layout says, by the LUN. */
int host_write(struct nexus *nexus, const struct layout_extent *e);
/* Keys and reservation: the generation moves with each registration and preemption. */
struct pr_status keys_now(struct nexus *nexus);
bool key_is_there(const struct pr_status *st, uint64_t key);
/* What C is to register with at device ID. */
uint64_t client_key(struct client *c, const uint8_t *id);

/* ---- decode.c ---- */
/* All that RFC 5663 2.3.1, 8154 2.4.1 and the Linux client want of a reply; counts what is wrong. */
void layout_check(const struct file *f, const struct lget *args, const struct layout *l, uint64_t file_size);
unsigned layouts_checked(void), layouts_wrong(void);

#endif
