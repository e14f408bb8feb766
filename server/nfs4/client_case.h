/* The nine cases of EXCHANGE_ID (RFC 8881 18.35.4) as a pure function; op_client.c acts on it. */
#ifndef PNFS_SERVER_NFS4_CLIENT_CASE_H
#define PNFS_SERVER_NFS4_CLIENT_CASE_H

#include <stdbool.h>

#include "proto/x/nfs4.h"

struct client_facts {
	bool update;			/* EXCHGID4_FLAG_UPD_CONFIRMED_REC_A */
	bool confirmed;			/* there is a confirmed record of this owner; the rest is about it */
	bool same_verifier, same_principal;
	bool has_state;			/* sessions count */
	bool lease_over;
};

struct client_verdict {
	nfsstat4 status;
	bool keep;			/* answer with the confirmed record as it is */
	bool drop_confirmed;		/* it goes; else it stays until the new one is confirmed */
	/* Without keep: an unconfirmed record is replaced by a new one. */
};

struct client_verdict client_case(const struct client_facts *facts);

#endif
