/*
 * A small NFSv4.1 server for the client's session engine: a thread with blocking sockets on 127.0.0.1, exact about slots, and able to misbehave.
 * Its one real operation is PUTROOTFH: it counts how often that was done.  Files come from fake_file.h, by MORE.
 */
#ifndef PNFS_TESTS_FAKE_MDS_H
#define PNFS_TESTS_FAKE_MDS_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/nfs4/compound_xdr.h"

#define FAKE_SLOTS 8u
#define FAKE_MESSAGE (96u << 10)	/* the longest call and reply */

struct fake_slot {
	uint32_t seqid;
	uint32_t request_len, reply_len;
	uint8_t request[FAKE_MESSAGE], reply[FAKE_MESSAGE];
};

struct fake_mds;
/* One operation but those of sessions: *status, with the result in OUT; false: it is not one of ours. */
typedef bool fake_more_fn(struct fake_mds *fake, uint32_t op, const nfs_argop4 *arg, XDR *out, nfsstat4 *status);

struct fake_mds {
	pthread_t thread;
	int listener, conn;
	struct sockaddr_in addr;
	atomic_bool stop;

	/* What to do; each counts down (atomic: set by the test while it runs). */
	atomic_int drop_after;		/* do so many operations, then do one more, say nothing and close */
	atomic_int twice;		/* answers to send twice */
	atomic_int delay, grace;	/* NFS4ERR_DELAY, _GRACE for PUTROOTFH */
	atomic_int seq_delay;		/* NFS4ERR_DELAY for SEQUENCE */
	atomic_int forget_session;	/* BADSESSION for the next SEQUENCE or BIND */
	atomic_int forget_client;	/* besides STALE_CLIENTID for CREATE_SESSION */
	atomic_int silent;		/* swallow so many calls */
	atomic_uint flags;		/* sr_status_flags of one answer */
	atomic_uint sticky;		/* of all, until it is changed */
	atomic_int create_refused;	/* NOSPC for CREATE_SESSION */
	atomic_bool create_uncounted;	/* ... without taking down its sequence */
	atomic_int create_skip;		/* count on by so much in CREATE_SESSION's slot than anybody was told */
	atomic_bool exchange_lies;	/* EXCHANGE_ID's sequence for a client ID it knows is of long ago */
	fake_more_fn *more;
	void *more_arg;
	atomic_int minor1;		/* knows minor version 1 only */

	/* What happened. */
	atomic_int done, retries, false_retries, exchanges, sessions, destroyed, binds, connections, reclaim_completes;
	atomic_uint max_slot;

	/* Its state; its own thread's. */
	uint64_t clientid;
	bool confirmed;
	uint8_t verifier[NFS4_VERIFIER_SIZE];
	uint32_t create_seq;		/* of the last CREATE_SESSION, and what became of it */
	nfsstat4 create_status;
	CREATE_SESSION4resok create_ok;
	uint32_t session;
	bool have_session;
	struct fake_slot slots[FAKE_SLOTS];

	/* Callbacks: the test sends, and gets the reply's body. */
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool cb_answered;
	uint32_t cb_len;
	uint8_t cb_reply[1024];
};

void fake_start(struct fake_mds *fake);
void fake_stop(struct fake_mds *fake);
/* Send CB_COMPOUND (its body) and wait for the answer, at most MS; its length to *len (0: none). */
void fake_callback(struct fake_mds *fake, const void *body, uint32_t len, unsigned ms);

#endif
