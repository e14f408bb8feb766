/* A blocking NFSv4.1 session over a plain socket, for the load generator. */
#ifndef PNFS_TESTS_BENCH_SESSION_H
#define PNFS_TESTS_BENCH_SESSION_H

#include "proto/nfs4/compound_xdr.h"

#define CALL_MAX 4096u
#define REPLY_MAX (1u << 17)

struct session {
	int fd;
	uint32_t xid;
	uint64_t clientid;
	char id[NFS4_SESSIONID_SIZE];
	uint32_t seqid;			/* of slot 0, for the blocking calls */
	uint8_t call[CALL_MAX], reply[REPLY_MAX];
	struct compound_call out;
	struct compound_results in;
	struct arena arena;
};

/* Offsets in a call made by session_begin(): what a sender of the same call again patches. */
enum { CALL_XID = 4, CALL_SEQID_FROM_ARGS = NFS4_SESSIONID_SIZE };

/* Connect to 127.0.0.1:PORT and set a session up with SLOTS slots.  Ends the program if it cannot. */
void session_open(struct session *s, uint16_t port, unsigned slots);
/* The same in steps, for a program that has many clients on a connection: each is what session_client() and session_create() leave in s->clientid, id, seqid. */
void session_connect(struct session *s, uint16_t port);
void session_client(struct session *s, const char *owner);
void session_create(struct session *s, unsigned slots);
void session_complete(struct session *s);
void session_close(struct session *s);

/*
 * A call with SEQUENCE in it, to add operations to (compound_call_op on s->out); SLOT and SEQID as given.  Returns the offset in
 * s->call of SEQUENCE's arguments.
 */
uint32_t session_begin(struct session *s, uint32_t slot, uint32_t seqid);
/* Finish: s->call is {mark, RPC call}; its length. */
uint32_t session_end(struct session *s);

/* Send what was begun with session_begin(s, 0, ++s->seqid) and read the answer into s->in, SEQUENCE taken off. */
void session_call(struct session *s);
/* The next result; ends the program if it is not NFS4_OK. */
void session_result(struct session *s, uint32_t op, nfs_resop4 *res);
/* The same, whatever it is; SESSION_NO_RESULT: the compound ended before. */
#define SESSION_NO_RESULT ((nfsstat4)-1)
nfsstat4 session_status(struct session *s, uint32_t op, nfs_resop4 *res);

/* The handle of PATH. */
nfs_fh4 session_lookup(struct session *s, const char *path, char handle[NFS4_FHSIZE]);
void session_die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

#endif
