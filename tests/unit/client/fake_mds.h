/*
 * A small NFSv4.1 server for the client's session engine: a thread with blocking sockets on 127.0.0.1, exact about slots, and able to misbehave.
 * Its one real operation is PUTROOTFH: it counts how often that was done.
 */
#ifndef PNFS_TESTS_FAKE_MDS_H
#define PNFS_TESTS_FAKE_MDS_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define FAKE_SLOTS 8u

struct fake_slot {
	uint32_t seqid;
	uint32_t request_len, reply_len;
	uint8_t request[4096], reply[4096];
};

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
	atomic_uint flags;		/* sr_status_flags */
	atomic_int minor1;		/* knows minor version 1 only */

	/* What happened. */
	atomic_int done, retries, false_retries, exchanges, sessions, binds, connections, reclaim_completes;
	atomic_uint max_slot;

	/* Its state; its own thread's. */
	uint64_t clientid;
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
