/* A client of few words for the tests of the server: one blocking socket, calls built with compound_xdr.h. */
#ifndef PNFS_TESTS_WIRE_H
#define PNFS_TESTS_WIRE_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/nfs4/compound_xdr.h"
#include "proto/rpc/peer.h"

struct wire {
	int fd;
	uint32_t xid, uid;
	uint8_t buf[64 << 10];		/* the last record received */
	uint32_t len;
	struct arena arena;
};

void wire_open(struct wire *w, int fd);
int wire_connect(struct wire *w, uint16_t port);
void wire_close(struct wire *w);

/* A COMPOUND call being made. */
struct wire_call {
	uint8_t body[32 << 10];
	struct compound_call cc;
};
void wire_begin(struct wire_call *c, uint32_t minor, const char *tag);
void wire_op(struct wire_call *c, uint32_t op, const void *args);

/* Send as a call with AUTH_SYS; body of LEN bytes as it is. */
void wire_send_body(struct wire *w, const void *body, uint32_t len);
void wire_send(struct wire *w, struct wire_call *c);
/* The next record; false: the end, or nothing within two seconds. */
bool wire_recv(struct wire *w);
/* Take the record for a reply to COMPOUND; the status of the whole.  Fails the test if it is none. */
nfsstat4 wire_reply(struct wire *w, struct compound_results *r);
/* Send, receive, take. */
nfsstat4 wire_compound(struct wire *w, struct wire_call *c, struct compound_results *r);
/* accept_stat of the last record. */
uint32_t wire_accept_stat(const struct wire *w);

/* ---- sessions ---- */

struct wire_session {
	sessionid4 id;
	uint64_t clientid;
	uint32_t seq[8];
	CREATE_SESSION4resok made;
};

nfsstat4 wire_exchange_id(struct wire *w, const char *owner, uint64_t verifier, uint32_t flags, EXCHANGE_ID4resok *ok);
void wire_channel(channel_attrs4 *fore, channel_attrs4 *back);
nfsstat4 wire_create_session(struct wire *w, uint64_t clientid, uint32_t seq, uint32_t flags,
    const channel_attrs4 *fore, struct wire_session *s);
/* EXCHANGE_ID and CREATE_SESSION with a backchannel, which must succeed. */
void wire_session(struct wire *w, const char *owner, struct wire_session *s);
/* Begin a call with SEQUENCE in SLOT; the sequence ID is counted up if NEXT. */
void wire_begin_seq(struct wire_call *c, struct wire_session *s, uint32_t slot, bool next, bool cache);

#endif
