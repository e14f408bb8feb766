/*
 * Provider kernel: XFS's own export_operations, reached through the kernel's nfsd; see kernel.c for the design.
 *
 *	kernel.c	the provider: probe, which files, lease and unlease, recalls, the patience of nfsd
 *	kernel_service.c	the life of nfsd and session, which serve all exports
 *	kernel_map.c	map by LAYOUTGET, commit by LAYOUTCOMMIT
 *	kernel_extents.c	what the kernel has given and still guards (pure)
 *	kernel_session.c	the loopback session: client ID, slots, calls that wait, renewal, the backchannel
 *	kernel_nfsd.c	the process in namespaces of its own that runs nfsd; which exports nfsd knows
 *	kernel_guard.c	what answers nfsd while there is no server
 *
 * Only these files and their tests include this.
 */
#ifndef PNFS_SERVER_EXPORT_KERNEL_H
#define PNFS_SERVER_EXPORT_KERNEL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <uthash.h>

#include "proto/nfs4/cb_channel.h"
#include "proto/nfs4/compound_xdr.h"
#include "proto/rpc/peer.h"
#include "server/export/export.h"

/* ---- kernel_nfsd.c ---- */

struct keeper;

struct kernel_nfsd {
	pid_t pid;			/* of the process in the namespaces */
	int control;			/* our end: when nobody has it any more, or it is shut down, nfsd ends */
	int exports, handles;		/* channels of the caches nfsd.export and nfsd.fh of that namespace */
	struct keeper *keeper;		/* who has the control socket, too; NULL: nobody */
	char key[40];			/* and under which name */
};

/*
 * Start nfsd in a network namespace of its own, with a lease of LEASE seconds (10..3600); *sock is connected to it.  -errno with WHY
 * (SIZE bytes) for the log: -ENOTSUP if this kernel cannot.
 */
int kernel_nfsd_start(struct kernel_nfsd *nfsd, unsigned lease, int *sock, char *why, size_t size);
/* All threads of nfsd end, its clients' state is gone; waits for it. */
void kernel_nfsd_stop(struct kernel_nfsd *nfsd);
/*
 * Hand it to the keeper: when this returns 0 nfsd and what it has given outlive this process.  Each time before something is asked of it that
 * must, since keeper and process may die; -errno: it would not.  With KEEPER NULL nothing is kept.  BOOT: of this life of the server.
 */
int kernel_nfsd_keep(struct kernel_nfsd *nfsd, struct keeper *keeper, uint64_t boot);
/* Instead of kernel_nfsd_stop(): layouts are out, the keeper is to go on. */
void kernel_nfsd_leave(struct kernel_nfsd *nfsd);

/* One of a former life, by its control socket: is it there still?  Stop it; waits; -ETIMEDOUT. */
bool kernel_nfsd_alive(int control);
int kernel_nfsd_end(int control);

/* nfsd serves the file system of directory DIR_FD under handles with number ID, or no longer.  0 or -errno. */
int kernel_nfsd_export(const struct kernel_nfsd *nfsd, uint32_t id, int dir_fd);
int kernel_nfsd_unexport(const struct kernel_nfsd *nfsd, uint32_t id, int dir_fd);

/* ---- kernel_session.c ---- */

#define KERNEL_SLOTS 32u
#define KERNEL_ROOM 8192u		/* of a COMPOUND we send */

struct kernel_fh {
	uint32_t len;
	uint8_t data[NFS4_FHSIZE];
};

/* As client and server of the session must agree on it. */
struct kernel_session_state {
	uint64_t clientid;
	uint8_t session[NFS4_SESSIONID_SIZE];
	uint32_t nslots, slots[KERNEL_SLOTS];	/* the next sequence of each */
	uint32_t cb_slots[CB_CHANNEL_SLOTS];	/* the last one of each */
};

struct kernel_session_ops {
	/* Required.  CB_LAYOUTRECALL.  Loop's thread: must not block. */
	nfsstat4 (*recall)(void *owner, const CB_LAYOUTRECALL4args *args);
	/* Required.  About once a second; loop's thread. */
	void (*tick)(void *owner, uint64_t now_ms);
	/* Required.  The session is lost, and all that nfsd held for it; once.  Loop's thread. */
	void (*lost)(void *owner);
};

struct kernel_session;

/*
 * Client ID and session over SOCK (taken over, on errors too).  SEQUENCE is sent often enough for nfsd's lease of LEASE seconds.
 */
int kernel_session_new(struct kernel_session **session, int sock, unsigned lease, const struct kernel_session_ops *ops,
    void *owner);
/* Destroys session and client ID at nfsd, too, unless it is lost.  No call is under way. */
void kernel_session_free(struct kernel_session *session);
/* Instead: nfsd goes on to hold for us what it holds (kernel_nfsd_leave()). */
void kernel_session_leave(struct kernel_session *session);
bool kernel_session_lost(const struct kernel_session *session);

/* A COMPOUND: begin, add operations with compound_call_op(), run, take results, end.  Any thread but the loop's. */
struct kernel_call {
	struct kernel_session *session;
	struct rpc_out *out;
	struct compound_call c;
	uint32_t slot;
	bool fh;			/* PUTFH stands behind SEQUENCE */
	struct rpc_rec *rec;
	struct compound_results results;
	struct arena arena;		/* of the results */
	nfsstat4 status;		/* of the last result taken */
	nfs_resop4 res;			/* and itself */
};

/* Waits for a slot.  SEQUENCE and, with FH, PUTFH are put.  0 or -errno; only then kernel_call_end() is due. */
int kernel_call_begin(struct kernel_call *call, struct kernel_session *session, const struct kernel_fh *fh);
/* Sends, waits for the answer, takes the results of what begin has put.  0 or -errno. */
int kernel_call_run(struct kernel_call *call);
/* The next result, of OP, into call->res: 0, or -errno of its status (call->status), or -EPROTO. */
int kernel_call_take(struct kernel_call *call, uint32_t op);
void kernel_call_end(struct kernel_call *call);

/* ---- kernel_extents.c ---- */

/* An extent that the kernel has given: it stays where it is while the lease is held. */
struct kernel_extent {
	uint64_t offset, length, addr;	/* bytes; addr 0 for a hole */
	enum iomap_type type;
	bool rw;			/* it was given for writing */
};

/* Ascending, disjoint. */
struct kernel_extents {
	struct kernel_extent *v;
	unsigned n, cap;
};

#define KERNEL_EXTENTS_MAX 65536u	/* of one file; it is a cache, so that more is forgotten */

void kernel_extents_free(struct kernel_extents *set);
/* Put E in, in place of what was known of its range.  Without memory, or past the maximum, all is forgotten. */
void kernel_extents_put(struct kernel_extents *set, const struct kernel_extent *e);
/* The one with byte POS in it, or NULL; *next: where the next one after POS starts (UINT64_MAX: none). */
const struct kernel_extent *kernel_extents_find(const struct kernel_extents *set, uint64_t pos, uint64_t *next);
/* [start, end) was written and committed: what was unwritten there is no more. */
void kernel_extents_written(struct kernel_extents *set, uint64_t start, uint64_t end);

/* ---- kernel.c ---- */

/* What names a file among all leases. */
struct kernel_key {
	uint32_t len;
	uint8_t bytes[64];
};

struct kernel_lease {
	struct layout_lease lease;	/* first; lease.inode is referenced */
	struct kernel_fh fh;
	struct kernel_key key;
	int fd;				/* inode_data_fd() */
	atomic_int refs;		/* the table's and a recall's while it is told */
	stateid4 open, layout;
	bool have_layout;		/* io_lock, as all that follows but broken_ms */
	bool stripped;			/* suid, sgid and capabilities were looked at */
	bool end_stays;			/* file_rules_end_stays() */
	bool written;			/* RW was mapped: pages may be stale */
	uint8_t device[NFS4_DEVICEID4_SIZE];	/* nfsd's */
	struct kernel_extents extents;
	uint64_t broken_ms;		/* of the first recall; the table's lock */
	UT_hash_handle hh;		/* by key */
};

static inline struct kernel_lease *
kernel_lease(struct layout_lease *lease)
{
	return (struct kernel_lease *)(void *)lease;
}

/* As if the kernel recalled it. */
void kernel_lease_break(struct kernel_lease *kl);
extern const struct kernel_session_ops kernel_service_ops;
/* Is there any lease? */
bool kernel_leases_any(void);

/* ---- kernel_service.c ---- */

#define KERNEL_NFSD_LEASE 3600u		/* seconds; the most nfsd takes */

/* nfsd serves EXPORT, too, and is started for the first one.  -errno with WHY (SIZE bytes): -ENOTSUP if this kernel cannot. */
int kernel_service_join(const struct export *export, char *why, size_t size);
/* Or no longer; it is stopped with the last one. */
void kernel_service_quit(const struct export *export);
/*
 * Before a lease is taken: the session is good and stays until kernel_service_release(), and from then on as long as there is a lease.  Makes a new one if it was lost.
 * False: it is lost, and there are leases still, or there is no other one to be had.
 */
bool kernel_service_hold(void);
void kernel_service_release(void);
/* Between the two: what is going to be asked for outlives us.  -errno: it would not. */
int kernel_service_keep(const struct mds *mds);
/* At the end of the server: what is held is left to the keeper. */
void kernel_service_leave(void);

/* The session; while a lease is held it stays. */
struct kernel_session *kernel_session(void);

/* ---- kernel_map.c ---- */

int kernel_map_blocks(struct layout_lease *lease, uint64_t offset, uint64_t length, bool write,
    struct iomap *map, unsigned max, enum reason *why);
bool kernel_mapped(struct layout_lease *lease, uint64_t offset, uint64_t length, bool write);
int kernel_commit_blocks(struct layout_lease *lease, const struct iomap *ranges, unsigned n,
    const struct commit_attr *attr);

#endif
